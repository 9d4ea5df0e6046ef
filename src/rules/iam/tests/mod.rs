//! Tables of cases, each with the page of AWS's documentation that says so, and properties.

mod bound;
mod bucket_documents;
mod conditions;
mod corpus;
mod decisions;
mod identity_documents;
mod indexed;
mod numbers_and_dates;
mod parts;
mod principals;
mod properties;
mod public;
mod sets;
mod statements;
mod values;

use super::*;

/// The page of a case, without what all of them begin with.
pub const DOCS: &str = "https://docs.aws.amazon.com/";

/// The account in which the cases take place.
pub const ACCOUNT: &str = "111122223333";

/// Keys and values: `aws:username=bob; aws:TagKeys=a; aws:TagKeys=b`.
pub fn context(text: &str) -> Context {
    let mut context = Context::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').expect("key=value");
        context.push(key, value);
    }
    context
}

/// The user Bob.
pub fn bob() -> Principal {
    Principal::User {
        account: ACCOUNT.to_owned(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/bob"),
        unique_id: "AIDABOB".to_owned(),
    }
}

/// A session of the role `reader`.
pub fn session() -> Principal {
    Principal::AssumedRole {
        account: ACCOUNT.to_owned(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/reader"),
        session_arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/reader/s1"),
        unique_id: "AROAREADER".to_owned(),
    }
}

/// Whether one identity-based policy of Bob's allows him an action.
pub fn allows(document: &str, action: &str, resource: &str, context: &Context) -> bool {
    let policy = Policy::parse(document, PolicyKind::Identity).unwrap_or_else(|fault| panic!("{document}: {fault}"));
    let identity = [Named { name: "p", policy: &policy }];
    let policies = Policies {
        identity: &identity,
        boundary: None,
        session: None,
        resource: None,
        resource_account: ACCOUNT,
        granted_by_owner: false,
    };
    decide(&Request { principal: &bob(), action, resource, context }, &policies).is_allowed()
}

/// Whether a condition holds, with variables.
pub fn holds(condition: &str, keys: &str) -> bool {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}}}"#
    );
    allows(&document, "s3:GetObject", "arn:aws:s3:::b/k", &context(keys))
}

/// A condition, the request's keys, and whether it holds.
pub type Condition = (&'static str, &'static str, &'static str, bool);

/// Tries all and tells all that are wrong.
pub fn check_conditions(cases: &[Condition]) {
    let wrong: Vec<_> =
        cases.iter().filter(|(_, condition, keys, expected)| holds(condition, keys) != *expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_case_names_its_page_and_there_are_enough() {
    let sources: Vec<&str> = [
        conditions::sources(),
        numbers_and_dates::sources(),
        sets::sources(),
        values::sources(),
        statements::sources(),
        principals::sources(),
        decisions::sources(),
        bucket_documents::sources(),
        identity_documents::sources(),
        public::sources(),
    ]
    .concat();
    println!("{} cases", sources.len());
    assert!(sources.len() >= 300, "{}", sources.len());
    for source in sources {
        assert!(source.starts_with(DOCS), "{source}");
    }
}
