//! Credentials of users for themselves and for others: GetSessionToken and GetFederationToken; and whose a key is.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html>

use storage::types::Timestamp;

use super::assume::{check_seconds, check_word};
use super::caller::{Caller, ResourceSide};
use super::records::{AccessKeyRecord, SessionOf, Tags};
use super::sessions::{Credentials, NewSession, SessionPolicies, Sts};
use super::sts_error::{StsCode, StsError};
use super::{names, rows};
use crate::rules::iam::{Context, Principal, Request, Verdict};

const SHORTEST_SECONDS: u32 = 900;
const LONGEST_SECONDS: u32 = 129_600;
const DEFAULT_SECONDS: u32 = 43_200;
/// Root's temporary credentials last an hour at most, whatever is asked for.
const LONGEST_ROOT_SECONDS: u32 = 3_600;

/// A federated user's session.
#[derive(Debug, Clone)]
pub struct FederatedUser {
    /// Its credentials.
    pub credentials: Credentials,
    /// The federated user's ARN.
    pub arn: String,
    /// The account and the name, between them a colon.
    pub id: String,
}

/// What is asked of GetFederationToken.
#[derive(Debug, Clone, Default)]
pub struct GetFederationToken {
    /// What the federated user is called.
    pub name: String,
    /// How long the session shall last.
    pub seconds: Option<u32>,
    /// What it may do of what the caller may; without any, nothing.
    pub policies: SessionPolicies,
    /// Tags of the session.
    pub tags: Tags,
}

impl Sts {
    /// Temporary credentials with the caller's own permissions.
    ///
    /// # Errors
    /// `AccessDenied` for temporary credentials and where a policy denies it; nothing needs to allow it.
    pub async fn get_session_token(
        &self,
        caller: &Caller,
        seconds: Option<u32>,
        context: &Context,
        now: Timestamp,
    ) -> Result<Credentials, StsError> {
        if let Some(seconds) = seconds {
            check_seconds(seconds, SHORTEST_SECONDS, LONGEST_SECONDS)?;
        }
        let of = match &caller.principal {
            Principal::AccountRoot { .. } => SessionOf::Root,
            Principal::User { unique_id, .. } => SessionOf::User { user_id: unique_id.clone() },
            _ => return Err(session_credentials("GetSessionToken")),
        };
        self.refuse_sessions(caller, "GetSessionToken").await?;
        let verdict = own_verdict(caller, "sts:GetSessionToken", "*", context);
        if let Verdict::Denied { .. } = verdict {
            return Err(self.denied(caller, "sts:GetSessionToken", "*", &verdict));
        }
        self.start(NewSession { seconds: length(&of, seconds), ..new_session(caller, of) }, now).await
    }

    /// Credentials for somebody else, with those of the caller's permissions that the policies name.
    ///
    /// # Errors
    /// `AccessDenied` for temporary credentials, and unless the caller's policies allow it.
    pub async fn get_federation_token(
        &self,
        caller: &Caller,
        asked: GetFederationToken,
        mut context: Context,
        now: Timestamp,
    ) -> Result<FederatedUser, StsError> {
        names::check_length(&asked.name, "name", 2, 32)?;
        check_word(&asked.name, "name", "")?;
        names::check_tags(&asked.tags)?;
        if let Some(seconds) = asked.seconds {
            check_seconds(seconds, SHORTEST_SECONDS, LONGEST_SECONDS)?;
        }
        let user_id = match &caller.principal {
            Principal::AccountRoot { .. } => None,
            Principal::User { unique_id, .. } => Some(unique_id.clone()),
            _ => return Err(session_credentials("GetFederationToken")),
        };
        self.refuse_sessions(caller, "GetFederationToken").await?;
        let arn = names::federated_arn(&caller.account.id, &asked.name);
        for (key, value) in &asked.tags {
            context.push(format!("aws:requesttag/{key}"), value.clone());
            context.push("aws:tagkeys", key.clone());
        }
        let tagging = (!asked.tags.is_empty()).then_some("sts:TagSession");
        for action in std::iter::once("sts:GetFederationToken").chain(tagging) {
            self.require(caller, action, &arn, &context)?;
        }
        let id = format!("{}:{}", caller.account.id, asked.name);
        let of = SessionOf::Federated { user_id, name: asked.name };
        let seconds = match &caller.principal {
            Principal::AccountRoot { .. } => length(&SessionOf::Root, asked.seconds),
            _ => length(&of, asked.seconds),
        };
        let new = NewSession { seconds, policies: asked.policies, tags: asked.tags, ..new_session(caller, of) };
        Ok(FederatedUser { credentials: self.start(new, now).await?, arn, id })
    }

    /// The account of an access key, permanent or temporary, active or not.
    ///
    /// # Errors
    /// `AccessDenied` unless the caller's policies allow it; `ValidationError` if there is no such key.
    pub async fn get_access_key_info(
        &self,
        caller: &Caller,
        access_key_id: &str,
        context: &Context,
    ) -> Result<String, StsError> {
        names::check_length(access_key_id, "accessKeyId", 3, 128)?;
        self.require(caller, "sts:GetAccessKeyInfo", "*", context)?;
        let identities = self.identities();
        if let Some((account, _)) = identities.accounts().by_access_key(access_key_id) {
            return Ok(account.id.clone());
        }
        if let Some(key) = identities.record::<AccessKeyRecord>(rows::access_key(access_key_id)).await? {
            return Ok(key.account);
        }
        match self.session(access_key_id).await? {
            Some(session) => Ok(session.account),
            None => Err(StsError::new(StsCode::ValidationError, format!("There is no access key {access_key_id}."))),
        }
    }

    /// Whether the caller's own policies allow something in its own account.
    pub(super) fn require(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), StsError> {
        let verdict = own_verdict(caller, action, resource, context);
        if verdict.is_allowed() { Ok(()) } else { Err(self.denied(caller, action, resource, &verdict)) }
    }

    async fn refuse_sessions(&self, caller: &Caller, operation: &str) -> Result<(), StsError> {
        let Some(key) = &caller.access_key_id else { return Err(session_credentials(operation)) };
        if self.session(key).await?.is_some() { Err(session_credentials(operation)) } else { Ok(()) }
    }
}

fn session_credentials(operation: &str) -> StsError {
    StsError::new(StsCode::AccessDenied, format!("Cannot call {operation} with session credentials"))
}

fn new_session(caller: &Caller, of: SessionOf) -> NewSession {
    NewSession {
        account: caller.account.id.clone(),
        of,
        seconds: DEFAULT_SECONDS,
        policies: SessionPolicies::default(),
        tags: Tags::new(),
        transitive_tags: Vec::new(),
        source_identity: None,
        facts: Vec::new(),
    }
}

fn length(of: &SessionOf, asked: Option<u32>) -> u32 {
    let seconds = asked.unwrap_or(DEFAULT_SECONDS);
    if matches!(of, SessionOf::Root) { seconds.min(LONGEST_ROOT_SECONDS) } else { seconds }
}

/// What the caller's own policies say of something in its own account.
fn own_verdict(caller: &Caller, action: &str, resource: &str, context: &Context) -> Verdict {
    let request = Request { principal: &caller.principal, action, resource, context };
    caller.decide(&request, &ResourceSide { account: &caller.account.id, policy: None, granted: false })
}
