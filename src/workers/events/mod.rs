//! Delivers events from the outbox to their targets: at least once, in order for each key, and without any effect on
//! the writes that made them.
//!
//! | file | is |
//! |---|---|
//! | this one | which targets are delivered to: a task for each, started, replaced and stopped |
//! | `task` | one target's delivery: cursor, limits, commands |
//! | `batches` | sending a page in order |
//! | `backoff` | how long to wait for a target that fails |
//! | `trim` | removing events that nobody needs any more |
//! | `letters` | from the stored event to the message |
//! | `figures` | what is counted |

mod backoff;
mod batches;
mod figures;
mod letters;
mod task;
#[cfg(test)]
mod tests;
mod trim;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use storage::Store;
use storage::types::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::figures::Figures;
use self::task::{Command, Task};
use crate::config::DeliveryConfig;
use crate::event_targets::{KnownTarget, Targets};
use crate::object::{Delivery, Redelivered, ReplayFrom, Result, TargetStatus};
use crate::telemetry::metrics::{LabelledSample, Sample};

/// Commands that wait for a task.
const COMMANDS: usize = 8;
/// The pause between two looks at the outbox's size and end.
const PACE: Duration = Duration::from_secs(2);

/// The running delivery. Cheap to clone.
#[derive(Clone)]
pub struct EventDelivery {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    manager: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Shared {
    store: std::sync::Weak<Store>,
    options: Arc<DeliveryConfig>,
    running: Mutex<BTreeMap<String, Running>>,
    outbox_events: AtomicU64,
    outbox_bytes: AtomicU64,
}

/// One target's task.
struct Running {
    known: Arc<KnownTarget>,
    figures: Arc<Figures>,
    commands: mpsc::Sender<Command>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        // The task may have ended by itself; then there is nothing to stop.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, target = self.known.target.name, "an event target's delivery ended badly");
        }
    }
}

impl EventDelivery {
    /// Starts delivering to `targets`, and to what they become.
    #[must_use]
    pub fn start(store: &Arc<Store>, options: DeliveryConfig, targets: watch::Receiver<Targets>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            store: Arc::downgrade(store),
            options: Arc::new(options),
            running: Mutex::default(),
            outbox_events: AtomicU64::new(0),
            outbox_bytes: AtomicU64::new(0),
        });
        let manager = tokio::spawn(Arc::clone(&shared).manage(Arc::clone(store), targets, stopping));
        Self { shared, stop, manager: Arc::new(Mutex::new(Some(manager))) }
    }

    /// Stops; what is under way may be sent again after the next start.
    pub async fn stop(&self) {
        let _ = self.stop.send(true);
        let manager = self.manager.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(manager) = manager
            && let Err(error) = manager.await
        {
            tracing::error!(%error, "the delivery of events ended badly");
        }
    }

    /// Figures of the outbox, for metrics.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub fn gauges(&self) -> Vec<Sample> {
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed) as f64;
        vec![
            (
                "cairn_outbox_events",
                "Events in the outbox, delivered ones included.",
                value(&self.shared.outbox_events),
            ),
            ("cairn_outbox_bytes", "Bytes of the events in the outbox.", value(&self.shared.outbox_bytes)),
        ]
    }

    /// Figures of each target, for metrics.
    #[must_use]
    pub fn target_gauges(&self) -> Vec<LabelledSample> {
        let now = Timestamp::now();
        self.shared.statuses().iter().flat_map(|status| figures::samples(status, now)).collect()
    }

    async fn ask<T>(
        &self,
        target: &str,
        command: impl FnOnce(oneshot::Sender<storage::Result<T>>) -> Command,
    ) -> Result<Option<T>> {
        let commands = self.shared.running().get(target).map(|running| running.commands.clone());
        let Some(commands) = commands else { return Ok(None) };
        let (answer, answered) = oneshot::channel();
        let closed = storage::StoreError::Closed;
        if commands.send(command(answer)).await.is_err() {
            return Err(closed.into());
        }
        Ok(Some(answered.await.map_err(|_| closed)??))
    }
}

#[async_trait]
impl Delivery for EventDelivery {
    async fn status(&self) -> Result<Vec<TargetStatus>> {
        let mut statuses = self.shared.statuses();
        let Some(store) = self.shared.store.upgrade() else { return Err(storage::StoreError::Closed.into()) };
        let last = store.outbox_bounds().await?.last;
        for status in &mut statuses {
            status.behind = last.saturating_sub(status.cursor);
            status.dead_letters = store.dead_letter_count(&status.name).await?;
        }
        Ok(statuses)
    }

    async fn replay(&self, target: &str, from: ReplayFrom) -> Result<Option<u64>> {
        self.ask(target, |answer| Command::Replay(from, answer)).await
    }

    async fn skip(&self, target: &str) -> Result<Option<u64>> {
        self.ask(target, Command::Skip).await
    }

    async fn redeliver(&self, target: &str, after: u64, limit: usize, numbers: &[u64]) -> Result<Option<Redelivered>> {
        let numbers = numbers.to_vec();
        self.ask(target, |answer| Command::Redeliver { after, limit, numbers, answer }).await
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn statuses(&self) -> Vec<TargetStatus> {
        let running = self.running();
        running.iter().map(|(name, it)| it.figures.status(name, it.known.target.kind.as_str())).collect()
    }

    /// Follows the set of targets, and keeps the outbox within its bounds.
    async fn manage(
        self: Arc<Self>,
        store: Arc<Store>,
        mut targets: watch::Receiver<Targets>,
        mut stopping: watch::Receiver<bool>,
    ) {
        loop {
            let wanted = targets.borrow_and_update().clone();
            let outcome = match self.reconcile(&store, &wanted).await {
                Ok(()) => self.tidy(&store).await,
                failed => failed,
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "the outbox of events could not be tidied; it will be tried again");
            }
            let changed = async {
                // Whoever could change the targets may be gone; then they stay as they are.
                if targets.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = stopping.changed() => break,
                () = changed => {}
                () = tokio::time::sleep(PACE) => {}
            }
        }
        let running = std::mem::take(&mut *self.running());
        for it in running.values() {
            let _ = it.stop.send(true);
        }
        for it in running.into_values() {
            it.end().await;
        }
    }

    /// Starts tasks of new targets, ends those of removed ones, and replaces those whose settings have changed.
    async fn reconcile(&self, store: &Arc<Store>, wanted: &Targets) -> storage::Result<()> {
        let ended: Vec<Running> = {
            let mut running = self.running();
            let gone: Vec<String> = running
                .iter()
                .filter(|(name, it)| !is_same(wanted.get(*name), &it.known))
                .map(|(name, _)| name.clone())
                .collect();
            gone.iter().filter_map(|name| running.remove(name)).collect()
        };
        for it in ended {
            it.end().await;
        }
        for (name, known) in &**wanted {
            if self.running().contains_key(name) {
                continue;
            }
            let cursor = match store.cursor(name).await? {
                Some(cursor) => cursor,
                // Whatever names it is meant for it, so a target begins with what there is.
                None => store.outbox_bounds().await?.trimmed,
            };
            let (commands, told) = mpsc::channel(COMMANDS);
            let (stop, stopping) = watch::channel(false);
            let figures = Arc::new(Figures::default());
            let options = Arc::clone(&self.options);
            let task = Task::new(Arc::clone(store), Arc::clone(known), options, Arc::clone(&figures), cursor);
            let task = tokio::spawn(task.run(told, stopping));
            let running = Running { known: Arc::clone(known), figures, commands, stop, task };
            self.running().insert(name.clone(), running);
        }
        Ok(())
    }

    async fn tidy(&self, store: &Arc<Store>) -> storage::Result<()> {
        let figures: Vec<(String, Arc<Figures>)> =
            self.running().iter().map(|(name, it)| (name.clone(), Arc::clone(&it.figures))).collect();
        let names: BTreeSet<String> = figures.iter().map(|(name, _)| name.clone()).collect();
        trim::pass(store, &names, &self.options).await?;
        let bounds = store.outbox_bounds().await?;
        self.outbox_events.store(bounds.events(), Ordering::Relaxed);
        self.outbox_bytes.store(bounds.bytes, Ordering::Relaxed);
        for (name, figures) in figures {
            let behind = bounds.last.saturating_sub(figures.cursor.load(Ordering::Relaxed));
            figures.behind.store(behind, Ordering::Relaxed);
            let dead_letters = trim::keep_dead_letters(store, &name, self.options.max_dead_letters).await?;
            figures.dead_letters.store(dead_letters, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A target whose settings have not changed is still the same value.
fn is_same(wanted: Option<&Arc<KnownTarget>>, running: &Arc<KnownTarget>) -> bool {
    wanted.is_some_and(|wanted| Arc::ptr_eq(wanted, running))
}
