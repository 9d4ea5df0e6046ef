"""boto3: conditional requests, and that of many at once exactly one wins."""

import concurrent.futures
import contextlib

import botocore.exceptions
import pytest

THREADS = 16


@contextlib.contextmanager
def refused(status, code):
    """The call inside fails with this status and code."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield
    answer = caught.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)


def test_put(s3, bucket):
    where = {"Bucket": bucket, "Key": "key"}
    with refused(404, "NoSuchKey"):
        s3.put_object(**where, Body=b"0", IfMatch='"0"')
    first = s3.put_object(**where, Body=b"1", IfNoneMatch="*")["ETag"]
    with refused(412, "PreconditionFailed"):
        s3.put_object(**where, Body=b"2", IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.put_object(**where, Body=b"2", IfMatch='"0"')
    s3.put_object(**where, Body=b"2", IfMatch=first)
    with refused(412, "PreconditionFailed"):
        s3.put_object(**where, Body=b"3", IfMatch=first)
    with refused(501, "NotImplemented"):
        s3.put_object(**where, Body=b"3", IfNoneMatch=first)
    assert s3.get_object(**where)["Body"].read() == b"2"
    s3.delete_object(**where)
    s3.put_object(**where, Body=b"4", IfNoneMatch="*")


def test_get_and_head(s3, bucket):
    where = {"Bucket": bucket, "Key": "key"}
    etag = s3.put_object(**where, Body=b"body")["ETag"]
    changed = s3.head_object(**where)["LastModified"]
    for operation in (s3.get_object, s3.head_object):
        failed = "PreconditionFailed" if operation == s3.get_object else "412"
        operation(**where, IfMatch=etag)
        operation(**where, IfNoneMatch='"0"')
        operation(**where, IfUnmodifiedSince=changed)
        with refused(304, "304"):
            operation(**where, IfNoneMatch=etag)
        with refused(304, "304"):
            operation(**where, IfModifiedSince=changed)
        with refused(412, failed):
            operation(**where, IfMatch='"0"')
        # RFC 9110, 13.2.2: If-Match outranks If-Unmodified-Since, If-None-Match outranks If-Modified-Since.
        operation(**where, IfMatch=etag, IfUnmodifiedSince="Thu, 01 Jan 2015 00:00:00 GMT")
        operation(**where, IfNoneMatch='"0"', IfModifiedSince=changed)


def test_delete(s3, bucket):
    where = {"Bucket": bucket, "Key": "key"}
    etag = s3.put_object(**where, Body=b"body")["ETag"]
    with refused(412, "PreconditionFailed"):
        s3.delete_object(**where, IfMatch='"0"')
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key", "ETag": '"0"'}]})
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("key", "PreconditionFailed")]
    assert s3.get_object(**where)["Body"].read() == b"body"
    s3.delete_object(**where, IfMatch=etag)
    with refused(404, "404"):
        s3.head_object(**where)


def test_copy(s3, bucket):
    source, where = {"Bucket": bucket, "Key": "source"}, {"Bucket": bucket, "Key": "key"}
    etag = s3.put_object(**source, Body=b"body")["ETag"]
    with refused(412, "PreconditionFailed"):
        s3.copy_object(**where, CopySource=source, CopySourceIfMatch='"0"')
    with refused(412, "PreconditionFailed"):
        s3.copy_object(**where, CopySource=source, CopySourceIfNoneMatch=etag)
    s3.copy_object(**where, CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.copy_object(**where, CopySource=source, IfNoneMatch="*")


def test_completion(s3, bucket):
    where = {"Bucket": bucket, "Key": "key"}
    uploads = [_one_part_upload(s3, where, body) for body in (b"first", b"second")]
    s3.complete_multipart_upload(**uploads[0], IfNoneMatch="*")
    with refused(412, "PreconditionFailed"):
        s3.complete_multipart_upload(**uploads[1], IfNoneMatch="*")
    assert s3.get_object(**where)["Body"].read() == b"first"
    etag = s3.head_object(**where)["ETag"]
    third = _one_part_upload(s3, where, b"third")
    s3.complete_multipart_upload(**third, IfMatch=etag)
    assert s3.get_object(**where)["Body"].read() == b"third"


def test_the_next_request_after_a_refused_put_is_answered(s3, bucket):
    """boto3 sends a body only after `100 Continue`: refused before that, it must be told that the connection ends."""
    where = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**where, Body=b"first")
    for _ in range(100):
        with refused(412, "PreconditionFailed"):
            s3.put_object(**where, Body=b"second", IfNoneMatch="*")
    assert s3.get_object(**where)["Body"].read() == b"first"


def test_of_many_creators_one_wins(s3, bucket):
    """If-None-Match: * from many threads at once, over and over."""
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for round_number in range(25):
            where = {"Bucket": bucket, "Key": f"lock-{round_number}"}

            def create(thread, where=where):
                return _status(s3.put_object, **where, Body=str(thread).encode(), IfNoneMatch="*")

            statuses = list(pool.map(create, range(THREADS)))
            winners = [thread for thread, status in enumerate(statuses) if status == 200]
            assert len(winners) == 1, statuses
            assert set(statuses) <= {200, 409, 412}, statuses
            assert s3.get_object(**where)["Body"].read() == str(winners[0]).encode()


def test_of_many_completions_one_wins(s3, bucket):
    where = {"Bucket": bucket, "Key": "key"}
    uploads = [_one_part_upload(s3, where, str(number).encode()) for number in range(THREADS)]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:

        def complete(upload):
            return _status(s3.complete_multipart_upload, **upload, IfNoneMatch="*")

        statuses = list(pool.map(complete, uploads))
    assert statuses.count(200) == 1 and set(statuses) <= {200, 409, 412}, statuses
    assert s3.get_object(**where)["Body"].read() == str(statuses.index(200)).encode()


def test_no_increment_is_lost(s3, bucket):
    """A counter that many clients raise by compare-and-swap."""
    where, raises = {"Bucket": bucket, "Key": "counter"}, 10
    s3.put_object(**where, Body=b"0")

    def raise_it(_):
        done = 0
        while done < raises:
            got = s3.get_object(**where)
            raised = str(int(got["Body"].read()) + 1).encode()
            status = _status(s3.put_object, **where, Body=raised, IfMatch=got["ETag"])
            assert status in (200, 409, 412)
            done += status == 200

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(raise_it, range(4)))
    assert s3.get_object(**where)["Body"].read() == str(4 * raises).encode()


def _one_part_upload(s3, where, body):
    """The arguments that complete an upload of one part."""
    named = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    etag = s3.upload_part(**named, PartNumber=1, Body=body)["ETag"]
    return named | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}


def _status(operation, **arguments):
    try:
        return operation(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
