"""Requests as bytes on a socket, and answers as they come: what was sent and received is printed, and pytest shows it
when a test fails."""

import contextlib
import hashlib
import socket
import time
import uuid
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

from wire import signer

TIMEOUT_SECONDS = 20
SHOWN_BYTES = 600
# S3 answers no error longer than this; a body without an end must not fill the test's memory.
MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class Reply:
    """An answer; `interim` are the statuses of 1xx answers before it."""

    status: int
    headers: list
    body: bytes
    interim: list = field(default_factory=list)

    def header(self, name):
        """The value of a header that comes once, or None."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} comes {len(values)} times"
        return values[0] if values else None

    def xml(self):
        """The body as an element without namespaces."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rsplit("}", 1)[-1]
        return root

    @property
    def code(self):
        """The error's code, or None."""
        return self.xml().findtext("Code") if b"<Error>" in self.body else None

    @property
    def message(self):
        """The error's message, or None."""
        return self.xml().findtext("Message") if b"<Error>" in self.body else None


class Closed(Exception):
    """The server closed the connection before a whole answer."""


class Connection:
    """One TCP connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes):
        """Sends bytes; a connection that the server has closed for writing is no error yet: it may have answered."""
        print(f">>> {_shown(data)}")
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            print(f"!!! while sending: {error!r}")

    def half_close(self):
        """Tells the server that no more bytes will come."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reply(self, method="GET") -> Reply:
        """Reads one whole answer to a request of `method`."""
        try:
            return self._reply(method)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed(repr(error)) from error

    def head(self):
        """Reads one status line and headers, whatever the status."""
        line = self.file.readline().decode("latin-1")
        if not line.startswith("HTTP/1."):
            raise Closed(f"no answer but {line!r}")
        headers = []
        while (raw := self.file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = raw.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        print(f"<<< {line.strip()} {dict(headers)}")
        return int(line.split()[1]), headers

    def _reply(self, method):
        interim = []
        while True:
            status, headers = self.head()
            if status >= 200:
                break
            interim.append(status)
        reply = Reply(status, headers, b"", interim)
        if method != "HEAD" and status not in (204, 304):
            reply.body = self._body(reply)
        print(f"<<< {_shown(reply.body)}")
        return reply

    def _body(self, reply):
        if (reply.header("transfer-encoding") or "").lower() == "chunked":
            return self._chunked()
        length = reply.header("content-length")
        if length is None:
            return self.file.read(MAX_BODY_BYTES)
        body = self.file.read(int(length))
        if len(body) < int(length):
            raise Closed(f"{len(body)} of {length} bytes of the body came")
        return body

    def _chunked(self):
        body = b""
        while True:
            size = int(self.file.readline().split(b";")[0] or b"0", 16)
            if size == 0:
                while self.file.readline().strip():
                    pass
                return body
            body += self.file.read(size)
            self.file.readline()

    def is_open(self) -> bool:
        """Whether the server still holds the connection, asked without sending anything."""
        self.socket.settimeout(0.2)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except TimeoutError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT_SECONDS)

    def close(self):
        """Closes both directions."""
        self.file.close()
        self.socket.close()


def _shown(data):
    shown = data[:SHOWN_BYTES].decode("latin-1").replace("\r\n", "\n    ")
    return shown if len(data) <= SHOWN_BYTES else f"{shown}… ({len(data)} bytes)"


class Wire:
    """How a test speaks to the server. `bucket` is a bucket that exists."""

    def __init__(self, server, other=None):
        self.server = server
        self.host = f"127.0.0.1:{server.port}"
        self.root = signer.Credentials(server.access_key_id, server.secret_access_key)
        self.other = other
        self.bucket = "wire-tests"

    def connect(self) -> Connection:
        """A new connection."""
        return Connection(self.server.port)

    def key(self, name="key") -> str:
        """A key that no other test uses."""
        return f"{name}-{uuid.uuid4().hex[:12]}"

    def path(self, key=None, bucket=None) -> str:
        """The encoded path of a key of the bucket."""
        return signer.object_path(bucket or self.bucket, key)

    def build(self, method, path, pairs=(), headers=(), body=None, **options) -> bytes:
        """A request's bytes. Options: `credentials` (None: anonymous), `payload` (the payload hash to claim), `date`,
        `signed` (names of the headers to sign), `unsigned` (headers that are added after signing), `host`, `length`
        (the Content-Length to claim)."""
        credentials = options.get("credentials", self.root)
        if body is None and method in ("PUT", "POST"):
            body = b""
        all_headers = [("Host", options.get("host", self.host)), *headers]
        if credentials is not None:
            payload = options.get("payload") or hashlib.sha256(body or b"").hexdigest()
            form = {"date": options.get("date"), "signed": options.get("signed")}
            all_headers, _ = signer.sign(credentials, method, path, list(pairs), all_headers, payload, **form)
        if body is not None and not any(n.lower() in ("transfer-encoding", "content-length") for n, _ in all_headers):
            all_headers.append(("Content-Length", str(options.get("length", len(body)))))
        all_headers += options.get("unsigned", ())
        return request_bytes(method, path, pairs, all_headers, body or b"")

    def send(self, method, path, pairs=(), headers=(), body=None, *, connection=None, **options) -> Reply:
        """Sends a request on `connection` (else on one of its own) and reads the answer."""
        raw = self.build(method, path, pairs, headers, body, **options)
        on = connection or self.connect()
        try:
            on.send(raw)
            return on.reply(method)
        finally:
            if connection is None:
                on.close()

    def put(self, key, body=b"body", headers=(), **options) -> Reply:
        """PutObject, which must succeed."""
        reply = self.send("PUT", self.path(key), headers=headers, body=body, **options)
        assert reply.status == 200
        return reply

    def get(self, key, pairs=(), headers=()) -> Reply:
        """GetObject, whatever the answer."""
        return self.send("GET", self.path(key), pairs, headers)

    def assert_absent(self, key):
        """Nothing is stored under the key."""
        assert self.get(key).status == 404, "nothing may be stored"

    def assert_error(self, reply, status, *codes):
        """An S3 error of this status with one of these codes, complete: message, request ids. `Resource`, which S3's
        documentation shows, AWS itself leaves out of nearly all errors; clients read `Key` and `BucketName`."""
        assert (reply.status, reply.code) in [(status, code) for code in codes], f"expected {status} {codes}"
        root = reply.xml()
        assert root.tag == "Error"
        for name in ("Code", "Message", "RequestId", "HostId"):
            assert root.findtext(name), f"the error document lacks {name}"
        assert root.findtext("RequestId") == reply.header("x-amz-request-id")
        assert reply.header("content-type") == "application/xml"

    def until(self, condition, what, seconds=10):
        """Polls until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            time.sleep(0.02)


def request_bytes(method, path, pairs, headers, body) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    target = f"{path}?{signer.query_string(pairs)}" if pairs else path
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body
