//! The answer on its way out: what s3s leaves out of errors and what HTTP forbids in bodies, then the count of what
//! was sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode, StdError};

use super::context::{RequestContext, RequestId};
use super::error::Failure;
use super::trail::Trail;
use super::{access_log, convert, error};
use crate::telemetry::metrics::{Counted, Metrics};

const X_AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const X_AMZ_ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Marks an answer, among its extensions, as one whose body is not to be read: an error's page that an owner wrote is
/// no error of ours, whatever it looks like.
#[derive(Clone, Copy)]
pub(super) struct Whole;

/// Completes what s3s answered.
pub(super) fn complete(mut response: HttpResponse, context: &RequestContext) -> HttpResponse {
    // A handler's status: s3s's own response type has a field for it and ignores it.
    if let Some(status) = response.extensions_mut().remove::<StatusCode>() {
        *response.status_mut() = status;
    }
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if is_error && response.extensions().get::<Whole>().is_none() {
        enrich(&mut response, context);
    }
    if context.method == Method::HEAD {
        // Over HTTP/2 a body here is a protocol error. The length stays: it is the length of what GET would send.
        *response.body_mut() = Body::empty();
    }
    let ids = [(X_AMZ_REQUEST_ID, &context.id.request), (X_AMZ_ID_2, &context.id.host)];
    for (name, value) in ids {
        if let Some(value) = convert::header_value(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("Cairn"));
    response
}

/// An error that the front itself answers; [`complete`] adds the fields.
pub(super) fn refusal(
    code: &'static str,
    message: Option<&str>,
    details: Vec<(&'static str, String)>,
    context: &RequestContext,
) -> HttpResponse {
    context.note_error(details);
    let text = message.or_else(|| error::message(code)).unwrap_or(code);
    let mut response = Response::new(Body::from(error_xml(code, &escaped(text), &[], &context.id)));
    *response.status_mut() = error::status(code);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// An error of a handler that s3s did not call.
pub(super) fn of_failure(failure: Failure, context: &RequestContext) -> HttpResponse {
    of_error(&failure.into_s3(context))
}

/// As [`of_failure`], of an error in s3s's words. [`complete`] adds the fields.
pub(super) fn of_error(error: &S3Error) -> HttpResponse {
    let code = error.code().as_str();
    let message = escaped(error.message().or_else(|| error::message(code)).unwrap_or(code));
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = error.status_code().unwrap_or_else(|| error::status(code));
    if let Some(headers) = error.headers() {
        response.headers_mut().extend(headers.clone());
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// Another error in the place of one: code, message, further fields.
type Renamed = (&'static str, String, Vec<(&'static str, String)>);

/// Errors to which s3s gives another code than S3 does. Clients act upon these: told the region, they sign again.
pub(super) fn misnamed(response: &HttpResponse, region: &str) -> Option<Renamed> {
    if !response.status().is_client_error() {
        return None;
    }
    let body = response.body().bytes()?;
    let message = element(std::str::from_utf8(&body).ok()?, "Message")?;
    if message.starts_with("invalid credential region") {
        let message = format!("The authorization header is malformed; the region is wrong; expecting '{region}'");
        return Some(("AuthorizationHeaderMalformed", message, vec![("Region", region.to_owned())]));
    }
    if message == "invalid header: x-amz-content-sha256" {
        let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
        return Some((
            "InvalidArgument",
            message.to_owned(),
            vec![("ArgumentName", "x-amz-content-sha256".to_owned())],
        ));
    }
    None
}

/// The code of an error, whoever wrote it.
pub(super) fn error_code(response: &HttpResponse) -> Option<String> {
    if response.extensions().get::<Whole>().is_some() {
        return None;
    }
    let body = response.body().bytes()?;
    element(std::str::from_utf8(&body).ok()?, "Code").map(str::to_owned)
}

/// Adds the ids and the further fields to an error that s3s wrote.
fn enrich(response: &mut HttpResponse, context: &RequestContext) {
    let Some(body) = response.body().bytes() else { return };
    let Ok(xml) = std::str::from_utf8(&body) else { return };
    let Some(code) = element(xml, "Code") else { return };
    context.note_code(code);
    if xml.contains("<ErrorResponse") {
        // A query API's error is whole.
        return;
    }
    let message = element(xml, "Message").unwrap_or("");
    let (message, details) = match context.take_error() {
        Some(details) => (message.to_owned(), details),
        None => reworded(code, message),
    };
    let text = error_xml(code, &message, &details, &context.id);
    if error::message(code).is_some() {
        *response.status_mut() = error::status(code);
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(text);
}

/// What s3s says of itself, in S3's words. Message and result are escaped already.
fn reworded(code: &str, message: &str) -> (String, Vec<(&'static str, String)>) {
    if let Some((name, value)) = message.strip_prefix("invalid query: ").and_then(|rest| rest.split_once(": ")) {
        let text = format!("Provided {name} not an integer or within integer range");
        return (text, vec![("ArgumentName", unescaped(name)), ("ArgumentValue", unescaped(value))]);
    }
    let default = code.parse::<S3ErrorCode>().ok().and_then(|code| code.default_message());
    let ours = error::message(code).filter(|_| message.is_empty() || default == Some(&unescaped(message)));
    (ours.map_or_else(|| message.to_owned(), escaped), Vec::new())
}

/// The escaped text of the first element of this name.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn error_xml(code: &str, message: &str, details: &[(&'static str, String)], id: &RequestId) -> String {
    let written: Vec<_> = details.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value))).collect();
    let fields = written.concat();
    let RequestId { request, host } = id;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{fields}<RequestId>{request}</RequestId><HostId>{host}</HostId></Error>"
    )
}

/// Text for XML. What XML 1.0 cannot hold (control characters out of a client's key) becomes U+FFFD.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ if convert::is_xml_character(character) => out.push(character),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    out
}

pub(super) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

/// An answer's body; when it ends, or the client leaves, the request is counted and logged.
pub struct AnswerBody {
    body: Body,
    record: Record,
}

/// What is noted of a request when its answer ends.
pub(super) struct Record {
    pub metrics: Metrics,
    pub context: Arc<RequestContext>,
    pub started: Instant,
    pub status: StatusCode,
    pub path: String,
    pub peer: Option<std::net::SocketAddr>,
    pub trail: Option<Trail>,
    pub access_log: Option<Box<access_log::Pending>>,
    pub sent: u64,
    pub _in_flight: Counted,
}

impl AnswerBody {
    pub(super) fn new(body: Body, record: Record) -> Self {
        Self { body, record }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        match &poll {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(Some(Err(error))) => {
                // The status has gone out: all that is left is to break off, which hyper does.
                let id = &self.record.context.id.request;
                tracing::error!(request_id = %id, %error, "an answer broke off: its object could not be read");
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let received = self.context.body.received();
        // A request that never became an operation has no name: labels come from a closed set.
        let operation = self.context.operation().unwrap_or("Unknown");
        self.metrics.request_finished(operation, self.status, elapsed);
        self.metrics.received(received);
        self.metrics.sent(self.sent);
        tracing::debug!(
            request_id = %self.context.id.request,
            peer = self.peer.map(tracing::field::display),
            account = self.context.caller().map(|caller| caller.account.id.as_str()),
            method = %self.context.method,
            path = %self.path,
            operation,
            status = self.status.as_u16(),
            received,
            sent = self.sent,
            micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
        if let Some(pending) = &self.access_log {
            let ended = access_log::Ended { status: self.status, started: self.started, elapsed, sent: self.sent };
            pending.write(&self.context, ended);
        }
        if let Some(trail) = &self.trail {
            trail.record(&self.context, operation, self.status, self.peer.map(|peer| peer.ip()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn context(method: Method) -> RequestContext {
        RequestContext::new(
            RequestId { request: "0123456789ABCDEF".to_owned(), host: "aG9zdA==".to_owned() },
            method,
            HeaderMap::new(),
        )
    }

    fn s3s_error(code: &str, message: &str) -> HttpResponse {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = error::status(code);
        response
    }

    fn text(response: &HttpResponse) -> String {
        String::from_utf8(response.body().bytes().expect("in memory").to_vec()).expect("UTF-8")
    }

    #[test]
    fn errors_get_their_fields_and_ids() {
        let context = context(Method::GET);
        context.note_error(vec![("Key", "a<b&\u{1}".to_owned())]);
        let response = complete(s3s_error("NoSuchKey", "The specified key does not exist."), &context);
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b&amp;\u{fffd}</Key><RequestId>0123456789ABCDEF</RequestId><HostId>aG9zdA==</HostId></Error>"
        );
        assert_eq!(response.headers()["x-amz-request-id"], "0123456789ABCDEF");
        assert_eq!(response.headers()["x-amz-id-2"], "aG9zdA==");
    }

    #[test]
    fn an_error_of_s3s_gets_s3s_words_only_where_it_has_no_better_ones() {
        let default = S3ErrorCode::MalformedXML.default_message().unwrap_or("");
        let response = complete(s3s_error("MalformedXML", default), &context(Method::PUT));
        assert!(
            text(&response).contains("did not validate against our published schema</Message>"),
            "{}",
            text(&response)
        );
        let response = complete(s3s_error("InvalidRequest", "missing header: x-amz-date"), &context(Method::PUT));
        assert!(text(&response).contains("<Message>missing header: x-amz-date</Message>"));
        let response = complete(s3s_error("InvalidArgument", "invalid query: max-keys: blah"), &context(Method::GET));
        assert!(text(&response).contains("<ArgumentName>max-keys</ArgumentName><ArgumentValue>blah</ArgumentValue>"));
    }

    #[test]
    fn a_head_has_no_body_and_a_handler_can_set_the_status() {
        let mut response = s3s_error("NoSuchKey", "");
        response.extensions_mut().insert(StatusCode::PARTIAL_CONTENT);
        let response = complete(response, &context(Method::HEAD));
        assert_eq!((response.status(), text(&response)), (StatusCode::PARTIAL_CONTENT, String::new()));
    }
}
