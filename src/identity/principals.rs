//! What users, groups and roles have in common: inline policies, attached policies, a boundary; and their names.

use storage::index::records::Record;

use super::error::{Code, Error, Result};
use super::names::{MAX_LONG_NAME, check_name};
use super::page::{Page, PageRequest};
use super::records::{EntityKind, EntityName, GroupRecord, InlinePolicy, PolicySet, RoleRecord, UserRecord};
use super::rows::{self, Usage};
use super::transaction::{Transaction, transact};
use super::{Identities, documents, names};
use crate::rules::iam::PolicyKind;

/// Managed policies attached to one user, group or role.
const MAX_ATTACHED: usize = 10;

/// A user, group or role, by its name in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRef {
    /// What it is.
    pub kind: EntityKind,
    /// Its name, in any case.
    pub name: String,
}

/// A user, group or role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalRecord {
    /// A user.
    User(UserRecord),
    /// A group.
    Group(GroupRecord),
    /// A role.
    Role(RoleRecord),
}

/// A managed policy that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The policy's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
}

impl EntityKind {
    /// As AWS's messages name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    fn quota_word(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    fn max_inline_characters(self) -> usize {
        match self {
            Self::User => documents::MAX_USER_POLICY_CHARACTERS,
            Self::Group => documents::MAX_GROUP_POLICY_CHARACTERS,
            Self::Role => documents::MAX_ROLE_POLICY_CHARACTERS,
        }
    }
}

impl PrincipalRecord {
    /// `AIDA…`, `AGPA…` or `AROA…`.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::User(user) => &user.id,
            Self::Group(group) => &group.id,
            Self::Role(role) => &role.id,
        }
    }

    /// Its name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User(user) => &user.name,
            Self::Group(group) => &group.name,
            Self::Role(role) => &role.name,
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::User(user) => &user.path,
            Self::Group(group) => &group.path,
            Self::Role(role) => &role.path,
        }
    }

    /// Its policies.
    #[must_use]
    pub fn policies(&self) -> &PolicySet {
        match self {
            Self::User(user) => &user.policies,
            Self::Group(group) => &group.policies,
            Self::Role(role) => &role.policies,
        }
    }

    fn policies_mut(&mut self) -> &mut PolicySet {
        match self {
            Self::User(user) => &mut user.policies,
            Self::Group(group) => &mut group.policies,
            Self::Role(role) => &mut role.policies,
        }
    }

    /// Groups have none.
    fn boundary_mut(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::User(user) => Some(&mut user.boundary),
            Self::Group(_) => None,
            Self::Role(role) => Some(&mut role.boundary),
        }
    }
}

/// There is none of that name.
pub(super) fn absent(kind: EntityKind, name: &str) -> Error {
    Error::refused(Code::NoSuchEntity, format!("The {} with name {name} cannot be found.", kind.word()))
}

fn no_such_inline(kind: EntityKind, name: &str) -> Error {
    Error::refused(Code::NoSuchEntity, format!("The {} policy with name {name} cannot be found.", kind.word()))
}

impl Transaction {
    /// A user, group or role.
    pub(super) async fn principal(&mut self, account: &str, of: &PrincipalRef) -> Result<PrincipalRecord> {
        let key = rows::entity(of.kind, account, &of.name);
        let found = match of.kind {
            EntityKind::User => self.get(key).await?.map(PrincipalRecord::User),
            EntityKind::Group => self.get(key).await?.map(PrincipalRecord::Group),
            EntityKind::Role => self.get(key).await?.map(PrincipalRecord::Role),
        };
        found.ok_or_else(|| absent(of.kind, &of.name))
    }

    /// Gives a new user, group or role its name, which nothing of its kind may have.
    pub(super) async fn name<R: Record>(
        &mut self,
        account: &str,
        kind: EntityKind,
        name: &str,
        id: &str,
    ) -> Result<()> {
        if self.get::<R>(rows::entity(kind, account, name)).await?.is_some() {
            let message = format!("{} with name {name} already exists.", kind.quota_word());
            return Err(Error::refused(Code::EntityAlreadyExists, message));
        }
        let at = EntityName { account: account.to_owned(), kind, name: name.to_owned() };
        self.put(rows::entity_name(id), &at)
    }

    /// Gives a user or group another name; its record is to be put under that.
    pub(super) async fn rename<R: Record>(
        &mut self,
        account: &str,
        kind: EntityKind,
        (name, new_name): (&str, &str),
        id: &str,
    ) -> Result<()> {
        let old_key = rows::entity(kind, account, name);
        if old_key == rows::entity(kind, account, new_name) {
            // Another case of letters, at most.
            let at = EntityName { account: account.to_owned(), kind, name: new_name.to_owned() };
            return self.put(rows::entity_name(id), &at);
        }
        self.name::<R>(account, kind, new_name, id).await?;
        self.delete(old_key);
        Ok(())
    }

    fn put_principal(&mut self, account: &str, kind: EntityKind, record: &PrincipalRecord) -> Result<()> {
        let key = rows::entity(kind, account, record.name());
        match record {
            PrincipalRecord::User(user) => self.put(key, user),
            PrincipalRecord::Group(group) => self.put(key, group),
            PrincipalRecord::Role(role) => self.put(key, role),
        }
    }
}

impl Identities {
    /// A user, group or role.
    pub async fn principal(&self, account: &str, of: &PrincipalRef) -> Result<PrincipalRecord> {
        self.begin().principal(account, of).await
    }

    /// Puts an inline policy, in place of one of that name.
    pub async fn put_inline(&self, account: &str, of: &PrincipalRef, name: &str, document: &str) -> Result<()> {
        check_name(name, "policyName", MAX_LONG_NAME)?;
        let document = documents::accept(document, PolicyKind::Identity, "policyDocument")?;
        transact!(self, |transaction| {
            let mut record = transaction.principal(account, of).await?;
            let inline = &mut record.policies_mut().inline;
            match inline.iter_mut().find(|policy| policy.name == name) {
                Some(policy) => policy.document.clone_from(&document),
                None => inline.push(InlinePolicy { name: name.to_owned(), document: document.clone() }),
            }
            inline.sort_by(|a, b| a.name.cmp(&b.name));
            let together: usize = inline.iter().map(|policy| documents::counted(&policy.document)).sum();
            let allowed = of.kind.max_inline_characters();
            if together > allowed {
                let message =
                    format!("Maximum policy size of {allowed} bytes exceeded for {} {}", of.kind.word(), record.name());
                return Err(Error::refused(Code::LimitExceeded, message));
            }
            transaction.put_principal(account, of.kind, &record)?;
        });
        Ok(())
    }

    /// The text of an inline policy.
    pub async fn inline(&self, account: &str, of: &PrincipalRef, name: &str) -> Result<String> {
        let record = self.principal(account, of).await?;
        let found = record.policies().inline.iter().find(|policy| policy.name == name);
        found.map(|policy| policy.document.clone()).ok_or_else(|| no_such_inline(of.kind, name))
    }

    /// Deletes an inline policy.
    pub async fn delete_inline(&self, account: &str, of: &PrincipalRef, name: &str) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.principal(account, of).await?;
            let inline = &mut record.policies_mut().inline;
            let before = inline.len();
            inline.retain(|policy| policy.name != name);
            if inline.len() == before {
                return Err(no_such_inline(of.kind, name));
            }
            transaction.put_principal(account, of.kind, &record)?;
        });
        Ok(())
    }

    /// The names of inline policies.
    pub async fn inline_names(&self, account: &str, of: &PrincipalRef, page: &PageRequest) -> Result<Page<String>> {
        let record = self.principal(account, of).await?;
        let names = record.policies().inline.iter().map(|policy| policy.name.clone()).collect();
        Ok(Page::of(names, Clone::clone, page))
    }

    /// Attaches a managed policy. That it is attached already is no error.
    pub async fn attach(&self, account: &str, of: &PrincipalRef, arn: &str) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.principal(account, of).await?;
            transaction.require_policy(account, arn).await?;
            let attached = &mut record.policies_mut().attached;
            if attached.iter().any(|known| known == arn) {
                return Ok(());
            }
            if attached.len() >= MAX_ATTACHED {
                let message = format!("Cannot exceed quota for PoliciesPer{}: {MAX_ATTACHED}", of.kind.quota_word());
                return Err(Error::refused(Code::LimitExceeded, message));
            }
            attached.push(arn.to_owned());
            transaction.mark(rows::attachment(account, arn, Usage::Attached, of.kind, record.id()));
            transaction.put_principal(account, of.kind, &record)?;
        });
        Ok(())
    }

    /// Detaches a managed policy.
    pub async fn detach(&self, account: &str, of: &PrincipalRef, arn: &str) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.principal(account, of).await?;
            let attached = &mut record.policies_mut().attached;
            let before = attached.len();
            attached.retain(|known| known != arn);
            if attached.len() == before {
                return Err(Error::refused(Code::NoSuchEntity, format!("Policy {arn} was not found.")));
            }
            transaction.delete(rows::attachment(account, arn, Usage::Attached, of.kind, record.id()));
            transaction.put_principal(account, of.kind, &record)?;
        });
        Ok(())
    }

    /// The attached policies whose paths start with `path_prefix`.
    pub async fn attached(
        &self,
        account: &str,
        of: &PrincipalRef,
        path_prefix: &str,
        page: &PageRequest,
    ) -> Result<Page<Attachment>> {
        names::check_path_prefix(path_prefix)?;
        let record = self.principal(account, of).await?;
        let attachments = record.policies().attached.iter().filter_map(|arn| {
            let (_, path, name) = names::parse_arn(arn, "policy")?;
            path.starts_with(path_prefix).then(|| Attachment { name: name.to_owned(), arn: arn.clone() })
        });
        Ok(Page::of(attachments.collect(), |attachment| attachment.arn.clone(), page))
    }

    /// Bounds a user's or role's permissions; `None` removes the boundary.
    pub async fn set_boundary(&self, account: &str, of: &PrincipalRef, arn: Option<&str>) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.principal(account, of).await?;
            if let Some(arn) = arn {
                transaction.require_policy(account, arn).await?;
            }
            let id = record.id().to_owned();
            let Some(boundary) = record.boundary_mut() else {
                return Err(Error::refused(Code::InvalidInput, "Groups have no permissions boundary."));
            };
            if arn.is_none() && boundary.is_none() {
                let message = format!("The {} with name {} has no permissions boundary.", of.kind.word(), of.name);
                return Err(Error::refused(Code::NoSuchEntity, message));
            }
            if let Some(old) = boundary.take() {
                transaction.delete(rows::attachment(account, &old, Usage::Boundary, of.kind, &id));
            }
            *boundary = arn.map(str::to_owned);
            if let Some(arn) = arn {
                transaction.mark(rows::attachment(account, arn, Usage::Boundary, of.kind, &id));
            }
            transaction.put_principal(account, of.kind, &record)?;
        });
        Ok(())
    }
}

/// What must be removed first, if anything must.
pub(super) fn require_bare(policies: &PolicySet) -> Result<()> {
    let conflict = |message: &str| Err(Error::refused(Code::DeleteConflict, message));
    if !policies.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !policies.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    Ok(())
}
