//! The audit trail's webhook: batches of JSON lines by POST, `application/x-ndjson`.
//!
//! A batch is repeated, with growing pauses, until the collector takes it; meanwhile the queue fills, and what does
//! not fit is dropped and counted where it would be queued. A batch that the collector refuses for good (a 4xx) is
//! dropped and counted too: repeated for ever it would block all that come after it. Delivery is at least once.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{self, ClientError};
use crate::telemetry::audit::{Entry, Lines};

const BATCH_LINES: usize = 200;
const BATCH_BYTES: usize = 256 << 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// What an answer may hold; it is read so that the connection can be used again.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// The running webhook.
pub struct AuditWebhook {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AuditWebhook {
    /// Starts sending what comes through `lines` to `url`.
    ///
    /// # Errors
    /// If the file of further certificate authorities cannot be used.
    pub fn start(url: Url, ca_file: Option<&Path>, lines: Lines) -> Result<Self, ClientError> {
        let http = client::client(ca_file)?;
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(Sender { http, url, lines, stopping }.run());
        Ok(Self { stop, task })
    }

    /// Ends it: what is queued may still be sent for as long as `grace`, without repetitions after that.
    pub async fn stop(self, grace: Duration) {
        let mut task = self.task;
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return;
        }
        // The sender may have ended at this very moment.
        let _ = self.stop.send(true);
        if let Err(error) = task.await {
            tracing::error!(%error, "the audit webhook ended badly");
        }
    }
}

struct Sender {
    http: Client,
    url: Url,
    lines: Lines,
    stopping: watch::Receiver<bool>,
}

/// How one attempt ended.
enum Outcome {
    Taken,
    /// It may be taken later.
    Failed(String),
    /// It never will.
    Refused(StatusCode),
}

impl Sender {
    async fn run(mut self) {
        loop {
            let (batch, count, last) = self.batch().await;
            if count > 0 && !self.deliver(batch.freeze()).await {
                self.lines.dropped.fetch_add(count, Ordering::Relaxed);
            }
            if last || *self.stopping.borrow() {
                let left = u64::try_from(self.lines.receiver.len()).unwrap_or(u64::MAX);
                self.lines.dropped.fetch_add(left, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The lines that wait, at least one; and whether they are the last.
    async fn batch(&mut self) -> (BytesMut, u64, bool) {
        let (mut batch, mut count) = (BytesMut::new(), 0);
        let mut next = tokio::select! {
            next = self.lines.receiver.recv() => next,
            _ = self.stopping.changed() => return (batch, count, true),
        };
        loop {
            match next {
                Some(Entry::Line(line)) => {
                    batch.extend_from_slice(&line);
                    count += 1;
                }
                Some(Entry::End) | None => return (batch, count, true),
            }
            if count >= BATCH_LINES as u64 || batch.len() >= BATCH_BYTES {
                return (batch, count, false);
            }
            let Ok(entry) = self.lines.receiver.try_recv() else { return (batch, count, false) };
            next = Some(entry);
        }
    }

    /// Whether the collector took the batch.
    async fn deliver(&mut self, batch: Bytes) -> bool {
        let (mut pause, mut complained) = (FIRST_PAUSE, false);
        loop {
            match self.attempt(batch.clone()).await {
                Outcome::Taken => {
                    if complained {
                        tracing::info!("the audit webhook takes lines again");
                    }
                    return true;
                }
                Outcome::Refused(status) => {
                    tracing::error!(%status, "audit lines are lost: the audit webhook refuses them");
                    return false;
                }
                Outcome::Failed(reason) => {
                    if !complained {
                        tracing::warn!(reason, "the audit webhook does not take lines; they will be sent again");
                        complained = true;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.stopping.changed() => return false,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, batch: Bytes) -> Outcome {
        let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/x-ndjson").body(batch);
        let mut response = match request.send().await {
            Ok(response) => response,
            // The URL may hold a token of the collector's and stays out of the log.
            Err(error) => return Outcome::Failed(error.without_url().to_string()),
        };
        let status = response.status();
        let mut read = 0;
        while let Ok(Some(part)) = response.chunk().await {
            read += part.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        let is_passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        match status {
            _ if status.is_success() => Outcome::Taken,
            _ if status.is_client_error() && !is_passing => Outcome::Refused(status),
            _ => Outcome::Failed(format!("it answers {status}")),
        }
    }
}
