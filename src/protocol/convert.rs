//! Between S3's words on the wire and the domain's types: times, entity tags, checksums, owners, attributes.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto;
use storage::index::records::{Attributes, Checksum, ObjectRecord, VersionRecord};
use storage::types::Timestamp;

use super::error::Result;
use crate::accounts::Accounts;
use crate::object::{Found, VersionLabel};
use crate::rules::Refusal;

/// What S3 answers for an object that was written without a content type.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
/// The storage class that is not said.
pub(super) const STANDARD: &str = "STANDARD";

/// What `encoding-type=url` leaves as it is: RFC 3986's unreserved characters and `/`.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Text as `encoding-type=url` has it.
pub(super) fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, URL).to_string()
}

/// Whether XML 1.0 can hold the character.
pub(super) fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Text for an XML element that has no encoding: what XML cannot hold is replaced, for s3s would fail the answer.
pub(super) fn xml_text(text: &str) -> String {
    text.chars().map(|c| if is_xml_character(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// A header's value; `None` where it cannot be one.
pub(super) fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

/// A time for s3s, in whole seconds: S3 shows no more, neither in headers nor in XML.
pub(super) fn timestamp(time: Timestamp) -> dto::Timestamp {
    let seconds = u64::try_from(time.0.div_euclid(1_000)).unwrap_or(0);
    dto::Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// A time for s3s, as exact as XML can have it: milliseconds since 1970.
pub(super) fn exact_timestamp(milliseconds: i64) -> dto::Timestamp {
    dto::Timestamp::from(UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)))
}

/// A time of s3s's in milliseconds since 1970.
pub(super) fn milliseconds(time: &dto::Timestamp) -> Option<i64> {
    let mut text = Vec::new();
    time.format(dto::TimestampFormat::DateTime, &mut text).ok()?;
    let time: jiff::Timestamp = String::from_utf8(text).ok()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// A time as HTTP writes it (RFC 9110, section 5.6.7).
pub(super) fn http_date(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(time.0.div_euclid(1_000)).unwrap_or_default();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A time of s3s's in our own terms.
pub(super) fn time_of(time: &dto::Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    time.format(dto::TimestampFormat::DateTime, &mut text).ok()?;
    let parsed: jiff::Timestamp = String::from_utf8(text).ok()?.parse().ok()?;
    Some(Timestamp(parsed.as_millisecond()))
}

/// A time of s3s's as HTTP writes it.
pub(super) fn http_date_of(time: &dto::Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(dto::TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// An entity tag for s3s, which adds the quotes.
pub(super) fn etag(etag: impl std::fmt::Display) -> dto::ETag {
    dto::ETag::Strong(etag.to_string())
}

/// A size or count for s3s.
pub(super) fn number<T: TryFrom<u64> + Bounded>(value: u64) -> T {
    T::try_from(value).unwrap_or(T::GREATEST)
}

/// A number with a greatest value.
pub(super) trait Bounded {
    const GREATEST: Self;
}
impl Bounded for i64 {
    const GREATEST: Self = Self::MAX;
}
impl Bounded for i32 {
    const GREATEST: Self = Self::MAX;
}

/// The version that a request names.
///
/// # Errors
/// `InvalidArgument` for what no version can be called.
pub(super) fn version(text: Option<&str>) -> Result<Option<VersionLabel>> {
    match text {
        None => Ok(None),
        Some(text) => match VersionLabel::parse(text) {
            Some(label) => Ok(Some(label)),
            None => Err(Refusal::invalid_version_id(text).into()),
        },
    }
}

/// The version that a write answers. S3 does not name the null version that it made.
pub(super) fn written_version(label: Option<VersionLabel>) -> Option<String> {
    label.filter(|label| *label != VersionLabel::Null).map(|label| label.to_string())
}

/// An owner, with the name of the account if it is known.
pub(super) fn owner(accounts: &Accounts, canonical_id: &str) -> dto::Owner {
    let account = accounts.by_canonical_id(canonical_id);
    dto::Owner { id: Some(canonical_id.to_owned()), display_name: account.map(|account| account.display_name.clone()) }
}

/// Whom answers show as the owners of what is in a bucket.
pub(super) struct Owners<'a> {
    pub accounts: &'a Accounts,
    /// The canonical id of the account that owns everything; `None` where each version has its own owner.
    pub of_all: Option<String>,
}

impl Owners<'_> {
    /// The owner of what is stored with this one.
    pub(super) fn shown(&self, stored: &str) -> dto::Owner {
        owner(self.accounts, self.of_all.as_deref().unwrap_or(stored))
    }

    /// Who initiated an upload: an owner under another name.
    pub(super) fn initiator(&self, canonical_id: &str) -> dto::Initiator {
        let dto::Owner { id, display_name } = owner(self.accounts, canonical_id);
        dto::Initiator { id, display_name }
    }
}

/// Sets the one field of an answer that carries this checksum: `ChecksumCRC32` and its like.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr, $parts:expr) => {{
        use storage::index::records::ChecksumAlgorithm as Algorithm;
        let checksum: &storage::index::records::Checksum = $checksum;
        let text = Some($crate::rules::checksums::encode(checksum, $parts));
        match checksum.algorithm {
            Algorithm::Crc32 => $output.checksum_crc32 = text,
            Algorithm::Crc32c => $output.checksum_crc32c = text,
            Algorithm::Crc64Nvme => $output.checksum_crc64nvme = text,
            Algorithm::Sha1 => $output.checksum_sha1 = text,
            Algorithm::Sha256 => $output.checksum_sha256 = text,
            Algorithm::Sha512 => $output.checksum_sha512 = text,
            Algorithm::Md5 => $output.checksum_md5 = text,
            Algorithm::Xxhash64 => $output.checksum_xxhash64 = text,
            Algorithm::Xxhash3 => $output.checksum_xxhash3 = text,
            Algorithm::Xxhash128 => $output.checksum_xxhash128 = text,
        }
    }};
}
pub(super) use set_checksum;

/// The checksums in a request's fields: `ChecksumCRC32` and its like.
macro_rules! given_checksums {
    ($input:expr) => {{
        use storage::index::records::ChecksumAlgorithm as Algorithm;
        let fields = [
            (Algorithm::Crc32, $input.checksum_crc32.take()),
            (Algorithm::Crc32c, $input.checksum_crc32c.take()),
            (Algorithm::Crc64Nvme, $input.checksum_crc64nvme.take()),
            (Algorithm::Sha1, $input.checksum_sha1.take()),
            (Algorithm::Sha256, $input.checksum_sha256.take()),
            (Algorithm::Sha512, $input.checksum_sha512.take()),
            (Algorithm::Md5, $input.checksum_md5.take()),
            (Algorithm::Xxhash64, $input.checksum_xxhash64.take()),
            (Algorithm::Xxhash3, $input.checksum_xxhash3.take()),
            (Algorithm::Xxhash128, $input.checksum_xxhash128.take()),
        ];
        fields.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?)))
    }};
}
pub(super) use given_checksums;

/// The type of a checksum, as S3 writes it.
pub(super) fn checksum_type(checksum: &Checksum) -> dto::ChecksumType {
    dto::ChecksumType::from_static(crate::rules::checksums::type_name(checksum.kind))
}

/// The name of a checksum's algorithm, as S3 writes it.
pub(super) fn checksum_algorithm(checksum: &Checksum) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(crate::rules::checksums::name(checksum.algorithm))
}

/// What a request says about the object that it makes, tags aside: `PutObject`, `CopyObject` and
/// `CreateMultipartUpload` have the same fields for it.
macro_rules! stated_attributes {
    ($input:expr) => {{
        $crate::rules::website::check_redirect_location($input.website_redirect_location.as_deref())?;
        let headers = [
            ("cache-control", $input.cache_control.take()),
            ("content-disposition", $input.content_disposition.take()),
            ("content-encoding", $input.content_encoding.take().and_then($crate::protocol::convert::stored_encoding)),
            ("content-language", $input.content_language.take()),
            ("content-type", $input.content_type.take()),
            ("expires", $input.expires.take()),
            ("x-amz-website-redirect-location", $input.website_redirect_location.take()),
        ];
        let mut metadata: Vec<(String, String)> = $input.metadata.take().unwrap_or_default().into_iter().collect();
        metadata.sort_unstable();
        storage::index::records::Attributes {
            headers: headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
            metadata,
            tags: Vec::new(),
            storage_class: None,
            sub_resources: Vec::new(),
        }
    }};
}
pub(super) use stated_attributes;

/// A content encoding without `aws-chunked`, which is of the transfer and not of the object.
pub(super) fn stored_encoding(text: String) -> Option<String> {
    let is_transfer = |coding: &str| coding.trim().eq_ignore_ascii_case("aws-chunked");
    if !text.split(',').any(is_transfer) {
        return Some(text);
    }
    let kept: Vec<&str> =
        text.split(',').map(str::trim).filter(|coding| !coding.is_empty() && !is_transfer(coding)).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// A header that was stored with the object.
pub(super) fn stored_header(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

/// `Content-Range` of what is served in part.
pub(super) fn content_range(found: &Found) -> Option<String> {
    let served = found.served;
    let last = (served.start + served.length).checked_sub(1).filter(|_| served.partial && served.length > 0)?;
    Some(format!("bytes {}-{last}/{}", served.start, found.object.size))
}

/// The storage class for `x-amz-storage-class`, which is absent where it is `STANDARD`.
pub(super) fn storage_class_header(object: &ObjectRecord) -> Option<dto::StorageClass> {
    object.attributes.storage_class.clone().map(dto::StorageClass::from)
}

/// The storage class for XML, which always says it.
pub(super) fn storage_class_name(object: &ObjectRecord) -> String {
    object.attributes.storage_class.clone().unwrap_or_else(|| STANDARD.to_owned())
}

/// The number of tags, absent where there are none.
pub(super) fn tag_count(object: &ObjectRecord) -> Option<i32> {
    let count = object.attributes.tags.len();
    (count > 0).then(|| number(count as u64))
}

/// Tags as S3 writes them.
pub(super) fn tag_set(tags: Vec<(String, String)>) -> dto::TagSet {
    tags.into_iter().map(|(key, value)| dto::Tag { key: Some(key), value: Some(value) }).collect()
}

/// Tags as a client writes them.
///
/// # Errors
/// `MalformedXML` where a tag lacks its key or its value.
pub(super) fn tags(tags: dto::TagSet) -> Result<Vec<(String, String)>> {
    let pairs: Option<Vec<_>> = tags.into_iter().map(|tag| Some((tag.key?, tag.value?))).collect();
    pairs.ok_or_else(|| crate::rules::Code::MalformedXML.into())
}

/// A version's id in a listing: `null` where it is the null version.
pub(super) fn listed_version(version: &VersionRecord) -> String {
    VersionLabel::of(version).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_encoded_as_s3_encodes_them() {
        assert_eq!(url_encoded("a b+c/d=é~.-_"), "a%20b%2Bc/d%3D%C3%A9~.-_");
        assert_eq!(url_encoded("\u{1}"), "%01");
    }

    #[test]
    fn xml_holds_everything_but_control_characters() {
        assert!("aé\t\n😀\u{FFFD}".chars().all(is_xml_character));
        assert!("\u{0}\u{1}\u{1f}\u{FFFE}\u{FFFF}".chars().all(|c| !is_xml_character(c)));
        assert_eq!(xml_text("a\u{1}b"), "a\u{FFFD}b");
    }

    #[test]
    fn the_transfers_encoding_is_not_the_objects() {
        assert_eq!(stored_encoding("aws-chunked".to_owned()), None);
        assert_eq!(stored_encoding("gzip, aws-chunked".to_owned()).as_deref(), Some("gzip"));
        assert_eq!(stored_encoding("aws-chunked,gzip,br".to_owned()).as_deref(), Some("gzip,br"));
        assert_eq!(stored_encoding("gzip, br".to_owned()).as_deref(), Some("gzip, br"));
    }

    #[test]
    fn times_have_seconds() {
        assert_eq!(http_date(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(timestamp(Timestamp(1_999)), timestamp(Timestamp(1_000)));
    }
}
