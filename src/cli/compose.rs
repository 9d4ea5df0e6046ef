//! Puts the server together: the store, the operations on it, the workers beside it, the protocol in front.

use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;
use storage::Store;
use storage::store::{Limits, StoreOptions};

use super::Failure;
use super::audit::AuditSinks;
use super::serve::{Composed, Parts};
use crate::accounts::Accounts;
use crate::config::{BackupConfig, Config, EncryptionConfig, StorageConfig, event_target_of_json};
use crate::encryption::keyring::Keyring;
use crate::event_targets::{EventTargets, Makers};
use crate::identity::{Identities, Sealer, ServerKey, Sts};
use crate::object::{AccessLog, Objects, Settings};
use crate::outbound::events;
use crate::outbound::oidc::{OidcClient, OidcOptions};
use crate::protocol::{self, Connection, Front, ProtocolOptions};
use crate::rules::lifecycle::Calendar;
use crate::server::{Entrance, Peer, Stage, health_response};
use crate::telemetry::metrics::Metrics;
use crate::tiers::Tiers;
use crate::workers::access_logs::AccessLogsWorker;
use crate::workers::backup::{BackupWorker, Schedule};
use crate::workers::compaction::CompactionWorker;
use crate::workers::events::EventDelivery;
use crate::workers::garbage::GarbageWorker;
use crate::workers::lifecycle::{self, LifecycleWorker, Pace};
use crate::workers::scrub::{self, ScrubWorker};
use crate::workers::sessions::SessionsWorker;
use crate::workers::tiering::{self, TieringWorker};

/// What `cairn serve` serves.
///
/// # Errors
/// When the store cannot be opened: the text says what to do.
pub async fn compose(parts: Parts) -> Result<Composed<Front>, Failure> {
    let Parts { config, accounts, health, metrics } = parts;
    let options = store_options(&config.storage)?;
    let first_directory = config.storage.data.first().ok_or("no data directory is given")?;
    // Sinks that cannot be opened are an error of the configuration: better now than when the store has recovered.
    let sinks = AuditSinks::open(&config.audit)?;
    let oidc = OidcClient::new(&OidcOptions {
        ca_file: config.identity.oidc_ca_file.clone(),
        allow_http: config.identity.oidc_allow_http,
    })?;
    // Recovery reads the disk; nothing else runs yet that it could hold up.
    let store = tokio::task::spawn_blocking(move || Store::open(options)).await??;
    let (garbage, compaction) = (GarbageWorker::start(&store), CompactionWorker::start(&store));
    let key = ServerKey::obtain(config.identity.server_key_file.as_deref(), first_directory)?;
    let identities = Identities::new(Arc::clone(&store), accounts, Sealer::new(key.expose())?);
    let sts = Sts::new(identities, oidc, config.identity.max_sessions);
    let sessions = SessionsWorker::start(sts.clone());
    measure(&metrics, &store, &garbage, &compaction);
    let objects = objects_over(&store, &config, Arc::clone(sts.identities().accounts()))?;
    let makers = Makers { read: event_target_of_json, open: events::open };
    let event_targets =
        EventTargets::load(sts.identities().clone(), makers, config.event_targets.iter().cloned()).await?;
    let delivery = EventDelivery::start(&store, config.events.clone(), event_targets.watch());
    measure_delivery(&metrics, &delivery);
    let stage = health.clone();
    let access_log = AccessLog::new();
    measure_access_log(&metrics, &access_log);
    let access_logs = AccessLogsWorker::start(&objects, access_log.clone(), config.access_log.interval);
    let lifecycle = start_lifecycle(&objects, config.lifecycle.calendar, &access_log, &metrics);
    let tiering = start_tiering(&objects, &metrics).await?;
    let scrub = start_scrub(&objects, &config.storage, &metrics);
    let backup = start_backup(&objects, config.backup.clone(), &metrics);
    let options = ProtocolOptions {
        domains: config.server.domains.clone(),
        website_domains: config.website.domains.clone(),
        website_hosts: config.website.hosts.clone(),
        region: config.server.region.clone(),
        // Clients sign for whatever region they were told; nothing here depends on it.
        required_region: None,
        reserved: Arc::new(move |path| {
            health_response(path, &health).map(|(status, text)| (status, Bytes::from_static(text.as_bytes())))
        }),
        connection: connection_of,
        audit: sinks.audit(),
        event_targets,
        delivery: Arc::new(delivery.clone()),
        draining: Arc::new(move || stage.stage() == Stage::Draining),
        access_log,
        post_signature_v2: config.server.post_signature_v2,
        keys_without_tls: config.encryption.customer_keys_without_tls,
        failed_signatures_per_minute: config.identity.failed_signatures_per_minute,
    };
    let service = protocol::service(&objects, &sts, &metrics, options)?;
    drop(sts);
    let close = Box::pin(async move {
        lifecycle.stop().await;
        tiering.stop().await;
        scrub.stop().await;
        if let Some(backup) = backup {
            backup.stop().await;
        }
        compaction.stop().await;
        garbage.stop().await;
        sessions.stop().await;
        access_logs.stop().await;
        delivery.stop().await;
        sinks.close().await;
        // The engines close when the last user of the store is gone, which may take a joined thread or two.
        tokio::task::spawn_blocking(move || drop(store)).await?;
        Ok(())
    });
    Ok(Composed { service, close })
}

/// The object layer, with the keys and the tiers that the configuration gives it.
fn objects_over(store: &Arc<Store>, config: &Config, accounts: Arc<Accounts>) -> Result<Objects, Failure> {
    let settings = Settings {
        region: config.server.region.clone(),
        default_ownership: config.server.default_object_ownership,
        calendar: config.lifecycle.calendar,
        accounts,
    };
    let objects = with_keyring(Objects::new(Arc::clone(store), settings), &config.encryption)?;
    with_tiers(objects, config)
}

/// Lets the store and its workers be seen.
fn measure(metrics: &Metrics, store: &Arc<Store>, garbage: &GarbageWorker, compaction: &CompactionWorker) {
    // Metrics outlive the store, and must not keep it open.
    let measured = Arc::downgrade(store);
    let (collected, compacted) = (Arc::clone(garbage.figures()), Arc::clone(compaction.figures()));
    metrics.add_source(move || {
        let mut gauges = measured.upgrade().map(|store| store.gauges()).unwrap_or_default();
        gauges.extend(collected.gauges());
        gauges.extend(compacted.gauges());
        gauges
    });
}

fn measure_delivery(metrics: &Metrics, delivery: &EventDelivery) {
    let (outbox, targets) = (delivery.clone(), delivery.clone());
    metrics.add_source(move || outbox.gauges());
    metrics.add_labelled_source(move || targets.target_gauges());
}

fn measure_access_log(metrics: &Metrics, access_log: &AccessLog) {
    let figures = Arc::clone(access_log.figures());
    metrics.add_source(move || figures.gauges());
}

fn start_lifecycle(
    objects: &Objects,
    calendar: Calendar,
    access_log: &AccessLog,
    metrics: &Metrics,
) -> LifecycleWorker {
    let progress = Arc::clone(objects.lifecycle_progress());
    metrics.add_labelled_source(move || lifecycle::gauges(&progress.all()));
    let requests = metrics.clone();
    let busy = Arc::new(move || requests.requests_in_flight() > 0);
    LifecycleWorker::start(objects.clone(), Pace { calendar, access_log: access_log.clone(), busy })
}

/// The operations, with the tiers; the store knows how to reach them.
fn with_tiers(objects: Objects, config: &Config) -> Result<Objects, Failure> {
    let tiers = Arc::new(Tiers::new(&config.tiers));
    objects.store().set_remotes(tiers.connect()?);
    Ok(objects.with_tiers(tiers, config.lifecycle.transition_minimum))
}

async fn start_tiering(objects: &Objects, metrics: &Metrics) -> Result<TieringWorker, Failure> {
    let measured = Arc::clone(objects.tiers());
    metrics.add_labelled_source(move || tiering::gauges(&measured));
    Ok(TieringWorker::start(objects).await?)
}

fn start_scrub(objects: &Objects, config: &StorageConfig, metrics: &Metrics) -> ScrubWorker {
    let progress = Arc::clone(objects.scrub_progress());
    metrics.add_source(move || progress.gauges());
    let requests = metrics.clone();
    let busy = Arc::new(move || requests.requests_in_flight() > 0);
    let pace = scrub::Pace { rate: config.scrub_rate.0, interval: config.scrub_interval, busy };
    ScrubWorker::start(objects.store(), objects.scrub_progress(), pace)
}

fn start_backup(objects: &Objects, config: BackupConfig, metrics: &Metrics) -> Option<BackupWorker> {
    let BackupConfig { directory, interval, keep } = config;
    let progress = Arc::clone(objects.backup_progress());
    metrics.add_source(move || progress.gauges());
    let schedule = Schedule { directory: directory?, interval, keep };
    Some(BackupWorker::start(objects.store(), objects.backup_progress(), schedule))
}

/// The operations, with the keyring if one is configured; then no core dump is made that would hold its keys.
fn with_keyring(objects: Objects, config: &EncryptionConfig) -> Result<Objects, Failure> {
    let Some(path) = &config.keyring_file else { return Ok(objects) };
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be prevented: one would hold the keyring's keys");
    }
    Ok(objects.with_keys(Arc::new(Keyring::obtain(path, config.create_keyring)?)))
}

pub(super) fn store_options(config: &StorageConfig) -> Result<StoreOptions, Failure> {
    let limits = Limits::default();
    let chunk_bytes = u32::try_from(config.chunk_size.0).unwrap_or(limits.chunk_bytes);
    Ok(StoreOptions {
        data: config.data.clone(),
        block_cache_bytes: usize::try_from(config.block_cache_size.0)?,
        largest_segment_bytes: u32::try_from(config.segment_size.0)?,
        io_engine: config.io_engine,
        limits: Limits { chunk_bytes, compression: config.compression, ..limits },
    })
}

/// What the listener knows of a request's connection, in the protocol's terms.
fn connection_of(extensions: &Extensions) -> Connection {
    let peer = extensions.get::<Peer>();
    Connection {
        peer: peer.map(|peer| peer.address),
        tls: peer.and_then(|peer| peer.tls_version),
        cipher_suite: peer.and_then(|peer| peer.cipher_suite),
        to_website: peer.is_some_and(|peer| peer.entrance == Entrance::Websites),
    }
}
