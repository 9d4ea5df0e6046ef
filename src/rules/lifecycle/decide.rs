//! What the rules ask for, of one version or upload, at one time.
//!
//! Where several rules ask at once, Amazon's order decides: a permanent deletion before a transition, a transition
//! before a delete marker; among transitions the one to the class that costs least; among equals the one that was due
//! first, and then the first rule.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>

use std::fmt;

use storage::types::Timestamp;

use super::{Calendar, Configuration, DefaultMinimum, Expiration, Noncurrent, Rule, Scope, When};

/// Objects below this size do not move, unless a rule's filter says what size does.
const DEFAULT_MINIMUM_BYTES: u64 = 128 << 10;

/// What a decision is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The key.
    pub key: &'a str,
    /// What it is.
    pub state: State,
    /// When it was written, or the upload initiated.
    pub since: Timestamp,
    /// Bytes; of an object only.
    pub size: Option<u64>,
    /// Tags; of an object only.
    pub tags: &'a [(String, String)],
    /// The storage class; of an object only.
    pub class: &'a str,
    /// Whether an object lock forbids to remove it for good.
    pub locked: bool,
}

/// What a subject is among the versions of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The current version, an object. Whether expiring it leaves it behind a delete marker.
    Current {
        /// `false` where it is removed for good.
        marked: bool,
    },
    /// A current delete marker with versions behind it.
    Marker,
    /// A current delete marker that is all there is of its key.
    LoneMarker,
    /// A version that is not current.
    Noncurrent {
        /// When it ceased to be.
        since: Timestamp,
        /// Noncurrent versions that are newer.
        newer: u32,
        /// Whether it is a delete marker.
        marker: bool,
    },
    /// An upload that is not completed.
    Upload,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Delete the key: for good, or behind a delete marker, as a deletion without a version does.
    Expire,
    /// Remove a delete marker that is all there is of its key.
    RemoveMarker,
    /// Remove a noncurrent version for good.
    RemoveNoncurrent,
    /// Move a version to this storage class.
    Transition(String),
    /// Abort an upload.
    AbortUpload,
}

impl Action {
    /// Its name in answers and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::RemoveMarker => "remove-delete-marker",
            Self::RemoveNoncurrent => "remove-noncurrent-version",
            Self::Transition(_) => "transition",
            Self::AbortUpload => "abort-upload",
        }
    }
}

/// Something that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What.
    pub action: Action,
    /// From when on.
    pub at: Timestamp,
}

/// Why a rule does not ask for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The rule is not enabled.
    Disabled,
    /// The key does not start with this.
    Prefix(String),
    /// It does not have this tag.
    Tag(String, String),
    /// It is not larger than this.
    NotGreater(u64),
    /// It is not smaller than this.
    NotLess(u64),
    /// The rule's filter asks for tags or sizes, and this has none.
    NoObject,
    /// The action is about something else, in these words.
    OtherState(&'static str),
    /// Fewer noncurrent versions are newer than must be: what there is, what must be.
    TooFewNewer(u32, u32),
    /// It is in this class already, or in one from which the class is not reached.
    Class(String),
    /// It is too small to be moved, without a filter that says otherwise.
    TooSmall,
    /// `ExpiredObjectDeleteMarker` is false.
    NotWanted,
    /// An object lock forbids it.
    Locked,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("the rule is disabled"),
            Self::Prefix(prefix) => write!(f, "the key does not start with {prefix:?}"),
            Self::Tag(key, value) => write!(f, "it does not have the tag {key}={value}"),
            Self::NotGreater(bytes) => write!(f, "it is not larger than {bytes} bytes"),
            Self::NotLess(bytes) => write!(f, "it is not smaller than {bytes} bytes"),
            Self::NoObject => f.write_str("the filter asks for tags or a size, and only objects have those"),
            Self::OtherState(what) => write!(f, "the action is about {what}"),
            Self::TooFewNewer(newer, wanted) => {
                write!(f, "{newer} noncurrent versions are newer, and the rule keeps {wanted}")
            }
            Self::Class(class) => write!(f, "its storage class is {class}, from which it does not move there"),
            Self::TooSmall => f.write_str("it is smaller than 128 KiB, and the rule's filter names no size"),
            Self::NotWanted => f.write_str("ExpiredObjectDeleteMarker is false"),
            Self::Locked => f.write_str("an object lock holds it"),
        }
    }
}

/// What became of one action of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is asked for from then on.
    From(Timestamp),
    /// It is not asked for.
    Not(Reason),
}

/// One action of one rule, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The action.
    pub action: Action,
    /// What became of it.
    pub outcome: Outcome,
}

/// What is to be done now, if anything.
#[must_use]
pub fn decide<'a>(
    configuration: &'a Configuration,
    subject: &Subject<'_>,
    calendar: Calendar,
    now: Timestamp,
) -> Option<Due<'a>> {
    let due = asked(configuration, subject, calendar).filter(|due| due.at <= now);
    due.min_by_key(|due| (rank(&due.action, subject.state), due.at))
}

/// What will be done next if nothing changes: now, or at the time that it says.
#[must_use]
pub fn next<'a>(
    configuration: &'a Configuration,
    subject: &Subject<'_>,
    calendar: Calendar,
    now: Timestamp,
) -> Option<Due<'a>> {
    let at = asked(configuration, subject, calendar).map(|due| due.at.max(now)).min()?;
    decide(configuration, subject, calendar, at)
}

/// When a current version expires, and by which rule: what `x-amz-expiration` says.
#[must_use]
pub fn expiration<'a>(
    configuration: &'a Configuration,
    subject: &Subject<'_>,
    calendar: Calendar,
) -> Option<(Timestamp, &'a Rule)> {
    let expires = asked(configuration, subject, calendar).filter(|due| due.action == Action::Expire);
    expires.min_by_key(|due| due.at).map(|due| (due.at, due.rule))
}

/// Every action of every rule, judged, in the order of the rules.
pub fn verdicts<'a>(
    configuration: &'a Configuration,
    subject: &'a Subject<'_>,
    calendar: Calendar,
) -> impl Iterator<Item = Verdict<'a>> {
    let default_minimum = configuration.default_minimum;
    configuration.rules.iter().flat_map(move |rule| {
        let judge = Judge { rule, subject, calendar, default_minimum };
        actions(rule).map(move |(action, wanted)| {
            let outcome = judge.judge(&action, wanted).map_or_else(Outcome::Not, Outcome::From);
            Verdict { rule, action, outcome }
        })
    })
}

fn asked<'a>(
    configuration: &'a Configuration,
    subject: &Subject<'_>,
    calendar: Calendar,
) -> impl Iterator<Item = Due<'a>> {
    let default_minimum = configuration.default_minimum;
    configuration.rules.iter().flat_map(move |rule| {
        let judge = Judge { rule, subject, calendar, default_minimum };
        actions(rule).filter_map(move |(action, wanted)| {
            let at = judge.judge(&action, wanted).ok()?;
            Some(Due { rule, action, at })
        })
    })
}

/// When an action of a rule is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// At this time of a version's life.
    When(When),
    /// At once, or not at all.
    AtOnce(bool),
    /// At this time after it became noncurrent.
    Noncurrent(Noncurrent),
}

/// The actions of a rule.
fn actions(rule: &Rule) -> impl Iterator<Item = (Action, Wanted)> {
    let expiration = rule.expiration.map(|expiration| match expiration {
        Expiration::When(when) => Wanted::When(when),
        Expiration::ExpiredObjectDeleteMarker(wanted) => Wanted::AtOnce(wanted),
    });
    let expire = match rule.expiration {
        Some(Expiration::When(when)) => Some((Action::Expire, Wanted::When(when))),
        _ => None,
    };
    let unmark = expiration.map(|wanted| (Action::RemoveMarker, wanted));
    let noncurrent =
        rule.noncurrent_expiration.map(|noncurrent| (Action::RemoveNoncurrent, Wanted::Noncurrent(noncurrent)));
    let abort = rule.abort_days.map(|days| (Action::AbortUpload, Wanted::When(When::Days(days))));
    let current = rule.transitions.iter();
    let current = current.map(|to| (Action::Transition(to.class.clone()), Wanted::When(to.when)));
    let older = rule.noncurrent_transitions.iter();
    let older = older.map(|to| (Action::Transition(to.class.clone()), Wanted::Noncurrent(to.noncurrent)));
    [expire, unmark, noncurrent, abort].into_iter().flatten().chain(current).chain(older)
}

/// What comes first, where several actions are due; among transitions, the cheapest class.
fn rank(action: &Action, state: State) -> (u8, u8) {
    match action {
        Action::Expire if state == (State::Current { marked: true }) => (2, 0),
        Action::Expire | Action::RemoveMarker | Action::RemoveNoncurrent | Action::AbortUpload => (0, 0),
        Action::Transition(class) => (1, u8::MAX - depth(class)),
    }
}

/// How far down the waterfall of storage classes a class is; versions move down only.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>
fn depth(class: &str) -> u8 {
    match class {
        "STANDARD_IA" => 1,
        "INTELLIGENT_TIERING" => 2,
        "ONEZONE_IA" | "GLACIER_IR" => 3,
        "GLACIER" => 4,
        "DEEP_ARCHIVE" => 5,
        _ => 0,
    }
}

#[derive(Clone, Copy)]
struct Judge<'a, 's> {
    rule: &'a Rule,
    subject: &'s Subject<'s>,
    calendar: Calendar,
    default_minimum: DefaultMinimum,
}

impl Judge<'_, '_> {
    fn judge(&self, action: &Action, wanted: Wanted) -> Result<Timestamp, Reason> {
        if !self.rule.enabled {
            return Err(Reason::Disabled);
        }
        let at = self.time(action, wanted)?;
        self.within(&self.rule.scope)?;
        if let Action::Transition(class) = action {
            self.may_move_to(class)?;
        }
        let for_good = match action {
            Action::Expire => self.subject.state == (State::Current { marked: false }),
            Action::RemoveNoncurrent => true,
            Action::RemoveMarker | Action::Transition(_) | Action::AbortUpload => false,
        };
        if for_good && self.subject.locked { Err(Reason::Locked) } else { Ok(at) }
    }

    fn time(&self, action: &Action, wanted: Wanted) -> Result<Timestamp, Reason> {
        let subject = self.subject;
        match (action, subject.state, wanted) {
            (Action::Expire, State::Current { .. }, Wanted::When(when))
            | (Action::RemoveMarker, State::LoneMarker, Wanted::When(when))
            | (Action::Transition(_), State::Current { .. }, Wanted::When(when))
            | (Action::AbortUpload, State::Upload, Wanted::When(when)) => Ok(match when {
                When::Days(days) => self.calendar.after(subject.since, days),
                When::Date(date) => date,
            }),
            (Action::RemoveMarker, State::LoneMarker, Wanted::AtOnce(true)) => Ok(subject.since),
            (Action::RemoveMarker, State::LoneMarker, _) => Err(Reason::NotWanted),
            (Action::RemoveNoncurrent, State::Noncurrent { since, newer, .. }, Wanted::Noncurrent(wanted))
            | (Action::Transition(_), State::Noncurrent { since, newer, marker: false }, Wanted::Noncurrent(wanted)) => {
                if newer < wanted.newer {
                    return Err(Reason::TooFewNewer(newer, wanted.newer));
                }
                Ok(self.calendar.after(since, wanted.days))
            }
            (Action::RemoveMarker, ..) => Err(Reason::OtherState("delete markers that are all there is of their key")),
            (Action::RemoveNoncurrent, ..) | (Action::Transition(_), _, Wanted::Noncurrent(_)) => {
                Err(Reason::OtherState("noncurrent versions"))
            }
            (Action::Expire | Action::Transition(_), ..) => Err(Reason::OtherState("current objects")),
            (Action::AbortUpload, ..) => Err(Reason::OtherState("uploads")),
        }
    }

    fn within(&self, scope: &Scope) -> Result<(), Reason> {
        let Subject { key, size, tags, .. } = *self.subject;
        if let Some(prefix) = scope.prefix.as_ref().filter(|prefix| !key.starts_with(prefix.as_str())) {
            return Err(Reason::Prefix(prefix.clone()));
        }
        let asks_for_object = !scope.tags.is_empty() || scope.greater_than.is_some() || scope.less_than.is_some();
        let Some(size) = size else { return if asks_for_object { Err(Reason::NoObject) } else { Ok(()) } };
        if let Some((key, value)) = scope.tags.iter().find(|tag| !tags.contains(tag)) {
            return Err(Reason::Tag(key.clone(), value.clone()));
        }
        if let Some(bytes) = scope.greater_than.filter(|bytes| size <= *bytes) {
            return Err(Reason::NotGreater(bytes));
        }
        if let Some(bytes) = scope.less_than.filter(|bytes| size >= *bytes) {
            return Err(Reason::NotLess(bytes));
        }
        Ok(())
    }

    fn may_move_to(&self, class: &str) -> Result<(), Reason> {
        if depth(class) <= depth(self.subject.class) {
            return Err(Reason::Class(self.subject.class.to_owned()));
        }
        let scope = &self.rule.scope;
        let says_size = scope.greater_than.is_some() || scope.less_than.is_some();
        let archive = matches!(class, "GLACIER" | "DEEP_ARCHIVE");
        let free = says_size || (archive && self.default_minimum == DefaultMinimum::VariesByStorageClass);
        if !free && self.subject.size.is_some_and(|size| size < DEFAULT_MINIMUM_BYTES) {
            return Err(Reason::TooSmall);
        }
        Ok(())
    }
}
