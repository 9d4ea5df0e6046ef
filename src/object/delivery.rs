//! What can be asked of those who deliver events: how they are doing, and to send something again.

use async_trait::async_trait;
use storage::types::Timestamp;

use super::Result;

/// How many events were waiting, sent and given up, by target.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// The target's name.
    pub name: String,
    /// Its kind, as the configuration names it.
    pub kind: &'static str,
    /// What it is doing.
    pub state: TargetState,
    /// The position in the outbox up to which it is done.
    pub cursor: u64,
    /// Events behind the cursor, those for other targets included.
    pub behind: u64,
    /// When the oldest event that waits for it happened.
    pub oldest_waiting: Option<Timestamp>,
    /// Events that were sent, since the server started.
    pub sent: u64,
    /// Attempts that failed, since the server started.
    pub failures: u64,
    /// Events that were moved to the dead letters, since the server started.
    pub dead_lettered: u64,
    /// Events that were dropped, since the server started.
    pub dropped: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// When the target last took an event.
    pub last_sent: Option<Timestamp>,
    /// What the last failure was, and when.
    pub last_failure: Option<(Timestamp, String)>,
}

/// What a target's delivery is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// All events are delivered.
    #[default]
    Idle,
    /// Events are on their way.
    Delivering,
    /// The target does not take events; it is tried again, with growing pauses.
    Failing,
}

impl TargetState {
    /// As answers name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Delivering => "delivering",
            Self::Failing => "failing",
        }
    }
}

/// From where events are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayFrom {
    /// The event at this position, and those after it.
    Position(u64),
    /// Events that happened at this time or later.
    Time(Timestamp),
}

/// How dead letters were sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// So many were taken, and are dead letters no more.
    pub sent: usize,
    /// So many were refused again, and stay.
    pub refused: usize,
    /// Why the target took no more.
    pub stopped: Option<String>,
    /// The number of the last letter that was looked at; go on after it.
    pub last: Option<u64>,
}

/// Those who deliver events. A target that they do not know is `None`.
#[async_trait]
pub trait Delivery: Send + Sync {
    /// How each target is doing, by name.
    async fn status(&self) -> Result<Vec<TargetStatus>>;

    /// Sends a target's events again, from a place in the outbox; answers the position before the first. What was
    /// trimmed is not sent.
    async fn replay(&self, target: &str, from: ReplayFrom) -> Result<Option<u64>>;

    /// Skips all events that wait for a target; answers the new cursor.
    async fn skip(&self, target: &str) -> Result<Option<u64>>;

    /// Sends up to `limit` of a target's dead letters again, after the number `after` or those with `numbers` alone.
    async fn redeliver(&self, target: &str, after: u64, limit: usize, numbers: &[u64]) -> Result<Option<Redelivered>>;
}
