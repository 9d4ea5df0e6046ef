//! From an event in the outbox to the message that a target gets.

use bytes::Bytes;
use storage::index::records::{DeadLetter, Record};
use storage::store::OutboxEvent;
use storage::types::Timestamp;

use crate::object::Event;
use crate::outbound::events::Message;
use crate::outbound::events::target::EventFormat;
use crate::rules::notification::message::{self, Format};

/// An event that waits for one target.
pub(super) struct Waiting {
    pub position: u64,
    pub time: Timestamp,
    pub event: Bytes,
    pub message: Message,
}

impl Waiting {
    /// The event, if it is for this target. One that cannot be read is nobody's: it was told when it was found.
    pub fn of(row: &OutboxEvent, target: &str, format: EventFormat) -> Option<Self> {
        let event = read(row.position, &row.event)?;
        let configuration = event.configuration_for(target)?;
        let message = message(&event, row.position, target, configuration, format);
        Some(Self { position: row.position, time: event.time, event: row.event.clone(), message })
    }

    /// As a dead letter.
    pub fn bury(&self, reason: &str) -> DeadLetter {
        let (position, event) = (self.position, self.event.to_vec());
        DeadLetter { position, buried: Timestamp::now(), reason: reason.to_owned(), event }
    }
}

/// The event of a row. Damage is logged; it cannot be sent to anybody.
pub(super) fn read(position: u64, row: &[u8]) -> Option<Event> {
    match Event::decode(row) {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(position, %error, "an event in the outbox cannot be read, and is sent to nobody");
            None
        }
    }
}

/// The message of a dead letter.
pub(super) fn again(letter: &DeadLetter, target: &str, format: EventFormat) -> Option<Message> {
    let event = read(letter.position, &letter.event)?;
    // The configuration may be gone by now; the event was meant for the target nevertheless.
    let configuration = event.configuration_for(target).unwrap_or_default();
    Some(message(&event, letter.position, target, configuration, format))
}

fn message(event: &Event, position: u64, target: &str, configuration: &str, format: EventFormat) -> Message {
    let format = match format {
        EventFormat::S3 => Format::S3,
        EventFormat::CloudEvents => Format::CloudEvents,
        EventFormat::EventBridge => Format::EventBridge,
    };
    let time = jiff::Timestamp::from_millisecond(event.time.0).unwrap_or_default();
    Message {
        ordering_key: format!("{}/{}", event.bucket, event.key),
        id: format!("{}-{target}", message::sequencer(position)),
        body: message::body(format, event, position, configuration).into(),
        content_type: format.content_type(),
        event_name: event.name.as_str().to_owned(),
        bucket: event.bucket.clone(),
        key: event.key.clone(),
        time: time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    }
}
