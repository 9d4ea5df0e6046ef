//! Access control lists. Every bucket here is as S3 makes new ones: ownership is `BucketOwnerEnforced`, ACLs are
//! disabled, reading one shows that the owner has full control, and setting one is refused.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html>

#![expect(clippy::unused_async, reason = "all handlers have one shape, and some have nothing to wait for")]

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::convert;
use super::error::{Failure, Result};
use super::s3::Call;

fn full_control(owner: &Owner) -> Grants {
    let grantee = Grantee {
        id: owner.id.clone(),
        display_name: owner.display_name.clone(),
        email_address: None,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    vec![Grant { grantee: Some(grantee), permission: Some(Permission::from_static(Permission::FULL_CONTROL)) }]
}

pub(super) async fn bucket(call: &Call<'_>, _: GetBucketAclInput) -> Result<S3Response<GetBucketAclOutput>> {
    let owner = convert::owner(call.accounts(), &call.bucket()?.owner);
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(full_control(&owner)), owner: Some(owner) }))
}

pub(super) async fn object(call: &Call<'_>, input: GetObjectAclInput) -> Result<S3Response<GetObjectAclOutput>> {
    let bucket = call.bucket()?;
    let version = convert::version(input.version_id.as_deref())?;
    // Whether the object exists is part of the answer.
    call.objects().object_tags(bucket, &input.key, version).await?;
    let owner = convert::owner(call.accounts(), &bucket.owner);
    let output = GetObjectAclOutput { grants: Some(full_control(&owner)), owner: Some(owner), ..Default::default() };
    Ok(S3Response::new(output))
}

/// An ACL that says what is the case anyway is accepted: clients write back what they have read. Every other is
/// refused, canned ones included, as S3 does where ACLs are disabled.
fn accept(call: &Call<'_>, policy: Option<&AccessControlPolicy>) -> Result<()> {
    let owner = &call.bucket()?.owner;
    let grants = policy.and_then(|policy| policy.grants.as_deref()).unwrap_or_default();
    let is_owners = |grant: &Grant| {
        let full = grant.permission.as_ref().is_some_and(|permission| permission.as_str() == Permission::FULL_CONTROL);
        full && grant.grantee.as_ref().and_then(|grantee| grantee.id.as_ref()) == Some(owner)
    };
    if !grants.is_empty() && grants.iter().all(is_owners) {
        return Ok(());
    }
    Err(Failure::new("AccessControlListNotSupported"))
}

pub(super) async fn set_bucket(call: &Call<'_>, input: PutBucketAclInput) -> Result<S3Response<PutBucketAclOutput>> {
    accept(call, input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(super) async fn set_object(call: &Call<'_>, input: PutObjectAclInput) -> Result<S3Response<PutObjectAclOutput>> {
    let version = convert::version(input.version_id.as_deref())?;
    // Whether the object exists is part of the answer.
    call.objects().object_tags(call.bucket()?, &input.key, version).await?;
    accept(call, input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

pub(super) async fn ownership(
    _: &Call<'_>,
    _: GetBucketOwnershipControlsInput,
) -> Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let object_ownership = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
    let rules = vec![OwnershipControlsRule { object_ownership }];
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls: Some(OwnershipControls { rules }) }))
}
