//! Signals: SIGTERM and SIGINT end the program in order, a second one at once; SIGHUP reloads
//! certificates and keys.

use super::ServerError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the program to end.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From here on the signals no longer kill the process.
    ///
    /// # Errors
    /// If the system does not let the process handle them.
    pub fn install() -> Result<Self, ServerError> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next of them, and says which.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, which would otherwise kill the process. Several may wait for it, each for its own purpose.
pub struct HangUps(Signal);

impl HangUps {
    /// From here on the signal no longer kills the process.
    ///
    /// # Errors
    /// If the system does not let the process handle it.
    pub fn install() -> Result<Self, ServerError> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next of them; several that came in between count as one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, ServerError> {
    signal(kind).map_err(ServerError::Signals)
}
