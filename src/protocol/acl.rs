//! Access control lists on the wire: canned ones, grants in headers and in XML, and what a bucket's ownership makes of
//! them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>

use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::Attributes;

use super::convert;
use super::error::{Failure, Result};
use super::s3::Call;
use crate::accounts::Accounts;
use crate::object;
use crate::rules::Refusal;
use crate::rules::acl::{self, Acl, Canned, Group, MAX_GRANTS, Stated};
use crate::rules::ownership::ObjectOwnership;

const X_AMZ_ACL: &str = "x-amz-acl";

/// Headers that grant, and what.
const GRANT_HEADERS: [(&str, acl::Permission); 5] = [
    ("x-amz-grant-full-control", acl::Permission::FullControl),
    ("x-amz-grant-read", acl::Permission::Read),
    ("x-amz-grant-write", acl::Permission::Write),
    ("x-amz-grant-read-acp", acl::Permission::ReadAcp),
    ("x-amz-grant-write-acp", acl::Permission::WriteAcp),
];

/// Whom a new object belongs to, and its list.
pub(super) struct NewObjectAccess {
    /// The canonical id of its owner.
    pub owner: String,
    acl: Option<Acl>,
}

impl NewObjectAccess {
    /// Adds the list to what the object says about itself.
    pub(super) fn give_to(&self, attributes: &mut Attributes) {
        object::set_object_acl(attributes, self.acl.as_ref());
    }
}

/// What the request makes of the object that it writes.
///
/// # Errors
/// `AccessControlListNotSupported` where lists are disabled, `AccessDenied` for a public list where Block Public Access
/// forbids it, and what is wrong with the headers.
pub(super) async fn of_new_object(call: &Call<'_>) -> Result<NewObjectAccess> {
    let stated = in_headers(call)?;
    let access = call.access().await?;
    let (bucket_owner, ownership) = (&call.bucket()?.owner, access.ownership.effective());
    if !stated.suits(ownership, bucket_owner) {
        return Err(Failure::new("AccessControlListNotSupported"));
    }
    let writer = call.owner()?;
    let owner = ownership.owner(&writer, bucket_owner, stated.gives_full_control()).to_owned();
    let acl = if ownership.has_acls() { stated.acl(&owner, bucket_owner) } else { None };
    refuse_public(call, &access, acl.as_ref()).await?;
    Ok(NewObjectAccess { owner, acl })
}

/// What a request says about a new bucket's list.
///
/// # Errors
/// `InvalidBucketAclWithObjectOwnership` where lists will be disabled.
pub(super) fn of_new_bucket(call: &Call<'_>, ownership: ObjectOwnership) -> Result<Option<Acl>> {
    let stated = in_headers(call)?;
    let owner = call.owner()?;
    let acl = stated.acl(&owner, &owner);
    if !ownership.has_acls() && acl.as_ref().is_some_and(|acl| !acl.is_only_for(&owner)) {
        return Err(Failure::new("InvalidBucketAclWithObjectOwnership"));
    }
    Ok(acl)
}

async fn refuse_public(call: &Call<'_>, access: &object::BucketAccess, acl: Option<&Acl>) -> Result<()> {
    if acl.is_some_and(Acl::is_public) && call.public_access_block(access).await?.block_public_acls {
        let message = "Public access control lists are blocked for this bucket by Block Public Access.";
        return Err(Failure::with_message("AccessDenied", message));
    }
    Ok(())
}

/// What the request's headers say.
fn in_headers(call: &Call<'_>) -> Result<Stated> {
    let canned = match call.header_named(X_AMZ_ACL) {
        None => None,
        Some(name) => match Canned::parse(&name) {
            Some(canned) => Some(canned),
            None => return Err(Refusal::invalid_argument(X_AMZ_ACL, &name, "").into()),
        },
    };
    let mut grants = Vec::new();
    for (header, permission) in GRANT_HEADERS {
        let Some(text) = call.header_named(header) else { continue };
        for grantee in text.split(',').map(str::trim).filter(|grantee| !grantee.is_empty()) {
            let grantee = named_grantee(call.accounts(), header, grantee)?;
            grants.push(acl::Grant { grantee, permission });
        }
    }
    match (canned, grants.is_empty()) {
        (None, true) => Ok(Stated::Nothing),
        (Some(canned), true) => Ok(Stated::Canned(canned)),
        (None, false) => Ok(Stated::Grants(limited(grants)?)),
        (Some(_), false) => {
            let message = "Specifying both Canned ACLs and Header Grants is not allowed";
            Err(Refusal::invalid_request(message).into())
        }
    }
}

/// A grantee in a header: `id="…"`, `uri="…"` or `emailAddress="…"`.
fn named_grantee(accounts: &Accounts, header: &str, text: &str) -> Result<acl::Grantee> {
    let malformed = || Refusal::invalid_argument(header, text, "Argument format not recognized");
    let (kind, value) = text.split_once('=').ok_or_else(malformed)?;
    let value = value.trim().trim_matches('"');
    match kind.trim().to_ascii_lowercase().as_str() {
        "id" => known_account(accounts, value),
        "uri" => known_group(value),
        "emailaddress" => account_by_email(accounts, value),
        _ => Err(malformed().into()),
    }
}

/// A grantee in XML; `None` if it is not named in exactly one way.
pub(super) fn read_grantee(accounts: &Accounts, grantee: &Grantee) -> Option<Result<acl::Grantee>> {
    match (grantee.id.as_deref(), grantee.uri.as_deref(), grantee.email_address.as_deref()) {
        (Some(id), None, None) => Some(known_account(accounts, id)),
        (None, Some(uri), None) => Some(known_group(uri)),
        (None, None, Some(email)) => Some(account_by_email(accounts, email)),
        _ => None,
    }
}

fn known_account(accounts: &Accounts, id: &str) -> Result<acl::Grantee> {
    let id = id.to_ascii_lowercase();
    match accounts.by_canonical_id(&id) {
        Some(_) => Ok(acl::Grantee::Account(id)),
        None => Err(Refusal::invalid_argument("CanonicalUser/ID", &id, "Invalid id").into()),
    }
}

fn known_group(uri: &str) -> Result<acl::Grantee> {
    match Group::parse(uri) {
        Some(group) => Ok(acl::Grantee::Group(group)),
        None => Err(Refusal::invalid_argument("Group/URI", uri, "Invalid group uri").into()),
    }
}

fn account_by_email(accounts: &Accounts, email: &str) -> Result<acl::Grantee> {
    let mut found = accounts.by_email(email);
    match (found.next(), found.next()) {
        (Some(account), None) => Ok(acl::Grantee::Account(account.canonical_id.clone())),
        (Some(_), Some(_)) => Err(Failure::new("AmbiguousGrantByEmailAddress")),
        (None, _) => Err(Failure::new("UnresolvableGrantByEmailAddress")),
    }
}

fn limited(grants: Vec<acl::Grant>) -> Result<Acl> {
    if grants.len() > MAX_GRANTS {
        let message = format!("An access control list has at most {MAX_GRANTS} grants.");
        return Err(Failure::with_message("MalformedACLError", message));
    }
    Ok(Acl(grants))
}

/// The list that a request sets: in its headers or in its body, and not in both.
fn stated(call: &Call<'_>, policy: Option<&AccessControlPolicy>, owner: &str) -> Result<Stated> {
    match (in_headers(call)?, policy) {
        (Stated::Nothing, Some(policy)) => in_xml(call.accounts(), policy, owner),
        (Stated::Nothing, None) => Err(Failure::new("MissingSecurityHeader").with("MissingHeaderName", X_AMZ_ACL)),
        (stated, None) => Ok(stated),
        (_, Some(_)) => Err(Failure::new("UnexpectedContent")),
    }
}

fn in_xml(accounts: &Accounts, policy: &AccessControlPolicy, owner: &str) -> Result<Stated> {
    let malformed = || Failure::new("MalformedACLError");
    // The owner cannot be changed by its list.
    if policy.owner.as_ref().and_then(|owner| owner.id.as_deref()).is_some_and(|id| !id.eq_ignore_ascii_case(owner)) {
        return Err(Failure::new("AccessDenied"));
    }
    let mut grants = Vec::new();
    for grant in policy.grants.iter().flatten() {
        let permission = grant.permission.as_ref().and_then(|permission| acl::Permission::parse(permission.as_str()));
        let grantee = grant.grantee.as_ref().ok_or_else(malformed)?;
        let grantee = read_grantee(accounts, grantee).ok_or_else(malformed)??;
        grants.push(acl::Grant { grantee, permission: permission.ok_or_else(malformed)? });
    }
    limited(grants).map(Stated::Grants)
}

/// A list as S3 writes it: groups, then accounts.
fn written(accounts: &Accounts, acl: &Acl) -> Grants {
    let mut grants: Vec<_> = acl.0.iter().collect();
    grants.sort_by_key(|grant| matches!(grant.grantee, acl::Grantee::Account(_)));
    grants.into_iter().map(|grant| written_grant(accounts, grant)).collect()
}

fn written_grant(accounts: &Accounts, grant: &acl::Grant) -> Grant {
    let (owner, kind, uri) = match &grant.grantee {
        acl::Grantee::Account(id) => (convert::owner(accounts, id), Type::CANONICAL_USER, None),
        acl::Grantee::Group(group) => (Owner::default(), Type::GROUP, Some(group.uri().to_owned())),
    };
    let grantee = Grantee {
        id: owner.id,
        display_name: owner.display_name,
        email_address: None,
        type_: Type::from_static(kind),
        uri,
    };
    Grant { grantee: Some(grantee), permission: Some(Permission::from_static(grant.permission.as_str())) }
}

pub(super) async fn bucket(call: &Call<'_>, _: GetBucketAclInput) -> Result<S3Response<GetBucketAclOutput>> {
    let access = call.access().await?;
    let owner = &call.bucket()?.owner;
    let acl = access.acl.as_ref().filter(|_| access.ownership.effective().has_acls());
    let grants = written(call.accounts(), acl.unwrap_or(&Acl::private(owner)));
    let owner = convert::owner(call.accounts(), owner);
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(grants), owner: Some(owner) }))
}

pub(super) async fn object(call: &Call<'_>, input: GetObjectAclInput) -> Result<S3Response<GetObjectAclOutput>> {
    let bucket = call.bucket()?;
    let version = convert::version(input.version_id.as_deref())?;
    let (version, object) = call.objects().object_version(bucket, &input.key, version).await?;
    let has_acls = call.access().await?.ownership.effective().has_acls();
    let owner = if has_acls { &version.owner } else { &bucket.owner };
    let acl = if has_acls { object::object_acl(&object.attributes)? } else { None };
    let grants = written(call.accounts(), &acl.unwrap_or_else(|| Acl::private(owner)));
    let owner = convert::owner(call.accounts(), owner);
    let output = GetObjectAclOutput { grants: Some(grants), owner: Some(owner), ..Default::default() };
    Ok(S3Response::new(output))
}

/// The list to keep: `None` where it is the private one.
async fn to_set(call: &Call<'_>, stated: &Stated, owner: &str) -> Result<Option<Acl>> {
    let access = call.access().await?;
    let bucket_owner = &call.bucket()?.owner;
    if !access.ownership.effective().has_acls() {
        // Clients write back what they have read; that changes nothing, and S3 takes it.
        let takes = matches!(stated, Stated::Grants(_)) && stated.suits(ObjectOwnership::default(), bucket_owner);
        return if takes { Ok(None) } else { Err(Failure::new("AccessControlListNotSupported")) };
    }
    let acl = stated.acl(owner, bucket_owner).filter(|acl| *acl != Acl::private(owner));
    refuse_public(call, &access, acl.as_ref()).await?;
    Ok(acl)
}

pub(super) async fn set_bucket(call: &Call<'_>, input: PutBucketAclInput) -> Result<S3Response<PutBucketAclOutput>> {
    call.verify_xml_body()?;
    let bucket = call.bucket()?;
    let stated = stated(call, input.access_control_policy.as_ref(), &bucket.owner)?;
    let acl = to_set(call, &stated, &bucket.owner).await?;
    if call.access().await?.ownership.effective().has_acls() {
        call.objects().set_bucket_acl(&bucket.name, acl.as_ref()).await?;
    }
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(super) async fn set_object(call: &Call<'_>, input: PutObjectAclInput) -> Result<S3Response<PutObjectAclOutput>> {
    call.verify_xml_body()?;
    let version = convert::version(input.version_id.as_deref())?;
    let bucket = call.bucket()?;
    let (found, _) = call.objects().object_version(bucket, &input.key, version).await?;
    let has_acls = call.access().await?.ownership.effective().has_acls();
    let owner = if has_acls { &found.owner } else { &bucket.owner };
    let stated = stated(call, input.access_control_policy.as_ref(), owner)?;
    let acl = to_set(call, &stated, owner).await?;
    if has_acls {
        call.objects().set_object_acl(bucket, &input.key, version, acl.as_ref(), &call.origin()).await?;
    }
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccessKey, Account, SecretKey};

    fn accounts() -> Accounts {
        let key = |id: &str| AccessKey::new(id.to_owned(), SecretKey::new(format!("secret-of-{id}"))).expect("valid");
        let account = |id: &str, email: &str| Account::new(Some(id), None, "", email).expect("valid");
        let configured = [
            (account("111111111111", "one@example.com"), key("ONE")),
            (account("222222222222", "shared@example.com"), key("TWO")),
            (account("333333333333", "shared@example.com"), key("THREE")),
        ];
        Accounts::new(key("ROOT"), configured).expect("no duplicates")
    }

    fn code<T>(result: Result<T>) -> Option<String> {
        result.err().map(|failure| failure.code_and_message().0)
    }

    #[test]
    fn grantees_in_headers() {
        let accounts = accounts();
        let one = &accounts.by_id("111111111111").expect("known").canonical_id;
        let named = |text: &str| named_grantee(&accounts, "x-amz-grant-read", text);
        for text in [format!("id={one}"), format!("id=\"{one}\""), "emailAddress=\"one@example.com\"".to_owned()] {
            assert_eq!(named(&text).ok(), Some(acl::Grantee::Account(one.clone())), "{text}");
        }
        let group = format!("uri=\"{}\"", Group::AllUsers.uri());
        assert_eq!(named(&group).ok(), Some(acl::Grantee::Group(Group::AllUsers)));
        for (text, expected) in [
            ("id=_foo", "InvalidArgument"),
            ("uri=\"http://example.com\"", "InvalidArgument"),
            ("emailAddress=\"nobody@example.com\"", "UnresolvableGrantByEmailAddress"),
            ("emailAddress=\"shared@example.com\"", "AmbiguousGrantByEmailAddress"),
            ("everyone", "InvalidArgument"),
        ] {
            assert_eq!(code(named(text)).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_list_has_a_limit() {
        let grant = acl::Grant::to_group(Group::AllUsers, acl::Permission::Read);
        assert!(limited(vec![grant.clone(); MAX_GRANTS]).is_ok());
        assert_eq!(code(limited(vec![grant; MAX_GRANTS + 1])).as_deref(), Some("MalformedACLError"));
    }

    #[test]
    fn groups_are_written_before_accounts() {
        let accounts = accounts();
        let owner = &accounts.by_id("111111111111").expect("known").canonical_id;
        let grants = written(&accounts, &Canned::PublicReadWrite.acl(owner, owner));
        let kinds: Vec<_> = grants
            .iter()
            .map(|grant| grant.grantee.as_ref().map_or("", |grantee| grantee.type_.as_str()).to_owned())
            .collect();
        assert_eq!(kinds, [Type::GROUP, Type::GROUP, Type::CANONICAL_USER]);
    }
}
