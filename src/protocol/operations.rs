//! The table of S3's operations, and what this server does with each. The README prints it, metrics take their labels
//! from it, and the authorisation refuses what has no handler.

/// What the server does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what S3 does.
    Acts,
    /// It answers truthfully about a feature that is never on here: "there is none", "it is suspended".
    Answers,
    /// It is refused with `NotImplemented`, once the caller is known and may ask.
    NotImplemented,
}

use Support::{Acts, Answers, NotImplemented};

/// Every operation that the protocol knows, in S3's spelling and in order.
pub const OPERATIONS: &[(&str, Support)] = &[
    ("AbortMultipartUpload", Acts),
    ("CompleteMultipartUpload", Acts),
    ("CopyObject", Acts),
    ("CreateBucket", Acts),
    ("CreateBucketMetadataConfiguration", NotImplemented),
    ("CreateBucketMetadataTableConfiguration", NotImplemented),
    ("CreateMultipartUpload", Acts),
    ("CreateSession", NotImplemented),
    ("DeleteAccountPublicAccessBlock", Acts),
    ("DeleteBucket", Acts),
    ("DeleteBucketAnalyticsConfiguration", NotImplemented),
    ("DeleteBucketCors", Acts),
    ("DeleteBucketEncryption", Acts),
    ("DeleteBucketIntelligentTieringConfiguration", NotImplemented),
    ("DeleteBucketInventoryConfiguration", NotImplemented),
    ("DeleteBucketLifecycle", Acts),
    ("DeleteBucketMetadataConfiguration", NotImplemented),
    ("DeleteBucketMetadataTableConfiguration", NotImplemented),
    ("DeleteBucketMetricsConfiguration", NotImplemented),
    ("DeleteBucketOwnershipControls", Acts),
    ("DeleteBucketPolicy", Acts),
    ("DeleteBucketReplication", NotImplemented),
    ("DeleteBucketTagging", Acts),
    ("DeleteBucketWebsite", Acts),
    ("DeleteObject", Acts),
    ("DeleteObjectAnnotation", Acts),
    ("DeleteObjectTagging", Acts),
    ("DeleteObjects", Acts),
    ("DeletePublicAccessBlock", Acts),
    ("GetAccountPublicAccessBlock", Acts),
    ("GetBucketAbac", Acts),
    ("GetBucketAccelerateConfiguration", Answers),
    ("GetBucketAcl", Acts),
    ("GetBucketAnalyticsConfiguration", Answers),
    ("GetBucketCors", Acts),
    ("GetBucketEncryption", Acts),
    ("GetBucketIntelligentTieringConfiguration", Answers),
    ("GetBucketInventoryConfiguration", Answers),
    ("GetBucketLifecycleConfiguration", Acts),
    ("GetBucketLocation", Acts),
    ("GetBucketLogging", Acts),
    ("GetBucketMetadataConfiguration", NotImplemented),
    ("GetBucketMetadataTableConfiguration", NotImplemented),
    ("GetBucketMetricsConfiguration", Answers),
    ("GetBucketNotificationConfiguration", Acts),
    ("GetBucketOwnershipControls", Acts),
    ("GetBucketPolicy", Acts),
    ("GetBucketPolicyStatus", Acts),
    ("GetBucketReplication", Answers),
    ("GetBucketRequestPayment", Answers),
    ("GetBucketTagging", Acts),
    ("GetBucketVersioning", Acts),
    ("GetBucketWebsite", Acts),
    ("GetObject", Acts),
    ("GetObjectAcl", Acts),
    ("GetObjectAnnotation", Acts),
    ("GetObjectAttributes", Acts),
    ("GetObjectLegalHold", Acts),
    ("GetObjectLockConfiguration", Acts),
    ("GetObjectRetention", Acts),
    ("GetObjectTagging", Acts),
    ("GetObjectTorrent", NotImplemented),
    ("GetPublicAccessBlock", Acts),
    ("HeadBucket", Acts),
    ("HeadObject", Acts),
    ("ListBucketAnalyticsConfigurations", Answers),
    ("ListBucketIntelligentTieringConfigurations", Answers),
    ("ListBucketInventoryConfigurations", Answers),
    ("ListBucketMetricsConfigurations", Answers),
    ("ListBuckets", Acts),
    ("ListDirectoryBuckets", NotImplemented),
    ("ListMultipartUploads", Acts),
    ("ListObjectAnnotations", Acts),
    ("ListObjectVersions", Acts),
    ("ListObjects", Acts),
    ("ListObjectsV2", Acts),
    ("ListParts", Acts),
    ("ListTagsForResource", Acts),
    ("ListenBucketNotification", Acts),
    ("PostObject", Acts),
    ("PutAccountPublicAccessBlock", Acts),
    ("PutBucketAbac", Acts),
    ("PutBucketAccelerateConfiguration", Answers),
    ("PutBucketAcl", Acts),
    ("PutBucketAnalyticsConfiguration", NotImplemented),
    ("PutBucketCors", Acts),
    ("PutBucketEncryption", Acts),
    ("PutBucketIntelligentTieringConfiguration", NotImplemented),
    ("PutBucketInventoryConfiguration", NotImplemented),
    ("PutBucketLifecycleConfiguration", Acts),
    ("PutBucketLogging", Acts),
    ("PutBucketMetricsConfiguration", NotImplemented),
    ("PutBucketNotificationConfiguration", Acts),
    ("PutBucketOwnershipControls", Acts),
    ("PutBucketPolicy", Acts),
    ("PutBucketReplication", NotImplemented),
    ("PutBucketRequestPayment", Answers),
    ("PutBucketTagging", Acts),
    ("PutBucketVersioning", Acts),
    ("PutBucketWebsite", Acts),
    ("PutObject", Acts),
    ("PutObjectAcl", Acts),
    ("PutObjectAnnotation", Acts),
    ("PutObjectLegalHold", Acts),
    ("PutObjectLockConfiguration", Acts),
    ("PutObjectRetention", Acts),
    ("PutObjectTagging", Acts),
    ("PutPublicAccessBlock", Acts),
    ("RenameObject", Acts),
    ("RestoreObject", Acts),
    ("SelectObjectContent", NotImplemented),
    ("TagResource", Acts),
    ("UntagResource", Acts),
    ("UpdateBucketMetadataAnnotationTableConfiguration", NotImplemented),
    ("UpdateBucketMetadataInventoryTableConfiguration", NotImplemented),
    ("UpdateBucketMetadataJournalTableConfiguration", NotImplemented),
    ("UpdateObjectEncryption", Acts),
    ("UploadPart", Acts),
    ("UploadPartCopy", Acts),
    ("WriteGetObjectResponse", NotImplemented),
];

/// The table's row for `operation`. One that the table does not have is not implemented, and has no name of its own:
/// what is done with the name (metrics) needs a closed set.
#[must_use]
pub fn operation(operation: &str) -> (&'static str, Support) {
    let row =
        OPERATIONS.binary_search_by_key(&operation, |(name, _)| name).ok().and_then(|index| OPERATIONS.get(index));
    row.copied().unwrap_or(("Unknown", NotImplemented))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ordered_and_names_nothing_twice() {
        assert!(OPERATIONS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert_eq!(operation("PutObject"), ("PutObject", Acts));
        assert_eq!(operation("GetBucketReplication").1, Answers);
        assert_eq!(operation("PutBucketReplication").1, NotImplemented);
        assert_eq!(operation("InventedOperation"), ("Unknown", NotImplemented));
    }
}
