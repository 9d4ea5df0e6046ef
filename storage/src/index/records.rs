//! What rows hold: a layout byte, then the record in postcard's encoding. A layout that was ever released stays
//! readable: a new one gets a new number, and the old type stays here with its conversion.

use std::fmt::{self, Write as _};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Corruption, Result};
use crate::types::{BucketId, ChunkId, ManifestId, Place, RemoteId, Timestamp, UploadId, VersionId};

/// A record with a stored layout.
pub trait Record: Serialize + DeserializeOwned {
    /// The family that it lives in, for messages.
    const FAMILY: &'static str;
    /// The number of the layout that is written today.
    const LAYOUT: u8 = 1;

    /// The bytes to store.
    fn encode(&self) -> Vec<u8> {
        // Room for most records, which would otherwise grow step by step.
        let mut start = Vec::with_capacity(256);
        start.push(Self::LAYOUT);
        // Writing into memory cannot fail, and none of our types refuses serialization.
        postcard::to_extend(self, start).expect("a record serializes into memory")
    }

    /// Reads stored bytes.
    fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| Corruption::Row { family: Self::FAMILY, what }.into();
        match bytes.split_first() {
            Some((&layout, rest)) if layout == Self::LAYOUT => {
                postcard::from_bytes(rest).map_err(|error| damaged(error.to_string()))
            }
            Some((layout, _)) => Err(damaged(format!("layout {layout} is newer than this release"))),
            None => Err(damaged("empty row".to_owned())),
        }
    }
}

/// Whether a bucket keeps old versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Versioning {
    /// Never enabled: each key has one version, `null`.
    #[default]
    Unversioned,
    /// Each write makes a new version.
    Enabled,
    /// Writes replace the `null` version; other versions stay.
    Suspended,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// Its number.
    pub id: BucketId,
    /// Its name.
    pub name: String,
    /// The canonical id of the account that owns it.
    pub owner: String,
    /// When it was created.
    pub created: Timestamp,
    /// The region that it was created in.
    pub region: String,
    /// Whether it keeps old versions.
    pub versioning: Versioning,
    /// Raised by every change of a sub-resource; 0 while there was none. What was read of the sub-resources holds as
    /// long as this is the same.
    pub generation: u64,
    /// Whether its versions can be locked against removal. Once set it stays, and the bucket keeps old versions.
    pub object_lock: bool,
}

/// An entity tag: an MD5, or the MD5 of the parts' MD5s with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ETag {
    /// The digest.
    pub md5: [u8; 16],
    /// How many parts, for an object that was uploaded in parts.
    pub parts: Option<u16>,
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every answer about an object shows one: sixteen formatted bytes cost more than the look at the object did.
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        for byte in self.md5 {
            for digit in [byte >> 4, byte & 0xf] {
                f.write_char(char::from(DIGITS[usize::from(digit)]))?;
            }
        }
        self.parts.map_or(Ok(()), |parts| write!(f, "-{parts}"))
    }
}

/// The algorithm of an additional checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5.
    Md5,
    /// XXH64.
    Xxhash64,
    /// XXH3, 64 bits.
    Xxhash3,
    /// XXH3, 128 bits.
    Xxhash128,
}

/// What a checksum of an object in parts is computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumType {
    /// Over the object's bytes.
    FullObject,
    /// Over the parts' checksums.
    Composite,
}

/// An additional checksum.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    /// Its algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it is computed over.
    pub kind: ChecksumType,
    /// The digest, big endian.
    pub value: Vec<u8>,
}

/// Where an object's, or a part's, bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Data {
    /// There are none.
    Empty,
    /// In the family `inline`, beside the version.
    Inline,
    /// One chunk.
    Chunk(ChunkId),
    /// Several chunks, listed by a manifest.
    Manifest {
        /// The list.
        id: ManifestId,
        /// The length of each chunk but the last; 0 where they have various lengths.
        chunk_bytes: u32,
    },
    /// The parts of a multipart upload, or of an object that was appended to, listed by a manifest.
    Parts(ManifestId),
    /// In a storage tier.
    Remote(RemoteId),
}

/// The annotations of a version: one manifest lists them, and each change of one makes a new manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Annotations {
    /// The list.
    pub manifest: ManifestId,
    /// How many.
    pub count: u32,
    /// Bytes of all their payloads.
    pub bytes: u64,
}

/// What the writer of an object said about it. Names are lower-case header names; nothing here is interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// `content-type`, `cache-control`, `content-disposition`, `content-encoding`, `content-language`, `expires`,
    /// `x-amz-website-redirect-location`.
    pub headers: Vec<(String, String)>,
    /// User metadata without the `x-amz-meta-` prefix.
    pub metadata: Vec<(String, String)>,
    /// Object tags.
    pub tags: Vec<(String, String)>,
    /// The storage class, where it is not STANDARD.
    pub storage_class: Option<String>,
    /// What is kept with the version in the bytes of whoever keeps it, by number: 1 is the access control list. The
    /// numbers are the object layer's, and stored: none is ever used for something else.
    pub sub_resources: Vec<(u8, Vec<u8>)>,
}

impl Attributes {
    /// The sub-resource with this number.
    #[must_use]
    pub fn sub_resource(&self, number: u8) -> Option<&[u8]> {
        self.sub_resources.iter().find(|(known, _)| *known == number).map(|(_, bytes)| bytes.as_slice())
    }

    /// Sets or removes the sub-resource with this number.
    pub fn set_sub_resource(&mut self, number: u8, bytes: Option<Vec<u8>>) {
        self.sub_resources.retain(|(known, _)| *known != number);
        self.sub_resources.extend(bytes.map(|bytes| (number, bytes)));
        self.sub_resources.sort_unstable_by_key(|(known, _)| *known);
    }
}

/// The content of a version that is not a delete marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Bytes.
    pub size: u64,
    /// The entity tag.
    pub etag: ETag,
    /// Where the bytes are.
    pub data: Data,
    /// The additional checksum.
    pub checksum: Option<Checksum>,
    /// What the writer said.
    pub attributes: Attributes,
    /// Its annotations.
    pub annotations: Option<Annotations>,
    /// A copy that was asked back from an archive.
    pub restore: Option<Restore>,
}

/// A copy of archived data that was asked back for some days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// When it was asked for.
    pub requested: Timestamp,
    /// How many days it is to stay.
    pub days: u32,
    /// The copy, once it is here.
    pub copy: Option<RestoredCopy>,
}

/// A copy that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredCopy {
    /// Where its bytes are: those of the object as they are stored.
    pub data: Data,
    /// Until when it can be read.
    pub expires: Timestamp,
}

impl ObjectRecord {
    /// Where the bytes are read: in the restored copy, where there is one.
    #[must_use]
    pub fn readable(&self) -> Data {
        self.restored().map_or(self.data, |copy| copy.data)
    }

    /// The restored copy.
    #[must_use]
    pub fn restored(&self) -> Option<RestoredCopy> {
        self.restore.as_ref().and_then(|restore| restore.copy)
    }
}

/// What a version is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "nearly every version is an object")]
pub enum Content {
    /// An object.
    Object(ObjectRecord),
    /// The mark of a deletion.
    DeleteMarker,
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its id.
    pub id: VersionId,
    /// Whether it is the key's `null` version: written while the bucket's versioning was not enabled.
    pub null: bool,
    /// When it was written.
    pub modified: Timestamp,
    /// The canonical id of the account that owns it: that wrote it, or gave it away when it did.
    pub owner: String,
    /// Object or delete marker.
    pub content: Content,
}

impl VersionRecord {
    /// The object, unless this is a delete marker.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRecord> {
        match &self.content {
            Content::Object(object) => Some(object),
            Content::DeleteMarker => None,
        }
    }
}

/// A key's head: present where the key has, or had, versions beside the current one. Every change of the key's
/// versions changes it, so that a commit which relies on it relies on all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Raised by each change.
    pub generation: u64,
    /// The greatest order that any version of the key ever had.
    pub last_order: u64,
    /// The order of the `null` version, wherever it is.
    pub null_order: Option<u64>,
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// Its id.
    pub id: UploadId,
    /// When it was initiated.
    pub initiated: Timestamp,
    /// The canonical id of the account that initiated it.
    pub initiator: String,
    /// The canonical id of the account that will own the object.
    pub owner: String,
    /// What the object will say about itself.
    pub attributes: Attributes,
    /// The checksum algorithm and type that the upload was created with.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// Whether the key had a current object when the upload was initiated.
    pub key_had_object: bool,
}

/// An uploaded part; in the list of an object's parts also a group of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// 1 to 10 000, for a part of an upload. Appending counts on from there. A group has the number of its last part.
    pub number: u16,
    /// Bytes.
    pub size: u64,
    /// MD5 of the part.
    pub md5: [u8; 16],
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// When it was written.
    pub modified: Timestamp,
    /// Where the bytes are; never inline. Parts only in the list of an object that was appended to: this is then a
    /// group, which stands for the parts in its own list.
    pub data: Data,
}

/// An annotation of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationRecord {
    /// Its name, of up to 512 bytes.
    pub name: String,
    /// Bytes of the payload.
    pub size: u64,
    /// MD5 of the payload.
    pub md5: [u8; 16],
    /// The payload's checksum.
    pub checksum: Checksum,
    /// When it was written.
    pub modified: Timestamp,
    /// Where the payload is: one chunk.
    pub data: Data,
}

/// A rename that a client named by a token, so that repeating it does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenameRecord {
    /// Of what was asked for.
    pub fingerprint: [u8; 32],
    /// When it was done.
    pub completed: Timestamp,
}

/// What a completed upload became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedUpload {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: String,
    /// The version that it became, as it was then.
    pub version: VersionRecord,
    /// When.
    pub completed: Timestamp,
}

/// Entries in a page of chunks: 36 bytes each, so that a page stays well under a row's limit.
pub const CHUNKS_IN_PAGE: usize = 1_000;
/// Entries in a page of parts: up to 200 bytes each.
pub const PARTS_IN_PAGE: usize = 250;
/// Entries in a page of annotations: up to 700 bytes each.
pub const ANNOTATIONS_IN_PAGE: usize = 90;

/// The root of a manifest: written with, or before, whatever makes the manifest visible, and after all of its pages.
/// Where it is, the manifest is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRoot {
    /// Bytes of all entries.
    pub size: u64,
    /// How many entries.
    pub entries: u32,
    /// How many pages.
    pub pages: u32,
}

/// A page of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestPage {
    /// Chunks of an object: [`CHUNKS_IN_PAGE`] of them, but for the last page.
    Chunks {
        /// Where the page's first chunk begins in the object.
        start: u64,
        /// Each chunk and its length, in order.
        chunks: Vec<(ChunkId, u32)>,
    },
    /// Parts of a multipart object: [`PARTS_IN_PAGE`] of them, but for the last page.
    Parts {
        /// Where the page's first part begins in the object.
        start: u64,
        /// The parts, in order.
        parts: Vec<PartRecord>,
    },
    /// Annotations, by name: [`ANNOTATIONS_IN_PAGE`] of them, but for the last page.
    Annotations(Vec<AnnotationRecord>),
}

/// The tags of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags(pub Vec<(String, String)>);

/// A chunk's place, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// Where it is.
    pub place: Place,
}

/// Objects in a storage tier that hold the bytes of one chunk, or of one list of chunks. Byte `n` is in the object
/// number `n / piece_bytes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRecord {
    /// The tier's name.
    pub tier: String,
    /// What the objects are called there, before a dot and their number.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bytes in each object but the last.
    pub piece_bytes: u32,
    /// Bytes that each checksum but the last is of. Divides `piece_bytes`.
    pub block_bytes: u32,
    /// CRC32C of each block, little endian.
    pub blocks: Vec<[u8; 4]>,
}

/// Objects that a tier may hold: those of an upload that is under way, or that nothing refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteObjects {
    /// The tier's name.
    pub tier: String,
    /// How many there are.
    pub pieces: u32,
}

/// Who refers, in words that a damage report can print: the value of a reference row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referrer {
    /// The bucket of the version or upload; `None` for a manifest.
    pub object: Option<(BucketId, String)>,
}

/// A chunk that scrubbing found damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageRecord {
    /// When it was first found.
    pub found: Timestamp,
    /// Why it cannot be read.
    pub why: String,
}

/// An event that a target was not given, or would not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its position in the outbox.
    pub position: u64,
    /// When it was given up.
    pub buried: Timestamp,
    /// Why, in words.
    pub reason: String,
    /// The event.
    pub event: Vec<u8>,
}

macro_rules! records {
    ($($type:ty: $family:literal),* $(,)?) => { $(impl Record for $type { const FAMILY: &'static str = $family; })* };
}
records! {
    BucketRecord: "buckets", VersionRecord: "versions", Head: "versions", UploadRecord: "uploads", PartRecord: "uploads",
    CompletedUpload: "uploads", ManifestRoot: "manifests", ManifestPage: "manifests", ChunkRecord: "chunks", Referrer: "refs", Tags: "buckets",
    DeadLetter: "outbox",
    DamageRecord: "system",
    RenameRecord: "uploads",
    RemoteRecord: "tiers", RemoteObjects: "tiers",
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version() -> VersionRecord {
        VersionRecord {
            id: VersionId { order: 1, salt: 2 },
            null: true,
            modified: Timestamp(3),
            owner: "o".to_owned(),
            content: Content::Object(ObjectRecord {
                size: 300,
                etag: ETag { md5: [0xab; 16], parts: None },
                data: Data::Chunk(ChunkId([0xcd; 32])),
                checksum: None,
                attributes: Attributes {
                    headers: vec![("content-type".into(), "a/b".into())],
                    sub_resources: vec![(1, vec![0xaa, 0xbb])],
                    ..Attributes::default()
                },
                annotations: None,
                restore: None,
            }),
        }
    }

    #[test]
    fn golden_bytes_of_a_version() {
        let mut golden = vec![1, 1, 2, 1, 6, 1, b'o', 0, 0xac, 0x02];
        golden.extend([0xab; 16]);
        golden.extend([0, 2]);
        golden.extend([0xcd; 32]);
        golden.extend(b"\0\x01\x0ccontent-type\x03a/b\0\0\0\x01\x01\x02\xaa\xbb\0\0");
        assert_eq!(version().encode(), golden);
        assert_eq!(VersionRecord::decode(&golden).unwrap(), version());
    }

    #[test]
    fn golden_bytes_of_a_bucket_and_an_upload() {
        let bucket = BucketRecord {
            id: BucketId(1),
            name: "b".to_owned(),
            owner: "o".to_owned(),
            created: Timestamp(3),
            region: "r".to_owned(),
            versioning: Versioning::Enabled,
            generation: 300,
            object_lock: true,
        };
        assert_eq!(bucket.encode(), b"\x01\x01\x01b\x01o\x06\x01r\x01\xac\x02\x01");
        let upload = UploadRecord {
            id: UploadId { order: 1, salt: 2 },
            initiated: Timestamp(3),
            initiator: "i".to_owned(),
            owner: "o".to_owned(),
            attributes: Attributes { sub_resources: vec![(1, vec![0xaa])], ..Attributes::default() },
            checksum: None,
            key_had_object: true,
        };
        assert_eq!(upload.encode(), b"\x01\x01\x02\x06\x01i\x01o\0\0\0\0\x01\x01\x01\xaa\0\x01");
    }

    #[test]
    fn a_sub_resource_is_set_replaced_and_removed() {
        let mut attributes = Attributes::default();
        attributes.set_sub_resource(2, Some(vec![2]));
        attributes.set_sub_resource(1, Some(vec![1]));
        attributes.set_sub_resource(2, Some(vec![3]));
        assert_eq!(attributes.sub_resources, [(1, vec![1]), (2, vec![3])]);
        attributes.set_sub_resource(2, None);
        assert_eq!((attributes.sub_resource(1), attributes.sub_resource(2)), (Some([1].as_slice()), None));
    }

    #[test]
    fn a_newer_layout_is_refused_by_name() {
        let mut bytes = version().encode();
        bytes[0] = 9;
        let error = VersionRecord::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains("layout 9"), "{error}");
    }

    #[test]
    fn full_pages_fit_into_a_row() {
        let chunks =
            ManifestPage::Chunks { start: u64::MAX, chunks: vec![(ChunkId([0xff; 32]), u32::MAX); CHUNKS_IN_PAGE] };
        let checksum =
            Checksum { algorithm: ChecksumAlgorithm::Sha512, kind: ChecksumType::Composite, value: vec![0xff; 64] };
        let part = PartRecord {
            number: 10_000,
            size: u64::MAX,
            md5: [0xff; 16],
            checksum: Some(checksum),
            modified: Timestamp(i64::MAX),
            data: Data::Manifest { id: ManifestId([0xff; 32]), chunk_bytes: u32::MAX },
        };
        let parts = ManifestPage::Parts { start: u64::MAX, parts: vec![part; PARTS_IN_PAGE] };
        let annotation = AnnotationRecord {
            name: "n".repeat(512),
            size: u64::MAX,
            md5: [0xff; 16],
            checksum: Checksum {
                algorithm: ChecksumAlgorithm::Sha512,
                kind: ChecksumType::FullObject,
                value: vec![0xff; 64],
            },
            modified: Timestamp(i64::MAX),
            data: Data::Chunk(ChunkId([0xff; 32])),
        };
        let annotations = ManifestPage::Annotations(vec![annotation; ANNOTATIONS_IN_PAGE]);
        for bytes in [chunks.encode(), parts.encode(), annotations.encode()] {
            assert!(bytes.len() <= crate::kv::MAX_VALUE_BYTES, "{}", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = (VersionRecord::decode(&bytes), ManifestPage::decode(&bytes), ManifestRoot::decode(&bytes), BucketRecord::decode(&bytes));
        }
    }
}
