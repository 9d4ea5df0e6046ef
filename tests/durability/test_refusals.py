"""A data directory has one server, of a format that it knows; SIGTERM finishes what was begun."""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from durability.client import Client, Lost
from durability.content import content, etag
from server_process import ServerProcess
from wire.signer import UNSIGNED, object_path, sign

BUCKET = "refusals"
MiB = 1024 * 1024
# What a message about an occupied directory must say in some way.
IN_USE = re.compile(r"in use|locked|already|another", re.IGNORECASE)


@pytest.fixture
def stored(own_server):
    """A running server with one object in it."""
    client = Client(own_server)
    client.expect(200, "PUT", BUCKET)
    client.expect(200, "PUT", BUCKET, "kept", body=content("kept", 100_000))
    client.close()
    return own_server


def assert_kept(server):
    client = Client(server)
    assert client.expect(200, "GET", BUCKET, "kept").body == content("kept", 100_000)
    client.close()


def test_a_second_server_on_the_same_data_is_refused(stored, tmp_path):
    second = ServerProcess(stored.data, tmp_path / "second.log")
    second.spawn()
    assert second.wait_exit() != 0
    said = second.log.read_text()
    assert IN_USE.search(said) and str(stored.data[0]) in said, f"the message must say what is wrong and where:\n{said}"
    assert_kept(stored)
    stored.terminate()
    stored.start()
    assert_kept(stored)


def test_data_of_a_newer_format_is_refused(stored):
    stored.terminate()
    marker = stored.data[0] / "cairn-format"
    original = marker.read_text()
    ours = int(re.search(r"format\s*=\s*(\d+)", original)[1])
    newer = ours + 7919
    marker.write_text(re.sub(r"(format\s*=\s*)\d+", rf"\g<1>{newer}", original))
    stored.log.write_text("")
    stored.spawn()
    assert stored.wait_exit() != 0
    said = stored.log.read_text()
    assert str(newer) in said, f"the message must name the format found:\n{said}"
    assert re.search(rf"\b{ours}\b", said), f"the message must name the format that this release knows:\n{said}"
    assert str(newer) in marker.read_text(), "a refused directory stays as it is"
    marker.write_text(original)
    stored.start()
    assert_kept(stored)


class SlowUpload:
    """A PUT whose body is sent in two parts, with as much time between them as the test wants."""

    def __init__(self, server, key, body):
        client = Client(server)
        self.body = body
        path = object_path(BUCKET, key)
        headers = [("Host", client.host), ("Content-Length", str(len(body)))]
        pairs, _ = sign(client.credentials, "PUT", path, [], headers, UNSIGNED)
        head = f"PUT {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in pairs) + "\r\n"
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.half = len(body) // 2
        self.socket.sendall(head.encode() + body[: self.half])

    def finish(self):
        """Sends the rest; gives the status line."""
        self.socket.sendall(self.body[self.half :])
        with self.socket.makefile("rb") as answer:
            line = answer.readline().decode()
        self.socket.close()
        return line


class SlowDownload:
    """A GET whose answer is read in two parts."""

    def __init__(self, server, key):
        client = Client(server)
        path = object_path(BUCKET, key)
        pairs, _ = sign(client.credentials, "GET", path, [], [("Host", client.host)], UNSIGNED)
        head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in pairs) + "\r\n"
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.sendall(head.encode())
        self.file = self.socket.makefile("rb")
        self.status = self.file.readline().decode()
        self.length = 0
        while (line := self.file.readline().strip()) != b"":
            if line.lower().startswith(b"content-length:"):
                self.length = int(line.split(b":")[1])
        self.begun = self.file.read(1000)

    def finish(self):
        """Reads the rest; gives the whole body."""
        body = self.begun + self.file.read(self.length - len(self.begun))
        self.file.close()
        self.socket.close()
        return body


def test_sigterm_finishes_what_is_in_flight_and_exits_0(stored):
    big = content("big", 8 * MiB)
    client = Client(stored)
    client.expect(200, "PUT", BUCKET, "big", body=big)
    client.close()
    uploads = {f"slow/{n}": SlowUpload(stored, f"slow/{n}", content(f"slow/{n}", 3 * MiB)) for n in range(4)}
    download = SlowDownload(stored, "big")
    assert " 200 " in download.status
    load = [Putter(stored, n) for n in range(4)]
    for putter in load:
        putter.start()
    wait_until(lambda: all(len(putter.acknowledged) > 20 for putter in load), "the load to get going")

    ended = ThreadPoolExecutor(1).submit(stored.terminate)
    for putter in load:
        putter.join(30)
        assert not putter.is_alive(), "a client of a draining server must get an answer or an end"
    for key, upload in uploads.items():
        assert " 200 " in upload.finish(), f"the upload of {key} was in flight when SIGTERM came"
    assert download.finish() == big, "the download was in flight when SIGTERM came"
    ended.result(60)

    stored.start()
    client = Client(stored)
    for key in uploads:
        assert client.expect(200, "GET", BUCKET, key).body == content(key, 3 * MiB)
    for putter in load:
        assert putter.errors == [], f"a draining server answers or closes, it does not fail: {putter.errors[:3]}"
        for key in putter.acknowledged:
            assert client.expect(200, "GET", BUCKET, key).headers["etag"] == etag(content(key, 2000))
    client.close()


class Putter(threading.Thread):
    """Puts small objects until the server goes away."""

    def __init__(self, server, number):
        super().__init__(daemon=True)
        self.client = Client(server)
        self.number = number
        self.acknowledged = []
        self.errors = []

    def run(self):
        count = 0
        try:
            while True:
                key = f"load/{self.number}/{count}"
                count += 1
                answer = self.client.request("PUT", BUCKET, key, body=content(key, 2000))
                if answer.status == 200:
                    self.acknowledged.append(key)
                elif answer.status != 503:
                    self.errors.append(str(answer))
        except Lost:
            self.client.close()


def wait_until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
