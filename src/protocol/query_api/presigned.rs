//! Requests of a query API that are signed in their query: URLs that one party signs and another sends, as a proof of
//! who the signer is (`GetCallerIdentity`) or to have something done.
//!
//! s3s takes every presigned URL for one of S3's, which leave their body unsigned. These services sign it, and let
//! every such URL hold for a quarter of an hour, whatever `X-Amz-Expires` says. So the signature is verified here, and
//! s3s gets the request without it, on behalf of the caller that was established.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use http::{HeaderMap, HeaderName, Request, Uri, header};
use s3s::Body;
use s3s::auth::{Credentials, SecretKey};
use s3s_sigv4::{Payload, PresignedUrlV4};
use sha2::{Digest, Sha256};
use storage::types::Timestamp;
use subtle::ConstantTimeEq;

use super::super::context::RequestContext;
use super::super::error::{Failure, Result};
use super::super::{authn, query, target};
use super::{CONTENT_SHA256, QueryError, Service, signed_for};
use crate::identity::Identities;

/// How far a signature's time may be from now, in milliseconds: what AWS allows for requests that are signed in their
/// headers, and for these.
const LONGEST_MS: i64 = 15 * 60 * 1_000;
/// S3's limit, and the longest that any client asks for.
const MAX_EXPIRES_SECONDS: u32 = 604_800;

/// Verifies signatures in queries.
pub(in crate::protocol) struct Presigned {
    pub identities: Identities,
    /// The region that signatures must be for, if the operator insists on one.
    pub required_region: Option<String>,
}

impl Presigned {
    /// Establishes who signed the query of a request that was prepared, and gives the request without the signature;
    /// one that has none is given as it is.
    ///
    /// # Errors
    /// If the signature is wrong, too old, or not for the service that the request is for.
    pub(in crate::protocol) async fn accept(
        &self,
        mut request: Request<Body>,
        context: &RequestContext,
    ) -> std::result::Result<Request<Body>, QueryError> {
        let pairs: Vec<_> = query::pairs(request.uri()).collect();
        if !pairs.iter().any(|(name, _)| name == "X-Amz-Signature") {
            return Ok(request);
        }
        if let Some((_, version)) = pairs.iter().find(|(name, _)| name == "Version")
            && let Some(service) = Service::of_version(version)
        {
            let scope = pairs.iter().find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value.split('/'));
            signed_for(service, scope.and_then(|mut parts| parts.nth(3)).unwrap_or_default())?;
        }
        let verified = self.verify(&request, &pairs).await;
        let established = match verified {
            Ok(credentials) => {
                let (headers, uri) = (request.headers(), request.uri());
                authn::caller(&self.identities, Some(&credentials), headers, uri).await
            }
            Err(failure) => Err(failure),
        };
        context.note_caller(established.map_err(|failure| QueryError::of_failure(failure, context))?);
        let unsigned = query::rewritten(request.uri(), "/", |name, _| name != "X-Amz-Signature");
        *request.uri_mut() = unsigned.unwrap_or_else(|| Uri::from_static("/"));
        Ok(request)
    }

    async fn verify(
        &self,
        request: &Request<Body>,
        pairs: &[(impl AsRef<str>, impl AsRef<str>)],
    ) -> Result<Credentials> {
        if request.headers().contains_key(header::AUTHORIZATION) {
            let message = "Only one auth mechanism allowed: the Authorization header or the query.";
            return Err(Failure::with_message("InvalidRequest", message));
        }
        let signed = PresignedUrlV4::parse(pairs, MAX_EXPIRES_SECONDS).map_err(|_| incomplete())?;
        let credential = signed.credential;
        if signed.algorithm != "AWS4-HMAC-SHA256" {
            return Err(incomplete());
        }
        if credential.date != signed.amz_date.fmt_date().as_str() {
            let message = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP";
            return Err(Failure::with_message("SignatureDoesNotMatch", message));
        }
        if let Some(region) = self.required_region.as_deref().filter(|region| *region != credential.aws_region) {
            let message = format!("Credential should be scoped to a valid region, not '{region}'.");
            return Err(Failure::with_message("SignatureDoesNotMatch", message));
        }
        let at = signed.amz_date.to_time().ok_or_else(incomplete)?.as_millisecond();
        let age = Timestamp::now().0.saturating_sub(at);
        if age.abs() > LONGEST_MS {
            let side = if age > 0 { "expired" } else { "not yet current" };
            return Err(Failure::with_message("SignatureDoesNotMatch", format!("Signature {side}")));
        }
        let unsigned = |name: &HeaderName| {
            name.as_str().starts_with("x-amz-")
                && *name != CONTENT_SHA256
                && !signed.signed_headers.iter().any(|signed| name.as_str().eq_ignore_ascii_case(signed))
        };
        if request.headers().keys().any(unsigned) {
            let message = "There were headers present in the request which were not signed";
            return Err(Failure::with_message("AccessDenied", message));
        }
        let secret = self.identities.secret_key(credential.access_key_id).await.map_err(authn::refused)?;
        let secret = secret.ok_or_else(|| Failure::new("InvalidAccessKeyId"))?;
        let to_sign = {
            let payload = hex::encode(Sha256::digest(request.body().bytes().unwrap_or_default()));
            let headers = signed_headers(request.headers(), request.uri(), &signed.signed_headers)?;
            let asked: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()))
                .filter(|(name, _)| *name != "X-Amz-Signature")
                .collect();
            let (method, payload) = (request.method().as_str(), Payload::SingleChunk(&payload));
            let canonical = s3s_sigv4::create_canonical_request(method, "/", &asked, &headers, payload);
            let (region, service) = (credential.aws_region, credential.aws_service);
            s3s_sigv4::create_string_to_sign(&canonical, &signed.amz_date, region, service)
        };
        let (region, service) = (credential.aws_region, credential.aws_service);
        let expected = s3s_sigv4::calculate_signature(&to_sign, secret.expose(), &signed.amz_date, region, service);
        if !bool::from(expected.as_bytes().ct_eq(signed.signature.as_bytes())) {
            return Err(Failure::new("SignatureDoesNotMatch"));
        }
        let access_key = credential.access_key_id.to_owned();
        Ok(Credentials { access_key, secret_key: SecretKey::from(secret.expose()) })
    }
}

/// A parameter is missing or has the wrong shape.
fn incomplete() -> Failure {
    let message = "The query must have X-Amz-Algorithm, X-Amz-Credential, X-Amz-Date, X-Amz-Expires, \
                   X-Amz-SignedHeaders and X-Amz-Signature, each once, of AWS Signature Version 4.";
    Failure::with_message("AuthorizationQueryParametersError", message)
}

/// The headers that the signature covers, with their values.
fn signed_headers<'a>(headers: &'a HeaderMap, uri: &'a Uri, names: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>> {
    let mut signed = Vec::with_capacity(names.len());
    for name in names {
        if name.eq_ignore_ascii_case("host") {
            // Over HTTP/2 it is in the URI.
            signed.extend(target::host(uri, headers).map(|host| (*name, host)));
            continue;
        }
        for value in headers.get_all(*name) {
            signed.push((*name, value.to_str().map_err(|_| Failure::new("SignatureDoesNotMatch"))?));
        }
    }
    Ok(signed)
}
