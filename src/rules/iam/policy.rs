//! A policy document, parsed.

use std::fmt;

use super::index::{Head, Index, Scope};
use super::principal::PrincipalId;
use super::statement::{Effect, Statement};
use super::{parse, public};

/// A parsed policy document. It does not keep its text: who stores policies stores text.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(super) statements: Vec<Statement>,
    pub(super) index: Index,
    /// Whether it is a trust policy, without whose Allow nothing is allowed.
    pub(super) is_trust: bool,
}

/// What a policy is attached to: decides which elements it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind<'a> {
    /// Of a user, group or role: inline and managed policies, permissions boundaries.
    Identity,
    /// Passed to `AssumeRole` and its kin.
    Session,
    /// A role's trust policy: no resources, only actions of STS.
    Trust,
    /// A bucket's policy: principals are required, resources must lie in the bucket, actions must be S3's.
    Bucket { bucket: &'a str },
}

/// Why a document is refused, in AWS's words where they are known. S3 calls it `MalformedPolicy`, IAM
/// `MalformedPolicyDocument`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPolicy {
    pub message: String,
}

impl InvalidPolicy {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidPolicy {}

impl Policy {
    /// The longest document that is read at all, in bytes. Every kind of policy has its own, smaller limit, which
    /// callers check.
    pub const MAX_BYTES: usize = 131_072;

    /// Reads and checks a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, kind: PolicyKind<'_>) -> Result<Self, InvalidPolicy> {
        parse::policy(text, kind)
    }

    /// Whether some condition or variable asks for a key that begins with this prefix (in lower case, such as
    /// `s3:existingobjecttag/`). What costs IO to find out is needed only then.
    pub fn asks_for(&self, key_prefix: &str) -> bool {
        self.condition_keys().any(|key| key.starts_with(key_prefix))
    }

    /// The keys, in lower case, whose values decide; some more than once.
    pub fn condition_keys(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(Statement::keys)
    }

    /// The statements that can speak about resources with this head, in their order.
    pub(super) fn about(&self, head: Head) -> impl Iterator<Item = &Statement> {
        self.index.candidates(head).filter_map(|number| self.statements.get(number))
    }

    /// Which resources it can speak about, roughly.
    pub fn scope(&self) -> Scope {
        self.index.scope()
    }

    /// Whom the policy names, so that callers may check that they exist; some more than once.
    pub fn principals(&self) -> impl Iterator<Item = &PrincipalId> {
        self.statements.iter().filter_map(|statement| statement.principals.as_ref()).flat_map(|named| &named.ids)
    }

    /// Whether the policy is public as Block Public Access and `GetBucketPolicyStatus` understand it: some statement
    /// allows access that is not limited to fixed values.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| statement.effect == Effect::Allow && public::is_public(statement))
    }

    /// How many statements it has.
    pub fn statement_count(&self) -> usize {
        self.statements.len()
    }
}
