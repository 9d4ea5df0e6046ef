//! The sinks that need no server of their own, and Kafka against librdkafka's mock cluster.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::target::{
    EventFormat, EventLimits, FileTarget, KafkaTarget, OnFull, Secret, TargetKind, TlsFiles, WebhookTarget,
};
use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

fn target(kind: TargetKind, timeout: Duration) -> EventTarget {
    let limits = EventLimits { max_age: DEADLINE, max_events: 1, max_bytes: 1, on_full: OnFull::DeadLetter };
    EventTarget { name: "t".to_owned(), format: EventFormat::S3, limits, timeout, kind }
}

fn messages(count: usize) -> Vec<Message> {
    let message = |number: usize| Message {
        ordering_key: format!("b/k{}", number % 5),
        id: format!("id-{number}"),
        body: Bytes::from(format!("{{\"number\":{number}}}")),
        content_type: "application/json",
        event_name: "ObjectCreated:Put".to_owned(),
        bucket: "b".to_owned(),
        key: format!("k{}", number % 5),
        time: "2026-01-02T03:04:05Z".to_owned(),
    };
    (0..count).map(message).collect()
}

fn kafka(brokers: &str, timeout: Duration) -> Arc<dyn EventSink> {
    let kind = TargetKind::Kafka(KafkaTarget {
        brokers: brokers.split(',').map(str::to_owned).collect(),
        topic: "events".to_owned(),
        use_tls: false,
        tls: TlsFiles::default(),
        sasl: None,
    });
    open(&target(kind, timeout)).expect("opened")
}

/// What the topic holds: key, id and number, per partition in order.
fn consumed(brokers: &str, at_least: usize) -> Vec<(String, String, usize)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["events"]).expect("subscribed");
    let until = std::time::Instant::now() + DEADLINE;
    let mut found = Vec::new();
    while found.len() < at_least {
        assert!(std::time::Instant::now() < until, "{} of {at_least} records arrived", found.len());
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = record.expect("a record");
        let json: serde_json::Value = serde_json::from_slice(record.payload().expect("a payload")).expect("JSON");
        let number = usize::try_from(json["number"].as_u64().expect("a number")).expect("small");
        let key = String::from_utf8(record.key().expect("a key").to_vec()).expect("UTF-8");
        let headers = record.headers().expect("headers");
        let id = headers.iter().find(|header| header.key == "id").and_then(|header| header.value).expect("an id");
        found.push((key, String::from_utf8(id.to_vec()).expect("UTF-8"), number));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_gets_each_record_in_order_for_its_key() {
    let cluster: MockCluster<'_, rdkafka::producer::DefaultProducerContext> = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("events", 3, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let sink = kafka(&brokers, DEADLINE);
    assert_eq!(sink.check().await, Ok(()));
    assert_eq!(sink.send(&messages(100)).await, Sent::all(100));
    let found = tokio::task::spawn_blocking(move || consumed(&brokers, 100)).await.expect("read");
    assert_eq!(found.len(), 100);
    for key in 0..5 {
        let own: Vec<&(String, String, usize)> =
            found.iter().filter(|(name, ..)| *name == format!("b/k{key}")).collect();
        assert!(own.len() == 20 && own.iter().map(|(.., number)| number).is_sorted(), "{own:?}");
        assert!(own.iter().all(|(_, id, number)| *id == format!("id-{number}")), "{own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_that_was_away_gets_what_is_sent_again() {
    let cluster: MockCluster<'_, rdkafka::producer::DefaultProducerContext> = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("events", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let sink = kafka(&brokers, Duration::from_secs(3));
    let messages = messages(20);
    assert_eq!(sink.send(&messages[..10]).await, Sent::all(10));
    cluster.broker_down(1).expect("down");
    let sent = sink.send(&messages[10..]).await;
    assert!(sent.taken == 0 && matches!(sent.stopped, Some(SendError::Unavailable { .. })), "{sent:?}");
    assert!(sink.check().await.is_err());
    cluster.broker_up(1).expect("up");
    let until = tokio::time::Instant::now() + DEADLINE;
    while sink.send(&messages[10..]).await != Sent::all(10) {
        assert!(tokio::time::Instant::now() < until, "the broker is back, and gets nothing");
    }
    let found = tokio::task::spawn_blocking(move || consumed(&brokers, 20)).await.expect("read");
    let mut seen = Vec::new();
    for (.., number) in found {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_unavailable() {
    let sink = kafka("127.0.0.1:9", Duration::from_millis(500));
    let sent = sink.send(&messages(1)).await;
    assert!(matches!(&sent.stopped, Some(SendError::Unavailable { .. })), "{sent:?}");
    assert!(sink.check().await.is_err());
}

#[tokio::test]
async fn a_file_gets_a_line_for_each_event_also_after_rotation() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    let kind = TargetKind::File(FileTarget { path: Some(path.clone()) });
    let sink = open(&target(kind, DEADLINE)).expect("opened");
    assert_eq!(sink.check().await, Ok(()));
    let messages = messages(3);
    assert_eq!(sink.send(&messages[..2]).await, Sent::all(2));
    std::fs::rename(&path, folder.path().join("old")).expect("moved");
    assert_eq!(sink.send(&messages[2..]).await, Sent::all(1));
    let old = std::fs::read_to_string(folder.path().join("old")).expect("text");
    assert_eq!(old, "{\"number\":0}\n{\"number\":1}\n");
    assert_eq!(std::fs::read_to_string(&path).expect("text"), "{\"number\":2}\n");

    let nowhere = TargetKind::File(FileTarget { path: Some(folder.path().join("no/such/folder")) });
    let sink = open(&target(nowhere, DEADLINE)).expect("opened");
    assert!(matches!(sink.send(&messages).await.stopped, Some(SendError::Unavailable { .. })));
}

/// A receiver that answers each request with the status that `answer` gives for its body.
async fn receiver(answer: impl Fn(&str) -> u16 + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            tokio::spawn(async move {
                let mut text = String::new();
                let mut part = [0; 8_192];
                while let Ok(count @ 1..) = stream.read(&mut part).await {
                    text.push_str(&String::from_utf8_lossy(&part[..count]));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() < length.map_or(0, |length| length.parse().expect("a length")) {
                        continue;
                    }
                    let status = answer(body);
                    kept.lock().expect("not poisoned").push(text.clone());
                    let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                    text.clear();
                }
            });
        }
    });
    (url, seen)
}

fn webhook(url: &str, batch_size: usize) -> Arc<dyn EventSink> {
    let kind = TargetKind::Webhook(WebhookTarget {
        url: url.parse().expect("a URL"),
        secret: Some(Secret::Text("key".to_owned())),
        bearer_token: Some(Secret::Text("token".to_owned())),
        headers: vec![("X-Team".to_owned(), Secret::Text("storage".to_owned()))],
        batch_size,
        http2: false,
        tls: TlsFiles::default(),
    });
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    open(&target(kind, DEADLINE)).expect("opened")
}

#[tokio::test]
async fn a_webhook_gets_signed_requests() {
    let (url, seen) = receiver(|_| 200).await;
    let sink = webhook(&url, 1);
    assert_eq!(sink.check().await, Ok(()));
    assert_eq!(sink.send(&messages(1)).await, Sent::all(1));
    let seen = seen.lock().expect("not poisoned").clone();
    let request = seen.last().expect("a request");
    for expected in [
        "POST /hook ",
        "authorization: Bearer token",
        "x-team: storage",
        "x-cairn-event-id: id-0",
        "\r\n\r\n{\"number\":0}",
    ] {
        assert!(request.contains(expected), "{expected}: {request}");
    }
    let signature = request.lines().find_map(|line| line.strip_prefix("x-cairn-signature: t=")).expect("a signature");
    let (time, signature) = signature.split_once(",v1=").expect("two parts");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"key");
    let expected = aws_lc_rs::hmac::sign(&key, format!("{time}.{{\"number\":0}}").as_bytes());
    assert_eq!(signature, hex::encode(expected));
}

#[tokio::test]
async fn a_webhook_that_refuses_one_event_gets_the_others() {
    for batch_size in [1, 10] {
        let refusing = |body: &str| if body.contains("\"number\":3}") { 422 } else { 204 };
        let (url, _) = receiver(refusing).await;
        let sink = webhook(&url, batch_size);
        let sent = sink.send(&messages(6)).await;
        assert_eq!(sent.taken, 3, "{batch_size}: {sent:?}");
        assert!(matches!(&sent.stopped, Some(SendError::Rejected { message }) if message.contains("422")), "{sent:?}");
    }
    let (url, _) = receiver(|_| 503).await;
    let sent = webhook(&url, 1).send(&messages(6)).await;
    assert_eq!((sent.taken, matches!(sent.stopped, Some(SendError::Unavailable { .. }))), (0, true));
}

#[tokio::test]
async fn a_webhook_takes_several_events_as_an_array() {
    let (url, seen) = receiver(|_| 200).await;
    assert_eq!(webhook(&url, 4).send(&messages(6)).await, Sent::all(6));
    let seen = seen.lock().expect("not poisoned").clone();
    let bodies: Vec<&str> = seen.iter().filter_map(|text| text.split_once("\r\n\r\n")).map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[1], "[{\"number\":4},{\"number\":5}]");
}
