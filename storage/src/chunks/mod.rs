//! The chunk store's interface: bytes in, place out; durable before the answer, verified at every read.

pub mod body;
#[cfg(test)]
pub mod contract;
#[cfg(test)]
mod crash_tests;
mod drive;
pub mod frame;
mod gauges;
mod identity;
pub mod local;
#[cfg(test)]
mod local_tests;
pub mod memory;
mod preparer;
mod reader;
mod recover;
pub mod segment;
mod writer;

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunks::body::Body;
use crate::error::Result;
use crate::types::{ChunkId, Place, Timestamp};

/// An asynchronous answer of the chunk store.
pub type ChunkFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A chunk that was written durably, but that no commit names yet. While this value lives its segment is not
/// recycled; drop it after the commit that names the place (and after [`ChunkStore::note_live`]), or after giving up.
#[derive(Clone)]
pub struct Written {
    /// Where the chunk lies.
    pub place: Place,
    /// Keeps the segment from being recycled.
    pub hold: Arc<dyn std::any::Any + Send + Sync>,
}

/// Live bytes of one segment, as the index knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentUse {
    /// The drive's number.
    pub drive: u16,
    /// The segment's number.
    pub segment: u32,
    /// Sum of `occupied` of the chunks that the index places in it. More than zero.
    pub live_bytes: u64,
}

/// A segment that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentState {
    /// The drive's number.
    pub drive: u16,
    /// The segment's number.
    pub segment: u32,
    /// Its use.
    pub epoch: u32,
    /// The file's length in bytes.
    pub size: u32,
    /// Bytes of live frames.
    pub live_bytes: u64,
    /// Whether nothing more is written to it in this use.
    pub is_sealed: bool,
}

impl SegmentState {
    /// Drive, segment and use.
    #[must_use]
    pub fn key(&self) -> (u16, u32, u32) {
        (self.drive, self.segment, self.epoch)
    }
}

/// A drive, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveState {
    /// Its number, counted from 0 in the order of the data directories.
    pub number: u16,
    /// Free bytes of its file system.
    pub free_bytes: u64,
    /// Bytes of its file system.
    pub total_bytes: u64,
    /// Bytes that new chunks can take; none while it is fenced.
    pub room_bytes: u64,
    /// Bytes of live frames.
    pub live_bytes: u64,
    /// Reads that the drive failed.
    pub read_errors: u64,
    /// Why it takes no new data, if it does not.
    pub fence: Option<Fence>,
}

/// Why a drive takes no new data. What lies on it is still read where it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// What failed.
    pub reason: String,
    /// When.
    pub since: Timestamp,
    /// Whether only the next start lifts it: after a failed write or sync nobody knows what is on the drive until its
    /// segments are recovered.
    pub until_restart: bool,
}

/// Where chunks are kept. [`contract`] holds what every implementation must do.
///
/// The store of chunks knows nothing of references: its caller tells it with [`ChunkStore::note_live`] and
/// [`ChunkStore::note_dead`], after the commit, which places are named by the index.
pub trait ChunkStore: Send + Sync + 'static {
    /// Writes a chunk of 1 byte to 8 MiB; resolves once it survives power loss. Dropping the future cancels the
    /// write, or lets it finish and gives its space back.
    /// [`crate::StoreError::Full`] when there is no space; nothing is then kept.
    fn write(&self, id: ChunkId, data: Bytes) -> ChunkFuture<Written>;

    /// As [`ChunkStore::write`], of a chunk that may be compressed. Chunks that are read come back as they were.
    fn write_body(&self, id: ChunkId, body: Body) -> ChunkFuture<Written>;

    /// Reads `range` of the chunk at `place`, verifying every block that it touches.
    /// [`crate::StoreError::Corrupt`] when the bytes are not those that were written;
    /// [`crate::StoreError::Conflict`] when the place is of a former use of its segment: the index has named another
    /// place, or none, since the caller looked. The caller looks again; if it finds the same place, the chunk is lost.
    fn read(&self, id: ChunkId, place: Place, range: Range<u32>) -> ChunkFuture<Bytes>;

    /// As [`ChunkStore::read`] of the whole chunk, from the disk itself whatever memory has of it.
    fn read_stored(&self, id: ChunkId, place: Place) -> ChunkFuture<Bytes> {
        self.read(id, place, 0..place.length)
    }

    /// As [`ChunkStore::read`] of the whole chunk; where it is compressed, with the body that it is stored as.
    fn read_body(&self, id: ChunkId, place: Place) -> ChunkFuture<(Bytes, Option<Body>)> {
        let read = self.read(id, place, 0..place.length);
        Box::pin(async move { Ok((read.await?, None)) })
    }

    /// As [`ChunkStore::read`], if that takes no disk: `None` also when the range is large (over 128 KiB), has moved or
    /// is damaged, all of which [`ChunkStore::read`] finds out.
    fn read_resident(&self, id: ChunkId, place: &Place, range: &Range<u32>) -> Option<Bytes>;

    /// A commit has made the chunk at this place live. Called while the place's [`Written::hold`] is kept, exactly
    /// once per place; only then may the hold be dropped.
    fn note_live(&self, place: &Place);

    /// A commit has removed the chunk at this place; when it was its segment's last, the segment is recycled.
    /// Exactly once per place that was live, also of those that were live when the store was opened. May come before
    /// the place's [`ChunkStore::note_live`] while that write's hold is kept.
    fn note_dead(&self, place: &Place);

    /// The segments that are in use, where chunks share segments.
    fn segments(&self) -> Vec<SegmentState> {
        Vec::new()
    }

    /// What the frames of a segment say that they hold: live chunks, dead ones, and whatever imitates a frame. A frame
    /// whose header is damaged is missing. [`crate::StoreError::Conflict`] when the use has ended.
    fn frames(&self, _segment: SegmentState) -> ChunkFuture<Vec<(ChunkId, Place)>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// The drives, where there are any.
    fn drives(&self) -> Vec<DriveState> {
        Vec::new()
    }

    /// Lets a drive take new data again that failed to read. `false` if there is no such drive, or it is not fenced;
    /// [`crate::StoreError::Open`] if only a restart helps.
    fn unfence(&self, _drive: u16) -> Result<bool> {
        Ok(false)
    }

    /// Whether there is room for new data: an error says why not.
    fn admit(&self) -> Result<()>;

    /// Figures for metrics: name without prefix, help, value.
    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)>;
}
