//! Reads a range of a chunk: only the blocks that it touches, each of them verified.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::chunks::drive::ReadGuard;
use crate::chunks::frame::{self, Damage, FrameLayout};
use crate::disk::buffer::BufferPool;
use crate::disk::{BLOCK, Caching, DiskFile};
use crate::error::{Corruption, Result, StoreError};
use crate::types::{ChunkId, Place};

/// Reads of at least this many bytes bypass the page cache: from a cold disk that is faster, for less CPU.
const DIRECT_BYTES: usize = 128 << 10;
/// Bytes between the checksums and the wanted blocks that are read along rather than in a second read.
const GAP_BYTES: usize = 64 << 10;

/// Reads `range` of the chunk `id`, which the index has at `place`.
///
/// # Errors
/// [`StoreError::Corrupt`] if the bytes are not those that were written, [`StoreError::Io`] if the disk fails.
pub fn read(
    guard: &ReadGuard,
    buffers: &Arc<BufferPool>,
    id: ChunkId,
    place: Place,
    range: &Range<u32>,
) -> Result<Bytes> {
    let wanted = range.start as usize..range.end as usize;
    let attempt = |caching| Reading { guard, buffers, id, place, caching }.read(&wanted);
    let outcome = match attempt(Caching::Buffered) {
        // Was it the page cache's copy? The disk decides.
        Err(Failure::Damage(_)) => attempt(Caching::Direct),
        outcome => outcome,
    };
    outcome.map_err(|failure| match failure {
        Failure::Io(error) => StoreError::Io(error),
        Failure::Damage(damage) => {
            guard.drive().stats.damaged_reads.fetch_add(1, Ordering::Relaxed);
            StoreError::Corrupt(Corruption::Chunk { id, place, what: damage.what() })
        }
    })
}

enum Failure {
    Io(io::Error),
    Damage(Damage),
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

struct Reading<'a> {
    guard: &'a ReadGuard,
    buffers: &'a Arc<BufferPool>,
    id: ChunkId,
    place: Place,
    /// [`Caching::Direct`] for everything, or only where it pays.
    caching: Caching,
}

impl Reading<'_> {
    fn read(&self, wanted: &Range<usize>) -> Result<Bytes, Failure> {
        let layout = FrameLayout::of(self.place.length as usize).ok_or(Damage::Header)?;
        let segment = self.guard.segment();
        let end = self.place.offset as usize + layout.occupied();
        if layout.occupied() != self.place.occupied as usize || end > segment.size as usize {
            return Err(Damage::Header.into());
        }
        let blocks = layout.blocks_of(wanted);
        let body = layout.bytes_of(&blocks);
        let (head, data) = if body.start <= layout.data_start() + GAP_BYTES {
            let both = self.span(&(0..body.end))?;
            (both.slice(..layout.data_start()), both.slice(body))
        } else {
            (self.span(&(0..layout.data_start()))?, self.span(&body)?)
        };
        let header = frame::decode_header(&head)?;
        let is_expected =
            header.id == self.id && header.epoch == self.place.epoch && header.length == self.place.length;
        if !is_expected {
            return Err(Damage::Other.into());
        }
        frame::verify_blocks(layout, &head, &blocks, &data)?;
        let first = blocks.start * frame::BLOCK_BYTES;
        Ok(data.slice(wanted.start - first..wanted.end - first))
    }

    /// Bytes of the frame.
    fn span(&self, bytes: &Range<usize>) -> Result<Bytes, Failure> {
        let start = self.place.offset as usize + bytes.start;
        let length = bytes.len();
        let file = &*self.guard.segment().file;
        let read = if self.caching == Caching::Direct || length >= DIRECT_BYTES {
            let from = start / BLOCK * BLOCK;
            let mut buffer = self.buffers.take((start + length).next_multiple_of(BLOCK) - from);
            file.read_at(Caching::Direct, &mut buffer, from as u64)
                .map(|()| buffer.into_bytes(start - from..start - from + length))
        } else {
            read_buffered(file, start as u64, length)
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Damage(Damage::Short),
            _ => Failure::Io(error),
        })
    }
}

fn read_buffered(file: &dyn DiskFile, start: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    file.read_at(Caching::Buffered, &mut bytes, start)?;
    Ok(Bytes::from(bytes))
}
