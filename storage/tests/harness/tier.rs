//! A storage tier that remembers at which point of the disk's log each of its objects came and went, so that tier,
//! disk and index of any moment can be put together again.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::disk::sim::SimDisk;
use storage::remote::{Remote, RemoteError, RemoteFuture};

/// The tier's name.
pub const TIER: &str = "t";

type Objects = BTreeMap<String, Bytes>;

/// What was done to the tier: the disk's log had so many entries when it was done.
enum Done {
    Put(usize, String, Bytes),
    Deleted(usize, String),
}

/// The tier.
pub struct LoggedTier {
    disk: SimDisk,
    base: Objects,
    done: Mutex<Vec<Done>>,
}

impl LoggedTier {
    pub fn new(disk: SimDisk, base: Objects) -> Self {
        Self { disk, base, done: Mutex::default() }
    }

    /// What it held when the disk's log had `at` entries: with or without what was done just then.
    pub fn at(&self, at: usize, with_last: bool) -> Objects {
        let mut objects = self.base.clone();
        let is_before = |when: usize| when < at || (with_last && when == at);
        for done in &*self.done.lock() {
            match done {
                Done::Put(when, name, bytes) if is_before(*when) => drop(objects.insert(name.clone(), bytes.clone())),
                Done::Deleted(when, name) if is_before(*when) => drop(objects.remove(name)),
                _ => {}
            }
        }
        objects
    }

    /// What it holds.
    pub fn objects(&self) -> Objects {
        self.at(usize::MAX, true)
    }
}

impl Remote for LoggedTier {
    fn put(&self, name: String, bytes: Bytes) -> RemoteFuture<'_, ()> {
        self.done.lock().push(Done::Put(self.disk.log_len(), name, bytes));
        Box::pin(async { Ok(()) })
    }

    fn get(&self, name: String, range: Range<u64>) -> RemoteFuture<'_, Bytes> {
        let found = self.objects().remove(&name);
        Box::pin(async move {
            let bytes = found.ok_or(RemoteError { reason: "no such object".to_owned(), missing: true })?;
            let at = |at: u64| usize::try_from(at).expect("small").min(bytes.len());
            Ok(bytes.slice(at(range.start)..at(range.end)))
        })
    }

    fn delete(&self, name: String) -> RemoteFuture<'_, ()> {
        self.done.lock().push(Done::Deleted(self.disk.log_len(), name));
        Box::pin(async { Ok(()) })
    }

    fn list(&self, after: Option<String>, limit: usize) -> RemoteFuture<'_, Vec<String>> {
        let names = self.objects().into_keys().filter(|name| after.as_ref().is_none_or(|after| name > after));
        let names = names.take(limit).collect();
        Box::pin(async { Ok(names) })
    }
}
