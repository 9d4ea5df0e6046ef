//! Live events: the tail of the outbox, for somebody who listens to a bucket.
//!
//! Whoever listens makes the bucket's changes leave events, even where its configuration sends none to anybody; they
//! go through the outbox like all others, so they come in the order of commits and are of changes that happened.
//! What was not read when the listener leaves is not kept for it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use storage::index::records::{BucketRecord, Record};
use storage::types::BucketId;
use tokio::sync::watch;

use super::event::Event;
use super::{Objects, Result};

/// Who may listen at a time; each reads the whole outbox as it grows.
pub const MAX_LISTENERS: usize = 256;
/// Events that are looked at before those of the bucket are given out.
const PAGE: usize = 256;

/// Which buckets are listened to.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// How many listen: the one look that a change costs while nobody does.
    count: AtomicUsize,
    by_bucket: Mutex<HashMap<BucketId, usize>>,
}

impl Listeners {
    pub(super) fn listen_to(&self, bucket: BucketId) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.by_bucket.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&bucket)
    }

    fn join(self: &Arc<Self>, bucket: BucketId) -> Option<Membership> {
        let mut by_bucket = self.by_bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if self.count.load(Ordering::Acquire) >= MAX_LISTENERS {
            return None;
        }
        *by_bucket.entry(bucket).or_default() += 1;
        self.count.fetch_add(1, Ordering::AcqRel);
        Some(Membership { listeners: Arc::clone(self), bucket })
    }

    fn leave(&self, bucket: BucketId) {
        let mut by_bucket = self.by_bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut listening) = by_bucket.entry(bucket) {
            *listening.get_mut() -= 1;
            if *listening.get() == 0 {
                listening.remove();
            }
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Being one of those who listen; ends when it is dropped.
#[derive(Debug)]
struct Membership {
    listeners: Arc<Listeners>,
    bucket: BucketId,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.listeners.leave(self.bucket);
    }
}

/// Somebody who listens to a bucket.
pub struct Listening {
    objects: Objects,
    membership: Membership,
    grown: watch::Receiver<()>,
    after: u64,
}

impl Objects {
    /// Listens to a bucket from now on; `None` where [`MAX_LISTENERS`] do already.
    pub async fn listen(&self, bucket: &BucketRecord) -> Result<Option<Listening>> {
        let Some(membership) = self.listeners.join(bucket.id) else { return Ok(None) };
        let grown = self.store.outbox_grown();
        let after = self.store.outbox_bounds().await?.last;
        Ok(Some(Listening { objects: self.clone(), membership, grown, after }))
    }
}

impl Listening {
    /// Waits for the bucket's next events: each with its place in the order of commits. May answer none. It can be
    /// dropped while it waits.
    pub async fn next(&mut self) -> Result<Vec<(u64, Event)>> {
        self.grown.mark_unchanged();
        let page = self.objects.store.outbox_page(self.after, PAGE).await?;
        let Some(last) = page.last() else {
            // The store outlives whoever listens; should it not, there is nothing more to hear.
            if self.grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            return Ok(Vec::new());
        };
        self.after = last.position;
        let mut events = Vec::new();
        for stored in page {
            let event = Event::decode(&stored.event)?;
            if event.bucket_id == self.membership.bucket {
                events.push((stored.position, event));
            }
        }
        Ok(events)
    }
}
