//! What a configuration would do to a bucket: counted, without doing any of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use storage::index::records::BucketRecord;
use storage::types::Timestamp;

use super::scan::{PageLimits, Position, Shown};
use crate::object::{Objects, Result};
use crate::rules::lifecycle::{self, Configuration};

/// Samples of each kind of action in a page.
const SAMPLES: usize = 5;

/// What one rule would do in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Versions and uploads to which it would be done at once.
    pub now: u64,
    /// Their bytes.
    pub now_bytes: u64,
    /// Versions and uploads to which it would be done later, if nothing changes.
    pub later: u64,
    /// Their bytes.
    pub later_bytes: u64,
    /// When the first of those is due.
    pub first_later: Option<Timestamp>,
    /// A few of all of them.
    pub samples: Vec<Sample>,
}

/// One of those that something would be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its key.
    pub key: String,
    /// From when on.
    pub at: Timestamp,
}

/// A page of a preview.
#[derive(Clone, Debug)]
pub struct PreviewPage {
    /// Versions and uploads that were looked at.
    pub examined: usize,
    /// By rule, and name of the action.
    pub planned: BTreeMap<(String, String), Planned>,
    /// Where to go on.
    pub position: Position,
}

impl Objects {
    /// What a configuration would do: a page of the bucket.
    pub async fn preview_lifecycle(
        &self,
        bucket: &BucketRecord,
        configuration: &Arc<Configuration>,
        position: Position,
        limits: PageLimits,
    ) -> Result<PreviewPage> {
        let lock_time = self.lock_time();
        let (calendar, now, rules) = (self.settings.calendar, Timestamp::now(), Arc::clone(configuration));
        let take = move |planned: &mut BTreeMap<(String, String), Planned>, shown: &Shown<'_>| {
            let subject = shown.subject(lock_time);
            if let Some(due) = lifecycle::next(&rules, &subject, calendar, now) {
                let name = match &due.action {
                    lifecycle::Action::Transition(class) => format!("transition to {class}"),
                    other => other.name().to_owned(),
                };
                let plan = planned.entry((due.rule.id.clone(), name)).or_default();
                plan.note(subject.key, subject.size.unwrap_or(0), due.at, now);
            }
            true
        };
        let (planned, examined, position) =
            self.lifecycle_page(bucket, configuration, position, limits, BTreeMap::new(), take).await?;
        Ok(PreviewPage { examined, planned, position })
    }
}

impl Planned {
    fn note(&mut self, key: &str, bytes: u64, at: Timestamp, now: Timestamp) {
        if at <= now {
            self.now += 1;
            self.now_bytes += bytes;
        } else {
            self.later += 1;
            self.later_bytes += bytes;
            self.first_later = Some(self.first_later.map_or(at, |first| first.min(at)));
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(Sample { key: key.to_owned(), at });
        }
    }
}
