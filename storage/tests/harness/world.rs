//! A store that is watched: each operation notes where in the disk's log it began and was acknowledged, and each
//! commit of the index is a marker there, so that disk and index of any moment can be put together again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::Store;
use storage::chunking::Chunking;
use storage::chunks::ChunkStore;
use storage::chunks::local::{LocalChunks, Threading};
use storage::compress::Codec;
use storage::disk::Disk;
use storage::disk::sim::SimDisk;
use storage::index::records::{Record, RemoteRecord};
use storage::kv::memory::{MemoryKv, OnCommit};
use storage::kv::{Family, Kv};
use storage::remote::Remote;
use storage::store::Limits;

use super::audit::rows;
use super::doubles::{BlindKv, Breakage, EagerKv, ForgottenChunks, LateDisk, Syncs};
use super::driver::{Driver, Step, Trouble};
use super::state::State;
use super::tier::{LoggedTier, TIER};
use super::{compressing, open_chunks};

/// What a world is built with.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub chunk_bytes: u32,
    pub segment_bytes: u32,
    pub compression: Codec,
    pub chunking: Chunking,
}

impl Sizes {
    fn limits(self) -> Limits {
        Limits { chunking: self.chunking, ..compressing(self.chunk_bytes, self.compression) }
    }
}

/// How a store ends before it is opened again.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Closed,
    Killed,
}

/// What a script does.
#[derive(Clone, Debug)]
pub enum Act {
    Do(Step),
    Reopen(Ending),
}

/// An operation's place in the disk's log, and all that could be seen after it.
#[derive(Clone)]
pub struct Moment {
    pub started: usize,
    pub acknowledged: usize,
    pub state: State,
}

/// What was recorded.
pub struct Recording {
    pub sizes: Sizes,
    pub disk: SimDisk,
    pub kv: Arc<MemoryKv>,
    pub tier: Arc<LoggedTier>,
    /// The marker of the index as it was at first.
    pub first_marker: u64,
    /// The first is what was there before.
    pub moments: Vec<Moment>,
    /// The log's length at the end.
    pub end: usize,
    /// What was killed: dropped earlier it would close itself, on the disk that is recorded.
    _killed: Vec<Arc<LocalChunks>>,
}

impl Recording {
    /// The index as it was after the commit with this marker.
    pub fn index_at(&self, marker: Option<u64>) -> MemoryKv {
        self.kv.at(marker.map_or(0, |marker| marker - self.first_marker))
    }

    /// What may be seen after a crash at this point of the log: the effect of all that was acknowledged, and perhaps
    /// of what was under way.
    pub fn possible(&self, at: usize) -> impl Iterator<Item = &State> {
        let last = self.moments.iter().rposition(|moment| moment.acknowledged <= at).expect("the first is always");
        let next = self.moments.get(last + 1).filter(|next| next.started < at);
        [Some(&self.moments[last]), next].into_iter().flatten().map(|moment| &moment.state)
    }
}

/// A store at work.
pub struct World {
    sizes: Sizes,
    breakage: Breakage,
    pub disk: SimDisk,
    late: Option<Arc<LateDisk>>,
    pub kv: Arc<MemoryKv>,
    tier: Arc<LoggedTier>,
    first_marker: u64,
    open: Option<(Driver, Arc<LocalChunks>)>,
    killed: Vec<Arc<LocalChunks>>,
    pub state: State,
    moments: Vec<Moment>,
}

impl World {
    /// On an empty disk.
    pub fn new(sizes: Sizes, breakage: Breakage) -> Self {
        Self::resume(sizes, breakage, SimDisk::new(), MemoryKv::new(), 0, State::default())
    }

    /// On what a crash left: the index's last commit has this marker.
    pub fn resume(sizes: Sizes, breakage: Breakage, disk: SimDisk, kv: MemoryKv, marker: u64, state: State) -> Self {
        let syncs = match breakage {
            Breakage::CommitBeforeWrite => Some(Syncs::Late),
            Breakage::AnswerBeforeSync => Some(Syncs::Never),
            _ => None,
        };
        let late = syncs.map(|syncs| LateDisk::new(Arc::new(disk.clone()), syncs));
        let (marked, released) = (disk.clone(), late.clone());
        let on_commit: OnCommit = Arc::new(move |number| {
            marked.marker(marker + number);
            if let Some(late) = &released {
                late.release();
            }
        });
        disk.marker(marker);
        let moments = vec![Moment { started: 0, acknowledged: 0, state: state.clone() }];
        let kv = Arc::new(kv.recording(on_commit));
        let tier = Arc::new(LoggedTier::new(disk.clone(), BTreeMap::new()));
        let (open, killed) = (None, Vec::new());
        Self { sizes, breakage, disk, late, kv, tier, first_marker: marker, open, killed, state, moments }
    }

    /// The same with what a tier holds.
    #[must_use]
    pub fn with_tier(self, objects: BTreeMap<String, Bytes>) -> Self {
        let tier = Arc::new(LoggedTier::new(self.disk.clone(), objects));
        Self { tier, ..self }
    }

    /// Opens the store, unless it is open.
    pub fn open(&mut self) -> storage::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let disk: Arc<dyn Disk> = match &self.late {
            Some(late) => Arc::<LateDisk>::clone(late),
            None => Arc::new(self.disk.clone()),
        };
        let kv: Arc<dyn Kv> = Arc::<MemoryKv>::clone(&self.kv);
        let local = open_chunks(disk, &*kv, self.sizes.segment_bytes, Threading::Inline)?;
        let chunks: Arc<dyn ChunkStore> = Arc::<LocalChunks>::clone(&local);
        let (kv, chunks): (Arc<dyn Kv>, Arc<dyn ChunkStore>) = match self.breakage {
            Breakage::AnswerBeforeCommit => (EagerKv::new(kv), chunks),
            Breakage::BlindCollector => (Arc::new(BlindKv(kv)), chunks),
            Breakage::ForgottenChunks => (kv, Arc::new(ForgottenChunks(chunks))),
            _ => (kv, chunks),
        };
        let store = Store::new(kv, chunks, self.sizes.limits())?;
        let tier: Arc<dyn Remote> = Arc::<LoggedTier>::clone(&self.tier);
        store.set_remotes(BTreeMap::from([(TIER.to_owned(), tier)]));
        self.open = Some((Driver::new(store, self.state.clone()), local));
        Ok(())
    }

    /// What was found on opening is where this world begins.
    pub fn begin_with(&mut self, found: State) {
        if let Some((driver, _)) = &mut self.open {
            driver.state = found.clone();
        }
        self.moments = vec![Moment { started: 0, acknowledged: 0, state: found.clone() }];
        self.state = found;
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.open.as_ref().expect("the store is open").0.client.store
    }

    /// Ends the store. What is killed leaves the disk as it is.
    pub fn end(&mut self, ending: Ending) {
        let Some((driver, local)) = self.open.take() else { return };
        match ending {
            Ending::Closed => local.close(),
            Ending::Killed => self.killed.push(local),
        }
        drop(driver);
    }

    /// Does what the script says; opens the store where it is not open.
    pub async fn act(&mut self, act: &Act) -> Result<(), Trouble> {
        let started = self.disk.log_len();
        match act {
            Act::Reopen(ending) => {
                self.end(*ending);
                self.open()?;
            }
            Act::Do(step) => {
                self.open()?;
                let (driver, _) = self.open.as_mut().expect("was opened");
                driver.apply(step).await?;
                self.state = driver.state.clone();
            }
        }
        let moment = Moment { started, acknowledged: self.disk.log_len(), state: self.state.clone() };
        self.moments.push(moment);
        Ok(())
    }

    /// Checks, after all was released, that the tier holds exactly what the index says that it does.
    pub fn audit_tier(&self) -> Result<(), String> {
        let (mut said, mut unfinished) = (BTreeSet::new(), 0);
        for (row, value) in rows(&*self.kv, Family::Tiers) {
            if row[0] == b'r' {
                said.insert(RemoteRecord::decode(&value).map_err(|error| error.to_string())?.name);
            } else {
                unfinished += 1;
            }
        }
        let held = self.tier.objects().into_keys();
        let held: BTreeSet<String> = held.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect();
        let agrees = said == held && unfinished == 0;
        if agrees { Ok(()) } else { Err(format!("the tier has {held:?}, not {said:?}; {unfinished} rows left over")) }
    }

    /// Ends the recording, as a kill would.
    pub fn finish(mut self) -> Recording {
        let end = self.disk.log_len();
        self.end(Ending::Killed);
        let Self { sizes, disk, kv, tier, first_marker, killed, moments, .. } = self;
        Recording { sizes, disk, kv, tier, first_marker, moments, end, _killed: killed }
    }
}

/// Violations that were found, and how many images were looked at.
#[derive(Default)]
pub struct Findings {
    pub violations: Mutex<Vec<String>>,
    pub images: std::sync::atomic::AtomicUsize,
}
