//! Which bucket policies are public.

use super::*;

const PUBLIC: &str = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status";

/// Page, statements without action and resource, whether the policy is public.
type Case = (&'static str, &'static str, bool);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (PUBLIC, r#""Effect":"Allow","Principal":"*""#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":{"AWS":"*"}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":{"AWS":["111122223333","*"]}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":{"Federated":"graph.facebook.com"}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":{"AWS":"111122223333"}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/bob"}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":{"CanonicalUser":"79a59df9"}"#, false),
    (PUBLIC, r#""Effect":"Deny","Principal":"*""#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-91237329"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpc":["vpc-1","${aws:PrincipalTag/vpc}"]}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringNotEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEqualsIfExists":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ForAllValues:StringEquals":{"aws:SourceVpc":"vpc-91237329"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ForAnyValue:StringEquals":{"aws:PrincipalOrgPaths":"o-1/r-1/"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1a2b3c4d"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:SourceOwner":"111122223333"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:userid":"AIDABOB"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:userid":"AROAREADER:*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:r:1:key/k"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:Referer":"http://www.example.com/*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"NumericEquals":{"s3:max-keys":"1"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::source"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnEquals":{"s3:ExistingObjectTag/arn":"arn:aws:s3:::source"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"s3:DataAccessPointAccount":"111122223333"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:accesspoint/*"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:*:accesspoint/*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"ArnLike":{"s3:DataAccessPointArn":"*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:123456789012:accesspoint/*"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:1234*:accesspoint/*"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringLike":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2::accesspoint/x"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"s3:DataAccessPointArn":"arn:aws:s3:us-west-2:1:accesspoint/x*"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"s3:DataAccessPointArn":"arn:aws:s3:*:1:accesspoint/x"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"8.0.0.0/8"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"8.0.0.0/7"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","0.0.0.0/1"]}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#, false),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001:db8::/31"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:VpcSourceIp":"203.0.113.0/24"}}"#, true),
    (PUBLIC, r#""Effect":"Allow","Principal":"*","Condition":{"Null":{"aws:SourceVpc":"false"}}"#, true),
];

pub fn sources() -> Vec<&'static str> {
    CASES.iter().map(|case| case.0).collect()
}

fn policy(statements: &[&str]) -> Policy {
    let whole = |statement: &&str| format!(r#"{{{statement},"Action":"s3:PutObject","Resource":"*"}}"#);
    let statements: Vec<_> = statements.iter().map(whole).collect();
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Policy::parse(&document, PolicyKind::Bucket { bucket: "b" }).unwrap_or_else(|fault| panic!("{document}: {fault}"))
}

#[test]
fn statements() {
    let wrong: Vec<_> =
        CASES.iter().filter(|(_, statement, public)| policy(&[statement]).is_public() != *public).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_public_statement_makes_a_policy_public() {
    let (private, public) =
        (r#""Effect":"Allow","Principal":{"AWS":"111122223333"}"#, r#""Effect":"Allow","Principal":"*""#);
    assert!(policy(&[private, public, private]).is_public());
    assert!(!policy(&[private, private]).is_public());
}
