//! The one place that decides who may do what. s3s asks it before a request is parsed ([`S3Access::check`]) and, where
//! a request names more than its own path and head (a copy's source, tags in a body), once more when it is; handlers
//! ask it about the keys that a body names.
//!
//! | file | is |
//! |---|---|
//! | this one | where s3s asks, and what is looked up for it |
//! | `decision` | what decides, and the answer |
//! | `conditions` | the request as policies' condition keys |
//!
//! What each operation needs is [`super::actions`]'s table; how policies are evaluated is [`crate::rules::iam`]'s.
//! Nothing else in the protocol decides.

mod conditions;
mod decision;

use http::{HeaderMap, HeaderName};
use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::{
    BucketLocationConstraint, CopyObjectInput, CopySource, CreateBucketInput, ObjectLockLegalHoldStatus,
    ObjectLockRetentionMode, PutBucketTaggingInput, PutObjectLegalHoldInput, PutObjectRetentionInput,
    PutObjectTaggingInput, RenameObjectInput, TagSet, UploadPartCopyInput,
};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result};
use storage::index::records::BucketRecord;

pub(super) use self::conditions::of_request;
use self::decision::Said;
pub(super) use self::decision::{Administers, Asking, Decider, Resource, authorize_account, require};
use super::actions::{self, Action};
use super::context::RequestContext;
use super::error::{Failure, Result};
use super::operations::{self, Support};
use super::{authn, convert, copies, features, query, renames};
use crate::identity::Identities;
use crate::object::{self, VersionLabel};
use crate::rules::{Code, bucket_name};

const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");

/// Operations that are decided about when their body has been read: policies may ask what is in it.
const DECIDED_BY_BODY: [&str; 5] =
    ["CreateBucket", "PutBucketTagging", "PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging"];

/// Operations whose body names the keys; each key is decided about on its own.
const DECIDED_BY_KEY: [&str; 1] = ["DeleteObjects"];

/// The access stage.
pub(super) struct Access {
    pub decider: Decider,
    pub identities: Identities,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let context = RequestContext::of(cx.extensions_mut())?;
        self.admit(cx, &context).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_copy(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_part_copy(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn rename_object(&self, request: &mut S3Request<RenameObjectInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_rename(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn create_bucket(&self, request: &mut S3Request<CreateBucketInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_creation(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn put_bucket_tagging(&self, request: &mut S3Request<PutBucketTaggingInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_bucket_tags(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn put_object_retention(&self, request: &mut S3Request<PutObjectRetentionInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_retention(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn put_object_legal_hold(&self, request: &mut S3Request<PutObjectLegalHoldInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_legal_hold(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }

    async fn put_object_tagging(&self, request: &mut S3Request<PutObjectTaggingInput>) -> S3Result<()> {
        let context = RequestContext::of(&request.extensions)?;
        let asking = Asking::new(&context, &request.headers, &request.uri);
        self.admit_object_tags(asking, &request.input).await.map_err(|failure| failure.into_s3(&context))
    }
}

impl Access {
    async fn admit(&self, cx: &S3AccessContext<'_>, context: &RequestContext) -> Result<()> {
        let (operation, support) = operations::operation(cx.s3_op().name());
        context.note_operation(operation);
        if context.caller().is_none() {
            let caller = authn::caller(&self.identities, cx.credentials(), cx.headers(), cx.uri()).await?;
            context.note_caller(caller);
        }
        let needs = actions::of(operation).ok_or_else(|| Failure::new("AccessDenied"))?;
        let asking = Asking::new(context, cx.headers(), cx.uri());
        match cx.s3_path() {
            S3Path::Root => self.decider.authorize(&asking, needs, Resource::Account).await?,
            S3Path::Bucket { .. } if operation == "CreateBucket" => refuse_anonymous(context)?,
            S3Path::Bucket { bucket } => {
                let bucket = self.bucket(bucket).await?;
                if !decided_later(operation) {
                    self.decider.authorize(&asking, needs, Resource::Bucket(&bucket)).await?;
                } else if self.decider.objects.bucket_access(&bucket).await?.is_only_for_its_account() {
                    refuse_anonymous(context)?;
                }
                self.expect_owner(&bucket, header(cx.headers(), &EXPECTED_OWNER)?)?;
                context.note_bucket(bucket);
            }
            S3Path::Object { bucket, key } => {
                let bucket = self.bucket(bucket).await?;
                if !decided_later(operation) {
                    let version = named_version(cx.uri());
                    let resource = Resource::Object { bucket: &bucket, key, version: version.as_deref() };
                    self.decider.authorize(&asking, needs, resource).await?;
                }
                self.expect_owner(&bucket, header(cx.headers(), &EXPECTED_OWNER)?)?;
                context.note_bucket(bucket);
            }
        }
        if support == Support::NotImplemented {
            return Err(Failure::with_message("NotImplemented", format!("{} is not implemented.", cx.s3_op().name())));
        }
        features::refuse_unknown_queries(operation, cx.uri())?;
        features::refuse_unsupported_headers(cx.headers())?;
        features::refuse_misplaced_headers(operation, cx.headers())?;
        if features::digests_its_xml(operation, cx.headers()) {
            context.body.keep();
        }
        if !DECIDED_BY_BODY.contains(&operation) {
            context.note_admitted();
        }
        Ok(())
    }

    /// A browser's form: to whoever decides it is a PutObject, whose head is in `asking` and whose key in a field.
    pub(in crate::protocol) async fn admit_form(&self, asking: &Asking<'_>, bucket: &str, key: &str) -> Result<()> {
        asking.context.note_key(key);
        let bucket = self.bucket(bucket).await?;
        let resource = Resource::Object { bucket: &bucket, key, version: None };
        self.decider.authorize(asking, needs("PutObject")?, resource).await?;
        self.expect_owner(&bucket, header(asking.headers, &EXPECTED_OWNER)?)?;
        features::refuse_unsupported_headers(asking.headers)?;
        features::refuse_misplaced_headers("PostObject", asking.headers)?;
        asking.context.note_bucket(bucket);
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_creation(&self, mut asking: Asking<'_>, input: &CreateBucketInput) -> Result<()> {
        let configuration = input.create_bucket_configuration.as_ref();
        let tags = configuration.and_then(|configuration| configuration.tags.as_ref()).map(pairs).unwrap_or_default();
        let location = configuration.and_then(|configuration| configuration.location_constraint.as_ref());
        asking.said = Said { tags: &tags, location: location.map(BucketLocationConstraint::as_str), ..Said::default() };
        self.decider.authorize(&asking, needs("CreateBucket")?, Resource::NewBucket(&input.bucket)).await?;
        if !tags.is_empty() {
            let tagging = &[actions::TAGS_NEW_BUCKET];
            self.decider.authorize(&asking, tagging, Resource::NewBucket(&input.bucket)).await?;
        }
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_bucket_tags(&self, mut asking: Asking<'_>, input: &PutBucketTaggingInput) -> Result<()> {
        let tags = pairs(&input.tagging.tag_set);
        asking.said.tags = &tags;
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        self.decider.authorize(&asking, needs("PutBucketTagging")?, Resource::Bucket(bucket)).await?;
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_object_tags(&self, mut asking: Asking<'_>, input: &PutObjectTaggingInput) -> Result<()> {
        let tags = pairs(&input.tagging.tag_set);
        asking.said.tags = &tags;
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        let resource = Resource::Object { bucket, key: &input.key, version: input.version_id.as_deref() };
        self.decider.authorize(&asking, needs("PutObjectTagging")?, resource).await?;
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_retention(&self, mut asking: Asking<'_>, input: &PutObjectRetentionInput) -> Result<()> {
        if let Some(retention) = &input.retention {
            asking.said.lock_mode = retention.mode.as_ref().map(ObjectLockRetentionMode::as_str);
            asking.said.retain_until = retention.retain_until_date.as_ref().and_then(convert::milliseconds);
        }
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        let resource = Resource::Object { bucket, key: &input.key, version: input.version_id.as_deref() };
        self.decider.authorize(&asking, needs("PutObjectRetention")?, resource).await?;
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_legal_hold(&self, mut asking: Asking<'_>, input: &PutObjectLegalHoldInput) -> Result<()> {
        let status = input.legal_hold.as_ref().and_then(|hold| hold.status.as_ref());
        asking.said.legal_hold = status.map(ObjectLockLegalHoldStatus::as_str);
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        let resource = Resource::Object { bucket, key: &input.key, version: input.version_id.as_deref() };
        self.decider.authorize(&asking, needs("PutObjectLegalHold")?, resource).await?;
        asking.context.note_admitted();
        Ok(())
    }

    async fn admit_part_copy(&self, asking: Asking<'_>, input: &UploadPartCopyInput) -> Result<()> {
        let owner = input.expected_source_bucket_owner.as_deref();
        self.admit_source(&asking, &input.copy_source, owner).await.map(|_| ())
    }

    /// A rename takes an object away from its key: that needs to read it there, and to delete it.
    async fn admit_rename(&self, asking: Asking<'_>, input: &RenameObjectInput) -> Result<()> {
        let key = renames::source_key(input)?;
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        let resource = Resource::Object { bucket, key: &key, version: None };
        self.decider.authorize(&asking, needs("DeleteObject")?, resource).await?;
        self.decider.authorize(&asking, actions::READS, resource).await
    }

    /// A copy needs its source, and, where it keeps tags or annotations, to read those there and to write them here.
    async fn admit_copy(&self, asking: Asking<'_>, input: &CopyObjectInput) -> Result<()> {
        let owner = input.expected_source_bucket_owner.as_deref();
        let source = self.admit_source(&asking, &input.copy_source, owner).await?;
        let replaces = input.tagging_directive.as_ref().is_some_and(|directive| directive.as_str() == "REPLACE");
        let CopySource::Bucket { key, version_id, .. } = &input.copy_source else { return Ok(()) };
        let caller = asking.context.caller().ok_or_else(|| Failure::new("AccessDenied"))?;
        let excludes = copies::annotation_directive(input, asking.uri).is_some_and(|directive| directive == "EXCLUDE");
        if (replaces && excludes) || caller.account.is_root() {
            return Ok(());
        }
        let label = version_id.as_deref().and_then(VersionLabel::parse);
        let Ok((_, object)) = self.decider.objects.object_version(&source, key, label).await else {
            // That there is nothing to copy is the handler's to say.
            return Ok(());
        };
        let from = Resource::Object { bucket: &source, key, version: version_id.as_deref() };
        let bucket = asking.context.bucket().ok_or_else(|| Failure::new("InternalError"))?;
        let to = Resource::Object { bucket, key: &input.key, version: None };
        if !replaces && !object.attributes.tags.is_empty() {
            self.decider.authorize(&asking, &[actions::READS_TAGS], from).await?;
            self.decider.authorize(&asking, &[actions::WRITES_TAGS], to).await?;
        }
        if !excludes && object.annotations.is_some() {
            self.decider.authorize(&asking, &[actions::READS_ANNOTATIONS], from).await?;
            self.decider.authorize(&asking, &[actions::WRITES_ANNOTATIONS], to).await?;
        }
        Ok(())
    }

    /// The source of a copy: the caller must be allowed to read it.
    async fn admit_source(
        &self,
        asking: &Asking<'_>,
        source: &CopySource,
        owner: Option<&str>,
    ) -> Result<BucketRecord> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(Failure::with_message("NotImplemented", "Access points as copy sources are not implemented."));
        };
        let bucket = self.bucket(bucket).await?;
        let resource = Resource::Object { bucket: &bucket, key, version: version_id.as_deref() };
        self.decider.authorize(asking, actions::READS, resource).await?;
        self.expect_owner(&bucket, owner)?;
        asking.context.note_source(bucket.clone());
        Ok(bucket)
    }

    /// The bucket; a name that no bucket can have is refused as such.
    async fn bucket(&self, name: &str) -> Result<BucketRecord> {
        match self.decider.objects.bucket(name).await {
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
        if self.decider.account_id(&bucket.owner) == expected { Ok(()) } else { Err(Failure::new("AccessDenied")) }
    }
}

impl Decider {
    /// Says `AccessDenied` instead of "there is no such key" to whoever may not list the bucket.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, "Permissions"
    pub(super) async fn concealed(&self, asking: &Asking<'_>, failure: Failure) -> Failure {
        if !decision::tells_of_absence(&failure) {
            return failure;
        }
        let reads = asking.context.operation().and_then(actions::of).and_then(<[Action]>::first);
        let bucket = match reads.map(|action| action.on) {
            Some(on) if on.needs_object() => asking.context.bucket(),
            // What a copy misses is its source.
            _ => asking.context.source(),
        };
        let Some(bucket) = bucket else { return failure };
        self.concealed_in(asking, bucket, failure).await
    }

    /// As [`Self::concealed`], of a key in this bucket.
    pub(super) async fn concealed_in(&self, asking: &Asking<'_>, bucket: &BucketRecord, failure: Failure) -> Failure {
        let Failure::Object(error) = &failure else { return failure };
        if !decision::tells_of_absence(&failure) {
            return failure;
        }
        let key = match error {
            object::Error::Refused(refusal) => refusal.detail("Key").unwrap_or_default(),
            object::Error::DeleteMarker { key, .. } => key,
            _ => "",
        };
        match self.may_list(asking, Resource::Object { bucket, key, version: None }).await {
            Ok(true) => failure,
            Ok(false) => Failure::new("AccessDenied"),
            Err(other) => other,
        }
    }
}

/// What an operation needs; without a row, nothing allows it.
fn needs(operation: &str) -> Result<&'static [Action]> {
    actions::of(operation).ok_or_else(|| Failure::new("AccessDenied"))
}

/// Nobody in particular has no account to make a bucket in, and nothing in a bucket that nobody has opened: their body
/// need not be read.
fn refuse_anonymous(context: &RequestContext) -> Result<()> {
    match context.caller() {
        Some(caller) if !caller.is_anonymous() => Ok(()),
        _ => Err(Failure::new("AccessDenied")),
    }
}

fn decided_later(operation: &str) -> bool {
    DECIDED_BY_BODY.contains(&operation) || DECIDED_BY_KEY.contains(&operation)
}

fn named_version(uri: &http::Uri) -> Option<String> {
    query::pairs(uri).find(|(name, _)| name == "versionId").map(|(_, value)| value.into_owned())
}

/// Tags as far as they have names; what is wrong with them the handler says.
fn pairs(tags: &TagSet) -> Vec<(String, String)> {
    convert::tags(tags.clone()).unwrap_or_default()
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Failure::new("InvalidRequest"))?;
    Ok(Some(text))
}
