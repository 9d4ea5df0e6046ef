//! One drive of the local chunk store: its segments, what became of them, and the one place where a failing disk
//! ends the service.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, RwLock};
use rustix::io::Errno;

use crate::chunks::identity::{Expectation, Identity};
use crate::chunks::local::{FatalHook, Threading};
use crate::chunks::preparer::Supply;
use crate::chunks::recover;
use crate::chunks::segment::{Change, Phase, Role, Segment};
use crate::chunks::{DriveState, Fence, SegmentUse};
use crate::disk::{Disk, Space};
use crate::error::{Result, StoreError};
use crate::types::{Place, Timestamp};

/// What a drive is told when it is opened.
#[derive(Clone, Copy, Debug)]
pub struct DriveSettings {
    /// Length of new segments, in bytes.
    pub segment_bytes: u32,
    /// Free bytes below which no segment is made.
    pub reserve_bytes: u64,
    /// Segments kept ready.
    pub spares: usize,
    /// Who prepares segments.
    pub threading: Threading,
}

/// Counters for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    pub batches: AtomicU64,
    pub frames: AtomicU64,
    pub bytes_written: AtomicU64,
    /// Bytes of chunks, before and after compression.
    pub plain_bytes: AtomicU64,
    pub stored_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub segments_made: AtomicU64,
    pub segments_recycled: AtomicU64,
    pub segments_removed: AtomicU64,
    pub damaged_reads: AtomicU64,
    pub read_errors: AtomicU64,
}

/// A drive.
pub struct Drive {
    pub number: u16,
    pub disk: Arc<dyn Disk>,
    pub settings: DriveSettings,
    pub stats: Stats,
    /// Bytes left in the segment that is written to.
    pub active_room: AtomicU32,
    pub(super) supply: Mutex<Supply>,
    pub(super) supply_changed: Condvar,
    store_id: [u8; 16],
    segments: RwLock<HashMap<u32, Arc<Segment>>>,
    /// Segments that the index names and that are not there.
    lost: HashSet<u32>,
    /// Set by the first failed write or sync, for good.
    failed: OnceLock<Fence>,
    /// Set by a failed read, where another drive can take what is new.
    suspect: Mutex<Option<Fence>>,
    /// How many drives of the store take new data.
    healthy: Arc<AtomicUsize>,
    on_fatal: FatalHook,
    space: Mutex<Space>,
}

/// Where the writer goes on: a segment, and the end of its last frame.
pub type Resume = Option<(Arc<Segment>, u32)>;

impl Drive {
    /// Checks the drive's identity, recovers its segments, and tells where writing goes on.
    ///
    /// # Errors
    /// [`StoreError::Open`] if it is not the drive that it should be, [`StoreError::Io`] if it fails.
    pub fn open(
        identity: Identity,
        disk: Arc<dyn Disk>,
        settings: DriveSettings,
        (on_fatal, healthy): (FatalHook, Arc<AtomicUsize>),
        live: &[SegmentUse],
    ) -> Result<(Arc<Self>, Resume)> {
        let expected = if live.is_empty() { Expectation::MayBeNew } else { Expectation::HoldsData };
        identity.claim(&*disk, expected)?;
        let found = recover::recover(&*disk, identity, live)?;
        let space = disk.space()?;
        let resume = found.resume;
        let room = resume.as_ref().map_or(0, |(segment, tail)| segment.size.saturating_sub(*tail));
        let drive = Self {
            number: identity.drive,
            disk,
            settings,
            stats: Stats::default(),
            active_room: AtomicU32::new(room),
            supply: Mutex::new(Supply::new(found.free, found.unsealed, found.next_number)),
            supply_changed: Condvar::new(),
            store_id: identity.store_id,
            segments: RwLock::new(found.segments),
            lost: found.lost,
            failed: OnceLock::new(),
            suspect: Mutex::default(),
            healthy,
            on_fatal,
            space: Mutex::new(space),
        };
        Ok((Arc::new(drive), resume))
    }

    /// The segment of a place, kept as it is while the guard lives.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the place is of a former use of its segment: look the place up again.
    pub fn begin_read(self: &Arc<Self>, place: &Place) -> Result<ReadGuard, MissingSegment> {
        let segment = self.segments.read().get(&place.segment).cloned();
        match segment {
            Some(segment) if segment.begin_read(place.epoch) => Ok(ReadGuard { drive: Arc::clone(self), segment }),
            None if self.lost.contains(&place.segment) => Err(MissingSegment::Lost),
            Some(_) | None => Err(MissingSegment::Former),
        }
    }

    /// Keeps a segment while a written chunk waits for its commit. Counted by the writer beforehand.
    pub fn counted_hold(self: &Arc<Self>, segment: &Arc<Segment>) -> Arc<Hold> {
        Arc::new(Hold { drive: Arc::clone(self), segment: Arc::clone(segment) })
    }

    /// A commit has made a chunk live or dead.
    pub fn note(self: &Arc<Self>, place: &Place, note: impl FnOnce(&Segment, &Place) -> Change) {
        let segment = self.segments.read().get(&place.segment).cloned();
        if let Some(segment) = segment {
            self.after(&segment, note(&segment, place));
        } else {
            tracing::warn!(drive = self.number, ?place, "a place in a missing segment was noted");
        }
    }

    pub(super) fn add_segment(&self, segment: &Arc<Segment>) {
        self.segments.write().insert(segment.number, Arc::clone(segment));
    }

    pub(super) fn forget_segment(&self, segment: &Segment) {
        self.segments.write().remove(&segment.number);
    }

    /// All segments, for metrics and tests.
    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().values().cloned().collect()
    }

    /// How many segments the index names that are not there.
    pub fn lost_segments(&self) -> usize {
        self.lost.len()
    }

    /// Writes a segment's next header and makes it, and all that was written to the file before, durable.
    pub(super) fn write_header(&self, segment: &Segment, phase: Phase) -> Result<()> {
        let header = segment.next_header(self.store_id, self.number, phase);
        header.write(&*segment.file).map_err(|error| self.failed_write("writing a segment's header", &error))?;
        segment.file.sync_data().map_err(|error| self.fatal_io("syncing a segment's header", &error))
    }

    /// What an error of a write means: no space refuses, anything else is fatal.
    pub fn failed_write(&self, doing: &str, error: &io::Error) -> StoreError {
        if is_no_space(error) {
            return StoreError::Full(format!("drive {}: {error} while {doing}", self.number));
        }
        self.fatal_io(doing, error)
    }

    /// The one place that ends the service of a failing disk: after a failed sync or write nobody knows what is on
    /// the disk, and asking again would lie. The hook ends the process where this was the only drive; where it returns,
    /// every later write is refused and reads go on.
    pub fn fatal_io(&self, doing: &str, error: &io::Error) -> StoreError {
        let message = format!("drive {}: {error} while {doing}", self.number);
        let fence = Fence { reason: message.clone(), since: Timestamp::now(), until_restart: true };
        {
            let suspect = self.suspect.lock();
            if self.failed.set(fence).is_ok() {
                tracing::error!(%message, "the drive failed: no further writes to it");
                if suspect.is_none() {
                    self.healthy.fetch_sub(1, Ordering::Relaxed);
                }
                drop(suspect);
                (self.on_fatal)(&message);
            }
        }
        let _supply = self.supply.lock();
        self.supply_changed.notify_all();
        StoreError::Io(io::Error::new(error.kind(), message))
    }

    /// What an error of a read means: the drive takes no new data, if another one can. A single drive goes on: one bad
    /// sector is no reason to stop.
    pub fn failed_read(&self, error: &io::Error) -> StoreError {
        let message = format!("drive {}: {error} while reading", self.number);
        self.stats.read_errors.fetch_add(1, Ordering::Relaxed);
        let mut suspect = self.suspect.lock();
        if suspect.is_none() && self.failed.get().is_none() {
            let another = |healthy: usize| (healthy > 1).then(|| healthy - 1);
            if self.healthy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another).is_ok() {
                tracing::error!(%message, "the drive failed: it takes no new data");
                *suspect = Some(Fence { reason: message.clone(), since: Timestamp::now(), until_restart: false });
            } else {
                tracing::error!(%message, "the drive failed; no other one could take new data");
            }
        }
        StoreError::Io(io::Error::new(error.kind(), message))
    }

    /// Why it takes no new data, if it does not.
    pub fn fence(&self) -> Option<Fence> {
        self.failed.get().cloned().or_else(|| self.suspect.lock().clone())
    }

    /// Lets the drive take new data again; `false` if nothing is in its way.
    ///
    /// # Errors
    /// [`StoreError::Open`] if it failed to write.
    pub fn unfence(&self) -> Result<bool> {
        let mut suspect = self.suspect.lock();
        if let Some(fence) = self.failed.get() {
            return Err(StoreError::Open(format!("only a restart lets it take new data again: {}", fence.reason)));
        }
        if suspect.take().is_none() {
            return Ok(false);
        }
        self.healthy.fetch_add(1, Ordering::Relaxed);
        tracing::info!(drive = self.number, "the drive takes new data again");
        Ok(true)
    }

    /// How it is.
    pub fn state(&self) -> DriveState {
        let space = self.space();
        DriveState {
            number: self.number,
            free_bytes: space.free,
            total_bytes: space.total,
            room_bytes: self.room(),
            live_bytes: self.segments().iter().map(|segment| segment.live_bytes()).sum(),
            read_errors: self.stats.read_errors.load(Ordering::Relaxed),
            fence: self.fence(),
        }
    }

    /// Refuses new data for a drive that is fenced.
    ///
    /// # Errors
    /// [`StoreError::Io`] with what happened.
    pub fn check_fence(&self) -> Result<()> {
        self.fence().map_or(Ok(()), |fence| Err(StoreError::Io(io::Error::other(fence.reason))))
    }

    /// Refuses a drive that has failed to write.
    ///
    /// # Errors
    /// [`StoreError::Io`] with what happened.
    pub fn check(&self) -> Result<()> {
        self.failed.get().map_or(Ok(()), |fence| Err(StoreError::Io(io::Error::other(fence.reason.clone()))))
    }

    /// Asks the file system for its room.
    pub fn refresh_space(&self) -> Space {
        match self.disk.space() {
            Ok(space) => *self.space.lock() = space,
            Err(error) => tracing::warn!(drive = self.number, %error, "cannot tell the free space"),
        }
        self.space()
    }

    /// The file system's room when it was last asked for, at most about a second ago.
    pub fn space(&self) -> Space {
        *self.space.lock()
    }

    /// Bytes that new chunks can take: what is left in segments, and segments that could still be made.
    pub fn room(&self) -> u64 {
        if self.fence().is_some() {
            return 0;
        }
        let segment = u64::from(self.settings.segment_bytes);
        let (ready, free) = self.supply.lock().stock();
        let possible = self.space().free.saturating_sub(self.settings.reserve_bytes) / segment;
        u64::from(self.active_room.load(Ordering::Relaxed)) + (ready as u64 + free as u64 + possible) * segment
    }

    /// Whether new data is welcome.
    ///
    /// # Errors
    /// [`StoreError::Full`] when no segment has room, or when the free space is below half of the reserve: that half
    /// is for the index, which has to record deletions.
    pub fn admit(&self) -> Result<()> {
        self.check_fence()?;
        let space = self.space();
        if space.free < self.settings.reserve_bytes / 2
            || self.room() < ADMITTED_BYTES.min(u64::from(self.settings.segment_bytes) / 4)
        {
            let (free, reserve) = (space.free >> 20, self.settings.reserve_bytes >> 20);
            return Err(StoreError::Full(format!(
                "drive {}: {free} MiB free, {reserve} MiB kept in reserve",
                self.number
            )));
        }
        Ok(())
    }
}

/// A drive with less room than this is full: one large chunk.
const ADMITTED_BYTES: u64 = 9 << 20;

/// Why a place has no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingSegment {
    /// The place is of a former use.
    Former,
    /// The file is not there.
    Lost,
}

/// Keeps a segment from being recycled while a written chunk waits for its commit.
pub struct Hold {
    drive: Arc<Drive>,
    segment: Arc<Segment>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.drive.after(&self.segment, self.segment.release_hold());
    }
}

/// Keeps a segment from being recycled while it is read.
pub struct ReadGuard {
    drive: Arc<Drive>,
    segment: Arc<Segment>,
}

impl ReadGuard {
    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The drive.
    pub fn drive(&self) -> &Drive {
        &self.drive
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.drive.after(&self.segment, self.segment.end_read());
    }
}

/// Whether a write failed for want of room: quotas count.
pub fn is_no_space(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// How many segments are in a role.
pub fn count(segments: &[Arc<Segment>], role: Role) -> usize {
    segments.iter().filter(|segment| segment.role() == role).count()
}
