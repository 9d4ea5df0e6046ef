//! Pins keep chunks and manifests from being collected while a request works with them; claims are the garbage
//! collector's opposite. What is pinned cannot be claimed, and who wants to pin what is claimed waits until the claim
//! is decided. So between a request's look-up and its commit nothing that it found can vanish.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::index::keys::Child;

const SHARDS: usize = 32;

#[derive(Debug, PartialEq, Eq)]
enum State {
    Pinned(u64),
    Claimed,
}

/// Who uses which chunks and manifests right now.
#[derive(Debug)]
pub struct Pins {
    shards: Vec<Mutex<HashMap<Child, State>>>,
    hasher: std::hash::RandomState,
    claim_ended: Notify,
}

/// Keeps one chunk or manifest while it lives.
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    child: Child,
}

/// The garbage collector's right to remove one chunk or manifest, while it lives.
#[derive(Debug)]
pub struct Claim {
    pins: Arc<Pins>,
    child: Child,
}

impl Pins {
    /// Nothing pinned.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { shards, hasher: std::hash::RandomState::new(), claim_ended: Notify::new() })
    }

    fn shard(&self, child: Child) -> &Mutex<HashMap<Child, State>> {
        let hash = usize::try_from(self.hasher.hash_one(child) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    /// Pins a child; waits while it is claimed.
    pub async fn pin(self: &Arc<Self>, child: Child) -> Pin {
        loop {
            let mut ended = pin!(self.claim_ended.notified());
            // Registered before the look, so that a claim that ends in between is not missed.
            ended.as_mut().enable();
            if self.try_pin(child) {
                return Pin { pins: Arc::clone(self), child };
            }
            ended.await;
        }
    }

    fn try_pin(&self, child: Child) -> bool {
        match self.shard(child).lock().entry(child).or_insert(State::Pinned(0)) {
            State::Pinned(count) => {
                *count += 1;
                true
            }
            State::Claimed => false,
        }
    }

    /// Claims a child for removal; `None` while anybody uses it.
    #[must_use]
    pub fn claim(self: &Arc<Self>, child: Child) -> Option<Claim> {
        let mut shard = self.shard(child).lock();
        if shard.contains_key(&child) {
            return None;
        }
        shard.insert(child, State::Claimed);
        Some(Claim { pins: Arc::clone(self), child })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut shard = self.pins.shard(self.child).lock();
        if let Some(State::Pinned(count)) = shard.get_mut(&self.child) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.child);
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.pins.shard(self.child).lock().remove(&self.child);
        self.pins.claim_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ChunkId;

    const CHILD: Child = Child::Chunk(ChunkId([1; 32]));

    #[tokio::test]
    async fn what_is_pinned_cannot_be_claimed() {
        let pins = Pins::new();
        let first = pins.pin(CHILD).await;
        let second = pins.pin(CHILD).await;
        assert!(pins.claim(CHILD).is_none());
        drop(first);
        assert!(pins.claim(CHILD).is_none());
        drop(second);
        assert!(pins.claim(CHILD).is_some());
    }

    #[tokio::test]
    async fn a_pin_waits_for_the_claim_to_end() {
        let pins = Pins::new();
        let claim = pins.claim(CHILD).expect("nobody uses it");
        let waiter = tokio::spawn({
            let pins = Arc::clone(&pins);
            async move { pins.pin(CHILD).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(claim);
        let pin = waiter.await.expect("the waiter ends");
        assert!(pins.claim(CHILD).is_none());
        drop(pin);
    }
}
