//! `RenameObject`. Amazon S3 offers it on directory buckets; here it works on every bucket.

use http::header;
use percent_encoding::percent_decode_str;
use s3s::S3Response;
use s3s::dto::{RenameObjectInput, RenameObjectOutput};

use super::error::{Failure, Result};
use super::objects::marker_owner;
use super::s3::Call;
use crate::object;
use crate::rules::conditions::ReadConditions;
use crate::rules::rename::{self, Destination};

/// The key that is renamed: the header's value is percent-encoded.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn source_key(input: &RenameObjectInput) -> Result<String> {
    let decoded = percent_decode_str(&input.rename_source).decode_utf8();
    let decoded = decoded.map_err(|_| Failure::with_message("InvalidRequest", "The rename source is not UTF-8."))?;
    Ok(rename::source_key(&decoded, &input.bucket)?.to_owned())
}

pub(super) async fn rename(call: &Call<'_>, input: RenameObjectInput) -> Result<S3Response<RenameObjectOutput>> {
    let named = |name| call.header_named(name);
    let source_conditions = ReadConditions::parse(
        named("x-amz-rename-source-if-match").as_deref(),
        named("x-amz-rename-source-if-none-match").as_deref(),
        named("x-amz-rename-source-if-modified-since").as_deref(),
        named("x-amz-rename-source-if-unmodified-since").as_deref(),
    );
    let destination = Destination::parse(
        call.header(&header::IF_MATCH).as_deref(),
        call.header(&header::IF_NONE_MATCH).as_deref(),
        call.header(&header::IF_MODIFIED_SINCE).as_deref(),
        call.header(&header::IF_UNMODIFIED_SINCE).as_deref(),
    )?;
    let request = object::RenameObject {
        bucket: call.bucket()?.clone(),
        source: source_key(&input)?,
        key: input.key,
        owner: marker_owner(call).await?,
        source_conditions,
        destination,
        token: input.client_token,
        origin: call.origin(),
    };
    call.objects().rename_object(request).await?;
    Ok(S3Response::new(RenameObjectOutput {}))
}
