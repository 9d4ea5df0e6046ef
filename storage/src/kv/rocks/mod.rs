//! The metadata engine of one server: RocksDB behind a committer thread.

mod committer;
mod options;
pub mod repair;
mod scan;
#[cfg(test)]
mod tests;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, ErrorKind, FlushOptions, ReadOptions, WriteBatch};
use rocksdb::{WriteOptions, properties};

pub use self::committer::OnFatal;
pub use self::options::RocksOptions;

use self::committer::{Committer, Engine, Figures, Overlay, WriteFailure};
use self::options::Memory;
use self::watch::Watch;
use super::verify::prefix_end;
use super::{Batch, Cached, CommitFuture, Family, Kv, Scan, Visitor};
use crate::error::{Corruption, Result, StoreError};

/// The row of [`Family::System`] that counts written groups: eight bytes, little endian. It grows with each group in
/// the same synced write, so whoever noted it elsewhere can tell a lost end of the log. The engine writes it; batches
/// must not.
pub const COMMITS_KEY: &[u8] = b"commits";

/// RocksDB in a directory. Only one process has it open at a time.
pub struct RocksKv {
    database: Arc<Database>,
    committer: Committer,
    figures: Arc<Figures>,
    patient: ReadOptions,
    impatient: ReadOptions,
}

struct Database {
    db: DB,
    memory: Memory,
    /// The value of [`COMMITS_KEY`].
    commits: AtomicU64,
}

impl RocksKv {
    /// Opens the database in `path`, creating it (but not its parents, nor is its own name in them synced) where
    /// there is none, and replays its log. Waits for the disk.
    ///
    /// [`StoreError::Open`] where another process has it open, or a newer release has written it.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Arc<Self>> {
        let memory = Memory::new(&options);
        let watch = Watch::default();
        let families = Family::ALL
            .iter()
            .map(|family| ColumnFamilyDescriptor::new(family.name(), options::family(*family, &memory)));
        let default = ColumnFamilyDescriptor::new("default", options::family(Family::System, &memory));
        let opened = DB::open_cf_descriptors(
            &options::database(&options, &memory, watch.clone()),
            path,
            families.chain([default]).collect::<Vec<_>>(),
        );
        let db = opened.map_err(|error| refused(path, &error))?;
        let database = Arc::new(Database { db, memory, commits: AtomicU64::new(0) });
        database.commits.store(database.stored_commits()?, Ordering::Relaxed);
        let figures = Arc::new(Figures::default());
        let writer = Writer {
            database: database.clone(),
            durable: options::durable(),
            patient: options::patient(),
            watch,
            full: false,
            removed: [0; Family::ALL.len()],
        };
        let committer = Committer::start(writer, figures.clone(), options.on_fatal)?;
        let (patient, impatient) = (options::patient(), options::impatient());
        Ok(Arc::new(Self { database, committer, figures, patient, impatient }))
    }

    /// Groups written since the database was made: the value under [`COMMITS_KEY`]. Not a count of batches.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.database.commits.load(Ordering::Acquire)
    }

    /// Finishes the commits that wait, refuses later ones with [`StoreError::Closed`], and stops background work.
    /// Reads go on. The directory is free for another process once the engine is dropped, which closes too.
    pub fn close(&self) {
        self.committer.close();
        if let Err(error) = self.database.db.flush_wal(true) {
            tracing::error!(%error, "the index's log could not be synced");
        }
        self.database.db.cancel_all_background_work(true);
    }
}

impl Drop for RocksKv {
    fn drop(&mut self) {
        self.close();
    }
}

impl Database {
    fn family(&self, family: Family) -> Result<&ColumnFamily> {
        let handle = self.db.cf_handle(family.name());
        handle.ok_or_else(|| StoreError::Index(format!("column family {} is not open", family.name())))
    }

    fn get(&self, family: Family, key: &[u8], options: &ReadOptions) -> Result<Option<Bytes>, ReadFailure> {
        let handle = self.family(family).map_err(ReadFailure::Other)?;
        match self.db.get_pinned_cf_opt(handle, key, options) {
            Ok(row) => Ok(row.map(|row| Bytes::copy_from_slice(&row))),
            Err(error) if error.kind() == ErrorKind::Incomplete => Err(ReadFailure::NotCached),
            Err(error) => Err(ReadFailure::Other(broken_read(family, &error))),
        }
    }

    fn stored_commits(&self) -> Result<u64> {
        let Some(row) = self.get(Family::System, COMMITS_KEY, &options::patient()).map_err(StoreError::from)? else {
            return Ok(0);
        };
        let row = <[u8; 8]>::try_from(&row[..]).map_err(|_| {
            StoreError::from(Corruption::Row { family: Family::System.name(), what: "the count of commits".into() })
        })?;
        Ok(u64::from_le_bytes(row))
    }

    fn sum(&self, property: &properties::PropName) -> f64 {
        let of = |family: &Family| {
            let value = self.db.property_int_value_cf(self.family(*family).ok()?, property).ok()?;
            value.map(figure)
        };
        Family::ALL.iter().filter_map(of).sum()
    }
}

enum ReadFailure {
    NotCached,
    Other(StoreError),
}

impl From<ReadFailure> for StoreError {
    fn from(failure: ReadFailure) -> Self {
        match failure {
            ReadFailure::NotCached => Self::Index("a read found nothing in memory, but was told to wait".into()),
            ReadFailure::Other(error) => error,
        }
    }
}

fn broken_read(family: Family, error: &rocksdb::Error) -> StoreError {
    if error.kind() == ErrorKind::Corruption {
        return Corruption::Row { family: family.name(), what: error.to_string() }.into();
    }
    StoreError::Index(error.to_string())
}

/// Why a database could not be opened, in words that tell what to do.
fn refused(path: &Path, error: &rocksdb::Error) -> StoreError {
    let (path, text) = (path.display(), error.to_string());
    let locked = text.contains("lock hold by current process") || text.contains("While lock file");
    if locked {
        return StoreError::Open(format!("the index {path} is in use by another cairn server ({text})"));
    }
    match error.kind() {
        ErrorKind::Corruption => StoreError::Open(format!("the index {path} is damaged: {text}")),
        ErrorKind::InvalidArgument if text.contains("column famil") || text.contains("Column famil") => {
            StoreError::Open(format!("the index {path} was written by a newer release: {text}"))
        }
        _ if no_space(&text) => StoreError::Full(format!("the index {path} cannot be opened: {text}")),
        _ => StoreError::Open(format!("the index {path} cannot be opened: {text}")),
    }
}

/// Whether RocksDB's status tells of a full disk. It has no other mark of it than the operating system's words.
fn no_space(text: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "NoSpace"].iter().any(|words| text.contains(words))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn figure(value: u64) -> f64 {
    value as f64
}

/// The committer's side of the database.
struct Writer {
    database: Arc<Database>,
    durable: WriteOptions,
    patient: ReadOptions,
    watch: Watch,
    full: bool,
    /// Rows removed from each family since its memtable was last flushed for it, by the order of [`Family::ALL`].
    removed: [u32; Family::ALL.len()],
}

impl Engine for Writer {
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.database.get(family, key, &self.patient).map_err(StoreError::from)
    }

    fn any_with_prefix(&self, family: Family, prefix: &[u8], gone: &dyn Fn(&[u8]) -> bool) -> Result<bool> {
        let handle = self.database.family(family)?;
        let mut rows = self.database.db.raw_iterator_cf_opt(handle, scan::bounded(prefix_end(prefix)));
        rows.seek(prefix);
        while let Some(key) = rows.key() {
            if !gone(key) {
                return Ok(true);
            }
            rows.next();
        }
        rows.status().map_err(|error| broken_read(family, &error))?;
        Ok(false)
    }

    fn write(&mut self, group: &Overlay) -> Result<(), WriteFailure> {
        let commits = self.database.commits.load(Ordering::Relaxed) + 1;
        let batch = self.encode(group, commits).map_err(|error| WriteFailure::Broken(error.to_string()))?;
        match self.database.db.write_opt(&batch, &self.durable) {
            Ok(()) => {
                self.database.commits.store(commits, Ordering::Release);
                if std::mem::take(&mut self.full) {
                    tracing::info!("the index has room again");
                }
                self.shed_removed(group);
                Ok(())
            }
            Err(error) if no_space(error.as_ref()) => {
                if let Some(fatal) = self.watch.fatal() {
                    return Err(WriteFailure::Broken(fatal));
                }
                // RocksDB watches the free space after this and resumes by itself; until then each write is refused.
                if !std::mem::replace(&mut self.full, true) {
                    tracing::warn!(%error, "no space left for the index");
                }
                Err(WriteFailure::Full(error.to_string()))
            }
            Err(error) => Err(WriteFailure::Broken(error.to_string())),
        }
    }
}

impl Writer {
    /// Scans step over each removed row until a flush and a compaction have dropped it. A family from which many
    /// were removed is therefore flushed before its memtable is full; the compaction follows from the file's count.
    fn shed_removed(&mut self, group: &Overlay) {
        for (family, _, value) in group.rows() {
            if value.is_none()
                && let Some(count) = self.removed.get_mut(family as usize - 1)
            {
                *count += 1;
            }
        }
        for (family, count) in Family::ALL.into_iter().zip(&mut self.removed) {
            if *count >= options::REMOVED_BEFORE_FLUSH {
                *count = 0;
                let flushed = self.database.family(family).map(|handle| {
                    let mut options = FlushOptions::default();
                    options.set_wait(false);
                    self.database.db.flush_cf_opt(handle, &options)
                });
                if let Ok(Err(error)) = flushed {
                    // Only scans are slower for it; the next flush comes anyway.
                    tracing::debug!(%error, family = family.name(), "removed rows could not be flushed");
                }
            }
        }
    }

    fn encode(&self, group: &Overlay, commits: u64) -> Result<WriteBatch> {
        let mut batch = WriteBatch::default();
        let mut last: Option<(Family, &ColumnFamily)> = None;
        for (family, key, value) in group.rows() {
            let handle = match last {
                Some((known, handle)) if known == family => handle,
                _ => self.database.family(family)?,
            };
            last = Some((family, handle));
            match value {
                Some(value) => batch.put_cf(handle, key, value),
                None => batch.delete_cf(handle, key),
            }
        }
        batch.put_cf(self.database.family(Family::System)?, COMMITS_KEY, commits.to_le_bytes());
        Ok(batch)
    }
}

impl Kv for RocksKv {
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached> {
        match self.database.get(family, key, &self.impatient) {
            Ok(row) => Ok(Cached::Known(row)),
            Err(ReadFailure::NotCached) => Ok(Cached::Unknown),
            Err(ReadFailure::Other(error)) => Err(error),
        }
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.database.get(family, key, &self.patient).map_err(StoreError::from)
    }

    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
        scan::run(&self.database, scan, visit)
    }

    fn commit(&self, batch: Batch) -> CommitFuture {
        self.committer.commit(batch)
    }

    fn checkpoint(&self, path: &Path) -> Result<()> {
        let taken = Checkpoint::new(&self.database.db).and_then(|checkpoint| checkpoint.create_checkpoint(path));
        taken.map_err(|error| {
            let text = error.to_string();
            if no_space(&text) { StoreError::Full(text) } else { StoreError::Index(text) }
        })
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let of = |value: &AtomicU64| figure(value.load(Ordering::Relaxed));
        let figures = &*self.figures;
        let (commits, groups) = (of(&figures.commits), of(&figures.groups));
        let database = &*self.database;
        let whole = |property: &properties::PropName| {
            database.db.property_int_value(property).ok().flatten().map_or(0.0, figure)
        };
        let keys = database
            .family(Family::Current)
            .ok()
            .and_then(|family| database.db.property_int_value_cf(family, properties::ESTIMATE_NUM_KEYS).ok().flatten());
        let memory = &database.memory;
        let bytes = |value: usize| figure(value as u64);
        vec![
            ("index_commits", "Batches committed.", commits),
            ("index_groups", "Groups of batches written, one sync each.", groups),
            ("index_group_size", "Mean batches in a group.", if groups > 0.0 { commits / groups } else { 0.0 }),
            ("index_conflicts", "Batches refused because a check or a limit did not hold.", of(&figures.conflicts)),
            ("index_queue", "Batches that wait to be committed.", of(&figures.queued)),
            ("index_write_seconds", "Time in writing and syncing groups.", of(&figures.write_micros) / 1e6),
            ("index_cache_bytes", "Memory of cached blocks and memtables.", bytes(memory.cache.get_usage())),
            ("index_memtable_bytes", "Memory of memtables.", bytes(memory.memtables.get_usage())),
            ("index_compactions", "Compactions that run.", whole(properties::NUM_RUNNING_COMPACTIONS)),
            ("index_current_keys", "Estimate of current objects.", keys.map_or(0.0, figure)),
            ("index_table_bytes", "Bytes of live table files.", database.sum(properties::LIVE_SST_FILES_SIZE)),
        ]
    }
}
