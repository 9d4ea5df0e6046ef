//! Amazon's services over HTTP: signed requests, and what their errors mean.

#![allow(clippy::disallowed_methods, reason = "the time of a signature")]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::SendError;
use super::target::{AwsAccess, Secret};
use super::webhook::reason;
use crate::outbound::client;

/// Answers name at most ten messages.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A service at an endpoint.
pub(super) struct Service {
    http: Client,
    name: &'static str,
    endpoint: Url,
    region: String,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// What a service says went wrong.
#[derive(Debug)]
pub(super) enum CallError {
    /// Its code and its message.
    Refused { code: String, message: String },
    /// It could not be asked, or is in no state to answer.
    Unavailable(String),
}

impl CallError {
    pub(super) fn unavailable(self) -> SendError {
        match self {
            Self::Refused { code, message } => SendError::unavailable(format!("{code}: {message}")),
            Self::Unavailable(message) => SendError::unavailable(message),
        }
    }

    /// Whether it says only that we may not ask this.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.contains("AccessDenied") || code == "AuthorizationError")
    }
}

impl Service {
    pub(super) fn open(
        name: &'static str,
        endpoint: Url,
        access: &AwsAccess,
        timeout: Duration,
    ) -> Result<Self, String> {
        let change = |builder: reqwest::ClientBuilder| builder.timeout(timeout).connect_timeout(timeout);
        Ok(Self {
            http: client::client_with(access.ca_file.as_deref(), change).map_err(|error| error.to_string())?,
            name,
            endpoint,
            region: access.region.clone(),
            access_key_id: access.access_key_id.clone(),
            secret_access_key: access.secret_access_key.read()?,
            session_token: access.session_token.as_ref().map(Secret::read).transpose()?,
        })
    }

    /// Calls an operation of the JSON protocol.
    pub(super) async fn json(&self, target: &str, version: &str, body: &Value) -> Result<Value, CallError> {
        let content_type = format!("application/x-amz-json-{version}");
        let answer = self.post(&content_type, Some(target), body.to_string().into()).await?;
        serde_json::from_slice(&answer).map_err(|_| CallError::Unavailable("the answer is no JSON".to_owned()))
    }

    /// Calls an operation of the query protocol.
    pub(super) async fn query(&self, parameters: &[(&str, &str)]) -> Result<(), CallError> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.post("application/x-www-form-urlencoded; charset=utf-8", None, body.into()).await.map(|_| ())
    }

    async fn post(&self, content_type: &str, target: Option<&str>, body: Bytes) -> Result<Bytes, CallError> {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("content-type", content_type), ("host", self.host()), ("x-amz-date", &date)];
        headers.extend(self.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
        headers.extend(target.map(|target| ("x-amz-target", target)));
        let mut request = self.http.post(self.endpoint.clone()).header(CONTENT_TYPE, content_type);
        for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
            request = request.header(*name, *value);
        }
        let request = request.header(AUTHORIZATION, self.authorization(&headers, &date, &body)).body(body);
        let failed = |error: reqwest::Error| CallError::Unavailable(reason(&error.without_url()));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if answer.len() + part.len() > MAX_ANSWER_BYTES {
                return Err(CallError::Unavailable("the answer is too long".to_owned()));
            }
            answer.extend_from_slice(&part);
        }
        if status.is_success() { Ok(answer.into()) } else { Err(refusal(status, &answer)) }
    }

    fn host(&self) -> &str {
        // What reqwest sends: with the port, unless it is the scheme's own.
        self.endpoint.authority()
    }

    /// Signature Version 4; the headers are sorted by name.
    fn authorization(&self, headers: &[(&str, &str)], date: &str, body: &[u8]) -> String {
        let mut canonical = format!("POST\n{}\n\n", self.endpoint.path());
        for (name, value) in headers {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let signed: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let signed = signed.join(";");
        let _ = write!(canonical, "\n{signed}\n{}", hex::encode(Sha256::digest(body)));
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.name);
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let time = time_of(date);
        let key = generate_signing_key(&self.secret_access_key, time, &self.region, self.name);
        let signature = calculate_signature(key, format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}").as_bytes());
        let id = &self.access_key_id;
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}")
    }
}

fn time_of(date: &str) -> SystemTime {
    let parsed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok();
    let zoned = parsed.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned.map_or(SystemTime::UNIX_EPOCH, |zoned| zoned.timestamp().into())
}

/// Code and message of an error in JSON or XML.
fn refusal(status: StatusCode, answer: &[u8]) -> CallError {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return CallError::Unavailable(format!("it answers {status}"));
    }
    if let Ok(json) = serde_json::from_slice::<Value>(answer) {
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let code = text("__type").map(|code| code.rsplit('#').next().unwrap_or(code).to_owned());
        let message = text("message").or_else(|| text("Message")).unwrap_or_default().to_owned();
        return CallError::Refused { code: code.unwrap_or_else(|| status.to_string()), message };
    }
    let xml = String::from_utf8_lossy(answer);
    let element = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(text, _)| text.to_owned())
    };
    CallError::Refused {
        code: element("Code").unwrap_or_else(|| status.to_string()),
        message: element("Message").unwrap_or_default(),
    }
}

/// A name of the characters that groups and deduplication ids may have, for any text.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_both_languages() {
        let json = br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#;
        let xml = b"<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>no topic</Message></Error></ErrorResponse>";
        for (answer, code, text) in
            [(&json[..], "QueueDoesNotExist", "no such queue"), (&xml[..], "NotFound", "no topic")]
        {
            let CallError::Refused { code: found, message } = refusal(StatusCode::BAD_REQUEST, answer) else {
                panic!("a refusal")
            };
            assert_eq!((found.as_str(), message.as_str()), (code, text));
        }
        assert!(matches!(refusal(StatusCode::BAD_GATEWAY, b""), CallError::Unavailable(_)));
    }

    #[test]
    fn the_time_of_a_date_is_that_date() {
        assert_eq!(
            time_of("20260102T030405Z").duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs(),
            1_767_323_045
        );
    }
}
