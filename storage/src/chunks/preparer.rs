//! Keeps segments ready for the writer: recycles dead ones, makes new ones, seals full ones, gives space back.
//!
//! All headers but the resumed segment's are written here, one after another, so a segment's header slots are never
//! written by two at once. A segment is handed to the writer only when it is durable: zeroes or old frames, the
//! header with the new epoch, and the name.
//!
//! A crash leaves at worst a segment file without a valid header (removed at the next start) or a prepared one that
//! nothing is in (recycled).

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::chunks::drive::{Drive, is_no_space};
use crate::chunks::local::Threading;
use crate::chunks::segment::{Change, Phase, Role, Segment, file_name};
use crate::disk::buffer::AlignedBuffer;
use crate::disk::{Caching, DiskFile};
use crate::error::{Result, StoreError};

/// Bytes of zeroes written at once.
const FILL_BYTES: usize = 1 << 20;
/// The pause after each of them while nobody waits for the segment, so that filling does not crowd out writes.
const FILL_PAUSE: Duration = Duration::from_millis(2);
/// How often the free space is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked at, without the writer taking a segment, until dead segments are given back to the file
/// system, but for those that are ready: a minute. Until then they spare the writing of zeroes.
const LOOKS_UNTIL_SURPLUS: u32 = 60;

/// What is ready, what could be, and who waits.
pub struct Supply {
    /// For the writer.
    ready: VecDeque<Arc<Segment>>,
    /// Dead segments.
    pub(super) free: Vec<Arc<Segment>>,
    /// Full segments whose headers do not say so yet, with their tails.
    unsealed: VecDeque<(Arc<Segment>, u32)>,
    /// How many to keep ready: one until the first is needed.
    target: usize,
    /// The writer waits for a segment.
    wanted: bool,
    /// Why there is none.
    full: Option<String>,
    next_number: u32,
    closing: bool,
    /// Something changed since the preparer last looked.
    stirred: bool,
    /// How often the preparer has looked since the writer last took a segment.
    looks: u32,
}

enum Job {
    Seal(Arc<Segment>, u32),
    Recycle(Arc<Segment>),
    Make(u32),
    Remove(Arc<Segment>),
    Nothing,
}

impl Supply {
    /// As recovery found it.
    pub fn new(free: Vec<Arc<Segment>>, unsealed: VecDeque<(Arc<Segment>, u32)>, next_number: u32) -> Self {
        let ready = VecDeque::new();
        Self {
            ready,
            free,
            unsealed,
            target: 1,
            wanted: false,
            full: None,
            next_number,
            closing: false,
            stirred: false,
            looks: 0,
        }
    }

    /// How many segments are ready, and how many more are dead.
    pub fn stock(&self) -> (usize, usize) {
        (self.ready.len(), self.free.len())
    }

    /// Decides what to do next. `spare_bytes` is the free space above the reserve, negative below it.
    fn next_job(&mut self, spare_bytes: i128, segment_bytes: u32) -> Job {
        let urgent = self.wanted && self.ready.is_empty();
        if !urgent && let Some((segment, tail)) = self.unsealed.pop_front() {
            return Job::Seal(segment, tail);
        }
        let target = if self.closing { 0 } else { self.target };
        if urgent || self.ready.len() < target {
            if let Some(index) = self.free.iter().rposition(|segment| !segment.has_lost_header()) {
                return Job::Recycle(self.free.swap_remove(index));
            }
            if spare_bytes >= i128::from(segment_bytes) {
                let number = self.next_number;
                self.next_number = number.saturating_add(1);
                return Job::Make(number);
            }
            self.report_full(format!(
                "{} MiB above the reserve, a segment needs {}",
                spare_bytes >> 20,
                segment_bytes >> 20
            ));
        }
        let below_reserve = spare_bytes < 0;
        let is_surplus = below_reserve || (self.looks >= LOOKS_UNTIL_SURPLUS);
        let surplus = self.free.iter().rposition(|segment| is_surplus || segment.has_lost_header());
        if let Some(index) = surplus {
            return Job::Remove(self.free.swap_remove(index));
        }
        self.unsealed.pop_front().map_or(Job::Nothing, |(segment, tail)| Job::Seal(segment, tail))
    }

    fn report_full(&mut self, why: String) {
        self.full = Some(why);
        self.wanted = false;
    }
}

impl Drive {
    /// A durable, empty segment for the writer; waits for the preparer (or does its work, inline).
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is none and none can be made.
    pub fn take_segment(&self) -> Result<Arc<Segment>> {
        let mut supply = self.supply.lock();
        supply.target = self.settings.spares;
        supply.full = None;
        supply.wanted = true;
        loop {
            self.check()?;
            if let Some(segment) = supply.ready.pop_front() {
                supply.wanted = false;
                supply.looks = 0;
                self.stir(&mut supply);
                return Ok(segment);
            }
            if let Some(why) = &supply.full {
                return Err(StoreError::Full(format!("drive {}: {why}", self.number)));
            }
            match self.settings.threading {
                Threading::Threads => {
                    self.stir(&mut supply);
                    self.supply_changed.wait(&mut supply);
                }
                Threading::Inline => {
                    drop(supply);
                    self.prepare_once();
                    supply = self.supply.lock();
                }
            }
        }
    }

    /// The writer has left a segment: its header will say so, and when all of it is dead it is recycled.
    pub fn leave_segment(&self, segment: &Arc<Segment>, tail: u32) {
        let change = segment.set_role(Role::Sealed);
        {
            let mut supply = self.supply.lock();
            supply.unsealed.push_back((Arc::clone(segment), tail));
            self.stir(&mut supply);
        }
        self.after(segment, change);
    }

    /// Passes a freed segment on to the preparer.
    pub fn after(&self, segment: &Arc<Segment>, change: Change) {
        if change == Change::Freed {
            let mut supply = self.supply.lock();
            supply.free.push(Arc::clone(segment));
            self.stir(&mut supply);
        }
    }

    /// Wakes the preparer, or lets it look again before it sleeps.
    fn stir(&self, supply: &mut Supply) {
        supply.stirred = true;
        self.supply_changed.notify_all();
    }

    /// The preparer's thread.
    pub fn prepare_until_closed(&self) {
        loop {
            if self.check().is_err() {
                return;
            }
            if !self.prepare_once() {
                let mut supply = self.supply.lock();
                if std::mem::take(&mut supply.stirred) {
                    continue;
                }
                if supply.closing {
                    return;
                }
                if self.supply_changed.wait_for(&mut supply, LOOK).timed_out() {
                    supply.looks = supply.looks.saturating_add(1);
                }
            }
        }
    }

    /// Does what there is to do, for stores without threads.
    pub fn prepare_all(&self) {
        while self.check().is_ok() && self.prepare_once() {}
    }

    /// Tells the preparer to finish sealing and to stop.
    pub fn stop_preparing(&self) {
        let mut supply = self.supply.lock();
        supply.closing = true;
        self.stir(&mut supply);
    }

    /// Does one thing; `false` if there is nothing to do or nothing can be done.
    fn prepare_once(&self) -> bool {
        let space = self.refresh_space();
        let spare_bytes = i128::from(space.free) - i128::from(self.settings.reserve_bytes);
        let job = self.supply.lock().next_job(spare_bytes, self.settings.segment_bytes);
        let outcome = match job {
            Job::Nothing => {
                // A writer that waits may have been told that the drive is full.
                self.supply_changed.notify_all();
                return false;
            }
            Job::Seal(segment, tail) => self.seal(&segment, tail),
            Job::Recycle(segment) => self.recycle(&segment),
            Job::Make(number) => self.make(number),
            Job::Remove(segment) => self.remove(&segment),
        };
        if let Err(error) = outcome {
            self.supply.lock().report_full(error.to_string());
            self.supply_changed.notify_all();
            return false;
        }
        true
    }

    fn seal(&self, segment: &Segment, tail: u32) -> Result<()> {
        if segment.role() == Role::Sealed { self.write_header(segment, Phase::Sealed { tail }) } else { Ok(()) }
    }

    fn recycle(&self, segment: &Arc<Segment>) -> Result<()> {
        if let Err(error) = self.write_header(segment, Phase::Open) {
            self.supply.lock().free.push(Arc::clone(segment));
            return Err(error);
        }
        self.stats.segments_recycled.fetch_add(1, Ordering::Relaxed);
        self.provide(segment);
        Ok(())
    }

    fn provide(&self, segment: &Arc<Segment>) {
        let change = segment.set_role(Role::Ready);
        self.after(segment, change);
        let mut supply = self.supply.lock();
        supply.ready.push_back(Arc::clone(segment));
        supply.full = None;
        self.supply_changed.notify_all();
    }

    fn make(&self, number: u32) -> Result<()> {
        let name = file_name(number);
        let file = self.disk.create(&name).map_err(|error| self.refused("creating a segment", &error))?;
        if let Err(error) = self.fill(&*file) {
            // What was written of it only takes space.
            if self.disk.remove(&name).is_ok() {
                self.disk.sync_directory().map_err(|error| self.fatal_io("syncing the directory", &error))?;
            }
            return Err(error);
        }
        let segment = Segment::new(number, self.settings.segment_bytes, file, Role::Free, 1, 0, 0);
        self.write_header(&segment, Phase::Open)?;
        self.disk.sync_directory().map_err(|error| self.fatal_io("syncing the directory", &error))?;
        self.add_segment(&segment);
        self.stats.segments_made.fetch_add(1, Ordering::Relaxed);
        self.provide(&segment);
        Ok(())
    }

    /// Writes the zeroes. Later writes overwrite allocated blocks, which needs no change of the file system's own
    /// data at a sync: several times faster than appending, and than `fallocate`.
    fn fill(&self, file: &dyn DiskFile) -> Result<()> {
        let size = self.settings.segment_bytes as usize;
        let zeroes = AlignedBuffer::zeroed(FILL_BYTES.min(size));
        for start in (0..size).step_by(FILL_BYTES) {
            let piece = &zeroes[..FILL_BYTES.min(size - start)];
            file.write_at(Caching::Direct, piece, start as u64)
                .map_err(|error| self.failed_write("filling a segment", &error))?;
            let mut supply = self.supply.lock();
            if supply.closing && !supply.wanted {
                return Err(StoreError::Closed);
            }
            if !supply.wanted && self.settings.threading == Threading::Threads {
                self.supply_changed.wait_for(&mut supply, FILL_PAUSE);
            }
        }
        Ok(())
    }

    fn remove(&self, segment: &Segment) -> Result<()> {
        self.forget_segment(segment);
        self.disk.remove(&file_name(segment.number)).map_err(|error| self.refused("removing a segment", &error))?;
        self.disk.sync_directory().map_err(|error| self.fatal_io("syncing the directory", &error))?;
        self.stats.segments_removed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A name that could not be created or removed: nothing is lost, so the service goes on.
    fn refused(&self, doing: &str, error: &io::Error) -> StoreError {
        let message = format!("drive {}: {error} while {doing}", self.number);
        if is_no_space(error) {
            return StoreError::Full(message);
        }
        tracing::error!(%message, "the file system refused");
        StoreError::Io(io::Error::new(error.kind(), message))
    }
}
