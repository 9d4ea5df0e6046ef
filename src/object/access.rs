//! What decides about access to a bucket and its objects, as it is stored: the bucket's policy, its access control
//! list, object ownership, Block Public Access of bucket and account, and the objects' own lists.
//!
//! Nothing is decided here; whoever calls is authorised already.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::index::keys;
use storage::index::records::{Attributes, BucketRecord, ObjectRecord, Record, Tags, VersionRecord};
use storage::store::IdentityChange;
use storage::types::BucketId;
use storage::{Corruption, StoreError};

use super::event::{Cause, EventName, Origin};
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention};
use crate::rules::acl::Acl;
use crate::rules::iam::{Policy, PolicyKind};
use crate::rules::ownership::ObjectOwnership;
use crate::rules::public_access::PublicAccessBlock;

/// Numbers among a bucket's sub-resources. Stored: never reuse one.
pub(super) const TAGS: u8 = 1;
const POLICY: u8 = 32;
const ACL: u8 = 33;
const OWNERSHIP: u8 = 34;
const PUBLIC_ACCESS_BLOCK: u8 = 35;
pub(super) const CORS: u8 = 36;
pub(super) const NOTIFICATION: u8 = 37;
pub(super) const LIFECYCLE: u8 = 38;
pub(super) const OBJECT_LOCK: u8 = 41;
pub(super) const ENCRYPTION: u8 = 42;
pub(super) const QUOTA: u8 = 64;
pub(super) const LOGGING: u8 = 65;
pub(super) const STORAGE: u8 = 66;
const ABAC: u8 = 60;
pub(super) const WEBSITE: u8 = 40;

/// The number of the access control list among a version's sub-resources. Stored: never reuse it.
const VERSION_ACL: u8 = 1;

/// The kind of an account's own Block Public Access among the rows of identities. Stored.
const ACCOUNT_PUBLIC_ACCESS_BLOCK: u8 = b'b';

/// Buckets whose settings are kept parsed. A policy of 20 KiB takes about 100 KiB parsed.
const CACHED_BUCKETS: usize = 2_048;

/// A bucket's policy.
#[derive(Debug)]
pub struct BucketPolicy {
    /// As it is evaluated.
    pub parsed: Policy,
    /// Whether it is public, in the sense of Block Public Access.
    pub public: bool,
}

/// What decides about access to a bucket. The default is what a new bucket has, where the server's configuration says
/// nothing else.
#[derive(Debug, Default)]
pub struct BucketAccess {
    /// The policy, if there is one.
    pub policy: Option<BucketPolicy>,
    /// The access control list; `None` where it is the private one.
    pub acl: Option<Acl>,
    /// Object ownership; `None` where the setting was removed.
    pub ownership: Ownership,
    /// Block Public Access of this bucket, if it is set.
    pub public_access_block: Option<PublicAccessBlock>,
    /// The bucket's tags.
    pub tags: Vec<(String, String)>,
    /// Whether conditions on the bucket's tags count: attribute-based access control.
    pub abac: bool,
}

impl BucketAccess {
    /// Whether nothing here can let anybody in who is not of the owner's account.
    #[must_use]
    pub fn is_only_for_its_account(&self) -> bool {
        self.policy.is_none() && (self.acl.is_none() || !self.ownership.effective().has_acls())
    }
}

/// Whether a bucket has a setting of object ownership. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// It has.
    Set(ObjectOwnership),
    /// It was removed: the bucket is as they all were before there was such a setting.
    Removed,
}

impl Default for Ownership {
    fn default() -> Self {
        Self::Set(ObjectOwnership::default())
    }
}

impl Ownership {
    /// The setting that counts.
    #[must_use]
    pub fn effective(self) -> ObjectOwnership {
        match self {
            Self::Set(ownership) => ownership,
            Self::Removed => ObjectOwnership::ObjectWriter,
        }
    }
}

/// What a new bucket has from the start.
#[derive(Clone, Debug, Default)]
pub struct NewBucketAccess {
    /// Object ownership; else what the server's configuration says.
    pub ownership: Option<ObjectOwnership>,
    /// The access control list; `None` is the private one.
    pub acl: Option<Acl>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Whether its versions can be locked.
    pub object_lock: bool,
}

/// A bucket's policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// As it was put.
    pub text: String,
    /// ARNs of users and roles that it names, each with the unique id that it stood for then.
    pub bound: Vec<(String, String)>,
}

/// Whether attribute-based access control is enabled. Stored only where it is.
#[derive(Serialize, Deserialize)]
struct Abac(bool);

impl Record for Abac {
    const FAMILY: &'static str = "buckets";
}

impl Record for StoredPolicy {
    const FAMILY: &'static str = "buckets";
}
impl Record for Acl {
    const FAMILY: &'static str = "buckets";
}
impl Record for Ownership {
    const FAMILY: &'static str = "buckets";
}
impl Record for PublicAccessBlock {
    const FAMILY: &'static str = "buckets";
}

/// Parsed settings by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type AccessCache = Cache<(BucketId, u64), Arc<BucketAccess>>;

pub(super) fn cache() -> AccessCache {
    Cache::new(CACHED_BUCKETS)
}

/// An object's access control list; `None` where it is the private one.
///
/// # Errors
/// If the stored bytes are damaged.
pub fn object_acl(attributes: &Attributes) -> Result<Option<Acl>> {
    Ok(attributes.sub_resource(VERSION_ACL).map(Acl::decode).transpose()?)
}

/// Gives what an object says about itself an access control list; `None` is the private one.
pub fn set_object_acl(attributes: &mut Attributes, acl: Option<&Acl>) {
    attributes.set_sub_resource(VERSION_ACL, acl.map(Record::encode));
}

impl NewBucketAccess {
    /// The sub-resources to store. What is the default anyway is not.
    pub(super) fn configs(&self, default_ownership: ObjectOwnership) -> Vec<(u8, Vec<u8>)> {
        let ownership = Ownership::Set(self.ownership.unwrap_or(default_ownership));
        let tags = (!self.tags.is_empty()).then(|| (TAGS, Tags(self.tags.clone()).encode()));
        let acl = self.acl.as_ref().map(|acl| (ACL, acl.encode()));
        let ownership = (ownership != Ownership::default()).then(|| (OWNERSHIP, ownership.encode()));
        [tags, acl, ownership].into_iter().flatten().collect()
    }
}

impl Objects {
    /// What a new bucket has for object ownership, where its creation does not say.
    #[must_use]
    pub fn default_ownership(&self) -> ObjectOwnership {
        self.settings.default_ownership
    }

    /// What decides about access to a bucket. Read once for each generation of the bucket's settings.
    pub async fn bucket_access(&self, bucket: &BucketRecord) -> Result<Arc<BucketAccess>> {
        let key = (bucket.id, bucket.generation);
        if bucket.generation == 0 {
            return Ok(Arc::clone(&self.no_access_settings));
        }
        if let Some(known) = self.access.get(&key) {
            return Ok(known);
        }
        let mut access = BucketAccess::default();
        for (kind, bytes) in self.store.bucket_configs(bucket.id).await? {
            match kind {
                TAGS => access.tags = Tags::decode(&bytes)?.0,
                POLICY => access.policy = Some(parse_policy(&bucket.name, &StoredPolicy::decode(&bytes)?)?),
                ACL => access.acl = Some(Acl::decode(&bytes)?),
                OWNERSHIP => access.ownership = Ownership::decode(&bytes)?,
                ABAC => access.abac = Abac::decode(&bytes)?.0,
                PUBLIC_ACCESS_BLOCK => access.public_access_block = Some(PublicAccessBlock::decode(&bytes)?),
                _ => {}
            }
        }
        let access = Arc::new(access);
        self.access.insert(key, Arc::clone(&access));
        Ok(access)
    }

    /// Enables or disables attribute-based access control of a bucket.
    pub async fn set_bucket_abac(&self, name: &str, enabled: bool) -> Result<()> {
        self.set_config(name, ABAC, enabled.then(|| Abac(true).encode())).await
    }

    /// A bucket's policy, unread.
    pub async fn bucket_policy(&self, bucket: &BucketRecord) -> Result<Option<StoredPolicy>> {
        let stored = self.store.bucket_config(bucket.id, POLICY).await?;
        Ok(stored.map(|bytes| StoredPolicy::decode(&bytes)).transpose()?)
    }

    /// Sets or removes a bucket's policy, which has been checked.
    pub async fn set_bucket_policy(&self, name: &str, policy: Option<&StoredPolicy>) -> Result<()> {
        self.set_config(name, POLICY, policy.map(Record::encode)).await
    }

    /// Sets or removes Block Public Access of a bucket.
    pub async fn set_public_access_block(&self, name: &str, block: Option<PublicAccessBlock>) -> Result<()> {
        self.set_config(name, PUBLIC_ACCESS_BLOCK, block.map(|block| block.encode())).await
    }

    /// Sets a bucket's access control list; `None` is the private one.
    pub async fn set_bucket_acl(&self, name: &str, acl: Option<&Acl>) -> Result<()> {
        self.set_config(name, ACL, acl.map(Record::encode)).await
    }

    /// Gives a bucket that is created again the list of that creation, where lists count.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>, "BucketAlreadyOwnedByYou"
    pub async fn reset_bucket_acl(&self, name: &str, acl: Option<&Acl>) -> Result<()> {
        let access = self.bucket_access(&self.bucket(name).await?).await?;
        if access.ownership.effective().has_acls() && access.acl.as_ref() != acl {
            self.set_bucket_acl(name, acl).await?;
        }
        Ok(())
    }

    /// Sets a bucket's object ownership, unless `refuses` says why not of the bucket as it then is.
    pub async fn set_ownership<E>(
        &self,
        name: &str,
        ownership: Ownership,
        refuses: impl Fn(&BucketRecord, &BucketAccess) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<(), E>> {
        for _ in 0..ATTEMPTS {
            let bucket = self.bucket(name).await?;
            let access = self.bucket_access(&bucket).await?;
            if let Err(refusal) = refuses(&bucket, &access) {
                return Ok(Err(refusal));
            }
            // The generation is part of what the commit requires, so that no list is set meanwhile.
            match self.store.set_bucket_config(&bucket, OWNERSHIP, Some(ownership.encode())).await {
                Err(StoreError::Conflict) => {}
                outcome => return Ok(Ok(outcome?)),
            }
        }
        Err(contention())
    }

    /// Sets or removes a sub-resource of a bucket, whatever it was before.
    pub(super) async fn set_config(&self, name: &str, kind: u8, value: Option<Vec<u8>>) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let bucket = self.bucket(name).await?;
            match self.store.set_bucket_config(&bucket, kind, value.clone()).await {
                Err(StoreError::Conflict) => {}
                outcome => return Ok(outcome?),
            }
        }
        Err(contention())
    }

    /// Block Public Access of an account (12 digits), if it is set.
    pub async fn account_public_access_block(&self, account: &str) -> Result<Option<PublicAccessBlock>> {
        let row = self.store.identity(keys::identity(ACCOUNT_PUBLIC_ACCESS_BLOCK, &[account])).await?;
        Ok(row.map(|bytes| PublicAccessBlock::decode(&bytes)).transpose()?)
    }

    /// Block Public Access of a bucket and of the account (12 digits) that owns it, together, as they are now.
    pub async fn public_access_block_of(&self, bucket: &BucketRecord, account: &str) -> Result<PublicAccessBlock> {
        let stored = self.store.bucket_config(bucket.id, PUBLIC_ACCESS_BLOCK).await?;
        let own = stored.map(|bytes| PublicAccessBlock::decode(&bytes)).transpose()?;
        let all = self.account_public_access_block(account).await?;
        Ok(own.unwrap_or_default().and(all.unwrap_or_default()))
    }

    /// Sets or removes Block Public Access of an account (12 digits).
    pub async fn set_account_public_access_block(&self, account: &str, block: Option<PublicAccessBlock>) -> Result<()> {
        let row = keys::identity(ACCOUNT_PUBLIC_ACCESS_BLOCK, &[account]);
        let change = match block {
            Some(block) => IdentityChange { puts: vec![(row, block.encode())], ..IdentityChange::default() },
            None => IdentityChange { deletes: vec![row], ..IdentityChange::default() },
        };
        Ok(self.store.commit_identities(change).await?)
    }

    /// An object, or one of its versions, as a decision about it needs it.
    pub async fn object_version(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
    ) -> Result<(VersionRecord, ObjectRecord)> {
        self.find_object(bucket, key, version).await
    }

    /// Replaces the access control list of an object, or of one of its versions. Events tell of it where it becomes
    /// another one.
    pub async fn set_object_acl(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        acl: Option<&Acl>,
        origin: &Arc<Origin>,
    ) -> Result<Option<VersionLabel>> {
        let cause = Cause { event: EventName::ObjectAclPut, origin: Arc::clone(origin) };
        let set = |object: &mut ObjectRecord| {
            set_object_acl(&mut object.attributes, acl);
            Ok(())
        };
        self.update_object(bucket, key, version, set, Some(&cause)).await
    }
}

fn parse_policy(bucket: &str, stored: &StoredPolicy) -> Result<BucketPolicy> {
    // It was checked when it was put. If this release reads it otherwise, it must not grant anything.
    let parsed = Policy::parse(&stored.text, PolicyKind::Bucket { bucket }).map_err(|error| {
        StoreError::from(Corruption::Row { family: "buckets", what: format!("the policy of {bucket}: {error}") })
    })?;
    Ok(BucketPolicy { public: parsed.is_public(), parsed: parsed.bound_to(&stored.bound) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::acl::Canned;

    #[test]
    fn golden_bytes_of_the_settings() {
        let acl = Canned::PublicRead.acl("o", "o");
        assert_eq!(acl.encode(), [1, 2, 0, 1, b'o', 0, 1, 0, 1]);
        assert_eq!(Ownership::Removed.encode(), [1, 1]);
        assert_eq!(Ownership::Set(ObjectOwnership::ObjectWriter).encode(), [1, 0, 2]);
        let block = PublicAccessBlock { ignore_public_acls: true, ..PublicAccessBlock::default() };
        assert_eq!(block.encode(), [1, 0, 1, 0, 0]);
        let policy = StoredPolicy { text: "{}".to_owned(), bound: vec![("a".to_owned(), "A".to_owned())] };
        assert_eq!(policy.encode(), [1, 2, b'{', b'}', 1, 1, b'a', 1, b'A']);
    }

    #[test]
    fn a_new_bucket_stores_only_what_is_not_the_default() {
        let nothing = NewBucketAccess::default();
        assert!(nothing.configs(ObjectOwnership::BucketOwnerEnforced).is_empty());
        let stored = [(OWNERSHIP, Ownership::Set(ObjectOwnership::ObjectWriter).encode())];
        assert_eq!(nothing.configs(ObjectOwnership::ObjectWriter), stored);
        let asked = NewBucketAccess { ownership: Some(ObjectOwnership::BucketOwnerEnforced), ..nothing };
        assert!(asked.configs(ObjectOwnership::ObjectWriter).is_empty());
    }

    #[test]
    fn an_objects_list_is_kept_with_it() {
        let mut attributes = Attributes::default();
        assert_eq!(object_acl(&attributes).expect("nothing"), None);
        let acl = Canned::PublicRead.acl("o", "o");
        set_object_acl(&mut attributes, Some(&acl));
        assert_eq!(object_acl(&attributes).expect("decoded"), Some(acl));
        set_object_acl(&mut attributes, None);
        assert_eq!(attributes, Attributes::default());
    }
}
