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

use super::access_log::{AccessLogs, Heard};
use super::answer::{self, AnswerBody, Record};
use super::context::{Connection, RequestContext, RequestId};
use super::cors::Crossing;
use super::guard::FailedSignatures;
use super::host::Domains;
use super::post_form::{self, Forms};
use super::query_api::Presigned;
use super::request_body::{Drained, Framing, WatchedBody};
use super::rewrite::{Pending, Rewrite};
use super::target::{self, Target};
use super::trail::Trail;
use super::website::{Sites, Visit};
use super::{admin, convert, guard, query, query_api};
use crate::object::Objects;
use crate::telemetry::audit::Audit;
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
    pub connection: fn(&Extensions) -> Connection,
    /// Random, for `x-amz-id-2`.
    pub process: [u8; 16],
    /// The server's own.
    pub region: String,
    pub audit: Audit,
    pub guard: Arc<FailedSignatures>,
    pub objects: Objects,
    pub forms: Forms,
    pub presigned: Presigned,
    pub access_logs: AccessLogs,
    pub sites: Sites,
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
        let context = RequestContext::new(id, request.method().clone(), set_aside).audited(front.audit.is_on());
        let context = Arc::new(context.sealing(front.presigned.identities.clone()));
        let trail = Trail::of(&front.audit, request.headers());
        let path = request.uri().path().to_owned();
        let heard = Heard::of(&request);
        let connection = (front.connection)(request.extensions());
        context.note_connection(connection);
        let peer = connection.peer;
        let hosts = &front.sites.hosts;
        let visit = hosts.visit(request.uri(), request.headers(), &front.domains, connection.to_website);
        let crossing = Crossing::of(&request, visit.as_ref(), &front.domains);
        let is_visit = visit.is_some();
        let early = match &visit {
            Some(_) => None,
            None => self.without_s3(&request, &context).or_else(|| self.slowed(&request, peer, &context)),
        };

        let mut response = match early {
            Some(response) => response,
            None if request.method() == Method::OPTIONS => self.preflight(crossing.as_ref(), &context).await,
            // Boxed, as what follows: only visits carry the space for one.
            None if is_visit => Box::pin(self.through_website(request, visit, &context)).await,
            // Boxed: forms are rare, and every other request would carry the space for one.
            None if post_form::is_form(&request) => Box::pin(self.through_form(request, &context)).await,
            None if query_api::is_query(&request) && !self.names_bucket_in_host(&request) => {
                self.through_query_api(request, &context).await
            }
            None if admin::is_admin(request.uri()) && !self.names_bucket_in_host(&request) => {
                let response = self.through_s3(admin::prepare(request), None, &context).await;
                admin::reshape(response, &context)
            }
            None => self.through_s3(request, rewrite, &context).await,
        };
        if let Some(crossing) = crossing.filter(|_| context.method != Method::OPTIONS) {
            crossing.decorate(&front.objects, &context, response.headers_mut()).await;
        }
        self.note_failure(&response, peer);
        let response = answer::complete(response, &context);
        // The path of a visit names no bucket: without a website's bucket there is none.
        let access_log = match context.bucket() {
            None if is_visit => None,
            _ => front.access_logs.pending(&context, heard, &response).await,
        };
        let (parts, body) = response.into_parts();
        let record = Record {
            metrics: front.metrics.clone(),
            context,
            started,
            status: parts.status,
            path,
            peer,
            trail,
            access_log,
            sent: 0,
            _in_flight: in_flight,
        };
        Response::from_parts(parts, AnswerBody::new(body, record))
    }

    /// Reserved paths.
    fn without_s3(&self, request: &Request<Body>, context: &RequestContext) -> Option<HttpResponse> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read || self.names_bucket_in_host(request) {
            return None;
        }
        let (status, text) = (self.0.reserved)(request.uri().path())?;
        context.note_operation("Reserved");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        Some(response)
    }

    /// What a browser asks before it lets a page send a request. s3s does not know it.
    async fn preflight(&self, crossing: Option<&Crossing>, context: &RequestContext) -> HttpResponse {
        context.note_operation("Preflight");
        if let Some(crossing) = crossing {
            return crossing.preflight(&self.0.objects, context).await;
        }
        let message = "Insufficient information. Origin request header needed.";
        answer::refusal("BadRequest", Some(message), Vec::new(), context)
    }

    /// A browser's form.
    async fn through_form(&self, request: Request<Body>, context: &Arc<RequestContext>) -> HttpResponse {
        let target = Target::of(request.uri(), request.headers(), &self.0.domains);
        let (expects_continue, is_http_1) = (expects_continue(&request), request.version() <= Version::HTTP_11);
        let mut response = self.0.forms.answer(watched(request, context), target, context).await;
        // After the file there may be more of the form, which does not count.
        drain(&mut response, context, expects_continue, is_http_1).await;
        response
    }

    /// A visit to a website.
    async fn through_website(
        &self,
        request: Request<Body>,
        visit: Option<Visit>,
        context: &Arc<RequestContext>,
    ) -> HttpResponse {
        let (expects_continue, is_http_1) = (expects_continue(&request), request.version() <= Version::HTTP_11);
        let (head, body) = watched(request, context).into_parts();
        // Visits have none; what a stranger sends is read no further than any refused request's.
        drop(body);
        let visit = visit.unwrap_or_default();
        let mut response = self.0.sites.answer(&visit, &head, context).await;
        drain(&mut response, context, expects_continue, is_http_1).await;
        response
    }

    /// A request of IAM or STS: its form is read here, and whatever refuses it does so in these services' words.
    async fn through_query_api(&self, request: Request<Body>, context: &Arc<RequestContext>) -> HttpResponse {
        let accepted = match query_api::prepare(request).await {
            Ok(request) => self.0.presigned.accept(request, context).await,
            Err(error) => Err(error),
        };
        let response = match accepted {
            Ok(request) => self.through_s3(request, None, context).await,
            Err(error) => query_api::refusal(&error, &context.id),
        };
        query_api::reshape(response, context)
    }

    /// Signed requests of a source with too many failed signatures must wait.
    fn slowed(
        &self,
        request: &Request<Body>,
        peer: Option<SocketAddr>,
        context: &RequestContext,
    ) -> Option<HttpResponse> {
        let seconds = self.0.guard.must_wait(peer?.ip(), Instant::now())?;
        if !guard::is_signed(request.headers(), request.uri()) {
            return None;
        }
        let message = "Too many requests of your address had a wrong signature or access key. Wait, then try again.";
        let mut response = answer::refusal("SlowDown", Some(message), Vec::new(), context);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        Some(if query_api::is_query(request) { query_api::reshape(response, context) } else { response })
    }

    /// Counts a failed signature for its source.
    fn note_failure(&self, response: &HttpResponse, peer: Option<SocketAddr>) {
        if response.status() != StatusCode::FORBIDDEN {
            return;
        }
        let (Some(peer), Some(code)) = (peer, answer::error_code(response)) else { return };
        if guard::is_failed_signature(&code) && self.0.guard.note(peer.ip(), Instant::now()) {
            tracing::warn!(source = %peer.ip(), "too many failed signatures: this source is slowed down");
        }
    }

    fn names_bucket_in_host(&self, request: &Request<Body>) -> bool {
        let host = target::host(request.uri(), request.headers());
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
        let expects_continue = expects_continue(&request);
        let request = watched(request, context);
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
            drain(&mut response, context, expects_continue, is_http_1).await;
        }
        response
    }
}

/// Whether the client sends its body only when it is told to.
fn expects_continue(request: &Request<Body>) -> bool {
    let expect = request.headers().get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The request with its body under watch.
fn watched(request: Request<Body>, context: &RequestContext) -> Request<Body> {
    if request.body().is_end_stream() {
        return request.map(|_| Body::empty());
    }
    let framing = Framing::of(request.headers());
    request.map(|body| Body::http_body(WatchedBody::new(body, Arc::clone(&context.body), framing)))
}

/// Reads what the client is still sending, so that its connection stays usable.
async fn drain(response: &mut HttpResponse, context: &RequestContext, expects_continue: bool, is_http_1: bool) {
    let drained = context.body.drain(expects_continue).await;
    if drained == Drained::Partly && is_http_1 {
        // hyper closes the connection then; a client that is not told would send its next request into it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
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
