//! Object lock on the wire: a bucket's configuration, retentions and legal holds of versions, and what requests say in
//! their heads.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::Attributes;

use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use super::{actions, convert};
use crate::object::{self, Found, Integrity};
use crate::rules::object_lock::{self as rules, Bypass, Lock, Mode, Period, Retention};
use crate::rules::{Code, Refusal};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";
const BYPASS: &str = "x-amz-bypass-governance-retention";

/// Gives a new version the lock that the request's head asks for.
///
/// # Errors
/// `InvalidRequest` where the bucket has no object lock; `InvalidArgument`.
pub(super) fn give_to(attributes: &mut Attributes, call: &Call<'_>) -> Result<()> {
    let (mode, until, hold) = (call.header_named(MODE), call.header_named(UNTIL), call.header_named(LEGAL_HOLD));
    if mode.is_none() && until.is_none() && hold.is_none() {
        return Ok(());
    }
    rules::check_bucket(call.bucket()?.object_lock)?;
    let until = until.as_deref().map(parse_date).transpose()?;
    let now = call.objects().lock_time();
    object::set_lock(attributes, rules::of_new_version(mode.as_deref(), until, hold.as_deref(), now)?);
    Ok(())
}

/// What is to be kept must be what the client sent: a request that locks says a digest of its body. A browser cannot.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>, "Content-MD5"
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn check_integrity(call: &Call<'_>, integrity: &Integrity) -> Result<()> {
    let locks = [MODE, LEGAL_HOLD].into_iter().any(|name| call.header_named(name).is_some());
    if !locks || call.is_form() || integrity.content_md5.is_some() || integrity.declared.is_some() {
        return Ok(());
    }
    let message =
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters";
    Err(Refusal::invalid_request(message).into())
}

/// A time as ISO 8601 has it, in milliseconds since 1970.
fn parse_date(text: &str) -> Result<i64> {
    let time = text.parse::<jiff::Timestamp>();
    let time = time.map_err(|_| {
        let message = "The retain until date must be provided in ISO 8601 format";
        Refusal::invalid_argument(UNTIL, text, message)
    })?;
    Ok(time.as_millisecond())
}

/// Whether the request asks to end a governance retention early. The authorisation has decided that it may.
///
/// # Errors
/// `InvalidArgument` where the bucket has no object lock.
pub(super) fn bypass(call: &Call<'_>, asked: Option<bool>) -> Result<Bypass> {
    if asked.is_none() {
        return Ok(Bypass::Nothing);
    }
    if !call.bucket()?.object_lock {
        let message = format!("{BYPASS} is only applicable to Object Lock enabled buckets.");
        return Err(Failure::with_message("InvalidArgument", message).with("ArgumentName", BYPASS));
    }
    Ok(if asked == Some(true) { Bypass::Governance } else { Bypass::Nothing })
}

/// What the creation of a bucket asks for.
pub(super) fn asked_of_new_bucket(enabled: Option<bool>) -> bool {
    enabled == Some(true)
}

/// What GET and HEAD show of a version's lock, as far as the caller may know.
#[derive(Default)]
pub(super) struct Shown {
    pub mode: Option<ObjectLockMode>,
    pub until: Option<Timestamp>,
    pub legal_hold: Option<ObjectLockLegalHoldStatus>,
}

impl Shown {
    pub(super) async fn of(call: &Call<'_>, found: &Found, key: &str, version: Option<&str>) -> Result<Self> {
        let lock = object::lock_of(&found.object.attributes)?;
        let mut shown = Self::default();
        if let Some(retention) = lock.retention
            && call.may(&actions::READS_RETENTION, key, version).await?
        {
            shown.mode = Some(ObjectLockMode::from_static(retention.mode.as_str()));
            shown.until = Some(convert::exact_timestamp(retention.until));
        }
        if let Some(on) = lock.legal_hold
            && call.may(&actions::READS_LEGAL_HOLD, key, version).await?
        {
            shown.legal_hold = Some(status(on));
        }
        Ok(shown)
    }
}

fn status(on: bool) -> ObjectLockLegalHoldStatus {
    let status = if on { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    ObjectLockLegalHoldStatus::from_static(status)
}

pub(super) async fn configuration(
    call: &Call<'_>,
    _: GetObjectLockConfigurationInput,
) -> Result<S3Response<GetObjectLockConfigurationOutput>> {
    let bucket = call.bucket()?;
    if !bucket.object_lock {
        return Err(Refusal::from(Code::ObjectLockConfigurationNotFoundError)
            .with("BucketName", bucket.name.clone())
            .into());
    }
    let rule = call.objects().default_retention(bucket).await?.map(|default| {
        let mode = Some(ObjectLockRetentionMode::from_static(default.mode.as_str()));
        let (days, years) = match default.period {
            Period::Days(days) => (Some(convert::number(u64::from(days))), None),
            Period::Years(years) => (None, Some(convert::number(u64::from(years)))),
        };
        ObjectLockRule { default_retention: Some(DefaultRetention { days, mode, years }) }
    });
    let enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
    let configuration = ObjectLockConfiguration { object_lock_enabled: enabled, rule };
    Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
}

pub(super) async fn set_configuration(
    call: &Call<'_>,
    input: PutObjectLockConfigurationInput,
) -> Result<S3Response<PutObjectLockConfigurationOutput>> {
    call.verify_xml_body()?;
    let configuration = input.object_lock_configuration.ok_or_else(malformed_xml)?;
    let enabled = configuration.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str);
    if enabled != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed_xml());
    }
    let default = match configuration.rule {
        None => None,
        Some(rule) => {
            let default = rule.default_retention.ok_or_else(malformed_xml)?;
            let mode = default.mode.as_ref().map(ObjectLockRetentionMode::as_str);
            Some(rules::DefaultRetention::parse(mode, default.days, default.years)?)
        }
    };
    call.objects().set_object_lock(&call.bucket()?.name, default).await?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

/// What a version without this is said to lack.
fn not_locked() -> Failure {
    Code::NoSuchObjectLockConfiguration.into()
}

pub(super) async fn retention(
    call: &Call<'_>,
    input: GetObjectRetentionInput,
) -> Result<S3Response<GetObjectRetentionOutput>> {
    let version = convert::version(input.version_id.as_deref())?;
    let lock = call.objects().object_lock(call.bucket()?, &input.key, version).await?;
    let retention = lock.retention.ok_or_else(not_locked)?;
    let retention = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(retention.mode.as_str())),
        retain_until_date: Some(convert::exact_timestamp(retention.until)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
}

/// The retention in a request's body; `None` where it takes the retention away.
fn stated(retention: Option<ObjectLockRetention>) -> Result<Option<Retention>> {
    let retention = retention.ok_or_else(malformed_xml)?;
    match (retention.mode, retention.retain_until_date) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = Mode::parse(mode.as_str()).ok_or_else(malformed_xml)?;
            let until = convert::milliseconds(&until).ok_or_else(malformed_xml)?;
            Ok(Some(Retention { mode, until }))
        }
        _ => Err(malformed_xml()),
    }
}

pub(super) async fn set_retention(
    call: &Call<'_>,
    input: PutObjectRetentionInput,
) -> Result<S3Response<PutObjectRetentionOutput>> {
    call.verify_xml_body()?;
    let retention = stated(input.retention)?;
    rules::check_bucket(call.bucket()?.object_lock)?;
    let bypass = bypass(call, input.bypass_governance_retention)?;
    let version = convert::version(input.version_id.as_deref())?;
    call.objects().set_retention(call.bucket()?, &input.key, version, retention, bypass).await?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

pub(super) async fn legal_hold(
    call: &Call<'_>,
    input: GetObjectLegalHoldInput,
) -> Result<S3Response<GetObjectLegalHoldOutput>> {
    let version = convert::version(input.version_id.as_deref())?;
    let Lock { legal_hold, .. } = call.objects().object_lock(call.bucket()?, &input.key, version).await?;
    let on = legal_hold.ok_or_else(not_locked)?;
    let legal_hold = Some(ObjectLockLegalHold { status: Some(status(on)) });
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold }))
}

pub(super) async fn set_legal_hold(
    call: &Call<'_>,
    input: PutObjectLegalHoldInput,
) -> Result<S3Response<PutObjectLegalHoldOutput>> {
    call.verify_xml_body()?;
    let status = input.legal_hold.and_then(|hold| hold.status).ok_or_else(malformed_xml)?;
    let on = rules::parse_legal_hold(status.as_str()).ok_or_else(malformed_xml)?;
    let version = convert::version(input.version_id.as_deref())?;
    call.objects().set_legal_hold(call.bucket()?, &input.key, version, on).await?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}
