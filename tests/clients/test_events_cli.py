"""`cairn events` and the administrator's API behind it: how targets do, events sent again, dead letters, events live.
And a webhook behind TLS, whose certificate only the target's own `ca_file` vouches for."""

import datetime
import json
import os
import ssl
import subprocess
import time

import boto3
import botocore.config
import pytest
from certificates import certified
from event_receiver import EventReceiver
from server_process import ServerProcess, binary

REGION = "us-east-1"
DEADLINE_SECONDS = 20


class Steered:
    """A server with the webhooks `hook`, `other` and, behind TLS, `trusted` and `strange`."""

    def __init__(self, process, events, secure):
        self.process, self.events, self.secure = process, events, secure
        session = boto3.Session(process.access_key_id, process.secret_access_key, region_name=REGION)
        options = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        self.s3 = session.client("s3", endpoint_url=process.endpoint, config=options)
        self.environment = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": process.endpoint,
            "AWS_ACCESS_KEY_ID": process.access_key_id,
            "AWS_SECRET_ACCESS_KEY": process.secret_access_key,
            "AWS_REGION": REGION,
        }

    def cairn(self, *arguments, code=0):
        """What `cairn events …` prints."""
        command = [binary(), "events", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def status(self, target):
        (found,) = [t for t in json.loads(self.cairn("status", "--json"))["targets"] if t["name"] == target]
        return found

    def send_to(self, target, bucket, events=("s3:ObjectCreated:*",), skip=False):
        one = {"QueueArn": f"arn:aws:sqs:{REGION}:111111111111:{target}", "Events": list(events)}
        self.s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={"QueueConfigurations": [one]},
            SkipDestinationValidation=skip,
        )


def until(read, holds, what):
    """What `read` gives once `holds` is true of it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        found = read()
        if holds(found):
            return found
        assert time.monotonic() < deadline, f"{what}: {found}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def steered(tmp_path_factory):
    if "CAIRN_TEST_ENDPOINT" in os.environ:
        pytest.skip("event targets need a server of our own")
    folder = tmp_path_factory.mktemp("steered")
    authority, certificate, key = certified(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with EventReceiver() as events, EventReceiver(tls=context) as secure:
        table = '[[event_target]]\nname = "{0}"\nkind = "webhook"\nurl = "{1}"\n{2}\n'
        tables = [table.format(name, events.url(name), "") for name in ("hook", "other")]
        tables += [table.format("trusted", secure.url("trusted"), f'ca_file = "{authority}"')]
        tables += [table.format("strange", secure.url("strange"), "")]
        config = folder / "config.toml"
        config.write_text('[events]\nlongest_backoff = "200ms"\n' + "".join(tables))
        with ServerProcess(folder / "data", folder / "server.log", config=config) as process:
            yield Steered(process, events, secure)


@pytest.fixture
def made(steered, bucket_name):
    """A bucket whose creations go to `hook`."""
    steered.s3.create_bucket(Bucket=bucket_name)
    steered.send_to("hook", bucket_name)
    return bucket_name


def keys(records):
    return [record["s3"]["object"]["key"] for record in records]


def delivered(steered, bucket, key):
    """How often an event came, repetitions counted."""

    def is_it(record):
        return record["s3"]["bucket"]["name"] == bucket and record["s3"]["object"]["key"] == key

    return sum(is_it(record) for _, _, document in steered.events.messages("hook") for record in document.get("Records", []))


def test_status_tells_how_targets_do(steered, made):
    before = steered.status("hook")
    steered.s3.put_object(Bucket=made, Key="k", Body=b"1")
    assert keys(steered.events.records(made, 1)) == ["k"]
    now = until(lambda: steered.status("hook"), lambda s: s["sent"] > before["sent"] and s["state"] == "idle", "sent")
    assert now["behind"] == 0 and now["failures"] == before["failures"] and now["lastSent"] and now["kind"] == "webhook"
    shown = steered.cairn("status")
    assert shown.startswith("outbox: ") and f"hook (webhook): idle\n  cursor {now['cursor']}, behind 0" in shown
    assert "\nother (webhook): " in shown


def test_replay_sends_again_from_a_position_or_a_time(steered, made):
    outbox = json.loads(steered.cairn("status", "--json"))["outbox"]
    since = datetime.datetime.now(datetime.timezone.utc).isoformat()
    for number in range(5):
        steered.s3.put_object(Bucket=made, Key=f"k{number}", Body=b"1")
    assert keys(steered.events.records(made, 5)) == [f"k{number}" for number in range(5)]
    until(lambda: steered.status("hook"), lambda s: s["behind"] == 0, "all are delivered")
    assert steered.cairn("replay", "hook", "--position", outbox["last"] + 3).startswith("sends again what follows position ")
    until(lambda: [delivered(steered, made, f"k{n}") for n in range(5)], lambda c: c == [1, 1, 2, 2, 2], "by position")
    until(lambda: steered.status("hook"), lambda s: s["behind"] == 0, "all are delivered again")
    steered.cairn("replay", "hook", "--time", since)
    until(lambda: [delivered(steered, made, f"k{n}") for n in range(5)], lambda c: c == [2, 2, 3, 3, 3], "by time")
    assert "NotFound" in steered.cairn("replay", "nobody", "--position", 1, code=1)
    assert "time" in steered.cairn("replay", "hook", "--time", "yesterday", code=1)
    assert "required" in steered.cairn("replay", "hook", code=2)


def test_what_waits_is_seen_and_can_be_skipped(steered, made):
    steered.events.status = 503
    try:
        steered.s3.put_object(Bucket=made, Key="skipped", Body=b"1")
        failing = until(lambda: steered.status("hook"), lambda s: s["state"] == "failing" and s["behind"] > 0, "it fails")
        assert "503" in failing["lastFailure"]["reason"] and failing["oldestWaiting"]
        assert "last failure" in steered.cairn("status")
        assert steered.cairn("skip", "hook").startswith("goes on after position ")
    finally:
        steered.events.status = 200
    steered.s3.put_object(Bucket=made, Key="later", Body=b"1")
    assert keys(steered.events.records(made, 1)) == ["later"]
    assert delivered(steered, made, "skipped") == 0
    assert "NotFound" in steered.cairn("skip", "nobody", code=1)


def test_dead_letters_are_listed_sent_again_and_forgotten(steered, made):
    steered.events.status = 400
    try:
        for number in range(3):
            steered.s3.put_object(Bucket=made, Key=f"k{number}", Body=b"1")
        until(lambda: steered.status("hook"), lambda s: s["deadLettered"] >= 3 and s["behind"] == 0, "they are buried")
    finally:
        steered.events.status = 200
    listed = json.loads(steered.cairn("dead-letters", "list", "hook", "--json"))
    letters = listed["deadLetters"]
    assert listed["count"] == 3 and [letter["event"]["key"] for letter in letters] == ["k0", "k1", "k2"]
    assert all(letter["event"]["bucket"] == made and "400" in letter["reason"] for letter in letters)
    shown = steered.cairn("dead-letters", "list", "hook", "--limit", 1)
    assert shown.startswith("3 dead letters\n") and f"{made}/k0" in shown and "k1" not in shown
    first, second, _ = (letter["number"] for letter in letters)
    assert "k0" not in steered.cairn("dead-letters", "list", "hook", "--after", first)
    assert steered.cairn("dead-letters", "redeliver", "hook", "--number", second) == "1 sent, 0 refused\n"
    assert delivered(steered, made, "k1") == 1
    assert steered.cairn("dead-letters", "purge", "hook", "--number", first) == "1 forgotten\n"
    assert steered.cairn("dead-letters", "redeliver", "hook", "--all") == "1 sent, 0 refused\n"
    assert [delivered(steered, made, f"k{n}") for n in range(3)] == [0, 1, 1]
    assert steered.cairn("dead-letters", "list", "hook") == "0 dead letters\n"
    assert steered.cairn("dead-letters", "purge", "hook", "--all") == "0 forgotten\n"
    assert "required" in steered.cairn("dead-letters", "purge", "hook", code=2)


def test_tail_follows_a_bucket(steered, bucket_name):
    steered.s3.create_bucket(Bucket=bucket_name)
    command = [binary(), "events", "tail", f"s3://{bucket_name}", "--prefix", "in/", "--suffix", ".txt"]
    with subprocess.Popen(command, env=steered.environment, stdout=subprocess.PIPE, text=True) as following:
        try:
            os.set_blocking(following.stdout.fileno(), False)
            lines = []

            def heard():
                # What came before it listened is not told, so it is asked for until it is.
                steered.s3.put_object(Bucket=bucket_name, Key="in/a.txt", Body=b"1")
                steered.s3.put_object(Bucket=bucket_name, Key="out/b.txt", Body=b"1")
                steered.s3.put_object(Bucket=bucket_name, Key="in/c.jpg", Body=b"1")
                lines.extend(iter(following.stdout.readline, ""))
                return lines

            until(heard, lambda lines: len(lines) >= 2, "events come")
            steered.s3.delete_object(Bucket=bucket_name, Key="in/a.txt")

            def removal():
                lines.extend(iter(following.stdout.readline, ""))
                return lines

            until(removal, lambda lines: "ObjectRemoved" in lines[-1], "the removal comes")
        finally:
            following.kill()
    records = [record for line in lines for record in json.loads(line)["Records"]]
    assert {record["s3"]["object"]["key"] for record in records} == {"in/a.txt"}
    assert {record["eventName"] for record in records} == {"s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"}
    assert "NoSuchBucket" in steered.cairn("tail", "s3://no-such-bucket-of-ours", code=1)


def test_a_webhook_behind_tls_is_trusted_by_its_own_authority_alone(steered, bucket_name):
    steered.s3.create_bucket(Bucket=bucket_name)
    steered.send_to("trusted", bucket_name)
    steered.s3.put_object(Bucket=bucket_name, Key="k", Body=b"1")
    assert keys(steered.secure.records(bucket_name, 1, name="trusted")) == ["k"]
    refused = pytest.raises(steered.s3.exceptions.ClientError, steered.send_to, "strange", bucket_name)
    assert refused.value.response["Error"]["Code"] == "InvalidArgument"
    steered.send_to("strange", bucket_name, skip=True)
    steered.s3.put_object(Bucket=bucket_name, Key="unsent", Body=b"1")
    failing = until(lambda: steered.status("strange"), lambda s: s["state"] == "failing", "its certificate is refused")
    assert "certificate" in failing["lastFailure"]["reason"].lower(), failing
    assert not steered.secure.messages("strange")
