//! MQTT 5, quality of service 1: the broker acknowledges each event.
//!
//! A connection is polled by a task of its own, which ends with it. What was not acknowledged then is sent again by
//! whoever holds it, not by the client: sessions are clean.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rumqttc::{
    AsyncClient, Broker, ConnectReturnCode, Event, EventLoop, MqttOptions, Packet, PubAckReason, PublishNoticeError,
    PublishOptions, PublishProperties, QoS, TlsConfiguration, Transport,
};
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use super::lanes::{LANES, send_in_lanes, within};
use super::target::{EventTarget, MqttTarget};
use super::{EventSink, Message, SendError, Sent, tls};

const BATCH: usize = 256;
const KEEP_ALIVE_SECONDS: u16 = 15;
const DEFAULT_PORT: u16 = 1_883;
const DEFAULT_TLS_PORT: u16 = 8_883;
/// Beside its body, a message has its topic and its properties.
const MAX_OVERHEAD_BYTES: usize = 4 << 10;

pub(super) struct Mqtt {
    settings: MqttTarget,
    options: MqttOptions,
    timeout: Duration,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    client: AsyncClient,
    state: watch::Receiver<State>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone)]
enum State {
    Connecting,
    /// The largest packet that the broker takes.
    Connected(Option<usize>),
    Ended(String),
}

impl Mqtt {
    pub(super) fn open(target: &EventTarget, settings: &MqttTarget) -> Result<Self, String> {
        let use_tls = settings.url.scheme() == "mqtts";
        let port = settings.url.port().unwrap_or(if use_tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT });
        let host = settings.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let id = if settings.client_id.is_empty() { random_id()? } else { settings.client_id.clone() };
        let mut options = MqttOptions::new(id, Broker::tcp(host, port));
        options.set_keep_alive(KEEP_ALIVE_SECONDS);
        if let Some(login) = &settings.login {
            options.set_credentials(login.username.clone(), login.password.read()?);
        }
        if use_tls {
            let config = Arc::new(tls::client_config(&settings.tls)?);
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        }
        Ok(Self { settings: settings.clone(), options, timeout: target.timeout, connection: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let built = AsyncClient::builder(self.options.clone()).capacity(BATCH).try_build();
        let (client, events) = built.map_err(SendError::unavailable)?;
        let (report, mut state) = watch::channel(State::Connecting);
        let task = tokio::spawn(poll(events, report)).abort_handle();
        let connection = Connection { client, state: state.clone(), task };
        let settled = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Ended(reason)) => Err(SendError::unavailable(reason)),
            Ok(_) => Ok(connection),
            Err(_) => Err(SendError::unavailable("the connection is lost")),
        }
    }

    async fn connected(&self, messages: &[Message]) -> Sent {
        let mut kept = self.connection.lock().await;
        let alive = kept.take().filter(|connection| matches!(*connection.state.borrow(), State::Connected(_)));
        let connection = match alive {
            Some(connection) => connection,
            None => match within(self.timeout, self.connect()).await {
                Ok(connection) => connection,
                Err(error) => return Sent::until(0, error),
            },
        };
        let (topic, at) = (&self.settings.topic, &connection);
        let sent = send_in_lanes(messages, |message| within(self.timeout, at.publish(topic, message))).await;
        if sent.stopped.is_none() {
            *kept = Some(connection);
        }
        sent
    }
}

impl Connection {
    async fn publish(&self, topic: &str, message: &Message) -> Result<(), SendError> {
        if let State::Connected(Some(largest)) = *self.state.borrow()
            && message.body.len() + MAX_OVERHEAD_BYTES > largest
        {
            return Err(SendError::rejected(format!("the broker takes packets of at most {largest} bytes")));
        }
        let properties = PublishProperties {
            content_type: Some(message.content_type.to_owned()),
            user_properties: vec![
                ("id".to_owned(), message.id.clone()),
                ("event".to_owned(), message.event_name.clone()),
            ],
            ..PublishProperties::default()
        };
        let options = PublishOptions::new(QoS::AtLeastOnce).properties(properties);
        let notice = self.client.publish_tracked(topic.to_owned(), message.body.clone(), options).await;
        let notice = notice.map_err(|_| SendError::unavailable(self.reason()))?;
        match notice.wait_async().await {
            Ok(_) => Ok(()),
            Err(PublishNoticeError::V5PubAck(PubAckReason::PayloadFormatInvalid)) => {
                Err(SendError::rejected("the broker does not take the payload"))
            }
            Err(PublishNoticeError::Recv) => Err(SendError::unavailable(self.reason())),
            Err(error) => Err(SendError::unavailable(error)),
        }
    }

    fn reason(&self) -> String {
        match &*self.state.borrow() {
            State::Ended(reason) => reason.clone(),
            _ => "the connection is lost".to_owned(),
        }
    }
}

/// Drives one connection until it ends.
async fn poll(mut events: EventLoop, report: watch::Sender<State>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(answer))) => {
                if answer.code != ConnectReturnCode::Success {
                    report.send_replace(State::Ended(format!("the broker refuses: {:?}", answer.code)));
                    return;
                }
                let largest = answer.properties.and_then(|properties| properties.max_packet_size);
                report.send_replace(State::Connected(largest.and_then(|bytes| usize::try_from(bytes).ok())));
            }
            Ok(_) => {}
            Err(error) => {
                report.send_replace(State::Ended(error.to_string()));
                return;
            }
        }
    }
}

fn random_id() -> Result<String, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(format!("cairn-{}", hex::encode(bytes)))
}

#[async_trait]
impl EventSink for Mqtt {
    async fn check(&self) -> Result<(), SendError> {
        self.connected(&[]).await.stopped.map_or(Ok(()), Err)
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        self.connected(messages).await
    }

    fn batch_limit(&self) -> usize {
        BATCH.min(16 * LANES)
    }
}
