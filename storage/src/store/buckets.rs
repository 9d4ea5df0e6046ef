//! Buckets and their sub-resources.

use bytes::Bytes;

use super::Store;
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Candidate, Usage};
use crate::index::records::{BucketRecord, Record, Versioning};
use crate::kv::{Batch, Commit, Family};
use crate::types::{BucketId, Timestamp};

/// Attempts at a change of a bucket's record before the caller is told to come back.
const ATTEMPTS: u32 = 64;
/// Sub-resources of a bucket are few; this bounds the deletion's batch.
pub(crate) const MAX_CONFIGS: usize = 256;

/// A bucket to create.
#[derive(Clone, Debug)]
pub struct NewBucket {
    /// Its name.
    pub name: String,
    /// The canonical id of its owner.
    pub owner: String,
    /// Its region.
    pub region: String,
    /// When.
    pub created: Timestamp,
    /// Sub-resources that it has from the start: kind and bytes.
    pub configs: Vec<(u8, Vec<u8>)>,
    /// Whether its versions can be locked; it then keeps old versions from the start.
    pub object_lock: bool,
}

/// How a creation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketCreation {
    /// There is a new bucket.
    Created(BucketRecord),
    /// There was one of that name.
    Exists(BucketRecord),
}

/// How a deletion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDeletion {
    /// The bucket is gone.
    Deleted,
    /// It holds objects, versions or delete markers.
    NotEmpty,
    /// There is no bucket of that name.
    Absent,
}

impl Store {
    /// The bucket of this name.
    pub async fn bucket(&self, name: &str) -> Result<Option<BucketRecord>> {
        self.get_record(Family::Buckets, keys::bucket_by_name(name)).await
    }

    pub(crate) async fn bucket_row(&self, bucket: &BucketRecord) -> Result<Option<Bytes>> {
        let Some(row) = self.get(Family::Buckets, keys::bucket_by_name(&bucket.name)).await? else {
            return Ok(None);
        };
        Ok((BucketRecord::decode(&row)?.id == bucket.id).then_some(row))
    }

    /// Creates a bucket, unless there is one of that name.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<BucketCreation> {
        for _ in 0..ATTEMPTS {
            if let Some(existing) = self.bucket(&new.name).await? {
                return Ok(BucketCreation::Exists(existing));
            }
            let last_row = self.get(Family::System, keys::last_bucket_id()).await?;
            let last = last_row.as_deref().and_then(|row| row.try_into().ok()).map_or(0, u64::from_be_bytes);
            let record = BucketRecord {
                id: BucketId(last + 1),
                name: new.name.clone(),
                owner: new.owner.clone(),
                created: new.created,
                region: new.region.clone(),
                versioning: if new.object_lock { Versioning::Enabled } else { Versioning::Unversioned },
                generation: u64::from(!new.configs.is_empty()),
                object_lock: new.object_lock,
            };
            let mut batch = Batch::default();
            batch.check_unchanged(Family::Buckets, keys::bucket_by_name(&new.name), None);
            batch.check_unchanged(Family::System, keys::last_bucket_id(), last_row);
            batch.put(Family::System, keys::last_bucket_id(), record.id.0.to_be_bytes().to_vec());
            batch.put(Family::Buckets, keys::bucket_by_name(&new.name), record.encode());
            batch.put(Family::Buckets, keys::bucket_name_of(record.id), new.name.clone().into_bytes());
            for (kind, value) in &new.configs {
                batch.put(Family::Buckets, keys::bucket_config(record.id, *kind), value.clone());
            }
            if self.kv.commit(batch).await? == Commit::Committed {
                return Ok(BucketCreation::Created(record));
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// Up to `limit` buckets whose names start with `prefix`, after the name `after`, for which `wanted` holds.
    pub async fn list_buckets<W>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        mut wanted: W,
    ) -> Result<Vec<BucketRecord>>
    where
        W: FnMut(&BucketRecord) -> bool + Send + 'static,
    {
        let prefix_row = keys::bucket_by_name(prefix);
        let from = after.map_or_else(|| prefix_row.clone(), |name| [keys::bucket_by_name(name), vec![0]].concat());
        let from = from.max(prefix_row.clone());
        let scan = crate::kv::Scan { families: vec![Family::Buckets], from, to: keys::after_prefix(&prefix_row) };
        let found = self.scan(scan, Ok(Vec::new()), move |found: &mut Result<Vec<BucketRecord>>, _, _, row| {
            let Ok(buckets) = found else { return crate::kv::Visit::Stop };
            if buckets.len() >= limit {
                return crate::kv::Visit::Stop;
            }
            match BucketRecord::decode(row) {
                Ok(bucket) if wanted(&bucket) => buckets.push(bucket),
                Ok(_) => {}
                Err(error) => *found = Err(error),
            }
            crate::kv::Visit::Next
        });
        found.await?
    }

    /// Deletes a bucket that holds nothing. Uploads in progress go with it, as on AWS.
    pub async fn delete_bucket(&self, name: &str) -> Result<BucketDeletion> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.get(Family::Buckets, keys::bucket_by_name(name)).await? else {
                return Ok(BucketDeletion::Absent);
            };
            let id = BucketRecord::decode(&row)?.id;
            for family in [Family::Current, Family::Versions] {
                if !self.rows(family, keys::bucket(id), 1).await?.is_empty() {
                    return Ok(BucketDeletion::NotEmpty);
                }
            }
            let mut batch = Batch::default();
            batch.check_unchanged(Family::Buckets, keys::bucket_by_name(name), Some(row));
            batch.check_prefix_empty(Family::Current, keys::bucket(id));
            batch.check_prefix_empty(Family::Versions, keys::bucket(id));
            batch.delete(Family::Buckets, keys::bucket_by_name(name));
            batch.delete(Family::Buckets, keys::bucket_name_of(id));
            for (config, _) in self.rows(Family::Buckets, keys::bucket_configs(id), MAX_CONFIGS).await? {
                batch.delete(Family::Buckets, config);
            }
            for figure in [Usage::Objects, Usage::Bytes, Usage::Versions, Usage::DeleteMarkers] {
                batch.delete(Family::Counters, keys::usage(id, figure));
            }
            self.note_candidate(&mut batch, Candidate::Bucket(id));
            if self.kv.commit(batch).await? == Commit::Committed {
                self.garbage_noted.notify_one();
                return Ok(BucketDeletion::Deleted);
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// Changes a bucket's record; `None` if there is no such bucket.
    pub async fn update_bucket(&self, name: &str, change: impl Fn(&mut BucketRecord)) -> Result<Option<BucketRecord>> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.get(Family::Buckets, keys::bucket_by_name(name)).await? else {
                return Ok(None);
            };
            let mut record = BucketRecord::decode(&row)?;
            change(&mut record);
            let mut batch = Batch::default();
            batch.check_unchanged(Family::Buckets, keys::bucket_by_name(name), Some(row));
            batch.put(Family::Buckets, keys::bucket_by_name(name), record.encode());
            if self.kv.commit(batch).await? == Commit::Committed {
                return Ok(Some(record));
            }
        }
        Err(StoreError::Contention(ATTEMPTS))
    }

    /// Replaces a bucket's record, and sets or removes a sub-resource with it; [`StoreError::Conflict`] if the record
    /// is not as it was read. The bucket's generation is raised here.
    pub async fn replace_bucket(
        &self,
        was: &BucketRecord,
        record: &BucketRecord,
        (kind, value): (u8, Option<Vec<u8>>),
    ) -> Result<()> {
        let row = self.bucket_row(was).await?.ok_or(StoreError::Conflict)?;
        if BucketRecord::decode(&row)? != *was {
            return Err(StoreError::Conflict);
        }
        let mut batch = Batch::default();
        let changed = BucketRecord { generation: was.generation + 1, ..record.clone() };
        batch.check_unchanged(Family::Buckets, keys::bucket_by_name(&was.name), Some(row));
        batch.put(Family::Buckets, keys::bucket_by_name(&was.name), changed.encode());
        match value {
            Some(value) => batch.put(Family::Buckets, keys::bucket_config(was.id, kind), value),
            None => batch.delete(Family::Buckets, keys::bucket_config(was.id, kind)),
        }
        self.commit_batch(batch).await
    }

    /// A sub-resource of a bucket, in the bytes of whoever keeps it there.
    pub async fn bucket_config(&self, bucket: BucketId, kind: u8) -> Result<Option<Bytes>> {
        self.get(Family::Buckets, keys::bucket_config(bucket, kind)).await
    }

    /// All sub-resources of a bucket, by kind.
    pub async fn bucket_configs(&self, bucket: BucketId) -> Result<Vec<(u8, Bytes)>> {
        let rows = self.rows(Family::Buckets, keys::bucket_configs(bucket), MAX_CONFIGS).await?;
        Ok(rows.into_iter().filter_map(|(key, value)| Some((*key.last()?, value))).collect())
    }

    /// Sets or removes a sub-resource, and raises the bucket's generation; [`StoreError::Conflict`] if the bucket is
    /// gone or is not as it was read.
    pub async fn set_bucket_config(&self, bucket: &BucketRecord, kind: u8, value: Option<Vec<u8>>) -> Result<()> {
        let row = self.bucket_row(bucket).await?.ok_or(StoreError::Conflict)?;
        let now = BucketRecord::decode(&row)?;
        if now.generation != bucket.generation {
            return Err(StoreError::Conflict);
        }
        let mut batch = Batch::default();
        let changed = BucketRecord { generation: now.generation + 1, ..now };
        batch.check_unchanged(Family::Buckets, keys::bucket_by_name(&bucket.name), Some(row));
        batch.put(Family::Buckets, keys::bucket_by_name(&bucket.name), changed.encode());
        match value {
            Some(value) => batch.put(Family::Buckets, keys::bucket_config(bucket.id, kind), value),
            None => batch.delete(Family::Buckets, keys::bucket_config(bucket.id, kind)),
        }
        self.commit_batch(batch).await
    }

    /// A bucket's usage figure.
    pub async fn usage(&self, bucket: BucketId, figure: Usage) -> Result<u64> {
        let row = self.get(Family::Counters, keys::usage(bucket, figure)).await?;
        let value = row.as_deref().and_then(|row| row.try_into().ok()).map_or(0, i64::from_le_bytes);
        Ok(u64::try_from(value).unwrap_or(0))
    }

    /// Asks the collector to look at something. The row's value is new each time, so that a collector which has
    /// looked before cannot remove a later request unseen.
    pub(crate) fn note_candidate(&self, batch: &mut Batch, candidate: Candidate) {
        batch.put(Family::Candidates, keys::candidate(candidate), self.clock.next(0).to_bytes().to_vec());
    }
}
