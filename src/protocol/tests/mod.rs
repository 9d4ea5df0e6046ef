//! The protocol as a client sees it, on a store in memory and without sockets.

mod access;
mod bodies;
mod events;
mod reads;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::Body;
use s3s_sigv4::{
    AmzDate, Payload, calculate_signature, create_canonical_request_with_raw_uri_path, create_string_to_sign,
};
use sha2::{Digest as _, Sha256};
use storage::Store;
use storage::chunks::memory::MemoryChunks;
use storage::kv::memory::MemoryKv;
use storage::store::Limits;

use super::{Connection, Front, ProtocolOptions, service};
use crate::accounts::{AccessKey, Account, Accounts, SecretKey};
use crate::event_targets::{EventTargets, Makers};
use crate::identity::{Identities, SERVER_KEY_BYTES, Sealer, Sts};
use crate::object::{self, AccessLog, Delivery, Objects, Redelivered, ReplayFrom, Settings, TargetStatus};
use crate::outbound::oidc::{OidcClient, OidcOptions};
use crate::rules::ownership::ObjectOwnership;
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;

const OWNER: &str = "OWNERKEY";
const OTHER: &str = "OTHERKEY";
const OWNER_ACCOUNT: &str = "111111111111";
const OTHER_ACCOUNT: &str = "222222222222";
/// RFC 3986's unreserved characters, as a canonical query has them.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn secret(access_key: &str) -> String {
    format!("secret-of-{access_key}")
}

/// A server with two accounts, and the bucket `bucket` of the first.
struct Server {
    front: Front,
    metrics: Metrics,
    store: Arc<Store>,
}

/// There are no targets here.
struct Nobody;

#[async_trait::async_trait]
impl Delivery for Nobody {
    async fn status(&self) -> object::Result<Vec<TargetStatus>> {
        Ok(Vec::new())
    }

    async fn replay(&self, _: &str, _: ReplayFrom) -> object::Result<Option<u64>> {
        Ok(None)
    }

    async fn skip(&self, _: &str) -> object::Result<Option<u64>> {
        Ok(None)
    }

    async fn redeliver(&self, _: &str, _: u64, _: usize, _: &[u64]) -> object::Result<Option<Redelivered>> {
        Ok(None)
    }
}

impl Server {
    async fn new() -> Self {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 30));
        let store = Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads");
        let key = |id: &str| AccessKey::new(id.to_owned(), SecretKey::new(secret(id))).expect("valid");
        let account = |id: &str, name: &str| Account::new(Some(id), None, name, "").expect("valid");
        let configured = [(account(OWNER_ACCOUNT, "owner"), key(OWNER)), (account(OTHER_ACCOUNT, "other"), key(OTHER))];
        let accounts = Arc::new(Accounts::new(key("ROOTKEY"), configured).expect("no duplicates"));
        let settings = Settings {
            region: "us-east-1".to_owned(),
            default_ownership: ObjectOwnership::default(),
            calendar: crate::rules::lifecycle::Calendar::AMAZON,
            accounts: Arc::clone(&accounts),
        };
        let objects = Objects::new(Arc::clone(&store), settings);
        let identities =
            Identities::new(Arc::clone(&store), accounts, Sealer::new(&[7; SERVER_KEY_BYTES]).expect("a key"));
        let unreadable = |_: &serde_json::Value| Err("no targets here".to_owned());
        let makers = Makers { read: unreadable, open: |_| Err("no targets here".to_owned()) };
        let event_targets = EventTargets::load(identities.clone(), makers, []).await.expect("nothing stored");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let oidc = OidcClient::new(&OidcOptions::default()).expect("a client");
        let sts = Sts::new(identities, oidc, 1_000);
        let metrics = Metrics::new().expect("names differ");
        let options = ProtocolOptions {
            domains: vec!["s3.example.test".to_owned()],
            website_domains: vec!["web.example.test".to_owned()],
            website_hosts: vec![("www.example.test".to_owned(), "bucket".to_owned())],
            region: "us-east-1".to_owned(),
            required_region: None,
            reserved: Arc::new(|path| {
                (path == "/_health/live").then(|| (StatusCode::OK, Bytes::from_static(b"alive\n")))
            }),
            connection: |_| Connection::default(),
            audit: Audit::default(),
            event_targets,
            delivery: Arc::new(Nobody),
            draining: Arc::new(|| false),
            access_log: AccessLog::new(),
            failed_signatures_per_minute: 60,
            post_signature_v2: false,
            keys_without_tls: false,
        };
        let front = service(&objects, &sts, &metrics, options).expect("a region");
        let server = Self { front, metrics, store };
        assert_eq!(server.send(put("/bucket")).await.status, 200);
        server
    }

    /// Sends a request signed by [`OWNER`].
    async fn send(&self, call: Call) -> Answer {
        self.raw(call.signed(OWNER)).await
    }

    async fn raw(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.front.answer(request).await.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Status and code of an error.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.element("Code")), (status, Some(code)), "{self:?}");
    }

    #[track_caller]
    fn succeeded(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A request before it is signed.
#[derive(Clone)]
struct Call {
    method: Method,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// `x-amz-content-sha256`, where it is not the body's hash.
    payload: Option<&'static str>,
    signs_host: bool,
}

fn call(method: Method, target: &str) -> Call {
    Call {
        method,
        target: target.to_owned(),
        host: "localhost".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        payload: None,
        signs_host: true,
    }
}

fn get(target: &str) -> Call {
    call(Method::GET, target)
}

fn put(target: &str) -> Call {
    call(Method::PUT, target)
}

impl Call {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn payload(mut self, payload: &'static str) -> Self {
        self.payload = Some(payload);
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    fn unsigned(&self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.parse().expect("a target");
        let length = self.body.len().to_string();
        let own = [("host", self.host.as_str()), ("content-length", length.as_str())];
        let own =
            own.into_iter().filter(|(name, _)| *name == "host" || !self.body.is_empty() || self.method == Method::PUT);
        for (name, value) in self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(own) {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        request
    }

    /// Signs every header, as SDKs do with those that matter.
    fn signed(&self, access_key: &str) -> Request<Body> {
        let date = AmzDate::parse(&jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()).expect("a date");
        let hash = hex::encode(Sha256::digest(&self.body));
        let payload = self.payload.unwrap_or(&hash);
        let call = self.clone().header("x-amz-date", &date.fmt_iso8601()).header("x-amz-content-sha256", payload);
        let mut request = call.unsigned();
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut pairs: Vec<(String, String)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decoded(name), decoded(value)))
            .collect();
        pairs.sort_by_key(|(name, value)| (utf8_percent_encode(name, QUERY).to_string(), value.clone()));
        let mut signed: Vec<(&str, &str)> =
            call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if call.signs_host {
            signed.push(("host", &call.host));
        }
        signed.sort_unstable();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let kind = match payload {
            "UNSIGNED-PAYLOAD" => Payload::Unsigned,
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Payload::UnsignedMultipleChunksWithTrailer,
            hash => Payload::SingleChunk(hash),
        };
        let canonical = create_canonical_request_with_raw_uri_path(call.method.as_str(), path, &pairs, &signed, kind);
        let to_sign = create_string_to_sign(&canonical, &date, "us-east-1", "s3");
        let signature = calculate_signature(&to_sign, secret(access_key), &date, "us-east-1", "s3");
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={access_key}/{}/us-east-1/s3/aws4_request, SignedHeaders={}, Signature={signature}",
            date.fmt_date(),
            names.join(";")
        );
        request.headers_mut().insert(http::header::AUTHORIZATION, value.parse().expect("a value"));
        request
    }
}
