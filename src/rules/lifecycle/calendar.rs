//! How long a day is, and when it is over.

use storage::types::Timestamp;

const DAY_MILLIS: i64 = 86_400_000;

/// What a rule's days are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    day_millis: i64,
    to_midnight: bool,
}

impl Calendar {
    /// Days of 24 hours; what is due is due at the midnight, UTC, that follows.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>, "Lifecycle rules: Based on
    /// an object's age"
    pub const AMAZON: Self = Self { day_millis: DAY_MILLIS, to_midnight: true };

    /// Days of so many seconds, for tests. They are counted from the moment on: such days have no midnight.
    #[must_use]
    pub fn with_days_of(seconds: u32) -> Self {
        Self { day_millis: i64::from(seconds.max(1)) * 1_000, to_midnight: false }
    }

    /// Whether days are those of the real world.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        self.to_midnight
    }

    /// Milliseconds of a day.
    #[must_use]
    pub const fn day_millis(&self) -> i64 {
        self.day_millis
    }

    /// When `days` days have passed since `from`.
    #[must_use]
    pub fn after(&self, from: Timestamp, days: u32) -> Timestamp {
        let exact = from.0.saturating_add(self.day_millis.saturating_mul(i64::from(days)));
        if !self.to_midnight {
            return Timestamp(exact);
        }
        let into_day = exact.rem_euclid(DAY_MILLIS);
        Timestamp(if into_day == 0 { exact } else { exact.saturating_add(DAY_MILLIS - into_day) })
    }
}

/// Whether this is a midnight, UTC.
pub(super) const fn is_midnight(time: Timestamp) -> bool {
    time.0.rem_euclid(DAY_MILLIS) == 0
}
