//! What the layers of one request share: the front makes it, s3s carries it in the request's extensions, the
//! authorisation and the handlers fill it, and the front reads it when the answer has been sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Extensions, HeaderMap, HeaderName, Method};
use s3s::{S3ErrorCode, S3Result};
use storage::index::records::BucketRecord;

use super::access_log::BatchDeletion;
use super::request_body::BodyWatch;
use crate::identity::{Caller, Denial, Identities};
use crate::telemetry::audit::Decision;

/// More decisions than a request can need: a bulk deletion has up to 1000 keys with up to two actions each.
const MAX_DECISIONS: usize = 2_100;

/// A request's two ids, as S3 answers them in headers and errors.
#[derive(Clone, Debug)]
pub(super) struct RequestId {
    /// `x-amz-request-id`: 16 upper-case hexadecimal digits.
    pub request: String,
    /// `x-amz-id-2`: which process answered, and the request.
    pub host: String,
}

impl RequestId {
    /// A random id. `process` is the same for every request of this process.
    pub(super) fn random(process: [u8; 16]) -> Self {
        // A name and no secret, so the kernel is not asked for it.
        let number = fastrand::u64(..);
        let mut host = [0; 24];
        host[..16].copy_from_slice(&process);
        host[16..].copy_from_slice(&number.to_be_bytes());
        Self { request: hex::encode_upper(number.to_be_bytes()), host: STANDARD.encode(host) }
    }
}

/// The other end of a request's connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    /// Its address.
    pub peer: Option<SocketAddr>,
    /// The version of TLS, such as `1.3`; `None` without TLS.
    pub tls: Option<&'static str>,
    /// The cipher suite, as the standards name it; `None` without TLS.
    pub cipher_suite: Option<&'static str>,
    /// Whether it came to a listener for websites.
    pub to_website: bool,
}

/// One request, for all who work on it.
#[derive(Debug)]
pub(super) struct RequestContext {
    /// Its ids.
    pub id: RequestId,
    /// Its method.
    pub method: Method,
    /// Its body, as far as it has come.
    pub body: Arc<BodyWatch>,
    /// Headers that s3s would refuse and S3 does not: kept from s3s, but not from the handlers.
    set_aside: HeaderMap,
    operation: OnceLock<&'static str>,
    caller: OnceLock<Arc<Caller>>,
    bucket: OnceLock<BucketRecord>,
    source: OnceLock<BucketRecord>,
    details: Mutex<Vec<(&'static str, String)>>,
    worded: OnceLock<()>,
    connection: OnceLock<Connection>,
    admitted: OnceLock<()>,
    code: OnceLock<String>,
    /// Whether an audit trail is kept; if not, no decision is noted.
    audited: bool,
    decisions: Mutex<Vec<Decision>>,
    /// What seals the reasons of a denial.
    identities: Option<Identities>,
    /// The key of a form, which is not in its path.
    key: OnceLock<String>,
    needed_acl: OnceLock<()>,
    batch: Mutex<Vec<BatchDeletion>>,
}

impl RequestContext {
    pub(super) fn new(id: RequestId, method: Method, set_aside: HeaderMap) -> Self {
        Self {
            id,
            method,
            body: Arc::default(),
            set_aside,
            operation: OnceLock::new(),
            caller: OnceLock::new(),
            bucket: OnceLock::new(),
            source: OnceLock::new(),
            details: Mutex::default(),
            worded: OnceLock::new(),
            connection: OnceLock::new(),
            admitted: OnceLock::new(),
            code: OnceLock::new(),
            audited: false,
            decisions: Mutex::default(),
            identities: None,
            key: OnceLock::new(),
            needed_acl: OnceLock::new(),
            batch: Mutex::default(),
        }
    }

    /// The same, with what seals the reasons of a denial.
    pub(super) fn sealing(mut self, identities: Identities) -> Self {
        self.identities = Some(identities);
        self
    }

    /// The reasons of a denial, sealed.
    pub(super) fn encode(&self, denial: &Denial<'_>) -> Option<String> {
        self.identities.as_ref()?.encode(denial)
    }

    /// The same, with decisions kept for the audit trail.
    pub(super) fn audited(mut self, audited: bool) -> Self {
        self.audited = audited;
        self
    }

    /// The context in a request's extensions.
    ///
    /// # Errors
    /// `InternalError` if the request did not come through the front.
    pub(super) fn of(extensions: &Extensions) -> S3Result<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned().ok_or_else(|| S3ErrorCode::InternalError.into())
    }

    /// Notes s3s's own idea of the operation: the only one there is.
    pub(super) fn note_operation(&self, operation: &'static str) {
        // Set once: a request that is dispatched a second time is the same request.
        let _ = self.operation.set(operation);
    }

    pub(super) fn operation(&self) -> Option<&'static str> {
        self.operation.get().copied()
    }

    pub(super) fn note_caller(&self, caller: Arc<Caller>) {
        let _ = self.caller.set(caller);
    }

    /// Who asks; `None` before that is known.
    pub(super) fn caller(&self) -> Option<&Arc<Caller>> {
        self.caller.get()
    }

    pub(super) fn note_connection(&self, connection: Connection) {
        let _ = self.connection.set(connection);
    }

    /// Where the request came from.
    pub(super) fn connection(&self) -> Connection {
        self.connection.get().copied().unwrap_or_default()
    }

    /// Notes that the authorisation has decided: handlers serve nothing without it.
    pub(super) fn note_admitted(&self) {
        let _ = self.admitted.set(());
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.get().is_some()
    }

    pub(super) fn note_bucket(&self, bucket: BucketRecord) {
        let _ = self.bucket.set(bucket);
    }

    /// The bucket that the request is about; the authorisation looks it up, once.
    pub(super) fn bucket(&self) -> Option<&BucketRecord> {
        self.bucket.get()
    }

    pub(super) fn note_source(&self, bucket: BucketRecord) {
        let _ = self.source.set(bucket);
    }

    /// The bucket that a copy reads from.
    pub(super) fn source(&self) -> Option<&BucketRecord> {
        self.source.get()
    }

    /// Whether there is a header of this name, in lower case.
    pub(super) fn has_header(&self, headers: &HeaderMap, name: &str) -> bool {
        headers.keys().chain(self.set_aside.keys()).any(|known| known.as_str() == name)
    }

    /// A header's values joined by commas, whether s3s saw the header or not. `None` if there is none, or if it is
    /// not ASCII text.
    pub(super) fn header(&self, headers: &HeaderMap, name: &HeaderName) -> Option<String> {
        let found = if headers.contains_key(name) { headers } else { &self.set_aside };
        let values: Option<Vec<&str>> = found.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
    }

    /// Notes the further fields of an error, which s3s's error type cannot carry; the front writes them into the
    /// answer. An error that was noted has our words, so the front leaves its message alone.
    pub(super) fn note_error(&self, details: Vec<(&'static str, String)>) {
        let _ = self.worded.set(());
        *self.details.lock().unwrap_or_else(PoisonError::into_inner) = details;
    }

    /// The fields of [`Self::note_error`]; `None` if s3s made the error.
    pub(super) fn take_error(&self) -> Option<Vec<(&'static str, String)>> {
        self.worded.get()?;
        Some(std::mem::take(&mut *self.details.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes the key of a form, for the access log.
    pub(super) fn note_key(&self, key: &str) {
        let _ = self.key.set(key.to_owned());
    }

    /// The key of a form.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.get().map(String::as_str)
    }

    /// Notes that an access control list was needed to allow the request, for the access log.
    pub(super) fn note_needed_acl(&self) {
        let _ = self.needed_acl.set(());
    }

    pub(super) fn needed_acl(&self) -> bool {
        self.needed_acl.get().is_some()
    }

    /// Notes what became of the keys of a bulk deletion, for the access log.
    pub(super) fn note_batch(&self, batch: Vec<BatchDeletion>) {
        *self.batch.lock().unwrap_or_else(PoisonError::into_inner) = batch;
    }

    pub(super) fn take_batch(&self) -> Vec<BatchDeletion> {
        std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes the code of the error that is answered, for the audit trail.
    pub(super) fn note_code(&self, code: &str) {
        let _ = self.code.set(code.to_owned());
    }

    /// The code of the error that is answered.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.get().map(String::as_str)
    }

    /// Notes what was decided, for the audit trail. `decision` is asked only if there is one.
    pub(super) fn note_decision(&self, decision: impl FnOnce() -> Decision) {
        if !self.audited {
            return;
        }
        let mut decisions = self.decisions.lock().unwrap_or_else(PoisonError::into_inner);
        if decisions.len() < MAX_DECISIONS {
            decisions.push(decision());
        }
    }

    /// The decisions so far, in their order.
    pub(super) fn take_decisions(&self) -> Vec<Decision> {
        std::mem::take(&mut *self.decisions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
