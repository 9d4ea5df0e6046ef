"""`kill -9` at any moment loses nothing that was acknowledged, tears nothing, and brings nothing back.

Rounds of a mixed load; each ends with SIGKILL at a random moment, a restart, and a comparison of everything that the
server shows with everything that it acknowledged. `CAIRN_KILL_ROUNDS` sets the rounds (40), `CAIRN_SEED` repeats the
plan of a run (what each worker does; the kill falls where the machine's timing puts it).
"""

import os
import random

from durability.rounds import RESTART_SECONDS_MAX, load_and_stop, make_buckets, report, restart
from durability.verify import verify
from durability.workload import World
from server_process import ServerProcess

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
        load_and_stop(world, server, seed, number, chance, server.kill9)
        restarts.append(restart(server, chance, server.kill9))
        verify(world, server)
        assert not world.violations, report(world, seed, number, server)
    server.terminate()
    return restarts
