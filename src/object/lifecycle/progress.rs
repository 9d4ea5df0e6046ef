//! How the lifecycle of buckets is doing: the worker writes it, administrators and metrics read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use storage::types::Timestamp;
use tokio::sync::Notify;

/// Buckets that are remembered; of more, those of the last passes.
const MAX_BUCKETS: usize = 10_000;
/// Buckets whose configuration has changed and that wait for their pass; of more, the next whole pass takes care.
const MAX_CHANGED: usize = 1_000;

/// How far a pass has come that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassUnderWay {
    /// When it began.
    pub started: Timestamp,
    /// Versions and uploads that were looked at so far.
    pub examined: u64,
}

/// What is known of one bucket, since the server started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketProgress {
    /// When its last whole pass began.
    pub started: Timestamp,
    /// When that ended; zero while none has.
    pub finished: Timestamp,
    /// Versions and uploads that were looked at in it.
    pub examined: u64,
    /// Actions of all passes, by name.
    pub actions: BTreeMap<&'static str, u64>,
    /// Actions that failed, of all passes; they are tried again in the next.
    pub errors: u64,
    /// The last failure.
    pub last_error: Option<String>,
    /// Milliseconds between the time from which an action was asked for and its commit: the longest of the last pass,
    /// of what became due since the pass before.
    pub lag_millis: u64,
    /// The pass that is at work, if one is.
    pub under_way: Option<PassUnderWay>,
}

/// How all buckets are doing.
#[derive(Debug, Default)]
pub struct Progress {
    buckets: Mutex<BTreeMap<String, BucketProgress>>,
    changed: Mutex<BTreeSet<String>>,
    wake: Notify,
}

impl Progress {
    /// What is known, by bucket.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, BucketProgress> {
        lock(&self.buckets).clone()
    }

    /// What is known of one bucket.
    #[must_use]
    pub fn of(&self, bucket: &str) -> Option<BucketProgress> {
        lock(&self.buckets).get(bucket).cloned()
    }

    /// Changes what is known of a bucket.
    pub fn update(&self, bucket: &str, change: impl FnOnce(&mut BucketProgress)) {
        let mut buckets = lock(&self.buckets);
        if !buckets.contains_key(bucket) && buckets.len() >= MAX_BUCKETS {
            let oldest = buckets.iter().min_by_key(|(_, progress)| progress.started).map(|(name, _)| name.clone());
            oldest.and_then(|name| buckets.remove(&name));
        }
        change(buckets.entry(bucket.to_owned()).or_default());
    }

    /// Forgets buckets that have no rules any more.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        lock(&self.buckets).retain(|name, _| keep(name));
    }

    /// Notes that a bucket's configuration has changed.
    pub(super) fn note_changed(&self, bucket: &str) {
        let mut changed = lock(&self.changed);
        if changed.len() < MAX_CHANGED {
            changed.insert(bucket.to_owned());
        }
        drop(changed);
        self.wake.notify_one();
    }

    /// Waits until a configuration has changed, and tells which.
    pub async fn changed(&self) -> BTreeSet<String> {
        loop {
            let changed = std::mem::take(&mut *lock(&self.changed));
            if !changed.is_empty() {
                return changed;
            }
            self.wake.notified().await;
        }
    }
}

/// Nothing panics while one of these is held; if something did, what is there is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
