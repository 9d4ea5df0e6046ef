//! Amazon EventBridge: events on a bus.
//!
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};

use super::aws::Service;
use super::target::{EventBridgeTarget, EventTarget};
use super::{EventSink, Message, SendError, Sent};

/// Amazon's limits of one request.
const BATCH: usize = 10;
const BATCH_BYTES: usize = 256 << 10;
/// Of an entry, beside its body.
const ENTRY_BYTES: usize = 1 << 10;

pub(super) struct EventBridge {
    service: Service,
    event_bus: String,
    source: String,
}

impl EventBridge {
    pub(super) fn open(target: &EventTarget, settings: &EventBridgeTarget) -> Result<Self, String> {
        let amazons = format!("https://events.{}.amazonaws.com/", settings.access.region);
        let endpoint = match &settings.access.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(&amazons).map_err(|error| error.to_string())?,
        };
        let service = Service::open("events", endpoint, &settings.access, target.timeout)?;
        Ok(Self { service, event_bus: settings.event_bus.clone(), source: settings.source.clone() })
    }

    /// The event's parts, as the bus puts them together again.
    fn entry(&self, message: &Message) -> Option<Value> {
        let event: Value = serde_json::from_slice(&message.body).ok()?;
        let seconds = message.time.parse::<Timestamp>().ok()?.as_second();
        Some(json!({
            "Source": self.source,
            "DetailType": event.get("detail-type")?.as_str()?,
            "Detail": event.get("detail")?.to_string(),
            "Resources": event.get("resources").cloned().unwrap_or_else(|| json!([])),
            "Time": seconds,
            "EventBusName": self.event_bus,
        }))
    }

    async fn put(&self, entries: Vec<Value>) -> Sent {
        let count = entries.len();
        let answer = match self.service.json("AWSEvents.PutEvents", "1.1", &json!({"Entries": entries})).await {
            Ok(answer) => answer,
            Err(error) => return Sent::until(0, error.unavailable()),
        };
        let results = answer.get("Entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(index) = results.iter().position(|result| result["ErrorCode"].is_string()) else {
            return Sent::all(count);
        };
        let text = |name: &str| results.get(index).and_then(|result| result[name].as_str()).unwrap_or_default();
        let reason = format!("{}: {}", text("ErrorCode"), text("ErrorMessage"));
        let is_own_fault = text("ErrorCode").contains("Malformed") || text("ErrorCode").contains("InvalidArgument");
        Sent::until(index, if is_own_fault { SendError::rejected(reason) } else { SendError::unavailable(reason) })
    }
}

#[async_trait]
impl EventSink for EventBridge {
    async fn check(&self) -> Result<(), SendError> {
        let body = json!({"Name": self.event_bus});
        match self.service.json("AWSEvents.DescribeEventBus", "1.1", &body).await {
            // Whoever may put events need not be allowed to look.
            Err(error) if !error.is_denial() => Err(error.unavailable()),
            _ => Ok(()),
        }
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let mut taken = 0;
        while let Some(first) = messages.get(taken) {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for message in messages.iter().skip(taken).take(BATCH) {
                bytes += message.body.len() + ENTRY_BYTES;
                let Some(entry) = self.entry(message).filter(|_| entries.is_empty() || bytes <= BATCH_BYTES) else {
                    break;
                };
                entries.push(entry);
            }
            if entries.is_empty() {
                let name = &first.event_name;
                return Sent::until(
                    taken,
                    SendError::rejected(format!("{name} is not written as EventBridge's events are")),
                );
            }
            let sent = self.put(entries).await;
            taken += sent.taken;
            if sent.stopped.is_some() {
                return Sent { taken, stopped: sent.stopped };
            }
        }
        Sent::all(taken)
    }

    fn batch_limit(&self) -> usize {
        4 * BATCH
    }
}
