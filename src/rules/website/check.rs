//! Which websites a bucket may have, and where an object may redirect to.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html>

use super::location::is_host;
use super::{
    Condition, MAX_BYTES, MAX_REDIRECT_LOCATION_BYTES, MAX_RULES, NewKey, Pages, Protocol, Redirect, RedirectAll, Rule,
    Website,
};
use crate::rules::refusal::Result;
use crate::rules::{Code, Refusal};

/// No text of a configuration is longer, in bytes: the longest key.
const MAX_TEXT_BYTES: usize = 1_024;

/// A website as a client states it.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// `RedirectAllRequestsTo`: host and protocol.
    pub redirect_all: Option<(String, Option<String>)>,
    /// `IndexDocument/Suffix`.
    pub index: Option<String>,
    /// `ErrorDocument/Key`.
    pub error: Option<String>,
    /// `RoutingRules`.
    pub rules: Option<Vec<StatedRule>>,
}

/// A routing rule as a client states it.
#[derive(Clone, Debug, Default)]
pub struct StatedRule {
    /// `Condition`: `KeyPrefixEquals` and `HttpErrorCodeReturnedEquals`.
    pub condition: Option<(Option<String>, Option<String>)>,
    /// `Redirect`.
    pub redirect: StatedRedirect,
}

/// A rule's `Redirect` as a client states it.
#[derive(Clone, Debug, Default)]
pub struct StatedRedirect {
    /// `HostName`
    pub host: Option<String>,
    /// `Protocol`
    pub protocol: Option<String>,
    /// `ReplaceKeyWith`
    pub key: Option<String>,
    /// `ReplaceKeyPrefixWith`
    pub key_prefix: Option<String>,
    /// `HttpRedirectCode`
    pub code: Option<String>,
}

/// The website that is stated.
///
/// # Errors
/// `InvalidArgument` for a missing or wrong index document, or for a redirect of all requests together with anything
/// else; `MalformedXML` and `InvalidRequest` for the rest.
pub fn check(stated: Stated) -> Result<Website> {
    let Stated { redirect_all, index, error, rules } = stated;
    if let Some((host, protocol)) = redirect_all {
        if index.is_some() || error.is_some() || rules.is_some() {
            let message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.";
            return Err(Refusal::invalid_argument("RedirectAllRequestsTo", "not null", message));
        }
        let protocol = protocol.as_deref().map(parse_protocol).transpose()?;
        return Ok(Website::RedirectAll(RedirectAll { host: checked_host(host)?, protocol }));
    }
    let Some(index) = index else {
        let message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty";
        return Err(Refusal::invalid_argument("IndexDocument", "null", message));
    };
    if index.is_empty() || index.contains('/') || index.len() > MAX_TEXT_BYTES {
        let message = "The IndexDocument Suffix is not well formed";
        return Err(Refusal::invalid_argument("IndexDocument", &index, message));
    }
    if error.as_ref().is_some_and(String::is_empty) {
        return Err(Code::MalformedXML.into());
    }
    let error = error.map(|key| short("ErrorDocument Key", key)).transpose()?;
    if rules.as_ref().is_some_and(Vec::is_empty) {
        return Err(Code::MalformedXML.into());
    }
    let rules = rules.unwrap_or_default();
    if rules.len() > MAX_RULES {
        let message = format!(
            "{} routing rules provided, the number of routing rules in a website configuration is limited to {MAX_RULES}.",
            rules.len()
        );
        return Err(Refusal::invalid_request(message));
    }
    let rules = rules.into_iter().map(rule).collect::<Result<Vec<_>>>()?;
    let pages = Pages { index, error, rules };
    if text_bytes(&pages) > MAX_BYTES {
        let message =
            format!("The texts of a website configuration must not be larger than {MAX_BYTES} bytes together.");
        return Err(Refusal::invalid_request(message));
    }
    Ok(Website::Pages(pages))
}

fn rule(stated: StatedRule) -> Result<Rule> {
    let StatedRedirect { host, protocol, key, key_prefix, code } = stated.redirect;
    let key = match (key, key_prefix) {
        (Some(_), Some(_)) => {
            let message = "You can only define ReplaceKeyPrefix or ReplaceKey but not both.";
            return Err(Refusal::invalid_request(message));
        }
        (Some(key), None) => Some(NewKey::Whole(short("ReplaceKeyWith", key)?)),
        (None, Some(prefix)) => Some(NewKey::Prefix(short("ReplaceKeyPrefixWith", prefix)?)),
        (None, None) => None,
    };
    let redirect = Redirect {
        host: host.map(checked_host).transpose()?,
        protocol: protocol.as_deref().map(parse_protocol).transpose()?,
        key,
        code: code.as_deref().map(redirect_code).transpose()?,
    };
    if redirect == Redirect::default() {
        // It would send every browser back to where it is.
        let message = "Redirect cannot be empty. It must name a host, a protocol, a key or a code.";
        return Err(Refusal::invalid_request(message));
    }
    Ok(Rule { condition: stated.condition.map(condition).transpose()?, redirect })
}

fn condition((key_prefix, error_code): (Option<String>, Option<String>)) -> Result<Condition> {
    if key_prefix.is_none() && error_code.is_none() {
        let message = "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.";
        return Err(Refusal::invalid_request(message));
    }
    Ok(Condition {
        key_prefix: key_prefix.map(|prefix| short("KeyPrefixEquals", prefix)).transpose()?,
        error_code: error_code.as_deref().map(parse_error_code).transpose()?,
    })
}

fn parse_protocol(name: &str) -> Result<Protocol> {
    Protocol::parse(name).ok_or_else(|| {
        let message =
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.";
        Refusal::invalid_request(message)
    })
}

fn redirect_code(text: &str) -> Result<u16> {
    let code = text.parse().map_err(|_| Refusal::from(Code::MalformedXML))?;
    if (301..=399).contains(&code) {
        return Ok(code);
    }
    let message = format!("The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300.");
    Err(Refusal::invalid_request(message))
}

fn parse_error_code(text: &str) -> Result<u16> {
    let code = text.parse().map_err(|_| Refusal::from(Code::MalformedXML))?;
    if (400..=599).contains(&code) {
        return Ok(code);
    }
    let message = format!("The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX.");
    Err(Refusal::invalid_request(message))
}

fn checked_host(host: String) -> Result<String> {
    if is_host(&host) && host.len() <= MAX_TEXT_BYTES {
        return Ok(host);
    }
    let message = format!(
        "HostName must be a host such as www.example.com, in ASCII, of at most {MAX_TEXT_BYTES} bytes, without a protocol."
    );
    Err(Refusal::invalid_request(message))
}

fn short(element: &str, text: String) -> Result<String> {
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(text);
    }
    Err(Refusal::invalid_request(format!("{element} must not be longer than {MAX_TEXT_BYTES} bytes.")))
}

fn text_bytes(pages: &Pages) -> usize {
    let of_rule = |rule: &Rule| {
        let prefix = rule.condition.as_ref().and_then(|condition| condition.key_prefix.as_ref()).map_or(0, String::len);
        let key = match &rule.redirect.key {
            Some(NewKey::Whole(text) | NewKey::Prefix(text)) => text.len(),
            None => 0,
        };
        prefix + key + rule.redirect.host.as_ref().map_or(0, String::len)
    };
    let rules: usize = pages.rules.iter().map(of_rule).sum();
    rules + pages.index.len() + pages.error.as_ref().map_or(0, String::len)
}

/// Whether an object may have this `x-amz-website-redirect-location`.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
///
/// # Errors
/// `InvalidRedirectLocation`.
pub fn check_redirect_location(location: Option<&str>) -> Result<()> {
    let Some(location) = location else { return Ok(()) };
    let refused = |message: &str| Err(Refusal::new(Code::InvalidRedirectLocation, message));
    if location.is_empty() {
        return refused("The website redirect location must be non-empty.");
    }
    if !["/", "http://", "https://"].iter().any(|start| location.starts_with(start)) {
        return refused("The website redirect location must have a prefix of 'http://' or 'https://' or '/'.");
    }
    if location.len() > MAX_REDIRECT_LOCATION_BYTES {
        return refused("The length of website redirect location cannot exceed 2,048 characters.");
    }
    if location.chars().any(char::is_control) {
        return refused("The website redirect location must not contain control characters.");
    }
    Ok(())
}
