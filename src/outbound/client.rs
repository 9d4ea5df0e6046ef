//! An HTTP client with limits: no redirects, a time for connecting and a time for everything.

#![allow(clippy::disallowed_methods, reason = "the operator's file of certificates, read once at start")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that wait for the next request, for each host.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} holds no certificates in PEM", path.display())]
    NoCertificates { path: PathBuf },
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client that trusts the system's certificate authorities and those of `ca_file` (PEM). It uses the proxy of the
/// environment (`HTTPS_PROXY`, `NO_PROXY`), as other programs do.
///
/// # Errors
/// If the file cannot be read, or holds no certificate.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Client, ClientError> {
    client_with(ca_file, |builder| builder)
}

/// As [`client`], with what `change` makes of it.
///
/// # Errors
/// As [`client`].
pub(super) fn client_with(
    ca_file: Option<&Path>,
    change: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, ClientError> {
    let certificates = ca_file.map(certificates).transpose()?.unwrap_or_default();
    match change(builder()).tls_certs_merge(certificates.clone()).build() {
        Ok(client) => Ok(client),
        Err(error) => {
            // A container may have no certificate authorities at all; those of the file are trusted there.
            tracing::warn!(%error, "the system's certificate authorities cannot be used");
            Ok(change(builder()).tls_certs_only(certificates).build()?)
        }
    }
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("Cairn/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(Policy::none())
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let pem = std::fs::read(path).map_err(|source| ClientError::Unreadable { path: path.to_owned(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ClientError::NoCertificates { path: path.to_owned() }),
    }
}
