//! Requests for what is not there: headers and sub-resources of features that this server does not have are refused,
//! never ignored. A client that asks for encryption must not be told 200.

use http::{HeaderMap, HeaderName, Uri};

use super::error::{Failure, Result};
use super::query;

/// Query parameters that an operation takes beside those that select it. These are the operations that s3s falls back
/// to when it knows no sub-resource of the query: without this table `DELETE /bucket?typo` would delete the bucket.
const FALLBACKS: &[(&str, &[&str])] = &[
    ("CopyObject", &[]),
    ("CreateBucket", &[]),
    ("DeleteBucket", &[]),
    ("DeleteObject", &["versionId"]),
    ("PutObject", &[]),
];

/// Refuses sub-resources that nobody knows on operations that change something. Parameters that begin with `x-` are
/// the client's own notes for its logs (and a presigned URL's signature).
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>, "Custom access log information"
///
/// # Errors
/// `NotImplemented`.
pub(super) fn refuse_unknown_queries(operation: &str, uri: &Uri) -> Result<()> {
    let Some((_, known)) = FALLBACKS.iter().find(|(name, _)| *name == operation) else { return Ok(()) };
    let is_note = |name: &str| name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"));
    match query::pairs(uri).find(|(name, _)| !known.contains(&name.as_ref()) && !is_note(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = "The sub-resource or query parameter is not implemented for this operation.";
            Err(Failure::with_message("NotImplemented", message).with("Parameter", name))
        }
    }
}

/// Headers that ask for what is the case anyway with these values, and for a missing feature with any other.
const ONLY_WITH: &[(&str, &[&str])] = &[("x-amz-bucket-namespace", &["global"])];

/// Refuses headers that ask for what is not there.
///
/// # Errors
/// `NotImplemented` with the header's name.
pub(super) fn refuse_unsupported_headers(headers: &HeaderMap) -> Result<()> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        let other_value = ONLY_WITH.iter().any(|(known, values)| {
            *known == name && !values.iter().any(|allowed| value.as_bytes() == allowed.as_bytes())
        });
        if other_value {
            return Err(Failure::new("NotImplemented").with("Header", name));
        }
    }
    Ok(())
}

/// Operations that make an object and may lock it.
const LOCKING: &[&str] = &["CopyObject", "CreateMultipartUpload", "PostObject", "PutObject"];

/// Operations that a client may bring its own key to.
const BY_CUSTOMERS: &[&str] = &[
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "GetObject",
    "GetObjectAttributes",
    "HeadObject",
    "ListParts",
    "PostObject",
    "PutObject",
    "UploadPart",
    "UploadPartCopy",
];

/// Operations that copy.
const COPYING: &[&str] = &["CopyObject", "UploadPartCopy"];

/// Headers that some operations take, and that would be ignored by any other.
const ONLY_OF: &[(&str, &[&str])] = &[
    ("x-amz-copy-source-server-side-encryption-customer-algorithm", COPYING),
    ("x-amz-copy-source-server-side-encryption-customer-key", COPYING),
    ("x-amz-copy-source-server-side-encryption-customer-key-md5", COPYING),
    ("x-amz-server-side-encryption-customer-algorithm", BY_CUSTOMERS),
    ("x-amz-server-side-encryption-customer-key", BY_CUSTOMERS),
    ("x-amz-server-side-encryption-customer-key-md5", BY_CUSTOMERS),
    ("x-amz-bucket-object-lock-enabled", &["CreateBucket"]),
    ("x-amz-bypass-governance-retention", &["DeleteObject", "DeleteObjects", "PutObjectRetention"]),
    ("x-amz-object-annotation-directive", &["CopyObject"]),
    ("x-amz-object-lock-legal-hold", LOCKING),
    ("x-amz-object-lock-mode", LOCKING),
    ("x-amz-object-lock-retain-until-date", LOCKING),
    ("x-amz-write-offset-bytes", &["PutObject"]),
];

/// Operations of an upload to which clients repeat how it is encrypted; what counts is what it was created with.
const IN_PARTS: &[&str] = &["CompleteMultipartUpload", "UploadPart"];

/// Headers that say how a new object is encrypted.
const ENCRYPTING: &[&str] = &[
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
];

/// Refuses headers that the operation does not take and that say what shall be done.
///
/// # Errors
/// `NotImplemented` with the header's name; `InvalidArgument` for headers of encryption, as S3 has it.
pub(super) fn refuse_misplaced_headers(operation: &str, headers: &HeaderMap) -> Result<()> {
    let takes = |operation| LOCKING.contains(&operation) || IN_PARTS.contains(&operation);
    // A request has few headers of Amazon's: they are looked up in the tables, not the tables in them.
    let own = || headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    if let Some(name) = own().find(|name| ENCRYPTING.contains(name)).filter(|_| !takes(operation)) {
        let message = format!("{name} header is not supported for this operation.");
        return Err(Failure::with_message("InvalidArgument", message).with("ArgumentName", name));
    }
    let misplaced = |name: &&str| ONLY_OF.iter().any(|(known, of)| known == name && !of.contains(&operation));
    match own().find(misplaced) {
        None => Ok(()),
        Some(name) => Err(Failure::new("NotImplemented").with("Header", name)),
    }
}

/// Operations whose XML (or JSON) body a client may protect with `Content-MD5` or a checksum. s3s parses such bodies without
/// looking at either.
const WITH_XML_BODY: &[&str] = &[
    "CompleteMultipartUpload",
    "CreateBucket",
    "DeleteObjects",
    "PutBucketAbac",
    "PutBucketAccelerateConfiguration",
    "PutBucketAcl",
    "PutBucketCors",
    "PutBucketEncryption",
    "PutBucketLifecycleConfiguration",
    "PutBucketLogging",
    "PutBucketNotificationConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutPublicAccessBlock",
    "RestoreObject",
    "UpdateObjectEncryption",
];

/// Whether the request's body must be kept so that a handler can verify it. A body in signed chunks is not: what is
/// seen of it are the chunks, and their signatures protect it already.
pub(super) fn digests_its_xml(operation: &str, headers: &HeaderMap) -> bool {
    WITH_XML_BODY.contains(&operation)
        && (headers.contains_key("content-md5")
            || headers.keys().any(|name| name.as_str().starts_with("x-amz-checksum-")))
        && !headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<()>) -> Option<String> {
        result.err().map(|failure| failure.code_and_message().0)
    }

    #[test]
    fn an_unknown_sub_resource_never_becomes_the_base_operation() {
        let refused = |operation, uri: &'static str| refuse_unknown_queries(operation, &Uri::from_static(uri)).is_err();
        assert!(refused("DeleteBucket", "/b?typo"));
        assert!(refused("CreateBucket", "/b?replication-metrics"));
        assert!(refused("PutObject", "/b/k?versionId=1"));
        assert!(refused("DeleteObject", "/b/k?foo=1"));
        assert!(!refused("DeleteObject", "/b/k?versionId=1&x-id=DeleteObject"));
        assert!(!refused("PutObject", "/b/k?X-Amz-Signature=0&x-reason=backup"));
        assert!(!refused("ListObjects", "/b?anything"));
    }

    #[test]
    fn headers_of_missing_features_are_refused_and_true_ones_are_not() {
        let check = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.parse().expect("a header value"));
            code(refuse_unsupported_headers(&headers))
        };
        assert_eq!(check("x-amz-bucket-namespace", "account-regional").as_deref(), Some("NotImplemented"));
        for (name, value) in [("x-amz-acl", "public-read"), ("x-amz-meta-server-side-encryption", "AES256")] {
            assert_eq!(check(name, value), None, "{name}: {value}");
        }
    }

    #[test]
    fn encryption_is_asked_for_where_objects_are_made() {
        let refused = |operation, name: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), "AES256".parse().expect("a header value"));
            code(refuse_misplaced_headers(operation, &headers))
        };
        assert_eq!(refused("PutObject", "x-amz-server-side-encryption"), None);
        assert_eq!(refused("GetObject", "x-amz-server-side-encryption").as_deref(), Some("InvalidArgument"));
        assert_eq!(refused("GetObject", "x-amz-server-side-encryption-customer-key"), None);
        let misplaced = refused("DeleteObject", "x-amz-server-side-encryption-customer-key");
        assert_eq!(misplaced.as_deref(), Some("NotImplemented"));
    }
}
