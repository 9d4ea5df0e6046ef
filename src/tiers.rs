//! Storage tiers: where objects go by their storage class, and how each of them is doing.

mod blocks;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage::compress::Codec;
use storage::remote::{Remote, RemoteError, RemoteFuture};
use storage::types::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::outbound::tiers::{Failed, Place, TierClient};

/// How what a tier holds can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// As any other object.
    Instant,
    /// After it was restored.
    Archive,
}

/// How objects get to a tier that are written with one of its classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Before the answer, if the tier takes them.
    Through,
    /// After it.
    Background,
}

/// A tier as it is configured.
#[derive(Clone, Debug)]
pub struct TierSettings {
    /// Its name.
    pub name: String,
    /// The storage classes that it serves.
    pub storage_classes: Vec<String>,
    /// How it is read.
    pub access: Access,
    /// How it is written.
    pub write: WriteMode,
    /// How what is put there is compressed, where that pays.
    pub compression: Codec,
    /// Where it is.
    pub place: Place,
}

/// What is known of how a tier is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it failed last; `None` while it does what it is asked.
    pub failure: Option<String>,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// When it is asked again.
    pub retry_at: Option<Timestamp>,
    /// Requests of the worker that failed since the start.
    pub failures: u64,
    /// Versions that were moved there.
    pub moved: u64,
    /// Their bytes.
    pub moved_bytes: u64,
    /// Versions of which a copy was brought back.
    pub restored: u64,
    /// Names whose objects were deleted there.
    pub released: u64,
    /// Objects that nothing knew of.
    pub strays: u64,
    /// Versions that wait to be moved, as counted last; at most [`Health::COUNTED`].
    pub waiting: u64,
}

impl Health {
    /// Up to which number tasks are counted.
    pub const COUNTED: u64 = 10_000;
}

/// Writes that go through to one tier at a time; others follow in the background.
const MAX_THROUGH: usize = 16;

/// A tier.
pub struct Tier {
    /// Its settings.
    pub settings: TierSettings,
    health: Mutex<Health>,
    queued: AtomicU64,
    through: Semaphore,
}

impl Tier {
    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Notes how it is doing.
    pub fn note(&self, note: impl FnOnce(&mut Health)) {
        note(&mut self.lock());
    }

    /// The right to write through to the tier; `None` while too many do, or the tier fails.
    #[must_use]
    pub fn write_through(&self) -> Option<SemaphorePermit<'_>> {
        let wanted = self.settings.write == WriteMode::Through && self.lock().failure.is_none();
        if wanted { self.through.try_acquire().ok() } else { None }
    }

    /// Moves that rules asked for and that wait, as far as this process knows.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn count_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the count to what was found.
    pub fn set_queued(&self, count: u64) {
        self.queued.store(count, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All tiers.
#[derive(Default)]
pub struct Tiers(Vec<Arc<Tier>>);

impl Tiers {
    /// The tiers of a configuration.
    #[must_use]
    pub fn new(settings: &[TierSettings]) -> Self {
        let tier = |settings: &TierSettings| {
            Arc::new(Tier {
                settings: settings.clone(),
                health: Mutex::default(),
                queued: AtomicU64::new(0),
                through: Semaphore::new(MAX_THROUGH),
            })
        };
        Self(settings.iter().map(tier).collect())
    }

    /// Connections to all of them, as the store wants them.
    ///
    /// # Errors
    /// In words, what of the configuration cannot be used.
    pub fn connect(&self) -> Result<BTreeMap<String, Arc<dyn Remote>>, String> {
        let mut remotes: BTreeMap<String, Arc<dyn Remote>> = BTreeMap::new();
        for tier in &self.0 {
            let TierSettings { name, place, compression, .. } = &tier.settings;
            let client = TierClient::open(place).map_err(|error| format!("[[tier]] {name:?}: {error}"))?;
            remotes.insert(name.clone(), Arc::new(Connected { client, compression: *compression }));
        }
        Ok(remotes)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tier>> {
        self.0.iter()
    }

    /// The one that serves this storage class.
    #[must_use]
    pub fn serving(&self, class: Option<&str>) -> Option<&Arc<Tier>> {
        let class = class?;
        self.0.iter().find(|tier| tier.settings.storage_classes.iter().any(|served| served == class))
    }

    /// Whether objects of this class must be restored before they are read.
    #[must_use]
    pub fn archives(&self, class: Option<&str>) -> bool {
        self.serving(class).is_some_and(|tier| tier.settings.access == Access::Archive)
    }
}

/// What compressed objects are called at the end. The store's names end with a number.
const BLOCKS: &str = ".blocks";

/// A tier's connection in the store's terms. Objects are as the store has them, or [compressed](blocks) under a longer name;
/// both are read, whatever is configured.
struct Connected {
    client: TierClient,
    compression: Codec,
}

fn answer(error: Failed) -> RemoteError {
    RemoteError { reason: error.reason, missing: error.missing }
}

fn compressed(name: &str) -> String {
    format!("{name}{BLOCKS}")
}

/// Work that would hold up a thread which serves others.
async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RemoteError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| RemoteError { reason: error.to_string(), missing: false })
}

impl Connected {
    async fn get_plain(&self, name: &str, range: Range<u64>) -> Result<Bytes, RemoteError> {
        self.client.get(name, range).await.map_err(answer)
    }

    async fn get_compressed(&self, name: &str, range: Range<u64>) -> Result<Bytes, RemoteError> {
        let name = compressed(name);
        let damaged = || RemoteError { reason: format!("{name} is no object of compressed blocks"), missing: false };
        let head = self.get_plain(&name, 0..blocks::HEAD_BYTES as u64).await?;
        let reading = blocks::Reading::begin(&head, &range).ok_or_else(damaged)?;
        let span = reading.span();
        if span.is_empty() {
            return Ok(Bytes::new());
        }
        let stored = self.get_plain(&name, span).await?;
        computed(move || reading.finish(&stored)).await?.ok_or_else(damaged)
    }
}

impl Remote for Connected {
    fn put(&self, name: String, bytes: Bytes) -> RemoteFuture<'_, ()> {
        Box::pin(async move {
            let (codec, plain) = (self.compression, bytes.clone());
            let blocks = match codec {
                Codec::Plain => None,
                _ => computed(move || blocks::encode(codec, &plain)).await?,
            };
            let put = match blocks {
                Some(blocks) => self.client.put(&compressed(&name), blocks).await,
                None => self.client.put(&name, bytes).await,
            };
            put.map_err(answer)
        })
    }

    fn get(&self, name: String, range: Range<u64>) -> RemoteFuture<'_, Bytes> {
        Box::pin(async move {
            // What new objects are is the better guess.
            let guess = match self.compression {
                Codec::Plain => self.get_plain(&name, range.clone()).await,
                _ => self.get_compressed(&name, range.clone()).await,
            };
            match guess {
                Err(error) if error.missing => match self.compression {
                    Codec::Plain => self.get_compressed(&name, range).await,
                    _ => self.get_plain(&name, range).await,
                },
                known => known,
            }
        })
    }

    fn delete(&self, name: String) -> RemoteFuture<'_, ()> {
        Box::pin(async move {
            self.client.delete(&compressed(&name)).await.map_err(answer)?;
            self.client.delete(&name).await.map_err(answer)
        })
    }

    fn list(&self, after: Option<String>, limit: usize) -> RemoteFuture<'_, Vec<String>> {
        Box::pin(async move {
            // Names sort with the ending as they do without.
            let after = after.map(|after| compressed(&after));
            let names = self.client.list(after.as_deref(), limit).await.map_err(answer)?;
            let stripped = |name: String| name.strip_suffix(BLOCKS).map(str::to_owned).unwrap_or(name);
            Ok(names.into_iter().map(stripped).collect())
        })
    }
}
