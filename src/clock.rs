//! The one place where the program reads the time.
//!
//! Rules and objects take time as an argument; whoever calls them asks a [`Clock`]. Tests hold a manual clock,
//! so a rule about days is tested in microseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time, in milliseconds since the Unix epoch: the resolution in which S3 answers times.
///
/// It may jump in either direction when the machine's clock is set; nothing that must be ordered may rely on it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `millis` until it is moved. Clones move together.
    #[must_use]
    pub fn manual(millis: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(millis))))
    }

    /// Milliseconds since the Unix epoch; 0 if the machine's clock stands before it.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now_millis(&self) -> u64 {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_millis()).ok())
                .unwrap_or(0),
            Source::Manual(millis) => millis.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward by `millis`. The machine's clock cannot be moved and stays as it is.
    pub fn advance(&self, millis: u64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(millis, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn a_manual_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = Clock::manual(1_000);
        let clone = clock.clone();
        assert_eq!(clone.now_millis(), 1_000);
        clock.advance(500);
        assert_eq!(clone.now_millis(), 1_500);
    }

    #[test]
    fn the_system_clock_counts_milliseconds_since_the_epoch() {
        // 2020-01-01 and 2100-01-01: seconds or microseconds would fall outside.
        let now = Clock::system().now_millis();
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&now), "{now}");
    }
}
