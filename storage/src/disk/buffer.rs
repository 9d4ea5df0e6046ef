//! Memory that direct IO accepts: aligned to [`BLOCK`], recycled, and handed out as [`Bytes`] without a copy.
//!
//! Fresh memory costs a page fault per 4 KiB (as much as a checksum of the same bytes), so buffers are kept in a
//! bounded list and reused.

#![allow(unsafe_code, reason = "allocation with an alignment, and the slices over it")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::BLOCK;

/// Buffers are allocated in multiples of this, so that a recycled one fits the next request of about its size.
const GRANULE: usize = 16 * BLOCK;

/// An owned, initialised byte buffer whose address is a multiple of [`BLOCK`].
pub struct AlignedBuffer {
    memory: NonNull<u8>,
    capacity: usize,
    length: usize,
    home: Option<Arc<BufferPool>>,
}

// SAFETY: the buffer owns its memory exclusively and has no interior mutability: like a Vec<u8>, it can be moved to
// another thread, and shared references only allow reading.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of `length` bytes, all zero.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let capacity = length.max(1).next_multiple_of(GRANULE);
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        Self { memory, capacity, length, home: None }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, BLOCK).expect("a buffer's capacity is far below isize::MAX")
    }

    /// How long the buffer can be made without an allocation.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes the buffer `length` bytes long. Existing bytes up to the old length stay, the others are arbitrary (but
    /// initialised). Reallocates, losing the content, when `length` exceeds the capacity.
    pub fn set_length(&mut self, length: usize) {
        if length > self.capacity {
            let home = self.home.take();
            *self = Self::zeroed(length);
            self.home = home;
        }
        self.length = length;
    }

    /// The bytes of `range`, without a copy. The memory returns to its pool when the last clone is dropped.
    ///
    /// # Panics
    /// When the range lies outside the buffer.
    #[must_use]
    pub fn into_bytes(self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(self).slice(range)
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length <= capacity` bytes were allocated and initialised (zeroed at allocation).
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.length) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let mut free = home.free.lock();
            if free.bytes + self.capacity <= home.limit && free.buffers.len() < BufferPool::MAX_BUFFERS {
                free.bytes += self.capacity;
                free.buffers.push(Spare { memory: self.memory, capacity: self.capacity });
                return;
            }
        }
        // SAFETY: allocated in `zeroed` with the same layout, and not given back to a pool above.
        unsafe { dealloc(self.memory.as_ptr(), Self::layout(self.capacity)) }
    }
}

/// Memory that waits in a pool.
struct Spare {
    memory: NonNull<u8>,
    capacity: usize,
}

// SAFETY: exclusively owned memory, as in `AlignedBuffer`.
unsafe impl Send for Spare {}

impl Drop for Spare {
    fn drop(&mut self) {
        // SAFETY: allocated in `AlignedBuffer::zeroed` with the same layout; `BufferPool::take` forgets what it reuses.
        unsafe { dealloc(self.memory.as_ptr(), AlignedBuffer::layout(self.capacity)) }
    }
}

#[derive(Default)]
struct FreeList {
    buffers: Vec<Spare>,
    bytes: usize,
}

/// A bounded list of buffers to reuse.
pub struct BufferPool {
    free: Mutex<FreeList>,
    limit: usize,
}

impl BufferPool {
    /// Unused buffers kept at most, whatever their size: a search looks at each.
    const MAX_BUFFERS: usize = 64;

    /// A pool that keeps at most `limit` unused bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), limit })
    }

    /// A buffer of `length` bytes with arbitrary (initialised) content, which comes back when it is dropped.
    #[must_use]
    pub fn take(self: &Arc<Self>, length: usize) -> AlignedBuffer {
        let recycled = {
            let mut free = self.free.lock();
            // Not more than twice the need: a small read must not keep a large buffer busy.
            let fits = |spare: &Spare| spare.capacity >= length && spare.capacity / 2 <= length.max(GRANULE);
            let found = free.buffers.iter().rposition(fits).map(|index| free.buffers.swap_remove(index));
            if let Some(spare) = &found {
                free.bytes -= spare.capacity;
            }
            found
        };
        let home = Some(Arc::clone(self));
        if let Some(spare) = recycled {
            let (memory, capacity) = (spare.memory, spare.capacity);
            std::mem::forget(spare);
            return AlignedBuffer { memory, capacity, length, home };
        }
        let mut fresh = AlignedBuffer::zeroed(length);
        fresh.home = home;
        fresh
    }

    /// Bytes that wait for reuse.
    #[must_use]
    pub fn unused_bytes(&self) -> usize {
        self.free.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_keep_what_is_written() {
        for length in [1, 511, BLOCK, GRANULE, GRANULE + 1, 1 << 20] {
            let mut buffer = AlignedBuffer::zeroed(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % BLOCK, 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
            buffer.fill(7);
            let bytes = buffer.into_bytes(0..length);
            assert!(bytes.iter().all(|&byte| byte == 7));
        }
    }

    #[test]
    fn memory_returns_to_its_pool_with_the_last_clone() {
        let pool = BufferPool::new(1 << 20);
        let mut buffer = pool.take(100_000);
        buffer.fill(3);
        let address = buffer.as_ptr();
        let part = buffer.into_bytes(10..20);
        let clone = part.clone();
        drop(part);
        assert_eq!(pool.unused_bytes(), 0);
        drop(clone);
        assert!(pool.unused_bytes() >= 100_000);
        let again = pool.take(90_000);
        assert_eq!(again.as_ptr(), address);
        assert_eq!(again.len(), 90_000);
        assert_eq!(pool.unused_bytes(), 0);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_limit() {
        let pool = BufferPool::new(3 * GRANULE);
        let buffers: Vec<_> = (0..10).map(|_| pool.take(GRANULE)).collect();
        drop(buffers);
        assert_eq!(pool.unused_bytes(), 3 * GRANULE);
        drop(pool.take(2 * GRANULE));
        assert!(pool.unused_bytes() <= 3 * GRANULE);
    }

    #[test]
    fn growing_a_pooled_buffer_keeps_its_home() {
        let pool = BufferPool::new(1 << 22);
        let mut buffer = pool.take(BLOCK);
        buffer.set_length(1 << 20);
        assert_eq!(buffer.len(), 1 << 20);
        drop(buffer);
        assert!(pool.unused_bytes() >= 1 << 20);
    }
}
