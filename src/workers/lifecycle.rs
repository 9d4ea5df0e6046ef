//! Carries out lifecycle rules: passes over all buckets that have some, a page at a time, at a pace.
//!
//! A pass begins at each full interval of the clock, so at midnight UTC too, when most of what rules ask for is due;
//! a bucket whose configuration has changed gets a pass of its own at once. Where a pass has come is noted in the store,
//! so that one which a restart interrupts goes on from there. What is to be done is decided by the rules, and again by
//! each action's commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use storage::index::records::{BucketRecord, Record};
use storage::types::{BucketId, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::object::{
    self, AccessLog, Applied, BucketProgress, Item, LogOrigin, Objects, PageLimits, PassUnderWay, Position,
};
use crate::rules::lifecycle::{Calendar, Configuration};
use crate::telemetry::metrics::LabelledSample;

/// What a page of a scan is bounded by: it holds a thread that reads also wait for.
const PAGE: PageLimits = PageLimits { examined: 20_000, items: 1_000, time: Duration::from_millis(20) };
/// The same while clients wait for answers: shorter than most of these take, so that hardly one notices it.
const PAGE_WHEN_BUSY: PageLimits = PageLimits { examined: 20_000, items: 100, time: Duration::from_micros(250) };
/// How long clients count as waiting after one was seen: the next is on its way.
const BUSY_FOR: Duration = Duration::from_secs(1);
/// The pause between two looks whether the bucket's rules are still those of the pass.
const CHECK_EVERY: Duration = Duration::from_millis(100);
/// Keys that are acted on at a time: enough to share commits.
const CONCURRENT: usize = 32;
/// The same while clients wait for answers.
const CONCURRENT_WHEN_BUSY: usize = 4;
/// The pause after a page while clients wait for answers, in times of what the page took.
const YIELD: u32 = 5;
/// Buckets that are looked up at a time.
const BUCKETS: usize = 200;
/// The pause between two notes of where a pass has come.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// The pause before new rules are carried out: who sees at once that they are wrong can take them back.
const SETTLE: Duration = Duration::from_secs(1);
/// The name of the note.
const NOTE: &str = "lifecycle";
/// Buckets that have metrics of their own: the first by name.
const MEASURED_BUCKETS: usize = 200;

/// Where a pass has come. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    bucket: String,
    id: BucketId,
    /// Of the bucket's settings: with others, its pass begins anew.
    generation: u64,
    started: Timestamp,
    examined: u64,
    position: Position,
}

impl Record for Note {
    const FAMILY: &'static str = "system";
}

/// How the worker paces itself.
#[derive(Clone)]
pub struct Pace {
    /// How long rules' days are.
    pub calendar: Calendar,
    /// Where lines of access logs are left.
    pub access_log: AccessLog,
    /// Whether clients wait for answers.
    pub busy: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The running worker.
pub struct LifecycleWorker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl LifecycleWorker {
    /// Starts the worker.
    #[must_use]
    pub fn start(objects: Objects, pace: Pace) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(Worker::new(objects, pace, stopping).run());
        Self { stop, task }
    }

    /// Stops after the page that is under way.
    pub async fn stop(self) {
        // The worker may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the lifecycle worker ended badly");
        }
    }
}

/// For metrics, of each bucket that has rules.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn gauges(all: &BTreeMap<String, BucketProgress>) -> Vec<LabelledSample> {
    let of = |(bucket, progress): (&String, &BucketProgress)| {
        let sample = |name, help, value| LabelledSample { name, help, label: ("bucket", bucket.clone()), value };
        let seconds = |millis: f64| millis / 1_000.0;
        let actions: u64 = progress.actions.values().sum();
        [
            sample("cairn_lifecycle_actions_total", "Lifecycle actions that were carried out.", actions as f64),
            sample(
                "cairn_lifecycle_errors_total",
                "Lifecycle actions that failed and are tried again.",
                progress.errors as f64,
            ),
            sample(
                "cairn_lifecycle_last_pass_timestamp_seconds",
                "When the last whole lifecycle pass over the bucket ended.",
                seconds(progress.finished.0 as f64),
            ),
            sample(
                "cairn_lifecycle_lag_seconds",
                "The longest time in the last pass from when an action was due until it was carried out.",
                seconds(progress.lag_millis as f64),
            ),
        ]
    };
    all.iter().take(MEASURED_BUCKETS).flat_map(of).collect()
}

/// The time between two passes: a twenty-fourth of a day.
fn interval(calendar: Calendar) -> i64 {
    (calendar.day_millis() / 24).max(100)
}

struct Worker {
    objects: Objects,
    pace: Pace,
    stopping: watch::Receiver<bool>,
    /// When the last note was written.
    noted: Instant,
    /// When a client was last seen to wait for an answer.
    clients_seen: Option<Instant>,
}

/// Why a pass ended before its end.
struct Stopped;

impl Worker {
    fn new(objects: Objects, pace: Pace, stopping: watch::Receiver<bool>) -> Self {
        Self { objects, pace, stopping, noted: Instant::now(), clients_seen: None }
    }

    /// Whether clients wait for answers, or did a moment ago.
    fn is_busy(&mut self) -> bool {
        if (self.pace.busy)() {
            self.clients_seen = Some(Instant::now());
        }
        self.clients_seen.is_some_and(|seen| seen.elapsed() < BUSY_FOR)
    }

    async fn run(mut self) {
        let mut note = self.read_note().await;
        let mut from = note.as_ref().map(|note| note.bucket.clone());
        loop {
            let begun = Timestamp::now().0;
            if self.pass(from.take(), note.take()).await.is_err() {
                return;
            }
            let every = interval(self.pace.calendar);
            let next = (begun.div_euclid(every) + 1) * every;
            loop {
                let pause = u64::try_from(next - Timestamp::now().0).unwrap_or(0);
                if pause == 0 {
                    break;
                }
                let progress = Arc::clone(self.objects.lifecycle_progress());
                let changed = tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(pause)) => break,
                    changed = progress.changed() => changed,
                    _ = self.stopping.changed() => return,
                };
                tokio::select! {
                    () = tokio::time::sleep(SETTLE) => {}
                    _ = self.stopping.changed() => return,
                }
                if self.pass_over(changed).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn read_note(&self) -> Option<Note> {
        let read = self.objects.store().worker_note(NOTE).await;
        let note = read.and_then(|row| row.map(|row| Note::decode(&row)).transpose());
        note.unwrap_or_else(|error| {
            tracing::warn!(%error, "where the lifecycle pass had come cannot be read; it begins anew");
            None
        })
    }

    /// One pass over all buckets, from the one that `note` is about.
    async fn pass(&mut self, from: Option<String>, mut note: Option<Note>) -> Result<(), Stopped> {
        let whole = from.is_none();
        let (mut after, mut with_rules) = (None::<String>, BTreeSet::new());
        loop {
            let page = self.objects.store().list_buckets("", after.as_deref(), BUCKETS, |_| true).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "buckets cannot be listed; their lifecycle waits for the next pass");
                    return Ok(());
                }
            };
            let more = page.len() == BUCKETS;
            after = page.last().map(|bucket| bucket.name.clone());
            for bucket in page.iter().filter(|bucket| from.as_ref().is_none_or(|from| bucket.name >= *from)) {
                let noted = note.take_if(|note| note.id == bucket.id && note.generation == bucket.generation);
                if self.bucket(bucket, noted).await? {
                    with_rules.insert(bucket.name.clone());
                }
            }
            if !more {
                break;
            }
        }
        if whole {
            self.objects.lifecycle_progress().retain(|bucket| with_rules.contains(bucket));
        }
        if let Err(error) = self.objects.store().set_worker_note(NOTE, None).await {
            tracing::warn!(%error, "the end of a lifecycle pass could not be noted");
        }
        Ok(())
    }

    async fn pass_over(&mut self, names: BTreeSet<String>) -> Result<(), Stopped> {
        for name in names {
            if let Ok(bucket) = self.objects.bucket(&name).await {
                self.bucket(&bucket, None).await?;
            }
        }
        Ok(())
    }

    /// A pass over one bucket; whether it has rules.
    async fn bucket(&mut self, bucket: &BucketRecord, note: Option<Note>) -> Result<bool, Stopped> {
        let configuration = match self.objects.bucket_lifecycle(bucket).await {
            Ok(Some(configuration)) => configuration,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.failed(&bucket.name, &error);
                return Ok(true);
            }
        };
        self.bucket_pass(bucket, &configuration, note).await?;
        Ok(true)
    }

    /// One scan of a bucket.
    async fn bucket_pass(
        &mut self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        note: Option<Note>,
    ) -> Result<(), Stopped> {
        let fresh = Note {
            bucket: bucket.name.clone(),
            id: bucket.id,
            generation: bucket.generation,
            started: Timestamp::now(),
            examined: 0,
            position: Position::default(),
        };
        let mut note = note.unwrap_or(fresh);
        let progress = Arc::clone(self.objects.lifecycle_progress());
        let before = progress.of(&bucket.name).map(|progress| progress.started);
        let (mut lag, mut checked) = (0, Instant::now());
        while !note.position.is_done() {
            if *self.stopping.borrow() {
                self.write_note(&note).await;
                return Err(Stopped);
            }
            if checked.elapsed() >= CHECK_EVERY {
                checked = Instant::now();
                if !self.stand(bucket, configuration).await {
                    progress.update(&bucket.name, |progress| progress.under_way = None);
                    return Ok(());
                }
            }
            let Some(late) = self.page(bucket, configuration, &mut note, before).await else {
                progress.update(&bucket.name, |progress| progress.under_way = None);
                return Ok(());
            };
            lag = lag.max(late);
            let under_way = PassUnderWay { started: note.started, examined: note.examined };
            progress.update(&bucket.name, |progress| progress.under_way = Some(under_way));
        }
        progress.update(&bucket.name, |progress| {
            progress.under_way = None;
            progress.started = note.started;
            progress.finished = Timestamp::now();
            progress.examined = note.examined;
            progress.lag_millis = lag;
        });
        Ok(())
    }

    /// Whether a bucket's rules are still these: who takes wrong ones back wants them to act no more.
    async fn stand(&self, bucket: &BucketRecord, configuration: &Arc<Configuration>) -> bool {
        let Ok(now) = self.objects.bucket(&bucket.name).await else { return false };
        now.id == bucket.id
            && matches!(self.objects.bucket_lifecycle(&now).await, Ok(Some(stated)) if stated == *configuration)
    }

    /// A page of a scan, and a rest: how late the latest action was, as [`Self::act`] says; none if it failed.
    async fn page(
        &mut self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        note: &mut Note,
        before: Option<Timestamp>,
    ) -> Option<u64> {
        let (busy, begun) = (self.is_busy(), Instant::now());
        let limits = if busy { PAGE_WHEN_BUSY } else { PAGE };
        let position = note.position.clone();
        let page = self.objects.lifecycle_items(bucket, configuration, position, limits, Timestamp::now()).await;
        let (items, examined, position) = match page {
            Ok(page) => page,
            Err(error) => {
                self.failed(&bucket.name, &error);
                return None;
            }
        };
        let late = self.act(bucket, items, before, busy).await;
        note.examined += examined as u64;
        note.position = position;
        if self.noted.elapsed() >= NOTE_EVERY {
            self.write_note(note).await;
        }
        rest(begun.elapsed(), busy).await;
        Some(late)
    }

    /// Carries out what a page of a scan found: how late the latest was of what has become due since
    /// `before`, in milliseconds.
    async fn act(&self, bucket: &BucketRecord, items: Vec<Item>, before: Option<Timestamp>, busy: bool) -> u64 {
        // The versions of one key go one after the other, oldest first: each stands where it stands because of newer ones.
        let mut keys: Vec<Vec<Item>> = Vec::new();
        for item in items {
            match keys.last_mut().filter(|last| last.first().is_some_and(|first| first.key == item.key)) {
                Some(last) => last.push(item),
                None => keys.push(vec![item]),
            }
        }
        let concurrent = if busy { CONCURRENT_WHEN_BUSY } else { CONCURRENT };
        let log = if keys.is_empty() { None } else { self.log_of(bucket).await };
        let works = keys.into_iter().map(|items| self.act_on_key(bucket, items, before, log.as_ref()));
        let late: Vec<u64> = futures_util::stream::iter(works).buffer_unordered(concurrent).collect().await;
        late.into_iter().max().unwrap_or(0)
    }

    /// How what is done in a bucket is logged, if it is.
    async fn log_of(&self, bucket: &BucketRecord) -> Option<Arc<LogOrigin>> {
        self.objects.lifecycle_log(bucket).await.unwrap_or_else(|error| {
            tracing::error!(%error, bucket = bucket.name, "whether lifecycle actions are logged cannot be read");
            None
        })
    }

    async fn act_on_key(
        &self,
        bucket: &BucketRecord,
        items: Vec<Item>,
        before: Option<Timestamp>,
        log: Option<&Arc<LogOrigin>>,
    ) -> u64 {
        let mut lag = 0;
        for item in items.into_iter().rev() {
            match self.objects.apply_lifecycle(bucket, &item).await {
                Ok(Applied::Done) => {
                    if before.is_some_and(|before| item.at > before) {
                        lag = lag.max(u64::try_from(Timestamp::now().0 - item.at.0).unwrap_or(0));
                    }
                    if let Some(origin) = log {
                        let now = Timestamp::now();
                        self.pace.access_log.note(origin, now, &self.objects.lifecycle_line(bucket, &item, now));
                    }
                    tracing::debug!(
                        bucket = bucket.name,
                        key = item.key,
                        rule = item.rule,
                        action = item.action.name(),
                        "lifecycle"
                    );
                    self.objects.lifecycle_progress().update(&bucket.name, |progress| {
                        *progress.actions.entry(item.action.name()).or_default() += 1;
                    });
                }
                Ok(Applied::Superseded) => {}
                Err(error) => self.failed(&bucket.name, &error),
            }
        }
        lag
    }

    fn failed(&self, bucket: &str, error: &object::Error) {
        tracing::warn!(bucket, %error, "a lifecycle action failed; it is tried again in the next pass");
        self.objects.lifecycle_progress().update(bucket, |progress| {
            progress.errors += 1;
            progress.last_error = Some(error.to_string());
        });
    }

    async fn write_note(&mut self, note: &Note) {
        self.noted = Instant::now();
        if let Err(error) = self.objects.store().set_worker_note(NOTE, Some(note.encode())).await {
            tracing::warn!(%error, "where the lifecycle pass has come could not be noted");
        }
    }
}

/// Lets others have their turn.
async fn rest(took: Duration, busy: bool) {
    if busy {
        tokio::time::sleep(took * YIELD).await;
    } else {
        tokio::task::yield_now().await;
    }
}
