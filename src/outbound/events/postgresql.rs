//! PostgreSQL: a table with one row for each event, or with one for each key that shows its newest event.
//!
//! A batch is one transaction, so the rows of what was not acknowledged are not there either.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::lanes::within;
use super::target::{EventTarget, PostgresqlMode, PostgresqlTarget};
use super::webhook::reason;
use super::{EventSink, Message, SendError, Sent, tls};

const BATCH: usize = 200;
const DEFAULT_PORT: u16 = 5_432;

pub(super) struct Postgresql {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    table: Table,
    timeout: Duration,
    connection: Mutex<Option<Connection>>,
}

struct Table {
    /// As it stands in statements.
    name: String,
    mode: PostgresqlMode,
}

struct Connection {
    client: Client,
    write: Statement,
    remove: Option<Statement>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Postgresql {
    pub(super) fn open(target: &EventTarget, settings: &PostgresqlTarget) -> Result<Self, String> {
        let mut config = Config::new();
        let host = settings.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        config.host(host).port(settings.url.port().unwrap_or(DEFAULT_PORT));
        let database = percent_encoding::percent_decode_str(settings.url.path().trim_start_matches('/'));
        config.dbname(database.decode_utf8().map_err(|error| format!("url: {error}"))?);
        config.user(&settings.login.username).password(settings.login.password.read()?);
        config.application_name("cairn").connect_timeout(target.timeout).keepalives_idle(Duration::from_secs(30));
        config.ssl_mode(if settings.use_tls { SslMode::Require } else { SslMode::Disable });
        let tls =
            settings.use_tls.then(|| tls::client_config(&settings.tls).map(MakeRustlsConnect::new)).transpose()?;
        let name = settings.table.split('.').map(|part| format!("\"{part}\"")).collect::<Vec<_>>().join(".");
        let table = Table { name, mode: settings.mode };
        Ok(Self { config, tls, table, timeout: target.timeout, connection: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let (client, task) = if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await.map_err(|error| unavailable(&error))?;
            (client, tokio::spawn(connection).abort_handle())
        } else {
            let (client, connection) = self.config.connect(NoTls).await.map_err(|error| unavailable(&error))?;
            (client, tokio::spawn(connection).abort_handle())
        };
        // Whoever may write a table need not be allowed to make one.
        let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&self.table.name]).await;
        if !exists.map_err(|error| unavailable(&error))?.get::<_, bool>(0) {
            client.batch_execute(&self.table.definition()).await.map_err(|error| unavailable(&error))?;
        }
        let write = client.prepare(&self.table.write()).await.map_err(|error| unavailable(&error))?;
        let remove = match self.table.remove() {
            Some(statement) => Some(client.prepare(&statement).await.map_err(|error| unavailable(&error))?),
            None => None,
        };
        Ok(Connection { client, write, remove, task })
    }

    async fn connected(&self, messages: &[Message]) -> Sent {
        let mut kept = self.connection.lock().await;
        let open = kept.take().filter(|connection| !connection.client.is_closed());
        let mut connection = match open {
            Some(connection) => connection,
            None => match within(self.timeout, self.connect()).await {
                Ok(connection) => connection,
                Err(error) => return Sent::until(0, error),
            },
        };
        let outcome = within(self.timeout, async { Ok(connection.write(messages).await) }).await;
        let sent = match outcome.unwrap_or_else(|error| Err((0, error))) {
            Ok(()) => Sent::all(messages.len()),
            Err((index, SendError::Rejected { message })) => {
                // The transaction is gone with it; those before it are written by one of their own.
                let before = messages.get(..index).unwrap_or_default();
                match within(self.timeout, async { Ok(connection.write(before).await) }).await {
                    Ok(Ok(())) => Sent::until(index, SendError::Rejected { message }),
                    Ok(Err((_, error))) | Err(error) => Sent::until(0, SendError::unavailable(error)),
                }
            }
            Err((_, error)) => Sent::until(0, error),
        };
        if !matches!(sent.stopped, Some(SendError::Unavailable { .. })) {
            *kept = Some(connection);
        }
        sent
    }
}

impl Connection {
    /// All of the messages, or none: then the first that the database does not take.
    async fn write(&mut self, messages: &[Message]) -> Result<(), (usize, SendError)> {
        let front = |error: tokio_postgres::Error| (0, unavailable(&error));
        if messages.is_empty() {
            return self.client.simple_query("SELECT 1").await.map(|_| ()).map_err(front);
        }
        let transaction = self.client.transaction().await.map_err(front)?;
        let (write, remove) = (&self.write, self.remove.as_ref());
        let at = &transaction;
        // Statements are polled, and so sent, in order; none waits for the one before it.
        let statements = messages.iter().map(|message| async move {
            if let Some(remove) = remove.filter(|_| message.is_removal()) {
                return at.execute(remove, &[&message.bucket, &message.key]).await;
            }
            let body = String::from_utf8_lossy(&message.body);
            let values: [&(dyn ToSql + Sync); 6] =
                [&message.id, &message.time, &message.event_name, &message.bucket, &message.key, &body.as_ref()];
            at.execute(write, &values).await
        });
        let results = join_all(statements).await;
        if let Some((index, error)) =
            results.into_iter().enumerate().find_map(|(index, result)| Some((index, result.err()?)))
        {
            let _ = transaction.rollback().await;
            return Err((index, sorted(&error)));
        }
        transaction.commit().await.map_err(front)
    }
}

impl Table {
    fn definition(&self) -> String {
        let (name, key) = match self.mode {
            PostgresqlMode::Append => (&self.name, "position bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (id)"),
            PostgresqlMode::Upsert => (&self.name, "PRIMARY KEY (bucket, key)"),
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {name} (id text NOT NULL, time timestamptz NOT NULL, event text NOT NULL, \
             bucket text NOT NULL, key text NOT NULL, body jsonb NOT NULL, {key})"
        )
    }

    fn write(&self) -> String {
        let conflict = match self.mode {
            // Sent again, and already there.
            PostgresqlMode::Append => "DO NOTHING",
            PostgresqlMode::Upsert => {
                "(bucket, key) DO UPDATE SET id = excluded.id, time = excluded.time, event = excluded.event, \
                 body = excluded.body"
            }
        };
        format!(
            "INSERT INTO {} (id, time, event, bucket, key, body) \
             VALUES ($1, $2::text::timestamptz, $3, $4, $5, $6::text::jsonb) ON CONFLICT {conflict}",
            self.name
        )
    }

    fn remove(&self) -> Option<String> {
        let is_upsert = self.mode == PostgresqlMode::Upsert;
        is_upsert.then(|| format!("DELETE FROM {} WHERE bucket = $1 AND key = $2", self.name))
    }
}

fn unavailable(error: &tokio_postgres::Error) -> SendError {
    SendError::unavailable(reason(error))
}

/// Text that the database cannot hold, such as a zero byte, is the message's own fault.
fn sorted(error: &tokio_postgres::Error) -> SendError {
    let is_data = error.code().is_some_and(|code: &SqlState| code.code().starts_with("22"));
    if is_data { SendError::rejected(reason(error)) } else { unavailable(error) }
}

#[async_trait]
impl EventSink for Postgresql {
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
