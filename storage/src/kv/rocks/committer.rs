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
    /// Batches whose check or limit did not hold.
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
                Ok(Commit::Conflict(_) | Commit::LimitExceeded { .. }) => {
                    self.figures.conflicts.fetch_add(1, Ordering::Relaxed)
                }
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
mod tests;
