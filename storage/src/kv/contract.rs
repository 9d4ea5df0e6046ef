//! What every metadata engine must do: one suite, run on each engine by [`contract_tests`].

mod appends;
mod counter_limits;
mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{Batch, Cached, Commit, Family, Kv, MAX_BATCH_BYTES, MAX_BATCH_ROWS, MAX_VALUE_BYTES, Scan, Visit};
use crate::error::{Result, StoreError};

pub use self::appends::{appended_rows_keep_the_order_of_commits, positions_are_never_given_twice};
pub use self::counter_limits::{limits_of_counters_are_exact, what_does_not_grow_is_never_beyond_its_limit};
pub use self::model::random_batches_match_a_model;

/// An empty engine for one test, and what must outlive it.
pub struct Fixture {
    /// The engine.
    pub kv: Arc<dyn Kv>,
    /// Its directory.
    pub keep: Option<tempfile::TempDir>,
}

/// Makes the suite's tests for an engine: a function that gives a [`Fixture`].
macro_rules! contract_tests {
    ($factory:path) => {
        $crate::kv::contract::contract_tests! { $factory:
            what_is_committed_is_read, a_conflict_leaves_nothing, absence_can_be_relied_on, prefix_checks_see_prefixes,
            of_two_that_need_an_empty_prefix_one_wins, adds_commute_and_vanish_at_zero, deletes_come_before_puts_before_adds,
            scans_keep_their_bounds, scans_merge_families, scans_seek_and_stop, scans_see_one_moment, limits_are_kept,
            racing_increments_all_count, appended_rows_keep_the_order_of_commits, positions_are_never_given_twice,
            limits_of_counters_are_exact, what_does_not_grow_is_never_beyond_its_limit, a_dropped_future_does_not_undo, a_broken_counter_harms_no_other,
            random_batches_match_a_model,
        }
    };
    ($factory:path: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::kv::contract::$name(&$factory()).await;
            }
        )*
    };
}
pub(crate) use contract_tests;

type Row = (Family, Vec<u8>, Vec<u8>);

fn put(family: Family, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(family, key.to_vec(), value.to_vec());
    batch
}

fn add(key: &[u8], delta: i64) -> Batch {
    let mut batch = Batch::default();
    batch.add(Family::Counters, key.to_vec(), delta);
    batch
}

async fn committed(kv: &dyn Kv, batch: Batch) {
    assert_eq!(kv.commit(batch).await.expect("commits"), Commit::Committed);
}

fn counter(kv: &dyn Kv, key: &[u8]) -> Option<i64> {
    let row = kv.get(Family::Counters, key).expect("reads")?;
    Some(i64::from_le_bytes(row[..].try_into().expect("eight bytes")))
}

/// All rows of a scan.
fn rows(kv: &dyn Kv, families: &[Family], from: &[u8], to: Option<&[u8]>) -> Vec<Row> {
    let scan = Scan { families: families.to_vec(), from: from.to_vec(), to: to.map(<[u8]>::to_vec) };
    let mut seen = Vec::new();
    kv.scan(&scan, &mut |family, key, value| {
        seen.push((family, key.to_vec(), value.to_vec()));
        Visit::Next
    })
    .expect("scans");
    seen
}

fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|(_, key, _)| key.as_slice()).collect()
}

pub async fn what_is_committed_is_read(Fixture { kv, .. }: &Fixture) {
    assert_eq!(kv.get(Family::Current, b"a").expect("reads"), None);
    assert_eq!(kv.get_cached(Family::Current, b"a").expect("reads"), Cached::Known(None));
    let mut batch = put(Family::Current, b"a", b"1");
    batch.put(Family::Inline, b"a".to_vec(), vec![7; MAX_VALUE_BYTES]);
    batch.put(Family::Current, b"empty".to_vec(), Vec::new());
    committed(&**kv, batch).await;
    assert_eq!(kv.get(Family::Current, b"a").expect("reads").as_deref(), Some(&b"1"[..]));
    assert_eq!(kv.get(Family::Inline, b"a").expect("reads"), Some(Bytes::from(vec![7; MAX_VALUE_BYTES])));
    assert_eq!(kv.get(Family::Current, b"empty").expect("reads"), Some(Bytes::new()));
    assert_eq!(kv.get(Family::Versions, b"a").expect("reads"), None, "families are apart");
    let fresh = kv.get_cached(Family::Current, b"a").expect("reads");
    assert_eq!(fresh, Cached::Known(Some(Bytes::from_static(b"1"))), "what was just written is in memory");
    let mut batch = Batch::default();
    batch.delete(Family::Current, b"a".to_vec());
    batch.delete(Family::Current, b"never was".to_vec());
    committed(&**kv, batch).await;
    assert_eq!(kv.get(Family::Current, b"a").expect("reads"), None);
    committed(&**kv, Batch::default()).await;
}

pub async fn a_conflict_leaves_nothing(Fixture { kv, .. }: &Fixture) {
    committed(&**kv, put(Family::Current, b"a", b"1")).await;
    let mut batch = put(Family::Current, b"a", b"2");
    batch.put(Family::Versions, b"b".to_vec(), b"2".to_vec());
    batch.delete(Family::Current, b"a".to_vec());
    batch.add(Family::Counters, b"c".to_vec(), 1);
    batch.check_unchanged(Family::Current, b"a".to_vec(), Some(Bytes::from_static(b"1")));
    batch.check_unchanged(Family::Current, b"a".to_vec(), Some(Bytes::from_static(b"0")));
    assert_eq!(kv.commit(batch.clone()).await.expect("answers"), Commit::Conflict(1));
    assert_eq!(kv.get(Family::Current, b"a").expect("reads").as_deref(), Some(&b"1"[..]));
    assert_eq!(kv.get(Family::Versions, b"b").expect("reads"), None);
    assert_eq!(counter(&**kv, b"c"), None);
    batch.checks.truncate(1);
    committed(&**kv, batch).await;
    assert_eq!(kv.get(Family::Current, b"a").expect("reads").as_deref(), Some(&b"2"[..]));
}

pub async fn absence_can_be_relied_on(Fixture { kv, .. }: &Fixture) {
    let mut batch = put(Family::Buckets, b"photos", b"me");
    batch.check_unchanged(Family::Buckets, b"photos".to_vec(), None);
    committed(&**kv, batch.clone()).await;
    assert_eq!(kv.commit(batch.clone()).await.expect("answers"), Commit::Conflict(0));
    committed(&**kv, put(Family::Buckets, b"photos", b"")).await;
    assert_eq!(kv.commit(batch.clone()).await.expect("answers"), Commit::Conflict(0), "an empty row is a row");
    let mut gone = Batch::default();
    gone.delete(Family::Buckets, b"photos".to_vec());
    committed(&**kv, gone).await;
    committed(&**kv, batch).await;
}

pub async fn prefix_checks_see_prefixes(Fixture { kv, .. }: &Fixture) {
    let last = [0xff, 0xff, 1];
    for key in [&b"a/1"[..], b"a", b"b0", &last] {
        committed(&**kv, put(Family::Refs, key, b"")).await;
    }
    let empty = async |prefix: &[u8]| {
        let mut batch = Batch::default();
        batch.check_prefix_empty(Family::Refs, prefix.to_vec());
        kv.commit(batch).await.expect("answers") == Commit::Committed
    };
    for taken in [&b""[..], b"a", b"a/", b"a/1", b"b", &[0xff], &[0xff, 0xff], &last] {
        assert!(!empty(taken).await, "{taken:?}");
    }
    for free in [&b"a/1/"[..], b"a0", b"A", b"b1", &[0xfe], &[0xff, 0xff, 0], &[0xff, 0xff, 1, 0], &[0xff, 0xff, 0xff]]
    {
        assert!(empty(free).await, "{free:?}");
    }
    let mut batch = put(Family::Refs, b"a/2", b"");
    batch.check_prefix_empty(Family::Refs, b"a/".to_vec());
    batch.delete(Family::Refs, b"a/1".to_vec());
    let outcome = kv.commit(batch).await.expect("answers");
    assert_eq!(outcome, Commit::Conflict(0), "checks hold before the batch, not after it");
}

pub async fn of_two_that_need_an_empty_prefix_one_wins(Fixture { kv, .. }: &Fixture) {
    for round in 0..50_u8 {
        let claim = |mine: u8, other: u8| {
            let mut batch = put(Family::Refs, &[round, mine, 1], b"");
            batch.check_prefix_empty(Family::Refs, vec![round, other]);
            tokio::spawn(kv.commit(batch))
        };
        let (one, two) = (claim(1, 2), claim(2, 1));
        let one = one.await.expect("runs").expect("answers");
        let two = two.await.expect("runs").expect("answers");
        let wins = [one, two].iter().filter(|outcome| **outcome == Commit::Committed).count();
        assert_eq!(wins, 1, "round {round}: {one:?} {two:?}");
        assert_eq!(rows(&**kv, &[Family::Refs], &[round], Some(&[round + 1])).len(), 1);
    }
}

pub async fn adds_commute_and_vanish_at_zero(Fixture { kv, .. }: &Fixture) {
    let waiting: Vec<_> = (-20..=20_i64).map(|delta| tokio::spawn(kv.commit(add(b"n", delta)))).collect();
    for task in waiting {
        assert_eq!(task.await.expect("runs").expect("no conflicts"), Commit::Committed);
    }
    assert_eq!(counter(&**kv, b"n"), None, "a counter at zero is no row");
    committed(&**kv, add(b"n", -5)).await;
    assert_eq!(counter(&**kv, b"n"), Some(-5));
    let mut twice = add(b"n", 2);
    twice.add(Family::Counters, b"n".to_vec(), 4);
    twice.add(Family::Counters, b"m".to_vec(), 0);
    committed(&**kv, twice).await;
    assert_eq!(counter(&**kv, b"n"), Some(1), "each add of a batch counts");
    committed(&**kv, add(b"n", -1)).await;
    assert!(rows(&**kv, &[Family::Counters], b"", None).is_empty());
}

pub async fn deletes_come_before_puts_before_adds(Fixture { kv, .. }: &Fixture) {
    committed(&**kv, put(Family::Current, b"a", b"old")).await;
    let mut batch = Batch::default();
    batch.put(Family::Current, b"a".to_vec(), b"first".to_vec());
    batch.put(Family::Current, b"a".to_vec(), b"second".to_vec());
    batch.delete(Family::Current, b"a".to_vec());
    committed(&**kv, batch).await;
    assert_eq!(kv.get(Family::Current, b"a").expect("reads").as_deref(), Some(&b"second"[..]));

    committed(&**kv, add(b"n", 10)).await;
    let mut reset = add(b"n", 3);
    reset.delete(Family::Counters, b"n".to_vec());
    committed(&**kv, reset).await;
    assert_eq!(counter(&**kv, b"n"), Some(3));
    let mut set = add(b"n", 1);
    set.put(Family::Counters, b"n".to_vec(), 100_i64.to_le_bytes().to_vec());
    committed(&**kv, set).await;
    assert_eq!(counter(&**kv, b"n"), Some(101));
}

pub async fn scans_keep_their_bounds(Fixture { kv, .. }: &Fixture) {
    let mut batch = Batch::default();
    for key in ["a", "b", "b\0", "c", "d"] {
        batch.put(Family::Current, key.into(), key.to_uppercase().into());
    }
    committed(&**kv, batch).await;
    committed(&**kv, put(Family::Versions, b"b", b"other family")).await;
    let scan = |from: &str, to: Option<&str>| rows(&**kv, &[Family::Current], from.as_bytes(), to.map(str::as_bytes));
    assert_eq!(keys(&scan("", None)), [&b"a"[..], b"b", b"b\0", b"c", b"d"]);
    assert_eq!(keys(&scan("b", Some("c"))), [&b"b"[..], b"b\0"]);
    assert_eq!(keys(&scan("b\0", None)), [&b"b\0"[..], b"c", b"d"]);
    assert_eq!(keys(&scan("bb", Some("d"))), [&b"c"[..]]);
    assert!(scan("c", Some("c")).is_empty() && scan("d", Some("a")).is_empty() && scan("e", None).is_empty());
    assert_eq!(scan("a", Some("b")), [(Family::Current, b"a".to_vec(), b"A".to_vec())]);
    assert!(rows(&**kv, &[], b"", None).is_empty());
}

pub async fn scans_merge_families(Fixture { kv, .. }: &Fixture) {
    let mut batch = Batch::default();
    for (family, key) in [
        (Family::Current, "a"),
        (Family::Current, "c"),
        (Family::Current, "d"),
        (Family::Versions, "b"),
        (Family::Versions, "c"),
        (Family::Versions, "e"),
    ] {
        batch.put(family, key.into(), family.name().into());
    }
    committed(&**kv, batch).await;
    let order = |families: &[Family]| -> Vec<String> {
        let rows = rows(&**kv, families, b"", Some(b"e"));
        rows.iter().map(|(family, key, _)| format!("{}{}", String::from_utf8_lossy(key), &family.name()[..1])).collect()
    };
    assert_eq!(order(&[Family::Current, Family::Versions]), ["ac", "bv", "cc", "cv", "dc"]);
    assert_eq!(order(&[Family::Versions, Family::Uploads, Family::Current]), ["ac", "bv", "cv", "cc", "dc"]);
}

pub async fn scans_seek_and_stop(Fixture { kv, .. }: &Fixture) {
    let mut batch = Batch::default();
    for number in 0..100 {
        batch.put(Family::Current, format!("{number:02}").into(), Vec::new());
        batch.put(Family::Versions, format!("{:02}", number / 10 * 10).into(), Vec::new());
    }
    committed(&**kv, batch).await;
    let scan =
        Scan { families: vec![Family::Current, Family::Versions], from: b"05".to_vec(), to: Some(b"80".to_vec()) };
    let mut seen = Vec::new();
    let result = kv.scan(&scan, &mut |family, key, _| {
        seen.push(format!("{}{}", String::from_utf8_lossy(key), &family.name()[..1]));
        match key {
            b"05" => Visit::Seek(b"10".to_vec()),
            b"10" if family == Family::Current => Visit::Next,
            b"10" => Visit::Seek(b"195".to_vec()),
            b"20" => Visit::Seek(b"20\0".to_vec()),
            b"21" => Visit::Seek(b"77".to_vec()),
            b"78" => Visit::Seek(b"80".to_vec()),
            _ => Visit::Next,
        }
    });
    result.expect("scans");
    assert_eq!(seen, ["05c", "10c", "10v", "20c", "21c", "77c", "78c"], "a tie's other family is skipped by a seek");
    let mut count = 0;
    let mut third = |_: Family, _: &[u8], _: &[u8]| {
        count += 1;
        if count == 3 { Visit::Stop } else { Visit::Next }
    };
    kv.scan(&scan, &mut third).expect("scans");
    assert_eq!(count, 3);
    for back in [&b"05"[..], b"00"] {
        let result = kv.scan(&scan, &mut |_, _, _| Visit::Seek(back.to_vec()));
        assert!(matches!(result, Err(StoreError::Index(_))), "{back:?}");
    }
}

pub async fn scans_see_one_moment(Fixture { kv, .. }: &Fixture) {
    let mut batch = Batch::default();
    for key in [b"a", b"c", b"e"] {
        batch.put(Family::Current, key.to_vec(), b"before".to_vec());
        batch.put(Family::Versions, key.to_vec(), b"before".to_vec());
    }
    committed(&**kv, batch).await;
    let inside = tokio::runtime::Handle::current();
    let other = kv.clone();
    let scanning = kv.clone();
    let seen = tokio::task::spawn_blocking(move || {
        let changed = AtomicBool::new(false);
        let families = vec![Family::Current, Family::Versions];
        let mut seen = Vec::new();
        scanning
            .scan(&Scan { families, from: Vec::new(), to: None }, &mut |_, key, value| {
                if !changed.swap(true, Ordering::Relaxed) {
                    let mut batch = put(Family::Current, b"b", b"after");
                    batch.put(Family::Current, b"e".to_vec(), b"after".to_vec());
                    batch.delete(Family::Versions, b"c".to_vec());
                    let answer = inside.block_on(other.commit(batch)).expect("commits during a scan");
                    assert_eq!(answer, Commit::Committed);
                }
                seen.push((key.to_vec(), value.to_vec()));
                if key == b"c" { Visit::Seek(b"c\0".to_vec()) } else { Visit::Next }
            })
            .map(|()| seen)
    });
    let seen = seen.await.expect("runs").expect("scans");
    let keys: Vec<_> = seen.iter().map(|(key, _)| key.as_slice()).collect();
    assert_eq!(keys, [&b"a"[..], b"a", b"c", b"e", b"e"]);
    assert!(seen.iter().all(|(_, value)| value == b"before"));
    assert_eq!(rows(&**kv, &[Family::Current], b"", None).len(), 4);
}

pub async fn limits_are_kept(Fixture { kv, .. }: &Fixture) {
    let refused = async |batch: Batch| {
        let error = kv.commit(batch).await.expect_err("refuses");
        assert!(matches!(&error, StoreError::Index(text) if text.starts_with("batch too large: ")), "{error}");
    };
    refused(put(Family::Current, b"a", &vec![0; MAX_VALUE_BYTES + 1])).await;
    let mut rows_batch = Batch::default();
    for row in 0..MAX_BATCH_ROWS / 2 {
        rows_batch.put(Family::Current, row.to_be_bytes().to_vec(), Vec::new());
        rows_batch.check_unchanged(Family::Current, row.to_be_bytes().to_vec(), None);
    }
    let mut more = rows_batch.clone();
    more.delete(Family::Current, b"one more".to_vec());
    refused(more).await;
    let mut bytes_batch = Batch::default();
    let value = MAX_VALUE_BYTES - size_of::<usize>();
    for row in 0..MAX_BATCH_BYTES / MAX_VALUE_BYTES {
        bytes_batch.put(Family::Inline, row.to_be_bytes().to_vec(), vec![1; value]);
    }
    let mut more = bytes_batch.clone();
    more.delete(Family::Current, b"x".to_vec());
    refused(more).await;
    assert!(rows(&**kv, &Family::ALL[..10], b"", None).is_empty(), "what is refused leaves nothing");
    committed(&**kv, rows_batch).await;
    committed(&**kv, bytes_batch).await;
}

pub async fn racing_increments_all_count(Fixture { kv, .. }: &Fixture) {
    const TASKS: u64 = 64;
    const EACH: u64 = 10;
    let increment = async |kv: &dyn Kv| -> Result<()> {
        loop {
            let was = kv.get(Family::Current, b"n")?;
            let number = was.as_ref().map_or(0, |row| u64::from_be_bytes(row[..].try_into().expect("eight bytes")));
            let mut batch = put(Family::Current, b"n", &(number + 1).to_be_bytes());
            batch.check_unchanged(Family::Current, b"n".to_vec(), was);
            batch.add(Family::Counters, b"n".to_vec(), 1);
            if kv.commit(batch).await? == Commit::Committed {
                return Ok(());
            }
        }
    };
    let tasks: Vec<tokio::task::JoinHandle<Result<()>>> = (0..TASKS)
        .map(|_| {
            let kv = kv.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    increment(&*kv).await?;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("runs").expect("commits");
    }
    let total = kv.get(Family::Current, b"n").expect("reads").expect("is there");
    assert_eq!(u64::from_be_bytes(total[..].try_into().expect("eight bytes")), TASKS * EACH);
    assert_eq!(counter(&**kv, b"n"), i64::try_from(TASKS * EACH).ok());
}

pub async fn a_dropped_future_does_not_undo(Fixture { kv, .. }: &Fixture) {
    let mut running = kv.commit(put(Family::Current, b"a", b"1"));
    let mut polled = std::pin::pin!(tokio::time::timeout(std::time::Duration::ZERO, &mut running));
    let _ = polled.as_mut().await;
    drop(running);
    committed(&**kv, put(Family::Current, b"b", b"1")).await;
    assert!(kv.get(Family::Current, b"a").expect("reads").is_some(), "commits are applied in the order of their calls");
}

pub async fn a_broken_counter_harms_no_other(Fixture { kv, .. }: &Fixture) {
    committed(&**kv, put(Family::Counters, b"n", b"not a counter")).await;
    let good = tokio::spawn(kv.commit(add(b"m", 1)));
    let mut bad = add(b"n", 1);
    bad.put(Family::Current, b"a".to_vec(), Vec::new());
    let error = kv.commit(bad).await.expect_err("is refused");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert_eq!(good.await.expect("runs").expect("commits"), Commit::Committed);
    committed(&**kv, add(b"m", 1)).await;
    assert_eq!(kv.get(Family::Current, b"a").expect("reads"), None);
    assert_eq!(counter(&**kv, b"m"), Some(2));
}
