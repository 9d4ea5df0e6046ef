//! Parts of a store that are broken on purpose, so that the crash suite can show that it would find such faults.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::Result;
use storage::chunks::body::Body;
use storage::chunks::{ChunkFuture, ChunkStore, SegmentState, Written};
use storage::disk::{Caching, Disk, DiskFile, Space};
use storage::kv::{Batch, Cached, Check, Commit, CommitFuture, Family, Kv, Scan, Visitor};
use storage::types::{ChunkId, Place};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakage {
    Nothing,
    /// Chunks reach the disk only after the commit that names them.
    CommitBeforeWrite,
    /// Chunks are answered for before they are synced.
    AnswerBeforeSync,
    /// The index answers before the commit is durable.
    AnswerBeforeCommit,
    /// The collector sees no references.
    BlindCollector,
    /// The chunk store is not told what is live, and recycles it.
    ForgottenChunks,
}

type Late = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// A disk that keeps writes back until they are [released](LateDisk::release), or something else is asked of it.
pub struct LateDisk {
    inner: Arc<dyn Disk>,
    late: Arc<Mutex<Vec<Late>>>,
    syncs: Syncs,
}

/// What becomes of syncs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// They are kept back, as the writes are.
    Late,
    /// Writes are done at once, but they are never synced.
    Never,
}

struct LateFile {
    inner: Arc<dyn DiskFile>,
    late: Arc<Mutex<Vec<Late>>>,
    syncs: Syncs,
}

fn release(late: &Mutex<Vec<Late>>) -> io::Result<()> {
    let held = std::mem::take(&mut *late.lock());
    held.into_iter().try_for_each(|operation| operation())
}

impl LateDisk {
    pub fn new(inner: Arc<dyn Disk>, syncs: Syncs) -> Arc<Self> {
        Arc::new(Self { inner, late: Arc::default(), syncs })
    }

    /// Does what was kept back.
    pub fn release(&self) {
        release(&self.late).expect("the simulated disk works");
    }

    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(LateFile { inner, late: Arc::clone(&self.late), syncs: self.syncs })
    }
}

impl Disk for LateDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        release(&self.late)?;
        Ok(self.file(self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        release(&self.late)?;
        Ok(self.file(self.inner.open(name)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        release(&self.late)?;
        self.inner.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn sync_directory(&self) -> io::Result<()> {
        release(&self.late)?;
        self.inner.sync_directory()
    }

    fn space(&self) -> io::Result<Space> {
        self.inner.space()
    }
}

impl DiskFile for LateFile {
    fn read_at(&self, caching: Caching, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        release(&self.late)?;
        self.inner.read_at(caching, buffer, offset)
    }

    fn write_at(&self, caching: Caching, data: &[u8], offset: u64) -> io::Result<()> {
        if self.syncs == Syncs::Never {
            return self.inner.write_at(caching, data, offset);
        }
        let (inner, data) = (Arc::clone(&self.inner), data.to_vec());
        self.late.lock().push(Box::new(move || inner.write_at(Caching::Buffered, &data, offset)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.syncs == Syncs::Late {
            let inner = Arc::clone(&self.inner);
            self.late.lock().push(Box::new(move || inner.sync_data()));
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        release(&self.late)?;
        self.inner.len()
    }
}

/// An index that answers a commit at once, and does it when it is next asked for something.
pub struct EagerKv {
    inner: Arc<dyn Kv>,
    pending: Mutex<Option<Batch>>,
}

impl EagerKv {
    pub fn new(inner: Arc<dyn Kv>) -> Arc<Self> {
        Arc::new(Self { inner, pending: Mutex::default() })
    }

    fn catch_up(&self) {
        if let Some(batch) = self.pending.lock().take() {
            // The engine in memory commits when it is called.
            drop(self.inner.commit(batch));
        }
    }
}

impl Kv for EagerKv {
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached> {
        self.catch_up();
        self.inner.get_cached(family, key)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.catch_up();
        self.inner.get(family, key)
    }

    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
        self.catch_up();
        self.inner.scan(scan, visit)
    }

    fn commit(&self, batch: Batch) -> CommitFuture {
        self.catch_up();
        *self.pending.lock() = Some(batch);
        Box::pin(std::future::ready(Ok(Commit::Committed)))
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        self.inner.gauges()
    }
}

/// An index that hides all references and does not mind them.
pub struct BlindKv(pub Arc<dyn Kv>);

impl Kv for BlindKv {
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached> {
        self.0.get_cached(family, key)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.0.get(family, key)
    }

    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
        if scan.families == [Family::Refs] { Ok(()) } else { self.0.scan(scan, visit) }
    }

    fn commit(&self, mut batch: Batch) -> CommitFuture {
        batch.checks.retain(|check| !matches!(check, Check::PrefixEmpty { family: Family::Refs, .. }));
        self.0.commit(batch)
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        self.0.gauges()
    }
}

/// Chunks of which none is ever known to be live.
pub struct ForgottenChunks(pub Arc<dyn ChunkStore>);

impl ChunkStore for ForgottenChunks {
    fn write(&self, id: ChunkId, data: Bytes) -> ChunkFuture<Written> {
        self.0.write(id, data)
    }

    fn write_body(&self, id: ChunkId, body: Body) -> ChunkFuture<Written> {
        self.0.write_body(id, body)
    }

    fn read(&self, id: ChunkId, place: Place, range: Range<u32>) -> ChunkFuture<Bytes> {
        self.0.read(id, place, range)
    }

    fn read_body(&self, id: ChunkId, place: Place) -> ChunkFuture<(Bytes, Option<Body>)> {
        self.0.read_body(id, place)
    }

    fn read_resident(&self, id: ChunkId, place: &Place, range: &Range<u32>) -> Option<Bytes> {
        self.0.read_resident(id, place, range)
    }

    fn note_live(&self, _: &Place) {}

    fn note_dead(&self, _: &Place) {}

    fn segments(&self) -> Vec<SegmentState> {
        self.0.segments()
    }

    fn frames(&self, segment: SegmentState) -> ChunkFuture<Vec<(ChunkId, Place)>> {
        self.0.frames(segment)
    }

    fn admit(&self) -> Result<()> {
        self.0.admit()
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        self.0.gauges()
    }
}
