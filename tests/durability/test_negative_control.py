"""The suite finds damage when there is some: what a crash of an honest disk cannot do is done by hand, and the same
verification that passes after every kill must fail. And whatever was damaged, no wrong byte is served."""

import os
import random

import pytest
from server_process import ServerFailed, ServerProcess

from durability.client import Lost
from durability.rounds import RESTART_SECONDS_MAX, load_and_stop, make_buckets
from durability.verify import verify
from durability.workload import World

SEED = "negative control"


def cut_the_log(data):
    """Takes the last third of the newest write-ahead log away: acknowledged commits are gone."""
    log = max(data.rglob("*.log"), key=lambda path: path.stat().st_mtime)
    os.truncate(log, log.stat().st_size * 2 // 3)


def zero_the_data(data):
    """Overwrites what the first segment holds."""
    segment = min(path for path in data.rglob("segment-*") if path.is_file())
    with segment.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(8 * 1024 * 1024))


@pytest.mark.parametrize("damage", [cut_the_log, zero_the_data])
def test_damage_is_found_and_never_served(tmp_path, damage):
    print(f"seed {SEED!r}")
    world = World()
    server = ServerProcess(tmp_path / "data", tmp_path / "cairn.log")
    server.start()
    try:
        make_buckets(server)
        load_and_stop(world, server, SEED, 0, random.Random(SEED), server.kill9)
        assert world.acknowledged > 20 and not world.violations
        damage(server.data[0])
        server.start(RESTART_SECONDS_MAX)
        verify(world, server)
        assert world.violations, f"{damage.__name__} was not noticed"
    except (ServerFailed, Lost) as refusal:
        # A server that will not start, or breaks an answer off, has noticed the damage itself.
        print(f"refused: {refusal}")
    finally:
        if server.process is not None:
            server.kill9()
    torn = [text for text in world.violations if "TORN:" in text]
    assert not torn, f"wrong bytes were served: {torn[:3]}"
