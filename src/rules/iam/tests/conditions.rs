//! Operators on strings, booleans, binaries, addresses and ARNs, and keys that are missing.

use super::{Condition, check_conditions};

const STRING: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_String";
const BOOL: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Boolean";
const BINARY: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_BinaryEquals";
const ADDRESS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IPAddress";
const ARN: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN";
const NULL: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Null";
const EXISTS: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_IfExists";
const MISSING: &str =
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html";
const LOGIC: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html";
const ELEMENT: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition.html";

#[rustfmt::skip]
const STRINGS: &[Condition] = &[
    (STRING, r#"{"StringEquals":{"aws:username":"bob"}}"#, "aws:username=bob", true),
    (STRING, r#"{"StringEquals":{"aws:username":"bob"}}"#, "aws:username=Bob", false),
    (STRING, r#"{"StringEquals":{"aws:username":"bob"}}"#, "aws:username=bobby", false),
    (STRING, r#"{"StringEquals":{"aws:username":"b*"}}"#, "aws:username=bob", false),
    (STRING, r#"{"StringEquals":{"aws:username":"b*"}}"#, "aws:username=b*", true),
    (STRING, r#"{"StringEquals":{"aws:username":"b?b"}}"#, "aws:username=bob", false),
    (STRING, r#"{"StringEquals":{"s3:prefix":["","home/"]}}"#, "s3:prefix=", true),
    (STRING, r#"{"StringEquals":{"s3:prefix":["","home/"]}}"#, "s3:prefix=home/", true),
    (STRING, r#"{"StringEquals":{"s3:prefix":["","home/"]}}"#, "s3:prefix=home/bob", false),
    (STRING, r#"{"StringNotEquals":{"aws:username":"bob"}}"#, "aws:username=bob", false),
    (STRING, r#"{"StringNotEquals":{"aws:username":"bob"}}"#, "aws:username=eve", true),
    (STRING, r#"{"StringNotEquals":{"aws:username":"bob"}}"#, "aws:username=BOB", true),
    (STRING, r#"{"StringEqualsIgnoreCase":{"aws:username":"Bob"}}"#, "aws:username=bOB", true),
    (STRING, r#"{"StringEqualsIgnoreCase":{"aws:username":"ÄÖ"}}"#, "aws:username=äö", true),
    (STRING, r#"{"StringEqualsIgnoreCase":{"aws:username":"Bo*"}}"#, "aws:username=bob", false),
    (STRING, r#"{"StringEqualsIgnoreCase":{"aws:username":"bob"}}"#, "aws:username=eve", false),
    (STRING, r#"{"StringNotEqualsIgnoreCase":{"aws:username":"Bob"}}"#, "aws:username=bob", false),
    (STRING, r#"{"StringNotEqualsIgnoreCase":{"aws:username":"Bob"}}"#, "aws:username=eve", true),
    (STRING, r#"{"StringLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=home/bob/x", true),
    (STRING, r#"{"StringLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=home/", true),
    (STRING, r#"{"StringLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=home", false),
    (STRING, r#"{"StringLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=Home/x", false),
    (STRING, r#"{"StringLike":{"aws:username":"b?b"}}"#, "aws:username=bob", true),
    (STRING, r#"{"StringLike":{"aws:username":"b?b"}}"#, "aws:username=bb", false),
    (STRING, r#"{"StringLike":{"aws:username":"b?b"}}"#, "aws:username=boob", false),
    (STRING, r#"{"StringNotLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=home/x", false),
    (STRING, r#"{"StringNotLike":{"s3:prefix":"home/*"}}"#, "s3:prefix=x", true),
    (STRING, r#"{"StringLike":{"aws:PrincipalTag/a":12345}}"#, "aws:PrincipalTag/a=12345", true),
    (STRING, r#"{"StringEquals":{"aws:PrincipalTag/a":true}}"#, "aws:PrincipalTag/a=true", true),
    // A letter's case counts in no key and no operator.
    (ELEMENT, r#"{"StringEquals":{"AWS:UserName":"bob"}}"#, "aws:username=bob", true),
    (ELEMENT, r#"{"StringEquals":{"aws:username":"bob"}}"#, "aws:UserName=bob", true),
    (ELEMENT, r#"{"stringequals":{"aws:username":"bob"}}"#, "aws:username=bob", true),
    (ELEMENT, r#"{"stringequals":{"aws:username":"bob"}}"#, "aws:username=eve", false),
    (ELEMENT, "{}", "", true),
];

#[rustfmt::skip]
const OTHERS: &[Condition] = &[
    (BOOL, r#"{"Bool":{"aws:SecureTransport":"true"}}"#, "aws:SecureTransport=true", true),
    (BOOL, r#"{"Bool":{"aws:SecureTransport":"true"}}"#, "aws:SecureTransport=false", false),
    (BOOL, r#"{"Bool":{"aws:SecureTransport":true}}"#, "aws:SecureTransport=true", true),
    (BOOL, r#"{"Bool":{"aws:SecureTransport":"TRUE"}}"#, "aws:SecureTransport=true", true),
    (BOOL, r#"{"Bool":{"aws:SecureTransport":"false"}}"#, "aws:SecureTransport=False", true),
    (BOOL, r#"{"Bool":{"aws:SecureTransport":"false"}}"#, "", false),
    (BOOL, r#"{"Bool":{"aws:MultiFactorAuthPresent":["true","false"]}}"#, "aws:MultiFactorAuthPresent=false", true),
    (BOOL, r#"{"Bool":{"aws:PrincipalTag/on":"${aws:PrincipalTag/want}"}}"#, "aws:PrincipalTag/on=true; aws:PrincipalTag/want=TRUE", true),
    (BINARY, r#"{"BinaryEquals":{"a:key":"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}"#, "a:key=QmluYXJ5VmFsdWVJbkJhc2U2NA==", true),
    (BINARY, r#"{"BinaryEquals":{"a:key":"QmluYXJ5VmFsdWVJbkJhc2U2NA=="}}"#, "a:key=QmluYXJ5", false),
    (BINARY, r#"{"BinaryEquals":{"a:key":"QmluYXJ5"}}"#, "a:key=not base64", false),
    (BINARY, r#"{"BinaryEquals":{"a:key":["AAAA","QmluYXJ5"]}}"#, "a:key=QmluYXJ5", true),
    (BINARY, r#"{"BinaryEquals":{"a:key":"QmluYXJ5"}}"#, "", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "aws:SourceIp=203.0.113.7", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "aws:SourceIp=203.0.114.7", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}"#, "aws:SourceIp=203.0.113.7", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.7"}}"#, "aws:SourceIp=203.0.113.8", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64"]}}"#, "aws:SourceIp=2001:db8:1234:5678::9", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","2001:DB8:1234:5678::/64"]}}"#, "aws:SourceIp=2001:db8:1234:5679::9", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"2001:db8::1"}}"#, "aws:SourceIp=2001:db8::1", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"2001:db8::1"}}"#, "aws:SourceIp=2001:db8::2", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "aws:SourceIp=::ffff:203.0.113.7", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"203.0.113.77/24"}}"#, "aws:SourceIp=203.0.113.7", true),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, "aws:SourceIp=no address", false),
    (ADDRESS, r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, "", false),
    (ADDRESS, r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "aws:SourceIp=203.0.113.7", false),
    (ADDRESS, r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "aws:SourceIp=8.8.8.8", true),
    (ADDRESS, r#"{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24","8.0.0.0/8"]}}"#, "aws:SourceIp=8.8.8.8", false),
    (ADDRESS, r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, "", true),
    (ARN, r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::b", true),
    (ARN, r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::B", false),
    (ARN, r#"{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::b*"}}"#, "aws:SourceArn=arn:aws:s3:::bucket", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}}"#, "aws:SourceArn=arn:aws:sns:us-east-1:111122223333:t", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}}"#, "aws:SourceArn=arn:aws:sns:us-east-1:999999999999:t", false),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}}"#, "aws:SourceArn=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", false),
    (ARN, r#"{"StringLike":{"aws:SourceArn":"arn:aws:someservice:*:111122223333:finance/*"}}"#, "aws:SourceArn=arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::b:c/*"}}"#, "aws:SourceArn=arn:aws:s3:::b:c/d", true),
    (ARN, r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/${aws:username}"}}"#, "aws:PrincipalArn=arn:aws:iam::111122223333:user/bob; aws:username=bob", true),
    (ARN, r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/${aws:username}"}}"#, "aws:PrincipalArn=arn:aws:iam::111122223333:user/bob; aws:username=eve", false),
    (ARN, r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount, '1:2'}:user/*"}}"#, "aws:PrincipalArn=arn:aws:iam::111122223333:user/bob; aws:PrincipalAccount=111122223333", true),
    (ARN, r#"{"ArnEquals":{"aws:SourceArn":"${aws:PrincipalArn}"}}"#, "aws:PrincipalArn=arn:aws:s3:::b; aws:SourceArn=arn:aws:s3:::b", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"*"}}"#, "aws:SourceArn=arn:aws:s3:::b", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"*"}}"#, "aws:SourceArn=bucket", false),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::b", false),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"a*:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::b", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"urn:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::b", false),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:aws:s3:*"}}"#, "aws:SourceArn=arn:aws:s3:::b", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:*:sns:${aws:RequestedRegion}:1:t:u"}}"#, "aws:SourceArn=arn:aws:sns:us:1:t:u; aws:RequestedRegion=us", true),
    (ARN, r#"{"ArnLike":{"aws:SourceArn":"arn:*:sns:${aws:RequestedRegion}:1:t:u"}}"#, "aws:SourceArn=arn:aws:x:sns:us:1:t:u; aws:RequestedRegion=us", false),
    (ARN, r#"{"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::b", false),
    (ARN, r#"{"ArnNotEquals":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, "aws:SourceArn=arn:aws:s3:::c", true),
    (ARN, r#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::b*"}}"#, "aws:SourceArn=arn:aws:s3:::bucket", false),
    (ARN, r#"{"ArnNotLike":{"aws:SourceArn":"arn:aws:s3:::b*"}}"#, "aws:SourceArn=arn:aws:s3:::c", true),
];

#[rustfmt::skip]
const PRESENCE: &[Condition] = &[
    (MISSING, r#"{"StringEquals":{"aws:username":"bob"}}"#, "", false),
    (MISSING, r#"{"StringEqualsIgnoreCase":{"aws:username":"bob"}}"#, "", false),
    (MISSING, r#"{"StringLike":{"aws:username":"*"}}"#, "", false),
    (MISSING, r#"{"StringNotEquals":{"aws:username":"bob"}}"#, "", true),
    (MISSING, r#"{"StringNotEqualsIgnoreCase":{"aws:username":"bob"}}"#, "", true),
    (MISSING, r#"{"StringNotLike":{"aws:username":"*"}}"#, "", true),
    (MISSING, r#"{"ArnEquals":{"aws:SourceArn":"*"}}"#, "", false),
    (MISSING, r#"{"ArnLike":{"aws:SourceArn":"*"}}"#, "", false),
    (MISSING, r#"{"ArnNotEquals":{"aws:SourceArn":"*"}}"#, "", true),
    (MISSING, r#"{"ArnNotLike":{"aws:SourceArn":"*"}}"#, "", true),
    (NULL, r#"{"Null":{"aws:TokenIssueTime":"true"}}"#, "", true),
    (NULL, r#"{"Null":{"aws:TokenIssueTime":"true"}}"#, "aws:TokenIssueTime=2020-01-01T00:00:00Z", false),
    (NULL, r#"{"Null":{"aws:TokenIssueTime":"false"}}"#, "", false),
    (NULL, r#"{"Null":{"aws:TokenIssueTime":false}}"#, "aws:TokenIssueTime=2020-01-01T00:00:00Z", true),
    (NULL, r#"{"Null":{"aws:TokenIssueTime":["true","false"]}}"#, "", true),
    (NULL, r#"{"Null":{"s3:prefix":"False"}}"#, "s3:prefix=", true),
    (EXISTS, r#"{"StringLikeIfExists":{"ec2:InstanceType":["t1.*","t2.*"]}}"#, "", true),
    (EXISTS, r#"{"StringLikeIfExists":{"ec2:InstanceType":["t1.*","t2.*"]}}"#, "ec2:InstanceType=t2.micro", true),
    (EXISTS, r#"{"StringLikeIfExists":{"ec2:InstanceType":["t1.*","t2.*"]}}"#, "ec2:InstanceType=m3.large", false),
    (EXISTS, r#"{"StringNotEqualsIfExists":{"aws:username":"bob"}}"#, "", true),
    (EXISTS, r#"{"StringNotEqualsIfExists":{"aws:username":"bob"}}"#, "aws:username=bob", false),
    (EXISTS, r#"{"StringEqualsIfExists":{"aws:username":""}}"#, "aws:username=bob", false),
    (EXISTS, r#"{"NumericLessThanIfExists":{"s3:max-keys":"10"}}"#, "", true),
    (EXISTS, r#"{"NumericLessThanIfExists":{"s3:max-keys":"10"}}"#, "s3:max-keys=11", false),
    (EXISTS, r#"{"DateLessThanIfExists":{"aws:TokenIssueTime":"2020-01-01T00:00:00Z"}}"#, "", true),
    (EXISTS, r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}"#, "", true),
    (EXISTS, r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}"#, "aws:MultiFactorAuthPresent=false", false),
    (EXISTS, r#"{"IpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"}}"#, "", true),
    (EXISTS, r#"{"NotIpAddressIfExists":{"aws:SourceIp":"10.0.0.0/8"}}"#, "aws:SourceIp=10.1.2.3", false),
    (EXISTS, r#"{"ArnLikeIfExists":{"aws:SourceArn":"arn:aws:s3:::b"}}"#, "", true),
    (EXISTS, r#"{"BinaryEqualsIfExists":{"a:key":"QmluYXJ5"}}"#, "", true),
    // All operators and keys must hold; of the values one, or with a negated operator none.
    (LOGIC, r#"{"StringEquals":{"aws:username":["bob","eve"]}}"#, "aws:username=eve", true),
    (LOGIC, r#"{"StringEquals":{"aws:username":["bob","eve"]}}"#, "aws:username=joe", false),
    (LOGIC, r#"{"StringEquals":{"aws:username":[]}}"#, "aws:username=joe", false),
    (LOGIC, r#"{"StringNotEquals":{"aws:username":["bob","eve"]}}"#, "aws:username=eve", false),
    (LOGIC, r#"{"StringNotEquals":{"aws:username":["bob","eve"]}}"#, "aws:username=joe", true),
    (LOGIC, r#"{"StringEquals":{"aws:username":"bob","s3:prefix":"a"}}"#, "aws:username=bob; s3:prefix=a", true),
    (LOGIC, r#"{"StringEquals":{"aws:username":"bob","s3:prefix":"a"}}"#, "aws:username=bob; s3:prefix=b", false),
    (LOGIC, r#"{"StringEquals":{"aws:username":"bob"},"Bool":{"aws:SecureTransport":"true"}}"#, "aws:username=bob; aws:SecureTransport=true", true),
    (LOGIC, r#"{"StringEquals":{"aws:username":"bob"},"Bool":{"aws:SecureTransport":"true"}}"#, "aws:username=bob; aws:SecureTransport=false", false),
    (LOGIC, r#"{"StringEquals":{"aws:username":"bob"},"Bool":{"aws:SecureTransport":"true"}}"#, "aws:username=eve; aws:SecureTransport=true", false),
];

pub fn sources() -> Vec<&'static str> {
    [STRINGS, OTHERS, PRESENCE].concat().iter().map(|case| case.0).collect()
}

#[test]
fn strings() {
    check_conditions(STRINGS);
}

#[test]
fn booleans_binaries_addresses_and_arns() {
    check_conditions(OTHERS);
}

#[test]
fn missing_keys_and_several_values() {
    check_conditions(PRESENCE);
}
