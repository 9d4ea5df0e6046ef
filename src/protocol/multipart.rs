//! Uploads in parts.

use http::HeaderMap;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::{self, PartRecord, UploadRecord};

use super::convert::{self, given_checksums, set_checksum, stated_attributes};
use super::encryption::set_encryption;
use super::error::Result;
use super::objects::{body, class_and_tags, customer_of, integrity, length, write_condition};
use super::s3::{Call, malformed_xml};
use super::{acl, encryption, lifecycle, object_lock};
use crate::object::{self, CompleteUpload};
use crate::rules::multipart::NamedPart;
use crate::rules::{Refusal, checksums, listing, multipart};

/// A part's entity tag.
pub(super) fn part_etag(part: &PartRecord) -> records::ETag {
    records::ETag { md5: part.md5, parts: None }
}

/// A `part-number-marker`: parts after this number are listed. One that is greater than any part is allowed.
pub(super) fn part_marker(marker: Option<i32>) -> Result<u16> {
    match marker {
        None => Ok(0),
        Some(marker) if marker < 0 => {
            let message = "Argument part-number-marker must be an integer between 0 and 2147483647";
            Err(Refusal::invalid_argument("part-number-marker", &marker.to_string(), message).into())
        }
        Some(marker) => Ok(u16::try_from(marker).unwrap_or(u16::MAX)),
    }
}

pub(super) async fn create(
    call: &Call<'_>,
    mut input: CreateMultipartUploadInput,
) -> Result<S3Response<CreateMultipartUploadOutput>> {
    let mut attributes = stated_attributes!(input);
    (attributes.storage_class, attributes.tags) =
        class_and_tags(input.storage_class.as_ref(), input.tagging.as_deref())?;
    let checksum = checksums::of_upload(
        input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str),
        input.checksum_type.as_ref().map(ChecksumType::as_str),
    )?;
    let bucket = call.bucket()?.clone();
    let key = input.key.clone();
    let access = acl::of_new_object(call).await?;
    access.give_to(&mut attributes);
    object_lock::give_to(&mut attributes, call)?;
    let (initiator, owner) = (call.owner()?, access.owner);
    let wanted = encryption::wanted(call)?;
    let customer = customer_of(&wanted).cloned();
    let request = object::CreateUpload { bucket, key, initiator, owner, attributes, checksum, encryption: wanted };
    let upload = call.objects().create_upload(request).await?;
    let (checksum_algorithm, checksum_type) = shown_checksum(&upload);
    let (abort_date, abort_rule_id) = lifecycle::abort_date(call, &input.key, upload.initiated).await?;
    let mut output = CreateMultipartUploadOutput {
        abort_date,
        abort_rule_id,
        bucket: Some(input.bucket),
        checksum_algorithm,
        checksum_type,
        key: Some(convert::xml_text(&input.key)),
        upload_id: Some(upload.id.to_string()),
        ..Default::default()
    };
    let shown = encryption::Shown::of(&upload.attributes, customer.as_ref())?;
    output.ssekms_encryption_context.clone_from(&shown.context);
    set_encryption!(output, shown);
    Ok(S3Response::new(output))
}

/// The algorithm and type that an upload was created with.
fn shown_checksum(upload: &UploadRecord) -> (Option<ChecksumAlgorithm>, Option<ChecksumType>) {
    let (algorithm, kind) = upload.checksum.unzip();
    (
        algorithm.map(|algorithm| ChecksumAlgorithm::from_static(checksums::name(algorithm))),
        kind.map(|kind| ChecksumType::from_static(checksums::type_name(kind))),
    )
}

pub(super) async fn upload_part(call: &Call<'_>, input: UploadPartInput) -> Result<S3Response<UploadPartOutput>> {
    let customer = encryption::customer_key(call)?;
    let upload = call.objects().upload(call.bucket()?, &input.key, &input.upload_id).await?;
    let shown = encryption::Shown::of(&upload.record.attributes, customer.as_ref())?;
    let request = object::UploadPart {
        bucket: call.bucket()?.clone(),
        key: input.key,
        upload_id: input.upload_id,
        number: multipart::part_number(&input.part_number.to_string())?,
        integrity: integrity(call)?,
        length: length(input.content_length),
        customer,
    };
    let part = call.objects().upload_part(request, body(input.body)).await?;
    let mut output = UploadPartOutput { e_tag: Some(convert::etag(part_etag(&part))), ..Default::default() };
    set_encryption!(output, shown);
    if let Some(checksum) = &part.checksum {
        set_checksum!(output, checksum, None);
    }
    Ok(S3Response::new(output))
}

pub(super) async fn complete(
    call: &Call<'_>,
    mut input: CompleteMultipartUploadInput,
) -> Result<S3Response<CompleteMultipartUploadOutput>> {
    call.verify_xml_md5()?;
    let named = input.multipart_upload.take().and_then(|upload| upload.parts).ok_or_else(malformed_xml)?;
    let parts = named.into_iter().map(named_part).collect::<Result<Vec<_>>>()?;
    let mut claimed = given_checksums!(input);
    let checksum = claimed.next();
    if claimed.next().is_some() {
        let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(Refusal::invalid_request(message).into());
    }
    let request = CompleteUpload {
        bucket: call.bucket()?.clone(),
        key: input.key.clone(),
        // Ownership may have been changed since the upload was initiated.
        owner: call.owners().await?.of_all,
        upload_id: input.upload_id,
        parts,
        condition: write_condition(call)?,
        checksum_type: input.checksum_type.map(|kind| kind.as_str().to_owned()),
        checksum,
        object_size: length(input.mpu_object_size),
        customer: encryption::customer_key(call)?,
        origin: call.origin(),
    };
    let customer = request.customer.clone();
    let written = call.objects().complete_upload(request).await?;
    let mut headers = HeaderMap::new();
    let mut output = CompleteMultipartUploadOutput {
        location: Some(location(call, &input.bucket, &input.key)),
        expiration: lifecycle::expiration(call, &input.key, &written.version).await?,
        bucket: Some(input.bucket),
        key: Some(convert::xml_text(&input.key)),
        version_id: convert::written_version(written.label),
        ..Default::default()
    };
    if let Some(object) = written.version.object() {
        let shown = encryption::Shown::of(&object.attributes, customer.as_ref())?;
        headers = shown.customer_headers();
        output.server_side_encryption = shown.algorithm;
        output.ssekms_key_id = shown.kms_key;
        output.bucket_key_enabled = shown.bucket_key;
        output.e_tag = Some(convert::etag(object.etag));
        if let Some(checksum) = &object.checksum {
            output.checksum_type = Some(convert::checksum_type(checksum));
            set_checksum!(output, checksum, object.etag.parts);
        }
    }
    let mut response = S3Response::new(output);
    response.headers = headers;
    Ok(response)
}

/// Where the object is, under the name that the client knows us by.
fn location(call: &Call<'_>, bucket: &str, key: &str) -> String {
    let host = call.header(&http::header::HOST).unwrap_or_default();
    format!("http://{host}/{bucket}/{}", convert::url_encoded(key))
}

fn named_part(mut part: CompletedPart) -> Result<NamedPart> {
    let checksums = given_checksums!(part).collect();
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else { return Err(malformed_xml()) };
    Ok(NamedPart { number: i64::from(number), etag: etag.value().to_owned(), checksums })
}

pub(super) async fn abort(
    call: &Call<'_>,
    input: AbortMultipartUploadInput,
) -> Result<S3Response<AbortMultipartUploadOutput>> {
    call.objects().abort_upload(call.bucket()?, &input.key, &input.upload_id).await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) async fn list_parts(call: &Call<'_>, input: ListPartsInput) -> Result<S3Response<ListPartsOutput>> {
    let limit = listing::page_size("max-parts", input.max_parts.map(i64::from))?;
    let after = part_marker(input.part_number_marker)?;
    let (upload, page) = call.objects().list_parts(call.bucket()?, &input.key, &input.upload_id, after, limit).await?;
    let (checksum_algorithm, checksum_type) = shown_checksum(&upload);
    let last = page.parts.last().map_or(0, |part| part.number);
    let owners = call.owners().await?;
    let (abort_date, abort_rule_id) = lifecycle::abort_date(call, &input.key, upload.initiated).await?;
    let storage_class = upload.attributes.storage_class.clone().unwrap_or_else(|| convert::STANDARD.to_owned());
    Ok(S3Response::new(ListPartsOutput {
        abort_date,
        abort_rule_id,
        bucket: Some(input.bucket),
        checksum_algorithm,
        checksum_type,
        initiator: Some(owners.initiator(&upload.initiator)),
        is_truncated: Some(page.truncated),
        key: Some(convert::xml_text(&input.key)),
        max_parts: Some(convert::number(limit as u64)),
        next_part_number_marker: Some(i32::from(last)),
        owner: Some(owners.shown(&upload.owner)),
        part_number_marker: Some(input.part_number_marker.unwrap_or(0)),
        parts: Some(page.parts.iter().map(|part| listed(part, &upload)).collect()),
        storage_class: Some(StorageClass::from(storage_class)),
        upload_id: Some(input.upload_id),
        ..Default::default()
    }))
}

fn listed(part: &PartRecord, upload: &UploadRecord) -> Part {
    let mut listed = Part {
        e_tag: Some(convert::etag(part_etag(part))),
        last_modified: Some(convert::timestamp(part.modified)),
        part_number: Some(i32::from(part.number)),
        size: Some(convert::number(part.size)),
        ..Default::default()
    };
    // An upload without an algorithm shows none, though each part has a checksum for the object's.
    if let Some(checksum) = part.checksum.as_ref().filter(|_| upload.checksum.is_some()) {
        set_checksum!(listed, checksum, None);
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_needs_its_number_and_its_etag() {
        let part = |number, etag: Option<&str>| CompletedPart {
            part_number: number,
            e_tag: etag.map(|etag| ETag::Strong(etag.to_owned())),
            checksum_crc32: Some("AAAAAA==".to_owned()),
            ..Default::default()
        };
        let named = named_part(part(Some(2), Some("abc"))).expect("complete");
        assert_eq!((named.number, named.etag.as_str(), named.checksums.len()), (2, "abc", 1));
        assert!(named_part(part(None, Some("abc"))).is_err());
        assert!(named_part(part(Some(1), None)).is_err());
    }

    #[test]
    fn markers_may_lie_behind_every_part() {
        assert_eq!(part_marker(Some(70_000)).ok(), Some(u16::MAX));
        assert!(part_marker(Some(-1)).is_err());
    }
}
