//! Buckets' quotas and usage.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use crate::object::BucketUsage;
use crate::protocol::error::Result;
use crate::rules::quota::Quota;

/// The body that sets a quota: a limit that is left out, or null, does not limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    bytes: Option<u64>,
    objects: Option<u64>,
}

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

/// The quota, `null` if there is none, and what the bucket holds.
pub(super) async fn get(call: &Call<'_>) -> Result<Value> {
    let bucket = call.bucket()?;
    let quota = call.objects.bucket_quota(bucket).await?;
    let quota = quota.map(|Quota { bytes, objects }| json!({ "bytes": bytes, "objects": objects }));
    let usage = call.objects.bucket_usage(bucket).await?;
    Ok(json!({ "bucket": bucket.name, "quota": quota, "usage": written(usage) }))
}

/// Sets the quota, in place of the one before.
pub(super) async fn put(call: &Call<'_>) -> Result<Value> {
    let Wanted { bytes, objects } = call.json()?;
    call.objects.set_bucket_quota(&call.bucket()?.name, Some(Quota { bytes, objects })).await?;
    Ok(Value::Null)
}

/// Removes the quota; that there is none is no error.
pub(super) async fn delete(call: &Call<'_>) -> Result<Value> {
    call.objects.set_bucket_quota(&call.bucket()?.name, None).await?;
    Ok(Value::Null)
}
