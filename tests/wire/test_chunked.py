"""aws-chunked bodies: every form that S3 knows, and hostile framing of each."""

import pytest
from wire import signer
from wire.chunked import TERMINATOR, ChunkedPut, signed_body, signed_trailer_body, unsigned_trailer_body
from wire.signer import STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER, crc32, unsigned_chunk

CRC = "x-amz-checksum-crc32"
FIRST, SECOND = b"a" * 65536, b"the end"
WHOLE = FIRST + SECOND


def trailer_line(data, name=CRC):
    return f"{name}:{crc32(data)}\n".encode()


def signed(wire, key, **options):
    return ChunkedPut(wire, key, STREAMING, decoded=len(WHOLE), **options)


def signed_trailer(wire, key, **options):
    return ChunkedPut(wire, key, STREAMING_TRAILER, decoded=len(WHOLE), trailer=CRC, **options)


def unsigned_trailer(wire, key, **options):
    return ChunkedPut(wire, key, STREAMING_UNSIGNED_TRAILER, **{"decoded": len(WHOLE), "trailer": CRC, **options})


def refused(wire, key, reply, status, *codes):
    """The upload was refused with one of these codes, and nothing is stored."""
    wire.assert_error(reply, status, *codes)
    wire.assert_absent(key)


def client_error(wire, key, reply):
    """The upload was refused with some S3 error of the client, and nothing is stored."""
    assert 400 <= reply.status < 500 and reply.code, "an S3 error of the client's"
    wire.assert_absent(key)


# --- what must work


def test_signed_chunks(wire):
    key = wire.key()
    upload = signed(wire, key)
    assert upload.send(signed_body(upload, FIRST, SECOND)).status == 200
    assert wire.get(key).body == WHOLE


def test_signed_chunks_with_a_signed_trailer(wire):
    key = wire.key()
    upload = signed_trailer(wire, key)
    reply = upload.send(signed_trailer_body(upload, trailer_line(WHOLE), FIRST, SECOND))
    assert reply.status == 200 and reply.header(CRC) == crc32(WHOLE)
    assert wire.get(key).body == WHOLE


def test_unsigned_chunks_with_a_trailer(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    reply = upload.send(unsigned_trailer_body(trailer_line(WHOLE), FIRST, SECOND))
    assert reply.status == 200 and reply.header(CRC) == crc32(WHOLE)
    got = wire.get(key, headers=[("x-amz-checksum-mode", "ENABLED")])
    assert got.body == WHOLE and got.header(CRC) == crc32(WHOLE)


def test_an_empty_object_in_signed_chunks(wire):
    key = wire.key()
    upload = ChunkedPut(wire, key, STREAMING, decoded=0)
    assert upload.send(signed_body(upload)).status == 200
    assert wire.get(key).body == b""


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("gzip", "gzip")],
)
def test_aws_chunked_is_no_encoding_of_the_object(wire, sent, kept):
    """T9."""
    key = wire.key()
    upload = signed(wire, key, headers=[("Content-Encoding", sent)])
    assert upload.send(signed_body(upload, WHOLE)).status == 200
    assert wire.get(key).header("content-encoding") == kept


# --- hostile framing


def test_a_wrong_chunk_signature_is_refused(wire):
    key = wire.key()
    upload = signed(wire, key)
    body = signed_body(upload, FIRST, SECOND)
    refused(wire, key, upload.send(body.replace(SECOND, b"THE END")), 403, "SignatureDoesNotMatch")


def test_chunks_out_of_order_are_refused(wire):
    key = wire.key()
    upload = signed(wire, key)
    first, second = upload.chunks.chunk(FIRST), upload.chunks.chunk(SECOND)
    body = second + first + upload.chunks.chunk(b"") + TERMINATOR
    refused(wire, key, upload.send(body), 403, "SignatureDoesNotMatch")


def test_a_missing_final_chunk_is_refused(wire):
    key = wire.key()
    upload = signed(wire, key)
    body = upload.chunks.chunk(FIRST) + upload.chunks.chunk(SECOND)
    client_error(wire, key, upload.send(body))


def test_a_final_chunk_with_a_wrong_signature_is_refused(wire):
    key = wire.key()
    upload = signed(wire, key)
    body = upload.chunks.chunk(FIRST) + upload.chunks.chunk(SECOND)
    upload.chunks.previous = "0" * 64
    refused(wire, key, upload.send(body + upload.chunks.chunk(b"") + TERMINATOR), 403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "head",
    [
        b"ffffffffffffffff\r\n",
        b"fffffffffffffffff\r\n",
        b"7fffffffffffffff\r\n",
        b"40000000\r\n",
        b"-1\r\n",
        b"zz\r\n",
        b"\r\n",
        b" 5\r\n",
        b"0x5\r\n",
        b"5" * 100_000,
        b"5;" + b"e" * 100_000 + b"\r\n",
        b"\x00\x00\x00\x00\r\n",
    ],
    ids=["u64", "overflow", "i64", "1GiB", "minus", "letters", "none", "space", "0x", "digits", "extension", "zeros"],
)
@pytest.mark.parametrize("form", [STREAMING, STREAMING_UNSIGNED_TRAILER], ids=["signed", "unsigned"])
def test_a_hostile_chunk_size_is_refused(wire, head, form):
    key = wire.key()
    trailer = CRC if form == STREAMING_UNSIGNED_TRAILER else None
    upload = ChunkedPut(wire, key, form, decoded=5, trailer=trailer)
    body = head + b"hello\r\n0\r\n" + trailer_line(b"hello") + b"\r\n"
    client_error(wire, key, upload.send(body))


def test_a_chunk_without_its_line_end_is_refused(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key, decoded=5)
    client_error(wire, key, upload.send(b"5\r\nhelloXX0\r\n" + trailer_line(b"hello") + b"\r\n"))


@pytest.mark.parametrize("decoded", [len(WHOLE) - 1, len(WHOLE) + 1, 0, 10**15], ids=["less", "more", "0", "huge"])
@pytest.mark.parametrize("form", ["signed", "unsigned"])
def test_a_wrong_decoded_length_is_refused(wire, decoded, form):
    key = wire.key()
    if form == "signed":
        upload = ChunkedPut(wire, key, STREAMING, decoded=decoded)
        body = signed_body(upload, FIRST, SECOND)
    else:
        upload = unsigned_trailer(wire, key, decoded=decoded)
        body = unsigned_trailer_body(trailer_line(WHOLE), FIRST, SECOND)
    client_error(wire, key, upload.send(body))


@pytest.mark.parametrize("decoded", [None, "abc", "-5", ""], ids=["absent", "letters", "negative", "empty"])
def test_a_decoded_length_that_is_none_is_refused(wire, decoded):
    key = wire.key()
    upload = ChunkedPut(wire, key, STREAMING, decoded=decoded)
    client_error(wire, key, upload.send(signed_body(upload, WHOLE)))


def test_bytes_after_the_final_chunk_store_nothing_else(wire):
    key = wire.key()
    upload = signed(wire, key)
    reply = upload.send(signed_body(upload, FIRST, SECOND) + b"extra bytes")
    if reply.status == 200:
        assert wire.get(key).body == WHOLE
    else:
        client_error(wire, key, reply)


# --- trailers


def test_a_wrong_checksum_in_the_trailer_is_refused(wire):
    """T7."""
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    refused(wire, key, upload.send(unsigned_trailer_body(trailer_line(b"other"), WHOLE)), 400, "BadDigest")
    upload = signed_trailer(wire, key)
    refused(wire, key, upload.send(signed_trailer_body(upload, trailer_line(b"other"), WHOLE)), 400, "BadDigest")


def test_a_trailer_that_was_announced_must_come(wire):
    """T7."""
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    client_error(wire, key, upload.send(unsigned_trailer_body(b"", WHOLE)))
    upload = signed_trailer(wire, key)
    client_error(wire, key, upload.send(signed_body(upload, WHOLE)))


def test_a_trailer_that_was_not_announced_is_refused_or_ignored_but_never_trusted(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    wrong = trailer_line(WHOLE) + b"x-amz-checksum-sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    reply = upload.send(unsigned_trailer_body(wrong, WHOLE))
    if reply.status == 200:
        assert reply.header("x-amz-checksum-sha1") is None
    else:
        client_error(wire, key, reply)


def test_a_trailer_of_another_name_is_refused(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    line = trailer_line(WHOLE, "x-amz-checksum-crc32c")
    client_error(wire, key, upload.send(unsigned_trailer_body(line, WHOLE)))


def test_a_wrong_trailer_signature_is_refused(wire):
    key = wire.key()
    upload = signed_trailer(wire, key)
    chunks = upload.chunks.chunk(WHOLE) + upload.chunks.chunk(b"")
    upload.chunks.previous = "0" * 64
    body = chunks + upload.chunks.trailer(trailer_line(WHOLE))
    refused(wire, key, upload.send(body), 403, "SignatureDoesNotMatch")


def test_a_trailer_checksum_that_is_no_base64_is_refused(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key)
    client_error(wire, key, upload.send(unsigned_trailer_body(f"{CRC}:!!!\n".encode(), WHOLE)))


def test_an_endless_trailer_is_refused(wire):
    key = wire.key()
    upload = unsigned_trailer(wire, key, decoded=5)
    lines = b"".join(b"x-amz-meta-%d:%s\n" % (n, b"v" * 1000) for n in range(2000))
    body = unsigned_chunk(b"hello") + unsigned_chunk(b"") + lines.replace(b"\n", b"\r\n") + b"\r\n"
    client_error(wire, key, upload.send(body))


def test_an_unsigned_trailer_form_without_trailer_header(wire):
    """Nothing to check then; what matters is that it is answered and that the bytes are right."""
    key = wire.key()
    upload = unsigned_trailer(wire, key, trailer=None)
    reply = upload.send(unsigned_trailer_body(b"", WHOLE))
    if reply.status == 200:
        assert wire.get(key).body == WHOLE
    else:
        client_error(wire, key, reply)


def test_parts_are_checked_like_objects(wire):
    key = wire.key()
    created = wire.send("POST", wire.path(key), [("uploads", None)])
    upload_id = created.xml().findtext("UploadId")
    query = [("partNumber", "1"), ("uploadId", upload_id)]
    upload = ChunkedPut(wire, key, STREAMING_UNSIGNED_TRAILER, decoded=len(WHOLE), trailer=CRC, query=query)
    wire.assert_error(upload.send(unsigned_trailer_body(trailer_line(b"other"), WHOLE)), 400, "BadDigest")
    upload = ChunkedPut(wire, key, STREAMING, decoded=len(WHOLE), query=query)
    spoiled = signed_body(upload, WHOLE).replace(SECOND, b"THE END")
    wire.assert_error(upload.send(spoiled), 403, "SignatureDoesNotMatch")
    parts = wire.send("GET", wire.path(key), [("uploadId", upload_id)]).xml()
    assert parts.findall("Part") == []
    assert wire.send("DELETE", wire.path(key), [("uploadId", upload_id)]).status == 204


def test_the_unsigned_form_is_still_authenticated(wire):
    """The chunks carry no signature, the request does."""
    key = wire.key()
    wrong = signer.Credentials(wire.root.access_key_id, "not-the-secret-of-this-account")
    body = unsigned_trailer_body(trailer_line(WHOLE), WHOLE)
    headers = [
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", str(len(WHOLE))),
        ("x-amz-trailer", CRC),
    ]
    form = {"credentials": wrong, "payload": STREAMING_UNSIGNED_TRAILER}
    reply = wire.send("PUT", wire.path(key), headers=headers, body=body, **form)
    refused(wire, key, reply, 403, "SignatureDoesNotMatch")
