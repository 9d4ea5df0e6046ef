//! Reading: GET, HEAD, attributes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use storage::StoreError;
use storage::index::records::{BucketRecord, Data, ObjectRecord, PartRecord, VersionRecord};
use storage::store::{DataReader, DataStream};
use storage::types::{ManifestId, Timestamp};

use super::encryption::{CustomerKey, encryption_of};
use super::sealed::{OpeningStream, plain_size};
use super::{ATTEMPTS, Addressed, Error, Objects, Result, VersionLabel, contention, no_such_key};
use crate::rules::conditions::{ReadConditions, ReadOutcome, Subject};
use crate::rules::range::{self, Resolved};
use crate::rules::{Refusal, multipart};

/// A GET or HEAD.
#[derive(Clone, Debug)]
pub struct ReadObject {
    /// The bucket.
    pub bucket: BucketRecord,
    /// The key.
    pub key: String,
    /// The version; else the current one.
    pub version: Option<VersionLabel>,
    /// What must hold.
    pub conditions: ReadConditions,
    /// The `Range` header.
    pub range: Option<String>,
    /// Only this part.
    pub part_number: Option<u16>,
    /// The client's key, of SSE-C.
    pub customer: Option<CustomerKey>,
}

/// The bytes that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The first byte's offset in the object.
    pub start: u64,
    /// How many bytes.
    pub length: u64,
    /// Whether this answers a range or a part.
    pub partial: bool,
}

/// An object that may be read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its version.
    pub version: VersionRecord,
    /// Its content.
    pub object: ObjectRecord,
    /// The version as answers name it.
    pub label: Option<VersionLabel>,
    /// What of it is served.
    pub served: Served,
    /// How many parts it has, when a part was asked for.
    pub parts_count: Option<u32>,
}

/// The bytes of a GET.
pub enum ObjectBody {
    /// All of them.
    Bytes(Bytes),
    /// One piece after the other, verified.
    Stream(Box<ByteStream>),
}

/// The bytes of a range as a stream.
pub struct ByteStream(Origin);

/// Where they come from.
enum Origin {
    /// The store, as they are.
    Plain(DataStream),
    /// The store, sealed; and what was opened already.
    Sealed(Option<Bytes>, Box<OpeningStream>),
}

impl ByteStream {
    pub(super) fn new(stream: DataStream) -> Self {
        Self(Origin::Plain(stream))
    }

    pub(super) fn opening(stream: OpeningStream) -> Self {
        Self(Origin::Sealed(None, Box::new(stream)))
    }

    /// Opens the first bytes, so that data which does not open is known before an answer begins.
    pub(super) async fn begin(mut self) -> Result<Self> {
        if let Origin::Sealed(first @ None, stream) = &mut self.0 {
            *first = std::future::poll_fn(|cx| stream.poll_next(cx)).await.transpose()?;
        }
        Ok(self)
    }

    /// Bytes still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        match &self.0 {
            Origin::Plain(stream) => stream.remaining(),
            Origin::Sealed(first, stream) => stream.remaining() + first.as_ref().map_or(0, |first| first.len() as u64),
        }
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Origin::Plain(stream) => stream.poll_next(cx),
            Origin::Sealed(first, stream) => match first.take() {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None => stream.poll_next(cx),
            },
        }
    }
}

/// A page of an object's parts.
#[derive(Clone, Debug)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<PartRecord>,
    /// How many parts there are in all.
    pub total: u32,
    /// Whether there are more after these.
    pub truncated: bool,
}

/// An object's data, pinned.
pub(super) enum Opened {
    Inline(Bytes),
    Reader(DataReader),
}

impl Objects {
    /// What a HEAD answers.
    pub async fn head_object(&self, request: ReadObject) -> Result<Found> {
        let (version, object) = self.find_object(&request.bucket, &request.key, request.version).await?;
        self.check_customer((&request.bucket, &request.key), &object, request.customer.as_ref()).await?;
        self.serve(&request, version, object).await
    }

    /// What a GET answers.
    pub async fn get_object(&self, request: ReadObject) -> Result<(Found, ObjectBody)> {
        for _ in 0..ATTEMPTS {
            let (version, object) = self.find_object(&request.bucket, &request.key, request.version).await?;
            let place = (&request.bucket, request.key.as_str());
            let key = self.data_key(place, &object.attributes, request.customer.as_ref()).await?;
            self.check_readable(&object)?;
            let found = self.serve(&request, version, object).await?;
            let Some(opened) = self.open(&request.bucket, &request.key, &found.version, &found.object).await? else {
                continue;
            };
            let range = found.served.start..found.served.start + found.served.length;
            let Some(body) = self.body_of(&found.object, opened, key, range).await? else { continue };
            return Ok((found, body));
        }
        Err(contention())
    }

    /// The parts of an object that was uploaded in parts: those after the part number `after`, at most `limit`.
    pub async fn object_parts(&self, found: &Found, after: u16, limit: usize) -> Result<PartPage> {
        let Data::Parts(manifest) = found.object.data else {
            return Ok(PartPage { parts: Vec::new(), total: 0, truncated: false });
        };
        // Parts may be numbered with gaps, so the page begins where the numbers pass `after`.
        let all = self.parts_of(&found.object, manifest).await?;
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let mut parts: Vec<_> = all.into_iter().filter(|part| part.number > after).collect();
        let truncated = parts.len() > limit;
        parts.truncate(limit);
        Ok(PartPage { parts, total, truncated })
    }

    /// All parts of an object, with the sizes that they have for clients.
    async fn parts_of(&self, object: &ObjectRecord, list: ManifestId) -> Result<Vec<PartRecord>> {
        let mut parts = self.store.object_parts(list, usize::from(u16::MAX)).await?;
        if encryption_of(&object.attributes)?.is_some() {
            for part in &mut parts {
                part.size = plain_size(part.size)?;
            }
        }
        Ok(parts)
    }

    /// The version that is asked for, which must be an object.
    pub(super) async fn find_object(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
    ) -> Result<(VersionRecord, ObjectRecord)> {
        let record = self.find_version(bucket, key, version).await?;
        if let Some(object) = record.object().cloned() {
            return Ok((record, object));
        }
        let addressed = if version.is_some() { Addressed::Version } else { Addressed::Current };
        let version = VersionLabel::of(&record);
        Err(Error::DeleteMarker { key: key.to_owned(), version, modified: record.modified, addressed })
    }

    async fn find_version(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: Option<VersionLabel>,
    ) -> Result<VersionRecord> {
        let current = self.store.current(bucket.id, key).await?;
        let Some(label) = version else {
            if let Some(current) = current {
                return Ok(current);
            }
            // Without a current version the newest, if there is any, is a delete marker. The view is one consistent
            // read of both: a write between two reads must not make an old version look current.
            let view = self.view(bucket, key).await?;
            return self.newest(&view).await?.ok_or_else(|| no_such_key(key));
        };
        if let Some(current) = current.filter(|current| VersionLabel::of(current) == label) {
            return Ok(current);
        }
        let view = self.view(bucket, key).await?;
        let found = match &view.current {
            Some(current) if VersionLabel::of(current) == label => Some(current.clone()),
            _ => self.noncurrent_labelled(&view, label).await?,
        };
        found.ok_or_else(|| Refusal::no_such_version(key, &label.to_string()).into())
    }

    async fn serve(&self, request: &ReadObject, version: VersionRecord, object: ObjectRecord) -> Result<Found> {
        let label = VersionLabel::in_bucket(request.bucket.versioning, &version);
        let subject = Subject { etag: &object.etag, modified: version.modified };
        match request.conditions.decide(subject, Timestamp::now()) {
            ReadOutcome::Proceed => {}
            ReadOutcome::NotModified => {
                return Err(Error::NotModified { etag: object.etag, modified: version.modified, version: label });
            }
            failed @ ReadOutcome::PreconditionFailed(_) => failed.into_result()?,
        }
        let (served, parts_count) = match request.part_number {
            Some(number) => self.part(&object, number).await?,
            None => (whole_or_range(request.range.as_deref(), object.size)?, None),
        };
        Ok(Found { version, object, label, served, parts_count })
    }

    async fn part(&self, object: &ObjectRecord, number: u16) -> Result<(Served, Option<u32>)> {
        let Data::Parts(manifest) = object.data else {
            // An object that was put whole has one part: itself.
            let place = multipart::place_of_part([(1, object.size)], number)?;
            return Ok((Served { start: place.start, length: place.size, partial: true }, None));
        };
        let parts = self.parts_of(object, manifest).await?;
        let total = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let place = multipart::place_of_part(parts.iter().map(|part| (part.number, part.size)), number)?;
        Ok((Served { start: place.start, length: place.size, partial: true }, Some(total)))
    }

    /// Pins an object's data; `None` when it has been replaced and collected since its record was read.
    pub(super) async fn open(
        &self,
        bucket: &BucketRecord,
        key: &str,
        version: &VersionRecord,
        object: &ObjectRecord,
    ) -> Result<Option<Opened>> {
        if object.readable() == Data::Inline {
            let bytes = self.store.inline(bucket.id, key, version.id).await?;
            return Ok(bytes.map(Opened::Inline));
        }
        Ok(self.store.reader(object.readable(), object.size).await?.map(Opened::Reader))
    }
}

fn whole_or_range(header: Option<&str>, size: u64) -> Result<Served> {
    match range::resolve(header, size) {
        Resolved::Whole => Ok(Served { start: 0, length: size, partial: false }),
        Resolved::Part(extent) => Ok(Served { start: extent.start, length: extent.len(), partial: true }),
        Resolved::Unsatisfiable => Err(range::unsatisfiable(header.unwrap_or_default(), size).into()),
    }
}

pub(super) fn slice(bytes: &Bytes, range: &std::ops::Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}
