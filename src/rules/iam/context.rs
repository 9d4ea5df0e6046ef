//! The condition keys of a request.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use std::collections::HashMap;

/// What is known of a request, as condition keys: lower-case key to values. A key that is absent is not the same as
/// a key whose value is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    values: HashMap<String, Vec<String>>,
}

impl Context {
    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `key`, in any case of letters, one value in the place of those it had.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(lower(key.into()), vec![value.into()]);
    }

    /// Gives `key`, in any case of letters, one more value.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.entry(lower(key.into())).or_default().push(value.into());
    }

    /// The values of `key`, which must be in lower case.
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.values.get(key).map(Vec::as_slice)
    }
}

fn lower(mut key: String) -> String {
    key.make_ascii_lowercase();
    key
}
