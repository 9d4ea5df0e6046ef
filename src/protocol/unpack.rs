//! An upload that is an archive to be unpacked: each of its entries becomes an object, by the ordinary way of a write
//! and with an authorisation of its own. The client asks for it as MinIO's clients do, by user metadata:
//! `snowball-auto-extract: true`, with `minio-snowball-prefix`, `minio-snowball-ignore-dirs` and
//! `minio-snowball-ignore-errors`. The archive (tar, not compressed) is not kept.
//!
//! Entries become visible one by one. What the client declared of the archive's checksum is known at its end only: a
//! wrong one is then answered with `BadDigest`, and what was unpacked stays.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header;
use md5::{Digest, Md5};
use s3s::S3Response;
use s3s::dto::{PutObjectInput, PutObjectOutput};
use storage::index::records::{Attributes, ETag};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio_tar::{Archive, EntryType};

use super::error::{Failure, Result};
use super::objects::{body, class_and_tags, integrity, length};
use super::s3::Call;
use super::{acl, convert, encryption, object_lock};
use crate::object::{Body, BoxError, Encrypting, Error, EventName, Integrity, PutObject};
use crate::rules::archive::{self, MAX_ENTRIES, MAX_HEADER_BYTES, Unpacking};
use crate::rules::checksums::{Computing, Plan, verify_content_md5};
use crate::rules::conditions::WriteCondition;
use crate::rules::{Code, Refusal};

/// Bytes of an entry that are handed on at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What the request asks for; `None` where it is an ordinary write.
pub(super) fn asked(input: &PutObjectInput) -> Option<Unpacking> {
    let said = |name: &str| input.metadata.as_ref().and_then(|metadata| metadata.get(name)).map(String::as_str);
    let is_true = |name| said(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    is_true("snowball-auto-extract").then(|| Unpacking {
        prefix: said("minio-snowball-prefix").unwrap_or_default().to_owned(),
        ignores_folders: is_true("minio-snowball-ignore-dirs"),
        ignores_errors: is_true("minio-snowball-ignore-errors"),
    })
}

/// What the entries have in common.
struct Template {
    owner: String,
    attributes: Attributes,
    encryption: Encrypting,
}

pub(super) async fn unpack(
    call: &Call<'_>,
    input: PutObjectInput,
    asked: Unpacking,
) -> Result<S3Response<PutObjectOutput>> {
    for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
        if call.header(&name).is_some() {
            return Err(Failure::with_message("InvalidRequest", "An archive is unpacked without conditions."));
        }
    }
    let (storage_class, tags) = class_and_tags(input.storage_class.as_ref(), input.tagging.as_deref())?;
    let access = acl::of_new_object(call).await?;
    let mut attributes = Attributes { storage_class, tags, ..Attributes::default() };
    access.give_to(&mut attributes);
    object_lock::give_to(&mut attributes, call)?;
    let template = Template { owner: access.owner, attributes, encryption: encryption::wanted(call)? };
    let Integrity { content_md5, declared, trailer } = integrity(call)?;
    let reader = ArchiveReader {
        body: body(input.body),
        piece: Bytes::new(),
        md5: Md5::new(),
        checksum: Plan::for_object(declared).start(),
        received: 0,
        failed: Arc::default(),
    };
    let failed = Arc::clone(&reader.failed);
    let mut archive = Archive::new(reader);
    let unpacked = entries(call, &mut archive, &asked, &template).await;
    // What the body itself failed with says more than that the archive ends.
    if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Failure::Object(Error::Body(error)));
    }
    unpacked?;
    let Ok(mut reader) = archive.into_inner() else { return Err(Failure::new("InternalError")) };
    reader.drain().await?;
    if length(input.content_length).is_some_and(|length| length != reader.received) {
        return Err(Code::IncompleteBody.into());
    }
    let md5: [u8; 16] = reader.md5.finalize().into();
    if let Some(declared) = content_md5 {
        verify_content_md5(declared, md5)?;
    }
    reader.checksum.finish(trailer.and_then(|read| read()).as_deref())?;
    let e_tag = Some(convert::etag(ETag { md5, parts: None }));
    Ok(S3Response::new(PutObjectOutput { e_tag, ..Default::default() }))
}

async fn entries(
    call: &Call<'_>,
    archive: &mut Archive<ArchiveReader>,
    asked: &Unpacking,
    template: &Template,
) -> Result<()> {
    let mut entries = archive.entries_raw().map_err(malformed)?;
    let mut long_name: Option<Vec<u8>> = None;
    let mut count = 0;
    while let Some(entry) = entries.next().await {
        let mut entry = entry.map_err(malformed)?;
        count += 1;
        if count > MAX_ENTRIES {
            let message = format!("An archive may have up to {MAX_ENTRIES} entries. What came before was unpacked.");
            return Err(Failure::with_message("InvalidRequest", message));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => {
                let name = headers_of(&mut entry).await?;
                long_name = Some(name.into_iter().take_while(|byte| *byte != 0).collect());
                continue;
            }
            EntryType::XHeader => {
                let records = headers_of(&mut entry).await?;
                long_name = archive::pax_path(&records).or(long_name);
                continue;
            }
            EntryType::XGlobalHeader | EntryType::GNULongLink => continue,
            _ => {}
        }
        let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let stored = match kind {
            EntryType::Directory if asked.ignores_folders => Ok(()),
            EntryType::Directory => store(call, template, &asked.prefix, (&name, true), None).await,
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.effective_size();
                store(call, template, &asked.prefix, (&name, false), Some((size, pieces(entry)))).await
            }
            _ => {
                Err(Failure::with_message("InvalidRequest", "The archive has an entry that is no file and no folder."))
            }
        };
        match stored {
            // That the body itself is broken nothing can pass over.
            Err(failure) if !asked.ignores_errors || matches!(failure, Failure::Object(Error::Body(_))) => {
                return Err(failure);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes one entry.
async fn store(
    call: &Call<'_>,
    template: &Template,
    prefix: &str,
    (name, is_folder): (&[u8], bool),
    content: Option<(u64, Body)>,
) -> Result<()> {
    let Some(key) = archive::key_of(prefix, name, is_folder)? else { return Ok(()) };
    call.require("PutObject", &key, None).await?;
    let (length, body) = content.unwrap_or_else(|| (0, body(None)));
    let request = PutObject {
        bucket: call.bucket()?.clone(),
        key,
        owner: template.owner.clone(),
        attributes: template.attributes.clone(),
        condition: WriteCondition::Unconditional,
        integrity: Integrity::default(),
        length: Some(length),
        encryption: template.encryption.clone(),
        cause: call.cause(EventName::ObjectCreatedPut),
    };
    call.objects().put_object(request, body).await?;
    Ok(())
}

/// An entry's bytes as a body.
fn pieces<R: AsyncRead + Unpin + Send + 'static>(entry: R) -> Body {
    let next = |mut entry: R| async move {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match entry.read_buf(&mut piece).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((piece.freeze(), entry))),
            Err(error) => Err(BoxError::from(error)),
        }
    };
    Box::pin(futures_util::stream::try_unfold(entry, next))
}

/// The bytes of an entry that says more about the next.
async fn headers_of<R: AsyncRead + Unpin>(entry: &mut R) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = entry.take(MAX_HEADER_BYTES + 1).read_to_end(&mut bytes).await.map_err(malformed)?;
    if read as u64 > MAX_HEADER_BYTES {
        let message = "The archive has an entry whose name or further headers are too long.";
        return Err(Failure::with_message("InvalidRequest", message));
    }
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what a result's error is mapped by")]
fn malformed(error: io::Error) -> Failure {
    let message = format!("The archive cannot be read. It must be a tar archive that is not compressed. ({error})");
    Failure::from(Refusal::invalid_request(message))
}

/// The request's body as the archive's bytes, digested on their way.
struct ArchiveReader {
    body: Body,
    piece: Bytes,
    md5: Md5,
    checksum: Computing,
    received: u64,
    /// What the body failed with: an error of input and output could not carry it.
    failed: Arc<Mutex<Option<BoxError>>>,
}

impl ArchiveReader {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match ready!(self.body.as_mut().poll_next(context)) {
            None => Poll::Ready(Ok(false)),
            Some(Ok(piece)) => {
                self.md5.update(&piece);
                self.checksum.update(&piece);
                self.received += piece.len() as u64;
                self.piece = piece;
                Poll::Ready(Ok(true))
            }
            Some(Err(error)) => {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Err(io::Error::other("the request's body failed")))
            }
        }
    }

    /// Reads what comes after the archive's end.
    async fn drain(&mut self) -> Result<()> {
        while std::future::poll_fn(|context| self.poll_piece(context)).await.map_err(malformed)? {}
        Ok(())
    }
}

impl AsyncRead for ArchiveReader {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let reader = self.get_mut();
        while reader.piece.is_empty() {
            if !ready!(reader.poll_piece(context))? {
                return Poll::Ready(Ok(()));
            }
        }
        let count = reader.piece.len().min(buffer.remaining());
        buffer.put_slice(reader.piece.get(..count).unwrap_or_default());
        reader.piece.advance(count);
        Poll::Ready(Ok(()))
    }
}
