//! Object tags.

use storage::index::records::{BucketRecord, Content, Head, ObjectRecord, VersionRecord};
use storage::store::{Change, Outcome};

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

    /// Replaces the tags of an object, or of one of its versions; an empty set removes them.
    pub async fn set_object_tags(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        tags: Vec<(String, String)>,
    ) -> Result<Option<VersionLabel>> {
        tagging::check(Tagged::Object, &tags)?;
        self.update_object(bucket, key, version, |object| object.attributes.tags.clone_from(&tags)).await
    }

    /// Changes what an object, or one of its versions, says about itself; its data and its times stay.
    pub(super) async fn update_object(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
        change: impl Fn(&mut ObjectRecord),
    ) -> Result<Option<VersionLabel>> {
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let (record, mut object) = self.find_object(&view.bucket, key, version).await?;
            change(&mut object);
            let label = VersionLabel::in_bucket(view.bucket.versioning, &record);
            let updated = VersionRecord { content: Content::Object(object), ..record.clone() };
            let is_current = view.current.as_ref().is_some_and(|current| current.id == record.id);
            let change =
                if is_current { Change::UpdateCurrent(updated) } else { Change::UpdateNoncurrent(updated, record) };
            let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
            if let Outcome::Committed = self.store.commit(view.edit(vec![change], head)).await? {
                return Ok(label);
            }
        }
        Err(contention())
    }
}
