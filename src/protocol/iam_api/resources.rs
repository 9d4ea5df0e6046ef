//! The ARN and the tags of what an action is about, for the policies that decide about it.

use super::Iam;
use super::table::{Action, On};
use crate::identity::records::EntityKind;
use crate::identity::{
    PrincipalRecord, PrincipalRef, Result as IdentityResult, group_arn, issuer, parse_arn, policy_arn, provider_arn,
    role_arn, user_arn,
};
use crate::protocol::query_api::QueryError;

/// Something that policies can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resource {
    arn: String,
    tags: Vec<(String, String)>,
}

impl Resource {
    fn untagged(arn: String) -> Self {
        Self { arn, tags: Vec::new() }
    }
}

impl Iam<'_> {
    /// Asks the choke point about an action, on everything that it is about.
    ///
    /// # Errors
    /// `AccessDenied`; `ValidationError` if the request does not say what it is about.
    pub(super) async fn authorize(&self, action: &Action) -> Result<(), QueryError> {
        for resource in self.resources(action.on).await? {
            let mut keys = self.call.keys();
            for (key, value) in &resource.tags {
                keys.insert(format!("aws:resourcetag/{key}"), value.as_str());
                keys.insert(format!("iam:resourcetag/{key}"), value.as_str());
            }
            for (key, value) in self.form().tags("Tags")? {
                keys.push("aws:tagkeys", key.as_str());
                keys.insert(format!("aws:requesttag/{key}"), value);
            }
            for key in self.form().list("TagKeys")? {
                keys.push("aws:tagkeys", key);
            }
            if let Some(arn) = self.form().text("PolicyArn") {
                keys.insert("iam:policyarn", arn);
            }
            if let Some(arn) = self.form().text("PermissionsBoundary") {
                keys.insert("iam:permissionsboundary", arn);
            } else if let Some(arn) = self.boundary_of_target(action.on).await? {
                keys.insert("iam:permissionsboundary", arn);
            }
            self.call.require(action.name, &resource.arn, self.account, &keys)?;
        }
        Ok(())
    }

    /// The boundary that the user or role has: conditions can require that only bounded ones are administered.
    async fn boundary_of_target(&self, on: On) -> Result<Option<String>, QueryError> {
        let kind = match on {
            On::User => EntityKind::User,
            On::Role => EntityKind::Role,
            _ => return Ok(None),
        };
        let found = found(self.identities.principal(self.account, &self.principal(kind)?).await)?;
        Ok(match found {
            Some(PrincipalRecord::User(user)) => user.boundary,
            Some(PrincipalRecord::Role(role)) => role.boundary,
            Some(PrincipalRecord::Group(_)) | None => None,
        })
    }

    async fn resources(&self, on: On) -> Result<Vec<Resource>, QueryError> {
        let form = self.form();
        let one = match on {
            On::Any => Resource::untagged("*".to_owned()),
            On::User => self.entity(EntityKind::User, form.required("UserName")?).await?,
            On::OwnUser => self.user_or_root(self.user_or_own()?.as_deref()).await?,
            On::KeyUser => {
                let found = self.identities.access_key_last_used(self.account, form.required("AccessKeyId")?).await?;
                let user = found.and_then(|(user, _)| user);
                self.user_or_root(user.as_deref()).await?
            }
            On::NewUser => Resource::untagged(user_arn(self.account, &self.path(), form.required("UserName")?)),
            On::Group => self.entity(EntityKind::Group, form.required("GroupName")?).await?,
            On::NewGroup => Resource::untagged(group_arn(self.account, &self.path(), form.required("GroupName")?)),
            On::Role => self.entity(EntityKind::Role, form.required("RoleName")?).await?,
            On::NewRole => Resource::untagged(role_arn(self.account, &self.path(), form.required("RoleName")?)),
            On::Policy => self.policy(form.required("PolicyArn")?).await?,
            On::NewPolicy => Resource::untagged(policy_arn(self.account, &self.path(), form.required("PolicyName")?)),
            On::Provider => self.provider(form.required("OpenIDConnectProviderArn")?).await?,
            On::NewProvider => {
                let url = form.required("Url")?;
                Resource::untagged(provider_arn(self.account, issuer(url).unwrap_or(url)))
            }
            On::Source => Resource::untagged(form.required("PolicySourceArn")?.to_owned()),
            On::RenamedUser => return self.renamed(EntityKind::User, "UserName", "NewUserName").await,
            On::RenamedGroup => return self.renamed(EntityKind::Group, "GroupName", "NewGroupName").await,
        };
        Ok(vec![one])
    }

    /// What something is and what it is to be: both must be allowed.
    async fn renamed(&self, kind: EntityKind, name: &str, new_name: &str) -> Result<Vec<Resource>, QueryError> {
        let name = self.form().required(name)?;
        let now = self.entity(kind, name).await?;
        let path_and_name = now.arn.split_once('/').map_or(name, |(_, rest)| rest);
        let (path, old_name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
        let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        let path = self.form().text("NewPath").map_or(path, str::to_owned);
        let name = self.form().text(new_name).unwrap_or(old_name);
        let arn = match kind {
            EntityKind::Group => group_arn(self.account, &path, name),
            EntityKind::User | EntityKind::Role => user_arn(self.account, &path, name),
        };
        let then = Resource { arn, tags: now.tags.clone() };
        Ok(if then == now { vec![now] } else { vec![now, then] })
    }

    /// A user, or the account's root.
    async fn user_or_root(&self, user: Option<&str>) -> Result<Resource, QueryError> {
        match user {
            Some(name) => self.entity(EntityKind::User, name).await,
            None => Ok(Resource::untagged(format!("arn:aws:iam::{}:root", self.account))),
        }
    }

    /// A user, group or role with its path, as far as there is one.
    async fn entity(&self, kind: EntityKind, name: &str) -> Result<Resource, QueryError> {
        let of = PrincipalRef { kind, name: name.to_owned() };
        let record = found(self.identities.principal(self.account, &of).await)?;
        let path = record.as_ref().map_or("/", PrincipalRecord::path);
        let name = record.as_ref().map_or(name, PrincipalRecord::name);
        let arn = match kind {
            EntityKind::User => user_arn(self.account, path, name),
            EntityKind::Group => group_arn(self.account, path, name),
            EntityKind::Role => role_arn(self.account, path, name),
        };
        let tags = match record {
            Some(PrincipalRecord::User(user)) => user.tags,
            Some(PrincipalRecord::Role(role)) => role.tags,
            Some(PrincipalRecord::Group(_)) | None => Vec::new(),
        };
        Ok(Resource { arn, tags })
    }

    async fn policy(&self, arn: &str) -> Result<Resource, QueryError> {
        let is_policy = parse_arn(arn, "policy").is_some();
        let record = if is_policy { found(self.identities.policy(self.account, arn).await)? } else { None };
        Ok(Resource { arn: arn.to_owned(), tags: record.map(|policy| policy.record.tags).unwrap_or_default() })
    }

    async fn provider(&self, arn: &str) -> Result<Resource, QueryError> {
        let is_provider = parse_arn(arn, "oidc-provider").is_some();
        let record = if is_provider { found(self.identities.provider(self.account, arn).await)? } else { None };
        Ok(Resource { arn: arn.to_owned(), tags: record.map(|provider| provider.tags).unwrap_or_default() })
    }
}

/// What is there: that there is none is for the action to say, to those who may know.
fn found<T>(read: IdentityResult<T>) -> Result<Option<T>, QueryError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
