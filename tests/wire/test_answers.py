"""What answers look like: ids, complete errors, listings that are XML whatever the keys are, ranges, conditions."""

import re

import pytest
from wire import signer

CONTROL_KEYS = ["a\x01b", "a\x1fb", "a\nb", "a\tb", "a\x7fb", "\ufffe", "\uffff", "\x0b", "plain"]
OBJECT = b"0123456789"


# --- ids and errors


@pytest.mark.parametrize(
    ("method", "key", "pairs", "options"),
    [
        ("GET", None, [], {}),
        ("HEAD", None, [], {}),
        ("GET", "not-there", [], {}),
        ("HEAD", "not-there", [], {}),
        ("DELETE", "not-there", [], {}),
        ("PUT", "ids", [], {}),
        ("GET", None, [], {"credentials": None}),
        ("GET", None, [("max-keys", "x")], {}),
        ("GET", None, [("acl", None), ("policy", None)], {}),
        ("PATCH", "ids", [], {}),
        ("OPTIONS", "ids", [], {}),
        ("TRACE", "ids", [], {}),
    ],
)
def test_every_answer_has_request_ids(wire, method, key, pairs, options):
    """T16."""
    first, second = (wire.send(method, wire.path(key), pairs, **options) for _ in range(2))
    for reply in (first, second):
        assert reply.header("x-amz-request-id") and reply.header("x-amz-id-2")
        assert reply.header("server") and reply.header("date")
    assert first.header("x-amz-request-id") != second.header("x-amz-request-id")


def test_errors_are_complete_documents(wire):
    """T16."""
    reply = wire.get("not-there")
    wire.assert_error(reply, 404, "NoSuchKey")
    assert reply.xml().findtext("Key") == "not-there"
    reply = wire.send("GET", "/no-such-bucket-anywhere")
    wire.assert_error(reply, 404, "NoSuchBucket")
    assert reply.xml().findtext("BucketName") == "no-such-bucket-anywhere"


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "BREW"])
def test_an_unknown_method_is_an_error_of_s3(wire, method):
    reply = wire.send(method, wire.path("a"))
    assert reply.status in (400, 405, 501)


def test_control_characters_in_an_error_are_answered(wire):
    """T4: an error that names what it refuses must be XML too."""
    for credentials in (wire.root, None):
        reply = wire.send("GET", wire.path(), [("max-keys", "\x01")], credentials=credentials)
        assert reply.status in (400, 403) and reply.code
    reply = wire.get("not\x01there")
    wire.assert_error(reply, 404, "NoSuchKey")


def test_delete_marker_headers_come_with_an_xml_error(wire):
    """T2."""
    bucket, key = wire.key("versioned"), "a"
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert wire.send("PUT", f"/{bucket}").status == 200
    assert wire.send("PUT", f"/{bucket}", [("versioning", None)], body=enabled).status == 200
    path = signer.object_path(bucket, key)
    version = wire.send("PUT", path, body=b"x").header("x-amz-version-id")
    deleted = wire.send("DELETE", path)
    marker = deleted.header("x-amz-version-id")
    assert deleted.status == 204 and deleted.header("x-amz-delete-marker") == "true"
    reply = wire.send("GET", path)
    wire.assert_error(reply, 404, "NoSuchKey")
    assert (reply.header("x-amz-delete-marker"), reply.header("x-amz-version-id")) == ("true", marker)
    wire.assert_error(wire.send("GET", path, [("versionId", marker)]), 405, "MethodNotAllowed")
    for one in (version, marker):
        assert wire.send("DELETE", path, [("versionId", one)]).status == 204
    assert wire.send("DELETE", f"/{bucket}").status == 204


# --- listings


@pytest.mark.parametrize(
    "form",
    [[("list-type", "2")], [], [("versions", None)], [("list-type", "2"), ("delimiter", "b")]],
    ids=["v2", "v1", "versions", "delimiter"],
)
def test_keys_with_control_characters_can_be_listed(wire, form):
    """T4: XML 1.0 has no way to write most of them, so the listing is URL-encoded even if nobody asked."""
    prefix = wire.key("control") + "/"
    for key in CONTROL_KEYS:
        wire.put(prefix + key)
    reply = wire.send("GET", wire.path(), [*form, ("prefix", prefix)])
    assert reply.status == 200
    root = reply.xml()
    assert root.findtext("EncodingType") == "url"
    names = {"Contents", "Version"}
    shown = [e.findtext("Key") for e in root if e.tag in names]
    shown += [e.findtext("Prefix") for e in root.iter("CommonPrefixes")]
    assert all(re.fullmatch(r"[\x21-\x7e]*", key) for key in shown), "encoded keys are printable"
    if ("delimiter", "b") not in form:
        decoded = {signer.urllib.parse.unquote(key) for key in shown}
        assert decoded == {prefix + key for key in CONTROL_KEYS}
    for key in CONTROL_KEYS:
        assert wire.get(prefix + key).body == b"body"
        assert wire.send("DELETE", wire.path(prefix + key)).status == 204


def test_keys_that_xml_can_write_are_not_encoded_unasked(wire):
    prefix = wire.key("plain") + "/"
    wire.put(prefix + "ä & <b> 'c'")
    root = wire.send("GET", wire.path(), [("list-type", "2"), ("prefix", prefix)]).xml()
    assert root.find("EncodingType") is None
    assert [e.findtext("Key") for e in root.iter("Contents")] == [prefix + "ä & <b> 'c'"]


def test_listings_have_the_fields_that_clients_expect(wire):
    """T21."""
    prefix = wire.key("fields") + "/"
    for name in ("a", "b/c", "d"):
        wire.put(prefix + name)
    for form, present, absent in (
        ([], ["Name", "Prefix", "Marker", "MaxKeys", "IsTruncated"], ["NextMarker", "KeyCount"]),
        ([("list-type", "2")], ["Name", "Prefix", "MaxKeys", "KeyCount", "IsTruncated"], ["NextContinuationToken"]),
        ([("versions", None)], ["Name", "Prefix", "KeyMarker", "VersionIdMarker", "MaxKeys", "IsTruncated"], []),
        ([("uploads", None)], ["Bucket", "KeyMarker", "UploadIdMarker", "MaxUploads", "IsTruncated"], []),
    ):
        root = wire.send("GET", wire.path(), form).xml()
        assert [name for name in present if root.find(name) is None] == []
        assert [name for name in absent if root.find(name) is not None] == []
    page = [("prefix", prefix), ("max-keys", "1")]
    assert wire.send("GET", wire.path(), page).xml().find("NextMarker") is None
    assert wire.send("GET", wire.path(), [*page, ("delimiter", "/")]).xml().findtext("NextMarker") == prefix + "a"
    assert wire.send("GET", wire.path(), [("max-keys", "5000")]).xml().findtext("MaxKeys") == "1000"
    empty = wire.send("GET", wire.path(), [("max-keys", "0")]).xml()
    assert (empty.findtext("IsTruncated"), empty.findall("Contents")) == ("false", [])


def test_an_empty_max_keys_means_the_default(wire):
    """T11."""
    assert wire.send("GET", wire.path(), [("max-keys", "")]).xml().findtext("MaxKeys") == "1000"


# --- ranges


@pytest.fixture(scope="module")
def ranged():
    return "ranged-object"


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, OBJECT, "bytes 0-9/10"),
        ("bytes=5-99999999999999", 206, b"56789", "bytes 5-9/10"),
        ("bytes=5-2", 200, OBJECT, None),
        ("bytes=0-1,3-4", 200, OBJECT, None),
        ("lines=1-2", 200, OBJECT, None),
        ("bytes=", 200, OBJECT, None),
        ("bytes=a-b", 200, OBJECT, None),
        ("bytes", 200, OBJECT, None),
        ("bytes=-99999999999999999999999999", 200, OBJECT, None),
    ],
)
def test_ranges(wire, ranged, value, status, body, content_range):
    """T11: what is no single range of bytes is ignored, as RFC 9110 and AWS have it."""
    wire.put(ranged, OBJECT)
    reply = wire.get(ranged, headers=[("Range", value)])
    if value.endswith("99999999999999999999999999") and reply.status == 206:
        status, content_range = 206, "bytes 0-9/10"
    assert (reply.status, reply.body, reply.header("content-range")) == (status, body, content_range)
    head = wire.send("HEAD", wire.path(ranged), headers=[("Range", value)])
    assert (head.status, head.header("content-length")) == (status, str(len(body)))


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_outside_of_the_object_is_refused(wire, ranged, value):
    wire.put(ranged, OBJECT)
    reply = wire.get(ranged, headers=[("Range", value)])
    wire.assert_error(reply, 416, "InvalidRange")
    assert wire.get(ranged).status == 200


def test_a_range_of_an_empty_object_is_refused(wire):
    key = wire.key()
    wire.put(key, b"")
    wire.assert_error(wire.get(key, headers=[("Range", "bytes=0-")]), 416, "InvalidRange")


# --- conditions


def test_if_none_match_takes_a_list(wire):
    """T11."""
    key = wire.key()
    tag = wire.put(key).header("etag")
    for value in (tag, f'"other", {tag}', f'{tag}, W/"other"', "*", tag.strip('"'), f"W/{tag}"):
        reply = wire.get(key, headers=[("If-None-Match", value)])
        assert (reply.status, reply.body) == (304, b""), value
        assert reply.header("etag") == tag
        assert wire.send("HEAD", wire.path(key), headers=[("If-None-Match", value)]).status == 304
    assert wire.get(key, headers=[("If-None-Match", '"other", "more"')]).status == 200


def test_if_match_takes_a_list(wire):
    key = wire.key()
    tag = wire.put(key).header("etag")
    for value in (tag, f'"other", {tag}', "*", tag.strip('"')):
        assert wire.get(key, headers=[("If-Match", value)]).status == 200, value
    wire.assert_error(wire.get(key, headers=[("If-Match", '"other"')]), 412, "PreconditionFailed")
    assert wire.send("HEAD", wire.path(key), headers=[("If-Match", '"other"')]).status == 412


@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Unmodified-Since"])
@pytest.mark.parametrize(
    "value", ["Invalid Date", "yesterday", "", "2026-01-01T00:00:00Z", "Mon, 99 Foo 2026 99:99:99 GMT"]
)
def test_a_date_that_is_none_is_ignored(wire, name, value):
    """T11."""
    key = wire.key()
    wire.put(key)
    assert wire.get(key, headers=[(name, value)]).status == 200


def test_dates_are_compared_by_the_second(wire):
    """T23: the stored time has fractions, the header has not."""
    key = wire.key()
    wire.put(key)
    changed = wire.get(key).header("last-modified")
    assert wire.get(key, headers=[("If-Modified-Since", changed)]).status == 304
    assert wire.get(key, headers=[("If-Unmodified-Since", changed)]).status == 200
    assert wire.get(key, headers=[("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT")]).status == 412


def test_an_etag_wins_over_a_date(wire):
    """RFC 9110, 13.2.2."""
    key = wire.key()
    tag = wire.put(key).header("etag")
    past, future = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2038 00:00:00 GMT"
    assert wire.get(key, headers=[("If-Match", tag), ("If-Unmodified-Since", past)]).status == 200
    assert wire.get(key, headers=[("If-None-Match", '"other"'), ("If-Modified-Since", future)]).status == 200


# --- headers


def test_response_overrides_need_a_signature(wire):
    """T30."""
    key = wire.key()
    wire.put(key)
    pairs = [("response-content-type", "text/html")]
    reply = wire.send("GET", wire.path(key), pairs, credentials=None)
    wire.assert_error(reply, 400, "InvalidRequest")
    assert wire.send("GET", wire.path(key), pairs).header("content-type") == "text/html"


def test_etags_are_quoted_once_everywhere(wire):
    """T22."""
    key = wire.key()
    tag = wire.put(key, OBJECT).header("etag")
    assert tag == '"781e5e245d69b566979b86e28d23f2c7"'
    assert wire.get(key).header("etag") == tag
    root = wire.send("GET", wire.path(), [("list-type", "2"), ("prefix", key)]).xml()
    assert root.find("Contents").findtext("ETag") == tag
    attributes = [("x-amz-object-attributes", "ETag,ObjectSize")]
    root = wire.send("GET", wire.path(key), [("attributes", None)], attributes).xml()
    assert (root.findtext("ETag"), root.findtext("ObjectSize")) == (tag.strip('"'), "10")


def test_attributes_may_come_in_one_line_or_in_several(wire):
    """T10."""
    key = wire.key()
    wire.put(key, OBJECT)
    for headers in (
        [("x-amz-object-attributes", "ETag, ObjectSize ,StorageClass")],
        [("x-amz-object-attributes", name) for name in ("ETag", "ObjectSize", "StorageClass")],
    ):
        root = wire.send("GET", wire.path(key), [("attributes", None)], headers).xml()
        assert {child.tag for child in root} == {"ETag", "ObjectSize", "StorageClass"}


def test_metadata_names_are_lower_case_and_values_are_kept(wire):
    """T24."""
    key = wire.key()
    headers = [("X-Amz-Meta-CamelCase", "Value with  spaces"), ("x-amz-meta-b", "2"), ("x-amz-meta-empty", "")]
    wire.put(key, headers=[(n, " ".join(v.split())) for n, v in headers])
    reply = wire.get(key)
    assert ("x-amz-meta-camelcase", "Value with spaces") in reply.headers
    assert reply.header("x-amz-meta-b") == "2"


def test_content_headers_come_back_as_they_went(wire):
    key = wire.key()
    headers = [
        ("Content-Type", "text/x-test; charset=utf-8"),
        ("Content-Disposition", 'attachment; filename="a.txt"'),
        ("Content-Language", "de-CH"),
        ("Cache-Control", "max-age=60"),
        ("Expires", "Fri, 01 Jan 2038 00:00:00 GMT"),
        ("Content-Encoding", "gzip"),
    ]
    wire.put(key, headers=headers)
    reply = wire.get(key)
    assert [(name, reply.header(name)) for name, _ in headers] == headers


def test_a_content_disposition_in_raw_utf8_is_no_failure(wire):
    """T11."""
    key = wire.key()
    reply = wire.send(
        "PUT", wire.path(key), headers=[("Content-Disposition", 'attachment; filename="ä.txt"')], body=b"x"
    )
    assert reply.status in (200, 400)
    if reply.status == 200:
        assert wire.get(key).status == 200


def test_statuses_that_are_not_200(wire):
    """T1."""
    key = wire.key()
    wire.put(key)
    assert wire.send("DELETE", wire.path(key), [("tagging", None)]).status == 204
    assert wire.send("DELETE", wire.path(key)).status == 204
    assert wire.send("DELETE", wire.path(key)).status == 204


# --- owners


def test_another_account_can_neither_read_nor_copy_nor_delete(wire):
    """T13: the keys of DeleteObjects and the sources of copies are checked like any other."""
    key, bucket = wire.key(), wire.key("others")
    wire.put(key)
    assert wire.send("PUT", f"/{bucket}", credentials=wire.other).status == 200
    source = [("x-amz-copy-source", wire.path(key))]
    target = signer.object_path(bucket, "copy")
    wire.assert_error(wire.send("PUT", target, headers=source, credentials=wire.other), 403, "AccessDenied")
    document = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    headers = [("Content-MD5", signer.content_md5(document))]
    reply = wire.send("POST", wire.path(), [("delete", None)], headers, document, credentials=wire.other)
    assert reply.status == 403 or "AccessDenied" in [e.findtext("Code") for e in reply.xml().iter("Error")]
    for method in ("GET", "PUT", "DELETE"):
        wire.assert_error(wire.send(method, wire.path(key), credentials=wire.other), 403, "AccessDenied")
    assert wire.get(key).body == b"body"
    assert wire.send("DELETE", f"/{bucket}", credentials=wire.other).status == 204
