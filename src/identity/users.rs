//! Users.

use storage::types::Timestamp;

use super::Identities;
use super::accounts::Quota;
use super::error::{Code, Error, Result};
use super::ids::{IdPrefix, new_id};
use super::names::{MAX_SHORT_NAME, check_name, check_path, check_path_prefix, check_tags, merge_tags, remove_tags};
use super::page::{Page, PageRequest};
use super::principals::{absent, require_bare};
use super::records::{EntityKind, PolicySet, Tags, UserRecord};
use super::rows::{self, Usage};
use super::transaction::{Transaction, transact};

/// A user to create.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: Tags,
    /// The ARN of its permissions boundary.
    pub boundary: Option<String>,
}

impl Transaction {
    pub(super) async fn user(&mut self, account: &str, name: &str) -> Result<UserRecord> {
        self.get(rows::user(account, name)).await?.ok_or_else(|| absent(EntityKind::User, name))
    }
}

impl Identities {
    /// Creates a user.
    pub async fn create_user(&self, account: &str, new: NewUser, now: Timestamp) -> Result<UserRecord> {
        check_name(&new.name, "userName", MAX_SHORT_NAME)?;
        check_path(&new.path)?;
        check_tags(&new.tags)?;
        let user = UserRecord {
            id: new_id(IdPrefix::User)?,
            name: new.name,
            path: new.path,
            created: now,
            tags: new.tags,
            policies: PolicySet::default(),
            boundary: new.boundary,
            groups: Vec::new(),
            access_keys: Vec::new(),
        };
        let key = rows::user(account, &user.name);
        transact!(self, |transaction| {
            transaction.name::<UserRecord>(account, EntityKind::User, &user.name, &user.id).await?;
            transaction.count(account, Quota::Users).await?;
            if let Some(arn) = &user.boundary {
                transaction.require_policy(account, arn).await?;
                transaction.mark(rows::attachment(account, arn, Usage::Boundary, EntityKind::User, &user.id));
            }
            transaction.put(key.clone(), &user)?;
        });
        Ok(user)
    }

    /// The user of this name.
    pub async fn user(&self, account: &str, name: &str) -> Result<UserRecord> {
        self.begin().user(account, name).await
    }

    /// Renames or moves a user. Its id, keys, groups and policies stay.
    pub async fn update_user(
        &self,
        account: &str,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        new_name.map_or(Ok(()), |name| check_name(name, "newUserName", MAX_SHORT_NAME))?;
        new_path.map_or(Ok(()), check_path)?;
        transact!(self, |transaction| {
            let mut user = transaction.user(account, name).await?;
            if let Some(path) = new_path {
                path.clone_into(&mut user.path);
            }
            if let Some(new_name) = new_name {
                let names = (name, new_name);
                transaction.rename::<UserRecord>(account, EntityKind::User, names, &user.id).await?;
                new_name.clone_into(&mut user.name);
            }
            transaction.put(rows::user(account, &user.name), &user)?;
        });
        Ok(())
    }

    /// Deletes a user that has nothing any more.
    pub async fn delete_user(&self, account: &str, name: &str) -> Result<()> {
        transact!(self, |transaction| {
            let user = transaction.user(account, name).await?;
            let conflict = |message: &str| Err(Error::refused(Code::DeleteConflict, message));
            if !user.access_keys.is_empty() {
                return conflict("Cannot delete entity, must delete access keys first.");
            }
            require_bare(&user.policies)?;
            if !user.groups.is_empty() {
                return conflict("Cannot delete entity, must remove users from group first.");
            }
            transaction.uncount(account, Quota::Users).await?;
            if let Some(arn) = &user.boundary {
                transaction.delete(rows::attachment(account, arn, Usage::Boundary, EntityKind::User, &user.id));
            }
            transaction.delete(rows::entity_name(&user.id));
            transaction.delete(rows::user(account, name));
        });
        Ok(())
    }

    /// The users whose paths start with `path_prefix`, by name.
    pub async fn users(&self, account: &str, path_prefix: &str, page: &PageRequest) -> Result<Page<UserRecord>> {
        check_path_prefix(path_prefix)?;
        let prefix = rows::entities(EntityKind::User, account);
        let wanted = |user: &UserRecord| user.path.starts_with(path_prefix);
        self.page_of(prefix, |name| rows::user(account, name), page, wanted).await
    }

    /// Adds tags to a user.
    pub async fn tag_user(&self, account: &str, name: &str, tags: &Tags) -> Result<()> {
        transact!(self, |transaction| {
            let mut user = transaction.user(account, name).await?;
            merge_tags(&mut user.tags, tags.clone())?;
            transaction.put(rows::user(account, name), &user)?;
        });
        Ok(())
    }

    /// Removes tags from a user.
    pub async fn untag_user(&self, account: &str, name: &str, keys: &[String]) -> Result<()> {
        transact!(self, |transaction| {
            let mut user = transaction.user(account, name).await?;
            remove_tags(&mut user.tags, keys);
            transaction.put(rows::user(account, name), &user)?;
        });
        Ok(())
    }
}
