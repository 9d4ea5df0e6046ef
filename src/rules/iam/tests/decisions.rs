//! How policies of several kinds, of one account and of two, are weighed.

use super::*;

const LOGIC: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html";
const DENY: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_AccessPolicyLanguage_Interplay.html";
const BOUNDARY: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic";
const SESSION: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session";
const RESOURCE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html";
const CROSS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html";
const TRUST: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_compare-resource-policies.html";
const ROOT: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user.html";
const ACL: &str = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html";
const ANONYMOUS: &str =
    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-auth-workflow-object-operation.html";

const OTHER: &str = "999999999999";

/// What a layer of policies says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// There is no such policy.
    None,
    /// There is one that says nothing of the request.
    Other,
    Allow,
    Deny,
    /// One statement allows, one denies.
    Both,
}

use Says::{Allow, Both, Deny, Other};

const NONE: Says = Says::None;

/// Whom the resource's policy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Everyone,
    Account,
    /// A session's role; anyone else's own ARN.
    Role,
    Own,
}

use Names::{Account, Everyone, Own, Role};

/// Who asks; the resource's account is 111122223333.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    RootUser,
    User,
    RoleSession,
    FederatedUser,
    ForeignRoot,
    ForeignUser,
    ForeignSession,
    Service,
}

use Who::{Anonymous, FederatedUser, ForeignRoot, ForeignSession, ForeignUser, RoleSession, RootUser, Service, User};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Denied,
    NotAllowed,
}

use Outcome::{Allowed, Denied, NotAllowed};

/// Page, who asks, what identity-based policies, boundary, session policies and resource's policy say, whom the last
/// names, and what follows.
type Case = (&'static str, Who, [Says; 4], Names, Outcome);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Nothing is allowed by itself; one Deny suffices.
    (DENY, User, [NONE, NONE, NONE, NONE], Own, NotAllowed),
    (DENY, User, [Other, NONE, NONE, Other], Own, NotAllowed),
    (DENY, User, [Both, NONE, NONE, NONE], Own, Denied),
    (DENY, User, [Deny, NONE, NONE, Allow], Own, Denied),
    (DENY, User, [Allow, Deny, NONE, Allow], Own, Denied),
    (DENY, User, [Allow, Both, NONE, Allow], Own, Denied),
    (DENY, RoleSession, [Allow, NONE, Deny, Allow], Own, Denied),
    (DENY, User, [Allow, NONE, NONE, Deny], Own, Denied),
    (DENY, User, [Allow, NONE, NONE, Deny], Everyone, Denied),
    (DENY, User, [Allow, NONE, NONE, Deny], Account, Denied),
    (DENY, RoleSession, [Allow, NONE, NONE, Deny], Role, Denied),
    (DENY, User, [Allow, NONE, NONE, Both], Own, Denied),
    (DENY, Anonymous, [NONE, NONE, NONE, Both], Everyone, Denied),
    // Identity-based policies or the resource's suffice within an account.
    (LOGIC, User, [Allow, NONE, NONE, NONE], Own, Allowed),
    (LOGIC, User, [Allow, NONE, NONE, Other], Own, Allowed),
    (LOGIC, User, [NONE, NONE, NONE, Allow], Own, Allowed),
    (LOGIC, User, [Other, NONE, NONE, Allow], Own, Allowed),
    (LOGIC, User, [Allow, NONE, NONE, Allow], Account, Allowed),
    (LOGIC, User, [Other, NONE, NONE, Allow], Everyone, Allowed),
    // To name the account only lets the account decide.
    (LOGIC, User, [Other, NONE, NONE, Allow], Account, NotAllowed),
    (LOGIC, RoleSession, [Other, NONE, NONE, Allow], Account, NotAllowed),
    (LOGIC, RoleSession, [Allow, NONE, NONE, NONE], Own, Allowed),
    (LOGIC, RoleSession, [Other, NONE, NONE, Allow], Role, Allowed),
    // Boundaries limit.
    (BOUNDARY, User, [Allow, Allow, NONE, NONE], Own, Allowed),
    (BOUNDARY, User, [Allow, Other, NONE, NONE], Own, NotAllowed),
    (BOUNDARY, User, [NONE, Allow, NONE, NONE], Own, NotAllowed),
    (BOUNDARY, User, [Other, Allow, NONE, Other], Own, NotAllowed),
    (BOUNDARY, User, [NONE, Other, NONE, Allow], Own, Allowed),
    (BOUNDARY, User, [Allow, Other, NONE, Allow], Account, NotAllowed),
    (BOUNDARY, User, [Allow, Allow, NONE, Allow], Account, Allowed),
    (BOUNDARY, RoleSession, [Allow, Other, NONE, NONE], Own, NotAllowed),
    (BOUNDARY, RoleSession, [Allow, Allow, NONE, NONE], Own, Allowed),
    (RESOURCE, RoleSession, [Other, Other, NONE, Allow], Role, NotAllowed),
    (RESOURCE, RoleSession, [Other, Allow, NONE, Allow], Role, Allowed),
    (RESOURCE, RoleSession, [Other, Other, NONE, Allow], Own, Allowed),
    (RESOURCE, RoleSession, [Other, Other, Other, Allow], Own, Allowed),
    (RESOURCE, RoleSession, [Other, Other, NONE, Allow], Everyone, Allowed),
    (RESOURCE, FederatedUser, [Other, Other, Other, Allow], Own, Allowed),
    (RESOURCE, FederatedUser, [Allow, NONE, Other, Allow], Account, NotAllowed),
    (RESOURCE, User, [Other, Other, NONE, Allow], Own, Allowed),
    // Session policies limit.
    (SESSION, RoleSession, [Allow, NONE, Allow, NONE], Own, Allowed),
    (SESSION, RoleSession, [Allow, NONE, Other, NONE], Own, NotAllowed),
    (SESSION, RoleSession, [Other, NONE, Allow, NONE], Own, NotAllowed),
    (SESSION, RoleSession, [Allow, NONE, Other, Allow], Role, NotAllowed),
    (SESSION, RoleSession, [Other, NONE, Allow, Allow], Role, Allowed),
    (SESSION, RoleSession, [Allow, NONE, Other, Allow], Own, Allowed),
    (SESSION, RoleSession, [Allow, Allow, Allow, NONE], Own, Allowed),
    (SESSION, RoleSession, [Allow, Other, Allow, NONE], Own, NotAllowed),
    (SESSION, RoleSession, [Allow, Allow, Other, NONE], Own, NotAllowed),
    (SESSION, FederatedUser, [Allow, NONE, Allow, NONE], Own, Allowed),
    (SESSION, FederatedUser, [Allow, NONE, Other, NONE], Own, NotAllowed),
    // Across accounts both sides must allow.
    (CROSS, ForeignUser, [Allow, NONE, NONE, NONE], Own, NotAllowed),
    (CROSS, ForeignUser, [Allow, NONE, NONE, Other], Own, NotAllowed),
    (CROSS, ForeignUser, [Other, NONE, NONE, Allow], Own, NotAllowed),
    (CROSS, ForeignUser, [Other, NONE, NONE, Allow], Everyone, NotAllowed),
    (CROSS, ForeignUser, [Allow, NONE, NONE, Allow], Own, Allowed),
    (CROSS, ForeignUser, [Allow, NONE, NONE, Allow], Account, Allowed),
    (CROSS, ForeignUser, [Allow, NONE, NONE, Allow], Everyone, Allowed),
    (CROSS, ForeignUser, [Allow, Other, NONE, Allow], Own, NotAllowed),
    (CROSS, ForeignUser, [Allow, Allow, NONE, Allow], Own, Allowed),
    (CROSS, ForeignUser, [Deny, NONE, NONE, Allow], Own, Denied),
    (CROSS, ForeignUser, [Allow, NONE, NONE, Deny], Account, Denied),
    (CROSS, ForeignSession, [Allow, NONE, NONE, Allow], Role, Allowed),
    (CROSS, ForeignSession, [Other, NONE, NONE, Allow], Role, NotAllowed),
    (CROSS, ForeignSession, [Allow, NONE, Other, Allow], Own, NotAllowed),
    (CROSS, ForeignSession, [Allow, NONE, Allow, Allow], Own, Allowed),
    (CROSS, ForeignRoot, [NONE, NONE, NONE, NONE], Own, NotAllowed),
    (CROSS, ForeignRoot, [NONE, NONE, NONE, Allow], Account, Allowed),
    (CROSS, ForeignRoot, [NONE, NONE, NONE, Allow], Everyone, Allowed),
    // The root user may do all in its own account that nothing denies.
    (ROOT, RootUser, [NONE, NONE, NONE, NONE], Own, Allowed),
    (ROOT, RootUser, [NONE, NONE, NONE, Other], Own, Allowed),
    (ROOT, RootUser, [NONE, NONE, NONE, Deny], Everyone, Denied),
    (ROOT, RootUser, [NONE, NONE, NONE, Deny], Account, Denied),
    // Who did not sign needs a policy that names everyone; a service one that names it.
    (ANONYMOUS, Anonymous, [NONE, NONE, NONE, NONE], Everyone, NotAllowed),
    (ANONYMOUS, Anonymous, [NONE, NONE, NONE, Allow], Everyone, Allowed),
    (ANONYMOUS, Anonymous, [NONE, NONE, NONE, Other], Everyone, NotAllowed),
    (ANONYMOUS, Anonymous, [NONE, NONE, NONE, Allow], Account, NotAllowed),
    (ANONYMOUS, Anonymous, [NONE, NONE, NONE, Deny], Everyone, Denied),
    (ANONYMOUS, Service, [NONE, NONE, NONE, Allow], Own, Allowed),
    (ANONYMOUS, Service, [NONE, NONE, NONE, Allow], Account, NotAllowed),
    (ANONYMOUS, Service, [NONE, NONE, NONE, Allow], Everyone, Allowed),
];

/// The same, but the resource is a role and its policy a trust policy.
#[rustfmt::skip]
const TRUSTED: &[Case] = &[
    (TRUST, User, [Allow, NONE, NONE, Other], Own, NotAllowed),
    (TRUST, User, [Allow, NONE, NONE, Allow], Account, Allowed),
    (TRUST, User, [Other, NONE, NONE, Allow], Account, NotAllowed),
    (TRUST, User, [Other, NONE, NONE, Allow], Own, Allowed),
    (TRUST, User, [Allow, NONE, NONE, Deny], Own, Denied),
    (TRUST, User, [Deny, NONE, NONE, Allow], Own, Denied),
    (TRUST, RootUser, [NONE, NONE, NONE, Other], Own, NotAllowed),
    (TRUST, RootUser, [NONE, NONE, NONE, Allow], Account, Allowed),
    (TRUST, ForeignUser, [Allow, NONE, NONE, Allow], Account, Allowed),
    (TRUST, ForeignUser, [Allow, NONE, NONE, Other], Account, NotAllowed),
    (TRUST, ForeignUser, [Other, NONE, NONE, Allow], Own, NotAllowed),
    (TRUST, Service, [NONE, NONE, NONE, Allow], Own, Allowed),
];

/// The same, but the owner grants access, say by an ACL.
#[rustfmt::skip]
const GRANTED: &[Case] = &[
    (ACL, Anonymous, [NONE, NONE, NONE, NONE], Own, Allowed),
    (ACL, Anonymous, [NONE, NONE, NONE, Deny], Everyone, Denied),
    (ACL, ForeignRoot, [NONE, NONE, NONE, NONE], Own, Allowed),
    (ACL, ForeignUser, [NONE, NONE, NONE, NONE], Own, NotAllowed),
    (ACL, ForeignUser, [Allow, NONE, NONE, NONE], Own, Allowed),
    (ACL, ForeignUser, [Allow, Other, NONE, NONE], Own, NotAllowed),
    (ACL, User, [NONE, NONE, NONE, NONE], Own, NotAllowed),
    (ACL, User, [Allow, NONE, NONE, NONE], Own, Allowed),
    (ACL, User, [Other, NONE, NONE, Allow], Own, Allowed),
    (ACL, ForeignRoot, [NONE, NONE, NONE, Deny], Everyone, Denied),
];

pub fn sources() -> Vec<&'static str> {
    [CASES, TRUSTED, GRANTED].concat().iter().map(|case| case.0).collect()
}

fn principal(who: Who) -> Principal {
    let account = if matches!(who, ForeignRoot | ForeignUser | ForeignSession) { OTHER } else { ACCOUNT }.to_owned();
    match who {
        Anonymous => Principal::Anonymous,
        RootUser | ForeignRoot => Principal::AccountRoot { account },
        User | ForeignUser => Principal::User {
            arn: format!("arn:aws:iam::{account}:user/bob"),
            unique_id: "AIDABOB".to_owned(),
            account,
        },
        RoleSession | ForeignSession => Principal::AssumedRole {
            role_arn: format!("arn:aws:iam::{account}:role/reader"),
            session_arn: format!("arn:aws:sts::{account}:assumed-role/reader/s1"),
            unique_id: "AROAREADER".to_owned(),
            account,
        },
        FederatedUser => Principal::FederatedUser {
            arn: format!("arn:aws:sts::{account}:federated-user/fed"),
            unique_id: format!("{account}:fed"),
            account,
        },
        Service => Principal::Service("logging.s3.amazonaws.com".to_owned()),
    }
}

fn named(names: Names, principal: &Principal) -> String {
    let arn = match (names, principal) {
        (Everyone, _) => return r#""*""#.to_owned(),
        (Role, Principal::AssumedRole { role_arn, .. }) => role_arn.clone(),
        (Own | Role, Principal::Service(service)) => return format!(r#"{{"Service":"{service}"}}"#),
        (Own | Role, _) => principal.arn().unwrap_or_else(|| format!("arn:aws:iam::{ACCOUNT}:root")),
        (Account, _) => format!("arn:aws:iam::{}:root", principal.account().unwrap_or(ACCOUNT)),
    };
    format!(r#"{{"AWS":"{arn}"}}"#)
}

fn document(says: Says, principal: Option<&str>, trust: bool) -> Option<String> {
    let principal = principal.map_or_else(String::new, |principal| format!(r#""Principal":{principal},"#));
    let resource = if trust { "" } else { r#","Resource":"*""# };
    let action = if trust { "sts:AssumeRole" } else { "s3:GetObject" };
    let one =
        |effect: &str, action: &str| format!(r#"{{"Effect":"{effect}",{principal}"Action":"{action}"{resource}}}"#);
    let statements = match says {
        Says::None => return None,
        Other if trust => one("Allow", "sts:TagSession"),
        Other => one("Allow", "s3:PutObject"),
        Allow => one("Allow", action),
        Deny => one("Deny", action),
        Both => format!("{},{}", one("Allow", action), one("Deny", action)),
    };
    Some(format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#))
}

fn check(cases: &[Case], trust: bool, granted_by_owner: bool) {
    for (_, who, [identity, boundary, session, resource], names, expected) in cases {
        let who_asks = principal(*who);
        let parse = |text: Option<String>, kind| text.map(|text| Policy::parse(&text, kind).unwrap());
        let resource_kind = if trust { PolicyKind::Trust } else { PolicyKind::Bucket { bucket: "b" } };
        let resource = parse(document(*resource, Some(&named(*names, &who_asks)), trust), resource_kind);
        let layer = |says: Says, kind| {
            let action = |text: String| if trust { text.replace("s3:GetObject", "sts:AssumeRole") } else { text };
            parse(document(says, None, false).map(action), kind)
        };
        let identity = layer(*identity, PolicyKind::Identity);
        let boundary = layer(*boundary, PolicyKind::Identity);
        let session = layer(*session, PolicyKind::Session);
        let name = |policy| Named { name: "p", policy };
        let identity: Vec<_> = identity.iter().map(name).collect();
        let session: Option<Vec<_>> = session.as_ref().map(|policy| vec![name(policy)]);
        let policies = Policies {
            identity: &identity,
            boundary: boundary.as_ref().map(name),
            session: session.as_deref(),
            resource: resource.as_ref().map(name),
            resource_account: ACCOUNT,
            granted_by_owner,
        };
        let (action, resource) = if trust {
            ("sts:AssumeRole", "arn:aws:iam::111122223333:role/target")
        } else {
            ("s3:GetObject", "arn:aws:s3:::b/k")
        };
        let request = Request { principal: &who_asks, action, resource, context: &Context::new() };
        let verdict = match decide(&request, &policies) {
            Verdict::Allowed { .. } => Allowed,
            Verdict::Denied { .. } => Denied,
            Verdict::NotAllowed => NotAllowed,
        };
        assert_eq!(verdict, *expected, "{who:?} {names:?} {policies:#?}");
    }
}

#[test]
fn policies_of_all_kinds() {
    check(CASES, false, false);
}

#[test]
fn trust_policies_must_allow() {
    check(TRUSTED, true, false);
}

#[test]
fn grants_of_the_owner() {
    check(GRANTED, false, true);
}

/// A federated user to whom no policy was passed has no permissions.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html>
#[test]
fn an_empty_session_may_do_nothing() {
    let all = Policy::parse(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#, PolicyKind::Identity);
    let identity = [Named { name: "all", policy: &all.unwrap() }];
    let policies = Policies {
        identity: &identity,
        boundary: None,
        session: Some(&[]),
        resource: None,
        resource_account: ACCOUNT,
        granted_by_owner: false,
    };
    let (who, context) = (principal(FederatedUser), Context::new());
    let request = Request { principal: &who, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
    assert_eq!(decide(&request, &policies), Verdict::NotAllowed);
    assert!(decide(&request, &Policies { session: None, ..policies }).is_allowed());
}
