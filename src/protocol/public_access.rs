//! Block Public Access of a bucket on the wire; an account's own is in `account_control`.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::Call;
use crate::rules::public_access::PublicAccessBlock;

/// The settings as S3 writes them.
pub(super) fn written(block: PublicAccessBlock) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration {
        block_public_acls: Some(block.block_public_acls),
        ignore_public_acls: Some(block.ignore_public_acls),
        block_public_policy: Some(block.block_public_policy),
        restrict_public_buckets: Some(block.restrict_public_buckets),
    }
}

/// The settings as a client writes them: what it does not say is off.
pub(super) fn read(configuration: &PublicAccessBlockConfiguration) -> PublicAccessBlock {
    PublicAccessBlock {
        block_public_acls: configuration.block_public_acls.unwrap_or(false),
        ignore_public_acls: configuration.ignore_public_acls.unwrap_or(false),
        block_public_policy: configuration.block_public_policy.unwrap_or(false),
        restrict_public_buckets: configuration.restrict_public_buckets.unwrap_or(false),
    }
}

pub(super) async fn get(
    call: &Call<'_>,
    _: GetPublicAccessBlockInput,
) -> Result<S3Response<GetPublicAccessBlockOutput>> {
    let Some(block) = call.access().await?.public_access_block else {
        let missing = Failure::new("NoSuchPublicAccessBlockConfiguration");
        return Err(missing.with("BucketName", call.bucket()?.name.clone()));
    };
    let configuration = written(block);
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(configuration) }))
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutPublicAccessBlockInput,
) -> Result<S3Response<PutPublicAccessBlockOutput>> {
    call.verify_xml_body()?;
    let block = read(&input.public_access_block_configuration);
    call.objects().set_public_access_block(&call.bucket()?.name, Some(block)).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

pub(super) async fn delete(
    call: &Call<'_>,
    _: DeletePublicAccessBlockInput,
) -> Result<S3Response<DeletePublicAccessBlockOutput>> {
    call.objects().set_public_access_block(&call.bucket()?.name, None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
}
