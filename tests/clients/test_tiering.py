"""Storage tiers: a server whose classes go to a second server (GLACIER), to a directory (STANDARD_IA) and to Azurite
(GLACIER_IR). Its days last two seconds."""

import contextlib
import hashlib
import json
import pathlib
import random
import subprocess
import time
import urllib.error

import boto3
import botocore.config
import botocore.exceptions
import pytest
from server_process import ServerProcess, binary, free_port
from test_lifecycle import Scaled, put_rules, wait_until

DAY = 2
DEADLINE = 40
JS = pathlib.Path(__file__).parent / "js"
AZURE_ACCOUNT = "devstoreaccount1"
# The key of every Azurite, which its documentation prints. It guards nothing.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def client_of(server, **options):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=32, **options
    )
    session = boto3.Session(server.access_key_id, server.secret_access_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=server.endpoint, config=config)


def remote_keys(remote, bucket="cold"):
    pages = client_of(remote).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


@contextlib.contextmanager
def azurite(folder):
    """The port of an Azurite with a container "cold"."""
    program = JS / "node_modules/azurite/dist/src/blob/main.js"
    assert program.exists(), f"run `npm ci` in {JS}, or `make test-clients`"
    port = free_port()
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent"]
    arguments += ["--skipApiVersionCheck", "--disableTelemetry"]
    with (folder / "azurite.log").open("wb") as log:
        process = subprocess.Popen(["node", str(program), *arguments], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.kill()
        process.wait(10)


def make_container(port):
    """Creates the container by a request that is signed with the shared key."""
    import base64
    import datetime
    import hmac
    import urllib.request

    date = datetime.datetime.now(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = f"x-ms-date:{date}\nx-ms-version:2023-11-03\n"
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/cold\nrestype:container"
    text = "PUT" + "\n" * 12 + headers + resource
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}/cold?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": "2023-11-03",
            "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
            "Content-Length": "0",
        },
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return direct.open(request, timeout=10).status == 201
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read()[:500]}") from error
    except OSError:
        return False


def configuration(folder, remote, azure_port, **changed):
    """The file of a server with three tiers."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    values = {"access_key_id": remote.access_key_id, "secret": remote.secret_access_key} | changed
    path = folder / "cairn.toml"
    path.write_text(
        f"""
[[event_target]]
name = "log"
kind = "file"
path = "{folder}/events.jsonl"

[[tier]]
name = "cloud"
storage_classes = ["GLACIER", "DEEP_ARCHIVE"]
access = "archive"
kind = "s3"
endpoint = "{remote.endpoint}"
bucket = "cold"
prefix = "from/here"
access_key_id = "{values['access_key_id']}"
secret_access_key = "{values['secret']}"

[[tier]]
name = "disk"
storage_classes = ["STANDARD_IA"]
write = "through"
compression = "zstd"
kind = "directory"
path = "{disk}"

[[tier]]
name = "other"
storage_classes = ["ONEZONE_IA"]
compression = "lz4"
kind = "s3"
endpoint = "{remote.endpoint}"
bucket = "other"
access_key_id = "{values['access_key_id']}"
secret_access_key = "{values['secret']}"
"""
        + (
            f"""
[[tier]]
name = "azure"
storage_classes = ["GLACIER_IR"]
kind = "azure"
endpoint = "http://127.0.0.1:{azure_port}/{AZURE_ACCOUNT}"
account = "{AZURE_ACCOUNT}"
account_key = "{AZURE_KEY}"
container = "cold"
"""
            if azure_port
            else ""
        )
    )
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    with ServerProcess(folder / "data", folder / "server.log") as process:
        for name in ("cold", "other"):
            client_of(process).create_bucket(Bucket=name)
        yield process


@pytest.fixture(scope="module")
def azure_port(tmp_path_factory):
    with azurite(tmp_path_factory.mktemp("azurite")) as port:
        wait_until(lambda: make_container(port))
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory, remote, azure_port):
    folder = tmp_path_factory.mktemp("tiered")
    scale = ("--lifecycle-day-seconds", str(DAY))
    config = configuration(folder, remote, azure_port)
    with Scaled(folder / "data", folder / "server.log", config=config, extra_args=scale) as process:
        process.folder = folder
        yield process


@pytest.fixture
def status(run, server):
    """status() -> what `cairn lifecycle status` says of the tiers."""

    def call():
        extra = {"AWS_ENDPOINT_URL": server.endpoint}
        return json.loads(run(binary(), "lifecycle", "status", "--json", extra=extra))["tiers"]

    return call


def head(s3, bucket, key):
    return s3.head_object(Bucket=bucket, Key=key)


def code_of(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response


def in_directory(server):
    return {path.name for path in (server.folder / "disk").glob("??/*")}


def check_reads(s3, bucket, key, body, draw, **arguments):
    """The whole, and ranges of it."""
    assert s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read() == body
    for _ in range(3):
        start = draw.randrange(len(body))
        end = draw.randrange(start, len(body))
        part = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}", **arguments)["Body"].read()
        assert part == body[start : end + 1], (start, end)


def test_an_archived_object_is_restored_and_expires_again(s3, server, remote, bucket, seed):
    draw = random.Random(seed)
    before = remote_keys(remote)
    body = draw.randbytes(3_000_000)
    s3.put_object(Bucket=bucket, Key="k", Body=body, StorageClass="GLACIER")
    assert head(s3, bucket, "k")["StorageClass"] == "GLACIER"
    wait_until(lambda: remote_keys(remote) - before)
    code, answer = code_of(s3.get_object, Bucket=bucket, Key="k")
    assert (code, answer["Error"]["StorageClass"]) == ("InvalidObjectState", "GLACIER")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    source = {"Bucket": bucket, "Key": "k"}
    assert code_of(s3.copy_object, Bucket=bucket, Key="copy", CopySource=source)[0] == "InvalidObjectState"
    asked = {"Days": 3, "GlacierJobParameters": {"Tier": "Standard"}}
    begun = s3.restore_object(Bucket=bucket, Key="k", RestoreRequest=asked)
    assert begun["ResponseMetadata"]["HTTPStatusCode"] == 202
    wait_until(lambda: 'ongoing-request="false"' in head(s3, bucket, "k")["Restore"])
    assert "expiry-date=" in head(s3, bucket, "k")["Restore"]
    check_reads(s3, bucket, "k", body, draw)
    again = s3.restore_object(Bucket=bucket, Key="k", RestoreRequest=asked)
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 200
    listed = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
    assert listed["RestoreStatus"]["IsRestoreInProgress"] is False and listed["StorageClass"] == "GLACIER"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    wait_until(lambda: "Restore" not in head(s3, bucket, "k"))
    assert code_of(s3.get_object, Bucket=bucket, Key="k")[0] == "InvalidObjectState"
    s3.delete_object(Bucket=bucket, Key="k")
    wait_until(lambda: remote_keys(remote) == before)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


def test_what_is_not_archived_is_not_restored(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    request = {"Days": 1}
    code, answer = code_of(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest=request)
    assert (code, answer["ResponseMetadata"]["HTTPStatusCode"]) == ("InvalidObjectState", 403)
    assert code_of(s3.restore_object, Bucket=bucket, Key="none", RestoreRequest=request)[0] == "NoSuchKey"
    s3.put_object(Bucket=bucket, Key="small", Body=b"x", StorageClass="GLACIER")
    assert code_of(s3.restore_object, Bucket=bucket, Key="small", RestoreRequest={"Days": 0})[0] == "InvalidArgument"
    s3.restore_object(Bucket=bucket, Key="small", RestoreRequest={"Days": 100})
    wait_until(lambda: 'ongoing-request="false"' in head(s3, bucket, "small")["Restore"])
    assert s3.get_object(Bucket=bucket, Key="small")["Body"].read() == b"x"


@pytest.mark.parametrize("storage_class", ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"])
def test_instant_tiers_are_read_through(s3, server, remote, bucket, status, seed, storage_class):
    draw = random.Random(seed)
    tier = {"STANDARD_IA": "disk", "ONEZONE_IA": "other", "GLACIER_IR": "azure"}[storage_class]
    moved = status()[tier]["moved"]
    bodies = {f"k{size}": draw.randbytes(size) for size in (5_000, 70_000, 1_100_000, 21_000_000)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, StorageClass=storage_class)
    # Two of the tiers compress it.
    bodies["text"] = b" ".join(str(draw.randrange(10**6)).encode() for _ in range(3_000_000))
    s3.put_object(Bucket=bucket, Key="text", Body=bodies["text"], StorageClass=storage_class)
    parts = [draw.randbytes(6 << 20), draw.randbytes(5 << 20), draw.randbytes(100)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", StorageClass=storage_class)["UploadId"]
    name = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    tags = [
        {"PartNumber": n, "ETag": s3.upload_part(**name, PartNumber=n, Body=part)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": tags})
    bodies["parts"] = b"".join(parts)
    wait_until(lambda: status()[tier]["moved"] == moved + len(bodies))
    for key, body in bodies.items():
        check_reads(s3, bucket, key, body, draw)
    part = s3.get_object(Bucket=bucket, Key="parts", PartNumber=2)
    assert part["PartsCount"] == 3 and part["Body"].read() == parts[1]
    # A copy of the same class is a reference; one of another class comes back.
    source = {"Bucket": bucket, "Key": "k1100000"}
    s3.copy_object(Bucket=bucket, Key="same", CopySource=source, StorageClass=storage_class)
    s3.copy_object(Bucket=bucket, Key="here", CopySource=source)
    s3.delete_object(Bucket=bucket, Key="k1100000")
    for key in ("same", "here"):
        check_reads(s3, bucket, key, bodies["k1100000"], draw)
    for key in [*bodies, "same", "here"]:
        s3.delete_object(Bucket=bucket, Key=key)
    if tier == "disk":
        wait_until(lambda: not in_directory(server))
    elif tier == "other":
        wait_until(lambda: not remote_keys(remote, "other"))
    else:
        wait_until(lambda: status()[tier]["released"] >= len(bodies))


def test_equal_data_is_in_a_tier_once(s3, server, remote, bucket, status, seed):
    body = random.Random(seed).randbytes(200_000)
    before, moved = remote_keys(remote), status()["cloud"]["moved"]
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"k{number}", Body=body, StorageClass="GLACIER")
    wait_until(lambda: status()["cloud"]["moved"] == moved + 3)
    assert len(remote_keys(remote) - before) == 1
    s3.delete_object(Bucket=bucket, Key="k0")
    s3.put_object(Bucket=bucket, Key="k1", Body=b"overwritten")
    s3.restore_object(Bucket=bucket, Key="k2", RestoreRequest={"Days": 20})
    wait_until(lambda: 'ongoing-request="false"' in head(s3, bucket, "k2")["Restore"])
    assert s3.get_object(Bucket=bucket, Key="k2")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key="k2")
    wait_until(lambda: remote_keys(remote) == before)


def test_rules_move_versions(s3, server, remote, bucket, status, run, seed):
    draw = random.Random(seed)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old, new, small = draw.randbytes(300_000), draw.randbytes(200_000), draw.randbytes(1_000)
    first = s3.put_object(Bucket=bucket, Key="k", Body=old)
    s3.put_object(Bucket=bucket, Key="k", Body=new, Metadata={"a": "b"})
    s3.put_object(Bucket=bucket, Key="small", Body=small)
    tag = head(s3, bucket, "k")["ETag"]
    put_rules(
        s3,
        bucket,
        {
            "ID": "move",
            "Filter": {"Prefix": ""},
            "Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}, {"Days": 4, "StorageClass": "GLACIER"}],
            "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER"}],
        },
    )
    extra = {"AWS_ENDPOINT_URL": server.endpoint}
    told = json.loads(run(binary(), "lifecycle", "explain", f"s3://{bucket}/k", "--json", extra=extra))
    assert told["versions"][0]["next"]["action"] == "transition to GLACIER_IR"
    wait_until(lambda: head(s3, bucket, "k").get("StorageClass") == "GLACIER_IR")
    check_reads(s3, bucket, "k", new, draw)
    wait_until(lambda: head(s3, bucket, "k").get("StorageClass") == "GLACIER")
    version = first["VersionId"]
    wait_until(lambda: s3.head_object(Bucket=bucket, Key="k", VersionId=version).get("StorageClass") == "GLACIER")
    seen = head(s3, bucket, "k")
    assert (seen["ETag"], seen["Metadata"]) == (tag, {"a": "b"})
    assert code_of(s3.get_object, Bucket=bucket, Key="k", VersionId=version)[0] == "InvalidObjectState"
    # Below 128 KiB nothing moves, unless a rule's filter says so.
    assert "StorageClass" not in head(s3, bucket, "small")
    s3.restore_object(Bucket=bucket, Key="k", VersionId=version, RestoreRequest={"Days": 30})
    wait_until(lambda: "false" in s3.head_object(Bucket=bucket, Key="k", VersionId=version)["Restore"])
    check_reads(s3, bucket, "k", old, draw, VersionId=version)


def random_rule(draw, number):
    conditions = {"Prefix": draw.choice(["", "a", "a/", "b/"])}
    if draw.random() < 0.6:
        conditions["ObjectSizeGreaterThan"] = draw.choice([0, 50, 10_000])
    rule = {"ID": f"rule-{number}", "Status": draw.choice(["Enabled", "Enabled", "Enabled", "Disabled"])}
    rule["Filter"] = {"And": conditions} if len(conditions) > 1 else conditions
    first = draw.choice([2, 3])
    moves = draw.sample(["GLACIER_IR", "GLACIER"], draw.choice([1, 2]))
    moves.sort(key=["GLACIER_IR", "GLACIER"].index)
    rule["Transitions"] = [{"Days": first + 2 * index, "StorageClass": name} for index, name in enumerate(moves)]
    if draw.random() < 0.4:
        rule["Expiration"] = {"Days": first + 2 * len(moves)}
    return rule


def test_what_is_explained_and_previewed_is_what_happens(s3, server, bucket, run, tmp_path, seed):
    """Of each object, the first thing that happens is what `explain` said, and nothing where it said nothing."""
    draw = random.Random(seed)
    extra = {"AWS_ENDPOINT_URL": server.endpoint}

    def told(command, *arguments):
        return json.loads(run(binary(), "lifecycle", command, *arguments, "--json", extra=extra))

    names = [f"{prefix}{number}" for prefix in ("a", "a/", "b/", "c") for number in range(4)]
    for key in names:
        s3.put_object(Bucket=bucket, Key=key, Body=draw.randbytes(draw.choice([10, 9_000, 140_000])))
    rules = [random_rule(draw, number) for number in range(draw.choice([1, 2, 4]))]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"Rules": rules}))
    preview = told("preview", f"s3://{bucket}", "--rules", str(file))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    (fates,) = [{key: told("explain", f"s3://{bucket}/{key}")["versions"][0]["next"] for key in names}]
    planned = sum(plan["now"]["count"] + plan["later"]["count"] for plan in preview["planned"])
    assert planned == sum(1 for fate in fates.values() if fate), (seed, rules)
    happened = {}

    def look():
        there = {
            entry["Key"]: entry["StorageClass"]
            for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        }
        for key in names:
            seen = there.get(key)
            if seen != "STANDARD":
                happened.setdefault(key, f"transition to {seen}" if seen else "expire")
        return there

    # Longer than the last of any rule's days.
    end = time.monotonic() + 9 * DAY
    while time.monotonic() < end and len(happened) < sum(1 for fate in fates.values() if fate):
        look()
        time.sleep(0.1)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        look()
        time.sleep(0.1)
    assert happened == {key: fate["action"] for key, fate in fates.items() if fate}, (seed, rules)


def test_transitions_and_restorations_are_told(s3, server, bucket, seed):
    rule = {
        "Id": "all",
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:log",
        "Events": ["s3:LifecycleTransition", "s3:ObjectRestore:*"],
    }
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    s3.put_object(Bucket=bucket, Key="k", Body=random.Random(seed).randbytes(140_000))
    put_rules(s3, bucket, {"ID": "r", "Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]})

    def events():
        lines = (server.folder / "events.jsonl").read_text().splitlines()
        records = [record for line in lines for record in json.loads(line).get("Records", [])]
        return [record for record in records if record["s3"]["bucket"]["name"] == bucket]

    (moved,) = wait_until(events)
    assert moved["eventName"] == "LifecycleTransition"
    assert moved["lifecycleEventData"]["transitionEventData"]["destinationStorageClass"] == "GLACIER"
    s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    wait_until(lambda: len(events()) == 4)
    names = [record["eventName"] for record in events()]
    assert names[1:] == [f"ObjectRestore:{what}" for what in ("Post", "Completed", "Delete")]
    # As Amazon's do, they tell what the object is.
    about = [record["s3"]["object"] for record in events()]
    assert all(one["size"] == 140_000 and one["eTag"] and one["sequencer"] for one in about), about
    data = events()[2]["glacierEventData"]["restoreEventData"]
    assert data["lifecycleRestoreStorageClass"] == "GLACIER" and data["lifecycleRestorationExpiryTime"]


def test_a_class_without_a_tier_is_no_target(s3, bucket):
    rule = {"ID": "r", "Filter": {"Prefix": ""}, "Transitions": [{"Days": 1, "StorageClass": "INTELLIGENT_TIERING"}]}
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidStorageClass"):
        put_rules(s3, bucket, rule)


def test_locked_objects_move_and_stay_locked(s3, server, bucket_name, status, seed):
    draw = random.Random(seed)
    s3.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    body = draw.randbytes(400_000)
    locked = {"StorageClass": "STANDARD_IA", "ObjectLockLegalHoldStatus": "ON"}
    s3.put_object(Bucket=bucket_name, Key="k", Body=body, **locked)
    check_reads(s3, bucket_name, "k", body, draw)
    version = head(s3, bucket_name, "k")["VersionId"]
    assert code_of(s3.delete_object, Bucket=bucket_name, Key="k", VersionId=version)[0] == "AccessDenied"
    check_reads(s3, bucket_name, "k", body, draw)


def test_encrypted_objects_move_sealed(tmp_path, remote, seed):
    draw = random.Random(seed)
    keyring = {"CAIRN_ENCRYPTION_KEYRING_FILE": str(tmp_path / "keyring"), "CAIRN_ENCRYPTION_CREATE_KEYRING": "true"}
    config = configuration(tmp_path, remote, None)
    with ServerProcess(tmp_path / "data", tmp_path / "server.log", config=config, env=keyring) as server:
        server.folder = tmp_path
        s3 = client_of(server)
        s3.create_bucket(Bucket="sealed")
        body = b"a line that everybody knows\n" * 20_000
        s3.put_object(Bucket="sealed", Key="k", Body=body, StorageClass="STANDARD_IA")
        wait_until(lambda: in_directory(server))
        assert head(s3, "sealed", "k")["ServerSideEncryption"] == "AES256"
        assert all(b"everybody" not in path.read_bytes() for path in (tmp_path / "disk").glob("??/*"))
        check_reads(s3, "sealed", "k", body, draw)
        upload = s3.create_multipart_upload(Bucket="sealed", Key="parts", StorageClass="STANDARD_IA")["UploadId"]
        name = {"Bucket": "sealed", "Key": "parts", "UploadId": upload}
        parts = [draw.randbytes(5 << 20), draw.randbytes(70_000)]
        tags = [
            {"PartNumber": n, "ETag": s3.upload_part(**name, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        s3.complete_multipart_upload(**name, MultipartUpload={"Parts": tags})
        wait_until(lambda: len(in_directory(server)) == 3)
        check_reads(s3, "sealed", "parts", b"".join(parts), draw)


def test_a_tier_that_is_down_delays_nobody(s3, server, remote, bucket, status, seed):
    body = random.Random(seed).randbytes(150_000)
    before = remote_keys(remote)
    remote.kill9()
    try:
        for number in range(5):
            began = time.monotonic()
            s3.put_object(Bucket=bucket, Key=f"k{number}", Body=body + bytes([number]), StorageClass="ONEZONE_IA")
            assert s3.get_object(Bucket=bucket, Key=f"k{number}")["Body"].read() == body + bytes([number])
            assert time.monotonic() - began < 2
        told = wait_until(lambda: status()["other"]["failure"] and status()["other"])
        assert told["retryAt"] and told["failures"] >= 1
    finally:
        remote.start()
    wait_until(lambda: status()["other"]["failure"] is None and len(remote_keys(remote, "other")) == 5)
    for number in range(5):
        assert s3.get_object(Bucket=bucket, Key=f"k{number}")["Body"].read() == body + bytes([number])
        s3.delete_object(Bucket=bucket, Key=f"k{number}")
    wait_until(lambda: not remote_keys(remote, "other") and remote_keys(remote) == before)


def test_what_nothing_knows_of_is_deleted(s3, server, remote, status):
    name = f"{hashlib.sha256(b'stray').hexdigest()}-{'0' * 16}.0"
    far = client_of(remote)
    far.put_object(Bucket="cold", Key=f"from/here/{name}", Body=b"stray")
    far.put_object(Bucket="cold", Key="not-ours", Body=b"somebody else's")
    wait_until(lambda: f"from/here/{name}" not in remote_keys(remote), deadline=60)
    assert "not-ours" in remote_keys(remote)
    far.delete_object(Bucket="cold", Key="not-ours")
    assert status()["cloud"]["strays"] >= 1
