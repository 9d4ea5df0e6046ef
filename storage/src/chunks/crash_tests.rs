//! Power cuts at every point of every scenario: what was acknowledged and named by the index reads back, places of
//! ended uses never look like damage, and recovery works again and again, whatever crashes it.
//!
//! The index of these tests is a map; each change of it is a commit with a number, noted on the simulated disk as a
//! marker. After a crash the index is the one of the greatest marker before the crash point.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::StoreError;
use crate::chunks::contract::content;
use crate::chunks::local::breakage::{self, Breakage};
use crate::chunks::local::{LocalChunks, LocalOptions, Threading};
use crate::chunks::{ChunkFuture, ChunkStore, SegmentUse};
use crate::disk::Disk;
use crate::disk::sim::{Fault, Repeat, SimDisk};
use crate::types::{ChunkId, Place};

const SEED: u64 = 0x5eed_0001;
const SEGMENT: u32 = 64 << 10;
/// Images at each crash point.
const IMAGES: usize = 40;
/// Images at each crash point of a recovery.
const INNER_IMAGES: usize = 3;

/// What the index names: seed and length of the content, and its place.
type Index = BTreeMap<(u64, usize), Place>;

/// A store under test with its index, and each index that was ever committed.
struct World {
    disk: SimDisk,
    store: Option<Arc<LocalChunks>>,
    index: Index,
    commits: Vec<Index>,
}

fn ready<T>(mut future: ChunkFuture<T>) -> crate::Result<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("inline work does not wait"),
    }
}

fn open(disk: &SimDisk, index: &Index) -> crate::Result<Arc<LocalChunks>> {
    let mut options = LocalOptions::new(vec![Arc::new(disk.clone()) as Arc<dyn Disk>], [3; 16]);
    options.segment_bytes = Some(SEGMENT);
    options.reserve_bytes = Some(0);
    options.spares = 1;
    options.threading = Threading::Inline;
    options.on_fatal = Arc::new(|_| {});
    let uses = index.values().map(|place| SegmentUse {
        drive: 0,
        segment: place.segment,
        live_bytes: u64::from(place.occupied),
    });
    LocalChunks::open(options, uses.collect())
}

impl World {
    fn new() -> Self {
        let disk = SimDisk::new();
        disk.marker(0);
        let store = open(&disk, &Index::new()).ok();
        Self { disk, store, index: Index::new(), commits: vec![Index::new()] }
    }

    fn commit(&mut self) {
        self.disk.marker(self.commits.len() as u64);
        self.commits.push(self.index.clone());
    }

    /// Writes a batch and commits it. Failures are the disk's and leave the index as it was.
    fn put(&mut self, chunks: &[(u64, usize)]) {
        let Some(store) = self.store.clone() else { return };
        let batch = chunks.iter().map(|(seed, length)| content(*seed, *length)).map(|data| (ChunkId::of(&data), data));
        let answers = store.write_batch_inline(batch.collect());
        let mut written = Vec::new();
        for (chunk, answer) in chunks.iter().zip(answers) {
            if let Ok(answer) = answer {
                self.index.insert(*chunk, answer.place);
                written.push(answer);
            }
        }
        if !written.is_empty() {
            self.commit();
        }
        for chunk in written {
            store.note_live(&chunk.place);
        }
    }

    fn delete(&mut self, chunks: &[(u64, usize)]) {
        let gone: Vec<Place> = chunks.iter().filter_map(|chunk| self.index.remove(chunk)).collect();
        self.commit();
        if let Some(store) = &self.store {
            for place in &gone {
                store.note_dead(place);
            }
        }
    }

    fn reopen(&mut self, how: Reopen) {
        if let Some(store) = self.store.take() {
            match how {
                Reopen::Closed => store.close(),
                Reopen::Killed => std::mem::forget(store),
            }
        }
        self.store = open(&self.disk, &self.index).ok();
    }
}

#[derive(Clone, Copy)]
enum Reopen {
    Closed,
    Killed,
}

type Scenario = (&'static str, fn(&mut World));

const SCENARIOS: &[Scenario] = &[
    ("first open", |_| {}),
    ("small chunk", |world| world.put(&[(1, 700)])),
    ("large chunk", |world| world.put(&[(1, 50_000)])),
    ("batches", |world| {
        world.put(&[(1, 700), (2, 5000), (3, 1)]);
        world.put(&[(4, 9000)]);
        world.put(&[(5, 300), (6, 300)]);
    }),
    ("roll", |world| {
        world.put(&[(1, 30_000)]);
        world.put(&[(2, 30_000), (3, 20_000)]);
        world.put(&[(4, 40_000)]);
    }),
    ("recycle", recycle),
    ("reopen after closing", |world| {
        world.put(&[(1, 5000)]);
        world.reopen(Reopen::Closed);
        world.put(&[(2, 5000)]);
        world.reopen(Reopen::Closed);
        world.put(&[(3, 20_000), (4, 700)]);
    }),
    ("reopen after a kill", |world| {
        world.put(&[(1, 5000), (2, 700)]);
        world.reopen(Reopen::Killed);
        world.put(&[(3, 5000)]);
        world.delete(&[(1, 5000)]);
        world.reopen(Reopen::Killed);
        world.put(&[(4, 30_000)]);
    }),
];

/// Fills segments, empties them, and fills them again, also across a reopening.
fn recycle(world: &mut World) {
    world.put(&[(1, 40_000)]);
    world.put(&[(2, 40_000)]);
    world.put(&[(3, 3000)]);
    world.delete(&[(1, 40_000)]);
    world.put(&[(4, 40_000)]);
    world.delete(&[(2, 40_000), (4, 40_000)]);
    world.put(&[(5, 20_000), (6, 20_000)]);
    world.reopen(Reopen::Killed);
    world.put(&[(7, 700)]);
    world.put(&[(8, 40_000)]);
}

/// What is wrong with a store that was opened with `index`, given all places that were ever committed.
fn judge(store: &LocalChunks, index: &Index, ever: &[Index]) -> Option<String> {
    for ((seed, length), place) in index {
        if let Some(fault) = check(store, *seed, *length, *place, Named::Yes) {
            return Some(fault);
        }
    }
    let mut gone = ever.iter().flatten().filter(|(chunk, place)| index.get(chunk) != Some(place));
    gone.find_map(|((seed, length), place)| check(store, *seed, *length, *place, Named::No))
}

#[derive(Clone, Copy, PartialEq)]
enum Named {
    Yes,
    No,
}

fn check(store: &LocalChunks, seed: u64, length: usize, place: Place, named: Named) -> Option<String> {
    let data = content(seed, length);
    match ready(store.read(ChunkId::of(&data), place, 0..place.length)) {
        Ok(back) if back == data => None,
        Ok(_) => Some(format!("wrong bytes for {seed} at {place:?}")),
        Err(StoreError::Conflict) if named == Named::No => None,
        Err(error) => Some(format!("{seed} (named by the index: {}) cannot be read: {error}", named == Named::Yes)),
    }
}

/// Opens what a crash left, checks it, uses it, and opens it again.
fn survive(disk: &SimDisk, index: &Index, ever: &[Index]) -> Option<String> {
    let store = match open(disk, index) {
        Ok(store) => store,
        Err(error) => return Some(format!("does not open: {error}")),
    };
    // Places of commits after this index may be anything; those before it must be intact or refused.
    if let Some(fault) = judge(&store, index, ever) {
        return Some(fault);
    }
    let mut world = World { disk: disk.clone(), store: Some(store), index: index.clone(), commits: Vec::new() };
    world.put(&[(1001, 3000), (1002, 25_000)]);
    world.put(&[(1003, 40_000)]);
    if world.index.len() != index.len() + 3 {
        return Some("does not write".to_owned());
    }
    let store = world.store.as_ref()?;
    if let Some(fault) = judge(store, &world.index, ever) {
        return Some(format!("after new writes: {fault}"));
    }
    world.reopen(Reopen::Killed);
    let Some(store) = &world.store else { return Some("does not open again".to_owned()) };
    judge(store, &world.index, ever).map(|fault| format!("after reopening: {fault}"))
}

/// Crashes a world everywhere; the faults that were found, and how many images were tried.
fn crash_everywhere(name: &str, world: &World, from: usize, images: usize) -> (Vec<String>, usize) {
    let mut faults = Vec::new();
    let mut tried = 0;
    for at in from..=world.disk.log_len() {
        for image in world.disk.crash_images(at, SEED, images) {
            tried += 1;
            let commit = image.marker.map_or(0, |marker| usize::try_from(marker).unwrap());
            let (ever, index) = (&world.commits[..=commit], &world.commits[commit]);
            let before = image.disk.clone();
            if let Some(fault) = survive(&image.disk, index, ever) {
                faults.push(format!("{name}, seed {SEED:#x}, crash at {at}, {}: {fault}", image.class));
                continue;
            }
            // Recovery itself is crashed; its first steps were recorded by `survive` on the same disk.
            let recovery = before.log_len().min(8);
            for inner in (0..=recovery).flat_map(|at| before.crash_images(at, SEED, INNER_IMAGES)) {
                tried += 1;
                // A commit of `survive` is not part of this index: only what was there before counts.
                if let Some(fault) =
                    open(&inner.disk, index).map_or_else(|e| Some(e.to_string()), |store| judge(&store, index, ever))
                {
                    faults.push(format!(
                        "{name}, seed {SEED:#x}, crash at {at}, {}, then in recovery, {}: {fault}",
                        image.class, inner.class
                    ));
                }
            }
        }
    }
    (faults, tried)
}

fn run(scenario: fn(&mut World)) -> World {
    let mut world = World::new();
    scenario(&mut world);
    // The store must not close itself on the recorded disk.
    if let Some(store) = world.store.take() {
        std::mem::forget(store);
    }
    world
}

#[test]
fn acknowledged_chunks_survive_a_power_cut_at_any_point() {
    for (name, scenario) in SCENARIOS {
        let world = run(*scenario);
        let (faults, tried) = crash_everywhere(name, &world, 0, IMAGES);
        assert!(faults.is_empty(), "{} of {tried} images: {:#?}", faults.len(), &faults[..faults.len().min(5)]);
        println!("{name}: {tried} images of {} operations", world.disk.log_len());
        assert!(tried > world.disk.log_len());
    }
}

#[test]
fn a_store_that_answers_before_the_sync_is_caught() {
    breakage::set(Breakage::AnswerBeforeSync);
    let world = run(|world| world.put(&[(1, 700), (2, 5000)]));
    breakage::set(Breakage::None);
    let (faults, tried) = crash_everywhere("answer before sync", &world, 0, IMAGES);
    assert!(faults.iter().any(|fault| fault.contains("named by the index: true")), "{tried} images, {faults:?}");
}

#[test]
fn a_store_that_does_not_raise_the_epoch_is_caught() {
    breakage::set(Breakage::KeepEpoch);
    let world = run(recycle);
    let (faults, tried) = crash_everywhere("keep the epoch", &world, 0, IMAGES);
    breakage::set(Breakage::None);
    assert!(faults.iter().any(|fault| fault.contains("named by the index: false")), "{tried} images, {faults:?}");
}

/// The process dies at some operation, is started again on the same machine, goes on; only then the power is cut.
#[test]
fn what_a_killed_process_left_unsynced_is_not_relied_upon() {
    let length = {
        let world = run(recycle);
        world.disk.operations()
    };
    for fault in [Fault::Io, Fault::ShortWrite] {
        for at in 0..length {
            let mut world =
                World { disk: SimDisk::new(), store: None, index: Index::new(), commits: vec![Index::new()] };
            world.disk.fail(at, fault, Repeat::Forever);
            world.store = open(&world.disk, &world.index).ok();
            recycle(&mut world);
            world.disk.heal();
            world.reopen(Reopen::Killed);
            assert!(world.store.is_some(), "killed at {at}: does not open");
            world.put(&[(50, 3000), (51, 30_000)]);
            world.put(&[(52, 40_000)]);
            assert!(world.index.contains_key(&(52, 40_000)), "killed at {at}: does not write");
            if let Some(store) = world.store.take() {
                std::mem::forget(store);
            }
            let (faults, _) = crash_everywhere("killed, then the power cut", &world, world.disk.log_len(), 4);
            assert!(faults.is_empty(), "{fault:?} from operation {at}: {:#?}", &faults[..faults.len().min(3)]);
        }
    }
}

/// Single failing operations: nothing acknowledged is lost, and the store either goes on or refuses.
#[test]
fn a_single_failing_operation_loses_nothing_acknowledged() {
    let length = run(recycle).disk.operations();
    for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
        for at in 0..length {
            let mut world =
                World { disk: SimDisk::new(), store: None, index: Index::new(), commits: vec![Index::new()] };
            world.disk.fail(at, fault, Repeat::Once);
            world.store = open(&world.disk, &world.index).ok();
            recycle(&mut world);
            if let Some(store) = world.store.take() {
                if let Some(found) = judge(&store, &world.index, &[]) {
                    panic!("{fault:?} at {at}: {found}");
                }
                std::mem::forget(store);
            }
            let (faults, _) = crash_everywhere("one failing operation", &world, world.disk.log_len(), 8);
            assert!(faults.is_empty(), "{fault:?} at operation {at}: {:#?}", &faults[..faults.len().min(3)]);
        }
    }
}

/// Whatever bytes the files hold, opening and reading answer; they never panic.
#[test]
fn arbitrary_damage_never_panics() {
    let world = run(recycle);
    let data: Bytes = content(SEED, 4096);
    for (round, byte) in data.iter().enumerate() {
        let image = world.disk.crash_images(world.disk.log_len(), SEED, 2).next().unwrap().disk;
        for name in image.list().unwrap() {
            let length = image.content(&name).unwrap().len() as u64;
            let offset = (round as u64).wrapping_mul(0x9e37_79b9) % length.clamp(1, 64 << (round % 3 * 5));
            let _ = image.flip(&name, offset, byte | 1);
        }
        if let Ok(store) = open(&image, &world.index) {
            let _ = judge(&store, &world.index, &world.commits);
        }
        if round > 300 {
            break;
        }
    }
}
