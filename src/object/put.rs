//! Writing an object, and what every operation that makes a new version has in common.

use storage::index::records::{Attributes, BucketRecord, Content, ETag, ObjectRecord, VersionRecord};
use storage::store::{Change, Edit, KeyView, Outcome, Staged};
use storage::types::Timestamp;

use super::body::Expected;
use super::encryption::{Encrypting, set_encryption};
use super::event::{Cause, Told, telling};
use super::sealed::Writer;
use super::{ATTEMPTS, Body, Integrity, Objects, Result, VersionLabel, contention, current_state, known};
use crate::encryption::frames::{Position, sealed_length};
use crate::rules::checksums::Plan;
use crate::rules::conditions::WriteCondition;
use crate::rules::tagging::{self, Tagged};
use crate::rules::{metadata, object_key, versioning};

/// The greatest object that one PUT, or one part, may carry: 5 GiB.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(super) const MAX_PUT_BYTES: u64 = 5 << 30;

/// An object to write.
pub struct PutObject {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The canonical id of the account that will own the object.
    pub owner: String,
    /// What the object says about itself.
    pub attributes: Attributes,
    /// What must hold of the key's current object.
    pub condition: WriteCondition,
    /// What the client said about the bytes.
    pub integrity: Integrity,
    /// The body's length, where the client said it.
    pub length: Option<u64>,
    /// What it is encrypted with.
    pub encryption: Encrypting,
    /// Who writes, and how it is called in events: `ObjectCreated:Put` or `ObjectCreated:Post`.
    pub cause: Cause,
}

/// Where a new version goes, and whose it is.
pub(super) struct NewVersion<'a> {
    pub bucket: &'a BucketRecord,
    pub key: &'a str,
    /// The canonical id of the account that will own it.
    pub owner: &'a str,
    pub condition: &'a WriteCondition,
    pub cause: &'a Cause,
}

/// A version that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The version.
    pub version: VersionRecord,
    /// As answers name it; not at all where it is the `null` version.
    pub label: Option<VersionLabel>,
}

impl Objects {
    /// Writes an object: durable, and visible as a whole, when it answers.
    pub async fn put_object(&self, request: PutObject, body: Body) -> Result<Written> {
        let PutObject { bucket, key, owner, mut attributes, condition, integrity, length, encryption, cause } = request;
        check_new_object(&key, &attributes)?;
        if condition != WriteCondition::Unconditional {
            // Decided again at the commit; this only spares the client an upload that is lost already.
            let view = self.view(&bucket, &key).await?;
            condition.check(&key, current_state(self.newest(&view).await?.as_ref()))?;
        }
        self.refuse_early(&bucket, &key, length).await?;
        let expected = Expected {
            plan: Plan::for_object(integrity.declared),
            content_md5: integrity.content_md5,
            trailer: integrity.trailer,
            length,
            limit: MAX_PUT_BYTES,
        };
        let sealing = self.begin_sealing(&bucket, &key, &encryption).await?;
        set_encryption(&mut attributes, sealing.as_ref().map(|sealing| &sealing.record));
        let stored = length.map(|length| if sealing.is_some() { sealed_length(length) } else { length });
        let sealing_key = sealing.as_ref().map(|sealing| &sealing.key);
        let writer = Writer::new(self.object_writer(&bucket, stored).await?, sealing_key, Position::Whole)?;
        let received = self.receive(body, writer, expected).await?;
        let md5 = sealing.as_ref().map_or(received.md5, |sealing| sealing.tag(received.md5));
        let object = ObjectRecord {
            size: received.size,
            etag: ETag { md5, parts: None },
            data: received.staged.data(),
            checksum: Some(received.checksum),
            attributes,
            annotations: None,
            restore: None,
        };
        let new = NewVersion { bucket: &bucket, key: &key, owner: &owner, condition: &condition, cause: &cause };
        self.put_version(new, object, received.staged).await
    }

    /// Makes staged data the current version of a key.
    pub(super) async fn put_version(
        &self,
        new: NewVersion<'_>,
        object: ObjectRecord,
        mut staged: Staged,
    ) -> Result<Written> {
        let NewVersion { bucket, key, owner, condition, cause } = new;
        for _ in 0..ATTEMPTS {
            let view = self.view(bucket, key).await?;
            if *condition != WriteCondition::Unconditional {
                condition.check(key, current_state(self.newest(&view).await?.as_ref()))?;
            }
            let (edit, written) = self.put_edit(view, owner, object.clone(), staged, cause).await?;
            match self.store.commit(edit).await? {
                Outcome::Committed => {
                    self.place(bucket, key, &written.version).await;
                    return Ok(written);
                }
                Outcome::Conflict(Some(again)) => staged = again,
                Outcome::Conflict(None) => return Err(contention()),
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
            }
        }
        Err(contention())
    }

    /// The edit that puts a new version on top of those that are there.
    pub(super) async fn put_edit(
        &self,
        view: KeyView,
        owner: &str,
        object: ObjectRecord,
        staged: Staged,
        cause: &Cause,
    ) -> Result<(Edit, Written)> {
        let null_order = view.head.as_ref().and_then(|head| head.null_order);
        let replacement = versioning::replace(view.bucket.versioning, view.current.as_ref().map(known), null_order);
        let mut version = VersionRecord {
            id: self.store.next_id(view.last_order()),
            null: replacement.null,
            modified: Timestamp::now(),
            owner: owner.to_owned(),
            content: Content::Object(object),
        };
        self.lock_new_version(&view.bucket, &mut version).await?;
        let label =
            VersionLabel::in_bucket(view.bucket.versioning, &version).filter(|label| *label != VersionLabel::Null);
        let mut changes = self.make_way(&view, replacement).await?;
        let head = super::delete::head_after(&view, replacement, version.id.order);
        let told = Told::written(view.bucket.versioning, &version);
        let event = self.event(&view, cause.event, &cause.origin, told).await?;
        changes.push(Change::PutCurrent(version.clone(), staged));
        let bucket = view.bucket.clone();
        let task = self.placement(&bucket, &view.key, &version);
        let mut edit = telling(view.edit(changes, head), event);
        if let Some(task) = task {
            edit.add_task(&task);
        }
        self.hold_to_quota(&bucket, &mut edit).await?;
        Ok((edit, Written { version, label }))
    }
}

/// What S3 requires of a new object before any byte of it is read.
pub(super) fn check_new_object(key: &str, attributes: &Attributes) -> Result<()> {
    object_key::check(key)?;
    metadata::check_user_metadata(&attributes.metadata)?;
    metadata::check_headers(&attributes.headers)?;
    tagging::check(Tagged::Object, &attributes.tags)?;
    Ok(())
}
