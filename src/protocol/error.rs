//! How the protocol says no: the one table of S3's error codes and their status, and the way from every error below
//! to the error that s3s writes.

use http::header::{ALLOW, CONTENT_TYPE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::stream::aws_chunked_stream::AwsChunkedStreamError;
use s3s::stream::upload_stream::UploadStreamError;
use s3s::{BodySizeLimitExceeded, S3Error, S3ErrorCode};
use storage::StoreError;

use super::context::RequestContext;
use super::convert;
use super::post_form::FileError;
use crate::object::{self, Addressed};
use crate::rules::{Code, Refusal};

pub(super) const X_AMZ_VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
/// The field of a denial with its reasons, sealed: `sts:DecodeAuthorizationMessage` opens it.
pub(super) const ENCODED_MESSAGE: &str = "EncodedMessage";
const X_AMZ_DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");

/// Every code that this server makes, its status, and its message where the protocol itself, not a rule, says no.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
const CODES: &[(&str, u16, &str)] = &[
    ("AccessControlListNotSupported", 400, "The bucket does not allow ACLs"),
    ("AccessDenied", 403, "Access Denied"),
    ("AccessForbidden", 403, "CORSResponse: CORS is not enabled for this bucket."),
    ("AmbiguousGrantByEmailAddress", 400, "The email address you provided is associated with more than one account."),
    ("AnnotationLimitExceeded", 400, ""),
    ("AnnotationNameTooLong", 400, ""),
    ("AuthorizationHeaderMalformed", 400, "The authorization header that you provided is not valid."),
    ("AuthorizationQueryParametersError", 403, "The authorization query parameters that you provided are not valid."),
    ("BadDigest", 400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    ("BadRequest", 400, "Bad Request"),
    ("BucketAlreadyExists", 409, ""),
    (
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    ("BucketNotEmpty", 409, ""),
    ("ConditionalRequestConflict", 409, ""),
    ("CrossLocationLoggingProhibitted", 403, "Cross S3 location logging not allowed. "),
    ("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size"),
    ("EntityTooSmall", 400, ""),
    ("ExpiredToken", 400, "The provided token has expired."),
    ("IdempotencyParameterMismatch", 400, ""),
    ("IllegalLocationConstraintException", 400, ""),
    ("IllegalVersioningConfigurationException", 400, "The Versioning element must be specified"),
    ("IncompleteBody", 400, "You did not provide the number of bytes specified by the Content-Length HTTP header"),
    ("InsufficientStorage", 507, "There is not enough free space to store this. Reading and deleting still work."),
    ("InternalError", 500, "We encountered an internal error. Please try again."),
    ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    ("InvalidAnnotationName", 400, ""),
    ("InvalidArgument", 400, "Invalid Argument"),
    (
        "InvalidBucketAclWithObjectOwnership",
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    ("InvalidBucketName", 400, "The specified bucket is not valid."),
    (
        "InvalidBucketOwnerAWSAccountID",
        400,
        "The value of the expected bucket owner parameter must be an AWS account ID",
    ),
    ("InvalidBucketState", 409, ""),
    ("InvalidDigest", 400, "The Content-MD5 you specified was invalid."),
    ("InvalidEncryptionAlgorithmError", 400, ""),
    ("InvalidLocationConstraint", 400, ""),
    ("InvalidObjectState", 403, ""),
    ("InvalidPart", 400, ""),
    ("InvalidPartNumber", 416, ""),
    ("InvalidPartOrder", 400, ""),
    ("InvalidPolicyDocument", 400, ""),
    ("InvalidPrefix", 400, ""),
    ("InvalidRange", 416, ""),
    ("InvalidRedirectLocation", 400, ""),
    ("InvalidRequest", 400, "Invalid Request"),
    ("InvalidRetentionPeriod", 400, ""),
    ("InvalidStorageClass", 400, ""),
    ("InvalidTag", 400, ""),
    ("InvalidTargetBucketForLogging", 400, "The target bucket for logging does not exist"),
    ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    ("InvalidURI", 400, ""),
    ("InvalidWriteOffset", 400, ""),
    ("KMS.NotFoundException", 400, ""),
    ("KeyTooLongError", 400, ""),
    (
        "MalformedACLError",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("MalformedPOSTRequest", 400, "The body of your POST request is not well-formed multipart/form-data."),
    ("MalformedPolicy", 400, "This policy contains invalid Json"),
    ("MalformedTrailerError", 400, ""),
    ("MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema"),
    (
        "MaxPostPreDataLengthExceeded",
        400,
        "Your POST request fields preceding the upload file were too large. They must not exceed 20 KB.",
    ),
    ("MetadataTooLarge", 400, ""),
    ("MethodNotAllowed", 405, "The specified method is not allowed against this resource."),
    ("MissingContentLength", 411, ""),
    ("MissingSecurityHeader", 400, "Your request was missing a required header"),
    ("NoSuchAnnotation", 404, ""),
    ("NoSuchBucket", 404, "The specified bucket does not exist"),
    ("NoSuchBucketPolicy", 404, "The bucket policy does not exist"),
    ("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist"),
    ("NoSuchConfiguration", 404, "The specified configuration does not exist."),
    ("NoSuchKey", 404, "The specified key does not exist."),
    ("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist"),
    ("NoSuchObjectLockConfiguration", 404, ""),
    ("NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found"),
    ("NoSuchTagSet", 404, ""),
    ("NoSuchUpload", 404, ""),
    ("NoSuchVersion", 404, ""),
    ("NoSuchWebsiteConfiguration", 404, "The specified bucket does not have a website configuration"),
    ("NotFound", 404, "There is nothing at this path."),
    ("NotImplemented", 501, "A header you provided implies functionality that is not implemented"),
    ("NotModified", 304, ""),
    ("ObjectLockConfigurationNotFoundError", 404, ""),
    ("OperationAborted", 409, ""),
    ("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found"),
    ("PreconditionFailed", 412, ""),
    ("QuotaExceeded", 403, ""),
    ("ReplicationConfigurationNotFoundError", 404, "The replication configuration was not found"),
    ("RequestTimeout", 400, ""),
    ("RestoreAlreadyInProgress", 409, ""),
    ("ServerSideEncryptionConfigurationNotFoundError", 404, ""),
    ("ServiceUnavailable", 503, "Service is unable to handle request."),
    (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    ("SlowDown", 503, "Please reduce your request rate."),
    ("TooManyBuckets", 400, ""),
    ("TooManyParts", 400, ""),
    ("UnexpectedContent", 400, ""),
    ("UnresolvableGrantByEmailAddress", 400, "The email address you provided does not match any account on record."),
    ("UnsupportedMediaType", 415, ""),
    ("XAmzContentSHA256Mismatch", 400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
];

/// The status of a code; 500 for one that the table does not have.
pub(super) fn status(code: &str) -> StatusCode {
    row(code).and_then(|(_, status, _)| StatusCode::from_u16(*status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What is said with a code where there is nothing more particular to say; `None` for one that the table does not have.
pub(super) fn message(code: &str) -> Option<&'static str> {
    let (_, _, own) = row(code)?;
    if own.is_empty() {
        return Code::ALL.iter().find(|known| known.as_str() == code).map(|known| known.default_message());
    }
    Some(own)
}

fn row(code: &str) -> Option<&'static (&'static str, u16, &'static str)> {
    CODES.binary_search_by_key(&code, |(known, _, _)| known).ok().and_then(|index| CODES.get(index))
}

/// Why a request fails, before it is in s3s's words.
#[derive(Debug)]
pub(super) enum Failure {
    /// The object layer, or a rule, refused.
    Object(object::Error),
    /// The protocol refused, with a code of the table.
    Protocol { code: &'static str, message: Option<String>, details: Vec<(&'static str, String)> },
}

/// What handlers answer.
pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A refusal with the code's own message.
    pub(super) fn new(code: &'static str) -> Self {
        Self::Protocol { code, message: None, details: Vec::new() }
    }

    /// A refusal with its own message.
    pub(super) fn with_message(code: &'static str, message: impl Into<String>) -> Self {
        Self::Protocol { code, message: Some(message.into()), details: Vec::new() }
    }

    /// Adds a field to the protocol's refusal.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Protocol { details, .. } = &mut self {
            details.push((name, value.into()));
        }
        self
    }

    /// Whether it says that the caller may not.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Protocol { code: "AccessDenied", .. })
    }

    /// What was added to the protocol's refusal under this name.
    pub(super) fn detail(&self, name: &str) -> Option<&str> {
        let Self::Protocol { details, .. } = self else { return None };
        details.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The code and message, as an entry of a list of errors has them.
    pub(super) fn code_and_message(self) -> (String, String) {
        let answer = self.answer("DELETE");
        (answer.code, answer.message)
    }

    /// The error for s3s; the context gets the fields that s3s's error cannot carry.
    pub(super) fn into_s3(self, context: &RequestContext) -> S3Error {
        let answer = self.answer(context.method.as_str());
        let code = answer.code.parse().unwrap_or(S3ErrorCode::InternalError);
        let mut error = S3Error::with_message(code, answer.message);
        error.set_status_code(answer.status);
        if !answer.headers.is_empty() {
            let mut headers = answer.headers;
            // s3s replaces all headers of the answer by these.
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/xml"));
            error.set_headers(headers);
        }
        context.note_error(answer.details);
        error
    }

    /// The error as it will be written, to a request with this method.
    pub(super) fn answer(self, method: &str) -> Answer {
        match self {
            Self::Protocol { code, message: own, details } => {
                let text = own.or_else(|| message(code).map(str::to_owned)).unwrap_or_default();
                Answer {
                    code: code.to_owned(),
                    status: status(code),
                    message: text,
                    details,
                    headers: HeaderMap::new(),
                }
            }
            Self::Object(error) => Answer::of(error, method),
        }
    }
}

impl From<object::Error> for Failure {
    fn from(error: object::Error) -> Self {
        Self::Object(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Object(object::Error::Refused(refusal))
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Refusal::from(code).into()
    }
}

/// An error as it will be written.
#[derive(Debug)]
pub(super) struct Answer {
    pub code: String,
    pub status: StatusCode,
    pub message: String,
    pub details: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
}

impl Answer {
    fn of(error: object::Error, method: &str) -> Self {
        match error {
            object::Error::Refused(refusal) => Self::of_refusal(refusal),
            object::Error::DeleteMarker { key, version, modified, addressed } => {
                let mut headers = HeaderMap::new();
                headers.insert(X_AMZ_DELETE_MARKER, HeaderValue::from_static("true"));
                headers.extend(convert::header_value(&version.to_string()).map(|value| (X_AMZ_VERSION_ID, value)));
                let refusal = match addressed {
                    Addressed::Current => Refusal::no_such_key(&key),
                    Addressed::Version => {
                        headers.insert(ALLOW, HeaderValue::from_static("DELETE"));
                        headers.extend(
                            convert::header_value(&convert::http_date(modified)).map(|value| (LAST_MODIFIED, value)),
                        );
                        Refusal::delete_marker(method)
                    }
                };
                Self { headers, ..Self::of_refusal(refusal) }
            }
            object::Error::NotModified { etag, modified, version } => {
                let mut headers = HeaderMap::new();
                headers.extend(convert::header_value(&format!("\"{etag}\"")).map(|value| (ETAG, value)));
                headers
                    .extend(convert::header_value(&convert::http_date(modified)).map(|value| (LAST_MODIFIED, value)));
                let version = version.and_then(|version| convert::header_value(&version.to_string()));
                headers.extend(version.map(|value| (X_AMZ_VERSION_ID, value)));
                Self { headers, ..Self::of_refusal(Code::NotModified.into()) }
            }
            object::Error::Body(error) => body_failure(error.as_ref()).answer(method),
            object::Error::Store(error) => Self::of_refusal(store_refusal(&error)),
        }
    }

    fn of_refusal(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.as_str().to_owned(),
            status: status(refusal.code.as_str()),
            message: refusal.message,
            details: refusal.details,
            headers: HeaderMap::new(),
        }
    }
}

/// Why a request's body ended with an error. What is no verdict of s3s is a connection that broke off.
pub(super) fn body_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    if error.is::<BodySizeLimitExceeded>() {
        return Failure::new("EntityTooLarge");
    }
    if let Some(error) = error.downcast_ref::<UploadStreamError>() {
        return match error {
            UploadStreamError::Underlying(inner) => body_failure(inner.as_ref()),
            UploadStreamError::Sha256Mismatch => Failure::new("XAmzContentSHA256Mismatch"),
            UploadStreamError::LengthMismatch | UploadStreamError::Incomplete => Failure::new("IncompleteBody"),
        };
    }
    if let Some(error) = error.downcast_ref::<AwsChunkedStreamError>() {
        return chunk_failure(error);
    }
    if let Some(error) = error.downcast_ref::<FileError>() {
        return error.failure();
    }
    tracing::debug!(error, "a client's body broke off");
    Failure::new("IncompleteBody")
}

fn chunk_failure(error: &AwsChunkedStreamError) -> Failure {
    match error {
        AwsChunkedStreamError::Underlying(inner) => body_failure(inner.as_ref()),
        AwsChunkedStreamError::SignatureMismatch => Failure::new("SignatureDoesNotMatch"),
        AwsChunkedStreamError::ChunkMetaTooLarge(..) => {
            Failure::with_message("InvalidRequest", "A chunk's header is longer than any chunk header can be")
        }
        AwsChunkedStreamError::ChunkDataTooLarge(_, limit) => Failure::with_message(
            "EntityTooLarge",
            format!("A signed chunk is larger than {limit} bytes. Send the body in smaller chunks."),
        ),
        AwsChunkedStreamError::TrailersTooLarge(..) | AwsChunkedStreamError::TooManyTrailerHeaders(..) => {
            Failure::new("MalformedTrailerError")
        }
        AwsChunkedStreamError::FormatError
        | AwsChunkedStreamError::Incomplete
        | AwsChunkedStreamError::LengthMismatch => Failure::new("IncompleteBody"),
    }
}

/// What the store's errors mean to a client. What an operator must see is logged here, where it is handled.
fn store_refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Conflict => Code::OperationAborted.into(),
        StoreError::Contention(_) => Code::SlowDown.into(),
        StoreError::Full(_) => {
            tracing::warn!(%error, "a write was refused");
            Code::InsufficientStorage.into()
        }
        StoreError::Closed => Code::ServiceUnavailable.into(),
        StoreError::Tier { .. } => {
            tracing::warn!(%error, "a storage tier failed a request");
            let message = "The storage tier that holds the object does not answer. Please try again later.";
            Refusal::new(Code::ServiceUnavailable, message)
        }
        StoreError::Corrupt(_) | StoreError::Io(_) | StoreError::Index(_) | StoreError::Open(_) => {
            tracing::error!(%error, "the store failed a request");
            Code::InternalError.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn every_code_has_one_row_and_a_message() {
        assert!(CODES.is_sorted_by(|(a, ..), (b, ..)| a < b), "ordered, and none twice");
        for code in Code::ALL {
            assert!(row(code.as_str()).is_some(), "{code} has no status");
        }
        for (code, number, _) in CODES {
            assert!(message(code).is_some_and(|message| !message.is_empty()), "{code} has no message");
            assert_eq!(status(code).as_u16(), *number, "{code}");
        }
    }

    #[test]
    fn verdicts_on_the_body_are_seen_through_their_wrappers() {
        let inner = UploadStreamError::Underlying(Box::new(BodySizeLimitExceeded { size: 2, limit: 1 }));
        let table: Vec<(Box<dyn std::error::Error>, &str)> = vec![
            (Box::new(inner), "EntityTooLarge"),
            (Box::new(UploadStreamError::Sha256Mismatch), "XAmzContentSHA256Mismatch"),
            (Box::new(AwsChunkedStreamError::Incomplete), "IncompleteBody"),
            (Box::new(AwsChunkedStreamError::SignatureMismatch), "SignatureDoesNotMatch"),
            (Box::new(std::io::Error::other("reset")), "IncompleteBody"),
        ];
        for (error, code) in table {
            assert_eq!(body_failure(error.as_ref()).code_and_message().0, code, "{error}");
        }
    }

    #[test]
    fn fields_reach_the_context_and_headers_keep_the_content_type() {
        let context =
            RequestContext::new(super::super::context::RequestId::random([0; 16]), Method::GET, HeaderMap::new());
        let version = object::VersionLabel::Null;
        let marker = object::Error::DeleteMarker {
            key: "k".to_owned(),
            version,
            modified: storage::types::Timestamp(0),
            addressed: Addressed::Version,
        };
        let error = Failure::from(marker).into_s3(&context);
        assert_eq!(error.status_code(), Some(StatusCode::METHOD_NOT_ALLOWED));
        let headers = error.headers().expect("headers");
        assert_eq!(headers[X_AMZ_VERSION_ID], "null");
        assert_eq!(headers[ALLOW], "DELETE");
        assert_eq!(headers[CONTENT_TYPE], "application/xml");
        assert_eq!(
            context.take_error(),
            Some(vec![("Method", "GET".to_owned()), ("ResourceType", "DeleteMarker".to_owned())])
        );
    }
}
