//! What "public" means for Block Public Access.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>

use ipnet::IpNet;

use super::arn::{Arn, ArnPattern};
use super::condition::{Condition, Set};
use super::operators::Test;
use super::principal::{PrincipalId, Principals};
use super::statement::Statement;
use super::variables::Template;

/// Keys whose fixed values make a grant private.
const PRIVATE_KEYS: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Whether a statement that allows, allows the public.
pub(super) fn is_public(statement: &Statement) -> bool {
    !statement.principals.as_ref().is_some_and(are_fixed) && !statement.conditions.iter().any(limits)
}

/// Whoever has an account at an identity provider is the public.
fn are_fixed(principals: &Principals) -> bool {
    let public = |id: &PrincipalId| matches!(id, PrincipalId::Everyone | PrincipalId::Federated(_));
    !principals.ids.iter().any(public)
}

/// Whether a condition limits a statement to fixed values. One that holds where the key is missing limits nobody.
fn limits(condition: &Condition) -> bool {
    if condition.negated || condition.if_exists || condition.set == Set::All {
        return false;
    }
    let is_private_key = PRIVATE_KEYS.contains(&&*condition.key);
    match &condition.test {
        Test::Address(networks) => condition.key == "aws:sourceip" && networks.iter().all(is_narrow),
        Test::Text(templates) if condition.key == "s3:dataaccesspointarn" => templates.iter().all(is_of_one_account),
        Test::Text(templates) => is_private_key && templates.iter().all(is_fixed),
        Test::Arn(patterns) if condition.key == "s3:dataaccesspointarn" => {
            patterns.iter().all(|pattern| match pattern {
                ArnPattern::Parts(parts) => is_fixed(&parts[3]),
                ArnPattern::Whole(_) => false,
            })
        }
        Test::Arn(patterns) => is_private_key && patterns.iter().flat_map(ArnPattern::templates).all(is_fixed),
        _ => false,
    }
}

fn is_fixed(template: &Template) -> bool {
    template.literal().is_some()
}

/// Wider ranges are the public.
fn is_narrow(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() >= 8,
        IpNet::V6(network) => network.prefix_len() >= 32,
    }
}

/// An access point's name may be wild, its account may not.
fn is_of_one_account(template: &Template) -> bool {
    Arn::parse(template.start()).is_some_and(|arn| !arn.account.is_empty())
}
