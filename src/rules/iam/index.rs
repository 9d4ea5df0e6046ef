//! Which statements of a policy can speak about a resource, without asking each of them: most statements of a long
//! policy are about other buckets.
//!
//! What stands before the first `/` of a resource (of S3's: the bucket's ARN) must be in a template as it is, unless a
//! wildcard or a variable comes first. So statements are found by that text; those without one are always asked.

use std::collections::BTreeMap;

use super::statement::{Resources, Statement};
use super::variables::Template;

/// The statements of one policy, by number from 0.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Those all of whose resources begin with a fixed text up to the first `/`, by each of these texts.
    by_head: BTreeMap<String, Vec<usize>>,
    /// All others.
    anywhere: Vec<usize>,
}

impl Index {
    pub fn of(statements: &[Statement]) -> Self {
        let mut index = Self { by_head: BTreeMap::new(), anywhere: Vec::new() };
        for (number, statement) in statements.iter().enumerate() {
            let Some(heads) = statement.resources.as_ref().and_then(heads) else {
                index.anywhere.push(number);
                continue;
            };
            for head in heads {
                let numbers = index.by_head.entry(head.to_owned()).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        index
    }

    /// The statements that can speak about `resource`, in their order.
    pub fn candidates(&self, resource: &str) -> impl Iterator<Item = usize> {
        let named = self.by_head.get(head(resource)).map(Vec::as_slice).unwrap_or_default();
        let (mut named, mut anywhere) = (named.iter().copied().peekable(), self.anywhere.iter().copied().peekable());
        std::iter::from_fn(move || {
            let next = [named.peek(), anywhere.peek()].into_iter().flatten().min().copied();
            // No statement is in both.
            if named.peek() == next.as_ref() { named.next() } else { anywhere.next() }
        })
    }
}

/// The fixed texts; `None` if the resources are not limited to some.
fn heads(resources: &Resources) -> Option<Vec<&str>> {
    if resources.negated { None } else { resources.templates.iter().map(template_head).collect() }
}

fn template_head(template: &Template) -> Option<&str> {
    match template.literal() {
        Some(text) => Some(head(text)),
        None => template.start().split_once('/').map(|(head, _)| head),
    }
}

fn head(text: &str) -> &str {
    text.split_once('/').map_or(text, |(head, _)| head)
}
