//! The `[[event_target]]` tables: where bucket notifications may be sent to.
//!
//! A table's `kind` says which keys it may have beside those that all have. Scalar keys and lists can also be given by
//! the environment, as `CAIRN_EVENT_TARGET_<NAME>_<KEY>`, so that secrets need not be in the file.

mod kinds;
mod raw;

pub(super) use kinds::kafka;
pub use raw::RawEventTarget;
pub(super) use raw::{Kafka as RawKafka, all_keys};

use super::layers::Environment;
use super::raw::{Scalar, did_you_mean};
use super::{ByteSize, ConfigError, parse_duration};
use crate::outbound::events::target::{EventFormat, EventLimits, EventTarget, OnFull, TargetKind};
use raw::Common;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Targets of one server; each has a task and a connection of its own.
pub const MAX_EVENT_TARGETS: usize = 100;
pub(super) const ENVIRONMENT_PREFIX: &str = "CAIRN_EVENT_TARGET_";

const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(5);
const AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 366);
const EVENTS: RangeInclusive<u64> = 1..=1_000_000_000;
const BYTES: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(1_024);

pub(super) fn event_targets(tables: &[RawEventTarget]) -> Result<Vec<EventTarget>, ConfigError> {
    if tables.len() > MAX_EVENT_TARGETS {
        return Err(ConfigError::Incomplete(format!("more than {MAX_EVENT_TARGETS} [[event_target]] tables")));
    }
    let mut targets: Vec<EventTarget> = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let place = match table.text("name") {
            Some(name) => format!("[[event_target]] {name:?}"),
            None => format!("[[event_target]] number {}", index + 1),
        };
        let target = event_target(table).map_err(|reason| ConfigError::Incomplete(format!("{place}: {reason}")))?;
        if targets.iter().any(|other| other.name.eq_ignore_ascii_case(&target.name)) {
            return Err(ConfigError::Incomplete(format!("{place}: two targets have this name")));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Checks one table.
///
/// # Errors
/// A sentence that names the key and what would be right.
pub fn event_target(table: &RawEventTarget) -> Result<EventTarget, String> {
    let kind = table.text("kind").ok_or_else(|| format!("kind is missing; it is one of {}", kind_names()))?;
    let Some((_, own_keys)) = raw::kinds().into_iter().find(|(name, _)| *name == kind) else {
        let hint =
            did_you_mean(kind, raw::kinds().map(|(name, _)| name)).map(|name| format!("; did you mean {name:?}?"));
        return Err(format!("kind: {kind:?} is none of {}{}", kind_names(), hint.unwrap_or_default()));
    };
    let known = || raw::common_keys().iter().chain(own_keys).copied();
    let (mut common, mut own) = (toml::Table::new(), toml::Table::new());
    for (key, value) in &table.0 {
        if raw::common_keys().contains(&key.as_str()) {
            common.insert(key.clone(), value.clone());
        } else if own_keys.contains(&key.as_str()) {
            own.insert(key.clone(), value.clone());
        } else if let Some(meant) = did_you_mean(key, known()) {
            return Err(format!("{key}: there is no such key for kind {kind:?}; did you mean {meant:?}?"));
        } else {
            let keys = known().collect::<Vec<_>>().join(", ");
            return Err(format!("{key}: there is no such key for kind {kind:?}; its keys are {keys}"));
        }
    }
    let common: Common = read(common)?;
    let (kind, default_format) = kinds::kind(kind, own)?;
    let format = match text(common.format.as_ref()) {
        None => default_format,
        Some(format) => self::format(format, &kind)?,
    };
    Ok(EventTarget {
        name: name(needed("name", common.name.as_ref())?)?,
        format,
        limits: limits(&common)?,
        timeout: duration("timeout", common.timeout.as_ref(), &TIMEOUT, Duration::from_secs(10))?,
        kind,
    })
}

/// Checks a table that was written as JSON, as the admin API takes it.
///
/// # Errors
/// As [`event_target`].
pub fn event_target_of_json(json: &serde_json::Value) -> Result<EventTarget, String> {
    let table = toml::Table::try_from(json).map_err(|_| "write an object of texts, numbers, booleans and lists")?;
    event_target(&RawEventTarget(table))
}

/// Puts what the environment says into the file's tables: the environment is stronger.
pub(super) fn apply_environment(tables: &mut [RawEventTarget], environment: &Environment) -> Result<(), ConfigError> {
    let mut used = Vec::new();
    for table in tables {
        let Some(name) = table.text("name").map(|name| name.replace('-', "_").to_ascii_uppercase()) else { continue };
        for key in all_keys() {
            let variable = format!("{ENVIRONMENT_PREFIX}{name}_{}", key.to_ascii_uppercase());
            let Some(value) = environment.get(&variable) else { continue };
            // Of a secret and its file one may be given; the weaker layer's yields.
            let sibling = key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), str::to_owned);
            table.0.remove(&sibling);
            table.0.insert(key.to_owned(), toml::Value::String(value.to_owned()));
            used.push(variable);
        }
    }
    match environment.names().find(|name| name.starts_with(ENVIRONMENT_PREFIX) && !used.iter().any(|u| u == name)) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("no [[event_target]] has this key; write {ENVIRONMENT_PREFIX}<NAME>_<KEY>");
            Err(ConfigError::Environment { name: name.to_owned(), reason })
        }
    }
}

/// As serde sees it, without the place in a document that was taken apart.
fn read<'de, T: Deserialize<'de>>(table: toml::Table) -> Result<T, String> {
    T::deserialize(table).map_err(|error| error.to_string().trim().replace('\n', " "))
}

fn kind_names() -> String {
    raw::kinds().map(|(name, _)| name).join(", ")
}

fn name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fits { Ok(text.to_owned()) } else { Err("name: write up to 64 letters, digits, \"-\" and \"_\"".to_owned()) }
}

fn format(text: &str, kind: &TargetKind) -> Result<EventFormat, String> {
    let formats = [EventFormat::S3, EventFormat::CloudEvents, EventFormat::EventBridge];
    let Some(format) = formats.into_iter().find(|format| format.as_str() == text) else {
        return Err(format!("format: {text:?} is none of s3, cloudevents, eventbridge"));
    };
    if matches!(kind, TargetKind::EventBridge(_)) && format != EventFormat::EventBridge {
        return Err("format: an event bus takes \"eventbridge\" alone".to_owned());
    }
    Ok(format)
}

fn limits(common: &Common) -> Result<EventLimits, String> {
    let on_full = match text(common.on_full.as_ref()) {
        None | Some("dead_letter") => OnFull::DeadLetter,
        Some("drop") => OnFull::Drop,
        Some(other) => return Err(format!("on_full: {other:?} is neither \"dead_letter\" nor \"drop\"")),
    };
    let max_bytes = match text(common.max_bytes.as_ref()) {
        None => ByteSize::gib(1),
        Some(text) => super::size_within(text, &BYTES).map_err(|reason| format!("max_bytes: {reason}"))?,
    };
    Ok(EventLimits {
        max_age: duration("max_age", common.max_age.as_ref(), &AGE, Duration::from_hours(24 * 7))?,
        max_events: number("max_events", common.max_events.as_ref(), &EVENTS, 1_000_000)?,
        max_bytes: max_bytes.0,
        on_full,
    })
}

fn text(value: Option<&Scalar>) -> Option<&str> {
    value.map(|scalar| scalar.0.trim()).filter(|text| !text.is_empty())
}

fn needed<'a>(key: &str, value: Option<&'a Scalar>) -> Result<&'a str, String> {
    text(value).ok_or_else(|| format!("{key} is missing"))
}

fn number(key: &str, value: Option<&Scalar>, allowed: &RangeInclusive<u64>, default: u64) -> Result<u64, String> {
    let Some(text) = text(value) else { return Ok(default) };
    match text.parse() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        Ok(_) => Err(format!("{key}: {}", super::outside(allowed))),
        Err(_) => Err(format!("{key}: {text:?} is not a whole number")),
    }
}

fn duration(
    key: &str,
    value: Option<&Scalar>,
    allowed: &RangeInclusive<Duration>,
    default: Duration,
) -> Result<Duration, String> {
    let Some(text) = text(value) else { return Ok(default) };
    let duration = parse_duration(text).map_err(|reason| format!("{key}: {reason}"))?;
    let (from, to) = (allowed.start(), allowed.end());
    if allowed.contains(&duration) { Ok(duration) } else { Err(format!("{key}: must be from {from:?} to {to:?}")) }
}

fn flag(key: &str, value: Option<&Scalar>) -> Result<bool, String> {
    text(value).map_or(Ok(false), |text| super::yes_or_no(text).map_err(|reason| format!("{key}: {reason}")))
}

#[cfg(test)]
mod tests;
