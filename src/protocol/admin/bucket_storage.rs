//! How buckets' new data is stored.

use serde::Deserialize;
use serde_json::{Value, json};
use storage::compress::Codec;

use super::Call;
use crate::object::BucketStorage;
use crate::protocol::error::{Failure, Result};

/// The body that sets it: what is left out, or null, is as the server's configuration says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    compression: Option<String>,
}

/// What is set, `null` where nothing is, and what counts.
pub(super) async fn get(call: &Call<'_>) -> Result<Value> {
    let bucket = call.bucket()?;
    let BucketStorage { compression } = call.objects.bucket_storage(bucket).await?;
    let limits = call.objects.store().limits();
    let set = compression.map(|codec| codec.to_string());
    let counts = compression.unwrap_or(limits.compression).to_string();
    Ok(json!({
        "bucket": bucket.name,
        "storage": { "compression": set },
        "effective": { "compression": counts },
    }))
}

/// Sets it, in place of what was set before.
pub(super) async fn put(call: &Call<'_>) -> Result<Value> {
    let Wanted { compression } = call.json()?;
    let refused = |what: &str, words: String| Failure::with_message("InvalidRequest", format!("{what}: {words}."));
    let compression = compression.map(|name| name.parse::<Codec>()).transpose();
    let compression = compression.map_err(|words| refused("compression", words))?;
    call.objects.set_bucket_storage(&call.bucket()?.name, Some(BucketStorage { compression })).await?;
    Ok(Value::Null)
}

/// Has the server's configuration count again; that nothing was set is no error.
pub(super) async fn delete(call: &Call<'_>) -> Result<Value> {
    call.objects.set_bucket_storage(&call.bucket()?.name, None).await?;
    Ok(Value::Null)
}
