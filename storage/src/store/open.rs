//! Opening a store on data directories.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Limits, Store, segments_in_use};
use crate::chunks::local::{LocalChunks, LocalOptions};
use crate::disk::Disk;
use crate::disk::data_directory::DataDirectory;
use crate::disk::engine::{self, EngineChoice};
use crate::error::{Result, StoreError};
use crate::kv::Kv;
use crate::kv::rocks::{RocksKv, RocksOptions};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The data directories, one on each drive, in the order in which they were first given. The first also holds the
    /// index. New ones are added at the end.
    pub data: Vec<PathBuf>,
    /// Memory for the index: cached blocks and memtables, bytes.
    pub block_cache_bytes: usize,
    /// The largest that segment files become, bytes; small drives get smaller ones.
    pub largest_segment_bytes: u32,
    /// How chunks are read.
    pub io_engine: EngineChoice,
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
                tracing::error!(
                    reason,
                    "the metadata index failed: ending the process, so that nothing is acknowledged that is not stored"
                );
                std::process::abort();
            }),
            ..RocksOptions::default()
        };
        let kv: Arc<dyn Kv> = RocksKv::open(&index, rocks)?;
        let mut drives: Vec<Arc<dyn Disk>> = Vec::new();
        for directory in &directories {
            drives.push(engine::open(&directory.folder("segments")?, options.io_engine)?);
        }
        let live = segments_in_use(kv.as_ref())?;
        let chunks = LocalOptions {
            largest_segment_bytes: options.largest_segment_bytes,
            ..LocalOptions::new(drives, store_id)
        };
        let chunks = LocalChunks::open(chunks, live)?;
        Self::with_directories(kv, chunks, options.limits, directories)
    }
}

fn new_store_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Open(format!("no random numbers: {error}")))?;
    Ok(id)
}
