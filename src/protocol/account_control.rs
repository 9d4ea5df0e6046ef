//! The parts of S3's control API that are served here: Block Public Access of an account, and, in
//! [`super::resource_tags`], tags of buckets by their ARN.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html>. The SDKs' clients for it
//! (`aws s3control`, boto3's `s3control`) sign for `s3` and say the account in a header.

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use s3s::dto::PublicAccessBlockConfiguration;
use s3s::xml::{Deserialize as _, Deserializer, Serializer};
use s3s::{Body, S3Request, S3Response, S3Result};

use super::authn::Authentication;
use super::authz::{self, Decider};
use super::context::RequestContext;
use super::error::{Failure, Result};
use super::public_access;
use super::resource_tags;
use super::s3::malformed_xml;

const PATH: &str = "/v20180820/configuration/publicAccessBlock";
const ACCOUNT: &str = "x-amz-account-id";
/// Four settings and their names.
const MAX_BODY_BYTES: usize = 64 << 10;
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// The route.
pub(super) struct AccountControl {
    pub authentication: Authentication,
    pub decider: Decider,
}

impl AccountControl {
    /// Without the header it is an object's path in a bucket of that name.
    pub(super) fn is_match(uri: &Uri, headers: &HeaderMap) -> bool {
        (uri.path() == PATH || resource_tags::is_match(uri)) && headers.contains_key(ACCOUNT)
    }

    /// Establishes who asks; whether they may is decided when the account is known.
    pub(super) async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let (credentials, headers) = (request.credentials.as_ref(), &request.headers);
        let established = self.authentication.establish(&context, credentials, headers, &request.uri).await;
        established.map_err(|failure| failure.into_s3(&context))
    }

    /// Does what the method says, and answers.
    pub(super) async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let context = RequestContext::of(&request.extensions)?;
        self.answer(request, &context).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn answer(&self, mut request: S3Request<Body>, context: &RequestContext) -> Result<S3Response<Body>> {
        let account = request.headers.get(ACCOUNT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if resource_tags::is_match(&request.uri) {
            return resource_tags::answer(&self.decider, request, context, &account).await;
        }
        let (operation, action) = match request.method {
            Method::GET => ("GetAccountPublicAccessBlock", "s3:GetAccountPublicAccessBlock"),
            Method::PUT => ("PutAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
            Method::DELETE => ("DeleteAccountPublicAccessBlock", "s3:PutAccountPublicAccessBlock"),
            _ => return Err(Failure::new("MethodNotAllowed")),
        };
        context.note_operation(operation);
        if self.decider.accounts.by_id(&account).is_none() {
            return Err(Failure::new("AccessDenied"));
        }
        authz::authorize_account(context, (&request.headers, &request.uri), action, &account)?;
        let objects = &self.decider.objects;
        match request.method {
            Method::GET => {
                let block = objects.account_public_access_block(&account).await?;
                let block = block.ok_or_else(|| Failure::new("NoSuchPublicAccessBlockConfiguration"))?;
                written(&public_access::written(block))
            }
            Method::PUT => {
                let bytes = request.input.store_all_limited(MAX_BODY_BYTES).await;
                let bytes = bytes.map_err(|error| Failure::Object(crate::object::Error::Body(error)))?;
                let mut xml = Deserializer::new(&bytes);
                let configuration =
                    PublicAccessBlockConfiguration::deserialize(&mut xml).map_err(|_| malformed_xml())?;
                objects.set_account_public_access_block(&account, Some(public_access::read(&configuration))).await?;
                Ok(S3Response::with_status(Body::empty(), StatusCode::CREATED))
            }
            _ => {
                objects.set_account_public_access_block(&account, None).await?;
                Ok(S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT))
            }
        }
    }
}

fn written(configuration: &PublicAccessBlockConfiguration) -> Result<S3Response<Body>> {
    let mut xml = Vec::new();
    let mut serializer = Serializer::new(&mut xml);
    let name = "PublicAccessBlockConfiguration";
    let done = serializer.decl().and_then(|()| serializer.content_with_ns(name, NAMESPACE, configuration));
    done.map_err(|_| Failure::new("InternalError"))?;
    let mut response = S3Response::new(Body::from(xml));
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_that_name_an_account_are_taken() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static(PATH);
        assert!(!AccountControl::is_match(&uri, &headers));
        headers.insert(ACCOUNT, HeaderValue::from_static("111111111111"));
        assert!(AccountControl::is_match(&uri, &headers));
        assert!(!AccountControl::is_match(&Uri::from_static("/bucket/k"), &headers));
    }
}
