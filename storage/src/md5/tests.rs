use bytes::Bytes;
use proptest::prelude::*;

use super::lanes::digests;
use super::{Md5, Md5Lanes};

fn reference(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}

/// Bytes that differ from place to place and from seed to seed.
fn bytes(length: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

fn cut(data: &[u8], pieces: &[usize]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(data);
    let mut cut: Vec<Bytes> = pieces.iter().map(|length| rest.split_to((*length).min(rest.len()))).collect();
    cut.push(rest);
    cut
}

#[test]
fn the_digests_of_rfc_1321() {
    for (text, digest) in [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a",
        ),
    ] {
        let mut md5 = Md5::new();
        md5.update(text.as_bytes());
        assert_eq!(md5.finish().map(|byte| format!("{byte:02x}")).concat(), digest);
    }
}

#[test]
fn every_length_around_blocks_alone_and_side_by_side() {
    let streams: Vec<Vec<u8>> = (0..=260).map(|length| bytes(length, u8::try_from(length % 256).unwrap())).collect();
    for stream in &streams {
        let mut md5 = Md5::new();
        md5.update(stream);
        assert_eq!(md5.finish(), reference(stream), "{} bytes", stream.len());
    }
    let together = digests(streams.iter().map(|stream| cut(stream, &[])).collect());
    for (stream, digest) in streams.iter().zip(together) {
        assert_eq!(digest, reference(stream), "{} bytes", stream.len());
    }
}

proptest! {
    #[test]
    fn one_stream_in_any_pieces(length in 0usize..10_000, seed: u8, pieces in prop::collection::vec(0usize..700, 0..20)) {
        let data = bytes(length, seed);
        let mut md5 = Md5::new();
        for piece in cut(&data, &pieces) {
            md5.update(&piece);
        }
        prop_assert_eq!(md5.finish(), reference(&data));
    }

    #[test]
    fn streams_side_by_side_in_any_pieces(
        streams in prop::collection::vec(
            (0usize..100_000, any::<u8>(), prop::collection::vec(0usize..40_000, 0..6)), 0..20,
        )
    ) {
        let data: Vec<Vec<u8>> = streams.iter().map(|(length, seed, _)| bytes(*length, *seed)).collect();
        let cuts = data.iter().zip(&streams).map(|(data, (_, _, pieces))| cut(data, pieces)).collect();
        let expected: Vec<_> = data.iter().map(|data| reference(data)).collect();
        prop_assert_eq!(digests(cuts), expected);
    }
}

/// Uploads that come, go on and leave as they like, over real threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_streams_through_the_pool() {
    let lanes = std::sync::Arc::new(Md5Lanes::new(2).unwrap());
    let streams = (0u8..40).map(|seed| {
        let lanes = std::sync::Arc::clone(&lanes);
        tokio::spawn(async move {
            let data = bytes(usize::from(seed) * 7_001, seed);
            let mut md5 = Md5::new();
            for job in data.chunks(30_000 + usize::from(seed)) {
                let pieces = cut(job, &[usize::from(seed) * 11, 4096]);
                if seed % 5 == 0 {
                    // Somebody who leaves at once.
                    let left = lanes.update(md5.clone(), pieces.clone());
                    let mut left = Box::pin(left);
                    let _ = left.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                }
                md5 = lanes.update(md5, pieces).await.unwrap();
            }
            assert_eq!(md5.finish(), reference(&data), "stream {seed}");
        })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap();
    }
    assert!(lanes.mean_lanes() >= 1.0);
}
