//! The table `[backup]`: where backups of the index go, and how often.

use super::layers::Layers;
use super::{ConfigError, outside, parse_duration, parsed_or};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 31);
const KEPT: RangeInclusive<usize> = 1..=10_000;

/// How the index is backed up.
#[derive(Debug, Clone)]
pub struct BackupConfig {
    /// Where backups go; `None`: there are none.
    pub directory: Option<PathBuf>,
    /// From one backup to the next; `None` if they are taken only when they are asked for.
    pub interval: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
}

pub(super) fn backup(layers: &Layers) -> Result<BackupConfig, ConfigError> {
    let directory = layers.scalar("backup", "directory", |raw| &raw.backup.directory);
    let interval = |text: &str| {
        if text == "never" {
            return Ok(None);
        }
        let interval = parse_duration(text).map_err(|error| format!("{error}, or \"never\""))?;
        if INTERVAL.contains(&interval) { Ok(Some(interval)) } else { Err("must be from 1s to 744h".to_owned()) }
    };
    let keep = |text: &str| {
        let number = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
        if KEPT.contains(&number) { Ok(number) } else { Err(outside(&KEPT)) }
    };
    Ok(BackupConfig {
        directory: directory.map(|setting| setting.value).filter(|path| !path.is_empty()).map(PathBuf::from),
        interval: parsed_or(
            layers.scalar("backup", "interval", |raw| &raw.backup.interval),
            interval,
            Ok(Some(Duration::from_hours(1))),
        )?,
        keep: parsed_or(layers.scalar("backup", "keep", |raw| &raw.backup.keep), keep, Ok(24))?,
    })
}
