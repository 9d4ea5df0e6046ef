"""The server that tests over the network share, and what its log said when one of them fails.

    make test-clients                     # the usual way: builds, makes the venv, runs everything
    pytest tests/clients -k restic        # one client, from that venv (~/.cache/cairn/venv/bin/pytest)

What the environment may say:

    CAIRN_BINARY              the server to test; else release/cairn in ${CARGO_TARGET_DIR:-~/.cache/cairn/target}
    CAIRN_TEST_ENDPOINT       an S3 server that already runs, such as http://127.0.0.1:9000. Nothing is started then,
                              the buckets that tests make stay, and what needs a server of our own is skipped.
    CAIRN_TEST_ACCESS_KEY_ID, CAIRN_TEST_SECRET_ACCESS_KEY    the credentials for it
    CAIRN_TEST_DOMAIN         the suffix of its virtual-hosted buckets, if it has one
    CAIRN_TEST_SEED           repeats the random choices of a run; each test prints the seed that it used
    CAIRN_TEST_BIG=1          move a 3 GB file instead of one of 400 MB
"""

import dataclasses
import os
import pathlib
import sys

import pytest
from server_process import ServerProcess, binary

LOG_TAIL_BYTES = 16 * 1024


@dataclasses.dataclass
class Server:
    """A server that answers, and how to speak to it."""

    endpoint: str
    access_key: str
    secret_key: str
    domain: str | None = None
    """Suffix of virtual-hosted bucket names."""

    @property
    def host(self) -> str:
        """Host and port, as clients take it that want no scheme."""
        return self.endpoint.partition("://")[2]

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])


def log_since(log: pathlib.Path, offset: int) -> str:
    """What the server wrote after `offset`; the last part of it if it is long."""
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(offset, end - LOG_TAIL_BYTES))
        return file.read().decode(errors="replace")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest):
    """The server that most tests share. At the end SIGTERM must end it with code 0."""
    if endpoint := os.environ.get("CAIRN_TEST_ENDPOINT"):
        yield Server(
            endpoint=endpoint.rstrip("/"),
            access_key=os.environ.get("CAIRN_TEST_ACCESS_KEY_ID", "test"),
            secret_key=os.environ.get("CAIRN_TEST_SECRET_ACCESS_KEY", "test"),
            domain=os.environ.get("CAIRN_TEST_DOMAIN"),
        )
        return
    folder, domain = tmp_path_factory.mktemp("server"), "s3.cairn.test"
    with ServerProcess(folder / "data", folder / "server.log", domains=[domain]) as process:
        request.config.stash[SHARED_LOG] = process.log
        yield Server(process.endpoint, process.access_key_id, process.secret_access_key, domain)


SHARED_LOG = pytest.StashKey[pathlib.Path]()
LOG_OFFSET = pytest.StashKey[int]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    log = item.config.stash.get(SHARED_LOG, None)
    item.stash[LOG_OFFSET] = log.stat().st_size if log else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows with each failure what the server logged meanwhile."""
    report = yield
    log = item.config.stash.get(SHARED_LOG, None)
    if report.failed and log and log.exists() and "server" in getattr(item, "fixturenames", ()):
        report.sections.append(("Server log", log_since(log, item.stash.get(LOG_OFFSET, 0))))
    return report


def pytest_report_header() -> str:
    return f"server: {os.environ.get('CAIRN_TEST_ENDPOINT') or binary()}, python: {sys.executable}"
