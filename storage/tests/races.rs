//! Many tasks on many threads: the same chunks are written, copied, deleted, collected and read at the same time, and
//! callers vanish in the middle. What a pinned reader sees never changes, each key holds what was last written to it,
//! and in the end exactly what is live is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use harness::audit::{audit, audit_live_bytes};
use harness::client::Client;
use harness::driver::collect_all;
use harness::{Body, LARGE_SEGMENT, Random, SMALL_SEGMENT, limits, number_from_env, open_chunks};
use storage::chunks::ChunkStore;
use storage::chunks::local::Threading;
use storage::chunks::memory::MemoryChunks;
use storage::compact::{Compaction, Thrift};
use storage::disk::sim::SimDisk;
use storage::index::records::{Data, VersionRecord, Versioning};
use storage::kv::memory::MemoryKv;
use storage::kv::{Batch, Cached, CommitFuture, Family, Kv, Scan, Visitor};
use storage::store::{BucketCreation, BucketDeletion, DataReader};
use storage::{Result, Store, StoreError};
use tokio::sync::{Semaphore, oneshot};

const BUCKET: &str = "bucket";
const TASKS: usize = 6;
const SEED: u64 = 0x5eed_0003;
/// Few contents, so that tasks meet: one chunk, several, several that share their first.
const BODIES: &[Body] =
    &[Body::new(1, 5000), Body::new(2, 8192), Body::new(1, 20_000), Body::new(1, 33_000), Body::new(3, 9000)];

fn rounds() -> usize {
    usize::try_from(number_from_env("CAIRN_RACE_ROUNDS").unwrap_or(10_000)).unwrap()
}

struct Arena {
    kv: Arc<MemoryKv>,
    client: Client,
}

impl Arena {
    async fn new(kv: Arc<MemoryKv>, seen_kv: Arc<dyn Kv>, chunks: Arc<dyn ChunkStore>, versioning: Versioning) -> Self {
        let client = Client { store: Store::new(seen_kv, chunks, limits(8 << 10)).unwrap() };
        client.create_bucket(BUCKET).await.unwrap();
        client.store.update_bucket(BUCKET, |bucket| bucket.versioning = versioning).await.unwrap();
        Self { kv, client }
    }

    async fn in_memory(versioning: Versioning) -> Self {
        let kv = Arc::new(MemoryKv::new());
        Self::new(Arc::clone(&kv), kv, Arc::new(MemoryChunks::new()), versioning).await
    }

    async fn on_disk(segment_bytes: u32) -> Self {
        let kv = Arc::new(MemoryKv::new());
        let chunks = open_chunks(Arc::new(SimDisk::new()), &*kv, segment_bytes, Threading::Threads).unwrap();
        Self::new(Arc::clone(&kv), kv, chunks, Versioning::Unversioned).await
    }

    /// Collects until `done`, and everything after that.
    fn collector(&self, done: &Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
        let (store, done) = (Arc::clone(&self.client.store), Arc::clone(done));
        tokio::spawn(async move {
            let (mut cursor, mut chunks) = (Vec::new(), 0);
            while !done.load(Ordering::Relaxed) {
                chunks += store.collect_garbage(&mut cursor, 16).await.unwrap().chunks as u64;
                tokio::task::yield_now().await;
            }
            chunks
        })
    }

    /// Compacts, scrubs and reads the outbox until `done`; trims the outbox of what was read. Answers how many chunks
    /// were moved, scrubbed, and how many events read.
    fn housekeeper(&self, done: &Arc<AtomicBool>) -> tokio::task::JoinHandle<[u64; 3]> {
        let (store, done) = (Arc::clone(&self.client.store), Arc::clone(done));
        tokio::spawn(async move {
            let (mut compaction, mut scrubbed_to, mut read_to) = (Compaction::default(), None, 0);
            let [mut moved, mut scrubbed, mut events] = [0, 0, 0];
            loop {
                let is_last = done.load(Ordering::Relaxed);
                moved += store.compact(&mut compaction, Thrift::WhileQuiet).await.unwrap().chunks as u64;
                let step = store.scrub(scrubbed_to, 8, 1 << 20).await.unwrap();
                assert_eq!(step.damaged, [], "what moves or goes is not damaged");
                scrubbed += step.chunks;
                scrubbed_to = step.next;
                for event in store.outbox_page(read_to, 100).await.unwrap() {
                    assert_eq!(event.position, read_to + 1, "no event is missed or comes late");
                    (read_to, events) = (event.position, events + 1);
                }
                store.set_cursor("reader", read_to).await.unwrap();
                store.trim_outbox(read_to).await.unwrap();
                if is_last && store.outbox_bounds().await.unwrap().events() == 0 {
                    return [moved, scrubbed, events];
                }
                tokio::task::yield_now().await;
            }
        })
    }

    /// Nothing is left over or missing.
    async fn settle(&self) {
        collect_all(&self.client.store).await.unwrap_or_else(|trouble| panic!("{trouble}"));
        audit(&*self.kv).unwrap();
        audit_live_bytes(&self.client.store, &*self.kv).unwrap();
    }

    async fn current(&self, key: &str) -> Option<VersionRecord> {
        let bucket = self.client.bucket(BUCKET).await.unwrap();
        self.client.store.current(bucket.id, key).await.unwrap()
    }

    /// A key's bytes.
    async fn get(&self, key: &str) -> Option<Bytes> {
        let version = self.current(key).await?;
        let bucket = self.client.bucket(BUCKET).await.unwrap();
        let size = version.object().expect("a current version is an object").size;
        Some(self.client.read(bucket.id, key, &version, 0..size).await.unwrap_or_else(|error| panic!("{key}: {error}")))
    }
}

async fn drain(reader: DataReader) -> Result<Bytes> {
    let size = reader.size();
    let mut stream = reader.stream(0..size);
    let mut all = BytesMut::new();
    while let Some(bytes) = stream.next().await {
        all.extend_from_slice(&bytes?);
        // Others have their turn between two chunks.
        tokio::task::yield_now().await;
    }
    Ok(all.freeze())
}

/// Works on keys of its own; what it reads must be what it wrote last.
async fn work(arena: Arc<Arena>, number: usize) -> usize {
    let mut random = Random(SEED ^ number as u64);
    let keys = [format!("{number}-a"), format!("{number}-b")];
    let mut held: [Option<Body>; 2] = [None; 2];
    let mut read_after_delete = 0;
    let client = &arena.client;
    for _ in 0..rounds() {
        let nth = random.below(2);
        let key = &keys[nth];
        match random.below(10) {
            0..4 => {
                let body = random.pick(BODIES);
                client.put(BUCKET, key, &body.bytes()).await.unwrap();
                held[nth] = Some(body);
            }
            4..6 => {
                client.delete(BUCKET, key).await.unwrap();
                held[nth] = None;
            }
            6 => {
                let Some(body) = held[nth] else { continue };
                let id = arena.current(key).await.expect("was written").id;
                let staged = client.share(BUCKET, key, id).await.unwrap();
                client.delete(BUCKET, key).await.unwrap();
                client.put_staged(BUCKET, &keys[1 - nth], staged).await.unwrap();
                (held[nth], held[1 - nth]) = (None, Some(body));
            }
            7 => {
                let Some(body) = held[nth] else { continue };
                let version = arena.current(key).await.expect("was written");
                let object = version.object().expect("is an object");
                let reader = client.store.reader(object.data, object.size).await.unwrap().expect("is live");
                client.delete(BUCKET, key).await.unwrap();
                held[nth] = None;
                tokio::task::yield_now().await;
                assert_eq!(drain(reader).await.unwrap(), body.bytes(), "a reader that was pinned before the deletion");
                read_after_delete += 1;
            }
            _ => assert_eq!(arena.get(key).await, held[nth].map(Body::bytes), "{key}"),
        }
    }
    for (key, body) in keys.iter().zip(held) {
        assert_eq!(arena.get(key).await, body.map(Body::bytes), "{key} at the end");
    }
    read_after_delete
}

async fn stress(arena: Arena) {
    println!("seed {SEED:#x}");
    let arena = Arc::new(arena);
    let done = Arc::new(AtomicBool::new(false));
    let (collector, housekeeper) = (arena.collector(&done), arena.housekeeper(&done));
    let tasks: Vec<_> = (0..TASKS).map(|number| tokio::spawn(work(Arc::clone(&arena), number))).collect();
    let mut read_after_delete = 0;
    for task in tasks {
        read_after_delete += task.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let collected = collector.await.unwrap();
    assert!(
        read_after_delete > 0 && collected > 0,
        "{read_after_delete} reads after a deletion, {collected} chunks collected"
    );
    let [moved, scrubbed, events] = housekeeper.await.unwrap();
    assert!(scrubbed > 0 && events > 0, "{scrubbed} chunks scrubbed, {events} events");
    arena.settle().await;
    println!(
        "{} rounds, {read_after_delete} reads after a deletion; meanwhile {collected} chunks collected, {moved} moved, \
         {scrubbed} scrubbed, {events} events read",
        TASKS * rounds()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_chunks_are_written_copied_deleted_collected_and_read_at_once() {
    stress(Arena::in_memory(Versioning::Unversioned).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_while_versioning_is_suspended() {
    stress(Arena::in_memory(Versioning::Suspended).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_while_segments_are_recycled() {
    stress(Arena::on_disk(SMALL_SEGMENT).await).await;
    stress(Arena::on_disk(LARGE_SEGMENT).await).await;
}

/// Several tasks write one key: in the end it holds one of the bodies, and nothing of the others is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_writers_of_a_key_wins() {
    let arena = Arc::new(Arena::in_memory(Versioning::Suspended).await);
    for _ in 0..rounds() {
        let writers = BODIES.iter().map(|body| {
            let (client, body) = (arena.client.clone(), body.bytes());
            tokio::spawn(async move { client.put(BUCKET, "k", &body).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap().unwrap();
        }
        let winner = arena.get("k").await.unwrap();
        assert!(BODIES.iter().any(|body| body.bytes() == winner));
    }
    arena.settle().await;
}

/// A completion, an abort and a late part at once: one end wins, and the object is made of parts as they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_ends_once() {
    let arena = Arc::new(Arena::in_memory(Versioning::Unversioned).await);
    let done = Arc::new(AtomicBool::new(false));
    let collector = arena.collector(&done);
    let parts = [Body::new(1, 9000), Body::new(2, 700), Body::new(3, 20_000)].map(Body::bytes);
    let late = Body::new(4, 9000).bytes();
    let whole = |second: &Bytes| Bytes::from([&parts[0][..], second, &parts[2]].concat());
    let (mut completed, mut aborted) = (0, 0);
    for round in 0..rounds() {
        let client = &arena.client;
        let key = format!("k{round}");
        let id = client.create_upload(BUCKET, &key).await.unwrap();
        let open = client.upload(BUCKET, &key, id).await.unwrap();
        for (number, part) in (1..).zip(&parts) {
            client.put_part(&open, number, part).await.unwrap();
        }
        let spawn = |work: u8| {
            let (client, key, open, late) = (client.clone(), key.clone(), open.clone(), late.clone());
            tokio::spawn(async move {
                // An abort is a single commit: in half of the rounds the others have a start.
                for _ in 0..if work == 1 && round % 2 == 0 { 200 } else { 0 } {
                    tokio::task::yield_now().await;
                }
                match work {
                    0 => client.complete(BUCKET, &key, id, |_| true).await.map(|_| ()),
                    1 => client.store.abort_upload(&open).await,
                    _ => client.put_part(&open, 2, &late).await,
                }
            })
        };
        // Each of them is first in some rounds.
        let tasks: Vec<_> = (0..3).map(|nth| spawn(u8::try_from((nth + round) % 3).unwrap())).collect();
        let mut outcomes = Vec::new();
        for (nth, task) in tasks.into_iter().enumerate() {
            outcomes.push(((nth + round) % 3, task.await.unwrap()));
        }
        outcomes.sort_by_key(|(work, _)| *work);
        let ended = [outcomes[0].1.is_ok(), outcomes[1].1.is_ok()];
        for (_, outcome) in outcomes {
            assert!(matches!(outcome, Ok(()) | Err(StoreError::Conflict)), "{outcome:?}");
        }
        assert_ne!(ended[0], ended[1], "completed and aborted: {ended:?}");
        let object = arena.get(&key).await;
        if ended[0] {
            completed += 1;
            let object = object.expect("was completed");
            assert!(object == whole(&parts[1]) || object == whole(&late), "an object of {} bytes", object.len());
        } else {
            aborted += 1;
            assert_eq!(object, None);
        }
    }
    done.store(true, Ordering::Relaxed);
    collector.await.unwrap();
    arena.settle().await;
    println!("{} rounds, {completed} completed, {aborted} aborted", rounds());
}

/// A bucket is deleted while an object is put into it: never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_is_deleted_or_written_to() {
    let arena = Arena::in_memory(Versioning::Unversioned).await;
    let (mut deleted, mut written) = (0, 0);
    for round in 0..rounds() {
        let client = &arena.client;
        let BucketCreation::Created(bucket) = client.create_bucket("other").await.unwrap() else {
            panic!("it is gone")
        };
        client.set_config("other", Some(vec![1])).await.unwrap();
        client.create_upload("other", "k").await.unwrap();
        let put = {
            let (client, body) = (client.clone(), BODIES[round % BODIES.len()].bytes());
            tokio::spawn(async move { client.put("other", "k", &body).await })
        };
        let configure = {
            let client = client.clone();
            tokio::spawn(async move { client.set_config("other", Some(vec![2])).await })
        };
        let deletion = client.store.delete_bucket("other").await.unwrap();
        let (put, _) = (put.await.unwrap(), configure.await.unwrap());
        match (deletion, put) {
            (BucketDeletion::Deleted, Err(StoreError::Conflict)) => deleted += 1,
            (BucketDeletion::NotEmpty, Ok(_)) => {
                written += 1;
                client.delete("other", "k").await.unwrap();
                assert_eq!(client.store.delete_bucket("other").await.unwrap(), BucketDeletion::Deleted);
            }
            // The deletion came first, and another bucket of the name is never written to by mistake.
            other => panic!("{other:?}"),
        }
        assert!(client.store.current(bucket.id, "k").await.unwrap().is_none());
        collect_all(&client.store).await.unwrap_or_else(|trouble| panic!("{trouble}"));
    }
    arena.settle().await;
    println!("{} rounds, {deleted} deleted, {written} written", rounds());
}

/// An index whose commits happen when the gate lets them, in their order, whether or not anybody still waits.
struct GatedKv {
    inner: Arc<MemoryKv>,
    queue: tokio::sync::mpsc::UnboundedSender<(Batch, oneshot::Sender<Result<storage::kv::Commit>>)>,
    queued: Arc<AtomicU64>,
    gate: Arc<Semaphore>,
}

impl GatedKv {
    fn new(inner: Arc<MemoryKv>) -> Arc<Self> {
        let (queue, mut batches) = tokio::sync::mpsc::unbounded_channel::<(Batch, oneshot::Sender<_>)>();
        let (queued, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let (kv, waiting) = (Arc::clone(&inner), Arc::clone(&gate));
        tokio::spawn(async move {
            while let Some((batch, answer)) = batches.recv().await {
                waiting.acquire().await.expect("the gate is never closed").forget();
                let _ = answer.send(kv.commit(batch).await);
            }
        });
        Arc::new(Self { inner, queue, queued, gate })
    }

    /// Lets all commits pass from now on.
    fn release(&self) {
        self.gate.add_permits(1 << 20);
    }

    fn stop(&self) {
        self.gate.forget_permits(usize::MAX);
    }
}

impl Kv for GatedKv {
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached> {
        self.inner.get_cached(family, key)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.inner.get(family, key)
    }

    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
        self.inner.scan(scan, visit)
    }

    fn commit(&self, batch: Batch) -> CommitFuture {
        let (answer, answered) = oneshot::channel();
        self.queued.fetch_add(1, Ordering::SeqCst);
        self.queue.send((batch, answer)).expect("the committer runs");
        Box::pin(async move { answered.await.map_err(|_| StoreError::Closed)? })
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        self.inner.gauges()
    }
}

/// Polls a future until a commit was asked for, and then drops it, as a caller that vanishes does.
async fn abandon_at_commit<F: Future>(kv: &GatedKv, future: F) {
    let before = kv.queued.load(Ordering::SeqCst);
    let mut future = std::pin::pin!(future);
    while kv.queued.load(Ordering::SeqCst) == before {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(_) => panic!("ended without a commit"),
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
}

/// The collector's caller vanishes while a chunk's removal is on its way, and the same chunk is written again: its
/// writer must wait for the removal, or it would rely on a chunk that is about to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_outlives_the_collectors_caller() {
    for body in [Body::new(1, 5000), Body::new(1, 20_000)] {
        let kv = Arc::new(MemoryKv::new());
        let gated = GatedKv::new(Arc::clone(&kv));
        gated.release();
        let seen: Arc<dyn Kv> = Arc::<GatedKv>::clone(&gated);
        let arena = Arena::new(kv, seen, Arc::new(MemoryChunks::new()), Versioning::Unversioned).await;
        let client = &arena.client;
        client.put(BUCKET, "k", &body.bytes()).await.unwrap();
        client.delete(BUCKET, "k").await.unwrap();
        gated.stop();
        let mut cursor = Vec::new();
        abandon_at_commit(&gated, client.store.collect_garbage(&mut cursor, 100)).await;
        let writer = client.clone();
        let put = tokio::spawn(async move { writer.put(BUCKET, "again", &body.bytes()).await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gated.release();
        put.await.unwrap().unwrap();
        assert_eq!(arena.get("again").await, Some(body.bytes()));
        arena.settle().await;
    }
}

/// An upload's caller vanishes at each of the commits that stage its large manifest. Whatever of it was staged, the
/// next upload of the same bytes is whole, and nothing is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staging_outlives_the_uploads_caller() {
    let body = Body::new(5, 8192 * 170).bytes();
    for commits in 0..3 {
        let kv = Arc::new(MemoryKv::new());
        let gated = GatedKv::new(Arc::clone(&kv));
        gated.release();
        let seen: Arc<dyn Kv> = Arc::<GatedKv>::clone(&gated);
        let chunks = open_chunks(Arc::new(SimDisk::new()), &*kv, SMALL_SEGMENT, Threading::Threads).unwrap();
        let arena = Arena::new(kv, seen, chunks, Versioning::Unversioned).await;
        let client = &arena.client;
        gated.stop();
        gated.gate.add_permits(commits);
        {
            let mut upload = std::pin::pin!(client.receive(&body));
            let wanted = gated.queued.load(Ordering::SeqCst) + commits as u64 + 1;
            while gated.queued.load(Ordering::SeqCst) < wanted {
                let polled = upload.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending(), "ended before commit {commits}");
                tokio::task::yield_now().await;
            }
        }
        let other = client.clone();
        let filler = tokio::spawn(async move { other.put(BUCKET, "filler", &Body::new(6, 400_000).bytes()).await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gated.release();
        filler.await.unwrap().unwrap();
        client.put(BUCKET, "k", &body).await.unwrap();
        assert!(matches!(arena.current("k").await.unwrap().object().unwrap().data, Data::Manifest { .. }));
        assert_eq!(arena.get("k").await.unwrap(), body);
        collect_all(&client.store).await.unwrap_or_else(|trouble| panic!("{trouble}"));
        assert_eq!(arena.get("k").await.unwrap(), body);
        arena.settle().await;
    }
}
