"""Receivers of events: plain HTTP servers that take events, refuse them, hang, or are not there."""

import contextlib
import http.server
import json
import socket
import threading
import urllib.parse
from dataclasses import dataclass

# How long a hanging receiver holds a request, if nobody changes its mood: longer than any target's timeout.
HANG_SECONDS = 30


@dataclass(frozen=True)
class Event:
    """One record as a receiver took it."""

    name: str
    key: str
    etag: str
    sequencer: str
    """Empty where Amazon's records have none: those about tags."""
    request: str
    """The id of the request that made the change: the same when the event is sent again."""


class Receiver:
    """A webhook on a port of its own. `mood` is "takes", "refuses" or "hangs"; `close` and `open` make it vanish and
    come back."""

    def __init__(self, name: str, port: int):
        self.name, self.port = name, port
        self.events: list[Event] = []
        self.lock = threading.Lock()
        self.mood = "takes"
        self.mood_changed = threading.Condition()
        self.server = None
        self.open()

    @property
    def url(self) -> str:
        """Where events are posted to."""
        return f"http://127.0.0.1:{self.port}/{self.name}"

    def become(self, mood: str):
        """Changes the mood; requests that hang are let go, untaken."""
        with self.mood_changed:
            self.mood = mood
            self.mood_changed.notify_all()

    def open(self):
        """Listens."""
        self.server = _Server(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        """Listens no more, and breaks every connection."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server.break_connections()
            self.server = None
            self.become(self.mood)

    def take(self, body: bytes) -> bool:
        """Notes the events of a request, if the mood is so; raises `ConnectionError` to hang up."""
        if self.mood == "refuses":
            return False
        if self.mood == "hangs":
            with self.mood_changed:
                self.mood_changed.wait_for(lambda: self.mood != "hangs" or self.server is None, HANG_SECONDS)
            raise ConnectionError("hung")
        document = json.loads(body)
        documents = document if isinstance(document, list) else [document]
        with self.lock:
            for record in (record for document in documents for record in document.get("Records", [])):
                entity = record["s3"]["object"]
                key = urllib.parse.unquote_plus(entity["key"])
                sequencer, request = entity.get("sequencer", ""), record["responseElements"]["x-amz-request-id"]
                self.events.append(Event(record["eventName"], key, entity.get("eTag", ""), sequencer, request))
        return True

    def taken(self) -> list[Event]:
        """What came so far, in the order in which it came."""
        with self.lock:
            return list(self.events)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self.connections = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def break_connections(self):
        """What is still open is cut off."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def handle_error(self, request, client_address):
        """A sender that was killed is no error of the receiver's."""


def _handler(receiver: Receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken = receiver.take(body)
            self.send_response(200 if taken else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_OPTIONS = do_HEAD

        def log_message(self, *_):
            """Nobody reads it."""

    return Handler
