//! How a form is signed: which fields it needs for that, and what they must look like. Nothing is computed here.

use super::{Form, missing};
use crate::rules::refusal::Result;
use crate::rules::{Code, Refusal};

/// The one algorithm of Signature Version 4 that forms can have.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A form is valid for as long as its signing key, seven days, and may come from a clock that is fast.
const MAX_AGE_MILLISECONDS: i64 = 7 * 86_400_000;
const MAX_SKEW_MILLISECONDS: i64 = 15 * 60_000;

/// How a form is signed.
#[derive(Debug)]
pub enum Signature<'a> {
    /// Not at all, and then it has no policy either.
    None,
    /// By Signature Version 4.
    V4(SignedV4<'a>),
    /// By Signature Version 2.
    V2(SignedV2<'a>),
}

/// What Signature Version 4 is computed from, and it.
#[derive(Debug)]
pub struct SignedV4<'a> {
    /// In base64: the text that is signed.
    pub policy: &'a str,
    /// Whose key, when, where.
    pub credential: Credential<'a>,
    /// `x-amz-date`, such as `20130524T000000Z`.
    pub date: &'a str,
    /// Hexadecimal.
    pub signature: &'a str,
}

/// What Signature Version 2 is computed from, and it.
#[derive(Debug)]
pub struct SignedV2<'a> {
    /// In base64: the text that is signed.
    pub policy: &'a str,
    /// Whose key.
    pub access_key_id: &'a str,
    /// In base64.
    pub signature: &'a str,
}

/// `x-amz-credential`.
#[derive(Debug)]
pub struct Credential<'a> {
    /// Whose key.
    pub access_key_id: &'a str,
    /// The region.
    pub region: &'a str,
}

/// How a form is signed. `now` is in milliseconds since 1970.
///
/// # Errors
/// `InvalidArgument` for a field that is missing or is not what it must be; `AccessDenied` for a signature that is too
/// old, or of the future.
pub fn signature(form: &Form, now: i64) -> Result<Signature<'_>> {
    let has_any = |names: &[&str]| names.iter().any(|name| form.get(name).is_some());
    if has_any(&["x-amz-signature", "x-amz-credential", "x-amz-algorithm"]) {
        return v4(form, now).map(Signature::V4);
    }
    if !has_any(&["policy", "signature", "awsaccesskeyid"]) {
        return Ok(Signature::None);
    }
    let field = |name: &str, written: &str| form.get(name).ok_or_else(|| missing(written));
    let access_key_id = field("awsaccesskeyid", "AWSAccessKeyId")?;
    let (signature, policy) = (field("signature", "signature")?, field("policy", "policy")?);
    Ok(Signature::V2(SignedV2 { policy, access_key_id, signature }))
}

fn v4(form: &Form, now: i64) -> Result<SignedV4<'_>> {
    let field = |name: &str, written: &str| form.get(name).ok_or_else(|| missing(written));
    let policy = field("policy", "policy")?;
    let algorithm = field("x-amz-algorithm", "X-Amz-Algorithm")?;
    if algorithm != ALGORITHM {
        let message = format!("X-Amz-Algorithm only supports \"{ALGORITHM}\"");
        return Err(Refusal::invalid_argument("X-Amz-Algorithm", algorithm, message));
    }
    let (credential_text, date) = (field("x-amz-credential", "X-Amz-Credential")?, field("x-amz-date", "X-Amz-Date")?);
    let signature = field("x-amz-signature", "X-Amz-Signature")?;
    let malformed = |name: &str, value: &str, message: &str| Refusal::invalid_argument(name, value, message);
    let bad_credential = || {
        let message = "The Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request\".";
        malformed("X-Amz-Credential", credential_text, message)
    };
    let (credential, day) = credential(credential_text).ok_or_else(bad_credential)?;
    let message = "X-Amz-Date must be formatted via ISO8601 Long format, and of the day that the credential names.";
    let signed = milliseconds(date).filter(|_| date.starts_with(day));
    let signed = signed.ok_or_else(|| malformed("X-Amz-Date", date, message))?;
    if signed < now.saturating_sub(MAX_AGE_MILLISECONDS) || signed > now.saturating_add(MAX_SKEW_MILLISECONDS) {
        return Err(Refusal::new(Code::AccessDenied, "Request has expired").with("X-Amz-Date", date));
    }
    Ok(SignedV4 { policy, credential, date, signature })
}

/// The credential, and its day.
fn credential(text: &str) -> Option<(Credential<'_>, &str)> {
    let mut parts = text.rsplitn(5, '/');
    let (request, service) = (parts.next()?, parts.next()?);
    let (region, day, access_key_id) = (parts.next()?, parts.next()?, parts.next()?);
    let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    let fits =
        request == "aws4_request" && service == "s3" && is_day && !region.is_empty() && !access_key_id.is_empty();
    fits.then_some((Credential { access_key_id, region }, day))
}

/// `20130524T000000Z`, in milliseconds since 1970.
fn milliseconds(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp().as_millisecond())
}
