//! Amazon SNS: topics, standard and FIFO.
//!
//! <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>

use async_trait::async_trait;
use reqwest::Url;

use super::aws::{CallError, Service, digest};
use super::lanes::{LANES, send_in_lanes};
use super::target::{EventTarget, SnsTarget};
use super::{EventSink, Message, SendError, Sent};

/// What Amazon S3 itself writes there.
const SUBJECT: &str = "Amazon S3 Notification";
const VERSION: &str = "2010-03-31";

pub(super) struct Sns {
    service: Service,
    topic_arn: String,
}

impl Sns {
    pub(super) fn open(target: &EventTarget, settings: &SnsTarget) -> Result<Self, String> {
        let amazons = format!("https://sns.{}.amazonaws.com/", settings.access.region);
        let endpoint = match &settings.access.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Url::parse(&amazons).map_err(|error| error.to_string())?,
        };
        let service = Service::open("sns", endpoint, &settings.access, target.timeout)?;
        Ok(Self { service, topic_arn: settings.topic_arn.clone() })
    }

    async fn publish(&self, message: &Message) -> Result<(), SendError> {
        let body = String::from_utf8_lossy(&message.body);
        let (group, id) = (digest(&message.ordering_key), digest(&message.id));
        let mut parameters = vec![
            ("Action", "Publish"),
            ("Version", VERSION),
            ("TopicArn", self.topic_arn.as_str()),
            ("Subject", SUBJECT),
            ("Message", &body),
        ];
        if self.topic_arn.strip_suffix(".fifo").is_some() {
            parameters.extend([("MessageGroupId", group.as_str()), ("MessageDeduplicationId", id.as_str())]);
        }
        self.service.query(&parameters).await.map_err(|error| match error {
            // Of the parameters, the message alone differs from one call to the next.
            CallError::Refused { code, message } if code.contains("InvalidParameter") && message.contains("essage") => {
                SendError::rejected(format!("{code}: {message}"))
            }
            error => error.unavailable(),
        })
    }
}

#[async_trait]
impl EventSink for Sns {
    async fn check(&self) -> Result<(), SendError> {
        let parameters = [("Action", "GetTopicAttributes"), ("Version", VERSION), ("TopicArn", &self.topic_arn)];
        match self.service.query(&parameters).await {
            // Whoever may publish need not be allowed to look.
            Err(error) if !error.is_denial() => Err(error.unavailable()),
            _ => Ok(()),
        }
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        send_in_lanes(messages, |message| self.publish(message)).await
    }

    fn batch_limit(&self) -> usize {
        4 * LANES
    }
}
