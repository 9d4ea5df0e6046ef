//! A frame: one chunk on disk, with what is needed to trust it. Pure; every byte is shown in `FORMAT.md`.
//!
//! ```text
//! 0                64                  64 + 4·blocks                      occupied
//! | header (64)    | CRC32C per block  | the chunk          | zeroes to 512 |
//! ```
//! Numbers are little-endian. A frame starts at a multiple of 512 bytes, the smallest unit that a disk writes whole,
//! so that a torn write never leaves half a header that another write completes.

use std::ops::Range;

use crc_fast::CrcAlgorithm;

use crate::types::ChunkId;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of data that one checksum covers; the last block is shorter.
pub const BLOCK_BYTES: usize = 64 << 10;
/// Frames start and end at multiples of this.
pub const FRAME_ALIGN: usize = 512;
/// Bytes of the largest chunk.
pub const MAX_CHUNK_BYTES: usize = 8 << 20;

const MAGIC: [u8; 4] = *b"CFRM";
const VERSION: u8 = 1;

/// CRC32C, as everywhere in the store.
#[must_use]
pub fn crc32c(data: &[u8]) -> u32 {
    let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, data);
    // A 32-bit CRC in a 64-bit word.
    u32::try_from(sum).unwrap_or(u32::MAX)
}

/// How the data in a frame is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is. Numbers 1 (LZ4) and 2 (zstd) are reserved.
    Plain = 0,
}

/// What stands in front of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The use of the segment in which the frame was written.
    pub epoch: u32,
    /// The chunk.
    pub id: ChunkId,
    /// The chunk's length in bytes, 1 to [`MAX_CHUNK_BYTES`].
    pub length: u32,
    /// How the data is encoded.
    pub codec: Codec,
}

/// Why bytes are not the frame that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Fewer bytes than the frame needs.
    Short,
    /// No frame starts here.
    Magic,
    /// The header's checksum does not match.
    HeaderChecksum,
    /// A version or codec that this release does not know.
    Unsupported,
    /// The header's fields contradict each other or the place.
    Header,
    /// A frame of another chunk, or of another use of the segment.
    Other,
    /// A block's checksum does not match.
    BlockChecksum,
}

impl Damage {
    /// For messages.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Short => "the frame is cut off",
            Self::Magic => "no frame starts there",
            Self::HeaderChecksum => "the frame's header does not match its checksum",
            Self::Unsupported => "the frame was written by a newer release",
            Self::Header => "the frame's header contradicts itself",
            Self::Other => "another chunk's frame is there",
            Self::BlockChecksum => "a block does not match its checksum",
        }
    }
}

/// Where the parts of a frame lie, relative to its first byte. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    length: usize,
}

impl FrameLayout {
    /// The layout of a chunk of `length` bytes; `None` unless it has 1 to [`MAX_CHUNK_BYTES`].
    #[must_use]
    pub fn of(length: usize) -> Option<Self> {
        (1..=MAX_CHUNK_BYTES).contains(&length).then_some(Self { length })
    }

    /// How many blocks, each with its checksum.
    #[must_use]
    pub fn blocks(self) -> usize {
        self.length.div_ceil(BLOCK_BYTES)
    }

    /// Where the data starts: behind the header and the checksums.
    #[must_use]
    pub fn data_start(self) -> usize {
        HEADER_BYTES + 4 * self.blocks()
    }

    /// The whole frame, padding included.
    #[must_use]
    pub fn occupied(self) -> usize {
        (self.data_start() + self.length).next_multiple_of(FRAME_ALIGN)
    }

    /// The blocks that a range of the chunk touches.
    #[must_use]
    pub fn blocks_of(self, range: &Range<usize>) -> Range<usize> {
        range.start / BLOCK_BYTES..range.end.min(self.length).div_ceil(BLOCK_BYTES)
    }

    /// Where blocks lie in the frame.
    #[must_use]
    pub fn bytes_of(self, blocks: &Range<usize>) -> Range<usize> {
        let end = (blocks.end * BLOCK_BYTES).min(self.length);
        self.data_start() + blocks.start * BLOCK_BYTES..self.data_start() + end
    }
}

/// The checksum of each block of a chunk. Computed before the frame's place is known, off the writer's thread.
#[must_use]
pub fn block_sums(data: &[u8]) -> Vec<u32> {
    data.chunks(BLOCK_BYTES).map(crc32c).collect()
}

/// Writes the frame of `data` into `into`, which is exactly as long as the frame. `sums` are its [`block_sums`].
///
/// # Panics
/// When the lengths do not fit together.
pub fn encode(epoch: u32, id: &ChunkId, data: &[u8], sums: &[u32], into: &mut [u8]) {
    let layout = FrameLayout::of(data.len()).expect("the chunk's length was checked");
    assert_eq!(into.len(), layout.occupied());
    assert_eq!(sums.len(), layout.blocks());
    let length = u32::try_from(data.len()).expect("a chunk has at most 8 MiB");
    let (header, rest) = into.split_at_mut(HEADER_BYTES);
    let header: &mut [u8; HEADER_BYTES] = header.try_into().expect("split there");
    *header = encode_header(&FrameHeader { epoch, id: *id, length, codec: Codec::Plain });
    let (table, rest) = rest.split_at_mut(4 * sums.len());
    for (slot, sum) in table.chunks_exact_mut(4).zip(sums) {
        slot.copy_from_slice(&sum.to_le_bytes());
    }
    let (body, padding) = rest.split_at_mut(data.len());
    body.copy_from_slice(data);
    padding.fill(0);
}

/// The header's bytes.
#[must_use]
pub fn encode_header(header: &FrameHeader) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4] = VERSION;
    bytes[5] = header.codec as u8;
    bytes[8..12].copy_from_slice(&header.epoch.to_le_bytes());
    bytes[12..16].copy_from_slice(&header.length.to_le_bytes());
    // The length as stored: differs from the chunk's once there are codecs.
    bytes[16..20].copy_from_slice(&header.length.to_le_bytes());
    bytes[20..52].copy_from_slice(&header.id.0);
    let sum = crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads a header from the first bytes of a frame.
///
/// # Errors
/// [`Damage`] for anything that [`encode_header`] does not produce.
pub fn decode_header(bytes: &[u8]) -> Result<FrameHeader, Damage> {
    let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Damage::Short)?;
    if bytes[0..4] != MAGIC {
        return Err(Damage::Magic);
    }
    if number(bytes, 60) != crc32c(&bytes[..60]) {
        return Err(Damage::HeaderChecksum);
    }
    if bytes[4] != VERSION || bytes[5] != Codec::Plain as u8 {
        return Err(Damage::Unsupported);
    }
    let length = number(bytes, 12);
    if number(bytes, 16) != length || FrameLayout::of(length as usize).is_none() {
        return Err(Damage::Header);
    }
    let id: &[u8; 32] = bytes[20..].first_chunk().ok_or(Damage::Short)?;
    Ok(FrameHeader { epoch: number(bytes, 8), id: ChunkId(*id), length, codec: Codec::Plain })
}

fn number(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Checks blocks against the frame's checksums. `head` is the frame's beginning, checksums included; `bytes` are
/// those of `blocks`.
///
/// # Errors
/// [`Damage::Short`] or [`Damage::BlockChecksum`].
pub fn verify_blocks(layout: FrameLayout, head: &[u8], blocks: &Range<usize>, bytes: &[u8]) -> Result<(), Damage> {
    let table = head.get(HEADER_BYTES..layout.data_start()).ok_or(Damage::Short)?;
    if blocks.end > layout.blocks() || bytes.len() != layout.bytes_of(blocks).len() {
        return Err(Damage::Short);
    }
    let sums = table.chunks_exact(4).skip(blocks.start);
    for (block, sum) in bytes.chunks(BLOCK_BYTES).zip(sums) {
        if crc32c(block).to_le_bytes() != sum {
            return Err(Damage::BlockChecksum);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(epoch: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xaa; FrameLayout::of(data.len()).unwrap().occupied()];
        encode(epoch, &ChunkId::of(data), data, &block_sums(data), &mut bytes);
        bytes
    }

    /// Reads a whole frame as the store does.
    fn decoded(bytes: &[u8]) -> Result<(FrameHeader, Vec<u8>), Damage> {
        let header = decode_header(bytes)?;
        let layout = FrameLayout::of(header.length as usize).ok_or(Damage::Header)?;
        let blocks = 0..layout.blocks();
        let data = bytes.get(layout.bytes_of(&blocks)).ok_or(Damage::Short)?;
        verify_blocks(layout, bytes, &blocks, data)?;
        Ok((header, data.to_vec()))
    }

    #[test]
    fn the_bytes_of_a_frame_are_those_of_the_format() {
        let bytes = encoded(7, b"cairn");
        let id = blake3::hash(b"cairn");
        let mut expected = vec![0; 512];
        expected[0..8].copy_from_slice(b"CFRM\x01\0\0\0");
        expected[8..20].copy_from_slice(&[7, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]);
        expected[20..52].copy_from_slice(id.as_bytes());
        expected[60..64].copy_from_slice(&GOLDEN_HEADER_SUM.to_le_bytes());
        expected[64..68].copy_from_slice(&GOLDEN_BLOCK_SUM.to_le_bytes());
        expected[68..73].copy_from_slice(b"cairn");
        assert_eq!(bytes, expected);
    }

    const GOLDEN_HEADER_SUM: u32 = 0xc5ec_afb8;
    const GOLDEN_BLOCK_SUM: u32 = 0x6eed_e7b6;

    #[test]
    fn crc32c_is_the_one_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn layouts_at_the_edges() {
        assert_eq!(FrameLayout::of(0), None);
        assert_eq!(FrameLayout::of(MAX_CHUNK_BYTES + 1), None);
        assert_eq!(FrameLayout::of(1).unwrap().occupied(), 512);
        assert_eq!(FrameLayout::of(444).unwrap().occupied(), 512);
        assert_eq!(FrameLayout::of(445).unwrap().occupied(), 1024);
        assert_eq!(FrameLayout::of(5 << 10).unwrap().occupied(), 5632);
        let large = FrameLayout::of(MAX_CHUNK_BYTES).unwrap();
        assert_eq!((large.blocks(), large.data_start()), (128, 576));
        assert_eq!(large.blocks_of(&(0..1)), 0..1);
        assert_eq!(large.blocks_of(&(BLOCK_BYTES - 1..BLOCK_BYTES + 1)), 0..2);
        assert_eq!(large.blocks_of(&(BLOCK_BYTES..2 * BLOCK_BYTES)), 1..2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_round_trip(epoch: u32, length in 1usize..300_000, fill: u8) {
            let data: Vec<u8> = (0..=u8::MAX).cycle().take(length).map(|at| fill.wrapping_add(at % 253)).collect();
            let (header, back) = decoded(&encoded(epoch, &data)).unwrap();
            let length = u32::try_from(length).unwrap();
            let expected = FrameHeader { epoch, id: ChunkId::of(&data), length, codec: Codec::Plain };
            prop_assert_eq!(header, expected);
            prop_assert_eq!(back, data);
        }

        #[test]
        fn every_flipped_bit_that_matters_is_found(length in 1usize..200_000, at: prop::sample::Index, bit in 0u32..8) {
            let data = vec![5; length];
            let mut bytes = encoded(1, &data);
            let covered = FrameLayout::of(length).unwrap().data_start() + length;
            bytes[at.index(covered)] ^= 1 << bit;
            prop_assert!(decoded(&bytes).is_err());
        }

        #[test]
        fn decoding_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), sealed: bool, length: u32) {
            if sealed && bytes.len() >= HEADER_BYTES {
                bytes[0..6].copy_from_slice(b"CFRM\x01\0");
                bytes[12..16].copy_from_slice(&length.to_le_bytes());
                bytes[16..20].copy_from_slice(&length.to_le_bytes());
                let sum = crc32c(&bytes[..60]);
                bytes[60..64].copy_from_slice(&sum.to_le_bytes());
            }
            let _ = decoded(&bytes);
        }
    }
}
