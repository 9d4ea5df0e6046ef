//! The HTTP ceiling: a bare hyper server that answers the benchmark's own requests with nothing behind it.
//!
//! It runs as a process of its own (this program with `--ceiling-server`) with as many worker threads as the machine has
//! cores, as Cairn does, so both share the cores with the client in the same way. GET answers as many bytes as the path
//! says, in pieces of Cairn's default chunk size; PUT reads the body and drops it.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

use crate::Result;

static PIECE: [u8; 1 << 20] = [0x5A; 1 << 20];

/// The ceiling's process; it ends with this value.
pub struct Ceiling {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Ceiling {
    /// Starts the process and learns its address from its first line.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--ceiling-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the ceiling server has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address =
            line.trim().parse().map_err(|_| format!("the ceiling server says {line:?} instead of its address"))?;
        Ok(Self { child, address })
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        // It holds no data; an error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until standard input ends, which it does when the benchmark ends, however that comes about.
pub fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                // A client that leaves is no news here.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn answer(request: Request<Incoming>) -> std::result::Result<Response<Repeated>, hyper::Error> {
    let size = if request.method() == Method::GET { size_in_path(request.uri().path()) } else { 0 };
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(Response::new(Repeated { left: size }))
}

/// The number behind `get-` in `/bucket/get-4096/key`.
fn size_in_path(path: &str) -> u64 {
    path.split('/').find_map(|part| part.strip_prefix("get-")).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A body of constant bytes.
struct Repeated {
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(this.left).map_or(PIECE.len(), |left| left.min(PIECE.len()));
        this.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
