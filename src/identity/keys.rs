//! Access keys: of users, and of account roots beside the key of their configuration.

use storage::types::Timestamp;

use super::Identities;
use super::error::{Code, Error, Result};
use super::ids::{IdPrefix, new_id, new_secret};
use super::names::{MAX_LONG_NAME, check_length};
use super::page::{Page, PageRequest};
use super::records::{AccessKeyRecord, AccountRecord, KeyOwner, KeyStatus, LastUsedRecord, UserRecord};
use super::rows;
use super::transaction::{Transaction, transact};
use crate::accounts::SecretKey;

/// Access keys of one user, or of one account's root beside the configured key.
const MAX_KEYS: usize = 2;

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// `AKIA…`
    pub id: String,
    /// The user's name; `None` for the account's root.
    pub user: Option<String>,
    /// When it was created; the epoch for a key of the configuration.
    pub created: Timestamp,
    /// Whether it signs.
    pub status: KeyStatus,
}

/// A new access key with its secret, which is shown this once.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// The key.
    pub key: AccessKey,
    /// Its secret.
    pub secret: SecretKey,
}

/// Whose keys are meant, with the list of their ids in its record.
enum Holder {
    Root(AccountRecord),
    User(UserRecord),
}

impl Holder {
    fn ids(&mut self) -> &mut Vec<String> {
        match self {
            Self::Root(account) => &mut account.root_keys,
            Self::User(user) => &mut user.access_keys,
        }
    }

    fn owner(&self) -> KeyOwner {
        match self {
            Self::Root(_) => KeyOwner::Root,
            Self::User(user) => KeyOwner::User(user.id.clone()),
        }
    }

    fn user(&self) -> Option<String> {
        match self {
            Self::Root(_) => None,
            Self::User(user) => Some(user.name.clone()),
        }
    }
}

impl Transaction {
    async fn holder(&mut self, account: &str, user: Option<&str>) -> Result<Holder> {
        match user {
            Some(name) => Ok(Holder::User(self.user(account, name).await?)),
            None => Ok(Holder::Root(self.account(account).await?)),
        }
    }

    fn put_holder(&mut self, account: &str, holder: &Holder) -> Result<()> {
        match holder {
            Holder::Root(record) => self.put(rows::account(account), record),
            Holder::User(user) => self.put(rows::user(account, &user.name), user),
        }
    }
}

fn absent(id: &str) -> Error {
    Error::refused(Code::NoSuchEntity, format!("The Access Key with id {id} cannot be found."))
}

impl Identities {
    /// Creates a key for a user, or for the account's root.
    pub async fn create_access_key(&self, account: &str, user: Option<&str>, now: Timestamp) -> Result<NewAccessKey> {
        let (id, secret) = (new_id(IdPrefix::AccessKey)?, new_secret()?);
        let row = rows::access_key(&id);
        let sealed = self.sealer().seal(&secret, &row)?;
        let user = transact!(self, |transaction| {
            let mut holder = transaction.holder(account, user).await?;
            if holder.ids().len() >= MAX_KEYS {
                let message = format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}");
                return Err(Error::refused(Code::LimitExceeded, message));
            }
            holder.ids().push(id.clone());
            let record = AccessKeyRecord {
                account: account.to_owned(),
                owner: holder.owner(),
                created: now,
                status: KeyStatus::Active,
                secret: Some(sealed.clone()),
            };
            if transaction.get::<AccessKeyRecord>(row.clone()).await?.is_some() {
                return Err(Error::refused(Code::EntityAlreadyExists, "An access key of this id exists: try again."));
            }
            transaction.put(row.clone(), &record)?;
            transaction.put_holder(account, &holder)?;
            holder.user()
        });
        let key = AccessKey { id, user, created: now, status: KeyStatus::Active };
        Ok(NewAccessKey { key, secret: SecretKey::new(secret) })
    }

    /// The keys of a user, or of the account's root with that of the configuration.
    pub async fn access_keys(&self, account: &str, user: Option<&str>, page: &PageRequest) -> Result<Page<AccessKey>> {
        let mut holder = self.begin().holder(account, user).await?;
        let user = holder.user();
        let mut keys = Vec::new();
        for id in holder.ids().clone() {
            if let Some(record) = self.record::<AccessKeyRecord>(rows::access_key(&id)).await? {
                keys.push(AccessKey { id, user: user.clone(), created: record.created, status: record.status });
            }
        }
        if user.is_none() {
            for id in self.accounts().access_keys_of(account) {
                let record: Option<AccessKeyRecord> = self.record(rows::access_key(&id)).await?;
                let status = record.map_or(KeyStatus::Active, |record| record.status);
                if status != KeyStatus::Revoked {
                    keys.push(AccessKey { id, user: None, created: Timestamp(0), status });
                }
            }
        }
        Ok(Page::of(keys, |key| key.id.clone(), page))
    }

    /// Activates or deactivates a key. From the answer on it signs, or does not.
    pub async fn set_access_key_status(
        &self,
        account: &str,
        user: Option<&str>,
        id: &str,
        status: KeyStatus,
    ) -> Result<()> {
        self.change_access_key(account, user, id, Some(status)).await
    }

    /// Deletes a key. From the answer on it signs no request. A key of the configuration stays there, but is void.
    pub async fn delete_access_key(&self, account: &str, user: Option<&str>, id: &str) -> Result<()> {
        self.change_access_key(account, user, id, None).await
    }

    async fn change_access_key(
        &self,
        account: &str,
        user: Option<&str>,
        id: &str,
        status: Option<KeyStatus>,
    ) -> Result<()> {
        check_length(id, "accessKeyId", 3, MAX_LONG_NAME)?;
        let row = rows::access_key(id);
        let is_configured = self.accounts().by_access_key(id).is_some_and(|(of, _)| of.id == account);
        transact!(self, |transaction| {
            let mut holder = transaction.holder(account, user).await?;
            let stored: Option<AccessKeyRecord> = transaction.get(row.clone()).await?;
            if user.is_none() && is_configured {
                if stored.as_ref().is_some_and(|record| record.status == KeyStatus::Revoked) {
                    return Err(absent(id));
                }
                let record = AccessKeyRecord {
                    account: account.to_owned(),
                    owner: KeyOwner::Root,
                    created: Timestamp(0),
                    status: status.unwrap_or(KeyStatus::Revoked),
                    secret: None,
                };
                transaction.put(row.clone(), &record)?;
            } else {
                let Some(mut record) = stored.filter(|_| holder.ids().iter().any(|known| known == id)) else {
                    return Err(absent(id));
                };
                if let Some(status) = status {
                    record.status = status;
                    transaction.put(row.clone(), &record)?;
                } else {
                    holder.ids().retain(|known| known != id);
                    transaction.delete(row.clone());
                    transaction.delete(rows::last_used(id));
                    transaction.put_holder(account, &holder)?;
                }
            }
        });
        Ok(())
    }

    /// Whose a key is (`None`: the account's root), and when it was last used. `None` if the account has no such key.
    pub async fn access_key_last_used(
        &self,
        account: &str,
        id: &str,
    ) -> Result<Option<(Option<String>, Option<LastUsedRecord>)>> {
        let configured = self.accounts().by_access_key(id).is_some_and(|(of, _)| of.id == account);
        let stored: Option<AccessKeyRecord> = self.record(rows::access_key(id)).await?;
        let user = match stored.filter(|record| record.account == account) {
            None if configured => None,
            None => return Ok(None),
            Some(AccessKeyRecord { owner: KeyOwner::Root, .. }) => None,
            Some(AccessKeyRecord { owner: KeyOwner::User(id), .. }) => {
                self.user_by_id(&id).await?.map(|user| user.name)
            }
        };
        Ok(Some((user, self.record(rows::last_used(id)).await?)))
    }
}
