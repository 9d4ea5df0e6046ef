"""Replays of `api.json`: conditional PutObject, CompleteMultipartUpload and CopyObject."""

from recorded.replay import case

SUITE = "TestS3ObjectWritePrecondition::"
KEY = {"Key": "test-precondition"}
VALIDATION = {"Key": "test-precondition-validation"}
SOURCE, DESTINATION = "source-object", "dest-object"
# The ETag of the empty object.
EMPTY_ETAG = "d41d8cd98f00b204e9800998ecf8427e"


def put(s, step, **arguments):
    """PutObject of the suite's key; gives the ETag."""
    return s.call(step, "put_object", **{**KEY, **arguments}).get("ETag")


def upload(s, step):
    """Begins an upload of the suite's key and sends its one part; gives the arguments that complete it."""
    upload_id = s.call(step, "create_multipart_upload", **KEY)["UploadId"]
    part = s.call(None, "upload_part", UploadId=upload_id, Body=b"test", PartNumber=1, **KEY)
    parts = [{"ETag": part["ETag"], "PartNumber": 1}]
    return {"UploadId": upload_id, "MultipartUpload": {"Parts": parts}, **KEY}


def complete(s, step, form, **conditions):
    return s.call(step, "complete_multipart_upload", **form, **conditions).get("ETag")


def copy(s, step, **arguments):
    form = {"CopySource": f"{s.bucket}/{SOURCE}", "Key": DESTINATION, **arguments}
    return s.call(step, "copy_object", **form)


def source(s):
    return s.call(None, "put_object", Key=SOURCE, Body=b"source content")["ETag"]


@case("api", SUITE + "test_put_object_if_none_match")
def _(s):
    put(s, "put-obj", IfNoneMatch="*")
    put(s, "put-obj-if-none-match", IfNoneMatch="*")
    s.call("del-obj", "delete_object", **KEY)
    put(s, "put-obj-after-del", IfNoneMatch="*")


@case("api", SUITE + "test_put_object_if_none_match_validation")
def _(s):
    etag = put(s, "put-obj", **VALIDATION)
    put(s, "put-obj-if-none-match-bad-value", IfNoneMatch=etag, **VALIDATION)


@case("api", SUITE + "test_multipart_if_none_match_with_delete")
def _(s):
    put(s, "put-obj", IfNoneMatch="*")
    form = upload(s, "create-multipart")
    complete(s, "complete-multipart-if-none-match", form, IfNoneMatch="*")
    s.call("del-obj", "delete_object", **KEY)
    complete(s, "complete-multipart-after-del", form, IfNoneMatch="*")
    complete(s, "complete-multipart-after-del-restart", upload(s, None), IfNoneMatch="*")


@case("api", SUITE + "test_multipart_if_none_match_with_put")
def _(s):
    form = upload(s, "create-multipart")
    put(s, "put-obj", IfNoneMatch="*")
    complete(s, "complete-multipart-if-none-match-put-during", form, IfNoneMatch="*")


@case("api", SUITE + "test_put_object_if_none_match_versioned_bucket")
def _(s):
    s.versioning()
    put(s, "put-obj", IfNoneMatch="*")
    put(s, "put-obj-if-none-match", IfNoneMatch="*")
    s.call("del-obj", "delete_object", **KEY)
    put(s, "put-obj-after-del", IfNoneMatch="*")
    s.call("list-object-versions", "list_object_versions")


@case("api", SUITE + "test_put_object_if_match")
def _(s):
    etag = put(s, "put-obj", Body=b"test")
    put(s, "put-obj-if-match-wrong-etag", IfMatch=EMPTY_ETAG)
    put(s, "put-obj-overwrite", IfMatch=etag)
    s.call("del-obj", "delete_object", **KEY)
    put(s, "put-obj-if-match-key-not-exists", IfMatch=etag)
    put(s, "put-obj-after-del")


@case("api", SUITE + "test_put_object_if_match_validation")
def _(s):
    put(s, "put-obj-if-match-star-value", IfMatch="*", **VALIDATION)
    put(s, "put-obj-if-match-bad-value", IfMatch="abcdef", **VALIDATION)
    put(s, "put-obj-if-match-bad-value-2", IfMatch="bad-char_/", **VALIDATION)


def put_during(name, during, steps):
    @case("api", SUITE + name)
    def _(s):
        before = put(s, "put-obj", Body=b"test")
        form = upload(s, "create-multipart")
        after = put(s, "put-obj-during", Body=during)
        for step, etag in zip(steps, (before, after), strict=True):
            if step:
                complete(s, step, form, IfMatch=etag)
        form = upload(s, "create-multipart-again")
        complete(s, "complete-multipart-if-match-put-before-restart", form, IfMatch=after)


put_during(
    "test_multipart_if_match_with_put",
    b"test2",
    ("complete-multipart-if-match-put-before", "complete-multipart-if-match-put-during"),
)
put_during("test_multipart_if_match_with_put_identical", b"test", (None, "complete-multipart-if-match-put-during"))


@case("api", SUITE + "test_multipart_if_match_with_delete")
def _(s):
    etag = put(s, "put-obj", Body=b"test")
    form = upload(s, "create-multipart")
    s.call("del-obj", "delete_object", **KEY)
    complete(s, "complete-multipart-after-del", form, IfMatch=etag)
    etag = put(s, "put-obj-2", Body=b"test")
    complete(s, "complete-multipart-if-match-after-put", form, IfMatch=etag)


@case("api", SUITE + "test_put_object_if_match_versioned_bucket")
def _(s):
    s.versioning()
    etag = put(s, "put-obj", Body=b"test")
    put(s, "put-obj-if-none-match-bad-value", IfMatch="abcdef")
    s.call("del-obj", "delete_object", **KEY)
    put(s, "put-obj-after-del-exc", IfMatch=etag)
    etag = put(s, "put-obj-after-del", Body=b"test-after-del")
    put(s, "put-obj-if-match", Body=b"test-if-match", IfMatch=etag)
    s.call("list-object-versions", "list_object_versions")


@case("api", SUITE + "test_put_object_if_match_and_if_none_match_validation")
def _(s):
    put(s, "put-obj-both-precondition", IfNoneMatch="*", IfMatch="abcdef", **VALIDATION)


@case("api", SUITE + "test_multipart_if_match_etag")
def _(s):
    etag = put(s, "put-obj", Body=b"test")
    composed = complete(s, "complete-multipart-if-match", upload(s, "create-multipart"), IfMatch=etag)
    form = upload(s, "create-multipart-overwrite")
    complete(s, "complete-multipart-if-match-true-etag", form, IfMatch=etag)
    complete(s, "complete-multipart-if-match-overwrite-multipart", form, IfMatch=composed)


@case("api", SUITE + "test_copy_object_if_none_match")
def _(s):
    source(s)
    copy(s, "copy-obj", IfNoneMatch="*")
    copy(s, "copy-obj-if-none-match-fail", IfNoneMatch="*")


@case("api", SUITE + "test_copy_object_if_match")
def _(s):
    source(s)
    etag = put(s, None, Key=DESTINATION, Body=b"initial content")
    copy(s, "copy-obj-if-match", IfMatch=etag)
    copy(s, "copy-obj-if-match-fail-wrong-etag", IfMatch='"wrong-etag"')
    copy(s, "copy-obj-if-match-fail-no-object", Key="non-existent-key", IfMatch=etag)


@case("api", SUITE + "test_copy_object_if_none_match_versioned_bucket")
def _(s):
    s.versioning()
    source(s)
    copy(s, "copy-obj", IfNoneMatch="*")
    copy(s, "copy-obj-if-none-match-fail", IfNoneMatch="*")
    s.call("del-obj", "delete_object", Key=DESTINATION)
    copy(s, "copy-obj-after-del", IfNoneMatch="*")
    s.call("list-object-versions", "list_object_versions")


@case("api", SUITE + "test_copy_object_if_match_versioned_bucket")
def _(s):
    s.versioning()
    source(s)
    etag = put(s, "put-obj", Key=DESTINATION, Body=b"initial content")
    copy(s, "copy-obj-if-match-wrong-etag", IfMatch='"wrong-etag"')
    s.call("del-obj", "delete_object", Key=DESTINATION)
    copy(s, "copy-obj-after-del-exc", IfMatch=etag)
    etag = put(s, "put-obj-after-del", Key=DESTINATION, Body=b"new content after delete")
    copy(s, "copy-obj-if-match", IfMatch=etag)
    s.call("list-object-versions", "list_object_versions")


@case("api", SUITE + "test_copy_object_precondition_write_validation")
def _(s):
    etag = source(s)
    copy(s, "copy-obj-none-match-etag", IfNoneMatch=etag)
    copy(s, "copy-obj-if-match-star", IfMatch="*")
    copy(s, "copy-obj-both", IfMatch="*", IfNoneMatch=etag)


@case("api", SUITE + "test_copy_object_if_none_match_in_place")
def _(s):
    source(s)
    copy(s, "copy-obj-if-none-match-fail", Key=SOURCE, IfNoneMatch="*", StorageClass="STANDARD")


@case("api", SUITE + "test_copy_object_if_match_in_place")
def _(s):
    etag = source(s)
    copy(s, "copy-obj-if-match-in-place", Key=SOURCE, IfMatch=etag, StorageClass="STANDARD")
