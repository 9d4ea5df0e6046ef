//! Scrubbing: every chunk that the index places is read from the disk itself and compared with its id, in small steps
//! that a worker paces. What does not match is noted in the index until it reads well again or is gone, and is named
//! with the objects that it hits.
//!
//! Chunks are visited in the order of their ids, so that a step needs no state but the last id. A chunk that is written
//! behind the cursor waits for the next pass.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::doctor::Depth;
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Child, Parent};
use crate::index::records::{BucketRecord, ChunkRecord, DamageRecord, Record, Referrer};
use crate::kv::{Batch, Family};
use crate::store::Store;
use crate::types::{BucketId, ChunkId, Timestamp, UploadId, VersionId};

/// Chunks that are read at a time: enough to keep a drive busy, few enough to leave it to others.
const READS: usize = 4;
/// The longest reason that is noted, in bytes.
const MAX_REASON_BYTES: usize = 512;
/// References that are followed for one chunk, those of manifests included.
const MAX_FOLLOWED: usize = 10_000;
/// Buckets that are looked through for the names of those that are hit.
const BUCKETS_IN_PAGE: usize = 1_000;

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Chunks that were read.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are damaged, with the reason.
    pub damaged: Vec<(ChunkId, String)>,
    /// Damages that are noted since.
    pub noted: u64,
    /// Damages of former passes that are gone: mended, or nobody's any more.
    pub healed: u64,
    /// Where the next step goes on; `None` at the end of the pass.
    pub next: Option<ChunkId>,
}

/// A damaged chunk that is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The chunk.
    pub chunk: ChunkId,
    /// When it was first found.
    pub found: Timestamp,
    /// Why it cannot be read.
    pub why: String,
}

/// What a damaged chunk hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Which of the key.
    pub what: HitWhat,
}

/// A version, or a part of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HitWhat {
    /// A version of the key, current or not.
    Version(VersionId),
    /// A part that waits for its upload's completion.
    Part(UploadId, u16),
}

impl Store {
    /// Verifies the chunks after `after` until `bytes` were read or `chunks` looked at, and notes what is damaged.
    ///
    /// # Errors
    /// When the index fails. A chunk that cannot be read is no error: it is damaged.
    pub async fn scrub(self: &Arc<Self>, after: Option<ChunkId>, chunks: usize, bytes: u64) -> Result<Scrubbed> {
        let from = after.map(|id| [keys::chunk(id), vec![0]].concat()).unwrap_or_default();
        let rows = self.rows_in(Family::Chunks, from.clone(), None, chunks.max(1)).await?;
        let mut is_last = rows.len() < chunks.max(1);
        let mut scrubbed = Scrubbed::default();
        let mut reading: JoinSet<(ChunkId, Result<()>)> = JoinSet::new();
        for (key, row) in rows {
            let Ok(id) = key.as_slice().try_into().map(ChunkId) else { continue };
            if scrubbed.bytes >= bytes {
                is_last = false;
                break;
            }
            let place = ChunkRecord::decode(&row)?.place;
            scrubbed.chunks += 1;
            scrubbed.bytes += u64::from(place.length);
            scrubbed.next = Some(id);
            if reading.len() >= READS {
                scrubbed.note(reading.join_next().await)?;
            }
            let store = Arc::clone(self);
            reading.spawn(async move { (id, store.examine_chunk(id, place, Depth::Everything).await) });
        }
        while !reading.is_empty() {
            scrubbed.note(reading.join_next().await)?;
        }
        if is_last {
            scrubbed.next = None;
        }
        self.note_damages(from, &mut scrubbed).await?;
        Ok(scrubbed)
    }

    /// Brings the notes about the chunks of a step, which began at `from`, up to date.
    async fn note_damages(&self, from: Vec<u8>, scrubbed: &mut Scrubbed) -> Result<()> {
        let rows_from = [keys::damages(), from].concat();
        let to = match scrubbed.next {
            Some(id) => Some([keys::damage(id), vec![0]].concat()),
            None => keys::after_prefix(&keys::damages()),
        };
        let damaged: HashSet<ChunkId> = scrubbed.damaged.iter().map(|(id, _)| *id).collect();
        let mut batch = Batch::default();
        let mut known = HashSet::new();
        // Of more than can be brought up to date in one commit, the rest waits for the next pass.
        for (key, _) in self.rows_in(Family::System, rows_from, to, 400).await? {
            let Some(id) = keys::parse_damage(&key) else { continue };
            known.insert(id);
            if !damaged.contains(&id) {
                scrubbed.healed += 1;
                batch.delete(Family::System, key);
            }
        }
        let found = std::mem::take(&mut scrubbed.damaged);
        for (id, why) in found.iter().filter(|(id, _)| !known.contains(id)).take(400) {
            let mut why = why.clone();
            why.truncate(why.floor_char_boundary(MAX_REASON_BYTES));
            scrubbed.noted += 1;
            let record = DamageRecord { found: Timestamp::now(), why };
            batch.put(Family::System, keys::damage(*id), record.encode());
        }
        scrubbed.damaged = found;
        if batch.puts.is_empty() && batch.deletes.is_empty() { Ok(()) } else { self.commit_batch(batch).await }
    }

    /// Damaged chunks that are noted, in the order of their ids, after `after`; up to `limit`.
    pub async fn damages(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<Damaged>> {
        let from = after.map_or_else(keys::damages, |id| [keys::damage(id), vec![0]].concat());
        let rows = self.rows_in(Family::System, from, keys::after_prefix(&keys::damages()), limit).await?;
        let mut damages = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let Some(chunk) = keys::parse_damage(&key) else { continue };
            let DamageRecord { found, why } = DamageRecord::decode(&row)?;
            damages.push(Damaged { chunk, found, why });
        }
        Ok(damages)
    }

    /// The versions and parts whose bytes the chunk belongs to, up to `limit`; and whether these are all.
    pub async fn hit_by(&self, chunk: ChunkId, limit: usize) -> Result<(Vec<Hit>, bool)> {
        let (mut children, mut followed) = (vec![Child::Chunk(chunk)], HashSet::new());
        let mut hits: Vec<(BucketId, String, HitWhat)> = Vec::new();
        let mut is_whole = true;
        while let Some(child) = children.pop() {
            let rows = self.rows(Family::Refs, keys::refs(child), MAX_FOLLOWED).await?;
            is_whole &= rows.len() < MAX_FOLLOWED;
            for (key, row) in rows {
                if hits.len() >= limit || followed.len() >= MAX_FOLLOWED {
                    is_whole = false;
                    break;
                }
                let what = match keys::parse_reference(&key) {
                    Some(Parent::Manifest(id)) => {
                        if followed.insert(id) {
                            children.push(Child::Manifest(id));
                        }
                        continue;
                    }
                    Some(Parent::Version(id)) => HitWhat::Version(id),
                    Some(Parent::Part { upload, number }) => HitWhat::Part(upload, number),
                    None => continue,
                };
                if let Some((bucket, key)) = Referrer::decode(&row)?.object {
                    hits.push((bucket, key, what));
                }
            }
        }
        let wanted: HashSet<BucketId> = hits.iter().map(|(bucket, ..)| *bucket).collect();
        let names = self.names_of(&wanted).await?;
        let named = hits.into_iter().filter_map(|(id, key, what)| {
            // What has no bucket's name belongs to a bucket that was deleted: nobody can ask for it.
            let (_, bucket) = names.iter().find(|(known, _)| *known == id)?;
            Some(Hit { bucket: bucket.clone(), key, what })
        });
        Ok((named.collect(), is_whole))
    }

    async fn names_of(&self, wanted: &HashSet<BucketId>) -> Result<Vec<(BucketId, String)>> {
        let (mut names, mut from) = (Vec::new(), b"n".to_vec());
        let to = keys::after_prefix(b"n");
        while names.len() < wanted.len() {
            let rows = self.rows_in(Family::Buckets, from.clone(), to.clone(), BUCKETS_IN_PAGE).await?;
            for (_, row) in &rows {
                let bucket = BucketRecord::decode(row)?;
                if wanted.contains(&bucket.id) {
                    names.push((bucket.id, bucket.name));
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == BUCKETS_IN_PAGE => from = [last.as_slice(), &[0]].concat(),
                _ => break,
            }
        }
        Ok(names)
    }
}

impl Scrubbed {
    fn note(&mut self, read: Option<std::result::Result<(ChunkId, Result<()>), tokio::task::JoinError>>) -> Result<()> {
        match read {
            None | Some(Ok((_, Ok(())))) => Ok(()),
            Some(Ok((_, Err(StoreError::Closed))) | Err(_)) => Err(StoreError::Closed),
            Some(Ok((id, Err(why)))) => {
                self.damaged.push((id, why.to_string()));
                Ok(())
            }
        }
    }
}
