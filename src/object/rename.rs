//! Renaming: the object leaves its key and takes its place at another, in one commit. No reader sees it at both keys,
//! or at neither. Its bytes are not touched, and it keeps its times, its entity tag and whatever it says of itself.
//!
//! Amazon S3 offers this on directory buckets, which have no versions. Here it works on every bucket: what the
//! object's old key keeps in a bucket with versioning is what a deletion keeps, a delete marker over the old version,
//! and at the new key it is a new version.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use storage::index::records::{BucketRecord, Content, ObjectRecord, RenameRecord, VersionRecord};
use storage::store::{Change, Edit, KeyView, Outcome, RenameToken, Staged};
use storage::types::Timestamp;

use super::delete::{Decision, head_after};
use super::event::{EventName, Origin, Told, telling};
use super::get::Opened;
use super::restore::unrestored;
use super::{ATTEMPTS, Objects, Result, contention, known, no_such_key};
use crate::rules::conditions::{ReadConditions, Subject};
use crate::rules::{object_key, rename, versioning};

/// How long a client token is remembered, in milliseconds: a day, as completed uploads are.
const TOKEN_MILLISECONDS: i64 = 86_400_000;

/// A rename.
#[derive(Clone, Debug)]
pub struct RenameObject {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key that the object has.
    pub source: String,
    /// The key that it gets.
    pub key: String,
    /// The canonical id of the account that renames: the owner of a delete marker.
    pub owner: String,
    /// What must hold of the object.
    pub source_conditions: ReadConditions,
    /// What must hold of the object that is replaced.
    pub destination: rename::Destination,
    /// The client's name for this rename: repeating it does nothing.
    pub token: Option<String>,
    /// Who renames. Events tell of it as of a copy and a deletion.
    pub origin: Arc<Origin>,
}

impl RenameObject {
    /// What a repetition must agree in.
    fn fingerprint(&self) -> [u8; 32] {
        let said = format!(
            "{:?}",
            (&self.source, &self.key, &self.source_conditions, &self.destination.conditions, self.destination.absent)
        );
        Sha256::digest(said.as_bytes()).into()
    }
}

impl Objects {
    /// Gives an object another key.
    pub async fn rename_object(&self, request: RenameObject) -> Result<()> {
        rename::check_keys(&request.source, &request.key)?;
        object_key::check(&request.key)?;
        if let Some(token) = &request.token {
            rename::check_token(token)?;
        }
        for _ in 0..ATTEMPTS {
            let now = Timestamp::now();
            let token = self.token_of(&request).await?;
            if let Some(done) = token.as_ref().and_then(|token| token.done.as_ref())
                && done.completed.0 > now.0 - TOKEN_MILLISECONDS
            {
                return Ok(rename::repeated(done.fingerprint, request.fingerprint())?);
            }
            let (from, to) =
                (self.view(&request.bucket, &request.source).await?, self.view(&request.bucket, &request.key).await?);
            let Some((version, object)) = renamed(&request, &from, &to, now)? else {
                return Err(no_such_key(&request.source));
            };
            let mut object = object;
            let keys = (request.source.as_str(), request.key.as_str());
            self.rebind(&request.bucket, keys, &mut object.attributes).await?;
            let Some(staged) = self.share(&request, &version, &object).await? else { continue };
            let to = self.arrival(to, &version, object, staged, &request.origin).await?;
            let from = match self.delete_current(from, &request.owner, &request.origin).await? {
                Decision::Commit(edit, _) => *edit,
                Decision::Nothing(_) => continue,
            };
            let record = RenameRecord { fingerprint: request.fingerprint(), completed: now };
            let token = token.as_ref().map(|token| (token, &record));
            match self.store.rename(from, to, token).await? {
                Outcome::Committed => return Ok(()),
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
                Outcome::Conflict(_) => {}
            }
        }
        Err(contention())
    }

    async fn token_of(&self, request: &RenameObject) -> Result<Option<RenameToken>> {
        let Some(token) = &request.token else { return Ok(None) };
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        Ok(Some(self.store.rename_token(request.bucket.id, &digest).await?))
    }

    /// The object's data for another version; `None` when it has gone since it was read.
    async fn share(
        &self,
        request: &RenameObject,
        version: &VersionRecord,
        object: &ObjectRecord,
    ) -> Result<Option<Staged>> {
        Ok(match self.open(&request.bucket, &request.source, version, object).await? {
            None => None,
            Some(Opened::Reader(reader)) => Some(reader.into_staged()),
            Some(Opened::Inline(bytes)) => {
                let mut writer = self.store.object_writer(Some(bytes.len() as u64));
                writer.write(bytes).await?;
                Some(writer.finish().await?)
            }
        })
    }

    /// The edit at the key that the object gets. Its annotations need no pin: the commit requires that the object is
    /// still at its old key, which keeps them.
    async fn arrival(
        &self,
        view: KeyView,
        version: &VersionRecord,
        object: ObjectRecord,
        staged: Staged,
        origin: &Origin,
    ) -> Result<Edit> {
        let null_order = view.head.as_ref().and_then(|head| head.null_order);
        let replacement = versioning::replace(view.bucket.versioning, view.current.as_ref().map(known), null_order);
        let mut arrived = VersionRecord {
            id: self.store.next_id(view.last_order()),
            null: replacement.null,
            modified: version.modified,
            owner: version.owner.clone(),
            content: Content::Object(object),
        };
        self.lock_new_version(&view.bucket, &mut arrived).await?;
        let mut changes = self.make_way(&view, replacement).await?;
        let head = head_after(&view, replacement, arrived.id.order);
        let told = Told { time: Timestamp::now(), ..Told::written(view.bucket.versioning, &arrived) };
        let event = self.event(&view, EventName::ObjectCreatedCopy, origin, told).await?;
        let bucket = view.bucket.clone();
        let task = self.placement(&bucket, &view.key, &arrived);
        changes.push(Change::PutCurrent(arrived, staged));
        let mut edit = view.edit(changes, head);
        if let Some(task) = task {
            edit.add_task(&task);
        }
        self.hold_to_quota(&bucket, &mut edit).await?;
        Ok(telling(edit, event))
    }
}

/// The object that is renamed, if all conditions hold; `None` if there is none.
fn renamed(
    request: &RenameObject,
    from: &KeyView,
    to: &KeyView,
    now: Timestamp,
) -> Result<Option<(VersionRecord, ObjectRecord)>> {
    let Some(version) = from.current.clone() else { return Ok(None) };
    // A restored copy is the version's that goes.
    let Some(object) = unrestored(&version) else { return Ok(None) };
    let subject = Subject { etag: &object.etag, modified: version.modified };
    rename::check_source(&request.source_conditions, subject, now)?;
    let replaced = to.current.as_ref().and_then(|version| {
        let object = version.object()?;
        Some(Subject { etag: &object.etag, modified: version.modified })
    });
    request.destination.check(replaced, now)?;
    Ok(Some((version, object)))
}
