"""Replays of `api.json`: bucket encryption, against a server with a keyring."""

import uuid

from recorded.replay import case

SUITE = "TestS3BucketEncryption::"
KEY = "key-1"


def by_default(algorithm, key=None, **rule):
    default = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": key} if key else {})
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": default} | rule]}


def put(s, step, configuration, **bucket):
    s.call(step, "put_bucket_encryption", ServerSideEncryptionConfiguration=configuration, **bucket)


def says(answer, algorithm):
    """What the comparison lets be absent, for servers without a keyring."""
    assert answer["ServerSideEncryption"] == algorithm, answer


def any_etag(s):
    """The entity tag of an object under SSE-KMS is no digest of its bytes: it is another each time."""
    s.recorded = {
        step: content | {"ETag": '"<etag>"'} if "ETag" in content else content for step, content in s.recorded.items()
    }


@case("api", SUITE + "test_s3_default_bucket_encryption")
def _(s):
    s.call("default-bucket-encryption", "get_bucket_encryption")
    s.call("delete-bucket-encryption", "delete_bucket_encryption")
    s.call("delete-bucket-encryption-idempotent", "delete_bucket_encryption")
    # The recording kept the status of this one only.
    answer = s.call(None, "get_bucket_encryption")
    s.compare("get-bucket-no-encryption", {"ResponseMetadata": answer["ResponseMetadata"]})


@case("api", SUITE + "test_s3_default_bucket_encryption_exc")
def _(s):
    nobody = {"Bucket": f"recorded-none-{uuid.uuid4().hex[:16]}"}
    aes = by_default("AES256")
    s.call("get-bucket-enc-no-bucket", "get_bucket_encryption", **nobody)
    s.call("delete-bucket-enc-no-bucket", "delete_bucket_encryption", **nobody)
    put(s, "put-bucket-enc-no-bucket", aes, **nobody)
    put(s, "put-bucket-encryption-no-rules", {"Rules": []})
    put(s, "put-bucket-encryption-two-rules", {"Rules": aes["Rules"] + by_default("aws:kms")["Rules"]})
    put(s, "put-bucket-encryption-kms-with-aes", by_default("AES256", KEY))


@case("api", SUITE + "test_s3_bucket_encryption_sse_s3")
def _(s):
    put(s, "put-bucket-enc", by_default("AES256", BucketKeyEnabled=True))
    stored(s, "AES256")


@case("api", SUITE + "test_s3_bucket_encryption_sse_kms")
def _(s):
    any_etag(s)
    put(s, "put-bucket-enc", by_default("aws:kms", KEY, BucketKeyEnabled=True))
    s.call("get-bucket-enc", "get_bucket_encryption")
    stored(s, "aws:kms")
    put(s, "put-bucket-enc-bucket-key-disabled", by_default("aws:kms", KEY, BucketKeyEnabled=False))
    says(s.call("put-object-encrypted-bucket-key-disabled", "put_object", Key="k", Body=b"test-encrypted"), "aws:kms")


@case("api", SUITE + "test_s3_bucket_encryption_sse_kms_aws_managed_key")
def _(s):
    any_etag(s)
    put(s, "put-bucket-enc", by_default("aws:kms", BucketKeyEnabled=True))
    s.call("get-bucket-enc", "get_bucket_encryption")
    stored(s, "aws:kms")


def stored(s, algorithm):
    """An object of the bucket's default, written and read."""
    says(s.call("put-object-encrypted", "put_object", Key="k", Body=b"test-encrypted"), algorithm)
    says(s.call("head-object-encrypted", "head_object", Key="k"), algorithm)
    says(s.call("get-object-encrypted", "get_object", Key="k"), algorithm)
