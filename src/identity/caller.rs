//! Who asks, and with which policies: what a verified access key stands for.

use std::sync::{Arc, OnceLock};

use crate::accounts::Account;
use crate::rules::iam::{self, Head, Named, Policies, Policy, Principal, Request, Scope, Verdict};

/// The canonical id by which AWS names anonymous requesters.
const ANONYMOUS_CANONICAL_ID: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// A policy and the name that explanations show: its ARN, or `inline NAME`.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// The policy's ARN, or `inline NAME`.
    pub name: String,
    /// The parsed policy.
    pub policy: Arc<Policy>,
    /// Which resources it can speak about: kept here, so that most of a caller's policies are not even looked at.
    scope: Scope,
}

impl NamedPolicy {
    /// A policy under the name that explanations show.
    #[must_use]
    pub fn new(name: String, policy: Arc<Policy>) -> Self {
        Self { name, scope: policy.scope(), policy }
    }

    /// As the evaluator takes it.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        Named { name: &self.name, policy: &self.policy }
    }
}

/// All policies that speak of a caller by its identity.
#[derive(Clone, Debug, Default)]
pub struct CallerPolicies {
    /// Its own, attached or inline, and those of its groups.
    pub identity: Vec<NamedPolicy>,
    /// Its permission boundary.
    pub boundary: Option<NamedPolicy>,
    /// What a session was restricted to; `None` where it was not.
    pub session: Option<Vec<NamedPolicy>>,
}

impl CallerPolicies {
    /// Every policy, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &NamedPolicy> {
        self.identity.iter().chain(&self.boundary).chain(self.session.iter().flatten())
    }

    /// Those of [`Self::all`] that can speak about this resource.
    pub fn about(&self, resource: &str) -> impl Iterator<Item = &NamedPolicy> {
        let head = Head::of(resource);
        self.all().filter(move |named| named.scope.may_have(head))
    }
}

/// What a resource brings into a decision.
#[derive(Debug, Clone, Copy)]
pub struct ResourceSide<'a> {
    /// The 12-digit id of the account that owns it.
    pub account: &'a str,
    /// Its policy.
    pub policy: Option<Named<'a>>,
    /// Whether its owner grants the request by other means, such as an access control list.
    pub granted: bool,
}

/// Who asks.
#[derive(Debug)]
pub struct Caller {
    /// The account that the caller belongs to.
    pub account: Arc<Account>,
    /// As policies name it.
    pub principal: Principal,
    /// The key that signed the request; `None` for an anonymous one.
    pub access_key_id: Option<String>,
    /// What its identity allows.
    pub policies: Arc<CallerPolicies>,
    /// Condition keys that are known of the caller, lower case: `aws:username`, `aws:userid`, `aws:principaltag/…` …
    /// A key that occurs more than once has several values.
    pub facts: Vec<(String, String)>,
}

impl Caller {
    /// Nobody in particular: a request without a signature.
    #[must_use]
    pub fn anonymous() -> Arc<Self> {
        static ANONYMOUS: OnceLock<Arc<Caller>> = OnceLock::new();
        let anonymous = || {
            let account = Account {
                id: "anonymous".to_owned(),
                canonical_id: ANONYMOUS_CANONICAL_ID.to_owned(),
                display_name: "anonymous".to_owned(),
                email: String::new(),
            };
            Arc::new(Self {
                account: Arc::new(account),
                principal: Principal::Anonymous,
                access_key_id: None,
                policies: Arc::default(),
                facts: vec![("aws:principaltype".to_owned(), "Anonymous".to_owned())],
            })
        };
        Arc::clone(ANONYMOUS.get_or_init(anonymous))
    }

    /// The root of an account, as its configured key stands for it.
    #[must_use]
    pub fn account_root(account: Arc<Account>, access_key_id: Option<String>) -> Self {
        let facts = [
            ("aws:principaltype", "Account".to_owned()),
            ("aws:principalarn", format!("arn:aws:iam::{}:root", account.id)),
            ("aws:principalaccount", account.id.clone()),
            ("aws:userid", account.id.clone()),
        ];
        Self {
            principal: Principal::AccountRoot { account: account.id.clone() },
            account,
            access_key_id,
            policies: Arc::default(),
            facts: facts.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        }
    }

    /// What all policies together say of a request of this caller: its own, and the resource's.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>, resource: &ResourceSide<'_>) -> Verdict {
        let CallerPolicies { identity, boundary, session } = &*self.policies;
        let head = Head::of(request.resource);
        // Others allow and deny nothing here. A boundary limits also by what it does not say.
        let identity = named_about(identity, head);
        let session = session.as_ref().map(|session| named_about(session, head));
        let policies = Policies {
            identity: &identity,
            boundary: boundary.as_ref().map(NamedPolicy::named),
            session: session.as_deref(),
            resource: resource.policy,
            resource_account: resource.account,
            granted_by_owner: resource.granted,
        };
        iam::decide(request, &policies)
    }

    /// Whether the request has no signature.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.principal, Principal::Anonymous)
    }

    /// Whether this is the root of the account with this 12-digit id. The server's own root is that of every account.
    #[must_use]
    pub fn is_root_of(&self, account_id: &str) -> bool {
        matches!(self.principal, Principal::AccountRoot { .. })
            && (self.account.id == account_id || self.account.is_root())
    }

    /// What is known under a condition key (lower case), where there is one value.
    #[must_use]
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// Those that can speak about resources with this head.
fn named_about(policies: &[NamedPolicy], head: Head) -> Vec<Named<'_>> {
    policies.iter().filter(|named| named.scope.may_have(head)).map(NamedPolicy::named).collect()
}
