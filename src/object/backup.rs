//! How backups of the index are doing: the worker writes it, administrators and metrics read it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use storage::disk::backup_directory::Backup;
use storage::types::Timestamp;
use tokio::sync::Notify;

use super::Objects;

/// What was done since the server started, and what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupState {
    /// Where backups go; `None`: there are none.
    pub directory: Option<PathBuf>,
    /// Backups that were tried.
    pub tries: u64,
    /// Those that failed.
    pub failures: u64,
    /// Why the last one failed, if it did.
    pub failure: Option<String>,
    /// Whether one is being taken.
    pub is_under_way: bool,
    /// Those that are kept, the oldest first: name, and when it was taken.
    pub kept: Vec<(String, Timestamp)>,
}

/// How backups are doing.
#[derive(Debug, Default)]
pub struct BackupProgress {
    state: Mutex<BackupState>,
    wanted: Mutex<bool>,
    wake: Notify,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BackupProgress {
    /// How they are doing.
    #[must_use]
    pub fn state(&self) -> BackupState {
        lock(&self.state).clone()
    }

    /// What there is before anything is done.
    pub fn begin_in(&self, directory: PathBuf, kept: &[Backup]) {
        *lock(&self.state) = BackupState { directory: Some(directory), kept: names(kept), ..BackupState::default() };
    }

    /// One is being taken.
    pub fn begin(&self) {
        *lock(&self.wanted) = false;
        lock(&self.state).is_under_way = true;
    }

    /// One was taken, or not; these are kept now, where that is known.
    pub fn end(&self, failure: Option<String>, kept: Option<&[Backup]>) {
        let mut state = lock(&self.state);
        state.tries += 1;
        state.failures += u64::from(failure.is_some());
        state.failure = failure;
        state.is_under_way = false;
        if let Some(kept) = kept {
            state.kept = names(kept);
        }
    }

    /// Asks for one now; answers how many will have been tried when it is there.
    pub fn request(&self) -> u64 {
        *lock(&self.wanted) = true;
        self.wake.notify_one();
        let state = lock(&self.state);
        state.tries + 1 + u64::from(state.is_under_way)
    }

    /// Whether one was asked for that has not begun.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *lock(&self.wanted)
    }

    /// Resolves when one was asked for.
    pub async fn requested(&self) {
        self.wake.notified().await;
    }

    /// For metrics: name, help, value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let state = lock(&self.state);
        let last = state.kept.last().map_or(0, |(_, taken)| taken.0) as f64 / 1_000.0;
        vec![
            ("backups_kept", "Backups of the index that are kept", state.kept.len() as f64),
            ("backup_failures_total", "Backups of the index that failed", state.failures as f64),
            ("backup_last_timestamp_seconds", "When the last backup of the index was taken", last),
        ]
    }
}

fn names(backups: &[Backup]) -> Vec<(String, Timestamp)> {
    backups.iter().map(|backup| (backup.name.clone(), backup.taken)).collect()
}

impl Objects {
    /// How backups of the index are doing.
    #[must_use]
    pub fn backup_progress(&self) -> &std::sync::Arc<BackupProgress> {
        &self.backups
    }
}

/// The name of a backup that is taken now.
#[must_use]
pub fn backup_name() -> String {
    let now = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap_or_default();
    now.strftime("%Y-%m-%dT%H-%M-%S-%3fZ").to_string()
}
