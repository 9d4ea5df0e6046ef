//! Renaming: what may become what, and under which conditions.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/directory-buckets-objects-rename.html>

use storage::types::Timestamp;

use super::conditions::{Condition, ReadConditions, Subject};
use super::refusal::{Code, Refusal, Result};

/// Characters of a client token.
const MAX_TOKEN: usize = 64;

/// What must hold of the key that the object gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// Conditions on the object that is replaced.
    pub conditions: ReadConditions,
    /// `If-None-Match: *`: nothing may be replaced.
    pub absent: bool,
}

/// Whether a key may be renamed to another.
///
/// # Errors
/// `InvalidRequest`.
pub fn check_keys(from: &str, to: &str) -> Result<()> {
    if from.ends_with('/') || to.ends_with('/') {
        return Err(Refusal::invalid_request("Objects whose key ends with a slash cannot be renamed, nor renamed to."));
    }
    if from == to {
        return Err(Refusal::invalid_request("An object cannot be renamed to its own key."));
    }
    Ok(())
}

/// Whether a client token can be one.
///
/// # Errors
/// `InvalidRequest`.
pub fn check_token(token: &str) -> Result<()> {
    if (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Refusal::invalid_request("A client token has 1 to 64 characters, each a visible character of ASCII."))
}

/// The key that `x-amz-rename-source` names, percent-decoded: a key of the request's bucket, or, as a copy's source is
/// written, `/bucket/key`.
///
/// # Errors
/// `InvalidRequest`.
pub fn source_key<'a>(source: &'a str, bucket: &str) -> Result<&'a str> {
    let with_bucket = source.strip_prefix('/').and_then(|rest| rest.strip_prefix(bucket));
    let key = with_bucket.and_then(|rest| rest.strip_prefix('/')).unwrap_or(source);
    if key.is_empty() {
        return Err(Refusal::invalid_request("The rename source must be the key of an object in the bucket."));
    }
    Ok(key)
}

/// Decides about the object that is renamed.
///
/// # Errors
/// `PreconditionFailed`.
pub fn check_source(conditions: &ReadConditions, source: Subject<'_>, now: Timestamp) -> Result<()> {
    match conditions.first_that_fails(source, now) {
        None => Ok(()),
        Some(condition) => Err(Refusal::precondition_failed(match condition {
            Condition::IfMatch => "x-amz-rename-source-If-Match",
            Condition::IfNoneMatch => "x-amz-rename-source-If-None-Match",
            Condition::IfModifiedSince => "x-amz-rename-source-If-Modified-Since",
            Condition::IfUnmodifiedSince => "x-amz-rename-source-If-Unmodified-Since",
        })),
    }
}

impl Destination {
    /// From the headers' values.
    ///
    /// # Errors
    /// `NotImplemented` for an `If-None-Match` that is not `*`.
    pub fn parse(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        if_modified_since: Option<&str>,
        if_unmodified_since: Option<&str>,
    ) -> Result<Self> {
        let absent = match if_none_match.map(str::trim) {
            None => false,
            Some("*") => true,
            Some(_) => {
                let why = "We don't accept the provided value of If-None-Match header for this API";
                return Err(Refusal::header_not_implemented("If-None-Match").with("additionalMessage", why));
            }
        };
        Ok(Self { conditions: ReadConditions::parse(if_match, None, if_modified_since, if_unmodified_since), absent })
    }

    /// Decides about the object that would be replaced; `None` if there is none.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub fn check(&self, current: Option<Subject<'_>>, now: Timestamp) -> Result<()> {
        let Some(current) = current else {
            // What must match, or have been modified, must be there.
            let failed = if self.conditions.if_match.is_some() {
                Condition::IfMatch
            } else if self.conditions.if_modified_since.is_some() {
                Condition::IfModifiedSince
            } else {
                return Ok(());
            };
            return Err(Refusal::precondition_failed(failed.as_str()));
        };
        if self.absent {
            return Err(Refusal::precondition_failed(Condition::IfNoneMatch.as_str()));
        }
        match self.conditions.first_that_fails(current, now) {
            None => Ok(()),
            Some(condition) => Err(Refusal::precondition_failed(condition.as_str())),
        }
    }
}

/// The answer to a rename whose token was used before.
///
/// # Errors
/// `IdempotencyParameterMismatch` where the same token named something else.
pub fn repeated(before: [u8; 32], now: [u8; 32]) -> Result<()> {
    if before == now { Ok(()) } else { Err(Code::IdempotencyParameterMismatch.into()) }
}

#[cfg(test)]
mod tests {
    use storage::index::records::ETag;

    use super::*;

    const ETAG: ETag = ETag { md5: [0xab; 16], parts: None };

    fn subject() -> Subject<'static> {
        Subject { etag: &ETAG, modified: Timestamp(784_111_777_000) }
    }

    #[test]
    fn keys_and_tokens() {
        assert!(check_keys("a", "b").is_ok());
        for (from, to) in [("a/", "b"), ("a", "b/"), ("a", "a")] {
            assert_eq!(check_keys(from, to).unwrap_err().code, Code::InvalidRequest);
        }
        for token in ["", " ", "é", "a\tb", &"x".repeat(65)] {
            assert!(check_token(token).is_err(), "{token}");
        }
        assert!(check_token(&"!~".repeat(32)).is_ok());
        assert_eq!(source_key("dir/a", "bucket"), Ok("dir/a"));
        assert_eq!(source_key("/bucket/dir/a", "bucket"), Ok("dir/a"));
        assert_eq!(source_key("/other/a", "bucket"), Ok("/other/a"));
        assert!(source_key("", "bucket").is_err() && source_key("/bucket/", "bucket").is_err());
    }

    #[test]
    fn conditions_on_what_is_replaced() {
        let now = Timestamp(784_111_900_000);
        let name = ETAG.to_string();
        let parse = |m, n, since, until| Destination::parse(m, n, since, until).unwrap();
        let holds = |destination: &Destination, current| destination.check(current, now).is_ok();
        let none = parse(None, None, None, None);
        assert!(holds(&none, None) && holds(&none, Some(subject())));
        let absent = parse(None, Some("*"), None, None);
        assert!(holds(&absent, None) && !holds(&absent, Some(subject())));
        let matching = parse(Some(name.as_str()), None, None, None);
        assert!(!holds(&matching, None) && holds(&matching, Some(subject())));
        let other = parse(Some("\"x\""), None, None, None);
        assert!(!holds(&other, Some(subject())));
        let modified = parse(None, None, Some("Sun, 06 Nov 1994 08:49:36 GMT"), None);
        assert!(!holds(&modified, None) && holds(&modified, Some(subject())));
        let unmodified = parse(None, None, None, Some("Sun, 06 Nov 1994 08:49:36 GMT"));
        assert!(holds(&unmodified, None) && !holds(&unmodified, Some(subject())));
        assert!(Destination::parse(None, Some("\"x\""), None, None).is_err());
    }
}
