//! AWS's own managed policies, as far as they speak of what this server has.
//! <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/about-managed-policy-reference.html>

use storage::types::Timestamp;

/// The policy that allows everything.
pub(super) const ADMINISTRATOR: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// An AWS managed policy. Its path is `/`.
#[derive(Debug)]
pub(super) struct AwsManaged {
    pub name: &'static str,
    /// AWS's own id of it.
    pub id: &'static str,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// The number of AWS's version.
    pub version: u32,
    pub description: &'static str,
    pub document: &'static str,
}

/// By name.
pub(super) const ALL: &[AwsManaged] = &[
    AwsManaged {
        name: "AdministratorAccess",
        id: "ANPAIWMBCKSKIEE64ZLYK",
        created: Timestamp(1_423_161_586_000),
        updated: Timestamp(1_423_161_586_000),
        version: 1,
        description: "Provides full access to AWS services and resources.",
        document: r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*"
        }
    ]
}"#,
    },
    AwsManaged {
        name: "AmazonS3FullAccess",
        id: "ANPAIFIR6V6BVTRAHWINE",
        created: Timestamp(1_423_161_658_000),
        updated: Timestamp(1_632_773_810_000),
        version: 2,
        description: "Provides full access to all buckets via the AWS Management Console.",
        document: r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "s3:*",
                "s3-object-lambda:*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    },
    AwsManaged {
        name: "AmazonS3ReadOnlyAccess",
        id: "ANPAIZTJ4DXE7G6AGAE6M",
        created: Timestamp(1_423_161_659_000),
        updated: Timestamp(1_691_703_079_000),
        version: 3,
        description: "Provides read only access to all buckets via the AWS Management Console.",
        document: r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "s3:Get*",
                "s3:List*",
                "s3:Describe*",
                "s3-object-lambda:Get*",
                "s3-object-lambda:List*"
            ],
            "Resource": "*"
        }
    ]
}"#,
    },
    AwsManaged {
        name: "IAMFullAccess",
        id: "ANPAI7XKCFMBPM3QQRRVQ",
        created: Timestamp(1_423_161_638_000),
        updated: Timestamp(1_561_146_160_000),
        version: 2,
        description: "Provides full access to IAM via the AWS Management Console.",
        document: r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListPolicies",
                "organizations:ListTargetsForPolicy"
            ],
            "Resource": "*"
        }
    ]
}"#,
    },
    AwsManaged {
        name: "IAMReadOnlyAccess",
        id: "ANPAJKSO7NDY4T57MWDSQ",
        created: Timestamp(1_423_161_639_000),
        updated: Timestamp(1_516_907_499_000),
        version: 4,
        description: "Provides read only access to IAM via the AWS Management Console.",
        document: r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy"
            ],
            "Resource": "*"
        }
    ]
}"#,
    },
];

/// The policy of this name.
pub(super) fn by_name(name: &str) -> Option<&'static AwsManaged> {
    ALL.iter().find(|policy| policy.name == name)
}

/// Its ARN.
pub(super) fn arn(policy: &AwsManaged) -> String {
    format!("arn:aws:iam::aws:policy/{}", policy.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::iam::{Policy, PolicyKind};

    #[test]
    fn every_one_parses_and_is_found_by_its_name() {
        for policy in ALL {
            assert!(Policy::parse(policy.document, PolicyKind::Identity).is_ok(), "{}", policy.name);
            assert_eq!(by_name(policy.name).map(|found| found.id), Some(policy.id));
        }
        assert!(ALL.is_sorted_by_key(|policy| policy.name));
        assert_eq!(by_name("AdministratorAccess").map(arn).as_deref(), Some(ADMINISTRATOR));
    }
}
