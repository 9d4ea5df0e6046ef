//! TLS for targets that are not reached over HTTP: the system's certificate authorities and the operator's own, and the
//! client's certificate.

#![allow(clippy::disallowed_methods, reason = "the operator's certificates, read when a target is opened")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::target::TlsFiles;

/// RFC 7468, section 2.
const PEM_LINE_LENGTH: usize = 64;

/// The same as text, for clients that make their own configuration of it.
pub(in crate::outbound) struct Pem {
    /// Every authority that is trusted.
    pub roots: String,
    /// The client's chain and key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

/// A configuration of rustls.
///
/// # Errors
/// A sentence that names the file, if one cannot be used.
pub(super) fn client_config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots(files.ca_file.as_deref())?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store);
    let Some((cert, key)) = &files.client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| format!("{}: {error}", cert.display()))
}

/// The same as text.
///
/// # Errors
/// As [`client_config`].
pub(in crate::outbound) fn pem(files: &TlsFiles) -> Result<Pem, String> {
    let mut text = String::new();
    for certificate in roots(files.ca_file.as_deref())? {
        let encoded = STANDARD.encode(&certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(PEM_LINE_LENGTH) {
            // Base64 is ASCII.
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let client = files.client.as_ref().map(|(cert, key)| Ok::<_, String>((read(cert)?, read(key)?))).transpose()?;
    Ok(Pem { roots: text, client })
}

fn roots(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    let system = rustls_native_certs::load_native_certs();
    for error in system.errors {
        tracing::debug!(%error, "some of the system's certificate authorities cannot be used");
    }
    let mut all = system.certs;
    if let Some(path) = ca_file {
        all.extend(certificates(path)?);
    }
    Ok(all)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{} holds no certificates in PEM", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
