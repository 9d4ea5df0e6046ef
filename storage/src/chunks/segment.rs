//! A segment: a file that is filled with zeroes once, then with frames, again and again.
//!
//! The file starts with two header slots of 4 KiB; frames follow from byte 8192. Each header is written to the slot
//! that the newest one is not in, so a torn write leaves the older header; the greater `sequence` wins. A segment's
//! `epoch` counts its uses: it is raised, and durable, before the first frame of the next use is written, and every
//! frame carries it, so that what a former use left behind is never taken for live.
//!
//! In memory a segment goes `Free → Ready → Active → Sealed → Free`. It becomes free only when no chunk in it is
//! live, no unfinished write holds it and nobody reads from it; from that moment its places answer `Conflict`.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::chunks::SegmentState;
use crate::chunks::frame::crc32c;
use crate::disk::buffer::AlignedBuffer;
use crate::disk::{BLOCK, Caching, DiskFile};
use crate::types::Place;

/// The first frame's offset: behind the two header slots.
pub const DATA_START: u32 = 2 * SLOT_BYTES;
/// Bytes of a header slot.
pub const SLOT_BYTES: u32 = 4096;
const _: () = assert!(SLOT_BYTES as usize == BLOCK, "a slot is what direct IO writes");
/// Bytes of a header; its slot's other bytes are zero.
pub const HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"CAIRNSEG";
const VERSION: u16 = 1;

/// What a header says about appending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Frames may follow those that are there; where they end must be found out.
    Open,
    /// Frames may follow; they end here. Written when the store is closed, replaced by `Open` before the next frame.
    Closed {
        /// The end of the last frame, a multiple of 4096.
        tail: u32,
    },
    /// Nothing more is written in this use.
    Sealed {
        /// The end of the last frame.
        tail: u32,
    },
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store that the segment belongs to.
    pub store_id: [u8; 16],
    /// The drive's number.
    pub drive: u16,
    /// The segment's number.
    pub segment: u32,
    /// The file's length in bytes.
    pub size: u32,
    /// The segment's use, from 1.
    pub epoch: u32,
    /// Counts the headers written to this file, from 1; the slot is its lowest bit.
    pub sequence: u64,
    /// Whether frames may follow.
    pub phase: Phase,
}

/// Why a slot holds no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHeader {
    /// Never written, torn or damaged.
    Invalid,
    /// Intact, but of this newer format version.
    Newer(u16),
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let (phase, tail) = match self.phase {
            Phase::Open => (1, 0),
            Phase::Closed { tail } => (2, tail),
            Phase::Sealed { tail } => (3, tail),
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.drive.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.segment.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store_id);
        bytes[32..36].copy_from_slice(&self.size.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[48] = phase;
        bytes[52..56].copy_from_slice(&tail.to_le_bytes());
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a slot.
    ///
    /// # Errors
    /// [`NoHeader`] for anything that [`SegmentHeader::encode`] does not produce.
    pub fn decode(slot: &[u8]) -> Result<Self, NoHeader> {
        let bytes: &[u8; HEADER_BYTES] = slot.first_chunk().ok_or(NoHeader::Invalid)?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[0..8] != MAGIC || word(60) != crc32c(&bytes[..60]) {
            return Err(NoHeader::Invalid);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(NoHeader::Newer(version));
        }
        let mut store_id = [0; 16];
        store_id.copy_from_slice(&bytes[16..32]);
        let (size, tail) = (word(32), word(52));
        let phase = match bytes[48] {
            1 => Phase::Open,
            2 => Phase::Closed { tail },
            3 => Phase::Sealed { tail },
            _ => return Err(NoHeader::Invalid),
        };
        Ok(Self {
            store_id,
            drive: u16::from_le_bytes([bytes[10], bytes[11]]),
            segment: word(12),
            size,
            epoch: word(36),
            sequence: u64::from(word(40)) | u64::from(word(44)) << 32,
            phase,
        })
    }

    /// The newest header of a file, from the bytes of both slots.
    ///
    /// # Errors
    /// [`NoHeader::Newer`] if any slot has one, [`NoHeader::Invalid`] if neither has a header.
    pub fn newest(slots: &[u8]) -> Result<Self, NoHeader> {
        let (first, second) = slots.split_at_checked(BLOCK).ok_or(NoHeader::Invalid)?;
        match (Self::decode(first), Self::decode(second)) {
            (Err(NoHeader::Newer(version)), _) | (_, Err(NoHeader::Newer(version))) => Err(NoHeader::Newer(version)),
            (Ok(first), Ok(second)) => Ok(if first.sequence > second.sequence { first } else { second }),
            (Ok(header), Err(_)) | (Err(_), Ok(header)) => Ok(header),
            (Err(_), Err(_)) => Err(NoHeader::Invalid),
        }
    }

    /// Writes the header to its slot; not yet durable.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, file: &dyn DiskFile) -> std::io::Result<()> {
        let mut slot = AlignedBuffer::zeroed(BLOCK);
        slot[..HEADER_BYTES].copy_from_slice(&self.encode());
        file.write_at(Caching::Direct, &slot, (self.sequence % 2) * BLOCK as u64)
    }
}

/// A segment file's name.
#[must_use]
pub fn file_name(segment: u32) -> String {
    format!("segment-{segment:08}")
}

/// The segment's number of a file name; `None` if it is not a segment's.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<u32> {
    let number = name.strip_prefix("segment-")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Dead: waits to be recycled or removed.
    Free,
    /// Zero-filled or recycled, with a durable header: waits for the writer.
    Ready,
    /// The writer appends to it.
    Active,
    /// Full; waits until all of it is dead.
    Sealed,
}

/// A segment in memory.
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// The file's length in bytes.
    pub size: u32,
    /// The file.
    pub file: Arc<dyn DiskFile>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    role: Role,
    epoch: u32,
    sequence: u64,
    live_bytes: i64,
    holds: u32,
    readers: u32,
}

/// Whether a change has made a segment free.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is in use as before.
    None,
    /// It is free now; tell the preparer.
    Freed,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Segment")
            .field("number", &self.number)
            .field("role", &state.role)
            .field("epoch", &state.epoch)
            .field("live_bytes", &state.live_bytes)
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// A segment as recovery or the preparer found it. Epoch 0 with sequence 0 means that the header is lost: such a
    /// segment serves every place whose frame verifies, and is removed rather than recycled.
    #[must_use]
    pub fn new(
        number: u32,
        size: u32,
        file: Arc<dyn DiskFile>,
        role: Role,
        epoch: u32,
        sequence: u64,
        live_bytes: u64,
    ) -> Arc<Self> {
        let live_bytes = i64::try_from(live_bytes).unwrap_or(i64::MAX);
        let state = State { role, epoch, sequence, live_bytes, holds: 0, readers: 0 };
        Arc::new(Self { number, size, file, state: Mutex::new(state) })
    }

    /// Where it is in its life.
    #[must_use]
    pub fn role(&self) -> Role {
        self.state.lock().role
    }

    /// Its use.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.state.lock().epoch
    }

    /// Whether recovery found no header.
    #[must_use]
    pub fn has_lost_header(&self) -> bool {
        self.state.lock().sequence == 0
    }

    /// Bytes of live frames.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        u64::try_from(self.state.lock().live_bytes).unwrap_or(0)
    }

    /// What others may know of it.
    #[must_use]
    pub fn state(&self, drive: u16) -> SegmentState {
        let state = self.state.lock();
        SegmentState {
            drive,
            segment: self.number,
            epoch: state.epoch,
            size: self.size,
            live_bytes: u64::try_from(state.live_bytes).unwrap_or(0),
            is_sealed: state.role == Role::Sealed,
        }
    }

    /// The next header to write, for the given phase.
    pub fn next_header(&self, store_id: [u8; 16], drive: u16, phase: Phase) -> SegmentHeader {
        let mut state = self.state.lock();
        state.sequence += 1;
        let (epoch, sequence) = (state.epoch, state.sequence);
        SegmentHeader { store_id, drive, segment: self.number, size: self.size, epoch, sequence, phase }
    }

    /// Moves on in its life; not for becoming free, which happens by itself.
    pub fn set_role(&self, role: Role) -> Change {
        let mut state = self.state.lock();
        state.role = role;
        state.settle()
    }

    /// Counts frames that are durable but not yet named by a commit.
    pub fn hold(&self, count: u32) {
        self.state.lock().holds += count;
    }

    /// Gives back one of them.
    pub fn release_hold(&self) -> Change {
        let mut state = self.state.lock();
        debug_assert!(state.holds > 0, "each hold is given back once");
        state.holds = state.holds.saturating_sub(1);
        state.settle()
    }

    /// Starts reading at a place of the given epoch: the segment stays as it is until [`Segment::end_read`].
    /// `false` if the place is of a former use. A place of a later use than known is allowed: the header that said so
    /// may be damaged, and the frame itself will tell.
    #[must_use]
    pub fn begin_read(&self, epoch: u32) -> bool {
        let mut state = self.state.lock();
        if epoch < state.epoch {
            return false;
        }
        state.readers += 1;
        true
    }

    /// Ends reading.
    pub fn end_read(&self) -> Change {
        let mut state = self.state.lock();
        debug_assert!(state.readers > 0, "each read is ended once");
        state.readers = state.readers.saturating_sub(1);
        state.settle()
    }

    /// A commit has made the chunk at `place` live.
    pub fn note_live(&self, place: &Place) -> Change {
        self.note(place, i64::from(place.occupied))
    }

    /// A commit has removed the chunk at `place`.
    pub fn note_dead(&self, place: &Place) -> Change {
        self.note(place, -i64::from(place.occupied))
    }

    fn note(&self, place: &Place, bytes: i64) -> Change {
        let mut state = self.state.lock();
        if place.epoch < state.epoch {
            // Cannot happen while the caller keeps the contract; counting it would free live data.
            tracing::error!(segment = self.number, epoch = state.epoch, ?place, "a place of a former use was noted");
            return Change::None;
        }
        state.live_bytes += bytes;
        state.settle()
    }
}

impl State {
    fn settle(&mut self) -> Change {
        // Exactly zero: a negative sum means that a removal was noted before the write it belongs to.
        if self.role != Role::Sealed || self.live_bytes != 0 || self.holds > 0 || self.readers > 0 {
            return Change::None;
        }
        self.role = Role::Free;
        // From here on no place of the ended use is served. Durable before the next use's first frame.
        self.epoch = self.next_epoch();
        Change::Freed
    }

    fn next_epoch(&self) -> u32 {
        #[cfg(test)]
        if super::local::breakage::is(super::local::breakage::Breakage::KeepEpoch) {
            return self.epoch;
        }
        self.epoch.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::disk::sim::SimDisk;
    use proptest::prelude::*;

    fn header(sequence: u64, phase: Phase) -> SegmentHeader {
        SegmentHeader { store_id: *b"0123456789abcdef", drive: 2, segment: 9, size: 1 << 28, epoch: 5, sequence, phase }
    }

    #[test]
    fn the_bytes_of_a_header_are_those_of_the_format() {
        let mut expected = [0; HEADER_BYTES];
        expected[0..16].copy_from_slice(b"CAIRNSEG\x01\0\x02\0\x09\0\0\0");
        expected[16..32].copy_from_slice(b"0123456789abcdef");
        expected[32..48].copy_from_slice(&[0, 0, 0, 16, 5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        expected[48..56].copy_from_slice(&[3, 0, 0, 0, 0, 0x20, 0, 0]);
        expected[60..64].copy_from_slice(&GOLDEN_SUM.to_le_bytes());
        assert_eq!(header(3, Phase::Sealed { tail: 8192 }).encode(), expected);
    }

    const GOLDEN_SUM: u32 = 0x789f_f31e;

    #[test]
    fn headers_alternate_between_the_slots_and_the_newest_wins() {
        let disk = SimDisk::new();
        let file = disk.create(&file_name(9)).unwrap();
        for sequence in 1..5 {
            let written = header(sequence, Phase::Open);
            written.write(&*file).unwrap();
            let mut slots = disk.content(&file_name(9)).unwrap();
            slots.resize(2 * BLOCK, 0);
            assert_eq!(SegmentHeader::newest(&slots), Ok(written));
            // Damage to the newest leaves the one before.
            let slot = usize::try_from(sequence % 2).unwrap() * BLOCK;
            slots[slot + 40] ^= 1;
            let before = SegmentHeader::newest(&slots);
            assert_eq!(
                before,
                if sequence == 1 { Err(NoHeader::Invalid) } else { Ok(header(sequence - 1, Phase::Open)) }
            );
        }
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        let mut bytes = header(1, Phase::Open).encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(NoHeader::Invalid));
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(NoHeader::Newer(2)));
    }

    #[test]
    fn names_parse_only_as_they_are_printed() {
        for number in [0, 1, 99_999_999, 100_000_000, u32::MAX] {
            assert_eq!(parse_file_name(&file_name(number)), Some(number));
        }
        for bad in ["segment-1", "segment-+0000001", "segment-000000001", "segment-", "drive", "segment-0000000a"] {
            assert_eq!(parse_file_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_segment_is_freed_only_when_sealed_dead_unheld_and_unread() {
        let disk = SimDisk::new();
        let segment = Segment::new(1, 1 << 20, disk.create("x").unwrap(), Role::Active, 4, 1, 0);
        let place = Place { drive: 0, segment: 1, epoch: 4, offset: DATA_START, occupied: 512, length: 9 };
        segment.hold(1);
        // The removal may be noted before the write that it belongs to.
        assert_eq!(segment.note_dead(&place), Change::None);
        assert_eq!(segment.set_role(Role::Sealed), Change::None);
        assert_eq!(segment.note_live(&place), Change::None);
        assert!(segment.begin_read(4) && !segment.begin_read(3));
        assert_eq!(segment.release_hold(), Change::None);
        assert_eq!(segment.end_read(), Change::Freed);
        assert_eq!((segment.role(), segment.epoch()), (Role::Free, 5));
        assert!(!segment.begin_read(4));
        assert_eq!(segment.note_dead(&place), Change::None);
        assert_eq!(segment.live_bytes(), 0);
    }

    proptest! {
        #[test]
        fn headers_round_trip(drive: u16, segment: u32, size: u32, epoch: u32, sequence: u64, tail: u32, kind in 0..3) {
            let phase = match kind { 0 => Phase::Open, 1 => Phase::Closed { tail }, _ => Phase::Sealed { tail } };
            let header = SegmentHeader { store_id: [7; 16], drive, segment, size, epoch, sequence, phase };
            prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
            prop_assert!(SegmentHeader::newest(&bytes).is_err());
        }
    }
}
