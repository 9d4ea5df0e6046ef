//! What the data of a bucket takes, now that what is equal in it is stored once.
//!
//! Nothing keeps these figures: they are counted when somebody asks. Of a large bucket a sample of chunks is remembered,
//! chosen by their ids, which are random; so memory is bounded, and the error stays below a percent.

use std::collections::HashMap;

use super::{Seek, Step, Store};
use crate::error::{Result, StoreError};
use crate::index::keys;
use crate::index::records::{ChunkRecord, Data, ManifestPage};
use crate::kv::Family;
use crate::types::{BucketId, ChunkId};

/// Chunks that are remembered: about 16 MiB.
const MOST_KNOWN: usize = 1 << 18;
/// Versions that are read from the index at a time.
const VERSIONS_IN_STEP: usize = 1_000;

/// What the data of all versions of a bucket's objects takes, in bytes. Annotations and open uploads are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Of each version by itself.
    pub logical: u64,
    /// With equal chunks of this bucket counted once.
    pub unique: u64,
    /// What the unique chunks take on the drives, compressed, with checksums; and what lies in the index.
    pub stored: u64,
    /// What is in storage tiers, and counted in none of the others.
    pub remote: u64,
    /// Whether all chunks were looked at. Else one of several was, and `unique` and `stored` are projected from those.
    pub is_exact: bool,
}

/// A version: its key, its order, and where its bytes are and how many, if it is an object.
type Seen = (String, u64, Option<(Data, u64)>);

/// Chunks seen so far.
#[derive(Default)]
struct Tally {
    sharing: Sharing,
    /// Length, and bytes on the drive, of the chunks whose ids begin with so many zero bits.
    known: HashMap<ChunkId, (u32, u32)>,
    zero_bits: u32,
    most: usize,
}

impl Tally {
    fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    fn is_new(&self, id: ChunkId) -> bool {
        is_chosen(id, self.zero_bits) && !self.known.contains_key(&id)
    }

    fn note(&mut self, id: ChunkId, length: u32, occupied: u32) {
        self.known.insert(id, (length, occupied));
        while self.known.len() > self.most {
            self.zero_bits += 1;
            let zero_bits = self.zero_bits;
            self.known.retain(|id, _| is_chosen(*id, zero_bits));
        }
    }

    fn beside_its_record(&mut self, size: u64) {
        self.sharing.logical += size;
        self.sharing.unique += size;
        self.sharing.stored += size;
    }

    fn finish(self) -> Sharing {
        let Sharing { logical, unique, stored, remote, .. } = self.sharing;
        let sum = |of: fn(&(u32, u32)) -> u32| self.known.values().map(|one| u64::from(of(one))).sum::<u64>();
        Sharing {
            logical,
            unique: unique + (sum(|one| one.0) << self.zero_bits),
            stored: stored + (sum(|one| one.1) << self.zero_bits),
            remote,
            is_exact: self.zero_bits == 0,
        }
    }
}

fn is_chosen(id: ChunkId, zero_bits: u32) -> bool {
    id.0.first_chunk().is_some_and(|first| u64::from_be_bytes(*first).leading_zeros() >= zero_bits)
}

/// What is gone, or damaged, does not count.
fn there<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(StoreError::Corrupt(_)) => Ok(None),
        read => read.map(Some),
    }
}

impl Store {
    /// Counts what a bucket's data takes. Reads every version's record, and of large objects the lists of their chunks.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn sharing(&self, bucket: BucketId) -> Result<Sharing> {
        let mut tally = Tally::new(MOST_KNOWN);
        let mut from = Seek::Key(String::new());
        loop {
            let visited =
                self.visit_versions(bucket, "", &from, Vec::new(), |versions: &mut Vec<Seen>, key, record| {
                    let version = record()?;
                    let data = version.object().map(|object| (object.data, object.size));
                    versions.push((key.to_owned(), version.id.order, data));
                    Ok(if versions.len() < VERSIONS_IN_STEP { Step::Next } else { Step::Stop })
                });
            let versions = visited.await?;
            for (data, size) in versions.iter().filter_map(|(_, _, data)| *data) {
                self.tally(&mut tally, data, size).await?;
            }
            match versions.into_iter().last() {
                Some((key, order, _)) => from = Seek::AfterVersion(key, order),
                None => return Ok(tally.finish()),
            }
        }
    }

    async fn tally(&self, tally: &mut Tally, data: Data, size: u64) -> Result<()> {
        let mut rest = vec![(data, size)];
        while let Some((data, size)) = rest.pop() {
            match data {
                Data::Empty | Data::Inline => tally.beside_its_record(size),
                Data::Remote(_) => tally.sharing.remote += size,
                Data::Chunk(id) => self.tally_chunk(tally, id, size).await?,
                Data::Manifest { id, .. } | Data::Parts(id) => {
                    let Some(root) = there(self.manifest_root(id).await)? else { continue };
                    for page in 0..root.pages {
                        match there(self.manifest_page(id, page).await)? {
                            Some(ManifestPage::Chunks { chunks, .. }) => {
                                for (chunk, length) in chunks {
                                    self.tally_chunk(tally, chunk, u64::from(length)).await?;
                                }
                            }
                            Some(ManifestPage::Parts { parts, .. }) => {
                                rest.extend(parts.iter().map(|part| (part.data, part.size)));
                            }
                            Some(ManifestPage::Annotations(_)) | None => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn tally_chunk(&self, tally: &mut Tally, id: ChunkId, size: u64) -> Result<()> {
        tally.sharing.logical += size;
        if tally.is_new(id) {
            let record: Option<ChunkRecord> = self.get_record(Family::Chunks, keys::chunk(id)).await?;
            if let Some(ChunkRecord { place }) = record {
                tally.note(id, place.length, place.occupied);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_many_chunks_comes_close() {
        let ids: Vec<ChunkId> = (0_u32..20_000).map(|number| ChunkId::of(&number.to_le_bytes())).collect();
        for (most, is_exact) in [(20_000, true), (2_000, false)] {
            let mut tally = Tally::new(most);
            // Each comes twice.
            for id in ids.iter().chain(&ids) {
                if tally.is_new(*id) {
                    tally.note(*id, 1_000, 512);
                }
            }
            assert!(tally.known.len() <= most);
            let sharing = tally.finish();
            assert_eq!(sharing.is_exact, is_exact);
            let error = sharing.unique.abs_diff(20_000_000);
            assert!(error <= if is_exact { 0 } else { 1_600_000 }, "{error}");
            assert_eq!(sharing.stored * 1_000, sharing.unique * 512);
        }
    }
}
