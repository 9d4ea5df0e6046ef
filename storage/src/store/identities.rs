//! Identities: rows that only their owner can read. The store keeps their bytes, their order and their commits.

use std::sync::Arc;

use bytes::Bytes;

use super::Store;
use crate::error::{Result, StoreError};
use crate::index::keys;
use crate::kv::{Batch, Family};

/// Rows that are read at a time. Who wants more asks again, after the last.
pub const MAX_IDENTITY_PAGE: usize = 1_000;

/// A row of the family `identities`: its key and its bytes.
pub type IdentityRow = (Vec<u8>, Bytes);

/// Changes that become durable together, or not at all. Keys are those of [`keys::identity`].
#[derive(Clone, Debug, Default)]
pub struct IdentityChange {
    /// Rows that must still be as they were read.
    pub checks: Vec<(Vec<u8>, Option<Bytes>)>,
    /// Prefixes under which there must be no row.
    pub empty: Vec<Vec<u8>>,
    /// Rows to write.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Rows to remove.
    pub deletes: Vec<Vec<u8>>,
}

impl Store {
    /// One row.
    pub async fn identity(&self, key: Vec<u8>) -> Result<Option<Bytes>> {
        self.get(Family::Identities, key).await
    }

    /// Up to `limit` rows (at most [`MAX_IDENTITY_PAGE`]) whose keys start with `prefix`, after the key `after`.
    pub async fn identities(&self, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize) -> Result<Vec<IdentityRow>> {
        let to = keys::after_prefix(&prefix);
        let from = after.map_or_else(
            || prefix.clone(),
            |mut after| {
                // The first key that is greater.
                after.push(0);
                after.max(prefix.clone())
            },
        );
        self.rows_in(Family::Identities, from, to, limit.min(MAX_IDENTITY_PAGE)).await
    }

    /// Commits: durable when it resolves, and it goes on when the caller leaves. [`StoreError::Conflict`] when a check
    /// does not hold.
    pub async fn commit_identities(self: &Arc<Self>, change: IdentityChange) -> Result<()> {
        let mut batch = Batch::default();
        for (key, was) in change.checks {
            batch.check_unchanged(Family::Identities, key, was);
        }
        for prefix in change.empty {
            batch.check_prefix_empty(Family::Identities, prefix);
        }
        for (key, value) in change.puts {
            batch.put(Family::Identities, key, value);
        }
        for key in change.deletes {
            batch.delete(Family::Identities, key);
        }
        let store = Arc::clone(self);
        let committing = tokio::spawn(async move { store.commit_batch(batch).await });
        committing.await.map_err(|_| StoreError::Closed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunks::memory::MemoryChunks;
    use crate::kv::memory::MemoryKv;
    use crate::store::Limits;

    fn store() -> Arc<Store> {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
        Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads")
    }

    fn put(name: &str, value: &str) -> IdentityChange {
        let key = keys::identity(b'u', &["1", name]);
        IdentityChange { puts: vec![(key, value.as_bytes().to_vec())], ..IdentityChange::default() }
    }

    #[tokio::test]
    async fn rows_come_in_pages_and_in_the_order_of_their_names() {
        let store = store();
        for name in ["b", "a", "ab", "c"] {
            store.commit_identities(put(name, name)).await.expect("committed");
        }
        let other = keys::identity(b'u', &["2", "a"]);
        let change = IdentityChange { puts: vec![(other, b"other".to_vec())], ..IdentityChange::default() };
        store.commit_identities(change).await.expect("committed");
        let prefix = keys::identity_prefix(b'u', &["1"], "");
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page = store.identities(prefix.clone(), after.take(), 1).await.expect("read");
            let Some((key, value)) = page.into_iter().next() else { break };
            names.push(String::from_utf8(value.to_vec()).expect("text"));
            after = Some(key);
        }
        assert_eq!(names, ["a", "ab", "b", "c"]);
    }

    #[tokio::test]
    async fn a_commit_requires_what_it_relies_on() {
        let store = store();
        store.commit_identities(put("a", "1")).await.expect("committed");
        let key = keys::identity(b'u', &["1", "a"]);
        let read = store.identity(key.clone()).await.expect("read");
        let change = IdentityChange { checks: vec![(key.clone(), read)], ..put("a", "2") };
        store.commit_identities(change.clone()).await.expect("unchanged");
        assert!(matches!(store.commit_identities(change).await, Err(StoreError::Conflict)));
        let not_empty = IdentityChange {
            empty: vec![keys::identity_prefix(b'u', &["1"], "")],
            deletes: vec![key.clone()],
            ..IdentityChange::default()
        };
        assert!(matches!(store.commit_identities(not_empty).await, Err(StoreError::Conflict)));
        assert_eq!(store.identity(key).await.expect("read").as_deref(), Some(&b"2"[..]));
    }
}
