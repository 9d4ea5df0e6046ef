"""The audit trail, in a file, at a webhook and in a topic of Kafka; slowing down who guesses; `cairn iam explain`."""

import http.server
import json
import os
import pathlib
import subprocess
import threading
import time
import urllib.request

import botocore.exceptions
import confluent_kafka
import pytest
from principals import ROOT_ACCOUNT, Principals, Who, allow, deny, refused, trust
from server_process import ServerProcess, binary

DEADLINE_SECONDS = 30


class Collector:
    """A webhook that keeps what it is sent. `status` is what it answers."""

    def __init__(self, port=0):
        self.lines, self.bodies, self.status = [], [], 200
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.bodies.append(body)
                if collector.status == 200:
                    collector.lines += [json.loads(line) for line in body.splitlines()]
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/audit"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def wait_for(condition, what):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def lines_of(path: pathlib.Path) -> list:
    """The whole lines that the log has so far."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def start(tmp_path, **settings):
    variables = {f"CAIRN_{name}": str(value) for name, value in settings.items()}
    return ServerProcess(tmp_path / "data", tmp_path / "server.log", env=variables)


def principals_of(server):
    return Principals(server.endpoint, server.access_key_id, server.secret_access_key)


def test_every_decision_is_one_line(tmp_path):
    log = tmp_path / "audit.log"
    with Collector() as collector, start(tmp_path, AUDIT_LOG=log, AUDIT_WEBHOOK=collector.url) as server:
        principals = principals_of(server)
        s3 = principals.root.client("s3")
        s3.create_bucket(Bucket="audited")
        s3.put_object(Bucket="audited", Key="k", Body=b"the-body-itself")
        user = principals.user(allow("s3:GetObject", Sid="Read"), deny("s3:DeleteObject", Sid="Keep"), allow("sts:*"))
        client = user.client("s3")
        client.get_object(Bucket="audited", Key="k")
        refused("AccessDenied", client.delete_object, Bucket="audited", Key="k")
        refused("AccessDenied", client.put_object, Bucket="audited", Key="k", Body=b"")
        wrong = Who(server.endpoint, user.access_key, "a-wrong-secret-key").client("s3")
        refused("SignatureDoesNotMatch", wrong.get_object, Bucket="audited", Key="k")
        role = principals.role(trust({"AWS": user.arn}), allow("s3:*"))
        answer = user.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="audited-session")
        session = user.with_session(answer)
        url = session.client("s3").generate_presigned_url("get_object", Params={"Bucket": "audited", "Key": "k"})
        session.client("s3").get_object(Bucket="audited", Key="k")

        def find(**fields):
            def matching():
                return [line for line in lines_of(log) if all(line.get(name) == fields[name] for name in fields)]

            return wait_for(matching, f"{fields} is not in\n{log.read_text()}")[-1]

        read = find(principal=user.arn, action="s3:GetObject", decision="allowed")
        assert read["resource"] == "arn:aws:s3:::audited/k" and read["operation"] == "GetObject"
        assert read["access_key_id"] == user.access_key and read["account"] == ROOT_ACCOUNT
        assert read["source_ip"] == "127.0.0.1" and "Boto3" in read["user_agent"] and read["status"] == 200
        assert "Read" in read["by"] and len(read["request_id"]) == 16
        denied = find(principal=user.arn, action="s3:DeleteObject", decision="denied")
        assert "Keep" in denied["by"] and denied["status"] == 403
        find(principal=user.arn, action="s3:PutObject", decision="denied", status=403)
        stranger = find(by="SignatureDoesNotMatch", decision="denied")
        assert "principal" not in stranger and stranger["status"] == 403
        find(principal=user.arn, action="sts:AssumeRole", resource=role["Arn"], decision="allowed")
        find(principal=answer["AssumedRoleUser"]["Arn"], action="s3:GetObject", decision="allowed")
        find(action="iam:CreateUser", principal=principals.root.arn, decision="allowed")
        # The webhook gets the same lines.
        everything = lines_of(log)
        wait_for(lambda: all(line in collector.lines for line in everything), "lines are missing at the webhook")
        secrets = [
            server.secret_access_key, user.secret_key, session.secret_key, session.token, "the-body-itself",
            "a-wrong-secret-key", url.partition("X-Amz-Signature=")[2].partition("&")[0],
        ]  # fmt: skip
        for text in [log.read_text(), server.log.read_text(), b"".join(collector.bodies).decode()]:
            for secret in secrets:
                assert secret not in text


def test_a_log_that_was_rotated_is_followed(tmp_path):
    log = tmp_path / "audit.log"
    with start(tmp_path, AUDIT_LOG=log) as server:
        s3 = principals_of(server).root.client("s3")
        s3.list_buckets()
        wait_for(lambda: lines_of(log), "no line")
        log.rename(tmp_path / "audit.log.1")

        def list_again():
            s3.list_buckets()
            return lines_of(log)

        wait_for(list_again, "the new file was not opened")
        assert lines_of(tmp_path / "audit.log.1")


def test_a_dead_sink_and_a_full_disk_block_nobody(tmp_path):
    with start(tmp_path, AUDIT_LOG="/dev/full", AUDIT_WEBHOOK="http://127.0.0.1:9/audit") as server:
        s3 = principals_of(server).root.client("s3")
        s3.create_bucket(Bucket="busy")
        began = time.monotonic()
        for _ in range(50):
            s3.list_buckets()
        assert time.monotonic() - began < 20
        wait_for(lambda: metric(server, "cairn_audit_dropped_total") > 0, "nothing was counted as lost")


def test_a_collector_that_comes_back_gets_what_waited(tmp_path):
    with Collector() as collector, start(tmp_path, AUDIT_WEBHOOK=collector.url) as server:
        collector.status = 503
        s3 = principals_of(server).root.client("s3")
        s3.create_bucket(Bucket="waiting")
        wait_for(lambda: len(collector.bodies) > 1, "the batch was not repeated")
        assert not collector.lines
        collector.status = 200
        wait_for(lambda: [line for line in collector.lines if line["action"] == "s3:CreateBucket"], "it is lost")
        assert metric(server, "cairn_audit_dropped_total") == 0


def test_a_topic_of_kafka_gets_the_same_lines(tmp_path):
    # librdkafka's mock cluster is as long as this client is.
    cluster = confluent_kafka.Producer({"test.mock.num.brokers": 1})
    known = cluster.list_topics(timeout=DEADLINE_SECONDS).brokers.values()
    brokers = ",".join(f"{each.host}:{each.port}" for each in known)
    log, topic = tmp_path / "audit.log", {"AUDIT_KAFKA_BROKERS": brokers, "AUDIT_KAFKA_TOPIC": "audit"}
    with start(tmp_path, AUDIT_LOG=log, **topic) as server:
        s3 = principals_of(server).root.client("s3")
        s3.create_bucket(Bucket="audited")
        for _ in range(20):
            s3.list_buckets()
        settings = {"bootstrap.servers": brokers, "group.id": "reader", "auto.offset.reset": "earliest"}
        consumer, records = confluent_kafka.Consumer(settings), []
        consumer.subscribe(["audit"])

        def all_there():
            records.extend(json.loads(record.value()) for record in consumer.consume(100, 0.1) if not record.error())
            lines = lines_of(log)
            return len(lines) >= 21 and all(line in records for line in lines)

        wait_for(all_there, "lines are missing in the topic")
        assert metric(server, "cairn_audit_dropped_total") == 0
        consumer.close()


def test_a_log_that_cannot_be_opened_stops_the_start(tmp_path):
    server = start(tmp_path, AUDIT_LOG="/nonexistent/audit.log")
    server.spawn()
    assert server.process.wait(timeout=DEADLINE_SECONDS) == 1
    assert "audit.log" in server.log.read_text()


def metric(server, name):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.ops_endpoint}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_who_guesses_is_slowed_down_and_told_so(tmp_path):
    with start(tmp_path, IDENTITY_FAILED_SIGNATURES_PER_MINUTE=20) as server:
        principals = principals_of(server)
        s3 = principals.root.client("s3")
        s3.list_buckets()
        guesser = Who(server.endpoint, server.access_key_id, "a-wrong-secret-key").client("s3")
        codes = []
        for _ in range(30):
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                guesser.list_buckets()
            codes.append(caught.value.response["Error"]["Code"])
        assert codes[:20] == ["SignatureDoesNotMatch"] * 20 and "SlowDown" in codes[20:], codes
        answer = caught.value.response["ResponseMetadata"]
        assert answer["HTTPStatusCode"] == 503 and 1 <= int(answer["HTTPHeaders"]["retry-after"]) <= 60
        # A good signature has to wait as well, and gets through by itself: SDKs repeat a 503.
        wait_for(lambda: listed(s3), "a good signature never gets through again")
        assert metric(server, "cairn_failed_signatures_total") >= 20
        assert metric(server, "cairn_slowed_requests_total") >= 1
        assert "slowed down" in server.log.read_text()


def listed(s3):
    try:
        s3.list_buckets()
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "SlowDown", error
        return False
    return True


@pytest.fixture
def explain(server):
    """explain("--principal", ...) -> what it prints."""

    def run(*arguments, code=0):
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
        }
        command = [str(binary()), "iam", "explain", "--endpoint", server.endpoint, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_explain_says_which_statement_decides(server, explain, s3, bucket):
    principals = Principals(server.endpoint, server.access_key, server.secret_key)
    local = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    user = principals.user(
        allow("s3:GetObject", Sid="Read", Condition=local), deny("s3:DeleteObject", Sid="Keep")
    )
    principal, resource = ("--principal", user.arn), ("--resource", f"arn:aws:s3:::{bucket}/k")
    text = explain(*principal, *resource, "--action", "s3:GetObject", "--context", "aws:SourceIp=10.1.2.3")
    assert text.startswith(f"ALLOWED  s3:GetObject on arn:aws:s3:::{bucket}/k\n") and "Read" in text, text
    text = explain(*principal, *resource, "--action", "s3:DeleteObject", "--action", "s3:PutObject")
    assert "DENIED  s3:DeleteObject" in text and "denied by" in text and "Keep" in text, text
    assert "DENIED  s3:PutObject" in text and "no statement allows it" in text, text
    nobody = ("--principal", f"arn:aws:iam::{ROOT_ACCOUNT}:user/none-of-that-name")
    assert "NoSuchEntity" in explain(*nobody, *resource, "--action", "s3:GetObject", code=1)


def test_explain_takes_the_bucket_policy_into_account(server, explain, s3, bucket):
    principals = Principals(server.endpoint, server.access_key, server.secret_key)
    user = principals.user()
    arn = user.arn
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "FromTheBucket",
                "Effect": "Allow",
                "Principal": {"AWS": arn},
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/*",
            }
        ],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    text = explain("--principal", arn, "--resource", f"arn:aws:s3:::{bucket}/k", "--action", "s3:GetObject")
    assert text.startswith("ALLOWED") and "FromTheBucket" in text, text
