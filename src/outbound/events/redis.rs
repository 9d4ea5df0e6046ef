//! Redis: entries of a stream, of a list, or messages on a channel. A batch is one transaction.

use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, IntoConnectionInfo, Pipeline, TlsCertificates, cmd, pipe};
use tokio::sync::Mutex;

use super::lanes::within;
use super::target::{EventTarget, RedisMode, RedisTarget, Secret};
use super::{EventSink, Message, SendError, Sent, tls};

const BATCH: usize = 200;

pub(super) struct Redis {
    client: Client,
    mode: RedisMode,
    key: String,
    timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    pub(super) fn open(target: &EventTarget, settings: &RedisTarget) -> Result<Self, String> {
        let text = |error: redis::RedisError| error.to_string();
        let info = settings.url.as_str().into_connection_info().map_err(text)?;
        let mut login = info.redis_settings().clone();
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = settings.password.as_ref().map(Secret::read).transpose()? {
            login = login.set_password(password);
        }
        let info = info.set_redis_settings(login);
        let client = if settings.url.scheme() == "rediss" {
            let pem = tls::pem(&settings.tls)?;
            let client_tls = pem.client.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
            Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: Some(pem.roots.into_bytes()) })
        } else {
            Client::open(info)
        };
        let (mode, key) = (settings.mode, settings.key.clone());
        Ok(Self { client: client.map_err(text)?, mode, key, timeout: target.timeout, connection: Mutex::new(None) })
    }

    /// Sends the commands, and forgets the connection if they did not get through.
    async fn run(&self, commands: &Pipeline) -> Result<(), SendError> {
        let mut kept = self.connection.lock().await;
        let work = async {
            let mut connection = if let Some(connection) = kept.take() {
                connection
            } else {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.timeout))
                    .set_response_timeout(Some(self.timeout));
                let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
                connecting.await.map_err(SendError::unavailable)?
            };
            commands.exec_async(&mut connection).await.map_err(SendError::unavailable)?;
            Ok(connection)
        };
        *kept = Some(within(self.timeout, work).await?);
        Ok(())
    }

    fn add(&self, commands: &mut Pipeline, message: &Message) {
        let mut command = match self.mode {
            RedisMode::Stream { max_length } => {
                let mut command = cmd("XADD");
                command.arg(&self.key);
                if let Some(length) = max_length {
                    command.arg("MAXLEN").arg("~").arg(length);
                }
                command.arg("*");
                for (name, value) in [
                    ("id", message.id.as_bytes()),
                    ("event", message.event_name.as_bytes()),
                    ("bucket", message.bucket.as_bytes()),
                    ("key", message.key.as_bytes()),
                    ("time", message.time.as_bytes()),
                    ("body", &message.body),
                ] {
                    command.arg(name).arg(value);
                }
                command
            }
            RedisMode::List => cmd("RPUSH"),
            RedisMode::PubSub => cmd("PUBLISH"),
        };
        if !matches!(self.mode, RedisMode::Stream { .. }) {
            command.arg(&self.key).arg(&*message.body);
        }
        commands.add_command(command).ignore();
    }
}

#[async_trait]
impl EventSink for Redis {
    async fn check(&self) -> Result<(), SendError> {
        let mut commands = pipe();
        commands.cmd("PING").ignore();
        self.run(&commands).await
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let mut commands = pipe();
        commands.atomic();
        for message in messages {
            self.add(&mut commands, message);
        }
        match self.run(&commands).await {
            Ok(()) => Sent::all(messages.len()),
            Err(error) => Sent::until(0, error),
        }
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }
}
