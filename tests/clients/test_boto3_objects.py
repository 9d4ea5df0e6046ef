"""boto3: keys of every kind, metadata, ranges, listing in pages, deletion in thousands."""

import email.header
import random

import botocore.exceptions
import pytest

# Everything that S3 takes as a key and some client, proxy or disk has been seen to change.
KEYS = [
    " ", " leading", "trailing ", "two  spaces", "a+b", "a%20b", "100%", "%", "%2F", "a&b=c?d#e", "quote\"'`",
    "<xml>&amp;</xml>", "back\\slash", "semi;colon:at@", "(brackets)[]{}|^~$!*,=", "tab\there", "new\nline",
    "a", "a/", "a/b", "a//b", "a///", "/", "//", "/leading", ".", "..", "./a", "../a", "a/./b", "a/../b",
    "grün", "日本語/ファイル", "😀", "e\u0301", "\u00e9", "\u202eright to left", "\ufffd", "\uffff", "\U0010ffff",
    "k" * 1024, "é" * 512, "d/" * 512,
]  # fmt: skip


def test_unusual_keys(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Tagging="kind=unusual")
    for key in KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(key.encode()), key
    in_order = sorted(KEYS, key=str.encode)
    assert _keys(s3, bucket) == in_order
    assert _keys(s3, bucket, page_size=3) == in_order
    assert [each["Key"] for each in s3.list_objects(Bucket=bucket)["Contents"]] == in_order
    assert [each["Key"] for each in s3.list_object_versions(Bucket=bucket)["Versions"]] == in_order

    for key in KEYS:
        if len(key.encode()) < 1000:
            s3.copy_object(Bucket=bucket, Key=f"copy of {key}", CopySource={"Bucket": bucket, "Key": key})
            assert s3.get_object(Bucket=bucket, Key=f"copy of {key}")["Body"].read() == key.encode(), key
            assert s3.get_object_tagging(Bucket=bucket, Key=f"copy of {key}")["TagSet"][0]["Value"] == "unusual"

    for key in ["\uffff", "copy of \uffff"]:
        s3.delete_object(Bucket=bucket, Key=key)  # XML has no way to write this character
    everything = [{"Key": key} for key in _keys(s3, bucket)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": everything})
    assert "Errors" not in answer
    assert _keys(s3, bucket) == []


def test_a_key_and_a_key_below_it(s3, bucket):
    for key in ["a", "a/b", "a/b/c", "a-b"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [each["Key"] for each in page["Contents"]] == ["a", "a-b"]
    assert page["CommonPrefixes"] == [{"Prefix": "a/"}]
    s3.delete_object(Bucket=bucket, Key="a/b")
    assert _keys(s3, bucket) == ["a", "a-b", "a/b/c"]


def test_a_key_of_1025_bytes_is_refused(s3, bucket):
    for key in ["k" * 1025, "é" * 512 + "x"]:
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        assert refused.value.response["Error"]["Code"] == "KeyTooLongError"
    assert _keys(s3, bucket) == []


def test_metadata(s3, bucket):
    metadata = {"plain": "value", "Upper-Case": "Stays In The Value", "empty": "", "inner": "a  b", "sign": "a=b;c,d"}
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata=metadata)
    stored = s3.head_object(Bucket=bucket, Key="key")["Metadata"]
    # Signing folds runs of spaces, so clients may send them folded.
    stored["inner"] = " ".join(stored["inner"].split())
    assert stored == {
        "plain": "value",
        "upper-case": "Stays In The Value",
        "empty": "",
        "inner": "a b",
        "sign": "a=b;c,d",
    }

    # Other than ASCII travels by RFC 2047; S3 answers with it too, though perhaps in its other encoding.
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata={"name": "=?UTF-8?B?w7xiZXIg5pel5pys?="})
    answer = s3.head_object(Bucket=bucket, Key="key")["Metadata"]["name"]
    assert str(email.header.make_header(email.header.decode_header(answer))) == "über 日本"

    two_kib = {f"m{number}": "v" * 200 for number in range(9)}
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata=two_kib)
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == two_kib
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata=two_kib | {"more": "v" * 300})
    assert refused.value.response["Error"]["Code"] == "MetadataTooLarge"


def test_content_headers(s3, bucket):
    given = {
        "ContentType": "text/html; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de-CH, en",
        "ContentDisposition": "attachment; filename*=UTF-8''gr%C3%BCn.html",
        "CacheControl": "max-age=60, private",
        "StorageClass": "STANDARD_IA",
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"not really gzip", Expires="Thu, 01 Dec 2033 16:00:00 GMT", **given)
    head = s3.head_object(Bucket=bucket, Key="key")
    assert {name: head[name] for name in given} == given
    assert head["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    s3.put_object(Bucket=bucket, Key="key", Body=b"nothing said")
    head = s3.head_object(Bucket=bucket, Key="key")
    assert head["ContentType"] == "binary/octet-stream" and "ContentEncoding" not in head
    assert "StorageClass" not in head, "STANDARD goes without saying"


@pytest.mark.parametrize("size", [1, 4_096, 4_097, 3_500_000])
def test_ranges(s3, bucket, size, seed):
    """Inline objects, objects of one chunk and of several: any range is that range of the bytes."""
    draw = random.Random(seed)
    data = draw.randbytes(size)
    s3.put_object(Bucket=bucket, Key="key", Body=data)
    bounds = sorted({0, 1, size // 2, size - 1, *(draw.randrange(size) for _ in range(4))} & set(range(size)))
    for first in bounds:
        for last in (bound for bound in bounds if bound >= first):
            got = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-{last}")
            assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
            assert got["Body"].read() == data[first : last + 1]
        assert s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={first}-")["Body"].read() == data[first:]
    assert s3.get_object(Bucket=bucket, Key="key", Range=f"bytes=-{size + 9}")["Body"].read() == data
    for absent in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0"):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            s3.get_object(Bucket=bucket, Key="key", Range=absent)
        assert refused.value.response["Error"]["Code"] == "InvalidRange"


SLICES = [("", ""), ("a", ""), ("", "/"), ("a/", "/"), ("é", "-"), ("", "é"), ("", "a/"), ("zz", "/")]
"""Prefixes and delimiters to list by."""


def test_pages_and_prefixes(s3, bucket, seed):
    """Whatever the page size, pages joined are the whole; common prefixes stand once and in order."""
    draw = random.Random(seed)
    alphabet = ["a", "b", "é", "/", "-", "z"]
    keys = sorted({"".join(draw.choices(alphabet, k=draw.randint(1, 6))) for _ in range(300)}, key=str.encode)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for prefix, delimiter in SLICES:
        below = [key for key in keys if key.startswith(prefix)]
        cuts = {key: key.find(delimiter, len(prefix)) if delimiter else -1 for key in below}
        plain = [key for key, cut in cuts.items() if cut < 0]
        rolled = sorted({key[: cut + len(delimiter)] for key, cut in cuts.items() if cut >= 0}, key=str.encode)
        for operation in ("list_objects_v2", "list_objects", "list_object_versions"):
            for size in (1000, 7):
                asked = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter}
                pages = list(s3.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": size}))
                entries = "Versions" if operation == "list_object_versions" else "Contents"
                listed = [each["Key"] for page in pages for each in page.get(entries, [])]
                prefixes = [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]
                assert (listed, prefixes) == (plain, rolled), (operation, prefix, delimiter, size)
                for page in pages:
                    assert len(page.get(entries, [])) + len(page.get("CommonPrefixes", [])) <= size


def test_a_thousand_at_once(s3, bucket):
    keys = [f"key-{number:04}" for number in range(1000)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert len(answer["Deleted"]) == 1000 and all(each["DeleteMarker"] for each in answer["Deleted"])
    assert _keys(s3, bucket) == []
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(number)} for number in range(1001)]})
    assert refused.value.response["Error"]["Code"] == "MalformedXML"

    versions = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        versions += page.get("Versions", []) + page.get("DeleteMarkers", [])
    assert len(versions) == 2000
    for start in range(0, 2000, 1000):
        gone = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions[start : start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)


def _keys(s3, bucket, page_size=1000):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": page_size})
    return [each["Key"] for page in pages for each in page.get("Contents", [])]
