"""Runs the AWS SDK for Rust against a server of its own: `python tests/sdk_rust/run.py PROGRAM`."""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from server_process import ServerProcess  # noqa: E402

with tempfile.TemporaryDirectory() as folder:
    with ServerProcess(f"{folder}/data", f"{folder}/log") as server:
        keys = [server.access_key_id, server.secret_access_key]
        sys.exit(subprocess.run([sys.argv[1], server.endpoint, *keys]).returncode)
