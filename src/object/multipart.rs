//! Multipart uploads.

use std::sync::Arc;

use storage::StoreError;
use storage::index::records::{
    Attributes, BucketRecord, ChecksumAlgorithm, ChecksumType, CompletedUpload, Data, ObjectRecord, PartRecord,
    UploadRecord,
};
use storage::store::{Completion, OpenUpload, Outcome, Staged};
use storage::types::{Timestamp, UploadId};

use super::body::Expected;
use super::copy::Source;
use super::encryption::{CustomerKey, Encrypting, Scheme, Sealing, encryption_of, key_not_applicable, set_encryption};
use super::event::{Cause, EventName, Origin};
use super::get::{ObjectBody, Opened, PartPage};
use super::put::{MAX_PUT_BYTES, Written, check_new_object};
use super::sealed::{Writer, plain_size};
use super::{ATTEMPTS, Body, Error, Integrity, Objects, Result, VersionLabel, contention, current_state};
use crate::encryption::frames::{Position, sealed_length};
use crate::rules::checksums::{Claimed, Plan};
use crate::rules::conditions::{Initiation, KeyThen, WriteCondition};
use crate::rules::multipart::{self, NamedPart};
use crate::rules::{Refusal, range};

/// An upload to open.
pub struct CreateUpload {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The canonical id of the account that initiates it.
    pub initiator: String,
    /// The canonical id of the account that will own the object.
    pub owner: String,
    /// What the object will say about itself.
    pub attributes: Attributes,
    /// The checksum algorithm and type, where the client names them.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// What the object is encrypted with.
    pub encryption: Encrypting,
}

/// A part to write.
pub struct UploadPart {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The upload, as the client names it.
    pub upload_id: String,
    /// The part's number: 1 to 10 000.
    pub number: u16,
    /// What the client said about the bytes.
    pub integrity: Integrity,
    /// The body's length, where the client said it.
    pub length: Option<u64>,
    /// The client's key, of SSE-C.
    pub customer: Option<CustomerKey>,
}

/// A part to copy from an object.
pub struct UploadPartCopy {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The upload, as the client names it.
    pub upload_id: String,
    /// The part's number: 1 to 10 000.
    pub number: u16,
    /// What is copied.
    pub source: Source,
    /// The header `x-amz-copy-source-range`.
    pub range: Option<String>,
    /// The client's key of the upload, of SSE-C.
    pub customer: Option<CustomerKey>,
}

/// A completion.
pub struct CompleteUpload {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The canonical id of the account that will own the object, where it is not the one that the upload was
    /// initiated with.
    pub owner: Option<String>,
    /// The upload, as the client names it.
    pub upload_id: String,
    /// The parts that the object is made of.
    pub parts: Vec<NamedPart>,
    /// What must hold of the key's current object.
    pub condition: WriteCondition,
    /// The header `x-amz-checksum-type`.
    pub checksum_type: Option<String>,
    /// The object's checksum as the client sent it: algorithm and value.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// The header `x-amz-mp-object-size`.
    pub object_size: Option<u64>,
    /// The client's key, of SSE-C.
    pub customer: Option<CustomerKey>,
    /// Who completes.
    pub origin: Arc<Origin>,
}

impl Objects {
    /// Opens an upload.
    pub async fn create_upload(&self, request: CreateUpload) -> Result<UploadRecord> {
        let CreateUpload { bucket, key, initiator, owner, mut attributes, checksum, encryption } = request;
        check_new_object(&key, &attributes)?;
        let sealing = self.begin_sealing(&bucket, &key, &encryption).await?;
        set_encryption(&mut attributes, sealing.as_ref().map(|sealing| &sealing.record));
        for _ in 0..ATTEMPTS {
            let view = self.view(&bucket, &key).await?;
            let record = UploadRecord {
                id: multipart::id_for_key(self.store.next_id(view.last_order()), &key),
                initiated: Timestamp::now(),
                initiator: initiator.clone(),
                owner: owner.clone(),
                attributes: attributes.clone(),
                checksum,
                key_had_object: view.current.is_some(),
            };
            match self.store.create_upload(&bucket, &key, &record).await {
                Ok(()) => return Ok(record),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contention())
    }

    /// The open upload of this name.
    pub async fn upload(&self, bucket: &BucketRecord, key: &str, upload_id: &str) -> Result<OpenUpload> {
        let id = UploadId::parse(upload_id).ok_or_else(|| Refusal::no_such_upload(upload_id))?;
        let upload = self.store.upload(bucket.id, key, id).await?;
        upload.ok_or_else(|| Refusal::no_such_upload(upload_id).into())
    }

    /// Writes a part, in place of an earlier one of the same number.
    pub async fn upload_part(&self, request: UploadPart, body: Body) -> Result<PartRecord> {
        let upload = self.upload(&request.bucket, &request.key, &request.upload_id).await?;
        let algorithm = upload.record.checksum.map(|(algorithm, _)| algorithm);
        self.refuse_early(&request.bucket, &request.key, request.length).await?;
        let expected = Expected {
            plan: Plan::for_part(request.integrity.declared, algorithm)?,
            content_md5: request.integrity.content_md5,
            trailer: request.integrity.trailer,
            length: request.length,
            limit: MAX_PUT_BYTES,
        };
        let sealing = self.sealing_of(&request.bucket, &upload, request.customer.as_ref()).await?;
        self.receive_part((&request.bucket, &upload), request.number, sealing.as_ref(), body, expected).await
    }

    /// What the parts of an upload are sealed with.
    async fn sealing_of(
        &self,
        bucket: &BucketRecord,
        upload: &OpenUpload,
        customer: Option<&CustomerKey>,
    ) -> Result<Option<Sealing>> {
        let attributes = &upload.record.attributes;
        let Some(record) = encryption_of(attributes)? else {
            return if customer.is_some() { Err(key_not_applicable().into()) } else { Ok(None) };
        };
        let key = self.data_key((bucket, &upload.key), attributes, customer).await?;
        Ok(key.map(|key| Sealing { record, key }))
    }

    async fn receive_part(
        &self,
        (bucket, upload): (&BucketRecord, &OpenUpload),
        number: u16,
        sealing: Option<&Sealing>,
        body: Body,
        expected: Expected,
    ) -> Result<PartRecord> {
        let stored = expected.length.map(|length| if sealing.is_some() { sealed_length(length) } else { length });
        let key = sealing.map(|sealing| &sealing.key);
        let writer = Writer::new(self.part_writer(bucket, stored).await?, key, Position::Part(number))?;
        let received = self.receive(body, writer, expected).await?;
        let part = PartRecord {
            number,
            size: received.staged.size(),
            md5: sealing.map_or(received.md5, |sealing| sealing.tag(received.md5)),
            checksum: Some(received.checksum),
            modified: Timestamp::now(),
            data: received.staged.data(),
        };
        self.put_part(upload, part, received.staged).await
    }

    async fn put_part(&self, upload: &OpenUpload, part: PartRecord, staged: Staged) -> Result<PartRecord> {
        match self.store.put_part(upload, part.clone(), staged).await {
            Ok(()) => Ok(part),
            Err(StoreError::Conflict) => Err(Refusal::no_such_upload(&upload.record.id.to_string()).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies an object, or a range of it, into a part. A whole object whose digests are known is shared, not read.
    pub async fn upload_part_copy(&self, request: UploadPartCopy) -> Result<(PartRecord, Option<VersionLabel>)> {
        let upload = self.upload(&request.bucket, &request.key, &request.upload_id).await?;
        let plan = Plan::for_copied_part(upload.record.checksum.map(|(algorithm, _)| algorithm));
        let sealing = self.sealing_of(&request.bucket, &upload, request.customer.as_ref()).await?;
        for _ in 0..ATTEMPTS {
            let (version, object) = self.copy_source(&request.source).await?;
            let label = VersionLabel::in_bucket(request.source.bucket.versioning, &version);
            let extent = match request.range.as_deref() {
                Some(header) => {
                    let extent = range::copy_source(header, object.size)?;
                    extent.start..extent.end_inclusive + 1
                }
                None => 0..object.size,
            };
            multipart::check_upload_size(extent.end - extent.start)?;
            let source = &request.source;
            let place = (&source.bucket, source.key.as_str());
            let key = self.data_key(place, &object.attributes, source.customer.as_ref()).await?;
            let Some(opened) = self.open(&source.bucket, &source.key, &version, &object).await? else { continue };
            let whole = extent == (0..object.size);
            let same_checksum = object.checksum.as_ref().is_some_and(|known| known.algorithm == plan.stored);
            let part = match opened {
                Opened::Reader(reader)
                    if whole
                        && object.restored().is_none()
                        && same_checksum
                        && object.etag.parts.is_none()
                        && key.is_none()
                        && sealing.is_none() =>
                {
                    let part = PartRecord {
                        number: request.number,
                        size: object.size,
                        md5: object.etag.md5,
                        checksum: object.checksum.clone(),
                        modified: Timestamp::now(),
                        data: object.data,
                    };
                    self.put_part(&upload, part, reader.into_staged()).await?
                }
                opened => {
                    let length = extent.end - extent.start;
                    let Some(body) = self.body_of(&object, opened, key, extent.clone()).await? else { continue };
                    let body = body_of_copy(body);
                    let expected =
                        Expected { plan, content_md5: None, trailer: None, length: Some(length), limit: MAX_PUT_BYTES };
                    self.receive_part((&request.bucket, &upload), request.number, sealing.as_ref(), body, expected)
                        .await
                        .map_err(own_failure)?
                }
            };
            // A checksum that nobody asked for is not told; the completion will need it.
            let told = if upload.record.checksum.is_some() { part.checksum.clone() } else { None };
            return Ok((PartRecord { checksum: told, ..part }, label));
        }
        Err(contention())
    }

    /// Makes the object of an upload's parts visible. No byte is copied. Repeating it answers the same again, for a day.
    pub async fn complete_upload(&self, request: CompleteUpload) -> Result<Written> {
        let event = EventName::ObjectCreatedCompleteMultipartUpload;
        let cause = Cause { event, origin: Arc::clone(&request.origin) };
        for _ in 0..ATTEMPTS {
            let upload = match self.upload(&request.bucket, &request.key, &request.upload_id).await {
                Err(Error::Refused(refusal)) => return self.completed_before(&request, refusal).await,
                upload => upload?,
            };
            self.check_completing(&request, &upload).await?;
            let completion = self.store.completion(upload).await?;
            let (object, parts) = assembled_object(&request, &completion)?;
            let view = self.view(&request.bucket, &request.key).await?;
            let newest = self.newest(&view).await?;
            let record = &completion.upload.record;
            let owner = request.owner.as_deref().unwrap_or(&record.owner);
            let key_then = if record.key_had_object { KeyThen::Present } else { KeyThen::Absent };
            let initiation = Initiation { upload: record.id, key: key_then };
            request.condition.check_completion(&request.key, current_state(newest.as_ref()), initiation)?;
            let staged = self.store.assemble(&parts).await?;
            let object = ObjectRecord { data: staged.data(), ..object };
            let (edit, written) = self.put_edit(view, owner, object, staged, &cause).await?;
            let became = CompletedUpload {
                bucket: request.bucket.id,
                key: request.key.clone(),
                version: written.version.clone(),
                completed: Timestamp::now(),
            };
            match self.store.complete_upload(edit, &completion, &became).await? {
                Outcome::Committed => {
                    self.place(&request.bucket, &request.key, &written.version).await;
                    return Ok(written);
                }
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
                Outcome::Conflict(_) => {}
            }
        }
        Err(contention())
    }

    /// Whether the client's key is that of the upload.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>, "SSECustomerKey"
    async fn check_completing(&self, request: &CompleteUpload, upload: &OpenUpload) -> Result<()> {
        let attributes = &upload.record.attributes;
        let scheme = encryption_of(attributes)?.map(|known| known.scheme);
        if scheme == Some(Scheme::Customer) || request.customer.is_some() {
            self.data_key((&request.bucket, &request.key), attributes, request.customer.as_ref()).await?;
        }
        Ok(())
    }

    /// What the same completion answered before, if there was one.
    async fn completed_before(&self, request: &CompleteUpload, refusal: Refusal) -> Result<Written> {
        let Some(id) = UploadId::parse(&request.upload_id) else { return Err(refusal.into()) };
        match self.store.completed_upload(id).await? {
            Some(became) if became.bucket == request.bucket.id && became.key == request.key => {
                let label = VersionLabel::in_bucket(request.bucket.versioning, &became.version)
                    .filter(|label| *label != VersionLabel::Null);
                Ok(Written { version: became.version, label })
            }
            _ => Err(refusal.into()),
        }
    }

    /// Ends an upload without an object.
    pub async fn abort_upload(&self, bucket: &BucketRecord, key: &str, upload_id: &str) -> Result<()> {
        let upload = self.upload(bucket, key, upload_id).await?;
        match self.store.abort_upload(&upload).await {
            Err(StoreError::Conflict) => Err(Refusal::no_such_upload(upload_id).into()),
            outcome => Ok(outcome?),
        }
    }

    /// The parts of an open upload: those after the part number `after`, at most `limit`.
    pub async fn list_parts(
        &self,
        bucket: &BucketRecord,
        key: &str,
        upload_id: &str,
        after: u16,
        limit: usize,
    ) -> Result<(UploadRecord, PartPage)> {
        let upload = self.upload(bucket, key, upload_id).await?;
        let mut parts = self.store.parts(upload.record.id, after, limit + 1).await?;
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        if encryption_of(&upload.record.attributes)?.is_some() {
            for part in &mut parts {
                part.size = plain_size(part.size)?;
            }
        }
        let total = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        Ok((upload.record, PartPage { parts, total, truncated }))
    }
}

/// The object that a completion asks for, its data still to be put together, and the parts that it is made of.
fn assembled_object(request: &CompleteUpload, completion: &Completion) -> Result<(ObjectRecord, Vec<PartRecord>)> {
    let upload = &completion.upload.record;
    let value = request.checksum.as_ref().map(|(algorithm, text)| (*algorithm, text.as_str()));
    let asked = multipart::Completion {
        upload_id: &request.upload_id,
        checksum: upload.checksum,
        parts: &request.parts,
        claimed: Claimed { kind: request.checksum_type.as_deref(), value },
        object_size: request.object_size,
    };
    let sealed = encryption_of(&upload.attributes)?.is_some();
    let plain = |part: &PartRecord| {
        let size = if sealed { plain_size(part.size)? } else { part.size };
        Ok(PartRecord { size, ..part.clone() })
    };
    let shown = completion.parts.iter().map(plain).collect::<Result<Vec<_>>>()?;
    let completed = asked.check(&shown)?;
    let object = ObjectRecord {
        size: completed.size,
        etag: completed.etag,
        data: Data::Empty,
        checksum: Some(completed.checksum),
        attributes: upload.attributes.clone(),
        annotations: None,
        restore: None,
    };
    let stored = |shown: &PartRecord| completion.parts.iter().find(|part| part.number == shown.number).cloned();
    Ok((object, completed.parts.into_iter().filter_map(stored).collect()))
}

/// What is copied as the body of what is written.
pub(super) fn body_of_copy(body: ObjectBody) -> Body {
    match body {
        ObjectBody::Bytes(bytes) => Box::pin(futures_util::stream::iter([Ok(bytes)])),
        ObjectBody::Stream(stream) => {
            Box::pin(futures_util::StreamExt::map(*stream, |piece| piece.map_err(Into::into)))
        }
    }
}

/// A copy's source is read by ourselves: that it fails is not the client's doing.
pub(super) fn own_failure(error: Error) -> Error {
    match error {
        Error::Body(inner) => match inner.downcast::<StoreError>() {
            Ok(store) => Error::Store(*store),
            Err(other) => Error::Body(other),
        },
        other => other,
    }
}
