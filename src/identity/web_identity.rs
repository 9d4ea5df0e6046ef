//! OpenID Connect tokens: what a token claims, whether its provider signed it, and the condition keys that come of it.
//! Pure: the keys and the time are arguments.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#condition-keys-wif>

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, dangerous, decode, decode_header};
use serde_json::{Map, Value};

use super::records::Tags;
use super::sts_error::{StsCode, StsError};

/// How far the clocks of provider and server may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// Claims that become condition keys; further ones are left out.
const MAX_CLAIMS: usize = 64;
/// Characters of one claim's value that becomes a condition key; longer ones are left out.
const MAX_CLAIM_CHARACTERS: usize = 1_024;
/// Values of one claim.
const MAX_VALUES: usize = 64;
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp>
const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// Signatures by keys that are published. Those by shared secrets (HS256) are none.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token says of itself, believed by nobody yet: enough to find its provider and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The issuer's URL.
    pub issuer: String,
    /// Which of the issuer's keys has signed it.
    pub key_id: Option<String>,
    algorithm: Algorithm,
}

/// What a token claims, signed by its issuer and valid now.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Unverified {
    /// Reads a token.
    ///
    /// # Errors
    /// `InvalidIdentityToken` if it is no signed token.
    pub fn read(token: &str) -> Result<Self, StsError> {
        let not_a_token = || {
            invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
        };
        let header = decode_header(token).map_err(|_| not_a_token())?;
        // "crit" names extensions that must be understood, and none is here (RFC 7515, section 4.1.11).
        if header.crit.is_some() || !ALGORITHMS.contains(&header.alg) {
            return Err(invalid("The token is signed with an algorithm that is not supported; use RS256 or ES256"));
        }
        let claims: Map<String, Value> = dangerous::insecure_decode(token).map_err(|_| not_a_token())?.claims;
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or_else(|| missing("iss"))?;
        Ok(Self { issuer: issuer.to_owned(), key_id: header.kid, algorithm: header.alg })
    }

    /// The claims, if one of the issuer's keys has signed the token and it is valid at `now` (seconds since 1970).
    ///
    /// # Errors
    /// `InvalidIdentityToken`; `ExpiredTokenException`.
    pub fn verify(&self, token: &str, keys: &[Jwk], now: i64) -> Result<Claims, StsError> {
        let mut validation = Validation::new(self.algorithm);
        // Times are compared below, with the time that was given; audiences with those of the provider.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let named = |key: &Jwk| {
            key.common.key_algorithm.is_none_or(|algorithm| algorithm.to_string() == format!("{:?}", self.algorithm))
        };
        let candidates = keys.iter().filter(|key| named(key)).filter_map(|key| DecodingKey::from_jwk(key).ok());
        let verified = candidates
            .filter_map(|key| decode::<Map<String, Value>>(token, &key, &validation).ok())
            .map(|data| data.claims)
            .next();
        let claims = verified.ok_or_else(|| invalid("The signature of the provided token is not valid"))?;
        check_times(&claims, now)?;
        for name in ["sub", "aud"] {
            if texts(claims.get(name)).is_empty() {
                return Err(missing(name));
            }
        }
        Ok(Claims(claims))
    }
}

fn check_times(claims: &Map<String, Value>, now: i64) -> Result<(), StsError> {
    let time = |name: &str| {
        let value = claims.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a time with a fraction of a second, cut off")]
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    };
    let expires = time("exp").ok_or_else(|| missing("exp"))?;
    if expires.saturating_add(LEEWAY_SECONDS) <= now {
        let message =
            format!("Token expired: current date/time {now} must be before the expiration date/time {expires}");
        return Err(StsError::new(StsCode::ExpiredToken, message));
    }
    for name in ["nbf", "iat"] {
        if time(name).is_some_and(|from| from > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(invalid("The token is not valid yet; compare the clocks of the provider and of this server"));
        }
    }
    Ok(())
}

impl Claims {
    /// Who the token is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.get("sub").and_then(Value::as_str).unwrap_or_default()
    }

    /// For whom the token is: its audiences, and its authorised party.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        let mut audiences = texts(self.0.get("aud"));
        audiences.extend(texts(self.0.get("azp")).into_iter().filter(|party| !party.is_empty()));
        audiences
    }

    /// The audience that the answer names: that which is one of `client_ids`, else the first.
    #[must_use]
    pub fn audience(&self, client_ids: &[String]) -> String {
        let audiences = self.audiences();
        let known = audiences.iter().find(|audience| client_ids.contains(audience));
        known.or(audiences.first()).cloned().unwrap_or_default()
    }

    /// The claims as condition keys, `<issuer without scheme>:<claim>`: texts, numbers, booleans, and lists of them.
    /// `app_id` is the audience, too.
    #[must_use]
    pub fn condition_keys(&self, issuer: &str) -> Vec<(String, String)> {
        let issuer = without_scheme(issuer).to_lowercase();
        let mut keys = Vec::new();
        for (claim, value) in self.0.iter().take(MAX_CLAIMS) {
            let values = texts(Some(value));
            let short = values.into_iter().filter(|value| value.chars().count() <= MAX_CLAIM_CHARACTERS);
            let name = format!("{issuer}:{}", claim.to_lowercase());
            keys.extend(short.take(MAX_VALUES).map(|value| (name.clone(), value)));
        }
        keys.extend(
            texts(self.0.get("aud"))
                .into_iter()
                .take(MAX_VALUES)
                .flat_map(|audience| ["app_id", "oaud"].map(|name| (format!("{issuer}:{name}"), audience.clone()))),
        );
        keys
    }

    /// Session tags and the keys of those that are transitive. AWS takes one value for each tag; a provider that lists
    /// several gives the tag's condition key as many.
    ///
    /// # Errors
    /// `InvalidIdentityToken` if the claim has another shape than AWS documents.
    pub fn session_tags(&self) -> Result<(Tags, Vec<String>), StsError> {
        let Some(claim) = self.0.get(TAGS_CLAIM) else { return Ok((Tags::new(), Vec::new())) };
        // Some providers can only set lists.
        let claim = claim.get(0).unwrap_or(claim);
        let malformed =
            || invalid("The claim https://aws.amazon.com/tags must hold principal_tags, each with a list of values");
        let mut tags = Tags::new();
        for (key, value) in claim.get("principal_tags").and_then(Value::as_object).into_iter().flatten() {
            let values = texts(Some(value));
            if values.is_empty() {
                return Err(malformed());
            }
            tags.extend(values.into_iter().map(|value| (key.clone(), value)));
        }
        Ok((tags, texts(claim.get("transitive_tag_keys"))))
    }

    /// The source identity, if the provider sets one.
    #[must_use]
    pub fn source_identity(&self) -> Option<String> {
        self.0.get(SOURCE_IDENTITY_CLAIM).and_then(Value::as_str).map(str::to_owned)
    }
}

/// The issuer as ARNs and condition keys name it.
#[must_use]
pub fn without_scheme(issuer: &str) -> &str {
    issuer.strip_prefix("https://").or_else(|| issuer.strip_prefix("http://")).unwrap_or(issuer)
}

/// A claim's values as texts; objects and lists within lists have none.
fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn invalid(message: &str) -> StsError {
    StsError::new(StsCode::InvalidIdentityToken, message)
}

fn missing(claim: &str) -> StsError {
    invalid(&format!("Missing a required claim: {claim}"))
}

#[cfg(test)]
mod tests;
