//! Connections that the server opens itself: to identity providers, to collectors of audit lines. Nobody here knows
//! on whose behalf; every connection has a time limit and every answer a size limit.
//!
//! | file | is |
//! |---|---|
//! | `client` | the HTTP client that both use |
//! | `oidc` | OpenID Connect providers' documents and keys, cached |
//! | `audit_webhook` | the audit trail's webhook |

pub mod audit_webhook;
mod client;
pub mod oidc;

pub use client::ClientError;
