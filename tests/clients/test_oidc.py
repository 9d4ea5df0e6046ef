"""AssumeRoleWithWebIdentity with tokens of a real OpenID Connect provider: `oidc-provider` under Node.js."""

import base64
import json
import os
import subprocess
import sys
import time

import boto3
import botocore
import botocore.config
import botocore.exceptions
import pytest
from oidc import CLIENT, OTHER_CLIENT, Provider
from principals import ROOT_ACCOUNT, Principals, allow, refused, trust
from server_process import ServerProcess

# A provider is asked for an unknown key at most every five seconds.
ROTATION_DEADLINE_SECONDS = 30


@pytest.fixture
def principals(server):
    return Principals(server.endpoint, server.access_key, server.secret_key)


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with Provider(tmp_path_factory.mktemp("oidc") / "provider.log") as provider:
        yield provider


def register(principals, issuer, clients=(CLIENT,)):
    """The ARN of the provider, registered with these clients."""
    arn = f"arn:aws:iam::{ROOT_ACCOUNT}:oidc-provider/{issuer.partition('://')[2]}"
    try:
        principals.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    except botocore.exceptions.ClientError:
        pass
    answer = principals.iam.create_open_id_connect_provider(
        Url=issuer, ClientIDList=list(clients), ThumbprintList=["0" * 40]
    )
    assert answer["OpenIDConnectProviderArn"] == arn
    return arn


def web_role(principals, provider_arn, *statements, condition=None, actions=("sts:AssumeRoleWithWebIdentity",)):
    further = {"Condition": condition} if condition else {}
    return principals.role(trust({"Federated": provider_arn}, *actions, **further), *statements)


def exchange(server, role, token, **options):
    """Asks without any credentials, as whoever has only a token does."""
    config = botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1})
    sts = boto3.client("sts", endpoint_url=server.endpoint, region_name="us-east-1", config=config)
    return sts.assume_role_with_web_identity(
        RoleArn=role["Arn"], RoleSessionName="from-a-token", WebIdentityToken=token, **options
    )


def key_of(issuer, claim):
    return f"{issuer.partition('://')[2]}:{claim}"


def test_a_token_becomes_a_session(server, principals, provider, s3, bucket):
    s3.put_object(Bucket=bucket, Key="home/anna/file", Body=b"content")
    arn = register(principals, provider.issuer)
    subject = f"${{{key_of(provider.issuer, 'sub')}}}"
    role = web_role(
        principals, arn, allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/home/{subject}/*")
    )
    answer = exchange(server, role, provider.sign_in("anna"))
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("anna", CLIENT)
    assert answer["Provider"] == arn
    assert answer["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{role['RoleName']}/from-a-token")
    anna = principals.root.with_session(answer).client("s3")
    assert anna.get_object(Bucket=bucket, Key="home/anna/file")["Body"].read() == b"content"
    refused("AccessDenied", anna.put_object, Bucket=bucket, Key="home/anna/file", Body=b"")
    bert = principals.root.with_session(exchange(server, role, provider.sign_in("bert"))).client("s3")
    refused("AccessDenied", bert.get_object, Bucket=bucket, Key="home/anna/file")


def test_the_trust_policy_asks_for_claims(server, principals, provider):
    arn = register(principals, provider.issuer, [CLIENT, OTHER_CLIENT])

    def role(**condition):
        return web_role(principals, arn, condition=condition)

    token = provider.sign_in("anna")
    equal = [{"sub": "anna"}, {"aud": CLIENT}, {"department": "storage"}, {"app_id": CLIENT}]
    for claims in equal:
        condition = {key_of(provider.issuer, name): value for name, value in claims.items()}
        exchange(server, role(StringEquals=condition), token)
    exchange(server, role(**{"ForAnyValue:StringEquals": {key_of(provider.issuer, "groups"): "writers"}}), token)
    for claims in [{"sub": "bert"}, {"aud": OTHER_CLIENT}, {"invented": "x"}]:
        wrong = role(StringEquals={key_of(provider.issuer, name): value for name, value in claims.items()})
        message = refused("AccessDenied", exchange, server=server, role=wrong, token=token)
        assert message == "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    # A role that trusts users only, or another provider.
    refused("AccessDenied", exchange, server=server, role=principals.role(trust({"AWS": "*"})), token=token)
    other = web_role(principals, arn + "x")
    refused("AccessDenied", exchange, server=server, role=other, token=token)
    nothing = {"Arn": f"arn:aws:iam::{ROOT_ACCOUNT}:role/none-of-that-name"}
    refused("AccessDenied", exchange, server=server, role=nothing, token=token)


def test_tokens_that_are_not_trusted(server, principals, provider):
    arn = register(principals, provider.issuer)
    role = web_role(principals, arn)
    exchange(server, role, provider.mint())

    def no(code, token):
        return refused(code, exchange, server=server, role=role, token=token)

    now = int(time.time())
    assert "Token expired" in no("ExpiredTokenException", provider.mint(exp=now - 3600))
    assert no("InvalidIdentityToken", provider.mint(aud=OTHER_CLIENT)) == "Incorrect token audience"
    assert no("InvalidIdentityToken", provider.sign_in("anna", OTHER_CLIENT)) == "Incorrect token audience"
    assert "No OpenIDConnect provider found" in no("InvalidIdentityToken", provider.mint(iss="https://idp.example.com"))
    assert "not valid yet" in no("InvalidIdentityToken", provider.mint(nbf=now + 3600))
    for claim in ["sub", "aud", "exp", "iss"]:
        assert claim in no("InvalidIdentityToken", provider.mint(**{claim: None})), claim
    assert "verification key" in no("InvalidIdentityToken", provider.mint(header={"kid": "invented"}))
    # Whoever only knows the public key, or signs nothing, has no token.
    head, claims, signature = provider.mint().split(".")

    def encoded(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def decoded(part):
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    other_claims = encoded(decoded(claims) | {"sub": "root"})
    tampered = [
        f"{head}.{other_claims}.{signature}",
        f"{head}.{claims}.{'A' * len(signature)}",
        f"{head}.{claims}.",
        f"{encoded(decoded(head) | {'alg': 'none'})}.{claims}.",
        f"{encoded(decoded(head) | {'alg': 'HS256'})}.{claims}.{signature}",
        f"{encoded(decoded(head) | {'crit': ['exp']})}.{claims}.{signature}",
        "not-a-token",
        "a.b.c",
    ]
    for token in tampered:
        no("InvalidIdentityToken", token)


def test_keys_rotate(server, principals, provider):
    arn = register(principals, provider.issuer)
    role = web_role(principals, arn)
    old = provider.sign_in("anna")
    exchange(server, role, old)
    # The old key stays published for a while, then it goes.
    provider.rotate(keep=True)
    new = provider.sign_in("anna")
    accepted_in_time(server, role, new)
    exchange(server, role, old)
    provider.rotate(alg="ES256")
    newest = provider.sign_in("anna")
    accepted_in_time(server, role, newest)
    refused("InvalidIdentityToken", exchange, server=server, role=role, token=old)


def accepted_in_time(server, role, token):
    deadline = time.monotonic() + ROTATION_DEADLINE_SECONDS
    while True:
        try:
            return exchange(server, role, token)
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidIdentityToken", error
            assert time.monotonic() < deadline, "the new key was not looked for"
            time.sleep(0.2)


def test_tags_of_the_token_become_session_tags(server, principals, provider, s3, bucket):
    s3.put_object(Bucket=bucket, Key="archive/file", Body=b"content")
    arn = register(principals, provider.issuer)
    own = allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/Team}}/*")
    both = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession")
    condition = {"StringEquals": {"aws:RequestTag/Team": "archive"}}
    role = web_role(principals, arn, own, condition=condition, actions=both)
    token = provider.sign_in("anna-with-tags")
    session = principals.root.with_session(exchange(server, role, token)).client("s3")
    session.get_object(Bucket=bucket, Key="archive/file")
    refused("AccessDenied", exchange, server=server, role=role, token=provider.sign_in("anna"))
    untagged = web_role(principals, arn)
    refused("AccessDenied", exchange, server=server, role=untagged, token=token)


def test_a_provider_without_clients_leaves_it_to_the_trust_policy(server, principals, provider):
    arn = register(principals, provider.issuer, [])
    token = provider.sign_in("anna")
    silent = web_role(principals, arn)
    refused("InvalidIdentityToken", exchange, server=server, role=silent, token=token)
    says = web_role(principals, arn, condition={"StringEquals": {key_of(provider.issuer, "aud"): CLIENT}})
    exchange(server, says, token)


def test_a_provider_that_is_gone(server, principals, provider, tmp_path):
    with Provider(tmp_path / "provider.log") as short_lived:
        arn = register(principals, short_lived.issuer)
        token = short_lived.sign_in("anna")
    role = web_role(principals, arn)
    refused("IDPCommunicationError", exchange, server=server, role=role, token=token)


def test_other_machines_are_asked_over_https_only(server, principals, provider):
    issuer = "http://idp.example.com"
    try:
        arn = register(principals, issuer)
    except botocore.exceptions.ClientError as error:
        # Better still: it cannot even be registered.
        assert error.response["Error"]["Code"] in ("InvalidInput", "ValidationError")
        return
    role = web_role(principals, arn)
    refused("InvalidIdentityToken", exchange, server=server, role=role, token=provider.mint(iss=issuer))


def private_authority(folder):
    """The certificate of an authority, and a certificate that it has signed, with its key."""
    authority, authority_key = folder / "ca.crt", folder / "ca.key"
    certificate, key = folder / "tls.crt", folder / "tls.key"
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    extensions = ["subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"]
    leaf = " ".join(f"-addext {extension}" for extension in extensions)
    for command in [
        f"{new} -subj /CN=authority -keyout {authority_key} -out {authority}",
        f"{new} -subj /CN=provider {leaf} -CA {authority} -CAkey {authority_key} -keyout {key} -out {certificate}",
    ]:
        subprocess.run(command.split(), check=True, capture_output=True)
    return authority, certificate, key


def test_a_kubernetes_service_account(tmp_path):
    """Issuer behind a private certificate authority, and a token with the claims of a service account."""
    authority, certificate, key = private_authority(tmp_path)
    variables = {"CAIRN_IDENTITY_OIDC_CA_FILE": str(authority)}
    with (
        Provider(tmp_path / "provider.log", authority, certificate, key) as provider,
        ServerProcess(tmp_path / "data", tmp_path / "server.log", env=variables) as server,
    ):
        principals = Principals(server.endpoint, server.access_key_id, server.secret_access_key)
        principals.root.client("s3").create_bucket(Bucket="pods")
        arn = register(principals, provider.issuer, ["sts.amazonaws.com"])
        subject = "system:serviceaccount:backup:velero"
        role = web_role(
            principals, arn, allow("s3:*"), condition={"StringEquals": {key_of(provider.issuer, "sub"): subject}}
        )
        pod = {
            "kubernetes.io": {"namespace": "backup", "serviceaccount": {"name": "velero", "uid": "1"}},
            "nbf": int(time.time()),
        }
        token = provider.mint(sub=subject, aud=["sts.amazonaws.com"], **pod)
        session = principals.root.with_session(exchange(server, role, token))
        session.client("s3").put_object(Bucket="pods", Key="k", Body=b"content")
        # As SDKs in a pod do it: the token is in a file that the environment names.
        (tmp_path / "token").write_text(token)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ROLE_ARN": role["Arn"],
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        script = "import boto3; print(boto3.client('s3').get_object(Bucket='pods', Key='k')['Body'].read().decode())"
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == "content", done.stderr
        other = provider.mint(sub="system:serviceaccount:default:default", aud=["sts.amazonaws.com"], **pod)
        refused("AccessDenied", exchange, server=server, role=role, token=other)


def test_the_root_of_trust_is_configured(tmp_path):
    """Without the private authority the same provider is not trusted."""
    with (
        Provider(tmp_path / "provider.log", *private_authority(tmp_path)) as provider,
        ServerProcess(tmp_path / "data", tmp_path / "server.log") as server,
    ):
        principals = Principals(server.endpoint, server.access_key_id, server.secret_access_key)
        role = web_role(principals, register(principals, provider.issuer))
        refused("IDPCommunicationError", exchange, server=server, role=role, token=provider.mint())
