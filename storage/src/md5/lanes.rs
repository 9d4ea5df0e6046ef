//! Threads that compute the MD5 of whatever streams have bytes at the moment, up to eight of them side by side.
//!
//! Nobody waits for company: a thread takes what there is, and whoever comes while it computes joins at its next turn.
//! So lanes fill with the load, and a lone upload is as fast as one stream can be.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use super::Md5;
use super::kernel::{self, LANES};
use crate::error::{Result, StoreError};

/// Blocks of each stream that are computed in one turn: 32 KiB. Between turns others may join.
const TURN_BLOCKS: usize = 512;
/// Jobs that wait for a lane; who has more to do waits before it queues.
const QUEUED_JOBS: usize = 4096;

/// The pool of lanes. Dropping it finishes what is queued, then joins the threads.
pub struct Md5Lanes {
    shared: Arc<Shared>,
    slots: Semaphore,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    figures: Figures,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    stopping: bool,
}

#[derive(Default)]
struct Figures {
    turns: AtomicU64,
    lanes: AtomicU64,
}

/// Bytes that a stream goes on with.
struct Job {
    md5: Md5,
    pieces: Vec<Bytes>,
    answer: oneshot::Sender<Md5>,
}

impl Md5Lanes {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let mut pool = Self { shared: Arc::default(), slots: Semaphore::new(QUEUED_JOBS), threads: Vec::new() };
        for number in 1..=threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            pool.threads.push(thread::Builder::new().name(format!("cairn-md5-{number}")).spawn(move || shared.work())?);
        }
        Ok(pool)
    }

    /// Adds pieces to a stream, in their order.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when the pool has failed.
    pub async fn update(&self, md5: Md5, pieces: Vec<Bytes>) -> Result<Md5> {
        let _slot = self.slots.acquire().await.map_err(|_| StoreError::Closed)?;
        let (answer, receiver) = oneshot::channel();
        self.shared.queue.lock().jobs.push_back(Job { md5, pieces, answer });
        self.shared.work.notify_one();
        receiver.await.map_err(|_| StoreError::Closed)
    }

    /// How many streams were computed side by side, on average since the start.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    pub fn mean_lanes(&self) -> f64 {
        let turns = self.shared.figures.turns.load(Ordering::Relaxed);
        let lanes = self.shared.figures.lanes.load(Ordering::Relaxed);
        lanes as f64 / turns.max(1) as f64
    }
}

impl Drop for Md5Lanes {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut lanes = Vec::with_capacity(LANES);
        loop {
            if !self.fill(&mut lanes) {
                return;
            }
            // A panic must not leave others without an answer: theirs are dropped, and they hear of it.
            if catch_unwind(AssertUnwindSafe(|| turn(&mut lanes))).is_err() {
                lanes.clear();
            }
            self.figures.turns.fetch_add(1, Ordering::Relaxed);
            self.figures.lanes.fetch_add(lanes.len() as u64, Ordering::Relaxed);
            lanes.retain_mut(|lane| !lane.is_finished());
        }
    }

    /// Gives empty lanes to who waits; waits itself if all are empty. `false` when the pool ends.
    fn fill(&self, lanes: &mut Vec<Lane>) -> bool {
        let mut queue = self.queue.lock();
        loop {
            while lanes.len() < LANES
                && let Some(job) = queue.jobs.pop_front()
            {
                lanes.push(Lane::new(job));
            }
            if !lanes.is_empty() {
                return true;
            }
            if queue.stopping {
                return false;
            }
            self.work.wait(&mut queue);
        }
    }
}

/// A stream that is being computed.
struct Lane {
    md5: Md5,
    pieces: std::vec::IntoIter<Bytes>,
    piece: Bytes,
    answer: Option<oneshot::Sender<Md5>>,
}

impl Lane {
    fn new(job: Job) -> Self {
        let mut lane =
            Self { md5: job.md5, pieces: job.pieces.into_iter(), piece: Bytes::new(), answer: Some(job.answer) };
        lane.settle();
        lane
    }

    /// Goes on to where there are whole blocks, or to the end.
    fn settle(&mut self) {
        loop {
            let rest = self.md5.absorb(&self.piece).len();
            self.piece = self.piece.split_off(self.piece.len() - rest);
            if !self.blocks().is_empty() {
                return;
            }
            match self.pieces.next() {
                Some(piece) => self.piece = piece,
                None => return,
            }
        }
    }

    fn blocks(&self) -> &[super::Block] {
        self.md5.blocks(&self.piece)
    }

    fn computed(&mut self, count: usize) {
        let rest = self.md5.computed(&self.piece, count).len();
        self.piece = self.piece.split_off(self.piece.len() - rest);
        self.settle();
    }

    /// Answers if there is nothing left to compute.
    fn is_finished(&mut self) -> bool {
        let finished = self.blocks().is_empty();
        if finished && let Some(answer) = self.answer.take() {
            // Whoever has left does not need it.
            let _ = answer.send(std::mem::take(&mut self.md5));
        }
        finished
    }
}

/// Computes as many blocks of all lanes as each of them has at hand.
fn turn(lanes: &mut [Lane]) {
    if let [lane] = lanes {
        let count = lane.blocks().len().min(TURN_BLOCKS);
        lane.md5.state = kernel::one(lane.md5.state, &lane.blocks()[..count]);
        lane.computed(count);
        return;
    }
    let at_hand = lanes.iter().map(|lane| lane.blocks().len()).filter(|count| *count > 0).min();
    let Some(count) = at_hand.map(|count| count.min(TURN_BLOCKS)) else { return };
    let busy: Vec<usize> = (0..lanes.len()).filter(|lane| !lanes[*lane].blocks().is_empty()).collect();
    // Empty lanes compute what the first one does, for nobody.
    let stream = |lane: usize| busy.get(lane).or(busy.first()).map(|index| &lanes[*index]);
    let blocks: [&[super::Block]; LANES] = std::array::from_fn(|lane| stream(lane).map_or(&[][..], Lane::blocks));
    let mut state: [[u32; LANES]; 4] =
        std::array::from_fn(|word| std::array::from_fn(|lane| stream(lane).map_or(0, |stream| stream.md5.state[word])));
    kernel::eight(&mut state, blocks, count);
    for (lane, index) in busy.into_iter().enumerate() {
        lanes[index].md5.state = std::array::from_fn(|word| state[word][lane]);
        lanes[index].computed(count);
    }
}

/// Computes streams side by side on this thread, for tests and fuzzing: what a thread of the pool does.
#[must_use]
pub fn digests(streams: Vec<Vec<Bytes>>) -> Vec<[u8; 16]> {
    let mut digests = vec![[0; 16]; streams.len()];
    let mut waiting: VecDeque<(usize, Vec<Bytes>)> = streams.into_iter().enumerate().collect();
    let mut lanes: Vec<(usize, Lane, oneshot::Receiver<Md5>)> = Vec::new();
    while !waiting.is_empty() || !lanes.is_empty() {
        while lanes.len() < LANES
            && let Some((index, pieces)) = waiting.pop_front()
        {
            let (answer, receiver) = oneshot::channel();
            lanes.push((index, Lane::new(Job { md5: Md5::new(), pieces, answer }), receiver));
        }
        let (mut marks, mut computing) = (Vec::new(), Vec::new());
        for (index, lane, receiver) in lanes.drain(..) {
            marks.push((index, receiver));
            computing.push(lane);
        }
        turn(&mut computing);
        for ((index, mut receiver), mut lane) in marks.into_iter().zip(computing) {
            if lane.is_finished() {
                digests[index] = receiver.try_recv().map_or([0; 16], Md5::finish);
            } else {
                lanes.push((index, lane, receiver));
            }
        }
    }
    digests
}
