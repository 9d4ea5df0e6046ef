"""Replays of `api.json`: UploadPartCopy with ranges and source conditions."""

from datetime import datetime, timedelta, timezone

from recorded.replay import case

SUITE = "TestS3Multipart::"


def begin(s, source, destination, *, put_step=None, create_step=None):
    """Puts the source and begins the upload; gives its source's ETag and the arguments that name it."""
    etag = s.call(put_step, "put_object", Key=source, Body=b"0123456789")["ETag"]
    upload = s.call(create_step, "create_multipart_upload", Key=destination)["UploadId"]
    return etag, {"Key": destination, "UploadId": upload, "CopySource": f"{s.bucket}/{source}"}


def list_parts(s, form):
    s.call("list-parts", "list_parts", Key=form["Key"], UploadId=form["UploadId"])


@case("api", SUITE + "test_upload_part_copy_range")
def _(s):
    steps = {"put_step": "put-src-object", "create_step": "create-multipart"}
    _, form = begin(s, "src-key", "test-upload-part-copy", **steps)
    for number, span in enumerate(["0-8", "1-1", "0-0"], 1):
        copied = {"PartNumber": number, "CopySourceRange": f"bytes={span}"}
        s.call(f"upload-part-copy-{number}", "upload_part_copy", **copied, **form)
    list_parts(s, form)
    s.call("upload-part-copy-wrong-format", "upload_part_copy", PartNumber=1, CopySourceRange="0-8", **form)
    wrong = ["1-0", "-1-", "0--1", "0-1,3-4,7-9", "-", "-0", "0-100", "100-200", "1-", "-2", "-15"]
    for span in wrong:
        copied = {"PartNumber": 1, "CopySourceRange": f"bytes={span}"}
        s.call(f"upload-part-copy-range-exc-{span}", "upload_part_copy", **copied, **form)


@case("api", SUITE + "test_upload_part_copy_no_copy_source_range")
def _(s):
    steps = {"put_step": "put-src-object", "create_step": "create-multipart"}
    _, form = begin(s, "src-key", "test-upload-part-copy", **steps)
    s.call("upload-part-copy", "upload_part_copy", PartNumber=1, **form)
    list_parts(s, form)


def condition(name, step, conditions, *, listed):
    """A copy under conditions; `conditions` gets the source's ETag and the present time."""

    @case("api", f"{SUITE}test_upload_part_copy_with_{name}")
    def _(s):
        etag, form = begin(s, "source_file.txt", "destination_file.txt")
        changed = s.call(None, "head_object", Key="source_file.txt")["LastModified"]
        s.wait_past(changed)
        given = conditions(etag, datetime.now(timezone.utc))
        s.call(step, "upload_part_copy", PartNumber=1, **given, **form)
        if listed:
            list_parts(s, form)


DAY = timedelta(days=1)
MATCH, NONE_MATCH = "CopySourceIfMatch", "CopySourceIfNoneMatch"
MODIFIED, UNMODIFIED = "CopySourceIfModifiedSince", "CopySourceIfUnmodifiedSince"
GRANTED = [
    ("copy_source_if_match_success", "upload-part-copy-if-match", lambda etag, _: {MATCH: etag}),
    ("copy_source_if_match_none_success", "upload-part-copy-if-none-match", lambda *_: {NONE_MATCH: "none-match"}),
    (
        "copy_source_if_unmodified_since_success",
        "upload-part-copy-if-unmodified-since",
        lambda _, now: {UNMODIFIED: now + DAY},
    ),
    (
        "copy_source_if_modified_since_success",
        "upload-part-copy-if-modified-since",
        lambda _, now: {MODIFIED: now - DAY},
    ),
    (
        "copy_source_if_modified_since_in_future_success",
        "upload-part-copy-if-modified-since-in-future",
        lambda _, now: {MODIFIED: now + DAY},
    ),
    (
        "copy_source_if_match_and_if_unmodified_since_match",
        "upload-part-copy",
        lambda etag, now: {MATCH: etag, UNMODIFIED: now - DAY},
    ),
]
REFUSED = [
    ("copy_source_if_match_failed", "upload-part-copy-source-if-match", lambda *_: {MATCH: "not-matching"}),
    ("copy_source_if_none_match_failed", "upload-part-copy-source-if-none-match", lambda etag, _: {NONE_MATCH: etag}),
    (
        "copy_source_if_unmodified_since_match_failed",
        "upload-part-copy-source-unmodified-since-match",
        lambda _, now: {UNMODIFIED: now - DAY},
    ),
    (
        "copy_source_if_none_match_and_if_unmodified_since_match_failed",
        "upload-part-copy-source-unmodified-since-and-if-none-match",
        lambda _, now: {NONE_MATCH: "not-matching", UNMODIFIED: now - DAY},
    ),
    ("if_modified_since_failed", "upload-part-copy-source-modified-since-match", lambda _, now: {MODIFIED: now}),
]
for one in GRANTED:
    condition(*one, listed=True)
for one in REFUSED:
    condition(*one, listed=False)
