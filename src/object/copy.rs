//! Copies: a new reference to the same data, whatever its size.

use std::sync::Arc;

use futures_util::StreamExt;
use storage::index::records::{
    Attributes, BucketRecord, Checksum, ChecksumAlgorithm, ChecksumType, ETag, ObjectRecord, VersionRecord,
};
use storage::store::Staged;
use storage::types::Timestamp;

use super::body::Expected;
use super::encryption::{CustomerKey, Encrypting, Scheme, Sealing, encryption_of, set_encryption};
use super::event::{Cause, EventName, Origin};
use super::get::{ObjectBody, Opened};
use super::multipart::{body_of_copy, own_failure};
use super::put::{NewVersion, Written, check_new_object};
use super::sealed::Writer;
use super::{ATTEMPTS, Objects, Result, VersionLabel, contention};
use crate::encryption::DataKey;
use crate::encryption::frames::{Position, sealed_length};
use crate::rules::Refusal;
use crate::rules::checksums::{ChecksumHasher, Plan};
use crate::rules::conditions::{CopySourceConditions, Subject, WriteCondition};

/// Among an object's headers, where it redirects to as a page of a website.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>, "x-amz-website-redirect-location"
const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";

/// What is copied.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its bucket.
    pub bucket: BucketRecord,
    /// Its key.
    pub key: String,
    /// Its version; else the current one.
    pub version: Option<VersionLabel>,
    /// What must hold of it.
    pub conditions: CopySourceConditions,
    /// The client's key, of SSE-C.
    pub customer: Option<CustomerKey>,
}

/// What the copy says about itself.
#[derive(Clone, Debug, Default)]
pub struct CopyAttributes {
    /// Headers and user metadata that replace the source's (directive REPLACE). Its tags and storage class do not count.
    pub replaced: Option<Attributes>,
    /// Tags that replace the source's.
    pub tags: Option<Vec<(String, String)>>,
    /// The storage class that the client names; a copy does not inherit the source's.
    pub storage_class: NewStorageClass,
    /// Where the copy, as a page, redirects to; it does not inherit the source's, whatever the directive.
    pub redirect_location: Option<String>,
    /// What is kept with the copy: its access control list.
    pub sub_resources: Vec<(u8, Vec<u8>)>,
    /// Whether the copy has the source's annotations.
    pub annotations: CopiedAnnotations,
}

/// The annotations of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopiedAnnotations {
    /// The source's.
    #[default]
    Copied,
    /// None.
    Excluded,
}

/// The storage class of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NewStorageClass {
    /// The client names none: STANDARD.
    #[default]
    Unnamed,
    /// The client names it; `None` is STANDARD. Naming one counts as a change, even if it is the same.
    Named(Option<String>),
}

/// A copy to make.
pub struct CopyObject {
    /// What is copied.
    pub source: Source,
    /// The destination's bucket.
    pub bucket: BucketRecord,
    /// The destination's key.
    pub key: String,
    /// The canonical id of the account that will own the copy.
    pub owner: String,
    /// What the copy says about itself.
    pub attributes: CopyAttributes,
    /// What must hold of the destination's current object.
    pub condition: WriteCondition,
    /// The checksum algorithm that the copy is to have.
    pub checksum: Option<ChecksumAlgorithm>,
    /// What the copy is encrypted with.
    pub encryption: Encrypting,
    /// Who copies.
    pub origin: Arc<Origin>,
}

/// A copy that was made.
#[derive(Clone, Debug)]
pub struct Copied {
    /// The new version.
    pub written: Written,
    /// The version that was copied, in a versioned bucket.
    pub source: Option<VersionLabel>,
}

impl Objects {
    /// Copies an object. The data is shared, not moved; only a checksum that the source does not have costs a read.
    pub async fn copy_object(&self, request: CopyObject) -> Result<Copied> {
        let CopyObject { source, bucket, key, owner, attributes, condition, checksum, encryption, origin } = request;
        let cause = Cause { event: EventName::ObjectCreatedCopy, origin };
        for _ in 0..ATTEMPTS {
            let (version, object) = self.copy_source(&source).await?;
            let place = (&source.bucket, source.key.as_str());
            let from = self.data_key(place, &object.attributes, source.customer.as_ref()).await?;
            let encrypts = !matches!(encryption, Encrypting::Default);
            check_changes(&source, (&bucket, &key), &attributes, encrypts)?;
            let mut new_attributes = destination_attributes(&object.attributes, &attributes);
            check_new_object(&key, &new_attributes)?;
            let Some(opened) = self.open(&source.bucket, &source.key, &version, &object).await? else { continue };
            let to = self.sealing_of_copy(&bucket, &key, &encryption, from.as_ref()).await?;
            set_encryption(&mut new_attributes, to.as_ref().map(|to| &to.record));
            let class = new_attributes.storage_class.as_deref();
            if !shares(&object, from.as_ref(), to.as_ref())? || !self.may_stay(&object, class).await? {
                let copied = Rewritten { bucket: &bucket, object: &object, opened, from, to: to.as_ref(), checksum };
                let with = attributes.annotations == CopiedAnnotations::Copied;
                let Some((copy, staged)) = self.rewrite(copied, new_attributes, with).await? else { continue };
                let new =
                    NewVersion { bucket: &bucket, key: &key, owner: &owner, condition: &condition, cause: &cause };
                let written = self.put_version(new, copy, staged).await?;
                return Ok(Copied { written, source: VersionLabel::in_bucket(source.bucket.versioning, &version) });
            }
            let checksum = match checksum {
                Some(algorithm) if object.checksum.as_ref().is_none_or(|known| known.algorithm != algorithm) => {
                    let Some(computed) =
                        self.compute_checksum(&source, &version, &object, algorithm, from.as_ref()).await?
                    else {
                        continue;
                    };
                    Some(computed)
                }
                _ => object.checksum.clone(),
            };
            let staged = match opened {
                Opened::Reader(reader) => reader.into_staged(),
                Opened::Inline(bytes) => {
                    let mut writer = self.store.object_writer(Some(bytes.len() as u64));
                    writer.write(bytes).await?;
                    writer.finish().await?
                }
            };
            let mut staged = staged;
            let annotations = object.annotations.filter(|_| attributes.annotations == CopiedAnnotations::Copied);
            if let Some(list) = &annotations
                && !self.store.keep_annotations(list, &mut staged).await?
            {
                continue;
            }
            let copy = ObjectRecord { checksum, attributes: new_attributes, annotations, restore: None, ..object };
            let new = NewVersion { bucket: &bucket, key: &key, owner: &owner, condition: &condition, cause: &cause };
            let written = self.put_version(new, copy, staged).await?;
            return Ok(Copied { written, source: VersionLabel::in_bucket(source.bucket.versioning, &version) });
        }
        Err(contention())
    }

    /// Whether a copy of this class can have its source's bytes where they are: here, or in the tier of its class.
    async fn may_stay(&self, object: &ObjectRecord, class: Option<&str>) -> Result<bool> {
        let Some(tier) = self.store.tier_of(object.data).await? else { return Ok(true) };
        let same = self.tiers.serving(class).is_some_and(|serving| serving.settings.name == tier);
        Ok(same && object.restored().is_none())
    }

    /// What a copy is sealed with: a copy of what is sealed already keeps the data key, wrapped anew.
    async fn sealing_of_copy(
        &self,
        bucket: &BucketRecord,
        key: &str,
        encryption: &Encrypting,
        from: Option<&DataKey>,
    ) -> Result<Option<Sealing>> {
        let Some(from) = from else { return self.begin_sealing(bucket, key, encryption).await };
        let record = self.wrap_for(bucket, key, encryption, from).await?;
        Ok(record.map(|record| Sealing { record, key: from.clone() }))
    }

    /// A copy whose bytes are not the source's: opened, sealed, or with another kind of entity tag.
    async fn rewrite(
        &self,
        copied: Rewritten<'_>,
        attributes: Attributes,
        with_annotations: bool,
    ) -> Result<Option<(ObjectRecord, Staged)>> {
        let Rewritten { bucket, object, opened, from, to, checksum } = copied;
        let Some(body) = self.body_of(object, opened, from.clone(), 0..object.size).await? else { return Ok(None) };
        let known = object.checksum.as_ref().map(|known| known.algorithm);
        let expected = Expected {
            plan: Plan::for_copied_part(checksum.or(known)),
            content_md5: None,
            trailer: None,
            length: Some(object.size),
            limit: object.size,
        };
        let stored = if to.is_some() { sealed_length(object.size) } else { object.size };
        let writer = self.object_writer(bucket, Some(stored)).await?;
        let writer = Writer::new(writer, to.map(|to| &to.key), Position::Whole)?;
        let received = self.receive(body_of_copy(body), writer, expected).await.map_err(own_failure)?;
        let md5 = to.map_or(received.md5, |to| to.tag(received.md5));
        let mut copy = ObjectRecord {
            size: received.size,
            etag: ETag { md5, parts: None },
            data: received.staged.data(),
            checksum: Some(received.checksum),
            attributes,
            annotations: None,
            restore: None,
        };
        let mut staged = received.staged;
        if with_annotations {
            let Some(copied) = self.copy_annotations(object, from.as_ref(), to, &mut copy).await? else {
                return Ok(None);
            };
            if let Some(annotations) = copied {
                staged.absorb(annotations);
            }
        }
        Ok(Some((copy, staged)))
    }

    /// The version that is copied, if its conditions hold.
    pub(super) async fn copy_source(&self, source: &Source) -> Result<(VersionRecord, ObjectRecord)> {
        let (version, object) = match self.find_object(&source.bucket, &source.key, source.version).await {
            Err(super::Error::DeleteMarker { addressed: super::Addressed::Version, .. }) => {
                return Err(Refusal::invalid_request(
                    "The source of a copy request may not specifically refer to a delete marker by version id.",
                )
                .into());
            }
            found => found?,
        };
        let subject = Subject { etag: &object.etag, modified: version.modified };
        source.conditions.check(subject, Timestamp::now())?;
        self.check_readable(&object)?;
        Ok((version, object))
    }

    async fn compute_checksum(
        &self,
        source: &Source,
        version: &VersionRecord,
        object: &ObjectRecord,
        algorithm: ChecksumAlgorithm,
        key: Option<&DataKey>,
    ) -> Result<Option<Checksum>> {
        let mut hasher = ChecksumHasher::new(algorithm);
        let Some(opened) = self.open(&source.bucket, &source.key, version, object).await? else { return Ok(None) };
        let Some(body) = self.body_of(object, opened, key.cloned(), 0..object.size).await? else { return Ok(None) };
        match body {
            ObjectBody::Bytes(bytes) => hasher.update(&bytes),
            ObjectBody::Stream(mut stream) => {
                while let Some(piece) = stream.next().await {
                    let piece = piece?;
                    let digest = move || {
                        hasher.update(&piece);
                        hasher
                    };
                    hasher = self.store.hash_pool().run(digest).await;
                }
            }
        }
        Ok(Some(Checksum { algorithm, kind: ChecksumType::FullObject, value: hasher.finish() }))
    }
}

/// A copy that is written anew.
struct Rewritten<'a> {
    /// Where the copy goes.
    bucket: &'a BucketRecord,
    object: &'a ObjectRecord,
    opened: Opened,
    from: Option<DataKey>,
    to: Option<&'a Sealing>,
    checksum: Option<ChecksumAlgorithm>,
}

/// Whether a copy can have its source's bytes: sealed or not as they are, under an entity tag of the same kind.
fn shares(object: &ObjectRecord, from: Option<&DataKey>, to: Option<&Sealing>) -> Result<bool> {
    let is_md5 = |scheme: Option<Scheme>| scheme.is_none_or(|scheme| scheme == Scheme::S3);
    let source = encryption_of(&object.attributes)?.map(|known| known.scheme);
    Ok(from.is_some() == to.is_some() && is_md5(source) == is_md5(to.map(|to| to.record.scheme)))
}

fn destination_attributes(source: &Attributes, wanted: &CopyAttributes) -> Attributes {
    let described = wanted.replaced.as_ref().unwrap_or(source);
    let mut headers = described.headers.clone();
    headers.retain(|(name, _)| name != REDIRECT_LOCATION);
    headers.extend(wanted.redirect_location.clone().map(|location| (REDIRECT_LOCATION.to_owned(), location)));
    Attributes {
        headers,
        metadata: described.metadata.clone(),
        tags: wanted.tags.as_ref().unwrap_or(&source.tags).clone(),
        storage_class: match &wanted.storage_class {
            NewStorageClass::Unnamed => None,
            NewStorageClass::Named(class) => class.clone(),
        },
        // What the source has of its own, its access control list for one, is not the copy's.
        sub_resources: wanted.sub_resources.clone(),
    }
}

/// A copy onto itself must change something.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
fn check_changes(source: &Source, to: (&BucketRecord, &str), wanted: &CopyAttributes, encrypts: bool) -> Result<()> {
    let onto_itself = source.bucket.id == to.0.id && source.key == to.1 && source.version.is_none();
    let changes = encrypts
        || wanted.replaced.is_some()
        || wanted.tags.is_some()
        || wanted.redirect_location.is_some()
        || wanted.storage_class != NewStorageClass::Unnamed;
    if onto_itself && !changes {
        return Err(Refusal::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
        )
        .into());
    }
    Ok(())
}
