//! Walks a bucket's versions and uploads a page at a time, and asks the rules about each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use storage::index::records::{BucketRecord, Record, UploadRecord, VersionRecord, Versioning};
use storage::store::{Seek, Step};
use storage::types::{Timestamp, UploadId, VersionId};

use super::walk::{Seen, Walk};
use crate::object::{Objects, Result, VersionLabel};
use crate::rules::lifecycle::{self, Action, Calendar, Configuration, State, Subject};
use crate::rules::object_lock::Moment;

/// How far a scan of a bucket has come. Stored in a worker's note, and sent around as a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(Stage);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// After this version of a key; from the beginning where there is none.
    Versions(Option<(String, u64)>, Box<Walk>),
    /// After this upload of a key.
    Uploads(Option<(String, UploadId)>),
    /// Everything was seen.
    Done,
}

impl Default for Position {
    fn default() -> Self {
        Self(Stage::Versions(None, Box::default()))
    }
}

impl Position {
    /// Whether everything was seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0 == Stage::Done
    }
}

impl Record for Position {
    const FAMILY: &'static str = "system";
}

/// What bounds a page.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// Versions and uploads that are looked at.
    pub examined: usize,
    /// Of those, the ones to act on.
    pub items: usize,
    /// How long the scan may hold its thread.
    pub time: Duration,
}

/// Something that the rules ask to be done.
#[derive(Clone, Debug)]
pub struct Item {
    /// The key.
    pub key: String,
    /// The version or upload.
    pub id: VersionId,
    /// What it is.
    pub kind: ItemKind,
    /// Of a version, how answers name it, where its bucket has versions.
    pub label: Option<VersionLabel>,
    /// What is to be done.
    pub action: Action,
    /// By which rule.
    pub rule: String,
    /// Since when.
    pub at: Timestamp,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A version; of a noncurrent one, the version that made it so.
    Version(Option<VersionId>),
    /// An upload.
    Upload,
}

/// What a scan shows.
pub(super) enum Shown<'a> {
    Version(Seen<'a>),
    Upload { key: &'a str, id: UploadId, initiated: Timestamp },
}

impl Shown<'_> {
    pub(super) fn subject(&self, now: Moment) -> Subject<'_> {
        match self {
            Self::Version(seen) => seen.subject(now),
            Self::Upload { key, initiated, .. } => upload_subject(key, *initiated),
        }
    }

    fn id(&self) -> VersionId {
        match self {
            Self::Version(seen) => seen.version.id,
            Self::Upload { id, .. } => *id,
        }
    }
}

/// An upload as the rules see it.
pub(super) fn upload_subject(key: &str, initiated: Timestamp) -> Subject<'_> {
    Subject { key, state: State::Upload, since: initiated, size: None, tags: &[], class: "", locked: false }
}

/// A page under way.
struct Page<T> {
    state: T,
    walk: Walk,
    examined: usize,
    /// Where it stopped, if before the end.
    stopped: Option<(String, VersionId)>,
    deadline: Instant,
    limit: usize,
}

impl<T> Page<T> {
    fn is_over(&self) -> bool {
        // A look at the clock costs more than a row.
        self.examined >= self.limit || (self.examined.is_multiple_of(64) && Instant::now() >= self.deadline)
    }
}

impl Objects {
    /// What is to be done in a bucket, a page of it, and how many versions and uploads were looked at.
    pub async fn lifecycle_items(
        &self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        position: Position,
        limits: PageLimits,
        now: Timestamp,
    ) -> Result<(Vec<Item>, usize, Position)> {
        let (calendar, most, versioning) = (self.settings.calendar, limits.items, bucket.versioning);
        let lock_time = self.lock_time();
        let wanted = Arc::clone(configuration);
        let take = move |items: &mut Vec<Item>, shown: &Shown<'_>| {
            items.extend(item(&wanted, shown, versioning, calendar, (now, lock_time)));
            items.len() < most
        };
        self.lifecycle_page(bucket, configuration, position, limits, Vec::new(), take).await
    }

    /// Shows `take` a page of a bucket's versions and uploads; `take` answers whether it takes more.
    pub(super) async fn lifecycle_page<T, F>(
        &self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        position: Position,
        limits: PageLimits,
        state: T,
        take: F,
    ) -> Result<(T, usize, Position)>
    where
        T: Send + 'static,
        F: FnMut(&mut T, &Shown<'_>) -> bool + Send + 'static,
    {
        let page = |walk| Page {
            state,
            walk,
            examined: 0,
            stopped: None,
            deadline: Instant::now() + limits.time,
            limit: limits.examined.max(1),
        };
        match position.0 {
            Stage::Versions(..) if !configuration.concerns_versions() => {
                Ok((page(Walk::default()).state, 0, after(configuration)))
            }
            Stage::Versions(from, walk) => self.versions_page(bucket, configuration, from, page(*walk), take).await,
            Stage::Uploads(from) => self.uploads_page(bucket, configuration, from, page(Walk::default()), take).await,
            Stage::Done => Ok((page(Walk::default()).state, 0, Position(Stage::Done))),
        }
    }

    async fn versions_page<T, F>(
        &self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        from: Option<(String, u64)>,
        page: Page<T>,
        take: F,
    ) -> Result<(T, usize, Position)>
    where
        T: Send + 'static,
        F: FnMut(&mut T, &Shown<'_>) -> bool + Send + 'static,
    {
        let (versioning, concerned) = (bucket.versioning, Arc::clone(configuration));
        let visit = move |pair: &mut (Page<T>, F), key: &str, decode: &dyn Fn() -> storage::Result<VersionRecord>| {
            let (page, take) = pair;
            page.examined += 1;
            let mut more = true;
            if concerned.concerns(key) {
                let version = decode()?;
                let state = &mut page.state;
                page.walk.take(versioning, key, &version, |seen| more &= take(state, &Shown::Version(seen)));
                if !more || page.is_over() {
                    page.stopped = Some((key.to_owned(), version.id));
                    return Ok(Step::Stop);
                }
            } else if page.is_over() {
                // Of a key that no rule is about, nothing more need be seen.
                page.stopped = Some((key.to_owned(), VersionId { order: 0, salt: 0 }));
                return Ok(Step::Stop);
            }
            Ok(Step::Next)
        };
        let seek = match from {
            None => Seek::Key(String::new()),
            Some((key, order)) => Seek::AfterVersion(key, order),
        };
        let scan = (page, take);
        let (page, mut take) = match bucket.versioning {
            Versioning::Unversioned => self.store.visit_current(bucket.id, "", &seek, scan, visit).await?,
            Versioning::Enabled | Versioning::Suspended => {
                self.store.visit_versions(bucket.id, "", &seek, scan, visit).await?
            }
        };
        let Page { mut state, mut walk, examined, stopped, .. } = page;
        let position = if let Some((key, id)) = stopped {
            Position(Stage::Versions(Some((key, id.order)), Box::new(walk)))
        } else {
            walk.finish(|seen| {
                take(&mut state, &Shown::Version(seen));
            });
            after(configuration)
        };
        Ok((state, examined, position))
    }

    async fn uploads_page<T, F>(
        &self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        from: Option<(String, UploadId)>,
        page: Page<T>,
        take: F,
    ) -> Result<(T, usize, Position)>
    where
        T: Send + 'static,
        F: FnMut(&mut T, &Shown<'_>) -> bool + Send + 'static,
    {
        let concerned = Arc::clone(configuration);
        let visit = move |pair: &mut (Page<T>, F),
                          key: &str,
                          id: UploadId,
                          decode: &dyn Fn() -> storage::Result<UploadRecord>| {
            let (page, take) = pair;
            page.examined += 1;
            let mut more = true;
            if concerned.concerns(key) {
                let initiated = decode()?.initiated;
                more = take(&mut page.state, &Shown::Upload { key, id, initiated });
            }
            if !more || page.is_over() {
                page.stopped = Some((key.to_owned(), id));
                return Ok(Step::Stop);
            }
            Ok(Step::Next)
        };
        let seek = match from {
            None => Seek::Key(String::new()),
            Some((key, id)) => Seek::AfterUpload(key, id),
        };
        let (page, _) = self.store.visit_uploads(bucket.id, "", &seek, (page, take), visit).await?;
        let stage = page.stopped.map_or(Stage::Done, |stopped| Stage::Uploads(Some(stopped)));
        Ok((page.state, page.examined, Position(stage)))
    }
}

/// What comes after the versions.
fn after(configuration: &Configuration) -> Position {
    Position(if configuration.concerns_uploads() { Stage::Uploads(None) } else { Stage::Done })
}

fn item(
    configuration: &Configuration,
    shown: &Shown<'_>,
    versioning: Versioning,
    calendar: Calendar,
    (now, lock_time): (Timestamp, Moment),
) -> Option<Item> {
    let subject = shown.subject(lock_time);
    let due = lifecycle::decide(configuration, &subject, calendar, now)?;
    let (kind, label) = match shown {
        Shown::Version(seen) => (ItemKind::Version(seen.successor), VersionLabel::in_bucket(versioning, seen.version)),
        Shown::Upload { .. } => (ItemKind::Upload, None),
    };
    Some(Item {
        key: subject.key.to_owned(),
        id: shown.id(),
        kind,
        label,
        rule: due.rule.id.clone(),
        action: due.action,
        at: due.at,
    })
}
