"""Object lock through boto3: what is locked stays, for whom and until when, and who may know it."""

import datetime

import pytest
import urllib3
from principals import allow, refused

UTC = datetime.timezone.utc
FAR = datetime.datetime(2099, 1, 1, tzinfo=UTC)
FARTHER = datetime.datetime(2099, 6, 1, tzinfo=UTC)


@pytest.fixture
def locked(s3, bucket_name):
    """A bucket that can lock; what the test leaves in it stays, as it should."""
    s3.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    return bucket_name


def put(s3, bucket, key="k", body=b"data", **more):
    return {"Bucket": bucket, "Key": key, "VersionId": s3.put_object(Bucket=bucket, Key=key, Body=body, **more)["VersionId"]}


def retention(mode="GOVERNANCE", until=FAR):
    return {"Retention": {"Mode": mode, "RetainUntilDate": until}}


def test_a_bucket_that_can_lock_keeps_versions_for_ever(s3, locked):
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    suspended = {"VersioningConfiguration": {"Status": "Suspended"}}
    message = refused("InvalidBucketState", s3.put_bucket_versioning, Bucket=locked, **suspended)
    assert "Object Lock" in message
    put(s3, locked)
    refused("BucketNotEmpty", s3.delete_bucket, Bucket=locked)


def test_compliance_yields_to_nobody(s3, locked):
    version = put(s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR)
    message = refused("AccessDenied", s3.delete_object, **version)
    assert message == "Access Denied because object protected by object lock."
    refused("AccessDenied", s3.delete_object, BypassGovernanceRetention=True, **version)
    change = s3.put_object_retention
    for loosened in (retention("GOVERNANCE", FARTHER), retention("COMPLIANCE", FAR - datetime.timedelta(days=1))):
        refused("AccessDenied", change, BypassGovernanceRetention=True, **version, **loosened)
    refused("AccessDenied", change, BypassGovernanceRetention=True, **version, Retention={})
    change(**version, **retention("COMPLIANCE", FARTHER))
    assert s3.get_object_retention(**version)["Retention"] == retention("COMPLIANCE", FARTHER)["Retention"]
    assert s3.get_object(**version)["Body"].read() == b"data"


def test_new_versions_and_markers_go_on_top(s3, locked):
    version = put(s3, locked, ObjectLockLegalHoldStatus="ON")
    newer = put(s3, locked, body=b"newer")
    marker = s3.delete_object(Bucket=locked, Key="k")
    assert marker["DeleteMarker"] and s3.get_object(**version)["Body"].read() == b"data"
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker["VersionId"])
    s3.delete_object(**newer)
    assert s3.get_object(Bucket=locked, Key="k")["Body"].read() == b"data"
    refused("AccessDenied", s3.delete_object, **version)
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    s3.delete_object(**version)
    refused("NoSuchVersion", s3.get_object, **version)


def test_defaults_are_given_to_puts_copies_and_uploads(s3, locked):
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=rule)
    before = datetime.datetime.now(UTC)
    put(s3, locked, "put")
    s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/put")
    upload = {"Bucket": locked, "Key": "upload"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = s3.upload_part(**upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    for key in ("put", "copy", "upload"):
        kept = s3.get_object_retention(Bucket=locked, Key=key)["Retention"]
        length = kept["RetainUntilDate"] - before
        assert kept["Mode"] == "GOVERNANCE"
        assert datetime.timedelta(days=2) - datetime.timedelta(seconds=1) <= length < datetime.timedelta(days=2, minutes=5)
    explicit = put(s3, locked, "own", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR)
    assert s3.get_object_retention(**explicit)["Retention"]["RetainUntilDate"] == FAR


def test_a_copy_has_its_own_lock(s3, locked):
    put(s3, locked, "held", ObjectLockLegalHoldStatus="ON")
    s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/held")
    refused("NoSuchObjectLockConfiguration", s3.get_object_legal_hold, Bucket=locked, Key="copy")
    more = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}
    s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/held", **more)
    assert s3.head_object(Bucket=locked, Key="copy")["ObjectLockMode"] == "GOVERNANCE"


def test_what_requests_may_say(s3, locked):
    body = {"Bucket": locked, "Key": "k", "Body": b""}
    past = datetime.datetime(2001, 1, 1, tzinfo=UTC)
    refused("InvalidArgument", s3.put_object, ObjectLockMode="GOVERNANCE", **body)
    refused("InvalidArgument", s3.put_object, ObjectLockRetainUntilDate=FAR, **body)
    refused("InvalidArgument", s3.put_object, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=past, **body)
    refused("InvalidArgument", s3.put_object, ObjectLockMode="SOMETIMES", ObjectLockRetainUntilDate=FAR, **body)
    refused("InvalidArgument", s3.put_object, ObjectLockLegalHoldStatus="MAYBE", **body)
    body["Bucket"] = f"{locked[:50]}-plain"
    s3.create_bucket(Bucket=body["Bucket"])
    message = refused("InvalidRequest", s3.put_object, ObjectLockLegalHoldStatus="ON", **body)
    assert message == "Bucket is missing Object Lock Configuration"


def test_a_locking_put_says_a_digest(connect, locked):
    s3 = connect(request_checksum_calculation="when_required", signature_version="s3v4")
    url = s3.generate_presigned_url(
        "put_object", Params={"Bucket": locked, "Key": "k", "ObjectLockLegalHoldStatus": "ON"}
    )
    headers = {"x-amz-object-lock-legal-hold": "ON"}
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("PUT", url, body=b"data", headers=headers)
    assert answer.status == 400 and b"Content-MD5" in answer.data, answer.data


def test_locks_are_shown_to_those_who_may_know(tenants, bucket_name):
    root = tenants.principals.root.client("s3")
    root.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    said = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR, "ObjectLockLegalHoldStatus": "ON"}
    version = put(root, bucket_name, **said)
    for actions, shown in (
        ((), set()),
        (("s3:GetObjectRetention",), {"ObjectLockMode", "ObjectLockRetainUntilDate"}),
        (("s3:GetObjectLegalHold",), {"ObjectLockLegalHoldStatus"}),
        (("s3:GetObjectRetention", "s3:GetObjectLegalHold"), set(said)),
    ):
        s3 = tenants.principals.user(allow("s3:GetObject", "s3:GetObjectVersion", *actions)).client("s3")
        for answer in (s3.head_object(**version), s3.get_object(Bucket=bucket_name, Key="k")):
            assert {name for name in said if name in answer} == shown


def test_bypassing_governance_is_a_permission(tenants, bucket_name):
    root = tenants.principals.root.client("s3")
    root.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    version = put(root, bucket_name, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=FAR)
    base = allow("s3:DeleteObjectVersion", "s3:DeleteObject", "s3:PutObjectRetention")
    without = tenants.principals.user(base).client("s3")
    bypass = {"BypassGovernanceRetention": True}
    refused("AccessDenied", without.delete_object, **version, **bypass)
    refused("AccessDenied", without.put_object_retention, **version, **bypass, Retention={})
    batch = {"Bucket": bucket_name, "Delete": {"Objects": [{"Key": "k", "VersionId": version["VersionId"]}]}}
    for more in ({}, bypass):
        assert [error["Code"] for error in without.delete_objects(**batch, **more)["Errors"]] == ["AccessDenied"]
    # Extending needs no bypass.
    without.put_object_retention(**version, **retention(until=FARTHER))
    entitled = tenants.principals.user(base, allow("s3:BypassGovernanceRetention")).client("s3")
    refused("AccessDenied", entitled.delete_object, **version)
    assert "Errors" not in entitled.delete_objects(**batch, **bypass)


def test_policies_bound_retentions(tenants, bucket_name):
    root = tenants.principals.root.client("s3")
    root.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    condition = {"NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"}}
    statement = allow("s3:PutObjectRetention", Condition=condition)
    s3 = tenants.principals.user(allow("s3:PutObject", "s3:PutObjectLegalHold"), statement).client("s3")
    soon = datetime.datetime.now(UTC) + datetime.timedelta(days=9)
    s3.put_object(Bucket=bucket_name, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon)
    far = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": FAR}
    refused("AccessDenied", s3.put_object, Bucket=bucket_name, Key="k", **far)
    version = put(root, bucket_name)
    s3.put_object_retention(**version, **retention(until=soon))
    refused("AccessDenied", s3.put_object_retention, **version, **retention())
