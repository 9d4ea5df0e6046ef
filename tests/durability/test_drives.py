"""A drive of two goes while the server runs: it is fenced, the other one serves, and all is there after a restart."""

import fcntl
import json
import os
import struct
import subprocess
import urllib.request

import pytest
from durability.client import Client, Lost
from durability.content import content
from durability.power import GOINGDOWN, JOURNAL_FIRST, Drive
from server_process import ServerProcess, binary

BUCKET = "drives"
MiB = 1024 * 1024
# The first data directory has the index too, and much more room: enough for some of them to lie on the small drive.
KEYS = {f"k{n}": MiB + n for n in range(60)}


@pytest.fixture
def drives(tmp_path):
    found = [Drive(tmp_path / "one", "ext4"), Drive(tmp_path / "two", "ext4")]
    try:
        for drive in found:
            drive.image.parent.mkdir()
            drive.make()
        yield found
    finally:
        for drive in found:
            drive.remove()


def cairn(server, *arguments):
    environment = server.environment() | {"AWS_ENDPOINT_URL": server.endpoint}
    command = [str(binary()), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr, done.returncode


def told(server):
    said, code = cairn(server, "drives", "list", "--json")
    assert code == 0, said
    return json.loads(said)["drives"]


def readable(client, keys):
    """The keys that read, with their very bytes; others are answered with 500."""
    found = set()
    for key in keys:
        try:
            answer = client.request("GET", BUCKET, key)
        except Lost:
            continue
        assert answer.status in (200, 500), answer
        if answer.status == 200:
            assert answer.body == content(key, keys[key]), key
            found.add(key)
    return found


def test_a_drive_that_goes_is_fenced_and_the_rest_serves(drives, tmp_path):
    config = tmp_path / "cairn.toml"
    config.write_text('[storage]\nsegment_size = "64MiB"\n')
    data = [drive.path / "data" for drive in drives]
    server = ServerProcess(data, tmp_path / "cairn.log", config=config)
    try:
        server.start()
        client = Client(server)
        client.expect(200, "PUT", BUCKET)
        for key, size in KEYS.items():
            client.expect(200, "PUT", BUCKET, key, body=content(key, size))
        said, code = cairn(server, "drives", "list")
        assert code == 0 and "FENCED" not in said, said
        assert all(drive["liveBytes"] > 5 * MiB for drive in told(server)), told(server)

        # From now on every call to the second drive fails.
        directory = os.open(drives[1].path, os.O_RDONLY)
        fcntl.ioctl(directory, GOINGDOWN, struct.pack("I", JOURNAL_FIRST))
        os.close(directory)
        later = {f"later{n}": MiB + n for n in range(40)}
        for key, size in later.items():
            client.expect(200, "PUT", BUCKET, key, body=content(key, size))
        assert readable(client, later) == set(later), "what is new lies on the first drive"
        first, second = told(server)
        assert first["fence"] is None and second["fence"]["reason"].startswith("drive 1:"), second
        assert second["roomBytes"] == 0
        said, code = cairn(server, "drives", "list")
        assert code == 1 and "FENCED" in said, said
        with urllib.request.urlopen(f"{server.ops_endpoint}/metrics", timeout=10) as answer:
            assert "chunks_drives_fenced 1" in answer.read().decode()
        assert 0 < len(readable(client, KEYS)), "what lies on the first drive is served"
        client.expect(204, "DELETE", BUCKET, "k0")
        client.close()
        server.kill9()

        drives[1].unmount()
        drives[1].check()
        subprocess.run(drives[1].mount_command(), check=True)
        server.start()
        client = Client(server)
        assert all(drive["fence"] is None for drive in told(server))
        everything = (KEYS | later).items() - {("k0", KEYS["k0"])}
        assert readable(client, dict(everything)) == {key for key, _ in everything}
        client.close()
        server.terminate()
    finally:
        if server.process is not None:
            server.kill9()
