//! Roles' actions.

use super::Iam;
use super::parameters::write_page;
use super::shapes::{self, Detail};
use crate::identity::{NewRole, RoleUpdate};
use crate::protocol::query_api::{Answer, Xml};

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let new = NewRole {
        name: form.required("RoleName")?.to_owned(),
        path: iam.path(),
        trust: form.required("AssumeRolePolicyDocument")?.to_owned(),
        description: form.text("Description").map(str::to_owned),
        max_session_seconds: form.number("MaxSessionDuration")?,
        tags: form.tags("Tags")?,
        boundary: form.text("PermissionsBoundary").map(str::to_owned),
    };
    let role = iam.identities.create_role(iam.account, new, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("Role", |xml| shapes::role(xml, iam.account, &role, Detail::Whole));
    Ok(xml)
}

pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let role = iam.identities.role(iam.account, iam.form().required("RoleName")?).await?;
    let used = iam.identities.role_last_used(&role).await?;
    let mut xml = Xml::new();
    xml.element("Role", |xml| {
        shapes::role(xml, iam.account, &role, Detail::Whole);
        shapes::role_last_used(xml, used.as_ref());
    });
    Ok(xml)
}

/// AWS's answer has an empty result.
pub(super) async fn update(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let update = RoleUpdate {
        description: form.text("Description").map(str::to_owned),
        max_session_seconds: form.number("MaxSessionDuration")?,
        trust: None,
    };
    iam.identities.update_role(iam.account, form.required("RoleName")?, update).await?;
    Ok(Xml::new())
}

pub(super) async fn update_description(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let update = RoleUpdate { description: Some(form.required("Description")?.to_owned()), ..RoleUpdate::default() };
    let role = iam.identities.update_role(iam.account, form.required("RoleName")?, update).await?;
    let mut xml = Xml::new();
    xml.element("Role", |xml| shapes::role(xml, iam.account, &role, Detail::Whole));
    Ok(xml)
}

pub(super) async fn update_trust(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let update = RoleUpdate { trust: Some(form.required("PolicyDocument")?.to_owned()), ..RoleUpdate::default() };
    iam.identities.update_role(iam.account, form.required("RoleName")?, update).await?;
    Ok(Xml::new())
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    iam.identities.delete_role(iam.account, iam.form().required("RoleName")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let page = iam.identities.roles(iam.account, iam.path_prefix(), &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("Roles", &page.items, |xml, role| shapes::role(xml, iam.account, role, Detail::Listed));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn tag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.tag_role(iam.account, form.required("RoleName")?, &form.tags("Tags")?).await?;
    Ok(Xml::new())
}

pub(super) async fn untag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.untag_role(iam.account, form.required("RoleName")?, &form.list("TagKeys")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_tags(iam: &Iam<'_>) -> Answer {
    let role = iam.identities.role(iam.account, iam.form().required("RoleName")?).await?;
    iam.tags_page(role.tags)
}
