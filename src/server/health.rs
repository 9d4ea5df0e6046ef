//! Is the process alive, and should it get requests? Both listeners answer from the same [`Health`].

use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How far the program is in its life. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicU8>);

/// The stages, in the only order in which they follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The store opens; requests are not accepted yet.
    Starting,
    /// Requests are served.
    Serving,
    /// SIGTERM came: what is in flight is finished, nothing new is wanted.
    Draining,
}

impl Health {
    /// A program that starts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The present stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Acquire) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            _ => Stage::Draining,
        }
    }

    /// Moves on to `stage`. A program that drains never serves again.
    pub fn advance_to(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

/// The answer to a health path, `None` for every other path. It needs no bucket, no credentials and no disk.
///
/// Liveness is 200 as long as this code runs: whoever restarts a server for a full disk restarts it for ever.
/// Readiness is 200 only while requests are served. The `/minio/` paths are those that existing probes ask.
#[must_use]
pub fn health_response(path: &str, health: &Health) -> Option<(StatusCode, &'static str)> {
    match path {
        "/_health/live" | "/minio/health/live" => Some((StatusCode::OK, "alive\n")),
        "/_health/ready" | "/minio/health/ready" | "/minio/health/cluster" => Some(match health.stage() {
            Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Stage::Serving => (StatusCode::OK, "ready\n"),
            Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_the_stages_and_liveness_does_not() {
        let health = Health::new();
        let status = |path| health_response(path, &health).map(|(status, _)| status.as_u16());
        for (stage, ready) in
            [(Stage::Starting, 503), (Stage::Serving, 200), (Stage::Draining, 503), (Stage::Serving, 503)]
        {
            health.advance_to(stage);
            for path in ["/_health/ready", "/minio/health/ready", "/minio/health/cluster"] {
                assert_eq!(status(path), Some(ready), "{path} at {stage:?}");
            }
            for path in ["/_health/live", "/minio/health/live"] {
                assert_eq!(status(path), Some(200), "{path} at {stage:?}");
            }
        }
        assert_eq!(health.stage(), Stage::Draining, "there is no way back");
    }

    #[test]
    fn other_paths_are_left_to_others() {
        for path in ["/", "/_health", "/_health/live/", "/bucket/_health/live", "/minio/health", "/minio/object"] {
            assert_eq!(health_response(path, &Health::new()), None, "{path}");
        }
    }
}
