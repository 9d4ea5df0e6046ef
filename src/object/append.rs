//! Appending to an object. Its bytes so far are kept by reference; a version with all of them and the new ones takes its
//! place, in one commit that requires that it is still what was appended to. So of several appends at one offset one
//! wins, and the others are told that the object has another size now.

use bytes::Bytes;
use storage::index::records::{BucketRecord, Checksum, ChecksumType, Data, ObjectRecord, PartRecord, VersionRecord};
use storage::store::{Appended, Outcome, Staged};
use storage::types::Timestamp;

use super::body::{Expected, Received};
use super::encryption::{Encrypting, encryption_of};
use super::get::Opened;
use super::put::{MAX_PUT_BYTES, NewVersion, Written};
use super::sealed::Writer;
use super::{ATTEMPTS, Body, Integrity, Objects, PutObject, Result, contention, current_state};
use crate::rules::checksums::{DEFAULT, Plan};
use crate::rules::conditions::WriteCondition;
use crate::rules::multipart::MAX_OBJECT_BYTES;
use crate::rules::{Code, Refusal, append, object_key};

/// Bytes to append.
pub struct AppendObject {
    /// As for an object that is written. What it says of itself counts only where there is no object yet: else the
    /// object stays what it is, with more bytes.
    pub object: PutObject,
    /// Where the bytes begin: the object's size.
    pub offset: u64,
}

/// What an append continues.
struct Base<'a> {
    bucket: &'a BucketRecord,
    key: &'a str,
    version: &'a VersionRecord,
    object: &'a ObjectRecord,
}

impl Objects {
    /// Appends to an object, or makes it.
    pub async fn append_object(&self, request: AppendObject, body: Body) -> Result<Written> {
        let AppendObject {
            object: PutObject { bucket, key, owner, attributes, condition, integrity, length, encryption, cause },
            offset,
        } = request;
        object_key::check(&key)?;
        let view = self.view(&bucket, &key).await?;
        let newest = self.newest(&view).await?;
        condition.check(&key, current_state(newest.as_ref()))?;
        let Some(existing) = view.current.as_ref().and_then(VersionRecord::object) else {
            append::check_offset(offset, None)?;
            // Of two that make the object, the second must find that it is there.
            let condition =
                if condition == WriteCondition::Unconditional { WriteCondition::IfAbsent } else { condition };
            let request = PutObject { bucket, key, owner, attributes, condition, integrity, length, encryption, cause };
            return Box::pin(self.put_object(request, body)).await.map_err(|error| made_meanwhile(error, offset));
        };
        append::check_offset(offset, Some(existing.size))?;
        refuse_sealed(existing, &encryption)?;
        append::etag(existing.etag, existing.size, [0; 16])?;
        let algorithm = existing.checksum.as_ref().map_or(DEFAULT, |checksum| checksum.algorithm);
        let received = self.receive_appended(&bucket, body, integrity, length, algorithm).await?;
        let new = NewVersion { bucket: &bucket, key: &key, owner: &owner, condition: &condition, cause: &cause };
        self.commit_append(new, offset, received).await
    }

    async fn receive_appended(
        &self,
        bucket: &BucketRecord,
        body: Body,
        integrity: Integrity,
        length: Option<u64>,
        stored: storage::index::records::ChecksumAlgorithm,
    ) -> Result<Received> {
        let expected = Expected {
            plan: Plan { stored, declared: integrity.declared },
            content_md5: integrity.content_md5,
            trailer: integrity.trailer,
            length,
            limit: MAX_PUT_BYTES,
        };
        self.receive(body, Writer::plain(self.part_writer(bucket, length).await?), expected).await
    }

    async fn commit_append(&self, new: NewVersion<'_>, offset: u64, received: Received) -> Result<Written> {
        let NewVersion { bucket, key, condition, cause, .. } = new;
        let part = PartRecord {
            number: 0,
            size: received.staged.size(),
            md5: received.md5,
            checksum: Some(received.checksum),
            modified: Timestamp::now(),
            data: received.staged.data(),
        };
        let mut staged = received.staged;
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            let newest = self.newest(&view).await?;
            condition.check(key, current_state(newest.as_ref()))?;
            let Some((version, object)) = view.current.clone().and_then(|version| {
                let object = version.object()?.clone();
                Some((version, object))
            }) else {
                return Err(append::check_offset(offset, None).err().unwrap_or_else(changed).into());
            };
            self.check_readable(&object)?;
            append::check_offset(offset, Some(object.size))?;
            refuse_sealed(&object, &Encrypting::Default)?;
            let base = Base { bucket, key, version: &version, object: &object };
            let etag = append::etag(object.etag, object.size, part.md5)?;
            let size = object.size.saturating_add(part.size);
            if size > MAX_OBJECT_BYTES {
                let limit = MAX_OBJECT_BYTES.to_string();
                return Err(Refusal::from(Code::EntityTooLarge).with("MaxSizeAllowed", limit).into());
            }
            let Some((data, with)) = self.data_of(&base, staged).await? else { return Err(changed().into()) };
            let appended = Appended { object: &object, modified: version.modified, data, part: &part };
            staged = self.store.append(appended, with).await?;
            let checksum = self.checksum_after(&object, &part).await?;
            let after = ObjectRecord { size, etag, data: staged.data(), checksum, restore: None, ..object.clone() };
            let (edit, written) = self.put_edit(view, &version.owner, after, staged, cause).await?;
            match self.store.commit(edit).await? {
                Outcome::Committed => return Ok(written),
                Outcome::Conflict(Some(again)) => staged = again,
                Outcome::Conflict(None) => return Err(contention()),
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
            }
        }
        Err(contention())
    }

    /// Where the bytes so far are: those that lie beside their record, which are few, are written where parts are.
    /// `None` when the version has gone meanwhile.
    async fn data_of(&self, base: &Base<'_>, mut staged: Staged) -> Result<Option<(Data, Staged)>> {
        if base.object.data != Data::Inline {
            return Ok(Some((base.object.data, staged)));
        }
        let opened = self.open(base.bucket, base.key, base.version, base.object).await?;
        let Some(Opened::Inline(bytes)) = opened else { return Ok(None) };
        let moved = self.store.stage_payload(Bytes::clone(&bytes)).await?;
        let data = moved.data();
        staged.absorb(moved);
        Ok(Some((data, staged)))
    }

    /// The checksum of the object with the new part.
    async fn checksum_after(&self, object: &ObjectRecord, part: &PartRecord) -> Result<Option<Checksum>> {
        let (Some(before), Some(added)) = (&object.checksum, &part.checksum) else { return Ok(None) };
        if append::keeps_full_checksum(Some(before)) {
            let combined = append::combined(before, object.size, added, part.size);
            return Ok(Some(combined.ok_or_else(changed)?));
        }
        let Data::Parts(list) = object.data else {
            let whole = Checksum { kind: ChecksumType::FullObject, ..before.clone() };
            let parts = [(Some(&whole), object.size), (Some(added), part.size)];
            let parts = parts.into_iter().filter(|(_, size)| *size > 0);
            return Ok(append::composite(before.algorithm, parts));
        };
        let mut parts = self.store.object_parts(list, usize::from(u16::MAX)).await?;
        parts.push(part.clone());
        Ok(append::composite(before.algorithm, parts.iter().map(|part| (part.checksum.as_ref(), part.size))))
    }
}

/// An object that is encrypted is not appended to, and one that is not stays so.
fn refuse_sealed(object: &ObjectRecord, encryption: &Encrypting) -> Result<()> {
    if encryption_of(&object.attributes)?.is_none() && matches!(encryption, Encrypting::Default) {
        return Ok(());
    }
    Err(Refusal::new(Code::NotImplemented, "Appending to encrypted objects is not implemented.").into())
}

/// The object was replaced by one that cannot be continued with these bytes.
fn changed() -> Refusal {
    Code::ConditionalRequestConflict.into()
}

/// Another has made the object first: then there is no end at this offset any more.
fn made_meanwhile(error: super::Error, offset: u64) -> super::Error {
    match &error {
        super::Error::Refused(refusal) if refusal.code == Code::PreconditionFailed => {
            Refusal::from(Code::InvalidWriteOffset).with("WriteOffsetBytes", offset.to_string()).into()
        }
        _ => error,
    }
}
