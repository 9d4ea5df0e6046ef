//! Restoring: a copy of archived bytes that is here for some days.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>

use std::sync::Arc;

use storage::index::records::{BucketRecord, Content, Data, ObjectRecord, Restore, RestoredCopy, VersionRecord};
use storage::store::{Change, Outcome, Task, TaskKind};
use storage::types::Timestamp;

use super::event::{EventName, Origin, Told, telling};
use super::tiering::{Found, TaskEnd};
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention};
use crate::rules::notification::Storage;
use crate::rules::{Code, Refusal};

/// What is asked back.
#[derive(Clone, Debug)]
pub struct RestoreObject {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The version; else the current one.
    pub version: Option<VersionLabel>,
    /// For how many days.
    pub days: u32,
    /// Who asks.
    pub origin: Arc<Origin>,
}

/// What a request to restore came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restoring {
    /// The copy is being made.
    Begun,
    /// It is here, and stays so many days from now.
    Extended,
}

/// The lane of the tasks that end restored copies: times as text that sorts.
fn lane_of(time: Timestamp) -> String {
    format!("{:020}", time.0.max(0))
}

impl Objects {
    /// Asks an archived object back.
    ///
    /// # Errors
    /// `InvalidObjectState` for what is not archived, `RestoreAlreadyInProgress`.
    pub async fn restore_object(&self, request: &RestoreObject) -> Result<Restoring> {
        for _ in 0..ATTEMPTS {
            let view = self.view(&request.bucket, &request.key).await?;
            let (version, object) = self.find_object(&view.bucket, &request.key, request.version).await?;
            let found = Found { view, version, object };
            let class = found.object.attributes.storage_class.clone();
            let Some(tier) = self.tiers.serving(class.as_deref()).filter(|_| self.tiers.archives(class.as_deref()))
            else {
                let message = "Restore is not allowed for the object's current storage class";
                return Err(Refusal::new(Code::InvalidObjectState, message)
                    .with("StorageClass", class.unwrap_or_else(|| crate::rules::metadata::STANDARD.to_owned()))
                    .into());
            };
            let now = Timestamp::now();
            let (restoring, restore, task) = match &found.object.restore {
                Some(Restore { copy: None, .. }) => return Err(Refusal::from(Code::RestoreAlreadyInProgress).into()),
                Some(Restore { copy: Some(copy), requested, .. }) if copy.expires > now => {
                    let expires = self.calendar().after(now, request.days);
                    let copy = Some(RestoredCopy { expires, ..*copy });
                    let restore = Restore { requested: *requested, days: request.days, copy };
                    (Restoring::Extended, restore, restore_task(&found, TaskKind::Expire, lane_of(expires)))
                }
                _ => {
                    let restore = Restore { requested: now, days: request.days, copy: None };
                    let lane = tier.settings.name.clone();
                    (Restoring::Begun, restore, restore_task(&found, TaskKind::Restore, lane))
                }
            };
            let object = ObjectRecord { restore: Some(restore), ..found.object.clone() };
            let begun = restoring == Restoring::Begun;
            let event = begun.then_some((EventName::ObjectRestorePost, None));
            if self.commit_restore(found, object, None, event, (&request.origin, Some(&task), None)).await? {
                self.store.note_tiers();
                return Ok(restoring);
            }
        }
        Err(contention())
    }

    /// Brings the copy back that a task is about.
    pub async fn run_restore(&self, task: &Task) -> Result<TaskEnd> {
        let bucket = String::from_utf8_lossy(&task.note).into_owned();
        for _ in 0..ATTEMPTS {
            if !self.store.task_stands(task).await? {
                return Ok(TaskEnd::Dropped);
            }
            let found = self.found(task, &bucket).await?;
            let asked = found.and_then(|found| match found.object.restore.clone() {
                Some(restore @ Restore { copy: None, .. }) => Some((found, restore)),
                _ => None,
            });
            let Some((found, restore)) = asked else {
                self.store.drop_task(task).await?;
                return Ok(TaskEnd::Dropped);
            };
            let data = found.object.data;
            let staged = if self.store.tier_of(data).await?.is_some() {
                let size = self.store.stored_size(data, found.object.size).await?;
                let Some(staged) = self.store.bring_back(data, size).await? else { continue };
                Some(staged)
            } else {
                None
            };
            let copy_data: Data = staged.as_ref().map_or(data, storage::store::Staged::data);
            let expires = self.calendar().after(Timestamp::now(), restore.days);
            let copy = Some(RestoredCopy { data: copy_data, expires });
            let size = found.object.size;
            let class = found.object.attributes.storage_class.clone().unwrap_or_default();
            let object = ObjectRecord { restore: Some(Restore { copy, ..restore }), ..found.object.clone() };
            let expiry = restore_task(&found, TaskKind::Expire, lane_of(expires));
            let event = Some((EventName::ObjectRestoreCompleted, Some(Storage::Restored(expires, class))));
            let origin = self.server_origin();
            if self.commit_restore(found, object, staged, event, (&origin, Some(&expiry), Some(task))).await? {
                return Ok(TaskEnd::Done(size));
            }
        }
        Err(contention())
    }

    /// Ends the restored copies whose time has come; answers how many tasks were looked at, at most `limit`.
    pub async fn expire_restored(&self, limit: usize) -> Result<usize> {
        let tasks = self.store.tasks_until(TaskKind::Expire, &lane_of(Timestamp::now()), limit).await?;
        for task in &tasks {
            self.expire(task).await?;
        }
        Ok(tasks.len())
    }

    async fn expire(&self, task: &Task) -> Result<()> {
        let bucket = String::from_utf8_lossy(&task.note).into_owned();
        for _ in 0..ATTEMPTS {
            let found = self.found(task, &bucket).await?;
            let due =
                found.filter(|found| found.object.restored().is_some_and(|copy| lane_of(copy.expires) == task.lane));
            // Extended, replaced or gone.
            let Some(found) = due else { return Ok(self.store.drop_task(task).await?) };
            let class = found.object.attributes.storage_class.clone().unwrap_or_default();
            let expired = found.object.restored().map(|copy| Storage::Restored(copy.expires, class));
            let object = ObjectRecord { restore: None, ..found.object.clone() };
            let event = Some((EventName::ObjectRestoreDelete, expired));
            let origin = self.server_origin();
            if self.commit_restore(found, object, None, event, (&origin, None, Some(task))).await? {
                return Ok(());
            }
        }
        Err(contention())
    }

    /// Commits a version's new state of restoration, with its event, the task that follows and the end of the one that
    /// this was; `false` where something has changed meanwhile.
    async fn commit_restore(
        &self,
        found: Found,
        object: ObjectRecord,
        staged: Option<storage::store::Staged>,
        event: Option<(EventName, Option<Storage>)>,
        (origin, next, done): (&Origin, Option<&Task>, Option<&Task>),
    ) -> Result<bool> {
        let (version, head) = found.with(object);
        let event = match event {
            Some((name, storage)) => {
                let told = Told { time: Timestamp::now(), ..Told::written(found.view.bucket.versioning, &version) };
                self.event_about(&found.view, name, origin, told, storage).await?
            }
            None => None,
        };
        let change = Change::Move { version, was: found.version, staged };
        let mut edit = telling(found.view.edit(vec![change], head), event);
        if let Some(task) = next {
            edit.add_task(task);
        }
        if let Some(task) = done {
            edit.end_task(task);
        }
        Ok(matches!(self.store.commit(edit).await?, Outcome::Committed))
    }
}

/// What is to be done about a version that was asked back.
fn restore_task(found: &Found, kind: TaskKind, lane: String) -> Task {
    Task {
        kind,
        lane,
        bucket: found.view.bucket.id,
        key: found.view.key.clone(),
        order: found.version.id.order,
        note: found.view.bucket.name.clone().into_bytes(),
    }
}

/// The object that a version is, without what was asked back of it: what another version of the same bytes has.
pub(super) fn unrestored(version: &VersionRecord) -> Option<ObjectRecord> {
    match &version.content {
        Content::Object(object) => Some(ObjectRecord { restore: None, ..object.clone() }),
        Content::DeleteMarker => None,
    }
}
