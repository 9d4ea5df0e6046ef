//! Structured logs on stderr. Rotation is the work of journald, of the container's runtime or of logrotate.

use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

/// s3s opens a span at `info` for every signature that it checks; with spans of its own switched on, each
/// request would pay for them.
pub const DEFAULT_LEVEL: &str = "info,s3s=off";

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log.level: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging was started twice: {0}")]
    Started(#[from] TryInitError),
}

/// Starts logging for the whole process, and sends panics the same way, so that a collector of JSON lines never
/// meets anything else on stderr.
///
/// # Errors
/// If the level is no filter or logging runs already.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    let filter: Targets = config.level.parse()?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = match config.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(place, thread, backtrace = %std::backtrace::Backtrace::capture(), "panicked: {}", reason(panic));
    }));
    Ok(())
}

fn reason<'a>(panic: &'a std::panic::PanicHookInfo<'_>) -> &'a str {
    let payload = panic.payload();
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}
