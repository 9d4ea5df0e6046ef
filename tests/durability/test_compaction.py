"""After churn the space of deleted objects comes back, although live ones lie between them; none of them is hurt."""

import re
import time
import urllib.request

from durability.client import Client
from durability.content import content
from server_process import ServerProcess

BUCKET = "churned"
MiB = 1024 * 1024
SEGMENT = 64 * MiB
CONFIG = '[storage]\nsegment_size = "64MiB"\n'
OBJECTS = 90
SIZE = 4 * MiB
DEADLINE_SECONDS = 60


def figure(server, name):
    """A gauge of the server."""
    with urllib.request.urlopen(f"{server.ops_endpoint}/metrics", timeout=5) as answer:
        found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1])


def test_space_comes_back_after_churn(tmp_path):
    config = tmp_path / "cairn.toml"
    config.write_text(CONFIG)
    with ServerProcess(tmp_path / "data", tmp_path / "cairn.log", config=config) as server:
        client = Client(server)
        client.expect(200, "PUT", BUCKET)
        for number in range(OBJECTS):
            client.expect(200, "PUT", BUCKET, f"{number}", body=content(f"{number}", SIZE))
        kept = set(range(0, OBJECTS, 5))
        for number in set(range(OBJECTS)) - kept:
            client.expect(204, "DELETE", BUCKET, f"{number}")
        assert figure(server, "chunks_segments_sealed") >= 4
        deadline = time.monotonic() + DEADLINE_SECONDS
        live = len(kept) * SIZE
        while (used := figure(server, "chunks_segments_sealed") * SEGMENT) > live * 1.15:
            assert time.monotonic() < deadline, f"{used / MiB} MiB of full segments for {live / MiB} MiB"
            time.sleep(0.1)
        assert figure(server, "compaction_chunks_total") > 0 and figure(server, "compaction_failures_total") == 0
        for round in range(2):
            for number in kept:
                assert client.expect(200, "GET", BUCKET, f"{number}").body == content(f"{number}", SIZE), number
            if round == 0:
                client.close()
                server.kill9()
                server.start()
        client.close()
