//! Requests that S3 takes and s3s refuses before a handler sees them: an odd `Range` or date that must be ignored, a
//! list of entity tags, an empty number in the query, `GET //`, a `<Tagging/>` without its `<TagSet>`.
//!
//! What s3s refuses cannot be taken out of a request that is signed, for then its signature no longer holds. So such a
//! request goes through s3s twice: first as it is, claimed by [`SecondPass`], a route that s3s calls when it has
//! verified the signature; then without what s3s refuses and without the signature, on behalf of the caller that the
//! first pass established. Only requests without a body go this way, and those with a body too short to hold a tag.

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body::Body as HttpBody;
use s3s::dto::{ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::context::RequestContext;
use super::error::{Result, body_failure};
use super::request_body::Framing;
use super::{authn, query};
use crate::identity::Identities;

/// How s3s reads a header.
#[derive(Clone, Copy)]
enum Form {
    Range,
    Date,
    EntityTag,
}

/// Headers that s3s reads more strictly than S3 does.
const STRICT: [(HeaderName, Form); 9] = [
    (header::RANGE, Form::Range),
    (header::IF_MODIFIED_SINCE, Form::Date),
    (header::IF_UNMODIFIED_SINCE, Form::Date),
    (header::IF_MATCH, Form::EntityTag),
    (header::IF_NONE_MATCH, Form::EntityTag),
    (HeaderName::from_static("x-amz-copy-source-if-modified-since"), Form::Date),
    (HeaderName::from_static("x-amz-copy-source-if-unmodified-since"), Form::Date),
    (HeaderName::from_static("x-amz-copy-source-if-match"), Form::EntityTag),
    (HeaderName::from_static("x-amz-copy-source-if-none-match"), Form::EntityTag),
];

/// Numbers in the query that S3 takes for absent when they are empty.
const NUMBERS: [&str; 4] = ["max-keys", "max-parts", "max-uploads", "part-number-marker"];

/// What a presigned URL adds to the query (AWS SigV4, "Authenticating requests using query parameters").
const SIGNATURE: [&str; 6] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signature", "x-amz-signedheaders"];

/// A body of tags up to this many bytes may hold none: the shortest with one is longer, whatever stands before it.
const EMPTY_TAGGING_BYTES: u64 = 160;

/// The body of a `<Tagging/>` with the tag set that it lacks; `None` if it is anything else.
fn with_tag_set(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let start = text.find("<Tagging")?;
    let (before, rest) = text.split_at(start);
    let (tag, after) = rest.split_once('>')?;
    let open = tag.strip_suffix('/').map(str::trim_end).or_else(|| (after.trim() == "</Tagging>").then_some(tag))?;
    Some(format!("{before}{open}><TagSet/></Tagging>").into_bytes())
}

/// How a request must look for s3s to take it.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    uri: Uri,
    /// The headers that s3s must not see, for the handlers to read.
    pub set_aside: HeaderMap,
}

impl Rewrite {
    /// What must change; `None` for nearly every request. `length` is the body's: `None` if there is none.
    pub(super) fn needed(method: &Method, uri: &Uri, headers: &HeaderMap, length: Option<u64>) -> Option<Self> {
        let Some(length) = length else { return Self::without_body(uri, headers) };
        let may_lack_its_tag_set = *method == Method::PUT
            && length <= EMPTY_TAGGING_BYTES
            && query::pairs(uri).any(|(name, _)| name == "tagging")
            && Framing::of(headers) == Framing::Plain;
        if !may_lack_its_tag_set {
            return None;
        }
        Some(Self {
            uri: query::rewritten(uri, uri.path(), |name, _| !is_signature(name))?,
            set_aside: HeaderMap::new(),
        })
    }

    fn without_body(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let mut set_aside = HeaderMap::new();
        for (name, form) in STRICT.iter().filter(|(name, _)| headers.keys().any(|sent| sent == name)) {
            let mut values = headers.get_all(name).iter();
            let Some(first) = values.next() else { continue };
            if values.next().is_some() || !readable(*form, first) {
                set_aside.extend(headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        let only_slashes = uri.path().len() > 1 && uri.path().bytes().all(|byte| byte == b'/');
        let empty_number = query::pairs(uri).any(|(name, value)| is_empty_number(&name, &value));
        if set_aside.is_empty() && !only_slashes && !empty_number {
            return None;
        }
        let path = if only_slashes { "/" } else { uri.path() };
        let keep = |name: &str, value: &str| !is_empty_number(name, value) && !is_signature(name);
        Some(Self { uri: query::rewritten(uri, path, keep)?, set_aside })
    }
}

fn is_empty_number(name: &str, value: &str) -> bool {
    value.is_empty() && NUMBERS.contains(&name)
}

fn is_signature(name: &str) -> bool {
    SIGNATURE.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn readable(form: Form, value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    match form {
        Form::Range => Range::parse(text).is_ok(),
        Form::Date => Timestamp::parse(TimestampFormat::HttpDate, text).is_ok(),
        // s3s takes a list that begins and ends with a quote for one tag; the handlers read the header themselves.
        Form::EntityTag => ETagCondition::parse_http_header(text.as_bytes()).is_ok(),
    }
}

/// A request's way to its second pass, in its extensions.
#[derive(Clone)]
pub(super) struct Pending {
    pub service: S3Service,
    pub rewrite: Rewrite,
}

/// The route that claims requests which need a second pass.
pub(super) struct SecondPass {
    pub identities: Identities,
}

#[async_trait::async_trait]
impl S3Route for SecondPass {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, extensions: &mut Extensions) -> bool {
        extensions.get::<Pending>().is_some()
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let caller = authn::caller(&self.identities, request.credentials.as_ref(), &request.headers, &request.uri)
            .await
            .map_err(|failure| failure.into_s3(&context))?;
        context.note_caller(caller);
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let Some(Pending { service, rewrite }) = request.extensions.remove::<Pending>() else {
            return Err(S3ErrorCode::InternalError.into());
        };
        let mut headers = request.headers;
        headers.remove(header::AUTHORIZATION);
        headers.remove("x-amz-content-sha256");
        for name in rewrite.set_aside.keys() {
            headers.remove(name);
        }
        let context = RequestContext::of(&request.extensions)?;
        let body = repaired(request.input, &context).await.map_err(|failure| failure.into_s3(&context))?;
        if let Some(length) = body.bytes().map(|bytes| bytes.len()).filter(|length| *length > 0) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let mut second = http::Request::new(body);
        *second.method_mut() = request.method;
        *second.uri_mut() = rewrite.uri;
        *second.headers_mut() = headers;
        *second.extensions_mut() = request.extensions;
        // Any error of this pass is an answer already; what remains is an answer that cannot be written.
        let response = service
            .call(second)
            .await
            .map_err(|error| S3Error::with_source(S3ErrorCode::InternalError, error.into_std_error()))?;
        let (parts, body) = response.into_parts();
        let mut answer = S3Response::with_status(body, parts.status);
        answer.headers = parts.headers;
        answer.extensions = parts.extensions;
        Ok(answer)
    }
}

/// The body for the second pass, read to its end and so verified. What the client digested is kept as it came.
async fn repaired(mut body: Body, context: &RequestContext) -> Result<Body> {
    if HttpBody::is_end_stream(&body) {
        return Ok(Body::empty());
    }
    context.body.keep();
    let limit = usize::try_from(EMPTY_TAGGING_BYTES).unwrap_or(usize::MAX);
    let bytes = body.store_all_limited(limit).await.map_err(|error| body_failure(error.as_ref()))?;
    Ok(with_tag_set(&bytes).map_or_else(|| Body::from(bytes), |whole| Body::from(Bytes::from(whole))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(uri: &'static str, headers: &[(&'static str, &'static str)]) -> Option<(String, usize)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Rewrite::needed(&Method::GET, &Uri::from_static(uri), &map, None)
            .map(|rewrite| (rewrite.uri.to_string(), rewrite.set_aside.len()))
    }

    #[test]
    fn a_tagging_gets_the_tag_set_that_it_lacks() {
        let whole = |body: &str| with_tag_set(body.as_bytes()).map(|whole| String::from_utf8(whole).expect("UTF-8"));
        let expected = |open: &str| Some(format!("{open}><TagSet/></Tagging>"));
        assert_eq!(whole("<Tagging/>"), expected("<Tagging"));
        assert_eq!(whole("<?xml version=\"1.0\"?>\n<Tagging />\n"), expected("<?xml version=\"1.0\"?>\n<Tagging"));
        assert_eq!(whole("<Tagging xmlns=\"x\"></Tagging>"), expected("<Tagging xmlns=\"x\""));
        for other in ["<Tagging><TagSet/></Tagging>", "<Tagging>", "", "<Tags/>"] {
            assert_eq!(whole(other), None, "{other}");
        }
        let needed = |method: &Method, uri: &'static str, length| {
            Rewrite::needed(method, &Uri::from_static(uri), &HeaderMap::new(), Some(length)).is_some()
        };
        assert!(needed(&Method::PUT, "/b/k?tagging", 10));
        assert!(!needed(&Method::PUT, "/b/k?tagging", 1000) && !needed(&Method::PUT, "/b/k?acl", 10));
        assert!(!needed(&Method::POST, "/b/k?tagging", 10));
    }

    #[test]
    fn ordinary_requests_stay_as_they_are() {
        let headers = [
            ("range", "bytes=0-4"),
            ("if-none-match", "\"abc\""),
            ("if-match", "*"),
            ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        assert_eq!(rewrite("/b/k?max-keys=2&prefix=", &headers), None);
        assert_eq!(rewrite("/", &[]), None);
        assert_eq!(rewrite("/b//", &[]), None, "keys may end with slashes");
    }

    #[test]
    fn what_s3s_refuses_is_set_aside() {
        let odd = [
            ("range", "bytes=5-2"),
            ("range", "bytes=0-1,3-4"),
            ("range", "lines=1-2"),
            ("if-modified-since", "Invalid Date"),
            ("if-none-match", "\"a\", b"),
            ("x-amz-copy-source-if-unmodified-since", "yesterday"),
        ];
        for header in odd {
            assert_eq!(rewrite("/b/k", &[header]), Some(("/b/k".to_owned(), 1)), "{header:?}");
        }
        assert_eq!(rewrite("/b/k", &[("range", "bytes=0-1"), ("range", "bytes=0-1")]), Some(("/b/k".to_owned(), 2)));
    }

    #[test]
    fn the_query_loses_empty_numbers_and_the_signature() {
        let uri = "/b/k?uploadId=1&max-parts=&X-Amz-Signature=0&X-Amz-Date=1&x-id=ListParts";
        assert_eq!(rewrite(uri, &[]), Some(("/b/k?uploadId=1&x-id=ListParts".to_owned(), 0)));
        assert_eq!(rewrite("//", &[]), Some(("/".to_owned(), 0)));
    }
}
