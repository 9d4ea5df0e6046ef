//! Lines of access logs that tell of lifecycle actions.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-and-other-bucket-config.html>, "Lifecycle and logging"

use std::sync::Arc;

use storage::index::records::{BucketRecord, Versioning};
use storage::types::Timestamp;

use super::scan::Item;
use crate::object::{LogOrigin, Objects, Result};
use crate::rules::access_log::{Line, LogSource};
use crate::rules::lifecycle::Action;

/// Who acts, as Amazon's logs say.
const REQUESTER: &str = "AmazonS3";

impl Objects {
    /// How actions in a bucket are logged, if they are.
    pub async fn lifecycle_log(&self, bucket: &BucketRecord) -> Result<Option<Arc<LogOrigin>>> {
        let Some(logging) = self.bucket_logging(bucket).await? else { return Ok(None) };
        let account = self.settings.accounts.by_canonical_id(&bucket.owner);
        let account = account.map_or_else(|| bucket.owner.clone(), |account| account.id.clone());
        let source = LogSource { bucket: bucket.name.clone(), account, region: bucket.region.clone() };
        Ok(Some(Arc::new(LogOrigin { logging, source })))
    }

    /// The line of an action that was carried out at this time.
    #[must_use]
    pub fn lifecycle_line(&self, bucket: &BucketRecord, item: &Item, time: Timestamp) -> String {
        let marks = bucket.versioning != Versioning::Unversioned;
        let operation = match &item.action {
            Action::Expire if marks => "S3.CREATE.DELETEMARKER",
            Action::Expire | Action::RemoveMarker | Action::RemoveNoncurrent => "S3.EXPIRE.OBJECT",
            Action::Transition(_) => "S3.TRANSITION.OBJECT",
            Action::AbortUpload => "S3.DELETE.UPLOAD",
        };
        let request = self.server_origin().request_id;
        let version = item.label.map(|label| label.to_string());
        let line = Line {
            bucket_owner: &bucket.owner,
            bucket: &bucket.name,
            time: time.0,
            requester: Some(REQUESTER),
            request_id: &request,
            operation,
            key: Some(&item.key),
            version_id: version.as_deref(),
            ..Line::default()
        };
        line.render()
    }
}
