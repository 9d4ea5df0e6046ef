//! Connections that the server opens itself: to identity providers, collectors of audit lines, targets of events. Nobody here knows
//! on whose behalf; every connection has a time limit and every answer a size limit.
//!
//! | file | is |
//! |---|---|
//! | `client` | the HTTP client that all use |
//! | `oidc` | OpenID Connect providers' documents and keys, cached |
//! | `kafka` | the producer of Kafka records that events and audit lines share |
//! | `audit_webhook`, `audit_kafka` | the audit trail's webhook and its topic |
//! | [`tiers`] | storage tiers: directories, S3, Azure Blob Storage, Google Cloud Storage |
//! | [`events`] | where bucket notifications are sent: one file for each kind of target |

pub mod audit_kafka;
pub mod audit_webhook;
mod client;
pub mod events;
mod kafka;
pub mod oidc;
pub mod tiers;

pub use client::ClientError;
