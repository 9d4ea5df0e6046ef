//! Where each record is. The kinds are stored: never reuse one. `storage/FORMAT.md` has the table.

use storage::index::keys::{identity, identity_prefix};

use super::records::EntityKind;

const ACCOUNT: u8 = b'a';
const ALIAS: u8 = b'l';
const USER: u8 = b'u';
const GROUP: u8 = b'g';
const ROLE: u8 = b'r';
const ENTITY: u8 = b'i';
const MEMBER: u8 = b'm';
const POLICY: u8 = b'p';
const POLICY_VERSION: u8 = b'v';
const ATTACHMENT: u8 = b't';
const ACCESS_KEY: u8 = b'k';
const SESSION: u8 = b's';
const LAST_USED: u8 = b'x';
const PROVIDER: u8 = b'o';

/// A row's key.
pub(super) type Key = Vec<u8>;

/// IAM's names differ without regard to case.
pub(super) fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

pub(super) fn account(account: &str) -> Key {
    identity(ACCOUNT, &[account])
}

pub(super) fn alias(alias: &str) -> Key {
    identity(ALIAS, &[alias])
}

fn kind(of: EntityKind) -> u8 {
    match of {
        EntityKind::User => USER,
        EntityKind::Group => GROUP,
        EntityKind::Role => ROLE,
    }
}

pub(super) fn entity(of: EntityKind, account: &str, name: &str) -> Key {
    identity(kind(of), &[account, &folded(name)])
}

pub(super) fn entities(of: EntityKind, account: &str) -> Key {
    identity_prefix(kind(of), &[account], "")
}

pub(super) fn user(account: &str, name: &str) -> Key {
    entity(EntityKind::User, account, name)
}

pub(super) fn group(account: &str, name: &str) -> Key {
    entity(EntityKind::Group, account, name)
}

pub(super) fn role(account: &str, name: &str) -> Key {
    entity(EntityKind::Role, account, name)
}

pub(super) fn entity_name(id: &str) -> Key {
    identity(ENTITY, &[id])
}

pub(super) fn member(account: &str, group_id: &str, user_id: &str) -> Key {
    identity(MEMBER, &[account, group_id, user_id])
}

pub(super) fn members(account: &str, group_id: &str) -> Key {
    identity_prefix(MEMBER, &[account, group_id], "")
}

pub(super) fn policy(account: &str, name: &str) -> Key {
    identity(POLICY, &[account, &folded(name)])
}

pub(super) fn policies(account: &str) -> Key {
    identity_prefix(POLICY, &[account], "")
}

pub(super) fn policy_version(account: &str, policy_id: &str, number: u32) -> Key {
    identity(POLICY_VERSION, &[account, policy_id, &format!("{number:010}")])
}

/// How a managed policy is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It is attached: its permissions apply.
    Attached,
    /// It bounds permissions.
    Boundary,
}

impl Usage {
    fn part(self) -> &'static str {
        match self {
            Self::Attached => "a",
            Self::Boundary => "b",
        }
    }
}

pub(super) fn attachment(account: &str, policy_arn: &str, usage: Usage, of: EntityKind, id: &str) -> Key {
    let kind = match of {
        EntityKind::User => "u",
        EntityKind::Group => "g",
        EntityKind::Role => "r",
    };
    identity(ATTACHMENT, &[account, policy_arn, usage.part(), kind, id])
}

/// All uses of a policy.
pub(super) fn attachments(account: &str, policy_arn: &str) -> Key {
    identity_prefix(ATTACHMENT, &[account, policy_arn], "")
}

/// All uses of one sort.
pub(super) fn uses(account: &str, policy_arn: &str, usage: Usage) -> Key {
    identity_prefix(ATTACHMENT, &[account, policy_arn, usage.part()], "")
}

pub(super) fn access_key(id: &str) -> Key {
    identity(ACCESS_KEY, &[id])
}

pub(super) fn session(access_key_id: &str) -> Key {
    identity(SESSION, &[access_key_id])
}

pub(super) fn sessions() -> Key {
    identity_prefix(SESSION, &[], "")
}

/// Of an access key or a role.
pub(super) fn last_used(id: &str) -> Key {
    identity(LAST_USED, &[id])
}

pub(super) fn provider(account: &str, issuer: &str) -> Key {
    identity(PROVIDER, &[account, issuer])
}

pub(super) fn providers(account: &str) -> Key {
    identity_prefix(PROVIDER, &[account], "")
}
