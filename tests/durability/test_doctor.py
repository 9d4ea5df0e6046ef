"""`cairn doctor` on a stopped server's store: it names the objects that cannot be read, all of them and no others."""

import os
import re
import shutil
import subprocess

import pytest
from durability.client import Client, Lost
from durability.content import content
from server_process import ServerProcess, binary

BUCKET = "examined"
MiB = 1024 * 1024
CONFIG = '[storage]\nsegment_size = "64MiB"\n'
# Two and a half segments of large objects, and some that lie in the index alone.
OBJECTS = {f"large/{number}": 4 * MiB + number for number in range(40)} | {f"small/{n}": 2000 + n for n in range(5)}
HIT = re.compile(rf"^HIT   {BUCKET}/(\S+)  version [0-9a-f]{{32}} \(current\)  bytes [\d, -]+ of (\d+): (.+)$", re.MULTILINE)


@pytest.fixture
def stopped(tmp_path):
    """A server with objects in several segments, stopped in order; and how to examine its store."""
    config = tmp_path / "cairn.toml"
    config.write_text(CONFIG)
    with ServerProcess(tmp_path / "data", tmp_path / "cairn.log", config=config) as server:
        client = Client(server)
        client.expect(200, "PUT", BUCKET)
        for key, size in OBJECTS.items():
            client.expect(200, "PUT", BUCKET, key, body=content(key, size))
        client.close()
        server.terminate()
        yield server


def doctor(server, *arguments):
    """What the doctor says, and its exit code."""
    command = [str(binary()), "doctor", "--data", str(server.data[0]), *arguments]
    done = subprocess.run(command, env=server.environment(), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr, done.returncode


def unreadable(server):
    """The keys that a client cannot read; all others have their very bytes."""
    server.start()
    found, client = set(), Client(server)
    for key, size in OBJECTS.items():
        try:
            answer = client.request("GET", BUCKET, key)
        except Lost:
            found.add(key)
            continue
        if answer.status == 200:
            assert answer.body == content(key, size), key
        else:
            assert answer.status == 500, answer
            found.add(key)
    client.close()
    server.terminate()
    return found


def test_a_lost_segment_is_named_with_exactly_what_it_held(stopped, tmp_path):
    said, code = doctor(stopped, "--read")
    assert code == 0 and "healthy" in said, said
    segments = sorted((stopped.data[0] / "segments").glob("segment-*"))
    lost = max(segments[:2], key=lambda segment: segment.name)
    shutil.move(lost, tmp_path / lost.name)
    said, code = doctor(stopped)
    assert code == 1, said
    hit = {key for key, _, _ in HIT.findall(said)}
    assert hit == unreadable(stopped), said
    assert 0 < len(hit) < len(OBJECTS)
    number = int(lost.name.removeprefix("segment-"))
    assert re.search(rf"^segment +{number} of drive 0 is missing, with \d+ chunks$", said, re.MULTILINE), said
    assert f"{len(OBJECTS) - len(hit)} safe, {len(hit)} hit" in said, said
    shutil.move(tmp_path / lost.name, lost)
    said, code = doctor(stopped, "--rebuild-chunk-index", "--read")
    assert code == 0 and "healthy" in said, said


def chunk_tables(server):
    """The index's table files that hold what it says about chunks: among a table's properties is its family's name."""
    tables = (server.data[0] / "index").glob("*.sst")
    return [table for table in tables if b"namechunks" in table.read_bytes()]


@pytest.mark.parametrize("how", ["removed", "cut off", "zeroed"])
def test_a_lost_chunk_index_is_written_anew_from_the_segments(stopped, tmp_path, how):
    # A start after the log was replayed leaves everything in tables.
    stopped.start()
    stopped.terminate()
    tables = chunk_tables(stopped)
    assert tables, "the chunk index is in tables"
    for table in tables:
        if how == "removed":
            table.unlink()
        elif how == "cut off":
            os.truncate(table, table.stat().st_size // 2)
        else:
            table.write_bytes(bytes(table.stat().st_size))
    said, code = doctor(stopped)
    assert code == 1, said
    if how != "zeroed":
        assert "--rebuild-chunk-index" in said and "only what the index says about chunks is hit" in said, said
    # A segment is lost too: exactly what it held is named, all else is safe.
    segments = sorted((stopped.data[0] / "segments").glob("segment-*"))
    shutil.move(segments[0], tmp_path / segments[0].name)
    said, code = doctor(stopped, "--rebuild-chunk-index", "--read")
    assert code == 1 and re.search(r"^repaired +\d\d+ chunks' rows", said, re.MULTILINE), said
    hit = {key for key, _, _ in HIT.findall(said)}
    assert 0 < len(hit) < len(OBJECTS)
    assert hit == unreadable(stopped), said
    assert f"{len(OBJECTS) - len(hit)} safe, {len(hit)} hit" in said, said
    # It comes back, and with it what it held.
    shutil.move(tmp_path / segments[0].name, segments[0])
    said, code = doctor(stopped, "--rebuild-chunk-index", "--read")
    assert code == 0 and "healthy" in said, said
    assert unreadable(stopped) == set()


def test_a_running_servers_store_and_a_foreign_directory_are_refused(stopped, tmp_path):
    stopped.start()
    said, code = doctor(stopped)
    assert code == 1 and "in use" in said, said
    stopped.terminate()
    (tmp_path / "other").mkdir()
    command = [str(binary()), "doctor", "--data", str(tmp_path / "other")]
    done = subprocess.run(command, env=stopped.environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "no data directory" in done.stderr, done.stderr
    assert list((tmp_path / "other").iterdir()) == []
