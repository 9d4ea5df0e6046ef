//! The operations that s3s dispatches to: one line each.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Uri};
use md5::{Digest, Md5};
use s3s::dto;
use s3s::{S3, S3Request, S3Response, S3Result};
use storage::index::records::BucketRecord;

use super::access_log::BatchDeletion;
use super::actions::{self, Action};
use super::authz::{Asking, Decider, Resource};
use super::context::{RequestContext, RequestId};
use super::convert::Owners;
use super::error::{Failure, Result};
use super::{
    abac, absent, acl, annotations, buckets, copies, cors, encryption, lifecycle, listen, listing, logging, multipart,
    notification, object_lock, objects, ownership, policy, public_access, renames, request_payment, restore, tagging,
    website,
};
use crate::accounts::{Account, Accounts};
use crate::event_targets::EventTargets;
use crate::identity::Identities;
use crate::object::{BucketAccess, Cause, Delivery, EventName, Objects, Origin};
use crate::rules::checksums::{self, ChecksumHasher, Declared, DeclaredValue};
use crate::rules::public_access::PublicAccessBlock;
use crate::rules::{Code, Refusal};

/// What the handlers work with.
pub(super) struct Gateway {
    pub objects: Objects,
    pub accounts: Arc<Accounts>,
    pub identities: Identities,
    pub decider: Decider,
    pub events: EventPlaces,
    /// Whether clients may bring keys over connections without TLS.
    pub keys_without_tls: bool,
}

/// Where events go.
#[derive(Clone)]
pub(super) struct EventPlaces {
    pub targets: EventTargets,
    pub delivery: Arc<dyn Delivery>,
    /// Whether the server stops.
    pub draining: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// One call of a handler: the gateway, and what the request's context and head say.
pub(super) struct Call<'a> {
    gateway: &'a Gateway,
    context: Arc<RequestContext>,
    headers: HeaderMap,
    uri: Uri,
    trailers: Option<s3s::TrailingHeaders>,
}

impl Call<'_> {
    pub(super) fn objects(&self) -> &Objects {
        &self.gateway.objects
    }

    pub(super) fn accounts(&self) -> &Accounts {
        &self.gateway.accounts
    }

    pub(super) fn identities(&self) -> &Identities {
        &self.gateway.identities
    }

    /// What decides about access.
    pub(super) fn decider(&self) -> &Decider {
        &self.gateway.decider
    }

    /// Who calls.
    pub(super) fn caller(&self) -> Result<&Account> {
        self.context.caller().map(|caller| caller.account.as_ref()).ok_or_else(|| Failure::new("AccessDenied"))
    }

    /// The caller's canonical id: the owner of what the call makes.
    pub(super) fn owner(&self) -> Result<String> {
        self.caller().map(|caller| caller.canonical_id.clone())
    }

    /// Where events can go.
    pub(super) fn event_targets(&self) -> &EventTargets {
        &self.gateway.events.targets
    }

    /// Whether the server stops, and answers that do not end must.
    pub(super) fn draining(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        Arc::clone(&self.gateway.events.draining)
    }

    /// The request's two ids.
    pub(super) fn request_id(&self) -> &RequestId {
        &self.context.id
    }

    /// Who asks and how, for the events of what the call changes.
    pub(super) fn origin(&self) -> Arc<Origin> {
        let caller = self.context.caller();
        let principal = match caller.and_then(|caller| caller.fact("aws:userid")) {
            Some(id) => format!("AWS:{id}"),
            None => "Anonymous".to_owned(),
        };
        let peer = self.context.connection().peer;
        Arc::new(Origin {
            principal,
            account: caller.map(|caller| caller.account.id.clone()).unwrap_or_default(),
            source_ip: peer.map(|peer| peer.ip().to_canonical().to_string()).unwrap_or_default(),
            request_id: self.context.id.request.clone(),
            host_id: self.context.id.host.clone(),
        })
    }

    /// As [`Self::origin`], of a change that events call so.
    pub(super) fn cause(&self, event: EventName) -> Cause {
        Cause { event, origin: self.origin() }
    }

    /// The bucket that the authorisation found.
    pub(super) fn bucket(&self) -> Result<&BucketRecord> {
        self.context.bucket().ok_or_else(|| Failure::new("InternalError"))
    }

    /// The bucket of a copy's source, that the authorisation found.
    pub(super) fn source_bucket(&self) -> Result<&BucketRecord> {
        self.context.source().ok_or_else(|| Failure::new("InternalError"))
    }

    /// What decides about access to the bucket.
    pub(super) async fn access(&self) -> Result<Arc<BucketAccess>> {
        Ok(self.objects().bucket_access(self.bucket()?).await?)
    }

    /// Whom answers show as the owners of what is in the bucket.
    pub(super) async fn owners(&self) -> Result<Owners<'_>> {
        let has_acls = self.access().await?.ownership.effective().has_acls();
        let of_all = if has_acls { None } else { Some(self.bucket()?.owner.clone()) };
        Ok(Owners { accounts: self.accounts(), of_all })
    }

    /// Block Public Access of the bucket and of its account, together.
    pub(super) async fn public_access_block(&self, access: &BucketAccess) -> Result<PublicAccessBlock> {
        let owner = self.gateway.decider.account_id(&self.bucket()?.owner);
        self.gateway.decider.public_access_block(access, owner).await
    }

    /// Whether the caller may do `operation` to a key that the request names in its body.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) async fn require(&self, operation: &str, key: &str, version: Option<&str>) -> Result<()> {
        let actions = actions::of(operation).ok_or_else(|| Failure::new("AccessDenied"))?;
        let resource = Resource::Object { bucket: self.bucket()?, key, version };
        self.gateway.decider.authorize(&self.asking(), actions, resource).await
    }

    /// Whether the caller may do what the answer would tell of: what they may not know is left out, and no error.
    pub(super) async fn may(&self, action: &Action, key: &str, version: Option<&str>) -> Result<bool> {
        let resource = Resource::Object { bucket: self.bucket()?, key, version };
        match self.gateway.decider.authorize(&self.asking(), std::slice::from_ref(action), resource).await {
            Ok(()) => Ok(true),
            Err(failure) if failure.is_denial() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the client may send a key on this connection.
    pub(super) fn may_bring_keys(&self) -> bool {
        self.gateway.keys_without_tls || self.context.connection().tls.is_some()
    }

    /// Whether an object comes in a browser's form.
    pub(super) fn is_form(&self) -> bool {
        self.context.operation() == Some("PostObject")
    }

    /// Notes what became of the keys of a bulk deletion.
    pub(super) fn note_batch(&self, batch: Vec<BatchDeletion>) {
        self.context.note_batch(batch);
    }

    /// The call as the authorisation sees it.
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking::new(&self.context, &self.headers, &self.uri)
    }

    /// A header as it was sent, even if s3s was not to see it.
    pub(super) fn header(&self, name: &HeaderName) -> Option<String> {
        self.context.header(&self.headers, name)
    }

    /// As [`Self::header`], by a name in lower case.
    pub(super) fn header_named(&self, name: &'static str) -> Option<String> {
        // Most headers that are asked for are not there, and a name is made at the cost of many looks.
        self.context.has_header(&self.headers, name).then(|| self.header(&HeaderName::from_static(name))).flatten()
    }

    /// The body's length without its transfer encoding, where the client said it.
    pub(super) fn content_length(&self) -> Option<u64> {
        let named = |name| self.header_named(name).and_then(|text| text.trim().parse().ok());
        if self.in_chunks() { named("x-amz-decoded-content-length") } else { named("content-length") }
    }

    /// The body's trailers; they come when the body has been read.
    pub(super) fn trailers(&self) -> Option<s3s::TrailingHeaders> {
        self.trailers.clone()
    }

    /// What the client declared of the body's checksum.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub(super) fn declared(&self) -> Result<Option<Declared>> {
        let algorithm = self.header_named("x-amz-sdk-checksum-algorithm");
        let trailer = self.header_named("x-amz-trailer");
        let pairs = self.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(Declared::parse(algorithm.as_deref(), pairs, trailer.as_deref())?)
    }

    /// What the client said of the body's MD5.
    ///
    /// # Errors
    /// `InvalidDigest`.
    pub(super) fn content_md5(&self) -> Result<Option<[u8; 16]>> {
        let header = self.header_named("content-md5");
        Ok(header.as_deref().map(checksums::parse_content_md5).transpose()?)
    }

    /// Verifies `Content-MD5` of an XML body, which s3s has parsed without looking at it.
    ///
    /// # Errors
    /// `InvalidDigest`, `BadDigest`.
    pub(super) fn verify_xml_md5(&self) -> Result<Vec<Bytes>> {
        let body = self.context.body.take_kept();
        if let Some(expected) = self.content_md5()?.filter(|_| !self.in_chunks()) {
            let mut md5 = Md5::new();
            for piece in &body {
                md5.update(piece);
            }
            checksums::verify_content_md5(expected, md5.finalize().into())?;
        }
        Ok(body)
    }

    /// Verifies `Content-MD5` and the checksum of an XML body.
    ///
    /// # Errors
    /// `InvalidDigest`, `BadDigest`, `InvalidRequest`.
    pub(super) fn verify_xml_body(&self) -> Result<()> {
        let body = self.verify_xml_md5()?;
        if self.in_chunks() {
            return Ok(());
        }
        if let Some(declared) = self.declared()?.filter(|declared| declared.value != DeclaredValue::InTrailer) {
            let mut hasher = ChecksumHasher::new(declared.algorithm);
            for piece in &body {
                hasher.update(piece);
            }
            declared.verify(&hasher.finish(), None)?;
        }
        Ok(())
    }

    /// Whether the body came in chunks, whose bytes are not those that the client digested.
    fn in_chunks(&self) -> bool {
        self.headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes().starts_with(b"STREAMING-"))
    }
}

/// `MalformedXML`.
pub(super) fn malformed_xml() -> Failure {
    Refusal::from(Code::MalformedXML).into()
}

macro_rules! operations {
    ($($method:ident($input:ident) -> $output:ident = $handler:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Gateway {
            $(async fn $method(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                let context = RequestContext::of(&request.extensions)?;
                let S3Request { input, headers, uri, trailing_headers, .. } = request;
                let call = Call { gateway: self, context, headers, uri, trailers: trailing_headers };
                if !call.context.is_admitted() {
                    return Err(Failure::new("AccessDenied").into_s3(&call.context));
                }
                match $handler(&call, input).await {
                    Ok(response) => Ok(response),
                    Err(failure) => {
                        // Boxed: only refused requests need the space.
                        let failure = Box::pin(self.decider.concealed(&call.asking(), failure)).await;
                        Err(failure.into_s3(&call.context))
                    }
                }
            })*
        }
    };
}

operations! {
    // The account's buckets, and a bucket as such.
    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = buckets::versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = buckets::set_versioning;
    // Tags.
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tagging::bucket;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tagging::set_bucket;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tagging::delete_bucket;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::object;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::set_object;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete_object;
    // Objects.
    put_object(PutObjectInput) -> PutObjectOutput = objects::put;
    get_object(GetObjectInput) -> GetObjectOutput = objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput = objects::head;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = objects::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = objects::delete_many;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = objects::attributes;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copies::copy;
    rename_object(RenameObjectInput) -> RenameObjectOutput = renames::rename;
    // Annotations of objects.
    put_object_annotation(PutObjectAnnotationInput) -> PutObjectAnnotationOutput = annotations::put;
    get_object_annotation(GetObjectAnnotationInput) -> GetObjectAnnotationOutput = annotations::get;
    list_object_annotations(ListObjectAnnotationsInput) -> ListObjectAnnotationsOutput = annotations::list;
    delete_object_annotation(DeleteObjectAnnotationInput) -> DeleteObjectAnnotationOutput = annotations::delete;
    // Uploads in parts.
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    update_object_encryption(UpdateObjectEncryptionInput) -> UpdateObjectEncryptionOutput = encryption::update_object;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copies::copy_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
    // Listings.
    list_objects(ListObjectsInput) -> ListObjectsOutput = listing::objects;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = listing::objects_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = listing::versions;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = listing::uploads;
    // Access control: lists, ownership, policies, the public.
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = acl::bucket;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput = acl::set_bucket;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = acl::object;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = acl::set_object;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = ownership::get;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = ownership::put;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = ownership::delete;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = policy::get;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = policy::put;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = policy::delete;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput = policy::status;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = public_access::get;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = public_access::put;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = public_access::delete;
    get_bucket_abac(GetBucketAbacInput) -> GetBucketAbacOutput = abac::get;
    put_bucket_abac(PutBucketAbacInput) -> PutBucketAbacOutput = abac::put;
    // Cross-origin resource sharing.
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = cors::get;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput = cors::put;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput = cors::delete;
    // Events.
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = notification::get;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput = notification::put;
    listen_bucket_notification(ListenBucketNotificationInput) -> ListenBucketNotificationOutput = listen::listen;
    // Access logging.
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = logging::get;
    put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput = logging::put;
    // Object lock.
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = object_lock::configuration;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput = object_lock::set_configuration;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = object_lock::retention;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput = object_lock::set_retention;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = object_lock::legal_hold;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput = object_lock::set_legal_hold;
    // Archives.
    restore_object(RestoreObjectInput) -> RestoreObjectOutput = restore::object;
    // Encryption.
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = encryption::get;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = encryption::put;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = encryption::delete;
    // What is suspended on every bucket.
    put_bucket_request_payment(PutBucketRequestPaymentInput) -> PutBucketRequestPaymentOutput = request_payment::put;
    put_bucket_accelerate_configuration(PutBucketAccelerateConfigurationInput) -> PutBucketAccelerateConfigurationOutput = request_payment::put_acceleration;
    // Websites.
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = website::get;
    put_bucket_website(PutBucketWebsiteInput) -> PutBucketWebsiteOutput = website::put;
    delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput = website::delete;
    // Lifecycle.
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = lifecycle::get;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = lifecycle::put;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = lifecycle::delete;
    // Features that no bucket has.
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = absent::replication;
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = absent::request_payment;
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = absent::acceleration;
    get_bucket_analytics_configuration(GetBucketAnalyticsConfigurationInput) -> GetBucketAnalyticsConfigurationOutput = absent::analytics_one;
    get_bucket_intelligent_tiering_configuration(GetBucketIntelligentTieringConfigurationInput) -> GetBucketIntelligentTieringConfigurationOutput = absent::intelligent_tiering_one;
    get_bucket_inventory_configuration(GetBucketInventoryConfigurationInput) -> GetBucketInventoryConfigurationOutput = absent::inventory_one;
    get_bucket_metrics_configuration(GetBucketMetricsConfigurationInput) -> GetBucketMetricsConfigurationOutput = absent::metrics_one;
    list_bucket_analytics_configurations(ListBucketAnalyticsConfigurationsInput) -> ListBucketAnalyticsConfigurationsOutput = absent::analytics;
    list_bucket_intelligent_tiering_configurations(ListBucketIntelligentTieringConfigurationsInput) -> ListBucketIntelligentTieringConfigurationsOutput = absent::intelligent_tiering;
    list_bucket_inventory_configurations(ListBucketInventoryConfigurationsInput) -> ListBucketInventoryConfigurationsOutput = absent::inventory;
    list_bucket_metrics_configurations(ListBucketMetricsConfigurationsInput) -> ListBucketMetricsConfigurationsOutput = absent::metrics;
}
