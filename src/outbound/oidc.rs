//! The signing keys of OpenID Connect providers: discovery document, key set, and a cache of them.
//!
//! Only issuers that an administrator registered are asked, and only over HTTPS, unless they are on this machine or
//! the operator allows plain HTTP. Keys are kept for as long as the provider says, within limits. A key that is not
//! among them is looked for once more, since providers rotate keys, but at most every few seconds: tokens are made by
//! anyone, and must not make this server a source of requests.
//!
//! <https://openid.net/specs/openid-connect-discovery-1_0.html>

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use quick_cache::sync::Cache;
use reqwest::header::CACHE_CONTROL;
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::client::{self, ClientError};

/// Issuers whose keys are remembered; further ones push the least used out.
const MAX_ISSUERS: usize = 256;
/// Providers publish two or three keys.
const MAX_KEYS: usize = 64;
/// Discovery documents and key sets are a few KiB.
const MAX_DOCUMENT_BYTES: usize = 512 << 10;
/// How long keys are used where the provider does not say.
const DEFAULT_AGE: Duration = Duration::from_mins(15);
const SHORTEST_AGE: Duration = Duration::from_mins(1);
const LONGEST_AGE: Duration = Duration::from_hours(24);
/// The pause between two requests for the keys of one issuer.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How providers are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OidcOptions {
    /// Certificate authorities (PEM) beside the system's: that of a Kubernetes cluster, of a company.
    pub ca_file: Option<PathBuf>,
    /// Whether issuers may be reached over plain HTTP elsewhere than on this machine.
    pub allow_http: bool,
}

/// Why a provider's keys cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or answers what it should not. It may be better later.
    #[error("{0}")]
    Unreachable(String),
    /// The issuer is not one that may be asked.
    #[error("{0}")]
    Refused(String),
    /// The provider has no such key.
    #[error("the provider publishes no key {0:?}")]
    UnknownKey(String),
}

/// Asks providers for their keys.
pub struct OidcClient {
    http: Client,
    allow_http: bool,
    /// One lock for each issuer: whoever comes second waits for the first one's answer.
    issuers: Cache<String, Arc<Mutex<Known>>>,
}

/// What is known of an issuer.
#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    fresh_until: Option<Instant>,
    asked: Option<Instant>,
    failed: Option<OidcError>,
}

impl OidcClient {
    /// # Errors
    /// If the file of certificate authorities cannot be used.
    pub fn new(options: &OidcOptions) -> Result<Self, ClientError> {
        Ok(Self {
            http: client::client(options.ca_file.as_deref())?,
            allow_http: options.allow_http,
            issuers: Cache::new(MAX_ISSUERS),
        })
    }

    /// The keys that may have signed a token of `issuer` (a URL as registered) with the key id `kid`; without a key
    /// id, all of them.
    ///
    /// # Errors
    /// If the provider cannot be asked, or has no such key.
    pub async fn keys(&self, issuer: &str, kid: Option<&str>) -> Result<Vec<Jwk>, OidcError> {
        let known = self.issuers.get_or_insert_with::<_, OidcError>(issuer, || Ok(Arc::default()))?;
        let mut known = known.lock().await;
        let is_fresh = known.fresh_until.is_some_and(|until| Instant::now() < until);
        if is_fresh {
            let found = matching(&known.keys, kid);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        if known.asked.is_some_and(|asked| asked.elapsed() < ASK_AGAIN) {
            return Err(known.failed.clone().unwrap_or_else(|| unknown(kid)));
        }
        known.asked = Some(Instant::now());
        match self.fetch(issuer).await {
            Ok((keys, age)) => {
                *known = Known { keys, fresh_until: Some(Instant::now() + age), failed: None, asked: known.asked };
            }
            Err(error) => {
                // Keys that were fetched before stay as good as they were.
                known.failed = Some(error.clone());
                return Err(error);
            }
        }
        let found = matching(&known.keys, kid);
        if found.is_empty() { Err(unknown(kid)) } else { Ok(found) }
    }

    async fn fetch(&self, issuer: &str) -> Result<(Vec<Jwk>, Duration), OidcError> {
        let issuer_url = self.admit(issuer, self.allow_http)?;
        let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery = Url::parse(&discovery).map_err(|error| OidcError::Refused(error.to_string()))?;
        let (text, _) = self.document(discovery).await?;
        let document: Discovery =
            serde_json::from_slice(&text).map_err(|error| broken("the discovery document", &error))?;
        if document.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            let message = format!("the discovery document is that of {:?}, not of {issuer:?}", document.issuer);
            return Err(OidcError::Unreachable(message));
        }
        // Keys that anyone on the way could exchange are worth nothing.
        let keys_url = self.admit(&document.jwks_uri, issuer_url.scheme() == "http")?;
        let (text, age) = self.document(keys_url).await?;
        let set: KeySet = serde_json::from_slice(&text).map_err(|error| broken("the key set", &error))?;
        // One at a time: a key of a kind that is not known here must not spoil the others.
        let keys = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let signing =
            |key: &Jwk| key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        Ok((keys.filter(signing).collect(), age.unwrap_or(DEFAULT_AGE).clamp(SHORTEST_AGE, LONGEST_AGE)))
    }

    /// The URL, if it may be asked.
    fn admit(&self, text: &str, http_is_allowed: bool) -> Result<Url, OidcError> {
        let refused = |reason: &str| OidcError::Refused(format!("{text:?} {reason}"));
        let url = Url::parse(text).map_err(|_| refused("is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("must not hold credentials"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback(&url) || (self.allow_http && http_is_allowed) => Ok(url),
            _ => Err(refused("must begin with https://")),
        }
    }

    /// A document, and how long it may be kept.
    async fn document(&self, url: Url) -> Result<(Vec<u8>, Option<Duration>), OidcError> {
        let place = url.clone();
        let failed = |error: reqwest::Error| OidcError::Unreachable(format!("{place}: {}", root_cause(&error)));
        let mut response = self.http.get(url).send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(OidcError::Unreachable(format!("{place} answered {}", response.status())));
        }
        let age = max_age(&response);
        let mut text = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if text.len() + part.len() > MAX_DOCUMENT_BYTES {
                return Err(OidcError::Unreachable(format!("{place} sends more than {MAX_DOCUMENT_BYTES} bytes")));
            }
            text.extend_from_slice(&part);
        }
        Ok((text, age))
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

fn matching(keys: &[Jwk], kid: Option<&str>) -> Vec<Jwk> {
    // A key without an id may be the one; a signature tells.
    let fits = |key: &&Jwk| kid.is_none_or(|kid| key.common.key_id.as_deref().is_none_or(|own| own == kid));
    keys.iter().filter(fits).cloned().collect()
}

fn unknown(kid: Option<&str>) -> OidcError {
    OidcError::UnknownKey(kid.unwrap_or_default().to_owned())
}

fn broken(what: &str, error: &serde_json::Error) -> OidcError {
    OidcError::Unreachable(format!("{what} cannot be read: {error}"))
}

/// The innermost reason: "connection refused" rather than "error sending request".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `max-age` of Cache-Control; `no-store` and `no-cache` are no age at all.
fn max_age(response: &Response) -> Option<Duration> {
    let text = response.headers().get(CACHE_CONTROL)?.to_str().ok()?.to_ascii_lowercase();
    let mut directives = text.split(',').map(str::trim);
    if directives.clone().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Some(Duration::ZERO);
    }
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
