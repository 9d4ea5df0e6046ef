//! NATS: a subject, or one that a stream of JetStream keeps.
//!
//! With JetStream the stream acknowledges each event, and knows by `Nats-Msg-Id` what it has already. Without, a message
//! of our own to ourselves behind each batch shows that the server has had it all.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::jetstream::context::PublishErrorKind as JetStreamErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Subject, Subscriber, jetstream};
use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::Mutex;

use super::lanes::{send_in_lanes, within};
use super::target::{EventTarget, NatsAuth, NatsTarget, TlsFiles};
use super::webhook::reason;
use super::{EventSink, Message, SendError, Sent, tls};

const BATCH: usize = 256;

pub(super) struct Nats {
    settings: NatsTarget,
    timeout: Duration,
    connection: Mutex<Option<Connection>>,
}

struct Connection {
    client: Client,
    inbox: Subject,
    echoes: Subscriber,
    /// What the server said last that no call was answered with, such as that publishing is not permitted.
    complaint: Arc<StdMutex<Option<String>>>,
}

impl Nats {
    pub(super) fn open(target: &EventTarget, settings: &NatsTarget) -> Result<Self, String> {
        let nats = Self { settings: settings.clone(), timeout: target.timeout, connection: Mutex::new(None) };
        nats.options()?;
        Ok(nats)
    }

    fn options(&self) -> Result<ConnectOptions, String> {
        let options = ConnectOptions::new()
            .name("cairn")
            .connection_timeout(self.timeout)
            .request_timeout(Some(self.timeout))
            // Whoever sends makes a new connection; this one must not come back behind its back.
            .max_reconnects(1);
        let options = match &self.settings.auth {
            NatsAuth::None => options,
            NatsAuth::User(login) => options.user_and_password(login.username.clone(), login.password.read()?),
            NatsAuth::Token(token) => options.token(token.read()?),
            NatsAuth::NkeySeed(seed) => options.nkey(seed.read()?),
            NatsAuth::Credentials(text) => options.credentials(&text.read()?).map_err(|error| error.to_string())?,
        };
        let needs_tls = self.settings.servers.iter().any(|server| server.scheme() == "tls");
        if !needs_tls && self.settings.tls == TlsFiles::default() {
            return Ok(options);
        }
        Ok(options.require_tls(true).tls_client_config(tls::client_config(&self.settings.tls)?))
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let complaint = Arc::new(StdMutex::new(None));
        let noted = Arc::clone(&complaint);
        let options = self.options().map_err(SendError::unavailable)?.event_callback(move |event| {
            let noted = Arc::clone(&noted);
            async move {
                if let Event::ServerError(error) = event {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
            }
        });
        let servers: Vec<&str> = self.settings.servers.iter().map(reqwest::Url::as_str).collect();
        let client = options.connect(servers).await.map_err(|error| SendError::unavailable(reason(&error)))?;
        let inbox = Subject::from(client.new_inbox());
        let echoes = client.subscribe(inbox.clone()).await.map_err(SendError::unavailable)?;
        Ok(Connection { client, inbox, echoes, complaint })
    }

    /// Runs `work` with the connection, and drops it if it did not go well.
    async fn connected(&self, messages: &[Message]) -> Sent {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match within(self.timeout, self.connect()).await {
                Ok(connection) => connection,
                Err(error) => return Sent::until(0, error),
            },
        };
        let sent = if self.settings.jetstream && !messages.is_empty() {
            connection.publish_to_stream(&self.settings.subject, messages, self.timeout).await
        } else {
            connection.publish(&self.settings.subject, messages, self.timeout).await
        };
        if !matches!(sent.stopped, Some(SendError::Unavailable { .. })) {
            *kept = Some(connection);
        }
        sent
    }
}

impl Connection {
    async fn publish(&mut self, subject: &str, messages: &[Message], timeout: Duration) -> Sent {
        let (mut written, mut refused) = (0, None);
        for message in messages {
            let published =
                self.client.publish_with_headers(subject.to_owned(), headers(message), message.body.clone());
            match tokio::time::timeout(timeout, published).await {
                Ok(Ok(())) => written += 1,
                Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    refused = Some(SendError::rejected(reason(&error)));
                    break;
                }
                Ok(Err(error)) => return Sent::until(0, SendError::unavailable(reason(&error))),
                Err(_) => {
                    return Sent::until(0, SendError::unavailable(format!("nothing is taken within {timeout:?}")));
                }
            }
        }
        if let Err(error) = within(timeout, self.echo()).await {
            return Sent::until(0, error);
        }
        match refused {
            None => Sent::all(written),
            Some(error) => Sent::until(written, error),
        }
    }

    /// Comes back when the server has had everything before.
    async fn echo(&mut self) -> Result<(), SendError> {
        self.client.publish(self.inbox.clone(), bytes::Bytes::new()).await.map_err(SendError::unavailable)?;
        self.client.flush().await.map_err(SendError::unavailable)?;
        if self.echoes.next().await.is_none() {
            return Err(SendError::unavailable("the connection is lost"));
        }
        match self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(complaint) => Err(SendError::unavailable(complaint)),
        }
    }

    async fn publish_to_stream(&self, subject: &str, messages: &[Message], timeout: Duration) -> Sent {
        let mut stream = jetstream::new(self.client.clone());
        stream.set_timeout(timeout);
        let stream = &stream;
        let sent = send_in_lanes(messages, |message| {
            let publish =
                PublishMessage::build().payload(message.body.clone()).headers(headers(message)).message_id(&message.id);
            within(timeout, async move {
                let sorted = |error: jetstream::context::PublishError| match error.kind() {
                    JetStreamErrorKind::MaxPayloadExceeded => SendError::rejected(reason(&error)),
                    JetStreamErrorKind::StreamNotFound => {
                        SendError::unavailable(format!("no stream keeps the subject {subject}"))
                    }
                    _ => SendError::unavailable(reason(&error)),
                };
                stream.send_publish(subject.to_owned(), publish).await.map_err(sorted)?.await.map_err(sorted)?;
                Ok(())
            })
        })
        .await;
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (sent.stopped, complaint) {
            (Some(SendError::Unavailable { .. }), Some(complaint)) => {
                Sent::until(sent.taken, SendError::unavailable(complaint))
            }
            (stopped, _) => Sent { taken: sent.taken, stopped },
        }
    }
}

fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message.id.as_str());
    headers.insert("Content-Type", message.content_type);
    headers
}

#[async_trait]
impl EventSink for Nats {
    async fn check(&self) -> Result<(), SendError> {
        self.connected(&[]).await.stopped.map_or(Ok(()), Err)
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        self.connected(messages).await
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }
}
