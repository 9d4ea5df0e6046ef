//! The store: buckets, keys, versions, data. The one place where the index and the chunk store meet.
//!
//! **Write order.** Chunks are written and synced; then one commit names them: the version's record, the references,
//! the usage. A crash in between leaves frames that no row names, which are free space. Every chunk and manifest that
//! a write relies on is pinned from before it is looked up until after the commit.
//!
//! **Delete order.** One commit removes the record and its references and notes what may have become garbage. Only
//! [the collector](crate::gc) frees space, by a commit that requires that nothing refers to the chunk, refused while
//! it is pinned.
//!
//! **What a crash leaves behind.** Frames without a row (free when their segment has no live bytes); manifest pages
//! without a root, and candidates that turn out to be in use. All are found through the family `candidates`.

mod access_logs;
mod annotations;
mod append;
#[cfg(feature = "rocks")]
mod backup;
mod buckets;
mod commit;
mod identities;
mod list;
#[cfg(feature = "rocks")]
mod open;
mod outbox;
mod read;
mod rename;
mod segments;
mod sharing;
mod staged;
mod tiers;
mod time;
mod uploads;
mod workers;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};

pub use access_logs::MAX_STAGED_LOG_BYTES;
pub use append::Appended;
pub(crate) use buckets::MAX_CONFIGS;
pub use buckets::{BucketCreation, BucketDeletion, NewBucket};
pub use commit::{Change, Edit, KeyView, Outcome, OverQuota};
pub use identities::{IdentityChange, IdentityRow, MAX_IDENTITY_PAGE};
pub use list::{Seek, Step};
#[cfg(feature = "rocks")]
pub use open::StoreOptions;
pub use outbox::{BuriedLetter, MAX_EVENT_BYTES, MAX_OUTBOX_PAGE, OutboxBounds, OutboxEvent};
pub use read::{DataReader, DataStream};
pub use rename::RenameToken;
pub use segments::segments_in_use;
pub use sharing::Sharing;
pub use staged::Staged;
pub(crate) use staged::root_child;
pub use tiers::{MoveTask, RemoteListed, Task, TaskKind};
pub use uploads::{Completion, OpenUpload};
pub use write::DataWriter;

pub use crate::chunks::{DriveState, Fence};

use crate::chunking::Chunking;
use crate::chunks::ChunkStore;
use crate::compress::Codec;
use crate::disk::data_directory::DataDirectory;
use crate::error::Result;
use crate::index::keys;
use crate::index::records::{Record, VersionRecord};
use crate::kv::{Batch, Cached, Commit, Family, Kv, Scan, Visit};
use crate::md5::Md5Lanes;
use crate::pins::Pins;
use crate::pool::WorkerPool;
use crate::remote::Remote;
use crate::types::{BucketId, VersionClock, VersionId};

/// Objects up to this many bytes live in the index, beside their record: one sync in all.
pub const INLINE_BYTES: usize = 4096;

/// The unit in which buffer memory is accounted.
pub(crate) const BUFFER_UNIT: usize = 64 << 10;

/// Jobs that wait for a thread of one of the pools; who has more to do waits.
const QUEUED_JOBS: usize = 4096;

/// What bounds a store's memory and threads, and how it stores chunks.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The length of a chunk in bytes: 256 KiB to 8 MiB.
    pub chunk_bytes: u32,
    /// Bytes of all chunks being received and written at a time. Uploads wait for room.
    pub buffer_bytes: usize,
    /// Threads that read the index from disk.
    pub index_read_threads: usize,
    /// Threads that compute hashes.
    pub hash_threads: usize,
    /// How chunks are compressed, where that pays.
    pub compression: Codec,
    /// How data is cut into chunks.
    pub chunking: Chunking,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            chunk_bytes: 1 << 20,
            buffer_bytes: 128 << 20,
            index_read_threads: cores * 2,
            hash_threads: cores,
            compression: Codec::Plain,
            chunking: Chunking::Fixed,
        }
    }
}

/// A store of objects. Cheap to share by `Arc`.
pub struct Store {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) chunks: Arc<dyn ChunkStore>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) clock: VersionClock,
    pub(crate) garbage_noted: Notify,
    pub(crate) outbox_grown: watch::Sender<()>,
    pub(crate) tiers_noted: Notify,
    remotes: OnceLock<BTreeMap<String, Arc<dyn Remote>>>,
    latest: time::LatestTime,
    hashes: Arc<WorkerPool>,
    md5: Md5Lanes,
    reads: WorkerPool,
    pub(crate) buffers: Arc<Semaphore>,
    received: AtomicU64,
    limits: Limits,
    /// Locked until the store is dropped, after the engines.
    directories: Vec<DataDirectory>,
}

impl Store {
    /// A store over these engines.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn new(kv: Arc<dyn Kv>, chunks: Arc<dyn ChunkStore>, limits: Limits) -> Result<Arc<Self>> {
        Self::with_directories(kv, chunks, limits, Vec::new())
    }

    fn with_directories(
        kv: Arc<dyn Kv>,
        chunks: Arc<dyn ChunkStore>,
        limits: Limits,
        directories: Vec<DataDirectory>,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            latest: time::LatestTime::load(kv.as_ref())?,
            kv,
            chunks,
            pins: Pins::new(),
            clock: VersionClock::default(),
            garbage_noted: Notify::new(),
            outbox_grown: watch::Sender::new(()),
            tiers_noted: Notify::new(),
            remotes: OnceLock::new(),
            hashes: Arc::new(WorkerPool::new("hash", limits.hash_threads, QUEUED_JOBS)?),
            // Eight streams in one thread are as fast as six threads: half of the cores are enough for all of them.
            md5: Md5Lanes::new(limits.hash_threads / 2)?,
            reads: WorkerPool::new("index-read", limits.index_read_threads, QUEUED_JOBS)?,
            received: AtomicU64::new(0),
            buffers: Arc::new(Semaphore::new(limits.buffer_bytes / BUFFER_UNIT)),
            limits,
            directories,
        }))
    }

    /// The pool on which hashes are computed.
    #[must_use]
    pub fn hash_pool(&self) -> &Arc<WorkerPool> {
        &self.hashes
    }

    /// Where the MD5 of streams is computed.
    #[must_use]
    pub fn md5_lanes(&self) -> &Md5Lanes {
        &self.md5
    }

    /// Chunks that came from writers since the start: whether it grows tells background work whether it is alone.
    #[must_use]
    pub fn chunks_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// What bounds this store.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The drives, and how they are.
    #[must_use]
    pub fn drives(&self) -> Vec<DriveState> {
        self.chunks.drives()
    }

    /// Lets a drive take new data again that failed to read; `false` if there is no such drive, or it is not fenced.
    ///
    /// # Errors
    /// [`crate::StoreError::Open`] if it failed to write: only a restart helps.
    pub fn unfence(&self, drive: u16) -> Result<bool> {
        self.chunks.unfence(drive)
    }

    /// Whether new data has room; the error says why not.
    pub fn admit(&self) -> Result<()> {
        self.chunks.admit()
    }

    /// Figures for metrics: name without prefix, help, value.
    #[must_use]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let mut gauges = self.kv.gauges();
        gauges.extend(self.chunks.gauges());
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        let free = (self.buffers.available_permits() * BUFFER_UNIT) as f64;
        gauges.push(("store_buffer_free_bytes", "Upload buffer memory that is not in use", free));
        let lanes = self.md5.mean_lanes();
        gauges.push(("md5_lanes_mean", "Streams whose MD5 is computed side by side, mean since the start", lanes));
        gauges
    }

    /// A new version or upload id, newer than `after` (the greatest order known of the key).
    #[must_use]
    pub fn next_id(&self, after: u64) -> VersionId {
        self.clock.next(after)
    }

    pub(crate) async fn get(&self, family: Family, key: Vec<u8>) -> Result<Option<Bytes>> {
        match self.kv.get_cached(family, &key)? {
            Cached::Known(value) => Ok(value),
            Cached::Unknown => {
                let kv = Arc::clone(&self.kv);
                self.reads.run(move || kv.get(family, &key)).await
            }
        }
    }

    pub(crate) async fn get_record<R: Record>(&self, family: Family, key: Vec<u8>) -> Result<Option<R>> {
        self.get(family, key).await?.map(|row| R::decode(&row)).transpose()
    }

    /// Scans on a thread that may wait for a disk; `state` comes back with what `visit` made of it.
    pub(crate) async fn scan<S, V>(&self, scan: Scan, state: S, mut visit: V) -> Result<S>
    where
        S: Send + 'static,
        V: FnMut(&mut S, Family, &[u8], &[u8]) -> Visit + Send + 'static,
    {
        let kv = Arc::clone(&self.kv);
        let scanned = self.reads.run(move || {
            let mut state = state;
            kv.scan(&scan, &mut |family, key, value| visit(&mut state, family, key, value)).map(|()| state)
        });
        scanned.await
    }

    /// Up to `limit` rows that start with `prefix`.
    pub(crate) async fn rows(&self, family: Family, prefix: Vec<u8>, limit: usize) -> Result<Vec<(Vec<u8>, Bytes)>> {
        let to = keys::after_prefix(&prefix);
        self.rows_in(family, prefix, to, limit).await
    }

    /// Up to `limit` rows with keys in `from..to`.
    pub(crate) async fn rows_in(
        &self,
        family: Family,
        from: Vec<u8>,
        to: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let scan = Scan { families: vec![family], from, to };
        let collect = move |rows: &mut Vec<(Vec<u8>, Bytes)>, _: Family, key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), Bytes::copy_from_slice(value)));
            if rows.len() < limit { Visit::Next } else { Visit::Stop }
        };
        self.scan(scan, Vec::new(), collect).await
    }

    /// Commits; a check (or a limit) that does not hold is [`crate::StoreError::Conflict`].
    pub(crate) async fn commit_batch(&self, batch: Batch) -> Result<()> {
        match self.kv.commit(batch).await? {
            Commit::Committed => Ok(()),
            Commit::Conflict(_) | Commit::LimitExceeded { .. } => Err(crate::StoreError::Conflict),
        }
    }

    /// The live current version of a key.
    pub async fn current(&self, bucket: BucketId, key: &str) -> Result<Option<VersionRecord>> {
        self.get_record(Family::Current, keys::object(bucket, key)).await
    }

    /// The newest noncurrent versions and delete markers of a key.
    pub async fn noncurrent(&self, bucket: BucketId, key: &str, limit: usize) -> Result<Vec<VersionRecord>> {
        let rows = self.rows(Family::Versions, keys::versions(bucket, key), limit).await?;
        rows.iter().map(|(_, row)| VersionRecord::decode(row)).collect()
    }

    /// A noncurrent version or delete marker by its order.
    pub async fn noncurrent_at(&self, bucket: BucketId, key: &str, order: u64) -> Result<Option<VersionRecord>> {
        self.get_record(Family::Versions, keys::version(bucket, key, order)).await
    }

    /// The data of a small version; `None` when the version has been removed meanwhile.
    pub async fn inline(&self, bucket: BucketId, key: &str, id: VersionId) -> Result<Option<Bytes>> {
        self.get(Family::Inline, keys::inline(bucket, key, id.order)).await
    }
}
