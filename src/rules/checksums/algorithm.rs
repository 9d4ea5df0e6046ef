//! The algorithms: names, lengths, and which type of checksum each can give an object in parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType};

/// What S3 computes where the client sent no checksum.
pub const DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// Every algorithm.
pub const ALGORITHMS: [ChecksumAlgorithm; 10] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Sha512,
    ChecksumAlgorithm::Md5,
    ChecksumAlgorithm::Xxhash64,
    ChecksumAlgorithm::Xxhash3,
    ChecksumAlgorithm::Xxhash128,
];

/// The name in S3's XML, `x-amz-checksum-algorithm` and `x-amz-sdk-checksum-algorithm`.
#[must_use]
pub const fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
        ChecksumAlgorithm::Sha512 => "SHA512",
        ChecksumAlgorithm::Md5 => "MD5",
        ChecksumAlgorithm::Xxhash64 => "XXHASH64",
        ChecksumAlgorithm::Xxhash3 => "XXHASH3",
        ChecksumAlgorithm::Xxhash128 => "XXHASH128",
    }
}

/// The header or trailer that carries the value.
#[must_use]
pub const fn header(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        ChecksumAlgorithm::Sha512 => "x-amz-checksum-sha512",
        ChecksumAlgorithm::Md5 => "x-amz-checksum-md5",
        ChecksumAlgorithm::Xxhash64 => "x-amz-checksum-xxhash64",
        ChecksumAlgorithm::Xxhash3 => "x-amz-checksum-xxhash3",
        ChecksumAlgorithm::Xxhash128 => "x-amz-checksum-xxhash128",
    }
}

/// The algorithm whose value this header carries.
#[must_use]
pub fn algorithm_of_header(text: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.into_iter().find(|algorithm| header(*algorithm).eq_ignore_ascii_case(text))
}

/// The algorithm of this name, in any case of letters.
#[must_use]
pub fn parse_algorithm(text: &str) -> Option<ChecksumAlgorithm> {
    ALGORITHMS.into_iter().find(|algorithm| name(*algorithm).eq_ignore_ascii_case(text))
}

/// How many bytes a digest has.
#[must_use]
pub const fn digest_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme | ChecksumAlgorithm::Xxhash64 | ChecksumAlgorithm::Xxhash3 => 8,
        ChecksumAlgorithm::Md5 | ChecksumAlgorithm::Xxhash128 => 16,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
        ChecksumAlgorithm::Sha512 => 64,
    }
}

/// Whether an object in parts may have a checksum of this type. CRCs of parts combine into that of the whole, other
/// hashes do not; CRC64NVME is always one of the whole.
#[must_use]
pub const fn allows(algorithm: ChecksumAlgorithm, kind: ChecksumType) -> bool {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => true,
        ChecksumAlgorithm::Crc64Nvme => matches!(kind, ChecksumType::FullObject),
        _ => matches!(kind, ChecksumType::Composite),
    }
}

/// The type that an object in parts gets where the client names none.
#[must_use]
pub const fn default_type(algorithm: ChecksumAlgorithm) -> ChecksumType {
    if allows(algorithm, ChecksumType::Composite) { ChecksumType::Composite } else { ChecksumType::FullObject }
}

/// The type's name in S3's XML and headers.
#[must_use]
pub const fn type_name(kind: ChecksumType) -> &'static str {
    match kind {
        ChecksumType::FullObject => "FULL_OBJECT",
        ChecksumType::Composite => "COMPOSITE",
    }
}

/// Reads a digest in base64. `None` if it is not base64 or not of the algorithm's length.
#[must_use]
pub fn decode(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok().filter(|digest| digest.len() == digest_bytes(algorithm))
}

/// A checksum as S3 shows it: base64, and for a composite one the number of `parts` behind it.
#[must_use]
pub fn encode(checksum: &Checksum, parts: Option<u16>) -> String {
    let digest = STANDARD.encode(&checksum.value);
    match (checksum.kind, parts) {
        (ChecksumType::Composite, Some(parts)) => format!("{digest}-{parts}"),
        _ => digest,
    }
}
