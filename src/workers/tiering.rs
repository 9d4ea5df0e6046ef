//! Works for the storage tiers: for each of them, deletes what was released there, brings back copies that were asked
//! for, and moves versions there; and once a day looks whether a tier holds something that nothing knows of.
//!
//! A tier that fails is left alone for a while, longer each time; what is to be done for it waits in the store. No
//! request of a client waits for any of this.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use storage::StoreError;
use storage::store::{Task, TaskKind};
use storage::types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::object::{Error, Objects, Result, TaskEnd};
use crate::telemetry::metrics::LabelledSample;
use crate::tiers::{Health, Tier, Tiers};

/// Moves to, or copies from, one tier at a time: each holds one of its objects (16 MiB) in memory.
const CONCURRENT: usize = 8;
/// Tasks that are read at a time.
const PAGE: usize = 256;
/// Names that are released, or listed, in one step.
const STEP: usize = 500;
/// The longest time until a tier's tasks are looked for without being told.
const IDLE: Duration = Duration::from_secs(5);
/// The pause after being told, so that one step does much that was asked for at about the same time.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after a tier's first failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Looks for strays are paced by days; of tests' days, no more than one in this time.
const LEAST_BETWEEN_LOOKS: Duration = Duration::from_secs(10);

/// The running worker.
pub struct TieringWorker {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl TieringWorker {
    /// Starts the worker, once what an earlier process left is noted for release.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(objects: &Objects) -> Result<Self> {
        let (stop, stopping) = watch::channel(false);
        let recovered = objects.store().recover_tiers().await?;
        if recovered > 0 {
            tracing::info!(recovered, "uploads to storage tiers had been cut off; what they left is deleted there");
        }
        let mut tasks = Vec::new();
        for tier in objects.tiers().iter() {
            let (worker, stopping) = (Worker::new(objects.clone(), Arc::clone(tier)), stopping.clone());
            tasks.push(tokio::spawn(worker.run(stopping)));
        }
        tasks.push(tokio::spawn(expire(objects.clone(), stopping)));
        Ok(Self { stop, tasks })
    }

    /// Stops. What is under way is given up, and begun anew by the next start.
    pub async fn stop(self) {
        // The tasks may have ended by themselves; then there is nothing to stop.
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the tiering worker ended badly");
            }
        }
    }
}

/// For metrics, of each tier.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn gauges(tiers: &Tiers) -> Vec<LabelledSample> {
    let of = |tier: &Arc<Tier>| {
        let health = tier.health();
        let name = tier.settings.name.clone();
        let sample = move |metric, help, value: u64| LabelledSample {
            name: metric,
            help,
            label: ("tier", name.clone()),
            value: value as f64,
        };
        [
            sample("cairn_tier_up", "Whether the tier does what it is asked.", u64::from(health.failure.is_none())),
            sample("cairn_tier_failures_total", "Requests to the tier that failed and are repeated.", health.failures),
            sample("cairn_tier_moved_total", "Versions that were moved to the tier.", health.moved),
            sample(
                "cairn_tier_moved_bytes_total",
                "Bytes of versions that were moved to the tier.",
                health.moved_bytes,
            ),
            sample("cairn_tier_restored_total", "Versions of which a copy was brought back.", health.restored),
            sample("cairn_tier_released_total", "Data that was deleted in the tier.", health.released),
            sample("cairn_tier_strays_total", "Objects in the tier that nothing knew of.", health.strays),
            sample("cairn_tier_waiting", "Versions that wait to be moved, up to 10000.", health.waiting),
        ]
    };
    tiers.iter().flat_map(of).collect()
}

/// Ends restored copies whose time has come.
async fn expire(objects: Objects, mut stopping: watch::Receiver<bool>) {
    let pause = Duration::from_millis(u64::try_from(objects.calendar().day_millis() / 24).unwrap_or(1_000))
        .clamp(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        match objects.expire_restored(PAGE).await {
            Ok(PAGE) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "restored copies could not be ended; it will be tried again"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// How far a look at what a tier holds has come.
enum Look {
    Waiting,
    /// After this name.
    At(Option<String>),
}

struct Worker {
    objects: Objects,
    tier: Arc<Tier>,
    pause: Duration,
    /// When the next look for strays begins, and where the one under way has come.
    look: Instant,
    looking: Look,
}

impl Worker {
    fn new(objects: Objects, tier: Arc<Tier>) -> Self {
        Self { objects, tier, pause: FIRST_PAUSE, look: Instant::now(), looking: Look::Waiting }
    }

    fn name(&self) -> &str {
        &self.tier.settings.name
    }

    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            let store = Arc::clone(self.objects.store());
            let told = store.tiers_noted();
            let pause = tokio::select! {
                worked = self.step() => match worked {
                    Ok(true) => { self.recovered(); Duration::ZERO }
                    Ok(false) => { self.recovered(); IDLE }
                    Err(error) => self.failed(&error),
                },
                _ = stopping.changed() => return,
            };
            let waits_to_be_told = pause == IDLE;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = told, if waits_to_be_told => tokio::time::sleep(GATHER).await,
                _ = stopping.changed() => return,
            }
        }
    }

    fn recovered(&mut self) {
        self.pause = FIRST_PAUSE;
        let mut was = None;
        self.tier.note(|health| {
            was = health.failure.take();
            (health.failing_since, health.retry_at) = (None, None);
        });
        if was.is_some() {
            tracing::info!(tier = self.name(), "the storage tier does again what it is asked");
        }
    }

    fn failed(&mut self, error: &Error) -> Duration {
        // A little more or less, so that several tiers of one host do not come back at once.
        let pause = self.pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let now = Timestamp::now();
        tracing::warn!(%error, tier = self.name(), ?pause, "a storage tier failed; it is asked again after a pause");
        self.tier.note(|health| {
            health.failures += 1;
            health.failure = Some(error.to_string());
            health.failing_since.get_or_insert(now);
            health.retry_at = Some(Timestamp(now.0 + i64::try_from(pause.as_millis()).unwrap_or(0)));
        });
        pause
    }

    /// One step of each kind of work; whether there may be more. The first failure of the tier ends it.
    async fn step(&mut self) -> Result<bool> {
        let released = self.release().await?;
        let restored = self.tasks(TaskKind::Restore).await?;
        let moved = self.tasks(TaskKind::Move).await?;
        let looked = self.look_for_strays().await?;
        Ok(released || restored || moved || looked)
    }

    async fn release(&self) -> Result<bool> {
        let store = self.objects.store();
        let released = store.releases(self.name(), STEP).await?;
        let more = released.len() == STEP;
        let works = released.into_iter().map(|(name, pieces)| async move {
            store.release(self.name(), &name, pieces).await.map_err(Error::from)?;
            self.tier.note(|health| health.released += 1);
            Ok(())
        });
        all(futures_util::stream::iter(works).buffer_unordered(CONCURRENT)).await?;
        Ok(more)
    }

    /// Works through a lane once. A version whose bytes cannot be read here keeps its task, and does not hold up others.
    async fn tasks(&self, kind: TaskKind) -> Result<bool> {
        let (mut after, mut waiting) = (None::<Task>, 0);
        loop {
            let page = self.objects.store().tasks(kind, self.name(), after.as_ref(), PAGE).await?;
            waiting += page.len() as u64;
            if kind == TaskKind::Move {
                self.tier.note(|health| health.waiting = waiting.min(Health::COUNTED));
            }
            let more = page.len() == PAGE;
            after = page.last().cloned();
            let works = page.into_iter().map(|task| self.task(kind, task));
            all(futures_util::stream::iter(works).buffer_unordered(CONCURRENT)).await?;
            if !more {
                break;
            }
        }
        if kind == TaskKind::Move {
            self.tier.set_queued(0);
            self.tier.note(|health| health.waiting = 0);
        }
        Ok(false)
    }

    async fn task(&self, kind: TaskKind, task: Task) -> Result<()> {
        let ended = match kind {
            TaskKind::Move => self.objects.run_move(&task).await,
            TaskKind::Restore | TaskKind::Expire => self.objects.run_restore(&task).await,
        };
        match ended {
            Ok(TaskEnd::Done(_)) if kind == TaskKind::Restore => self.tier.note(|health| health.restored += 1),
            Ok(TaskEnd::Done(_) | TaskEnd::Dropped) => {}
            Err(error @ Error::Store(StoreError::Tier { .. } | StoreError::Closed)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, tier = self.name(), key = task.key, "a version cannot be moved; it is tried again");
            }
        }
        Ok(())
    }

    async fn look_for_strays(&mut self) -> Result<bool> {
        let after = match std::mem::replace(&mut self.looking, Look::Waiting) {
            Look::Waiting if Instant::now() < self.look => return Ok(false),
            Look::Waiting => None,
            Look::At(after) => after,
        };
        let listed = self.objects.store().release_strays(self.name(), after, STEP).await?;
        if listed.strays > 0 {
            tracing::warn!(strays = listed.strays, tier = self.name(), "objects that nothing knows of are deleted");
            self.tier.note(|health| health.strays += listed.strays as u64);
        }
        let more = listed.next.is_some();
        if more {
            self.looking = Look::At(listed.next);
        } else {
            let day = Duration::from_millis(u64::try_from(self.objects.calendar().day_millis()).unwrap_or(0));
            self.look = Instant::now() + day.max(LEAST_BETWEEN_LOOKS);
        }
        Ok(more || listed.strays > 0)
    }
}

/// Waits for all; the first failure gives up the others.
async fn all(mut works: impl futures_util::Stream<Item = Result<()>> + Unpin) -> Result<()> {
    while let Some(done) = works.next().await {
        done?;
    }
    Ok(())
}
