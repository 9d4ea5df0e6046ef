//! Users' actions.

use super::Iam;
use super::parameters::write_page;
use super::shapes::{self, Detail};
use crate::identity::{NewUser, iso8601};
use crate::protocol::query_api::{Answer, Xml};
use storage::types::Timestamp;

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let new = NewUser {
        name: form.required("UserName")?.to_owned(),
        path: iam.path(),
        tags: form.tags("Tags")?,
        boundary: form.text("PermissionsBoundary").map(str::to_owned),
    };
    let user = iam.identities.create_user(iam.account, new, iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("User", |xml| shapes::user(xml, iam.account, &user, Detail::Whole));
    Ok(xml)
}

/// Without a name: the caller. An account's root has neither name nor path.
pub(super) async fn get(iam: &Iam<'_>) -> Answer {
    let mut xml = Xml::new();
    match iam.user_or_own()? {
        Some(name) => {
            let user = iam.identities.user(iam.account, &name).await?;
            xml.element("User", |xml| shapes::user(xml, iam.account, &user, Detail::Whole));
        }
        None => xml.element("User", |xml| {
            xml.text("UserId", iam.account);
            xml.text("Arn", &format!("arn:aws:iam::{}:root", iam.account));
            xml.text("CreateDate", &iso8601(Timestamp(0)));
        }),
    }
    Ok(xml)
}

pub(super) async fn update(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    let name = form.required("UserName")?;
    iam.identities.update_user(iam.account, name, form.text("NewUserName"), form.text("NewPath")).await?;
    Ok(Xml::new())
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    let name = iam.form().required("UserName")?;
    iam.identities.delete_user(iam.account, name).await?;
    Ok(Xml::new())
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let page = iam.identities.users(iam.account, iam.path_prefix(), &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("Users", &page.items, |xml, user| shapes::user(xml, iam.account, user, Detail::Listed));
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn tag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.tag_user(iam.account, form.required("UserName")?, &form.tags("Tags")?).await?;
    Ok(Xml::new())
}

pub(super) async fn untag(iam: &Iam<'_>) -> Answer {
    let form = iam.form();
    iam.identities.untag_user(iam.account, form.required("UserName")?, &form.list("TagKeys")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_tags(iam: &Iam<'_>) -> Answer {
    let user = iam.identities.user(iam.account, iam.form().required("UserName")?).await?;
    iam.tags_page(user.tags)
}
