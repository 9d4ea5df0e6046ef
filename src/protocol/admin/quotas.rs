//! Buckets' quotas and usage.

use serde_json::{Value, json};

use super::Call;
use crate::object::BucketUsage;
use crate::protocol::error::Result;

fn written(usage: BucketUsage) -> Value {
    let BucketUsage { bytes, objects, current, delete_markers } = usage;
    json!({ "bytes": bytes, "objects": objects, "currentObjects": current, "deleteMarkers": delete_markers })
}

/// What a bucket holds now.
pub(super) async fn usage(call: &Call<'_>) -> Result<Value> {
    let bucket = call.bucket()?;
    let usage = call.objects.bucket_usage(bucket).await?;
    Ok(json!({ "bucket": bucket.name, "usage": written(usage) }))
}
