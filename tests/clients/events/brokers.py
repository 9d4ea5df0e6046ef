"""Every kind of event target as a server of the tests' own: how it is started, configured, and read.

Each is a child process on a free port of loopback, or lives in this process, and is gone when the tests end. What cannot
be started here raises `Missing`: its tests are skipped, with the reason.
"""

import asyncio
import contextlib
import hashlib
import hmac
import http.server
import importlib.util
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

import boto3
import botocore.config
import botocore.exceptions
from certificates import certified
from server_process import free_port

START_SECONDS = 60
USER, PASSWORD = "cairn", "a-broker's-pass+word"
WRONG = "not-the-password"
DEBIAN_FOLDERS = ["/usr/sbin", "/usr/lib/rabbitmq/bin", *map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin"))]


class Missing(Exception):
    """The server is not installed, and so its tests are skipped."""


def program(name):
    """The path of an installed program."""
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"], *DEBIAN_FOLDERS])
    if found := shutil.which(name, path=path):
        return found
    raise Missing(f"{name} is not installed")


def needs(module):
    if importlib.util.find_spec(module) is None:
        raise Missing(f"Python's {module} is not installed")


def wait_for(condition, what, seconds=START_SECONDS):
    """Polls until `condition` holds; what it raises counts as no."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Exception):
            if found := condition():
                return found
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.02)


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def toml(**settings):
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())


class Broker:
    """A server that takes events."""

    name = ""
    kind = ""
    keeps = True
    """Whether what is sent while nobody reads can be read later."""
    user = None
    """Whom it runs as, if we are root and it refuses root."""
    stop_signal = signal.SIGTERM

    def __init__(self):
        # Not in pytest's folder, which other users may not enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"cairn-{self.name}-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.process = None
        self.bodies = []
        self.authority = None

    def popen(self, *command, env=None):
        as_user = {}
        if self.user and os.geteuid() == 0:
            entry = pwd.getpwnam(self.user)
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, entry.pw_uid, entry.pw_gid)
            as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(part) for part in command],
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **(env or {})},
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **as_user,
            )  # fmt: skip

    def certificate(self):
        """Files of a certificate and its key, the same at each start; `authority` is who vouches for it."""
        if self.authority is None:
            self.authority, *self.own = certified(self.folder)
        return self.own

    def log(self):
        path = self.folder.parent / f"{self.folder.name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def spawn(self, *command, env=None):
        """Starts the server and waits until it listens."""
        self.process = self.popen(*command, env=env)

        def is_up():
            assert self.process.poll() is None
            return answers(self.port)

        wait_for(is_up, lambda: f"{self.name} does not start\n{self.log()}")

    def start(self):
        raise NotImplementedError

    def stop(self):
        if self.process is not None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
            self.process = None

    def close(self):
        """The end of the tests."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)

    def settings(self):
        """The target's keys beside its name and kind."""
        raise NotImplementedError

    def wrong_settings(self):
        """The same with credentials that are refused; None where there are none."""
        return None

    def received(self):
        """Every body that arrived, in order, as parsed JSON."""
        return list(self.bodies)


class Webhook(Broker):
    name = kind = "webhook"
    secret = "the-key-of-the-signature"
    batch_size = 1

    def start(self):
        broker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(200)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["Authorization"] != f"Bearer {PASSWORD}":
                    return self.answer(401)
                fields = dict(part.split("=") for part in self.headers["X-Cairn-Signature"].split(","))
                assert abs(time.time() - int(fields["t"])) < 60
                signed = f"{fields['t']}.".encode() + body
                assert fields["v1"] == hmac.new(broker.secret.encode(), signed, hashlib.sha256).hexdigest()
                body = json.loads(body)
                broker.bodies += body if isinstance(body, list) else [body]
                return self.answer(200)

            def answer(self, status):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def settings(self, token=PASSWORD):
        url = f"http://127.0.0.1:{self.port}/hook"
        return toml(url=url, secret=self.secret, bearer_token=token, batch_size=self.batch_size)

    def wrong_settings(self):
        return self.settings(WRONG)


class WebhookInBatches(Webhook):
    name = "webhook-batch"
    batch_size = 50


class Kafka(Broker):
    """librdkafka's mock cluster in this process; or any real brokers, which CAIRN_TEST_KAFKA names (HOST:PORT,...)."""

    name = kind = "kafka"

    def start(self):
        needs("confluent_kafka")
        import confluent_kafka

        self.topic = f"cairn-{uuid.uuid4().hex[:8]}"
        self.brokers = os.environ.get("CAIRN_TEST_KAFKA", "").split(",")
        if self.brokers == [""]:
            # The cluster is as long as this client is.
            self.cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1})
            known = self.cluster.list_topics(timeout=START_SECONDS).brokers.values()
            self.brokers = [f"{each.host}:{each.port}" for each in known]
        servers = ",".join(self.brokers)
        producer = confluent_kafka.Producer({"bootstrap.servers": servers})
        wait_for(lambda: producer.list_topics(self.topic, timeout=5).topics[self.topic].partitions, "no topic")
        settings = {"group.id": self.topic, "auto.offset.reset": "earliest"}
        self.consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, **settings})
        self.consumer.subscribe([self.topic])

    def stop(self):
        """Nothing can stop a mock cluster and have it again."""

    def settings(self):
        return toml(brokers=self.brokers, topic=self.topic)

    def received(self):
        for record in self.consumer.consume(1000, 0.05):
            assert record.error() is None, record.error()
            body = json.loads(record.value())
            self.bodies.append(body)
            for one in body.get("Records", []):
                key = urllib.parse.unquote_plus(one["s3"]["object"]["key"])
                assert record.key().decode() == f"{one['s3']['bucket']['name']}/{key}"
        return list(self.bodies)


class Nats(Broker):
    name = kind = "nats"
    keeps = False
    jetstream = False
    tls = False

    def start(self):
        needs("nats")
        config = self.folder / "nats.conf"
        tls = ""
        if self.tls:
            certificate, key = self.certificate()
            tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'
        config.write_text(
            tls +
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder}/js" }}\n'
            f"authorization {{ user: {USER}, password: {json.dumps(PASSWORD)} }}\n"
        )
        self.spawn(program("nats-server"), "-c", config)
        self.run(self.prepare())
        if not self.jetstream:
            threading.Thread(target=self.listen, daemon=True).start()
            wait_for(lambda: self.listening, "nobody listens")

    listening = False

    def run(self, work):
        return asyncio.run(asyncio.wait_for(work, START_SECONDS))

    async def client(self):
        import nats

        async def ignore(_error):
            """The server ends before its listeners."""

        tls = ssl.create_default_context(cafile=self.authority) if self.tls else None
        url = f"nats://127.0.0.1:{self.port}"
        return await nats.connect(url, user=USER, password=PASSWORD, allow_reconnect=False, error_cb=ignore, tls=tls)

    async def prepare(self):
        if self.jetstream:
            client = await self.client()
            await client.jetstream().add_stream(name="EVENTS", subjects=["storage.>"])
            await client.close()

    def listen(self):
        async def forever():
            client = await self.client()

            async def take(message):
                self.bodies.append(json.loads(message.data))

            await client.subscribe("storage.events", cb=take)
            await client.flush()
            self.listening = True
            await asyncio.Event().wait()

        with contextlib.suppress(Exception):
            asyncio.run(forever())

    def settings(self, password=PASSWORD):
        servers = [f"{'tls' if self.tls else 'nats'}://127.0.0.1:{self.port}"]
        tls = {"ca_file": str(self.authority)} if self.tls else {}
        return toml(
            servers=servers, subject="storage.events", jetstream=self.jetstream, username=USER, password=password, **tls
        )

    def wrong_settings(self):
        return self.settings(WRONG)


class JetStream(Nats):
    """Behind TLS."""

    name = "jetstream"
    keeps = True
    jetstream = True
    tls = True

    def received(self):
        async def read():
            client = await self.client()
            stream = client.jetstream()
            last = (await stream.stream_info("EVENTS")).state.last_seq
            for sequence in range(len(self.bodies) + 1, last + 1):
                self.bodies.append(json.loads((await stream.get_msg("EVENTS", sequence)).data))
            await client.close()

        self.run(read())
        return list(self.bodies)


class RabbitMq(Broker):
    name = kind = "amqp"
    user = "rabbitmq"

    def start(self):
        needs("pika")
        import pika

        server = program("/usr/lib/rabbitmq/bin/rabbitmq-server")
        epmd_port = str(free_port())
        config = self.folder / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndefault_user = {USER}\ndefault_pass = {PASSWORD}\n"
            "loopback_users = none\nlog.console = true\nlog.file = false\n"
        )
        (self.folder / "plugins").write_text("[].\n")
        env = {
            "ERL_EPMD_PORT": epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"cairn{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -start_epmd false",
        }
        # Erlang's name server would be left behind by a node that starts it itself.
        self.epmd = self.popen(program("epmd"), "-port", epmd_port, "-address", "127.0.0.1", env=env)
        wait_for(lambda: answers(int(epmd_port)), "epmd does not start")
        self.spawn(server, env=env)
        credentials = pika.PlainCredentials(USER, PASSWORD)
        parameters = pika.ConnectionParameters("127.0.0.1", self.port, "/", credentials, heartbeat=0)
        self.connection = wait_for(
            lambda: pika.BlockingConnection(parameters), lambda: f"no connection to RabbitMQ\n{self.log()}"
        )
        self.channel = self.connection.channel()
        self.channel.exchange_declare("s3", "direct", durable=True)
        self.channel.queue_declare("s3-events", durable=True)
        self.channel.queue_bind("s3-events", "s3", "events")

    def stop(self):
        if self.process is not None:
            os.killpg(self.process.pid, 15)
            self.process.wait(30)
            self.process = None
        if self.epmd is not None:
            self.epmd.kill()
            self.epmd.wait(10)
            self.epmd = None

    epmd = None

    def settings(self, password=PASSWORD):
        url = f"amqp://127.0.0.1:{self.port}"
        return toml(url=url, exchange="s3", routing_key="events", username=USER, password=password)

    def wrong_settings(self):
        return self.settings(WRONG)

    def received(self):
        while True:
            method, properties, body = self.channel.basic_get("s3-events", auto_ack=True)
            if method is None:
                return list(self.bodies)
            assert properties.delivery_mode == 2 and properties.message_id
            self.bodies.append(json.loads(body))


class Mosquitto(Broker):
    name = kind = "mqtt"
    client = None

    def start(self):
        needs("paho")
        import paho.mqtt.client as mqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        passwords, config = self.folder / "passwords", self.folder / "mosquitto.conf"
        subprocess.run([program("mosquitto_passwd"), "-b", "-c", passwords, USER, PASSWORD], check=True)
        as_root = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"{as_root}listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            f"persistence true\npersistence_location {self.folder}/\nmax_queued_messages 0\n"
        )
        self.spawn(program("mosquitto"), "-c", config)
        if self.client is not None:
            return
        subscribed = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "reader", protocol=mqtt.MQTTv5)
        self.client.username_pw_set(USER, PASSWORD)
        self.client.on_connect = lambda client, *_: client.subscribe("storage/events", qos=1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _client, _data, message: self.bodies.append(json.loads(message.payload))
        self.client.reconnect_delay_set(1, 1)
        # The broker keeps what comes while we are away.
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", self.port, clean_start=False, properties=properties)
        self.client.loop_start()
        assert subscribed.wait(START_SECONDS), "no subscription"

    def close(self):
        if self.client is not None:
            self.client.disconnect()
            self.client.loop_stop()
        super().close()

    def settings(self, password=PASSWORD):
        url = f"mqtt://127.0.0.1:{self.port}"
        return toml(url=url, topic="storage/events", username=USER, password=password)

    def wrong_settings(self):
        return self.settings(WRONG)


class Redis(Broker):
    kind = "redis"
    name = "redis-stream"
    mode = "stream"
    tls = False

    def start(self):
        needs("redis")
        import redis

        command = f"--port {self.port} --bind 127.0.0.1 --appendonly yes --appendfsync no --save".split()
        tls, options = [], {}
        if self.tls:
            certificate, key = self.certificate()
            tls = ["--port", "0", "--tls-port", self.port, "--tls-auth-clients", "no"]
            tls += ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", self.authority]
            options = {"ssl": True, "ssl_ca_certs": str(self.authority)}
        self.spawn(program("redis-server"), *command, "", "--dir", self.folder, "--requirepass", PASSWORD, *tls)
        self.client = redis.Redis("127.0.0.1", self.port, password=PASSWORD, **options)
        wait_for(self.client.ping, "no answer of Redis")
        if self.mode == "pubsub":
            subscription = self.client.pubsub()
            subscription.subscribe("events")
            # The first message says that we have subscribed.
            wait_for(lambda: subscription.get_message(timeout=1), "no subscription")
            threading.Thread(target=self.listen, args=(subscription,), daemon=True).start()

    def listen(self, subscription):
        with contextlib.suppress(Exception):
            for message in subscription.listen():
                if message["type"] == "message":
                    self.bodies.append(json.loads(message["data"]))

    def settings(self, password=PASSWORD):
        url = f"{'rediss' if self.tls else 'redis'}://127.0.0.1:{self.port}/0"
        tls = {"ca_file": str(self.authority)} if self.tls else {}
        return toml(url=url, mode=self.mode, key="events", password=password, **tls)

    def wrong_settings(self):
        return self.settings(WRONG)

    def received(self):
        if self.mode == "stream":
            return [json.loads(fields[b"body"]) for _, fields in self.client.xrange("events")]
        if self.mode == "list":
            return [json.loads(body) for body in self.client.lrange("events", 0, -1)]
        return list(self.bodies)


class RedisList(Redis):
    """Behind TLS."""

    tls = True
    name = "redis-list"
    mode = "list"


class RedisPubSub(Redis):
    name = "redis-pubsub"
    mode = "pubsub"
    keeps = False


class Postgresql(Broker):
    name = kind = "postgresql"
    user = "postgres"
    # SIGTERM would wait until its clients leave by themselves.
    stop_signal = signal.SIGINT
    mode = "append"

    def start(self):
        postgres, psql = program("postgres"), program("psql")
        data = self.folder / "data"
        if not data.exists():
            password = self.folder / "password"
            password.write_text(PASSWORD)
            initdb = self.popen(
                program("initdb"), "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", password, "--no-sync"
            )
            assert initdb.wait(START_SECONDS) == 0, self.log()
        self.spawn(
            postgres, "-D", data, "-p", self.port, "-k", self.folder, "-c", "listen_addresses=127.0.0.1", "-F",
            "-c", "max_connections=20",
        )  # fmt: skip
        self.psql = [psql, "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres", "-At", "-X", "-c"]
        wait_for(lambda: self.query("SELECT 1"), lambda: f"no answer of PostgreSQL\n{self.log()}")

    def query(self, statement):
        environment = {"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD}
        done = subprocess.run([*self.psql, statement], capture_output=True, env=environment, text=True)
        if "does not exist" in done.stderr:
            return []
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def settings(self, password=PASSWORD):
        url = f"postgresql://127.0.0.1:{self.port}/postgres"
        return toml(url=url, table="public.events", mode=self.mode, username=USER, password=password)

    def wrong_settings(self):
        return self.settings(WRONG)

    def received(self):
        return [json.loads(row) for row in self.query("SELECT body FROM events ORDER BY position")]


class PostgresqlUpsert(Postgresql):
    name = "postgresql-upsert"
    mode = "upsert"

    def received(self):
        return [json.loads(row) for row in self.query("SELECT body FROM events ORDER BY key")]


class Moto(Broker):
    """Amazon's services, as moto plays them (moto_server.py). It forgets everything when it ends."""

    name = kind = "sqs"
    queue = "s3-events"

    def start(self):
        for module in ["moto", "flask", "flask_cors"]:
            needs(module)
        script = pathlib.Path(__file__).with_name("moto_server.py")
        command = [sys.executable, script, self.port, self.queue]
        self.spawn(*command, env={"MOTO_IAM_LOAD_MANAGED_POLICIES": "false"})
        session = boto3.Session("mock", "mock", region_name="us-east-1")
        config = botocore.config.Config(retries={"total_max_attempts": 1})
        self.sqs = session.client("sqs", endpoint_url=self.endpoint, config=config)
        self.queue_url = f"{self.endpoint}/123456789012/{self.queue}"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def settings(self):
        return toml(queue_url=self.queue_url, access_key_id="mock", secret_access_key="mock")

    def received(self):
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10)
            messages = answer.get("Messages", [])
            for message in messages:
                self.bodies.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
            if not messages:
                return list(self.bodies)


class MotoFifo(Moto):
    name = "sqs-fifo"
    queue = "s3-events.fifo"


class MotoSns(Moto):
    name = kind = "sns"

    def settings(self):
        arn = "arn:aws:sns:us-east-1:123456789012:s3-events"
        return toml(topic_arn=arn, endpoint=self.endpoint, access_key_id="mock", secret_access_key="mock")


class MotoEventBridge(Moto):
    name = kind = "eventbridge"

    def settings(self):
        return toml(event_bus="default", endpoint=self.endpoint, access_key_id="mock", secret_access_key="mock")


class File(Broker):
    name = kind = "file"

    def start(self):
        self.path = self.folder / "events.jsonl"

    def stop(self):
        """A rotation is all that happens to files."""
        if self.path.exists():
            self.path.rename(self.folder / "events.jsonl.1")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def settings(self):
        return toml(path=str(self.path))

    def received(self):
        paths = [self.folder / "events.jsonl.1", self.path]
        lines = [line for path in paths if path.exists() for line in path.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]


BROKERS = [
    Webhook, WebhookInBatches, Kafka, Nats, JetStream, RabbitMq, Mosquitto, Redis, RedisList, RedisPubSub, Postgresql,
    PostgresqlUpsert, Moto, MotoFifo, MotoSns, MotoEventBridge, File,
]  # fmt: skip
