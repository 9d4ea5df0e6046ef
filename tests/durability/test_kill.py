"""`kill -9` at any moment loses nothing that was acknowledged, tears nothing, and brings nothing back.

Rounds of a mixed load; each ends with SIGKILL at a random moment, a restart, and a comparison of everything that the
server shows with everything that it acknowledged. `CAIRN_KILL_ROUNDS` sets the rounds (40), `CAIRN_SEED` repeats the
plan of a run (what each worker does; the kill falls where the machine's timing puts it).
"""

import os
import random
import threading
import time

from durability.client import Client
from durability.verify import verify
from durability.workload import BUCKET, VERSIONED, Worker, World
from server_process import ServerProcess

WORKERS = 6
LOAD_SECONDS = (0.2, 1.6)
RESTART_SECONDS_MAX = 10
# The share of rounds in which the server is killed once more while it starts.
KILL_AT_START = 0.25
SHOWN_VIOLATIONS = 20
# Small segments, so that they fill, empty and are used again within the test.
CONFIG = '[storage]\nsegment_size = "64MiB"\n'


def test_kill_loses_nothing_tears_nothing_and_brings_nothing_back(tmp_path, capsys):
    seed = os.environ.get("CAIRN_SEED") or str(random.SystemRandom().randrange(10**9))
    rounds = int(os.environ.get("CAIRN_KILL_ROUNDS", "40"))
    print(f"CAIRN_SEED={seed} CAIRN_KILL_ROUNDS={rounds}")
    world = World()
    config = tmp_path / "cairn.toml"
    config.write_text(CONFIG)
    server = ServerProcess(tmp_path / "data", tmp_path / "cairn.log", config=config)
    try:
        restarts = run(world, server, seed, rounds)
    finally:
        if server.process is not None:
            server.kill9()
    with capsys.disabled():
        print(
            f"\n{rounds} kills, {world.acknowledged} acknowledged writes, {world.reads} reads under load: "
            f"0 lost, 0 torn, 0 ghosts; slowest restart {max(restarts):.2f} s"
        )
    assert max(restarts) < RESTART_SECONDS_MAX, f"a restart took {max(restarts):.1f} s"
    assert world.acknowledged >= rounds * 10, "the load must have done something"


def run(world, server, seed, rounds):
    """All rounds; gives the seconds that each restart took."""
    server.start()
    make_buckets(server)
    restarts = []
    for number in range(rounds):
        chance = random.Random(f"{seed}/{number}")
        load_and_kill(world, server, seed, number, chance)
        restarts.append(restart(server, chance))
        verify(world, server)
        assert not world.violations, report(world, seed, number, server)
    server.terminate()
    return restarts


def make_buckets(server):
    client = Client(server)
    for bucket in (BUCKET, VERSIONED):
        client.expect(200, "PUT", bucket)
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    client.expect(200, "PUT", VERSIONED, query=[("versioning", None)], body=enabled)
    client.close()


def load_and_kill(world, server, seed, number, chance):
    killed = threading.Event()
    workers = [Worker(world, server, n, seed, number, killed) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    # The load's length is the experiment, not a wait for something.
    time.sleep(chance.uniform(*LOAD_SECONDS))
    killed.set()
    server.kill9()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive(), f"{worker.name} hangs although the server is gone"


def restart(server, chance):
    """Starts the server, in some rounds after a start that is cut short; gives the seconds to readiness."""
    if chance.random() < KILL_AT_START:
        server.spawn()
        time.sleep(chance.uniform(0, 0.3))
        server.kill9()
    return server.start(RESTART_SECONDS_MAX)


def report(world, seed, number, server):
    shown = "\n".join(f"  - {text}" for text in world.violations[:SHOWN_VIOLATIONS])
    more = len(world.violations) - SHOWN_VIOLATIONS
    rest = f"\n  … and {more} more" if more > 0 else ""
    return (
        f"round {number} of seed {seed}: {len(world.violations)} violations "
        f"(data in {server.data[0]})\n{shown}{rest}\n{server.log_tail()}"
    )
