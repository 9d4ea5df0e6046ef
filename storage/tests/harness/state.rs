//! The reference model: what a store of versioned objects holds, as plain maps, and what each operation does to it.
//! Written from S3's documentation of versioning, not from the store's code.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::index::keys::Usage;
use storage::index::records::Versioning;
use storage::types::{BucketId, UploadId, VersionId};

use super::chores::Records;
use super::client_more::Notes;

/// All that can be seen of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub buckets: BTreeMap<String, Bucket>,
    /// The outbox: one event for each change of a key, in the order of commits, without those that were trimmed.
    pub events: Vec<String>,
    /// What workers and administrators keep.
    pub records: Records,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub id: BucketId,
    pub versioning: Versioning,
    pub config: Option<Bytes>,
    /// Newest first; never empty.
    pub keys: BTreeMap<String, Vec<Version>>,
    pub uploads: BTreeMap<(String, UploadId), Parts>,
}

pub type Parts = BTreeMap<u16, Bytes>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub id: VersionId,
    pub null: bool,
    pub tags: Vec<(String, String)>,
    pub notes: Notes,
    /// `None`: a delete marker.
    pub body: Option<Bytes>,
}

/// A version by its bucket, key and number among the key's versions, newest first.
pub type Spot = (String, String, usize);

impl Bucket {
    pub fn new(id: BucketId) -> Self {
        let versioning = Versioning::Unversioned;
        Self { id, versioning, config: None, keys: BTreeMap::new(), uploads: BTreeMap::new() }
    }

    /// A new version or delete marker comes on top.
    pub fn add(&mut self, key: &str, id: VersionId, body: Option<Bytes>) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        match self.versioning {
            Versioning::Unversioned => versions.clear(),
            Versioning::Enabled => {}
            Versioning::Suspended => versions.retain(|version| !version.null),
        }
        let null = self.versioning != Versioning::Enabled;
        versions.insert(0, Version { id, null, tags: Vec::new(), notes: Notes::new(), body });
    }

    /// The key is deleted without naming a version; `marker` is the delete marker's id where there will be one.
    pub fn delete(&mut self, key: &str, marker: Option<VersionId>) {
        match marker {
            Some(id) => self.add(key, id, None),
            None => drop(self.keys.remove(key)),
        }
    }

    pub fn delete_version(&mut self, key: &str, nth: usize) {
        if let Some(versions) = self.keys.get_mut(key) {
            versions.remove(nth);
            if versions.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// What a GET without a version finds.
    pub fn current(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.first().filter(|version| version.body.is_some())
    }

    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.keys.values().flatten()
    }

    pub fn usage(&self, figure: Usage) -> u64 {
        let bodies = || self.versions().filter_map(|version| version.body.as_ref());
        let count = match figure {
            Usage::Objects => self.keys.keys().filter(|key| self.current(key).is_some()).count(),
            Usage::Bytes => {
                let notes = self.versions().flat_map(|version| &version.notes).map(|(_, payload)| payload.len());
                bodies().map(Bytes::len).chain(notes).sum()
            }
            Usage::Versions => bodies().count(),
            Usage::DeleteMarkers => self.versions().filter(|version| version.body.is_none()).count(),
        };
        count as u64
    }
}

impl State {
    /// A change of a key leaves its event.
    pub fn tell(&mut self, what: &str, bucket: &str, key: &str) {
        let bucket = self.bucket(bucket).id;
        self.events.push(super::client::event(what, bucket, key));
    }

    pub fn bucket(&mut self, name: &str) -> &mut Bucket {
        self.buckets.get_mut(name).unwrap_or_else(|| panic!("the model has no bucket {name}"))
    }

    /// All versions that hold an object.
    pub fn objects(&self) -> Vec<Spot> {
        self.spots(|version| version.body.is_some())
    }

    /// All versions and delete markers.
    pub fn all_versions(&self) -> Vec<Spot> {
        self.spots(|_| true)
    }

    fn spots(&self, wanted: impl Fn(&Version) -> bool) -> Vec<Spot> {
        let mut spots = Vec::new();
        for (name, bucket) in &self.buckets {
            for (key, versions) in &bucket.keys {
                let those = versions.iter().enumerate().filter(|(_, version)| wanted(version));
                spots.extend(those.map(|(nth, _)| (name.clone(), key.clone(), nth)));
            }
        }
        spots
    }

    pub fn version(&self, (bucket, key, nth): &Spot) -> &Version {
        &self.buckets[bucket].keys[key][*nth]
    }

    /// All open uploads: bucket, key, id.
    pub fn uploads(&self) -> Vec<(String, String, UploadId)> {
        let of = |(name, bucket): (&String, &Bucket)| {
            bucket.uploads.keys().map(|(key, id)| (name.clone(), key.clone(), *id)).collect::<Vec<_>>()
        };
        self.buckets.iter().flat_map(of).collect()
    }

    /// Where another state differs first, in words that fit on a line.
    pub fn difference(&self, seen: &Self) -> Option<String> {
        if self.events != seen.events {
            let at = self.events.iter().zip(&seen.events).take_while(|(own, other)| own == other).count();
            let (own, other) = (self.events.get(at..), seen.events.get(at..));
            return Some(format!("events from {at} on should be {own:?}, are {other:?}"));
        }
        if self.records != seen.records {
            return Some(format!("records should be {:?}, are {:?}", self.records, seen.records));
        }
        let (names, seen_names) = (self.buckets.keys().collect::<Vec<_>>(), seen.buckets.keys().collect::<Vec<_>>());
        if names != seen_names {
            return Some(format!("buckets should be {names:?}, are {seen_names:?}"));
        }
        self.buckets
            .iter()
            .find_map(|(name, bucket)| bucket.difference(&seen.buckets[name]).map(|it| format!("{name}: {it}")))
    }
}

impl Bucket {
    fn difference(&self, seen: &Self) -> Option<String> {
        let own = (self.id, self.versioning, &self.config);
        let other = (seen.id, seen.versioning, &seen.config);
        if own != other {
            return Some(format!("should be {own:?}, is {other:?}"));
        }
        let outline =
            |bucket: &Self| -> Vec<_> { bucket.keys.iter().map(|(key, all)| (key.clone(), all.len())).collect() };
        if outline(self) != outline(seen) {
            return Some(format!("keys with versions should be {:?}, are {:?}", outline(self), outline(seen)));
        }
        for (key, versions) in &self.keys {
            for (nth, (version, found)) in versions.iter().zip(&seen.keys[key]).enumerate() {
                if version != found {
                    return Some(format!("{key} version {nth} should be {}, is {}", brief(version), brief(found)));
                }
            }
        }
        let outline = |bucket: &Self| -> Vec<_> {
            bucket.uploads.iter().map(|(id, parts)| (id.clone(), parts.keys().copied().collect::<Vec<_>>())).collect()
        };
        if outline(self) != outline(seen) {
            return Some(format!("uploads should be {:?}, are {:?}", outline(self), outline(seen)));
        }
        (self.uploads != seen.uploads).then(|| "a part has other bytes".to_owned())
    }
}

fn brief(version: &Version) -> String {
    let body =
        version.body.as_ref().map(|body| (body.len(), body.get(..4.min(body.len())).unwrap_or_default().to_vec()));
    let notes: Vec<_> = version.notes.iter().map(|(name, payload)| (name, payload.len())).collect();
    format!("{} null {} tags {:?} notes {notes:?} body {body:?}", version.id, version.null, version.tags)
}
