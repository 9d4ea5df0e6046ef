//! What is stored of identities: one record for each user, group, role, policy, key, provider and session.
//!
//! A record holds everything that is decided about together, so that a change checks one row: a user's keys, inline
//! policies, attachments and groups are in the user's record. Rows that only find something from the other side
//! (`rows.rs`) are written in the same commit.

use serde::{Deserialize, Serialize};
use storage::index::records::Record;
use storage::types::Timestamp;

/// Tags as they were given: keys keep their case, and differ without regard to it.
pub type Tags = Vec<(String, String)>;

/// ARNs of users and roles that a policy names, each with the id that it stood for when the policy was put.
pub type BoundPrincipals = Vec<(String, String)>;

/// A policy that belongs to one user, group or role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlinePolicy {
    /// Its name.
    pub name: String,
    /// Its text.
    pub document: String,
}

/// The policies of a user, group or role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySet {
    /// Its own, by name.
    pub inline: Vec<InlinePolicy>,
    /// ARNs of managed policies, in the order of attachment.
    pub attached: Vec<String>,
}

/// An IAM user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// `AIDA…`
    pub id: String,
    /// Its name, in the case that it was created with.
    pub name: String,
    /// `/`, or `/…/`.
    pub path: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// Its policies.
    pub policies: PolicySet,
    /// The ARN of the policy that bounds its permissions.
    pub boundary: Option<String>,
    /// The ids of its groups.
    pub groups: Vec<String>,
    /// The ids of its access keys.
    pub access_keys: Vec<String>,
}

/// An IAM group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// `AGPA…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `/`, or `/…/`.
    pub path: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its policies.
    pub policies: PolicySet,
}

/// An IAM role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// `AROA…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `/`, or `/…/`.
    pub path: String,
    /// When it was created.
    pub created: Timestamp,
    /// What it is for.
    pub description: Option<String>,
    /// The longest session, in seconds.
    pub max_session_seconds: u32,
    /// Who may assume it: a trust policy's text.
    pub trust: String,
    /// The ids of those that it names.
    pub trusted: BoundPrincipals,
    /// Its tags.
    pub tags: Tags,
    /// Its policies.
    pub policies: PolicySet,
    /// The ARN of the policy that bounds its permissions.
    pub boundary: Option<String>,
}

/// A version of a managed policy; its text is in a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The number in `v1`, `v2` …; never used again.
    pub number: u32,
    /// When it was created.
    pub created: Timestamp,
}

/// A customer managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// `ANPA…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `/`, or `/…/`.
    pub path: String,
    /// When it was created.
    pub created: Timestamp,
    /// When its versions last changed.
    pub updated: Timestamp,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The number of the version that applies.
    pub default_version: u32,
    /// The number of the newest version that there ever was.
    pub last_version: u32,
    /// Its versions, oldest first.
    pub versions: Vec<PolicyVersion>,
}

/// The text of one version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyText(pub String);

/// Whose an access key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOwner {
    /// The account's root.
    Root,
    /// The user with this id.
    User(String),
}

/// What may be done with an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// It signs requests.
    Active,
    /// It does not, until it is activated again.
    Inactive,
    /// A key of the configuration that was deleted by request: it stays in the configuration and signs nothing.
    Revoked,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRecord {
    /// The 12-digit id of its account.
    pub account: String,
    /// Whose it is.
    pub owner: KeyOwner,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it signs.
    pub status: KeyStatus,
    /// The sealed secret; `None` for a key of the configuration, whose secret is there.
    pub secret: Option<Vec<u8>>,
}

/// When something was last used, to a quarter of an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsedRecord {
    /// When.
    pub used: Timestamp,
    /// The service: `s3`, `iam`, `sts`.
    pub service: String,
    /// The region that the request was signed for.
    pub region: String,
}

/// An OpenID Connect provider whose tokens an account trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProviderRecord {
    /// The issuer's URL as it was given, scheme included.
    pub url: String,
    /// Audiences.
    pub client_ids: Vec<String>,
    /// SHA-1 thumbprints of certificates, as they were given.
    pub thumbprints: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was created.
    pub created: Timestamp,
}

/// What an account has beside its own ids, which are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its alias.
    pub alias: Option<String>,
    /// The ids of the root keys that were created by request.
    pub root_keys: Vec<String>,
    /// How many users there are.
    pub users: u32,
    /// How many groups.
    pub groups: u32,
    /// How many roles.
    pub roles: u32,
    /// How many customer managed policies.
    pub policies: u32,
    /// How many OIDC providers.
    pub providers: u32,
}

/// The 12-digit id of the account that has an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord(pub String);

/// What an id such as `AIDA…` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EntityKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
}

/// Finds an entity by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityName {
    /// Its account.
    pub account: String,
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
}

/// Whose permissions a session has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionOf {
    /// A role that was assumed.
    Role {
        /// `AROA…`: a role that is created anew under the same name is another one.
        role_id: String,
        /// The session's name.
        session_name: String,
    },
    /// A user, by GetSessionToken.
    User {
        /// `AIDA…`
        user_id: String,
    },
    /// The account's root, by GetSessionToken.
    Root,
    /// A federated user, by GetFederationToken.
    Federated {
        /// The user that asked; `None` for the account's root.
        user_id: Option<String>,
        /// The federated user's name.
        name: String,
    },
}

/// Temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The 12-digit id of the account that they act in.
    pub account: String,
    /// Whose permissions they have.
    pub of: SessionOf,
    /// The sealed secret key.
    pub secret: Vec<u8>,
    /// SHA-256 of the session token.
    pub token_sha256: [u8; 32],
    /// When they were made: `aws:TokenIssueTime`.
    pub issued: Timestamp,
    /// From when on they are void.
    pub expires: Timestamp,
    /// Whether they are restricted by session policies; the policy that was passed as text.
    pub policy: Option<String>,
    /// ARNs of managed session policies.
    pub policy_arns: Vec<String>,
    /// Session tags, which come before the role's own.
    pub tags: Tags,
    /// Keys of the session tags that roles assumed by this session inherit.
    pub transitive_tags: Vec<String>,
    /// `sts:SourceIdentity`.
    pub source_identity: Option<String>,
    /// Further condition keys, lower case: an OIDC token's claims.
    pub facts: Vec<(String, String)>,
}

macro_rules! identity_records {
    ($($record:ty),* $(,)?) => {
        $(impl Record for $record {
            const FAMILY: &'static str = "identities";
        })*
    };
}
identity_records!(
    UserRecord,
    GroupRecord,
    RoleRecord,
    PolicyRecord,
    PolicyText,
    AccessKeyRecord,
    LastUsedRecord,
    OidcProviderRecord,
    AccountRecord,
    AliasRecord,
    EntityName,
    SessionRecord,
);
