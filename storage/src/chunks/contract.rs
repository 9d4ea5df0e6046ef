//! What every chunk store must do, as tests that run on each of them.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::StoreError;
use crate::chunks::frame::{BLOCK_BYTES, MAX_CHUNK_BYTES};
use crate::chunks::{ChunkStore, Written};
use crate::types::ChunkId;

/// A store with room for at least 64 MiB, and what has to outlive it.
pub(crate) type Made = (Arc<dyn ChunkStore>, Box<dyn Any>);

/// `length` bytes that differ for each seed.
pub(crate) fn content(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(crate) async fn put(store: &dyn ChunkStore, data: &Bytes) -> (ChunkId, Written) {
    let id = ChunkId::of(data);
    (id, store.write(id, data.clone()).await.unwrap())
}

/// Writes, and makes live, as a commit would.
pub(crate) async fn put_live(store: &dyn ChunkStore, data: &Bytes) -> (ChunkId, crate::types::Place) {
    let (id, written) = put(store, data).await;
    store.note_live(&written.place);
    (id, written.place)
}

pub(crate) async fn chunks_of_all_sizes_read_back(store: &dyn ChunkStore) {
    let sizes =
        [1, 443, 444, 445, 5000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 131_072, 1 << 20, MAX_CHUNK_BYTES];
    let mut all = Vec::new();
    for (seed, size) in (1u64..).zip(sizes) {
        let data = content(seed, size);
        let (id, written) = put(store, &data).await;
        assert_eq!(written.place.length as usize, size);
        assert!(written.place.occupied as usize >= size);
        all.push((id, written, data));
    }
    for (id, written, data) in &all {
        let back = store.read(*id, written.place, 0..written.place.length).await.unwrap();
        assert_eq!(back, data);
    }
}

pub(crate) async fn ranges_are_exact(store: &dyn ChunkStore) {
    let length = 5 * BLOCK_BYTES + 777;
    let data = content(7, length);
    let (id, written) = put(store, &data).await;
    let edges = [
        0,
        1,
        100,
        BLOCK_BYTES - 1,
        BLOCK_BYTES,
        BLOCK_BYTES + 1,
        3 * BLOCK_BYTES,
        5 * BLOCK_BYTES + 1,
        length - 1,
        length,
    ];
    for from in edges {
        for to in edges.iter().copied().filter(|to| *to >= from) {
            let range = u32::try_from(from).unwrap()..u32::try_from(to).unwrap();
            let back = store.read(id, written.place, range).await.unwrap();
            assert_eq!(back, data.slice(from..to), "{from}..{to}");
        }
    }
}

pub(crate) async fn what_makes_no_sense_is_refused(store: &dyn ChunkStore) {
    let id = ChunkId::of(b"");
    assert!(store.write(id, Bytes::new()).await.is_err());
    assert!(store.write(id, Bytes::from(vec![0; MAX_CHUNK_BYTES + 1])).await.is_err());
    let data = content(3, 1000);
    let (id, written) = put(store, &data).await;
    assert!(store.read(id, written.place, 0..1001).await.is_err());
    #[expect(clippy::reversed_empty_ranges, reason = "on purpose")]
    let reversed = store.read(id, written.place, 5..4).await;
    assert!(reversed.is_err());
}

pub(crate) async fn another_chunks_bytes_are_never_served(store: &dyn ChunkStore) {
    let data = content(3, 1000);
    let (_, written) = put(store, &data).await;
    let other = ChunkId::of(b"another");
    let error = store.read(other, written.place, 0..1000).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
}

pub(crate) async fn many_writers_get_places_of_their_own(store: Arc<dyn ChunkStore>) {
    let mut tasks = Vec::new();
    for writer in 0..32u64 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut written = Vec::new();
            for round in 0..8u64 {
                let data = content(writer * 100 + round + 1, 1 + usize::try_from(writer * 997 + round * 4099).unwrap());
                let (id, chunk) = put(&*store, &data).await;
                written.push((id, chunk, data));
            }
            written
        }));
    }
    let mut places = HashSet::new();
    for task in tasks {
        for (id, written, data) in task.await.unwrap() {
            let place = written.place;
            assert!(places.insert((place.drive, place.segment, place.epoch, place.offset)));
            assert_eq!(store.read(id, place, 0..place.length).await.unwrap(), data);
        }
    }
}

/// Dead space is reused (or not), but a live or held chunk stays, and a dead place never answers wrong bytes.
pub(crate) async fn only_dead_chunks_disappear(store: &dyn ChunkStore) {
    let kept = content(1, 100_000);
    let (kept_id, kept_place) = put_live(store, &kept).await;
    let held = content(2, 100_000);
    let (held_id, held_written) = put(store, &held).await;
    let mut dead = Vec::new();
    for seed in 10..200u64 {
        let data = content(seed, 1 << 20);
        let (id, place) = put_live(store, &data).await;
        store.note_dead(&place);
        dead.push((id, place, data));
    }
    assert_eq!(store.read(kept_id, kept_place, 0..kept_place.length).await.unwrap(), kept);
    let place = held_written.place;
    assert_eq!(store.read(held_id, place, 0..place.length).await.unwrap(), held);
    for (id, place, data) in dead {
        match store.read(id, place, 0..place.length).await {
            Ok(back) => assert_eq!(back, data),
            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
        }
    }
}

pub(crate) async fn figures_are_named_and_finite(store: &dyn ChunkStore) {
    store.admit().unwrap();
    let gauges = store.gauges();
    let names: HashSet<_> = gauges.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(names.len(), gauges.len());
    assert!(gauges.iter().all(|(name, help, value)| !name.is_empty() && !help.is_empty() && value.is_finite()));
}

/// Runs every claim on stores from the factory.
macro_rules! contract_suite {
    ($store:ident, $make:expr) => {
        mod $store {
            use super::*;

            contract_suite!(@claim $make, chunks_of_all_sizes_read_back);
            contract_suite!(@claim $make, ranges_are_exact);
            contract_suite!(@claim $make, what_makes_no_sense_is_refused);
            contract_suite!(@claim $make, another_chunks_bytes_are_never_served);
            contract_suite!(@claim $make, only_dead_chunks_disappear);
            contract_suite!(@claim $make, figures_are_named_and_finite);

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn many_writers_get_places_of_their_own() {
                let (store, _keep): Made = $make;
                super::many_writers_get_places_of_their_own(store).await;
            }
        }
    };
    (@claim $make:expr, $claim:ident) => {
        #[tokio::test]
        async fn $claim() {
            let (store, _keep): Made = $make;
            super::$claim(&*store).await;
        }
    };
}

mod stores {
    use super::*;
    use crate::chunks::local::{LocalChunks, LocalOptions, Threading};
    use crate::chunks::memory::MemoryChunks;
    use crate::disk::Disk;
    use crate::disk::blocking::BlockingDisk;
    use crate::disk::sim::SimDisk;
    use crate::disk::uring::UringDisk;

    fn local(drives: Vec<Arc<dyn Disk>>, threading: Threading, keep: Box<dyn Any>) -> Made {
        let mut options = LocalOptions::new(drives, [7; 16]);
        options.segment_bytes = Some(16 << 20);
        options.reserve_bytes = Some(1 << 20);
        options.threading = threading;
        (LocalChunks::open(options, Vec::new()).unwrap(), keep)
    }

    fn blocking(drives: usize) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let open = |number: usize| -> Arc<dyn Disk> {
            Arc::new(BlockingDisk::open(folder.path().join(number.to_string())).unwrap())
        };
        local((0..drives).map(open).collect(), Threading::Threads, Box::new(folder))
    }

    /// `None` where the kernel allows no ring, as in most containers.
    fn uring() -> Option<Made> {
        let folder = tempfile::tempdir().unwrap();
        let disk = BlockingDisk::open(folder.path().join("0")).unwrap();
        let disk = UringDisk::start(disk).inspect_err(|(error, _)| eprintln!("no io_uring here: {error}")).ok()?;
        Some(local(vec![Arc::new(disk)], Threading::Threads, Box::new(folder)))
    }

    fn simulated(threading: Threading) -> Made {
        local(vec![Arc::new(SimDisk::new())], threading, Box::new(()))
    }

    contract_suite!(memory, (Arc::new(MemoryChunks::new()), Box::new(())));
    contract_suite!(local_on_files, super::blocking(1));
    contract_suite!(local_through_a_ring, super::uring().unwrap_or_else(|| super::blocking(1)));
    contract_suite!(local_on_three_drives, super::blocking(3));
    contract_suite!(local_simulated, super::simulated(Threading::Threads));
    contract_suite!(local_simulated_inline, super::simulated(Threading::Inline));
}
