//! Kafka: one record for each event, keyed by bucket and key.

use async_trait::async_trait;

use super::target::{EventTarget, KafkaTarget};
use super::{EventSink, Message, SendError, Sent};
use crate::outbound::kafka::{Record, Topic};

const BATCH: usize = 500;

pub(super) struct Kafka(Topic);

impl Kafka {
    pub(super) fn open(target: &EventTarget, settings: &KafkaTarget) -> Result<Self, String> {
        Topic::open(settings, target.timeout).map(Self)
    }
}

#[async_trait]
impl EventSink for Kafka {
    async fn check(&self) -> Result<(), SendError> {
        self.0.check().await
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let headers: Vec<[(&str, &str); 3]> = messages
            .iter()
            .map(|message| {
                [("id", &*message.id), ("event", &*message.event_name), ("content-type", message.content_type)]
            })
            .collect();
        let mut records = Vec::with_capacity(messages.len());
        for (message, headers) in messages.iter().zip(&headers) {
            records.push(Record { key: Some(&message.ordering_key), payload: &message.body, headers });
        }
        self.0.send(&records).await
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }
}
