"""A light signed S3 client: one connection, one request at a time, no retries, so that each request's outcome is known."""

import hashlib
import http.client
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from wire.signer import UNSIGNED, Credentials, content_md5, object_path, query_string, sign

TIMEOUT_SECONDS = 60
# Bodies up to this size are signed with their SHA-256, larger ones are sent as UNSIGNED-PAYLOAD.
SIGNED_PAYLOAD_BYTES = 4096


class Lost(Exception):
    """The connection broke: the request may have taken effect, or not."""


@dataclass
class Answer:
    """A whole answer of the server."""

    status: int
    headers: dict
    body: bytes

    def xml(self):
        """The body as an element without namespaces."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rsplit("}", 1)[-1]
        return root

    def code(self):
        """The error's code, or an empty string."""
        return self.xml().findtext("Code", "") if self.body.startswith(b"<") else ""

    def __str__(self):
        return f"{self.status} {self.body[:300]!r}"


class Client:
    """Signs with the root account's keys of a `ServerProcess`. Answers after the event `gone` count for nothing: the
    server's drive has no power any more, and nobody would have got them."""

    def __init__(self, server, gone=None):
        self.gone = gone
        self.host = f"127.0.0.1:{server.port}"
        self.credentials = Credentials(server.access_key_id, server.secret_access_key)
        self.connection = None

    def request(self, method, bucket, key=None, query=(), headers=(), body=None) -> Answer:
        """Sends one request; raises `Lost` if no whole answer comes back."""
        if body is None and method in ("PUT", "POST"):
            body = b""
        path = object_path(bucket, key)
        signed = body is None or len(body) <= SIGNED_PAYLOAD_BYTES
        payload = hashlib.sha256(body or b"").hexdigest() if signed else UNSIGNED
        pairs = [("Host", self.host), *headers]
        pairs, _ = sign(self.credentials, method, path, list(query), pairs, payload)
        target = f"{path}?{query_string(query)}" if query else path
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
            self.connection.request(method, target, body=body, headers=dict(pairs))
            answer = self.connection.getresponse()
            whole = Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(f"{method} {target}: {error!r}") from error
        if self.gone is not None and self.gone.is_set():
            raise Lost(f"{method} {target}: {whole}")
        return whole

    def expect(self, status, method, bucket, key=None, **arguments) -> Answer:
        """As `request`, where nothing but `status` will do."""
        answer = self.request(method, bucket, key, **arguments)
        assert answer.status == status, f"{method} {bucket}/{key} {arguments.get('query')}: {answer}"
        return answer

    def post_xml(self, bucket, key, query, document: str) -> Answer:
        """A POST whose body is XML, with the `Content-MD5` that DeleteObjects asks for."""
        body = document.encode()
        return self.request("POST", bucket, key, query=query, headers=[("Content-MD5", content_md5(body))], body=body)

    def pages(self, bucket, query, marker_fields):
        """All pages of a listing of `bucket`; `marker_fields` are pairs of the answer's and the next query's names."""
        markers = []
        while True:
            page = self.expect(200, "GET", bucket, query=[*query, *markers]).xml()
            yield page
            if page.findtext("IsTruncated") != "true":
                return
            markers = [(parameter, page.findtext(field, "")) for field, parameter in marker_fields]
            assert any(value for _, value in markers), "a truncated page must say how to go on"

    def close(self):
        """Closes the connection; the next request opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
