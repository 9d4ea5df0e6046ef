//! Tells of each version of a key what it is among the others. Versions come as a scan finds them: newest first.

use serde::{Deserialize, Serialize};
use storage::index::records::{VersionRecord, Versioning};
use storage::types::{Timestamp, VersionId};

use crate::object::object_lock::lock_of;
use crate::rules::lifecycle::{State, Subject};
use crate::rules::metadata::STANDARD;
use crate::rules::object_lock::{Bypass, Moment};

/// How far a walk has come in the versions of one key. Stored as part of a worker's note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Walk {
    key: String,
    /// The version before, in the order of the walk: the one that made the next one noncurrent.
    successor: Option<(Timestamp, VersionId)>,
    /// Noncurrent objects so far.
    noncurrent: u32,
    /// A current delete marker, of which the next version tells whether it is alone.
    marker: Option<VersionRecord>,
}

/// A version, and what it is among the others of its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub key: &'a str,
    pub version: &'a VersionRecord,
    pub state: State,
    /// The version that made this one noncurrent.
    pub successor: Option<VersionId>,
}

impl Walk {
    /// Takes the next version and tells of those that are known now.
    pub(super) fn take(
        &mut self,
        versioning: Versioning,
        key: &str,
        version: &VersionRecord,
        mut tell: impl FnMut(Seen<'_>),
    ) {
        if self.key != key || self.successor.is_none() {
            self.finish(&mut tell);
            key.clone_into(&mut self.key);
        } else if let Some(marker) = self.marker.take() {
            tell(Seen { key, version: &marker, state: State::Marker, successor: None });
        }
        let state = match self.successor {
            None if version.object().is_none() => None,
            None => Some(State::Current { marked: versioning != Versioning::Unversioned }),
            Some((since, _)) => {
                let marker = version.object().is_none();
                Some(State::Noncurrent { since, newer: self.noncurrent, marker })
            }
        };
        match state {
            None => self.marker = Some(version.clone()),
            Some(state) => {
                tell(Seen { key, version, state, successor: self.successor.map(|(_, id)| id) });
                if matches!(state, State::Noncurrent { marker: false, .. }) {
                    self.noncurrent += 1;
                }
            }
        }
        self.successor = Some((version.modified, version.id));
    }

    /// Nothing more of this key comes.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(Seen<'_>)) {
        let Self { key, marker, .. } = std::mem::take(self);
        if let Some(marker) = marker {
            tell(Seen { key: &key, version: &marker, state: State::LoneMarker, successor: None });
        }
    }
}

impl Seen<'_> {
    /// As the rules see it.
    pub(super) fn subject(&self, now: Moment) -> Subject<'_> {
        subject(self.key, self.version, self.state, now)
    }
}

/// A version as the rules see it.
pub(super) fn subject<'a>(key: &'a str, version: &'a VersionRecord, state: State, now: Moment) -> Subject<'a> {
    let object = version.object();
    let attributes = object.map(|object| &object.attributes);
    Subject {
        key,
        state,
        since: version.modified,
        size: object.map(|object| object.size),
        tags: attributes.map(|attributes| attributes.tags.as_slice()).unwrap_or_default(),
        class: attributes.and_then(|attributes| attributes.storage_class.as_deref()).unwrap_or(STANDARD),
        // What cannot be read is not removed.
        locked: attributes
            .is_some_and(|attributes| lock_of(attributes).map_or(true, |lock| lock.holds(now, Bypass::Nothing))),
    }
}

#[cfg(test)]
mod tests {
    use storage::index::records::{Attributes, Content, Data, ETag, ObjectRecord};

    use super::*;

    fn version(order: u64, object: bool) -> VersionRecord {
        let content = if object {
            Content::Object(ObjectRecord {
                size: order,
                etag: ETag { md5: [0; 16], parts: None },
                data: Data::Empty,
                checksum: None,
                attributes: Attributes::default(),
                annotations: None,
                restore: None,
            })
        } else {
            Content::DeleteMarker
        };
        let id = VersionId { order, salt: 0 };
        let modified = Timestamp(i64::try_from(order).expect("small"));
        VersionRecord { id, null: false, modified, owner: String::new(), content }
    }

    #[test]
    fn each_version_is_told_what_it_is() {
        let rows = [
            ("a", version(9, true)),
            ("a", version(7, true)),
            ("a", version(6, false)),
            ("a", version(5, true)),
            ("b", version(8, false)),
            ("c", version(4, false)),
            ("c", version(3, true)),
            ("d", version(2, false)),
        ];
        let mut told = Vec::new();
        // The walk is as good when it is interrupted and stored after each version.
        let mut walk = Walk::default();
        for (key, version) in &rows {
            walk.take(Versioning::Enabled, key, version, |seen| {
                told.push((seen.key.to_owned(), seen.version.id.order, seen.state));
            });
            let text = serde_json::to_string(&walk).expect("encoded");
            walk = serde_json::from_str(&text).expect("decoded");
        }
        walk.finish(|seen| told.push((seen.key.to_owned(), seen.version.id.order, seen.state)));
        let noncurrent = |since, newer, marker| State::Noncurrent { since: Timestamp(since), newer, marker };
        let expected = [
            ("a", 9, State::Current { marked: true }),
            ("a", 7, noncurrent(9, 0, false)),
            ("a", 6, noncurrent(7, 1, true)),
            ("a", 5, noncurrent(6, 1, false)),
            ("b", 8, State::LoneMarker),
            ("c", 4, State::Marker),
            ("c", 3, noncurrent(4, 0, false)),
            ("d", 2, State::LoneMarker),
        ];
        assert_eq!(told, expected.map(|(key, order, state)| (key.to_owned(), order, state)));
    }
}
