//! The server's key, under which secrets at rest are sealed: 32 bytes in hexadecimal in a file of its own.

#![allow(clippy::disallowed_methods, reason = "a small file of the operator's, read or written once at start")]

use std::fs::File;
use std::io;
use std::path::Path;

use super::sealer::SERVER_KEY_BYTES;
use crate::secret_file;

/// The file in the first data directory, unless another is configured.
const FILE_NAME: &str = "server.key";

/// The server's key. It prints as nothing.
pub struct ServerKey([u8; SERVER_KEY_BYTES]);

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(…)")
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("the server's key in {path}: {reason}")]
pub struct ServerKeyError {
    path: String,
    reason: String,
}

impl ServerKey {
    /// Reads the key from the configured file, which must exist; else from the file in the first data directory, which
    /// the first start writes.
    ///
    /// # Errors
    /// If a file cannot be read or written, or does not hold a key.
    pub fn obtain(configured: Option<&Path>, data_directory: &Path) -> Result<Self, ServerKeyError> {
        let path = configured.map_or_else(|| data_directory.join(FILE_NAME), Path::to_owned);
        let unusable = |reason: String| ServerKeyError { path: path.display().to_string(), reason };
        match File::open(&path) {
            Ok(file) => read(&path, file).map_err(unusable),
            Err(error) if error.kind() == io::ErrorKind::NotFound && configured.is_none() => {
                let mut key = [0; SERVER_KEY_BYTES];
                getrandom::fill(&mut key)
                    .map_err(|error| unusable(format!("the system gives no random numbers: {error}")))?;
                write(&path, &key).map_err(|error| unusable(error.to_string()))?;
                Ok(Self(key))
            }
            Err(error) => Err(unusable(error.to_string())),
        }
    }

    /// The key itself, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8; SERVER_KEY_BYTES] {
        &self.0
    }
}

fn read(path: &Path, file: File) -> Result<ServerKey, String> {
    let text = secret_file::read(path, file, "the server's key").map_err(|error| error.to_string())?;
    let mut key = [0; SERVER_KEY_BYTES];
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    hex::decode_to_slice(line.trim(), &mut key).map_err(|_| {
        format!(
            "must hold {} hexadecimal digits; restore the file that the secrets were sealed with",
            SERVER_KEY_BYTES * 2
        )
    })?;
    Ok(ServerKey(key))
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let text = format!(
        "# Cairn's key: access keys' secrets in the index are sealed with it. Keep a copy apart from the data;\n\
         # without it the secrets of users' access keys cannot be read.\n{}\n",
        hex::encode(key)
    );
    secret_file::write(path, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_later_starts_find() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = directory.path().join("not/yet/there");
        let first = ServerKey::obtain(None, &data).expect("made");
        let mode = fs::metadata(data.join("server.key")).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).expect("listed").count(), 1, "nothing else is left behind");
        assert_eq!(ServerKey::obtain(None, &data).expect("found").expose(), first.expose());
        assert_eq!(format!("{first:?}"), "ServerKey(…)");
    }

    #[test]
    fn a_configured_file_must_exist_and_hold_a_key() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("key");
        let error = ServerKey::obtain(Some(&path), directory.path()).expect_err("absent").to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        fs::write(&path, "deadbeef\n").expect("write");
        let error = ServerKey::obtain(Some(&path), directory.path()).expect_err("short").to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("deadbeef"), "{error}");
        fs::write(&path, format!("# comment\n{}\n", "0a".repeat(32))).expect("write");
        assert_eq!(ServerKey::obtain(Some(&path), directory.path()).expect("read").expose(), &[10; 32]);
    }
}
