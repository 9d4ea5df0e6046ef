"""Quotas of buckets: set by the administrator's API and the CLI, exact under concurrency, and who may set them."""

import concurrent.futures
import http.client
import json
import random

import botocore.exceptions
import pytest
from principals import Who, allow
from server_process import binary

WRITERS = 64


@pytest.fixture
def cairn(run, environment, server):
    """cairn("bucket", "quota", …) -> stdout."""

    def call(*arguments, **options):
        extra = {"AWS_ENDPOINT_URL": server.endpoint} | options.pop("extra", {})
        return run(binary(), *arguments, extra=extra, **options)

    return call


@pytest.fixture
def quota(tenants):
    """quota(bucket, bytes=…, objects=…) sets one; quota(bucket) removes it."""

    def put(bucket, who=None, **limits):
        who = who or root(tenants)
        if not limits:
            return tenants.signed(who, "DELETE", f"/_admin/v1/buckets/{bucket}/quota")
        return tenants.signed(who, "PUT", f"/_admin/v1/buckets/{bucket}/quota", (), json.dumps(limits).encode())

    return put


def root(tenants):
    """The operator: the server's root account."""
    process = tenants.process
    return Who(tenants.endpoint, process.access_key_id, process.secret_access_key)


def usage(tenants, bucket):
    answer = tenants.signed(root(tenants), "GET", f"/_admin/v1/buckets/{bucket}/quota")
    assert answer.status == 200, answer
    return json.loads(answer.text)["usage"]


def code(call, *arguments, **options):
    """The code of the error that a call of boto3 fails with; None if it does not."""
    try:
        call(*arguments, **options)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_the_command_line_sets_shows_and_clears(cairn, s3, bucket):
    assert cairn("bucket", "quota", "get", f"s3://{bucket}") == f"s3://{bucket}\n  bytes   0, no limit\n  objects 0, no limit\n"
    shown = cairn("bucket", "quota", "set", f"s3://{bucket}", "--bytes", "10KiB", "--objects", "2")
    assert shown == f"s3://{bucket}\n  bytes   0 of 10240\n  objects 0 of 2\n"
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 10_240)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    error = refused.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (403, "QuotaExceeded")
    assert "10240 bytes" in error["Error"]["Message"] and error["Error"]["Limit"] == error["Error"]["Usage"] == "10240"
    assert cairn("bucket", "quota", "get", bucket) == f"s3://{bucket}\n  bytes   10240 of 10240\n  objects 1 of 2\n"
    assert cairn("bucket", "quota", "clear", bucket) == ""
    s3.put_object(Bucket=bucket, Key="b", Body=b"x")
    assert "required" in cairn("bucket", "quota", "set", bucket, code=2)
    assert "NoSuchBucket" in cairn("bucket", "quota", "get", "s3://no-such-bucket-of-ours", code=1)


def test_every_way_of_writing_is_held_to_it_and_deleting_never(tenants, own_bucket, quota):
    s3, bucket = tenants.owner.client("s3"), own_bucket
    source = "k"  # 4 bytes, made by the fixture
    assert quota(bucket, bytes=10, objects=3).status == 204
    put = lambda key, body: code(s3.put_object, Bucket=bucket, Key=key, Body=body)  # noqa: E731
    assert put("a", b"12345") is None
    assert put("b", b"12") == "QuotaExceeded", "nine are there"
    assert put("a", b"123456") is None, "in place of five, six fit"
    assert put("a", b"1234567") == "QuotaExceeded"
    assert put("a", b"") is None
    copy = {"Bucket": bucket, "Key": source}
    assert code(s3.copy_object, Bucket=bucket, Key="copy", CopySource=copy) is None
    assert code(s3.copy_object, Bucket=bucket, Key="fourth", CopySource=copy) == "QuotaExceeded", "a fourth object"
    assert code(s3.delete_object, Bucket=bucket, Key="copy") is None

    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    named = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    assert code(s3.upload_part, **named, PartNumber=1, Body=b"1234567") == "QuotaExceeded", "a part that can never fit"
    parts = []
    for number, body in ((1, b"123456"),):
        etag = s3.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    assert put("b", b"1") is None, "parts do not count before the completion"
    refused = code(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": parts})
    assert refused == "QuotaExceeded"
    assert code(s3.delete_object, Bucket=bucket, Key="b") is None
    assert code(s3.complete_multipart_upload, **named, MultipartUpload={"Parts": parts}) is None
    assert usage(tenants, bucket)["bytes"] == 10

    # Beyond the quota, everything but growth is possible.
    assert quota(bucket, bytes=1, objects=1).status == 204
    assert put("a", b"") is None
    assert code(s3.put_object_tagging, Bucket=bucket, Key="a", Tagging={"TagSet": []}) is None
    assert put("new", b"") == "QuotaExceeded"
    for key in ("a", "k", "parts"):
        assert code(s3.delete_object, Bucket=bucket, Key=key) is None
    assert usage(tenants, bucket) == {"bytes": 0, "objects": 0, "currentObjects": 0, "deleteMarkers": 0}


def test_appends_renames_and_annotations(tenants, own_bucket, quota):
    s3, bucket = tenants.owner.client("s3"), own_bucket
    append = lambda key, at, body: code(s3.put_object, Bucket=bucket, Key=key, Body=body, WriteOffsetBytes=at)  # noqa: E731
    assert quota(bucket, bytes=20, objects=2).status == 204
    assert append("log", 0, b"12345678") is None
    assert append("log", 8, b"123456789") == "QuotaExceeded", "twelve bytes are there, with the fixture's four"
    assert append("log", 8, b"12345678") is None
    assert append("log", 16, b"1") == "QuotaExceeded"
    assert s3.get_object(Bucket=bucket, Key="log")["Body"].read() == b"12345678" * 2
    assert append("third", 0, b"") == "QuotaExceeded", "a third object"
    assert usage(tenants, bucket)["bytes"] == 20 and usage(tenants, bucket)["objects"] == 2

    # A rename needs no room, and gives back that of the object in whose place it comes.
    assert code(s3.rename_object, Bucket=bucket, Key="renamed", RenameSource="log") is None
    assert usage(tenants, bucket)["bytes"] == 20
    assert code(s3.rename_object, Bucket=bucket, Key="k", RenameSource="renamed") is None
    assert (usage(tenants, bucket)["bytes"], usage(tenants, bucket)["objects"]) == (16, 1)

    # An annotation's bytes count as its object's do, until they are gone.
    annotate = lambda: code(  # noqa: E731
        s3.put_object_annotation, Bucket=bucket, Key="k", AnnotationName="note", AnnotationPayload=b"x" * 100
    )
    assert quota(bucket, bytes=115).status == 204
    assert annotate() == "QuotaExceeded"
    assert quota(bucket, bytes=116).status == 204
    assert annotate() is None
    assert (usage(tenants, bucket)["bytes"], usage(tenants, bucket)["objects"]) == (116, 1)
    assert code(s3.put_object, Bucket=bucket, Key="more", Body=b"1") == "QuotaExceeded"
    assert code(s3.delete_object_annotation, Bucket=bucket, Key="k", AnnotationName="note") is None
    assert usage(tenants, bucket)["bytes"] == 16


def test_versions_count(tenants, own_bucket, quota):
    s3 = tenants.owner.client("s3")
    s3.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    assert quota(own_bucket, objects=2).status == 204
    newer = s3.put_object(Bucket=own_bucket, Key="k", Body=b"newer")["VersionId"]
    assert code(s3.put_object, Bucket=own_bucket, Key="k", Body=b"") == "QuotaExceeded"
    s3.delete_object(Bucket=own_bucket, Key="k")
    assert usage(tenants, own_bucket) == {"bytes": 9, "objects": 2, "currentObjects": 0, "deleteMarkers": 1}
    assert code(s3.put_object, Bucket=own_bucket, Key="k", Body=b"") == "QuotaExceeded", "a marker makes no room"
    s3.delete_object(Bucket=own_bucket, Key="k", VersionId=newer)
    assert code(s3.put_object, Bucket=own_bucket, Key="k", Body=b"") is None


def test_an_upload_that_cannot_fit_is_refused_before_it_is_sent(tenants, own_bucket, quota):
    assert quota(own_bucket, bytes=1_000).status == 204
    url = tenants.owner.client("s3").generate_presigned_url("put_object", {"Bucket": own_bucket, "Key": "large"})
    connection = http.client.HTTPConnection(tenants.host, timeout=30)
    connection.putrequest("PUT", url.partition(tenants.host)[2])
    connection.putheader("Content-Length", str(4 << 30))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, b"QuotaExceeded" in answer.read()) == (403, True)
    connection.close()


@pytest.mark.parametrize("limit", ["bytes", "objects"])
def test_concurrent_writers_never_exceed_it(tenants, own_bucket, quota, limit, seed):
    """64 at once, objects of random lengths, some of them over again and some deleted in between."""
    limits = {"bytes": 20_000} if limit == "bytes" else {"objects": 20}
    assert quota(own_bucket, **limits).status == 204
    s3 = tenants.owner.client("s3")

    def writer(number):
        draw = random.Random(seed + number)
        taken = refused = 0
        for step in range(8):
            key = f"{draw.randrange(40)}"
            if draw.random() < 0.15:
                s3.delete_object(Bucket=own_bucket, Key=key)
                continue
            outcome = code(s3.put_object, Bucket=own_bucket, Key=key, Body=b"x" * draw.randrange(1, 6_000))
            assert outcome in (None, "QuotaExceeded"), outcome
            taken, refused = taken + (outcome is None), refused + (outcome is not None)
            if step % 4 == 0:
                held = usage(tenants, own_bucket)
                assert held[limit] <= limits[limit], held
        return taken, refused

    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        outcomes = list(pool.map(writer, range(WRITERS)))
    assert sum(taken for taken, _ in outcomes) > 0 and sum(refused for _, refused in outcomes) > 0
    held = usage(tenants, own_bucket)
    listed = s3.list_objects_v2(Bucket=own_bucket).get("Contents", [])
    assert (held["objects"], held["bytes"]) == (len(listed), sum(found["Size"] for found in listed))
    assert held[limit] <= limits[limit]
    # What is left over is given out to the last byte.
    if limit == "bytes":
        assert code(s3.put_object, Bucket=own_bucket, Key="rest", Body=b"x" * (20_000 - held["bytes"])) is None
        assert code(s3.put_object, Bucket=own_bucket, Key="more", Body=b"x") == "QuotaExceeded"


def test_who_may_administer(tenants, own_bucket, quota):
    path = f"/_admin/v1/buckets/{own_bucket}/quota"
    answer = tenants.anonymous("GET", path)
    assert (answer.status, json.loads(answer.text)["code"]) == (403, "AccessDenied")
    # The owner sees it, and cannot change it.
    assert tenants.signed(tenants.owner, "GET", path).status == 200
    assert tenants.signed(tenants.other, "GET", path).status == 403
    for who in (tenants.owner, tenants.other):
        assert quota(own_bucket, who, bytes=1).status == 403
        assert quota(own_bucket, who).status == 403
    # A user of the owner's needs the action, and cannot be given the operator's.
    user = tenants.principals.user(allow("s3:*"))
    assert tenants.signed(user, "GET", path).status == 403
    user = tenants.principals.user(allow("cairn:*"))
    assert tenants.signed(user, "GET", path).status == 200
    assert quota(own_bucket, user, bytes=1).status == 403


def test_the_interface_says_what_is_wrong(tenants, own_bucket):
    who, path = root(tenants), f"/_admin/v1/buckets/{own_bucket}/quota"

    def refused(method, target, body=b""):
        answer = tenants.signed(who, method, target, (), body)
        assert answer.headers["content-type"] == "application/json", answer
        error = json.loads(answer.text)
        assert error["requestId"] == answer.headers["x-amz-request-id"] and error["message"]
        return answer.status, error["code"]

    assert refused("GET", "/_admin/v1/buckets/no-such-bucket/quota") == (404, "NoSuchBucket")
    assert refused("GET", "/_admin/v1/nothing") == (404, "NotFound")
    assert refused("GET", "/_admin/v2/buckets") == (404, "NotFound")
    assert refused("POST", path) == (405, "MethodNotAllowed")
    for body in (b"", b"{}", b'{"bytes": null}', b'{"bytes": -1}', b'{"byte": 1}', b'{"bytes": "10GiB"}', b"[1]"):
        assert refused("PUT", path, body) == (400, "InvalidRequest"), body
    forger = Who(tenants.endpoint, who.access_key, "wrong-secret-wrong-secret")
    answer = tenants.signed(forger, "GET", path)
    assert (answer.status, json.loads(answer.text)["code"]) == (403, "SignatureDoesNotMatch")
