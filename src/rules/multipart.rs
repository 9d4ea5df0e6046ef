//! Multipart uploads: part numbers, sizes, and whether a list of parts makes an object.
//!
//! Limits: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>

use sha2::{Digest, Sha256};
use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType, ETag, PartRecord};
use storage::types::UploadId;

use super::checksums::{self, Claimed};
use super::etag;
use super::refusal::{Code, Refusal, Result};

/// The greatest part number, and the most parts.
pub const MAX_PARTS: u16 = 10_000;
/// The least size of a part that is not the last: 5 MiB.
pub const MIN_PART_BYTES: u64 = 5 << 20;
/// The greatest size of a part: 5 GiB.
pub const MAX_PART_BYTES: u64 = 5 << 30;
/// The greatest size of an object that is uploaded by one PUT: 5 GiB.
pub const MAX_PUT_BYTES: u64 = 5 << 30;
/// The greatest size of an object: as many parts as there may be, each as large as it may be.
pub const MAX_OBJECT_BYTES: u64 = MAX_PARTS as u64 * MAX_PART_BYTES;

/// Reads the `partNumber` of a request.
///
/// # Errors
/// `InvalidArgument`.
pub fn part_number(text: &str) -> Result<u16> {
    text.parse().ok().filter(|number| (1..=MAX_PARTS).contains(number)).ok_or_else(|| {
        Refusal::invalid_argument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
    })
}

/// Whether a body of `size` bytes may be a part, or the object of a single PUT: the limit is the same.
///
/// # Errors
/// `EntityTooLarge`.
pub fn check_upload_size(size: u64) -> Result<()> {
    too_large(size, MAX_PART_BYTES)
}

fn too_large(size: u64, max: u64) -> Result<()> {
    if size <= max {
        return Ok(());
    }
    Err(Refusal::from(Code::EntityTooLarge)
        .with("ProposedSize", size.to_string())
        .with("MaxSizeAllowed", max.to_string()))
}

/// The id of an upload of `key`: its lower half a mark of the key, so that an id says whether it can be one of a key's
/// even when its upload has ended. AWS refuses an `upload-id-marker` that is another key's.
#[must_use]
pub fn id_for_key(id: UploadId, key: &str) -> UploadId {
    UploadId { salt: id.salt & !MARK | mark_of(id, key), ..id }
}

/// Whether `id` was made by [`id_for_key`] for `key`.
#[must_use]
pub fn is_id_of_key(id: UploadId, key: &str) -> bool {
    id.salt & MARK == mark_of(id, key)
}

/// The bits of an id's salt that mark its key. The others stay random.
const MARK: u64 = 0xffff_ffff;

fn mark_of(id: UploadId, key: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(id.order.to_be_bytes());
    hash.update((id.salt & !MARK).to_be_bytes());
    hash.update(key);
    hash.finalize().iter().take(4).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

/// A part as a completion names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedPart {
    /// `PartNumber`.
    pub number: i64,
    /// `ETag`, as the client wrote it.
    pub etag: String,
    /// `ChecksumCRC32` and the like, as the client wrote them.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

/// What `CompleteMultipartUpload` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The upload's id, for error messages.
    pub upload_id: &'a str,
    /// What the upload was created with.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// The parts that make up the object, in order.
    pub parts: &'a [NamedPart],
    /// What the client claims about the object's checksum.
    pub claimed: Claimed<'a>,
    /// `x-amz-mp-object-size`: how large the client thinks that the object is.
    pub object_size: Option<u64>,
}

/// The object that a completion makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed<'a> {
    /// Its parts, in order.
    pub parts: Vec<&'a PartRecord>,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: ETag,
    /// Its checksum.
    pub checksum: Checksum,
}

impl Completion<'_> {
    /// Checks the list of parts against the parts that are stored, which are sorted by number, and computes what the
    /// object will be. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    ///
    /// # Errors
    /// `MalformedXML` for no parts or too many, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`,
    /// `EntityTooLarge`, `InvalidRequest`, `BadDigest`.
    pub fn check<'s>(&self, stored: &'s [PartRecord]) -> Result<Completed<'s>> {
        if self.parts.is_empty() || self.parts.len() > usize::from(MAX_PARTS) {
            return Err(Code::MalformedXML.into());
        }
        self.check_order()?;
        let parts: Vec<_> = self.last_of_each().map(|named| self.find(named, stored)).collect::<Result<_>>()?;
        check_sizes(&parts)?;
        let size = parts.iter().map(|part| part.size).sum();
        too_large(size, MAX_OBJECT_BYTES)?;
        if let Some(expected) = self.object_size.filter(|expected| *expected != size) {
            return Err(Refusal::invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {size}"
            )));
        }
        let checksum = self.checksum(&parts)?;
        let etag = etag::of_parts(parts.iter().map(|part| part.md5)).ok_or(Code::MalformedXML)?;
        Ok(Completed { parts, size, etag, checksum })
    }

    fn check_order(&self) -> Result<()> {
        if let Some(bad) = self.parts.iter().find(|part| part.number < 1) {
            return Err(Refusal::invalid_argument("PartNumber", &bad.number.to_string(), "PartNumber must be >= 1"));
        }
        let ascending = self.parts.windows(2).all(|pair| matches!(pair, [a, b] if a.number <= b.number));
        if ascending { Ok(()) } else { Err(Refusal::from(Code::InvalidPartOrder).with("UploadId", self.upload_id)) }
    }

    /// A client that sent a part twice may name both; S3 takes the one that it names last.
    fn last_of_each(&self) -> impl Iterator<Item = &NamedPart> {
        let next = self.parts.iter().skip(1).map(Some).chain([None]);
        let paired = self.parts.iter().zip(next);
        paired.filter(|(part, next)| next.is_none_or(|next| next.number != part.number)).map(|(part, _)| part)
    }

    fn find<'s>(&self, named: &NamedPart, stored: &'s [PartRecord]) -> Result<&'s PartRecord> {
        let invalid = || {
            Refusal::from(Code::InvalidPart)
                .with("UploadId", self.upload_id)
                .with("PartNumber", named.number.to_string())
                .with("ETag", etag::unquoted(&named.etag))
        };
        let part = u16::try_from(named.number)
            .ok()
            .and_then(|number| stored.binary_search_by_key(&number, |part| part.number).ok())
            .and_then(|index| stored.get(index))
            .filter(|part| etag::is(&ETag { md5: part.md5, parts: None }, &named.etag))
            .ok_or_else(invalid)?;
        for (algorithm, text) in &named.checksums {
            let given = checksums::decode(*algorithm, text);
            let known = part.checksum.as_ref().filter(|known| known.algorithm == *algorithm).map(|known| &known.value);
            if given.is_none() || given.as_ref() != known {
                return Err(invalid());
            }
        }
        // A composite checksum is one of the parts' checksums: the client vouches for each of them.
        if let Some((algorithm, ChecksumType::Composite)) = self.checksum
            && named.checksums.is_empty()
        {
            let algorithm = checksums::name(algorithm).to_ascii_lowercase();
            return Err(Refusal::invalid_request(format!(
                "The upload was created using a {algorithm} checksum. The complete request must include the checksum for each part. It was missing for part {} in the request.",
                named.number
            )));
        }
        Ok(part)
    }

    fn checksum(&self, parts: &[&PartRecord]) -> Result<Checksum> {
        let (algorithm, kind) = checksums::effective(self.checksum);
        let digests: Option<Vec<_>> = parts
            .iter()
            .map(|part| {
                let checksum = part.checksum.as_ref().filter(|checksum| checksum.algorithm == algorithm)?;
                Some((checksum.value.as_slice(), part.size))
            })
            .collect();
        // Each part was stored with a checksum of this algorithm, so one that has none is our own mistake.
        let computed = digests.and_then(|digests| checksums::of_parts(algorithm, kind, digests)).ok_or_else(|| {
            Refusal::new(Code::InternalError, "A stored part has no checksum of its upload's algorithm.")
        })?;
        let count = u16::try_from(parts.len()).unwrap_or(MAX_PARTS);
        checksums::check_completed(self.claimed, &computed, count)?;
        Ok(computed)
    }
}

fn check_sizes(parts: &[&PartRecord]) -> Result<()> {
    let Some((_, all_but_last)) = parts.split_last() else { return Ok(()) };
    match all_but_last.iter().find(|part| part.size < MIN_PART_BYTES) {
        None => Ok(()),
        Some(part) => Err(Refusal::from(Code::EntityTooSmall)
            .with("ProposedSize", part.size.to_string())
            .with("MinSizeAllowed", MIN_PART_BYTES.to_string())
            .with("PartNumber", part.number.to_string())
            .with("ETag", ETag { md5: part.md5, parts: None }.to_string())),
    }
}

/// Where a part lies in its object. Unlike an extent of a range it may be empty: the last part may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlace {
    /// Its first byte.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// The part that GET or HEAD asks for with `partNumber`, from the numbers and sizes of all of the object's parts, in
/// order. An object that was not uploaded in parts is its own part 1.
///
/// # Errors
/// `InvalidPartNumber` if there is no such part.
pub fn place_of_part(parts: impl IntoIterator<Item = (u16, u64)>, asked: u16) -> Result<PartPlace> {
    let (mut start, mut count) = (0, 0_u32);
    let mut found = None;
    for (number, size) in parts {
        if number == asked {
            found = Some(PartPlace { start, size });
        }
        start += size;
        count += 1;
    }
    found.ok_or_else(|| {
        Refusal::from(Code::InvalidPartNumber)
            .with("ActualPartCount", count.to_string())
            .with("PartNumberRequested", asked.to_string())
    })
}

/// `InvalidRequest`: a GET or HEAD names bytes in two ways at once.
#[must_use]
pub fn both_range_and_part_number() -> Refusal {
    Refusal::invalid_request("Cannot specify both Range header and partNumber query parameter")
}

#[cfg(test)]
mod tests;
