//! How STS refuses.

use storage::StoreError;

use super::error::Error;

/// What STS refuses with. <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html> and each action's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StsCode {
    /// No policy allows it, or one denies it.
    AccessDenied,
    /// A parameter's value has the wrong shape.
    ValidationError,
    /// Parameters that contradict each other.
    InvalidParameterValue,
    /// A session policy has a fault.
    MalformedPolicyDocument,
    /// Session policies and tags are too large together.
    PackedPolicyTooLarge,
    /// A provider's token has expired.
    ExpiredToken,
    /// A provider's token is not one that is trusted.
    InvalidIdentityToken,
    /// The provider does not answer, or not as providers do.
    IdpCommunicationError,
    /// An encoded message is not one of this server's.
    InvalidAuthorizationMessage,
    /// There are as many sessions as there may be.
    LimitExceeded,
}

/// How an operation of STS fails.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// STS says no.
    #[error("{code:?}: {message}")]
    Refused {
        /// AWS's code.
        code: StsCode,
        /// What is wrong and what to do about it.
        message: String,
    },
    /// What lies below failed.
    #[error(transparent)]
    Identity(#[from] Error),
}

impl StsError {
    /// A refusal.
    pub fn new(code: StsCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// The refusal's code, if it is one.
    #[must_use]
    pub fn code(&self) -> Option<StsCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Identity(_) => None,
        }
    }
}

impl From<StoreError> for StsError {
    fn from(error: StoreError) -> Self {
        Self::Identity(error.into())
    }
}
