//! Finds out at start what the segment files hold. Reads their headers only, and of one segment per drive the end.
//!
//! Invariants: a segment that the index places nothing in is free, whatever it holds. One that it does place
//! something in is never removed, emptied or recycled here, however damaged it is. All that is changed (headers,
//! removed files) may be changed again by the next start if this one crashes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use crate::chunks::SegmentUse;
use crate::chunks::drive::Resume;
use crate::chunks::frame::{self, FRAME_ALIGN, FrameHeader, FrameLayout};
use crate::chunks::identity::Identity;
use crate::chunks::segment::{DATA_START, NoHeader, Phase, Role, SLOT_BYTES, Segment, SegmentHeader, parse_file_name};
use crate::disk::buffer::AlignedBuffer;
use crate::disk::{BLOCK, Caching, Disk, DiskFile};
use crate::error::{Result, StoreError};

/// Bytes read at once when looking for frames: of large frames only the beginning is of interest.
const WINDOW: usize = 64 << 10;
/// With less room than this a segment is not worth resuming.
const WORTH_RESUMING: u32 = 64 << 10;

/// What the drive holds.
#[derive(Default)]
pub struct Found {
    /// All segments by number.
    pub segments: HashMap<u32, Arc<Segment>>,
    /// Those without live chunks.
    pub free: Vec<Arc<Segment>>,
    /// Those whose header has to be sealed, with their tail.
    pub unsealed: VecDeque<(Arc<Segment>, u32)>,
    /// Where writing goes on.
    pub resume: Resume,
    /// Segments that the index names and that are not there.
    pub lost: HashSet<u32>,
    /// The first number for new segments.
    pub next_number: u32,
}

/// A segment with live chunks to which frames might be appended.
struct Candidate {
    segment: Arc<Segment>,
    phase: Phase,
}

/// Reads the segment files of a drive. `live` are the drive's segments with live chunks.
///
/// # Errors
/// [`StoreError::Open`] for files of another drive or a newer format, [`StoreError::Io`] if the disk fails.
pub fn recover(disk: &dyn Disk, identity: Identity, live: &[SegmentUse]) -> Result<Found> {
    let mut live_bytes: HashMap<u32, u64> = HashMap::new();
    for used in live.iter().filter(|used| used.live_bytes > 0) {
        *live_bytes.entry(used.segment).or_default() += used.live_bytes;
    }
    let mut found = Found { next_number: 1, ..Found::default() };
    let mut candidates = Vec::new();
    for name in disk.list()? {
        let Some(number) = parse_file_name(&name) else { continue };
        found.next_number = found.next_number.max(number.saturating_add(1));
        let live = live_bytes.get(&number).copied().unwrap_or(0);
        match inspect(disk, &name, number, identity)? {
            Inspected::Intact(file, header) => found.add(file, &header, live, &mut candidates),
            Inspected::Damaged(Some((file, length))) if live > 0 => {
                tracing::error!(drive = identity.drive, %name, "a segment in use has no header: it is only read");
                let size = u32::try_from(length).unwrap_or(u32::MAX);
                found.keep(&Segment::new(number, size, file, Role::Sealed, 0, 0, live));
            }
            // Left behind by a crash while it was made, or removed by one that the disk forgot.
            Inspected::Damaged(_) if live == 0 => disk.remove(&name)?,
            Inspected::Damaged(_) => {}
        }
    }
    for number in live_bytes.keys().filter(|number| !found.segments.contains_key(number)) {
        tracing::error!(drive = identity.drive, segment = number, "a segment with live chunks is missing");
        found.lost.insert(*number);
        found.next_number = found.next_number.max(number.saturating_add(1));
    }
    found.choose(identity, candidates)?;
    // Names that are visible may not be durable yet, if only the process was killed.
    disk.sync_directory()?;
    Ok(found)
}

enum Inspected {
    Intact(Arc<dyn DiskFile>, SegmentHeader),
    /// No header, or a file shorter than it says; with its length, if it can be opened.
    Damaged(Option<(Arc<dyn DiskFile>, u64)>),
}

fn inspect(disk: &dyn Disk, name: &str, number: u32, identity: Identity) -> Result<Inspected> {
    let refuse =
        |what: String| Err(StoreError::Open(format!("drive {}: {name} {what}; nothing was changed", identity.drive)));
    let opened = disk.open(name).and_then(|file| file.len().map(|length| (file, length)));
    let (file, length) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(drive = identity.drive, %name, %error, "cannot open a segment");
            return Ok(Inspected::Damaged(None));
        }
    };
    let mut slots = vec![0; DATA_START as usize];
    let readable = usize::try_from(length).unwrap_or(usize::MAX).min(slots.len());
    if let Err(error) = file.read_at(Caching::Buffered, &mut slots[..readable], 0) {
        tracing::error!(drive = identity.drive, %name, %error, "cannot read a segment's header");
        return Ok(Inspected::Damaged(Some((file, length))));
    }
    match SegmentHeader::newest(&slots) {
        Err(NoHeader::Newer(version)) => refuse(format!("has format version {version}: upgrade Cairn")),
        Err(NoHeader::Invalid) => Ok(Inspected::Damaged(Some((file, length)))),
        Ok(header) if (header.store_id, header.drive) != (identity.store_id, identity.drive) => {
            refuse("belongs to another drive or store".to_owned())
        }
        Ok(header) if header.segment != number => refuse(format!("is segment {}: was it renamed?", header.segment)),
        Ok(header) if length < u64::from(header.size) => Ok(Inspected::Damaged(Some((file, length)))),
        Ok(header) => Ok(Inspected::Intact(file, header)),
    }
}

impl Found {
    fn keep(&mut self, segment: &Arc<Segment>) {
        self.segments.insert(segment.number, Arc::clone(segment));
    }

    fn add(&mut self, file: Arc<dyn DiskFile>, header: &SegmentHeader, live: u64, candidates: &mut Vec<Candidate>) {
        let role = if live > 0 { Role::Sealed } else { Role::Active };
        let segment = Segment::new(header.segment, header.size, file, role, header.epoch, header.sequence, live);
        self.keep(&segment);
        if live == 0 {
            // Sealed and dead: settles to free, with the next epoch.
            let _freed = segment.set_role(Role::Sealed);
            self.free.push(segment);
        } else if !matches!(header.phase, Phase::Sealed { .. }) {
            candidates.push(Candidate { segment, phase: header.phase });
        }
    }

    /// Picks the segment to go on with: the one that was closed in order, else the emptiest. The others are sealed.
    fn choose(&mut self, identity: Identity, mut candidates: Vec<Candidate>) -> Result<()> {
        candidates.sort_by_key(|candidate| (candidate.phase == Phase::Open, candidate.segment.live_bytes()));
        for candidate in candidates {
            let Candidate { segment, phase } = candidate;
            let tail = match phase {
                _ if self.resume.is_some() => segment.size,
                Phase::Closed { tail } | Phase::Sealed { tail } => tail,
                Phase::Open => find_tail(&segment),
            };
            let tail = tail.clamp(DATA_START, segment.size);
            if segment.size - tail < WORTH_RESUMING.min(segment.size / 4) || !tail.is_multiple_of(SLOT_BYTES) {
                self.unsealed.push_back((segment, tail));
                continue;
            }
            if phase != Phase::Open {
                // Before the first frame is appended: the recorded tail is about to be wrong.
                segment.next_header(identity.store_id, identity.drive, Phase::Open).write(&*segment.file)?;
                segment.file.sync_data()?;
            }
            let _not_freed = segment.set_role(Role::Active);
            self.resume = Some((segment, tail));
        }
        Ok(())
    }
}

/// The end of the last frame of the segment's use, rounded up to a block. Where no frame starts, the search goes on:
/// a damaged header must not hide the frames behind it, which may be live. If the segment cannot be read it counts
/// as full.
fn find_tail(segment: &Segment) -> u32 {
    match walk(segment, &mut |_, _, _| {}) {
        Ok(tail) => tail,
        Err(error) => {
            tracing::error!(segment = segment.number, %error, "cannot look for a segment's end: it is not written to");
            segment.size
        }
    }
}

/// Tells `visit` of every frame of the segment's use: offset, header, layout. Answers where the last one ends, rounded
/// up to a block.
pub fn walk(segment: &Segment, visit: &mut dyn FnMut(usize, &FrameHeader, FrameLayout)) -> io::Result<u32> {
    let size = segment.size as usize;
    let mut buffer = AlignedBuffer::zeroed(WINDOW.min(size));
    let mut window = 0..0;
    let mut tail = DATA_START as usize;
    let mut at = tail;
    // Frames follow each other within the block that the last one ends in. Up to the first gap they are ours, and
    // are stepped over whole; behind it anything may lie, data that imitates frames included.
    let mut unbroken = true;
    while at + frame::HEADER_BYTES <= size {
        if !window.contains(&at) {
            window = at / BLOCK * BLOCK..size.min(at / BLOCK * BLOCK + WINDOW);
            buffer.set_length(window.len().next_multiple_of(BLOCK));
            segment.file.read_at(Caching::Direct, &mut buffer, window.start as u64)?;
        }
        let header = frame::decode_header(&buffer[at - window.start..]);
        let header = header.ok().filter(|header| header.epoch == segment.epoch());
        let layout = header.as_ref().and_then(FrameHeader::layout);
        let end = layout.map(|layout| at + layout.occupied()).filter(|end| *end <= size);
        if let (Some(header), Some(layout), Some(end)) = (&header, layout, end) {
            visit(at, header, layout);
            tail = tail.max(end);
        }
        unbroken &= end.is_some() || at < tail.next_multiple_of(BLOCK);
        at = end.filter(|_| unbroken).unwrap_or(at + FRAME_ALIGN);
    }
    Ok(u32::try_from(tail.next_multiple_of(BLOCK)).unwrap_or(u32::MAX))
}
