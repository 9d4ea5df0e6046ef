//! Tags of buckets and objects.

use http::StatusCode;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::Call;
use super::{abac, convert};
use crate::object::{Addressed, Error, EventName};
use crate::rules::{Code, Refusal};

pub(super) async fn bucket(call: &Call<'_>, _: GetBucketTaggingInput) -> Result<S3Response<GetBucketTaggingOutput>> {
    let tags = call.objects().bucket_tags(&call.bucket()?.name).await?;
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: convert::tag_set(tags) }))
}

/// S3 answers 204, where s3s would answer 200.
pub(super) fn no_content<T>(output: T) -> S3Response<T> {
    let mut response = S3Response::new(output);
    response.extensions.insert(StatusCode::NO_CONTENT);
    response
}

pub(super) async fn set_bucket(
    call: &Call<'_>,
    input: PutBucketTaggingInput,
) -> Result<S3Response<PutBucketTaggingOutput>> {
    call.verify_xml_body()?;
    abac::refuse_bucket_tagging(call).await?;
    let tags = convert::tags(input.tagging.tag_set)?;
    let name = &call.bucket()?.name;
    if tags.is_empty() {
        call.objects().delete_bucket_tags(name).await?;
    } else {
        call.objects().set_bucket_tags(name, tags).await?;
    }
    Ok(no_content(PutBucketTaggingOutput::default()))
}

pub(super) async fn delete_bucket(
    call: &Call<'_>,
    _: DeleteBucketTaggingInput,
) -> Result<S3Response<DeleteBucketTaggingOutput>> {
    abac::refuse_bucket_tagging(call).await?;
    call.objects().delete_bucket_tags(&call.bucket()?.name).await?;
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}

/// To tagging, a delete marker is refused in the same way however it was come upon.
pub(super) fn refused(error: Error) -> Failure {
    match error {
        Error::DeleteMarker { key, version, modified, .. } => {
            Error::DeleteMarker { key, version, modified, addressed: Addressed::Version }.into()
        }
        other => other.into(),
    }
}

pub(super) async fn object(
    call: &Call<'_>,
    input: GetObjectTaggingInput,
) -> Result<S3Response<GetObjectTaggingOutput>> {
    let version = convert::version(input.version_id.as_deref())?;
    let bucket = call.bucket()?;
    let found = call.objects().object_tags(bucket, &input.key, version).await;
    let (tags, label) = found.map_err(|error| match error {
        // In this one answer S3 writes the bucket before the key.
        Error::Refused(refusal) if refusal.code == Code::NoSuchKey => {
            Refusal::no_such_key(&format!("{}/{}", bucket.name, input.key)).into()
        }
        error => refused(error),
    })?;
    let version_id = label.map(|label| label.to_string());
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: convert::tag_set(tags), version_id }))
}

pub(super) async fn set_object(
    call: &Call<'_>,
    input: PutObjectTaggingInput,
) -> Result<S3Response<PutObjectTaggingOutput>> {
    call.verify_xml_body()?;
    let version = convert::version(input.version_id.as_deref())?;
    let tags = convert::tags(input.tagging.tag_set)?;
    let cause = call.cause(EventName::ObjectTaggingPut);
    let set = call.objects().set_object_tags(call.bucket()?, &input.key, version, tags, &cause).await;
    let label = set.map_err(refused)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: label.map(|label| label.to_string()) }))
}

pub(super) async fn delete_object(
    call: &Call<'_>,
    input: DeleteObjectTaggingInput,
) -> Result<S3Response<DeleteObjectTaggingOutput>> {
    let version = convert::version(input.version_id.as_deref())?;
    let cause = call.cause(EventName::ObjectTaggingDelete);
    let removed = call.objects().set_object_tags(call.bucket()?, &input.key, version, Vec::new(), &cause).await;
    let label = removed.map_err(refused)?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: label.map(|label| label.to_string()) }))
}
