//! Sweeps up temporary credentials that have expired, a page at a time.

use std::time::Duration;

use storage::types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::identity::Sts;

/// Rows that one step looks at.
const STEP: usize = 500;
/// The pause between two steps of a sweep.
const PACE: Duration = Duration::from_millis(100);
/// The pause between two sweeps.
const IDLE: Duration = Duration::from_mins(10);

/// The running worker.
pub struct SessionsWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl SessionsWorker {
    /// Starts the worker.
    #[must_use]
    pub fn start(sts: Sts) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(run(sts, stopping));
        Self { stop, task }
    }

    /// Stops after the step that is under way.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the sessions worker ended badly");
        }
    }
}

async fn run(sts: Sts, mut stopping: watch::Receiver<bool>) {
    let (mut after, mut kept) = (None, 0);
    loop {
        let pause = match sts.sweep(after.take(), Timestamp::now(), STEP).await {
            Ok(swept) => {
                kept += swept.kept;
                after = swept.next;
                if swept.removed > 0 {
                    tracing::debug!(removed = swept.removed, "expired sessions were removed");
                }
                if after.is_some() {
                    PACE
                } else {
                    sts.note_sessions(kept);
                    kept = 0;
                    IDLE
                }
            }
            Err(error) => {
                tracing::warn!(%error, "sweeping up sessions failed; it will be tried again");
                kept = 0;
                IDLE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => return,
        }
    }
}
