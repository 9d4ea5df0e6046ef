"""One `cairn serve` process under a test's control: start, readiness, kill, drain, restart on the same data and ports.

The binary is `CAIRN_BINARY`, or `release/cairn` in Cargo's target folder. Everything runs on loopback.
"""

import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

# Credentials of the root account in every test. They guard nothing but loopback servers that live for seconds.
ROOT_ACCESS_KEY_ID = "CAIRNTESTROOT0000001"
ROOT_SECRET_ACCESS_KEY = "cairn-test-secret-of-the-root-account-01"

READY_DEADLINE_SECONDS = 30
# Longer than the server waits for requests in flight (`shutdown_grace_period`, 30 s).
EXIT_DEADLINE_SECONDS = 45
POLL_SECONDS = 0.01

# Loopback is never asked through a proxy, whatever the environment says.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(AssertionError):
    """The process ended, or did not answer in time. The message holds the end of its log."""


def binary() -> pathlib.Path:
    """The `cairn` binary under test."""
    named = os.environ.get("CAIRN_BINARY")
    if named:
        return pathlib.Path(named)
    target = os.environ.get("CARGO_TARGET_DIR")
    folder = pathlib.Path(target) if target else pathlib.Path.home() / ".cache/cairn/target"
    return folder / "release" / "cairn"


def free_port() -> int:
    """A port that nobody listens on, below the range that the kernel gives to outgoing connections:
    a client's own connection must not take it while the server is down between kill and restart."""
    draw = random.SystemRandom()
    for _ in range(200):
        port = draw.randrange(18_000, 32_000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerFailed("no free port between 18000 and 32000")


class ServerProcess:
    """A server on one set of data directories. `start` may be called again after `kill9` or `terminate`."""

    def __init__(self, data, log, *, config=None, domains=(), extra_args=(), env=None):
        self.data = [pathlib.Path(d) for d in ([data] if isinstance(data, (str, pathlib.Path)) else data)]
        self.log = pathlib.Path(log)
        self.config = pathlib.Path(config) if config else None
        self.domains = list(domains)
        self.extra_args = list(extra_args)
        self.extra_env = dict(env or {})
        self.port = free_port()
        self.ops_port = free_port()
        self.access_key_id = ROOT_ACCESS_KEY_ID
        self.secret_access_key = ROOT_SECRET_ACCESS_KEY
        self.process = None

    @property
    def endpoint(self) -> str:
        """The S3 endpoint's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops_endpoint(self) -> str:
        """The operations listener's URL."""
        return f"http://127.0.0.1:{self.ops_port}"

    def command(self) -> list:
        """The command line that `spawn` runs."""
        args = [str(binary()), "serve"]
        for directory in self.data:
            args += ["--data", str(directory)]
        args += ["--listen", f"127.0.0.1:{self.port}", "--ops-listen", f"127.0.0.1:{self.ops_port}"]
        if self.config:
            args += ["--config", str(self.config)]
        for domain in self.domains:
            args += ["--domain", domain]
        return args + self.extra_args

    def environment(self) -> dict:
        """The test's environment without settings meant for another server, with the root account's keys."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("CAIRN_")}
        env["CAIRN_ROOT_ACCESS_KEY_ID"] = self.access_key_id
        env["CAIRN_ROOT_SECRET_ACCESS_KEY"] = self.secret_access_key
        # Tests sign wrongly on purpose, all of them from one address.
        env["CAIRN_IDENTITY_FAILED_SIGNATURES_PER_MINUTE"] = "0"
        env.update(self.extra_env)
        return env

    def spawn(self):
        """Starts the process and returns at once."""
        assert self.process is None, "the server already runs"
        assert binary().exists(), f"{binary()} is missing: build it, or set CAIRN_BINARY"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_ready(self, deadline_seconds=READY_DEADLINE_SECONDS) -> float:
        """Polls readiness on the S3 port; returns the seconds it took."""
        began = time.monotonic()
        while True:
            if self.process.poll() is not None:
                raise ServerFailed(f"cairn ended with {self.process.returncode} while starting\n{self.log_tail()}")
            if self.health("ready") == 200:
                return time.monotonic() - began
            if time.monotonic() - began > deadline_seconds:
                raise ServerFailed(f"cairn was not ready within {deadline_seconds} s\n{self.log_tail()}")
            time.sleep(POLL_SECONDS)

    def start(self, deadline_seconds=READY_DEADLINE_SECONDS) -> float:
        """Starts the process and waits until it serves; returns the seconds from spawn to ready."""
        began = time.monotonic()
        self.spawn()
        self.wait_ready(deadline_seconds)
        return time.monotonic() - began

    def health(self, which, *, ops=False):
        """The status of `/_health/<which>`, or None if nothing answers."""
        base = self.ops_endpoint if ops else self.endpoint
        try:
            with _DIRECT.open(f"{base}/_health/{which}", timeout=2) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def kill9(self):
        """SIGKILL, and waits until the process is gone."""
        assert self.process is not None, "no server runs"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(EXIT_DEADLINE_SECONDS)
        self.process = None

    def wait_exit(self, deadline_seconds=EXIT_DEADLINE_SECONDS) -> int:
        """Waits until the process ends by itself; returns its exit code."""
        assert self.process is not None, "no server runs"
        try:
            code = self.process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise ServerFailed(f"cairn did not end within {deadline_seconds} s\n{self.log_tail()}") from None
        self.process = None
        return code

    def terminate(self):
        """SIGTERM: the server drains and exits 0."""
        assert self.process is not None, "no server runs"
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit()
        assert code == 0, f"SIGTERM must end cairn with 0, it ended with {code}\n{self.log_tail()}"

    def stop(self):
        """For a fixture's end: terminates the server if it still runs."""
        if self.process is not None:
            self.terminate()

    def restart(self) -> float:
        """Kills the server and starts it on the same data and ports; returns the seconds to readiness."""
        self.kill9()
        return self.start()

    def log_tail(self, lines=40) -> str:
        """The last lines of the server's log, for messages."""
        if not self.log.exists():
            return "(no log)"
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(["--- cairn's log ends with:", *text[-lines:]])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
