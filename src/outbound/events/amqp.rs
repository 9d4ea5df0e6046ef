//! AMQP 0.9.1, as RabbitMQ speaks it: persistent messages, each confirmed by the broker.

use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use tokio::sync::Mutex;

use super::lanes::{send_in_lanes, within};
use super::target::{AmqpTarget, EventTarget};
use super::{EventSink, Message, SendError, Sent, tls};

const BATCH: usize = 256;
const PERSISTENT: u8 = 2;
/// Seconds after which a silent broker counts as gone.
const HEARTBEAT_SECONDS: u16 = 10;

pub(super) struct Amqp {
    settings: AmqpTarget,
    uri: AMQPUri,
    timeout: Duration,
    connection: Mutex<Option<(Connection, Channel)>>,
}

impl Amqp {
    pub(super) fn open(target: &EventTarget, settings: &AmqpTarget) -> Result<Self, String> {
        let mut url = settings.url.clone();
        // A lone slash would be a virtual host with an empty name; everybody means the default one.
        if url.path() == "/" {
            url.set_path("");
        }
        let mut uri: AMQPUri = url.as_str().parse().map_err(|error| format!("url: {error}"))?;
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        if let Some(login) = &settings.login {
            uri.authority.userinfo.username.clone_from(&login.username);
            uri.authority.userinfo.password = login.password.read()?;
        }
        // So that a missing file is seen now.
        tls::pem(&settings.tls)?;
        Ok(Self { settings: settings.clone(), uri, timeout: target.timeout, connection: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<(Connection, Channel), SendError> {
        let pem = tls::pem(&self.settings.tls).map_err(SendError::unavailable)?;
        let config = OwnedTLSConfig {
            identity: pem.client.map(|(pem, key)| OwnedIdentity::PKCS8 { pem, key }),
            cert_chain: Some(pem.roots),
        };
        let runtime = lapin::runtime::default_runtime().map_err(SendError::unavailable)?;
        let properties = ConnectionProperties::default().with_connection_name("cairn".into());
        let connection = Connection::connect_uri_with_config(self.uri.clone(), properties, config, runtime);
        let connection = connection.await.map_err(SendError::unavailable)?;
        let channel = connection.create_channel().await.map_err(SendError::unavailable)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(SendError::unavailable)?;
        Ok((connection, channel))
    }

    /// A channel that works, and the guard behind which it is forgotten when it does not.
    async fn channel(&self, kept: &mut Option<(Connection, Channel)>) -> Result<Channel, SendError> {
        if let Some((_, channel)) = kept
            .as_ref()
            .filter(|(connection, channel)| connection.status().connected() && channel.status().connected())
        {
            return Ok(channel.clone());
        }
        let (connection, channel) = within(self.timeout, self.connect()).await?;
        *kept = Some((connection, channel.clone()));
        Ok(channel)
    }

    async fn publish(&self, channel: &Channel, message: &Message) -> Result<(), SendError> {
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.as_str().into())
            .with_type(message.event_name.as_str().into())
            .with_app_id("cairn".into())
            .with_content_type(message.content_type.into());
        // Mandatory: what no queue takes would be confirmed, and be gone.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.settings.exchange.as_str().into(), self.settings.routing_key.as_str().into());
        let confirm = channel.basic_publish(exchange, key, options, &message.body, properties).await;
        match confirm.map_err(SendError::unavailable)?.await.map_err(SendError::unavailable)? {
            Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
            Confirmation::Ack(Some(_)) => Err(SendError::unavailable("no queue is bound that takes the events")),
            Confirmation::Nack(_) => Err(SendError::unavailable("the broker does not take the message")),
        }
    }
}

#[async_trait]
impl EventSink for Amqp {
    async fn check(&self) -> Result<(), SendError> {
        let mut kept = self.connection.lock().await;
        let channel = self.channel(&mut kept).await?;
        let (exchange, key) = (self.settings.exchange.as_str(), self.settings.routing_key.as_str());
        let checked = within(self.timeout, async {
            if exchange.is_empty() {
                let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let declared = channel.queue_declare(key.into(), options, FieldTable::default()).await;
                declared.map(|_| ()).map_err(SendError::unavailable)
            } else {
                let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                let kind = ExchangeKind::Direct;
                let declared = channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await;
                declared.map_err(SendError::unavailable)
            }
        });
        let checked = checked.await;
        if checked.is_err() {
            *kept = None;
        }
        checked
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let mut kept = self.connection.lock().await;
        let channel = match self.channel(&mut kept).await {
            Ok(channel) => channel,
            Err(error) => return Sent::until(0, error),
        };
        let channel = &channel;
        let sent = send_in_lanes(messages, |message| within(self.timeout, self.publish(channel, message))).await;
        if sent.stopped.is_some() {
            *kept = None;
        }
        sent
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }
}
