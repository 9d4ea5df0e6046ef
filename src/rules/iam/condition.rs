//! The `Condition` element.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_multi-value-conditions.html>

use super::context::Context;
use super::operators::{Operator, Test};

/// An operator, a key and the values with which the request's are compared.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    /// In lower case.
    pub key: String,
    pub set: Set,
    pub negated: bool,
    /// `…IfExists`: a missing key fulfils it.
    pub if_exists: bool,
    pub test: Test,
}

/// How several values of the request count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// No set operator: meant for keys with one value. Of several, one must match, or none for a negated operator.
    Single,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

impl Condition {
    /// Reads one line of a `Condition`: `"operator": {"key": values}`.
    ///
    /// # Errors
    /// What is wrong with the operator or a value.
    pub fn parse(operator: &str, key: &str, values: &[String], variables: bool) -> Result<Self, String> {
        let operator = Operator::parse(operator)?;
        let test = operator.family.test(values, variables)?;
        let key = key.to_ascii_lowercase();
        Ok(Self { key, set: operator.set, negated: operator.negated, if_exists: operator.if_exists, test })
    }

    /// Whether the request fulfils it.
    pub fn holds(&self, context: &Context) -> bool {
        let values = context.get(&self.key).unwrap_or_default();
        if let Test::Absent(wanted) = &self.test {
            return wanted.contains(&values.is_empty());
        }
        let fulfils = |value: &String| self.test.matches(value, context) != self.negated;
        // Where sets are compared, nothing but empty strings is an empty set.
        let no_set = values.iter().all(String::is_empty);
        match self.set {
            Set::All => no_set || values.iter().all(fulfils),
            Set::Any if no_set => self.if_exists,
            Set::Single if values.is_empty() => self.negated || self.if_exists,
            Set::Single if self.negated => values.iter().all(fulfils),
            Set::Single | Set::Any => values.iter().any(fulfils),
        }
    }

    /// The keys whose values decide: its own and those of variables, in lower case.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.key).chain(self.test.templates().flat_map(super::variables::Template::keys))
    }
}
