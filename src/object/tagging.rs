//! Object tags.

use storage::index::records::{BucketRecord, Content, Head, ObjectRecord, VersionRecord};
use storage::store::{Change, Outcome};

use super::event::{Cause, EventName, Told, telling};
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention};
use crate::rules::tagging::{self, Tagged};

impl Objects {
    /// The tags of an object, or of one of its versions.
    pub async fn object_tags(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
    ) -> Result<(Vec<(String, String)>, Option<VersionLabel>)> {
        let (record, object) = self.find_object(bucket, key, version).await?;
        let label = VersionLabel::in_bucket(bucket.versioning, &record);
        Ok((object.attributes.tags, label))
    }

    /// Replaces the tags of an object, or of one of its versions; an empty set removes them. In events it is called as
    /// `cause` says: `ObjectTagging:Put` or `ObjectTagging:Delete`.
    pub async fn set_object_tags(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        tags: Vec<(String, String)>,
        cause: &Cause,
    ) -> Result<Option<VersionLabel>> {
        tagging::check(Tagged::Object, &tags)?;
        let set = |object: &mut ObjectRecord| {
            object.attributes.tags.clone_from(&tags);
            Ok(())
        };
        self.update_object(bucket, key, version, set, Some(cause)).await
    }

    /// Changes what an object, or one of its versions, says about itself; its data and its times stay. Without a cause
    /// no event tells of it, and none of an access control list that stays the same. What `change` refuses is refused
    /// of the object as the commit will find it.
    pub(super) async fn update_object(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        change: impl Fn(&mut ObjectRecord) -> Result<()>,
        cause: Option<&Cause>,
    ) -> Result<Option<VersionLabel>> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let (record, mut object) = self.find_object(&view.bucket, key, version).await?;
            change(&mut object)?;
            let label = VersionLabel::in_bucket(view.bucket.versioning, &record);
            let updated = VersionRecord { content: Content::Object(object), ..record.clone() };
            let tells = |cause: &&Cause| cause.event != EventName::ObjectAclPut || updated != record;
            let event = match cause.filter(tells) {
                Some(cause) => {
                    let told = Told::updated(view.bucket.versioning, &updated);
                    self.event(&view, cause.event, &cause.origin, told).await?
                }
                None => None,
            };
            let is_current = view.current.as_ref().is_some_and(|current| current.id == record.id);
            let change =
                if is_current { Change::UpdateCurrent(updated) } else { Change::UpdateNoncurrent(updated, record) };
            let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
            if let Outcome::Committed = self.store.commit(telling(view.edit(vec![change], head), event)).await? {
                return Ok(label);
            }
        }
        Err(contention())
    }
}
