"""Who may not come in: wrong signatures, wrong clocks, altered and expired URLs."""

import datetime
import hashlib

import pytest
from wire import signer

FAR = datetime.timedelta(minutes=20)


def presigned(wire, key, method="GET", **options):
    return signer.presign(wire.root, method, wire.host, wire.path(key), **options)


def fetch(wire, target, method="GET", headers=(), body=None):
    """Sends a request whose target is complete already, without an `Authorization` header."""
    connection = wire.connect()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {wire.host}", *(f"{n}: {v}" for n, v in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    connection.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))
    try:
        return connection.reply(method)
    finally:
        connection.close()


def test_a_right_signature_is_let_in(wire):
    key = wire.key()
    wire.put(key)
    assert wire.get(key).body == b"body"


def test_a_wrong_secret_is_refused(wire):
    key = wire.key()
    wrong = signer.Credentials(wire.root.access_key_id, "not-the-secret-of-this-account")
    reply = wire.send("PUT", wire.path(key), body=b"x", credentials=wrong)
    wire.assert_error(reply, 403, "SignatureDoesNotMatch")
    wire.assert_absent(key)


def test_an_unknown_access_key_is_refused(wire):
    """T28."""
    nobody = signer.Credentials("NOSUCHACCESSKEY00001", "whatever-it-is-it-is-not-known")
    wire.assert_error(wire.send("GET", wire.path(), credentials=nobody), 403, "InvalidAccessKeyId")


def test_a_header_that_was_changed_after_signing_is_refused(wire):
    key = wire.key()
    raw = wire.build("PUT", wire.path(key), headers=[("x-amz-meta-a", "1")], body=b"x")
    connection = wire.connect()
    connection.send(raw.replace(b"x-amz-meta-a: 1", b"x-amz-meta-a: 2"))
    wire.assert_error(connection.reply("PUT"), 403, "SignatureDoesNotMatch")
    connection.close()
    wire.assert_absent(key)


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-tagging"])
def test_an_amz_header_that_is_not_signed_is_refused(wire, name):
    key = wire.key()
    value = {"x-amz-copy-source": wire.path(key), "x-amz-acl": "private"}.get(name, "a=b")
    reply = wire.send("PUT", wire.path(key), body=b"x", unsigned=[(name, value)])
    wire.assert_error(reply, 403, "AccessDenied", "SignatureDoesNotMatch")
    wire.assert_absent(key)


def test_a_presigned_put_cannot_be_turned_into_a_copy(wire):
    secret, key = wire.key("secret"), wire.key()
    wire.put(secret, b"for nobody")
    headers = [("x-amz-copy-source", wire.path(secret))]
    reply = fetch(wire, presigned(wire, key, "PUT"), "PUT", headers, b"")
    assert reply.status == 403
    wire.assert_absent(key)


@pytest.mark.parametrize("offset", [FAR, -FAR], ids=["ahead", "behind"])
def test_a_clock_that_is_far_off_is_told_so(wire, offset):
    date = signer.amz_date(datetime.datetime.now(datetime.timezone.utc) + offset)
    wire.assert_error(wire.send("GET", wire.path(), date=date), 403, "RequestTimeTooSkewed")


def test_a_clock_that_is_a_little_off_is_fine(wire):
    date = signer.amz_date(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5))
    assert wire.send("GET", wire.path(), date=date).status == 200


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256 Credential=nonsense",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host",
        "AWS4-ECDSA-P256-SHA256 Credential=AK/20260101/s3/aws4_request, SignedHeaders=host, Signature=00",
        "AWS AK:c2lnbmF0dXJl",
        "Basic dXNlcjpwYXNz",
        "Bearer token",
        "",
    ],
)
def test_an_authorization_that_is_none_is_refused(wire, value):
    headers = [("Authorization", value), ("x-amz-date", signer.amz_date()), ("x-amz-content-sha256", signer.UNSIGNED)]
    reply = wire.send("GET", wire.path(), headers=headers, credentials=None)
    assert reply.status in (400, 403, 501) and reply.code, "an S3 error, not a failure"


@pytest.mark.parametrize(
    ("method", "key"), [("GET", None), ("PUT", "a"), ("DELETE", "a"), ("HEAD", "a"), ("POST", None), ("PUT", None)]
)
def test_anonymous_requests_are_refused(wire, method, key):
    """T5: no method is let in without a signature."""
    reply = wire.send(method, wire.path(key), [("delete", None)] if method == "POST" else [], credentials=None)
    assert reply.status == 403
    if method != "HEAD":
        wire.assert_error(reply, 403, "AccessDenied")


def test_anonymous_list_buckets_is_refused(wire):
    wire.assert_error(wire.send("GET", "/", credentials=None), 403, "AccessDenied")


def test_a_host_that_is_not_signed_is_refused(wire):
    """T30: AWS demands that `host` is among the signed headers."""
    reply = wire.send("GET", wire.path(), signed=["x-amz-content-sha256", "x-amz-date"])
    assert reply.status in (400, 403) and reply.code


def test_two_hosts_are_refused(wire):
    reply = wire.send("GET", wire.path(), unsigned=[("Host", "other.example")])
    assert reply.status in (400, 403)


def test_a_missing_payload_hash_is_told(wire):
    date = signer.amz_date()
    pairs, _ = signer.sign(wire.root, "GET", wire.path(), [], [("Host", wire.host)], signer.EMPTY_SHA256, date=date)
    headers = [(n, v) for n, v in pairs if n not in ("x-amz-content-sha256", "Host")]
    reply = wire.send("GET", wire.path(), headers=headers, credentials=None)
    assert reply.status in (400, 403) and reply.code


# --- presigned URLs


def test_a_presigned_url_works(wire):
    key = wire.key("päth with space/+")
    assert fetch(wire, presigned(wire, key, "PUT"), "PUT", body=b"hello").status == 200
    assert fetch(wire, presigned(wire, key)).body == b"hello"
    assert fetch(wire, presigned(wire, key, "HEAD"), "HEAD").header("content-length") == "5"


def test_a_presigned_url_with_response_overrides_works(wire):
    key = wire.key()
    wire.put(key)
    pairs = [("response-content-type", "text/x-test"), ("response-content-disposition", 'attachment; filename="a b"')]
    reply = fetch(wire, presigned(wire, key, pairs=pairs))
    assert reply.header("content-type") == "text/x-test"
    assert reply.header("content-disposition") == 'attachment; filename="a b"'


def test_an_expired_presigned_url_is_refused(wire):
    date = signer.amz_date(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=120))
    reply = fetch(wire, presigned(wire, "a", date=date, expires=60))
    wire.assert_error(reply, 403, "AccessDenied")
    assert "expired" in reply.message.lower(), "the message must say what is wrong"


def test_a_presigned_url_from_the_future_is_refused(wire):
    date = signer.amz_date(datetime.datetime.now(datetime.timezone.utc) + FAR)
    assert fetch(wire, presigned(wire, "a", date=date)).status == 403


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000"),
        lambda url: url.replace("/wire-tests/", "/wire-tests/other-"),
        lambda url: url + "&versionId=null",
        lambda url: url.replace("X-Amz-Signature=", "X-Amz-Signature=0"),
        lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"),
    ],
    ids=["expiry", "path", "parameter", "length", "signature"],
)
def test_an_altered_presigned_url_is_refused(wire, change):
    key = wire.key()
    wire.put(key)
    reply = fetch(wire, change(presigned(wire, key)))
    assert reply.status in (400, 403)
    wire.assert_error(reply, reply.status, "SignatureDoesNotMatch", "AuthorizationQueryParametersError")


def test_a_presigned_get_is_no_put(wire):
    key = wire.key()
    reply = fetch(wire, presigned(wire, key), "PUT", body=b"x")
    wire.assert_error(reply, 403, "SignatureDoesNotMatch")
    wire.assert_absent(key)


@pytest.mark.parametrize("expires", ["604801", "-1", "abc", ""])
def test_an_expiry_out_of_bounds_is_refused(wire, expires):
    reply = fetch(wire, presigned(wire, "a", expires=expires))
    assert reply.status in (400, 403) and reply.code


def test_a_presigned_url_without_its_signed_header_is_refused(wire):
    url = presigned(wire, "a", "PUT", headers=[("content-type", "text/plain")])
    assert fetch(wire, url, "PUT", body=b"x").status == 403
    assert fetch(wire, url, "PUT", [("Content-Type", "text/plain")], b"x").status == 200


def test_a_session_token_of_nobody_is_refused(wire):
    """T6: the root account's keys have no session, so a token with them is no valid one."""
    reply = wire.send("GET", wire.path(), headers=[("x-amz-security-token", "made-up")])
    assert reply.status in (400, 403) and reply.code


def test_the_payload_hash_is_checked(wire):
    key = wire.key()
    reply = wire.send("PUT", wire.path(key), body=b"sent", payload=hashlib.sha256(b"claimed").hexdigest())
    wire.assert_error(reply, 400, "XAmzContentSHA256Mismatch")
    wire.assert_absent(key)


def test_a_payload_hash_that_is_none_is_refused(wire):
    reply = wire.send("PUT", wire.path(wire.key()), body=b"x", payload="not-a-hash")
    assert reply.status == 400 and reply.code in ("InvalidArgument", "InvalidRequest")
