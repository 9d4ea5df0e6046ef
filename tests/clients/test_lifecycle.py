"""Lifecycle through boto3 and `cairn lifecycle`, on a server whose days last two seconds."""

import datetime
import json
import os
import random
import re
import subprocess
import threading
import time
import urllib.request

import botocore.exceptions
import pytest
from server_process import ServerProcess, binary

DAY = 2
DEADLINE = 30


class Scaled(ServerProcess):
    access_key = property(lambda self: self.access_key_id)
    secret_key = property(lambda self: self.secret_access_key)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lifecycle")
    scale = ("--lifecycle-day-seconds", str(DAY))
    with Scaled(folder / "data", folder / "server.log", extra_args=scale) as process:
        yield process


@pytest.fixture
def cairn(run, server):
    """cairn("explain", "s3://b/k") -> the answer's JSON."""

    def call(*arguments):
        return json.loads(run(binary(), "lifecycle", *arguments, "--json", extra={"AWS_ENDPOINT_URL": server.endpoint}))

    return call


def put_rules(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [{"Status": "Enabled", **rule} for rule in rules]}
    )


def wait_until(what, deadline=DEADLINE):
    """Polls until `what` is true, and answers that."""
    end = time.monotonic() + deadline
    while not (answer := what()):
        assert time.monotonic() < end, "it never became so"
        time.sleep(0.05)
    return answer


def keys(s3, bucket):
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def versions(s3, bucket):
    """(key, version id, is a delete marker) of everything."""
    page = s3.list_object_versions(Bucket=bucket)
    kinds = ((page.get("Versions", []), False), (page.get("DeleteMarkers", []), True))
    return {(entry["Key"], entry["VersionId"], marker) for entries, marker in kinds for entry in entries}


def test_a_configuration_comes_back_as_it_was_put(s3, bucket):
    rules = [
        {"ID": "legacy", "Status": "Disabled", "Prefix": "old/", "Expiration": {"Days": 31}},
        {
            "ID": "and",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeLessThan": 9}},
            "Expiration": {"Date": datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
        },
        {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    put = s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert put["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    # boto3 leaves an empty filter out of what it reads.
    shown = [{name: value for name, value in rule.items() if value != {}} for rule in got["Rules"]]
    assert shown == [{name: value for name, value in rule.items() if value != {}} for rule in rules]
    assert got["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    put_rules(s3, bucket, {"Filter": {"Prefix": "p"}, "Expiration": {"Days": 1}})
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["ID"], "a rule without a name gets one"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"Filter": {}, "Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Filter": {}}, "InvalidRequest"),
        ({"Filter": {}, "Prefix": "", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "InvalidStorageClass"),
        ({"Filter": {}, "Expiration": {"Date": datetime.datetime(2030, 1, 1, 5)}}, "InvalidArgument"),
    ],
)
def test_what_may_not_be_is_refused_and_nothing_is_kept(s3, bucket, rule, code):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        put_rules(s3, bucket, rule)
    assert raised.value.response["Error"]["Code"] == code
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def midnight_after(time, days):
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    rest = datetime.timedelta(days=days) + (time - midnight)
    return midnight + datetime.timedelta(days=-(-rest // datetime.timedelta(days=1)))


def test_answers_tell_when_in_real_days(s3, bucket):
    put_rules(
        s3,
        bucket,
        {"ID": "a rule/1", "Filter": {"Prefix": "e/"}, "Expiration": {"Days": 100}},
        {"ID": "up", "Filter": {"Prefix": "e/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 50}},
    )
    written = s3.put_object(Bucket=bucket, Key="e/k", Body=b"x")["Expiration"]
    modified = s3.head_object(Bucket=bucket, Key="e/k")["LastModified"]
    date = midnight_after(modified, 100).strftime("%a, %d %b %Y 00:00:00 GMT")
    expected = f'expiry-date="{date}", rule-id="a%20rule%2F1"'
    assert written == expected
    assert s3.head_object(Bucket=bucket, Key="e/k")["Expiration"] == expected
    assert s3.get_object(Bucket=bucket, Key="e/k")["Expiration"] == expected
    copied = s3.copy_object(Bucket=bucket, Key="e/copy", CopySource=f"{bucket}/e/k")
    assert re.search('rule-id="a%20rule%2F1"', copied["Expiration"])
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="e/u")
    assert (upload["AbortRuleId"], upload["AbortDate"].hour) == ("up", 0)
    place = {"Bucket": bucket, "Key": "e/u", "UploadId": upload["UploadId"]}
    part = s3.upload_part(**place, PartNumber=1, Body=b"data")
    assert s3.list_parts(**place)["AbortDate"] == upload["AbortDate"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    assert s3.complete_multipart_upload(**place, MultipartUpload=parts)["Expiration"]


def test_what_is_due_goes_and_nothing_else(s3, bucket):
    s3.put_object(Bucket=bucket, Key="e/tagged", Body=b"x" * 10, Tagging="k=v")
    s3.put_object(Bucket=bucket, Key="e/small", Body=b"x")
    for key in ("e/plain", "keep/a", "date/a", "size/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 10)
    s3.put_object(Bucket=bucket, Key="size/big", Body=b"x" * 10_000)
    uploads = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("e/u", "keep/u")]
    put_rules(
        s3,
        bucket,
        {"Filter": {"And": {"Prefix": "e/", "Tags": [{"Key": "k", "Value": "v"}]}}, "Expiration": {"Days": 1}},
        {"Filter": {"And": {"Prefix": "e/", "ObjectSizeLessThan": 2}}, "Expiration": {"Days": 1}},
        {"Filter": {"Prefix": "date/"}, "Expiration": {"Date": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}},
        {"Filter": {"And": {"Prefix": "size/", "ObjectSizeGreaterThan": 9_999}}, "Expiration": {"Days": 1}},
        {"Filter": {"Prefix": "keep/"}, "Expiration": {"Days": 1}, "Status": "Disabled"},
        {"Filter": {"Prefix": "e/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    )
    left = {"e/plain", "keep/a", "size/a"}
    wait_until(lambda: keys(s3, bucket) == left)
    open_uploads = lambda: [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]  # noqa: E731
    wait_until(lambda: open_uploads() == uploads[1:])
    s3.put_object(Bucket=bucket, Key="date/late", Body=b"x")
    wait_until(lambda: keys(s3, bucket) == left)


def test_versions_and_markers(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="n/k", Body=b"%d" % number)["VersionId"] for number in range(5)]
    s3.put_object(Bucket=bucket, Key="m/k", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="m/k")
    s3.put_object(Bucket=bucket, Key="c/k", Body=b"x")
    put_rules(
        s3,
        bucket,
        {"Filter": {"Prefix": "n/"}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}},
        {
            "Filter": {"Prefix": "m/"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
        {"Filter": {"Prefix": "c/"}, "Expiration": {"Days": 1}},
    )

    def settled():
        found = versions(s3, bucket)
        mine = {entry for entry in found if entry[0] == "n/k"}
        marked = sorted(marker for key, _, marker in found if key == "c/k")
        return mine == {("n/k", version, False) for version in ids[2:]} and marked == [False, True] and len(found) == 5

    wait_until(settled)
    assert s3.get_object(Bucket=bucket, Key="n/k")["Body"].read() == b"4"


def test_an_object_that_is_written_again_is_not_removed(s3, bucket):
    """Overwrites race with expirations of what they overwrite: the newest bytes are never what goes before its time."""
    put_rules(s3, bucket, {"Filter": {}, "Expiration": {"Days": 1}})
    end = time.monotonic() + 4 * DAY
    while time.monotonic() < end:
        for number in range(10):
            key = f"k{number}"
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_a_lock_keeps_versions_that_rules_would_remove(s3, bucket_name, cairn):
    s3.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    held = s3.put_object(Bucket=bucket_name, Key="held", Body=b"1", ObjectLockLegalHoldStatus="ON")["VersionId"]
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    retention = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    kept = s3.put_object(Bucket=bucket_name, Key="kept", Body=b"1", **retention)["VersionId"]
    free = s3.put_object(Bucket=bucket_name, Key="free", Body=b"1")["VersionId"]
    for key in ("held", "kept", "free"):
        s3.put_object(Bucket=bucket_name, Key=key, Body=b"2")
    put_rules(s3, bucket_name, {"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    present = lambda: {version for _, version, _ in versions(s3, bucket_name)}  # noqa: E731
    wait_until(lambda: free not in present())
    told = cairn("explain", f"s3://{bucket_name}/held")["versions"]
    (entry,) = [entry for entry in told if entry["versionId"] == held]
    assert entry["next"] is None and "object lock" in entry["rules"][0]["not"]
    assert {held, kept} <= present()
    s3.put_object_legal_hold(Bucket=bucket_name, Key="held", VersionId=held, LegalHold={"Status": "OFF"})
    wait_until(lambda: held not in present())
    assert kept in present()


def random_rule(draw, number):
    prefix = draw.choice(["", "a", "a/", "b/"])
    conditions = {"Prefix": prefix}
    if draw.random() < 0.3:
        conditions["Tags"] = [{"Key": "t", "Value": draw.choice("12")}]
    if draw.random() < 0.3:
        conditions["ObjectSizeGreaterThan"] = draw.choice([0, 5, 50])
    rule = {"ID": f"rule-{number}", "Filter": {"And": conditions} if len(conditions) > 1 else {"Prefix": prefix}}
    rule["Status"] = draw.choice(["Enabled", "Enabled", "Disabled"])
    plain = len(conditions) == 1
    actions = draw.sample(["expire", "noncurrent", "marker" if plain else "expire"], draw.choice([1, 2]))
    if "marker" in actions:
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    elif "expire" in actions or not actions:
        rule["Expiration"] = {"Days": draw.choice([1, 2])}
    if "noncurrent" in actions:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1, "NewerNoncurrentVersions": draw.choice([1, 2])}
    return rule


@pytest.mark.parametrize("versioned", [False, True])
def test_what_is_explained_and_previewed_is_what_happens(s3, bucket, cairn, tmp_path, versioned):
    seed = int(os.environ.get("CAIRN_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"CAIRN_TEST_SEED={seed}")
    draw = random.Random(seed)
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    names = [f"{prefix}{number}" for prefix in ("a", "a/", "b/", "c") for number in range(4)]
    for _ in range(60):
        key = draw.choice(names)
        if versioned and draw.random() < 0.25:
            s3.delete_object(Bucket=bucket, Key=key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x" * draw.choice([1, 10, 100]), Tagging=f"t={draw.choice('123')}")
    rules = [random_rule(draw, number) for number in range(draw.choice([1, 2, 4]))]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"Rules": rules}))
    before = versions(s3, bucket)
    preview = cairn("preview", f"s3://{bucket}", "--rules", str(file))
    assert preview["examined"] == len(before) or not any(rule["Status"] == "Enabled" for rule in rules)
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    # Rules wait at least a day of two seconds: what was just written is still there, and its fate is asked for at once.
    fates = {key: cairn("explain", f"s3://{bucket}/{key}")["versions"] for key in sorted({key for key, _, _ in before})}
    planned = sum(plan["now"]["count"] + plan["later"]["count"] for plan in preview["planned"])
    told = sum(1 for entries in fates.values() for entry in entries if entry["next"])
    if any("ExpiredObjectDeleteMarker" in rule.get("Expiration", {}) for rule in rules):
        # Lone markers go at once; they may have gone before they were explained.
        assert told <= planned
    else:
        assert told == planned

    def quiet():
        """Whether the rules ask for nothing any more: then all that was told must have happened."""
        now = {key for key, _, _ in versions(s3, bucket)}
        return not any(
            entry["next"] for key in now for entry in cairn("explain", f"s3://{bucket}/{key}")["versions"]
        )

    wait_until(quiet, deadline=60)
    after = versions(s3, bucket)
    for key, entries in fates.items():
        for entry in entries:
            there = any((key, entry["versionId"], marker) in after for marker in (False, True))
            goes = entry["next"] is not None
            if goes and not (versioned and entry["next"]["action"] == "expire"):
                assert not there, (seed, key, entry)
            # What nothing was to happen to is there, unless what it is has changed: hidden, or left alone.
            changed = versioned and len(entries) > 1 or versioned and entry["state"] == "current"
            if not goes and not changed:
                assert there, (seed, key, entry)
    if not versioned:
        stays = {key for key, entries in fates.items() if not entries[0]["next"]}
        assert keys(s3, bucket) == stays, seed


def test_status_and_metrics(s3, bucket, server, cairn, run):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    put_rules(s3, bucket, {"ID": "r", "Filter": {}, "Expiration": {"Days": 1}})
    explained = cairn("explain", f"s3://{bucket}/k")
    (version,) = explained["versions"]
    assert (version["state"], version["next"]["rule"], version["next"]["action"]) == ("current", "r", "expire")
    wait_until(lambda: not keys(s3, bucket))
    status = wait_until(lambda: cairn("status")["buckets"].get(bucket, {}).get("actions") and cairn("status"))
    assert status["buckets"][bucket]["actions"]["expire"] >= 1
    assert status["buckets"][bucket]["errors"] == 0
    text = urllib.request.urlopen(f"{server.ops_endpoint}/metrics").read().decode()
    assert f'cairn_lifecycle_actions_total{{bucket="{bucket}"}} 1' in text
    shown = run(binary(), "lifecycle", "status", extra={"AWS_ENDPOINT_URL": server.endpoint})
    assert f"s3://{bucket}" in shown and "expire 1" in shown


def test_a_pass_survives_kills(s3, bucket, server):
    for number in range(200):
        s3.put_object(Bucket=bucket, Key=f"gone/{number}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="stays", Body=b"x")
    put_rules(s3, bucket, {"Filter": {"Prefix": "gone/"}, "Expiration": {"Days": 1}})
    for _ in range(3):
        server.kill9()
        server.start()
    wait_until(lambda: keys(s3, bucket) == {"stays"})


def test_expirations_are_told(s3, bucket, server, environment):
    variables = environment | {"AWS_ENDPOINT_URL": server.endpoint}
    command = [binary(), "events", "tail", f"s3://{bucket}", "--event", "s3:LifecycleExpiration:*"]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE) as tail:
        try:
            put_rules(s3, bucket, {"Filter": {}, "Expiration": {"Days": 1}})
            line = []
            reader = threading.Thread(target=lambda: line.append(tail.stdout.readline()), daemon=True)
            reader.start()

            def told():
                # Whoever listens hears of what happens from then on only.
                s3.put_object(Bucket=bucket, Key="k", Body=b"x")
                reader.join(3 * DAY)
                return line

            wait_until(told)
        finally:
            tail.kill()
    (record,) = json.loads(line[0])["Records"]
    assert record["eventName"] == "s3:LifecycleExpiration:Delete"
    assert (record["s3"]["object"]["key"], record["userIdentity"]["principalId"]) == ("k", "s3.amazonaws.com")
