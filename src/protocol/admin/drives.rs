//! The drives that chunks lie on: how they are, and letting one take new data again.

use serde_json::{Value, json};
use storage::store::DriveState;

use super::Call;
use crate::protocol::error::{Failure, Result};

fn shown(drive: &DriveState) -> Value {
    let fence = drive.fence.as_ref().map(|fence| {
        let since = jiff::Timestamp::from_millisecond(fence.since.0).unwrap_or_default();
        let since = since.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        json!({ "reason": fence.reason, "since": since, "untilRestart": fence.until_restart })
    });
    json!({
        "number": drive.number,
        "freeBytes": drive.free_bytes,
        "totalBytes": drive.total_bytes,
        "roomBytes": drive.room_bytes,
        "liveBytes": drive.live_bytes,
        "readErrors": drive.read_errors,
        "fence": fence,
    })
}

/// Every drive.
pub(super) async fn list(call: &Call<'_>) -> Result<Value> {
    let drives: Vec<Value> = call.objects.store().drives().iter().map(shown).collect();
    Ok(json!({ "drives": drives }))
}

/// Lets a drive take new data again.
pub(super) async fn unfence(call: &Call<'_>) -> Result<Value> {
    let name = call.name()?;
    let store = call.objects.store();
    let known = store.drives().into_iter().find(|drive| drive.number.to_string() == name);
    let known = known.ok_or_else(|| Failure::with_message("NotFound", format!("There is no drive {name}.")))?;
    store.unfence(known.number).map_err(|error| Failure::with_message("InvalidRequest", error.to_string()))?;
    list(call).await
}
