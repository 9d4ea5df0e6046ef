//! Block Public Access: what a bucket, or its whole account, never lets the public have.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use serde::{Deserialize, Serialize};

/// The four settings. Stored: the order of the fields is part of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "S3's four settings, each on its own")]
pub struct PublicAccessBlock {
    /// `BlockPublicAcls`: refuses to set a public access control list.
    pub block_public_acls: bool,
    /// `IgnorePublicAcls`: public grants of access control lists grant nothing.
    pub ignore_public_acls: bool,
    /// `BlockPublicPolicy`: refuses to set a public bucket policy.
    pub block_public_policy: bool,
    /// `RestrictPublicBuckets`: a bucket with a public policy is only for its own account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// The bucket's settings and its account's together: each is as the more restrictive of the two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_settings_the_more_restrictive_counts() {
        let acls = PublicAccessBlock { block_public_acls: true, ignore_public_acls: true, ..Default::default() };
        let policies =
            PublicAccessBlock { block_public_policy: true, restrict_public_buckets: true, ..Default::default() };
        let all = PublicAccessBlock {
            block_public_acls: true,
            ignore_public_acls: true,
            block_public_policy: true,
            restrict_public_buckets: true,
        };
        assert_eq!(acls.and(policies), all);
        assert_eq!(acls.and(PublicAccessBlock::default()), acls);
        assert_eq!(PublicAccessBlock::default().and(policies), policies);
    }
}
