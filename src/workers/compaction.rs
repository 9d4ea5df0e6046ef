//! The compaction worker: gives the space of segments back that are mostly dead, at a pace that follows the drive's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use storage::Store;
use storage::compact::{Compaction, Thrift};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The pause where there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);
/// The pause after a failure; a full drive is one.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// After a step the worker rests so many times as long as the step took. A step takes longer while others use the drive,
/// so it leaves them the more.
const REST_WHILE_BUSY: u32 = 4;
const REST_WHILE_QUIET: u32 = 1;
/// Without a write for so long, nobody minds.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// What the worker has done since it started.
#[derive(Debug, Default)]
pub struct Figures {
    chunks: AtomicU64,
    bytes: AtomicU64,
    segments: AtomicU64,
    failures: AtomicU64,
}

impl Figures {
    /// For metrics: name without prefix, help, value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed) as f64;
        vec![
            ("compaction_chunks_total", "Live chunks that were moved to free segments", value(&self.chunks)),
            ("compaction_bytes_total", "Bytes of them", value(&self.bytes)),
            ("compaction_segments_total", "Segments that were emptied", value(&self.segments)),
            ("compaction_failures_total", "Steps of compaction that failed", value(&self.failures)),
        ]
    }
}

/// The running worker.
pub struct CompactionWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    figures: Arc<Figures>,
}

impl CompactionWorker {
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
            tracing::error!(%error, "the compaction worker ended badly");
        }
    }
}

async fn run(store: Arc<Store>, figures: Arc<Figures>, mut stopping: watch::Receiver<bool>) {
    let mut compaction = Compaction::default();
    let (mut written, mut since) = (store.chunks_received(), Instant::now());
    loop {
        let now = store.chunks_received();
        if now != written {
            (written, since) = (now, Instant::now());
        }
        // A full drive needs the space more than anybody needs the time.
        let is_quiet = since.elapsed() >= QUIET_AFTER || store.admit().is_err();
        let thrift = if is_quiet { Thrift::WhileQuiet } else { Thrift::WhileBusy };
        let begun = Instant::now();
        let pause = match store.compact(&mut compaction, thrift).await {
            Ok(done) => {
                figures.chunks.fetch_add(done.chunks as u64, Ordering::Relaxed);
                figures.bytes.fetch_add(done.bytes, Ordering::Relaxed);
                figures.segments.fetch_add(done.segments as u64, Ordering::Relaxed);
                let rest = if is_quiet { REST_WHILE_QUIET } else { REST_WHILE_BUSY };
                if done.idle { IDLE } else { begun.elapsed() * rest }
            }
            Err(error) => {
                figures.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "compaction failed; it will be tried again");
                AFTER_FAILURE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}
