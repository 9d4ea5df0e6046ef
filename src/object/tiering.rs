//! Storage tiers: which versions go to one, and how they get there.
//!
//! A version moves by a task, which is noted in the commit of whatever asks for the move: a write with a tier's storage
//! class, or a lifecycle rule. Until the commit that ends the task its bytes are here; from then on they are there.

use std::sync::Arc;

use storage::index::records::{BucketRecord, Content, Data, Head, ObjectRecord, Record, VersionRecord, Versioning};
use storage::store::{Change, KeyView, MoveTask, Outcome, Staged, Task, TaskKind};
use storage::types::Timestamp;

use super::event::{EventName, Origin, Told, telling};
use super::{ATTEMPTS, Error, Objects, Result, contention};
use crate::rules::lifecycle::{Calendar, DefaultMinimum};
use crate::rules::notification::Storage;
use crate::rules::{Code, Refusal};
use crate::tiers::{Tier, Tiers};

/// Moves that may wait for a tier. What rules ask for beyond them is asked for again in the next pass.
const MAX_QUEUED: u64 = 1_000_000;

/// How a task about a version ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It was done, on so many bytes.
    Done(u64),
    /// There was nothing left to do.
    Dropped,
}

/// A version that a task is about, as it was read.
pub(super) struct Found {
    pub view: KeyView,
    pub version: VersionRecord,
    pub object: ObjectRecord,
}

impl Found {
    /// The version with another object, and the head of its key after that.
    pub(super) fn with(&self, object: ObjectRecord) -> (VersionRecord, Option<Head>) {
        let version = VersionRecord { content: Content::Object(object), ..self.version.clone() };
        let head = self.view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
        (version, head)
    }
}

impl Objects {
    /// The same, with these tiers, and a minimum for transitions that do not say.
    #[must_use]
    pub fn with_tiers(mut self, tiers: Arc<Tiers>, minimum: DefaultMinimum) -> Self {
        self.tiers = tiers;
        self.transition_minimum = minimum;
        self
    }

    /// The tiers.
    #[must_use]
    pub fn tiers(&self) -> &Arc<Tiers> {
        &self.tiers
    }

    /// How long days are.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        self.settings.calendar
    }

    /// Whether an object's bytes may be read now.
    ///
    /// # Errors
    /// `InvalidObjectState` where it is archived and not restored.
    pub(super) fn check_readable(&self, object: &ObjectRecord) -> Result<()> {
        let class = object.attributes.storage_class.as_deref();
        if !self.tiers.archives(class) || object.restored().is_some_and(|copy| copy.expires > Timestamp::now()) {
            return Ok(());
        }
        Err(Refusal::from(Code::InvalidObjectState).with("StorageClass", class.unwrap_or_default()).into())
    }

    /// The task that brings a new version to the tier of its class, if there is one and the version has bytes for it.
    pub(super) fn placement(&self, bucket: &BucketRecord, key: &str, version: &VersionRecord) -> Option<Task> {
        let object = version.object()?;
        let class = object.attributes.storage_class.as_deref();
        let tier = self.tiers.serving(class)?;
        if matches!(object.data, Data::Empty | Data::Inline | Data::Remote(_)) {
            return None;
        }
        Some(move_task(tier, bucket, key, version, class?))
    }

    /// What is done once a version was written: it goes to its tier at once, or the tier's worker is told.
    pub(super) async fn place(&self, bucket: &BucketRecord, key: &str, version: &VersionRecord) {
        let Some(task) = self.placement(bucket, key, version) else { return };
        let class = version.object().and_then(|object| object.attributes.storage_class.as_deref());
        let Some(tier) = self.tiers.serving(class) else { return };
        let through = tier.write_through();
        if through.is_some()
            && let Err(error) = Box::pin(self.run_move(&task)).await
        {
            tracing::warn!(%error, tier = tier.settings.name, "a write did not go through to its tier; it follows later");
        }
        self.store.note_tiers();
    }

    /// Notes that a version is to move to this class; `false` where that is noted already, or too much is.
    pub(super) async fn queue_transition(&self, view: &KeyView, version: &VersionRecord, class: &str) -> Result<bool> {
        let Some(tier) = self.tiers.serving(Some(class)) else { return Ok(false) };
        let task = move_task(tier, &view.bucket, &view.key, version, class);
        if tier.queued() >= MAX_QUEUED || self.store.task_stands(&task).await? {
            return Ok(false);
        }
        tier.count_queued();
        self.store.note_task(&task).await?;
        Ok(true)
    }

    /// The version that a task is about; `None` where it is gone.
    pub(super) async fn found(&self, task: &Task, bucket: &str) -> Result<Option<Found>> {
        let bucket = match self.bucket(bucket).await {
            Ok(bucket) if bucket.id == task.bucket => bucket,
            Ok(_) => return Ok(None),
            Err(Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => return Ok(None),
            Err(error) => return Err(error),
        };
        let view = match self.view(&bucket, &task.key).await {
            Err(Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => return Ok(None),
            view => view?,
        };
        let current = view.current.clone().filter(|current| current.id.order == task.order);
        let version = match current {
            Some(current) => Some(current),
            None if view.bucket.versioning == Versioning::Unversioned => None,
            None => self.store.noncurrent_at(view.bucket.id, &task.key, task.order).await?,
        };
        Ok(version.and_then(|version| {
            let object = version.object()?.clone();
            Some(Found { view, version, object })
        }))
    }

    /// Moves a version to its tier. Its bytes are written there and read back; then one commit switches the place.
    pub async fn run_move(&self, task: &Task) -> Result<TaskEnd> {
        let target = MoveTask::decode(&task.note)?;
        let tier = self.tiers.serving(Some(&target.class)).filter(|tier| tier.settings.name == task.lane).cloned();
        let mut sent: Option<(Data, Staged)> = None;
        for _ in 0..ATTEMPTS {
            if !self.store.task_stands(task).await? {
                return Ok(TaskEnd::Dropped);
            }
            let (Some(tier), Some(found)) = (&tier, self.found(task, &target.bucket).await?) else {
                self.store.drop_task(task).await?;
                return Ok(TaskEnd::Dropped);
            };
            let data = found.object.data;
            let staged = match sent.take() {
                Some((from, staged)) if from == data => Some(staged),
                _ => self.bring_to(tier, &found.object).await?,
            };
            let Some(staged) = staged else { continue };
            let size = found.object.size;
            match self.commit_move(task, &target.class, found, staged).await? {
                Outcome::Committed => {
                    tier.note(|health| {
                        health.moved += 1;
                        health.moved_bytes += size;
                    });
                    return Ok(TaskEnd::Done(size));
                }
                Outcome::Conflict(again) => sent = again.map(|staged| (data, staged)),
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
            }
        }
        Err(contention())
    }

    /// An object's bytes in a tier, where they may be already; `None` when they have gone since the record was read.
    async fn bring_to(&self, tier: &Tier, object: &ObjectRecord) -> Result<Option<Staged>> {
        let size = self.store.stored_size(object.data, object.size).await?;
        Ok(self.store.send_to_tier(&tier.settings.name, object.data, size).await?)
    }

    async fn commit_move(&self, task: &Task, class: &str, found: Found, staged: Staged) -> Result<Outcome> {
        let mut object = found.object.clone();
        object.data = staged.data();
        let was = object.attributes.storage_class.replace(class.to_owned());
        let (version, head) = found.with(object);
        let event = if was.as_deref() == Some(class) {
            None
        } else {
            let told = Told { time: Timestamp::now(), ..Told::written(found.view.bucket.versioning, &version) };
            let storage = Storage::Transitioned(class.to_owned());
            let origin = self.server_origin();
            self.event_about(&found.view, EventName::LifecycleTransition, &origin, told, Some(storage)).await?
        };
        // What lies beside its record stays there, and so do references to what is there already.
        let staged = (staged.data() != found.object.data).then_some(staged);
        let change = Change::Move { version, was: found.version, staged };
        let mut edit = telling(found.view.edit(vec![change], head), event);
        edit.end_task(task);
        Ok(self.store.commit(edit).await?)
    }

    /// A change that the server makes by itself.
    pub(super) fn server_origin(&self) -> Origin {
        let id = self.store.next_id(0);
        Origin::server(format!("{:016X}", id.order ^ id.salt))
    }
}

fn move_task(tier: &Tier, bucket: &BucketRecord, key: &str, version: &VersionRecord, class: &str) -> Task {
    Task {
        kind: TaskKind::Move,
        lane: tier.settings.name.clone(),
        bucket: bucket.id,
        key: key.to_owned(),
        order: version.id.order,
        note: MoveTask { bucket: bucket.name.clone(), class: class.to_owned() }.encode(),
    }
}
