//! Single failures: each operation of the disk, and each commit of the index, fails once. Nothing that was
//! acknowledged is lost, what failed is wholly there or not at all, and nothing is left over.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use harness::audit::{audit, audit_live_bytes};
use harness::doubles::Breakage;
use harness::driver::{Step, Trouble};
use harness::observe::observe;
use harness::scenarios::{self, Scenario, recycling};
use harness::state::State;
use harness::world::{Act, Ending, Recording, World};
use harness::{Body, runtime};
use storage::StoreError;
use storage::disk::sim::{Fault, Repeat};
use storage::kv::memory::Fault as CommitFault;

const SCENARIOS: &[&str] = &[
    "large put",
    "copy",
    "multipart complete",
    "abort",
    "segments rolled and recycled",
    "large manifest",
    "append",
    "rename",
    "annotations",
];
/// Failing operations of one scenario; of longer ones each second, or third, and so on is taken.
const MOST_FAILURES: usize = 120;

fn chosen() -> Vec<Scenario> {
    let mut all = scenarios::all();
    all.retain(|scenario| SCENARIOS.contains(&scenario.name));
    assert_eq!(all.len(), SCENARIOS.len());
    all
}

/// What can be seen, ids aside: those differ from run to run.
fn without_ids(state: &State) -> State {
    let mut state = state.clone();
    let none = storage::types::VersionId { order: 0, salt: 0 };
    for bucket in state.buckets.values_mut() {
        bucket.keys.values_mut().flatten().for_each(|version| version.id = none);
        bucket.uploads =
            std::mem::take(&mut bucket.uploads).into_iter().map(|((key, _), parts)| ((key, none), parts)).collect();
    }
    state
}

fn failed_in_store(trouble: Trouble) -> StoreError {
    match trouble {
        Trouble::Store(error) => error,
        Trouble::Diverged(what) => panic!("{what}"),
    }
}

async fn look(world: &World) -> Result<State, String> {
    observe(world.store()).await
}

/// Collects everything, checks the index, and uses the store.
async fn clean_up_and_use(world: &mut World) -> Result<(), String> {
    for step in [
        Step::CollectAll,
        Step::CreateBucket("again"),
        Step::Put("again", "k", Body::new(90, 20_000)),
        Step::CollectAll,
    ] {
        world.act(&Act::Do(step)).await.map_err(|trouble| format!("used again: {trouble}"))?;
    }
    audit(&*world.kv)?;
    audit_live_bytes(world.store(), &*world.kv)?;
    let seen = look(world).await?;
    world.state.difference(&seen).map_or(Ok(()), Err)
}

/// Runs a script until an operation of the store fails; operations of the disk that fail unseen do not end it.
async fn run_until_failure(world: &mut World, scenario: &Scenario) -> Option<(usize, StoreError)> {
    for (number, act) in scenario.script.iter().enumerate() {
        if let Err(trouble) = world.act(act).await {
            return Some((number, failed_in_store(trouble)));
        }
    }
    None
}

async fn clean_run(scenario: &Scenario) -> (Recording, usize) {
    let mut world = World::new(scenario.sizes, Breakage::Nothing);
    assert!(run_until_failure(&mut world, scenario).await.is_none(), "{} runs", scenario.name);
    let operations = world.disk.operations();
    (world.finish(), operations)
}

/// One operation of the disk fails. What is not acknowledged is not there, for no commit can have named it.
async fn disk_failure(scenario: &Scenario, at: usize, fault: Fault) -> Result<(), String> {
    let mut world = World::new(scenario.sizes, Breakage::Nothing);
    world.disk.fail(at, fault, Repeat::Once);
    if run_until_failure(&mut world, scenario).await.is_some() && world.open().is_ok() {
        let seen = look(&world).await.map_err(|what| format!("reads do not go on: {what}"))?;
        world.state.difference(&seen).map_or(Ok(()), Err)?;
    }
    world.disk.heal();
    world.end(Ending::Killed);
    let end = world.disk.log_len();
    // The process ends and is started on the same machine, or the power is cut.
    let state = world.state.clone();
    for image in world.disk.crash_images(end, at as u64, 2) {
        let class = image.class.clone();
        let (kv, marker) = (world.kv.at(u64::MAX), image.marker.unwrap_or(0));
        let mut after = World::resume(scenario.sizes, Breakage::Nothing, image.disk, kv, marker, state.clone());
        after.open().map_err(|error| format!("power cut, {class}: does not open: {error}"))?;
        let seen = look(&after).await.map_err(|what| format!("power cut, {class}: {what}"))?;
        state.difference(&seen).map_or(Ok(()), |what| Err(format!("power cut, {class}: {what}")))?;
        after.end(Ending::Killed);
    }
    world.open().map_err(|error| format!("does not open again: {error}"))?;
    let seen = look(&world).await?;
    state.difference(&seen).map_or(Ok(()), Err)?;
    clean_up_and_use(&mut world).await
}

#[test]
fn a_failing_operation_of_the_disk_loses_nothing() {
    let runtime = runtime();
    let mut failures = 0;
    for scenario in chosen() {
        let (_, operations) = runtime.block_on(clean_run(&scenario));
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            for at in (0..operations).step_by(operations.div_ceil(MOST_FAILURES)) {
                let outcome = runtime.block_on(disk_failure(&scenario, at, fault));
                outcome.unwrap_or_else(|what| panic!("{}: {fault:?} at operation {at}: {what}", scenario.name));
                failures += 1;
            }
        }
    }
    println!("{failures} single failures of the disk");
}

/// One commit fails. Where its outcome is unknown it may have been done; a full disk has not done it.
async fn commit_failure(scenario: &Scenario, nth: u64, fault: CommitFault, clean: &Recording) -> Result<(), String> {
    let mut world = World::new(scenario.sizes, Breakage::Nothing);
    world.kv.fail_commit(nth, fault);
    let Some((number, error)) = run_until_failure(&mut world, scenario).await else {
        return Err("no operation failed".to_owned());
    };
    match (fault, &error) {
        (CommitFault::Full, StoreError::Full(_)) | (_, StoreError::Index(_)) => {}
        _ => return Err(format!("failed otherwise: {error}")),
    }
    if fault == CommitFault::Full {
        let seen = look(&world).await?;
        world.state.difference(&seen).map_or(Ok(()), Err)?;
        // The same again succeeds, and what the refused one held is given back.
        let again = world.act(&scenario.script[number]).await;
        again.map_err(|trouble| format!("once there is room again: {trouble}"))?;
        return clean_up_and_use(&mut world).await;
    }
    world.end(Ending::Killed);
    world.kv.reopen();
    world.open().map_err(|error| format!("does not open again: {error}"))?;
    let seen = look(&world).await?;
    // The clean run's first moment is what was there before the script.
    let (before, after) = (&clean.moments[number].state, &clean.moments[number + 1].state);
    let possible = [before, after].map(without_ids);
    if !possible.contains(&without_ids(&seen)) {
        let differences = possible.map(|state| state.difference(&without_ids(&seen)));
        return Err(format!("neither before nor after {:?}: {differences:?}", scenario.script[number]));
    }
    let (kv, marker) = (world.kv.at(u64::MAX), world.disk.log_len() as u64 + world.kv.commits());
    world.end(Ending::Killed);
    let mut world = World::resume(scenario.sizes, Breakage::Nothing, world.disk.clone(), kv, marker, seen);
    clean_up_and_use(&mut world).await
}

#[test]
fn a_failing_commit_is_wholly_there_or_not_at_all() {
    let runtime = runtime();
    let mut failures = 0;
    for scenario in chosen() {
        let (clean, _) = runtime.block_on(clean_run(&scenario));
        let commits = clean.kv.commits();
        let stride = usize::try_from(commits).unwrap().div_ceil(MOST_FAILURES);
        for fault in [CommitFault::Full, CommitFault::NotApplied, CommitFault::Applied] {
            for nth in (1..=commits).step_by(stride) {
                let outcome = runtime.block_on(commit_failure(&scenario, nth, fault, &clean));
                outcome
                    .unwrap_or_else(|what| panic!("{}: {fault:?} at commit {nth} of {commits}: {what}", scenario.name));
                failures += 1;
            }
        }
    }
    println!("{failures} single failures of commits");
}

/// A disk that is full refuses writes, goes on reading and deleting, and takes writes again when space has come back.
#[test]
fn a_full_disk_heals_when_something_is_deleted() {
    runtime().block_on(async {
        let sizes = harness::scenarios::SMALL;
        let mut world = World::new(sizes, Breakage::Nothing);
        world.disk.set_capacity(5 * u64::from(harness::SMALL_SEGMENT));
        let act = |step| Act::Do(step);
        world.act(&act(Step::CreateBucket("bucket"))).await.unwrap();
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut refused = 0;
        for (seed, key) in (1..).zip(keys) {
            match world.act(&act(Step::Put("bucket", key, Body::new(seed, 33_000)))).await {
                Ok(()) => {}
                Err(Trouble::Store(StoreError::Full(_))) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!((1..keys.len()).contains(&refused), "{refused} writes were refused");
        assert_eq!(world.state.difference(&look(&world).await.unwrap()), None);
        for key in ["a", "b", "c", "d"] {
            world.act(&act(Step::Delete("bucket", key))).await.unwrap();
        }
        world.act(&act(Step::CollectAll)).await.unwrap();
        for step in recycling().iter().take(1) {
            world.act(&act(step.clone())).await.unwrap_or_else(|trouble| panic!("does not heal: {trouble}"));
        }
        audit(&*world.kv).unwrap();
        assert_eq!(world.state.difference(&look(&world).await.unwrap()), None);
    });
}
