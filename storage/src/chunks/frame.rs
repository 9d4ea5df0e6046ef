//! A frame: one chunk on disk, with what is needed to trust it. Pure; every byte is shown in `FORMAT.md`.
//!
//! ```text
//! 0                64                  64 + 4·blocks                      occupied
//! | header (64)    | CRC32C per block  | the chunk          | zeroes to 512 |
//! ```
//! A compressed chunk's table has the stored length of each block behind the checksums, and its checksums are of what is
//! stored. Numbers are little-endian. A frame starts at a multiple of 512 bytes, the smallest unit that a disk writes whole,
//! so that a torn write never leaves half a header that another write completes.

use std::ops::Range;

use crc_fast::CrcAlgorithm;

use crate::compress::{self, Codec};
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
    /// Bytes of the data as it is stored: fewer than `length` if it is encoded, else as many.
    pub stored: u32,
}

impl FrameHeader {
    /// Where the frame's parts lie; `None` if the header contradicts itself.
    #[must_use]
    pub fn layout(&self) -> Option<FrameLayout> {
        match self.codec {
            Codec::Plain => FrameLayout::of(self.length as usize).filter(|_| self.stored == self.length),
            _ => FrameLayout::encoded(self.length as usize, self.stored as usize),
        }
    }
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
    /// A block matches its checksum and is not what its codec writes.
    Codec,
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
            Self::Codec => "a block cannot be decompressed",
        }
    }
}

/// Where the parts of a frame lie, relative to its first byte. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    length: usize,
    /// Bytes of the blocks as they are stored, where they are encoded.
    stored: Option<usize>,
}

impl FrameLayout {
    /// The layout of a chunk of `length` bytes; `None` unless it has 1 to [`MAX_CHUNK_BYTES`].
    #[must_use]
    pub fn of(length: usize) -> Option<Self> {
        (1..=MAX_CHUNK_BYTES).contains(&length).then_some(Self { length, stored: None })
    }

    /// The layout of a chunk that is stored in fewer bytes; `None` unless it may be.
    #[must_use]
    pub fn encoded(length: usize, stored: usize) -> Option<Self> {
        let plain = Self::of(length)?;
        (plain.blocks()..length).contains(&stored).then_some(Self { length, stored: Some(stored) })
    }

    /// How many blocks, each with its checksum.
    #[must_use]
    pub fn blocks(self) -> usize {
        self.length.div_ceil(BLOCK_BYTES)
    }

    /// Where the data starts: behind the header and the checksums.
    #[must_use]
    pub fn data_start(self) -> usize {
        let entry = if self.stored.is_some() { 8 } else { 4 };
        HEADER_BYTES + entry * self.blocks()
    }

    /// Where the data starts if the chunk is encoded.
    #[must_use]
    pub fn encoded_start(self) -> usize {
        HEADER_BYTES + 8 * self.blocks()
    }

    /// The whole frame, padding included.
    #[must_use]
    pub fn occupied(self) -> usize {
        (self.data_start() + self.stored.unwrap_or(self.length)).next_multiple_of(FRAME_ALIGN)
    }

    /// The blocks that a range of the chunk touches.
    #[must_use]
    pub fn blocks_of(self, range: &Range<usize>) -> Range<usize> {
        range.start / BLOCK_BYTES..range.end.min(self.length).div_ceil(BLOCK_BYTES)
    }

    /// Where blocks of a chunk that is stored as it is lie in the frame.
    #[must_use]
    pub fn bytes_of(self, blocks: &Range<usize>) -> Range<usize> {
        let end = (blocks.end * BLOCK_BYTES).min(self.length);
        self.data_start() + blocks.start * BLOCK_BYTES..self.data_start() + end
    }
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
    bytes[16..20].copy_from_slice(&header.stored.to_le_bytes());
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
    let codec = Codec::of(bytes[5]).filter(|_| bytes[4] == VERSION).ok_or(Damage::Unsupported)?;
    let id: &[u8; 32] = bytes[20..].first_chunk().ok_or(Damage::Short)?;
    let (length, stored) = (number(bytes, 12), number(bytes, 16));
    let header = FrameHeader { epoch: number(bytes, 8), id: ChunkId(*id), length, codec, stored };
    if header.layout().is_some() { Ok(header) } else { Err(Damage::Header) }
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

/// Where blocks of an encoded chunk lie in the frame, as its table says. `head` is the frame's beginning, the table
/// included.
///
/// # Errors
/// [`Damage::Short`], or [`Damage::Header`] when the table contradicts the header.
pub fn encoded_blocks(layout: FrameLayout, head: &[u8], blocks: &Range<usize>) -> Result<Range<usize>, Damage> {
    let table = head.get(HEADER_BYTES + 4 * layout.blocks()..layout.data_start()).ok_or(Damage::Short)?;
    let mut at = layout.data_start();
    let (mut start, mut end) = (at, at);
    for (block, length) in table.as_chunks::<4>().0.iter().enumerate() {
        if block == blocks.start {
            start = at;
        }
        at = at.checked_add(u32::from_le_bytes(*length) as usize).ok_or(Damage::Header)?;
        if block + 1 == blocks.end {
            end = at;
        }
    }
    let is_whole = layout.stored.is_some_and(|stored| at - layout.data_start() == stored);
    if is_whole && start <= end { Ok(start..end) } else { Err(Damage::Header) }
}

/// Verifies and decompresses blocks; `bytes` are those of [`encoded_blocks`].
///
/// # Errors
/// [`Damage`] when they are not those that were written.
pub fn decode_blocks(
    layout: FrameLayout,
    codec: Codec,
    head: &[u8],
    blocks: &Range<usize>,
    bytes: &[u8],
) -> Result<Vec<u8>, Damage> {
    let table = head.get(HEADER_BYTES..layout.data_start()).ok_or(Damage::Short)?;
    decode_table(layout, codec, table, blocks, bytes)
}

/// As [`decode_blocks`], with the table alone.
///
/// # Errors
/// As [`decode_blocks`].
pub fn decode_table(
    layout: FrameLayout,
    codec: Codec,
    table: &[u8],
    blocks: &Range<usize>,
    bytes: &[u8],
) -> Result<Vec<u8>, Damage> {
    let (sums, lengths) = table.split_at_checked(4 * layout.blocks()).ok_or(Damage::Short)?;
    let entries = sums.as_chunks::<4>().0.iter().zip(lengths.as_chunks::<4>().0);
    let plain_bytes = (blocks.end * BLOCK_BYTES).min(layout.length).saturating_sub(blocks.start * BLOCK_BYTES);
    let mut plain = vec![0; plain_bytes];
    let mut rest = bytes;
    let wanted = plain.chunks_mut(BLOCK_BYTES).zip(entries.skip(blocks.start));
    for (into, (sum, length)) in wanted {
        let (stored, behind) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Damage::Short)?;
        if crc32c(stored).to_le_bytes() != *sum {
            return Err(Damage::BlockChecksum);
        }
        compress::decompress_block(codec, stored, into)?;
        rest = behind;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::body::Body;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn encoded(epoch: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xaa; FrameLayout::of(data.len()).unwrap().occupied()];
        let body = Body::new(Bytes::copy_from_slice(data), Codec::Plain).unwrap();
        body.encode(epoch, &ChunkId::of(data), &mut bytes);
        bytes
    }

    fn compressed(codec: Codec, data: &[u8]) -> Vec<u8> {
        let body = Body::new(Bytes::copy_from_slice(data), codec).unwrap();
        let mut bytes = vec![0xaa; body.layout().occupied()];
        body.encode(9, &ChunkId::of(data), &mut bytes);
        bytes
    }

    /// Reads a whole frame as the store does.
    fn decoded(bytes: &[u8]) -> Result<(FrameHeader, Vec<u8>), Damage> {
        let header = decode_header(bytes)?;
        let layout = header.layout().ok_or(Damage::Header)?;
        let blocks = 0..layout.blocks();
        if header.codec != Codec::Plain {
            let span = encoded_blocks(layout, bytes, &blocks)?;
            let stored = bytes.get(span).ok_or(Damage::Short)?;
            return Ok((header, decode_blocks(layout, header.codec, bytes, &blocks, stored)?));
        }
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
    fn the_bytes_of_a_compressed_frame_are_those_of_the_format() {
        let data = vec![b'a'; BLOCK_BYTES + 1_000];
        for codec in [Codec::Lz4, Codec::Zstd] {
            let bytes = compressed(codec, &data);
            let stored = number(bytes.first_chunk().unwrap(), 16) as usize;
            assert_eq!(bytes[..6], [b'C', b'F', b'R', b'M', 1, codec as u8]);
            assert_eq!(bytes.len(), (64 + 16 + stored).next_multiple_of(512));
            let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
            let (first, second) = (word(72) as usize, word(76) as usize);
            assert_eq!(first + second, stored);
            assert_eq!(word(64), crc32c(&bytes[80..80 + first]));
            assert_eq!(word(68), crc32c(&bytes[80 + first..80 + first + second]));
            assert_eq!(decoded(&bytes).unwrap().1, data);
            // One block alone.
            let layout = decode_header(&bytes).unwrap().layout().unwrap();
            let span = encoded_blocks(layout, &bytes, &(1..2)).unwrap();
            assert_eq!(span, 80 + first..80 + first + second);
            let block = decode_blocks(layout, codec, &bytes, &(1..2), &bytes[span]).unwrap();
            assert_eq!(block, data[BLOCK_BYTES..]);
        }
    }

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
            let expected =
                FrameHeader { epoch, id: ChunkId::of(&data), length, codec: Codec::Plain, stored: length };
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
        fn every_flipped_bit_of_a_compressed_frame_is_found(
            length in 3_000usize..200_000,
            at: prop::sample::Index,
            bit in 0u32..8,
            lz4: bool,
        ) {
            let data: Vec<u8> = (0..=u8::MAX).cycle().take(length).map(|at| at % 7).collect();
            let mut bytes = compressed(if lz4 { Codec::Lz4 } else { Codec::Zstd }, &data);
            let header = decode_header(&bytes).unwrap();
            prop_assert!(header.codec != Codec::Plain);
            let covered = header.layout().unwrap().data_start() + header.stored as usize;
            bytes[at.index(covered)] ^= 1 << bit;
            prop_assert!(decoded(&bytes).is_err());
        }

        #[test]
        fn decoding_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), sealed: bool, length: u32) {
            if sealed && bytes.len() >= HEADER_BYTES {
                bytes[0..5].copy_from_slice(b"CFRM\x01");
                bytes[5] %= 3;
                bytes[12..16].copy_from_slice(&length.to_le_bytes());
                if bytes[5] == 0 {
                    bytes[16..20].copy_from_slice(&length.to_le_bytes());
                }
                let sum = crc32c(&bytes[..60]);
                bytes[60..64].copy_from_slice(&sum.to_le_bytes());
            }
            let _ = decoded(&bytes);
        }
    }
}
