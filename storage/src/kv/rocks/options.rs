//! How RocksDB is set up: memory that is a function of configuration, and a log that loses nothing silently.

use std::fmt;
use std::sync::Arc;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options, ReadOptions,
    ReadTier, WriteBufferManager, WriteOptions,
};

use super::committer::OnFatal;
use super::watch::Watch;
use crate::kv::Family;

const MIB: usize = 1 << 20;
/// Data blocks, before compression: what a point read fetches and the cache holds.
const BLOCK_BYTES: usize = 16 << 10;
/// Of the memory for caches, one in so many bytes holds single rows: a row that is looked up again and again costs its
/// own bytes, not those of the block around it, and no decompression when that block has gone.
const ROWS_OF_CACHE: usize = 8;
/// A memtable is flushed at this size, if the limit on all of them has not come first.
const MEMTABLE_BYTES: usize = 32 * MIB;
/// Memtables of a family, the one being written included, before writes wait for a flush.
const MEMTABLES: i32 = 4;
/// Log to replay at a start after a crash: well under a second.
const WAL_BYTES: u64 = 64 << 20;
/// Read ahead of a long scan.
const READAHEAD_BYTES: usize = 256 << 10;
/// A file in which this many of so many neighbours are deletions is compacted early, so that scans do not wade
/// through what garbage collection and delivery have removed.
const DELETIONS: (usize, usize) = (4096, 8192);

/// A scan that meets this many deleted rows in the memtable has it flushed, which leads to the same.
const DELETIONS_IN_MEMTABLE: u32 = 1024;

/// Rows removed from a family before its memtable is flushed for that alone.
pub(super) const REMOVED_BEFORE_FLUSH: u32 = 16_384;

/// Settings of the engine.
#[derive(Clone)]
pub struct RocksOptions {
    /// Memory for cached blocks, rows, indexes, filters and memtables together, bytes. Default 512 MiB.
    pub block_cache_bytes: usize,
    /// The part of it that memtables may take, bytes. Default 128 MiB; it is exceeded while flushes are slower than
    /// writes, by at most half.
    pub memtable_bytes: usize,
    /// Table files that are kept open. Default 512, which fits the usual limit of 1 024 descriptors.
    pub open_files: u32,
    /// Most bytes per second that flushes and compactions write; adapts itself below that. Default: no limit.
    pub background_bytes_per_second: Option<u64>,
    /// Called once when the engine can commit no more until it is reopened: the server should stop.
    pub on_fatal: OnFatal,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 512 * MIB,
            memtable_bytes: 128 * MIB,
            open_files: 512,
            background_bytes_per_second: None,
            on_fatal: Arc::new(|reason| tracing::error!(reason, "the metadata index failed")),
        }
    }
}

impl fmt::Debug for RocksOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksOptions")
            .field("block_cache_bytes", &self.block_cache_bytes)
            .field("memtable_bytes", &self.memtable_bytes)
            .field("open_files", &self.open_files)
            .field("background_bytes_per_second", &self.background_bytes_per_second)
            .finish_non_exhaustive()
    }
}

/// Memory that all families share.
pub(super) struct Memory {
    pub cache: Cache,
    /// Rows that were looked up. Apart from the blocks, as their cache holds keys of one length only.
    pub rows: Cache,
    pub memtables: WriteBufferManager,
}

impl Memory {
    pub(super) fn new(options: &RocksOptions) -> Self {
        let rows = options.block_cache_bytes / ROWS_OF_CACHE;
        let cache = Cache::new_hyper_clock_cache(options.block_cache_bytes - rows, 0);
        // Memtables are charged to the cache: one number bounds both. Never stall on this limit: the committer is the
        // only writer, and the limits on memtables per family stop it soon enough.
        let memtables =
            WriteBufferManager::new_write_buffer_manager_with_cache(options.memtable_bytes, false, cache.clone());
        Self { cache, rows: Cache::new_lru_cache(rows), memtables }
    }
}

/// Options of the whole database.
pub(super) fn database(options: &RocksOptions, memory: &Memory, watch: Watch) -> Options {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_max_background_jobs(i32::try_from((cores / 2).clamp(2, 16)).unwrap_or(2));
    db.set_max_open_files(i32::try_from(options.open_files).unwrap_or(i32::MAX));
    db.set_write_buffer_manager(&memory.memtables);
    db.set_row_cache(&memory.rows);
    db.set_max_total_wal_size(WAL_BYTES);
    // Replay ends at the first damaged record, so no later commit appears without the earlier ones. A whole log file
    // that is missing or short is told by the manifest.
    db.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    db.set_track_and_verify_wals_in_manifest(true);
    db.add_event_listener(watch);
    db.set_avoid_unnecessary_blocking_io(true);
    db.set_bytes_per_sync(MIB as u64);
    db.set_skip_stats_update_on_db_open(true);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db.set_log_level(LogLevel::Warn);
    db.set_keep_log_file_num(4);
    db.set_max_log_file_size(8 * MIB);
    if let Some(limit) = options.background_bytes_per_second {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        db.set_auto_tuned_ratelimiter(limit, 100_000, 10);
    }
    db
}

/// Options of a family.
pub(super) fn family(family: Family, memory: &Memory) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK_BYTES);
    table.set_block_cache(&memory.cache);
    table.set_format_version(6);
    // Partitions are small blocks like any other: a filter that is too large for the cache would otherwise be read
    // again for each lookup.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_max_auto_readahead_size(READAHEAD_BYTES);
    if looked_up(family) {
        table.set_bloom_filter(10.0, false);
        table.set_whole_key_filtering(true);
    }

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(MEMTABLES);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_target_file_size_base(64 * MIB as u64);
    options.set_compression_type(DBCompressionType::Lz4);
    // Records of the bottom level are many and rarely read; data of small objects is read as often as it lies there.
    let bottom = if family == Family::Inline { DBCompressionType::Lz4 } else { DBCompressionType::Zstd };
    options.set_bottommost_compression_type(bottom);
    let (deletions, window) = DELETIONS;
    options.add_compact_on_deletion_collector_factory(window, deletions, 0.5);
    options.set_memtable_op_scan_flush_trigger(DELETIONS_IN_MEMTABLE);
    options
}

/// Whether single rows are looked up, rather than only scanned.
fn looked_up(family: Family) -> bool {
    !matches!(family, Family::Refs | Family::Candidates | Family::Outbox)
}

/// Reads that may wait for a disk.
pub(super) fn patient() -> ReadOptions {
    ReadOptions::default()
}

/// Reads that must not.
pub(super) fn impatient() -> ReadOptions {
    let mut read = ReadOptions::default();
    read.set_read_tier(ReadTier::BlockCache);
    read
}

/// Writes that survive power loss.
pub(super) fn durable() -> WriteOptions {
    let mut write = WriteOptions::default();
    write.set_sync(true);
    write
}
