//! Targets of events: brokers, databases, webhooks and Amazon's own services. One file for each kind, one trait before
//! them all.
//!
//! A sink sends and nothing else: what is sent when, again, or never, is decided by whoever calls it. Each call ends
//! within the target's time limit; a connection that was lost is made anew by the next call.

mod amqp;
mod aws;
mod eventbridge;
mod file;
mod kafka;
mod lanes;
mod mqtt;
mod nats;
mod postgresql;
mod redis;
mod sns;
mod sqs;
pub mod target;
#[cfg(test)]
mod tests;
pub(super) mod tls;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use target::{EventTarget, TargetKind};

/// One event for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `bucket/key`: messages with the same one must arrive in order.
    pub ordering_key: String,
    /// Unique for each event and target, the same when it is sent again: targets may drop duplicates by it.
    pub id: String,
    pub body: Bytes,
    pub content_type: &'static str,
    /// `ObjectCreated:Put`
    pub event_name: String,
    pub bucket: String,
    /// Not encoded.
    pub key: String,
    /// When it happened: RFC 3339, UTC.
    pub time: String,
}

impl Message {
    /// Whether the object is gone after this event.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        let name = self.event_name.strip_prefix("s3:").unwrap_or(&self.event_name);
        name.starts_with("ObjectRemoved:") || name.starts_with("LifecycleExpiration:")
    }
}

/// Why a target did not take a message. The texts are for the operator, and hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It never will: the fault is in this message.
    #[error("{message}")]
    Rejected { message: String },
    /// It may later: the target is down, full, or refuses our credentials.
    #[error("{message}")]
    Unavailable { message: String },
}

impl SendError {
    pub(crate) fn rejected(message: impl std::fmt::Display) -> Self {
        Self::Rejected { message: message.to_string() }
    }

    pub(crate) fn unavailable(message: impl std::fmt::Display) -> Self {
        Self::Unavailable { message: message.to_string() }
    }
}

/// How far a batch came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// So many messages from the front were acknowledged.
    pub taken: usize,
    /// What stopped the next one; nothing, if all were taken.
    pub stopped: Option<SendError>,
}

impl Sent {
    /// All of a batch of `count`.
    #[must_use]
    pub fn all(count: usize) -> Self {
        Self { taken: count, stopped: None }
    }

    /// `taken`, and then this error.
    #[must_use]
    pub fn until(taken: usize, error: SendError) -> Self {
        Self { taken, stopped: Some(error) }
    }
}

/// The sink of a target. Nothing is connected yet.
///
/// # Errors
/// A sentence, if a file that the target names cannot be read, or a setting cannot be used.
pub fn open(target: &EventTarget) -> Result<Arc<dyn EventSink>, String> {
    Ok(match &target.kind {
        TargetKind::Webhook(settings) => Arc::new(webhook::Webhook::open(target, settings)?),
        TargetKind::Kafka(settings) => Arc::new(kafka::Kafka::open(target, settings)?),
        TargetKind::Nats(settings) => Arc::new(nats::Nats::open(target, settings)?),
        TargetKind::Amqp(settings) => Arc::new(amqp::Amqp::open(target, settings)?),
        TargetKind::Mqtt(settings) => Arc::new(mqtt::Mqtt::open(target, settings)?),
        TargetKind::Redis(settings) => Arc::new(redis::Redis::open(target, settings)?),
        TargetKind::Postgresql(settings) => Arc::new(postgresql::Postgresql::open(target, settings)?),
        TargetKind::Sqs(settings) => Arc::new(sqs::Sqs::open(target, settings)?),
        TargetKind::Sns(settings) => Arc::new(sns::Sns::open(target, settings)?),
        TargetKind::EventBridge(settings) => Arc::new(eventbridge::EventBridge::open(target, settings)?),
        TargetKind::File(settings) => Arc::new(file::File::open(settings)),
    })
}

/// Where events go.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Whether the target can be reached and takes our credentials.
    ///
    /// # Errors
    /// What is in the way.
    async fn check(&self) -> Result<(), SendError>;

    /// Sends the messages in order and waits until they are acknowledged. Messages behind the first that was not taken
    /// may have been taken as well, and will be sent again.
    async fn send(&self, messages: &[Message]) -> Sent;

    /// How many messages one call to [`EventSink::send`] takes best.
    fn batch_limit(&self) -> usize;
}
