//! Bodies of PUT requests: incompressible, different for each object, and made without allocating or copying.
//!
//! A connection owns one window of noise (at most 256 KiB) and sends it as often as the object's size asks. Before each
//! sending it writes a stamp (run, object, block) at the start of every 4 KiB block, so no two chunks of any two objects
//! are equal, and a GET can tell by its first bytes that it got the right object.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

const BLOCK: usize = 4096;
const WINDOW: usize = 256 * 1024;

/// Bytes of a stamp: run, object and block number, little endian.
pub const STAMP: usize = 24;

/// What all payloads of one run share.
#[derive(Clone)]
pub struct Noise {
    run: u64,
    bytes: Arc<[u8]>,
}

impl Noise {
    /// Noise that differs from that of every other run.
    pub fn new() -> Self {
        let run = u64::from(std::process::id()) << 40
            ^ std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64);
        let mut state = run | 1;
        let bytes: Vec<u8> =
            std::iter::repeat_with(|| xorshift(&mut state)).take(WINDOW / 8).flat_map(u64::to_le_bytes).collect();
        Self { run, bytes: bytes.into() }
    }

    /// The first bytes of object number `object`.
    pub fn stamp(&self, object: u64) -> [u8; STAMP] {
        stamp(self.run, object, 0)
    }

    /// A payload of `size` bytes whose content is set by [`Payload::set_object`].
    pub fn payload(&self, size: u64) -> Payload {
        let window = usize::try_from(size).map_or(WINDOW, |size| size.min(WINDOW));
        Payload { run: self.run, size, object: 0, window: self.bytes.iter().take(window).copied().collect() }
    }
}

/// One connection's body.
pub struct Payload {
    run: u64,
    size: u64,
    object: u64,
    window: Vec<u8>,
}

impl Payload {
    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes this the content of object number `object`.
    pub fn set_object(&mut self, object: u64) {
        self.object = object;
    }

    /// The piece of the body that starts at `offset`, a multiple of the window; empty at the end.
    pub fn piece(&mut self, offset: u64) -> &[u8] {
        let length = usize::try_from(self.size - offset).map_or(WINDOW, |left| left.min(self.window.len()));
        for (index, block) in self.window.chunks_mut(BLOCK).enumerate() {
            if let Some(start) = block.get_mut(..STAMP) {
                start.copy_from_slice(&stamp(self.run, self.object, offset / BLOCK as u64 + index as u64));
            }
        }
        &self.window[..length]
    }

    /// SHA-256 of the whole body in lower-case hexadecimal, as `x-amz-content-sha256` wants it.
    pub fn sha256(&mut self) -> String {
        let mut hash = Sha256::new();
        let mut offset = 0;
        while offset < self.size {
            let piece = self.piece(offset);
            offset += piece.len() as u64;
            hash.update(piece);
        }
        hex::encode(hash.finalize())
    }
}

fn stamp(run: u64, object: u64, block: u64) -> [u8; STAMP] {
    let mut bytes = [0; STAMP];
    bytes[..8].copy_from_slice(&run.to_le_bytes());
    bytes[8..16].copy_from_slice(&object.to_le_bytes());
    bytes[16..].copy_from_slice(&block.to_le_bytes());
    bytes
}

/// Marsaglia's xorshift64: noise and random choices without a dependency.
pub fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
