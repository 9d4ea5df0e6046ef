"""Who may do what in the administrator's API: every endpoint, asked by everybody there is."""

import json
import pathlib
import re
import time

import pytest
from principals import Principals, Who, allow, deny, document, trust

TABLE = pathlib.Path(__file__).resolve().parents[2] / "src/protocol/admin/table.rs"
LINE = re.compile(r'^    (GET|PUT|POST|DELETE) "([^"]+)" (\w+), (Operator|OwnerToo): ', re.MULTILINE)
ENDPOINTS = {name: (method, path, who) for method, path, name, who in LINE.findall(TABLE.read_text())}

# Bodies that would be taken; all others are without one.
BODIES = {
    "PreviewLifecycle": {"configuration": {"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]}},
    "PutBucketQuota": {"bytes": 1000},
    "PutBucketStorage": {"compression": "zstd"},
    "PutEventTarget": {"kind": "webhook", "url": "http://127.0.0.1:9/"},
    "ReplayEvents": {"position": 1},
}

# Parameters without which a request would not be valid.
QUERIES = {"ExplainLifecycle": "?key=k"}


def test_the_table_is_read_whole():
    lines = re.findall(r'^    [A-Z]+ "', TABLE.read_text(), re.MULTILINE)
    assert len(ENDPOINTS) == len(lines) > 10


@pytest.fixture(scope="module")
def callers(tenants):
    """One of each kind, in the operator's account. What `policied` may do each row says."""
    process = tenants.process
    principals = Principals(tenants.endpoint, process.access_key_id, process.secret_access_key)
    account = principals.root.client("sts").get_caller_identity()["Account"]
    role = principals.role(trust({"AWS": account}), allow("*"))
    assumer = principals.user(allow("sts:AssumeRole"))
    session = assumer.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ended")
    principals.iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="test")
    principals.iam.delete_role(RoleName=role["RoleName"])
    return {
        "principals": principals,
        "policied": principals.user(),
        "nobody": principals.user(),
        "ended": assumer.with_session(session),
        "unknown": Who(tenants.endpoint, "CAIRNTESTUNKNOWN001", "no-such-secret-00000"),
        "forger": Who(tenants.endpoint, process.access_key_id, "not-the-secret-of-it"),
    }


def code(answer):
    return json.loads(answer.text).get("code") if answer.text else None


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_matrix(tenants, callers, name, bucket_name):
    method, path, who = ENDPOINTS[name]
    bucket = bucket_name[:50].strip("-")
    s3 = tenants.owner.client("s3")
    s3.create_bucket(Bucket=bucket)
    rules = [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 900}}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    target = "/_admin/v1/" + path.format(bucket=bucket, name=f"matrix-{bucket[-8:]}") + QUERIES.get(name, "")
    request = (method, target, (), json.dumps(BODIES.get(name)).encode() if name in BODIES else b"")
    policied, nobody, ended = callers["policied"], callers["nobody"], callers["ended"]
    iam = callers["principals"].iam

    def grant(*statements):
        iam.put_user_policy(UserName=policied.name, PolicyName="row", PolicyDocument=document(*statements))

    def refused(answer, *codes):
        assert answer.status in (400, 403) and code(answer) in codes, answer

    refused(tenants.anonymous(*request), "AccessDenied")
    refused(tenants.signed(callers["unknown"], *request), "InvalidAccessKeyId")
    refused(tenants.signed(callers["forger"], *request), "SignatureDoesNotMatch")
    refused(tenants.signed(ended, *request), "InvalidAccessKeyId", "InvalidToken", "ExpiredToken")
    # Another account's root, too: whatever its own policies say, it is not the operator.
    for stranger in (nobody, tenants.other):
        refused(tenants.signed(stranger, *request), "AccessDenied")
        refused(tenants.presigned(stranger, *request), "AccessDenied")
    grant(allow("*"), deny(f"cairn:{name}"))
    refused(tenants.signed(policied, *request), "AccessDenied")
    grant(allow("s3:*", "iam:*", *(f"cairn:{other}" for other in ENDPOINTS if other != name)))
    refused(tenants.signed(policied, *request), "AccessDenied")
    grant(allow("*"))
    long_ago = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 3_600))
    refused(tenants.presigned(policied, *request, expires=60, date=long_ago), "AccessDenied")

    # The bucket's owner may see what is theirs, and change nothing.
    owners = tenants.signed(tenants.owner, *request)
    assert (owners.status < 300) if who == "OwnerToo" else (code(owners) == "AccessDenied"), owners

    # Exactly the endpoint's action is enough, in either form of signature.
    grant(allow(f"cairn:{name}"))
    for send in (tenants.signed, tenants.presigned):
        answer = send(policied, *request)
        assert answer.status != 403 and code(answer) not in ("InvalidAccessKeyId", "InvalidRequest"), answer
    iam.delete_user_policy(UserName=policied.name, PolicyName="row")
