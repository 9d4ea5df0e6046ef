//! What an object may say about itself: user metadata and storage class.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>

use super::refusal::{Code, Refusal, Result};

/// The most user metadata, in bytes: 2 KB, counting each name (without `x-amz-meta-`) and each value.
pub const MAX_USER_METADATA_BYTES: usize = 2 * 1024;
/// The most that the headers which an object keeps may hold, names and values, in bytes: S3 allows a PUT's headers 8 KB
/// in all.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Whether an object may have this user metadata.
///
/// # Errors
/// `MetadataTooLarge`.
pub fn check_user_metadata(metadata: &[(String, String)]) -> Result<()> {
    at_most(MAX_USER_METADATA_BYTES, metadata)
}

/// Whether an object may keep these headers: `content-type` and the like.
///
/// # Errors
/// `MetadataTooLarge`.
pub fn check_headers(headers: &[(String, String)]) -> Result<()> {
    at_most(MAX_HEADER_BYTES, headers)
}

fn at_most(max: usize, fields: &[(String, String)]) -> Result<()> {
    let size: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size <= max {
        return Ok(());
    }
    Err(Refusal::from(Code::MetadataTooLarge).with("Size", size.to_string()).with("MaxSizeAllowed", max.to_string()))
}

/// The storage class of an object that names none.
pub const STANDARD: &str = "STANDARD";

/// The classes that an object may name beside [`STANDARD`]. They are kept and shown; all objects are stored alike. Not
/// among them are those of other kinds of buckets (`EXPRESS_ONEZONE`, `OUTPOSTS`, `SNOW`, `FSX_OPENZFS` …).
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
const CLASSES: [&str; 7] =
    ["REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR"];

/// Reads `x-amz-storage-class`. `None` is [`STANDARD`].
///
/// # Errors
/// `InvalidStorageClass`.
pub fn storage_class(header: Option<&str>) -> Result<Option<&'static str>> {
    match header {
        None | Some(STANDARD) => Ok(None),
        Some(text) => CLASSES
            .into_iter()
            .find(|class| *class == text)
            .map(Some)
            .ok_or_else(|| Refusal::from(Code::InvalidStorageClass).with("StorageClassRequested", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: usize, value: usize) -> (String, String) {
        ("n".repeat(name), "v".repeat(value))
    }

    #[test]
    fn user_metadata_is_counted_in_bytes_of_names_and_values() {
        assert_eq!(check_user_metadata(&[]), Ok(()));
        assert_eq!(check_user_metadata(&[field(48, 1_000), field(100, 900)]), Ok(()));
        let refusal = check_user_metadata(&[field(49, 1_000), field(100, 900)]).unwrap_err();
        assert_eq!((refusal.code, refusal.detail("Size")), (Code::MetadataTooLarge, Some("2049")));
        let wide = [("n".to_owned(), "é".repeat(1_024))];
        assert!(check_user_metadata(&wide).is_err());
        assert_eq!(check_headers(&[field(0, 8_192)]), Ok(()));
        assert!(check_headers(&[field(1, 8_192)]).is_err());
    }

    #[test]
    fn storage_classes() {
        assert_eq!(storage_class(None), Ok(None));
        assert_eq!(storage_class(Some("STANDARD")), Ok(None));
        assert_eq!(storage_class(Some("GLACIER_IR")), Ok(Some("GLACIER_IR")));
        for bad in ["", "standard", "EXPRESS_ONEZONE", "OUTPOSTS", "ABC"] {
            let refusal = storage_class(Some(bad)).unwrap_err();
            assert_eq!((refusal.code, refusal.detail("StorageClassRequested")), (Code::InvalidStorageClass, Some(bad)));
        }
    }
}
