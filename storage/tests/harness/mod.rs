//! What the store's suites share: a reference model, a client that works the store as the object layer does, and an
//! audit of everything that the index holds.

#![allow(dead_code, reason = "each suite uses a part")]

pub mod audit;
pub mod chores;
pub mod client;
pub mod client_more;
pub mod doubles;
pub mod driver;
pub mod observe;
pub mod scenarios;
pub mod scenarios_more;
pub mod state;
pub mod tier;
pub mod world;

use std::sync::Arc;

use bytes::Bytes;
use storage::chunking::Chunking;
use storage::chunks::local::{LocalChunks, LocalOptions, Threading};
use storage::compress::Codec;
use storage::disk::Disk;
use storage::kv::Kv;
use storage::store::{Limits, segments_in_use};

/// Length of segments that are full after a handful of chunks.
pub const SMALL_SEGMENT: u32 = 64 << 10;
/// Length of segments that are worth going on with after a restart.
pub const LARGE_SEGMENT: u32 = 256 << 10;

/// `SplitMix64`: small, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Seeds from here on begin streams of few words, which can be compressed.
pub const TEXTS: u64 = 1 << 40;

/// An object's bytes: the first `length` of an endless stream that `seed` begins, so that bodies of one seed share
/// their first chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Body {
    pub seed: u64,
    pub length: usize,
}

impl Body {
    pub const fn new(seed: u64, length: usize) -> Self {
        Self { seed, length }
    }

    pub fn bytes(self) -> Bytes {
        let mut random = Random(self.seed);
        let mut word = || if self.seed < TEXTS { random.next() } else { self.seed + random.next() % 8 };
        let words = std::iter::repeat_with(|| word().to_le_bytes()).take(self.length.div_ceil(8));
        let mut bytes: Vec<u8> = words.flatten().collect();
        bytes.truncate(self.length);
        bytes.into()
    }
}

/// Few threads and little memory: thousands of stores are opened.
pub fn limits(chunk_bytes: u32) -> Limits {
    compressing(chunk_bytes, Codec::Plain)
}

/// As [`limits`], with a codec.
pub fn compressing(chunk_bytes: u32, compression: Codec) -> Limits {
    Limits {
        chunk_bytes,
        buffer_bytes: 4 << 20,
        index_read_threads: 1,
        hash_threads: 1,
        compression,
        chunking: Chunking::Fixed,
    }
}

/// Opens chunks on a disk as the server does: with the segments that the index has chunks in.
pub fn open_chunks(
    disk: Arc<dyn Disk>,
    kv: &dyn Kv,
    segment_bytes: u32,
    threading: Threading,
) -> storage::Result<Arc<LocalChunks>> {
    let mut options = LocalOptions::new(vec![disk], [3; 16]);
    options.segment_bytes = Some(segment_bytes);
    options.reserve_bytes = Some(0);
    options.spares = 1;
    options.read_threads = 2;
    options.threading = threading;
    options.on_fatal = Arc::new(|_| {});
    LocalChunks::open(options, segments_in_use(kv)?)
}

/// A runtime on this thread alone, so that the order of what happens is the same each time.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// A number from the environment.
pub fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    Some(parsed.unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

/// Threads to spread work over.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8)
}
