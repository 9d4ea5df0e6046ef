//! One hasher for all algorithms.

use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use storage::index::records::ChecksumAlgorithm;
use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh64::Xxh64;

/// Computes a checksum over bytes as they come. Digests are big endian, as S3 sends them.
pub struct ChecksumHasher {
    state: State,
}

enum State {
    Crc32(Crc),
    Crc64(Crc),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Box<Sha512>),
    Md5(Md5),
    Xxh64(Xxh64),
    Xxh3(Box<Xxh3>),
    Xxh128(Box<Xxh3>),
}

impl ChecksumHasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => State::Crc32(Crc::new(CrcAlgorithm::Crc32IsoHdlc)),
            ChecksumAlgorithm::Crc32c => State::Crc32(Crc::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumAlgorithm::Crc64Nvme => State::Crc64(Crc::new(CrcAlgorithm::Crc64Nvme)),
            ChecksumAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(Box::default()),
            ChecksumAlgorithm::Md5 => State::Md5(Md5::new()),
            ChecksumAlgorithm::Xxhash64 => State::Xxh64(Xxh64::new(0)),
            ChecksumAlgorithm::Xxhash3 => State::Xxh3(Box::default()),
            ChecksumAlgorithm::Xxhash128 => State::Xxh128(Box::default()),
        };
        Self { state }
    }

    /// The digest of `data`.
    #[must_use]
    pub fn digest(algorithm: ChecksumAlgorithm, data: &[u8]) -> Vec<u8> {
        let mut hasher = Self::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc32(crc) | State::Crc64(crc) => crc.update(data),
            State::Sha1(sha) => sha.update(data),
            State::Sha256(sha) => sha.update(data),
            State::Sha512(sha) => sha.update(data),
            State::Md5(md5) => md5.update(data),
            State::Xxh64(xxh) => xxh.update(data),
            State::Xxh3(xxh) | State::Xxh128(xxh) => xxh.update(data),
        }
    }

    /// The digest of all bytes taken in.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Crc32(crc) => crc32_bytes(crc.finalize()),
            State::Crc64(crc) => crc.finalize().to_be_bytes().to_vec(),
            State::Sha1(sha) => sha.finalize().to_vec(),
            State::Sha256(sha) => sha.finalize().to_vec(),
            State::Sha512(sha) => sha.finalize().to_vec(),
            State::Md5(md5) => md5.finalize().to_vec(),
            State::Xxh64(xxh) => xxh.digest().to_be_bytes().to_vec(),
            State::Xxh3(xxh) => xxh.digest().to_be_bytes().to_vec(),
            State::Xxh128(xxh) => xxh.digest128().to_be_bytes().to_vec(),
        }
    }
}

/// A CRC of 32 bits as `crc-fast` returns it, in the lower half.
fn crc32_bytes(value: u64) -> Vec<u8> {
    value.to_be_bytes()[4..].to_vec()
}

/// The CRC of two stretches of bytes together, from the CRC of each and the length of the second. `None` where the
/// algorithm is no CRC, or a digest is not one of it.
pub(super) fn combine(algorithm: ChecksumAlgorithm, first: &[u8], second: &[u8], second_bytes: u64) -> Option<Vec<u8>> {
    let crc = match algorithm {
        ChecksumAlgorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        ChecksumAlgorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ChecksumAlgorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        _ => return None,
    };
    let length = super::digest_bytes(algorithm);
    let number = |digest: &[u8]| {
        (digest.len() == length).then(|| digest.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let combined = crc_fast::checksum_combine(crc, number(first)?, number(second)?, second_bytes);
    Some(combined.to_be_bytes()[8 - length..].to_vec())
}
