"""Recorded tests and steps that are not replayed, and steps that are known to differ, each with the reason."""

# By the class of the recorded test: operations that Cairn does not offer yet.
CLASSES = {
    "TestS3BucketAccelerateConfiguration": "transfer acceleration does not exist outside AWS",
    "TestS3MetricsConfiguration": "CloudWatch request metrics do not exist outside AWS",
}

# Single recorded tests.
TESTS = {
    "TestS3NotificationsToSQS::test_xray_header": "what SQS puts around a message for AWS X-Ray",
    "TestS3NotificationsToSQS::test_restore_object": "it needs a storage tier for GLACIER, which the server of these tests does not have",
}

# Single steps of replayed tests.
STEPS = {
    (
        "TestS3BucketObjectTagging::test_create_bucket_with_tags_exc",
        "tags-key-aws-duplicated-key",
    ): "AWS answered this call with an internal error of its own",
    (
        "TestS3BucketEncryption::test_s3_bucket_encryption_sse_kms_aws_managed_key",
        "managed-kms-key",
    ): "an answer of AWS KMS, which is another service",
}

# Steps in which Cairn is known to answer otherwise than AWS. They are replayed and count as disagreements; an entry
# whose step has come to agree fails the test, so that none outlives its reason.
KNOWN_DIFFERENCES = {
    (
        "TestS3PublicAccessBlock::test_crud_public_access_block",
        "get-default-public-access-block",
    ): "a new bucket has no block here: those who come from other servers make buckets public by policy alone",
    **{
        (f"TestS3BucketEncryption::test_s3_bucket_encryption_{test}", step): "a keyring's keys have names and no ARNs"
        for test, steps in (
            ("sse_kms", ("put-object-encrypted-bucket-key-disabled",)),
            ("sse_kms_aws_managed_key", ()),
        )
        for step in ("put-object-encrypted", "head-object-encrypted", "get-object-encrypted", *steps)
    },
}


def reason(name):
    """Why the recorded test `name` is left out, or None."""
    return TESTS.get(name) or CLASSES.get(name.split("::")[0])
