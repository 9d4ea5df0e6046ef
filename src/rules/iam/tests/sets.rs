//! Keys with several values, and the set operators.

use super::{Condition, check_conditions};

const SETS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html";
const EXAMPLES: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition_examples-multi-valued-context-keys.html";

#[rustfmt::skip]
const CASES: &[Condition] = &[
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=a", true),
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=a; aws:TagKeys=b", true),
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=a; aws:TagKeys=c", false),
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "", true),
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=", true),
    (SETS, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=; aws:TagKeys=a", false),
    (SETS, r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=c; aws:TagKeys=d", true),
    (SETS, r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=c; aws:TagKeys=a", false),
    (SETS, r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "", true),
    (SETS, r#"{"ForAllValues:StringLike":{"aws:TagKeys":"dept-*"}}"#, "aws:TagKeys=dept-a; aws:TagKeys=dept-b", true),
    (SETS, r#"{"ForAllValues:StringLike":{"aws:TagKeys":"dept-*"}}"#, "aws:TagKeys=dept-a; aws:TagKeys=b", false),
    (SETS, r#"{"ForAllValues:StringEqualsIfExists":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b", false),
    (SETS, r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=c; aws:TagKeys=b", true),
    (SETS, r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=c; aws:TagKeys=d", false),
    (SETS, r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}"#, "", false),
    (SETS, r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a",""]}}"#, "aws:TagKeys=", false),
    (SETS, r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=a; aws:TagKeys=c", true),
    (SETS, r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "aws:TagKeys=a; aws:TagKeys=b", false),
    (SETS, r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a","b"]}}"#, "", false),
    (SETS, r#"{"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"a"}}"#, "", true),
    (SETS, r#"{"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b", false),
    (SETS, r#"{"foranyvalue:stringlike":{"aws:PrincipalOrgPaths":"o-1/*"}}"#, "aws:PrincipalOrgPaths=o-1/r", true),
    (SETS, r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-1/*"}}"#, "aws:PrincipalOrgPaths=o-2/r", false),
    (SETS, r#"{"ForAnyValue:IpAddress":{"a:ips":"10.0.0.0/8"}}"#, "a:ips=8.8.8.8; a:ips=10.0.0.1", true),
    (SETS, r#"{"ForAllValues:NumericLessThan":{"a:sizes":"5"}}"#, "a:sizes=4; a:sizes=6", false),
    // Without a set operator: one must match, or with a negated operator none.
    (SETS, r#"{"StringEquals":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b; aws:TagKeys=a", true),
    (SETS, r#"{"StringEquals":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b; aws:TagKeys=c", false),
    (SETS, r#"{"StringNotEquals":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b; aws:TagKeys=a", false),
    (SETS, r#"{"StringNotEquals":{"aws:TagKeys":"a"}}"#, "aws:TagKeys=b; aws:TagKeys=c", true),
    (EXAMPLES, r#"{"ForAllValues:StringEquals":{"dynamodb:Attributes":["PostDateTime","Message","Tags"]}}"#, "dynamodb:Attributes=PostDateTime; dynamodb:Attributes=UserName", false),
    (EXAMPLES, r#"{"ForAllValues:StringEquals":{"dynamodb:Attributes":["ID","Message","Tags"]}}"#, "dynamodb:Attributes=Message; dynamodb:Attributes=Tags", true),
    (EXAMPLES, r#"{"ForAnyValue:StringEquals":{"dynamodb:Attributes":["ID","PostDateTime"]}}"#, "dynamodb:Attributes=UserName; dynamodb:Attributes=Message; dynamodb:Attributes=PostDateTime", true),
    (EXAMPLES, r#"{"ForAnyValue:StringEquals":{"dynamodb:Attributes":["ID","PostDateTime"]}}"#, "dynamodb:Attributes=UserName", false),
    (EXAMPLES, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]},"Null":{"aws:TagKeys":"false"}}"#, "", false),
    (EXAMPLES, r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]},"Null":{"aws:TagKeys":"false"}}"#, "aws:TagKeys=env", true),
];

pub fn sources() -> Vec<&'static str> {
    CASES.iter().map(|case| case.0).collect()
}

#[test]
fn sets() {
    check_conditions(CASES);
}
