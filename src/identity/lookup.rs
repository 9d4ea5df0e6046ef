//! From an access key to its secret and to the caller behind it, and the cache of both.
//!
//! **The cache.** An entry bears the generation number that was read before its rows were. Every commit raises the
//! number before it is answered, so an entry that rests on older rows is never used after the answer. That a key does
//! not exist is not remembered: new keys need not raise the number.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sha2::{Digest, Sha256};
use storage::index::records::Record;
use storage::types::Timestamp;
use subtle::ConstantTimeEq;

use super::caller::{Caller, CallerPolicies, NamedPolicy};
use super::error::{Code, Error, Result};
use super::principals::PrincipalRecord;
use super::records::{
    AccessKeyRecord, BoundPrincipals, EntityName, GroupRecord, KeyOwner, KeyStatus, LastUsedRecord, PolicySet,
    RoleRecord, SessionOf, SessionRecord, Tags, UserRecord,
};
use super::{Identities, aws_managed, names, rows};
use crate::accounts::{Account, SecretKey};
use crate::rules::iam::{Policy, PolicyKind, Principal};

/// How much later than the note a use may be before it is noted again, in milliseconds.
const USE_NOTED_EVERY_MS: i64 = 15 * 60 * 1_000;
/// Attempts at reading what is being renamed.
const READ_ATTEMPTS: usize = 16;

/// What is known of an active access key.
pub(super) struct Known {
    generation: u64,
    secret: SecretKey,
    caller: Arc<Caller>,
    session: Option<Session>,
    /// When its use was last noted, in milliseconds since 1970.
    use_noted: AtomicI64,
}

struct Session {
    token_sha256: [u8; 32],
    expires: Timestamp,
    role_id: Option<String>,
}

impl Identities {
    /// The secret that a key's signatures are made with: keys of account roots, users' active keys, temporary keys.
    /// `None` if there is no such key or it is not active.
    pub async fn secret_key(&self, access_key_id: &str) -> Result<Option<SecretKey>> {
        Ok(self.known(access_key_id).await?.map(|known| known.secret.clone()))
    }

    /// The caller behind a key whose signature was verified.
    ///
    /// # Errors
    /// `InvalidAccessKeyId`; `InvalidToken` if the session token is missing, wrong, or given with a key that has none;
    /// `ExpiredToken`.
    pub async fn caller(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Caller>> {
        let known = self.known(access_key_id).await?.ok_or(Error::InvalidAccessKeyId)?;
        match (&known.session, session_token) {
            (None, None) => {}
            (Some(session), Some(token)) => {
                let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                if !bool::from(digest.ct_eq(&session.token_sha256)) {
                    return Err(Error::InvalidToken);
                }
                if session.expires <= now {
                    return Err(Error::ExpiredToken);
                }
            }
            (None, Some(_)) | (Some(_), None) => return Err(Error::InvalidToken),
        }
        Ok(Arc::clone(&known.caller))
    }

    /// Notes that a key was used, for GetAccessKeyLastUsed and a role's `RoleLastUsed`: at most once in a quarter of
    /// an hour for each key, so nearly always this does nothing. `scope` gives the region and the service that the
    /// request was signed for. A note that fails is lost.
    pub async fn note_use<'a>(
        &self,
        access_key_id: &str,
        now: Timestamp,
        scope: impl FnOnce() -> Option<(Cow<'a, str>, Cow<'a, str>)>,
    ) {
        let Some(known) = self.0.callers.get(access_key_id) else { return };
        let noted = known.use_noted.load(Ordering::Relaxed);
        let due = now.0.saturating_sub(noted) >= USE_NOTED_EVERY_MS;
        if !due || known.use_noted.compare_exchange(noted, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let Some((region, service)) = scope() else { return };
        let text = |text: &str| text.chars().take(64).collect::<String>();
        let record = LastUsedRecord { used: now, service: text(&service), region: text(&region) };
        let mut transaction = self.begin();
        let role_id = known.session.as_ref().and_then(|session| session.role_id.as_deref());
        let noted = transaction.put(rows::last_used(role_id.unwrap_or(access_key_id)), &record);
        let outcome = match noted {
            Ok(()) => transaction.commit_addition().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "the use of an access key was not noted");
        }
    }

    async fn known(&self, access_key_id: &str) -> Result<Option<Arc<Known>>> {
        let generation = self.generation();
        let cached = self.0.callers.get(access_key_id);
        if let Some(known) = cached.as_ref().filter(|known| known.generation == generation) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(mut known) = self.load(access_key_id, generation).await? else {
            self.0.callers.remove(access_key_id);
            return Ok(None);
        };
        if let Some(old) = cached {
            known.use_noted = AtomicI64::new(old.use_noted.load(Ordering::Relaxed));
        }
        let known = Arc::new(known);
        self.0.callers.insert(access_key_id.to_owned(), Arc::clone(&known));
        Ok(Some(known))
    }

    async fn load(&self, access_key_id: &str, generation: u64) -> Result<Option<Known>> {
        let known = |secret, caller, session| Known {
            generation,
            secret,
            caller: Arc::new(caller),
            session,
            use_noted: AtomicI64::new(0),
        };
        let row = rows::access_key(access_key_id);
        let stored: Option<AccessKeyRecord> = self.record(row.clone()).await?;
        if let Some((account, secret)) = self.0.accounts.by_access_key(access_key_id) {
            if stored.is_some_and(|key| key.status != KeyStatus::Active) {
                return Ok(None);
            }
            let caller = Caller::account_root(account, Some(access_key_id.to_owned()));
            return Ok(Some(known(secret, caller, None)));
        }
        if let Some(key) = stored {
            let (KeyStatus::Active, Some(sealed)) = (key.status, &key.secret) else { return Ok(None) };
            let Some(caller) = self.owner(&key, access_key_id).await? else { return Ok(None) };
            return Ok(Some(known(self.0.sealer.open(sealed, &row)?, caller, None)));
        }
        let row = rows::session(access_key_id);
        let Some(record) = self.record::<SessionRecord>(row.clone()).await? else { return Ok(None) };
        let Some(caller) = self.session_caller(&record, access_key_id).await? else { return Ok(None) };
        let role_id = match &record.of {
            SessionOf::Role { role_id, .. } => Some(role_id.clone()),
            _ => None,
        };
        let session = Session { token_sha256: record.token_sha256, expires: record.expires, role_id };
        Ok(Some(known(self.0.sealer.open(&record.secret, &row)?, caller, Some(session))))
    }

    /// A record as it is now, outside of any change.
    pub(super) async fn record<R: Record>(&self, key: rows::Key) -> Result<Option<R>> {
        Ok(self.0.store.identity(key).await?.map(|row| R::decode(&row)).transpose()?)
    }

    async fn owner(&self, key: &AccessKeyRecord, access_key_id: &str) -> Result<Option<Caller>> {
        let Some(account) = self.0.accounts.by_id(&key.account) else { return Ok(None) };
        match &key.owner {
            KeyOwner::Root => Ok(Some(Caller::account_root(Arc::clone(account), Some(access_key_id.to_owned())))),
            KeyOwner::User(id) => {
                let Some(user) = self.user_by_id(id).await? else { return Ok(None) };
                Ok(Some(self.user_caller(Arc::clone(account), &user, access_key_id).await?))
            }
        }
    }

    /// The user with this id, whatever its name is now.
    pub(super) async fn user_by_id(&self, id: &str) -> Result<Option<UserRecord>> {
        self.by_id(id, |user: &UserRecord| &user.id).await
    }

    /// The role with this id.
    pub(super) async fn role_by_id(&self, id: &str) -> Result<Option<RoleRecord>> {
        self.by_id(id, |role: &RoleRecord| &role.id).await
    }

    /// The group with this id.
    pub(super) async fn group_by_id(&self, id: &str) -> Result<Option<GroupRecord>> {
        self.by_id(id, |group: &GroupRecord| &group.id).await
    }

    /// What has this id. Its name and its record are two reads: if it is renamed in between, they are read again, for
    /// a group that is left out might deny something.
    async fn by_id<R: Record>(&self, id: &str, id_of: impl Fn(&R) -> &str) -> Result<Option<R>> {
        for _ in 0..READ_ATTEMPTS {
            let Some(at) = self.record::<EntityName>(rows::entity_name(id)).await? else { return Ok(None) };
            let record: Option<R> = self.record(rows::entity(at.kind, &at.account, &at.name)).await?;
            if let Some(record) = record.filter(|record| id_of(record) == id) {
                return Ok(Some(record));
            }
        }
        Err(Error::refused(Code::ConcurrentModification, format!("The name of {id} changes all the time.")))
    }

    async fn user_caller(&self, account: Arc<Account>, user: &UserRecord, access_key_id: &str) -> Result<Caller> {
        let arn = names::user_arn(&account.id, &user.path, &user.name);
        let mut facts = facts([
            ("aws:username", user.name.clone()),
            ("aws:userid", user.id.clone()),
            ("aws:principaltype", "User".to_owned()),
            ("aws:principalarn", arn.clone()),
            ("aws:principalaccount", account.id.clone()),
        ]);
        add_tags(&mut facts, &user.tags);
        Ok(Caller {
            principal: Principal::User { account: account.id.clone(), arn, unique_id: user.id.clone() },
            policies: Arc::new(self.user_policies(user).await?),
            account,
            access_key_id: Some(access_key_id.to_owned()),
            facts,
        })
    }

    /// The caller that temporary credentials stand for; `None` when whose permissions they have is gone.
    async fn session_caller(&self, session: &SessionRecord, access_key_id: &str) -> Result<Option<Caller>> {
        let Some(account) = self.0.accounts.by_id(&session.account).map(Arc::clone) else { return Ok(None) };
        let mut caller = match &session.of {
            SessionOf::Root => Caller::account_root(account, Some(access_key_id.to_owned())),
            SessionOf::User { user_id } => {
                let Some(user) = self.user_by_id(user_id).await? else { return Ok(None) };
                self.user_caller(account, &user, access_key_id).await?
            }
            SessionOf::Role { role_id, session_name } => {
                let Some(role) = self.role_by_id(role_id).await? else { return Ok(None) };
                self.role_caller(account, &role, session_name, session, access_key_id).await?
            }
            SessionOf::Federated { user_id, name } => {
                let user = match user_id {
                    None => None,
                    Some(id) => match self.user_by_id(id).await? {
                        Some(user) => Some(user),
                        None => return Ok(None),
                    },
                };
                self.federated_caller(account, user.as_ref(), name, session, access_key_id).await?
            }
        };
        caller.facts.push(("aws:tokenissuetime".to_owned(), names::iso8601(session.issued)));
        caller.facts.push(("aws:multifactorauthpresent".to_owned(), "false".to_owned()));
        if let Some(identity) = &session.source_identity {
            caller.facts.push(("aws:sourceidentity".to_owned(), identity.clone()));
        }
        caller.facts.extend(session.facts.iter().cloned());
        Ok(Some(caller))
    }

    async fn role_caller(
        &self,
        account: Arc<Account>,
        role: &RoleRecord,
        session_name: &str,
        session: &SessionRecord,
        access_key_id: &str,
    ) -> Result<Caller> {
        let role_arn = names::role_arn(&account.id, &role.path, &role.name);
        let session_arn = names::session_arn(&account.id, &role.name, session_name);
        let mut facts = facts([
            ("aws:userid", format!("{}:{session_name}", role.id)),
            ("aws:principaltype", "AssumedRole".to_owned()),
            ("aws:principalarn", role_arn.clone()),
            ("aws:principalaccount", account.id.clone()),
        ]);
        // Session tags come before the role's own.
        add_tags(&mut facts, &session.tags);
        add_tags(&mut facts, &role.tags);
        let mut policies = self.gather(&role.policies, "").await?;
        policies.boundary = self.boundary(role.boundary.as_deref()).await?;
        policies.session = self.session_policies(session).await?;
        let unique_id = role.id.clone();
        Ok(Caller {
            principal: Principal::AssumedRole { account: account.id.clone(), role_arn, session_arn, unique_id },
            account,
            access_key_id: Some(access_key_id.to_owned()),
            policies: Arc::new(policies),
            facts,
        })
    }

    async fn federated_caller(
        &self,
        account: Arc<Account>,
        user: Option<&UserRecord>,
        name: &str,
        session: &SessionRecord,
        access_key_id: &str,
    ) -> Result<Caller> {
        let arn = names::federated_arn(&account.id, name);
        let mut facts = facts([
            ("aws:userid", format!("{}:{name}", account.id)),
            ("aws:principaltype", "FederatedUser".to_owned()),
            ("aws:principalarn", arn.clone()),
            ("aws:principalaccount", account.id.clone()),
        ]);
        add_tags(&mut facts, &session.tags);
        let mut policies = if let Some(user) = user {
            self.user_policies(user).await?
        } else {
            // What root may do is everything; the session's policies restrict it.
            let everything = PolicySet { inline: Vec::new(), attached: vec![aws_managed::ADMINISTRATOR.to_owned()] };
            self.gather(&everything, "").await?
        };
        // Without policies of its own such a session may nothing.
        policies.session = Some(self.session_policies(session).await?.unwrap_or_default());
        let unique_id = format!("{}:{name}", account.id);
        Ok(Caller {
            principal: Principal::FederatedUser { account: account.id.clone(), arn, unique_id },
            account,
            access_key_id: Some(access_key_id.to_owned()),
            policies: Arc::new(policies),
            facts,
        })
    }

    /// A user's policies, its groups' and its boundary.
    async fn user_policies(&self, user: &UserRecord) -> Result<CallerPolicies> {
        let mut policies = self.gather(&user.policies, "").await?;
        for group_id in &user.groups {
            let Some(group) = self.group_by_id(group_id).await? else { continue };
            let of = format!(" of group {}", group.name);
            policies.identity.extend(self.gather(&group.policies, &of).await?.identity);
        }
        policies.boundary = self.boundary(user.boundary.as_deref()).await?;
        Ok(policies)
    }

    /// The policies that speak of a user, group or role, and its boundary.
    pub async fn policies_of(&self, record: &PrincipalRecord) -> Result<CallerPolicies> {
        match record {
            PrincipalRecord::User(user) => self.user_policies(user).await,
            PrincipalRecord::Group(group) => self.gather(&group.policies, "").await,
            PrincipalRecord::Role(role) => {
                let mut policies = self.gather(&role.policies, "").await?;
                policies.boundary = self.boundary(role.boundary.as_deref()).await?;
                Ok(policies)
            }
        }
    }

    /// The policies of one set; `of` says whose they are, for explanations.
    async fn gather(&self, set: &PolicySet, of: &str) -> Result<CallerPolicies> {
        let mut identity = Vec::with_capacity(set.inline.len() + set.attached.len());
        for inline in &set.inline {
            let name = format!("inline {}{of}", inline.name);
            identity.push(NamedPolicy::new(name, self.parsed(&inline.document, PolicyKind::Identity)?));
        }
        for arn in &set.attached {
            // Deletion is refused while a policy is attached: if it is gone, it has been detached since the set was read.
            let Some(text) = self.managed_text(arn).await? else { continue };
            identity.push(NamedPolicy::new(arn.clone(), self.parsed(&text, PolicyKind::Identity)?));
        }
        Ok(CallerPolicies { identity, boundary: None, session: None })
    }

    async fn boundary(&self, arn: Option<&str>) -> Result<Option<NamedPolicy>> {
        let Some(arn) = arn else { return Ok(None) };
        let text = self.managed_text(arn).await?.ok_or_else(|| {
            // Without its boundary an identity would be allowed more than was meant.
            Error::refused(Code::PolicyEvaluation, format!("The permissions boundary {arn} does not exist."))
        })?;
        Ok(Some(NamedPolicy::new(arn.to_owned(), self.parsed(&text, PolicyKind::Identity)?)))
    }

    async fn session_policies(&self, session: &SessionRecord) -> Result<Option<Vec<NamedPolicy>>> {
        if session.policy.is_none() && session.policy_arns.is_empty() {
            return Ok(None);
        }
        let mut policies = Vec::new();
        if let Some(text) = &session.policy {
            let policy = self.parsed(text, PolicyKind::Session)?;
            policies.push(NamedPolicy::new("session policy".to_owned(), policy));
        }
        for arn in &session.policy_arns {
            // A managed session policy that is deleted while the session lasts allows nothing any more.
            let Some(text) = self.managed_text(arn).await? else { continue };
            policies.push(NamedPolicy::new(arn.clone(), self.parsed(&text, PolicyKind::Identity)?));
        }
        Ok(Some(policies))
    }

    /// A stored policy, parsed. Parsed policies are shared by their text.
    ///
    /// # Errors
    /// If it does not parse: it might deny something, so nothing is allowed without it.
    pub fn parsed(&self, text: &str, kind: PolicyKind<'_>) -> Result<Arc<Policy>> {
        self.parsed_bound(text, kind, &BoundPrincipals::new())
    }

    /// A stored policy, parsed, with those that it names bound to their ids.
    pub(super) fn parsed_bound(
        &self,
        text: &str,
        kind: PolicyKind<'_>,
        bound: &BoundPrincipals,
    ) -> Result<Arc<Policy>> {
        let mut hasher = Sha256::new();
        // Neither has a line break where the other could begin.
        hasher.update(format!("{kind:?} {bound:?}\n"));
        hasher.update(text);
        let digest: [u8; 32] = hasher.finalize().into();
        if let Some(policy) = self.0.policies.get(&digest) {
            return Ok(policy);
        }
        let policy = Policy::parse(text, kind)
            .map_err(|fault| Error::refused(Code::PolicyEvaluation, format!("A stored policy is invalid: {fault}")))?;
        let policy = Arc::new(policy.bound_to(bound));
        self.0.policies.insert(digest, Arc::clone(&policy));
        Ok(policy)
    }
}

fn facts<const N: usize>(known: [(&str, String); N]) -> Vec<(String, String)> {
    known.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

/// Adds tags that are not there yet. One that occurs twice among `tags`, as a provider's token may have it, has both
/// values.
fn add_tags(facts: &mut Vec<(String, String)>, tags: &Tags) {
    let before = facts.len();
    for (key, value) in tags {
        let key = format!("aws:principaltag/{}", key.to_lowercase());
        if !facts.iter().take(before).any(|(known, _)| *known == key) {
            facts.push((key, value.clone()));
        }
    }
}
