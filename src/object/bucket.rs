//! Buckets: creation, listing, deletion, versioning, tags.

use storage::StoreError;
use storage::index::records::{BucketRecord, Record, Tags, Versioning};
use storage::store::{BucketCreation, BucketDeletion, NewBucket};
use storage::types::Timestamp;

use super::access::{NewBucketAccess, TAGS};
use super::{ATTEMPTS, Objects, Result, contention};
use crate::rules::tagging::{self, Tagged};
use crate::rules::{Code, Refusal, bucket_name};

/// How a creation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketCreated {
    /// There is a new bucket.
    New,
    /// The caller had it already, and asked for it in a region where that is no error.
    AlreadyYours,
}

/// A page of buckets to list.
#[derive(Clone, Debug)]
pub struct ListBuckets {
    /// The canonical id of the account whose buckets are listed.
    pub owner: String,
    /// What names start with.
    pub prefix: String,
    /// The name after which the page starts.
    pub after: Option<String>,
    /// Buckets on the page.
    pub limit: usize,
    /// Only buckets of this region.
    pub region: Option<String>,
}

/// A page of buckets.
#[derive(Clone, Debug)]
pub struct BucketPage {
    /// The buckets, by name.
    pub buckets: Vec<BucketRecord>,
    /// The last name of the page, when there are more.
    pub next: Option<String>,
}

impl Objects {
    /// Creates a bucket.
    pub async fn create_bucket(
        &self,
        owner: &str,
        name: &str,
        location: Option<&str>,
        access: NewBucketAccess,
    ) -> Result<BucketCreated> {
        bucket_name::check(name)?;
        bucket_name::check_location(location, self.region())?;
        let new = NewBucket {
            name: name.to_owned(),
            owner: owner.to_owned(),
            region: self.region().to_owned(),
            created: Timestamp::now(),
            configs: access.configs(self.settings.default_ownership),
            object_lock: access.object_lock,
        };
        match self.store.create_bucket(new).await? {
            BucketCreation::Created(_) => Ok(BucketCreated::New),
            BucketCreation::Exists(bucket) => {
                bucket_name::create_again(name, &bucket.owner, owner, &bucket.region, &access.tags)?;
                if access.object_lock && !bucket.object_lock {
                    // It would be said to be created with what it does not have.
                    return Err(Refusal::from(Code::BucketAlreadyOwnedByYou).with("BucketName", name).into());
                }
                Ok(BucketCreated::AlreadyYours)
            }
        }
    }

    /// The bucket of this name.
    pub async fn bucket(&self, name: &str) -> Result<BucketRecord> {
        self.store.bucket(name).await?.ok_or_else(|| Refusal::no_such_bucket(name).into())
    }

    /// A page of an account's buckets.
    pub async fn list_buckets(&self, request: ListBuckets) -> Result<BucketPage> {
        let ListBuckets { owner, prefix, after, limit, region } = request;
        let wanted = move |bucket: &BucketRecord| {
            bucket.owner == owner && region.as_ref().is_none_or(|region| *region == bucket.region)
        };
        let mut buckets = self.store.list_buckets(&prefix, after.as_deref(), limit + 1, wanted).await?;
        let more = buckets.len() > limit;
        buckets.truncate(limit);
        let next = buckets.last().filter(|_| more).map(|bucket| bucket.name.clone());
        Ok(BucketPage { buckets, next })
    }

    /// Deletes a bucket that holds nothing.
    pub async fn delete_bucket(&self, name: &str) -> Result<()> {
        match self.store.delete_bucket(name).await? {
            BucketDeletion::Deleted => Ok(()),
            BucketDeletion::Absent => Err(Refusal::no_such_bucket(name).into()),
            BucketDeletion::NotEmpty => {
                let refusal = match self.bucket(name).await?.versioning {
                    Versioning::Unversioned => Refusal::from(Code::BucketNotEmpty),
                    Versioning::Enabled | Versioning::Suspended => Refusal::new(
                        Code::BucketNotEmpty,
                        "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
                    ),
                };
                Err(refusal.with("BucketName", name).into())
            }
        }
    }

    /// Enables or suspends versioning. Once a bucket was versioned it never goes back to unversioned.
    ///
    /// # Errors
    /// `InvalidBucketState` where versions can be locked: they must be kept.
    pub async fn set_versioning(&self, name: &str, versioning: Versioning) -> Result<()> {
        let change = |bucket: &mut BucketRecord| {
            if !bucket.object_lock {
                bucket.versioning = versioning;
            }
        };
        match self.store.update_bucket(name, change).await? {
            None => Err(Refusal::no_such_bucket(name).into()),
            Some(bucket) if bucket.versioning != versioning => {
                let message = "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
                Err(Refusal::new(Code::InvalidBucketState, message).into())
            }
            Some(_) => Ok(()),
        }
    }

    /// A bucket's tags; `NoSuchTagSet` when it has none.
    pub async fn bucket_tags(&self, name: &str) -> Result<Vec<(String, String)>> {
        let bucket = self.bucket(name).await?;
        let stored = self.store.bucket_config(bucket.id, TAGS).await?;
        let stored = stored.ok_or_else(|| Refusal::from(Code::NoSuchTagSet).with("BucketName", name))?;
        Ok(Tags::decode(&stored)?.0)
    }

    /// A bucket's tags, which may be none.
    pub async fn all_bucket_tags(&self, bucket: &BucketRecord) -> Result<Vec<(String, String)>> {
        let stored = self.store.bucket_config(bucket.id, TAGS).await?;
        Ok(stored.map(|bytes| Tags::decode(&bytes)).transpose()?.map(|tags| tags.0).unwrap_or_default())
    }

    /// Changes a bucket's tags: what `change` makes of those that are there.
    pub async fn change_bucket_tags(&self, name: &str, change: impl Fn(&mut Vec<(String, String)>)) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let bucket = self.bucket(name).await?;
            let mut tags = self.all_bucket_tags(&bucket).await?;
            let before = tags.clone();
            change(&mut tags);
            tagging::check(Tagged::Bucket, &tags)?;
            if tags == before {
                return Ok(());
            }
            let stored = (!tags.is_empty()).then(|| Tags(tags).encode());
            match self.store.set_bucket_config(&bucket, TAGS, stored).await {
                Err(StoreError::Conflict) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contention())
    }

    /// Sets a bucket's tags.
    pub async fn set_bucket_tags(&self, name: &str, tags: Vec<(String, String)>) -> Result<()> {
        tagging::check(Tagged::Bucket, &tags)?;
        self.set_config(name, TAGS, Some(Tags(tags).encode())).await
    }

    /// Removes a bucket's tags.
    pub async fn delete_bucket_tags(&self, name: &str) -> Result<()> {
        self.set_config(name, TAGS, None).await
    }
}
