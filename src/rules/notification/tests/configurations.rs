use proptest::prelude::*;

use crate::rules::notification::{
    Configuration, EventName, Filter, FilterRule, Group, Kind, MAX_CONFIGURATIONS, Pattern, Rule, Side, target_of,
};

const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:queue";

fn filter(prefix: Option<&str>, suffix: Option<&str>) -> Option<Filter> {
    let rule = |side, value: &str| FilterRule { side, value: value.to_owned() };
    let rules: Vec<_> = prefix
        .map(|value| rule(Side::Prefix, value))
        .into_iter()
        .chain(suffix.map(|value| rule(Side::Suffix, value)))
        .collect();
    (!rules.is_empty()).then_some(Filter(rules))
}

fn rule(id: &str, events: &[&str], filter: Option<Filter>) -> Rule {
    let events = events.iter().map(|text| Pattern::parse(text).expect("an event")).collect();
    Rule { id: id.to_owned(), kind: Kind::Queue, arn: QUEUE.to_owned(), events, filter }
}

fn configuration(rules: Vec<Rule>) -> Configuration {
    Configuration { rules, event_bridge: None }
}

#[track_caller]
fn refused(rules: Vec<Rule>, argument: &str, value: &str, message: &str) {
    let refusal = configuration(rules).check().expect_err("refused");
    let told = (refusal.detail("ArgumentName"), refusal.detail("ArgumentValue"), refusal.message.as_str());
    assert_eq!(told, (Some(argument), Some(value), message));
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>
#[test]
fn the_documented_events_are_known() {
    for text in [
        "s3:TestEvent",
        "s3:ObjectAcl:*",
        "s3:LifecycleTransition:*",
        "s3:*",
        "ObjectCreated:Put",
        "s3:objectcreated:put",
        "s3:ObjectCreated",
        "s3:ObjectAccessed:Get",
        "",
    ] {
        assert_eq!(Pattern::parse(text), None, "{text}");
    }
    for text in [
        "s3:ObjectCreated:*",
        "s3:ObjectCreated:Put",
        "s3:ObjectCreated:Post",
        "s3:ObjectCreated:Copy",
        "s3:ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectRemoved:*",
        "s3:ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRestore:*",
        "s3:ObjectRestore:Post",
        "s3:ObjectRestore:Completed",
        "s3:ObjectRestore:Delete",
        "s3:ReducedRedundancyLostObject",
        "s3:Replication:*",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationReplicatedAfterThreshold",
        "s3:Replication:OperationNotTracked",
        "s3:LifecycleExpiration:*",
        "s3:LifecycleExpiration:Delete",
        "s3:LifecycleExpiration:DeleteMarkerCreated",
        "s3:LifecycleTransition",
        "s3:IntelligentTiering",
        "s3:ObjectTagging:*",
        "s3:ObjectTagging:Put",
        "s3:ObjectTagging:Delete",
        "s3:ObjectAcl:Put",
    ] {
        assert_eq!(Pattern::parse(text).map(|pattern| pattern.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn a_wildcard_names_its_group_and_nothing_else() {
    for name in EventName::ALL.iter().copied() {
        let text = format!("s3:{name}");
        assert_eq!(EventName::parse(&text), Some(name));
        assert!(Pattern::One(name).names(name) && Pattern::One(name).overlaps(Pattern::One(name)));
        for group in Group::ALL.iter().copied() {
            assert_eq!(Pattern::All(group).names(name), group == name.group(), "{name}");
            assert_eq!(Pattern::All(group).overlaps(Pattern::One(name)), group == name.group(), "{name}");
            assert_eq!(Pattern::One(name).overlaps(Pattern::All(group)), group == name.group(), "{name}");
        }
    }
}

#[test]
fn an_arn_addresses_the_target_that_it_ends_with() {
    for (arn, target) in [
        (QUEUE, Some("queue")),
        ("arn:aws:sns:us-east-1:111122223333:topic", Some("topic")),
        ("arn:aws:lambda:us-east-1:111122223333:function:resize", Some("resize")),
        ("arn:aws:lambda:us-east-1:111122223333:function:resize:PROD", Some("resize")),
        ("arn:minio:sqs::1:webhook", Some("webhook")),
        ("arn:minio:sqs::PRIMARY:webhook", Some("webhook")),
        ("arn:aws:events:us-east-1:111122223333:event-bus/default", Some("default")),
        ("arn:aws-cn:sqs:cn-north-1:111122223333:q", Some("q")),
        ("invalid-queue", None),
        ("arn:aws:sqs:us-east-1:queue", None),
        ("arn::sqs:us-east-1:1:queue", None),
        ("arn:aws:sqs:us-east-1:1:", None),
        ("", None),
    ] {
        assert_eq!(target_of(arn), target, "{arn}");
    }
}

#[test]
fn what_cannot_be_an_arn_is_refused_before_anything_else() {
    let bad = Rule { arn: "invalid-queue".to_owned(), ..rule("a", &["s3:ObjectCreated:*"], None) };
    refused(vec![bad.clone(), bad.clone()], "Queue", "invalid-queue", "The ARN could not be parsed");
    refused(vec![Rule { kind: Kind::Topic, ..bad.clone() }], "Topic", "invalid-queue", "The ARN could not be parsed");
    let function = Rule { kind: Kind::CloudFunction, ..bad };
    refused(vec![function], "CloudFunction", "invalid-queue", "The ARN could not be parsed");
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>, "Examples of valid
/// notification configurations with object key name filtering" and "… with invalid Prefix and Suffix overlapping".
#[test]
fn the_documented_overlaps_are_refused_and_nothing_else() {
    type Half<'a> = (&'a [&'a str], Option<&'a str>, Option<&'a str>);
    let created: &[&str] = &["s3:ObjectCreated:*"];
    let removed: &[&str] = &["s3:ObjectRemoved:*"];
    let valid: &[(Half<'_>, Half<'_>)] = &[
        (
            (&["s3:ObjectCreated:Put"], Some("images/"), Some("jpg")),
            (&["s3:ObjectCreated:Post"], Some("images/"), Some("jpg")),
        ),
        ((&["s3:ObjectCreated:Put"], Some("images/"), None), (&["s3:ObjectCreated:Put"], Some("logs/"), None)),
        ((created, Some("images"), Some(".jpg")), (created, Some("images"), Some(".png"))),
        ((created, None, Some(".jpg")), (created, None, Some(".png"))),
        ((created, None, Some("jpg")), (removed, None, Some("jpg"))),
        ((created, Some("a/"), Some("x")), (created, Some("b/"), Some("x"))),
        ((created, None, None), (removed, None, None)),
    ];
    for ((events, prefix, suffix), (others, other_prefix, other_suffix)) in valid {
        let rules =
            vec![rule("1", events, filter(*prefix, *suffix)), rule("2", others, filter(*other_prefix, *other_suffix))];
        assert_eq!(configuration(rules).check(), Ok(()), "{events:?} {prefix:?} {suffix:?}");
    }
    let ambiguous = "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.";
    let invalid: &[(Half<'_>, Half<'_>)] = &[
        ((created, Some("images"), None), (created, Some("images/new"), None)),
        ((created, None, Some("jpg")), (created, None, Some("pg"))),
        ((created, Some("images"), Some("jpg")), (created, None, Some("jpg"))),
        ((created, Some("images"), None), (created, None, None)),
        ((created, Some("images/"), None), (created, None, Some(".jpg"))),
        ((created, Some("a"), Some("")), (created, Some("ab"), Some("x"))),
        ((created, Some("a b"), None), (created, Some("a+b/c"), None)),
        ((created, Some("a%2Fb"), None), (created, Some("a/"), None)),
    ];
    for ((events, prefix, suffix), (others, other_prefix, other_suffix)) in invalid {
        let rules =
            vec![rule("1", events, filter(*prefix, *suffix)), rule("2", others, filter(*other_prefix, *other_suffix))];
        refused(rules, "Event", "s3:ObjectCreated:*, s3:ObjectCreated:*", ambiguous);
    }
}

#[test]
fn configurations_without_filters_cannot_share_an_event() {
    let message = "Configurations overlap. Configurations on the same bucket cannot share a common event type.";
    let all = rule("1", &["s3:ObjectRemoved:*"], None);
    refused(
        vec![all.clone(), Rule { id: "2".to_owned(), ..all.clone() }],
        "Event",
        "s3:ObjectRemoved:*, s3:ObjectRemoved:*",
        message,
    );
    let one = rule("2", &["s3:ObjectTagging:Put", "s3:ObjectRemoved:Delete"], None);
    refused(vec![all, one], "Event", "s3:ObjectRemoved:*, s3:ObjectRemoved:Delete", message);
}

#[test]
fn ids_are_unique_and_everything_has_a_limit() {
    let two = vec![rule("a", &["s3:ObjectCreated:*"], None), rule("a", &["s3:ObjectRemoved:*"], None)];
    refused(two, "Id", "a", "Same ID used for multiple configurations. IDs must be unique");
    let long = "i".repeat(256);
    let message = "The ID of a configuration must not be longer than 255 characters.";
    refused(vec![rule(&long, &["s3:ObjectCreated:*"], None)], "Id", &long, message);
    let many = |count: usize, value: &str| {
        let one =
            |at: usize| rule(&at.to_string(), &["s3:ObjectCreated:*"], filter(Some(&format!("{at:03}{value}")), None));
        configuration((0..count).map(one).collect())
    };
    assert_eq!(many(MAX_CONFIGURATIONS, "/").check(), Ok(()));
    assert!(many(MAX_CONFIGURATIONS + 1, "/").check().is_err());
    assert!(many(MAX_CONFIGURATIONS, &"v".repeat(1_000)).check().is_err(), "more than a row holds");
}

#[test]
fn filters_are_as_the_api_has_them() {
    for name in ["prefix", "Prefix", "PREFIX"] {
        assert_eq!(Side::parse(name), Ok(Side::Prefix));
    }
    let refusal = Side::parse("INVALID").expect_err("refused");
    assert_eq!(refusal.message, "filter rule name must be either prefix or suffix");
    assert_eq!(refusal.detail("ArgumentName"), Some("FilterRule.Name"));
    assert_eq!(refusal.detail("ArgumentValue"), Some("INVALID"));
    let twice = Filter(vec![FilterRule { side: Side::Suffix, value: "a".to_owned() }; 2]);
    let refusal = twice.check().expect_err("refused");
    assert_eq!(refusal.message, "Cannot specify more than one suffix rule in a filter.");
    assert!(Filter(vec![FilterRule { side: Side::Prefix, value: "é".repeat(513) }]).check().is_err());
    assert!(Filter(vec![FilterRule { side: Side::Prefix, value: "é".repeat(512) }]).check().is_ok());
}

#[test]
fn keys_pass_filters_whose_special_characters_are_encoded() {
    for (prefix, suffix, key, passes) in [
        (None, None, "k", true),
        (Some("images/"), None, "images/a.jpg", true),
        (Some("images/"), None, "image", false),
        (Some(""), Some(""), "k", true),
        (Some("images/"), Some(".jpg"), "images/a.jpg", true),
        (Some("images/"), Some(".jpg"), "images/a.png", false),
        (Some("red+flower"), None, "red flower.jpg", true),
        (Some("red+flower"), None, "red+flower.jpg", false),
        (Some("red%2Bflower"), None, "red+flower.jpg", true),
        (Some("caf%C3%A9"), None, "café/1", true),
        (Some("café"), None, "café/1", true),
        (None, Some("100%"), "100%", true),
        (None, Some("%FF"), "a%FF", true),
        (Some("*"), None, "abc", false),
    ] {
        let filter = filter(prefix, suffix).unwrap_or_default();
        assert_eq!(filter.passes(key), passes, "{prefix:?} {suffix:?} {key}");
    }
}

#[test]
fn an_event_goes_to_each_target_once() {
    let other = Rule {
        arn: "arn:aws:sns:r:1:topic".to_owned(),
        ..rule("2", &["s3:ObjectCreated:Put"], filter(None, Some(".b")))
    };
    let mut configuration = configuration(vec![
        rule("1", &["s3:ObjectCreated:*", "s3:ObjectCreated:Put"], filter(None, Some(".a"))),
        other,
        rule("3", &["s3:ObjectRemoved:*"], None),
    ]);
    assert_eq!(configuration.check(), Ok(()));
    let named = |configuration: &Configuration, name, key| -> Vec<(String, String)> {
        let found = configuration.addressees(name, key).into_iter();
        found.map(|addressee| (addressee.target, addressee.configuration)).collect()
    };
    let pair = |target: &str, id: &str| (target.to_owned(), id.to_owned());
    assert_eq!(named(&configuration, EventName::ObjectCreatedPut, "k.a"), [pair("queue", "1")]);
    assert_eq!(named(&configuration, EventName::ObjectCreatedPut, "k.b"), [pair("topic", "2")]);
    assert_eq!(named(&configuration, EventName::ObjectCreatedCopy, "k.b"), []);
    configuration.event_bridge = Some(vec!["bus".to_owned(), "queue".to_owned()]);
    assert_eq!(named(&configuration, EventName::ObjectRemovedDelete, "k"), [pair("queue", "3"), pair("bus", "")]);
    assert_eq!(named(&configuration, EventName::ObjectAclPut, "k"), [pair("bus", ""), pair("queue", "")]);
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), "[ab+]{0,3}".prop_map(Some)]
}

proptest! {
    /// What is accepted never sends one event by two configurations.
    #[test]
    fn accepted_configurations_never_share_an_event(
        filters in prop::collection::vec((value(), value()), 2..5),
        key in "[ab ]{0,8}",
    ) {
        let one = |(at, (prefix, suffix)): (usize, &(Option<String>, Option<String>))| {
            rule(&at.to_string(), &["s3:ObjectCreated:*"], filter(prefix.as_deref(), suffix.as_deref()))
        };
        let configuration = configuration(filters.iter().enumerate().map(one).collect());
        let concerned = configuration.rules.iter().filter(|rule| {
            rule.filter.as_ref().is_none_or(|filter| filter.passes(&key))
        });
        prop_assert!(configuration.check().is_err() || concerned.count() <= 1);
    }

    /// Two filters overlap exactly if some key passes both: the one that begins with both prefixes and ends with both
    /// suffixes.
    #[test]
    fn filters_overlap_if_a_key_passes_both(one in (value(), value()), other in (value(), value())) {
        let (first, second) = (filter(one.0.as_deref(), one.1.as_deref()), filter(other.0.as_deref(), other.1.as_deref()));
        let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
        let longer = |a: Option<String>, b: Option<String>| {
            let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
            if a.len() > b.len() { a } else { b }
        };
        let key = format!("{}--{}", longer(one.0, other.0), longer(one.1, other.1)).replace('+', " ");
        prop_assert_eq!(first.overlaps(&second), first.passes(&key) && second.passes(&key));
        prop_assert_eq!(first.overlaps(&second), second.overlaps(&first));
    }

    #[test]
    fn no_text_makes_parsing_fail_badly(text in "\\PC{0,40}") {
        let _ = (Pattern::parse(&text), target_of(&text), Side::parse(&text));
        let filter = Filter(vec![FilterRule { side: Side::Prefix, value: text.clone() }]);
        let _ = filter.passes(&text);
    }
}
