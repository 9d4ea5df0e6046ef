"""Encryption through boto3: every way of it with every way to write and read, and what the disk holds of it."""

import base64
import hashlib
import itertools
import os
import pathlib
import secrets

import boto3
import botocore.config
import pytest
import urllib3
from principals import refused
from server_process import ServerProcess

KIB, MIB = 1024, 1024 * 1024
CUSTOMER, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
# Found on the disk it would be plaintext.
MARK = b"cairn-plaintext-" + secrets.token_hex(16).encode() + b"-"
CONTEXT = base64.b64encode(b'{"department":"10103.0"}').decode()


def by_customer(key=CUSTOMER, start=""):
    return {f"{start}SSECustomerAlgorithm": "AES256", f"{start}SSECustomerKey": key}


# What a write asks for, and what a read needs.
MODES = {
    "default": ({}, {}),
    "s3": ({"ServerSideEncryption": "AES256"}, {}),
    "kms": ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1", "SSEKMSEncryptionContext": CONTEXT}, {}),
    "customer": (by_customer(), by_customer()),
}


def body_of(size):
    return (MARK * (size // len(MARK) + 1))[:size]


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory):
    """A server with a keyring of its own, in which two keys for SSE-KMS are."""
    folder = tmp_path_factory.mktemp("encrypting")
    keyring, config = folder / "keyring", folder / "config.toml"
    names = ("sse-s3", "aws/s3", "key-1", "key-2")
    lines = [f"{name} 1 {base64.b64encode(os.urandom(32)).decode()}\n" for name in names]
    keyring.write_text("".join(lines))
    keyring.chmod(0o600)
    config.write_text(f'[encryption]\nkeyring_file = "{keyring}"\ncustomer_keys_without_tls = true\n')
    with ServerProcess(folder / "data", folder / "server.log", config=config) as process:
        process.keyring = keyring
        yield process


@pytest.fixture
def s3(encrypting):
    return client(encrypting)


def client(process, **options):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4", **options
    )
    return boto3.client(
        "s3",
        endpoint_url=process.endpoint,
        region_name="us-east-1",
        aws_access_key_id=process.access_key_id,
        aws_secret_access_key=process.secret_access_key,
        config=config,
    )


@pytest.fixture
def bucket(s3, bucket_name):
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name


def shows(answer, mode):
    """Whether an answer says how the object is encrypted."""
    if mode == "customer":
        assert answer["SSECustomerAlgorithm"] == "AES256"
        assert answer["SSECustomerKeyMD5"] == base64.b64encode(hashlib.md5(CUSTOMER).digest()).decode()
        assert "ServerSideEncryption" not in answer
    elif mode == "kms":
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "key-1")
    else:
        assert answer["ServerSideEncryption"] == "AES256" and "SSEKMSKeyId" not in answer


def reads(s3, place, body, read):
    """Whether the object is `body`, whole and in ranges that begin and end around frames."""
    answer = s3.get_object(**place, **read)
    assert answer["Body"].read() == body and answer["ContentLength"] == len(body)
    assert s3.head_object(**place, **read)["ContentLength"] == len(body)
    frame, size = 64 * KIB, len(body)
    edges = sorted({edge for edge in (0, 1, frame - 1, frame, frame + 1, 5 * MIB, 5 * MIB + 1, size - 1) if 0 <= edge < size})
    for first, last in itertools.combinations_with_replacement(edges, 2):
        answer = s3.get_object(**place, **read, Range=f"bytes={first}-{last}")
        assert answer["Body"].read() == body[first : last + 1], (first, last)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [0, 1, 3 * KIB, 64 * KIB, 64 * KIB + 1, 3 * MIB])
def test_puts(s3, bucket, mode, size):
    (write, read), body, place = MODES[mode], body_of(size), {"Bucket": bucket, "Key": "k"}
    written = s3.put_object(**place, Body=body, **write)
    shows(written, mode)
    shows(s3.head_object(**place, **read), mode)
    md5 = hashlib.md5(body).hexdigest()
    assert (written["ETag"].strip('"') == md5) == (mode in ("default", "s3"))
    reads(s3, place, body, read)
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == size


@pytest.mark.parametrize("mode", MODES)
def test_uploads_in_parts(s3, bucket, mode):
    (write, read), place = MODES[mode], {"Bucket": bucket, "Key": "k"}
    bodies = [body_of(5 * MIB), body_of(5 * MIB + 7)[::-1], body_of(100)]
    of_part = by_customer() if mode == "customer" else {}
    upload = s3.create_multipart_upload(**place, **write)
    shows(upload, mode)
    upload_id = {"UploadId": upload["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**place, **upload_id, PartNumber=number, Body=body, **of_part)
        shows(part, mode)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    listed = s3.list_parts(**place, **upload_id)["Parts"]
    assert [part["Size"] for part in listed] == [len(body) for body in bodies]
    if mode == "customer":
        for wrong in ({}, by_customer(OTHER)):
            refused("InvalidRequest", s3.upload_part, **place, **upload_id, PartNumber=4, Body=b"x", **wrong)
    complete = {"MultipartUpload": {"Parts": parts}} | place | upload_id
    if mode == "customer":
        for wrong in ({}, by_customer(OTHER)):
            refused("InvalidRequest", s3.complete_multipart_upload, **complete, **wrong)
    completed = s3.complete_multipart_upload(**complete, **of_part)
    if mode == "customer":
        names = completed["ResponseMetadata"]["HTTPHeaders"]
        assert names["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    else:
        shows(completed, mode)
    reads(s3, place, b"".join(bodies), read)
    for number, body in enumerate(bodies, 1):
        answer = s3.get_object(**place, PartNumber=number, **read)
        assert answer["Body"].read() == body and answer["PartsCount"] == 3


@pytest.mark.parametrize("source", MODES)
@pytest.mark.parametrize("target", MODES)
def test_copies(s3, bucket, source, target):
    (write, read), (rewrite, reread) = MODES[source], MODES[target]
    body = body_of(200 * KIB)
    s3.put_object(Bucket=bucket, Key="from", Body=body, **write)
    more = by_customer(start="CopySource") if source == "customer" else {}
    place = {"Bucket": bucket, "Key": "to"}
    copied = s3.copy_object(**place, CopySource=f"{bucket}/from", **rewrite, **more)
    shows(copied, target)
    reads(s3, place, body, reread)
    s3.delete_object(Bucket=bucket, Key="from")
    reads(s3, place, body, reread)
    if source == "customer":
        s3.put_object(Bucket=bucket, Key="from", Body=body, **write)
        refused("InvalidRequest", s3.copy_object, **place, CopySource=f"{bucket}/from", **rewrite)


def test_parts_are_copied(s3, bucket):
    body = body_of(6 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=body, **by_customer())
    place = {"Bucket": bucket, "Key": "to"}
    upload = {"UploadId": s3.create_multipart_upload(**place, **MODES["kms"][0])["UploadId"]}
    more = {"CopySource": f"{bucket}/from"} | by_customer(start="CopySource")
    parts = []
    for number, extent in ((1, (0, 5 * MIB - 1)), (2, (MIB, 6 * MIB - 1))):
        header = f"bytes={extent[0]}-{extent[1]}"
        part = s3.upload_part_copy(**place, **upload, PartNumber=number, CopySourceRange=header, **more)
        parts.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**place, **upload, MultipartUpload={"Parts": parts})
    reads(s3, place, body[: 5 * MIB] + body[MIB:], {})


def test_a_customers_key_is_needed_and_no_other(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"data", **by_customer())
    refused("InvalidRequest", s3.get_object, **place)
    refused("400", s3.head_object, **place)
    refused("InvalidRequest", s3.get_object, **place, **by_customer(OTHER))
    refused("400", s3.head_object, **place, **by_customer(OTHER))
    refused("InvalidRequest", s3.get_object_attributes, **place, ObjectAttributes=["ETag"])
    s3.put_object(**place, Body=b"data")
    refused("InvalidRequest", s3.get_object, **place, **by_customer())


def test_versions_keep_their_keys(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = {}
    for mode, (write, read) in MODES.items():
        body = mode.encode() * 10_000
        versions[s3.put_object(Bucket=bucket, Key="k", Body=body, **write)["VersionId"]] = (body, read)
    for version, (body, read) in versions.items():
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=version, **read)["Body"].read() == body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [100, 200 * KIB, None])
def test_renames_keep_their_keys(s3, bucket, mode, size):
    """A wrapped key is bound to the object's key: the new key must open it, and after a second rename, too."""
    write, read = MODES[mode]
    body, place = body_of(size or 5 * MIB + 1), {"Bucket": bucket, "Key": "k"}
    if size:
        s3.put_object(**place, Body=body, **write)
    else:
        of_part = by_customer() if mode == "customer" else {}
        upload = place | {"UploadId": s3.create_multipart_upload(**place, **write)["UploadId"]}
        parts = []
        for number, piece in enumerate((body[: 5 * MIB], body[5 * MIB :]), 1):
            part = s3.upload_part(**upload, PartNumber=number, Body=piece, **of_part)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **of_part)
    before = s3.head_object(**place, **read)
    for source, key in (("k", "folder/renamed"), ("folder/renamed", "again")):
        s3.rename_object(Bucket=bucket, Key=key, RenameSource=source)
        place["Key"] = key
        after = s3.head_object(**place, **read)
        shows(after, mode)
        assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
        reads(s3, place, body, read)
        refused("404", s3.head_object, Bucket=bucket, Key=source, **read)


def test_presigned_urls(s3, bucket):
    place = {"Bucket": bucket, "Key": "k"}
    url = s3.generate_presigned_url("put_object", Params=place | {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-2"})
    headers = {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key-2"}
    with urllib3.PoolManager(retries=False) as pool:
        assert pool.request("PUT", url, body=b"data", headers=headers).status == 200
        assert s3.head_object(**place)["SSEKMSKeyId"] == "key-2"
        answer = pool.request("GET", s3.generate_presigned_url("get_object", Params=place))
    assert answer.data == b"data" and answer.headers["x-amz-server-side-encryption"] == "aws:kms"


def test_a_buckets_default(s3, bucket):
    of = {"Bucket": bucket}

    def default():
        return s3.get_bucket_encryption(**of)["ServerSideEncryptionConfiguration"]["Rules"]

    own = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    assert default() == own
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key-2"}
    rules = [{"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(**of, ServerSideEncryptionConfiguration={"Rules": rules})
    assert default() == rules
    written = s3.put_object(**of, Key="k", Body=b"data")
    assert (written["SSEKMSKeyId"], written["BucketKeyEnabled"]) == ("key-2", True)
    s3.delete_bucket_encryption(**of)
    s3.delete_bucket_encryption(**of)
    assert default() == own
    assert s3.get_object(**of, Key="k")["Body"].read() == b"data"
    for algorithm, code in (("AES256", "InvalidArgument"), ("rot13", "MalformedXML")):
        wrong = {"Rules": [{"ApplyServerSideEncryptionByDefault": by_default | {"SSEAlgorithm": algorithm}}]}
        refused(code, s3.put_bucket_encryption, **of, ServerSideEncryptionConfiguration=wrong)


def annotate(s3, place, names, text):
    for name in names:
        s3.put_object_annotation(**place, AnnotationName=name, AnnotationPayload=text + name.encode())


def annotations(s3, place, names):
    return [s3.get_object_annotation(**place, AnnotationName=name)["AnnotationPayload"].read() for name in names]


@pytest.mark.parametrize("source", ["plain", "s3", "kms", "customer"])
@pytest.mark.parametrize("target", ["s3", "kms"])
def test_copies_take_annotations_along(s3, bucket, plain, source, target):
    """Sealed or not as their object is, and under its key; a source by SSE-C has none, for boto3 cannot bring the key."""
    # What is found on the disk in the end must be none of what was encrypted.
    text = b"not secret " if source == "plain" else MARK
    names, body = ["a", "b"], text * 10_000
    place, copy = {"Bucket": bucket, "Key": "k"}, {"Bucket": bucket, "Key": "copy"}
    if source == "plain":
        plain(place, body, names, text)
    else:
        s3.put_object(**place, Body=body, **MODES[source][0])
        names = [] if source == "customer" else names
        annotate(s3, place, names, text)
    brought = by_customer(start="CopySource") if source == "customer" else {}
    s3.copy_object(**copy, CopySource=place, **MODES[target][0], **brought)
    assert annotations(s3, copy, names) == [text + name.encode() for name in names]
    assert s3.get_object(**copy)["Body"].read() == body
    listed = s3.list_object_annotations(**copy)["Annotations"] if names else []
    assert [it["AnnotationName"] for it in listed] == names
    s3.put_object_annotation(**copy, AnnotationName="a", AnnotationPayload=b"replaced")
    assert annotations(s3, copy, ["a"]) == [b"replaced"]


@pytest.fixture
def plain(encrypting, s3):
    """Makes an object that is not encrypted: while the server has no keyring."""

    def make(place, body, names, text):
        config = encrypting.config.read_text()
        try:
            encrypting.config.write_text("")
            encrypting.restart()
            bare = client(encrypting)
            bare.put_object(**place, Body=body)
            annotate(bare, place, names, text)
        finally:
            encrypting.config.write_text(config)
            encrypting.restart()

    return make


def test_a_buckets_block_of_customers_keys(s3, bucket):
    rule = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    s3.put_object(Bucket=bucket, Key="before", Body=b"b", **by_customer())
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert found["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    assert found["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    refused("AccessDenied", s3.put_object, Bucket=bucket, Key="k", Body=b"b", **by_customer())
    refused("AccessDenied", s3.create_multipart_upload, Bucket=bucket, Key="k", **by_customer())
    copy = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "before"}}
    brought = by_customer(start="CopySource")
    refused("AccessDenied", s3.copy_object, **copy, **brought, **by_customer())
    s3.copy_object(**copy, **brought)
    assert s3.get_object(Bucket=bucket, Key="before", **by_customer())["Body"].read() == b"b"
    rule["BlockedEncryptionTypes"]["EncryptionType"] = ["NONE"]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=bucket, Key="k", Body=b"b", **by_customer())


def test_an_objects_encryption_is_updated_without_its_bytes(encrypting, s3, bucket):
    place, body = {"Bucket": bucket, "Key": "k"}, body_of(200 * KIB)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(**place, Body=body)
    second = s3.put_object(**place, Body=b"second")
    old = {**place, "VersionId": first["VersionId"]}
    before = s3.head_object(**old)
    wanted = {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/key-2", "BucketKeyEnabled": True}}
    s3.update_object_encryption(**old, ObjectEncryption=wanted)
    after = s3.get_object(**old)
    assert after["Body"].read() == body
    assert (after["ServerSideEncryption"], after["BucketKeyEnabled"]) == ("aws:kms", True)
    assert after["SSEKMSKeyId"].endswith("key/key-2")
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    assert s3.head_object(**place)["ServerSideEncryption"] == "AES256" and second["VersionId"] != first["VersionId"]
    # After a rotation the same call takes the newest version of the key: the one before may then go.
    lines = encrypting.keyring.read_text()
    key = base64.b64encode(os.urandom(32)).decode()
    encrypting.keyring.write_text(lines + f"key-2 2 {key}\n")
    encrypting.restart()
    s3.update_object_encryption(**old, ObjectEncryption=wanted)
    encrypting.keyring.write_text("".join(it for it in lines.splitlines(True) if not it.startswith("key-2 ")) + f"key-2 2 {key}\n")
    encrypting.restart()
    assert s3.get_object(**old)["Body"].read() == body
    encrypting.keyring.write_text(lines + f"key-2 2 {key}\n")
    encrypting.restart()
    s3.put_object(Bucket=bucket, Key="c", Body=b"c", **by_customer())
    refused("InvalidRequest", s3.update_object_encryption, Bucket=bucket, Key="c", ObjectEncryption=wanted)
    wanted["SSEKMS"]["KMSKeyArn"] = "arn:aws:kms:us-east-1:000000000000:key/none"
    refused("KMS.NotFoundException", s3.update_object_encryption, **place, ObjectEncryption=wanted)


def test_what_requests_may_say(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    refused("InvalidArgument", s3.put_object, **put, ServerSideEncryption="rot13")
    refused("InvalidArgument", s3.put_object, **put, SSEKMSKeyId="key-1")
    refused("InvalidArgument", s3.put_object, **put, ServerSideEncryption="AES256", **by_customer())
    refused("KMS.NotFoundException", s3.put_object, **put, ServerSideEncryption="aws:kms", SSEKMSKeyId="nobody")
    refused("KMS.NotFoundException", s3.put_object, **put, ServerSideEncryption="aws:kms", SSEKMSKeyId="sse-s3")
    refused("NotImplemented", s3.put_object, **put, ServerSideEncryption="aws:kms:dsse")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_nothing_is_read_from_the_disk(encrypting, s3, bucket):
    for mode, (write, _) in MODES.items():
        for size in (2 * KIB, 300 * KIB):
            s3.put_object(Bucket=bucket, Key=f"{mode}-{size}", Body=body_of(size), **write)
    encrypting.terminate()
    keys = [CUSTOMER] + [base64.b64decode(line.split()[2]) for line in encrypting.keyring.read_text().splitlines()]
    wanted = [MARK] + keys + [base64.b64encode(key) for key in keys]
    searched = 0
    for path in pathlib.Path(encrypting.data[0]).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            searched += len(content)
            assert not [text for text in wanted if text in content], path
    assert searched > MIB
    log = encrypting.log.read_bytes()
    assert not [text for text in wanted if text in log]
    encrypting.start()


def frames_of(process, length):
    """Where the store keeps chunks of this length: files, and where the checksums of their blocks and their bytes lie."""
    places = []
    for path in pathlib.Path(process.data[0]).rglob("segment-*"):
        content = path.read_bytes()
        for start in range(0, len(content), 512):
            if content[start : start + 4] == b"CFRM" and content[start + 12 : start + 16] == length.to_bytes(4, "little"):
                blocks = -(-length // (64 * KIB))
                places.append((path, start + 64, 4 * blocks + length))
    return places


def swap(first, second):
    """Puts each of two chunks in the other's place, with checksums that are right."""
    kept = []
    for path, start, length in (first, second):
        with path.open("rb") as file:
            file.seek(start)
            kept.append(file.read(length))
    for (path, start, _), content in zip((second, first), kept):
        with path.open("r+b") as file:
            file.seek(start)
            file.write(content)


@pytest.mark.parametrize("mode", ["s3", "kms", "customer"])
def test_an_older_version_in_the_place_of_a_newer_is_not_served(encrypting, s3, bucket, mode):
    write, read = MODES[mode]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # A length that no other object has.
    length = 100_000 + secrets.randbelow(20_000)
    bodies = [os.urandom(length) for _ in range(2)]
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=body, **write)["VersionId"] for body in bodies]
    encrypting.terminate()
    # What a stream adds: its header, and a tag for each of two frames.
    first, second = frames_of(encrypting, length + 42 + 2 * 16)
    swap(first, second)
    encrypting.start()
    for version, options in itertools.product(versions, ({}, {"Range": f"bytes={length - 10}-"})):
        refused("InternalError", s3.get_object, Bucket=bucket, Key="k", VersionId=version, **read, **options)
    assert b"a frame of the sealed data does not open" in encrypting.log.read_bytes()
    encrypting.terminate()
    swap(first, second)
    encrypting.start()
    for version, body in zip(versions, bodies):
        assert s3.get_object(Bucket=bucket, Key="k", VersionId=version, **read)["Body"].read() == body


def test_a_lost_key_makes_its_objects_unreadable_and_no_others(encrypting, s3, bucket):
    for key in ("key-1", "key-2"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"data", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    kept = encrypting.keyring.read_text()
    lines = kept.splitlines(keepends=True)
    encrypting.terminate()
    rotated = f"key-1 2 {base64.b64encode(os.urandom(32)).decode()}\n"
    encrypting.keyring.write_text("".join(line for line in lines if not line.startswith("key-2")) + rotated)
    encrypting.start()
    try:
        message = refused("KMS.NotFoundException", s3.get_object, Bucket=bucket, Key="key-2")
        assert "key-2" in message
        assert s3.head_object(Bucket=bucket, Key="key-2")["SSEKMSKeyId"] == "key-2"
        assert s3.get_object(Bucket=bucket, Key="key-1")["Body"].read() == b"data"
    finally:
        encrypting.terminate()
        encrypting.keyring.write_text(kept + rotated)
        encrypting.start()
    assert s3.get_object(Bucket=bucket, Key="key-2")["Body"].read() == b"data"


def test_without_a_keyring_nothing_claims_to_be_encrypted(server, connect, bucket_name):
    s3 = connect()
    s3.create_bucket(Bucket=bucket_name)
    put = {"Bucket": bucket_name, "Key": "k", "Body": b"data"}
    assert "ServerSideEncryption" not in s3.put_object(**put)
    refused("ServerSideEncryptionConfigurationNotFoundError", s3.get_bucket_encryption, Bucket=bucket_name)
    message = refused("NotImplemented", s3.put_object, **put, ServerSideEncryption="AES256")
    assert "keyring" in message
    message = refused("InvalidRequest", s3.put_object, **put, **by_customer())
    assert "secure connection" in message


def test_customers_keys_over_tls(tls, server, bucket_name):
    endpoint, certificate = tls
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, verify=str(certificate), region_name="us-east-1", config=config,
        aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
    )  # fmt: skip
    s3.create_bucket(Bucket=bucket_name)
    place = {"Bucket": bucket_name, "Key": "k"}
    s3.put_object(**place, Body=b"data", **by_customer())
    assert s3.get_object(**place, **by_customer())["Body"].read() == b"data"
