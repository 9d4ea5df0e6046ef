//! Where root's access key comes from: the environment, files named there, or a file beside the data that the
//! first start writes.

#![allow(clippy::disallowed_methods, reason = "a small file of the operator's, read at start and on demand")]

use super::{AccessKey, AccountError, SecretKey};
use crate::config::Environment;
use crate::secret_file;
use serde::Deserialize;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const ACCESS_KEY_ID: &str = "CAIRN_ROOT_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "CAIRN_ROOT_SECRET_ACCESS_KEY";

/// The file in the first data directory.
const FILE_NAME: &str = "root-credentials.toml";

/// The alphabet of AWS's access key ids.
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// AWS's secrets also have '/' and '+', which need escaping in URLs and confuse shells and people.
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Root's access key and how it was obtained.
#[derive(Debug)]
pub struct RootKey {
    /// What root signs with.
    pub key: AccessKey,
    /// For the operator: where to look it up or change it.
    pub origin: RootKeyOrigin,
}

/// How root's access key was obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootKeyOrigin {
    /// Given in the environment, or in files that it names.
    Environment,
    /// Read from the file that an earlier start wrote.
    File(PathBuf),
    /// Generated just now and written to this file; to be shown once.
    Generated(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    access_key_id: String,
    secret_access_key: String,
}

impl RootKey {
    /// Takes the key from the environment, else from the file in `data_directory`, else generates it there.
    ///
    /// # Errors
    /// If half a key is given, a value is malformed, or a file cannot be read or written.
    pub fn obtain(environment: &Environment, data_directory: &Path) -> Result<Self, AccountError> {
        match key_of(environment)? {
            Some(key) => Ok(Self { key, origin: RootKeyOrigin::Environment }),
            None => Self::stored_or_generated(&data_directory.join(FILE_NAME)),
        }
    }

    /// The key as it is now, from where [`RootKey::obtain`] took it; none is generated.
    ///
    /// # Errors
    /// As [`RootKey::obtain`], and if there is no file.
    pub fn read_again(environment: &Environment, data_directory: &Path) -> Result<AccessKey, AccountError> {
        if let Some(key) = key_of(environment)? {
            return Ok(key);
        }
        let path = data_directory.join(FILE_NAME);
        let file = File::open(&path).map_err(|error| unusable(&path, error))?;
        read_stored(&path, file)
    }

    fn stored_or_generated(path: &Path) -> Result<Self, AccountError> {
        match File::open(path) {
            Ok(file) => Ok(Self { key: read_stored(path, file)?, origin: RootKeyOrigin::File(path.to_owned()) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = generate()?;
                write_stored(path, &key).map_err(|error| unusable(path, error))?;
                Ok(Self { key, origin: RootKeyOrigin::Generated(path.to_owned()) })
            }
            Err(error) => Err(unusable(path, error)),
        }
    }
}

/// The key that the environment gives, or files that it names.
fn key_of(environment: &Environment) -> Result<Option<AccessKey>, AccountError> {
    match (given(environment, ACCESS_KEY_ID)?, given(environment, SECRET_ACCESS_KEY)?) {
        (Some(id), Some(secret)) => AccessKey::new(id, SecretKey::new(secret)).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) => Err(half_given(ACCESS_KEY_ID, SECRET_ACCESS_KEY)),
        (None, Some(_)) => Err(half_given(SECRET_ACCESS_KEY, ACCESS_KEY_ID)),
    }
}

fn half_given(present: &str, missing: &str) -> AccountError {
    AccountError::RootKey(format!("{present} is set but {missing} is not (each may be given as …_FILE instead)"))
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> AccountError {
    AccountError::RootKey(format!("root credentials in {}: {reason}", path.display()))
}

/// The variable's value, or the first line of the file that the `_FILE` variable names.
fn given(environment: &Environment, name: &str) -> Result<Option<String>, AccountError> {
    let file_variable = format!("{name}_FILE");
    match (environment.get(name), environment.get(&file_variable)) {
        (Some(_), Some(_)) => Err(AccountError::RootKey(format!("{name} and {file_variable} are both set; keep one"))),
        (Some(value), None) => Ok(Some(value.to_owned())),
        (None, Some(path)) => {
            let unusable = |reason: String| AccountError::RootKey(format!("{file_variable}={path}: {reason}"));
            let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
            let text = secret_file::read_small(file).map_err(|error| unusable(error.to_string()))?;
            // Editors and `echo` end the line; the secret itself never holds a line break.
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

fn read_stored(path: &Path, file: File) -> Result<AccessKey, AccountError> {
    let text = secret_file::read(path, file, "root's credentials").map_err(|error| unusable(path, error))?;
    // Only toml's message, not its excerpt of the file: that could be the secret's line.
    let stored: StoredKey = toml::from_str(&text).map_err(|error| unusable(path, error.message()))?;
    AccessKey::new(stored.access_key_id, SecretKey::new(stored.secret_access_key))
        .map_err(|error| unusable(path, error))
}

fn generate() -> Result<AccessKey, AccountError> {
    let id = format!("AKIA{}", random_text(BASE32, 16)?);
    AccessKey::new(id, SecretKey::new(random_text(ALPHANUMERIC, 40)?))
}

/// `length` characters, each drawn evenly from `alphabet` (at most 256 characters).
fn random_text(alphabet: &[u8], length: usize) -> Result<String, AccountError> {
    // Bytes from the last, incomplete round through the alphabet are thrown away: they would favour its start.
    let usable = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut random = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut random)
            .map_err(|error| AccountError::RootKey(format!("the system gives no random numbers: {error}")))?;
        let fair = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < usable);
        let characters = fair.filter_map(|byte| alphabet.get(byte % alphabet.len()));
        text.extend(characters.take(length - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

fn write_stored(path: &Path, key: &AccessKey) -> io::Result<()> {
    let text = format!(
        "# Root's access key for Cairn, generated at the first start. Whoever reads this file may do everything.\n\
         # To choose another, change it here and send SIGHUP, or set {ACCESS_KEY_ID} and {SECRET_ACCESS_KEY} and restart.\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        key.access_key_id,
        key.secret.expose(),
    );
    secret_file::write(path, &text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied()).expect("utf-8")
    }

    #[test]
    fn the_first_start_generates_a_key_that_later_starts_find() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let data = directory.path().join("not/yet/there");
        let first = RootKey::obtain(&Environment::default(), &data).expect("generated");
        let path = data.join("root-credentials.toml");
        assert_eq!(first.origin, RootKeyOrigin::Generated(path.clone()));
        assert!(first.key.access_key_id.starts_with("AKIA") && first.key.access_key_id.len() == 20);
        assert_eq!(first.key.secret.expose().len(), 40);
        let mode = fs::metadata(&path).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&data).expect("listed").count(), 1, "nothing else is left behind");

        let again = RootKey::read_again(&Environment::default(), &data).expect("found");
        assert_eq!(again.secret.expose(), first.key.secret.expose());
        assert!(RootKey::read_again(&Environment::default(), directory.path()).is_err(), "none is generated");

        let second = RootKey::obtain(&Environment::default(), &data).expect("found");
        assert_eq!(second.origin, RootKeyOrigin::File(path));
        assert_eq!(second.key.access_key_id, first.key.access_key_id);
        assert_eq!(second.key.secret.expose(), first.key.secret.expose());
    }

    #[test]
    fn a_start_that_broke_off_while_writing_does_not_hinder_the_next() {
        let directory = tempfile::tempdir().expect("temporary directory");
        fs::write(directory.path().join("root-credentials.toml.new"), "access_key_id = \"AK").expect("half a file");
        let root = RootKey::obtain(&Environment::default(), directory.path()).expect("generated");
        assert!(matches!(root.origin, RootKeyOrigin::Generated(_)));
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_writes_none() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let variables = environment(&[(ACCESS_KEY_ID, "someone"), (SECRET_ACCESS_KEY, "a secret of mine")]);
        let root = RootKey::obtain(&variables, directory.path()).expect("given");
        assert_eq!(root.origin, RootKeyOrigin::Environment);
        assert_eq!((root.key.access_key_id.as_str(), root.key.secret.expose()), ("someone", "a secret of mine"));
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
    }

    #[test]
    fn each_half_may_be_in_a_file_and_its_line_break_does_not_count() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let file = directory.path().join("secret");
        fs::write(&file, "a secret of mine\n").expect("write");
        let file_variable = format!("{SECRET_ACCESS_KEY}_FILE");
        let variables = environment(&[(ACCESS_KEY_ID, "someone"), (&file_variable, file.to_str().expect("utf-8"))]);
        let root = RootKey::obtain(&variables, directory.path()).expect("given");
        assert_eq!(root.key.secret.expose(), "a secret of mine");

        fs::write(&file, "x".repeat(5_000)).expect("write");
        let error = RootKey::obtain(&variables, directory.path()).expect_err("too large").to_string();
        assert!(error.contains(&file_variable) && error.contains("4096"), "{error}");
    }

    #[test]
    fn half_a_key_and_two_sources_are_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        for (pairs, expected) in [
            (vec![(ACCESS_KEY_ID, "someone")], "CAIRN_ROOT_SECRET_ACCESS_KEY is not"),
            (vec![(SECRET_ACCESS_KEY, "a secret of mine")], "CAIRN_ROOT_ACCESS_KEY_ID is not"),
            (vec![(ACCESS_KEY_ID, "someone"), ("CAIRN_ROOT_ACCESS_KEY_ID_FILE", "/x")], "both set"),
            (vec![(ACCESS_KEY_ID, "someone"), (SECRET_ACCESS_KEY, "minioadmin")], "every scanner"),
            (vec![(ACCESS_KEY_ID, "someone"), (SECRET_ACCESS_KEY, "1234567")], "8 to 128"),
        ] {
            let error = RootKey::obtain(&environment(&pairs), directory.path()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_no_secret() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("root-credentials.toml");
        fs::write(&path, "access_key_id = \"AKIA\"\nsecret_access_key = \"very-secret\n").expect("write");
        let error = RootKey::obtain(&Environment::default(), directory.path()).expect_err("damaged").to_string();
        assert!(error.contains("root-credentials.toml") && !error.contains("very-secret"), "{error}");
    }

    #[test]
    fn random_text_uses_the_whole_alphabet() {
        let text = random_text(ALPHANUMERIC, 4_000).expect("random");
        assert_eq!(text.len(), 4_000);
        assert!(ALPHANUMERIC.iter().all(|byte| text.as_bytes().contains(byte)));
    }
}
