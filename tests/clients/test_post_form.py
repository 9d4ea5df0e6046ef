"""Browser forms: policies made by boto3, forms sent as browsers send them."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
import xml.etree.ElementTree as ElementTree

import botocore.auth
import botocore.compat
import pytest
import urllib3
from server_process import ServerProcess


@pytest.fixture
def http_request():
    """Sends a request as it is: no retries, no redirects."""
    with urllib3.PoolManager(retries=False) as pool:
        yield pool.request


@pytest.fixture
def signer(connect):
    """boto3 signs forms with Signature Version 2 unless told otherwise."""
    return connect(signature_version="s3v4")


@pytest.fixture
def post(http_request):
    """post(presigned, b"...", extra={...}) -> the answer. The file comes last, then the button."""

    def send(form, body=b"hello", *, name="photo.jpg", button=False, **extra):
        fields = [*form["fields"].items(), *extra.items(), ("file", (name, body))]
        if button:
            fields.append(("submit", "Upload"))
        return http_request("POST", form["url"], fields=fields)

    return send


def refused(answer, status, code, words=""):
    text = answer.data.decode()
    assert answer.status == status and f"<Code>{code}</Code>" in text and words in text, text


def test_a_form_that_the_policy_allows(signer, bucket, post):
    conditions = [
        ["starts-with", "$key", "user/"],
        ["starts-with", "$Content-Type", "image/"],
        {"x-amz-meta-by": "form"},
        ["starts-with", "$tagging", ""],
        ["content-length-range", 1, 10],
    ]
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1 &amp; 2</Value></Tag></TagSet></Tagging>".replace("&amp; ", "")
    fields = {"Content-Type": "image/png", "x-amz-meta-by": "form", "tagging": tags}
    form = signer.generate_presigned_post(bucket, "user/${filename}", Fields=fields, Conditions=conditions)
    answer = post(form, name=r"C:\pictures\ü b.png", button=True)
    assert (answer.status, answer.data) == (204, b""), answer.data
    key = "user/ü b.png"
    assert answer.headers["location"].endswith(f"/{bucket}/user%2F%C3%BC%20b.png")
    head = signer.get_object(Bucket=bucket, Key=key)
    assert (head["Body"].read(), head["ContentType"], head["Metadata"]) == (b"hello", "image/png", {"by": "form"})
    assert answer.headers["etag"] == head["ETag"]
    assert signer.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "1 2"}]


def test_large_files_stream(signer, bucket, post):
    body = b"0123456789abcdef" * (1 << 20)
    form = signer.generate_presigned_post(bucket, "large", Conditions=[["content-length-range", 0, len(body)]])
    assert post(form, body).status == 204
    assert signer.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    refused(post(form, body + b"1"), 400, "EntityTooLarge", f"<MaxSizeAllowed>{len(body)}</MaxSizeAllowed>")
    assert signer.head_object(Bucket=bucket, Key="large")["ContentLength"] == len(body)
    form = signer.generate_presigned_post(bucket, "small", Conditions=[["content-length-range", 6, 10]])
    refused(post(form), 400, "EntityTooSmall", "<MinSizeAllowed>6</MinSizeAllowed>")


def test_what_the_browser_gets(signer, bucket, post):
    def form(**fields):
        return signer.generate_presigned_post(bucket, "a/b", Fields=fields, Conditions=[{k: v} for k, v in fields.items()])

    assert post(form(success_action_status="200")).status == 200
    assert post(form(success_action_status="404")).status == 204
    answer = post(form(success_action_status="201"))
    document = ElementTree.fromstring(answer.data)
    found = {child.tag: child.text for child in document}
    assert (answer.status, document.tag) == (201, "PostResponse")
    assert found == {"Location": answer.headers["location"], "Bucket": bucket, "Key": "a/b", "ETag": answer.headers["etag"]}
    etag = answer.headers["etag"].strip('"')
    answer = post(form(success_action_redirect="https://page.test/done?x=1"))
    expected = f"https://page.test/done?x=1&bucket={bucket}&key=a%2Fb&etag=%22{etag}%22"
    assert (answer.status, answer.headers["location"]) == (303, expected)
    answer = post(form(success_action_redirect="javascript:alert(1)", success_action_status="200"))
    assert answer.status == 200 and answer.headers["location"].startswith("http://")
    answer = post(form(success_action_redirect="https://page.test/\r\nSet-Cookie: a=b"))
    assert answer.status == 204 and "set-cookie" not in answer.headers


def test_forms_that_the_policy_does_not_allow(signer, bucket, post):
    form = signer.generate_presigned_post(bucket, "key", Fields={"acl": "private"}, Conditions=[{"acl": "private"}])
    start = "Invalid according to Policy: "
    refused(post(form, **{"x-amz-meta-a": "b"}), 403, "AccessDenied", start + "Extra input fields: x-amz-meta-a")
    changed = form | {"fields": form["fields"] | {"key": "other"}}
    refused(post(changed), 403, "AccessDenied", start + 'Policy Condition failed: ["eq", "$key", "key"]')
    elsewhere = form | {"url": form["url"].replace(bucket, bucket + "x")}
    refused(post(elsewhere), 403, "AccessDenied", start + 'Policy Condition failed: ["eq", "$bucket"')
    short = signer.generate_presigned_post(bucket, "key", ExpiresIn=-1)
    refused(post(short), 403, "AccessDenied", start + "Policy expired.")
    forged = form | {"fields": form["fields"] | {"x-amz-signature": "0" * 64}}
    refused(post(forged), 403, "SignatureDoesNotMatch")
    policy = base64.b64encode(json.dumps({"expiration": "2040-01-01T00:00:00Z", "conditions": []}).encode()).decode()
    refused(post(form | {"fields": form["fields"] | {"policy": policy}}), 403, "SignatureDoesNotMatch")
    without_key = form | {"fields": {k: v for k, v in form["fields"].items() if k != "key"}}
    refused(post(without_key), 400, "InvalidArgument", "Bucket POST must contain a field named 'key'.")
    unsigned = form | {"fields": {k: v for k, v in form["fields"].items() if k != "x-amz-signature"}}
    refused(post(unsigned), 400, "InvalidArgument", "must contain a field named 'X-Amz-Signature'")
    refused(post(form | {"url": form["url"] + "/key"}), 405, "MethodNotAllowed")
    anonymous = {"url": form["url"], "fields": {"key": "key"}}
    refused(post(anonymous), 403, "AccessDenied")
    assert "Contents" not in signer.list_objects_v2(Bucket=bucket)


def test_a_form_is_good_for_longer_than_clocks_may_differ(signer, bucket, post, monkeypatch):
    now = botocore.compat.get_current_datetime

    def signed(ago, expires=10 * 86_400):
        monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *rest, **more: now(*rest, **more) - ago)
        form = signer.generate_presigned_post(bucket, "key", ExpiresIn=expires)
        monkeypatch.undo()
        return form

    assert post(signed(datetime.timedelta(days=6))).status == 204
    refused(post(signed(datetime.timedelta(days=8))), 403, "AccessDenied", "Request has expired")
    refused(post(signed(datetime.timedelta(hours=-1))), 403, "AccessDenied")


def test_checksums(signer, bucket, post):
    form = signer.generate_presigned_post(bucket, "key")
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert post(form, **{"x-amz-checksum-sha256": digest}).status == 204
    head = signer.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == digest
    refused(post(form, b"hallo", **{"x-amz-checksum-sha256": digest}), 400, "BadDigest")
    assert post(form, **{"x-amz-checksum-sha256": "sailorjerry"}).status == 400


def test_features_that_are_missing_are_refused(signer, bucket, post):
    fields = {"x-amz-server-side-encryption": "aws:kms"}
    form = signer.generate_presigned_post(bucket, "key", Fields=fields, Conditions=[fields])
    answer = post(form)
    assert answer.status in (204, 501)
    if answer.status == 204:
        assert signer.head_object(Bucket=bucket, Key="key")["ServerSideEncryption"] == "aws:kms"


def test_anonymous_forms_where_a_policy_allows_them(signer, server, bucket, post):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/in/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    signer.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    url = f"{server.endpoint}/{bucket}"
    assert post({"url": url, "fields": {"key": "in/${filename}"}}, name="a.txt").status == 204
    assert signer.get_object(Bucket=bucket, Key="in/a.txt")["Body"].read() == b"hello"
    refused(post({"url": url, "fields": {"key": "out/a"}}), 403, "AccessDenied")
    refused(post({"url": url, "fields": {"key": "in/a", "policy": "e30="}}), 400, "InvalidArgument")


def test_policies_may_ask_how_a_request_is_signed(signer, bucket, post):
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringNotEquals": {"s3:authType": "POST"}},
    }
    signer.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert post(signer.generate_presigned_post(bucket, "key")).status == 204
    with pytest.raises(signer.exceptions.ClientError):
        signer.put_object(Bucket=bucket, Key="key", Body=b"")


def test_hostile_forms(server, bucket):
    def send(body, kind="multipart/form-data; boundary=B"):
        connection = http.client.HTTPConnection(f"127.0.0.1:{server.port}", timeout=30)
        connection.request("POST", f"/{bucket}", body=body, headers={"Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, re.search("<Code>(.*)</Code>", text)[1]

    def field(name, value):
        return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'

    file = field("file", "hello") + "--B--\r\n"
    too_much = (400, "MaxPostPreDataLengthExceeded")
    malformed = (400, "MalformedPOSTRequest")
    assert send("".join(field(f"f{number}", "") for number in range(20_000)) + file) == too_much
    assert send(field("key", "k" * 1_000_000) + file) == too_much
    assert send(field("key" * 5_000, "") + file) == too_much
    assert send(file, "multipart/form-data") == malformed
    assert send(file, "multipart/form-data; boundary=" + "b" * 10_000) == malformed
    assert send("no form at all " * 1_000)[0] == 400
    assert send(field("key", "k")) [0] == 400
    assert send(field("key", "a") + field("KEY", "b") + file) == (400, "InvalidArgument")
    assert send(field("key", "k" * 2_000) + file)[0] in (400, 403)


def signed_v2(secret, access_key, bucket):
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
    conditions = [{"bucket": bucket}, {"key": "key"}]
    document = {"expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode())
    signature = base64.b64encode(hmac.new(secret.encode(), policy, hashlib.sha1).digest())
    return {
        "key": "key",
        "AWSAccessKeyId": access_key,
        "policy": policy.decode(),
        "signature": signature.decode(),
    }


def test_signature_version_2_is_off_until_it_is_switched_on(server, s3, bucket, post, connect, tmp_path):
    form = {"url": f"{server.endpoint}/{bucket}", "fields": signed_v2(server.secret_key, server.access_key, bucket)}
    refused(post(form), 400, "InvalidRequest", "Please use AWS4-HMAC-SHA256.")
    variables = {"CAIRN_SERVER_POST_SIGNATURE_V2": "true"}
    with ServerProcess(tmp_path / "data", tmp_path / "server.log", env=variables) as old:
        client = connect(endpoint=old.endpoint)
        client.create_bucket(Bucket=bucket)
        form["url"] = f"{old.endpoint}/{bucket}"
        assert post(form).status == 204
        form["fields"]["signature"] = form["fields"]["signature"][::-1]
        refused(post(form), 403, "SignatureDoesNotMatch")
