//! What s3s hands over when it has verified the signature, instead of parsing it as S3: the query APIs, accounts'
//! settings, the administrator's API, and requests that need a second pass. s3s takes one route; this is it.

use http::{Extensions, HeaderMap, Method, Uri};
use s3s::route::S3Route;
use s3s::{Body, S3Request, S3Response, S3Result};

use super::account_control::AccountControl;
use super::admin::AdminApi;
use super::query_api::QueryApis;
use super::rewrite::SecondPass;

/// The one route.
pub(super) struct Routes {
    pub query: QueryApis,
    pub accounts: AccountControl,
    pub admin: AdminApi,
    pub second_pass: SecondPass,
}

#[async_trait::async_trait]
impl S3Route for Routes {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, extensions: &mut Extensions) -> bool {
        QueryApis::is_match(extensions)
            || AdminApi::is_match(extensions)
            || AccountControl::is_match(uri, headers)
            || self.second_pass.is_match(method, uri, headers, extensions)
    }

    async fn check_access(&self, request: &mut S3Request<Body>) -> S3Result<()> {
        if QueryApis::is_match(&request.extensions) {
            self.query.check_access(request).await
        } else if AdminApi::is_match(&request.extensions) {
            self.admin.check_access(request).await
        } else if AccountControl::is_match(&request.uri, &request.headers) {
            self.accounts.check_access(request).await
        } else {
            self.second_pass.check_access(request).await
        }
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        if QueryApis::is_match(&request.extensions) {
            self.query.call(request).await
        } else if AdminApi::is_match(&request.extensions) {
            self.admin.call(request).await
        } else if AccountControl::is_match(&request.uri, &request.headers) {
            self.accounts.call(request).await
        } else {
            self.second_pass.call(request).await
        }
    }
}
