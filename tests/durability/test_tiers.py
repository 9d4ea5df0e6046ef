"""`kill -9` of either side while objects go to a storage tier: every object reads back right, and the tier ends up with
nothing that no object refers to.

Two servers: one with tiers, one that is the S3 behind them. In each round objects of mixed sizes are written with the
classes of tiers, overwritten, read whole and in ranges, restored and deleted; then one of the two, or both, are killed.
`CAIRN_TIER_ROUNDS` sets the rounds (3), `CAIRN_TIER_OBJECTS` the keys (240), `CAIRN_SEED` repeats what is done.
"""

import concurrent.futures
import hashlib
import json
import os
import random
import threading
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
from server_process import ServerProcess

THREADS = 8
ROUND_SECONDS = 4
CLASSES = ("GLACIER", "GLACIER", "STANDARD_IA", "STANDARD")
# Above 4 KiB: what is smaller stays in the index.
SIZES = (5_000, 20_000, 70_000, 150_000, 400_000, 1_300_000)
DEADLINE = 180
BUCKET, COLD = "warm", "cold"

CONFIG = """
[[tier]]
name = "archive"
storage_classes = ["GLACIER"]
access = "archive"
kind = "s3"
endpoint = "{endpoint}"
bucket = "cold"
prefix = "archive"
access_key_id = "{key}"
secret_access_key = "{secret}"

[[tier]]
name = "near"
storage_classes = ["STANDARD_IA"]
kind = "s3"
endpoint = "{endpoint}"
bucket = "cold"
prefix = "near"
access_key_id = "{key}"
secret_access_key = "{secret}"
"""


def body_of(number):
    """The bytes with this number: small numbers only, so that some objects are equal."""
    size = SIZES[number % len(SIZES)]
    block = hashlib.sha256(str(number).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def client_of(server):
    config = botocore.config.Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        max_pool_connections=THREADS * 2,
        connect_timeout=5,
        read_timeout=60,
    )
    session = boto3.Session(server.access_key_id, server.secret_access_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=server.endpoint, config=config)


class World:
    """What each key may be: a set of (number of the body, class), None for no object. More than one after a request
    that was cut off."""

    def __init__(self, keys, bodies):
        self.may = {key: {None} for key in keys}
        self.bodies = bodies
        self.wrong = []
        self.done = {"put": 0, "read": 0, "delete": 0, "restore": 0}


def act(world, s3, key, draw):
    """One request about a key that only this thread works on."""
    kind = draw.choices(("put", "read", "delete", "restore"), (5, 6, 1, 2))[0]
    before = world.may[key]
    if kind == "put":
        new = (draw.randrange(world.bodies), draw.choice(CLASSES))
        world.may[key] = before | {new}
        s3.put_object(Bucket=BUCKET, Key=key, Body=body_of(new[0]), StorageClass=new[1])
        world.may[key] = {new}
    elif kind == "delete":
        world.may[key] = before | {None}
        s3.delete_object(Bucket=BUCKET, Key=key)
        world.may[key] = {None}
    elif kind == "restore":
        try:
            s3.restore_object(Bucket=BUCKET, Key=key, RestoreRequest={"Days": 1})
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("InvalidObjectState", "NoSuchKey", "RestoreAlreadyInProgress"):
                raise
    else:
        read(world, s3, key, draw)
    world.done[kind] += 1


def read(world, s3, key, draw):
    may = world.may[key]
    try:
        answer = s3.get_object(Bucket=BUCKET, Key=key)
        seen = (answer["Body"].read(), answer.get("StorageClass", "STANDARD"))
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchKey" and None in may:
            world.may[key] = {None}
        elif code == "InvalidObjectState" and any(one and one[1] == "GLACIER" for one in may):
            return
        elif code != "ServiceUnavailable":
            world.wrong.append(f"{key}: {code}, though it may be {may}")
        return
    fits = {one for one in may if one and (body_of(one[0]), one[1]) == seen}
    if not fits:
        world.wrong.append(f"{key}: {len(seen[0])} bytes of class {seen[1]}, though it may be {may}")
        return
    world.may[key] = fits
    start = draw.randrange(len(seen[0]))
    end = draw.randrange(start, len(seen[0]))
    try:
        part = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={start}-{end}")["Body"].read()
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ServiceUnavailable":
            world.wrong.append(f"{key}: a range: {error}")
        return
    if part != seen[0][start : end + 1]:
        world.wrong.append(f"{key}: bytes {start} to {end} are wrong")


def load(world, server, seed, number, stop):
    """Works on disjoint keys in threads until `stop`, or until the server is gone."""
    keys = sorted(world.may)

    def work(index):
        draw = random.Random(f"{seed}/{number}/{index}")
        s3 = client_of(server)
        mine = keys[index::THREADS]
        while not stop.is_set():
            try:
                act(world, s3, draw.choice(mine), draw)
            except botocore.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    world.wrong.append(str(error))
            except (botocore.exceptions.BotoCoreError, OSError):
                # Cut off: the keys' possibilities say so already.
                if stop.wait(0.05):
                    return

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


def fill(world, server, seed):
    """An object under each key."""
    keys = sorted(world.may)

    def work(index):
        draw, s3 = random.Random(f"{seed}/fill/{index}"), client_of(server)
        for key in keys[index::THREADS]:
            new = (draw.randrange(world.bodies), draw.choice(CLASSES))
            s3.put_object(Bucket=BUCKET, Key=key, Body=body_of(new[0]), StorageClass=new[1])
            world.may[key] = {new}
            world.done["put"] += 1

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def wait_until(what, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while not (answer := what()):
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.2)
    return answer


def tier_metrics(server):
    """Sums of the tiers' metrics by name."""
    with urllib.request.urlopen(f"{server.ops_endpoint}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    sums = {}
    for line in lines:
        if line.startswith("cairn_tier_"):
            name, value = line.split("{")[0], float(line.rsplit(" ", 1)[1])
            sums[name] = sums.get(name, 0) + value
    return sums


def remote_objects(remote):
    pages = client_of(remote).get_paginator("list_objects_v2").paginate(Bucket=COLD)
    return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))


def check_all(world, server, remote, draw):
    """Each object reads back right, and the remote holds what they refer to and no more."""
    s3 = client_of(server)
    for key in world.may:
        # Settles what a cut-off request came to.
        read(world, s3, key, draw)
        if len(world.may[key]) > 1:
            seen = s3.head_object(Bucket=BUCKET, Key=key)
            tag = seen["ETag"].strip('"')
            may = {one for one in world.may[key] if one and hashlib.md5(body_of(one[0])).hexdigest() == tag}
            world.may[key] = {one for one in may if one[1] == seen.get("StorageClass", "STANDARD")}
            assert len(world.may[key]) == 1, f"{key}: {seen}"
    live = [one for (one,) in world.may.values() if one]
    expected = {one for one in live if one[1] != "STANDARD"}
    print(f"{len(live)} objects, {len(expected)} different ones in tiers; {json.dumps(world.done)}")
    wait_until(lambda: len(remote_objects(remote)) == len(expected))
    archived = [key for key, (one,) in world.may.items() if one and one[1] == "GLACIER"]
    for key in archived:
        try:
            s3.restore_object(Bucket=BUCKET, Key=key, RestoreRequest={"Days": 1})
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "RestoreAlreadyInProgress", error
    for key in archived:
        wait_until(lambda key=key: "false" in s3.head_object(Bucket=BUCKET, Key=key)["Restore"])
    for key in world.may:
        read(world, s3, key, draw)
        (one,) = world.may[key]
        if one:
            assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body_of(one[0]), key
    assert len(remote_objects(remote)) == len(expected)
    for key in world.may:
        s3.delete_object(Bucket=BUCKET, Key=key)
    wait_until(lambda: not remote_objects(remote))


def test_kills_of_either_side_lose_nothing_and_leave_nothing(tmp_path):
    seed = os.environ.get("CAIRN_SEED") or str(random.SystemRandom().randrange(10**9))
    rounds = int(os.environ.get("CAIRN_TIER_ROUNDS", "3"))
    objects = int(os.environ.get("CAIRN_TIER_OBJECTS", "240"))
    print(f"CAIRN_SEED={seed} CAIRN_TIER_ROUNDS={rounds} CAIRN_TIER_OBJECTS={objects}")
    remote = ServerProcess(tmp_path / "remote", tmp_path / "remote.log")
    config = tmp_path / "cairn.toml"
    config.write_text(
        CONFIG.format(endpoint=remote.endpoint, key=remote.access_key_id, secret=remote.secret_access_key)
    )
    config.chmod(0o600)
    server = ServerProcess(tmp_path / "data", tmp_path / "server.log", config=config)
    world = World([f"key{number:05}" for number in range(objects)], max(objects // 2, 12))
    try:
        remote.start()
        client_of(remote).create_bucket(Bucket=COLD)
        server.start()
        client_of(server).create_bucket(Bucket=BUCKET)
        fill(world, server, seed)
        for number in range(rounds):
            draw = random.Random(f"{seed}/{number}")
            stop = threading.Event()
            threads = load(world, server, seed, number, stop)
            stop.wait(draw.uniform(ROUND_SECONDS / 2, ROUND_SECONDS))
            killed = [[server], [remote], [server, remote]][number % 3]
            for process in killed:
                process.kill9()
            stop.wait(draw.uniform(0, 1))
            for process in reversed(killed):
                process.start()
            stop.wait(draw.uniform(0, 1))
            stop.set()
            for thread in threads:
                thread.join()
            assert not world.wrong, (number, world.wrong[:10])
        # The last start looks for what nothing knows of.
        server.kill9()
        server.start()
        check_all(world, server, remote, random.Random(seed))
        assert not world.wrong, world.wrong[:10]
        assert world.done["read"] > rounds * 20, world.done
        assert tier_metrics(server)["cairn_tier_up"] == 2
    finally:
        for process in (server, remote):
            if process.process is not None:
                process.kill9()
