//! A chunk store in memory: for tests of the layers above, and for trying things out. Nothing survives it.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::chunks::body::Body;
use crate::chunks::frame::{FrameLayout, MAX_CHUNK_BYTES};
use crate::chunks::{ChunkFuture, ChunkStore, Written};
use crate::error::{Corruption, Result, StoreError};
use crate::types::{ChunkId, Place};

/// Chunks in memory. Each has a "segment" of its own, so its space is free as soon as it is dead.
pub struct MemoryChunks {
    shared: Arc<Shared>,
}

struct Shared {
    capacity: u64,
    chunks: Mutex<Chunks>,
}

#[derive(Default)]
struct Chunks {
    by_number: HashMap<u32, Chunk>,
    last_number: u32,
    used_bytes: u64,
}

struct Chunk {
    id: ChunkId,
    data: Bytes,
    live_bytes: i64,
    occupied: u32,
    is_held: bool,
}

/// Where all places of this store are.
const EPOCH: u32 = 1;

impl Default for MemoryChunks {
    fn default() -> Self {
        Self::with_capacity(u64::MAX)
    }
}

impl MemoryChunks {
    /// A store without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that is full when the frames would take more than `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: u64) -> Self {
        Self { shared: Arc::new(Shared { capacity: bytes, chunks: Mutex::default() }) }
    }
}

struct Hold {
    shared: Arc<Shared>,
    number: u32,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.change(self.number, |chunk| chunk.is_held = false);
    }
}

impl Shared {
    /// Changes a chunk, and forgets it when nothing keeps it any longer.
    fn change(&self, number: u32, change: impl FnOnce(&mut Chunk)) {
        let mut chunks = self.chunks.lock();
        let Some(chunk) = chunks.by_number.get_mut(&number) else { return };
        change(chunk);
        if chunk.live_bytes == 0 && !chunk.is_held {
            chunks.used_bytes -= u64::from(chunk.occupied);
            chunks.by_number.remove(&number);
        }
    }

    fn write(self: &Arc<Self>, id: ChunkId, data: Bytes) -> Result<Written> {
        let invalid = |message: String| StoreError::Io(io::Error::new(io::ErrorKind::InvalidInput, message));
        let layout = FrameLayout::of(data.len())
            .ok_or_else(|| invalid(format!("a chunk of {} bytes: must have 1 to {MAX_CHUNK_BYTES}", data.len())))?;
        let (Ok(occupied), Ok(length)) = (u32::try_from(layout.occupied()), u32::try_from(data.len())) else {
            return Err(invalid("a chunk beyond 4 GiB".to_owned()));
        };
        let mut chunks = self.chunks.lock();
        if chunks.used_bytes.saturating_add(u64::from(occupied)) > self.capacity {
            return Err(StoreError::Full(format!("{} of {} bytes used", chunks.used_bytes, self.capacity)));
        }
        let number = chunks.last_number.checked_add(1).ok_or_else(|| StoreError::Full("no numbers left".to_owned()))?;
        chunks.last_number = number;
        chunks.used_bytes += u64::from(occupied);
        chunks.by_number.insert(number, Chunk { id, data, live_bytes: 0, occupied, is_held: true });
        let place = Place { drive: 0, segment: number, epoch: EPOCH, offset: 0, occupied, length };
        Ok(Written { place, hold: Arc::new(Hold { shared: Arc::clone(self), number }) })
    }

    fn read(&self, id: ChunkId, place: Place, range: &Range<u32>) -> Result<Bytes> {
        if range.start > range.end || range.end > place.length {
            return Err(StoreError::Io(io::ErrorKind::InvalidInput.into()));
        }
        let chunks = self.chunks.lock();
        let chunk = chunks.by_number.get(&place.segment).ok_or(StoreError::Conflict)?;
        let wanted = chunk.data.get(range.start as usize..range.end as usize);
        match wanted {
            Some(wanted) if chunk.id == id => Ok(chunk.data.slice_ref(wanted)),
            _ => Err(Corruption::Chunk { id, place, what: "another chunk is there" }.into()),
        }
    }
}

impl ChunkStore for MemoryChunks {
    fn write(&self, id: ChunkId, data: Bytes) -> ChunkFuture<Written> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.write(id, data) })
    }

    /// Memory holds chunks as they were.
    fn write_body(&self, id: ChunkId, body: Body) -> ChunkFuture<Written> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let chunk = body.chunk().map_err(|damage| StoreError::Io(io::Error::other(damage.what())))?;
            shared.write(id, chunk)
        })
    }

    fn read(&self, id: ChunkId, place: Place, range: Range<u32>) -> ChunkFuture<Bytes> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.read(id, place, &range) })
    }

    fn read_resident(&self, id: ChunkId, place: &Place, range: &Range<u32>) -> Option<Bytes> {
        self.shared.read(id, *place, range).ok()
    }

    fn note_live(&self, place: &Place) {
        self.shared.change(place.segment, |chunk| chunk.live_bytes += i64::from(place.occupied));
    }

    fn note_dead(&self, place: &Place) {
        self.shared.change(place.segment, |chunk| chunk.live_bytes -= i64::from(place.occupied));
    }

    fn admit(&self) -> Result<()> {
        let used = self.shared.chunks.lock().used_bytes;
        if used >= self.shared.capacity {
            return Err(StoreError::Full(format!("{used} of {} bytes used", self.shared.capacity)));
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let chunks = self.shared.chunks.lock();
        vec![
            ("chunks_frames", "Chunks in memory", chunks.by_number.len() as f64),
            ("chunks_live_bytes", "Bytes of their frames", chunks.used_bytes as f64),
        ]
    }
}
