//! Opening a store on data directories.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Limits, Store, segments_in_use};
use crate::chunks::SegmentUse;
use crate::chunks::local::{LocalChunks, LocalOptions};
use crate::disk::Disk;
use crate::disk::data_directory::DataDirectory;
use crate::disk::engine::{self, EngineChoice};
use crate::error::{Result, StoreError};
use crate::kv::rocks::{RocksKv, RocksOptions, repair};
use crate::kv::{Family, Kv};

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
        Self::open_with(options, segments_in_use)
    }

    /// Opens the store for a repair: no segment is taken for free, whatever the index says of it, so that nothing is
    /// used again that a repair could find. To be closed and opened anew before it is written to.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_to_repair(options: StoreOptions) -> Result<Arc<Self>> {
        Self::open_repairing(options, false)
    }

    pub(super) fn open_repairing(options: StoreOptions, is_first_new: bool) -> Result<Arc<Self>> {
        let folders: Vec<PathBuf> = options.data.iter().map(|data| data.join("segments")).collect();
        Self::open_with(options, move |kv| {
            let mut used = segments_in_use(kv)?;
            used.retain(|one| one.drive != 0 || !is_first_new);
            for (drive, folder) in (0..).zip(&folders) {
                for segment in crate::disk::data_directory::segment_numbers(folder)? {
                    if !used.iter().any(|one| (one.drive, one.segment) == (drive, segment)) {
                        used.push(SegmentUse { drive, segment, live_bytes: 1 });
                    }
                }
            }
            Ok(used)
        })
    }

    fn open_with(options: StoreOptions, in_use: impl FnOnce(&dyn Kv) -> Result<Vec<SegmentUse>>) -> Result<Arc<Self>> {
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
            on_fatal: Arc::new(|reason| {
                tracing::error!(
                    reason,
                    "the metadata index failed: ending the process, so that nothing is acknowledged that is not stored"
                );
                std::process::abort();
            }),
            ..index_options(&options)
        };
        let kv: Arc<dyn Kv> = RocksKv::open(&index, rocks)?;
        let mut drives: Vec<Arc<dyn Disk>> = Vec::new();
        for directory in &directories {
            drives.push(engine::open(&directory.folder("segments")?, options.io_engine)?);
        }
        let live = in_use(kv.as_ref())?;
        let chunks = LocalOptions {
            largest_segment_bytes: options.largest_segment_bytes,
            ..LocalOptions::new(drives, store_id)
        };
        let chunks = LocalChunks::open(chunks, live)?;
        Self::with_directories(kv, chunks, options.limits, directories)
    }
}

/// What becomes of the index's files.
impl Store {
    /// What of a stopped store's index is lost: column families, with the files that are missing or cut off, or why its
    /// rows cannot be read (of the family `chunks`, which is read wholly). Nothing if it is intact.
    ///
    /// # Errors
    /// [`StoreError::Open`] when a server uses it, or when more than tables are lost.
    pub fn index_damage(options: &StoreOptions) -> Result<Vec<(Family, String)>> {
        let (_locked, index) = Self::index_of(options)?;
        repair::damage(&index, &index_options(options))
    }

    /// Gives up what a stopped store's index says of chunks: [`Store::rebuild_chunk_index`] writes it anew.
    ///
    /// # Errors
    /// As [`Store::index_damage`].
    pub fn give_up_chunk_index(options: &StoreOptions) -> Result<()> {
        let (_locked, index) = Self::index_of(options)?;
        repair::give_up(&index, &index_options(options), Family::Chunks)
    }

    fn index_of(options: &StoreOptions) -> Result<(DataDirectory, PathBuf)> {
        let path = options.data.first().ok_or_else(|| StoreError::Open("no data directory is given".to_owned()))?;
        let directory = DataDirectory::open(path)?;
        let index = path.join("index");
        Ok((directory, index))
    }
}

fn index_options(options: &StoreOptions) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: options.block_cache_bytes,
        memtable_bytes: (options.block_cache_bytes / 4).min(128 << 20),
        ..RocksOptions::default()
    }
}

fn new_store_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Open(format!("no random numbers: {error}")))?;
    Ok(id)
}
