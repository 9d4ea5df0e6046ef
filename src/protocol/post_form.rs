//! Browser forms: `POST` to a bucket with `multipart/form-data`.
//!
//! A form is a PutObject whose headers are fields. So it is read here, its policy and signature are checked, and then
//! it goes the way of every PutObject: the same authorisation, the same handler. s3s reads forms too, but asks for a
//! clock that differs from the form's by no more than minutes, where a form may be valid for days, and refuses the
//! button that browsers send after the file; so none reaches it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>

mod reader;
mod request;

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{ETag, PutObjectOutput, StreamingBlob};
use s3s::{Body, HttpResponse, S3, S3Error, S3Request, S3Response};
use s3s_sigv4::AmzDate;
use storage::types::Timestamp;
use subtle::ConstantTimeEq as _;

pub(super) use self::reader::FileError;
use self::reader::{Reader, Upload};
use super::authz::{Access, Asking};
use super::context::RequestContext;
use super::error::{Failure, X_AMZ_VERSION_ID};
use super::s3::Gateway;
use super::target::{Target, host};
use super::{answer, authn, convert};
use crate::identity::{Caller, Identities};
use crate::rules::post_form::{self, Form, OnSuccess, Policy, Signature, SignedV2, SignedV4, Sizes};

/// A key in the address of what was uploaded; S3 escapes its slashes, too.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The service for forms.
pub(super) struct Forms {
    pub gateway: Gateway,
    pub access: Access,
    pub identities: Identities,
    /// The region that signatures must be for, if the operator insists on one.
    pub required_region: Option<String>,
    /// Whether Signature Version 2 is taken, as in AWS's older regions.
    pub signature_v2: bool,
}

/// Whether a request carries a form.
pub(super) fn is_form(request: &Request<Body>) -> bool {
    let kind = || request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    request.method() == Method::POST
        && kind().is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
        })
}

/// A form's file, and what is to become of it.
struct Accepted {
    bucket: String,
    key: String,
    form: Form,
    headers: HeaderMap,
    sizes: Sizes,
}

impl Forms {
    /// Answers a form that was posted to `target`.
    pub(super) async fn answer(
        &self,
        request: Request<Body>,
        target: Option<Target>,
        context: &Arc<RequestContext>,
    ) -> HttpResponse {
        context.note_operation("PostObject");
        let (parts, body) = request.into_parts();
        let target = match target {
            Some(target) if !target.has_key => target,
            other => {
                let on = if other.is_some() { "OBJECT" } else { "SERVICE" };
                let refusal = Failure::new("MethodNotAllowed").with("Method", "POST").with("ResourceType", on);
                return answer::of_failure(refusal, context);
            }
        };
        let (accepted, upload) = match self.accept(&parts.headers, &parts.uri, body, &target, context).await {
            Ok(accepted) => accepted,
            Err(failure) => return answer::of_failure(failure, context),
        };
        let location = location(&parts.uri, &parts.headers, &target, &accepted.key, context);
        match self.write(&accepted, upload, parts.uri, context).await {
            Ok(written) => succeeded(&accepted, &written, &location),
            Err(error) => answer::of_error(&error),
        }
    }

    /// Reads the form up to its file, and decides about it.
    async fn accept(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        body: Body,
        target: &Target,
        context: &RequestContext,
    ) -> Result<(Accepted, Upload), Failure> {
        let (mut form, upload) = Reader::new(headers, body)?.read().await?;
        let key = form.name_key(&upload.file_name)?.to_owned();
        let now = Timestamp::now();
        let (caller, policy) = self.caller(&form, now).await?;
        context.note_caller(caller);
        let sizes = match policy {
            Some(policy) => Policy::parse(&policy)?.check(&form, &target.bucket, now.0)?,
            None => Sizes::ANY,
        };
        let headers = request::headers(&form, headers)?;
        let asking = Asking::new(context, &headers, uri);
        self.access.admit_form(&asking, &target.bucket, &key).await?;
        Ok((Accepted { bucket: target.bucket.clone(), key, form, headers, sizes }, upload))
    }

    /// Who signed the form, and the policy that they signed; nobody and none for a form without either.
    async fn caller(&self, form: &Form, now: Timestamp) -> Result<(Arc<Caller>, Option<String>), Failure> {
        let (access_key_id, policy) = match post_form::signature(form, now.0)? {
            Signature::None => return Ok((Caller::anonymous(), None)),
            Signature::V4(signed) => {
                self.verify_v4(&signed).await?;
                (signed.credential.access_key_id, signed.policy)
            }
            Signature::V2(signed) => {
                self.verify_v2(&signed).await?;
                (signed.access_key_id, signed.policy)
            }
        };
        let token = form.get("x-amz-security-token");
        let caller = self.identities.caller(access_key_id, token, now).await.map_err(authn::refused)?;
        Ok((caller, Some(policy.to_owned())))
    }

    async fn verify_v4(&self, signed: &SignedV4<'_>) -> Result<(), Failure> {
        let region = signed.credential.region;
        if let Some(required) = self.required_region.as_deref().filter(|required| *required != region) {
            let message = format!(
                "The authorization header is malformed; the region '{region}' is wrong; expecting '{required}'"
            );
            return Err(Failure::with_message("AuthorizationHeaderMalformed", message).with("Region", required));
        }
        let secret = self.secret(signed.credential.access_key_id).await?;
        let date = AmzDate::parse(signed.date).map_err(|_| Failure::new("SignatureDoesNotMatch"))?;
        let expected = s3s_sigv4::calculate_signature(signed.policy, secret.expose(), &date, region, "s3");
        same(expected.as_bytes(), signed.signature.as_bytes())
    }

    async fn verify_v2(&self, signed: &SignedV2<'_>) -> Result<(), Failure> {
        if !self.signature_v2 {
            let message =
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
            return Err(Failure::with_message("InvalidRequest", message));
        }
        let secret = self.secret(signed.access_key_id).await?;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
        let expected = STANDARD.encode(hmac::sign(&key, signed.policy.as_bytes()));
        same(expected.as_bytes(), signed.signature.as_bytes())
    }

    async fn secret(&self, access_key_id: &str) -> Result<crate::accounts::SecretKey, Failure> {
        let found = self.identities.secret_key(access_key_id).await.map_err(authn::refused)?;
        found.ok_or_else(|| Failure::new("InvalidAccessKeyId"))
    }

    /// Writes the file as every object is written.
    async fn write(
        &self,
        accepted: &Accepted,
        upload: Upload,
        uri: Uri,
        context: &Arc<RequestContext>,
    ) -> Result<S3Response<PutObjectOutput>, S3Error> {
        let mut input = request::input(&accepted.form, &accepted.headers);
        input.bucket.clone_from(&accepted.bucket);
        input.key.clone_from(&accepted.key);
        input.body = Some(StreamingBlob::wrap(upload.limited(accepted.sizes)));
        let mut extensions = http::Extensions::new();
        extensions.insert(Arc::clone(context));
        let request = S3Request {
            input,
            method: Method::POST,
            uri,
            headers: accepted.headers.clone(),
            extensions,
            credentials: None,
            region: None,
            service: None,
            trailing_headers: None,
        };
        self.gateway.put_object(request).await
    }
}

fn same(expected: &[u8], given: &[u8]) -> Result<(), Failure> {
    if bool::from(expected.ct_eq(given)) { Ok(()) } else { Err(Failure::new("SignatureDoesNotMatch")) }
}

/// The address of what was uploaded, as the client reached the server.
fn location(uri: &Uri, headers: &HeaderMap, target: &Target, key: &str, context: &RequestContext) -> String {
    let scheme = if context.connection().tls.is_some() { "https" } else { "http" };
    let host = host(uri, headers).unwrap_or_default();
    let bucket =
        if target.is_virtual { String::new() } else { format!("/{}", utf8_percent_encode(&target.bucket, KEY)) };
    format!("{scheme}://{host}{bucket}/{}", utf8_percent_encode(key, KEY))
}

/// What the browser gets for its upload.
fn succeeded(accepted: &Accepted, written: &S3Response<PutObjectOutput>, location: &str) -> HttpResponse {
    let etag = written.output.e_tag.as_ref().map(ETag::value).unwrap_or_default();
    let (bucket, key) = (accepted.bucket.as_str(), accepted.key.as_str());
    let mut response = Response::new(Body::empty());
    let mut set = |name: HeaderName, text: &str| {
        response.headers_mut().extend(convert::header_value(text).map(|value| (name, value)));
    };
    set(header::ETAG, &format!("\"{etag}\""));
    if let Some(version) = &written.output.version_id {
        set(X_AMZ_VERSION_ID, version);
    }
    let outcome = accepted.form.on_success();
    match outcome {
        OnSuccess::Redirect(url) => set(header::LOCATION, &post_form::redirect(url, bucket, key, etag)),
        _ => set(header::LOCATION, location),
    }
    let status = match outcome {
        OnSuccess::Redirect(_) => StatusCode::SEE_OTHER,
        OnSuccess::Ok => StatusCode::OK,
        OnSuccess::Created => StatusCode::CREATED,
        OnSuccess::NoContent => StatusCode::NO_CONTENT,
    };
    *response.status_mut() = status;
    if status == StatusCode::CREATED {
        let fields = [("Location", location), ("Bucket", bucket), ("Key", key), ("ETag", &format!("\"{etag}\""))];
        let written: Vec<_> =
            fields.iter().map(|(name, value)| format!("<{name}>{}</{name}>", answer::escaped(value))).collect();
        let xml =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse>{}</PostResponse>", written.concat());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        *response.body_mut() = Body::from(xml);
    } else if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    }
    response
}
