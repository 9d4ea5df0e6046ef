//! Cairn: an S3-compatible object store in one binary. This is the map of its code.
//!
//! ```text
//! main → cli → server → { protocol, workers } → { object, identity } → { rules, outbound, storage::Store }
//! ```
//!
//! | room | knows | does not know |
//! |---|---|---|
//! | [`cli`], [`config`], [`accounts`] | what the operator says, and how to say things to the operator | requests |
//! | [`server`] | listeners, TLS, draining, health | S3 |
//! | [`telemetry`] | logs, metrics, the audit trail | who is measured |
//! | [`protocol`] | HTTP, `s3s`, XML, signatures, the one table of S3's error codes, the one place that authorises | RocksDB, files |
//! | [`object`] | S3's operations on domain types | HTTP, XML, headers |
//! | [`event_targets`] | where events can go: of the file, and put at run time | who asked |
//! | [`encryption`] | data keys, who wraps them, sealed streams | objects, requests |
//! | [`tiers`] | where objects go that do not stay here, and how that is going | objects, requests |
//! | [`identity`] | IAM's operations on domain types: who a key stands for, users, roles, policies, sessions | HTTP, XML, headers |
//! | [`outbound`] | every connection that the server opens itself: identity providers, the audit webhook | who asked |
//! | [`rules`] | S3's decisions as pure functions | IO, async, clock, randomness |
//! | [`workers`] | when and at what pace background work runs | decisions of its own |
//! | [`secret_file`] | small files that hold a secret | what the secret is for |
//! | `storage` (the crate) | buckets, keys, versions, chunks, commits | S3's rules, HTTP, XML |
//!
//! Nobody below knows who called. `tests/architecture.rs` holds these arrows. To follow a request down, begin at
//! [`protocol`] with `front.rs`; to follow a byte, at `object/put.rs` and then at the storage crate's front page.

pub mod accounts;
pub mod cli;
pub mod config;
pub mod encryption;
pub mod event_targets;
pub mod identity;
pub mod object;
pub mod outbound;
pub mod protocol;
pub mod rules;
pub mod secret_file;
pub mod server;
pub mod telemetry;
pub mod tiers;
pub mod workers;
