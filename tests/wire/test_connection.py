"""Connections: who waits, who breaks off, who sends too little or too much, and HTTP/2."""

import hashlib
import socket
import struct

import httpx
import pytest
from wire import signer
from wire.exchange import Closed, request_bytes
from wire.signer import UNSIGNED

MiB = 1024 * 1024


# --- Expect: 100-continue


def expecting(wire, key, body, **options):
    """A connection on which the head of a PUT was sent that waits for 100 before its body."""
    raw = wire.build("PUT", wire.path(key), headers=[("Expect", "100-continue")], body=body, **options)
    head, _, _ = raw.partition(b"\r\n\r\n")
    connection = wire.connect()
    connection.send(head + b"\r\n\r\n")
    return connection


def test_a_client_that_waits_for_100_gets_it(wire):
    key = wire.key()
    connection = expecting(wire, key, b"x" * 100_000)
    status, _ = connection.head()
    assert status == 100
    connection.send(b"x" * 100_000)
    assert connection.reply("PUT").status == 200
    connection.close()
    assert wire.get(key).body == b"x" * 100_000


def test_a_client_that_waits_for_100_is_refused_before_it_sends(wire):
    wrong = signer.Credentials(wire.root.access_key_id, "not-the-secret-of-this-account")
    connection = expecting(wire, wire.key(), b"x" * MiB, credentials=wrong, payload=UNSIGNED)
    reply = connection.reply("PUT")
    wire.assert_error(reply, 403, "SignatureDoesNotMatch")
    assert reply.interim == []
    connection.close()


def test_a_put_to_no_bucket_is_refused_before_it_is_sent(wire):
    raw = wire.build("PUT", "/no-such-bucket-anywhere/a", headers=[("Expect", "100-continue")], body=b"x" * 5000)
    connection = wire.connect()
    connection.send(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    status, _ = connection.head()
    if status == 100:
        connection.send(b"x" * 5000)
        status = connection.reply("PUT").status
    assert status == 404
    connection.close()


# --- the connection after an error


def test_many_requests_use_one_connection(wire):
    connection = wire.connect()
    key = wire.key()
    for number in range(20):
        body = str(number).encode()
        assert wire.send("PUT", wire.path(key), body=body, connection=connection).status == 200
        assert wire.send("GET", wire.path(key), connection=connection).body == body
        assert wire.send("HEAD", wire.path("nobody"), connection=connection).status == 404
    connection.close()


def test_pipelined_requests_are_answered_in_order(wire):
    keys = [wire.key() for _ in range(5)]
    for number, key in enumerate(keys):
        wire.put(key, str(number).encode())
    connection = wire.connect()
    connection.send(b"".join(wire.build("GET", wire.path(key)) for key in keys))
    assert [connection.reply().body for _ in keys] == [b"0", b"1", b"2", b"3", b"4"]
    connection.close()


ERRORS = {
    "signature": {"credentials": signer.Credentials("NOSUCHACCESSKEY00001", "whatever-it-is-it-is-not-known")},
    "digest": {"headers": [("Content-MD5", signer.content_md5(b"other"))]},
    "bucket": {"bucket": "no-such-bucket-anywhere"},
    "key": {"key": "k" * 1025},
    "condition": {"headers": [("If-None-Match", '"etag"')]},
    "sha256": {"payload": hashlib.sha256(b"other").hexdigest()},
}


@pytest.mark.parametrize("size", [1, 10_000, 200_000])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_an_error_reaches_the_client_and_the_connection_lives_on(wire, error, size):
    """T19: a body of this size is read to its end, so that the answer is no reset."""
    options = dict(error)
    path = wire.path(options.pop("key", None) or wire.key(), options.pop("bucket", None))
    connection = wire.connect()
    reply = wire.send("PUT", path, body=b"x" * size, connection=connection, **options)
    assert reply.status >= 400 and reply.code
    if (reply.header("connection") or "").lower() != "close":
        assert wire.send("GET", wire.path(), connection=connection).status == 200
    else:
        assert size > 100_000, "a small body is no reason to close the connection"
    connection.close()


def test_a_connection_that_an_error_costs_is_announced(wire):
    """T19, RFC 9112, 9.6: a server that will close says so, or a client's next request is lost."""
    connection = wire.connect()
    path = wire.path(wire.key(), "no-such-bucket-anywhere")
    reply = wire.send("PUT", path, body=b"x" * (2 * MiB), payload=UNSIGNED, connection=connection)
    assert reply.status == 404
    if (reply.header("connection") or "").lower() != "close":
        assert wire.send("GET", wire.path(), connection=connection).status == 200
    connection.close()


def test_an_error_before_a_large_body_reaches_the_client(wire):
    """T19: the client has not sent all of it when the answer comes."""
    body = b"x" * (8 * MiB)
    raw = wire.build("PUT", wire.path(wire.key(), "no-such-bucket-anywhere"), body=body)
    head, _, rest = raw.partition(b"\r\n\r\n")
    connection = wire.connect()
    connection.send(head + b"\r\n\r\n" + rest[:100_000])
    assert connection.reply("PUT").status == 404
    connection.close()


# --- bodies that end early


@pytest.mark.parametrize("sent", [0, 1, 5000, 2 * MiB])
def test_a_client_that_breaks_off_stores_nothing(wire, sent):
    """T18. A reset in the middle of the body."""
    key = wire.key()
    wire.put(key, b"before")
    raw = wire.build("PUT", wire.path(key), body=b"x" * (3 * MiB), payload=UNSIGNED)
    head, _, body = raw.partition(b"\r\n\r\n")
    connection = wire.connect()
    connection.send(head + b"\r\n\r\n" + body[:sent])
    # Linger of zero: close() sends RST instead of FIN.
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert wire.get(key).body == b"before"
    wire.put(key, b"after")
    assert wire.get(key).body == b"after"


@pytest.mark.parametrize("sent", [0, 100, 5000])
def test_a_truncated_body_is_told_and_stores_nothing(wire, sent):
    key = wire.key()
    raw = wire.build("PUT", wire.path(key), body=b"x" * 10_000, payload=UNSIGNED)
    head, _, body = raw.partition(b"\r\n\r\n")
    connection = wire.connect()
    connection.send(head + b"\r\n\r\n" + body[:sent])
    connection.half_close()
    try:
        reply = connection.reply("PUT")
        assert (reply.status, reply.code) == (400, "IncompleteBody")
    except Closed:
        pass  # HTTP/1.1 lets a server close on an incomplete message (RFC 9112, 8).
    connection.close()
    wire.assert_absent(key)


def test_a_truncated_part_is_not_there(wire):
    key = wire.key()
    upload_id = wire.send("POST", wire.path(key), [("uploads", None)]).xml().findtext("UploadId")
    pairs = [("partNumber", "1"), ("uploadId", upload_id)]
    raw = wire.build("PUT", wire.path(key), pairs, body=b"x" * 10_000, payload=UNSIGNED)
    connection = wire.connect()
    connection.send(raw[:-5000])
    connection.close()
    assert wire.send("GET", wire.path(key), [("uploadId", upload_id)]).xml().findall("Part") == []


@pytest.mark.parametrize("size", [3, 100_000, 3 * MiB])
def test_a_client_that_leaves_without_waiting_tears_nothing(wire, size):
    """T18: the whole request was sent; whether the answer is read or not, the object is whole or absent."""
    key, body = wire.key(), b"y" * size
    for _ in range(5):
        connection = wire.connect()
        connection.send(wire.build("PUT", wire.path(key), body=body, payload=UNSIGNED))
        connection.close()
        reply = wire.get(key)
        assert reply.status == 404 or reply.body == body
    wire.put(key, body)
    assert wire.get(key).body == body


def test_many_clients_that_break_off_leave_a_healthy_server(wire):
    raw = wire.build("PUT", wire.path(wire.key()), body=b"x" * MiB, payload=UNSIGNED)
    connections = [wire.connect() for _ in range(100)]
    for number, connection in enumerate(connections):
        connection.send(raw[: 200 + number * 1000])
    for connection in connections:
        connection.close()
    assert wire.send("GET", wire.path()).status == 200


def test_a_reader_that_leaves_is_no_problem(wire):
    key = wire.key()
    wire.put(key, b"z" * (4 * MiB))
    for _ in range(20):
        connection = wire.connect()
        connection.send(wire.build("GET", wire.path(key)))
        connection.head()
        connection.close()
    assert wire.get(key).body == b"z" * (4 * MiB)


# --- lengths


def test_a_body_without_a_length_is_refused(wire):
    """T20: S3 wants a length, so `Transfer-Encoding: chunked` alone is 411."""
    key = wire.key()
    headers = [("Transfer-Encoding", "chunked")]
    reply = wire.send("PUT", wire.path(key), headers=headers, body=b"4\r\nbody\r\n0\r\n\r\n", payload=UNSIGNED)
    wire.assert_error(reply, 411, "MissingContentLength")
    wire.assert_absent(key)


@pytest.mark.parametrize("length", ["-1", "abc", "1,2", "18446744073709551616", "99999999999999999999"])
def test_a_length_that_is_none_is_refused(wire, length):
    key = wire.key()
    reply = wire.send("PUT", wire.path(key), body=b"body", length=length)
    assert reply.status == 400
    wire.assert_absent(key)


def test_length_and_chunked_together_smuggle_nothing(wire):
    """RFC 9112, 6.3: either refused, or chunked wins and the connection ends."""
    key, smuggled = wire.key(), wire.key("smuggled")
    inner = wire.build("PUT", wire.path(smuggled), body=b"in")
    headers = [("Transfer-Encoding", "chunked"), ("Content-Length", "4")]
    raw = wire.build("PUT", wire.path(key), headers=headers, body=b"0\r\n\r\n" + inner, payload=UNSIGNED)
    connection = wire.connect()
    connection.send(raw)
    assert connection.reply("PUT").status >= 400
    connection.close()
    wire.assert_absent(smuggled)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: novalue\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
        b"\r\n" * 1000 + b"garbage\r\n\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT host:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
    ids=range(13),
)
def test_what_is_no_request_is_answered_or_closed(wire, raw):
    connection = wire.connect()
    connection.send(raw)
    connection.half_close()
    try:
        assert 400 <= connection.reply().status < 600
    except Closed:
        pass
    connection.close()
    assert wire.send("GET", wire.path()).status == 200


def test_an_empty_slash_slash_is_list_buckets_or_an_error_of_the_client(wire):
    """Browsers send `GET //`."""
    assert wire.send("GET", "//").status in (200, 400, 403, 404)


# --- HTTP/2


class Http2:
    """Signed requests over one HTTP/2 connection by prior knowledge."""

    def __init__(self, wire):
        self.wire = wire
        self.client = httpx.Client(http1=False, http2=True, timeout=20, trust_env=False)

    def send(self, method, path, pairs=(), body=b""):
        digest = hashlib.sha256(body).hexdigest()
        headers, _ = signer.sign(self.wire.root, method, path, list(pairs), [("Host", self.wire.host)], digest)
        query = f"?{signer.query_string(pairs)}" if pairs else ""
        reply = self.client.request(method, f"http://{self.wire.host}{path}{query}", headers=headers, content=body)
        print(f">>> {method} {path} over {reply.http_version}\n<<< {reply.status_code} {dict(reply.headers)}")
        assert reply.http_version == "HTTP/2"
        return reply


def test_head_over_http2_has_no_body_whatever_the_answer(wire):
    """T3: a body after HEAD is a protocol error of HTTP/2 and would end the connection."""
    http2, key = Http2(wire), wire.key()
    assert http2.send("PUT", wire.path(key), body=b"body").status_code == 200
    found = http2.send("HEAD", wire.path(key))
    assert (found.status_code, found.content, found.headers["content-length"]) == (200, b"", "4")
    for path, status in ((wire.path("nobody"), 404), ("/no-such-bucket-anywhere", 404), (wire.path(), 200)):
        reply = http2.send("HEAD", path)
        assert (reply.status_code, reply.content) == (status, b"")
        assert reply.headers["x-amz-request-id"] and reply.headers["x-amz-id-2"]
    assert http2.send("HEAD", wire.path(key), [("versionId", "made-up")]).content == b""
    assert http2.send("GET", wire.path(key)).content == b"body"
    assert http2.send("GET", wire.path("nobody")).status_code == 404
    assert http2.send("DELETE", wire.path(key)).status_code == 204


def test_a_large_object_over_http2(wire):
    http2, key = Http2(wire), wire.key()
    body = bytes(range(256)) * 12_000
    assert http2.send("PUT", wire.path(key), body=body).status_code == 200
    assert http2.send("GET", wire.path(key)).content == body


def test_head_over_http1_has_a_length_and_no_body(wire):
    """T3."""
    key = wire.key()
    wire.put(key, b"x" * 1000)
    connection = wire.connect()
    for path, status in ((wire.path(key), 200), (wire.path("nobody"), 404), (wire.path(key), 200)):
        reply = wire.send("HEAD", path, connection=connection)
        assert reply.status == status
    assert reply.header("content-length") == "1000"
    connection.close()


def test_a_body_with_get_and_delete_is_read_and_ignored(wire):
    """Some clients send one; what follows on the connection must not be taken for it."""
    key = wire.key()
    wire.put(key)
    connection = wire.connect()
    for method, status in (("GET", 200), ("DELETE", 204)):
        assert wire.send(method, wire.path(key), body=b"x" * 100, connection=connection).status == status
    assert wire.send("GET", wire.path(), connection=connection).status == 200
    connection.close()


def test_lower_and_upper_case_header_names_are_one(wire):
    raw = wire.build("GET", wire.path())
    head, _, _ = raw.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    upper = [name.upper() + b":" + value for name, _, value in (header.partition(b":") for header in headers)]
    connection = wire.connect()
    connection.send(b"\r\n".join([line, *upper, b"", b""]))
    assert connection.reply().status == 200
    connection.close()


def test_absolute_form_targets_are_understood(wire):
    """RFC 9112, 3.2.2: a server must accept them."""
    path = wire.path()
    headers, _ = signer.sign(wire.root, "GET", path, [], [("Host", wire.host)], signer.EMPTY_SHA256)
    connection = wire.connect()
    connection.send(request_bytes("GET", f"http://{wire.host}{path}", [], headers, b""))
    assert connection.reply().status == 200
    connection.close()
