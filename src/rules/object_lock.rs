//! Object lock: what protects a version against removal, who may loosen that, and what a bucket gives new versions.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>. A lock is on one version; new versions and
//! delete markers on top of it are always fine.
//!
//! **Time.** Whether a retention is over is asked of the earliest time that it can be, and when a new one ends is
//! computed from the latest: a clock that is set forward or back never makes a retention shorter.

use serde::{Deserialize, Serialize};

use super::refusal::Result;
use super::{Code, Refusal};

/// The longest default retention in days.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>
pub const MAX_DAYS: i32 = 36_500;
/// The longest default retention in years.
pub const MAX_YEARS: i32 = 100;

const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

/// Who may end a retention early. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Whoever has the permission to bypass it, and asks for that.
    Governance,
    /// Nobody.
    Compliance,
}

impl Mode {
    /// As S3 spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// A time until which a version is kept. Stored: the order of the fields is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// Who may end it early.
    pub mode: Mode,
    /// Milliseconds since 1970.
    pub until: i64,
}

/// What protects a version. Stored: the order of the fields is part of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The retention, over or not.
    pub retention: Option<Retention>,
    /// The legal hold, on or off; `None` where nobody ever said.
    pub legal_hold: Option<bool>,
}

/// How long a bucket keeps new versions that do not say it. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// Days.
    Days(u32),
    /// Calendar years.
    Years(u32),
}

/// What a bucket gives new versions that do not say it. Stored: the order of the fields is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// Who may end it early.
    pub mode: Mode,
    /// How long it lasts.
    pub period: Period,
}

/// When something happens, as far as a clock can be trusted. In milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// No later than it is: what is over by this time is over.
    pub earliest: i64,
    /// No earlier than it is: what begins now lasts from this time.
    pub latest: i64,
}

/// Whether a request may, and wants to, end a governance retention early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bypass {
    /// It does not.
    #[default]
    Nothing,
    /// It has the permission, and says so.
    Governance,
}

impl Retention {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: Moment) -> bool {
        self.until > now.earliest
    }
}

impl Lock {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the version must stay, whoever asks with this.
    #[must_use]
    pub fn holds(&self, now: Moment, bypass: Bypass) -> bool {
        let retained = self.retention.filter(|retention| retention.holds(now));
        let bypassed = |retention: &Retention| bypass == Bypass::Governance && retention.mode == Mode::Governance;
        self.legal_hold == Some(true) || retained.is_some_and(|retention| !bypassed(&retention))
    }

    /// Refuses to remove a version that must stay.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn check_removal(&self, now: Moment, bypass: Bypass) -> Result<()> {
        if self.holds(now, bypass) { Err(protected()) } else { Ok(()) }
    }

    /// The lock with another retention, or none.
    ///
    /// # Errors
    /// `AccessDenied` where that would loosen what holds; `InvalidArgument` for a retention that is over already.
    pub fn with_retention(self, wanted: Option<Retention>, now: Moment, bypass: Bypass) -> Result<Self> {
        if let Some(current) = self.retention.filter(|current| current.holds(now)) {
            let extends = wanted.is_some_and(|wanted| wanted.mode == current.mode && wanted.until >= current.until);
            let may = current.mode == Mode::Governance && bypass == Bypass::Governance;
            if !extends && !may {
                return Err(protected());
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| self.retention != Some(*wanted)) {
            check_date(wanted.until, now)?;
        }
        Ok(Self { retention: wanted, ..self })
    }

    /// The lock of a new version: what it says itself, and else what its bucket gives.
    #[must_use]
    pub fn or_default(self, default: Option<DefaultRetention>, now: Moment) -> Self {
        Self { retention: self.retention.or_else(|| default.map(|default| default.from(now))), ..self }
    }
}

impl DefaultRetention {
    /// The default of this mode and period; exactly one of days and years is given.
    ///
    /// # Errors
    /// `MalformedXML` where the mode is unknown or not exactly one period is given; `InvalidRetentionPeriod` for a
    /// period that is not positive, or too long.
    pub fn parse(mode: Option<&str>, days: Option<i32>, years: Option<i32>) -> Result<Self> {
        let mode = mode.and_then(Mode::parse).ok_or(Code::MalformedXML)?;
        let (value, max, period): (i32, i32, fn(u32) -> Period) = match (days, years) {
            (Some(days), None) => (days, MAX_DAYS, Period::Days),
            (None, Some(years)) => (years, MAX_YEARS, Period::Years),
            _ => return Err(Code::MalformedXML.into()),
        };
        match u32::try_from(value) {
            Ok(number) if (1..=max).contains(&value) => Ok(Self { mode, period: period(number) }),
            _ if value < 1 => {
                let message = "Default retention period must be a positive integer value.";
                Err(Refusal::new(Code::InvalidRetentionPeriod, message))
            }
            _ => {
                let message =
                    format!("Default retention period must not be longer than {MAX_DAYS} days or {MAX_YEARS} years.");
                Err(Refusal::new(Code::InvalidRetentionPeriod, message))
            }
        }
    }

    /// The retention of a version that is made now.
    #[must_use]
    pub fn from(self, now: Moment) -> Retention {
        let until = match self.period {
            Period::Days(days) => now.latest.saturating_add(i64::from(days).saturating_mul(MILLISECONDS_OF_A_DAY)),
            Period::Years(years) => after_years(now.latest, years),
        };
        Retention { mode: self.mode, until }
    }
}

/// The same day and time of a later year; of a leap day, the day before its next one that there is.
fn after_years(start: i64, years: u32) -> i64 {
    let years = i64::from(years);
    let later = jiff::Timestamp::from_millisecond(start).ok().and_then(|start| {
        let span = jiff::Span::new().try_years(years).ok()?;
        start.to_zoned(jiff::tz::TimeZone::UTC).checked_add(span).ok()
    });
    // Beyond what a calendar can say, no year is longer than this.
    later.map_or(start.saturating_add(years * 366 * MILLISECONDS_OF_A_DAY), |later| later.timestamp().as_millisecond())
}

/// What a request's headers say of a new version's lock.
///
/// # Errors
/// `InvalidArgument` for a mode without a date or a date without a mode, for values that there are not, and for a date
/// that is over.
pub fn of_new_version(mode: Option<&str>, until: Option<i64>, legal_hold: Option<&str>, now: Moment) -> Result<Lock> {
    let retention = match (mode, until) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            let mode = Mode::parse(mode).ok_or_else(|| {
                Refusal::invalid_argument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
            })?;
            check_date(until, now)?;
            Some(Retention { mode, until })
        }
        (Some(_), None) | (None, Some(_)) => {
            let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
            return Err(Refusal::new(Code::InvalidArgument, message));
        }
    };
    let legal_hold = legal_hold
        .map(|status| {
            parse_legal_hold(status).ok_or_else(|| {
                let message = "Legal Hold must be either of 'ON' or 'OFF'";
                Refusal::invalid_argument("x-amz-object-lock-legal-hold", status, message)
            })
        })
        .transpose()?;
    Ok(Lock { retention, legal_hold })
}

/// Whether a legal hold of this name is on; `None` if there is no such status.
#[must_use]
pub fn parse_legal_hold(status: &str) -> Option<bool> {
    match status {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

/// Refuses to speak of locks where the bucket has none.
///
/// # Errors
/// `InvalidRequest`.
pub fn check_bucket(has_object_lock: bool) -> Result<()> {
    if has_object_lock {
        return Ok(());
    }
    Err(Refusal::invalid_request("Bucket is missing Object Lock Configuration"))
}

fn check_date(until: i64, now: Moment) -> Result<()> {
    if until > now.latest {
        return Ok(());
    }
    Err(Refusal::new(Code::InvalidArgument, "The retain until date must be in the future!"))
}

fn protected() -> Refusal {
    Refusal::new(Code::AccessDenied, "Access Denied because object protected by object lock.")
}

#[cfg(test)]
mod tests;
