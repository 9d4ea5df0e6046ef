//! The parameters of a query API's request.

use http::StatusCode;

use super::QueryError;

/// Parameters of one request.
const MAX_PARAMETERS: usize = 2_000;
/// Elements of one list.
const MAX_MEMBERS: usize = 1_000;

/// A request's parameters, in their order.
#[derive(Debug, Default)]
pub(in crate::protocol) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `MalformedInput` if there are more parameters than any action has, or one is there twice.
    pub(in crate::protocol) fn parse(bytes: &[u8]) -> Result<Self, QueryError> {
        let malformed = |message: String| QueryError::new(StatusCode::BAD_REQUEST, "MalformedInput", message);
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(malformed(format!("The request has more than {MAX_PARAMETERS} parameters.")));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            // Which of them counts would be a guess, and policies and actions must not guess differently.
            return Err(malformed(format!("The parameter {name} is there twice.")));
        }
        Ok(Self { pairs })
    }

    /// A parameter's value.
    pub(in crate::protocol) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's value, which must be there.
    ///
    /// # Errors
    /// `ValidationError`.
    pub(in crate::protocol) fn required(&self, name: &str) -> Result<&str, QueryError> {
        self.text(name).ok_or_else(|| {
            let mut parameter = name.to_owned();
            if let Some(first) = parameter.get_mut(..1) {
                first.make_ascii_lowercase();
            }
            QueryError::validation(format!(
                "1 validation error detected: Value null at '{parameter}' failed to satisfy constraint: Member must not \
                 be null"
            ))
        })
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// `MalformedInput`.
    pub(in crate::protocol) fn number(&self, name: &str) -> Result<Option<u32>, QueryError> {
        let number = |text: &str| text.parse().map_err(|_| mistyped(name, text, "a whole number"));
        self.text(name).map(number).transpose()
    }

    /// A parameter that is `true` or `false`.
    ///
    /// # Errors
    /// `MalformedInput`.
    pub(in crate::protocol) fn flag(&self, name: &str) -> Result<Option<bool>, QueryError> {
        let flag = |text: &str| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(mistyped(name, text, "true or false")),
        };
        self.text(name).map(flag).transpose()
    }

    /// The numbers N for which there is `list.member.N` or `list.member.N.…`, in ascending order.
    fn members(&self, list: &str) -> Result<Vec<u32>, QueryError> {
        let prefix = format!("{list}.member.");
        let mut numbers = Vec::new();
        for (name, _) in &self.pairs {
            let Some(rest) = name.strip_prefix(&prefix) else { continue };
            let number = rest.split('.').next().unwrap_or_default();
            numbers.push(number.parse().map_err(|_| mistyped(name, number, "a number"))?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() > MAX_MEMBERS {
            return Err(mistyped(list, "", &format!("a list of at most {MAX_MEMBERS} elements")));
        }
        Ok(numbers)
    }

    /// The texts `list.member.1`, `list.member.2` …
    ///
    /// # Errors
    /// `MalformedInput` if an element's number is none.
    pub(in crate::protocol) fn list(&self, list: &str) -> Result<Vec<String>, QueryError> {
        let texts = self.members(list)?.into_iter().filter_map(|number| self.text(&format!("{list}.member.{number}")));
        Ok(texts.map(str::to_owned).collect())
    }

    /// One field of the structures `list.member.1.field` …, `None` where a structure lacks it.
    ///
    /// # Errors
    /// As [`Form::list`].
    pub(in crate::protocol) fn fields<const N: usize>(
        &self,
        list: &str,
        fields: [&str; N],
    ) -> Result<Vec<[Option<&str>; N]>, QueryError> {
        let field = |number: u32, field: &str| self.text(&format!("{list}.member.{number}.{field}"));
        Ok(self.members(list)?.into_iter().map(|number| fields.map(|name| field(number, name))).collect())
    }

    /// The tags `list.member.N.Key` and `.Value`.
    ///
    /// # Errors
    /// `ValidationError` if one has no key.
    pub(in crate::protocol) fn tags(&self, list: &str) -> Result<Vec<(String, String)>, QueryError> {
        let mut tags = Vec::new();
        for [key, value] in self.fields(list, ["Key", "Value"])? {
            let key = key.ok_or_else(|| {
                QueryError::validation(format!(
                    "1 validation error detected: Value null at '{}.member.key' failed to satisfy constraint: Member \
                     must not be null",
                    list.to_lowercase()
                ))
            })?;
            tags.push((key.to_owned(), value.unwrap_or_default().to_owned()));
        }
        Ok(tags)
    }
}

fn mistyped(name: &str, value: &str, wanted: &str) -> QueryError {
    let shown: String = value.chars().take(64).collect();
    let message = format!("The value '{shown}' of the parameter {name} must be {wanted}.");
    QueryError::new(StatusCode::BAD_REQUEST, "MalformedInput", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_lists_and_structures_are_read() {
        let form = Form::parse(
            b"Action=TagUser&UserName=a%2Bb+c&Tags.member.2.Key=two&Tags.member.1.Key=one&Tags.member.1.Value=1&TagKeys.member.10=j&TagKeys.member.9=i&MaxItems=5&SetAsDefault=true",
        )
        .expect("a form");
        assert_eq!(form.text("UserName"), Some("a+b c"));
        assert_eq!(form.tags("Tags").expect("tags"), [("one".into(), "1".into()), ("two".into(), String::new())]);
        assert_eq!(form.list("TagKeys").expect("list"), ["i", "j"]);
        assert_eq!(form.number("MaxItems").expect("a number"), Some(5));
        assert_eq!(form.flag("SetAsDefault").expect("a flag"), Some(true));
        assert_eq!(form.number("Absent").expect("absent"), None);
        let missing = form.required("PolicyName").expect_err("missing");
        assert!(missing.message.contains("at 'policyName'"), "{}", missing.message);
        assert!(form.number("UserName").is_err() && form.flag("UserName").is_err());
    }

    #[test]
    fn what_is_too_much_or_ambiguous_is_refused() {
        let many = (0..=MAX_PARAMETERS).map(|number| format!("p{number}=&")).collect::<Vec<_>>().concat();
        assert!(Form::parse(many.as_bytes()).is_err());
        assert!(Form::parse(b"UserName=a&UserName=b").is_err());
        let form = Form::parse(b"L.member.x=1").expect("a form");
        assert!(form.list("L").is_err());
        assert!(Form::parse(b"%ff%fe=\xff").is_ok());
    }
}
