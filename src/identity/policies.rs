//! Managed policies: the account's own, with their versions, and AWS's.

use storage::types::Timestamp;

use super::accounts::Quota;
use super::aws_managed::{self, AwsManaged};
use super::error::{Code, Error, Result};
use super::ids::{IdPrefix, new_id};
use super::names::{
    MAX_LONG_NAME, check_description, check_name, check_path, check_path_prefix, check_tags, merge_tags, parse_arn,
    policy_arn, remove_tags,
};
use super::page::{Page, PageRequest};
use super::records::{EntityKind, EntityName, PolicyRecord, PolicyText, PolicyVersion, Tags};
use super::rows::{self, Usage};
use super::transaction::{Transaction, transact};
use super::{Identities, documents};
use crate::rules::iam::PolicyKind;

/// Versions of one policy.
const MAX_VERSIONS: usize = 5;
/// Attempts at reading a policy whose versions are being changed.
const READ_ATTEMPTS: usize = 16;

/// A policy to create.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its first version.
    pub document: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// A managed policy, the account's own or AWS's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its ARN.
    pub arn: String,
    /// What is stored of it, or would be.
    pub record: PolicyRecord,
    /// To how many users, groups and roles of the account it is attached.
    pub attachments: usize,
    /// How many users and roles of the account it bounds.
    pub boundaries: usize,
}

/// A version with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersionText {
    /// The version.
    pub version: PolicyVersion,
    /// Whether it is the one that applies.
    pub is_default: bool,
    /// Its text.
    pub document: String,
}

/// Whose policies are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// AWS's and the account's.
    All,
    /// AWS's.
    Aws,
    /// The account's.
    Local,
}

/// Which policies are listed.
#[derive(Clone, Debug)]
pub struct PolicyFilter {
    /// Whose.
    pub scope: Scope,
    /// Only those that are used, in one way or in any.
    pub used: Option<Option<Usage>>,
    /// What their paths start with.
    pub path_prefix: String,
}

fn not_found(arn: &str) -> Error {
    Error::refused(Code::NoSuchEntity, format!("Policy {arn} was not found."))
}

fn malformed(arn: &str) -> Error {
    Error::refused(Code::InvalidInput, format!("ARN {arn} is not valid."))
}

fn of_aws(arn: &str) -> Error {
    Error::refused(Code::InvalidInput, format!("Cannot change {arn}: it is a policy of AWS's. Create one of your own."))
}

/// What is stored of a policy of AWS's would be this.
fn aws_record(policy: &AwsManaged) -> PolicyRecord {
    PolicyRecord {
        id: policy.id.to_owned(),
        name: policy.name.to_owned(),
        path: "/".to_owned(),
        created: policy.created,
        updated: policy.updated,
        description: Some(policy.description.to_owned()),
        tags: Tags::new(),
        default_version: policy.version,
        last_version: policy.version,
        versions: vec![PolicyVersion { number: policy.version, created: policy.updated }],
    }
}

/// What an ARN names: `Some(account, name)` for a customer managed policy, `None` for one of AWS's.
fn local(arn: &str) -> Result<Option<(&str, &str)>> {
    match parse_arn(arn, "policy").ok_or_else(|| malformed(arn))? {
        ("aws", "/", name) if aws_managed::by_name(name).is_some() => Ok(None),
        ("aws", ..) => Err(not_found(arn)),
        (account, _, name) => Ok(Some((account, name))),
    }
}

impl Transaction {
    /// One of the account's own policies, to change it.
    async fn own_policy(&mut self, account: &str, arn: &str) -> Result<PolicyRecord> {
        let (of, name) = local(arn)?.ok_or_else(|| of_aws(arn))?;
        if of != account {
            return Err(not_found(arn));
        }
        let record: Option<PolicyRecord> = self.get(rows::policy(account, name)).await?;
        record.filter(|record| policy_arn(account, &record.path, &record.name) == arn).ok_or_else(|| not_found(arn))
    }

    fn put_policy(&mut self, account: &str, record: &PolicyRecord) -> Result<()> {
        self.put(rows::policy(account, &record.name), record)
    }

    /// Requires that a policy exists that the account can attach.
    pub(super) async fn require_policy(&mut self, account: &str, arn: &str) -> Result<()> {
        let unattachable = || {
            let message = format!("Policy {arn} does not exist or is not attachable.");
            Error::refused(Code::NoSuchEntity, message)
        };
        match local(arn) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => match self.own_policy(account, arn).await {
                Err(error) if error.code() == Some(Code::NoSuchEntity) => Err(unattachable()),
                other => other.map(|_| ()),
            },
            Err(error) if error.code() == Some(Code::NoSuchEntity) => Err(unattachable()),
            Err(error) => Err(error),
        }
    }
}

fn accept(document: &str) -> Result<String> {
    let document = documents::accept(document, PolicyKind::Identity, "policyDocument")?;
    let allowed = documents::MAX_MANAGED_POLICY_CHARACTERS;
    if documents::counted(&document) > allowed {
        return Err(Error::refused(Code::LimitExceeded, format!("Cannot exceed quota for PolicySize: {allowed}")));
    }
    Ok(document)
}

impl Identities {
    /// Creates a policy with its first version.
    pub async fn create_policy(&self, account: &str, new: NewPolicy, now: Timestamp) -> Result<ManagedPolicy> {
        check_name(&new.name, "policyName", MAX_LONG_NAME)?;
        check_path(&new.path)?;
        check_tags(&new.tags)?;
        new.description.as_deref().map_or(Ok(()), check_description)?;
        let text = PolicyText(accept(&new.document)?);
        let record = PolicyRecord {
            id: new_id(IdPrefix::ManagedPolicy)?,
            name: new.name,
            path: new.path,
            created: now,
            updated: now,
            description: new.description,
            tags: new.tags,
            default_version: 1,
            last_version: 1,
            versions: vec![PolicyVersion { number: 1, created: now }],
        };
        transact!(self, |transaction| {
            if transaction.get::<PolicyRecord>(rows::policy(account, &record.name)).await?.is_some() {
                let message =
                    format!("A policy called {} already exists. Duplicate names are not allowed.", record.name);
                return Err(Error::refused(Code::EntityAlreadyExists, message));
            }
            transaction.count(account, Quota::Policies).await?;
            transaction.put(rows::policy_version(account, &record.id, 1), &text)?;
            transaction.put_policy(account, &record)?;
        });
        let arn = policy_arn(account, &record.path, &record.name);
        Ok(ManagedPolicy { arn, record, attachments: 0, boundaries: 0 })
    }

    /// A policy, the account's own or AWS's.
    pub async fn policy(&self, account: &str, arn: &str) -> Result<ManagedPolicy> {
        let record = match local(arn)? {
            None => {
                let name = parse_arn(arn, "policy").map_or("", |(_, _, name)| name);
                aws_managed::by_name(name).map(aws_record).ok_or_else(|| not_found(arn))?
            }
            Some(_) => self.begin().own_policy(account, arn).await?,
        };
        self.with_uses(account, arn.to_owned(), record).await
    }

    async fn with_uses(&self, account: &str, arn: String, record: PolicyRecord) -> Result<ManagedPolicy> {
        let attachments = self.names_under(rows::uses(account, &arn, Usage::Attached)).await?.len();
        let boundaries = self.names_under(rows::uses(account, &arn, Usage::Boundary)).await?.len();
        Ok(ManagedPolicy { arn, record, attachments, boundaries })
    }

    /// Deletes a policy that nobody uses and that has one version left.
    pub async fn delete_policy(&self, account: &str, arn: &str) -> Result<()> {
        transact!(self, |transaction| {
            let record = transaction.own_policy(account, arn).await?;
            let attachments = rows::attachments(account, arn);
            if self.any_under(attachments.clone()).await? {
                return Err(Error::refused(Code::DeleteConflict, "Cannot delete a policy attached to entities."));
            }
            if record.versions.len() > 1 {
                let message = "This policy has more than one version. Before you delete a policy, you must delete the \
                               policy's versions. The default version is deleted with the policy.";
                return Err(Error::refused(Code::DeleteConflict, message));
            }
            transaction.require_empty(attachments);
            transaction.uncount(account, Quota::Policies).await?;
            for version in &record.versions {
                transaction.delete(rows::policy_version(account, &record.id, version.number));
            }
            transaction.delete(rows::policy(account, &record.name));
        });
        Ok(())
    }

    /// The policies that `filter` wants: the account's own by name, then AWS's by name.
    pub async fn policies(
        &self,
        account: &str,
        filter: &PolicyFilter,
        page: &PageRequest,
    ) -> Result<Page<ManagedPolicy>> {
        check_path_prefix(&filter.path_prefix)?;
        let mut all = Vec::new();
        if filter.scope != Scope::Aws {
            let whole = PageRequest { after: None, limit: usize::MAX };
            let wanted = |record: &PolicyRecord| record.path.starts_with(&filter.path_prefix);
            let own = self.page_of(rows::policies(account), |name| rows::policy(account, name), &whole, wanted).await?;
            let arn = |record: &PolicyRecord| policy_arn(account, &record.path, &record.name);
            all.extend(own.items.into_iter().map(|record| (arn(&record), record)));
        }
        if filter.scope != Scope::Local && "/".starts_with(&filter.path_prefix) {
            all.extend(aws_managed::ALL.iter().map(|policy| (aws_managed::arn(policy), aws_record(policy))));
        }
        // AWS's come after the account's, whose ARNs have digits where those have letters.
        let mut page = page.clone();
        let limit = std::mem::replace(&mut page.limit, usize::MAX);
        let all = Page::of(all, |(arn, _)| arn.clone(), &page);
        let mut found = Page { items: Vec::new(), next: None };
        for (arn, record) in all.items {
            let policy = self.with_uses(account, arn, record).await?;
            let wanted = match filter.used {
                None => true,
                Some(None) => policy.attachments + policy.boundaries > 0,
                Some(Some(Usage::Attached)) => policy.attachments > 0,
                Some(Some(Usage::Boundary)) => policy.boundaries > 0,
            };
            if wanted && found.items.len() == limit {
                found.next = found.items.last().map(|policy: &ManagedPolicy| policy.arn.clone());
                break;
            }
            if wanted {
                found.items.push(policy);
            }
        }
        Ok(found)
    }

    /// Adds a version, and makes it the one that applies if asked to.
    pub async fn create_policy_version(
        &self,
        account: &str,
        arn: &str,
        document: &str,
        is_default: bool,
        now: Timestamp,
    ) -> Result<PolicyVersionText> {
        let text = PolicyText(accept(document)?);
        let version = transact!(self, |transaction| {
            let mut record = transaction.own_policy(account, arn).await?;
            if record.versions.len() >= MAX_VERSIONS {
                let message = format!(
                    "A managed policy can have up to {MAX_VERSIONS} versions. Before you create a new version, you must \
                     delete an existing version."
                );
                return Err(Error::refused(Code::LimitExceeded, message));
            }
            record.last_version += 1;
            let version = PolicyVersion { number: record.last_version, created: now };
            record.versions.push(version);
            record.updated = now;
            if is_default {
                record.default_version = version.number;
            }
            transaction.put(rows::policy_version(account, &record.id, version.number), &text)?;
            transaction.put_policy(account, &record)?;
            version
        });
        Ok(PolicyVersionText { version, is_default, document: text.0 })
    }

    /// A version with its text.
    pub async fn policy_version(&self, account: &str, arn: &str, number: u32) -> Result<PolicyVersionText> {
        let policy = self.policy(account, arn).await?;
        let found = policy.record.versions.iter().find(|version| version.number == number);
        let version = *found.ok_or_else(|| no_such_version(arn, number))?;
        let document = match local(arn)? {
            None => self.managed_text(arn).await?,
            Some(_) => self.version_text(account, &policy.record.id, number).await?,
        };
        let document = document.ok_or_else(|| no_such_version(arn, number))?;
        Ok(PolicyVersionText { version, is_default: number == policy.record.default_version, document })
    }

    /// Makes a version the one that applies.
    pub async fn set_default_policy_version(
        &self,
        account: &str,
        arn: &str,
        number: u32,
        now: Timestamp,
    ) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.own_policy(account, arn).await?;
            if !record.versions.iter().any(|version| version.number == number) {
                return Err(no_such_version(arn, number));
            }
            record.default_version = number;
            record.updated = now;
            transaction.put_policy(account, &record)?;
        });
        Ok(())
    }

    /// Deletes a version that does not apply.
    pub async fn delete_policy_version(&self, account: &str, arn: &str, number: u32, now: Timestamp) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.own_policy(account, arn).await?;
            if !record.versions.iter().any(|version| version.number == number) {
                return Err(no_such_version(arn, number));
            }
            if record.default_version == number {
                let message = "Cannot delete the default version of a policy.";
                return Err(Error::refused(Code::DeleteConflict, message));
            }
            record.versions.retain(|version| version.number != number);
            record.updated = now;
            transaction.delete(rows::policy_version(account, &record.id, number));
            transaction.put_policy(account, &record)?;
        });
        Ok(())
    }

    /// Who uses a policy: how, what it is, its id and name.
    pub async fn policy_users(&self, account: &str, arn: &str) -> Result<Vec<(Usage, EntityKind, String, String)>> {
        self.policy(account, arn).await?;
        let mut users = Vec::new();
        for usage in [Usage::Attached, Usage::Boundary] {
            for parts in self.names_under(rows::uses(account, arn, usage)).await? {
                let Some(id) = parts.last() else { continue };
                let Some(at) = self.record::<EntityName>(rows::entity_name(id)).await? else { continue };
                users.push((usage, at.kind, id.clone(), at.name));
            }
        }
        Ok(users)
    }

    /// Adds tags to a policy.
    pub async fn tag_policy(&self, account: &str, arn: &str, tags: &Tags) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.own_policy(account, arn).await?;
            merge_tags(&mut record.tags, tags.clone())?;
            transaction.put_policy(account, &record)?;
        });
        Ok(())
    }

    /// Removes tags from a policy.
    pub async fn untag_policy(&self, account: &str, arn: &str, keys: &[String]) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.own_policy(account, arn).await?;
            remove_tags(&mut record.tags, keys);
            transaction.put_policy(account, &record)?;
        });
        Ok(())
    }

    /// The text of the version of a managed policy that applies; `None` if there is no such policy.
    pub async fn managed_text(&self, arn: &str) -> Result<Option<String>> {
        let Some((account, path, name)) = parse_arn(arn, "policy") else { return Ok(None) };
        if account == "aws" {
            let found = aws_managed::by_name(name).filter(|_| path == "/");
            return Ok(found.map(|policy| policy.document.to_owned()));
        }
        for _ in 0..READ_ATTEMPTS {
            let Some(record) = self.record::<PolicyRecord>(rows::policy(account, name)).await? else { return Ok(None) };
            let text = self.version_text(account, &record.id, record.default_version).await?;
            if text.is_some() {
                return Ok(text);
            }
            // Another version has become the default one, and this one was deleted. The policy may deny something: it
            // must not be left out.
        }
        let message = format!("The versions of policy {arn} change all the time.");
        Err(Error::refused(Code::ConcurrentModification, message))
    }

    async fn version_text(&self, account: &str, policy_id: &str, number: u32) -> Result<Option<String>> {
        let text: Option<PolicyText> = self.record(rows::policy_version(account, policy_id, number)).await?;
        Ok(text.map(|text| text.0))
    }
}

fn no_such_version(arn: &str, number: u32) -> Error {
    Error::refused(Code::NoSuchEntity, format!("Policy {arn} version v{number} does not exist or is not attachable."))
}
