"""Requests that are wrong in what they say: S3's own code, nothing stored, nothing deleted."""

import pytest
from wire import signer

MALFORMED = ["", "<", "not xml", "<Delete>", "<a/>", "<?xml version='1.0'?>", "\x00\x01", "<Delete></Complete>"]
BOMB = (
    "<?xml version='1.0'?><!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
    "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;'>]>"
    "<Delete><Object><Key>&d;</Key></Object></Delete>"
)
DEEP = "<Delete>" * 20_000


def post_xml(wire, path, pairs, document, *headers):
    body = document.encode()
    return wire.send("POST", path, pairs, [("Content-MD5", signer.content_md5(body)), *headers], body)


def put_xml(wire, path, pairs, document):
    body = document.encode()
    return wire.send("PUT", path, pairs, [("Content-MD5", signer.content_md5(body))], body)


# --- XML


@pytest.mark.parametrize("document", [*MALFORMED, BOMB, DEEP], ids=range(len(MALFORMED) + 2))
def test_a_malformed_delete_deletes_nothing(wire, document):
    key = wire.key()
    wire.put(key)
    reply = post_xml(wire, wire.path(), [("delete", None)], document)
    wire.assert_error(reply, 400, "MalformedXML", "MissingRequestBodyError", "InvalidRequest")
    assert wire.get(key).status == 200


def test_more_than_1000_keys_in_one_delete_are_refused(wire):
    key = wire.key()
    wire.put(key)
    objects = f"<Object><Key>{key}</Key></Object>" * 1001
    wire.assert_error(
        post_xml(wire, wire.path(), [("delete", None)], f"<Delete>{objects}</Delete>"), 400, "MalformedXML"
    )
    assert wire.get(key).status == 200


def test_a_delete_whose_md5_is_wrong_deletes_nothing(wire):
    key = wire.key()
    wire.put(key)
    body = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    headers = [("Content-MD5", signer.content_md5(b"other"))]
    reply = wire.send("POST", wire.path(), [("delete", None)], headers, body)
    wire.assert_error(reply, 400, "BadDigest")
    assert wire.get(key).status == 200


@pytest.mark.parametrize("pairs", [[("versioning", None)], [("tagging", None)]], ids=["versioning", "tagging"])
@pytest.mark.parametrize("document", ["", "<", "<VersioningConfiguration>", "nothing"], ids=range(4))
def test_malformed_bucket_configuration_is_refused(wire, pairs, document):
    reply = put_xml(wire, wire.path(), pairs, document)
    wire.assert_error(reply, 400, "MalformedXML", "MissingRequestBodyError", "IllegalVersioningConfigurationException")


def test_a_malformed_create_bucket_creates_nothing(wire):
    bucket = wire.key("bucket")
    wire.assert_error(wire.send("PUT", f"/{bucket}", body=b"<CreateBucketConfiguration>"), 400, "MalformedXML")
    assert wire.send("HEAD", f"/{bucket}").status == 404


# --- names


def test_a_key_of_1024_bytes_is_fine_and_one_of_1025_is_not(wire):
    """T29. Bytes, not characters."""
    for key in (wire.key("k").ljust(1024, "k"), wire.key("ü").ljust(100, "a") + "ü" * 461):
        assert len(key.encode()) in (1024, 1023)
        wire.put(key)
        assert wire.get(key).body == b"body"
        longer = key + "k" * (1025 - len(key.encode()))
        wire.assert_error(wire.send("PUT", wire.path(longer), body=b"x"), 400, "KeyTooLongError")


@pytest.mark.parametrize("path", ["/wire-tests/%ff%fe", "/wire-tests/%c3%28", "/wire-tests/%ed%a0%80"])
def test_a_key_that_is_no_utf8_is_refused(wire, path):
    """T29."""
    reply = wire.send("PUT", path, body=b"x")
    wire.assert_error(reply, 400, "InvalidURI", "InvalidArgument")


@pytest.mark.parametrize("bucket", ["A-Bucket", "a", "a..b", "-ab", "ab-", "a_b", "192.168.0.1", "x" * 64, "xn--abc"])
def test_bad_bucket_names_are_refused(wire, bucket):
    """T27: strict when a bucket is made, an answer and no failure when one is asked for."""
    wire.assert_error(wire.send("PUT", f"/{bucket}"), 400, "InvalidBucketName")
    reply = wire.send("GET", f"/{bucket}")
    assert (reply.status, reply.code) in [(404, "NoSuchBucket"), (400, "InvalidBucketName")]


@pytest.mark.parametrize("name", ["_health", "_metrics", "_admin"])
def test_reserved_paths_are_no_buckets(wire, name):
    assert wire.send("PUT", f"/{name}").status in (400, 403, 404, 405)


@pytest.mark.parametrize("key", ["a/./b", "a/../b", "../x", "//x", "/", "a//b", ".", "..", "a\\b", "%2e", "ü/é+ &=?#"])
def test_odd_keys_are_kept_as_they_are(wire, key):
    key = f"{wire.key('odd')}/{key}"
    wire.put(key, key.encode())
    assert wire.get(key).body == key.encode()
    listed = wire.send("GET", wire.path(), [("list-type", "2"), ("prefix", key)]).xml()
    assert [entry.findtext("Key") for entry in listed.iter("Contents")] == [key]


# --- unknown sub-resources


@pytest.mark.parametrize("query", ["foo", "replication-metrics", "acls", "version", "Versioning", "x-id"])
def test_an_unknown_subresource_neither_makes_nor_removes_a_bucket(wire, query):
    """T14."""
    bucket = wire.key("bucket")
    reply = wire.send("PUT", f"/{bucket}", [(query, None)])
    assert 400 <= reply.status <= 501 and reply.code
    assert wire.send("HEAD", f"/{bucket}").status == 404
    assert wire.send("PUT", f"/{bucket}").status == 200
    reply = wire.send("DELETE", f"/{bucket}", [(query, None)])
    assert 400 <= reply.status <= 501 and reply.code
    assert wire.send("HEAD", f"/{bucket}").status == 200
    assert wire.send("DELETE", f"/{bucket}").status == 204


@pytest.mark.parametrize("query", ["lifecycle", "policy", "cors", "website", "encryption", "replication", "acl"])
def test_a_subresource_of_s3_does_not_remove_the_bucket(wire, query):
    bucket = wire.key("bucket")
    assert wire.send("PUT", f"/{bucket}").status == 200
    wire.send("DELETE", f"/{bucket}", [(query, None)])
    assert wire.send("HEAD", f"/{bucket}").status == 200
    wire.send("DELETE", f"/{bucket}")


# --- digests and sizes


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([("Content-MD5", signer.content_md5(b"other"))], "BadDigest"),
        ([("Content-MD5", "abc")], "InvalidDigest"),
        ([("Content-MD5", "!!!not base64!!!========")], "InvalidDigest"),
        ([("Content-MD5", "AAAA")], "InvalidDigest"),
        ([("x-amz-checksum-crc32", signer.crc32(b"other"))], "BadDigest"),
        ([("x-amz-checksum-crc32c", "AAAAAA==")], "BadDigest"),
        ([("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")], "BadDigest"),
        ([("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")], "BadDigest"),
        ([("x-amz-checksum-sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")], "BadDigest"),
        ([("x-amz-checksum-crc32", "no base64")], "InvalidRequest"),
        ([("x-amz-checksum-crc32", "AAAA")], "InvalidRequest"),
        ([("x-amz-checksum-sha256", "AAAAAA==")], "InvalidRequest"),
    ],
)
def test_a_wrong_digest_stores_nothing(wire, headers, code):
    """T7."""
    key = wire.key()
    wire.assert_error(wire.send("PUT", wire.path(key), headers=headers, body=b"body"), 400, code)
    wire.assert_absent(key)


def test_a_wrong_digest_leaves_the_object_that_was_there(wire):
    key = wire.key()
    wire.put(key, b"first")
    headers = [("x-amz-checksum-crc32", signer.crc32(b"other"))]
    wire.assert_error(wire.send("PUT", wire.path(key), headers=headers, body=b"second"), 400, "BadDigest")
    assert wire.get(key).body == b"first"


def test_two_checksums_are_one_too_many(wire):
    key = wire.key()
    headers = [("x-amz-checksum-crc32", signer.crc32(b"body")), ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    wire.assert_error(wire.send("PUT", wire.path(key), headers=headers, body=b"body"), 400, "InvalidRequest")
    wire.assert_absent(key)


def test_too_much_metadata_is_refused(wire):
    """AWS allows 2 KB of user metadata, names and values together."""
    key = wire.key()
    headers = [("x-amz-meta-a", "v" * 2050)]
    wire.assert_error(wire.send("PUT", wire.path(key), headers=headers, body=b"x"), 400, "MetadataTooLarge")
    wire.assert_absent(key)


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_oversized_headers_are_refused(wire, size):
    key = wire.key()
    raw = wire.build("PUT", wire.path(key), headers=[("x-amz-meta-a", "v" * size)], body=b"x")
    connection = wire.connect()
    connection.send(raw)
    assert connection.reply("PUT").status in (400, 431)
    connection.close()
    wire.assert_absent(key)


def test_very_many_headers_are_refused(wire):
    headers = [(f"x-amz-meta-{n}", "v") for n in range(3000)]
    assert wire.send("PUT", wire.path(wire.key()), headers=headers, body=b"x").status in (400, 431)


def test_a_very_long_path_is_refused(wire):
    assert wire.send("GET", wire.path("k" * 200_000)).status in (400, 414, 431)


@pytest.mark.parametrize(
    "tagging", ["a=1&a=2", "a=" + "v" * 257, "k" * 129 + "=v", "&".join(f"k{n}=v" for n in range(11))]
)
def test_bad_tagging_headers_are_refused(wire, tagging):
    """T25."""
    key = wire.key()
    reply = wire.send("PUT", wire.path(key), headers=[("x-amz-tagging", tagging)], body=b"x")
    wire.assert_error(reply, 400, "InvalidArgument", "InvalidTag", "BadRequest")
    wire.assert_absent(key)


@pytest.mark.parametrize(
    ("pairs", "codes"),
    [
        ([("max-keys", "-1")], ("InvalidArgument",)),
        ([("max-keys", "many")], ("InvalidArgument",)),
        ([("encoding-type", "base64")], ("InvalidArgument",)),
        ([("list-type", "2"), ("continuation-token", "made up")], ("InvalidArgument",)),
        ([("uploads", None), ("max-uploads", "x")], ("InvalidArgument",)),
        ([("versions", None), ("version-id-marker", "x")], ("InvalidArgument",)),
    ],
)
def test_bad_listing_parameters_are_refused(wire, pairs, codes):
    wire.assert_error(wire.send("GET", wire.path(), pairs), 400, *codes)


# --- multipart


class Upload:
    """An upload of small parts."""

    def __init__(self, wire, key):
        self.wire, self.key, self.path = wire, key, wire.path(key)
        self.id = wire.send("POST", self.path, [("uploads", None)]).xml().findtext("UploadId")

    def part(self, number, body=b"part"):
        pairs = [("partNumber", str(number)), ("uploadId", self.id)]
        return self.wire.send("PUT", self.path, pairs, body=body)

    def complete(self, *parts):
        listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in parts)
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        return post_xml(self.wire, self.path, [("uploadId", self.id)], document)


def test_part_rules(wire):
    key = wire.key()
    upload = Upload(wire, key)
    one, two = (upload.part(n).header("etag") for n in (1, 2))
    wire.assert_error(upload.complete((2, two), (1, one)), 400, "InvalidPartOrder")
    wire.assert_error(upload.complete((1, one), (3, two)), 400, "InvalidPart")
    wire.assert_error(upload.complete((1, '"00000000000000000000000000000000"')), 400, "InvalidPart")
    wire.assert_error(upload.complete((1, one), (2, two)), 400, "EntityTooSmall")
    wire.assert_error(upload.complete(), 400, "MalformedXML")
    wire.assert_error(post_xml(wire, upload.path, [("uploadId", upload.id)], "<Complete"), 400, "MalformedXML")
    wire.assert_absent(key)
    assert upload.complete((2, two)).status == 200
    assert wire.get(key).body == b"part"


def test_of_a_part_named_twice_the_last_counts(wire):
    key = wire.key()
    upload = Upload(wire, key)
    one = upload.part(1).header("etag")
    wrong = '"00000000000000000000000000000000"'
    wire.assert_error(upload.complete((1, one), (1, wrong)), 400, "InvalidPart")
    assert upload.complete((1, wrong), (1, one)).status == 200
    assert wire.get(key).body == b"part"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "abc", "99999999999999999999"])
def test_part_numbers_go_from_1_to_10000(wire, number):
    upload = Upload(wire, wire.key())
    wire.assert_error(upload.part(number), 400, "InvalidArgument")


def test_an_upload_that_is_not_there(wire):
    upload = Upload(wire, wire.key())
    upload.id = "no-such-upload"
    for reply in (
        upload.part(1),
        upload.complete((1, '"0"')),
        wire.send("GET", upload.path, [("uploadId", upload.id)]),
    ):
        wire.assert_error(reply, 404, "NoSuchUpload")
    wire.assert_error(wire.send("DELETE", upload.path, [("uploadId", upload.id)]), 404, "NoSuchUpload")


def test_a_part_with_a_wrong_digest_is_not_there(wire):
    upload = Upload(wire, wire.key())
    pairs = [("partNumber", "1"), ("uploadId", upload.id)]
    for headers in (
        [("Content-MD5", signer.content_md5(b"other"))],
        [("x-amz-checksum-crc32", signer.crc32(b"other"))],
    ):
        wire.assert_error(wire.send("PUT", upload.path, pairs, headers, b"part"), 400, "BadDigest")
    assert wire.send("GET", upload.path, [("uploadId", upload.id)]).xml().findall("Part") == []


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(wire):
    """One PUT may have 5 GiB; the server must not wait for a body that it will refuse."""
    key = wire.key()
    form = {"length": 6 * 1024**3, "payload": signer.UNSIGNED}
    reply = wire.send("PUT", wire.path(key), headers=[("Expect", "100-continue")], body=b"", **form)
    wire.assert_error(reply, 400, "EntityTooLarge")
    wire.assert_absent(key)
