//! Bucket policies on the wire.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::Call;
use super::tagging::no_content;
use crate::identity;
use crate::object::StoredPolicy;
use crate::rules::acl::Acl;
use crate::rules::iam;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html>
const MAX_POLICY_BYTES: usize = 20 << 10;

fn malformed(message: impl Into<String>) -> Failure {
    Failure::with_message("MalformedPolicy", message)
}

/// Who a policy names cannot be looked up.
fn unreadable(error: identity::Error) -> Failure {
    match error {
        identity::Error::Store(error) => Failure::Object(error.into()),
        error => {
            tracing::error!(%error, "the principals of a policy cannot be looked up");
            Failure::new("InternalError")
        }
    }
}

fn none(call: &Call<'_>) -> Result<Failure> {
    Ok(Failure::new("NoSuchBucketPolicy").with("BucketName", call.bucket()?.name.clone()))
}

pub(super) async fn get(call: &Call<'_>, _: GetBucketPolicyInput) -> Result<S3Response<GetBucketPolicyOutput>> {
    // The text itself: what this release could not read, its owner must still be able to see.
    match call.objects().bucket_policy(call.bucket()?).await? {
        Some(policy) => {
            let shown = call.identities().shown(policy.text, &policy.bound).await.map_err(unreadable)?;
            Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(shown) }))
        }
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
    let bound = call
        .identities()
        .bind(&policy)
        .await
        .map_err(unreadable)?
        .map_err(|who| malformed("Invalid principal in policy").with("Detail", format!("\"AWS\" : \"{who}\"")))?;
    if policy.is_public() {
        // Only what is set now counts; a policy that cannot be read must not keep its successor out.
        let owner = call.decider().account_id(&bucket.owner);
        if call.objects().public_access_block_of(bucket, owner).await?.block_public_policy {
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
    call.objects().set_bucket_policy(&bucket.name, Some(&StoredPolicy { text, bound })).await?;
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
