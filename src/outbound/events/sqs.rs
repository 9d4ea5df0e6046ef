//! Amazon SQS: queues, standard and FIFO.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use async_trait::async_trait;
use reqwest::Url;
use serde_json::{Value, json};

use super::aws::{CallError, Service, digest};
use super::target::{EventTarget, SqsTarget};
use super::{EventSink, Message, SendError, Sent};

/// Amazon's limits of one request.
const BATCH: usize = 10;
const BATCH_BYTES: usize = 256 << 10;

pub(super) struct Sqs {
    service: Service,
    queue_url: Url,
    is_fifo: bool,
}

impl Sqs {
    pub(super) fn open(target: &EventTarget, settings: &SqsTarget) -> Result<Self, String> {
        let mut endpoint = settings.access.endpoint.clone().unwrap_or_else(|| settings.queue_url.clone());
        endpoint.set_path("/");
        endpoint.set_query(None);
        Ok(Self {
            service: Service::open("sqs", endpoint, &settings.access, target.timeout)?,
            queue_url: settings.queue_url.clone(),
            is_fifo: settings.queue_url.path().strip_suffix(".fifo").is_some(),
        })
    }

    /// How many messages from the front go into one request. In a FIFO queue two of one key do not: if the first of them
    /// alone were refused, it would end up behind the other.
    fn batch_length(&self, messages: &[Message]) -> usize {
        let mut bytes = 0;
        let fits = |(index, message): &(usize, &Message)| {
            bytes += message.body.len();
            let earlier = messages.get(..*index).unwrap_or_default();
            let is_repeated = || earlier.iter().any(|other| other.ordering_key == message.ordering_key);
            *index == 0 || (bytes <= BATCH_BYTES && !(self.is_fifo && is_repeated()))
        };
        messages.iter().take(BATCH).enumerate().take_while(fits).count()
    }

    fn entry(&self, index: usize, message: &Message) -> Value {
        let body = String::from_utf8_lossy(&message.body);
        let mut entry = json!({"Id": index.to_string(), "MessageBody": body});
        if self.is_fifo {
            entry["MessageGroupId"] = digest(&message.ordering_key).into();
            entry["MessageDeduplicationId"] = digest(&message.id).into();
        }
        entry
    }

    async fn send_batch(&self, messages: &[Message]) -> Sent {
        let entries: Vec<Value> =
            messages.iter().enumerate().map(|(index, message)| self.entry(index, message)).collect();
        let body = json!({"QueueUrl": self.queue_url.as_str(), "Entries": entries});
        let answer = match self.service.json("AmazonSQS.SendMessageBatch", "1.0", &body).await {
            Ok(answer) => answer,
            // One message alone is refused like this when it is too long for the queue.
            Err(CallError::Refused { code, message })
                if code.contains("BatchRequestTooLong") && messages.len() == 1 =>
            {
                return Sent::until(0, SendError::rejected(format!("{code}: {message}")));
            }
            Err(error) => return Sent::until(0, error.unavailable()),
        };
        let failed = answer.get("Failed").and_then(Value::as_array).into_iter().flatten();
        let first = failed
            .filter_map(|entry| Some((entry["Id"].as_str()?.parse::<usize>().ok()?, entry)))
            .min_by_key(|(index, _)| *index);
        let Some((index, entry)) = first else { return Sent::all(messages.len()) };
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let reason = format!("{}: {}", text("Code"), text("Message"));
        let is_own_fault = entry["SenderFault"].as_bool().unwrap_or(false);
        Sent::until(index, if is_own_fault { SendError::rejected(reason) } else { SendError::unavailable(reason) })
    }
}

#[async_trait]
impl EventSink for Sqs {
    async fn check(&self) -> Result<(), SendError> {
        let body = json!({"QueueUrl": self.queue_url.as_str(), "AttributeNames": ["QueueArn"]});
        match self.service.json("AmazonSQS.GetQueueAttributes", "1.0", &body).await {
            // Whoever may send need not be allowed to look.
            Err(error) if !error.is_denial() => Err(error.unavailable()),
            _ => Ok(()),
        }
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let (mut taken, mut rest) = (0, messages);
        while !rest.is_empty() {
            let (batch, behind) = rest.split_at(self.batch_length(rest).max(1));
            let sent = self.send_batch(batch).await;
            taken += sent.taken;
            if sent.stopped.is_some() {
                return Sent { taken, stopped: sent.stopped };
            }
            rest = behind;
        }
        Sent::all(taken)
    }

    fn batch_limit(&self) -> usize {
        4 * BATCH
    }
}
