"""One server for all tests of the wire: with a domain, and with a second account."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from server_process import ServerProcess
from wire.exchange import Wire
from wire.signer import Credentials

DOMAIN = "s3.cairn.test"
OTHER = Credentials("CAIRNTESTOTHER000001", "cairn-test-secret-of-the-other-account-1")
CONFIG = f"""
[[account]]
id = "111122223333"
display_name = "other"
access_key_id = "{OTHER.access_key_id}"
secret_access_key = "{OTHER.secret_access_key}"
"""


@pytest.fixture(scope="session")
def wire_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wire")
    config = folder / "cairn.toml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    with ServerProcess(folder / "data", folder / "cairn.log", config=config, domains=[DOMAIN]) as server:
        assert Wire(server).send("PUT", "/wire-tests").status == 200
        yield server


@pytest.fixture
def wire(wire_server):
    """The server as a test speaks to it; the process must outlive the test."""
    yield Wire(wire_server, OTHER)
    assert wire_server.process.poll() is None, f"the server died\n{wire_server.log_tail()}"
