//! Compaction: live chunks of a segment that is mostly dead are written anew elsewhere, so that the segment can be used
//! again as a whole.
//!
//! **Order.** A chunk is read and verified against its id, written and synced at its new place; then one commit puts
//! the new place into its row, on condition that the row is as it was read. The old place is noted dead after that.
//! Readers that still have the old place hold the segment, or are told that it moved and look again. The collector's
//! removal relies on the same row, so of the two one wins.
//!
//! **What a crash leaves behind.** Copies that no row names: dead space, like every unfinished write.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::chunks::body::Body;
use crate::chunks::{SegmentState, Written};
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys;
use crate::index::records::{ChunkRecord, Record};
use crate::kv::{Batch, Commit, Family};
use crate::store::{BUFFER_UNIT, Store};
use crate::types::{ChunkId, Place};

/// Bytes of chunks that are moved together: one group's worth of the writer's batches, and of memory.
const GROUP_BYTES: usize = 8 << 20;
/// Chunks that are moved together: four rows each in one commit.
const GROUP_CHUNKS: usize = 200;
/// Segments that are remembered as not compactable.
const MOST_GIVEN_UP: usize = 10_000;

type GivenUp = HashMap<(u16, u32, u32), u64>;

/// How much dead space is worth the copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thrift {
    /// Segments of which half is dead: copying them costs less than the space that it frees.
    WhileBusy,
    /// Also fuller ones, until a twentieth of all is dead: while nobody writes, or the drive is full.
    WhileQuiet,
}

/// Where a compaction is. It lives as long as the store; what it has in hand may be dropped at any time.
#[derive(Default)]
pub struct Compaction {
    victim: Option<SegmentState>,
    /// What the victim may hold of live chunks.
    frames: VecDeque<(ChunkId, Place)>,
    /// Segments in which there was nothing to gain, with the live bytes that they had: what is not live in them is no
    /// dead frame but the end that no chunk fits into, or something in them is damaged.
    given_up: GivenUp,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Chunks that were moved.
    pub chunks: usize,
    /// Bytes that their frames occupy.
    pub bytes: u64,
    /// Segments that were emptied.
    pub segments: usize,
    /// Whether there was nothing to do.
    pub idle: bool,
}

/// Chooses the segment that costs the least copying for the space that it frees.
fn choose(segments: &[SegmentState], given_up: &GivenUp, thrift: Thrift) -> Option<SegmentState> {
    let sealed = || segments.iter().filter(|one| one.is_sealed);
    let (size, live) = sealed().fold((0, 0), |(size, live), one| (size + u64::from(one.size), live + one.live_bytes));
    // Products instead of quotients; sizes are below 4 GiB.
    let emptier = |a: &&SegmentState, b: &&SegmentState| {
        (a.live_bytes * u64::from(b.size)).cmp(&(b.live_bytes * u64::from(a.size)))
    };
    // Worth another look once a twentieth of it has died since.
    let is_given_up = |one: &SegmentState| given_up.get(&one.key()).is_some_and(|live| one.live_bytes * 20 > live * 19);
    let candidates = sealed().filter(|one| one.live_bytes > 0 && !is_given_up(one));
    let emptiest = candidates.min_by(emptier)?;
    let used = emptiest.live_bytes;
    let half_dead = used * 2 <= u64::from(emptiest.size);
    let wasteful = live * 20 < size * 19 && used * 20 <= u64::from(emptiest.size) * 19;
    (half_dead || (thrift == Thrift::WhileQuiet && wasteful)).then_some(*emptiest)
}

impl Store {
    /// Moves up to 8 MiB of chunks out of the segment that is worth it. A group that is under way when the caller leaves
    /// is moved nevertheless.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room for copies; the disk's and the index's. The compaction may go on.
    pub async fn compact(self: &Arc<Self>, compaction: &mut Compaction, thrift: Thrift) -> Result<Compacted> {
        if compaction.victim.is_none() {
            if compaction.given_up.len() > MOST_GIVEN_UP {
                compaction.given_up.clear();
            }
            let Some(victim) = choose(&self.chunks.segments(), &compaction.given_up, thrift) else {
                return Ok(Compacted { idle: true, ..Compacted::default() });
            };
            compaction.frames = match self.chunks.frames(victim).await {
                Ok(frames) => frames.into(),
                // It has become free meanwhile.
                Err(StoreError::Conflict) => VecDeque::new(),
                Err(error) => {
                    compaction.given_up.insert(victim.key(), victim.live_bytes);
                    return Err(error);
                }
            };
            let written: u64 = compaction.frames.iter().map(|(_, place)| u64::from(place.occupied)).sum();
            let dead = written.saturating_sub(victim.live_bytes);
            if !compaction.frames.is_empty() && dead * 20 < u64::from(victim.size) {
                compaction.given_up.insert(victim.key(), victim.live_bytes);
                compaction.frames.clear();
                return Ok(Compacted::default());
            }
            compaction.victim = Some(victim);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < GROUP_CHUNKS
            && let Some((id, place)) = compaction.frames.front().copied()
        {
            if !group.is_empty() && bytes + place.length as usize > GROUP_BYTES {
                break;
            }
            compaction.frames.pop_front();
            // Most frames of a segment that is worth it are dead: they cost a look, no memory.
            if let Some(row) = self.get(Family::Chunks, keys::chunk(id)).await?
                && ChunkRecord::decode(&row)?.place == place
            {
                bytes += place.length as usize;
                group.push((id, place));
            }
        }
        let store = Arc::clone(self);
        // On a task of its own: holds must outlive the commits that they protect, also when the caller leaves.
        let moving = tokio::spawn(async move { store.move_chunks(group, bytes).await });
        let mut compacted = moving.await.map_err(|_| StoreError::Closed)??;
        if compaction.frames.is_empty()
            && let Some(victim) = compaction.victim.take()
        {
            let is_left = |one: &&SegmentState| one.key() == victim.key() && one.live_bytes > 0;
            if let Some(left) = self.chunks.segments().iter().find(is_left) {
                tracing::warn!(?victim, "a segment stays in use although its readable chunks were moved");
                compaction.given_up.insert(victim.key(), left.live_bytes);
            } else {
                compacted.segments += 1;
            }
        }
        Ok(compacted)
    }

    async fn move_chunks(self: &Arc<Self>, group: Vec<(ChunkId, Place)>, bytes: usize) -> Result<Compacted> {
        // All of it at once: who holds some memory and waits for more could wait for uploads that wait for it.
        let units = u32::try_from(bytes.div_ceil(BUFFER_UNIT)).unwrap_or(u32::MAX);
        let _memory = self.buffers.acquire_many(units).await.map_err(|_| StoreError::Closed)?;
        let mut writing = Vec::new();
        for (id, old) in group {
            let (data, body) = match self.chunks.read_body(id, old).await {
                Ok(read) => read,
                // Removed meanwhile.
                Err(StoreError::Conflict) => continue,
                // Not copied: its bytes may be mended from elsewhere, its place says where it was.
                Err(StoreError::Corrupt(damage)) => {
                    tracing::error!(%damage, "a damaged chunk is left where it is");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let store = Arc::clone(self);
            writing.push(tokio::spawn(async move {
                let chunks = Arc::clone(&store.chunks);
                // A compressed chunk stays as it is: nothing is compressed twice.
                let prepare = move || (ChunkId::of(&data) == id).then(|| body.map_or_else(|| Body::plain(data), Ok));
                match store.hash_pool().run(prepare).await {
                    Some(body) => chunks.write_body(id, body?).await.map(|written| (id, old, written)),
                    None => Err(Corruption::Chunk { id, place: old, what: "the bytes are not those of the id" }.into()),
                }
            }));
        }
        let (mut moved, mut failure) = (Vec::new(), None);
        for write in writing {
            match write.await.map_err(|_| StoreError::Closed)? {
                Ok(one) => moved.push(one),
                Err(StoreError::Corrupt(damage)) => tracing::error!(%damage, "a damaged chunk is left where it is"),
                Err(error) => failure = Some(error),
            }
        }
        let compacted = self.switch_places(moved).await?;
        failure.map_or(Ok(compacted), Err)
    }

    /// Makes the copies the chunks' places, together if nothing has changed, else one by one.
    async fn switch_places(&self, moved: Vec<(ChunkId, Place, Written)>) -> Result<Compacted> {
        let mut compacted = Compacted::default();
        if moved.is_empty() || self.switch(&moved, &mut compacted).await? {
            return Ok(compacted);
        }
        for one in &moved {
            self.switch(std::slice::from_ref(one), &mut compacted).await?;
        }
        Ok(compacted)
    }

    async fn switch(&self, moved: &[(ChunkId, Place, Written)], compacted: &mut Compacted) -> Result<bool> {
        let mut batch = Batch::default();
        for (id, old, Written { place, .. }) in moved {
            let was = ChunkRecord { place: *old }.encode();
            batch.check_unchanged(Family::Chunks, keys::chunk(*id), Some(was.into()));
            batch.put(Family::Chunks, keys::chunk(*id), ChunkRecord { place: *place }.encode());
            batch.add(Family::Counters, keys::segment(place.drive, place.segment), i64::from(place.occupied));
            batch.add(Family::Counters, keys::segment(old.drive, old.segment), -i64::from(old.occupied));
        }
        if self.kv.commit(batch).await? != Commit::Committed {
            return Ok(false);
        }
        for (_, old, Written { place, .. }) in moved {
            self.chunks.note_live(place);
            self.chunks.note_dead(old);
            compacted.chunks += 1;
            compacted.bytes += u64::from(place.occupied);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(segment: u32, percent: u64) -> SegmentState {
        SegmentState { drive: 0, segment, epoch: 1, size: 1 << 20, live_bytes: (percent << 20) / 100, is_sealed: true }
    }

    #[test]
    fn the_emptiest_segment_is_chosen_while_it_is_worth_it() {
        let none = GivenUp::new();
        let segments = [sealed(1, 80), sealed(2, 40), sealed(3, 60), sealed(4, 0)];
        assert_eq!(choose(&segments, &none, Thrift::WhileBusy).map(|one| one.segment), Some(2));
        let given_up = GivenUp::from([(segments[1].key(), segments[1].live_bytes)]);
        assert_eq!(choose(&segments, &given_up, Thrift::WhileBusy), None);
        assert_eq!(choose(&segments, &given_up, Thrift::WhileQuiet).map(|one| one.segment), Some(3));
        // Full segments are left alone, however much is dead in others.
        let full = [sealed(1, 97), sealed(2, 96)];
        assert_eq!(choose(&full, &none, Thrift::WhileQuiet), None);
        assert_eq!(choose(&[], &none, Thrift::WhileQuiet), None);
    }

    #[test]
    fn quiet_compaction_ends_within_its_goal() {
        // Whatever is left uncompacted uses less than 1.15 times what is live.
        let mut segments: Vec<_> = (0..100).map(|number| sealed(number, u64::from(number))).collect();
        while let Some(victim) = choose(&segments, &GivenUp::new(), Thrift::WhileQuiet) {
            segments.retain(|one| one.segment != victim.segment);
        }
        segments.retain(|one| one.live_bytes > 0);
        let (size, live) =
            segments.iter().fold((0, 0), |sum, one| (sum.0 + u64::from(one.size), sum.1 + one.live_bytes));
        assert!(size * 100 <= live * 115, "{size} for {live}");
    }
}
