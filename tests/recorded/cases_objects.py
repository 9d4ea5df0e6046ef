"""Replays of `api.json`: deletion, versions, suspended versioning, ranges."""

import re
import uuid

from recorded.replay import case

CRUD = "TestS3ObjectCRUD::"
# A version id of the right form that no object has.
STRANGE_VERSION = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"


@case("api", "TestS3BucketCRUD::test_delete_bucket_with_objects")
def _(s):
    s.call(None, "put_object", Key="test-delete", Body=b"test-delete")
    s.call("delete-with-obj", "delete_bucket")
    s.call("delete-obj", "delete_object", Key="test-delete")
    s.call("delete-bucket", "delete_bucket")


@case("api", "TestS3BucketCRUD::test_delete_versioned_bucket_with_objects")
def _(s):
    s.versioning()
    key = {"Key": "test-delete-versioned"}
    put = s.call(None, "put_object", Body=b"test-delete", **key)
    marker = s.call(None, "delete_object", **key)
    s.call("delete-with-obj-and-delete-marker", "delete_bucket")
    s.call("delete-obj-by-version", "delete_object", VersionId=put["VersionId"], **key)
    s.call("delete-with-only-delete-marker", "delete_bucket")
    s.call("delete-marker-by-version", "delete_object", VersionId=marker["VersionId"], **key)
    s.call("success-delete-bucket", "delete_bucket")


@case("api", CRUD + "test_delete_object")
def _(s):
    key = {"Key": "test-delete"}
    s.call("put-object", "put_object", Body=b"test-delete", **key)
    s.call("delete-object", "delete_object", **key)
    s.call("delete-nonexistent-object", "delete_object", **key)
    s.call("delete-nonexistent-object-versionid", "delete_object", VersionId=STRANGE_VERSION, **key)


@case("api", CRUD + "test_delete_objects")
def _(s):
    s.call("put-object", "put_object", Key="test-delete", Body=b"test-delete")
    wrong = [{"Key": "test-delete", "VersionId": STRANGE_VERSION}]
    s.call("delete-object-wrong-version-id", "delete_objects", Delete={"Objects": wrong})
    delete_many(s, "delete-objects", ["test-delete", "c-wrong-key", "a-wrong-key"])


def delete_many(s, step, keys):
    """DeleteObjects of current versions; AWS promises no order, so both sides are compared by key."""
    answer = s.client.delete_objects(Bucket=s.bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    answer["Deleted"].sort(key=lambda entry: entry["Key"])
    s.compare(step, answer)
    return answer


@case("api", CRUD + "test_delete_object_versioned")
def _(s):
    s.versioning()
    key = {"Key": "test-delete"}
    version = s.call("put-object", "put_object", Body=b"test-delete", **key)["VersionId"]
    marker = s.call("delete-object", "delete_object", **key)["VersionId"]
    gone = s.call("get-deleted-object", "get_object", **key)
    headers(s, "get-deleted-object", gone, {"x-amz-delete-marker": "true", "x-amz-version-id": marker})
    s.call("get-object-with-version", "get_object", VersionId=version, **key)
    refused = s.call("get-delete-marker", "get_object", VersionId=marker, **key)
    wanted = {"x-amz-delete-marker": "true", "x-amz-version-id": marker, "allow": "DELETE"}
    headers(s, "get-delete-marker", refused, wanted)
    s.call("delete-object-2", "delete_object", **key)
    s.call("list-object-versions", "list_object_versions", Prefix="test-delete")
    s.call("delete-delete-marker", "delete_object", VersionId=marker, **key)
    s.call("delete-object-version", "delete_object", VersionId=version, **key)
    nothing = {"x-amz-delete-marker": None, "x-amz-version-id": None}
    gone = s.call("get-deleted-object-with-version", "get_object", VersionId=version, **key)
    headers(s, "get-deleted-object-with-version", gone, nothing)
    refused = s.call("delete-with-bad-version", "delete_object", VersionId=version[:-4] + "ABCD", **key)
    headers(s, "delete-with-bad-version", refused, nothing)
    s.call("delete-wrong-key", "delete_object", Key="wrong-key")


def headers(s, step, answer, wanted):
    """Compares headers that boto3 does not turn into fields of an error; None: the header must be absent."""
    got = answer["ResponseMetadata"]["HTTPHeaders"]
    for name, value in wanted.items():
        if got.get(name) != value:
            s.differences.append(f"{step}: header {name}: AWS {value!r}, Cairn {got.get(name)!r}")


@case("api", CRUD + "test_delete_objects_versioned")
def _(s):
    s.versioning()
    version = s.call("put-object", "put_object", Key="test-delete", Body=b"test-delete")["VersionId"]
    deleted = delete_many(s, "delete-objects-no-version-id", ["test-delete", "wrongkey", "wrongkey-x"])
    marker = deleted["Deleted"][0]["DeleteMarkerVersionId"]

    def delete(step, *pairs):
        objects = [{"Key": key, "VersionId": one} for key, one in pairs]
        s.call(step, "delete_objects", Delete={"Objects": objects})

    delete("delete-objects-marker", ("test-delete", marker))
    strange = [("test-delete", STRANGE_VERSION), ("wrong-key-2", STRANGE_VERSION)]
    delete("delete-objects-wrong-version-id", *strange)
    delete("delete-objects-version-id", ("test-delete", version))


@case("api", CRUD + "test_get_object_with_version_unversioned_bucket")
def _(s):
    key = {"Key": "test-version"}
    s.call("put-object", "put_object", Body=b"test-version", **key)
    s.call("get-obj-with-version", "get_object", VersionId=STRANGE_VERSION, **key)
    s.call("get-obj-with-null-version", "get_object", VersionId="null", **key)


@case("api", CRUD + "test_put_object_on_suspended_bucket")
def _(s):
    s.versioning()
    key = {"Key": "test-version"}
    for number in range(3):
        s.call(f"put-object-{number}", "put_object", Body=f"test-version-{number}".encode(), **key)
    s.call("list-enabled", "list_object_versions")
    s.versioning("Suspended")
    s.call("list-suspended", "list_object_versions")
    for put, listing in (("suspended", "put"), ("suspended-overwrite", "overwrite")):
        s.call(f"put-object-{put}", "put_object", Body=b"test-version-suspended", **key)
        s.call(f"list-suspended-after-{listing}", "list_object_versions")
    s.call("get-object-current", "get_object", **key)


@case("api", CRUD + "test_delete_object_on_suspended_bucket")
def _(s):
    s.versioning()
    key = {"Key": "test-delete-suspended"}
    for number in range(2):
        s.call(f"put-object-{number}", "put_object", Body=f"test-version-{number}".encode(), **key)
    s.versioning("Suspended")
    s.call("list-suspended", "list_object_versions")
    s.call("delete-object-no-version", "delete_object", **key)
    s.call("list-suspended-delete", "list_object_versions")
    s.call("put-object-suspended", "put_object", Body=b"test-version-suspended-after-delete", **key)
    s.call("list-suspended-put", "list_object_versions")
    s.call("delete-object-no-version-after-put", "delete_object", **key)
    s.call("list-suspended-after-put", "list_object_versions")


@case("api", CRUD + "test_list_object_versions_order_unversioned")
def _(s):
    s.call("list-empty", "list_object_versions")
    for step, letter, number in (("put-object", "a", 1), ("put-object-3", "c", 3), ("put-object-2", "b", 2)):
        name = f"test-object-{number}"
        s.call(step, "put_object", Key=f"{letter}-{name}", Body=name.encode())
    s.call("list-object-versions", "list_object_versions")


@case("api", CRUD + "test_get_object_range")
def _(s):
    key = {"Key": "test-key-range"}
    s.call(None, "put_object", Body=b"0123456789", **key)
    s.call("get-0-8-checksum", "get_object", Range="bytes=0-8", ChecksumMode="ENABLED", **key)
    spans = ["0-8", "1-1", "1-0", "1-", "-1-", "-2", "-9", "-15", "0-100", "0-0", "0--1", "-", "-0", "100-200"]
    for span in spans:
        s.call(f"get-{span}", "get_object", Range=f"bytes={span}", **key)
    s.call("get-multiple-ranges", "get_object", Range="bytes=0-1,3-4,7-9", **key)
    s.call("get-wrong-format", "get_object", Range="0-1", **key)
    s.call("put-after-failed", "put_object", Body=b"0123456789" * 2, **key)


@case("api", "TestS3BucketVersioning::test_bucket_versioning_crud")
def _(s):
    def put(step, configuration, **more):
        s.call(step, "put_bucket_versioning", VersioningConfiguration=configuration, **more)

    s.call("get-versioning-before", "get_bucket_versioning")
    put("put-versioning-suspended-before", {"Status": "Suspended"})
    s.call("get-versioning-after-suspended", "get_bucket_versioning")
    put("put-versioning-enabled-lowercase", {"Status": "enabled"})
    put("put-versioning-enabled-capitalized", {"Status": "Enabled"})
    s.call("get-versioning-after-enabled", "get_bucket_versioning")
    put("put-versioning-suspended-after", {"Status": "Suspended"})
    put("put-versioning-disabled", {"Status": "Disabled"})
    put("put-versioning-empty", {})
    nobody = {"Bucket": f"recorded-none-{uuid.uuid4().hex[:16]}"}
    put("put-versioning-no-bucket", {"Status": "Suspended"}, **nobody)
    s.call("get-versioning-no-bucket", "get_bucket_versioning", **nobody)


@case("api", "TestS3BucketVersioning::test_object_version_id_format")
def _(s):
    s.versioning()
    version = s.call("put-object", "put_object", Key="test-version-id")["VersionId"]
    if not re.fullmatch(r"[A-Za-z0-9._]{32}", version):
        s.differences.append(f"put-object: AWS's version ids are 32 of A-Za-z0-9._, Cairn's is {version!r}")


@case("api", "TestS3ObjectLock::test_delete_object_with_no_locking")
def _(s):
    key = "test-delete-no-lock"
    s.call(None, "put_object", Key=key, Body=b"test")
    s.call("delete-object-bypass-no-lock", "delete_object", Key=key, BypassGovernanceRetention=True)
    s.call("delete-object-bypass-no-lock-false", "delete_object", Key=key, BypassGovernanceRetention=False)
    many = {"Delete": {"Objects": [{"Key": key}]}, "BypassGovernanceRetention": True}
    s.call("delete-objects-bypass-no-lock", "delete_objects", **many)


def delete_condition_case(name, step, **conditions):
    @case("api", f"TestS3DeletePrecondition::{name}")
    def _(s):
        s.call(None, "put_object", Key="test-precondition")
        s.call(step, "delete_object", Key="test-precondition", **conditions)


EARLIER = "2020-01-01T00:00:00Z"
delete_condition_case("test_delete_object_if_match_non_express", "delete-obj-if-match", IfMatch="badvalue")
delete_condition_case(
    "test_delete_object_if_match_modified_non_express",
    "delete-obj-if-match-last-modified",
    IfMatchLastModifiedTime=EARLIER,
)
delete_condition_case("test_delete_object_if_match_size_non_express", "delete-obj-if-match-size", IfMatchSize=10)
delete_condition_case(
    "test_delete_object_if_match_all_non_express",
    "delete-obj-if-match-all",
    IfMatchSize=10,
    IfMatch="badvalue",
    IfMatchLastModifiedTime=EARLIER,
)
