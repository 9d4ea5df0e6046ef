//! The program's listeners and the order in which it starts and ends.
//!
//! Start: the sockets are bound, so that a wrong address is known before any disk is touched; the operations
//! listener answers while the store opens; S3 is accepted, and readiness given, when the service is there.
//! End: on SIGTERM or SIGINT readiness is withdrawn and nothing more is accepted; what is in flight finishes within
//! the grace period; then the caller closes the store.

mod health;
mod listener;
mod ops;
mod peer;
mod s3;
mod shutdown;
mod stall;
pub mod tls;

pub use health::{Health, Stage, health_response};
pub use peer::{Entrance, Peer, Transport};
pub use shutdown::{HangUps, StopSignals};

use crate::config::{Config, ServerConfig};
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use s3::S3Listener;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tls::{Certificates, Reload};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{what} cannot listen on {address} ({key}): {error}")]
    Bind { what: &'static str, key: &'static str, address: SocketAddr, error: io::Error },
    #[error("signals cannot be handled: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
}

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy when the grace period was over.
    pub cut_off: usize,
}

/// The bound server; it accepts no S3 request before [`Server::run`].
pub struct Server {
    config: ServerConfig,
    s3: S3Listener,
    websites: Option<S3Listener>,
    addresses: Addresses,
    health: Health,
    /// The operations listener and the certificates' poll; they end with the server.
    background: JoinSet<()>,
}

/// Where the server listens. Ports are the real ones, also where the configuration says 0.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The S3 listener.
    pub s3: SocketAddr,
    /// How S3 is spoken there.
    pub s3_transport: Transport,
    /// The listener for websites alone, if there is one.
    pub websites: Option<SocketAddr>,
    /// The operations listener.
    pub ops: SocketAddr,
}

impl Server {
    /// Reads the certificates, binds the sockets and starts to answer on the operations listener.
    ///
    /// # Errors
    /// If an address is taken or a certificate cannot be used.
    pub async fn bind(config: &Config, health: Health, metrics: Metrics) -> Result<Self, ServerError> {
        let tls = config.tls.clone().map(Certificates::load).transpose()?;
        let socket = listener::bind("S3", "server.listen", config.server.listen).await?;
        let websites = match config.website.listen {
            None => None,
            Some(address) => {
                let socket = listener::bind("The listener for websites", "website.listen", address).await?;
                let (tls, metrics) = (tls.clone(), metrics.clone());
                let bound = local_address(&socket, address);
                Some((bound, S3Listener { entrance: Entrance::Websites, socket, tls, metrics }))
            }
        };
        let (websites_at, websites) = websites.unzip();
        let ops = listener::bind("The operations listener", "server.ops_listen", config.server.ops_listen).await?;
        let addresses = Addresses {
            s3: local_address(&socket, config.server.listen),
            s3_transport: if tls.is_some() { Transport::Tls } else { Transport::Plain },
            websites: websites_at,
            ops: local_address(&ops, config.server.ops_listen),
        };
        let mut background = JoinSet::new();
        background.spawn(ops::serve(ops, health.clone(), metrics.clone()));
        background.spawn(keep_certificates_fresh(tls.clone(), HangUps::install()?));
        let s3 = S3Listener { entrance: Entrance::S3, socket, tls, metrics };
        Ok(Self { config: config.server.clone(), s3, websites, addresses, health, background })
    }

    /// Where the server listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends the draining.
    ///
    /// # Errors
    /// If TLS cannot be set up. Later faults concern single connections and are logged.
    pub async fn run<S, B>(self, service: S, mut signals: StopSignals) -> Result<Drained, ServerError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // Two futures take turns with the signals: the first to stop, the second to hurry.
        let (stopped, stop) = tokio::sync::oneshot::channel::<()>();
        let (hurried, hurry) = tokio::sync::oneshot::channel::<()>();
        let listen_to_signals = async move {
            let signal = signals.next().await;
            tracing::info!(signal, "draining: finishing the requests in flight");
            drop(stopped);
            let signal = signals.next().await;
            tracing::warn!(signal, "a second signal: ending at once");
            drop(hurried);
            std::future::pending::<()>().await;
        };
        let until = |ended: tokio::sync::oneshot::Receiver<()>| async {
            // The sender is dropped, never used: both outcomes mean "now".
            let _ = ended.await;
        };
        tokio::select! {
            drained = self.run_until(service, until(stop), until(hurry)) => drained,
            () = listen_to_signals => Ok(Drained { cut_off: 0 }),
        }
    }

    /// As [`Server::run`], with the caller's own reasons to stop and to hurry.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub async fn run_until<S, B>(
        self,
        service: S,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Result<Drained, ServerError>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Self { config, s3, websites, health, mut background, .. } = self;
        health.advance_to(Stage::Serving);
        let draining = health.clone();
        let stop = async move {
            stop.await;
            draining.advance_to(Stage::Draining);
        };
        let (stop, hurry) = (stop.shared(), hurry.shared());
        let websites = async {
            match websites {
                Some(websites) => websites.serve(&config, service.clone(), stop.clone(), hurry.clone()).await,
                None => Ok(Drained { cut_off: 0 }),
            }
        };
        let s3 = s3.serve(&config, service.clone(), stop.clone(), hurry.clone());
        let (drained, of_websites) = tokio::try_join!(s3, websites)?;
        let drained = Drained { cut_off: drained.cut_off + of_websites.cut_off };
        background.shutdown().await;
        if drained.cut_off > 0 {
            tracing::warn!(
                connections = drained.cut_off,
                "cut off: they were busy beyond server.shutdown_grace_period"
            );
        }
        Ok(drained)
    }
}

fn local_address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

/// Looks at the certificate files at each SIGHUP and every half minute. Without TLS it only absorbs SIGHUP.
async fn keep_certificates_fresh(certificates: Option<Arc<Certificates>>, mut hang_ups: HangUps) {
    let mut poll = tokio::time::interval(tls::POLL_INTERVAL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = hang_ups.next() => {}
            _ = poll.tick(), if certificates.is_some() => {}
        }
        let Some(certificates) = certificates.clone() else {
            continue;
        };
        // On a thread for blocking work: a hanging network mount must not hang the listeners.
        match tokio::task::spawn_blocking(move || certificates.reload()).await {
            Ok(Ok(Reload::Unchanged)) => {}
            Ok(Ok(Reload::Replaced)) => tracing::info!("new TLS certificate in use"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the TLS certificate in use stays: the new one cannot be used");
            }
            Err(error) => tracing::error!(%error, "the reload of the TLS certificate broke off"),
        }
    }
}

#[cfg(test)]
mod tests;
