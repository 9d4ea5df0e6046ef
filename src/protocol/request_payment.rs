//! Who pays for requests, and transfer acceleration: a bucket here is as one of Amazon's where both are off.

#![expect(clippy::unused_async, reason = "all handlers have one shape, and some have nothing to wait for")]

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};

/// The bucket's owner pays. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html>
pub(super) async fn put(
    call: &Call<'_>,
    input: PutBucketRequestPaymentInput,
) -> Result<S3Response<PutBucketRequestPaymentOutput>> {
    call.verify_xml_body()?;
    match input.request_payment_configuration.payer.as_str() {
        Payer::BUCKET_OWNER => Ok(S3Response::new(PutBucketRequestPaymentOutput::default())),
        Payer::REQUESTER => {
            let message = "Nobody pays for requests here: the payer can only be BucketOwner.";
            Err(Failure::with_message("NotImplemented", message))
        }
        _ => Err(malformed_xml()),
    }
}

/// Acceleration is suspended. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAccelerateConfiguration.html>
pub(super) async fn put_acceleration(
    call: &Call<'_>,
    input: PutBucketAccelerateConfigurationInput,
) -> Result<S3Response<PutBucketAccelerateConfigurationOutput>> {
    call.verify_xml_body()?;
    if call.bucket()?.name.contains('.') {
        let message = "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names";
        return Err(Failure::with_message("InvalidRequest", message));
    }
    match input.accelerate_configuration.status.as_ref().map(BucketAccelerateStatus::as_str) {
        Some(BucketAccelerateStatus::SUSPENDED) => {
            Ok(S3Response::new(PutBucketAccelerateConfigurationOutput::default()))
        }
        Some(BucketAccelerateStatus::ENABLED) => {
            let message = "Transfer acceleration needs a network of edge locations: the status can only be Suspended.";
            Err(Failure::with_message("NotImplemented", message))
        }
        _ => Err(malformed_xml()),
    }
}
