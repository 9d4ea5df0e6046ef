//! Lifecycle: a bucket's configuration as it is stored, what answers tell of it, and what its rules ask for, done.
//!
//! Decisions are those of [`crate::rules::lifecycle`]. What a scan found is decided again, with the bucket's rules and
//! the key's versions as they are in the commit that acts: an object that was overwritten meanwhile is not removed.

mod explain;
mod log;
mod preview;
mod progress;
mod scan;
mod walk;

use std::sync::Arc;

use quick_cache::sync::Cache;
use storage::StoreError;
use storage::index::records::{BucketRecord, Record, VersionRecord, Versioning};
use storage::store::{KeyView, Outcome};
use storage::types::{BucketId, Timestamp};

pub use explain::{Explained, Judged, Upcoming};
pub use preview::{Planned, PreviewPage, Sample};
pub use progress::{BucketProgress, PassUnderWay, Progress};
pub use scan::{Item, ItemKind, PageLimits, Position};

use self::walk::{Walk, subject};
use super::access::LIFECYCLE;
use super::delete::Decision;
use super::{ATTEMPTS, Error, Objects, Result, VersionLabel, contention};
use crate::rules::lifecycle::{self, Action, Calendar, Configuration, State, Stated};
use crate::rules::object_lock::Bypass;
use crate::rules::{Code, Refusal};

/// Buckets whose configurations are kept; one takes up to about 60 KiB, and mostly less than one.
const CACHED_BUCKETS: usize = 1_024;
/// Bytes of a configuration as it is stored: what a row of the index may hold, with some room.
const MAX_BYTES: usize = 60 << 10;
/// Versions of a key that are read to see where one of them stands. Rules keep at most 100 newer ones.
const VERSIONS_READ: usize = 256;

impl Record for Configuration {
    const FAMILY: &'static str = "buckets";
}

/// Configurations by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type LifecycleCache = Cache<(BucketId, u64), Option<Arc<Configuration>>>;

pub(super) fn cache() -> LifecycleCache {
    Cache::new(CACHED_BUCKETS)
}

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was done.
    Done,
    /// The rules no longer ask for it, or what it was about has gone.
    Superseded,
}

impl Objects {
    /// A bucket's lifecycle configuration, if it has one. Read once for each generation of the bucket's settings.
    pub async fn bucket_lifecycle(&self, bucket: &BucketRecord) -> Result<Option<Arc<Configuration>>> {
        let key = (bucket.id, bucket.generation);
        if bucket.generation == 0 {
            return Ok(None);
        }
        if let Some(known) = self.lifecycles.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, LIFECYCLE).await?;
        let configuration = stored.map(|bytes| Configuration::decode(&bytes)).transpose()?.map(Arc::new);
        self.lifecycles.insert(key, configuration.clone());
        Ok(configuration)
    }

    /// What a stated configuration comes to, if a bucket may have it.
    pub fn checked_lifecycle(&self, mut stated: Stated) -> Result<Configuration> {
        let minimum = || self.transition_minimum.as_str().to_owned();
        stated.transition_default_minimum_object_size.get_or_insert_with(minimum);
        let id = || self.store.next_id(0).to_string();
        let configuration = stated.check(id, |class| self.tiers.serving(Some(class)).is_some())?;
        if configuration.encode().len() > MAX_BYTES {
            let message = format!("The lifecycle configuration must not take more than {MAX_BYTES} bytes.");
            return Err(Refusal::invalid_request(message).into());
        }
        Ok(configuration)
    }

    /// Replaces a bucket's lifecycle configuration.
    pub async fn set_bucket_lifecycle(&self, name: &str, configuration: &Configuration) -> Result<()> {
        self.set_config(name, LIFECYCLE, Some(configuration.encode())).await?;
        self.lifecycle_progress.note_changed(name);
        Ok(())
    }

    /// Removes a bucket's lifecycle configuration.
    pub async fn delete_bucket_lifecycle(&self, name: &str) -> Result<()> {
        self.set_config(name, LIFECYCLE, None).await
    }

    /// How the lifecycle of buckets is doing.
    #[must_use]
    pub fn lifecycle_progress(&self) -> &Arc<Progress> {
        &self.lifecycle_progress
    }

    /// When a current version expires, and the rule that says so. Told in days of the real world.
    pub async fn expiration(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: &VersionRecord,
    ) -> Result<Option<(Timestamp, String)>> {
        let Some(configuration) = self.bucket_lifecycle(bucket).await? else { return Ok(None) };
        let state = State::Current { marked: bucket.versioning != Versioning::Unversioned };
        let expires =
            lifecycle::expiration(&configuration, &subject(key, version, state, self.lock_time()), Calendar::AMAZON);
        Ok(expires.map(|(at, rule)| (at, rule.id.clone())))
    }

    /// When an upload that was initiated then is aborted, and the rule that says so. Told in days of the real world.
    pub async fn abort_date(
        &self,
        bucket: &BucketRecord,
        key: &str,
        initiated: Timestamp,
    ) -> Result<Option<(Timestamp, String)>> {
        let Some(configuration) = self.bucket_lifecycle(bucket).await? else { return Ok(None) };
        let upload = scan::upload_subject(key, initiated);
        let due = lifecycle::next(&configuration, &upload, Calendar::AMAZON, initiated);
        Ok(due.map(|due| (due.at, due.rule.id.clone())))
    }

    /// Does what a rule asks for, if it still does.
    pub async fn apply_lifecycle(&self, bucket: &BucketRecord, item: &Item) -> Result<Applied> {
        let applied = match item.kind {
            ItemKind::Version(_) => self.apply_to_version(bucket, item).await,
            ItemKind::Upload => self.apply_to_upload(bucket, item).await,
        };
        match applied {
            Err(Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => Ok(Applied::Superseded),
            other => other,
        }
    }

    async fn apply_to_version(&self, bucket: &BucketRecord, item: &Item) -> Result<Applied> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, &item.key).await?;
            if view.bucket.id != bucket.id {
                return Ok(Applied::Superseded);
            }
            let Some(configuration) = self.bucket_lifecycle(&view.bucket).await? else {
                return Ok(Applied::Superseded);
            };
            let Some((version, state)) = self.standing(&view, item).await? else { return Ok(Applied::Superseded) };
            let due = lifecycle::decide(
                &configuration,
                &subject(&item.key, &version, state, self.lock_time()),
                self.settings.calendar,
                Timestamp::now(),
            );
            if due.is_none_or(|due| due.action != item.action) {
                return Ok(Applied::Superseded);
            }
            let origin = self.server_origin();
            let decision = match &item.action {
                Action::Expire => {
                    let owner = view.bucket.owner.clone();
                    self.delete_current(view, &owner, &origin).await?
                }
                Action::RemoveMarker | Action::RemoveNoncurrent => {
                    self.delete_version(view, VersionLabel::of(&version), &origin, Bypass::Nothing).await?
                }
                Action::Transition(class) => {
                    let queued = self.queue_transition(&view, &version, class).await?;
                    return Ok(if queued { Applied::Done } else { Applied::Superseded });
                }
                Action::AbortUpload => return Ok(Applied::Superseded),
            };
            match decision {
                Decision::Nothing(_) => return Ok(Applied::Superseded),
                Decision::Commit(edit, _) => {
                    if let Outcome::Committed = self.store.commit(*edit).await? {
                        return Ok(Applied::Done);
                    }
                }
            }
        }
        Err(contention())
    }

    /// The version that an item is about, and what it is now among the others of its key.
    async fn standing(&self, view: &KeyView, item: &Item) -> Result<Option<(VersionRecord, State)>> {
        if let Some(current) = view.current.as_ref().filter(|current| current.id == item.id) {
            let state = State::Current { marked: view.bucket.versioning != Versioning::Unversioned };
            return Ok(Some((current.clone(), state)));
        }
        if view.head.is_none() {
            return Ok(None);
        }
        let (id, key) = (view.bucket.id, view.key.as_str());
        let older = self.store.noncurrent(id, key, VERSIONS_READ).await?;
        let all = older.len() < VERSIONS_READ;
        let (mut walk, mut found, mut newer_objects) = (Walk::default(), None, 0);
        let mut tell = |seen: walk::Seen<'_>| {
            newer_objects += u32::from(matches!(seen.state, State::Noncurrent { marker: false, .. }));
            if seen.version.id == item.id {
                found = Some((seen.version.clone(), seen.state));
            }
        };
        for version in view.current.iter().chain(&older) {
            walk.take(view.bucket.versioning, key, version, &mut tell);
        }
        walk.finish(&mut tell);
        // What is not read may lie behind: a marker is alone only if all was.
        if found.is_some() || all {
            return Ok(found);
        }
        self.deep_standing(view, item, newer_objects).await
    }

    /// As [`Self::standing`], of a version that is older than those that were read, of which `newer` are objects.
    async fn deep_standing(&self, view: &KeyView, item: &Item, newer: u32) -> Result<Option<(VersionRecord, State)>> {
        let ItemKind::Version(Some(successor)) = item.kind else { return Ok(None) };
        let (id, key) = (view.bucket.id, view.key.as_str());
        let successor = self.store.noncurrent_at(id, key, successor.order).await?.filter(|found| found.id == successor);
        let version = self.store.noncurrent_at(id, key, item.id.order).await?.filter(|found| found.id == item.id);
        let (Some(successor), Some(version)) = (successor, version) else { return Ok(None) };
        let marker = version.object().is_none();
        Ok(Some((version, State::Noncurrent { since: successor.modified, newer, marker })))
    }

    async fn apply_to_upload(&self, bucket: &BucketRecord, item: &Item) -> Result<Applied> {
        let Some(upload) = self.store.upload(bucket.id, &item.key, item.id).await? else {
            return Ok(Applied::Superseded);
        };
        let bucket = self.bucket(&bucket.name).await?;
        let Some(configuration) = self.bucket_lifecycle(&bucket).await? else { return Ok(Applied::Superseded) };
        let initiated = scan::upload_subject(&item.key, upload.record.initiated);
        let due = lifecycle::decide(&configuration, &initiated, self.settings.calendar, Timestamp::now());
        if upload.bucket != bucket.id || due.is_none_or(|due| due.action != item.action) {
            return Ok(Applied::Superseded);
        }
        match self.store.abort_upload(&upload).await {
            Ok(()) => Ok(Applied::Done),
            Err(StoreError::Conflict) => Ok(Applied::Superseded),
            Err(error) => Err(error.into()),
        }
    }
}
