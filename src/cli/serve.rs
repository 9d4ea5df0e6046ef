//! `cairn serve`: from settings to a running server, and back in the opposite order.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use super::keys::KeySources;
use super::{Failure, banner};
use crate::accounts::{Accounts, RootKey};
use crate::config::{Config, Environment, Layers, List, RawConfig, Scalar};
use crate::server::{HangUps, Health, Server, StopSignals};
use crate::telemetry::{logs, metrics::Metrics};
use bytes::Bytes;
use clap::Args;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Descriptors beside those of connections: the metadata engine's files, segments, logs.
const FILES_BESIDE_CONNECTIONS: u64 = 1_024;
/// Asked for where the system sets no limit of its own.
const ENOUGH_FILES: u64 = 1 << 20;
/// For what still runs on the runtime after the store is closed; nothing should.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(5);

/// Serve S3 from data directories
///
/// Every setting can be given in three ways; the first that is present counts: a flag, an environment variable, a
/// key of the configuration file. Variables mirror keys: `server.listen` is `CAIRN_SERVER_LISTEN`. The file
/// `deploy/config.toml` documents all keys, also those that have no flag.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ServeArgs {
    /// Directory for data, one per drive; may be repeated. It is created if it does not exist [key: storage.data]
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// Configuration file in TOML
    #[arg(long, value_name = "FILE", env = "CAIRN_CONFIG")]
    config: Option<PathBuf>,
    /// Where S3 is served; 0.0.0.0:9000 if not given [key: server.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where health and metrics are served; 0.0.0.0:9001 if not given [key: server.ops_listen]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// Serve buckets as BUCKET.SUFFIX too (virtual-hosted style); may be repeated [key: server.domains]
    #[arg(long, value_name = "SUFFIX")]
    domain: Vec<String>,
    /// Serve buckets' static websites as BUCKET.SUFFIX; may be repeated [key: website.domains]
    #[arg(long, value_name = "SUFFIX")]
    website_domain: Vec<String>,
    /// Where nothing but static websites is served, each by its host [key: website.listen]
    #[arg(long, value_name = "ADDR")]
    website_listen: Option<String>,
    /// Region that clients sign for; us-east-1 if not given [key: server.region]
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Certificate chain in PEM; S3 is then served over TLS only [key: tls.cert_file]
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<String>,
    /// Private key in PEM [key: tls.key_file]
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<String>,
    /// How many seconds a day of lifecycle rules has, for tests; without it, days are days [key: lifecycle.day_seconds]
    #[arg(long, value_name = "SECONDS")]
    lifecycle_day_seconds: Option<String>,
    /// What is logged, such as "debug" or "info,cairn::protocol=debug" [key: log.level]
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// "text" for people or "json" for collectors, on stderr [key: log.format]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// How the drives are read: "uring", "blocking", or "auto" for uring where the kernel allows it
    /// [key: storage.io_engine]
    #[arg(long, value_name = "ENGINE")]
    io_engine: Option<String>,
    /// How new data is compressed where that pays: "none", "lz4" or "zstd" [key: storage.compression]
    #[arg(long, value_name = "CODEC")]
    compression: Option<String>,
    /// Where every decision about a request is noted as a line of JSON; "-" for stdout [key: audit.log]
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    audit_log: Option<String>,
}

const EXAMPLES: &str = "\
Root credentials:
  CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY, or files named by the same variables with _FILE
  at the end. If none is set, the first start generates a key, keeps it in root-credentials.toml in the first data
  directory, and prints it once.

Examples:
  cairn serve --data ./data
  cairn serve --data /mnt/a --data /mnt/b --domain s3.example.com
  cairn serve --config /etc/cairn/config.toml --log-format json
  cairn serve --data ./data --tls-cert-file tls.crt --tls-key-file tls.key

Signals:
  SIGTERM, SIGINT   stop accepting, finish what is in flight (server.shutdown_grace_period), exit 0
  SIGHUP            read the keys of root and of the accounts again, from their files or from the configuration, and
                    look for a renewed certificate now (otherwise every 30 s)";

impl ServeArgs {
    fn into_flags(self) -> RawConfig {
        let mut flags = RawConfig::default();
        flags.storage.data = Some(List(self.data));
        flags.server.listen = self.listen.map(Scalar);
        flags.server.ops_listen = self.ops_listen.map(Scalar);
        flags.server.domains = Some(List(self.domain));
        flags.website.domains = Some(List(self.website_domain));
        flags.website.listen = self.website_listen.map(Scalar);
        flags.server.region = self.region.map(Scalar);
        flags.tls.cert_file = self.tls_cert_file.map(Scalar);
        flags.tls.key_file = self.tls_key_file.map(Scalar);
        flags.lifecycle.day_seconds = self.lifecycle_day_seconds.map(Scalar);
        flags.log.level = self.log_level.map(Scalar);
        flags.log.format = self.log_format.map(Scalar);
        flags.storage.io_engine = self.io_engine.map(Scalar);
        flags.storage.compression = self.compression.map(Scalar);
        flags.audit.log = self.audit_log.map(Scalar);
        flags
    }
}

/// What the service is built from.
pub struct Parts {
    pub config: Arc<Config>,
    pub accounts: Arc<Accounts>,
    pub health: Health,
    pub metrics: Metrics,
}

/// What is served, and how to close what lies beneath it once the listeners have drained.
pub struct Composed<S> {
    pub service: S,
    pub close: Pin<Box<dyn Future<Output = Result<(), Failure>>>>,
}

/// Reads the settings, then serves until a signal.
pub(super) fn run<C, S, B>(mut args: ServeArgs, compose: C) -> Result<(), Failure>
where
    C: AsyncFnOnce(Parts) -> Result<Composed<S>, Failure>,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Failure>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Failure>,
{
    let environment = Environment::of_process()?;
    let file = args.config.take();
    let layers = Layers::gather(args.into_flags(), &environment, file.as_deref())?;
    let config = Config::from_layers(&layers)?;
    logs::start(&config.log)?;
    for (name, meant) in environment.unknown() {
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        tracing::warn!("{name} is no setting of Cairn's and is ignored{hint}");
    }
    let listeners = if config.website.listen.is_some() { 2 } else { 1 };
    raise_file_limit(config.server.max_connections.saturating_mul(listeners));
    // One provider for the whole process, chosen here: with two compiled in by dependencies, rustls panics.
    // An error means that one is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("cairn-io").build()?;
    let served = runtime.block_on(serve(config, environment, file, compose));
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    served
}

async fn serve<C, S, B>(
    config: Config,
    environment: Environment,
    file: Option<PathBuf>,
    compose: C,
) -> Result<(), Failure>
where
    C: AsyncFnOnce(Parts) -> Result<Composed<S>, Failure>,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Failure>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Failure>,
{
    let signals = StopSignals::install()?;
    let health = Health::new();
    let metrics = Metrics::new()?;
    let server = Server::bind(&config, health.clone(), metrics.clone()).await?;
    let data = config.storage.data.first().ok_or("no data directory is given")?.clone();
    let root = RootKey::obtain(&environment, &data)?;
    let accounts = Arc::new(Accounts::new(root.key.clone(), config.accounts.iter().cloned())?);
    let keys = KeySources { environment, data, file }.keep_fresh(Arc::clone(&accounts), HangUps::install()?);
    let keys = tokio::spawn(keys);
    let config = Arc::new(config);
    let Composed { service, close } = compose(Parts { config: Arc::clone(&config), accounts, health, metrics }).await?;
    let addresses = server.addresses();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), s3 = %addresses.s3, ops = %addresses.ops, "serving");
    say(&banner::text(&config, &addresses, &root));
    let drained = server.run(service, signals).await?;
    keys.abort();
    close.await?;
    tracing::info!(cut_off = drained.cut_off, "stopped");
    Ok(())
}

/// Prints for people. Nobody may be there to read it, and that must not stop a server.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Shells usually grant 1024 descriptors and allow far more; every connection and every open file takes one.
fn raise_file_limit(max_connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(ENOUGH_FILES);
    let mut granted = limit.current.unwrap_or(u64::MAX);
    if granted < allowed {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum }) {
            Ok(()) => granted = allowed,
            Err(error) => tracing::debug!(%error, "the limit of open files cannot be raised"),
        }
    }
    let wanted = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(FILES_BESIDE_CONNECTIONS);
    if granted < wanted {
        tracing::warn!(
            granted,
            wanted,
            "few open files are allowed: raise `ulimit -n` or lower server.max_connections"
        );
    }
}
