//! Multipart uploads. A part is data with a record of its own; a completion names the parts and moves no byte.

use std::sync::Arc;

use bytes::Bytes;

use super::staged::{Staged, root_child};
use super::{Edit, Outcome, Store};
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Candidate, Parent};
use crate::index::records::{BucketRecord, CompletedUpload, PartRecord, Record, UploadRecord};
use crate::kv::{Batch, Commit, Family};
use crate::types::{BucketId, UploadId};

/// Attempts at a part's commit. It conflicts with uploads of the same part number, and of the same data.
const ATTEMPTS: u32 = 64;

/// An open upload, as it was read.
#[derive(Clone, Debug)]
pub struct OpenUpload {
    /// Its bucket.
    pub bucket: BucketId,
    /// Its key.
    pub key: String,
    /// The upload.
    pub record: UploadRecord,
    row: Bytes,
}

/// An upload that is to be completed: the upload and its parts, as they were read together.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The upload.
    pub upload: OpenUpload,
    /// All of its parts, by number.
    pub parts: Vec<PartRecord>,
    writes_row: Option<Bytes>,
}

impl Store {
    /// Opens an upload; [`StoreError::Conflict`] when the bucket is gone.
    pub async fn create_upload(&self, bucket: &BucketRecord, key: &str, record: &UploadRecord) -> Result<()> {
        let row = self.bucket_row(bucket).await?.ok_or(StoreError::Conflict)?;
        let mut batch = Batch::default();
        batch.check_unchanged(Family::Buckets, keys::bucket_by_name(&bucket.name), Some(row));
        batch.put(Family::Uploads, keys::upload(bucket.id, key, record.id), record.encode());
        self.commit_batch(batch).await
    }

    /// The open upload with this id.
    pub async fn upload(&self, bucket: BucketId, key: &str, id: UploadId) -> Result<Option<OpenUpload>> {
        let Some(row) = self.get(Family::Uploads, keys::upload(bucket, key, id)).await? else { return Ok(None) };
        let record = UploadRecord::decode(&row)?;
        Ok(Some(OpenUpload { bucket, key: key.to_owned(), record, row }))
    }

    /// What an upload became, for some time after its completion.
    pub async fn completed_upload(&self, id: UploadId) -> Result<Option<CompletedUpload>> {
        self.get_record(Family::Uploads, keys::completed_upload(id)).await
    }

    /// Up to `limit` parts with numbers greater than `after`.
    pub async fn parts(&self, id: UploadId, after: u16, limit: usize) -> Result<Vec<PartRecord>> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let rows =
            self.rows_in(Family::Uploads, keys::part(id, first), keys::after_prefix(&keys::parts(id)), limit).await?;
        rows.iter().map(|(_, row)| PartRecord::decode(row)).collect()
    }

    /// Makes a part visible, in place of an earlier one of the same number. [`StoreError::Conflict`] when the upload
    /// was completed or aborted meanwhile.
    pub async fn put_part(self: &Arc<Self>, upload: &OpenUpload, part: PartRecord, staged: Staged) -> Result<()> {
        let (store, upload) = (Arc::clone(self), upload.clone());
        let committing = tokio::spawn(async move { store.commit_part(&upload, &part, staged).await });
        committing.await.map_err(|_| StoreError::Closed)?
    }

    async fn commit_part(&self, upload: &OpenUpload, part: &PartRecord, mut staged: Staged) -> Result<()> {
        let id = upload.record.id;
        for _ in 0..ATTEMPTS {
            let upload_key = keys::upload(upload.bucket, &upload.key, id);
            if self.get(Family::Uploads, upload_key.clone()).await?.as_ref() != Some(&upload.row) {
                return Err(StoreError::Conflict);
            }
            let part_key = keys::part(id, part.number);
            let old_row = self.get(Family::Uploads, part_key.clone()).await?;
            let parent = Parent::Part { upload: id, number: part.number };
            let mut batch = Batch::default();
            batch.check_unchanged(Family::Uploads, upload_key, Some(upload.row.clone()));
            batch.check_unchanged(Family::Uploads, part_key.clone(), old_row.clone());
            if let Some(old) = old_row.as_deref().map(PartRecord::decode).transpose()? {
                self.drop_reference(&mut batch, &old, parent);
            }
            batch.put(Family::Uploads, part_key, part.encode());
            batch.add(Family::Counters, keys::upload_writes(id), 1);
            staged.add_rows(&mut batch, parent, (upload.bucket, &upload.key));
            if self.kv.commit(batch).await? == Commit::Committed {
                staged.note_committed(self);
                return Ok(());
            }
            staged.refresh(self).await?;
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    fn drop_reference(&self, batch: &mut Batch, part: &PartRecord, parent: Parent) {
        if let Some(child) = root_child(part.data) {
            batch.delete(Family::Refs, keys::reference(child, parent));
            self.note_candidate(batch, Candidate::Child(child));
        }
    }

    /// Reads an upload and all its parts for a completion.
    pub async fn completion(&self, upload: OpenUpload) -> Result<Completion> {
        // The counter first: a part that is written after this makes the commit conflict, whether or not it was read.
        let writes_row = self.get(Family::Counters, keys::upload_writes(upload.record.id)).await?;
        let parts = self.parts(upload.record.id, 0, usize::from(u16::MAX)).await?;
        Ok(Completion { upload, parts, writes_row })
    }

    /// The data of an object made of `parts`, which are of the completion's own.
    pub async fn assemble(self: &Arc<Self>, parts: &[PartRecord]) -> Result<Staged> {
        self.stage_parts(parts).await
    }

    /// Commits the edit that makes the object visible together with the upload's end. A conflict may also be a part
    /// that was written, or another completion or an abort, since the completion was read.
    pub async fn complete_upload(
        self: &Arc<Self>,
        edit: Edit,
        completion: &Completion,
        became: &CompletedUpload,
    ) -> Result<Outcome> {
        let upload = &completion.upload;
        let id = upload.record.id;
        let mut extra = Batch::default();
        self.end_upload(&mut extra, upload);
        extra.check_unchanged(Family::Counters, keys::upload_writes(id), completion.writes_row.clone());
        extra.put(Family::Uploads, keys::completed_upload(id), became.encode());
        self.commit(edit.with(extra)).await
    }

    /// Ends an upload without an object; its parts are collected. [`StoreError::Conflict`] when it has ended meanwhile.
    pub async fn abort_upload(&self, upload: &OpenUpload) -> Result<()> {
        let mut batch = Batch::default();
        self.end_upload(&mut batch, upload);
        self.commit_batch(batch).await?;
        self.garbage_noted.notify_one();
        Ok(())
    }

    fn end_upload(&self, batch: &mut Batch, upload: &OpenUpload) {
        let key = keys::upload(upload.bucket, &upload.key, upload.record.id);
        batch.check_unchanged(Family::Uploads, key.clone(), Some(upload.row.clone()));
        batch.delete(Family::Uploads, key);
        batch.delete(Family::Counters, keys::upload_writes(upload.record.id));
        self.note_candidate(batch, Candidate::Upload(upload.record.id));
    }
}
