"""A server with two accounts of its own beside root's, and what tests of access need to speak for them."""

import hashlib
import http.client
import urllib.parse

import pytest
from principals import Principals, Who
from server_process import ServerProcess
from wire import signer

OWNER, OTHER = "111122223333", "444455556666"
EMAIL = {OWNER: "owner@example.com", OTHER: "other@example.com"}

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def _table(account, number):
    return f"""
[[account]]
id = "{account}"
display_name = "account-{number}"
email = "{EMAIL[account]}"
access_key_id = "CAIRNTESTACCOUNT000{number}"
secret_access_key = "cairn-test-secret-of-account-{number}"
"""


class Answer:
    """Status, headers and text of an answer, and the error code in it."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode(errors="replace")

    @property
    def code(self):
        """The code of the error, or of the first error in a list of them."""
        if "<Code>" not in self.text:
            return None
        return self.text.partition("<Code>")[2].partition("</Code>")[0]

    def __repr__(self):
        return f"{self.status} {self.text[:500]}"


class Tenants:
    """The two accounts' roots, and raw requests in anyone's name."""

    def __init__(self, process):
        self.process = process
        self.endpoint = process.endpoint
        self.owner, self.other = (
            Who(process.endpoint, f"CAIRNTESTACCOUNT000{number}", f"cairn-test-secret-of-account-{number}")
            for number in (1, 2)
        )
        self.principals = Principals(process.endpoint, self.owner.access_key, self.owner.secret_key)

    @property
    def host(self):
        return self.endpoint.partition("://")[2]

    def anonymous(self, method, target, headers=(), body=b""):
        """Sends a request without a signature."""
        return self._send(method, target, [("Host", self.host), *headers], body)

    def signed(self, who, method, target, headers=(), body=b""):
        """Sends a request that `who` signs in its headers."""
        path, pairs = _parts(target)
        token = [("x-amz-security-token", who.token)] if who.token else []
        named = [("Host", self.host), *headers, *token]
        digest = hashlib.sha256(body).hexdigest()
        credentials = signer.Credentials(who.access_key, who.secret_key)
        headers, _ = signer.sign(credentials, method, path, pairs, named, digest)
        return self._send(method, target, headers, body)

    def presigned(self, who, method, target, headers=(), body=b"", **options):
        """Sends a request with a presigned URL of `who`'s."""
        path, pairs = _parts(target)
        token = [("X-Amz-Security-Token", who.token)] if who.token else []
        credentials = signer.Credentials(who.access_key, who.secret_key)
        url = signer.presign(credentials, method, self.host, path, [*pairs, *token], headers=headers, **options)
        return self._send(method, url, [("Host", self.host), *headers], body)

    def query(self, who, service, pairs):
        """Posts a form to IAM or STS, signed by `who`, or by nobody."""
        body = urllib.parse.urlencode(pairs).encode()
        headers = [("Host", self.host), ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]
        if who is not None:
            headers += [("x-amz-security-token", who.token)] if who.token else []
            credentials = signer.Credentials(who.access_key, who.secret_key, service=service)
            headers, _ = signer.sign(credentials, "POST", "/", [], headers, hashlib.sha256(body).hexdigest())
        return self._send("POST", "/", headers, body)

    def presigned_query(self, who, service, pairs, **options):
        """Sends a request to IAM or STS whose signature is in its query."""
        token = [("X-Amz-Security-Token", who.token)] if who.token else []
        credentials = signer.Credentials(who.access_key, who.secret_key, service=service)
        options = {"payload_hash": signer.EMPTY_SHA256} | options
        url = signer.presign(credentials, "GET", self.host, "/", [*pairs, *token], **options)
        return self._send("GET", url, [("Host", self.host)], b"")

    def _send(self, method, target, headers, body):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if body or method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            return Answer(connection.getresponse())
        finally:
            connection.close()


def _parts(target):
    path, _, query = target.partition("?")
    return path, urllib.parse.parse_qsl(query, keep_blank_values=True)


@pytest.fixture(scope="session")
def tenants(tmp_path_factory):
    """The server, with buckets as AWS makes them: access control lists are disabled."""
    folder = tmp_path_factory.mktemp("tenants")
    config = folder / "config.toml"
    config.write_text(_table(OWNER, 1) + _table(OTHER, 2))
    with ServerProcess(folder / "data", folder / "server.log", config=config) as process:
        yield Tenants(process)


@pytest.fixture
def own_bucket(tenants, bucket_name):
    """A bucket of the first account's, with one object."""
    s3 = tenants.owner.client("s3")
    s3.create_bucket(Bucket=bucket_name)
    s3.put_object(Bucket=bucket_name, Key="k", Body=b"data")
    return bucket_name
