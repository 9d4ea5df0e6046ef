//! Browser forms: what a form must hold, what its policy allows, and where a browser goes afterwards.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>
//!
//! A policy has `eq`, `starts-with` and `content-length-range` conditions; every field must have one, except those that
//! carry the policy and its signature, those that the client declares to be ignored, and checksums, which only restrict
//! what is uploaded. Sizes and counts are bounded by whoever reads the form.

mod policy;
mod signature;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::policy::{Policy, Sizes};
pub use self::signature::{Credential, Signature, SignedV2, SignedV4, signature};
use super::refusal::Result;
use super::{Code, Refusal, object_key};

/// What a key may contain for the name of the uploaded file.
const FILE_NAME_VARIABLE: &str = "${filename}";

/// What the redirect's query keeps: RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A form's fields before its file, with lower-case names.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Adds a field.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that the form has already: which of the values the policy is about would be
    /// anybody's guess.
    pub fn add(&mut self, name: &str, value: String) -> Result<()> {
        let name = name.to_ascii_lowercase();
        if self.get(&name).is_some() && !name.starts_with(IGNORED) {
            let message = format!("A form must not have the field '{name}' more than once.");
            return Err(Refusal::invalid_argument(&name, &value, message));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of the field with this name, in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The fields, in the order in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts the uploaded file's name where the key has `${filename}`. A policy's conditions are about the outcome.
    ///
    /// # Errors
    /// As [`missing`], without a key; `KeyTooLongError` for one that the name makes too long.
    pub fn name_key(&mut self, file_name: &str) -> Result<&str> {
        let Some((_, key)) = self.0.iter_mut().find(|(name, _)| name == "key") else { return Err(missing("key")) };
        if key.contains(FILE_NAME_VARIABLE) {
            let name = base_name(file_name);
            let variables = key.matches(FILE_NAME_VARIABLE).count();
            // Many variables and a long name make a key of megabytes, which is refused before it is made.
            let length = key.len() - variables * FILE_NAME_VARIABLE.len() + variables * name.len();
            if length > object_key::MAX_BYTES {
                return Err(Refusal::from(Code::KeyTooLongError)
                    .with("Size", length.to_string())
                    .with("MaxSizeAllowed", object_key::MAX_BYTES.to_string()));
            }
            *key = key.replace(FILE_NAME_VARIABLE, name);
        }
        if key.is_empty() {
            Err(Refusal::invalid_argument("key", "", "User key must have a length greater than 0."))
        } else {
            Ok(key)
        }
    }

    /// What the browser gets when the upload has succeeded.
    #[must_use]
    pub fn on_success(&self) -> OnSuccess<'_> {
        let redirect = self.get("success_action_redirect").or_else(|| self.get("redirect"));
        if let Some(url) = redirect.filter(|url| is_web_address(url)) {
            return OnSuccess::Redirect(url);
        }
        match self.get("success_action_status") {
            Some("200") => OnSuccess::Ok,
            Some("201") => OnSuccess::Created,
            _ => OnSuccess::NoContent,
        }
    }
}

/// Fields that the client declares to be ignored begin so.
const IGNORED: &str = "x-ignore-";

/// A form without a field that it needs.
#[must_use]
pub fn missing(field: &str) -> Refusal {
    let message = format!(
        "Bucket POST must contain a field named '{field}'.  If it is specified, please check the order of the fields."
    );
    Refusal::invalid_argument(field, "", message)
}

/// A form whose end comes before its file.
#[must_use]
pub fn missing_file() -> Refusal {
    Refusal::invalid_argument("file", "0", "POST requires exactly one file upload per request.")
}

/// The name without the folders that some browsers send with it.
fn base_name(file_name: &str) -> &str {
    file_name.rsplit(['/', '\\']).next().unwrap_or(file_name)
}

/// What the browser gets when the upload has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSuccess<'a> {
    /// 303, and the page that the form's author chose.
    Redirect(&'a str),
    /// 200, empty.
    Ok,
    /// 201, with a document.
    Created,
    /// 204.
    NoContent,
}

/// Whether a browser may be sent there. What is no address of the web counts as if it had not been given, as S3 does.
fn is_web_address(url: &str) -> bool {
    let after = |scheme: &str| {
        url.get(scheme.len()..)
            .filter(|_| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
    };
    let rest = after("http://").or_else(|| after("https://"));
    // A header's line must not end before the address does.
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']))
        && !url.chars().any(|c| c.is_control() || c == ' ')
}

/// The address for the browser: the form's, with what was uploaded in its query. ASCII.
#[must_use]
pub fn redirect(url: &str, bucket: &str, key: &str, etag: &str) -> String {
    let (page, fragment) = url.split_once('#').unwrap_or((url, ""));
    let join = if page.contains('?') { '&' } else { '?' };
    let encoded = |text| utf8_percent_encode(text, QUERY);
    // Of the address itself, only what no header can hold.
    let page = utf8_percent_encode(page, percent_encoding::CONTROLS);
    let fragment = if fragment.is_empty() {
        String::new()
    } else {
        format!("#{}", utf8_percent_encode(fragment, percent_encoding::CONTROLS))
    };
    format!("{page}{join}bucket={}&key={}&etag=%22{}%22{fragment}", encoded(bucket), encoded(key), encoded(etag))
}

fn denied(message: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::AccessDenied, format!("Invalid according to Policy: {message}"))
}

#[cfg(test)]
mod tests;
