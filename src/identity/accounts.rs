//! What an account has: its alias, its counts, its quotas.

use super::error::{Code, Error, Result};
use super::names::check_length;
use super::records::{AccountRecord, AliasRecord};
use super::transaction::{Transaction, transact};
use super::{Identities, rows};

/// What an account may have only so many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quota {
    Users,
    Groups,
    Roles,
    Policies,
    Providers,
}

impl Quota {
    /// AWS's name and number of it.
    fn limit(self) -> (&'static str, u32) {
        match self {
            Self::Users => ("UsersPerAccount", 5_000),
            Self::Groups => ("GroupsPerAccount", 300),
            Self::Roles => ("RolesPerAccount", 1_000),
            Self::Policies => ("PoliciesPerAccount", 1_500),
            Self::Providers => ("OpenIdConnectProvidersPerAccount", 100),
        }
    }

    fn of(self, account: &mut AccountRecord) -> &mut u32 {
        match self {
            Self::Users => &mut account.users,
            Self::Groups => &mut account.groups,
            Self::Roles => &mut account.roles,
            Self::Policies => &mut account.policies,
            Self::Providers => &mut account.providers,
        }
    }
}

/// An account's counts and quotas, by AWS's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary(pub Vec<(&'static str, u64)>);

impl Transaction {
    pub(super) async fn account(&mut self, account: &str) -> Result<AccountRecord> {
        Ok(self.get(rows::account(account)).await?.unwrap_or_default())
    }

    /// Counts one more.
    ///
    /// # Errors
    /// `LimitExceeded`.
    pub(super) async fn count(&mut self, account: &str, quota: Quota) -> Result<()> {
        let mut record = self.account(account).await?;
        let (name, limit) = quota.limit();
        let count = quota.of(&mut record);
        if *count >= limit {
            return Err(Error::refused(Code::LimitExceeded, format!("Cannot exceed quota for {name}: {limit}")));
        }
        *count += 1;
        self.put(rows::account(account), &record)
    }

    /// Counts one less.
    pub(super) async fn uncount(&mut self, account: &str, quota: Quota) -> Result<()> {
        let mut record = self.account(account).await?;
        let count = quota.of(&mut record);
        *count = count.saturating_sub(1);
        self.put(rows::account(account), &record)
    }
}

impl Identities {
    /// The account's alias.
    pub async fn alias(&self, account: &str) -> Result<Option<String>> {
        Ok(self.begin().account(account).await?.alias)
    }

    /// Gives the account an alias, in place of the one it has.
    pub async fn create_alias(&self, account: &str, alias: &str) -> Result<()> {
        check_length(alias, "accountAlias", 3, 63)?;
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !alias.bytes().all(lower) || alias.starts_with('-') || alias.ends_with('-') || alias.contains("--") {
            let rule = "Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$";
            return Err(super::names::constraint(alias, "accountAlias", rule));
        }
        transact!(self, |transaction| {
            let mut record = transaction.account(account).await?;
            let holder: Option<AliasRecord> = transaction.get(rows::alias(alias)).await?;
            if holder.is_some_and(|holder| holder.0 != account) {
                let message = format!("The account alias {alias} already exists.");
                return Err(Error::refused(Code::EntityAlreadyExists, message));
            }
            if let Some(old) = record.alias.replace(alias.to_owned()) {
                transaction.delete(rows::alias(&old));
            }
            transaction.put(rows::alias(alias), &AliasRecord(account.to_owned()))?;
            transaction.put(rows::account(account), &record)?;
        });
        Ok(())
    }

    /// Takes the account's alias away.
    pub async fn delete_alias(&self, account: &str, alias: &str) -> Result<()> {
        transact!(self, |transaction| {
            let mut record = transaction.account(account).await?;
            if record.alias.as_deref() != Some(alias) {
                let message = format!("The account alias {alias} does not exist.");
                return Err(Error::refused(Code::NoSuchEntity, message));
            }
            record.alias = None;
            transaction.delete(rows::alias(alias));
            transaction.put(rows::account(account), &record)?;
        });
        Ok(())
    }

    /// The account's counts and quotas.
    pub async fn summary(&self, account: &str) -> Result<Summary> {
        let record = self.begin().account(account).await?;
        let quota = |quota: Quota| u64::from(quota.limit().1);
        Ok(Summary(vec![
            ("Users", record.users.into()),
            ("UsersQuota", quota(Quota::Users)),
            ("Groups", record.groups.into()),
            ("GroupsQuota", quota(Quota::Groups)),
            ("Roles", record.roles.into()),
            ("RolesQuota", quota(Quota::Roles)),
            ("Policies", record.policies.into()),
            ("PoliciesQuota", quota(Quota::Policies)),
            ("Providers", record.providers.into()),
            ("AccountAccessKeysPresent", 1),
            ("AccountMFAEnabled", 0),
            ("AccountSigningCertificatesPresent", 0),
            ("MFADevices", 0),
            ("MFADevicesInUse", 0),
            ("ServerCertificates", 0),
            ("ServerCertificatesQuota", 0),
            ("InstanceProfiles", 0),
            ("InstanceProfilesQuota", 0),
            ("AccessKeysPerUserQuota", 2),
            ("GroupsPerUserQuota", 10),
            ("SigningCertificatesPerUserQuota", 0),
            ("AttachedPoliciesPerUserQuota", 10),
            ("AttachedPoliciesPerGroupQuota", 10),
            ("AttachedPoliciesPerRoleQuota", 10),
            ("UserPolicySizeQuota", 2_048),
            ("GroupPolicySizeQuota", 5_120),
            ("RolePolicySizeQuota", 10_240),
            ("AssumeRolePolicySizeQuota", 2_048),
            ("PolicySizeQuota", 6_144),
            ("VersionsPerPolicyQuota", 5),
            ("GlobalEndpointTokenVersion", 2),
        ]))
    }
}
