//! Managed policies' actions.

use super::Iam;
use super::parameters::write_page;
use super::shapes::{self, Detail};
use crate::identity::records::EntityKind;
use crate::identity::{NewPolicy, Page, PolicyFilter, PolicyVersionText, Scope, Usage, iso8601};
use crate::protocol::query_api::{Answer, QueryError, Xml};

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let new = NewPolicy {
        name: form.required("PolicyName")?.to_owned(),
        path: iam.path(),
        document: form.required("PolicyDocument")?.to_owned(),
        description: form.text("Description").map(str::to_owned),
        tags: form.tags("Tags")?,
    };
    let policy = iam.identities.create_policy(iam.account, new, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("Policy", |xml| shapes::policy(xml, &policy, Detail::Whole));
    Ok(xml)
}

pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let policy = iam.identities.policy(iam.account, iam.form().required("PolicyArn")?).await?;
    let mut xml = Xml::new();
    xml.element("Policy", |xml| shapes::policy(xml, &policy, Detail::Whole));
    Ok(xml)
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    iam.identities.delete_policy(iam.account, iam.form().required("PolicyArn")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let scope = match form.text("Scope") {
        None | Some("All") => Scope::All,
        Some("AWS") => Scope::Aws,
        Some("Local") => Scope::Local,
        Some(other) => return Err(not_one_of("scope", other, "[All, Local, AWS]")),
    };
    let usage = usage_filter(iam)?;
    let used = match (usage, form.flag("OnlyAttached")?) {
        (Some(usage), _) => Some(Some(usage)),
        (None, Some(true)) => Some(Some(Usage::Attached)),
        (None, _) => None,
    };
    let filter = PolicyFilter { scope, used, path_prefix: iam.path_prefix().to_owned() };
    let page = iam.identities.policies(iam.account, &filter, &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("Policies", &page.items, |xml, policy| shapes::policy(xml, policy, Detail::Listed));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

fn usage_filter(iam: &Iam<'_>) -> Result<Option<Usage>, QueryError> {
    match iam.form().text("PolicyUsageFilter") {
        None => Ok(None),
        Some("PermissionsPolicy") => Ok(Some(Usage::Attached)),
        Some("PermissionsBoundary") => Ok(Some(Usage::Boundary)),
        Some(other) => Err(not_one_of("policyUsageFilter", other, "[PermissionsPolicy, PermissionsBoundary]")),
    }
}

fn not_one_of(parameter: &str, value: &str, values: &str) -> QueryError {
    QueryError::validation(format!(
        "1 validation error detected: Value '{value}' at '{parameter}' failed to satisfy constraint: Member must satisfy \
         enum value set: {values}"
    ))
}

pub(super) async fn create_version(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let (arn, document) = (form.required("PolicyArn")?, form.required("PolicyDocument")?);
    let is_default = form.flag("SetAsDefault")?.unwrap_or(false);
    let version = iam.identities.create_policy_version(iam.account, arn, document, is_default, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| write_version(xml, &version, Detail::Listed));
    Ok(xml)
}

/// `v` and a number.
fn version_number(iam: &Iam<'_>) -> Result<u32, QueryError> {
    let text = iam.form().required("VersionId")?;
    text.strip_prefix('v').and_then(|number| number.parse().ok()).ok_or_else(|| {
        QueryError::validation(format!(
            "1 validation error detected: Value '{text}' at 'versionId' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?"
        ))
    })
}

fn write_version(xml: &mut Xml, version: &PolicyVersionText, detail: Detail) {
    if detail == Detail::Whole {
        shapes::document(xml, "Document", &version.document);
    }
    xml.text("VersionId", &format!("v{}", version.version.number));
    xml.text("IsDefaultVersion", if version.is_default { "true" } else { "false" });
    xml.text("CreateDate", &iso8601(version.version.created));
}

pub(super) async fn get_version(iam: &Iam<'_>) -> Answer {
    let arn = iam.form().required("PolicyArn")?;
    let version = iam.identities.policy_version(iam.account, arn, version_number(iam)?).await?;
    let mut xml = Xml::new();
    xml.element("PolicyVersion", |xml| write_version(xml, &version, Detail::Whole));
    Ok(xml)
}

pub(super) async fn list_versions(iam: &Iam<'_>) -> Answer {
    let policy = iam.identities.policy(iam.account, iam.form().required("PolicyArn")?).await?;
    let default = policy.record.default_version;
    // Newest first, as AWS lists them.
    let versions = policy.record.versions.into_iter().map(|version| PolicyVersionText {
        version,
        is_default: version.number == default,
        document: String::new(),
    });
    let page =
        Page::of(versions.collect(), |version| format!("{:010}", u32::MAX - version.version.number), &iam.page()?);
    let mut xml = Xml::new();
    xml.list("Versions", &page.items, |xml, version| write_version(xml, version, Detail::Listed));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn set_default_version(iam: &Iam<'_>) -> Answer {
    let (arn, number) = (iam.form().required("PolicyArn")?, version_number(iam)?);
    iam.identities.set_default_policy_version(iam.account, arn, number, iam.call.now).await?;
    Ok(Xml::new())
}

pub(super) async fn delete_version(iam: &Iam<'_>) -> Answer {
    let (arn, number) = (iam.form().required("PolicyArn")?, version_number(iam)?);
    iam.identities.delete_policy_version(iam.account, arn, number, iam.call.now).await?;
    Ok(Xml::new())
}

/// Who uses a policy, by kind.
pub(super) async fn entities(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let kind = match form.text("EntityFilter") {
        None => None,
        Some("User") => Some(EntityKind::User),
        Some("Group") => Some(EntityKind::Group),
        Some("Role") => Some(EntityKind::Role),
        Some("LocalManagedPolicy" | "AWSManagedPolicy") => {
            return Err(QueryError::validation("EntityFilter must be User, Group or Role here."));
        }
        Some(other) => return Err(not_one_of("entityFilter", other, "[User, Group, Role]")),
    };
    let usage = usage_filter(iam)?;
    let mut users = iam.identities.policy_users(iam.account, form.required("PolicyArn")?).await?;
    users.retain(|(how, what, ..)| usage.is_none_or(|usage| usage == *how) && kind.is_none_or(|kind| kind == *what));
    // One who is bounded by a policy that is also attached is listed once.
    users.sort_by(|(_, _, a, _), (_, _, b, _)| a.cmp(b));
    users.dedup_by(|(_, _, a, _), (_, _, b, _)| a == b);
    let page = Page::of(users, |(_, _, id, _)| id.clone(), &iam.page()?);
    let mut xml = Xml::new();
    for (kind, list, name, id_name) in [
        (EntityKind::Group, "PolicyGroups", "GroupName", "GroupId"),
        (EntityKind::User, "PolicyUsers", "UserName", "UserId"),
        (EntityKind::Role, "PolicyRoles", "RoleName", "RoleId"),
    ] {
        let of_kind = page.items.iter().filter(|(_, what, ..)| *what == kind);
        xml.list(list, of_kind, |xml, (_, _, id, entity)| {
            xml.text(name, entity);
            xml.text(id_name, id);
        });
    }
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn tag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.tag_policy(iam.account, form.required("PolicyArn")?, &form.tags("Tags")?).await?;
    Ok(Xml::new())
}

pub(super) async fn untag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.untag_policy(iam.account, form.required("PolicyArn")?, &form.list("TagKeys")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_tags(iam: &Iam<'_>) -> Answer {
    let policy = iam.identities.policy(iam.account, iam.form().required("PolicyArn")?).await?;
    iam.tags_page(policy.record.tags)
}
