//! Bucket policies on the wire.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use serde_json::Value;

use super::error::{Failure, Result};
use super::s3::Call;
use super::tagging::no_content;
use crate::identity::records::EntityKind;
use crate::identity::{self, PrincipalRef};
use crate::rules::acl::Acl;
use crate::rules::iam;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html>
const MAX_POLICY_BYTES: usize = 20 << 10;

fn malformed(message: impl Into<String>) -> Failure {
    Failure::with_message("MalformedPolicy", message)
}

fn none(call: &Call<'_>) -> Result<Failure> {
    Ok(Failure::new("NoSuchBucketPolicy").with("BucketName", call.bucket()?.name.clone()))
}

pub(super) async fn get(call: &Call<'_>, _: GetBucketPolicyInput) -> Result<S3Response<GetBucketPolicyOutput>> {
    // The text itself: what this release could not read, its owner must still be able to see.
    match call.objects().bucket_policy(call.bucket()?).await? {
        Some(policy) => Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) })),
        None => Err(none(call)?),
    }
}

pub(super) async fn put(call: &Call<'_>, input: PutBucketPolicyInput) -> Result<S3Response<PutBucketPolicyOutput>> {
    call.verify_xml_body()?;
    let bucket = call.bucket()?;
    let text = input.policy;
    if text.len() > MAX_POLICY_BYTES {
        let message =
            format!("Normalized policy document exceeds the maximum allowed size of {MAX_POLICY_BYTES} bytes.");
        return Err(malformed(message));
    }
    let kind = iam::PolicyKind::Bucket { bucket: &bucket.name };
    let policy = iam::Policy::parse(&text, kind).map_err(|error| malformed(error.message))?;
    check_principals(call, &text).await?;
    if policy.is_public() {
        // Only what is set now counts; a policy that cannot be read must not keep its successor out.
        let owner = call.decider().account_id(&bucket.owner);
        if call.objects().public_access_block_of(bucket, &owner).await?.block_public_policy {
            let message = "Public policies are blocked for this bucket by Block Public Access.";
            return Err(Failure::with_message("AccessDenied", message));
        }
    }
    let confirmed = input.confirm_remove_self_bucket_access == Some(true);
    if !confirmed && call.decider().locks_out(&call.asking(), bucket, &policy)? {
        let message =
            "This policy would deny you to change it again. Confirm with x-amz-confirm-remove-self-bucket-access.";
        return Err(Failure::with_message("AccessDenied", message));
    }
    call.objects().set_bucket_policy(&bucket.name, Some(text)).await?;
    Ok(no_content(PutBucketPolicyOutput::default()))
}

pub(super) async fn delete(
    call: &Call<'_>,
    _: DeleteBucketPolicyInput,
) -> Result<S3Response<DeleteBucketPolicyOutput>> {
    call.objects().set_bucket_policy(&call.bucket()?.name, None).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
}

/// Whether the bucket is public, by its policy or by its access control list.
pub(super) async fn status(
    call: &Call<'_>,
    _: GetBucketPolicyStatusInput,
) -> Result<S3Response<GetBucketPolicyStatusOutput>> {
    let access = call.access().await?;
    let by_policy = access.policy.as_ref().is_some_and(|policy| policy.public);
    let by_acl = access.ownership.effective().has_acls() && access.acl.as_ref().is_some_and(Acl::is_public);
    let is_public = by_policy || (by_acl && !call.public_access_block(&access).await?.ignore_public_acls);
    let policy_status = Some(PolicyStatus { is_public: Some(is_public) });
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
}

/// Users and roles that a policy names must exist, if their account is one of this server's: a name that is free would
/// give whoever takes it later what was meant for another.
async fn check_principals(call: &Call<'_>, text: &str) -> Result<()> {
    let document: Value = serde_json::from_str(text).map_err(|_| malformed("This policy contains invalid Json"))?;
    for arn in named_principals(&document) {
        if !exists(call, arn).await? {
            return Err(malformed("Invalid principal in policy").with("Detail", format!("\"AWS\" : \"{arn}\"")));
        }
    }
    Ok(())
}

/// Whether there is the user or role of this ARN. Of accounts that this server does not have nothing is known.
async fn exists(call: &Call<'_>, arn: &str) -> Result<bool> {
    let Some((account, of)) = principal_of(arn) else { return Ok(true) };
    if call.accounts().by_id(account).is_none() {
        return Ok(true);
    }
    match call.identities().principal(account, &of).await {
        Ok(_) => Ok(true),
        Err(identity::Error::Refused { .. }) => Ok(false),
        Err(identity::Error::Store(error)) => Err(Failure::Object(error.into())),
        Err(_) => Err(Failure::new("InternalError")),
    }
}

/// The account and the user or role in it that an ARN names; of a role's session, the role.
fn principal_of(arn: &str) -> Option<(&str, PrincipalRef)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (_service, _region) = (parts.next()?, parts.next()?);
    let (account, resource) = (parts.next()?, parts.next()?);
    let (kind, path) = resource.split_once('/')?;
    let (kind, name) = match kind {
        "user" => (EntityKind::User, path.rsplit('/').next()?),
        "role" => (EntityKind::Role, path.rsplit('/').next()?),
        "assumed-role" => (EntityKind::Role, path.split('/').next()?),
        _ => return None,
    };
    Some((account, PrincipalRef { kind, name: name.to_owned() }))
}

/// The ARNs under `Principal` and `NotPrincipal` that name one user, role or session.
fn named_principals(document: &Value) -> Vec<&str> {
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let principals =
        statements.iter().flat_map(|statement| [statement.get("Principal"), statement.get("NotPrincipal")]);
    let values = principals.flatten().filter_map(|principal| principal.get("AWS"));
    let arns = values.flat_map(|value| match value {
        Value::Array(values) => values.iter().collect::<Vec<_>>(),
        one => vec![one],
    });
    arns.filter_map(Value::as_str).filter(|text| text.starts_with("arn:") && !text.ends_with(":root")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principals_that_must_exist() {
        let document = serde_json::json!({"Statement": [
            {"Principal": "*"},
            {"Principal": {"AWS": "*"}},
            {"Principal": {"AWS": ["111111111111", "arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:user/a"]}},
            {"NotPrincipal": {"AWS": "arn:aws:iam::111111111111:role/b", "Service": "logging.s3.amazonaws.com"}},
        ]});
        let expected = ["arn:aws:iam::111111111111:user/a", "arn:aws:iam::111111111111:role/b"];
        assert_eq!(named_principals(&document), expected);
        assert!(named_principals(&serde_json::json!({})).is_empty());
        let role = |name: &str| PrincipalRef { kind: EntityKind::Role, name: name.to_owned() };
        let user = PrincipalRef { kind: EntityKind::User, name: "b".to_owned() };
        assert_eq!(principal_of("arn:aws:iam::111111111111:user/a/b"), Some(("111111111111", user)));
        assert_eq!(principal_of("arn:aws:iam::111111111111:role/c"), Some(("111111111111", role("c"))));
        assert_eq!(principal_of("arn:aws:sts::111111111111:assumed-role/c/s"), Some(("111111111111", role("c"))));
        assert_eq!(principal_of("arn:aws:sts::111111111111:federated-user/x"), None);
    }
}
