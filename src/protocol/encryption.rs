//! Encryption on the wire: what requests want and bring in their heads, what answers show, and a bucket's default.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingEncryption.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use md5::{Digest as _, Md5};
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::Attributes;
use zeroize::Zeroizing;

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use super::{convert, tagging};
use crate::encryption::{DataKey, KEY_BYTES};
use crate::object::{CustomerKey, DefaultEncryption, Encrypting, Scheme, UpdateEncryption, encryption_of};
use crate::rules::{Code, Refusal};

const ALGORITHM: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// The longest encryption context, as JSON.
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html>
const MAX_CONTEXT_BYTES: usize = 8 << 10;

/// The headers with which a client brings a key.
struct CustomerHeaders {
    algorithm: &'static str,
    key: &'static str,
    md5: &'static str,
}

const OF_OBJECT: CustomerHeaders = CustomerHeaders {
    algorithm: "x-amz-server-side-encryption-customer-algorithm",
    key: "x-amz-server-side-encryption-customer-key",
    md5: "x-amz-server-side-encryption-customer-key-md5",
};

const OF_SOURCE: CustomerHeaders = CustomerHeaders {
    algorithm: "x-amz-copy-source-server-side-encryption-customer-algorithm",
    key: "x-amz-copy-source-server-side-encryption-customer-key",
    md5: "x-amz-copy-source-server-side-encryption-customer-key-md5",
};

/// The key that a request brings for the object that it is about.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`; `InvalidRequest` over a connection that anybody can read.
pub(super) fn customer_key(call: &Call<'_>) -> Result<Option<CustomerKey>> {
    brought(call, &OF_OBJECT)
}

/// The key that a request brings for the source of a copy.
///
/// # Errors
/// As [`customer_key`].
pub(super) fn source_key(call: &Call<'_>) -> Result<Option<CustomerKey>> {
    brought(call, &OF_SOURCE)
}

fn brought(call: &Call<'_>, headers: &CustomerHeaders) -> Result<Option<CustomerKey>> {
    let (algorithm, md5) = (call.header_named(headers.algorithm), call.header_named(headers.md5));
    let key = call.header_named(headers.key).map(Zeroizing::new);
    if algorithm.is_none() && key.is_none() && md5.is_none() {
        return Ok(None);
    }
    let invalid = |header: &'static str, what: &str| {
        let message =
            format!("Requests specifying Server Side Encryption with Customer provided keys must provide {what}.");
        Failure::with_message("InvalidArgument", message).with("ArgumentName", header)
    };
    if !call.may_bring_keys() {
        let message = "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.";
        return Err(Failure::with_message("InvalidRequest", message));
    }
    let algorithm = algorithm.ok_or_else(|| invalid(headers.algorithm, "a valid encryption algorithm"))?;
    if algorithm != "AES256" {
        return Err(Refusal::from(Code::InvalidEncryptionAlgorithmError)
            .with("ArgumentName", headers.algorithm)
            .with("ArgumentValue", algorithm)
            .into());
    }
    let key = key.ok_or_else(|| invalid(headers.key, "an appropriate secret key"))?;
    let bytes = STANDARD.decode(key.as_bytes()).map(Zeroizing::new).ok();
    let bytes = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok()).map(Zeroizing::new);
    let bytes = bytes.ok_or_else(|| {
        let message = "The secret key was invalid for the specified algorithm.";
        Failure::with_message("InvalidArgument", message).with("ArgumentName", headers.key)
    })?;
    let md5 = md5.ok_or_else(|| invalid(headers.md5, "the client calculated MD5 of the secret key"))?;
    if STANDARD.decode(&md5).ok().as_deref() != Some(Md5::digest(bytes.as_slice()).as_slice()) {
        let message = "The calculated MD5 hash of the key did not match the hash that was provided.";
        return Err(Failure::with_message("InvalidArgument", message).with("ArgumentName", headers.md5));
    }
    Ok(Some(CustomerKey { key: DataKey::new(*bytes), md5 }))
}

/// What a request wants of the encryption of the object that it makes.
///
/// # Errors
/// `InvalidArgument` for what is none, or contradicts itself; `NotImplemented` for two layers of encryption.
pub(super) fn wanted(call: &Call<'_>) -> Result<Encrypting> {
    let named = |name| call.header_named(name);
    let (algorithm, key, context) = (named(ALGORITHM), named(KMS_KEY), named(CONTEXT));
    let refused = |header: &str, value: &str, message: &str| -> Failure {
        Refusal::invalid_argument(header, value, message).into()
    };
    let customer = customer_key(call)?;
    if let Some(customer) = customer {
        if let Some(algorithm) = algorithm {
            let message = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified";
            return Err(refused(ALGORITHM, &algorithm, message));
        }
        return Ok(Encrypting::Customer(customer));
    }
    match algorithm.as_deref() {
        Some("aws:kms") => {
            let context = context.map(|context| parse_context(&context)).transpose()?;
            let bucket_key = named(BUCKET_KEY).map(|value| value.eq_ignore_ascii_case("true"));
            Ok(Encrypting::Kms { key, context, bucket_key })
        }
        Some("aws:kms:dsse") => {
            let message = "Two layers of encryption (aws:kms:dsse) are not implemented.";
            Err(Failure::with_message("NotImplemented", message))
        }
        Some(other) if other != "AES256" => {
            Err(refused(ALGORITHM, other, "The encryption method specified is not supported"))
        }
        algorithm => {
            for (header, value) in [(KMS_KEY, &key), (CONTEXT, &context)] {
                if let Some(value) = value {
                    let message = format!("{header} is only applicable with the encryption method aws:kms");
                    return Err(refused(header, value, &message));
                }
            }
            Ok(if algorithm.is_some() { Encrypting::S3 } else { Encrypting::Default })
        }
    }
}

/// The encryption context: a JSON object of texts, in base64. What is kept has its names in order.
fn parse_context(header: &str) -> Result<String> {
    let parsed = STANDARD.decode(header).ok().filter(|json| json.len() <= MAX_CONTEXT_BYTES);
    let parsed = parsed
        .and_then(|json| serde_json::from_slice::<std::collections::BTreeMap<String, String>>(&json).ok())
        .and_then(|pairs| serde_json::to_string(&pairs).ok());
    parsed.ok_or_else(|| {
        let message = "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map";
        Refusal::invalid_argument(CONTEXT, header, message).into()
    })
}

/// What answers show of an object's encryption.
#[derive(Default)]
pub(super) struct Shown {
    pub algorithm: Option<ServerSideEncryption>,
    pub kms_key: Option<String>,
    pub bucket_key: Option<bool>,
    pub context: Option<String>,
    pub customer_algorithm: Option<String>,
    pub customer_md5: Option<String>,
}

impl Shown {
    /// Of what has these attributes, to a request with this key.
    pub(super) fn of(attributes: &Attributes, customer: Option<&CustomerKey>) -> Result<Self> {
        let Some(encryption) = encryption_of(attributes)? else { return Ok(Self::default()) };
        Ok(match encryption.scheme {
            Scheme::Customer => Self {
                customer_algorithm: Some("AES256".to_owned()),
                customer_md5: customer.map(|customer| customer.md5.clone()),
                ..Self::default()
            },
            Scheme::S3 => Self {
                algorithm: Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256)),
                ..Self::default()
            },
            Scheme::Kms => Self {
                algorithm: Some(ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS)),
                kms_key: Some(encryption.key),
                bucket_key: Some(true).filter(|_| encryption.bucket_key),
                context: encryption.context.map(|context| STANDARD.encode(context)),
                ..Self::default()
            },
        })
    }
}

impl Shown {
    /// What is shown of the customer's key, for an answer whose type has no fields for it.
    pub(super) fn customer_headers(&self) -> HeaderMap {
        let shown = [(OF_OBJECT.algorithm, &self.customer_algorithm), (OF_OBJECT.md5, &self.customer_md5)];
        let header = |(name, value): (&'static str, &Option<String>)| {
            Some((HeaderName::from_static(name), convert::header_value(value.as_deref()?)?))
        };
        shown.into_iter().filter_map(header).collect()
    }
}

/// Sets what an answer shows of an object's encryption.
macro_rules! set_encryption {
    ($output:expr, $shown:expr) => {{
        let shown: $crate::protocol::encryption::Shown = $shown;
        $output.server_side_encryption = shown.algorithm;
        $output.ssekms_key_id = shown.kms_key;
        $output.bucket_key_enabled = shown.bucket_key;
        $output.sse_customer_algorithm = shown.customer_algorithm;
        $output.sse_customer_key_md5 = shown.customer_md5;
    }};
}
pub(super) use set_encryption;

fn not_found(call: &Call<'_>) -> Result<Failure> {
    let refusal = Refusal::from(Code::ServerSideEncryptionConfigurationNotFoundError);
    Ok(refusal.with("BucketName", call.bucket()?.name.clone()).into())
}

pub(super) async fn get(call: &Call<'_>, _: GetBucketEncryptionInput) -> Result<S3Response<GetBucketEncryptionOutput>> {
    let default = call.objects().default_encryption(call.bucket()?).await?;
    let Some(default) = default else { return Err(not_found(call)?) };
    let algorithm = if default.kms { ServerSideEncryption::AWS_KMS } else { ServerSideEncryption::AES256 };
    let by_default = ServerSideEncryptionByDefault {
        kms_master_key_id: default.key,
        sse_algorithm: ServerSideEncryption::from_static(algorithm),
    };
    let blocked = default.blocks_customer.then(|| BlockedEncryptionTypes {
        encryption_type: Some(vec![EncryptionType::from_static(EncryptionType::SSE_C)]),
    });
    let rule = ServerSideEncryptionRule {
        blocked_encryption_types: blocked,
        apply_server_side_encryption_by_default: Some(by_default),
        bucket_key_enabled: Some(default.bucket_key),
    };
    let configuration = ServerSideEncryptionConfiguration { rules: vec![rule] };
    Ok(S3Response::new(GetBucketEncryptionOutput { server_side_encryption_configuration: Some(configuration) }))
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutBucketEncryptionInput,
) -> Result<S3Response<PutBucketEncryptionOutput>> {
    call.verify_xml_body()?;
    let [rule] = input.server_side_encryption_configuration.rules.as_slice() else { return Err(malformed_xml()) };
    let blocks_customer = blocks_customer(rule.blocked_encryption_types.as_ref())?;
    let by_default = rule.apply_server_side_encryption_by_default.as_ref();
    // A rule may only block; what encrypts by default is then what it would be without a rule.
    if by_default.is_none() && rule.blocked_encryption_types.is_none() {
        return Err(malformed_xml());
    }
    let key = by_default.and_then(|by_default| by_default.kms_master_key_id.clone());
    let algorithm = by_default.map_or(ServerSideEncryption::AES256, |by_default| by_default.sse_algorithm.as_str());
    let kms = match algorithm {
        ServerSideEncryption::AES256 => false,
        ServerSideEncryption::AWS_KMS => true,
        ServerSideEncryption::AWS_KMS_DSSE => {
            let message = "Two layers of encryption (aws:kms:dsse) are not implemented.";
            return Err(Failure::with_message("NotImplemented", message));
        }
        _ => return Err(malformed_xml()),
    };
    if !kms && key.is_some() {
        let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
        return Err(Failure::with_message("InvalidArgument", message)
            .with("ArgumentName", "ApplyServerSideEncryptionByDefault"));
    }
    let default = DefaultEncryption { kms, key, bucket_key: rule.bucket_key_enabled == Some(true), blocks_customer };
    call.objects().set_default_encryption(&call.bucket()?.name, Some(&default)).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// Whether SSE-C is blocked: the one type that can be.
fn blocks_customer(blocked: Option<&BlockedEncryptionTypes>) -> Result<bool> {
    let Some(types) = blocked.map(|blocked| blocked.encryption_type.as_deref().unwrap_or_default()) else {
        return Ok(false);
    };
    match types.iter().map(EncryptionType::as_str).collect::<Vec<_>>().as_slice() {
        [EncryptionType::SSE_C] => Ok(true),
        [EncryptionType::NONE] => Ok(false),
        _ => Err(malformed_xml()),
    }
}

pub(super) async fn update_object(
    call: &Call<'_>,
    input: UpdateObjectEncryptionInput,
) -> Result<S3Response<UpdateObjectEncryptionOutput>> {
    call.verify_xml_body()?;
    let ObjectEncryption::SSEKMS(wanted) = input.object_encryption else { return Err(malformed_xml()) };
    let request = UpdateEncryption {
        bucket: call.bucket()?.clone(),
        version: convert::version(input.version_id.as_deref())?,
        key: input.key,
        kms_key: wanted.kms_key_arn,
        bucket_key: wanted.bucket_key_enabled == Some(true),
    };
    call.objects().update_encryption(&request).await.map_err(tagging::refused)?;
    Ok(S3Response::new(UpdateObjectEncryptionOutput::default()))
}

pub(super) async fn delete(
    call: &Call<'_>,
    _: DeleteBucketEncryptionInput,
) -> Result<S3Response<DeleteBucketEncryptionOutput>> {
    call.objects().set_default_encryption(&call.bucket()?.name, None).await?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_map_of_texts_in_base64() {
        let encoded = |json: &str| STANDARD.encode(json);
        assert_eq!(parse_context(&encoded(r#"{"b":"2","a":"1"}"#)).expect("a map"), r#"{"a":"1","b":"2"}"#);
        for bad in
            ["!", &encoded("[]"), &encoded(r#"{"a":1}"#), &encoded(&format!(r#"{{"a":"{}"}}"#, "x".repeat(9_000)))]
        {
            assert!(parse_context(bad).is_err());
        }
    }
}
