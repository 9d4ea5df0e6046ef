//! Annotations: named payloads that are kept with a version. All annotations of a version are listed by one manifest,
//! which the version refers to as to its data: a copy shares the list, a deletion drops the reference, and a change
//! makes another list, in the commit that changes the version's record.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::staged::{Staged, root_child};
use super::{BUFFER_UNIT, Store};
use crate::error::{Corruption, Result, StoreError};
use crate::index::keys::{self, Child};
use crate::index::records::{ANNOTATIONS_IN_PAGE, AnnotationRecord, Annotations, Data, ManifestPage, Record};
use crate::kv::Family;

impl Store {
    /// Takes a share of the memory for bytes on their way in; waits while there is none.
    pub async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(BUFFER_UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.buffers).acquire_many_owned(units).await.map_err(|_| StoreError::Closed)
    }

    /// Writes a payload, which must not be longer than a chunk may be: 8 MiB.
    pub async fn stage_payload(self: &Arc<Self>, payload: Bytes) -> Result<Staged> {
        let placed = Arc::clone(self).place_chunk(payload, self.limits.compression, None).await?;
        self.stage_chunks(vec![placed], self.limits.chunk_bytes).await
    }

    /// A list of annotations. `payload` is new data that one of them has; it may be what an earlier attempt got back
    /// from a conflict.
    pub async fn stage_annotations(
        self: &Arc<Self>,
        records: &[AnnotationRecord],
        payload: Option<Staged>,
    ) -> Result<(Annotations, Staged)> {
        let pages: Vec<_> =
            records.chunks(ANNOTATIONS_IN_PAGE).map(|page| ManifestPage::Annotations(page.to_vec()).encode()).collect();
        let bytes = records.iter().map(|record| record.size).sum();
        let mut children: Vec<_> = records.iter().filter_map(|record| root_child(record.data)).collect();
        children.sort_unstable();
        children.dedup();
        // The payloads of the others are kept by the list that the version has until the commit replaces it.
        let (id, mut staged) = self.stage_list(records.len(), bytes, pages, children).await?;
        if let Some(mut payload) = payload {
            payload.only_manifest_of(Data::Empty);
            staged.absorb(payload);
        }
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        Ok((Annotations { manifest: id, count, bytes }, staged.told_as(Data::Parts(id), bytes)))
    }

    /// All annotations in a list, by name; `None` when it has been collected: read the version again.
    pub async fn annotations(&self, list: &Annotations) -> Result<Option<Vec<AnnotationRecord>>> {
        let id = list.manifest;
        let _kept = self.pins.pin(Child::Manifest(id)).await;
        if self.get(Family::Manifests, keys::manifest(id)).await?.is_none() {
            return Ok(None);
        }
        let root = self.manifest_root(id).await?;
        let mut found = Vec::new();
        for page in 0..root.pages {
            let ManifestPage::Annotations(records) = self.manifest_page(id, page).await? else {
                return Err(Corruption::Manifest(id).into());
            };
            found.extend(records);
        }
        Ok(Some(found))
    }

    /// Keeps a list of annotations until `staged` is committed, which gives its version the same list. `false` when it
    /// has been collected: read the version again.
    pub async fn keep_annotations(&self, list: &Annotations, staged: &mut Staged) -> Result<bool> {
        let pin = self.pins.pin(Child::Manifest(list.manifest)).await;
        let there = self.get(Family::Manifests, keys::manifest(list.manifest)).await?.is_some();
        staged.keep(pin);
        Ok(there)
    }
}
