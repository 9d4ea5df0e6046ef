//! Scans of keys, versions and uploads. The caller decides what to take and where to go on; this turns keys into rows.

use super::Store;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys::{self, ObjectRow};
use crate::index::records::{Record, UploadRecord, VersionRecord};
use crate::kv::{Family, Scan, Visit};
use crate::types::{BucketId, UploadId};

/// Where a scan begins, or goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seek {
    /// At this key, or the first one after it.
    Key(String),
    /// After this key and all of its versions.
    AfterKey(String),
    /// After all keys that start with this.
    AfterPrefix(String),
    /// After the version of this key that has this order.
    AfterVersion(String, u64),
    /// After this upload of this key.
    AfterUpload(String, UploadId),
}

impl Seek {
    fn row(&self, bucket: BucketId) -> Vec<u8> {
        let past = |row: Vec<u8>| keys::after_prefix(&row).unwrap_or(row);
        match self {
            Self::Key(key) => keys::object_prefix(bucket, key),
            Self::AfterKey(key) => past(keys::object(bucket, key)),
            Self::AfterPrefix(prefix) => past(keys::object_prefix(bucket, prefix)),
            Self::AfterVersion(key, order) => past(keys::version(bucket, key, *order)),
            Self::AfterUpload(key, id) => past([keys::object(bucket, key), id.to_bytes().to_vec()].concat()),
        }
    }
}

/// What a scan does after an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Goes on with the next entry.
    Next,
    /// Goes on there. What lies before the present entry is not seen again.
    Seek(Seek),
    /// Ends.
    Stop,
}

/// Carries the visitor's state and the first error through a scan.
struct Seen<S> {
    state: S,
    failed: Option<StoreError>,
}

impl Store {
    /// Visits the current versions of keys that start with `prefix`, in order. `visit` may decode the record or not.
    pub async fn visit_current<S, V>(
        &self,
        bucket: BucketId,
        prefix: &str,
        from: &Seek,
        state: S,
        mut visit: V,
    ) -> Result<S>
    where
        S: Send + 'static,
        V: FnMut(&mut S, &str, &dyn Fn() -> Result<VersionRecord>) -> Result<Step> + Send + 'static,
    {
        let scan = object_scan(vec![Family::Current], bucket, prefix, from);
        self.visit(scan, bucket, state, move |state, _, row, value| {
            let (key, _) = keys::parse_object(row).ok_or_else(|| bad_key("current"))?;
            visit(state, &key, &|| VersionRecord::decode(value))
        })
        .await
    }

    /// Visits all versions of keys that start with `prefix`: keys in order, each newest first. The second argument of
    /// `visit` tells whether the version is the current one, or a noncurrent one or delete marker.
    pub async fn visit_versions<S, V>(
        &self,
        bucket: BucketId,
        prefix: &str,
        from: &Seek,
        state: S,
        mut visit: V,
    ) -> Result<S>
    where
        S: Send + 'static,
        V: FnMut(&mut S, &str, &dyn Fn() -> Result<VersionRecord>) -> Result<Step> + Send + 'static,
    {
        let scan = object_scan(vec![Family::Current, Family::Versions], bucket, prefix, from);
        self.visit(scan, bucket, state, move |state, family, row, value| {
            let (key, kind) = keys::parse_object(row).ok_or_else(|| bad_key(family.name()))?;
            match kind {
                ObjectRow::Head => Ok(Step::Next),
                ObjectRow::Current | ObjectRow::Version(_) => visit(state, &key, &|| VersionRecord::decode(value)),
            }
        })
        .await
    }

    /// Visits the open uploads of keys that start with `prefix`: keys in order, each oldest first.
    pub async fn visit_uploads<S, V>(
        &self,
        bucket: BucketId,
        prefix: &str,
        from: &Seek,
        state: S,
        mut visit: V,
    ) -> Result<S>
    where
        S: Send + 'static,
        V: FnMut(&mut S, &str, UploadId, &dyn Fn() -> Result<UploadRecord>) -> Result<Step> + Send + 'static,
    {
        let mut scan = object_scan(vec![Family::Uploads], bucket, prefix, from);
        scan.from.insert(0, b'u');
        scan.to = scan.to.map(|mut to| {
            to.insert(0, b'u');
            to
        });
        self.visit(scan, bucket, state, move |state, _, row, value| {
            let (key, id) = keys::parse_upload(row).ok_or_else(|| bad_key("uploads"))?;
            visit(state, &key, id, &|| UploadRecord::decode(value))
        })
        .await
    }

    async fn visit<S, V>(&self, scan: Scan, bucket: BucketId, state: S, mut visit: V) -> Result<S>
    where
        S: Send + 'static,
        V: FnMut(&mut S, Family, &[u8], &[u8]) -> Result<Step> + Send + 'static,
    {
        let seen = Seen { state, failed: None };
        let seen = self
            .scan(scan, seen, move |seen, family, row, value| match visit(&mut seen.state, family, row, value) {
                Ok(Step::Next) => Visit::Next,
                Ok(Step::Stop) => Visit::Stop,
                Ok(Step::Seek(seek)) => {
                    let tag = if family == Family::Uploads { &b"u"[..] } else { b"" };
                    let next = [tag, &seek.row(bucket)].concat();
                    if next.as_slice() > row { Visit::Seek(next) } else { Visit::Next }
                }
                Err(error) => {
                    seen.failed = Some(error);
                    Visit::Stop
                }
            })
            .await?;
        seen.failed.map_or(Ok(seen.state), Err)
    }
}

fn object_scan(families: Vec<Family>, bucket: BucketId, prefix: &str, from: &Seek) -> Scan {
    let first = keys::object_prefix(bucket, prefix);
    Scan { families, to: keys::after_prefix(&first), from: from.row(bucket).max(first) }
}

fn bad_key(family: &'static str) -> StoreError {
    Corruption::Row { family, what: "the key is not one of an object".to_owned() }.into()
}
