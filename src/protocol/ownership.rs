//! Object ownership of a bucket on the wire.

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use crate::object::Ownership;
use crate::rules::acl::Acl;
use crate::rules::ownership;

const X_AMZ_OBJECT_OWNERSHIP: &str = "x-amz-object-ownership";

/// What the creation of a bucket asks for.
///
/// # Errors
/// `InvalidArgument` for a setting that there is not.
pub(super) fn asked(call: &Call<'_>) -> Result<Option<ownership::ObjectOwnership>> {
    let Some(name) = call.header_named(X_AMZ_OBJECT_OWNERSHIP) else { return Ok(None) };
    let ownership = ownership::ObjectOwnership::parse(&name).ok_or_else(|| {
        let message = format!("Invalid {X_AMZ_OBJECT_OWNERSHIP} header: {name}");
        Failure::with_message("InvalidArgument", message).with("ArgumentName", X_AMZ_OBJECT_OWNERSHIP)
    })?;
    Ok(Some(ownership))
}

pub(super) async fn get(
    call: &Call<'_>,
    _: GetBucketOwnershipControlsInput,
) -> Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let Ownership::Set(ownership) = call.access().await?.ownership else {
        return Err(Failure::new("OwnershipControlsNotFoundError").with("BucketName", call.bucket()?.name.clone()));
    };
    let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from_static(ownership.as_str()) }];
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }))
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutBucketOwnershipControlsInput,
) -> Result<S3Response<PutBucketOwnershipControlsOutput>> {
    call.verify_xml_body()?;
    let [rule] = input.ownership_controls.rules.as_slice() else { return Err(malformed_xml()) };
    let ownership = ownership::ObjectOwnership::parse(rule.object_ownership.as_str()).ok_or_else(malformed_xml)?;
    let set = call.objects().set_ownership(&call.bucket()?.name, Ownership::Set(ownership), |bucket, access| {
        let shared = |acl: &Acl| !acl.is_only_for(&bucket.owner);
        if !ownership.has_acls() && access.acl.as_ref().is_some_and(shared) {
            return Err(Failure::new("InvalidBucketAclWithObjectOwnership"));
        }
        Ok(())
    });
    set.await??;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

pub(super) async fn delete(
    call: &Call<'_>,
    _: DeleteBucketOwnershipControlsInput,
) -> Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let removed = call.objects().set_ownership(&call.bucket()?.name, Ownership::Removed, |_, _| Ok::<(), Failure>(()));
    removed.await??;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
}
