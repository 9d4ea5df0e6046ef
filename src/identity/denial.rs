//! Encoded authorization messages: why a request was denied, sealed, so that whoever is denied can hand it to who may
//! know.
//!
//! A message is for the account in which it was denied: elsewhere it does not open.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html>

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::caller::Caller;
use super::sessions::Sts;
use super::sts_error::{StsCode, StsError};
use super::{Identities, names};
use crate::rules::iam::{Context, Verdict};

/// Characters of an encoded message.
const MAX_MESSAGE_CHARACTERS: usize = 10_240;

/// A request that is denied to a caller by the caller's own account.
#[derive(Debug, Clone, Copy)]
pub struct Denial<'a> {
    /// Who asked.
    pub caller: &'a Caller,
    /// What was asked for.
    pub action: &'a str,
    /// Of what.
    pub resource: &'a str,
    /// By what it is denied, if a statement denies it; else none allows it.
    pub verdict: &'a Verdict,
}

/// What a message is sealed for; no row has such a key.
fn sealed_for(account: &str) -> Vec<u8> {
    format!("encoded authorization message of {account}").into_bytes()
}

impl Identities {
    /// A denial, sealed. `None` when the system gives no random numbers.
    #[must_use]
    pub fn encode(&self, denial: &Denial<'_>) -> Option<String> {
        let matched: Vec<_> = match denial.verdict {
            Verdict::Denied { by } => vec![json!({"statementId": by, "effect": "DENY"})],
            Verdict::NotAllowed | Verdict::Allowed { .. } => Vec::new(),
        };
        let message = json!({
            "allowed": false,
            "explicitDeny": !matched.is_empty(),
            "matchedStatements": {"items": matched},
            "failures": {"items": []},
            "context": {
                "principal": {
                    "id": denial.caller.fact("aws:userid"),
                    "arn": denial.caller.principal.arn(),
                },
                "action": denial.action,
                "resource": denial.resource,
                "conditions": {"items": []},
            },
        });
        let sealed = self.sealer().seal(&message.to_string(), &sealed_for(&denial.caller.account.id)).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }
}

impl Sts {
    /// The refusal, in AWS's words. Within the caller's own account it says, sealed, why.
    pub(super) fn denied(&self, caller: &Caller, action: &str, resource: &str, verdict: &Verdict) -> StsError {
        let who = caller.principal.arn().unwrap_or_else(|| "anonymous".to_owned());
        let mut message = format!("User: {who} is not authorized to perform: {action} on resource: {resource}");
        let is_own = resource.split(':').nth(4).is_none_or(|account| account == caller.account.id);
        let encoded = is_own.then(|| self.identities().encode(&Denial { caller, action, resource, verdict }));
        if let Some(encoded) = encoded.flatten() {
            message.push_str(". Encoded authorization failure message: ");
            message.push_str(&encoded);
        }
        StsError::new(StsCode::AccessDenied, message)
    }

    /// What an encoded message of the caller's account says, as JSON.
    ///
    /// # Errors
    /// `AccessDenied` unless the caller's policies allow it; `InvalidAuthorizationMessageException`.
    pub fn decode_authorization_message(
        &self,
        caller: &Caller,
        encoded: &str,
        context: &Context,
    ) -> Result<String, StsError> {
        names::check_length(encoded, "encodedMessage", 1, MAX_MESSAGE_CHARACTERS)?;
        self.require(caller, "sts:DecodeAuthorizationMessage", "*", context)?;
        let invalid = || {
            let message = "Message is not valid: it must be an encoded authorization message of this account.";
            StsError::new(StsCode::InvalidAuthorizationMessage, message)
        };
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| invalid())?;
        let message = self.identities().sealer().open(&sealed, &sealed_for(&caller.account.id));
        Ok(message.map_err(|_| invalid())?.expose().to_owned())
    }
}
