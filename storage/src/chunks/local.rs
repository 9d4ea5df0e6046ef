//! The chunk store on local drives. [`crate::chunks::segment`] tells what a segment is, `writer.rs` how chunks get
//! into one, `preparer.rs` where segments come from, `reader.rs` how chunks are read, `recover.rs` what happens at
//! start.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::chunks::body::Body;
use crate::chunks::drive::{Drive, DriveSettings, MissingSegment, ReadGuard};
use crate::chunks::identity::Identity;
use crate::chunks::segment::{DATA_START, Role, SLOT_BYTES, Segment};
use crate::chunks::writer::{Queue, Request, Writer};
use crate::chunks::{ChunkFuture, ChunkStore, DriveState, SegmentState, SegmentUse, Written, gauges, reader, recover};
use crate::disk::buffer::BufferPool;
use crate::disk::{Disk, Engine};
use crate::error::{Corruption, Result, StoreError};
use crate::pool::WorkerPool;
use crate::types::{ChunkId, Place};

/// Called once when a drive fails to write, with what happened. Production ends the process if it is the only drive;
/// of several, the others go on.
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// Memory kept for reuse by reads, in bytes.
const READ_BUFFERS: usize = 64 << 20;
/// Reads that wait for a thread; further ones wait before they queue.
const READ_QUEUE: usize = 1024;
/// Reads through rings at a time, with their buffers; further ones wait before they take one.
const RING_READS: usize = 64;
/// Sizes of segments unless configured, by the size of the drive.
const SMALLEST_SEGMENT: u64 = 16 << 20;
const LARGEST_SEGMENT: u32 = 256 << 20;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// A writer and a preparer for each drive, and a pool for reads.
    Threads,
    /// Whoever polls the future, in a fixed order: for tests that replay the operations on the disk.
    Inline,
}

/// How to open a store.
#[derive(Clone)]
pub struct LocalOptions {
    /// The drives, in the order of their numbers. New ones are added at the end.
    pub drives: Vec<Arc<dyn Disk>>,
    /// The store's id, from the index; durable there before the drives are opened for the first time.
    pub store_id: [u8; 16],
    /// Length of new segments in bytes, a multiple of 4096; by default a 64th of the drive, from 16 MiB to
    /// `largest_segment_bytes`.
    pub segment_bytes: Option<u32>,
    /// The largest that segments become by default; 256 MiB is a good number.
    pub largest_segment_bytes: u32,
    /// Free bytes below which a drive takes no new segments; by default 2 % of it, 64 MiB to 1 GiB.
    pub reserve_bytes: Option<u64>,
    /// Segments kept ready on each drive once it is written to; 2 is a good number.
    pub spares: u32,
    /// Threads that read; 16 is a good number.
    pub read_threads: usize,
    /// Who does the work.
    pub threading: Threading,
    /// What to do when a drive fails.
    pub on_fatal: FatalHook,
}

impl LocalOptions {
    /// Options with the defaults, for production: a failing drive aborts the process if it is the only one.
    #[must_use]
    pub fn new(drives: Vec<Arc<dyn Disk>>, store_id: [u8; 16]) -> Self {
        let is_alone = drives.len() == 1;
        let on_fatal: FatalHook = Arc::new(move |message| {
            if !is_alone {
                return;
            }
            tracing::error!(
                message,
                "a drive failed: ending the process, so that nothing is acknowledged that is not stored"
            );
            std::process::abort();
        });
        Self {
            drives,
            store_id,
            segment_bytes: None,
            largest_segment_bytes: LARGEST_SEGMENT,
            reserve_bytes: None,
            spares: 2,
            read_threads: 16,
            threading: Threading::Threads,
            on_fatal,
        }
    }

    fn settings(&self, disk: &dyn Disk) -> Result<DriveSettings> {
        let total = disk.space()?.total;
        let by_size = (total / 64).clamp(SMALLEST_SEGMENT, u64::from(self.largest_segment_bytes).max(SMALLEST_SEGMENT));
        let by_size = 1u32 << by_size.ilog2();
        let segment_bytes = self.segment_bytes.unwrap_or(by_size);
        if !segment_bytes.is_multiple_of(SLOT_BYTES) || segment_bytes <= DATA_START {
            return Err(StoreError::Open(format!(
                "segments of {segment_bytes} bytes: must be a multiple of 4096 above 8192"
            )));
        }
        let reserve_bytes = self.reserve_bytes.unwrap_or((total / 50).clamp(64 << 20, 1 << 30));
        Ok(DriveSettings { segment_bytes, reserve_bytes, spares: self.spares as usize, threading: self.threading })
    }
}

/// The chunk store on local drives.
pub struct LocalChunks {
    core: Arc<Core>,
    /// Writers first, then preparers; emptied by closing.
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    writers: Vec<JoinHandle<()>>,
    preparers: Vec<JoinHandle<()>>,
}

struct Core {
    lanes: Vec<Lane>,
    readers: Option<WorkerPool>,
    /// One permit for each read that waits for a ring.
    ring_reads: Arc<Semaphore>,
    buffers: Arc<BufferPool>,
    recent: reader::Recent,
    /// Spreads chunks over the drives.
    ticket: AtomicU64,
}

/// A drive with its way in.
struct Lane {
    drive: Arc<Drive>,
    queue: Queue,
    /// Present without threads.
    writer: Option<Mutex<Writer>>,
}

impl LocalChunks {
    /// Opens the drives. `live` are the segments in which the index places chunks: everything else is free.
    ///
    /// # Errors
    /// [`StoreError::Open`] if a drive is missing, foreign, swapped or of a newer format, [`StoreError::Io`] if one
    /// cannot be read. A missing or damaged segment is no error: its chunks are, when they are read.
    #[expect(clippy::needless_pass_by_value, reason = "opening takes the drives over")]
    pub fn open(options: LocalOptions, live: Vec<SegmentUse>) -> Result<Arc<Self>> {
        if let Some(missing) = live.iter().find(|used| usize::from(used.drive) >= options.drives.len()) {
            let message = format!(
                "the index has chunks on drive {}, but only {} drives were given",
                missing.drive,
                options.drives.len()
            );
            return Err(StoreError::Open(message));
        }
        let healthy = Arc::new(AtomicUsize::new(options.drives.len()));
        let mut lanes = Vec::new();
        let mut writers = Vec::new();
        for (number, disk) in (0u16..).zip(&options.drives) {
            let identity = Identity { store_id: options.store_id, drive: number };
            let live: Vec<SegmentUse> = live.iter().filter(|used| used.drive == number).copied().collect();
            let settings = options.settings(&**disk)?;
            let failing = (Arc::clone(&options.on_fatal), Arc::clone(&healthy));
            let (drive, resume) = Drive::open(identity, Arc::clone(disk), settings, failing, &live)?;
            let mut writer = Some(Writer::new(Arc::clone(&drive), resume));
            if options.threading == Threading::Threads {
                writers.extend(writer.take());
            } else {
                drive.prepare_all();
            }
            lanes.push(Lane { drive, queue: Queue::new(), writer: writer.map(Mutex::new) });
        }
        let readers = match options.threading {
            Threading::Threads => Some(WorkerPool::new("read", options.read_threads, READ_QUEUE)?),
            Threading::Inline => None,
        };
        let core = Core {
            lanes,
            readers,
            ring_reads: Arc::new(Semaphore::new(RING_READS)),
            buffers: BufferPool::new(READ_BUFFERS),
            recent: reader::Recent::new(),
            ticket: AtomicU64::new(0),
        };
        let store = Arc::new(Self { core: Arc::new(core), threads: Mutex::default() });
        for (number, writer) in writers.into_iter().enumerate() {
            store.start(number, writer)?;
        }
        Ok(store)
    }

    fn start(&self, number: usize, writer: Writer) -> io::Result<()> {
        let spawn = |role: &str, work: Box<dyn FnOnce(&Lane) + Send>| {
            let core = Arc::clone(&self.core);
            std::thread::Builder::new().name(format!("cairn-{role}-{number}")).spawn(move || {
                let Some(lane) = core.lanes.get(number) else { return };
                if catch_unwind(AssertUnwindSafe(|| work(lane))).is_err() {
                    // Nobody would answer any more: as bad as a failed disk.
                    lane.drive.fatal_io("working for it", &io::Error::other("a thread panicked"));
                    lane.queue.abort();
                }
            })
        };
        let mut threads = self.threads.lock();
        threads.preparers.push(spawn("prepare", Box::new(|lane| lane.drive.prepare_until_closed()))?);
        threads.writers.push(spawn("write", Box::new(move |lane| writer.run(&lane.queue)))?);
        Ok(())
    }

    /// Writes what is queued, marks the end of the active segments, and stops the threads. Later writes are refused
    /// with [`StoreError::Closed`], reads go on. Also done when the store is dropped; a second call does nothing.
    pub fn close(&self) {
        for lane in &self.core.lanes {
            lane.queue.close();
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for writer in threads.writers {
            let _ = writer.join();
        }
        for lane in &self.core.lanes {
            if let Some(writer) = &lane.writer {
                writer.lock().close();
            }
            lane.drive.stop_preparing();
        }
        for preparer in threads.preparers {
            let _ = preparer.join();
        }
    }

    /// Without threads: writes several chunks as one batch, as a busy writer does.
    ///
    /// # Errors
    /// None as a whole: each chunk has its own answer.
    pub fn write_batch_inline(&self, chunks: Vec<(ChunkId, Bytes)>) -> Vec<Result<Written>> {
        let Some((lane, writer)) = self.core.lanes.first().and_then(|lane| Some((lane, lane.writer.as_ref()?))) else {
            return Vec::new();
        };
        let mut answers = Vec::new();
        let mut batch = Vec::new();
        for (id, data) in chunks {
            let (answer, receiver) = oneshot::channel();
            answers.push(receiver);
            match Body::plain(data) {
                Ok(body) => batch.push(Request { id, body, answer, slot: None }),
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        writer.lock().write(batch);
        lane.drive.prepare_all();
        answers.into_iter().map(|mut receiver| receiver.try_recv().unwrap_or(Err(StoreError::Closed))).collect()
    }

    /// The segments of all drives, for tests.
    #[cfg(test)]
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.core.lanes.iter().flat_map(|lane| lane.drive.segments()).collect()
    }
}

impl Drop for LocalChunks {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where bytes may be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// Memory or disk.
    Anywhere,
    /// The disk itself.
    Disk,
}

impl Core {
    /// The drives to try, in order: chosen in proportion to their room, the emptiest next.
    fn order(&self) -> Vec<usize> {
        let mut by_room: Vec<(u64, usize)> = Vec::with_capacity(self.lanes.len());
        if self.lanes.len() > 1 {
            by_room.extend(self.lanes.iter().enumerate().map(|(number, lane)| (lane.drive.room() >> 12, number)));
        } else {
            by_room.push((1, 0));
        }
        let total: u64 = by_room.iter().map(|(room, _)| room).sum();
        // Multiplied by an odd constant, successive tickets are spread evenly.
        let ticket = self.ticket.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut point = ticket % total.max(1);
        let chosen = by_room.iter().position(|(room, _)| {
            let here = point < *room;
            point = point.saturating_sub(*room);
            here
        });
        let first = chosen.map(|index| by_room.swap_remove(index));
        by_room.sort_unstable_by(|a, b| b.cmp(a));
        first.into_iter().chain(by_room).map(|(_, number)| number).collect()
    }

    async fn write(&self, id: ChunkId, body: Body) -> Result<Written> {
        let mut refusal = StoreError::Full("there is no drive".to_owned());
        for number in self.order() {
            let Some(lane) = self.lanes.get(number) else { continue };
            match lane.write(id, &body).await {
                Err(error @ (StoreError::Full(_) | StoreError::Io(_))) => refusal = error,
                outcome => return outcome,
            }
        }
        Err(refusal)
    }

    /// Whether reads of the drive wait for a ring, not on a thread.
    fn has_ring(&self, place: &Place) -> bool {
        self.lanes.get(usize::from(place.drive)).is_some_and(|lane| lane.drive.disk.engine() == Engine::Uring)
    }

    /// Keeps a place's segment as it is.
    fn guard(&self, id: ChunkId, place: &Place) -> Result<ReadGuard> {
        let damaged = |what| StoreError::Corrupt(Corruption::Chunk { id, place: *place, what });
        let lane = self.lanes.get(usize::from(place.drive)).ok_or_else(|| damaged("the drive is missing"))?;
        lane.drive.begin_read(place).map_err(|missing| match missing {
            MissingSegment::Former => StoreError::Conflict,
            MissingSegment::Lost => damaged("the segment file is missing"),
        })
    }

    async fn read(&self, id: ChunkId, place: Place, range: &Range<u32>, from: From) -> Result<Bytes> {
        if range.start > range.end || range.end > place.length {
            let message = format!("bytes {}..{} of a chunk of {}", range.start, range.end, place.length);
            return Err(StoreError::Io(io::Error::new(io::ErrorKind::InvalidInput, message)));
        }
        let guard = self.guard(id, &place)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match from {
            From::Anywhere => reader::read(&guard, &self.buffers, &self.recent, id, place, range).await,
            From::Disk => reader::read_stored(&guard, &self.buffers, id, place, range).await,
        }
    }

    /// Reads where reads wait: on the spot, for a ring, or on a thread.
    fn read_from(core: Arc<Self>, id: ChunkId, place: Place, range: Range<u32>, from: From) -> ChunkFuture<Bytes> {
        Box::pin(async move {
            match &core.readers {
                None => core.read_blocking(id, place, &range, from),
                Some(readers) => {
                    if from == From::Anywhere
                        && let Some(bytes) = core.read_on_the_spot(id, place, &range)
                    {
                        return Ok(bytes);
                    }
                    // Decompressing takes long enough for a thread of its own.
                    if core.has_ring(&place) && !reader::is_encoded(&place) {
                        let permit = core.ring_reads.acquire().await;
                        let _permit = permit.map_err(|_| StoreError::Closed)?;
                        return core.read(id, place, &range, from).await;
                    }
                    let reading = Arc::clone(&core);
                    readers.run(move || reading.read_blocking(id, place, &range, from)).await
                }
            }
        })
    }

    /// As [`Core::read`], waiting on this thread.
    fn read_blocking(&self, id: ChunkId, place: Place, range: &Range<u32>, from: From) -> Result<Bytes> {
        reader::wait(self.read(id, place, range, from))
    }

    fn segments(&self) -> Vec<SegmentState> {
        let mut states = Vec::new();
        for lane in &self.lanes {
            let segments = lane.drive.segments();
            let used = segments.iter().filter(|segment| matches!(segment.role(), Role::Sealed | Role::Active));
            states.extend(used.map(|segment| segment.state(lane.drive.number)));
        }
        states
    }

    fn frames(&self, segment: SegmentState) -> Result<Vec<(ChunkId, Place)>> {
        let SegmentState { drive, segment, epoch, .. } = segment;
        let lane = self.lanes.get(usize::from(drive)).ok_or(StoreError::Conflict)?;
        let any = Place { drive, segment, epoch, offset: 0, occupied: 0, length: 0 };
        let guard = lane.drive.begin_read(&any).map_err(|_| StoreError::Conflict)?;
        let mut frames = Vec::new();
        recover::walk(guard.segment(), &mut |at, header, layout| {
            if let (Ok(offset), Ok(occupied)) = (u32::try_from(at), u32::try_from(layout.occupied())) {
                frames.push((header.id, Place { offset, occupied, length: header.length, ..any }));
            }
        })?;
        Ok(frames)
    }

    /// Small reads that need no disk.
    fn read_on_the_spot(&self, id: ChunkId, place: Place, range: &Range<u32>) -> Option<Bytes> {
        let is_small = range.start < range.end
            && range.end <= place.length
            && range.end - range.start <= reader::ON_THE_SPOT_BYTES;
        let lane = self.lanes.get(usize::from(place.drive)).filter(|_| is_small)?;
        let guard = lane.drive.begin_read(&place).ok()?;
        reader::read_resident(&guard, &self.buffers, id, place, range)
    }
}

impl Lane {
    async fn write(&self, id: ChunkId, body: &Body) -> Result<Written> {
        self.drive.check_fence()?;
        let slot = self.queue.slot(body.layout().occupied()).await?;
        let (answer, receiver) = oneshot::channel();
        let request = Request { id, body: body.clone(), answer, slot: Some(slot) };
        match &self.writer {
            None => self.queue.push(request),
            Some(writer) => {
                writer.lock().write(vec![request]);
                self.drive.prepare_all();
            }
        }
        receiver.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl ChunkStore for LocalChunks {
    /// The block checksums are computed before this returns (70 µs for each MiB): call it where the chunk was hashed.
    fn write(&self, id: ChunkId, data: Bytes) -> ChunkFuture<Written> {
        match Body::plain(data) {
            Ok(body) => self.write_body(id, body),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn write_body(&self, id: ChunkId, body: Body) -> ChunkFuture<Written> {
        let core = Arc::clone(&self.core);
        Box::pin(async move { core.write(id, body).await })
    }

    fn read(&self, id: ChunkId, place: Place, range: Range<u32>) -> ChunkFuture<Bytes> {
        Core::read_from(Arc::clone(&self.core), id, place, range, From::Anywhere)
    }

    fn read_stored(&self, id: ChunkId, place: Place) -> ChunkFuture<Bytes> {
        Core::read_from(Arc::clone(&self.core), id, place, 0..place.length, From::Disk)
    }

    fn read_body(&self, id: ChunkId, place: Place) -> ChunkFuture<(Bytes, Option<Body>)> {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            if !reader::is_encoded(&place) {
                return Ok((Core::read_from(core, id, place, 0..place.length, From::Anywhere).await?, None));
            }
            let read = move |core: &Core| {
                let guard = core.guard(id, &place)?;
                reader::read_body(&guard, &core.buffers, id, place).map(|(chunk, body)| (chunk, Some(body)))
            };
            match &core.readers {
                None => read(&core),
                Some(readers) => {
                    let reading = Arc::clone(&core);
                    readers.run(move || read(&reading)).await
                }
            }
        })
    }

    fn read_resident(&self, id: ChunkId, place: &Place, range: &Range<u32>) -> Option<Bytes> {
        self.core.read_on_the_spot(id, *place, range)
    }

    fn note_live(&self, place: &Place) {
        if let Some(lane) = self.core.lanes.get(usize::from(place.drive)) {
            lane.drive.note(place, Segment::note_live);
        }
    }

    fn note_dead(&self, place: &Place) {
        if let Some(lane) = self.core.lanes.get(usize::from(place.drive)) {
            lane.drive.note(place, Segment::note_dead);
        }
    }

    fn segments(&self) -> Vec<SegmentState> {
        self.core.segments()
    }

    fn frames(&self, segment: SegmentState) -> ChunkFuture<Vec<(ChunkId, Place)>> {
        let core = Arc::clone(&self.core);
        Box::pin(async move {
            match &core.readers {
                None => core.frames(segment),
                Some(readers) => {
                    let reading = Arc::clone(&core);
                    readers.run(move || reading.frames(segment)).await
                }
            }
        })
    }

    fn drives(&self) -> Vec<DriveState> {
        self.core.lanes.iter().map(|lane| lane.drive.state()).collect()
    }

    fn unfence(&self, drive: u16) -> Result<bool> {
        self.core.lanes.get(usize::from(drive)).map_or(Ok(false), |lane| lane.drive.unfence())
    }

    fn admit(&self) -> Result<()> {
        let mut refusal = Err(StoreError::Full("there is no drive".to_owned()));
        for lane in &self.core.lanes {
            refusal = lane.drive.admit();
            if refusal.is_ok() {
                break;
            }
        }
        refusal
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let queued = self.core.lanes.iter().map(|lane| lane.queue.len()).sum();
        let reads = self.core.readers.as_ref().map_or(0, WorkerPool::queued);
        let drives: Vec<&Drive> = self.core.lanes.iter().map(|lane| &*lane.drive).collect();
        gauges::gauges(&drives, queued, reads)
    }
}

/// Deliberate faults, so that the crash tests can show that they would find them.
#[cfg(test)]
pub(crate) mod breakage {
    use std::cell::Cell;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Breakage {
        None,
        AnswerBeforeSync,
        KeepEpoch,
    }

    thread_local! {
        static CURRENT: Cell<Breakage> = const { Cell::new(Breakage::None) };
    }

    /// Breaks the stores that work on this thread.
    pub fn set(breakage: Breakage) {
        CURRENT.set(breakage);
    }

    pub fn is(breakage: Breakage) -> bool {
        CURRENT.get() == breakage
    }
}
