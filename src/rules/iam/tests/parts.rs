//! What the parts promise each other and the rest of the program.

use super::arn::Arn;
use super::wildcard::Pattern;
use super::*;

#[test]
fn a_context_replaces_and_adds() {
    let mut context = Context::new();
    assert_eq!(context.get("aws:username"), None);
    context.insert("aws:UserName", "bob");
    context.insert("AWS:username", "eve");
    assert_eq!(context.get("aws:username"), Some(&["eve".to_owned()][..]));
    context.push("aws:TagKeys", "a");
    context.push("aws:tagkeys", "b");
    assert_eq!(context.get("aws:tagkeys"), Some(&["a".to_owned(), "b".to_owned()][..]));
    assert_eq!(context.get("aws:TagKeys"), None);
}

#[test]
fn an_arn_has_six_parts() {
    let arn = Arn::parse("arn:aws:sns:us-east-1:111122223333:topic:sub").unwrap();
    let expected =
        Arn { partition: "aws", service: "sns", region: "us-east-1", account: "111122223333", resource: "topic:sub" };
    assert_eq!(arn, expected);
    for bad in ["", "arn", "arn:aws:s3", "arn:aws:s3::b", "urn:aws:s3:::b", "*"] {
        assert_eq!(Arn::parse(bad), None, "{bad}");
    }
}

#[test]
fn what_a_policy_asks_for() {
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:UserName}/${s3:prefix, 'x'}"},
        {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{
            "StringEquals":{"s3:ExistingObjectTag/Team":"${aws:PrincipalTag/Team}"},
            "ArnLike":{"aws:SourceArn":"arn:aws:s3:::${aws:PrincipalTag/Home}"},
            "Bool":{"aws:SecureTransport":"true"}}}]}"#;
    let policy = Policy::parse(document, PolicyKind::Identity).unwrap();
    let keys: Vec<_> = policy.condition_keys().collect();
    let expected = [
        "aws:username",
        "s3:prefix",
        "s3:existingobjecttag/team",
        "aws:principaltag/team",
        "aws:sourcearn",
        "aws:principaltag/home",
        "aws:securetransport",
    ];
    assert_eq!(keys, expected);
    assert!(policy.asks_for("s3:existingobjecttag/") && policy.asks_for("aws:"));
    assert!(!policy.asks_for("s3:requestobjecttag/") && !policy.asks_for("existingobjecttag/"));
    assert_eq!(policy.statement_count(), 2);
}

/// Bob asks; each layer is a list of statements of its own.
fn explained(
    identity: &str,
    boundary: Option<&str>,
    session: Option<&str>,
    bucket: Option<&str>,
) -> (Verdict, Option<String>) {
    let parse = |statements: &str, kind| {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#), kind).unwrap()
    };
    let identity = parse(identity, PolicyKind::Identity);
    let boundary = boundary.map(|statements| parse(statements, PolicyKind::Identity));
    let session = session.map(|statements| parse(statements, PolicyKind::Session));
    let bucket = bucket.map(|statements| parse(statements, PolicyKind::Bucket { bucket: "b" }));
    let sessions: Option<Vec<_>> = session.as_ref().map(|policy| vec![Named { name: "session", policy }]);
    let policies = Policies {
        identity: &[Named { name: "inline p", policy: &identity }],
        boundary: boundary.as_ref().map(|policy| Named { name: "boundary", policy }),
        session: sessions.as_deref(),
        resource: bucket.as_ref().map(|policy| Named { name: "bucket b", policy }),
        resource_account: ACCOUNT,
        granted_by_owner: false,
    };
    let (who, context) = (bob(), Context::new());
    let request = Request { principal: &who, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
    let explanation = explain(&request, &policies);
    (explanation.verdict.clone(), explanation.reason())
}

const GET: &str = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#;
const PUT: &str = r#"{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}"#;
const NO: &str = r#"{"Sid":"No","Effect":"Deny","Action":"s3:*","Resource":"*"}"#;
const BUCKET_NO: &str = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#;
const BUCKET_ACCOUNT: &str = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:*","Resource":"*"}"#;
const BUCKET_BOB: &str =
    r#"{"Sid":"Bob can","Effect":"Allow","Principal":{"AWS":"AIDABOB"},"Action":"s3:*","Resource":"*"}"#;

#[test]
fn a_verdict_names_the_statement() {
    let allowed = |by: &str| Verdict::Allowed { by: by.to_owned() };
    let denied = |by: &str| Verdict::Denied { by: by.to_owned() };
    let second = format!("{PUT},{GET},{GET}");
    assert_eq!(explained(&second, None, None, None), (allowed("inline p#2"), None));
    assert_eq!(explained(PUT, None, None, Some(BUCKET_BOB)), (allowed("bucket b#Bob can"), None));
    let twice = format!("{GET},{NO}");
    assert_eq!(explained(&twice, None, None, None).0, denied("inline p#No"));
    assert_eq!(explained(GET, Some(NO), Some(NO), Some(BUCKET_NO)).0, denied("boundary#No"));
    assert_eq!(explained(GET, Some(GET), Some(NO), Some(BUCKET_NO)).0, denied("session#No"));
    assert_eq!(explained(GET, Some(GET), Some(GET), Some(BUCKET_NO)).0, denied("bucket b#1"));
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
#[test]
fn a_refusal_has_aws_reason() {
    let reason = |identity, boundary, session, bucket| explained(identity, boundary, session, bucket).1.unwrap();
    assert_eq!(reason(NO, None, None, None), "with an explicit deny in an identity-based policy");
    assert_eq!(reason(GET, Some(NO), None, None), "with an explicit deny in a permissions boundary");
    assert_eq!(reason(GET, None, Some(NO), None), "with an explicit deny in a session policy");
    assert_eq!(reason(GET, None, None, Some(BUCKET_NO)), "with an explicit deny in a resource-based policy");
    assert_eq!(reason(PUT, None, None, None), "because no identity-based policy allows the s3:GetObject action");
    assert_eq!(
        reason(PUT, None, None, Some(BUCKET_ACCOUNT)),
        "because no identity-based policy allows the s3:GetObject action"
    );
    assert_eq!(reason(GET, Some(PUT), None, None), "because no permissions boundary allows the s3:GetObject action");
    assert_eq!(reason(GET, Some(GET), Some(PUT), None), "because no session policy allows the s3:GetObject action");
}

#[test]
fn what_is_allowed_across_accounts_names_both_sides() {
    let parse = |document, kind| Policy::parse(document, kind).unwrap();
    let identity = parse(r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#, PolicyKind::Identity);
    let bucket = format!(r#"{{"Statement":{BUCKET_BOB}}}"#);
    let bucket = parse(&bucket, PolicyKind::Bucket { bucket: "b" });
    let identity = [Named { name: "i", policy: &identity }];
    let mut policies = Policies {
        identity: &identity,
        boundary: None,
        session: None,
        resource: Some(Named { name: "b", policy: &bucket }),
        resource_account: "999999999999",
        granted_by_owner: false,
    };
    let (mut who, context) = (bob(), Context::new());
    let by = |who: &Principal, policies: &Policies<'_>| {
        let request =
            Request { principal: who, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
        let explanation = explain(&request, policies);
        let reason = explanation.reason();
        match explanation.verdict {
            Verdict::Allowed { by } => by,
            _ => reason.unwrap_or_default(),
        }
    };
    assert_eq!(by(&who, &policies), "i#1 and b#Bob can");
    policies.resource = None;
    assert_eq!(by(&who, &policies), "because no resource-based policy allows the s3:GetObject action");
    policies.granted_by_owner = true;
    assert_eq!(by(&who, &policies), "i#1 and the resource's owner");
    who = Principal::AccountRoot { account: ACCOUNT.to_owned() };
    assert_eq!(by(&who, &policies), "the root user of account 111122223333 and the resource's owner");
    assert_eq!(by(&Principal::Anonymous, &policies), "the resource's owner");
    policies.resource_account = ACCOUNT;
    assert_eq!(by(&who, &policies), "the root user of account 111122223333");
}

#[test]
fn a_pattern_without_wildcards_is_one_text() {
    assert_eq!(Pattern::wild("b/k").literal(), Some("b/k"));
    assert_eq!(Pattern::wild("").literal(), Some(""));
    for wild in ["*", "b*", "b?", "?"] {
        assert_eq!(Pattern::wild(wild).literal(), None, "{wild}");
    }
}

/// A matcher that tries again at every star would not end before the stars burn out.
#[test]
fn no_pattern_is_expensive() {
    let text = "a".repeat(100_000);
    for pattern in
        ["*a".repeat(5_000) + "b", "*a*?".repeat(500) + "b", "a*".repeat(5_000) + "b*", "*?a".repeat(500) + "b"]
    {
        assert!(!Pattern::wild(&pattern).matches(&text));
        assert!(Pattern::wild(&pattern).matches(&(text.clone() + "b")));
    }
}

#[test]
fn duplicates_are_found_however_deep() {
    let twice = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"a:b":true,"a:b":true}}}}"#;
    let fault = Policy::parse(twice, PolicyKind::Identity).unwrap_err();
    assert!(fault.message.contains("the key \"a:b\" stands twice"), "{fault}");
    let escaped = twice.replacen("a:b", "\\u0061:b", 1);
    assert!(Policy::parse(&escaped, PolicyKind::Identity).is_err());
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    use serde::Deserialize as _;
    use serde::de::value::{BytesDeserializer, Error};
    let fault = super::json::Json::deserialize(BytesDeserializer::<Error>::new(b"x")).unwrap_err();
    assert!(fault.to_string().ends_with("expected JSON"), "{fault}");
}
