//! The latest time that any commit has seen, kept across restarts: a clock that is set back later is known by it.

use std::sync::atomic::{AtomicI64, Ordering};

use super::Store;
use crate::error::Result;
use crate::index::keys;
use crate::kv::{Batch, Family, Kv};
use crate::types::Timestamp;

/// How far the latest time may run ahead of the stored one, in milliseconds: so a busy store writes the row once a
/// second, not with each commit.
const UNSTORED_MILLISECONDS: i64 = 1_000;

/// The latest time, and how much of it is stored. Both only grow.
#[derive(Debug, Default)]
pub(crate) struct LatestTime {
    seen: AtomicI64,
    stored: AtomicI64,
}

impl LatestTime {
    pub(crate) fn load(kv: &dyn Kv) -> Result<Self> {
        let row = kv.get(Family::System, &keys::latest_time())?;
        let stored = row.as_deref().and_then(|row| row.try_into().ok()).map_or(0, i64::from_be_bytes);
        Ok(Self { seen: AtomicI64::new(stored), stored: AtomicI64::new(stored) })
    }
}

impl Store {
    /// The latest time that a change was made at, by this process or, to within a second or two, an earlier one.
    #[must_use]
    pub fn latest_time(&self) -> Timestamp {
        Timestamp(self.latest.seen.load(Ordering::Relaxed))
    }

    /// Notes that a change is made at this time; it is stored with the commits that follow.
    pub fn note_time(&self, now: Timestamp) {
        self.latest.seen.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Adds the latest time to a batch, where enough of it is not stored yet.
    pub(super) fn keep_time(&self, batch: &mut Batch) {
        let seen = self.latest.seen.load(Ordering::Relaxed);
        let stored = self.latest.stored.load(Ordering::Relaxed);
        if seen.saturating_sub(stored) >= UNSTORED_MILLISECONDS {
            self.latest.stored.fetch_max(seen, Ordering::Relaxed);
            batch.put(Family::System, keys::latest_time(), seen.to_be_bytes().to_vec());
        }
    }
}
