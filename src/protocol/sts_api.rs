//! STS's query API: parameters in, credentials out.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

use http::StatusCode;

use super::query_api::{Answer, Call, Form, QueryError, Xml};
use crate::identity::{
    AssumeRole, AssumedRole, Credentials, GetFederationToken, SessionPolicies, Sts, StsCode, StsError, iso8601,
};
use crate::telemetry::audit::Decision;

/// The actions that there are.
pub(super) const ACTIONS: [&str; 7] = [
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetCallerIdentity",
    "GetFederationToken",
    "GetSessionToken",
];

/// STS, as clients reach it.
pub(super) struct StsApi {
    pub sts: Sts,
}

impl From<StsError> for QueryError {
    fn from(error: StsError) -> Self {
        let (code, message) = match error {
            StsError::Refused { code, message } => (code, message),
            StsError::Identity(error) => return error.into(),
        };
        let (status, code) = match code {
            StsCode::AccessDenied => (StatusCode::FORBIDDEN, "AccessDenied"),
            StsCode::ValidationError => (StatusCode::BAD_REQUEST, "ValidationError"),
            StsCode::InvalidParameterValue => (StatusCode::BAD_REQUEST, "InvalidParameterValue"),
            StsCode::MalformedPolicyDocument => (StatusCode::BAD_REQUEST, "MalformedPolicyDocument"),
            StsCode::PackedPolicyTooLarge => (StatusCode::BAD_REQUEST, "PackedPolicyTooLarge"),
            StsCode::ExpiredToken => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
            StsCode::InvalidIdentityToken => (StatusCode::BAD_REQUEST, "InvalidIdentityToken"),
            StsCode::IdpCommunicationError => (StatusCode::BAD_REQUEST, "IDPCommunicationError"),
            StsCode::InvalidAuthorizationMessage => (StatusCode::BAD_REQUEST, "InvalidAuthorizationMessageException"),
            StsCode::LimitExceeded => (StatusCode::CONFLICT, "LimitExceeded"),
        };
        Self::new(status, code, message)
    }
}

impl StsApi {
    /// The action's result; `None` if there is no such action.
    pub(super) async fn answer(&self, call: &Call<'_>, action: &str) -> Option<Answer> {
        let action = ACTIONS.into_iter().find(|known| *known == action)?;
        call.context.note_operation(action);
        // A token of a provider takes the place of a signature.
        if call.caller.is_anonymous() && action != "AssumeRoleWithWebIdentity" {
            let message = "Request is missing Authentication Token";
            return Some(Err(QueryError::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message)));
        }
        let outcome = match action {
            "AssumeRole" => self.assume_role(call).await,
            "AssumeRoleWithWebIdentity" => self.assume_role_with_web_identity(call).await,
            "DecodeAuthorizationMessage" => self.decode_authorization_message(call),
            "GetAccessKeyInfo" => self.get_access_key_info(call).await,
            "GetFederationToken" => self.get_federation_token(call).await,
            "GetSessionToken" => self.get_session_token(call).await,
            _ => Ok(caller_identity(call)),
        };
        note_decision(call, action, &outcome);
        Some(outcome)
    }

    async fn assume_role(&self, call: &Call<'_>) -> Answer {
        let asked = AssumeRole {
            tags: call.form.tags("Tags")?,
            transitive_tag_keys: call.form.list("TransitiveTagKeys")?,
            external_id: text(call.form, "ExternalId"),
            source_identity: text(call.form, "SourceIdentity"),
            ..asked(call.form)?
        };
        let assumed = self.sts.assume_role(call.caller, asked, call.keys(), call.now).await?;
        let mut xml = Xml::new();
        write_role(&mut xml, &assumed);
        Ok(xml)
    }

    async fn assume_role_with_web_identity(&self, call: &Call<'_>) -> Answer {
        if call.form.text("ProviderId").is_some() {
            let message = "OAuth 2.0 access tokens are not supported: leave ProviderId out and pass an OpenID Connect \
                           token.";
            return Err(QueryError::validation(message));
        }
        let token = call.form.required("WebIdentityToken")?;
        let asked = asked(call.form)?;
        let assumed = self.sts.assume_role_with_web_identity(token, asked, call.keys(), call.now).await?;
        let mut xml = Xml::new();
        write_role(&mut xml, &assumed.role);
        xml.text("SubjectFromWebIdentityToken", &assumed.subject);
        xml.text("Audience", &assumed.audience);
        xml.text("Provider", &assumed.provider);
        Ok(xml)
    }

    async fn get_session_token(&self, call: &Call<'_>) -> Answer {
        if call.form.text("TokenCode").is_some() || call.form.text("SerialNumber").is_some() {
            let message = "MultiFactorAuthentication failed with invalid MFA one time pass code: there are no MFA \
                           devices on this server.";
            return Err(QueryError::new(StatusCode::FORBIDDEN, "AccessDenied", message));
        }
        let seconds = call.form.number("DurationSeconds")?;
        let credentials = self.sts.get_session_token(call.caller, seconds, &call.keys(), call.now).await?;
        let mut xml = Xml::new();
        write_credentials(&mut xml, &credentials);
        Ok(xml)
    }

    async fn get_federation_token(&self, call: &Call<'_>) -> Answer {
        let asked = GetFederationToken {
            name: call.form.required("Name")?.to_owned(),
            seconds: call.form.number("DurationSeconds")?,
            policies: policies(call.form)?,
            tags: call.form.tags("Tags")?,
        };
        let user = self.sts.get_federation_token(call.caller, asked, call.keys(), call.now).await?;
        let mut xml = Xml::new();
        write_credentials(&mut xml, &user.credentials);
        xml.element("FederatedUser", |xml| {
            xml.text("FederatedUserId", &user.id);
            xml.text("Arn", &user.arn);
        });
        write_packed_size(&mut xml, &user.credentials);
        Ok(xml)
    }

    fn decode_authorization_message(&self, call: &Call<'_>) -> Answer {
        let encoded = call.form.required("EncodedMessage")?;
        let message = self.sts.decode_authorization_message(call.caller, encoded, &call.keys())?;
        let mut xml = Xml::new();
        xml.text("DecodedMessage", &message);
        Ok(xml)
    }

    async fn get_access_key_info(&self, call: &Call<'_>) -> Answer {
        let id = call.form.required("AccessKeyId")?;
        let account = self.sts.get_access_key_info(call.caller, id, &call.keys()).await?;
        let mut xml = Xml::new();
        xml.text("Account", &account);
        Ok(xml)
    }
}

/// Nothing needs to allow it: whoever can sign may know who it is.
fn caller_identity(call: &Call<'_>) -> Xml {
    let mut xml = Xml::new();
    xml.text("Arn", &call.caller.principal.arn().unwrap_or_default());
    xml.text("UserId", call.caller.fact("aws:userid").unwrap_or(&call.caller.account.id));
    xml.text("Account", &call.caller.account.id);
    xml
}

fn note_decision(call: &Call<'_>, action: &str, outcome: &Answer) {
    let by = match outcome {
        Ok(_) if action == "GetCallerIdentity" => "nothing: whoever can sign may know who it is",
        Ok(_) => "the role's trust policy and the caller's policies",
        // What is wrong with the request itself decides nothing.
        Err(error) if error.status == StatusCode::FORBIDDEN || error.code.contains("Token") => error.code.as_ref(),
        Err(_) => return,
    };
    call.context.note_decision(|| Decision {
        action: format!("sts:{action}"),
        resource: call.form.text("RoleArn").unwrap_or("*").chars().take(2_048).collect(),
        allowed: outcome.is_ok(),
        by: by.to_owned(),
    });
}

fn asked(form: &Form) -> Result<AssumeRole, QueryError> {
    Ok(AssumeRole {
        role_arn: form.required("RoleArn")?.to_owned(),
        session_name: form.required("RoleSessionName")?.to_owned(),
        seconds: form.number("DurationSeconds")?,
        policies: policies(form)?,
        ..AssumeRole::default()
    })
}

fn policies(form: &Form) -> Result<SessionPolicies, QueryError> {
    let arns = form.fields("PolicyArns", ["arn"])?.into_iter().filter_map(|[arn]| arn.map(str::to_owned)).collect();
    Ok(SessionPolicies { policy: text(form, "Policy"), arns })
}

fn text(form: &Form, name: &str) -> Option<String> {
    form.text(name).map(str::to_owned)
}

fn write_role(xml: &mut Xml, assumed: &AssumedRole) {
    write_credentials(xml, &assumed.credentials);
    xml.element("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", &assumed.id);
        xml.text("Arn", &assumed.arn);
    });
    write_packed_size(xml, &assumed.credentials);
    xml.optional("SourceIdentity", assumed.source_identity.as_deref());
}

fn write_credentials(xml: &mut Xml, credentials: &Credentials) {
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &credentials.access_key_id);
        xml.text("SecretAccessKey", credentials.secret.expose());
        xml.text("SessionToken", credentials.session_token.expose());
        xml.text("Expiration", &iso8601(credentials.expires));
    });
}

fn write_packed_size(xml: &mut Xml, credentials: &Credentials) {
    let percent = credentials.packed_policy_percent.map(|percent| percent.to_string());
    xml.optional("PackedPolicySize", percent.as_deref());
}
