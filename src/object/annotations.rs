//! Annotations: named payloads beside an object's version, which the object's own bytes, entity tag and times know
//! nothing of. They go where their version goes: a copy has them, a deletion takes them along.

use storage::index::records::{
    AnnotationRecord, Annotations, BucketRecord, Content, Head, ObjectRecord, VersionRecord,
};
use storage::store::{Change, KeyView, Outcome, Staged};

use super::annotation_payload::Payload;
use super::encryption::CustomerKey;
use super::get::ObjectBody;
use super::{ATTEMPTS, Body, Integrity, Objects, Result, VersionLabel, contention};
use crate::encryption::DataKey;
use crate::rules::{Code, Refusal, annotation, etag};

/// A version whose annotations are asked for, or changed.
#[derive(Clone, Debug)]
pub struct Annotated {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The version; else the current one.
    pub version: Option<VersionLabel>,
    /// The client's key, of SSE-C: what payloads of such objects are sealed with.
    pub customer: Option<CustomerKey>,
}

/// A change of one annotation.
#[derive(Clone, Debug)]
pub struct AnnotationChange {
    /// Of which version.
    pub of: Annotated,
    /// The annotation's name.
    pub name: String,
    /// The entity tag that the object must have: `x-amz-object-if-match`.
    pub if_match: Option<String>,
}

/// A payload to store.
pub struct NewAnnotation {
    /// Where.
    pub change: AnnotationChange,
    /// What the client said about the bytes.
    pub integrity: Integrity,
    /// The payload's length, where the client said it.
    pub length: Option<u64>,
}

/// A page of names to list.
#[derive(Clone, Debug)]
pub struct ListAnnotations {
    /// Of which version.
    pub of: Annotated,
    /// What names begin with.
    pub prefix: String,
    /// The name after which the page starts.
    pub after: Option<String>,
    /// Annotations on the page.
    pub limit: usize,
}

/// A page of annotations.
#[derive(Clone, Debug)]
pub struct AnnotationPage {
    /// By name.
    pub annotations: Vec<AnnotationRecord>,
    /// The last name of the page, when there are more.
    pub next: Option<String>,
    /// The version, in a bucket with versions.
    pub label: Option<VersionLabel>,
}

impl Objects {
    /// Writes an annotation, in place of one of the same name.
    pub async fn put_annotation(
        &self,
        request: NewAnnotation,
        body: Body,
    ) -> Result<(AnnotationRecord, Option<VersionLabel>)> {
        let NewAnnotation { change, integrity, length } = request;
        annotation::check_name(&change.name)?;
        let (version, object) = self.find_annotated(&change.of).await?;
        check_match(&change, &object)?;
        self.key_of_annotated(&change.of, &object).await?;
        drop(version);
        let Payload { bytes, record: plain } = self.receive_payload(&change.name, body, integrity, length).await?;
        for _ in 0..ATTEMPTS {
            let view = self.view(&change.of.bucket, &change.of.key).await?;
            let (version, object) = self.find_annotated(&change.of).await?;
            check_match(&change, &object)?;
            // The object may be another than at the attempt before, under another key.
            let key = self.key_of_annotated(&change.of, &object).await?;
            let (record, payload) = self.stage_annotation(&plain, &bytes, key.as_ref(), &object).await?;
            let Some(mut all) = self.annotations_of(&object).await? else { continue };
            match all.binary_search_by(|known| known.name.as_str().cmp(&record.name)) {
                Ok(place) => {
                    if let Some(known) = all.get_mut(place) {
                        *known = record.clone();
                    }
                }
                Err(_) if all.len() >= annotation::MAX_ANNOTATIONS => {
                    return Err(Code::AnnotationLimitExceeded.into());
                }
                Err(place) => all.insert(place, record.clone()),
            }
            let (list, staged) = self.store.stage_annotations(&all, Some(payload)).await?;
            let label = VersionLabel::in_bucket(view.bucket.versioning, &version);
            match self.annotate(view, (version, object), Some((list, staged))).await? {
                Outcome::Committed => return Ok((record, label)),
                Outcome::Conflict(_) => {}
                Outcome::OverQuota(over) => return Err(super::quota::refused(over)),
            }
        }
        Err(contention())
    }

    /// Removes an annotation. That it is not there is no error.
    pub async fn delete_annotation(&self, change: AnnotationChange) -> Result<Option<VersionLabel>> {
        annotation::check_name(&change.name)?;
        for _ in 0..ATTEMPTS {
            let view = self.view(&change.of.bucket, &change.of.key).await?;
            let (version, object) = self.find_annotated(&change.of).await?;
            check_match(&change, &object)?;
            let label = VersionLabel::in_bucket(view.bucket.versioning, &version);
            let Some(mut all) = self.annotations_of(&object).await? else { continue };
            let before = all.len();
            all.retain(|known| known.name != change.name);
            if all.len() == before {
                return Ok(label);
            }
            let list = if all.is_empty() { None } else { Some(self.store.stage_annotations(&all, None).await?) };
            if let Outcome::Committed = self.annotate(view, (version, object), list).await? {
                return Ok(label);
            }
        }
        Err(contention())
    }

    /// An annotation and its payload.
    pub async fn get_annotation(
        &self,
        of: &Annotated,
        name: &str,
    ) -> Result<(AnnotationRecord, Option<VersionLabel>, ObjectBody)> {
        annotation::check_name(name)?;
        for _ in 0..ATTEMPTS {
            let (version, object) = self.find_annotated(of).await?;
            let label = VersionLabel::in_bucket(of.bucket.versioning, &version);
            let Some(all) = self.annotations_of(&object).await? else { continue };
            let Some(record) = all.into_iter().find(|known| known.name == name) else {
                return Err(Refusal::from(Code::NoSuchAnnotation).with("AnnotationName", name).into());
            };
            let key = self.key_of_annotated(of, &object).await?;
            let Some(body) = self.payload_of(&record, key.as_ref()).await? else { continue };
            return Ok((record, label, body));
        }
        Err(contention())
    }

    /// A page of a version's annotations.
    pub async fn list_annotations(&self, request: ListAnnotations) -> Result<AnnotationPage> {
        annotation::check_prefix(&request.prefix)?;
        for _ in 0..ATTEMPTS {
            let (version, object) = self.find_annotated(&request.of).await?;
            let label = VersionLabel::in_bucket(request.of.bucket.versioning, &version);
            let Some(all) = self.annotations_of(&object).await? else { continue };
            let wanted = |record: &AnnotationRecord| {
                record.name.starts_with(&request.prefix)
                    && request.after.as_ref().is_none_or(|after| record.name > *after)
            };
            let mut annotations: Vec<_> = all.into_iter().filter(wanted).collect();
            let more = annotations.len() > request.limit;
            annotations.truncate(request.limit);
            let next = annotations.last().filter(|_| more).map(|record| record.name.clone());
            return Ok(AnnotationPage { annotations, next, label });
        }
        Err(contention())
    }

    /// The key of the object's streams, of its annotations' too.
    async fn key_of_annotated(&self, of: &Annotated, object: &ObjectRecord) -> Result<Option<DataKey>> {
        self.data_key((&of.bucket, &of.key), &object.attributes, of.customer.as_ref()).await
    }

    async fn find_annotated(&self, of: &Annotated) -> Result<(VersionRecord, ObjectRecord)> {
        self.find_object(&of.bucket, &of.key, of.version).await
    }

    /// All annotations of an object, by name; `None` when they were replaced since its record was read.
    pub(super) async fn annotations_of(&self, object: &ObjectRecord) -> Result<Option<Vec<AnnotationRecord>>> {
        match &object.annotations {
            None => Ok(Some(Vec::new())),
            Some(list) => Ok(self.store.annotations(list).await?),
        }
    }

    /// Commits another list for a version.
    async fn annotate(
        &self,
        view: KeyView,
        (was, object): (VersionRecord, ObjectRecord),
        list: Option<(Annotations, Staged)>,
    ) -> Result<Outcome> {
        let (annotations, staged) = list.unzip();
        let version = VersionRecord { content: Content::Object(ObjectRecord { annotations, ..object }), ..was.clone() };
        let is_current = view.current.as_ref() == Some(&was);
        let is_stale = !is_current && view.current.as_ref().is_some_and(|current| current.id == was.id);
        if is_stale {
            return Ok(Outcome::Conflict(staged));
        }
        let head = view.head.clone().map(|head| Head { generation: head.generation + 1, ..head });
        let change = Change::Annotate { version, was, staged };
        let bucket = view.bucket.clone();
        let mut edit = view.edit(vec![change], head);
        self.hold_to_quota(&bucket, &mut edit).await?;
        Ok(self.store.commit(edit).await?)
    }
}

fn check_match(change: &AnnotationChange, object: &ObjectRecord) -> Result<()> {
    match &change.if_match {
        Some(text) if !etag::is(&object.etag, text) => {
            Err(Refusal::precondition_failed("x-amz-object-if-match").into())
        }
        _ => Ok(()),
    }
}
