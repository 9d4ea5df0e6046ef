//! Access logs of buckets, from the configuration to the objects that hold the lines.
//!
//! A line goes three steps. The request that it tells of leaves it in memory, in a bounded place: what does not fit is
//! counted and lost, never waited for. Within about a second it is kept in the index, from where no crash takes
//! it. At each interval what was kept becomes objects in the target buckets, and only then is it removed: a crash in
//! between repeats lines, and loses none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::index::records::{Attributes, BucketRecord, Record};
use storage::store::MAX_STAGED_LOG_BYTES;
use storage::types::{BucketId, Timestamp};
use tokio::sync::Notify;

use super::access::LOGGING;
use super::encryption::Encrypting;
use super::{Body, Cause, Error, EventName, Integrity, Objects, Origin, PutObject, Result, set_object_acl};
use crate::rules::access_log::{Delivery, LogSource, Logging, may_deliver};
use crate::rules::acl::Acl;
use crate::rules::conditions::WriteCondition;
use crate::rules::{Code, Refusal};

/// Buckets whose configurations are kept.
const CACHED_BUCKETS: usize = 4_096;
/// Bytes of lines that wait in memory to be kept.
const MAX_QUEUED_BYTES: usize = 32 << 20;
/// Rows that one step of a delivery reads.
const PAGE_ROWS: usize = 200;
/// Room in a row for what is not lines.
const ROW_OVERHEAD_BYTES: usize = 4 << 10;

impl Record for Logging {
    const FAMILY: &'static str = "buckets";
}

/// Configurations by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type LoggingCache = Cache<(BucketId, u64), Option<Arc<Logging>>>;

pub(super) fn cache() -> LoggingCache {
    Cache::new(CACHED_BUCKETS)
}

/// What the lines of one bucket have in common, made once for each generation of the bucket's settings.
#[derive(Debug)]
pub struct LogOrigin {
    /// The configuration by which they are logged.
    pub logging: Arc<Logging>,
    /// Whose requests they tell of.
    pub source: LogSource,
}

/// Lines on their way into a log, at most as many as fit into one stored row.
#[derive(Debug)]
pub struct LoggedLines {
    /// Where they come from, and how that is logged.
    origin: Arc<LogOrigin>,
    /// The day by which their object is named, if it is.
    day: Option<i64>,
    count: u64,
    /// The lines, with their ends.
    text: String,
}

impl LoggedLines {
    /// How many bytes they have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Figures of access logging, for metrics.
#[derive(Debug, Default)]
pub struct AccessLogFigures {
    dropped: AtomicU64,
    staged: AtomicU64,
    delivered: AtomicU64,
    refused: AtomicU64,
    objects: AtomicU64,
}

impl AccessLogFigures {
    /// Name, help and value of each.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        vec![
            (
                "cairn_access_log_dropped_lines_total",
                "Lines that were lost before they were kept.",
                read(&self.dropped),
            ),
            ("cairn_access_log_staged_lines_total", "Lines that were kept, to be delivered.", read(&self.staged)),
            ("cairn_access_log_delivered_lines_total", "Lines in objects that were written.", read(&self.delivered)),
            (
                "cairn_access_log_refused_lines_total",
                "Lines that their target bucket did not take: it is gone, full, or does not permit it.",
                read(&self.refused),
            ),
            ("cairn_access_log_objects_total", "Objects of lines that were written.", read(&self.objects)),
        ]
    }

    /// Notes lines that are lost.
    pub fn note_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

/// Where requests leave their lines until they are kept. Lines are gathered as they come, so that one costs the request
/// that leaves it no more than a copy. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    gathered: Mutex<Gathered>,
    /// Told when there are lines again.
    begun: Notify,
    figures: Arc<AccessLogFigures>,
}

#[derive(Debug, Default)]
struct Gathered {
    /// What is added to, by the origin's address, which stays its own as long as it is held here, and the day.
    open: HashMap<(usize, Option<i64>), LoggedLines>,
    /// To which no line may be added any more.
    full: Vec<LoggedLines>,
    bytes: usize,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self::new()
    }
}

impl AccessLog {
    /// Without lines.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Queue { gathered: Mutex::default(), begun: Notify::new(), figures: Arc::default() }))
    }

    /// Leaves a line, given with its end, of a request that came at `time`; it is lost, and counted, if there is no
    /// room.
    pub fn note(&self, origin: &Arc<LogOrigin>, time: Timestamp, line: &str) {
        let day = origin.logging.day(time.0);
        let mut gathered = self.gathered();
        if gathered.bytes + line.len() > MAX_QUEUED_BYTES {
            self.0.figures.note_dropped(1);
            return;
        }
        let is_first = gathered.bytes == 0;
        gathered.bytes += line.len();
        let Gathered { open, full, .. } = &mut *gathered;
        let empty = |text| LoggedLines { origin: Arc::clone(origin), day, count: 0, text };
        let lines = open.entry((Arc::as_ptr(origin).addr(), day)).or_insert_with(|| empty(String::new()));
        if lines.bytes() + line.len() > MAX_STAGED_LOG_BYTES - ROW_OVERHEAD_BYTES && lines.count > 0 {
            // After one full row there is likely to be another.
            let next = String::with_capacity(MAX_STAGED_LOG_BYTES - ROW_OVERHEAD_BYTES);
            full.push(std::mem::replace(lines, empty(next)));
        }
        lines.text.push_str(line);
        lines.count += 1;
        drop(gathered);
        if is_first {
            self.0.begun.notify_one();
        }
    }

    /// Waits until there are lines.
    pub async fn wait(&self) {
        self.0.begun.notified().await;
    }

    /// Takes the lines that are there.
    #[must_use]
    pub fn take(&self) -> Vec<LoggedLines> {
        let Gathered { open, mut full, .. } = std::mem::take(&mut *self.gathered());
        full.extend(open.into_values());
        full
    }

    /// Figures for metrics.
    #[must_use]
    pub fn figures(&self) -> &Arc<AccessLogFigures> {
        &self.0.figures
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What lines must have in common to share an object. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Destination {
    logging: Logging,
    source: LogSource,
    day: Option<i64>,
}

/// Lines that wait to become part of an object. Stored.
#[derive(Debug, Serialize, Deserialize)]
struct StagedLines {
    destination: Destination,
    lines: String,
}

impl Record for StagedLines {
    const FAMILY: &'static str = "outbox";
}

impl Objects {
    /// How a bucket's requests are logged, if they are. Read once for each generation of the bucket's settings.
    pub async fn bucket_logging(&self, bucket: &BucketRecord) -> Result<Option<Arc<Logging>>> {
        if bucket.generation == 0 {
            return Ok(None);
        }
        let key = (bucket.id, bucket.generation);
        if let Some(known) = self.logging.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, LOGGING).await?;
        let logging = stored.map(|bytes| Logging::decode(&bytes)).transpose()?.map(Arc::new);
        self.logging.insert(key, logging.clone());
        Ok(logging)
    }

    /// Sets or removes how a bucket's requests are logged.
    pub async fn set_bucket_logging(&self, source: &BucketRecord, logging: Option<Logging>) -> Result<()> {
        if let Some(logging) = &logging {
            logging.check()?;
        }
        self.set_config(&source.name, LOGGING, logging.map(|logging| logging.encode())).await
    }

    /// Keeps lines: durable when it resolves.
    pub async fn stage_access_logs(&self, lines: Vec<LoggedLines>, figures: &AccessLogFigures) -> Result<()> {
        let count = lines.iter().map(|lines| lines.count).sum();
        let staged = self.store.stage_access_logs(lines.into_iter().map(staged_row).collect()).await;
        let counter = if staged.is_ok() { &figures.staged } else { &figures.dropped };
        counter.fetch_add(count, Ordering::Relaxed);
        Ok(staged?)
    }

    /// Makes objects of what was kept, a bounded step of it; `false` when there was nothing. `after` is the position up to
    /// which rows have been looked at.
    pub async fn deliver_access_logs(&self, after: &mut u64, figures: &AccessLogFigures) -> Result<bool> {
        let page = self.store.staged_access_logs(*after, PAGE_ROWS).await?;
        let Some((last, _)) = page.last() else { return Ok(false) };
        let last = *last;
        let mut objects: HashMap<Destination, (String, Vec<u64>)> = HashMap::new();
        for (position, row) in page {
            let StagedLines { destination, lines } = StagedLines::decode(&row)?;
            let (text, positions) = objects.entry(destination).or_default();
            text.push_str(&lines);
            positions.push(position);
        }
        for (destination, (text, positions)) in objects {
            let lines = text.matches('\n').count() as u64;
            let counter = match self.deliver(&destination, text).await {
                Ok(()) => {
                    figures.objects.fetch_add(1, Ordering::Relaxed);
                    &figures.delivered
                }
                Err(Error::Refused(refusal)) => {
                    let Destination { logging, source, .. } = &destination;
                    tracing::warn!(
                        source = source.bucket, target = logging.target_bucket, lines, code = %refusal.code,
                        "lines of an access log were not delivered: {}", refusal.message
                    );
                    &figures.refused
                }
                Err(error) => return Err(error),
            };
            self.store.remove_access_logs(&positions).await?;
            counter.fetch_add(lines, Ordering::Relaxed);
        }
        *after = last;
        Ok(true)
    }

    /// Writes one object, as the log delivery service.
    async fn deliver(&self, destination: &Destination, text: String) -> Result<()> {
        let Destination { logging, source, day } = destination;
        let bucket = self.bucket(&logging.target_bucket).await?;
        let access = self.bucket_access(&bucket).await?;
        let has_acls = access.ownership.effective().has_acls();
        let unique = format!("{:016X}", getrandom::u64().unwrap_or(0));
        let key = logging.object_key(source, *day, Timestamp::now().0, &unique);
        let delivery = Delivery {
            target_bucket: &bucket.name,
            key: &key,
            source_bucket: &source.bucket,
            account: &source.account,
        };
        let policy = access.policy.as_ref().map(|policy| &policy.parsed);
        if !may_deliver(delivery, policy, access.acl.as_ref().filter(|_| has_acls)) {
            let message = "Neither the target bucket's policy nor its access control list lets the log be written.";
            return Err(Refusal::new(Code::AccessDenied, message).into());
        }
        let content_type = ("content-type".to_owned(), "text/plain".to_owned());
        let mut attributes = Attributes { headers: vec![content_type], ..Attributes::default() };
        if has_acls && !logging.target_grants.is_empty() {
            let mut acl = Acl::private(&bucket.owner);
            acl.0.extend(logging.target_grants.iter().cloned());
            set_object_acl(&mut attributes, Some(&acl));
        }
        let request = PutObject {
            owner: bucket.owner.clone(),
            bucket,
            key,
            attributes,
            condition: WriteCondition::Unconditional,
            integrity: Integrity::default(),
            length: Some(text.len() as u64),
            encryption: Encrypting::Default,
            cause: Cause { event: EventName::ObjectCreatedPut, origin: Arc::new(Origin::server(unique)) },
        };
        let body: Body = Box::pin(futures_util::stream::iter([Ok(Bytes::from(text))]));
        self.put_object(request, body).await.map(|_| ())
    }
}

fn staged_row(LoggedLines { origin, day, text: lines, .. }: LoggedLines) -> Vec<u8> {
    let (logging, source) = ((*origin.logging).clone(), origin.source.clone());
    StagedLines { destination: Destination { logging, source, day }, lines }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Arc<LogOrigin> {
        let logging = Logging {
            target_bucket: "t".to_owned(),
            target_prefix: String::new(),
            target_grants: Vec::new(),
            key_format: None,
        };
        let source = LogSource { bucket: "s".to_owned(), account: "1".to_owned(), region: "r".to_owned() };
        Arc::new(LogOrigin { logging: Arc::new(logging), source })
    }

    #[test]
    fn golden_bytes_of_configuration_and_lines() {
        let origin = origin();
        assert_eq!(origin.logging.encode(), [1, 1, b't', 0, 0, 0]);
        let staged = staged_row(LoggedLines { origin, day: Some(3), count: 1, text: "l\n".to_owned() });
        assert_eq!(staged, [1, 1, b't', 0, 0, 0, 1, b's', 1, b'1', 1, b'r', 1, 6, 2, b'l', b'\n']);
    }

    #[tokio::test]
    async fn what_has_no_room_is_counted_and_not_waited_for() {
        let (log, origin) = (AccessLog::new(), origin());
        let long = "x".repeat(MAX_QUEUED_BYTES / 4);
        (0..6).for_each(|_| log.note(&origin, Timestamp(0), &long));
        assert_eq!(log.figures().dropped.load(Ordering::Relaxed), 2);
        log.wait().await;
        assert_eq!(log.take().len(), 4);
        log.note(&origin, Timestamp(0), &long);
        log.wait().await;
        assert_eq!(log.take().len(), 1, "there is room again");
        assert!(log.take().is_empty());
    }

    #[test]
    fn lines_are_gathered_in_their_order_into_rows_that_can_be_stored() {
        let (log, one, other) = (AccessLog::new(), origin(), origin());
        let expected: Vec<String> = (0..1_000).map(|number| format!("{number:0100}\n")).collect();
        for line in &expected {
            log.note(&one, Timestamp(0), line);
            log.note(&other, Timestamp(0), line);
        }
        let taken = log.take();
        assert!(taken.iter().all(|lines| lines.bytes() <= MAX_STAGED_LOG_BYTES - ROW_OVERHEAD_BYTES));
        for origin in [one, other] {
            let own: Vec<_> = taken.iter().filter(|lines| Arc::ptr_eq(&lines.origin, &origin)).collect();
            assert!(own.len() > 1, "{} rows", own.len());
            assert_eq!(own.iter().map(|lines| lines.count).sum::<u64>(), 1_000);
            let text: String = own.iter().map(|lines| lines.text.as_str()).collect();
            assert_eq!(text, expected.concat());
        }
    }
}
