use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::StoreError;
use crate::chunks::body::Body;
use crate::chunks::contract::{content, put, put_live};
use crate::chunks::frame::BLOCK_BYTES;
use crate::chunks::local::{LocalChunks, LocalOptions, Threading};
use crate::chunks::segment::{DATA_START, Role, file_name};
use crate::chunks::{ChunkStore, SegmentUse};
use crate::compress::Codec;
use crate::disk::Disk;
use crate::disk::blocking::BlockingDisk;
use crate::disk::sim::{Fault, Repeat, SimDisk};
use crate::error::Result;
use crate::types::{ChunkId, Place};

const SEGMENT: u32 = 256 << 10;
const STORE: [u8; 16] = *b"store-id-of-test";

fn options(disks: &[SimDisk], threading: Threading) -> LocalOptions {
    let drives = disks.iter().map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>).collect();
    let mut options = LocalOptions::new(drives, STORE);
    options.segment_bytes = Some(SEGMENT);
    options.reserve_bytes = Some(0);
    options.threading = threading;
    options.on_fatal = Arc::new(|_| {});
    options
}

fn open(disk: &SimDisk, live: &[Place]) -> Result<Arc<LocalChunks>> {
    LocalChunks::open(options(std::slice::from_ref(disk), Threading::Inline), uses(live))
}

fn uses(live: &[Place]) -> Vec<SegmentUse> {
    let one = |place: &Place| SegmentUse {
        drive: place.drive,
        segment: place.segment,
        live_bytes: u64::from(place.occupied),
    };
    live.iter().map(one).collect()
}

async fn read(store: &dyn ChunkStore, id: ChunkId, place: Place) -> Result<Bytes> {
    store.read(id, place, 0..place.length).await
}

fn gauge(store: &dyn ChunkStore, name: &str) -> f64 {
    store.gauges().into_iter().find(|(known, _, _)| *known == name).unwrap().2
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_dead_segment_is_recycled_and_its_old_places_are_refused() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let (first_id, first) = put_live(&*store, &content(1, 100_000)).await;
    // The segment is full after two, and recycled once both are dead.
    let (_, second) = put_live(&*store, &content(2, 100_000)).await;
    let (_, third) = put_live(&*store, &content(3, 100_000)).await;
    assert_eq!((first.segment, second.segment), (third.segment - 1, first.segment));
    store.note_dead(&first);
    assert!(read(&*store, first_id, first).await.is_ok());
    store.note_dead(&second);
    assert!(matches!(read(&*store, first_id, first).await, Err(StoreError::Conflict)));
    let mut seen = Vec::new();
    for seed in 10..16 {
        seen.push(put_live(&*store, &content(seed, 100_000)).await.1);
    }
    let again = seen.iter().find(|place| place.segment == first.segment).unwrap();
    assert_eq!(again.epoch, first.epoch + 1);
    assert!(matches!(read(&*store, first_id, first).await, Err(StoreError::Conflict)));
    assert!(gauge(&*store, "chunks_segments_recycled_total") >= 1.0);
}

#[tokio::test]
async fn a_hold_and_a_reader_keep_a_dead_segment() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let (id, written) = put(&*store, &content(1, 200_000)).await;
    let (_, other) = put_live(&*store, &content(2, 200_000)).await;
    assert_ne!(other.segment, written.place.segment);
    for seed in 3..9 {
        let (_, place) = put_live(&*store, &content(seed, 200_000)).await;
        store.note_dead(&place);
    }
    assert!(read(&*store, id, written.place).await.is_ok());
    let place = written.place;
    let clone = written.clone();
    drop(written);
    assert!(read(&*store, id, place).await.is_ok());
    drop(clone);
    assert!(matches!(read(&*store, id, place).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_heals() {
    for threading in [Threading::Inline, Threading::Threads] {
        let disk = SimDisk::new();
        disk.set_capacity(4 * u64::from(SEGMENT) + 4096);
        let store = LocalChunks::open(options(std::slice::from_ref(&disk), threading), vec![]).unwrap();
        let mut written = Vec::new();
        let refusal = loop {
            let data = content(written.len() as u64 + 1, 100_000);
            let id = ChunkId::of(&data);
            match store.write(id, data.clone()).await {
                Ok(chunk) => {
                    store.note_live(&chunk.place);
                    written.push((id, chunk.place, data));
                }
                Err(error) => break error,
            }
            assert!(written.len() < 100);
        };
        assert!(matches!(refusal, StoreError::Full(_)), "{refusal}");
        assert_eq!(written.len(), 8);
        // A smaller chunk still fits into what is left.
        put_live(&*store, &content(99, 20_000)).await;
        for (id, place, data) in &written {
            assert_eq!(read(&*store, *id, *place).await.unwrap(), data);
        }
        assert!(matches!(store.admit(), Err(StoreError::Full(_))));
        for (_, place, _) in &written {
            store.note_dead(place);
        }
        put_live(&*store, &content(100, 100_000)).await;
        store.admit().unwrap();
    }
}

#[tokio::test]
async fn below_the_reserve_dead_segments_are_given_back() {
    let disk = SimDisk::new();
    let mut options = options(std::slice::from_ref(&disk), Threading::Inline);
    options.reserve_bytes = Some(u64::from(SEGMENT));
    options.spares = 1;
    let store = LocalChunks::open(options, vec![]).unwrap();
    let mut places = Vec::new();
    for seed in 1..20 {
        places.push(put_live(&*store, &content(seed, 200_000)).await.1);
    }
    let used = |disk: &SimDisk| disk.space().unwrap().total - disk.space().unwrap().free;
    let before = used(&disk);
    // Something else fills the disk.
    disk.set_capacity(before + 1000);
    for place in &places {
        store.note_dead(place);
    }
    // Any work lets the preparer look.
    put_live(&*store, &content(30, 30_000)).await;
    assert!(used(&disk) < before);
    assert!(disk.space().unwrap().free >= u64::from(SEGMENT));
    assert!(gauge(&*store, "chunks_segments_removed_total") > 0.0);
    put_live(&*store, &content(31, 100_000)).await;
}

#[tokio::test]
async fn a_failing_disk_ends_writing_in_one_place_and_reads_go_on() {
    for fault in [Fault::Io, Fault::ShortWrite] {
        for step in 0..2 {
            let disk = SimDisk::new();
            let calls = Arc::new(AtomicUsize::new(0));
            let mut options = options(std::slice::from_ref(&disk), Threading::Inline);
            let counter = Arc::clone(&calls);
            options.on_fatal = Arc::new(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            let store = LocalChunks::open(options, vec![]).unwrap();
            let data = content(1, 5000);
            let (id, place) = put_live(&*store, &data).await;
            disk.fail(disk.operations() + step, fault, Repeat::Once);
            let other = content(2, 5000);
            for _ in 0..2 {
                let error = store.write(ChunkId::of(&other), other.clone()).await.err().unwrap();
                assert!(matches!(error, StoreError::Io(_)), "{error}");
            }
            assert!(store.admit().is_err());
            assert_eq!(calls.load(Ordering::Relaxed), 1);
            assert_eq!(read(&*store, id, place).await.unwrap(), data);
        }
    }
}

#[tokio::test]
async fn no_space_for_a_write_in_place_is_not_fatal() {
    // File systems that never overwrite in place run out of space at any write.
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    put_live(&*store, &content(1, 5000)).await;
    disk.fail(disk.operations(), Fault::NoSpace, Repeat::Once);
    let data = content(2, 5000);
    let error = store.write(ChunkId::of(&data), data.clone()).await.err().unwrap();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let (id, place) = put_live(&*store, &data).await;
    assert_eq!(read(&*store, id, place).await.unwrap(), data);
}

#[tokio::test]
async fn damage_is_found_where_it_is_and_nowhere_else() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let data = content(1, 3 * BLOCK_BYTES);
    let (id, place) = put_live(&*store, &data).await;
    let name = file_name(place.segment);
    let block = u32::try_from(BLOCK_BYTES).unwrap();
    let data_start = u64::from(place.offset) + 64 + 3 * 4;
    assert!(disk.flip(&name, data_start + u64::from(block) + 5, 1));
    assert!(matches!(read(&*store, id, place).await, Err(StoreError::Corrupt(_))));
    assert!(store.read(id, place, block..block + 1).await.is_err());
    assert_eq!(store.read(id, place, 0..block).await.unwrap(), data.slice(..block as usize));
    assert_eq!(store.read(id, place, 2 * block..3 * block).await.unwrap(), data.slice(2 * block as usize..));
    assert!(disk.flip(&name, data_start + u64::from(block) + 5, 1));
    for offset in [0, 8, 12, 21, 60, 64] {
        assert!(disk.flip(&name, u64::from(place.offset) + offset, 4));
        let error = read(&*store, id, place).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "offset {offset}: {error}");
        assert!(disk.flip(&name, u64::from(place.offset) + offset, 4));
    }
    assert_eq!(read(&*store, id, place).await.unwrap(), data);
    assert!(gauge(&*store, "chunks_damaged_reads_total") >= 8.0);
    // A place that the index cannot have: an error, not a panic.
    for place in [
        Place { offset: u32::MAX - 511, ..place },
        Place { length: 0, ..place },
        Place { occupied: 1, ..place },
        Place { drive: 9, ..place },
    ] {
        assert!(store.read(id, place, 0..place.length.min(1)).await.is_err() || place.length == 0);
    }
    disk.fail_reads(true);
    assert!(matches!(read(&*store, id, place).await, Err(StoreError::Io(_))));
}

#[tokio::test]
async fn a_closed_store_goes_on_where_it_was_and_a_killed_one_finds_out() {
    let disk = SimDisk::new();
    let mut live = Vec::new();
    let mut chunks = Vec::new();
    for round in 0..6u64 {
        let store = open(&disk, &live).unwrap();
        let data = content(round + 1, 10_000);
        let (id, place) = put_live(&*store, &data).await;
        live.push(place);
        chunks.push((id, place, data));
        for (id, place, data) in &chunks {
            assert_eq!(read(&*store, *id, *place).await.unwrap(), data);
        }
        if round % 2 == 0 {
            store.close();
            let late = content(77, 100);
            assert!(matches!(store.write(ChunkId::of(&late), late).await, Err(StoreError::Closed)));
        } else {
            // As a kill would: nothing is closed.
            std::mem::forget(store);
        }
    }
    let segments: Vec<u32> = live.iter().map(|place| place.segment).collect();
    assert!(segments.iter().all(|segment| *segment == segments[0]), "{segments:?}");
    let ends: Vec<u32> = live.iter().map(|place| place.offset).collect();
    assert!(ends.is_sorted(), "{ends:?}");
}

#[tokio::test]
async fn a_damaged_frame_header_does_not_hide_live_frames_from_recovery() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let mut chunks = Vec::new();
    for seed in 1..5 {
        let data = content(seed, 20_000);
        let (id, place) = put_live(&*store, &data).await;
        chunks.push((id, place, data));
    }
    let live: Vec<Place> = chunks.iter().map(|(_, place, _)| *place).collect();
    std::mem::forget(store);
    assert!(disk.flip(&file_name(live[1].segment), u64::from(live[1].offset) + 3, 8));
    let store = open(&disk, &live).unwrap();
    let (_, after) = put_live(&*store, &content(9, 20_000)).await;
    assert!(after.segment != live[3].segment || after.offset >= live[3].offset + live[3].occupied);
    for (index, (id, place, data)) in chunks.iter().enumerate() {
        match read(&*store, *id, *place).await {
            Ok(back) => assert_eq!(back, data),
            Err(error) => assert!(index == 1 && matches!(error, StoreError::Corrupt(_)), "{index}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_lost_header_costs_no_chunk_and_a_lost_file_only_its_own() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let mut chunks = Vec::new();
    for seed in 1..4 {
        let data = content(seed, 200_000);
        let (id, place) = put_live(&*store, &data).await;
        chunks.push((id, place, data));
    }
    store.close();
    let live: Vec<Place> = chunks.iter().map(|(_, place, _)| *place).collect();
    for slot in [0, 4096] {
        // The second slot may never have been written.
        let _ = disk.flip(&file_name(live[0].segment), slot + 1, 1);
    }
    disk.remove(&file_name(live[1].segment)).unwrap();
    let store = open(&disk, &live).unwrap();
    assert_eq!(read(&*store, chunks[0].0, live[0]).await.unwrap(), chunks[0].2);
    assert!(matches!(read(&*store, chunks[1].0, live[1]).await, Err(StoreError::Corrupt(_))));
    assert_eq!(read(&*store, chunks[2].0, live[2]).await.unwrap(), chunks[2].2);
    assert!((gauge(&*store, "chunks_segments_lost") - 1.0).abs() < 0.1);
    // The segment without a header is removed, not recycled, when it is dead.
    store.note_dead(&live[0]);
    put_live(&*store, &content(9, 200_000)).await;
    assert!(disk.content(&file_name(live[0].segment)).is_none());
    assert!(matches!(read(&*store, chunks[0].0, live[0]).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn missing_swapped_foreign_and_newer_drives_are_refused() {
    let disks = [SimDisk::new(), SimDisk::new()];
    let store = LocalChunks::open(options(&disks, Threading::Inline), vec![]).unwrap();
    let mut live = Vec::new();
    while live.iter().map(|place: &Place| place.drive).collect::<std::collections::HashSet<_>>().len() < 2 {
        live.push(put_live(&*store, &content(live.len() as u64 + 1, 50_000)).await.1);
        assert!(live.len() < 100);
    }
    store.close();
    let refused = |disks: &[SimDisk]| match LocalChunks::open(options(disks, Threading::Inline), uses(&live)) {
        Err(StoreError::Open(message)) => message,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    };
    assert!(refused(&disks[..1]).contains("only 1 drives"));
    assert!(refused(&[disks[1].clone(), disks[0].clone()]).contains("swapped"));
    assert!(refused(&[disks[0].clone(), SimDisk::new()]).contains("mounted"));
    let foreign = SimDisk::new();
    let mut other = options(std::slice::from_ref(&foreign), Threading::Inline);
    other.store_id = [1; 16];
    drop(LocalChunks::open(other, vec![]).unwrap());
    assert!(refused(&[foreign, disks[1].clone()]).contains("another store"));
    LocalChunks::open(options(&disks, Threading::Inline), uses(&live)).unwrap();
}

#[tokio::test]
async fn a_drive_that_is_full_or_broken_leaves_its_chunks_to_the_others() {
    let disks = [SimDisk::new(), SimDisk::new()];
    disks[0].set_capacity(2 * u64::from(SEGMENT));
    let store = LocalChunks::open(options(&disks, Threading::Inline), vec![]).unwrap();
    for seed in 1..20 {
        put_live(&*store, &content(seed, 200_000)).await;
    }
    disks[0].fail(0, Fault::Io, Repeat::Forever);
    for seed in 30..40 {
        put_live(&*store, &content(seed, 10_000)).await;
    }
    store.admit().unwrap();
}

#[tokio::test]
async fn abandoned_writes_and_reads_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(BlockingDisk::open(folder.path()).unwrap());
    let mut options = LocalOptions::new(vec![disk], STORE);
    options.segment_bytes = Some(1 << 20);
    options.reserve_bytes = Some(0);
    let store = LocalChunks::open(options, vec![]).unwrap();
    for seed in 1..60u64 {
        let data = content(seed, 100_000);
        let mut write = store.write(ChunkId::of(&data), data);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = write.as_mut().poll(&mut context);
        // The client left.
    }
    let (id, place) = put_live(&*store, &content(100, 100_000)).await;
    store.note_dead(&place);
    // Once another segment is active, all of the abandoned ones are free again.
    let (_, last) = put_live(&*store, &content(101, 1_000_000)).await;
    wait_until("abandoned segments are free", || {
        let all = store.segments();
        all.iter().all(|segment| segment.number == last.segment || matches!(segment.role(), Role::Free | Role::Ready))
    });
    assert!(matches!(read(&*store, id, place).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn small_chunks_of_a_batch_share_one_write_and_one_sync() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    put_live(&*store, &content(1, 100)).await;
    let (before, syncs) = (disk.log_len(), gauge(&*store, "chunks_syncs_total"));
    let batch = (10..20).map(|seed| content(seed, 5 << 10)).map(|data| (ChunkId::of(&data), data)).collect();
    let written: Vec<_> = store.write_batch_inline(batch).into_iter().map(|answer| answer.unwrap().place).collect();
    assert_eq!(disk.log_len() - before, 2);
    assert!((gauge(&*store, "chunks_syncs_total") - syncs - 1.0).abs() < 0.1);
    assert!(written.windows(2).all(|pair| pair[0].offset + 5632 == pair[1].offset && pair[0].occupied == 5632));
    assert_eq!(written[0].offset % 4096, 0);
    assert_eq!(DATA_START, 8192);
}

#[tokio::test]
async fn dropping_the_store_while_chunks_are_held_is_safe() {
    let disk = SimDisk::new();
    let store = LocalChunks::open(options(std::slice::from_ref(&disk), Threading::Threads), vec![]).unwrap();
    let (_, written) = put(&*store, &content(1, 5000)).await;
    let hold: Arc<dyn Any + Send + Sync> = Arc::clone(&written.hold);
    drop(store);
    drop(written);
    drop(hold);
}

/// Writers, deleters and readers at once on small segments that are recycled all the time: every chunk that is live
/// reads back, every dead one reads back or is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writes_reads_and_recycling_never_mix_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimDisk::new();
    let drives: Vec<Arc<dyn Disk>> = vec![Arc::new(BlockingDisk::open(folder.path()).unwrap()), Arc::new(sim)];
    for drive in drives {
        let mut options = LocalOptions::new(vec![drive], STORE);
        options.segment_bytes = Some(512 << 10);
        options.reserve_bytes = Some(0);
        let store = LocalChunks::open(options, vec![]).unwrap();
        let mut tasks = Vec::new();
        for worker in 0..8u64 {
            let store = Arc::clone(&store);
            tasks.push(tokio::spawn(async move {
                let mut live: Vec<(ChunkId, Place, Bytes)> = Vec::new();
                for round in 0..60u64 {
                    let seed = worker * 1000 + round + 1;
                    let length = 1 + usize::try_from(seed.wrapping_mul(0x9e37_79b9) % 150_000).unwrap();
                    let data = content(seed, length);
                    let (id, place) = put_live(&*store, &data).await;
                    live.push((id, place, data));
                    let (id, place, data) = &live[usize::try_from(round).unwrap() % live.len()];
                    assert_eq!(read(&*store, *id, *place).await.unwrap(), data);
                    if live.len() > 3 {
                        let (id, place, data) = live.remove(0);
                        let late = store.read(id, place, 0..place.length);
                        store.note_dead(&place);
                        match late.await {
                            Ok(back) => assert_eq!(back, data),
                            Err(error) => assert!(matches!(error, StoreError::Conflict), "{error}"),
                        }
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(gauge(&*store, "chunks_segments_recycled_total") > 1.0);
        assert!(gauge(&*store, "chunks_damaged_reads_total") < 1.0);
    }
}

#[tokio::test]
async fn compressed_chunks_are_read_in_ranges_verified_and_found_again() {
    let disk = SimDisk::new();
    let store = open(&disk, &[]).unwrap();
    let (_, before) = put_live(&*store, &content(1, 5_000)).await;
    // Two blocks that shrink, one that does not, the rest of one.
    let text: Vec<u8> = (0..2 * BLOCK_BYTES).map(|at| u8::try_from(at / 7 % 90).unwrap()).collect();
    let chunk = Bytes::from([&text[..], &content(2, BLOCK_BYTES), &text[..9_000]].concat());
    let id = ChunkId::of(&chunk);
    let mut places = vec![before];
    for codec in [Codec::Lz4, Codec::Zstd] {
        let written = store.write_body(id, Body::of(chunk.clone(), codec).unwrap()).await.unwrap();
        assert!((written.place.occupied as usize) < 2 * BLOCK_BYTES, "{codec}: {:?}", written.place);
        assert_eq!(written.place.length as usize, chunk.len());
        store.note_live(&written.place);
        places.push(written.place);
    }
    let (_, after) = put_live(&*store, &content(3, 5_000)).await;
    places.push(after);
    for store in [Arc::clone(&store), open(&disk, &places).unwrap()] {
        for place in &places[1..3] {
            assert_eq!(store.read_stored(id, *place).await.unwrap(), chunk);
            // As compaction reads it: written again, it is the same frame.
            let (read, body) = store.read_body(id, *place).await.unwrap();
            let body = body.expect("it is compressed");
            assert_eq!((&read, &body.chunk().unwrap()), (&chunk, &chunk));
            assert_eq!(body.layout().occupied(), place.occupied as usize);
            for start in (0..chunk.len()).step_by(BLOCK_BYTES / 3) {
                for end in [start, start + 1, start + BLOCK_BYTES, chunk.len()].map(|end| end.min(chunk.len())) {
                    let range = u32::try_from(start).unwrap()..u32::try_from(end).unwrap();
                    assert_eq!(store.read(id, *place, range).await.unwrap(), chunk[start..end], "{start}..{end}");
                }
            }
        }
        let state = ChunkStore::segments(&*store).into_iter().find(|one| one.segment == before.segment).unwrap();
        let found: Vec<Place> = store.frames(state).await.unwrap().into_iter().map(|(_, place)| place).collect();
        assert_eq!(found, places);
    }
    // Every part of the frame is verified, the lengths in its table among them.
    for at in [5, 17, 70, 64 + 4 * 4 + 1, 300, 50_000] {
        let place = places[1];
        let offset = u64::from(place.offset) + at;
        assert!(disk.flip(&file_name(place.segment), offset, 4));
        let refused = store.read_stored(id, place).await;
        assert!(matches!(refused, Err(StoreError::Corrupt(_))), "byte {at}: {refused:?}");
        assert!(disk.flip(&file_name(place.segment), offset, 4));
    }
    assert_eq!(store.read_stored(id, places[1]).await.unwrap(), chunk);
}
