//! Power cuts at every point of every scenario. Index and disk are put back to what the cut left of them, the store is
//! opened on that, and must show all that was acknowledged, wholly, and what was under way wholly or not at all. Then
//! all garbage is collected, which must leave exactly what live data needs, and the store is used again.
//!
//! `CAIRN_SCENARIO` names the one scenario to run. `CAIRN_CRASH_SEEDS` (2) makes other images at the same points: 22
//! give about a million.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::sync::atomic::{AtomicUsize, Ordering};

use harness::audit::{audit, audit_live_bytes};
use harness::chores::Chore;
use harness::doubles::Breakage;
use harness::driver::Step;
use harness::observe::observe;
use harness::scenarios::{self, Scenario};
use harness::world::{Act, Findings, Recording, World};
use harness::{Body, Random, number_from_env, runtime, workers};
use storage::disk::sim::CrashImage;

const SEED: u64 = 0x5eed_0002;
/// The least number of images that all scenarios together must give for each seed.
const LEAST_IMAGES: usize = 40_000;
/// Crash points of a scenario; of longer ones each second, or third, and so on is taken.
const MOST_POINTS: usize = 250;
/// One in so many recoveries is crashed itself.
const RECOVERY_CRASHED: usize = 12;
/// Crash points of a recovery that is crashed, and images at each.
const RECOVERY_POINTS: usize = 8;
const RECOVERY_IMAGES: usize = 3;

async fn record(scenario: &Scenario, breakage: Breakage) -> Recording {
    let mut world = World::new(scenario.sizes, breakage);
    for act in &scenario.script {
        let outcome = world.act(act).await;
        outcome.unwrap_or_else(|trouble| panic!("{}: {act:?}: {trouble}", scenario.name));
    }
    world.finish()
}

/// Compares all that can be seen with what may be.
async fn check(world: &World) -> Result<(), String> {
    let seen = observe(world.store()).await?;
    world.state.difference(&seen).map_or(Ok(()), Err)
}

/// Opens what a crash left, checks it, cleans it up, uses it. Answers what was recorded of that.
async fn survive(recording: &Recording, at: usize, image: CrashImage) -> Result<Recording, String> {
    let marker = image.marker.unwrap_or(recording.first_marker);
    let kv = recording.index_at(image.marker);
    let possible: Vec<_> = recording.possible(at).collect();
    // What was done to the tier just then was done, or was not.
    let tier = recording.tier.at(at, at.is_multiple_of(2));
    let world = World::resume(recording.sizes, Breakage::Nothing, image.disk, kv, marker, possible[0].clone());
    let mut world = world.with_tier(tier);
    world.open().map_err(|error| format!("does not open: {error}"))?;
    let seen = observe(world.store()).await?;
    let differences: Vec<_> = possible.iter().filter_map(|state| state.difference(&seen)).collect();
    if differences.len() == possible.len() {
        return Err(format!("neither as before nor as after the operation under way: {differences:?}"));
    }
    world.begin_with(seen);
    use_again(&mut world).await?;
    Ok(world.finish())
}

/// Collects all garbage, and uses the store.
async fn use_again(world: &mut World) -> Result<(), String> {
    let new = |seed, length| Step::Put("again", "new", Body::new(seed, length));
    let clean = [Step::Chore(Chore::RecoverTiers), Step::Chore(Chore::ReleaseAll), Step::CollectAll];
    let steps = [Step::CreateBucket("again"), new(1, 20_000), new(70, 33_000), new(71, 100)];
    let deletion = [Step::Put("again", "more", Body::new(72, 9000)), Step::Delete("again", "new"), Step::CollectAll];
    for step in clean.into_iter().chain(steps).chain(deletion) {
        world.act(&Act::Do(step.clone())).await.map_err(|trouble| format!("used again, {step:?}: {trouble}"))?;
        if matches!(step, Step::CollectAll) {
            audit(&*world.kv).map_err(|what| format!("after collecting garbage: {what}"))?;
            audit_live_bytes(world.store(), &*world.kv)?;
            check(world).await.map_err(|what| format!("after collecting garbage: {what}"))?;
        }
    }
    world.audit_tier()
}

/// Crashes a recording at one point in all ways.
async fn crash_at(scenario: &Scenario, recording: &Recording, (at, seed): (usize, u64), findings: &Findings) {
    for image in recording.disk.crash_images(at, seed, scenario.images) {
        let class = image.class.clone();
        let number = findings.images.fetch_add(1, Ordering::Relaxed);
        match survive(recording, at, image).await {
            Err(what) => {
                let place = format!("{}, seed {seed:#x}, crash at {at} of {}, {class}", scenario.name, recording.end);
                findings.violations.lock().push(format!("{place}: {what}"));
            }
            Ok(recovery) if number.is_multiple_of(RECOVERY_CRASHED) => {
                let found = crash_recovery(&recovery, seed ^ number as u64, findings).await;
                let place = format!("{}, seed {seed:#x}, crash at {at}, {class}, then in recovery", scenario.name);
                findings.violations.lock().extend(found.into_iter().map(|what| format!("{place}, {what}")));
            }
            Ok(_) => {}
        }
    }
}

/// Crashes a recovery, and the use that followed, at some points.
async fn crash_recovery(recovery: &Recording, seed: u64, findings: &Findings) -> Vec<String> {
    let mut random = Random(seed);
    let mut violations = Vec::new();
    for nth in 0..RECOVERY_POINTS {
        // The first operations are those of opening.
        let at = if nth < RECOVERY_POINTS / 2 { 1 + nth } else { random.below(recovery.end + 1) };
        for image in recovery.disk.crash_images(at, seed, RECOVERY_IMAGES) {
            findings.images.fetch_add(1, Ordering::Relaxed);
            let class = image.class.clone();
            if let Err(what) = survive(recovery, at, image).await {
                violations.push(format!("at {at}, {class}: {what}"));
            }
        }
    }
    violations
}

/// Crashes scenarios everywhere, on all cores.
fn crash_everywhere(scenarios: &[Scenario], breakage: Breakage, seed: u64) -> (Vec<String>, usize) {
    let recordings: Vec<Recording> = {
        let runtime = runtime();
        scenarios.iter().map(|scenario| runtime.block_on(record(scenario, breakage))).collect()
    };
    let points_of = |(number, recording): (usize, &Recording)| {
        let stride = recording.end.div_ceil(MOST_POINTS);
        (0..=recording.end).step_by(stride.max(1)).map(move |at| (number, at))
    };
    let points: Vec<(usize, usize)> = recordings.iter().enumerate().flat_map(points_of).collect();
    let (next, findings) = (AtomicUsize::new(0), Findings::default());
    std::thread::scope(|scope| {
        for _ in 0..workers() {
            scope.spawn(|| {
                let runtime = runtime();
                while let Some((number, at)) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    runtime.block_on(crash_at(&scenarios[*number], &recordings[*number], (*at, seed), &findings));
                }
            });
        }
    });
    (findings.violations.into_inner(), findings.images.into_inner())
}

fn some(violations: &[String]) -> &[String] {
    &violations[..violations.len().min(5)]
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_point() {
    let scenarios = scenarios::all();
    let only = std::env::var("CAIRN_SCENARIO").ok();
    // Each seed gives other images at the same points.
    let seeds = number_from_env("CAIRN_CRASH_SEEDS").unwrap_or(2);
    let (mut total, mut crashed) = (0, 0);
    assert!(scenarios.len() >= 30, "{} scenarios", scenarios.len());
    for scenario in scenarios.iter().filter(|scenario| only.as_deref().is_none_or(|name| name == scenario.name)) {
        crashed += 1;
        let mut of_scenario = 0;
        for seed in SEED..SEED + seeds {
            let (found, images) = crash_everywhere(std::slice::from_ref(scenario), Breakage::Nothing, seed);
            assert!(found.is_empty(), "{} violations in {images} images: {:#?}", found.len(), some(&found));
            of_scenario += images;
        }
        println!("{}: {of_scenario} images", scenario.name);
        total += of_scenario;
    }
    assert!(crashed > 0, "there is no scenario {only:?}");
    println!("{total} crash images of {crashed} scenarios, no violation");
    let least = LEAST_IMAGES * usize::try_from(seeds).unwrap();
    assert!(only.is_some() || total >= least, "only {total} images");
}

fn named(name: &str) -> Vec<Scenario> {
    let found: Vec<_> = scenarios::all().into_iter().filter(|scenario| scenario.name == name).collect();
    assert_eq!(found.len(), 1, "there is one scenario {name}");
    found
}

/// Crashes a broken store; answers what was found, of which there must be something.
fn caught(breakage: Breakage, scenario: &str) -> Vec<String> {
    let (violations, images) = crash_everywhere(&named(scenario), breakage, SEED);
    println!(
        "{breakage:?}, {scenario}: {} violations in {images} images, e.g. {:?}",
        violations.len(),
        violations.first()
    );
    assert!(!violations.is_empty(), "{breakage:?} was not noticed in {images} images");
    violations
}

#[test]
fn a_store_that_commits_before_it_writes_is_caught() {
    let violations = caught(Breakage::CommitBeforeWrite, "large put");
    assert!(violations.iter().any(|what| what.contains("reading")), "{:?}", some(&violations));
}

#[test]
fn a_store_that_answers_before_the_sync_is_caught() {
    let violations = caught(Breakage::AnswerBeforeSync, "large put");
    assert!(violations.iter().any(|what| what.contains("reading")), "{:?}", some(&violations));
}

#[test]
fn an_index_that_answers_before_its_commit_is_caught() {
    let lost = caught(Breakage::AnswerBeforeCommit, "small put");
    assert!(lost.iter().any(|what| what.contains("neither as before")), "{:?}", some(&lost));
    caught(Breakage::AnswerBeforeCommit, "segments rolled and recycled");
}

#[test]
fn a_collector_that_overlooks_references_is_caught() {
    let violations = caught(Breakage::BlindCollector, "copy");
    assert!(violations.iter().any(|what| what.contains("reading")), "{:?}", some(&violations));
}

#[test]
fn a_collector_that_overlooks_references_to_a_tier_is_caught() {
    let violations = caught(Breakage::BlindCollector, "one copy in a tier for several objects");
    assert!(violations.iter().any(|what| what.contains("reading")), "{:?}", some(&violations));
}

#[test]
fn what_workers_and_administrators_keep_is_caught_when_it_is_lost() {
    for scenario in ["dead letters", "access logs", "identities and notes of workers", "outbox read and trimmed"] {
        let lost = caught(Breakage::AnswerBeforeCommit, scenario);
        assert!(lost.iter().any(|what| what.contains("neither as before")), "{:?}", some(&lost));
    }
}

#[test]
fn a_chunk_store_that_recycles_live_segments_is_caught() {
    caught(Breakage::ForgottenChunks, "segments rolled and recycled");
}
