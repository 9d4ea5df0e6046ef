//! What a bucket holds, and the most that it may hold.

use storage::index::keys::Usage;
use storage::index::records::BucketRecord;

use super::{Objects, Result};

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
}
