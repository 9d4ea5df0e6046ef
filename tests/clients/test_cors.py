"""CORS: the configuration through boto3, and what a browser sees of it."""

import botocore.exceptions
import pytest
import urllib3

PAGE = "https://page.test"


@pytest.fixture
def http():
    """Sends a request as it is: no retries, no redirects."""
    with urllib3.PoolManager(retries=False) as pool:
        yield pool.request


@pytest.fixture
def url(server, s3, bucket):
    """A bucket that lets pages of `PAGE` read and write, with an object that nobody else may read."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    rules = [
        {
            "ID": "page",
            "AllowedOrigins": [PAGE],
            "AllowedMethods": ["GET", "PUT", "HEAD", "POST"],
            "AllowedHeaders": ["x-amz-*", "content-type", "authorization"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedOrigins": ["http://*.test:8080"], "AllowedMethods": ["DELETE"]},
    ]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    return f"{server.endpoint}/{bucket}"


def cors_headers(answer):
    """The headers that a browser asks, without their common beginning."""
    start = "access-control-"
    return {name.lower().removeprefix(start): value for name, value in answer.headers.items() if start in name.lower()}


READABLE = {
    "allow-origin": PAGE,
    "allow-methods": "GET, PUT, HEAD, POST",
    "allow-credentials": "true",
    "expose-headers": "ETag",
    "max-age": "60",
}


def test_what_a_browser_asks_first(url, http):
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "PUT"}
    headers = {"Access-Control-Request-Headers": "Content-Type,X-Amz-Date"}
    answer = http("OPTIONS", f"{url}/key?X-Amz-Signature=whatever", headers=asked | headers)
    assert (answer.status, answer.data) == (200, b"")
    assert cors_headers(answer) == READABLE | {"allow-headers": "content-type, x-amz-date"}
    assert answer.headers["vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    for wrong in (
        {"Origin": "https://page.test.evil"},
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Headers": "x-other"},
    ):
        answer = http("OPTIONS", f"{url}/key", headers=asked | wrong)
        assert (answer.status, cors_headers(answer)) == (403, {})
        assert b"<Code>AccessForbidden</Code>" in answer.data
    other = {"Origin": "http://a.test:8080", "Access-Control-Request-Method": "DELETE"}
    assert cors_headers(http("OPTIONS", f"{url}/key", headers=other))["allow-origin"] == "http://a.test:8080"
    for strange in ("PATCH", "get", ""):
        answer = http("OPTIONS", url, headers={"Origin": PAGE, "Access-Control-Request-Method": strange})
        assert answer.status == 400, answer.data


def test_errors_can_be_read_by_the_page(server, url, http, connect, bucket):
    origin, signer = {"Origin": PAGE}, connect(signature_version="s3v4")
    signed = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    missing = signer.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "missing"})
    for method, address, status in (
        ("GET", signed, 200),
        ("GET", missing, 404),
        ("GET", f"{url}/key", 403),
        ("GET", f"{signed}0", 403),
        ("GET", f"{url}?list-type=2&max-keys=many", 403),
    ):
        answer = http(method, address, headers=origin)
        assert answer.status == status, answer.data
        assert cors_headers(answer) == READABLE, (method, address)
    for unasked in ({}, {"Origin": "https://other.test"}):
        assert cors_headers(http("GET", signed, headers=unasked)) == {}
    assert cors_headers(http("GET", f"{server.endpoint}/", headers=origin)) == {}
    assert cors_headers(http("GET", f"{server.endpoint}/no-such-bucket-here/k", headers=origin)) == {}


def test_the_bucket_in_the_hosts_name(server, url, http, bucket):
    if not server.domain:
        pytest.skip("CAIRN_TEST_DOMAIN names no domain")
    host = {"Host": f"{bucket}.{server.domain}", "Origin": PAGE}
    preflight = host | {"Access-Control-Request-Method": "GET"}
    assert cors_headers(http("OPTIONS", f"{server.endpoint}/key", headers=preflight)) == READABLE
    assert cors_headers(http("GET", f"{server.endpoint}/key", headers=host)) == READABLE


def test_a_change_counts_at_once(url, http, s3, bucket):
    ask = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    for _ in range(3):
        assert http("OPTIONS", url, headers=ask).status == 200
        s3.delete_bucket_cors(Bucket=bucket)
        answer = http("OPTIONS", url, headers=ask)
        assert answer.status == 403 and b"CORS is not enabled for this bucket" in answer.data
        rules = [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"AllowedOrigins": ["*.a.*"], "AllowedMethods": ["GET"]}, 'AllowedOrigin "*.a.*" can not have more than one'),
        ({"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "AllowedHeaders": ["**"]}, 'AllowedHeader "**" can not'),
        ({"AllowedOrigins": ["*"], "AllowedMethods": ["GET"], "ExposeHeaders": ["*"]}, "contains wildcard"),
        ({"AllowedOrigins": ["*"], "AllowedMethods": ["PATCH"]}, "Unsupported method is PATCH"),
        ({"AllowedOrigins": ["o" * 70_000], "AllowedMethods": ["GET"]}, "larger than 65536 bytes"),
    ],
)
def test_configurations_that_are_refused(s3, bucket, rule, words):
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    error = refusal.value.response["Error"]
    assert error["Code"] == "InvalidRequest" and words in error["Message"]
