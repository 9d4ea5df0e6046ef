//! Attribute-based access control of a bucket: whether conditions on the bucket's tags count.

use s3s::S3Response;
use s3s::dto::{
    AbacStatus, BucketAbacStatus, GetBucketAbacInput, GetBucketAbacOutput, PutBucketAbacInput, PutBucketAbacOutput,
};

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};

pub(super) async fn get(call: &Call<'_>, _: GetBucketAbacInput) -> Result<S3Response<GetBucketAbacOutput>> {
    let enabled = call.access().await?.abac;
    let status = if enabled { BucketAbacStatus::ENABLED } else { BucketAbacStatus::DISABLED };
    let status = AbacStatus { status: Some(BucketAbacStatus::from_static(status)) };
    Ok(S3Response::new(GetBucketAbacOutput { abac_status: Some(status) }))
}

pub(super) async fn put(call: &Call<'_>, input: PutBucketAbacInput) -> Result<S3Response<PutBucketAbacOutput>> {
    call.verify_xml_body()?;
    let enabled = match input.abac_status.status.as_ref().map(BucketAbacStatus::as_str) {
        Some(BucketAbacStatus::ENABLED) => true,
        Some(BucketAbacStatus::DISABLED) => false,
        _ => return Err(malformed_xml()),
    };
    call.objects().set_bucket_abac(&call.bucket()?.name, enabled).await?;
    Ok(S3Response::new(PutBucketAbacOutput {}))
}

/// With attribute-based access control, tags grant access: they are changed by `TagResource` and `UntagResource`, whose
/// permissions are of their own.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html>
///
/// # Errors
/// `InvalidRequest`.
pub(super) async fn refuse_bucket_tagging(call: &Call<'_>) -> Result<()> {
    if !call.access().await?.abac {
        return Ok(());
    }
    let message = "Attribute-based access control (ABAC) is enabled for this bucket. Use TagResource and UntagResource to change its tags.";
    Err(Failure::with_message("InvalidRequest", message))
}
