//! Secrets at rest: AES-256-GCM under the server's key.
//!
//! The key is 32 bytes in a file of its own, apart from the index, so that a copy of the index alone gives no secret
//! away. A secret is bound to its row: moved to another row it does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::error::{Error, Result};
use crate::accounts::SecretKey;

/// Bytes of the server's key.
pub const SERVER_KEY_BYTES: usize = 32;

/// Seals and opens secrets. It prints as nothing.
pub struct Sealer(LessSafeKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Seals under this key.
    ///
    /// # Errors
    /// If the cipher refuses the key, which it does for no key of this length.
    pub fn new(server_key: &[u8; SERVER_KEY_BYTES]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, server_key)
            .map_err(|_| Error::Sealing("the server's key is unusable".to_owned()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A nonce, then the ciphertext with its tag. `row` is the key of the row that will hold it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, secret: &str, row: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|error| Error::Sealing(format!("the system gives no random numbers: {error}")))?;
        let mut text = secret.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(row), &mut text)
            .map_err(|_| Error::Sealing("a secret cannot be sealed".to_owned()))?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// The secret that was sealed for this row.
    ///
    /// # Errors
    /// If it was sealed for another row or under another key, or is damaged.
    pub fn open(&self, sealed: &[u8], row: &[u8]) -> Result<SecretKey> {
        let unreadable = || {
            let message = "a stored secret does not open: the server's key is not the one that it was sealed with";
            Error::Sealing(message.to_owned())
        };
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or_else(unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unreadable())?;
        let mut text = text.to_vec();
        let secret = self.0.open_in_place(nonce, Aad::from(row), &mut text).map_err(|_| unreadable())?;
        String::from_utf8(secret.to_vec()).map(SecretKey::new).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_in_its_row_and_nowhere_else() {
        let sealer = Sealer::new(&[7; SERVER_KEY_BYTES]).expect("a key");
        let sealed = sealer.seal("very secret", b"row").expect("sealed");
        assert_eq!(sealer.open(&sealed, b"row").expect("opened").expose(), "very secret");
        assert!(!sealed.windows(4).any(|part| part == b"very"));
        assert!(sealer.open(&sealed, b"another row").is_err());
        assert!(Sealer::new(&[8; SERVER_KEY_BYTES]).expect("a key").open(&sealed, b"row").is_err());
        let mut damaged = sealed.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        assert!(sealer.open(&damaged, b"row").is_err());
        assert!(sealer.open(&sealed[..8], b"row").is_err());
        assert_ne!(sealer.seal("very secret", b"row").expect("sealed"), sealed, "each seal has a nonce of its own");
    }
}
