//! The account's own actions.

use super::Iam;
use super::parameters::write_page;
use crate::protocol::query_api::{Answer, Xml};

pub(super) async fn summary(iam: &Iam<'_>) -> Answer {
    let summary = iam.identities.summary(iam.account).await?;
    let mut xml = Xml::new();
    xml.element("SummaryMap", |xml| {
        for (key, value) in summary.0 {
            xml.element("entry", |xml| {
                xml.text("key", key);
                xml.text("value", &value.to_string());
            });
        }
    });
    Ok(xml)
}

pub(super) async fn create_alias(iam: &Iam<'_>) -> Answer {
    iam.identities.create_alias(iam.account, iam.form().required("AccountAlias")?).await?;
    Ok(Xml::new())
}

pub(super) async fn delete_alias(iam: &Iam<'_>) -> Answer {
    iam.identities.delete_alias(iam.account, iam.form().required("AccountAlias")?).await?;
    Ok(Xml::new())
}

pub(super) async fn list_aliases(iam: &Iam<'_>) -> Answer {
    let alias = iam.identities.alias(iam.account).await?;
    let mut xml = Xml::new();
    xml.texts("AccountAliases", alias);
    write_page(&mut xml, None);
    Ok(xml)
}
