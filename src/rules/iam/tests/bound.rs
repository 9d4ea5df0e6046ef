//! Principals bound to their unique ids.

use super::*;

const TEXT: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:role/r"]},
     "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*",
     "Condition": {"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"aws:SecureTransport": true}}},
    {"Effect": "Deny", "NotPrincipal": {"CanonicalUser": "arn:aws:iam::111122223333:user/bob", "AWS": "arn:aws:iam::111122223333:user/bob"},
     "Action": "s3:*", "Resource": "arn:aws:s3:::b/\"ä",
     "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/bob"}}}]}"#;

fn pair(a: &str, b: &str) -> (String, String) {
    (format!("arn:aws:iam::111122223333:user/{a}"), b.to_owned())
}

/// Whether a bucket's policy that names Bob by ARN, bound to this id, allows Bob.
fn lets_bob_in(id: &str) -> bool {
    let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
    let policy = Policy::parse(document, PolicyKind::Bucket { bucket: "b" }).expect("valid");
    let policy = policy.bound_to(&[pair("eve", "AIDAEVE"), pair("bob", id)]);
    let (principal, context) = (bob(), Context::new());
    let request =
        Request { principal: &principal, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
    let policies = Policies {
        identity: &[],
        boundary: None,
        session: None,
        resource: Some(Named { name: "b", policy: &policy }),
        resource_account: ACCOUNT,
        granted_by_owner: false,
    };
    decide(&request, &policies).is_allowed()
}

#[test]
fn a_bound_principal_is_the_one_with_the_id() {
    assert!(lets_bob_in("AIDABOB"));
    assert!(!lets_bob_in("AIDAANOTHERBOB"));
}

#[test]
fn others_are_not_bound() {
    let document = TEXT.replace(r#""CanonicalUser": "arn:aws:iam::111122223333:user/bob", "#, "").replace("\\\"ä", "*");
    let document = document.replace("NotPrincipal", "Principal");
    let policy = Policy::parse(&document, PolicyKind::Bucket { bucket: "b" }).expect("valid");
    let bound = policy.bound_to(&[pair("bob", "AIDABOB")]);
    let bob = || PrincipalId::UniqueId("AIDABOB".to_owned());
    let role = PrincipalId::Arn("arn:aws:iam::111122223333:role/r".to_owned());
    assert_eq!(bound.principals().cloned().collect::<Vec<_>>(), [bob(), role, bob()]);
}

#[test]
fn only_principals_are_renamed() {
    let renamed = rename_principals(TEXT, &[pair("eve", "AIDAEVE"), pair("bob", "AIDA\"BOB")]);
    let expected = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["AIDA\"BOB","arn:aws:iam::111122223333:role/r"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"NumericLessThan":{"s3:max-keys":10},"Bool":{"aws:SecureTransport":true}}},{"Effect":"Deny","NotPrincipal":{"CanonicalUser":"arn:aws:iam::111122223333:user/bob","AWS":"AIDA\"BOB"},"Action":"s3:*","Resource":"arn:aws:s3:::b/\"ä","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/bob"}}}]}"#;
    assert_eq!(renamed, expected);
    // Each name in a list counts, in any place.
    let last = rename_principals(TEXT, &[("arn:aws:iam::111122223333:role/r".to_owned(), "AROA".to_owned())]);
    assert!(last.contains(r#"["arn:aws:iam::111122223333:user/bob","AROA"]"#), "{last}");
    // Two in one list do not cancel each other out.
    let twice = r#"{"Statement":{"Principal":{"AWS":["arn:aws:iam::111122223333:user/bob","arn:aws:iam::111122223333:user/bob"]}}}"#;
    let renamed = rename_principals(twice, &[pair("bob", "AIDABOB")]);
    assert_eq!(renamed, r#"{"Statement":{"Principal":{"AWS":["AIDABOB","AIDABOB"]}}}"#);
}

#[test]
fn a_text_without_the_name_stays_as_it_is() {
    let single = r#"{ "Statement" : {"Principal": {"AWS": 1, "Service": null}, "Effect": []} }"#;
    for text in [TEXT, single, "[]", "{", "{}", r#"{"Statement": [1, {"Principal": "*"}]}"#] {
        assert_eq!(rename_principals(text, &[pair("eve", "AIDAEVE")]), text);
    }
}
