//! The table `[events]`: how events are kept and delivered, whatever their targets.

use super::layers::Layers;
use super::{ByteSize, ConfigError, outside, parse_duration, parsed_or, size_within};
use std::ops::RangeInclusive;
use std::time::Duration;

const RETENTION: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 31);
const RETENTION_SIZE: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(1_024);
const LONGEST_BACKOFF: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
const DEAD_LETTERS: RangeInclusive<u64> = 1..=100_000_000;

/// How events are kept and delivered.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// How long delivered events are kept for replays.
    pub retention: Duration,
    /// How much of them.
    pub retention_size: ByteSize,
    /// The longest pause before a target that fails is tried again.
    pub longest_backoff: Duration,
    /// Dead letters that are kept for each target.
    pub max_dead_letters: u64,
    /// What becomes of events for a target that is not configured any more.
    pub removed_target: OnRemoved,
}

/// What becomes of events for a target that is not configured any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRemoved {
    /// They become its dead letters.
    DeadLetter,
    /// They are forgotten.
    Drop,
}

pub(super) fn delivery(layers: &Layers) -> Result<DeliveryConfig, ConfigError> {
    let duration_within = |allowed: &'static RangeInclusive<Duration>| {
        move |text: &str| {
            let duration = parse_duration(text)?;
            let (from, to) = (allowed.start(), allowed.end());
            if allowed.contains(&duration) { Ok(duration) } else { Err(format!("must be from {from:?} to {to:?}")) }
        }
    };
    let letters = |text: &str| {
        let number = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
        if DEAD_LETTERS.contains(&number) { Ok(number) } else { Err(outside(&DEAD_LETTERS)) }
    };
    let removed = |text: &str| match text {
        "dead_letter" => Ok(OnRemoved::DeadLetter),
        "drop" => Ok(OnRemoved::Drop),
        _ => Err("write dead_letter or drop".to_owned()),
    };
    Ok(DeliveryConfig {
        retention: parsed_or(
            layers.scalar("events", "retention", |raw| &raw.events.retention),
            duration_within(&RETENTION),
            Ok(Duration::from_hours(1)),
        )?,
        retention_size: parsed_or(
            layers.scalar("events", "retention_size", |raw| &raw.events.retention_size),
            |text| size_within(text, &RETENTION_SIZE),
            Ok(ByteSize::mib(256)),
        )?,
        longest_backoff: parsed_or(
            layers.scalar("events", "longest_backoff", |raw| &raw.events.longest_backoff),
            duration_within(&LONGEST_BACKOFF),
            Ok(Duration::from_secs(30)),
        )?,
        max_dead_letters: parsed_or(
            layers.scalar("events", "max_dead_letters", |raw| &raw.events.max_dead_letters),
            letters,
            Ok(100_000),
        )?,
        removed_target: parsed_or(
            layers.scalar("events", "removed_target", |raw| &raw.events.removed_target),
            removed,
            Ok(OnRemoved::DeadLetter),
        )?,
    })
}
