//! What the program is told, in two steps: [`Layers`] gathers what was written (flags before environment before
//! file), [`Config`] is what that means, every value checked once and every default filled in.
//!
//! `deploy/config.toml` documents every key; `tests/config.rs` holds the two together.

mod backup;
mod delivery;
mod encryption;
mod events;
mod identity;
mod layers;
mod quantity;
mod raw;
mod tiers;
mod website;

pub use backup::BackupConfig;
pub use delivery::{DeliveryConfig, OnRemoved};
pub use encryption::EncryptionConfig;
pub use events::{MAX_EVENT_TARGETS, RawEventTarget, event_target, event_target_of_json};
pub use identity::{AuditConfig, IdentityConfig};
pub use layers::{Environment, Layers, Origin};
pub use quantity::{ByteSize, parse_duration};
pub use raw::{
    Key, List, Pairs, RawAccount, RawAudit, RawBackup, RawConfig, RawEvents, RawIdentity, RawLog, RawServer,
    RawStorage, RawTls, RawWebsite, Scalar, keys, sections,
};
pub use tiers::RawTier;
pub use website::WebsiteConfig;

use crate::accounts::{AccessKey, Account, Accounts, SecretKey};
use crate::outbound::events::target::EventTarget;
use crate::rules::lifecycle::{Calendar, DefaultMinimum};
use crate::rules::ownership::ObjectOwnership;
use crate::tiers::TierSettings;
use layers::Setting;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use storage::compress::Codec;
use storage::disk::engine::EngineChoice;

/// More drives than any chassis holds.
const MAX_DATA_DIRECTORIES: usize = 64;
/// More names than a certificate carries in practice.
const MAX_DOMAINS: usize = 64;
/// Accounts in a file are for a few tenants; an identity service is for many.
const MAX_CONFIGURED_ACCOUNTS: usize = 10_000;

const CONNECTIONS: RangeInclusive<usize> = 1..=1_000_000;
const HEADER_SIZE: RangeInclusive<ByteSize> = ByteSize::kib(8)..=ByteSize::kib(256);
const LOG_INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Seconds of a day as it is.
const DAY_SECONDS: u32 = 86_400;
const GRACE_PERIOD: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(1);
const BLOCK_CACHE_SIZE: RangeInclusive<ByteSize> = ByteSize::mib(8)..=ByteSize::gib(1_024);
const CHUNK_SIZE: RangeInclusive<ByteSize> = ByteSize::kib(256)..=ByteSize::mib(8);
const SCRUB_RATE: RangeInclusive<ByteSize> = ByteSize::mib(1)..=ByteSize::gib(16);
const SEGMENT_SIZE: RangeInclusive<ByteSize> = ByteSize::mib(64)..=ByteSize::gib(2);
/// A frame carries one checksum per block of this size, so chunks are whole numbers of blocks.
const BLOCK_SIZE: ByteSize = ByteSize::kib(64);

/// Everything the program was told, checked.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub website: WebsiteConfig,
    pub storage: StorageConfig,
    /// Backups of the index.
    pub backup: BackupConfig,
    /// TLS on the S3 listener; plain HTTP without it.
    pub tls: Option<TlsConfig>,
    pub log: LogConfig,
    pub identity: IdentityConfig,
    /// Encryption of objects.
    pub encryption: EncryptionConfig,
    pub audit: AuditConfig,
    pub events: DeliveryConfig,
    /// Where bucket notifications may be sent to; no two have one name.
    pub event_targets: Vec<EventTarget>,
    pub access_log: AccessLogConfig,
    pub lifecycle: LifecycleConfig,
    /// Where objects go that do not stay here; no two have one name, or serve one class.
    pub tiers: Vec<TierSettings>,
    /// Accounts beside root, each with its one access key.
    pub accounts: Vec<(Account, AccessKey)>,
}

#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where S3 is served.
    pub listen: SocketAddr,
    /// Where health and metrics are served.
    pub ops_listen: SocketAddr,
    /// Suffixes under which `bucket.suffix` names a bucket; lower case, without a leading dot.
    pub domains: Vec<String>,
    /// The region that signatures must name.
    pub region: String,
    /// Open S3 connections; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// Bytes of all names and values of a request's headers.
    pub max_header_size: ByteSize,
    /// How long requests in flight may still run after SIGTERM.
    pub shutdown_grace_period: Duration,
    /// Object ownership of new buckets whose creation does not say.
    pub default_object_ownership: ObjectOwnership,
    /// Whether browser forms may be signed by Signature Version 2.
    pub post_signature_v2: bool,
}

#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// One directory per drive; never empty, no duplicates.
    pub data: Vec<PathBuf>,
    /// Memory for metadata blocks.
    pub block_cache_size: ByteSize,
    /// Size of the chunks of new objects: a multiple of 64 KiB within 256 KiB..=8 MiB.
    pub chunk_size: ByteSize,
    /// Size of new segment files.
    pub segment_size: ByteSize,
    /// How chunks are read from the drives.
    pub io_engine: EngineChoice,
    /// How new chunks are compressed, where that pays.
    pub compression: Codec,
    /// Bytes that scrubbing reads in a second.
    pub scrub_rate: ByteSize,
    /// From the beginning of a scrubbing pass to that of the next; `None` if passes begin only when they are asked for.
    pub scrub_interval: Option<Duration>,
}

/// PEM files of the certificate chain and its private key.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A filter in the syntax of `tracing-subscriber`: `info`, `info,cairn::protocol=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// How access logs of buckets are delivered.
#[derive(Debug, Clone)]
pub struct AccessLogConfig {
    /// The time after which lines that were kept become objects.
    pub interval: Duration,
}

/// How lifecycle rules are carried out.
#[derive(Debug, Clone, Copy)]
pub struct LifecycleConfig {
    /// How long their days are.
    pub calendar: Calendar,
    /// How small objects stay whose bucket's configuration does not say.
    pub transition_minimum: DefaultMinimum,
}

/// Why a configuration is refused. The texts are for the operator who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("{name}: {reason}")]
    Environment { name: String, reason: String },
    #[error("{key} ({source_name}): {reason}")]
    Invalid { key: String, source_name: String, reason: String },
    #[error("{0}")]
    Incomplete(String),
}

impl Config {
    /// Checks what the layers say and fills in the defaults.
    ///
    /// # Errors
    /// The first value that cannot be used, with its key, who set it, and what would be right.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let server = server(layers)?;
        Ok(Self {
            website: website::website(layers, &server)?,
            server,
            storage: storage(layers)?,
            backup: backup::backup(layers)?,
            tls: tls(layers)?,
            log: log(layers)?,
            identity: identity::identity(layers)?,
            encryption: encryption::encryption(layers)?,
            audit: identity::audit(layers)?,
            events: delivery::delivery(layers)?,
            event_targets: events::event_targets(layers.event_targets())?,
            access_log: access_log(layers)?,
            lifecycle: lifecycle(layers)?,
            tiers: tiers::tiers(layers)?,
            accounts: Self::accounts_of(layers)?,
        })
    }

    /// What concerns the data directories alone: `cairn doctor` needs nothing else.
    ///
    /// # Errors
    /// If one of its values cannot be used.
    pub fn storage(layers: &Layers) -> Result<StorageConfig, ConfigError> {
        storage(layers)
    }

    /// The operations address alone: `cairn health` needs nothing else and must work without the rest.
    ///
    /// # Errors
    /// If the address is malformed.
    pub fn ops_listen(layers: &Layers) -> Result<SocketAddr, ConfigError> {
        parsed_or(layers.scalar("server", "ops_listen", |raw| &raw.server.ops_listen), address, address("0.0.0.0:9001"))
    }
}

fn server(layers: &Layers) -> Result<ServerConfig, ConfigError> {
    let connections = |text: &str| {
        let number = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
        if CONNECTIONS.contains(&number) { Ok(number) } else { Err(outside(&CONNECTIONS)) }
    };
    let grace = |text: &str| {
        let period = parse_duration(text)?;
        if GRACE_PERIOD.contains(&period) { Ok(period) } else { Err("must be at most 1h".to_owned()) }
    };
    Ok(ServerConfig {
        listen: parsed_or(
            layers.scalar("server", "listen", |raw| &raw.server.listen),
            address,
            address("0.0.0.0:9000"),
        )?,
        ops_listen: Config::ops_listen(layers)?,
        domains: domains(layers)?,
        region: parsed_or(
            layers.scalar("server", "region", |raw| &raw.server.region),
            region,
            Ok("us-east-1".to_owned()),
        )?,
        max_connections: parsed_or(
            layers.scalar("server", "max_connections", |raw| &raw.server.max_connections),
            connections,
            Ok(4_096),
        )?,
        max_header_size: parsed_or(
            layers.scalar("server", "max_header_size", |raw| &raw.server.max_header_size),
            |text| size_within(text, &HEADER_SIZE),
            Ok(ByteSize::kib(32)),
        )?,
        shutdown_grace_period: parsed_or(
            layers.scalar("server", "shutdown_grace_period", |raw| &raw.server.shutdown_grace_period),
            grace,
            Ok(Duration::from_secs(30)),
        )?,
        default_object_ownership: parsed_or(
            layers.scalar("server", "default_object_ownership", |raw| &raw.server.default_object_ownership),
            ownership,
            Ok(ObjectOwnership::default()),
        )?,
        post_signature_v2: parsed_or(
            layers.scalar("server", "post_signature_v2", |raw| &raw.server.post_signature_v2),
            yes_or_no,
            Ok(false),
        )?,
    })
}

fn storage(layers: &Layers) -> Result<StorageConfig, ConfigError> {
    let whole_blocks = |text: &str| {
        let size = size_within(text, &CHUNK_SIZE)?;
        if size.0.is_multiple_of(BLOCK_SIZE.0) { Ok(size) } else { Err(format!("must be a multiple of {BLOCK_SIZE}")) }
    };
    Ok(StorageConfig {
        data: data_directories(layers)?,
        block_cache_size: parsed_or(
            layers.scalar("storage", "block_cache_size", |raw| &raw.storage.block_cache_size),
            |text| size_within(text, &BLOCK_CACHE_SIZE),
            Ok(ByteSize::mib(512)),
        )?,
        chunk_size: parsed_or(
            layers.scalar("storage", "chunk_size", |raw| &raw.storage.chunk_size),
            whole_blocks,
            Ok(ByteSize::mib(1)),
        )?,
        segment_size: parsed_or(
            layers.scalar("storage", "segment_size", |raw| &raw.storage.segment_size),
            |text| size_within(text, &SEGMENT_SIZE),
            Ok(ByteSize::mib(256)),
        )?,
        io_engine: parsed_or(
            layers.scalar("storage", "io_engine", |raw| &raw.storage.io_engine),
            io_engine,
            Ok(EngineChoice::Auto),
        )?,
        compression: parsed_or(
            layers.scalar("storage", "compression", |raw| &raw.storage.compression),
            str::parse,
            Ok(Codec::Plain),
        )?,
        scrub_rate: parsed_or(
            layers.scalar("storage", "scrub_rate", |raw| &raw.storage.scrub_rate),
            |text| size_within(text, &SCRUB_RATE),
            Ok(ByteSize::mib(32)),
        )?,
        scrub_interval: parsed_or(
            layers.scalar("storage", "scrub_interval", |raw| &raw.storage.scrub_interval),
            scrub_interval,
            Ok(Some(Duration::from_hours(7 * 24))),
        )?,
    })
}

fn scrub_interval(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let interval = parse_duration(text).map_err(|error| format!("{error}, or \"never\""))?;
    if interval < Duration::from_mins(1) { Err("must be at least 1m".to_owned()) } else { Ok(Some(interval)) }
}

fn io_engine(text: &str) -> Result<EngineChoice, String> {
    match text {
        "auto" => Ok(EngineChoice::Auto),
        "uring" => Ok(EngineChoice::Uring),
        "blocking" => Ok(EngineChoice::Blocking),
        _ => Err(format!("{text:?} is neither \"auto\" nor \"uring\" nor \"blocking\"")),
    }
}

fn tls(layers: &Layers) -> Result<Option<TlsConfig>, ConfigError> {
    let cert = layers.scalar("tls", "cert_file", |raw| &raw.tls.cert_file);
    let key = layers.scalar("tls", "key_file", |raw| &raw.tls.key_file);
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsConfig { cert_file: cert.value.into(), key_file: key.value.into() })),
        (Some(cert), None) => Err(cert.refuse("TLS needs the private key too: set tls.key_file")),
        (None, Some(key)) => Err(key.refuse("TLS needs the certificate too: set tls.cert_file")),
    }
}

fn log(layers: &Layers) -> Result<LogConfig, ConfigError> {
    let filter = |text: &str| match text.parse::<tracing_subscriber::filter::Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text:?} is not a filter such as \"info\" or \"info,cairn=debug\": {error}")),
    };
    let format = |text: &str| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither \"text\" nor \"json\"")),
    };
    Ok(LogConfig {
        level: parsed_or(
            layers.scalar("log", "level", |raw| &raw.log.level),
            filter,
            Ok(crate::telemetry::logs::DEFAULT_LEVEL.to_owned()),
        )?,
        format: parsed_or(layers.scalar("log", "format", |raw| &raw.log.format), format, Ok(LogFormat::Text))?,
    })
}

fn access_log(layers: &Layers) -> Result<AccessLogConfig, ConfigError> {
    let interval = |text: &str| {
        let interval = parse_duration(text)?;
        if LOG_INTERVAL.contains(&interval) { Ok(interval) } else { Err("must be from 1s to 1h".to_owned()) }
    };
    let setting = layers.scalar("access_log", "interval", |raw| &raw.access_log.interval);
    Ok(AccessLogConfig { interval: parsed_or(setting, interval, Ok(Duration::from_mins(5)))? })
}

fn lifecycle(layers: &Layers) -> Result<LifecycleConfig, ConfigError> {
    let calendar = |text: &str| match text.parse() {
        Ok(DAY_SECONDS) => Ok(Calendar::AMAZON),
        Ok(seconds) if (1..DAY_SECONDS).contains(&seconds) => Ok(Calendar::with_days_of(seconds)),
        _ => Err(format!("must be a whole number of seconds from 1 to {DAY_SECONDS}")),
    };
    let setting = layers.scalar("lifecycle", "day_seconds", |raw| &raw.lifecycle.day_seconds);
    let minimum = |text: &str| {
        DefaultMinimum::parse(text)
            .ok_or_else(|| format!("{text:?} is neither \"all_storage_classes_128K\" nor \"varies_by_storage_class\""))
    };
    let smallest = layers.scalar("lifecycle", "transition_minimum", |raw| &raw.lifecycle.transition_minimum);
    Ok(LifecycleConfig {
        calendar: parsed_or(setting, calendar, Ok(Calendar::AMAZON))?,
        transition_minimum: parsed_or(smallest, minimum, Ok(DefaultMinimum::default()))?,
    })
}

impl Config {
    /// The accounts alone, each with its access key.
    ///
    /// # Errors
    /// If a table is incomplete, or two accounts share something.
    pub fn accounts_of(layers: &Layers) -> Result<Vec<(Account, AccessKey)>, ConfigError> {
        let mut accounts = Vec::new();
        for (index, raw) in layers.accounts().enumerate() {
            let place = || format!("[[account]] number {}", index + 1);
            if index >= MAX_CONFIGURED_ACCOUNTS {
                return Err(ConfigError::Incomplete(format!("more than {MAX_CONFIGURED_ACCOUNTS} [[account]] tables")));
            }
            let missing = |name: &str| ConfigError::Incomplete(format!("{}: {name} is missing", place()));
            let refused =
                |error: crate::accounts::AccountError| ConfigError::Incomplete(format!("{}: {error}", place()));
            let access_key_id = raw.access_key_id.clone().ok_or_else(|| missing("access_key_id"))?;
            let secret = raw.secret_access_key.clone().ok_or_else(|| missing("secret_access_key"))?;
            let account = Account::new(
                raw.id.as_deref(),
                raw.canonical_id.as_deref(),
                raw.display_name.as_deref().unwrap_or(&access_key_id),
                raw.email.as_deref().unwrap_or_default(),
            );
            let key = AccessKey::new(access_key_id.clone(), SecretKey::new(secret));
            accounts.push((account.map_err(refused)?, key.map_err(refused)?));
        }
        Accounts::check(&accounts).map_err(|error| ConfigError::Incomplete(format!("[[account]]: {error}")))?;
        Ok(accounts)
    }
}

fn data_directories(layers: &Layers) -> Result<Vec<PathBuf>, ConfigError> {
    let Some(setting) = layers.list("storage", "data", |raw| &raw.storage.data) else {
        let advice = "no data directory is given: use --data DIR, CAIRN_STORAGE_DATA=DIR, \
                      or data = [\"DIR\"] under [storage] in the configuration file";
        return Err(ConfigError::Incomplete(advice.to_owned()));
    };
    if setting.value.len() > MAX_DATA_DIRECTORIES {
        return Err(setting.refuse(format!("more than {MAX_DATA_DIRECTORIES} directories")));
    }
    let mut directories: Vec<PathBuf> = Vec::new();
    for text in setting.value {
        if text.trim().is_empty() {
            return Err(setting.refuse("an empty path is no data directory"));
        }
        // Compared as given: two spellings of one directory are caught by the store, which locks each directory.
        let directory = PathBuf::from(text);
        if directories.contains(&directory) {
            return Err(setting.refuse(format!("{text:?} is given twice; each data directory is one drive")));
        }
        directories.push(directory);
    }
    Ok(directories)
}

fn domains(layers: &Layers) -> Result<Vec<String>, ConfigError> {
    let setting = layers.list("server", "domains", |raw| &raw.server.domains);
    Ok(setting.as_ref().map(domain_names).transpose()?.unwrap_or_default())
}

fn domain_names(setting: &Setting<'_, [String]>) -> Result<Vec<String>, ConfigError> {
    if setting.value.len() > MAX_DOMAINS {
        return Err(setting.refuse(format!("more than {MAX_DOMAINS} domains")));
    }
    let mut domains = Vec::new();
    for text in setting.value {
        let domain = text.trim().trim_start_matches('.').to_ascii_lowercase();
        if !is_host_name(&domain) {
            return Err(
                setting.refuse(format!("{text:?} is not a host name such as s3.example.com (no scheme, no port)"))
            );
        }
        if domains.contains(&domain) {
            return Err(setting.refuse(format!("{text:?} is given twice")));
        }
        domains.push(domain);
    }
    Ok(domains)
}

/// RFC 1123, section 2.1; addresses are no host names, since `bucket.127.0.0.1` names nothing.
fn is_host_name(name: &str) -> bool {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label_fits) && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// `HOST:PORT` with an IP address, `localhost:PORT`, or `:PORT` for every address of the machine.
fn address(text: &str) -> Result<SocketAddr, String> {
    let spelled_out = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None if text.starts_with(':') => format!("0.0.0.0{text}"),
        None => text.to_owned(),
    };
    spelled_out.parse().map_err(|_| format!("{text:?} is not an address; write ADDRESS:PORT, such as 0.0.0.0:9000"))
}

fn region(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err(format!("{text:?} is not a region name such as us-east-1")) }
}

fn ownership(text: &str) -> Result<ObjectOwnership, String> {
    ObjectOwnership::parse(text).ok_or_else(|| {
        let names = ObjectOwnership::ALL.map(ObjectOwnership::as_str).join(", ");
        format!("{text:?} is none of {names}")
    })
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn size_within(text: &str, allowed: &RangeInclusive<ByteSize>) -> Result<ByteSize, String> {
    let size = text.parse()?;
    if allowed.contains(&size) { Ok(size) } else { Err(outside(allowed)) }
}

fn outside<T: std::fmt::Display>(allowed: &RangeInclusive<T>) -> String {
    format!("must be from {} to {}", allowed.start(), allowed.end())
}

fn parsed_or<T>(
    setting: Option<Setting<'_, str>>,
    parse: impl Fn(&str) -> Result<T, String>,
    default: Result<T, String>,
) -> Result<T, ConfigError> {
    match setting {
        Some(setting) => parse(setting.value).map_err(|reason| setting.refuse(reason)),
        None => default.map_err(ConfigError::Incomplete),
    }
}

#[cfg(test)]
mod tests;
