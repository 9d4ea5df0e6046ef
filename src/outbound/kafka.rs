//! The producer of Kafka records that events and audit lines share: idempotent, acknowledged by all replicas.
//!
//! librdkafka never gives up a record by itself here: whoever waits for it decides when it has waited enough, and then
//! throws the producer away, with all that it still holds. So nothing is sent behind its caller's back, and a record that
//! is sent again never ends up behind one that was to follow it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use tokio::time::Instant;

use super::events::target::KafkaTarget;
use super::events::tls;
use super::events::{SendError, Sent};

/// Bytes that wait in librdkafka; a batch of events is far smaller.
const QUEUE_KIB: u32 = 64 << 10;
const QUEUE_RECORDS: u32 = 10_000;

/// One record.
pub(super) struct Record<'a> {
    /// Records with the same key stay in order; without, they are spread.
    pub key: Option<&'a str>,
    pub payload: &'a [u8],
    pub headers: &'a [(&'a str, &'a str)],
}

/// A topic to write to. The connection is made anew after each failure.
pub(super) struct Topic {
    config: ClientConfig,
    name: String,
    timeout: Duration,
    producer: Mutex<Option<Connected>>,
}

#[derive(Clone)]
struct Connected {
    producer: FutureProducer<Complaints>,
    complaints: Complaints,
}

/// What librdkafka last complained about: why records are not acknowledged is said nowhere else.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Option<String>>>);

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
        // "All brokers are down" follows whatever the reason was, and says less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl Complaints {
    /// `error`, with what was complained about before it.
    fn behind(&self, error: impl std::fmt::Display) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => format!("{error}: {reason}"),
            None => error.to_string(),
        }
    }
}

impl Topic {
    /// # Errors
    /// A sentence, if a file cannot be read or librdkafka does not take the settings.
    pub(super) fn open(settings: &KafkaTarget, timeout: Duration) -> Result<Self, String> {
        let mut config = ClientConfig::new();
        config.set("client.id", "cairn");
        config.set("bootstrap.servers", settings.brokers.join(","));
        config.set("enable.idempotence", "true");
        config.set("message.timeout.ms", "0");
        config.set("linger.ms", "0");
        config.set("queue.buffering.max.kbytes", QUEUE_KIB.to_string());
        config.set("queue.buffering.max.messages", QUEUE_RECORDS.to_string());
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("socket.keepalive.enable", "true");
        config.set_log_level(RDKafkaLogLevel::Critical);
        if settings.use_tls {
            let pem = tls::pem(&settings.tls)?;
            config.set("ssl.ca.pem", pem.roots);
            if let Some((cert, key)) = pem.client {
                config.set("ssl.certificate.pem", String::from_utf8_lossy(&cert));
                config.set("ssl.key.pem", String::from_utf8_lossy(&key));
            }
        }
        if let Some((mechanism, login)) = &settings.sasl {
            config.set("sasl.mechanisms", mechanism.as_str());
            config.set("sasl.username", &login.username);
            config.set("sasl.password", login.password.read()?);
        }
        let protocol = match (settings.use_tls, settings.sasl.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        let topic = Self { config, name: settings.topic.clone(), timeout, producer: Mutex::new(None) };
        topic.connected()?;
        Ok(topic)
    }

    fn connected(&self) -> Result<Connected, String> {
        let mut kept = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = &*kept {
            return Ok(connected.clone());
        }
        let complaints = Complaints::default();
        let producer = self.config.create_with_context(complaints.clone()).map_err(|error| error.to_string())?;
        Ok(kept.insert(Connected { producer, complaints }).clone())
    }

    /// Throws the producer away; it takes half a second to end, on a thread of its own.
    fn forget(&self, connected: Connected) {
        let kept = self.producer.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(tokio::task::spawn_blocking(move || drop((connected, kept))));
    }

    /// Whether a broker can be reached that knows the topic.
    pub(super) async fn check(&self) -> Result<(), SendError> {
        let connected = self.connected().map_err(SendError::unavailable)?;
        let (topic, timeout, asked) = (self.name.clone(), self.timeout, connected.producer.clone());
        let asking = tokio::task::spawn_blocking(move || asked.client().fetch_metadata(Some(&topic), timeout));
        let metadata = match asking.await {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(error)) => return Err(SendError::unavailable(connected.complaints.behind(error))),
            Err(error) => return Err(SendError::unavailable(error)),
        };
        match metadata.topics().first().and_then(MetadataTopic::error) {
            None => Ok(()),
            Some(code) => Err(SendError::unavailable(format!("{}: {}", self.name, RDKafkaErrorCode::from(code)))),
        }
    }

    /// Sends the records in order, and waits until all are acknowledged.
    pub(super) async fn send(&self, records: &[Record<'_>]) -> Sent {
        let connected = match self.connected() {
            Ok(connected) => connected,
            Err(error) => return Sent::until(0, SendError::unavailable(error)),
        };
        let (mut waiting, mut refused) = (Vec::new(), None);
        for record in records {
            match connected.producer.send_result(self.record(record)) {
                Ok(delivery) => waiting.push(delivery),
                Err((error, _)) => {
                    refused = Some(sorted(&error, &connected.complaints));
                    break;
                }
            }
        }
        let until = Instant::now() + self.timeout;
        let queued = waiting.len();
        for (index, delivery) in waiting.into_iter().enumerate() {
            let error = match tokio::time::timeout_at(until, delivery).await {
                Ok(Ok(Ok(_))) => continue,
                Ok(Ok(Err((error, _)))) => sorted(&error, &connected.complaints),
                Ok(Err(_)) => SendError::unavailable("the producer ended"),
                Err(_) => {
                    let late = format!("no acknowledgement within {:?}", self.timeout);
                    SendError::unavailable(connected.complaints.behind(late))
                }
            };
            // Those behind it must not arrive before it is sent again.
            self.forget(connected);
            return Sent::until(index, error);
        }
        refused.map_or_else(|| Sent::all(queued), |error| Sent::until(queued, error))
    }

    fn record<'a>(&'a self, record: &'a Record<'_>) -> FutureRecord<'a, str, [u8]> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in record.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let made = FutureRecord::to(&self.name).payload(record.payload).headers(headers);
        match record.key {
            Some(key) => made.key(key),
            None => made,
        }
    }
}

/// What is wrong with the record itself, apart from what may pass.
fn sorted(error: &KafkaError, complaints: &Complaints) -> SendError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidRecord,
        ) => SendError::rejected(error),
        _ => SendError::unavailable(complaints.behind(error)),
    }
}
