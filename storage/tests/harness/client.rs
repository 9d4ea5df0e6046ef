//! Works the store as the object layer does: reads a key, decides what becomes of its versions, commits, and starts
//! over when something has changed in between.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use storage::index::keys::Usage;
use storage::index::records::{
    Attributes, BucketRecord, CompletedUpload, Content, Data, ETag, Head, ObjectRecord, PartRecord, UploadRecord,
    VersionRecord, Versioning,
};
use storage::store::{BucketCreation, Change, Edit, KeyView, NewBucket, OpenUpload, Outcome, Staged};
use storage::types::{BucketId, Timestamp, UploadId, VersionId};
use storage::{Result, Store, StoreError};

const ATTEMPTS: u32 = 1000;
/// Bytes that arrive at a time.
const PIECE: usize = 3000;
/// The sub-resource that the suites set.
const CONFIG: u8 = 9;

/// A client of one store.
#[derive(Clone)]
pub struct Client {
    pub store: Arc<Store>,
}

impl Client {
    pub async fn create_bucket(&self, name: &str) -> Result<BucketCreation> {
        let new = NewBucket {
            name: name.into(),
            owner: "o".into(),
            region: "r".into(),
            created: Timestamp::now(),
            configs: Vec::new(),
            object_lock: false,
        };
        self.store.create_bucket(new).await
    }

    /// [`StoreError::Conflict`] where there is none.
    pub async fn bucket(&self, name: &str) -> Result<BucketRecord> {
        self.store.bucket(name).await?.ok_or(StoreError::Conflict)
    }

    pub async fn set_config(&self, name: &str, value: Option<Vec<u8>>) -> Result<()> {
        self.store.set_bucket_config(&self.bucket(name).await?, CONFIG, value).await
    }

    pub async fn config(&self, bucket: BucketId) -> Result<Option<Bytes>> {
        self.store.bucket_config(bucket, CONFIG).await
    }

    pub async fn usage(&self, bucket: BucketId) -> Result<Vec<(Usage, u64)>> {
        let mut figures = Vec::new();
        for figure in [Usage::Objects, Usage::Bytes, Usage::Versions, Usage::DeleteMarkers] {
            figures.push((figure, self.store.usage(bucket, figure).await?));
        }
        Ok(figures)
    }

    pub async fn view(&self, bucket: &str, key: &str) -> Result<KeyView> {
        let bucket = self.bucket(bucket).await?;
        self.store.view(&bucket, key).await?.ok_or(StoreError::Conflict)
    }

    /// Receives bytes as an object's.
    pub async fn receive(&self, body: &Bytes) -> Result<Staged> {
        let mut writer = self.store.object_writer(Some(body.len() as u64));
        for piece in body.chunks(PIECE) {
            writer.write(body.slice_ref(piece)).await?;
        }
        writer.finish().await
    }

    pub async fn put(&self, bucket: &str, key: &str, body: &Bytes) -> Result<VersionId> {
        let staged = self.receive(body).await?;
        self.put_staged(bucket, key, staged).await
    }

    pub async fn put_staged(&self, bucket: &str, key: &str, mut staged: Staged) -> Result<VersionId> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let (edit, version) = self.put_edit(view, staged).await?;
            match self.store.commit(edit).await? {
                Outcome::Committed => return Ok(version.id),
                Outcome::Conflict(again) => staged = again.expect("a refused edit gives its data back"),
                Outcome::OverQuota(quota) => panic!("no edit of this client has a limit: {quota:?}"),
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    pub async fn put_edit(&self, view: KeyView, staged: Staged) -> Result<(Edit, VersionRecord)> {
        let object = ObjectRecord {
            annotations: None,
            restore: None,
            size: staged.size(),
            etag: ETag { md5: [0; 16], parts: None },
            data: staged.data(),
            checksum: None,
            attributes: Attributes::default(),
        };
        let version = self.new_version(&view, Content::Object(object));
        let mut changes = self.make_way(&view).await?;
        let head = head_after(&view, version.id.order);
        let event = event("put", view.bucket.id, &view.key);
        changes.push(Change::PutCurrent(version.clone(), staged));
        Ok((telling(view.edit(changes, head), event), version))
    }

    fn new_version(&self, view: &KeyView, content: Content) -> VersionRecord {
        VersionRecord {
            id: self.store.next_id(view.last_order()),
            null: view.bucket.versioning != Versioning::Enabled,
            modified: Timestamp::now(),
            owner: "o".to_owned(),
            content,
        }
    }

    /// What a new version, or a delete marker, does to those that are there.
    async fn make_way(&self, view: &KeyView) -> Result<Vec<Change>> {
        let versioning = view.bucket.versioning;
        let mut changes = Vec::new();
        match &view.current {
            None => {}
            Some(current)
                if versioning == Versioning::Unversioned || (versioning == Versioning::Suspended && current.null) =>
            {
                changes.push(Change::RemoveCurrent);
            }
            Some(_) => changes.push(Change::DemoteCurrent),
        }
        let null = view.head.as_ref().and_then(|head| head.null_order);
        let noncurrent = null.filter(|order| view.current.as_ref().is_none_or(|current| current.id.order != *order));
        if versioning == Versioning::Suspended
            && let Some(order) = noncurrent
            && let Some(version) = self.store.noncurrent_at(view.bucket.id, &view.key, order).await?
        {
            changes.push(Change::RemoveNoncurrent(version));
        }
        Ok(changes)
    }

    /// Deletes a key; answers the delete marker's id if there is one now.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<Option<VersionId>> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let event = event("delete", view.bucket.id, key);
            let (edit, marker) = if view.bucket.versioning == Versioning::Unversioned {
                if view.current.is_none() {
                    return Ok(None);
                }
                (view.edit(vec![Change::RemoveCurrent], None), None)
            } else {
                let marker = self.new_version(&view, Content::DeleteMarker);
                let mut changes = self.make_way(&view).await?;
                let head = head_after(&view, marker.id.order);
                changes.push(Change::PutMarker(marker.clone()));
                (view.edit(changes, head), Some(marker.id))
            };
            if matches!(self.store.commit(telling(edit, event)).await?, Outcome::Committed) {
                return Ok(marker);
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// Removes one version for good; the next becomes current if it is an object.
    pub async fn delete_version(&self, bucket: &str, key: &str, id: VersionId) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let is_current = view.current.as_ref().is_some_and(|current| current.id == id);
            let noncurrent = self.store.noncurrent(view.bucket.id, key, 2).await?;
            let mut changes = Vec::new();
            let next = if is_current {
                changes.push(Change::RemoveCurrent);
                if view.bucket.versioning == Versioning::Unversioned { None } else { noncurrent.first() }
            } else {
                let version = self.store.noncurrent_at(view.bucket.id, key, id.order).await?;
                changes.push(Change::RemoveNoncurrent(version.ok_or(StoreError::Conflict)?));
                let was_newest = view.current.is_none() && noncurrent.first().is_some_and(|first| first.id == id);
                noncurrent.get(1).filter(|_| was_newest)
            };
            let left =
                if is_current { noncurrent.len() } else { noncurrent.len() - 1 + usize::from(view.current.is_some()) };
            changes.extend(next.filter(|next| next.object().is_some()).cloned().map(Change::Promote));
            let head = view.head.clone().unwrap_or_default();
            let head = (left > 0).then(|| Head {
                generation: head.generation + 1,
                last_order: view.last_order(),
                null_order: head.null_order.filter(|null| *null != id.order),
            });
            let head = head.filter(|_| view.bucket.versioning != Versioning::Unversioned);
            let event = event("remove", view.bucket.id, key);
            let edit = telling(view.edit(changes, head), event);
            if matches!(self.store.commit(edit).await?, Outcome::Committed) {
                return Ok(());
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// A version's record.
    pub async fn version(&self, bucket: &BucketRecord, key: &str, id: VersionId) -> Result<Option<VersionRecord>> {
        let current = self.store.current(bucket.id, key).await?;
        match current.filter(|current| current.id == id) {
            Some(current) => Ok(Some(current)),
            None => self.store.noncurrent_at(bucket.id, key, id.order).await,
        }
    }

    pub async fn set_tags(&self, bucket: &str, key: &str, id: VersionId, tags: Vec<(String, String)>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let was = self.version(&view.bucket, key, id).await?.ok_or(StoreError::Conflict)?;
            let mut object = was.object().cloned().ok_or(StoreError::Conflict)?;
            object.attributes.tags.clone_from(&tags);
            let updated = VersionRecord { content: Content::Object(object), ..was.clone() };
            let is_current = view.current.as_ref().is_some_and(|current| current.id == id);
            let change =
                if is_current { Change::UpdateCurrent(updated) } else { Change::UpdateNoncurrent(updated, was) };
            let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
            let event = event("tag", view.bucket.id, key);
            let edit = telling(view.edit(vec![change], head), event);
            if matches!(self.store.commit(edit).await?, Outcome::Committed) {
                return Ok(());
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// The data of a version for a copy: by reference where it is not inline.
    pub async fn share(&self, bucket: &str, key: &str, id: VersionId) -> Result<Staged> {
        let bucket = self.bucket(bucket).await?;
        let version = self.version(&bucket, key, id).await?.ok_or(StoreError::Conflict)?;
        let object = version.object().ok_or(StoreError::Conflict)?;
        match object.data {
            Data::Inline => {
                let bytes = self.store.inline(bucket.id, key, id).await?.ok_or(StoreError::Conflict)?;
                self.receive(&bytes).await
            }
            data => Ok(self.store.reader(data, object.size).await?.ok_or(StoreError::Conflict)?.into_staged()),
        }
    }

    /// A range of a version's bytes.
    pub async fn read(&self, bucket: BucketId, key: &str, version: &VersionRecord, range: Range<u64>) -> Result<Bytes> {
        let object = version.object().ok_or(StoreError::Conflict)?;
        if object.data == Data::Inline {
            let bytes = self.store.inline(bucket, key, version.id).await?.ok_or(StoreError::Conflict)?;
            let at = |at: u64| usize::try_from(at).unwrap();
            return Ok(bytes.slice(at(range.start)..at(range.end)));
        }
        self.read_data(object.data, object.size, range).await
    }

    pub async fn read_data(&self, data: Data, size: u64, range: Range<u64>) -> Result<Bytes> {
        let reader = self.store.reader(data, size).await?.ok_or(StoreError::Conflict)?;
        let is_part = range.end - range.start < size;
        let mut stream = reader.stream(range);
        if is_part {
            stream = stream.begin().await?;
            if let Some(bytes) = stream.whole() {
                return Ok(bytes);
            }
        }
        let mut all = BytesMut::new();
        while let Some(bytes) = stream.next().await {
            all.extend_from_slice(&bytes?);
        }
        Ok(all.freeze())
    }
}

/// The event of a change, as this client writes it.
pub fn event(what: &str, bucket: BucketId, key: &str) -> String {
    format!("{what} {} {key}", bucket.0)
}

/// An edit that leaves its event in the outbox.
pub fn telling(mut edit: Edit, event: String) -> Edit {
    edit.append_event(event.into_bytes());
    edit
}

fn head_after(view: &KeyView, order: u64) -> Option<Head> {
    let head = view.head.clone().unwrap_or_default();
    let current_null = view.current.as_ref().filter(|current| current.null).map(|current| current.id.order);
    let null_order = match view.bucket.versioning {
        Versioning::Unversioned => return None,
        Versioning::Enabled => head.null_order.or(current_null),
        Versioning::Suspended => Some(order),
    };
    Some(Head { generation: head.generation + 1, last_order: order, null_order })
}

/// Multipart uploads.
impl Client {
    pub async fn create_upload(&self, bucket: &str, key: &str) -> Result<UploadId> {
        let bucket = self.bucket(bucket).await?;
        let record = UploadRecord {
            id: self.store.next_id(0),
            initiated: Timestamp::now(),
            initiator: "o".to_owned(),
            owner: "o".to_owned(),
            attributes: Attributes::default(),
            checksum: None,
            key_had_object: false,
        };
        self.store.create_upload(&bucket, key, &record).await?;
        Ok(record.id)
    }

    /// [`StoreError::Conflict`] where there is none.
    pub async fn upload(&self, bucket: &str, key: &str, id: UploadId) -> Result<OpenUpload> {
        let bucket = self.bucket(bucket).await?;
        self.store.upload(bucket.id, key, id).await?.ok_or(StoreError::Conflict)
    }

    pub async fn put_part(&self, upload: &OpenUpload, number: u16, body: &Bytes) -> Result<()> {
        let mut writer = self.store.part_writer(Some(body.len() as u64));
        for piece in body.chunks(PIECE) {
            writer.write(body.slice_ref(piece)).await?;
        }
        self.put_staged_part(upload, number, writer.finish().await?).await
    }

    /// Makes a version's data a part: by reference, unless it is inline or itself made of parts.
    pub async fn copy_part(&self, upload: &OpenUpload, number: u16, source: (&str, &str, VersionId)) -> Result<()> {
        let (bucket, key, id) = source;
        let record = self.bucket(bucket).await?;
        let version = self.version(&record, key, id).await?.ok_or(StoreError::Conflict)?;
        let object = version.object().ok_or(StoreError::Conflict)?;
        if matches!(object.data, Data::Inline | Data::Parts(_)) {
            let bytes = self.read(record.id, key, &version, 0..object.size).await?;
            return self.put_part(upload, number, &bytes).await;
        }
        self.put_staged_part(upload, number, self.share(bucket, key, id).await?).await
    }

    pub async fn put_staged_part(&self, upload: &OpenUpload, number: u16, staged: Staged) -> Result<()> {
        let part = PartRecord {
            number,
            size: staged.size(),
            md5: [0; 16],
            checksum: None,
            modified: Timestamp::now(),
            data: staged.data(),
        };
        self.store.put_part(upload, part, staged).await
    }

    /// Makes an object of those parts for which `wanted` holds.
    pub async fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: UploadId,
        wanted: impl Fn(u16) -> bool,
    ) -> Result<VersionId> {
        for _ in 0..ATTEMPTS {
            let upload = self.upload(bucket, key, id).await?;
            let completion = self.store.completion(upload).await?;
            let view = self.view(bucket, key).await?;
            let parts: Vec<PartRecord> = completion.parts.iter().filter(|part| wanted(part.number)).cloned().collect();
            let staged = self.store.assemble(&parts).await?;
            let bucket_id = view.bucket.id;
            let (edit, version) = self.put_edit(view, staged).await?;
            let id = version.id;
            let became =
                CompletedUpload { bucket: bucket_id, key: key.to_owned(), version, completed: Timestamp::now() };
            if matches!(self.store.complete_upload(edit, &completion, &became).await?, Outcome::Committed) {
                return Ok(id);
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }
}
