//! Which objects are encrypted, and under which key. What is known of an object's encryption is kept with its version:
//! never a key, only a data key as it was wrapped.
//!
//! A data key is bound to its object by the context that it is wrapped with. Nobody binds a customer's: whoever has the
//! customer's key has the object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::index::records::{Attributes, BucketRecord, ObjectRecord, Record};
use storage::types::BucketId;

use super::access::ENCRYPTION;
use super::{ATTEMPTS, Error, Objects, Result, VersionLabel, contention};
use crate::encryption::keyring::{DEFAULT_KMS, SSE_S3};
use crate::encryption::{DataKey, KeyError, KeyService, Wrapped};
use crate::rules::{Code, Refusal};

/// The number of the encryption among a version's sub-resources. Stored: never reuse it.
const VERSION_ENCRYPTION: u8 = 3;
/// Buckets whose default is kept.
const CACHED_BUCKETS: usize = 1_024;
/// What a customer's key wraps with.
const CUSTOMER_CONTEXT: &[u8] = b"sse-c";

/// Who keeps the key that an object's data key is wrapped under. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// SSE-C: the client, who sends it with each request. It is never stored.
    Customer,
    /// SSE-S3: the server's keyring, under its own key.
    S3,
    /// SSE-KMS: the key service, under a key that the client or the bucket names.
    Kms,
}

/// How an object is encrypted. Stored: the order of the fields is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Who keeps the key.
    pub scheme: Scheme,
    /// The key's name, as the client named it.
    pub key: String,
    /// The encryption context that the client gave: JSON.
    pub context: Option<String>,
    /// Whether the client, or the bucket, asked for a bucket key.
    pub bucket_key: bool,
    version: u32,
    wrapped: Vec<u8>,
}

impl Record for Encryption {
    const FAMILY: &'static str = "versions";
}

/// What a bucket's new objects are encrypted with, unless they say it. Stored: the order of the fields is part of the
/// layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultEncryption {
    /// Whether SSE-KMS, and not SSE-S3.
    pub kms: bool,
    /// The key of SSE-KMS; else the server's own for that.
    pub key: Option<String>,
    /// Whether a bucket key is used.
    pub bucket_key: bool,
    /// Whether no new object may be encrypted by SSE-C: `BlockedEncryptionTypes`.
    pub blocks_customer: bool,
}

impl Record for DefaultEncryption {
    const FAMILY: &'static str = "buckets";
}

/// Defaults by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type DefaultEncryptionCache = Cache<(BucketId, u64), Arc<Option<DefaultEncryption>>>;

pub(super) fn cache() -> DefaultEncryptionCache {
    Cache::new(CACHED_BUCKETS)
}

/// A key that a client sends. It prints as nothing.
#[derive(Clone, Debug)]
pub struct CustomerKey {
    /// The key.
    pub key: DataKey,
    /// Its MD5 in base64, which answers repeat.
    pub md5: String,
}

/// What a request wants of a new object's encryption.
#[derive(Clone, Debug, Default)]
pub enum Encrypting {
    /// What the bucket does by default.
    #[default]
    Default,
    /// SSE-C.
    Customer(CustomerKey),
    /// SSE-S3.
    S3,
    /// SSE-KMS.
    Kms {
        /// The key, if it is named.
        key: Option<String>,
        /// The encryption context.
        context: Option<String>,
        /// Whether a bucket key is to be used, if that is said.
        bucket_key: Option<bool>,
    },
}

/// What a new object's bytes are sealed with.
pub(super) struct Sealing {
    pub record: Encryption,
    pub key: DataKey,
}

impl Sealing {
    /// The entity tag of a body: its MD5 for SSE-S3 alone.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>, "ETag"
    pub(super) fn tag(&self, md5: [u8; 16]) -> [u8; 16] {
        self.record.scheme.tag(&self.key, md5)
    }
}

impl Scheme {
    fn tag(self, key: &DataKey, md5: [u8; 16]) -> [u8; 16] {
        if self == Self::S3 { md5 } else { key.digest(md5) }
    }
}

/// The entity tag of what is sealed beside an object under its key: an annotation.
pub(super) fn entity_tag(attributes: &Attributes, key: &DataKey, md5: [u8; 16]) -> Result<[u8; 16]> {
    Ok(encryption_of(attributes)?.map_or(md5, |encryption| encryption.scheme.tag(key, md5)))
}

/// How an object, or an upload, is encrypted; `None` where it is not.
///
/// # Errors
/// If the stored bytes are damaged.
pub fn encryption_of(attributes: &Attributes) -> Result<Option<Encryption>> {
    Ok(attributes.sub_resource(VERSION_ENCRYPTION).map(Encryption::decode).transpose()?)
}

pub(super) fn set_encryption(attributes: &mut Attributes, encryption: Option<&Encryption>) {
    attributes.set_sub_resource(VERSION_ENCRYPTION, encryption.map(Record::encode));
}

/// What a data key is wrapped with: which object it is of, and what the client adds.
fn context(scheme: Scheme, bucket: &str, key: &str, said: Option<&str>) -> Vec<u8> {
    let scheme = match scheme {
        Scheme::Customer => return CUSTOMER_CONTEXT.to_vec(),
        Scheme::S3 => "sse-s3",
        Scheme::Kms => "sse-kms",
    };
    format!("{scheme}\narn:aws:s3:::{bucket}/{key}\n{}", said.unwrap_or_default()).into_bytes()
}

/// A key's name without what an ARN, or a word for what it is, puts before it.
fn name_of_key(named: &str) -> &str {
    let of_arn = named.strip_prefix("arn:").and_then(|arn| arn.splitn(5, ':').nth(4));
    let resource = of_arn.unwrap_or(named);
    resource.strip_prefix("key/").or_else(|| resource.strip_prefix("alias/")).unwrap_or(resource)
}

fn key_failure(error: KeyError) -> Error {
    match error {
        KeyError::Unknown(name) => {
            let message = format!("Key '{name}' does not exist in the key service of this server.");
            Refusal::new(Code::KmsNotFoundException, message).into()
        }
        KeyError::Unavailable(reason) => {
            tracing::warn!(reason, "the key service failed a request");
            let message = format!("The key service does not answer, and nothing is stored unencrypted: {reason}");
            Refusal::new(Code::ServiceUnavailable, message).into()
        }
        KeyError::Broken => {
            tracing::error!("an object's data key does not open under the key that wrapped it");
            Refusal::new(Code::InternalError, "The object's data key does not open under the key that wrapped it.")
                .into()
        }
    }
}

/// A request about an object that a customer's key is needed for, without it.
pub(super) fn key_missing() -> Refusal {
    Refusal::invalid_request(
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
    )
}

/// A request with a customer's key about an object that has none.
pub(super) fn key_not_applicable() -> Refusal {
    Refusal::invalid_request("The encryption parameters are not applicable to this object.")
}

/// What makes an object by SSE-C in a bucket that lets none be made.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/blocking-unblocking-s3-c-encryption-gpb.html>
fn customer_keys_blocked() -> Refusal {
    let message = "Server-side encryption with customer-provided keys (SSE-C) is blocked for this bucket by its BlockedEncryptionTypes.";
    Refusal::new(Code::AccessDenied, message)
}

/// An object whose encryption cannot be updated.
fn not_updatable() -> Refusal {
    Refusal::invalid_request(
        "UpdateObjectEncryption works on objects that are encrypted with SSE-S3 or SSE-KMS. Copy the object onto itself to change its encryption.",
    )
}

fn other_key() -> Refusal {
    Refusal::invalid_request("The provided encryption parameters did not match the ones used originally.")
}

impl Objects {
    /// The same, with a key service: SSE-S3 and SSE-KMS need one, and every bucket then encrypts by default.
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<dyn KeyService>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Whether there is a key service.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    fn key_service(&self) -> Result<&Arc<dyn KeyService>> {
        self.keys.as_ref().ok_or_else(|| {
            let message = "This server has no key service (encryption.keyring_file): it can encrypt with keys that clients bring, only.";
            Refusal::new(Code::NotImplemented, message).into()
        })
    }

    /// What a bucket's new objects are encrypted with by default; `None` where they are not encrypted.
    pub async fn default_encryption(&self, bucket: &BucketRecord) -> Result<Option<DefaultEncryption>> {
        if !self.has_keys() {
            return Ok(None);
        }
        let cache_key = (bucket.id, bucket.generation);
        let known = if let Some(known) = self.default_encryptions.get(&cache_key) {
            known
        } else {
            let stored = self.store.bucket_config(bucket.id, ENCRYPTION).await?;
            let default = Arc::new(stored.map(|bytes| DefaultEncryption::decode(&bytes)).transpose()?);
            self.default_encryptions.insert(cache_key, Arc::clone(&default));
            default
        };
        let own = DefaultEncryption { kms: false, key: None, bucket_key: false, blocks_customer: false };
        Ok(Some(known.as_ref().clone().unwrap_or(own)))
    }

    /// Sets what a bucket's new objects are encrypted with by default; `None` is what the server does by default.
    pub async fn set_default_encryption(&self, name: &str, default: Option<&DefaultEncryption>) -> Result<()> {
        if default.is_some() {
            self.key_service()?;
        }
        self.set_config(name, ENCRYPTION, default.map(Record::encode)).await
    }

    /// What a new object is to be sealed with; `None` where it is not.
    pub(super) async fn begin_sealing(
        &self,
        bucket: &BucketRecord,
        key: &str,
        wanted: &Encrypting,
    ) -> Result<Option<Sealing>> {
        let data_key = DataKey::random().map_err(key_failure)?;
        let record = self.wrap_for(bucket, key, wanted, &data_key).await?;
        Ok(record.map(|record| Sealing { record, key: data_key }))
    }

    /// A data key as an object with this encryption keeps it; `None` where it would have none.
    pub(super) async fn wrap_for(
        &self,
        bucket: &BucketRecord,
        key: &str,
        wanted: &Encrypting,
        data_key: &DataKey,
    ) -> Result<Option<Encryption>> {
        let default = match wanted {
            Encrypting::Customer(customer) => {
                if self.default_encryption(bucket).await?.is_some_and(|default| default.blocks_customer) {
                    return Err(customer_keys_blocked().into());
                }
                let wrapped = data_key.wrap(&customer.key, CUSTOMER_CONTEXT).map_err(key_failure)?;
                let (key, context) = (String::new(), None);
                let (scheme, bucket_key, version) = (Scheme::Customer, false, 0);
                return Ok(Some(Encryption { scheme, key, context, bucket_key, version, wrapped }));
            }
            Encrypting::S3 => None,
            Encrypting::Default | Encrypting::Kms { .. } => self.default_encryption(bucket).await?,
        };
        let default = default.as_ref();
        let kms_default = default.filter(|default| default.kms);
        let (scheme, named, said, bucket_key) = match wanted {
            Encrypting::Kms { key, context, bucket_key } => {
                let named = key.as_ref().or_else(|| kms_default.and_then(|default| default.key.as_ref()));
                let of_bucket = kms_default.is_some_and(|default| default.bucket_key);
                (Scheme::Kms, named, context.clone(), bucket_key.unwrap_or(of_bucket))
            }
            Encrypting::Default => match default {
                None => return Ok(None),
                Some(default) if default.kms => (Scheme::Kms, default.key.as_ref(), None, default.bucket_key),
                Some(_) => (Scheme::S3, None, None, false),
            },
            Encrypting::S3 | Encrypting::Customer(_) => (Scheme::S3, None, None, false),
        };
        let named =
            named.cloned().unwrap_or_else(|| if scheme == Scheme::S3 { SSE_S3 } else { DEFAULT_KMS }.to_owned());
        if scheme == Scheme::Kms && name_of_key(&named) == SSE_S3 {
            return Err(key_failure(KeyError::Unknown(named)));
        }
        let context = context(scheme, &bucket.name, key, said.as_deref());
        let Wrapped { version, bytes } =
            self.key_service()?.wrap(name_of_key(&named), &context, data_key).await.map_err(key_failure)?;
        Ok(Some(Encryption { scheme, key: named, context: said, bucket_key, version, wrapped: bytes }))
    }

    /// The data key of an object, or of an upload; `None` where it is not encrypted.
    ///
    /// # Errors
    /// `InvalidRequest` where a customer's key is missing, is not the one, or does not apply.
    pub(super) async fn data_key(
        &self,
        (bucket, key): (&BucketRecord, &str),
        attributes: &Attributes,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<DataKey>> {
        let Some(encryption) = encryption_of(attributes)? else {
            return if customer.is_some() { Err(key_not_applicable().into()) } else { Ok(None) };
        };
        if encryption.scheme == Scheme::Customer {
            let customer = customer.ok_or_else(key_missing)?;
            let opened = customer.key.unwrap_key(&encryption.wrapped, CUSTOMER_CONTEXT);
            return opened.map(Some).map_err(|_| other_key().into());
        }
        if customer.is_some() {
            return Err(key_not_applicable().into());
        }
        let context = context(encryption.scheme, &bucket.name, key, encryption.context.as_deref());
        let wrapped = Wrapped { version: encryption.version, bytes: encryption.wrapped };
        let service = self.key_service()?;
        service.unwrap(name_of_key(&encryption.key), &context, &wrapped).await.map(Some).map_err(key_failure)
    }

    /// Whether a request brings the customer's key that an object needs, and no other; what only a key service can tell
    /// is not asked.
    pub(super) async fn check_customer(
        &self,
        place: (&BucketRecord, &str),
        object: &ObjectRecord,
        customer: Option<&CustomerKey>,
    ) -> Result<()> {
        let by_customer = encryption_of(&object.attributes)?.is_some_and(|known| known.scheme == Scheme::Customer);
        if by_customer || customer.is_some() {
            self.data_key(place, &object.attributes, customer).await?;
        }
        Ok(())
    }

    /// Binds an object's data key to another key of the object: what a rename does.
    pub(super) async fn rebind(
        &self,
        bucket: &BucketRecord,
        (from, to): (&str, &str),
        attributes: &mut Attributes,
    ) -> Result<()> {
        let Some(encryption) = encryption_of(attributes)?.filter(|known| known.scheme != Scheme::Customer) else {
            return Ok(());
        };
        let Some(data_key) = self.data_key((bucket, from), attributes, None).await? else { return Ok(()) };
        let wanted = match encryption.scheme {
            Scheme::Kms => Encrypting::Kms {
                key: Some(encryption.key),
                context: encryption.context,
                bucket_key: Some(encryption.bucket_key),
            },
            Scheme::S3 | Scheme::Customer => Encrypting::S3,
        };
        let record = self.wrap_for(bucket, to, &wanted, &data_key).await?;
        set_encryption(attributes, record.as_ref());
        Ok(())
    }
}

/// Which object's encryption is updated, and to what.
#[derive(Clone, Debug)]
pub struct UpdateEncryption {
    /// The object's bucket.
    pub bucket: BucketRecord,
    /// Its key.
    pub key: String,
    /// Its version; else the current one.
    pub version: Option<VersionLabel>,
    /// The key of SSE-KMS that its data key is to be wrapped under.
    pub kms_key: String,
    /// Whether a bucket key is used.
    pub bucket_key: bool,
}

impl Objects {
    /// Wraps an object's data key under another key of SSE-KMS, or under the newest version of the same: none of its
    /// bytes is read or written, and its entity tag and times stay.
    ///
    /// # Errors
    /// `InvalidRequest` for objects that are not encrypted by SSE-S3 or SSE-KMS; those of the key service;
    /// `NotImplemented` without one.
    pub async fn update_encryption(&self, request: &UpdateEncryption) -> Result<()> {
        let UpdateEncryption { bucket, key, version, kms_key, bucket_key } = request;
        self.key_service()?;
        for _ in 0..ATTEMPTS {
            let (_, object) = self.find_object(bucket, key, *version).await?;
            let before = encryption_of(&object.attributes)?;
            let known = before.as_ref().filter(|known| known.scheme != Scheme::Customer).ok_or_else(not_updatable)?;
            let data_key = self.data_key((bucket, key), &object.attributes, None).await?.ok_or_else(not_updatable)?;
            let wanted = Encrypting::Kms {
                key: Some(kms_key.clone()),
                context: known.context.clone(),
                bucket_key: Some(*bucket_key),
            };
            let after = self.wrap_for(bucket, key, &wanted, &data_key).await?;
            let updated = AtomicBool::new(false);
            let change = |found: &mut ObjectRecord| {
                // Another object may have come to this key meanwhile: with another data key.
                let same = encryption_of(&found.attributes)? == before;
                updated.store(same, Ordering::Relaxed);
                if same {
                    set_encryption(&mut found.attributes, after.as_ref());
                }
                Ok(())
            };
            self.update_object(bucket, key, *version, change, None).await?;
            if updated.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        Err(contention())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_the_records() {
        let encryption = Encryption {
            scheme: Scheme::Kms,
            key: "k".to_owned(),
            context: Some("{}".to_owned()),
            bucket_key: true,
            version: 2,
            wrapped: vec![7, 8],
        };
        assert_eq!(encryption.encode(), [1, 2, 1, b'k', 1, 2, b'{', b'}', 1, 2, 2, 7, 8]);
        let default =
            DefaultEncryption { kms: true, key: Some("k".to_owned()), bucket_key: false, blocks_customer: true };
        assert_eq!(default.encode(), [1, 1, 1, 1, b'k', 0, 1]);
    }

    #[test]
    fn keys_are_named_in_several_ways() {
        for named in ["k", "key/k", "alias/k", "arn:aws:kms:eu-west-1:111111111111:key/k"] {
            assert_eq!(name_of_key(named), "k", "{named}");
        }
        assert_eq!(name_of_key("aws/s3"), "aws/s3");
        assert_eq!(name_of_key("arn:aws:kms:eu-west-1:111111111111:alias/aws/s3"), "aws/s3");
    }

    #[test]
    fn contexts_tell_objects_apart() {
        assert_ne!(context(Scheme::S3, "b", "k", None), context(Scheme::S3, "b", "l", None));
        assert_ne!(context(Scheme::S3, "b", "k", None), context(Scheme::Kms, "b", "k", None));
    }
}
