"""Replays of `notifications_sqs.json`, `notifications_sns.json`, and what `api.json` has of notifications.

The destinations are webhooks: what S3 writes is compared, and not what SQS and SNS put around it.
"""

import io
import urllib.request
import uuid

from boto3.s3.transfer import TransferConfig
from recorded.compare import compare
from recorded.replay import case, client, empty_bucket

SQS = "TestS3NotificationsToSQS::"
SNS = "TestS3NotificationsToSns::"
API = "TestS3BucketNotificationConfiguration::"
# Names of targets of the server under test.
QUEUE, TOPIC = "recorded-queue", "recorded-topic"


def queue(name=QUEUE):
    return f"arn:aws:sqs:us-east-1:111111111111:{name}"


def topic(name=TOPIC):
    return f"arn:aws:sns:us-east-1:111111111111:{name}"


def one(arn, *events, **more):
    kind = "TopicArn" if ":sns:" in arn else "QueueArn"
    return {kind: arn, "Events": list(events), **more}


def configure(s, *configurations, step=None, skip=False, lax=False):
    topics = [each for each in configurations if "TopicArn" in each]
    queues = [each for each in configurations if "QueueArn" in each]
    both = {"TopicConfigurations": topics, "QueueConfigurations": queues}
    wanted = {name: value for name, value in both.items() if value}
    more = {"SkipDestinationValidation": True} if skip else {}
    call = s.lax if lax else s.call
    return call(step, "put_bucket_notification_configuration", NotificationConfiguration=wanted, **more)


def read_back(s, step):
    s.call(step, "get_bucket_notification_configuration")


def records(s, count, bucket=None):
    return s.server.events.records(bucket or s.bucket, count)


def by_key(record):
    return record["s3"]["object"]["key"]


@case("sqs", SQS + "test_object_created_put")
def _(s):
    configure(s, one(queue(), "s3:ObjectCreated:Put"))
    s.call(None, "put_object", Key="my_key_0", Body=b"something")
    s.call(None, "put_object", Key="my_key_1", Body=b"something else")
    s.compare("receive_messages", {"messages": sorted(records(s, 2), key=by_key)})


@case("sqs", SQS + "test_object_created_copy")
def _(s):
    configure(s, one(queue(), "s3:ObjectCreated:Copy"))
    s.call(None, "put_object", Key="source", Body=b"something")
    s.call(None, "copy_object", CopySource={"Bucket": s.bucket, "Key": "source"}, Key="copy")
    s.compare("receive_messages", {"messages": records(s, 1)})


@case("sqs", SQS + "test_object_created_and_object_removed")
def _(s):
    configure(s, one(queue(), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    s.call(None, "put_object", Key="source", Body=b"something")
    s.call(None, "copy_object", CopySource={"Bucket": s.bucket, "Key": "source"}, Key="copy")
    s.call(None, "delete_object", Key="source")
    s.compare("receive_messages", {"messages": sorted(records(s, 3), key=lambda record: record["eventName"])})


@case("sqs", SQS + "test_delete_objects")
def _(s):
    configure(s, one(queue(), "s3:ObjectRemoved:*"))
    s.call(None, "put_object", Key="key", Body=b"something")
    # Two of the keys were never there.
    keys = [{"Key": key} for key in ("key", "dummy1", "dummy2")]
    s.call(None, "delete_objects", Delete={"Objects": keys, "Quiet": True})
    s.compare("receive_messages", {"messages": sorted(records(s, 3), key=by_key)})


@case("sqs", SQS + "test_object_created_complete_multipart_upload")
def _(s):
    configure(s, one(queue(), "s3:ObjectCreated:*"))
    small_parts = TransferConfig(multipart_threshold=5 << 10, multipart_chunksize=1 << 10)
    s.client.upload_fileobj(io.BytesIO(b"1" * (6 << 10)), s.bucket, "test-key", Config=small_parts)
    s.compare("receive_messages", {"messages": records(s, 1)})


@case("sqs", SQS + "test_key_encoding")
def _(s):
    configure(s, one(queue(), "s3:ObjectCreated:*"))
    s.call(None, "put_object", Key="a@b", Body=b"something")
    s.compare("receive_messages", {"messages": records(s, 1)})


@case("sqs", SQS + "test_object_created_put_with_presigned_url_upload")
def _(s):
    signer = client(s.server, signature_version="s3v4")

    def upload(bucket):
        url = signer.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "key-by-hostname"})
        request = urllib.request.Request(url, b"something", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()
        return {"messages": records(s, 1, bucket)}

    configure(s, one(queue(), "s3:ObjectCreated:*"))
    s.compare("receive_messages", upload(s.bucket))
    # One server is one region: the second bucket is in the same one, and the recorded test's two are not.
    other = f"recorded-{uuid.uuid4().hex[:16]}"
    s.call(None, "create_bucket", Bucket=other)
    try:
        wanted = {"QueueConfigurations": [one(queue(), "s3:ObjectCreated:*")]}
        s.call(None, "put_bucket_notification_configuration", Bucket=other, NotificationConfiguration=wanted)
        step = "receive_messages_region_2"
        expected = {"messages": [{**s.recorded[step]["messages"][0], "awsRegion": "<aws-region:1>"}]}
        s.compared.append(step)
        s.differences += compare(expected, upload(other), s.bindings)
    finally:
        empty_bucket(s.client, other)


def tagged(s, event):
    configure(s, one(queue(), event))
    s.call(None, "put_object", Key="key", Body=b"FooBarBlitz")
    tags = {"TagSet": [{"Key": "swallow_type", "Value": "african"}]}
    s.call(None, "put_object_tagging", Key="key", Tagging=tags)


@case("sqs", SQS + "test_object_tagging_put_event")
def _(s):
    tagged(s, "s3:ObjectTagging:Put")
    s.compare("receive_messages", {"messages": records(s, 1)})


@case("sqs", SQS + "test_object_tagging_delete_event")
def _(s):
    tagged(s, "s3:ObjectTagging:Delete")
    s.call(None, "delete_object_tagging", Key="key")
    s.compare("receive_messages", {"messages": records(s, 1)})


@case("sqs", SQS + "test_notifications_with_filter")
def _(s):
    rules = [{"Name": "Prefix", "Value": "testupload/"}, {"Name": "Suffix", "Value": "testfile.txt"}]
    both = {"Filter": {"Key": {"FilterRules": rules}}}
    created = one(queue(), "s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", Id="id0001", **both)
    configure(s, created, one(queue(), "s3:ObjectTagging:*", Id="id0002", **both))
    read_back(s, "config")
    s.call(None, "put_object", Key="/testdata", Body=b'{"test": "bucket_notification1"}')
    s.call(None, "put_object", Key="testupload/dir1/testfile.txt", Body=b'{"test": "bucket_notification2"}')
    [message] = records(s, 1)
    s.compare("message", message)
    configure(s)
    read_back(s, "config_empty")
    updated = one(queue(), "s3:ObjectCreated:*", Id="id123456")
    configure(s, updated)
    read_back(s, "config_updated")
    configure(s, {**updated, "Filter": {"Key": {"FilterRules": rules[:1]}}})
    read_back(s, "config_updated_filter")


# The recorded answer has this in the place of a random part of the queue's name.
RANDOM_QUEUE = "my-queue-<queue_id>"


@case("sqs", SQS + "test_filter_rules_case_insensitive")
def _(s):
    rules = [{"Name": "suffix", "Value": ".txt"}, {"Name": "PREFIX", "Value": "notif-"}]
    configure(s, one(queue(RANDOM_QUEUE), "s3:ObjectCreated:*", Filter={"Key": {"FilterRules": rules}}), skip=True)
    answer = s.call(None, "get_bucket_notification_configuration")
    answer["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"].sort(key=lambda rule: rule["Name"])
    s.compare("bucket_notification_configuration", answer)


@case("sqs", SQS + "test_filter_rules_empty_value")
def _(s):
    rules = [{"Name": "suffix", "Value": ""}]
    configure(s, one(queue(RANDOM_QUEUE), "s3:ObjectCreated:*", Filter={"Key": {"FilterRules": rules}}), skip=True)
    read_back(s, "bucket_notification_configuration")


@case("sqs", SQS + "test_invalid_sqs_arn")
def _(s):
    invalid = one(queue(), "s3:ObjectCreated:*", Id="id123") | {"QueueArn": "invalid-queue"}
    configure(s, invalid, step="invalid_not_skip")
    configure(s, invalid, step="invalid_skip", skip=True)
    absent = one(queue("my-queue"), "s3:ObjectCreated:*", Id="id123")
    configure(s, absent, step="queue-does-not-exist")
    configure(s, absent, skip=True)
    read_back(s, "skip_destination_validation")


@case("sqs", SQS + "test_multiple_invalid_sqs_arns")
def _(s):
    first, second = one(queue(), "s3:ObjectCreated:*", Id="id1"), one(queue(), "s3:ObjectRemoved:*", Id="id2")
    second["QueueArn"] = "invalid_arn_2"
    configure(s, first | {"QueueArn": "invalid_arn"}, second, step="two-queue-arns-invalid")
    first["QueueArn"] = queue("my-queue")
    configure(s, first, second, step="one-queue-invalid-one-not-existent")
    configure(s, first, second | {"QueueArn": queue("my-queue-2")}, step="multiple-queues-do-not-exist")


@case("sqs", SQS + "test_object_put_acl")
def _(s):
    s.call(None, "delete_bucket_ownership_controls")
    s.call(None, "delete_public_access_block")
    configure(s, one(queue(), "s3:ObjectAcl:Put"))
    s.call(None, "put_object", Key="my_key_acl", Body=b"something")
    owner = s.call(None, "list_buckets")["Owner"]
    # The list that the object has anyway: no event.
    s.call(None, "put_object_acl", Key="my_key_acl", ACL="private")
    s.call(None, "put_object_acl", Key="my_key_acl", ACL="public-read")
    group = "http://acs.amazonaws.com/groups/s3/LogDelivery"
    s.call(None, "put_object_acl", Key="my_key_acl", GrantRead=f'uri="{group}"')
    grants = [
        {"Grantee": {"ID": owner["ID"], "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"},
        {"Grantee": {"URI": group, "Type": "Group"}, "Permission": "WRITE"},
    ]
    s.call(None, "put_object_acl", Key="my_key_acl", AccessControlPolicy={"Owner": owner, "Grants": grants})
    s.compare("receive_messages", {"messages": records(s, 3)})


@case("sqs", SQS + "test_object_created_put_versioned")
def _(s):
    s.versioning()
    configure(s, one(queue(), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    first = s.call("obj-ver1", "put_object", Key="test-key", Body=b"data")
    s.call("obj-ver2", "put_object", Key="test-key", Body=b"data-version2")
    marker = s.call("delete-marker", "delete_object", Key="test-key")
    s.call("delete-version", "delete_object", Key="test-key", VersionId=first["VersionId"])
    active = records(s, 4)
    # Recorded by name, the later of two first.
    ordered = sorted(active, key=lambda record: record["s3"]["object"]["sequencer"], reverse=True)
    names = ["ObjectCreated:Put", "ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated"]
    ordered.sort(key=lambda record: names.index(record["eventName"]))
    s.compare("message-versioning-active", ordered)
    s.versioning("Suspended")
    s.call("add-null-version", "put_object", Key="test-key", Body=b"data-version3")
    s.call("del-delete-marker", "delete_object", Key="test-key", VersionId=marker["VersionId"])
    suspended = [record for record in records(s, 6) if record not in active]
    s.compare("message-versioning-suspended", sorted(suspended, key=lambda record: record["eventName"]))


def compare_messages(s, step, expected, found):
    """Of what SNS delivers, the part that S3 writes."""
    s.compared.append(step)
    s.differences += compare(expected, found, s.bindings, step)


@case("sns", SNS + "test_object_created_put")
def _(s):
    configure(s, one(topic(), "s3:ObjectCreated:*"))
    s.call(None, "put_object", Key="bucket-key", Body=b"first event")
    s.call(None, "put_object", Key="bucket-key", Body=b"second event")
    expected = [message["Message"] for message in s.recorded["receive_messages"]["messages"]]
    found = sorted(records(s, 2), key=lambda record: record["s3"]["object"]["sequencer"])
    compare_messages(s, "receive_messages", expected, [{"Records": [record]} for record in found])


@case("sns", SNS + "test_bucket_notifications_with_filter")
def _(s):
    rules = [{"Name": "Prefix", "Value": "testupload/"}, {"Name": "Suffix", "Value": "testfile.txt"}]
    configure(s, one(topic(), "s3:ObjectCreated:*", Filter={"Key": {"FilterRules": rules}}))
    s.call(None, "put_object", Key="/testdata", Body=b"not this")
    s.call(None, "put_object", Key="testupload/dir1/testfile.txt", Body=b"key_prefix: testupload suffix: test")
    [record] = records(s, 1)
    # What was uploaded is not recorded, only its digest.
    seen = record["s3"]["object"]
    recorded = s.recorded["message"]["Message"]["Records"][0]["s3"]["object"]
    seen["eTag"], seen["size"] = recorded["eTag"], recorded["size"]
    compare_messages(s, "message", s.recorded["message"]["Message"], {"Records": [record]})


@case("sns", SNS + "test_bucket_not_exist")
def _(s):
    wanted = {"TopicConfigurations": [one(topic(), "s3:ObjectCreated:*")]}
    absent = f"recorded-{uuid.uuid4().hex[:16]}"
    s.call("bucket_not_exists", "put_bucket_notification_configuration", Bucket=absent, NotificationConfiguration=wanted)


@case("sns", SNS + "test_invalid_topic_arn")
def _(s):
    invalid = one(topic(), "s3:ObjectCreated:*", Id="id123") | {"TopicArn": "invalid-topic"}
    configure(s, invalid, step="invalid_not_skip")
    configure(s, invalid, step="invalid_skip", skip=True)
    configure(s, one(topic("my-topic"), "s3:ObjectCreated:*", Id="id123"), skip=True)
    read_back(s, "skip_destination_validation")


@case("api", API + "test_bucket_notification_with_missing_values_in_rule")
def _(s):
    for step, rule in (
        ("invalid-rule-no-values", {}),
        ("invalid-rule-no-value", {"Name": "suffix"}),
        ("invalid-rule-no-name", {"Value": "does-not-matter"}),
    ):
        configure(s, one(queue(), "s3:ObjectCreated:*", Filter={"Key": {"FilterRules": [rule]}}), step=step, lax=True)


@case("api", API + "test_bucket_notification_with_invalid_filter_rules")
def _(s):
    rules = [{"Name": "INVALID", "Value": "does not matter"}]
    wanted = one(queue(), "s3:ObjectCreated:*", Filter={"Key": {"FilterRules": rules}})
    configure(s, wanted, step="invalid_filter_name")
