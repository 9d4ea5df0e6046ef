//! Users and roles that policies name, bound to their ids: a user that is deleted and created again under its name is
//! another one, to whom nothing was granted.
//!
//! Beside a policy's text stands which id each ARN in it stood for when the policy was put. What is evaluated are the
//! ids; what is shown is the ARN that an id has now, or the id where its user or role is gone.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>, "Unique ids"

use super::error::{Error, Result};
use super::principals::{PrincipalRecord, PrincipalRef};
use super::records::{BoundPrincipals, EntityKind, EntityName};
use super::{Identities, names, rows};
use crate::rules::iam::{Policy, PrincipalId, rename_principals};

/// Whom a policy names that has to exist, and does not.
pub type Stranger = String;

impl Identities {
    /// The ids of the users and roles that a policy names by ARN. Of accounts that this server does not have, nothing is
    /// known, and nobody is bound.
    ///
    /// # Errors
    /// Within the outer result, the first that does not exist in an account that this server has: a name that is free
    /// would give whoever takes it later what was meant for another.
    pub async fn bind(&self, policy: &Policy) -> Result<std::result::Result<BoundPrincipals, Stranger>> {
        let mut bound = BoundPrincipals::new();
        for principal in policy.principals() {
            match principal {
                PrincipalId::Arn(arn) if !bound.iter().any(|(known, _)| known == arn) => {
                    let Some((account, of)) = named(arn) else { continue };
                    if self.accounts().by_id(account).is_none() {
                        continue;
                    }
                    let found = match self.principal(account, &of).await {
                        Ok(found) => found,
                        Err(Error::Refused { .. }) => return Ok(Err(arn.clone())),
                        Err(error) => return Err(error),
                    };
                    if arn.starts_with("arn:aws:sts:") {
                        // A session is named by its role's name and its own: it has no id before it begins.
                        continue;
                    }
                    if arn_of(account, &found) != *arn {
                        return Ok(Err(arn.clone()));
                    }
                    bound.push((arn.clone(), found.id().to_owned()));
                }
                PrincipalId::UniqueId(id) if self.current_arn(id).await?.is_none() => return Ok(Err(id.clone())),
                _ => {}
            }
        }
        Ok(Ok(bound))
    }

    /// The text of a policy as it is shown now.
    pub async fn shown(&self, text: String, bound: &BoundPrincipals) -> Result<String> {
        let mut names = Vec::new();
        for (arn, id) in bound {
            let now = self.current_arn(id).await?.unwrap_or_else(|| id.clone());
            if now != *arn {
                names.push((arn.clone(), now));
            }
        }
        Ok(if names.is_empty() { text } else { rename_principals(&text, &names) })
    }

    /// The ARN of the user or role with this id; `None` if it is gone.
    async fn current_arn(&self, id: &str) -> Result<Option<String>> {
        let Some(at) = self.record::<EntityName>(rows::entity_name(id)).await? else { return Ok(None) };
        let found = match at.kind {
            EntityKind::User => self.user_by_id(id).await?.map(PrincipalRecord::User),
            EntityKind::Role => self.role_by_id(id).await?.map(PrincipalRecord::Role),
            EntityKind::Group => None,
        };
        Ok(found.map(|found| arn_of(&at.account, &found)))
    }
}

fn arn_of(account: &str, principal: &PrincipalRecord) -> String {
    let arn = match principal {
        PrincipalRecord::User(_) => names::user_arn,
        PrincipalRecord::Group(_) => names::group_arn,
        PrincipalRecord::Role(_) => names::role_arn,
    };
    arn(account, principal.path(), principal.name())
}

/// The account and the user or role in it that an ARN names; of a role's session, the role.
fn named(arn: &str) -> Option<(&str, PrincipalRef)> {
    let mut parts = arn.splitn(6, ':').skip(4);
    let (account, resource) = (parts.next()?, parts.next()?);
    let (kind, path) = resource.split_once('/')?;
    let (kind, name) = match kind {
        "user" => (EntityKind::User, path.rsplit('/').next()?),
        "role" => (EntityKind::Role, path.rsplit('/').next()?),
        "assumed-role" => (EntityKind::Role, path.split('/').next()?),
        _ => return None,
    };
    Some((account, PrincipalRef { kind, name: name.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_roles_and_roles_of_sessions_are_named() {
        let role = |name: &str| PrincipalRef { kind: EntityKind::Role, name: name.to_owned() };
        let user = PrincipalRef { kind: EntityKind::User, name: "b".to_owned() };
        assert_eq!(named("arn:aws:iam::111111111111:user/a/b"), Some(("111111111111", user)));
        assert_eq!(named("arn:aws:iam::111111111111:role/c"), Some(("111111111111", role("c"))));
        assert_eq!(named("arn:aws:sts::111111111111:assumed-role/c/s"), Some(("111111111111", role("c"))));
        assert_eq!(named("arn:aws:sts::111111111111:federated-user/x"), None);
    }
}
