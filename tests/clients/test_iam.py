"""IAM as boto3 and infrastructure tools speak it: users, groups, policies, roles, keys, and what they allow."""

import concurrent.futures
import datetime
import json

import boto3
import botocore.config
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from server_process import ServerProcess

REGION = "us-east-1"
ACCOUNT = "000000000001"
S3_FULL = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
S3_READ = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource} | more


TRUST = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}})


def client_of(endpoint, service, key, secret, token=None):
    session = boto3.Session(key, secret, token, region_name=REGION)
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return session.client(service, endpoint_url=endpoint, config=config)


@pytest.fixture
def iam(server):
    """IAM for the account's root."""
    return client_of(server.endpoint, "iam", server.access_key, server.secret_key)


@pytest.fixture
def name(bucket_name):
    """A name that no other test uses."""
    return bucket_name[-40:]


@pytest.fixture
def as_key(server):
    """as_key(key, "s3") -> a client that signs with an access key of CreateAccessKey's answer."""

    def connect(key, service="s3"):
        return client_of(server.endpoint, service, key["AccessKeyId"], key["SecretAccessKey"])

    return connect


@pytest.fixture
def user(iam, name):
    """A user with a key and no permissions: its name and the key."""
    iam.create_user(UserName=name)
    return name, iam.create_access_key(UserName=name)["AccessKey"]


def refused(status, code, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    answer = caught.value.response
    got = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
    assert got == (status, code), answer
    return answer["Error"]["Message"]


def test_a_user_has_what_it_was_created_with(iam, name):
    created = iam.create_user(UserName=name, Path="/team/a/", Tags=[{"Key": "Team", "Value": "ä +=@/"}])["User"]
    assert created["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/a/{name}"
    assert created["UserId"].startswith("AIDA") and len(created["UserId"]) == 21
    assert created["CreateDate"].tzinfo is not None
    assert iam.get_user(UserName=name.upper())["User"] == created
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "Team", "Value": "ä +=@/"}]
    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}])
    iam.untag_user(UserName=name, TagKeys=["X"])
    assert iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "team", "Value": "b"}]
    message = refused(409, "EntityAlreadyExists", iam.create_user, UserName=name)
    assert message == f"User with name {name} already exists."
    iam.update_user(UserName=name, NewPath="/", NewUserName=f"{name}-2")
    assert iam.get_user(UserName=f"{name}-2")["User"]["UserId"] == created["UserId"]
    iam.delete_user(UserName=f"{name}-2")
    message = refused(404, "NoSuchEntity", iam.get_user, UserName=name)
    assert message == f"The user with name {name} cannot be found."


def test_wrong_parameters_get_awss_words(iam, name):
    message = refused(400, "ValidationError", iam.create_user, UserName="a b")
    assert message.startswith("The specified value for userName is invalid. It must contain only alphanumeric")
    message = refused(400, "ValidationError", iam.create_user, UserName="x" * 65)
    assert "at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64" in message
    refused(400, "ValidationError", iam.create_user, UserName=name, Path="/no-end")
    refused(400, "MalformedPolicyDocument", iam.create_policy, PolicyName=name, PolicyDocument="{}")
    refused(400, "InvalidInput", iam.get_policy, PolicyArn="arn:aws:s3:::not-a-policy")
    refused(404, "NoSuchEntity", iam.get_policy, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/{name}")
    refused(501, "NotImplemented", iam.create_saml_provider, SAMLMetadataDocument="x" * 1000, Name=name)


def test_listings_come_in_pages(iam, name):
    users = [f"{name}-{letter}" for letter in "aBcD"]
    for user in reversed(users):
        iam.create_user(UserName=user, Path=f"/{name}/")
    pages = iam.get_paginator("list_users").paginate(PathPrefix=f"/{name}/", PaginationConfig={"PageSize": 3})
    sizes, listed = [], []
    for page in pages:
        sizes.append(len(page["Users"]))
        listed += [user["UserName"] for user in page["Users"]]
    assert (listed, sizes) == (users, [3, 1])
    refused(400, "InvalidInput", iam.list_users, Marker="&")
    refused(400, "ValidationError", iam.list_users, MaxItems=1001)


def test_what_a_user_may_do_changes_with_its_policies(iam, user, as_key, bucket):
    name, key = user
    s3 = as_key(key)
    refused(403, "AccessDenied", s3.put_object, Bucket=bucket, Key="k", Body=b"x")
    only = policy(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/home/${{aws:username}}/*"))
    iam.put_user_policy(UserName=name, PolicyName="home", PolicyDocument=only)
    s3.put_object(Bucket=bucket, Key=f"home/{name}/k", Body=b"x")
    refused(403, "AccessDenied", s3.put_object, Bucket=bucket, Key="home/else/k", Body=b"x")
    iam.attach_user_policy(UserName=name, PolicyArn=S3_FULL)
    s3.put_object(Bucket=bucket, Key="home/else/k", Body=b"x")
    iam.put_user_policy(UserName=name, PolicyName="no", PolicyDocument=policy(deny("s3:DeleteObject")))
    refused(403, "AccessDenied", s3.delete_object, Bucket=bucket, Key="home/else/k")
    iam.delete_user_policy(UserName=name, PolicyName="no")
    s3.delete_object(Bucket=bucket, Key="home/else/k")
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=S3_READ)
    refused(403, "AccessDenied", s3.put_object, Bucket=bucket, Key="home/else/k", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key=f"home/{name}/k")["Body"].read() == b"x"
    iam.delete_user_permissions_boundary(UserName=name)
    iam.detach_user_policy(UserName=name, PolicyArn=S3_FULL)
    refused(403, "AccessDenied", s3.get_object, Bucket=bucket, Key=f"home/{name}/k")


def test_a_groups_policies_are_its_members(iam, user, as_key, bucket):
    name, key = user
    group = f"{name}-group"
    iam.create_group(GroupName=group, Path="/g/")
    iam.attach_group_policy(GroupName=group, PolicyArn=S3_READ)
    s3 = as_key(key)
    refused(403, "AccessDenied", s3.list_objects_v2, Bucket=bucket)
    iam.add_user_to_group(GroupName=group, UserName=name)
    iam.add_user_to_group(GroupName=group, UserName=name)
    s3.list_objects_v2(Bucket=bucket)
    assert [found["UserName"] for found in iam.get_group(GroupName=group)["Users"]] == [name]
    assert [found["GroupName"] for found in iam.list_groups_for_user(UserName=name)["Groups"]] == [group]
    refused(409, "DeleteConflict", iam.delete_group, GroupName=group)
    iam.remove_user_from_group(GroupName=group, UserName=name)
    refused(403, "AccessDenied", s3.list_objects_v2, Bucket=bucket)
    iam.detach_group_policy(GroupName=group, PolicyArn=S3_READ)
    iam.delete_group(GroupName=group)


def test_versions_of_a_policy(iam, user, as_key, bucket):
    name, key = user
    arn = iam.create_policy(PolicyName=name, Path="/p/", PolicyDocument=policy(allow("s3:ListBucket")), Description="d")
    arn = arn["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p/{name}"
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    s3 = as_key(key)
    s3.list_objects_v2(Bucket=bucket)
    denying = policy(deny("s3:ListBucket"))
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=denying, SetAsDefault=True)["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v2", True)
    refused(403, "AccessDenied", s3.list_objects_v2, Bucket=bucket)
    assert json.dumps(iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"]) == denying
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    s3.list_objects_v2(Bucket=bucket)
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=denying)
    refused(409, "LimitExceeded", iam.create_policy_version, PolicyArn=arn, PolicyDocument=denying)
    refused(409, "DeleteConflict", iam.delete_policy_version, PolicyArn=arn, VersionId="v1")
    listed = iam.list_policy_versions(PolicyArn=arn, MaxItems=2)
    assert [version["VersionId"] for version in listed["Versions"]] == ["v5", "v4"] and listed["IsTruncated"]
    found = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (found["AttachmentCount"], found["DefaultVersionId"], found["Description"]) == (1, "v1", "d")
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    assert [found["UserName"] for found in entities["PolicyUsers"]] == [name]
    assert arn in [found["Arn"] for found in iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]]
    refused(409, "DeleteConflict", iam.delete_policy, PolicyArn=arn)
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    refused(409, "DeleteConflict", iam.delete_policy, PolicyArn=arn)
    for number in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    iam.delete_policy(PolicyArn=arn)
    refused(404, "NoSuchEntity", iam.get_policy, PolicyArn=arn)


def test_keys_are_created_rotated_and_revoked_at_once(iam, user, as_key, bucket):
    name, first = user
    iam.attach_user_policy(UserName=name, PolicyArn=S3_FULL)
    second = iam.create_access_key(UserName=name)["AccessKey"]
    refused(409, "LimitExceeded", iam.create_access_key, UserName=name)
    old, new = as_key(first), as_key(second)
    old.list_objects_v2(Bucket=bucket)
    iam.update_access_key(UserName=name, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    refused(403, "InvalidAccessKeyId", old.list_objects_v2, Bucket=bucket)
    new.list_objects_v2(Bucket=bucket)
    used = iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])
    assert used["UserName"] == name
    assert used["AccessKeyLastUsed"]["ServiceName"] == "s3"
    assert used["AccessKeyLastUsed"]["LastUsedDate"] <= datetime.datetime.now(datetime.timezone.utc)
    iam.delete_access_key(UserName=name, AccessKeyId=first["AccessKeyId"])
    assert [key["AccessKeyId"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]] == [
        second["AccessKeyId"]
    ]
    iam.delete_access_key(UserName=name, AccessKeyId=second["AccessKeyId"])
    refused(403, "InvalidAccessKeyId", new.list_objects_v2, Bucket=bucket)
    unknown = as_key(second, "iam")
    message = refused(403, "InvalidClientTokenId", unknown.get_user)
    assert message == "The security token included in the request is invalid."


def test_a_wrong_secret_and_a_wrong_service_are_refused(server, user, as_key):
    _, key = user
    wrong = as_key(key | {"SecretAccessKey": "wrong" * 8}, "iam")
    refused(403, "SignatureDoesNotMatch", wrong.get_user)
    # A signature for S3 holds for S3 alone.
    request = AWSRequest("POST", server.endpoint + "/", data="Action=ListUsers&Version=2010-05-08")
    request.headers["content-type"] = "application/x-www-form-urlencoded"
    SigV4Auth(Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "s3", REGION).add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    assert answer.status_code == 403 and b"<Code>SignatureDoesNotMatch</Code>" in answer.content, answer.content


def test_iam_itself_is_allowed_by_policies(iam, user, as_key):
    name, key = user
    mine = as_key(key, "iam")
    message = refused(403, "AccessDenied", mine.list_users)
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    assert message.startswith(f"User: {arn} is not authorized to perform: iam:ListUsers on resource: "), message
    own = "arn:aws:iam::*:user/${aws:username}"
    iam.put_user_policy(
        UserName=name, PolicyName="self", PolicyDocument=policy(allow(["iam:GetUser", "iam:*AccessKey*"], own))
    )
    assert mine.get_user()["User"]["UserName"] == name
    second = mine.create_access_key()["AccessKey"]
    assert second["UserName"] == name
    mine.delete_access_key(AccessKeyId=second["AccessKeyId"])
    refused(403, "AccessDenied", mine.create_access_key, UserName=f"{name}-other")
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    assert mine.list_users()["Users"]
    refused(403, "AccessDenied", mine.create_user, UserName=f"{name}-other")


def test_an_administrator_can_be_made_to_set_boundaries(iam, user, as_key):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html, delegation"""
    name, key = user
    bounded = {"StringEquals": {"iam:PermissionsBoundary": S3_READ}}
    iam.put_user_policy(
        UserName=name, PolicyName="delegate", PolicyDocument=policy(allow("iam:CreateUser", Condition=bounded))
    )
    mine = as_key(key, "iam")
    refused(403, "AccessDenied", mine.create_user, UserName=f"{name}-free")
    refused(403, "AccessDenied", mine.create_user, UserName=f"{name}-wide", PermissionsBoundary=S3_FULL)
    created = mine.create_user(UserName=f"{name}-bound", PermissionsBoundary=S3_READ)["User"]
    assert created["PermissionsBoundary"]["PermissionsBoundaryArn"] == S3_READ


def test_tags_decide_who_administers_whom(iam, user, as_key):
    name, key = user
    same_team = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "red"}])
    iam.put_user_policy(
        UserName=name, PolicyName="team", PolicyDocument=policy(allow("iam:GetUser", Condition=same_team))
    )
    for team in ("red", "blue"):
        iam.create_user(UserName=f"{name}-{team}", Tags=[{"Key": "team", "Value": team}])
    mine = as_key(key, "iam")
    mine.get_user(UserName=f"{name}-red")
    refused(403, "AccessDenied", mine.get_user, UserName=f"{name}-blue")


def test_a_role_as_terraform_makes_it(iam, name):
    role = iam.create_role(
        RoleName=name,
        Path="/service/",
        AssumeRolePolicyDocument=TRUST,
        Description="d",
        MaxSessionDuration=7200,
        Tags=[{"Key": "k", "Value": "v"}],
    )["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/service/{name}" and role["RoleId"].startswith("AROA")
    read = iam.get_role(RoleName=name)["Role"]
    assert json.dumps(read["AssumeRolePolicyDocument"]) == TRUST
    assert (read["MaxSessionDuration"], read["Description"], read["Tags"]) == (7200, "d", [{"Key": "k", "Value": "v"}])
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(allow("s3:*")))
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["inline"]
    iam.attach_role_policy(RoleName=name, PolicyArn=S3_FULL)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == [
        {"PolicyName": "AmazonS3FullAccess", "PolicyArn": S3_FULL}
    ]
    other = policy({"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": "*"})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    iam.update_role(RoleName=name, Description="new", MaxSessionDuration=3600)
    read = iam.get_role(RoleName=name)["Role"]
    assert (json.dumps(read["AssumeRolePolicyDocument"]), read["Description"]) == (other, "new")
    refused(400, "MalformedPolicyDocument", iam.update_assume_role_policy, RoleName=name, PolicyDocument=policy(allow("*")))
    refused(409, "DeleteConflict", iam.delete_role, RoleName=name)
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.detach_role_policy(RoleName=name, PolicyArn=S3_FULL)
    iam.delete_role_policy(RoleName=name, PolicyName="inline")
    iam.delete_role(RoleName=name)
    refused(404, "NoSuchEntity", iam.get_role, RoleName=name)


def test_what_terraform_asks_before_it_deletes_a_user(iam, user):
    name, key = user
    assert iam.list_mfa_devices(UserName=name)["MFADevices"] == []
    assert iam.list_signing_certificates(UserName=name)["Certificates"] == []
    assert iam.list_ssh_public_keys(UserName=name)["SSHPublicKeys"] == []
    refused(404, "NoSuchEntity", iam.get_login_profile, UserName=name)
    refused(409, "DeleteConflict", iam.delete_user, UserName=name)
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_oidc_providers(iam, name):
    url = f"https://{name}.example.com/path"
    made = iam.create_open_id_connect_provider(Url=url, ClientIDList=["a"], ThumbprintList=["0" * 40])
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{name}.example.com/path"
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="b")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="a")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["1" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    read = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (read["Url"], read["ClientIDList"], read["ThumbprintList"]) == (url[8:], ["b"], ["1" * 40])
    assert read["Tags"] == [{"Key": "k", "Value": "v"}]
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    refused(409, "EntityAlreadyExists", iam.create_open_id_connect_provider, Url=url)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    refused(404, "NoSuchEntity", iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)


def test_the_account(iam, name, user):
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] >= 1 and summary["UsersQuota"] == 5000
    alias = name[-20:].strip("-")
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    iam.delete_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == []
    root = iam.get_user()["User"]
    assert root["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_everything_about_the_account_in_one_listing(iam, user):
    name, _ = user
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    users, roles, policies = {}, set(), set()
    for page in iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2}):
        users |= {found["UserName"]: found for found in page["UserDetailList"]}
        roles |= {found["RoleName"] for found in page["RoleDetailList"]}
        policies |= {found["PolicyName"] for found in page["Policies"]}
    assert users[name]["UserPolicyList"][0]["PolicyName"] == "p"
    assert name in roles and "AdministratorAccess" in policies
    only = iam.get_account_authorization_details(Filter=["Role"])
    assert only["UserDetailList"] == [] and only["RoleDetailList"]


def test_simulations_say_what_would_be_decided(iam, user, bucket):
    name, _ = user
    document = policy(
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/${{aws:username}}/*"),
        deny("s3:GetObject", f"arn:aws:s3:::{bucket}/*/secret", Condition={"Bool": {"aws:SecureTransport": "false"}}),
    )
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    source = f"arn:aws:iam::{ACCOUNT}:user/{name}"

    def decisions(call, resources, **parameters):
        results = call(ActionNames=["s3:GetObject"], ResourceArns=resources, **parameters)["EvaluationResults"]
        assert [result["EvalResourceName"] for result in results] == resources
        return [result["EvalDecision"] for result in results]

    objects = [f"arn:aws:s3:::{bucket}/{key}" for key in (f"{name}/k", f"{name}/secret", "else/k")]
    plain = [{"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["false"], "ContextKeyType": "boolean"}]
    assert decisions(iam.simulate_principal_policy, objects, PolicySourceArn=source, ContextEntries=plain) == [
        "allowed",
        "explicitDeny",
        "implicitDeny",
    ]
    answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=["s3:GetObject"], ResourceArns=objects[:1])
    assert answer["EvaluationResults"][0]["MissingContextValues"] == ["aws:SecureTransport"]
    custom = {"PolicyInputList": [policy(allow("s3:*"))]}
    assert decisions(iam.simulate_custom_policy, objects[:1], **custom) == ["allowed"]
    boundary = {"PermissionsBoundaryPolicyInputList": [policy(allow("s3:Put*"))]}
    results = iam.simulate_custom_policy(ActionNames=["s3:GetObject"], **custom, **boundary)["EvaluationResults"]
    assert results[0]["EvalDecision"] == "implicitDeny"
    assert results[0]["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    keys = iam.get_context_keys_for_principal_policy(PolicySourceArn=source)["ContextKeyNames"]
    assert sorted(keys) == ["aws:SecureTransport", "aws:username"]


def test_accounts_know_nothing_of_each_other(tmp_path):
    config = tmp_path / "config.toml"
    accounts = {"111111111111": "ONEONEONE", "222222222222": "TWOTWOTWO"}
    config.write_text(
        "".join(
            f'[[account]]\nid = "{id}"\naccess_key_id = "{key}"\nsecret_access_key = "secret-of-{key}"\n'
            for id, key in accounts.items()
        )
    )
    with ServerProcess(tmp_path / "data", tmp_path / "log", config=config) as process:
        one, two = (
            client_of(process.endpoint, "iam", key, f"secret-of-{key}") for key in accounts.values()
        )
        made = one.create_user(UserName="same")["User"]
        assert made["Arn"] == "arn:aws:iam::111111111111:user/same"
        refused(404, "NoSuchEntity", two.get_user, UserName="same")
        assert two.create_user(UserName="same")["User"]["UserId"] != made["UserId"]
        arn = one.create_policy(PolicyName="p", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]
        refused(404, "NoSuchEntity", two.attach_user_policy, UserName="same", PolicyArn=arn)
        refused(404, "NoSuchEntity", two.get_policy, PolicyArn=arn)
        key = one.create_access_key(UserName="same")["AccessKey"]["AccessKeyId"]
        refused(404, "NoSuchEntity", two.delete_access_key, UserName="same", AccessKeyId=key)


def test_identities_survive_a_kill_and_secrets_lie_sealed(tmp_path):
    data = tmp_path / "data"
    with ServerProcess(data, tmp_path / "log") as process:
        root = (process.access_key_id, process.secret_access_key)
        iam = client_of(process.endpoint, "iam", *root)
        iam.create_user(UserName="lasting")
        key = iam.create_access_key(UserName="lasting")["AccessKey"]
        iam.attach_user_policy(UserName="lasting", PolicyArn=S3_FULL)
        process.restart()
        s3 = client_of(process.endpoint, "s3", key["AccessKeyId"], key["SecretAccessKey"])
        s3.create_bucket(Bucket="made-by-a-user")
        # Another key for root, without a restart; the one of the environment is then void, and stays so.
        second = iam.create_access_key()["AccessKey"]
        rotated = client_of(process.endpoint, "iam", second["AccessKeyId"], second["SecretAccessKey"])
        rotated.delete_access_key(AccessKeyId=root[0])
        refused(403, "InvalidClientTokenId", iam.list_users)
        process.restart()
        refused(403, "InvalidClientTokenId", iam.list_users)
        assert [user["UserName"] for user in rotated.list_users()["Users"]] == ["lasting"]
    assert (data / "server.key").stat().st_mode & 0o777 == 0o600
    for file in data.rglob("*"):
        if file.is_file() and file.stat().st_size < 64 << 20:
            assert key["SecretAccessKey"].encode() not in file.read_bytes(), file


def test_concurrent_changes_of_one_user_all_count(iam, user):
    name, _ = user

    def tag(number):
        iam.tag_user(UserName=name, Tags=[{"Key": f"k{number}", "Value": "v"}])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(tag, range(24)))
    assert len(iam.list_user_tags(UserName=name)["Tags"]) == 24


def test_a_request_that_is_too_large_is_refused(iam, name):
    text = policy(allow("s3:*")) + " " * (600 << 10)
    refused(400, "MalformedInput", iam.create_policy, PolicyName=name, PolicyDocument=text)
