//! The metadata engine of tests: everything in memory, and more to watch and to break than a real engine offers.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::verify::{Effect, Rows, Verdict, backward_seek, judge, prefix_end, within_limits};
use super::{Batch, Cached, Commit, CommitFuture, Family, Kv, Scan, Visit, Visitor};
use crate::error::{Result, StoreError};

/// Called with `n` at the moment the `n`-th commit (from 1) became durable.
pub type OnCommit = Arc<dyn Fn(u64) + Send + Sync>;

/// How an injected failure looks to the caller of [`Kv::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An unknown outcome that in truth was not applied; the engine fails until [`MemoryKv::reopen`].
    NotApplied,
    /// An unknown outcome that in truth was applied; the engine fails until [`MemoryKv::reopen`].
    Applied,
    /// [`StoreError::Full`], not applied; the engine goes on.
    Full,
}

/// The rows of one moment. A clone shares them, so a scan's snapshot costs nothing.
#[derive(Clone, Default)]
struct Tables(BTreeMap<Family, Arc<BTreeMap<Vec<u8>, Bytes>>>);

/// An engine in memory. A commit happens while [`Kv::commit`] is called, not when its future is polled.
#[derive(Default)]
pub struct MemoryKv {
    state: RwLock<State>,
    faults: Mutex<Vec<(u64, Fault)>>,
    history: Option<History>,
}

#[derive(Default)]
struct State {
    tables: Tables,
    committed: Vec<Vec<Effect>>,
    commits: u64,
    conflicts: u64,
    failed: bool,
}

struct History {
    base: Tables,
    on_commit: OnCommit,
}

impl MemoryKv {
    /// An empty engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty engine that keeps every commit, for [`MemoryKv::at`]. See [`MemoryKv::recording`].
    #[must_use]
    pub fn with_history(on_commit: OnCommit) -> Self {
        Self::new().recording(on_commit)
    }

    /// Keeps every commit from here on and reports it to `on_commit`, counted from 1. The hook runs in commit order,
    /// before anyone sees the commit, and must not call the engine. Memory grows with each commit: for tests.
    #[must_use]
    pub fn recording(self, on_commit: OnCommit) -> Self {
        let tables = self.state.into_inner().tables;
        let history = History { base: tables.clone(), on_commit };
        let state = RwLock::new(State { tables, ..State::default() });
        Self { state, faults: self.faults, history: Some(history) }
    }

    /// A new engine with the rows after the first `n` recorded commits; all of them where there are fewer. Without
    /// history: the rows of now.
    #[must_use]
    pub fn at(&self, n: u64) -> Self {
        let state = self.state.read();
        let tables = match &self.history {
            None => state.tables.clone(),
            Some(history) => {
                let mut tables = history.base.clone();
                let n = usize::try_from(n).unwrap_or(usize::MAX);
                state.committed.iter().take(n).for_each(|effects| tables.apply(effects));
                tables
            }
        };
        Self { state: RwLock::new(State { tables, ..State::default() }), ..Self::default() }
    }

    /// Commits that were applied since the engine was made.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state.read().commits
    }

    /// Makes the `nth` commit from now (the next is 1) end with `fault`. Every call of [`Kv::commit`] within the
    /// limits counts, but a commit that conflicts does not fail.
    pub fn fail_commit(&self, nth: u64, fault: Fault) {
        self.faults.lock().push((nth, fault));
    }

    /// Ends the state of failure after an injected fault, as reopening a real engine does. Keeps all rows.
    pub fn reopen(&self) {
        self.state.write().failed = false;
    }

    /// The fault of this commit, if it is one's turn.
    fn fault(&self) -> Option<Fault> {
        let mut faults = self.faults.lock();
        faults.iter_mut().for_each(|(left, _)| *left = left.saturating_sub(1));
        let due = faults.iter().position(|(left, _)| *left == 0)?;
        Some(faults.swap_remove(due).1)
    }

    fn apply(&self, batch: Batch) -> Result<Commit> {
        within_limits(&batch)?;
        let mut state = self.state.write();
        if state.failed {
            return Err(StoreError::Index("the engine failed and must be reopened".into()));
        }
        let fault = self.fault();
        let verdict = judge(batch, &state.tables)?;
        let outcome = Commit::from(&verdict);
        let Verdict::Apply(effects) = verdict else {
            state.conflicts += 1;
            return Ok(outcome);
        };
        match fault {
            None => state.commit(effects, self.history.as_ref()),
            Some(Fault::Full) => return Err(StoreError::Full("injected".into())),
            Some(fault) => {
                if fault == Fault::Applied {
                    state.commit(effects, self.history.as_ref());
                }
                state.failed = true;
                return Err(StoreError::Index("injected failure: the outcome is unknown".into()));
            }
        }
        Ok(outcome)
    }
}

impl State {
    fn commit(&mut self, effects: Vec<Effect>, history: Option<&History>) {
        self.tables.apply(&effects);
        self.commits += 1;
        if let Some(history) = history {
            self.committed.push(effects);
            (history.on_commit)(self.commits);
        }
    }
}

impl Tables {
    fn apply(&mut self, effects: &[Effect]) {
        for (family, key, value) in effects {
            let rows = Arc::make_mut(self.0.entry(*family).or_default());
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
    }

    /// The first row at or after `from` (before `to`) of the families from `scan`: smallest key, then first family.
    fn first(&self, scan: &Scan, from: &Position) -> Option<(usize, Family, &[u8], &[u8])> {
        let mut best: Option<(usize, Family, &[u8], &[u8])> = None;
        for (index, family) in scan.families.iter().enumerate() {
            let Some(rows) = self.0.get(family) else { continue };
            let row = rows.range::<[u8], _>((from.bound(index), Bound::Unbounded)).next();
            let Some((key, value)) = row.filter(|(key, _)| scan.to.as_ref().is_none_or(|to| *key < to)) else {
                continue;
            };
            if best.is_none_or(|best| key.as_slice() < best.2) {
                best = Some((index, *family, key, value));
            }
        }
        best
    }
}

/// Where a scan goes on.
struct Position {
    key: Vec<u8>,
    /// Families before this index have shown `key`'s own row already.
    after: usize,
}

impl Position {
    fn bound(&self, family: usize) -> Bound<&[u8]> {
        if family < self.after { Bound::Excluded(&self.key) } else { Bound::Included(&self.key) }
    }
}

impl Rows for Tables {
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(&family).and_then(|rows| rows.get(key)).cloned())
    }

    fn any_with_prefix(&self, family: Family, prefix: &[u8]) -> Result<bool> {
        let families = vec![family];
        let scan = Scan { families, from: prefix.to_vec(), to: prefix_end(prefix) };
        Ok(self.first(&scan, &Position { key: prefix.to_vec(), after: 0 }).is_some())
    }
}

impl Kv for MemoryKv {
    fn get_cached(&self, family: Family, key: &[u8]) -> Result<Cached> {
        self.get(family, key).map(Cached::Known)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.state.read().tables.row(family, key)
    }

    fn scan(&self, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
        let tables = self.state.read().tables.clone();
        let mut position = Position { key: scan.from.clone(), after: 0 };
        while let Some((index, family, key, value)) = tables.first(scan, &position) {
            position = match visit(family, key, value) {
                Visit::Stop => return Ok(()),
                Visit::Next => Position { key: key.to_vec(), after: index + 1 },
                Visit::Seek(target) if target.as_slice() > key => Position { key: target, after: 0 },
                Visit::Seek(_) => return Err(backward_seek()),
            };
        }
        Ok(())
    }

    fn commit(&self, batch: Batch) -> CommitFuture {
        Box::pin(ready(self.apply(batch)))
    }

    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let state = self.state.read();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let figures = [state.commits as f64, state.conflicts as f64];
        vec![
            ("index_commits", "Batches committed.", figures[0]),
            ("index_conflicts", "Batches refused because a check or a limit did not hold.", figures[1]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::contract::{Fixture, contract_tests};
    use super::*;

    fn empty() -> Fixture {
        Fixture { kv: Arc::new(MemoryKv::new()), keep: None }
    }

    contract_tests!(empty);

    fn put(key: &str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Family::Current, key.into(), key.into());
        batch.add(Family::Counters, b"n".to_vec(), 1);
        batch
    }

    fn has(kv: &MemoryKv, key: &str) -> bool {
        kv.get(Family::Current, key.as_bytes()).expect("reads").is_some()
    }

    #[tokio::test]
    async fn each_moment_of_the_past_can_be_had() {
        let last = Arc::new(AtomicU64::new(0));
        let seen = last.clone();
        let hook: OnCommit = Arc::new(move |n| assert_eq!(seen.swap(n, Ordering::Relaxed), n - 1));
        let kv = MemoryKv::with_history(hook.clone());
        for key in ["a", "b", "c"] {
            kv.commit(put(key)).await.expect("commits");
        }
        let mut refused = put("d");
        refused.check_unchanged(Family::Current, b"a".to_vec(), None);
        assert_eq!(kv.commit(refused).await.expect("answers"), Commit::Conflict(0));
        assert_eq!((last.load(Ordering::Relaxed), kv.commits()), (3, 3));
        for n in 0..=4 {
            let past = kv.at(n);
            let there = ["a", "b", "c", "d"].map(|key| has(&past, key));
            assert_eq!(there, [n >= 1, n >= 2, n >= 3, false], "after {n}");
            let counted = past.get(Family::Counters, b"n").expect("reads");
            let expected = i64::try_from(n.min(3)).expect("small").to_le_bytes();
            assert_eq!(counted.as_deref(), (n > 0).then_some(&expected[..]));
        }
        last.store(0, Ordering::Relaxed);
        let again = kv.at(2).recording(hook);
        again.commit(put("e")).await.expect("commits");
        assert!(has(&again.at(0), "b") && !has(&again.at(0), "e") && has(&again.at(1), "e"));
    }

    #[tokio::test]
    async fn injected_faults_look_as_real_ones_do() {
        let kv = MemoryKv::new();
        kv.fail_commit(2, Fault::Full);
        kv.fail_commit(4, Fault::NotApplied);
        kv.commit(put("a")).await.expect("commits");
        assert!(matches!(kv.commit(put("b")).await, Err(StoreError::Full(_))));
        kv.commit(put("c")).await.expect("a full disk heals");
        assert!(matches!(kv.commit(put("d")).await, Err(StoreError::Index(_))));
        assert!(matches!(kv.commit(put("e")).await, Err(StoreError::Index(_))), "an engine that failed stays failed");
        kv.reopen();
        kv.fail_commit(1, Fault::Applied);
        assert!(matches!(kv.commit(put("f")).await, Err(StoreError::Index(_))));
        kv.reopen();
        kv.commit(put("g")).await.expect("commits");
        let there = ["a", "b", "c", "d", "e", "f", "g"].map(|key| has(&kv, key));
        assert_eq!(there, [true, false, true, false, false, true, true]);
    }
}
