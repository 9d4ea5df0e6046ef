//! Groups' actions.

use super::Iam;
use super::parameters::write_page;
use super::shapes::{self, Detail};
use crate::identity::NewGroup;
use crate::protocol::query_api::{Answer, Xml};

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let new = NewGroup { name: iam.form().required("GroupName")?.to_owned(), path: iam.path() };
    let group = iam.identities.create_group(iam.account, new, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("Group", |xml| shapes::group(xml, iam.account, &group));
    Ok(xml)
}

/// The group and a page of its members.
pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let group = iam.identities.group(iam.account, iam.form().required("GroupName")?).await?;
    let members = iam.identities.members(iam.account, &group, &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.element("Group", |xml| shapes::group(xml, iam.account, &group));
    xml.list("Users", &members.items, |xml, user| shapes::user(xml, iam.account, user, Detail::Listed));
    write_page(&mut xml, members.next.as_deref());
    Ok(xml)
}

pub(super) async fn update(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let name = form.required("GroupName")?;
    iam.identities.update_group(iam.account, name, form.text("NewGroupName"), form.text("NewPath")).await?;
    Ok(Xml::new())
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    iam.identities.delete_group(iam.account, iam.form().required("GroupName")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let page = iam.identities.groups(iam.account, iam.path_prefix(), &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("Groups", &page.items, |xml, group| shapes::group(xml, iam.account, group));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn add_user(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.add_to_group(iam.account, form.required("GroupName")?, form.required("UserName")?).await?;
    Ok(Xml::new())
}

pub(super) async fn remove_user(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.remove_from_group(iam.account, form.required("GroupName")?, form.required("UserName")?).await?;
    Ok(Xml::new())
}

pub(super) async fn of_user(iam: &Iam<'_>) -> Answer {
    let page = iam.identities.groups_of(iam.account, iam.form().required("UserName")?, &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("Groups", &page.items, |xml, group| shapes::group(xml, iam.account, group));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}
