"""Users, roles and policies for tests, made through IAM with root's key."""

import itertools
import json
import secrets

import boto3
import botocore.config
import botocore.exceptions
import pytest

REGION = "us-east-1"
ROOT_ACCOUNT = "000000000001"

_numbers = itertools.count(1)


def unique(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{next(_numbers)}-{secrets.token_hex(4)}"


def allow(*actions, resource="*", **further) -> dict:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **further}


def deny(*actions, resource="*", **further) -> dict:
    """A statement that denies."""
    return {"Effect": "Deny", "Action": list(actions), "Resource": resource, **further}


def document(*statements) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal, *actions, **further) -> str:
    """A role's trust policy."""
    return document(
        {"Effect": "Allow", "Principal": principal, "Action": list(actions or ["sts:AssumeRole"]), **further}
    )


class Who:
    """Credentials, and clients that use them and never repeat a request."""

    def __init__(self, endpoint, access_key, secret_key, token=None, verify=None):
        self.endpoint = endpoint
        self.access_key, self.secret_key, self.token = access_key, secret_key, token
        self.verify = verify

    def client(self, service):
        # Without a version boto3 presigns with version 2.
        version = {"signature_version": "s3v4"} if service == "s3" else {}
        config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **version)
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            config=config,
            verify=self.verify,
        )

    def with_session(self, answer: dict) -> "Who":
        """Who the temporary credentials in an answer of STS stand for."""
        credentials = answer["Credentials"]
        keys = (credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        return Who(self.endpoint, *keys, verify=self.verify)

    @property
    def arn(self) -> str:
        return self.client("sts").get_caller_identity()["Arn"]


class Principals:
    """Makes users and roles in root's account."""

    def __init__(self, endpoint, access_key, secret_key):
        self.root = Who(endpoint, access_key, secret_key)
        self.iam = self.root.client("iam")

    def user(self, *statements, name=None) -> Who:
        """A new user with a key and, if there are statements, a policy of them."""
        name = name or unique("user")
        self.iam.create_user(UserName=name)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=document(*statements))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        who = Who(self.root.endpoint, key["AccessKeyId"], key["SecretAccessKey"])
        who.name = name
        return who

    def role(self, trust_policy, *statements, **options) -> dict:
        """A new role, as CreateRole answers it."""
        name = options.pop("RoleName", None) or unique("role")
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust_policy, **options)["Role"]
        if statements:
            self.iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=document(*statements))
        return role


def refused(code, call, **arguments) -> str:
    """The message with which a call is refused with `code`."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return error["Message"]


def status_of(call, **arguments) -> int:
    """The HTTP status with which a call is refused."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
