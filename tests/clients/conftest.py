"""What every client test needs: a way to run a client that sees nothing of this machine, boto3, a bucket."""

import itertools
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys

import boto3
import botocore.config
import pytest
from server_process import ServerProcess
from tenants import own_bucket, tenants  # noqa: F401 (fixtures)

REGION = "us-east-1"

CLIENT_SECONDS = 600
_bucket_numbers = itertools.count(1)


@pytest.fixture(autouse=True, scope="session")
def isolated_from_this_machine():
    """boto3 runs in this process: it must find neither our user's AWS settings nor a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


class TlsServerProcess(ServerProcess):
    """TLS is for S3; health stays plain HTTP on the operations listener."""

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def health(self, which, *, ops=True):
        return super().health(which, ops=ops)


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """The endpoint of a server with TLS and the certificate to trust it by. Its credentials are those of `server`."""
    if "CAIRN_TEST_ENDPOINT" in os.environ:
        pytest.skip("TLS needs a server of our own")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=cairn"
    command += f" -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    variables = {"CAIRN_TLS_CERT_FILE": str(certificate), "CAIRN_TLS_KEY_FILE": str(key)}
    with TlsServerProcess(folder / "data", folder / "server.log", env=variables) as process:
        yield process.endpoint, certificate


@pytest.fixture
def environment(server, tmp_path):
    """The whole environment of a client process."""
    home = tmp_path / "home"
    home.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return {
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "LC_ALL": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A request that fails must be seen, not repeated.
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ENDPOINT_URL_S3": server.endpoint,
    }


@pytest.fixture
def run(environment, tmp_path):
    """run("aws", "s3", "ls") -> stdout. Fails with the client's output unless it ends with `code`."""

    def execute(*command, code=0, cwd=tmp_path, stdin=None, extra=None):
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment | (extra or {}),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=CLIENT_SECONDS,
        )
        output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        assert done.returncode == code, (
            f"{' '.join(map(str, command))}\n"
            f"ended with {done.returncode}, not {code}\n{output[-4000:]}\n{errors[-4000:]}"
        )
        return output if code == 0 else output + errors

    return execute


@pytest.fixture
def bucket_name(request):
    """A name that no other test uses."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))
    return f"{words[:40].strip('-')}-{next(_bucket_numbers)}-{secrets.token_hex(3)}"


@pytest.fixture
def connect(server):
    """connect(request_checksum_calculation="when_required") -> a boto3 client that never repeats a request."""
    session = boto3.Session(server.access_key, server.secret_key, region_name=REGION)

    def client(endpoint=server.endpoint, verify=None, **options):
        options.setdefault("retries", {"total_max_attempts": 1})
        options.setdefault("s3", {"addressing_style": "path"})
        options.setdefault("max_pool_connections", 32)
        return session.client("s3", endpoint_url=endpoint, verify=verify, config=botocore.config.Config(**options))

    return client


@pytest.fixture
def s3(connect):
    """boto3 as it comes."""
    return connect()


@pytest.fixture
def bucket(s3, bucket_name):
    """A bucket of this test's own."""
    s3.create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def seed(request):
    """Printed with every failure; CAIRN_TEST_SEED repeats a run."""
    value = int(os.environ.get("CAIRN_TEST_SEED") or secrets.randbits(32))
    print(f"seed: CAIRN_TEST_SEED={value}")
    return value


@pytest.fixture
def s3api(run):
    """s3api("get-object", "--bucket", "b", ...) -> the parsed answer, {} if there is none."""

    def call(operation, *arguments, **options):
        output = run("aws", "s3api", operation, *arguments, **options)
        return json.loads(output) if output.strip() else {}

    return call
