//! Which documents S3 takes as bucket policies, and its words for those that it refuses.

use super::*;

const POLICY: &str = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html";
const PUT: &str = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html";
const GRAMMAR: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html";
const PRINCIPAL: &str =
    "https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-bucket-user-policy-specifying-principal-intro.html";
const ACTIONS: &str = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html";
const KEYS: &str =
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html#amazons3-policy-keys";
const NOT_PRINCIPAL: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html";
const VARIABLES: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html";
const OPERATORS: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html";

/// Page, document, how the message begins; empty if the document is taken.
type Case = (&'static str, &'static str, &'static str);

const NOT_JSON: &str = "Policies must be valid JSON and the first byte must be '{'";
const INVALID_JSON: &str = "This policy contains invalid Json (";
const SYNTAX: &str = "Invalid policy syntax. (";
const RESOURCE: &str = "Policy has invalid resource";
const ACTION: &str = "Policy has invalid action";
const NOT_APPLICABLE: &str = "Action does not apply to any resource(s) in statement";
const WHO: &str = "Invalid principal in policy";

#[rustfmt::skip]
const DOCUMENTS: &[Case] = &[
    (PUT, r"", NOT_JSON),
    (PUT, r"policy", NOT_JSON),
    (PUT, r" {}", NOT_JSON),
    (PUT, r"[]", NOT_JSON),
    (PUT, r#"{"Version":"2012-10-17","#, INVALID_JSON),
    (PUT, r"{}", "Missing required field Statement"),
    (PUT, r#"{"Statement":[]}"#, "Could not parse the policy: Statement is empty!"),
    (PUT, r#"{"Statement":"x"}"#, SYNTAX),
    (GRAMMAR, r#"{"Version":"2012-10-18","Statement":[]}"#, "The policy must contain a valid version string."),
    (GRAMMAR, r#"{"Version":20121017,"Statement":[]}"#, SYNTAX),
    (GRAMMAR, r#"{"Id":1,"Statement":[]}"#, SYNTAX),
    (GRAMMAR, r#"{"Statements":[],"Statement":[]}"#, "Unknown field Statements"),
    (GRAMMAR, r#"{"version":"2012-10-17","Statement":[]}"#, "Unknown field version"),
    (GRAMMAR, r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#, INVALID_JSON),
    (GRAMMAR, r#"{"Version":"2012-10-17","Id":"An id","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#, ""),
    (GRAMMAR, r#"{"Version":"2008-10-17","Statement":[{"Sid":"any text","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#, ""),
    (GRAMMAR, r#"{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}"#, ""),
];

/// Statements of the policy of bucket `b`.
#[rustfmt::skip]
const STATEMENTS: &[Case] = &[
    (GRAMMAR, r#""Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, "Missing required field Effect"),
    (GRAMMAR, r#""Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, "Missing required field Principal"),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Resource":"arn:aws:s3:::b/*""#, "Missing required field Action"),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject""#, "Missing required field Resource"),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":[],"Resource":"arn:aws:s3:::b/*""#, "Missing required field Action"),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":[]"#, "Missing required field Resource"),
    (GRAMMAR, r#""Effect":"allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, "Invalid effect: allow"),
    (GRAMMAR, r#""Effect":true,"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, SYNTAX),
    (GRAMMAR, r#""Effect":"Allow","Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, INVALID_JSON),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::b/*""#, SYNTAX),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","NotResource":"arn:aws:s3:::b/*""#, SYNTAX),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Actions":"s3:GetObject","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, "Unknown field Actions"),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":{"a":"b"},"Resource":"arn:aws:s3:::b/*""#, SYNTAX),
    (GRAMMAR, r#""Effect":"Allow","Principal":"*","Action":[null],"Resource":"arn:aws:s3:::b/*""#, SYNTAX),
    (PRINCIPAL, r#""Effect":"Allow","Principal":"arn:aws:iam::111122223333:root","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":[]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":["*"],"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"Aws":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":""},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"11112222333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"11112222333x"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"AIDA-x"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"AGPAX"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:group/g"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root/x"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam:us-east-1:111122223333:user/bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws-x:iam::111122223333:user/bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/reader"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:federated-user/"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:s3:::b"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"Service":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"Service":"s3"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"Federated":"*"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"CanonicalUser":"no-id"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, WHO),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","999999999999"],"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, ""),
    (PRINCIPAL, r#""Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/path/bob","arn:aws:iam::111122223333:role/r","arn:aws:sts::111122223333:assumed-role/r/s","arn:aws:sts::111122223333:federated-user/f","AIDAX"]},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, ""),
    (NOT_PRINCIPAL, r#""Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, "Allow with NotPrincipal is not allowed"),
    (NOT_PRINCIPAL, r#""Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, ""),
    (NOT_PRINCIPAL, r#""Effect":"Deny","Principal":"*","NotPrincipal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#, SYNTAX),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObjekt","Resource":"arn:aws:s3:::b/*""#, ACTION),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"ec2:RunInstances","Resource":"arn:aws:s3:::b/*""#, ACTION),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"GetObject","Resource":"arn:aws:s3:::b/*""#, ACTION),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","NotAction":"s3:X*","Resource":"arn:aws:s3:::b/*""#, ACTION),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:Foo"],"Resource":"arn:aws:s3:::b/*""#, ACTION),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"S3:GETOBJECT","Resource":"arn:aws:s3:::b/*""#, ""),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b""#, ""),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]"#, ""),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"arn:aws:s3:::b/*""#, ""),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b/*""#, NOT_APPLICABLE),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b""#, NOT_APPLICABLE),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":["s3:ListBucket","s3:GetObject"],"Resource":"arn:aws:s3:::b/*""#, NOT_APPLICABLE),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListAllMyBuckets","Resource":"*""#, NOT_APPLICABLE),
    (ACTIONS, r#""Effect":"Deny","Principal":"*","NotAction":"s3:ListBucket","Resource":"arn:aws:s3:::b/*""#, ""),
    (ACTIONS, r#""Effect":"Deny","Principal":"*","Action":"s3:ListBucket","NotResource":"arn:aws:s3:::b/*""#, ""),
    (ACTIONS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b"]"#, ""),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/*""#, RESOURCE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::c/*"]"#, RESOURCE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"b/*""#, RESOURCE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:iam:::b/*""#, RESOURCE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","NotResource":"arn:aws:s3:::c/*""#, RESOURCE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":["arn:aws:s3:::*","arn:aws:s3:::*/*"]"#, ""),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b*""#, ""),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::?""#, NOT_APPLICABLE),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::?""#, ""),
    (POLICY, r#""Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":"*""#, ""),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefix":"a","s3:ExistingObjectTag/k":"v"}}"#, ""),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"AWS:securetransport":"true"}}"#, ""),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"idp.example.com/x:sub":"a"}}"#, ""),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefixx":"a"}}"#, "Policy has an invalid condition key: s3:prefixx"),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:ExistingObjectTag/":"a"}}"#, "Policy has an invalid condition key"),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:x/k":"a"}}"#, "Policy has an invalid condition key"),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"aws:SecureTransprot":"true"}}"#, "Policy has an invalid condition key"),
    (KEYS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"prefix":"a"}}"#, "Policy has an invalid condition key: prefix"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEqual":{"s3:prefix":"a"}}"#, "Invalid Condition type : StringEqual"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"NullIfExists":{"s3:prefix":"true"}}"#, "Invalid Condition type : NullIfExists"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"ForSomeValues:StringEquals":{"s3:prefix":"a"}}"#, "Invalid Condition type"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"NumericEquals":{"s3:max-keys":"ten"}}"#, "Invalid condition value \"ten\""),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"NumericEquals":{"s3:max-keys":"NaN"}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"aws:SecureTransport":"yes"}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"Null":{"s3:prefix":"${aws:username}"}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","10.0"]}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"BinaryEquals":{"a:key":"="}}"#, "Invalid condition value"),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":"s3:prefix"}"#, SYNTAX),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":[]"#, SYNTAX),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefix":{"a":"b"}}}"#, SYNTAX),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"s3:prefix":"a","s3:prefix":"b"}}"#, INVALID_JSON),
    (OPERATORS, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{},"Bool":{"aws:SecureTransport":true}}"#, ""),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username""#, "the variable in \"arn:aws:s3:::b/${aws:username\" has no closing brace"),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${}""#, "the variable \"${}\" names no condition key"),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws: username}""#, "the variable \"${aws: username}\" names no condition key"),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username, none}""#, "the default of the variable \"${aws:username, none}\""),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username, 'none}""#, "the default of the variable"),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username, 'none'}/*""#, ""),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::${"}}"#, "the variable in"),
    (VARIABLES, r#""Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"Bool":{"aws:SecureTransport":"${aws:PrincipalTag/x}"}}"#, ""),
];

pub fn sources() -> Vec<&'static str> {
    [DOCUMENTS, STATEMENTS].concat().iter().map(|case| case.0).collect()
}

fn check(document: &str, expected: &str) {
    let message = match Policy::parse(document, PolicyKind::Bucket { bucket: "b" }) {
        Ok(_) => String::new(),
        Err(fault) => fault.to_string(),
    };
    assert!(message.starts_with(expected) && message.is_empty() == expected.is_empty(), "{document}: {message:?}");
}

#[test]
fn documents() {
    for (_, document, expected) in DOCUMENTS {
        check(document, expected);
    }
}

#[test]
fn statements() {
    for (_, statement, expected) in STATEMENTS {
        check(&format!(r#"{{"Version":"2012-10-17","Statement":[{{{statement}}}]}}"#), expected);
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let deep = format!(r#"{{"Statement":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    check(&deep, INVALID_JSON);
    let one = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}}"#;
    let padded = |length: usize| format!("{one}{}", " ".repeat(length - one.len()));
    check(&padded(131_072), "");
    check(&padded(131_073), "Normalized policy document exceeds the maximum allowed size of 131072 bytes.");
}
