//! The checksum of an object in parts.

use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType};

use super::declared::algorithm_mismatch;
use super::hasher::combine;
use super::{ChecksumHasher, DEFAULT, allows, decode, default_type, encode, header, name, parse_algorithm, type_name};
use crate::rules::refusal::{Code, Refusal, Result};

/// What `CreateMultipartUpload` declares: `x-amz-checksum-algorithm` and `x-amz-checksum-type`. `None` if it declares
/// nothing. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>
///
/// # Errors
/// `InvalidRequest`: an unknown algorithm or type, a type without an algorithm, a type that the algorithm cannot give.
pub fn of_upload(algorithm: Option<&str>, kind: Option<&str>) -> Result<Option<(ChecksumAlgorithm, ChecksumType)>> {
    let kind = kind.map(parse_type).transpose()?;
    let Some(text) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Refusal::invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let algorithm = parse_algorithm(text.trim()).ok_or_else(|| {
        Refusal::invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]",
        )
    })?;
    let kind = kind.unwrap_or_else(|| default_type(algorithm));
    if !allows(algorithm, kind) {
        let (kind, algorithm) = (type_name(kind), name(algorithm).to_ascii_lowercase());
        return Err(Refusal::invalid_request(format!(
            "The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        )));
    }
    Ok(Some((algorithm, kind)))
}

fn parse_type(text: &str) -> Result<ChecksumType> {
    [ChecksumType::FullObject, ChecksumType::Composite]
        .into_iter()
        .find(|kind| type_name(*kind) == text.trim())
        .ok_or_else(|| Refusal::invalid_request("Value for x-amz-checksum-type header is invalid."))
}

/// What an upload's object will have: what it was created with, else a CRC64NVME of the whole.
#[must_use]
pub fn effective(upload: Option<(ChecksumAlgorithm, ChecksumType)>) -> (ChecksumAlgorithm, ChecksumType) {
    upload.unwrap_or((DEFAULT, ChecksumType::FullObject))
}

/// The checksum of an object from its parts' digests and sizes, in order. `None` if there are no parts, or if they
/// cannot give a checksum of this algorithm and type.
#[must_use]
pub fn of_parts<'a>(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumType,
    parts: impl IntoIterator<Item = (&'a [u8], u64)>,
) -> Option<Checksum> {
    let mut parts = parts.into_iter();
    let (first, _) = parts.next()?;
    let value = match kind {
        ChecksumType::Composite => {
            let mut hasher = ChecksumHasher::new(algorithm);
            hasher.update(first);
            parts.for_each(|(digest, _)| hasher.update(digest));
            hasher.finish()
        }
        ChecksumType::FullObject => parts.try_fold(first.to_vec(), |whole, (digest, size)| {
            // A part without bytes changes nothing, and combining over no bytes is not defined.
            if size == 0 { Some(whole) } else { combine(algorithm, &whole, digest, size) }
        })?,
    };
    Some(Checksum { algorithm, kind, value })
}

/// What `CompleteMultipartUpload` claims about the object's checksum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claimed<'a> {
    /// `x-amz-checksum-type`.
    pub kind: Option<&'a str>,
    /// The one `x-amz-checksum-<algorithm>` header that came, if any.
    pub value: Option<(ChecksumAlgorithm, &'a str)>,
}

/// Compares a completion's claims with the checksum computed from its `parts` parts.
///
/// # Errors
/// `InvalidRequest` for another type or algorithm than the upload's or a value that is none; `BadDigest` for a value
/// that differs.
pub fn check_completed(claimed: Claimed<'_>, computed: &Checksum, parts: u16) -> Result<()> {
    if let Some(kind) = claimed.kind
        && parse_type(kind)? != computed.kind
    {
        let kind = type_name(computed.kind);
        return Err(Refusal::invalid_request(format!(
            "The upload was created using the {kind} checksum mode. The complete request must use the same checksum mode."
        )));
    }
    let Some((algorithm, text)) = claimed.value else { return Ok(()) };
    if algorithm != computed.algorithm {
        return Err(algorithm_mismatch(computed.algorithm, Some(algorithm)));
    }
    let text = text.trim();
    if text == encode(computed, Some(parts)) {
        return Ok(());
    }
    // A composite value may come without the number of parts; with a wrong one it is wrong.
    let digest = match (computed.kind, text.rsplit_once('-')) {
        (ChecksumType::Composite, Some((digest, count))) if count.bytes().all(|byte| byte.is_ascii_digit()) => digest,
        _ => text,
    };
    let value = decode(algorithm, digest)
        .ok_or_else(|| Refusal::invalid_request(format!("Value for {} header is invalid.", header(algorithm))))?;
    if digest.len() == text.len() && value == computed.value {
        return Ok(());
    }
    let algorithm = name(algorithm).to_ascii_lowercase();
    Err(Refusal::new(Code::BadDigest, format!("The {algorithm} you specified did not match the calculated checksum.")))
}
