//! Copies: of an object, and of an object's bytes into a part.

use http::HeaderName;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::Attributes;

use super::convert::{self, set_checksum, stated_attributes};
use super::encryption::set_encryption;
use super::error::{Failure, Result};
use super::objects::{class_and_tags, customer_of, write_condition};
use super::s3::Call;
use super::{acl, encryption, lifecycle, object_lock, query};
use crate::object::{self, CopiedAnnotations, CopyAttributes, NewStorageClass, Source};
use crate::rules::conditions::{CopySourceConditions, ReadConditions};
use crate::rules::{Refusal, checksums, multipart};

const ANNOTATION_DIRECTIVE: &str = "x-amz-object-annotation-directive";

/// What is copied. The authorisation has looked up its bucket.
fn source(call: &Call<'_>, source: CopySource) -> Result<Source> {
    let CopySource::Bucket { key, version_id, .. } = source else {
        return Err(Failure::with_message("NotImplemented", "Access points as copy sources are not implemented."));
    };
    let header = |name| call.header(&HeaderName::from_static(name));
    let conditions = ReadConditions::parse(
        header("x-amz-copy-source-if-match").as_deref(),
        header("x-amz-copy-source-if-none-match").as_deref(),
        header("x-amz-copy-source-if-modified-since").as_deref(),
        header("x-amz-copy-source-if-unmodified-since").as_deref(),
    );
    Ok(Source {
        bucket: call.source_bucket()?.clone(),
        key: key.into(),
        version: convert::version(version_id.as_deref())?,
        conditions: CopySourceConditions(conditions),
        customer: encryption::source_key(call)?,
    })
}

/// Whether a directive says REPLACE.
fn replaces(directive: Option<&str>, header: &str) -> Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => {
            let message = if header == "x-amz-metadata-directive" {
                "Unknown metadata directive."
            } else {
                "Unknown tagging directive."
            };
            Err(Refusal::invalid_argument(header, other, message).into())
        }
    }
}

/// What becomes of the source's annotations: in a header, or, for presigned URLs, in the query.
fn copied_annotations(call: &Call<'_>, input: &CopyObjectInput) -> Result<CopiedAnnotations> {
    let said = annotation_directive(input, call.asking().uri);
    match said.as_deref() {
        None | Some(AnnotationDirective::COPY) => Ok(CopiedAnnotations::Copied),
        Some(AnnotationDirective::EXCLUDE) => Ok(CopiedAnnotations::Excluded),
        Some(other) => {
            Err(Refusal::invalid_argument(ANNOTATION_DIRECTIVE, other, "Unknown annotation directive.").into())
        }
    }
}

/// The annotation directive of a copy, as the client wrote it.
pub(super) fn annotation_directive(input: &CopyObjectInput, uri: &http::Uri) -> Option<String> {
    let in_header = input.annotation_directive.as_ref().map(|directive| directive.as_str().to_owned());
    let in_query = || query::pairs(uri).find(|(name, _)| name == ANNOTATION_DIRECTIVE);
    in_header.or_else(|| in_query().map(|(_, value)| value.into_owned()))
}

pub(super) async fn copy(call: &Call<'_>, mut input: CopyObjectInput) -> Result<S3Response<CopyObjectOutput>> {
    let replaces_metadata =
        replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "x-amz-metadata-directive")?;
    let replaces_tags =
        replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "x-amz-tagging-directive")?;
    let annotations = copied_annotations(call, &input)?;
    let redirect_location = input.website_redirect_location.clone();
    let stated = stated_attributes!(input);
    let access = acl::of_new_object(call).await?;
    let mut kept = Attributes::default();
    access.give_to(&mut kept);
    object_lock::give_to(&mut kept, call)?;
    let (class, tags) = class_and_tags(input.storage_class.as_ref(), input.tagging.as_deref())?;
    let storage_class =
        if input.storage_class.is_some() { NewStorageClass::Named(class) } else { NewStorageClass::Unnamed };
    let algorithm = input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str);
    let checksum = checksums::of_upload(algorithm, None)?.map(|(algorithm, _)| algorithm);
    let key = input.key.clone();
    let wanted = encryption::wanted(call)?;
    let customer = customer_of(&wanted).cloned();
    let request = object::CopyObject {
        source: source(call, input.copy_source)?,
        bucket: call.bucket()?.clone(),
        key: input.key,
        owner: access.owner,
        attributes: CopyAttributes {
            replaced: replaces_metadata.then_some(stated),
            tags: replaces_tags.then_some(tags),
            storage_class,
            redirect_location,
            sub_resources: kept.sub_resources,
            annotations,
        },
        condition: write_condition(call)?,
        checksum,
        encryption: wanted,
        origin: call.origin(),
    };
    let copied = call.objects().copy_object(request).await?;
    let version = &copied.written.version;
    let mut result =
        CopyObjectResult { last_modified: Some(convert::timestamp(version.modified)), ..Default::default() };
    if let Some(object) = version.object() {
        result.e_tag = Some(convert::etag(object.etag));
        if let Some(checksum) = &object.checksum {
            result.checksum_type = Some(convert::checksum_type(checksum));
            set_checksum!(result, checksum, object.etag.parts);
        }
    }
    let mut output = CopyObjectOutput {
        copy_object_result: Some(result),
        expiration: lifecycle::expiration(call, &key, version).await?,
        copy_source_version_id: copied.source.map(|label| label.to_string()),
        version_id: convert::written_version(copied.written.label),
        ..Default::default()
    };
    if let Some(object) = version.object() {
        let shown = encryption::Shown::of(&object.attributes, customer.as_ref())?;
        output.ssekms_encryption_context.clone_from(&shown.context);
        set_encryption!(output, shown);
    }
    Ok(S3Response::new(output))
}

pub(super) async fn copy_part(call: &Call<'_>, input: UploadPartCopyInput) -> Result<S3Response<UploadPartCopyOutput>> {
    let customer = encryption::customer_key(call)?;
    let upload = call.objects().upload(call.bucket()?, &input.key, &input.upload_id).await?;
    let shown = encryption::Shown::of(&upload.record.attributes, customer.as_ref())?;
    let request = object::UploadPartCopy {
        bucket: call.bucket()?.clone(),
        key: input.key,
        upload_id: input.upload_id,
        customer,
        number: multipart::part_number(&input.part_number.to_string())?,
        source: source(call, input.copy_source)?,
        range: input.copy_source_range,
    };
    let (part, label) = call.objects().upload_part_copy(request).await?;
    let mut result = CopyPartResult {
        e_tag: Some(convert::etag(super::multipart::part_etag(&part))),
        last_modified: Some(convert::timestamp(part.modified)),
        ..Default::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum!(result, checksum, None);
    }
    let mut output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: label.map(|label| label.to_string()),
        ..Default::default()
    };
    set_encryption!(output, shown);
    Ok(S3Response::new(output))
}
