//! A request's body on its way into the store: received, digested and written at the same time, within bounds.

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use storage::StoreError;
use storage::index::records::Checksum;
use storage::md5::Md5;
use storage::store::Staged;
use tokio::task::JoinHandle;

use super::sealed::Writer;
use super::{BoxError, Error, Objects, Result};
use crate::rules::checksums::{Computing, Declared, Plan, verify_content_md5};
use crate::rules::{Code, Refusal};

/// A request's body.
pub type Body = Pin<Box<dyn Stream<Item = std::result::Result<Bytes, BoxError>> + Send>>;

/// Reads the value of the trailer that the client announced; asked once, after the body's end.
pub type ReadTrailer = Box<dyn FnOnce() -> Option<String> + Send>;

/// Bytes that are digested in one job: enough to pay for the job, little enough to stay in a core's cache.
const DIGEST_BYTES: usize = 256 << 10;
/// Bodies up to this length are digested where they are.
const DIGEST_IN_PLACE_BYTES: usize = 16 << 10;

/// What the client said about the bytes that it sends.
#[derive(Default)]
pub struct Integrity {
    /// `Content-MD5`.
    pub content_md5: Option<[u8; 16]>,
    /// The additional checksum, in a header or announced as a trailer.
    pub declared: Option<Declared>,
    /// Reads the trailer.
    pub trailer: Option<ReadTrailer>,
}

/// A body that is durable, though invisible, and is what the client said.
pub(super) struct Received {
    pub staged: Staged,
    /// Bytes of the body.
    pub size: u64,
    pub md5: [u8; 16],
    pub checksum: Checksum,
}

/// What is expected of a body.
pub(super) struct Expected {
    pub plan: Plan,
    pub content_md5: Option<[u8; 16]>,
    pub trailer: Option<ReadTrailer>,
    /// Its length, where the client said it.
    pub length: Option<u64>,
    /// The greatest length that is accepted.
    pub limit: u64,
}

/// The digests of a body so far.
struct Digests {
    md5: Md5,
    checksum: Computing,
}

impl Digests {
    fn update(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.md5.update(piece);
            self.checksum.update(piece);
        }
    }
}

/// Digests pieces off the async workers, one job at a time, while further pieces come in.
struct Digesting {
    objects: Objects,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    idle: Option<Digests>,
    busy: Option<JoinHandle<Result<Digests>>>,
}

impl Digesting {
    async fn add(&mut self, piece: Bytes) -> Result<()> {
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        if self.waiting_bytes >= DIGEST_BYTES {
            let digests = self.settle().await?;
            let pieces = std::mem::take(&mut self.waiting);
            self.waiting_bytes = 0;
            self.busy = Some(tokio::spawn(digest(self.objects.clone(), digests, pieces)));
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<Digests> {
        match (self.idle.take(), self.busy.take()) {
            (Some(digests), _) => Ok(digests),
            (None, Some(job)) => job.await.unwrap_or_else(|_| Err(StoreError::Closed.into())),
            (None, None) => Err(StoreError::Closed.into()),
        }
    }

    async fn finish(mut self) -> Result<Digests> {
        let mut digests = self.settle().await?;
        let pieces = std::mem::take(&mut self.waiting);
        if self.waiting_bytes <= DIGEST_IN_PLACE_BYTES {
            digests.update(&pieces);
            return Ok(digests);
        }
        digest(self.objects, digests, pieces).await
    }
}

/// Adds pieces to both digests at the same time: MD5 beside other uploads' in vector lanes, the checksum on a thread of
/// the hash pool.
async fn digest(objects: Objects, digests: Digests, pieces: Vec<Bytes>) -> Result<Digests> {
    let Digests { md5, mut checksum } = digests;
    let same = pieces.clone();
    let store = &objects.store;
    let checksum = store.hash_pool().run(move || {
        for piece in &same {
            checksum.update(piece);
        }
        checksum
    });
    let (md5, checksum) = tokio::join!(store.md5_lanes().update(md5, pieces), checksum);
    Ok(Digests { md5: md5?, checksum })
}

impl Objects {
    /// Receives a body to its very end, which is where trailers and the last chunk's signature are.
    pub(super) async fn receive(&self, mut body: Body, mut writer: Writer, expected: Expected) -> Result<Received> {
        self.store.admit()?;
        let digests = Digests { md5: Md5::new(), checksum: expected.plan.start() };
        let mut digesting =
            Digesting { objects: self.clone(), waiting: Vec::new(), waiting_bytes: 0, idle: Some(digests), busy: None };
        let mut received: u64 = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(Error::Body)?;
            received += piece.len() as u64;
            if received > expected.limit {
                let refusal = Refusal::from(Code::EntityTooLarge).with("MaxSizeAllowed", expected.limit.to_string());
                return Err(refusal.into());
            }
            digesting.add(piece.clone()).await?;
            writer.write(piece).await?;
        }
        if expected.length.is_some_and(|length| length != received) {
            return Err(Refusal::from(Code::IncompleteBody).into());
        }
        let digests = digesting.finish().await?;
        let md5 = digests.md5.finish();
        if let Some(declared) = &expected.content_md5 {
            verify_content_md5(*declared, md5)?;
        }
        let trailer = expected.trailer.and_then(|read| read());
        let checksum = digests.checksum.finish(trailer.as_deref())?;
        let (staged, size) = writer.finish().await?;
        Ok(Received { staged, size, md5, checksum })
    }
}
