//! The bytes of every row's key. Pure; the order of the bytes is the order that scans rely on.
//!
//! An object key is escaped so that rows sort as S3 lists them (UTF-8 byte order) and no key's rows are a prefix of
//! another's: `00` becomes `00 ff`, and `00 00` ends the key. All integers are big endian.

use crate::types::{BucketId, ChunkId, ManifestId, RemoteId, UploadId, VersionId};

const HEAD: u8 = 0x00;
const VERSION: u8 = 0x01;

/// Families `buckets`: the record of the bucket with this name.
#[must_use]
pub fn bucket_by_name(name: &str) -> Vec<u8> {
    [b"n", name.as_bytes()].concat()
}

/// Family `buckets`: the name of the bucket with this id.
#[must_use]
pub fn bucket_name_of(id: BucketId) -> Vec<u8> {
    tagged(b'i', &id.0.to_be_bytes())
}

/// Family `buckets`: one sub-resource of a bucket.
#[must_use]
pub fn bucket_config(id: BucketId, kind: u8) -> Vec<u8> {
    let mut row = tagged(b'c', &id.0.to_be_bytes());
    row.push(kind);
    row
}

/// Family `buckets`: the prefix of all sub-resources of a bucket.
#[must_use]
pub fn bucket_configs(id: BucketId) -> Vec<u8> {
    tagged(b'c', &id.0.to_be_bytes())
}

/// Families `current`, `versions`, `inline`: the prefix of all rows of a bucket.
#[must_use]
pub fn bucket(id: BucketId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

/// Family `current`: the row of a key; in `versions` and `inline` the prefix of the key's rows.
#[must_use]
pub fn object(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut row = object_prefix(bucket, key);
    row.extend_from_slice(&[0, 0]);
    row
}

/// The prefix of all keys that start with `prefix`.
#[must_use]
pub fn object_prefix(bucket: BucketId, prefix: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(8 + prefix.len() + 12);
    row.extend_from_slice(&bucket.0.to_be_bytes());
    escape(prefix.as_bytes(), &mut row);
    row
}

/// Family `versions`: the head of a key.
#[must_use]
pub fn head(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut row = object(bucket, key);
    row.push(HEAD);
    row
}

/// Family `versions`: a noncurrent version or delete marker; newest first.
#[must_use]
pub fn version(bucket: BucketId, key: &str, order: u64) -> Vec<u8> {
    let mut row = versions(bucket, key);
    row.extend_from_slice(&(!order).to_be_bytes());
    row
}

/// Family `versions`: the prefix of a key's versions, its head left out.
#[must_use]
pub fn versions(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut row = object(bucket, key);
    row.push(VERSION);
    row
}

/// Family `inline`: the data of a small version.
#[must_use]
pub fn inline(bucket: BucketId, key: &str, order: u64) -> Vec<u8> {
    let mut row = object(bucket, key);
    row.extend_from_slice(&order.to_be_bytes());
    row
}

/// What a row of `current` or `versions` is.
#[derive(Debug, PartialEq, Eq)]
pub enum ObjectRow {
    /// The current version.
    Current,
    /// The key's head.
    Head,
    /// A noncurrent version or delete marker with this order.
    Version(u64),
}

/// Takes a row key of `current` or `versions` apart: the object key and what the row is. `None` if it is not one.
#[must_use]
pub fn parse_object(row: &[u8]) -> Option<(String, ObjectRow)> {
    let (key, rest) = unescape(row.get(8..)?)?;
    let key = String::from_utf8(key).ok()?;
    let kind = match rest {
        [] => ObjectRow::Current,
        [HEAD] => ObjectRow::Head,
        [VERSION, order @ ..] => ObjectRow::Version(!u64::from_be_bytes(order.try_into().ok()?)),
        _ => return None,
    };
    Some((key, kind))
}

/// Family `uploads`: an open multipart upload, by key and then by time.
#[must_use]
pub fn upload(bucket: BucketId, key: &str, id: UploadId) -> Vec<u8> {
    let mut row = vec![b'u'];
    row.extend_from_slice(&object(bucket, key));
    row.extend_from_slice(&id.to_bytes());
    row
}

/// Family `uploads`: the prefix of the uploads of keys that start with `prefix`.
#[must_use]
pub fn uploads(bucket: BucketId, prefix: &str) -> Vec<u8> {
    tagged(b'u', &object_prefix(bucket, prefix))
}

/// Takes the row key of an open upload apart.
#[must_use]
pub fn parse_upload(row: &[u8]) -> Option<(String, UploadId)> {
    let (key, rest) = unescape(row.get(9..)?)?;
    let id = VersionId::from_bytes(rest.try_into().ok()?);
    Some((String::from_utf8(key).ok()?, id))
}

/// Family `uploads`: one part.
#[must_use]
pub fn part(upload: UploadId, number: u16) -> Vec<u8> {
    let mut row = parts(upload);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// Family `uploads`: the prefix of an upload's parts.
#[must_use]
pub fn parts(upload: UploadId) -> Vec<u8> {
    tagged(b'p', &upload.to_bytes())
}

/// Family `uploads`: what a completed upload became, for a completion that is repeated.
#[must_use]
pub fn completed_upload(upload: UploadId) -> Vec<u8> {
    tagged(b'd', &upload.to_bytes())
}

/// Family `uploads`: the prefix of all completed uploads, oldest first.
#[must_use]
pub fn completed_uploads() -> Vec<u8> {
    vec![b'd']
}

/// Family `uploads`: a rename that a client named by a token, of which `token` is the digest.
#[must_use]
pub fn rename(bucket: BucketId, token: &[u8; 32]) -> Vec<u8> {
    let mut row = tagged(b'r', &bucket.0.to_be_bytes());
    row.extend_from_slice(token);
    row
}

/// Family `uploads`: the prefix of all such renames.
#[must_use]
pub fn renames() -> Vec<u8> {
    vec![b'r']
}

/// Family `manifests`: the root; also the prefix of all rows of the manifest.
#[must_use]
pub fn manifest(id: ManifestId) -> Vec<u8> {
    id.0.to_vec()
}

/// Family `manifests`: one page.
#[must_use]
pub fn manifest_page(id: ManifestId, page: u32) -> Vec<u8> {
    let mut row = id.0.to_vec();
    row.extend_from_slice(&page.to_be_bytes());
    row
}

/// Family `chunks`: a chunk's place.
#[must_use]
pub fn chunk(id: ChunkId) -> Vec<u8> {
    id.0.to_vec()
}

/// What can be referred to, and be collected when nothing refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Child {
    /// A chunk.
    Chunk(ChunkId),
    /// A manifest, of chunks or of parts.
    Manifest(ManifestId),
    /// Data that a tier holds.
    Remote(RemoteId),
}

/// What refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// A version of an object.
    Version(VersionId),
    /// A manifest.
    Manifest(ManifestId),
    /// A part of an open upload.
    Part {
        /// The upload.
        upload: UploadId,
        /// The part number.
        number: u16,
    },
}

impl Child {
    fn bytes(self) -> [u8; 33] {
        let (tag, id) = match self {
            Self::Chunk(id) => (b'c', id.0),
            Self::Manifest(id) => (b'm', id.0),
            Self::Remote(id) => (b'r', id.0),
        };
        let mut bytes = [tag; 33];
        bytes[1..].copy_from_slice(&id);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (tag, id) = bytes.split_first()?;
        let id: [u8; 32] = id.try_into().ok()?;
        match tag {
            b'c' => Some(Self::Chunk(ChunkId(id))),
            b'm' => Some(Self::Manifest(ManifestId(id))),
            b'r' => Some(Self::Remote(RemoteId(id))),
            _ => None,
        }
    }
}

/// Family `refs`: the prefix of all references to a child.
#[must_use]
pub fn refs(child: Child) -> Vec<u8> {
    child.bytes().to_vec()
}

/// Family `refs`: one reference.
#[must_use]
pub fn reference(child: Child, parent: Parent) -> Vec<u8> {
    let mut row = refs(child);
    match parent {
        Parent::Version(id) => {
            row.push(b'v');
            row.extend_from_slice(&id.to_bytes());
        }
        Parent::Manifest(id) => {
            row.push(b'm');
            row.extend_from_slice(&id.0);
        }
        Parent::Part { upload, number } => {
            row.push(b'p');
            row.extend_from_slice(&upload.to_bytes());
            row.extend_from_slice(&number.to_be_bytes());
        }
    }
    row
}

/// Who refers, of a row of [`reference`].
#[must_use]
pub fn parse_reference(row: &[u8]) -> Option<Parent> {
    let (tag, id) = row.get(33..)?.split_first()?;
    match tag {
        b'v' => Some(Parent::Version(VersionId::from_bytes(id.try_into().ok()?))),
        b'm' => Some(Parent::Manifest(ManifestId(id.try_into().ok()?))),
        b'p' => {
            let (upload, number) = id.split_first_chunk::<16>()?;
            let number = u16::from_be_bytes(number.try_into().ok()?);
            Some(Parent::Part { upload: VersionId::from_bytes(*upload), number })
        }
        _ => None,
    }
}

/// What the garbage collector is asked to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// A chunk or manifest that may have lost its last reference.
    Child(Child),
    /// An upload that was completed or aborted: its parts are to be removed.
    Upload(UploadId),
    /// A bucket that was deleted: its uploads are to be removed.
    Bucket(BucketId),
}

/// Family `candidates`: one row for each.
#[must_use]
pub fn candidate(candidate: Candidate) -> Vec<u8> {
    match candidate {
        Candidate::Child(child) => child.bytes().to_vec(),
        Candidate::Upload(id) => tagged(b'u', &id.to_bytes()),
        Candidate::Bucket(id) => tagged(b'b', &id.0.to_be_bytes()),
    }
}

/// The inverse of [`candidate`].
#[must_use]
pub fn parse_candidate(row: &[u8]) -> Option<Candidate> {
    match row.split_first()? {
        (b'u', id) => Some(Candidate::Upload(VersionId::from_bytes(id.try_into().ok()?))),
        (b'b', id) => Some(Candidate::Bucket(BucketId(u64::from_be_bytes(id.try_into().ok()?)))),
        _ => Child::parse(row).map(Candidate::Child),
    }
}

/// A figure of a bucket's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Usage {
    /// Live current objects.
    Objects = 1,
    /// Bytes of all versions.
    Bytes = 2,
    /// Versions, current ones included, delete markers not.
    Versions = 3,
    /// Delete markers.
    DeleteMarkers = 4,
}

/// Family `counters`: a bucket's usage.
#[must_use]
pub fn usage(bucket: BucketId, figure: Usage) -> Vec<u8> {
    let mut row = tagged(b'u', &bucket.0.to_be_bytes());
    row.push(figure as u8);
    row
}

/// Family `counters`: the live bytes of a segment.
#[must_use]
pub fn segment(drive: u16, segment: u32) -> Vec<u8> {
    let mut row = tagged(b's', &drive.to_be_bytes());
    row.extend_from_slice(&segment.to_be_bytes());
    row
}

/// Family `counters`: the prefix of all segments' rows.
#[must_use]
pub fn segments() -> Vec<u8> {
    vec![b's']
}

/// The inverse of [`segment`]: drive and segment.
#[must_use]
pub fn parse_segment(row: &[u8]) -> Option<(u16, u32)> {
    let drive = row.get(1..3)?.try_into().ok()?;
    let segment = row.get(3..)?.try_into().ok()?;
    Some((u16::from_be_bytes(drive), u32::from_be_bytes(segment)))
}

/// Family `counters`: how often parts were written to an upload. A completion relies on it: parts written since it
/// read them make it start over, while uploads of different parts never wait for each other.
#[must_use]
pub fn upload_writes(upload: UploadId) -> Vec<u8> {
    tagged(b'w', &upload.to_bytes())
}

/// Family `system`: the last bucket id given out.
#[must_use]
pub fn last_bucket_id() -> Vec<u8> {
    b"last-bucket-id".to_vec()
}

/// Family `system`: the latest time that a commit has seen.
#[must_use]
pub fn latest_time() -> Vec<u8> {
    b"latest-time".to_vec()
}

/// Family `outbox`: the prefix under which events are appended; the row of this key holds the last position.
#[must_use]
pub fn events() -> Vec<u8> {
    vec![b'e']
}

/// Family `outbox`: the event at this position.
#[must_use]
pub fn event(position: u64) -> Vec<u8> {
    tagged(b'e', &position.to_be_bytes())
}

/// Family `outbox`: the prefix under which a target's dead letters are appended; the row of this key holds the last
/// number.
#[must_use]
pub fn dead_letters(target: &str) -> Vec<u8> {
    let mut row = vec![b'd'];
    escape(target.as_bytes(), &mut row);
    row.extend_from_slice(&[0, 0]);
    row
}

/// Family `outbox`: a target's dead letter.
#[must_use]
pub fn dead_letter(target: &str, number: u64) -> Vec<u8> {
    let mut row = dead_letters(target);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// Family `outbox`: the prefix under which lines of access logs are appended; the row of this key holds the last position.
#[must_use]
pub fn access_logs() -> Vec<u8> {
    vec![b'l']
}

/// Family `outbox`: the lines of access logs at this position.
#[must_use]
pub fn access_log(position: u64) -> Vec<u8> {
    tagged(b'l', &position.to_be_bytes())
}

/// The position or number at the end of an appended row's key.
#[must_use]
pub fn parse_position(row: &[u8]) -> Option<u64> {
    row.last_chunk().map(|position| u64::from_be_bytes(*position))
}

/// Family `counters`: bytes of the events in the outbox.
#[must_use]
pub fn outbox_bytes() -> Vec<u8> {
    vec![b'o']
}

/// Family `counters`: how many dead letters a target has.
#[must_use]
pub fn dead_letter_count(target: &str) -> Vec<u8> {
    tagged(b'd', target.as_bytes())
}

/// Family `system`: the position up to which the outbox was trimmed.
#[must_use]
pub fn outbox_trimmed() -> Vec<u8> {
    b"outbox-trimmed".to_vec()
}

/// Family `system`: the position up to which whoever has this name is done with the outbox.
#[must_use]
pub fn cursor(name: &str) -> Vec<u8> {
    [b"cursor/", name.as_bytes()].concat()
}

/// Family `system`: what the worker of this name noted for its next start.
#[must_use]
pub fn worker_note(name: &str) -> Vec<u8> {
    [b"worker/", name.as_bytes()].concat()
}

/// Family `tiers`: data that a tier holds.
#[must_use]
pub fn remote(id: RemoteId) -> Vec<u8> {
    tagged(b'r', &id.0)
}

/// Family `tiers`: an upload to a tier that is under way, by the name that its objects have there.
#[must_use]
pub fn remote_intent(name: &str) -> Vec<u8> {
    tagged(b'i', name.as_bytes())
}

/// Family `tiers`: the prefix of all uploads that are under way.
#[must_use]
pub fn remote_intents() -> Vec<u8> {
    vec![b'i']
}

/// Family `tiers`: objects that a tier holds and nothing refers to.
#[must_use]
pub fn remote_release(tier: &str, name: &str) -> Vec<u8> {
    let mut row = remote_releases(tier);
    row.extend_from_slice(name.as_bytes());
    row
}

/// Family `tiers`: the prefix of a tier's such objects.
#[must_use]
pub fn remote_releases(tier: &str) -> Vec<u8> {
    lane(b'x', tier)
}

/// Family `tiers`: the prefix of the tasks of a lane: those of one kind for one tier, or for one time.
#[must_use]
pub fn tasks(kind: u8, name: &str) -> Vec<u8> {
    let mut row = tagged(b't', &[kind]);
    escape(name.as_bytes(), &mut row);
    row.extend_from_slice(&[0, 0]);
    row
}

/// Family `tiers`: something to be done about a version.
#[must_use]
pub fn task(kind: u8, name: &str, bucket: BucketId, key: &str, order: u64) -> Vec<u8> {
    let mut row = tasks(kind, name);
    row.extend_from_slice(&object(bucket, key));
    row.extend_from_slice(&order.to_be_bytes());
    row
}

/// What the row key of a task names: its lane, and a version.
#[must_use]
pub fn parse_task(row: &[u8]) -> Option<(String, BucketId, String, u64)> {
    let (name, rest) = unescape(row.get(2..)?)?;
    let (bucket, rest) = rest.split_first_chunk()?;
    let (key, order) = unescape(rest)?;
    let text = |bytes| String::from_utf8(bytes).ok();
    let order = u64::from_be_bytes(order.try_into().ok()?);
    Some((text(name)?, BucketId(u64::from_be_bytes(*bucket)), text(key)?, order))
}

fn lane(tag: u8, name: &str) -> Vec<u8> {
    let mut row = vec![tag];
    escape(name.as_bytes(), &mut row);
    row.extend_from_slice(&[0, 0]);
    row
}

/// Family `system`: the prefix of all chunks that scrubbing found damaged.
#[must_use]
pub fn damages() -> Vec<u8> {
    b"damage/".to_vec()
}

/// Family `system`: a chunk that scrubbing found damaged.
#[must_use]
pub fn damage(chunk: ChunkId) -> Vec<u8> {
    [damages().as_slice(), &chunk.0].concat()
}

/// The inverse of [`damage`].
#[must_use]
pub fn parse_damage(row: &[u8]) -> Option<ChunkId> {
    row.strip_prefix(b"damage/")?.try_into().ok().map(ChunkId)
}

/// Family `identities`: a row of this kind, named by these parts. Each part is escaped and ended as an object key is.
#[must_use]
pub fn identity(kind: u8, parts: &[&str]) -> Vec<u8> {
    let mut row = vec![kind];
    for part in parts {
        escape(part.as_bytes(), &mut row);
        row.extend_from_slice(&[0, 0]);
    }
    row
}

/// Family `identities`: the prefix of all rows of this kind that have these parts first and a next one that starts
/// with `next`.
#[must_use]
pub fn identity_prefix(kind: u8, parts: &[&str], next: &str) -> Vec<u8> {
    let mut row = identity(kind, parts);
    escape(next.as_bytes(), &mut row);
    row
}

/// The parts of a row key of `identities`. `None` if it is not one.
#[must_use]
pub fn parse_identity(row: &[u8]) -> Option<Vec<String>> {
    let mut rest = row.get(1..)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, tail) = unescape(rest)?;
        parts.push(String::from_utf8(part).ok()?);
        rest = tail;
    }
    Some(parts)
}

/// The first key after all keys that start with `prefix`; `None` if there is none.
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + rest.len());
    row.push(tag);
    row.extend_from_slice(rest);
    row
}

fn escape(key: &[u8], row: &mut Vec<u8>) {
    for &byte in key {
        row.push(byte);
        if byte == 0 {
            row.push(0xff);
        }
    }
}

fn unescape(row: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut key = Vec::with_capacity(row.len());
    let mut rest = row;
    loop {
        match rest {
            [0, 0, tail @ ..] => return Some((key, tail)),
            [0, 0xff, tail @ ..] => {
                key.push(0);
                rest = tail;
            }
            [0, ..] | [] => return None,
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests;
