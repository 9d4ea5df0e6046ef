//! What a bucket holds, and the most that it may hold.
//!
//! A quota is part of the commit: the engine refuses the one that would take a counter beyond its limit, so concurrent
//! writers together never exceed it by a byte. What is asked before only spares a client an upload that is lost already.
//! Parts of open uploads do not count until the completion makes them an object.

use storage::index::keys::Usage;
use storage::index::records::{BucketRecord, Record, Versioning};
use storage::store::{Edit, OverQuota};
use storage::types::BucketId;

use quick_cache::sync::Cache;

use super::access::QUOTA;
use super::{Error, Objects, Result};
use crate::rules::quota::{self, Amount, Limited, Quota};

/// Buckets whose quotas are kept.
const CACHED_BUCKETS: usize = 4_096;

impl Record for Quota {
    const FAMILY: &'static str = "buckets";
}

/// Quotas by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type QuotaCache = Cache<(BucketId, u64), Option<Quota>>;

pub(super) fn cache() -> QuotaCache {
    Cache::new(CACHED_BUCKETS)
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketUsage {
    /// Bytes of all versions of all objects, as clients sent them: data that versions share counts for each.
    pub bytes: u64,
    /// All versions of all objects, delete markers left out.
    pub objects: u64,
    /// Objects that a listing shows.
    pub current: u64,
    /// Delete markers.
    pub delete_markers: u64,
}

impl Objects {
    /// What a bucket holds. The figures are read one after the other, so they may be of different moments.
    pub async fn bucket_usage(&self, bucket: &BucketRecord) -> Result<BucketUsage> {
        Ok(BucketUsage {
            bytes: self.store.usage(bucket.id, Usage::Bytes).await?,
            objects: self.store.usage(bucket.id, Usage::Versions).await?,
            current: self.store.usage(bucket.id, Usage::Objects).await?,
            delete_markers: self.store.usage(bucket.id, Usage::DeleteMarkers).await?,
        })
    }

    /// A bucket's quota, if it has one. Read once for each generation of the bucket's settings.
    pub async fn bucket_quota(&self, bucket: &BucketRecord) -> Result<Option<Quota>> {
        if bucket.generation == 0 {
            return Ok(None);
        }
        let key = (bucket.id, bucket.generation);
        if let Some(known) = self.quotas.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, QUOTA).await?;
        let quota = stored.map(|bytes| Quota::decode(&bytes)).transpose()?;
        self.quotas.insert(key, quota);
        Ok(quota)
    }

    /// Sets or removes a bucket's quota. What the bucket holds already stays, also beyond it.
    pub async fn set_bucket_quota(&self, name: &str, quota: Option<Quota>) -> Result<()> {
        if let Some(quota) = quota {
            quota.check()?;
        }
        self.set_config(name, QUOTA, quota.map(|quota| quota.encode())).await
    }

    /// Has the commit of an edit refused that would take its bucket beyond the quota. The quota is of the same
    /// generation as the bucket's record in the edit, which the commit requires unchanged.
    pub(super) async fn hold_to_quota(&self, bucket: &BucketRecord, edit: &mut Edit) -> Result<()> {
        let Some(quota) = self.bucket_quota(bucket).await? else { return Ok(()) };
        for (figure, limit) in [(Usage::Bytes, quota.bytes), (Usage::Versions, quota.objects)] {
            if let Some(limit) = limit {
                edit.limit_usage(figure, limit);
            }
        }
        Ok(())
    }

    /// Refuses, before a byte of it is read, an object of `length` bytes that cannot fit in the end.
    pub(super) async fn refuse_early(&self, bucket: &BucketRecord, key: &str, length: Option<u64>) -> Result<()> {
        let Some(quota) = self.bucket_quota(bucket).await? else { return Ok(()) };
        let usage = self.bucket_usage(bucket).await?;
        let held = Amount { bytes: usage.bytes, objects: usage.objects };
        let length = i64::try_from(length.unwrap_or(0)).unwrap_or(i64::MAX);
        let growth = Amount { bytes: length, objects: 1 };
        let Err(refusal) = quota.admit(held, growth) else { return Ok(()) };
        // It does not fit beside what is there; in place of what is there, it may.
        let view = self.view(bucket, key).await?;
        let replaced = match bucket.versioning {
            Versioning::Unversioned => view.current.as_ref().and_then(|version| version.object()),
            Versioning::Enabled => None,
            // The null version may be an older one: the commit decides.
            Versioning::Suspended => return Ok(()),
        };
        let Some(replaced) = replaced else { return Err(refusal.into()) };
        let bytes = length.saturating_sub(i64::try_from(replaced.size).unwrap_or(i64::MAX));
        Ok(quota.admit(held, Amount { bytes, objects: 0 })?)
    }
}

/// What is said where the commit refused.
pub(super) fn refused(over: OverQuota) -> Error {
    let limited = if over.figure == Usage::Bytes { Limited::Bytes } else { Limited::Objects };
    quota::exceeded(limited, over.max, over.used).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_quota() {
        let quota = Quota { bytes: Some(300), objects: None };
        assert_eq!(quota.encode(), [1, 1, 0xac, 2, 0]);
        assert_eq!(Quota::decode(&[1, 1, 0xac, 2, 0]).expect("decoded"), quota);
    }
}
