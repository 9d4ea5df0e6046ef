"""Policies name users and roles, and mean those that there were: who takes a freed name later gets nothing."""

import json

import pytest
from principals import allow, deny, document, refused, trust, unique
from tenants import OWNER


def to(arn, bucket):
    return document({**allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"), "Principal": {"AWS": arn}})


def named(policy):
    """Whom the one statement of a policy names."""
    return (json.loads(policy) if isinstance(policy, str) else policy)["Statement"][0]["Principal"]["AWS"]


def delete_user(tenants, who):
    iam = tenants.principals.iam
    iam.delete_access_key(UserName=who.name, AccessKeyId=who.access_key)
    iam.delete_user(UserName=who.name)


def test_a_user_that_is_created_again_is_another(tenants, own_bucket):
    s3, name = tenants.owner.client("s3"), unique("bound")
    user = tenants.principals.user(name=name)
    arn, user_id = user.arn, user.client("sts").get_caller_identity()["UserId"]
    text = to(arn, own_bucket) + "\n"
    s3.put_bucket_policy(Bucket=own_bucket, Policy=text)
    assert user.client("s3").get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"
    assert s3.get_bucket_policy(Bucket=own_bucket)["Policy"] == text

    delete_user(tenants, user)
    shown = s3.get_bucket_policy(Bucket=own_bucket)["Policy"]
    assert named(shown) == user_id and user_id.startswith("AIDA")
    again = tenants.principals.user(name=name)
    assert again.arn == arn
    refused("AccessDenied", again.client("s3").get_object, Bucket=own_bucket, Key="k")
    assert named(s3.get_bucket_policy(Bucket=own_bucket)["Policy"]) == user_id
    # What names somebody who is gone cannot be put again; what names the new one can.
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket=own_bucket, Policy=shown)
    s3.put_bucket_policy(Bucket=own_bucket, Policy=text)
    assert again.client("s3").get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"


def test_a_user_that_is_renamed_stays_who_it_is(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    user, new_name = tenants.principals.user(), unique("renamed")
    s3.put_bucket_policy(Bucket=own_bucket, Policy=to(user.arn, own_bucket))
    tenants.principals.iam.update_user(UserName=user.name, NewUserName=new_name, NewPath="/moved/")
    assert user.client("s3").get_object(Bucket=own_bucket, Key="k")["Body"].read() == b"data"
    shown = s3.get_bucket_policy(Bucket=own_bucket)["Policy"]
    assert named(shown) == user.arn == f"arn:aws:iam::{OWNER}:user/moved/{new_name}"


def test_a_denial_holds_for_the_user_that_it_was_meant_for(tenants, own_bucket):
    s3 = tenants.owner.client("s3")
    user = tenants.principals.user(allow("s3:GetObject"))
    statement = {**deny("s3:GetObject", resource=f"arn:aws:s3:::{own_bucket}/*"), "Principal": {"AWS": user.arn}}
    s3.put_bucket_policy(Bucket=own_bucket, Policy=document(statement))
    tenants.principals.iam.update_user(UserName=user.name, NewUserName=unique("renamed"))
    refused("AccessDenied", user.client("s3").get_object, Bucket=own_bucket, Key="k")


def test_a_role_trusts_whom_it_was_made_for(tenants):
    iam, name = tenants.principals.iam, unique("trusted")
    user = tenants.principals.user(name=name)
    user_id = user.client("sts").get_caller_identity()["UserId"]
    role = tenants.principals.role(trust({"AWS": user.arn}))
    assert named(role["AssumeRolePolicyDocument"]) == user.arn
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "session"}
    user.client("sts").assume_role(**asked)
    delete_user(tenants, user)
    again = tenants.principals.user(allow("sts:AssumeRole"), name=name)
    refused("AccessDenied", again.client("sts").assume_role, **asked)
    assert named(iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"]) == user_id
    listed = {found["RoleName"]: found for page in iam.get_paginator("list_roles").paginate() for found in page["Roles"]}
    assert named(listed[role["RoleName"]]["AssumeRolePolicyDocument"]) == user_id
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=trust({"AWS": again.arn}))
    again.client("sts").assume_role(**asked)


@pytest.mark.parametrize("who", [f"arn:aws:iam::{OWNER}:user/nobody", f"arn:aws:iam::{OWNER}:role/nobody", "AIDANOBODY"])
def test_nobody_is_trusted(tenants, who):
    message = refused(
        "MalformedPolicyDocument",
        tenants.principals.iam.create_role,
        RoleName=unique("role"),
        AssumeRolePolicyDocument=trust({"AWS": who}),
    )
    assert message == f'Invalid principal in policy: "AWS":"{who}"'
