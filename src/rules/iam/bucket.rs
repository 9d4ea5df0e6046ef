//! What S3 checks of bucket policies beyond their grammar.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>

use std::sync::LazyLock;

use super::parse::Source;
use super::policy::InvalidPolicy;
use super::s3_actions::{ACTIONS, Target};
use super::s3_keys::is_key;
use super::wildcard::Pattern;

/// What a statement's resources can be.
#[derive(Default)]
struct Named {
    bucket: bool,
    object: bool,
}

/// Checks a statement of the policy of `bucket`.
pub(super) fn check(source: &Source, bucket: &str) -> Result<(), InvalidPolicy> {
    let mut named = Named::default();
    for resource in &source.resources {
        let one = read(resource, bucket).ok_or_else(|| InvalidPolicy::new("Policy has invalid resource"))?;
        named = Named { bucket: named.bucket || one.bucket, object: named.object || one.object };
    }
    for action in &source.actions {
        let pattern = Pattern::wild(&action.to_ascii_lowercase());
        let mut targets = lower_case_actions().iter().filter(|(name, _)| pattern.matches(name)).peekable();
        if targets.peek().is_none() {
            return Err(InvalidPolicy::new("Policy has invalid action"));
        }
        let applies = targets.any(|(_, target)| match target {
            Target::Bucket => named.bucket,
            Target::Object => named.object,
            Target::Account => false,
        });
        // What is left by a Not… element is not worth an error.
        if !applies && !source.not_action && !source.not_resource {
            return Err(InvalidPolicy::new("Action does not apply to any resource(s) in statement"));
        }
    }
    match source.keys.iter().find(|key| !is_key(key)) {
        Some(key) => Err(InvalidPolicy::new(format!("Policy has an invalid condition key: {key}"))),
        None => Ok(()),
    }
}

/// S3's actions as patterns are compared with them.
fn lower_case_actions() -> &'static [(String, Target)] {
    static NAMES: LazyLock<Vec<(String, Target)>> = LazyLock::new(|| {
        ACTIONS.iter().map(|(name, target)| (format!("s3:{}", name.to_ascii_lowercase()), *target)).collect()
    });
    &NAMES
}

/// What `resource` can be, if it lies in `bucket`.
fn read(resource: &str, bucket: &str) -> Option<Named> {
    if resource == "*" {
        return Some(Named { bucket: true, object: true });
    }
    let path = resource.strip_prefix("arn:aws:s3:::")?;
    let (name, key) = path.split_once('/').map_or((path, None), |(name, key)| (name, Some(key)));
    if !Pattern::wild(name).matches(bucket) {
        return None;
    }
    // A star in the bucket's place matches keys too.
    Some(Named { bucket: key.is_none(), object: key.is_some() || name.contains('*') })
}
