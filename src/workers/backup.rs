//! The backup worker: takes a backup of the index at each interval, and when one is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use storage::Store;
use storage::disk::backup_directory::{self, Backup};
use storage::types::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::object::{BackupProgress, backup_name};

/// The pause after a failure, if the interval is not shorter.
const AFTER_FAILURE: Duration = Duration::from_mins(1);
/// Without an interval the worker waits to be asked.
const IDLE: Duration = Duration::from_hours(24);

/// Where backups go, and how often.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The directory.
    pub directory: PathBuf,
    /// From one backup to the next; `None` if they are taken only when they are asked for.
    pub interval: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
}

/// The running worker.
pub struct BackupWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl BackupWorker {
    /// Starts the worker.
    #[must_use]
    pub fn start(store: &Arc<Store>, progress: &Arc<BackupProgress>, schedule: Schedule) -> Self {
        let (stop, stopping) = watch::channel(false);
        let worker = Worker { store: Arc::clone(store), progress: Arc::clone(progress), schedule, stopping };
        Self { stop, task: tokio::spawn(worker.run()) }
    }

    /// Stops after the backup that is under way.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the backup worker ended badly");
        }
    }
}

struct Worker {
    store: Arc<Store>,
    progress: Arc<BackupProgress>,
    schedule: Schedule,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    async fn run(mut self) {
        let kept = self.kept().await.unwrap_or_default();
        self.progress.begin_in(self.schedule.directory.clone(), &kept);
        loop {
            if self.progress.is_requested() || self.until_due().is_zero() {
                self.take().await;
            }
            let mut pause = self.until_due();
            if self.progress.state().failure.is_some() {
                pause = pause.max(AFTER_FAILURE.min(self.schedule.interval.unwrap_or(IDLE)));
            }
            let progress = Arc::clone(&self.progress);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = progress.requested() => {}
                _ = self.stopping.changed() => {}
            }
            if *self.stopping.borrow() {
                return;
            }
        }
    }

    /// Time until the next backup is due: from the last one that is kept, whoever took it.
    fn until_due(&self) -> Duration {
        let Some(interval) = self.schedule.interval else { return IDLE };
        let Some((_, last)) = self.progress.state().kept.last().cloned() else { return Duration::ZERO };
        let since = u64::try_from(Timestamp::now().0 - last.0).unwrap_or(0);
        interval.saturating_sub(Duration::from_millis(since))
    }

    async fn take(&self) {
        self.progress.begin();
        let Schedule { directory, keep, .. } = &self.schedule;
        let failure = match self.store.back_up(directory, &backup_name(), *keep).await {
            Ok((backup, removed)) => {
                tracing::info!(name = backup.name, removed = removed.len(), "the index was backed up");
                None
            }
            Err(error) => {
                tracing::error!(%error, directory = %directory.display(), "the index could not be backed up");
                Some(error.to_string())
            }
        };
        self.progress.end(failure, self.kept().await.as_deref());
    }

    async fn kept(&self) -> Option<Vec<Backup>> {
        let directory = self.schedule.directory.clone();
        let listed = tokio::task::spawn_blocking(move || backup_directory::list(&directory)).await;
        listed.ok()?.inspect_err(|error| tracing::warn!(%error, "backups could not be listed")).ok()
    }
}
