"""boto3: presigned URLs, and buckets in the host name."""

import datetime
import socket
import urllib.parse

import botocore.auth
import botocore.compat
import botocore.crt.auth
import pytest
import urllib3


@pytest.fixture
def signer(connect):
    """boto3 signs URLs with Signature Version 2 unless told otherwise."""
    return connect(signature_version="s3v4")


@pytest.fixture
def http():
    """Sends a request as it is: no retries, no redirects."""
    with urllib3.PoolManager(retries=False) as pool:
        yield pool.request


def test_presigned_get(signer, bucket, http):
    signer.put_object(Bucket=bucket, Key="a b+c/ü", Body=b"body", ContentType="text/plain")
    where = {"Bucket": bucket, "Key": "a b+c/ü"}
    url = signer.generate_presigned_url("get_object", Params=where)
    answer = http("GET", url)
    assert (answer.status, answer.data, answer.headers["content-type"]) == (200, b"body", "text/plain")
    assert http("GET", url, headers={"Range": "bytes=1-2"}).data == b"od"

    url = signer.generate_presigned_url(
        "get_object", Params=where | {"ResponseContentType": "text/html", "ResponseContentDisposition": "attachment"}
    )
    answer = http("GET", url)
    assert (answer.headers["content-type"], answer.headers["content-disposition"]) == ("text/html", "attachment")
    assert http("HEAD", signer.generate_presigned_url("head_object", Params=where)).status == 200
    listing = http("GET", signer.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket, "Prefix": "a b+"}))
    assert listing.status == 200 and b"<KeyCount>1</KeyCount>" in listing.data


def test_presigned_put(signer, bucket, http):
    where = {"Bucket": bucket, "Key": "uploaded"}
    url = signer.generate_presigned_url(
        "put_object", Params=where | {"ContentType": "text/csv", "Metadata": {"by": "url"}}
    )
    answer = http("PUT", url, body=b"a,b", headers={"Content-Type": "text/csv", "x-amz-meta-by": "url"})
    assert answer.status == 200, answer.data
    head = signer.head_object(**where)
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == ("text/csv", {"by": "url"}, 3)
    assert http("PUT", url, body=b"a,b", headers={"Content-Type": "text/html", "x-amz-meta-by": "url"}).status == 403
    assert http("DELETE", signer.generate_presigned_url("delete_object", Params=where)).status == 204
    assert http("GET", signer.generate_presigned_url("get_object", Params=where)).status == 404


def test_presigned_urls_that_are_refused(signer, bucket, http, monkeypatch):
    signer.put_object(Bucket=bucket, Key="key", Body=b"body")
    where = {"Bucket": bucket, "Key": "key"}
    url = signer.generate_presigned_url("get_object", Params=where)
    _assert_refused(http("GET", url.replace("/key?", "/other?")), 403, "SignatureDoesNotMatch")
    _assert_refused(http("PUT", url, body=b"x"), 403, "SignatureDoesNotMatch")
    _assert_refused(http("GET", url.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200")), 403, "SignatureDoesNotMatch")
    _assert_refused(http("GET", url.partition("?")[0]), 403, "AccessDenied")

    an_hour = datetime.timedelta(hours=1, seconds=1)
    now = botocore.compat.get_current_datetime
    # The signer is boto3's own or, where it is installed, that of AWS's common runtime.
    for signers in (botocore.auth, botocore.crt.auth):
        monkeypatch.setattr(signers, "get_current_datetime", lambda *rest, **more: now(*rest, **more) - an_hour)
    expired = signer.generate_presigned_url("get_object", Params=where)
    monkeypatch.undo()
    _assert_refused(http("GET", expired), 403, "AccessDenied")


def test_virtual_hosted_buckets(server, connect, bucket_name, monkeypatch, http):
    if not server.domain:
        pytest.skip("CAIRN_TEST_DOMAIN names no domain")
    # The names below the domain are nobody's in DNS; they are this machine's here.
    resolve = socket.getaddrinfo

    def resolve_here(host, *rest, **more):
        return resolve("127.0.0.1" if str(host).endswith(server.domain) else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)

    client = connect(
        endpoint=f"http://{server.domain}:{server.port}", s3={"addressing_style": "virtual"}, signature_version="s3v4"
    )
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="folder/key", Body=b"body")
    client.put_object(Bucket=bucket_name, Key=f"{bucket_name}/key", Body=b"named like its bucket")
    assert client.get_object(Bucket=bucket_name, Key=f"{bucket_name}/key")["Body"].read() == b"named like its bucket"
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket_name, "Key": "folder/key"})
    assert urllib.parse.urlsplit(url).hostname == f"{bucket_name}.{server.domain}"
    assert http("GET", url).data == b"body"
    listed = client.list_objects_v2(Bucket=bucket_name)["Contents"]
    assert [each["Key"] for each in listed] == sorted([f"{bucket_name}/key", "folder/key"])
    assert bucket_name in [each["Name"] for each in client.list_buckets()["Buckets"]]
    # The same bucket by its path.
    assert connect().get_object(Bucket=bucket_name, Key="folder/key")["Body"].read() == b"body"


def _assert_refused(answer, status, code):
    assert answer.status == status and f"<Code>{code}</Code>".encode() in answer.data, answer.data
