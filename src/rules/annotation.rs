//! Annotations of objects: names and limits.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/annotations-overview.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAnnotation.html>

use super::refusal::{Code, Refusal, Result};

/// Annotations that a version can have.
pub const MAX_ANNOTATIONS: usize = 1_000;
/// Bytes of a payload: 1 MiB.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// Bytes of a name.
const MAX_NAME_BYTES: usize = 512;
/// What names do not begin with, in any case of letters.
const RESERVED: [&str; 2] = ["aws", "s3"];

/// Whether an annotation may have this name.
///
/// # Errors
/// `AnnotationNameTooLong`, `InvalidAnnotationName`.
pub fn check_name(name: &str) -> Result<()> {
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::from(Code::AnnotationNameTooLong).with("AnnotationNameLength", name.len().to_string()));
    }
    let reserved = |start: &&str| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    let why = if name.is_empty() {
        "it must have 1 to 512 bytes"
    } else if RESERVED.iter().any(reserved) {
        "it must not begin with aws or s3"
    } else if name.chars().any(char::is_control) {
        "it must not have control characters"
    } else {
        return Ok(());
    };
    let message = format!("The annotation name you provided is invalid: {why}.");
    Err(Refusal::new(Code::InvalidAnnotationName, message).with("AnnotationName", printable(name)))
}

/// Whether names can begin with this.
///
/// # Errors
/// `InvalidPrefix`.
pub fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.len() > MAX_NAME_BYTES || prefix.chars().any(char::is_control) {
        return Err(Code::InvalidPrefix.into());
    }
    Ok(())
}

/// Whether a payload may be stored.
///
/// # Errors
/// `InvalidRequest` for an empty one, `EntityTooLarge`, `UnsupportedMediaType` for what is not UTF-8.
pub fn check_payload(payload: &[u8]) -> Result<()> {
    if payload.is_empty() {
        return Err(Refusal::invalid_request("An annotation's payload must have 1 byte to 1 MiB."));
    }
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(too_large());
    }
    std::str::from_utf8(payload).map_err(|_| Code::UnsupportedMediaType)?;
    Ok(())
}

/// `EntityTooLarge`, with the limit.
#[must_use]
pub fn too_large() -> Refusal {
    Refusal::from(Code::EntityTooLarge).with("MaxSizeAllowed", MAX_PAYLOAD_BYTES.to_string())
}

fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_limits() {
        for good in ["a", "labels/ai.json", "été", &"n".repeat(512), "my-aws", "S"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for (bad, code) in [
            (String::new(), Code::InvalidAnnotationName),
            ("AWS-thing".to_owned(), Code::InvalidAnnotationName),
            ("s3x".to_owned(), Code::InvalidAnnotationName),
            ("a\u{1}b".to_owned(), Code::InvalidAnnotationName),
            ("n".repeat(513), Code::AnnotationNameTooLong),
        ] {
            assert_eq!(check_name(&bad).unwrap_err().code, code, "{bad}");
        }
        assert_eq!(check_prefix(&"p".repeat(513)).unwrap_err().code, Code::InvalidPrefix);
        assert_eq!(check_prefix("s3"), Ok(()));
    }

    #[test]
    fn payloads_are_text_of_up_to_a_mebibyte() {
        assert_eq!(check_payload("é".as_bytes()), Ok(()));
        assert_eq!(check_payload(&vec![b'x'; MAX_PAYLOAD_BYTES]), Ok(()));
        assert_eq!(check_payload(b"").unwrap_err().code, Code::InvalidRequest);
        assert_eq!(check_payload(&vec![b'x'; MAX_PAYLOAD_BYTES + 1]).unwrap_err().code, Code::EntityTooLarge);
        assert_eq!(check_payload(b"\xff").unwrap_err().code, Code::UnsupportedMediaType);
    }
}
