//! What names, paths, tags and ARNs may be. The messages are AWS's.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

use storage::types::Timestamp;

use super::error::{Code, Error, Result};
use super::records::Tags;

/// Characters of a user's or role's name.
pub(super) const MAX_SHORT_NAME: usize = 64;
/// Characters of a group's or policy's name.
pub(super) const MAX_LONG_NAME: usize = 128;
/// Characters of a path.
const MAX_PATH: usize = 512;
/// Tags of one user, role, policy or provider.
const MAX_TAGS: usize = 50;
/// Characters of a tag's key and value.
const MAX_TAG_KEY: usize = 128;
const MAX_TAG_VALUE: usize = 256;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 1_000;

/// A parameter's value has the wrong shape.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::refused(Code::ValidationError, message)
}

/// AWS's words for a value that breaks a constraint of its parameter.
pub(super) fn constraint(value: &str, parameter: &str, constraint: &str) -> Error {
    let shown: String = value.chars().take(256).collect();
    invalid(format!(
        "1 validation error detected: Value '{shown}' at '{parameter}' failed to satisfy constraint: {constraint}"
    ))
}

/// Letters, digits and `+=,.@_-`, between one and `longest` of them. `parameter` is the parameter's name, first
/// letter in lower case.
pub(super) fn check_name(name: &str, parameter: &str, longest: usize) -> Result<()> {
    check_length(name, parameter, 1, longest)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if name.bytes().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!(
        "The specified value for {parameter} is invalid. It must contain only alphanumeric characters and/or the \
         following: +=,.@_-"
    )))
}

pub(super) fn check_length(value: &str, parameter: &str, shortest: usize, longest: usize) -> Result<()> {
    let length = value.chars().count();
    if length < shortest {
        let rule = format!("Member must have length greater than or equal to {shortest}");
        return Err(constraint(value, parameter, &rule));
    }
    if length > longest {
        let rule = format!("Member must have length less than or equal to {longest}");
        return Err(constraint(value, parameter, &rule));
    }
    Ok(())
}

/// `/`, or printable ASCII between two of them.
pub(super) fn check_path(path: &str) -> Result<()> {
    check_length(path, "path", 1, MAX_PATH)?;
    let framed = path.starts_with('/') && path.ends_with('/');
    if framed && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Ok(());
    }
    Err(invalid(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}

/// What paths start with in a listing.
pub(super) fn check_path_prefix(prefix: &str) -> Result<()> {
    check_length(prefix, "pathPrefix", 1, MAX_PATH)?;
    if prefix.starts_with('/') && prefix.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
        return Ok(());
    }
    Err(invalid(
        "The specified value for pathPrefix is invalid. It must begin with / and contain only alphanumeric characters \
         and/or / characters.",
    ))
}

pub(super) fn check_description(description: &str) -> Result<()> {
    check_length(description, "description", 0, MAX_DESCRIPTION)?;
    let allowed = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
    if description.chars().all(allowed) {
        return Ok(());
    }
    let rule = r"Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*";
    Err(constraint(description, "description", rule))
}

/// Keys differ without regard to case and do not start with `aws:`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules>
pub(super) fn check_tags(tags: &Tags) -> Result<()> {
    let allowed = |text: &str| {
        text.chars().all(|character| character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character))
    };
    for (index, (key, value)) in tags.iter().enumerate() {
        check_length(key, "tags.member.key", 1, MAX_TAG_KEY)?;
        check_length(value, "tags.member.value", 0, MAX_TAG_VALUE)?;
        if !allowed(key) || !allowed(value) {
            let rule = r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*";
            return Err(constraint(if allowed(key) { value } else { key }, "tags", rule));
        }
        if key.to_lowercase().starts_with("aws:") {
            let message = "System tags that are prefixed with aws: cannot be created, changed or deleted by users.";
            return Err(Error::refused(Code::InvalidInput, message));
        }
        let same = |(other, _): &(String, String)| other.to_lowercase() == key.to_lowercase();
        if tags.iter().take(index).any(same) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Error::refused(Code::InvalidInput, message));
        }
    }
    if tags.len() > MAX_TAGS {
        let message = "The number of tags has reached the maximum limit.";
        return Err(Error::refused(Code::LimitExceeded, message));
    }
    Ok(())
}

/// Adds tags, or replaces the values of those that are there.
pub(super) fn merge_tags(tags: &mut Tags, new: Tags) -> Result<()> {
    check_tags(&new)?;
    for (key, value) in new {
        let folded = key.to_lowercase();
        match tags.iter_mut().find(|(known, _)| known.to_lowercase() == folded) {
            Some(known) => *known = (key, value),
            None => tags.push((key, value)),
        }
    }
    check_tags(tags)
}

/// Removes tags; keys that are not there do not matter.
pub(super) fn remove_tags(tags: &mut Tags, keys: &[String]) {
    let folded: Vec<String> = keys.iter().map(|key| key.to_lowercase()).collect();
    tags.retain(|(key, _)| !folded.contains(&key.to_lowercase()));
}

/// A user's ARN.
#[must_use]
pub fn user_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:user{path}{name}")
}

/// A group's ARN.
#[must_use]
pub fn group_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:group{path}{name}")
}

/// A role's ARN.
#[must_use]
pub fn role_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role{path}{name}")
}

/// A customer managed policy's ARN.
#[must_use]
pub fn policy_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}

/// An OIDC provider's ARN. `issuer` is its URL without the scheme.
#[must_use]
pub fn provider_arn(account: &str, issuer: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{issuer}")
}

/// The ARN of a role's session.
#[must_use]
pub fn session_arn(account: &str, role_name: &str, session_name: &str) -> String {
    format!("arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}")
}

/// A federated user's ARN.
#[must_use]
pub fn federated_arn(account: &str, name: &str) -> String {
    format!("arn:aws:sts::{account}:federated-user/{name}")
}

/// An IAM ARN of one kind (`policy`, `role` …), taken apart: account, path, name.
#[must_use]
pub fn parse_arn<'a>(arn: &'a str, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (account, rest) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let path_and_name = rest.strip_prefix(kind)?;
    if !path_and_name.starts_with('/') {
        return None;
    }
    let at = path_and_name.rfind('/')? + 1;
    let (path, name) = path_and_name.split_at_checked(at)?;
    (!name.is_empty()).then_some((account, path, name))
}

/// As IAM's answers and date conditions have it: `2024-01-31T12:34:56Z`.
#[must_use]
pub fn iso8601(time: Timestamp) -> String {
    let seconds = time.0.div_euclid(1_000);
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_those_of_aws() {
        for name in ["a", "A.b_c-d@e=f,g+h", &"x".repeat(64)] {
            assert!(check_name(name, "userName", MAX_SHORT_NAME).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "ä", "a:b", &"x".repeat(65)] {
            let error = check_name(name, "userName", MAX_SHORT_NAME).expect_err(name);
            assert!(error.code() == Some(Code::ValidationError) && error.to_string().contains("userName"), "{error}");
        }
        for path in ["/", "/a/", "/a/b/", "/!~/"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in ["", "a", "/a", "a/", "/a b/", "/ä/"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn tags_differ_without_regard_to_case() {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut tags = vec![tag("Team", "a")];
        merge_tags(&mut tags, vec![tag("team", "b"), tag("other", "")]).expect("merged");
        assert_eq!(tags, [tag("team", "b"), tag("other", "")]);
        remove_tags(&mut tags, &["TEAM".to_owned(), "nothing".to_owned()]);
        assert_eq!(tags, [tag("other", "")]);
        assert!(merge_tags(&mut tags, vec![tag("a", ""), tag("A", "")]).is_err());
        assert!(merge_tags(&mut tags, vec![tag("aws:a", "")]).is_err());
        let many = (0..51).map(|number| tag(&number.to_string(), "")).collect();
        assert_eq!(merge_tags(&mut Tags::new(), many).expect_err("too many").code(), Some(Code::LimitExceeded));
    }

    #[test]
    fn arns_come_apart() {
        assert_eq!(parse_arn("arn:aws:iam::123456789012:policy/a", "policy"), Some(("123456789012", "/", "a")));
        assert_eq!(parse_arn("arn:aws:iam::aws:policy/service-role/a", "policy"), Some(("aws", "/service-role/", "a")));
        for bad in
            ["", "arn:aws:iam::1:policy", "arn:aws:iam::1:policy/", "arn:aws:iam::1:role/a", "arn:aws:s3:::policy/a"]
        {
            assert_eq!(parse_arn(bad, "policy"), None, "{bad}");
        }
        assert_eq!(iso8601(Timestamp(1_700_000_000_999)), "2023-11-14T22:13:20Z");
    }
}
