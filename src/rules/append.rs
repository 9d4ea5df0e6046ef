//! Appending to an object: where the new bytes may begin, and what the whole is called then.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-append.html>

use md5::{Digest, Md5};
use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType, ETag};

use super::checksums;
use super::multipart::MAX_PARTS;
use super::refusal::{Code, Refusal, Result};

/// Reads `x-amz-write-offset-bytes`.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_offset(header: &str) -> Result<u64> {
    let digits = Some(header.trim()).filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let message = "The write offset must be the size of the object in bytes: a whole number.";
        Refusal::invalid_argument("x-amz-write-offset-bytes", header, message)
    })
}

/// Whether bytes may be written at `offset` of what is there: `None` is no object.
///
/// # Errors
/// `InvalidWriteOffset`.
pub fn check_offset(offset: u64, size: Option<u64>) -> Result<()> {
    let size = size.unwrap_or(0);
    if offset == size {
        return Ok(());
    }
    Err(Refusal::from(Code::InvalidWriteOffset)
        .with("WriteOffsetBytes", offset.to_string())
        .with("ObjectSize", size.to_string()))
}

/// How many parts an object with this entity tag and size has.
fn parts(etag: ETag, size: u64) -> u16 {
    etag.parts.unwrap_or(u16::from(size > 0))
}

/// The entity tag of an object with a part more. As on AWS's directory buckets it is not a digest of the bytes, but it
/// is another one after each append. Of two parts it is what an upload in these two parts would have.
///
/// # Errors
/// `TooManyParts`.
pub fn etag(object: ETag, size: u64, part: [u8; 16]) -> Result<ETag> {
    let count = parts(object, size);
    if count >= MAX_PARTS {
        return Err(Code::TooManyParts.into());
    }
    let mut digest = Md5::new();
    if count > 0 {
        digest.update(object.md5);
    }
    digest.update(part);
    Ok(ETag { md5: digest.finalize().into(), parts: Some(count + 1) })
}

/// Whether the object's checksum is one of all its bytes also after an append; else it is one of the parts' checksums.
#[must_use]
pub fn keeps_full_checksum(object: Option<&Checksum>) -> bool {
    object.is_some_and(|checksum| {
        checksum.kind == ChecksumType::FullObject && checksums::allows(checksum.algorithm, ChecksumType::FullObject)
    })
}

/// The checksum of all bytes from that of the object, and that of the new part with its length. `None` if they cannot
/// be combined: they are of different algorithms.
#[must_use]
pub fn combined(object: &Checksum, object_size: u64, part: &Checksum, part_size: u64) -> Option<Checksum> {
    if object.algorithm != part.algorithm {
        return None;
    }
    if object_size == 0 {
        return Some(part.clone());
    }
    let parts = [(object.value.as_slice(), object_size), (part.value.as_slice(), part_size)];
    checksums::of_parts(object.algorithm, ChecksumType::FullObject, parts)
}

/// The checksum of the parts' checksums. `None` if one of them has none of this algorithm.
#[must_use]
pub fn composite<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl IntoIterator<Item = (Option<&'a Checksum>, u64)>,
) -> Option<Checksum> {
    let of_each: Option<Vec<_>> = parts
        .into_iter()
        .map(|(checksum, size)| {
            let checksum = checksum.filter(|checksum| checksum.algorithm == algorithm)?;
            Some((checksum.value.as_slice(), size))
        })
        .collect();
    checksums::of_parts(algorithm, ChecksumType::Composite, of_each?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::checksums::ChecksumHasher;

    fn full(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(bytes);
        Checksum { algorithm, kind: ChecksumType::FullObject, value: hasher.finish() }
    }

    #[test]
    fn only_the_end_can_be_written_to() {
        assert!(check_offset(0, None).is_ok() && check_offset(0, Some(0)).is_ok() && check_offset(7, Some(7)).is_ok());
        for (offset, size) in [(1, None), (0, Some(7)), (8, Some(7)), (6, Some(7))] {
            assert_eq!(check_offset(offset, size).unwrap_err().code, Code::InvalidWriteOffset);
        }
        for bad in ["", "-1", "+1", "1.0", "x", "99999999999999999999"] {
            assert_eq!(parse_offset(bad).unwrap_err().code, Code::InvalidArgument, "{bad}");
        }
        assert_eq!(parse_offset(" 12 "), Ok(12));
    }

    #[test]
    fn an_entity_tag_counts_the_parts_up_to_the_limit() {
        let whole = ETag { md5: [1; 16], parts: None };
        let two = etag(whole, 1, [2; 16]).unwrap();
        assert_eq!(Some(two), crate::rules::etag::of_parts([[1; 16], [2; 16]]));
        assert_eq!(etag(whole, 0, [2; 16]).unwrap(), crate::rules::etag::of_parts([[2; 16]]).unwrap());
        let full = ETag { md5: [1; 16], parts: Some(10_000) };
        assert_eq!(etag(full, 1, [2; 16]).unwrap_err().code, Code::TooManyParts);
    }

    proptest! {
        #[test]
        fn a_combined_checksum_is_that_of_all_bytes(
            first in proptest::collection::vec(any::<u8>(), 0..300),
            second in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
                let sizes = (first.len() as u64, second.len() as u64);
                let joined = combined(&full(algorithm, &first), sizes.0, &full(algorithm, &second), sizes.1);
                prop_assert_eq!(joined, Some(full(algorithm, &[first.as_slice(), &second].concat())));
            }
        }
    }
}
