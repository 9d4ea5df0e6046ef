//! How a bucket's new data is stored, where its operator wants it otherwise than the server's configuration says.
//!
//! What is stored already stays as it is: every chunk says itself how it is encoded.

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::chunking::Chunking;
use storage::compress::Codec;
use storage::index::records::{BucketRecord, Record};
use storage::store::{DataWriter, Sharing};
use storage::types::BucketId;

use super::access::STORAGE;
use super::{Objects, Result};
use crate::rules::Refusal;

/// Buckets whose settings are kept.
const CACHED_BUCKETS: usize = 4_096;

/// What is set for a bucket; what is not is as the server's configuration says. Stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketStorage {
    /// How new chunks are compressed, where that pays.
    pub compression: Option<Codec>,
    /// How new data is cut into chunks.
    pub chunking: Option<Chunking>,
}

impl Record for BucketStorage {
    const FAMILY: &'static str = "buckets";
}

/// Settings by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type BucketStorageCache = Cache<(BucketId, u64), BucketStorage>;

pub(super) fn cache() -> BucketStorageCache {
    Cache::new(CACHED_BUCKETS)
}

impl Objects {
    /// What is set for a bucket. Read once for each generation of the bucket's settings.
    pub async fn bucket_storage(&self, bucket: &BucketRecord) -> Result<BucketStorage> {
        if bucket.generation == 0 {
            return Ok(BucketStorage::default());
        }
        let key = (bucket.id, bucket.generation);
        if let Some(known) = self.storages.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, STORAGE).await?;
        let storage = stored.map(|bytes| BucketStorage::decode(&bytes)).transpose()?.unwrap_or_default();
        self.storages.insert(key, storage);
        Ok(storage)
    }

    /// Sets how a bucket's new data is stored, in place of what was set before; `None` removes that.
    pub async fn set_bucket_storage(&self, name: &str, storage: Option<BucketStorage>) -> Result<()> {
        if storage == Some(BucketStorage::default()) {
            return Err(Refusal::invalid_request("Nothing is set: name a compression, a chunking, or both.").into());
        }
        self.set_config(name, STORAGE, storage.map(|storage| storage.encode())).await
    }

    /// Counts what a bucket's data takes, with what is equal in it taken once. One bucket at a time: others wait.
    pub async fn bucket_sharing(&self, bucket: &BucketRecord) -> Result<Sharing> {
        let _turn = self.sharing.lock().await;
        Ok(self.store.sharing(bucket.id).await?)
    }

    /// Receives an object's data for a bucket. `expected` is its length, where it is known.
    pub(super) async fn object_writer(&self, bucket: &BucketRecord, expected: Option<u64>) -> Result<DataWriter> {
        Ok(self.bucket_storage(bucket).await?.apply(self.store.object_writer(expected)))
    }

    /// As [`Objects::object_writer`], for a part.
    pub(super) async fn part_writer(&self, bucket: &BucketRecord, expected: Option<u64>) -> Result<DataWriter> {
        Ok(self.bucket_storage(bucket).await?.apply(self.store.part_writer(expected)))
    }
}

impl BucketStorage {
    fn apply(self, writer: DataWriter) -> DataWriter {
        let writer = match self.compression {
            Some(codec) => writer.compressing(codec),
            None => writer,
        };
        match self.chunking {
            Some(chunking) => writer.cutting(chunking),
            None => writer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_the_setting() {
        let storage = BucketStorage { compression: Some(Codec::Zstd), chunking: Some(Chunking::FastCdc) };
        assert_eq!(storage.encode(), [1, 1, 2, 1, 1]);
        assert_eq!(BucketStorage::decode(&[1, 1, 2, 1, 1]).expect("decoded"), storage);
    }
}
