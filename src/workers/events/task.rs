//! One target's delivery: reads the outbox from the target's cursor, sends what is for it, and moves the cursor.
//!
//! The cursor moves when all events up to it were taken, refused for good, or given up. It is saved at most once a
//! second, so a crash sends the last second's events again. Keys keep their order: what follows an event that was not
//! taken waits, and a page is done before the next is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage::Store;
use storage::store::{OutboxBounds, OutboxEvent};
use storage::types::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::figures::Figures;
use super::letters::{self, Waiting};
use super::{backoff, batches};
use crate::config::DeliveryConfig;
use crate::event_targets::KnownTarget;
use crate::object::{Redelivered, ReplayFrom, TargetState};
use crate::outbound::events::EventSink;
use crate::outbound::events::target::{EventTarget, OnFull};

/// Events that are read, and sent, before the cursor moves.
const PAGE: usize = 512;
/// Events that are looked at for a target that failed: it is asked with one.
const PAGE_OF_FAILING: usize = 16;
/// Events that are looked at at a time when they are counted or given up.
const COUNTED: usize = 1_000;
/// The shortest time between two commits of the cursor.
const SAVE_PACE: Duration = Duration::from_secs(1);
/// The pause after the store failed.
const AFTER_STORE_FAILURE: Duration = Duration::from_secs(5);
/// Dead letters that one request sends again.
pub(super) const MAX_REDELIVERED: usize = 200;
/// How much earlier than asked for a replay by time starts: clocks are read before commits are ordered.
const REPLAY_MARGIN_MILLIS: i64 = 5_000;

/// What a task can be told.
pub(super) enum Command {
    Replay(ReplayFrom, oneshot::Sender<storage::Result<u64>>),
    Skip(oneshot::Sender<storage::Result<u64>>),
    Redeliver { after: u64, limit: usize, numbers: Vec<u64>, answer: oneshot::Sender<storage::Result<Redelivered>> },
}

/// When to go on.
enum Next {
    /// At once.
    Now,
    /// When there are new events.
    Idle,
    /// After a pause: the target failed.
    After(Duration),
}

/// One target's delivery.
pub(super) struct Task {
    store: Arc<Store>,
    known: Arc<KnownTarget>,
    options: Arc<DeliveryConfig>,
    figures: Arc<Figures>,
    /// Events up to here are done with.
    cursor: u64,
    saved: u64,
    saved_at: Instant,
    /// Attempts in a row that failed.
    failures: u32,
    /// Events up to here are sent again because somebody asked: as many as that may be, while the target takes them.
    replayed_to: u64,
    backlog: Backlog,
}

/// What waits for the target, counted as far as it had to be.
#[derive(Default)]
struct Backlog {
    /// Events up to here were counted.
    upto: u64,
    events: u64,
    bytes: u64,
}

impl Backlog {
    fn done(&mut self, position: u64, bytes: usize) {
        if position <= self.upto {
            self.events = self.events.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes as u64);
        }
    }
}

impl Task {
    pub(super) fn new(
        store: Arc<Store>,
        known: Arc<KnownTarget>,
        options: Arc<DeliveryConfig>,
        figures: Arc<Figures>,
        cursor: u64,
    ) -> Self {
        figures.cursor.store(cursor, Ordering::Relaxed);
        Self {
            store,
            known,
            options,
            figures,
            cursor,
            saved: cursor,
            saved_at: Instant::now(),
            failures: 0,
            replayed_to: 0,
            backlog: Backlog::default(),
        }
    }

    /// Delivers until it is stopped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut stopping: watch::Receiver<bool>) {
        let mut grown = self.store.outbox_grown();
        loop {
            grown.mark_unchanged();
            // A command, or the end, does not wait for a target that hangs: what was under way is sent again.
            let next = tokio::select! {
                biased;
                _ = stopping.changed() => break,
                Some(command) = commands.recv() => {
                    self.obey(command).await;
                    continue;
                }
                next = self.step() => next,
            };
            let pause = match next {
                Ok(Next::Now) => continue,
                Ok(Next::Idle) if self.cursor == self.saved => None,
                Ok(Next::Idle) => Some(SAVE_PACE),
                Ok(Next::After(pause)) => Some(pause),
                Err(error) => {
                    tracing::warn!(%error, target = self.target().name, "events cannot be read; it will be tried again");
                    Some(AFTER_STORE_FAILURE)
                }
            };
            let idle = self.figures.state() == TargetState::Idle;
            tokio::select! {
                biased;
                _ = stopping.changed() => break,
                Some(command) = commands.recv() => self.obey(command).await,
                _ = grown.changed(), if idle => {}
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
        }
        if let Err(error) = self.save().await {
            tracing::warn!(%error, target = self.target().name, "the cursor was not saved: some events are sent again");
        }
    }

    async fn step(&mut self) -> storage::Result<Next> {
        if self.cursor != self.saved && self.saved_at.elapsed() >= SAVE_PACE {
            self.save().await?;
        }
        self.keep_limits().await?;
        let rows = if self.failures > 0 { PAGE_OF_FAILING } else { PAGE };
        let page = self.store.outbox_page(self.cursor, rows).await?;
        let Some(last) = page.last().map(|row| row.position) else {
            self.figures.oldest_waiting.store(0, Ordering::Relaxed);
            self.figures.set_state(TargetState::Idle);
            return Ok(Next::Idle);
        };
        // Of a target that failed only the next two matter: the others are not made messages of at each attempt.
        let most = if self.failures > 0 { 2 } else { page.len() };
        let mut waiting: Vec<Waiting> = page.iter().filter_map(|row| self.own(row)).take(most).collect();
        let oldest = waiting.first().map_or(0, |first| first.time.0);
        self.figures.oldest_waiting.store(oldest, Ordering::Relaxed);
        if waiting.is_empty() {
            self.advance(last);
            return Ok(Next::Now);
        }
        // A target that failed is asked with one event, not with all that wait.
        let mut sendable = last;
        if self.failures > 0 {
            sendable = waiting.get(1).map_or(last, |second| second.position - 1);
            waiting.truncate(1);
        } else {
            self.figures.set_state(TargetState::Delivering);
        }
        let (done, unavailable) = self.send(&waiting).await?;
        self.advance(waiting.get(done).map_or(sendable, |next| next.position - 1));
        Ok(match unavailable {
            None => {
                self.failures = 0;
                Next::Now
            }
            Some(reason) => self.failed(reason),
        })
    }

    /// The event, if it is for this target.
    fn own(&self, row: &OutboxEvent) -> Option<Waiting> {
        Waiting::of(row, &self.target().name, self.target().format)
    }

    /// Sends events; answers how many are done with, and why the target took no more.
    async fn send(&mut self, waiting: &[Waiting]) -> storage::Result<(usize, Option<String>)> {
        let sink = match self.sink() {
            Ok(sink) => sink,
            Err(reason) => return Ok((0, Some(reason))),
        };
        let messages: Vec<_> = waiting.iter().map(|it| it.message.clone()).collect();
        let sent = batches::send(&*sink, &messages, self.target().timeout).await;
        self.figures.note_sent(sent.taken.len());
        let refused: Vec<_> = sent.rejected.iter().filter_map(|(at, why)| Some((waiting.get(*at)?, why))).collect();
        if !refused.is_empty() {
            for (letter, reason) in &refused {
                let position = letter.position;
                tracing::warn!(target = self.target().name, position, %reason, "an event target refuses an event");
            }
            let letters = refused.iter().map(|(letter, reason)| letter.bury(reason)).collect();
            self.store.bury(&self.target().name, letters, None).await?;
            self.figures.dead_lettered.fetch_add(refused.len() as u64, Ordering::Relaxed);
        }
        // In their order, so those that are done with are the first.
        let done = sent.taken.len() + sent.rejected.len();
        for it in waiting.iter().take(done) {
            self.backlog.done(it.position, it.event.len());
        }
        Ok((done, sent.unavailable))
    }

    fn target(&self) -> &EventTarget {
        &self.known.target
    }

    fn sink(&self) -> Result<Arc<dyn EventSink>, String> {
        self.known.sink.clone()
    }

    fn failed(&mut self, reason: String) -> Next {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(target = self.target().name, %reason, "an event target does not take events; they wait");
        }
        self.figures.note_failure(reason);
        self.figures.set_state(TargetState::Failing);
        let random = getrandom::u64().unwrap_or_default();
        Next::After(backoff::pause(self.failures, self.options.longest_backoff, random))
    }

    fn advance(&mut self, cursor: u64) {
        self.cursor = cursor;
        self.figures.cursor.store(cursor, Ordering::Relaxed);
    }

    async fn save(&mut self) -> storage::Result<()> {
        if self.cursor != self.saved {
            self.store.set_cursor(&self.target().name, self.cursor).await?;
            self.noted_saved();
        }
        Ok(())
    }

    fn noted_saved(&mut self) {
        (self.saved, self.saved_at) = (self.cursor, Instant::now());
    }

    /// Gives up the oldest events where more wait than may.
    async fn keep_limits(&mut self) -> storage::Result<()> {
        let limits = self.target().limits;
        let bounds = self.store.outbox_bounds().await?;
        let behind = bounds.last.saturating_sub(self.cursor.max(bounds.trimmed));
        self.figures.behind.store(behind, Ordering::Relaxed);
        let mut surplus = (0, 0);
        let exempt = self.failures == 0 && self.cursor < self.replayed_to;
        if !exempt && (behind > limits.max_events || (behind > 0 && bounds.bytes > limits.max_bytes)) {
            self.count_backlog(bounds).await?;
            let Backlog { events, bytes, .. } = self.backlog;
            surplus = (events.saturating_sub(limits.max_events), bytes.saturating_sub(limits.max_bytes));
        }
        let mut too_old = Timestamp(i64::MIN);
        // A target that takes events may catch up, however old they are.
        if self.failures > 0 {
            let age = i64::try_from(limits.max_age.as_millis()).unwrap_or(i64::MAX);
            too_old = Timestamp(Timestamp::now().0.saturating_sub(age));
        }
        if surplus != (0, 0) || self.failures > 0 { self.give_up(surplus, too_old).await } else { Ok(()) }
    }

    /// Counts what waits for this target, as far as it was not counted yet.
    async fn count_backlog(&mut self, bounds: OutboxBounds) -> storage::Result<()> {
        if self.backlog.upto < self.cursor {
            self.backlog = Backlog { upto: self.cursor, ..Backlog::default() };
        }
        while self.backlog.upto < bounds.last {
            let page = self.store.outbox_page(self.backlog.upto, COUNTED).await?;
            let Some(last) = page.last() else { break };
            let own: Vec<_> = page.iter().filter_map(|row| self.own(row)).collect();
            self.backlog.events += own.len() as u64;
            self.backlog.bytes += own.iter().map(|it| it.event.len() as u64).sum::<u64>();
            self.backlog.upto = last.position;
        }
        Ok(())
    }

    /// Gives up the oldest events: so many, so many bytes, and those that happened before a time.
    async fn give_up(&mut self, (mut events, mut bytes): (u64, u64), too_old: Timestamp) -> storage::Result<()> {
        // Of age alone mostly nothing is given up, and the first events show it.
        let mut rows = if (events, bytes) == (0, 0) { PAGE_OF_FAILING } else { COUNTED };
        loop {
            let page = self.store.outbox_page(self.cursor, std::mem::replace(&mut rows, COUNTED)).await?;
            let (mut given_up, mut reached) = (Vec::new(), self.cursor);
            for row in &page {
                if let Some(own) = self.own(row) {
                    if events == 0 && bytes == 0 && own.time >= too_old {
                        break;
                    }
                    events = events.saturating_sub(1);
                    bytes = bytes.saturating_sub(own.event.len() as u64);
                    given_up.push(own);
                }
                reached = row.position;
            }
            let whole = page.last().is_some_and(|last| last.position == reached);
            if given_up.is_empty() {
                return Ok(());
            }
            self.abandon(&given_up, reached).await?;
            if !whole {
                return Ok(());
            }
        }
    }

    async fn abandon(&mut self, given_up: &[Waiting], reached: u64) -> storage::Result<()> {
        let (count, known) = (given_up.len(), Arc::clone(&self.known));
        let target = known.target.name.as_str();
        match known.target.limits.on_full {
            OnFull::DeadLetter => {
                let reason = "it waited longer, or more waited, than the target's limits allow";
                let letters = given_up.iter().map(|letter| letter.bury(reason)).collect();
                self.store.bury(target, letters, Some(reached)).await?;
                self.figures.dead_lettered.fetch_add(count as u64, Ordering::Relaxed);
                tracing::error!(
                    target,
                    count,
                    "an event target's limits are exceeded: events went to its dead letters"
                );
            }
            OnFull::Drop => {
                self.store.set_cursor(target, reached).await?;
                self.figures.dropped.fetch_add(count as u64, Ordering::Relaxed);
                tracing::error!(target, count, "an event target's limits are exceeded: events were dropped");
            }
        }
        for letter in given_up {
            self.backlog.done(letter.position, letter.event.len());
        }
        self.advance(reached);
        self.noted_saved();
        Ok(())
    }

    async fn obey(&mut self, command: Command) {
        // Who asked may have left; what was asked for is done nevertheless.
        match command {
            Command::Replay(from, answer) => drop(answer.send(self.replay(from).await)),
            Command::Skip(answer) => drop(answer.send(self.skip().await)),
            Command::Redeliver { after, limit, numbers, answer } => {
                drop(answer.send(self.redeliver(after, limit, &numbers).await));
            }
        }
    }

    async fn replay(&mut self, from: ReplayFrom) -> storage::Result<u64> {
        let bounds = self.store.outbox_bounds().await?;
        let first = match from {
            ReplayFrom::Position(position) => position,
            ReplayFrom::Time(time) => {
                first_since(&self.store, bounds, Timestamp(time.0.saturating_sub(REPLAY_MARGIN_MILLIS))).await?
            }
        };
        self.replayed_to = bounds.last;
        self.start_over(first.saturating_sub(1).clamp(bounds.trimmed, bounds.last)).await
    }

    async fn skip(&mut self) -> storage::Result<u64> {
        let last = self.store.outbox_bounds().await?.last;
        self.start_over(last).await
    }

    async fn start_over(&mut self, cursor: u64) -> storage::Result<u64> {
        self.backlog = Backlog::default();
        self.failures = 0;
        self.advance(cursor);
        self.save().await?;
        Ok(cursor)
    }

    async fn redeliver(&mut self, after: u64, limit: usize, numbers: &[u64]) -> storage::Result<Redelivered> {
        let limit = limit.min(MAX_REDELIVERED);
        let mut buried = Vec::new();
        for number in numbers.iter().take(limit) {
            let found = self.store.dead_letters(&self.target().name, number.saturating_sub(1), 1).await?;
            buried.extend(found.into_iter().filter(|found| found.number == *number));
        }
        if numbers.is_empty() {
            buried = self.store.dead_letters(&self.target().name, after, limit).await?;
        }
        let mut outcome = Redelivered { last: buried.last().map(|last| last.number), ..Redelivered::default() };
        let sink = match self.sink() {
            Ok(sink) => sink,
            Err(reason) => return Ok(Redelivered { stopped: Some(reason), ..outcome }),
        };
        let (mut sent_numbers, mut messages) = (Vec::new(), Vec::new());
        for letter in &buried {
            if let Some(message) = letters::again(&letter.letter, &self.target().name, self.target().format) {
                sent_numbers.push(letter.number);
                messages.push(message);
            }
        }
        let sent = batches::send(&*sink, &messages, self.target().timeout).await;
        let taken: Vec<u64> = sent.taken.iter().filter_map(|at| sent_numbers.get(*at).copied()).collect();
        self.figures.note_sent(taken.len());
        self.store.remove_dead_letters(&self.target().name, &taken).await?;
        (outcome.sent, outcome.refused, outcome.stopped) = (taken.len(), sent.rejected.len(), sent.unavailable);
        Ok(outcome)
    }
}

/// The first position whose event happened at `time` or later, by halving: positions follow time but for moments.
async fn first_since(store: &Store, bounds: OutboxBounds, time: Timestamp) -> storage::Result<u64> {
    let (mut low, mut high) = (bounds.trimmed + 1, bounds.last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let row = store.outbox_page(middle - 1, 1).await?.into_iter().next();
        let happened = row.and_then(|row| letters::read(row.position, &row.event)).map(|event| event.time);
        if happened.is_some_and(|happened| happened < time) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
