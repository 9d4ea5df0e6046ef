"""Virtual-hosted style: what a `Host` makes of the path, and what it does not (T15)."""

import pytest
from wire import signer
from wire.conftest import DOMAIN


def virtual(wire, method, path, host, **options):
    return wire.send(method, path, host=host, **options)


@pytest.fixture
def stored(wire):
    """A key with a body, in the bucket of the tests."""
    key = wire.key("hosted")
    wire.put(key, b"hosted")
    return key


def test_a_bucket_before_the_domain(wire, stored):
    host = f"{wire.bucket}.{DOMAIN}"
    assert virtual(wire, "GET", f"/{stored}", host).body == b"hosted"
    assert virtual(wire, "GET", f"/{stored}", f"{host}:9000").body == b"hosted"
    assert virtual(wire, "GET", f"/{stored}", host.upper()).body == b"hosted"
    listed = virtual(wire, "GET", "/", host)
    assert listed.xml().findtext("Name") == wire.bucket
    assert virtual(wire, "HEAD", "/", host).status == 200


def test_writing_and_deleting_by_host(wire):
    host, key = f"{wire.bucket}.{DOMAIN}", wire.key()
    assert virtual(wire, "PUT", f"/{key}", host, body=b"x").status == 200
    assert wire.get(key).body == b"x"
    assert virtual(wire, "DELETE", f"/{key}", host).status == 204
    wire.assert_absent(key)


def test_a_bucket_is_made_and_removed_by_host(wire):
    bucket = wire.key("by-host")
    assert virtual(wire, "PUT", "/", f"{bucket}.{DOMAIN}").status == 200
    assert wire.send("HEAD", f"/{bucket}").status == 200
    assert virtual(wire, "DELETE", "/", f"{bucket}.{DOMAIN}").status == 204


def test_the_domain_itself_is_path_style(wire, stored):
    assert virtual(wire, "GET", f"/{wire.bucket}/{stored}", DOMAIN).body == b"hosted"
    assert virtual(wire, "GET", "/", DOMAIN).xml().tag == "ListAllMyBucketsResult"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9000", "minio", "storage.internal", "127.0.0.1", "[::1]:9000", "example.com", "s3"]
)
def test_any_other_host_is_path_style(wire, stored, host):
    """T15: `Host: localhost` is no bucket named localhost."""
    assert virtual(wire, "GET", f"/{wire.bucket}/{stored}", host).body == b"hosted"


def test_a_key_that_looks_like_the_bucket_stays_a_key(wire):
    host, key = f"{wire.bucket}.{DOMAIN}", f"{wire.bucket}/inner"
    assert virtual(wire, "PUT", f"/{key}", host, body=b"inner").status == 200
    assert wire.get(key).body == b"inner"


def test_a_bucket_with_dots_before_the_domain(wire):
    bucket = f"dotted.{wire.key('name')}"
    assert wire.send("PUT", f"/{bucket}").status == 200
    assert virtual(wire, "GET", "/", f"{bucket}.{DOMAIN}").xml().findtext("Name") == bucket
    assert wire.send("DELETE", f"/{bucket}").status == 204


def test_a_name_before_the_domain_that_is_no_bucket_name(wire):
    assert virtual(wire, "GET", "/", f"not_a_bucket.{DOMAIN}").status in (400, 404)
    assert virtual(wire, "GET", "/", f"no-such-bucket-here.{DOMAIN}").code == "NoSuchBucket"


def test_a_presigned_url_of_a_virtual_host(wire, stored):
    host = f"{wire.bucket}.{DOMAIN}"
    target = signer.presign(wire.root, "GET", host, f"/{stored}")
    connection = wire.connect()
    connection.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert connection.reply().body == b"hosted"
    connection.close()


@pytest.mark.parametrize("path", ["/_health/live", "/_health/ready", "/minio/health/live", "/minio/health/ready"])
def test_health_needs_no_signature_and_no_particular_host(wire, path):
    for host in (wire.host, DOMAIN, "localhost", "any.other.host"):
        assert wire.send("GET", path, host=host, credentials=None).status == 200


def test_a_key_of_a_virtual_host_is_never_taken_for_a_reserved_path(wire):
    host = f"{wire.bucket}.{DOMAIN}"
    assert virtual(wire, "PUT", "/_health/live", host, body=b"an object").status == 200
    assert virtual(wire, "GET", "/_health/live", host).body == b"an object"
    assert virtual(wire, "GET", "/_health/live", host, credentials=None).status == 403
