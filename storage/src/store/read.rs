//! Bytes on their way out: from a version's root over its manifests to verified chunks.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Store;
use super::staged::{Staged, root_child};
use crate::chunks::ChunkFuture;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys::{self, Child};
use crate::index::records::{CHUNKS_IN_PAGE, ChunkRecord, Data, ManifestPage, ManifestRoot};
use crate::kv::Family;
use crate::pins::Pin as Kept;
use crate::types::{ChunkId, ManifestId, Place, RemoteId};

/// Chunks of one reader that are read ahead of the client.
const READ_AHEAD: usize = 1;
/// Bytes of a chunk that are handed on at a time when the page cache has them: few enough that they are still in the
/// core's own cache when they are verified and sent, many enough that a system call does not weigh.
const PIECE_BYTES: u32 = 128 << 10;
/// Times a chunk's place is looked up again because it moved while it was read.
const MOVES: u32 = 8;

/// Data that is pinned: it stays readable, whatever is deleted meanwhile, until this is dropped.
pub struct DataReader {
    store: Arc<Store>,
    data: Data,
    size: u64,
    kept: Option<Kept>,
    /// Where the only chunk was when the reader was made.
    place: Option<Place>,
}

/// The bytes of a range of an object, piece by piece, verified.
pub struct DataStream {
    source: Source,
    /// What [`DataStream::begin`] has read already.
    first: Option<Bytes>,
    remaining: u64,
}

/// Where a stream's bytes come from.
enum Source {
    /// The only chunk of the data.
    Chunk(ChunkPieces),
    /// A task that walks the manifests ahead of the receiver.
    Ahead(mpsc::Receiver<Result<Bytes>>),
}

/// A range of one chunk: in pieces on the spot for as long as the page cache has them; what it lacks is read at once.
struct ChunkPieces {
    reader: DataReader,
    id: ChunkId,
    rest: Range<u32>,
    /// Behind a lock that nobody waits for: bodies must be shareable between threads, and futures are not.
    reading: Mutex<Option<ChunkFuture<Bytes>>>,
}

impl ChunkPieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.reading.get_mut().is_none() {
            if self.rest.is_empty() {
                return Poll::Ready(None);
            }
            let piece = self.rest.start..self.rest.end.min(self.rest.start.saturating_add(PIECE_BYTES));
            let store = &self.reader.store;
            let resident = self.reader.place.and_then(|place| store.chunks.read_resident(self.id, &place, &piece));
            if let Some(bytes) = resident {
                self.rest.start = piece.end;
                return Poll::Ready(Some(Ok(bytes)));
            }
            let (store, id, rest) = (Arc::clone(store), self.id, self.rest.clone());
            self.rest.start = self.rest.end;
            *self.reading.get_mut() = Some(Box::pin(async move { store.read_chunk(id, rest).await }));
        }
        let Some(reading) = self.reading.get_mut() else { return Poll::Ready(None) };
        let answer = std::task::ready!(reading.as_mut().poll(cx));
        *self.reading.get_mut() = None;
        Poll::Ready(Some(answer))
    }
}

impl DataStream {
    /// Bytes still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next bytes; `None` at the end. After an error nothing more comes.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let next = match self.first.take() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None => match &mut self.source {
                Source::Chunk(pieces) => pieces.poll_next(cx),
                Source::Ahead(chunks) => chunks.poll_recv(cx),
            },
        };
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        next
    }

    /// Reads the first bytes, so that data which cannot be read is known before an answer begins.
    pub async fn begin(mut self) -> Result<Self> {
        if let Some(bytes) = self.next().await.transpose()? {
            self.remaining += bytes.len() as u64;
            self.first = Some(bytes);
        }
        Ok(self)
    }

    /// All of the bytes, if [`DataStream::begin`] has read them already.
    pub fn whole(&mut self) -> Option<Bytes> {
        self.first.take_if(|bytes| bytes.len() as u64 == self.remaining)
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).get_mut().poll_next(cx)).await
    }
}

impl Store {
    /// Pins data and makes sure that it is still there; `None` when it has been collected: read the version again.
    pub async fn reader(self: &Arc<Self>, data: Data, size: u64) -> Result<Option<DataReader>> {
        let Some(child) = root_child(data) else {
            return Ok(Some(DataReader { store: Arc::clone(self), data, size, kept: None, place: None }));
        };
        let kept = self.pins.pin(child).await;
        let place = match child {
            Child::Chunk(id) => {
                let record: Option<ChunkRecord> = self.get_record(Family::Chunks, keys::chunk(id)).await?;
                record.map(|record| Some(record.place))
            }
            Child::Manifest(id) => self.get(Family::Manifests, keys::manifest(id)).await?.map(|_| None),
            Child::Remote(id) => self.get(Family::Tiers, keys::remote(id)).await?.map(|_| None),
        };
        Ok(place.map(|place| DataReader { store: Arc::clone(self), data, size, kept: Some(kept), place }))
    }

    async fn read_chunk(&self, id: ChunkId, range: Range<u32>) -> Result<Bytes> {
        for _ in 0..MOVES {
            let record: Option<ChunkRecord> = self.get_record(Family::Chunks, keys::chunk(id)).await?;
            let place = record.ok_or(Corruption::MissingChunk(id))?.place;
            match self.chunks.read(id, place, range.clone()).await {
                Err(StoreError::Conflict) => {}
                answer => return answer,
            }
        }
        Err(Corruption::MissingChunk(id).into())
    }

    pub(super) async fn manifest_root(&self, id: ManifestId) -> Result<ManifestRoot> {
        let root = self.get_record(Family::Manifests, keys::manifest(id)).await?;
        root.ok_or_else(|| Corruption::Manifest(id).into())
    }

    pub(super) async fn manifest_page(&self, id: ManifestId, page: u32) -> Result<ManifestPage> {
        let page = self.get_record(Family::Manifests, keys::manifest_page(id, page)).await?;
        page.ok_or_else(|| Corruption::Manifest(id).into())
    }

    /// Where a page's chunks begin in the object, and each with its length.
    pub(super) async fn chunks_page(&self, id: ManifestId, page: u32) -> Result<(u64, Vec<(ChunkId, u32)>)> {
        match self.manifest_page(id, page).await? {
            ManifestPage::Chunks { start, chunks } => Ok((start, chunks)),
            _ => Err(Corruption::Manifest(id).into()),
        }
    }

    /// The page of chunks in which a byte is.
    async fn page_of(&self, id: ManifestId, byte: u64) -> Result<u32> {
        let (mut first, mut behind) = (0, self.manifest_root(id).await?.pages);
        while behind - first > 1 {
            let middle = first + (behind - first) / 2;
            let (start, _) = self.chunks_page(id, middle).await?;
            (first, behind) = if start <= byte { (middle, behind) } else { (first, middle) };
        }
        Ok(first)
    }
}

impl DataReader {
    /// Streams a range, reading ahead of the receiver within a bound.
    #[must_use]
    pub fn stream(self, range: Range<u64>) -> DataStream {
        let remaining = range.end.saturating_sub(range.start);
        let source = match self.data {
            Data::Chunk(id) => {
                Source::Chunk(ChunkPieces { reader: self, id, rest: chunk_range(range), reading: Mutex::new(None) })
            }
            _ => Source::Ahead(self.walk_ahead(range)),
        };
        DataStream { source, first: None, remaining }
    }

    fn walk_ahead(self, range: Range<u64>) -> mpsc::Receiver<Result<Bytes>> {
        let (sender, chunks) = mpsc::channel(READ_AHEAD);
        tokio::spawn(async move {
            // The whole reader, and so its pin, moves into the task: by itself the task would take only the fields
            // that it names.
            let reader = self;
            let walk = Walk { store: &reader.store, sender: &sender };
            if let Err(Stop::Failed(error)) = walk.data(reader.data, range).await {
                // The receiver may be gone; then nobody needs the error.
                let _ = sender.send(Err(error)).await;
            }
        });
        chunks
    }

    /// The same data for another version or part, kept by this reader's pin.
    #[must_use]
    pub fn into_staged(self) -> Staged {
        Staged::existing(self.data, self.size, self.kept)
    }

    /// Bytes of the whole data.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Why a walk ended early.
enum Stop {
    ReceiverGone,
    Failed(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// Sends the bytes of data, depth first.
struct Walk<'a> {
    store: &'a Store,
    sender: &'a mpsc::Sender<Result<Bytes>>,
}

impl Walk<'_> {
    async fn data(&self, data: Data, range: Range<u64>) -> Result<(), Stop> {
        if range.is_empty() {
            return Ok(());
        }
        match data {
            Data::Empty | Data::Inline => Ok(()),
            Data::Chunk(id) => self.chunk(id, range).await,
            Data::Manifest { id, chunk_bytes } => self.chunks(id, u64::from(chunk_bytes), range).await,
            Data::Parts(id) => self.parts(id, range).await,
            Data::Remote(id) => self.remote(id, range).await,
        }
    }

    async fn chunk(&self, id: ChunkId, range: Range<u64>) -> Result<(), Stop> {
        let bytes = self.store.read_chunk(id, chunk_range(range)).await?;
        self.sender.send(Ok(bytes)).await.map_err(|_| Stop::ReceiverGone)
    }

    async fn remote(&self, id: RemoteId, range: Range<u64>) -> Result<(), Stop> {
        let mut reading = self.store.remote_reading(id, range).await?;
        while let Some(bytes) = reading.next().await? {
            self.sender.send(Ok(bytes)).await.map_err(|_| Stop::ReceiverGone)?;
        }
        Ok(())
    }

    async fn chunks(&self, id: ManifestId, chunk_bytes: u64, range: Range<u64>) -> Result<(), Stop> {
        let mut page = match chunk_bytes * CHUNKS_IN_PAGE as u64 {
            0 => self.store.page_of(id, range.start).await?,
            page_bytes => u32::try_from(range.start / page_bytes).unwrap_or(u32::MAX),
        };
        loop {
            let (mut start, chunks) = self.store.chunks_page(id, page).await?;
            for (chunk, length) in chunks {
                if let Some(within) = overlap(&range, start, u64::from(length)) {
                    self.chunk(chunk, within).await?;
                }
                start += u64::from(length);
            }
            if start >= range.end {
                return Ok(());
            }
            page += 1;
        }
    }

    async fn parts(&self, id: ManifestId, range: Range<u64>) -> Result<(), Stop> {
        let root = self.store.manifest_root(id).await?;
        for page in 0..root.pages {
            let ManifestPage::Parts { mut start, parts } = self.store.manifest_page(id, page).await? else {
                return Err(StoreError::from(Corruption::Manifest(id)).into());
            };
            if start >= range.end {
                break;
            }
            for part in parts {
                if let Some(within) = overlap(&range, start, part.size) {
                    match part.data {
                        Data::Chunk(chunk) => self.chunk(chunk, within).await?,
                        Data::Manifest { id, chunk_bytes } => self.chunks(id, u64::from(chunk_bytes), within).await?,
                        // A group of parts, in the list of an object that was appended to.
                        Data::Parts(group) => Box::pin(self.parts(group, within)).await?,
                        Data::Remote(id) => self.remote(id, within).await?,
                        Data::Empty | Data::Inline => {}
                    }
                }
                start += part.size;
            }
        }
        Ok(())
    }
}

/// The part of `range` that lies in the `length` bytes from `start`, relative to `start`.
fn overlap(range: &Range<u64>, start: u64, length: u64) -> Option<Range<u64>> {
    let from = range.start.max(start);
    let to = range.end.min(start.saturating_add(length));
    (from < to).then(|| from - start..to - start)
}

fn chunk_range(range: Range<u64>) -> Range<u32> {
    let end = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
    end(range.start)..end(range.end)
}
