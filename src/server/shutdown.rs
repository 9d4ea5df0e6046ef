//! Signals: SIGTERM and SIGINT end the program in order, a second one at once; SIGHUP reloads certificates.

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

/// SIGHUP, which would otherwise kill the process.
pub(super) fn hang_up() -> Result<Signal, ServerError> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, ServerError> {
    signal(kind).map_err(ServerError::Signals)
}
