//! A configuration as a client states it, and what Amazon says of one that may not be.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>. The names of the fields are
//! those of its JSON form, which command lines and files use. One thing is taken that Amazon refuses: a filter with
//! several conditions outside `And`, which then must all hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use storage::types::Timestamp;

use super::calendar::is_midnight;
use super::{
    Configuration, DefaultMinimum, Expiration, Noncurrent, NoncurrentTransition, Rule, Scope, Transition, When, Written,
};
use crate::rules::refusal::Result;
use crate::rules::tagging::{self, Tagged};
use crate::rules::{Code, Refusal};

/// Rules of one bucket.
const MAX_RULES: usize = 1_000;
/// Characters of a rule's name.
const MAX_ID_CHARACTERS: usize = 255;
/// Bytes of a prefix: as many as of a key.
const MAX_PREFIX_BYTES: usize = 1_024;
/// Newer noncurrent versions that a rule may keep.
const MAX_NEWER: i64 = 100;
/// Days after which objects may first move to the classes for infrequent access.
const INFREQUENT_DAYS: u32 = 30;

/// What is stated of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct Stated {
    /// The rules.
    pub rules: Vec<StatedRule>,
    /// `TransitionDefaultMinimumObjectSize`
    pub transition_default_minimum_object_size: Option<String>,
}

/// What is stated of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedRule {
    /// Its name.
    #[serde(rename = "ID")]
    pub id: Option<String>,
    /// `Enabled` or `Disabled`.
    pub status: String,
    /// A prefix outside a filter.
    pub prefix: Option<String>,
    /// The filter.
    pub filter: Option<StatedFilter>,
    /// What becomes of current versions.
    pub expiration: Option<StatedExpiration>,
    /// What becomes of noncurrent versions.
    pub noncurrent_version_expiration: Option<StatedNoncurrent>,
    /// `DaysAfterInitiation` of uploads, after which they are aborted.
    pub abort_incomplete_multipart_upload: Option<StatedAbort>,
    /// Moves of current versions.
    pub transitions: Vec<StatedTransition>,
    /// Moves of noncurrent versions.
    pub noncurrent_version_transitions: Vec<StatedNoncurrent>,
}

/// A stated filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedFilter {
    /// What keys start with.
    pub prefix: Option<String>,
    /// A tag.
    pub tag: Option<StatedTag>,
    /// Bytes that objects have more than.
    pub object_size_greater_than: Option<i64>,
    /// Bytes that objects have less than.
    pub object_size_less_than: Option<i64>,
    /// Several conditions.
    pub and: Option<StatedAnd>,
}

/// Several conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedAnd {
    /// What keys start with.
    pub prefix: Option<String>,
    /// Tags.
    pub tags: Vec<StatedTag>,
    /// Bytes that objects have more than.
    pub object_size_greater_than: Option<i64>,
    /// Bytes that objects have less than.
    pub object_size_less_than: Option<i64>,
}

/// A stated tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StatedTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What is stated of current versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedExpiration {
    /// Days.
    pub days: Option<i64>,
    /// A midnight.
    #[serde(deserialize_with = "date")]
    pub date: Option<Timestamp>,
    /// Whether delete markers that are left alone go.
    pub expired_object_delete_marker: Option<bool>,
}

/// What is stated of noncurrent versions; of their moves with a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedNoncurrent {
    /// Days.
    pub noncurrent_days: Option<i64>,
    /// Noncurrent versions that must be newer.
    pub newer_noncurrent_versions: Option<i64>,
    /// Where to.
    pub storage_class: Option<String>,
}

/// What is stated of uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedAbort {
    /// Days.
    pub days_after_initiation: Option<i64>,
}

/// A stated move of current versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct StatedTransition {
    /// Days.
    pub days: Option<i64>,
    /// A midnight.
    #[serde(deserialize_with = "date")]
    pub date: Option<Timestamp>,
    /// Where to.
    pub storage_class: Option<String>,
}

/// `2026-01-31`, or with a time and a zone.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let whole = if text.contains('T') { text.clone() } else { format!("{text}T00:00:00Z") };
    let parsed: std::result::Result<jiff::Timestamp, _> = whole.parse();
    let invalid = |_| serde::de::Error::custom(format!("{text:?} is not a date such as 2026-01-31"));
    parsed.map(|time| Some(Timestamp(time.as_millisecond()))).map_err(invalid)
}

fn malformed() -> Refusal {
    Code::MalformedXML.into()
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidArgument, message)
}

impl Stated {
    /// The configuration, if a bucket may have it. `id` names rules that have no name; `served` tells whether objects
    /// can be moved to a storage class here.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidArgument` or `InvalidRequest`, in Amazon's words; `InvalidStorageClass` for a class that
    /// nothing serves.
    pub fn check(self, mut id: impl FnMut() -> String, served: impl Fn(&str) -> bool) -> Result<Configuration> {
        if self.rules.is_empty() {
            return Err(malformed());
        }
        if self.rules.len() > MAX_RULES {
            let message =
                format!("The number of lifecycle rules must not exceed the allowed limit of {MAX_RULES} rules");
            return Err(Refusal::invalid_request(message));
        }
        let default_minimum = self.default_minimum()?;
        let mut ids = BTreeSet::new();
        let mut rules = Vec::with_capacity(self.rules.len());
        for mut stated in self.rules {
            let id = stated.id.take().filter(|id| !id.is_empty()).unwrap_or_else(&mut id);
            if id.chars().count() > MAX_ID_CHARACTERS {
                return Err(invalid(format!("ID length should not exceed allowed limit of {MAX_ID_CHARACTERS}")));
            }
            if !ids.insert(id.clone()) {
                return Err(invalid("Rule ID must be unique. Found same ID for more than one rule"));
            }
            rules.push(stated.check(id, &served)?);
        }
        Ok(Configuration { rules, default_minimum })
    }

    fn default_minimum(&self) -> Result<DefaultMinimum> {
        let Some(text) = &self.transition_default_minimum_object_size else { return Ok(DefaultMinimum::default()) };
        DefaultMinimum::parse(text).ok_or_else(|| {
            let message = format!("Invalid TransitionDefaultMinimumObjectSize found: {text}");
            Refusal::invalid_request(message)
        })
    }
}

impl StatedRule {
    fn check(self, id: String, served: &impl Fn(&str) -> bool) -> Result<Rule> {
        let enabled = match self.status.as_str() {
            "Enabled" => true,
            "Disabled" => false,
            _ => return Err(malformed()),
        };
        let scope = scope(self.prefix, self.filter)?;
        let place = Place(&scope);
        let rule = Rule {
            id,
            enabled,
            expiration: self.expiration.map(|stated| expiration(&stated)).transpose()?,
            noncurrent_expiration: self
                .noncurrent_version_expiration
                .map(|stated| noncurrent(&stated, "NoncurrentVersionExpiration", 1))
                .transpose()?,
            abort_days: self
                .abort_incomplete_multipart_upload
                .map(|stated| {
                    let days = stated.days_after_initiation.ok_or_else(malformed)?;
                    positive(days, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
                })
                .transpose()?,
            transitions: self
                .transitions
                .into_iter()
                .map(|stated| transition(stated, served))
                .collect::<Result<_>>()?,
            noncurrent_transitions: self
                .noncurrent_version_transitions
                .into_iter()
                .map(|stated| noncurrent_transition(stated, served))
                .collect::<Result<_>>()?,
            scope: scope.clone(),
        };
        check_actions(&rule)?;
        check_order(&rule, &place)?;
        check_noncurrent_order(&rule, &place)?;
        Ok(rule)
    }
}

fn scope(prefix: Option<String>, filter: Option<StatedFilter>) -> Result<Scope> {
    let scope = match (prefix, filter) {
        (Some(prefix), None) => Scope {
            written: Written::Prefix,
            prefix: Some(prefix),
            tags: Vec::new(),
            greater_than: None,
            less_than: None,
        },
        (None, Some(filter)) => of_filter(filter)?,
        (Some(_), Some(_)) | (None, None) => return Err(malformed()),
    };
    if scope.prefix.as_ref().is_some_and(|prefix| prefix.len() > MAX_PREFIX_BYTES) {
        return Err(Refusal::invalid_request(format!("The maximum size of a prefix is {MAX_PREFIX_BYTES}.")));
    }
    let keys: BTreeSet<_> = scope.tags.iter().map(|(key, _)| key).collect();
    if keys.len() < scope.tags.len() {
        return Err(Refusal::invalid_request("Duplicate Tag Keys are not allowed."));
    }
    tagging::check(Tagged::Object, &scope.tags)?;
    if scope.greater_than.zip(scope.less_than).is_some_and(|(greater, less)| less <= greater.saturating_add(1)) {
        let message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.";
        return Err(Refusal::invalid_request(message));
    }
    Ok(scope)
}

fn of_filter(filter: StatedFilter) -> Result<Scope> {
    let size = |bytes: Option<i64>, name: &str, least: i64| match bytes {
        None => Ok(None),
        Some(bytes) if bytes < least => {
            Err(Refusal::invalid_request(format!("'{name}' should be a value of at least {least}.")))
        }
        Some(bytes) => u64::try_from(bytes).map(Some).map_err(|_| malformed()),
    };
    let written = if filter.and.is_some() { Written::And } else { Written::Filter };
    let and = filter.and.unwrap_or_default();
    if written == Written::And && and == StatedAnd::default() {
        return Err(malformed());
    }
    // Both must hold, so the longer one counts, if they can hold together at all.
    let prefix = match (filter.prefix, and.prefix) {
        (Some(one), Some(other)) if one.starts_with(&other) => Some(one),
        (Some(one), Some(other)) if other.starts_with(&one) => Some(other),
        (Some(_), Some(_)) => return Err(malformed()),
        (one, other) => one.or(other),
    };
    let tags = filter.tag.into_iter().chain(and.tags).map(|tag| (tag.key, tag.value)).collect();
    let greater = filter.object_size_greater_than.max(and.object_size_greater_than);
    let less = [filter.object_size_less_than, and.object_size_less_than].into_iter().flatten().min();
    Ok(Scope {
        written,
        prefix,
        tags,
        greater_than: size(greater, "ObjectSizeGreaterThan", 0)?,
        less_than: size(less, "ObjectSizeLessThan", 1)?,
    })
}

/// A rule's scope, as messages name it.
struct Place<'a>(&'a Scope);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = self.0.prefix.as_deref().unwrap_or_default();
        match self.0.written {
            Written::Prefix => write!(f, "prefix '{prefix}'"),
            Written::Filter | Written::And => write!(f, "filter '(prefix={prefix})'"),
        }
    }
}

fn positive(days: i64, name: &str, action: &str) -> Result<u32> {
    let fits = u32::try_from(days).ok().filter(|days| *days > 0 && i32::try_from(*days).is_ok());
    fits.ok_or_else(|| invalid(format!("'{name}' for {action} action must be a positive integer")))
}

fn midnight(date: Timestamp) -> Result<Timestamp> {
    if is_midnight(date) { Ok(date) } else { Err(invalid("'Date' must be at midnight GMT")) }
}

fn expiration(stated: &StatedExpiration) -> Result<Expiration> {
    match (stated.days, stated.date, stated.expired_object_delete_marker) {
        (Some(days), None, None) => positive(days, "Days", "Expiration").map(|days| Expiration::When(When::Days(days))),
        (None, Some(date), None) => midnight(date).map(|date| Expiration::When(When::Date(date))),
        (None, None, Some(wanted)) => Ok(Expiration::ExpiredObjectDeleteMarker(wanted)),
        _ => Err(malformed()),
    }
}

fn noncurrent(stated: &StatedNoncurrent, action: &str, least: i64) -> Result<Noncurrent> {
    let days = stated.noncurrent_days.ok_or_else(malformed)?;
    let days = if days == 0 && least == 0 { 0 } else { positive(days, "NoncurrentDays", action)? };
    let newer = match stated.newer_noncurrent_versions {
        None => 0,
        Some(newer) if (1..=MAX_NEWER).contains(&newer) => u32::try_from(newer).unwrap_or(u32::MAX),
        Some(newer) if newer < 1 => {
            return Err(invalid(format!("'NewerNoncurrentVersions' for {action} action must be a positive integer")));
        }
        Some(_) => {
            let message = format!("'NewerNoncurrentVersions' for {action} action must be between 1 and {MAX_NEWER}");
            return Err(invalid(message));
        }
    };
    Ok(Noncurrent { days, newer })
}

fn class(stated: Option<String>, served: &impl Fn(&str) -> bool) -> Result<String> {
    const CLASSES: [&str; 6] =
        ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];
    let class = stated.ok_or_else(malformed)?;
    if !CLASSES.contains(&class.as_str()) {
        return Err(malformed());
    }
    if !served(&class) {
        let message = format!(
            "No tier of this server holds the storage class {class}, so objects cannot move to it. Ask the operator for one, or leave the transition out."
        );
        return Err(Refusal::new(Code::InvalidStorageClass, message).with("StorageClassRequested", class));
    }
    Ok(class)
}

fn transition(stated: StatedTransition, served: &impl Fn(&str) -> bool) -> Result<Transition> {
    let when = match (stated.days, stated.date) {
        (Some(0), None) => When::Days(0),
        (Some(days), None) => When::Days(
            positive(days, "Days", "Transition")
                .map_err(|_| invalid("'Days' for Transition action must be nonnegative"))?,
        ),
        (None, Some(date)) => When::Date(midnight(date)?),
        _ => return Err(malformed()),
    };
    Ok(Transition { when, class: class(stated.storage_class, served)? })
}

fn noncurrent_transition(stated: StatedNoncurrent, served: &impl Fn(&str) -> bool) -> Result<NoncurrentTransition> {
    let noncurrent = noncurrent(&stated, "NoncurrentVersionTransition", 0)?;
    Ok(NoncurrentTransition { noncurrent, class: class(stated.storage_class, served)? })
}

fn check_actions(rule: &Rule) -> Result<()> {
    let none = rule.expiration.is_none()
        && rule.noncurrent_expiration.is_none()
        && rule.abort_days.is_none()
        && rule.transitions.is_empty()
        && rule.noncurrent_transitions.is_empty();
    if none {
        return Err(Refusal::invalid_request("At least one action needs to be specified in a rule"));
    }
    let scope = &rule.scope;
    let sized = scope.greater_than.is_some() || scope.less_than.is_some();
    let refused =
        |action: &str, what: &str| Err(Refusal::invalid_request(format!("{action} cannot be specified with {what}.")));
    let marker = matches!(rule.expiration, Some(Expiration::ExpiredObjectDeleteMarker(_)));
    for (there, action) in
        [(marker, "ExpiredObjectDeleteMarker"), (rule.abort_days.is_some(), "AbortIncompleteMultipartUpload")]
    {
        match (there, scope.tags.is_empty(), sized) {
            (true, false, _) => return refused(action, "Tags"),
            (true, true, true) => return refused(action, "Object Size"),
            _ => {}
        }
    }
    let keeps_some = rule.noncurrent_expiration.is_some_and(|noncurrent| noncurrent.newer > 0)
        || rule.noncurrent_transitions.iter().any(|transition| transition.noncurrent.newer > 0);
    if keeps_some && scope.written == Written::Prefix {
        let message = "NewerNoncurrentVersions can only be specified in rules that have a Filter element.";
        return Err(Refusal::invalid_request(message));
    }
    Ok(())
}

/// A version moves only down, and before it expires.
fn check_order(rule: &Rule, place: &Place<'_>) -> Result<()> {
    let whens = rule.transitions.iter().map(|transition| transition.when);
    let expires = match rule.expiration {
        Some(Expiration::When(when)) => Some(when),
        _ => None,
    };
    let all: Vec<When> = whens.chain(expires).collect();
    let dated = all.iter().filter(|when| matches!(when, When::Date(_))).count();
    if dated > 0 && dated < all.len() {
        let message = format!(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for {place}"
        );
        return Err(Refusal::invalid_request(message));
    }
    let classes: BTreeSet<_> = rule.transitions.iter().map(|transition| &transition.class).collect();
    if classes.len() < rule.transitions.len() {
        let message = format!("'StorageClass' must be different for 'Transition' actions in same 'Rule' with {place}");
        return Err(Refusal::invalid_request(message));
    }
    for Transition { when, class } in &rule.transitions {
        match (when, expires) {
            (When::Days(days), _) if *days < least_days(class) => {
                return Err(too_early("Days", "Transition", class));
            }
            (When::Days(days), Some(When::Days(expires))) if expires <= *days => {
                let message = format!(
                    "'Days' in the Expiration action for {place} must be greater than 'Days' in the Transition action"
                );
                return Err(invalid(message));
            }
            (When::Date(date), Some(When::Date(expires))) if expires <= *date => {
                let message = format!(
                    "'Date' in the Expiration action for {place} must be later than 'Date' in the Transition action"
                );
                return Err(invalid(message));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_noncurrent_order(rule: &Rule, place: &Place<'_>) -> Result<()> {
    let classes: BTreeSet<_> = rule.noncurrent_transitions.iter().map(|transition| &transition.class).collect();
    if classes.len() < rule.noncurrent_transitions.len() {
        let message = format!(
            "'StorageClass' must be different for 'NoncurrentVersionTransition' actions in same 'Rule' with {place}"
        );
        return Err(Refusal::invalid_request(message));
    }
    for NoncurrentTransition { noncurrent, class } in &rule.noncurrent_transitions {
        if noncurrent.days < least_days(class) {
            return Err(too_early("NoncurrentDays", "NoncurrentVersionTransition", class));
        }
        if rule.noncurrent_expiration.is_some_and(|expires| expires.days <= noncurrent.days) {
            let message = format!(
                "'NoncurrentDays' in the NoncurrentVersionExpiration action for {place} must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action"
            );
            return Err(invalid(message));
        }
    }
    Ok(())
}

fn least_days(class: &str) -> u32 {
    if matches!(class, "STANDARD_IA" | "ONEZONE_IA") { INFREQUENT_DAYS } else { 0 }
}

fn too_early(days: &str, action: &str, class: &str) -> Refusal {
    invalid(format!(
        "'{days}' in {action} action must be greater than or equal to {INFREQUENT_DAYS} for storageClass '{class}'"
    ))
}
