//! What clients ask for beside writing, copying and deleting: renaming, appending, annotations, limits, and what the
//! server does with an object's bytes when they move.

use bytes::Bytes;
use storage::index::keys::Usage;
use storage::index::records::{
    AnnotationRecord, Annotations, Checksum, ChecksumAlgorithm, ChecksumType, Content, Data, Head, ObjectRecord,
    PartRecord, RenameRecord, VersionRecord,
};
use storage::store::{Appended, Change, KeyView, Outcome, Staged};
use storage::types::{Timestamp, VersionId};
use storage::{Result, StoreError};

use super::client::{Client, event, telling};
use super::tier::TIER;

/// Annotations by name, with their payloads.
pub type Notes = Vec<(String, Bytes)>;

impl Client {
    async fn current_object(&self, bucket: &str, key: &str) -> Result<(KeyView, VersionRecord, ObjectRecord)> {
        let view = self.view(bucket, key).await?;
        let version = view.current.clone().ok_or(StoreError::Conflict)?;
        let object = version.object().cloned().ok_or(StoreError::Conflict)?;
        Ok((view, version, object))
    }

    /// Writes an object, if all versions of the bucket together then have at most `max` bytes.
    pub async fn put_within(&self, bucket: &str, key: &str, body: &Bytes, max: u64) -> Result<Option<VersionId>> {
        let staged = self.receive(body).await?;
        let view = self.view(bucket, key).await?;
        let (mut edit, version) = self.put_edit(view, staged).await?;
        edit.limit_usage(Usage::Bytes, max);
        match self.store.commit(edit).await? {
            Outcome::Committed => Ok(Some(version.id)),
            Outcome::OverQuota(_) => Ok(None),
            Outcome::Conflict(_) => Err(StoreError::Conflict),
        }
    }

    /// Appends to an object.
    pub async fn append(&self, bucket: &str, key: &str, body: &Bytes) -> Result<VersionId> {
        let mut writer = self.store.part_writer(Some(body.len() as u64));
        writer.write(body.clone()).await?;
        let mut staged = writer.finish().await?;
        let part = PartRecord {
            number: 0,
            size: staged.size(),
            md5: [0; 16],
            checksum: None,
            modified: Timestamp(1),
            data: staged.data(),
        };
        let (view, version, object) = self.current_object(bucket, key).await?;
        let mut data = object.data;
        if data == Data::Inline {
            let bytes = self.store.inline(view.bucket.id, key, version.id).await?.ok_or(StoreError::Conflict)?;
            let moved = self.store.stage_payload(bytes).await?;
            data = moved.data();
            staged.absorb(moved);
        }
        let appended = Appended { object: &object, modified: version.modified, data, part: &part };
        let staged = self.store.append(appended, staged).await?;
        self.put_staged(bucket, key, staged).await
    }

    /// Gives an object another key; the client's name for it is remembered.
    pub async fn rename(&self, bucket: &str, from: &str, to: &str) -> Result<VersionId> {
        let (source, version, _) = self.current_object(bucket, from).await?;
        let digest = [u8::try_from(from.len()).unwrap_or(0); 32];
        let token = self.store.rename_token(source.bucket.id, &digest).await?;
        let staged = self.share(bucket, from, version.id).await?;
        let target = self.view(bucket, to).await?;
        let (arrival, arrived) = self.put_edit(target, staged).await?;
        let gone = event("delete", source.bucket.id, from);
        let removal = telling(source.edit(vec![Change::RemoveCurrent], None), gone);
        let record = RenameRecord { fingerprint: digest, completed: Timestamp(1) };
        match self.store.rename(removal, arrival, Some((&token, &record))).await? {
            Outcome::Committed => Ok(arrived.id),
            _ => Err(StoreError::Conflict),
        }
    }

    /// Gives a version these annotations in place of those that it has.
    pub async fn annotate(&self, bucket: &str, key: &str, id: VersionId, notes: &Notes) -> Result<()> {
        let view = self.view(bucket, key).await?;
        let was = self.version(&view.bucket, key, id).await?.ok_or(StoreError::Conflict)?;
        let object = was.object().cloned().ok_or(StoreError::Conflict)?;
        let (mut records, mut payloads) = (Vec::new(), None::<Staged>);
        for (name, payload) in notes {
            let staged = self.store.stage_payload(payload.clone()).await?;
            let value = vec![0; 4];
            let kind = ChecksumType::FullObject;
            records.push(AnnotationRecord {
                name: name.clone(),
                size: payload.len() as u64,
                md5: [0; 16],
                checksum: Checksum { algorithm: ChecksumAlgorithm::Crc32, kind, value },
                modified: Timestamp(1),
                data: staged.data(),
            });
            match &mut payloads {
                None => payloads = Some(staged),
                Some(payloads) => payloads.absorb(staged),
            }
        }
        let (list, staged) = if records.is_empty() {
            (None, None)
        } else {
            let (list, staged) = self.store.stage_annotations(&records, payloads).await?;
            (Some(list), Some(staged))
        };
        let version =
            VersionRecord { content: Content::Object(ObjectRecord { annotations: list, ..object }), ..was.clone() };
        let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
        let told = event("annotate", view.bucket.id, key);
        let edit = telling(view.edit(vec![Change::Annotate { version, was, staged }], head), told);
        match self.store.commit(edit).await? {
            Outcome::Committed => Ok(()),
            _ => Err(StoreError::Conflict),
        }
    }

    /// The annotations in a list.
    pub async fn notes(&self, list: &Annotations) -> Result<Notes> {
        let mut notes = Vec::new();
        for record in self.store.annotations(list).await?.ok_or(StoreError::Conflict)? {
            notes.push((record.name, self.read_data(record.data, record.size, 0..record.size).await?));
        }
        Ok(notes)
    }

    /// The bytes of a current version go to the tier.
    pub async fn send_to_tier(&self, bucket: &str, key: &str) -> Result<()> {
        let (view, was, object) = self.current_object(bucket, key).await?;
        let sent = self.store.send_to_tier(TIER, object.data, object.size).await?.ok_or(StoreError::Conflict)?;
        self.move_data(view, was, object, sent).await
    }

    /// The bytes of a current version come back.
    pub async fn bring_back(&self, bucket: &str, key: &str) -> Result<()> {
        let (view, was, object) = self.current_object(bucket, key).await?;
        let back = self.store.bring_back(object.data, object.size).await?.ok_or(StoreError::Conflict)?;
        self.move_data(view, was, object, back).await
    }

    async fn move_data(&self, view: KeyView, was: VersionRecord, object: ObjectRecord, staged: Staged) -> Result<()> {
        let object = ObjectRecord { data: staged.data(), ..object };
        let version = VersionRecord { content: Content::Object(object), ..was.clone() };
        let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
        let edit = view.edit(vec![Change::Move { version, was, staged: Some(staged) }], head);
        match self.store.commit(edit).await? {
            Outcome::Committed => Ok(()),
            _ => Err(StoreError::Conflict),
        }
    }
}
