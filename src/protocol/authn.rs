//! Who asks. s3s verifies the signature with the secret that it gets here; what s3s leaves open (session tokens, an
//! unsigned `Host`) is checked here too.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Uri, header};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use storage::types::Timestamp;

use super::context::RequestContext;
use super::error::{Failure, Result};
use super::query;
use crate::identity::{Caller, Error, Identities};
use crate::object;

const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// The secrets of access keys, for s3s, and who they stand for.
#[derive(Clone)]
pub(super) struct Authentication {
    pub identities: Identities,
}

impl Authentication {
    /// Notes in the context who asks.
    ///
    /// # Errors
    /// As [`caller`].
    pub(super) async fn establish(
        &self,
        context: &RequestContext,
        credentials: Option<&Credentials>,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<()> {
        context.note_caller(caller(&self.identities, credentials, headers, uri).await?);
        Ok(())
    }
}

#[async_trait::async_trait]
impl S3Auth for Authentication {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.identities.secret_key(access_key).await {
            Ok(Some(secret)) => Ok(SecretKey::from(secret.expose())),
            Ok(None) => Err(s3_error!(InvalidAccessKeyId)),
            Err(error) => {
                tracing::error!(%error, "an access key cannot be looked up");
                Err(S3Error::new(S3ErrorCode::InternalError))
            }
        }
    }
}

/// The caller behind a verified signature; nobody in particular behind none.
///
/// # Errors
/// `AccessDenied` for an unsigned `Host`; `InvalidToken` and `ExpiredToken` for the session token of temporary
/// credentials; `InvalidRequest` for an anonymous request that overrides headers of the answer.
pub(super) async fn caller(
    identities: &Identities,
    credentials: Option<&Credentials>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Arc<Caller>> {
    let Some(credentials) = credentials else {
        // <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, "Overriding response header values"
        if query::pairs(uri).any(|(name, _)| name.starts_with("response-")) {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(Failure::with_message("InvalidRequest", message));
        }
        return Ok(Caller::anonymous());
    };
    let token = session_token(headers, uri)?;
    if !host_is_signed(headers, uri) {
        // AWS requires it: otherwise a signature for one bucket's host would hold for every other.
        return Err(Failure::with_message("AccessDenied", "The host header must be among the signed headers."));
    }
    let now = Timestamp::now();
    let caller = identities.caller(&credentials.access_key, token.as_deref(), now).await.map_err(refused)?;
    identities.note_use(&credentials.access_key, now, || scope(headers, uri)).await;
    Ok(caller)
}

/// The region and the service that a request is signed for; `None` for a form, which says so in its body.
fn scope<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let in_header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let in_header = in_header.and_then(|value| value.split_once("Credential=")).map(|(_, rest)| Cow::Borrowed(rest));
    let in_query = || query::pairs(uri).find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value);
    let credential = in_header.or_else(in_query)?;
    let mut parts = credential.split(',').next()?.split('/').skip(2).map(str::to_owned);
    Some((parts.next()?.into(), parts.next()?.into()))
}

/// The session token, from the header or from a presigned URL. s3s has made sure that it is signed.
///
/// # Errors
/// `InvalidToken` if there are two that differ, or one that is no text.
fn session_token<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Result<Option<Cow<'a, str>>> {
    let mut tokens = Vec::new();
    for value in headers.get_all(SECURITY_TOKEN) {
        tokens.push(Cow::Borrowed(value.to_str().map_err(|_| Failure::new("InvalidToken"))?));
    }
    let in_query = query::pairs(uri).filter(|(name, _)| name.eq_ignore_ascii_case("x-amz-security-token"));
    tokens.extend(in_query.map(|(_, value)| value));
    let Some(token) = tokens.pop() else { return Ok(None) };
    if tokens.iter().all(|other| *other == token) { Ok(Some(token)) } else { Err(Failure::new("InvalidToken")) }
}

pub(super) fn refused(error: Error) -> Failure {
    match error {
        Error::InvalidAccessKeyId => Failure::new("InvalidAccessKeyId"),
        Error::InvalidToken => Failure::new("InvalidToken"),
        Error::ExpiredToken => Failure::new("ExpiredToken"),
        Error::Store(error) => Failure::Object(object::Error::Store(error)),
        error @ (Error::Refused { .. } | Error::Sealing(_)) => {
            tracing::error!(%error, "the caller of a request cannot be found");
            Failure::new("InternalError")
        }
    }
}

/// Every list of signed headers in the request names the host, and there is one. Every list, because which of two s3s
/// verified is not known here.
fn host_is_signed(headers: &HeaderMap, uri: &Uri) -> bool {
    let in_headers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    let lists = in_headers
        .flat_map(lists_in)
        .map(Cow::Borrowed)
        .chain(query::pairs(uri).filter(|(name, _)| name == "X-Amz-SignedHeaders").map(|(_, value)| value));
    let mut count = 0_usize;
    lists.inspect(|_| count += 1).all(|list| list.split(';').any(|name| name.trim().eq_ignore_ascii_case("host")))
        && count > 0
}

/// The lists of signed headers in one header: what stands behind `SignedHeaders=` where a part of it begins, up to its
/// end.
fn lists_in(value: &str) -> impl Iterator<Item = &str> {
    const NAME: &str = "SignedHeaders=";
    value.match_indices(NAME).filter_map(|(at, _)| {
        let (before, list) = (value.get(..at)?, value.get(at + NAME.len()..)?);
        let begins = before.chars().next_back().is_none_or(|last| last == ',' || last.is_whitespace());
        begins.then(|| list.split([',', ' ']).next()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_session_token_is_taken_from_wherever_it_is() {
        let none = HeaderMap::new();
        let mut with_header = HeaderMap::new();
        with_header.insert("x-amz-security-token", HeaderValue::from_static("a+b"));
        let plain = Uri::from_static("/b/k");
        let presigned = Uri::from_static("/b/k?X-Amz-Security-Token=a%2Bb");
        assert_eq!(session_token(&none, &plain).expect("none"), None);
        for (headers, uri) in [(&with_header, &plain), (&none, &presigned), (&with_header, &presigned)] {
            assert_eq!(session_token(headers, uri).expect("one").as_deref(), Some("a+b"));
        }
        let another = Uri::from_static("/b/k?X-Amz-Security-Token=c");
        assert!(session_token(&with_header, &another).is_err());
    }

    #[test]
    fn the_scope_of_a_signature_is_told() {
        let mut headers = HeaderMap::new();
        let presigned = Uri::from_static("/?X-Amz-Credential=A%2F20260101%2Feu-west-1%2Fs3%2Faws4_request");
        assert_eq!(scope(&headers, &presigned), Some(("eu-west-1".into(), "s3".into())));
        assert_eq!(scope(&headers, &Uri::from_static("/")), None);
        let value =
            "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(scope(&headers, &Uri::from_static("/")), Some(("us-east-1".into(), "iam".into())));
    }

    #[test]
    fn the_host_must_be_signed() {
        let header = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            headers
        };
        let plain = Uri::from_static("/b/k");
        assert!(host_is_signed(
            &header("AWS4-HMAC-SHA256 Credential=A/2/r/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0"),
            &plain
        ));
        assert!(host_is_signed(
            &header("AWS4-HMAC-SHA256 Credential=A/2/r/s3/aws4_request,SignedHeaders=Host,Signature=0"),
            &plain
        ));
        assert!(!host_is_signed(
            &header("AWS4-HMAC-SHA256 Credential=A/2/r/s3/aws4_request, SignedHeaders=x-amz-date, Signature=0"),
            &plain
        ));
        let none = HeaderMap::new();
        assert!(host_is_signed(&none, &Uri::from_static("/b/k?X-Amz-SignedHeaders=content-type%3Bhost")));
        assert!(!host_is_signed(&none, &Uri::from_static("/b/k?X-Amz-SignedHeaders=x-host")));
        assert!(!host_is_signed(&none, &plain));
    }
}
