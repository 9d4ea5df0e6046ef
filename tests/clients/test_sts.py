"""STS as boto3 and the AWS CLI speak it: who am I, roles, sessions of users and of others, and their end."""

import datetime
import json
import urllib.error
import urllib.request

import boto3
import botocore.config
import httpx
import pytest
from principals import ROOT_ACCOUNT, Principals, Who, allow, deny, document, refused, status_of, trust, unique


@pytest.fixture
def principals(server):
    return Principals(server.endpoint, server.access_key, server.secret_key)


@pytest.fixture
def objects(s3, bucket):
    """A bucket of root's with an object `k`."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"content")
    return bucket


def assumer(principals, *statements):
    """A user that may assume roles."""
    return principals.user(allow("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"), *statements)


def assume(who, role, session="session", **options):
    return who.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName=session, **options)


def test_who_am_i(principals):
    root = principals.root.client("sts").get_caller_identity()
    assert (root["Account"], root["Arn"]) == (ROOT_ACCOUNT, f"arn:aws:iam::{ROOT_ACCOUNT}:root")
    assert root["UserId"] == ROOT_ACCOUNT
    # Nothing needs to allow it, and nothing can deny it.
    user = principals.user(deny("*"))
    identity = user.client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ROOT_ACCOUNT}:user/{user.name}"
    assert identity["UserId"].startswith("AIDA")
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}))
    session = user.with_session(assume(user, role, "who"))
    identity = session.client("sts").get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ROOT_ACCOUNT}:assumed-role/{role['RoleName']}/who"
    assert identity["UserId"] == f"{role['RoleId']}:who"


def test_nobody_is_nobody(server):
    for action in ["GetCallerIdentity", "GetSessionToken", "AssumeRole"]:
        body = f"Action={action}&Version=2011-06-15".encode()
        request = urllib.request.Request(
            server.endpoint, body, {"Content-Type": "application/x-www-form-urlencoded"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
        text = caught.value.read().decode()
        assert caught.value.code == 403 and "<Code>MissingAuthenticationToken</Code>" in text, text


def test_a_role_is_assumed_and_allows_what_its_policies_allow(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:GetObject", resource=f"arn:aws:s3:::{objects}/*"))
    # The user itself may not.
    refused("AccessDenied", user.client("s3").get_object, Bucket=objects, Key="k")
    answer = assume(user, role, "a-session")
    assert answer["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role['RoleId']}:a-session",
        "Arn": f"arn:aws:sts::{ROOT_ACCOUNT}:assumed-role/{role['RoleName']}/a-session",
    }
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    in_an_hour = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    assert abs(answer["Credentials"]["Expiration"] - in_an_hour) < datetime.timedelta(minutes=1)
    session = user.with_session(answer).client("s3")
    assert session.get_object(Bucket=objects, Key="k")["Body"].read() == b"content"
    refused("AccessDenied", session.put_object, Bucket=objects, Key="k", Body=b"")


def test_both_sides_must_allow_it(principals):
    user, other = assumer(principals), assumer(principals)
    named = principals.role(trust({"AWS": user.arn}))
    message = refused("AccessDenied", assume, who=other, role=named)
    said = f"User: {other.arn} is not authorized to perform: sts:AssumeRole on resource: {named['Arn']}"
    assert message.partition(". Encoded authorization failure message: ")[0] == said
    # An account that is trusted hands it on to its users by their policies.
    account = principals.role(trust({"AWS": f"arn:aws:iam::{ROOT_ACCOUNT}:root"}))
    assume(user, account)
    unentitled = principals.user()
    refused("AccessDenied", assume, who=unentitled, role=account)
    # A user that the trust policy names needs no policy of its own in the same account, but can be denied.
    by_name = principals.role(trust({"AWS": unentitled.arn}))
    assume(unentitled, by_name)
    denied = principals.user(deny("sts:AssumeRole"))
    refused("AccessDenied", assume, who=denied, role=principals.role(trust({"AWS": denied.arn})))
    # Who may everything may not assume a role that does not trust it.
    admin = principals.user(allow("*"))
    refused("AccessDenied", assume, who=admin, role=named)
    refused("AccessDenied", assume, who=principals.root, role=account)
    nothing = {"Arn": f"arn:aws:iam::{ROOT_ACCOUNT}:role/{unique('none')}"}
    refused("AccessDenied", assume, who=admin, role=nothing)


def test_conditions_of_the_trust_policy(principals):
    user = assumer(principals)

    def role(**condition):
        return principals.role(trust({"AWS": user.arn}, Condition=condition))

    external = role(StringEquals={"sts:ExternalId": "unique-to-us"})
    refused("AccessDenied", assume, who=user, role=external)
    refused("AccessDenied", assume, who=user, role=external, ExternalId="another")
    assume(user, external, ExternalId="unique-to-us")
    named = role(StringLike={"sts:RoleSessionName": f"{user.name}*"})
    refused("AccessDenied", assume, who=user, role=named)
    assume(user, named, session=user.name[:60])
    local = role(IpAddress={"aws:SourceIp": "127.0.0.0/8"})
    assume(user, local)
    refused("AccessDenied", assume, who=user, role=role(IpAddress={"aws:SourceIp": "192.0.2.0/24"}))


def test_lengths_of_sessions(principals):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), MaxSessionDuration=7200)
    answer = assume(user, role, DurationSeconds=7200)
    left = answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=119) < left <= datetime.timedelta(minutes=120)
    message = refused("ValidationError", assume, who=user, role=role, DurationSeconds=7201)
    assert message == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    for seconds, rule in [(899, "greater than or equal to 900"), (43201, "less than or equal to 43200")]:
        arguments = {"RoleArn": role["Arn"], "RoleSessionName": "session", "DurationSeconds": seconds}
        message = call_without_checks(user, "assume_role", **arguments)
        assert rule in message, message


def call_without_checks(who, operation, **arguments):
    """Sends what boto3 itself would refuse, and gives the message of the ValidationError."""
    config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
    sts = boto3.client(
        "sts", endpoint_url=who.endpoint, region_name="us-east-1", aws_access_key_id=who.access_key,
        aws_secret_access_key=who.secret_key, config=config,
    )  # fmt: skip
    return refused("ValidationError", getattr(sts, operation), **arguments)


def test_bad_parameters_are_named(principals):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}, "sts:AssumeRole", "sts:TagSession"))
    table = [
        ({"RoleSessionName": "not a name"}, "1 validation error detected: Value 'not a name' at 'roleSessionName'"
         " failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"),
        ({"RoleSessionName": "x"}, "at 'roleSessionName' failed to satisfy constraint: Member must have length"),
        ({"RoleArn": "arn:aws:iam::x"}, "at 'roleArn'"),
        ({"RoleArn": "arn:aws:iam::000000000001:user/x"}, "is invalid"),
        ({"ExternalId": "with space"}, "externalId"),
        ({"SourceIdentity": "a/b"}, "sourceIdentity"),
        ({"PolicyArns": [{"arn": f"arn:aws:iam::aws:policy/{n}"} for n in range(11)]}, "policyArns"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/Invented"}]}, "does not exist"),
        ({"Policy": document(allow("s3:*")) + " " * 2048}, "'policy' failed to satisfy constraint"),
    ]  # fmt: skip
    for change, expected in table:
        arguments = {"RoleArn": role["Arn"], "RoleSessionName": "session", **change}
        message = call_without_checks(user, "assume_role", **arguments)
        assert expected in message, (change, message)
    refused("MalformedPolicyDocument", assume, who=user, role=role, Policy="{not json")
    refused("MalformedPolicyDocument", assume, who=user, role=role, Policy='{"Version":"2012-10-17"}')
    arns = [{"arn": "arn:aws:iam::aws:policy/AmazonS3FullAccess"}]
    tags = [{"Key": f"key-{n}", "Value": "v" * 250} for n in range(20)]
    refused("PackedPolicyTooLarge", assume, who=user, role=role, PolicyArns=arns, Tags=tags)


def test_session_policies_restrict(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:*"))
    readers = document(allow("s3:GetObject", resource=f"arn:aws:s3:::{objects}/*"))
    answer = assume(user, role, Policy=readers)
    assert 0 < answer["PackedPolicySize"] < 100
    session = user.with_session(answer).client("s3")
    session.get_object(Bucket=objects, Key="k")
    refused("AccessDenied", session.delete_object, Bucket=objects, Key="k")
    managed = assume(user, role, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}])
    session = user.with_session(managed).client("s3")
    session.list_objects_v2(Bucket=objects)
    refused("AccessDenied", session.put_object, Bucket=objects, Key="k", Body=b"")
    # They grant nothing that the role has not.
    poor = principals.role(trust({"AWS": user.arn}))
    session = user.with_session(assume(user, poor, Policy=document(allow("*")))).client("s3")
    refused("AccessDenied", session.get_object, Bucket=objects, Key="k")


def test_tags_of_sessions(principals, objects):
    user = principals.user(allow("sts:AssumeRole", "sts:TagSession"))
    own = allow("s3:GetObject", resource=f"arn:aws:s3:::{objects}/${{aws:PrincipalTag/Key}}")
    both = ["sts:AssumeRole", "sts:TagSession"]
    role = principals.role(trust({"AWS": f"arn:aws:iam::{ROOT_ACCOUNT}:root"}, *both), own, allow(*both))
    tags = [{"Key": "Key", "Value": "k"}]
    answer = assume(user, role, Tags=tags, TransitiveTagKeys=["Key"])
    session = user.with_session(answer)
    session.client("s3").get_object(Bucket=objects, Key="k")
    other = user.with_session(assume(user, role, Tags=[{"Key": "Key", "Value": "other"}]))
    refused("AccessDenied", other.client("s3").get_object, Bucket=objects, Key="k")
    # Transitive tags go on to the next session, which cannot change them.
    chained = session.with_session(assume(session, role, "next"))
    chained.client("s3").get_object(Bucket=objects, Key="k")
    refused("InvalidParameterValue", assume, who=session, role=role, Tags=[{"Key": "key", "Value": "other"}])
    # Tagging must be allowed, by the trust policy too.
    untagged = principals.role(trust({"AWS": user.arn}))
    message = refused("AccessDenied", assume, who=user, role=untagged, Tags=tags)
    assert "sts:TagSession" in message
    duplicate = [*tags, {"Key": "key", "Value": "x"}]
    assert "Duplicate" in refused("InvalidInput", assume, who=user, role=role, Tags=duplicate)


def test_chains_of_roles_last_an_hour(principals):
    user = assumer(principals)
    to_everyone = trust({"AWS": f"arn:aws:iam::{ROOT_ACCOUNT}:root"})
    first = principals.role(to_everyone, allow("sts:AssumeRole"), MaxSessionDuration=43200)
    second = principals.role(to_everyone, MaxSessionDuration=43200)
    session = user.with_session(assume(user, first))
    chained = assume(session, second)
    assert second["RoleName"] in session.with_session(chained).arn
    message = refused("ValidationError", assume, who=session, role=second, DurationSeconds=3601)
    assert "role chaining" in message
    # A session without the permission has none to hand on.
    refused("AccessDenied", assume, who=session.with_session(chained), role=first)


def test_the_source_identity_stays(principals):
    user = assumer(principals)
    both = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    role = principals.role(trust({"AWS": f"arn:aws:iam::{ROOT_ACCOUNT}:root"}, *both), allow(*both))
    answer = assume(user, role, SourceIdentity="anna")
    assert answer["SourceIdentity"] == "anna"
    session = user.with_session(answer)
    assert assume(session, role)["SourceIdentity"] == "anna"
    refused("AccessDenied", assume, who=session, role=role, SourceIdentity="bert")


def test_tokens_are_needed_and_checked(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:*"))
    session = user.with_session(assume(user, role))
    another = user.with_session(assume(user, role))
    for token in [None, "invented", another.token, session.token[:-1], session.token + "x"]:
        wrong = Who(session.endpoint, session.access_key, session.secret_key, token)
        assert refused("InvalidToken", wrong.client("s3").get_object, Bucket=objects, Key="k")
        assert status_of(wrong.client("s3").list_buckets) == 400
        assert refused("InvalidClientTokenId", wrong.client("sts").get_caller_identity)
    with_token = Who(user.endpoint, user.access_key, user.secret_key, session.token)
    refused("InvalidToken", with_token.client("s3").list_buckets)


def test_presigned_urls_of_sessions(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:GetObject"))
    session = user.with_session(assume(user, role))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = session.client("s3").generate_presigned_url("get_object", Params={"Bucket": objects, "Key": "k"})
    assert "X-Amz-Security-Token=" in url
    with opener.open(url) as answer:
        assert answer.read() == b"content"
    without = Who(session.endpoint, session.access_key, session.secret_key).client("s3")
    for broken in [
        without.generate_presigned_url("get_object", Params={"Bucket": objects, "Key": "k"}),
        Who(session.endpoint, session.access_key, session.secret_key, "invented")
        .client("s3")
        .generate_presigned_url("get_object", Params={"Bucket": objects, "Key": "k"}),
    ]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(broken)
        assert caught.value.code == 400 and b"<Code>InvalidToken</Code>" in caught.value.read()


def test_forms_of_sessions(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:PutObject"))
    session = user.with_session(assume(user, role))
    form = session.client("s3").generate_presigned_post(objects, "from-a-form")
    assert form["fields"]["x-amz-security-token"] == session.token

    def post(**changes):
        fields = {name: value for name, value in (form["fields"] | changes).items() if value is not None}
        return httpx.post(form["url"], data=fields, files={"file": b"content"}, trust_env=False).status_code

    assert post() == 204
    for token in [None, "invented"]:
        assert post(**{"x-amz-security-token": token}) in (400, 403)
    principals.iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="test")
    assert post() == 403


def test_sessions_die_with_their_role_and_their_user(principals, objects):
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:*"))
    session = user.with_session(assume(user, role)).client("s3")
    session.get_object(Bucket=objects, Key="k")
    principals.iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="test")
    refused("AccessDenied", session.get_object, Bucket=objects, Key="k")
    principals.iam.delete_role(RoleName=role["RoleName"])
    refused("InvalidAccessKeyId", session.get_object, Bucket=objects, Key="k")
    # A new role of the same name is another one.
    principals.role(trust({"AWS": user.arn}), allow("s3:*"), RoleName=role["RoleName"])
    refused("InvalidAccessKeyId", session.get_object, Bucket=objects, Key="k")

    reader = principals.user(allow("s3:*"))
    session = reader.with_session(reader.client("sts").get_session_token()).client("s3")
    session.get_object(Bucket=objects, Key="k")
    principals.iam.delete_access_key(UserName=reader.name, AccessKeyId=reader.access_key)
    principals.iam.delete_user_policy(UserName=reader.name, PolicyName="test")
    refused("AccessDenied", session.get_object, Bucket=objects, Key="k")
    principals.iam.delete_user(UserName=reader.name)
    refused("InvalidAccessKeyId", session.get_object, Bucket=objects, Key="k")


def test_session_tokens_of_users_and_root(principals, objects):
    user = principals.user(allow("s3:GetObject"))
    answer = user.client("sts").get_session_token()
    session = user.with_session(answer)
    session.client("s3").get_object(Bucket=objects, Key="k")
    refused("AccessDenied", session.client("s3").put_object, Bucket=objects, Key="k", Body=b"")
    assert session.arn == user.arn
    in_twelve_hours = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=12)
    assert abs(answer["Credentials"]["Expiration"] - in_twelve_hours) < datetime.timedelta(minutes=1)
    for call in [session.client("sts").get_session_token, session.client("sts").get_federation_token]:
        arguments = {"Name": "bob"} if call.__name__ == "get_federation_token" else {}
        assert "session credentials" in refused("AccessDenied", call, **arguments)
    root = principals.root.client("sts").get_session_token(DurationSeconds=129600)
    left = root["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert left <= datetime.timedelta(hours=1), "root's credentials last an hour at most"
    assert principals.root.with_session(root).arn == principals.root.arn
    refused("AccessDenied", principals.user(deny("sts:GetSessionToken")).client("sts").get_session_token)


def test_federated_users_may_what_both_allow(principals, objects):
    user = principals.user(allow("s3:GetObject", "s3:PutObject"), allow("sts:GetFederationToken"))
    sts = user.client("sts")
    policy = document(allow("s3:GetObject", "s3:DeleteObject"))
    answer = sts.get_federation_token(Name="bob", Policy=policy)
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{ROOT_ACCOUNT}:bob",
        "Arn": f"arn:aws:sts::{ROOT_ACCOUNT}:federated-user/bob",
    }
    session = user.with_session(answer)
    assert session.arn == answer["FederatedUser"]["Arn"]
    session.client("s3").get_object(Bucket=objects, Key="k")
    refused("AccessDenied", session.client("s3").put_object, Bucket=objects, Key="k", Body=b"")
    refused("AccessDenied", session.client("s3").delete_object, Bucket=objects, Key="k")
    # Without a policy there is nothing that both allow.
    nothing = user.with_session(sts.get_federation_token(Name="bob"))
    refused("AccessDenied", nothing.client("s3").get_object, Bucket=objects, Key="k")
    refused("AccessDenied", principals.user(allow("s3:*")).client("sts").get_federation_token, Name="bob")
    root = principals.root.client("sts").get_federation_token(Name="bob", Policy=policy)
    principals.root.with_session(root).client("s3").get_object(Bucket=objects, Key="k")


def test_other_actions(principals):
    sts = principals.root.client("sts")
    assert sts.get_access_key_info(AccessKeyId=principals.root.access_key)["Account"] == ROOT_ACCOUNT
    refused("AccessDenied", principals.user().client("sts").get_access_key_info, AccessKeyId="AKIAAAAAAAAAAAAAAAAA")
    refused("InvalidAuthorizationMessageException", sts.decode_authorization_message, EncodedMessage="invented")
    refused("AccessDenied", principals.user().client("sts").decode_authorization_message, EncodedMessage="invented")


def test_aws_cli(run, server, principals, objects, tmp_path):
    """A profile with role_arn: the CLI assumes the role by itself."""
    user = assumer(principals)
    role = principals.role(trust({"AWS": user.arn}), allow("s3:GetObject", "s3:ListBucket"))
    config = tmp_path / "config"
    config.write_text(
        f"[profile user]\naws_access_key_id = {user.access_key}\naws_secret_access_key = {user.secret_key}\n"
        f"[profile role]\nrole_arn = {role['Arn']}\nsource_profile = user\nrole_session_name = from-the-cli\n"
    )
    environment = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }

    def aws(*arguments, **options):
        return run("aws", *arguments, "--profile", "role", extra=environment, **options)

    identity = json.loads(aws("sts", "get-caller-identity"))
    assert identity["Arn"].endswith(f"assumed-role/{role['RoleName']}/from-the-cli")
    assert aws("s3", "cp", f"s3://{objects}/k", "-") == "content"
    assert "AccessDenied" in aws("s3", "rm", f"s3://{objects}/k", code=1)
