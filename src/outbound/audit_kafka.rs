//! The audit trail in a topic of Kafka: one record for each line.
//!
//! As with the webhook, lines are repeated, with growing pauses, until the brokers take them; meanwhile the queue fills,
//! and what does not fit is dropped and counted where it would be queued. Delivery is at least once, in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::events::SendError;
use super::events::target::KafkaTarget;
use super::kafka::{Record, Topic};
use crate::telemetry::audit::{Entry, Lines};

const BATCH_LINES: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The running sink.
pub struct AuditKafka {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl AuditKafka {
    /// Starts sending what comes through `lines`.
    ///
    /// # Errors
    /// A sentence, if a file cannot be read or the settings cannot be used.
    pub fn start(settings: &KafkaTarget, lines: Lines) -> Result<Self, String> {
        let topic = Topic::open(settings, TIMEOUT)?;
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(Sender { topic, lines, stopping }.run());
        Ok(Self { stop, task })
    }

    /// Ends it: what is queued may still be sent for as long as `grace`.
    pub async fn stop(self, grace: Duration) {
        let mut task = self.task;
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return;
        }
        // The sender may have ended at this very moment.
        let _ = self.stop.send(true);
        if let Err(error) = task.await {
            tracing::error!(%error, "the audit trail's Kafka sink ended badly");
        }
    }
}

struct Sender {
    topic: Topic,
    lines: Lines,
    stopping: watch::Receiver<bool>,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let (batch, last) = self.batch().await;
            let lost = self.deliver(&batch).await;
            self.lines.dropped.fetch_add(lost, Ordering::Relaxed);
            if last || *self.stopping.borrow() {
                let left = u64::try_from(self.lines.receiver.len()).unwrap_or(u64::MAX);
                self.lines.dropped.fetch_add(left, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The lines that wait, at least one; and whether they are the last.
    async fn batch(&mut self) -> (Vec<Bytes>, bool) {
        let mut batch = Vec::new();
        let mut next = tokio::select! {
            next = self.lines.receiver.recv() => next,
            _ = self.stopping.changed() => return (batch, true),
        };
        loop {
            match next {
                Some(Entry::Line(line)) => batch.push(line),
                Some(Entry::End) | None => return (batch, true),
            }
            if batch.len() >= BATCH_LINES {
                return (batch, false);
            }
            let Ok(entry) = self.lines.receiver.try_recv() else { return (batch, false) };
            next = Some(entry);
        }
    }

    /// How many of the lines are lost.
    async fn deliver(&mut self, batch: &[Bytes]) -> u64 {
        let (mut rest, mut lost, mut pause, mut complained) = (batch, 0, FIRST_PAUSE, false);
        while !rest.is_empty() {
            let record = |line: &'_ Bytes| line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            let lines: Vec<Vec<u8>> = rest.iter().map(record).collect();
            let records: Vec<Record<'_>> =
                lines.iter().map(|line| Record { key: None, payload: line, headers: &[] }).collect();
            let sent = tokio::select! {
                sent = self.topic.send(&records) => sent,
                _ = self.stopping.changed() => return lost + rest.len() as u64,
            };
            rest = rest.get(sent.taken..).unwrap_or_default();
            match sent.stopped {
                None => {
                    if complained {
                        tracing::info!("the audit trail's Kafka topic takes lines again");
                    }
                }
                Some(SendError::Rejected { message }) => {
                    tracing::error!(message, "an audit line is lost: Kafka refuses it");
                    lost += 1;
                    rest = rest.get(1..).unwrap_or_default();
                }
                Some(SendError::Unavailable { message }) => {
                    if !complained {
                        tracing::warn!(message, "Kafka does not take audit lines; they will be sent again");
                        complained = true;
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = self.stopping.changed() => return lost + rest.len() as u64,
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        lost
    }
}
