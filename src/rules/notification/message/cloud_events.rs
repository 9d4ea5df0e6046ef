//! CloudEvents 1.0: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use serde::Serialize;

use super::s3::{Record, record};
use super::{instant, sequencer};
use crate::rules::notification::event::Event;

/// The event in structured mode.
#[derive(Serialize)]
pub(super) struct CloudEvent<'a> {
    specversion: &'static str,
    /// Amazon's adapter names the request; one request can delete a thousand keys, so the place in the order is added.
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    /// <https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/sequence.md>
    sequence: String,
    datacontenttype: &'static str,
    data: Record<'a>,
}

pub(super) fn event<'a>(event: &'a Event, sequence: u64, configuration: &'a str) -> CloudEvent<'a> {
    let sequencer = sequencer(sequence);
    CloudEvent {
        specversion: "1.0",
        id: format!("{}.{sequencer}", event.origin.request_id),
        source: format!("aws:s3.{}.{}", event.region, event.bucket),
        kind: format!("com.amazonaws.s3.{}", event.name),
        subject: &event.key,
        time: instant(event.time),
        sequence: sequencer,
        datacontenttype: super::JSON,
        data: record(event, sequence, configuration, event.name.as_str().to_owned()),
    }
}
