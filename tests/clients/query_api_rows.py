"""Every action of IAM and STS that the server has: a request for it, and what has to be there before.

<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html> and
<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html>. In braces stand
names of the row's own world: a `{user}`, a `{group}`, a `{role}`, a `{policy}` (its ARN), a `{provider}` (its ARN), a
`{key}` of the user's, and `{new}`, which nothing is called yet. `before` are calls of boto3's that the account's root
makes; an action is allowed by a policy that names it, unless the row says otherwise.
"""

from typing import NamedTuple

TRUST = (
    '{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{{"Service":"backup.amazonaws.com"}}}}}}'
)
POLICY = '{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}}}'
THUMBPRINT = "0123456789012345678901234567890123456789"

USER, GROUP, ROLE = {"UserName": "{user}"}, {"GroupName": "{group}"}, {"RoleName": "{role}"}
ARN = {"PolicyArn": "{policy}"}
PROVIDER = {"OpenIDConnectProviderArn": "{provider}"}
INLINE = {"PolicyName": "inline"}
TAG = {"Tags": [{"Key": "a", "Value": "b"}]}
KEY = {"AccessKeyId": "{key}"}


class Row(NamedTuple):
    parameters: dict = {}
    before: tuple = ()
    outcome: str = "Success"
    """The code of an error that the action truthfully answers."""
    needs: bool = True
    """Whether a policy has to allow it."""
    deniable: bool = True
    """Whether a policy can deny it."""
    signed: bool = True
    """Whether a signature is asked for."""


def with_inline(kind, name):
    return ((f"put_{kind}_policy", name | INLINE | {"PolicyDocument": POLICY}),)


def with_attached(kind, name):
    return ((f"attach_{kind}_policy", name | ARN),)


def with_boundary(kind, name):
    return ((f"put_{kind}_permissions_boundary", name | {"PermissionsBoundary": "{policy}"}),)


SECOND_VERSION = (("create_policy_version", ARN | {"PolicyDocument": POLICY}),)
MEMBER = (("add_user_to_group", USER | GROUP),)
WITHOUT_KEYS = (("delete_access_key", USER | KEY),)
ALIAS = (("create_account_alias", {"AccountAlias": "{new}"}),)
BOUNDARY = {"PermissionsBoundary": "{policy}"}
SIMULATED = {"ActionNames": ["s3:GetObject"]}

IAM = {
    "AddClientIDToOpenIDConnectProvider": Row(PROVIDER | {"ClientID": "another"}),
    "AddUserToGroup": Row(USER | GROUP),
    "AttachGroupPolicy": Row(GROUP | ARN),
    "AttachRolePolicy": Row(ROLE | ARN),
    "AttachUserPolicy": Row(USER | ARN),
    "CreateAccessKey": Row(USER),
    "CreateAccountAlias": Row({"AccountAlias": "{new}"}),
    "CreateGroup": Row({"GroupName": "{new}"}),
    "CreateOpenIDConnectProvider": Row({"Url": "https://{new}.example.com", "ThumbprintList": [THUMBPRINT]}),
    "CreatePolicy": Row({"PolicyName": "{new}", "PolicyDocument": POLICY}),
    "CreatePolicyVersion": Row(ARN | {"PolicyDocument": POLICY}),
    "CreateRole": Row({"RoleName": "{new}", "AssumeRolePolicyDocument": TRUST}),
    "CreateUser": Row({"UserName": "{new}"}),
    "DeleteAccessKey": Row(USER | KEY),
    "DeleteAccountAlias": Row({"AccountAlias": "{new}"}, ALIAS),
    "DeleteGroup": Row(GROUP),
    "DeleteGroupPolicy": Row(GROUP | INLINE, with_inline("group", GROUP)),
    "DeleteLoginProfile": Row(USER, outcome="NoSuchEntity"),
    "DeleteOpenIDConnectProvider": Row(PROVIDER),
    "DeletePolicy": Row(ARN),
    "DeletePolicyVersion": Row(ARN | {"VersionId": "v2"}, SECOND_VERSION),
    "DeleteRole": Row(ROLE),
    "DeleteRolePermissionsBoundary": Row(ROLE, with_boundary("role", ROLE)),
    "DeleteRolePolicy": Row(ROLE | INLINE, with_inline("role", ROLE)),
    "DeleteUser": Row(USER, WITHOUT_KEYS),
    "DeleteUserPermissionsBoundary": Row(USER, with_boundary("user", USER)),
    "DeleteUserPolicy": Row(USER | INLINE, with_inline("user", USER)),
    "DetachGroupPolicy": Row(GROUP | ARN, with_attached("group", GROUP)),
    "DetachRolePolicy": Row(ROLE | ARN, with_attached("role", ROLE)),
    "DetachUserPolicy": Row(USER | ARN, with_attached("user", USER)),
    "GetAccessKeyLastUsed": Row(KEY),
    "GetAccountAuthorizationDetails": Row(),
    "GetAccountSummary": Row(),
    "GetContextKeysForCustomPolicy": Row({"PolicyInputList": [POLICY]}),
    "GetContextKeysForPrincipalPolicy": Row({"PolicySourceArn": "{user_arn}"}),
    "GetGroup": Row(GROUP),
    "GetGroupPolicy": Row(GROUP | INLINE, with_inline("group", GROUP)),
    "GetLoginProfile": Row(USER, outcome="NoSuchEntity"),
    "GetOpenIDConnectProvider": Row(PROVIDER),
    "GetPolicy": Row(ARN),
    "GetPolicyVersion": Row(ARN | {"VersionId": "v1"}),
    "GetRole": Row(ROLE),
    "GetRolePolicy": Row(ROLE | INLINE, with_inline("role", ROLE)),
    "GetUser": Row(USER),
    "GetUserPolicy": Row(USER | INLINE, with_inline("user", USER)),
    "ListAccessKeys": Row(USER),
    "ListAccountAliases": Row(),
    "ListAttachedGroupPolicies": Row(GROUP),
    "ListAttachedRolePolicies": Row(ROLE),
    "ListAttachedUserPolicies": Row(USER),
    "ListEntitiesForPolicy": Row(ARN),
    "ListGroupPolicies": Row(GROUP),
    "ListGroups": Row(),
    "ListGroupsForUser": Row(USER),
    "ListInstanceProfiles": Row(),
    "ListInstanceProfilesForRole": Row(ROLE),
    "ListMFADevices": Row(USER),
    "ListOpenIDConnectProviderTags": Row(PROVIDER),
    "ListOpenIDConnectProviders": Row(),
    "ListPolicies": Row({"Scope": "Local"}),
    "ListPolicyTags": Row(ARN),
    "ListPolicyVersions": Row(ARN),
    "ListRolePolicies": Row(ROLE),
    "ListRoleTags": Row(ROLE),
    "ListRoles": Row(),
    "ListSSHPublicKeys": Row(USER),
    "ListServiceSpecificCredentials": Row(USER),
    "ListSigningCertificates": Row(USER),
    "ListUserPolicies": Row(USER),
    "ListUserTags": Row(USER),
    "ListUsers": Row(),
    "ListVirtualMFADevices": Row(),
    "PutGroupPolicy": Row(GROUP | INLINE | {"PolicyDocument": POLICY}),
    "PutRolePermissionsBoundary": Row(ROLE | BOUNDARY),
    "PutRolePolicy": Row(ROLE | INLINE | {"PolicyDocument": POLICY}),
    "PutUserPermissionsBoundary": Row(USER | BOUNDARY),
    "PutUserPolicy": Row(USER | INLINE | {"PolicyDocument": POLICY}),
    "RemoveClientIDFromOpenIDConnectProvider": Row(PROVIDER | {"ClientID": "client"}),
    "RemoveUserFromGroup": Row(USER | GROUP, MEMBER),
    "SetDefaultPolicyVersion": Row(ARN | {"VersionId": "v2"}, SECOND_VERSION),
    "SimulateCustomPolicy": Row(SIMULATED | {"PolicyInputList": [POLICY]}),
    "SimulatePrincipalPolicy": Row(SIMULATED | {"PolicySourceArn": "{user_arn}"}),
    "TagOpenIDConnectProvider": Row(PROVIDER | TAG),
    "TagPolicy": Row(ARN | TAG),
    "TagRole": Row(ROLE | TAG),
    "TagUser": Row(USER | TAG),
    "UntagOpenIDConnectProvider": Row(PROVIDER | {"TagKeys": ["a"]}),
    "UntagPolicy": Row(ARN | {"TagKeys": ["a"]}),
    "UntagRole": Row(ROLE | {"TagKeys": ["a"]}),
    "UntagUser": Row(USER | {"TagKeys": ["a"]}),
    "UpdateAccessKey": Row(USER | KEY | {"Status": "Inactive"}),
    "UpdateAssumeRolePolicy": Row(ROLE | {"PolicyDocument": TRUST}),
    "UpdateGroup": Row(GROUP | {"NewGroupName": "{new}"}),
    "UpdateOpenIDConnectProviderThumbprint": Row(PROVIDER | {"ThumbprintList": [THUMBPRINT]}),
    "UpdateRole": Row(ROLE | {"Description": "changed"}),
    "UpdateRoleDescription": Row(ROLE | {"Description": "changed"}),
    "UpdateUser": Row(USER | {"NewUserName": "{new}"}),
}

STS = {
    "AssumeRole": Row({"RoleArn": "{trusting}", "RoleSessionName": "session"}),
    # The token of a provider takes the place of a signature; `test_oidc.py` has good ones.
    "AssumeRoleWithWebIdentity": Row(
        {"RoleArn": "{trusting}", "RoleSessionName": "session", "WebIdentityToken": "a.b.c"},
        outcome="InvalidIdentityToken",
        needs=False,
        deniable=False,
        signed=False,
    ),
    "DecodeAuthorizationMessage": Row({"EncodedMessage": "{message}"}),
    "GetAccessKeyInfo": Row({"AccessKeyId": "{key}"}),
    "GetCallerIdentity": Row(needs=False, deniable=False),
    "GetFederationToken": Row({"Name": "somebody"}),
    "GetSessionToken": Row(needs=False),
}
