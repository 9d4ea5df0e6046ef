//! What each kind of target makes of its own keys.

use super::super::raw::{List, Scalar};
use super::{flag, needed, number, raw, read, text};
use crate::outbound::events::target::{
    AmqpTarget, AwsAccess, EventBridgeTarget, EventFormat, FileTarget, KafkaTarget, Login, MqttTarget, NatsAuth,
    NatsTarget, PostgresqlMode, PostgresqlTarget, RedisMode, RedisTarget, SaslMechanism, Secret, SnsTarget, SqsTarget,
    TargetKind, TlsFiles, WebhookTarget,
};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use std::path::PathBuf;

/// Events in one request to a webhook.
const MAX_BATCH: u64 = 1_000;
const MAX_SERVERS: usize = 64;
const MAX_HEADERS: usize = 64;
/// Headers that the request itself needs.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "content-type", "transfer-encoding", "connection"];

/// A table's kind with its settings, and the format that such targets usually take.
pub(super) fn kind(name: &str, table: toml::Table) -> Result<(TargetKind, EventFormat), String> {
    let kind = match name {
        "webhook" => TargetKind::Webhook(webhook(&read(table)?)?),
        "kafka" => TargetKind::Kafka(kafka(&read(table)?)?),
        "nats" => TargetKind::Nats(nats(&read(table)?)?),
        "amqp" => TargetKind::Amqp(amqp(&read(table)?)?),
        "mqtt" => TargetKind::Mqtt(mqtt(&read(table)?)?),
        "redis" => TargetKind::Redis(redis(&read(table)?)?),
        "postgresql" => TargetKind::Postgresql(postgresql(&read(table)?)?),
        "sqs" => TargetKind::Sqs(sqs(&read(table)?)?),
        "sns" => TargetKind::Sns(sns(&read(table)?)?),
        "eventbridge" => return Ok((TargetKind::EventBridge(event_bridge(&read(table)?)?), EventFormat::EventBridge)),
        "file" => TargetKind::File(file(&read(table)?)?),
        other => return Err(format!("kind: {other:?} is not known")),
    };
    Ok((kind, EventFormat::S3))
}

fn webhook(raw: &raw::Webhook) -> Result<WebhookTarget, String> {
    let headers = raw.headers.iter().flatten();
    if headers.clone().count() > MAX_HEADERS {
        return Err(format!("headers: at most {MAX_HEADERS}"));
    }
    for (name, value) in headers.clone() {
        let is_own = OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name));
        if is_own || HeaderName::try_from(name).is_err() || HeaderValue::from_str(value).is_err() {
            return Err(format!("headers: {name:?} cannot be sent"));
        }
    }
    Ok(WebhookTarget {
        url: url("url", raw.url.as_ref(), &["https", "http"])?,
        secret: secret("secret", raw.secret.as_ref(), raw.secret_file.as_ref())?,
        bearer_token: secret("bearer_token", raw.bearer_token.as_ref(), raw.bearer_token_file.as_ref())?,
        headers: headers.map(|(name, value)| (name.clone(), Secret::Text(value.clone()))).collect(),
        batch_size: usize::try_from(number("batch_size", raw.batch_size.as_ref(), &(1..=MAX_BATCH), 1)?).unwrap_or(1),
        http2: flag("http2", raw.http2.as_ref())?,
        tls: tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?,
    })
}

pub(in crate::config) fn kafka(raw: &raw::Kafka) -> Result<KafkaTarget, String> {
    let mechanism = text(raw.sasl_mechanism.as_ref()).map(sasl_mechanism).transpose()?;
    let login = login(raw.username.as_ref(), raw.password.as_ref(), raw.password_file.as_ref())?;
    let sasl = match (mechanism, login) {
        (None, None) => None,
        (Some(mechanism), Some(login)) => Some((mechanism, login)),
        (Some(_), None) => return Err("sasl_mechanism needs username and password too".to_owned()),
        (None, Some(_)) => return Err("username needs sasl_mechanism too".to_owned()),
    };
    let files = tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?;
    Ok(KafkaTarget {
        brokers: brokers("brokers", raw.brokers.as_ref())?,
        topic: needed("topic", raw.topic.as_ref())?.to_owned(),
        use_tls: tls_switch(raw.tls.as_ref(), &files)?,
        tls: files,
        sasl,
    })
}

fn sasl_mechanism(text: &str) -> Result<SaslMechanism, String> {
    let found = SaslMechanism::ALL.into_iter().find(|mechanism| mechanism.as_str() == text);
    found.ok_or_else(|| {
        let names = SaslMechanism::ALL.map(SaslMechanism::as_str).join(", ");
        format!("sasl_mechanism: {text:?} is none of {names}")
    })
}

fn brokers(key: &str, list: Option<&List>) -> Result<Vec<String>, String> {
    let brokers = servers(key, list)?;
    let is_broker = |text: &String| {
        let port = text.rsplit_once(':').map(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        port == Some(true) && !text.contains("//")
    };
    match brokers.iter().find(|text| !is_broker(text)) {
        None => Ok(brokers),
        Some(text) => Err(format!("{key}: {text:?} is not HOST:PORT")),
    }
}

fn servers(key: &str, list: Option<&List>) -> Result<Vec<String>, String> {
    let servers = list.map(|list| list.0.iter().map(|text| text.trim().to_owned()).collect::<Vec<_>>());
    match servers {
        Some(servers) if servers.len() > MAX_SERVERS => Err(format!("{key}: at most {MAX_SERVERS}")),
        Some(servers) if !servers.is_empty() => Ok(servers),
        _ => Err(format!("{key} is missing")),
    }
}

fn nats(raw: &raw::Nats) -> Result<NatsTarget, String> {
    let user = login(raw.username.as_ref(), raw.password.as_ref(), raw.password_file.as_ref())?.map(NatsAuth::User);
    let token = secret("token", raw.token.as_ref(), raw.token_file.as_ref())?.map(NatsAuth::Token);
    let seed = secret("nkey_seed", raw.nkey_seed.as_ref(), raw.nkey_seed_file.as_ref())?.map(NatsAuth::NkeySeed);
    let credentials = path(raw.credentials_file.as_ref()).map(|path| NatsAuth::Credentials(Secret::File(path)));
    let mut given = [user, token, seed, credentials].into_iter().flatten();
    let auth = given.next().unwrap_or(NatsAuth::None);
    if given.next().is_some() {
        return Err("give one of username, token, nkey_seed and credentials_file".to_owned());
    }
    let subject = needed("subject", raw.subject.as_ref())?;
    let is_subject = subject.split('.').all(|token| !token.is_empty()) && !subject.contains(['*', '>', ' ', '\t']);
    if !is_subject {
        return Err(format!("subject: {subject:?} is not a subject such as storage.events"));
    }
    let servers = servers("servers", raw.servers.as_ref())?;
    let servers = servers.iter().map(|server| parse_url("servers", server, &["nats", "tls"]));
    Ok(NatsTarget {
        servers: servers.collect::<Result<_, _>>()?,
        subject: subject.to_owned(),
        jetstream: flag("jetstream", raw.jetstream.as_ref())?,
        auth,
        tls: tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?,
    })
}

fn amqp(raw: &raw::Amqp) -> Result<AmqpTarget, String> {
    let exchange = text(raw.exchange.as_ref()).unwrap_or_default().to_owned();
    let routing_key = text(raw.routing_key.as_ref()).unwrap_or_default().to_owned();
    if exchange.is_empty() && routing_key.is_empty() {
        return Err("exchange is missing; or, for the default exchange, routing_key (the name of a queue)".to_owned());
    }
    if exchange.len() > 255 || routing_key.len() > 255 {
        return Err("exchange, routing_key: at most 255 bytes".to_owned());
    }
    Ok(AmqpTarget {
        url: url("url", raw.url.as_ref(), &["amqp", "amqps"])?,
        exchange,
        routing_key,
        login: login(raw.username.as_ref(), raw.password.as_ref(), raw.password_file.as_ref())?,
        tls: tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?,
    })
}

fn mqtt(raw: &raw::Mqtt) -> Result<MqttTarget, String> {
    let topic = needed("topic", raw.topic.as_ref())?;
    if topic.contains(['+', '#', '\0']) || topic.len() > 1_024 {
        return Err(format!("topic: {topic:?} is not a topic to publish to"));
    }
    Ok(MqttTarget {
        url: url("url", raw.url.as_ref(), &["mqtt", "mqtts"])?,
        topic: topic.to_owned(),
        client_id: text(raw.client_id.as_ref()).unwrap_or_default().to_owned(),
        login: login(raw.username.as_ref(), raw.password.as_ref(), raw.password_file.as_ref())?,
        tls: tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?,
    })
}

fn redis(raw: &raw::Redis) -> Result<RedisTarget, String> {
    let max_length = text(raw.max_length.as_ref()).is_some();
    let max_length =
        if max_length { Some(number("max_length", raw.max_length.as_ref(), &(1..=u64::MAX >> 1), 1)?) } else { None };
    let mode = match text(raw.mode.as_ref()).unwrap_or("stream") {
        "stream" => RedisMode::Stream { max_length },
        "list" => RedisMode::List,
        "pubsub" => RedisMode::PubSub,
        other => return Err(format!("mode: {other:?} is none of stream, list, pubsub")),
    };
    if max_length.is_some() && !matches!(mode, RedisMode::Stream { .. }) {
        return Err("max_length: streams alone are trimmed".to_owned());
    }
    let url = url("url", raw.url.as_ref(), &["redis", "rediss"])?;
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err("url: what follows the port is the number of a database".to_owned());
    }
    let password = secret("password", raw.password.as_ref(), raw.password_file.as_ref())?;
    let username = text(raw.username.as_ref()).map(str::to_owned);
    if username.is_some() && password.is_none() {
        return Err("username needs password too".to_owned());
    }
    Ok(RedisTarget {
        url,
        mode,
        key: needed("key", raw.key.as_ref())?.to_owned(),
        username,
        password,
        tls: tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?,
    })
}

fn postgresql(raw: &raw::Postgresql) -> Result<PostgresqlTarget, String> {
    let mode = match text(raw.mode.as_ref()).unwrap_or("append") {
        "append" => PostgresqlMode::Append,
        "upsert" => PostgresqlMode::Upsert,
        other => return Err(format!("mode: {other:?} is neither \"append\" nor \"upsert\"")),
    };
    let table = text(raw.table.as_ref()).unwrap_or("s3_events");
    let is_name = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !part.starts_with(|first: char| first.is_ascii_digit())
    };
    if table.split('.').count() > 2 || !table.split('.').all(is_name) {
        return Err(format!("table: {table:?} is not a name such as s3_events or storage.s3_events"));
    }
    let url = url("url", raw.url.as_ref(), &["postgresql", "postgres"])?;
    if url.path().trim_start_matches('/').is_empty() {
        return Err("url: the database is missing, as in postgresql://host:5432/database".to_owned());
    }
    let login = login(raw.username.as_ref(), raw.password.as_ref(), raw.password_file.as_ref())?;
    let files = tls(raw.ca_file.as_ref(), raw.client_cert_file.as_ref(), raw.client_key_file.as_ref())?;
    Ok(PostgresqlTarget {
        url,
        table: table.to_owned(),
        mode,
        login: login.ok_or("username is missing")?,
        use_tls: tls_switch(raw.tls.as_ref(), &files)?,
        tls: files,
    })
}

/// The keys of Amazon's services.
struct Access<'a> {
    region: Option<&'a Scalar>,
    endpoint: Option<&'a Scalar>,
    key_id: Option<&'a Scalar>,
    secret_key: [Option<&'a Scalar>; 2],
    session_token: [Option<&'a Scalar>; 2],
    ca_file: Option<&'a Scalar>,
}

macro_rules! access {
    ($raw:ident) => {
        Access {
            region: $raw.region.as_ref(),
            endpoint: $raw.endpoint.as_ref(),
            key_id: $raw.access_key_id.as_ref(),
            secret_key: [$raw.secret_access_key.as_ref(), $raw.secret_access_key_file.as_ref()],
            session_token: [$raw.session_token.as_ref(), $raw.session_token_file.as_ref()],
            ca_file: $raw.ca_file.as_ref(),
        }
        .checked()
    };
}

impl Access<'_> {
    fn checked(self) -> Result<AwsAccess, String> {
        let region = text(self.region).unwrap_or("us-east-1");
        let region = super::super::region(region).map_err(|reason| format!("region: {reason}"))?;
        let endpoint = text(self.endpoint).map(|text| parse_url("endpoint", text, &["https", "http"])).transpose()?;
        let [key, key_file] = self.secret_key;
        let [token, token_file] = self.session_token;
        Ok(AwsAccess {
            region,
            endpoint,
            access_key_id: needed("access_key_id", self.key_id)?.to_owned(),
            secret_access_key: secret("secret_access_key", key, key_file)?.ok_or("secret_access_key is missing")?,
            session_token: secret("session_token", token, token_file)?,
            ca_file: path(self.ca_file),
        })
    }
}

fn sqs(raw: &raw::Sqs) -> Result<SqsTarget, String> {
    Ok(SqsTarget { queue_url: url("queue_url", raw.queue_url.as_ref(), &["https", "http"])?, access: access!(raw)? })
}

fn sns(raw: &raw::Sns) -> Result<SnsTarget, String> {
    let topic_arn = needed("topic_arn", raw.topic_arn.as_ref())?;
    let fits = topic_arn.starts_with("arn:") && topic_arn.split(':').count() == 6;
    if !fits {
        return Err(format!("topic_arn: {topic_arn:?} is not an ARN such as arn:aws:sns:us-east-1:111122223333:topic"));
    }
    Ok(SnsTarget { topic_arn: topic_arn.to_owned(), access: access!(raw)? })
}

fn event_bridge(raw: &raw::EventBridge) -> Result<EventBridgeTarget, String> {
    Ok(EventBridgeTarget {
        event_bus: text(raw.event_bus.as_ref()).unwrap_or("default").to_owned(),
        source: text(raw.source.as_ref()).unwrap_or("aws.s3").to_owned(),
        access: access!(raw)?,
    })
}

fn file(raw: &raw::File) -> Result<FileTarget, String> {
    let path = needed("path", raw.path.as_ref())?;
    Ok(FileTarget { path: (path != "-").then(|| PathBuf::from(path)) })
}

fn path(value: Option<&Scalar>) -> Option<PathBuf> {
    text(value).map(PathBuf::from)
}

fn url(key: &str, value: Option<&Scalar>, schemes: &[&str]) -> Result<Url, String> {
    parse_url(key, needed(key, value)?, schemes)
}

/// The URL is not repeated in complaints: it may hold a token.
fn parse_url(key: &str, text: &str, schemes: &[&str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{key}: this is no URL: {error}"))?;
    if !schemes.contains(&url.scheme()) || !url.has_host() {
        let schemes = schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
        return Err(format!("{key}: write a URL that begins with {schemes}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{key}: credentials do not belong into a URL; there are keys of their own for them"));
    }
    Ok(url)
}

fn secret(key: &str, value: Option<&Scalar>, file: Option<&Scalar>) -> Result<Option<Secret>, String> {
    match (text(value), path(file)) {
        (Some(_), Some(_)) => Err(format!("give {key} or {key}_file, not both")),
        (Some(text), None) => Ok(Some(Secret::Text(text.to_owned()))),
        (None, file) => Ok(file.map(Secret::File)),
    }
}

fn login(username: Option<&Scalar>, password: Option<&Scalar>, file: Option<&Scalar>) -> Result<Option<Login>, String> {
    match (text(username), secret("password", password, file)?) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some(Login { username: username.to_owned(), password })),
        (Some(_), None) => Err("username needs password too".to_owned()),
        (None, Some(_)) => Err("password needs username too".to_owned()),
    }
}

fn tls(ca: Option<&Scalar>, cert: Option<&Scalar>, key: Option<&Scalar>) -> Result<TlsFiles, String> {
    let client = match (path(cert), path(key)) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(_), None) => return Err("client_cert_file needs client_key_file too".to_owned()),
        (None, Some(_)) => return Err("client_key_file needs client_cert_file too".to_owned()),
    };
    Ok(TlsFiles { ca_file: path(ca), client })
}

fn tls_switch(value: Option<&Scalar>, files: &TlsFiles) -> Result<bool, String> {
    let is_on = flag("tls", value)?;
    if !is_on && *files != TlsFiles::default() {
        return Err("ca_file and client_cert_file need tls = true".to_owned());
    }
    Ok(is_on)
}
