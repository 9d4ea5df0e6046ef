//! Data in storage tiers: how it gets there, how it is read, how it is released, and what is to be done about versions.
//!
//! **Order.** An *intent* names the objects before the first of them is written. They are read back; then one commit
//! turns the intent into a row that says where the bytes are, and notes it as a candidate: a version that refers to it
//! keeps it, else [the collector](crate::gc) forgets it and, in the same commit, notes its objects for *release*. A
//! release stays until the tier has deleted them. Intents that a crash leaves become releases at the next start.
//!
//! So each object that a tier holds is named by an intent, a row, or a release. What is named by none (a write that the
//! tier carried out after it had been given up) is found by [`Store::release_strays`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{Staged, Store};
use crate::chunks::frame::crc32c;
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys::{self, Candidate, Child};
use crate::index::records::{Data, Record, RemoteObjects, RemoteRecord};
use crate::kv::{Batch, Commit, Family};
use crate::remote::{Remote, RemoteError};
use crate::types::{BucketId, RemoteId};

/// Bytes of one object in a tier: few requests for large data, and no more memory than this for each upload.
const PIECE_BYTES: u32 = 16 << 20;
/// The smallest block that has a checksum of its own.
const BLOCK_BYTES: u32 = 64 << 10;
/// Blocks of one row: 32 KiB of checksums. Larger data has larger blocks.
const MAX_BLOCKS: u64 = 8_192;
/// Bytes that are read from a tier at a time.
const READ_BYTES: u64 = 4 << 20;
/// Rows that are looked at, or changed, in one step.
const STEP: usize = 200;

/// What is to be done about a version. Stored: the numbers stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskKind {
    /// Its bytes go to a tier. The lane is the tier's name.
    Move = 1,
    /// A copy of its bytes is brought back. The lane is the tier's name.
    Restore = 2,
    /// Its restored copy goes. The lane is the time, as text that sorts.
    Expire = 3,
}

/// Something to be done about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What.
    pub kind: TaskKind,
    /// Among what it waits.
    pub lane: String,
    /// The version's bucket.
    pub bucket: BucketId,
    /// The version's key.
    pub key: String,
    /// The version's order.
    pub order: u64,
    /// What else there is to know, in the bytes of whoever noted it.
    pub note: Vec<u8>,
}

/// Where a version is to move. Stored, as the note of such a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveTask {
    /// The name of its bucket.
    pub bucket: String,
    /// The storage class that it is to have.
    pub class: String,
}

impl Record for MoveTask {
    const FAMILY: &'static str = "tiers";
}

impl Task {
    pub(super) fn row(&self) -> Vec<u8> {
        keys::task(self.kind as u8, &self.lane, self.bucket, &self.key, self.order)
    }
}

/// What [`Store::release_strays`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteListed {
    /// Objects that were looked at.
    pub examined: usize,
    /// Those that nothing knew of.
    pub strays: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// The bytes of a range of a tier's data, verified, a window at a time.
pub(super) struct RemoteReading {
    remote: Arc<dyn Remote>,
    record: RemoteRecord,
    rest: Range<u64>,
}

impl RemoteReading {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let record = &self.record;
        let (block, piece) = (u64::from(record.block_bytes), u64::from(record.piece_bytes));
        let start = self.rest.start / block * block;
        let number = start / piece;
        let piece_end = (number * piece + piece).min(record.size);
        let wanted = self.rest.end.div_ceil(block) * block;
        let end = wanted.min(start + READ_BYTES.max(block)).min(piece_end);
        let name = piece_name(&record.name, number);
        let within = start - number * piece..end - number * piece;
        let bytes = self.remote.get(name.clone(), within).await.map_err(|error| failed(&record.tier, &name, &error))?;
        verify(record, &name, start, &bytes, end - start)?;
        let upto = end.min(self.rest.end);
        let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX).min(bytes.len());
        let answer = bytes.slice(at(self.rest.start)..at(upto));
        self.rest.start = upto;
        Ok(Some(answer))
    }
}

/// Whether these bytes from `start` on, which is a block's beginning, are those that were written.
fn verify(record: &RemoteRecord, name: &str, start: u64, bytes: &[u8], length: u64) -> Result<()> {
    let damaged =
        |at| StoreError::from(Corruption::Remote { tier: record.tier.clone(), name: name.to_owned(), start: at });
    if bytes.len() as u64 != length {
        return Err(damaged(start));
    }
    let block = u64::from(record.block_bytes);
    for (index, bytes) in (start / block..).zip(bytes.chunks(record.block_bytes as usize)) {
        let sum = usize::try_from(index).ok().and_then(|index| record.blocks.get(index));
        if sum != Some(&crc32c(bytes).to_le_bytes()) {
            return Err(damaged(index * block));
        }
    }
    Ok(())
}

fn piece_name(name: &str, number: u64) -> String {
    format!("{name}.{number}")
}

fn failed(tier: &str, name: &str, error: &RemoteError) -> StoreError {
    StoreError::Tier { tier: tier.to_owned(), reason: format!("{name}: {error}") }
}

/// The length of blocks for data of this size.
fn block_bytes(size: u64) -> u32 {
    let least = size.div_ceil(MAX_BLOCKS).next_power_of_two();
    u32::try_from(least).unwrap_or(PIECE_BYTES).clamp(BLOCK_BYTES, PIECE_BYTES)
}

fn remote_id(tier: &str, data: Data) -> RemoteId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tier.as_bytes());
    hasher.update(&[0]);
    if let Some(child) = super::root_child(data) {
        hasher.update(&keys::refs(child));
    }
    RemoteId(*hasher.finalize().as_bytes())
}

impl Store {
    /// Tells the store its tiers, by name; once, before anything of theirs is read.
    pub fn set_remotes(&self, remotes: BTreeMap<String, Arc<dyn Remote>>) {
        // A second call would be a caller's error; the first holds.
        let _ = self.remotes.set(remotes);
    }

    /// Waits until something may be to be done for a tier.
    pub fn tiers_noted(&self) -> impl Future<Output = ()> + '_ {
        self.tiers_noted.notified()
    }

    /// Wakes who waits for that.
    pub fn note_tiers(&self) {
        self.tiers_noted.notify_waiters();
    }

    fn remote(&self, tier: &str) -> Result<&Arc<dyn Remote>> {
        let unknown = || StoreError::Tier {
            tier: tier.to_owned(),
            reason: "it holds data of this store but is not in the configuration; add it again".to_owned(),
        };
        self.remotes.get().and_then(|remotes| remotes.get(tier)).ok_or_else(unknown)
    }

    pub(super) async fn remote_reading(&self, id: RemoteId, range: Range<u64>) -> Result<RemoteReading> {
        let record: Option<RemoteRecord> = self.get_record(Family::Tiers, keys::remote(id)).await?;
        let record = record.ok_or(Corruption::MissingRemote(id))?;
        let remote = Arc::clone(self.remote(&record.tier)?);
        Ok(RemoteReading { remote, rest: range.start..range.end.min(record.size), record })
    }

    /// Which tier data is in; of parts, the tier of the first, if all are in one. `None` where it is here.
    pub async fn tier_of(&self, data: Data) -> Result<Option<String>> {
        match data {
            Data::Remote(id) => {
                let record: Option<RemoteRecord> = self.get_record(Family::Tiers, keys::remote(id)).await?;
                Ok(record.map(|record| record.tier))
            }
            Data::Parts(list) => {
                let mut parts = self.object_parts(list, usize::from(u16::MAX)).await?;
                parts.retain(|part| part.data != Data::Empty);
                if !parts.iter().all(|part| matches!(part.data, Data::Remote(_))) {
                    return Ok(None);
                }
                match parts.first() {
                    Some(part) => Box::pin(self.tier_of(part.data)).await,
                    None => Ok(None),
                }
            }
            Data::Empty | Data::Inline | Data::Chunk(_) | Data::Manifest { .. } => Ok(None),
        }
    }

    /// Writes data to a tier, reads it back, and answers where it is now. Equal data is there once. `None` when the
    /// data has been collected meanwhile: read the version again. What lies beside its record stays there.
    pub async fn send_to_tier(self: &Arc<Self>, tier: &str, data: Data, size: u64) -> Result<Option<Staged>> {
        match data {
            Data::Empty | Data::Inline => Ok(Some(Staged::existing(data, size, None))),
            Data::Remote(_) if self.tier_of(data).await?.as_deref() == Some(tier) => {
                Ok(self.reader(data, size).await?.map(super::DataReader::into_staged))
            }
            Data::Chunk(_) | Data::Manifest { .. } | Data::Remote(_) => self.send_whole(tier, data, size).await,
            Data::Parts(list) => {
                // Pins the list, and with it all that it names.
                let Some(_kept) = self.reader(data, size).await? else { return Ok(None) };
                let (mut parts, mut sent) = (self.object_parts(list, usize::from(u16::MAX)).await?, Vec::new());
                for part in &mut parts {
                    let Some(staged) = Box::pin(self.send_to_tier(tier, part.data, part.size)).await? else {
                        return Ok(None);
                    };
                    part.data = staged.data();
                    sent.push(staged);
                }
                let mut staged = self.stage_parts(&parts).await?;
                for part in sent {
                    staged.absorb(part);
                }
                Ok(Some(staged))
            }
        }
    }

    async fn send_whole(self: &Arc<Self>, tier: &str, data: Data, size: u64) -> Result<Option<Staged>> {
        let id = remote_id(tier, data);
        let pin = self.pins.pin(Child::Remote(id)).await;
        let row = keys::remote(id);
        if self.get(Family::Tiers, row.clone()).await?.is_none() {
            let Some(reader) = self.reader(data, size).await? else { return Ok(None) };
            let unique = self.next_id(0);
            let name = format!("{id}-{:016x}", unique.order ^ unique.salt);
            let pieces = u32::try_from(size.div_ceil(u64::from(PIECE_BYTES))).unwrap_or(u32::MAX);
            let objects = RemoteObjects { tier: tier.to_owned(), pieces };
            let mut batch = Batch::default();
            batch.put(Family::Tiers, keys::remote_intent(&name), objects.encode());
            self.commit_batch(batch).await?;
            let remote = Arc::clone(self.remote(tier)?);
            let written = write_pieces(remote.as_ref(), tier, &name, reader, size).await;
            let mut batch = Batch::default();
            batch.delete(Family::Tiers, keys::remote_intent(&name));
            let record = match written {
                Ok(record) => record,
                Err(error) => {
                    batch.put(Family::Tiers, keys::remote_release(tier, &name), objects.encode());
                    self.commit_batch(batch).await?;
                    return Err(error);
                }
            };
            let mut lost = batch.clone();
            batch.check_unchanged(Family::Tiers, row.clone(), None);
            batch.put(Family::Tiers, row, record.encode());
            self.note_candidate(&mut batch, Candidate::Child(Child::Remote(id)));
            if self.kv.commit(batch).await? != Commit::Committed {
                // Somebody else has brought the same data there first.
                Self::release_remote(&mut lost, &record);
                self.commit_batch(lost).await?;
                self.note_tiers();
            }
        }
        Ok(Some(Staged::existing(Data::Remote(id), size, Some(pin))))
    }

    /// Brings data back: the same bytes, here. `None` when it has been collected meanwhile.
    pub async fn bring_back(self: &Arc<Self>, data: Data, size: u64) -> Result<Option<Staged>> {
        let Some(reader) = self.reader(data, size).await? else { return Ok(None) };
        let mut writer = self.part_writer(Some(size));
        let mut stream = reader.stream(0..size);
        while let Some(bytes) = stream.next().await {
            writer.write(bytes?).await?;
        }
        Ok(Some(writer.finish().await?))
    }

    /// Bytes that a version's data takes as it is stored: of sealed data more than the object has.
    pub async fn stored_size(&self, data: Data, otherwise: u64) -> Result<u64> {
        match data {
            Data::Parts(id) | Data::Manifest { id, .. } => Ok(self.manifest_root(id).await?.size),
            Data::Remote(id) => {
                let record: Option<RemoteRecord> = self.get_record(Family::Tiers, keys::remote(id)).await?;
                Ok(record.ok_or(Corruption::MissingRemote(id))?.size)
            }
            Data::Chunk(id) => {
                let record: Option<crate::index::records::ChunkRecord> =
                    self.get_record(Family::Chunks, keys::chunk(id)).await?;
                Ok(record.map_or(otherwise, |record| u64::from(record.place.length)))
            }
            Data::Empty | Data::Inline => Ok(otherwise),
        }
    }

    pub(crate) fn release_remote(batch: &mut Batch, record: &RemoteRecord) {
        let pieces = record.size.div_ceil(u64::from(record.piece_bytes.max(1)));
        let objects = RemoteObjects { tier: record.tier.clone(), pieces: u32::try_from(pieces).unwrap_or(u32::MAX) };
        batch.put(Family::Tiers, keys::remote_release(&record.tier, &record.name), objects.encode());
    }

    /// Notes for release what uploads were writing when the process ended. To be called before any upload begins.
    pub async fn recover_tiers(&self) -> Result<usize> {
        let mut recovered = 0;
        loop {
            let rows = self.rows(Family::Tiers, keys::remote_intents(), STEP).await?;
            if rows.is_empty() {
                return Ok(recovered);
            }
            let mut batch = Batch::default();
            for (key, row) in &rows {
                let objects = RemoteObjects::decode(row)?;
                let name = key.get(1..).map(String::from_utf8_lossy).unwrap_or_default();
                batch.put(Family::Tiers, keys::remote_release(&objects.tier, &name), row.to_vec());
                batch.delete(Family::Tiers, key.clone());
            }
            recovered += rows.len();
            self.commit_batch(batch).await?;
        }
    }

    /// Up to `limit` names of a tier whose objects are to be deleted there, and how many objects each is.
    pub async fn releases(&self, tier: &str, limit: usize) -> Result<Vec<(String, u32)>> {
        let prefix = keys::remote_releases(tier);
        let rows = self.rows(Family::Tiers, prefix.clone(), limit).await?;
        let name = |key: &[u8]| String::from_utf8_lossy(key.get(prefix.len()..).unwrap_or_default()).into_owned();
        rows.iter().map(|(key, row)| Ok((name(key), RemoteObjects::decode(row)?.pieces))).collect()
    }

    /// Deletes a tier's objects of this name, and forgets them.
    pub async fn release(&self, tier: &str, name: &str, pieces: u32) -> Result<()> {
        let remote = self.remote(tier)?;
        for number in 0..u64::from(pieces) {
            let piece = piece_name(name, number);
            remote.delete(piece.clone()).await.map_err(|error| failed(tier, &piece, &error))?;
        }
        let mut batch = Batch::default();
        batch.delete(Family::Tiers, keys::remote_release(tier, name));
        self.commit_batch(batch).await
    }

    /// Looks at up to `limit` objects that a tier holds, after `after`, and notes for release those that nothing knows of.
    pub async fn release_strays(&self, tier: &str, after: Option<String>, limit: usize) -> Result<RemoteListed> {
        let listed = self.remote(tier)?.list(after, limit).await.map_err(|error| failed(tier, "a listing", &error))?;
        let mut answer = RemoteListed { examined: listed.len(), ..RemoteListed::default() };
        let mut batch = Batch::default();
        for object in &listed {
            let Some((name, number)) = object.rsplit_once('.') else { continue };
            let (Some(id), Ok(number)) = (parse_name(name), number.parse::<u32>()) else { continue };
            // The intent first: it is gone only when the row, or a release, is there.
            if self.get(Family::Tiers, keys::remote_intent(name)).await?.is_some() {
                continue;
            }
            let record: Option<RemoteRecord> = self.get_record(Family::Tiers, keys::remote(id)).await?;
            if record.is_some_and(|record| record.name == name && record.tier == tier) {
                continue;
            }
            let release = keys::remote_release(tier, name);
            if let Some(known) = self.get_record::<RemoteObjects>(Family::Tiers, release.clone()).await?
                && known.pieces > number
            {
                continue;
            }
            answer.strays += 1;
            let objects = RemoteObjects { tier: tier.to_owned(), pieces: number.saturating_add(1) };
            batch.put(Family::Tiers, release, objects.encode());
        }
        if !batch.puts.is_empty() {
            self.commit_batch(batch).await?;
        }
        answer.next = listed.last().filter(|_| listed.len() == limit).cloned();
        Ok(answer)
    }

    /// Up to `limit` tasks of a lane, after the one that was seen last.
    pub async fn tasks(&self, kind: TaskKind, lane: &str, after: Option<&Task>, limit: usize) -> Result<Vec<Task>> {
        let prefix = keys::tasks(kind as u8, lane);
        let from = after.map_or_else(|| prefix.clone(), |task| [task.row().as_slice(), &[0]].concat());
        let rows = self.rows_in(Family::Tiers, from, keys::after_prefix(&prefix), limit).await?;
        Ok(rows.into_iter().filter_map(|(key, row)| parse_task(kind, &key, &row)).collect())
    }

    /// Up to `limit` tasks whose lanes are not after `lane`.
    pub async fn tasks_until(&self, kind: TaskKind, lane: &str, limit: usize) -> Result<Vec<Task>> {
        let from = vec![b't', kind as u8];
        let to = keys::after_prefix(&keys::tasks(kind as u8, lane));
        let rows = self.rows_in(Family::Tiers, from, to, limit).await?;
        Ok(rows.into_iter().filter_map(|(key, row)| parse_task(kind, &key, &row)).collect())
    }

    /// Whether this is to be done, as it was noted.
    pub async fn task_stands(&self, task: &Task) -> Result<bool> {
        let row = self.get(Family::Tiers, task.row()).await?;
        Ok(row.is_some_and(|row| row == task.note.as_slice()))
    }

    /// Notes something to be done.
    pub async fn note_task(&self, task: &Task) -> Result<()> {
        let mut batch = Batch::default();
        batch.put(Family::Tiers, task.row(), task.note.clone());
        self.commit_batch(batch).await?;
        self.note_tiers();
        Ok(())
    }

    /// Forgets what is no longer to be done, unless it was noted anew meanwhile.
    pub async fn drop_task(&self, task: &Task) -> Result<()> {
        let mut batch = Batch::default();
        batch.check_unchanged(Family::Tiers, task.row(), Some(Bytes::from(task.note.clone())));
        batch.delete(Family::Tiers, task.row());
        match self.kv.commit(batch).await? {
            Commit::Committed | Commit::Conflict(_) | Commit::LimitExceeded { .. } => Ok(()),
        }
    }
}

fn parse_task(kind: TaskKind, key: &[u8], note: &[u8]) -> Option<Task> {
    let (lane, bucket, object, order) = keys::parse_task(key)?;
    Some(Task { kind, lane, bucket, key: object, order, note: note.to_vec() })
}

/// The id in the name of a tier's objects; `None` for what is not ours.
fn parse_name(name: &str) -> Option<RemoteId> {
    let (id, unique) = name.split_once('-')?;
    if id.len() != 64 || unique.len() != 16 || !id.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(id.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(RemoteId(bytes))
}

/// Writes the objects of some data, and reads each of them back.
async fn write_pieces(
    remote: &dyn Remote,
    tier: &str,
    name: &str,
    reader: super::DataReader,
    size: u64,
) -> Result<RemoteRecord> {
    let block = block_bytes(size);
    let mut record = RemoteRecord {
        tier: tier.to_owned(),
        name: name.to_owned(),
        size,
        piece_bytes: PIECE_BYTES,
        block_bytes: block,
        blocks: Vec::new(),
    };
    let mut stream = reader.stream(0..size);
    let (mut number, mut start, mut rest) = (0, 0, Bytes::new());
    while start < size {
        let length = (size - start).min(u64::from(PIECE_BYTES));
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let mut piece = BytesMut::with_capacity(wanted);
        while piece.len() < wanted {
            if rest.is_empty() {
                rest = stream.next().await.transpose()?.ok_or(StoreError::Closed)?;
            }
            piece.extend_from_slice(&rest.split_to(rest.len().min(wanted - piece.len())));
        }
        let piece = piece.freeze();
        record.blocks.extend(piece.chunks(block as usize).map(|block| crc32c(block).to_le_bytes()));
        let object = piece_name(name, number);
        let as_failure = |error: RemoteError| failed(tier, &object, &error);
        let digest = blake3::hash(&piece);
        remote.put(object.clone(), piece).await.map_err(as_failure)?;
        let back = remote.get(object.clone(), 0..length).await.map_err(as_failure)?;
        if blake3::hash(&back) != digest {
            return Err(StoreError::Tier {
                tier: tier.to_owned(),
                reason: format!("{object}: what was read back is not what was written"),
            });
        }
        start += length;
        number += 1;
    }
    Ok(record)
}
