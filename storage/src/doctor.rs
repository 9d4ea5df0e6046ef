//! The doctor: what can still be read, object by object, and what can be put right from what is left.
//!
//! An examination looks at every chunk that the index places, then walks from every version and part over its manifests
//! to its chunks. So what it names is what a client would find out by reading everything. It changes nothing and may run
//! beside requests; what they change meanwhile may be seen or not.
//!
//! A chunk's row can be derived: frames say whose bytes they hold, references say which chunks are in use.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::chunks::SegmentState;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys::{self, Child, ObjectRow, Parent};
use crate::index::records::{
    BucketRecord, ChunkRecord, Data, ManifestPage, ManifestRoot, ObjectRecord, PartRecord, Record, UploadRecord,
    VersionRecord,
};
use crate::kv::{Batch, Family};
use crate::store::{Store, root_child};
use crate::types::{BucketId, ChunkId, ManifestId, Place, UploadId, VersionId};

/// Rows that are read at a time.
const PAGE: usize = 1_000;
/// Chunks that are read at a time.
const READS: usize = 16;
/// Unreadable chunks that are remembered: 64 MiB of memory. With more, there is no telling what is hit.
const MOST_UNREADABLE: usize = 1_000_000;
/// Ranges that are told of an object.
const MOST_RANGES: usize = 16;
/// Rows that are repaired in one commit: a check and a put, or an add each.
const ROWS_IN_REPAIR: usize = 400;

/// How closely chunks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// That the segment is there and the frame's first block is intact: one small read for each chunk.
    Frames,
    /// Every byte, against the chunk's id.
    Everything,
}

/// What was examined, with what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Which of the key.
    pub what: Which,
    /// Bytes of its data.
    pub size: u64,
    /// `None` if it is safe.
    pub damage: Option<Damage>,
}

/// A version, or a part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The version that is current.
    Current(VersionId),
    /// A noncurrent version.
    Noncurrent(VersionId),
    /// A part that waits for its upload's completion.
    Part(UploadId, u16),
}

/// What cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Which bytes; the first 16 ranges.
    pub ranges: Vec<Range<u64>>,
    /// Bytes in all ranges.
    pub bytes: u64,
    /// The first reason.
    pub why: String,
}

impl Damage {
    fn add(&mut self, range: Range<u64>, why: &str) {
        if self.why.is_empty() {
            why.clone_into(&mut self.why);
        }
        self.bytes += range.end - range.start;
        let told = self.ranges.len();
        match self.ranges.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None if told < MOST_RANGES => self.ranges.push(range),
            None => {}
        }
    }
}

/// The store as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Chunks that the index places.
    pub chunks: u64,
    /// Bytes of them.
    pub chunk_bytes: u64,
    /// Chunks of these that cannot be read.
    pub unreadable_chunks: u64,
    /// Segments that hold, or should hold, live chunks and do not open: drive, number, chunks in them.
    pub lost_segments: Vec<(u16, u32, u64)>,
    /// Segments whose counter of live bytes is not the sum over their chunks.
    pub wrong_counters: u64,
    /// Versions and parts whose first reference is missing: the collector would take their data.
    pub unprotected: u64,
}

/// What a repair has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Segments that were searched.
    pub segments: u64,
    /// Chunks whose row was written anew.
    pub chunks: u64,
    /// Counters that were corrected.
    pub counters: u64,
}

/// Chunks that cannot be read, and why.
type Unreadable = HashMap<ChunkId, String>;

impl Store {
    /// Examines everything; `visit` is told of each version that is an object, and of each part.
    ///
    /// # Errors
    /// When the index cannot be read, or more than a million chunks are unreadable.
    pub async fn examine(self: &Arc<Self>, depth: Depth, visit: &mut (dyn FnMut(Examined) + Send)) -> Result<Summary> {
        let mut summary = Summary::default();
        let unreadable = self.examine_chunks(depth, &mut summary).await?;
        let walk = Examination { store: self, unreadable: &unreadable };
        let mut names = HashMap::new();
        let mut buckets = Rows::of_prefix(Family::Buckets, b"n");
        while let Some((_, row)) = buckets.next(self).await? {
            let bucket = BucketRecord::decode(&row)?;
            names.insert(bucket.id, bucket.name);
        }
        // What has no bucket's name belongs to a bucket that was deleted: nobody can ask for it.
        let name_of = |row: &[u8]| -> Option<(BucketId, String)> {
            let id = BucketId(u64::from_be_bytes(row.get(..8)?.try_into().ok()?));
            names.get(&id).map(|name| (id, name.clone()))
        };
        for family in [Family::Current, Family::Versions] {
            let mut versions = Rows::all(family);
            while let Some((row_key, row)) = versions.next(self).await? {
                let Some((key, kind)) = keys::parse_object(&row_key).filter(|(_, kind)| *kind != ObjectRow::Head)
                else {
                    continue;
                };
                let Some((bucket_id, bucket)) = name_of(&row_key) else { continue };
                let version = VersionRecord::decode(&row)?;
                let what = match kind {
                    ObjectRow::Current => Which::Current(version.id),
                    _ => Which::Noncurrent(version.id),
                };
                let Some(object) = version.object() else { continue };
                let damage = walk.object(bucket_id, &key, version.id, object).await?;
                summary.unprotected += u64::from(!walk.is_protected(object.data, Parent::Version(version.id)).await?);
                visit(Examined { bucket, key, what, size: object.size, damage });
            }
        }
        let mut uploads = Rows::of_prefix(Family::Uploads, b"u");
        while let Some((row_key, row)) = uploads.next(self).await? {
            let upload = UploadRecord::decode(&row)?;
            let (Some((key, _)), Some((_, bucket))) =
                (keys::parse_upload(&row_key), row_key.get(1..).and_then(name_of))
            else {
                continue;
            };
            let mut parts = Rows::of_prefix(Family::Uploads, &keys::parts(upload.id));
            while let Some((_, row)) = parts.next(self).await? {
                let part = PartRecord::decode(&row)?;
                let mut damage = Damage::default();
                walk.data(part.data, 0, part.size, &mut damage).await?;
                let parent = Parent::Part { upload: upload.id, number: part.number };
                summary.unprotected += u64::from(!walk.is_protected(part.data, parent).await?);
                let what = Which::Part(upload.id, part.number);
                let damage = (!damage.why.is_empty()).then_some(damage);
                visit(Examined { bucket: bucket.clone(), key: key.clone(), what, size: part.size, damage });
            }
        }
        Ok(summary)
    }

    /// Looks at every chunk's place.
    async fn examine_chunks(self: &Arc<Self>, depth: Depth, summary: &mut Summary) -> Result<Unreadable> {
        let mut unreadable = Unreadable::new();
        let mut lost: HashMap<(u16, u32), u64> = HashMap::new();
        let mut live: HashMap<(u16, u32), i64> = HashMap::new();
        let known = self.chunks.segments();
        let is_there = |place: &Place| known.iter().any(|one| (one.drive, one.segment) == (place.drive, place.segment));
        let mut there: HashMap<(u16, u32), bool> = HashMap::new();
        let mut rows = Rows::all(Family::Chunks);
        let mut reading: JoinSet<(ChunkId, Result<()>)> = JoinSet::new();
        loop {
            let row = rows.next(self).await?;
            let is_end = row.is_none();
            if let Some((key, row)) = row {
                let (Ok(id), place) = (key.as_slice().try_into().map(ChunkId), ChunkRecord::decode(&row)?.place) else {
                    continue;
                };
                let segment = (place.drive, place.segment);
                summary.chunks += 1;
                summary.chunk_bytes += u64::from(place.length);
                *live.entry(segment).or_default() += i64::from(place.occupied);
                if !*there.entry(segment).or_insert_with(|| is_there(&place)) {
                    *lost.entry(segment).or_default() += 1;
                }
                let store = Arc::clone(self);
                reading.spawn(async move { (id, store.examine_chunk(id, place, depth).await) });
            }
            while (is_end || reading.len() >= READS)
                && let Some(read) = reading.join_next().await
            {
                let (id, outcome) = read.map_err(|_| StoreError::Closed)?;
                if let Err(why) = outcome {
                    unreadable.insert(id, why.to_string());
                }
                if unreadable.len() > MOST_UNREADABLE {
                    let message = format!("more than {MOST_UNREADABLE} chunks cannot be read: is a drive missing?");
                    return Err(StoreError::Open(message));
                }
            }
            if is_end {
                break;
            }
        }
        summary.unreadable_chunks = unreadable.len() as u64;
        summary.lost_segments = lost.into_iter().map(|((drive, segment), chunks)| (drive, segment, chunks)).collect();
        summary.lost_segments.sort_unstable();
        summary.wrong_counters = self.counter_errors(live).await?.len() as u64;
        Ok(unreadable)
    }

    pub(crate) async fn examine_chunk(&self, id: ChunkId, place: Place, depth: Depth) -> Result<()> {
        let read = async |place: Place| match depth {
            Depth::Frames => self.chunks.read(id, place, 0..place.length.min(1)).await,
            Depth::Everything => self.chunks.read_stored(id, place).await,
        };
        let (mut place, mut outcome) = (place, read(place).await);
        // It moved, perhaps more than once; or its place is of a use of the segment that has ended.
        while let Err(StoreError::Conflict) = outcome {
            let row = self.get(Family::Chunks, keys::chunk(id)).await?;
            match row.map(|row| ChunkRecord::decode(&row)).transpose()? {
                Some(record) if record.place != place => {
                    place = record.place;
                    outcome = read(place).await;
                }
                Some(_) => return Err(Corruption::Chunk { id, place, what: "its space was used again" }.into()),
                None => return Ok(()),
            }
        }
        let bytes = match outcome {
            // Removed since its row was read.
            Err(_) if self.get(Family::Chunks, keys::chunk(id)).await?.is_none() => return Ok(()),
            outcome => outcome?,
        };
        if depth == Depth::Everything && self.hash_pool().run(move || ChunkId::of(&bytes)).await != id {
            return Err(Corruption::Chunk { id, place, what: "the bytes are not those of the id" }.into());
        }
        Ok(())
    }

    /// What is to be added to segments' counters so that they are the sums over their chunks.
    async fn counter_errors(&self, mut live: HashMap<(u16, u32), i64>) -> Result<Vec<((u16, u32), i64)>> {
        let mut wrong = Vec::new();
        let mut counters = Rows::of_prefix(Family::Counters, &keys::segments());
        while let Some((key, row)) = counters.next(self).await? {
            let (Some(segment), Ok(counted)) = (keys::parse_segment(&key), row[..].try_into().map(i64::from_le_bytes))
            else {
                continue;
            };
            wrong.push((segment, live.remove(&segment).unwrap_or(0) - counted));
        }
        wrong.extend(live);
        wrong.retain(|(_, error)| *error != 0);
        Ok(wrong)
    }

    /// Writes chunks' rows anew from the frames of all segments that are in use: of chunks that are referred to and
    /// have no row, or one that leads to nothing readable. Every byte is verified first. Then corrects the counters of
    /// segments. For a store that nobody uses.
    ///
    /// # Errors
    /// When the index or a drive fails. What was repaired until then stays; it may be run again.
    pub async fn rebuild_chunk_index(self: &Arc<Self>) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        for segment in self.chunks.segments() {
            repaired.segments += 1;
            repaired.chunks += self.rebuild_from(segment).await?;
        }
        let mut live: HashMap<(u16, u32), i64> = HashMap::new();
        let mut rows = Rows::all(Family::Chunks);
        while let Some((_, row)) = rows.next(self).await? {
            let place = ChunkRecord::decode(&row)?.place;
            *live.entry((place.drive, place.segment)).or_default() += i64::from(place.occupied);
        }
        let wrong = self.counter_errors(live).await?;
        for group in wrong.chunks(ROWS_IN_REPAIR) {
            let mut batch = Batch::default();
            for ((drive, segment), error) in group {
                batch.add(Family::Counters, keys::segment(*drive, *segment), *error);
            }
            self.commit_batch(batch).await?;
        }
        repaired.counters = wrong.len() as u64;
        Ok(repaired)
    }

    /// Removes the rows of chunks whose space was used again, or whose segment is gone, as they are in an index that is
    /// older than the segments. The bytes are lost to what refers to them; without the rows the same bytes can be
    /// written again, and are not taken for stored. For a store that nobody uses; [`Store::rebuild_chunk_index`] then
    /// finds what lies elsewhere, and corrects the counters.
    ///
    /// # Errors
    /// When the index fails. It may be run again.
    pub async fn forget_lost_chunks(self: &Arc<Self>) -> Result<u64> {
        let uses = self.chunks.segments().into_iter().map(|one| ((one.drive, one.segment), one.epoch));
        let uses: HashMap<(u16, u32), u32> = uses.collect();
        // A segment whose header is lost has no epoch: each place says its own.
        let is_there = |place: &Place| {
            let epoch = uses.get(&(place.drive, place.segment));
            epoch.is_some_and(|epoch| *epoch == 0 || *epoch == place.epoch)
        };
        let (mut forgotten, mut batch) = (0, Batch::default());
        let mut rows = Rows::all(Family::Chunks);
        loop {
            let row = rows.next(self).await?;
            let is_end = row.is_none();
            if let Some((key, row)) = row
                && !is_there(&ChunkRecord::decode(&row)?.place)
            {
                forgotten += 1;
                batch.delete(Family::Chunks, key);
            }
            if batch.deletes.len() == ROWS_IN_REPAIR || (is_end && !batch.deletes.is_empty()) {
                self.commit_batch(std::mem::take(&mut batch)).await?;
            }
            if is_end {
                return Ok(forgotten);
            }
        }
    }

    async fn rebuild_from(self: &Arc<Self>, segment: SegmentState) -> Result<u64> {
        let mut found: HashMap<ChunkId, (Place, Option<Bytes>)> = HashMap::new();
        for (id, place) in self.chunks.frames(segment).await? {
            let row = self.get(Family::Chunks, keys::chunk(id)).await?;
            if let Some(row) = &row {
                let known = ChunkRecord::decode(row)?.place;
                if known == place || self.examine_chunk(id, known, Depth::Everything).await.is_ok() {
                    continue;
                }
            }
            let is_used = !self.rows(Family::Refs, keys::refs(Child::Chunk(id)), 1).await?.is_empty();
            if is_used && self.examine_chunk(id, place, Depth::Everything).await.is_ok() {
                found.insert(id, (place, row));
            }
        }
        let written = found.len() as u64;
        let mut found = found.into_iter().peekable();
        while found.peek().is_some() {
            let mut batch = Batch::default();
            for (id, (place, was)) in found.by_ref().take(ROWS_IN_REPAIR) {
                batch.check_unchanged(Family::Chunks, keys::chunk(id), was);
                batch.put(Family::Chunks, keys::chunk(id), ChunkRecord { place }.encode());
            }
            self.commit_batch(batch).await?;
        }
        Ok(written)
    }
}

/// Rows of a family in order, page by page.
struct Rows {
    family: Family,
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    page: std::vec::IntoIter<(Vec<u8>, Bytes)>,
    is_last: bool,
}

impl Rows {
    fn all(family: Family) -> Self {
        Self { family, from: Vec::new(), to: None, page: Vec::new().into_iter(), is_last: false }
    }

    fn of_prefix(family: Family, prefix: &[u8]) -> Self {
        let to = keys::after_prefix(prefix);
        Self { family, from: prefix.to_vec(), to, page: Vec::new().into_iter(), is_last: false }
    }

    async fn next(&mut self, store: &Store) -> Result<Option<(Vec<u8>, Bytes)>> {
        if let Some(row) = self.page.next() {
            return Ok(Some(row));
        }
        if self.is_last {
            return Ok(None);
        }
        let rows = store.rows_in(self.family, self.from.clone(), self.to.clone(), PAGE).await?;
        self.is_last = rows.len() < PAGE;
        if let Some((last, _)) = rows.last() {
            self.from = [last.as_slice(), &[0]].concat();
        }
        self.page = rows.into_iter();
        Ok(self.page.next())
    }
}

/// Walks from versions to chunks.
struct Examination<'a> {
    store: &'a Store,
    unreadable: &'a Unreadable,
}

impl Examination<'_> {
    async fn object(
        &self,
        bucket: BucketId,
        key: &str,
        id: VersionId,
        object: &ObjectRecord,
    ) -> Result<Option<Damage>> {
        let mut damage = Damage::default();
        if object.data == Data::Inline {
            if self.store.inline(bucket, key, id).await?.is_none() {
                damage.add(0..object.size, "its bytes are missing from the index");
            }
        } else {
            self.data(object.data, 0, object.size, &mut damage).await?;
        }
        if let Some(annotations) = object.annotations {
            let before = damage.bytes;
            self.manifest(annotations.manifest, 0, annotations.bytes, &mut damage).await?;
            if damage.bytes > before && before == 0 {
                damage.why = format!("an annotation: {}", damage.why);
            }
        }
        Ok((!damage.why.is_empty()).then_some(damage))
    }

    /// Whether the reference that keeps this data is there.
    async fn is_protected(&self, data: Data, parent: Parent) -> Result<bool> {
        let Some(child) = root_child(data) else { return Ok(true) };
        Ok(self.store.get(Family::Refs, keys::reference(child, parent)).await?.is_some())
    }

    async fn data(&self, data: Data, start: u64, size: u64, damage: &mut Damage) -> Result<()> {
        match data {
            Data::Empty | Data::Inline => Ok(()),
            Data::Chunk(id) => self.chunk(id, start, size, damage).await,
            Data::Manifest { id, .. } | Data::Parts(id) => Box::pin(self.manifest(id, start, size, damage)).await,
            Data::Remote(id) => {
                // What the tier itself holds is read back when it is written, and verified by each read.
                if self.store.get(Family::Tiers, keys::remote(id)).await?.is_none() {
                    damage.add(start..start + size, &Corruption::MissingRemote(id).to_string());
                }
                Ok(())
            }
        }
    }

    async fn chunk(&self, id: ChunkId, start: u64, length: u64, damage: &mut Damage) -> Result<()> {
        if let Some(why) = self.unreadable.get(&id) {
            damage.add(start..start + length, why);
        } else if self.store.get(Family::Chunks, keys::chunk(id)).await?.is_none() {
            damage.add(start..start + length, &Corruption::MissingChunk(id).to_string());
        }
        Ok(())
    }

    async fn manifest(&self, id: ManifestId, start: u64, size: u64, damage: &mut Damage) -> Result<()> {
        let end = start + size;
        let mut at = start;
        let root: Option<ManifestRoot> = self.store.get_record(Family::Manifests, keys::manifest(id)).await?;
        for page in 0..root.map_or(0, |root| root.pages) {
            let row = self.store.get(Family::Manifests, keys::manifest_page(id, page)).await?;
            let Some(Ok(page)) = row.map(|row| ManifestPage::decode(&row)) else { break };
            match page {
                ManifestPage::Chunks { chunks, .. } => {
                    for (chunk, length) in chunks {
                        self.chunk(chunk, at, u64::from(length), damage).await?;
                        at += u64::from(length);
                    }
                }
                ManifestPage::Parts { parts, .. } => {
                    for part in parts {
                        self.data(part.data, at, part.size, damage).await?;
                        at += part.size;
                    }
                }
                ManifestPage::Annotations(records) => {
                    for record in records {
                        self.data(record.data, at, record.size, damage).await?;
                        at += record.size;
                    }
                }
            }
        }
        if at < end {
            damage.add(at..end, &Corruption::Manifest(id).to_string());
        }
        Ok(())
    }
}
