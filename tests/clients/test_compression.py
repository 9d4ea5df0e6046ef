"""Compression: by the server's configuration and for a bucket, of what shrinks; ranges, restarts, other codecs, the doctor."""

import os
import random
import re
import subprocess
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest
import urllib3
from server_process import ServerProcess, binary
from test_lifecycle import wait_until

MIB = 1 << 20


def text(random_, length):
    words = [random_.randbytes(random_.randint(3, 9)) for _ in range(500)]
    return b" ".join(random_.choice(words) for _ in range(length // 5))[:length]


class Server:
    """A server of our own, whose figures are those of the test alone."""

    def __init__(self, folder):
        self.folder, self.process = folder, None

    def start(self, *arguments, env=None):
        self.stop()
        self.process = ServerProcess(self.folder / "data", self.folder / "server.log", extra_args=arguments, env=env)
        self.process.start()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.process.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.process.access_key_id,
            aws_secret_access_key=self.process.secret_access_key,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )
        return self.client

    def stop(self):
        if self.process is not None:
            self.process.stop()

    def figures(self):
        """Bytes of chunks written since the start: before and after compression."""
        with urllib.request.urlopen(f"{self.process.ops_endpoint}/metrics") as answer:
            lines = answer.read().decode()
        of = lambda name: int(float(re.search(rf"^chunks_{name}_bytes_total (\S+)$", lines, re.MULTILINE)[1]))  # noqa: E731
        return of("plain"), of("stored")

    def cairn(self, *arguments):
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": self.process.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.process.secret_access_key,
        }
        command = [binary(), *arguments, "--endpoint", self.process.endpoint]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def server_of_our_own(tmp_path):
    server = Server(tmp_path)
    yield server
    server.stop()


def growth(server, do):
    before = server.figures()
    do()
    return tuple(after - was for was, after in zip(before, server.figures(), strict=True))


def is_whole(s3, bodies, random_):
    for (bucket, key), (body, options) in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read() == body, key
        for _ in range(8):
            start = random_.randrange(len(body))
            end = min(len(body), start + random_.choice([1, 1000, 70_000, MIB])) - 1
            part = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}", **options)["Body"].read()
            assert part == body[start : end + 1], (key, start, end)


def test_what_shrinks_is_compressed_and_everything_is_read_back(server_of_our_own, seed):
    random_ = random.Random(seed)
    server = server_of_our_own
    s3 = server.start("--compression", "lz4")
    bodies = {}

    def put(bucket, key, body, **options):
        bodies[bucket, key] = (body, options)
        return growth(server, lambda: s3.put_object(Bucket=bucket, Key=key, Body=body, **options))

    s3.create_bucket(Bucket="as-configured")
    s3.create_bucket(Bucket="own-setting")
    plain, stored = put("as-configured", "text", text(random_, 3 * MIB + 5))
    assert plain == 3 * MIB + 5 and stored < 0.8 * plain, (plain, stored)
    plain, stored = put("as-configured", "noise", random_.randbytes(2 * MIB))
    assert plain == stored == 2 * MIB

    shown = server.cairn("bucket", "storage", "get", "s3://own-setting")
    assert shown == "s3://own-setting\n  compression lz4, the server's default\n  chunking    fixed, the server's default\n"
    shown = server.cairn("bucket", "storage", "set", "s3://own-setting", "--compression", "zstd")
    assert shown == "s3://own-setting\n  compression zstd\n  chunking    fixed, the server's default\n"
    same = text(random_, 2 * MIB)
    plain, zstd = put("own-setting", "text", same)
    # The same bytes are there already, whatever they are compressed with.
    assert put("as-configured", "same", same) == (0, 0)
    plain, lz4 = put("as-configured", "other", same[1:])
    assert zstd < 0.9 * lz4 < 0.9 * plain, (zstd, lz4, plain)

    upload = s3.create_multipart_upload(Bucket="own-setting", Key="parts")["UploadId"]
    parts, of_parts = [], {"Bucket": "own-setting", "Key": "parts", "UploadId": upload}
    pieces = [text(random_, 5 * MIB), random_.randbytes(5 * MIB), text(random_, 100_000)]

    def upload_all():
        for number, piece in enumerate(pieces, 1):
            etag = s3.upload_part(**of_parts, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})

    plain, stored = growth(server, upload_all)
    assert plain == sum(map(len, pieces)) and 5 * MIB < stored < 8 * MIB, (plain, stored)
    s3.complete_multipart_upload(**of_parts, MultipartUpload={"Parts": parts})
    bodies["own-setting", "parts"] = (b"".join(pieces), {})
    is_whole(s3, bodies, random_)

    # The setting of the bucket outlives restarts; what is stored is read whatever the setting is.
    s3 = server.start("--compression", "none")
    is_whole(s3, bodies, random_)
    plain, stored = put("own-setting", "after", text(random_, MIB))
    assert stored < 0.8 * plain
    assert "none, the server's default\n" in server.cairn("bucket", "storage", "clear", "own-setting")
    plain, stored = put("own-setting", "plain", text(random_, MIB))
    assert plain == stored == MIB
    is_whole(s3, bodies, random_)

    # A stream that is sealed never shrinks.
    keyring = {"CAIRN_ENCRYPTION_KEYRING_FILE": str(server.folder / "keyring"), "CAIRN_ENCRYPTION_CREATE_KEYRING": "true"}
    s3 = server.start("--compression", "lz4", env=keyring)
    plain, stored = put("as-configured", "sealed", text(random_, MIB))
    assert s3.head_object(Bucket="as-configured", Key="sealed")["ServerSideEncryption"] == "AES256"
    assert plain == stored > MIB
    is_whole(s3, bodies, random_)
    server.stop()
    doctor = subprocess.run([binary(), "doctor", "--data", server.folder / "data", "--read"], capture_output=True, text=True)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_wrong_settings_are_refused(server_of_our_own):
    server = server_of_our_own
    server.start().create_bucket(Bucket="bucket")
    for arguments in (("--compression", "gzip"), ("--chunking", "rabin"), ()):
        with pytest.raises(subprocess.CalledProcessError) as refused:
            server.cairn("bucket", "storage", "set", "bucket", *arguments)
        assert (arguments or ["--compression"])[0] in refused.value.stderr


def test_a_tier_keeps_compressed_blocks(tmp_path, server_of_our_own, seed):
    random_ = random.Random(seed)
    server, disk, config = server_of_our_own, tmp_path / "disk", tmp_path / "cairn.toml"
    disk.mkdir()

    def start(codec):
        tier = f'name = "disk"\nstorage_classes = ["STANDARD_IA"]\nwrite = "through"\ncompression = "{codec}"\n'
        config.write_text(f'[[tier]]\n{tier}kind = "directory"\npath = "{disk}"\n')
        return server.start("--config", str(config))

    files = lambda: {path.name: path.stat().st_size for path in disk.glob("??/*")}  # noqa: E731
    bodies = {("bucket", "text"): (text(random_, 3 * MIB + 77), {}), ("bucket", "noise"): (random_.randbytes(MIB), {})}
    s3 = start("zstd")
    s3.create_bucket(Bucket="bucket")
    for (bucket, key), (body, _) in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, StorageClass="STANDARD_IA")
    sizes = {name.endswith(".blocks"): size for name, size in files().items()}
    assert sizes[False] == MIB and sizes[True] < 2 * MIB, files()
    is_whole(s3, bodies, random_)

    s3 = start("none")
    is_whole(s3, bodies, random_)
    bodies["bucket", "plain"] = (text(random_, MIB), {})
    s3.put_object(Bucket="bucket", Key="plain", Body=bodies["bucket", "plain"][0], StorageClass="STANDARD_IA")
    assert len(files()) == 3 and sum(name.endswith(".blocks") for name in files()) == 1, files()
    s3 = start("lz4")
    is_whole(s3, bodies, random_)
    # A flipped bit of a block is found.
    (compressed,) = disk.glob("??/*.blocks")
    damaged = bytearray(compressed.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    compressed.write_bytes(damaged)
    with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError, urllib3.exceptions.HTTPError)):
        s3.get_object(Bucket="bucket", Key="text")["Body"].read()
    for bucket, key in bodies:
        s3.delete_object(Bucket=bucket, Key=key)
    wait_until(lambda: not files())


def test_shifted_data_is_shared_in_buckets_that_ask_for_it(server_of_our_own, seed):
    random_ = random.Random(seed)
    server = server_of_our_own
    s3 = server.start()
    body = random_.randbytes(8 * MIB)
    shifted = body[:MIB] + b"something inserted" + body[MIB:]
    bodies = {}

    def figures(bucket):
        lines = server.cairn("bucket", "sharing", bucket).splitlines()
        return {name: int(bytes_) for name, bytes_, *_ in (line.split() for line in lines[1:])}

    # In this order: chunks are shared by all buckets.
    for bucket, least, most in (("fastcdc", 0, 2 * MIB), ("fixed", 7 * MIB, 9 * MIB)):
        s3.create_bucket(Bucket=bucket)
        server.cairn("bucket", "storage", "set", bucket, "--chunking", bucket)
        for key, bytes_ in (("a", body), ("b", shifted)):
            s3.put_object(Bucket=bucket, Key=key, Body=bytes_)
            bodies[bucket, key] = (bytes_, {})
        shown = figures(bucket)
        assert shown["logical"] == len(body) + len(shifted) and shown["remote"] == 0
        assert least < shown["unique"] - len(body) < most, shown
        assert shown["unique"] < shown["stored"] < 1.02 * shown["unique"], shown
    is_whole(s3, bodies, random_)
    is_whole(server.start(), bodies, random_)
