//! An archive that is unpacked on upload: what its entries are called in the bucket, and how many there may be.
//!
//! The headers are MinIO's: <https://github.com/minio/minio-go/blob/master/api-putobject-snowball.go>.

use super::object_key;
use super::refusal::{Refusal, Result};

/// Entries of one archive.
pub const MAX_ENTRIES: usize = 100_000;
/// Bytes of an entry's long name, or of its further headers.
pub const MAX_HEADER_BYTES: u64 = 16 << 10;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacking {
    /// What every key begins with, before a slash.
    pub prefix: String,
    /// Whether folders make no objects.
    pub ignores_folders: bool,
    /// Whether an entry that cannot be stored is passed over.
    pub ignores_errors: bool,
}

/// The key of an entry; `None` for one that has no name but the archive's own folder.
///
/// # Errors
/// `InvalidRequest` for a name that climbs out of the archive or is no text; what keys may not be.
pub fn key_of(prefix: &str, name: &[u8], is_folder: bool) -> Result<Option<String>> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Err(Refusal::invalid_request("The archive has an entry whose name is not UTF-8."));
    };
    let mut parts = Vec::new();
    for part in prefix.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                return Err(Refusal::invalid_request("The archive has an entry whose name leads out of it."));
            }
            part if part.chars().any(char::is_control) || part.contains('\\') => {
                return Err(Refusal::invalid_request(
                    "The archive has an entry whose name has control characters or backslashes.",
                ));
            }
            part => parts.push(part),
        }
    }
    if name.split('/').all(|part| matches!(part, "" | ".")) {
        return Ok(None);
    }
    let key = if is_folder { format!("{}/", parts.join("/")) } else { parts.join("/") };
    object_key::check(&key)?;
    Ok(Some(key))
}

/// The path in the further headers of an entry (POSIX 1003.1-2001, pax): records of length, name and value.
#[must_use]
pub fn pax_path(mut records: &[u8]) -> Option<Vec<u8>> {
    let mut path = None;
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?;
        let record = record.strip_suffix(b"\n")?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        }
        records = records.get(length..)?;
    }
    path
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_become_keys_below_the_prefix() {
        let key =
            |prefix, name: &str, folder| key_of(prefix, name.as_bytes(), folder).map_err(|error| error.code.as_str());
        assert_eq!(key("", "./a//b", false), Ok(Some("a/b".to_owned())));
        assert_eq!(key("/p/q/", "/a", false), Ok(Some("p/q/a".to_owned())));
        assert_eq!(key("p", "d/", true), Ok(Some("p/d/".to_owned())));
        assert_eq!(key("p", "./", true), Ok(None));
        for bad in ["../a", "a/../../b", "a/..", "a\\..\\b", "a\nb"] {
            assert_eq!(key("p", bad, false), Err("InvalidRequest"), "{bad}");
        }
        assert_eq!(key("..", "a", false), Err("InvalidRequest"));
        assert_eq!(key("", &"k".repeat(1_025), false), Err("KeyTooLongError"));
        assert!(key_of("", b"\xff", false).is_err());
    }

    #[test]
    fn a_long_path_is_found_among_further_headers() {
        assert_eq!(pax_path(b"20 atime=1234567890\n12 path=a/b\n").as_deref(), Some(b"a/b".as_slice()));
        assert_eq!(pax_path(b"12 mtime=1.0\n"), None);
        assert_eq!(pax_path(b"99 path=a\n"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = pax_path(&bytes);
            if let Ok(Some(key)) = key_of("p", &bytes, false) {
                prop_assert!(key.starts_with("p/") && !key.split('/').any(|part| part == ".." || part.is_empty()));
            }
        }
    }
}
