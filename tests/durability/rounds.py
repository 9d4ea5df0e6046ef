"""One round: load, the end of the server at a random moment, restart."""

import threading
import time

from durability.client import Client
from durability.workload import BUCKET, VERSIONED, Worker

WORKERS = 6
LOAD_SECONDS = (0.2, 1.6)
RESTART_SECONDS_MAX = 10
# The share of rounds in which the server is stopped once more while it starts.
STOP_AT_START = 0.25
SHOWN_VIOLATIONS = 20


def make_buckets(server):
    client = Client(server)
    for bucket in (BUCKET, VERSIONED):
        client.expect(200, "PUT", bucket)
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    client.expect(200, "PUT", VERSIONED, query=[("versioning", None)], body=enabled)
    client.close()


def load_and_stop(world, server, seed, number, chance, stop, *, drive_goes=False):
    """Load, and `stop` in the middle of it: `server.kill9`, or what is worse where the drive goes too."""
    killed = threading.Event()
    gone = killed if drive_goes else None
    workers = [Worker(world, server, n, seed, number, killed, gone) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    # The load's length is the experiment, not a wait for something.
    time.sleep(chance.uniform(*LOAD_SECONDS))
    killed.set()
    stop()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive(), f"{worker.name} hangs although the server is gone"


def restart(server, chance, stop):
    """Starts the server, in some rounds after a start that `stop` cuts short; gives the seconds to readiness."""
    if chance.random() < STOP_AT_START:
        server.spawn()
        time.sleep(chance.uniform(0, 0.3))
        stop()
    return server.start(RESTART_SECONDS_MAX)


def report(world, seed, number, server):
    shown = "\n".join(f"  - {text}" for text in world.violations[:SHOWN_VIOLATIONS])
    more = len(world.violations) - SHOWN_VIOLATIONS
    rest = f"\n  … and {more} more" if more > 0 else ""
    return (
        f"round {number} of seed {seed}: {len(world.violations)} violations "
        f"(data in {server.data[0]})\n{shown}{rest}\n{server.log_tail()}"
    )
