"""A server with static websites, for test_website.py and test_browser.py."""

import json
import os
import secrets

import boto3
import botocore.config
import pytest
import urllib3
from server_process import ServerProcess, free_port

SUFFIX = "web.test"
MAPPED_HOST, MAPPED_BUCKET = "www.mapped.test", "bucket-of-the-mapped-host"


class SitesServer(ServerProcess):
    """Websites as `BUCKET.web.test` beside S3, one more host by the configuration, and a listener of their own."""

    def __init__(self, folder):
        self.site_port = free_port()
        arguments = ["--website-domain", SUFFIX, "--website-listen", f"127.0.0.1:{self.site_port}"]
        env = {
            "CAIRN_WEBSITE_HOSTS": f"{MAPPED_HOST}={MAPPED_BUCKET}",
            "CAIRN_SERVER_DOMAINS": "s3.test",
            "CAIRN_AUDIT_LOG": str(folder / "audit.jsonl"),
        }
        super().__init__(folder / "data", folder / "server.log", extra_args=arguments, env=env)
        self.s3 = self.client()

    def client(self, endpoint=None, **options):
        session = boto3.Session(self.access_key_id, self.secret_access_key, region_name="us-east-1")
        options.setdefault("s3", {"addressing_style": "path"})
        config = botocore.config.Config(retries={"total_max_attempts": 1}, **options)
        return session.client("s3", endpoint_url=endpoint or self.endpoint, config=config)


def let_everybody(s3, bucket, *actions):
    """A policy that lets everybody read objects, and more if `actions` says so."""
    arn = f"arn:aws:s3:::{bucket}"
    grant = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", *actions], "Resource": [arn, f"{arn}/*"]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [grant]}))


class Site:
    """A bucket and its website."""

    def __init__(self, server, s3, bucket):
        self.server, self.s3, self.bucket = server, s3, bucket
        self.host = f"{bucket}.{SUFFIX}"
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port, retries=False, timeout=20)

    def configure(self, **configuration):
        self.s3.put_bucket_website(Bucket=self.bucket, WebsiteConfiguration=configuration)

    def put(self, key, body=b"", **more):
        more.setdefault("ContentType", "text/html")
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def ask(self, method, path, host=None, headers=None, body=None):
        """Sends a request as it is: no redirects, no repetition."""
        headers = {"Host": host or self.host} | (headers or {})
        return self._pool.urlopen(method, path, headers=headers, body=body, redirect=False)

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def location(self, path, **more):
        answer = self.get(path, **more)
        return answer.status, answer.headers.get("location")


@pytest.fixture(scope="module")
def sites_server(tmp_path_factory):
    if "CAIRN_TEST_ENDPOINT" in os.environ:
        pytest.skip("websites need a server of our own")
    with SitesServer(tmp_path_factory.mktemp("sites")) as server:
        yield server


def make_site(server, name=None, public=True, listed=True):
    s3 = server.s3
    bucket = name or f"site-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=bucket)
    if public:
        let_everybody(s3, bucket, *(["s3:ListBucket"] if listed else []))
    return Site(server, s3, bucket)
