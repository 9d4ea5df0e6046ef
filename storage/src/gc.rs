//! The collector: the only code that frees space.
//!
//! It works through the family `candidates`. A chunk or manifest is *claimed* (refused while anybody pins it), then
//! removed by a commit that requires that no reference to it exists and that its row is as it was read. Only after
//! that commit is the space given back. A candidate that is in use is dropped; whatever removes its last reference
//! notes it again. Safety never rests on a delay, and a crash anywhere leaves the candidate in place.

use std::sync::Arc;

use bytes::Bytes;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Candidate, Child, Parent};
use crate::index::records::{
    ChunkRecord, CompletedUpload, ManifestPage, PartRecord, Record, RemoteRecord, UploadRecord,
};
use crate::kv::{Batch, Commit, Family};
use crate::store::{MAX_CONFIGS, root_child};
use crate::types::{BucketId, ChunkId, ManifestId, RemoteId, Timestamp, UploadId};

/// Children or parts whose references are dropped in one commit: two rows each.
const CHILDREN_IN_COMMIT: usize = 400;
/// Uploads of a deleted bucket that are ended in one commit.
const UPLOADS_IN_COMMIT: usize = 200;

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Candidates that were looked at.
    pub examined: usize,
    /// Chunks that were removed.
    pub chunks: usize,
    /// Bytes that their frames occupied.
    pub bytes: u64,
    /// Candidates that could not be decided, since somebody uses them right now. They stay.
    pub busy: usize,
    /// Whether there are candidates that this pass did not reach.
    pub more: bool,
}

/// What became of a candidate.
enum Decided {
    /// Done with: its row is gone.
    Done,
    /// In use: looked at again in a later pass.
    Busy,
    /// A chunk was removed; its frame occupied so many bytes.
    Freed(u64),
}

impl Store {
    /// Waits until something may have become garbage.
    pub async fn garbage_noted(&self) {
        self.garbage_noted.notified().await;
    }

    /// Looks at up to `limit` candidates after `cursor`, which is advanced; at the end it starts over. A candidate
    /// that is being decided when the caller leaves is decided nevertheless.
    pub async fn collect_garbage(self: &Arc<Self>, cursor: &mut Vec<u8>, limit: usize) -> Result<Collected> {
        let from = if cursor.is_empty() { Vec::new() } else { [cursor.as_slice(), &[0]].concat() };
        let rows = self.rows_in(Family::Candidates, from, None, limit).await?;
        let mut collected = Collected { examined: rows.len(), more: rows.len() == limit, ..Collected::default() };
        *cursor = if collected.more { rows.last().map(|(key, _)| key.clone()).unwrap_or_default() } else { Vec::new() };
        for (key, noted) in rows {
            // On a task of its own: a claim must outlive the commit that it protects, also when the caller leaves.
            let store = Arc::clone(self);
            let deciding = tokio::spawn(async move { store.decide(key, noted).await });
            match deciding.await.map_err(|_| StoreError::Closed)?? {
                Decided::Done => {}
                Decided::Busy => collected.busy += 1,
                Decided::Freed(bytes) => {
                    collected.chunks += 1;
                    collected.bytes += bytes;
                }
            }
        }
        Ok(collected)
    }

    async fn decide(&self, key: Vec<u8>, noted: Bytes) -> Result<Decided> {
        let candidate = CandidateRow { key, noted };
        match keys::parse_candidate(&candidate.key) {
            Some(Candidate::Child(child)) => self.decide_child(child, &candidate).await,
            Some(Candidate::Upload(id)) => self.remove_parts(id, &candidate).await,
            Some(Candidate::Bucket(id)) => self.remove_uploads(id, &candidate).await,
            None => {
                tracing::warn!(row = ?candidate.key, "dropping a garbage candidate that is none of ours");
                self.commit_candidate(Batch::default(), &candidate).await
            }
        }
    }

    async fn decide_child(&self, child: Child, candidate: &CandidateRow) -> Result<Decided> {
        let Some(_claim) = self.pins.claim(child) else { return Ok(Decided::Busy) };
        if !self.rows(Family::Refs, keys::refs(child), 1).await?.is_empty() {
            return self.commit_candidate(Batch::default(), candidate).await;
        }
        match child {
            Child::Chunk(id) => self.remove_chunk(id, candidate).await,
            Child::Manifest(id) => self.remove_manifest(id, candidate).await,
            Child::Remote(id) => self.remove_remote(id, candidate).await,
        }
    }

    /// Commits `batch` together with the candidate's end, unless it was noted again meanwhile.
    async fn commit_candidate(&self, mut batch: Batch, candidate: &CandidateRow) -> Result<Decided> {
        batch.check_unchanged(Family::Candidates, candidate.key.clone(), Some(candidate.noted.clone()));
        batch.delete(Family::Candidates, candidate.key.clone());
        match self.kv.commit(batch).await? {
            Commit::Committed => Ok(Decided::Done),
            Commit::Conflict(_) | Commit::LimitExceeded { .. } => Ok(Decided::Busy),
        }
    }

    async fn remove_chunk(&self, id: ChunkId, candidate: &CandidateRow) -> Result<Decided> {
        let Some(row) = self.get(Family::Chunks, keys::chunk(id)).await? else {
            return self.commit_candidate(Batch::default(), candidate).await;
        };
        let place = ChunkRecord::decode(&row)?.place;
        let mut batch = Batch::default();
        batch.check_unchanged(Family::Chunks, keys::chunk(id), Some(row));
        batch.check_prefix_empty(Family::Refs, keys::refs(Child::Chunk(id)));
        batch.delete(Family::Chunks, keys::chunk(id));
        batch.add(Family::Counters, keys::segment(place.drive, place.segment), -i64::from(place.occupied));
        match self.commit_candidate(batch, candidate).await? {
            Decided::Done => {
                self.chunks.note_dead(&place);
                Ok(Decided::Freed(u64::from(place.occupied)))
            }
            undecided => Ok(undecided),
        }
    }

    /// Forgets data that a tier holds, and notes its objects for removal in the same commit.
    async fn remove_remote(&self, id: RemoteId, candidate: &CandidateRow) -> Result<Decided> {
        let Some(row) = self.get(Family::Tiers, keys::remote(id)).await? else {
            return self.commit_candidate(Batch::default(), candidate).await;
        };
        let mut batch = Batch::default();
        Self::release_remote(&mut batch, &RemoteRecord::decode(&row)?);
        batch.check_unchanged(Family::Tiers, keys::remote(id), Some(row));
        batch.check_prefix_empty(Family::Refs, keys::refs(Child::Remote(id)));
        batch.delete(Family::Tiers, keys::remote(id));
        let decided = self.commit_candidate(batch, candidate).await?;
        self.tiers_noted.notify_waiters();
        Ok(decided)
    }

    /// Removes the root first: from then on the manifest is not there, and whoever needs the same one again writes it
    /// anew once the claim is released. Then its references, page by page, and at last the candidate.
    async fn remove_manifest(&self, id: ManifestId, candidate: &CandidateRow) -> Result<Decided> {
        let mut batch = Batch::default();
        batch.check_prefix_empty(Family::Refs, keys::refs(Child::Manifest(id)));
        batch.delete(Family::Manifests, keys::manifest(id));
        if self.kv.commit(batch).await? != Commit::Committed {
            return Ok(Decided::Busy);
        }
        loop {
            // One page at a time: a page may be 64 KiB.
            let rows = self.rows(Family::Manifests, keys::manifest(id), 1).await?;
            let Some((key, page)) = rows.into_iter().next() else { break };
            let children: Vec<Child> = match ManifestPage::decode(&page)? {
                ManifestPage::Chunks { chunks, .. } => chunks.into_iter().map(|(id, _)| Child::Chunk(id)).collect(),
                ManifestPage::Parts { parts, .. } => parts.iter().filter_map(|part| root_child(part.data)).collect(),
                ManifestPage::Annotations(records) => {
                    records.iter().filter_map(|record| root_child(record.data)).collect()
                }
            };
            self.drop_references(&children, |_| Parent::Manifest(id)).await?;
            let mut batch = Batch::default();
            batch.delete(Family::Manifests, key);
            self.commit_batch(batch).await?;
        }
        self.garbage_noted.notify_one();
        self.commit_candidate(Batch::default(), candidate).await
    }

    async fn drop_references(&self, children: &[Child], parent: impl Fn(usize) -> Parent) -> Result<()> {
        for (group, children) in children.chunks(CHILDREN_IN_COMMIT).enumerate() {
            let mut batch = Batch::default();
            for (index, child) in children.iter().enumerate() {
                batch.delete(Family::Refs, keys::reference(*child, parent(group * CHILDREN_IN_COMMIT + index)));
                self.note_candidate(&mut batch, Candidate::Child(*child));
            }
            self.commit_batch(batch).await?;
        }
        Ok(())
    }

    /// Removes the parts of an upload that has ended.
    async fn remove_parts(&self, upload: UploadId, candidate: &CandidateRow) -> Result<Decided> {
        loop {
            let rows = self.rows(Family::Uploads, keys::parts(upload), CHILDREN_IN_COMMIT / 2).await?;
            if rows.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            for (key, row) in rows {
                let part = PartRecord::decode(&row)?;
                if let Some(child) = root_child(part.data) {
                    batch.delete(Family::Refs, keys::reference(child, Parent::Part { upload, number: part.number }));
                    self.note_candidate(&mut batch, Candidate::Child(child));
                }
                batch.delete(Family::Uploads, key);
            }
            self.commit_batch(batch).await?;
        }
        self.garbage_noted.notify_one();
        self.commit_candidate(Batch::default(), candidate).await
    }

    /// Ends the uploads of a bucket that was deleted, and removes a sub-resource that was set while it was deleted:
    /// the deletion does not see it, and from then on none can be set.
    async fn remove_uploads(&self, bucket: BucketId, candidate: &CandidateRow) -> Result<Decided> {
        let mut batch = Batch::default();
        for (config, _) in self.rows(Family::Buckets, keys::bucket_configs(bucket), MAX_CONFIGS).await? {
            batch.delete(Family::Buckets, config);
        }
        if !batch.deletes.is_empty() {
            self.commit_batch(batch).await?;
        }
        loop {
            let rows = self.rows(Family::Uploads, keys::uploads(bucket, ""), UPLOADS_IN_COMMIT).await?;
            if rows.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            for (key, row) in rows {
                let id = UploadRecord::decode(&row)?.id;
                batch.delete(Family::Uploads, key);
                batch.delete(Family::Counters, keys::upload_writes(id));
                self.note_candidate(&mut batch, Candidate::Upload(id));
            }
            self.commit_batch(batch).await?;
        }
        self.garbage_noted.notify_one();
        self.commit_candidate(Batch::default(), candidate).await
    }

    /// Forgets what uploads that were completed before `before` became, so that their completion can no longer be
    /// repeated. Answers how many; at most `limit`.
    pub async fn forget_completed_uploads(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let rows = self.rows(Family::Uploads, keys::completed_uploads(), limit).await?;
        let mut batch = Batch::default();
        for (key, row) in rows {
            if CompletedUpload::decode(&row)?.completed < before {
                batch.delete(Family::Uploads, key);
            }
        }
        let forgotten = batch.deletes.len();
        if forgotten > 0 {
            self.commit_batch(batch).await?;
        }
        Ok(forgotten)
    }
}

/// A candidate's row as it was read.
struct CandidateRow {
    key: Vec<u8>,
    noted: Bytes,
}
