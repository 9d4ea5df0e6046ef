//! The outbox: events that were committed together with the changes that they tell of, in the order of commits.
//!
//! An event's position is its place in that order. Whoever delivers events keeps a cursor here: the position up to
//! which it is done. What it cannot deliver it moves to its dead letters, in the commit that moves the cursor. Events
//! stay until [`Store::trim_outbox`] removes them; positions are never given twice.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::Store;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys;
use crate::index::records::{DeadLetter, Record};
use crate::kv::{Batch, Family, Visit};

/// The largest event, bytes: a dead letter around it must fit into a row.
pub const MAX_EVENT_BYTES: usize = 60 << 10;
/// Events, or dead letters, in one page.
pub const MAX_OUTBOX_PAGE: usize = 1_000;
/// Bytes of a page: the event with which this is reached is its last.
const PAGE_BYTES: usize = 4 << 20;
/// Events that one step of trimming removes.
const TRIMMED_AT_ONCE: usize = 900;
/// Bytes of dead letters in one commit.
const BURIED_BYTES: usize = 512 << 10;
/// Dead letters in one commit.
const BURIED_AT_ONCE: usize = 200;
/// Bytes of a dead letter's reason; the rest is cut off.
const REASON_BYTES: usize = 1_024;
/// Names that have a cursor.
const MAX_CURSORS: usize = 10_000;

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// Its place in the order of commits, from 1.
    pub position: u64,
    /// Its bytes.
    pub event: Bytes,
}

/// What the outbox holds: the events from `trimmed + 1` to `last`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxBounds {
    /// The position up to which events were removed.
    pub trimmed: u64,
    /// The last event's position.
    pub last: u64,
    /// Bytes of the events.
    pub bytes: u64,
}

impl OutboxBounds {
    /// How many events there are.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.last.saturating_sub(self.trimmed)
    }
}

/// A dead letter in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuriedLetter {
    /// Its number among its target's dead letters, from 1; never given twice.
    pub number: u64,
    /// The letter.
    pub letter: DeadLetter,
}

/// Adds an event to a batch.
pub(super) fn append(batch: &mut Batch, event: Vec<u8>) {
    let bytes = i64::try_from(event.len()).unwrap_or(i64::MAX);
    batch.append(Family::Outbox, keys::events(), event);
    batch.add(Family::Counters, keys::outbox_bytes(), bytes);
}

impl Store {
    /// Up to `limit` events (at most [`MAX_OUTBOX_PAGE`], and about 4 MiB) after the position `after`, in their order.
    /// An event that was committed before the call is seen, and none ever appears before one that was seen.
    pub async fn outbox_page(&self, after: u64, limit: usize) -> Result<Vec<OutboxEvent>> {
        // From where events still are: a scan would step over each that was removed.
        let after = after.max(self.position(keys::outbox_trimmed()).await?);
        let rows = self.appended(keys::events(), after, limit).await?;
        Ok(rows.into_iter().map(|(position, event)| OutboxEvent { position, event }).collect())
    }

    /// What the outbox holds.
    pub async fn outbox_bounds(&self) -> Result<OutboxBounds> {
        let trimmed = self.position(keys::outbox_trimmed()).await?;
        let last = self.get(Family::Outbox, keys::events()).await?;
        let last = position_in(last.as_deref(), Family::Outbox)?;
        let bytes = self.counter(keys::outbox_bytes()).await?;
        Ok(OutboxBounds { trimmed, last: last.max(trimmed), bytes })
    }

    /// Tells of new events: changed whenever one was committed by this process since it was last looked at.
    #[must_use]
    pub fn outbox_grown(&self) -> watch::Receiver<()> {
        self.outbox_grown.subscribe()
    }

    /// Removes events up to the position `upto`, in bounded steps; answers how many this one removed. 0: there are no
    /// more.
    pub async fn trim_outbox(&self, upto: u64) -> Result<usize> {
        let trimmed_row = self.get(Family::System, keys::outbox_trimmed()).await?;
        let trimmed = position_in(trimmed_row.as_deref(), Family::System)?;
        let mut events = self.appended(keys::events(), trimmed, TRIMMED_AT_ONCE).await?;
        events.retain(|(position, _)| *position <= upto);
        let Some((last, _)) = events.last() else { return Ok(0) };
        let mut batch = Batch::default();
        batch.check_unchanged(Family::System, keys::outbox_trimmed(), trimmed_row);
        batch.put(Family::System, keys::outbox_trimmed(), last.to_be_bytes().to_vec());
        let mut bytes = 0;
        for (position, event) in &events {
            batch.delete(Family::Outbox, keys::event(*position));
            bytes += i64::try_from(event.len()).unwrap_or(0);
        }
        batch.add(Family::Counters, keys::outbox_bytes(), -bytes);
        self.commit_batch(batch).await?;
        Ok(events.len())
    }

    /// The position up to which `name` is done with the outbox; `None` where it never said.
    pub async fn cursor(&self, name: &str) -> Result<Option<u64>> {
        let row = self.get(Family::System, keys::cursor(name)).await?;
        row.map(|row| position_in(Some(&row), Family::System)).transpose()
    }

    /// Every cursor, by name.
    pub async fn cursors(&self) -> Result<Vec<(String, u64)>> {
        let prefix = keys::cursor("");
        let rows = self.rows(Family::System, prefix.clone(), MAX_CURSORS).await?;
        let parse = |(key, row): (Vec<u8>, Bytes)| {
            let name = String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
            Ok((name, position_in(Some(&row), Family::System)?))
        };
        rows.into_iter().map(parse).collect()
    }

    /// Moves a cursor, forward or back.
    pub async fn set_cursor(&self, name: &str, position: u64) -> Result<()> {
        let mut batch = Batch::default();
        batch.put(Family::System, keys::cursor(name), position.to_be_bytes().to_vec());
        self.commit_batch(batch).await
    }

    /// Forgets a cursor.
    pub async fn remove_cursor(&self, name: &str) -> Result<()> {
        let mut batch = Batch::default();
        batch.delete(Family::System, keys::cursor(name));
        self.commit_batch(batch).await
    }

    /// Adds dead letters of a target, which are in the outbox's order, and moves the target's cursor to `cursor` in the
    /// same commit (in several, the cursor then moving along, where they are many).
    pub async fn bury(self: &Arc<Self>, target: &str, letters: Vec<DeadLetter>, cursor: Option<u64>) -> Result<()> {
        let mut batch = Batch::default();
        let (mut bytes, mut count, mut reached) = (0, 0, 0);
        for mut letter in letters {
            truncate(&mut letter.reason);
            if count == BURIED_AT_ONCE || bytes + letter.event.len() > BURIED_BYTES {
                self.commit_letters(std::mem::take(&mut batch), target, count, cursor.map(|_| reached)).await?;
                (bytes, count) = (0, 0);
            }
            (bytes, count, reached) = (bytes + letter.event.len(), count + 1, letter.position);
            batch.append(Family::Outbox, keys::dead_letters(target), letter.encode());
        }
        self.commit_letters(batch, target, count, cursor).await
    }

    async fn commit_letters(&self, mut batch: Batch, target: &str, count: usize, cursor: Option<u64>) -> Result<()> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        batch.add(Family::Counters, keys::dead_letter_count(target), count);
        if let Some(cursor) = cursor {
            batch.put(Family::System, keys::cursor(target), cursor.to_be_bytes().to_vec());
        }
        self.commit_batch(batch).await
    }

    /// Up to `limit` dead letters of a target (at most [`MAX_OUTBOX_PAGE`], and about 4 MiB) after the number `after`,
    /// oldest first.
    pub async fn dead_letters(&self, target: &str, after: u64, limit: usize) -> Result<Vec<BuriedLetter>> {
        let rows = self.appended(keys::dead_letters(target), after, limit).await?;
        let parse = |(number, row): (u64, Bytes)| Ok(BuriedLetter { number, letter: DeadLetter::decode(&row)? });
        rows.into_iter().map(parse).collect()
    }

    /// How many dead letters a target has.
    pub async fn dead_letter_count(&self, target: &str) -> Result<u64> {
        self.counter(keys::dead_letter_count(target)).await
    }

    /// Removes dead letters of a target by their numbers; those that are not there do not matter. Answers how many
    /// were removed; [`StoreError::Conflict`] when somebody removed one of them meanwhile.
    pub async fn remove_dead_letters(&self, target: &str, numbers: &[u64]) -> Result<usize> {
        let mut removed = 0;
        for numbers in numbers.chunks(BURIED_AT_ONCE) {
            let mut batch = Batch::default();
            for number in numbers {
                let key = keys::dead_letter(target, *number);
                if let Some(row) = self.get(Family::Outbox, key.clone()).await? {
                    batch.check_unchanged(Family::Outbox, key.clone(), Some(row));
                    batch.delete(Family::Outbox, key);
                }
            }
            let count = batch.deletes.len();
            if count > 0 {
                let delta = -i64::try_from(count).unwrap_or(0);
                batch.add(Family::Counters, keys::dead_letter_count(target), delta);
                self.commit_batch(batch).await?;
            }
            removed += count;
        }
        Ok(removed)
    }

    /// Appended rows under a prefix after a position: at most [`MAX_OUTBOX_PAGE`], and about 4 MiB.
    pub(super) async fn appended(&self, prefix: Vec<u8>, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        let limit = limit.min(MAX_OUTBOX_PAGE);
        let Some(first) = after.checked_add(1).filter(|_| limit > 0) else { return Ok(Vec::new()) };
        let from = [prefix.as_slice(), &first.to_be_bytes()].concat();
        let scan = crate::kv::Scan { families: vec![Family::Outbox], from, to: keys::after_prefix(&prefix) };
        let collect = move |(rows, bytes): &mut (Vec<(u64, Bytes)>, usize), _: Family, key: &[u8], value: &[u8]| {
            let Some(position) = keys::parse_position(key) else { return Visit::Next };
            rows.push((position, Bytes::copy_from_slice(value)));
            *bytes += value.len();
            if rows.len() < limit && *bytes < PAGE_BYTES { Visit::Next } else { Visit::Stop }
        };
        Ok(self.scan(scan, (Vec::new(), 0), collect).await?.0)
    }

    async fn position(&self, key: Vec<u8>) -> Result<u64> {
        position_in(self.get(Family::System, key).await?.as_deref(), Family::System)
    }

    async fn counter(&self, key: Vec<u8>) -> Result<u64> {
        let row = self.get(Family::Counters, key).await?;
        let value = row.as_deref().and_then(|row| row.try_into().ok()).map_or(0, i64::from_le_bytes);
        Ok(u64::try_from(value).unwrap_or(0))
    }
}

/// A position's row; absent is 0.
fn position_in(row: Option<&[u8]>, family: Family) -> Result<u64> {
    let Some(row) = row else { return Ok(0) };
    let position = row.try_into().map(u64::from_be_bytes);
    position.map_err(|_| {
        let what = format!("a position of {} bytes in place of 8", row.len());
        StoreError::Corrupt(Corruption::Row { family: family.name(), what })
    })
}

fn truncate(text: &mut String) {
    if text.len() > REASON_BYTES {
        text.truncate(text.floor_char_boundary(REASON_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::memory::MemoryChunks;
    use crate::kv::MAX_VALUE_BYTES;
    use crate::kv::memory::MemoryKv;
    use crate::store::Limits;
    use crate::types::Timestamp;

    fn store() -> Arc<Store> {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
        Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads")
    }

    async fn add(store: &Store, events: &[&str]) {
        for event in events {
            let mut batch = Batch::default();
            append(&mut batch, event.as_bytes().to_vec());
            store.commit_batch(batch).await.expect("commits");
        }
    }

    fn letter(position: u64, event: Vec<u8>) -> DeadLetter {
        DeadLetter { position, buried: Timestamp(5), reason: "no".repeat(2_000), event }
    }

    #[tokio::test]
    async fn events_come_in_order_and_go_when_trimmed() {
        let store = store();
        add(&store, &["one", "two", "three", "four"]).await;
        let page = store.outbox_page(1, 2).await.expect("reads");
        let read: Vec<_> = page.iter().map(|row| (row.position, &row.event[..])).collect();
        assert_eq!(read, [(2, &b"two"[..]), (3, b"three")]);
        assert_eq!(store.outbox_bounds().await.expect("reads"), OutboxBounds { trimmed: 0, last: 4, bytes: 15 });
        assert_eq!(store.trim_outbox(3).await.expect("trims"), 3);
        assert_eq!(store.trim_outbox(3).await.expect("trims"), 0);
        let bounds = store.outbox_bounds().await.expect("reads");
        assert_eq!((bounds, bounds.events()), (OutboxBounds { trimmed: 3, last: 4, bytes: 4 }, 1));
        assert_eq!(store.outbox_page(0, 9).await.expect("reads").len(), 1);
        assert_eq!(store.trim_outbox(u64::MAX).await.expect("trims"), 1);
        add(&store, &["five"]).await;
        assert_eq!(store.outbox_page(0, 9).await.expect("reads")[0].position, 5, "positions are never given twice");
    }

    #[tokio::test]
    async fn cursors_are_kept_by_name() {
        let store = store();
        assert_eq!(store.cursor("a").await.expect("reads"), None);
        store.set_cursor("a", 7).await.expect("commits");
        store.set_cursor("ab", 9).await.expect("commits");
        store.set_cursor("a", 3).await.expect("commits");
        assert_eq!(store.cursor("a").await.expect("reads"), Some(3));
        let all = store.cursors().await.expect("reads");
        assert_eq!(all, [("a".to_owned(), 3), ("ab".to_owned(), 9)]);
        store.remove_cursor("a").await.expect("commits");
        assert_eq!(store.cursor("a").await.expect("reads"), None);
    }

    #[tokio::test]
    async fn dead_letters_move_the_cursor_and_can_be_removed() {
        let store = store();
        let letters = (1..=30).map(|position| letter(position, vec![1; MAX_EVENT_BYTES])).collect();
        store.bury("hook", letters, Some(40)).await.expect("commits in several steps");
        store.bury("other", vec![letter(2, b"x".to_vec())], None).await.expect("commits");
        assert_eq!(store.cursor("hook").await.expect("reads"), Some(40));
        assert_eq!(store.cursor("other").await.expect("reads"), None);
        assert_eq!(store.dead_letter_count("hook").await.expect("reads"), 30);
        let page = store.dead_letters("hook", 10, 3).await.expect("reads");
        let read: Vec<_> = page.iter().map(|row| (row.number, row.letter.position)).collect();
        assert_eq!(read, [(11, 11), (12, 12), (13, 13)]);
        assert_eq!(page[0].letter.reason.len(), REASON_BYTES);
        assert_eq!(store.remove_dead_letters("hook", &[11, 13, 99]).await.expect("commits"), 2);
        assert_eq!(store.dead_letter_count("hook").await.expect("reads"), 28);
        assert_eq!(store.dead_letters("hook", 10, 1).await.expect("reads")[0].number, 12);
        assert_eq!(store.dead_letters("other", 0, 9).await.expect("reads").len(), 1);
    }

    #[test]
    fn the_largest_event_fits_into_a_dead_letter() {
        let mut largest = letter(u64::MAX, vec![0xff; MAX_EVENT_BYTES]);
        truncate(&mut largest.reason);
        assert!(largest.encode().len() <= MAX_VALUE_BYTES);
    }
}
