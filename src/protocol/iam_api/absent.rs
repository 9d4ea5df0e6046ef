//! What this server has none of. Infrastructure tools ask for it all the same, before they delete a user or a role,
//! and the truth is an empty list.

use http::StatusCode;

use super::Iam;
use super::parameters::write_page;
use crate::protocol::query_api::{Answer, QueryError, Xml};

fn empty(list: &str) -> Xml {
    let mut xml = Xml::new();
    xml.texts::<&str>(list, []);
    write_page(&mut xml, None);
    xml
}

/// MFA devices, certificates, SSH keys: users have none.
pub(super) async fn of_user(iam: &Iam<'_>, list: &'static str) -> Answer {
    if let Some(name) = iam.user_or_own()? {
        iam.identities.user(iam.account, &name).await?;
    }
    Ok(empty(list))
}

/// Nobody logs in with a password.
pub(super) async fn login_profile(iam: &Iam<'_>) -> Answer {
    let name = iam.form().required("UserName")?;
    iam.identities.user(iam.account, name).await?;
    let message = format!("Login Profile for User {name} cannot be found.");
    Err(QueryError::new(StatusCode::NOT_FOUND, "NoSuchEntity", message))
}

pub(super) async fn instance_profiles(_: &Iam<'_>) -> Answer {
    Ok(empty("InstanceProfiles"))
}

pub(super) async fn instance_profiles_of_role(iam: &Iam<'_>) -> Answer {
    iam.identities.role(iam.account, iam.form().required("RoleName")?).await?;
    Ok(empty("InstanceProfiles"))
}

pub(super) async fn virtual_mfa_devices(_: &Iam<'_>) -> Answer {
    Ok(empty("VirtualMFADevices"))
}
