"""Event notifications as AWS's clients configure them: what is sent when, to whom, and what is refused."""

import concurrent.futures
import datetime
import io
import json
import threading
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import minio
import pytest
import urllib3
from event_receiver import EventReceiver
from server_process import ServerProcess

REGION = "us-east-1"
MIB = 1 << 20


class Place:
    """A server whose targets `hook` and `other` are webhooks; `cloud` and `bridge` get other formats."""

    def __init__(self, process, events):
        self.process, self.events = process, events
        session = boto3.Session(process.access_key_id, process.secret_access_key, region_name=REGION)
        options = botocore.config.Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, signature_version="s3v4"
        )
        self.s3 = session.client("s3", endpoint_url=process.endpoint, config=options)

    def admin(self, method, path, document=None):
        """Status and answer of a signed request to the administrator's API."""
        body = b"" if document is None else json.dumps(document).encode()
        url = f"{self.process.endpoint}/_admin/v1/{path}"
        request = botocore.awsrequest.AWSRequest(method, url, data=body)
        credentials = botocore.credentials.Credentials(self.process.access_key_id, self.process.secret_access_key)
        botocore.auth.S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
        sent = urllib.request.Request(url, body or None, dict(request.headers), method=method)
        try:
            with urllib.request.urlopen(sent, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notifications")
    with EventReceiver() as events:
        config = folder / "config.toml"
        formats = {"hook": "s3", "other": "s3", "cloud": "cloudevents", "bridge": "eventbridge"}
        table = '[[event_target]]\nname = "{0}"\nkind = "webhook"\nurl = "{1}"\nformat = "{2}"\n'
        config.write_text("".join(table.format(name, events.url(name), kind) for name, kind in formats.items()))
        with ServerProcess(folder / "data", folder / "server.log", config=config) as process:
            yield Place(process, events)


@pytest.fixture
def bucket(place, bucket_name):
    place.s3.create_bucket(Bucket=bucket_name)
    return bucket_name


def arn(target, service="sqs"):
    return f"arn:aws:{service}:{REGION}:111111111111:{target}"


def queue(target, *events, prefix=None, suffix=None, name=None):
    rules = [{"Name": "prefix", "Value": prefix}] if prefix is not None else []
    rules += [{"Name": "suffix", "Value": suffix}] if suffix is not None else []
    one = {"QueueArn": arn(target), "Events": list(events)}
    if name:
        one["Id"] = name
    return one | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


def configure(place, bucket, *queues, skip=False, **more):
    wanted = {"QueueConfigurations": list(queues), **more} if queues else more
    place.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=wanted, SkipDestinationValidation=skip
    )


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value.response
    return error.value.response["Error"]


def key_of(record):
    return urllib.parse.unquote_plus(record["s3"]["object"]["key"])


def sequencer(record):
    return record["s3"]["object"].get("sequencer", "")


EVERYTHING = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put")


def test_every_kind_of_event(place, bucket):
    s3 = place.s3
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    configure(place, bucket, queue("hook", *EVERYTHING, name="all"))
    s3.put_object(Bucket=bucket, Key="one", Body=b"12345")
    s3.copy_object(Bucket=bucket, Key="two", CopySource={"Bucket": bucket, "Key": "one"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    form = s3.generate_presigned_post(bucket, "form")
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("POST", form["url"], fields=[*form["fields"].items(), ("file", ("f", b"form"))])
        assert answer.status == 204
    s3.put_object_tagging(Bucket=bucket, Key="one", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="one")
    s3.put_object_acl(Bucket=bucket, Key="one", ACL="public-read")
    s3.delete_object(Bucket=bucket, Key="one")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "two"}, {"Key": "form"}]})
    assert len(gone["Deleted"]) == 2

    records = place.events.records(bucket, 10)
    found = sorted((record["eventName"], key_of(record)) for record in records)
    assert found == [
        ("ObjectAcl:Put", "one"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectCreated:Copy", "two"),
        ("ObjectCreated:Post", "form"),
        ("ObjectCreated:Put", "one"),
        ("ObjectRemoved:Delete", "form"),
        ("ObjectRemoved:Delete", "one"),
        ("ObjectRemoved:Delete", "two"),
        ("ObjectTagging:Delete", "one"),
        ("ObjectTagging:Put", "one"),
    ]
    by_name = {record["eventName"]: record for record in records}
    put, completed = by_name["ObjectCreated:Put"], by_name["ObjectCreated:CompleteMultipartUpload"]
    assert put["s3"]["object"]["size"] == 5 and "versionId" not in put["s3"]["object"]
    assert completed["s3"]["object"]["eTag"] == done["ETag"].strip('"')
    assert put["s3"]["configurationId"] == "all" and put["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert put["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    when = datetime.datetime.fromisoformat(put["eventTime"].replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 60


def test_events_tell_the_request_that_caused_them(place, bucket):
    configure(place, bucket, queue("hook", "s3:ObjectCreated:*"))
    answer = place.s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ResponseMetadata"]
    [record] = place.events.records(bucket, 1)
    assert record["responseElements"] == {
        "x-amz-request-id": answer["RequestId"],
        "x-amz-id-2": answer["HostId"],
    }
    assert record["userIdentity"]["principalId"] == "AWS:000000000001"


def test_versions(place, bucket):
    s3 = place.s3
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    configure(place, bucket, queue("hook", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"22")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    records = sorted(place.events.records(bucket, 5), key=sequencer)
    assert [(record["eventName"], record["s3"]["object"].get("versionId")) for record in records] == [
        ("ObjectCreated:Put", first),
        ("ObjectCreated:Put", second),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", first),
        ("ObjectRemoved:Delete", marker),
    ]


def test_filters_choose_the_target(place, bucket):
    configure(
        place,
        bucket,
        queue("hook", "s3:ObjectCreated:*", prefix="images/", suffix=".jpg"),
        queue("other", "s3:ObjectCreated:*", prefix="red+flowers/"),
        queue("other", "s3:ObjectRemoved:*", suffix="%2B"),
    )
    keys = ["images/a.jpg", "images/a.png", "a.jpg", "red flowers/1", "red+flowers/2", "+"]
    for key in keys:
        place.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for key in keys:
        place.s3.delete_object(Bucket=bucket, Key=key)
    records = place.events.records(bucket, 3)
    assert sorted((record["eventName"], key_of(record)) for record in records) == [
        ("ObjectCreated:Put", "images/a.jpg"),
        ("ObjectCreated:Put", "red flowers/1"),
        ("ObjectRemoved:Delete", "+"),
    ]
    [to_hook] = place.events.records(bucket, 1, "hook")
    assert key_of(to_hook) == "images/a.jpg"


def test_keys_are_encoded_in_records(place, bucket):
    configure(place, bucket, queue("hook", "s3:ObjectCreated:*"))
    keys = {"red flower.jpg": "red+flower.jpg", "a@b": "a%40b", "d/é+~": "d/%C3%A9%2B%7E"}
    for key in keys:
        place.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    records = place.events.records(bucket, len(keys))
    assert {record["s3"]["object"]["key"] for record in records} == set(keys.values())


def test_sequencers_follow_the_order_of_commits(place, bucket):
    """Many writers of one key: each event is of a version, and the greatest sequencer of the one that stayed."""
    configure(place, bucket, queue("hook", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    bodies = [f"{number}".encode() * (number + 1) for number in range(16)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: place.s3.put_object(Bucket=bucket, Key="k", Body=body), bodies))
    stayed = place.s3.head_object(Bucket=bucket, Key="k")
    place.s3.delete_object(Bucket=bucket, Key="k")
    records = place.events.records(bucket, len(bodies) + 1)
    order = [sequencer(record) for record in records]
    assert len(set(order)) == len(bodies) + 1
    last_put, deletion = sorted(records, key=sequencer)[-2:]
    assert deletion["eventName"] == "ObjectRemoved:Delete"
    assert last_put["s3"]["object"]["eTag"] == stayed["ETag"].strip('"')
    # What arrived arrived in that order, for it is one key; repeats aside.
    arrived = [record["s3"]["object"]["sequencer"] for record in records]
    assert arrived == sorted(arrived)


def test_other_formats(place, bucket):
    rules = (queue("cloud", "s3:ObjectCreated:*", suffix=".c"), queue("bridge", "s3:ObjectCreated:*", suffix=".b"))
    configure(place, bucket, *rules)
    place.s3.put_object(Bucket=bucket, Key="k.c", Body=b"12")
    place.s3.put_object(Bucket=bucket, Key="k.b", Body=b"123")
    source = f"aws:s3.{REGION}.{bucket}"
    [(_, headers, cloud)] = place.events.wait(lambda name, body: body.get("source") == source, 1)
    assert headers.get("Content-Type", headers.get("content-type")) == "application/cloudevents+json"
    assert (cloud["specversion"], cloud["subject"]) == ("1.0", "k.c")
    assert cloud["type"] == "com.amazonaws.s3.ObjectCreated:Put" and cloud["data"]["s3"]["object"]["size"] == 2
    found = place.events.wait(lambda name, body: body.get("resources") == [f"arn:aws:s3:::{bucket}"], 1)
    bridge = found[0][2]
    assert (bridge["source"], bridge["detail-type"]) == ("aws.s3", "Object Created")
    assert bridge["detail"]["object"]["key"] == "k.b" and bridge["detail"]["reason"] == "PutObject"


def test_the_test_event(place, bucket):
    wanted = {"TopicConfigurations": [{"TopicArn": arn("other", "sns"), "Events": ["s3:ObjectCreated:*"]}]}
    configure(place, bucket, queue("hook", "s3:ObjectRemoved:*"), **wanted)

    def is_test(name, body):
        return body.get("Event") == "s3:TestEvent" and body["Bucket"] == bucket

    tests = place.events.wait(is_test, 2)
    assert {name for name, _, _ in tests} == {"hook", "other"}
    document = tests[0][2]
    assert list(document) == ["Service", "Event", "Time", "Bucket", "RequestId", "HostId"]
    assert document["Service"] == "Amazon S3"
    # Not where it is not wanted, nor to functions.
    function = {"LambdaFunctionArn": arn("function:hook", "lambda"), "Events": ["s3:ObjectRemoved:*"]}
    configure(place, bucket, LambdaFunctionConfigurations=[function])
    configure(place, bucket, queue("hook", "s3:ObjectRemoved:*"), skip=True)
    assert len(place.events.wait(is_test, 2)) == 2


def test_what_cannot_be_configured_is_refused_in_amazons_words(place, bucket):
    call = place.s3.put_bucket_notification_configuration
    created, removed = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"

    def refusal(*queues, code="InvalidArgument"):
        return refused(code, call, Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(queues)})

    overlap = refusal(queue("hook", created, "s3:ObjectTagging:*"), queue("other", "s3:ObjectCreated:Put"))
    assert overlap["Message"] == (
        "Configurations overlap. Configurations on the same bucket cannot share a common event type."
    )
    assert overlap["ArgumentValue"] == "s3:ObjectCreated:*, s3:ObjectCreated:Put"
    ambiguous = refusal(queue("hook", created, prefix="a/"), queue("other", created, suffix=".x"))
    assert ambiguous["Message"].startswith("Configuration is ambiguously defined.")
    same_id = refusal(queue("hook", created, name="i"), queue("hook", removed, name="i"))
    assert same_id["Message"] == "Same ID used for multiple configurations. IDs must be unique"
    unknown = refusal(queue("hook", "s3:ObjectEaten:*"))
    assert (unknown["ArgumentName"], unknown["ArgumentValue"]) == ("Event", "s3:ObjectEaten:*")
    absent = refusal(queue("hook", created), queue("absent", removed))
    assert absent["Message"] == "Unable to validate the following destination configurations"
    assert absent["ArgumentName1"] == arn("absent") and "ArgumentName2" not in absent
    bridge = {"EventBridgeConfiguration": {}}
    no_bus = refused("InvalidArgument", call, Bucket=bucket, NotificationConfiguration=bridge)
    assert no_bus["ArgumentName1"] == "EventBridgeConfiguration"
    # Nothing of all this was kept.
    kept = place.s3.get_bucket_notification_configuration(Bucket=bucket)
    assert set(kept) == {"ResponseMetadata"}


def test_a_destination_that_does_not_answer_is_refused_unless_it_need_not(place, bucket):
    with EventReceiver() as gone:
        url = gone.url("gone")
    status, _ = place.admin("PUT", "event-targets/gone", {"kind": "webhook", "url": url, "timeout": "1s"})
    assert status == 200
    wanted = queue("gone", "s3:ObjectCreated:*")
    call = place.s3.put_bucket_notification_configuration
    error = refused("InvalidArgument", call, Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [wanted]})
    assert error["ArgumentName1"] == arn("gone") and "cannot be used" in error["ArgumentValue1"]
    configure(place, bucket, wanted, skip=True)
    assert place.admin("DELETE", "event-targets/gone")[0] == 204


def test_aws_cli(place, bucket, run, tmp_path):
    document = tmp_path / "configuration.json"
    rules = [{"Name": "prefix", "Value": "in/"}]
    one = {"QueueArn": arn("hook"), "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    document.write_text(json.dumps({"QueueConfigurations": [one]}))
    extra = {
        "AWS_ENDPOINT_URL_S3": place.process.endpoint,
        "AWS_ACCESS_KEY_ID": place.process.access_key_id,
        "AWS_SECRET_ACCESS_KEY": place.process.secret_access_key,
    }

    def s3api(operation, *arguments, **options):
        output = run("aws", "s3api", operation, "--bucket", bucket, *arguments, extra=extra, **options)
        return json.loads(output) if output.strip() else {}

    put = ("put-bucket-notification-configuration", "--notification-configuration")
    s3api(*put, f"file://{document}")
    [kept] = s3api("get-bucket-notification-configuration")["QueueConfigurations"]
    assert kept.pop("Id")
    one["Filter"]["Key"]["FilterRules"][0]["Name"] = "Prefix"
    assert kept == one
    place.s3.upload_fileobj(io.BytesIO(b"x" * 9 * MIB), bucket, "in/large")
    [record] = place.events.records(bucket, 1)
    assert record["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert record["s3"]["object"]["size"] == 9 * MIB
    s3api(*put, "{}")
    assert s3api("get-bucket-notification-configuration") == {}


def test_targets_come_and_go_while_the_server_runs(place, bucket):
    with EventReceiver() as late:
        table = {"kind": "webhook", "url": late.url("late"), "secret": "keep-this-to-yourself"}
        status, put = place.admin("PUT", "event-targets/late", table)
        assert status == 200 and put["source"] == "administrator" and put["format"] == "s3"
        configure(place, bucket, queue("late", "s3:ObjectCreated:*"))
        place.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert [key_of(record) for record in late.records(bucket, 1)] == ["k"]
        # It outlives the process, and no answer tells its secret.
        place.process.restart()
        status, listed = place.admin("GET", "event-targets")
        names = {target["name"]: target["source"] for target in listed["eventTargets"]}
        assert names["late"] == "administrator" and names["hook"] == "file"
        assert "keep-this" not in json.dumps(listed)
        place.s3.put_object(Bucket=bucket, Key="again", Body=b"x")
        assert {key_of(record) for record in late.records(bucket, 2)} == {"k", "again"}
        assert place.admin("DELETE", "event-targets/late")[0] == 204
    assert place.admin("DELETE", "event-targets/late")[0] == 404
    for name, document, words in (
        ("hook", {"kind": "webhook", "url": "http://127.0.0.1:1/"}, "configuration file"),
        ("new", {"kind": "webhok", "url": "http://127.0.0.1:1/"}, "webhook"),
        ("new", {"kind": "webhook", "url": "http://127.0.0.1:1/", "name": "other-name"}, "path"),
        ("new", {"kind": "webhook", "colour": "red"}, "colour"),
    ):
        status, error = place.admin("PUT", f"event-targets/{name}", document)
        assert status == 400 and words in error["message"], error


def test_minio_clients_listen(place, bucket):
    """A bucket without any configuration; only what is asked for is heard."""
    host = place.process.endpoint.removeprefix("http://")
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30))
    client = minio.Minio(
        host, place.process.access_key_id, place.process.secret_access_key, secure=False, http_client=pool
    )
    heard, done = [], threading.Event()

    def listen():
        with client.listen_bucket_notification(bucket, prefix="in/", suffix=".txt") as events:
            for event in events:
                heard.extend(event["Records"])
                if any(key_of(record) == "in/last.txt" for record in event["Records"]):
                    break
        done.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    # Listening has no answer of its own to wait for: it begins with the first event that is heard.
    deadline = datetime.datetime.now() + datetime.timedelta(seconds=20)
    while not heard and datetime.datetime.now() < deadline:
        place.s3.put_object(Bucket=bucket, Key="in/first.txt", Body=b"x")
    for key in ("out/a.txt", "in/a.jpg", "in/a b.txt"):
        place.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    place.s3.delete_object(Bucket=bucket, Key="in/a b.txt")
    place.s3.put_object(Bucket=bucket, Key="in/last.txt", Body=b"x")
    assert done.wait(20), heard
    told = [(record["eventName"], key_of(record)) for record in heard if key_of(record) != "in/first.txt"]
    assert told == [
        ("s3:ObjectCreated:Put", "in/a b.txt"),
        ("s3:ObjectRemoved:Delete", "in/a b.txt"),
        ("s3:ObjectCreated:Put", "in/last.txt"),
    ]


def test_who_listens_does_not_hold_up_a_shutdown(tmp_path):
    with ServerProcess(tmp_path / "data", tmp_path / "log") as process:
        client = minio.Minio(
            process.endpoint.removeprefix("http://"), process.access_key_id, process.secret_access_key, secure=False
        )
        client.make_bucket("listened")
        began = threading.Event()

        def listen():
            with client.listen_bucket_notification("listened") as events:
                for _ in events:
                    began.set()

        threading.Thread(target=listen, daemon=True).start()
        deadline = datetime.datetime.now() + datetime.timedelta(seconds=20)
        while not began.is_set() and datetime.datetime.now() < deadline:
            client.put_object("listened", "k", io.BytesIO(b"x"), 1)
        assert began.is_set()
        # Less than the 30 s for which requests in flight are waited for.
        before = datetime.datetime.now()
        process.terminate()
        assert (datetime.datetime.now() - before).total_seconds() < 15
