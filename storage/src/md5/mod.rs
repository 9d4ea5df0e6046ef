//! MD5 of many streams at once.
//!
//! MD5 is what S3's ETags are, and one stream of it cannot be made faster: each step waits for the one before. Eight
//! streams can be computed side by side in the lanes of a vector register, in little more time than one. [`lanes`]
//! gathers the streams of uploads that run at the same time; [`kernel`] computes. There is nothing secure about MD5.

mod kernel;
pub mod lanes;
#[cfg(test)]
mod tests;

pub use lanes::Md5Lanes;

/// Bytes of a block, the unit of the algorithm.
const BLOCK_BYTES: usize = 64;

type Block = [u8; BLOCK_BYTES];

/// A stream's MD5 so far.
#[derive(Clone)]
pub struct Md5 {
    state: [u32; 4],
    /// Bytes so far.
    length: u64,
    /// The bytes since the last whole block.
    partial: Block,
    /// How many they are; 64 while a block that was made whole waits to be computed.
    filled: usize,
}

impl Default for Md5 {
    fn default() -> Self {
        Self { state: kernel::INITIAL, length: 0, partial: [0; BLOCK_BYTES], filled: 0 }
    }
}

impl Md5 {
    /// The MD5 of a stream of which nothing came yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes, on this thread and by itself: for few of them.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            rest = self.absorb(rest);
            let blocks = self.blocks(rest);
            if blocks.is_empty() {
                return;
            }
            let count = blocks.len();
            self.state = kernel::one(self.state, blocks);
            rest = self.computed(rest, count);
        }
    }

    /// The digest.
    #[must_use]
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        // A one bit, zeroes up to 8 bytes before a block's end, the length in bits.
        let zeroes = (2 * BLOCK_BYTES - 9 - self.filled) % BLOCK_BYTES;
        let mut padding = [0; 2 * BLOCK_BYTES];
        padding[0] = 0x80;
        padding[1 + zeroes..9 + zeroes].copy_from_slice(&bits.to_le_bytes());
        self.update(&padding[..9 + zeroes]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Moves bytes into the partial block if there is one, or if too few are left for a whole one; answers the rest.
    fn absorb<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.filled == BLOCK_BYTES || (self.filled == 0 && bytes.len() >= BLOCK_BYTES) {
            return bytes;
        }
        let (taken, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.filled));
        self.partial[self.filled..self.filled + taken.len()].copy_from_slice(taken);
        self.filled += taken.len();
        self.length = self.length.wrapping_add(taken.len() as u64);
        rest
    }

    /// The whole blocks that come next, after [`Md5::absorb`].
    fn blocks<'a>(&'a self, rest: &'a [u8]) -> &'a [Block] {
        match self.filled {
            BLOCK_BYTES => std::slice::from_ref(&self.partial),
            0 => rest.as_chunks().0,
            _ => &[],
        }
    }

    /// Notes that the first `count` of [`Md5::blocks`] were computed; answers the bytes behind them.
    fn computed<'a>(&mut self, rest: &'a [u8], count: usize) -> &'a [u8] {
        if self.filled == BLOCK_BYTES {
            self.filled = 0;
            return rest;
        }
        let (done, rest) = rest.split_at(count * BLOCK_BYTES);
        self.length = self.length.wrapping_add(done.len() as u64);
        rest
    }
}
