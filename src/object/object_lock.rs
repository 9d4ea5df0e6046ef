//! Object lock as it is stored and enforced: a bucket's default, each version's lock beside it, and the clock by which
//! retentions end.
//!
//! What protects a version is part of its record. A commit that removes a version requires that the record, or its
//! key's head, is as it was read; so nothing is locked between the decision and the removal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::StoreError;
use storage::index::records::{Attributes, BucketRecord, Content, ObjectRecord, Record, VersionRecord, Versioning};
use storage::store::{Change, KeyView};
use storage::types::{BucketId, Timestamp};

use super::access::OBJECT_LOCK;
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention};
use crate::rules::object_lock::{self, Bypass, DefaultRetention, Lock, Moment, Retention};
use crate::rules::{Code, Refusal};

/// The number of the lock among a version's sub-resources. Stored: never reuse it.
const VERSION_LOCK: u8 = 2;

/// Buckets whose default is kept.
const CACHED_BUCKETS: usize = 1_024;

impl Record for Lock {
    const FAMILY: &'static str = "versions";
}

/// A bucket's default retention as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored(DefaultRetention);

impl Record for Stored {
    const FAMILY: &'static str = "buckets";
}

/// Defaults by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type DefaultRetentionCache = Cache<(BucketId, u64), Option<DefaultRetention>>;

pub(super) fn cache() -> DefaultRetentionCache {
    Cache::new(CACHED_BUCKETS)
}

/// What protects a version.
///
/// # Errors
/// If the stored bytes are damaged.
pub fn lock_of(attributes: &Attributes) -> Result<Lock> {
    Ok(attributes.sub_resource(VERSION_LOCK).map(Lock::decode).transpose()?.unwrap_or_default())
}

/// Gives what a version says about itself a lock.
pub fn set_lock(attributes: &mut Attributes, lock: Lock) {
    attributes.set_sub_resource(VERSION_LOCK, (!lock.is_empty()).then(|| lock.encode()));
}

/// Tells the time by which retentions begin and end.
///
/// The wall clock alone will not do: it can be set. While the process runs, a retention ends only when as much time
/// has passed as a clock that nobody can set says; a new one begins no earlier than any commit before it, of an
/// earlier process included. A clock that is set forward while the server is down is not seen through.
pub struct LockClock {
    wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
    /// Time since the process began, by a clock that nobody can set.
    passed: Box<dyn Fn() -> Duration + Send + Sync>,
    /// The time when the process began, and no earlier than any commit before that.
    began: i64,
}

impl LockClock {
    /// The system's clocks, over a store whose commits have seen `latest`.
    #[must_use]
    pub fn system(latest: Timestamp) -> Self {
        let started = Instant::now();
        Self::new(latest, Timestamp::now, move || started.elapsed())
    }

    /// These clocks.
    pub fn new(
        latest: Timestamp,
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        passed: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let began = wall().0.max(latest.0);
        Self { wall: Box::new(wall), passed: Box::new(passed), began }
    }

    fn moment(&self, latest: Timestamp) -> Moment {
        let wall = (self.wall)().0;
        let passed = i64::try_from((self.passed)().as_millis()).unwrap_or(i64::MAX);
        Moment { earliest: wall.min(self.began.saturating_add(passed)), latest: wall.max(latest.0) }
    }
}

impl std::fmt::Debug for LockClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockClock").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Objects {
    /// The same, by another clock.
    #[must_use]
    pub fn with_lock_clock(mut self, clock: LockClock) -> Self {
        self.lock_clock = Arc::new(clock);
        self
    }

    /// When it is, as far as locks are concerned. Every time that is told is noted in the store.
    #[must_use]
    pub fn lock_time(&self) -> Moment {
        let moment = self.lock_clock.moment(self.store.latest_time());
        self.store.note_time(Timestamp(moment.latest));
        moment
    }

    /// Whether a version must stay, whoever asks without a bypass. Delete markers never must.
    ///
    /// # Errors
    /// If the stored bytes are damaged.
    pub fn is_locked(&self, version: &VersionRecord) -> Result<bool> {
        let Some(object) = version.object() else { return Ok(false) };
        Ok(lock_of(&object.attributes)?.holds(self.lock_time(), Bypass::Nothing))
    }

    /// Refuses changes that would remove a version that must stay.
    pub(super) fn check_removals(&self, view: &KeyView, changes: &[Change], bypass: Bypass) -> Result<()> {
        for change in changes {
            let removed = match change {
                Change::RemoveCurrent => view.current.as_ref(),
                Change::RemoveNoncurrent(version) => Some(version),
                _ => None,
            };
            if let Some(object) = removed.and_then(VersionRecord::object)
                && object.attributes.sub_resource(VERSION_LOCK).is_some()
            {
                lock_of(&object.attributes)?.check_removal(self.lock_time(), bypass)?;
            }
        }
        Ok(())
    }

    /// Gives a new version the lock that its bucket wants, and notes when it is made.
    pub(super) async fn lock_new_version(&self, bucket: &BucketRecord, version: &mut VersionRecord) -> Result<()> {
        let now = self.lock_time();
        let Content::Object(object) = &mut version.content else { return Ok(()) };
        if bucket.object_lock {
            let lock = lock_of(&object.attributes)?.or_default(self.default_retention(bucket).await?, now);
            set_lock(&mut object.attributes, lock);
        }
        Ok(())
    }

    /// What a bucket gives new versions, if anything.
    pub async fn default_retention(&self, bucket: &BucketRecord) -> Result<Option<DefaultRetention>> {
        let key = (bucket.id, bucket.generation);
        if let Some(known) = self.default_retentions.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, OBJECT_LOCK).await?;
        let default = stored.map(|bytes| Stored::decode(&bytes)).transpose()?.map(|stored| stored.0);
        self.default_retentions.insert(key, default);
        Ok(default)
    }

    /// Lets a bucket lock versions, which it can never be kept from again, and sets what it gives new ones.
    ///
    /// # Errors
    /// `InvalidBucketState` where the bucket does not keep old versions.
    pub async fn set_object_lock(&self, name: &str, default: Option<DefaultRetention>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let bucket = self.bucket(name).await?;
            if bucket.versioning != Versioning::Enabled {
                let message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
                return Err(Refusal::new(Code::InvalidBucketState, message).into());
            }
            let record = BucketRecord { object_lock: true, ..bucket.clone() };
            let stored = default.map(|default| Stored(default).encode());
            match self.store.replace_bucket(&bucket, &record, (OBJECT_LOCK, stored)).await {
                Err(StoreError::Conflict) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contention())
    }

    /// What protects an object, or one of its versions.
    ///
    /// # Errors
    /// `InvalidRequest` where the bucket has no object lock.
    pub async fn object_lock(&self, bucket: &BucketRecord, key: &str, version: Option<VersionLabel>) -> Result<Lock> {
        object_lock::check_bucket(bucket.object_lock)?;
        let (_, object) = self.find_object(bucket, key, version).await?;
        lock_of(&object.attributes)
    }

    /// Sets or removes the retention of an object, or of one of its versions.
    ///
    /// # Errors
    /// `AccessDenied` where that would loosen what holds.
    pub async fn set_retention(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        retention: Option<Retention>,
        bypass: Bypass,
    ) -> Result<()> {
        object_lock::check_bucket(bucket.object_lock)?;
        let set = |object: &mut ObjectRecord| {
            let lock = lock_of(&object.attributes)?.with_retention(retention, self.lock_time(), bypass)?;
            set_lock(&mut object.attributes, lock);
            Ok(())
        };
        self.update_object(bucket, key, version, set, None).await.map(|_| ())
    }

    /// Puts an object, or one of its versions, under a legal hold, or ends it.
    pub async fn set_legal_hold(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        on: bool,
    ) -> Result<()> {
        object_lock::check_bucket(bucket.object_lock)?;
        let set = |object: &mut ObjectRecord| {
            let lock = Lock { legal_hold: Some(on), ..lock_of(&object.attributes)? };
            set_lock(&mut object.attributes, lock);
            Ok(())
        };
        self.update_object(bucket, key, version, set, None).await.map(|_| ())
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
