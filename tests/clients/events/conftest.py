"""One server with a target of every kind, and the brokers behind them, started together."""

import concurrent.futures
import contextlib
import os
import types

import pytest
from brokers import BROKERS, Missing
from server_process import ServerProcess


class World:
    """The server and its brokers, by name; `missing` says why a broker is not there."""

    def __init__(self, folder):
        self.brokers, self.missing, self.process = {}, {}, None
        self.folder = folder

    def start(self):
        made = [each() for each in BROKERS]
        with concurrent.futures.ThreadPoolExecutor(len(made)) as pool:
            starting = {broker.name: (broker, pool.submit(broker.start)) for broker in made}
        failure = None
        for name, (broker, started) in starting.items():
            try:
                started.result()
                self.brokers[name] = broker
            except Missing as missing:
                self.missing[name] = str(missing)
            except BaseException as error:
                self.brokers[name], failure = broker, failure or error
        if failure:
            raise failure
        config = self.folder / "config.toml"
        config.write_text('[events]\nlongest_backoff = "1s"\n' + "".join(self.tables()))
        self.process = ServerProcess(self.folder / "data", self.folder / "server.log", config=config)
        try:
            self.process.start()
        except BaseException:
            if self.process.process.poll() is not None:
                # It has said why; there is nothing to stop any more.
                self.process.process = None
            raise

    def tables(self):
        for name, broker in self.brokers.items():
            head = f'kind = "{broker.kind}"\ntimeout = "5s"\n'
            yield f'[[event_target]]\nname = "{name}"\n{head}{broker.settings()}\n'
            if wrong := broker.wrong_settings():
                yield f'[[event_target]]\nname = "{name}-wrong"\n{head}{wrong}\n'

    def close(self):
        """Ends everything, whatever goes wrong with one of them."""
        with contextlib.ExitStack() as stack:
            for broker in self.brokers.values():
                stack.callback(broker.close)
            if self.process is not None:
                stack.callback(self.process.stop)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    if "CAIRN_TEST_ENDPOINT" in os.environ:
        pytest.skip("event targets need a server of our own")
    world = World(tmp_path_factory.mktemp("events"))
    try:
        world.start()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="session")
def server(world):
    """The server that the clients' fixtures speak to."""
    process = world.process
    keys = {"access_key": process.access_key_id, "secret_key": process.secret_access_key}
    return types.SimpleNamespace(endpoint=process.endpoint, domain=None, **keys)


@pytest.fixture(params=[each.name for each in BROKERS])
def broker(request, world):
    """Each broker in turn."""
    if reason := world.missing.get(request.param):
        pytest.skip(reason)
    return world.brokers[request.param]
