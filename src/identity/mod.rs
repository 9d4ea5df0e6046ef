//! IAM's operations on domain types: users, groups, roles, policies, access keys, OIDC providers, sessions. No HTTP,
//! no XML.
//!
//! | file | is |
//! |---|---|
//! | `records`, `rows` | what is stored, and where |
//! | `transaction` | one change: what it reads is what its commit requires unchanged |
//! | `caller`, `lookup` | who a verified access key stands for, with which policies; the cache of that |
//! | `sealer`, `server_key`, `ids` | secrets at rest, and the making of ids and secrets |
//! | `names`, `documents`, `aws_managed` | what names and policies may be; AWS's own policies |
//! | `bound` | users and roles that policies name, bound to their ids |
//! | `sessions`, `sts_error` | temporary credentials: their making and their end |
//! | `assume`, `trust`, `web_identity`, `federation` | STS's operations: who gets which credentials |
//! | `denial` | why a request was denied, sealed for who may know |
//! | `users`, `groups`, `roles`, `policies`, `principals`, `keys`, `providers`, `accounts` | the operations |
//!
//! Whoever calls is authorised already. Every change is one conditional commit, durable when it is answered, and raises
//! a generation number that empties the cache of callers: a key that is revoked signs no further request.

mod accounts;
mod assume;
mod aws_managed;
mod bound;
mod caller;
mod denial;
mod documents;
mod error;
mod federation;
mod groups;
mod ids;
mod keys;
mod lookup;
mod names;
mod page;
mod policies;
mod principals;
mod providers;
pub mod records;
mod roles;
mod rows;
mod sealer;
mod server_key;
mod sessions;
mod sts_error;
#[cfg(test)]
mod tests;
mod transaction;
mod trust;
mod users;
mod web_identity;

pub use accounts::Summary;
pub use assume::{AssumeRole, AssumedRole, WebIdentity};
pub use bound::Stranger;
pub use caller::{Caller, CallerPolicies, NamedPolicy, ResourceSide};
pub use denial::Denial;
pub use documents::MAX_MANAGED_POLICY_CHARACTERS;
pub use error::{Code, Error, Result};
pub use federation::{FederatedUser, GetFederationToken};
pub use groups::NewGroup;
pub use ids::{IdPrefix, new_id, new_secret, new_token};
pub use keys::{AccessKey, NewAccessKey};
pub use names::{group_arn, iso8601, parse_arn, policy_arn, provider_arn, role_arn, user_arn};
pub use page::{Page, PageRequest};
pub use policies::{ManagedPolicy, NewPolicy, PolicyFilter, PolicyVersionText, Scope};
pub use principals::{Attachment, PrincipalRecord, PrincipalRef};
pub use providers::{NewProvider, issuer};
pub use roles::{NewRole, RoleUpdate};
pub use rows::Usage;
pub use sealer::{SERVER_KEY_BYTES, Sealer};
pub use server_key::ServerKey;
pub use sessions::{Credentials, SessionPolicies, Sts, Swept};
pub use sts_error::{StsCode, StsError};
pub use users::NewUser;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use storage::Store;

use self::lookup::Known;
use self::transaction::Transaction;
use crate::accounts::Accounts;
use crate::rules::iam::Policy;

/// Callers that are remembered with their parsed policies.
const CACHED_CALLERS: usize = 10_000;
/// Parsed policies that are remembered by their text: callers share them.
const CACHED_POLICIES: usize = 10_000;

/// IAM's operations. Cheap to clone.
#[derive(Clone)]
pub struct Identities(Arc<Shared>);

struct Shared {
    store: Arc<Store>,
    accounts: Arc<Accounts>,
    sealer: Sealer,
    /// Raised by each commit that may change what a caller may do.
    generation: Arc<AtomicU64>,
    callers: Cache<String, Arc<Known>>,
    policies: Cache<[u8; 32], Arc<Policy>>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identities(…)")
    }
}

impl Identities {
    /// Operations on the identities in `store`, beside the configured `accounts`.
    #[must_use]
    pub fn new(store: Arc<Store>, accounts: Arc<Accounts>, sealer: Sealer) -> Self {
        Self(Arc::new(Shared {
            store,
            accounts,
            sealer,
            generation: Arc::default(),
            callers: Cache::new(CACHED_CALLERS),
            policies: Cache::new(CACHED_POLICIES),
        }))
    }

    /// The configured accounts.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.0.accounts
    }

    /// Seals and opens secrets.
    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// A number that is raised by each commit that may change what a caller may do, and when configured keys are
    /// replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        // Both only grow, so the sum never comes back.
        self.0.generation.load(Ordering::SeqCst).wrapping_add(self.0.accounts.generation())
    }

    fn begin(&self) -> Transaction {
        Transaction::new(&self.0.store, &self.0.generation)
    }
}
