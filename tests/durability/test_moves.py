"""`kill -9` while objects are renamed and appended to: a rename happened or it did not (never both names, never
neither), and an object has every acknowledged append, in order, and at most the one whose answer was lost.

Rounds of workers with keys of their own, each ended by SIGKILL at a random moment, a restart and a comparison.
`CAIRN_MOVE_ROUNDS` sets the rounds (12), `CAIRN_SEED` repeats what each worker does.
"""

import os
import random
import threading
import traceback

from durability.client import Client, Lost
from durability.rounds import RESTART_SECONDS_MAX, restart
from server_process import ServerProcess

BUCKET = "moves"
MOVERS, APPENDERS, NAMES = 4, 3, 4
LOAD_SECONDS = (0.3, 1.2)
# Of what is stored in the index itself, in one chunk, and in more than one.
SIZES = [0, 700, 60_000, 1_500_000]
APPENDED = [1, 900, 5_000, 200_000]


class Mover:
    """One object that goes from name to name, now and then onto another object."""

    def __init__(self, number, chance):
        self.prefix, self.chance = f"mover{number}/", chance
        self.body = chance.randbytes(chance.choice(SIZES))
        # What there is, by name; after a lost answer one of several.
        self.possible = [{}]
        self.at = None
        self.done = 0

    def begin(self, client):
        (state,) = self.possible
        self.at = next((name for name, body in state.items() if body == self.body), None)
        if self.at is None:
            self.at = f"{self.prefix}0"
            self.possible = [state, state | {self.at: self.body}]
            client.expect(200, "PUT", BUCKET, self.at, body=self.body)
            self.possible = self.possible[1:]

    def step(self, client):
        (state,) = self.possible
        target = self.chance.choice([f"{self.prefix}{n}" for n in range(NAMES) if f"{self.prefix}{n}" != self.at])
        if self.chance.random() < 0.3:
            other = b"replaced " + self.chance.randbytes(20)
            self.possible = [state, state | {target: other}]
            client.expect(200, "PUT", BUCKET, target, body=other)
            state = self.possible[1]
        moved = {name: body for name, body in state.items() if name != self.at} | {target: self.body}
        self.possible = [state, moved]
        headers = [("x-amz-rename-source", self.at)]
        client.expect(200, "PUT", BUCKET, target, query=[("renameObject", None)], headers=headers)
        self.possible, self.at = [moved], target
        self.done += 1


class Appender:
    """One object that grows."""

    def __init__(self, number, chance):
        self.prefix, self.chance = f"appender{number}/", chance
        self.possible = [{}]
        self.done = 0

    def begin(self, client):
        pass

    def step(self, client):
        (state,) = self.possible
        key = f"{self.prefix}log"
        whole = state.get(key, b"")
        if len(whole) > 3_000_000:
            self.possible = [state, {}]
            client.expect(204, "DELETE", BUCKET, key)
            self.possible = [{}]
            return
        more = self.chance.randbytes(self.chance.choice(APPENDED))
        self.possible = [state, {key: whole + more}]
        headers = [("x-amz-write-offset-bytes", str(len(whole)))]
        client.expect(200, "PUT", BUCKET, key, headers=headers, body=more)
        self.possible = self.possible[1:]
        self.done += 1


def work(worker, server, killed, problems):
    """Steps until the server is gone."""
    client = Client(server)
    try:
        worker.begin(client)
        while not killed.is_set():
            worker.step(client)
    except Lost as lost:
        if not killed.is_set():
            problems.append(f"{worker.prefix}: a connection broke before the kill: {lost}")
    except Exception:
        problems.append(f"{worker.prefix}: {traceback.format_exc()}")
    finally:
        client.close()


def found(client, prefix):
    """What there is below a prefix, as it is listed and as it is read."""
    keys = []
    markers = [("NextContinuationToken", "continuation-token")]
    for page in client.pages(BUCKET, [("list-type", "2"), ("prefix", prefix)], markers):
        keys += [entry.findtext("Key") for entry in page.iter("Contents")]
    return {key: client.expect(200, "GET", BUCKET, key).body for key in keys}


def shown(state):
    return {key: (len(body), body[:16]) for key, body in state.items()}


def verify(server, workers):
    """Each worker's keys are in one of the states that its answers leave open; that one is certain from now on."""
    client = Client(server)
    for worker in workers:
        now = found(client, worker.prefix)
        allowed = [shown(state) for state in worker.possible]
        assert now in worker.possible, f"{worker.prefix}: found {shown(now)}, possible {allowed}\n{server.log_tail()}"
        worker.possible = [now]
    client.close()


def test_kill_leaves_each_rename_and_append_whole_or_undone(tmp_path, capsys):
    seed = os.environ.get("CAIRN_SEED") or str(random.SystemRandom().randrange(10**9))
    rounds = int(os.environ.get("CAIRN_MOVE_ROUNDS", "12"))
    print(f"CAIRN_SEED={seed} CAIRN_MOVE_ROUNDS={rounds}")
    server = ServerProcess(tmp_path / "data", tmp_path / "cairn.log")
    workers = [Mover(n, random.Random(f"{seed}/mover/{n}")) for n in range(MOVERS)]
    workers += [Appender(n, random.Random(f"{seed}/appender/{n}")) for n in range(APPENDERS)]
    chance, problems, restarts = random.Random(seed), [], []
    server.start()
    try:
        Client(server).expect(200, "PUT", BUCKET)
        for number in range(rounds):
            killed = threading.Event()
            threads = [
                threading.Thread(target=work, args=(worker, server, killed, problems), daemon=True) for worker in workers
            ]
            for thread in threads:
                thread.start()
            # The load's length is the experiment, not a wait for something.
            killed.wait(chance.uniform(*LOAD_SECONDS))
            killed.set()
            server.kill9()
            for thread in threads:
                thread.join(120)
                assert not thread.is_alive(), f"round {number}: a worker hangs although the server is gone"
            assert not problems, f"round {number} of seed {seed}: {problems}"
            restarts.append(restart(server, chance, server.kill9))
            verify(server, workers)
    finally:
        if server.process is not None:
            server.kill9()
    renames, appends = (sum(w.done for w in workers if isinstance(w, kind)) for kind in (Mover, Appender))
    with capsys.disabled():
        print(f"\n{rounds} kills, {renames} renames and {appends} appends acknowledged; slowest restart {max(restarts):.2f} s")
    assert max(restarts) < RESTART_SECONDS_MAX
    assert renames >= rounds * MOVERS and appends >= rounds * APPENDERS, "the load must have done something"
