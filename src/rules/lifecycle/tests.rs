use proptest::prelude::*;

use super::*;
use crate::rules::Code;

const DAY: i64 = 86_400_000;

/// Midnight, UTC, of a day, or a time of it.
fn at(text: &str) -> Timestamp {
    let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    Timestamp(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
}

fn stated(json: &str) -> Stated {
    serde_json::from_str(json).expect("the JSON form")
}

fn rules(json: &str) -> Configuration {
    try_rules(json).expect("accepted")
}

fn try_rules(json: &str) -> crate::rules::refusal::Result<Configuration> {
    let mut number = 0;
    let id = || {
        number += 1;
        format!("made-{number}")
    };
    stated(json).check(id, |_| true)
}

const NONE: &[(String, String)] = &[];

fn object(key: &str, since: Timestamp) -> Subject<'_> {
    let state = State::Current { marked: false };
    Subject { key, state, since, size: Some(1 << 20), tags: NONE, class: "STANDARD", locked: false }
}

/// `PutBucketLifecycleConfiguration`'s documented limits and Amazon's messages.
#[test]
fn what_may_not_be_is_refused_in_amazons_words() {
    let one = |rule: &str| format!(r#"{{"Rules": [{rule}]}}"#);
    let with = |fields: &str| one(&format!(r#"{{"Status": "Enabled", "Filter": {{"Prefix": "p/"}}, {fields}}}"#));
    let cases = [
        (r#"{"Rules": []}"#.to_owned(), Code::MalformedXML, ""),
        (one(r#"{"Status": "enabled", "Prefix": "", "Expiration": {"Days": 1}}"#), Code::MalformedXML, ""),
        (one(r#"{"Status": "Enabled", "Expiration": {"Days": 1}}"#), Code::MalformedXML, ""),
        (one(r#"{"Status": "Enabled", "Prefix": "", "Filter": {}, "Expiration": {"Days": 1}}"#), Code::MalformedXML, ""),
        (one(r#"{"Status": "Enabled", "Filter": {}}"#), Code::InvalidRequest, "At least one action needs to be specified in a rule"),
        (with(r#""Expiration": {"Days": 0}"#), Code::InvalidArgument, "'Days' for Expiration action must be a positive integer"),
        (with(r#""Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": true}"#), Code::MalformedXML, ""),
        (with(r#""Expiration": {"Date": "2026-01-01T01:00:00Z"}"#), Code::InvalidArgument, "'Date' must be at midnight GMT"),
        (
            with(r#""NoncurrentVersionExpiration": {"NoncurrentDays": 0}"#),
            Code::InvalidArgument,
            "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
        ),
        (with(r#""NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 5}"#), Code::MalformedXML, ""),
        (
            with(r#""AbortIncompleteMultipartUpload": {"DaysAfterInitiation": -1}"#),
            Code::InvalidArgument,
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
        ),
        (
            with(r#""Expiration": {"Days": 30}, "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]"#),
            Code::InvalidArgument,
            "'Days' in the Expiration action for filter '(prefix=p/)' must be greater than 'Days' in the Transition action",
        ),
        (
            with(r#""Transitions": [{"Days": 29, "StorageClass": "STANDARD_IA"}]"#),
            Code::InvalidArgument,
            "'Days' in Transition action must be greater than or equal to 30 for storageClass 'STANDARD_IA'",
        ),
        (
            with(r#""Expiration": {"Days": 30}, "Transitions": [{"Date": "2026-01-01", "StorageClass": "GLACIER"}]"#),
            Code::InvalidRequest,
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=p/)'",
        ),
        (with(r#""Transitions": [{"Days": 1, "StorageClass": "STANDARD"}]"#), Code::MalformedXML, ""),
        (
            one(r#"{"Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Expiration": {"ExpiredObjectDeleteMarker": true}}"#),
            Code::InvalidRequest,
            "ExpiredObjectDeleteMarker cannot be specified with Tags.",
        ),
        (
            one(r#"{"Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}"#),
            Code::InvalidRequest,
            "AbortIncompleteMultipartUpload cannot be specified with Tags.",
        ),
        (
            one(r#"{"Status": "Enabled", "Filter": {"And": {"ObjectSizeGreaterThan": 10, "ObjectSizeLessThan": 10}}, "Expiration": {"Days": 1}}"#),
            Code::InvalidRequest,
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        ),
        (
            r#"{"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}, {"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 2}}]}"#.to_owned(),
            Code::InvalidArgument,
            "Rule ID must be unique. Found same ID for more than one rule",
        ),
    ];
    for (json, code, message) in cases {
        let refusal = try_rules(&json).expect_err(&json);
        assert_eq!(refusal.code, code, "{json}: {refusal}");
        assert!(message.is_empty() || refusal.message == message, "{json}: {refusal}");
    }
    let long =
        format!(r#"{{"ID": "{}", "Status": "Enabled", "Filter": {{}}, "Expiration": {{"Days": 1}}}}"#, "a".repeat(256));
    let refusal = try_rules(&one(&long)).expect_err("too long");
    assert_eq!(refusal.message, "ID length should not exceed allowed limit of 255");
    let many = vec![r#"{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}"#; 1_001].join(",");
    assert_eq!(try_rules(&one(&many)).expect_err("too many").code, Code::InvalidRequest);
}

#[test]
fn a_class_that_nothing_serves_is_refused_and_never_ignored() {
    let json =
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}]}"#;
    let refusal = stated(json).check(String::new, |_| false).expect_err("nothing serves it");
    assert_eq!((refusal.code, refusal.detail("StorageClassRequested")), (Code::InvalidStorageClass, Some("GLACIER")));
    assert!(try_rules(json).is_ok());
}

#[test]
fn golden_bytes_of_a_configuration() {
    let configuration = rules(
        r#"{"TransitionDefaultMinimumObjectSize": "varies_by_storage_class", "Rules": [{"ID": "i", "Status": "Enabled",
        "Filter": {"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5}},
        "Expiration": {"Days": 300}, "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 3},
        "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]}"#,
    );
    let bytes = postcard_of(&configuration);
    let golden =
        b"\x01\x01i\x01\x02\x01\x01p\x01\x01k\x01v\x01\x05\0\x01\0\0\xac\x02\x01\x02\x03\0\x01\0\x01\x07GLACIER\0\x01";
    assert_eq!(bytes, golden[..], "{}", bytes.escape_ascii());
}

fn postcard_of(configuration: &Configuration) -> Vec<u8> {
    use storage::index::records::Record as _;
    configuration.encode().split_off(1)
}

/// "Lifecycle rules: Based on an object's age": an object created at 10:30 UTC on January 15, 2014, with 3 days, goes at
/// midnight of January 19. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>
#[test]
fn days_end_at_the_midnight_that_follows() {
    let configuration = rules(r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 3}}]}"#);
    let subject = object("k", at("2014-01-15T10:30:00Z"));
    let (when, rule) = expiration(&configuration, &subject, Calendar::AMAZON).expect("it expires");
    assert_eq!((when, rule.id.as_str()), (at("2014-01-19"), "made-1"));
    assert_eq!(decide(&configuration, &subject, Calendar::AMAZON, Timestamp(when.0 - 1)), None);
    assert_eq!(decide(&configuration, &subject, Calendar::AMAZON, when).map(|due| due.action), Some(Action::Expire));
    // Noncurrent: "an object created 1/1/2014 10:30 AM, replaced on 1/15/2014 10:30 AM, 3 days: midnight of 1/19".
    let configuration = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}]}"#,
    );
    let state = State::Noncurrent { since: at("2014-01-15T10:30:00Z"), newer: 0, marker: false };
    let subject = Subject { state, ..object("k", at("2014-01-01T10:30:00Z")) };
    let due = next(&configuration, &subject, Calendar::AMAZON, at("2014-01-16")).expect("it goes");
    assert_eq!((due.at, due.action), (at("2014-01-19"), Action::RemoveNoncurrent));
    // Uploads: "initiated 1/1/2014 10:30, 1 day".
    let configuration = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}"#,
    );
    let upload = Subject { state: State::Upload, size: None, ..object("k", at("2014-01-01T10:30:00Z")) };
    assert_eq!(next(&configuration, &upload, Calendar::AMAZON, upload.since).map(|due| due.at), Some(at("2014-01-03")));
}

/// The examples of <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-conflicts.html>.
#[test]
fn conflicts_are_resolved_as_amazon_documents() {
    let day = |days: i64| Timestamp(at("2026-01-01").0 + days * DAY);
    // Example 1: overlapping prefixes: the shorter expiration.
    let configuration = rules(
        r#"{"Rules": [{"ID": "1", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 365}},
        {"ID": "2", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}]}"#,
    );
    let subject = object("logs/k", day(0));
    let due = next(&configuration, &subject, Calendar::AMAZON, day(0)).expect("due");
    assert_eq!((due.rule.id.as_str(), due.at), ("2", day(30)));
    // Example 2: conflicting actions: expiration on the same day as a transition wins, as it is for good.
    let configuration = rules(
        r#"{"Rules": [{"ID": "1", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 365}},
        {"ID": "2", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Transitions": [{"Days": 365, "StorageClass": "STANDARD_IA"}]}]}"#,
    );
    let subject = object("logs/k", day(0));
    assert_eq!(decide(&configuration, &subject, Calendar::AMAZON, day(365)).expect("due").action, Action::Expire);
    // The same in a versioned bucket: a transition before a delete marker.
    let marked = Subject { state: State::Current { marked: true }, ..subject };
    let due = decide(&configuration, &marked, Calendar::AMAZON, day(365)).expect("due");
    assert_eq!(due.action, Action::Transition("STANDARD_IA".to_owned()));
    // Example 3: overlapping prefixes with transitions to different classes: on the day of both, the cheaper one.
    let configuration = rules(
        r#"{"Rules": [{"ID": "1", "Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 365, "StorageClass": "STANDARD_IA"}]},
        {"ID": "2", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Transitions": [{"Days": 365, "StorageClass": "GLACIER"}]}]}"#,
    );
    let subject = object("logs/k", day(0));
    let due = decide(&configuration, &subject, Calendar::AMAZON, day(365)).expect("due");
    assert_eq!(due.action, Action::Transition("GLACIER".to_owned()));
    assert_eq!(due.rule.id, "2");
    // Example 4: tags: an object with both, the shorter one.
    let configuration = rules(
        r#"{"Rules": [{"ID": "1", "Status": "Enabled", "Filter": {"Tag": {"Key": "t1", "Value": "v1"}}, "Transitions": [{"Days": 365, "StorageClass": "GLACIER"}]},
        {"ID": "2", "Status": "Enabled", "Filter": {"Tag": {"Key": "t2", "Value": "v2"}}, "Expiration": {"Days": 14}}]}"#,
    );
    let tags = [("t1".to_owned(), "v1".to_owned()), ("t2".to_owned(), "v2".to_owned())];
    let subject = Subject { tags: &tags, ..object("k", day(0)) };
    let due = next(&configuration, &subject, Calendar::AMAZON, day(0)).expect("due");
    assert_eq!((due.rule.id.as_str(), due.at, due.action), ("2", day(14), Action::Expire));
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-configuration-examples.html>
#[test]
fn documented_examples_do_what_their_text_says() {
    let created = at("2026-01-01");
    let day = |days: i64| Timestamp(created.0 + days * DAY);
    let action = |configuration: &Configuration, subject: &Subject<'_>, days| {
        decide(configuration, subject, Calendar::AMAZON, day(days)).map(|due| due.action)
    };
    let to = |class: &str| Some(Action::Transition(class.to_owned()));
    // "Archiving all objects within one day after creation", "Specifying a lifecycle rule that has a single tag" …
    let archive = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}]}"#,
    );
    assert_eq!(action(&archive, &object("k", created), 0), to("GLACIER"));
    // "Disabling a Lifecycle rule"
    let disabled =
        rules(r#"{"Rules": [{"Status": "Disabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}}]}"#);
    assert_eq!(action(&disabled, &object("logs/k", created), 900), None);
    // "Tiering down storage class over an object's lifetime"
    let tiers = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {"Prefix": "tax/"}, "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"},
        {"Days": 90, "StorageClass": "GLACIER"}], "Expiration": {"Days": 365}}]}"#,
    );
    let subject = object("tax/k", created);
    assert_eq!(action(&tiers, &subject, 29), None);
    assert_eq!(action(&tiers, &subject, 30), to("STANDARD_IA"));
    let moved = Subject { class: "STANDARD_IA", ..subject };
    assert_eq!(action(&tiers, &moved, 60), None);
    assert_eq!(action(&tiers, &moved, 90), to("GLACIER"));
    assert_eq!(action(&tiers, &Subject { class: "GLACIER", ..subject }, 364), None);
    assert_eq!(action(&tiers, &moved, 365), Some(Action::Expire));
    // "Specifying a lifecycle rule for a versioning-enabled bucket": current at 30 days, noncurrent after 60.
    let versioned = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 60},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 5}}]}"#,
    );
    let noncurrent =
        |newer| Subject { state: State::Noncurrent { since: created, newer, marker: false }, ..object("k", created) };
    assert_eq!(action(&versioned, &noncurrent(4), 31), None);
    assert_eq!(action(&versioned, &noncurrent(5), 31), Some(Action::RemoveNoncurrent));
    // "Removing expired object delete markers in a versioning-enabled bucket"
    let markers =
        rules(r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": true}}]}"#);
    let marker = |state| Subject { state, size: None, ..object("k", created) };
    assert_eq!(action(&markers, &marker(State::LoneMarker), 0), Some(Action::RemoveMarker));
    assert_eq!(action(&markers, &marker(State::Marker), 900), None);
    assert_eq!(action(&markers, &object("k", created), 900), None);
    // "... when you specify Days, S3 also removes delete markers that are old enough"
    assert_eq!(action(&versioned, &marker(State::LoneMarker), 59), None);
    assert_eq!(action(&versioned, &marker(State::LoneMarker), 60), Some(Action::RemoveMarker));
    // "Specifying a lifecycle rule based on an object's size"
    let sizes = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {"And": {"ObjectSizeGreaterThan": 500, "ObjectSizeLessThan": 64000}}, "Expiration": {"Days": 1}}]}"#,
    );
    for (size, expected) in [(500, None), (501, Some(Action::Expire)), (63_999, Some(Action::Expire)), (64_000, None)] {
        assert_eq!(action(&sizes, &Subject { size: Some(size), ..object("k", created) }, 2), expected, "{size}");
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html>
#[test]
fn small_objects_stay_unless_a_filter_speaks_of_sizes() {
    let rule = |filter: &str, class: &str, minimum: &str| {
        rules(&format!(
            r#"{{"TransitionDefaultMinimumObjectSize": "{minimum}", "Rules": [{{"Status": "Enabled", "Filter": {filter}, "Transitions": [{{"Days": 30, "StorageClass": "{class}"}}]}}]}}"#
        ))
    };
    let (all, varies) = ("all_storage_classes_128K", "varies_by_storage_class");
    let small = Subject { size: Some((128 << 10) - 1), ..object("k", Timestamp(0)) };
    for (filter, class, minimum, moves) in [
        ("{}", "GLACIER", all, false),
        ("{}", "GLACIER", varies, true),
        ("{}", "STANDARD_IA", varies, false),
        (r#"{"ObjectSizeGreaterThan": 1}"#, "STANDARD_IA", all, true),
    ] {
        let configuration = rule(filter, class, minimum);
        let due = next(&configuration, &small, Calendar::AMAZON, Timestamp(0));
        assert_eq!(due.is_some(), moves, "{filter} {class} {minimum}");
        let larger = Subject { size: Some(128 << 10), ..small };
        assert!(next(&configuration, &larger, Calendar::AMAZON, Timestamp(0)).is_some());
    }
}

#[test]
fn a_lock_keeps_what_would_go_for_good() {
    let configuration = rules(
        r#"{"Rules": [{"Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}]}"#,
    );
    let late = Timestamp(90 * DAY);
    let locked = Subject { locked: true, ..object("k", Timestamp(0)) };
    assert_eq!(decide(&configuration, &locked, Calendar::AMAZON, late), None);
    let old = State::Noncurrent { since: Timestamp(0), newer: 0, marker: false };
    assert_eq!(decide(&configuration, &Subject { state: old, ..locked }, Calendar::AMAZON, late), None);
    let marked = Subject { state: State::Current { marked: true }, ..locked };
    assert_eq!(decide(&configuration, &marked, Calendar::AMAZON, late).map(|due| due.action), Some(Action::Expire));
}

fn any_rule() -> impl Strategy<Value = String> {
    let prefix = prop_oneof![Just(""), Just("a"), Just("a/b")];
    let expiration = prop_oneof![
        Just(String::new()),
        (1..40_i64).prop_map(|days| format!(r#", "Expiration": {{"Days": {days}}}"#)),
        (0..60_i64).prop_map(|day| {
            let date = jiff::Timestamp::from_millisecond(day * DAY).expect("in range");
            format!(r#", "Expiration": {{"Date": "{date}"}}"#)
        }),
    ];
    let noncurrent = (1..40_i64, 1..4_i64).prop_map(|(days, newer)| {
        format!(r#", "NoncurrentVersionExpiration": {{"NoncurrentDays": {days}, "NewerNoncurrentVersions": {newer}}}"#)
    });
    (prefix, any::<bool>(), expiration, noncurrent).prop_map(|(prefix, enabled, expiration, noncurrent)| {
        let status = if enabled { "Enabled" } else { "Disabled" };
        format!(r#"{{"Status": "{status}", "Filter": {{"Prefix": "{prefix}"}}{expiration}{noncurrent}}}"#)
    })
}

proptest! {
    /// Time only adds to what is due; what is next is what is then done, and never before.
    #[test]
    fn decisions_agree_and_only_grow(
        list in proptest::collection::vec(any_rule(), 1..6),
        since in 0..40 * DAY,
        now in 0..120 * DAY,
        later in 0..60 * DAY,
        newer in 0..4_u32,
        old in any::<bool>(),
        scaled in any::<bool>(),
    ) {
        let configuration = rules(&format!(r#"{{"Rules": [{}]}}"#, list.join(",")));
        let calendar = if scaled { Calendar::with_days_of(10) } else { Calendar::AMAZON };
        let mut subject = object("a/b/c", Timestamp(since));
        if old {
            subject.state = State::Noncurrent { since: Timestamp(since), newer, marker: false };
        }
        let (now, then) = (Timestamp(now), Timestamp(now + later));
        let due = decide(&configuration, &subject, calendar, now);
        if let Some(due) = &due {
            prop_assert!(due.at <= now && due.rule.enabled);
            prop_assert!(decide(&configuration, &subject, calendar, then).is_some());
        }
        match next(&configuration, &subject, calendar, now) {
            None => prop_assert!(due.is_none()),
            Some(next) => {
                let when = next.at.max(now);
                prop_assert_eq!(decide(&configuration, &subject, calendar, when), Some(next.clone()));
                prop_assert_eq!(due.is_some(), next.at <= now);
                if when > now {
                    prop_assert_eq!(decide(&configuration, &subject, calendar, Timestamp(when.0 - 1)), None);
                }
            }
        }
        let asked = verdicts(&configuration, &subject, calendar).filter(|verdict| match verdict.outcome {
            Outcome::From(at) => at <= now,
            Outcome::Not(_) => false,
        });
        prop_assert_eq!(asked.count() > 0, due.is_some());
        prop_assert!(due.is_none() || configuration.concerns(subject.key));
    }

    /// The header's date is a midnight, later than the days, by less than one.
    #[test]
    fn dates_are_midnights(since in 0..20_000 * DAY, days in 1..5_000_u32) {
        let due = Calendar::AMAZON.after(Timestamp(since), days).0;
        let exact = since + i64::from(days) * DAY;
        prop_assert!(due % DAY == 0 && due >= exact && due - exact < DAY);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}") {
        let _ = serde_json::from_str::<Stated>(&text);
    }
}
