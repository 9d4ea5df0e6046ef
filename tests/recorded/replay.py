"""The table of recorded tests, and the session in which one of them is replayed against Cairn."""

import datetime
import http.client
import json
import os
import pathlib
import re
import time
import uuid
import xml.etree.ElementTree as ElementTree

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from recorded.compare import Bindings, compare
from wire.signer import UNSIGNED, Credentials, object_path, query_string, sign

FILES = {
    "api": "api.json",
    "list": "list_operations.json",
    "preconditions": "preconditions.json",
    "cors": "cors.json",
    "sqs": "notifications_sqs.json",
    "sns": "notifications_sns.json",
}
CASES = {}


def case(file, name):
    """Registers a function of one `Session` as the replay of the recorded test `name` of `FILES[file]`."""

    def register(function):
        assert (file, name) not in CASES, f"{name} is registered twice"
        CASES[(file, name)] = function
        return function

    return register


def folder() -> pathlib.Path:
    """Where the recorded answers are: `CAIRN_AWS_RECORDED`, or beside the clone."""
    named = os.environ.get("CAIRN_AWS_RECORDED")
    root = pathlib.Path(__file__).resolve().parents[2]
    return pathlib.Path(named) if named else root.parent / "shared" / "aws-recorded"


def load() -> dict:
    """`(file, test name)` to recorded content, without the long prefix of the test's file. A test of which nothing was
    recorded can be compared with nothing, and is none."""
    found = {}
    for short, name in FILES.items():
        for full, record in json.loads((folder() / name).read_text()).items():
            if record["recorded-content"]:
                found[(short, full.split("::", 1)[1])] = record["recorded-content"]
    return found


def client(server, region="us-east-1", **options):
    """A boto3 client that never retries: each call is one request."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=30, **options)
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=region,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=config,
    )


class Session:
    """One replay: a bucket, clients, and the differences found so far."""

    def __init__(self, server, recorded):
        self.server = server
        self.recorded = recorded
        self.compared = []
        self.differences = []
        self.bindings = Bindings()
        self.client = client(server)
        self.lax_client = client(server, parameter_validation=False)
        self.bucket = f"recorded-{uuid.uuid4().hex[:16]}"
        self.client.create_bucket(Bucket=self.bucket)

    def call(self, step, operation, *, using=None, **arguments):
        """Makes one call on the session's bucket, and compares its answer with the recorded `step` (None: with
        nothing). A refusal is an answer like any other."""
        if operation not in ("list_buckets", "create_bucket"):
            arguments.setdefault("Bucket", self.bucket)
        try:
            answer = getattr(using or self.client, operation)(**arguments)
        except ClientError as refusal:
            answer = refusal.response
        if hasattr(answer.get("Body"), "read"):
            answer["Body"] = answer["Body"].read().decode("utf-8", "replace")
        if step is None:
            status = answer["ResponseMetadata"]["HTTPStatusCode"]
            assert status < 300, f"{operation}({arguments}) prepares the test and must succeed: {answer}"
        else:
            self.compare(step, answer)
        return answer

    def lax(self, step, operation, **arguments):
        """As `call`, with a client that does not check its arguments."""
        return self.call(step, operation, using=self.lax_client, **arguments)

    def compare(self, step, answer):
        """Compares `answer` with the recorded step."""
        self.compared.append(step)
        found = compare(self.recorded[step], answer, self.bindings)
        self.differences += [f"{step}: {line}" for line in found]

    def versioning(self, status="Enabled"):
        """Sets the bucket's versioning."""
        self.call(None, "put_bucket_versioning", VersioningConfiguration={"Status": status})

    def put_all(self, keys, body=b"content 123"):
        """Puts one object under each key."""
        for key in keys:
            self.call(None, "put_object", Key=key, Body=body)

    def raw_xml(self, step, pairs):
        """A signed GET of the bucket with exactly these query pairs (boto3 adds `encoding-type`); compares the XML
        as nested dictionaries of text."""
        host = f"127.0.0.1:{self.server.port}"
        path = object_path(self.bucket)
        credentials = Credentials(self.server.access_key_id, self.server.secret_access_key)
        headers, _ = sign(credentials, "GET", path, pairs, [("Host", host)], UNSIGNED)
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", f"{path}?{query_string(pairs)}", headers=dict(headers))
        body = connection.getresponse().read()
        connection.close()
        root = ElementTree.fromstring(body)
        self.compare(step, {_local(root.tag): xml_as_dict(root)})

    def wait_past(self, moment):
        """Waits until the clock's second is later than `moment`'s: HTTP dates have whole seconds."""
        deadline = time.monotonic() + 10
        while datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) <= moment:
            assert time.monotonic() < deadline, f"{moment} lies in the future"
            time.sleep(0.02)

    def clean(self):
        """Removes the session's bucket and everything in it."""
        empty_bucket(self.client, self.bucket)


def empty_bucket(s3, bucket):
    """Deletes a bucket with its uploads, versions and markers, if it is there."""
    try:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        listing = s3.list_object_versions(Bucket=bucket)
        for entry in [*listing.get("Versions", []), *listing.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
        s3.delete_bucket(Bucket=bucket)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] != "NoSuchBucket":
            raise


def _local(tag):
    return re.sub(r"\{.*?\}", "", tag)


def xml_as_dict(element):
    """An element's children as a dictionary; repeated names become lists, empty elements None."""
    if len(element) == 0:
        return element.text
    out = {}
    for child in element:
        name, value = _local(child.tag), xml_as_dict(child)
        if name not in out:
            out[name] = value
        elif isinstance(out[name], list):
            out[name].append(value)
        else:
            out[name] = [out[name], value]
    return out
