//! A disk that remembers every operation, fails on demand, and can be crashed at any point afterwards.
//!
//! The fault model: a write is durable once a later `sync_data` of its file succeeded, a name once a later
//! `sync_directory` did. Everything else may be lost, kept or torn at 512-byte sectors, each on its own and in any
//! order; a length may survive without its data (which then reads as zeroes). What was unsynced when a sync failed is
//! never made durable by a later one. [`SimDisk::crash_images`] makes the disks that a power cut could leave.
//!
//! Reads are served from the volatile view: all that was written, as a kill of the process alone would leave it.

mod crash;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::io::Errno;

pub use self::crash::{CrashClass, CrashImage};
use super::{BLOCK, Caching, Disk, DiskFile, Space};

/// A file's number on a simulated disk. A name that is created again gets a new one.
pub type FileNumber = u32;

/// One recorded operation. Operations that failed without effect are not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A new, empty file under a new name.
    Create {
        /// The name.
        name: String,
        /// The file.
        file: FileNumber,
    },
    /// A name is gone.
    Remove {
        /// The name.
        name: String,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: FileNumber,
        /// The first byte's offset.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The file's writes so far are durable.
    SyncData {
        /// The file.
        file: FileNumber,
    },
    /// Syncing failed: the file's unsynced writes may or may not reach the disk, and later syncs do not help them.
    SyncDataFailed {
        /// The file.
        file: FileNumber,
    },
    /// The names are durable.
    SyncDirectory,
    /// Bits at rest were flipped.
    Flip {
        /// The file.
        file: FileNumber,
        /// The byte.
        offset: u64,
        /// The bits.
        mask: u8,
    },
    /// The test's own note, e.g. the number of a commit of its index.
    Marker(u64),
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO` without effect; for a sync: the unsynced writes are in doubt from then on.
    Io,
    /// `ENOSPC` without effect.
    NoSpace,
    /// Half of the write's sectors are written, then `EIO`. As [`Fault::Io`] for other operations.
    ShortWrite,
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Only the operation with that number.
    Once,
    /// Each operation from that number on: the disk is dead.
    Forever,
}

type Names = BTreeMap<String, FileNumber>;
type Files = BTreeMap<FileNumber, Arc<Vec<u8>>>;

/// What a disk held before its log began, or what a view of it holds now.
#[derive(Clone, Debug, Default)]
struct Content {
    names: Names,
    files: Files,
}

impl Content {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { name, file } => {
                self.names.insert(name.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Op::Remove { name } => {
                self.names.remove(name);
            }
            Op::Write { file, offset, data } => self.write(*file, *offset, data),
            Op::Flip { file, offset, mask } => {
                let content = Arc::make_mut(self.files.entry(*file).or_default());
                if let Some(byte) = usize::try_from(*offset).ok().and_then(|at| content.get_mut(at)) {
                    *byte ^= mask;
                }
            }
            Op::SyncData { .. } | Op::SyncDataFailed { .. } | Op::SyncDirectory | Op::Marker(_) => {}
        }
    }

    fn write(&mut self, file: FileNumber, offset: u64, data: &[u8]) {
        let start = usize::try_from(offset).expect("simulated files fit into memory");
        let content = Arc::make_mut(self.files.entry(file).or_default());
        if content.len() < start + data.len() {
            content.resize(start + data.len(), 0);
        }
        content[start..start + data.len()].copy_from_slice(data);
    }
}

struct State {
    base: Content,
    base_marker: Option<u64>,
    log: Vec<Op>,
    volatile: Content,
    next_file: FileNumber,
    /// Mutations asked for, failed ones included.
    operations: usize,
    faults: Vec<(usize, Fault, Repeat)>,
    reads_fail: bool,
    capacity: u64,
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk of 1 GiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_content(Content::default(), None, 1 << 30)
    }

    fn with_content(content: Content, marker: Option<u64>, capacity: u64) -> Self {
        let next_file = content.files.keys().next_back().map_or(1, |last| last + 1);
        let state = State {
            base: content.clone(),
            base_marker: marker,
            log: Vec::new(),
            volatile: content,
            next_file,
            operations: 0,
            faults: Vec::new(),
            reads_fail: false,
            capacity,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Records the test's own note. Crash images carry the greatest one before their crash point.
    pub fn marker(&self, number: u64) {
        self.state.lock().log.push(Op::Marker(number));
    }

    /// The log's length: the crash point after everything that happened so far.
    #[must_use]
    pub fn log_len(&self) -> usize {
        self.state.lock().log.len()
    }

    /// A copy of the log, for messages of failed tests.
    #[must_use]
    pub fn log(&self) -> Vec<Op> {
        self.state.lock().log.clone()
    }

    /// Mutations (create, remove, write, sync) asked for so far: the number of the next one for [`SimDisk::fail`].
    #[must_use]
    pub fn operations(&self) -> usize {
        self.state.lock().operations
    }

    /// Lets the mutation with number `at` (counted from 0 since the disk was made) fail.
    pub fn fail(&self, at: usize, fault: Fault, repeat: Repeat) {
        self.state.lock().faults.push((at, fault, repeat));
    }

    /// Lets every read fail with `EIO`, or ends that.
    pub fn fail_reads(&self, fail: bool) {
        self.state.lock().reads_fail = fail;
    }

    /// Takes back all faults.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.reads_fail = false;
    }

    /// Sets the size of the disk; writes that would exceed it get `ENOSPC`.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Flips bits of a byte at rest. `false` if there is no such file or byte.
    #[must_use]
    pub fn flip(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut state = self.state.lock();
        let Some(&file) = state.volatile.names.get(name) else { return false };
        if offset >= state.length(file) {
            return false;
        }
        state.record(Op::Flip { file, offset, mask });
        true
    }

    /// A file's bytes in the volatile view.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let file = state.volatile.names.get(name)?;
        state.volatile.files.get(file).map(|content| content.to_vec())
    }

    /// The disks that a power cut after the first `at` operations of the log could leave, at most `limit` of them
    /// (at least the two plain ones: nothing unsynced survives, everything does). The same `seed` gives the same ones.
    pub fn crash_images(&self, at: usize, seed: u64, limit: usize) -> impl Iterator<Item = CrashImage> + use<> {
        let state = self.state.lock();
        let at = at.min(state.log.len());
        crash::images(&state.base, state.base_marker, &state.log[..at], state.capacity, seed, limit)
    }

    fn file(&self, file: FileNumber) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { state: Arc::clone(&self.state), file })
    }
}

impl State {
    fn record(&mut self, op: Op) {
        self.volatile.apply(&op);
        self.log.push(op);
    }

    /// Counts a mutation and tells whether it has to fail.
    fn strike(&mut self) -> Option<Fault> {
        let number = self.operations;
        self.operations += 1;
        let hits = |(at, _, repeat): &&(usize, Fault, Repeat)| match repeat {
            Repeat::Once => *at == number,
            Repeat::Forever => *at <= number,
        };
        self.faults.iter().find(hits).map(|(_, fault, _)| *fault)
    }

    fn length(&self, file: FileNumber) -> u64 {
        self.volatile.files.get(&file).map_or(0, |content| content.len() as u64)
    }

    fn used(&self) -> u64 {
        self.volatile.names.values().map(|file| self.length(*file)).sum()
    }

    fn write(&mut self, file: FileNumber, data: &[u8], offset: u64) -> io::Result<()> {
        let kept = match self.strike() {
            None => data.len(),
            Some(Fault::Io) => return Err(Errno::IO.into()),
            Some(Fault::NoSpace) => return Err(Errno::NOSPC.into()),
            Some(Fault::ShortWrite) => data.len() / 2 / crash::SECTOR * crash::SECTOR,
        };
        let growth = (offset + kept as u64).saturating_sub(self.length(file));
        if growth > 0 && self.used() + growth > self.capacity {
            return Err(Errno::NOSPC.into());
        }
        if kept > 0 {
            self.record(Op::Write { file, offset, data: recorded(&data[..kept]) });
        }
        if kept < data.len() { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

/// The bytes for the log. Zeroes, of which segments are made, share their memory.
fn recorded(data: &[u8]) -> Bytes {
    static ZEROES: [u8; 1 << 20] = [0; 1 << 20];
    match ZEROES.get(..data.len()) {
        Some(zeroes) if zeroes == data => Bytes::from_static(zeroes),
        _ => Bytes::copy_from_slice(data),
    }
}

fn to_error(fault: Fault) -> io::Error {
    match fault {
        Fault::Io | Fault::ShortWrite => Errno::IO.into(),
        Fault::NoSpace => Errno::NOSPC.into(),
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        if let Some(fault) = state.strike() {
            return Err(to_error(fault));
        }
        if state.volatile.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        let file = state.next_file;
        state.next_file += 1;
        state.record(Op::Create { name: name.to_owned(), file });
        drop(state);
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.state.lock().volatile.names.get(name).copied();
        file.map(|file| self.file(file)).ok_or_else(|| Errno::NOENT.into())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(fault) = state.strike() {
            return Err(to_error(fault));
        }
        if !state.volatile.names.contains_key(name) {
            return Err(Errno::NOENT.into());
        }
        state.record(Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state.lock().volatile.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.strike() {
            None => {
                state.record(Op::SyncDirectory);
                Ok(())
            }
            Some(fault) => Err(to_error(fault)),
        }
    }

    fn space(&self) -> io::Result<Space> {
        let state = self.state.lock();
        Ok(Space { free: state.capacity.saturating_sub(state.used()), total: state.capacity })
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    file: FileNumber,
}

/// Direct IO's rules, so that a mistake shows in every test and not on some disks only.
fn check_alignment(caching: Caching, address: *const u8, length: usize, offset: u64) -> io::Result<()> {
    let in_memory = address.addr().is_multiple_of(BLOCK) && length.is_multiple_of(BLOCK);
    let aligned = in_memory && offset.is_multiple_of(BLOCK as u64);
    if caching == Caching::Direct && !aligned {
        return Err(Errno::INVAL.into());
    }
    Ok(())
}

impl DiskFile for SimFile {
    fn read_at(&self, caching: Caching, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        check_alignment(caching, buffer.as_ptr(), buffer.len(), offset)?;
        let state = self.state.lock();
        if state.reads_fail {
            return Err(Errno::IO.into());
        }
        let content = state.volatile.files.get(&self.file).ok_or_else(|| io::Error::from(Errno::NOENT))?;
        let start = usize::try_from(offset).map_err(|_| io::Error::from(Errno::INVAL))?;
        let wanted = start.checked_add(buffer.len()).and_then(|end| content.get(start..end));
        buffer.copy_from_slice(wanted.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn write_at(&self, caching: Caching, data: &[u8], offset: u64) -> io::Result<()> {
        check_alignment(caching, data.as_ptr(), data.len(), offset)?;
        self.state.lock().write(self.file, data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.strike() {
            None => {
                state.record(Op::SyncData { file: self.file });
                Ok(())
            }
            Some(fault) => {
                state.record(Op::SyncDataFailed { file: self.file });
                Err(to_error(fault))
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().length(self.file))
    }
}

#[cfg(test)]
mod tests;
