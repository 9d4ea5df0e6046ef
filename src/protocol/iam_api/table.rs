//! The actions: what each is authorised on, and what does it.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>

use std::pin::Pin;

use super::{Iam, absent, account, attachments, details, groups, keys, policies, providers, roles, simulate, users};
use crate::identity::records::EntityKind::{Group, Role, User};
use crate::protocol::query_api::Answer;

/// What an action is authorised on. The parameters in brackets name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Nothing in particular: `*`.
    Any,
    /// The user (UserName).
    User,
    /// The user (UserName), or the caller.
    OwnUser,
    /// A user that is to be (UserName, Path).
    NewUser,
    /// The user as it is and as it is to be (UserName, NewUserName, NewPath).
    RenamedUser,
    /// The user of a key (AccessKeyId).
    KeyUser,
    /// The group (GroupName).
    Group,
    /// A group that is to be (GroupName, Path).
    NewGroup,
    /// The group as it is and as it is to be (GroupName, NewGroupName, NewPath).
    RenamedGroup,
    /// The role (RoleName).
    Role,
    /// A role that is to be (RoleName, Path).
    NewRole,
    /// The policy (PolicyArn).
    Policy,
    /// A policy that is to be (PolicyName, Path).
    NewPolicy,
    /// The provider (OpenIDConnectProviderArn).
    Provider,
    /// A provider that is to be (Url).
    NewProvider,
    /// The user, group or role (PolicySourceArn).
    Source,
}

/// What an action does.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// An action of IAM.
pub(super) struct Action {
    /// `iam:` and its name: what policies and metrics call it.
    pub name: &'static str,
    pub on: On,
    pub run: for<'a> fn(&'a Iam<'a>) -> Running<'a>,
}

macro_rules! actions {
    ($($name:ident on $on:ident: $function:path $(, $argument:expr)?;)*) => {
        /// Every action that this server has, by name.
        const ACTIONS: &[Action] = &[$(Action {
            name: concat!("iam:", stringify!($name)),
            on: On::$on,
            run: |iam| Box::pin($function(iam $(, $argument)?)),
        }),*];
    };
}

actions! {
    AddClientIDToOpenIDConnectProvider on Provider: providers::add_client_id;
    AddUserToGroup on Group: groups::add_user;
    AttachGroupPolicy on Group: attachments::attach, Group;
    AttachRolePolicy on Role: attachments::attach, Role;
    AttachUserPolicy on User: attachments::attach, User;
    CreateAccessKey on OwnUser: keys::create;
    CreateAccountAlias on Any: account::create_alias;
    CreateGroup on NewGroup: groups::create;
    CreateOpenIDConnectProvider on NewProvider: providers::create;
    CreatePolicy on NewPolicy: policies::create;
    CreatePolicyVersion on Policy: policies::create_version;
    CreateRole on NewRole: roles::create;
    CreateUser on NewUser: users::create;
    DeleteAccessKey on OwnUser: keys::delete;
    DeleteAccountAlias on Any: account::delete_alias;
    DeleteGroup on Group: groups::delete;
    DeleteGroupPolicy on Group: attachments::delete_inline, Group;
    DeleteLoginProfile on User: absent::login_profile;
    DeleteOpenIDConnectProvider on Provider: providers::delete;
    DeletePolicy on Policy: policies::delete;
    DeletePolicyVersion on Policy: policies::delete_version;
    DeleteRole on Role: roles::delete;
    DeleteRolePermissionsBoundary on Role: attachments::delete_boundary, Role;
    DeleteRolePolicy on Role: attachments::delete_inline, Role;
    DeleteUser on OwnUser: users::delete;
    DeleteUserPermissionsBoundary on User: attachments::delete_boundary, User;
    DeleteUserPolicy on User: attachments::delete_inline, User;
    DetachGroupPolicy on Group: attachments::detach, Group;
    DetachRolePolicy on Role: attachments::detach, Role;
    DetachUserPolicy on User: attachments::detach, User;
    GetAccessKeyLastUsed on KeyUser: keys::last_used;
    GetAccountAuthorizationDetails on Any: details::get;
    GetAccountSummary on Any: account::summary;
    GetContextKeysForCustomPolicy on Any: simulate::context_keys_of_custom;
    GetContextKeysForPrincipalPolicy on Source: simulate::context_keys_of_principal;
    GetGroup on Group: groups::get;
    GetGroupPolicy on Group: attachments::get_inline, Group;
    GetLoginProfile on User: absent::login_profile;
    GetOpenIDConnectProvider on Provider: providers::get;
    GetPolicy on Policy: policies::get;
    GetPolicyVersion on Policy: policies::get_version;
    GetRole on Role: roles::get;
    GetRolePolicy on Role: attachments::get_inline, Role;
    GetUser on OwnUser: users::get;
    GetUserPolicy on User: attachments::get_inline, User;
    ListAccessKeys on OwnUser: keys::list;
    ListAccountAliases on Any: account::list_aliases;
    ListAttachedGroupPolicies on Group: attachments::list, Group;
    ListAttachedRolePolicies on Role: attachments::list, Role;
    ListAttachedUserPolicies on User: attachments::list, User;
    ListEntitiesForPolicy on Policy: policies::entities;
    ListGroupPolicies on Group: attachments::list_inline, Group;
    ListGroups on Any: groups::list;
    ListGroupsForUser on User: groups::of_user;
    ListInstanceProfiles on Any: absent::instance_profiles;
    ListInstanceProfilesForRole on Role: absent::instance_profiles_of_role;
    ListMFADevices on OwnUser: absent::of_user, "MFADevices";
    ListOpenIDConnectProviderTags on Provider: providers::list_tags;
    ListOpenIDConnectProviders on Any: providers::list;
    ListPolicies on Any: policies::list;
    ListPolicyTags on Policy: policies::list_tags;
    ListPolicyVersions on Policy: policies::list_versions;
    ListRolePolicies on Role: attachments::list_inline, Role;
    ListRoleTags on Role: roles::list_tags;
    ListRoles on Any: roles::list;
    ListSSHPublicKeys on OwnUser: absent::of_user, "SSHPublicKeys";
    ListServiceSpecificCredentials on OwnUser: absent::of_user, "ServiceSpecificCredentials";
    ListSigningCertificates on OwnUser: absent::of_user, "Certificates";
    ListUserPolicies on User: attachments::list_inline, User;
    ListUserTags on User: users::list_tags;
    ListUsers on Any: users::list;
    ListVirtualMFADevices on Any: absent::virtual_mfa_devices;
    PutGroupPolicy on Group: attachments::put_inline, Group;
    PutRolePermissionsBoundary on Role: attachments::put_boundary, Role;
    PutRolePolicy on Role: attachments::put_inline, Role;
    PutUserPermissionsBoundary on User: attachments::put_boundary, User;
    PutUserPolicy on User: attachments::put_inline, User;
    RemoveClientIDFromOpenIDConnectProvider on Provider: providers::remove_client_id;
    RemoveUserFromGroup on Group: groups::remove_user;
    SetDefaultPolicyVersion on Policy: policies::set_default_version;
    SimulateCustomPolicy on Any: simulate::custom;
    SimulatePrincipalPolicy on Source: simulate::principal;
    TagOpenIDConnectProvider on Provider: providers::tag;
    TagPolicy on Policy: policies::tag;
    TagRole on Role: roles::tag;
    TagUser on User: users::tag;
    UntagOpenIDConnectProvider on Provider: providers::untag;
    UntagPolicy on Policy: policies::untag;
    UntagRole on Role: roles::untag;
    UntagUser on User: users::untag;
    UpdateAccessKey on OwnUser: keys::update;
    UpdateAssumeRolePolicy on Role: roles::update_trust;
    UpdateGroup on RenamedGroup: groups::update;
    UpdateOpenIDConnectProviderThumbprint on Provider: providers::update_thumbprints;
    UpdateRole on Role: roles::update;
    UpdateRoleDescription on Role: roles::update_description;
    UpdateUser on RenamedUser: users::update;
}

/// Actions of IAM that this server does not have, by name.
const NOT_IMPLEMENTED: &[&str] = &[
    "AcceptDelegationRequest",
    "AcquireRole",
    "AddRoleToInstanceProfile",
    "AssociateDelegationRequest",
    "ChangePassword",
    "CreateDelegationRequest",
    "CreateInstanceProfile",
    "CreateLoginProfile",
    "CreateSAMLProvider",
    "CreateServiceLinkedRole",
    "CreateServiceSpecificCredential",
    "CreateVirtualMFADevice",
    "DeactivateMFADevice",
    "DeleteAccountPasswordPolicy",
    "DeleteInstanceProfile",
    "DeleteSAMLProvider",
    "DeleteSSHPublicKey",
    "DeleteServerCertificate",
    "DeleteServiceLinkedRole",
    "DeleteServiceSpecificCredential",
    "DeleteSigningCertificate",
    "DeleteVirtualMFADevice",
    "DisableOrganizationsRootCredentialsManagement",
    "DisableOrganizationsRootSessions",
    "DisableOutboundWebIdentityFederation",
    "EnableMFADevice",
    "EnableOrganizationsRootCredentialsManagement",
    "EnableOrganizationsRootSessions",
    "EnableOutboundWebIdentityFederation",
    "GenerateCredentialReport",
    "GenerateOrganizationsAccessReport",
    "GenerateServiceLastAccessedDetails",
    "GetAccountPasswordPolicy",
    "GetAccountProperties",
    "GetCredentialReport",
    "GetDelegationRequest",
    "GetHumanReadableSummary",
    "GetInstanceProfile",
    "GetMFADevice",
    "GetOrganizationsAccessReport",
    "GetOutboundWebIdentityFederationInfo",
    "GetRoleTemplateVersion",
    "GetSAMLProvider",
    "GetSSHPublicKey",
    "GetServerCertificate",
    "GetServiceLastAccessedDetails",
    "GetServiceLastAccessedDetailsWithEntities",
    "GetServiceLinkedRoleDeletionStatus",
    "ListDelegationRequests",
    "ListInstanceProfileTags",
    "ListMFADeviceTags",
    "ListOrganizationsFeatures",
    "ListPoliciesGrantingServiceAccess",
    "ListSAMLProviderTags",
    "ListSAMLProviders",
    "ListServerCertificateTags",
    "ListServerCertificates",
    "PutAccountProperties",
    "RejectDelegationRequest",
    "RemoveRoleFromInstanceProfile",
    "ResetServiceSpecificCredential",
    "ResyncMFADevice",
    "SendDelegationToken",
    "SetSecurityTokenServicePreferences",
    "TagInstanceProfile",
    "TagMFADevice",
    "TagSAMLProvider",
    "TagServerCertificate",
    "UntagInstanceProfile",
    "UntagMFADevice",
    "UntagSAMLProvider",
    "UntagServerCertificate",
    "UpdateAccountPasswordPolicy",
    "UpdateDelegationRequest",
    "UpdateLoginProfile",
    "UpdateSAMLProvider",
    "UpdateSSHPublicKey",
    "UpdateServerCertificate",
    "UpdateServiceSpecificCredential",
    "UpdateSigningCertificate",
    "UploadSSHPublicKey",
    "UploadServerCertificate",
    "UploadSigningCertificate",
];

/// The names of all actions that there are.
pub(in crate::protocol) fn names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(short)
}

/// The action of this name.
pub(super) fn action(name: &str) -> Option<&'static Action> {
    let at = ACTIONS.binary_search_by(|action| short(action).cmp(name)).ok()?;
    ACTIONS.get(at)
}

/// Whether IAM has an action of this name that this server does not have.
pub(super) fn is_known(name: &str) -> bool {
    NOT_IMPLEMENTED.binary_search(&name).is_ok()
}

fn short(action: &Action) -> &'static str {
    action.name.strip_prefix("iam:").unwrap_or(action.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_by_its_name() {
        assert!(ACTIONS.is_sorted_by(|a, b| short(a) < short(b)), "ordered, and none twice");
        assert!(NOT_IMPLEMENTED.is_sorted_by(|a, b| a < b), "ordered, and none twice");
        for name in ACTIONS.iter().map(short) {
            assert!(action(name).is_some() && !is_known(name), "{name}");
        }
        assert!(is_known("CreateSAMLProvider") && !is_known("MakeCoffee") && action("MakeCoffee").is_none());
    }
}
