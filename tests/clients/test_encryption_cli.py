"""Encryption through the AWS CLI: every way of it with every way to write and read; then a search of everything on the
disk for what was encrypted, and for keys.
"""

import base64
import hashlib
import json
import os
import pathlib
import secrets

import boto3
import botocore.config
import pytest
import urllib3
from server_process import ServerProcess

KIB, MIB = 1024, 1024 * 1024
FRAME = 64 * KIB
# The CLI takes a customer's key as text.
CUSTOMER = secrets.token_hex(16)
# Found on the disk these would be plaintext, and what lies there in the clear.
MARK, CLEAR = (f"cairn-{word}-{secrets.token_hex(16)}-".encode() for word in ("sealed", "clear"))

CUSTOMER_KEY = ("--sse-customer-algorithm", "AES256", "--sse-customer-key", CUSTOMER)
# What `aws s3api` says to write, what to read, and what `aws s3 cp` says for both.
MODES = {
    "s3": (("--server-side-encryption", "AES256"), (), ("--sse", "AES256"), ()),
    "kms": (
        ("--server-side-encryption", "aws:kms", "--ssekms-key-id", "key-1"),
        (),
        ("--sse", "aws:kms", "--sse-kms-key-id", "key-1"),
        (),
    ),
    "customer": (CUSTOMER_KEY, CUSTOMER_KEY, *[("--sse-c", "AES256", "--sse-c-key", CUSTOMER)] * 2),
}


def body_of(size, mark=MARK):
    return (mark * (size // len(mark) + 1))[:size]


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory):
    """A server with a keyring and a tier; before it had them, it stored two objects in the clear."""
    folder = tmp_path_factory.mktemp("encrypting-cli")
    keyring, config, tier = folder / "keyring", folder / "config.toml", folder / "tier"
    names = ("sse-s3", "aws/s3", "key-1")
    keyring.write_text("".join(f"{name} 1 {base64.b64encode(os.urandom(32)).decode()}\n" for name in names))
    keyring.chmod(0o600)
    tier.mkdir()
    config.write_text("")
    with ServerProcess(folder / "data", folder / "server.log", config=config) as process:
        s3 = client(process)
        s3.create_bucket(Bucket="clear")
        for size in (KIB, 300 * KIB):
            s3.put_object(Bucket="clear", Key=str(size), Body=body_of(size, CLEAR))
        config.write_text(
            f'[encryption]\nkeyring_file = "{keyring}"\ncustomer_keys_without_tls = true\n'
            f'[[tier]]\nname = "disk"\nkind = "directory"\npath = "{tier}"\n'
            'storage_classes = ["STANDARD_IA"]\nwrite = "through"\n'
        )
        process.terminate()
        process.start()
        process.keyring, process.tier = keyring, tier
        yield process


def client(process):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4"
    )
    keys = {"aws_access_key_id": process.access_key_id, "aws_secret_access_key": process.secret_access_key}
    return boto3.client("s3", endpoint_url=process.endpoint, region_name="us-east-1", config=config, **keys)


@pytest.fixture
def aws(run, encrypting, tmp_path):
    """aws("s3", "ls") -> what it prints; aws("s3api", …) -> what that says."""
    settings = tmp_path / "aws-config"
    settings.write_text("[default]\ns3 =\n  signature_version = s3v4\n  addressing_style = path\n")
    extra = {
        "AWS_ENDPOINT_URL_S3": encrypting.endpoint,
        "AWS_ACCESS_KEY_ID": encrypting.access_key_id,
        "AWS_SECRET_ACCESS_KEY": encrypting.secret_access_key,
        "AWS_CONFIG_FILE": str(settings),
    }

    def call(service, *arguments, **options):
        output = run("aws", service, *arguments, extra=extra, **options)
        return output if service == "s3" or options.get("code") else json.loads(output or "{}")

    return call


@pytest.fixture
def bucket(encrypting, bucket_name):
    client(encrypting).create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def file(tmp_path):
    """file(body) -> a file that holds it."""

    def write(body, name="body"):
        path = tmp_path / name
        path.write_bytes(body)
        return path

    return write


def shows(answer, mode):
    """Whether an answer says how the object is encrypted."""
    said = {name: answer.get(name) for name in ("ServerSideEncryption", "SSEKMSKeyId", "SSECustomerAlgorithm")}
    wanted = {"s3": ("AES256", None, None), "kms": ("aws:kms", "key-1", None), "customer": (None, None, "AES256")}
    assert tuple(said.values()) == wanted[mode], said


def place(bucket, key="k"):
    return ("--bucket", bucket, "--key", key)


@pytest.mark.parametrize("mode", MODES)
def test_puts_ranges_and_versions(aws, bucket, file, tmp_path, mode):
    write, read, _, _ = MODES[mode]
    aws("s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    bodies = [body_of(3 * KIB), body_of(3 * FRAME + 5)]
    versions = []
    for body in bodies:
        written = aws("s3api", "put-object", *place(bucket), "--body", file(body), *write)
        shows(written, mode)
        versions.append(written["VersionId"])
    shows(aws("s3api", "head-object", *place(bucket), *read), mode)
    got = tmp_path / "got"
    for version, body in zip(versions, bodies, strict=True):
        answer = aws("s3api", "get-object", *place(bucket), "--version-id", version, *read, got)
        shows(answer, mode)
        assert got.read_bytes() == body
    first, last = FRAME - 1, 2 * FRAME
    answer = aws("s3api", "get-object", *place(bucket), "--range", f"bytes={first}-{last}", *read, got)
    assert got.read_bytes() == bodies[1][first : last + 1]
    assert answer["ContentRange"] == f"bytes {first}-{last}/{len(bodies[1])}"
    if mode == "customer":
        assert "(400)" in aws("s3api", "head-object", *place(bucket), code=255)
        wrong = ("--sse-customer-algorithm", "AES256", "--sse-customer-key", CUSTOMER[::-1])
        assert "(InvalidRequest)" in aws("s3api", "get-object", *place(bucket), *wrong, got, code=255)


@pytest.mark.parametrize("mode", MODES)
def test_parts_and_tiers(aws, encrypting, bucket, file, tmp_path, mode):
    _, read, write_file, read_file = MODES[mode]
    body = body_of(8 * MIB + FRAME + 1)
    # More than 8 MiB: the CLI makes two parts of it.
    aws("s3", "cp", "--quiet", file(body), f"s3://{bucket}/parts", *write_file)
    got = tmp_path / "got"
    answer = aws("s3api", "get-object", *place(bucket, "parts"), "--part-number", "2", *read, got)
    shows(answer, mode)
    assert answer["PartsCount"] == 2 and got.read_bytes() == body[8 * MIB :]
    aws("s3", "cp", "--quiet", f"s3://{bucket}/parts", got, *read_file)
    assert got.read_bytes() == body

    before = tiered(encrypting)
    small = body_of(FRAME + 7)
    aws("s3", "cp", "--quiet", file(small), f"s3://{bucket}/tiered", *write_file, "--storage-class", "STANDARD_IA")
    assert tiered(encrypting) > before
    answer = aws("s3api", "get-object", *place(bucket, "tiered"), *read, got)
    shows(answer, mode)
    assert (answer["StorageClass"], got.read_bytes()) == ("STANDARD_IA", small)


def tiered(process):
    """Bytes in the tier."""
    return sum(path.stat().st_size for path in process.tier.rglob("*") if path.is_file())


@pytest.mark.parametrize("source", MODES)
def test_copies_to_each_mode(aws, bucket, file, tmp_path, source):
    body = body_of(FRAME + 100)
    aws("s3", "cp", "--quiet", file(body), f"s3://{bucket}/from", *MODES[source][2])
    brought = ("--copy-source-sse-customer-algorithm", "AES256", "--copy-source-sse-customer-key", CUSTOMER)
    brought = brought if source == "customer" else ()
    got = tmp_path / "got"
    for target, (write, read, _, _) in MODES.items():
        copy = ("copy-object", *place(bucket, target), "--copy-source", f"{bucket}/from")
        shows(aws("s3api", *copy, *write, *brought), target)
        shows(aws("s3api", "get-object", *place(bucket, target), *read, got), target)
        assert got.read_bytes() == body
    if source == "customer":
        assert "(InvalidRequest)" in aws("s3api", *copy, *MODES["s3"][0], code=255)


@pytest.mark.parametrize("mode", MODES)
def test_presigned(aws, encrypting, bucket, file, mode):
    write = {
        "s3": {"ServerSideEncryption": "AES256"},
        "kms": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"},
        "customer": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER},
    }[mode]
    digest = base64.b64encode(hashlib.md5(CUSTOMER.encode()).digest()).decode()
    name = "x-amz-server-side-encryption"
    of_customer = {
        f"{name}-customer-algorithm": "AES256",
        f"{name}-customer-key": base64.b64encode(CUSTOMER.encode()).decode(),
        f"{name}-customer-key-md5": digest,
    }
    headers = {
        "s3": {name: "AES256"},
        "kms": {name: "aws:kms", f"{name}-aws-kms-key-id": "key-1"},
        "customer": of_customer,
    }[mode]
    s3, params, body = client(encrypting), {"Bucket": bucket, "Key": "k"}, body_of(FRAME + 1)
    with urllib3.PoolManager(retries=False) as pool:
        # The CLI presigns reads only.
        url = s3.generate_presigned_url("put_object", Params=params | write)
        answer = pool.request("PUT", url, body=body, headers=headers)
        assert answer.status == 200, answer.data
        url = aws("s3", "presign", f"s3://{bucket}/k").strip()
        answer = pool.request("GET", url)
        if mode == "customer":
            # Nor can it sign the headers that bring a customer's key.
            assert answer.status == 400 and b"<Code>InvalidRequest</Code>" in answer.data
            url = s3.generate_presigned_url("get_object", Params=params | write)
            answer = pool.request("GET", url, headers=of_customer)
            assert answer.headers[f"{name}-customer-key-md5"] == digest
        else:
            assert answer.headers[name] == headers[name]
        assert (answer.status, answer.data) == (200, body)


def test_no_plaintext_and_no_key_is_on_the_disk(aws, encrypting, bucket, file):
    for mode, (_, _, write_file, _) in MODES.items():
        for size in (KIB, 300 * KIB):
            aws("s3", "cp", "--quiet", file(body_of(size)), f"s3://{bucket}/{CLEAR.decode()}{mode}-{size}", *write_file)
    lines = encrypting.keyring.read_text().splitlines()
    keys = [CUSTOMER.encode()] + [base64.b64decode(line.split()[2]) for line in lines]
    # Nor anything that a customer's key alone gives.
    keys += [hashlib.md5(keys[0]).digest()]
    sealed = [MARK] + [form for key in keys for form in (key, base64.b64encode(key), key.hex().encode())]
    # Killed, the index's newest rows are in its log; ended, in its tables.
    for end in (encrypting.kill9, encrypting.terminate):
        end()
        seen = {"index": 0, "segment": 0}
        for path in files(encrypting):
            content = path.read_bytes()
            assert not [text for text in sealed if text in content], path
            kind = "segment" if path.name.startswith("segment-") else "index"
            seen[kind] += CLEAR in content
        # The search finds what is there in the clear: an object of before the keyring, and the keys of objects.
        assert seen["index"] and seen["segment"], seen
        log = encrypting.log.read_bytes()
        assert not [text for text in sealed if text in log]
        encrypting.start()
    s3 = client(encrypting)
    assert s3.get_object(Bucket="clear", Key=str(300 * KIB))["Body"].read() == body_of(300 * KIB, CLEAR)
    assert s3.get_object(Bucket=bucket, Key=f"{CLEAR.decode()}kms-{KIB}")["Body"].read() == body_of(KIB)


def files(process):
    """Every file of the server: of its data directory and of its tier, in no order."""
    roots = [pathlib.Path(process.data[0]), process.tier]
    found = [path for root in roots for path in root.rglob("*") if path.is_file()]
    assert len({path.parent for path in found}) > 2
    return found
