"""Who may do what: every operation of the server, asked by everybody there is.

An operation that is missing here fails the test, and so does a row whose request is not counted as its operation.
"""

import pathlib
import re
import time
import urllib.request

import pytest
import urllib3
from access_matrix_rows import ROWS
from principals import Who, allow, deny, document, trust
from tenants import OWNER

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"

# A form from a browser is signed in its fields: it is asked of everybody below, in a test of its own.
FORMS = {"PostObject"}


def operations():
    """The server's own list: the README's, which the build compares with the code."""
    text = README.read_text()
    rows = re.findall(r"^\| (?:does what|answers as|refuses with)[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_no_operation_is_missing():
    assert operations() - FORMS == set(ROWS)


@pytest.fixture(scope="module")
def callers(tenants):
    """One of each kind. What `policied` may do each row says."""
    principals = tenants.principals
    policied, nobody = principals.user(), principals.user()
    role = principals.role(trust({"AWS": OWNER}), allow("s3:*"))
    assumer = principals.user(allow("sts:AssumeRole"))
    sts = assumer.client("sts")
    session = assumer.with_session(sts.assume_role(RoleArn=role["Arn"], RoleSessionName="ended"))
    # A session ends with its role, at once: the clock cannot be waited for.
    principals.iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="test")
    principals.iam.delete_role(RoleName=role["RoleName"])
    yield {
        "policied": policied,
        "nobody": nobody,
        "ended": session,
        "unknown": Who(tenants.endpoint, "CAIRNTESTUNKNOWN001", "no-such-secret-00000"),
        "forger": Who(tenants.endpoint, tenants.owner.access_key, "not-the-secret-of-it"),
    }
    # What a row sets for the whole account must not outlive this module.
    account = [("x-amz-account-id", OWNER)]
    assert tenants.signed(tenants.owner, "DELETE", ROWS["DeleteAccountPublicAccessBlock"].target, account).status == 204


class World:
    """Two buckets and an upload, fresh for a row."""

    def __init__(self, tenants, name):
        self.tenants, self.s3 = tenants, tenants.owner.client("s3")
        self.names = {"bucket": name, "other": f"{name}-o", "account": OWNER}
        self.s3.create_bucket(Bucket=name)
        self.s3.create_bucket(Bucket=self.names["other"])
        for bucket in (name, self.names["other"]):
            self.s3.put_object(Bucket=bucket, Key="k", Body=b"data")
        upload = self.s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
        self.names["upload"] = upload

    def request(self, row):
        """Method, target, headers and body of a row's request here."""
        headers = [(name, value.format(**self.names)) for name, value in row.headers]
        return row.method, row.target.format(**self.names), headers, row.body.replace("{{}}", "{}").encode()

    def unchanged(self):
        """Whether everything is still as it was made."""
        for bucket in (self.names["bucket"], self.names["other"]):
            listed = self.s3.list_objects_v2(Bucket=bucket)
            assert [found["Key"] for found in listed["Contents"]] == ["k"]
            assert self.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
        uploads = self.s3.list_multipart_uploads(Bucket=self.names["bucket"])["Uploads"]
        assert [upload["UploadId"] for upload in uploads] == [self.names["upload"]]
        assert "Status" not in self.s3.get_bucket_versioning(Bucket=self.names["bucket"])
        missing = self.tenants.signed(self.tenants.owner, "GET", f"/{self.names['bucket']}?publicAccessBlock")
        assert missing.code == "NoSuchPublicAccessBlockConfiguration"


def is_denied(answer):
    # HEAD has no body; a list of deletions has an error for each key.
    return answer.status == 403 or answer.code == "AccessDenied"


def counted(tenants, operation):
    """How often the server has counted the operation."""
    with urllib.request.urlopen(f"{tenants.process.ops_endpoint}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = re.compile(rf'cairn_http_requests_total\{{.*operation="{operation}".*\}} (\d+)')
    return sum(int(match[1]) for match in map(wanted.match, lines) if match)


@pytest.mark.parametrize("operation", sorted(ROWS))
def test_matrix(tenants, callers, operation, bucket_name):
    row = ROWS[operation]
    world = World(tenants, bucket_name[:50].strip("-"))
    request = world.request(row)
    before = counted(tenants, operation)

    def grant(*statements):
        tenants.principals.iam.put_user_policy(
            UserName=callers["policied"].name, PolicyName="row", PolicyDocument=document(*statements)
        )

    def refused(answer, *codes):
        assert is_denied(answer) or answer.status in (400, 403), answer
        if answer.code is not None:
            assert answer.code in codes, answer

    refused(tenants.anonymous(*request), "AccessDenied")
    refused(tenants.signed(callers["unknown"], *request), "InvalidAccessKeyId")
    refused(tenants.signed(callers["forger"], *request), "SignatureDoesNotMatch")
    refused(tenants.signed(callers["nobody"], *request), "AccessDenied")
    refused(tenants.presigned(callers["nobody"], *request), "AccessDenied")
    # The keys of a session go with its role.
    refused(tenants.signed(callers["ended"], *request), "InvalidAccessKeyId", "InvalidToken", "ExpiredToken")
    refused(tenants.presigned(callers["ended"], *request), "InvalidAccessKeyId", "InvalidToken", "ExpiredToken")
    grant(allow("*"), deny(*row.actions[:1]))
    refused(tenants.signed(callers["policied"], *request), "AccessDenied")
    grant(allow("*"))
    long_ago = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 3_600))
    refused(tenants.presigned(callers["policied"], *request, expires=60, date=long_ago), "AccessDenied")
    for missing in row.actions if len(row.actions) > 1 else ():
        grant(allow(*(action for action in row.actions if action != missing)))
        refused(tenants.signed(callers["policied"], *request), "AccessDenied")
    if not row.own_account:
        refused(tenants.signed(tenants.other, *request), "AccessDenied")
    world.unchanged()

    # Exactly the documented actions are enough, in either form of signature.
    grant(allow(*row.actions))
    for send, name in ((tenants.signed, bucket_name[:46]), (tenants.presigned, f"p{bucket_name[:45]}")):
        fresh = World(tenants, f"{name.strip('-')}-a")
        if operation == "DeleteBucket":
            fresh.s3.delete_object(Bucket=fresh.names["other"], Key="k")
        answer = send(callers["policied"], *fresh.request(row))
        assert not is_denied(answer), answer
        assert answer.code not in ("InvalidAccessKeyId", "SignatureDoesNotMatch"), answer
    if row.own_account:
        assert not is_denied(tenants.signed(tenants.other, *World(tenants, f"o{bucket_name[:45]}-b").request(row)))
    assert counted(tenants, operation) > before, f"the row's request is not {operation}"
    tenants.principals.iam.delete_user_policy(UserName=callers["policied"].name, PolicyName="row")


class Forms:
    """A browser's uploads, signed by anyone."""

    def __init__(self, tenants, bucket):
        self.url, self.bucket = f"{tenants.endpoint}/{bucket}", bucket

    def send(self, fields):
        with urllib3.PoolManager(retries=False) as pool:
            return FormAnswer(pool.request("POST", self.url, fields=[*fields.items(), ("file", ("f", b"form"))]))

    def signed(self, who, expires=600):
        token = {"x-amz-security-token": who.token} if who.token else {}
        form = who.client("s3").generate_presigned_post(
            self.bucket, "k", ExpiresIn=expires, Conditions=[{name: value} for name, value in token.items()]
        )
        return self.send(form["fields"])

    def unsigned(self):
        return self.send({"key": "k"})


class FormAnswer:
    def __init__(self, answer):
        self.status, self.text = answer.status, answer.data.decode()
        self.code = self.text.partition("<Code>")[2].partition("</Code>")[0] or None

    def __repr__(self):
        return f"{self.status} {self.text[:500]}"


def test_matrix_of_forms(tenants, callers, bucket_name):
    world = World(tenants, bucket_name[:50].strip("-"))
    forms, before = Forms(tenants, world.names["bucket"]), counted(tenants, "PostObject")

    def grant(*statements):
        tenants.principals.iam.put_user_policy(
            UserName=callers["policied"].name, PolicyName="row", PolicyDocument=document(*statements)
        )

    def refused(answer, *codes):
        assert answer.status in (400, 403) and answer.code in codes, answer

    refused(forms.unsigned(), "AccessDenied")
    refused(forms.signed(callers["unknown"]), "InvalidAccessKeyId")
    refused(forms.signed(callers["forger"]), "SignatureDoesNotMatch")
    refused(forms.signed(callers["nobody"]), "AccessDenied")
    refused(forms.signed(callers["ended"]), "InvalidAccessKeyId", "InvalidToken", "ExpiredToken")
    refused(forms.signed(tenants.other), "AccessDenied")
    grant(allow("*"), deny("s3:PutObject"))
    refused(forms.signed(callers["policied"]), "AccessDenied")
    grant(allow("*"))
    refused(forms.signed(callers["policied"], expires=-600), "AccessDenied")
    world.unchanged()
    assert world.s3.get_object(Bucket=world.names["bucket"], Key="k")["Body"].read() == b"data"
    grant(allow("s3:PutObject"))
    assert forms.signed(callers["policied"]).status == 204
    assert world.s3.get_object(Bucket=world.names["bucket"], Key="k")["Body"].read() == b"form"
    assert counted(tenants, "PostObject") > before
    tenants.principals.iam.delete_user_policy(UserName=callers["policied"].name, PolicyName="row")
