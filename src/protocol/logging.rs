//! How a bucket's requests are logged, on the wire.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::BucketRecord;

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use super::{acl, convert};
use crate::object;
use crate::rules::Code;
use crate::rules::access_log::{DateSource, KeyFormat, Logging};
use crate::rules::acl::{Grant, Grantee as Granted, MAX_GRANTS, Permission};

pub(super) async fn get(call: &Call<'_>, _: GetBucketLoggingInput) -> Result<S3Response<GetBucketLoggingOutput>> {
    let logging = call.objects().bucket_logging(call.bucket()?).await?;
    let logging_enabled = logging.map(|logging| written(call, &logging));
    Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled }))
}

fn written(call: &Call<'_>, logging: &Logging) -> LoggingEnabled {
    let grants: Vec<_> = logging.target_grants.iter().map(|grant| written_grant(call, grant)).collect();
    let key_format = logging.key_format.map(|format| match format {
        KeyFormat::Simple => {
            TargetObjectKeyFormat { simple_prefix: Some(SimplePrefix::default()), ..Default::default() }
        }
        KeyFormat::Partitioned(source) => {
            let source = Some(PartitionDateSource::from_static(source.as_str()));
            let partitioned = PartitionedPrefix { partition_date_source: source };
            TargetObjectKeyFormat { partitioned_prefix: Some(partitioned), ..Default::default() }
        }
    });
    LoggingEnabled {
        target_bucket: logging.target_bucket.clone(),
        target_grants: Some(grants).filter(|grants| !grants.is_empty()),
        target_object_key_format: key_format,
        target_prefix: logging.target_prefix.clone(),
    }
}

fn written_grant(call: &Call<'_>, grant: &Grant) -> TargetGrant {
    let (owner, kind, uri) = match &grant.grantee {
        Granted::Account(id) => (convert::owner(call.accounts(), id), Type::CANONICAL_USER, None),
        Granted::Group(group) => (Owner::default(), Type::GROUP, Some(group.uri().to_owned())),
    };
    let grantee = Grantee {
        id: owner.id,
        display_name: owner.display_name,
        email_address: None,
        type_: Type::from_static(kind),
        uri,
    };
    let permission = Some(BucketLogsPermission::from_static(grant.permission.as_str()));
    TargetGrant { grantee: Some(grantee), permission }
}

pub(super) async fn put(call: &Call<'_>, input: PutBucketLoggingInput) -> Result<S3Response<PutBucketLoggingOutput>> {
    call.verify_xml_body()?;
    let bucket = call.bucket()?;
    let logging = match input.bucket_logging_status.logging_enabled {
        None => None,
        Some(enabled) => Some(read(call, bucket, enabled).await?),
    };
    call.objects().set_bucket_logging(bucket, logging).await?;
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

async fn read(call: &Call<'_>, bucket: &BucketRecord, enabled: LoggingEnabled) -> Result<Logging> {
    if enabled.target_bucket.is_empty() {
        return Err(malformed_xml());
    }
    let target = target(call, bucket, &enabled.target_bucket).await?;
    let granted = enabled.target_grants.unwrap_or_default();
    if granted.len() > MAX_GRANTS {
        return Err(malformed_xml());
    }
    let target_grants = granted.into_iter().map(|grant| read_grant(call, &grant)).collect::<Result<Vec<_>>>()?;
    let has_acls = call.objects().bucket_access(&target).await?.ownership.effective().has_acls();
    if !target_grants.is_empty() && !has_acls {
        let message = "The target bucket does not allow ACLs, so the log cannot have target grants.";
        return Err(Failure::with_message("AccessControlListNotSupported", message));
    }
    Ok(Logging {
        target_bucket: target.name,
        target_prefix: enabled.target_prefix,
        target_grants,
        key_format: enabled.target_object_key_format.map(read_format).transpose()?,
    })
}

/// The bucket that the log is written to. Whether its owner lets it be written is asked at each delivery, as Amazon
/// does: the permission may come later.
async fn target(call: &Call<'_>, bucket: &BucketRecord, name: &str) -> Result<BucketRecord> {
    let invalid = |message: &str| {
        Failure::with_message("InvalidTargetBucketForLogging", message).with("TargetBucket", name.to_owned())
    };
    let target = match call.objects().bucket(name).await {
        Err(object::Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => {
            return Err(invalid("The target bucket for logging does not exist"));
        }
        found => found?,
    };
    if target.owner != bucket.owner {
        return Err(invalid("The owner for the bucket to be logged and the target bucket must be the same."));
    }
    if target.region != bucket.region {
        let message = "Cross S3 location logging not allowed. ";
        let error = Failure::with_message("CrossLocationLoggingProhibitted", message);
        return Err(error.with("TargetBucketLocation", target.region));
    }
    Ok(target)
}

fn read_grant(call: &Call<'_>, grant: &TargetGrant) -> Result<Grant> {
    let grantee = grant.grantee.as_ref().ok_or_else(malformed_xml)?;
    let permission = grant.permission.as_ref().and_then(|permission| Permission::parse(permission.as_str()));
    let grantee = acl::read_grantee(call.accounts(), grantee).ok_or_else(malformed_xml)??;
    Ok(Grant { grantee, permission: permission.ok_or_else(malformed_xml)? })
}

fn read_format(format: TargetObjectKeyFormat) -> Result<KeyFormat> {
    match (format.simple_prefix, format.partitioned_prefix) {
        (Some(_), None) => Ok(KeyFormat::Simple),
        (None, Some(partitioned)) => {
            let source = partitioned.partition_date_source.as_ref();
            let source = source.and_then(|source| DateSource::parse(source.as_str())).ok_or_else(malformed_xml)?;
            Ok(KeyFormat::Partitioned(source))
        }
        _ => Err(malformed_xml()),
    }
}
