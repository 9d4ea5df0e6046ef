//! Notes that background workers leave for their next start. The store knows nothing of them but their bytes.

use bytes::Bytes;

use super::Store;
use crate::error::Result;
use crate::index::keys;
use crate::kv::{Batch, Family};

impl Store {
    /// What the worker of this name noted last.
    pub async fn worker_note(&self, name: &str) -> Result<Option<Bytes>> {
        self.get(Family::System, keys::worker_note(name)).await
    }

    /// Replaces or removes the note of the worker of this name; at most 64 KiB.
    pub async fn set_worker_note(&self, name: &str, note: Option<Vec<u8>>) -> Result<()> {
        let mut batch = Batch::default();
        match note {
            Some(note) => batch.put(Family::System, keys::worker_note(name), note),
            None => batch.delete(Family::System, keys::worker_note(name)),
        }
        self.commit_batch(batch).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chunks::memory::MemoryChunks;
    use crate::kv::memory::MemoryKv;
    use crate::store::Limits;

    #[tokio::test]
    async fn a_note_is_kept_replaced_and_removed() {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
        let store = Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads");
        assert_eq!(store.worker_note("a").await.expect("read"), None);
        store.set_worker_note("a", Some(vec![1])).await.expect("written");
        store.set_worker_note("a", Some(vec![2])).await.expect("written");
        assert_eq!(store.worker_note("a").await.expect("read"), Some(Bytes::from_static(&[2])));
        store.set_worker_note("a", None).await.expect("removed");
        assert_eq!(store.worker_note("a").await.expect("read"), None);
        assert!(store.cursors().await.expect("read").is_empty(), "a note is no cursor");
    }
}
