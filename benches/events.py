"""What events cost: PUTs of 4 KiB with 64 connections without notifications, with a dead webhook, and with a healthy
one, side by side, in several rounds that take turns; then the time from a PUT to its event on an idle server.

    make bench-events                       # or: benches/events.py BENCH [--rounds N] [--seconds N] [--batch N]

BENCH is the built benchmark `end_to_end`, whose load generator is used; `CAIRN_BINARY` names the server. The webhook is
a process of its own on the same machine, so its CPU time is part of the price that is shown.
"""

import argparse
import asyncio
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from durability.client import Client
from server_process import ServerProcess, free_port

BUCKET = "cairn-bench"
CONNECTIONS = 64
LATENCY_PUTS = 400
LATENCY_PAUSE_SECONDS = 0.02


class Webhook(asyncio.Protocol):
    """Takes every request; notes when the first record of each came."""

    arrivals = None

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            if self.arrivals is not None and body:
                self.arrivals.put((time.monotonic(), body))
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def serve(port, arrivals):
    """The webhook's process."""

    async def run():
        Webhook.arrivals = arrivals
        server = await asyncio.get_running_loop().create_server(Webhook, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(run())


class Measured:
    """A server with, or without, a webhook for all of a bucket's events."""

    def __init__(self, folder, kind, batch, arrivals=None):
        self.kind, self.webhook, port = kind, None, free_port()
        if kind == "healthy":
            self.webhook = multiprocessing.Process(target=serve, args=(port, arrivals), daemon=True)
            self.webhook.start()
        config = folder / f"{kind}.toml"
        config.write_text(
            f'[[event_target]]\nname = "hook"\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\nbatch_size = {batch}\n'
        )
        self.server = ServerProcess(folder / kind, folder / f"{kind}.log", config=config)
        self.server.start()
        client = Client(self.server)
        client.expect(200, "PUT", BUCKET)
        if kind != "none":
            document = (
                "<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:000000000000:hook</Queue>"
                "<Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"
            )
            headers = [("x-amz-skip-destination-validation", "true")]
            client.expect(200, "PUT", BUCKET, query=[("notification", "")], headers=headers, body=document.encode())
        client.close()

    def rate(self, bench, seconds, folder) -> float:
        """PUTs a second."""
        out = folder / "figures.json"
        command = [bench, "matrix", "--only", "put", "--sizes", "4k", "--connections", str(CONNECTIONS)]
        command += ["--seconds", str(seconds), "--json", str(out)]
        command += ["--endpoint", f"127.0.0.1:{self.server.port}", "--pid", str(self.server.process.pid)]
        command += ["--access-key", self.server.access_key_id, "--secret-key", self.server.secret_access_key]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())["matrix"][0]["operations_per_second"]

    def close(self):
        """Ends the server and the webhook."""
        self.server.kill9()
        if self.webhook is not None:
            self.webhook.terminate()


def latencies(folder) -> list[float]:
    """Seconds from the start of a PUT to the arrival of its event, one PUT after another."""
    arrivals = multiprocessing.Queue()
    measured = Measured(folder, "healthy", 1, arrivals)
    sent = {}
    client = Client(measured.server)
    for number in range(LATENCY_PUTS):
        key = f"latency/{number}"
        sent[key] = time.monotonic()
        client.expect(200, "PUT", BUCKET, key, body=b"x" * 1000)
        time.sleep(LATENCY_PAUSE_SECONDS)
    found = {}
    while len(found) < len(sent):
        came, body = arrivals.get(timeout=10)
        for record in json.loads(body).get("Records", []):
            key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
            found.setdefault(key, came - sent[key])
    measured.close()
    return sorted(found.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--batch", type=int, default=100, help="events in one request of the healthy webhook")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-bench-events-") as name:
        folder = pathlib.Path(name)
        rates = {kind: [] for kind in ("none", "dead", "healthy")}
        for number in range(options.rounds):
            for kind, measured in rates.items():
                (folder / str(number)).mkdir(exist_ok=True)
                server = Measured(folder / str(number), kind, options.batch)
                measured.append(server.rate(options.bench, options.seconds, folder))
                server.close()
        (folder / "latency").mkdir()
        times = latencies(folder / "latency")
    base = statistics.median(rates["none"])
    for kind, measured in rates.items():
        middle = statistics.median(measured)
        print(f"{kind:8} {middle:8.0f} PUT/s  {middle / base:6.1%}   rounds: {[round(rate) for rate in measured]}")
    quantile = {part: times[min(len(times) - 1, int(len(times) * part))] for part in (0.5, 0.99)}
    print(f"delivery on an idle server: p50 {quantile[0.5] * 1e3:.1f} ms, p99 {quantile[0.99] * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
