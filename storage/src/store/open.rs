//! Opening a store on data directories.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Limits, Store};
use crate::chunks::SegmentUse;
use crate::chunks::local::{LocalChunks, LocalOptions};
use crate::disk::Disk;
use crate::disk::blocking::BlockingDisk;
use crate::disk::data_directory::DataDirectory;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys;
use crate::kv::rocks::{RocksKv, RocksOptions};
use crate::kv::{Family, Kv, Scan, Visit};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directories, one on each drive, in the order in which they were first given. The first also holds the
    /// index. New ones are added at the end.
    pub data: Vec<PathBuf>,
    /// Memory for the index: cached blocks and memtables, bytes.
    pub block_cache_bytes: usize,
    /// Length of new segments in bytes; by default it follows the size of the drive.
    pub segment_bytes: Option<u32>,
    /// What bounds memory and threads.
    pub limits: Limits,
}

impl Store {
    /// Opens, or creates, the store in these directories. Waits for the disk: seconds, however much is stored.
    ///
    /// # Errors
    /// [`StoreError::Open`] when a directory is in use, missing, another store's or of a newer format.
    pub fn open(options: StoreOptions) -> Result<Arc<Self>> {
        let mut directories = Vec::new();
        for path in &options.data {
            directories.push(DataDirectory::open(path)?);
        }
        let first = directories.first_mut().ok_or_else(|| StoreError::Open("no data directory is given".to_owned()))?;
        let store_id = match first.store_id() {
            Some(known) => known,
            None => new_store_id()?,
        };
        // Marked before anything is written that belongs to the store.
        first.mark(store_id)?;
        let index = first.folder("index")?;
        for directory in &mut directories {
            directory.mark(store_id)?;
        }
        let rocks = RocksOptions {
            block_cache_bytes: options.block_cache_bytes,
            memtable_bytes: (options.block_cache_bytes / 4).min(128 << 20),
            on_fatal: Arc::new(|reason| {
                tracing::error!(reason, "the metadata index failed: ending the process, so that nothing is acknowledged that is not stored");
                std::process::abort();
            }),
            ..RocksOptions::default()
        };
        let kv: Arc<dyn Kv> = RocksKv::open(&index, rocks)?;
        let mut drives: Vec<Arc<dyn Disk>> = Vec::new();
        for directory in &directories {
            drives.push(Arc::new(BlockingDisk::open(directory.folder("segments")?)?));
        }
        let live = segments_in_use(kv.as_ref())?;
        let chunks = LocalOptions { segment_bytes: options.segment_bytes, ..LocalOptions::new(drives, store_id) };
        let chunks = LocalChunks::open(chunks, live)?;
        Self::with_directories(kv, chunks, options.limits, directories)
    }
}

fn new_store_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Open(format!("no random numbers: {error}")))?;
    Ok(id)
}

/// The segments in which the index places chunks.
pub fn segments_in_use(kv: &dyn Kv) -> Result<Vec<SegmentUse>> {
    let (mut used, mut damaged) = (Vec::new(), None);
    let scan = Scan {
        families: vec![Family::Counters],
        from: keys::segments(),
        to: keys::after_prefix(&keys::segments()),
    };
    kv.scan(&scan, &mut |_, key, value| {
        let live = value.try_into().ok().map(i64::from_le_bytes).and_then(|bytes| u64::try_from(bytes).ok());
        match (keys::parse_segment(key), live) {
            (Some((drive, segment)), Some(live_bytes)) if live_bytes > 0 => {
                used.push(SegmentUse { drive, segment, live_bytes });
            }
            (Some(_), Some(_)) => {}
            _ => damaged = Some(format!("segment counter {key:?}")),
        }
        Visit::Next
    })?;
    match damaged {
        Some(what) => Err(Corruption::Row { family: Family::Counters.name(), what }.into()),
        None => Ok(used),
    }
}
