//! What the rules say of one key, and why.

use storage::index::records::BucketRecord;
use storage::store::{Seek, Step};
use storage::types::{Timestamp, VersionId};

use super::scan::upload_subject;
use super::walk::Walk;
use crate::object::{Objects, Result, VersionLabel};
use crate::rules::lifecycle::{self, Calendar, Configuration, Outcome, State, Subject};

/// Versions of a key that are explained, and uploads.
const MAX_EXPLAINED: usize = 1_000;

/// What the rules say of one version or upload.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The version as answers name it; of an upload `None`.
    pub label: Option<VersionLabel>,
    /// The version's id, or the upload's.
    pub id: VersionId,
    /// What it is among the versions of its key.
    pub state: State,
    /// When it was written or initiated.
    pub since: Timestamp,
    /// Bytes, of an object.
    pub size: Option<u64>,
    /// What will be done with it first, if nothing changes.
    pub next: Option<Upcoming>,
    /// What each action of each rule comes to.
    pub verdicts: Vec<Judged>,
}

/// Something that will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// By this rule.
    pub rule: String,
    /// This.
    pub action: lifecycle::Action,
    /// From then on.
    pub at: Timestamp,
}

/// One action of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The rule.
    pub rule: String,
    /// The action.
    pub action: lifecycle::Action,
    /// From when on it is asked for, or in words why not.
    pub outcome: std::result::Result<Timestamp, String>,
}

impl Objects {
    /// What a configuration says of the versions and open uploads of a key: of up to a thousand each, newest first.
    pub async fn explain_lifecycle(
        &self,
        bucket: &BucketRecord,
        key: &str,
        configuration: &Configuration,
    ) -> Result<Vec<Explained>> {
        let (calendar, now, lock_time) = (self.settings.calendar, Timestamp::now(), self.lock_time());
        let view = self.view(bucket, key).await?;
        let older = self.store.noncurrent(view.bucket.id, key, MAX_EXPLAINED).await?;
        let mut explained = Vec::new();
        let mut tell = |seen: super::walk::Seen<'_>| {
            let (label, id) = (VersionLabel::of(seen.version), seen.version.id);
            explained.push(explain(configuration, &seen.subject(lock_time), Some(label), id, calendar, now));
        };
        let mut walk = Walk::default();
        for version in view.current.iter().chain(&older) {
            walk.take(view.bucket.versioning, key, version, &mut tell);
        }
        walk.finish(&mut tell);
        let wanted = key.to_owned();
        let from = Seek::Key(key.to_owned());
        let uploads = self
            .store
            .visit_uploads(bucket.id, key, &from, Vec::new(), move |uploads, found, id, decode| {
                if found != wanted || uploads.len() >= MAX_EXPLAINED {
                    return Ok(Step::Stop);
                }
                uploads.push((id, decode()?.initiated));
                Ok(Step::Next)
            })
            .await?;
        for (id, initiated) in uploads {
            explained.push(explain(configuration, &upload_subject(key, initiated), None, id, calendar, now));
        }
        Ok(explained)
    }
}

fn explain(
    configuration: &Configuration,
    subject: &Subject<'_>,
    label: Option<VersionLabel>,
    id: VersionId,
    calendar: Calendar,
    now: Timestamp,
) -> Explained {
    let next = lifecycle::next(configuration, subject, calendar, now);
    let verdicts = lifecycle::verdicts(configuration, subject, calendar);
    Explained {
        label,
        id,
        state: subject.state,
        since: subject.since,
        size: subject.size,
        next: next.map(|due| Upcoming { rule: due.rule.id.clone(), action: due.action, at: due.at }),
        verdicts: verdicts
            .map(|verdict| Judged {
                rule: verdict.rule.id.clone(),
                action: verdict.action,
                outcome: match verdict.outcome {
                    Outcome::From(at) => Ok(at),
                    Outcome::Not(reason) => Err(reason.to_string()),
                },
            })
            .collect(),
    }
}
