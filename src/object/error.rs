//! How an operation on objects fails. The protocol turns this into a status and a code, in one place.

use std::fmt;

use storage::StoreError;
use storage::index::records::{ETag, VersionRecord, Versioning};
use storage::types::{Timestamp, VersionId};

use crate::rules::Refusal;

/// An operation's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of somebody else's making, carried through.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How an operation fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// S3 says no.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// What was asked for is a delete marker.
    #[error("the object is deleted: its version is a delete marker")]
    DeleteMarker {
        /// The object's key.
        key: String,
        /// The marker's version.
        version: VersionLabel,
        /// When the object was deleted.
        modified: Timestamp,
        /// How it was asked for.
        addressed: Addressed,
    },
    /// The client has what it asks for already.
    #[error("not modified")]
    NotModified {
        /// The object's entity tag.
        etag: ETag,
        /// When it was modified.
        modified: Timestamp,
        /// Its version, in a versioned bucket.
        version: Option<VersionLabel>,
    },
    /// The request's body ended with this error.
    #[error("the request's body failed: {0}")]
    Body(BoxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<crate::rules::Code> for Error {
    fn from(code: crate::rules::Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// How a delete marker was come upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// As the key's current version.
    Current,
    /// By its version id.
    Version,
}

/// A version as S3 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionLabel {
    /// `null`.
    Null,
    /// Its id.
    Id(VersionId),
}

impl VersionLabel {
    /// Parses a version id; `None` for what no version of this server can be named.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" { Some(Self::Null) } else { VersionId::parse(text).map(Self::Id) }
    }

    /// The label of a version, whatever its bucket's versioning.
    #[must_use]
    pub fn of(version: &VersionRecord) -> Self {
        if version.null { Self::Null } else { Self::Id(version.id) }
    }

    /// The version's id; the null version has none.
    #[must_use]
    pub fn id(self) -> Option<VersionId> {
        match self {
            Self::Null => None,
            Self::Id(id) => Some(id),
        }
    }

    /// The label that answers carry: none in a bucket that was never versioned.
    #[must_use]
    pub fn in_bucket(versioning: Versioning, version: &VersionRecord) -> Option<Self> {
        (versioning != Versioning::Unversioned).then(|| Self::of(version))
    }
}

impl fmt::Display for VersionLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => id.fmt(f),
        }
    }
}
