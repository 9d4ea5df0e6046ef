//! `Action`, `NotAction`, `Resource`, `NotResource`, `Effect`, and several statements.

use super::{Context, allows};

const ACTION: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html";
const NOT_ACTION: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html";
const RESOURCE: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html";
const NOT_RESOURCE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html";
const EFFECT: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_effect.html";
const STATEMENT: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_statement.html";

const KEY: &str = "arn:aws:s3:::b/k";

/// Page, statements, action, resource, whether it is allowed.
type Case = (&'static str, &'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (ACTION, r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#, "s3:GetObject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#, "s3:GetObjectAcl", KEY, false),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}"#, "s3:getobject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"S3:getOBJECT","Resource":"*"}"#, "s3:GetObject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"*"}"#, "s3:GetObject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#, "s3:GetObject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#, "iam:GetUser", "arn:aws:iam::111122223333:user/bob", false),
    (ACTION, r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, "iam:GetUser", "arn:aws:iam::111122223333:user/bob", true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}"#, "s3:GetObjectVersion", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}"#, "s3:PutObject", KEY, false),
    (ACTION, r#"{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"*"}"#, "iam:CreateAccessKey", "*", true),
    (ACTION, r#"{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"*"}"#, "iam:ListAccessKeys", "*", true),
    (ACTION, r#"{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"*"}"#, "iam:ListUsers", "*", false),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:?etObject","Resource":"*"}"#, "s3:GetObject", KEY, true),
    (ACTION, r#"{"Effect":"Allow","Action":"s3:?etObject","Resource":"*"}"#, "s3:etObject", KEY, false),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":"arn:aws:s3:::*"}"#, "s3:GetObject", KEY, true),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":"arn:aws:s3:::*"}"#, "s3:DeleteBucket", "arn:aws:s3:::b", false),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":"s3:DeleteBucket","Resource":"arn:aws:s3:::*"}"#, "s3:deletebucket", "arn:aws:s3:::b", false),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#, "iam:GetUser", "*", false),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":["iam:*","s3:Delete*"],"Resource":"*"}"#, "s3:DeleteObject", KEY, false),
    (NOT_ACTION, r#"{"Effect":"Allow","NotAction":["iam:*","s3:Delete*"],"Resource":"*"}"#, "s3:PutObject", KEY, true),
    (NOT_ACTION, r#"[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}]"#, "s3:GetObject", KEY, true),
    (NOT_ACTION, r#"[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}]"#, "iam:GetUser", "*", false),
    (RESOURCE, r#"{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::a/*","arn:aws:s3:::b/*"]}"#, "s3:GetObject", KEY, true),
    (RESOURCE, r#"{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::a/*","arn:aws:s3:::c/*"]}"#, "s3:GetObject", KEY, false),
    (RESOURCE, r#"{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}"#, "s3:ListAllMyBuckets", "*", true),
    (RESOURCE, r#"{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"arn:aws:s3:::b"}"#, "s3:ListAllMyBuckets", "*", false),
    (RESOURCE, r#"{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::111122223333:user/accounting/*"}"#, "iam:GetUser", "arn:aws:iam::111122223333:user/accounting/eve", true),
    (RESOURCE, r#"{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::111122223333:user/accounting/*"}"#, "iam:GetUser", "arn:aws:iam::111122223333:user/eve", false),
    (NOT_RESOURCE, r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}"#, "s3:GetObject", KEY, false),
    (NOT_RESOURCE, r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::b/*"}"#, "s3:GetObject", "arn:aws:s3:::c/k", true),
    (NOT_RESOURCE, r#"{"Effect":"Allow","Action":"s3:*","NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}"#, "s3:ListBucket", "arn:aws:s3:::b", false),
    (NOT_RESOURCE, r#"[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","NotResource":["arn:aws:s3:::HRBucket/Payroll","arn:aws:s3:::HRBucket/Payroll/*"]}]"#, "s3:GetObject", "arn:aws:s3:::HRBucket/Payroll/1", true),
    (NOT_RESOURCE, r#"[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","NotResource":["arn:aws:s3:::HRBucket/Payroll","arn:aws:s3:::HRBucket/Payroll/*"]}]"#, "s3:GetObject", "arn:aws:s3:::HRBucket/x", false),
    (EFFECT, r#"{"Effect":"Deny","Action":"s3:*","Resource":"*"}"#, "s3:GetObject", KEY, false),
    (EFFECT, r#"[{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"},{"Effect":"Allow","Action":"*","Resource":"*"}]"#, "s3:GetObject", KEY, false),
    (EFFECT, r#"[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}]"#, "s3:GetObject", KEY, false),
    (EFFECT, r#"[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}]"#, "s3:PutObject", KEY, true),
    (STATEMENT, r#"[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*"},{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}]"#, "s3:PutObject", KEY, true),
    (STATEMENT, r#"[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*"},{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}]"#, "s3:GetObject", KEY, false),
];

pub fn sources() -> Vec<&'static str> {
    CASES.iter().map(|case| case.0).collect()
}

#[test]
fn statements() {
    for (_, statements, action, resource, expected) in CASES {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
        assert_eq!(allows(&document, action, resource, &Context::new()), *expected, "{statements} {action} {resource}");
    }
}
