//! What is asked, by whom, and which policies speak about it.

use std::fmt;

use super::context::Context;
use super::policy::Policy;

/// Who asks, as policies see it.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Nobody who signed.
    Anonymous,
    /// An account's root user.
    AccountRoot { account: String },
    /// An IAM user, by its own keys or those of `GetSessionToken`.
    User { account: String, arn: String, unique_id: String },
    /// A session of a role. `unique_id` is the role's id (`AROA…`), without the session's name.
    AssumedRole { account: String, role_arn: String, session_arn: String, unique_id: String },
    /// A session made by `GetFederationToken`. `unique_id` is `account:name`.
    FederatedUser { account: String, arn: String, unique_id: String },
    /// A service of ours, such as `logging.s3.amazonaws.com`.
    Service(String),
    /// Who holds a token of an identity provider; `provider` is the provider's ARN.
    Federated { provider: String },
}

impl Principal {
    /// The account to which the principal belongs; `None` for those that belong to no account.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::AccountRoot { account }
            | Self::User { account, .. }
            | Self::AssumedRole { account, .. }
            | Self::FederatedUser { account, .. } => Some(account),
            Self::Anonymous | Self::Service(_) | Self::Federated { .. } => None,
        }
    }

    /// The principal's own ARN, as `GetCallerIdentity` shows it: of a role's session it is the session's.
    pub fn arn(&self) -> Option<String> {
        match self {
            Self::AccountRoot { account } => Some(format!("arn:aws:iam::{account}:root")),
            Self::User { arn, .. } | Self::FederatedUser { arn, .. } => Some(arn.clone()),
            Self::AssumedRole { session_arn, .. } => Some(session_arn.clone()),
            Self::Anonymous | Self::Service(_) | Self::Federated { .. } => None,
        }
    }
}

/// A question: may this principal do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub principal: &'a Principal,
    /// Such as `s3:GetObject`, in any case of letters.
    pub action: &'a str,
    /// An ARN, or `*` for actions that have no resource.
    pub resource: &'a str,
    pub context: &'a Context,
}

/// A policy and the name under which explanations show it, such as its ARN.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub name: &'a str,
    pub policy: &'a Policy,
}

/// The policies that speak about a request.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    /// Attached to the user or role, inline or managed, its groups' included.
    pub identity: &'a [Named<'a>],
    /// The user's or role's permissions boundary.
    pub boundary: Option<Named<'a>>,
    /// The policies passed when the session was made. `None`: none were; the session may do all that its role may.
    /// `Some(&[])`: the session has no permissions of its own (a federated user without policies).
    pub session: Option<&'a [Named<'a>]>,
    /// The bucket's policy, or a role's trust policy.
    pub resource: Option<Named<'a>>,
    /// The account that owns the resource.
    pub resource_account: &'a str,
    /// Whether the resource's owner grants this by another way than the policy: an ACL, or because who asks is the
    /// installation's operator. It counts as a statement that allows the principal's account: anonymous requests and
    /// root users need nothing more, users and roles their own policies' Allow.
    pub granted_by_owner: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed. `by` names the statement that decided: the policy's name, `#`, and the statement's Sid or, without
    /// one, its number from 1.
    Allowed { by: String },
    /// Denied by a statement, named as in `Allowed`. Nothing can allow it.
    Denied { by: String },
    /// No statement allows it.
    NotAllowed,
}

impl Verdict {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// A statement: in which policy, and its Sid or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By<'a> {
    pub policy: &'a str,
    pub statement: &'a str,
}

impl By<'_> {
    /// As it is displayed, for decisions, of which there are many: without the detour of formatting.
    pub(super) fn whole(self) -> String {
        [self.policy, "#", self.statement].concat()
    }
}

impl fmt::Display for By<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.policy, self.statement)
    }
}

/// What the policies of one kind say about a request: the first statements that allow and deny it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found<'a> {
    pub allowed: Option<By<'a>>,
    pub denied: Option<By<'a>>,
}

impl Found<'_> {
    /// Whether a statement allows the request.
    pub fn allows(self) -> bool {
        self.allowed.is_some()
    }
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    pub action: &'a str,
    pub verdict: Verdict,
    pub identity: Found<'a>,
    pub boundary: Option<Found<'a>>,
    pub session: Option<Found<'a>>,
    pub resource: Found<'a>,
}

impl<'a> Explanation<'a> {
    /// What each kind of policy says: identity-based policies, permissions boundary, session policies,
    /// resource-based policy.
    pub fn found(&self) -> [Option<Found<'a>>; 4] {
        [Some(self.identity), self.boundary, self.session, Some(self.resource)]
    }

    /// Why the request is not allowed, as AWS ends its message "User: … is not authorized to perform: … on resource:
    /// …"; `None` if it is allowed.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
    pub fn reason(&self) -> Option<String> {
        const DENIED: [&str; 4] = [
            "with an explicit deny in an identity-based policy",
            "with an explicit deny in a permissions boundary",
            "with an explicit deny in a session policy",
            "with an explicit deny in a resource-based policy",
        ];
        let denied =
            DENIED.iter().zip(self.found()).find(|(_, found)| found.is_some_and(|found| found.denied.is_some()));
        if self.verdict.is_allowed() {
            return None;
        }
        if let Some((reason, _)) = denied {
            return Some((*reason).to_owned());
        }
        let allows = |found: Option<Found<'_>>| found.is_none_or(Found::allows);
        let missing = if !allows(self.boundary) {
            "permissions boundary"
        } else if !allows(self.session) {
            "session policy"
        } else if self.identity.allows() {
            "resource-based policy"
        } else {
            "identity-based policy"
        };
        Some(format!("because no {missing} allows the {} action", self.action))
    }
}
