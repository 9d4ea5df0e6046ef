//! Who signed a request. s3s verifies the signature with the secret that it gets here; what s3s leaves open (session
//! tokens, an unsigned `Host`) is checked here too.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use super::error::{Failure, Result};
use super::query;
use crate::accounts::{Account, Accounts};

/// The accounts' secrets, for s3s.
pub(super) struct Authentication {
    pub accounts: Arc<Accounts>,
}

#[async_trait::async_trait]
impl S3Auth for Authentication {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.accounts.by_access_key(access_key) {
            Some((_, secret)) => Ok(SecretKey::from(secret.expose())),
            None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

/// The account behind a verified signature.
///
/// # Errors
/// `AccessDenied` for an anonymous request or an unsigned `Host`, `InvalidToken` for a session token: there are no
/// sessions, so no token is one.
pub(super) fn caller(
    accounts: &Accounts,
    credentials: Option<&Credentials>,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Arc<Account>> {
    let Some(credentials) = credentials else {
        // <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, "Overriding response header values"
        let overrides = query::pairs(uri).any(|(name, _)| name.starts_with("response-"));
        return Err(if overrides {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            Failure::with_message("InvalidRequest", message)
        } else {
            Failure::new("AccessDenied")
        });
    };
    let token_in_query = query::pairs(uri).any(|(name, _)| name.eq_ignore_ascii_case("x-amz-security-token"));
    if headers.contains_key("x-amz-security-token") || token_in_query {
        return Err(Failure::new("InvalidToken"));
    }
    if !host_is_signed(headers, uri) {
        // AWS requires it: otherwise a signature for one bucket's host would hold for every other.
        return Err(Failure::with_message("AccessDenied", "The host header must be among the signed headers."));
    }
    match accounts.by_access_key(&credentials.access_key) {
        Some((account, _)) => Ok(Arc::clone(account)),
        None => Err(Failure::new("InvalidAccessKeyId")),
    }
}

/// Every list of signed headers in the request names the host, and there is one. Every list, because which of two s3s
/// verified is not known here.
fn host_is_signed(headers: &HeaderMap, uri: &Uri) -> bool {
    let in_headers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| value.to_str().ok());
    let lists = in_headers
        .flat_map(|value| value.split([',', ' ']))
        .filter_map(|part| part.trim().strip_prefix("SignedHeaders=").map(Cow::Borrowed))
        .chain(query::pairs(uri).filter(|(name, _)| name == "X-Amz-SignedHeaders").map(|(_, value)| value));
    let mut count = 0_usize;
    lists.inspect(|_| count += 1).all(|list| list.split(';').any(|name| name.trim().eq_ignore_ascii_case("host")))
        && count > 0
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
