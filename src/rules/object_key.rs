//! What an object may be called: any UTF-8 of 1 to 1024 bytes.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>

use super::refusal::{Code, Refusal, Result};

/// The longest key, in bytes of UTF-8.
pub const MAX_BYTES: usize = 1024;

/// Whether an object may have this key. Control characters, slashes, dots: a key is a name, not a path, and all of
/// them are allowed.
///
/// # Errors
/// `KeyTooLongError`; `InvalidRequest` for no key.
pub fn check(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Refusal::invalid_request("A key must be specified."));
    }
    if key.len() > MAX_BYTES {
        return Err(Refusal::from(Code::KeyTooLongError)
            .with("Size", key.len().to_string())
            .with("MaxSizeAllowed", MAX_BYTES.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_in_bytes() {
        for good in ["a", "/", "..", "a\0b", "日本", &"a".repeat(1024), &"é".repeat(512)] {
            assert_eq!(check(good), Ok(()));
        }
        let refusal = check(&"é".repeat(513)).unwrap_err();
        assert_eq!((refusal.code, refusal.detail("Size")), (Code::KeyTooLongError, Some("1026")));
        assert_eq!(check("").unwrap_err().code, Code::InvalidRequest);
    }
}
