//! Targets of events that come and go while the server runs.

use serde_json::{Value, json};

use super::Call;
use crate::event_targets::{KnownTarget, Source, TargetError};
use crate::object;
use crate::outbound::events::target::OnFull;
use crate::protocol::error::{Failure, Result};

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Unknown(_) => Self::with_message("NotFound", error.to_string()),
            TargetError::Invalid(_) | TargetError::InFile(_) => Self::with_message("InvalidRequest", error.to_string()),
            TargetError::Store(error) => object::Error::Store(error).into(),
            TargetError::Sealing(error) => {
                tracing::error!(%error, "an event target cannot be sealed");
                Self::new("InternalError")
            }
        }
    }
}

/// What is told of a target: nothing that could be a secret.
fn written(known: &KnownTarget) -> Value {
    let target = &known.target;
    let source = match known.source {
        Source::File => "file",
        Source::Administrator => "administrator",
    };
    let on_full = match target.limits.on_full {
        OnFull::DeadLetter => "dead-letter",
        OnFull::Drop => "drop",
    };
    json!({
        "name": target.name,
        "kind": target.kind.as_str(),
        "format": target.format.as_str(),
        "source": source,
        "maxAgeSeconds": target.limits.max_age.as_secs(),
        "maxEvents": target.limits.max_events,
        "maxBytes": target.limits.max_bytes,
        "onFull": on_full,
        "error": known.sink.as_ref().err(),
    })
}

/// Every target.
pub(super) async fn list(call: &Call<'_>) -> Result<Value> {
    let targets: Vec<_> = call.event_targets.all().values().map(|known| written(known)).collect();
    Ok(json!({ "eventTargets": targets }))
}

/// Adds or replaces a target.
pub(super) async fn put(call: &Call<'_>) -> Result<Value> {
    let known = call.event_targets.put(call.name()?, call.json()?).await?;
    Ok(written(&known))
}

/// Removes a target that was put.
pub(super) async fn remove(call: &Call<'_>) -> Result<Value> {
    call.event_targets.remove(call.name()?).await?;
    Ok(Value::Null)
}
