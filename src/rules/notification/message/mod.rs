//! Events as they are sent.
//!
//! `sequence` is the event's position in the outbox: commits' own order, so of two events of a key the greater one is
//! of the later change, and no event ever gets the number of another.

mod cloud_events;
mod event_bridge;
mod s3;

use serde::Serialize;
use storage::types::Timestamp;

use super::event::Event;

/// The content type of all formats but [`Format::CloudEvents`].
const JSON: &str = "application/json";

/// How an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Amazon S3's own record, in a list of one.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>
    S3,
    /// CloudEvents 1.0 in structured JSON, around Amazon S3's record.
    /// <https://github.com/cloudevents/spec/blob/main/cloudevents/adapters/aws-s3.md>
    CloudEvents,
    /// The event as Amazon EventBridge delivers it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>
    EventBridge,
    /// As [`Format::S3`], with `s3:` before the event's name: what MinIO's clients listen for.
    Listened,
}

impl Format {
    /// The content type of what [`body`] writes.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::S3 | Self::EventBridge | Self::Listened => JSON,
            Self::CloudEvents => "application/cloudevents+json",
        }
    }
}

/// The message for one target. `configuration` is the id of the configuration that names the target.
#[must_use]
pub fn body(format: Format, event: &Event, sequence: u64, configuration: &str) -> Vec<u8> {
    match format {
        Format::S3 => json(&s3::records(event, sequence, configuration, event.name.as_str().to_owned())),
        Format::Listened => json(&s3::records(event, sequence, configuration, format!("s3:{}", event.name))),
        Format::CloudEvents => json(&cloud_events::event(event, sequence, configuration)),
        Format::EventBridge => json(&event_bridge::event(event, sequence)),
    }
}

/// The place of an event in the order of its key, as records write it: hexadecimal, of one length.
#[must_use]
pub fn sequencer(sequence: u64) -> String {
    format!("{sequence:016X}")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TestEvent<'a> {
    service: &'static str,
    event: &'static str,
    time: String,
    bucket: &'a str,
    request_id: &'a str,
    host_id: &'a str,
}

/// The message that a target gets when a bucket is configured to send events to it.
#[must_use]
pub fn test_event(bucket: &str, time: Timestamp, request_id: &str, host_id: &str) -> Vec<u8> {
    let time = instant(time);
    json(&TestEvent { service: "Amazon S3", event: "s3:TestEvent", time, bucket, request_id, host_id })
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Texts, numbers and lists of them: nothing that JSON cannot hold.
    serde_json::to_vec(value).expect("an event is plain text and numbers")
}

/// The bucket's ARN.
fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// A time with milliseconds: `1970-01-01T00:00:00.000Z`.
#[must_use]
pub fn instant(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A time in whole seconds: `1970-01-01T00:00:00Z`.
fn second(time: Timestamp) -> String {
    let time = jiff::Timestamp::from_second(time.0.div_euclid(1_000)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
