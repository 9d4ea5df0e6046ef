//! Removes events that every target is done with and that nobody needs for a replay any more.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;
use storage::Store;
use storage::index::records::DeadLetter;
use storage::types::Timestamp;

use super::letters;
use crate::config::{DeliveryConfig, OnRemoved};

/// Steps of one pass; between passes other work has its turn.
const STEPS: usize = 20;
/// Events looked at in one step.
const STEP: usize = 900;

/// One pass. `targets` are the names that are delivered to. Answers how many events were removed.
pub(super) async fn pass(
    store: &Arc<Store>,
    targets: &BTreeSet<String>,
    options: &DeliveryConfig,
) -> storage::Result<usize> {
    let cursors: BTreeMap<String, u64> = store.cursors().await?.into_iter().collect();
    // A target without a cursor begins at the start.
    let slowest = targets.iter().map(|name| cursors.get(name).copied().unwrap_or(0)).min();
    let mut removed = 0;
    for _ in 0..STEPS {
        let step = step(store, targets, &cursors, slowest.unwrap_or(u64::MAX), options).await?;
        removed += step;
        if step == 0 {
            break;
        }
    }
    let trimmed = store.outbox_bounds().await?.trimmed;
    for (name, cursor) in &cursors {
        // Should it come back, it begins where the outbox does.
        if !targets.contains(name) && *cursor <= trimmed {
            store.remove_cursor(name).await?;
        }
    }
    Ok(removed)
}

async fn step(
    store: &Arc<Store>,
    targets: &BTreeSet<String>,
    cursors: &BTreeMap<String, u64>,
    slowest: u64,
    options: &DeliveryConfig,
) -> storage::Result<usize> {
    let bounds = store.outbox_bounds().await?;
    if bounds.events() == 0 || bounds.trimmed >= slowest {
        return Ok(0);
    }
    let retention = i64::try_from(options.retention.as_millis()).unwrap_or(i64::MAX);
    let kept_since = Timestamp(Timestamp::now().0.saturating_sub(retention));
    let (mut upto, mut bytes) = (bounds.trimmed, bounds.bytes);
    let mut orphans: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    for row in store.outbox_page(bounds.trimmed, STEP).await? {
        let event = letters::read(row.position, &row.event);
        let recent = event.as_ref().is_some_and(|event| event.time >= kept_since);
        if row.position > slowest || (recent && bytes <= options.retention_size.0) {
            break;
        }
        for addressee in event.iter().flat_map(|event| &event.addressees) {
            let was_done = cursors.get(&addressee.target).is_some_and(|cursor| *cursor >= row.position);
            if !targets.contains(&addressee.target) && !was_done {
                orphans.entry(addressee.target.clone()).or_default().push(DeadLetter {
                    position: row.position,
                    buried: Timestamp::now(),
                    reason: "no event target of this name is configured".to_owned(),
                    event: row.event.to_vec(),
                });
            }
        }
        bytes = bytes.saturating_sub(row.event.len() as u64);
        upto = row.position;
    }
    for (target, letters) in orphans {
        let count = letters.len();
        match options.removed_target {
            OnRemoved::DeadLetter => {
                store.bury(&target, letters, None).await?;
                tracing::warn!(target, count, "no such event target is configured: events went to its dead letters");
            }
            OnRemoved::Drop => tracing::warn!(target, count, "no such event target is configured: events were dropped"),
        }
        keep_dead_letters(store, &target, options.max_dead_letters).await?;
    }
    if upto == bounds.trimmed { Ok(0) } else { store.trim_outbox(upto).await }
}

/// Forgets the oldest dead letters of a target beyond `most`; answers how many there are then.
pub(super) async fn keep_dead_letters(store: &Store, target: &str, most: u64) -> storage::Result<u64> {
    let mut count = store.dead_letter_count(target).await?;
    while count > most {
        let surplus = usize::try_from(count - most).unwrap_or(usize::MAX);
        let oldest: Vec<u64> =
            store.dead_letters(target, 0, surplus).await?.iter().map(|letter| letter.number).collect();
        if oldest.is_empty() {
            break;
        }
        match store.remove_dead_letters(target, &oldest).await {
            Ok(_) => tracing::error!(target, count = oldest.len(), "the oldest dead letters were forgotten: too many"),
            // Somebody else removed some meanwhile.
            Err(storage::StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        count = store.dead_letter_count(target).await?;
    }
    Ok(count)
}
