//! Everything that the index holds, recomputed from what is live: nothing may be missing, nothing left over.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use storage::Store;
use storage::index::keys::{self, Child, ObjectRow, Parent, Usage};
use storage::index::records::{ChunkRecord, Data, ManifestPage, ManifestRoot, PartRecord, Record, VersionRecord};
use storage::kv::{Family, Kv, Scan, Visit};
use storage::types::{BucketId, UploadId, VersionId};

type Rows = BTreeMap<Vec<u8>, Bytes>;
type Keys = BTreeSet<Vec<u8>>;

/// All rows of a family.
pub fn rows(kv: &dyn Kv, family: Family) -> Rows {
    let mut rows = Rows::new();
    let scan = Scan { families: vec![family], from: Vec::new(), to: None };
    let visit = &mut |_: Family, key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), Bytes::copy_from_slice(value));
        Visit::Next
    };
    kv.scan(&scan, visit).expect("the index can be scanned");
    rows
}

/// What live data needs.
struct Needed<'a> {
    kv: &'a dyn Kv,
    refs: Keys,
    chunks: Keys,
    manifests: Keys,
    inline: Keys,
    counters: BTreeMap<Vec<u8>, i64>,
}

/// Checks an index after all garbage was collected.
pub fn audit(kv: &dyn Kv) -> Result<(), String> {
    let buckets = rows(kv, Family::Buckets);
    let ids: BTreeSet<BucketId> = buckets.keys().filter(|row| row[0] == b'i').map(|row| bucket_id(&row[1..])).collect();
    let mut needed = Needed {
        kv,
        refs: Keys::new(),
        chunks: Keys::new(),
        manifests: Keys::new(),
        inline: Keys::new(),
        counters: BTreeMap::new(),
    };
    for row in buckets.keys().filter(|row| row[0] == b'c') {
        known(&ids, bucket_id(&row[1..]), "a sub-resource")?;
    }
    needed.versions(&ids)?;
    needed.uploads(&ids)?;
    needed.segments()?;
    needed.events()?;
    let found = |family| rows(kv, family).into_keys().collect::<Keys>();
    same("candidates", &Keys::new(), &found(Family::Candidates))?;
    same("inline", &needed.inline, &found(Family::Inline))?;
    same("refs", &needed.refs, &found(Family::Refs))?;
    same("manifests", &needed.manifests, &found(Family::Manifests))?;
    same("chunks", &needed.chunks, &found(Family::Chunks))?;
    needed.counters.retain(|_, value| *value != 0);
    let counters = rows(kv, Family::Counters);
    let counters: BTreeMap<_, _> =
        counters.into_iter().map(|(key, value)| (key, i64::from_le_bytes(value[..].try_into().unwrap()))).collect();
    if counters != needed.counters {
        return Err(format!("counters should be {:?}, are {counters:?}", needed.counters));
    }
    Ok(())
}

/// Checks that the chunk store knows the same live bytes as the index.
pub fn audit_live_bytes(store: &Store, kv: &dyn Kv) -> Result<(), String> {
    let places = rows(kv, Family::Chunks).into_values().map(|row| ChunkRecord::decode(&row).unwrap().place);
    let indexed: u64 = places.map(|place| u64::from(place.occupied)).sum();
    let gauges = store.gauges();
    let (_, _, live) = gauges.iter().find(|gauge| gauge.0 == "chunks_live_bytes").expect("there is such a figure");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let agree = (*live - indexed as f64).abs() < 0.5;
    if agree { Ok(()) } else { Err(format!("the chunk store has {live} live bytes, the index {indexed}")) }
}

fn same(what: &str, expected: &Keys, found: &Keys) -> Result<(), String> {
    let print = |row: &Vec<u8>| row.escape_ascii().to_string();
    let missing: Vec<_> = expected.difference(found).take(2).map(print).collect();
    let surplus: Vec<_> = found.difference(expected).take(2).map(print).collect();
    if missing.is_empty() && surplus.is_empty() {
        return Ok(());
    }
    Err(format!("{what}: of {} rows missing {missing:?}, of {} left over {surplus:?}", expected.len(), found.len()))
}

fn bucket_id(bytes: &[u8]) -> BucketId {
    BucketId(u64::from_be_bytes(bytes[..8].try_into().unwrap()))
}

fn upload_id(row: &[u8]) -> UploadId {
    VersionId::from_bytes(row[1..17].try_into().unwrap())
}

fn known(ids: &BTreeSet<BucketId>, id: BucketId, what: &str) -> Result<(), String> {
    if ids.contains(&id) { Ok(()) } else { Err(format!("{what} of bucket {}, which is gone", id.0)) }
}

impl Needed<'_> {
    fn versions(&mut self, ids: &BTreeSet<BucketId>) -> Result<(), String> {
        let all = [Family::Current, Family::Versions].map(|family| rows(self.kv, family));
        let has_versions: Keys =
            all.iter().flat_map(BTreeMap::keys).filter(|row| !is_head(row)).map(|row| object_of(row)).collect();
        for (row, value) in all.iter().flatten() {
            let bucket = bucket_id(row);
            known(ids, bucket, "a version")?;
            if is_head(row) {
                if !has_versions.contains(&object_of(row)) {
                    return Err(format!("a head without versions: {}", row.escape_ascii()));
                }
                continue;
            }
            let (key, _) = keys::parse_object(row).ok_or("a row key that is not an object's")?;
            let version = VersionRecord::decode(value).map_err(|error| error.to_string())?;
            let mut add = |figure, delta| *self.counters.entry(keys::usage(bucket, figure)).or_default() += delta;
            match version.object() {
                None => add(Usage::DeleteMarkers, 1),
                Some(object) => {
                    add(Usage::Versions, 1);
                    let annotations = object.annotations.map_or(0, |list| list.bytes);
                    add(Usage::Bytes, i64::try_from(object.size + annotations).unwrap());
                    if matches!(keys::parse_object(row), Some((_, ObjectRow::Current))) {
                        add(Usage::Objects, 1);
                    }
                    if object.data == Data::Inline {
                        self.inline.insert(keys::inline(bucket, &key, version.id.order));
                    }
                    self.data(object.data, Parent::Version(version.id))?;
                    if let Some(list) = object.annotations {
                        self.child(Child::Manifest(list.manifest), Parent::Version(version.id))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn uploads(&mut self, ids: &BTreeSet<BucketId>) -> Result<(), String> {
        let rows = rows(self.kv, Family::Uploads);
        let mut open = BTreeSet::new();
        for row in rows.keys().filter(|row| row[0] == b'u') {
            known(ids, bucket_id(&row[1..]), "an upload")?;
            open.insert(keys::parse_upload(row).ok_or("a row key that is not an upload's")?.1);
        }
        for (row, value) in rows.iter().filter(|(row, _)| row[0] == b'p') {
            let (upload, part) = (upload_id(row), PartRecord::decode(value).map_err(|error| error.to_string())?);
            if !open.contains(&upload) {
                return Err(format!("a part of upload {upload}, which has ended"));
            }
            self.data(part.data, Parent::Part { upload, number: part.number })?;
        }
        for upload in open {
            // How often parts were written cannot be recomputed; that ended uploads leave no counter can.
            let row = keys::upload_writes(upload);
            if let Some(value) = self.kv.get(Family::Counters, &row).map_err(|error| error.to_string())? {
                self.counters.insert(row, i64::from_le_bytes(value[..].try_into().unwrap()));
            }
        }
        Ok(())
    }

    fn data(&mut self, data: Data, parent: Parent) -> Result<(), String> {
        let child = match data {
            Data::Empty | Data::Inline => return Ok(()),
            Data::Chunk(id) => Child::Chunk(id),
            Data::Manifest { id, .. } | Data::Parts(id) => Child::Manifest(id),
            Data::Remote(id) => Child::Remote(id),
        };
        self.child(child, parent)
    }

    fn child(&mut self, child: Child, parent: Parent) -> Result<(), String> {
        self.refs.insert(keys::reference(child, parent));
        let id = match child {
            Child::Chunk(id) => {
                self.chunks.insert(keys::chunk(id));
                return Ok(());
            }
            Child::Manifest(id) => id,
            Child::Remote(_) => return Ok(()),
        };
        if !self.manifests.insert(keys::manifest(id)) {
            return Ok(());
        }
        let read = |row: &[u8]| {
            let value = self.kv.get(Family::Manifests, row).map_err(|error| error.to_string())?;
            value.ok_or_else(|| format!("manifest {id}: a row is missing"))
        };
        let root = ManifestRoot::decode(&read(&keys::manifest(id))?).map_err(|error| error.to_string())?;
        for number in 0..root.pages {
            let row = keys::manifest_page(id, number);
            let value = self.kv.get(Family::Manifests, &row).map_err(|error| error.to_string())?;
            let value = value.ok_or_else(|| format!("manifest {id}: page {number} is missing"))?;
            self.manifests.insert(row);
            match ManifestPage::decode(&value).map_err(|error| error.to_string())? {
                ManifestPage::Chunks { chunks, .. } => {
                    for (chunk, _) in chunks {
                        self.child(Child::Chunk(chunk), Parent::Manifest(id))?;
                    }
                }
                ManifestPage::Parts { parts, .. } => {
                    for part in parts {
                        self.data(part.data, Parent::Manifest(id))?;
                    }
                }
                ManifestPage::Annotations(records) => {
                    for record in records {
                        self.data(record.data, Parent::Manifest(id))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The outbox has no gap, and its size is counted.
    fn events(&mut self) -> Result<(), String> {
        let outbox = rows(self.kv, Family::Outbox);
        let last = outbox.get(&keys::events()).map_or(0, |row| u64::from_be_bytes(row[..].try_into().unwrap()));
        let (counter, letters) = super::chores::letters_counted(outbox.keys());
        self.counters.insert(counter, letters);
        let events: Vec<_> = outbox.iter().filter(|(row, _)| row[0] == b'e' && row.len() > 1).collect();
        let trimmed = last - events.len() as u64;
        for ((row, _), position) in events.iter().zip(trimmed + 1..) {
            if **row != keys::event(position) {
                return Err(format!("in place of event {position} there is {}", row.escape_ascii()));
            }
        }
        let bytes: usize = events.iter().map(|(_, event)| event.len()).sum();
        self.counters.insert(keys::outbox_bytes(), i64::try_from(bytes).unwrap());
        Ok(())
    }

    fn segments(&mut self) -> Result<(), String> {
        for value in rows(self.kv, Family::Chunks).into_values() {
            let place = ChunkRecord::decode(&value).map_err(|error| error.to_string())?.place;
            *self.counters.entry(keys::segment(place.drive, place.segment)).or_default() += i64::from(place.occupied);
        }
        Ok(())
    }
}

fn is_head(row: &[u8]) -> bool {
    matches!(keys::parse_object(row), Some((_, ObjectRow::Head)))
}

fn object_of(row: &[u8]) -> Vec<u8> {
    let (key, _) = keys::parse_object(row).expect("a row key of an object");
    keys::object(bucket_id(row), &key)
}
