//! Listings: objects, versions, uploads.

use std::cmp::Reverse;

use storage::index::records::{BucketRecord, UploadRecord, VersionRecord};
use storage::store::{Seek, Step};
use storage::types::UploadId;

use super::{Objects, Result};
use crate::rules::listing::{self, Listing, Page, Request, Seen};

/// What tells versions of one key apart, newest first.
pub type VersionOrder = Reverse<u64>;

/// A page of objects.
#[derive(Clone, Debug)]
pub struct ObjectPage {
    /// Keys with their current versions, in order.
    pub entries: Vec<(String, VersionRecord)>,
    /// Common prefixes, and where the next page begins.
    pub page: Page<()>,
}

/// A version in a listing.
#[derive(Clone, Debug)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// The version.
    pub version: VersionRecord,
    /// Whether it is the key's newest.
    pub latest: bool,
}

/// A page of versions.
#[derive(Clone, Debug)]
pub struct VersionPage {
    /// The versions: keys in order, each newest first.
    pub entries: Vec<ListedVersion>,
    /// Common prefixes, and where the next page begins.
    pub page: Page<VersionOrder>,
}

/// A page of open uploads.
#[derive(Clone, Debug)]
pub struct UploadPage {
    /// Keys with their uploads: keys in order, each oldest first.
    pub entries: Vec<(String, UploadRecord)>,
    /// Common prefixes, and where the next page begins.
    pub page: Page<UploadId>,
}

/// A page in the making: what decides, and what was taken.
struct Making<I, E> {
    listing: Listing<I>,
    entries: Vec<E>,
    /// The key seen last: its first version is its newest.
    last_key: Option<String>,
}

impl Objects {
    /// A page of a bucket's objects.
    pub async fn list_objects(&self, bucket: &BucketRecord, request: Request<()>) -> Result<ObjectPage> {
        let (listing, prefix) = (Listing::new(request.clone()), request.prefix);
        let mut making = Making { listing, entries: Vec::new(), last_key: None };
        if let Some(from) = making.listing.start() {
            making = self
                .store
                .visit_current(bucket.id, &prefix, &object_seek(from), making, |making, key, record| {
                    match making.listing.see(key, &()) {
                        Seen::Take => making.entries.push((key.to_owned(), record()?)),
                        Seen::Seek(to) => return Ok(Step::Seek(object_seek(to))),
                        Seen::Done => return Ok(Step::Stop),
                    }
                    Ok(Step::Next)
                })
                .await?;
        }
        Ok(ObjectPage { entries: making.entries, page: making.listing.finish() })
    }

    /// A page of a bucket's versions and delete markers.
    pub async fn list_versions(&self, bucket: &BucketRecord, request: Request<VersionOrder>) -> Result<VersionPage> {
        let (listing, prefix) = (Listing::new(request.clone()), request.prefix);
        let mut making = Making { listing, entries: Vec::new(), last_key: None };
        if let Some(from) = making.listing.start() {
            // From the key's newest version on, not from behind the marker: since the page before, the marker's
            // version may have gone and an older one become the newest, which is then still to be listed.
            let from = match from {
                listing::Seek::AfterEntry(key, _) => Seek::Key(key),
                from => version_seek(from),
            };
            making = self
                .store
                .visit_versions(bucket.id, &prefix, &from, making, |making, key, record| {
                    let version = record()?;
                    let latest = making.last_key.as_deref() != Some(key);
                    if latest {
                        making.last_key = Some(key.to_owned());
                    }
                    match making.listing.see(key, &Reverse(version.id.order)) {
                        Seen::Take => making.entries.push(ListedVersion { key: key.to_owned(), version, latest }),
                        Seen::Seek(to) => return Ok(Step::Seek(version_seek(to))),
                        Seen::Done => return Ok(Step::Stop),
                    }
                    Ok(Step::Next)
                })
                .await?;
        }
        Ok(VersionPage { entries: making.entries, page: making.listing.finish() })
    }

    /// A page of a bucket's open uploads.
    pub async fn list_uploads(&self, bucket: &BucketRecord, request: Request<UploadId>) -> Result<UploadPage> {
        let (listing, prefix) = (Listing::new(request.clone()), request.prefix);
        let mut making = Making { listing, entries: Vec::new(), last_key: None };
        if let Some(from) = making.listing.start() {
            making = self
                .store
                .visit_uploads(bucket.id, &prefix, &upload_seek(from), making, |making, key, id, record| {
                    match making.listing.see(key, &id) {
                        Seen::Take => making.entries.push((key.to_owned(), record()?)),
                        Seen::Seek(to) => return Ok(Step::Seek(upload_seek(to))),
                        Seen::Done => return Ok(Step::Stop),
                    }
                    Ok(Step::Next)
                })
                .await?;
        }
        Ok(UploadPage { entries: making.entries, page: making.listing.finish() })
    }
}

fn seek<I>(to: listing::Seek<I>, entry: impl FnOnce(String, I) -> Seek) -> Seek {
    match to {
        listing::Seek::From(key) => Seek::Key(key),
        listing::Seek::AfterKey(key) => Seek::AfterKey(key),
        listing::Seek::AfterPrefix(prefix) => Seek::AfterPrefix(prefix),
        listing::Seek::AfterEntry(key, id) => entry(key, id),
    }
}

fn object_seek(to: listing::Seek<()>) -> Seek {
    seek(to, |key, ()| Seek::AfterKey(key))
}

fn version_seek(to: listing::Seek<VersionOrder>) -> Seek {
    seek(to, |key, Reverse(order)| Seek::AfterVersion(key, order))
}

fn upload_seek(to: listing::Seek<UploadId>) -> Seek {
    seek(to, Seek::AfterUpload)
}
