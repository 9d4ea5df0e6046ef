"""Backups of the index: taken from a running server, put back when the index is lost; what then reads is what it was."""

import json
import re
import shutil
import subprocess
import time
import urllib.request

import pytest
from durability.client import Client, Lost
from durability.content import content
from server_process import ServerProcess, binary

BUCKET = "backed-up"
MiB = 1024 * 1024
KEPT = {f"kept/{n}": 3 * MiB + n for n in range(12)} | {f"small/{n}": 1000 + n for n in range(5)}
# More than two segments of them lie together.
GONE = {f"gone/{n}": 3 * MiB + 100 + n for n in range(70)}
HIT = re.compile(rf"^HIT   {BUCKET}/(\S+)  version [0-9a-f]{{32}} \(current\)  bytes [\d, -]+ of \d+: .+$", re.MULTILINE)


def cairn(server, *arguments):
    """What a command says, and its exit code."""
    environment = server.environment() | {"AWS_ENDPOINT_URL": server.endpoint}
    command = [str(binary()), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr, done.returncode


def metric(server, name):
    with urllib.request.urlopen(f"{server.ops_endpoint}/metrics", timeout=10) as answer:
        return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE).group(1))


def put(client, keys):
    for key, size in keys.items():
        client.expect(200, "PUT", BUCKET, key, body=content(key, size))


def reads(client, key, size):
    """Whether a key reads: then with its very bytes."""
    try:
        answer = client.request("GET", BUCKET, key)
    except Lost:
        return False
    if answer.status == 200:
        assert answer.body == content(key, size), key
        return True
    assert answer.status == 500, answer
    return False


@pytest.fixture
def server(tmp_path):
    config = tmp_path / "cairn.toml"
    backups = tmp_path / "backups"
    config.write_text(
        f'[storage]\nsegment_size = "64MiB"\n[backup]\ndirectory = "{backups}"\ninterval = "never"\nkeep = 2\n'
    )
    server = ServerProcess(tmp_path / "data", tmp_path / "cairn.log", config=config)
    server.start()
    yield server
    if server.process is not None:
        server.kill9()


def lose_index(server):
    shutil.rmtree(server.data[0] / "index")


def test_what_a_restored_index_promises(server, tmp_path):
    client = Client(server)
    client.expect(200, "PUT", BUCKET)
    # In turns, so that what stays lies beside what goes.
    for kept, gone in zip(KEPT.items(), GONE.items(), strict=False):
        put(client, dict([kept, gone]))
    put(client, GONE)
    said, code = cairn(server, "backup", "now")
    assert code == 0 and "taken 20" in said, said
    name = said.split()[0]
    # The space of what goes is used again, and what stays is moved together.
    for key in GONE:
        client.expect(204, "DELETE", BUCKET, key)
    deadline = time.monotonic() + 30
    while metric(server, "chunks_segments_free") == 0:
        assert time.monotonic() < deadline, "no segment becomes free"
    for n in range(80):
        client.expect(200, "PUT", BUCKET, f"later/{n}", body=content(f"later/{n}", 3 * MiB))
    client.expect(200, "PUT", BUCKET, "small/0", body=b"replaced")
    client.close()
    server.kill9()
    restore = ("restore", "--data", server.data[0], "--from", tmp_path / "backups" / name, "--read")
    said, code = cairn(server, *restore)
    assert code == 1 and "nothing was changed" in said, said
    lose_index(server)
    said, code = cairn(server, *restore)
    assert "restored" in said, said
    hit = set(HIT.findall(said))
    assert hit <= set(GONE), f"only what was removed since may be hit: {said}"
    assert code == (1 if hit else 0), said
    assert hit, "the test must have used space again"
    server.start()
    client = Client(server)
    for key, size in (KEPT | GONE).items():
        assert reads(client, key, size) == (key not in hit), key
    assert client.request("GET", BUCKET, "later/0").status == 404
    # The same bytes can be written again, and are not taken for stored.
    key = min(hit)
    client.expect(200, "PUT", BUCKET, key, body=content(key, GONE[key]))
    assert reads(client, key, GONE[key])
    client.close()
    server.terminate()
    said, code = cairn(server, "doctor", "--data", server.data[0], "--read")
    assert set(HIT.findall(said)) == hit - {key}, said


def test_a_stopped_servers_index_comes_back_as_it_was(server, tmp_path):
    client = Client(server)
    client.expect(200, "PUT", BUCKET)
    put(client, KEPT)
    client.close()
    said, code = cairn(server, "backup", "stopped", "--data", server.data[0], "--to", tmp_path / "by-hand")
    assert code == 1 and "in use" in said, said
    server.terminate()
    said, code = cairn(server, "backup", "stopped", "--data", server.data[0], "--to", tmp_path / "by-hand")
    assert code == 0, said
    lose_index(server)
    said, code = cairn(server, "restore", "--data", server.data[0], "--from", said.strip(), "--read")
    assert code == 0 and "healthy" in said, said
    server.start()
    client = Client(server)
    assert all(reads(client, key, size) for key, size in KEPT.items())
    client.close()
    # Another store's backup is refused.
    other = tmp_path / "other"
    with ServerProcess(other, tmp_path / "other.log") as running:
        running.terminate()
        shutil.rmtree(other / "index")
        backup = next((tmp_path / "by-hand").iterdir())
        said, code = cairn(running, "restore", "--data", other, "--from", backup)
        assert code == 1 and "of another store" in said, said
        assert not (other / "index").exists()


def test_backups_are_taken_on_a_schedule_and_the_newest_kept(tmp_path):
    config = tmp_path / "cairn.toml"
    backups = tmp_path / "backups"
    config.write_text(f'[backup]\ndirectory = "{backups}"\ninterval = "1s"\nkeep = 2\n')
    with ServerProcess(tmp_path / "data", tmp_path / "cairn.log", config=config) as server:
        seen, deadline = set(), time.monotonic() + 30
        while len(seen) < 4:
            assert time.monotonic() < deadline, f"only {seen}"
            said, code = cairn(server, "backup", "list", "--json")
            assert code == 0, said
            state = json.loads(said)
            assert len(state["backups"]) <= 2 and state["failures"] == 0, state
            seen |= {backup["name"] for backup in state["backups"]}
        assert len(list(backups.iterdir())) <= 3
        assert metric(server, "backup_last_timestamp_seconds") > time.time() - 60
        assert metric(server, "backup_failures_total") == 0
