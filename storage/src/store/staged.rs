//! Data that is written and waits for the commit that names it.

use std::sync::Arc;

use bytes::Bytes;

use super::Store;
use crate::chunks::Written;
use crate::error::{Result, StoreError};
use crate::index::keys::{self, Candidate, Child, Parent};
use crate::index::records::{
    CHUNKS_IN_PAGE, ChunkRecord, Data, ManifestPage, ManifestRoot, PARTS_IN_PAGE, PartRecord, Record, Referrer,
};
use crate::kv::{Batch, Commit, Family};
use crate::pins::Pin;
use crate::types::{BucketId, ChunkId, ManifestId};

/// Chunks or parts up to which a manifest is written whole in the commit that names it. More are staged before.
const ENTRIES_IN_ONE_COMMIT: usize = 150;
/// Chunks whose rows are staged in one commit: a check, two puts and an add each.
const CHUNKS_IN_STAGE: usize = 200;
/// Pages staged in one commit: up to 64 KiB each.
const PAGES_IN_STAGE: usize = 12;
/// Attempts at a staging commit: it conflicts only with uploads of the very same chunks.
const ATTEMPTS: u32 = 64;

/// A chunk that is written but that no commit names yet.
#[derive(Clone)]
struct Fresh {
    id: ChunkId,
    written: Written,
}

/// A manifest that is not known to exist yet.
struct NewManifest {
    id: ManifestId,
    root: ManifestRoot,
    /// Empty once they are staged.
    pages: Vec<Vec<u8>>,
    /// Empty once their references are staged.
    children: Vec<Child>,
}

/// Data that is durable but invisible, pinned until this value is dropped. A [commit](Store::commit) makes it part of
/// a version, or of an upload; dropping it instead leaves garbage that is collected.
pub struct Staged {
    data: Data,
    size: u64,
    inline: Option<Bytes>,
    fresh: Vec<Fresh>,
    /// In the order in which they were made: none names a later one.
    manifests: Vec<NewManifest>,
    /// Held, and asked nothing: what this data consists of is not collected before it has a parent.
    pins: Vec<Pin>,
}

/// One chunk on its way: pinned, and either known to the index or freshly written.
pub(crate) struct PlacedChunk {
    pub(crate) id: ChunkId,
    pub(crate) length: u32,
    pub(crate) pin: Pin,
    pub(crate) written: Option<Written>,
}

impl Staged {
    /// Data that lies beside its record.
    pub(crate) fn inline(bytes: Bytes) -> Self {
        let data = if bytes.is_empty() { Data::Empty } else { Data::Inline };
        let size = bytes.len() as u64;
        Self { data, size, inline: Some(bytes), fresh: Vec::new(), manifests: Vec::new(), pins: Vec::new() }
    }

    /// Data that exists already; `pin` keeps it.
    pub(crate) fn existing(data: Data, size: u64, pin: Option<Pin>) -> Self {
        Self { data, size, inline: None, fresh: Vec::new(), manifests: Vec::new(), pins: pin.into_iter().collect() }
    }

    /// Where the bytes are.
    #[must_use]
    pub fn data(&self) -> Data {
        self.data
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes themselves, where they will lie beside the record.
    #[must_use]
    pub fn inline_bytes(&self) -> Option<&Bytes> {
        self.inline.as_ref()
    }

    /// Takes in what another of its kind holds, so that one commit makes both visible. Where the bytes are stays.
    pub fn absorb(&mut self, other: Self) {
        let Self { fresh, manifests, pins, .. } = other;
        for fresh in fresh {
            if !self.fresh.iter().any(|known| known.id == fresh.id) {
                self.fresh.push(fresh);
            }
        }
        for manifest in manifests {
            if !self.manifests.iter().any(|known| known.id == manifest.id) {
                self.manifests.push(manifest);
            }
        }
        self.pins.extend(pins);
    }

    /// Forgets new manifests, but for the one that `data` begins with.
    pub(crate) fn only_manifest_of(&mut self, data: Data) {
        self.manifests.retain(|manifest| root_child(data) == Some(Child::Manifest(manifest.id)));
    }

    /// The same, as data that is told to be elsewhere and of another size.
    pub(crate) fn told_as(mut self, data: Data, size: u64) -> Self {
        (self.data, self.size) = (data, size);
        self
    }

    /// Keeps something else until this is committed or dropped.
    pub(crate) fn keep(&mut self, pin: Pin) {
        self.pins.push(pin);
    }

    /// Adds what makes this data part of `parent`.
    pub(crate) fn add_rows(&self, batch: &mut Batch, parent: Parent, object: (BucketId, &str)) {
        add_fresh(batch, &self.fresh);
        for manifest in &self.manifests {
            let id = manifest.id;
            batch.check_unchanged(Family::Manifests, keys::manifest(id), None);
            batch.put(Family::Manifests, keys::manifest(id), manifest.root.encode());
            add_pages(batch, id, 0, &manifest.pages);
            add_references(batch, id, &manifest.children);
        }
        if let Some(child) = root_child(self.data) {
            let referrer = Referrer { object: Some((object.0, object.1.to_owned())) };
            batch.put(Family::Refs, keys::reference(child, parent), referrer.encode());
        }
    }

    /// Whether some of this was written by nobody else yet: then a conflict may be somebody else's write of the same.
    pub(crate) fn may_conflict(&self) -> bool {
        !self.fresh.is_empty() || !self.manifests.is_empty()
    }

    /// Looks again which of the fresh chunks, and whether the manifest, another upload has made known meanwhile, and
    /// takes the winner's. Answers whether there was any.
    pub(crate) async fn refresh(&mut self, store: &Store) -> Result<bool> {
        let before = self.fresh.len();
        let mut kept = Vec::with_capacity(before);
        for fresh in self.fresh.drain(..) {
            if store.get(Family::Chunks, keys::chunk(fresh.id)).await?.is_none() {
                kept.push(fresh);
            }
        }
        self.fresh = kept;
        let mut changed = self.fresh.len() < before;
        let mut unknown = Vec::with_capacity(self.manifests.len());
        for manifest in self.manifests.drain(..) {
            if store.get(Family::Manifests, keys::manifest(manifest.id)).await?.is_some() {
                changed = true;
            } else {
                unknown.push(manifest);
            }
        }
        self.manifests = unknown;
        Ok(changed)
    }

    /// Tells the chunk store what a commit has made live.
    pub(crate) fn note_committed(&mut self, store: &Store) {
        for fresh in self.fresh.drain(..) {
            store.chunks.note_live(&fresh.written.place);
        }
        self.manifests.clear();
    }
}

/// The chunk or manifest that data begins with.
pub(crate) fn root_child(data: Data) -> Option<Child> {
    match data {
        Data::Empty | Data::Inline => None,
        Data::Chunk(id) => Some(Child::Chunk(id)),
        Data::Manifest { id, .. } | Data::Parts(id) => Some(Child::Manifest(id)),
        Data::Remote(id) => Some(Child::Remote(id)),
    }
}

fn add_fresh(batch: &mut Batch, fresh: &[Fresh]) {
    for Fresh { id, written } in fresh {
        let place = written.place;
        batch.check_unchanged(Family::Chunks, keys::chunk(*id), None);
        batch.put(Family::Chunks, keys::chunk(*id), ChunkRecord { place }.encode());
        batch.add(Family::Counters, keys::segment(place.drive, place.segment), i64::from(place.occupied));
    }
}

fn add_pages(batch: &mut Batch, id: ManifestId, first: usize, pages: &[Vec<u8>]) {
    for (number, page) in (first..).zip(pages) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        batch.put(Family::Manifests, keys::manifest_page(id, number), page.clone());
    }
}

fn add_references(batch: &mut Batch, id: ManifestId, children: &[Child]) {
    let referrer = Referrer { object: None }.encode();
    for child in children {
        batch.put(Family::Refs, keys::reference(*child, Parent::Manifest(id)), referrer.clone());
    }
}

fn manifest_id(pages: &[Vec<u8>]) -> ManifestId {
    let mut hasher = blake3::Hasher::new();
    for page in pages {
        hasher.update(page);
    }
    ManifestId(*hasher.finalize().as_bytes())
}

impl Store {
    /// Puts chunks together: one is its own root, several get a manifest. `chunk_bytes` is the length of all but the last,
    /// 0 where they have various lengths.
    pub(crate) async fn stage_chunks(self: &Arc<Self>, chunks: Vec<PlacedChunk>, chunk_bytes: u32) -> Result<Staged> {
        let size = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        let list: Vec<(ChunkId, u32)> = chunks.iter().map(|chunk| (chunk.id, chunk.length)).collect();
        let (mut pins, mut fresh) = (Vec::with_capacity(chunks.len()), Vec::new());
        for chunk in chunks {
            pins.push(chunk.pin);
            // The same chunk may come twice in one object; it is written, or at least named, once.
            if let Some(written) = chunk.written
                && !fresh.iter().any(|known: &Fresh| known.id == chunk.id)
            {
                fresh.push(Fresh { id: chunk.id, written });
            }
        }
        if let [(id, _)] = list[..] {
            return Ok(Staged { data: Data::Chunk(id), size, inline: None, fresh, manifests: Vec::new(), pins });
        }
        let (mut pages, mut start) = (Vec::new(), 0);
        for page in list.chunks(CHUNKS_IN_PAGE) {
            pages.push(ManifestPage::Chunks { start, chunks: page.to_vec() }.encode());
            start += page.iter().map(|(_, length)| u64::from(*length)).sum::<u64>();
        }
        let mut children: Vec<_> = list.iter().map(|(id, _)| Child::Chunk(*id)).collect();
        children.sort_unstable();
        children.dedup();
        let entries = list.len();
        let staged = self.new_manifest(entries, size, pages, children, pins, fresh);
        staged.await.map(|(id, mut staged)| {
            staged.data = Data::Manifest { id, chunk_bytes };
            staged
        })
    }

    /// Puts the parts of an upload together, by reference. The caller's commit must rely on the parts being unchanged.
    pub(crate) async fn stage_parts(self: &Arc<Self>, parts: &[PartRecord]) -> Result<Staged> {
        let (mut pages, mut start) = (Vec::new(), 0);
        for page in parts.chunks(PARTS_IN_PAGE) {
            pages.push(ManifestPage::Parts { start, parts: page.to_vec() }.encode());
            start += page.iter().map(|part| part.size).sum::<u64>();
        }
        let mut children: Vec<_> = parts.iter().filter_map(|part| root_child(part.data)).collect();
        children.sort_unstable();
        children.dedup();
        let (id, mut staged) = self.new_manifest(parts.len(), start, pages, children, Vec::new(), Vec::new()).await?;
        staged.data = Data::Parts(id);
        Ok(staged)
    }

    /// A list without data of its own.
    pub(crate) async fn stage_list(
        self: &Arc<Self>,
        entries: usize,
        size: u64,
        pages: Vec<Vec<u8>>,
        children: Vec<Child>,
    ) -> Result<(ManifestId, Staged)> {
        self.new_manifest(entries, size, pages, children, Vec::new(), Vec::new()).await
    }

    async fn new_manifest(
        self: &Arc<Self>,
        entries: usize,
        size: u64,
        pages: Vec<Vec<u8>>,
        children: Vec<Child>,
        mut pins: Vec<Pin>,
        fresh: Vec<Fresh>,
    ) -> Result<(ManifestId, Staged)> {
        let id = manifest_id(&pages);
        pins.push(self.pins.pin(Child::Manifest(id)).await);
        let known = self.get(Family::Manifests, keys::manifest(id)).await?.is_some();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let root = ManifestRoot { size, entries: count(entries), pages: count(pages.len()) };
        let manifests = if known { Vec::new() } else { vec![NewManifest { id, root, pages, children }] };
        let mut staged = Staged { data: Data::Empty, size, inline: None, fresh, manifests, pins };
        if !known && entries > ENTRIES_IN_ONE_COMMIT {
            // On a task of its own: pins and holds must outlive the commits that they protect, also when the caller
            // leaves.
            let store = Arc::clone(self);
            let staging = tokio::spawn(async move { store.stage_large(&mut staged).await.map(|()| staged) });
            staged = staging.await.map_err(|_| StoreError::Closed)??;
        }
        Ok((id, staged))
    }

    /// Writes all of a large manifest but its root, in bounded commits. The candidate comes first: what a crash leaves
    /// of the rest is found through it. Pages come before references, since references are found through pages.
    async fn stage_large(self: &Arc<Self>, staged: &mut Staged) -> Result<()> {
        let Some(manifest) = staged.manifests.last_mut() else { return Ok(()) };
        let (id, pages, children) =
            (manifest.id, std::mem::take(&mut manifest.pages), std::mem::take(&mut manifest.children));
        for (stage, pages) in pages.chunks(PAGES_IN_STAGE).enumerate() {
            let mut batch = Batch::default();
            self.note_candidate(&mut batch, Candidate::Child(Child::Manifest(id)));
            add_pages(&mut batch, id, stage * PAGES_IN_STAGE, pages);
            self.commit_batch(batch).await?;
        }
        for children in children.chunks(CHUNKS_IN_STAGE * 4) {
            let mut batch = Batch::default();
            add_references(&mut batch, id, children);
            self.commit_batch(batch).await?;
        }
        let mut rest = std::mem::take(&mut staged.fresh);
        while !rest.is_empty() {
            let stage = rest.split_off(rest.len().saturating_sub(CHUNKS_IN_STAGE));
            self.stage_fresh(stage).await?;
        }
        Ok(())
    }

    async fn stage_fresh(self: &Arc<Self>, fresh: Vec<Fresh>) -> Result<()> {
        let mut stage =
            Staged { data: Data::Empty, size: 0, inline: None, fresh, manifests: Vec::new(), pins: Vec::new() };
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::default();
            add_fresh(&mut batch, &stage.fresh);
            for fresh in &stage.fresh {
                self.note_candidate(&mut batch, Candidate::Child(Child::Chunk(fresh.id)));
            }
            if self.kv.commit(batch).await? == Commit::Committed {
                stage.note_committed(self);
                return Ok(());
            }
            stage.refresh(self).await?;
        }
        Err(StoreError::Contention(ATTEMPTS))
    }
}
