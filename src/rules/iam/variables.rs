//! Policy variables: `${aws:username}`, `${aws:PrincipalTag/team, 'none'}`, and `${*}`, `${?}`, `${$}` for the
//! characters themselves. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>
//!
//! What a variable stands for is text: a `*` in a user's tag is no wildcard.

use std::borrow::Cow;

use super::context::Context;
use super::wildcard::{Pattern, Step, steps};

/// What the characters of a value mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Themselves.
    Exact,
    /// Themselves in any case.
    IgnoreCase,
    /// `*` and `?` are wildcards.
    Wild,
}

/// A value of a policy: text, wildcards and variables.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// The text before the first wildcard or variable: most of what does not match differs here already.
    start: String,
    /// Compiled, where there are no variables.
    fixed: Option<Pattern>,
    parts: Vec<Part>,
    syntax: Syntax,
}

#[derive(Debug, Clone)]
enum Part {
    /// Text in which wildcards mean what the syntax says.
    Text(String),
    /// A character that `${*}`, `${?}` or `${$}` stands for.
    Character(&'static str),
    /// A variable: its key in lower case.
    Variable { key: String, default: Option<String> },
}

impl Template {
    /// Reads a value. Without `variables`, as before version 2012-10-17, `${` is text.
    ///
    /// # Errors
    /// What is wrong with a variable.
    pub fn parse(text: &str, syntax: Syntax, variables: bool) -> Result<Self, String> {
        let folded = |text: &str| if syntax == Syntax::IgnoreCase { text.to_lowercase() } else { text.to_owned() };
        let mut parts = Vec::new();
        let mut rest = text;
        while variables && let Some((before, behind)) = rest.split_once("${") {
            let (variable, behind) =
                behind.split_once('}').ok_or_else(|| format!("the variable in \"{text}\" has no closing brace"))?;
            parts.push(Part::Text(folded(before)));
            parts.push(variable_part(variable, folded)?);
            rest = behind;
        }
        parts.push(Part::Text(folded(rest)));
        Ok(Self::of(parts, syntax))
    }

    fn of(parts: Vec<Part>, syntax: Syntax) -> Self {
        let start = match parts.first() {
            Some(Part::Text(text)) if syntax == Syntax::Wild => text.split(['*', '?']).next().unwrap_or_default(),
            Some(Part::Text(text)) => text,
            _ => "",
        };
        let mut template = Self { start: start.to_owned(), fixed: None, parts, syntax };
        template.fixed = template.compile(&Context::new()).filter(|_| template.keys().next().is_none());
        template
    }

    /// Cuts at the colons of the text, into at most `most` templates: the last keeps the colons that are left.
    pub fn split(self, most: usize) -> Vec<Self> {
        let (mut done, mut parts) = (Vec::with_capacity(most), Vec::new());
        for part in self.parts {
            let Part::Text(text) = part else {
                parts.push(part);
                continue;
            };
            let mut pieces = text.splitn(most - done.len(), ':');
            parts.extend(pieces.next().map(|piece| Part::Text(piece.to_owned())));
            for piece in pieces {
                let before = std::mem::replace(&mut parts, vec![Part::Text(piece.to_owned())]);
                done.push(Self::of(before, self.syntax));
            }
        }
        done.push(Self::of(parts, self.syntax));
        done
    }

    /// Whether the whole of `text` matches. A variable without a value and without a default matches nothing.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        let text =
            if self.syntax == Syntax::IgnoreCase { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
        match &self.fixed {
            Some(pattern) => pattern.matches(&text),
            None => {
                text.starts_with(&self.start) && self.compile(context).is_some_and(|pattern| pattern.matches(&text))
            }
        }
    }

    /// The keys of the variables, in lower case.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(&**key),
            Part::Text(_) | Part::Character(_) => None,
        })
    }

    /// The one text that matches, whatever the request, if there is but one.
    pub fn literal(&self) -> Option<&str> {
        self.fixed.as_ref().and_then(Pattern::literal)
    }

    /// The text before the first wildcard or variable.
    pub fn start(&self) -> &str {
        &self.start
    }

    /// With the variables' values; `None` if one has none.
    fn compile(&self, context: &Context) -> Option<Pattern> {
        let mut values = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            values.push(match part {
                Part::Text(_) | Part::Character(_) => Cow::Borrowed(""),
                Part::Variable { key, default } => self.value(key, default.as_deref(), context)?,
            });
        }
        let steps = self.parts.iter().zip(&values).flat_map(|(part, value)| {
            let (wild, text) = match part {
                Part::Text(text) if self.syntax == Syntax::Wild => (Some(steps(text)), ""),
                Part::Text(text) => (None, &**text),
                Part::Character(character) => (None, *character),
                Part::Variable { .. } => (None, &**value),
            };
            wild.into_iter().flatten().chain(std::iter::once(Step::Text(text)))
        });
        Some(Pattern::new(steps))
    }

    /// A key with several values has none that could stand for it.
    fn value<'a>(&self, key: &str, default: Option<&'a str>, context: &'a Context) -> Option<Cow<'a, str>> {
        let value = match context.get(key) {
            Some([value]) => value,
            _ => default?,
        };
        Some(if self.syntax == Syntax::IgnoreCase { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) })
    }
}

/// Reads what stands between the braces.
fn variable_part(text: &str, folded: impl Fn(&str) -> String) -> Result<Part, String> {
    let (key, default) = match text {
        "*" => return Ok(Part::Character("*")),
        "?" => return Ok(Part::Character("?")),
        "$" => return Ok(Part::Character("$")),
        _ => text.split_once(',').map_or((text, None), |(key, default)| (key, Some(default.trim_start()))),
    };
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!("the variable \"${{{text}}}\" names no condition key"));
    }
    let default = match default {
        None => None,
        Some(quoted) => Some(
            quoted
                .strip_prefix('\'')
                .and_then(|quoted| quoted.strip_suffix('\''))
                .ok_or_else(|| format!("the default of the variable \"${{{text}}}\" must stand in single quotes"))?,
        ),
    };
    Ok(Part::Variable { key: key.to_ascii_lowercase(), default: default.map(folded) })
}
