//! The garbage worker: wakes when something may have become garbage, and collects it in bounded steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use storage::Store;
use storage::types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Candidates looked at in one step; between steps other work has its turn.
const STEP: usize = 256;
/// The longest time until candidates that were in use are looked at again.
const IDLE: Duration = Duration::from_secs(10);
/// The pause after something was noted, so that one step looks at much that was noted at about the same time.
const GATHER: Duration = Duration::from_millis(100);
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The pause between two passes over candidates that are all in use.
const BUSY: Duration = Duration::from_millis(500);
/// How long a completion may be repeated.
const COMPLETIONS_REMEMBERED: Duration = Duration::from_hours(24);

/// What the worker has done since it started.
#[derive(Debug, Default)]
pub struct Figures {
    /// Candidates looked at.
    pub examined: AtomicU64,
    /// Chunks removed.
    pub chunks: AtomicU64,
    /// Bytes of segments that became free.
    pub bytes: AtomicU64,
    /// Passes that failed.
    pub failures: AtomicU64,
}

impl Figures {
    /// For metrics: name without prefix, help, value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed) as f64;
        vec![
            ("garbage_examined_total", "Candidates that the garbage collector has looked at", value(&self.examined)),
            ("garbage_chunks_total", "Chunks that the garbage collector has removed", value(&self.chunks)),
            ("garbage_bytes_total", "Bytes that the garbage collector has freed in segments", value(&self.bytes)),
            ("garbage_failures_total", "Passes of the garbage collector that failed", value(&self.failures)),
        ]
    }
}

/// The running worker.
pub struct GarbageWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    figures: Arc<Figures>,
}

impl GarbageWorker {
    /// Starts the worker.
    #[must_use]
    pub fn start(store: &Arc<Store>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let figures = Arc::new(Figures::default());
        let task = tokio::spawn(run(Arc::clone(store), Arc::clone(&figures), stopping));
        Self { stop, task, figures }
    }

    /// What it has done.
    #[must_use]
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Stops after the step that is under way.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the garbage worker ended badly");
        }
    }
}

async fn run(store: Arc<Store>, figures: Arc<Figures>, mut stopping: watch::Receiver<bool>) {
    // What an earlier run of the server left is looked at at once.
    let (mut cursor, mut renames) = (Vec::new(), Vec::new());
    loop {
        let pause = match step(&store, &figures, &mut cursor, &mut renames).await {
            Ok(pause) => pause,
            Err(error) => {
                figures.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "collecting garbage failed; it will be tried again");
                AFTER_FAILURE
            }
        };
        let wait = async {
            if pause == IDLE {
                // Either something becomes garbage, or it is time to look anyway.
                if tokio::time::timeout(IDLE, store.garbage_noted()).await.is_ok() {
                    tokio::time::sleep(GATHER).await;
                }
            } else {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = wait => {}
            _ = stopping.changed() => return,
        }
        if *stopping.borrow() {
            return;
        }
    }
}

/// One step; answers how long to wait before the next.
async fn step(
    store: &Arc<Store>,
    figures: &Figures,
    cursor: &mut Vec<u8>,
    renames: &mut Vec<u8>,
) -> storage::Result<Duration> {
    let collected = store.collect_garbage(cursor, STEP).await?;
    figures.examined.fetch_add(collected.examined as u64, Ordering::Relaxed);
    figures.chunks.fetch_add(collected.chunks as u64, Ordering::Relaxed);
    figures.bytes.fetch_add(collected.bytes, Ordering::Relaxed);
    if collected.examined == 0 {
        let remembered = i64::try_from(COMPLETIONS_REMEMBERED.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp(Timestamp::now().0 - remembered);
        store.forget_completed_uploads(before, STEP).await?;
        store.forget_renames(before, renames, STEP).await?;
    }
    Ok(match collected {
        _ if collected.more => Duration::ZERO,
        _ if collected.busy > 0 => BUSY,
        _ => IDLE,
    })
}
