//! Group commit: one thread is the only writer, hence the order of commits needs no locks.
//!
//! While a group is being synced, batches queue; the next group is what has queued by then. There is no timer: alone,
//! a batch never waits for company.

use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use crate::error::{Result, StoreError};
use crate::kv::verify::{Effect, Rows, Verdict, judge, within_limits};
use crate::kv::{Batch, Commit, CommitFuture, Family};

/// Batches in one group.
const GROUP_BATCHES: usize = 512;
/// Bytes of batches in one group: the group in which this is reached is the last to grow.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes of batches that wait; a commit beyond it waits before it is queued.
const QUEUE_BYTES: usize = 16 << 20;
/// What a row is counted as beside its bytes, for allocations and the answer.
const ROW_OVERHEAD: usize = 64;

/// Called once, with the reason, when the engine can commit no more until it is reopened.
pub type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

/// Where groups are verified and written.
pub(super) trait Engine: Send + 'static {
    /// The committed row.
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>>;

    /// Whether a committed row starts with `prefix`, but for those that `gone` says are to be removed.
    fn any_with_prefix(&self, family: Family, prefix: &[u8], gone: &dyn Fn(&[u8]) -> bool) -> Result<bool>;

    /// Makes a group visible and durable, or fails.
    fn write(&mut self, group: &Overlay) -> Result<(), WriteFailure>;
}

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum WriteFailure {
    /// There was no room; later groups may fit.
    Full(String),
    /// Nothing can be written any more.
    Broken(String),
}

/// What the batches of a group change: each row once, as the last batch leaves it.
#[derive(Default)]
pub(super) struct Overlay(BTreeMap<Family, BTreeMap<Vec<u8>, Option<Bytes>>>);

impl Overlay {
    fn apply(&mut self, effects: Vec<Effect>) {
        for (family, key, value) in effects {
            self.0.entry(family).or_default().insert(key, value);
        }
    }

    fn get(&self, family: Family, key: &[u8]) -> Option<&Option<Bytes>> {
        self.0.get(&family)?.get(key)
    }

    fn any_with_prefix(&self, family: Family, prefix: &[u8]) -> bool {
        let Some(rows) = self.0.get(&family) else { return false };
        let from_prefix = rows.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        from_prefix.take_while(|(key, _)| key.starts_with(prefix)).any(|(_, value)| value.is_some())
    }

    /// Rows by family and key; `None` is a row to remove.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Family, &[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .flat_map(|(family, rows)| rows.iter().map(|(key, value)| (*family, key.as_slice(), value.as_deref())))
    }
}

/// The database as the next batch of a group finds it.
struct Next<'a, E> {
    engine: &'a E,
    overlay: &'a Overlay,
}

impl<E: Engine> Rows for Next<'_, E> {
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        match self.overlay.get(family, key) {
            Some(value) => Ok(value.clone()),
            None => self.engine.row(family, key),
        }
    }

    fn any_with_prefix(&self, family: Family, prefix: &[u8]) -> Result<bool> {
        if self.overlay.any_with_prefix(family, prefix) {
            return Ok(true);
        }
        self.engine.any_with_prefix(family, prefix, &|key| matches!(self.overlay.get(family, key), Some(None)))
    }
}

/// Figures of the committer.
#[derive(Default)]
pub(super) struct Figures {
    /// Batches that were committed.
    pub commits: AtomicU64,
    /// Groups that were written.
    pub groups: AtomicU64,
    /// Batches whose check did not hold.
    pub conflicts: AtomicU64,
    /// Batches that wait.
    pub queued: AtomicU64,
    /// Microseconds in writing and syncing groups.
    pub write_micros: AtomicU64,
}

struct Request {
    batch: Batch,
    bytes: usize,
    answer: oneshot::Sender<Result<Commit>>,
    room: OwnedSemaphorePermit,
}

/// The way in: a bounded queue and the thread behind it.
pub(super) struct Committer {
    gate: Arc<Gate>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a waiting commit holds: not the engine, which must close however long a caller keeps a future.
struct Gate {
    room: Arc<Semaphore>,
    queue: Mutex<Option<Sender<Request>>>,
    figures: Arc<Figures>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start<E: Engine>(engine: E, figures: Arc<Figures>, on_fatal: OnFatal) -> io::Result<Self> {
        let (queue, requests) = channel();
        let worker = Worker { engine, requests, figures: figures.clone(), on_fatal, broken: None };
        let thread = std::thread::Builder::new().name("index-commit".into()).spawn(move || worker.run())?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let gate = Arc::new(Gate { room, queue: Mutex::new(Some(queue)), figures });
        Ok(Self { gate, thread: Mutex::new(Some(thread)) })
    }

    /// Queues a batch, at once where there is room: then batches are applied in the order of these calls.
    pub(super) fn commit(&self, batch: Batch) -> CommitFuture {
        let bytes = match within_limits(&batch) {
            Ok(bytes) => bytes + (batch.rows() + 1) * ROW_OVERHEAD,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        // A batch is far smaller than the queue, so its cost fits the semaphore's type and its size.
        let cost = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let gate = self.gate.clone();
        match gate.room.clone().try_acquire_many_owned(cost) {
            Ok(room) => {
                let answer = gate.send(batch, bytes, room);
                Box::pin(async move { answered(answer?).await })
            }
            Err(TryAcquireError::Closed) => Box::pin(ready(Err(StoreError::Closed))),
            Err(TryAcquireError::NoPermits) => Box::pin(async move {
                let room = gate.room.clone().acquire_many_owned(cost).await.map_err(|_| StoreError::Closed)?;
                answered(gate.send(batch, bytes, room)?).await
            }),
        }
    }

    /// Refuses new batches, finishes those that wait, and ends the thread.
    pub(super) fn close(&self) {
        self.gate.room.close();
        self.gate.queue.lock().take();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the committer thread panicked");
        }
    }
}

async fn answered(answer: oneshot::Receiver<Result<Commit>>) -> Result<Commit> {
    answer.await.unwrap_or_else(|_| Err(StoreError::Index("the committer ended: the outcome is unknown".into())))
}

impl Gate {
    fn send(
        &self,
        batch: Batch,
        bytes: usize,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<Commit>>> {
        let (answer, answered) = oneshot::channel();
        let request = Request { batch, bytes, answer, room };
        self.figures.queued.fetch_add(1, Ordering::Relaxed);
        let sent = self.queue.lock().as_ref().is_some_and(|queue| queue.send(request).is_ok());
        if sent { Ok(answered) } else { Err(StoreError::Closed) }
    }
}

struct Worker<E> {
    engine: E,
    requests: Receiver<Request>,
    figures: Arc<Figures>,
    on_fatal: OnFatal,
    broken: Option<String>,
}

impl<E: Engine> Worker<E> {
    fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            let mut bytes = first.bytes;
            let mut group = vec![first];
            while group.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
                let Ok(request) = self.requests.try_recv() else { break };
                bytes += request.bytes;
                group.push(request);
            }
            self.figures.queued.fetch_sub(group.len() as u64, Ordering::Relaxed);
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let mut overlay = Overlay::default();
        let mut outcomes = Vec::with_capacity(group.len());
        for Request { batch, answer, room, .. } in group {
            let outcome = self.place(batch, &mut overlay);
            outcomes.push((answer, outcome, room));
        }
        let written = if overlay.0.is_empty() { Ok(()) } else { self.write(&overlay) };
        for (answer, outcome, room) in outcomes {
            let outcome = match (&written, outcome) {
                (Err(failure), Ok(Commit::Committed)) => Err(failed(failure)),
                (_, outcome) => outcome,
            };
            match outcome {
                Ok(Commit::Committed) => self.figures.commits.fetch_add(1, Ordering::Relaxed),
                Ok(Commit::Conflict(_)) => self.figures.conflicts.fetch_add(1, Ordering::Relaxed),
                Err(_) => 0,
            };
            drop(room);
            // A caller that no longer listens changes nothing.
            let _ = answer.send(outcome);
        }
    }

    /// Verifies a batch and adds what it changes to the group.
    fn place(&self, batch: Batch, overlay: &mut Overlay) -> Result<Commit> {
        if let Some(broken) = &self.broken {
            return Err(StoreError::Index(format!("it failed and must be reopened: {broken}")));
        }
        let verdict = judge(batch, &Next { engine: &self.engine, overlay })?;
        let outcome = Commit::from(&verdict);
        if let Verdict::Apply(effects) = verdict {
            overlay.apply(effects);
        }
        Ok(outcome)
    }

    fn write(&mut self, overlay: &Overlay) -> Result<(), WriteFailure> {
        let begun = Instant::now();
        let written = self.engine.write(overlay);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.figures.write_micros.fetch_add(micros, Ordering::Relaxed);
        match &written {
            Ok(()) => {
                self.figures.groups.fetch_add(1, Ordering::Relaxed);
            }
            Err(WriteFailure::Full(_)) => {}
            Err(WriteFailure::Broken(reason)) => {
                self.broken = Some(reason.clone());
                (self.on_fatal)(reason);
            }
        }
        written
    }
}

fn failed(failure: &WriteFailure) -> StoreError {
    match failure {
        WriteFailure::Full(what) => StoreError::Full(what.clone()),
        WriteFailure::Broken(what) => StoreError::Index(format!("the outcome is unknown: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::mpsc::sync_channel;
    use std::task::{Context, Waker};

    use super::*;
    use crate::kv::MAX_VALUE_BYTES;

    type Table = BTreeMap<(Family, Vec<u8>), Bytes>;

    /// Writes a group only when told to, so that a test decides which batches share one.
    struct Stepped {
        table: Arc<Mutex<Table>>,
        begun: Sender<usize>,
        go: Receiver<Result<(), WriteFailure>>,
    }

    impl Engine for Stepped {
        fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
            Ok(self.table.lock().get(&(family, key.to_vec())).cloned())
        }

        fn any_with_prefix(&self, family: Family, prefix: &[u8], gone: &dyn Fn(&[u8]) -> bool) -> Result<bool> {
            let table = self.table.lock();
            Ok(table.keys().any(|(of, key)| *of == family && key.starts_with(prefix) && !gone(key)))
        }

        fn write(&mut self, group: &Overlay) -> Result<(), WriteFailure> {
            self.begun.send(group.rows().count()).expect("the test waits");
            self.go.recv().expect("the test steps")?;
            let mut table = self.table.lock();
            for (family, key, value) in group.rows() {
                match value {
                    Some(value) => table.insert((family, key.to_vec()), Bytes::copy_from_slice(value)),
                    None => table.remove(&(family, key.to_vec())),
                };
            }
            Ok(())
        }
    }

    struct Bench {
        committer: Committer,
        figures: Arc<Figures>,
        table: Arc<Mutex<Table>>,
        fatal: Arc<Mutex<Vec<String>>>,
        begun: Receiver<usize>,
        go: std::sync::mpsc::SyncSender<Result<(), WriteFailure>>,
    }

    impl Bench {
        fn new() -> Self {
            let (begun, begins) = channel();
            let (go, goes) = sync_channel(1024);
            let table = Arc::<Mutex<Table>>::default();
            let figures = Arc::<Figures>::default();
            let fatal = Arc::<Mutex<Vec<String>>>::default();
            let noted = fatal.clone();
            let on_fatal: OnFatal = Arc::new(move |reason| noted.lock().push(reason.into()));
            let engine = Stepped { table: table.clone(), begun, go: goes };
            let committer = Committer::start(engine, figures.clone(), on_fatal).expect("starts");
            Self { committer, figures, table, fatal, begun: begins, go }
        }

        /// Commits `batches` as one group that ends with `end`; answers their outcomes and the group's rows.
        async fn group(&self, batches: Vec<Batch>, end: Result<(), WriteFailure>) -> (Vec<Result<Commit>>, usize) {
            let first = self.committer.commit(put("first", b"x"));
            self.begun.recv().expect("the first group begins");
            let waiting: Vec<_> = batches.into_iter().map(|batch| self.committer.commit(batch)).collect();
            self.go.send(Ok(())).expect("steps");
            assert_eq!(first.await.expect("commits"), Commit::Committed);
            let rows = self.begun.recv().expect("the group begins");
            self.go.send(end).expect("steps");
            let mut outcomes = Vec::new();
            for answer in waiting {
                outcomes.push(answer.await);
            }
            (outcomes, rows)
        }

        fn has(&self, key: &str) -> bool {
            self.table.lock().contains_key(&(Family::Current, key.into()))
        }
    }

    fn put(key: &str, value: &[u8]) -> Batch {
        let mut batch = Batch::default();
        batch.put(Family::Current, key.into(), value.to_vec());
        batch
    }

    fn create(key: &str, value: &'static [u8]) -> Batch {
        let mut batch = put(key, value);
        batch.check_unchanged(Family::Current, key.into(), None);
        batch.add(Family::Counters, b"n".to_vec(), 1);
        batch
    }

    fn replace(key: &str, was: &'static [u8], value: &'static [u8]) -> Batch {
        let mut batch = put(key, value);
        batch.check_unchanged(Family::Current, key.into(), Some(Bytes::from_static(was)));
        batch
    }

    fn short(outcomes: &[Result<Commit>]) -> Vec<&'static str> {
        let word = |outcome: &Result<Commit>| match outcome {
            Ok(Commit::Committed) => "committed",
            Ok(Commit::Conflict(_)) => "conflict",
            Err(StoreError::Full(_)) => "full",
            Err(StoreError::Index(_)) => "index",
            Err(_) => "other",
        };
        outcomes.iter().map(word).collect()
    }

    #[tokio::test]
    async fn batches_of_a_group_see_those_before_them() {
        let bench = Bench::new();
        let mut clear = Batch::default();
        clear.delete(Family::Current, b"x".to_vec());
        let mut if_none = put("y", b"3");
        if_none.check_prefix_empty(Family::Current, b"x".to_vec());
        let batches = vec![
            create("x", b"1"),
            create("x", b"2"),
            replace("x", b"1", b"4"),
            replace("x", b"1", b"5"),
            if_none.clone(),
            clear,
            if_none,
            create("z", b"6"),
        ];
        let (outcomes, rows) = bench.group(batches, Ok(())).await;
        let expected =
            ["committed", "conflict", "committed", "conflict", "conflict", "committed", "committed", "committed"];
        assert_eq!(short(&outcomes), expected);
        assert_eq!(rows, 4, "each row is written once: x gone, y, z, the counter");
        assert!(!bench.has("x") && bench.has("y") && bench.has("z"));
        let counter = bench.table.lock().get(&(Family::Counters, b"n".to_vec())).cloned();
        assert_eq!(counter.as_deref(), Some(&2_i64.to_le_bytes()[..]), "refused batches add nothing");
        assert_eq!(bench.figures.groups.load(Ordering::Relaxed), 2);
        assert_eq!(bench.figures.conflicts.load(Ordering::Relaxed), 3);
        assert_eq!(bench.figures.queued.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_full_disk_fails_its_group_and_heals() {
        let bench = Bench::new();
        let batches = vec![create("x", b"1"), create("x", b"2")];
        let (outcomes, _) = bench.group(batches.clone(), Err(WriteFailure::Full("no space".into()))).await;
        assert_eq!(short(&outcomes), ["full", "conflict"]);
        assert!(!bench.has("x") && bench.fatal.lock().is_empty());
        let (outcomes, _) = bench.group(batches, Ok(())).await;
        assert_eq!(short(&outcomes), ["committed", "conflict"]);
        assert!(bench.has("x"));
    }

    #[tokio::test]
    async fn a_broken_engine_fails_for_good_and_says_so_once() {
        let bench = Bench::new();
        let failure = WriteFailure::Broken("the drive is gone".into());
        let (outcomes, _) = bench.group(vec![put("x", b"1"), put("y", b"1")], Err(failure)).await;
        assert_eq!(short(&outcomes), ["index", "index"]);
        for _ in 0..3 {
            assert_eq!(short(&[bench.committer.commit(put("z", b"1")).await]), ["index"]);
        }
        assert_eq!(*bench.fatal.lock(), ["the drive is gone"]);
        assert!(!bench.has("x") && !bench.has("z"));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_closing_finishes_it() {
        let bench = Bench::new();
        let large = || put("large", &vec![0; MAX_VALUE_BYTES]);
        let mut queued = VecDeque::from([bench.committer.commit(large())]);
        bench.begun.recv().expect("the first group begins");
        let fits = QUEUE_BYTES / (MAX_VALUE_BYTES + "large".len() + 2 * ROW_OVERHEAD);
        queued.extend((1..fits).map(|_| bench.committer.commit(large())));
        let is_queued = || bench.figures.queued.load(Ordering::Relaxed);
        assert_eq!(is_queued(), fits as u64 - 1);
        let mut late = bench.committer.commit(large());
        let poll = |late: &mut CommitFuture| late.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll(&mut late).is_pending());
        assert_eq!(is_queued(), fits as u64 - 1, "what does not fit waits outside");

        bench.go.send(Ok(())).expect("steps");
        let first = queued.pop_front().expect("was queued").await;
        assert_eq!(short(&[first]), ["committed"]);
        bench.begun.recv().expect("the second group begins");
        let taken = fits as u64 - 1 - is_queued();
        assert!(poll(&mut late).is_pending());
        assert_eq!(fits as u64 - is_queued(), taken, "room that is given back is used");

        let refused = bench.committer.commit(large());
        (0..fits).for_each(|_| bench.go.send(Ok(())).expect("steps"));
        bench.committer.close();
        queued.push_back(late);
        for answer in queued {
            assert_eq!(short(&[answer.await]), ["committed"]);
        }
        assert!(matches!(refused.await, Err(StoreError::Closed)));
        assert!(matches!(bench.committer.commit(put("after", b"1")).await, Err(StoreError::Closed)));
    }
}
