use super::*;
use crate::rules::object_lock::{Mode, Period};

#[test]
fn golden_bytes_of_locks_and_defaults() {
    let lock = Lock { retention: Some(Retention { mode: Mode::Compliance, until: 300 }), legal_hold: Some(false) };
    assert_eq!(lock.encode(), [1, 1, 1, 0xd8, 0x04, 1, 0]);
    assert_eq!(Lock::decode(&lock.encode()).expect("decoded"), lock);
    let default = DefaultRetention { mode: Mode::Governance, period: Period::Years(3) };
    assert_eq!(Stored(default).encode(), [1, 0, 1, 3]);
}

#[test]
fn a_clock_that_is_set_never_ends_a_retention_early() {
    use std::sync::atomic::{AtomicI64, Ordering};
    let wall = Arc::new(AtomicI64::new(1_000));
    let passed = Arc::new(AtomicI64::new(0));
    let (read_wall, read_passed) = (Arc::clone(&wall), Arc::clone(&passed));
    let clock = LockClock::new(
        Timestamp(500),
        move || Timestamp(read_wall.load(Ordering::Relaxed)),
        move || Duration::from_millis(u64::try_from(read_passed.load(Ordering::Relaxed)).unwrap_or(0)),
    );
    assert_eq!(clock.moment(Timestamp(500)), Moment { earliest: 1_000, latest: 1_000 });
    // Set forward: what is over is decided by the time that passed.
    wall.store(900_000, Ordering::Relaxed);
    passed.store(10, Ordering::Relaxed);
    assert_eq!(clock.moment(Timestamp(1_000)), Moment { earliest: 1_010, latest: 900_000 });
    // Set back: what begins, begins no earlier than what was seen.
    wall.store(20, Ordering::Relaxed);
    assert_eq!(clock.moment(Timestamp(1_000)), Moment { earliest: 20, latest: 1_000 });
}
