//! A request as lines of access logs: what is kept of its head, what is known when it has been answered, and the lines
//! when the answer's last byte has gone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use percent_encoding::percent_decode_str;
use quick_cache::sync::Cache;
use s3s::{Body, HttpResponse};
use storage::index::records::BucketRecord;
use storage::types::{BucketId, Timestamp};

use super::context::RequestContext;
use super::host::Domains;
use super::query;
use super::target::Target;
use crate::accounts::Accounts;
use crate::identity::Caller;
use crate::object::{AccessLog, LogOrigin, Objects};
use crate::rules::access_log::{self, Line, LogSource, Logging, Requested};
use crate::rules::iam::Principal;

/// What is kept of a request's head. Nothing of it is copied: headers and URI share their bytes.
pub(super) struct Heard {
    at: Timestamp,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    length: Option<HeaderValue>,
    decoded_length: Option<HeaderValue>,
    copy_source: Option<HeaderValue>,
}

impl Heard {
    pub(super) fn of(request: &Request<Body>) -> Self {
        let mut heard = Self {
            at: Timestamp::now(),
            uri: request.uri().clone(),
            version: request.version(),
            host: None,
            referer: None,
            user_agent: None,
            authorization: None,
            length: None,
            decoded_length: None,
            copy_source: None,
        };
        for (name, value) in request.headers() {
            let kept = match name.as_str() {
                "host" => &mut heard.host,
                "referer" => &mut heard.referer,
                "user-agent" => &mut heard.user_agent,
                "authorization" => &mut heard.authorization,
                "content-length" => &mut heard.length,
                "x-amz-decoded-content-length" => &mut heard.decoded_length,
                "x-amz-copy-source" => &mut heard.copy_source,
                _ => continue,
            };
            kept.get_or_insert_with(|| value.clone());
        }
        heard
    }

    /// The host that the request was sent to, with its port.
    fn host(&self) -> Option<&str> {
        let from_header = self.host.as_ref().and_then(|host| host.to_str().ok());
        from_header.or_else(|| self.uri.authority().map(http::uri::Authority::as_str))
    }

    /// The bucket that the request names.
    fn target(&self, domains: &Domains) -> Option<Target> {
        let headers = self.host.iter().map(|host| (header::HOST, host.clone())).collect();
        Target::of(&self.uri, &headers, domains)
    }

    /// Signature version and authentication type.
    fn signature(&self, context: &RequestContext) -> (Option<&'static str>, Option<&'static str>) {
        if let Some(value) = &self.authorization {
            let version = if value.as_bytes().starts_with(b"AWS4-") { "SigV4" } else { "SigV2" };
            return (Some(version), Some("AuthHeader"));
        }
        let has = |wanted: &str| query::pairs(&self.uri).any(|(name, _)| name == wanted);
        if has("X-Amz-Signature") {
            return (Some("SigV4"), Some("QueryString"));
        }
        let signed_form =
            context.operation() == Some("PostObject") && context.caller().is_some_and(|caller| !caller.is_anonymous());
        if signed_form { (Some("SigV4"), Some("POST")) } else { (None, None) }
    }
}

/// A key that a bulk deletion named, and what became of it.
#[derive(Debug)]
pub(super) struct BatchDeletion {
    pub key: String,
    pub version: Option<String>,
    pub code: Option<String>,
}

/// A bucket whose requests are logged.
pub(super) struct Logged {
    owner: String,
    origin: Arc<LogOrigin>,
}

/// Whether buckets' requests are logged, by generation: what is made of their settings for each line is made once.
pub(super) type LoggedBuckets = Cache<(BucketId, u64), Option<Arc<Logged>>>;

/// Buckets that are kept so.
const CACHED_BUCKETS: usize = 1_024;

pub(super) fn cache() -> LoggedBuckets {
    Cache::new(CACHED_BUCKETS)
}

/// What will be written of a request when its answer has ended.
pub(super) struct Pending {
    log: AccessLog,
    heard: Heard,
    bucket: Option<Arc<Logged>>,
    source: Option<Arc<Logged>>,
    is_virtual: bool,
    object_size: Option<u64>,
    answered: Instant,
}

/// Where lines are left, and what is looked up for them.
#[derive(Clone)]
pub(super) struct AccessLogs {
    pub log: AccessLog,
    pub objects: Objects,
    pub accounts: Arc<Accounts>,
    pub domains: Domains,
    pub known: Arc<LoggedBuckets>,
}

impl AccessLogs {
    /// What is to be written of a request that has been answered; `None` if its bucket's requests are not logged.
    pub(super) async fn pending(
        &self,
        context: &RequestContext,
        heard: Heard,
        response: &HttpResponse,
    ) -> Option<Box<Pending>> {
        let bucket = match context.bucket() {
            Some(bucket) => self.logged(bucket).await,
            // Refused before its bucket was looked up, or answered without: that is logged, too.
            None if response.status().is_client_error() || context.method == Method::OPTIONS => {
                let target = heard.target(&self.domains)?;
                self.logged(&self.objects.bucket(&target.bucket).await.ok()?).await
            }
            None => None,
        };
        let source = match context.source() {
            Some(source) => self.logged(source).await,
            None => None,
        };
        if bucket.is_none() && source.is_none() {
            return None;
        }
        Some(Box::new(Pending {
            log: self.log.clone(),
            is_virtual: heard.host().is_some_and(|host| self.domains.is_virtual(host)),
            object_size: object_size(context, &heard, response),
            heard,
            bucket,
            source,
            answered: Instant::now(),
        }))
    }

    async fn logged(&self, bucket: &BucketRecord) -> Option<Arc<Logged>> {
        if bucket.generation == 0 {
            return None;
        }
        let key = (bucket.id, bucket.generation);
        if let Some(known) = self.known.get(&key) {
            return known;
        }
        let logged = match self.objects.bucket_logging(bucket).await {
            Ok(logging) => logging.map(|logging| Arc::new(self.made_of(bucket, logging))),
            Err(error) => {
                tracing::error!(%error, bucket = bucket.name, "whether requests are logged cannot be read");
                self.log.figures().note_dropped(1);
                return None;
            }
        };
        self.known.insert(key, logged.clone());
        logged
    }

    fn made_of(&self, bucket: &BucketRecord, logging: Arc<Logging>) -> Logged {
        let account = self.accounts.by_canonical_id(&bucket.owner);
        let account = account.map_or_else(|| bucket.owner.clone(), |account| account.id.clone());
        let source = LogSource { bucket: bucket.name.clone(), account, region: bucket.region.clone() };
        Logged { owner: bucket.owner.clone(), origin: Arc::new(LogOrigin { logging, source }) }
    }
}

/// The whole length of the object that was read or written.
fn object_size(context: &RequestContext, heard: &Heard, response: &HttpResponse) -> Option<u64> {
    if !response.status().is_success() {
        return None;
    }
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match context.operation()? {
        "GetObject" | "HeadObject" | "WebsiteGet" | "WebsiteHead" => {
            let of_range = header(header::CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok());
            of_range.or_else(|| header(header::CONTENT_LENGTH)?.parse().ok())
        }
        "PutObject" | "UploadPart" => number(heard.decoded_length.as_ref()).or_else(|| number(heard.length.as_ref())),
        _ => None,
    }
}

/// What is known when the answer has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    pub status: StatusCode,
    pub started: Instant,
    pub elapsed: Duration,
    pub sent: u64,
}

/// A bucket's line that differs from the request's own.
#[derive(Default)]
struct Of<'a> {
    operation: &'a str,
    key: Option<&'a str>,
    version: Option<&'a str>,
    error: Option<&'a str>,
    status: u16,
    sent: u64,
    size: Option<u64>,
}

impl Pending {
    /// Leaves the lines in the queue.
    pub(super) fn write(&self, context: &RequestContext, ended: Ended) {
        let name = context.operation().unwrap_or("Unknown");
        let status = ended.status.as_u16();
        if let Some(logged) = &self.bucket {
            let key = self.key(name).or_else(|| context.key().map(Cow::Borrowed));
            let version = query::pairs(&self.heard.uri).find(|(name, _)| name == "versionId");
            let operation = access_log::operation(name, context.method.as_str(), key.is_some());
            let of = Of {
                operation: &operation,
                key: key.as_deref(),
                version: version.as_ref().map(|(_, version)| version.as_ref()),
                error: context.code(),
                status,
                sent: ended.sent,
                size: self.object_size,
            };
            self.leave(logged, context, ended, &of);
            for BatchDeletion { key, version, code } in context.take_batch() {
                let status = match code.as_deref() {
                    None => StatusCode::NO_CONTENT,
                    Some(code) => super::error::status(code),
                };
                let (version, error) = (version.as_deref(), code.as_deref());
                let operation = access_log::BATCH_DELETE;
                let of = Of { operation, key: Some(&key), version, error, status: status.as_u16(), ..Of::default() };
                self.leave(logged, context, ended, &of);
            }
        }
        if let (Some(logged), Some(operation)) = (&self.source, access_log::read_by_copy(name)) {
            let copied = text(self.heard.copy_source.as_ref()).unwrap_or_default();
            let (path, query) = copied.split_once('?').unwrap_or((&copied, ""));
            let key = path.trim_start_matches('/').split_once('/').map(|(_, key)| decoded(key));
            let version = query.strip_prefix("versionId=");
            let of = Of { operation, key: key.as_deref(), version, error: context.code(), status, ..Of::default() };
            self.leave(logged, context, ended, &of);
        }
    }

    /// The key in the request's path: all of it where the host names the bucket, as that of a website does.
    fn key(&self, operation: &str) -> Option<Cow<'_, str>> {
        let whole = self.is_virtual || operation.starts_with("Website");
        let path = self.heard.uri.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let key = if whole { path } else { path.split_once('/').map_or("", |(_, key)| key) };
        (!key.is_empty()).then(|| decoded(key))
    }

    fn leave(&self, logged: &Logged, context: &RequestContext, ended: Ended, of: &Of<'_>) {
        let heard = &self.heard;
        let connection = context.connection();
        let requester = context.caller().and_then(|caller| requester(caller));
        let target = heard.uri.path_and_query().map_or("/", |target| target.as_str());
        let (referer, user_agent) = (text(heard.referer.as_ref()), text(heard.user_agent.as_ref()));
        let (signature_version, authentication_type) = heard.signature(context);
        let cipher_suite = connection.cipher_suite.map(access_log::cipher_suite);
        let tls_version = connection.tls.map(|version| format!("TLSv{version}"));
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let heard_whole = context.body.ended().unwrap_or(ended.started);
        let line = Line {
            bucket_owner: &logged.owner,
            bucket: &logged.origin.source.bucket,
            time: heard.at.0,
            remote_ip: connection.peer.map(|peer| peer.ip()),
            requester: requester.as_deref(),
            request_id: &context.id.request,
            operation: of.operation,
            key: of.key,
            request: Some(Requested { method: context.method.as_str(), target, protocol: protocol(heard.version) }),
            status: of.status,
            error_code: of.error,
            bytes_sent: of.sent,
            object_size: of.size,
            total_time: Some(millis(ended.elapsed)),
            turn_around_time: Some(millis(self.answered.saturating_duration_since(heard_whole))),
            referer: referer.as_deref(),
            user_agent: user_agent.as_deref(),
            version_id: of.version,
            host_id: &context.id.host,
            signature_version,
            cipher_suite: cipher_suite.as_deref(),
            authentication_type,
            host_header: heard.host(),
            tls_version: tls_version.as_deref(),
            acl_required: context.needed_acl(),
        };
        self.log.note(&logged.origin, heard.at, &line.render());
    }
}

/// The canonical id of an account's root, the ARN of any other identity.
fn requester(caller: &Caller) -> Option<Cow<'_, str>> {
    match &caller.principal {
        Principal::Anonymous => None,
        Principal::AccountRoot { .. } => Some(Cow::Borrowed(&caller.account.canonical_id)),
        Principal::User { arn, .. } => Some(Cow::Borrowed(arn)),
        other => other.arn().map(Cow::Owned),
    }
}

fn decoded(key: &str) -> Cow<'_, str> {
    percent_decode_str(key).decode_utf8_lossy()
}

fn text(value: Option<&HeaderValue>) -> Option<Cow<'_, str>> {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()))
}

fn number(value: Option<&HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.parse().ok()
}

/// As a request's line has it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP",
    }
}
