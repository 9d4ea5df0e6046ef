//! That statements are found by their resources: who is asked, and that nobody is left out.

use super::index::Head;
use super::*;

/// Statements about these resources, numbered by their Sids; each is a list as JSON has it.
fn policy(resources: &[&str]) -> Policy {
    let statements: Vec<_> = resources
        .iter()
        .enumerate()
        .map(|(number, resources)| format!(r#"{{"Sid":"S{number}","Effect":"Allow","Action":"s3:*",{resources}}}"#))
        .collect();
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Policy::parse(&document, PolicyKind::Identity).unwrap()
}

/// The numbers of the statements that are asked about a resource.
fn asked(policy: &Policy, resource: &str) -> Vec<String> {
    policy.about(Head::of(resource)).map(|statement| statement.name.clone()).collect()
}

#[test]
fn only_statements_that_can_match_are_asked_in_their_order() {
    let policy = policy(&[
        r#""Resource":"arn:aws:s3:::b/*""#,
        r#""Resource":"*""#,
        r#""Resource":["arn:aws:s3:::c","arn:aws:s3:::c/${aws:username}/*","arn:aws:s3:::b"]"#,
        r#""NotResource":"arn:aws:s3:::b/*""#,
        r#""Resource":["arn:aws:s3:::b/k","arn:aws:s3:::c*"]"#,
        r#""Resource":"arn:aws:s3:::b/?""#,
        r#""Resource":"arn:aws:s3:::${aws:username}/k""#,
        r#""Resource":"arn:aws:s3:::x${*}/k""#,
    ]);
    assert_eq!(asked(&policy, "arn:aws:s3:::b/k/l"), ["S0", "S1", "S2", "S3", "S4", "S5", "S6"]);
    assert_eq!(asked(&policy, "arn:aws:s3:::b"), ["S0", "S1", "S2", "S3", "S4", "S5", "S6"]);
    assert_eq!(asked(&policy, "arn:aws:s3:::c/k"), ["S1", "S2", "S3", "S4", "S6"]);
    assert_eq!(asked(&policy, "arn:aws:s3:::bb/k"), ["S1", "S3", "S4", "S6"]);
    assert_eq!(asked(&policy, "arn:aws:s3:::x*/k"), ["S1", "S3", "S4", "S6", "S7"]);
    assert_eq!(asked(&policy, "arn:aws:s3:::x/k"), ["S1", "S3", "S4", "S6"]);
    assert_eq!(asked(&policy, "*"), ["S1", "S3", "S4", "S6"]);
}

#[test]
fn a_canonical_id_is_asked_for_where_a_statement_names_one() {
    let keys = |principal: &str| {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{principal},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}}}"#
        );
        let policy = Policy::parse(&document, PolicyKind::Bucket { bucket: "b" }).unwrap();
        let keys = keys_that_decide([&policy].into_iter(), "s3:GetObject", "arn:aws:s3:::b/k");
        keys.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(r#"{"CanonicalUser":"79a59df9"}"#), [CANONICAL_ID]);
    assert_eq!(keys(r#"{"AWS":"111122223333"}"#), [""; 0]);
}

#[test]
fn the_keys_that_decide_about_a_request_are_those_of_statements_about_it() {
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:username}/*"},
        {"Effect":"Deny","NotAction":"s3:PutObject","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/*",
         "Condition":{"StringLike":{"s3:prefix":"${aws:PrincipalTag/Home}"}}}]}"#;
    let policy = Policy::parse(document, PolicyKind::Identity).unwrap();
    let keys = |action, resource| Vec::from_iter(keys_that_decide([&policy].into_iter(), action, resource));
    assert_eq!(keys("s3:GETObject", "arn:aws:s3:::b/k"), ["aws:securetransport", "aws:username"]);
    let of_c = ["aws:principaltag/home", "aws:securetransport", "s3:prefix"];
    assert_eq!(keys("s3:GetObject", "arn:aws:s3:::c/k"), of_c);
    assert_eq!(keys("s3:DeleteObject", "arn:aws:s3:::c/k"), ["aws:securetransport"]);
    assert_eq!(keys("s3:PutObject", "arn:aws:s3:::c/k"), [""; 0]);
    assert_eq!(keys_that_decide([&policy, &policy].into_iter(), "s3:GetObject", "arn:aws:s3:::c/k").len(), 3);
}

#[test]
fn the_first_statement_that_decides_is_named_wherever_it_stands() {
    let fixed = r#"{"Sid":"Fixed","Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/*"}"#;
    let wild = r#"{"Sid":"Wild","Effect":"Allow","Action":"*","Resource":"*"}"#;
    for (first, second, expected) in [(fixed, wild, "p#Fixed"), (wild, fixed, "p#Wild")] {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{first},{second}]}}"#);
        let policy = Policy::parse(&document, PolicyKind::Identity).unwrap();
        let policies = Policies {
            identity: &[Named { name: "p", policy: &policy }],
            boundary: None,
            session: None,
            resource: None,
            resource_account: ACCOUNT,
            granted_by_owner: false,
        };
        let context = Context::new();
        let request =
            Request { principal: &bob(), action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
        assert_eq!(decide(&request, &policies), Verdict::Allowed { by: expected.to_owned() });
    }
}
