//! Access keys' actions. Without a UserName they are about the caller's own keys: an account's root can so have a
//! second key, and take the first one's place.

use super::Iam;
use super::parameters::write_page;
use crate::identity::records::KeyStatus;
use crate::identity::{AccessKey, iso8601};
use crate::protocol::query_api::{Answer, QueryError, Xml};

fn write_key(xml: &mut Xml, key: &AccessKey) {
    xml.optional("UserName", key.user.as_deref());
    xml.text("AccessKeyId", &key.id);
    xml.text("Status", if key.status == KeyStatus::Active { "Active" } else { "Inactive" });
    xml.text("CreateDate", &iso8601(key.created));
}

pub(super) async fn create(iam: &Iam<'_>) -> Answer {
    let user = iam.user_or_own()?;
    let new = iam.identities.create_access_key(iam.account, user.as_deref(), iam.call.now).await?;
    let mut xml = Xml::new();
    xml.element("AccessKey", |xml| {
        write_key(xml, &new.key);
        xml.text("SecretAccessKey", new.secret.expose());
    });
    Ok(xml)
}

pub(super) async fn list(iam: &Iam<'_>) -> Answer {
    let user = iam.user_or_own()?;
    let page = iam.identities.access_keys(iam.account, user.as_deref(), &iam.page()?).await?;
    let mut xml = Xml::new();
    xml.optional("UserName", user.as_deref());
    xml.list("AccessKeyMetadata", &page.items, write_key);
    write_page(&mut xml, page.next.as_deref());
    Ok(xml)
}

pub(super) async fn update(iam: &Iam<'_>) -> Answer {
    let (user, form) = (iam.user_or_own()?, iam.form());
    let status = match form.required("Status")? {
        "Active" => KeyStatus::Active,
        "Inactive" => KeyStatus::Inactive,
        other => {
            return Err(QueryError::validation(format!(
                "1 validation error detected: Value '{other}' at 'status' failed to satisfy constraint: Member must \
                 satisfy enum value set: [Active, Inactive]"
            )));
        }
    };
    let id = form.required("AccessKeyId")?;
    iam.identities.set_access_key_status(iam.account, user.as_deref(), id, status).await?;
    Ok(Xml::new())
}

pub(super) async fn delete(iam: &Iam<'_>) -> Answer {
    let user = iam.user_or_own()?;
    let id = iam.form().required("AccessKeyId")?;
    iam.identities.delete_access_key(iam.account, user.as_deref(), id).await?;
    Ok(Xml::new())
}

/// AWS writes `N/A` for a key that was never used, and no date.
pub(super) async fn last_used(iam: &Iam<'_>) -> Answer {
    let id = iam.form().required("AccessKeyId")?;
    let Some((user, used)) = iam.identities.access_key_last_used(iam.account, id).await? else {
        let message = format!("The Access Key with id {id} cannot be found.");
        return Err(QueryError::new(http::StatusCode::NOT_FOUND, "NoSuchEntity", message));
    };
    let mut xml = Xml::new();
    xml.optional("UserName", user.as_deref());
    xml.element("AccessKeyLastUsed", |xml| {
        xml.optional("LastUsedDate", used.as_ref().map(|used| iso8601(used.used)).as_deref());
        xml.text("ServiceName", used.as_ref().map_or("N/A", |used| &used.service));
        xml.text("Region", used.as_ref().map_or("N/A", |used| &used.region));
    });
    Ok(xml)
}
