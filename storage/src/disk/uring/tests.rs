use std::sync::Arc;

use super::*;
use crate::disk::BLOCK;
use crate::disk::buffer::BufferPool;

/// A disk with one file of `blocks` blocks, each of them filled with its number; `None` where there is no io_uring.
fn numbered(blocks: u8) -> Option<(UringDisk, Arc<dyn DiskFile>, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let disk = BlockingDisk::with_open_files(folder.path(), 2).unwrap();
    let disk = UringDisk::start(disk).inspect_err(|(error, _)| eprintln!("no io_uring here: {error}")).ok()?;
    let file = disk.create("a").unwrap();
    for number in 0..blocks {
        let mut block = AlignedBuffer::zeroed(BLOCK);
        block.fill(number);
        file.write_at(Caching::Direct, &block, u64::from(number) * BLOCK as u64).unwrap();
    }
    Some((disk, file, folder))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reads_at_once_each_get_their_own_bytes() {
    let Some((disk, file, _folder)) = numbered(200) else { return };
    let pool = BufferPool::new(1 << 20);
    let reads = (0..2000u64).map(|index| {
        let number = u8::try_from(index % 199).unwrap();
        let caching = if index % 3 == 0 { Caching::Buffered } else { Caching::Direct };
        let reading = file.read(caching, pool.take(2 * BLOCK), u64::from(number) * BLOCK as u64);
        tokio::spawn(async move { (number, reading.await.unwrap()) })
    });
    for read in reads.collect::<Vec<_>>() {
        let (number, bytes) = read.await.unwrap();
        assert!(bytes[..BLOCK].iter().all(|&byte| byte == number));
        assert!(bytes[BLOCK..].iter().all(|&byte| byte == number + 1));
    }
    drop(disk);
}

#[tokio::test]
async fn large_reads_past_the_end_and_after_closing_are_errors() {
    let Some((disk, file, _folder)) = numbered(64) else { return };
    for caching in [Caching::Buffered, Caching::Direct] {
        let whole = file.read(caching, AlignedBuffer::zeroed(64 * BLOCK), 0).await.unwrap();
        assert!(whole.chunks(BLOCK).zip(0u8..).all(|(block, number)| block.iter().all(|&byte| byte == number)));
        let beyond = file.read(caching, AlignedBuffer::zeroed(65 * BLOCK), 0).await;
        assert_eq!(beyond.err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }
    drop(disk);
    assert!(file.read(Caching::Direct, AlignedBuffer::zeroed(BLOCK), 0).await.is_err());
}

#[tokio::test]
async fn readers_that_leave_give_their_buffers_back() {
    let Some((disk, file, _folder)) = numbered(8) else { return };
    let pool = BufferPool::new(64 << 20);
    for _ in 0..500 {
        let mut reading = file.read(Caching::Direct, pool.take(8 * BLOCK), 0);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = reading.as_mut().poll(&mut context);
    }
    // Closing waits for what the kernel still works on.
    drop(disk);
    assert!(pool.unused_bytes() > 0);
    assert!(file.read(Caching::Direct, pool.take(BLOCK), 0).await.is_err());
}
