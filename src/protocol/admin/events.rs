//! How events are delivered: how each target is doing, sending again, and dead letters.

use serde::Deserialize;
use serde_json::{Value, json};
use storage::index::records::Record as _;
use storage::store::{BuriedLetter, MAX_OUTBOX_PAGE};
use storage::types::Timestamp;

use super::Call;
use crate::object::{self, Event, ReplayFrom, TargetStatus};
use crate::protocol::error::{Failure, Result};

/// Dead letters in one answer, where the request does not say how many.
const PAGE: usize = 100;

fn instant(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn unknown(target: &str) -> Failure {
    Failure::with_message("NotFound", format!("There is no event target {target}."))
}

fn invalid(message: &str) -> Failure {
    Failure::with_message("InvalidRequest", message)
}

fn of_store(error: storage::StoreError) -> Failure {
    object::Error::Store(error).into()
}

fn written(status: &TargetStatus) -> Value {
    let failure = status.last_failure.as_ref();
    json!({
        "name": status.name,
        "kind": status.kind,
        "state": status.state.as_str(),
        "cursor": status.cursor,
        "behind": status.behind,
        "oldestWaiting": status.oldest_waiting.map(instant),
        "sent": status.sent,
        "failures": status.failures,
        "deadLettered": status.dead_lettered,
        "dropped": status.dropped,
        "deadLetters": status.dead_letters,
        "lastSent": status.last_sent.map(instant),
        "lastFailure": failure.map(|(time, reason)| json!({ "time": instant(*time), "reason": reason })),
    })
}

/// The outbox, and each target.
pub(super) async fn status(call: &Call<'_>) -> Result<Value> {
    let bounds = call.objects.store().outbox_bounds().await.map_err(of_store)?;
    let targets = call.delivery.status().await?;
    let outbox =
        json!({ "first": bounds.trimmed + 1, "last": bounds.last, "events": bounds.events(), "bytes": bounds.bytes });
    Ok(json!({ "outbox": outbox, "targets": targets.iter().map(written).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Replay {
    position: Option<u64>,
    time: Option<String>,
}

/// Sends events again, from a position or a time.
pub(super) async fn replay(call: &Call<'_>) -> Result<Value> {
    let from = match call.json::<Replay>()? {
        Replay { position: Some(position), time: None } => ReplayFrom::Position(position),
        Replay { position: None, time: Some(time) } => {
            let time: jiff::Timestamp =
                time.parse().map_err(|_| invalid("time: write it as 2026-01-31T12:00:00Z, or with another offset."))?;
            ReplayFrom::Time(Timestamp(time.as_millisecond()))
        }
        _ => return Err(invalid("Say from where: either position or time.")),
    };
    let target = call.name()?;
    let cursor = call.delivery.replay(target, from).await?.ok_or_else(|| unknown(target))?;
    Ok(json!({ "target": target, "cursor": cursor }))
}

/// Skips what waits.
pub(super) async fn skip(call: &Call<'_>) -> Result<Value> {
    let target = call.name()?;
    let cursor = call.delivery.skip(target).await?.ok_or_else(|| unknown(target))?;
    Ok(json!({ "target": target, "cursor": cursor }))
}

fn letter(buried: &BuriedLetter) -> Value {
    let letter = &buried.letter;
    let event = Event::decode(&letter.event).ok();
    let event = event.map(|event| {
        let (name, time) = (event.name.as_str(), instant(event.time));
        json!({ "name": name, "time": time, "bucket": event.bucket, "key": event.key })
    });
    json!({
        "number": buried.number,
        "position": letter.position,
        "buried": instant(letter.buried),
        "reason": letter.reason,
        "event": event,
    })
}

fn number(call: &Call<'_>, name: &str) -> Result<Option<u64>> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(&format!("{name}: {text:?} is not a whole number.")))
}

/// A target's dead letters, oldest first. The target may be gone.
pub(super) async fn dead_letters(call: &Call<'_>) -> Result<Value> {
    let target = call.name()?;
    let after = number(call, "after")?.unwrap_or(0);
    let limit = number(call, "limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
    let store = call.objects.store();
    let letters = store.dead_letters(target, after, limit.clamp(1, MAX_OUTBOX_PAGE)).await.map_err(of_store)?;
    let count = store.dead_letter_count(target).await.map_err(of_store)?;
    let letters: Vec<_> = letters.iter().map(letter).collect();
    Ok(json!({ "target": target, "count": count, "deadLetters": letters }))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Chosen {
    /// None: all, page by page.
    numbers: Vec<u64>,
    after: u64,
}

impl Chosen {
    fn of(call: &Call<'_>) -> Result<Self> {
        let chosen: Self = if call.body.is_empty() { Self::default() } else { call.json()? };
        if chosen.numbers.len() > MAX_OUTBOX_PAGE {
            return Err(invalid(&format!("numbers: at most {MAX_OUTBOX_PAGE} at a time.")));
        }
        Ok(chosen)
    }
}

/// Sends dead letters again: a page of them, or those that the body numbers.
pub(super) async fn redeliver(call: &Call<'_>) -> Result<Value> {
    let (target, chosen) = (call.name()?, Chosen::of(call)?);
    let redelivered = call.delivery.redeliver(target, chosen.after, PAGE, &chosen.numbers).await?;
    let redelivered = redelivered.ok_or_else(|| unknown(target))?;
    Ok(json!({
        "target": target,
        "sent": redelivered.sent,
        "refused": redelivered.refused,
        "stopped": redelivered.stopped,
        "last": redelivered.last,
    }))
}

/// Forgets dead letters: a page of them, or those that the body numbers.
pub(super) async fn purge(call: &Call<'_>) -> Result<Value> {
    let (target, chosen) = (call.name()?, Chosen::of(call)?);
    let store = call.objects.store();
    let mut numbers = chosen.numbers;
    if numbers.is_empty() {
        let page = store.dead_letters(target, chosen.after, MAX_OUTBOX_PAGE).await.map_err(of_store)?;
        numbers = page.iter().map(|letter| letter.number).collect();
    }
    let removed = store.remove_dead_letters(target, &numbers).await.map_err(of_store)?;
    Ok(json!({ "target": target, "removed": removed, "last": numbers.last() }))
}
