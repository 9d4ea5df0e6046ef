"""AWS Signature Version 4, written from AWS's description of it, for tests that must send what no SDK sends.

Signed headers, presigned URLs, and the aws-chunked bodies: signed chunks, signed chunks with a signed trailer,
unsigned chunks with a trailer. Sources: "Authenticating Requests (AWS Signature Version 4)" and
"Signature calculations ... transferring payload in multiple chunks" of the Amazon S3 API reference.
"""

import base64
import datetime
import functools
import hashlib
import hmac
import urllib.parse
import zlib
from dataclasses import dataclass

UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    """An access key and the scope that it signs for."""

    access_key_id: str
    secret_access_key: str
    region: str = "us-east-1"
    service: str = "s3"

    def scope(self, amz_date: str) -> str:
        return f"{amz_date[:8]}/{self.region}/{self.service}/aws4_request"

    def signature(self, amz_date: str, string_to_sign: str) -> str:
        key = _signing_key(self.secret_access_key, amz_date[:8], self.region, self.service)
        return hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()


@functools.lru_cache(maxsize=64)
def _signing_key(secret, date, region, service):
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def amz_date(when=None) -> str:
    """`when` (default: now) in the form of `x-amz-date`."""
    return (when or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y%m%dT%H%M%SZ")


def uri_encode(text, *, keep_slash=False) -> str:
    """Percent-encoding as SigV4 wants it: everything but unreserved characters."""
    return urllib.parse.quote(text, safe="-_.~/" if keep_slash else "-_.~")


def object_path(bucket, key=None) -> str:
    """The path-style path of a bucket or an object, encoded."""
    return f"/{bucket}" if key is None else f"/{bucket}/{uri_encode(key, keep_slash=True)}"


def query_string(pairs) -> str:
    """The query string of `(name, value)` pairs; a value of None is a bare name."""
    return "&".join(uri_encode(n) if v is None else f"{uri_encode(n)}={uri_encode(v)}" for n, v in pairs)


def _canonical_query(pairs):
    return "&".join(f"{n}={v}" for n, v in sorted((uri_encode(n), uri_encode(v or "")) for n, v in pairs))


def _canonical_request(method, path, pairs, headers, signed, payload_hash):
    lower = {}
    for name, value in headers:
        lower.setdefault(name.lower(), []).append(" ".join(str(value).split()))
    lines = "".join(f"{name}:{','.join(lower[name])}\n" for name in signed)
    return "\n".join([method, path, _canonical_query(pairs), lines, ";".join(signed), payload_hash])


def _string_to_sign(credentials, date, canonical):
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join(["AWS4-HMAC-SHA256", date, credentials.scope(date), digest])


def sign(credentials, method, path, pairs, headers, payload_hash, *, date=None, signed=None):
    """`headers` (pairs, `Host` among them) with date, payload hash and `Authorization` added.
    `signed` names the headers to sign (default: all); gives the headers and the signature."""
    date = date or amz_date()
    headers = [*headers, ("x-amz-date", date), ("x-amz-content-sha256", payload_hash)]
    names = sorted({n.lower() for n, _ in headers} if signed is None else signed)
    canonical = _canonical_request(method, path, pairs, headers, names, payload_hash)
    signature = credentials.signature(date, _string_to_sign(credentials, date, canonical))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{credentials.scope(date)}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return [*headers, ("Authorization", authorization)], signature


def presign(credentials, method, host, path, pairs=(), *, expires=900, date=None, headers=(), payload_hash=UNSIGNED):
    """The path and query of a presigned URL; `headers` are further headers that the client must send."""
    date = date or amz_date()
    all_headers = [("host", host), *headers]
    names = sorted({n.lower() for n, _ in all_headers})
    pairs = [
        *pairs,
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", f"{credentials.access_key_id}/{credentials.scope(date)}"),
        ("X-Amz-Date", date),
        ("X-Amz-Expires", str(expires)),
        ("X-Amz-SignedHeaders", ";".join(names)),
    ]
    canonical = _canonical_request(method, path, pairs, all_headers, names, payload_hash)
    signature = credentials.signature(date, _string_to_sign(credentials, date, canonical))
    return f"{path}?{query_string([*pairs, ('X-Amz-Signature', signature)])}"


class ChunkSigner:
    """The chain of chunk signatures that starts with the request's signature."""

    def __init__(self, credentials, date, seed_signature):
        self.credentials = credentials
        self.date = date
        self.previous = seed_signature

    def chunk(self, data: bytes) -> bytes:
        """One framed chunk; an empty one is the last (its closing CRLF is left to the caller or the trailer)."""
        signature = self._sign("AWS4-HMAC-SHA256-PAYLOAD", EMPTY_SHA256, hashlib.sha256(data).hexdigest())
        head = f"{len(data):x};chunk-signature={signature}\r\n".encode()
        return head + data + b"\r\n" if data else head

    def trailer(self, lines: bytes) -> bytes:
        """The signed trailer; `lines` are `name:value\\n` as they are signed (and sent with CRLF)."""
        signature = self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines).hexdigest())
        sent = lines.replace(b"\n", b"\r\n")
        return sent + f"x-amz-trailer-signature:{signature}\r\n\r\n".encode()

    def _sign(self, algorithm, *hashes):
        text = "\n".join([algorithm, self.date, self.credentials.scope(self.date), self.previous, *hashes])
        self.previous = self.credentials.signature(self.date, text)
        return self.previous


def unsigned_chunk(data: bytes) -> bytes:
    """A chunk of the unsigned form; an empty one is the last."""
    return f"{len(data):x}\r\n".encode() + (data + b"\r\n" if data else b"")


def crc32(data: bytes) -> str:
    """CRC-32 as `x-amz-checksum-crc32` wants it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def content_md5(data: bytes) -> str:
    """MD5 as `Content-MD5` wants it."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()
