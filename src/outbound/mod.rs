//! Connections that the server opens itself: to identity providers, collectors of audit lines, targets of events. Nobody here knows
//! on whose behalf; every connection has a time limit and every answer a size limit.
//!
//! | file | is |
//! |---|---|
//! | `client` | the HTTP client that all use |
//! | `oidc` | OpenID Connect providers' documents and keys, cached |
//! | `audit_webhook` | the audit trail's webhook |
//! | [`events`] | where bucket notifications are sent: one file for each kind of target |

pub mod audit_webhook;
mod client;
pub mod events;
pub mod oidc;

pub use client::ClientError;
