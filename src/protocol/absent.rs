//! Reads of features that no bucket here has: the answer that S3 gives for a bucket without them. Clients ask these of
//! every bucket, and "there is none" is the truth. What would set one of them is refused with `NotImplemented`.

#![expect(clippy::unused_async, reason = "all handlers have one shape, and some have nothing to wait for")]

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;

use super::error::{Failure, Result};
use super::s3::Call;

type Answer<T> = Result<S3Response<T>>;

fn none<T>(call: &Call<'_>, code: &'static str) -> Answer<T> {
    Err(Failure::new(code).with("BucketName", call.bucket()?.name.clone()))
}

macro_rules! absent {
    ($($name:ident($input:ident) -> $output:ident: $code:literal;)*) => {
        $(pub(super) async fn $name(call: &Call<'_>, _: $input) -> Answer<$output> {
            none(call, $code)
        })*
    };
}

absent! {
    replication(GetBucketReplicationInput) -> GetBucketReplicationOutput: "ReplicationConfigurationNotFoundError";
    analytics_one(GetBucketAnalyticsConfigurationInput) -> GetBucketAnalyticsConfigurationOutput: "NoSuchConfiguration";
    intelligent_tiering_one(GetBucketIntelligentTieringConfigurationInput) -> GetBucketIntelligentTieringConfigurationOutput: "NoSuchConfiguration";
    inventory_one(GetBucketInventoryConfigurationInput) -> GetBucketInventoryConfigurationOutput: "NoSuchConfiguration";
    metrics_one(GetBucketMetricsConfigurationInput) -> GetBucketMetricsConfigurationOutput: "NoSuchConfiguration";
}

macro_rules! empty {
    ($($name:ident($input:ident) -> $output:ident;)*) => {
        $(pub(super) async fn $name(_: &Call<'_>, _: $input) -> Answer<$output> {
            Ok(S3Response::new($output::default()))
        })*
    };
}

empty! {
    acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
}

pub(super) async fn request_payment(
    _: &Call<'_>,
    _: GetBucketRequestPaymentInput,
) -> Answer<GetBucketRequestPaymentOutput> {
    let payer = Some(Payer::from_static(Payer::BUCKET_OWNER));
    Ok(S3Response::new(GetBucketRequestPaymentOutput { payer }))
}

macro_rules! empty_lists {
    ($($name:ident($input:ident) -> $output:ident;)*) => {
        $(pub(super) async fn $name(_: &Call<'_>, _: $input) -> Answer<$output> {
            Ok(S3Response::new($output { is_truncated: Some(false), ..Default::default() }))
        })*
    };
}

empty_lists! {
    analytics(ListBucketAnalyticsConfigurationsInput) -> ListBucketAnalyticsConfigurationsOutput;
    intelligent_tiering(ListBucketIntelligentTieringConfigurationsInput) -> ListBucketIntelligentTieringConfigurationsOutput;
    inventory(ListBucketInventoryConfigurationsInput) -> ListBucketInventoryConfigurationsOutput;
    metrics(ListBucketMetricsConfigurationsInput) -> ListBucketMetricsConfigurationsOutput;
}
