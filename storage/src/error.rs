//! What can go wrong in the store. The caller turns these into its protocol's words.

use std::io;

use crate::types::{ChunkId, ManifestId, Place};

/// The store's result.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row that the commit relied on has changed: read again and decide anew.
    #[error("another write changed what this one relied on")]
    Conflict,
    /// Retried as often as the limit allows, and lost each race.
    #[error("gave up after {0} conflicting writes to the same key")]
    Contention(u32),
    /// The disk is full, or below the reserve that keeps deletions possible. Reads and deletions go on.
    #[error("no space left for new data: delete objects or add storage ({0})")]
    Full(String),
    /// Bytes at rest are not what was written. They are never served.
    #[error("damaged data: {0}")]
    Corrupt(Corruption),
    /// The disk or the index failed.
    #[error("storage failure: {0}")]
    Io(#[from] io::Error),
    /// The metadata engine failed.
    #[error("metadata index: {0}")]
    Index(String),
    /// The data directory cannot be opened: locked by another server, a newer format, a drive that is missing or not ours.
    #[error("{0}")]
    Open(String),
    /// A storage tier does not answer, or not with what it was given.
    #[error("storage tier {tier}: {reason}")]
    Tier {
        /// Its name.
        tier: String,
        /// What went wrong.
        reason: String,
    },
    /// The store is closing.
    #[error("the store is shutting down")]
    Closed,
}

/// What is damaged, and where.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Corruption {
    /// A frame's bytes do not match their checksums, or are not the frame that the index expects.
    #[error("chunk {id} at drive {} segment {} offset {}: {what}", place.drive, place.segment, place.offset)]
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// Where it should be.
        place: Place,
        /// What does not match.
        what: &'static str,
    },
    /// The index names a chunk that it has no place for.
    #[error("chunk {0} is referenced but has no place")]
    MissingChunk(ChunkId),
    /// The index names a manifest whose pages are not there or do not decode.
    #[error("manifest {0} is referenced but missing or unreadable")]
    Manifest(ManifestId),
    /// A tier's object does not have the bytes that it was given.
    #[error("object {name} in storage tier {tier}, bytes {start} on: the bytes do not match their checksum")]
    Remote {
        /// The tier's name.
        tier: String,
        /// The object's name there.
        name: String,
        /// The first byte of the block, in the data.
        start: u64,
    },
    /// The index names data in a tier that it knows nothing of.
    #[error("data {0} in a storage tier is referenced but unknown")]
    MissingRemote(crate::types::RemoteId),
    /// A row of the index does not decode.
    #[error("index row of {family} does not decode: {what}")]
    Row {
        /// The column family.
        family: &'static str,
        /// What does not decode.
        what: String,
    },
}

impl From<Corruption> for StoreError {
    fn from(damage: Corruption) -> Self {
        Self::Corrupt(damage)
    }
}
