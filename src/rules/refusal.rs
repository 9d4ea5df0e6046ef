//! How S3 says no: an error code, a message, and the further fields that the code comes with.
//!
//! Codes and default messages: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>. The HTTP status
//! of a code is not known here; the protocol has the one table of them.

use std::fmt;

macro_rules! codes {
    (@name $code:ident) => { stringify!($code) };
    (@name $code:ident $name:literal) => { $name };
    ($($code:ident $(as $name:literal)?: $message:literal),* $(,)?) => {
        /// An error code of S3. Each is written on the wire as it is here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $message] $code,)* }

        impl Code {
            /// Every code, for tables that must be complete.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The code as it is written on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$code => codes!(@name $code $($name)?),)* }
            }

            /// What S3 says with this code where there is nothing more particular to say.
            #[must_use]
            pub const fn default_message(self) -> &'static str {
                match self { $(Self::$code => $message,)* }
            }
        }
    };
}

codes! {
    AccessDenied: "Access Denied",
    AnnotationLimitExceeded: "The request would exceed the maximum number of annotations allowed per object.",
    AnnotationNameTooLong: "The annotation name exceeds 512 bytes.",
    BadDigest: "The Content-MD5 or checksum value that you specified did not match what the server received.",
    BadRequest: "Bad Request",
    BucketAlreadyExists: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
    BucketAlreadyOwnedByYou: "Your previous request to create the named bucket succeeded and you already own it.",
    BucketNotEmpty: "The bucket you tried to delete is not empty",
    ConditionalRequestConflict: "The conditional request cannot succeed due to a conflicting operation against this resource.",
    EntityTooLarge: "Your proposed upload exceeds the maximum allowed size",
    EntityTooSmall: "Your proposed upload is smaller than the minimum allowed size",
    IdempotencyParameterMismatch: "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).",
    IllegalLocationConstraintException: "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.",
    IllegalVersioningConfigurationException: "The Versioning element must be specified",
    IncompleteBody: "You did not provide the number of bytes specified by the Content-Length HTTP header",
    InsufficientStorage: "There is not enough free space to store this. Reading and deleting still work.",
    InternalError: "We encountered an internal error. Please try again.",
    InvalidAccessKeyId: "The AWS Access Key Id you provided does not exist in our records.",
    InvalidAnnotationName: "The annotation name you provided is invalid.",
    InvalidArgument: "Invalid Argument",
    InvalidBucketName: "The specified bucket is not valid.",
    InvalidBucketState: "The request is not valid for the current state of the bucket.",
    InvalidDigest: "The Content-MD5 you specified was invalid.",
    InvalidEncryptionAlgorithmError: "The encryption request you specified is not valid. The valid value is AES256.",
    InvalidLocationConstraint: "The specified location-constraint is not valid",
    InvalidObjectState: "The operation is not valid for the object's storage class",
    InvalidPart: "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    InvalidPartNumber: "The requested partnumber is not satisfiable",
    InvalidPartOrder: "The list of parts was not in ascending order. Parts must be ordered by part number.",
    InvalidPolicyDocument: "The content of the form does not meet the conditions specified in the policy document.",
    InvalidPrefix: "The annotation prefix you provided is invalid.",
    InvalidRange: "The requested range is not satisfiable",
    InvalidRedirectLocation: "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
    InvalidRequest: "Invalid Request",
    InvalidRetentionPeriod: "The retention period you specified is not valid.",
    InvalidStorageClass: "The storage class you specified is not valid",
    InvalidTag: "The tag provided was not a valid tag.",
    InvalidURI: "Couldn't parse the specified URI.",
    InvalidWriteOffset: "The write offset value that you specified does not match the current object size.",
    KmsNotFoundException as "KMS.NotFoundException": "The key does not exist.",
    KeyTooLongError: "Your key is too long",
    MalformedTrailerError: "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    MalformedXML: "The XML you provided was not well-formed or did not validate against our published schema",
    MetadataTooLarge: "Your metadata headers exceed the maximum allowed metadata size",
    MethodNotAllowed: "The specified method is not allowed against this resource.",
    MissingContentLength: "You must provide the Content-Length HTTP header.",
    NoSuchAnnotation: "The specified annotation does not exist on this object.",
    NoSuchBucket: "The specified bucket does not exist",
    NoSuchObjectLockConfiguration: "The specified object does not have a ObjectLock configuration",
    NoSuchKey: "The specified key does not exist.",
    NoSuchTagSet: "The TagSet does not exist",
    NoSuchUpload: "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    NoSuchVersion: "The specified version does not exist.",
    NotImplemented: "A header you provided implies functionality that is not implemented",
    NotModified: "Not Modified",
    ObjectLockConfigurationNotFoundError: "Object Lock configuration does not exist for this bucket",
    OperationAborted: "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    PreconditionFailed: "At least one of the pre-conditions you specified did not hold",
    QuotaExceeded: "The bucket's quota does not allow this.",
    RequestTimeout: "Your socket connection to the server was not read from or written to within the timeout period.",
    RestoreAlreadyInProgress: "Object restore is already in progress",
    ServiceUnavailable: "Service is unable to handle request.",
    ServerSideEncryptionConfigurationNotFoundError: "The server side encryption configuration was not found",
    SlowDown: "Please reduce your request rate.",
    TooManyBuckets: "You have attempted to create more buckets than allowed",
    TooManyParts: "You have attempted to add more parts than the maximum of 10000 that are allowed for this object.",
    UnexpectedContent: "This request does not support content",
    UnsupportedMediaType: "The annotation payload is not valid UTF-8 encoded text.",
    XAmzContentSHA256Mismatch: "The provided 'x-amz-content-sha256' header does not match what was computed.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that S3 refuses, in S3's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The message, for people.
    pub message: String,
    /// The further fields of the error, in the order in which they are written: `Key`, `Condition`, `ArgumentName` …
    pub details: Vec<(&'static str, String)>,
}

/// What a rule answers.
pub type Result<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal with its own message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// The value of a field.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// `InvalidRequest` with its reason.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// `InvalidArgument`: a query parameter or header and the value that it must not have.
    #[must_use]
    pub fn invalid_argument(name: &str, value: &str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message).with("ArgumentName", name).with("ArgumentValue", value)
    }

    /// `InvalidArgument` for a `versionId` that is no version id at all.
    #[must_use]
    pub fn invalid_version_id(value: &str) -> Self {
        Self::invalid_argument("versionId", value, "Invalid version id specified")
    }

    /// `NoSuchBucket`.
    #[must_use]
    pub fn no_such_bucket(bucket: &str) -> Self {
        Self::from(Code::NoSuchBucket).with("BucketName", bucket)
    }

    /// `NoSuchKey`.
    #[must_use]
    pub fn no_such_key(key: &str) -> Self {
        Self::from(Code::NoSuchKey).with("Key", key)
    }

    /// `NoSuchVersion`.
    #[must_use]
    pub fn no_such_version(key: &str, version: &str) -> Self {
        Self::from(Code::NoSuchVersion).with("Key", key).with("VersionId", version)
    }

    /// `NoSuchUpload`.
    #[must_use]
    pub fn no_such_upload(upload: &str) -> Self {
        Self::from(Code::NoSuchUpload).with("UploadId", upload)
    }

    /// `MethodNotAllowed` on a delete marker.
    #[must_use]
    pub fn delete_marker(method: &str) -> Self {
        Self::from(Code::MethodNotAllowed).with("Method", method).with("ResourceType", "DeleteMarker")
    }

    /// `PreconditionFailed`, with the condition as S3 spells it.
    #[must_use]
    pub fn precondition_failed(condition: &str) -> Self {
        Self::from(Code::PreconditionFailed).with("Condition", condition)
    }

    /// `NotImplemented` for a header that S3 does not take on general purpose buckets.
    #[must_use]
    pub fn header_not_implemented(header: &str) -> Self {
        Self::from(Code::NotImplemented).with("Header", header)
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code, code.default_message())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_s3_writes_them_and_never_twice() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.contains(&"NoSuchKey") && names.contains(&"MalformedXML"));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(Code::ALL.iter().all(|code| !code.default_message().is_empty()));
    }

    #[test]
    fn a_refusal_carries_its_fields_in_order() {
        let refusal = Refusal::no_such_version("k", "v");
        assert_eq!(refusal.details, [("Key", "k".to_owned()), ("VersionId", "v".to_owned())]);
        assert_eq!(refusal.detail("VersionId"), Some("v"));
        assert_eq!(refusal.to_string(), "NoSuchVersion: The specified version does not exist.");
    }
}
