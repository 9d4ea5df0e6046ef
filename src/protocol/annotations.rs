//! Annotations of objects: `PutObjectAnnotation` and its three companions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::AnnotationRecord;

use super::convert::{self, set_checksum};
use super::error::{Failure, Result};
use super::s3::Call;
use super::tagging::refused;
use super::{answer_body, encryption, objects};
use crate::object::{Annotated, AnnotationChange, ListAnnotations, NewAnnotation, VersionLabel};
use crate::rules::annotation::MAX_ANNOTATIONS;
use crate::rules::{Refusal, etag};

/// Tokens begin with this, so that a client's own idea of one is refused.
const TOKEN: &[u8] = b"a:";

fn of(call: &Call<'_>, key: String, version: Option<&str>) -> Result<Annotated> {
    let (version, customer) = (convert::version(version)?, encryption::customer_key(call)?);
    Ok(Annotated { bucket: call.bucket()?.clone(), key, version, customer })
}

fn change(of: Annotated, name: String, if_match: Option<&str>) -> AnnotationChange {
    AnnotationChange { of, name, if_match: if_match.map(|text| etag::unquoted(text).to_owned()) }
}

fn shown(label: Option<VersionLabel>) -> Option<String> {
    label.map(|label| label.to_string())
}

fn etag_of(record: &AnnotationRecord) -> ETag {
    convert::etag(storage::index::records::ETag { md5: record.md5, parts: None })
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutObjectAnnotationInput,
) -> Result<S3Response<PutObjectAnnotationOutput>> {
    let if_match = call.header_named("x-amz-object-if-match");
    let length = call.content_length();
    let of = of(call, input.key.clone(), input.version_id.as_deref())?;
    let request = NewAnnotation {
        change: change(of, input.annotation_name, if_match.as_deref()),
        integrity: objects::integrity(call)?,
        length,
    };
    let body = objects::body(input.annotation_payload);
    let (record, label) = call.objects().put_annotation(request, body).await.map_err(refused)?;
    let mut output = PutObjectAnnotationOutput {
        key: Some(convert::xml_text(&input.key)),
        annotation_name: Some(record.name.clone()),
        e_tag: Some(etag_of(&record)),
        object_version_id: shown(label),
        checksum_type: Some(convert::checksum_type(&record.checksum)),
        ..Default::default()
    };
    set_checksum!(output, &record.checksum, None);
    Ok(S3Response::new(output))
}

pub(super) async fn get(
    call: &Call<'_>,
    input: GetObjectAnnotationInput,
) -> Result<S3Response<GetObjectAnnotationOutput>> {
    let of = of(call, input.key, input.version_id.as_deref())?;
    let (record, label, body) = call.objects().get_annotation(&of, &input.annotation_name).await.map_err(refused)?;
    let mut output = GetObjectAnnotationOutput {
        annotation_payload: Some(answer_body::streaming(body, record.size)),
        content_length: Some(convert::number(record.size)),
        e_tag: Some(etag_of(&record)),
        last_modified: Some(convert::timestamp(record.modified)),
        object_version_id: shown(label),
        ..Default::default()
    };
    if input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED) {
        output.checksum_type = Some(convert::checksum_type(&record.checksum));
        set_checksum!(output, &record.checksum, None);
    }
    Ok(S3Response::new(output))
}

pub(super) async fn list(
    call: &Call<'_>,
    input: ListObjectAnnotationsInput,
) -> Result<S3Response<ListObjectAnnotationsOutput>> {
    let asked = input.max_annotation_results.unwrap_or(convert::number(MAX_ANNOTATIONS as u64));
    let limit = usize::try_from(asked).ok().filter(|limit| (1..=MAX_ANNOTATIONS).contains(limit));
    let limit = limit.ok_or_else(|| {
        let message = format!("Argument max-annotation-results must be an integer between 1 and {MAX_ANNOTATIONS}");
        Refusal::invalid_argument("max-annotation-results", &asked.to_string(), message)
    })?;
    let after = input.continuation_token.as_deref().filter(|token| !token.is_empty()).map(parse_token).transpose()?;
    let prefix = input.annotation_prefix.unwrap_or_default();
    let of = of(call, input.key.clone(), input.version_id.as_deref())?;
    let request = ListAnnotations { of, prefix: prefix.clone(), after, limit };
    let page = call.objects().list_annotations(request).await.map_err(refused)?;
    Ok(S3Response::new(ListObjectAnnotationsOutput {
        annotation_count: Some(convert::number(page.annotations.len() as u64)),
        annotations: Some(page.annotations.iter().map(listed).collect()),
        annotation_prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
        bucket: Some(input.bucket),
        continuation_token: input.continuation_token,
        key: Some(convert::xml_text(&input.key)),
        max_annotation_results: Some(asked),
        next_continuation_token: page.next.as_deref().map(token),
        object_version_id: shown(page.label),
        ..Default::default()
    }))
}

fn listed(record: &AnnotationRecord) -> AnnotationEntry {
    AnnotationEntry {
        annotation_name: record.name.clone(),
        checksum_algorithm: Some(vec![convert::checksum_algorithm(&record.checksum)]),
        e_tag: Some(etag_of(record)),
        last_modified: convert::timestamp(record.modified),
        replication_status: None,
        size: convert::number(record.size),
    }
}

pub(super) async fn delete(
    call: &Call<'_>,
    input: DeleteObjectAnnotationInput,
) -> Result<S3Response<DeleteObjectAnnotationOutput>> {
    let if_match = call.header_named("x-amz-object-if-match");
    let of = of(call, input.key, input.version_id.as_deref())?;
    let change = change(of, input.annotation_name, if_match.as_deref());
    let label = call.objects().delete_annotation(change).await.map_err(refused)?;
    let output = DeleteObjectAnnotationOutput { object_version_id: shown(label), ..Default::default() };
    let mut response = S3Response::new(output);
    response.extensions.insert(StatusCode::NO_CONTENT);
    Ok(response)
}

fn token(name: &str) -> String {
    BASE64.encode([TOKEN, name.as_bytes()].concat())
}

fn parse_token(token: &str) -> Result<String> {
    let bytes = BASE64.decode(token).ok();
    let name = bytes.and_then(|bytes| bytes.strip_prefix(TOKEN).and_then(|name| String::from_utf8(name.to_vec()).ok()));
    name.ok_or_else(|| {
        let message = "The continuation token provided is incorrect";
        Failure::with_message("InvalidArgument", message).with("ArgumentName", "continuation-token")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_name_and_nothing_else() {
        assert_eq!(parse_token(&token("été")).ok().as_deref(), Some("été"));
        assert!(parse_token("!").is_err() && parse_token(&BASE64.encode("name")).is_err());
    }
}
