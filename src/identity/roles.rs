//! Roles.

use storage::types::Timestamp;

use super::accounts::Quota;
use super::error::{Code, Error, Result};
use super::ids::{IdPrefix, new_id};
use super::names::{
    MAX_SHORT_NAME, check_description, check_name, check_path, check_path_prefix, check_tags, constraint, merge_tags,
    remove_tags,
};
use super::page::{Page, PageRequest};
use super::principals::{absent, require_bare};
use super::records::{BoundPrincipals, EntityKind, LastUsedRecord, PolicySet, RoleRecord, Tags};
use super::rows::{self, Usage};
use super::transaction::{Transaction, transact};
use super::{Identities, documents};
use crate::rules::iam::{Policy, PolicyKind};

/// The longest session that a role may allow, in seconds, and what it allows unless it says otherwise.
const MAX_SESSION_SECONDS: std::ops::RangeInclusive<u32> = 3_600..=43_200;

/// A role to create.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Who may assume it: a trust policy.
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// The longest session, in seconds; an hour if not given.
    pub max_session_seconds: Option<u32>,
    /// Its tags.
    pub tags: Tags,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
}

/// What changes of a role; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleUpdate {
    /// What it is for.
    pub description: Option<String>,
    /// The longest session, in seconds.
    pub max_session_seconds: Option<u32>,
    /// Its trust policy.
    pub trust: Option<String>,
}

impl RoleUpdate {
    fn check(&self) -> Result<()> {
        self.description.as_deref().map_or(Ok(()), check_description)?;
        self.max_session_seconds.map_or(Ok(()), check_session)
    }
}

fn check_session(seconds: u32) -> Result<()> {
    let rule = if seconds < *MAX_SESSION_SECONDS.start() {
        format!("Member must have value greater than or equal to {}", MAX_SESSION_SECONDS.start())
    } else if seconds > *MAX_SESSION_SECONDS.end() {
        format!("Member must have value less than or equal to {}", MAX_SESSION_SECONDS.end())
    } else {
        return Ok(());
    };
    Err(constraint(&seconds.to_string(), "maxSessionDuration", &rule))
}

fn accept_trust(text: &str) -> Result<String> {
    let text = documents::accept(text, PolicyKind::Trust, "assumeRolePolicyDocument")?;
    let allowed = documents::MAX_TRUST_POLICY_CHARACTERS;
    if documents::counted(&text) > allowed {
        return Err(Error::refused(Code::LimitExceeded, format!("Cannot exceed quota for ACLSizePerRole: {allowed}")));
    }
    Ok(text)
}

impl Identities {
    /// Checks a trust policy; gives the text to store, and the ids of those that it names.
    async fn bound_trust(&self, text: &str) -> Result<(String, BoundPrincipals)> {
        let text = accept_trust(text)?;
        let malformed = |message: String| Error::refused(Code::MalformedPolicyDocument, message);
        let policy = Policy::parse(&text, PolicyKind::Trust).map_err(|fault| malformed(fault.to_string()))?;
        let bound = self.bind(&policy).await?;
        let bound = bound.map_err(|who| malformed(format!("Invalid principal in policy: \"AWS\":\"{who}\"")))?;
        Ok((text, bound))
    }

    /// A role with its trust policy as it is shown now.
    async fn with_trust_shown(&self, mut role: RoleRecord) -> Result<RoleRecord> {
        role.trust = self.shown(role.trust, &role.trusted).await?;
        Ok(role)
    }
}

impl Transaction {
    async fn role(&mut self, account: &str, name: &str) -> Result<RoleRecord> {
        self.get(rows::role(account, name)).await?.ok_or_else(|| absent(EntityKind::Role, name))
    }
}

impl Identities {
    /// Creates a role.
    pub async fn create_role(&self, account: &str, new: NewRole, now: Timestamp) -> Result<RoleRecord> {
        check_name(&new.name, "roleName", MAX_SHORT_NAME)?;
        check_path(&new.path)?;
        check_tags(&new.tags)?;
        new.description.as_deref().map_or(Ok(()), check_description)?;
        let max_session_seconds = new.max_session_seconds.unwrap_or(*MAX_SESSION_SECONDS.start());
        check_session(max_session_seconds)?;
        let (trust, trusted) = self.bound_trust(&new.trust).await?;
        let role = RoleRecord {
            id: new_id(IdPrefix::Role)?,
            trust,
            trusted,
            name: new.name,
            path: new.path,
            created: now,
            description: new.description,
            max_session_seconds,
            tags: new.tags,
            policies: PolicySet::default(),
            boundary: new.boundary,
        };
        let key = rows::role(account, &role.name);
        transact!(self, |transaction| {
            transaction.name::<RoleRecord>(account, EntityKind::Role, &role.name, &role.id).await?;
            transaction.count(account, Quota::Roles).await?;
            if let Some(arn) = &role.boundary {
                transaction.require_policy(account, arn).await?;
                transaction.mark(rows::attachment(account, arn, Usage::Boundary, EntityKind::Role, &role.id));
            }
            transaction.put(key.clone(), &role)?;
        });
        Ok(role)
    }

    /// The role of this name.
    pub async fn role(&self, account: &str, name: &str) -> Result<RoleRecord> {
        self.with_trust_shown(self.begin().role(account, name).await?).await
    }

    /// When a session of this role was last used.
    pub async fn role_last_used(&self, role: &RoleRecord) -> Result<Option<LastUsedRecord>> {
        self.record(rows::last_used(&role.id)).await
    }

    /// Changes a role; gives it as it is then.
    pub async fn update_role(&self, account: &str, name: &str, update: RoleUpdate) -> Result<RoleRecord> {
        update.check()?;
        let trust = match &update.trust {
            Some(text) => Some(self.bound_trust(text).await?),
            None => None,
        };
        let updated = transact!(self, |transaction| {
            let mut role = transaction.role(account, name).await?;
            if update.description.is_some() {
                role.description.clone_from(&update.description);
            }
            role.max_session_seconds = update.max_session_seconds.unwrap_or(role.max_session_seconds);
            if let Some((text, trusted)) = &trust {
                role.trust.clone_from(text);
                role.trusted.clone_from(trusted);
            }
            transaction.put(rows::role(account, name), &role)?;
            role
        });
        self.with_trust_shown(updated).await
    }

    /// Deletes a role without policies. Its sessions end with it.
    pub async fn delete_role(&self, account: &str, name: &str) -> Result<()> {
        transact!(self, |transaction| {
            let role = transaction.role(account, name).await?;
            require_bare(&role.policies)?;
            transaction.uncount(account, Quota::Roles).await?;
            if let Some(arn) = &role.boundary {
                transaction.delete(rows::attachment(account, arn, Usage::Boundary, EntityKind::Role, &role.id));
            }
            transaction.delete(rows::last_used(&role.id));
            transaction.delete(rows::entity_name(&role.id));
            transaction.delete(rows::role(account, name));
        });
        Ok(())
    }

    /// The roles whose paths start with `path_prefix`, by name.
    pub async fn roles(&self, account: &str, path_prefix: &str, page: &PageRequest) -> Result<Page<RoleRecord>> {
        check_path_prefix(path_prefix)?;
        let prefix = rows::entities(EntityKind::Role, account);
        let wanted = |role: &RoleRecord| role.path.starts_with(path_prefix);
        let found = self.page_of(prefix, |name| rows::role(account, name), page, wanted).await?;
        let mut shown = Page { items: Vec::with_capacity(found.items.len()), next: found.next };
        for role in found.items {
            shown.items.push(self.with_trust_shown(role).await?);
        }
        Ok(shown)
    }

    /// Adds tags to a role.
    pub async fn tag_role(&self, account: &str, name: &str, tags: &Tags) -> Result<()> {
        transact!(self, |transaction| {
            let mut role = transaction.role(account, name).await?;
            merge_tags(&mut role.tags, tags.clone())?;
            transaction.put(rows::role(account, name), &role)?;
        });
        Ok(())
    }

    /// Removes tags from a role.
    pub async fn untag_role(&self, account: &str, name: &str, keys: &[String]) -> Result<()> {
        transact!(self, |transaction| {
            let mut role = transaction.role(account, name).await?;
            remove_tags(&mut role.tags, keys);
            transaction.put(rows::role(account, name), &role)?;
        });
        Ok(())
    }
}
