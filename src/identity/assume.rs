//! Assuming roles: by who has credentials of this server, and by who has a token of an OpenID Connect provider.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html>

use std::sync::Arc;

use storage::types::Timestamp;

use super::caller::Caller;
use super::names;
use super::records::{OidcProviderRecord, RoleRecord, SessionOf, SessionRecord, Tags};
use super::rows;
use super::sessions::{Credentials, NewSession, SessionPolicies, Sts};
use super::sts_error::{StsCode, StsError};
use super::trust::{self, Assumption};
use super::web_identity::{Claims, Unverified, without_scheme};
use crate::outbound::oidc::OidcError;
use crate::rules::iam::{Context, Policy, PolicyKind, Principal, Verdict};

const SHORTEST_SECONDS: u32 = 900;
const LONGEST_SECONDS: u32 = 43_200;
/// How long a session lasts if nothing else is asked for.
const DEFAULT_SECONDS: u32 = 3_600;
/// How long the session of a role can last that was assumed by a session of another role.
const LONGEST_CHAINED_SECONDS: u32 = 3_600;
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 4..=20_000;

/// What both ways to assume a role have in common.
#[derive(Debug, Clone, Default)]
pub struct AssumeRole {
    /// The role's ARN.
    pub role_arn: String,
    /// What the session is called.
    pub session_name: String,
    /// How long the session shall last.
    pub seconds: Option<u32>,
    /// What restricts it further.
    pub policies: SessionPolicies,
    /// Tags of the session.
    pub tags: Tags,
    /// Keys of those that sessions inherit which are made from this one.
    pub transitive_tag_keys: Vec<String>,
    /// What a third party shows so that it is not misused by another.
    pub external_id: Option<String>,
    /// Who is behind the session, for ever.
    pub source_identity: Option<String>,
}

/// A role's session.
#[derive(Debug, Clone)]
pub struct AssumedRole {
    /// Its credentials.
    pub credentials: Credentials,
    /// The session's ARN.
    pub arn: String,
    /// The role's id and the session's name, between them a colon.
    pub id: String,
    /// Who is behind it.
    pub source_identity: Option<String>,
}

/// A role's session for the holder of a provider's token.
#[derive(Debug, Clone)]
pub struct WebIdentity {
    /// The session.
    pub role: AssumedRole,
    /// Who the provider says it is.
    pub subject: String,
    /// For whom the provider made the token.
    pub audience: String,
    /// The provider's ARN.
    pub provider: String,
}

/// A role that was found, and its trust policy.
struct Found {
    account: String,
    record: RoleRecord,
    trust: Arc<Policy>,
}

impl Sts {
    /// A session of a role for `caller`. `context` has the condition keys of the request and of the caller.
    ///
    /// # Errors
    /// `AccessDenied` if the role's trust policy or the caller's own policies do not allow it, or there is no such
    /// role; `ValidationError` and others for parameters.
    pub async fn assume_role(
        &self,
        caller: &Caller,
        mut asked: AssumeRole,
        mut context: Context,
        now: Timestamp,
    ) -> Result<AssumedRole, StsError> {
        check(&asked)?;
        if matches!(caller.principal, Principal::AccountRoot { .. }) {
            return Err(StsError::new(StsCode::AccessDenied, "Roles may not be assumed by root accounts."));
        }
        let from = match &caller.access_key_id {
            Some(key) => self.session(key).await?,
            None => None,
        };
        let is_chained = matches!(caller.principal, Principal::AssumedRole { .. });
        inherit(&mut asked, from.as_ref())?;
        let found = self.role(&asked.role_arn).await?;
        if let Some(external_id) = &asked.external_id {
            context.insert("sts:externalid", external_id.clone());
        }
        describe(&asked, found.as_ref(), &mut context);
        let mut actions = vec!["sts:AssumeRole"];
        actions.extend((!asked.tags.is_empty()).then_some("sts:TagSession"));
        actions.extend(asked.source_identity.is_some().then_some("sts:SetSourceIdentity"));
        for action in actions {
            let verdict = found.as_ref().map_or(Verdict::NotAllowed, |found| {
                let assumption = Assumption { action, role_arn: &asked.role_arn, account: &found.account };
                trust::verdict(caller, &found.trust, assumption, &context)
            });
            if !verdict.is_allowed() {
                return Err(self.denied(caller, action, &asked.role_arn, &verdict));
            }
        }
        let Some(found) = found else {
            return Err(self.denied(caller, "sts:AssumeRole", &asked.role_arn, &Verdict::NotAllowed));
        };
        let seconds = seconds(&asked, &found.record, is_chained)?;
        self.begin_role(found, asked, seconds, Vec::new(), now).await
    }

    /// A session of a role for the holder of `token`, which a provider of the role's account has signed.
    ///
    /// # Errors
    /// `InvalidIdentityToken`, `ExpiredTokenException`, `IDPCommunicationError` for the token; as
    /// [`Sts::assume_role`] for everything else.
    pub async fn assume_role_with_web_identity(
        &self,
        token: &str,
        mut asked: AssumeRole,
        mut context: Context,
        now: Timestamp,
    ) -> Result<WebIdentity, StsError> {
        check(&asked)?;
        if !TOKEN_CHARACTERS.contains(&token.len()) {
            names::check_length(token, "webIdentityToken", *TOKEN_CHARACTERS.start(), *TOKEN_CHARACTERS.end())?;
        }
        let denied = || StsError::new(StsCode::AccessDenied, "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        let unverified = Unverified::read(token)?;
        let found = self.role(&asked.role_arn).await?.ok_or_else(denied)?;
        let provider = self.provider(&found.account, &unverified.issuer).await?;
        let claims = self.verified(token, &unverified, &provider, now).await?;
        let issuer = without_scheme(&provider.url).trim_end_matches('/');
        check_audience(&claims, &provider, issuer, &found.trust)?;
        (asked.tags, asked.transitive_tag_keys) = claims.session_tags()?;
        check_token_tags(&asked.tags)?;
        asked.source_identity = claims.source_identity();
        let provider_arn = names::provider_arn(&found.account, issuer);
        let mut facts = claims.condition_keys(issuer);
        facts.push(("aws:federatedprovider".to_owned(), provider_arn.clone()));
        for (key, value) in &facts {
            context.push(key.clone(), value.clone());
        }
        describe(&asked, Some(&found), &mut context);
        let holder = Principal::Federated { provider: provider_arn.clone() };
        let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
        actions.extend((!asked.tags.is_empty()).then_some("sts:TagSession"));
        actions.extend(asked.source_identity.is_some().then_some("sts:SetSourceIdentity"));
        for action in actions {
            let assumption = Assumption { action, role_arn: &asked.role_arn, account: &found.account };
            if !trust::allows_holder(&holder, &found.trust, assumption, &context) {
                return Err(denied());
            }
        }
        let seconds = seconds(&asked, &found.record, false)?;
        let audience = claims.audience(&provider.client_ids);
        let role = self.begin_role(found, asked, seconds, facts, now).await?;
        Ok(WebIdentity { role, subject: claims.subject().to_owned(), audience, provider: provider_arn })
    }

    async fn begin_role(
        &self,
        found: Found,
        asked: AssumeRole,
        seconds: u32,
        facts: Vec<(String, String)>,
        now: Timestamp,
    ) -> Result<AssumedRole, StsError> {
        let Found { account, record, .. } = found;
        let arn = names::session_arn(&account, &record.name, &asked.session_name);
        let id = format!("{}:{}", record.id, asked.session_name);
        let source_identity = asked.source_identity.clone();
        let new = NewSession {
            account,
            of: SessionOf::Role { role_id: record.id, session_name: asked.session_name },
            seconds,
            policies: asked.policies,
            tags: asked.tags,
            transitive_tags: asked.transitive_tag_keys,
            source_identity: asked.source_identity,
            facts,
        };
        let credentials = self.start(new, now).await?;
        Ok(AssumedRole { credentials, arn, id, source_identity })
    }

    /// The role with this ARN; `None` if there is none.
    async fn role(&self, arn: &str) -> Result<Option<Found>, StsError> {
        let Some((account, path, name)) = names::parse_arn(arn, "role") else {
            return Err(StsError::new(StsCode::ValidationError, format!("{arn} is invalid")));
        };
        let identities = self.identities();
        let record = identities.record::<RoleRecord>(rows::role(account, name)).await?;
        let Some(record) = record.filter(|role| role.path == path && role.name == name) else { return Ok(None) };
        let trust = identities.parsed_bound(&record.trust, PolicyKind::Trust, &record.trusted)?;
        Ok(Some(Found { account: account.to_owned(), record, trust }))
    }

    /// The provider that an account has registered for this issuer.
    async fn provider(&self, account: &str, issuer: &str) -> Result<OidcProviderRecord, StsError> {
        let bare = without_scheme(issuer).trim_end_matches('/');
        let record: Option<OidcProviderRecord> = self.identities().record(rows::provider(account, bare)).await?;
        // The scheme counts: who registered https must not be answered over http.
        record.filter(|provider| provider.url.trim_end_matches('/') == issuer.trim_end_matches('/')).ok_or_else(|| {
            let message = format!("No OpenIDConnect provider found in your account for {issuer}");
            StsError::new(StsCode::InvalidIdentityToken, message)
        })
    }

    async fn verified(
        &self,
        token: &str,
        unverified: &Unverified,
        provider: &OidcProviderRecord,
        now: Timestamp,
    ) -> Result<Claims, StsError> {
        let keys = self.oidc().keys(&provider.url, unverified.key_id.as_deref()).await.map_err(|error| {
            tracing::warn!(provider = provider.url, %error, "a token cannot be verified");
            let message = format!("Couldn't retrieve verification key from your identity provider: {error}");
            match error {
                OidcError::Unreachable(_) => StsError::new(StsCode::IdpCommunicationError, message),
                OidcError::Refused(_) | OidcError::UnknownKey(_) => {
                    StsError::new(StsCode::InvalidIdentityToken, message)
                }
            }
        })?;
        unverified.verify(token, &keys, now.0.div_euclid(1_000))
    }
}

/// The shapes of what AssumeRole and AssumeRoleWithWebIdentity take alike.
fn check(asked: &AssumeRole) -> Result<(), StsError> {
    names::check_length(&asked.role_arn, "roleArn", 20, 2_048)?;
    names::check_length(&asked.session_name, "roleSessionName", 2, 64)?;
    check_word(&asked.session_name, "roleSessionName", "")?;
    if let Some(external_id) = &asked.external_id {
        names::check_length(external_id, "externalId", 2, 1_224)?;
        check_word(external_id, "externalId", ":/")?;
    }
    if let Some(identity) = &asked.source_identity {
        names::check_length(identity, "sourceIdentity", 2, 64)?;
        check_word(identity, "sourceIdentity", "")?;
    }
    if let Some(seconds) = asked.seconds {
        check_seconds(seconds, SHORTEST_SECONDS, LONGEST_SECONDS)?;
    }
    names::check_tags(&asked.tags)?;
    Ok(())
}

/// The tags of a token, which may have several values each.
fn check_token_tags(tags: &Tags) -> Result<(), StsError> {
    let mut keys = Tags::new();
    for (key, value) in tags {
        let tag = (key.clone(), value.clone());
        if keys.iter().any(|(known, _)| known == key) {
            names::check_tags(&vec![tag])?;
        } else {
            keys.push(tag);
        }
    }
    Ok(names::check_tags(&keys)?)
}

/// Letters, digits, `_+=,.@-` and those of `further`.
pub(super) fn check_word(text: &str, parameter: &str, further: &str) -> Result<(), StsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) || further.contains(c);
    if text.chars().all(allowed) {
        return Ok(());
    }
    let pattern =
        format!(r"Member must satisfy regular expression pattern: [\w+=,.@{}-]*", further.replace('/', r"\/"));
    Err(names::constraint(text, parameter, &pattern).into())
}

pub(super) fn check_seconds(seconds: u32, shortest: u32, longest: u32) -> Result<(), StsError> {
    let (relation, limit) = match seconds {
        _ if seconds < shortest => ("greater", shortest),
        _ if seconds > longest => ("less", longest),
        _ => return Ok(()),
    };
    let rule = format!("Member must have value {relation} than or equal to {limit}");
    Err(names::constraint(&seconds.to_string(), "durationSeconds", &rule).into())
}

/// How long the session lasts.
fn seconds(asked: &AssumeRole, role: &RoleRecord, is_chained: bool) -> Result<u32, StsError> {
    let seconds = asked.seconds.unwrap_or(DEFAULT_SECONDS.min(role.max_session_seconds));
    if is_chained && seconds > LONGEST_CHAINED_SECONDS {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(StsError::new(StsCode::ValidationError, message));
    }
    if seconds > role.max_session_seconds {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(StsError::new(StsCode::ValidationError, message));
    }
    Ok(seconds)
}

/// What a session hands down to the sessions that are made from it: transitive tags and who is behind it.
fn inherit(asked: &mut AssumeRole, from: Option<&SessionRecord>) -> Result<(), StsError> {
    let Some(from) = from else { return Ok(()) };
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    for key in &from.transitive_tags {
        if asked.tags.iter().any(|(own, _)| same(own, key))
            || asked.transitive_tag_keys.iter().any(|own| same(own, key))
        {
            let message = "One of the specified transitive tag keys can't be set because it conflicts with a \
                           transitive tag key from the calling session.";
            return Err(StsError::new(StsCode::InvalidParameterValue, message));
        }
        asked.tags.extend(from.tags.iter().filter(|(own, _)| same(own, key)).cloned());
        asked.transitive_tag_keys.push(key.clone());
    }
    match (&from.source_identity, &asked.source_identity) {
        (Some(known), Some(other)) if known != other => {
            let message = "The source identity of a session cannot be changed by role chaining.";
            Err(StsError::new(StsCode::AccessDenied, message))
        }
        (Some(known), None) => {
            asked.source_identity = Some(known.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The condition keys of what is asked for, and of the role.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html>
fn describe(asked: &AssumeRole, role: Option<&Found>, context: &mut Context) {
    for (key, value) in role.map(|role| role.record.tags.as_slice()).unwrap_or_default() {
        context.push(format!("aws:resourcetag/{key}"), value.clone());
        context.push(format!("iam:resourcetag/{key}"), value.clone());
    }
    context.insert("sts:rolesessionname", asked.session_name.clone());
    if let Some(seconds) = asked.seconds {
        context.insert("sts:durationseconds", seconds.to_string());
    }
    if let Some(identity) = &asked.source_identity {
        context.insert("sts:sourceidentity", identity.clone());
    }
    for (key, value) in &asked.tags {
        context.push(format!("aws:requesttag/{key}"), value.clone());
        context.push("aws:tagkeys", key.clone());
    }
    for key in &asked.transitive_tag_keys {
        context.push("sts:transitivetagkeys", key.clone());
    }
}

/// The token must be for one of the provider's clients. A provider without clients names no audience; then the trust
/// policy must say itself which of the provider's tokens it means.
fn check_audience(
    claims: &Claims,
    provider: &OidcProviderRecord,
    issuer: &str,
    trust: &Policy,
) -> Result<(), StsError> {
    let is_meant = if provider.client_ids.is_empty() {
        let keys = [&format!("{}:", issuer.to_lowercase()), "aws:requesttag/", "aws:tagkeys"];
        keys.iter().any(|key| trust.asks_for(key))
    } else {
        claims.audiences().iter().any(|audience| provider.client_ids.contains(audience))
    };
    if is_meant { Ok(()) } else { Err(StsError::new(StsCode::InvalidIdentityToken, "Incorrect token audience")) }
}
