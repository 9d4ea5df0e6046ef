//! How scrubbing is doing: the worker writes it, administrators and metrics read it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use storage::index::records::Record;
use storage::scrub::{Damaged, Hit, Scrubbed};
use storage::types::{ChunkId, Timestamp};
use tokio::sync::Notify;

use super::{Objects, Result};

/// Objects that are named of one damaged chunk.
const MOST_HITS: usize = 100;

/// Where scrubbing has come. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubState {
    /// Counts the passes that were begun.
    pub pass: u64,
    /// Whether the last of them is under way.
    pub is_under_way: bool,
    /// The last chunk that it has read.
    pub after: Option<ChunkId>,
    /// When it began; zero while none has.
    pub started: Timestamp,
    /// When the last whole pass ended; zero while none has.
    pub finished: Timestamp,
    /// Chunks that the last pass has read.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were damaged.
    pub damaged: u64,
}

impl Record for ScrubState {
    const FAMILY: &'static str = "system";
}

/// What the worker has done since it started.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    chunks: u64,
    bytes: u64,
    failures: u64,
    /// Damaged chunks that are noted.
    known: u64,
}

/// How scrubbing is doing.
#[derive(Debug, Default)]
pub struct ScrubProgress {
    shared: Mutex<(ScrubState, Figures)>,
    wanted: Mutex<bool>,
    wake: Notify,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ScrubProgress {
    /// Where it has come.
    #[must_use]
    pub fn state(&self) -> ScrubState {
        lock(&self.shared).0.clone()
    }

    /// Damaged chunks that are noted.
    #[must_use]
    pub fn known(&self) -> u64 {
        lock(&self.shared).1.known
    }

    /// Goes on from what was noted before the server started.
    pub fn resume(&self, state: ScrubState, known: u64) {
        let mut shared = lock(&self.shared);
        shared.0 = state;
        shared.1.known = known;
    }

    /// A pass begins now, in the place of one that is under way.
    pub fn begin(&self) {
        *lock(&self.wanted) = false;
        let state = &mut lock(&self.shared).0;
        let (pass, finished) = (state.pass + 1, state.finished);
        *state = ScrubState { pass, finished, is_under_way: true, started: Timestamp::now(), ..ScrubState::default() };
    }

    /// A step was done.
    pub fn add(&self, step: &Scrubbed) {
        let (state, figures) = &mut *lock(&self.shared);
        state.chunks += step.chunks;
        state.bytes += step.bytes;
        state.damaged += step.damaged.len() as u64;
        state.after = step.next;
        state.is_under_way = step.next.is_some();
        if !state.is_under_way {
            state.finished = Timestamp::now();
        }
        figures.chunks += step.chunks;
        figures.bytes += step.bytes;
        figures.known = (figures.known + step.noted).saturating_sub(step.healed);
    }

    /// A step failed.
    pub fn failed(&self) {
        lock(&self.shared).1.failures += 1;
    }

    /// Asks for a pass now; answers its number.
    pub fn request(&self) -> u64 {
        *lock(&self.wanted) = true;
        self.wake.notify_one();
        lock(&self.shared).0.pass + 1
    }

    /// Whether a pass was asked for that has not begun.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *lock(&self.wanted)
    }

    /// Resolves when a pass was asked for.
    pub async fn requested(&self) {
        self.wake.notified().await;
    }

    /// For metrics: name, help, value.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let (state, figures) = &*lock(&self.shared);
        let ended = state.finished.0 as f64 / 1_000.0;
        vec![
            ("scrub_chunks_total", "Chunks that scrubbing has verified", figures.chunks as f64),
            ("scrub_bytes_total", "Bytes that scrubbing has verified", figures.bytes as f64),
            ("scrub_failures_total", "Steps of scrubbing that failed and are tried again", figures.failures as f64),
            ("scrub_damaged_chunks", "Damaged chunks that scrubbing has noted", figures.known as f64),
            ("scrub_last_pass_timestamp_seconds", "When the last whole scrubbing pass ended", ended),
        ]
    }
}

/// A damaged chunk with what it hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamageReport {
    /// The chunk.
    pub damaged: Damaged,
    /// Versions and parts whose bytes it has.
    pub hits: Vec<Hit>,
    /// Whether these are all.
    pub is_whole: bool,
}

impl Objects {
    /// How scrubbing is doing.
    #[must_use]
    pub fn scrub_progress(&self) -> &std::sync::Arc<ScrubProgress> {
        &self.scrubbing
    }

    /// Damaged chunks after `after` that scrubbing has noted, with what they hit; up to `limit`.
    pub async fn damages(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<DamageReport>> {
        let mut reports = Vec::new();
        for damaged in self.store.damages(after, limit).await? {
            let (hits, is_whole) = self.store.hit_by(damaged.chunk, MOST_HITS).await?;
            reports.push(DamageReport { damaged, hits, is_whole });
        }
        Ok(reports)
    }
}
