//! Rows that get their place from the order of commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fixture, committed, rows};
use crate::error::StoreError;
use crate::kv::{Batch, Commit, Family, Kv, MAX_VALUE_BYTES};

fn append(prefix: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.append(Family::Outbox, prefix.to_vec(), value.to_vec());
    batch
}

/// Positions and values of the rows under a prefix of one byte, after `after`.
fn log(kv: &dyn Kv, prefix: u8, after: u64) -> Vec<(u64, Vec<u8>)> {
    let from = [&[prefix][..], &(after + 1).to_be_bytes()].concat();
    let rows = rows(kv, &[Family::Outbox], &from, Some(&[prefix + 1]));
    rows.into_iter().map(|(_, key, value)| (u64::from_be_bytes(key[1..].try_into().expect("eight")), value)).collect()
}

/// Whoever reads on from the last position that it saw misses nothing, however many write.
pub async fn appended_rows_keep_the_order_of_commits(Fixture { kv, .. }: &Fixture) {
    const TASKS: u8 = 16;
    const EACH: u8 = 25;
    let done = Arc::new(AtomicBool::new(false));
    let (reading, ended) = (kv.clone(), done.clone());
    let reader = tokio::task::spawn_blocking(move || {
        let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
        loop {
            let last = ended.load(Ordering::Acquire);
            seen.extend(log(&*reading, b'e', seen.last().map_or(0, |row| row.0)));
            if last {
                return seen;
            }
        }
    });
    let writers: Vec<_> = (0..TASKS)
        .map(|task| {
            let kv = kv.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let mut batch = append(b"e", &[task, number]);
                    // Every fifth is refused, and leaves no gap.
                    let refused = number % 5 == 4;
                    batch.check_unchanged(Family::Current, b"none".to_vec(), refused.then(|| b"x".to_vec().into()));
                    let outcome = kv.commit(batch).await.expect("answers");
                    assert_eq!(outcome == Commit::Committed, !refused);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("runs");
    }
    done.store(true, Ordering::Release);
    let seen = reader.await.expect("runs");
    let all = u64::from(TASKS) * u64::from(EACH) * 4 / 5;
    assert!(seen.iter().map(|row| row.0).eq(1..=all), "a reader that goes on from its last position sees each once");
    assert_eq!(seen, log(&**kv, b'e', 0));
    for task in 0..TASKS {
        let numbers: Vec<u8> = seen.iter().filter(|row| row.1[0] == task).map(|row| row.1[1]).collect();
        assert!(numbers.is_sorted() && numbers.len() == usize::from(EACH) * 4 / 5, "task {task}: {numbers:?}");
    }
}

pub async fn positions_are_never_given_twice(Fixture { kv, .. }: &Fixture) {
    let mut batch = append(b"a", b"1");
    batch.append(Family::Outbox, b"a".to_vec(), b"2".to_vec());
    batch.append(Family::Outbox, b"b".to_vec(), b"other".to_vec());
    committed(&**kv, batch).await;
    assert_eq!(log(&**kv, b'a', 0), [(1, b"1".to_vec()), (2, b"2".to_vec())]);
    assert_eq!(log(&**kv, b'b', 0), [(1, b"other".to_vec())]);
    let mut trim = Batch::default();
    for (_, key, _) in rows(&**kv, &[Family::Outbox], &[b"a", &1_u64.to_be_bytes()[..]].concat(), Some(b"b")) {
        trim.delete(Family::Outbox, key);
    }
    committed(&**kv, trim).await;
    assert!(log(&**kv, b'a', 0).is_empty());
    committed(&**kv, append(b"a", &vec![7; MAX_VALUE_BYTES])).await;
    assert_eq!(log(&**kv, b'a', 0), [(3, vec![7; MAX_VALUE_BYTES])]);
    let last = kv.get(Family::Outbox, b"a").expect("reads");
    assert_eq!(last.as_deref(), Some(&3_u64.to_be_bytes()[..]), "the last position can be read");
    let too_large = kv.commit(append(b"a", &vec![7; MAX_VALUE_BYTES + 1])).await.expect_err("is refused");
    assert!(matches!(too_large, StoreError::Index(_)), "{too_large}");
}
