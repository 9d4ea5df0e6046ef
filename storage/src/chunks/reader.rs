//! Reads a range of a chunk: only the blocks that it touches, each of them verified.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;

use crate::chunks::body::Body;
use crate::chunks::drive::ReadGuard;
use crate::chunks::frame::{self, Damage, FrameHeader, FrameLayout};
use crate::compress::Codec;
use crate::disk::buffer::BufferPool;
use crate::disk::{BLOCK, Caching};
use crate::error::{Corruption, Result, StoreError};
use crate::types::{ChunkId, Place};

/// Reads of at least this many bytes bypass the page cache: from a cold disk that is faster, for less CPU.
const DIRECT_BYTES: usize = 128 << 10;
/// Reads of up to this many bytes are tried on the spot: copying them from the page cache takes less time than waking
/// a thread.
pub const ON_THE_SPOT_BYTES: u32 = 128 << 10;
/// Large reads that are remembered, so that a second one of the same is known for what it is.
const REMEMBERED: usize = 8192;
/// Bytes between the checksums and the wanted blocks that are read along rather than in a second read.
const GAP_BYTES: usize = 64 << 10;

/// Whether the chunk at a place is compressed: it occupies less than it would as it is.
pub fn is_encoded(place: &Place) -> bool {
    FrameLayout::of(place.length as usize).is_some_and(|plain| plain.occupied() > place.occupied as usize)
}

/// Which large reads there were lately. What is read once comes from the disk directly and leaves the page cache alone;
/// what is read again is brought into it, so that the next reader finds it there.
pub struct Recent(Vec<AtomicU64>);

impl Recent {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self((0..REMEMBERED).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes a read of a place, and answers whether it was noted before. A place that shares its slot may have
    /// displaced it; then it is read directly once more.
    fn is_again(&self, place: &Place) -> bool {
        let at = u64::from(place.segment) << 32 | u64::from(place.offset);
        let mark = (at ^ u64::from(place.epoch).rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let slot = usize::try_from(mark >> 32).unwrap_or(0) % REMEMBERED;
        self.0.get(slot).is_some_and(|slot| slot.swap(mark, Ordering::Relaxed) == mark)
    }
}

/// Reads `range` if the page cache holds all that it takes; `None` if not, or if what it holds is damaged: then
/// [`read`] decides. Never waits for a disk.
pub fn read_resident(
    guard: &ReadGuard,
    buffers: &Arc<BufferPool>,
    id: ChunkId,
    place: Place,
    range: &Range<u32>,
) -> Option<Bytes> {
    let wanted = range.start as usize..range.end as usize;
    now(Reading { guard, buffers, id, place, source: Source::PageCache }.read(&wanted))?.ok()
}

/// What a future answers that waits for nothing.
pub fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// What a future answers, waited for on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            // Unparked before this, it returns at once.
            Poll::Pending => thread::park(),
        }
    }
}

/// Reads `range` of the chunk `id`, which the index has at `place`. Waits for the disk on its thread with
/// [`Engine::Blocking`](crate::disk::Engine::Blocking), with another engine only by being polled.
///
/// # Errors
/// [`StoreError::Corrupt`] if the bytes are not those that were written, [`StoreError::Io`] if the disk fails.
pub async fn read(
    guard: &ReadGuard,
    buffers: &Arc<BufferPool>,
    recent: &Recent,
    id: ChunkId,
    place: Place,
    range: &Range<u32>,
) -> Result<Bytes> {
    let wanted = range.start as usize..range.end as usize;
    let attempt = async |source| Reading { guard, buffers, id, place, source }.read(&wanted).await;
    let is_large = wanted.len() >= DIRECT_BYTES;
    if is_large && let Ok(bytes) = attempt(Source::PageCache).await {
        return Ok(bytes);
    }
    let first = if is_large && !recent.is_again(&place) { Source::Disk } else { Source::ThroughPageCache };
    let outcome = match attempt(first).await {
        // Was it the page cache's copy? The disk decides.
        Err(Failure::Damage(_)) => attempt(Source::Disk).await,
        outcome => outcome,
    };
    outcome.map_err(|failure| refused(failure, guard, id, place))
}

/// As [`read`], from the disk itself.
///
/// # Errors
/// As [`read`].
pub async fn read_stored(
    guard: &ReadGuard,
    buffers: &Arc<BufferPool>,
    id: ChunkId,
    place: Place,
    range: &Range<u32>,
) -> Result<Bytes> {
    let wanted = range.start as usize..range.end as usize;
    let outcome = Reading { guard, buffers, id, place, source: Source::Disk }.read(&wanted).await;
    outcome.map_err(|failure| refused(failure, guard, id, place))
}

/// Reads the whole of a chunk for which [`is_encoded`] holds, and its body. Waits on its thread,
/// whatever the engine.
///
/// # Errors
/// As [`read`].
pub fn read_body(guard: &ReadGuard, buffers: &Arc<BufferPool>, id: ChunkId, place: Place) -> Result<(Bytes, Body)> {
    let reading = Reading { guard, buffers, id, place, source: Source::Disk };
    wait(reading.read_body()).map_err(|failure| refused(failure, guard, id, place))
}

fn refused(failure: Failure, guard: &ReadGuard, id: ChunkId, place: Place) -> StoreError {
    match failure {
        Failure::NotResident => StoreError::Io(io::ErrorKind::WouldBlock.into()),
        Failure::Io(error) => guard.drive().failed_read(&error),
        Failure::Damage(damage) => {
            guard.drive().stats.damaged_reads.fetch_add(1, Ordering::Relaxed);
            StoreError::Corrupt(Corruption::Chunk { id, place, what: damage.what() })
        }
    }
}

enum Failure {
    NotResident,
    Io(io::Error),
    Damage(Damage),
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// Where bytes are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The page cache alone.
    PageCache,
    /// The disk by way of the page cache, which then has them.
    ThroughPageCache,
    /// The disk itself.
    Disk,
}

struct Reading<'a> {
    guard: &'a ReadGuard,
    buffers: &'a Arc<BufferPool>,
    id: ChunkId,
    place: Place,
    source: Source,
}

impl Reading<'_> {
    async fn read(&self, wanted: &Range<usize>) -> Result<Bytes, Failure> {
        let layout = FrameLayout::of(self.place.length as usize).ok_or(Damage::Header)?;
        let segment = self.guard.segment();
        let end = self.place.offset as usize + layout.occupied();
        if layout.occupied() != self.place.occupied as usize || end > segment.size as usize {
            return self.read_encoded(wanted).await;
        }
        let blocks = layout.blocks_of(wanted);
        let body = layout.bytes_of(&blocks);
        let (head, data) = if body.start <= layout.data_start() + GAP_BYTES {
            let both = self.span(&(0..body.end)).await?;
            (both.slice(..layout.data_start()), both.slice(body))
        } else {
            (self.span(&(0..layout.data_start())).await?, self.span(&body).await?)
        };
        let header = frame::decode_header(&head)?;
        self.expect(&header)?;
        if header.codec != Codec::Plain {
            return Err(Damage::Header.into());
        }
        frame::verify_blocks(layout, &head, &blocks, &data)?;
        let first = blocks.start * frame::BLOCK_BYTES;
        Ok(data.slice(wanted.start - first..wanted.end - first))
    }

    /// As [`Reading::read`], of a chunk that is stored in fewer bytes.
    async fn read_encoded(&self, wanted: &Range<usize>) -> Result<Bytes, Failure> {
        let occupied = self.place.occupied as usize;
        let is_all = occupied <= GAP_BYTES || wanted.len() == self.place.length as usize;
        let (head, header, layout) = self.encoded_head(is_all).await?;
        let blocks = layout.blocks_of(wanted);
        let body = frame::encoded_blocks(layout, &head, &blocks)?;
        let data = if is_all { head.slice(body) } else { self.span(&body).await? };
        let plain = frame::decode_blocks(layout, header.codec, &head, &blocks, &data)?;
        let first = blocks.start * frame::BLOCK_BYTES;
        Ok(Bytes::from(plain).slice(wanted.start - first..wanted.end - first))
    }

    /// Header and table of a chunk that is stored in fewer bytes, or all of its frame.
    async fn encoded_head(&self, is_all: bool) -> Result<(Bytes, FrameHeader, FrameLayout), Failure> {
        let occupied = self.place.occupied as usize;
        let plain = FrameLayout::of(self.place.length as usize).ok_or(Damage::Header)?;
        let is_within = self.place.offset as usize + occupied <= self.guard.segment().size as usize;
        let head_bytes = plain.encoded_start();
        if !is_within || occupied >= plain.occupied() || head_bytes > occupied {
            return Err(Damage::Header.into());
        }
        let head = self.span(&(0..if is_all { occupied } else { head_bytes })).await?;
        let header = frame::decode_header(&head)?;
        self.expect(&header)?;
        let layout = header.layout().filter(|layout| layout.occupied() == occupied).ok_or(Damage::Header)?;
        Ok((head, header, layout))
    }

    /// The whole of a chunk that is stored in fewer bytes, and its body.
    async fn read_body(&self) -> Result<(Bytes, Body), Failure> {
        let (frame, header, layout) = self.encoded_head(true).await?;
        let blocks = 0..layout.blocks();
        let span = frame::encoded_blocks(layout, &frame, &blocks)?;
        let data = frame.slice(span);
        let chunk = frame::decode_blocks(layout, header.codec, &frame, &blocks, &data)?;
        let table = frame.slice(frame::HEADER_BYTES..layout.data_start());
        Ok((chunk.into(), Body::of_frame(&header, layout, table, data)))
    }

    /// Whether a header is that of the frame which the index has here.
    fn expect(&self, header: &FrameHeader) -> Result<(), Damage> {
        let is_expected =
            header.id == self.id && header.epoch == self.place.epoch && header.length == self.place.length;
        if is_expected { Ok(()) } else { Err(Damage::Other) }
    }

    /// Bytes of the frame.
    async fn span(&self, bytes: &Range<usize>) -> Result<Bytes, Failure> {
        let start = self.place.offset as usize + bytes.start;
        let length = bytes.len();
        let file = &*self.guard.segment().file;
        let from = if self.source == Source::Disk { start / BLOCK * BLOCK } else { start };
        let to = if self.source == Source::Disk { (start + length).next_multiple_of(BLOCK) } else { start + length };
        let mut buffer = self.buffers.take(to - from);
        let read = match self.source {
            Source::PageCache => match file.read_resident(&mut buffer, from as u64) {
                Ok(false) => return Err(Failure::NotResident),
                outcome => outcome.map(|_| buffer),
            },
            Source::ThroughPageCache => file.read(Caching::Buffered, buffer, from as u64).await,
            Source::Disk => file.read(Caching::Direct, buffer, from as u64).await,
        };
        let read = read.map(|buffer| buffer.into_bytes(start - from..start - from + length));
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::Damage(Damage::Short),
            _ => Failure::Io(error),
        })
    }
}
