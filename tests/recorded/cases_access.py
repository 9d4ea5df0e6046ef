"""Replays of `api.json`: object ownership, Block Public Access, bucket policies."""

import json
import uuid

from recorded.replay import case, empty_bucket

OWNERSHIP = "TestS3BucketOwnershipControls::"
BLOCK = "TestS3PublicAccessBlock::"
POLICY = "TestS3BucketPolicy::"
SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def rules(*ownerships):
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": ownership} for ownership in ownerships]}}


@case("api", OWNERSHIP + "test_crud_bucket_ownership_controls")
def _(s):
    s.call("default-ownership", "get_bucket_ownership_controls")
    s.call("put-ownership", "put_bucket_ownership_controls", **rules("ObjectWriter"))
    s.call("get-ownership", "get_bucket_ownership_controls")
    s.call("delete-ownership", "delete_bucket_ownership_controls")
    s.call("get-ownership-after-delete", "get_bucket_ownership_controls")
    s.call("delete-ownership-after-delete", "delete_bucket_ownership_controls")
    other = f"recorded-{uuid.uuid4().hex[:16]}"
    s.call(None, "create_bucket", Bucket=other, ObjectOwnership="BucketOwnerPreferred")
    try:
        s.call("get-ownership-at-creation", "get_bucket_ownership_controls", Bucket=other)
    finally:
        empty_bucket(s.client, other)


@case("api", OWNERSHIP + "test_bucket_ownership_controls_exc")
def _(s):
    s.call("default-ownership", "get_bucket_ownership_controls")
    s.lax(
        "put-ownership-multiple-rules", "put_bucket_ownership_controls", **rules("BucketOwnerPreferred", "ObjectWriter")
    )
    s.lax("put-ownership-wrong-value", "put_bucket_ownership_controls", **rules("RandomValue"))
    s.lax("put-ownership-empty-rule", "put_bucket_ownership_controls", **rules())
    other = f"recorded-{uuid.uuid4().hex[:16]}"
    s.lax("ownership-wrong-value-at-creation", "create_bucket", Bucket=other, ObjectOwnership="RandomValue")
    s.lax("ownership-non-value-at-creation", "create_bucket", Bucket=other, ObjectOwnership="")


@case("api", BLOCK + "test_crud_public_access_block")
def _(s):
    s.call("get-default-public-access-block", "get_public_access_block")
    none = dict.fromkeys(SETTINGS, False)
    s.call("put-public-access-block", "put_public_access_block", PublicAccessBlockConfiguration=none)
    s.call("get-public-access-block", "get_public_access_block")
    s.call("delete-public-access-block", "delete_public_access_block")
    s.call("get-public-access-block-after-delete", "get_public_access_block")
    s.call("idempotent-delete-public-access-block", "delete_public_access_block")


@case("api", POLICY + "test_bucket_policy_crud")
def _(s):
    s.call(None, "delete_public_access_block")
    s.call("get-bucket-default-policy", "get_bucket_policy")
    resource = f"arn:aws:s3:::{s.bucket}/*"
    statement = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s.call("put-bucket-policy", "put_bucket_policy", Policy=policy)
    answer = s.call(None, "get_bucket_policy")
    # The document was recorded as the object that it is.
    s.compare("get-bucket-policy", answer | {"Policy": json.loads(answer["Policy"])})
    s.call("delete-bucket-policy", "delete_bucket_policy")
    s.call("get-bucket-policy-after-delete", "get_bucket_policy")
    s.call("delete-bucket-policy-after-delete", "delete_bucket_policy")


@case("api", POLICY + "test_bucket_policy_exc")
def _(s):
    s.call("put-empty-bucket-policy", "put_bucket_policy", Policy="")
    s.call("put-bucket-policy-randomstring", "put_bucket_policy", Policy="invalid json")
    s.call("put-bucket-policy-empty-json", "put_bucket_policy", Policy="{}")
