//! The metadata engine's interface: an ordered key-value store with conditional commits.
//!
//! Shaped for the weakest engine that we want later (a remote transactional store), at no cost to the embedded one:
//! point reads, paged scans from one snapshot, and a commit that says what it relies on.

#[cfg(test)]
pub mod contract;
pub mod memory;
#[cfg(feature = "rocks")]
pub mod rocks;
mod verify;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use bytes::Bytes;

use crate::error::{Result, StoreError};

/// Rows in one batch: checks, limits, puts, deletes, adds and appends together.
pub const MAX_BATCH_ROWS: usize = 1_000;
/// Bytes of keys and values in one batch.
pub const MAX_BATCH_BYTES: usize = 1 << 20;
/// Bytes of one value.
pub const MAX_VALUE_BYTES: usize = 64 << 10;

/// A column family, by access pattern. The number is stored by engines without families: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// Bucket records, and each sub-resource as its own row.
    Buckets = 1,
    /// The live current version of each key: listing scans nothing else.
    Current = 2,
    /// Heads, noncurrent versions and delete markers of keys in buckets that are or were versioned.
    Versions = 3,
    /// Data of small objects, apart so that listing does not drag it.
    Inline = 4,
    /// Multipart uploads and their parts.
    Uploads = 5,
    /// Pages of manifests.
    Manifests = 6,
    /// Chunk id to place.
    Chunks = 7,
    /// Child to parent, one row for each reference.
    Refs = 8,
    /// What may have lost its last reference: the garbage collector's work list.
    Candidates = 9,
    /// Counters that batches add to: bucket usage, live bytes of segments, writes to an upload.
    Counters = 10,
    /// Format version, ids, worker cursors.
    System = 11,
    /// Events to deliver.
    Outbox = 12,
    /// Users, keys, policies, roles, sessions.
    Identities = 13,
    /// Data that storage tiers hold, and what is to be done about it.
    Tiers = 14,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 14] = [
        Self::Buckets,
        Self::Current,
        Self::Versions,
        Self::Inline,
        Self::Uploads,
        Self::Manifests,
        Self::Chunks,
        Self::Refs,
        Self::Candidates,
        Self::Counters,
        Self::System,
        Self::Outbox,
        Self::Identities,
        Self::Tiers,
    ];

    /// Its name on disk and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Buckets => "buckets",
            Self::Current => "current",
            Self::Versions => "versions",
            Self::Inline => "inline",
            Self::Uploads => "uploads",
            Self::Manifests => "manifests",
            Self::Chunks => "chunks",
            Self::Refs => "refs",
            Self::Candidates => "candidates",
            Self::Counters => "counters",
            Self::System => "system",
            Self::Outbox => "outbox",
            Self::Identities => "identities",
            Self::Tiers => "tiers",
        }
    }
}

/// What a commit relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The row is as it was read: this value, or absent.
    Unchanged {
        /// The row's family.
        family: Family,
        /// The row's key.
        key: Vec<u8>,
        /// What was read.
        was: Option<Bytes>,
    },
    /// No row's key starts with this.
    PrefixEmpty {
        /// The family.
        family: Family,
        /// The prefix.
        prefix: Vec<u8>,
    },
}

/// Changes that become visible and durable together, or not at all. Bounded by [`MAX_BATCH_ROWS`] and
/// [`MAX_BATCH_BYTES`]; what is larger is staged by the caller. Applied in the order deletes, puts, adds, appends: a row
/// both deleted and put is put.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Verified against the database and against what precedes the batch in its group.
    pub checks: Vec<Check>,
    /// Rows to write.
    pub puts: Vec<(Family, Vec<u8>, Vec<u8>)>,
    /// Rows to remove; removing an absent row is no error.
    pub deletes: Vec<(Family, Vec<u8>)>,
    /// Signed deltas to counter rows (eight bytes, little endian, two's complement; absent is zero; a counter that
    /// reaches zero is removed). Commutative: batches that only add to the same counter never conflict.
    pub adds: Vec<(Family, Vec<u8>, i64)>,
    /// Rows that get their place from the order of commits: family, prefix, value. See [`Batch::append`].
    pub appends: Vec<(Family, Vec<u8>, Vec<u8>)>,
    /// The most that counters may reach by this batch. Verified after the checks: a conflict is told first.
    pub limits: Vec<Limit>,
}

/// The most that a counter may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The counter's family.
    pub family: Family,
    /// The counter's key.
    pub key: Vec<u8>,
    /// The greatest value that a batch which adds to the counter may leave.
    pub max: i64,
}

impl Batch {
    /// Requires that a row is still as it was read.
    pub fn check_unchanged(&mut self, family: Family, key: Vec<u8>, was: Option<Bytes>) {
        self.checks.push(Check::Unchanged { family, key, was });
    }

    /// Requires that no row starts with `prefix`.
    pub fn check_prefix_empty(&mut self, family: Family, prefix: Vec<u8>) {
        self.checks.push(Check::PrefixEmpty { family, prefix });
    }

    /// Writes a row.
    pub fn put(&mut self, family: Family, key: Vec<u8>, value: Vec<u8>) {
        self.puts.push((family, key, value));
    }

    /// Removes a row.
    pub fn delete(&mut self, family: Family, key: Vec<u8>) {
        self.deletes.push((family, key));
    }

    /// Adds to a counter.
    pub fn add(&mut self, family: Family, key: Vec<u8>, delta: i64) {
        self.adds.push((family, key, delta));
    }

    /// Writes a row under `prefix` and the next position of that prefix: eight bytes, big endian, from 1. Positions are
    /// given in the order of commits, without a gap, and never again, also after the row is deleted: no row ever
    /// appears below one that could be read. So the last position read is a cursor that misses nothing.
    ///
    /// The engine keeps the position that was given last in the row `prefix` itself, written with each append. Batches
    /// must not write that row, nor rows that begin with `prefix` otherwise.
    pub fn append(&mut self, family: Family, prefix: Vec<u8>, value: Vec<u8>) {
        self.appends.push((family, prefix, value));
    }

    /// Refuses the batch with [`Commit::LimitExceeded`] where it would raise a counter beyond `max`. Exact under
    /// concurrency: what counts is the counter at the batch's place in the order of commits. A batch that leaves the
    /// counter as it is, or lowers it, is never refused, however far beyond `max` it stands.
    pub fn limit(&mut self, family: Family, key: Vec<u8>, max: i64) {
        self.limits.push(Limit { family, key, max });
    }

    /// Takes over all that `other` checks and changes.
    pub fn join(&mut self, other: Self) {
        let Self { checks, puts, deletes, adds, appends, limits } = other;
        self.checks.extend(checks);
        self.puts.extend(puts);
        self.deletes.extend(deletes);
        self.adds.extend(adds);
        self.appends.extend(appends);
        self.limits.extend(limits);
    }

    /// Checks, puts, deletes, adds, appends and limits together.
    #[must_use]
    pub fn rows(&self) -> usize {
        let changes = self.puts.len() + self.deletes.len() + self.adds.len() + self.appends.len();
        self.checks.len() + self.limits.len() + changes
    }
}

/// How a commit ended. An error in place of this means *unknown*: it may or may not have become durable, and the
/// engine answers nothing further until it is reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Durable: it survives power loss.
    Committed,
    /// The check with this index did not hold; nothing was written.
    Conflict(usize),
    /// The batch would have raised a counter beyond its limit; nothing was written.
    LimitExceeded {
        /// The index of the limit.
        limit: usize,
        /// What the counter stood at.
        before: i64,
    },
}

/// The answer to a commit.
pub type CommitFuture = Pin<Box<dyn Future<Output = Result<Commit>> + Send>>;

/// A point read that must not wait for a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cached {
    /// The row, or the certainty that there is none.
    Known(Option<Bytes>),
    /// Only a disk can tell: use [`Kv::get`] from a thread that may wait.
    Unknown,
}

/// The rows to scan: keys in `from..to` of the families, merged in key order (ties: in the order of `families`),
/// all from one snapshot.
#[derive(Clone, Debug)]
pub struct Scan {
    /// One family, or several whose keys share an order.
    pub families: Vec<Family>,
    /// The first key, included.
    pub from: Vec<u8>,
    /// The end, excluded; `None` is the end of the families.
    pub to: Option<Vec<u8>>,
}

/// What a scan does after a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Goes on with the next row.
    Next,
    /// Goes on with the first row at or after this key, which must be greater than the row's own.
    Seek(Vec<u8>),
    /// Ends.
    Stop,
}

/// Sees each row of a scan: family, key, value.
pub type Visitor<'a> = dyn FnMut(Family, &[u8], &[u8]) -> Visit + 'a;

/// A metadata engine. [`contract`] holds what every engine must do.
pub trait Kv: Send + Sync + 'static {
    /// A point read that answers from memory or not at all. Safe on an async worker.
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached>;

    /// A point read that may wait for a disk.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>>;

    /// Visits rows in key order from one snapshot. May wait for a disk.
    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()>;

    /// Commits a batch. Resolves only once the outcome is durable. Dropping the future does not undo the commit.
    fn commit(&self, batch: Batch) -> CommitFuture;

    /// Writes what is committed by now to a new directory at `path`, from where the engine can be opened, while commits
    /// go on. Waits for the disk. Engines that are not files cannot.
    fn checkpoint(&self, path: &Path) -> Result<()> {
        Err(StoreError::Index(format!("this engine cannot be copied to {}", path.display())))
    }

    /// Figures for metrics: name without prefix, help, value.
    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)>;
}
