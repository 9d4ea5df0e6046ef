"""boto3: every checksum in every mode, over HTTP and over TLS, where the client sends it in a trailer."""

import base64
import hashlib
import io

import boto3.s3.transfer
import botocore.exceptions
import checksums
import pytest
import real_files
from real_files import MIB

MODES = ["when_supported", "when_required"]


@pytest.fixture(params=["http", "tls"])
def transport(request):
    """Options of `connect` for either transport."""
    if request.param == "http":
        return {}
    endpoint, certificate = request.getfixturevalue("tls")
    return {"endpoint": endpoint, "verify": str(certificate)}


@pytest.fixture(params=MODES)
def client(request, connect, transport):
    """boto3 in each checksum mode over each transport."""
    mode = {"request_checksum_calculation": request.param, "response_checksum_validation": request.param}
    return connect(**transport, **mode)


@pytest.fixture
def bucket(client, bucket_name):
    client.create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.mark.parametrize("algorithm", [None, *checksums.ALGORITHMS])
@pytest.mark.parametrize("size", [0, 11, 300_000])
def test_put_and_get(client, bucket, algorithm, size, seed):
    data = real_files.random_bytes(seed, size)
    options = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    put = client.put_object(Bucket=bucket, Key="key", Body=data, **options)
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'

    supported = client.meta.config.request_checksum_calculation == "when_supported"
    stored = algorithm or ("CRC32" if supported else "CRC64NVME")  # what S3 adds where the client sends none
    expected = {checksums.member(stored): checksums.of(stored, data), "ChecksumType": "FULL_OBJECT"}
    assert _checksum_fields(put) == expected
    assert _checksum_fields(client.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")) == expected

    got = client.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert got["Body"].read() == data, "boto3 verifies the checksum while it reads"
    assert _checksum_fields(got) == expected
    attributes = client.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["Checksum", "ObjectSize"])
    assert attributes["Checksum"] == expected and attributes["ObjectSize"] == size
    listed = client.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"], listed["Size"]) == ([stored], "FULL_OBJECT", size)


@pytest.mark.parametrize("size", [11, 300_000, 12 * MIB + 5])
def test_a_stream_of_unknown_length(client, bucket, size, seed):
    data = real_files.random_bytes(seed, size)
    parts = boto3.s3.transfer.TransferConfig(
        multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=3
    )
    client.upload_fileobj(_Stream(data), bucket, "stream", Config=parts)
    back = io.BytesIO()
    client.download_fileobj(bucket, "stream", back, Config=parts)
    assert back.getvalue() == data


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32C", "COMPOSITE"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
        ("SHA512", "COMPOSITE"),
        ("XXHASH64", "COMPOSITE"),
        ("XXHASH3", "COMPOSITE"),
        ("XXHASH128", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
    ],
)
def test_multipart(client, bucket, algorithm, kind, seed):
    parts = [real_files.random_bytes(seed, 5 * MIB), real_files.random_bytes(seed + 1, 777)]
    member, where = checksums.member(algorithm), {"Bucket": bucket, "Key": "key"}
    upload = client.create_multipart_upload(**where, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == (algorithm, kind)
    where_upload = where | {"UploadId": upload["UploadId"]}
    sent = []
    for number, part in enumerate(parts, start=1):
        answer = client.upload_part(**where_upload, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        assert answer[member] == checksums.of(algorithm, part)
        sent.append({"PartNumber": number, "ETag": answer["ETag"], member: answer[member]})
    listed = client.list_parts(**where_upload)
    assert [each[member] for each in listed["Parts"]] == [each[member] for each in sent]

    whole = b"".join(parts)
    expected = checksums.of(algorithm, whole) if kind == "FULL_OBJECT" else checksums.composite(algorithm, parts)
    complete = where_upload | {"MultipartUpload": {"Parts": sent}, "ChecksumType": kind}
    if kind == "FULL_OBJECT":
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            client.complete_multipart_upload(**complete, **{member: checksums.of(algorithm, b"something else")})
        assert refused.value.response["Error"]["Code"] == "BadDigest"
    done = client.complete_multipart_upload(**complete, **{member: expected})
    assert (done[member], done["ChecksumType"]) == (expected, kind)

    head = client.head_object(**where, ChecksumMode="ENABLED")
    assert _checksum_fields(head) == {member: expected, "ChecksumType": kind}
    got = client.get_object(**where, ChecksumMode="ENABLED")
    assert got["Body"].read() == whole
    attributes = client.get_object_attributes(**where, ObjectAttributes=["Checksum", "ObjectParts"])
    assert attributes["Checksum"][member] == expected
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2


def test_transfers_in_parts(client, bucket, tmp_path, seed):
    """upload_file and download_file with threads, as programs use them."""
    source, back = tmp_path / "source", tmp_path / "back"
    digest = real_files.write_random_file(source, seed, 21 * MIB)
    client.upload_file(str(source), bucket, "big", ExtraArgs={"Metadata": {"from": "file"}})
    assert client.head_object(Bucket=bucket, Key="big")["Metadata"] == {"from": "file"}
    client.download_file(bucket, "big", str(back))
    assert real_files.sha256_of(back) == digest
    client.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy")
    client.download_file(bucket, "copy", str(back))
    assert real_files.sha256_of(back) == digest


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_a_wrong_checksum_stores_nothing(client, bucket, algorithm):
    wrong = {checksums.member(algorithm): checksums.of(algorithm, b"something else")}
    _assert_refused(client, bucket, "BadDigest", **wrong)
    _assert_refused(client, bucket, "InvalidRequest", **{checksums.member(algorithm): "AAAA"})


def test_a_wrong_md5_stores_nothing(client, bucket):
    other = base64.b64encode(hashlib.md5(b"something else").digest()).decode()
    _assert_refused(client, bucket, "BadDigest", ContentMD5=other)
    _assert_refused(client, bucket, "InvalidDigest", ContentMD5="AAAA")


def _assert_refused(client, bucket, code, **options):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        client.put_object(Bucket=bucket, Key="key", Body=b"body", **options)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def _checksum_fields(answer):
    return {name: value for name, value in answer.items() if name.startswith("Checksum")}


class _Stream(io.RawIOBase):
    """Can be read once, from the front, in pieces of its own choice."""

    def __init__(self, data):
        self._inner = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._inner.read(min(len(buffer), 65_537))
        buffer[: len(piece)] = piece
        return len(piece)
