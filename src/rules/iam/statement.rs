//! A statement of a policy, compiled, and whether it speaks about a request.

use super::condition::Condition;
use super::context::Context;
use super::index::Head;
use super::principal::{PrincipalId, Principals, Reach};
use super::request::Request;
use super::variables::Template;
use super::wildcard::Pattern;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// A statement. What it names must all match.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Its Sid, or without one its number from 1.
    pub name: String,
    pub effect: Effect,
    /// Of resource-based policies only.
    pub principals: Option<Principals>,
    pub actions: Actions,
    /// Trust policies have none: the role is the resource.
    pub resources: Option<Resources>,
    pub conditions: Vec<Condition>,
}

/// `Action` or `NotAction`; patterns in lower case.
#[derive(Debug, Clone)]
pub(super) struct Actions {
    pub negated: bool,
    pub patterns: Vec<Pattern>,
}

/// `Resource` or `NotResource`.
#[derive(Debug, Clone)]
pub(super) struct Resources {
    pub negated: bool,
    pub templates: Vec<Template>,
}

/// A request with what every statement needs of it, made once.
pub(super) struct Question<'a> {
    pub request: &'a Request<'a>,
    /// In lower case.
    pub action: String,
    /// Of the resource.
    pub head: Head,
}

impl<'a> Question<'a> {
    pub fn new(request: &'a Request<'a>) -> Self {
        Self { request, action: request.action.to_ascii_lowercase(), head: Head::of(request.resource) }
    }
}

impl Statement {
    /// Whether the statement speaks about the request, and how closely it names who asks. A statement without
    /// principals speaks about whomever it is attached to.
    pub fn reach(&self, question: &Question<'_>) -> Option<Reach> {
        let request = question.request;
        if !self.actions.contain(&question.action) {
            return None;
        }
        if !self.resources.as_ref().is_none_or(|resources| resources.contain(request.resource, request.context)) {
            return None;
        }
        let reach = match &self.principals {
            Some(principals) => principals.reach(request.principal, request.context)?,
            None => Reach::Direct,
        };
        self.conditions.iter().all(|condition| condition.holds(request.context)).then_some(reach)
    }

    /// Whether it names an account by its canonical user id.
    pub fn names_canonical_users(&self) -> bool {
        let mut named = self.principals.iter().flat_map(|principals| &principals.ids);
        named.any(|id| matches!(id, PrincipalId::CanonicalUser(_)))
    }

    /// The condition keys, in lower case, whose values decide.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let resources = self.resources.iter().flat_map(|resources| &resources.templates);
        resources.flat_map(Template::keys).chain(self.conditions.iter().flat_map(Condition::keys))
    }
}

impl Actions {
    pub fn contain(&self, action: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(action)) != self.negated
    }
}

impl Resources {
    fn contain(&self, resource: &str, context: &Context) -> bool {
        self.templates.iter().any(|template| template.matches(resource, context)) != self.negated
    }
}
