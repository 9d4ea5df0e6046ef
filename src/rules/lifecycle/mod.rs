//! What becomes of objects with time: which lifecycle configurations may be, and what their rules ask for when.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html>
//!
//! | file | is |
//! |---|---|
//! | this one | the configuration as it is stored |
//! | `stated` | the configuration as a client states it, and Amazon's checks of it |
//! | `calendar` | how long a day is, and when it is over |
//! | `decide` | (facts, rules, time) → what is to be done, by which rule, since when; and why not by the others |
//!
//! Whoever acts, explains, or shows a header asks `decide`; there is no second opinion.

mod calendar;
mod decide;
mod stated;

use serde::{Deserialize, Serialize};
use storage::types::Timestamp;

pub use calendar::Calendar;
pub use decide::{Action, Due, Outcome, Reason, State, Subject, Verdict, decide, expiration, next, verdicts};
pub use stated::{
    Stated, StatedAbort, StatedAnd, StatedExpiration, StatedFilter, StatedNoncurrent, StatedRule, StatedTag,
    StatedTransition,
};

/// A bucket's lifecycle configuration. Stored: the order of the fields is part of the layout, here and below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The rules; none is no configuration.
    pub rules: Vec<Rule>,
    /// How small objects are for transitions that do not say.
    pub default_minimum: DefaultMinimum,
}

/// `TransitionDefaultMinimumObjectSize`. Stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultMinimum {
    /// Nothing below 128 KiB moves to any class.
    #[default]
    AllStorageClasses,
    /// Nothing below 128 KiB moves, but to GLACIER and `DEEP_ARCHIVE`.
    VariesByStorageClass,
}

impl DefaultMinimum {
    /// Reads what [`Self::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::AllStorageClasses, Self::VariesByStorageClass].into_iter().find(|known| known.as_str() == text)
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllStorageClasses => "all_storage_classes_128K",
            Self::VariesByStorageClass => "varies_by_storage_class",
        }
    }
}

/// One rule. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, which no other rule of the bucket has.
    pub id: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it is about.
    pub scope: Scope,
    /// What becomes of current versions, and of delete markers that are left alone.
    pub expiration: Option<Expiration>,
    /// When noncurrent versions are removed for good.
    pub noncurrent_expiration: Option<Noncurrent>,
    /// Days after which an upload that nobody completed is aborted.
    pub abort_days: Option<u32>,
    /// When current versions move to other storage classes.
    pub transitions: Vec<Transition>,
    /// When noncurrent versions move to other storage classes.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
}

/// How a scope was written, so that it is shown as it was. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Written {
    /// `<Prefix>` in the rule itself, as it was before there were filters.
    Prefix,
    /// In `<Filter>`.
    Filter,
    /// In `<Filter><And>`.
    And,
}

/// What a rule is about: everything that satisfies all of this. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// How it was written.
    pub written: Written,
    /// What keys start with.
    pub prefix: Option<String>,
    /// Tags that objects have.
    pub tags: Vec<(String, String)>,
    /// Bytes that objects have more than.
    pub greater_than: Option<u64>,
    /// Bytes that objects have less than.
    pub less_than: Option<u64>,
}

/// What becomes of current versions. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiration {
    /// They expire, and delete markers that are left alone go.
    When(When),
    /// With `true`, delete markers that are left alone go at once; with `false`, nothing happens.
    ExpiredObjectDeleteMarker(bool),
}

/// When something happens. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// So many days after the version was written.
    Days(u32),
    /// From this midnight on.
    Date(Timestamp),
}

/// When noncurrent versions go. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noncurrent {
    /// Days after the version became noncurrent.
    pub days: u32,
    /// Noncurrent versions that must be newer.
    pub newer: u32,
}

/// A move of current versions. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub when: When,
    /// Where to.
    pub class: String,
}

/// A move of noncurrent versions. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoncurrentTransition {
    /// When.
    pub noncurrent: Noncurrent,
    /// Where to.
    pub class: String,
}

impl Configuration {
    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any rule in force can be about this key: nothing else of it need be read if not.
    #[must_use]
    pub fn concerns(&self, key: &str) -> bool {
        self.rules.iter().any(|rule| rule.enabled && key.starts_with(rule.prefix()))
    }

    /// Whether any rule in force is about versions, or delete markers.
    #[must_use]
    pub fn concerns_versions(&self) -> bool {
        self.rules.iter().any(|rule| {
            let moves = !rule.transitions.is_empty() || !rule.noncurrent_transitions.is_empty();
            rule.enabled && (moves || rule.expiration.is_some() || rule.noncurrent_expiration.is_some())
        })
    }

    /// Whether any rule in force is about uploads.
    #[must_use]
    pub fn concerns_uploads(&self) -> bool {
        self.rules.iter().any(|rule| rule.enabled && rule.abort_days.is_some())
    }
}

impl Rule {
    /// What keys start with that it is about.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.scope.prefix.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
