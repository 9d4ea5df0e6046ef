"""Every operation of the server: a request for it, and the actions that AWS documents for it.

<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>. `{bucket}` and `{other}` are
buckets of the caller's account, `{upload}` is an upload that is open there. A row whose operation is about the caller's
own account is allowed to the root of any other account, too.
"""

from typing import NamedTuple

XML = "http://s3.amazonaws.com/doc/2006-03-01/"


class Row(NamedTuple):
    method: str
    target: str
    actions: tuple
    headers: tuple = ()
    body: str = ""
    own_account: bool = False


def bucket(method, query, *actions, **more):
    return Row(method, f"/{{bucket}}?{query}" if query else "/{bucket}", actions, **more)


def key(method, query, *actions, **more):
    return Row(method, f"/{{bucket}}/k?{query}" if query else "/{bucket}/k", actions, **more)


TAGS = f'<Tagging xmlns="{XML}"><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>'
DELETE = f'<Delete xmlns="{XML}"><Object><Key>k</Key></Object></Delete>'
OWNERSHIP = (
    f'<OwnershipControls xmlns="{XML}"><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>'
    "</OwnershipControls>"
)
BLOCK = f'<PublicAccessBlockConfiguration xmlns="{XML}"><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>'
NOTIFICATION = f'<NotificationConfiguration xmlns="{XML}"/>'
LOGGING = f'<BucketLoggingStatus xmlns="{XML}"/>'
PAYMENT = f'<RequestPaymentConfiguration xmlns="{XML}"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>'
ACCELERATION = f'<AccelerateConfiguration xmlns="{XML}"><Status>Suspended</Status></AccelerateConfiguration>'
WEBSITE = f'<WebsiteConfiguration xmlns="{XML}"><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>'
VERSIONING = f'<VersioningConfiguration xmlns="{XML}"><Status>Enabled</Status></VersioningConfiguration>'
RETENTION = f'<Retention xmlns="{XML}"><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>'
HOLD = f'<LegalHold xmlns="{XML}"><Status>ON</Status></LegalHold>'
LOCK = f'<ObjectLockConfiguration xmlns="{XML}"><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>'
UPDATE_ENCRYPTION = f'<ObjectEncryption xmlns="{XML}"><SSE-KMS><KMSKeyArn>aws/s3</KMSKeyArn></SSE-KMS></ObjectEncryption>'
ABAC = f'<AbacStatus xmlns="{XML}"><Status>Enabled</Status></AbacStatus>'
RESOURCE = "/v20180820/tags/arn%3Aaws%3As3%3A%3A%3A{bucket}"
TAG_RESOURCE = (
    '<TagResourceRequest xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">'
    "<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></TagResourceRequest>"
)
ACCOUNT_BLOCK = "/v20180820/configuration/publicAccessBlock"
ACCOUNT = (("x-amz-account-id", "{account}"),)
COPY = (("x-amz-copy-source", "/{other}/k"),)
REWRITTEN = COPY + (("x-amz-metadata-directive", "REPLACE"),)

ROWS = {
    "AbortMultipartUpload": key("DELETE", "uploadId={upload}", "s3:AbortMultipartUpload"),
    "CompleteMultipartUpload": key("POST", "uploadId={upload}", "s3:PutObject"),
    "CopyObject": key("PUT", "", "s3:PutObject", "s3:GetObject", headers=REWRITTEN),
    "CreateBucket": Row("PUT", "/{bucket}-new", ("s3:CreateBucket",), own_account=True),
    "CreateBucketMetadataConfiguration": bucket(
        "POST", "metadataConfiguration", "s3:CreateBucketMetadataTableConfiguration"
    ),
    "CreateBucketMetadataTableConfiguration": bucket(
        "POST", "metadataTable", "s3:CreateBucketMetadataTableConfiguration"
    ),
    "CreateMultipartUpload": key("POST", "uploads", "s3:PutObject"),
    "CreateSession": bucket("GET", "session", "s3express:CreateSession"),
    "DeleteAccountPublicAccessBlock": Row(
        "DELETE", ACCOUNT_BLOCK, ("s3:PutAccountPublicAccessBlock",), headers=ACCOUNT
    ),
    "DeleteBucket": Row("DELETE", "/{other}", ("s3:DeleteBucket",)),
    "DeleteBucketAnalyticsConfiguration": bucket("DELETE", "analytics&id=1", "s3:PutAnalyticsConfiguration"),
    "DeleteBucketCors": bucket("DELETE", "cors", "s3:PutBucketCORS"),
    "DeleteBucketEncryption": bucket("DELETE", "encryption", "s3:PutEncryptionConfiguration"),
    "DeleteBucketIntelligentTieringConfiguration": bucket(
        "DELETE", "intelligent-tiering&id=1", "s3:PutIntelligentTieringConfiguration"
    ),
    "DeleteBucketInventoryConfiguration": bucket("DELETE", "inventory&id=1", "s3:PutInventoryConfiguration"),
    "DeleteBucketLifecycle": bucket("DELETE", "lifecycle", "s3:PutLifecycleConfiguration"),
    "DeleteBucketMetadataConfiguration": bucket(
        "DELETE", "metadataConfiguration", "s3:DeleteBucketMetadataTableConfiguration"
    ),
    "DeleteBucketMetadataTableConfiguration": bucket(
        "DELETE", "metadataTable", "s3:DeleteBucketMetadataTableConfiguration"
    ),
    "DeleteBucketMetricsConfiguration": bucket("DELETE", "metrics&id=1", "s3:PutMetricsConfiguration"),
    "DeleteBucketOwnershipControls": bucket("DELETE", "ownershipControls", "s3:PutBucketOwnershipControls"),
    "DeleteBucketPolicy": bucket("DELETE", "policy", "s3:DeleteBucketPolicy"),
    "DeleteBucketReplication": bucket("DELETE", "replication", "s3:PutReplicationConfiguration"),
    "DeleteBucketTagging": bucket("DELETE", "tagging", "s3:PutBucketTagging"),
    "DeleteBucketWebsite": bucket("DELETE", "website", "s3:DeleteBucketWebsite"),
    "DeleteObject": key("DELETE", "", "s3:DeleteObject"),
    "DeleteObjectAnnotation": key("DELETE", "annotation&annotationName=a", "s3:DeleteObjectAnnotation"),
    "DeleteObjectTagging": key("DELETE", "tagging", "s3:DeleteObjectTagging"),
    "DeleteObjects": bucket("POST", "delete", "s3:DeleteObject", body=DELETE),
    "DeletePublicAccessBlock": bucket("DELETE", "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),
    "GetAccountPublicAccessBlock": Row("GET", ACCOUNT_BLOCK, ("s3:GetAccountPublicAccessBlock",), headers=ACCOUNT),
    "GetBucketAbac": bucket("GET", "abac", "s3:GetBucketAbac"),
    "GetBucketAccelerateConfiguration": bucket("GET", "accelerate", "s3:GetAccelerateConfiguration"),
    "GetBucketAcl": bucket("GET", "acl", "s3:GetBucketAcl"),
    "GetBucketAnalyticsConfiguration": bucket("GET", "analytics&id=1", "s3:GetAnalyticsConfiguration"),
    "GetBucketCors": bucket("GET", "cors", "s3:GetBucketCORS"),
    "GetBucketEncryption": bucket("GET", "encryption", "s3:GetEncryptionConfiguration"),
    "GetBucketIntelligentTieringConfiguration": bucket(
        "GET", "intelligent-tiering&id=1", "s3:GetIntelligentTieringConfiguration"
    ),
    "GetBucketInventoryConfiguration": bucket("GET", "inventory&id=1", "s3:GetInventoryConfiguration"),
    "GetBucketLifecycleConfiguration": bucket("GET", "lifecycle", "s3:GetLifecycleConfiguration"),
    "GetBucketLocation": bucket("GET", "location", "s3:GetBucketLocation"),
    "GetBucketLogging": bucket("GET", "logging", "s3:GetBucketLogging"),
    "GetBucketMetadataConfiguration": bucket("GET", "metadataConfiguration", "s3:GetBucketMetadataTableConfiguration"),
    "GetBucketMetadataTableConfiguration": bucket("GET", "metadataTable", "s3:GetBucketMetadataTableConfiguration"),
    "GetBucketMetricsConfiguration": bucket("GET", "metrics&id=1", "s3:GetMetricsConfiguration"),
    "GetBucketNotificationConfiguration": bucket("GET", "notification", "s3:GetBucketNotification"),
    "GetBucketOwnershipControls": bucket("GET", "ownershipControls", "s3:GetBucketOwnershipControls"),
    "GetBucketPolicy": bucket("GET", "policy", "s3:GetBucketPolicy"),
    "GetBucketPolicyStatus": bucket("GET", "policyStatus", "s3:GetBucketPolicyStatus"),
    "GetBucketReplication": bucket("GET", "replication", "s3:GetReplicationConfiguration"),
    "GetBucketRequestPayment": bucket("GET", "requestPayment", "s3:GetBucketRequestPayment"),
    "GetBucketTagging": bucket("GET", "tagging", "s3:GetBucketTagging"),
    "GetBucketVersioning": bucket("GET", "versioning", "s3:GetBucketVersioning"),
    "GetBucketWebsite": bucket("GET", "website", "s3:GetBucketWebsite"),
    "GetObject": key("GET", "", "s3:GetObject"),
    "GetObjectAcl": key("GET", "acl", "s3:GetObjectAcl"),
    "GetObjectAnnotation": key("GET", "annotation&annotationName=a", "s3:GetObjectAnnotation"),
    "GetObjectAttributes": key(
        "GET",
        "attributes",
        "s3:GetObject",
        "s3:GetObjectAttributes",
        headers=(("x-amz-object-attributes", "ETag"),),
    ),
    "GetObjectLegalHold": key("GET", "legal-hold", "s3:GetObjectLegalHold"),
    "GetObjectLockConfiguration": bucket("GET", "object-lock", "s3:GetBucketObjectLockConfiguration"),
    "GetObjectRetention": key("GET", "retention", "s3:GetObjectRetention"),
    "GetObjectTagging": key("GET", "tagging", "s3:GetObjectTagging"),
    "GetObjectTorrent": key("GET", "torrent", "s3:GetObjectTorrent"),
    "GetPublicAccessBlock": bucket("GET", "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    "HeadBucket": bucket("HEAD", "", "s3:ListBucket"),
    "HeadObject": key("HEAD", "", "s3:GetObject"),
    "ListBucketAnalyticsConfigurations": bucket("GET", "analytics", "s3:GetAnalyticsConfiguration"),
    "ListBucketIntelligentTieringConfigurations": bucket(
        "GET", "intelligent-tiering", "s3:GetIntelligentTieringConfiguration"
    ),
    "ListBucketInventoryConfigurations": bucket("GET", "inventory", "s3:GetInventoryConfiguration"),
    "ListBucketMetricsConfigurations": bucket("GET", "metrics", "s3:GetMetricsConfiguration"),
    "ListBuckets": Row("GET", "/", ("s3:ListAllMyBuckets",), own_account=True),
    "ListDirectoryBuckets": Row(
        "GET", "/?x-id=ListDirectoryBuckets", ("s3express:ListAllMyDirectoryBuckets",), own_account=True
    ),
    "ListMultipartUploads": bucket("GET", "uploads", "s3:ListBucketMultipartUploads"),
    "ListObjectAnnotations": key("GET", "annotation", "s3:ListObjectAnnotations"),
    "ListObjectVersions": bucket("GET", "versions", "s3:ListBucketVersions"),
    "ListObjects": bucket("GET", "", "s3:ListBucket"),
    "ListObjectsV2": bucket("GET", "list-type=2", "s3:ListBucket"),
    "ListParts": key("GET", "uploadId={upload}", "s3:ListMultipartUploadParts"),
    # An event that there is not: the answer to one that there is would not end.
    "ListenBucketNotification": bucket("GET", "events=s3:None", "s3:ListenBucketNotification"),
    "ListTagsForResource": Row("GET", RESOURCE, ("s3:ListTagsForResource",), headers=ACCOUNT),
    "PutAccountPublicAccessBlock": Row(
        "PUT", ACCOUNT_BLOCK, ("s3:PutAccountPublicAccessBlock",), headers=ACCOUNT, body=BLOCK
    ),
    "PutBucketAbac": bucket("PUT", "abac", "s3:PutBucketAbac", body=ABAC),
    "PutBucketAccelerateConfiguration": bucket(
        "PUT", "accelerate", "s3:PutAccelerateConfiguration", body=ACCELERATION
    ),
    "PutBucketAcl": bucket("PUT", "acl", "s3:PutBucketAcl", headers=(("x-amz-acl", "private"),)),
    "PutBucketAnalyticsConfiguration": bucket("PUT", "analytics&id=1", "s3:PutAnalyticsConfiguration"),
    "PutBucketCors": bucket("PUT", "cors", "s3:PutBucketCORS"),
    "PutBucketEncryption": bucket("PUT", "encryption", "s3:PutEncryptionConfiguration"),
    "PutBucketIntelligentTieringConfiguration": bucket(
        "PUT", "intelligent-tiering&id=1", "s3:PutIntelligentTieringConfiguration"
    ),
    "PutBucketInventoryConfiguration": bucket("PUT", "inventory&id=1", "s3:PutInventoryConfiguration"),
    "PutBucketLifecycleConfiguration": bucket("PUT", "lifecycle", "s3:PutLifecycleConfiguration"),
    "PutBucketLogging": bucket("PUT", "logging", "s3:PutBucketLogging", body=LOGGING),
    "PutBucketMetricsConfiguration": bucket("PUT", "metrics&id=1", "s3:PutMetricsConfiguration"),
    "PutBucketNotificationConfiguration": bucket(
        "PUT", "notification", "s3:PutBucketNotification", body=NOTIFICATION
    ),
    "PutBucketOwnershipControls": bucket("PUT", "ownershipControls", "s3:PutBucketOwnershipControls", body=OWNERSHIP),
    "PutBucketPolicy": bucket("PUT", "policy", "s3:PutBucketPolicy", body="{{}}"),
    "PutBucketReplication": bucket("PUT", "replication", "s3:PutReplicationConfiguration"),
    "PutBucketRequestPayment": bucket("PUT", "requestPayment", "s3:PutBucketRequestPayment", body=PAYMENT),
    "PutBucketTagging": bucket("PUT", "tagging", "s3:PutBucketTagging", body=TAGS),
    "PutBucketVersioning": bucket("PUT", "versioning", "s3:PutBucketVersioning", body=VERSIONING),
    "PutBucketWebsite": bucket("PUT", "website", "s3:PutBucketWebsite", body=WEBSITE),
    "PutObject": key("PUT", "", "s3:PutObject", body="data"),
    "PutObjectAcl": key("PUT", "acl", "s3:PutObjectAcl", headers=(("x-amz-acl", "private"),)),
    "PutObjectAnnotation": key("PUT", "annotation&annotationName=a", "s3:PutObjectAnnotation", body="data"),
    "PutObjectLegalHold": key("PUT", "legal-hold", "s3:PutObjectLegalHold", body=HOLD),
    "PutObjectLockConfiguration": bucket(
        "PUT", "object-lock", "s3:PutBucketObjectLockConfiguration", body=LOCK
    ),
    "PutObjectRetention": key("PUT", "retention", "s3:PutObjectRetention", body=RETENTION),
    "PutObjectTagging": key("PUT", "tagging", "s3:PutObjectTagging", body=TAGS),
    "PutPublicAccessBlock": bucket("PUT", "publicAccessBlock", "s3:PutBucketPublicAccessBlock", body=BLOCK),
    "RenameObject": Row(
        "PUT",
        "/{bucket}/renamed?renameObject",
        ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"),
        headers=(("x-amz-rename-source", "k"),),
    ),
    "RestoreObject": key("POST", "restore", "s3:RestoreObject"),
    "SelectObjectContent": key("POST", "select&select-type=2", "s3:GetObject"),
    "TagResource": Row("POST", RESOURCE, ("s3:TagResource",), headers=ACCOUNT, body=TAG_RESOURCE),
    "UntagResource": Row("DELETE", f"{RESOURCE}?tagKeys=a", ("s3:UntagResource",), headers=ACCOUNT),
    "UpdateBucketMetadataAnnotationTableConfiguration": bucket(
        "PUT", "metadataAnnotationTable", "s3:UpdateBucketMetadataAnnotationTableConfiguration"
    ),
    "UpdateBucketMetadataInventoryTableConfiguration": bucket(
        "PUT", "metadataInventoryTable", "s3:UpdateBucketMetadataInventoryTableConfiguration"
    ),
    "UpdateBucketMetadataJournalTableConfiguration": bucket(
        "PUT", "metadataJournalTable", "s3:UpdateBucketMetadataJournalTableConfiguration"
    ),
    "UpdateObjectEncryption": key("PUT", "encryption", "s3:UpdateObjectEncryption", body=UPDATE_ENCRYPTION),
    "UploadPart": key("PUT", "partNumber=1&uploadId={upload}", "s3:PutObject", body="data"),
    "UploadPartCopy": key("PUT", "partNumber=1&uploadId={upload}", "s3:PutObject", "s3:GetObject", headers=COPY),
    "WriteGetObjectResponse": bucket(
        "POST",
        "",
        "s3-object-lambda:WriteGetObjectResponse",
        headers=(("x-amz-request-route", "r"), ("x-amz-request-token", "t")),
    ),
}
