//! Changes of a key's versions: what was read, what shall be, and the one commit in between.

use std::sync::Arc;

use bytes::Bytes;

use super::Store;
use super::staged::{Staged, root_child};
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Candidate, Child, Parent, Usage};
use crate::index::records::{
    Annotations, BucketRecord, Content, Data, Head, ObjectRecord, Record, Referrer, VersionRecord, Versioning,
};
use crate::kv::{Batch, Commit, Family};

/// Attempts at a commit that conflicts only with other uploads of the same data.
const ATTEMPTS: u32 = 64;

/// A key as it was read: what a decision rests on, and what the commit will require unchanged.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// Its bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The live current version.
    pub current: Option<VersionRecord>,
    /// The head, in buckets that are or were versioned.
    pub head: Option<Head>,
    bucket_row: Bytes,
    current_row: Option<Bytes>,
    head_row: Option<Bytes>,
}

/// One change of a key's versions.
pub enum Change {
    /// A new current version with its data. What was current must be demoted or removed by another change.
    PutCurrent(VersionRecord, Staged),
    /// A new delete marker.
    PutMarker(VersionRecord),
    /// The current version becomes noncurrent.
    DemoteCurrent,
    /// The current version goes for good.
    RemoveCurrent,
    /// This noncurrent version or delete marker goes for good.
    RemoveNoncurrent(VersionRecord),
    /// This noncurrent version becomes current.
    Promote(VersionRecord),
    /// The current version's record is replaced by one with the same id and data.
    UpdateCurrent(VersionRecord),
    /// A noncurrent version's record is replaced by one with the same id and data; the second is what was read.
    UpdateNoncurrent(VersionRecord, VersionRecord),
    /// The annotations of a version are replaced: its record, with the same id and data, and the new list, if it is to
    /// have one.
    Annotate {
        /// The record with the new list.
        version: VersionRecord,
        /// The record as it was read.
        was: VersionRecord,
        /// The new list, and what it needs.
        staged: Option<Staged>,
    },
    /// The bytes of a version, or of its restored copy, are elsewhere: its record, with the same id, and the new data,
    /// if there is any. What it no longer names is released.
    Move {
        /// The record with the new place.
        version: VersionRecord,
        /// The record as it was read.
        was: VersionRecord,
        /// The data that is new.
        staged: Option<Staged>,
    },
}

/// Changes of one key that are committed together.
pub struct Edit {
    view: KeyView,
    changes: Vec<Change>,
    head: Option<Head>,
    extra: Batch,
    limits: Vec<(Usage, u64)>,
}

/// How a commit ended.
#[allow(clippy::large_enum_variant, reason = "one for each commit, moved once: a box would cost more")]
pub enum Outcome {
    /// Durable.
    Committed,
    /// The key, its bucket or what else the edit relied on has changed since it was read. Read again and decide anew;
    /// the data that was to become visible comes back for that.
    Conflict(Option<Staged>),
    /// The bucket's usage would have grown beyond a limit of the edit's; nothing was written.
    OverQuota(OverQuota),
}

/// Which limit an edit would have exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverQuota {
    /// The figure that is limited.
    pub figure: Usage,
    /// What it stood at.
    pub used: u64,
    /// The most that it may become.
    pub max: u64,
}

impl KeyView {
    /// The greatest order that the key is known to have had.
    #[must_use]
    pub fn last_order(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |version| version.id.order);
        self.head.as_ref().map_or(current, |head| head.last_order.max(current))
    }

    /// Starts an edit. `head` is what the key's head becomes: `None` removes it, or leaves an unversioned key without.
    #[must_use]
    pub fn edit(self, changes: Vec<Change>, head: Option<Head>) -> Edit {
        Edit { view: self, changes, head, extra: Batch::default(), limits: Vec::new() }
    }
}

impl Edit {
    /// Adds rows of another kind to the same commit: an upload's end, an event.
    #[must_use]
    pub(crate) fn with(mut self, extra: Batch) -> Self {
        self.extra.join(extra);
        self
    }

    /// Puts an event into the outbox, in the same commit: it exists exactly if the change does. At most
    /// [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES), else the commit fails.
    pub fn append_event(&mut self, event: Vec<u8>) {
        super::outbox::append(&mut self.extra, event);
    }

    /// Refuses the edit with [`Outcome::OverQuota`] where it would raise this figure of the bucket's usage beyond
    /// `max`; exact, however many edits race. An edit that leaves the figure as it is, or lowers it, is never refused.
    /// Usage counts the bytes and the number of all versions, current ones included; parts of open uploads are
    /// counted when the completion makes them an object.
    pub fn limit_usage(&mut self, figure: Usage, max: u64) {
        let bucket = self.view.bucket.id;
        self.extra.limit(Family::Counters, keys::usage(bucket, figure), i64::try_from(max).unwrap_or(i64::MAX));
        self.limits.push((figure, max));
    }

    /// Notes something to be done about a version, in the same commit.
    pub fn add_task(&mut self, task: &super::Task) {
        self.extra.put(Family::Tiers, task.row(), task.note.clone());
    }

    /// Ends what was to be done about a version, in the same commit. Requires that it is noted as it was read.
    pub fn end_task(&mut self, task: &super::Task) {
        self.extra.check_unchanged(Family::Tiers, task.row(), Some(Bytes::from(task.note.clone())));
        self.extra.delete(Family::Tiers, task.row());
    }

    pub(super) fn batch(&self, store: &Store) -> Batch {
        let view = &self.view;
        let (bucket, key) = (view.bucket.id, view.key.as_str());
        let mut batch = self.extra.clone();
        batch.check_unchanged(Family::Buckets, keys::bucket_by_name(&view.bucket.name), Some(view.bucket_row.clone()));
        batch.check_unchanged(Family::Current, keys::object(bucket, key), view.current_row.clone());
        if view.bucket.versioning != Versioning::Unversioned {
            batch.check_unchanged(Family::Versions, keys::head(bucket, key), view.head_row.clone());
            match &self.head {
                Some(head) => batch.put(Family::Versions, keys::head(bucket, key), head.encode()),
                None => batch.delete(Family::Versions, keys::head(bucket, key)),
            }
        }
        store.keep_time(&mut batch);
        let mut rows = Rows { store, view, batch };
        self.changes.iter().for_each(|change| rows.add(change));
        rows.batch
    }
}

/// Turns changes into rows.
struct Rows<'a> {
    store: &'a Store,
    view: &'a KeyView,
    batch: Batch,
}

impl Rows<'_> {
    fn add(&mut self, change: &Change) {
        match change {
            Change::PutCurrent(version, staged) => self.put_current(version, staged),
            Change::PutMarker(marker) => {
                self.put_noncurrent(marker);
                self.count(marker, 1);
            }
            Change::DemoteCurrent => {
                if let Some(current) = &self.view.current {
                    self.put_noncurrent(current);
                    self.batch.delete(Family::Current, self.current_key());
                    self.count_objects(-1);
                }
            }
            Change::RemoveCurrent => {
                if let Some(current) = &self.view.current {
                    self.batch.delete(Family::Current, self.current_key());
                    self.count_objects(-1);
                    self.remove_data(current);
                }
            }
            Change::RemoveNoncurrent(version) => {
                self.batch.delete(Family::Versions, self.version_key(version));
                self.remove_data(version);
            }
            Change::Promote(version) => {
                self.batch.delete(Family::Versions, self.version_key(version));
                self.batch.put(Family::Current, self.current_key(), version.encode());
                self.count_objects(1);
            }
            Change::UpdateCurrent(version) => self.batch.put(Family::Current, self.current_key(), version.encode()),
            Change::UpdateNoncurrent(version, was) => {
                let was = Some(Bytes::from(was.encode()));
                self.batch.check_unchanged(Family::Versions, self.version_key(version), was);
                self.put_noncurrent(version);
            }
            Change::Annotate { version, was, staged } => self.annotate(version, was, staged.as_ref()),
            Change::Move { version, was, staged } => self.move_data(version, was, staged.as_ref()),
        }
    }

    fn move_data(&mut self, version: &VersionRecord, was: &VersionRecord, staged: Option<&Staged>) {
        self.replace(version, was);
        if let Some(staged) = staged {
            staged.add_rows(&mut self.batch, Parent::Version(version.id), (self.view.bucket.id, &self.view.key));
        }
        let kept = children_of(version);
        for child in children_of(was).into_iter().flatten().filter(|child| !kept.contains(&Some(*child))) {
            self.drop_child(child, version);
        }
    }

    fn replace(&mut self, version: &VersionRecord, was: &VersionRecord) {
        if self.view.current.as_ref().is_some_and(|current| current.id == version.id) {
            self.batch.put(Family::Current, self.current_key(), version.encode());
        } else {
            let was = Some(Bytes::from(was.encode()));
            self.batch.check_unchanged(Family::Versions, self.version_key(version), was);
            self.put_noncurrent(version);
        }
    }

    fn drop_child(&mut self, child: Child, version: &VersionRecord) {
        self.batch.delete(Family::Refs, keys::reference(child, Parent::Version(version.id)));
        self.store.note_candidate(&mut self.batch, Candidate::Child(child));
    }

    fn annotate(&mut self, version: &VersionRecord, was: &VersionRecord, staged: Option<&Staged>) {
        self.replace(version, was);
        self.drop_annotations(was);
        if let Some(staged) = staged {
            staged.add_rows(&mut self.batch, Parent::Version(version.id), (self.view.bucket.id, &self.view.key));
        }
        let bytes = |version: &VersionRecord| annotations_of(version).map_or(0, |list| list.bytes);
        let growth = i64::try_from(bytes(version)).unwrap_or(i64::MAX) - i64::try_from(bytes(was)).unwrap_or(i64::MAX);
        self.batch.add(Family::Counters, keys::usage(self.view.bucket.id, Usage::Bytes), growth);
    }

    /// Drops a version's reference to its list of annotations.
    fn drop_annotations(&mut self, version: &VersionRecord) {
        if let Some(list) = annotations_of(version) {
            let child = Child::Manifest(list.manifest);
            self.batch.delete(Family::Refs, keys::reference(child, Parent::Version(version.id)));
            self.store.note_candidate(&mut self.batch, Candidate::Child(child));
        }
    }

    fn current_key(&self) -> Vec<u8> {
        keys::object(self.view.bucket.id, &self.view.key)
    }

    fn version_key(&self, version: &VersionRecord) -> Vec<u8> {
        keys::version(self.view.bucket.id, &self.view.key, version.id.order)
    }

    fn put_noncurrent(&mut self, version: &VersionRecord) {
        self.batch.put(Family::Versions, self.version_key(version), version.encode());
    }

    fn put_current(&mut self, version: &VersionRecord, staged: &Staged) {
        let view = self.view;
        self.batch.put(Family::Current, self.current_key(), version.encode());
        if let Some(bytes) = staged.inline_bytes().filter(|bytes| !bytes.is_empty()) {
            self.batch.put(Family::Inline, keys::inline(view.bucket.id, &view.key, version.id.order), bytes.to_vec());
        }
        staged.add_rows(&mut self.batch, Parent::Version(version.id), (view.bucket.id, &view.key));
        if let Some(list) = annotations_of(version) {
            let row = keys::reference(Child::Manifest(list.manifest), Parent::Version(version.id));
            let referrer = Referrer { object: Some((view.bucket.id, view.key.clone())) };
            self.batch.put(Family::Refs, row, referrer.encode());
        }
        self.count(version, 1);
        self.count_objects(1);
    }

    fn remove_data(&mut self, version: &VersionRecord) {
        self.count(version, -1);
        self.drop_annotations(version);
        let Content::Object(ObjectRecord { data, .. }) = &version.content else { return };
        if *data == Data::Inline {
            self.batch.delete(Family::Inline, keys::inline(self.view.bucket.id, &self.view.key, version.id.order));
        }
        for child in children_of(version).into_iter().flatten() {
            self.drop_child(child, version);
        }
    }

    fn count(&mut self, version: &VersionRecord, sign: i64) {
        let bucket = self.view.bucket.id;
        match &version.content {
            Content::Object(object) => {
                let annotations = object.annotations.map_or(0, |list| list.bytes);
                let bytes = i64::try_from(object.size.saturating_add(annotations)).unwrap_or(i64::MAX);
                self.batch.add(Family::Counters, keys::usage(bucket, Usage::Versions), sign);
                self.batch.add(Family::Counters, keys::usage(bucket, Usage::Bytes), sign * bytes);
            }
            Content::DeleteMarker => self.batch.add(Family::Counters, keys::usage(bucket, Usage::DeleteMarkers), sign),
        }
    }

    fn count_objects(&mut self, delta: i64) {
        self.batch.add(Family::Counters, keys::usage(self.view.bucket.id, Usage::Objects), delta);
    }
}

/// What a version refers to: its data, and its restored copy.
fn children_of(version: &VersionRecord) -> [Option<Child>; 2] {
    let object = version.object();
    let data = object.and_then(|object| root_child(object.data));
    let copy = object.and_then(ObjectRecord::restored).and_then(|copy| root_child(copy.data));
    [data, copy.filter(|copy| data != Some(*copy))]
}

fn annotations_of(version: &VersionRecord) -> Option<Annotations> {
    version.object().and_then(|object| object.annotations)
}

impl Store {
    /// Reads a key; `None` when the bucket is gone or another one has taken its name.
    pub async fn view(&self, bucket: &BucketRecord, key: &str) -> Result<Option<KeyView>> {
        let Some(bucket_row) = self.bucket_row(bucket).await? else { return Ok(None) };
        // The row is what the commit will check, so it is what the decision must rest on.
        let bucket = BucketRecord::decode(&bucket_row)?;
        let current_row = self.get(Family::Current, keys::object(bucket.id, key)).await?;
        let head_row = match bucket.versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled | Versioning::Suspended => {
                self.get(Family::Versions, keys::head(bucket.id, key)).await?
            }
        };
        let current = current_row.as_deref().map(VersionRecord::decode).transpose()?;
        let head = head_row.as_deref().map(Head::decode).transpose()?;
        Ok(Some(KeyView { bucket, key: key.to_owned(), current, head, bucket_row, current_row, head_row }))
    }

    /// Commits an edit: durable when it resolves. It goes on when the caller leaves.
    pub async fn commit(self: &Arc<Self>, edit: Edit) -> Result<Outcome> {
        let store = Arc::clone(self);
        let committing = tokio::spawn(async move { store.commit_edit(edit).await });
        committing.await.map_err(|_| StoreError::Closed)?
    }

    async fn commit_edit(&self, mut edit: Edit) -> Result<Outcome> {
        for _ in 0..ATTEMPTS {
            match self.kv.commit(edit.batch(self)).await? {
                Commit::Committed => {
                    edit.note_committed(self);
                    return Ok(Outcome::Committed);
                }
                Commit::LimitExceeded { limit, before } => return Ok(edit.over_quota(limit, before)),
                Commit::Conflict(_) => {}
            }
            // Another upload may have made the same data known first: then this commit can still succeed.
            if !edit.refresh_staged(self).await? {
                return Ok(Outcome::Conflict(edit.into_staged()));
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }
}

impl Edit {
    /// The edit's limits are the only ones of its batch, in their order.
    fn over_quota(&self, limit: usize, before: i64) -> Outcome {
        let (figure, max) = self.limits.get(limit).copied().unwrap_or((Usage::Bytes, 0));
        Outcome::OverQuota(OverQuota { figure, used: u64::try_from(before).unwrap_or(0), max })
    }

    fn into_staged(self) -> Option<Staged> {
        self.changes.into_iter().find_map(|change| match change {
            Change::PutCurrent(_, staged)
            | Change::Annotate { staged: Some(staged), .. }
            | Change::Move { staged: Some(staged), .. } => Some(staged),
            _ => None,
        })
    }

    async fn refresh_staged(&mut self, store: &Store) -> Result<bool> {
        let mut changed = false;
        for change in &mut self.changes {
            if let Change::PutCurrent(_, staged)
            | Change::Annotate { staged: Some(staged), .. }
            | Change::Move { staged: Some(staged), .. } = change
                && staged.may_conflict()
            {
                changed |= staged.refresh(store).await?;
            }
        }
        Ok(changed)
    }

    fn note_committed(&mut self, store: &Store) {
        let mut removed = false;
        for change in &mut self.changes {
            match change {
                Change::PutCurrent(_, staged) => staged.note_committed(store),
                Change::RemoveCurrent | Change::RemoveNoncurrent(_) => removed = true,
                Change::Annotate { staged, .. } | Change::Move { staged, .. } => {
                    removed = true;
                    if let Some(staged) = staged {
                        staged.note_committed(store);
                    }
                }
                _ => {}
            }
        }
        if removed || !self.extra.deletes.is_empty() {
            store.garbage_noted.notify_one();
        }
        if !self.extra.appends.is_empty() {
            store.outbox_grown.send_replace(());
        }
    }
}
