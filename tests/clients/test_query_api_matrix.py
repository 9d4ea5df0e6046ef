"""Who may do what in IAM and STS: every action, asked by everybody there is.

An action that is missing from the rows fails the test, and so does a row whose request is not counted as its action.
"""

import pathlib
import re
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError
from principals import Who, allow, deny, document, trust, unique
from query_api_rows import ARN, GROUP, IAM, POLICY, PROVIDER, ROLE, STS, TRUST, USER
from tenants import OWNER

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
ROWS = {("iam", action): row for action, row in IAM.items()} | {("sts", action): row for action, row in STS.items()}


def actions(service):
    """The server's own list: the README's, which the build compares with the code."""
    row = re.search(rf"^\| {service} \|([^|]*)\|$", README.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row[1]))


def test_no_action_is_missing():
    assert actions("IAM") == set(IAM)
    assert actions("STS") == set(STS)


def pairs(service, action, parameters):
    """The form of a request, lists written as the query APIs have them."""
    form = [("Action", action), ("Version", VERSIONS[service])]
    for name, value in parameters.items():
        if not isinstance(value, list):
            form.append((name, value))
            continue
        for number, member in enumerate(value, 1):
            fields = member.items() if isinstance(member, dict) else [(None, member)]
            form += [(f"{name}.member.{number}" + (f".{field}" if field else ""), text) for field, text in fields]
    return form


# What shows whether something changed, by the kind of thing.
READS = {
    "{user}": [
        ("get_user", USER),
        ("list_access_keys", USER),
        ("list_user_policies", USER),
        ("list_attached_user_policies", USER),
        ("list_groups_for_user", USER),
    ],
    "{group}": [("get_group", GROUP), ("list_group_policies", GROUP), ("list_attached_group_policies", GROUP)],
    "{role}": [("get_role", ROLE), ("list_role_policies", ROLE), ("list_attached_role_policies", ROLE)],
    "{policy}": [("get_policy", ARN), ("list_policy_versions", ARN)],
    "{provider}": [("get_open_id_connect_provider", PROVIDER)],
    "{new}": [
        ("get_user", {"UserName": "{new}"}),
        ("get_group", {"GroupName": "{new}"}),
        ("get_role", {"RoleName": "{new}"}),
        ("get_policy", {"PolicyArn": f"arn:aws:iam::{OWNER}:policy/{{new}}"}),
    ],
}


class World:
    """What a row's request is about, fresh; whatever is left of it does not disturb others."""

    def __init__(self, tenants, row, principal):
        iam = tenants.principals.iam
        text = POLICY.format()
        self.names = {name: unique(name) for name in ("user", "group", "role", "policy", "new")}
        names = self.names
        names["user_arn"] = iam.create_user(UserName=names["user"])["User"]["Arn"]
        self.used = used = f"{row} {{user}}"
        if "{key}" in used:
            names["key"] = iam.create_access_key(UserName=names["user"])["AccessKey"]["AccessKeyId"]
        if "{group}" in used:
            iam.create_group(GroupName=names["group"])
        if "{role}" in used:
            iam.create_role(RoleName=names["role"], AssumeRolePolicyDocument=TRUST.format())
        if "{policy}" in used:
            names["policy"] = iam.create_policy(PolicyName=names["policy"], PolicyDocument=text)["Policy"]["Arn"]
        if "{provider}" in used:
            url = f"https://{names['user']}.example.com"
            provider = iam.create_open_id_connect_provider(Url=url, ClientIDList=["client"])
            names["provider"] = provider["OpenIDConnectProviderArn"]
        if "{trusting}" in used:
            # Its account is trusted, so whoever asks needs a policy.
            names["trusting"] = tenants.principals.role(trust({"AWS": OWNER}))["Arn"]
        if "{message}" in used:
            names["message"] = encoded_message(principal)
        self.iam = iam
        for call, parameters in row.before:
            getattr(iam, call)(**self.filled(parameters))

    def filled(self, value):
        if isinstance(value, dict):
            return {name: self.filled(member) for name, member in value.items()}
        return [self.filled(member) for member in value] if isinstance(value, list) else value.format(**self.names)

    def state(self):
        """Everything of the world that an action could have changed."""
        made = [kind for kind in READS if kind in self.used]
        found = [self.read(call, parameters) for kind in made for call, parameters in READS[kind]]
        return [self.iam.list_account_aliases()["AccountAliases"], *found]

    def read(self, call, parameters):
        try:
            answer = getattr(self.iam, call)(**self.filled(parameters))
        except ClientError as error:
            return error.response["Error"]["Code"]
        del answer["ResponseMetadata"]
        return answer

    def end(self):
        """Only aliases are in the way of other rows: an account has one."""
        for alias in self.iam.list_account_aliases()["AccountAliases"]:
            self.iam.delete_account_alias(AccountAlias=alias)


def encoded_message(who):
    """What a denial of `who` says about itself."""
    try:
        who.client("iam").delete_group(GroupName="a-group-that-nobody-has")
    except ClientError as error:
        return str(error).rpartition("failure message: ")[2].strip()
    raise AssertionError("this must be denied")


@pytest.fixture(scope="module")
def callers(tenants):
    """One of each kind. What `policied` may do each row says."""
    principals = tenants.principals
    policied, nobody = principals.user(), principals.user()
    role = principals.role(trust({"AWS": OWNER}), allow("iam:*", "sts:*"))
    assumer = principals.user(allow("sts:AssumeRole"))
    session = assumer.with_session(
        assumer.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="ended")
    )
    # A session ends with its role, at once: the clock cannot be waited for.
    principals.iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="test")
    principals.iam.delete_role(RoleName=role["RoleName"])
    return {
        "policied": policied,
        "nobody": nobody,
        "ended": session,
        "unknown": Who(tenants.endpoint, "CAIRNTESTUNKNOWN001", "no-such-secret-00000"),
        "forger": Who(tenants.endpoint, tenants.owner.access_key, "not-the-secret-of-it"),
    }


def counted(tenants, operation):
    """How often the server has counted the action."""
    with urllib.request.urlopen(f"{tenants.process.ops_endpoint}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    wanted = re.compile(rf'cairn_http_requests_total\{{.*operation="{operation}".*\}} (\d+)')
    return sum(int(match[1]) for match in map(wanted.match, lines) if match)


def refused(answer, *codes):
    assert answer.status in (400, 403) and answer.code in codes, answer


class Ask:
    """A row's request, in anyone's name, in either form of signature."""

    def __init__(self, tenants, service, action, row):
        self.tenants, self.service, self.action, self.row = tenants, service, action, row

    def form(self, world):
        return pairs(self.service, self.action, world.filled(self.row.parameters))

    def signed(self, who, world):
        return self.tenants.query(who, self.service, self.form(world))

    def presigned(self, who, world, **options):
        return self.tenants.presigned_query(who, self.service, self.form(world), **options)

    def anonymous(self, world):
        return self.tenants.query(None, self.service, self.form(world))

    def done(self, answer):
        """Whether the request came through, and was answered as the row says."""
        if self.row.outcome == "Success":
            assert answer.status == 200, answer
        else:
            assert answer.code == self.row.outcome, answer


@pytest.mark.parametrize("service, action", sorted(ROWS), ids=lambda word: word)
def test_matrix(tenants, callers, service, action):
    row = ROWS[service, action]
    ask, name = Ask(tenants, service, action, row), f"{service}:{action}"
    world = World(tenants, row, callers["nobody"])
    before, count = world.state(), counted(tenants, name if service == "iam" else action)
    signs = ("signed", "presigned")

    def grant(*statements):
        tenants.principals.iam.put_user_policy(
            UserName=callers["policied"].name, PolicyName="row", PolicyDocument=document(*statements)
        )

    if row.signed:
        refused(ask.anonymous(world), "MissingAuthenticationToken")
    else:
        ask.done(ask.anonymous(world))
    for sign in signs:
        send = getattr(ask, sign)
        refused(send(callers["unknown"], world), "InvalidClientTokenId")
        refused(send(callers["forger"], world), "SignatureDoesNotMatch")
        # The keys of a session go with its role.
        refused(send(callers["ended"], world), "InvalidClientTokenId", "ExpiredToken")
        if row.needs:
            refused(send(callers["nobody"], world), "AccessDenied")
        if row.deniable:
            grant(allow("*"), deny(name))
            refused(send(callers["policied"], world), "AccessDenied")
    long_ago = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 3_600))
    grant(allow("*"))
    refused(ask.presigned(callers["policied"], world, date=long_ago), "SignatureDoesNotMatch")
    # The root of another account acts in its own: it neither sees this one's nor changes it.
    answer = ask.signed(tenants.other, world)
    if row.signed and service == "iam":
        assert OWNER not in answer.text or answer.status in (400, 403, 404), answer
    assert world.state() == before

    # The documented action is enough, in either form of signature.
    grant(allow(name) if row.needs else deny("s3:*"))
    for sign in signs:
        world.end()
        world = World(tenants, row, callers["nobody"])
        ask.done(getattr(ask, sign)(callers["policied"], world))
    world.end()
    assert counted(tenants, name if service == "iam" else action) > count, f"the row's request is not {name}"
    tenants.principals.iam.delete_user_policy(UserName=callers["policied"].name, PolicyName="row")
    if action == "CreateAccountAlias":
        tenants.other.client("iam").delete_account_alias(AccountAlias=answer_alias(tenants))


def answer_alias(tenants):
    return tenants.other.client("iam").list_account_aliases()["AccountAliases"][0]
