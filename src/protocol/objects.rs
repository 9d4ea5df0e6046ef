//! Objects: writing, reading, deleting, attributes.

use std::sync::Arc;

use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, StatusCode, header};
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::{self, ObjectRecord, PartRecord};

use super::access_log::BatchDeletion;
use super::convert::{self, set_checksum, stated_attributes, stored_header};
use super::encryption::set_encryption;
use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use super::{acl, answer_body, encryption, lifecycle, object_lock, restore, unpack};
use crate::object::{
    self, AppendObject, CustomerKey, DeleteObject, Encrypting, EventName, Found, Integrity, Origin, PutObject,
    ReadObject,
};
use crate::rules::checksums::DeclaredValue;
use crate::rules::conditions::{DeleteCondition, ReadConditions, WriteCondition};
use crate::rules::object_lock::Bypass;
use crate::rules::{Code, Refusal, append, listing, metadata, multipart, tagging};

/// The most keys of one `DeleteObjects`. <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
const MAX_DELETIONS: usize = 1_000;
/// Where the bytes of a PUT begin in an object that is there.
const WRITE_OFFSET: &str = "x-amz-write-offset-bytes";

/// A request's body for the object layer.
pub(super) fn body(blob: Option<StreamingBlob>) -> object::Body {
    match blob {
        Some(blob) => Box::pin(blob),
        None => Box::pin(futures_util::stream::empty().boxed()),
    }
}

/// What the client said of a body: its MD5, its checksum, and where the trailer will be.
pub(super) fn integrity(call: &Call<'_>) -> Result<Integrity> {
    let declared = call.declared()?;
    let in_trailer = declared.as_ref().filter(|declared| declared.value == DeclaredValue::InTrailer);
    let trailer = in_trailer.map(|declared| {
        let name = HeaderName::from_static(crate::rules::checksums::header(declared.algorithm));
        let trailers = call.trailers();
        // The handle must be taken before the body is read, and asked afterwards.
        Box::new(move || {
            let trailers = trailers?.take()?;
            trailers.get(name)?.to_str().ok().map(str::to_owned)
        }) as Box<dyn FnOnce() -> Option<String> + Send>
    });
    Ok(Integrity { content_md5: call.content_md5()?, declared, trailer })
}

pub(super) fn length(content_length: Option<i64>) -> Option<u64> {
    content_length.and_then(|length| u64::try_from(length).ok())
}

/// The storage class and tags, which are headers of their own.
pub(super) fn class_and_tags(
    class: Option<&StorageClass>,
    tags: Option<&str>,
) -> Result<(Option<String>, Vec<tagging::Tag>)> {
    let class = metadata::storage_class(class.map(StorageClass::as_str))?.map(str::to_owned);
    let tags = tags.map(tagging::parse_header).transpose()?.unwrap_or_default();
    Ok((class, tags))
}

/// The condition on what a write replaces.
pub(super) fn write_condition(call: &Call<'_>) -> Result<WriteCondition> {
    let (if_match, if_none_match) = (call.header(&header::IF_MATCH), call.header(&header::IF_NONE_MATCH));
    Ok(WriteCondition::parse(if_match.as_deref(), if_none_match.as_deref())?)
}

pub(super) async fn put(call: &Call<'_>, mut input: PutObjectInput) -> Result<S3Response<PutObjectOutput>> {
    let offset = call.header_named(WRITE_OFFSET).as_deref().map(append::parse_offset).transpose()?;
    if let Some(asked) = unpack::asked(&input).filter(|_| !call.is_form()) {
        if offset.is_some() {
            return Err(Failure::with_message("InvalidRequest", "An archive that is unpacked is not appended."));
        }
        // Boxed, as appends below: every other request would carry the space for one.
        return Box::pin(unpack::unpack(call, input, asked)).await;
    }
    let mut attributes = stated_attributes!(input);
    (attributes.storage_class, attributes.tags) =
        class_and_tags(input.storage_class.as_ref(), input.tagging.as_deref())?;
    let access = acl::of_new_object(call).await?;
    access.give_to(&mut attributes);
    object_lock::give_to(&mut attributes, call)?;
    let integrity = integrity(call)?;
    object_lock::check_integrity(call, &integrity)?;
    let event = if call.is_form() { EventName::ObjectCreatedPost } else { EventName::ObjectCreatedPut };
    let key = input.key.clone();
    let wanted = encryption::wanted(call)?;
    let customer = customer_of(&wanted).cloned();
    let request = PutObject {
        bucket: call.bucket()?.clone(),
        key: input.key,
        owner: access.owner,
        attributes,
        condition: write_condition(call)?,
        integrity,
        length: length(input.content_length),
        encryption: wanted,
        cause: call.cause(event),
    };
    let written = match offset {
        None => call.objects().put_object(request, body(input.body)).await?,
        Some(offset) => {
            let request = AppendObject { object: request, offset };
            Box::pin(call.objects().append_object(request, body(input.body))).await?
        }
    };
    let mut output = PutObjectOutput {
        version_id: convert::written_version(written.label),
        expiration: lifecycle::expiration(call, &key, &written.version).await?,
        ..Default::default()
    };
    if let Some(object) = written.version.object() {
        let shown = encryption::Shown::of(&object.attributes, customer.as_ref())?;
        output.ssekms_encryption_context.clone_from(&shown.context);
        set_encryption!(output, shown);
        output.e_tag = Some(convert::etag(object.etag));
        output.size = offset.map(|_| convert::number(object.size));
        if let Some(checksum) = &object.checksum {
            output.checksum_type = Some(convert::checksum_type(checksum));
            set_checksum!(output, checksum, object.etag.parts);
        }
    }
    Ok(S3Response::new(output))
}

/// The client's key, if it brings one.
pub(super) fn customer_of(wanted: &Encrypting) -> Option<&CustomerKey> {
    match wanted {
        Encrypting::Customer(customer) => Some(customer),
        Encrypting::Default | Encrypting::S3 | Encrypting::Kms { .. } => None,
    }
}

/// What GET and HEAD have in common in their requests.
macro_rules! read_request {
    ($call:expr, $input:expr) => {{
        let call: &Call<'_> = $call;
        let part_number = $input.part_number.map(|number| multipart::part_number(&number.to_string())).transpose()?;
        let header = |name| call.header(name);
        ReadObject {
            bucket: call.bucket()?.clone(),
            key: $input.key.clone(),
            version: convert::version($input.version_id.as_deref())?,
            conditions: ReadConditions::parse(
                header(&header::IF_MATCH).as_deref(),
                header(&header::IF_NONE_MATCH).as_deref(),
                header(&header::IF_MODIFIED_SINCE).as_deref(),
                header(&header::IF_UNMODIFIED_SINCE).as_deref(),
            ),
            range: header(&header::RANGE),
            part_number,
            customer: encryption::customer_key(call)?,
        }
    }};
}

/// What GET and HEAD have in common in their answers.
macro_rules! read_answer {
    ($output:ident, $found:expr, $checksum:expr, $lock:expr) => {{
        let found: &Found = $found;
        let lock: object_lock::Shown = $lock;
        let (object, served) = (&found.object, found.served);
        let stored = |name| stored_header(&object.attributes, name);
        let metadata = object.attributes.metadata.iter().cloned().collect();
        let mut output = $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: stored("cache-control"),
            content_disposition: stored("content-disposition"),
            content_encoding: stored("content-encoding"),
            content_language: stored("content-language"),
            content_length: Some(convert::number(served.length)),
            content_range: convert::content_range(found),
            content_type: Some(stored("content-type").unwrap_or_else(|| convert::DEFAULT_CONTENT_TYPE.to_owned())),
            e_tag: Some(convert::etag(object.etag)),
            expires: stored("expires"),
            last_modified: Some(convert::timestamp(found.version.modified)),
            metadata: Some(metadata),
            object_lock_legal_hold_status: lock.legal_hold,
            object_lock_mode: lock.mode,
            object_lock_retain_until_date: lock.until,
            parts_count: found.parts_count.map(|count| convert::number(u64::from(count))),
            restore: restore::header(object),
            storage_class: convert::storage_class_header(object),
            tag_count: convert::tag_count(object),
            version_id: found.label.map(|label| label.to_string()),
            website_redirect_location: stored("x-amz-website-redirect-location"),
            ..Default::default()
        };
        if let Some((checksum, parts)) = $checksum {
            let checksum: &records::Checksum = checksum;
            output.checksum_type = object.checksum.as_ref().map(convert::checksum_type);
            set_checksum!(output, checksum, *parts);
        }
        output
    }};
}

/// The checksum that GET and HEAD show: of all the bytes, with all of them, or of a part, with the part; and then the
/// number of parts behind it.
async fn shown_checksum(
    call: &Call<'_>,
    found: &Found,
    part: Option<i32>,
    mode: Option<&ChecksumMode>,
) -> Result<Option<(records::Checksum, Option<u16>)>> {
    let object = &found.object;
    if mode.is_none_or(|mode| mode.as_str() != ChecksumMode::ENABLED) {
        return Ok(None);
    }
    if let Some(number) = part.and_then(|part| u16::try_from(part).ok()).filter(|_| object.etag.parts.is_some()) {
        let page = call.objects().object_parts(found, number.saturating_sub(1), 1).await?;
        return Ok(page.parts.into_iter().next().and_then(|part| part.checksum).map(|checksum| (checksum, None)));
    }
    let whole = found.served.length == object.size;
    Ok(object.checksum.clone().filter(|_| whole).map(|checksum| (checksum, object.etag.parts)))
}

/// When the object expires, where it is the current one that is shown.
async fn shown_expiration(call: &Call<'_>, found: &Found, key: &str, version: Option<&str>) -> Result<Option<String>> {
    if version.is_some() { Ok(None) } else { lifecycle::expiration(call, key, &found.version).await }
}

pub(super) async fn get(call: &Call<'_>, input: GetObjectInput) -> Result<S3Response<GetObjectOutput>> {
    let (found, content) = call.objects().get_object(read_request!(call, input)).await?;
    let checksum = shown_checksum(call, &found, input.part_number, input.checksum_mode.as_ref()).await?;
    let lock = object_lock::Shown::of(call, &found, &input.key, input.version_id.as_deref()).await?;
    let mut output = read_answer!(GetObjectOutput, &found, &checksum, lock);
    output.expiration = shown_expiration(call, &found, &input.key, input.version_id.as_deref()).await?;
    let customer = encryption::customer_key(call)?;
    set_encryption!(output, encryption::Shown::of(&found.object.attributes, customer.as_ref())?);
    output.body = Some(answer_body::streaming(content, found.served.length));
    Ok(with_status_of(&found, output))
}

pub(super) async fn head(call: &Call<'_>, input: HeadObjectInput) -> Result<S3Response<HeadObjectOutput>> {
    let found = call.objects().head_object(read_request!(call, input)).await?;
    let checksum = shown_checksum(call, &found, input.part_number, input.checksum_mode.as_ref()).await?;
    let lock = object_lock::Shown::of(call, &found, &input.key, input.version_id.as_deref()).await?;
    let mut output = read_answer!(HeadObjectOutput, &found, &checksum, lock);
    output.expiration = shown_expiration(call, &found, &input.key, input.version_id.as_deref()).await?;
    let customer = encryption::customer_key(call)?;
    set_encryption!(output, encryption::Shown::of(&found.object.attributes, customer.as_ref())?);
    let mut response = with_status_of(&found, output);
    // Of GET, s3s applies these itself.
    let expires = input.response_expires.as_ref().and_then(convert::http_date_of);
    let overrides = [
        (header::CACHE_CONTROL, input.response_cache_control),
        (header::CONTENT_DISPOSITION, input.response_content_disposition),
        (header::CONTENT_ENCODING, input.response_content_encoding),
        (header::CONTENT_LANGUAGE, input.response_content_language),
        (header::CONTENT_TYPE, input.response_content_type),
        (header::EXPIRES, expires),
    ];
    response.headers = overrides
        .into_iter()
        .filter_map(|(name, value)| Some((name, convert::header_value(&value?)?)))
        .collect::<HeaderMap>();
    Ok(response)
}

/// A range or a part is a 206, of HEAD too, where s3s would answer 200.
fn with_status_of<T>(found: &Found, output: T) -> S3Response<T> {
    let mut response = S3Response::new(output);
    if found.served.partial {
        response.extensions.insert(StatusCode::PARTIAL_CONTENT);
    }
    response
}

/// The owner of a delete marker: as an object's that is written.
pub(super) async fn marker_owner(call: &Call<'_>) -> Result<String> {
    match call.owners().await?.of_all {
        Some(owner) => Ok(owner),
        None => call.owner(),
    }
}

pub(super) async fn delete(call: &Call<'_>, input: DeleteObjectInput) -> Result<S3Response<DeleteObjectOutput>> {
    let condition = DeleteCondition::parse(
        call.header(&header::IF_MATCH).as_deref(),
        call.header_named("x-amz-if-match-last-modified-time").as_deref(),
        call.header_named("x-amz-if-match-size").as_deref(),
    )?;
    let request = DeleteObject {
        bucket: call.bucket()?.clone(),
        key: input.key,
        owner: marker_owner(call).await?,
        version: convert::version(input.version_id.as_deref())?,
        condition,
        bypass: object_lock::bypass(call, input.bypass_governance_retention)?,
        origin: call.origin(),
    };
    let deleted = call.objects().delete_object(request).await?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: Some(true).filter(|_| deleted.delete_marker),
        version_id: deleted.label.map(|label| label.to_string()),
        ..Default::default()
    }))
}

pub(super) async fn delete_many(call: &Call<'_>, input: DeleteObjectsInput) -> Result<S3Response<DeleteObjectsOutput>> {
    call.verify_xml_body()?;
    let named = input.delete.objects;
    // The answer names each key, and XML must be able to.
    let writable = |identifier: &ObjectIdentifier| identifier.key.chars().all(convert::is_xml_character);
    if named.is_empty() || named.len() > MAX_DELETIONS || !named.iter().all(writable) {
        return Err(malformed_xml());
    }
    let quiet = input.delete.quiet == Some(true);
    let bypass = object_lock::bypass(call, input.bypass_governance_retention)?;
    let (owner, origin) = (marker_owner(call).await?, call.origin());
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    let (mut asked, mut requests, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for identifier in named {
        match deletion(call, &identifier, &owner, &origin).await {
            Ok(request) => {
                let request = DeleteObject { bypass, ..request };
                asked.push((identifier.key, identifier.version_id));
                requests.push(request);
            }
            Err(failure) => {
                let entry = entry_of_error(identifier.key, identifier.version_id, failure);
                batch.push(logged(&entry));
                errors.push(entry);
            }
        }
    }
    let outcomes = call.objects().delete_objects(requests).await;
    for ((key, version_id), outcome) in asked.into_iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => {
                batch.push(BatchDeletion { key: key.clone(), version: version_id.clone(), code: None });
                if !quiet {
                    deleted.push(entry_of_deletion(key, version_id, outcome));
                }
            }
            Err(error) => {
                let entry = entry_of_error(key, version_id, error.into());
                batch.push(logged(&entry));
                errors.push(entry);
            }
        }
    }
    call.note_batch(batch);
    Ok(S3Response::new(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..Default::default() }))
}

/// A key that was not deleted, for the access log.
fn logged(entry: &Error) -> BatchDeletion {
    let key = entry.key.clone().unwrap_or_default();
    BatchDeletion { key, version: entry.version_id.clone(), code: entry.code.clone() }
}

async fn deletion(
    call: &Call<'_>,
    identifier: &ObjectIdentifier,
    owner: &str,
    origin: &Arc<Origin>,
) -> Result<DeleteObject> {
    let bucket = call.bucket()?;
    call.require("DeleteObject", &identifier.key, identifier.version_id.as_deref()).await?;
    crate::rules::object_key::check(&identifier.key)?;
    let version = convert::version(identifier.version_id.as_deref()).map_err(|_| {
        // In a list, an id that cannot be one is a version that is not there.
        let version = identifier.version_id.as_deref().unwrap_or_default();
        Failure::from(Refusal::no_such_version(&identifier.key, version))
    })?;
    let modified = identifier.last_modified_time.as_ref().map(|_| "");
    let size = identifier.size.as_ref().map(|_| "");
    let condition = DeleteCondition::parse(identifier.e_tag.as_ref().map(ETag::value), modified, size)?;
    Ok(DeleteObject {
        bucket: bucket.clone(),
        key: identifier.key.clone(),
        owner: owner.to_owned(),
        version,
        condition,
        bypass: Bypass::Nothing,
        origin: Arc::clone(origin),
    })
}

fn entry_of_deletion(key: String, version_id: Option<String>, outcome: object::Deleted) -> DeletedObject {
    let label = outcome.label.map(|label| label.to_string());
    DeletedObject {
        delete_marker: Some(true).filter(|_| outcome.delete_marker),
        delete_marker_version_id: label.filter(|_| outcome.delete_marker),
        key: Some(key),
        version_id,
    }
}

fn entry_of_error(key: String, version_id: Option<String>, failure: Failure) -> Error {
    let (code, message) = failure.code_and_message();
    Error { code: Some(code), key: Some(key), message: Some(message), version_id }
}

/// The attributes that a request asks for. s3s has one element for each header line, and a line may have several names.
fn asked_attributes(lines: &[ObjectAttributes]) -> Result<Vec<&str>> {
    const KNOWN: [&str; 5] = [
        ObjectAttributes::CHECKSUM,
        ObjectAttributes::ETAG,
        ObjectAttributes::OBJECT_PARTS,
        ObjectAttributes::OBJECT_SIZE,
        ObjectAttributes::STORAGE_CLASS,
    ];
    let names = lines.iter().flat_map(|line| line.as_str().split(',')).map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<&str> = names.collect();
    if names.iter().all(|name| KNOWN.contains(name)) {
        return Ok(names);
    }
    Err(Refusal::new(Code::InvalidArgument, "Invalid attribute name specified.").into())
}

pub(super) async fn attributes(
    call: &Call<'_>,
    input: GetObjectAttributesInput,
) -> Result<S3Response<GetObjectAttributesOutput>> {
    let names = asked_attributes(&input.object_attributes)?;
    let asked = |name| names.contains(&name);
    let request = ReadObject {
        bucket: call.bucket()?.clone(),
        key: input.key,
        version: convert::version(input.version_id.as_deref())?,
        conditions: ReadConditions::default(),
        range: None,
        part_number: None,
        customer: encryption::customer_key(call)?,
    };
    let found = call.objects().head_object(request).await?;
    let object = &found.object;
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(convert::timestamp(found.version.modified)),
        version_id: found.label.map(|label| label.to_string()),
        e_tag: asked(ObjectAttributes::ETAG).then(|| convert::etag(object.etag)),
        storage_class: asked(ObjectAttributes::STORAGE_CLASS)
            .then(|| StorageClass::from(convert::storage_class_name(object))),
        object_size: asked(ObjectAttributes::OBJECT_SIZE).then(|| convert::number(object.size)),
        ..Default::default()
    };
    if asked(ObjectAttributes::CHECKSUM) {
        output.checksum = checksum_of(object);
    }
    if asked(ObjectAttributes::OBJECT_PARTS) && object.etag.parts.is_some() {
        output.object_parts = Some(parts_of(call, &found, input.max_parts, input.part_number_marker).await?);
    }
    Ok(S3Response::new(output))
}

fn checksum_of(object: &ObjectRecord) -> Option<Checksum> {
    let stored = object.checksum.as_ref()?;
    let mut checksum = Checksum { checksum_type: Some(convert::checksum_type(stored)), ..Default::default() };
    set_checksum!(checksum, stored, object.etag.parts);
    Some(checksum)
}

async fn parts_of(
    call: &Call<'_>,
    found: &Found,
    max_parts: Option<i32>,
    marker: Option<i32>,
) -> Result<GetObjectAttributesParts> {
    let limit = listing::page_size("max-parts", max_parts.map(i64::from))?;
    let after = super::multipart::part_marker(marker)?;
    let page = call.objects().object_parts(found, after, limit).await?;
    let last = page.parts.last().map_or(0, |part| part.number);
    // Parts are shown one by one only if each has a checksum that the client can check.
    let composite =
        found.object.checksum.as_ref().is_some_and(|checksum| checksum.kind == records::ChecksumType::Composite);
    let parts = composite.then(|| page.parts.iter().map(listed_part).collect());
    Ok(GetObjectAttributesParts {
        is_truncated: Some(page.truncated),
        max_parts: Some(convert::number(limit as u64)),
        next_part_number_marker: Some(i32::from(last)),
        part_number_marker: Some(i32::from(after)),
        parts,
        total_parts_count: Some(convert::number(u64::from(page.total))),
    })
}

fn listed_part(part: &PartRecord) -> ObjectPart {
    let mut listed = ObjectPart {
        part_number: Some(i32::from(part.number)),
        size: Some(convert::number(part.size)),
        ..Default::default()
    };
    if let Some(checksum) = &part.checksum {
        set_checksum!(listed, checksum, None);
    }
    listed
}
