//! Backups of the index: those that are kept, and one now.

use serde_json::{Value, json};
use storage::types::Timestamp;

use super::Call;
use crate::protocol::error::{Failure, Result};

fn instant(time: Timestamp) -> Option<String> {
    let known = jiff::Timestamp::from_millisecond(time.0).ok()?;
    Some(known.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// How they are doing, and those that are kept, the oldest first.
pub(super) async fn status(call: &Call<'_>) -> Result<Value> {
    let state = call.objects.backup_progress().state();
    let kept: Vec<Value> =
        state.kept.iter().map(|(name, taken)| json!({ "name": name, "taken": instant(*taken) })).collect();
    Ok(json!({
        "directory": state.directory,
        "tries": state.tries,
        "failures": state.failures,
        "failure": state.failure,
        "underWay": state.is_under_way,
        "backups": kept,
    }))
}

/// Takes one now; answers how many will have been tried when it is there.
pub(super) async fn start(call: &Call<'_>) -> Result<Value> {
    let progress = call.objects.backup_progress();
    if progress.state().directory.is_none() {
        let message = "No directory for backups is configured: set backup.directory.";
        return Err(Failure::with_message("NotFound", message.to_owned()));
    }
    Ok(json!({ "tries": progress.request() }))
}
