//! The policy of a form: read, and asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Form, IGNORED, denied};
use crate::rules::refusal::Result;
use crate::rules::{Code, Refusal};

/// When policies say that they expire: ISO 8601 in UTC, with or without fractions of a second.
const EXPIRATION: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// Fields that need no condition: they are the policy and its signature, or the file itself.
const WITHOUT_CONDITION: [&str; 5] = ["awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"];

/// A form's policy.
#[derive(Debug)]
pub struct Policy {
    /// Milliseconds since 1970.
    expires: i64,
    conditions: Vec<Condition>,
    sizes: Sizes,
}

/// How large the file may be, in bytes, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The least.
    pub min: u64,
    /// The greatest.
    pub max: u64,
}

impl Sizes {
    /// Any size.
    pub const ANY: Self = Self { min: 0, max: u64::MAX };

    /// A file of which `size` bytes came so far is too large.
    ///
    /// # Errors
    /// `EntityTooLarge`.
    pub fn check_so_far(self, size: u64) -> Result<()> {
        if size <= self.max {
            return Ok(());
        }
        let refusal = Refusal::from(Code::EntityTooLarge).with("ProposedSize", size.to_string());
        Err(refusal.with("MaxSizeAllowed", self.max.to_string()))
    }

    /// A file that ended after `size` bytes is too small.
    ///
    /// # Errors
    /// `EntityTooSmall`.
    pub fn check_whole(self, size: u64) -> Result<()> {
        if size >= self.min {
            return Ok(());
        }
        let refusal = Refusal::from(Code::EntityTooSmall).with("ProposedSize", size.to_string());
        Err(refusal.with("MinSizeAllowed", self.min.to_string()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Eq,
    StartsWith,
}

#[derive(Debug)]
struct Condition {
    operator: Operator,
    /// In lower case.
    field: String,
    value: String,
}

impl Condition {
    /// As a refusal repeats it.
    fn written(&self) -> String {
        let operator = match self.operator {
            Operator::Eq => "eq",
            Operator::StartsWith => "starts-with",
        };
        format!("[\"{operator}\", \"${}\", \"{}\"]", self.field, self.value)
    }

    fn holds(&self, actual: &str) -> bool {
        match self.operator {
            Operator::Eq => actual == self.value,
            // A list of types must consist of types that may be.
            Operator::StartsWith if self.field == "content-type" => {
                actual.split(',').all(|one| one.trim_start().starts_with(&self.value))
            }
            Operator::StartsWith => actual.starts_with(&self.value),
        }
    }
}

fn invalid(message: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::InvalidPolicyDocument, format!("Invalid Policy: {message}"))
}

impl Policy {
    /// Reads a policy as a form has it: JSON in base64.
    ///
    /// # Errors
    /// `InvalidPolicyDocument`.
    pub fn parse(encoded: &str) -> Result<Self> {
        let packed: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let json = STANDARD.decode(packed).map_err(|_| invalid("The policy is not Base64-encoded."))?;
        let document: Value = serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON."))?;
        let Value::Object(document) = document else {
            return Err(invalid("Invalid JSON: a policy must be an object."));
        };
        let expires = match document.get("expiration") {
            Some(Value::String(text)) => expiration(text)?,
            Some(_) => return Err(invalid("The 'expiration' must be a string.")),
            None => return Err(invalid("Policy missing expiration.")),
        };
        let Some(Value::Array(list)) = document.get("conditions") else {
            return Err(invalid("Policy missing conditions: they must be a list."));
        };
        let mut policy = Self { expires, conditions: Vec::with_capacity(list.len()), sizes: Sizes::ANY };
        list.iter().try_for_each(|condition| policy.read(condition))?;
        Ok(policy)
    }

    fn read(&mut self, condition: &Value) -> Result<()> {
        match condition {
            Value::Object(simple) => {
                let mut properties = simple.iter();
                let (Some((field, value)), None) = (properties.next(), properties.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
                    ));
                };
                let Value::String(value) = value else {
                    return Err(invalid("Invalid Simple-Condition: value must be a string."));
                };
                self.push(Operator::Eq, field, value);
                Ok(())
            }
            Value::Array(list) => self.read_list(list),
            _ => Err(invalid("Invalid Condition: a condition is an object or a list.")),
        }
    }

    fn read_list(&mut self, list: &[Value]) -> Result<()> {
        let Some(Value::String(operation)) = list.first() else {
            return Err(invalid("Invalid Condition: the first element must be a string."));
        };
        let operator = match operation.to_ascii_lowercase().as_str() {
            "content-length-range" => return self.read_range(list),
            "eq" => Operator::Eq,
            "starts-with" => Operator::StartsWith,
            _ => return Err(invalid(format_args!("Invalid Condition: unknown operation '{operation}'."))),
        };
        let [_, Value::String(field), Value::String(value)] = list else {
            return Err(invalid(format_args!(
                "Invalid Condition: '{operation}' needs a field and a value, both strings."
            )));
        };
        let Some(field) = field.strip_prefix('$') else {
            return Err(invalid(format_args!("Invalid Condition: write the field '{field}' as '${field}'.")));
        };
        self.push(operator, field, value);
        Ok(())
    }

    fn read_range(&mut self, list: &[Value]) -> Result<()> {
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let range = match list {
            [_, min, max] => number(min).zip(number(max)).filter(|(min, max)| min <= max),
            _ => None,
        };
        let Some((min, max)) = range else {
            let message = "Invalid content-length-range: it needs a least and a greatest number of bytes.";
            return Err(invalid(message));
        };
        // All of several must hold.
        self.sizes = Sizes { min: self.sizes.min.max(min), max: self.sizes.max.min(max) };
        Ok(())
    }

    fn push(&mut self, operator: Operator, field: &str, value: &str) {
        self.conditions.push(Condition { operator, field: field.to_ascii_lowercase(), value: value.to_owned() });
    }

    /// Whether the policy allows this form for this bucket, and which sizes of its file. `now` is in milliseconds since
    /// 1970.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn check(&self, form: &Form, bucket: &str, now: i64) -> Result<Sizes> {
        if now >= self.expires {
            return Err(denied("Policy expired."));
        }
        for condition in &self.conditions {
            // The bucket is the one that was posted to, whatever the form says of it.
            let actual = if condition.field == "bucket" { Some(bucket) } else { form.get(&condition.field) };
            if !condition.holds(actual.unwrap_or("")) {
                return Err(denied(format_args!("Policy Condition failed: {}", condition.written())));
            }
        }
        // The bucket needs a condition, whether the form has it as a field or not.
        let names = form.fields().map(|(name, _)| name).filter(|name| *name != "bucket").chain(["bucket"]);
        let extra: Vec<&str> = names.filter(|name| self.leaves_open(name)).collect();
        if extra.is_empty() {
            Ok(self.sizes)
        } else {
            Err(denied(format_args!("Extra input fields: {}", extra.join(", "))))
        }
    }

    fn leaves_open(&self, name: &str) -> bool {
        !WITHOUT_CONDITION.contains(&name)
            && !name.starts_with(IGNORED)
            && !name.starts_with("x-amz-checksum-")
            && !self.conditions.iter().any(|condition| condition.field == name)
    }
}

fn expiration(text: &str) -> Result<i64> {
    let time = jiff::civil::DateTime::strptime(EXPIRATION, text).ok();
    let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let time = time.ok_or_else(|| invalid(format_args!("Invalid 'expiration' value: '{text}'")))?;
    Ok(time.timestamp().as_millisecond())
}
