//! The table of what each operation needs: AWS's actions, on which resource, and which grant of an access control list
//! stands for them. The authorisation is driven by it; an operation without a row does not exist.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>; what a list's grants stand
//! for: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#acl-access-policy-permission-mapping>

use http::HeaderMap;

use crate::rules::acl::Permission;

/// What an action is done to, and so: who owns it, and whose access control list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// The account: `*`, of the caller's own account.
    Account,
    /// A bucket that is to be made, of the caller's own account.
    NewBucket,
    /// The bucket, and its list.
    Bucket,
    /// A key, whatever is there: it is the bucket's owner's to give, and the bucket's list counts.
    Key,
    /// An upload to a key: as a key, and whoever initiated it may.
    Upload,
    /// An object that exists: it is its owner's to give, and the object's own list counts.
    Object,
    /// The tags of an object that exists: they are the bucket's owner's to give, whoever owns the object
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html>).
    Tags,
    /// What a request says about the object that it makes, who will own it.
    NewObject,
}

impl On {
    /// Whether there must be an object.
    pub(super) fn needs_object(self) -> bool {
        matches!(self, Self::Object | Self::Tags)
    }
}

/// When an operation needs an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The request has this header.
    Header(&'static str),
    /// The request has this header, and it says yes.
    HeaderSaysYes(&'static str),
    /// The request says something about an access control list.
    AclHeaders,
}

/// An action that an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action {
    name: &'static str,
    versioned: &'static str,
    /// What it is done to.
    pub on: On,
    when: When,
    /// The grant that stands for it on the bucket's or object's list.
    pub granted_by: Option<Permission>,
}

impl Action {
    const fn new(name: &'static str, on: On) -> Self {
        Self { name, versioned: name, on, when: When::Always, granted_by: None }
    }

    /// Another action where the request names a version.
    const fn or_versioned(self, versioned: &'static str) -> Self {
        Self { versioned, ..self }
    }

    /// Only where the request has this header.
    const fn with(self, header: &'static str) -> Self {
        Self { when: When::Header(header), ..self }
    }

    /// Only where the request has this header, and it says yes.
    const fn with_yes(self, header: &'static str) -> Self {
        Self { when: When::HeaderSaysYes(header), ..self }
    }

    /// Only where the request says something about an access control list.
    const fn with_acl(self) -> Self {
        Self { when: When::AclHeaders, ..self }
    }

    /// A grant stands for it.
    const fn granted_by(self, permission: Permission) -> Self {
        Self { granted_by: Some(permission), ..self }
    }

    /// Its name: of the versioned variant where a version is named.
    pub(super) fn name(&self, names_version: bool) -> &'static str {
        if names_version { self.versioned } else { self.name }
    }

    /// Whether a request with these headers needs it.
    pub(super) fn needed(&self, headers: &HeaderMap) -> bool {
        match self.when {
            When::Always => true,
            When::Header(name) => headers.keys().any(|known| known.as_str() == name),
            When::HeaderSaysYes(name) => {
                headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
            }
            When::AclHeaders => says_acl(headers),
        }
    }
}

/// Whether a request says something about an access control list.
fn says_acl(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name == "x-amz-acl" || name.as_str().starts_with("x-amz-grant-"))
}

const fn account(name: &'static str) -> Action {
    Action::new(name, On::Account)
}
const fn new_bucket(name: &'static str) -> Action {
    Action::new(name, On::NewBucket)
}
const fn bucket(name: &'static str) -> Action {
    Action::new(name, On::Bucket)
}
const fn key(name: &'static str) -> Action {
    Action::new(name, On::Key)
}
const fn upload(name: &'static str) -> Action {
    Action::new(name, On::Upload)
}
const fn object(name: &'static str) -> Action {
    Action::new(name, On::Object)
}
const fn tags(name: &'static str) -> Action {
    Action::new(name, On::Tags)
}
const fn new_object(name: &'static str) -> Action {
    Action::new(name, On::NewObject)
}

/// Reading an object; also what a copy needs of its source.
pub(super) const READS: &[Action] =
    &[object("s3:GetObject").or_versioned("s3:GetObjectVersion").granted_by(Permission::Read)];

/// What a copy needs of a source that has tags, unless it replaces them.
pub(super) const READS_TAGS: Action = tags("s3:GetObjectTagging").or_versioned("s3:GetObjectVersionTagging");

/// What a copy that keeps tags needs of its destination.
pub(super) const WRITES_TAGS: Action = key("s3:PutObjectTagging");

/// What a copy needs of a source that has annotations, unless it leaves them out.
pub(super) const READS_ANNOTATIONS: Action =
    object("s3:GetObjectAnnotation").or_versioned("s3:GetObjectVersionAnnotation");

/// What a copy that keeps annotations needs of its destination.
pub(super) const WRITES_ANNOTATIONS: Action = key("s3:PutObjectAnnotation");

/// What seeing a version's retention with it needs.
pub(super) const READS_RETENTION: Action = object("s3:GetObjectRetention");

/// What seeing a version's legal hold with it needs.
pub(super) const READS_LEGAL_HOLD: Action = object("s3:GetObjectLegalHold");

/// What the creation of a bucket with tags needs too.
pub(super) const TAGS_NEW_BUCKET: Action = new_bucket("s3:TagResource");

/// Listing a bucket; also what decides whether a caller learns that a key does not exist.
pub(super) const LISTS: &[Action] = &[bucket("s3:ListBucket").granted_by(Permission::Read)];

/// Making an object, with whatever else the request gives it.
const WRITES: &[Action] = &[
    key("s3:PutObject").granted_by(Permission::Write),
    new_object("s3:PutObjectAcl").with_acl(),
    new_object("s3:PutObjectTagging").with("x-amz-tagging"),
    key("s3:PutObjectRetention").with("x-amz-object-lock-mode"),
    key("s3:PutObjectLegalHold").with("x-amz-object-lock-legal-hold"),
];

/// Deleting a key, or a version of it.
const DELETES: &[Action] = &[
    key("s3:DeleteObject").or_versioned("s3:DeleteObjectVersion").granted_by(Permission::Write),
    key("s3:BypassGovernanceRetention").with_yes("x-amz-bypass-governance-retention"),
];

/// Of each operation of [`super::operations::OPERATIONS`], in the same order, what it needs.
const ACTIONS: &[(&str, &[Action])] = &[
    ("AbortMultipartUpload", &[upload("s3:AbortMultipartUpload").granted_by(Permission::Write)]),
    ("CompleteMultipartUpload", &[key("s3:PutObject").granted_by(Permission::Write)]),
    ("CopyObject", WRITES),
    (
        "CreateBucket",
        &[
            new_bucket("s3:CreateBucket"),
            new_bucket("s3:PutBucketAcl").with_acl(),
            new_bucket("s3:PutBucketOwnershipControls").with("x-amz-object-ownership"),
            new_bucket("s3:PutBucketObjectLockConfiguration").with_yes("x-amz-bucket-object-lock-enabled"),
            new_bucket("s3:PutBucketVersioning").with_yes("x-amz-bucket-object-lock-enabled"),
        ],
    ),
    ("CreateBucketMetadataConfiguration", &[bucket("s3:CreateBucketMetadataTableConfiguration")]),
    ("CreateBucketMetadataTableConfiguration", &[bucket("s3:CreateBucketMetadataTableConfiguration")]),
    ("CreateMultipartUpload", WRITES),
    ("CreateSession", &[bucket("s3express:CreateSession")]),
    ("DeleteAccountPublicAccessBlock", &[account("s3:PutAccountPublicAccessBlock")]),
    ("DeleteBucket", &[bucket("s3:DeleteBucket")]),
    ("DeleteBucketAnalyticsConfiguration", &[bucket("s3:PutAnalyticsConfiguration")]),
    ("DeleteBucketCors", &[bucket("s3:PutBucketCORS")]),
    ("DeleteBucketEncryption", &[bucket("s3:PutEncryptionConfiguration")]),
    ("DeleteBucketIntelligentTieringConfiguration", &[bucket("s3:PutIntelligentTieringConfiguration")]),
    ("DeleteBucketInventoryConfiguration", &[bucket("s3:PutInventoryConfiguration")]),
    ("DeleteBucketLifecycle", &[bucket("s3:PutLifecycleConfiguration")]),
    ("DeleteBucketMetadataConfiguration", &[bucket("s3:DeleteBucketMetadataTableConfiguration")]),
    ("DeleteBucketMetadataTableConfiguration", &[bucket("s3:DeleteBucketMetadataTableConfiguration")]),
    ("DeleteBucketMetricsConfiguration", &[bucket("s3:PutMetricsConfiguration")]),
    ("DeleteBucketOwnershipControls", &[bucket("s3:PutBucketOwnershipControls")]),
    ("DeleteBucketPolicy", &[bucket("s3:DeleteBucketPolicy")]),
    ("DeleteBucketReplication", &[bucket("s3:PutReplicationConfiguration")]),
    ("DeleteBucketTagging", &[bucket("s3:PutBucketTagging")]),
    ("DeleteBucketWebsite", &[bucket("s3:DeleteBucketWebsite")]),
    ("DeleteObject", DELETES),
    ("DeleteObjectAnnotation", &[object("s3:DeleteObjectAnnotation").or_versioned("s3:DeleteObjectVersionAnnotation")]),
    ("DeleteObjectTagging", &[tags("s3:DeleteObjectTagging").or_versioned("s3:DeleteObjectVersionTagging")]),
    ("DeleteObjects", DELETES),
    ("DeletePublicAccessBlock", &[bucket("s3:PutBucketPublicAccessBlock")]),
    ("GetAccountPublicAccessBlock", &[account("s3:GetAccountPublicAccessBlock")]),
    ("GetBucketAbac", &[bucket("s3:GetBucketAbac")]),
    ("GetBucketAccelerateConfiguration", &[bucket("s3:GetAccelerateConfiguration")]),
    ("GetBucketAcl", &[bucket("s3:GetBucketAcl").granted_by(Permission::ReadAcp)]),
    ("GetBucketAnalyticsConfiguration", &[bucket("s3:GetAnalyticsConfiguration")]),
    ("GetBucketCors", &[bucket("s3:GetBucketCORS")]),
    ("GetBucketEncryption", &[bucket("s3:GetEncryptionConfiguration")]),
    ("GetBucketIntelligentTieringConfiguration", &[bucket("s3:GetIntelligentTieringConfiguration")]),
    ("GetBucketInventoryConfiguration", &[bucket("s3:GetInventoryConfiguration")]),
    ("GetBucketLifecycleConfiguration", &[bucket("s3:GetLifecycleConfiguration")]),
    ("GetBucketLocation", &[bucket("s3:GetBucketLocation")]),
    ("GetBucketLogging", &[bucket("s3:GetBucketLogging")]),
    ("GetBucketMetadataConfiguration", &[bucket("s3:GetBucketMetadataTableConfiguration")]),
    ("GetBucketMetadataTableConfiguration", &[bucket("s3:GetBucketMetadataTableConfiguration")]),
    ("GetBucketMetricsConfiguration", &[bucket("s3:GetMetricsConfiguration")]),
    ("GetBucketNotificationConfiguration", &[bucket("s3:GetBucketNotification")]),
    ("GetBucketOwnershipControls", &[bucket("s3:GetBucketOwnershipControls")]),
    ("GetBucketPolicy", &[bucket("s3:GetBucketPolicy")]),
    ("GetBucketPolicyStatus", &[bucket("s3:GetBucketPolicyStatus")]),
    ("GetBucketReplication", &[bucket("s3:GetReplicationConfiguration")]),
    ("GetBucketRequestPayment", &[bucket("s3:GetBucketRequestPayment")]),
    ("GetBucketTagging", &[bucket("s3:GetBucketTagging")]),
    ("GetBucketVersioning", &[bucket("s3:GetBucketVersioning")]),
    ("GetBucketWebsite", &[bucket("s3:GetBucketWebsite")]),
    ("GetObject", READS),
    (
        "GetObjectAcl",
        &[object("s3:GetObjectAcl").or_versioned("s3:GetObjectVersionAcl").granted_by(Permission::ReadAcp)],
    ),
    ("GetObjectAnnotation", &[object("s3:GetObjectAnnotation").or_versioned("s3:GetObjectVersionAnnotation")]),
    (
        "GetObjectAttributes",
        &[
            object("s3:GetObject").or_versioned("s3:GetObjectVersion").granted_by(Permission::Read),
            object("s3:GetObjectAttributes").or_versioned("s3:GetObjectVersionAttributes").granted_by(Permission::Read),
        ],
    ),
    ("GetObjectLegalHold", &[object("s3:GetObjectLegalHold")]),
    ("GetObjectLockConfiguration", &[bucket("s3:GetBucketObjectLockConfiguration")]),
    ("GetObjectRetention", &[object("s3:GetObjectRetention")]),
    ("GetObjectTagging", &[tags("s3:GetObjectTagging").or_versioned("s3:GetObjectVersionTagging")]),
    ("GetObjectTorrent", &[object("s3:GetObjectTorrent").or_versioned("s3:GetObjectVersionTorrent")]),
    ("GetPublicAccessBlock", &[bucket("s3:GetBucketPublicAccessBlock")]),
    ("HeadBucket", LISTS),
    ("HeadObject", READS),
    ("ListBucketAnalyticsConfigurations", &[bucket("s3:GetAnalyticsConfiguration")]),
    ("ListBucketIntelligentTieringConfigurations", &[bucket("s3:GetIntelligentTieringConfiguration")]),
    ("ListBucketInventoryConfigurations", &[bucket("s3:GetInventoryConfiguration")]),
    ("ListBucketMetricsConfigurations", &[bucket("s3:GetMetricsConfiguration")]),
    ("ListBuckets", &[account("s3:ListAllMyBuckets")]),
    ("ListDirectoryBuckets", &[account("s3express:ListAllMyDirectoryBuckets")]),
    ("ListMultipartUploads", &[bucket("s3:ListBucketMultipartUploads").granted_by(Permission::Read)]),
    ("ListObjectAnnotations", &[object("s3:ListObjectAnnotations").or_versioned("s3:ListObjectVersionAnnotations")]),
    ("ListObjectVersions", &[bucket("s3:ListBucketVersions").granted_by(Permission::Read)]),
    ("ListObjects", LISTS),
    ("ListObjectsV2", LISTS),
    ("ListParts", &[upload("s3:ListMultipartUploadParts")]),
    ("ListTagsForResource", &[bucket("s3:ListTagsForResource")]),
    ("ListenBucketNotification", &[bucket("s3:ListenBucketNotification")]),
    ("PostObject", &[key("s3:PutObject").granted_by(Permission::Write)]),
    ("PutAccountPublicAccessBlock", &[account("s3:PutAccountPublicAccessBlock")]),
    ("PutBucketAbac", &[bucket("s3:PutBucketAbac")]),
    ("PutBucketAccelerateConfiguration", &[bucket("s3:PutAccelerateConfiguration")]),
    ("PutBucketAcl", &[bucket("s3:PutBucketAcl").granted_by(Permission::WriteAcp)]),
    ("PutBucketAnalyticsConfiguration", &[bucket("s3:PutAnalyticsConfiguration")]),
    ("PutBucketCors", &[bucket("s3:PutBucketCORS")]),
    ("PutBucketEncryption", &[bucket("s3:PutEncryptionConfiguration")]),
    ("PutBucketIntelligentTieringConfiguration", &[bucket("s3:PutIntelligentTieringConfiguration")]),
    ("PutBucketInventoryConfiguration", &[bucket("s3:PutInventoryConfiguration")]),
    ("PutBucketLifecycleConfiguration", &[bucket("s3:PutLifecycleConfiguration")]),
    ("PutBucketLogging", &[bucket("s3:PutBucketLogging")]),
    ("PutBucketMetricsConfiguration", &[bucket("s3:PutMetricsConfiguration")]),
    ("PutBucketNotificationConfiguration", &[bucket("s3:PutBucketNotification")]),
    ("PutBucketOwnershipControls", &[bucket("s3:PutBucketOwnershipControls")]),
    ("PutBucketPolicy", &[bucket("s3:PutBucketPolicy")]),
    ("PutBucketReplication", &[bucket("s3:PutReplicationConfiguration")]),
    ("PutBucketRequestPayment", &[bucket("s3:PutBucketRequestPayment")]),
    ("PutBucketTagging", &[bucket("s3:PutBucketTagging")]),
    ("PutBucketVersioning", &[bucket("s3:PutBucketVersioning")]),
    ("PutBucketWebsite", &[bucket("s3:PutBucketWebsite")]),
    ("PutObject", WRITES),
    (
        "PutObjectAcl",
        &[object("s3:PutObjectAcl").or_versioned("s3:PutObjectVersionAcl").granted_by(Permission::WriteAcp)],
    ),
    ("PutObjectAnnotation", &[object("s3:PutObjectAnnotation").or_versioned("s3:PutObjectVersionAnnotation")]),
    ("PutObjectLegalHold", &[object("s3:PutObjectLegalHold")]),
    ("PutObjectLockConfiguration", &[bucket("s3:PutBucketObjectLockConfiguration")]),
    (
        "PutObjectRetention",
        &[
            object("s3:PutObjectRetention"),
            object("s3:BypassGovernanceRetention").with_yes("x-amz-bypass-governance-retention"),
        ],
    ),
    ("PutObjectTagging", &[tags("s3:PutObjectTagging").or_versioned("s3:PutObjectVersionTagging")]),
    ("PutPublicAccessBlock", &[bucket("s3:PutBucketPublicAccessBlock")]),
    ("RenameObject", &[key("s3:PutObject").granted_by(Permission::Write)]),
    ("RestoreObject", &[object("s3:RestoreObject")]),
    ("SelectObjectContent", READS),
    ("TagResource", &[bucket("s3:TagResource")]),
    ("UntagResource", &[bucket("s3:UntagResource")]),
    (
        "UpdateBucketMetadataAnnotationTableConfiguration",
        &[bucket("s3:UpdateBucketMetadataAnnotationTableConfiguration")],
    ),
    (
        "UpdateBucketMetadataInventoryTableConfiguration",
        &[bucket("s3:UpdateBucketMetadataInventoryTableConfiguration")],
    ),
    ("UpdateBucketMetadataJournalTableConfiguration", &[bucket("s3:UpdateBucketMetadataJournalTableConfiguration")]),
    ("UpdateObjectEncryption", &[object("s3:UpdateObjectEncryption")]),
    ("UploadPart", &[key("s3:PutObject").granted_by(Permission::Write)]),
    ("UploadPartCopy", &[key("s3:PutObject").granted_by(Permission::Write)]),
    ("WriteGetObjectResponse", &[account("s3-object-lambda:WriteGetObjectResponse")]),
];

/// What `operation` needs; nothing allows one that the table does not have.
pub(super) fn of(operation: &str) -> Option<&'static [Action]> {
    let row = ACTIONS.binary_search_by_key(&operation, |(name, _)| name).ok().and_then(|index| ACTIONS.get(index));
    row.map(|(_, actions)| *actions)
}

#[cfg(test)]
mod tests {
    use super::super::operations::OPERATIONS;
    use super::*;

    #[test]
    fn every_operation_has_a_row_and_every_row_an_action_that_it_always_needs() {
        let named: Vec<_> = ACTIONS.iter().map(|(name, _)| *name).collect();
        let known: Vec<_> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(named, known);
        for (operation, actions) in ACTIONS {
            assert!(actions.first().is_some_and(|action| action.when == When::Always), "{operation}");
            for action in *actions {
                for name in [action.name, action.versioned] {
                    let (service, verb) = name.split_once(':').expect("a service");
                    assert!(matches!(service, "s3" | "s3express" | "s3-object-lambda"), "{operation}: {name}");
                    assert!(verb.starts_with(|first: char| first.is_ascii_uppercase()), "{operation}: {name}");
                }
            }
        }
        assert_eq!(of("InventedOperation"), None);
    }

    #[test]
    fn what_a_request_says_decides_what_it_needs() {
        let needed = |operation: &str, names_version: bool, header: Option<&'static str>| -> Vec<&'static str> {
            let mut headers = HeaderMap::new();
            headers.extend(header.map(|name| (http::HeaderName::from_static(name), "x".parse().expect("a value"))));
            let actions = of(operation).expect("an operation").iter();
            actions.filter(|action| action.needed(&headers)).map(|action| action.name(names_version)).collect()
        };
        assert_eq!(needed("GetObject", false, None), ["s3:GetObject"]);
        assert_eq!(needed("HeadObject", true, None), ["s3:GetObjectVersion"]);
        assert_eq!(needed("PutObject", false, None), ["s3:PutObject"]);
        assert_eq!(needed("PutObject", false, Some("x-amz-grant-read")), ["s3:PutObject", "s3:PutObjectAcl"]);
        assert_eq!(needed("CopyObject", false, Some("x-amz-tagging")), ["s3:PutObject", "s3:PutObjectTagging"]);
        assert_eq!(needed("DeleteObject", true, None), ["s3:DeleteObjectVersion"]);
        assert_eq!(needed("CreateBucket", false, Some("x-amz-acl")), ["s3:CreateBucket", "s3:PutBucketAcl"]);
        assert_eq!(needed("HeadBucket", false, None), ["s3:ListBucket"]);
    }
}
