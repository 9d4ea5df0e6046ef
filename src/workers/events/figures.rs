//! What delivery counts, by target.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use storage::types::Timestamp;

use crate::object::{TargetState, TargetStatus};
use crate::telemetry::metrics::LabelledSample;

/// Figures of one target. Those of a time are 0 where there was none.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub sent: AtomicU64,
    pub failures: AtomicU64,
    pub dead_lettered: AtomicU64,
    pub dropped: AtomicU64,
    /// Dead letters that are kept, as of the last look.
    pub dead_letters: AtomicU64,
    pub cursor: AtomicU64,
    pub behind: AtomicU64,
    /// Milliseconds since 1970.
    pub oldest_waiting: AtomicI64,
    pub last_sent: AtomicI64,
    state: AtomicU8,
    last_failure: Mutex<Option<(Timestamp, String)>>,
}

impl Figures {
    pub fn set_state(&self, state: TargetState) {
        let state = match state {
            TargetState::Idle => 0,
            TargetState::Delivering => 1,
            TargetState::Failing => 2,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    pub fn state(&self) -> TargetState {
        match self.state.load(Ordering::Relaxed) {
            0 => TargetState::Idle,
            1 => TargetState::Delivering,
            _ => TargetState::Failing,
        }
    }

    pub fn note_sent(&self, count: usize) {
        if count > 0 {
            self.sent.fetch_add(count as u64, Ordering::Relaxed);
            self.last_sent.store(Timestamp::now().0, Ordering::Relaxed);
        }
    }

    pub fn note_failure(&self, reason: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some((Timestamp::now(), reason));
    }

    pub fn status(&self, name: &str, kind: &'static str) -> TargetStatus {
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let time = |figure: &AtomicI64| Some(figure.load(Ordering::Relaxed)).filter(|time| *time != 0).map(Timestamp);
        TargetStatus {
            name: name.to_owned(),
            kind,
            state: self.state(),
            cursor: value(&self.cursor),
            behind: value(&self.behind),
            oldest_waiting: time(&self.oldest_waiting),
            sent: value(&self.sent),
            failures: value(&self.failures),
            dead_lettered: value(&self.dead_lettered),
            dropped: value(&self.dropped),
            dead_letters: value(&self.dead_letters),
            last_sent: time(&self.last_sent),
            last_failure: self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// A target's figures for metrics.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub(super) fn samples(status: &TargetStatus, now: Timestamp) -> Vec<LabelledSample> {
    let lag = status.oldest_waiting.map_or(0, |oldest| (now.0 - oldest.0).max(0));
    let up = if status.state == TargetState::Failing { 0.0 } else { 1.0 };
    let figures = [
        ("cairn_events_target_up", "Whether an event target takes events.", up),
        ("cairn_events_lag", "Events in the outbox that a target has not come to.", status.behind as f64),
        ("cairn_events_lag_seconds", "Age of the oldest event that waits for a target.", lag as f64 / 1_000.0),
        ("cairn_events_sent_total", "Events that a target took.", status.sent as f64),
        ("cairn_events_failures_total", "Attempts at sending that failed.", status.failures as f64),
        ("cairn_events_dead_letters", "Dead letters that are kept for a target.", status.dead_letters as f64),
        (
            "cairn_events_dead_lettered_total",
            "Events that were given up and kept as dead letters.",
            status.dead_lettered as f64,
        ),
        ("cairn_events_dropped_total", "Events that were given up and forgotten.", status.dropped as f64),
    ];
    let labelled = |(name, help, value)| LabelledSample { name, help, label: ("target", status.name.clone()), value };
    figures.map(labelled).into()
}
