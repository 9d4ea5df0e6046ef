//! S3's operations on domain types: no HTTP, no XML, no files.
//!
//! Whoever calls is authorised already. An operation reads what it needs, asks [`crate::rules`], and commits what
//! follows; the commit requires that what was read still holds, else the operation starts over. So every operation on
//! a key is linearizable, its conditions included.

mod access;
mod access_log;
mod annotation_payload;
mod annotations;
mod append;
mod backup;
mod body;
mod bucket;
mod bucket_storage;
mod copy;
mod cors;
mod delete;
mod delivery;
mod encryption;
mod error;
mod event;
mod get;
mod lifecycle;
mod list;
mod listen;
mod multipart;
mod object_lock;
mod put;
mod quota;
mod rename;
mod restore;
mod scrub;
mod sealed;
mod tagging;
mod tiering;
mod website;

use std::sync::Arc;

use storage::Store;
use storage::index::records::{BucketRecord, VersionRecord};
use storage::store::KeyView;

pub use access::{BucketAccess, BucketPolicy, NewBucketAccess, Ownership, StoredPolicy, object_acl, set_object_acl};
pub use access_log::{AccessLog, AccessLogFigures, LogOrigin, LoggedLines};
pub use annotations::{Annotated, AnnotationChange, AnnotationPage, ListAnnotations, NewAnnotation};
pub use append::AppendObject;
pub use backup::{BackupProgress, BackupState, backup_name};
pub use body::{Body, Integrity, ReadTrailer};
pub use bucket::{BucketCreated, BucketPage, ListBuckets};
pub use bucket_storage::BucketStorage;
pub use copy::{Copied, CopiedAnnotations, CopyAttributes, CopyObject, NewStorageClass, Source};
pub use delete::{DeleteObject, Deleted};
pub use delivery::{Delivery, Redelivered, ReplayFrom, TargetState, TargetStatus};
pub use encryption::{CustomerKey, DefaultEncryption, Encrypting, Encryption, Scheme, UpdateEncryption, encryption_of};
pub use error::{Addressed, BoxError, Error, Result, VersionLabel};
pub use event::{Cause, Event, EventName, Origin};
pub use get::{Found, ObjectBody, PartPage, ReadObject, Served};
pub use lifecycle::{
    Applied, BucketProgress, Explained, Item, ItemKind, Judged, PageLimits, PassUnderWay, Planned, Position,
    PreviewPage, Progress, Sample, Upcoming,
};
pub use list::{ListedVersion, ObjectPage, UploadPage, VersionPage};
pub use listen::{Listening, MAX_LISTENERS};
pub use multipart::{CompleteUpload, CreateUpload, UploadPart, UploadPartCopy};
pub use object_lock::{LockClock, lock_of, set_lock};
pub use put::{PutObject, Written};
pub use quota::BucketUsage;
pub use rename::RenameObject;
pub use restore::{RestoreObject, Restoring};
pub use scrub::{DamageReport, ScrubProgress, ScrubState};
pub use tiering::TaskEnd;

use crate::accounts::Accounts;
use crate::encryption::KeyService;
use crate::rules::conditions::Current;
use crate::rules::lifecycle::{Calendar, DefaultMinimum};
use crate::rules::notification::Configuration;
use crate::rules::ownership::ObjectOwnership;
use crate::rules::versioning::Known;
use crate::rules::{Code, Refusal};
use crate::tiers::Tiers;

/// Attempts at an operation that loses its commit to others on the same key. Each loss is somebody else's success.
const ATTEMPTS: u32 = 256;

/// What the object layer is configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region that buckets are created in.
    pub region: String,
    /// Object ownership of new buckets whose creation does not say.
    pub default_ownership: ObjectOwnership,
    /// How long the days of lifecycle rules are.
    pub calendar: Calendar,
    /// The accounts, by which events name a bucket's owner.
    pub accounts: Arc<Accounts>,
}

/// S3's operations. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<Store>,
    settings: Arc<Settings>,
    access: Arc<access::AccessCache>,
    cors: Arc<cors::CorsCache>,
    notifications: Arc<event::NotificationCache>,
    listeners: Arc<listen::Listeners>,
    quotas: Arc<quota::QuotaCache>,
    storages: Arc<bucket_storage::BucketStorageCache>,
    /// Held while the sharing of a bucket is counted: one count at a time.
    sharing: Arc<tokio::sync::Mutex<()>>,
    logging: Arc<access_log::LoggingCache>,
    websites: Arc<website::WebsiteCache>,
    lifecycles: Arc<lifecycle::LifecycleCache>,
    lifecycle_progress: Arc<Progress>,
    scrubbing: Arc<ScrubProgress>,
    backups: Arc<BackupProgress>,
    /// What decides about access to a bucket of which nobody has set anything.
    no_access_settings: Arc<BucketAccess>,
    no_notification: Arc<Configuration>,
    default_retentions: Arc<object_lock::DefaultRetentionCache>,
    lock_clock: Arc<LockClock>,
    default_encryptions: Arc<encryption::DefaultEncryptionCache>,
    keys: Option<Arc<dyn KeyService>>,
    tiers: Arc<Tiers>,
    /// How small objects stay whose bucket's configuration does not say.
    transition_minimum: DefaultMinimum,
}

impl Objects {
    /// Operations on what `store` holds.
    #[must_use]
    pub fn new(store: Arc<Store>, settings: Settings) -> Self {
        let lock_clock = LockClock::system(store.latest_time());
        Self {
            store,
            settings: Arc::new(settings),
            access: Arc::new(access::cache()),
            cors: Arc::new(cors::cache()),
            notifications: Arc::new(event::cache()),
            listeners: Arc::default(),
            quotas: Arc::new(quota::cache()),
            storages: Arc::new(bucket_storage::cache()),
            sharing: Arc::default(),
            logging: Arc::new(access_log::cache()),
            websites: Arc::new(website::cache()),
            lifecycles: Arc::new(lifecycle::cache()),
            lifecycle_progress: Arc::default(),
            scrubbing: Arc::default(),
            backups: Arc::default(),
            no_access_settings: Arc::default(),
            no_notification: Arc::default(),
            default_retentions: Arc::new(object_lock::cache()),
            lock_clock: Arc::new(lock_clock),
            default_encryptions: Arc::new(encryption::cache()),
            keys: None,
            tiers: Arc::default(),
            transition_minimum: DefaultMinimum::default(),
        }
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The region that buckets are created in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.settings.region
    }

    /// A key as it is now; `NoSuchBucket` when its bucket has gone.
    async fn view(&self, bucket: &BucketRecord, key: &str) -> Result<KeyView> {
        let view = self.store.view(bucket, key).await?;
        view.ok_or_else(|| Refusal::no_such_bucket(&bucket.name).into())
    }

    /// The newest version of a key: its current object, or the delete marker that hides its older versions.
    async fn newest(&self, view: &KeyView) -> Result<Option<VersionRecord>> {
        match (&view.current, &view.head) {
            (Some(current), _) => Ok(Some(current.clone())),
            (None, Some(_)) => Ok(self.store.noncurrent(view.bucket.id, &view.key, 1).await?.pop()),
            (None, None) => Ok(None),
        }
    }
}

/// What conditions on a write are asked about.
fn current_state(newest: Option<&VersionRecord>) -> Current<'_> {
    match newest {
        None => Current::Absent,
        Some(version) => match version.object() {
            Some(object) => Current::Object { etag: &object.etag, id: version.id },
            None => Current::DeleteMarker,
        },
    }
}

/// What decisions on versions are asked about.
fn known(version: &VersionRecord) -> Known {
    Known { order: version.id.order, null: version.null }
}

/// After as many lost races as the limit allows.
fn contention() -> Error {
    storage::StoreError::Contention(ATTEMPTS).into()
}

/// An object's version that turns out not to be one.
fn no_such_key(key: &str) -> Error {
    let refusal: Refusal = Refusal::from(Code::NoSuchKey).with("Key", key);
    refusal.into()
}
