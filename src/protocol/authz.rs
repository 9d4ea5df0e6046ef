//! The one place that decides who may do what. s3s asks it once before a request is parsed ([`S3Access::check`]) and,
//! where a request names more than its own path (a copy's source, the keys of a bulk deletion), once more when it is.
//!
//! Today's decision is [`allowed`]: a bucket is its owner's alone. A policy evaluator replaces that function; nothing
//! else in the protocol decides.

use std::sync::Arc;

use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::{CopyObjectInput, CopySource, UploadPartCopyInput};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result};
use storage::index::records::BucketRecord;

use super::context::RequestContext;
use super::error::{Failure, Result};
use super::operations::{self, Support};
use super::{authn, features};
use crate::accounts::{Account, Accounts};
use crate::object::{self, Objects};
use crate::rules::{Code, bucket_name};

/// What an operation is done to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource<'a> {
    /// The account itself: listing its buckets, creating one.
    Account,
    /// A bucket.
    Bucket(&'a BucketRecord),
    /// A key in a bucket, whether there is an object or not.
    Object(&'a BucketRecord, #[expect(dead_code, reason = "policies will ask for the key")] &'a str),
}

/// The decision: may `caller` do `operation` (S3's name for it) to `resource`? A bucket belongs to the account that
/// created it, and only that account, or root, acts on it.
pub(super) fn allowed(caller: &Account, operation: &str, resource: Resource<'_>) -> bool {
    match resource {
        Resource::Account => matches!(operation, "ListBuckets" | "CreateBucket"),
        Resource::Bucket(bucket) | Resource::Object(bucket, _) => {
            bucket.owner == caller.canonical_id || caller.is_root()
        }
    }
}

/// The access stage.
pub(super) struct Access {
    pub objects: Objects,
    pub accounts: Arc<Accounts>,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let context = RequestContext::of(cx.extensions_mut())?;
        self.admit(cx, &context).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let input = &request.input;
        self.admit_source(&context, &input.copy_source, input.expected_source_bucket_owner.as_deref())
            .await
            .map_err(|failure| failure.into_s3(&context))
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let input = &request.input;
        self.admit_source(&context, &input.copy_source, input.expected_source_bucket_owner.as_deref())
            .await
            .map_err(|failure| failure.into_s3(&context))
    }
}

impl Access {
    async fn admit(&self, cx: &S3AccessContext<'_>, context: &RequestContext) -> Result<()> {
        let (operation, support) = operations::operation(cx.s3_op().name());
        context.note_operation(operation);
        let caller = if let Some(known) = context.caller() {
            Arc::clone(known)
        } else {
            let caller = authn::caller(&self.accounts, cx.credentials(), cx.headers(), cx.uri())?;
            context.note_caller(Arc::clone(&caller));
            caller
        };
        match cx.s3_path() {
            S3Path::Root => require(&caller, operation, Resource::Account)?,
            S3Path::Bucket { .. } if operation == "CreateBucket" => require(&caller, operation, Resource::Account)?,
            S3Path::Bucket { bucket } => {
                let bucket = self.bucket(bucket).await?;
                require(&caller, operation, Resource::Bucket(&bucket))?;
                self.expect_owner(&bucket, header(cx.headers(), "x-amz-expected-bucket-owner")?)?;
                context.note_bucket(bucket);
            }
            S3Path::Object { bucket, key } => {
                let bucket = self.bucket(bucket).await?;
                require(&caller, operation, Resource::Object(&bucket, key))?;
                self.expect_owner(&bucket, header(cx.headers(), "x-amz-expected-bucket-owner")?)?;
                context.note_bucket(bucket);
            }
        }
        if support == Support::NotImplemented {
            return Err(Failure::with_message("NotImplemented", format!("{} is not implemented.", cx.s3_op().name())));
        }
        features::refuse_unknown_queries(operation, cx.uri())?;
        features::refuse_unsupported_headers(operation, cx.headers())?;
        if features::digests_its_xml(operation, cx.headers()) {
            context.body.keep();
        }
        Ok(())
    }

    /// The source of a copy: the caller must be allowed to read it.
    async fn admit_source(&self, context: &RequestContext, source: &CopySource, owner: Option<&str>) -> Result<()> {
        let CopySource::Bucket { bucket, key, .. } = source else {
            return Err(Failure::with_message("NotImplemented", "Access points as copy sources are not implemented."));
        };
        let caller = context.caller().ok_or_else(|| Failure::new("AccessDenied"))?;
        let bucket = self.bucket(bucket).await?;
        require(caller, "GetObject", Resource::Object(&bucket, key))?;
        self.expect_owner(&bucket, owner)?;
        context.note_source(bucket);
        Ok(())
    }

    /// The bucket; a name that no bucket can have is refused as such.
    async fn bucket(&self, name: &str) -> Result<BucketRecord> {
        match self.objects.bucket(name).await {
            Err(object::Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => {
                bucket_name::check(name)?;
                Err(refusal.into())
            }
            found => Ok(found?),
        }
    }

    /// `x-amz-expected-bucket-owner` names an account by its 12-digit id.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html>
    fn expect_owner(&self, bucket: &BucketRecord, expected: Option<&str>) -> Result<()> {
        let Some(expected) = expected else { return Ok(()) };
        if expected.len() != 12 || !expected.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::new("InvalidBucketOwnerAWSAccountID"));
        }
        match self.accounts.by_canonical_id(&bucket.owner) {
            Some(owner) if owner.id == expected => Ok(()),
            _ => Err(Failure::new("AccessDenied")),
        }
    }
}

/// [`allowed`], as an answer.
///
/// # Errors
/// `AccessDenied`.
pub(super) fn require(caller: &Account, operation: &str, resource: Resource<'_>) -> Result<()> {
    if allowed(caller, operation, resource) { Ok(()) } else { Err(Failure::new("AccessDenied")) }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Failure::new("InvalidRequest"))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use storage::index::records::Versioning;
    use storage::types::{BucketId, Timestamp};

    use super::*;

    #[test]
    fn a_bucket_is_its_owners_and_roots() {
        let account = |id: &str| Account::new(Some(id), None, "", "").expect("valid");
        let (owner, other) = (account("111111111111"), account("222222222222"));
        let bucket = BucketRecord {
            id: BucketId(1),
            name: "b".to_owned(),
            owner: owner.canonical_id.clone(),
            created: Timestamp(0),
            region: "us-east-1".to_owned(),
            versioning: Versioning::Unversioned,
        };
        for resource in [Resource::Bucket(&bucket), Resource::Object(&bucket, "k")] {
            assert!(allowed(&owner, "GetObject", resource));
            assert!(allowed(&Account::root(), "GetObject", resource));
            assert!(!allowed(&other, "GetObject", resource));
        }
        assert!(allowed(&other, "CreateBucket", Resource::Account));
        assert!(!allowed(&owner, "ListDirectoryBuckets", Resource::Account));
    }
}
