//! Listings: of objects, of versions, of uploads.

use std::cmp::Reverse;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::{BucketRecord, UploadRecord, VersionRecord};
use storage::types::UploadId;

use super::convert::{self, Owners};
use super::error::{Failure, Result};
use super::restore;
use super::s3::Call;
use crate::object::{ListedVersion, ObjectPage, VersionLabel};
use crate::rules::listing::{After, Line, Page, Request, page_size};
use crate::rules::{Refusal, multipart};

/// How keys are written into a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// What the client asks for.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but `url`.
    fn parse(asked: Option<&EncodingType>) -> Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(other) => {
                let message = "Invalid Encoding Method specified in Request";
                Err(Refusal::invalid_argument("encoding-type", other, message).into())
            }
        }
    }

    /// The same, unless one of the texts could not be written in XML as it is: then all are encoded, and the answer
    /// says so, as the SDKs ask for by themselves.
    fn forced_by<'a>(self, mut texts: impl Iterator<Item = &'a str>) -> Self {
        if texts.any(|text| !text.chars().all(convert::is_xml_character)) { Self::Url } else { self }
    }

    fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => convert::url_encoded(text),
        }
    }

    fn shown(self) -> Option<EncodingType> {
        (self == Self::Url).then(|| EncodingType::from_static(EncodingType::URL))
    }

    fn prefixes(self, prefixes: &[String]) -> CommonPrefixList {
        prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }
}

/// Whether `x-amz-optional-object-attributes` asks for the status of restorations, which is all that S3 knows. s3s has one element for each header line, and a line may have several names.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
///
/// # Errors
/// `InvalidArgument`.
fn asks_for_restore_status(lines: Option<&OptionalObjectAttributesList>) -> Result<bool> {
    let lines = lines.into_iter().flatten();
    let names: Vec<_> =
        lines.flat_map(|line| line.as_str().split(',')).map(str::trim).filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| **name != OptionalObjectAttributes::RESTORE_STATUS) {
        None => Ok(!names.is_empty()),
        Some(other) => {
            let message = "Invalid attribute name specified.";
            Err(Refusal::invalid_argument("x-amz-optional-object-attributes", other, message).into())
        }
    }
}

/// What all listings are asked: a prefix, a delimiter, how many.
struct Asked {
    prefix: String,
    delimiter: Option<String>,
    max: usize,
    encoding: Encoding,
}

impl Asked {
    fn new(
        prefix: Option<String>,
        delimiter: Option<String>,
        encoding: Option<&EncodingType>,
        (argument, max): (&str, Option<i32>),
    ) -> Result<Self> {
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let max = page_size(argument, max.map(i64::from))?;
        Ok(Self { prefix: prefix.unwrap_or_default(), delimiter, max, encoding: Encoding::parse(encoding)? })
    }

    fn request<I>(&self, after: After<I>) -> Request<I> {
        Request { prefix: self.prefix.clone(), delimiter: self.delimiter.clone(), after, max: self.max }
    }

    /// The encoding for an answer with these keys and prefixes.
    fn encoding<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a str>,
        prefixes: &'a [String],
        marker: &'a str,
    ) -> Encoding {
        let own = [self.prefix.as_str(), self.delimiter.as_deref().unwrap_or(""), marker];
        self.encoding.forced_by(keys.chain(prefixes.iter().map(String::as_str)).chain(own))
    }

    fn max(&self) -> i32 {
        convert::number(self.max as u64)
    }
}

/// The key or common prefix that ends a page.
fn last_key<I>(page: &Page<I>) -> Option<&str> {
    page.last.as_ref().map(|last| match last {
        Line::Entry(key, _) => key.as_str(),
        Line::CommonPrefix(prefix) => prefix.as_str(),
    })
}

fn after_key<I>(marker: &str) -> After<I> {
    if marker.is_empty() { After::Start } else { After::Key(marker.to_owned()) }
}

fn object(
    owners: &Owners<'_>,
    key: String,
    version: &VersionRecord,
    (with_owner, restores): (WithOwner, bool),
) -> Object {
    let mut listed = Object {
        key: Some(key),
        last_modified: Some(convert::timestamp(version.modified)),
        owner: (with_owner == WithOwner::Yes).then(|| owners.shown(&version.owner)),
        ..Default::default()
    };
    if let Some(object) = version.object() {
        listed.size = Some(convert::number(object.size));
        listed.e_tag = Some(convert::etag(object.etag));
        listed.restore_status = restore::status(object, restores);
        listed.storage_class = Some(ObjectStorageClass::from(convert::storage_class_name(object)));
        listed.checksum_algorithm =
            object.checksum.as_ref().map(|checksum| vec![convert::checksum_algorithm(checksum)]);
        listed.checksum_type = object.checksum.as_ref().map(convert::checksum_type);
    }
    listed
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WithOwner {
    Yes,
    No,
}

fn contents(owners: &Owners<'_>, page: &ObjectPage, encoding: Encoding, shown: (WithOwner, bool)) -> ObjectList {
    page.entries.iter().map(|(key, version)| object(owners, encoding.write(key), version, shown)).collect()
}

pub(super) async fn objects(call: &Call<'_>, input: ListObjectsInput) -> Result<S3Response<ListObjectsOutput>> {
    let restores = asks_for_restore_status(input.optional_object_attributes.as_ref())?;
    let asked = Asked::new(input.prefix, input.delimiter, input.encoding_type.as_ref(), ("max-keys", input.max_keys))?;
    let marker = input.marker.unwrap_or_default();
    let owners = call.owners().await?;
    let listed = call.objects().list_objects(call.bucket()?, asked.request(after_key(&marker))).await?;
    let page = &listed.page;
    let encoding = asked.encoding(listed.entries.iter().map(|(key, _)| key.as_str()), &page.common_prefixes, &marker);
    // Without a delimiter the last key is the marker of the next page, and S3 does not repeat it.
    let next = last_key(page).filter(|_| page.is_truncated && asked.delimiter.is_some());
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        // Here, and only here, S3 leaves the prefix as it is; the SDKs know.
        prefix: Some(Encoding::Plain.forced_by(std::iter::once(asked.prefix.as_str())).write(&asked.prefix)),
        marker: Some(encoding.write(&marker)),
        max_keys: Some(asked.max()),
        is_truncated: Some(page.is_truncated),
        contents: Some(contents(&owners, &listed, encoding, (WithOwner::Yes, restores))),
        common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
        delimiter: asked.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
        next_marker: next.map(|key| encoding.write(key)),
        encoding_type: encoding.shown(),
        ..Default::default()
    }))
}

/// Tokens begin with this, so that a client's own idea of one is refused.
const TOKEN: &[u8] = b"k:";

/// A continuation token: opaque to clients, the last line of the page to us.
fn token(key: &str) -> String {
    BASE64.encode([TOKEN, key.as_bytes()].concat())
}

fn parse_token(token: &str) -> Result<String> {
    let bytes = BASE64.decode(token).ok();
    let key = bytes.and_then(|bytes| bytes.strip_prefix(TOKEN).and_then(|key| String::from_utf8(key.to_vec()).ok()));
    key.ok_or_else(|| {
        let message = "The continuation token provided is incorrect";
        Failure::with_message("InvalidArgument", message).with("ArgumentName", "continuation-token")
    })
}

pub(super) async fn objects_v2(call: &Call<'_>, input: ListObjectsV2Input) -> Result<S3Response<ListObjectsV2Output>> {
    let restores = asks_for_restore_status(input.optional_object_attributes.as_ref())?;
    let asked = Asked::new(input.prefix, input.delimiter, input.encoding_type.as_ref(), ("max-keys", input.max_keys))?;
    // A token outweighs where the listing was to begin.
    let start_after = input.start_after.filter(|_| input.continuation_token.is_none());
    let after = match &input.continuation_token {
        Some(token) => After::Key(parse_token(token)?),
        None => after_key(start_after.as_deref().unwrap_or("")),
    };
    let owners = call.owners().await?;
    let listed = call.objects().list_objects(call.bucket()?, asked.request(after)).await?;
    let page = &listed.page;
    let keys = listed.entries.iter().map(|(key, _)| key.as_str());
    let encoding = asked.encoding(keys, &page.common_prefixes, start_after.as_deref().unwrap_or(""));
    let with_owner = if input.fetch_owner == Some(true) { WithOwner::Yes } else { WithOwner::No };
    let count = listed.entries.len() + page.common_prefixes.len();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&asked.prefix)),
        max_keys: Some(asked.max()),
        key_count: Some(convert::number(count as u64)),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.is_truncated),
        next_continuation_token: last_key(page).filter(|_| page.is_truncated).map(token),
        contents: Some(contents(&owners, &listed, encoding, (with_owner, restores))),
        common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
        delimiter: asked.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
        encoding_type: encoding.shown(),
        start_after: start_after.as_deref().map(|key| encoding.write(key)),
        ..Default::default()
    }))
}

/// Where a listing of versions begins.
async fn after_version(
    call: &Call<'_>,
    bucket: &BucketRecord,
    key_marker: &str,
    version_marker: &str,
) -> Result<After<Reverse<u64>>> {
    if version_marker.is_empty() {
        return Ok(after_key(key_marker));
    }
    if key_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(Refusal::invalid_argument("version-id-marker", version_marker, message).into());
    }
    let order = match VersionLabel::parse(version_marker) {
        Some(VersionLabel::Id(id)) => Some(id.order),
        Some(VersionLabel::Null) => null_order(call, bucket, key_marker).await?,
        None => {
            let message = "Invalid version id specified";
            return Err(Refusal::invalid_argument("version-id-marker", version_marker, message).into());
        }
    };
    Ok(match order {
        Some(order) => After::Entry(key_marker.to_owned(), Reverse(order)),
        None => After::Key(key_marker.to_owned()),
    })
}

/// Where a key's null version stands among its versions. It is looked for from the newest on, a page at a time; a key
/// of which it is not there any more is passed over.
async fn null_order(call: &Call<'_>, bucket: &BucketRecord, key: &str) -> Result<Option<u64>> {
    let mut after = After::Start;
    loop {
        let request = Request { prefix: key.to_owned(), delimiter: None, after, max: crate::rules::listing::MAX_PAGE };
        let listed = call.objects().list_versions(bucket, request).await?;
        // Keys that begin with this one come after it.
        for entry in &listed.entries {
            if entry.key != key {
                return Ok(None);
            }
            if entry.version.null {
                return Ok(Some(entry.version.id.order));
            }
        }
        match listed.page.next() {
            Some(next) => after = next,
            None => return Ok(None),
        }
    }
}

pub(super) async fn versions(
    call: &Call<'_>,
    input: ListObjectVersionsInput,
) -> Result<S3Response<ListObjectVersionsOutput>> {
    let restores = asks_for_restore_status(input.optional_object_attributes.as_ref())?;
    let asked = Asked::new(input.prefix, input.delimiter, input.encoding_type.as_ref(), ("max-keys", input.max_keys))?;
    let bucket = call.bucket()?;
    let key_marker = input.key_marker.unwrap_or_default();
    let version_marker = input.version_id_marker.unwrap_or_default();
    let after = after_version(call, bucket, &key_marker, &version_marker).await?;
    let owners = call.owners().await?;
    let listed = call.objects().list_versions(bucket, asked.request(after)).await?;
    let page = &listed.page;
    let keys = listed.entries.iter().map(|entry| entry.key.as_str());
    let encoding = asked.encoding(keys, &page.common_prefixes, &key_marker);
    let next = last_key(page).filter(|_| page.is_truncated);
    let ends_in_version = matches!(page.last, Some(Line::Entry(..))) && page.is_truncated;
    let next_version = listed.entries.last().filter(|_| ends_in_version);
    let (objects, markers): (Vec<_>, Vec<_>) =
        listed.entries.iter().partition(|entry| entry.version.object().is_some());
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&asked.prefix)),
        key_marker: Some(encoding.write(&key_marker)),
        version_id_marker: Some(version_marker),
        max_keys: Some(asked.max()),
        is_truncated: Some(page.is_truncated),
        versions: Some(objects.into_iter().map(|entry| listed_version(&owners, entry, encoding, restores)).collect()),
        delete_markers: Some(markers.into_iter().map(|entry| listed_marker(&owners, entry, encoding)).collect()),
        common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
        delimiter: asked.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
        next_key_marker: next.map(|key| encoding.write(key)),
        next_version_id_marker: next_version.map(|entry| convert::listed_version(&entry.version)),
        encoding_type: encoding.shown(),
        ..Default::default()
    }))
}

fn listed_version(owners: &Owners<'_>, entry: &ListedVersion, encoding: Encoding, restores: bool) -> ObjectVersion {
    let mut listed = ObjectVersion {
        is_latest: Some(entry.latest),
        key: Some(encoding.write(&entry.key)),
        last_modified: Some(convert::timestamp(entry.version.modified)),
        owner: Some(owners.shown(&entry.version.owner)),
        version_id: Some(convert::listed_version(&entry.version)),
        ..Default::default()
    };
    if let Some(object) = entry.version.object() {
        listed.size = Some(convert::number(object.size));
        listed.e_tag = Some(convert::etag(object.etag));
        listed.restore_status = restore::status(object, restores);
        listed.storage_class = Some(ObjectVersionStorageClass::from(convert::storage_class_name(object)));
        listed.checksum_algorithm =
            object.checksum.as_ref().map(|checksum| vec![convert::checksum_algorithm(checksum)]);
        listed.checksum_type = object.checksum.as_ref().map(convert::checksum_type);
    }
    listed
}

fn listed_marker(owners: &Owners<'_>, entry: &ListedVersion, encoding: Encoding) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(entry.latest),
        key: Some(encoding.write(&entry.key)),
        last_modified: Some(convert::timestamp(entry.version.modified)),
        owner: Some(owners.shown(&entry.version.owner)),
        version_id: Some(convert::listed_version(&entry.version)),
    }
}

/// Where a listing of uploads begins. Without a key marker, an upload marker says nothing.
fn after_upload(key_marker: &str, upload_marker: &str) -> Result<After<UploadId>> {
    if key_marker.is_empty() || upload_marker.is_empty() {
        return Ok(after_key(key_marker));
    }
    match UploadId::parse(upload_marker).filter(|id| multipart::is_id_of_key(*id, key_marker)) {
        Some(id) => Ok(After::Entry(key_marker.to_owned(), id)),
        None => Err(Refusal::invalid_argument("upload-id-marker", upload_marker, "Invalid uploadId marker").into()),
    }
}

pub(super) async fn uploads(
    call: &Call<'_>,
    input: ListMultipartUploadsInput,
) -> Result<S3Response<ListMultipartUploadsOutput>> {
    let asked =
        Asked::new(input.prefix, input.delimiter, input.encoding_type.as_ref(), ("max-uploads", input.max_uploads))?;
    let key_marker = input.key_marker.unwrap_or_default();
    let given_upload_marker = input.upload_id_marker.unwrap_or_default();
    let after = after_upload(&key_marker, &given_upload_marker)?;
    let upload_marker = if key_marker.is_empty() { String::new() } else { given_upload_marker };
    let owners = call.owners().await?;
    let listed = call.objects().list_uploads(call.bucket()?, asked.request(after)).await?;
    let page = &listed.page;
    let keys = listed.entries.iter().map(|(key, _)| key.as_str());
    let encoding = asked.encoding(keys, &page.common_prefixes, &key_marker);
    // S3 names the last upload of every page, and nothing where that is a common prefix: a client goes on from there by
    // giving the prefix as its key marker.
    let (next_key, next_upload) = match &page.last {
        Some(Line::Entry(key, id)) => (encoding.write(key), id.to_string()),
        _ => (String::new(), String::new()),
    };
    let written = listed.entries.iter().map(|(key, upload)| listed_upload(&owners, encoding.write(key), upload));
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(encoding.write(&asked.prefix)).filter(|prefix| !prefix.is_empty()),
        key_marker: Some(encoding.write(&key_marker)),
        upload_id_marker: Some(upload_marker),
        max_uploads: Some(asked.max()),
        is_truncated: Some(page.is_truncated),
        uploads: Some(written.collect()),
        common_prefixes: Some(encoding.prefixes(&page.common_prefixes)),
        delimiter: asked.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
        next_key_marker: Some(next_key),
        next_upload_id_marker: Some(next_upload),
        encoding_type: encoding.shown(),
        ..Default::default()
    }))
}

fn listed_upload(owners: &Owners<'_>, key: String, upload: &UploadRecord) -> MultipartUpload {
    let (algorithm, kind) = upload.checksum.unzip();
    let storage_class = upload.attributes.storage_class.clone().unwrap_or_else(|| convert::STANDARD.to_owned());
    MultipartUpload {
        checksum_algorithm: algorithm
            .map(|algorithm| ChecksumAlgorithm::from_static(crate::rules::checksums::name(algorithm))),
        checksum_type: kind.map(|kind| ChecksumType::from_static(crate::rules::checksums::type_name(kind))),
        initiated: Some(convert::timestamp(upload.initiated)),
        initiator: Some(owners.initiator(&upload.initiator)),
        key: Some(key),
        owner: Some(owners.shown(&upload.owner)),
        storage_class: Some(StorageClass::from(storage_class)),
        upload_id: Some(upload.id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_opaque_and_come_back() {
        assert_eq!(parse_token(&token("a/b\u{1}")).ok().as_deref(), Some("a/b\u{1}"));
        for bad in ["", "key", "a2V5", "!"] {
            assert!(parse_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_that_xml_cannot_hold_force_the_encoding() {
        assert_eq!(Encoding::Plain.forced_by(["a b", "é"].into_iter()), Encoding::Plain);
        assert_eq!(Encoding::Plain.forced_by(["a", "b\u{1}"].into_iter()), Encoding::Url);
        assert_eq!(Encoding::Url.write("a b"), "a%20b");
        assert!(Encoding::parse(Some(&EncodingType::from("value".to_owned()))).is_err());
        assert!(Encoding::parse(Some(&EncodingType::from(String::new()))).is_err());
    }

    #[test]
    fn an_upload_marker_needs_its_key() {
        assert_eq!(after_upload("", "00").ok(), Some(After::Start));
        assert_eq!(after_upload("k", "").ok(), Some(After::Key("k".to_owned())));
        assert!(after_upload("k", "nonsense").is_err());
        let id = multipart::id_for_key(UploadId { order: 1, salt: 2 }, "k");
        assert_eq!(after_upload("k", &id.to_string()).ok(), Some(After::Entry("k".to_owned(), id)));
        assert!(after_upload("l", &id.to_string()).is_err(), "an upload of another key");
    }
}
