//! What a line calls an operation: `REST.`, the method, and the type of the resource.
//!
//! Amazon documents the form and a few of the names; the others are those that its logs are known to have.

use std::borrow::Cow;

/// What a deletion of one key among many is called.
pub const BATCH_DELETE: &str = "BATCH.DELETE.OBJECT";

/// The type of resource behind the operations whose request does not show it by being about a bucket or an object.
const RESOURCES: &[(&str, &str)] = &[
    ("AbortMultipartUpload", "UPLOAD"),
    ("CompleteMultipartUpload", "UPLOAD"),
    ("CreateBucket", "BUCKET"),
    ("CreateMultipartUpload", "UPLOADS"),
    ("DeleteBucket", "BUCKET"),
    ("DeleteObject", "OBJECT"),
    ("DeleteObjects", "MULTI_OBJECT_DELETE"),
    ("GetBucketLocation", "LOCATION"),
    ("GetBucketLogging", "LOGGING_STATUS"),
    ("GetObject", "OBJECT"),
    ("GetObjectAttributes", "OBJECT_ATTRIBUTES"),
    ("HeadBucket", "BUCKET"),
    ("HeadObject", "OBJECT"),
    ("ListMultipartUploads", "UPLOADS"),
    ("ListObjectVersions", "BUCKETVERSIONS"),
    ("ListObjects", "BUCKET"),
    ("ListObjectsV2", "BUCKET"),
    ("ListParts", "UPLOAD"),
    ("PostObject", "OBJECT"),
    ("Preflight", "PREFLIGHT"),
    ("PutBucketLogging", "LOGGING_STATUS"),
    ("PutObject", "OBJECT"),
    ("RenameObject", "OBJECT"),
    ("RestoreObject", "OBJECT"),
    ("UploadPart", "PART"),
];

/// The type of resource of sub-resources, by what is left of an operation's name without its verb.
const SUB_RESOURCES: &[(&str, &str)] = &[
    ("BucketAbac", "ABAC"),
    ("BucketAccelerateConfiguration", "ACCELERATE"),
    ("BucketAcl", "ACL"),
    ("BucketAnalyticsConfiguration", "ANALYTICS"),
    ("BucketAnalyticsConfigurations", "ANALYTICS"),
    ("BucketCors", "CORS"),
    ("BucketEncryption", "ENCRYPTION"),
    ("BucketIntelligentTieringConfiguration", "INTELLIGENT_TIERING"),
    ("BucketIntelligentTieringConfigurations", "INTELLIGENT_TIERING"),
    ("BucketInventoryConfiguration", "INVENTORY"),
    ("BucketInventoryConfigurations", "INVENTORY"),
    ("BucketLifecycle", "LIFECYCLE"),
    ("BucketLifecycleConfiguration", "LIFECYCLE"),
    ("BucketMetricsConfiguration", "METRICS"),
    ("BucketMetricsConfigurations", "METRICS"),
    ("BucketNotificationConfiguration", "NOTIFICATION"),
    ("BucketOwnershipControls", "OWNERSHIP_CONTROLS"),
    ("BucketPolicy", "BUCKETPOLICY"),
    ("BucketPolicyStatus", "POLICY_STATUS"),
    ("BucketReplication", "REPLICATION"),
    ("BucketRequestPayment", "REQUEST_PAYMENT"),
    ("BucketTagging", "TAGGING"),
    ("BucketVersioning", "VERSIONING"),
    ("BucketWebsite", "WEBSITE"),
    ("ObjectAcl", "ACL"),
    ("ObjectAnnotation", "ANNOTATION"),
    ("ObjectAnnotations", "ANNOTATION"),
    ("ObjectLegalHold", "LEGAL_HOLD"),
    ("ObjectLockConfiguration", "OBJECT_LOCK_CONFIGURATION"),
    ("ObjectRetention", "RETENTION"),
    ("ObjectTagging", "OBJECT_TAGGING"),
    ("ObjectTorrent", "TORRENT"),
    ("PublicAccessBlock", "PUBLIC_ACCESS_BLOCK"),
];

/// What a line calls the operation of this name, asked for with this method; `on_object` says whether the request names a
/// key, for requests that never became an operation.
#[must_use]
pub fn operation(name: &str, method: &str, on_object: bool) -> Cow<'static, str> {
    match (name, method) {
        ("CopyObject", _) => return Cow::Borrowed("REST.COPY.OBJECT"),
        ("UploadPartCopy", _) => return Cow::Borrowed("REST.COPY.PART"),
        // Nearly all requests are one of these.
        ("GetObject", "GET") => return Cow::Borrowed("REST.GET.OBJECT"),
        ("HeadObject", "HEAD") => return Cow::Borrowed("REST.HEAD.OBJECT"),
        ("PutObject", "PUT") => return Cow::Borrowed("REST.PUT.OBJECT"),
        _ => {}
    }
    if name.starts_with("Website") {
        return Cow::Owned(format!("WEBSITE.{method}.OBJECT"));
    }
    let row = |table: &[(&str, &'static str)], name: &str| {
        let found = table.binary_search_by_key(&name, |(known, _)| known).ok();
        found.and_then(|index| table.get(index)).map(|(_, resource)| *resource)
    };
    let noun = name.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let noun = noun.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let unknown = if on_object { "OBJECT" } else { "BUCKET" };
    let resource = row(RESOURCES, name).or_else(|| row(SUB_RESOURCES, noun)).unwrap_or(unknown);
    Cow::Owned(format!("REST.{method}.{resource}"))
}

/// What the line in the log of a copy's source says; `None` for an operation that copies nothing.
#[must_use]
pub fn read_by_copy(name: &str) -> Option<&'static str> {
    match name {
        "CopyObject" => Some("REST.COPY.OBJECT_GET"),
        "UploadPartCopy" => Some("REST.COPY.PART_GET"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_ordered() {
        assert!(RESOURCES.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(SUB_RESOURCES.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn operations_have_amazons_names() {
        for (name, method, expected) in [
            ("GetObject", "GET", "REST.GET.OBJECT"),
            ("HeadObject", "HEAD", "REST.HEAD.OBJECT"),
            ("PutObject", "PUT", "REST.PUT.OBJECT"),
            ("CopyObject", "PUT", "REST.COPY.OBJECT"),
            ("UploadPart", "PUT", "REST.PUT.PART"),
            ("CreateMultipartUpload", "POST", "REST.POST.UPLOADS"),
            ("DeleteObjects", "POST", "REST.POST.MULTI_OBJECT_DELETE"),
            ("GetBucketPolicy", "GET", "REST.GET.BUCKETPOLICY"),
            ("GetBucketVersioning", "GET", "REST.GET.VERSIONING"),
            ("PutBucketLogging", "PUT", "REST.PUT.LOGGING_STATUS"),
            ("DeleteBucketCors", "DELETE", "REST.DELETE.CORS"),
            ("GetObjectAcl", "GET", "REST.GET.ACL"),
            ("Preflight", "OPTIONS", "REST.OPTIONS.PREFLIGHT"),
            ("WebsiteGet", "GET", "WEBSITE.GET.OBJECT"),
        ] {
            assert_eq!(operation(name, method, true), expected, "{name}");
        }
        assert_eq!(operation("Unknown", "GET", true), "REST.GET.OBJECT");
        assert_eq!(operation("Unknown", "DELETE", false), "REST.DELETE.BUCKET");
    }
}
