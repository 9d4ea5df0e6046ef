//! One change of identities: what it reads is what its commit requires unchanged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use storage::index::records::Record;
use storage::store::IdentityChange;
use storage::{Store, StoreError};

use super::error::{Code, Error, Result};
use super::rows::Key;

/// Attempts at a change that loses its commit to others. Each loss is somebody else's success.
const ATTEMPTS: u32 = 256;
/// Bytes of one record: the engine takes a little more.
const MAX_RECORD_BYTES: usize = 60 << 10;

/// Reads rows, collects changes, commits them together.
pub(super) struct Transaction {
    store: Arc<Store>,
    generation: Arc<AtomicU64>,
    read: HashMap<Key, Option<Bytes>>,
    change: IdentityChange,
}

impl Transaction {
    pub(super) fn new(store: &Arc<Store>, generation: &Arc<AtomicU64>) -> Self {
        Self {
            store: Arc::clone(store),
            generation: Arc::clone(generation),
            read: HashMap::new(),
            change: IdentityChange::default(),
        }
    }

    /// A record; the commit will require it unchanged.
    pub(super) async fn get<R: Record>(&mut self, key: Key) -> Result<Option<R>> {
        let row = if let Some(row) = self.read.get(&key) {
            row.clone()
        } else {
            let row = self.store.identity(key.clone()).await?;
            self.read.insert(key, row.clone());
            row
        };
        Ok(row.map(|row| R::decode(&row)).transpose()?)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// `LimitExceeded` if it is larger than a record can be.
    pub(super) fn put<R: Record>(&mut self, key: Key, record: &R) -> Result<()> {
        let bytes = record.encode();
        if bytes.len() > MAX_RECORD_BYTES {
            let message = format!("The policies and tags together exceed the {MAX_RECORD_BYTES} bytes of one record.");
            return Err(Error::refused(Code::LimitExceeded, message));
        }
        self.change.puts.push((key, bytes));
        Ok(())
    }

    /// Writes a row that only has to be there.
    pub(super) fn mark(&mut self, key: Key) {
        self.change.puts.push((key, Vec::new()));
    }

    /// Removes a row.
    pub(super) fn delete(&mut self, key: Key) {
        self.change.deletes.push(key);
    }

    /// Requires that no row has this prefix when the commit happens.
    pub(super) fn require_empty(&mut self, prefix: Key) {
        self.change.empty.push(prefix);
    }

    /// Commits; `false` if what was read has changed meanwhile. Callers' policies may differ from now on.
    pub(super) async fn commit(self) -> Result<bool> {
        let generation = Arc::clone(&self.generation);
        self.finish(Some(generation)).await
    }

    /// Commits what changes nothing for any caller that is known already: a new key, a note of use.
    pub(super) async fn commit_addition(self) -> Result<bool> {
        self.finish(None).await
    }

    async fn finish(self, generation: Option<Arc<AtomicU64>>) -> Result<bool> {
        let Self { store, read, mut change, .. } = self;
        if change.puts.is_empty() && change.deletes.is_empty() {
            return Ok(true);
        }
        change.checks = read.into_iter().collect();
        // In a task of its own: whoever asked may leave, and the cache must hear of the commit nonetheless.
        let committing = tokio::spawn(async move {
            let committed = store.commit_identities(change).await;
            if let Some(generation) = generation {
                generation.fetch_add(1, Ordering::SeqCst);
            }
            committed
        });
        match committing.await.map_err(|_| StoreError::Closed)? {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Counts lost races.
#[derive(Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Notes a lost race.
    ///
    /// # Errors
    /// `ConcurrentModification` after as many as the limit allows.
    pub(super) fn lost(&mut self) -> Result<()> {
        self.0 += 1;
        if self.0 < ATTEMPTS {
            return Ok(());
        }
        let message = "The request was rejected because multiple requests to change this object were submitted \
                       simultaneously. Wait a few minutes and submit your request again.";
        Err(Error::refused(Code::ConcurrentModification, message))
    }
}

/// Runs a block that reads and changes through a [`Transaction`] until its commit wins, and gives its value. The block
/// may be run several times; a `?` in it leaves the function without a commit.
macro_rules! transact {
    ($identities:expr, |$transaction:ident| $block:block) => {{
        let mut attempts = $crate::identity::transaction::Attempts::default();
        loop {
            let mut $transaction = $identities.begin();
            let outcome = $block;
            if $transaction.commit().await? {
                break outcome;
            }
            attempts.lost()?;
        }
    }};
}
pub(super) use transact;
