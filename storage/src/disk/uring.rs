//! The real file system with reads through io_uring: one thread for each directory owns the ring, takes what the
//! store wants to read, and passes on what the kernel has read. No thread waits for a single read.
//!
//! Writes and syncs are those of [`blocking`](super::blocking): a drive has one writer, which can do nothing else
//! until its batch is durable, so a ring would only add the way to another thread.

mod ring;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::blocking::{BlockingDisk, BlockingFile, LARGE_READ, is_unsupported};
use super::buffer::AlignedBuffer;
use super::{Caching, Disk, DiskFile, Engine, Reading, Space};
use ring::{Inbox, Request};

/// A directory whose files are read through a ring.
pub struct UringDisk {
    disk: BlockingDisk,
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

impl UringDisk {
    /// Starts the ring's thread over a directory.
    ///
    /// # Errors
    /// Why the kernel refuses a ring, and the directory back: old kernels, seccomp profiles, `kernel.io_uring_disabled`.
    pub fn start(disk: BlockingDisk) -> Result<Self, (io::Error, BlockingDisk)> {
        match ring::start() {
            Ok((inbox, thread)) => Ok(Self { disk, inbox, thread: Some(thread) }),
            Err(error) => Err((error, disk)),
        }
    }

    fn file(&self, file: Arc<BlockingFile>) -> Arc<dyn DiskFile> {
        Arc::new(UringFile { file, inbox: Arc::clone(&self.inbox) })
    }
}

impl Drop for UringDisk {
    /// Reads under way are waited for; later ones are refused.
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Disk for UringDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create_file(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open_file(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    fn is_direct(&self) -> bool {
        self.disk.is_direct()
    }

    fn engine(&self) -> Engine {
        Engine::Uring
    }
}

struct UringFile {
    file: Arc<BlockingFile>,
    inbox: Arc<Inbox>,
}

impl DiskFile for UringFile {
    fn read_at(&self, caching: Caching, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(caching, buffer, offset)
    }

    fn read_resident(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.file.read_resident(buffer, offset)
    }

    fn read(&self, caching: Caching, buffer: AlignedBuffer, offset: u64) -> Reading {
        let file = Arc::clone(&self.file);
        let inbox = Arc::clone(&self.inbox);
        Box::pin(async move {
            let length = buffer.len();
            let is_large = caching == Caching::Buffered && length >= LARGE_READ;
            if is_large {
                file.read_ahead(true)?;
            }
            let (answer, receiver) = oneshot::channel();
            // Copies out of the page cache are made by the kernel's own threads if they are long: the ring's thread is
            // everybody's.
            inbox.push(Request { target: file.target(caching)?, buffer, offset, on_kernel_thread: is_large, answer });
            let outcome = receiver.await.unwrap_or_else(|_| Err(io::Error::other("the disk is closed")));
            if is_large {
                file.read_ahead(false)?;
            }
            match outcome {
                // Some file systems accept direct IO at opening and refuse it here. This happens once: it is given up.
                Err(error) if caching == Caching::Direct && is_unsupported(&error) => {
                    let mut buffer = AlignedBuffer::zeroed(length);
                    file.read_at(caching, &mut buffer, offset).map(|()| buffer)
                }
                outcome => outcome,
            }
        })
    }

    fn write_at(&self, caching: Caching, data: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(caching, data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

#[cfg(test)]
mod tests;
