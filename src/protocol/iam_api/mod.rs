//! IAM's query API: forms in, XML out, [`crate::identity`] in between.
//!
//! | file | is |
//! |---|---|
//! | `table` | the actions: what each is authorised on, and what does it |
//! | `resources` | the ARN and the tags of what an action is about |
//! | `users`, `groups`, `roles`, `policies`, `attachments`, `keys`, `providers`, `account` | the actions, by noun |
//! | `details`, `simulate`, `context_keys` | the account whole; what would be allowed |
//! | `absent` | what this server has none of, answered truthfully |
//! | `parameters`, `shapes` | what parameters and answers have in common |
//!
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

mod absent;
mod account;
mod attachments;
mod context_keys;
mod details;
mod groups;
mod keys;
mod parameters;
mod policies;
mod providers;
mod resources;
mod roles;
mod shapes;
mod simulate;
mod table;
mod users;

pub(super) use self::table::names;

use http::StatusCode;

use super::query_api::{Answer, Call, Form, QueryError};
use crate::identity::{Caller, Identities};
use crate::rules::iam::Principal;

/// IAM behind the query API.
pub(super) struct IamApi {
    pub identities: Identities,
}

/// One request to IAM, by a caller who signed.
struct Iam<'a> {
    call: &'a Call<'a>,
    identities: &'a Identities,
    /// The 12-digit id of the account that the request is about: the caller's.
    account: &'a str,
}

impl<'a> Iam<'a> {
    fn form(&self) -> &'a Form {
        self.call.form
    }

    fn caller(&self) -> &'a Caller {
        self.call.caller
    }
}

impl IamApi {
    /// Does what `action` names; `None` if IAM has no such action.
    pub(super) async fn answer(&self, call: &Call<'_>, action: &str) -> Option<Answer> {
        let Some(found) = table::action(action) else {
            return table::is_known(action).then(|| Err(not_implemented(action)));
        };
        call.context.note_operation(found.name);
        Some(self.run(found, call).await)
    }

    async fn run(&self, action: &table::Action, call: &Call<'_>) -> Answer {
        if call.caller.is_anonymous() {
            let message = "Request is missing Authentication Token";
            return Err(QueryError::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message));
        }
        if !may_administer(call.caller) {
            let message = "The security token included in the request is invalid.";
            return Err(QueryError::new(StatusCode::FORBIDDEN, "InvalidClientTokenId", message));
        }
        let iam = Iam { call, identities: &self.identities, account: &call.caller.account.id };
        iam.authorize(action).await?;
        (action.run)(&iam).await
    }
}

/// Credentials of GetSessionToken without MFA, and those of GetFederationToken, are not for IAM.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html>
fn may_administer(caller: &Caller) -> bool {
    let temporary = caller.fact("aws:tokenissuetime").is_some();
    match caller.principal {
        Principal::User { .. } | Principal::AccountRoot { .. } => !temporary,
        Principal::AssumedRole { .. } => true,
        _ => false,
    }
}

fn not_implemented(action: &str) -> QueryError {
    let message = format!("{action} is an action of IAM that this server does not implement.");
    QueryError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
}
