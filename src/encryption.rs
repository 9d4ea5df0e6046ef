//! Encryption of objects: data keys, who keeps the keys that wrap them, and streams sealed under them.
//!
//! | file | is |
//! |---|---|
//! | this one | data keys, and the seam to services that wrap them |
//! | [`frames`] | sealed streams |
//! | [`keyring`] | a key service of the server's own: a file of keys |
//!
//! It knows nothing of objects, requests or rows. Keys print as nothing, and their memory is wiped.

pub mod frames;
pub mod keyring;
#[cfg(test)]
mod vectors;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// A key under which an object's streams are sealed. It prints as nothing.
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(…)")
    }
}

impl Clone for DataKey {
    fn clone(&self) -> Self {
        Self(Zeroizing::new(*self.0))
    }
}

impl DataKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A random key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice())
            .map_err(|error| KeyError::Unavailable(format!("the system gives no random numbers: {error}")))?;
        Ok(Self(bytes))
    }

    /// The key itself, for ciphers.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// A digest that tells nothing of what it is of to whoever lacks the key: entity tags that are no MD5.
    #[must_use]
    pub fn digest(&self, md5: [u8; 16]) -> [u8; 16] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"cairn entity tag");
        context.update(&md5);
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        digest
    }

    /// This key wrapped under another: a random nonce, the ciphertext, the tag. It opens with the same context only.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn wrap(&self, under: &Self, context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|error| KeyError::Unavailable(format!("the system gives no random numbers: {error}")))?;
        let mut bytes = Zeroizing::new(self.expose().to_vec());
        let tag = under
            .cipher()?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut bytes)
            .map_err(|_| KeyError::Broken)?;
        Ok([nonce.as_slice(), &bytes, tag.as_ref()].concat())
    }

    /// What [`Self::wrap`] wrapped under this key.
    ///
    /// # Errors
    /// [`KeyError::Broken`] if it was another key, or another context, or damaged.
    pub fn unwrap_key(&self, wrapped: &[u8], context: &[u8]) -> Result<Self, KeyError> {
        let (nonce, sealed) = wrapped.split_at_checked(NONCE_LEN).ok_or(KeyError::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| KeyError::Broken)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(context), &mut bytes);
        let opened: &[u8] = opened.map_err(|_| KeyError::Broken)?;
        Ok(Self::new(opened.try_into().map_err(|_| KeyError::Broken)?))
    }

    fn cipher(&self) -> Result<LessSafeKey, KeyError> {
        UnboundKey::new(&AES_256_GCM, self.expose()).map(LessSafeKey::new).map_err(|_| KeyError::Broken)
    }
}

/// A data key as a service wrapped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The version of the key that wrapped it.
    pub version: u32,
    /// The wrapped key, in the bytes of the service.
    pub bytes: Vec<u8>,
}

/// Why a key service does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has no such key, or not in that version.
    #[error("the key {0:?} is not there")]
    Unknown(String),
    /// It cannot be asked now.
    #[error("{0}")]
    Unavailable(String),
    /// The wrapped key does not open: it is of another key or context, or damaged.
    #[error("a wrapped data key does not open under its key")]
    Broken,
}

/// Whoever keeps keys and wraps data keys under them.
#[async_trait::async_trait]
pub trait KeyService: Send + Sync {
    /// Wraps a data key under the newest version of a key, bound to a context.
    async fn wrap(&self, key: &str, context: &[u8], data_key: &DataKey) -> Result<Wrapped, KeyError>;

    /// What was wrapped.
    async fn unwrap(&self, key: &str, context: &[u8], wrapped: &Wrapped) -> Result<DataKey, KeyError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_under_its_key_and_context_only() {
        let (master, data) = (DataKey::new([1; KEY_BYTES]), DataKey::new([2; KEY_BYTES]));
        let wrapped = data.wrap(&master, b"context").expect("wraps");
        assert_eq!(master.unwrap_key(&wrapped, b"context").expect("opens").expose(), data.expose());
        assert_eq!(master.unwrap_key(&wrapped, b"other").err(), Some(KeyError::Broken));
        assert_eq!(data.unwrap_key(&wrapped, b"context").err(), Some(KeyError::Broken));
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(master.unwrap_key(&flipped, b"context").err(), Some(KeyError::Broken));
        }
        assert!(!wrapped.windows(8).any(|window| window == [2; 8]), "the key itself is not in it");
        assert_eq!(format!("{data:?}"), "DataKey(…)");
    }

    #[test]
    fn digests_differ_by_key() {
        let digest = |byte| DataKey::new([byte; KEY_BYTES]).digest([7; 16]);
        assert_eq!(digest(1), digest(1));
        assert_ne!(digest(1), digest(2));
    }
}
