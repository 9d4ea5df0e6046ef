//! What the operator says about a target of events: its name, where it is, and how to speak to it.
//!
//! A value of these types has been checked: everything here is acted upon. Secrets stay out of debug output.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

/// Larger files hold no password.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A place that events are sent to. An ARN whose last part is its name addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTarget {
    /// 1 to 64 letters, digits, `-` and `_`.
    pub name: String,
    pub format: EventFormat,
    pub limits: EventLimits,
    /// How long connecting, or one answer, may take.
    pub timeout: Duration,
    pub kind: TargetKind,
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// Amazon's `{"Records": [...]}`.
    S3,
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
    /// The event that Amazon EventBridge delivers.
    EventBridge,
}

impl EventFormat {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::CloudEvents => "cloudevents",
            Self::EventBridge => "eventbridge",
        }
    }
}

/// What may wait for a target, and what becomes of the oldest when more does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    pub max_age: Duration,
    pub max_events: u64,
    pub max_bytes: u64,
    pub on_full: OnFull,
}

/// What becomes of events that a target does not take within its limits. Writes go on either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// They are kept as dead letters, to be looked at and sent again.
    DeadLetter,
    /// They are forgotten, and counted.
    Drop,
}

/// A password, token or key: the text itself, or the file that holds it, read when the target is opened.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Text(String),
    File(PathBuf),
}

impl Secret {
    /// The secret; of a file, without the newline at its end.
    ///
    /// # Errors
    /// A sentence that names the file, if it cannot be read.
    #[allow(clippy::disallowed_methods, reason = "the operator's file, read when a target is opened")]
    pub fn read(&self) -> Result<String, String> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        file.take(MAX_SECRET_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(secret.to_owned()) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("(secret)"),
            Self::File(path) => write!(f, "(in {})", path.display()),
        }
    }
}

/// PEM files for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate chain and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A user of a broker or database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

/// The kinds of targets, with what each needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetKind {
    Webhook(WebhookTarget),
    Kafka(KafkaTarget),
    Nats(NatsTarget),
    Amqp(AmqpTarget),
    Mqtt(MqttTarget),
    Redis(RedisTarget),
    Postgresql(PostgresqlTarget),
    Sqs(SqsTarget),
    Sns(SnsTarget),
    EventBridge(EventBridgeTarget),
    File(FileTarget),
}

impl TargetKind {
    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Kafka(_) => "kafka",
            Self::Nats(_) => "nats",
            Self::Amqp(_) => "amqp",
            Self::Mqtt(_) => "mqtt",
            Self::Redis(_) => "redis",
            Self::Postgresql(_) => "postgresql",
            Self::Sqs(_) => "sqs",
            Self::Sns(_) => "sns",
            Self::EventBridge(_) => "eventbridge",
            Self::File(_) => "file",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    pub url: Url,
    /// The key of the signature in `X-Cairn-Signature`.
    pub secret: Option<Secret>,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// Further headers; values may be credentials.
    pub headers: Vec<(String, Secret)>,
    /// Events in one request; with more than one, the body is an array of them.
    pub batch_size: usize,
    /// Whether HTTP/2 is spoken from the first byte, which plain HTTP needs; over TLS it is agreed upon.
    pub http2: bool,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTarget {
    /// `HOST:PORT` of brokers by which the others are found.
    pub brokers: Vec<String>,
    pub topic: String,
    /// Whether connections are encrypted; without, `tls` is empty.
    pub use_tls: bool,
    pub tls: TlsFiles,
    pub sasl: Option<(SaslMechanism, Login)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl SaslMechanism {
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its registered name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsTarget {
    /// `nats://HOST:PORT`, or `tls://HOST:PORT`.
    pub servers: Vec<Url>,
    pub subject: String,
    /// Whether a stream must acknowledge each event.
    pub jetstream: bool,
    pub auth: NatsAuth,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsAuth {
    None,
    User(Login),
    Token(Secret),
    NkeySeed(Secret),
    /// The text of a `.creds` file: a JWT and the seed of its key.
    Credentials(Secret),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpTarget {
    /// `amqp://HOST:PORT/VHOST`, or `amqps://`.
    pub url: Url,
    /// Empty for the default exchange, where the routing key is a queue's name.
    pub exchange: String,
    pub routing_key: String,
    pub login: Option<Login>,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttTarget {
    /// `mqtt://HOST:PORT`, or `mqtts://`.
    pub url: Url,
    pub topic: String,
    pub client_id: String,
    pub login: Option<Login>,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisTarget {
    /// `redis://HOST:PORT/DATABASE`, or `rediss://`.
    pub url: Url,
    pub mode: RedisMode,
    /// The stream's or list's key, or the channel.
    pub key: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// `XADD`; with a length, older entries are trimmed.
    Stream { max_length: Option<u64> },
    /// `RPUSH`
    List,
    /// `PUBLISH`
    PubSub,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresqlTarget {
    /// `postgresql://HOST:PORT/DATABASE`
    pub url: Url,
    /// `table`, or `schema.table`.
    pub table: String,
    pub mode: PostgresqlMode,
    pub login: Login,
    pub use_tls: bool,
    pub tls: TlsFiles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresqlMode {
    /// One row for each event.
    Append,
    /// One row for each key, with its newest event; removal of the object removes it.
    Upsert,
}

/// How Amazon's services, and those that speak like them, are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAccess {
    pub region: String,
    /// Amazon's own endpoint of the region, if there is none.
    pub endpoint: Option<Url>,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub session_token: Option<Secret>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsTarget {
    /// Of a FIFO queue if it ends in `.fifo`; the message group is the object's key then.
    pub queue_url: Url,
    pub access: AwsAccess,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnsTarget {
    /// Of a FIFO topic if it ends in `.fifo`.
    pub topic_arn: String,
    pub access: AwsAccess,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBridgeTarget {
    /// Its name or ARN.
    pub event_bus: String,
    /// What the events name as their source.
    pub source: String,
    pub access: AwsAccess,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// Standard output, if there is none.
    pub path: Option<PathBuf>,
}
