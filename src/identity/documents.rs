//! Policies' texts: how long they may be, and that they parse.
//!
//! AWS counts characters without white space. What is stored is the text as it was given, unless most of it is white
//! space; then without.

use super::error::{Code, Error, Result};
use crate::rules::iam::{Policy, PolicyKind};

/// Characters of a managed policy's version, white space aside.
pub const MAX_MANAGED_POLICY_CHARACTERS: usize = 6_144;
/// Characters of all inline policies of a user together.
pub(super) const MAX_USER_POLICY_CHARACTERS: usize = 2_048;
/// Characters of all inline policies of a group together.
pub(super) const MAX_GROUP_POLICY_CHARACTERS: usize = 5_120;
/// Characters of all inline policies of a role together.
pub(super) const MAX_ROLE_POLICY_CHARACTERS: usize = 10_240;
/// Characters of a trust policy.
pub(super) const MAX_TRUST_POLICY_CHARACTERS: usize = 2_048;
/// Characters of any policy's parameter, white space included.
const MAX_PARAMETER_CHARACTERS: usize = 131_072;
/// White space is kept up to this many times the rest, and this many bytes.
const KEPT_FACTOR: usize = 3;
const KEPT_BYTES: usize = 1_024;

/// The text without white space between JSON's tokens.
pub(super) fn compact(text: &str) -> String {
    let (mut compact, mut in_string, mut escaped) = (String::with_capacity(text.len()), false, false);
    for character in text.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        compact.push(character);
    }
    compact
}

/// Characters that count against a quota.
pub(super) fn counted(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

/// Checks a document and gives the text to store. `parameter` is its parameter's name.
///
/// # Errors
/// `MalformedPolicyDocument` with AWS's message, `ValidationError` if it is longer than any could be.
pub(super) fn accept(text: &str, kind: PolicyKind<'_>, parameter: &str) -> Result<String> {
    super::names::check_length(text, parameter, 1, MAX_PARAMETER_CHARACTERS)?;
    if counted(text) > MAX_PARAMETER_CHARACTERS / 8 {
        // Longer than every quota: parsing it would only cost.
        let message = format!("The policy exceeds {} characters, white space aside.", MAX_PARAMETER_CHARACTERS / 8);
        return Err(Error::refused(Code::LimitExceeded, message));
    }
    Policy::parse(text, kind).map_err(|fault| Error::refused(Code::MalformedPolicyDocument, fault.to_string()))?;
    let compact = compact(text);
    Ok(if text.len() <= KEPT_FACTOR * compact.len() + KEPT_BYTES { text.to_owned() } else { compact })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn a_compact_text_says_the_same(key in any::<String>(), value in any::<String>(), number in any::<i64>()) {
            let said = json!({ key: [value.clone(), {"n": number, "t": [true, null]}], "x": value });
            let pretty = serde_json::to_string_pretty(&said).expect("JSON");
            let short = compact(&pretty);
            prop_assert_eq!(serde_json::from_str::<Value>(&short).expect("JSON"), said.clone());
            prop_assert_eq!(&short, &said.to_string());
            prop_assert_eq!(counted(&short), counted(&pretty));
        }

        #[test]
        fn any_text_is_accepted_or_refused(text in any::<String>()) {
            let _ = accept(&text, PolicyKind::Identity, "policyDocument");
        }
    }

    #[test]
    fn white_space_within_strings_stays() {
        assert_eq!(compact("{ \"a b\" :\n\t[1, \" \\\" \"] }"), "{\"a b\":[1,\" \\\" \"]}");
        assert_eq!(compact(r#"{"a\\" : 1}"#), r#"{"a\\":1}"#);
        assert_eq!(counted("{ \"a b\" }"), 6);
    }
}
