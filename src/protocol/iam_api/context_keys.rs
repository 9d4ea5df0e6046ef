//! The condition keys that a policy asks for: those of its conditions and those of its variables.

use std::collections::BTreeSet;

use serde_json::Value;

/// Adds the keys that a policy's text asks for, as they are written there.
pub(super) fn collect(text: &str, keys: &mut BTreeSet<String>) {
    let Ok(policy) = serde_json::from_str::<Value>(text) else { return };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    };
    for statement in statements {
        let conditions = statement.get("Condition").and_then(Value::as_object);
        for tests in conditions.into_iter().flat_map(|conditions| conditions.values()) {
            keys.extend(tests.as_object().into_iter().flat_map(|tests| tests.keys().cloned()));
            variables_in(tests, keys);
        }
        for element in ["Resource", "NotResource"] {
            statement.get(element).into_iter().for_each(|value| variables_in(value, keys));
        }
    }
}

/// Adds the keys that several policies ask for.
pub(super) fn collect_all(texts: &[String], keys: &mut BTreeSet<String>) {
    for text in texts {
        collect(text, keys);
    }
}

/// `${key}` and `${key, 'default'}`; `${*}`, `${?}` and `${$}` are characters.
fn variables_in(value: &Value, keys: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            for variable in text.split("${").skip(1) {
                let Some((inside, _)) = variable.split_once('}') else { continue };
                let key = inside.split(',').next().unwrap_or_default().trim();
                if !key.is_empty() && !matches!(key, "*" | "?" | "$") {
                    keys.insert(key.to_owned());
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| variables_in(value, keys)),
        Value::Object(fields) => fields.values().for_each(|value| variables_in(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_conditions_and_variables_are_found() {
        let text = r#"{"Statement": [
            {"Resource": ["arn:aws:s3:::b/${aws:username}/*", "${*}", "${s3:prefix, 'none'}"],
             "Condition": {"StringLike": {"aws:PrincipalTag/team": ["${aws:userid}"]}}},
            {"NotResource": "x"}
        ]}"#;
        let mut keys = BTreeSet::new();
        collect(text, &mut keys);
        assert_eq!(
            keys.into_iter().collect::<Vec<_>>(),
            ["aws:PrincipalTag/team", "aws:userid", "aws:username", "s3:prefix"]
        );
        let mut none = BTreeSet::new();
        collect("no policy", &mut none);
        collect("{}", &mut none);
        assert!(none.is_empty());
    }
}
