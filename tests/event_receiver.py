"""A webhook that keeps the events which it is sent, by the last part of its path."""

import http.server
import json
import threading
import time

DEADLINE_SECONDS = 20


class EventReceiver:
    """Listens on a port of loopback, with TLS if it is given a context for that. `status` is what it answers; other
    than 200, it keeps nothing."""

    def __init__(self, port=0, tls=None):
        self.status = 200
        self._messages = []
        self._arrived = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    name = self.path.rsplit("/", 1)[-1]
                    document = json.loads(body)
                    # A batch is an array.
                    for one in document if isinstance(document, list) else [document]:
                        receiver._keep(name, dict(self.headers), one)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_OPTIONS = do_HEAD

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            # Hands are shaken where a connection is served, so that one that fails holds up no other.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self._server.handle_error = lambda *_: None
            self._scheme = "https"
        self.port = self._server.server_port

    def url(self, name):
        """Where the target `name` sends to."""
        return f"{self._scheme}://127.0.0.1:{self.port}/{name}"

    def _keep(self, name, headers, document):
        with self._arrived:
            self._messages.append((name, headers, document))
            self._arrived.notify_all()

    def messages(self, name=None):
        """`(target, headers, document)` of what has come, in the order in which it came."""
        with self._arrived:
            return [message for message in self._messages if name in (None, message[0])]

    def wait(self, wanted, count, what="messages"):
        """The messages for which `wanted(target, document)` holds, when there are `count`."""

        def found(messages):
            return [message for message in messages if wanted(message[0], message[2])]

        return self._when(found, count, what)

    def records(self, bucket, count, name=None):
        """The records of a bucket's events when there are `count`, in the order in which they came. What is delivered
        again, as it may be, counts once."""

        def found(messages):
            once = {}
            for target, _, document in messages:
                for record in document.get("Records", []):
                    if name in (None, target) and record["s3"]["bucket"]["name"] == bucket:
                        once.setdefault(json.dumps(record, sort_keys=True), record)
            return list(once.values())

        return self._when(found, count, f"events of {bucket}")

    def _when(self, found, count, what):
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._arrived:
            while True:
                now = found(self._messages)
                if len(now) >= count:
                    return now
                left = deadline - time.monotonic()
                assert left > 0, f"{len(now)} of {count} {what} came within {DEADLINE_SECONDS} s: {now}"
                self._arrived.wait(left)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
