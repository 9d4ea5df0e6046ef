//! Sealed streams: whatever is stored instead of one opens as nothing, and a stream opens only as it was sealed.
//!
//! An input is a byte that says what is done to a sealed stream, four that say where, one that says with what, the
//! stream's length in an odd scale that falls below, on and above the length of a frame, and what else the stream, or
//! the damage, is made of.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../src/encryption"]
#[allow(dead_code, reason = "sealed streams are compiled here as they are")]
mod encryption {
    pub mod frames;

    /// Stands for the server's own, which wraps keys, too.
    pub struct DataKey([u8; 32]);

    impl DataKey {
        pub fn new(bytes: [u8; 32]) -> Self {
            Self(bytes)
        }

        pub fn expose(&self) -> &[u8] {
            &self.0
        }
    }
}

use encryption::DataKey;
use encryption::frames::{self, FRAME_BYTES, HEADER_BYTES, Opener, Position, TAG_BYTES};

const FRAME: usize = (FRAME_BYTES + TAG_BYTES) as usize;
const HEADER: usize = HEADER_BYTES as usize;

fuzz_target!(|input: &[u8]| {
    let Some((&[kind, a, b, c, d, with, scale], rest)) = input.split_first_chunk::<7>() else { return };
    let (key, place) = (DataKey::new([7; 32]), Position::Part(u16::from(with)));
    let number = u32::from_be_bytes([a, b, c, d]);

    // Lengths go there and back, whatever they are.
    let claimed = u64::from(number) << (with % 32);
    if let Some(plain) = frames::plain_length(claimed) {
        assert_eq!(frames::sealed_length(plain), claimed);
        let last = frames::frames(plain) - 1;
        assert_eq!(frames::frame_start(last) + frames::frame_length(plain, last), claimed);
    }

    // Nobody without the key makes a stream that opens.
    assert!(frames::open_whole(&key, place, rest).is_err());
    if let Ok(opener) = Opener::new(&key, rest.get(..HEADER).unwrap_or(rest), place) {
        let frame = rest.get(HEADER..).unwrap_or_default();
        assert!(opener.open(frame, u64::from(number), with & 1 == 1).is_err());
    }

    let length = usize::from(scale) * if kind & 0x80 == 0 { 1 } else { 1_021 };
    let plain: Vec<u8> = rest.iter().copied().chain((0..=255).cycle()).take(length).collect();
    let sealed = frames::seal_whole(&key, place, &plain).expect("random numbers");
    assert_eq!(sealed.len() as u64, frames::sealed_length(plain.len() as u64));
    assert_eq!(frames::open_whole(&key, place, &sealed).expect("as it was sealed"), plain);
    let mut damaged = sealed.to_vec();
    let at = number as usize % damaged.len();
    match kind & 0x7f {
        0 => damaged[at] ^= with,
        1 => damaged.truncate(at),
        2 => damaged.extend_from_slice(rest),
        3 => {
            // A frame in the place of another.
            let frames = damaged[HEADER..].chunks(FRAME).count();
            let of = |index: usize| HEADER + index % frames * FRAME;
            let (from, to) = (of(usize::from(with)), of(number as usize));
            let moved = sealed[from..(from + FRAME).min(sealed.len())].to_vec();
            let taken = moved.len().min(damaged.len() - to);
            damaged[to..to + taken].copy_from_slice(&moved[..taken]);
        }
        // Another stream of the same bytes, under the same key, at the same place: its header, or its frames.
        4 => {
            let other = frames::seal_whole(&key, place, &plain).expect("random numbers");
            damaged[..HEADER].copy_from_slice(&other[..HEADER]);
        }
        _ => {
            let end = (at + rest.len()).min(damaged.len());
            damaged[at..end].copy_from_slice(&rest[..end - at]);
        }
    }
    match frames::open_whole(&key, place, &damaged) {
        Ok(_) => assert_eq!(damaged, sealed, "what was changed opens"),
        Err(_) => assert_ne!(damaged, sealed.as_ref(), "what was not changed does not open"),
    }
    assert!(frames::open_whole(&DataKey::new([8; 32]), place, &sealed).is_err());
    assert!(frames::open_whole(&key, Position::At(u64::from(number)), &sealed).is_err());
});
