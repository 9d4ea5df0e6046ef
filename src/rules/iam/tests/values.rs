//! Wildcards and variables in resources and conditions.

use super::{Condition, allows, check_conditions, context};

const WILD: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html#reference_policies_elements_resource_wildcards";
const USE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-using-variables";
const WHERE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-wheretouse";
const TAGS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-tags";
const NO_VALUE: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-no-value";
const DEFAULTS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-default-values";
const SPECIAL: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars";
const VERSION: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html";

/// Page, version, the policy's resource, the request's keys, the request's resource behind `arn:aws:s3:::`, whether
/// they match.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

const NEW: &str = "2012-10-17";
const OLD: &str = "2008-10-17";

#[rustfmt::skip]
const RESOURCES: &[Case] = &[
    (WILD, NEW, "*", "", "b/k", true),
    (WILD, NEW, "arn:aws:s3:::*", "", "b/k", true),
    (WILD, NEW, "arn:aws:s3:::b/*", "", "b/k", true),
    (WILD, NEW, "arn:aws:s3:::b/*", "", "b/k/l/m", true),
    (WILD, NEW, "arn:aws:s3:::b/*", "", "b/", true),
    (WILD, NEW, "arn:aws:s3:::b/*", "", "b", false),
    (WILD, NEW, "arn:aws:s3:::b/*", "", "bb/k", false),
    (WILD, NEW, "arn:aws:s3:::b", "", "b", true),
    (WILD, NEW, "arn:aws:s3:::b", "", "b/k", false),
    (WILD, NEW, "arn:aws:s3:::b", "", "B", false),
    (WILD, NEW, "arn:aws:s3:::b/k?", "", "b/k1", true),
    (WILD, NEW, "arn:aws:s3:::b/k?", "", "b/ké", true),
    (WILD, NEW, "arn:aws:s3:::b/k?", "", "b/k", false),
    (WILD, NEW, "arn:aws:s3:::b/k?", "", "b/k12", false),
    (WILD, NEW, "arn:aws:s3:::b/?", "", "b/日", true),
    (WILD, NEW, "arn:aws:s3:::b/*.jpg", "", "b/a.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*.jpg", "", "b/a.jpg.txt", false),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1/test/object.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1/2/3/test/4/object.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1///test///object.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1/test/.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b//test/object.jpg", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1/test/", true),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1-test/object.jpg", false),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/test/object.jpg", false),
    (WILD, NEW, "arn:aws:s3:::b/*/test/*", "", "b/1/2/test.jpg", false),
    (WILD, NEW, "arn:aws:s3:::b/*a?c", "", "b/aabc", true),
    (WILD, NEW, "arn:aws:s3:::b/*a?c", "", "b/aacd", false),
    (WILD, NEW, "arn:aws:s3:::b/*a?a*z", "", "b/aaba_z", true),
    (WILD, NEW, "arn:aws:s3:::b/**", "", "b/k", true),
    (USE, NEW, "arn:aws:s3:::b/${aws:username}/*", "aws:username=bob", "b/bob/k", true),
    (USE, NEW, "arn:aws:s3:::b/${aws:username}/*", "aws:username=bob", "b/eve/k", false),
    (USE, NEW, "arn:aws:s3:::b/${AWS:UserName}/*", "aws:username=bob", "b/bob/k", true),
    (USE, NEW, "arn:aws:s3:::b/${aws:username}${aws:userid}", "aws:username=bob; aws:userid=AIDA", "b/bobAIDA", true),
    (USE, NEW, "arn:aws:s3:::b/${aws:username}", "aws:username=bob; aws:username=eve", "b/bob", false),
    (WHERE, NEW, "arn:aws:s3:::b/${aws:username}", "aws:username=*", "b/bob", false),
    (WHERE, NEW, "arn:aws:s3:::b/${aws:username}", "aws:username=*", "b/*", true),
    (WHERE, NEW, "arn:aws:s3:::b/${aws:username}", "aws:username=${aws:userid}; aws:userid=x", "b/x", false),
    (TAGS, NEW, "arn:aws:s3:::b/${aws:PrincipalTag/department}", "aws:PrincipalTag/department=hr", "b/hr", true),
    (TAGS, NEW, "arn:aws:s3:::b/${aws:PrincipalTag/department}", "aws:PrincipalTag/department=hr", "b/it", false),
    (NO_VALUE, NEW, "arn:aws:s3:::b/${aws:username}*", "", "b/bob", false),
    (NO_VALUE, NEW, "arn:aws:s3:::b/${aws:username}*", "", "b/", false),
    (DEFAULTS, NEW, "arn:aws:s3:::b-${aws:PrincipalTag/team, 'company-wide'}", "aws:PrincipalTag/team=yellow", "b-yellow", true),
    (DEFAULTS, NEW, "arn:aws:s3:::b-${aws:PrincipalTag/team, 'company-wide'}", "", "b-company-wide", true),
    (DEFAULTS, NEW, "arn:aws:s3:::b-${aws:PrincipalTag/team, 'company-wide'}", "aws:PrincipalTag/team=yellow", "b-company-wide", false),
    (DEFAULTS, NEW, "arn:aws:s3:::b-${aws:PrincipalTag/team,'a, b'}", "", "b-a, b", true),
    (DEFAULTS, NEW, "arn:aws:s3:::b-${aws:PrincipalTag/team, '*'}", "", "b-x", false),
    (SPECIAL, NEW, "arn:aws:s3:::b/${*}", "", "b/*", true),
    (SPECIAL, NEW, "arn:aws:s3:::b/${*}", "", "b/k", false),
    (SPECIAL, NEW, "arn:aws:s3:::b/k${?}", "", "b/k?", true),
    (SPECIAL, NEW, "arn:aws:s3:::b/k${?}", "", "b/k1", false),
    (SPECIAL, NEW, "arn:aws:s3:::b/${$}{aws:username}", "aws:username=bob", "b/${aws:username}", true),
    (SPECIAL, NEW, "arn:aws:s3:::b/$x", "", "b/$x", true),
    (VERSION, OLD, "arn:aws:s3:::b/${aws:username}", "aws:username=bob", "b/bob", false),
    (VERSION, OLD, "arn:aws:s3:::b/${aws:username}", "aws:username=bob", "b/${aws:username}", true),
    (VERSION, OLD, "arn:aws:s3:::b/*", "", "b/bob", true),
    (VERSION, "", "arn:aws:s3:::b/${aws:username}", "aws:username=bob", "b/bob", false),
    (VERSION, "", "arn:aws:s3:::b/${aws:username}", "aws:username=bob", "b/${aws:username}", true),
];

#[rustfmt::skip]
const CONDITIONS: &[Condition] = &[
    (WHERE, r#"{"StringLike":{"s3:prefix":"${aws:username}/*"}}"#, "aws:username=bob; s3:prefix=bob/x", true),
    (WHERE, r#"{"StringLike":{"s3:prefix":"${aws:username}/*"}}"#, "aws:username=bob; s3:prefix=eve/x", false),
    (WHERE, r#"{"StringEquals":{"s3:prefix":"${aws:username}"}}"#, "aws:username=bob; s3:prefix=bob", true),
    (WHERE, r#"{"StringEqualsIgnoreCase":{"s3:prefix":"X${aws:username}"}}"#, "aws:username=BOB; s3:prefix=xbob", true),
    (WHERE, r#"{"StringNotEquals":{"s3:prefix":"${aws:username}"}}"#, "aws:username=bob; s3:prefix=bob", false),
    (WHERE, r#"{"StringEquals":{"s3:ExistingObjectTag/team":"${aws:PrincipalTag/team}"}}"#, "aws:PrincipalTag/team=a; s3:ExistingObjectTag/team=a", true),
    (NO_VALUE, r#"{"StringEquals":{"s3:prefix":"${aws:username}"}}"#, "s3:prefix=bob", false),
    (NO_VALUE, r#"{"StringLike":{"s3:prefix":"*${aws:username}*"}}"#, "s3:prefix=bob", false),
    (NO_VALUE, r#"{"StringNotEquals":{"s3:prefix":"${aws:username}"}}"#, "s3:prefix=bob", true),
    (NO_VALUE, r#"{"StringNotLike":{"s3:prefix":"${aws:username}"}}"#, "s3:prefix=bob", true),
    (NO_VALUE, r#"{"StringEquals":{"s3:prefix":["${aws:username}","bob"]}}"#, "s3:prefix=bob", true),
    (DEFAULTS, r#"{"StringEquals":{"s3:prefix":"${aws:username, 'nobody'}"}}"#, "s3:prefix=nobody", true),
    (DEFAULTS, r#"{"StringEqualsIgnoreCase":{"s3:prefix":"${aws:username, 'NoBody'}"}}"#, "s3:prefix=nobodY", true),
    (SPECIAL, r#"{"StringLike":{"s3:prefix":"${*}/*"}}"#, "s3:prefix=*/x", true),
    (SPECIAL, r#"{"StringLike":{"s3:prefix":"${*}/*"}}"#, "s3:prefix=y/x", false),
    (SPECIAL, r#"{"StringEquals":{"s3:prefix":"${*}"}}"#, "s3:prefix=*", true),
];

pub fn sources() -> Vec<&'static str> {
    RESOURCES.iter().map(|case| case.0).chain(CONDITIONS.iter().map(|case| case.0)).collect()
}

#[test]
fn resources() {
    for (_, version, resource, keys, asked, expected) in RESOURCES {
        let version = if version.is_empty() { String::new() } else { format!(r#""Version":"{version}","#) };
        let document = format!(r#"{{{version}"Statement":{{"Effect":"Allow","Action":"*","Resource":"{resource}"}}}}"#);
        let allowed = allows(&document, "s3:GetObject", &format!("arn:aws:s3:::{asked}"), &context(keys));
        assert_eq!(allowed, *expected, "{resource} {keys} {asked}");
    }
}

#[test]
fn variables_in_conditions() {
    check_conditions(CONDITIONS);
}
