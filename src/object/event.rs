//! Events: a bucket's notification configuration as it is stored, and the event that is committed with a change.
//!
//! An event is a row of the same commit as its change. Whom it goes to is decided by the configuration that the bucket
//! has in that commit, which requires that the bucket's record is as it was read.

use std::sync::Arc;

use quick_cache::sync::Cache;
use storage::index::records::{BucketRecord, ETag, Record, VersionRecord, Versioning};
use storage::store::{Edit, KeyView};
use storage::types::{BucketId, Timestamp, VersionId};

use super::access::NOTIFICATION;
use super::{Objects, Result};
use crate::rules::notification::{Configuration, Storage};
pub use crate::rules::notification::{Event, EventName, Origin};

/// Buckets whose configurations are kept; one takes up to about 56 KiB, and mostly less than one.
const CACHED_BUCKETS: usize = 1_024;

impl Record for Configuration {
    const FAMILY: &'static str = "buckets";
}
impl Record for Event {
    const FAMILY: &'static str = "outbox";
}

/// Configurations by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type NotificationCache = Cache<(BucketId, u64), Arc<Configuration>>;

pub(super) fn cache() -> NotificationCache {
    Cache::new(CACHED_BUCKETS)
}

/// What an operation is told of its cause, where the object layer cannot know it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// What the change is to be called in events.
    pub event: EventName,
    /// Who asked for it.
    pub origin: Arc<Origin>,
}

/// What an event tells of a version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub time: Timestamp,
    pub size: Option<u64>,
    pub etag: Option<ETag>,
    /// The version; the null version is never named.
    pub version: Option<VersionId>,
}

impl Told {
    /// Of a version that was written.
    pub(super) fn written(versioning: Versioning, version: &VersionRecord) -> Self {
        let object = version.object();
        Self {
            time: version.modified,
            size: object.map(|object| object.size),
            etag: object.map(|object| object.etag),
            version: named(versioning, version),
        }
    }

    /// Of a version whose attributes have changed.
    pub(super) fn updated(versioning: Versioning, version: &VersionRecord) -> Self {
        Self { time: Timestamp::now(), size: None, ..Self::written(versioning, version) }
    }

    /// Of a version that goes.
    pub(super) fn removed(version: Option<VersionId>) -> Self {
        Self { time: Timestamp::now(), version, ..Self::default() }
    }
}

fn named(versioning: Versioning, version: &VersionRecord) -> Option<VersionId> {
    (versioning != Versioning::Unversioned && !version.null).then_some(version.id)
}

impl Objects {
    /// A bucket's notification configuration. Read once for each generation of the bucket's settings.
    pub async fn bucket_notification(&self, bucket: &BucketRecord) -> Result<Arc<Configuration>> {
        let key = (bucket.id, bucket.generation);
        if bucket.generation == 0 {
            return Ok(Arc::clone(&self.no_notification));
        }
        if let Some(known) = self.notifications.get(&key) {
            return Ok(known);
        }
        let configuration = match self.store.bucket_config(bucket.id, NOTIFICATION).await? {
            Some(bytes) => Arc::new(Configuration::decode(&bytes)?),
            None => Arc::clone(&self.no_notification),
        };
        self.notifications.insert(key, Arc::clone(&configuration));
        Ok(configuration)
    }

    /// Replaces a bucket's notification configuration; an empty one removes it.
    pub async fn set_bucket_notification(&self, name: &str, configuration: &Configuration) -> Result<()> {
        configuration.check()?;
        let row = (!configuration.is_empty()).then(|| configuration.encode());
        self.set_config(name, NOTIFICATION, row).await
    }

    /// The row of an event, if it goes to anybody.
    pub(super) async fn event(
        &self,
        view: &KeyView,
        name: EventName,
        origin: &Origin,
        told: Told,
    ) -> Result<Option<Vec<u8>>> {
        self.event_about(view, name, origin, told, None).await
    }

    /// As [`Self::event`], of an event that tells of storage classes.
    pub(super) async fn event_about(
        &self,
        view: &KeyView,
        name: EventName,
        origin: &Origin,
        told: Told,
        storage: Option<Storage>,
    ) -> Result<Option<Vec<u8>>> {
        let bucket = &view.bucket;
        let configuration = self.bucket_notification(bucket).await?;
        let listened = self.listeners.listen_to(bucket.id);
        if configuration.is_empty() && !listened {
            return Ok(None);
        }
        let addressees = configuration.addressees(name, &view.key);
        if addressees.is_empty() && !listened {
            return Ok(None);
        }
        let owner = self.settings.accounts.by_canonical_id(&bucket.owner);
        let event = Event {
            name,
            time: told.time,
            bucket: bucket.name.clone(),
            bucket_id: bucket.id,
            bucket_account: owner.map_or_else(|| bucket.owner.clone(), |account| account.id.clone()),
            region: bucket.region.clone(),
            key: view.key.clone(),
            size: told.size,
            etag: told.etag,
            version: told.version,
            origin: origin.clone(),
            storage,
            addressees,
        };
        Ok(Some(event.encode()))
    }
}

/// An edit with its event, if there is one.
pub(super) fn telling(mut edit: Edit, event: Option<Vec<u8>>) -> Edit {
    if let Some(event) = event {
        edit.append_event(event);
    }
    edit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::notification::{Addressee, Filter, FilterRule, Kind, Pattern, Rule, Side};

    #[test]
    fn golden_bytes_of_a_configuration() {
        let rule = Rule {
            id: "i".to_owned(),
            kind: Kind::Queue,
            arn: "a".to_owned(),
            events: vec![Pattern::parse("s3:ObjectCreated:*").expect("known"), Pattern::One(EventName::ObjectAclPut)],
            filter: Some(Filter(vec![FilterRule { side: Side::Suffix, value: "x".to_owned() }])),
        };
        let configuration = Configuration { rules: vec![rule], event_bridge: Some(vec!["b".to_owned()]) };
        let bytes = [1, 1, 1, b'i', 1, 1, b'a', 2, 1, 0, 0, 11, 1, 1, 1, 1, b'x', 1, 1, 1, b'b'];
        assert_eq!(configuration.encode(), bytes);
        assert_eq!(Configuration::decode(&bytes).expect("decoded"), configuration);
    }

    #[test]
    fn golden_bytes_of_an_event() {
        let event = Event {
            name: EventName::ObjectRemovedDelete,
            time: Timestamp(1),
            bucket: "b".to_owned(),
            bucket_id: BucketId(3),
            bucket_account: "1".to_owned(),
            region: "r".to_owned(),
            key: "k".to_owned(),
            size: Some(5),
            etag: None,
            version: Some(VersionId { order: 6, salt: 7 }),
            origin: Origin { principal: "p".to_owned(), ..Origin::default() },
            storage: None,
            addressees: vec![Addressee { target: "t".to_owned(), configuration: "c".to_owned() }],
        };
        let bytes = [
            1, 4, 2, 1, b'b', 3, 1, b'1', 1, b'r', 1, b'k', 1, 5, 0, 1, 6, 7, 1, b'p', 0, 0, 0, 0, 0, 1, 1, b't', 1,
            b'c',
        ];
        assert_eq!(event.encode(), bytes);
        assert_eq!(Event::decode(&bytes).expect("decoded"), event);
    }
}
