//! Whom `Principal` and `NotPrincipal` name.

use super::*;

const PRINCIPAL: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html";
const ACCOUNTS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts";
const USERS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users";
const ROLES: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles";
const SESSIONS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-role-session";
const FEDERATED: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#sts-session-principals";
const SERVICES: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-services";
const EVERYONE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-anonymous";
const PROVIDERS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-federated-web-identity";
const CANONICAL: &str =
    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-bucket-user-policy-specifying-principal-intro.html";
const NOT: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Root,
    OtherRoot,
    Bob,
    Session,
    Fed,
    Logging,
    Oidc,
}

use Who::{Bob, Fed, Logging, Nobody, Oidc, OtherRoot, Root, Session};

impl Who {
    fn principal(self) -> Principal {
        let account = ACCOUNT.to_owned();
        match self {
            Nobody => Principal::Anonymous,
            Root => Principal::AccountRoot { account },
            OtherRoot => Principal::AccountRoot { account: "999999999999".to_owned() },
            Bob => bob(),
            Session => session(),
            Fed => Principal::FederatedUser {
                arn: format!("arn:aws:sts::{account}:federated-user/fed"),
                unique_id: format!("{account}:fed"),
                account,
            },
            Logging => Principal::Service("logging.s3.amazonaws.com".to_owned()),
            Oidc => Principal::Federated { provider: format!("arn:aws:iam::{account}:oidc-provider/idp.example.com") },
        }
    }
}

/// Page, the element, who asks, whether a Deny with that element denies them.
type Case = (&'static str, &'static str, Who, bool);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (EVERYONE, r#""Principal":"*""#, Nobody, true),
    (EVERYONE, r#""Principal":"*""#, Bob, true),
    (EVERYONE, r#""Principal":"*""#, Root, true),
    (EVERYONE, r#""Principal":"*""#, Session, true),
    (EVERYONE, r#""Principal":"*""#, Logging, true),
    (EVERYONE, r#""Principal":{"AWS":"*"}"#, Nobody, true),
    (EVERYONE, r#""Principal":{"AWS":["*"]}"#, OtherRoot, true),
    (PRINCIPAL, r#""Principal":{"AWS":["arn:aws:iam::111122223333:user/eve","arn:aws:iam::111122223333:user/bob"]}"#, Bob, true),
    (PRINCIPAL, r#""Principal":{"AWS":"999999999999","Service":"logging.s3.amazonaws.com"}"#, Logging, true),
    (PRINCIPAL, r#""Principal":{"AWS":"999999999999","Service":"logging.s3.amazonaws.com"}"#, OtherRoot, true),
    (PRINCIPAL, r#""Principal":{"AWS":"999999999999","Service":"logging.s3.amazonaws.com"}"#, Bob, false),
    (ACCOUNTS, r#""Principal":{"AWS":"111122223333"}"#, Root, true),
    (ACCOUNTS, r#""Principal":{"AWS":"111122223333"}"#, Bob, true),
    (ACCOUNTS, r#""Principal":{"AWS":"111122223333"}"#, OtherRoot, false),
    (ACCOUNTS, r#""Principal":{"AWS":"111122223333"}"#, Nobody, false),
    (ACCOUNTS, r#""Principal":{"AWS":"111122223333"}"#, Logging, false),
    (ACCOUNTS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, Root, true),
    (ACCOUNTS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, Bob, true),
    (ACCOUNTS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, Session, true),
    (ACCOUNTS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, Fed, true),
    (ACCOUNTS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, OtherRoot, false),
    (USERS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"}"#, Bob, true),
    (USERS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:user/Bob"}"#, Bob, false),
    (USERS, r#""Principal":{"AWS":"arn:aws:iam::999999999999:user/bob"}"#, Bob, false),
    (USERS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"}"#, Root, false),
    (USERS, r#""Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"}"#, Session, false),
    (USERS, r#""Principal":{"AWS":"AIDABOB"}"#, Bob, true),
    (USERS, r#""Principal":{"AWS":"AIDAEVE"}"#, Bob, false),
    (USERS, r#""Principal":{"AWS":"AIDABOB"}"#, Root, false),
    (ROLES, r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/reader"}"#, Session, true),
    (ROLES, r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/writer"}"#, Session, false),
    (ROLES, r#""Principal":{"AWS":"AROAREADER"}"#, Session, true),
    (ROLES, r#""Principal":{"AWS":"AROAWRITER"}"#, Session, false),
    (SESSIONS, r#""Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/reader/s1"}"#, Session, true),
    (SESSIONS, r#""Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/reader/s2"}"#, Session, false),
    (FEDERATED, r#""Principal":{"AWS":"arn:aws:sts::111122223333:federated-user/fed"}"#, Fed, true),
    (FEDERATED, r#""Principal":{"AWS":"arn:aws:sts::111122223333:federated-user/bob"}"#, Fed, false),
    (SERVICES, r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#, Logging, true),
    (SERVICES, r#""Principal":{"Service":["a.amazonaws.com","b.amazonaws.com"]}"#, Logging, false),
    (SERVICES, r#""Principal":{"Service":"logging.s3.amazonaws.com"}"#, Bob, false),
    (PROVIDERS, r#""Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/idp.example.com"}"#, Oidc, true),
    (PROVIDERS, r#""Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/x.example.com"}"#, Oidc, false),
    (PROVIDERS, r#""Principal":{"Federated":"accounts.google.com"}"#, Bob, false),
    (CANONICAL, r#""Principal":{"CanonicalUser":"79a59df9"}"#, Bob, true),
    (CANONICAL, r#""Principal":{"CanonicalUser":"79a59df9"}"#, Root, true),
    (CANONICAL, r#""Principal":{"CanonicalUser":"79a59df9"}"#, Nobody, false),
    (CANONICAL, r#""Principal":{"CanonicalUser":"00000000"}"#, Bob, false),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:root"]}"#, Bob, false),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/eve","arn:aws:iam::111122223333:root"]}"#, Bob, true),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:root"]}"#, Root, false),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:root"]}"#, OtherRoot, true),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:root"]}"#, Nobody, true),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:sts::111122223333:assumed-role/reader/s1","arn:aws:iam::111122223333:role/reader","arn:aws:iam::111122223333:root"]}"#, Session, false),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:role/reader","arn:aws:iam::111122223333:root"]}"#, Session, false),
    (NOT, r#""NotPrincipal":{"AWS":["arn:aws:iam::111122223333:role/writer","arn:aws:iam::111122223333:root"]}"#, Session, true),
    (NOT, r#""NotPrincipal":{"Service":"logging.s3.amazonaws.com"}"#, Logging, false),
    (NOT, r#""NotPrincipal":{"Service":"logging.s3.amazonaws.com"}"#, Bob, true),
    (NOT, r#""NotPrincipal":"*""#, Nobody, false),
];

pub fn sources() -> Vec<&'static str> {
    CASES.iter().map(|case| case.0).collect()
}

#[test]
fn principals() {
    let context = context("cairn:CanonicalId=79a59df9");
    for (_, element, who, expected) in CASES {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny",{element},"Action":"s3:*","Resource":"*"}}}}"#
        );
        let policy = Policy::parse(&document, PolicyKind::Bucket { bucket: "b" }).unwrap();
        let principal = who.principal();
        let policies = Policies {
            identity: &[],
            boundary: None,
            session: None,
            resource: Some(Named { name: "b", policy: &policy }),
            resource_account: ACCOUNT,
            granted_by_owner: true,
        };
        let request =
            Request { principal: &principal, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
        let denied = decide(&request, &policies) == Verdict::Denied { by: "b#1".to_owned() };
        assert_eq!(denied, *expected, "{element} {who:?}");
    }
}

#[test]
fn a_principal_knows_its_account_and_arn() {
    let known = |who: Who| (who.principal().account().map(str::to_owned), who.principal().arn());
    let ours = |arn: &str| (Some(ACCOUNT.to_owned()), Some(arn.to_owned()));
    assert_eq!(known(Root), ours("arn:aws:iam::111122223333:root"));
    assert_eq!(known(Bob), ours("arn:aws:iam::111122223333:user/bob"));
    assert_eq!(known(Session), ours("arn:aws:sts::111122223333:assumed-role/reader/s1"));
    assert_eq!(known(Fed), ours("arn:aws:sts::111122223333:federated-user/fed"));
    for who in [Nobody, Logging, Oidc] {
        assert_eq!(known(who), (None, None));
    }
}

#[test]
fn a_policy_tells_whom_it_names() {
    let document = r#"{"Statement":[
        {"Effect":"Deny","NotPrincipal":{"AWS":["111122223333","arn:aws:iam::1:role/r","AROAX1","*"]},"Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Principal":{"Service":"a.b","Federated":"f","CanonicalUser":"c"},"Action":"s3:*","Resource":"*"}]}"#;
    let policy = Policy::parse(document, PolicyKind::Bucket { bucket: "b" }).unwrap();
    let named: Vec<_> = policy.principals().cloned().collect();
    let expected = [
        PrincipalId::Account(ACCOUNT.to_owned()),
        PrincipalId::Arn("arn:aws:iam::1:role/r".to_owned()),
        PrincipalId::UniqueId("AROAX1".to_owned()),
        PrincipalId::Everyone,
        PrincipalId::Service("a.b".to_owned()),
        PrincipalId::Federated("f".to_owned()),
        PrincipalId::CanonicalUser("c".to_owned()),
    ];
    assert_eq!(named, expected);
}
