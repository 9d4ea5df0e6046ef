//! The scrub worker: reads everything that is stored again, a little at a time, so that damage is known before somebody
//! needs the bytes.
//!
//! It keeps to a rate, and to a quarter of it while clients wait for answers. Where it has come is noted in the store, so
//! that a restart does not begin anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use storage::Store;
use storage::index::records::Record as _;
use storage::scrub::Scrubbed;
use storage::types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::object::{ScrubProgress, ScrubState};

/// What one step reads at most.
const STEP_BYTES: u64 = 8 << 20;
const STEP_CHUNKS: usize = 256;
/// While clients wait, the worker takes this many times as long.
const YIELD: u32 = 4;
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// The pause between two notes of where a pass has come.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// The name of the note.
const NOTE: &str = "scrub";
/// Damages that are counted at a time when the worker starts.
const COUNTED: usize = 1_000;
/// Objects that are named in the log of one damaged chunk.
const LOGGED: usize = 20;

/// How the worker paces itself.
#[derive(Clone)]
pub struct Pace {
    /// Bytes in a second, more than zero.
    pub rate: u64,
    /// From the beginning of a pass to that of the next; `None` if passes begin only when they are asked for.
    pub interval: Option<Duration>,
    /// Whether clients wait for answers.
    pub busy: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The running worker.
pub struct ScrubWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ScrubWorker {
    /// Starts the worker.
    #[must_use]
    pub fn start(store: &Arc<Store>, progress: &Arc<ScrubProgress>, pace: Pace) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (store, progress) = (Arc::clone(store), Arc::clone(progress));
        let task = tokio::spawn(Worker { store, progress, pace, stopping, noted: Instant::now() }.run());
        Self { stop, task }
    }

    /// Stops after the step that is under way.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the scrub worker ended badly");
        }
    }
}

struct Worker {
    store: Arc<Store>,
    progress: Arc<ScrubProgress>,
    pace: Pace,
    stopping: watch::Receiver<bool>,
    noted: Instant,
}

impl Worker {
    async fn run(mut self) {
        self.resume().await;
        loop {
            let state = self.progress.state();
            if self.progress.is_requested() || (!state.is_under_way && self.until_due(&state).is_zero()) {
                self.progress.begin();
                self.note().await;
            }
            let pause = if self.progress.state().is_under_way {
                self.step().await
            } else {
                self.until_due(&self.progress.state())
            };
            let progress = Arc::clone(&self.progress);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = progress.requested() => {}
                _ = self.stopping.changed() => {}
            }
            if *self.stopping.borrow() {
                self.note().await;
                return;
            }
        }
    }

    /// Time until the next pass begins by itself.
    fn until_due(&self, state: &ScrubState) -> Duration {
        let Some(interval) = self.pace.interval else { return Duration::from_hours(24) };
        let since = u64::try_from(Timestamp::now().0 - state.started.0).unwrap_or(0);
        interval.saturating_sub(Duration::from_millis(since))
    }

    async fn resume(&self) {
        let state = async {
            let row = self.store.worker_note(NOTE).await?;
            let state = row.map(|row| ScrubState::decode(&row)).transpose()?.unwrap_or_default();
            let (mut known, mut after) = (0, None);
            loop {
                let page = self.store.damages(after, COUNTED).await?;
                known += page.len() as u64;
                match page.last() {
                    Some(last) if page.len() == COUNTED => after = Some(last.chunk),
                    _ => return Ok::<_, storage::StoreError>((state, known)),
                }
            }
        };
        match state.await {
            Ok((state, known)) => self.progress.resume(state, known),
            Err(error) => tracing::warn!(%error, "where scrubbing had come cannot be read; it begins anew"),
        }
    }

    /// One step; answers how long to wait before the next.
    async fn step(&mut self) -> Duration {
        let begun = Instant::now();
        let after = self.progress.state().after;
        let step = match self.store.scrub(after, STEP_CHUNKS, STEP_BYTES).await {
            Ok(step) => step,
            Err(error) => {
                self.progress.failed();
                tracing::warn!(%error, "scrubbing failed; it will be tried again");
                return AFTER_FAILURE;
            }
        };
        self.report(&step).await;
        self.progress.add(&step);
        if step.next.is_none() {
            let ScrubState { chunks, bytes, damaged, .. } = self.progress.state();
            tracing::info!(chunks, bytes, damaged, "a scrubbing pass has ended");
        }
        if step.next.is_none() || self.noted.elapsed() >= NOTE_EVERY {
            self.note().await;
        }
        let took = begun.elapsed();
        let slower = if (self.pace.busy)() { YIELD } else { 1 };
        let wanted = Duration::from_millis(step.bytes.saturating_mul(1_000) / self.pace.rate.max(1));
        (wanted.max(took) * slower).saturating_sub(took)
    }

    /// Says what is damaged, and what that hits.
    async fn report(&self, step: &Scrubbed) {
        for (chunk, why) in &step.damaged {
            let hits = self.store.hit_by(*chunk, LOGGED).await.map(|(hits, _)| hits).unwrap_or_default();
            let named: Vec<String> =
                hits.iter().map(|hit| format!("{}/{}", hit.bucket, hit.key.escape_debug())).collect();
            tracing::error!(%chunk, why, objects = named.join(", "), "scrubbing found a damaged chunk");
        }
    }

    async fn note(&mut self) {
        self.noted = Instant::now();
        let state = self.progress.state();
        if let Err(error) = self.store.set_worker_note(NOTE, Some(state.encode())).await {
            tracing::warn!(%error, "where scrubbing has come could not be noted");
        }
    }
}
