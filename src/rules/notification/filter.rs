//! Filters by the key's beginning and end.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::rules::Refusal;
use crate::rules::refusal::Result;

/// Bytes of a rule's value.
const MAX_VALUE_BYTES: usize = 1_024;

/// Which end of a key. Stored: the order is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Its beginning.
    Prefix,
    /// Its end.
    Suffix,
}

impl Side {
    /// As S3 answers it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prefix => "Prefix",
            Self::Suffix => "Suffix",
        }
    }

    /// The side of this name, in whatever case.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn parse(name: &str) -> Result<Self> {
        let known = [Self::Prefix, Self::Suffix].into_iter().find(|side| side.as_str().eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let message = "filter rule name must be either prefix or suffix";
            Refusal::invalid_argument("FilterRule.Name", name, message)
        })
    }
}

/// One rule. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterRule {
    /// Which end of the key it is about.
    pub side: Side,
    /// What must be there, as it was written: special characters may be percent-encoded, and `+` stands for a space.
    pub value: String,
}

/// The rules of one configuration, in the order in which they were written; none pass every key. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter(pub Vec<FilterRule>);

impl Filter {
    /// Whether a configuration may have it.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check(&self) -> Result<()> {
        for side in [Side::Prefix, Side::Suffix] {
            if self.0.iter().filter(|rule| rule.side == side).count() > 1 {
                let name = side.as_str().to_ascii_lowercase();
                let message = format!("Cannot specify more than one {name} rule in a filter.");
                return Err(Refusal::invalid_argument("FilterRule.Name", &name, message));
            }
        }
        match self.0.iter().find(|rule| rule.value.len() > MAX_VALUE_BYTES) {
            None => Ok(()),
            Some(rule) => {
                let message =
                    format!("Size of filter rule value cannot exceed {MAX_VALUE_BYTES} bytes in UTF-8 representation");
                Err(Refusal::invalid_argument("FilterRule.Value", &rule.value, message))
            }
        }
    }

    /// Whether a key passes.
    #[must_use]
    pub fn passes(&self, key: &str) -> bool {
        self.0.iter().all(|rule| match rule.side {
            Side::Prefix => key.starts_with(&decoded(&rule.value)),
            Side::Suffix => key.ends_with(&decoded(&rule.value)),
        })
    }

    /// Whether a key can pass both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (prefix, other_prefix) = (self.value(Side::Prefix), other.value(Side::Prefix));
        let (suffix, other_suffix) = (self.value(Side::Suffix), other.value(Side::Suffix));
        let prefixes_overlap = prefix.starts_with(&other_prefix) || other_prefix.starts_with(&prefix);
        let suffixes_overlap = suffix.ends_with(&other_suffix) || other_suffix.ends_with(&suffix);
        prefixes_overlap && suffixes_overlap
    }

    fn value(&self, side: Side) -> String {
        self.0.iter().find(|rule| rule.side == side).map(|rule| decoded(&rule.value)).unwrap_or_default()
    }
}

/// The text that a value stands for. One that is no percent-encoding stands for itself.
fn decoded(value: &str) -> String {
    if !value.contains(['%', '+']) {
        return value.to_owned();
    }
    let spaced = value.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}
