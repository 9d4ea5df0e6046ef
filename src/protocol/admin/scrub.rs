//! How scrubbing is doing, what it has found, and a pass now.

use serde_json::{Value, json};
use storage::scrub::{Hit, HitWhat};
use storage::types::{ChunkId, Timestamp};

use super::Call;
use crate::object::{DamageReport, ScrubState};
use crate::protocol::error::{Failure, Result};

/// Damaged chunks in one answer.
const PAGE: usize = 100;

fn instant(time: Timestamp) -> Option<String> {
    let known = jiff::Timestamp::from_millisecond(time.0).ok().filter(|_| time.0 > 0)?;
    Some(known.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// Where it has come.
pub(super) async fn status(call: &Call<'_>) -> Result<Value> {
    let progress = call.objects.scrub_progress();
    let ScrubState { pass, is_under_way, started, finished, chunks, bytes, damaged, .. } = progress.state();
    Ok(json!({
        "pass": pass,
        "underWay": is_under_way,
        "started": instant(started),
        "lastPassFinished": instant(finished),
        "chunks": chunks,
        "bytes": bytes,
        "damaged": damaged,
        "knownDamages": progress.known(),
    }))
}

/// Begins a pass now, in the place of one that is under way; answers its number.
pub(super) async fn start(call: &Call<'_>) -> Result<Value> {
    Ok(json!({ "pass": call.objects.scrub_progress().request() }))
}

/// A page of damaged chunks, each with what it hits.
pub(super) async fn damages(call: &Call<'_>) -> Result<Value> {
    let after = match call.parameter("after") {
        None => None,
        Some(text) => {
            let id = hex::decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).map(ChunkId);
            Some(id.ok_or_else(|| Failure::with_message("InvalidRequest", "after is not what an answer said as next"))?)
        }
    };
    let reports = call.objects.damages(after, PAGE).await?;
    let last = reports.last().filter(|_| reports.len() == PAGE);
    let next = last.map(|report| report.damaged.chunk.to_string());
    let damages: Vec<Value> = reports.iter().map(shown).collect();
    Ok(json!({ "damages": damages, "next": next }))
}

fn shown(DamageReport { damaged, hits, is_whole }: &DamageReport) -> Value {
    let objects: Vec<Value> = hits.iter().map(hit).collect();
    json!({
        "chunk": damaged.chunk.to_string(),
        "found": instant(damaged.found),
        "why": damaged.why,
        "objects": objects,
        "andMore": !is_whole,
    })
}

fn hit(Hit { bucket, key, what }: &Hit) -> Value {
    match what {
        HitWhat::Version(id) => json!({ "bucket": bucket, "key": key, "versionId": id.to_string() }),
        HitWhat::Part(upload, number) => {
            json!({ "bucket": bucket, "key": key, "uploadId": upload.to_string(), "partNumber": number })
        }
    }
}
