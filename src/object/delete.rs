//! Deletions: of a key, of a version, of up to a thousand at once.

use std::sync::Arc;

use futures_util::StreamExt;
use storage::index::records::{BucketRecord, Content, Head, VersionRecord, Versioning};
use storage::store::{Change, Edit, KeyView, Outcome};
use storage::types::Timestamp;

use super::event::{EventName, Origin, Told, telling};
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention, current_state, known};
use crate::rules::conditions::DeleteCondition;
use crate::rules::object_lock::Bypass;
use crate::rules::versioning::{self, Deletion, Fate, Replacement};

/// Deletions of one request that are under way at a time: enough to share commits.
const CONCURRENT: usize = 32;

/// A deletion.
#[derive(Clone, Debug)]
pub struct DeleteObject {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The canonical id of the account that deletes: the owner of a delete marker.
    pub owner: String,
    /// The version, or the key as such.
    pub version: Option<VersionLabel>,
    /// What must hold of the key's current object.
    pub condition: DeleteCondition,
    /// Whether a governance retention may be ended early.
    pub bypass: Bypass,
    /// Who deletes. What the server deletes by itself is an expiration.
    pub origin: Arc<Origin>,
}

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was removed, or the delete marker that was made.
    pub label: Option<VersionLabel>,
    /// Whether what was removed, or made, is a delete marker.
    pub delete_marker: bool,
}

/// What a deletion comes to, once the key has been read.
pub(super) enum Decision {
    Nothing(Deleted),
    Commit(Box<Edit>, Deleted),
}

impl Decision {
    fn commit(edit: Edit, deleted: Deleted) -> Self {
        Self::Commit(Box::new(edit), deleted)
    }
}

impl Objects {
    /// Deletes a key (in a versioned bucket: hides it behind a delete marker), or one version for good. Deleting what
    /// is not there succeeds.
    pub async fn delete_object(&self, request: DeleteObject) -> Result<Deleted> {
        for _ in 0..ATTEMPTS {
            let view = self.view(&request.bucket, &request.key).await?;
            if request.condition != DeleteCondition::Unconditional {
                let newest = self.newest(&view).await?;
                request.condition.check(&request.key, current_state(newest.as_ref()))?;
            }
            let decision = match request.version {
                None => self.delete_current(view, &request.owner, &request.origin).await?,
                Some(label) => self.delete_version(view, label, &request.origin, request.bypass).await?,
            };
            match decision {
                Decision::Nothing(deleted) => return Ok(deleted),
                Decision::Commit(edit, deleted) => {
                    if let Outcome::Committed = self.store.commit(*edit).await? {
                        return Ok(deleted);
                    }
                }
            }
        }
        Err(contention())
    }

    /// Several deletions, each on its own, answered in their order.
    pub async fn delete_objects(&self, requests: Vec<DeleteObject>) -> Vec<Result<Deleted>> {
        let deletions = requests.into_iter().map(|request| self.delete_object(request));
        futures_util::stream::iter(deletions).buffered(CONCURRENT).collect().await
    }

    pub(super) async fn delete_current(&self, view: KeyView, owner: &str, origin: &Origin) -> Result<Decision> {
        let null_order = view.head.as_ref().and_then(|head| head.null_order);
        let current = view.current.as_ref().map(known);
        match versioning::delete(view.bucket.versioning, current, null_order) {
            Deletion::Remove => {
                let event = self.event(&view, removal(origin), origin, Told::removed(None)).await?;
                let changes = match &view.current {
                    // Amazon S3 tells of the deletion of what is not there, too.
                    None if event.is_none() => return Ok(Decision::Nothing(Deleted::default())),
                    None => Vec::new(),
                    Some(_) => vec![Change::RemoveCurrent],
                };
                self.check_removals(&view, &changes, Bypass::Nothing)?;
                Ok(Decision::commit(telling(view.edit(changes, None), event), Deleted::default()))
            }
            Deletion::Mark(replacement) => {
                let marker = VersionRecord {
                    id: self.store.next_id(view.last_order()),
                    null: replacement.null,
                    modified: Timestamp::now(),
                    owner: owner.to_owned(),
                    content: Content::DeleteMarker,
                };
                let deleted = Deleted { label: Some(VersionLabel::of(&marker)), delete_marker: true };
                let mut changes = self.make_way(&view, replacement).await?;
                let head = head_after(&view, replacement, marker.id.order);
                let told = Told::written(view.bucket.versioning, &marker);
                let event = self.event(&view, marking(origin), origin, told).await?;
                changes.push(Change::PutMarker(marker));
                Ok(Decision::commit(telling(view.edit(changes, head), event), deleted))
            }
        }
    }

    /// The changes that a new version, or a delete marker, makes to those that are there.
    pub(super) async fn make_way(&self, view: &KeyView, replacement: Replacement) -> Result<Vec<Change>> {
        let mut changes = match replacement.current {
            Fate::Nothing => Vec::new(),
            Fate::Demoted => vec![Change::DemoteCurrent],
            Fate::Removed => vec![Change::RemoveCurrent],
        };
        if let Some(order) = replacement.removes_noncurrent
            && let Some(null) = self.store.noncurrent_at(view.bucket.id, &view.key, order).await?
        {
            changes.push(Change::RemoveNoncurrent(null));
        }
        // No bucket with object lock replaces versions. Should one, what is locked stays.
        self.check_removals(view, &changes, Bypass::Nothing)?;
        Ok(changes)
    }

    pub(super) async fn delete_version(
        &self,
        view: KeyView,
        label: VersionLabel,
        origin: &Origin,
        bypass: Bypass,
    ) -> Result<Decision> {
        let labelled = |deleted: Deleted| match view.bucket.versioning {
            Versioning::Unversioned => Deleted { label: Some(VersionLabel::Null), ..deleted },
            Versioning::Enabled | Versioning::Suspended => deleted,
        };
        let deleted = labelled(Deleted { label: Some(label), delete_marker: false });
        if let Some(current) = view.current.as_ref().filter(|current| VersionLabel::of(current) == label) {
            self.check_removals(&view, &[Change::RemoveCurrent], bypass)?;
            return self.remove_current(current.clone(), view, deleted, origin).await;
        }
        let Some(version) = self.noncurrent_labelled(&view, label).await? else {
            return Ok(Decision::Nothing(deleted));
        };
        let deleted = Deleted { delete_marker: version.object().is_none(), ..deleted };
        // The two newest tell what becomes current, and whether anything is left at all.
        let newest = self.store.noncurrent(view.bucket.id, &view.key, 2).await?;
        let was_newest = view.current.is_none() && newest.first().is_some_and(|first| first.id == version.id);
        let next = if was_newest { newest.get(1) } else { None };
        let nothing_left = view.current.is_none() && newest.len() < 2;
        let head = head_without(&view, version.id.order, nothing_left);
        let mut changes = vec![Change::RemoveNoncurrent(version)];
        self.check_removals(&view, &changes, bypass)?;
        changes.extend(next.filter(|next| next.object().is_some()).cloned().map(Change::Promote));
        let event = self.event(&view, removal(origin), origin, Told::removed(label.id())).await?;
        Ok(Decision::commit(telling(view.edit(changes, head), event), deleted))
    }

    async fn remove_current(
        &self,
        current: VersionRecord,
        view: KeyView,
        deleted: Deleted,
        origin: &Origin,
    ) -> Result<Decision> {
        let mut changes = vec![Change::RemoveCurrent];
        let mut head = None;
        if view.bucket.versioning != Versioning::Unversioned {
            let next = self.store.noncurrent(view.bucket.id, &view.key, 1).await?.pop();
            head = head_without(&view, current.id.order, next.is_none());
            changes.extend(next.filter(|next| next.object().is_some()).map(Change::Promote));
        }
        let removed = deleted.label.and_then(VersionLabel::id);
        let event = self.event(&view, removal(origin), origin, Told::removed(removed)).await?;
        Ok(Decision::commit(telling(view.edit(changes, head), event), deleted))
    }

    /// The noncurrent version or delete marker with this label.
    pub(super) async fn noncurrent_labelled(
        &self,
        view: &KeyView,
        label: VersionLabel,
    ) -> Result<Option<VersionRecord>> {
        let order = match label {
            VersionLabel::Id(id) => Some(id.order),
            VersionLabel::Null => view.head.as_ref().and_then(|head| head.null_order),
        };
        let Some(order) = order else { return Ok(None) };
        let version = self.store.noncurrent_at(view.bucket.id, &view.key, order).await?;
        Ok(version.filter(|version| VersionLabel::of(version) == label))
    }
}

/// What events call the removal of something for good.
fn removal(origin: &Origin) -> EventName {
    if origin.is_server() { EventName::LifecycleExpirationDelete } else { EventName::ObjectRemovedDelete }
}

/// What events call a new delete marker.
fn marking(origin: &Origin) -> EventName {
    if origin.is_server() {
        EventName::LifecycleExpirationDeleteMarkerCreated
    } else {
        EventName::ObjectRemovedDeleteMarkerCreated
    }
}

/// The head after a new version or delete marker; unversioned keys have none.
pub(super) fn head_after(view: &KeyView, replacement: Replacement, order: u64) -> Option<Head> {
    if view.bucket.versioning == Versioning::Unversioned {
        return None;
    }
    let head = view.head.clone().unwrap_or_default();
    let current = view.current.as_ref().map(known);
    let null_order = versioning::null_order_after(replacement, order, current, head.null_order);
    Some(Head { generation: head.generation + 1, last_order: order, null_order })
}

/// The head after the version with this order has gone.
fn head_without(view: &KeyView, order: u64, nothing_left: bool) -> Option<Head> {
    if nothing_left {
        return None;
    }
    let head = view.head.clone().unwrap_or_default();
    let null_order = head.null_order.filter(|null| *null != order);
    Some(Head { generation: head.generation + 1, last_order: view.last_order(), null_order })
}
