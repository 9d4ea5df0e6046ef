//! Which documents IAM takes as identity-based, session and trust policies, and its words for those that it refuses.

use super::*;

const GRAMMAR: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html";
const SID: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html";
const ACTION: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html";
const RESOURCE: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html";
const PRINCIPAL: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html";
const SESSION: &str = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html";
const TRUST: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html";
const NOT_PRINCIPAL: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html";

/// Page, document, how the message begins; empty if the document is taken.
type Case = (&'static str, &'static str, &'static str);

const SYNTAX: &str = "Syntax errors in policy. (";
const NOT_UNIQUE: &str = "Statement IDs (SID) in a single policy must be unique.";
const NOT_ALPHANUMERIC: &str = "Statement IDs (SID) must be alpha-numeric.";
const NO_VENDOR: &str = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
const PROHIBITED: &str = "Policy document should not specify a principal.";
const ONLY_STS: &str = "AssumeRole policy may only specify STS AssumeRole actions.";

#[rustfmt::skip]
const IDENTITY: &[Case] = &[
    (GRAMMAR, r"", SYNTAX),
    (GRAMMAR, r"[]", SYNTAX),
    (GRAMMAR, r"{", SYNTAX),
    (GRAMMAR, r#"{"Version":"2012-10-17"}"#, "Missing required field Statement"),
    (GRAMMAR, r#"{"Version":"2010-10-17","Statement":[]}"#, "The policy must contain a valid version string."),
    (GRAMMAR, r#"  {"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#, ""),
    (GRAMMAR, r#"{"Version":"2012-10-17","Id":"x","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#, ""),
    (GRAMMAR, r#"{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}"#, SYNTAX),
    (GRAMMAR, r#"{"Statement":{"Action":"*","Resource":"*"}}"#, "Missing required field Effect"),
    (GRAMMAR, r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "Policy statement must contain actions."),
    (GRAMMAR, r#"{"Statement":{"Effect":"Allow","Action":"*"}}"#, "Policy statement must contain resources."),
    (GRAMMAR, r#"{"Statement":{"Effect":"Allow","Action":"*","NotAction":"s3:*","Resource":"*"}}"#, SYNTAX),
    (GRAMMAR, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":"x"}}"#, SYNTAX),
    (SID, r#"{"Statement":[{"Sid":"98AB54CF","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"98AB54CF","Effect":"Allow","Action":"*","Resource":"*"}]}"#, NOT_UNIQUE),
    (SID, r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"b","Effect":"Allow","Action":"*","Resource":"*"}]}"#, ""),
    (SID, r#"{"Statement":[{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}]}"#, ""),
    (SID, r#"{"Statement":{"Sid":"with space","Effect":"Allow","Action":"*","Resource":"*"}}"#, NOT_ALPHANUMERIC),
    (ACTION, r#"{"Statement":{"Effect":"Allow","Action":"GetObject","Resource":"*"}}"#, NO_VENDOR),
    (ACTION, r#"{"Statement":{"Effect":"Allow","Action":":GetObject","Resource":"*"}}"#, NO_VENDOR),
    (ACTION, r#"{"Statement":{"Effect":"Allow","NotAction":["s3:*","x"],"Resource":"*"}}"#, NO_VENDOR),
    (ACTION, r#"{"Statement":{"Effect":"Allow","Action":"s*:GetObject","Resource":"*"}}"#, "Vendor s* is not valid"),
    (ACTION, r#"{"Statement":{"Effect":"Allow","Action":"s3:Get:Object","Resource":"*"}}"#, "Actions/Condition can contain only one colon."),
    (ACTION, r#"{"Statement":{"Effect":"Allow","Action":["s3:GetObject","execute-api:Invoke","unknown:Thing"],"Resource":"*"}}"#, ""),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}"#, "Resource bucket must be in ARN format or \"*\"."),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":["*","arn:aws:s3"]}}"#, "Resource arn:aws:s3 must be in ARN format or \"*\"."),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:x:s3:::b"}}"#, "Partition \"x\" is not valid for resource \"arn:x:s3:::b\"."),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3::b"}}"#, "Resource arn:aws:s3::b must be in ARN format or \"*\"."),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"urn:aws:s3:::b"}}"#, "Resource urn:aws:s3:::b must be in ARN format or \"*\"."),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":["arn:aws:s3:::b","arn:aws-cn:s3:::b","arn:*:s3:::b","arn:aws:sns:*","arn:aws:s3:::a:b:c"]}}"#, ""),
    (RESOURCE, r#"{"Statement":{"Effect":"Allow","Action":"*","NotResource":"x"}}"#, "Resource x must be in ARN format or \"*\"."),
    (PRINCIPAL, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Principal":"arn:aws:iam:::username"}}"#, PROHIBITED),
    (PRINCIPAL, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","NotPrincipal":"*"}}"#, PROHIBITED),
];

#[rustfmt::skip]
const SESSIONS: &[Case] = &[
    (SESSION, r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#, ""),
    (SESSION, r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}}"#, PROHIBITED),
    (SESSION, r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "Policy statement must contain actions."),
    (SESSION, r#"{"Statement":{"Effect":"Allow","Action":"s3:*"}}"#, "Policy statement must contain resources."),
    (SESSION, r#"{"Statement":{"Effect":"Allow","Action":"Get","Resource":"*"}}"#, NO_VENDOR),
];

#[rustfmt::skip]
const TRUSTED: &[Case] = &[
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#, ""),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/x"},"Action":["STS:AssumeRoleWithWebIdentity","sts:TagSession"],"Condition":{"StringEquals":{"x:aud":"app"}}}}"#, ""),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:*"}}"#, ""),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#, "Missing required field Principal"),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":"*"}}"#, "Missing required field Action"),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}"#, "Has prohibited field Resource"),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}}"#, ONLY_STS),
    (TRUST, r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","*"]}}"#, ONLY_STS),
    (TRUST, r#"{"Statement":{"Sid":"a b","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#, NOT_ALPHANUMERIC),
    (NOT_PRINCIPAL, r#"{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#, "Has prohibited field NotPrincipal"),
];

pub fn sources() -> Vec<&'static str> {
    [IDENTITY, SESSIONS, TRUSTED].concat().iter().map(|case| case.0).collect()
}

fn check(cases: &[Case], kind: PolicyKind<'_>) {
    for (_, document, expected) in cases {
        let message = match Policy::parse(document, kind) {
            Ok(_) => String::new(),
            Err(fault) => fault.to_string(),
        };
        assert!(message.starts_with(expected) && message.is_empty() == expected.is_empty(), "{document}: {message:?}");
    }
}

#[test]
fn identity_based() {
    check(IDENTITY, PolicyKind::Identity);
}

#[test]
fn of_sessions() {
    check(SESSIONS, PolicyKind::Session);
}

#[test]
fn of_trust() {
    check(TRUSTED, PolicyKind::Trust);
}
