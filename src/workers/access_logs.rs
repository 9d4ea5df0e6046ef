//! Keeps the lines of access logs within about a second, and makes objects of them at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::object::{AccessLog, AccessLogFigures, LoggedLines, Objects};

/// The pause after lines were kept, in which further ones gather.
const GATHERING: Duration = Duration::from_millis(250);
/// Bytes of lines after which they become objects before the interval has passed.
const EARLY_BYTES: usize = 16 << 20;

/// The running worker.
pub struct AccessLogsWorker {
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl AccessLogsWorker {
    /// Starts the worker; what was kept becomes objects every `interval`.
    #[must_use]
    pub fn start(objects: &Objects, log: AccessLog, interval: Duration) -> Self {
        let (stop, stopping) = watch::channel(false);
        let early = Arc::new(Notify::new());
        let figures = Arc::clone(log.figures());
        let keeping = tokio::spawn(keep(objects.clone(), log, Arc::clone(&early), stopping.clone()));
        let delivering = tokio::spawn(deliver(objects.clone(), figures, interval, early, stopping));
        Self { stop, tasks: [keeping, delivering] }
    }

    /// Stops when the lines that are there have been kept.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the worker of access logs ended badly");
            }
        }
    }
}

async fn keep(objects: Objects, log: AccessLog, early: Arc<Notify>, mut stopping: watch::Receiver<bool>) {
    let mut bytes = 0;
    loop {
        let more = tokio::select! {
            () = log.wait() => true,
            _ = stopping.changed() => false,
        };
        let taken = log.take();
        bytes += taken.iter().map(LoggedLines::bytes).sum::<usize>();
        stage(&objects, taken, log.figures()).await;
        if bytes >= EARLY_BYTES {
            bytes = 0;
            early.notify_one();
        }
        if !more {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(GATHERING) => {}
            _ = stopping.changed() => {
                stage(&objects, log.take(), log.figures()).await;
                return;
            }
        }
    }
}

async fn stage(objects: &Objects, lines: Vec<LoggedLines>, figures: &AccessLogFigures) {
    if lines.is_empty() {
        return;
    }
    if let Err(error) = objects.stage_access_logs(lines, figures).await {
        tracing::error!(%error, "lines of access logs could not be kept and are lost");
    }
}

async fn deliver(
    objects: Objects,
    figures: Arc<AccessLogFigures>,
    interval: Duration,
    early: Arc<Notify>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut due = interval_at(Instant::now() + interval, interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut after = 0;
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = early.notified() => {}
            _ = stopping.changed() => return,
        }
        loop {
            match objects.deliver_access_logs(&mut after, &figures).await {
                Ok(true) if !*stopping.borrow() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "access logs could not be delivered; it will be tried again");
                    // Whatever of this step is there already is looked at again.
                    after = 0;
                    break;
                }
            }
        }
    }
}
