//! Blocks of chunks, compressed one by one, so that a range costs its blocks alone. Pure, but for the memory that a thread
//! keeps for the next block.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zstd_safe::{CCtx, DCtx};

use crate::chunks::frame::{BLOCK_BYTES, Damage};

/// zstd's level: higher ones take twice the time for a few percent.
const ZSTD_LEVEL: i32 = 1;
/// What must be saved of a sample, and then of the chunk, so that compression is worth the time of its readers: a 16th.
const WORTH_IT: usize = 16;

/// How the data in a frame is encoded. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    #[default]
    Plain = 0,
    /// Blocks of LZ4 (its block format): hardly slower than none.
    Lz4 = 1,
    /// zstd frames (RFC 8878): smaller, for more time.
    Zstd = 2,
}

impl Codec {
    /// The inverse of the number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        [Self::Plain, Self::Lz4, Self::Zstd].into_iter().find(|codec| *codec as u8 == number)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Plain, Self::Lz4, Self::Zstd].into_iter().find(|codec| codec.to_string() == text);
        known.ok_or_else(|| format!("{text:?} is neither \"none\" nor \"lz4\" nor \"zstd\""))
    }
}

thread_local! {
    static COMPRESSOR: RefCell<CCtx<'static>> = RefCell::new(CCtx::create());
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// A chunk's blocks, compressed, behind each other; and the length of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// All of them.
    pub data: Bytes,
    /// Bytes of each. As long as the block itself: it is stored as it is.
    pub lengths: Vec<u32>,
}

/// Compresses a chunk; `None` where that does not pay, which the first block is asked about before the others.
#[must_use]
pub fn compress(codec: Codec, chunk: &[u8]) -> Option<Compressed> {
    if codec == Codec::Plain || chunk.is_empty() {
        return None;
    }
    // Blocks that do not shrink are copied: this is enough for all of them.
    let mut data = Vec::with_capacity(chunk.len());
    let mut lengths = Vec::with_capacity(chunk.len().div_ceil(BLOCK_BYTES));
    // As long as blocks may become: the encoder of LZ4 refuses less.
    let mut scratch = vec![0; lz4_flex::block::get_maximum_output_size(BLOCK_BYTES)];
    for block in chunk.chunks(BLOCK_BYTES) {
        let length = compress_block(codec, block, &mut scratch).filter(|length| *length < block.len());
        let stored = length.and_then(|length| scratch.get(..length)).unwrap_or(block);
        if lengths.is_empty() && !is_worth(stored.len(), block.len()) {
            return None;
        }
        lengths.push(u32::try_from(stored.len()).ok()?);
        data.extend_from_slice(stored);
    }
    if !is_worth(data.len(), chunk.len()) {
        return None;
    }
    data.shrink_to_fit();
    Some(Compressed { data: data.into(), lengths })
}

fn is_worth(stored: usize, plain: usize) -> bool {
    stored + plain / WORTH_IT < plain
}

/// The compressed length; `None` when it fails.
fn compress_block(codec: Codec, block: &[u8], into: &mut [u8]) -> Option<usize> {
    match codec {
        Codec::Plain => None,
        Codec::Lz4 => lz4_flex::block::compress_into(block, into).ok(),
        Codec::Zstd => COMPRESSOR.with_borrow_mut(|context| context.compress(into, block, ZSTD_LEVEL).ok()),
    }
}

/// Decompresses a block into `into`, which is exactly as long as the block.
///
/// # Errors
/// [`Damage::Codec`] if it is not what [`compress`] made of a block of that length.
pub fn decompress_block(codec: Codec, stored: &[u8], into: &mut [u8]) -> Result<(), Damage> {
    if stored.len() == into.len() {
        into.copy_from_slice(stored);
        return Ok(());
    }
    let length = match codec {
        Codec::Plain => None,
        Codec::Lz4 => lz4_flex::block::decompress_into(stored, into).ok(),
        Codec::Zstd => DECOMPRESSOR.with_borrow_mut(|context| context.decompress(into, stored).ok()),
    };
    if length == Some(into.len()) { Ok(()) } else { Err(Damage::Codec) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(codec: Codec, compressed: &Compressed, length: usize) -> Result<Vec<u8>, Damage> {
        let (mut plain, mut at) = (vec![0; length], 0);
        for (block, stored) in plain.chunks_mut(BLOCK_BYTES).zip(&compressed.lengths) {
            let end = at + *stored as usize;
            decompress_block(codec, &compressed.data[at..end], block)?;
            at = end;
        }
        Ok(plain)
    }

    #[test]
    fn names_and_numbers_are_read_back() {
        for codec in [Codec::Plain, Codec::Lz4, Codec::Zstd] {
            assert_eq!(codec.to_string().parse(), Ok(codec));
            assert_eq!(Codec::of(codec as u8), Some(codec));
        }
        assert!("gzip".parse::<Codec>().is_err() && Codec::of(3).is_none());
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let mut noise = vec![0; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let mut mixed = vec![7; BLOCK_BYTES];
        mixed.extend_from_slice(&noise);
        for codec in [Codec::Lz4, Codec::Zstd] {
            assert_eq!(compress(codec, &noise), None);
            // The sample is fine; a block that is not is stored as it is.
            let compressed = compress(codec, &mixed).unwrap();
            assert!(compressed.lengths[0] < 1_000 && compressed.lengths[1] as usize == BLOCK_BYTES);
            assert_eq!(back(codec, &compressed, mixed.len()).unwrap(), mixed);
        }
        assert_eq!(compress(Codec::Plain, &mixed), None);
        for tiny in [0, 1, 2, 16] {
            assert_eq!(compress(Codec::Zstd, &vec![0; tiny]), None, "{tiny}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunks_round_trip(words in prop::collection::vec(0u8..6, 1..200), length in 1usize..200_000, lz4: bool) {
            let chunk: Vec<u8> = words.iter().copied().cycle().take(length).collect();
            let codec = if lz4 { Codec::Lz4 } else { Codec::Zstd };
            if let Some(compressed) = compress(codec, &chunk) {
                prop_assert!(compressed.data.len() < chunk.len());
                prop_assert_eq!(back(codec, &compressed, length).unwrap(), chunk);
            } else {
                prop_assert!(length < 2_000, "this shrinks");
            }
        }

        #[test]
        fn decompression_of_anything_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            length in 0usize..1_000,
            lz4: bool,
        ) {
            let codec = if lz4 { Codec::Lz4 } else { Codec::Zstd };
            let _ = decompress_block(codec, &bytes, &mut vec![0; length]);
        }
    }
}
