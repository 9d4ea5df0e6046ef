//! Sizes and durations as people write them: `512MiB`, `30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A size in bytes, written as a whole number with a unit: `64KiB`, `512MiB`, `4GiB`, `2TiB`, decimal `10MB`,
/// or plain bytes (`1048576`, `1048576B`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `count` KiB.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// `count` GiB.
    #[must_use]
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }
}

const BINARY_UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL_UNITS: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || format!("{text:?} is not a size; write a whole number with a unit, such as 512MiB");
        let (number, unit) = number_and_unit(text).ok_or_else(malformed)?;
        let scale = if unit.is_empty() {
            1
        } else {
            let known = BINARY_UNITS.iter().chain(&DECIMAL_UNITS).find(|(name, _)| name.eq_ignore_ascii_case(unit));
            known.ok_or_else(malformed)?.1
        };
        number.checked_mul(scale).map(Self).ok_or_else(|| format!("{text:?} is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BINARY_UNITS.iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale));
        match unit {
            Some((name, scale)) => write!(f, "{}{name}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// Parses `500ms`, `30s`, `5m`, `1h`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{text:?} is not a duration; write a whole number with a unit, such as 30s, 5m or 1h");
    let (number, unit) = number_and_unit(text).ok_or_else(malformed)?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(malformed()),
    };
    number.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or_else(malformed)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("7B", 7),
            ("64KiB", 64 << 10),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("4GiB", 4 << 30),
            ("2TiB", 2 << 40),
            ("10MB", 10_000_000),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_with_an_example() {
        for text in ["", "MiB", "1.5GiB", "-1", "10 parsecs", "512M", "99999999999999999999", "99999999TiB"] {
            let error = text.parse::<ByteSize>().expect_err(text);
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_printed_size_reads_back_as_the_same_size() {
        for bytes in [0, 1, 1_000, 1 << 10, 3 << 20, (1 << 30) + 1, 5 << 40] {
            assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }
        assert_eq!(ByteSize::mib(512).to_string(), "512MiB");
    }

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "30", "s", "1.5s", "30 fortnights", "18446744073709551615h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
