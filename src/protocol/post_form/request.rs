//! A form as the PutObject that it stands for: fields become headers, which is what the authorisation and the handler
//! know.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use s3s::dto::{PutObjectInput, StorageClass, Tagging};
use s3s::xml::{Deserialize as _, Deserializer};

use crate::protocol::convert;
use crate::protocol::error::Failure;
use crate::protocol::s3::malformed_xml;
use crate::rules::post_form::Form;
use crate::rules::{Refusal, tagging};

/// Fields that are headers of the same name.
const FIELDS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// Fields of the signature, and those that speak of a request's body, which here is not the object's.
const NOT_OF_THE_OBJECT: [&str; 6] = [
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-trailer",
];

/// Headers of the real request that policies may ask about.
const KEPT: [HeaderName; 2] = [header::REFERER, header::USER_AGENT];

const USER_METADATA: &str = "x-amz-meta-";

/// The headers of the PutObject: those that policies ask about, and those that its handler reads.
///
/// # Errors
/// `InvalidArgument` for a value that no header can have; what is wrong with the tags.
pub(super) fn headers(form: &Form, real: &HeaderMap) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for name in KEPT {
        headers.extend(real.get(&name).map(|value| (name, value.clone())));
    }
    for (name, value) in form.fields() {
        match name {
            "acl" => insert(&mut headers, "x-amz-acl", value)?,
            "tagging" => insert(&mut headers, "x-amz-tagging", &tags(value)?)?,
            _ if name.starts_with(USER_METADATA) => {}
            _ if FIELDS.contains(&name) => insert(&mut headers, name, value)?,
            _ if name.starts_with("x-amz-") && !NOT_OF_THE_OBJECT.contains(&name) => insert(&mut headers, name, value)?,
            _ => {}
        }
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let parsed = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
    let (Ok(header), Ok(text)) = parsed else {
        let message = "The field cannot be stored: its name or value has characters that no header can have.";
        return Err(Refusal::invalid_argument(name, value, message).into());
    };
    headers.insert(header, text);
    Ok(())
}

/// The field `tagging` is the document of PutObjectTagging; as a header, tags are a query string.
fn tags(xml: &str) -> Result<String, Failure> {
    let mut reader = Deserializer::new(xml.as_bytes());
    let document = Tagging::deserialize(&mut reader).map_err(|_| malformed_xml())?;
    reader.expect_eof().map_err(|_| malformed_xml())?;
    let tags = convert::tags(document.tag_set)?;
    tagging::check(tagging::Tagged::Object, &tags)?;
    Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(tags).finish())
}

/// What the handler of PutObject is given; the caller adds bucket, key and body.
pub(super) fn input(form: &Form, headers: &HeaderMap) -> PutObjectInput {
    let field = |name: &str| form.get(name).map(str::to_owned);
    let metadata = form.fields().filter_map(|(name, value)| {
        let name = name.strip_prefix(USER_METADATA).filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    });
    let tags = headers.get("x-amz-tagging").and_then(|tags| tags.to_str().ok());
    PutObjectInput {
        cache_control: field("cache-control"),
        content_disposition: field("content-disposition"),
        content_encoding: field("content-encoding"),
        content_language: field("content-language"),
        content_type: field("content-type"),
        expires: field("expires"),
        metadata: Some(metadata.collect()),
        storage_class: field("x-amz-storage-class").map(StorageClass::from),
        tagging: tags.map(str::to_owned),
        website_redirect_location: field("x-amz-website-redirect-location"),
        ..PutObjectInput::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        let mut form = Form::default();
        for (name, value) in fields {
            form.add(name, (*value).to_owned()).expect("no duplicates");
        }
        form
    }

    #[test]
    fn fields_become_what_a_put_says_in_its_head() {
        let xml = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1=2</Value></Tag></TagSet></Tagging>";
        let form = form(&[
            ("acl", "public-read"),
            ("Content-Type", "text/plain"),
            ("x-amz-meta-Name", "grün"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-security-token", "secret"),
            ("x-amz-date", "20231114T221320Z"),
            ("host", "elsewhere"),
            ("tagging", xml),
        ]);
        let mut real = HeaderMap::new();
        real.insert(header::REFERER, HeaderValue::from_static("https://a.test/"));
        real.insert(header::COOKIE, HeaderValue::from_static("c"));
        let headers = headers(&form, &real).expect("headers");
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "content-type",
            "referer",
            "x-amz-acl",
            "x-amz-date",
            "x-amz-server-side-encryption",
            "x-amz-storage-class",
            "x-amz-tagging",
        ];
        assert_eq!(names, expected);
        assert_eq!(headers["x-amz-tagging"], "a+b=1%3D2");
        let input = input(&form, &headers);
        assert_eq!(input.metadata.and_then(|metadata| metadata.get("name").cloned()).as_deref(), Some("grün"));
        assert_eq!((input.content_type.as_deref(), input.tagging.as_deref()), (Some("text/plain"), Some("a+b=1%3D2")));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let refused = |name: &str, value: &str| {
            headers(&form(&[(name, value)]), &HeaderMap::new()).err().map(|failure| failure.code_and_message().0)
        };
        assert_eq!(refused("content-type", "a\r\nb: c").as_deref(), Some("InvalidArgument"));
        assert_eq!(refused("x-amz-a b", "c").as_deref(), Some("InvalidArgument"));
        assert_eq!(refused("tagging", "<Tagging>").as_deref(), Some("MalformedXML"));
        let twice = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
        assert_eq!(refused("tagging", twice).as_deref(), Some("InvalidTag"));
    }
}
