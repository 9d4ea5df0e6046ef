use super::super::contract::{Fixture, contract_tests};
use super::*;

fn small() -> RocksOptions {
    RocksOptions { block_cache_bytes: 8 << 20, memtable_bytes: 4 << 20, ..RocksOptions::default() }
}

fn empty() -> Fixture {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    Fixture { kv, keep: Some(directory) }
}

contract_tests!(empty);

fn put(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(Family::Current, key.into(), key.into());
    batch
}

fn has(kv: &RocksKv, key: &str) -> bool {
    kv.get(Family::Current, key.as_bytes()).expect("reads").is_some()
}

/// The newest log file of a closed database.
fn log_file(directory: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(directory).expect("lists").map(|entry| entry.expect("an entry").path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.max().expect("a log")
}

#[tokio::test]
async fn reopening_sees_every_commit_and_a_lost_end_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 0..3 {
        let kv = RocksKv::open(directory.path(), small()).expect("opens");
        assert_eq!(kv.commits(), round * 2);
        for key in 0..round * 2 {
            assert!(has(&kv, &key.to_string()), "{key} in round {round}");
        }
        for key in [round * 2, round * 2 + 1] {
            kv.commit(put(&key.to_string())).await.expect("commits");
        }
    }
    let log = std::fs::OpenOptions::new().write(true).open(log_file(directory.path())).expect("opens");
    let length = log.metadata().expect("stats").len();
    log.set_len(length - 1).expect("cuts");
    let kv = RocksKv::open(directory.path(), small()).expect("a torn end is no obstacle");
    assert!(has(&kv, "4") && !has(&kv, "5"));
    assert_eq!(kv.commits(), 5, "the count of commits tells that one is missing");
}

#[tokio::test]
async fn closing_finishes_what_was_queued_and_refuses_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    let waiting: Vec<_> = (0..500).map(|key| kv.commit(put(&key.to_string()))).collect();
    kv.close();
    assert!(matches!(kv.commit(put("late")).await, Err(StoreError::Closed)));
    for answer in waiting {
        assert_eq!(answer.await.expect("was queued"), crate::kv::Commit::Committed);
    }
    assert!(has(&kv, "499"), "reads go on");
    drop(kv);
    let kv = RocksKv::open(directory.path(), small()).expect("the lock is free");
    assert!(has(&kv, "0") && has(&kv, "499") && !has(&kv, "late"));
}

#[tokio::test]
async fn cached_reads_never_wait_for_a_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    for key in ["a", "b"] {
        kv.commit(put(key)).await.expect("commits");
    }
    let family = kv.database.family(Family::Current).expect("is open");
    kv.database.db.flush_cf(family).expect("flushes");
    drop(kv);
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    let cached = || kv.get_cached(Family::Current, b"a").expect("answers");
    assert_eq!(cached(), Cached::Unknown);
    assert!(has(&kv, "a"));
    assert_eq!(cached(), Cached::Known(Some(Bytes::from_static(b"a"))), "what was read is cached");
    kv.commit(put("c")).await.expect("commits");
    let fresh = kv.get_cached(Family::Current, b"c").expect("answers");
    assert_eq!(fresh, Cached::Known(Some(Bytes::from_static(b"c"))));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let why = |what: &str| match RocksKv::open(directory.path(), small()) {
        Err(StoreError::Open(text)) => assert!(text.contains(what), "{text}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened, but should be: {what}"),
    };
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    why("in use by another cairn server");
    drop(kv);
    let names = Family::ALL.iter().map(|family| family.name()).chain(["default"]);
    let mut newer = DB::open_cf(&rocksdb::Options::default(), directory.path(), names).expect("opens");
    newer.create_cf("not known yet", &rocksdb::Options::default()).expect("creates");
    drop(newer);
    why("written by a newer release");
    std::fs::write(directory.path().join("CURRENT"), b"MANIFEST-999999\n").expect("writes");
    why("");
    std::fs::write(directory.path().join("CURRENT"), b"garbage").expect("writes");
    why("is damaged");
}

#[tokio::test]
async fn gauges_tell_what_happened() {
    let directory = tempfile::tempdir().expect("a directory");
    let kv = RocksKv::open(directory.path(), small()).expect("opens");
    kv.commit(put("a")).await.expect("commits");
    let mut refused = put("a");
    refused.check_unchanged(Family::Current, b"a".to_vec(), None);
    kv.commit(refused).await.expect("answers");
    let gauges = kv.gauges();
    let value = |name: &str| gauges.iter().find(|gauge| gauge.0 == name).expect("is a gauge").2;
    assert_eq!(
        [value("index_commits"), value("index_conflicts"), value("index_queue")].map(f64::to_bits),
        [1.0, 1.0, 0.0].map(f64::to_bits)
    );
    assert!(value("index_memtable_bytes") > 0.0 && value("index_write_seconds") > 0.0);
}

const CHILD: &str = "CAIRN_TEST_CHILD_DIRECTORY";

/// Not a test by itself: what [`a_killed_process_loses_nothing_acknowledged`] starts and kills.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let kv = RocksKv::open(Path::new(&directory), small()).expect("opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("starts");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let kv = kv.clone();
                tokio::spawn(async move {
                    for number in 0..100_000 {
                        let mut batch = put(&format!("{task}-{number}"));
                        batch.put(Family::Versions, format!("{task}-{number}").into(), Vec::new());
                        batch.add(Family::Counters, b"n".to_vec(), 1);
                        kv.commit(batch).await.expect("commits");
                        println!("\nacknowledged {task}-{number}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("runs");
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    use std::io::BufRead;
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kv::rocks::tests::child_that_commits_until_it_is_killed", "--nocapture"])
        .env(CHILD, directory.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut acknowledged = lines.filter_map(|line| line.ok()?.strip_prefix("acknowledged ").map(str::to_owned));
    let mut keys: Vec<String> = acknowledged.by_ref().take(300).collect();
    assert_eq!(keys.len(), 300, "the child commits");
    let Err(StoreError::Open(text)) = RocksKv::open(directory.path(), small()) else { panic!("opened twice") };
    assert!(text.contains("in use by another cairn server"), "{text}");
    child.kill().expect("is killed");
    keys.extend(acknowledged);
    child.wait().expect("ends");
    let kv = RocksKv::open(directory.path(), small()).expect("opens after a kill");
    for key in &keys {
        assert!(has(&kv, key), "{key} was acknowledged");
    }
    let count = |family: Family| {
        let mut rows = 0;
        let scan = Scan { families: vec![family], from: Vec::new(), to: None };
        kv.scan(&scan, &mut |_, _, _| {
            rows += 1;
            crate::kv::Visit::Next
        })
        .expect("scans");
        rows
    };
    let (current, versions): (i64, i64) = (count(Family::Current), count(Family::Versions));
    let counted = kv.get(Family::Counters, b"n").expect("reads").expect("is there");
    assert_eq!((current, current.to_le_bytes().to_vec()), (versions, counted.to_vec()), "batches are whole");
}
