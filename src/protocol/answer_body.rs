//! An object's bytes as s3s sends them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, DynByteStream, RemainingLength};
use s3s::{Body, StdError};
use storage::StoreError;

use crate::object::ObjectBody;

/// The body of a GET of `length` bytes: what is in memory goes out as it is.
pub(super) fn streaming(body: ObjectBody, length: u64) -> StreamingBlob {
    match body {
        ObjectBody::Bytes(bytes) => StreamingBlob::from_bytes(bytes),
        ObjectBody::Stream(stream) => StreamingBlob::new(Streamed { stream, remaining: length }),
    }
}

/// The same, for an answer that s3s does not write.
pub(super) fn plain(body: ObjectBody, length: u64) -> Body {
    match body {
        ObjectBody::Bytes(bytes) => Body::from(bytes),
        ObjectBody::Stream(stream) => {
            let stream: DynByteStream = Box::pin(Streamed { stream, remaining: length });
            Body::from(stream)
        }
    }
}

/// A stream that says how much is still to come, so that hyper notices if it ends early.
struct Streamed<S> {
    stream: S,
    remaining: u64,
}

impl<S: Stream<Item = Result<Bytes, StoreError>> + Unpin> Stream for Streamed<S> {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = Pin::new(&mut self.stream).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &poll {
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        }
        poll.map_err(Into::into)
    }
}

impl<S: Stream<Item = Result<Bytes, StoreError>> + Unpin> ByteStream for Streamed<S> {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.remaining).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_remaining_length_is_exact() {
        let pieces = [Bytes::from_static(b"abc"), Bytes::from_static(b"de")].map(Ok);
        let mut streamed = Streamed { stream: futures_util::stream::iter(pieces), remaining: 5 };
        for left in [Some(5), Some(2), Some(0)] {
            assert_eq!(streamed.remaining_length().exact(), left);
            let _ = streamed.next().await;
        }
    }
}
