//! Conditions on requests: `If-Match` and its family.
//!
//! Four kinds, each a value that is made from the headers first and then asked about an object:
//! [`ReadConditions`] of GET and HEAD, [`CopySourceConditions`], [`WriteCondition`] of a PUT, a copy's destination or a
//! completion, and [`DeleteCondition`]. The last two are decided against the state that the commit will require, so
//! that they hold for the write itself and not for a moment before it.
//!
//! RFC 9110, section 13, and
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>

use storage::index::records::ETag;
use storage::types::{Timestamp, UploadId, VersionId};

use super::etag;
use super::http_date;
use super::refusal::{Code, Refusal, Result};

/// What reading conditions are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object's ETag.
    pub etag: &'a ETag,
    /// When it was last modified.
    pub modified: Timestamp,
}

/// The value of an `If-Match` or `If-None-Match` header: `*`, or entity tags separated by commas. It is read where it
/// is asked, so a long header costs no more than its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTags(String);

/// RFC 9110, section 8.8.3.2: whether a weak entity tag (`W/"…"`) may match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

impl EntityTags {
    /// The header's value; of a header that is there several times, the values joined by commas.
    #[must_use]
    pub fn new(header: &str) -> Self {
        Self(header.to_owned())
    }

    fn is_any(&self) -> bool {
        self.0.trim() == "*"
    }

    fn name(&self, etag: &ETag, comparison: Comparison) -> bool {
        // S3's entity tags hold no comma, so a comma always separates.
        self.is_any()
            || self.0.split(',').map(str::trim).any(|tag| match (tag.strip_prefix("W/"), comparison) {
                (Some(_), Comparison::Strong) => false,
                (Some(weak), Comparison::Weak) => etag::is(etag, weak),
                (None, _) => etag::is(etag, tag),
            })
    }
}

/// A condition, as S3 spells it in `<Condition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `If-Match`
    IfMatch,
    /// `If-None-Match`
    IfNoneMatch,
    /// `If-Modified-Since`
    IfModifiedSince,
    /// `If-Unmodified-Since`
    IfUnmodifiedSince,
}

impl Condition {
    /// On a request's own object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IfMatch => "If-Match",
            Self::IfNoneMatch => "If-None-Match",
            Self::IfModifiedSince => "If-Modified-Since",
            Self::IfUnmodifiedSince => "If-Unmodified-Since",
        }
    }

    /// On a copy's source.
    #[must_use]
    pub const fn of_copy_source(self) -> &'static str {
        match self {
            Self::IfMatch => "x-amz-copy-source-If-Match",
            Self::IfNoneMatch => "x-amz-copy-source-If-None-Match",
            Self::IfModifiedSince => "x-amz-copy-source-If-Modified-Since",
            Self::IfUnmodifiedSince => "x-amz-copy-source-If-Unmodified-Since",
        }
    }
}

/// The four conditions that a read, or a copy's source, can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match`.
    pub if_none_match: Option<EntityTags>,
    /// `If-Modified-Since`, in seconds since 1970.
    pub if_modified_since: Option<i64>,
    /// `If-Unmodified-Since`, in seconds since 1970.
    pub if_unmodified_since: Option<i64>,
}

/// What the conditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Serve the object.
    Proceed,
    /// Answer 304: the client has it already.
    NotModified,
    /// Answer 412: this condition does not hold.
    PreconditionFailed(Condition),
}

impl ReadOutcome {
    /// The outcome as an answer.
    ///
    /// # Errors
    /// `NotModified` and `PreconditionFailed`.
    pub fn into_result(self) -> Result<()> {
        match self {
            Self::Proceed => Ok(()),
            Self::NotModified => Err(Code::NotModified.into()),
            Self::PreconditionFailed(condition) => Err(Refusal::precondition_failed(condition.as_str())),
        }
    }
}

impl ReadConditions {
    /// From the headers' values. A date that cannot be read is no condition (RFC 9110, sections 13.1.3 and 13.1.4).
    #[must_use]
    pub fn parse(
        if_match: Option<&str>,
        if_none_match: Option<&str>,
        if_modified_since: Option<&str>,
        if_unmodified_since: Option<&str>,
    ) -> Self {
        Self {
            if_match: if_match.map(EntityTags::new),
            if_none_match: if_none_match.map(EntityTags::new),
            if_modified_since: if_modified_since.and_then(http_date::parse),
            if_unmodified_since: if_unmodified_since.and_then(http_date::parse),
        }
    }

    /// Decides a GET or HEAD. `now` matters because a client cannot have seen the future: an `If-Modified-Since` that
    /// lies ahead is no condition.
    ///
    /// An entity tag says more than a date, so `If-Match` outweighs `If-Unmodified-Since` and `If-None-Match`
    /// outweighs `If-Modified-Since` (RFC 9110, section 13.2.2;
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
    #[must_use]
    pub fn decide(&self, subject: Subject<'_>, now: Timestamp) -> ReadOutcome {
        match self.first_that_fails(subject, now) {
            None => ReadOutcome::Proceed,
            Some(Condition::IfNoneMatch | Condition::IfModifiedSince) => ReadOutcome::NotModified,
            Some(condition) => ReadOutcome::PreconditionFailed(condition),
        }
    }

    /// Precedence as in RFC 9110, section 13.2.2. HTTP dates have seconds, so times are compared by the second.
    pub(super) fn first_that_fails(&self, subject: Subject<'_>, now: Timestamp) -> Option<Condition> {
        let modified = seconds(subject.modified);
        if let Some(tags) = &self.if_match {
            if !tags.name(subject.etag, Comparison::Strong) {
                return Some(Condition::IfMatch);
            }
        } else if self.if_unmodified_since.is_some_and(|since| modified > since) {
            return Some(Condition::IfUnmodifiedSince);
        }
        if let Some(tags) = &self.if_none_match {
            if tags.name(subject.etag, Comparison::Weak) {
                return Some(Condition::IfNoneMatch);
            }
        } else if self.if_modified_since.is_some_and(|since| modified <= since && since <= seconds(now)) {
            return Some(Condition::IfModifiedSince);
        }
        None
    }
}

/// The conditions on a copy's source: `x-amz-copy-source-if-*`. They combine as those of a read do, but whatever does
/// not hold is a 412. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopySourceConditions(pub ReadConditions);

impl CopySourceConditions {
    /// Decides whether the source may be copied.
    ///
    /// # Errors
    /// `PreconditionFailed` with the first condition that does not hold.
    pub fn check(&self, source: Subject<'_>, now: Timestamp) -> Result<()> {
        match self.0.first_that_fails(source, now) {
            None => Ok(()),
            Some(condition) => Err(Refusal::precondition_failed(condition.of_copy_source())),
        }
    }
}

/// The current version of a key that a write or deletion is about to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current<'a> {
    /// The key has no version.
    Absent,
    /// The current version is a delete marker.
    DeleteMarker,
    /// The current version is an object.
    Object {
        /// Its ETag.
        etag: &'a ETag,
        /// Its id.
        id: VersionId,
    },
}

/// The condition on what a PUT, a copy or a completion replaces. To it, a delete marker is nothing.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteCondition {
    /// None: the last write wins.
    #[default]
    Unconditional,
    /// `If-None-Match: *`: only if there is no object.
    IfAbsent,
    /// `If-Match`: only if the object has this ETag.
    IfMatch(String),
}

/// How things stood when a multipart upload was initiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiation {
    /// The upload's id: greater than every version that was there before it.
    pub upload: UploadId,
    /// Whether the key had an object then. [`KeyThen::Absent`] where that is not known.
    pub key: KeyThen,
}

/// Whether a key had an object when a multipart upload was initiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyThen {
    /// It had none.
    Absent,
    /// It had one.
    Present,
}

impl WriteCondition {
    /// From the headers' values.
    ///
    /// # Errors
    /// `NotImplemented` for both at once, for `If-Match: *`, and for an `If-None-Match` that is not `*`.
    pub fn parse(if_match: Option<&str>, if_none_match: Option<&str>) -> Result<Self> {
        let refused = |header: &'static str, why: String| {
            Err(Refusal::header_not_implemented(header).with("additionalMessage", why))
        };
        let value = |header| format!("We don't accept the provided value of {header} header for this API");
        match (if_match.map(str::trim), if_none_match.map(str::trim)) {
            (None, None) => Ok(Self::Unconditional),
            (Some(_), Some(_)) => refused(
                "If-Match,If-None-Match",
                "Multiple conditional request headers present in the request".to_owned(),
            ),
            (None, Some("*")) => Ok(Self::IfAbsent),
            (None, Some(_)) => refused("If-None-Match", value("If-None-Match")),
            (Some("*"), None) => refused("If-Match", value("If-Match")),
            (Some(tag), None) => Ok(Self::IfMatch(tag.to_owned())),
        }
    }

    /// Decides a write to `key`.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey` for an `If-Match` where there is no object.
    pub fn check(&self, key: &str, current: Current<'_>) -> Result<()> {
        match (self, current) {
            (Self::Unconditional, _) | (Self::IfAbsent, Current::Absent | Current::DeleteMarker) => Ok(()),
            (Self::IfAbsent, Current::Object { .. }) => failed(Condition::IfNoneMatch),
            (Self::IfMatch(_), Current::Absent | Current::DeleteMarker) => Err(Refusal::no_such_key(key)),
            (Self::IfMatch(tag), Current::Object { etag, .. }) if etag::is(etag, tag) => Ok(()),
            (Self::IfMatch(_), Current::Object { .. }) => failed(Condition::IfMatch),
        }
    }

    /// Decides a completion, which also conflicts with what happened to the key since the upload was initiated: a
    /// deletion where the object must be absent, a write (even of the same bytes) where it must match.
    ///
    /// # Errors
    /// As [`Self::check`], and `ConditionalRequestConflict`.
    pub fn check_completion(&self, key: &str, current: Current<'_>, initiation: Initiation) -> Result<()> {
        self.check(key, current)?;
        let conflict = match (self, current) {
            (Self::IfAbsent, _) if initiation.key == KeyThen::Present => Condition::IfNoneMatch,
            (Self::IfMatch(_), Current::Object { id, .. }) if id.order > initiation.upload.order => Condition::IfMatch,
            _ => return Ok(()),
        };
        Err(Refusal::from(Code::ConditionalRequestConflict).with("Condition", conflict.as_str()).with("Key", key))
    }
}

/// The condition on a deletion. It is asked of the current version, whichever version the deletion names.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeleteCondition {
    /// None.
    #[default]
    Unconditional,
    /// `If-Match: *`: only if there is an object.
    IfPresent,
    /// `If-Match`: only if the object has this ETag.
    IfMatch(String),
}

impl DeleteCondition {
    /// From the values of `If-Match`, `x-amz-if-match-last-modified-time` and `x-amz-if-match-size`; in
    /// `DeleteObjects`, from each key's `ETag`, `LastModifiedTime` and `Size`.
    ///
    /// # Errors
    /// `NotImplemented` for the latter two: S3 has them on directory buckets only.
    pub fn parse(if_match: Option<&str>, last_modified: Option<&str>, size: Option<&str>) -> Result<Self> {
        if last_modified.is_some() {
            return Err(Refusal::header_not_implemented("x-amz-if-match-last-modified-time"));
        }
        if size.is_some() {
            return Err(Refusal::header_not_implemented("x-amz-if-match-size"));
        }
        Ok(match if_match.map(str::trim) {
            None => Self::Unconditional,
            Some("*") => Self::IfPresent,
            Some(tag) => Self::IfMatch(tag.to_owned()),
        })
    }

    /// Decides a deletion of `key`.
    ///
    /// # Errors
    /// `PreconditionFailed`; `NoSuchKey` where the key has no version.
    pub fn check(&self, key: &str, current: Current<'_>) -> Result<()> {
        match (self, current) {
            (Self::Unconditional, _) | (Self::IfPresent, Current::Object { .. }) => Ok(()),
            (_, Current::Absent) => Err(Refusal::no_such_key(key)),
            (Self::IfMatch(tag), Current::Object { etag, .. }) if etag::is(etag, tag) => Ok(()),
            _ => failed(Condition::IfMatch),
        }
    }
}

fn failed(condition: Condition) -> Result<()> {
    Err(Refusal::precondition_failed(condition.as_str()))
}

/// Whole seconds since 1970, downwards also before it.
fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000)
}

#[cfg(test)]
mod tests;
