"""A full disk: writes are answered with an error, everything acknowledged stays readable, deleting heals.

The data directory is a small ext4 file system in a file, mounted for the test; where mounting is not allowed the test
is skipped and says so.
"""

import shutil
import subprocess
import time

import pytest
from durability.client import Client
from durability.content import content
from server_process import ServerProcess

BUCKET = "full"
MiB = 1024 * 1024
IMAGE_BYTES = 900 * MiB
# Far more than fits, so that a server that never says no fails the test.
MOST_OBJECTS = 1200
SMALL_OBJECTS = 20_000
HEAL_SECONDS = 90
CONFIG = '[storage]\nsegment_size = "64MiB"\n'


@pytest.fixture
def small_disk(tmp_path):
    """A mounted file system of `IMAGE_BYTES`."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=False)


def test_a_full_disk_refuses_writes_keeps_reading_and_heals(small_disk, tmp_path):
    config = tmp_path / "cairn.toml"
    config.write_text(CONFIG)
    with ServerProcess(small_disk / "data", tmp_path / "cairn.log", config=config) as server:
        client = Client(server)
        client.expect(200, "PUT", BUCKET)
        stored = fill(client, "big", MiB, MOST_OBJECTS)
        assert len(stored) >= 50, f"only {len(stored)} MiB of {IMAGE_BYTES // MiB} MiB were accepted"
        stored |= fill(client, "small", 4000, SMALL_OBJECTS, may_end=True)
        assert server.process.poll() is None, f"a full disk must not end the server\n{server.log_tail()}"
        assert_alive(server)
        assert_readable(client, stored)

        server.restart()
        client.close()
        assert_alive(server)
        assert_readable(client, stored)

        doomed = [key for key in stored if key.startswith("big")][: len(stored) * 3 // 4]
        for key in doomed:
            client.expect(204, "DELETE", BUCKET, key)
            del stored[key]
        assert client.request("GET", BUCKET, doomed[0]).status == 404
        wait_for_writes(client, stored)
        assert_readable(client, stored)
        client.close()


def fill(client, kind, size, limit, *, may_end=False):
    """Puts objects until one is refused; gives key to size of the acknowledged ones."""
    stored = {}
    for number in range(limit):
        key = f"{kind}/{number}"
        answer = client.request("PUT", BUCKET, key, body=content(key, size))
        if answer.status == 200:
            stored[key] = size
            continue
        # An answer before the end of the body may cost the connection.
        client.close()
        print(f"after {len(stored)} objects of {size} bytes: {answer}")
        assert answer.status in (503, 507), f"a write to a full disk was answered {answer}"
        assert answer.xml().tag == "Error" and answer.code(), f"not an S3 error document: {answer}"
        assert client.request("GET", BUCKET, key).status == 404, "a refused write leaves nothing"
        return stored
    assert may_end, f"{limit} objects of {size} bytes fit into {IMAGE_BYTES} bytes?"
    return stored


def assert_alive(server):
    assert server.health("live") == 200, "liveness never fails for a full disk"
    assert server.health("live", ops=True) == 200, "liveness never fails for a full disk"


def assert_readable(client, stored):
    for key, size in stored.items():
        assert client.expect(200, "GET", BUCKET, key).body == content(key, size), f"{key} is not what was put"


def wait_for_writes(client, stored):
    """Polls until a write of 1 MiB is accepted: space comes back when the garbage is collected."""
    deadline = time.monotonic() + HEAL_SECONDS
    while True:
        answer = client.request("PUT", BUCKET, "healed", body=content("healed", MiB))
        if answer.status == 200:
            stored["healed"] = MiB
            return
        client.close()
        assert answer.status in (503, 507), f"a write was answered {answer}"
        assert time.monotonic() < deadline, f"no write succeeds {HEAL_SECONDS} s after deleting most objects: {answer}"
        time.sleep(0.2)
