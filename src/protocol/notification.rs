//! A bucket's notification configuration on the wire, and whether its destinations take events.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use s3s::S3Response;
use s3s::dto::{
    Event, EventBridgeConfiguration, FilterRule, FilterRuleName, GetBucketNotificationConfigurationInput,
    GetBucketNotificationConfigurationOutput, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, PutBucketNotificationConfigurationInput, PutBucketNotificationConfigurationOutput,
    QueueConfiguration, S3KeyFilter, TopicConfiguration,
};
use storage::types::Timestamp;

use super::error::Result;
use super::s3::{Call, malformed_xml};
use crate::event_targets::KnownTarget;
use crate::outbound::events::Message;
use crate::outbound::events::target::{EventFormat, TargetKind};
use crate::rules::notification::message::{self, Format};
use crate::rules::notification::{self, Configuration, Filter, Kind, Pattern, Rule, Side};
use crate::rules::{Code, Refusal};

/// Destinations that are asked at a time whether they take events.
const ASKED_AT_A_TIME: usize = 8;
/// Fields of the error that names destinations which cannot be used; further ones are left out.
const DESTINATION_FIELDS: [(&str, &str); 10] = [
    ("ArgumentName1", "ArgumentValue1"),
    ("ArgumentName2", "ArgumentValue2"),
    ("ArgumentName3", "ArgumentValue3"),
    ("ArgumentName4", "ArgumentValue4"),
    ("ArgumentName5", "ArgumentValue5"),
    ("ArgumentName6", "ArgumentValue6"),
    ("ArgumentName7", "ArgumentValue7"),
    ("ArgumentName8", "ArgumentValue8"),
    ("ArgumentName9", "ArgumentValue9"),
    ("ArgumentName10", "ArgumentValue10"),
];
/// By what name the error calls EventBridge, which has no ARN.
const EVENT_BRIDGE: &str = "EventBridgeConfiguration";

pub(super) async fn get(
    call: &Call<'_>,
    _: GetBucketNotificationConfigurationInput,
) -> Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let configuration = call.objects().bucket_notification(call.bucket()?).await?;
    let mut output = GetBucketNotificationConfigurationOutput {
        event_bridge_configuration: configuration.event_bridge.as_ref().map(|_| EventBridgeConfiguration {}),
        ..Default::default()
    };
    for rule in &configuration.rules {
        let (events, filter) = (written_events(rule), rule.filter.as_ref().map(written_filter));
        let (id, arn) = (Some(rule.id.clone()), rule.arn.clone());
        match rule.kind {
            Kind::Topic => output.topic_configurations.get_or_insert_default().push(TopicConfiguration {
                events,
                filter,
                id,
                topic_arn: arn,
            }),
            Kind::Queue => output.queue_configurations.get_or_insert_default().push(QueueConfiguration {
                events,
                filter,
                id,
                queue_arn: arn,
            }),
            Kind::CloudFunction => output
                .lambda_function_configurations
                .get_or_insert_default()
                .push(LambdaFunctionConfiguration { events, filter, id, lambda_function_arn: arn }),
        }
    }
    Ok(S3Response::new(output))
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutBucketNotificationConfigurationInput,
) -> Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    call.verify_xml_body()?;
    let configuration = read(call, input.notification_configuration)?;
    configuration.check()?;
    if input.skip_destination_validation != Some(true) {
        validate_destinations(call, &configuration).await?;
    }
    call.objects().set_bucket_notification(&call.bucket()?.name, &configuration).await?;
    Ok(S3Response::new(PutBucketNotificationConfigurationOutput::default()))
}

fn read(call: &Call<'_>, written: NotificationConfiguration) -> Result<Configuration> {
    let topics = written.topic_configurations.into_iter().flatten();
    let queues = written.queue_configurations.into_iter().flatten();
    let functions = written.lambda_function_configurations.into_iter().flatten();
    let topics = topics.map(|one| (Kind::Topic, one.topic_arn, one.id, one.events, one.filter));
    let queues = queues.map(|one| (Kind::Queue, one.queue_arn, one.id, one.events, one.filter));
    let functions = functions.map(|one| (Kind::CloudFunction, one.lambda_function_arn, one.id, one.events, one.filter));
    let mut rules = Vec::new();
    for (kind, arn, id, events, filter) in topics.chain(queues).chain(functions) {
        rules.push(Rule {
            id: id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            kind,
            arn,
            events: events.iter().map(read_event).collect::<Result<_>>()?,
            filter: filter.map(read_filter).transpose()?.flatten(),
        });
    }
    let bridges = || call.event_targets().names_of_event_bridges();
    Ok(Configuration { rules, event_bridge: written.event_bridge_configuration.map(|_| bridges()) })
}

/// An id for a configuration whose writer gave it none.
fn new_id() -> String {
    let random = || getrandom::u64().unwrap_or_default();
    format!("{:016x}{:016x}", random(), random())
}

fn read_event(event: &Event) -> Result<Pattern> {
    Pattern::parse(event.as_ref()).ok_or_else(|| {
        let message = "A specified event is not supported for notifications.";
        Refusal::invalid_argument("Event", event.as_ref(), message).into()
    })
}

fn read_filter(filter: NotificationConfigurationFilter) -> Result<Option<Filter>> {
    let Some(S3KeyFilter { filter_rules: Some(written) }) = filter.key else { return Ok(None) };
    let mut rules = Vec::new();
    for rule in written {
        let (Some(name), Some(value)) = (rule.name, rule.value) else { return Err(malformed_xml()) };
        rules.push(notification::FilterRule { side: Side::parse(name.as_str())?, value });
    }
    Ok(Some(Filter(rules)))
}

fn written_events(rule: &Rule) -> Vec<Event> {
    rule.events.iter().map(|pattern| Event::from(pattern.to_string())).collect()
}

fn written_filter(filter: &Filter) -> NotificationConfigurationFilter {
    let written = |rule: &notification::FilterRule| FilterRule {
        name: Some(FilterRuleName::from_static(rule.side.as_str())),
        value: Some(rule.value.clone()),
    };
    let rules = filter.0.iter().map(written).collect();
    NotificationConfigurationFilter { key: Some(S3KeyFilter { filter_rules: Some(rules) }) }
}

/// Asks every destination whether it takes events, and sends it Amazon's test message.
async fn validate_destinations(call: &Call<'_>, configuration: &Configuration) -> Result<()> {
    // A target that several configurations name is asked once, and named by the first of them.
    let mut destinations: BTreeMap<String, (usize, String, Option<Kind>)> = BTreeMap::new();
    for (at, rule) in configuration.rules.iter().enumerate() {
        let named = (at, rule.arn.clone(), Some(rule.kind));
        destinations.entry(rule.target().to_owned()).or_insert(named);
    }
    let mut refused = Vec::new();
    if let Some(bridges) = &configuration.event_bridge {
        let at = configuration.rules.len();
        if bridges.is_empty() {
            let reason = "No event target of the kind eventbridge is configured";
            refused.push((at, EVENT_BRIDGE.to_owned(), reason.to_owned()));
        }
        for bridge in bridges {
            destinations.entry(bridge.clone()).or_insert((at, EVENT_BRIDGE.to_owned(), None));
        }
    }
    let asked = destinations.into_iter().map(|(target, (at, named, kind))| async move {
        let refusal = match call.event_targets().get(&target) {
            None => Some(kind.map_or("The destination does not exist", Kind::unknown_destination).to_owned()),
            Some(known) => try_target(call, &known, kind).await.err(),
        };
        refusal.map(|reason| (at, named, reason))
    });
    let answers = stream::iter(asked).buffer_unordered(ASKED_AT_A_TIME).collect::<Vec<_>>().await;
    refused.extend(answers.into_iter().flatten());
    if refused.is_empty() {
        return Ok(());
    }
    refused.sort_unstable();
    let message = "Unable to validate the following destination configurations";
    let mut refusal = Refusal::new(Code::InvalidArgument, message);
    for ((name, value), (_, destination, reason)) in DESTINATION_FIELDS.into_iter().zip(refused) {
        refusal = refusal.with(name, destination).with(value, reason);
    }
    Err(refusal.into())
}

/// Reaches a target, and sends it the test message where Amazon would: to queues and topics, not to functions and
/// buses. Targets that expect another kind of document, and rows of a database, are only reached.
async fn try_target(call: &Call<'_>, known: &KnownTarget, kind: Option<Kind>) -> Result<(), String> {
    let sink = known.sink.as_ref().map_err(unusable)?;
    sink.check().await.map_err(unusable)?;
    let is_told = matches!(kind, Some(Kind::Topic | Kind::Queue))
        && known.target.format == EventFormat::S3
        && !matches!(known.target.kind, TargetKind::Postgresql(_));
    if !is_told {
        return Ok(());
    }
    let id = call.request_id();
    let bucket = call.bucket().map_err(|_| "The bucket is not known".to_owned())?.name.clone();
    let now = Timestamp::now();
    let test = Message {
        ordering_key: format!("{bucket}/"),
        id: format!("{}-{}", id.request, known.target.name),
        body: Bytes::from(message::test_event(&bucket, now, &id.request, &id.host)),
        content_type: Format::S3.content_type(),
        event_name: "s3:TestEvent".to_owned(),
        bucket,
        key: String::new(),
        time: message::instant(now),
    };
    match sink.send(&[test]).await.stopped {
        None => Ok(()),
        Some(error) => Err(unusable(error)),
    }
}

/// What is said of a destination that cannot be used now.
fn unusable(reason: impl std::fmt::Display) -> String {
    format!("The destination cannot be used: {reason}")
}
