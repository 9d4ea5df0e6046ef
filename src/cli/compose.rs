//! Puts the server together: the store, the operations on it, the workers beside it, the protocol in front.

use std::sync::Arc;

use bytes::Bytes;
use storage::Store;
use storage::store::{Limits, StoreOptions};

use super::Failure;
use super::serve::{Composed, Parts};
use crate::object::{Objects, Settings};
use crate::protocol::{self, Front, ProtocolOptions};
use crate::server::{Peer, health_response};
use crate::workers::garbage::GarbageWorker;

/// What `cairn serve` serves.
///
/// # Errors
/// When the store cannot be opened: the text says what to do.
pub async fn compose(parts: Parts) -> Result<Composed<Front>, Failure> {
    let Parts { config, accounts, health, metrics } = parts;
    let limits = Limits::default();
    let chunk_bytes = u32::try_from(config.storage.chunk_size.0).unwrap_or(limits.chunk_bytes);
    let options = StoreOptions {
        data: config.storage.data.clone(),
        block_cache_bytes: usize::try_from(config.storage.block_cache_size.0)?,
        largest_segment_bytes: u32::try_from(config.storage.segment_size.0)?,
        limits: Limits { chunk_bytes, ..limits },
    };
    // Recovery reads the disk; nothing else runs yet that it could hold up.
    let store = tokio::task::spawn_blocking(move || Store::open(options)).await??;
    let garbage = GarbageWorker::start(Arc::clone(&store));
    // Metrics outlive the store, and must not keep it open.
    let (measured, figures) = (Arc::downgrade(&store), Arc::clone(garbage.figures()));
    metrics.add_source(move || {
        let mut gauges = measured.upgrade().map(|store| store.gauges()).unwrap_or_default();
        gauges.extend(figures.gauges());
        gauges
    });
    let objects = Objects::new(Arc::clone(&store), Settings { region: config.server.region.clone() });
    let options = ProtocolOptions {
        domains: config.server.domains.clone(),
        region: config.server.region.clone(),
        // Clients sign for whatever region they were told; nothing here depends on it.
        required_region: None,
        reserved: Arc::new(move |path| {
            health_response(path, &health).map(|(status, text)| (status, Bytes::from_static(text.as_bytes())))
        }),
        peer: |extensions| extensions.get::<Peer>().map(|peer| peer.address),
    };
    let service = protocol::service(&objects, &accounts, &metrics, options)?;
    let close = Box::pin(async move {
        garbage.stop().await;
        // The engines close when the last user of the store is gone, which may take a joined thread or two.
        tokio::task::spawn_blocking(move || drop(store)).await?;
        Ok(())
    });
    Ok(Composed { service, close })
}
