//! Bytes on their way in: cut into chunks, hashed, looked up, written, several at a time within a bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::staged::PlacedChunk;
use super::{BUFFER_UNIT, INLINE_BYTES, Staged, Store};
use crate::chunking::{Chunking, Cutter};
use crate::chunks::Written;
use crate::chunks::body::Body;
use crate::compress::Codec;
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Child};
use crate::kv::Family;
use crate::types::ChunkId;

/// Chunks of one upload that are hashed or written while the next is received.
const IN_FLIGHT: usize = 3;
/// Chunks up to this length are hashed where they are: a thread's wake-up would cost more.
const HASH_IN_PLACE_BYTES: usize = 16 << 10;

/// Receives the bytes of an object or part.
pub struct DataWriter {
    store: Arc<Store>,
    /// Bytes of the chunk that is being received, and its share of the buffer memory.
    buffer: BytesMut,
    room: Option<OwnedSemaphorePermit>,
    expected: Option<u64>,
    inline: Inline,
    codec: Codec,
    /// Where chunks end that do not all have one length.
    cutter: Option<Cutter>,
    in_flight: VecDeque<JoinHandle<Result<PlacedChunk>>>,
    placed: Vec<PlacedChunk>,
    received: u64,
}

/// Whether small data may lie beside its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inline {
    Allowed,
    Never,
}

impl Store {
    /// Receives the data of an object. `expected` is its length, where it is known: it only saves memory.
    #[must_use]
    pub fn object_writer(self: &Arc<Self>, expected: Option<u64>) -> DataWriter {
        self.writer(expected, Inline::Allowed)
    }

    /// Receives the data of a part of an upload.
    #[must_use]
    pub fn part_writer(self: &Arc<Self>, expected: Option<u64>) -> DataWriter {
        self.writer(expected, Inline::Never)
    }

    fn writer(self: &Arc<Self>, expected: Option<u64>, inline: Inline) -> DataWriter {
        let writer = DataWriter {
            store: Arc::clone(self),
            buffer: BytesMut::new(),
            room: None,
            expected,
            inline,
            codec: self.limits.compression,
            cutter: None,
            in_flight: VecDeque::new(),
            placed: Vec::new(),
            received: 0,
        };
        writer.cutting(self.limits.chunking)
    }

    /// Pins the chunk, and writes it unless the index knows it.
    pub(crate) async fn place_chunk(
        self: Arc<Self>,
        data: Bytes,
        codec: Codec,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<PlacedChunk> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let id = if data.len() <= HASH_IN_PLACE_BYTES {
            ChunkId::of(&data)
        } else {
            let data = data.clone();
            self.hashes.run(move || ChunkId::of(&data)).await
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let pin = self.pins.pin(Child::Chunk(id)).await;
        let known = self.get(Family::Chunks, keys::chunk(id)).await?.is_some();
        let written = if known { None } else { Some(self.write_chunk(id, data, codec).await?) };
        drop(room);
        Ok(PlacedChunk { id, length, pin, written })
    }
}

impl Store {
    /// A chunk is compressed, and its block checksums are computed, before it is queued: off the async workers where that
    /// takes long.
    async fn write_chunk(&self, id: ChunkId, data: Bytes, codec: Codec) -> Result<Written> {
        let body = if data.len() <= HASH_IN_PLACE_BYTES {
            Body::of(data, codec)
        } else {
            self.hashes.run(move || Body::of(data, codec)).await
        };
        self.chunks.write_body(id, body?).await
    }
}

impl DataWriter {
    /// Compresses chunks with this codec, where that pays, instead of the store's own.
    #[must_use]
    pub fn compressing(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Cuts what is written into chunks in this way, instead of the store's own. To be said before anything is written.
    #[must_use]
    pub fn cutting(mut self, chunking: Chunking) -> Self {
        self.cutter = match chunking {
            Chunking::Fixed => None,
            Chunking::FastCdc => Some(Cutter::new(self.store.limits.chunk_bytes)),
        };
        self
    }

    /// Takes the next bytes; waits while there is no room for them.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        let chunk_bytes = self.store.limits.chunk_bytes as usize;
        let (mut ends, mut at) = (self.ends_in(&data).await, 0);
        self.received += data.len() as u64;
        while !data.is_empty() {
            if self.buffer.is_empty() {
                self.make_room(data.len()).await?;
            }
            let end = ends.front().map_or(data.len(), |end| end - at);
            let taken = end.min(data.len()).min(chunk_bytes - self.buffer.len());
            self.buffer.extend_from_slice(&data[..taken]);
            data.advance(taken);
            at += taken;
            let is_end = ends.pop_front_if(|end| *end == at).is_some();
            if is_end || self.buffer.len() == chunk_bytes {
                self.send_chunk().await?;
            }
        }
        Ok(())
    }

    /// Where in these bytes chunks end because of what they are: off the async workers where looking takes long.
    async fn ends_in(&mut self, data: &Bytes) -> VecDeque<usize> {
        let Some(mut cutter) = self.cutter.take() else { return VecDeque::new() };
        let ends;
        if data.len() <= HASH_IN_PLACE_BYTES {
            ends = cutter.ends_in(data);
            self.cutter = Some(cutter);
        } else {
            let data = data.clone();
            let look = move || (cutter.ends_in(&data), cutter);
            let (found, cutter) = self.store.hashes.run(look).await;
            (ends, self.cutter) = (found, Some(cutter));
        }
        ends.into()
    }

    /// Takes a share of the buffer memory for one chunk. Taken before the chunk is received and given back when it is
    /// written, so uploads wait for each other's disk writes but never for each other's bytes in a circle.
    async fn make_room(&mut self, at_hand: usize) -> Result<()> {
        let chunk_bytes = self.store.limits.chunk_bytes as usize;
        let so_far = self.received - at_hand as u64;
        let rest = self
            .expected
            .map_or(chunk_bytes, |expected| usize::try_from(expected.saturating_sub(so_far)).unwrap_or(chunk_bytes));
        let wanted = rest.max(at_hand).min(chunk_bytes);
        if wanted > INLINE_BYTES {
            let units = u32::try_from(wanted.div_ceil(BUFFER_UNIT)).unwrap_or(u32::MAX);
            let permit = Arc::clone(&self.store.buffers).acquire_many_owned(units).await;
            self.room = Some(permit.map_err(|_| StoreError::Closed)?);
        }
        self.buffer = BytesMut::with_capacity(wanted);
        Ok(())
    }

    async fn send_chunk(&mut self) -> Result<()> {
        if self.in_flight.len() >= IN_FLIGHT {
            self.take_oldest().await?;
        }
        let data = std::mem::take(&mut self.buffer).freeze();
        let placing = Arc::clone(&self.store).place_chunk(data, self.codec, self.room.take());
        self.in_flight.push_back(tokio::spawn(placing));
        Ok(())
    }

    async fn take_oldest(&mut self) -> Result<()> {
        if let Some(oldest) = self.in_flight.pop_front() {
            self.placed.push(oldest.await.map_err(|_| StoreError::Closed)??);
        }
        Ok(())
    }

    /// All bytes are in: waits until they are durable.
    pub async fn finish(mut self) -> Result<Staged> {
        let small = self.placed.is_empty() && self.in_flight.is_empty() && self.buffer.len() <= INLINE_BYTES;
        if self.received == 0 || (small && self.inline == Inline::Allowed) {
            return Ok(Staged::inline(self.buffer.freeze()));
        }
        if !self.buffer.is_empty() {
            self.send_chunk().await?;
        }
        while !self.in_flight.is_empty() {
            self.take_oldest().await?;
        }
        let store = Arc::clone(&self.store);
        let chunk_bytes = if self.cutter.is_some() { 0 } else { store.limits.chunk_bytes };
        store.stage_chunks(self.placed, chunk_bytes).await
    }
}
