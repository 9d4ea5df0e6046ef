"""Replays of `list_operations.json`: objects (V1, V2), versions, uploads, parts, buckets."""

import uuid
from urllib.parse import quote

from recorded.replay import case, empty_bucket

TREE = ["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "folder/file2"]
TEST_TREE = ["test/foo/bar/123", "test/foo/bar/456", "test/bar/foo/123"]
IN_FOLDER = {"Prefix": "folder/", "Delimiter": "/"}


def prefix_case(delimiter):
    @case("list", f"TestS3ListObjects::test_list_objects_with_prefix[{delimiter}]")
    def _(s):
        s.put_all(["test/foo/bar/123"])
        s.call("list-objects", "list_objects", Prefix="test/", Delimiter=delimiter, MaxKeys=1, EncodingType="url")
        if delimiter == "%2F":
            s.raw_xml("list-objects-no-encoding", [("prefix", "test"), ("delimiter", "/")])


for one in ("", "/", "%2F"):
    prefix_case(one)


@case("list", "TestS3ListObjects::test_list_objects_next_marker")
def _(s):
    s.put_all([f"test_{i}" for i in range(3)])
    s.call("list-objects-all", "list_objects")
    marker = s.call("list-objects-max-1", "list_objects", MaxKeys=1, Delimiter="/").get("NextMarker", "")
    s.call("list-objects-rest", "list_objects", Marker=marker, MaxKeys=1)
    s.call("list-objects-marker-empty", "list_objects", Marker="", MaxKeys=1)


@case("list", "TestS3ListObjects::test_s3_list_objects_empty_marker")
def _(s):
    s.call("list-objects", "list_objects", Marker="")


@case("list", "TestS3ListObjects::test_list_objects_marker_common_prefixes")
def _(s):
    s.put_all(TREE)
    s.call("list-objects-all-keys", "list_objects")
    marker = s.call("list-objects-start", "list_objects", MaxKeys=1, **IN_FOLDER).get("NextMarker", "")
    marker = s.call("list-objects-next-1", "list_objects", MaxKeys=1, Marker=marker, **IN_FOLDER).get("NextMarker", "")
    s.call("list-objects-end", "list_objects", MaxKeys=1, Marker=marker, **IN_FOLDER)
    s.call("list-objects-manual-first-file", "list_objects", MaxKeys=1, Marker=TREE[0], **IN_FOLDER)


@case("list", "TestS3ListObjectsV2::test_list_objects_v2_with_prefix")
def _(s):
    s.put_all(TEST_TREE)
    for number, prefix in enumerate(["test/", "test/foo", "test/foo/bar"], 1):
        s.call(f"list-objects-v2-{number}", "list_objects_v2", Prefix=prefix, EncodingType="url")
    s.raw_xml("list-objects-v2-no-encoding", [("list-type", "2"), ("prefix", "test/foo")])


@case("list", "TestS3ListObjectsV2::test_list_objects_v2_with_prefix_and_delimiter")
def _(s):
    s.put_all(TEST_TREE)
    form = {"EncodingType": "url", "Delimiter": "/"}
    s.call("list-objects-v2-1", "list_objects_v2", Prefix="test/", **form)
    s.call("list-objects-v2-1-with-max-keys", "list_objects_v2", Prefix="test/", MaxKeys=1, **form)
    s.call("list-objects-v2-2", "list_objects_v2", Prefix="test/foo", **form)
    s.call("list-objects-v2-3", "list_objects_v2", Prefix="test/foo/bar", **form)


@case("list", "TestS3ListObjectsV2::test_list_objects_v2_continuation_start_after")
def _(s):
    s.put_all([f"test_{i}" for i in range(12)])
    token = s.call("list-objects-v2-max-5", "list_objects_v2", MaxKeys=5).get("NextContinuationToken", "")
    s.call("list-objects-v2-rest", "list_objects_v2", ContinuationToken=token)
    s.call("list-objects-start-after", "list_objects_v2", StartAfter="test_7", MaxKeys=2)
    s.call("list-objects-start-after-token", "list_objects_v2", StartAfter="test_7", ContinuationToken=token)
    s.call("exc-continuation-token", "list_objects_v2", ContinuationToken="")


@case("list", "TestS3ListObjectsV2::test_list_objects_v2_continuation_common_prefixes")
def _(s):
    def page(step, **more):
        return s.call(step, "list_objects_v2", MaxKeys=1, **IN_FOLDER, **more).get("NextContinuationToken", "")

    s.put_all(TREE)
    s.call("list-objects-v2-all-keys", "list_objects_v2")
    token = page("list-objects-v2-start")
    token = page("list-objects-v2-next-1", ContinuationToken=token)
    page("list-objects-v2-end", ContinuationToken=token)


@case("list", "TestS3ListObjectsV2::test_list_objects_v2_continuation_token_safe_chars")
def _(s):
    dates = [f"date=2026-0{month}-01/" for month in (1, 2, 3, 5)]
    odd = ["file%2Fname", "test@key/", "test%123", "test%percent", "test key/", "test key//", "test%123/"]
    s.put_all([*odd, "a/%F0%9F%98%80/", *dates], body=b"")
    after = dates[1]
    token = s.lax("list-objects-v2-max-5", "list_objects_v2", MaxKeys=5).get("NextContinuationToken", "")
    s.lax("list-objects-v2-rest", "list_objects_v2", ContinuationToken=token)
    s.lax("list-objects-start-after", "list_objects_v2", StartAfter=after, MaxKeys=2, EncodingType=None)
    s.lax("list-objects-start-after-url-type", "list_objects_v2", StartAfter=after, MaxKeys=2, EncodingType="url")
    page = s.lax("list-objects-start-after-encoded", "list_objects_v2", StartAfter=quote(after), MaxKeys=2)
    rest = {"ContinuationToken": page.get("NextContinuationToken", ""), "MaxKeys": 2}
    s.lax("list-objects-start-after-token", "list_objects_v2", StartAfter=after, **rest)
    s.lax("list-objects-continuation-token-2", "list_objects_v2", **rest)


def encoding_case(operation):
    @case("list", f"TestS3ListObjectsV2::test_list_ops_encoding_type_validation[{operation}]")
    def _(s):
        if operation == "list_object_versions":
            s.versioning()
        s.lax(f"{operation}-error-wrong-value", operation, EncodingType="value")
        s.lax(f"{operation}-error-empty-value", operation, EncodingType="")


for one in ("list_objects_v2", "list_objects", "list_object_versions", "list_multipart_uploads"):
    encoding_case(one)


@case("list", "TestS3ListObjectVersions::test_list_objects_versions_markers")
def _(s):
    s.versioning()
    keys = [f"test_{i}" for i in range(3)]
    puts = [(key, b"version 1") for key in keys] + [(keys[2], b"version 2")]
    ids = [s.call(None, "put_object", Key=key, Body=body)["VersionId"] for key, body in puts]
    ids += [s.call(None, "delete_object", Key=key)["VersionId"] for key in keys]
    ids += [s.call(None, "put_object", Key=key, Body=b"version 2")["VersionId"] for key in keys[:2]]
    s.compare("version-order", {"Versions": [{"VersionId": version} for version in ids]})
    listing = "list_object_versions"
    s.call("list-objects-versions-all", listing)
    page = s.call("list-objects-versions-5", listing, MaxKeys=5)
    key, version = page.get("NextKeyMarker", ""), page.get("NextVersionIdMarker", "")
    s.call("list-objects-next-key-only", listing, MaxKeys=1, KeyMarker=key)
    s.call("list-objects-next-key-last", listing, MaxKeys=1, KeyMarker=keys[-1])
    s.call("list-objects-next-version-only", listing, MaxKeys=1, VersionIdMarker=version)
    s.call("list-objects-both-markers", listing, MaxKeys=1, KeyMarker=key, VersionIdMarker=version)
    s.call("list-objects-last-key-last-version", listing, MaxKeys=1, KeyMarker=keys[-1], VersionIdMarker=ids[3])
    s.call("list-objects-next-key-empty", listing, MaxKeys=1, KeyMarker="")


@case("list", "TestS3ListObjectVersions::test_list_object_versions_pagination_common_prefixes")
def _(s):
    def page(step, **more):
        return s.call(step, "list_object_versions", MaxKeys=1, **IN_FOLDER, **more).get("NextKeyMarker", "")

    s.versioning()
    s.put_all(TREE)
    s.call("list-object-versions-all-keys", "list_object_versions")
    marker = page("list-object-versions-start")
    marker = page("list-object-versions-next-1", KeyMarker=marker)
    page("list-object-versions-end", KeyMarker=marker)
    page("list-object-versions-manual-first-file", KeyMarker=TREE[0])


@case("list", "TestS3ListObjectVersions::test_list_objects_versions_with_prefix")
def _(s):
    s.versioning()
    bodies = [b"content key1-v1", b"content key-1v2", b"content key2-v1", b"content key2-v2"]
    for key, body in zip(["dir/test"] * 2 + ["dir/subdir/test2"] * 2, bodies, strict=True):
        s.call(None, "put_object", Key=key, Body=body)
    prefixes = ["dir/", "dir/s", "dir/test", "dir/subdir", "dir/subdir/", "dir/subdir/test2"]
    for number, prefix in enumerate(prefixes, 1):
        s.call(f"list-object-version-{number}", "list_object_versions", Delimiter="/", Prefix=prefix)
    s.raw_xml("list-objects-versions-no-encoding", [("versions", None), ("prefix", "dir/subdir"), ("delimiter", "/")])


@case("list", "TestS3ListObjectVersions::test_list_objects_versions_with_prefix_only_and_pagination")
def _(s):
    s.versioning()
    s.put_all(["prefixed_key"] * 5 + ["non_prefixed_key"], body=b"")
    listing = {"operation": "list_object_versions", "Prefix": "prefix"}
    s.call("list-object-version-prefix-full", **listing)
    page = s.call("list-object-version-prefix-page-1", MaxKeys=3, **listing)
    key, version = page.get("NextKeyMarker", ""), page.get("NextVersionIdMarker", "")
    s.call("list-object-version-prefix-key-marker-only", MaxKeys=4, KeyMarker=key, **listing)
    rest = {"MaxKeys": 5, "KeyMarker": key, "VersionIdMarker": version, **listing}
    s.call("list-object-version-prefix-page-2", **rest)
    doomed = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in page["Versions"]]
    s.call(None, "delete_objects", Delete={"Objects": doomed})
    s.call("list-object-version-prefix-page-2-after-delete", **rest)


@case("list", "TestS3ListMultipartUploads::test_list_multiparts_next_marker")
def _(s):
    listing = "list_multipart_uploads"
    s.call("list-multiparts-empty", listing)
    keys = ["test_c", "test_b", "test_a"]
    ids = [s.call(None, "create_multipart_upload", Key=key)["UploadId"] for key in [*keys, keys[2], keys[2]]]
    s.compare("upload-ids-order", {"UploadIds": [{"UploadId": upload} for upload in ids]})
    s.call("list-multiparts-all", listing)
    page = s.call("list-multiparts-max-1", listing, MaxUploads=1)
    key, upload = page.get("NextKeyMarker", ""), page.get("NextUploadIdMarker", "")

    def one(step, **markers):
        s.call(step, listing, MaxUploads=1, **markers)

    one("list-multiparts-next-key-only", KeyMarker=key)
    one("list-multiparts-next-key-last", KeyMarker=keys[0])
    one("list-multiparts-next-upload-only", UploadIdMarker=upload)
    one("list-multiparts-both-markers", KeyMarker=key, UploadIdMarker=upload)
    one("list-multiparts-both-markers-2", KeyMarker=key, UploadIdMarker=ids[-1])
    one("list-multiparts-get-last-upload-no-truncate", KeyMarker=keys[1], UploadIdMarker=ids[1])
    one("list-multiparts-wrong-id-for-key", KeyMarker=keys[0], UploadIdMarker=ids[1])
    one("list-multiparts-next-key-empty", KeyMarker="")


@case("list", "TestS3ListMultipartUploads::test_list_multiparts_with_prefix_and_delimiter")
def _(s):
    for key in TEST_TREE:
        s.call(None, "create_multipart_upload", Key=key)
    for number, prefix in enumerate(["test/", "test/foo/", "test/foo/bar"], 1):
        form = {"Prefix": prefix, "EncodingType": "url", "Delimiter": "/"}
        s.call(f"list-multiparts-{number}", "list_multipart_uploads", **form)
    s.raw_xml("list-multiparts-no-encoding", [("uploads", None), ("prefix", "test/foo")])


@case("list", "TestS3ListMultipartUploads::test_list_multipart_uploads_marker_common_prefixes")
def _(s):
    for key in TREE:
        s.call(None, "create_multipart_upload", Key=key)
    listing = {"operation": "list_multipart_uploads", "MaxUploads": 1, **IN_FOLDER}
    s.call("list-multiparts-start", **listing)
    s.call("list-multiparts-manual-prefix", KeyMarker="folder/aSubfolder/", **listing)
    s.call("list-multiparts-manual-first-file", KeyMarker=TREE[0], **listing)


@case("list", "TestS3ListParts::test_list_parts_pagination")
def _(s):
    key = {"Key": "test-list-part-pagination"}
    key["UploadId"] = s.call(None, "create_multipart_upload", **key)["UploadId"]
    s.call("list-parts-empty", "list_parts", **key)
    for number in (1, 2):
        s.call(None, "upload_part", Body=b"data", PartNumber=number, **key)
    s.call("list-parts-all", "list_parts", **key)
    marker = s.call("list-parts-1", "list_parts", MaxParts=1, **key).get("NextPartNumberMarker", 0)
    s.call("list-parts-next", "list_parts", MaxParts=1, PartNumberMarker=marker, **key)
    s.call("list-parts-wrong-part", "list_parts", MaxParts=1, PartNumberMarker=10, **key)


@case("list", "TestS3ListParts::test_list_parts_empty_part_number_marker")
def _(s):
    key = {"Key": "test-list-part-empty-marker"}
    key["UploadId"] = s.call(None, "create_multipart_upload", **key)["UploadId"]
    s.call(None, "upload_part", Body=b"data", PartNumber=1, **key)
    s.lax("list-parts-empty-marker", "list_parts", PartNumberMarker="", **key)
    s.lax("list-parts-empty-max-parts", "list_parts", MaxParts="", **key)


@case("list", "TestS3ListParts::test_list_parts_via_object_attrs_pagination")
def _(s):
    key = {"Key": "test-object-attrs-pagination"}
    upload = s.call(None, "create_multipart_upload", ChecksumAlgorithm="SHA256", **key)["UploadId"]
    parts = []
    for number in (1, 2):
        form = {"Body": b"a" * (5 * 1024 * 1024 + 1), "PartNumber": number, "ChecksumAlgorithm": "SHA256"}
        part = s.call(None, "upload_part", UploadId=upload, **form, **key)
        parts.append({"ETag": part["ETag"], "PartNumber": number, "ChecksumSHA256": part["ChecksumSHA256"]})
    s.call("list-parts", "list_parts", UploadId=upload, **key)
    s.call("complete-mpu", "complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts}, **key)
    attributes = {"operation": "get_object_attributes", "ObjectAttributes": ["ObjectParts"], **key}
    s.call("get-object-attrs-all", **attributes)
    # The recorded step of this name holds the answer without MaxParts once more.
    s.call("get-object-attrs-1", **attributes)
    page = s.call(None, MaxParts=1, **attributes)
    marker = page.get("ObjectParts", {}).get("NextPartNumberMarker", 0)
    s.call("get-object-attrs-next", MaxParts=1, PartNumberMarker=marker, **attributes)
    s.call("get-object-attrs-wrong-part", MaxParts=1, PartNumberMarker=10, **attributes)


def buckets_case(name, buckets):
    """A case that needs further buckets: the function gets the session and their names."""

    def register(function):
        @case("list", f"TestS3ListBuckets::{name}")
        def _(s):
            names = [f"recorded-{uuid.uuid4().hex[:16]}-{number}" for number in range(buckets)]
            for bucket in names:
                s.call(None, "create_bucket", Bucket=bucket)
            try:
                function(s, names)
            finally:
                for bucket in names:
                    empty_bucket(s.client, bucket)

        return function

    return register


@buckets_case("test_list_buckets_by_prefix_with_case_sensitivity", 2)
def _(s, names):
    s.call("list-objects-by-prefix-empty", "list_buckets", Prefix=names[0].upper())
    s.call("list-objects-by-prefix-not-empty", "list_buckets", Prefix=names[0])


@buckets_case("test_list_buckets_with_max_buckets", 2)
def _(s, _names):
    s.call("list-objects-with-max-buckets", "list_buckets", MaxBuckets=1)


@buckets_case("test_list_buckets_when_continuation_token_is_empty", 2)
def _(s, _names):
    s.call("list-objects-with-empty-continuation-token", "list_buckets", ContinuationToken="", MaxBuckets=1)


@buckets_case("test_list_buckets_with_continuation_token", 3)
def _(s, _names):
    token = s.call(None, "list_buckets", MaxBuckets=1)["ContinuationToken"]
    s.call("list-objects-with-continuation", "list_buckets", MaxBuckets=1, ContinuationToken=token)


@case("list", "TestS3ListBuckets::test_list_buckets_by_bucket_region")
def _(s):
    # A server has one region, so the bucket lies in that instead of us-west-2.
    listing = {"operation": "list_buckets", "Prefix": s.bucket}
    s.call("list-objects-by-bucket-region-empty", BucketRegion="eu-central-1", **listing)
    s.call("list-objects-by-bucket-region-not-empty", BucketRegion="us-east-1", **listing)


@case("list", "TestS3ListBuckets::test_list_buckets_region_validation")
def _(s):
    s.call("bad-region", "list_buckets", BucketRegion="eu-east-1")
