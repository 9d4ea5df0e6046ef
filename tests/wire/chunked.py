"""PutObject with an aws-chunked body, built piece by piece so that a test can spoil any of them."""

from wire import signer
from wire.exchange import request_bytes

TERMINATOR = b"\r\n"


class ChunkedPut:
    """One upload. `form` is the value of `x-amz-content-sha256`; `decoded` the length to claim (None: do not)."""

    def __init__(self, wire, key, form, *, decoded, headers=(), trailer=None, query=()):
        self.wire = wire
        self.path = wire.path(key)
        self.query = list(query)
        date = signer.amz_date()
        pairs = [("Host", wire.host), *headers]
        if decoded is not None:
            pairs.append(("x-amz-decoded-content-length", str(decoded)))
        if trailer:
            pairs.append(("x-amz-trailer", trailer))
        if not any(name.lower() == "content-encoding" for name, _ in headers):
            pairs.append(("Content-Encoding", "aws-chunked"))
        self.headers, seed = signer.sign(wire.root, "PUT", self.path, self.query, pairs, form, date=date)
        self.chunks = signer.ChunkSigner(wire.root, date, seed)

    def send(self, body: bytes, *, length=None):
        """Sends the request with these framed bytes; claims their length unless `length` says otherwise."""
        headers = [*self.headers, ("Content-Length", str(len(body) if length is None else length))]
        connection = self.wire.connect()
        try:
            connection.send(request_bytes("PUT", self.path, self.query, headers, body))
            return connection.reply("PUT")
        finally:
            connection.close()


def signed_body(upload, *pieces) -> bytes:
    """Signed chunks, closed."""
    return b"".join(upload.chunks.chunk(piece) for piece in pieces) + upload.chunks.chunk(b"") + TERMINATOR


def signed_trailer_body(upload, lines, *pieces) -> bytes:
    """Signed chunks with a signed trailer."""
    chunks = b"".join(upload.chunks.chunk(piece) for piece in pieces)
    return chunks + upload.chunks.chunk(b"") + upload.chunks.trailer(lines)


def unsigned_trailer_body(lines, *pieces) -> bytes:
    """Unsigned chunks with a trailer; `lines` are `name:value\\n`."""
    chunks = b"".join(signer.unsigned_chunk(piece) for piece in pieces)
    return chunks + signer.unsigned_chunk(b"") + lines.replace(b"\n", b"\r\n") + TERMINATOR
