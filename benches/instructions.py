"""Instructions of the server for one request, counted by Valgrind: of a GET and a PUT of 4 KiB by root, by a user with
ten policies of twenty statements, to a bucket whose requests are logged, and to one whose events go to a dead webhook.

    make bench-instructions                  # needs valgrind; CAIRN_BINARY names another server

Unlike times, the counts hardly move with what else the machine does: two builds are compared within a per cent. They
are no times: Valgrind's processor has no SHA instructions, so that signatures weigh more than they do, and what the
kernel does and what waits for memory is not counted.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

import boto3
from botocore.config import Config
from durability.client import Client
from server_process import ServerProcess, free_port
from wire.signer import Credentials

BODY = b"x" * 4096
KEYS = 100
POLICIES, STATEMENTS = 10, 20
READY_SECONDS = 120
DELIVERY = {"Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject"}


class Counted(ServerProcess):
    """The server under Valgrind, which counts while it is told to."""

    def __init__(self, folder):
        config = folder / "config.toml"
        url = f"http://127.0.0.1:{free_port()}/"
        config.write_text(f'[[event_target]]\nname = "hook"\nkind = "webhook"\nurl = "{url}"\n')
        # Valgrind knows no rings.
        super().__init__(folder / "data", folder / "log", config=config, extra_args=["--io-engine", "blocking"])
        self.out = folder / "counts"

    def command(self):
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--fair-sched=try"]
        return [*tool, f"--callgrind-out-file={self.out}", *super().command()]

    def tell(self, *what):
        """Tells Valgrind."""
        command = ["callgrind_control", *what, str(self.process.pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, label, work) -> int:
        """The instructions of some work."""
        self.tell("-z")
        work()
        self.tell(f"--dump={label}")
        for dump in self.out.parent.glob("counts.*"):
            text = dump.read_text(errors="replace")
            if label in text[:4000]:
                return int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE).group(1))
        raise AssertionError(f"Valgrind wrote no counts of {label}")


def document(number) -> str:
    """A policy about other teams' buckets; the very last statement of all is about the measured one."""
    statements = []
    for at in range(number * STATEMENTS, (number + 1) * STATEMENTS):
        last = at + 1 == POLICIES * STATEMENTS
        resources = ["arn:aws:s3:::bench/*"] if last else [f"arn:aws:s3:::team-{at}", f"arn:aws:s3:::team-{at}/*"]
        statements.append({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": resources})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def user(server) -> Credentials:
    """A user with these policies."""
    keys = {"aws_access_key_id": server.access_key_id, "aws_secret_access_key": server.secret_access_key}
    config = Config(read_timeout=60, retries={"max_attempts": 0})
    iam = boto3.client("iam", endpoint_url=server.endpoint, region_name="us-east-1", config=config, **keys)
    iam.create_user(UserName="bench")
    for number in range(POLICIES):
        arn = iam.create_policy(PolicyName=f"p{number}", PolicyDocument=document(number))["Policy"]["Arn"]
        iam.attach_user_policy(UserName="bench", PolicyArn=arn)
    key = iam.create_access_key(UserName="bench")["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def prepare(client):
    """The buckets: a plain one, one that is logged, one that has events."""
    for bucket in ("bench", "logged", "log", "notified"):
        client.expect(200, "PUT", bucket)
    policy = {"Version": "2012-10-17", "Statement": {**DELIVERY, "Resource": "arn:aws:s3:::log/*"}}
    client.expect(204, "PUT", "log", query=[("policy", "")], body=json.dumps(policy).encode())
    logging = "<LoggingEnabled><TargetBucket>log</TargetBucket><TargetPrefix/></LoggingEnabled>"
    logging = f"<BucketLoggingStatus>{logging}</BucketLoggingStatus>"
    client.expect(200, "PUT", "logged", query=[("logging", "")], body=logging.encode())
    rule = "<Queue>arn:aws:sqs:us-east-1:000000000000:hook</Queue><Event>s3:ObjectCreated:*</Event>"
    rule = f"<QueueConfiguration>{rule}</QueueConfiguration>"
    rule = f"<NotificationConfiguration>{rule}</NotificationConfiguration>"
    headers = [("x-amz-skip-destination-validation", "true")]
    client.expect(200, "PUT", "notified", query=[("notification", "")], headers=headers, body=rule.encode())


def measure(server, requests):
    """Counts and prints."""
    server.wait_ready(READY_SECONDS)
    client = Client(server)
    prepare(client)
    root, bench = client.credentials, user(server)
    sides = {"root": (root, "bench"), "user": (bench, "bench"), "logged": (root, "logged")}
    sides["notified"] = (root, "notified")
    server.tell("-i", "on")
    for method in ("PUT", "GET"):
        base = None
        for side, (credentials, bucket) in sides.items():
            client.credentials = credentials

            def ask(count, bucket=bucket, method=method):
                body = BODY if method == "PUT" else None
                for number in range(count):
                    client.expect(200, method, bucket, f"k{number % KEYS}", body=body)

            # Once for each key, so that what is counted finds all caches and rows as it leaves them.
            ask(KEYS)
            each = server.count(f"{method}-{side}", lambda ask=ask: ask(requests)) / requests
            base = base or each
            print(f"{method} {side:9} {each:9.0f}  {each - base:+8.0f}  {each / base:6.1%}", flush=True)
    client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--requests", type=int, default=400, help="that are counted of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cairn-bench-instructions-") as name:
        server = Counted(pathlib.Path(name))
        server.spawn()
        try:
            measure(server, options.requests)
        finally:
            server.kill9()


if __name__ == "__main__":
    main()
