"""Paths, and a server on a data directory of its own."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from server_process import ServerProcess


@pytest.fixture
def own_server(tmp_path):
    """A running server that this test alone uses."""
    with ServerProcess(tmp_path / "data", tmp_path / "cairn.log") as running:
        yield running
