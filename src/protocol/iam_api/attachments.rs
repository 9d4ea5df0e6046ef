//! What users, groups and roles have in common: inline policies, attached policies, boundaries.

use super::Iam;
use super::parameters::write_page;
use super::shapes;
use crate::identity::records::EntityKind;
use crate::protocol::query_api::{Answer, Xml};

pub(super) async fn put_inline(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let form = iam.form();
    let of = iam.principal(kind)?;
    let (name, document) = (form.required("PolicyName")?, form.required("PolicyDocument")?);
    iam.identities.put_inline(iam.account, &of, name, document).await?;
    Ok(Xml::new())
}

pub(super) async fn get_inline(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    let name = iam.form().required("PolicyName")?;
    let record = iam.identities.principal(iam.account, &of).await?;
    let text = iam.identities.inline(iam.account, &of, name).await?;
    let mut xml = Xml::new();
    let whose = match kind {
        EntityKind::User => "UserName",
        EntityKind::Group => "GroupName",
        EntityKind::Role => "RoleName",
    };
    xml.text(whose, record.name());
    xml.text("PolicyName", name);
    shapes::document(&mut xml, "PolicyDocument", &text);
    Ok(xml)
}

pub(super) async fn delete_inline(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    iam.identities.delete_inline(iam.account, &of, iam.form().required("PolicyName")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_inline(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let page = iam.identities.inline_names(iam.account, &iam.principal(kind)?, &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.texts("PolicyNames", &page.items);
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn attach(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    iam.identities.attach(iam.account, &of, iam.form().required("PolicyArn")?).await?;
    Ok(Xml::new())
}

pub(super) async fn detach(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    iam.identities.detach(iam.account, &of, iam.form().required("PolicyArn")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    let page = iam.identities.attached(iam.account, &of, iam.path_prefix(), &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.list("AttachedPolicies", &page.items, |xml, attachment| {
        xml.text("PolicyName", &attachment.name);
        xml.text("PolicyArn", &attachment.arn);
    });
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn put_boundary(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    let of = iam.principal(kind)?;
    let arn = iam.form().required("PermissionsBoundary")?;
    iam.identities.set_boundary(iam.account, &of, Some(arn)).await?;
    Ok(Xml::new())
}

pub(super) async fn delete_boundary(iam: &Iam<'_>, kind: EntityKind) -> Answer {
    iam.identities.set_boundary(iam.account, &iam.principal(kind)?, None).await?;
    Ok(Xml::new())
}
