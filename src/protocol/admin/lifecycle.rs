//! What lifecycle rules did, will do, and why.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use storage::index::records::Record as _;
use storage::types::Timestamp;

use super::Call;
use crate::object::{BucketProgress, Explained, Judged, PageLimits, Planned, Position, Upcoming};
use crate::protocol::error::{Failure, Result};
use crate::rules::lifecycle::{Action, Configuration, State, Stated};
use crate::tiers::{Access, Tier};

/// What one request for a preview looks at.
const PAGE: PageLimits = PageLimits { examined: 100_000, items: usize::MAX, time: Duration::from_millis(500) };

fn instant(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn named(action: &Action) -> Value {
    match action {
        Action::Transition(class) => json!(format!("transition to {class}")),
        other => json!(other.name()),
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Current { .. } => "current",
        State::Marker => "delete marker",
        State::LoneMarker => "expired object delete marker",
        State::Noncurrent { marker: false, .. } => "noncurrent",
        State::Noncurrent { marker: true, .. } => "noncurrent delete marker",
        State::Upload => "upload",
    }
}

async fn rules(call: &Call<'_>) -> Result<Arc<Configuration>> {
    let bucket = call.bucket()?;
    let configuration = call.objects.bucket_lifecycle(bucket).await?;
    configuration.ok_or_else(|| Failure::new("NoSuchLifecycleConfiguration").with("BucketName", bucket.name.clone()))
}

fn written(progress: &BucketProgress) -> Value {
    let when = |time: Timestamp| (time.0 > 0).then(|| instant(time));
    json!({
        "lastPassStarted": when(progress.started),
        "lastPassFinished": when(progress.finished),
        "examined": progress.examined,
        "actions": progress.actions,
        "errors": progress.errors,
        "lastError": progress.last_error,
        "lagSeconds": progress.lag_millis / 1_000,
        "underWay": progress.under_way.map(|pass| json!({ "started": instant(pass.started), "examined": pass.examined })),
    })
}

fn of_tier(tier: &Tier) -> Value {
    let health = tier.health();
    json!({
        "kind": tier.settings.place.kind(),
        "storageClasses": tier.settings.storage_classes,
        "access": match tier.settings.access { Access::Instant => "instant", Access::Archive => "archive" },
        "failure": health.failure,
        "failingSince": health.failing_since.map(instant),
        "retryAt": health.retry_at.map(instant),
        "failures": health.failures,
        "waiting": health.waiting,
        "moved": health.moved,
        "movedBytes": health.moved_bytes,
        "restored": health.restored,
        "released": health.released,
        "strays": health.strays,
    })
}

/// How each bucket with rules, and each tier, is doing.
pub(super) async fn status(call: &Call<'_>) -> Result<Value> {
    let all = call.objects.lifecycle_progress().all();
    let buckets: serde_json::Map<String, Value> =
        all.iter().map(|(bucket, progress)| (bucket.clone(), written(progress))).collect();
    let tiers: serde_json::Map<String, Value> =
        call.objects.tiers().iter().map(|tier| (tier.settings.name.clone(), of_tier(tier))).collect();
    Ok(json!({ "buckets": buckets, "tiers": tiers }))
}

/// What the rules say of each version and upload of a key, and why.
pub(super) async fn explain(call: &Call<'_>) -> Result<Value> {
    let key = call.parameter("key").filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| Failure::with_message("InvalidRequest", "Say which key: ?key=…"))?;
    let configuration = rules(call).await?;
    let bucket = call.bucket()?;
    let explained = call.objects.explain_lifecycle(bucket, &key, &configuration).await?;
    let versions: Vec<Value> = explained.iter().map(shown).collect();
    Ok(json!({ "bucket": bucket.name, "key": key, "versions": versions }))
}

fn shown(explained: &Explained) -> Value {
    let verdicts: Vec<Value> = explained.verdicts.iter().map(judged).collect();
    let id = match explained.label {
        Some(label) => json!({ "versionId": label.to_string() }),
        None => json!({ "uploadId": explained.id.to_string() }),
    };
    let mut value = json!({
        "state": state(explained.state),
        "since": instant(explained.since),
        "size": explained.size,
        "next": explained.next.as_ref().map(|Upcoming { rule, action, at }| {
            json!({ "rule": rule, "action": named(action), "at": instant(*at) })
        }),
        "rules": verdicts,
    });
    if let (Some(value), Value::Object(id)) = (value.as_object_mut(), id) {
        value.extend(id);
    }
    value
}

fn judged(Judged { rule, action, outcome }: &Judged) -> Value {
    let (from, not) = match outcome {
        Ok(at) => (Some(instant(*at)), None),
        Err(reason) => (None, Some(reason)),
    };
    json!({ "rule": rule, "action": named(action), "from": from, "not": not })
}

/// The body that asks for a preview.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// A configuration in the JSON form of Amazon's; else the bucket's own.
    configuration: Option<Stated>,
    /// Where the page before ended.
    next: Option<String>,
}

/// What a configuration would do: a page of the bucket, and where the next one begins.
pub(super) async fn preview(call: &Call<'_>) -> Result<Value> {
    let Asked { configuration, next } = call.json()?;
    let configuration = match configuration {
        Some(stated) => Arc::new(call.objects.checked_lifecycle(stated)?),
        None => rules(call).await?,
    };
    let position = match next {
        None => Position::default(),
        Some(text) => {
            let bytes = hex::decode(text).ok();
            let position = bytes.and_then(|bytes| Position::decode(&bytes).ok());
            position.ok_or_else(|| Failure::with_message("InvalidRequest", "next is not what an answer said"))?
        }
    };
    let bucket = call.bucket()?;
    let page = call.objects.preview_lifecycle(bucket, &configuration, position, PAGE).await?;
    let planned: Vec<Value> = page.planned.iter().map(|((rule, action), plan)| planned(rule, action, plan)).collect();
    let next = (!page.position.is_done()).then(|| hex::encode(page.position.encode()));
    Ok(json!({ "bucket": bucket.name, "examined": page.examined, "planned": planned, "next": next }))
}

fn planned(rule: &str, action: &str, plan: &Planned) -> Value {
    let samples: Vec<Value> =
        plan.samples.iter().map(|sample| json!({ "key": sample.key, "at": instant(sample.at) })).collect();
    json!({
        "rule": rule,
        "action": action,
        "now": { "count": plan.now, "bytes": plan.now_bytes },
        "later": { "count": plan.later, "bytes": plan.later_bytes, "first": plan.first_later.map(instant) },
        "samples": samples,
    })
}
