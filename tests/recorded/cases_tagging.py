"""Replays of `api.json`: tags of buckets and objects."""

import uuid

from recorded.replay import case, empty_bucket

SUITE = "TestS3BucketObjectTagging::"


def tags(**pairs):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs.items()]}


def one_tag(key, value):
    return {"TagSet": [{"Key": key, "Value": value}]}


TWO = tags(tag1="tag1", tag2="")
THREE = tags(tag3="tag3")
NO_TAGS = {"TagSet": []}
FORBIDDEN = [
    ("duplicate-keys", {"TagSet": [{"Key": "Key1", "Value": "Val1"}] * 2}),
    ("invalid-key", one_tag("Key1,Key2", "Val1")),
    ("none-key", one_tag(None, "Val1")),
    ("invalid-value", one_tag("Key1", "Val1,Val2")),
    ("none-value", one_tag("key1", None)),
    ("aws-prefixed", one_tag("aws:prefixed", "Val1")),
]


def nobody():
    return f"recorded-none-{uuid.uuid4().hex[:16]}"


@case("api", SUITE + "test_bucket_tagging_crud")
def _(s):
    s.call("get-bucket-tags-empty", "get_bucket_tagging")
    s.call("put-bucket-tags", "put_bucket_tagging", Tagging=TWO)
    s.call("get-bucket-tags", "get_bucket_tagging")
    s.call("put-bucket-tags-overwrite", "put_bucket_tagging", Tagging=THREE)
    s.call("get-bucket-tags-overwritten", "get_bucket_tagging")
    s.call("delete-bucket-tags", "delete_bucket_tagging")
    s.call(None, "delete_bucket_tagging")
    s.call("get-bucket-tags-empty", "get_bucket_tagging")
    s.call("put-bucket-tags-empty", "put_bucket_tagging", Tagging=NO_TAGS)
    s.call("get-bucket-tags-empty", "get_bucket_tagging")


@case("api", SUITE + "test_bucket_tagging_exc")
def _(s):
    bucket = {"Bucket": nobody()}
    s.call("get-no-bucket-tags", "get_bucket_tagging", **bucket)
    s.call("delete-no-bucket-tags", "delete_bucket_tagging", **bucket)
    s.call("put-no-bucket-tags", "put_bucket_tagging", Tagging=NO_TAGS, **bucket)


@case("api", SUITE + "test_put_bucket_tagging_none_value")
def _(s):
    s.lax("put-bucket-tags-origin", "put_bucket_tagging", Tagging=THREE)
    s.lax("put-none-tag-set", "put_bucket_tagging", Tagging={"TagSet": None})
    s.lax("no-such-tag-set", "get_bucket_tagging")


@case("api", SUITE + "test_object_tagging_crud")
def _(s):
    key = {"Key": "test-object-tagging"}
    s.call("put-object", "put_object", Body=b"test-tagging", **key)
    s.call("get-object-tags-empty", "get_object_tagging", **key)
    s.call("put-object-tags", "put_object_tagging", Tagging=TWO, **key)
    s.call("get-object-tags", "get_object_tagging", **key)
    s.call("put-object-tags-overwrite", "put_object_tagging", Tagging=THREE, **key)
    s.call("get-object-tags-overwritten", "get_object_tagging", **key)
    s.call("get-obj-after-tags", "get_object", **key)
    s.call("delete-object-tags", "delete_object_tagging", **key)
    s.call("get-object-tags-deleted", "get_object_tagging", **key)
    s.call("get-obj-after-tags-deleted", "get_object", **key)


@case("api", SUITE + "test_object_tagging_exc")
def _(s):
    for where, place in (("bucket", {"Bucket": nobody()}), ("key", {})):
        key = {"Key": "fake-key", **place}
        s.call(f"get-no-{where}-tags", "get_object_tagging", **key)
        s.call(f"delete-no-{where}-tags", "delete_object_tagging", **key)
        s.call(f"put-no-{where}-tags", "put_object_tagging", Tagging=NO_TAGS, **key)
    put = {"operation": "put_object", "Key": "fake-key", "Body": b""}
    s.call("put-obj-duplicate-tagging", Tagging="key1=val1&key1=val2", **put)
    s.call("put-obj-wrong-format", Tagging="key1=val1,key2=val2", **put)


@case("api", SUITE + "test_put_object_tagging_none_value")
def _(s):
    key = {"Key": "test-empty-tag-set"}
    s.lax(None, "put_object", Body=b"test-tagging", **key)
    s.lax("put-none-tag-set", "put_object_tagging", Tagging={"TagSet": None}, **key)
    s.lax("get-object-tags-none", "get_object_tagging", **key)


@case("api", SUITE + "test_object_tagging_versioned")
def _(s):
    s.versioning()
    key = {"Key": "test-version-tagging"}
    first = s.call("put-obj-0", "put_object", Body=b"test-0", Tagging="test_tag=tagv1", **key)["VersionId"]
    s.call("put-obj-1", "put_object", Body=b"test-1", **key)
    old = {"VersionId": first, **key}
    s.call("put-object-tags-current-version", "put_object_tagging", Tagging=THREE, **key)
    s.call("get-object-tags-current-version", "get_object_tagging", **key)
    s.call("get-object-tags-previous-version", "get_object_tagging", **old)
    s.call("put-object-tags-previous-version", "put_object_tagging", Tagging=tags(tag1="tag1"), **old)
    s.call("get-object-tags-previous-version-again", "get_object_tagging", **old)
    s.call(None, "delete_object_tagging", **key)
    s.call("get-object-tags-deleted-current", "get_object_tagging", **key)
    s.call(None, "delete_object_tagging", **old)
    s.call("get-object-tags-previous-version-deleted", "get_object_tagging", **key)
    marker = s.call("put-delete-marker", "delete_object", **key)["VersionId"]
    for name, place in (("id", {"VersionId": marker, **key}), ("latest", key)):
        s.call(f"put-object-tags-delete-marker-{name}", "put_object_tagging", Tagging=tags(tag1="tag1"), **place)
        s.call(f"get-object-tags-delete-marker-{name}", "get_object_tagging", **place)
        s.call(f"delete-object-tags-delete-marker-{name}", "delete_object_tagging", **place)


def sorted_tags(s, step, key):
    """Tags from a query string have no order at AWS: compared by key."""
    answer = s.client.get_object_tagging(Bucket=s.bucket, Key=key)
    answer["TagSet"].sort(key=lambda tag: tag["Key"])
    s.compare(step, answer)


@case("api", SUITE + "test_put_object_with_tags")
def _(s):
    key = "test-put-object-tagging"
    s.call("put-object", "put_object", Key=key, Body=b"test-tagging", Tagging="tag1=tag1&tag2=tag2&tag=")
    sorted_tags(s, "get-object-tags", key)
    s.call("put-object-tags", "put_object_tagging", Key=key, Tagging=THREE)
    s.call("get-object-tags-override", "get_object_tagging", Key=key)
    s.call("head-obj", "head_object", Key=key)
    s.call("get-obj", "get_object", Key=key)
    s.call(None, "put_object", Key=key, Body=b"", Tagging="wrongquery&wrongagain")
    sorted_tags(s, "get-object-tags-wrong-format-qs", key)
    s.call(None, "put_object", Key=key, Body=b"", Tagging="key1&&&key2")
    s.call("get-object-tags-wrong-format-qs-2", "get_object_tagging", Key=key)


@case("api", SUITE + "test_head_object_with_tags")
def _(s):
    key = {"Key": "test-put-object-tagging"}
    s.call("put-object", "put_object", Body=b"test-tagging", Tagging="tag1=tag1&tag2=tag2&tag=", **key)
    s.call("head-obj-after-create", "head_object", **key)
    s.call("put-object-tags", "put_object_tagging", Tagging=THREE, **key)
    s.call("head-obj-after-tagging", "head_object", **key)
    s.call(None, "put_object_tagging", Tagging=tags(tag3="tag3", tag4="tag4", tag5="tag5"), **key)
    s.call("head-obj-after-overwrite", "head_object", **key)
    s.call(None, "put_object_tagging", Tagging=NO_TAGS, **key)
    s.call("head-obj-after-removal", "head_object", **key)


@case("api", SUITE + "test_object_tags_delete_or_overwrite_object")
def _(s):
    key = {"Key": "test-put-object-tagging-kept"}
    s.call(None, "put_object", Body=b"create", Tagging="tag1=val1", **key)
    s.call("get-object-after-creation", "get_object_tagging", **key)
    s.call(None, "put_object", Body=b"overwrite", **key)
    s.call("get-object-after-overwrite", "get_object_tagging", **key)
    s.call(None, "put_object_tagging", Tagging=THREE, **key)
    s.call(None, "delete_object", **key)
    s.call(None, "put_object", Body=b"recreate", **key)
    s.call("get-object-after-recreation", "get_object_tagging", **key)


@case("api", SUITE + "test_tagging_validation")
def _(s):
    key = {"Key": "tagging-validation"}
    s.call(None, "put_object", Body=b"", **key)
    for name, tagging in FORBIDDEN:
        s.lax(f"put-bucket-tags-{name}", "put_bucket_tagging", Tagging=tagging)
    for name, tagging in FORBIDDEN:
        name = {"invalid-key": "invalid-field"}.get(name, name)
        if name != "invalid-value":
            s.lax(f"put-object-tags-{name}", "put_object_tagging", Tagging=tagging, **key)


def create(s, step, bucket, *configured):
    configuration = {"CreateBucketConfiguration": {"Tags": configured[0]}} if configured else {}
    s.lax(step, "create_bucket", Bucket=bucket, **configuration)


def new_bucket_case(name):
    """A case that creates a bucket of its own: the function gets the session and the bucket's name."""

    def register(function):
        @case("api", SUITE + name)
        def _(s):
            bucket = f"recorded-tags-{uuid.uuid4().hex[:16]}"
            try:
                function(s, bucket)
            finally:
                empty_bucket(s.client, bucket)

        return function

    return register


TAG_1, TAG_2 = [{"Key": "tag1", "Value": "value1"}], [{"Key": "tag2", "Value": "value2"}]


@new_bucket_case("test_create_bucket_with_tags")
def _(s, bucket):
    create(s, "create-bucket-with-tags", bucket, TAG_1)
    s.call("get-bucket-tags", "get_bucket_tagging", Bucket=bucket)


@new_bucket_case("test_create_bucket_with_empty_tags")
def _(s, bucket):
    create(s, "create-bucket-with-empty-tags", bucket, [])
    s.call("get-bucket-tags", "get_bucket_tagging", Bucket=bucket)
    create(s, "create-bucket-with-none-tags", bucket, None)


@new_bucket_case("test_create_bucket_with_tags_us_east_1_idempotency")
def _(s, bucket):
    create(s, "create-bucket-with-tags", bucket, TAG_1)
    s.call("get-bucket-tags", "get_bucket_tagging", Bucket=bucket)
    create(s, "create-bucket-different-tags", bucket, TAG_2)
    create(s, "create-bucket-with-no-tags", bucket)
    s.call("get-bucket-tags-after-re-create", "get_bucket_tagging", Bucket=bucket)
    create(s, "create-bucket-with-same-tags", bucket, TAG_1)
    create(s, "create-bucket-with-empty-tags", bucket, [])
    s.call("get-bucket-tags-after-create-empty", "get_bucket_tagging", Bucket=bucket)


@new_bucket_case("test_create_bucket_with_tags_exc")
def _(s, bucket):
    create(s, "tags-key-none", bucket, [{"Key": None, "Value": "value1"}])
    create(s, "tags-value-none", bucket, [{"Key": "key1", "Value": None}])
    create(s, "tags-key-aws-prefix", bucket, [{"Key": "aws:test", "Value": "value1"}])
    create(s, "tags-key-aws-bad-value", bucket, [{"Key": "test", "Value": "value1,value2"}])
    create(s, "tags-key-aws-bad-key", bucket, [{"Key": "test,test2", "Value": "value1"}])
