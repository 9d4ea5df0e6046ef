//! A keyring: the keys of this server in a file, each with its versions.
//!
//! A line is a key's name, a version and 32 bytes in base64, between spaces. The greatest version of a name wraps, all
//! of them unwrap; so a key is rotated by a line with the next version, and a line that goes makes exactly the objects
//! unreadable whose data keys it wrapped. Lines that begin with `#` are for people.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{DataKey, KEY_BYTES, KeyError, KeyService, Wrapped};
use crate::secret_file;

/// The key of SSE-S3.
pub const SSE_S3: &str = "sse-s3";
/// The key of SSE-KMS where none is named.
pub const DEFAULT_KMS: &str = "aws/s3";

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
#[error("the keyring {path}: {reason}")]
pub struct KeyringError {
    path: String,
    reason: String,
}

/// Keys by name and version. It prints as its names.
pub struct Keyring(BTreeMap<String, BTreeMap<u32, DataKey>>);

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Keyring {
    /// Reads the keyring in this file. If there is none, and `create` says so, a new one with the two keys that names
    /// stand for by default is written there.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no keyring.
    pub fn obtain(path: &Path, create: bool) -> Result<Self, KeyringError> {
        let unusable = |reason: String| KeyringError { path: path.display().to_string(), reason };
        match open(path) {
            Ok(file) => {
                let text = secret_file::read(path, file, "the keyring").map_err(|error| unusable(error.to_string()))?;
                Self::parse(&Zeroizing::new(text)).map_err(unusable)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let text = Self::generate().map_err(|error| unusable(error.to_string()))?;
                secret_file::write(path, &text).map_err(|error| unusable(error.to_string()))?;
                Self::parse(&text).map_err(unusable)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unusable(
                "is not there; give the file that objects were encrypted with, or set encryption.create_keyring for a first start"
                    .to_owned(),
            )),
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    fn generate() -> Result<Zeroizing<String>, KeyError> {
        let mut text = String::from(
            "# Cairn's keyring: objects are encrypted under these keys. Keep a copy apart from the data; without it they\n\
             # cannot be read. A key is rotated by a further line with the next version.\n",
        );
        for name in [SSE_S3, DEFAULT_KMS] {
            let key = DataKey::random()?;
            text.extend([name, " 1 ", STANDARD.encode(key.expose()).as_str(), "\n"]);
        }
        Ok(Zeroizing::new(text))
    }

    /// Reads a keyring's text.
    ///
    /// # Errors
    /// What is wrong with which line; no key is ever part of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: BTreeMap<String, BTreeMap<u32, DataKey>> = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<_> = line.split_whitespace().collect();
            let [name, version, key] = fields.as_slice() else {
                return Err(format!("line {number} is not a name, a version and a key"));
            };
            let version = version.parse::<u32>().ok().filter(|version| *version > 0);
            let version = version.ok_or_else(|| format!("line {number}: the version is no number from 1"))?;
            let bytes = STANDARD.decode(key).ok().map(Zeroizing::new);
            let bytes = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok());
            let bytes = bytes.ok_or_else(|| format!("line {number}: the key is not {KEY_BYTES} bytes in base64"))?;
            if keys.entry((*name).to_owned()).or_default().insert(version, DataKey::new(bytes)).is_some() {
                return Err(format!("line {number}: {name} has version {version} already"));
            }
        }
        if keys.is_empty() { Err("holds no key".to_owned()) } else { Ok(Self(keys)) }
    }

    fn version(&self, name: &str, version: u32) -> Option<&DataKey> {
        self.0.get(name)?.get(&version)
    }
}

#[allow(clippy::disallowed_methods, reason = "a small file of the operator's, read or written once at start")]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[async_trait::async_trait]
impl KeyService for Keyring {
    async fn wrap(&self, key: &str, context: &[u8], data_key: &DataKey) -> Result<Wrapped, KeyError> {
        let newest = self.0.get(key).and_then(BTreeMap::last_key_value);
        let (version, master) = newest.ok_or_else(|| KeyError::Unknown(key.to_owned()))?;
        Ok(Wrapped { version: *version, bytes: data_key.wrap(master, context)? })
    }

    async fn unwrap(&self, key: &str, context: &[u8], wrapped: &Wrapped) -> Result<DataKey, KeyError> {
        let master = self.version(key, wrapped.version);
        let master = master.ok_or_else(|| KeyError::Unknown(format!("{key}, version {}", wrapped.version)))?;
        master.unwrap_key(&wrapped.bytes, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, version: u32, byte: u8) -> String {
        format!("{name} {version} {}\n", STANDARD.encode([byte; KEY_BYTES]))
    }

    #[tokio::test]
    async fn the_newest_version_wraps_and_all_unwrap() {
        let data = DataKey::new([9; KEY_BYTES]);
        let old = Keyring::parse(&line(SSE_S3, 1, 1)).expect("a keyring");
        let wrapped = old.wrap(SSE_S3, b"c", &data).await.expect("wraps");
        let rotated = Keyring::parse(&[line(SSE_S3, 2, 2), line(SSE_S3, 1, 1)].concat()).expect("a keyring");
        assert_eq!(rotated.unwrap(SSE_S3, b"c", &wrapped).await.expect("opens").expose(), data.expose());
        assert_eq!(rotated.wrap(SSE_S3, b"c", &data).await.expect("wraps").version, 2);
        let lost = Keyring::parse(&line(SSE_S3, 2, 2)).expect("a keyring");
        let error = lost.unwrap(SSE_S3, b"c", &wrapped).await.expect_err("lost");
        assert_eq!(error, KeyError::Unknown("sse-s3, version 1".to_owned()));
        assert_eq!(lost.wrap("other", b"c", &data).await.expect_err("unknown"), KeyError::Unknown("other".to_owned()));
    }

    #[test]
    fn what_is_no_keyring_says_where_and_never_what() {
        for text in
            ["", "# nothing\n", "a 1\n", "a 0 x\n", "a 1 c2VjcmV0\n", &[line("a", 1, 1), line("a", 1, 2)].concat()]
        {
            let error = Keyring::parse(text).expect_err(text);
            assert!(!error.contains("c2VjcmV0") && !error.contains(&STANDARD.encode([2; KEY_BYTES])), "{error}");
        }
    }

    #[test]
    fn a_keyring_is_made_when_asked_for_and_found_again() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("keyring");
        assert!(Keyring::obtain(&path, false).expect_err("absent").to_string().contains("create_keyring"));
        let made = Keyring::obtain(&path, true).expect("made");
        let found = Keyring::obtain(&path, true).expect("found");
        let key = |keyring: &Keyring| keyring.version(SSE_S3, 1).expect("a key").expose().to_vec();
        assert_eq!(key(&made), key(&found));
        assert_eq!(format!("{made:?}"), "[\"aws/s3\", \"sse-s3\"]");
    }
}
