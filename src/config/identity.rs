//! The tables `[identity]` and `[audit]`.

use super::events::{RawKafka, kafka};
use super::layers::Layers;
use super::raw::{List, Scalar};
use super::{ConfigError, outside, parsed_or, yes_or_no};
use crate::outbound::events::target::KafkaTarget;
use crate::telemetry::audit::Target;
use reqwest::Url;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// More than any source needs that is not guessing.
const FAILED_SIGNATURES: RangeInclusive<u32> = 0..=1_000_000;
const SESSIONS: RangeInclusive<u32> = 1..=10_000_000;

/// Credentials and who vouches for them.
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// The file with the key under which secrets are sealed, if it is not kept beside the data.
    pub server_key_file: Option<PathBuf>,
    /// Failed signatures of one source address in a minute, before its signed requests must wait; 0 for no limit.
    pub failed_signatures_per_minute: u32,
    /// Temporary credentials that are valid at a time, of all accounts together.
    pub max_sessions: u32,
    /// Certificate authorities (PEM) by which OpenID Connect providers are trusted, beside the system's.
    pub oidc_ca_file: Option<PathBuf>,
    /// Whether OpenID Connect providers on other machines may be reached without TLS.
    pub oidc_allow_http: bool,
}

/// The audit trail's sinks; without any, there is no trail.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// File or standard output.
    pub log: Option<Target>,
    /// Where batches of JSON lines are posted to.
    pub webhook: Option<Url>,
    /// Certificate authorities (PEM) by which the webhook is trusted, beside the system's.
    pub webhook_ca_file: Option<PathBuf>,
    /// The topic that gets one record for each line.
    pub kafka: Option<KafkaTarget>,
}

pub(super) fn identity(layers: &Layers) -> Result<IdentityConfig, ConfigError> {
    let number_within = |allowed: &'static RangeInclusive<u32>| {
        move |text: &str| {
            let number = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
            if allowed.contains(&number) { Ok(number) } else { Err(outside(allowed)) }
        }
    };
    let server_key_file = layers.scalar("identity", "server_key_file", |raw| &raw.identity.server_key_file);
    let oidc_ca_file = layers.scalar("identity", "oidc_ca_file", |raw| &raw.identity.oidc_ca_file);
    Ok(IdentityConfig {
        server_key_file: server_key_file.map(|setting| PathBuf::from(setting.value)),
        failed_signatures_per_minute: parsed_or(
            layers.scalar("identity", "failed_signatures_per_minute", |raw| &raw.identity.failed_signatures_per_minute),
            number_within(&FAILED_SIGNATURES),
            Ok(1000),
        )?,
        max_sessions: parsed_or(
            layers.scalar("identity", "max_sessions", |raw| &raw.identity.max_sessions),
            number_within(&SESSIONS),
            Ok(100_000),
        )?,
        oidc_ca_file: oidc_ca_file.map(|setting| PathBuf::from(setting.value)),
        oidc_allow_http: parsed_or(
            layers.scalar("identity", "oidc_allow_http", |raw| &raw.identity.oidc_allow_http),
            yes_or_no,
            Ok(false),
        )?,
    })
}

pub(super) fn audit(layers: &Layers) -> Result<AuditConfig, ConfigError> {
    let log = layers.scalar("audit", "log", |raw| &raw.audit.log).map(|setting| match setting.value {
        "-" => Target::Stdout,
        path => Target::File(PathBuf::from(path)),
    });
    let webhook = layers.scalar("audit", "webhook", |raw| &raw.audit.webhook);
    let webhook_ca_file = layers.scalar("audit", "webhook_ca_file", |raw| &raw.audit.webhook_ca_file);
    Ok(AuditConfig {
        log,
        webhook: webhook.map(|setting| url(setting.value).map_err(|reason| setting.refuse(reason))).transpose()?,
        webhook_ca_file: webhook_ca_file.map(|setting| PathBuf::from(setting.value)),
        kafka: audit_kafka(layers)?,
    })
}

/// The keys are those of event targets; here they come from several layers.
fn audit_kafka(layers: &Layers) -> Result<Option<KafkaTarget>, ConfigError> {
    let brokers = layers.list("audit", "kafka_brokers", |raw| &raw.audit.kafka_brokers);
    let settings = [
        layers.scalar("audit", "kafka_topic", |raw| &raw.audit.kafka_topic),
        layers.scalar("audit", "kafka_tls", |raw| &raw.audit.kafka_tls),
        layers.scalar("audit", "kafka_ca_file", |raw| &raw.audit.kafka_ca_file),
        layers.scalar("audit", "kafka_sasl_mechanism", |raw| &raw.audit.kafka_sasl_mechanism),
        layers.scalar("audit", "kafka_username", |raw| &raw.audit.kafka_username),
        layers.scalar("audit", "kafka_password", |raw| &raw.audit.kafka_password),
        layers.scalar("audit", "kafka_password_file", |raw| &raw.audit.kafka_password_file),
    ];
    let Some(brokers) = brokers else {
        // Saying the default is not asking for Kafka.
        let stray = settings.iter().flatten().find(|setting| setting.value != "false");
        return stray.map_or(Ok(None), |setting| Err(setting.refuse("this needs audit.kafka_brokers too")));
    };
    let [topic, tls, ca_file, mechanism, username, password, password_file] =
        settings.map(|setting| setting.map(|setting| Scalar(setting.value.to_owned())));
    let raw = RawKafka {
        brokers: Some(List(brokers.value.to_vec())),
        topic,
        tls,
        ca_file,
        sasl_mechanism: mechanism,
        username,
        password,
        password_file,
        client_cert_file: None,
        client_key_file: None,
    };
    kafka(&raw).map(Some).map_err(|reason| ConfigError::Incomplete(format!("audit.kafka_{reason}")))
}

/// The URL is not repeated in complaints: it may hold a token.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("this is no URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("write a URL that begins with https:// or http://".to_owned())
    }
}
