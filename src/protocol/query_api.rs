//! AWS's query APIs, IAM and STS, on the server's own endpoint: a form comes in, XML goes out.
//!
//! | file | is |
//! |---|---|
//! | this one | how such requests are told apart, read, dispatched and answered |
//! | `form` | the request's parameters, within limits |
//! | `presigned` | signatures in the query |
//! | `xml` | the answer |
//!
//! The front reads the form, for clients of these services do not say its hash in a header and s3s wants one. s3s
//! verifies the signature and hands the request to [`QueryApis`]; what it refuses itself is put into these APIs' shape.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonParameters.html>

mod form;
mod presigned;
mod xml;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use s3s::{Body, HttpResponse, S3Request, S3Response, S3Result};
use sha2::{Digest, Sha256};
use storage::types::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use self::form::Form;
pub(super) use self::presigned::Presigned;
pub(super) use self::xml::Xml;
use super::authn::Authentication;
use super::context::{RequestContext, RequestId};
use super::error::Failure;
use super::iam_api::IamApi;
use super::sts_api::StsApi;
use super::{authz, query};
use crate::identity::{self, Caller, Code};
use crate::rules::iam;

/// Bytes of a request: a policy of 131 072 characters, escaped, and little else.
pub(super) const MAX_REQUEST_BYTES: usize = 512 << 10;
/// Requests whose forms are held at a time, by callers who are not known yet. Further ones wait.
static FORMS: Semaphore = Semaphore::const_new(128);
/// A form is small: who takes longer to send it makes others wait.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

/// Actions whose result is an empty element; of most that give nothing back, there is no result at all.
const EMPTY_RESULTS: [&str; 1] = ["UpdateRole"];

const IAM_VERSION: &str = "2010-05-08";
const STS_VERSION: &str = "2011-06-15";
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const X_AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A service with a query API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Iam,
    Sts,
}

impl Service {
    /// As signatures name it.
    fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    fn of_version(version: &str) -> Option<Self> {
        match version {
            IAM_VERSION => Some(Self::Iam),
            STS_VERSION => Some(Self::Sts),
            _ => None,
        }
    }
}

/// How a query API says no.
#[derive(Clone, Debug)]
pub(super) struct QueryError {
    pub status: StatusCode,
    pub code: Cow<'static, str>,
    pub message: String,
}

/// The content of an action's result, or why there is none.
pub(super) type Answer = Result<Xml, QueryError>;

impl QueryError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code: Cow::Borrowed(code), message: message.into() }
    }

    /// A parameter is missing or has the wrong shape.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    /// What went wrong here, and is logged here.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request of a query API failed");
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }

    /// There is no such action, or not here.
    fn unknown_action(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidAction", message)
    }

    /// The same error of S3 in these APIs' words.
    fn of_s3(status: StatusCode, code: &str, message: String) -> Self {
        let invalid_token = "The security token included in the request is invalid.";
        match code {
            "InvalidAccessKeyId" | "InvalidToken" => {
                Self::new(StatusCode::FORBIDDEN, "InvalidClientTokenId", invalid_token)
            }
            "ExpiredToken" => {
                let message = "The security token included in the request is expired";
                Self::new(StatusCode::FORBIDDEN, "ExpiredToken", message)
            }
            "RequestTimeTooSkewed" => Self::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message),
            "SlowDown" => Self::new(StatusCode::BAD_REQUEST, "Throttling", message),
            "InternalError" => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message),
            _ => Self { status, code: Cow::Owned(code.to_owned()), message },
        }
    }

    fn of_failure(failure: Failure, context: &RequestContext) -> Self {
        let encoded = failure.detail(super::error::ENCODED_MESSAGE).map(str::to_owned);
        let error = failure.into_s3(context);
        let code = error.code().as_str().to_owned();
        let status = super::error::status(&code);
        let mut message = error.message().or_else(|| super::error::message(&code)).unwrap_or_default().to_owned();
        if let Some(encoded) = encoded {
            // In EC2's words, which people's tools look for.
            message = format!("{message}. Encoded authorization failure message: {encoded}");
        }
        Self::of_s3(status, &code, message)
    }
}

impl From<identity::Error> for QueryError {
    fn from(error: identity::Error) -> Self {
        let (code, message) = match error {
            identity::Error::Refused { code, message } => (code, message),
            identity::Error::InvalidAccessKeyId | identity::Error::InvalidToken => {
                return Self::of_s3(StatusCode::FORBIDDEN, "InvalidAccessKeyId", String::new());
            }
            identity::Error::ExpiredToken => {
                return Self::of_s3(StatusCode::FORBIDDEN, "ExpiredToken", String::new());
            }
            error @ (identity::Error::Sealing(_) | identity::Error::Store(_)) => return Self::internal(&error),
        };
        let (status, code) = match code {
            Code::NoSuchEntity => (StatusCode::NOT_FOUND, "NoSuchEntity"),
            Code::EntityAlreadyExists => (StatusCode::CONFLICT, "EntityAlreadyExists"),
            Code::LimitExceeded => (StatusCode::CONFLICT, "LimitExceeded"),
            Code::DeleteConflict => (StatusCode::CONFLICT, "DeleteConflict"),
            Code::ConcurrentModification => (StatusCode::CONFLICT, "ConcurrentModification"),
            Code::MalformedPolicyDocument => (StatusCode::BAD_REQUEST, "MalformedPolicyDocument"),
            Code::InvalidInput => (StatusCode::BAD_REQUEST, "InvalidInput"),
            Code::ValidationError => (StatusCode::BAD_REQUEST, "ValidationError"),
            Code::UnmodifiableEntity => (StatusCode::BAD_REQUEST, "UnmodifiableEntity"),
            Code::PolicyNotAttachable => (StatusCode::BAD_REQUEST, "PolicyNotAttachable"),
            Code::PolicyEvaluation => (StatusCode::INTERNAL_SERVER_ERROR, "PolicyEvaluation"),
        };
        Self::new(status, code, message)
    }
}

/// One request of a query API, for the action that it names.
pub(super) struct Call<'a> {
    pub form: &'a Form,
    pub context: &'a RequestContext,
    pub headers: &'a HeaderMap,
    pub uri: &'a Uri,
    /// Who asks; may be anonymous.
    pub caller: &'a Arc<Caller>,
    pub now: Timestamp,
}

impl Call<'_> {
    /// The condition keys of the request and of who asks.
    pub(super) fn keys(&self) -> iam::Context {
        authz::of_request(&authz::Asking::new(self.context, self.headers, self.uri), self.caller)
    }

    /// Asks the choke point whether the caller may do this, within this account.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) fn require(
        &self,
        action: &str,
        resource: &str,
        account: &str,
        keys: &iam::Context,
    ) -> Result<(), QueryError> {
        authz::require(self.context, action, resource, account, keys)
            .map_err(|failure| QueryError::of_failure(failure, self.context))
    }
}

/// That a request is one of a query API, in its extensions, with its form.
#[derive(Clone)]
pub(super) struct QueryRequest {
    form: Bytes,
    _held: Arc<SemaphorePermit<'static>>,
}

/// Whether a request is one of a query API: a form to `/`, or an action in the query of `/`, as presigned.
pub(super) fn is_query<B>(request: &Request<B>) -> bool {
    if request.uri().path() != "/" {
        return false;
    }
    let named = |wanted: &str| query::pairs(request.uri()).any(|(name, _)| name == wanted);
    match *request.method() {
        Method::POST => request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let form = b"application/x-www-form-urlencoded";
            value.as_bytes().get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
        }),
        Method::GET => named("Action") && named("Version"),
        _ => false,
    }
}

/// Reads the form of a request for which [`is_query`] holds, and says its hash.
///
/// # Errors
/// If it is too large, too slow, or breaks off.
pub(super) async fn prepare(mut request: Request<Body>) -> Result<Request<Body>, QueryError> {
    let held = FORMS.acquire().await.map_err(|closed| QueryError::internal(&closed))?;
    let reading = tokio::time::timeout(FORM_TIMEOUT, request.body_mut().store_all_limited(MAX_REQUEST_BYTES));
    let body = reading.await.ok().and_then(Result::ok).ok_or_else(|| {
        let message =
            format!("A request must be complete within 30 seconds and have at most {MAX_REQUEST_BYTES} bytes.");
        QueryError::new(StatusCode::BAD_REQUEST, "MalformedInput", message)
    })?;
    // A presigned URL is signed without the hash of what comes with it.
    let in_header = request.headers().contains_key(header::AUTHORIZATION);
    if in_header
        && !request.headers().contains_key(CONTENT_SHA256)
        && let Ok(digest) = HeaderValue::from_str(&hex::encode(Sha256::digest(&body)))
    {
        request.headers_mut().insert(CONTENT_SHA256, digest);
    }
    let form = match request.uri().query() {
        Some(query) if request.method() == Method::GET => Bytes::copy_from_slice(query.as_bytes()),
        _ => body,
    };
    request.extensions_mut().insert(QueryRequest { form, _held: Arc::new(held) });
    Ok(request)
}

/// Answers an error that came about outside of an action.
pub(super) fn refusal(error: &QueryError, id: &RequestId) -> HttpResponse {
    written(error.status, error_xml(Service::Iam, error, id), id)
}

/// Puts an error that s3s or the front wrote into the shape of a query API.
pub(super) fn reshape(response: HttpResponse, context: &RequestContext) -> HttpResponse {
    if !response.status().is_client_error() && !response.status().is_server_error() {
        return response;
    }
    let body = response.body().bytes().unwrap_or_default();
    let text = std::str::from_utf8(&body).unwrap_or_default();
    if text.contains("<ErrorResponse") {
        return response;
    }
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (escaped, _) = rest.split_once(&format!("</{name}>"))?;
        Some(xml::unescaped(escaped))
    };
    let code = element("Code").unwrap_or_else(|| "InternalError".to_owned());
    let error = QueryError::of_s3(response.status(), &code, element("Message").unwrap_or_default());
    let mut answer = written(error.status, error_xml(Service::Iam, &error, &context.id), &context.id);
    for (name, value) in response.headers() {
        if !answer.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn error_xml(service: Service, error: &QueryError, id: &RequestId) -> String {
    let kind = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    let mut xml = Xml::document("ErrorResponse", service.namespace());
    xml.element("Error", |xml| {
        xml.text("Type", kind);
        xml.text("Code", &error.code);
        xml.text("Message", &error.message);
    });
    xml.text("RequestId", &id.request);
    xml.finish("ErrorResponse")
}

fn written(status: StatusCode, text: String, id: &RequestId) -> HttpResponse {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(&id.request) {
        response.headers_mut().insert(X_AMZN_REQUEST_ID, id);
    }
    response
}

/// IAM and STS, behind s3s.
pub(super) struct QueryApis {
    pub authentication: Arc<Authentication>,
    pub iam: IamApi,
    pub sts: StsApi,
}

impl QueryApis {
    /// Whether the front has found a request to be one of these.
    pub(super) fn is_match(extensions: &http::Extensions) -> bool {
        extensions.get::<QueryRequest>().is_some()
    }

    /// Establishes who asks; which actions nobody in particular may ask for is for them to say.
    pub(super) async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        if context.caller().is_some() {
            // By a signature in the query.
            return Ok(());
        }
        self.authentication
            .establish(&context, request.credentials.as_ref(), &request.headers, &request.uri)
            .await
            .map_err(|failure| failure.into_s3(&context))
    }

    /// Does what the request names, and answers.
    pub(super) async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let context = RequestContext::of(&request.extensions)?;
        let form = request.extensions.get::<QueryRequest>().map(|request| request.form.clone()).unwrap_or_default();
        let (service, outcome) = match Form::parse(&form) {
            Ok(form) => self.dispatch(&form, &request, &context).await,
            Err(error) => (Service::Iam, Err(error)),
        };
        let (status, text) = match outcome {
            Ok((action, result)) => (StatusCode::OK, success_xml(service, &action, &result, &context.id)),
            Err(error) => {
                context.note_code(&error.code);
                (error.status, error_xml(service, &error, &context.id))
            }
        };
        let (parts, body) = written(status, text, &context.id).into_parts();
        let mut answer = S3Response::with_status(body, parts.status);
        answer.headers = parts.headers;
        Ok(answer)
    }

    async fn dispatch(
        &self,
        form: &Form,
        request: &S3Request<Body>,
        context: &RequestContext,
    ) -> (Service, Result<(String, Xml), QueryError>) {
        let (action, version) = (form.text("Action").unwrap_or_default(), form.text("Version").unwrap_or_default());
        let Some(service) = Service::of_version(version) else {
            return (Service::Iam, Err(QueryError::unknown_action(action, version)));
        };
        let anonymous = Caller::anonymous();
        let caller = context.caller().unwrap_or(&anonymous);
        if let Some(signed) = request.service.as_deref()
            && let Err(error) = signed_for(service, signed)
        {
            return (service, Err(error));
        }
        let now = Timestamp::now();
        let call = Call { form, context, headers: &request.headers, uri: &request.uri, caller, now };
        let outcome = match service {
            Service::Iam => self.iam.answer(&call, action).await,
            Service::Sts => self.sts.answer(&call, action).await,
        };
        let outcome = outcome.unwrap_or_else(|| Err(QueryError::unknown_action(action, version)));
        (service, outcome.map(|result| (action.to_owned(), result)))
    }
}

/// A signature is for one service: one for S3 does not hold here.
fn signed_for(service: Service, signed: &str) -> Result<(), QueryError> {
    if signed == service.name() {
        return Ok(());
    }
    let message = format!("Credential should be scoped to correct service: '{}'. ", service.name());
    Err(QueryError::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message))
}

fn success_xml(service: Service, action: &str, result: &Xml, id: &RequestId) -> String {
    let name = format!("{action}Response");
    let mut xml = Xml::document(&name, service.namespace());
    if !result.is_empty() || EMPTY_RESULTS.contains(&action) {
        xml.nest(&format!("{action}Result"), result);
    }
    xml.element("ResponseMetadata", |xml| xml.text("RequestId", &id.request));
    xml.finish(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, uri: &str, content_type: Option<&str>) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn forms_to_the_root_are_queries() {
        let form = Some("application/x-www-form-urlencoded; charset=utf-8");
        assert!(is_query(&request(Method::POST, "/", form)));
        assert!(is_query(&request(Method::GET, "/?Action=GetCallerIdentity&Version=2011-06-15", None)));
        assert!(!is_query(&request(Method::POST, "/bucket", form)));
        assert!(!is_query(&request(Method::POST, "/", Some("multipart/form-data; boundary=x"))));
        assert!(!is_query(&request(Method::POST, "/", None)));
        assert!(!is_query(&request(Method::GET, "/?prefix=Action", None)));
        assert!(!is_query(&request(Method::PUT, "/", form)));
    }

    #[test]
    fn answers_have_the_shape_of_aws() {
        let id = RequestId { request: "0123456789ABCDEF".to_owned(), host: String::new() };
        let mut result = Xml::new();
        result.text("Name", "a<b");
        assert_eq!(
            success_xml(Service::Iam, "GetThing", &result, &id),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetThingResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><GetThingResult><Name>a&lt;b</Name></GetThingResult><ResponseMetadata><RequestId>0123456789ABCDEF</RequestId></ResponseMetadata></GetThingResponse>"
        );
        let error =
            QueryError::from(identity::Error::refused(Code::NoSuchEntity, "The user with name x cannot be found."));
        assert_eq!(
            (error.status.as_u16(), error_xml(Service::Sts, &error, &id)),
            (404, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The user with name x cannot be found.</Message></Error><RequestId>0123456789ABCDEF</RequestId></ErrorResponse>".to_owned())
        );
    }

    #[test]
    fn what_s3_refuses_is_refused_in_these_apis_words() {
        let context = RequestContext::new(RequestId::random([0; 16]), Method::POST, HeaderMap::new());
        let mut response = Response::new(Body::from(
            "<?xml version=\"1.0\"?>\n<Error><Code>InvalidAccessKeyId</Code><Message>a &amp; b</Message></Error>"
                .to_owned(),
        ));
        *response.status_mut() = StatusCode::FORBIDDEN;
        let response = reshape(response, &context);
        let text = String::from_utf8(response.body().bytes().expect("in memory").to_vec()).expect("text");
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(text.contains("<Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"), "{text}");
    }
}
