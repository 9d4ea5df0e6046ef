//! Cairn's store: buckets, keys, versions and their data, on local disks, durable before it answers.
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | the operations; the one place where index and chunks meet |
//! | [`gc`] | the collector: the only code that frees space |
//! | [`compact`] | moves live chunks out of segments that are mostly dead |
//! | [`chunking`] | where chunks end, pure |
//! | [`compress`] | blocks of 64 KiB, compressed one by one, pure |
//! | [`doctor`] | what can be read, object by object, and what can be put right |
//! | [`scrub`] | reads everything again, at a pace, and names what is damaged |
//! | [`index`] | keys and records of the metadata, pure |
//! | [`kv`] | the metadata engine: an ordered key-value store with conditional commits |
//! | [`chunks`] | the chunk store: frames in recycled segments |
//! | [`disk`] | files as the chunk store uses them: real ones, and simulated ones that fail |
//! | [`md5`] | the MD5 of many streams at once, pure, and the threads that compute it |
//! | [`remote`] | what a storage tier is to the store: objects that are put, read and deleted |
//! | [`pool`] | threads for what blocks or computes |
//!
//! It knows nothing of S3's rules, HTTP or XML. `index` and `chunks` know nothing of each other.
//!
//! # Fault model
//! The store keeps its promises through: a kill at any instruction; power loss at any instant, with loss, reordering
//! and tearing of writes, lengths and names that were not synced; `EIO`, `ENOSPC` and short reads; flipped bits at rest;
//! clock jumps; callers that vanish at any await. Out of scope: errors of main memory, a drive that lies about
//! flushes, the loss of the only drive.
//!
//! - An acknowledged change survives; one that was not acknowledged is wholly visible or wholly absent.
//! - No byte is answered that does not match its checksum: damage becomes [`StoreError::Corrupt`], which says where.
//! - No chunk that is in use is removed; every dead one is, in bounded time, and no rule about it rests on a delay.
//! - A failed sync, or an IO error on a write, ends the process in one function, for what the disk then holds is
//!   unknown. A full disk refuses writes ([`StoreError::Full`]) and goes on serving reads and deletions.

pub mod chunking;
pub mod chunks;
pub mod compact;
pub mod compress;
pub mod disk;
pub mod doctor;
mod error;
pub mod gc;
pub mod index;
pub mod kv;
pub mod md5;
mod pins;
pub mod pool;
pub mod remote;
pub mod scrub;
pub mod store;
pub mod types;

pub use error::{Corruption, Result, StoreError};
pub use store::Store;
