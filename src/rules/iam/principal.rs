//! The `Principal` and `NotPrincipal` elements.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>

use super::arn::Arn;
use super::context::Context;
use super::request::Principal;

/// The condition key under which the caller's canonical user id must stand in the context, so that policies may name
/// accounts by `CanonicalUser`. No client can set it.
pub const CANONICAL_ID: &str = "cairn:canonicalid";

/// Whom an entry of a `Principal` element names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalId {
    /// `*`: everyone, anonymous callers included.
    Everyone,
    /// An account by its id or its root user's ARN: the account may pass the permission on to its users and roles.
    Account(String),
    /// A user, a role, or a session, by its ARN.
    Arn(String),
    /// A user or a role by its unique id (`AIDA…`, `AROA…`).
    UniqueId(String),
    /// A service.
    Service(String),
    /// An identity provider.
    Federated(String),
    /// An account by its canonical user id.
    CanonicalUser(String),
}

/// How closely a resource's policy names who asks. It decides which other policies can limit what it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// By the account: its own policies must allow too.
    Account,
    /// By the role whose session it is: boundary and session policies limit.
    Role,
    /// Itself: nothing but an explicit deny limits.
    Direct,
}

/// A `Principal` or `NotPrincipal` element.
#[derive(Debug, Clone)]
pub(super) struct Principals {
    pub negated: bool,
    pub ids: Vec<PrincipalId>,
}

impl Principals {
    /// How closely the element names `principal`; `None` if it does not.
    ///
    /// `NotPrincipal` excepts whom it names itself or by its role. An account's ARN excepts that account's root user
    /// only, not all of its users: AWS documents that the account is to be listed beside the user.
    pub fn reach(&self, principal: &Principal, context: &Context) -> Option<Reach> {
        let reach = self.ids.iter().filter_map(|id| id.reach(principal, context)).max();
        if self.negated {
            return if reach >= Some(Reach::Role) { None } else { Some(Reach::Direct) };
        }
        reach
    }
}

impl PrincipalId {
    /// Reads an entry of `{"AWS": …}` and its kin; `None` for what names nobody. Wildcards stand for everyone or for
    /// nothing: parts of names cannot be wild.
    pub(super) fn parse(kind: &str, text: &str) -> Option<Self> {
        let own = text.to_owned();
        match kind {
            "AWS" if text == "*" => Some(Self::Everyone),
            _ if text.is_empty() || text.contains(['*', '?']) => None,
            "AWS" => Self::parse_aws(text),
            "Service" => text.contains('.').then_some(Self::Service(own)),
            "Federated" => Some(Self::Federated(own)),
            "CanonicalUser" => {
                text.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(Self::CanonicalUser(own))
            }
            _ => None,
        }
    }

    fn parse_aws(text: &str) -> Option<Self> {
        let Some(arn) = Arn::parse(text) else {
            let alphanumeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
            return match text.get(..4)? {
                "AIDA" | "AROA" if alphanumeric => Some(Self::UniqueId(text.to_owned())),
                _ => (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()))
                    .then(|| Self::Account(text.to_owned())),
            };
        };
        if arn.partition != "aws" || !arn.region.is_empty() || arn.account.is_empty() {
            return None;
        }
        let (kind, name) = arn.resource.split_once('/').unwrap_or((arn.resource, ""));
        match (arn.service, kind) {
            ("iam", "root") if name.is_empty() => Some(Self::Account(arn.account.to_owned())),
            ("iam", "user" | "role") | ("sts", "federated-user") if !name.is_empty() => {
                Some(Self::Arn(text.to_owned()))
            }
            ("sts", "assumed-role") if name.contains('/') => Some(Self::Arn(text.to_owned())),
            _ => None,
        }
    }

    fn reach(&self, principal: &Principal, context: &Context) -> Option<Reach> {
        let through_account =
            if matches!(principal, Principal::AccountRoot { .. }) { Reach::Direct } else { Reach::Account };
        match (self, principal) {
            (Self::Everyone, _) => Some(Reach::Direct),
            (Self::Account(named), _) => (principal.account() == Some(named)).then_some(through_account),
            (Self::CanonicalUser(named), _) => {
                let ids = context.get(CANONICAL_ID).unwrap_or_default();
                (principal.account().is_some() && ids.contains(named)).then_some(through_account)
            }
            (Self::Arn(named), Principal::User { arn, .. } | Principal::FederatedUser { arn, .. }) => {
                (named == arn).then_some(Reach::Direct)
            }
            (Self::Arn(named), Principal::AssumedRole { session_arn, .. }) if named == session_arn => {
                Some(Reach::Direct)
            }
            (Self::Arn(named), Principal::AssumedRole { role_arn, .. }) => (named == role_arn).then_some(Reach::Role),
            (Self::UniqueId(named), Principal::User { unique_id, .. }) => (named == unique_id).then_some(Reach::Direct),
            (Self::UniqueId(named), Principal::AssumedRole { unique_id, .. }) => {
                (named == unique_id).then_some(Reach::Role)
            }
            (Self::Service(named), Principal::Service(service)) => (named == service).then_some(Reach::Direct),
            (Self::Federated(named), Principal::Federated { provider }) => (named == provider).then_some(Reach::Direct),
            _ => None,
        }
    }
}
