//! The one writer of a drive: gathers what is waiting into one aligned write and one sync, then answers all of it.
//!
//! While a batch is synced the next one queues up, so batches grow with the load and no timer is needed. A batch
//! starts at a multiple of 4096 bytes and is padded to one: no block that holds an acknowledged frame is ever
//! written again, so a torn write cannot touch it.
//!
//! A crash leaves frames that no commit names, whole or torn, behind the last acknowledged one.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::chunks::Written;
use crate::chunks::body::Body;
use crate::chunks::drive::{Drive, Resume};
use crate::chunks::segment::{DATA_START, Phase, Role, Segment};
use crate::disk::buffer::AlignedBuffer;
use crate::disk::{BLOCK, Caching};
use crate::error::{Result, StoreError};
use crate::types::{ChunkId, Place};

/// A batch takes no further frame once it has this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Frames in one batch.
const BATCH_FRAMES: usize = 2048;
/// Bytes of chunks that wait; beyond, callers wait before they queue.
const QUEUE_BYTES: usize = 64 << 20;
/// What one permit of the queue stands for.
const PERMIT_BYTES: usize = 4096;

/// A chunk on its way to the disk.
pub struct Request {
    pub id: ChunkId,
    pub body: Body,
    pub answer: oneshot::Sender<Result<Written>>,
    #[expect(dead_code, reason = "gives its room in the queue back when the request is dropped")]
    pub slot: Option<OwnedSemaphorePermit>,
}

/// What waits for the writer.
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    slots: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    closing: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        let slots = Arc::new(Semaphore::new(QUEUE_BYTES / PERMIT_BYTES));
        Self { waiting: Mutex::default(), changed: Condvar::new(), slots }
    }

    /// Waits for room for `bytes`.
    ///
    /// # Errors
    /// [`StoreError::Closed`] once the queue is closing.
    pub async fn slot(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.slots).acquire_many_owned(permits).await.map_err(|_| StoreError::Closed)
    }

    /// Queues a request; refuses it once the queue is closing.
    pub fn push(&self, request: Request) {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            let _ = request.answer.send(Err(StoreError::Closed));
            return;
        }
        waiting.requests.push_back(request);
        drop(waiting);
        self.changed.notify_one();
    }

    /// Takes no further requests; those that wait are still written.
    pub fn close(&self) {
        self.slots.close();
        self.waiting.lock().closing = true;
        self.changed.notify_all();
    }

    /// Takes no further requests, and refuses those that wait.
    pub fn abort(&self) {
        self.close();
        let refused = std::mem::take(&mut self.waiting.lock().requests);
        for request in refused {
            let _ = request.answer.send(Err(StoreError::Closed));
        }
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().requests.len()
    }

    /// The next batch; waits for one. `None` when the queue is closed and empty.
    fn next_batch(&self) -> Option<Vec<Request>> {
        let mut waiting = self.waiting.lock();
        while waiting.requests.is_empty() {
            if waiting.closing {
                return None;
            }
            self.changed.wait(&mut waiting);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && batch.len() < BATCH_FRAMES {
            let Some(request) = waiting.requests.pop_front() else { break };
            bytes += request.body.layout().occupied();
            batch.push(request);
        }
        Some(batch)
    }
}

/// Appends frames to the drive's active segment.
pub struct Writer {
    drive: Arc<Drive>,
    active: Option<Active>,
    buffer: AlignedBuffer,
}

struct Active {
    segment: Arc<Segment>,
    /// Where the next batch starts: a multiple of 4096.
    tail: usize,
}

impl Active {
    fn room(&self) -> usize {
        (self.segment.size as usize).saturating_sub(self.tail)
    }
}

impl Writer {
    /// A writer that goes on where recovery says.
    pub fn new(drive: Arc<Drive>, resume: Resume) -> Self {
        let active = resume.map(|(segment, tail)| Active { segment, tail: tail as usize });
        Self { drive, active, buffer: AlignedBuffer::zeroed(BLOCK) }
    }

    /// The writer's thread: until the queue is closed and empty.
    pub fn run(mut self, queue: &Queue) {
        while let Some(batch) = queue.next_batch() {
            self.write(batch);
        }
        self.close();
    }

    /// Writes and answers a batch; more than one write where it does not fit into one segment.
    pub fn write(&mut self, batch: Vec<Request>) {
        let mut group: Vec<Request> = Vec::with_capacity(batch.len());
        let mut bytes = 0;
        for request in batch {
            let occupied = request.body.layout().occupied();
            let fits = self.active.as_ref().is_some_and(|active| bytes + occupied <= active.room());
            if !fits {
                self.flush(&mut group);
                bytes = 0;
                if let Err(error) = self.make_room(occupied) {
                    let _ = request.answer.send(Err(error));
                    continue;
                }
            }
            bytes += occupied;
            group.push(request);
        }
        self.flush(&mut group);
    }

    /// Makes sure that the active segment has room for a frame.
    fn make_room(&mut self, occupied: usize) -> Result<()> {
        self.drive.check()?;
        if self.active.as_ref().is_some_and(|active| occupied <= active.room()) {
            return Ok(());
        }
        // The old segment is left only once there is a new one: smaller frames may still fit into it.
        let segment = self.drive.take_segment()?;
        let change = segment.set_role(Role::Active);
        self.drive.after(&segment, change);
        if let Some(full) = self.active.replace(Active { segment, tail: DATA_START as usize }) {
            self.drive.leave_segment(&full.segment, offset(full.tail));
        }
        self.publish_room();
        if self.active.as_ref().is_some_and(|active| occupied <= active.room()) {
            return Ok(());
        }
        let message = format!("a frame of {occupied} bytes does not fit into a segment");
        Err(StoreError::Io(io::Error::new(io::ErrorKind::InvalidInput, message)))
    }

    fn publish_room(&self) {
        let room = self.active.as_ref().map_or(0, Active::room);
        self.drive.active_room.store(offset(room), Ordering::Relaxed);
    }

    /// One write, one sync, then the answers.
    fn flush(&mut self, group: &mut Vec<Request>) {
        let Some(active) = self.active.as_mut().filter(|_| !group.is_empty()) else { return };
        let epoch = active.segment.epoch();
        let used: usize = group.iter().map(|request| request.body.layout().occupied()).sum();
        let padded = used.next_multiple_of(BLOCK);
        self.buffer.set_length(padded);
        let mut rest = &mut self.buffer[..];
        for request in &*group {
            let (place, behind) = rest.split_at_mut(request.body.layout().occupied());
            request.body.encode(epoch, &request.id, place);
            rest = behind;
        }
        rest.fill(0);
        let start = active.tail;
        if let Err(error) = write_and_sync(&self.drive, &active.segment, &self.buffer, start as u64) {
            answer_all(group, &error);
            return;
        }
        active.tail += padded;
        active.segment.hold(u32::try_from(group.len()).unwrap_or(u32::MAX));
        let stats = &self.drive.stats;
        stats.batches.fetch_add(1, Ordering::Relaxed);
        stats.frames.fetch_add(group.len() as u64, Ordering::Relaxed);
        stats.bytes_written.fetch_add(padded as u64, Ordering::Relaxed);
        let sum = |of: fn(&Body) -> u32| group.iter().map(|request| u64::from(of(&request.body))).sum();
        stats.plain_bytes.fetch_add(sum(Body::length), Ordering::Relaxed);
        stats.stored_bytes.fetch_add(sum(Body::stored), Ordering::Relaxed);
        let segment = Arc::clone(&active.segment);
        self.publish_room();
        let mut at = start;
        for request in group.drain(..) {
            let occupied = request.body.layout().occupied();
            let place = Place {
                drive: self.drive.number,
                segment: segment.number,
                epoch,
                offset: offset(at),
                occupied: offset(occupied),
                length: request.body.length(),
            };
            at += occupied;
            let hold = self.drive.counted_hold(&segment);
            // Whoever has left drops the answer, and with it the hold.
            let _ = request.answer.send(Ok(Written { place, hold }));
        }
    }

    /// Says durably where the frames end, so that the next start need not look for it.
    pub fn close(&mut self) {
        if let Some(active) = self.active.take().filter(|_| self.drive.check().is_ok()) {
            let tail = offset(active.tail);
            if let Err(error) = self.drive.write_header(&active.segment, Phase::Closed { tail }) {
                tracing::warn!(drive = self.drive.number, %error, "the active segment was not closed");
            }
        }
    }
}

fn write_and_sync(drive: &Drive, segment: &Segment, bytes: &[u8], at: u64) -> Result<()> {
    drive.check()?;
    segment.file.write_at(Caching::Direct, bytes, at).map_err(|error| drive.failed_write("writing chunks", &error))?;
    #[cfg(test)]
    if super::local::breakage::is(super::local::breakage::Breakage::AnswerBeforeSync) {
        return Ok(());
    }
    drive.stats.syncs.fetch_add(1, Ordering::Relaxed);
    segment.file.sync_data().map_err(|error| drive.fatal_io("syncing chunks", &error))
}

fn answer_all(group: &mut Vec<Request>, error: &StoreError) {
    for request in group.drain(..) {
        let same = match error {
            StoreError::Full(message) => StoreError::Full(message.clone()),
            other => StoreError::Io(io::Error::other(other.to_string())),
        };
        let _ = request.answer.send(Err(same));
    }
}

/// Offsets and lengths within a segment, which has less than 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a segment has less than 4 GiB")
}
