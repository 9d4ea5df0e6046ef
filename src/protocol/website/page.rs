//! What a visitor gets: an object with its headers, a redirect, an error as HTML.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use s3s::{Body, HttpResponse};

use crate::object::{Found, ObjectBody};
use crate::protocol::answer::{Whole, escaped};
use crate::protocol::context::RequestId;
use crate::protocol::error::{Answer, X_AMZ_VERSION_ID};
use crate::protocol::{answer_body, convert};

/// Stored headers of an object that go out as they are.
const STORED: [HeaderName; 5] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::EXPIRES,
];

/// An object, or the part of it that was asked for. Without a body for HEAD.
pub(super) fn of_object(found: &Found, content: Option<ObjectBody>) -> HttpResponse {
    let length = found.served.length;
    let body = content.map_or_else(Body::empty, |content| answer_body::plain(content, length));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let attributes = &found.object.attributes;
    for name in STORED {
        let value = convert::stored_header(attributes, name.as_str());
        headers.extend(value.and_then(|value| convert::header_value(&value)).map(|value| (name, value)));
    }
    let kind = convert::stored_header(attributes, "content-type").and_then(|kind| convert::header_value(&kind));
    let kind = kind.unwrap_or(HeaderValue::from_static(convert::DEFAULT_CONTENT_TYPE));
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    set(headers, header::ETAG, &format!("\"{}\"", found.object.etag));
    set(headers, header::LAST_MODIFIED, &convert::http_date(found.version.modified));
    if let Some(label) = found.label {
        set(headers, X_AMZ_VERSION_ID, &label.to_string());
    }
    for (name, value) in &attributes.metadata {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-meta-{name}")) {
            set(headers, name, &of_metadata(value));
        }
    }
    if let Some(range) = convert::content_range(found) {
        set(headers, header::CONTENT_RANGE, &range);
    }
    if found.served.partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response.extensions_mut().insert(Whole);
    response
}

/// What a header cannot hold is written as S3 writes it: RFC 2047, section 4.1.
fn of_metadata(value: &str) -> String {
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return value.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(value))
}

/// A redirect, which says nothing but where to.
pub(super) fn redirect(status: u16, location: &str) -> HttpResponse {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::MOVED_PERMANENTLY);
    set(response.headers_mut(), header::LOCATION, location);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response.extensions_mut().insert(Whole);
    response
}

/// What the visitor has already need not be sent.
pub(super) fn not_modified(answer: &Answer) -> HttpResponse {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().extend(answer.headers.clone());
    response
}

/// The owner's own page for an error.
pub(super) fn of_document(error: &Answer, found: &Found, content: Option<ObjectBody>) -> HttpResponse {
    let mut response = of_object(found, content);
    *response.status_mut() = error.status;
    describe(error, response.headers_mut());
    response
}

/// The page for an error without one; `document` says why the owner's page cannot be shown, if there is to be one.
pub(super) fn of_error(error: &Answer, document: Option<&Answer>, id: &RequestId) -> HttpResponse {
    let html = html(error, document, id);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = error.status;
    let headers = response.headers_mut();
    headers.extend(error.headers.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(html.len()));
    describe(error, headers);
    *response.body_mut() = Body::from(html);
    response.extensions_mut().insert(Whole);
    response
}

/// What an error is, for clients that read no HTML.
fn describe(error: &Answer, headers: &mut HeaderMap) {
    set(headers, HeaderName::from_static("x-amz-error-code"), &error.code);
    set(headers, HeaderName::from_static("x-amz-error-message"), &error.message);
    for (name, value) in &error.details {
        if let Ok(name) = HeaderName::try_from(format!("x-amz-error-detail-{name}")) {
            set(headers, name, value);
        }
    }
}

fn html(error: &Answer, document: Option<&Answer>, id: &RequestId) -> String {
    let title = error.status.to_string();
    let mut html = format!("<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n");
    let ids = [("RequestId", id.request.as_str()), ("HostId", id.host.as_str())];
    list(&mut html, error, &ids);
    if let Some(document) = document {
        html.push_str("<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n");
        list(&mut html, document, &[]);
    }
    html.push_str("<hr/>\n</body>\n</html>\n");
    html
}

fn list(html: &mut String, error: &Answer, ids: &[(&str, &str)]) {
    let details = error.details.iter().map(|(name, value)| (*name, value.as_str()));
    let items = [("Code", error.code.as_str()), ("Message", error.message.as_str())].into_iter().chain(details);
    html.push_str("<ul>\n");
    for (name, value) in items.chain(ids.iter().copied()) {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<li>{name}: {}</li>", escaped(value));
    }
    html.push_str("</ul>\n");
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.extend(convert::header_value(text).map(|value| (name, value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::Failure;
    use crate::rules::Refusal;

    #[test]
    fn errors_are_pages_as_amazons() {
        let id = RequestId { request: "0123456789ABCDEF".to_owned(), host: "aG9zdA==".to_owned() };
        let error = Failure::from(Refusal::no_such_key("a<script>")).answer("GET");
        let document = Failure::new("AccessDenied").answer("GET");
        let response = of_error(&error, Some(&document), &id);
        let text = String::from_utf8(response.body().bytes().expect("in memory").to_vec()).expect("UTF-8");
        let expected = "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>\n\
            <li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n<li>Key: a&lt;script&gt;</li>\n\
            <li>RequestId: 0123456789ABCDEF</li>\n<li>HostId: aG9zdA==</li>\n</ul>\n\
            <h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n\
            <li>Code: AccessDenied</li>\n<li>Message: Access Denied</li>\n</ul>\n<hr/>\n</body>\n</html>\n";
        assert_eq!(text, expected);
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("x-amz-error-code"), "NoSuchKey");
        assert_eq!(header("x-amz-error-detail-key"), "a<script>");
        assert_eq!(header("content-length"), expected.len().to_string());
    }

    #[test]
    fn metadata_is_text_or_encoded() {
        assert_eq!(of_metadata("plain ~"), "plain ~");
        assert_eq!(of_metadata("ü"), "=?UTF-8?B?w7w=?=");
    }
}
