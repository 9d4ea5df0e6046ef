//! Where a chunk ends: after a fixed length, or where the bytes say so. Pure.
//!
//! Content-defined chunking is `FastCDC` (Xia et al., USENIX ATC 2016): a gear hash rolls over the bytes, and a chunk ends
//! where enough of its bits are zero; before the wanted length more of them must be, after it fewer. So what is inserted
//! into a large file, or taken out of it, changes the chunks around it alone, and the others are stored once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How data is cut into chunks. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chunking {
    /// All but the last chunk have the store's chunk length: fewest chunks, and equal data at equal offsets is found.
    #[default]
    Fixed,
    /// A quarter of the store's chunk length on average, a 16th at least, all of it at most: equal data is found wherever
    /// it is.
    FastCdc,
}

impl fmt::Display for Chunking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::FastCdc => "fastcdc",
        })
    }
}

impl FromStr for Chunking {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Fixed, Self::FastCdc].into_iter().find(|chunking| chunking.to_string() == text);
        known.ok_or_else(|| format!("{text:?} is neither \"fixed\" nor \"fastcdc\""))
    }
}

/// A random number for each byte. The table is part of what makes equal data equal chunks: it stays as it is.
static GEAR: [u64; 256] = gear();

/// By which the state of `SplitMix64` grows.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What `SplitMix64` makes of a state.
const fn mixed(state: u64) -> u64 {
    let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `SplitMix64`'s numbers from 1.
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let (mut byte, mut state) = (0, 1_u64);
    while byte < 256 {
        state = state.wrapping_add(STEP);
        table[byte] = mixed(state);
        byte += 1;
    }
    table
}

/// Finds the ends of chunks in a stream that comes in pieces of any length.
#[derive(Clone, Debug)]
pub struct Cutter {
    least: usize,
    wanted: usize,
    most: usize,
    /// Which bits must be zero, before the wanted length and from there on: the uppermost, which depend on 64 bytes.
    strict: u64,
    loose: u64,
    hash: u64,
    /// Bytes of the present chunk.
    length: usize,
}

impl Cutter {
    /// For a store whose chunks have at most `chunk_bytes`.
    #[must_use]
    pub fn new(chunk_bytes: u32) -> Self {
        let most = chunk_bytes.max(64) as usize;
        let bits = (most / 4).ilog2();
        // Two bits more and two less than what gives the wanted length: lengths gather around it.
        let zeroes = |bits: u32| u64::MAX << (64 - bits.clamp(1, 63));
        Self {
            least: most / 16,
            wanted: most / 4,
            most,
            strict: zeroes(bits + 2),
            loose: zeroes(bits - 2),
            hash: 0,
            length: 0,
        }
    }

    /// Takes the stream's next bytes, and answers where in them chunks end, in order.
    pub fn ends_in(&mut self, piece: &[u8]) -> Vec<usize> {
        let (mut ends, mut at) = (Vec::new(), 0);
        while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
            match self.end_in(rest) {
                Some(end) => {
                    at += end;
                    ends.push(at);
                    (self.hash, self.length) = (0, 0);
                }
                None => break,
            }
        }
        ends
    }

    /// Where the present chunk ends in these bytes; `None` if it goes on behind them.
    fn end_in(&mut self, rest: &[u8]) -> Option<usize> {
        // Nothing ends before the least length, so nothing is looked at before it.
        let mut at = self.least.saturating_sub(self.length).min(rest.len());
        for (until, mask) in [(self.wanted, self.strict), (self.most, self.loose)] {
            let stop = until.saturating_sub(self.length).min(rest.len());
            for byte in rest.get(at..stop).unwrap_or_default() {
                at += 1;
                self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
                if self.hash & mask == 0 {
                    return Some(at);
                }
            }
        }
        if self.length + at == self.most {
            return Some(at);
        }
        self.length += rest.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const CHUNK: u32 = 4096;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_add(STEP);
            mixed(state).to_le_bytes()
        });
        let mut bytes: Vec<u8> = words.take(length.div_ceil(8)).flatten().collect();
        bytes.truncate(length);
        bytes
    }

    /// The chunks of bytes that come at once.
    fn chunks(bytes: &[u8]) -> Vec<&[u8]> {
        let (mut start, mut chunks) = (0, Vec::new());
        for end in Cutter::new(CHUNK).ends_in(bytes) {
            chunks.push(&bytes[start..end]);
            start = end;
        }
        if start < bytes.len() {
            chunks.push(&bytes[start..]);
        }
        chunks
    }

    #[test]
    fn names_are_read_back() {
        for chunking in [Chunking::Fixed, Chunking::FastCdc] {
            assert_eq!(chunking.to_string().parse(), Ok(chunking));
        }
        assert!("rabin".parse::<Chunking>().is_err());
    }

    #[test]
    fn the_ends_of_chunks_stay_where_they_are_from_release_to_release() {
        let bytes = noise(1, 20_000);
        let lengths: Vec<usize> = chunks(&bytes).iter().map(|chunk| chunk.len()).collect();
        assert_eq!(lengths, GOLDEN);
    }

    const GOLDEN: &[usize] =
        &[1154, 1137, 1298, 1133, 1521, 1408, 1098, 1082, 664, 1470, 1026, 1100, 1182, 1218, 1159, 1181, 1169];

    #[test]
    fn lengths_are_within_their_bounds_and_gather_around_what_is_wanted() {
        let bytes = noise(2, 4 << 20);
        let chunks = chunks(&bytes);
        let (last, whole) = chunks.split_last().unwrap();
        assert!(last.len() <= 4096 && whole.iter().all(|chunk| (256..=4096).contains(&chunk.len())));
        let mean = whole.iter().map(|chunk| chunk.len()).sum::<usize>() / whole.len();
        assert!((1048..1281).contains(&mean), "{mean}");
        let cut_off = whole.iter().filter(|chunk| chunk.len() == 4096).count();
        assert!(cut_off * 100 < whole.len(), "{cut_off} of {}", whole.len());
        // What has no pattern to end at is cut at the most.
        assert!(self::chunks(&vec![0; 50_000]).iter().all(|chunk| chunk.len() <= 4096));
    }

    #[test]
    fn an_insertion_changes_the_chunks_around_it_alone() {
        let bytes = noise(3, 400_000);
        let before: HashSet<&[u8]> = chunks(&bytes).into_iter().collect();
        for at in [0, 1, 100_000, 399_999] {
            let changed = [&bytes[..at], b"inserted", &bytes[at..]].concat();
            let new = chunks(&changed).into_iter().filter(|chunk| !before.contains(chunk)).count();
            assert!(new <= 5, "{new} new chunks after an insertion at {at}");
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(seed: u64, mut cuts in prop::collection::vec(0_usize..30_000, 0..40)) {
            let bytes = noise(seed, 30_000);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut cutter, mut start, mut ends) = (Cutter::new(CHUNK), 0, Vec::new());
            for cut in cuts {
                ends.extend(cutter.ends_in(&bytes[start..cut]).into_iter().map(|end| start + end));
                start = cut;
            }
            prop_assert_eq!(ends, Cutter::new(CHUNK).ends_in(&bytes));
        }
    }
}
