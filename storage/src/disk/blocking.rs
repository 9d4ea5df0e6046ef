//! The real file system: one directory, blocking positioned IO, `O_DIRECT` where it is supported.
//!
//! Each file has a buffered descriptor and, where possible, a direct one. A store has more segments than a process
//! may have descriptors (1024 by default), so the least recently opened ones are closed and reopened by name.
//! Files are never renamed, so a name means the same file for as long as its [`DiskFile`] is used.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{BLOCK, Caching, Disk, DiskFile, Space};

/// Files kept open at the same time, two descriptors each: half of the usual soft limit of 1024 stays for sockets.
const OPEN_FILES: usize = 256;

/// A directory of the file system.
pub struct BlockingDisk {
    directory: Arc<Directory>,
}

struct Directory {
    handle: OwnedFd,
    path: PathBuf,
    direct: AtomicBool,
    open_files: usize,
    /// Files with descriptors, in the order of their opening.
    opened: Mutex<VecDeque<Weak<BlockingFile>>>,
}

/// A file of a [`BlockingDisk`].
pub(super) struct BlockingFile {
    me: Weak<BlockingFile>,
    directory: Arc<Directory>,
    name: String,
    descriptors: Mutex<Option<Arc<Descriptors>>>,
}

struct Descriptors {
    buffered: OwnedFd,
    direct: Option<OwnedFd>,
}

/// An open descriptor of a file, for as long as this lives.
pub(super) struct Target {
    descriptors: Arc<Descriptors>,
    is_direct: bool,
}

impl AsFd for Target {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let direct = self.descriptors.direct.as_ref().filter(|_| self.is_direct);
        direct.unwrap_or(&self.descriptors.buffered).as_fd()
    }
}

impl BlockingDisk {
    /// Opens the directory at `path`; creates it, durably, if its parent exists.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_open_files(path, OPEN_FILES)
    }

    /// As [`BlockingDisk::open`], keeping at most `open_files` files open (two descriptors each).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn with_open_files(path: impl AsRef<Path>, open_files: usize) -> io::Result<Self> {
        let path = path.as_ref();
        match fs::create_dir(path) {
            Ok(()) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        let directory = Directory {
            handle,
            path: path.to_owned(),
            direct: AtomicBool::new(true),
            open_files: open_files.max(1),
            opened: Mutex::default(),
        };
        Ok(Self { directory: Arc::new(directory) })
    }

    /// As [`Disk::create`].
    pub(super) fn create_file(&self, name: &str) -> io::Result<Arc<BlockingFile>> {
        let descriptors = self.directory.descriptors(name, OFlags::CREATE | OFlags::EXCL)?;
        Ok(self.file(name, descriptors))
    }

    /// As [`Disk::open`].
    pub(super) fn open_file(&self, name: &str) -> io::Result<Arc<BlockingFile>> {
        let descriptors = self.directory.descriptors(name, OFlags::empty())?;
        Ok(self.file(name, descriptors))
    }

    fn file(&self, name: &str, descriptors: Descriptors) -> Arc<BlockingFile> {
        let file = Arc::new_cyclic(|me| BlockingFile {
            me: Weak::clone(me),
            directory: Arc::clone(&self.directory),
            name: name.to_owned(),
            descriptors: Mutex::new(Some(Arc::new(descriptors))),
        });
        self.directory.keep_open(Arc::downgrade(&file));
        file
    }
}

impl Directory {
    fn open(&self, name: &str, extra: OFlags) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(retry(|| rustix::fs::openat(&self.handle, name, flags, mode))?)
    }

    /// Opens both descriptors; `extra` is for the first.
    fn descriptors(&self, name: &str, extra: OFlags) -> io::Result<Descriptors> {
        let buffered = self.open(name, extra)?;
        // Reads are of whole chunks or of what a client asked for: reading ahead would only evict other pages.
        let _ = rustix::fs::fadvise(&buffered, 0, None, Advice::Random);
        if !self.direct.load(Ordering::Relaxed) {
            return Ok(Descriptors { buffered, direct: None });
        }
        match self.open(name, OFlags::DIRECT) {
            Ok(direct) => Ok(Descriptors { buffered, direct: Some(direct) }),
            Err(error) if is_unsupported(&error) => {
                self.give_up_direct(&error);
                Ok(Descriptors { buffered, direct: None })
            }
            Err(error) => Err(error),
        }
    }

    fn give_up_direct(&self, error: &io::Error) {
        if self.direct.swap(false, Ordering::Relaxed) {
            tracing::warn!(directory = %self.path.display(), %error, "no direct IO here: going through the page cache");
        }
    }

    /// Registers a file that has descriptors, and closes those of the oldest ones beyond the limit.
    fn keep_open(&self, file: Weak<BlockingFile>) {
        let mut opened = self.opened.lock();
        opened.push_back(file);
        while opened.len() > self.open_files {
            let oldest = opened.pop_front().and_then(|weak| weak.upgrade());
            // IO under way keeps its own handle on the descriptors.
            if let Some(oldest) = oldest {
                oldest.descriptors.lock().take();
            }
        }
    }
}

impl Disk for BlockingDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.create_file(name)?)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.open_file(name)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.directory.handle, name, AtFlags::empty())?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory.handle)? {
            let entry = entry?;
            if matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
                // A name that is not UTF-8 is none of ours.
                if let Ok(name) = entry.file_name().to_str() {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.directory.handle)?)
    }

    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.directory.handle)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn is_direct(&self) -> bool {
        self.directory.direct.load(Ordering::Relaxed)
    }
}

impl BlockingFile {
    fn descriptors(&self) -> io::Result<Arc<Descriptors>> {
        let mut held = self.descriptors.lock();
        if let Some(descriptors) = &*held {
            return Ok(Arc::clone(descriptors));
        }
        let descriptors = Arc::new(self.directory.descriptors(&self.name, OFlags::empty())?);
        *held = Some(Arc::clone(&descriptors));
        drop(held);
        self.directory.keep_open(Weak::clone(&self.me));
        Ok(descriptors)
    }

    /// What a read is to be made of: the direct descriptor if asked for and possible.
    pub(super) fn target(&self, caching: Caching) -> io::Result<Target> {
        let is_direct = caching == Caching::Direct && self.directory.direct.load(Ordering::Relaxed);
        Ok(Target { descriptors: self.descriptors()?, is_direct })
    }

    /// Whether the kernel reads ahead of reads through the page cache, which is also how it chooses pages.
    pub(super) fn read_ahead(&self, wanted: bool) -> io::Result<()> {
        // Advice is for the descriptor, so a small read at the same time may be read ahead of: no harm.
        let advice = if wanted { Advice::Normal } else { Advice::Random };
        let _ = rustix::fs::fadvise(&self.descriptors()?.buffered, 0, None, advice);
        Ok(())
    }

    /// Runs `operation` on the direct descriptor if asked for and possible, else on the buffered one.
    fn with_descriptor(
        &self,
        caching: Caching,
        mut operation: impl FnMut(&OwnedFd) -> io::Result<()>,
    ) -> io::Result<()> {
        let descriptors = self.descriptors()?;
        let is_direct = caching == Caching::Direct && self.directory.direct.load(Ordering::Relaxed);
        if let Some(direct) = descriptors.direct.as_ref().filter(|_| is_direct) {
            match operation(direct) {
                // Some file systems accept the flag at opening and refuse the IO.
                Err(error) if is_unsupported(&error) => self.directory.give_up_direct(&error),
                outcome => return outcome,
            }
        }
        operation(&descriptors.buffered)
    }
}

impl DiskFile for BlockingFile {
    fn read_at(&self, caching: Caching, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if caching == Caching::Buffered && buffer.len() >= LARGE_READ {
            self.read_ahead(true)?;
            let outcome = read_all(&self.descriptors()?.buffered, buffer, offset);
            self.read_ahead(false)?;
            return outcome;
        }
        self.with_descriptor(caching, |descriptor| read_all(descriptor, buffer, offset))
    }

    fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        let descriptors = self.descriptors()?;
        let wanted = buffer.len();
        let mut target = [IoSliceMut::new(buffer)];
        // `RWF_NOWAIT`, preadv2(2): what the page cache does not hold is not waited for.
        match rustix::io::preadv2(&descriptors.buffered, &mut target, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == wanted),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, caching: Caching, data: &[u8], offset: u64) -> io::Result<()> {
        self.with_descriptor(caching, |descriptor| write_all(descriptor, data, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        // Through whichever descriptor: the flush covers the file. It is not retried after an error, not even after
        // an interruption: what a second call would report is not known.
        Ok(rustix::fs::fdatasync(&self.descriptors()?.buffered)?)
    }

    fn len(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstat(&self.descriptors()?.buffered)?;
        u64::try_from(stat.st_size).map_err(|_| io::Error::other("a file of negative length"))
    }
}

/// Reads through the page cache of at least this many bytes let the kernel choose how it fills its cache: told that
/// they are random it takes single pages, which cost twice as much to copy from ever after.
pub(super) const LARGE_READ: usize = 128 << 10;

fn read_all(descriptor: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        let read = retry(|| rustix::io::pread(descriptor.as_fd(), &mut buffer[done..], offset + done as u64))?;
        done += read;
        // A direct read ends in the middle of a block only where the file ends; going on there would not be aligned.
        let ends_in_a_block = buffer.len().is_multiple_of(BLOCK) && !done.is_multiple_of(BLOCK);
        if read == 0 || (done < buffer.len() && ends_in_a_block) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn write_all(descriptor: &OwnedFd, data: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        let written = retry(|| rustix::io::pwrite(descriptor.as_fd(), &data[done..], offset + done as u64))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done += written;
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

pub(super) fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput || error.kind() == io::ErrorKind::Unsupported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::buffer::AlignedBuffer;

    #[test]
    fn bytes_written_directly_are_read_back_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let disk = BlockingDisk::open(folder.path().join("new")).unwrap();
        let file = disk.create("a").unwrap();
        let mut data = AlignedBuffer::zeroed(3 * BLOCK);
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = u8::try_from(index % 251).unwrap();
        }
        file.write_at(Caching::Direct, &data, BLOCK as u64).unwrap();
        file.sync_data().unwrap();
        disk.sync_directory().unwrap();
        assert_eq!(file.len().unwrap(), 4 * BLOCK as u64);
        let mut back = AlignedBuffer::zeroed(3 * BLOCK);
        file.read_at(Caching::Direct, &mut back, BLOCK as u64).unwrap();
        assert_eq!(back[..], data[..]);
        let mut part = vec![0; 100];
        disk.open("a").unwrap().read_at(Caching::Buffered, &mut part, BLOCK as u64 + 7).unwrap();
        assert_eq!(part[..], data[7..107]);
    }

    #[test]
    fn reading_past_the_end_is_an_error_and_names_follow_create_and_remove() {
        let folder = tempfile::tempdir().unwrap();
        let disk = BlockingDisk::open(folder.path()).unwrap();
        let file = disk.create("b").unwrap();
        assert_eq!(disk.create("b").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        file.write_at(Caching::Direct, &AlignedBuffer::zeroed(BLOCK), 0).unwrap();
        let mut buffer = AlignedBuffer::zeroed(2 * BLOCK);
        for caching in [Caching::Direct, Caching::Buffered] {
            let error = file.read_at(caching, &mut buffer, 0).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(disk.list().unwrap(), ["b"]);
        disk.remove("b").unwrap();
        assert!(disk.list().unwrap().is_empty());
        assert_eq!(disk.open("b").err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(disk.space().unwrap().total >= disk.space().unwrap().free);
    }

    #[test]
    fn files_beyond_the_limit_are_reopened_when_they_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let disk = BlockingDisk::with_open_files(folder.path(), 2).unwrap();
        let files: Vec<_> = (0..10).map(|number| disk.create(&format!("f{number}")).unwrap()).collect();
        for round in 0..2u8 {
            for (number, file) in (0u8..).zip(&files) {
                let mut block = AlignedBuffer::zeroed(BLOCK);
                block.fill(number + round);
                file.write_at(Caching::Direct, &block, 0).unwrap();
                file.sync_data().unwrap();
            }
            for (number, file) in (0u8..).zip(&files) {
                let mut byte = [0];
                file.read_at(Caching::Buffered, &mut byte, 99).unwrap();
                assert_eq!(byte[0], number + round);
            }
        }
        assert!(disk.directory.opened.lock().len() <= 2);
    }
}
