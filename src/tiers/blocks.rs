//! Objects of a tier as blocks that are compressed one by one, so that a range costs its blocks alone. Pure.
//!
//! ```text
//! 0            8           9                     17                     1041                  1045
//! | "CRNBLKS1" | codec (1) | plain bytes (8)     | bytes of each block  | CRC32C of all that (4) | blocks |
//! ```
//! Numbers are little-endian. A block is 64 KiB of the plain bytes, the last one shorter; there is room for the lengths of
//! 256, and those that are not there have none. A block that did not shrink is as it was. Blocks have no checksums here:
//! the store has those of the plain bytes.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use storage::chunks::frame::{BLOCK_BYTES, crc32c};
use storage::compress::{self, Codec, Compressed};

const MAGIC: &[u8; 8] = b"CRNBLKS1";
/// Blocks of one object: those of what the store puts at a time.
const MAX_BLOCKS: usize = 256;
const LENGTHS: usize = 17;
const SUM: usize = LENGTHS + 4 * MAX_BLOCKS;
/// Bytes before the blocks: what must be read before any of them.
pub(super) const HEAD_BYTES: usize = SUM + 4;

/// An object's bytes as blocks; `None` where compression does not pay.
pub(super) fn encode(codec: Codec, plain: &[u8]) -> Option<Bytes> {
    if plain.len() > MAX_BLOCKS * BLOCK_BYTES {
        return None;
    }
    let Compressed { data, lengths } = compress::compress(codec, plain)?;
    let mut object = BytesMut::with_capacity(HEAD_BYTES + data.len());
    object.extend_from_slice(MAGIC);
    object.extend_from_slice(&[codec as u8]);
    object.extend_from_slice(&(plain.len() as u64).to_le_bytes());
    for length in lengths {
        object.extend_from_slice(&length.to_le_bytes());
    }
    object.resize(SUM, 0);
    let sum = crc32c(&object);
    object.extend_from_slice(&sum.to_le_bytes());
    object.extend_from_slice(&data);
    Some(object.freeze())
}

/// A range of an object's plain bytes, and where its blocks are.
#[derive(Debug)]
pub(super) struct Reading {
    codec: Codec,
    /// Bytes of each block that the range touches: stored, and plain.
    blocks: Vec<(usize, usize)>,
    /// The first of them, in the object.
    at: u64,
    /// The range, within their plain bytes.
    wanted: Range<usize>,
}

impl Reading {
    /// Finds a range's blocks; `head` is the object's first [`HEAD_BYTES`]. `None` if it is no such object's, or there are
    /// not so many bytes.
    pub(super) fn begin(head: &[u8], range: &Range<u64>) -> Option<Self> {
        let codec = head.get(8).copied().and_then(Codec::of)?;
        let plain = usize::try_from(u64::from_le_bytes(*head.get(9..)?.first_chunk()?)).ok()?;
        let sum = head.get(SUM..HEAD_BYTES)?;
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        let is_sound = head.starts_with(MAGIC) && crc32c(head.get(..SUM)?).to_le_bytes() == sum;
        if !is_sound || plain > MAX_BLOCKS * BLOCK_BYTES || start > end || end > plain {
            return None;
        }
        let (first, behind) = (start / BLOCK_BYTES, end.div_ceil(BLOCK_BYTES));
        let (mut at, mut blocks) = (HEAD_BYTES as u64, Vec::new());
        let lengths = head.get(LENGTHS..SUM)?.as_chunks::<4>().0;
        for (block, length) in lengths.iter().enumerate().take(behind) {
            let length = u32::from_le_bytes(*length);
            if block < first {
                at += u64::from(length);
            } else {
                blocks.push((length as usize, (plain - block * BLOCK_BYTES).min(BLOCK_BYTES)));
            }
        }
        let wanted = start - first * BLOCK_BYTES..end - first * BLOCK_BYTES;
        Some(Self { codec, blocks, at, wanted })
    }

    /// Where the blocks are in the object.
    pub(super) fn span(&self) -> Range<u64> {
        self.at..self.at + self.blocks.iter().map(|(stored, _)| *stored as u64).sum::<u64>()
    }

    /// The plain bytes of the range; `stored` are those of the [span](Self::span). `None` if they are damaged.
    pub(super) fn finish(self, stored: &[u8]) -> Option<Bytes> {
        let mut plain = vec![0; self.blocks.iter().map(|(_, plain)| plain).sum()];
        let (mut rest, mut into) = (stored, &mut plain[..]);
        for (stored, length) in &self.blocks {
            let (block, behind) = rest.split_at_checked(*stored)?;
            let (place, next) = into.split_at_mut_checked(*length)?;
            compress::decompress_block(self.codec, block, place).ok()?;
            (rest, into) = (behind, next);
        }
        (self.wanted.end <= plain.len()).then(|| Bytes::from(plain).slice(self.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, a block of noise, and an end that is no whole block.
    fn plain() -> Vec<u8> {
        let text = |length: usize| (0..length).map(|at| u8::try_from(at / 5 % 90).expect("small"));
        let mut noise = vec![0; BLOCK_BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        text(2 * BLOCK_BYTES).chain(noise).chain(text(1_234)).collect()
    }

    fn read(object: &[u8], range: Range<usize>) -> Option<Bytes> {
        let reading = Reading::begin(object.get(..HEAD_BYTES)?, &(range.start as u64..range.end as u64))?;
        let span = reading.span();
        reading.finish(object.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)?)
    }

    #[test]
    fn every_range_is_read_back() {
        let plain = plain();
        let edges: Vec<usize> = (0..=3)
            .flat_map(|block: usize| [-1, 0, 1].map(|by| (block * BLOCK_BYTES).saturating_add_signed(by)))
            .chain([plain.len() - 1, plain.len()])
            .collect();
        for codec in [Codec::Lz4, Codec::Zstd] {
            let object = encode(codec, &plain).expect("it shrinks");
            assert!(object.len() < plain.len() / 2);
            for start in &edges {
                for end in edges.iter().filter(|end| *end >= start) {
                    assert_eq!(
                        read(&object, *start..*end).expect("read"),
                        plain[*start..*end],
                        "{codec}: {start}..{end}"
                    );
                }
            }
            assert_eq!(read(&object, 0..plain.len() + 1), None, "there are not so many");
        }
        assert!(encode(Codec::Zstd, &plain[2 * BLOCK_BYTES..3 * BLOCK_BYTES]).is_none(), "noise");
        assert!(encode(Codec::Plain, &plain).is_none());
        let most = vec![7; MAX_BLOCKS * BLOCK_BYTES];
        let object = encode(Codec::Lz4, &most).expect("it shrinks");
        assert_eq!(read(&object, most.len() - 3..most.len()).as_deref(), Some(&[7, 7, 7][..]));
    }

    #[test]
    fn damage_of_the_head_and_lost_ends_are_found() {
        let plain = plain();
        let object = encode(Codec::Zstd, &plain).expect("it shrinks");
        for at in 0..HEAD_BYTES {
            let mut damaged = object.to_vec();
            damaged[at] ^= 4;
            assert_eq!(read(&damaged, 0..plain.len()), None, "byte {at}");
        }
        for shorter in [0, 8, 20, HEAD_BYTES, object.len() - 1] {
            assert_eq!(read(&object[..shorter], 0..plain.len()), None, "{shorter} bytes");
        }
    }
}
