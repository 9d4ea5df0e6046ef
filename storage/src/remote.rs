//! What a storage tier is to the store: a place where objects are put whole, read in ranges, listed and deleted.
//!
//! Who connects to it lies above. An object of a tier is written once under a name that is never used again, so
//! repeating any of these calls does no harm.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;

/// The answer of a tier.
pub type RemoteFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>;

/// Why a tier did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    /// In words, for the operator.
    pub reason: String,
    /// Whether the tier answered that it has no such object.
    pub missing: bool,
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A storage tier. Every call ends within a bounded time.
pub trait Remote: Send + Sync + 'static {
    /// Writes an object; durable when it answers.
    fn put(&self, name: String, bytes: Bytes) -> RemoteFuture<'_, ()>;

    /// Reads a range of an object; fewer bytes are an error of the tier's.
    fn get(&self, name: String, range: Range<u64>) -> RemoteFuture<'_, Bytes>;

    /// Deletes an object; that there is none is no error.
    fn delete(&self, name: String) -> RemoteFuture<'_, ()>;

    /// Up to `limit` names after this one, in the order of their bytes.
    fn list(&self, after: Option<String>, limit: usize) -> RemoteFuture<'_, Vec<String>>;
}
