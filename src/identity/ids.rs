//! Ids and secrets, as AWS makes them.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>

use super::error::{Error, Result};

/// The alphabet of ids.
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Secrets have no '/' and '+', which need escaping in URLs and confuse shells and people.
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdPrefix {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
    /// A managed policy.
    ManagedPolicy,
    /// A long-term access key.
    AccessKey,
    /// A temporary access key.
    TemporaryKey,
}

impl IdPrefix {
    /// The four letters that such ids start with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::ManagedPolicy => "ANPA",
            Self::AccessKey => "AKIA",
            Self::TemporaryKey => "ASIA",
        }
    }
}

/// A new id: 20 characters for keys, 21 for everything else, of which 16 or 17 are random.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_id(prefix: IdPrefix) -> Result<String> {
    let random = if matches!(prefix, IdPrefix::AccessKey | IdPrefix::TemporaryKey) { 16 } else { 17 };
    Ok(format!("{}{}", prefix.as_str(), random_text(BASE32, random)?))
}

/// A new secret key: 40 characters.
///
/// # Errors
/// As [`new_id`].
pub fn new_secret() -> Result<String> {
    random_text(ALPHANUMERIC, 40)
}

/// A new session token of `length` characters.
///
/// # Errors
/// As [`new_id`].
pub fn new_token(length: usize) -> Result<String> {
    random_text(ALPHANUMERIC, length)
}

/// `length` characters, each drawn evenly from `alphabet` (at most 256 characters).
fn random_text(alphabet: &[u8], length: usize) -> Result<String> {
    // Bytes from the last, incomplete round through the alphabet are thrown away: they would favour its start.
    let usable = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut random = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut random)
            .map_err(|error| Error::Sealing(format!("the system gives no random numbers: {error}")))?;
        let fair = random.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < usable);
        let characters = fair.filter_map(|byte| alphabet.get(byte % alphabet.len()));
        text.extend(characters.take(length - text.len()).map(|byte| char::from(*byte)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_aws() {
        for (prefix, length) in [(IdPrefix::User, 21), (IdPrefix::AccessKey, 20), (IdPrefix::TemporaryKey, 20)] {
            let id = new_id(prefix).expect("random");
            assert!(id.len() == length && id.starts_with(prefix.as_str()), "{id}");
            assert!(id.bytes().all(|byte| BASE32.contains(&byte)), "{id}");
            assert_ne!(id, new_id(prefix).expect("random"));
        }
        assert_eq!(new_secret().expect("random").len(), 40);
        assert_eq!(new_token(200).expect("random").len(), 200);
    }
}
