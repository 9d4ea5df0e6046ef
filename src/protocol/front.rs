//! The one service that hyper calls: from the request's head to the last byte of its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};

use super::answer::{self, AnswerBody, Record};
use super::context::{RequestContext, RequestId};
use super::host::Domains;
use super::request_body::{Drained, Framing, WatchedBody};
use super::rewrite::{Pending, Rewrite};
use super::{convert, query};
use crate::telemetry::metrics::Metrics;

/// Answers paths that are not S3's: status and text, or `None` for any other path.
pub type Reserved = Arc<dyn Fn(&str) -> Option<(StatusCode, Bytes)> + Send + Sync>;

/// The S3 service of a listener. Clones share everything.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

pub(super) struct Parts {
    pub s3: S3Service,
    pub domains: Domains,
    pub metrics: Metrics,
    pub reserved: Reserved,
    pub peer: fn(&Extensions) -> Option<SocketAddr>,
    /// Random, for `x-amz-id-2`.
    pub process: [u8; 16],
    /// The server's own.
    pub region: String,
}

impl Front {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers one request. It never fails: what goes wrong is an answer, too.
    pub async fn answer(&self, request: Request<Body>) -> Response<AnswerBody> {
        let front = &self.0;
        let started = Instant::now();
        let in_flight = front.metrics.request_started();
        let length = (!request.body().is_end_stream()).then(|| request.body().size_hint().exact().unwrap_or(u64::MAX));
        let rewrite = Rewrite::needed(request.method(), request.uri(), request.headers(), length);
        let set_aside = rewrite.as_ref().map(|rewrite| rewrite.set_aside.clone()).unwrap_or_default();
        let id = RequestId::random(front.process);
        let context = Arc::new(RequestContext::new(id, request.method().clone(), set_aside));
        let path = request.uri().path().to_owned();
        let peer = (front.peer)(request.extensions());

        let response = match self.without_s3(&request, &context) {
            Some(response) => response,
            None => self.through_s3(request, rewrite, &context).await,
        };
        let (parts, body) = answer::complete(response, &context).into_parts();
        let record = Record {
            metrics: front.metrics.clone(),
            context,
            started,
            status: parts.status,
            path,
            peer,
            sent: 0,
            _in_flight: in_flight,
        };
        Response::from_parts(parts, AnswerBody::new(body, record))
    }

    /// Reserved paths, and CORS preflights, which s3s does not know.
    fn without_s3(&self, request: &Request<Body>, context: &RequestContext) -> Option<HttpResponse> {
        if matches!(*request.method(), Method::GET | Method::HEAD)
            && !self.names_bucket_in_host(request)
            && let Some((status, text)) = (self.0.reserved)(request.uri().path())
        {
            context.note_operation("Reserved");
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            return Some(response);
        }
        if request.method() != Method::OPTIONS {
            return None;
        }
        context.note_operation("Preflight");
        if !request.headers().contains_key(header::ORIGIN) {
            let message = "Insufficient information. Origin request header needed.";
            return Some(answer::refusal("BadRequest", Some(message), Vec::new(), context));
        }
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD).and_then(|value| value.to_str().ok());
        let details = vec![("Method", asked.unwrap_or("OPTIONS").to_owned()), ("ResourceType", "BUCKET".to_owned())];
        Some(answer::refusal("AccessForbidden", None, details, context))
    }

    fn names_bucket_in_host(&self, request: &Request<Body>) -> bool {
        let from_header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = from_header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        host.is_some_and(|host| self.0.domains.is_virtual(host))
    }

    async fn through_s3(
        &self,
        mut request: Request<Body>,
        rewrite: Option<Rewrite>,
        context: &Arc<RequestContext>,
    ) -> HttpResponse {
        let s3 = &self.0.s3;
        request.extensions_mut().insert(Arc::clone(context));
        if let Some(rewrite) = rewrite {
            request.extensions_mut().insert(Pending { service: s3.clone(), rewrite });
        }
        let expects_continue = request
            .headers()
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let framing = Framing::of(request.headers());
        let request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::http_body(WatchedBody::new(body, Arc::clone(&context.body), framing))
        });
        let uri = request.uri().clone();
        let is_http_1 = request.version() <= Version::HTTP_11;
        let mut response = match s3.call(request).await {
            Ok(response) => response,
            Err(error) => {
                // s3s gives up when it cannot write its own error; without an answer the connection would be dropped.
                unwritable(&uri, &error, context)
            }
        };
        if let Some((code, message, details)) = answer::misnamed(&response, &self.0.region) {
            response = answer::refusal(code, Some(&message), details, context);
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            let drained = context.body.drain(expects_continue).await;
            if drained == Drained::Partly && is_http_1 {
                // hyper closes the connection then; a client that is not told would send its next request into it.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        response
    }
}

/// The answer in place of one that could not be written. s3s repeats what it refuses, so the usual reason is a control
/// character in the query, which XML cannot hold.
fn unwritable(uri: &Uri, error: &HttpError, context: &RequestContext) -> HttpResponse {
    let is_odd = |text: &str| !text.chars().all(convert::is_xml_character);
    if let Some((name, value)) = query::pairs(uri).find(|(name, value)| is_odd(name) || is_odd(value)) {
        let details = vec![("ArgumentName", name.into_owned()), ("ArgumentValue", value.into_owned())];
        return answer::refusal("InvalidArgument", None, details, context);
    }
    tracing::error!(request_id = %context.id.request, %error, "an answer could not be written");
    answer::refusal("InternalError", None, Vec::new(), context)
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request.map(Body::from)).await) })
    }
}
