//! Sockets: binding them with errors that help, and accepting for ever.

use super::ServerError;
use crate::telemetry::metrics::Metrics;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long to wait when the system is out of file descriptors or memory: long enough for connections to end,
/// short enough that clients do not notice.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(50);

/// Binds `address`; `what` names the listener and `key` the setting in the error.
pub(super) async fn bind(
    what: &'static str,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|error| ServerError::Bind { what, key, address, error })
}

/// The next connection. Errors are counted and outlived: none of them means that the listener is broken.
pub(super) async fn accept(listener: &TcpListener, metrics: &Metrics) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(connection) => return connection,
            // The client left before it was accepted; the next one may be well.
            Err(error) if is_of_one_connection(&error) => metrics.accept_failed(),
            Err(error) => {
                metrics.accept_failed();
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
