//! The disk as the chunk store uses it: files in one directory, positioned IO, explicit syncs.
//!
//! Blocking calls, made from the store's own threads only, and reads that an engine may answer later. [`blocking`] is
//! the real file system, [`uring`] the same with reads through io_uring, [`sim`] one that loses, tears and fails what
//! was not synced.

pub mod backup_directory;
pub mod blocking;
pub mod buffer;
pub mod data_directory;
pub mod engine;
pub mod sim;
pub mod uring;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use buffer::AlignedBuffer;

/// Alignment of offsets, lengths and buffers of direct IO, in bytes.
pub const BLOCK: usize = 4096;

/// How a file's bytes are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// Through the page cache.
    Buffered,
    /// Past the page cache where the file system can (`O_DIRECT`), else buffered. Offsets, lengths and addresses of
    /// buffers are multiples of [`BLOCK`].
    Direct,
}

/// One directory of files.
pub trait Disk: Send + Sync + 'static {
    /// Creates a file that must not exist. Its name is durable only after [`Disk::sync_directory`].
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file. Durable only after [`Disk::sync_directory`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes created and removed names durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Bytes that can still be allocated, and bytes in all.
    fn space(&self) -> io::Result<Space>;
    /// Whether [`Caching::Direct`] bypasses the page cache here; for metrics and logs.
    fn is_direct(&self) -> bool {
        true
    }
    /// What [`DiskFile::read`] is made of: decides whether reads need threads of their own.
    fn engine(&self) -> Engine {
        Engine::Blocking
    }
}

/// How reads wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// On the thread that asks.
    Blocking,
    /// On nobody's: the kernel answers through a ring.
    Uring,
}

/// A read under way: its buffer comes back, filled.
pub type Reading = Pin<Box<dyn Future<Output = io::Result<AlignedBuffer>> + Send>>;

/// A file system's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be allocated.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// One file. Positioned reads and writes may run concurrently.
#[expect(clippy::len_without_is_empty, reason = "nobody asks a file whether it is empty")]
pub trait DiskFile: Send + Sync {
    /// Fills `buffer` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, caching: Caching, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Fills `buffer` from `offset` if all of it is in memory already, without waiting for a disk; answers whether it
    /// did. Safe on an async worker.
    fn read_resident(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<bool> {
        Ok(false)
    }
    /// As [`DiskFile::read_at`], with a buffer that is handed over and comes back. With [`Engine::Blocking`] the read is
    /// done before this returns; with [`Engine::Uring`] nothing waits but the future, which may be dropped at any time.
    fn read(&self, caching: Caching, mut buffer: AlignedBuffer, offset: u64) -> Reading {
        let outcome = self.read_at(caching, &mut buffer, offset).map(|()| buffer);
        Box::pin(std::future::ready(outcome))
    }
    /// Writes all of `data` at `offset`. Durable only after [`DiskFile::sync_data`].
    fn write_at(&self, caching: Caching, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the data written so far, and the length needed to read it, durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
}
