//! Random sequences of operations on the store and on a reference model: both must agree at every look, and at the
//! end the index and the chunk store must hold exactly what live data needs.
//!
//! `CAIRN_MODEL_SEQUENCES` sets how many sequences are run (3000), `CAIRN_SEED` replays a single one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::audit::{audit, audit_live_bytes};
use harness::driver::{At, Driver, Name, Step};
use harness::observe::{list_current, list_uploads, list_versions, observe};
use harness::state::{Spot, State};
use harness::{Body, LARGE_SEGMENT, Random, SMALL_SEGMENT, limits, number_from_env, open_chunks, runtime, workers};
use storage::Store;
use storage::chunking::Chunking;
use storage::chunks::ChunkStore;
use storage::chunks::local::Threading;
use storage::chunks::memory::MemoryChunks;
use storage::disk::sim::SimDisk;
use storage::index::records::{VersionRecord, Versioning};
use storage::kv::Kv;
use storage::kv::memory::MemoryKv;
use storage::store::{Limits, Seek};

const SEQUENCES: u64 = 3000;
const FIRST_SEED: u64 = 0x00ca_1120_0000;
const BUCKETS: &[Name] = &["first", "second"];
/// Keys that are prefixes of each other, with the separator of folders and the byte that the encoding escapes.
const KEYS: &[Name] = &["a", "a/b", "a\0", "b"];
/// Nothing, inline, one chunk, its limit, several.
const LENGTHS: &[usize] = &[0, 1, 700, 4096, 4097, 8192, 8193, 20_000, 33_000];
/// The longest body of sequences with tiny chunks: more of them than fit into one commit.
const MANY_CHUNKS: usize = 90_000;
const SEEDS: u64 = 3;

/// What a sequence runs on, and how it is opened again.
struct Bench {
    kv: Arc<MemoryKv>,
    medium: Medium,
    limits: Limits,
    driver: Option<Driver>,
}

enum Medium {
    Memory(Arc<MemoryChunks>),
    /// With segments of this length.
    Disk(SimDisk, u32),
}

impl Bench {
    fn new(medium: Medium, limits: Limits) -> Self {
        let mut bench = Self { kv: Arc::new(MemoryKv::new()), medium, limits, driver: None };
        bench.open(State::default());
        bench
    }

    fn open(&mut self, state: State) {
        let chunks: Arc<dyn ChunkStore> = match &self.medium {
            Medium::Memory(chunks) => Arc::<MemoryChunks>::clone(chunks),
            Medium::Disk(disk, segment_bytes) => {
                open_chunks(Arc::new(disk.clone()), &*self.kv, *segment_bytes, Threading::Inline).expect("opens")
            }
        };
        let kv: Arc<dyn Kv> = Arc::<MemoryKv>::clone(&self.kv);
        let store = Store::new(kv, chunks, self.limits.clone()).expect("opens");
        self.driver = Some(Driver::new(store, state));
    }

    fn reopen(&mut self) {
        let state = self.driver.take().expect("is open").state;
        self.open(state);
    }

    fn driver(&mut self) -> &mut Driver {
        self.driver.as_mut().expect("is open")
    }

    /// Compares all that can be seen.
    async fn compare(&mut self) -> Result<(), String> {
        let driver = self.driver();
        let seen = observe(&driver.client.store).await?;
        driver.state.difference(&seen).map_or(Ok(()), Err)
    }

    /// Collects all garbage; then nothing may be left over or missing.
    async fn settle(&mut self) -> Result<(), String> {
        self.driver().apply(&Step::CollectAll).await.map_err(|trouble| trouble.to_string())?;
        audit(&*self.kv)?;
        let kv = Arc::clone(&self.kv);
        audit_live_bytes(&self.driver().client.store, &*kv)?;
        self.compare().await.map_err(|difference| format!("after collecting garbage: {difference}"))
    }
}

/// Chooses operations that are possible.
struct Chooser {
    random: Random,
    lengths: Vec<usize>,
}

impl Chooser {
    fn body(&mut self) -> Body {
        let length = self.random.pick(&self.lengths);
        Body::new(self.random.next() % SEEDS, length)
    }

    fn bucket(&mut self, state: &State) -> Option<Name> {
        let there: Vec<Name> = BUCKETS.iter().copied().filter(|name| state.buckets.contains_key(*name)).collect();
        if there.is_empty() { None } else { Some(self.random.pick(&there)) }
    }

    fn at(&mut self, spots: &[Spot]) -> Option<At> {
        let (bucket, key, nth) = spots.get(self.random.below(spots.len()))?;
        let name = |pool: &[Name], text: &str| pool.iter().copied().find(|name| *name == text);
        Some((name(BUCKETS, bucket)?, name(KEYS, key)?, *nth))
    }

    fn step(&mut self, state: &State) -> Option<Step> {
        let choice = self.random.below(100);
        let bucket = match choice {
            0..4 => return Some(Step::CreateBucket(self.random.pick(BUCKETS))),
            4..7 => return Some(Step::DeleteBucket(self.random.pick(BUCKETS))),
            _ => self.bucket(state)?,
        };
        let key = self.random.pick(KEYS);
        let uploads = state.uploads().len();
        let upload = self.random.below(uploads);
        Some(match choice {
            7..11 => Step::Versioning(bucket, self.random.pick(&[Versioning::Enabled, Versioning::Suspended])),
            11..13 => Step::Config(bucket, self.random.pick(&[None, Some(1), Some(2)])),
            13..35 => Step::Put(bucket, key, self.body()),
            35..44 => Step::Delete(bucket, key),
            44..53 => Step::DeleteVersion(self.at(&state.all_versions())?),
            53..58 => Step::Tag(self.at(&state.objects())?, u8::try_from(self.random.below(5)).unwrap()),
            58..65 => Step::Copy(self.at(&state.objects())?, bucket, key),
            65..69 => Step::CreateUpload(bucket, key),
            _ if uploads == 0 && choice < 86 => Step::CreateUpload(bucket, key),
            69..78 => Step::Part(upload, u16::try_from(1 + self.random.below(4)).unwrap(), self.body()),
            78..81 => {
                let number = u16::try_from(1 + self.random.below(4)).unwrap();
                Step::CopyPart(upload, number, self.at(&state.objects())?)
            }
            81..84 => Step::Complete(upload, self.random.pick(&[1, 1, 2])),
            84..86 => Step::Abort(upload),
            86..97 => Step::Collect(self.random.pick(&[1, 3, 100])),
            _ => Step::CollectAll,
        })
    }
}

/// A look at a random place: a range of an object, listings from somewhere.
async fn glance(driver: &Driver, random: &mut Random) -> Result<(), String> {
    glance_at_object(driver, random).await?;
    for name in driver.state.buckets.keys() {
        glance_at_listing(driver, name, random).await?;
        glance_at_uploads(driver, name, random).await?;
    }
    Ok(())
}

async fn glance_at_object(driver: &Driver, random: &mut Random) -> Result<(), String> {
    let (client, state) = (&driver.client, &driver.state);
    let spots = state.objects();
    if let Some(spot) = spots.get(random.below(spots.len())) {
        let version = state.version(spot);
        let body = version.body.as_ref().expect("it is an object");
        let (start, end) = (random.below(body.len() + 1), random.below(body.len() + 1));
        let range = start.min(end)..start.max(end);
        let bucket = client.bucket(&spot.0).await.map_err(|error| error.to_string())?;
        let record = client.version(&bucket, &spot.1, version.id).await.map_err(|error| error.to_string())?;
        let record = record.ok_or("a version has no record")?;
        let read = client.read(bucket.id, &spot.1, &record, range.start as u64..range.end as u64).await;
        let read = read.map_err(|error| format!("reading {range:?} of {spot:?}: {error}"))?;
        if read != body[range.clone()] {
            return Err(format!("{range:?} of {spot:?} has wrong bytes"));
        }
    }
    Ok(())
}

async fn glance_at_listing(driver: &Driver, name: &str, random: &mut Random) -> Result<(), String> {
    let (store, bucket) = (&driver.client.store, &driver.state.buckets[name]);
    let (prefix, at) = (random.pick(&["", "a", "a/", "b", "c"]), random.pick(KEYS));
    let versions = bucket.keys.get(at);
    let order = versions.and_then(|versions| Some(versions.get(random.below(versions.len()))?.id.order));
    let from = match random.below(4) {
        0 => Seek::Key(at.to_owned()),
        1 => Seek::AfterKey(at.to_owned()),
        2 => Seek::AfterPrefix(at.to_owned()),
        _ => order.map_or(Seek::Key(String::new()), |order| Seek::AfterVersion(at.to_owned(), order)),
    };
    let wanted = |key: &str, order: u64| match &from {
        Seek::Key(from) => key >= from.as_str(),
        Seek::AfterKey(from) => key > from.as_str(),
        Seek::AfterPrefix(from) => key > from.as_str() && !key.starts_with(from.as_str()),
        Seek::AfterVersion(from, than) => key > from.as_str() || (key == from && order < *than),
        Seek::AfterUpload(..) => unreachable!("not chosen"),
    };
    let under = bucket.keys.iter().filter(|(key, _)| key.starts_with(prefix));
    let all = under.flat_map(|(key, versions)| versions.iter().map(move |version| (key.clone(), version.id)));
    let mut expected: Vec<_> = all.filter(|(key, id)| wanted(key, id.order)).collect();
    let ids =
        |listed: Vec<(String, VersionRecord)>| -> Vec<_> { listed.into_iter().map(|(key, it)| (key, it.id)).collect() };
    let listed = ids(list_versions(store, bucket.id, prefix, &from).await.map_err(|error| error.to_string())?);
    if listed != expected {
        return Err(format!("versions of {name} from {from:?} under {prefix:?}: {listed:?}, not {expected:?}"));
    }
    // A version is no place in a listing of objects.
    if !matches!(from, Seek::AfterVersion(..)) {
        let listed = ids(list_current(store, bucket.id, prefix, &from).await.map_err(|error| error.to_string())?);
        expected.retain(|(key, id)| bucket.current(key).is_some_and(|current| current.id == *id));
        if listed != expected {
            return Err(format!("objects of {name} from {from:?} under {prefix:?}: {listed:?}, not {expected:?}"));
        }
    }
    Ok(())
}

async fn glance_at_uploads(driver: &Driver, name: &str, random: &mut Random) -> Result<(), String> {
    let bucket = &driver.state.buckets[name];
    let all: Vec<_> = bucket.uploads.keys().cloned().collect();
    let from = random.below(all.len() + 1);
    let seek = match from.checked_sub(1).map(|before| all[before].clone()) {
        None => Seek::Key(String::new()),
        Some((key, id)) => Seek::AfterUpload(key, id),
    };
    let listed = list_uploads(&driver.client.store, bucket.id, "", &seek).await.map_err(|error| error.to_string())?;
    let listed: Vec<_> = listed.into_iter().map(|(key, record)| (key, record.id)).collect();
    if listed == all[from..] {
        Ok(())
    } else {
        Err(format!("uploads of {name} from {seek:?}: {listed:?}, not {:?}", &all[from..]))
    }
}

/// Runs the sequence of one seed; the error tells what it did.
async fn sequence(seed: u64) -> Result<usize, String> {
    let mut random = Random(seed);
    let tiny_chunks = seed.is_multiple_of(16);
    let (chunk_bytes, mut lengths) = (if tiny_chunks { 512 } else { 8 << 10 }, LENGTHS.to_vec());
    if tiny_chunks {
        lengths.push(MANY_CHUNKS);
    }
    let medium = match seed % 4 {
        3 => Medium::Disk(SimDisk::new(), random.pick(&[SMALL_SEGMENT, LARGE_SEGMENT])),
        _ => Medium::Memory(Arc::new(MemoryChunks::new())),
    };
    // Coprime to what chooses the chunks and the medium.
    let chunking = if seed.is_multiple_of(3) { Chunking::FastCdc } else { Chunking::Fixed };
    let mut bench = Bench::new(medium, Limits { chunking, ..limits(chunk_bytes) });
    let length = 10 + random.below(50);
    let mut chooser = Chooser { random: random.clone(), lengths };
    let mut steps = Vec::new();
    let outcome = async {
        bench.driver().apply(&Step::CreateBucket(BUCKETS[0])).await.map_err(|trouble| trouble.to_string())?;
        for _ in 0..length {
            let Some(step) = chooser.step(&bench.driver().state) else { continue };
            steps.push(step.clone());
            bench.driver().apply(&step).await.map_err(|trouble| trouble.to_string())?;
            match random.below(16) {
                0..3 => glance(bench.driver(), &mut random).await?,
                3 => bench.compare().await?,
                4 => bench.reopen(),
                _ => {}
            }
        }
        bench.compare().await?;
        bench.settle().await?;
        bench.reopen();
        bench.compare().await.map_err(|difference| format!("after reopening: {difference}"))?;
        empty(&mut bench).await
    };
    outcome.await.map_err(|what: String| format!("{what}\nsteps: {steps:#?}"))?;
    Ok(steps.len())
}

/// Deletes everything: no row but the forgotten ids, and no live byte, may be left.
async fn empty(bench: &mut Bench) -> Result<(), String> {
    let driver = bench.driver();
    let mut chooser = Chooser { random: Random(0), lengths: Vec::new() };
    loop {
        let spots = driver.state.all_versions();
        let Some(at) = chooser.at(&spots) else { break };
        driver.apply(&Step::DeleteVersion(at)).await.map_err(|trouble| trouble.to_string())?;
    }
    for name in BUCKETS {
        driver.apply(&Step::DeleteBucket(name)).await.map_err(|trouble| trouble.to_string())?;
    }
    bench.settle().await.map_err(|what| format!("after deleting everything: {what}"))?;
    let left = harness::audit::rows(&*bench.kv, storage::kv::Family::Chunks).len();
    if left == 0 { Ok(()) } else { Err(format!("{left} chunks are left of nothing")) }
}

#[test]
fn the_store_agrees_with_the_model() {
    if let Some(seed) = number_from_env("CAIRN_SEED") {
        let outcome = runtime().block_on(sequence(seed));
        outcome.unwrap_or_else(|what| panic!("seed {seed:#x}: {what}"));
        return;
    }
    let sequences = number_from_env("CAIRN_MODEL_SEQUENCES").unwrap_or(SEQUENCES);
    let (next, operations) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                let runtime = runtime();
                loop {
                    let seed = FIRST_SEED + next.fetch_add(1, Ordering::Relaxed);
                    if seed >= FIRST_SEED + sequences {
                        break;
                    }
                    match runtime.block_on(sequence(seed)) {
                        Ok(steps) => drop(operations.fetch_add(steps as u64, Ordering::Relaxed)),
                        Err(what) => panic!("CAIRN_SEED={seed:#x}: {what}"),
                    }
                }
            });
        }
    });
    println!("{sequences} sequences of {} operations in all", operations.into_inner());
}

/// More parts than fit into one commit: the manifest is staged, and collected in steps.
#[test]
fn an_upload_of_many_parts_agrees_with_the_model() {
    runtime().block_on(async {
        let mut bench = Bench::new(Medium::Memory(Arc::new(MemoryChunks::new())), limits(8 << 10));
        let mut steps = vec![Step::CreateBucket("first"), Step::CreateUpload("first", "a")];
        steps.extend((1..=600).map(|number| Step::Part(0, number, Body::new(u64::from(number) % 7, 40))));
        steps.extend([
            Step::Collect(50),
            Step::Complete(0, 1),
            Step::Collect(50),
            Step::Copy(("first", "a", 0), "first", "b"),
        ]);
        for step in steps {
            bench.driver().apply(&step).await.unwrap_or_else(|trouble| panic!("{step:?}: {trouble}"));
        }
        bench.settle().await.unwrap();
        empty(&mut bench).await.unwrap();
    });
}
