//! The words of the store: identities, times and places. Plain values without behaviour beyond parsing and printing.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A bucket's number. Names can be reused after a deletion, numbers never are: rows of a deleted bucket can thus be
/// collected later without touching a new bucket of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BucketId(pub u64);

/// BLAKE3 of a chunk's bytes as they were given to the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// The id of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(*blake3::hash(data).as_bytes())
    }
}

/// BLAKE3 over a manifest's entries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ManifestId(pub [u8; 32]);

/// Names data that a storage tier holds: BLAKE3 over the tier's name and where the bytes were before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemoteId(pub [u8; 32]);

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hex_display {
    ($type:ty, $name:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($name, "("))?;
                write_hex(&self.0[..6], f)?;
                write!(f, "…)")
            }
        }
    };
}
hex_display!(ChunkId, "Chunk");
hex_display!(ManifestId, "Manifest");
hex_display!(RemoteId, "Remote");

/// Identifies one version of one key, or one multipart upload. `order` grows with the commit order of a key, so the
/// newest version of a key is the one with the greatest order; `salt` makes the id unguessable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionId {
    /// Nanoseconds since 1970, raised where needed so that it grows strictly within this process and per key.
    pub order: u64,
    /// Random.
    pub salt: u64,
}

impl VersionId {
    /// Sixteen bytes, ordered as the id is.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.order.to_be_bytes());
        bytes[8..].copy_from_slice(&self.salt.to_be_bytes());
        bytes
    }

    /// The inverse of [`VersionId::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a u128")]
        Self { order: (whole >> 64) as u64, salt: whole as u64 }
    }

    /// Parses what [`fmt::Display`] prints; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|whole| Self::from_bytes(whole.to_be_bytes()))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.to_bytes(), f)
    }
}

/// A multipart upload's id: made and printed like a version's.
pub type UploadId = VersionId;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock, now.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Makes [`VersionId`]s whose order grows strictly, whatever the wall clock does.
#[derive(Debug, Default)]
pub struct VersionClock {
    last: AtomicU64,
}

impl VersionClock {
    /// An id newer than every id that this clock made and than `after` (the newest known order of the key).
    pub fn next(&self, after: u64) -> VersionId {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let wall = u64::try_from(wall).unwrap_or(u64::MAX - 1);
        let mut order = 0;
        let advance = |last: u64| {
            order = wall.max(last.saturating_add(1)).max(after.saturating_add(1));
            Some(order)
        };
        let _ = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        let salt = getrandom::u64().unwrap_or(order.rotate_left(32));
        VersionId { order, salt }
    }
}

/// Where a chunk's frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The data directory's number in this store.
    pub drive: u16,
    /// The segment's number on the drive.
    pub segment: u32,
    /// The segment's use: raised each time it is recycled.
    pub epoch: u32,
    /// The frame's first byte in the segment file.
    pub offset: u32,
    /// The frame's whole length in the file, header, block checksums and padding included: the bytes that the chunk occupies.
    pub occupied: u32,
    /// The chunk's length.
    pub length: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ids_print_and_parse() {
        let id = VersionId { order: 0x0123_4567_89ab_cdef, salt: 7 };
        assert_eq!(id.to_string(), "0123456789abcdef0000000000000007");
        assert_eq!(VersionId::parse(&id.to_string()), Some(id));
        for bad in ["", "null", "0123456789ABCDEF0000000000000007", "+123456789abcdef0000000000000007"] {
            assert_eq!(VersionId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_clock_grows_past_what_a_key_has_seen() {
        let clock = VersionClock::default();
        let first = clock.next(u64::MAX / 2);
        let second = clock.next(0);
        assert!(first.order > u64::MAX / 2 && second.order > first.order);
    }
}
