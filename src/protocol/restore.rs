//! RestoreObject, and what reads and listings tell of restored copies.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>

use http::StatusCode;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::{ObjectRecord, Restore};

use super::convert;
use super::error::{Failure, Result};
use super::s3::Call;
use crate::object::{RestoreObject, Restoring};
use crate::rules::{Code, Refusal};

/// The most days that a copy may be asked for: what a number of S3's holds.
const MAX_DAYS: i32 = i32::MAX;

pub(super) async fn object(call: &Call<'_>, input: RestoreObjectInput) -> Result<S3Response<RestoreObjectOutput>> {
    call.verify_xml_body()?;
    let request = input.restore_request.ok_or_else(|| Failure::from(Refusal::from(Code::MalformedXML)))?;
    if request.type_.is_some() || request.select_parameters.is_some() || request.output_location.is_some() {
        let message = "Restoring by a query (Type SELECT) is not implemented.";
        return Err(Refusal::new(Code::NotImplemented, message).into());
    }
    // How fast a copy comes is up to the tier; what S3 knows is accepted, and nothing else.
    let tiers = [request.tier.as_ref(), request.glacier_job_parameters.as_ref().map(|parameters| &parameters.tier)];
    let known = [Tier::BULK, Tier::EXPEDITED, Tier::STANDARD];
    if tiers.into_iter().flatten().any(|tier| !known.contains(&tier.as_str())) {
        return Err(Refusal::from(Code::MalformedXML).into());
    }
    let days = request.days.ok_or_else(|| Failure::from(Refusal::from(Code::MalformedXML)))?;
    if !(1..=MAX_DAYS).contains(&days) {
        let message = "'Days' for a restore request must be a positive integer";
        return Err(Refusal::invalid_argument("Days", &days.to_string(), message).into());
    }
    let asked = RestoreObject {
        bucket: call.bucket()?.clone(),
        key: input.key,
        version: convert::version(input.version_id.as_deref())?,
        days: u32::try_from(days).unwrap_or(1),
        origin: call.origin(),
    };
    let mut response = S3Response::new(RestoreObjectOutput::default());
    response.extensions.insert(match call.objects().restore_object(&asked).await? {
        Restoring::Begun => StatusCode::ACCEPTED,
        Restoring::Extended => StatusCode::OK,
    });
    Ok(response)
}

/// `x-amz-restore`.
pub(super) fn header(object: &ObjectRecord) -> Option<String> {
    object.restore.as_ref().map(|restore| match restore {
        Restore { copy: None, .. } => "ongoing-request=\"true\"".to_owned(),
        Restore { copy: Some(copy), .. } => {
            format!("ongoing-request=\"false\", expiry-date=\"{}\"", convert::http_date(copy.expires))
        }
    })
}

/// `RestoreStatus` in listings that were asked for it.
pub(super) fn status(object: &ObjectRecord, asked: bool) -> Option<RestoreStatus> {
    let restore = object.restore.as_ref().filter(|_| asked)?;
    Some(RestoreStatus {
        is_restore_in_progress: Some(restore.copy.is_none()),
        restore_expiry_date: restore.copy.map(|copy| convert::timestamp(copy.expires)),
    })
}
