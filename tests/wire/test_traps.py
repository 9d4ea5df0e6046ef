"""Where each known trap of the protocol library is tested.

The traps are those of s3s 0.17, numbered as in the project's notes on it. A number in another test's docstring names
the trap that it guards; `test_every_trap_has_its_place` holds this table and those numbers together.

| trap | what it is | where |
|---|---|---|
| T1 | the status of a response is ignored | test_answers: statuses_that_are_not_200 |
| T2 | an error's headers replace its content type | test_answers: delete_marker_headers |
| T3 | HEAD errors have a body over HTTP/2 | test_connection: head_over_http2, head_over_http1 |
| T4 | control characters break listings and errors | test_answers: control_characters |
| T5 | access checks are skipped without `set_auth` | test_signatures: anonymous_requests |
| T6 | session tokens are not looked at | test_signatures: session_token_of_nobody |
| T7 | checksums, Content-MD5 and missing trailers are not checked | test_bad_input, test_chunked |
| T8 | body errors come out as 500 | below |
| T9 | `aws-chunked` stays in Content-Encoding | test_chunked: aws_chunked_is_no_encoding |
| T10 | object attributes come as one value | test_answers: attributes_may_come |
| T11 | strict parsing of ranges, dates, lists, empty numbers | test_answers: ranges, conditions, headers |
| T12 | POST forms: wrong code for a failed policy | below: forms are not offered yet, and refused |
| T13 | keys in bodies and copy sources pass the typed hooks only | test_answers: another_account |
| T14 | an unknown sub-resource is the base operation | test_bad_input: unknown_subresource |
| T15 | any host name is taken for a bucket | test_hosts |
| T16 | errors lack ids and resource | test_answers: request_ids, complete_documents |
| T17 | response bodies must be `Sync` | the compiler holds it |
| T18 | handlers are dropped when the client leaves | test_connection: breaks_off, leaves_without_waiting |
| T19 | an early error resets the connection | test_connection: error_reaches_the_client |
| T20 | a plain chunked body has no length | test_connection: body_without_a_length |
| T21 | fields of listings are ours | test_answers: fields_that_clients_expect |
| T22 | ETags are stored without quotes | test_answers: etags_are_quoted_once |
| T23 | times have fractions in XML, none in headers | test_answers: dates_are_compared_by_the_second |
| T24 | metadata is a map of lower-case names | test_answers: metadata_names |
| T25 | tagging headers are raw strings | test_bad_input: bad_tagging_headers |
| T26 | codes that the library does not know become 500 | below |
| T27 | bucket names are validated for every request | test_bad_input: bad_bucket_names |
| T28 | an unknown key must be InvalidAccessKeyId | test_signatures: unknown_access_key |
| T29 | keys of 1024 bytes, UTF-8 | test_bad_input: key_of_1024_bytes, no_utf8 |
| T30 | `host` may be unsigned, response-* works anonymously | test_signatures: host_not_signed, test_answers |
"""

import pathlib
import re

import pytest
from wire import signer
from wire.chunked import ChunkedPut, signed_body

# Traps that no request can show.
HELD_ELSEWHERE = {"T17"}


def test_every_trap_has_its_place():
    folder = pathlib.Path(__file__).parent
    named = set()
    for file in folder.glob("test_*.py"):
        for docstring in re.findall(r'"""(.*?)"""', file.read_text(), re.DOTALL):
            if docstring != __doc__:
                named |= set(re.findall(r"\bT\d+\b", docstring))
    assert named | HELD_ELSEWHERE == {f"T{number}" for number in range(1, 31)}


@pytest.mark.parametrize("spoil", ["sha256", "md5", "crc", "chunk", "length"])
def test_errors_of_the_body_are_errors_of_the_client(wire, spoil):
    """T8: never 500, and T26: never 500 for a code that is S3's but not the library's."""
    key, body = wire.key(), b"x" * 200_000
    if spoil == "sha256":
        reply = wire.send("PUT", wire.path(key), body=body, payload="0" * 64)
    elif spoil == "md5":
        reply = wire.send("PUT", wire.path(key), headers=[("Content-MD5", signer.content_md5(b""))], body=body)
    elif spoil == "crc":
        reply = wire.send("PUT", wire.path(key), headers=[("x-amz-checksum-crc32", "AAAAAA==")], body=body)
    else:
        decoded = len(body) + (spoil == "length")
        upload = ChunkedPut(wire, key, signer.STREAMING, decoded=decoded)
        framed = signed_body(upload, body)
        reply = upload.send(framed.replace(b"xxxx", b"xyxx", 1) if spoil == "chunk" else framed)
    assert 400 <= reply.status < 500 and reply.code
    wire.assert_absent(key)


def test_a_post_form_stores_nothing_without_a_policy(wire):
    """T12: whether forms are offered or not, an unsigned one is refused and stores nothing."""
    key, boundary = wire.key(), "cairn-boundary"
    fields = [("key", key), ("Content-Type", "text/plain")]
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields]
    parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nbody\r\n')
    body = ("".join(parts) + f"--{boundary}--\r\n").encode()
    headers = [("Content-Type", f"multipart/form-data; boundary={boundary}")]
    reply = wire.send("POST", wire.path(), headers=headers, body=body, credentials=None)
    assert reply.status in (400, 403, 501) and reply.code
    wire.assert_absent(key)
