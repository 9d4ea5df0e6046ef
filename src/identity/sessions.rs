//! Temporary credentials: their making and their end. The other side, from a key to its caller, is in `lookup`.
//!
//! A session is one row with a sealed secret and the hash of its token. It is void when it expires, when its token is
//! not shown with it, and when its role or user is gone; the row stays a while longer, so that a client that is late
//! is told `ExpiredToken` rather than that the key never was. A worker then removes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use storage::index::records::Record;
use storage::types::Timestamp;

use super::error::Result;
use super::ids::{IdPrefix, new_id, new_secret, new_token};
use super::records::{SessionOf, SessionRecord, Tags};
use super::sts_error::{StsCode, StsError};
use super::{Identities, names, rows};
use crate::accounts::SecretKey;
use crate::outbound::oidc::OidcClient;
use crate::rules::iam::{Policy, PolicyKind};

/// Characters of a session token, each with almost six bits.
const TOKEN_CHARACTERS: usize = 256;
/// How long the row of an expired session stays.
const KEPT_AFTER_EXPIRY_MS: i64 = 60 * 60 * 1_000;
/// Characters of a session policy that is passed as text.
const MAX_POLICY_CHARACTERS: usize = 2_048;
/// Managed session policies of one session.
const MAX_POLICY_ARNS: usize = 10;
/// Bytes of session policies, their ARNs and tags together; `PackedPolicySize` is a percentage of this. AWS does not
/// say what its own limit is.
const MAX_PACKED_BYTES: usize = 4_096;

/// The Security Token Service: temporary credentials. Cheap to clone.
#[derive(Clone)]
pub struct Sts(Arc<Shared>);

struct Shared {
    identities: Identities,
    oidc: OidcClient,
    max_sessions: u64,
    /// Sessions that have not been swept up.
    sessions: AtomicU64,
}

/// What restricts a session beside the policies of whom it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionPolicies {
    /// A policy's text.
    pub policy: Option<String>,
    /// ARNs of managed policies.
    pub arns: Vec<String>,
}

/// A session that is to be.
#[derive(Debug, Clone)]
pub(super) struct NewSession {
    pub account: String,
    pub of: SessionOf,
    pub seconds: u32,
    pub policies: SessionPolicies,
    pub tags: Tags,
    pub transitive_tags: Vec<String>,
    pub source_identity: Option<String>,
    pub facts: Vec<(String, String)>,
}

/// Temporary credentials as they are handed out, once.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `ASIA…`
    pub access_key_id: String,
    /// The secret key.
    pub secret: SecretKey,
    /// What every request must show with the key.
    pub session_token: SecretKey,
    /// From when on they are void.
    pub expires: Timestamp,
    /// How much of the space for session policies and tags is used, in percent; `None` if there are none.
    pub packed_policy_percent: Option<u32>,
}

/// What one step of the sweep found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows that were looked at and stay.
    pub kept: u64,
    /// Rows that were removed.
    pub removed: u64,
    /// Where to go on; `None` after the last row.
    pub next: Option<Vec<u8>>,
}

impl Sts {
    /// Temporary credentials for `identities`, at most `max_sessions` at a time.
    #[must_use]
    pub fn new(identities: Identities, oidc: OidcClient, max_sessions: u32) -> Self {
        let max_sessions = u64::from(max_sessions);
        Self(Arc::new(Shared { identities, oidc, max_sessions, sessions: AtomicU64::new(0) }))
    }

    /// The identities.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.0.identities
    }

    pub(super) fn oidc(&self) -> &OidcClient {
        &self.0.oidc
    }

    /// Sessions that there are, expired ones that were not swept up included.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.0.sessions.load(Ordering::Relaxed)
    }

    /// The session that this key is of; `None` for long-term keys.
    pub(super) async fn session(&self, access_key_id: &str) -> Result<Option<SessionRecord>> {
        self.0.identities.record(rows::session(access_key_id)).await
    }

    /// Makes credentials, durably.
    pub(super) async fn start(&self, new: NewSession, now: Timestamp) -> Result<Credentials, StsError> {
        let packed_policy_percent = self.check_policies(&new).await?;
        if self.sessions() >= self.0.max_sessions {
            let message = format!(
                "There are {} temporary credentials already, which is as many as there may be. Try again when some \
                 have expired, or raise identity.max_sessions.",
                self.0.max_sessions
            );
            return Err(StsError::new(StsCode::LimitExceeded, message));
        }
        let identities = &self.0.identities;
        let access_key_id = new_id(IdPrefix::TemporaryKey)?;
        let (secret, token) = (new_secret()?, new_token(TOKEN_CHARACTERS)?);
        let row = rows::session(&access_key_id);
        let expires = Timestamp(now.0.saturating_add(i64::from(new.seconds) * 1_000));
        // Ceph's condition key for what AWS tells by the presence of `aws:TokenIssueTime`; its policies are met with.
        let temporary = ("sts:authentication".to_owned(), "true".to_owned());
        let record = SessionRecord {
            account: new.account,
            of: new.of,
            secret: identities.sealer().seal(&secret, &row)?,
            token_sha256: Sha256::digest(token.as_bytes()).into(),
            issued: now,
            expires,
            policy: new.policies.policy,
            policy_arns: new.policies.arns,
            tags: new.tags,
            transitive_tags: new.transitive_tags,
            source_identity: new.source_identity,
            facts: new.facts.into_iter().chain([temporary]).collect(),
        };
        let mut transaction = identities.begin();
        transaction.put(row, &record)?;
        transaction.commit_addition().await?;
        self.0.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Credentials {
            access_key_id,
            secret: SecretKey::new(secret),
            session_token: SecretKey::new(token),
            expires,
            packed_policy_percent,
        })
    }

    /// Checks session policies and the size of all that a session carries.
    async fn check_policies(&self, new: &NewSession) -> Result<Option<u32>, StsError> {
        let SessionPolicies { policy, arns } = &new.policies;
        if let Some(text) = policy {
            names::check_length(text, "policy", 1, MAX_POLICY_CHARACTERS)?;
            Policy::parse(text, PolicyKind::Session)
                .map_err(|fault| StsError::new(StsCode::MalformedPolicyDocument, fault.to_string()))?;
        }
        if arns.len() > MAX_POLICY_ARNS {
            let shown = format!("[{}]", arns.join(", "));
            let rule = format!("Member must have length less than or equal to {MAX_POLICY_ARNS}");
            return Err(names::constraint(&shown, "policyArns", &rule).into());
        }
        for arn in arns {
            let ours = format!("arn:aws:iam::{}:policy/", new.account);
            let known = arn.starts_with("arn:aws:iam::aws:policy/") || arn.starts_with(&ours);
            if !known || self.0.identities.managed_text(arn).await?.is_none() {
                let message = format!("The policy {arn} does not exist in this account or is not attachable.");
                return Err(StsError::new(StsCode::ValidationError, message));
            }
        }
        let tags = new.tags.iter().map(|(key, value)| key.len() + value.len());
        let bytes = policy.as_ref().map_or(0, String::len) + arns.iter().map(String::len).chain(tags).sum::<usize>();
        if bytes == 0 {
            return Ok(None);
        }
        let percent = (bytes * 100).div_ceil(MAX_PACKED_BYTES);
        if percent > 100 {
            let message = format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.");
            return Err(StsError::new(StsCode::PackedPolicyTooLarge, message));
        }
        Ok(u32::try_from(percent).ok())
    }

    /// Removes sessions that expired a while ago, looking at up to `limit` rows after `after`.
    pub async fn sweep(&self, after: Option<Vec<u8>>, now: Timestamp, limit: usize) -> Result<Swept> {
        let rows = self.0.identities.0.store.identities(rows::sessions(), after, limit).await?;
        let mut swept = Swept { next: rows.last().map(|(key, _)| key.clone()), ..Swept::default() };
        let mut transaction = self.0.identities.begin();
        for (key, bytes) in &rows {
            let expires = SessionRecord::decode(bytes)?.expires;
            if expires.0.saturating_add(KEPT_AFTER_EXPIRY_MS) < now.0 {
                transaction.delete(key.clone());
                swept.removed += 1;
            } else {
                swept.kept += 1;
            }
        }
        transaction.commit_addition().await?;
        if rows.len() < limit {
            swept.next = None;
        }
        Ok(swept)
    }

    /// Corrects the count of sessions after a whole sweep that kept `sessions`.
    pub fn note_sessions(&self, sessions: u64) {
        self.0.sessions.store(sessions, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
