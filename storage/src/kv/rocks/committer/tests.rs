use std::collections::VecDeque;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Waker};

use super::*;
use crate::kv::MAX_VALUE_BYTES;

type Table = BTreeMap<(Family, Vec<u8>), Bytes>;

/// Writes a group only when told to, so that a test decides which batches share one.
struct Stepped {
    table: Arc<Mutex<Table>>,
    begun: Sender<usize>,
    go: Receiver<Result<(), WriteFailure>>,
}

impl Engine for Stepped {
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.table.lock().get(&(family, key.to_vec())).cloned())
    }

    fn any_with_prefix(&self, family: Family, prefix: &[u8], gone: &dyn Fn(&[u8]) -> bool) -> Result<bool> {
        let table = self.table.lock();
        Ok(table.keys().any(|(of, key)| *of == family && key.starts_with(prefix) && !gone(key)))
    }

    fn write(&mut self, group: &Overlay) -> Result<(), WriteFailure> {
        self.begun.send(group.rows().count()).expect("the test waits");
        self.go.recv().expect("the test steps")?;
        let mut table = self.table.lock();
        for (family, key, value) in group.rows() {
            match value {
                Some(value) => table.insert((family, key.to_vec()), Bytes::copy_from_slice(value)),
                None => table.remove(&(family, key.to_vec())),
            };
        }
        Ok(())
    }
}

struct Bench {
    committer: Committer,
    figures: Arc<Figures>,
    table: Arc<Mutex<Table>>,
    fatal: Arc<Mutex<Vec<String>>>,
    begun: Receiver<usize>,
    go: std::sync::mpsc::SyncSender<Result<(), WriteFailure>>,
}

impl Bench {
    fn new() -> Self {
        let (begun, begins) = channel();
        let (go, goes) = sync_channel(1024);
        let table = Arc::<Mutex<Table>>::default();
        let figures = Arc::<Figures>::default();
        let fatal = Arc::<Mutex<Vec<String>>>::default();
        let noted = fatal.clone();
        let on_fatal: OnFatal = Arc::new(move |reason| noted.lock().push(reason.into()));
        let engine = Stepped { table: table.clone(), begun, go: goes };
        let committer = Committer::start(engine, figures.clone(), on_fatal).expect("starts");
        Self { committer, figures, table, fatal, begun: begins, go }
    }

    /// Commits `batches` as one group that ends with `end`; answers their outcomes and the group's rows.
    async fn group(&self, batches: Vec<Batch>, end: Result<(), WriteFailure>) -> (Vec<Result<Commit>>, usize) {
        let first = self.committer.commit(put("first", b"x"));
        self.begun.recv().expect("the first group begins");
        let waiting: Vec<_> = batches.into_iter().map(|batch| self.committer.commit(batch)).collect();
        self.go.send(Ok(())).expect("steps");
        assert_eq!(first.await.expect("commits"), Commit::Committed);
        let rows = self.begun.recv().expect("the group begins");
        self.go.send(end).expect("steps");
        let mut outcomes = Vec::new();
        for answer in waiting {
            outcomes.push(answer.await);
        }
        (outcomes, rows)
    }

    fn has(&self, key: &str) -> bool {
        self.table.lock().contains_key(&(Family::Current, key.into()))
    }
}

fn put(key: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(Family::Current, key.into(), value.to_vec());
    batch
}

fn create(key: &str, value: &'static [u8]) -> Batch {
    let mut batch = put(key, value);
    batch.check_unchanged(Family::Current, key.into(), None);
    batch.add(Family::Counters, b"n".to_vec(), 1);
    batch
}

fn replace(key: &str, was: &'static [u8], value: &'static [u8]) -> Batch {
    let mut batch = put(key, value);
    batch.check_unchanged(Family::Current, key.into(), Some(Bytes::from_static(was)));
    batch
}

fn short(outcomes: &[Result<Commit>]) -> Vec<&'static str> {
    let word = |outcome: &Result<Commit>| match outcome {
        Ok(Commit::Committed) => "committed",
        Ok(Commit::Conflict(_)) => "conflict",
        Ok(Commit::LimitExceeded { .. }) => "limit",
        Err(StoreError::Full(_)) => "full",
        Err(StoreError::Index(_)) => "index",
        Err(_) => "other",
    };
    outcomes.iter().map(word).collect()
}

#[tokio::test]
async fn batches_of_a_group_see_those_before_them() {
    let bench = Bench::new();
    let mut clear = Batch::default();
    clear.delete(Family::Current, b"x".to_vec());
    let mut if_none = put("y", b"3");
    if_none.check_prefix_empty(Family::Current, b"x".to_vec());
    let batches = vec![
        create("x", b"1"),
        create("x", b"2"),
        replace("x", b"1", b"4"),
        replace("x", b"1", b"5"),
        if_none.clone(),
        clear,
        if_none,
        create("z", b"6"),
    ];
    let (outcomes, rows) = bench.group(batches, Ok(())).await;
    let expected =
        ["committed", "conflict", "committed", "conflict", "conflict", "committed", "committed", "committed"];
    assert_eq!(short(&outcomes), expected);
    assert_eq!(rows, 4, "each row is written once: x gone, y, z, the counter");
    assert!(!bench.has("x") && bench.has("y") && bench.has("z"));
    let counter = bench.table.lock().get(&(Family::Counters, b"n".to_vec())).cloned();
    assert_eq!(counter.as_deref(), Some(&2_i64.to_le_bytes()[..]), "refused batches add nothing");
    assert_eq!(bench.figures.groups.load(Ordering::Relaxed), 2);
    assert_eq!(bench.figures.conflicts.load(Ordering::Relaxed), 3);
    assert_eq!(bench.figures.queued.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_full_disk_fails_its_group_and_heals() {
    let bench = Bench::new();
    let batches = vec![create("x", b"1"), create("x", b"2")];
    let (outcomes, _) = bench.group(batches.clone(), Err(WriteFailure::Full("no space".into()))).await;
    assert_eq!(short(&outcomes), ["full", "conflict"]);
    assert!(!bench.has("x") && bench.fatal.lock().is_empty());
    let (outcomes, _) = bench.group(batches, Ok(())).await;
    assert_eq!(short(&outcomes), ["committed", "conflict"]);
    assert!(bench.has("x"));
}

#[tokio::test]
async fn a_broken_engine_fails_for_good_and_says_so_once() {
    let bench = Bench::new();
    let failure = WriteFailure::Broken("the drive is gone".into());
    let (outcomes, _) = bench.group(vec![put("x", b"1"), put("y", b"1")], Err(failure)).await;
    assert_eq!(short(&outcomes), ["index", "index"]);
    for _ in 0..3 {
        assert_eq!(short(&[bench.committer.commit(put("z", b"1")).await]), ["index"]);
    }
    assert_eq!(*bench.fatal.lock(), ["the drive is gone"]);
    assert!(!bench.has("x") && !bench.has("z"));
}

#[tokio::test]
async fn the_queue_is_bounded_and_closing_finishes_it() {
    let bench = Bench::new();
    let large = || put("large", &vec![0; MAX_VALUE_BYTES]);
    let mut queued = VecDeque::from([bench.committer.commit(large())]);
    bench.begun.recv().expect("the first group begins");
    let fits = QUEUE_BYTES / (MAX_VALUE_BYTES + "large".len() + 2 * ROW_OVERHEAD);
    queued.extend((1..fits).map(|_| bench.committer.commit(large())));
    let is_queued = || bench.figures.queued.load(Ordering::Relaxed);
    assert_eq!(is_queued(), fits as u64 - 1);
    let mut late = bench.committer.commit(large());
    let poll = |late: &mut CommitFuture| late.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll(&mut late).is_pending());
    assert_eq!(is_queued(), fits as u64 - 1, "what does not fit waits outside");

    bench.go.send(Ok(())).expect("steps");
    let first = queued.pop_front().expect("was queued").await;
    assert_eq!(short(&[first]), ["committed"]);
    bench.begun.recv().expect("the second group begins");
    let taken = fits as u64 - 1 - is_queued();
    assert!(poll(&mut late).is_pending());
    assert_eq!(fits as u64 - is_queued(), taken, "room that is given back is used");

    let refused = bench.committer.commit(large());
    (0..fits).for_each(|_| bench.go.send(Ok(())).expect("steps"));
    bench.committer.close();
    queued.push_back(late);
    for answer in queued {
        assert_eq!(short(&[answer.await]), ["committed"]);
    }
    assert!(matches!(refused.await, Err(StoreError::Closed)));
    assert!(matches!(bench.committer.commit(put("after", b"1")).await, Err(StoreError::Closed)));
}
