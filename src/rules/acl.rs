//! Access control lists: who is granted what on a bucket or an object.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>

use serde::{Deserialize, Serialize};

use super::ownership::{GivesFullControl, ObjectOwnership};

/// The most grants of a list.
pub const MAX_GRANTS: usize = 100;

/// What is granted. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// All of the others.
    FullControl,
    /// A bucket: listing it. An object: its data and metadata.
    Read,
    /// A bucket: creating, overwriting and deleting objects. An object: nothing.
    Write,
    /// Reading the list itself.
    ReadAcp,
    /// Replacing the list itself.
    WriteAcp,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 5] = [Self::FullControl, Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp];

    /// The permission of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// As S3 spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
        }
    }

    fn includes(self, asked: Self) -> bool {
        self == Self::FullControl || self == asked
    }
}

/// A group that S3 defines. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Group {
    /// Everyone, signature or not.
    AllUsers,
    /// Everyone with a signature, of whatever account.
    AuthenticatedUsers,
    /// The service that delivers access logs.
    LogDelivery,
}

impl Group {
    /// Every group.
    pub const ALL: [Self; 3] = [Self::AllUsers, Self::AuthenticatedUsers, Self::LogDelivery];

    /// The group of this URI.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.uri() == uri)
    }

    /// As S3 names it.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }

    /// Whether a grant to it makes what it is on public.
    #[must_use]
    pub fn is_public(self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }
}

/// Who is granted something. Stored: the order of the variants is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Grantee {
    /// An account, by its canonical id.
    Account(String),
    /// A group.
    Group(Group),
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

impl Grant {
    /// A grant to an account.
    #[must_use]
    pub fn to_account(canonical_id: &str, permission: Permission) -> Self {
        Self { grantee: Grantee::Account(canonical_id.to_owned()), permission }
    }

    /// A grant to a group.
    #[must_use]
    pub fn to_group(group: Group, permission: Permission) -> Self {
        Self { grantee: Grantee::Group(group), permission }
    }
}

/// Who asks, as far as a list can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// Nobody in particular.
    Anonymous,
    /// Somebody of the account with this canonical id.
    Account(&'a str),
}

/// Whether grants to the public count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicGrants {
    /// They do.
    Count,
    /// Block Public Access says that they do not.
    Ignored,
}

/// An access control list. One that is empty grants nothing to anybody; the owner can still replace it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl(pub Vec<Grant>);

impl Acl {
    /// What a bucket or object has whose owner said nothing: the owner has full control.
    #[must_use]
    pub fn private(owner: &str) -> Self {
        Self(vec![Grant::to_account(owner, Permission::FullControl)])
    }

    /// Whether it grants `permission` to the requester.
    #[must_use]
    pub fn grants(&self, requester: Requester<'_>, permission: Permission, public: PublicGrants) -> bool {
        let counts = public == PublicGrants::Count;
        self.0.iter().filter(|grant| grant.permission.includes(permission)).any(|grant| match &grant.grantee {
            Grantee::Account(id) => requester == Requester::Account(id),
            Grantee::Group(Group::AllUsers) => counts,
            Grantee::Group(Group::AuthenticatedUsers) => counts && requester != Requester::Anonymous,
            Grantee::Group(Group::LogDelivery) => false,
        })
    }

    /// Whether it grants anything to the public.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.0.iter().any(|grant| matches!(grant.grantee, Grantee::Group(group) if group.is_public()))
    }

    /// Whether it grants nothing to anybody but this account.
    #[must_use]
    pub fn is_only_for(&self, canonical_id: &str) -> bool {
        self.0.iter().all(|grant| matches!(&grant.grantee, Grantee::Account(id) if id == canonical_id))
    }
}

/// The predefined lists.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canned {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    /// For bundles of virtual machine images; there is no such service here, so it grants what `private` does.
    AwsExecRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
    LogDeliveryWrite,
}

impl Canned {
    /// Every list.
    pub const ALL: [Self; 8] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::AwsExecRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// The list of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// As `x-amz-acl` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::AwsExecRead => "aws-exec-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }

    /// The grants of the list on what `owner` owns, in a bucket of `bucket_owner`.
    #[must_use]
    pub fn acl(self, owner: &str, bucket_owner: &str) -> Acl {
        let mut acl = Acl::private(owner);
        match self {
            Self::PublicRead => acl.0.push(Grant::to_group(Group::AllUsers, Permission::Read)),
            Self::PublicReadWrite => {
                acl.0.push(Grant::to_group(Group::AllUsers, Permission::Read));
                acl.0.push(Grant::to_group(Group::AllUsers, Permission::Write));
            }
            Self::AuthenticatedRead => acl.0.push(Grant::to_group(Group::AuthenticatedUsers, Permission::Read)),
            Self::BucketOwnerRead if owner != bucket_owner => {
                acl.0.push(Grant::to_account(bucket_owner, Permission::Read));
            }
            Self::BucketOwnerFullControl if owner != bucket_owner => {
                acl.0.push(Grant::to_account(bucket_owner, Permission::FullControl));
            }
            Self::Private | Self::AwsExecRead | Self::BucketOwnerRead | Self::BucketOwnerFullControl => {}
            Self::LogDeliveryWrite => {
                acl.0.push(Grant::to_group(Group::LogDelivery, Permission::Write));
                acl.0.push(Grant::to_group(Group::LogDelivery, Permission::ReadAcp));
            }
        }
        acl
    }
}

/// What a request says about the list of what it makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stated {
    /// Nothing.
    #[default]
    Nothing,
    /// A predefined list.
    Canned(Canned),
    /// Grants, one by one. They are all there is: the owner is not added.
    Grants(Acl),
}

impl Stated {
    /// Whether the request gives the bucket's owner full control in the way that makes it the owner, too.
    #[must_use]
    pub fn gives_full_control(&self) -> GivesFullControl {
        match self {
            Self::Canned(Canned::BucketOwnerFullControl) => GivesFullControl::Yes,
            _ => GivesFullControl::No,
        }
    }

    /// The list of what `owner` owns in a bucket of `bucket_owner`; `None` where it is the private one.
    #[must_use]
    pub fn acl(&self, owner: &str, bucket_owner: &str) -> Option<Acl> {
        match self {
            Self::Nothing => None,
            Self::Canned(canned) => Some(canned.acl(owner, bucket_owner)).filter(|acl| *acl != Acl::private(owner)),
            Self::Grants(acl) => Some(acl.clone()),
        }
    }

    /// Whether a bucket with this ownership takes it with a new object. Where lists are disabled, only what says that
    /// the bucket's owner has full control is taken: clients write it for buckets that need it.
    #[must_use]
    pub fn suits(&self, ownership: ObjectOwnership, bucket_owner: &str) -> bool {
        ownership.has_acls()
            || match self {
                Self::Nothing | Self::Canned(Canned::BucketOwnerFullControl) => true,
                Self::Canned(_) => false,
                Self::Grants(acl) => *acl == Acl::private(bucket_owner),
            }
    }
}

#[cfg(test)]
mod tests;
