//! What IAM checks of policies beyond their grammar.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html#policies-grammar-notes-strings>

use std::collections::HashSet;

use super::parse::Source;
use super::policy::InvalidPolicy;

/// Checks a statement of an identity-based or session policy; `sids` are those of the statements before it.
pub(super) fn check(source: &Source, sids: &mut HashSet<String>) -> Result<(), InvalidPolicy> {
    check_sid(&source.sid, sids)?;
    for action in source.actions.iter().filter(|action| *action != "*") {
        let vendor = action.split_once(':').map(|(vendor, _)| vendor);
        let is_vendor = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        match vendor {
            None | Some("") => {
                return Err(InvalidPolicy::new(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                ));
            }
            Some(vendor) if !is_vendor(vendor) => {
                return Err(InvalidPolicy::new(format!("Vendor {vendor} is not valid")));
            }
            Some(_) => {}
        }
        if action.matches(':').count() > 1 {
            return Err(InvalidPolicy::new("Actions/Condition can contain only one colon."));
        }
    }
    source.resources.iter().try_for_each(|resource| check_resource(resource))
}

/// Checks a statement of a trust policy.
pub(super) fn check_trust(source: &Source, sids: &mut HashSet<String>) -> Result<(), InvalidPolicy> {
    check_sid(&source.sid, sids)?;
    let is_sts = |action: &String| action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"));
    if source.actions.iter().all(is_sts) {
        return Ok(());
    }
    Err(InvalidPolicy::new("AssumeRole policy may only specify STS AssumeRole actions."))
}

fn check_sid(sid: &str, sids: &mut HashSet<String>) -> Result<(), InvalidPolicy> {
    if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(InvalidPolicy::new(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ));
    }
    if !sid.is_empty() && !sids.insert(sid.to_owned()) {
        return Err(InvalidPolicy::new("Statement IDs (SID) in a single policy must be unique."));
    }
    Ok(())
}

fn check_resource(resource: &str) -> Result<(), InvalidPolicy> {
    if resource == "*" {
        return Ok(());
    }
    let mut parts = resource.splitn(6, ':');
    let (prefix, partition) = (parts.next(), parts.next());
    let whole = parts.count() == 4 || resource.ends_with('*');
    match partition {
        Some("aws" | "aws-cn" | "aws-us-gov" | "*") if prefix == Some("arn") && whole => Ok(()),
        Some(partition) if prefix == Some("arn") && whole => {
            Err(InvalidPolicy::new(format!("Partition \"{partition}\" is not valid for resource \"{resource}\".")))
        }
        _ => Err(InvalidPolicy::new(format!("Resource {resource} must be in ARN format or \"*\"."))),
    }
}
