"""`aws iam` as people type it: a user, a group, a policy and a role from nothing, used, and taken down again."""

import json

import pytest


@pytest.fixture
def environment(environment, server):
    """IAM and STS are on the S3 endpoint."""
    return environment | {"AWS_ENDPOINT_URL_IAM": server.endpoint, "AWS_ENDPOINT_URL_STS": server.endpoint}


@pytest.fixture
def iam(run):
    """iam("create-user", "--user-name", "u") -> the parsed answer, {} if there is none."""

    def call(operation, *arguments, **options):
        output = run("aws", "iam", operation, *arguments, **options)
        return json.loads(output) if options.get("code", 0) == 0 and output.strip() else output

    return call


def test_a_user_from_nothing_and_back(iam, run, bucket, tmp_path):
    user, group = f"{bucket}-user", f"{bucket}-group"
    document = tmp_path / "policy.json"
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/*"}
    document.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=4))
    iam("create-user", "--user-name", user, "--tags", "Key=team,Value=red")
    iam("create-group", "--group-name", group)
    created = iam("create-policy", "--policy-name", bucket, "--policy-document", f"file://{document}")
    arn = created["Policy"]["Arn"]
    iam("attach-group-policy", "--group-name", group, "--policy-arn", arn)
    key = iam("create-access-key", "--user-name", user)["AccessKey"]
    mine = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    (tmp_path / "file").write_bytes(b"content")
    copy = ("aws", "s3", "cp", tmp_path / "file", f"s3://{bucket}/file")

    assert "AccessDenied" in run(*copy, extra=mine, code=1)
    iam("add-user-to-group", "--group-name", group, "--user-name", user)
    run(*copy, extra=mine)
    assert "AccessDenied" in run("aws", "s3", "ls", f"s3://{bucket}", extra=mine, code=255)
    denied = iam("list-users", extra=mine, code=255)
    assert "AccessDenied" in denied and "is not authorized to perform: iam:ListUsers" in denied

    shown = iam("get-policy-version", "--policy-arn", arn, "--version-id", "v1")["PolicyVersion"]["Document"]
    assert shown["Statement"] == [statement]
    listed = iam("list-users", "--query", f"Users[?UserName=='{user}'].Arn")
    assert listed == [f"arn:aws:iam::000000000001:user/{user}"]

    assert "DeleteConflict" in iam("delete-user", "--user-name", user, code=255)
    iam("remove-user-from-group", "--group-name", group, "--user-name", user)
    iam("delete-access-key", "--user-name", user, "--access-key-id", key["AccessKeyId"])
    assert "InvalidAccessKeyId" in run(*copy, extra=mine, code=1)
    iam("delete-user", "--user-name", user)
    iam("detach-group-policy", "--group-name", group, "--policy-arn", arn)
    iam("delete-group", "--group-name", group)
    iam("delete-policy", "--policy-arn", arn)
    assert "NoSuchEntity" in iam("get-policy", "--policy-arn", arn, code=255)


def test_a_role_is_made_assumed_and_gone(iam, run, bucket):
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "arn:aws:iam::000000000001:root"}}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam("create-role", "--role-name", bucket, "--assume-role-policy-document", trust)["Role"]["Arn"]
    iam("attach-role-policy", "--role-name", bucket, "--policy-arn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam("create-user", "--user-name", bucket)
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [assume]})
    iam("put-user-policy", "--user-name", bucket, "--policy-name", "assume", "--policy-document", document)
    key = iam("create-access-key", "--user-name", bucket)["AccessKey"]
    mine = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assumed = run("aws", "sts", "assume-role", "--role-arn", arn, "--role-session-name", "me", extra=mine)
    credentials = json.loads(assumed)["Credentials"]
    role = {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }
    run("aws", "s3", "ls", f"s3://{bucket}", extra=role)
    assert "AccessDenied" in run("aws", "s3", "rb", f"s3://{bucket}", extra=role, code=1)
    assert "AccessDenied" in run("aws", "s3", "ls", f"s3://{bucket}", extra=mine, code=255)
    iam("detach-role-policy", "--role-name", bucket, "--policy-arn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    assert "AccessDenied" in run("aws", "s3", "ls", f"s3://{bucket}", extra=role, code=255)
    iam("delete-role", "--role-name", bucket)
    refused = run("aws", "s3", "ls", f"s3://{bucket}", extra=role, code=255)
    assert "InvalidAccessKeyId" in refused or "InvalidToken" in refused
