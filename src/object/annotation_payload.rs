//! Payloads of annotations on their way in, out, and to copies: sealed where their object is, under its key.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use md5::{Digest, Md5};
use storage::StoreError;
use storage::index::records::{AnnotationRecord, Data, ObjectRecord};
use storage::store::Staged;
use storage::types::Timestamp;

use super::encryption::{Sealing, entity_tag};
use super::get::{ByteStream, ObjectBody};
use super::{Body, Error, Integrity, Objects, Result};
use crate::encryption::DataKey;
use crate::encryption::frames::{Broken, Position, open_whole, seal_whole, sealed_length};
use crate::rules::checksums::{Plan, verify_content_md5};
use crate::rules::{Code, annotation};

/// A payload that was received, and what is known of it; it is not stored yet.
pub(super) struct Payload {
    pub bytes: Bytes,
    pub record: AnnotationRecord,
}

fn broken(error: Broken) -> StoreError {
    StoreError::Io(std::io::Error::other(error.to_string()))
}

impl Objects {
    /// Stages a payload, sealed if its object is, and gives it its record.
    pub(super) async fn stage_annotation(
        &self,
        plain: &AnnotationRecord,
        bytes: &Bytes,
        key: Option<&DataKey>,
        object: &ObjectRecord,
    ) -> Result<(AnnotationRecord, Staged)> {
        let (bytes, md5) = match key {
            None => (bytes.clone(), plain.md5),
            Some(key) => {
                let sealed = seal_whole(key, Position::annotation(&plain.name), bytes).map_err(broken)?;
                (sealed, entity_tag(&object.attributes, key, plain.md5)?)
            }
        };
        let staged = self.store.stage_payload(bytes).await?;
        Ok((AnnotationRecord { md5, data: staged.data(), ..plain.clone() }, staged))
    }

    /// A payload; `None` when it was replaced since its record was read.
    pub(super) async fn payload_of(
        &self,
        record: &AnnotationRecord,
        key: Option<&DataKey>,
    ) -> Result<Option<ObjectBody>> {
        let Some(key) = key else {
            let Some(reader) = self.store.reader(record.data, record.size).await? else { return Ok(None) };
            let mut stream = reader.stream(0..record.size).begin().await?;
            return Ok(Some(match stream.whole() {
                Some(bytes) => ObjectBody::Bytes(bytes),
                None => ObjectBody::Stream(Box::new(ByteStream::new(stream))),
            }));
        };
        let length = sealed_length(record.size);
        let Some(reader) = self.store.reader(record.data, length).await? else { return Ok(None) };
        let mut stream = reader.stream(0..length);
        let mut sealed = BytesMut::new();
        while let Some(piece) = stream.next().await {
            sealed.extend_from_slice(&piece?);
        }
        let plain = open_whole(key, Position::annotation(&record.name), &sealed).map_err(broken)?;
        Ok(Some(ObjectBody::Bytes(plain)))
    }

    /// The annotations of a copy whose bytes are not its source's: each opened and sealed anew, one at a time. `None`
    /// when they were replaced since the source's record was read.
    pub(super) async fn copy_annotations(
        &self,
        source: &ObjectRecord,
        from: Option<&DataKey>,
        to: Option<&Sealing>,
        copy: &mut ObjectRecord,
    ) -> Result<Option<Option<Staged>>> {
        let Some(all) = self.annotations_of(source).await? else { return Ok(None) };
        let (mut records, mut payloads): (Vec<_>, Option<Staged>) = (Vec::new(), None);
        for record in &all {
            let Some(body) = self.payload_of(record, from).await? else { return Ok(None) };
            let bytes = whole(body).await?;
            let plain = AnnotationRecord { md5: Md5::digest(&bytes).into(), data: Data::Empty, ..record.clone() };
            let (record, staged) = self.stage_annotation(&plain, &bytes, to.map(|to| &to.key), copy).await?;
            records.push(record);
            match &mut payloads {
                Some(payloads) => payloads.absorb(staged),
                None => payloads = Some(staged),
            }
        }
        if records.is_empty() {
            return Ok(Some(None));
        }
        let (list, staged) = self.store.stage_annotations(&records, payloads).await?;
        copy.annotations = Some(list);
        Ok(Some(Some(staged)))
    }

    /// Receives a payload whole: that it is text can be said only of all of it.
    pub(super) async fn receive_payload(
        &self,
        name: &str,
        mut body: Body,
        integrity: Integrity,
        length: Option<u64>,
    ) -> Result<Payload> {
        self.store.admit()?;
        if length.is_some_and(|length| length > annotation::MAX_PAYLOAD_BYTES as u64) {
            return Err(annotation::too_large().into());
        }
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(annotation::MAX_PAYLOAD_BYTES);
        let _room = self.store.room(expected).await?;
        let (mut bytes, mut md5) = (BytesMut::with_capacity(expected), Md5::new());
        let mut checksum = Plan::for_object(integrity.declared).start();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(Error::Body)?;
            if bytes.len() + piece.len() > annotation::MAX_PAYLOAD_BYTES {
                return Err(annotation::too_large().into());
            }
            md5.update(&piece);
            checksum.update(&piece);
            bytes.extend_from_slice(&piece);
        }
        if length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(Code::IncompleteBody.into());
        }
        let md5: [u8; 16] = md5.finalize().into();
        if let Some(declared) = integrity.content_md5 {
            verify_content_md5(declared, md5)?;
        }
        let trailer = integrity.trailer.and_then(|read| read());
        let checksum = checksum.finish(trailer.as_deref())?;
        annotation::check_payload(&bytes)?;
        let record = AnnotationRecord {
            name: name.to_owned(),
            size: bytes.len() as u64,
            md5,
            checksum,
            modified: Timestamp::now(),
            data: Data::Empty,
        };
        Ok(Payload { bytes: bytes.freeze(), record })
    }
}

/// A payload in memory: it is at most [`annotation::MAX_PAYLOAD_BYTES`].
async fn whole(body: ObjectBody) -> Result<Bytes> {
    let mut stream = match body {
        ObjectBody::Bytes(bytes) => return Ok(bytes),
        ObjectBody::Stream(stream) => stream,
    };
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.freeze())
}
