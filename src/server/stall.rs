//! Ends connections on which nothing moves.
//!
//! hyper limits how long a request's head may take, but waits for ever for the first byte of a connection, for the
//! next bytes of a body, and for a client to take its answer. Each waiting connection holds a file descriptor and
//! buffers, so silence has a limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Silence before the first byte.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(30);
/// Silence in both directions afterwards. Longer than any single operation may think about its answer.
pub(super) const SILENCE: Duration = Duration::from_mins(5);

/// A stream whose reads and writes fail with `TimedOut` once no byte has moved for too long.
pub(super) struct StallGuard<T> {
    stream: T,
    silence: Duration,
    last_progress: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<T> StallGuard<T> {
    pub(super) fn new(stream: T, first_byte: Duration, silence: Duration) -> Self {
        let now = Instant::now();
        // Before the first byte the limit is `first_byte`, which is the same as progress made that much earlier.
        let last_progress = now.checked_sub(silence.saturating_sub(first_byte)).unwrap_or(now);
        let alarm = Box::pin(sleep_until(last_progress + silence));
        Self { stream, silence, last_progress, alarm }
    }

    /// Notes progress, or checks the alarm when there is none. The timer itself moves only when it rings: resetting
    /// it on each read would cost more than the read.
    fn watch<R>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.last_progress = Instant::now();
            return poll;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let deadline = self.last_progress + self.silence;
            if deadline <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for StallGuard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, poll)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StallGuard<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A flush of nothing is always ready and is no progress.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.watch(context, Poll::Pending),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn a_connection_that_says_nothing_ends() {
        let (_client, server) = duplex(64);
        let mut guarded = StallGuard::new(server, SHORT, LONG);
        let error = guarded.read_u8().await.expect_err("silence");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_ends() {
        let (_client, server) = duplex(8);
        let mut guarded = StallGuard::new(server, LONG, SHORT);
        let error = guarded.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn bytes_in_either_direction_keep_it_open() {
        let (mut client, server) = duplex(64);
        let mut guarded = StallGuard::new(server, SHORT, LONG);
        client.write_all(b"x").await.expect("room");
        assert_eq!(guarded.read_u8().await.expect("a byte"), b'x');
        // The limit of the first byte no longer holds: beyond it, the silent connection still waits.
        let waited = tokio::time::timeout(3 * SHORT, guarded.read_u8()).await;
        assert!(waited.is_err(), "still open");
    }
}
