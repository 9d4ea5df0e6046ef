//! The decision.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html>

use std::collections::BTreeSet;

use super::index::Head;
use super::policy::Policy;
use super::principal::{CANONICAL_ID, Reach};
use super::request::{By, Explanation, Found, Named, Policies, Principal, Request, Verdict};
use super::statement::{Effect, Question};

/// Decides a request by all policies that speak about it. [`explain`] also says why.
pub fn decide(request: &Request<'_>, policies: &Policies<'_>) -> Verdict {
    explain(request, policies).verdict
}

/// Decides a request, and tells what each kind of policy says about it.
pub fn explain<'a>(request: &'a Request<'a>, policies: &Policies<'a>) -> Explanation<'a> {
    let question = Question::new(request);
    let weigh = |policies: &[Named<'a>]| weigh(policies, &question);
    let (identity, _) = weigh(policies.identity);
    let boundary = policies.boundary.map(|boundary| weigh(&[boundary]).0);
    let session = policies.session.map(|session| weigh(session).0);
    let (resource, reach) = policies.resource.map_or_else(Default::default, |resource| weigh(&[resource]));
    let mut explanation =
        Explanation { action: request.action, verdict: Verdict::NotAllowed, identity, boundary, session, resource };
    let denied = explanation.found().into_iter().flatten().find_map(|found| found.denied);
    explanation.verdict = match denied {
        Some(by) => Verdict::Denied { by: by.whole() },
        None => {
            allowed(request, policies, &explanation, reach).map_or(Verdict::NotAllowed, |by| Verdict::Allowed { by })
        }
    };
    explanation
}

/// The condition keys, in lower case, that decide about this action on this resource by these policies: what other
/// statements ask for need not be found out. [`CANONICAL_ID`] is among them where a statement names an account by that.
pub fn keys_that_decide<'a>(
    policies: impl Iterator<Item = &'a Policy>,
    action: &str,
    resource: &str,
) -> BTreeSet<&'a str> {
    let (action, head) = (action.to_ascii_lowercase(), Head::of(resource));
    let mut keys = BTreeSet::new();
    for policy in policies {
        for statement in policy.about(head).filter(|statement| statement.actions.contain(&action)) {
            keys.extend(statement.keys());
            if statement.names_canonical_users() {
                keys.insert(CANONICAL_ID);
            }
        }
    }
    keys
}

/// By what the request is allowed, where nothing denies it.
fn allowed(
    request: &Request<'_>,
    policies: &Policies<'_>,
    found: &Explanation<'_>,
    reach: Option<Reach>,
) -> Option<String> {
    let by_owner = policies.granted_by_owner.then_some(Reach::Account);
    let granted = reach.max(by_owner);
    let by_resource = || found.resource.allowed.map_or_else(|| "the resource's owner".to_owned(), By::whole);
    let Some(account) = request.principal.account() else {
        return granted.map(|_| by_resource());
    };
    let within_limits = [&found.boundary, &found.session].iter().all(|limit| limit.is_none_or(Found::allows));
    let same_account = account == policies.resource_account;
    let is_trust = policies.resource.is_some_and(|resource| resource.policy.is_trust);
    if (is_trust || !same_account) && granted.is_none() {
        return None;
    }
    if same_account && (granted == Some(Reach::Direct) || granted == Some(Reach::Role) && within_limits) {
        return Some(by_resource());
    }
    if !within_limits {
        return None;
    }
    let by_identity = match request.principal {
        Principal::AccountRoot { account } => format!("the root user of account {account}"),
        _ => found.identity.allowed?.whole(),
    };
    Some(if same_account { by_identity } else { format!("{by_identity} and {}", by_resource()) })
}

/// The first statements of `policies` that allow and that deny, and how closely the closest that allows names who
/// asks.
fn weigh<'a>(policies: &[Named<'a>], question: &Question<'_>) -> (Found<'a>, Option<Reach>) {
    let (mut found, mut closest) = (Found::default(), None);
    for named in policies {
        for statement in named.policy.about(question.head) {
            let Some(reach) = statement.reach(question) else { continue };
            let by = By { policy: named.name, statement: &statement.name };
            match statement.effect {
                Effect::Deny => found.denied = found.denied.or(Some(by)),
                Effect::Allow => {
                    found.allowed = found.allowed.or(Some(by));
                    closest = closest.max(Some(reach));
                }
            }
        }
    }
    (found, closest)
}
