"""AWS CLI, `aws s3api`: each S3 operation that Cairn serves, called as its users call it."""

import base64
import hashlib
import json

import pytest
import real_files
from real_files import MIB


@pytest.fixture
def refused(run):
    """refused("NoSuchKey", "get-object", ...): the call fails with that code."""

    def call(code, operation, *arguments):
        output = run("aws", "s3api", operation, *arguments, code=255)
        assert f"({code})" in output, output

    return call


@pytest.fixture
def body(tmp_path):
    """body("text") -> the path of a file that holds it."""

    def write(content, name="body"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_buckets(s3api, refused, bucket_name):
    name = ("--bucket", bucket_name)
    assert s3api("create-bucket", *name)["Location"] == f"/{bucket_name}"
    s3api("head-bucket", *name)
    assert bucket_name in [each["Name"] for each in s3api("list-buckets")["Buckets"]]
    only = s3api("list-buckets", "--prefix", bucket_name, "--max-buckets", "5")["Buckets"]
    assert [each["Name"] for each in only] == [bucket_name]
    # us-east-1 is an empty LocationConstraint.
    assert s3api("get-bucket-location", *name) == {"LocationConstraint": None}
    tags = {"TagSet": [{"Key": "team", "Value": "storage + more"}]}
    s3api("put-bucket-tagging", *name, "--tagging", json.dumps(tags))
    assert s3api("get-bucket-tagging", *name) == tags
    s3api("delete-bucket-tagging", *name)
    refused("NoSuchTagSet", "get-bucket-tagging", *name)
    s3api("delete-bucket", *name)
    refused("404", "head-bucket", *name)
    refused("NoSuchBucket", "delete-bucket", *name)


def test_objects(s3api, refused, run, bucket, body, tmp_path):
    where = ("--bucket", bucket, "--key", "folder/hello world.txt")
    content = b"0123456789" * 10
    put = s3api(
        "put-object", *where, "--body", body(content), "--content-type", "text/plain", "--content-language", "de",
        "--content-disposition", 'attachment; filename="a.txt"', "--metadata", "Colour=red,size=big",
    )  # fmt: skip
    etag = f'"{hashlib.md5(content).hexdigest()}"'
    assert put["ETag"] == etag and put["ChecksumCRC32"] and put["ChecksumType"] == "FULL_OBJECT"

    head = s3api("head-object", *where)
    assert head["Metadata"] == {"colour": "red", "size": "big"}
    assert (head["ContentType"], head["ContentLanguage"]) == ("text/plain", "de")
    assert head["ContentDisposition"] == 'attachment; filename="a.txt"'

    got = tmp_path / "got"
    answer = s3api("get-object", *where, got)
    assert got.read_bytes() == content and answer["ETag"] == etag and answer["AcceptRanges"] == "bytes"
    for asked, start, end in [
        ("bytes=0-9", 0, 10),
        ("bytes=95-", 95, 100),
        ("bytes=-3", 97, 100),
        ("bytes=90-500", 90, 100),
    ]:
        answer = s3api("get-object", *where, "--range", asked, got)
        assert got.read_bytes() == content[start:end]
        assert answer["ContentRange"] == f"bytes {start}-{end - 1}/100"
    refused("InvalidRange", "get-object", *where, "--range", "bytes=100-", got)
    answer = s3api(
        "get-object", *where, "--response-content-type", "image/png", "--response-cache-control", "no-store", got
    )
    assert (answer["ContentType"], answer["CacheControl"]) == ("image/png", "no-store")

    refused("304", "get-object", *where, "--if-none-match", etag, got)
    refused("PreconditionFailed", "get-object", *where, "--if-match", '"0"', got)
    refused("PreconditionFailed", "put-object", *where, "--if-none-match", "*", "--body", body("no"))
    refused("NoSuchKey", "get-object", "--bucket", bucket, "--key", "absent", got)
    refused("404", "head-object", "--bucket", bucket, "--key", "absent")

    attributes = s3api(
        "get-object-attributes", *where, "--object-attributes", "ETag", "Checksum", "ObjectSize", "StorageClass"
    )
    assert attributes["ETag"] == etag.strip('"') and attributes["ObjectSize"] == 100
    assert attributes["StorageClass"] == "STANDARD"
    assert attributes["Checksum"] == {"ChecksumCRC32": put["ChecksumCRC32"], "ChecksumType": "FULL_OBJECT"}

    s3api("delete-object", *where)
    s3api("delete-object", *where)  # what is not there can be deleted too
    refused("404", "head-object", *where)


def test_object_tagging(s3api, bucket, body):
    where = ("--bucket", bucket, "--key", "tagged")
    s3api("put-object", *where, "--body", body("x"), "--tagging", "a=1&b=two%20words")
    tags = {each["Key"]: each["Value"] for each in s3api("get-object-tagging", *where)["TagSet"]}
    assert tags == {"a": "1", "b": "two words"}
    assert s3api("head-object", *where)["TagCount"] == 2
    s3api("put-object-tagging", *where, "--tagging", json.dumps({"TagSet": [{"Key": "ü", "Value": "é"}]}))
    assert s3api("get-object-tagging", *where)["TagSet"] == [{"Key": "ü", "Value": "é"}]
    s3api("delete-object-tagging", *where)
    assert s3api("get-object-tagging", *where)["TagSet"] == []


def test_copy(s3api, refused, bucket, body):
    source, target = f"{bucket}/source", ("--bucket", bucket, "--key", "target")
    put = s3api(
        "put-object", "--bucket", bucket, "--key", "source", "--body", body("copied"),
        "--metadata", "from=source", "--tagging", "tag=source", "--content-type", "text/css",
    )  # fmt: skip
    result = s3api("copy-object", *target, "--copy-source", source)["CopyObjectResult"]
    assert result["ETag"] == put["ETag"]
    head = s3api("head-object", *target)
    assert head["Metadata"] == {"from": "source"} and head["ContentType"] == "text/css"
    assert s3api("get-object-tagging", *target)["TagSet"] == [{"Key": "tag", "Value": "source"}]

    s3api(
        "copy-object", *target, "--copy-source", source, "--metadata-directive", "REPLACE",
        "--metadata", "from=request", "--tagging-directive", "REPLACE", "--tagging", "tag=request",
        "--content-type", "text/html",
    )  # fmt: skip
    head = s3api("head-object", *target)
    assert head["Metadata"] == {"from": "request"} and head["ContentType"] == "text/html"
    assert s3api("get-object-tagging", *target)["TagSet"] == [{"Key": "tag", "Value": "request"}]

    refused("PreconditionFailed", "copy-object", *target, "--copy-source", source, "--copy-source-if-match", '"0"')
    refused("InvalidRequest", "copy-object", *target, "--copy-source", f"{bucket}/target")
    refused("NoSuchKey", "copy-object", *target, "--copy-source", f"{bucket}/absent")


def test_deleting_many(s3api, bucket, body):
    for key in ["a", "b & c", "d"]:
        s3api("put-object", "--bucket", bucket, "--key", key, "--body", body(key))
    asked = {"Objects": [{"Key": "a"}, {"Key": "b & c"}, {"Key": "absent"}]}
    answer = s3api("delete-objects", "--bucket", bucket, "--delete", json.dumps(asked))
    assert sorted(each["Key"] for each in answer["Deleted"]) == ["a", "absent", "b & c"]
    quiet = {"Objects": [{"Key": "d"}], "Quiet": True}
    assert "Deleted" not in s3api("delete-objects", "--bucket", bucket, "--delete", json.dumps(quiet))
    assert "Contents" not in s3api("list-objects-v2", "--bucket", bucket)


def test_listing(s3api, s3, bucket):
    keys = ["a/1", "a/2", "b", "b/1", "c d", "é"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    name = ("--bucket", bucket)
    assert [each["Key"] for each in s3api("list-objects", *name)["Contents"]] == keys
    page = s3api("list-objects-v2", *name, "--delimiter", "/", "--no-paginate")
    assert [each["Key"] for each in page["Contents"]] == ["b", "c d", "é"]
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["a/", "b/"]
    assert page["KeyCount"] == 5
    page = s3api("list-objects-v2", *name, "--start-after", "a/2", "--fetch-owner", "--max-keys", "2", "--no-paginate")
    assert [each["Key"] for each in page["Contents"]] == ["b", "b/1"] and page["IsTruncated"]
    assert all(each["Owner"]["ID"] for each in page["Contents"])
    more = s3api("list-objects-v2", *name, "--continuation-token", page["NextContinuationToken"], "--no-paginate")
    assert [each["Key"] for each in more["Contents"]] == ["c d", "é"] and not more["IsTruncated"]
    page = s3api("list-objects", *name, "--delimiter", "/", "--max-keys", "2", "--no-paginate")
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["a/"]
    assert page["NextMarker"] == "b"
    page = s3api("list-objects", *name, "--prefix", "a/", "--marker", "a/1", "--no-paginate")
    assert [each["Key"] for each in page["Contents"]] == ["a/2"]


def test_versioning(s3api, refused, bucket, body, tmp_path):
    name, where, got = ("--bucket", bucket), ("--bucket", bucket, "--key", "key"), tmp_path / "got"
    assert s3api("get-bucket-versioning", *name) == {}
    s3api("put-object", *where, "--body", body("before"))
    s3api("put-bucket-versioning", *name, "--versioning-configuration", "Status=Enabled")
    assert s3api("get-bucket-versioning", *name) == {"Status": "Enabled"}
    one = s3api("put-object", *where, "--body", body("one"))["VersionId"]
    two = s3api("put-object", *where, "--body", body("two"))["VersionId"]
    marker = s3api("delete-object", *where)
    assert marker["DeleteMarker"] is True
    refused("NoSuchKey", "get-object", *where, got)
    refused("MethodNotAllowed", "get-object", *where, "--version-id", marker["VersionId"], got)

    listed = s3api("list-object-versions", *name)
    assert [each["VersionId"] for each in listed["Versions"]] == [two, one, "null"]
    assert [each["IsLatest"] for each in listed["Versions"]] == [False, False, False]
    assert [(each["VersionId"], each["IsLatest"]) for each in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
    for version, content in [("null", b"before"), (one, b"one"), (two, b"two")]:
        assert s3api("get-object", *where, "--version-id", version, got)["VersionId"] == version
        assert got.read_bytes() == content
    s3api("copy-object", *name, "--key", "restored", "--copy-source", f"{bucket}/key?versionId={one}")
    s3api("get-object", *name, "--key", "restored", got)
    assert got.read_bytes() == b"one"

    s3api("delete-object", *where, "--version-id", marker["VersionId"])
    assert s3api("head-object", *where)["VersionId"] == two
    s3api("put-bucket-versioning", *name, "--versioning-configuration", "Status=Suspended")
    assert s3api("put-object", *where, "--body", body("null again")).get("VersionId", "null") == "null"
    listed = s3api("list-object-versions", *where[:2], "--prefix", "key")
    assert [each["VersionId"] for each in listed["Versions"]] == ["null", two, one], "the old null version is replaced"


def test_multipart(s3api, refused, bucket, body, tmp_path, seed):
    where = ("--bucket", bucket, "--key", "multi/part")
    first, second = real_files.random_bytes(seed, 5 * MIB), real_files.random_bytes(seed + 1, 6 * MIB)
    upload = s3api("create-multipart-upload", *where, "--metadata", "kind=multi", "--content-type", "video/mp4")[
        "UploadId"
    ]
    named = (*where, "--upload-id", upload)
    listed = s3api("list-multipart-uploads", "--bucket", bucket)["Uploads"]
    assert [(each["Key"], each["UploadId"]) for each in listed] == [("multi/part", upload)]
    parts = [s3api("upload-part", *named, "--part-number", "1", "--body", body(first))]
    assert parts[0]["ETag"] == f'"{hashlib.md5(first).hexdigest()}"'

    s3api("put-object", "--bucket", bucket, "--key", "source", "--body", body(second))
    copied = s3api(
        "upload-part-copy", *named, "--part-number", "2", "--copy-source", f"{bucket}/source",
        "--copy-source-range", f"bytes={MIB}-{6 * MIB - 1}",
    )["CopyPartResult"]  # fmt: skip
    assert copied["ETag"] == f'"{hashlib.md5(second[MIB:]).hexdigest()}"'
    parts.append(copied)
    listed = s3api("list-parts", *named)["Parts"]
    assert [(each["PartNumber"], each["Size"], each["ETag"]) for each in listed] == [
        (1, 5 * MIB, parts[0]["ETag"]),
        (2, 5 * MIB, parts[1]["ETag"]),
    ]
    refused("404", "head-object", *where)  # nothing is visible before completion

    chosen = {"Parts": [{"PartNumber": 1, "ETag": parts[0]["ETag"]}, {"PartNumber": 2, "ETag": parts[1]["ETag"]}]}
    wrong = {"Parts": [{"PartNumber": 1, "ETag": parts[1]["ETag"]}]}
    refused("InvalidPart", "complete-multipart-upload", *named, "--multipart-upload", json.dumps(wrong))
    done = s3api("complete-multipart-upload", *named, "--multipart-upload", json.dumps(chosen))
    joined = hashlib.md5(hashlib.md5(first).digest() + hashlib.md5(second[MIB:]).digest()).hexdigest()
    assert done["ETag"] == f'"{joined}-2"' and done["Key"] == "multi/part"

    got = tmp_path / "got"
    answer = s3api("get-object", *where, got)
    assert got.read_bytes() == first + second[MIB:] and answer["Metadata"] == {"kind": "multi"}
    answer = s3api("get-object", *where, "--part-number", "2", got)
    assert got.read_bytes() == second[MIB:] and answer["PartsCount"] == 2
    assert s3api("head-object", *where, "--part-number", "1")["ContentLength"] == 5 * MIB
    attributes = s3api("get-object-attributes", *where, "--object-attributes", "ObjectParts", "ObjectSize")
    assert attributes["ObjectSize"] == 10 * MIB and attributes["ObjectParts"]["TotalPartsCount"] == 2

    aborted = s3api("create-multipart-upload", *where)["UploadId"]
    s3api("upload-part", *where, "--upload-id", aborted, "--part-number", "1", "--body", body("x"))
    s3api("abort-multipart-upload", *where, "--upload-id", aborted)
    refused("NoSuchUpload", "list-parts", *where, "--upload-id", aborted)
    assert "Uploads" not in s3api("list-multipart-uploads", "--bucket", bucket)


def test_a_wrong_checksum_is_refused(refused, bucket, body):
    where, wrong = ("--bucket", bucket, "--key", "key"), base64.b64encode(hashlib.md5(b"other").digest()).decode()
    refused("BadDigest", "put-object", *where, "--body", body("x"), "--content-md5", wrong)
    refused("BadDigest", "put-object", *where, "--body", body("x"), "--checksum-crc32", "AAAAAA==")
    refused("404", "head-object", *where)
