//! Webhooks: one POST for each event, or one for several.
//!
//! `X-Cairn-Signature: t=<seconds since 1970>,v1=<hexadecimal>` is HMAC-SHA256 over `<t>.<body>` under the target's
//! secret. A receiver compares it, and refuses timestamps that are too old, so that nothing can be forged or repeated.

#![allow(clippy::disallowed_methods, reason = "the operator's certificates, read once; the time of the signature")]

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use bytes::{BufMut, Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Identity, Method, RequestBuilder, Response, StatusCode, Url};

use super::lanes::{LANES, send_in_lanes};
use super::target::{EventTarget, WebhookTarget};
use super::{EventSink, Message, SendError, Sent};
use crate::outbound::client;

/// What an answer may hold; it is read so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 16 << 10;
/// What a complaint repeats of an answer.
const MAX_QUOTED_CHARS: usize = 200;

pub(super) struct Webhook {
    http: Client,
    url: Url,
    headers: HeaderMap,
    key: Option<hmac::Key>,
    batch_size: usize,
}

impl Webhook {
    pub(super) fn open(target: &EventTarget, settings: &WebhookTarget) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let name = HeaderName::try_from(name).map_err(|_| format!("headers: {name:?} cannot be sent"))?;
            headers.append(name, sensitive(&value.read()?)?);
        }
        if let Some(token) = &settings.bearer_token {
            headers.insert(AUTHORIZATION, sensitive(&format!("Bearer {}", token.read()?))?);
        }
        let secret = settings.secret.as_ref().map(super::target::Secret::read).transpose()?;
        let identity = match &settings.tls.client {
            None => None,
            Some((cert, key)) => {
                let mut pem = Vec::new();
                for path in [key, cert] {
                    pem.extend(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
                    pem.push(b'\n');
                }
                Some(Identity::from_pem(&pem).map_err(|error| format!("client_cert_file: {error}"))?)
            }
        };
        let change = |builder: reqwest::ClientBuilder| {
            let builder = builder.timeout(target.timeout).connect_timeout(target.timeout);
            let builder = builder.pool_max_idle_per_host(LANES);
            let builder = if settings.http2 { builder.http2_prior_knowledge() } else { builder };
            identity.iter().cloned().fold(builder, reqwest::ClientBuilder::identity)
        };
        let http = client::client_with(settings.tls.ca_file.as_deref(), change).map_err(|error| error.to_string())?;
        Ok(Self {
            http,
            url: settings.url.clone(),
            headers,
            key: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())),
            batch_size: settings.batch_size,
        })
    }

    fn request(&self, method: Method, body: &Bytes) -> RequestBuilder {
        let request = self.http.request(method, self.url.clone()).headers(self.headers.clone());
        let Some(key) = &self.key else { return request };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        request.header("X-Cairn-Signature", signature(key, now, body))
    }

    async fn post(&self, messages: &[Message]) -> Result<(), SendError> {
        let Some(first) = messages.first() else { return Ok(()) };
        let (body, content_type) =
            if self.batch_size > 1 { array(messages) } else { (first.body.clone(), first.content_type) };
        let mut request = self.request(Method::POST, &body).header(CONTENT_TYPE, content_type).body(body);
        if self.batch_size == 1 {
            request = request.header("X-Cairn-Event", &first.event_name).header("X-Cairn-Event-Id", &first.id);
        }
        // The URL may hold a token of the receiver's and stays out of the log.
        let response = request.send().await.map_err(|error| SendError::unavailable(reason(&error.without_url())))?;
        let status = response.status();
        let text = read(response).await;
        if status.is_success() {
            return Ok(());
        }
        let message = format!("it answers {status}{text}");
        if is_final(status) { Err(SendError::rejected(message)) } else { Err(SendError::unavailable(message)) }
    }
}

#[async_trait]
impl EventSink for Webhook {
    async fn check(&self) -> Result<(), SendError> {
        // Receivers need not know HEAD: any answer shows that somebody is there.
        let answer = self.request(Method::HEAD, &Bytes::new()).send().await;
        answer.map(|_| ()).map_err(|error| SendError::unavailable(reason(&error.without_url())))
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        if self.batch_size == 1 {
            return send_in_lanes(messages, |message| self.post(std::slice::from_ref(message))).await;
        }
        let mut taken = 0;
        for batch in messages.chunks(self.batch_size) {
            if let Err(error) = self.post(batch).await {
                if batch.len() == 1 || matches!(error, SendError::Unavailable { .. }) {
                    return Sent::until(taken, error);
                }
                // Which of them is refused shows one by one.
                for message in batch {
                    if let Err(error) = self.post(std::slice::from_ref(message)).await {
                        return Sent::until(taken, error);
                    }
                    taken += 1;
                }
            } else {
                taken += batch.len();
            }
        }
        Sent::all(taken)
    }

    fn batch_limit(&self) -> usize {
        self.batch_size.max(8 * LANES)
    }
}

/// What repeating cannot change, since the fault is in the request.
fn is_final(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 413 | 414 | 415 | 422)
}

fn signature(key: &hmac::Key, seconds: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    format!("t={seconds},v1={}", hex::encode(context.sign()))
}

/// The events as an array; CloudEvents have a type of their own for it.
fn array(messages: &[Message]) -> (Bytes, &'static str) {
    let mut body = BytesMut::from(&b"["[..]);
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }
        body.extend_from_slice(&message.body);
    }
    body.put_u8(b']');
    let is_cloud_event = messages.first().is_some_and(|first| first.content_type.contains("cloudevents"));
    (body.freeze(), if is_cloud_event { "application/cloudevents-batch+json" } else { "application/json" })
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "a header's value has characters that cannot be sent")?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error with its causes: reqwest's own text says only that sending failed.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The beginning of an answer, for the complaint about it.
async fn read(mut response: Response) -> String {
    let mut answer = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        if answer.len() + part.len() > MAX_ANSWER_BYTES {
            break;
        }
        answer.extend_from_slice(&part);
    }
    let text: String = String::from_utf8_lossy(&answer).chars().take(MAX_QUOTED_CHARS).collect();
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_covers_time_and_body() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        let signed = signature(&key, 1_700_000_000, b"{}");
        assert_eq!(signed, "t=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae");
        assert_ne!(signed, signature(&key, 1_700_000_001, b"{}"));
        assert_ne!(signed, signature(&key, 1_700_000_000, b"[]"));
    }
}
