use super::*;
use crate::outbound::events::target::{NatsAuth, RedisMode, Secret};

fn target(text: &str) -> Result<EventTarget, String> {
    event_target(&RawEventTarget(text.parse().expect("TOML")))
}

const WEBHOOK: &str = "name = \"w\"\nkind = \"webhook\"\nurl = \"https://h/p\"\n";

#[test]
fn a_table_is_read_with_its_defaults() {
    let target = target(WEBHOOK).expect("valid");
    assert_eq!((target.name.as_str(), target.format), ("w", EventFormat::S3));
    assert_eq!(target.limits.on_full, OnFull::DeadLetter);
    assert_eq!(target.timeout, Duration::from_secs(10));
    let TargetKind::Webhook(webhook) = target.kind else { panic!("a webhook") };
    assert_eq!((webhook.url.as_str(), webhook.batch_size), ("https://h/p", 1));
}

#[test]
fn secrets_are_given_once_and_stay_out_of_debug_output() {
    let text = format!("{WEBHOOK}secret = \"hush-hush\"\nheaders = {{ X-Key = \"also-hush\" }}\n");
    let shown = format!("{:?}", target(&text).expect("valid"));
    assert!(!shown.contains("hush"), "{shown}");
    let raw = RawEventTarget(text.parse().expect("TOML"));
    assert!(!format!("{raw:?}").contains("hush"));
    let error = target(&format!("{text}secret_file = \"/x\"\n")).expect_err("both");
    assert!(error.contains("secret or secret_file"), "{error}");
}

#[test]
fn faults_name_the_key_and_what_would_be_right() {
    let cases = [
        ("name = \"n\"\n", "kind is missing"),
        ("name = \"n\"\nkind = \"kafk\"\n", "did you mean \"kafka\""),
        ("name = \"n\"\nkind = \"webhook\"\n", "url is missing"),
        ("kind = \"file\"\npath = \"-\"\n", "name is missing"),
        ("name = \"a b\"\nkind = \"file\"\npath = \"-\"\n", "name: write"),
        ("name = \"n\"\nkind = \"file\"\npath = \"-\"\nurl = \"x\"\n", "its keys are"),
        ("name = \"n\"\nkind = \"webhook\"\nulr = \"x\"\n", "its keys are"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"https://u:p@h/\"\n", "credentials do not belong"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"ftp://h/\"\n", "https:// or http://"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"http://h/\"\nformat = \"xml\"\n", "cloudevents"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"http://h/\"\ntimeout = \"1h\"\n", "timeout: must be"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"http://h/\"\non_full = \"block\"\n", "dead_letter"),
        ("name = \"n\"\nkind = \"webhook\"\nurl = \"http://h/\"\nheaders = { Host = \"x\" }\n", "cannot be sent"),
        ("name = \"n\"\nkind = \"kafka\"\nbrokers = [\"h\"]\ntopic = \"t\"\n", "HOST:PORT"),
        ("name = \"n\"\nkind = \"kafka\"\nbrokers = [\"h:1\"]\ntopic = \"t\"\nusername = \"u\"\n", "password"),
        ("name = \"n\"\nkind = \"kafka\"\nbrokers = [\"h:1\"]\ntopic = \"t\"\nca_file = \"/c\"\n", "tls = true"),
        ("name = \"n\"\nkind = \"nats\"\nservers = [\"nats://h\"]\nsubject = \"a.>\"\n", "subject"),
        ("name = \"n\"\nkind = \"amqp\"\nurl = \"amqp://h\"\n", "exchange is missing"),
        ("name = \"n\"\nkind = \"mqtt\"\nurl = \"mqtt://h\"\ntopic = \"a/#\"\n", "topic"),
        ("name = \"n\"\nkind = \"redis\"\nurl = \"redis://h\"\nkey = \"k\"\nmode = \"set\"\n", "stream, list, pubsub"),
        ("name = \"n\"\nkind = \"postgresql\"\nurl = \"postgresql://h/d\"\ntable = \"a;b\"\n", "table"),
        ("name = \"n\"\nkind = \"sqs\"\nqueue_url = \"http://h/q\"\n", "access_key_id is missing"),
        ("name = \"n\"\nkind = \"sns\"\ntopic_arn = \"t\"\n", "not an ARN"),
    ];
    for (text, expected) in cases {
        let error = target(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_event_bus_takes_its_own_format() {
    let text = "name = \"b\"\nkind = \"eventbridge\"\naccess_key_id = \"k\"\nsecret_access_key = \"s\"\n";
    assert_eq!(target(text).expect("valid").format, EventFormat::EventBridge);
    assert!(target(&format!("{text}format = \"s3\"\n")).is_err());
}

#[test]
fn the_admin_api_says_it_in_json() {
    let json = serde_json::json!({
        "name": "r", "kind": "redis", "url": "redis://h:1/2", "key": "events", "max_length": 1000,
    });
    let target = event_target_of_json(&json).expect("valid");
    let TargetKind::Redis(redis) = target.kind else { panic!("redis") };
    assert_eq!(redis.mode, RedisMode::Stream { max_length: Some(1000) });
    assert!(event_target_of_json(&serde_json::json!(["r"])).is_err());
    assert!(event_target_of_json(&serde_json::json!({"name": null})).is_err());
}

#[test]
fn the_environment_completes_and_overrides_a_table() {
    let text = "name = \"my-bus\"\nkind = \"nats\"\nservers = [\"nats://h\"]\nsubject = \"s\"\ntoken_file = \"/t\"\n";
    let mut tables = vec![RawEventTarget(text.parse().expect("TOML"))];
    let environment = Environment::from_pairs([("CAIRN_EVENT_TARGET_MY_BUS_TOKEN", "from-outside")]).expect("UTF-8");
    apply_environment(&mut tables, &environment).expect("known");
    let TargetKind::Nats(nats) = event_target(&tables[0]).expect("valid").kind else { panic!("nats") };
    assert_eq!(nats.auth, NatsAuth::Token(Secret::Text("from-outside".to_owned())));

    let stranger = Environment::from_pairs([("CAIRN_EVENT_TARGET_OTHER_TOKEN", "x")]).expect("UTF-8");
    let error = apply_environment(&mut tables, &stranger).expect_err("no such target").to_string();
    assert!(error.contains("CAIRN_EVENT_TARGET_OTHER_TOKEN"), "{error}");
}

#[test]
fn names_are_unique() {
    let table = || RawEventTarget(WEBHOOK.parse().expect("TOML"));
    let error = event_targets(&[table(), table()]).expect_err("twice").to_string();
    assert!(error.contains("\"w\"") && error.contains("two targets"), "{error}");
}
