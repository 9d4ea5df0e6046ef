//! Users and roles that a policy names by ARN, and the unique ids that they are bound to: whoever takes a freed name
//! later is somebody else.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>, "Unique ids"

use super::json::{self, Json};
use super::policy::Policy;
use super::principal::PrincipalId;

impl Policy {
    /// The policy with the principals of these ARNs read as the unique ids beside them.
    #[must_use]
    pub fn bound_to(mut self, bound: &[(String, String)]) -> Self {
        let named = self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut());
        for id in named.flat_map(|principals| &mut principals.ids) {
            let PrincipalId::Arn(arn) = id else { continue };
            if let Some((_, unique_id)) = bound.iter().find(|(known, _)| known == arn) {
                *id = PrincipalId::UniqueId(unique_id.clone());
            }
        }
        self
    }
}

/// The document's text with other names for principals: each pair is a name and what takes its place. The text itself
/// if none of them is there or it is no document.
#[must_use]
pub fn rename_principals(text: &str, names: &[(String, String)]) -> String {
    let Ok(Json::Object(mut document)) = json::read(text) else { return text.to_owned() };
    let statements = entries_of(&mut document, "Statement").flat_map(|statements| match statements {
        Json::List(list) => list.iter_mut().collect(),
        single => vec![single],
    });
    let mut renamed = false;
    for statement in statements {
        let Json::Object(statement) = statement else { continue };
        for (_, principal) in statement.iter_mut().filter(|(name, _)| name == "Principal" || name == "NotPrincipal") {
            let Json::Object(kinds) = principal else { continue };
            for value in entries_of(kinds, "AWS") {
                renamed |= rename(value, names);
            }
        }
    }
    if renamed { Json::Object(document).to_string() } else { text.to_owned() }
}

fn entries_of<'a>(object: &'a mut [(String, Json)], name: &str) -> impl Iterator<Item = &'a mut Json> {
    object.iter_mut().filter(move |(known, _)| known == name).map(|(_, value)| value)
}

fn rename(value: &mut Json, names: &[(String, String)]) -> bool {
    match value {
        Json::List(list) => list.iter_mut().fold(false, |renamed, value| rename(value, names) | renamed),
        Json::Text(text) => match names.iter().find(|(name, _)| name == text) {
            Some((_, other)) => {
                text.clone_from(other);
                true
            }
            None => false,
        },
        _ => false,
    }
}
