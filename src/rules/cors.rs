//! Cross-origin resource sharing: which rules a bucket may have, and what they let a browser's page do.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html>. What is matched how is as Amazon S3
//! was recorded: of an actual request, too, `Access-Control-Request-Method` and `-Headers` count if it has them.

use serde::{Deserialize, Serialize};

use super::refusal::Result;
use super::{Code, Refusal};

/// Rules of one bucket. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html>
pub const MAX_RULES: usize = 100;
/// A configuration as XML, about: its texts, and what surrounds each of them.
pub const MAX_BYTES: usize = 64 << 10;
/// What XML needs beside each text: `<AllowedHeader></AllowedHeader>`.
const ELEMENT_BYTES: usize = 31;
/// Characters of a rule's name.
const MAX_ID_CHARACTERS: usize = 255;
/// Headers that a browser may ask for at once. A page has a handful; with this, the cost of a request is bounded by
/// the configuration's size times this number, whatever either contains.
const MAX_ASKED_HEADERS: usize = 100;

/// Methods that a rule can allow. Stored: the order is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// `GET`
    Get,
    /// `PUT`
    Put,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
    /// `HEAD`
    Head,
}

impl Method {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }

    /// The method of this name, in upper case as HTTP has it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Put, Self::Post, Self::Delete, Self::Head].into_iter().find(|method| method.as_str() == name)
    }
}

/// One rule. Stored: the order of the fields is part of the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Origins, each with at most one `*`, which stands for any text.
    pub allowed_origins: Vec<String>,
    /// Methods.
    pub allowed_methods: Vec<Method>,
    /// Headers of requests, each with at most one `*`.
    pub allowed_headers: Vec<String>,
    /// Headers of answers that the page may read.
    pub expose_headers: Vec<String>,
    /// Seconds for which a browser may keep the answer to a preflight.
    pub max_age_seconds: Option<u32>,
}

/// The methods of these names.
///
/// # Errors
/// `InvalidRequest` with the first one that no rule can allow.
pub fn methods<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Method>> {
    let method = |name| {
        Method::parse(name).ok_or_else(|| {
            let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {name}");
            Refusal::invalid_request(message)
        })
    };
    names.into_iter().map(method).collect()
}

/// Whether a bucket may have these rules.
///
/// # Errors
/// `MalformedXML` for none, or for one that allows no origin or method; else `InvalidRequest`.
pub fn check(rules: &[Rule]) -> Result<()> {
    let incomplete = |rule: &Rule| rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty();
    if rules.is_empty() || rules.iter().any(incomplete) {
        return Err(Code::MalformedXML.into());
    }
    if rules.len() > MAX_RULES {
        let message = format!("The number of CORS rules should not exceed allowed limit of {MAX_RULES} rules.");
        return Err(Refusal::invalid_request(message));
    }
    let size: usize = rules.iter().map(written_bytes).sum();
    if size > MAX_BYTES {
        let message = format!("The CORS configuration must not be larger than {MAX_BYTES} bytes.");
        return Err(Refusal::invalid_request(message));
    }
    rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &Rule) -> Result<()> {
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > MAX_ID_CHARACTERS) {
        let message = format!("The ID of a CORS rule must not be longer than {MAX_ID_CHARACTERS} characters.");
        return Err(Refusal::invalid_request(message));
    }
    one_wildcard("AllowedOrigin", &rule.allowed_origins)?;
    one_wildcard("AllowedHeader", &rule.allowed_headers)?;
    if let Some(header) = rule.expose_headers.iter().find(|header| header.contains('*')) {
        let message = format!(
            "ExposeHeader \"{header}\" contains wildcard. We currently do not support wildcard for ExposeHeader."
        );
        return Err(Refusal::invalid_request(message));
    }
    Ok(())
}

fn one_wildcard(element: &str, patterns: &[String]) -> Result<()> {
    match patterns.iter().find(|pattern| pattern.matches('*').count() > 1) {
        None => Ok(()),
        Some(pattern) => {
            let message = format!("{element} \"{pattern}\" can not have more than one wildcard.");
            Err(Refusal::invalid_request(message))
        }
    }
}

fn written_bytes(rule: &Rule) -> usize {
    let lists = [&rule.allowed_origins, &rule.allowed_headers, &rule.expose_headers];
    let texts: usize = lists.into_iter().flatten().map(|text| text.len() + ELEMENT_BYTES).sum();
    texts + rule.allowed_methods.len() * ELEMENT_BYTES + rule.id.as_ref().map_or(0, String::len) + ELEMENT_BYTES
}

/// What a page asks for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `Origin`.
    pub origin: &'a str,
    /// `Access-Control-Request-Method`; without it, the request's own method.
    pub method: &'a str,
    /// `Access-Control-Request-Headers`: names between commas.
    pub headers: &'a str,
}

/// What a page may do, as the answer's headers have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// `Access-Control-Allow-Origin`: `*`, or the origin that asked.
    pub origin: String,
    /// `Access-Control-Allow-Methods`.
    pub methods: String,
    /// `Access-Control-Allow-Headers`: those that were asked for.
    pub headers: Option<String>,
    /// `Access-Control-Expose-Headers`.
    pub exposed: Option<String>,
    /// `Access-Control-Max-Age`, in seconds.
    pub max_age_seconds: Option<u32>,
    /// Whether `Access-Control-Allow-Credentials` is `true`: for every origin that is not allowed as `*`.
    pub credentials: bool,
}

/// What the first rule that fits grants; `None` if none does.
#[must_use]
pub fn grant(rules: &[Rule], asked: Asked<'_>) -> Option<Granted> {
    let mut headers = Vec::new();
    for name in asked.headers.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if headers.len() == MAX_ASKED_HEADERS {
            return None;
        }
        headers.push(name);
    }
    let method = Method::parse(asked.method)?;
    rules.iter().find_map(|rule| {
        if !rule.allowed_methods.contains(&method) {
            return None;
        }
        let allowed = rule.allowed_origins.iter().find(|pattern| fits(pattern, asked.origin, Letters::Exact))?;
        let permitted = |name: &&str| rule.allowed_headers.iter().any(|pattern| fits(pattern, name, Letters::AnyCase));
        headers.iter().all(permitted).then(|| granted(rule, allowed, asked.origin, &headers))
    })
}

fn granted(rule: &Rule, allowed: &str, origin: &str, headers: &[&str]) -> Granted {
    let any = allowed == "*";
    let methods: Vec<_> = rule.allowed_methods.iter().map(|method| method.as_str()).collect();
    Granted {
        origin: if any { "*".to_owned() } else { origin.to_owned() },
        methods: methods.join(", "),
        headers: (!headers.is_empty()).then(|| headers.join(", ").to_ascii_lowercase()),
        exposed: (!rule.expose_headers.is_empty()).then(|| rule.expose_headers.join(", ")),
        max_age_seconds: rule.max_age_seconds,
        credentials: !any,
    }
}

/// Whether letters of another case are other letters.
#[derive(Clone, Copy)]
enum Letters {
    Exact,
    AnyCase,
}

/// Whether a text fits a pattern with at most one `*`. Linear in the text.
fn fits(pattern: &str, text: &str, letters: Letters) -> bool {
    let same = |a: &[u8], b: &[u8]| match letters {
        Letters::Exact => a == b,
        Letters::AnyCase => a.eq_ignore_ascii_case(b),
    };
    let text = text.as_bytes();
    let Some((start, end)) = pattern.split_once('*') else { return same(pattern.as_bytes(), text) };
    let Some((head, rest)) = text.split_at_checked(start.len()) else { return false };
    let Some((_, tail)) = rest.len().checked_sub(end.len()).and_then(|at| rest.split_at_checked(at)) else {
        return false;
    };
    same(head, start.as_bytes()) && same(tail, end.as_bytes())
}

#[cfg(test)]
mod tests;
