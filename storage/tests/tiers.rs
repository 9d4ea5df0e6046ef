//! Objects that move to a tier which fails now and then, come back as copies, and go: each key reads what the model says,
//! and in the end the tier holds exactly what is referred to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use harness::client::Client;
use harness::driver::collect_all;
use harness::{Body, Random, limits};
use storage::chunks::memory::MemoryChunks;
use storage::index::records::{Content, Data, ObjectRecord, Restore, RestoredCopy, VersionRecord};
use storage::kv::memory::MemoryKv;
use storage::remote::{Remote, RemoteError, RemoteFuture};
use storage::store::{Change, KeyView, Outcome, Staged};
use storage::types::Timestamp;
use storage::{Corruption, Store, StoreError};

const BUCKET: &str = "bucket";
const TIER: &str = "t";
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const STEPS: usize = 1_200;
const SEED: u64 = 0x5eed_0011;

/// A tier in memory. Every so-manieth call fails, some of them after they did what was asked.
#[derive(Default)]
struct MemoryTier {
    objects: Mutex<BTreeMap<String, Bytes>>,
    calls: AtomicU64,
    failing: AtomicBool,
}

impl MemoryTier {
    fn fails(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % 7 == 6 && self.failing.load(Ordering::Relaxed)
    }

    fn names(&self) -> BTreeSet<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

fn down<T: Send + 'static>() -> RemoteFuture<'static, T> {
    Box::pin(async { Err(RemoteError { reason: "down".to_owned(), missing: false }) })
}

impl Remote for MemoryTier {
    fn put(&self, name: String, bytes: Bytes) -> RemoteFuture<'_, ()> {
        let before = self.objects.lock().unwrap().insert(name, bytes);
        assert!(before.is_none(), "a name is used once");
        if self.fails() { down() } else { Box::pin(async { Ok(()) }) }
    }

    fn get(&self, name: String, range: Range<u64>) -> RemoteFuture<'_, Bytes> {
        if self.fails() {
            return down();
        }
        let found = self.objects.lock().unwrap().get(&name).cloned();
        Box::pin(async move {
            let missing = RemoteError { reason: "no such object".to_owned(), missing: true };
            let bytes = found.ok_or(missing)?;
            Ok(bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()))
        })
    }

    fn delete(&self, name: String) -> RemoteFuture<'_, ()> {
        if self.fails() {
            return down();
        }
        self.objects.lock().unwrap().remove(&name);
        Box::pin(async { Ok(()) })
    }

    fn list(&self, after: Option<String>, limit: usize) -> RemoteFuture<'_, Vec<String>> {
        let names = self.names().into_iter().filter(|name| after.as_ref().is_none_or(|after| name > after));
        let names = names.take(limit).collect();
        Box::pin(async { Ok(names) })
    }
}

struct World {
    client: Client,
    model: BTreeMap<&'static str, Bytes>,
}

impl World {
    fn new(tier: &Arc<MemoryTier>) -> Self {
        let store = Store::new(Arc::new(MemoryKv::new()), Arc::new(MemoryChunks::new()), limits(8 << 10)).unwrap();
        store.set_remotes(BTreeMap::from([(TIER.to_owned(), Arc::clone(tier) as Arc<dyn Remote>)]));
        Self { client: Client { store }, model: BTreeMap::new() }
    }

    async fn current(&self, key: &str) -> Option<(KeyView, VersionRecord, ObjectRecord)> {
        let bucket = self.client.bucket(BUCKET).await.unwrap();
        let view = self.client.store.view(&bucket, key).await.unwrap().unwrap();
        let version = view.current.clone()?;
        let object = version.object()?.clone();
        Some((view, version, object))
    }

    async fn replace(&self, view: KeyView, was: VersionRecord, object: ObjectRecord, staged: Option<Staged>) {
        let version = VersionRecord { content: Content::Object(object), ..was.clone() };
        let edit = view.edit(vec![Change::Move { version, was, staged }], None);
        assert!(matches!(self.client.store.commit(edit).await.unwrap(), Outcome::Committed));
    }

    /// Whether it moved.
    async fn send(&self, key: &str) -> bool {
        let Some((view, was, mut object)) = self.current(key).await else { return false };
        let sent = match self.client.store.send_to_tier(TIER, object.data, object.size).await {
            Err(StoreError::Tier { .. }) => return false,
            sent => sent.unwrap().unwrap(),
        };
        if sent.data() == object.data {
            return false;
        }
        object.data = sent.data();
        self.replace(view, was, object, Some(sent)).await;
        true
    }

    async fn restore(&self, key: &str) {
        let Some((view, was, mut object)) = self.current(key).await else { return };
        let here = !matches!(object.data, Data::Remote(_));
        let staged = if here {
            None
        } else {
            match self.client.store.bring_back(object.data, object.size).await {
                Err(StoreError::Tier { .. }) => return,
                staged => Some(staged.unwrap().unwrap()),
            }
        };
        let data = staged.as_ref().map_or(object.data, Staged::data);
        let copy = Some(RestoredCopy { data, expires: Timestamp(1) });
        object.restore = Some(Restore { requested: Timestamp(0), days: 1, copy });
        self.replace(view, was, object, staged).await;
    }

    async fn expire(&self, key: &str) {
        let Some((view, was, object)) = self.current(key).await else { return };
        self.replace(view, was, ObjectRecord { restore: None, ..object }, None).await;
    }

    async fn check(&self, key: &'static str, random: &mut Random) {
        let found = self.current(key).await;
        let Some(bytes) = self.model.get(key) else {
            assert!(found.is_none(), "{key}");
            return;
        };
        let (view, version, object) = found.unwrap();
        let start = random.below(bytes.len() + 1);
        let end = start + random.below(bytes.len() - start + 1);
        for (start, end) in [(0, bytes.len()), (start, end)] {
            let range = start as u64..end as u64;
            let read = match object.readable() {
                Data::Inline | Data::Empty => self.client.read(view.bucket.id, key, &version, range).await,
                data => self.client.read_data(data, object.size, range).await,
            };
            match read {
                Err(StoreError::Tier { .. }) => {}
                read => assert!(read.unwrap() == bytes[start..end], "{key}: {start}..{end}"),
            }
        }
    }

    async fn release_all(&self) {
        loop {
            collect_all(&self.client.store).await.unwrap_or_else(|trouble| panic!("{trouble}"));
            let released = self.client.store.releases(TIER, 100).await.unwrap();
            if released.is_empty() {
                return;
            }
            for (name, pieces) in released {
                self.client.store.release(TIER, &name, pieces).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_moves_reads_as_the_model_says_and_the_tier_holds_no_more() {
    println!("seed {SEED:#x}");
    let tier = Arc::new(MemoryTier::default());
    tier.failing.store(true, Ordering::Relaxed);
    let mut world = World::new(&tier);
    world.client.create_bucket(BUCKET).await.unwrap();
    let mut random = Random(SEED);
    let (mut moved, mut cursor) = (0, Vec::new());
    for _ in 0..STEPS {
        let key = random.pick(&KEYS);
        let body = Body::new(random.below(4) as u64, random.pick(&[0, 100, 5_000, 20_000, 70_000])).bytes();
        match random.below(10) {
            0 | 1 => {
                world.client.put(BUCKET, key, &body).await.unwrap();
                world.model.insert(key, body);
            }
            2 => {
                world.client.delete(BUCKET, key).await.unwrap();
                world.model.remove(key);
            }
            3..=5 => moved += u32::from(world.send(key).await),
            6 => world.restore(key).await,
            7 => world.expire(key).await,
            _ => drop(world.client.store.collect_garbage(&mut cursor, 16).await.unwrap()),
        }
        world.check(random.pick(&KEYS), &mut random).await;
    }
    assert!(moved > 50, "the test did next to nothing: {moved}");
    tier.failing.store(false, Ordering::Relaxed);
    world.release_all().await;
    let mut referred = BTreeSet::new();
    for key in KEYS {
        world.check(key, &mut random).await;
        if let Some((_, _, ObjectRecord { data: Data::Remote(id), .. })) = world.current(key).await {
            referred.insert(id.to_string());
        }
    }
    let held: Vec<String> = tier.names().iter().map(|name| name[..64].to_owned()).collect();
    assert_eq!(held, referred.into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn damage_in_a_tier_is_never_read() {
    let tier = Arc::new(MemoryTier::default());
    let world = World::new(&tier);
    world.client.create_bucket(BUCKET).await.unwrap();
    let body = Body::new(1, 200_000).bytes();
    world.client.put(BUCKET, "a", &body).await.unwrap();
    assert!(world.send("a").await);
    let (_, _, object) = world.current("a").await.unwrap();
    {
        let mut objects = tier.objects.lock().unwrap();
        let bytes = objects.values_mut().next().unwrap();
        let mut damaged = bytes.to_vec();
        damaged[150_000] ^= 1;
        *bytes = damaged.into();
    }
    let whole = world.client.read_data(object.data, object.size, 0..object.size).await;
    let Err(StoreError::Corrupt(Corruption::Remote { start, .. })) = whole else { panic!("{whole:?}") };
    assert_eq!(start, 2 * (64 << 10), "the block is named");
    let before = world.client.read_data(object.data, object.size, 100..100_000).await.unwrap();
    assert!(before == body[100..100_000], "a range needs its own blocks only");
}

#[tokio::test]
async fn what_an_upload_left_and_what_nothing_knows_of_is_deleted() {
    let tier = Arc::new(MemoryTier::default());
    let world = World::new(&tier);
    world.client.create_bucket(BUCKET).await.unwrap();
    world.client.put(BUCKET, "a", &Body::new(1, 20_000).bytes()).await.unwrap();
    assert!(world.send("a").await);
    let kept = tier.names();
    let stray = format!("{}-{}.2", "0".repeat(64), "1".repeat(16));
    for name in [stray.as_str(), "somebody-elses"] {
        tier.objects.lock().unwrap().insert(name.to_owned(), Bytes::from_static(b"x"));
    }
    let listed = world.client.store.release_strays(TIER, None, 100).await.unwrap();
    assert_eq!((listed.examined, listed.strays, listed.next), (3, 1, None));
    assert_eq!(world.client.store.recover_tiers().await.unwrap(), 0);
    world.release_all().await;
    assert_eq!(tier.names().difference(&kept).collect::<Vec<_>>(), ["somebody-elses"]);
}
