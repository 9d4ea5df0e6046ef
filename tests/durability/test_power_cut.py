"""A power cut at any moment loses nothing that was acknowledged, tears nothing, and brings nothing back.

As `test_kill.py`, on ext4 and on XFS, but each round ends with the drive's power: see `power.py` for what that drops.
`CAIRN_POWER_CUTS` sets the rounds on each file system (25), `CAIRN_SEED` repeats the plan of a run. Where mounting is
not allowed the test is skipped and says so.
"""

import functools
import os
import random

import pytest
from durability.power import Drive
from durability.rounds import load_and_stop, make_buckets, report, restart
from durability.verify import verify
from durability.workload import World
from server_process import ServerProcess

CONFIG = '[storage]\nsegment_size = "64MiB"\n'


@pytest.fixture
def drive(tmp_path, request):
    drive = Drive(tmp_path, request.param)
    try:
        drive.make()
        yield drive
    finally:
        drive.remove()


@pytest.mark.parametrize("drive", ["ext4", "xfs"], indirect=True)
def test_power_cuts_lose_nothing_tear_nothing_and_bring_nothing_back(drive, tmp_path, capsys):
    seed = os.environ.get("CAIRN_SEED") or str(random.SystemRandom().randrange(10**9))
    rounds = int(os.environ.get("CAIRN_POWER_CUTS", "25"))
    print(f"CAIRN_SEED={seed} CAIRN_POWER_CUTS={rounds}")
    world = World()
    config = tmp_path / "cairn.toml"
    config.write_text(CONFIG)
    server = ServerProcess(drive.path / "data", tmp_path / "cairn.log", config=config)
    try:
        server.start()
        make_buckets(server)
        for number in range(rounds):
            chance = random.Random(f"{seed}/{number}")
            cut = functools.partial(drive.cut, server, chance)
            load_and_stop(world, server, seed, number, chance, cut, drive_goes=True)
            restart(server, chance, cut)
            verify(world, server)
            assert not world.violations, report(world, seed, number, server)
        server.terminate()
    finally:
        if server.process is not None:
            server.kill9()
    with capsys.disabled():
        print(
            f"\n{rounds} power cuts on {drive.kind}, {world.acknowledged} acknowledged writes, "
            f"{world.reads} reads under load: 0 lost, 0 torn, 0 ghosts"
        )
    assert world.acknowledged >= rounds * 10, "the load must have done something"
