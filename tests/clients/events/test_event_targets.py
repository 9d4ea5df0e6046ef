"""The contract of all event targets, each against a real server: what happens to objects arrives there, in order for each
key, filtered as configured, whatever becomes of the target meanwhile."""

import json
import re
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest
import urllib3
from brokers import wait_for

ARRIVAL_SECONDS = 30
PART = b"p" * (5 << 20)
EVERYTHING = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"]
# What `happenings` does to one key, in order.
EXPECTED = [
    "ObjectCreated:Put",
    "ObjectTagging:Put",
    "ObjectTagging:Delete",
    "ObjectAcl:Put",
    "ObjectCreated:Copy",
    "ObjectCreated:CompleteMultipartUpload",
    "ObjectCreated:Post",
    "ObjectRemoved:Delete",
    "ObjectCreated:Put",
    "ObjectRemoved:DeleteMarkerCreated",
]
# The same as EventBridge calls them.
EXPECTED_ON_A_BUS = [
    ("Object Created", "PutObject"),
    ("Object Tags Added", None),
    ("Object Tags Deleted", None),
    ("Object ACL Updated", None),
    ("Object Created", "CopyObject"),
    ("Object Created", "CompleteMultipartUpload"),
    ("Object Created", "POST Object"),
    ("Object Deleted", "DeleteObject"),
    ("Object Created", "PutObject"),
    ("Object Deleted", "DeleteObject"),
]
KEY = "in/a key+with ü.txt"


def events(broker, bucket):
    """(name, key, sequencer) of each event of the bucket, as they arrived; what was sent twice counts once. As on Amazon,
    events of tags and access control lists have no sequencer."""
    found = []
    for body in broker.received():
        if "detail" in body:
            detail = body["detail"]
            if detail["bucket"]["name"] == bucket:
                name = (body["detail-type"], detail.get("reason"))
                found.append((name, detail["object"]["key"], detail["object"].get("sequencer")))
            continue
        for record in body.get("Records", []):
            if record["s3"]["bucket"]["name"] == bucket:
                item = record["s3"]["object"]
                found.append((record["eventName"], urllib.parse.unquote_plus(item["key"]), item.get("sequencer")))
    return list(dict.fromkeys(found))


def configuration(broker, wanted, rules=()):
    """The notification configuration that sends to this broker, addressed by an ARN of some service."""
    if broker.kind == "eventbridge":
        return {"EventBridgeConfiguration": {}}
    service, arn = ("Topic", "sns") if broker.kind == "sns" else ("Queue", "sqs")
    if broker.kind == "webhook":
        service, arn = "LambdaFunction", "lambda"
    one = {
        "Id": f"to-{broker.name}",
        f"{service}Arn": f"arn:aws:{arn}:us-east-1:000000000000:{broker.name}",
        "Events": wanted,
    }
    if rules:
        one["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in rules]}}
    return {f"{service}Configurations": [one]}


def put_configuration(s3, bucket, *arguments, **options):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration(*arguments), **options
    )


def arrive(broker, bucket, count):
    """Waits for so many events, and returns them."""
    wait_for(
        lambda: len(events(broker, bucket)) >= count,
        lambda: f"{count} events were expected at {broker.name}, there are {events(broker, bucket)}",
        ARRIVAL_SECONDS,
    )
    return events(broker, bucket)


def happenings(s3, bucket, forms):
    """Everything that makes an event, to one key."""
    item = {"Bucket": bucket, "Key": KEY}
    s3.put_object(**item, Body=b"one")
    s3.put_object_tagging(**item, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(**item)
    s3.put_object_acl(**item, ACL="public-read")
    s3.copy_object(**item, CopySource=item, MetadataDirective="REPLACE")
    upload = s3.create_multipart_upload(**item)["UploadId"]
    part = s3.upload_part(**item, UploadId=upload, PartNumber=1, Body=PART)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**item, UploadId=upload, MultipartUpload=parts)
    form = forms.generate_presigned_post(bucket, KEY)
    with urllib3.PoolManager(retries=False) as pool:
        fields = [*form["fields"].items(), ("file", ("photo", b"two"))]
        answer = pool.request("POST", form["url"], fields=fields)
        assert answer.status == 204, answer.data
    s3.delete_object(**item)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(**item, Body=b"three")
    s3.delete_object(**item)


def test_every_event_arrives_in_order(broker, connect, s3api, s3, bucket_name):
    bucket = bucket_name
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    wanted = configuration(broker, EVERYTHING)
    s3api("put-bucket-notification-configuration", "--bucket", bucket, "--notification-configuration", json.dumps(wanted))
    assert s3api("get-bucket-notification-configuration", "--bucket", bucket) == wanted
    happenings(s3, bucket, connect(signature_version="s3v4"))
    if broker.name == "postgresql-upsert":
        # The object's row goes with it; that of another stays and shows the newest event.
        s3.put_object(Bucket=bucket, Key="stays", Body=b"1")
        s3.put_object_tagging(Bucket=bucket, Key="stays", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
        last = ("ObjectTagging:Put", "stays")
        wait_for(
            lambda: [event[:2] for event in events(broker, bucket)] == [last], lambda: f"{events(broker, bucket)}"
        )
        return
    expected = EXPECTED_ON_A_BUS if broker.kind == "eventbridge" else EXPECTED
    arrived = arrive(broker, bucket, len(expected))
    assert {key for _, key, _ in arrived} == {KEY}
    sequenced = [event for event in arrived if event[2]]
    assert all(re.fullmatch("[0-9A-F]+|[0-9a-f]+", sequencer) for _, _, sequencer in sequenced)
    # Padded with zeros at the left to the same length, as Amazon says that they are compared.
    in_order = sorted(sequenced, key=lambda event: event[2].rjust(64, "0"))
    assert [name for name, _, _ in in_order] == [name for name in expected if has_sequencer(name)]
    if broker.kind in ("sqs", "sns", "eventbridge") and broker.name != "sqs-fifo":
        # Standard queues keep no order.
        assert sorted(map(str, expected)) == sorted(str(name) for name, _, _ in arrived)
    else:
        assert [name for name, _, _ in arrived] == expected


def has_sequencer(name):
    return name.startswith(("ObjectCreated", "ObjectRemoved")) if isinstance(name, str) else name[1] is not None


def test_filters_keep_the_rest_away(broker, s3, bucket):
    if broker.kind == "eventbridge":
        pytest.skip("EventBridge gets everything, and filters by its own rules")
    rules = [("prefix", "in/"), ("suffix", ".jpg")]
    put_configuration(s3, bucket, broker, ["s3:ObjectCreated:Put"], rules)
    for key in ["in/a.txt", "out/a.jpg", "in/a.jpg", "in/b.jpg"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_object(Bucket=bucket, Key="in/b.jpg")
    s3.put_object(Bucket=bucket, Key="in/last.jpg", Body=b"")
    arrived = {(name, key) for name, key, _ in arrive(broker, bucket, 3)}
    assert arrived == {("ObjectCreated:Put", f"in/{name}.jpg") for name in ["a", "b", "last"]}


def test_a_target_that_was_away_gets_everything(broker, world, s3, bucket):
    if not broker.keeps:
        pytest.skip(f"{broker.name} keeps nothing for readers that are away while it restarts")
    if broker.kind == "kafka":
        pytest.skip("a mock cluster in Python cannot be stopped; outbound/events/tests.rs stops one")
    put_configuration(s3, bucket, broker, EVERYTHING)
    numbers = range(9)
    put = lambda number: s3.put_object(Bucket=bucket, Key=f"k{number % 3}-{number}", Body=b"")  # noqa: E731
    for number in numbers[:3]:
        put(number)
    arrive(broker, bucket, 3)
    broker.stop()
    try:
        for number in numbers[3:]:
            put(number)
    finally:
        if broker.kind != "file":
            broker.start()
    keys = {f"k{number % 3}-{number}" for number in numbers}
    wait_for(
        lambda: {key for _, key, _ in events(broker, bucket)} == keys,
        lambda: f"{keys} were expected, there are {events(broker, bucket)}",
    )
    wait_for(lambda: metric(world, "cairn_events_target_up", broker.name) == 1, f"{broker.name} is not up")


def metric(world, name, target):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{world.process.ops_endpoint}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return float(re.search(rf'^{name}{{target="{target}"}} (\S+)$', text, re.MULTILINE).group(1))


def test_wrong_credentials_are_refused_and_seen(broker, world, s3, bucket):
    if broker.wrong_settings() is None:
        pytest.skip(f"{broker.name} asks for no credentials here")
    wrong = {
        "QueueConfigurations": [
            {"QueueArn": f"arn:aws:sqs:us-east-1:000000000000:{broker.name}-wrong", "Events": ["s3:ObjectCreated:*"]}
        ]
    }
    if broker.kind != "webhook":
        # A webhook is asked by HEAD, which shows that somebody is there, and no more.
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wrong)
        assert caught.value.response["Error"]["Code"] == "InvalidArgument"
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=wrong, SkipDestinationValidation=True
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    name = f"{broker.name}-wrong"
    wait_for(lambda: metric(world, "cairn_events_failures_total", name) > 0, "no failure is counted")
    wait_for(lambda: metric(world, "cairn_events_target_up", name) == 0, "the target is not shown as failing")
    assert events(broker, bucket) == []
