//! MD5 of many streams side by side equals MD5 of each alone, however many there are and however they are cut.
//!
//! An input is pairs of bytes, each a piece: the stream it goes on with, and the piece's length in an odd scale that
//! falls below, on and above the length of a block.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use md5::Digest;
use storage::md5::{Md5, lanes};

const STREAMS: usize = 24;

fuzz_target!(|input: &[u8]| {
    let mut streams: Vec<Vec<Bytes>> = vec![Vec::new(); STREAMS];
    for (place, pair) in input.chunks_exact(2).enumerate() {
        let length = usize::from(pair[1]) * if pair[0] & 0x80 == 0 { 1 } else { 37 };
        let piece: Vec<u8> = (0..length).map(|at| (at ^ (place * 31)) as u8).collect();
        streams[usize::from(pair[0] & 0x7f) % STREAMS].push(piece.into());
    }
    let together = lanes::digests(streams.clone());
    for (stream, digest) in streams.iter().zip(together) {
        let whole = stream.concat();
        let expected: [u8; 16] = md5::Md5::digest(&whole).into();
        assert_eq!(digest, expected);
        let mut alone = Md5::new();
        stream.iter().for_each(|piece| alone.update(piece));
        assert_eq!(alone.finish(), expected);
    }
});
