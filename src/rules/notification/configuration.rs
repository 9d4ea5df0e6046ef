//! The notification configuration of a bucket.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>. Messages are Amazon
//! S3's, as they were recorded or are quoted by its users.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::event::Addressee;
use super::filter::Filter;
use super::name::{EventName, Pattern};
use crate::rules::Refusal;
use crate::rules::refusal::Result;

/// Configurations of one bucket.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
pub const MAX_CONFIGURATIONS: usize = 100;
/// All texts of a configuration together: it is one row of the index.
const MAX_BYTES: usize = 56 << 10;
/// Characters of an id.
const MAX_ID_CHARACTERS: usize = 255;
/// Events that one configuration can name: all there are, several times over.
const MAX_EVENTS: usize = 64;
/// Bytes of an ARN.
const MAX_ARN_BYTES: usize = 1_600;

/// Which of Amazon's services the destination is. It makes no difference to what is sent. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An SNS topic.
    Topic,
    /// An SQS queue.
    Queue,
    /// A Lambda function.
    CloudFunction,
}

impl Kind {
    /// The XML element that holds the ARN.
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Topic => "Topic",
            Self::Queue => "Queue",
            Self::CloudFunction => "CloudFunction",
        }
    }

    /// What is said when there is no such destination.
    #[must_use]
    pub const fn unknown_destination(self) -> &'static str {
        match self {
            Self::Topic => "The destination topic does not exist",
            Self::Queue => "The destination queue does not exist",
            Self::CloudFunction => "The destination Lambda does not exist",
        }
    }
}

/// One configuration: which events go where. Stored: the order of the fields is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in the bucket.
    pub id: String,
    /// Which service the destination is.
    pub kind: Kind,
    /// The destination, as it was written.
    pub arn: String,
    /// Kinds of events.
    pub events: Vec<Pattern>,
    /// Which keys, if it says so.
    pub filter: Option<Filter>,
}

impl Rule {
    /// The target that the ARN addresses.
    #[must_use]
    pub fn target(&self) -> &str {
        target_of(&self.arn).unwrap_or_default()
    }

    fn concerns(&self, name: EventName, key: &str) -> bool {
        self.events.iter().any(|pattern| pattern.names(name))
            && self.filter.as_ref().is_none_or(|filter| filter.passes(key))
    }

    fn bytes(&self) -> usize {
        let filter = self.filter.iter().flat_map(|filter| &filter.0).map(|rule| rule.value.len() + 4).sum::<usize>();
        self.id.len() + self.arn.len() + self.events.len() * 4 + filter + 16
    }
}

/// The configuration of a bucket. Stored: the order of the fields is part of the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its configurations, in the order in which they were written.
    pub rules: Vec<Rule>,
    /// Targets that all events go to: those of Amazon EventBridge, where the bucket sends events there.
    pub event_bridge: Option<Vec<String>>,
}

impl Configuration {
    /// Whether no event goes anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.event_bridge.is_none()
    }

    /// Whether a bucket may have it; what its destinations are is not looked at.
    ///
    /// # Errors
    /// `InvalidArgument` with the argument, in Amazon S3's words.
    pub fn check(&self) -> Result<()> {
        if self.rules.len() > MAX_CONFIGURATIONS {
            let message = format!("The number of event notification configurations exceeds {MAX_CONFIGURATIONS}.");
            return Err(Refusal::invalid_request(message));
        }
        self.rules.iter().try_for_each(check_rule)?;
        if self.rules.iter().map(Rule::bytes).sum::<usize>() > MAX_BYTES {
            let message = format!("The event notification configuration must not be larger than {MAX_BYTES} bytes.");
            return Err(Refusal::invalid_request(message));
        }
        let mut ids = HashSet::new();
        if let Some(rule) = self.rules.iter().find(|rule| !ids.insert(rule.id.as_str())) {
            let message = "Same ID used for multiple configurations. IDs must be unique";
            return Err(Refusal::invalid_argument("Id", &rule.id, message));
        }
        self.rules.iter().enumerate().try_for_each(|(at, rule)| {
            let before = self.rules.get(..at).unwrap_or_default();
            before.iter().try_for_each(|other| check_overlap(other, rule))
        })
    }

    /// Whom an event goes to: each target that a configuration names, with that configuration. No target twice.
    #[must_use]
    pub fn addressees(&self, name: EventName, key: &str) -> Vec<Addressee> {
        let mut found: Vec<Addressee> = Vec::new();
        let configured = self.rules.iter().filter(|rule| rule.concerns(name, key));
        let configured = configured.map(|rule| (rule.target(), rule.id.as_str()));
        let bridges = self.event_bridge.iter().flatten().map(|target| (target.as_str(), ""));
        for (target, configuration) in configured.chain(bridges) {
            if !found.iter().any(|known| known.target == target) {
                found.push(Addressee { target: target.to_owned(), configuration: configuration.to_owned() });
            }
        }
        found
    }
}

fn check_rule(rule: &Rule) -> Result<()> {
    if rule.arn.len() > MAX_ARN_BYTES || target_of(&rule.arn).is_none() {
        let argument = rule.kind.element();
        return Err(Refusal::invalid_argument(argument, &rule.arn, "The ARN could not be parsed"));
    }
    if rule.id.chars().count() > MAX_ID_CHARACTERS {
        let message = format!("The ID of a configuration must not be longer than {MAX_ID_CHARACTERS} characters.");
        return Err(Refusal::invalid_argument("Id", &rule.id, message));
    }
    if rule.events.len() > MAX_EVENTS {
        return Err(Refusal::invalid_request(format!("A configuration must not name more than {MAX_EVENTS} events.")));
    }
    rule.filter.as_ref().map_or(Ok(()), Filter::check)
}

/// No event may concern two configurations.
fn check_overlap(one: &Rule, other: &Rule) -> Result<()> {
    let pairs = one.events.iter().flat_map(|pattern| other.events.iter().map(move |other| (*pattern, *other)));
    let Some((pattern, other_pattern)) = pairs.into_iter().find(|(pattern, other)| pattern.overlaps(*other)) else {
        return Ok(());
    };
    let message = match (&one.filter, &other.filter) {
        (None, None) => "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
        (filter, other_filter) => {
            let (filter, other_filter) = (filter.clone().unwrap_or_default(), other_filter.clone().unwrap_or_default());
            if !filter.overlaps(&other_filter) {
                return Ok(());
            }
            "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type."
        }
    };
    Err(Refusal::invalid_argument("Event", &format!("{pattern}, {other_pattern}"), message))
}

/// The target that an ARN addresses, whichever service it names: the last part of its resource. The part of a Lambda
/// function is its name, whatever version or alias follows. `None` for what is no ARN.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[must_use]
pub fn target_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_region, _account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    if arn != "arn" || partition.is_empty() || service.is_empty() {
        return None;
    }
    let name = match resource.strip_prefix("function:") {
        Some(function) if service == "lambda" => function.split(':').next(),
        _ => resource.rsplit([':', '/']).next(),
    };
    name.filter(|name| !name.is_empty())
}
