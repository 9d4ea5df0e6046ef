//! Whether a role may be assumed: its trust policy must allow who asks, and so must who asks its own policies, unless
//! both are of one account and the trust policy names who asks and not merely the account.

use super::caller::{Caller, ResourceSide};
use crate::rules::iam::{Context, Named, Policies, Policy, Principal, Request, Verdict, decide};

/// What is asked of a role.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assumption<'a> {
    pub action: &'a str,
    pub role_arn: &'a str,
    /// The role's account.
    pub account: &'a str,
}

/// Whether the caller may.
pub(super) fn verdict(caller: &Caller, trust: &Policy, asked: Assumption<'_>, context: &Context) -> Verdict {
    let request = Request { principal: &caller.principal, action: asked.action, resource: asked.role_arn, context };
    let trust = Named { name: asked.role_arn, policy: trust };
    caller.decide(&request, &ResourceSide { account: asked.account, policy: Some(trust), granted: false })
}

/// Whether the holder of a provider's token may. Such a principal has no policies.
pub(super) fn allows_holder(holder: &Principal, trust: &Policy, asked: Assumption<'_>, context: &Context) -> bool {
    let request = Request { principal: holder, action: asked.action, resource: asked.role_arn, context };
    let policies = Policies {
        identity: &[],
        boundary: None,
        session: None,
        resource: Some(Named { name: asked.role_arn, policy: trust }),
        resource_account: asked.account,
        granted_by_owner: false,
    };
    decide(&request, &policies).is_allowed()
}
