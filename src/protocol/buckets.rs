//! Buckets: creation, listing, deletion, location, versioning.

#![expect(clippy::unused_async, reason = "all handlers have one shape, and some have nothing to wait for")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::{BucketRecord, Versioning};

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use super::{acl, convert, object_lock, ownership};
use crate::object::{BucketCreated, ListBuckets, NewBucketAccess};
use crate::rules::{Code, Refusal, tagging};

/// The most buckets on a page, and the default. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>
const MAX_BUCKETS: i32 = 10_000;

fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

pub(super) async fn create(call: &Call<'_>, input: CreateBucketInput) -> Result<S3Response<CreateBucketOutput>> {
    call.verify_xml_body()?;
    let configuration = input.create_bucket_configuration.unwrap_or_default();
    if configuration.bucket.is_some() || configuration.location.is_some() {
        return Err(Failure::with_message("NotImplemented", "Directory buckets are not implemented."));
    }
    let tags = convert::tags(configuration.tags.unwrap_or_default())?;
    tagging::check(tagging::Tagged::NewBucket, &tags)?;
    let location = configuration.location_constraint.as_ref().map(BucketLocationConstraint::as_str);
    let owner = call.owner()?;
    let ownership = ownership::asked(call)?;
    let acl = acl::of_new_bucket(call, ownership.unwrap_or(call.objects().default_ownership()))?;
    let object_lock = object_lock::asked_of_new_bucket(input.object_lock_enabled_for_bucket);
    let access = NewBucketAccess { ownership, acl, tags, object_lock };
    match call.objects().create_bucket(&owner, &input.bucket, location, access.clone()).await? {
        BucketCreated::New => {}
        // Creating again changes nothing but the access control list, and is refused where it would change more.
        BucketCreated::AlreadyYours => call.objects().reset_bucket_acl(&input.bucket, access.acl.as_ref()).await?,
    }
    let output =
        CreateBucketOutput { bucket_arn: Some(arn(&input.bucket)), location: Some(format!("/{}", input.bucket)) };
    Ok(S3Response::new(output))
}

pub(super) async fn head(call: &Call<'_>, _: HeadBucketInput) -> Result<S3Response<HeadBucketOutput>> {
    let bucket = call.bucket()?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_arn: Some(arn(&bucket.name)),
        bucket_region: Some(bucket.region.clone()),
        access_point_alias: Some(false),
        ..Default::default()
    }))
}

pub(super) async fn list(call: &Call<'_>, input: ListBucketsInput) -> Result<S3Response<ListBucketsOutput>> {
    let owner = call.owner()?;
    let asked = input.max_buckets.unwrap_or(MAX_BUCKETS);
    let limit = usize::try_from(asked).ok().filter(|limit| (1..=MAX_BUCKETS as usize).contains(limit));
    let limit = limit.ok_or_else(|| {
        let message = format!("Argument max-buckets must be an integer between 1 and {MAX_BUCKETS}");
        Refusal::invalid_argument("max-buckets", &asked.to_string(), message)
    })?;
    let after = match input.continuation_token.as_deref() {
        None | Some("") => None,
        Some(token) => Some(name_after(token)?),
    };
    if let Some(region) = input.bucket_region.as_deref().filter(|region| !is_region(region)) {
        let message = format!("Argument value {region} is not a valid AWS Region");
        return Err(Failure::with_message("InvalidArgument", message).with("ArgumentName", "bucket-region"));
    }
    let prefix = input.prefix.unwrap_or_default();
    let request =
        ListBuckets { owner: owner.clone(), prefix: prefix.clone(), after, limit, region: input.bucket_region };
    let page = call.objects().list_buckets(request).await?;
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(page.buckets.iter().map(listed).collect()),
        continuation_token: page.next.map(|name| BASE64.encode(name)),
        owner: Some(convert::owner(call.accounts(), &owner)),
        prefix: Some(convert::xml_text(&prefix)).filter(|prefix| !prefix.is_empty()),
    }))
}

fn listed(bucket: &BucketRecord) -> Bucket {
    Bucket {
        bucket_arn: Some(arn(&bucket.name)),
        bucket_region: Some(bucket.region.clone()),
        creation_date: Some(convert::timestamp(bucket.created)),
        name: Some(bucket.name.clone()),
    }
}

fn name_after(token: &str) -> Result<String> {
    let name = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| {
        let message = "The continuation token provided is incorrect";
        Failure::with_message("InvalidArgument", message).with("ArgumentName", "continuation-token")
    })
}

/// Whether the text is one of AWS's regions in form: an area, a direction, a number. A server may have a region of
/// another form; its buckets are then listed without this parameter.
fn is_region(text: &str) -> bool {
    let mut parts = text.rsplitn(3, '-');
    let number = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let directions = ["north", "south", "east", "west", "central", "northeast", "northwest", "southeast", "southwest"];
    let direction = parts.next().is_some_and(|part| directions.contains(&part));
    let areas = ["af", "ap", "ca", "cn", "eu", "il", "me", "mx", "sa", "us", "us-gov", "us-iso", "us-isob"];
    let area = parts.next().is_some_and(|part| areas.contains(&part));
    // Europe has no east (AWS, "Regions and Availability Zones").
    number && direction && area && !text.starts_with("eu-east-")
}

pub(super) async fn delete(call: &Call<'_>, input: DeleteBucketInput) -> Result<S3Response<DeleteBucketOutput>> {
    if input.force_delete == Some(true) {
        return Err(Failure::with_message("NotImplemented", "Deleting a bucket with its objects is not implemented."));
    }
    call.objects().delete_bucket(&call.bucket()?.name).await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(super) async fn location(
    call: &Call<'_>,
    _: GetBucketLocationInput,
) -> Result<S3Response<GetBucketLocationOutput>> {
    // The first region is written as nothing.
    let region = Some(&call.bucket()?.region).filter(|region| *region != "us-east-1");
    let location_constraint = region.map(|region| BucketLocationConstraint::from(region.clone()));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

pub(super) async fn versioning(
    call: &Call<'_>,
    _: GetBucketVersioningInput,
) -> Result<S3Response<GetBucketVersioningOutput>> {
    let status = match call.bucket()?.versioning {
        Versioning::Unversioned => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
}

pub(super) async fn set_versioning(
    call: &Call<'_>,
    input: PutBucketVersioningInput,
) -> Result<S3Response<PutBucketVersioningOutput>> {
    call.verify_xml_body()?;
    let configuration = input.versioning_configuration;
    let asks_for_mfa = |mfa: &MFADelete| mfa.as_str() == MFADelete::ENABLED;
    if configuration.mfa_delete.as_ref().is_some_and(asks_for_mfa)
        || configuration.excluded_prefixes.is_some()
        || configuration.exclude_folders == Some(true)
    {
        let message = "MFA delete and exclusions from versioning are not implemented.";
        return Err(Failure::with_message("NotImplemented", message));
    }
    let versioning = match configuration.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) => return Err(malformed_xml()),
        None => return Err(Code::IllegalVersioningConfigurationException.into()),
    };
    call.objects().set_versioning(&call.bucket()?.name, versioning).await?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_known_by_their_form() {
        for good in ["us-east-1", "eu-central-1", "us-gov-west-1", "ap-southeast-3"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "eu-east-1", "us-east", "us-east-x", "mars-east-1", "useast1"] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_is_a_name_and_nothing_else() {
        assert_eq!(name_after(&BASE64.encode("bucket")).ok().as_deref(), Some("bucket"));
        assert!(name_after("!").is_err());
    }
}
