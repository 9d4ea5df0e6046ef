//! How long to wait before a target that failed is tried again.

use std::time::Duration;

/// The pause after the first failure; each further one doubles it.
const FIRST: Duration = Duration::from_millis(100);

/// The pause after so many failures in a row: doubled each time up to `longest`, then shortened by up to half at
/// `random`, so that targets behind one broken network do not come back at one instant.
pub(super) fn pause(failures: u32, longest: Duration, random: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let whole = doubled.min(longest).max(Duration::from_millis(1));
    let half = whole / 2;
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(random % micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        let longest = Duration::from_secs(30);
        let most = |failures| pause(failures, longest, 49_999).as_millis();
        assert_eq!([most(1), most(2), most(3)], [99, 149, 249]);
        for failures in [10, 20, 33, 1_000, u32::MAX] {
            for random in [0, 1, 12_345_678_901, u64::MAX] {
                let pause = pause(failures, longest, random);
                assert!(pause >= longest / 2 && pause <= longest, "{failures} {random}: {pause:?}");
            }
        }
        assert!(pause(5, Duration::from_millis(20), 7) <= Duration::from_millis(20));
    }
}
