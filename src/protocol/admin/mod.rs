//! The administrator's API: JSON over `/_admin/v1/…` on the S3 listener, signed as requests to S3 are.
//!
//! | file | is |
//! |---|---|
//! | this one | how such requests are told apart, authorised, dispatched and answered |
//! | `table` | the endpoints: method, path, action, who may, handler |
//! | `quotas` | buckets' quotas and usage |
//! | `event_targets` | where events can go |
//! | `lifecycle` | what lifecycle rules did, will do, and why |
//! | `backup` | backups of the index, and one now |
//! | `drives` | the drives that chunks lie on |
//! | `scrub` | what scrubbing found, and a pass now |
//! | `events` | how they are delivered, sending again, dead letters |
//!
//! No bucket can be named `_admin`, so nothing of S3 is hidden by it. Actions are `cairn:…`, named in policies of users
//! and roles like those of other services, with the bucket's ARN as their resource or `*`. Bucket policies have no say.

mod backup;
mod bucket_storage;
mod drives;
mod event_targets;
mod events;
mod lifecycle;
mod quotas;
mod scrub;
mod table;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderValue, Request, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::{Body, HttpResponse, S3Request, S3Response, S3Result};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::index::records::BucketRecord;

use self::table::Endpoint;
use super::authn::Authentication;
use super::authz::{Asking, Decider};
use super::context::RequestContext;
use super::error::{Failure, Result};
use super::{answer, query};
use crate::event_targets::EventTargets;
use crate::object::{self, Delivery, Objects};

/// What every path begins with, its version included.
const ROOT: &str = "/_admin/v1/";
/// Bytes of a request's body.
const MAX_BODY_BYTES: usize = 256 << 10;

/// Marks a request that the front has told to be one of this API.
#[derive(Clone, Copy)]
struct Marked;

/// Whether a request whose host names no bucket is one of this API.
pub(super) fn is_admin(uri: &Uri) -> bool {
    uri.path().starts_with("/_admin/")
}

/// Marks a request for which [`is_admin`] holds.
pub(super) fn prepare(mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(Marked);
    request
}

/// The route.
pub(super) struct AdminApi {
    pub authentication: Authentication,
    pub decider: Decider,
    pub event_targets: EventTargets,
    pub delivery: Arc<dyn Delivery>,
}

/// One call of a handler, authorised.
struct Call<'a> {
    objects: &'a Objects,
    event_targets: &'a EventTargets,
    delivery: &'a dyn Delivery,
    uri: &'a Uri,
    /// What the path has in the place of `{…}`, in order, without the bucket.
    names: Vec<String>,
    bucket: Option<BucketRecord>,
    body: Bytes,
}

impl Call<'_> {
    /// The bucket that the path names.
    fn bucket(&self) -> Result<&BucketRecord> {
        self.bucket.as_ref().ok_or_else(|| Failure::new("InternalError"))
    }

    /// The first name in the path beside the bucket's.
    fn name(&self) -> Result<&str> {
        self.names.first().map(String::as_str).ok_or_else(|| Failure::new("InternalError"))
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        query::pairs(self.uri).find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The body, which is a JSON document.
    ///
    /// # Errors
    /// `InvalidRequest`, with what is wrong where.
    fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::with_message("InvalidRequest", format!("The body is not the JSON that is expected here: {error}"))
        })
    }
}

impl AdminApi {
    pub(super) fn is_match(extensions: &Extensions) -> bool {
        extensions.get::<Marked>().is_some()
    }

    /// Establishes who asks; whether they may is decided when it is known what for.
    pub(super) async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let (credentials, headers) = (request.credentials.as_ref(), &request.headers);
        let established = self.authentication.establish(&context, credentials, headers, &request.uri).await;
        established.map_err(|failure| failure.into_s3(&context))
    }

    /// Finds the endpoint, asks whether the caller may, and answers.
    pub(super) async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let context = RequestContext::of(&request.extensions)?;
        match self.answer(request, &context).await {
            Ok(answer) => Ok(written(&answer)),
            Err(failure) => Err(failure.into_s3(&context)),
        }
    }

    async fn answer(&self, mut request: S3Request<Body>, context: &RequestContext) -> Result<Value> {
        let caller = context.caller().ok_or_else(|| Failure::new("AccessDenied"))?;
        if caller.is_anonymous() {
            return Err(Failure::with_message("AccessDenied", "Requests to this API must be signed."));
        }
        let (endpoint, names) = find(&request)?;
        context.note_operation(endpoint.operation);
        let mut names = names.into_iter();
        let bucket = if endpoint.names_bucket() {
            Some(self.decider.objects.bucket(&names.next().unwrap_or_default()).await?)
        } else {
            None
        };
        let asking = Asking::new(context, &request.headers, &request.uri);
        self.decider.authorize_administration(&asking, endpoint.action, bucket.as_ref(), endpoint.who)?;
        let body = request.input.store_all_limited(MAX_BODY_BYTES).await;
        let body = body.map_err(|error| Failure::Object(object::Error::Body(error)))?;
        let objects = &self.decider.objects;
        let (event_targets, uri, names) = (&self.event_targets, &request.uri, names.collect());
        let delivery = &*self.delivery;
        (endpoint.run)(&Call { objects, event_targets, delivery, uri, names, bucket, body }).await
    }
}

/// The endpoint of a request, and what its path has in the place of names.
///
/// # Errors
/// `NotFound`, `MethodNotAllowed`.
fn find(request: &S3Request<Body>) -> Result<(&'static Endpoint, Vec<String>)> {
    let path = request.uri.path().strip_prefix(ROOT).unwrap_or_default();
    let mut known = false;
    for endpoint in table::ENDPOINTS {
        if let Some(names) = matched(endpoint.path, path) {
            if endpoint.method == request.method {
                return Ok((endpoint, names));
            }
            known = true;
        }
    }
    Err(Failure::new(if known { "MethodNotAllowed" } else { "NotFound" }))
}

/// What `path` has in the place of the pattern's names; `None` if it does not match.
fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(found)) if wanted.starts_with('{') && !found.is_empty() => {
                names.push(percent_decode_str(found).decode_utf8().ok()?.into_owned());
            }
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => return None,
        }
    }
}

/// An answer: nothing at all is 204.
fn written(answer: &Value) -> S3Response<Body> {
    if answer.is_null() {
        return S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT);
    }
    let mut response = S3Response::new(Body::from(format!("{answer}\n")));
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Puts an error, which s3s, the front or this API wrote in S3's shape, into JSON.
pub(super) fn reshape(mut response: HttpResponse, context: &RequestContext) -> HttpResponse {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    let body = response.body().bytes().unwrap_or_default();
    let xml = std::str::from_utf8(&body).unwrap_or_default();
    let text = |name: &str| answer::element(xml, name).map(answer::unescaped);
    let code = text("Code").unwrap_or_else(|| "InternalError".to_owned());
    context.note_code(&code);
    let message = text("Message").filter(|message| !message.is_empty());
    let message = message.or_else(|| super::error::message(&code).map(str::to_owned)).unwrap_or_default();
    let json = json!({ "code": code, "message": message, "requestId": context.id.request });
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(format!("{json}\n"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_segment_by_segment() {
        let names = |path| matched("buckets/{bucket}/quota", path);
        assert_eq!(names("buckets/b/quota"), Some(vec!["b".to_owned()]));
        assert_eq!(names("buckets/a%2Fb/quota"), Some(vec!["a/b".to_owned()]));
        for other in ["", "buckets", "buckets/b", "buckets//quota", "buckets/b/quota/", "buckets/b/c/quota"] {
            assert_eq!(names(other), None, "{other}");
        }
    }

    #[test]
    fn no_two_endpoints_take_one_request() {
        for (index, one) in table::ENDPOINTS.iter().enumerate() {
            let twice = table::ENDPOINTS.iter().skip(index + 1);
            assert!(!twice.clone().any(|other| other.method == one.method && other.path == one.path), "{}", one.path);
            assert!(one.action.starts_with("cairn:"), "{}", one.action);
        }
    }
}
