//! The local chunk store's figures.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::chunks::drive::{Drive, Stats, count};
use crate::chunks::segment::Role;
use crate::disk::Engine;

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn figure(value: u64) -> f64 {
    value as f64
}

/// Name, help and value of each figure, summed over the drives.
pub fn gauges(drives: &[&Drive], queued_writes: usize, queued_reads: usize) -> Vec<(&'static str, &'static str, f64)> {
    let segments: Vec<_> = drives.iter().flat_map(|drive| drive.segments()).collect();
    let in_role = |role| figure(count(&segments, role) as u64);
    let sum = |value: fn(&Stats) -> &AtomicU64| {
        figure(drives.iter().map(|drive| value(&drive.stats).load(Ordering::Relaxed)).sum())
    };
    let total = |value: fn(&Drive) -> u64| figure(drives.iter().map(|drive| value(drive)).sum());
    let (batches, frames) = (sum(|stats| &stats.batches), sum(|stats| &stats.frames));
    vec![
        ("chunks_segments_free", "Segments without live chunks", in_role(Role::Free)),
        ("chunks_segments_ready", "Segments prepared for the writer", in_role(Role::Ready)),
        ("chunks_segments_active", "Segments being written", in_role(Role::Active)),
        ("chunks_segments_sealed", "Full segments with live chunks", in_role(Role::Sealed)),
        (
            "chunks_segments_lost",
            "Segments that the index names and that are missing",
            total(|drive| drive.lost_segments() as u64),
        ),
        (
            "chunks_live_bytes",
            "Bytes of live frames",
            figure(segments.iter().map(|segment| segment.live_bytes()).sum()),
        ),
        (
            "chunks_segment_bytes",
            "Bytes of all segment files",
            figure(segments.iter().map(|segment| u64::from(segment.size)).sum()),
        ),
        ("chunks_disk_free_bytes", "Free bytes of the drives' file systems", total(|drive| drive.space().free)),
        ("chunks_disk_total_bytes", "Bytes of the drives' file systems", total(|drive| drive.space().total)),
        ("chunks_room_bytes", "Bytes that new chunks can take", total(Drive::room)),
        ("chunks_queued_writes", "Chunks that wait for a writer", figure(queued_writes as u64)),
        ("chunks_queued_reads", "Reads that wait for a thread", figure(queued_reads as u64)),
        ("chunks_batches_total", "Batches written", batches),
        ("chunks_frames_total", "Chunks written", frames),
        (
            "chunks_batch_frames_mean",
            "Chunks per batch since the start",
            if batches > 0.0 { frames / batches } else { 0.0 },
        ),
        ("chunks_written_bytes_total", "Bytes written to segments", sum(|stats| &stats.bytes_written)),
        ("chunks_plain_bytes_total", "Bytes of the chunks that were written", sum(|stats| &stats.plain_bytes)),
        (
            "chunks_stored_bytes_total",
            "Bytes of the chunks that were written as they are stored, which is less where they are compressed",
            sum(|stats| &stats.stored_bytes),
        ),
        ("chunks_syncs_total", "Syncs of chunk data", sum(|stats| &stats.syncs)),
        ("chunks_segments_made_total", "Segments made", sum(|stats| &stats.segments_made)),
        ("chunks_segments_recycled_total", "Segments recycled", sum(|stats| &stats.segments_recycled)),
        ("chunks_segments_removed_total", "Segments removed", sum(|stats| &stats.segments_removed)),
        ("chunks_damaged_reads_total", "Reads that found damage", sum(|stats| &stats.damaged_reads)),
        ("chunks_read_errors_total", "Reads that a drive failed", sum(|stats| &stats.read_errors)),
        (
            "chunks_drives_fenced",
            "Drives that take no new data because they failed",
            figure(drives.iter().filter(|drive| drive.fence().is_some()).count() as u64),
        ),
        (
            "chunks_direct_io",
            "Drives that bypass the page cache",
            figure(drives.iter().filter(|drive| drive.disk.is_direct()).count() as u64),
        ),
        (
            "chunks_io_uring",
            "Drives that are read through io_uring; the others are read by threads",
            figure(drives.iter().filter(|drive| drive.disk.engine() == Engine::Uring).count() as u64),
        ),
    ]
}
