//! GetAccountAuthorizationDetails: an account's users, groups, roles and policies with everything that decides about
//! them.

use super::Iam;
use super::parameters::write_page;
use super::shapes::{self, Detail};
use crate::identity::records::{GroupRecord, PolicySet, RoleRecord, UserRecord};
use crate::identity::{ManagedPolicy, Page, PageRequest, PolicyFilter, PolicyVersionText, Scope, iso8601, parse_arn};
use crate::protocol::query_api::{Answer, QueryError, Xml};

/// The sorts of entities, in the order in which they are listed; a marker is the sort's number and a name.
const SORTS: [&str; 5] = ["User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"];

/// One page: parts of each list.
#[derive(Default)]
struct Found {
    users: Vec<(UserRecord, Vec<String>)>,
    groups: Vec<GroupRecord>,
    roles: Vec<RoleRecord>,
    policies: Vec<(ManagedPolicy, Vec<PolicyVersionText>)>,
}

pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let wanted = iam.form().list("Filter")?;
    if let Some(unknown) = wanted.iter().find(|sort| !SORTS.contains(&sort.as_str())) {
        return Err(QueryError::validation(format!(
            "1 validation error detected: Value '{unknown}' at 'filter' failed to satisfy constraint: Member must satisfy \
             enum value set: [{}]",
            SORTS.join(", ")
        )));
    }
    let page = iam.page()?;
    let (first, after) = match page.after.as_deref().and_then(|after| after.split_once(':')) {
        Some((sort, name)) => (sort.parse().unwrap_or(0), Some(name.to_owned())),
        None => (0_usize, None),
    };
    let (mut found, mut next, mut left) = (Found::default(), None, page.limit);
    let mut after = after.filter(|name| !name.is_empty());
    for (number, sort) in SORTS.iter().enumerate().skip(first) {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == sort) {
            continue;
        }
        if left == 0 {
            next = Some(format!("{number}:"));
            break;
        }
        let part = PageRequest { after: after.take(), limit: left };
        let (count, more) = found.gather(iam, sort, &part).await?;
        left = left.saturating_sub(count);
        if let Some(name) = more {
            next = Some(format!("{number}:{name}"));
            break;
        }
    }
    let mut xml = Xml::new();
    found.write(&mut xml, iam.account);
    write_page(&mut xml, next.as_deref());
    Ok(xml)
}

impl Found {
    /// Adds a page of one sort: how many there were, and the last name if there are more.
    async fn gather(
        &mut self,
        iam: &Iam<'_>,
        sort: &str,
        page: &PageRequest,
    ) -> Result<(usize, Option<String>), QueryError> {
        let (identities, account) = (iam.identities, iam.account);
        Ok(match sort {
            "User" => {
                let users = identities.users(account, "/", page).await?;
                let count = users.items.len();
                for user in users.items {
                    let whole = PageRequest { after: None, limit: usize::MAX };
                    let groups = identities.groups_of(account, &user.name, &whole).await?;
                    self.users.push((user, groups.items.into_iter().map(|group| group.name).collect()));
                }
                (count, users.next)
            }
            "Group" => taken(identities.groups(account, "/", page).await?, &mut self.groups),
            "Role" => taken(identities.roles(account, "/", page).await?, &mut self.roles),
            _ => {
                let scope = if sort == "AWSManagedPolicy" { Scope::Aws } else { Scope::Local };
                let filter = PolicyFilter { scope, used: None, path_prefix: "/".to_owned() };
                let policies = identities.policies(account, &filter, page).await?;
                let count = policies.items.len();
                for policy in policies.items {
                    let mut versions = Vec::with_capacity(policy.record.versions.len());
                    for version in &policy.record.versions {
                        versions.push(identities.policy_version(account, &policy.arn, version.number).await?);
                    }
                    self.policies.push((policy, versions));
                }
                (count, policies.next)
            }
        })
    }

    fn write(&self, xml: &mut Xml, account: &str) {
        xml.list("UserDetailList", &self.users, |xml, (user, groups)| {
            shapes::user(xml, account, user, Detail::Whole);
            inline(xml, "UserPolicyList", &user.policies);
            xml.texts("GroupList", groups);
            attached(xml, &user.policies);
        });
        xml.list("GroupDetailList", &self.groups, |xml, group| {
            shapes::group(xml, account, group);
            inline(xml, "GroupPolicyList", &group.policies);
            attached(xml, &group.policies);
        });
        xml.list("RoleDetailList", &self.roles, |xml, role| {
            shapes::role(xml, account, role, Detail::Whole);
            xml.texts::<&str>("InstanceProfileList", []);
            inline(xml, "RolePolicyList", &role.policies);
            attached(xml, &role.policies);
        });
        xml.list("Policies", &self.policies, |xml, (policy, versions)| {
            shapes::policy(xml, policy, Detail::Listed);
            xml.list("PolicyVersionList", versions, |xml, version| {
                shapes::document(xml, "Document", &version.document);
                xml.text("VersionId", &format!("v{}", version.version.number));
                xml.text("IsDefaultVersion", if version.is_default { "true" } else { "false" });
                xml.text("CreateDate", &iso8601(version.version.created));
            });
        });
    }
}

fn taken<T>(page: Page<T>, into: &mut Vec<T>) -> (usize, Option<String>) {
    let count = page.items.len();
    into.extend(page.items);
    (count, page.next)
}

fn inline(xml: &mut Xml, name: &str, policies: &PolicySet) {
    xml.list(name, &policies.inline, |xml, policy| {
        xml.text("PolicyName", &policy.name);
        shapes::document(xml, "PolicyDocument", &policy.document);
    });
}

fn attached(xml: &mut Xml, policies: &PolicySet) {
    xml.list("AttachedManagedPolicies", &policies.attached, |xml, arn| {
        xml.text("PolicyName", parse_arn(arn, "policy").map_or(arn.as_str(), |(_, _, name)| name));
        xml.text("PolicyArn", arn);
    });
}
