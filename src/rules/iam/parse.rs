//! From a document's text to a policy.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use std::collections::HashSet;

use super::bucket;
use super::condition::Condition;
use super::identity;
use super::index::Index;
use super::json::{self, Json};
use super::policy::{InvalidPolicy, Policy, PolicyKind};
use super::principal::{PrincipalId, Principals};
use super::statement::{Actions, Effect, Resources, Statement};
use super::variables::{Syntax, Template};
use super::wildcard::Pattern;

type Result<T> = std::result::Result<T, InvalidPolicy>;

/// A JSON object's entries, of which each may be taken once.
struct Element(Vec<(String, Json)>);

/// A statement's elements as the document has them, for the checks that each kind of policy makes.
pub(super) struct Source {
    /// `Action` or `NotAction`.
    pub actions: Vec<String>,
    /// `Resource` or `NotResource`; empty if the statement has neither.
    pub resources: Vec<String>,
    pub not_action: bool,
    pub not_resource: bool,
    pub sid: String,
    /// Condition keys.
    pub keys: Vec<String>,
}

pub(super) fn policy(text: &str, kind: PolicyKind<'_>) -> Result<Policy> {
    if text.len() > Policy::MAX_BYTES {
        let limit = Policy::MAX_BYTES;
        return Err(InvalidPolicy::new(format!(
            "Normalized policy document exceeds the maximum allowed size of {limit} bytes."
        )));
    }
    let is_bucket = matches!(kind, PolicyKind::Bucket { .. });
    if is_bucket && !text.starts_with('{') {
        return Err(InvalidPolicy::new("Policies must be valid JSON and the first byte must be '{'"));
    }
    let document = json::read(text).map_err(|fault| {
        let words = if is_bucket { "This policy contains invalid Json" } else { "Syntax errors in policy." };
        InvalidPolicy::new(format!("{words} ({fault})"))
    })?;
    let mut document = Element::of(document, kind)?;
    let variables = match document.text("Version", kind)?.as_deref() {
        Some("2012-10-17") => true,
        Some("2008-10-17") | None => false,
        Some(_) => return Err(InvalidPolicy::new("The policy must contain a valid version string.")),
    };
    document.text("Id", kind)?;
    let statements = document.required("Statement")?;
    document.end()?;
    let list = match statements {
        Json::List(list) => list,
        single => vec![single],
    };
    if list.is_empty() {
        return Err(InvalidPolicy::new("Could not parse the policy: Statement is empty!"));
    }
    let mut sids = HashSet::new();
    let mut statements = Vec::with_capacity(list.len());
    for (index, json) in list.into_iter().enumerate() {
        let (statement, source) = statement(Element::of(json, kind)?, index + 1, kind, variables)?;
        match kind {
            PolicyKind::Bucket { bucket } => bucket::check(&source, bucket)?,
            PolicyKind::Identity | PolicyKind::Session => identity::check(&source, &mut sids)?,
            PolicyKind::Trust => identity::check_trust(&source, &mut sids)?,
        }
        statements.push(statement);
    }
    Ok(Policy { index: Index::of(&statements), statements, is_trust: kind == PolicyKind::Trust })
}

fn statement(
    mut element: Element,
    number: usize,
    kind: PolicyKind<'_>,
    variables: bool,
) -> Result<(Statement, Source)> {
    let sid = element.text("Sid", kind)?.unwrap_or_default();
    let effect = match &*required(element.text("Effect", kind)?, "Effect")? {
        "Allow" => Effect::Allow,
        "Deny" => Effect::Deny,
        other => return Err(InvalidPolicy::new(format!("Invalid effect: {other}"))),
    };
    let principals = principals(&mut element, effect, kind)?;
    let (not_action, actions) = element.either("Action", "NotAction", kind)?;
    let actions = actions.filter(|actions| !actions.is_empty()).ok_or_else(|| none_of(kind, "Action"))?;
    let (not_resource, resources) = element.either("Resource", "NotResource", kind)?;
    let resources = match (resources, kind) {
        (None, PolicyKind::Trust) => None,
        (Some(_), PolicyKind::Trust) => return Err(InvalidPolicy::new("Has prohibited field Resource")),
        (resources, _) => Some(resources.filter(|list| !list.is_empty()).ok_or_else(|| none_of(kind, "Resource"))?),
    };
    let conditions = conditions(&mut element, kind, variables)?;
    element.end()?;
    let templates = |texts: &[String]| -> Result<Vec<_>> {
        let read = |text: &String| Template::parse(text, Syntax::Wild, variables);
        texts.iter().map(read).collect::<std::result::Result<_, _>>().map_err(InvalidPolicy::new)
    };
    let resources_matcher = match &resources {
        Some(texts) => Some(Resources { negated: not_resource, templates: templates(texts)? }),
        None => None,
    };
    let keys = conditions.iter().map(|condition| condition.key.clone()).collect();
    let patterns = actions.iter().map(|action| Pattern::wild(&action.to_ascii_lowercase())).collect();
    let statement = Statement {
        name: if sid.is_empty() { number.to_string() } else { sid.clone() },
        effect,
        principals,
        actions: Actions { negated: not_action, patterns },
        resources: resources_matcher,
        conditions,
    };
    let resources = resources.unwrap_or_default();
    Ok((statement, Source { actions, resources, not_action, not_resource, sid, keys }))
}

fn principals(element: &mut Element, effect: Effect, kind: PolicyKind<'_>) -> Result<Option<Principals>> {
    let (principal, not_principal) = (element.take("Principal"), element.take("NotPrincipal"));
    let has_none = matches!(kind, PolicyKind::Identity | PolicyKind::Session);
    let negated = not_principal.is_some();
    let json = match (principal, not_principal) {
        (None, None) if has_none => return Ok(None),
        _ if has_none => return Err(InvalidPolicy::new("Policy document should not specify a principal.")),
        (None, None) => return Err(InvalidPolicy::new("Missing required field Principal")),
        (Some(_), Some(_)) => return Err(both("Principal", "NotPrincipal", kind)),
        (None, Some(_)) if kind == PolicyKind::Trust => {
            return Err(InvalidPolicy::new("Has prohibited field NotPrincipal"));
        }
        (None, Some(_)) if effect == Effect::Allow => {
            return Err(InvalidPolicy::new("Allow with NotPrincipal is not allowed. Deny with NotPrincipal is"));
        }
        (Some(json), None) | (None, Some(json)) => json,
    };
    let invalid = |what: &str| InvalidPolicy::new(format!("Invalid principal in policy: {what}"));
    let entries = match json {
        Json::Text(text) if text == "*" => vec![("AWS".to_owned(), Json::Text(text))],
        Json::Object(entries) => entries,
        _ => return Err(invalid("it must be \"*\" or name AWS, Service, Federated or CanonicalUser")),
    };
    let mut ids = Vec::new();
    for (name, json) in entries {
        for text in texts(json, &name, kind)? {
            ids.push(PrincipalId::parse(&name, &text).ok_or_else(|| invalid(&format!("\"{name}\":\"{text}\"")))?);
        }
    }
    if ids.is_empty() {
        return Err(invalid("it names nobody"));
    }
    Ok(Some(Principals { negated, ids }))
}

fn conditions(element: &mut Element, kind: PolicyKind<'_>, variables: bool) -> Result<Vec<Condition>> {
    let Some(json) = element.take("Condition") else { return Ok(Vec::new()) };
    let mut conditions = Vec::new();
    for (operator, json) in Element::of(json, kind)?.0 {
        for (key, json) in Element::of(json, kind)?.0 {
            if !key.contains(':') {
                return Err(InvalidPolicy::new(format!("Policy has an invalid condition key: {key}")));
            }
            let values = texts(json, &key, kind)?;
            conditions.push(Condition::parse(&operator, &key, &values, variables).map_err(InvalidPolicy::new)?);
        }
    }
    Ok(conditions)
}

/// One text or a list of them. Numbers and booleans need no quotes.
fn texts(json: Json, name: &str, kind: PolicyKind<'_>) -> Result<Vec<String>> {
    let text = |json| match json {
        Json::Text(text) | Json::Number(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        _ => Err(syntax(kind, &format!("{name} must be a string or a list of strings"))),
    };
    match json {
        Json::List(list) => list.into_iter().map(text).collect(),
        single => Ok(vec![text(single)?]),
    }
}

fn syntax(kind: PolicyKind<'_>, detail: &str) -> InvalidPolicy {
    let words =
        if matches!(kind, PolicyKind::Bucket { .. }) { "Invalid policy syntax." } else { "Syntax errors in policy." };
    InvalidPolicy::new(format!("{words} ({detail})"))
}

fn both(one: &str, other: &str, kind: PolicyKind<'_>) -> InvalidPolicy {
    syntax(kind, &format!("a statement has either {one} or {other}, not both"))
}

fn missing(name: &str) -> InvalidPolicy {
    InvalidPolicy::new(format!("Missing required field {name}"))
}

fn none_of(kind: PolicyKind<'_>, name: &str) -> InvalidPolicy {
    match (kind, name) {
        (PolicyKind::Identity | PolicyKind::Session, "Action") => {
            InvalidPolicy::new("Policy statement must contain actions.")
        }
        (PolicyKind::Identity | PolicyKind::Session, "Resource") => {
            InvalidPolicy::new("Policy statement must contain resources.")
        }
        _ => missing(name),
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| missing(name))
}

impl Element {
    fn of(json: Json, kind: PolicyKind<'_>) -> Result<Self> {
        match json {
            Json::Object(entries) => Ok(Self(entries)),
            _ => Err(syntax(kind, "an object is missing")),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn required(&mut self, name: &str) -> Result<Json> {
        required(self.take(name), name)
    }

    fn text(&mut self, name: &str, kind: PolicyKind<'_>) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(syntax(kind, &format!("{name} must be a string"))),
        }
    }

    /// The texts of one of two elements, and whether it was the second.
    fn either(&mut self, one: &str, other: &str, kind: PolicyKind<'_>) -> Result<(bool, Option<Vec<String>>)> {
        match (self.take(one), self.take(other)) {
            (None, None) => Ok((false, None)),
            (Some(json), None) => Ok((false, Some(texts(json, one, kind)?))),
            (None, Some(json)) => Ok((true, Some(texts(json, other, kind)?))),
            (Some(_), Some(_)) => Err(both(one, other, kind)),
        }
    }

    fn end(&self) -> Result<()> {
        match self.0.first() {
            Some((name, _)) => Err(InvalidPolicy::new(format!("Unknown field {name}"))),
            None => Ok(()),
        }
    }
}
