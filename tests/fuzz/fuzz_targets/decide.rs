//! Policies of every kind are parsed from arbitrary text and asked about a request with arbitrary condition keys.

#![no_main]

use evaluator::iam::{Context, Named, Policies, Policy, PolicyKind, Principal, Request, Verdict, decide, explain};
use libfuzzer_sys::fuzz_target;

const ACCOUNT: &str = "111122223333";
const KINDS: [PolicyKind<'_>; 4] =
    [PolicyKind::Identity, PolicyKind::Session, PolicyKind::Trust, PolicyKind::Bucket { bucket: "b" }];
const DENY_ALL: &str = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;

fn principals() -> [Principal; 4] {
    let account = || ACCOUNT.to_owned();
    [
        Principal::Anonymous,
        Principal::AccountRoot { account: account() },
        Principal::User {
            account: account(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/bob"),
            unique_id: "AIDABOB".to_owned(),
        },
        Principal::AssumedRole {
            account: account(),
            role_arn: format!("arn:aws:iam::{ACCOUNT}:role/reader"),
            session_arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1"),
            unique_id: "AROAREADER".to_owned(),
        },
    ]
}

fuzz_target!(|input: &str| {
    let (keys, document) = input.split_once('\n').unwrap_or(("", input));
    let mut context = Context::new();
    for (key, value) in keys.split(';').filter_map(|pair| pair.trim().split_once('=')) {
        context.push(key, value);
    }
    let deny_all = Policy::parse(DENY_ALL, PolicyKind::Identity).expect("a good policy");
    for policy in KINDS.iter().filter_map(|kind| Policy::parse(document, *kind).ok()) {
        assert!(policy.statement_count() > 0);
        assert!(policy.condition_keys().all(|key| policy.asks_for(key)));
        let _ = (policy.is_public(), policy.principals().count());
        let named = Named { name: "p", policy: &policy };
        for principal in &principals() {
            let request =
                Request { principal, action: "s3:GetObject", resource: "arn:aws:s3:::b/bob/k", context: &context };
            let mut policies = Policies {
                identity: &[named],
                boundary: Some(named),
                session: Some(&[named]),
                resource: Some(named),
                resource_account: ACCOUNT,
                granted_by_owner: true,
            };
            let explanation = explain(&request, &policies);
            assert_eq!(explanation.reason().is_none(), explanation.verdict.is_allowed());
            assert_eq!(explanation.verdict, decide(&request, &policies));
            let identity = [named, Named { name: "deny", policy: &deny_all }];
            policies.identity = &identity;
            assert!(matches!(decide(&request, &policies), Verdict::Denied { .. }));
        }
    }
});
