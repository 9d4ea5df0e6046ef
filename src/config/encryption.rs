//! The table `[encryption]`: where the keys are, and how clients may bring theirs.

use super::layers::Layers;
use super::{ConfigError, parsed_or, yes_or_no};
use std::path::PathBuf;

/// Encryption of objects.
#[derive(Debug, Clone, Default)]
pub struct EncryptionConfig {
    /// The keyring for SSE-S3 and SSE-KMS. With one, every bucket encrypts by default.
    pub keyring_file: Option<PathBuf>,
    /// Whether a keyring that is not there is made.
    pub create_keyring: bool,
    /// Whether clients may bring keys (SSE-C) over connections without TLS: behind a proxy that ends it.
    pub customer_keys_without_tls: bool,
}

pub(super) fn encryption(layers: &Layers) -> Result<EncryptionConfig, ConfigError> {
    let keyring_file = layers.scalar("encryption", "keyring_file", |raw| &raw.encryption.keyring_file);
    let create = layers.scalar("encryption", "create_keyring", |raw| &raw.encryption.create_keyring);
    if let (None, Some(setting)) =
        (&keyring_file, create.as_ref().filter(|setting| yes_or_no(setting.value) == Ok(true)))
    {
        return Err(setting.refuse("needs encryption.keyring_file: where the keyring is to be".to_owned()));
    }
    let without_tls =
        layers.scalar("encryption", "customer_keys_without_tls", |raw| &raw.encryption.customer_keys_without_tls);
    Ok(EncryptionConfig {
        keyring_file: keyring_file.map(|setting| PathBuf::from(setting.value)),
        create_keyring: parsed_or(create, yes_or_no, Ok(false))?,
        customer_keys_without_tls: parsed_or(without_tls, yes_or_no, Ok(false))?,
    })
}
