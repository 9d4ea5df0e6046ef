//! TLS for the S3 listener, with certificates that are replaced while the server runs.
//!
//! A new pair is taken on SIGHUP and by a poll of the files' identities: inotify would miss the symlink swaps by
//! which Kubernetes renews a mounted secret. A pair that does not parse or does not match leaves the old one in
//! use; that is also what a poll meets between the writing of the certificate and of its key.

#![allow(clippy::disallowed_methods, reason = "the operator's certificate files, no stored data")]

use crate::config::TlsConfig;
use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How soon a renewed certificate is noticed without SIGHUP.
pub const POLL_INTERVAL: Duration = Duration::from_secs(30);

/// A chain longer than this, or a file larger, is not a certificate.
const MAX_PEM_SIZE_BYTES: u64 = 1 << 20;

/// Why a pair of files cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{} and {} do not belong together: {reason}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, reason: rustls::Error },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The certificate in use and the files that it came from.
#[derive(Debug)]
pub struct Certificates {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    /// What the last attempt saw, successful or not, so that a broken file is reported once and not every poll.
    seen: Mutex<Identity>,
}

/// What [`Certificates::reload`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The files are those that were looked at before.
    Unchanged,
    /// New connections get the new certificate.
    Replaced,
}

/// Device, inode, length and change time of both files, symlinks followed. The contents of a file cannot change
/// without one of them.
type Identity = [(u64, u64, u64, i64, i64); 2];

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// If one cannot be read or parsed, or the key is not the certificate's.
    pub fn load(files: TlsConfig) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // The identity first: a file that changes while it is read is looked at again.
        let seen = identity(&files)?;
        let pair = read_pair(&files, &provider)?;
        Ok(Arc::new(Self { files, provider, current: ArcSwap::from_pointee(pair), seen: Mutex::new(seen) }))
    }

    /// Takes a new pair into use if the files changed. It blocks on file reads.
    ///
    /// # Errors
    /// As [`Certificates::load`], once per change of the files; the old pair stays in use.
    pub fn reload(&self) -> Result<Reload, TlsError> {
        let now = identity(&self.files)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(Reload::Unchanged);
        }
        *seen = now;
        self.current.store(Arc::new(read_pair(&self.files, &self.provider)?));
        Ok(Reload::Replaced)
    }

    /// The TLS side of the listener: TLS 1.2 and 1.3, HTTP/2 preferred by ALPN.
    ///
    /// # Errors
    /// If the cryptography in use has no cipher for these versions.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn identity(files: &TlsConfig) -> Result<Identity, TlsError> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).map_err(|error| unusable(path, &error))?;
        Ok::<_, TlsError>((metadata.dev(), metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
    };
    Ok([of(&files.cert_file)?, of(&files.key_file)?])
}

fn read_pair(files: &TlsConfig, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let pem = read_pem(&files.cert_file)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(&files.cert_file, &error))?;
    if chain.is_empty() {
        return Err(unusable(&files.cert_file, &"holds no PEM certificate"));
    }
    let pem = read_pem(&files.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(&files.key_file, &error))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|reason| TlsError::Pair {
        cert: files.cert_file.clone(),
        key: files.key_file.clone(),
        reason,
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    use io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| unusable(path, &error))?;
    file.take(MAX_PEM_SIZE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unusable(path, &error))?;
    if bytes.len() as u64 > MAX_PEM_SIZE_BYTES {
        return Err(unusable(path, &"is too large for a certificate or a key"));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
