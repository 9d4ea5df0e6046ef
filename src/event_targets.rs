//! Where events can go: the targets of the configuration file, and those that an administrator put at run time.
//!
//! The file's are stronger: a target of the same name that was put at run time waits behind it. What was put is kept
//! in the index as it was written, and sealed with the server's key, for it may hold passwords.
//!
//! Everybody who sends asks here, and is told when something has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use storage::StoreError;
use storage::index::keys;
use storage::store::{IdentityChange, MAX_IDENTITY_PAGE};
use tokio::sync::{Mutex, watch};

use crate::identity::Identities;
use crate::outbound::events::EventSink;
use crate::outbound::events::target::{EventTarget, TargetKind};

/// The kind of a target's row among those of identities. Stored.
const EVENT_TARGET: u8 = b'e';
/// Targets that can be put at run time.
const MAX_STORED_TARGETS: usize = 100;

/// How a target is read and opened.
#[derive(Clone, Copy)]
pub struct Makers {
    /// Reads a target as the administrator's API takes it. The text says what is wrong, and holds no secrets.
    pub read: fn(&Value) -> Result<EventTarget, String>,
    /// Opens it, without connecting yet.
    pub open: fn(&EventTarget) -> Result<Arc<dyn EventSink>, String>,
}

/// Who says that there is a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    File,
    /// An administrator, at run time.
    Administrator,
}

/// A target.
pub struct KnownTarget {
    /// What is said of it.
    pub target: Arc<EventTarget>,
    /// Who says so.
    pub source: Source,
    /// What sends to it, or why nothing can: a file of its settings is missing, for one.
    pub sink: Result<Arc<dyn EventSink>, String>,
}

/// All targets, by name.
pub type Targets = Arc<BTreeMap<String, Arc<KnownTarget>>>;

/// Why a target cannot be put or removed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It is not one that can be; the text says what to do.
    #[error("{0}")]
    Invalid(String),
    /// The configuration file has it.
    #[error("the target {0} is in the server's configuration file: change it there")]
    InFile(String),
    /// There is none of this name.
    #[error("there is no event target {0}")]
    Unknown(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server's key does not seal or open it.
    #[error(transparent)]
    Sealing(#[from] crate::identity::Error),
}

/// Where events can go. Cheap to clone.
#[derive(Clone)]
pub struct EventTargets(Arc<Inner>);

struct Inner {
    identities: Identities,
    makers: Makers,
    in_file: BTreeMap<String, Arc<KnownTarget>>,
    targets: watch::Sender<Targets>,
    /// Held by whoever changes what is stored.
    changing: Mutex<BTreeMap<String, Arc<KnownTarget>>>,
}

impl EventTargets {
    /// The targets of the configuration file, and those that are stored.
    ///
    /// # Errors
    /// If what is stored cannot be read.
    pub async fn load(
        identities: Identities,
        makers: Makers,
        in_file: impl IntoIterator<Item = EventTarget>,
    ) -> Result<Self, TargetError> {
        let in_file = in_file.into_iter().map(|target| opened(makers, target, Source::File)).collect();
        let stored = stored(&identities, makers).await?;
        let targets = watch::Sender::new(merged(&in_file, &stored));
        Ok(Self(Arc::new(Inner { identities, makers, in_file, targets, changing: Mutex::new(stored) })))
    }

    /// Every target as it is now.
    #[must_use]
    pub fn all(&self) -> Targets {
        Arc::clone(&self.0.targets.borrow())
    }

    /// The targets, and word of each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Targets> {
        self.0.targets.subscribe()
    }

    /// The target of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<KnownTarget>> {
        self.0.targets.borrow().get(name).cloned()
    }

    /// The targets of the kind `eventbridge`: all that a bucket which sends events to EventBridge sends them to.
    #[must_use]
    pub fn names_of_event_bridges(&self) -> Vec<String> {
        let targets = self.0.targets.borrow();
        let bridges = targets.values().filter(|known| matches!(known.target.kind, TargetKind::EventBridge(_)));
        bridges.map(|known| known.target.name.clone()).collect()
    }

    /// Adds a target, or replaces the one of its name; durable when it answers. `written` is an object with the keys
    /// of an `[[event_target]]` table; its name, if it has one, is `name`.
    ///
    /// # Errors
    /// [`TargetError::Invalid`], [`TargetError::InFile`].
    pub async fn put(&self, name: &str, mut written: Value) -> Result<Arc<KnownTarget>, TargetError> {
        let fields = written.as_object_mut().ok_or_else(|| TargetError::Invalid("write a JSON object".to_owned()))?;
        if fields.insert("name".to_owned(), Value::from(name)).is_some_and(|other| other != name) {
            return Err(TargetError::Invalid(format!("the name in the body is not {name:?}, as in the path")));
        }
        let target = (self.0.makers.read)(&written).map_err(TargetError::Invalid)?;
        if target.name != name {
            return Err(TargetError::Invalid(format!("{name:?} is not how a target can be named")));
        }
        if self.0.in_file.contains_key(name) {
            return Err(TargetError::InFile(name.to_owned()));
        }
        let mut stored = self.0.changing.lock().await;
        if !stored.contains_key(name) && stored.len() >= MAX_STORED_TARGETS {
            let message = format!("there are {MAX_STORED_TARGETS} event targets already; remove one first");
            return Err(TargetError::Invalid(message));
        }
        let row = keys::identity(EVENT_TARGET, &[name]);
        let sealed = self.0.identities.sealer().seal(&written.to_string(), &row)?;
        let change = IdentityChange { puts: vec![(row, sealed)], ..IdentityChange::default() };
        self.0.identities.store().commit_identities(change).await?;
        let (name, known) = opened(self.0.makers, target, Source::Administrator);
        stored.insert(name, Arc::clone(&known));
        self.publish(&stored);
        Ok(known)
    }

    /// Removes a target that was put at run time.
    ///
    /// # Errors
    /// [`TargetError::InFile`], [`TargetError::Unknown`].
    pub async fn remove(&self, name: &str) -> Result<(), TargetError> {
        let mut stored = self.0.changing.lock().await;
        if !stored.contains_key(name) {
            let error = if self.0.in_file.contains_key(name) { TargetError::InFile } else { TargetError::Unknown };
            return Err(error(name.to_owned()));
        }
        let deletes = vec![keys::identity(EVENT_TARGET, &[name])];
        self.0.identities.store().commit_identities(IdentityChange { deletes, ..IdentityChange::default() }).await?;
        stored.remove(name);
        self.publish(&stored);
        Ok(())
    }

    fn publish(&self, stored: &BTreeMap<String, Arc<KnownTarget>>) {
        self.0.targets.send_replace(merged(&self.0.in_file, stored));
    }
}

fn opened(makers: Makers, target: EventTarget, source: Source) -> (String, Arc<KnownTarget>) {
    let sink = (makers.open)(&target);
    if let Err(reason) = &sink {
        tracing::error!(target = target.name, %reason, "an event target cannot be opened; its events wait");
    }
    (target.name.clone(), Arc::new(KnownTarget { target: Arc::new(target), source, sink }))
}

fn merged(in_file: &BTreeMap<String, Arc<KnownTarget>>, stored: &BTreeMap<String, Arc<KnownTarget>>) -> Targets {
    let mut all = stored.clone();
    all.extend(in_file.iter().map(|(name, known)| (name.clone(), Arc::clone(known))));
    Arc::new(all)
}

async fn stored(identities: &Identities, makers: Makers) -> Result<BTreeMap<String, Arc<KnownTarget>>, TargetError> {
    let prefix = keys::identity_prefix(EVENT_TARGET, &[], "");
    let rows = identities.store().identities(prefix, None, MAX_IDENTITY_PAGE).await?;
    let mut found = BTreeMap::new();
    for (row, sealed) in rows {
        let text = identities.sealer().open(&sealed, &row)?;
        let written: Value = serde_json::from_str(text.expose()).unwrap_or_default();
        match (makers.read)(&written) {
            Ok(target) => found.extend([opened(makers, target, Source::Administrator)]),
            // It was right when it was put: this release asks for something else.
            Err(reason) => tracing::error!(%reason, "a stored event target cannot be used: put it again"),
        }
    }
    Ok(found)
}
