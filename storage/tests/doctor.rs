//! The doctor names what is hit, and nothing else: compared with reading every object wholly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeSet;
use std::sync::Arc;

use harness::client::Client;
use harness::{Body, TEXTS, compressing, limits, open_chunks, runtime};
use storage::chunks::ChunkStore as _;
use storage::chunks::local::{LocalChunks, Threading};
use storage::compact::{Compaction, Thrift};
use storage::compress::Codec;
use storage::disk::Disk;
use storage::disk::sim::SimDisk;
use storage::doctor::{Depth, Examined, Summary};
use storage::kv::memory::MemoryKv;
use storage::kv::{Batch, Family, Kv};
use storage::store::Limits;
use storage::types::ChunkId;
use storage::{Store, StoreError};

const SEGMENT: u32 = 64 << 10;
const CHUNK: u32 = 8 << 10;
const KEYS: usize = 12;

struct Opened {
    store: Arc<Store>,
    chunks: Arc<LocalChunks>,
}

fn open(disk: &SimDisk, kv: &Arc<MemoryKv>) -> Opened {
    open_with(disk, kv, limits(CHUNK))
}

fn open_with(disk: &SimDisk, kv: &Arc<MemoryKv>, limits: Limits) -> Opened {
    let chunks = open_chunks(Arc::new(disk.clone()), &**kv, SEGMENT, Threading::Threads).unwrap();
    let store = Store::new(Arc::clone(kv) as Arc<dyn Kv>, Arc::clone(&chunks) as _, limits).unwrap();
    Opened { store, chunks }
}

/// A store with small and large objects, an upload, and shared chunks; closed in order.
async fn filled() -> (SimDisk, Arc<MemoryKv>) {
    let (disk, kv) = (SimDisk::new(), Arc::new(MemoryKv::new()));
    let opened = open(&disk, &kv);
    let client = Client { store: Arc::clone(&opened.store) };
    client.create_bucket("bucket").await.unwrap();
    for number in 0..KEYS {
        // Every third is small; every fourth shares its bytes with the one before.
        let length = if number % 3 == 0 { 900 } else { 9_000 + number * 2_000 };
        let seed = if number % 4 == 3 { number - 1 } else { number };
        client.put("bucket", &format!("key-{number:02}"), &Body::new(seed as u64, length).bytes()).await.unwrap();
    }
    let upload = client.create_upload("bucket", "open").await.unwrap();
    let upload = client.upload("bucket", "open", upload).await.unwrap();
    client.put_part(&upload, 1, &Body::new(77, 30_000).bytes()).await.unwrap();
    opened.chunks.close();
    (disk, kv)
}

/// What the doctor says is hit, and the whole summary.
async fn examined(store: &Arc<Store>, depth: Depth) -> (BTreeSet<String>, Vec<Examined>, Summary) {
    let mut all = Vec::new();
    let summary = store.examine(depth, &mut |examined| all.push(examined)).await.unwrap();
    let hit = all.iter().filter(|examined| examined.damage.is_some()).map(|examined| examined.key.clone()).collect();
    (hit, all, summary)
}

/// The keys whose bytes cannot all be read, found out by reading them.
async fn unreadable(store: &Arc<Store>) -> BTreeSet<String> {
    let client = Client { store: Arc::clone(store) };
    let bucket = client.bucket("bucket").await.unwrap();
    let mut found = BTreeSet::new();
    for number in 0..KEYS {
        let key = format!("key-{number:02}");
        let version = store.current(bucket.id, &key).await.unwrap().unwrap();
        let size = version.object().unwrap().size;
        match client.read(bucket.id, &key, &version, 0..size).await {
            Ok(bytes) => assert_eq!(bytes.len() as u64, size),
            Err(StoreError::Corrupt(_)) => drop(found.insert(key)),
            Err(error) => panic!("{key}: {error}"),
        }
    }
    found
}

#[test]
fn a_healthy_store_is_called_healthy() {
    runtime().block_on(async {
        let (disk, kv) = filled().await;
        let opened = open(&disk, &kv);
        for depth in [Depth::Frames, Depth::Everything] {
            let (hit, all, summary) = examined(&opened.store, depth).await;
            assert!(hit.is_empty(), "{hit:?}");
            assert_eq!(all.len(), KEYS + 1, "every object and the part");
            assert!(summary.chunks > 10 && summary.unreadable_chunks == 0 && summary.lost_segments.is_empty());
            assert_eq!((summary.wrong_counters, summary.unprotected), (0, 0));
        }
    });
}

#[test]
fn a_lost_segment_is_named_with_exactly_the_objects_that_it_held() {
    runtime().block_on(async {
        let (original, _) = filled().await;
        let names: Vec<String> =
            original.list().unwrap().into_iter().filter(|name| name.starts_with("segment-")).collect();
        let mut lost_something = 0;
        for name in names {
            let (disk, kv) = filled().await;
            // A spare segment, which not every run has made when it ends.
            if disk.remove(&name).is_err() {
                continue;
            }
            let opened = open(&disk, &kv);
            let (mut hit, all, summary) = examined(&opened.store, Depth::Frames).await;
            let part_hit = hit.remove("open");
            let expected = unreadable(&opened.store).await;
            assert_eq!(hit, expected, "{name}");
            if !expected.is_empty() || part_hit {
                lost_something += 1;
                assert_eq!(summary.lost_segments.len(), 1);
                assert!(summary.unreadable_chunks > 0);
                assert!(all.iter().any(|one| one.damage.is_none()), "something is safe");
            }
        }
        assert!(lost_something >= 2, "several segments held something");
    });
}

#[test]
fn flipped_bytes_are_found_by_reading_everything() {
    runtime().block_on(async {
        let (disk, kv) = filled().await;
        assert!(disk.flip("segment-00000001", 8192 + 20_000, 1));
        let opened = open(&disk, &kv);
        let (hit, all, summary) = examined(&opened.store, Depth::Everything).await;
        assert_eq!(hit, unreadable(&opened.store).await);
        assert_eq!(summary.unreadable_chunks, 1);
        let damage = all.into_iter().find_map(|one| one.damage).unwrap();
        assert_eq!(damage.bytes, damage.ranges.iter().map(|range| range.end - range.start).sum::<u64>());
        assert!(damage.bytes <= u64::from(CHUNK), "one chunk of it");
    });
}

#[test]
fn a_lost_chunk_index_is_named_and_written_anew_from_the_segments() {
    runtime().block_on(async {
        let (disk, kv) = filled().await;
        let before = harness::audit::rows(&*kv, Family::Chunks);
        let mut batch = Batch::default();
        for key in before.keys() {
            batch.delete(Family::Chunks, key.clone());
        }
        let _ = kv.commit(batch).await.unwrap();
        let opened = open(&disk, &kv);
        let (mut hit, _, summary) = examined(&opened.store, Depth::Frames).await;
        assert!(hit.remove("open"), "the part's chunks too");
        assert_eq!(hit, unreadable(&opened.store).await);
        assert_eq!(hit.len(), KEYS - KEYS / 3, "all but those that lie in the index");
        assert_eq!(summary.chunks, 0);
        let repaired = opened.store.rebuild_chunk_index().await.unwrap();
        assert_eq!(repaired.chunks, before.len() as u64);
        assert_eq!(harness::audit::rows(&*kv, Family::Chunks), before, "the very same places");
        let (hit, _, summary) = examined(&opened.store, Depth::Everything).await;
        assert!(hit.is_empty() && summary.wrong_counters == 0, "{hit:?} {summary:?}");
        assert!(unreadable(&opened.store).await.is_empty());
        // Once more changes nothing.
        let again = opened.store.rebuild_chunk_index().await.unwrap();
        assert_eq!((again.chunks, again.counters), (0, 0));
    });
}

/// A whole pass in steps of a few chunks: what it found damaged, and how many notes it wrote and removed.
async fn scrubbed(store: &Arc<Store>) -> (BTreeSet<ChunkId>, u64, u64) {
    let (mut found, mut noted, mut healed, mut after, mut chunks) = (BTreeSet::new(), 0, 0, None, 0);
    loop {
        let step = store.scrub(after, 3, u64::from(2 * CHUNK)).await.unwrap();
        assert!(step.chunks <= 3, "{step:?}");
        found.extend(step.damaged.iter().map(|(id, _)| *id));
        (noted, healed, chunks) = (noted + step.noted, healed + step.healed, chunks + step.chunks);
        match step.next {
            Some(next) => {
                assert!(after < Some(next), "it goes on");
                after = Some(next);
            }
            None => break,
        }
    }
    assert_eq!(chunks, store.examine(Depth::Frames, &mut |_| ()).await.unwrap().chunks, "every chunk once");
    (found, noted, healed)
}

#[test]
fn scrubbing_notes_what_is_damaged_with_what_it_hits_until_it_is_healed() {
    runtime().block_on(async {
        let (disk, kv) = filled().await;
        let opened = open(&disk, &kv);
        assert_eq!(scrubbed(&opened.store).await, (BTreeSet::new(), 0, 0));
        assert!(opened.store.damages(None, 10).await.unwrap().is_empty());
        for at in [8_192 + 20_000, 8_192 + 40_000] {
            assert!(disk.flip("segment-00000001", at, 1));
        }
        let (found, noted, healed) = scrubbed(&opened.store).await;
        assert_eq!((found.len(), noted, healed), (2, 2, 0));
        // Once more notes nothing again.
        assert_eq!(scrubbed(&opened.store).await, (found.clone(), 0, 0));
        let noted = opened.store.damages(None, 10).await.unwrap();
        assert_eq!(noted.iter().map(|one| one.chunk).collect::<BTreeSet<_>>(), found);
        assert_eq!(opened.store.damages(Some(noted[0].chunk), 10).await.unwrap(), noted[1..], "page by page");
        let mut named = BTreeSet::new();
        for damaged in &noted {
            let (hits, is_whole) = opened.store.hit_by(damaged.chunk, 100).await.unwrap();
            assert!(is_whole && damaged.why.contains("checksum"), "{damaged:?}");
            named.extend(hits.into_iter().filter(|hit| hit.bucket == "bucket").map(|hit| hit.key));
        }
        named.remove("open");
        assert_eq!(named, unreadable(&opened.store).await, "exactly the objects that cannot be read");
        assert!(!named.is_empty());
        for at in [8_192 + 20_000, 8_192 + 40_000] {
            assert!(disk.flip("segment-00000001", at, 1));
        }
        assert_eq!(scrubbed(&opened.store).await, (BTreeSet::new(), 0, 2));
        assert!(opened.store.damages(None, 10).await.unwrap().is_empty());
    });
}

/// Bytes of chunks that were written, before and after compression.
fn written(chunks: &LocalChunks) -> (f64, f64) {
    let gauges = chunks.gauges();
    let of = |wanted| gauges.iter().find(|(name, ..)| *name == wanted).unwrap().2;
    (of("chunks_plain_bytes_total"), of("chunks_stored_bytes_total"))
}

#[test]
fn compressed_chunks_are_examined_rebuilt_scrubbed_and_moved_as_they_are() {
    for codec in [Codec::Lz4, Codec::Zstd] {
        runtime().block_on(async {
            let (disk, kv) = (SimDisk::new(), Arc::new(MemoryKv::new()));
            let opened = open_with(&disk, &kv, compressing(CHUNK, codec));
            let client = Client { store: Arc::clone(&opened.store) };
            client.create_bucket("bucket").await.unwrap();
            for number in 0..KEYS {
                let body = Body::new(TEXTS + number as u64, 50_000).bytes();
                client.put("bucket", &format!("key-{number:02}"), &body).await.unwrap();
            }
            let (plain, stored) = written(&opened.chunks);
            assert!(plain >= 600_000.0 && stored < 0.7 * plain, "{codec}: {stored} of {plain}");
            opened.chunks.close();

            let before = harness::audit::rows(&*kv, Family::Chunks);
            let mut batch = Batch::default();
            for key in before.keys() {
                batch.delete(Family::Chunks, key.clone());
            }
            let _ = kv.commit(batch).await.unwrap();
            // The codec of new chunks is another one now.
            let opened = open(&disk, &kv);
            assert_eq!(opened.store.rebuild_chunk_index().await.unwrap().chunks, before.len() as u64);
            assert_eq!(harness::audit::rows(&*kv, Family::Chunks), before, "{codec}: the very same places");
            let (hit, _, summary) = examined(&opened.store, Depth::Everything).await;
            assert!(hit.is_empty() && summary.wrong_counters == 0, "{codec}: {hit:?} {summary:?}");
            assert_eq!(scrubbed(&opened.store).await, (BTreeSet::new(), 0, 0));
            assert!(disk.flip("segment-00000001", 8_192 + 700, 1));
            assert_eq!(scrubbed(&opened.store).await.0.len(), 1, "{codec}");
            assert_eq!(examined(&opened.store, Depth::Everything).await.0, unreadable(&opened.store).await);
            assert!(disk.flip("segment-00000001", 8_192 + 700, 1));
            assert_eq!(scrubbed(&opened.store).await.2, 1, "healed");

            let client = Client { store: Arc::clone(&opened.store) };
            for number in (0..KEYS).filter(|number| number % 4 != 1) {
                client.delete("bucket", &format!("key-{number:02}")).await.unwrap();
            }
            let mut cursor = Vec::new();
            while opened.store.collect_garbage(&mut cursor, 1_000).await.unwrap().examined > 0 {}
            let (mut compaction, mut moved) = (Compaction::default(), 0);
            for _ in 0..1_000 {
                let compacted = opened.store.compact(&mut compaction, Thrift::WhileQuiet).await.unwrap();
                moved += compacted.chunks;
                if compacted.idle {
                    break;
                }
            }
            let (plain, stored) = written(&opened.chunks);
            assert!(moved > 0 && stored < 0.7 * plain, "{codec}: {moved} chunks, {stored} of {plain}");
            let bucket = client.bucket("bucket").await.unwrap();
            for number in (0..KEYS).filter(|number| number % 4 == 1) {
                let key = format!("key-{number:02}");
                let version = opened.store.current(bucket.id, &key).await.unwrap().unwrap();
                let read = client.read(bucket.id, &key, &version, 0..50_000).await.unwrap();
                assert_eq!(read, Body::new(TEXTS + number as u64, 50_000).bytes(), "{codec}: {key}");
            }
            opened.chunks.close();
        });
    }
}
