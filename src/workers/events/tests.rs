use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use storage::chunks::memory::MemoryChunks;
use storage::index::records::{Attributes, BucketRecord, Content, ETag, ObjectRecord, Record, VersionRecord};
use storage::kv::memory::MemoryKv;
use storage::store::{BucketCreation, Change, Limits, NewBucket, Outcome};

use super::*;
use crate::config::{ByteSize, OnRemoved};
use crate::event_targets::Source;
use crate::object::{Event, TargetState};
use crate::outbound::events::target::{EventFormat, EventLimits, EventTarget, FileTarget, OnFull, TargetKind};
use crate::outbound::events::{EventSink, Message, SendError, Sent};
use crate::rules::notification::{Addressee, EventName, Origin};

/// What a target does with a message; `None` takes it.
type Mood = Option<SendError>;
type MoodOf = fn(&str) -> Mood;

/// A target that notes what it takes.
#[derive(Default)]
struct Receiver {
    /// Asked for each message's key.
    mood: Mutex<Option<MoodOf>>,
    hangs: Mutex<bool>,
    got: Mutex<Vec<String>>,
}

impl Receiver {
    fn keys(&self) -> Vec<String> {
        self.got.lock().expect("no panic").clone()
    }

    fn behave(&self, mood: Option<fn(&str) -> Mood>) {
        *self.mood.lock().expect("no panic") = mood;
    }
}

#[async_trait]
impl EventSink for Receiver {
    async fn check(&self) -> std::result::Result<(), SendError> {
        Ok(())
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        if *self.hangs.lock().expect("no panic") {
            std::future::pending::<()>().await;
        }
        let mood = *self.mood.lock().expect("no panic");
        for (taken, message) in messages.iter().enumerate() {
            if let Some(error) = mood.and_then(|mood| mood(&message.key)) {
                return Sent { taken, stopped: Some(error) };
            }
            self.got.lock().expect("no panic").push(message.key.clone());
        }
        Sent { taken: messages.len(), stopped: None }
    }

    fn batch_limit(&self) -> usize {
        7
    }
}

#[allow(clippy::unnecessary_wraps, reason = "one mood of several")]
fn is_down(_: &str) -> Mood {
    Some(SendError::Unavailable { message: "connection refused".to_owned() })
}

fn refuses_odd(key: &str) -> Mood {
    let odd = key.parse::<u32>().is_ok_and(|number| number % 2 == 1);
    odd.then(|| SendError::Rejected { message: "too odd".to_owned() })
}

const LIMITS: EventLimits = EventLimits {
    max_age: Duration::from_hours(1),
    max_events: 1_000_000,
    max_bytes: 1 << 30,
    on_full: OnFull::DeadLetter,
};

/// A store with a bucket, targets, and their delivery.
struct Bench {
    store: Arc<Store>,
    bucket: BucketRecord,
    options: DeliveryConfig,
    targets: watch::Sender<Targets>,
    delivery: Option<EventDelivery>,
    /// When the next event happened, in milliseconds.
    now: i64,
}

impl Bench {
    async fn new() -> Self {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
        let store = Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads");
        let bucket = NewBucket {
            name: "bucket".to_owned(),
            owner: "owner".to_owned(),
            region: "r".to_owned(),
            created: Timestamp(0),
            configs: Vec::new(),
            object_lock: false,
        };
        let BucketCreation::Created(bucket) = store.create_bucket(bucket).await.expect("creates") else {
            panic!("the store was empty")
        };
        let options = DeliveryConfig {
            retention: Duration::from_hours(1),
            retention_size: ByteSize::mib(1),
            longest_backoff: Duration::from_millis(5),
            max_dead_letters: 1_000,
            removed_target: OnRemoved::DeadLetter,
        };
        let targets = watch::Sender::new(Targets::default());
        Self { store, bucket, options, targets, delivery: None, now: Timestamp::now().0 }
    }

    fn set(&self, targets: &[(&str, EventLimits, &Arc<Receiver>)]) {
        let known = |(name, limits, receiver): &(&str, EventLimits, &Arc<Receiver>)| {
            let target = EventTarget {
                name: (*name).to_owned(),
                format: EventFormat::S3,
                limits: *limits,
                timeout: Duration::from_mins(1),
                kind: TargetKind::File(FileTarget { path: None }),
            };
            let sink: Arc<dyn EventSink> = Arc::<Receiver>::clone(receiver);
            (
                (*name).to_owned(),
                Arc::new(KnownTarget { target: Arc::new(target), source: Source::File, sink: Ok(sink) }),
            )
        };
        self.targets.send_replace(Arc::new(targets.iter().map(known).collect::<BTreeMap<_, _>>()));
    }

    fn start(&mut self) {
        self.delivery = Some(EventDelivery::start(&self.store, self.options.clone(), self.targets.subscribe()));
    }

    async fn stop(&mut self) {
        let delivery = self.delivery.take().expect("runs");
        tokio::time::timeout(Duration::from_secs(20), delivery.stop()).await.expect("stops though targets hang");
    }

    /// Writes objects, each with an event for these targets.
    async fn put(&mut self, keys: impl IntoIterator<Item = u32>, targets: &[&str]) {
        for key in keys {
            self.now += 1;
            let key = key.to_string();
            let view = self.store.view(&self.bucket, &key).await.expect("reads").expect("is there");
            let staged = self.store.object_writer(Some(0)).finish().await.expect("empty");
            let object = ObjectRecord {
                size: 0,
                etag: ETag { md5: [0; 16], parts: None },
                data: staged.data(),
                checksum: None,
                attributes: Attributes::default(),
                annotations: None,
                restore: None,
            };
            let version = VersionRecord {
                id: self.store.next_id(view.last_order()),
                null: true,
                modified: Timestamp(self.now),
                owner: "owner".to_owned(),
                content: Content::Object(object),
            };
            let addressee = |target: &&str| Addressee { target: (*target).to_owned(), configuration: "c".to_owned() };
            let event = Event {
                name: EventName::ObjectCreatedPut,
                time: Timestamp(self.now),
                bucket: self.bucket.name.clone(),
                bucket_id: self.bucket.id,
                bucket_account: "1".to_owned(),
                region: "r".to_owned(),
                key,
                size: Some(0),
                etag: None,
                version: None,
                origin: Origin::default(),
                storage: None,
                addressees: targets.iter().map(addressee).collect(),
            };
            let mut changes = Vec::new();
            if view.current.is_some() {
                changes.push(Change::RemoveCurrent);
            }
            changes.push(Change::PutCurrent(version, staged));
            let mut edit = view.edit(changes, None);
            edit.append_event(event.encode());
            assert!(matches!(self.store.commit(edit).await.expect("commits"), Outcome::Committed));
        }
    }

    async fn status(&self, target: &str) -> TargetStatus {
        let all = self.delivery.as_ref().expect("runs").status().await.expect("answers");
        all.into_iter().find(|status| status.name == target).expect("runs")
    }

    async fn letters(&self, target: &str) -> Vec<u32> {
        let letters = self.store.dead_letters(target, 0, 1_000).await.expect("reads");
        let key = |letter: &storage::store::BuriedLetter| Event::decode(&letter.letter.event).expect("decodes").key;
        letters.iter().map(|letter| key(letter).parse().expect("a number")).collect()
    }
}

/// Looks again and again until it holds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn texts(keys: impl IntoIterator<Item = u32>) -> Vec<String> {
    keys.into_iter().map(|key| key.to_string()).collect()
}

#[tokio::test]
async fn each_target_gets_its_events_in_order_and_goes_on_after_a_restart() {
    let mut bench = Bench::new().await;
    let (one, two) = (Arc::<Receiver>::default(), Arc::<Receiver>::default());
    bench.put(0..20, &["one"]).await;
    bench.set(&[("one", LIMITS, &one), ("two", LIMITS, &two)]);
    bench.start();
    bench.put(20..600, &["one", "two"]).await;
    bench.put(600..610, &["two"]).await;
    eventually("all is delivered", async || one.keys().len() == 600 && two.keys().len() == 590).await;
    bench.stop().await;
    bench.put(700..710, &["one"]).await;
    bench.start();
    eventually("the rest is delivered", async || one.keys().len() == 610).await;
    assert_eq!(one.keys(), texts((0..600).chain(700..710)), "nothing is sent again after an orderly end");
    assert_eq!(two.keys(), texts(20..610));
    eventually("all are idle", async || bench.status("two").await.state == TargetState::Idle).await;
    let status = bench.status("one").await;
    assert_eq!((status.sent, status.failures, status.oldest_waiting), (10, 0, None));
    bench.stop().await;
}

#[tokio::test]
async fn a_target_that_fails_gets_everything_when_it_is_back_and_holds_up_nobody() {
    let mut bench = Bench::new().await;
    let (down, hanging, well) = (Arc::<Receiver>::default(), Arc::<Receiver>::default(), Arc::<Receiver>::default());
    down.behave(Some(is_down));
    *hanging.hangs.lock().expect("no panic") = true;
    bench.set(&[("down", LIMITS, &down), ("hanging", LIMITS, &hanging), ("well", LIMITS, &well)]);
    bench.start();
    bench.put(0..50, &["down", "hanging", "well"]).await;
    eventually("the others are served", async || well.keys().len() == 50).await;
    eventually("failures are seen", async || bench.status("down").await.failures > 3).await;
    let status = bench.status("down").await;
    assert_eq!((status.state, status.sent, status.behind), (TargetState::Failing, 0, 50));
    assert!(status.last_failure.is_some_and(|(_, why)| why == "connection refused") && status.oldest_waiting.is_some());
    down.behave(None);
    eventually("it catches up", async || down.keys() == texts(0..50)).await;
    bench.stop().await;
    *hanging.hangs.lock().expect("no panic") = false;
    bench.start();
    eventually("what hung goes on", async || hanging.keys() == texts(0..50)).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_is_refused_becomes_a_dead_letter_and_can_be_sent_again() {
    let mut bench = Bench::new().await;
    let picky = Arc::<Receiver>::default();
    picky.behave(Some(refuses_odd));
    bench.set(&[("picky", LIMITS, &picky)]);
    bench.start();
    bench.put(0..20, &["picky"]).await;
    eventually("all are decided", async || bench.status("picky").await.dead_letters == 10).await;
    eventually("the others arrive", async || picky.keys() == texts((0..20).filter(|key| key % 2 == 0))).await;
    assert!(bench.letters("picky").await.into_iter().eq((0..20).filter(|key| key % 2 == 1)));
    let delivery = bench.delivery.clone().expect("runs");
    let again = delivery.redeliver("picky", 0, 3, &[]).await.expect("answers").expect("is known");
    assert_eq!((again.sent, again.refused, again.last), (0, 3, Some(3)));
    picky.behave(None);
    let again = delivery.redeliver("picky", 0, 100, &[2, 4, 999]).await.expect("answers").expect("is known");
    assert_eq!((again.sent, again.refused, again.last), (2, 0, Some(4)));
    assert_eq!(bench.letters("picky").await.len(), 8);
    assert!(picky.keys().ends_with(&texts([3, 7])), "{:?}", picky.keys());
    assert_eq!(delivery.redeliver("nobody", 0, 1, &[]).await.expect("answers"), None);
    bench.stop().await;
}

#[tokio::test]
async fn beyond_its_limits_a_failing_target_loses_the_oldest_and_it_shows() {
    let mut bench = Bench::new().await;
    let (keeps, drops, old) = (Arc::<Receiver>::default(), Arc::<Receiver>::default(), Arc::<Receiver>::default());
    for receiver in [&keeps, &drops, &old] {
        receiver.behave(Some(is_down));
    }
    let few = EventLimits { max_events: 10, ..LIMITS };
    let dropping = EventLimits { on_full: OnFull::Drop, ..few };
    let brief = EventLimits { max_age: Duration::from_secs(5), ..LIMITS };
    bench.set(&[("keeps", few, &keeps), ("drops", dropping, &drops), ("old", brief, &old)]);
    bench.now -= 3_600_000;
    bench.start();
    // Events for others are no burden of theirs.
    bench.put(100..200, &["old"]).await;
    bench.put(0..30, &["keeps", "drops"]).await;
    eventually("the surplus is given up", async || bench.letters("keeps").await.len() == 20).await;
    assert!(bench.letters("keeps").await.into_iter().eq(0..20));
    eventually("the surplus is dropped", async || bench.status("drops").await.dropped == 20).await;
    eventually("what is too old is given up", async || bench.letters("old").await.len() == 100).await;
    assert_eq!(bench.status("keeps").await.dead_lettered, 20);
    for receiver in [&keeps, &drops] {
        receiver.behave(None);
    }
    eventually("the rest arrives", async || keeps.keys() == texts(20..30) && drops.keys() == texts(20..30)).await;
    let samples = bench.delivery.as_ref().expect("runs").target_gauges();
    let of = |name: &str, target: &str| {
        let found = samples.iter().find(|sample| sample.name == name && sample.label.1 == target);
        found.expect("there is such a figure").value
    };
    assert!((of("cairn_events_dropped_total", "drops") - 20.0).abs() < 0.1);
    assert!((of("cairn_events_dead_lettered_total", "keeps") - 20.0).abs() < 0.1);
    bench.stop().await;
}

#[tokio::test]
async fn events_are_sent_again_from_a_position_or_a_time_and_can_be_skipped() {
    let mut bench = Bench::new().await;
    let target = Arc::<Receiver>::default();
    // More is sent again than might wait.
    bench.set(&[("t", EventLimits { max_events: 12, ..LIMITS }, &target)]);
    bench.start();
    bench.put(0..10, &["t"]).await;
    eventually("the first are delivered", async || target.keys().len() == 10).await;
    bench.now += 60_000;
    let since = bench.now;
    bench.put(10..20, &["t"]).await;
    eventually("all is delivered", async || target.keys().len() == 20).await;
    let delivery = bench.delivery.clone().expect("runs");
    let position = ReplayFrom::Position(5);
    assert_eq!(delivery.replay("t", position).await.expect("answers"), Some(4));
    eventually("it comes again", async || target.keys().len() == 36).await;
    assert_eq!(target.keys()[20..], texts(4..20));
    assert_eq!(delivery.replay("t", ReplayFrom::Time(Timestamp(since))).await.expect("answers"), Some(10));
    eventually("it comes again", async || target.keys().len() == 46).await;
    assert_eq!(target.keys()[36..], texts(10..20));
    target.behave(Some(is_down));
    bench.put(20..25, &["t"]).await;
    eventually("they wait", async || bench.status("t").await.state == TargetState::Failing).await;
    assert_eq!(delivery.skip("t").await.expect("answers"), Some(25));
    target.behave(None);
    bench.put(25..26, &["t"]).await;
    eventually("only what is new arrives", async || target.keys().len() == 47).await;
    assert_eq!(target.keys().last().map(String::as_str), Some("25"));
    assert_eq!(delivery.replay("nobody", position).await.expect("answers"), None);
    bench.stop().await;
}

#[tokio::test]
async fn what_everybody_has_is_trimmed_and_events_of_removed_targets_are_kept_as_dead_letters() {
    let mut bench = Bench::new().await;
    let (well, down) = (Arc::<Receiver>::default(), Arc::<Receiver>::default());
    bench.options.retention = Duration::ZERO;
    bench.now -= 1_000;
    bench.set(&[("well", LIMITS, &well), ("down", LIMITS, &down)]);
    bench.start();
    bench.put(0..10, &["well", "down"]).await;
    eventually("both have them", async || down.keys().len() == 10 && well.keys().len() == 10).await;
    down.behave(Some(is_down));
    bench.put(10..30, &["well", "down"]).await;
    eventually("one has them", async || well.keys().len() == 30).await;
    bench.stop().await;
    bench.start();
    let trimmed = async |bench: &Bench| bench.store.outbox_bounds().await.expect("reads").trimmed;
    eventually("what both have goes", async || trimmed(&bench).await == 10).await;
    bench.set(&[("well", LIMITS, &well)]);
    eventually("the rest goes", async || trimmed(&bench).await == 30).await;
    assert!(bench.letters("down").await.into_iter().eq(10..30), "{:?}", bench.letters("down").await);
    eventually("its cursor is forgotten", async || bench.store.cursor("down").await.expect("reads").is_none()).await;
    bench.stop().await;
}
