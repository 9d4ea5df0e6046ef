//! How buckets' new data is stored.

use serde::Deserialize;
use serde_json::{Value, json};
use storage::chunking::Chunking;
use storage::compress::Codec;

use super::Call;
use crate::object::BucketStorage;
use crate::protocol::error::{Failure, Result};

/// The body that sets it: what is left out, or null, is as the server's configuration says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    compression: Option<String>,
    chunking: Option<String>,
}

/// What is set, `null` where nothing is, and what counts.
pub(super) async fn get(call: &Call<'_>) -> Result<Value> {
    let bucket = call.bucket()?;
    let BucketStorage { compression, chunking } = call.objects.bucket_storage(bucket).await?;
    let limits = call.objects.store().limits();
    let set = (compression.map(|codec| codec.to_string()), chunking.map(|chunking| chunking.to_string()));
    let counts = (compression.unwrap_or(limits.compression), chunking.unwrap_or(limits.chunking));
    Ok(json!({
        "bucket": bucket.name,
        "storage": { "compression": set.0, "chunking": set.1 },
        "effective": { "compression": counts.0.to_string(), "chunking": counts.1.to_string() },
    }))
}

/// What the bucket's data takes.
pub(super) async fn sharing(call: &Call<'_>) -> Result<Value> {
    let bucket = call.bucket()?;
    let sharing = call.objects.bucket_sharing(bucket).await?;
    Ok(json!({
        "bucket": bucket.name,
        "sharing": {
            "logical": sharing.logical,
            "unique": sharing.unique,
            "stored": sharing.stored,
            "remote": sharing.remote,
            "exact": sharing.is_exact,
        },
    }))
}

/// Sets it, in place of what was set before.
pub(super) async fn put(call: &Call<'_>) -> Result<Value> {
    let Wanted { compression, chunking } = call.json()?;
    let refused = |what: &str, words: String| Failure::with_message("InvalidRequest", format!("{what}: {words}."));
    let compression = compression.map(|name| name.parse::<Codec>()).transpose();
    let compression = compression.map_err(|words| refused("compression", words))?;
    let chunking = chunking.map(|name| name.parse::<Chunking>()).transpose();
    let chunking = chunking.map_err(|words| refused("chunking", words))?;
    let storage = BucketStorage { compression, chunking };
    call.objects.set_bucket_storage(&call.bucket()?.name, Some(storage)).await?;
    Ok(Value::Null)
}

/// Has the server's configuration count again; that nothing was set is no error.
pub(super) async fn delete(call: &Call<'_>) -> Result<Value> {
    call.objects.set_bucket_storage(&call.bucket()?.name, None).await?;
    Ok(Value::Null)
}
