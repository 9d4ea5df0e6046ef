//! Groups and their members.

use storage::types::Timestamp;

use super::accounts::Quota;
use super::error::{Code, Error, Result};
use super::ids::{IdPrefix, new_id};
use super::names::{MAX_LONG_NAME, check_name, check_path, check_path_prefix};
use super::page::{Page, PageRequest};
use super::principals::{absent, require_bare};
use super::records::{EntityKind, GroupRecord, PolicySet, UserRecord};
use super::transaction::{Transaction, transact};
use super::{Identities, rows};

/// Groups of one user.
const MAX_GROUPS_PER_USER: usize = 10;

/// A group to create.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
}

impl Transaction {
    async fn group(&mut self, account: &str, name: &str) -> Result<GroupRecord> {
        self.get(rows::group(account, name)).await?.ok_or_else(|| absent(EntityKind::Group, name))
    }
}

impl Identities {
    /// Creates a group.
    pub async fn create_group(&self, account: &str, new: NewGroup, now: Timestamp) -> Result<GroupRecord> {
        check_name(&new.name, "groupName", MAX_LONG_NAME)?;
        check_path(&new.path)?;
        let group = GroupRecord {
            id: new_id(IdPrefix::Group)?,
            name: new.name,
            path: new.path,
            created: now,
            policies: PolicySet::default(),
        };
        let key = rows::group(account, &group.name);
        transact!(self, |transaction| {
            transaction.name::<GroupRecord>(account, EntityKind::Group, &group.name, &group.id).await?;
            transaction.count(account, Quota::Groups).await?;
            transaction.put(key.clone(), &group)?;
        });
        Ok(group)
    }

    /// The group of this name.
    pub async fn group(&self, account: &str, name: &str) -> Result<GroupRecord> {
        self.begin().group(account, name).await
    }

    /// A group's members, in the order of their ids.
    pub async fn members(&self, account: &str, group: &GroupRecord, page: &PageRequest) -> Result<Page<UserRecord>> {
        let rows = self.names_under(rows::members(account, &group.id)).await?;
        let ids = rows.into_iter().filter_map(|parts| parts.into_iter().next_back()).collect();
        let ids: Page<String> = Page::of(ids, Clone::clone, page);
        let mut members = Page { items: Vec::with_capacity(ids.items.len()), next: ids.next };
        for id in ids.items {
            members.items.extend(self.user_by_id(&id).await?);
        }
        Ok(members)
    }

    /// Renames or moves a group.
    pub async fn update_group(
        &self,
        account: &str,
        name: &str,
        new_name: Option<&str>,
        new_path: Option<&str>,
    ) -> Result<()> {
        new_name.map_or(Ok(()), |name| check_name(name, "newGroupName", MAX_LONG_NAME))?;
        new_path.map_or(Ok(()), check_path)?;
        transact!(self, |transaction| {
            let mut group = transaction.group(account, name).await?;
            if let Some(path) = new_path {
                path.clone_into(&mut group.path);
            }
            if let Some(new_name) = new_name {
                let names = (name, new_name);
                transaction.rename::<GroupRecord>(account, EntityKind::Group, names, &group.id).await?;
                new_name.clone_into(&mut group.name);
            }
            transaction.put(rows::group(account, &group.name), &group)?;
        });
        Ok(())
    }

    /// Deletes a group without members and policies.
    pub async fn delete_group(&self, account: &str, name: &str) -> Result<()> {
        transact!(self, |transaction| {
            let group = transaction.group(account, name).await?;
            let members = rows::members(account, &group.id);
            if self.any_under(members.clone()).await? {
                let message = "Cannot delete entity, must remove users from group first.";
                return Err(Error::refused(Code::DeleteConflict, message));
            }
            require_bare(&group.policies)?;
            transaction.require_empty(members);
            transaction.uncount(account, Quota::Groups).await?;
            transaction.delete(rows::entity_name(&group.id));
            transaction.delete(rows::group(account, name));
        });
        Ok(())
    }

    /// The groups whose paths start with `path_prefix`, by name.
    pub async fn groups(&self, account: &str, path_prefix: &str, page: &PageRequest) -> Result<Page<GroupRecord>> {
        check_path_prefix(path_prefix)?;
        let prefix = rows::entities(EntityKind::Group, account);
        let wanted = |group: &GroupRecord| group.path.starts_with(path_prefix);
        self.page_of(prefix, |name| rows::group(account, name), page, wanted).await
    }

    /// Adds a user to a group. That it is a member already is no error.
    pub async fn add_to_group(&self, account: &str, group: &str, user: &str) -> Result<()> {
        transact!(self, |transaction| {
            let group = transaction.group(account, group).await?;
            let mut user = transaction.user(account, user).await?;
            if user.groups.contains(&group.id) {
                return Ok(());
            }
            if user.groups.len() >= MAX_GROUPS_PER_USER {
                let message = format!("Cannot exceed quota for GroupsPerUser: {MAX_GROUPS_PER_USER}");
                return Err(Error::refused(Code::LimitExceeded, message));
            }
            transaction.mark(rows::member(account, &group.id, &user.id));
            user.groups.push(group.id);
            transaction.put(rows::user(account, &user.name), &user)?;
        });
        Ok(())
    }

    /// Removes a user from a group. That it is no member is no error, as on AWS.
    pub async fn remove_from_group(&self, account: &str, group: &str, user: &str) -> Result<()> {
        transact!(self, |transaction| {
            let group = transaction.group(account, group).await?;
            let mut user = transaction.user(account, user).await?;
            user.groups.retain(|id| *id != group.id);
            transaction.delete(rows::member(account, &group.id, &user.id));
            transaction.put(rows::user(account, &user.name), &user)?;
        });
        Ok(())
    }

    /// A user's groups, by name.
    pub async fn groups_of(&self, account: &str, user: &str, page: &PageRequest) -> Result<Page<GroupRecord>> {
        let user = self.user(account, user).await?;
        let mut groups = Vec::with_capacity(user.groups.len());
        for id in &user.groups {
            groups.extend(self.group_by_id(id).await?);
        }
        Ok(Page::of(groups, |group| rows::folded(&group.name), page))
    }
}
