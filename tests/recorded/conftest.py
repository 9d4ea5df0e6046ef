"""One server for all replays, and the summary at the end of the run."""

import base64
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from event_receiver import EventReceiver
from server_process import ServerProcess

OUTCOMES = {}


@pytest.fixture(scope="session")
def recorded_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    with EventReceiver() as events:
        config = folder / "config.toml"
        targets = ("recorded-queue", "recorded-topic")
        table = '[[event_target]]\nname = "{0}"\nkind = "webhook"\nurl = "{1}"\n'
        config.write_text("".join(table.format(name, events.url(name)) for name in targets))
        with ServerProcess(folder / "data", folder / "cairn.log", config=config) as server:
            server.events = events
            yield server


@pytest.fixture(scope="session")
def encrypting_server(tmp_path_factory):
    """A server with a keyring: as AWS, it encrypts every object."""
    folder = tmp_path_factory.mktemp("recorded-encryption")
    keyring, config = folder / "keyring", folder / "config.toml"
    names = ("sse-s3", "aws/s3", "key-1")
    keyring.write_text("".join(f"{name} 1 {base64.b64encode(os.urandom(32)).decode()}\n" for name in names))
    keyring.chmod(0o600)
    config.write_text(f'[encryption]\nkeyring_file = "{keyring}"\n')
    with ServerProcess(folder / "data", folder / "cairn.log", config=config) as server:
        yield server


@pytest.fixture(scope="session")
def outcomes():
    """Recorded test name to the number of steps compared and differences found."""
    return OUTCOMES


def pytest_terminal_summary(terminalreporter):
    if not OUTCOMES:
        return
    from recorded import left_out, replay

    names = replay.load()
    agreed = sum(1 for _, differences in OUTCOMES.values() if not differences)
    steps = sum(compared for compared, _ in OUTCOMES.values())
    skipped = {}
    for _, name in names:
        if left_out.reason(name) and not any(name == done for _, done in OUTCOMES):
            skipped.setdefault(left_out.reason(name), []).append(name)
    terminalreporter.section("answers of AWS, recorded")
    terminalreporter.line(f"compared: {len(OUTCOMES)} recorded tests, {steps} answers; agreed: {agreed}")
    for why, left in skipped.items():
        terminalreporter.line(f"left out: {len(left)} ({why})")
    for (name, step), why in left_out.STEPS.items():
        terminalreporter.line(f"left out: {name}, step {step} ({why})")
    for (name, step), why in left_out.KNOWN_DIFFERENCES.items():
        terminalreporter.line(f"differs from AWS: {name}, step {step} ({why})")
