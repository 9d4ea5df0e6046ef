"""Replays of `preconditions.json`: the source conditions of CopyObject."""

from datetime import datetime, timedelta, timezone

from recorded.replay import case

SOURCE, DESTINATION = "source-object", "dest-object"
SUITE = "TestS3CopySourcePreconditions::"


def copy(s, step, **conditions):
    return s.call(step, "copy_object", CopySource=f"{s.bucket}/{SOURCE}", Key=DESTINATION, **conditions)


@case("preconditions", SUITE + "test_s3_copy_object_preconditions")
def _(s):
    etag = s.call(None, "put_object", Key=SOURCE, Body=b"data")["ETag"]
    head = s.call("head-object", "head_object", Key=SOURCE)
    s.wait_past(head["LastModified"] + timedelta(seconds=1))
    now = datetime.now(timezone.utc)
    past = now - timedelta(days=1)
    modified, unmodified = {"CopySourceIfModifiedSince": now}, {"CopySourceIfUnmodifiedSince": past}
    none_match = {"CopySourceIfNoneMatch": etag}
    copy(s, "copy-precondition-if-match", CopySourceIfMatch="etag123", **none_match, **modified, **unmodified)
    copy(s, "copy-precondition-if-unmodified-since", **none_match, **modified, **unmodified)
    copy(s, "copy-precondition-if-none-match", **none_match, **modified)
    copy(s, "copy-precondition-if-modified-since", **modified)
    copy(s, "copy-ignore-future-modified-since", CopySourceIfModifiedSince=now + timedelta(days=1))
    copy(s, "copy-etag-missing-quotes", CopySourceIfNoneMatch=etag.strip('"'))
    copy(
        s,
        "copy-success",
        CopySourceIfMatch=etag.strip('"'),
        CopySourceIfNoneMatch="etag123",
        CopySourceIfModifiedSince=past,
        CopySourceIfUnmodifiedSince=now,
    )


@case("preconditions", SUITE + "test_s3_copy_object_if_source_modified_since_versioned")
def _(s):
    s.versioning()
    s.call(None, "put_object", Key=SOURCE, Body=b"data")
    changed = s.call("head-object", "head_object", Key=SOURCE)["LastModified"]
    copy(s, "copy-if-modified-since", CopySourceIfModifiedSince=changed - timedelta(minutes=1))
    copy(s, "copy-if-modified-since-last-modified", CopySourceIfModifiedSince=changed)


@case("preconditions", SUITE + "test_s3_copy_object_if_source_unmodified_since_versioned")
def _(s):
    s.versioning()
    s.call(None, "put_object", Key=SOURCE, Body=b"data")
    changed = s.call("head-object", "head_object", Key=SOURCE)["LastModified"]
    copy(s, "copy-if-unmodified-since", CopySourceIfUnmodifiedSince=changed)
    copy(s, "copy-past-if-unmodified-since", CopySourceIfUnmodifiedSince=datetime.now(timezone.utc) - timedelta(days=1))
