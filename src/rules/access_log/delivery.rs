//! Whether the target's owner lets the log be written: by the bucket's policy, or by a grant to the log delivery group.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html#grant-log-delivery-permissions-general>

use crate::rules::acl::{Acl, Grantee, Group, Permission};
use crate::rules::iam::{self, Context, Named, Policies, Policy, Principal, Request, Verdict};

/// By which policies name the service that delivers logs.
pub const DELIVERY_SERVICE: &str = "logging.s3.amazonaws.com";

/// A delivery: what is written where, and whose log it is.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The target bucket's name.
    pub target_bucket: &'a str,
    /// The key of the object to write.
    pub key: &'a str,
    /// The bucket whose requests are logged.
    pub source_bucket: &'a str,
    /// The 12-digit id of the account that owns both.
    pub account: &'a str,
}

/// Whether it may be made. `acl` is the target's list, where lists count there. What the policy denies, no list grants.
#[must_use]
pub fn may_deliver(delivery: Delivery<'_>, policy: Option<&Policy>, acl: Option<&Acl>) -> bool {
    let mut context = Context::new();
    context.insert("aws:sourcearn", format!("arn:aws:s3:::{}", delivery.source_bucket));
    context.insert("aws:sourceaccount", delivery.account);
    context.insert("aws:principalisawsservice", "true");
    context.insert("aws:principalservicename", DELIVERY_SERVICE);
    context.insert("aws:securetransport", "true");
    let resource = format!("arn:aws:s3:::{}/{}", delivery.target_bucket, delivery.key);
    let principal = Principal::Service(DELIVERY_SERVICE.to_owned());
    let request = Request { principal: &principal, action: "s3:PutObject", resource: &resource, context: &context };
    let policies = Policies {
        identity: &[],
        boundary: None,
        session: None,
        resource: policy.map(|policy| Named { name: "the bucket policy", policy }),
        resource_account: delivery.account,
        granted_by_owner: false,
    };
    match iam::decide(&request, &policies) {
        Verdict::Allowed { .. } => true,
        Verdict::Denied { .. } => false,
        Verdict::NotAllowed => acl.is_some_and(grants_delivery),
    }
}

fn grants_delivery(acl: &Acl) -> bool {
    let delivers = |grantee: &Grantee| *grantee == Grantee::Group(Group::LogDelivery);
    let writes = |permission| matches!(permission, Permission::Write | Permission::FullControl);
    acl.0.iter().any(|grant| delivers(&grant.grantee) && writes(grant.permission))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::acl::Canned;
    use crate::rules::iam::PolicyKind;

    const DELIVERY: Delivery<'_> =
        Delivery { target_bucket: "logs", key: "p/x", source_bucket: "src", account: "111122223333" };

    fn policy(effect: &str, resource: &str, source: &str) -> Policy {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{{"Service":"{DELIVERY_SERVICE}"}},
            "Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/{resource}","Condition":{{
            "ArnLike":{{"aws:SourceArn":"arn:aws:s3:::{source}"}},"StringEquals":{{"aws:SourceAccount":"111122223333"}}}}}}]}}"#
        );
        Policy::parse(&text, PolicyKind::Bucket { bucket: "logs" }).expect("a policy")
    }

    #[test]
    fn a_policy_or_a_grant_lets_the_log_in() {
        assert!(!may_deliver(DELIVERY, None, None));
        assert!(may_deliver(DELIVERY, Some(&policy("Allow", "p/*", "src")), None));
        assert!(!may_deliver(DELIVERY, Some(&policy("Allow", "q/*", "src")), None));
        assert!(!may_deliver(DELIVERY, Some(&policy("Allow", "p/*", "other")), None));
        let list = Canned::LogDeliveryWrite.acl("owner", "owner");
        assert!(may_deliver(DELIVERY, None, Some(&list)));
        assert!(!may_deliver(DELIVERY, None, Some(&Acl::private("owner"))));
        assert!(!may_deliver(DELIVERY, Some(&policy("Deny", "p/*", "src")), Some(&list)), "a denial wins");
    }
}
