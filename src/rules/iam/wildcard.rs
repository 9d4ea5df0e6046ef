//! Wildcards: `*` stands for any characters, also none; `?` for exactly one.
//!
//! A pattern is cut at its stars once, when the policy is parsed. Matching then looks for each piece behind the one
//! before it and never goes back, so that no pattern is expensive: a piece without `?` costs the length of the text,
//! a piece with `?` at most its own length times the text's.

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Exactly these characters.
    Text(&'a str),
    /// `?`
    One,
    /// `*`
    Star,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the text begins with.
    head: Piece,
    /// What stands between stars, in this order.
    middle: Vec<Piece>,
    /// What the text ends with, behind the last star; without a star, `head` is the whole text.
    tail: Option<Piece>,
}

/// A part of a pattern without stars: literal text, then for each of `rest` any one character and more text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Piece {
    first: String,
    rest: Vec<String>,
}

impl Pattern {
    /// Compiles steps.
    pub fn new<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> Self {
        let mut head = None;
        let mut middle = Vec::new();
        let mut piece = Piece::default();
        for step in steps {
            match step {
                Step::Text(text) => piece.rest.last_mut().unwrap_or(&mut piece.first).push_str(text),
                Step::One => piece.rest.push(String::new()),
                Step::Star => {
                    let done = std::mem::take(&mut piece);
                    if head.is_none() { head = Some(done) } else { middle.push(done) }
                }
            }
        }
        match head {
            Some(head) => Self { head, middle, tail: Some(piece) },
            None => Self { head: piece, middle, tail: None },
        }
    }

    /// Reads `*` and `?` in `text` as wildcards.
    pub fn wild(text: &str) -> Self {
        Self::new(steps(text))
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        let Some(mut rest) = self.head.strip(text) else { return false };
        let Some(tail) = &self.tail else { return rest.is_empty() };
        for piece in &self.middle {
            let Some(behind) = piece.find(rest) else { return false };
            rest = behind;
        }
        tail.ends(rest)
    }

    /// The one text that matches, if there is but one.
    pub fn literal(&self) -> Option<&str> {
        (self.tail.is_none() && self.head.rest.is_empty()).then_some(&*self.head.first)
    }
}

/// Cuts `text` at its wildcards.
pub(super) fn steps(text: &str) -> impl Iterator<Item = Step<'_>> {
    text.split_inclusive(['*', '?']).flat_map(|run| {
        let (text, wildcard) = match run.strip_suffix('*') {
            Some(text) => (text, Some(Step::Star)),
            None => run.strip_suffix('?').map_or((run, None), |text| (text, Some(Step::One))),
        };
        std::iter::once(Step::Text(text)).chain(wildcard)
    })
}

impl Piece {
    /// What follows the piece in `text`, which must begin with it.
    fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text.strip_prefix(&*self.first)?;
        for literal in &self.rest {
            let mut characters = rest.chars();
            characters.next()?;
            rest = characters.as_str().strip_prefix(&**literal)?;
        }
        Some(rest)
    }

    /// What follows the piece where it first stands in `text`.
    fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        if self.rest.is_empty() {
            return text.split_once(&*self.first).map(|(_, behind)| behind);
        }
        // Overlapping places count, hence not `match_indices`.
        text.char_indices().find_map(|(at, _)| self.strip(&text[at..]))
    }

    /// Whether `text` ends with the piece.
    fn ends(&self, text: &str) -> bool {
        if self.rest.is_empty() {
            return text.ends_with(&*self.first);
        }
        let literals = std::iter::once(&self.first).chain(&self.rest);
        let length = self.rest.len() + literals.map(|literal| literal.chars().count()).sum::<usize>();
        text.char_indices().rev().nth(length - 1).is_some_and(|(at, _)| self.strip(&text[at..]) == Some(""))
    }
}
