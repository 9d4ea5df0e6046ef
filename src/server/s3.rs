//! The listeners of S3 and of websites: one accepts, wraps in TLS, speaks HTTP/1.1 and HTTP/2, and drains. It knows no S3; what answers
//! is whatever service it is given.

use super::listener::accept;
use super::peer::{Entrance, Peer, Transport};
use super::stall::{self, StallGuard};
use super::tls::Certificates;
use super::{Drained, ServerError};
use crate::config::ServerConfig;
use crate::telemetry::metrics::{Counted, Metrics};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ProtocolVersion;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's head must arrive within this time; an idle connection is closed after it.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A TLS handshake is a few round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// hyper reads bodies into a buffer of up to this size: large enough for few system calls per chunk of 1 MiB.
const HTTP1_BUFFER_SIZE_BYTES: usize = 512 << 10;
/// What one HTTP/2 connection may ask at once.
const HTTP2_MAX_STREAMS: u32 = 256;
const HTTP2_FRAME_SIZE_BYTES: u32 = 1 << 20;
/// Finds HTTP/2 clients that vanished without a word.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// A listener of the service, bound but not yet accepting.
pub(super) struct S3Listener {
    pub entrance: Entrance,
    pub socket: TcpListener,
    pub tls: Option<Arc<Certificates>>,
    pub metrics: Metrics,
}

/// One accepted connection and what it holds as long as it is open.
struct Accepted {
    socket: TcpStream,
    peer: Peer,
    watcher: Watcher,
    _slot: OwnedSemaphorePermit,
    _counted: Counted,
}

impl S3Listener {
    /// Accepts and serves until `stop`, then lets the requests in flight finish for as long as `config` grants,
    /// or until `hurry`.
    pub(super) async fn serve<S, B>(
        self,
        config: &ServerConfig,
        service: S,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Result<Drained, ServerError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let tls = self.tls.as_ref().map(Certificates::server_config).transpose()?.map(TlsAcceptor::from);
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Plain };
        let http = Arc::new(http_builder(config));
        let slots = Arc::new(Semaphore::new(config.max_connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = async {
                // The slot first: a connection that cannot be served stays in the listener's backlog.
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, accept(&self.socket, &self.metrics).await)
            };
            let (slot, (socket, address)) = tokio::select! {
                biased;
                () = &mut stop => break,
                // Forgets the connections that ended.
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = next => accepted,
            };
            // The semaphore is closed by nobody.
            let Ok(slot) = slot else { break };
            let accepted = Accepted {
                socket,
                peer: Peer::new(address, transport, self.entrance),
                watcher: graceful.watcher(),
                _slot: slot,
                _counted: self.metrics.connection_opened(),
            };
            connections.spawn(serve_connection(accepted, tls.clone(), Arc::clone(&http), service.clone()));
        }
        drop(self.socket);
        Ok(drain(graceful, connections, config.shutdown_grace_period, hurry).await)
    }
}

async fn drain(
    graceful: GracefulShutdown,
    mut connections: JoinSet<()>,
    grace_period: Duration,
    hurry: impl Future<Output = ()>,
) -> Drained {
    let finished = tokio::select! {
        () = graceful.shutdown() => true,
        () = tokio::time::sleep(grace_period) => false,
        () = hurry => false,
    };
    while connections.try_join_next().is_some() {}
    let cut_off = if finished { 0 } else { connections.len() };
    connections.shutdown().await;
    Drained { cut_off }
}

fn http_builder(config: &ServerConfig) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HTTP1_BUFFER_SIZE_BYTES)
        // A client that closes its sending half has left: its request is not worked on for nobody.
        .half_close(false);
    // Twice the limit: the front answers S3's own error to what is only a little too large.
    let header_list = u32::try_from(config.max_header_size.0.saturating_mul(2)).unwrap_or(u32::MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_MAX_STREAMS)
        .max_header_list_size(header_list)
        .max_frame_size(HTTP2_FRAME_SIZE_BYTES)
        .adaptive_window(true)
        .keep_alive_interval(HTTP2_PING_INTERVAL);
    http
}

async fn serve_connection<S, B>(
    accepted: Accepted,
    tls: Option<TlsAcceptor>,
    http: Arc<auto::Builder<TokioExecutor>>,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Accepted { socket, mut peer, watcher, _slot, _counted } = accepted;
    // Answers are written whole; waiting for more bytes to send would only delay them.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let guarded = StallGuard::new(socket, stall::FIRST_BYTE, stall::SILENCE);
    let ended = match tls {
        None => serve_http(guarded, peer, watcher, &http, service).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(guarded)).await {
            Ok(Ok(encrypted)) => {
                let suite = encrypted.get_ref().1.negotiated_cipher_suite();
                peer.cipher_suite = suite.and_then(|suite| suite.suite().as_str());
                peer.tls_version = match encrypted.get_ref().1.protocol_version() {
                    Some(ProtocolVersion::TLSv1_2) => Some("1.2"),
                    Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
                    _ => None,
                };
                serve_http(encrypted, peer, watcher, &http, service).await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("the TLS handshake took too long".into()),
        },
    };
    if let Err(error) = ended {
        // Clients that leave are no fault of the server's.
        tracing::debug!(peer = %peer.address, %error, "connection ended");
    }
}

async fn serve_http<T, S, B>(
    stream: T,
    peer: Peer,
    watcher: Watcher,
    http: &auto::Builder<TokioExecutor>,
    service: S,
) -> Result<(), BoxError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let with_peer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    let connection = http.serve_connection(TokioIo::new(stream), with_peer).into_owned();
    watcher.watch(connection).await
}
