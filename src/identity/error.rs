//! How an operation on identities fails. The query APIs turn this into a status and a code, in one place.

use storage::StoreError;

/// An operation's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What IAM refuses with. <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and each action's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// There is no user, role, policy, key … of that name.
    NoSuchEntity,
    /// There is one of that name already.
    EntityAlreadyExists,
    /// A quota would be exceeded.
    LimitExceeded,
    /// What is to be deleted has something that must be deleted or detached first.
    DeleteConflict,
    /// A policy document has a fault.
    MalformedPolicyDocument,
    /// A parameter's value makes no sense here.
    InvalidInput,
    /// A parameter's value has the wrong shape.
    ValidationError,
    /// What cannot be changed by requests: AWS's own policies.
    UnmodifiableEntity,
    /// A policy that cannot be attached.
    PolicyNotAttachable,
    /// Evaluation of a policy in a simulation failed.
    PolicyEvaluation,
    /// Too many concurrent changes of the same thing: try again.
    ConcurrentModification,
}

/// How an operation fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// IAM says no.
    #[error("{code:?}: {message}")]
    Refused {
        /// AWS's code.
        code: Code,
        /// What is wrong and what to do about it.
        message: String,
    },
    /// There is no such access key, or it is not active.
    #[error("the access key does not exist")]
    InvalidAccessKeyId,
    /// The session token is not the one of this key.
    #[error("the session token is not valid for this access key")]
    InvalidToken,
    /// The session has ended.
    #[error("the session has expired")]
    ExpiredToken,
    /// A secret cannot be sealed or opened.
    #[error("{0}")]
    Sealing(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Error {
    /// A refusal.
    pub fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// The refusal's code, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
