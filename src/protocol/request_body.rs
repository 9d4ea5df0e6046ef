//! The request's body on its way to s3s: counted, kept where a digest of it must be checked, and handed back when the
//! answer is made before it was read.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use s3s::{Body, StdError};

/// How much of a refused upload is read so that its connection stays usable: a client that is still sending would
/// otherwise see a reset instead of the answer.
const DRAIN_BYTES: u64 = 256 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What is known of a request's body while, and after, it is read.
#[derive(Debug, Default)]
pub(super) struct BodyWatch {
    received: AtomicU64,
    polled: AtomicBool,
    keep: AtomicBool,
    kept: Mutex<Vec<Bytes>>,
    unread: Mutex<Option<Body>>,
    ended: OnceLock<Instant>,
}

impl BodyWatch {
    /// Bytes that came so far, as they were sent: chunk signatures and trailers included.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// When the last of it came; `None` where there was none, or it was not read to its end.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
    }

    /// Asks for the body to be kept from now on. Only for bodies that s3s holds in memory anyway: it limits those,
    /// and what is kept are further references to the same bytes.
    pub(super) fn keep(&self) {
        self.keep.store(true, Ordering::Relaxed);
    }

    /// What was kept, in order.
    pub(super) fn take_kept(&self) -> Vec<Bytes> {
        std::mem::take(&mut *lock(&self.kept))
    }

    /// Reads what a refused request is still sending, within the limits. Not from a client that waits for
    /// `100 Continue`: it has not begun to send, and must not be invited to.
    pub(super) async fn drain(&self, expects_continue: bool) -> Drained {
        let Some(mut body) = lock(&self.unread).take() else { return Drained::Whole };
        if expects_continue && !self.polled.load(Ordering::Relaxed) {
            return Drained::Partly;
        }
        let read = async {
            let mut rest = DRAIN_BYTES;
            loop {
                let Some(frame) = body.frame().await else { return Drained::Whole };
                let Ok(frame) = frame else { return Drained::Partly };
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.received.fetch_add(length, Ordering::Relaxed);
                match rest.checked_sub(length) {
                    Some(left) => rest = left,
                    None => return Drained::Partly,
                }
            }
        };
        tokio::time::timeout(DRAIN_TIME, read).await.unwrap_or(Drained::Partly)
    }
}

/// Whether a refused request's body was read to its end. If not, the connection ends with the answer, which must say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    Whole,
    Partly,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Its bytes are the payload.
    Plain,
    /// `aws-chunked`: the payload in chunks of its own, the last of them empty.
    Chunked,
}

impl Framing {
    /// By `x-amz-content-sha256`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let streaming =
            headers.get("x-amz-content-sha256").is_some_and(|hash| hash.as_bytes().starts_with(b"STREAMING-"));
        if streaming { Self::Chunked } else { Self::Plain }
    }
}

/// The end of an `aws-chunked` body in which its last chunk begins: it is followed by trailers of some hundred bytes.
const TAIL_BYTES: usize = 4096;

/// A request's body under watch.
pub(super) struct WatchedBody {
    body: Body,
    watch: Arc<BodyWatch>,
    framing: Framing,
    tail: Vec<u8>,
    ended: bool,
}

impl WatchedBody {
    pub(super) fn new(body: Body, watch: Arc<BodyWatch>, framing: Framing) -> Self {
        Self { body, watch, framing, tail: Vec::new(), ended: false }
    }

    fn note_tail(&mut self, data: &[u8]) {
        let kept = data.get(data.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        let excess = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend_from_slice(kept);
    }

    /// s3s takes a body for whole when the payload's declared length has come. But the last, empty chunk carries a
    /// signature too: without it the body was cut off.
    fn is_cut_off(&self) -> bool {
        let begins = |at: &[u8]| at.starts_with(b"0;") || at.starts_with(b"0\r\n");
        let after_line_end =
            self.tail.windows(5).any(|window| window.starts_with(b"\r\n0;") || window.starts_with(b"\r\n0\r\n"));
        self.framing == Framing::Chunked && !begins(&self.tail) && !after_line_end
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.watch.polled.store(true, Ordering::Relaxed);
        let poll = Pin::new(&mut self.body).poll_frame(context);
        match &poll {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    if self.framing == Framing::Chunked {
                        self.note_tail(data);
                    }
                    self.watch.received.fetch_add(data.len() as u64, Ordering::Relaxed);
                    if self.watch.keep.load(Ordering::Relaxed) {
                        lock(&self.watch.kept).push(data.clone());
                    }
                }
            }
            Poll::Ready(None) if !self.ended && self.is_cut_off() => {
                self.ended = true;
                return Poll::Ready(Some(Err("the last chunk of the body is missing".into())));
            }
            Poll::Ready(None | Some(Err(_))) => {
                self.ended = true;
                let _ = self.watch.ended.set(Instant::now());
            }
            Poll::Pending => {}
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.body)
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            *lock(&self.watch.unread) = Some(std::mem::take(&mut self.body));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(bytes: &'static [u8]) -> (Body, Arc<BodyWatch>) {
        let watch = Arc::<BodyWatch>::default();
        let body = Body::from(Bytes::from_static(bytes));
        (Body::http_body(WatchedBody::new(body, Arc::clone(&watch), Framing::Plain)), watch)
    }

    #[tokio::test]
    async fn what_is_read_is_counted_and_kept_on_demand() {
        let (mut body, watch) = watched(b"hello");
        watch.keep();
        assert_eq!(body.store_all_limited(100).await.expect("read"), "hello");
        assert_eq!((watch.received(), watch.take_kept().concat()), (5, b"hello".to_vec()));
    }

    #[tokio::test]
    async fn a_chunked_body_must_have_its_last_chunk() {
        let read = async |bytes: &'static [u8]| {
            let body = Body::from(Bytes::from_static(bytes));
            let watched = WatchedBody::new(body, Arc::default(), Framing::Chunked);
            Body::http_body(watched).store_all_limited(1000).await.is_ok()
        };
        assert!(read(b"3;chunk-signature=a\r\nabc\r\n0;chunk-signature=b\r\n\r\n").await);
        assert!(read(b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n").await);
        assert!(read(b"0\r\n\r\n").await);
        assert!(!read(b"3;chunk-signature=a\r\nabc\r\n").await);
        assert!(!read(b"10\r\nabc").await);
    }

    #[tokio::test]
    async fn an_unread_body_comes_back_and_is_drained() {
        let (body, watch) = watched(b"hello");
        drop(body);
        assert_eq!(watch.drain(false).await, Drained::Whole);
        assert_eq!(watch.received(), 5);
    }

    #[tokio::test]
    async fn a_client_that_waits_for_continue_is_not_invited_to_send() {
        let (body, watch) = watched(b"hello");
        drop(body);
        assert_eq!(watch.drain(true).await, Drained::Partly);
        assert_eq!(watch.received(), 0);
    }
}
