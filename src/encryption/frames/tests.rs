use proptest::prelude::*;

use super::*;

const FRAME: usize = 64 << 10;

fn key(byte: u8) -> DataKey {
    DataKey::new([byte; 32])
}

/// The sealed frames of `plain`, the header first.
fn sealed(key: &DataKey, position: Position, plain: &[u8]) -> (Bytes, Vec<Bytes>) {
    let mut sealer = Sealer::begin(key, position).expect("begins");
    let pieces: Vec<_> = if plain.is_empty() { vec![plain] } else { plain.chunks(FRAME).collect() };
    let count = pieces.len();
    let frames = pieces.iter().enumerate();
    let frames = frames.map(|(index, piece)| sealer.seal(BytesMut::from(*piece), index + 1 == count).expect("seals"));
    let frames = frames.collect();
    (sealer.header(), frames)
}

#[test]
fn lengths_are_known_before_and_after() {
    for plain in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 10 * FRAME_BYTES, 5 << 40] {
        assert_eq!(plain_length(sealed_length(plain)), Some(plain), "{plain}");
        let last = frames(plain) - 1;
        assert_eq!(frame_start(last) + frame_length(plain, last), sealed_length(plain), "{plain}");
    }
    let (header, frames) = sealed(&key(1), Position::Whole, &vec![7; 100_000]);
    assert_eq!(
        header.len() as u64 + frames.iter().map(|frame| frame.len() as u64).sum::<u64>(),
        sealed_length(100_000)
    );
    for impossible in [0, HEADER_BYTES, HEADER_BYTES + TAG_BYTES - 1, sealed_length(FRAME_BYTES) + 3] {
        assert_eq!(plain_length(impossible), None, "{impossible}");
    }
}

/// As Python's `cryptography` and `hmac` compute it; `storage/FORMAT.md` has it, too.
#[test]
fn a_known_answer() {
    let mut sealer = Sealer::with_salt(&key(0x0b), Position::Part(7), [0x0c; SALT_BYTES]).expect("begins");
    let hex = |bytes: &[u8]| hex::encode(bytes);
    let header = format!("01010000000000000007{}", "0c".repeat(32));
    assert_eq!(hex(&sealer.header()), header);
    let frame = sealer.seal(BytesMut::from(&b"known answer"[..]), true).expect("seals");
    assert_eq!(hex(&frame), KNOWN);
}

const KNOWN: &str = "cd475aca371edf842c1c588cd9dfe2349c6acea01dcf7223a3386ff2";

#[test]
fn what_was_moved_is_not_opened() {
    let plain: Vec<u8> = (0..3 * FRAME_BYTES).map(|at| (at % 251) as u8).collect();
    let (header, frames) = sealed(&key(1), Position::Part(1), &plain);
    let opener = Opener::new(&key(1), &header, Position::Part(1)).expect("opens");
    let opens = |opener: &Opener, frame: &Bytes, index, last| opener.open(frame, index, last);
    for (index, frame) in frames.iter().enumerate() {
        let start = index * FRAME;
        let opened = opens(&opener, frame, index as u64, index == 2).expect("opens");
        assert_eq!(opened, plain[start..start + FRAME]);
        // In another place, as a last frame that is none, and none that is.
        for other in 0..4 {
            for last in [false, true] {
                if (other, last) != (index as u64, index == 2) {
                    assert_eq!(opens(&opener, frame, other, last), Err(Broken::Frame));
                }
            }
        }
    }
    // Another object's, another part's, an older version's.
    assert_eq!(
        opens(&Opener::new(&key(2), &header, Position::Part(1)).expect("no check yet"), &frames[0], 0, false),
        Err(Broken::Frame)
    );
    assert_eq!(Opener::new(&key(1), &header, Position::Part(2)).err(), Some(Broken::Header));
    assert_eq!(Opener::new(&key(1), &header, Position::Whole).err(), Some(Broken::Header));
    let (older, _) = sealed(&key(1), Position::Part(1), &plain);
    let replayed = Opener::new(&key(1), &older, Position::Part(1)).expect("a header of that place");
    assert_eq!(opens(&replayed, &frames[0], 0, false), Err(Broken::Frame));
    let mut renumbered = header.to_vec();
    renumbered[9] = 2;
    let renumbered = Opener::new(&key(1), &renumbered, Position::Part(2)).expect("says so");
    assert_eq!(opens(&renumbered, &frames[0], 0, false), Err(Broken::Frame));
}

/// Every bit of a thousand frames: short ones, for each flip costs an opening.
#[test]
fn no_flipped_bit_is_served() {
    for number in 0..1_000_u16 {
        let plain = number.to_be_bytes();
        let (header, frames) = sealed(&key(3), Position::Part(number), &plain);
        let opener = Opener::new(&key(3), &header, Position::Part(number)).expect("opens");
        for bit in 0..frames[0].len() * 8 {
            let mut flipped = BytesMut::from(&frames[0][..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(&flipped, 0, true), Err(Broken::Frame), "frame {number}, bit {bit}");
        }
        for length in 0..frames[0].len() {
            assert!(opener.open(&frames[0][..length], 0, true).is_err(), "cut to {length}");
        }
    }
    let (header, frames) = sealed(&key(3), Position::Whole, b"header");
    for bit in 0..header.len() * 8 {
        let mut flipped = header.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let opened =
            Opener::new(&key(3), &flipped, Position::Whole).and_then(|opener| opener.open(&frames[0], 0, true));
        assert!(opened.is_err(), "bit {bit} of the header");
    }
}

/// Full frames, too: every bit of the longest frame there is, data and tag, each in one of a thousand frames of one
/// stream. A flip costs an opening of 64 KiB, so that all bits of all of them would take hours.
#[test]
fn no_flipped_bit_of_a_full_frame_is_served() {
    const FRAMES: usize = 1_000;
    let mut sealer = Sealer::begin(&key(4), Position::Whole).expect("begins");
    let opener = Opener::new(&key(4), &sealer.header(), Position::Whole).expect("opens");
    let mut flips = 0;
    for number in 0..FRAMES {
        let plain: Vec<u8> = (0..=250_u8).cycle().skip(number % 251).take(FRAME).collect();
        let last = number + 1 == FRAMES;
        let frame = sealer.seal(BytesMut::from(&plain[..]), last).expect("seals");
        let opened = opener.open(&frame, number as u64, last).expect("opens");
        assert_eq!(opened, plain, "frame {number} as it was sealed");
        for bit in (number..frame.len() * 8).step_by(FRAMES) {
            let mut flipped = BytesMut::from(&frame[..]);
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = opener.open(&flipped, number as u64, last);
            assert_eq!(opened, Err(Broken::Frame), "frame {number}, bit {bit}");
            flips += 1;
        }
    }
    assert_eq!(flips, (FRAME + 16) * 8, "each bit of a frame once");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), index in any::<u64>()) {
        let (header, _) = sealed(&key(1), Position::Whole, b"x");
        let opener = Opener::new(&key(1), &header, Position::Whole).expect("opens");
        prop_assert!(opener.open(&bytes, index, true).is_err());
        prop_assert!(Opener::new(&key(1), &bytes, Position::Whole).is_err());
    }
}

#[test]
fn bytes_in_memory_open_at_their_place_alone() {
    let (key, place) = (DataKey::new([7; 32]), Position::annotation("a"));
    for size in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let plain: Vec<u8> = (0..size).map(|place: u32| place.to_le_bytes()[0]).collect();
        let sealed = seal_whole(&key, place, &plain).expect("random numbers");
        assert_eq!(sealed.len() as u64, sealed_length(plain.len() as u64));
        assert_eq!(open_whole(&key, place, &sealed).expect("whole").as_ref(), plain);
        assert_eq!(open_whole(&key, Position::annotation("b"), &sealed), Err(Broken::Header));
        assert_eq!(open_whole(&DataKey::new([8; 32]), place, &sealed), Err(Broken::Frame));
        for cut in [1, 16, 17, sealed.len() / 2] {
            assert!(open_whole(&key, place, &sealed[..sealed.len() - cut]).is_err());
        }
    }
}
