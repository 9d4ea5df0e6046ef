//! Counters that must not grow beyond a limit.

use super::{Fixture, add, committed, counter};
use crate::kv::{Batch, Commit, Family};

fn limited(delta: i64, max: i64) -> Batch {
    let mut batch = add(b"n", delta);
    batch.limit(Family::Counters, b"n".to_vec(), max);
    batch
}

pub async fn limits_of_counters_are_exact(Fixture { kv, .. }: &Fixture) {
    const MAX: i64 = 100;
    let waiting: Vec<_> = (0..64_i64).map(|n| tokio::spawn(kv.commit(limited(1 + n % 5, MAX)))).collect();
    let (mut sum, mut refused) = (0, 0);
    for (n, task) in (0..).zip(waiting) {
        match task.await.expect("runs").expect("answers") {
            Commit::Committed => sum += 1 + n % 5,
            Commit::LimitExceeded { limit: 0, before } => {
                refused += 1;
                assert!(before <= MAX && before + 1 + n % 5 > MAX, "{before} leaves room for {}", 1 + n % 5);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0 && sum <= MAX, "{refused} refused, {sum}");
    assert_eq!(counter(&**kv, b"n"), Some(sum), "what is refused adds nothing");
    let mut both = limited(MAX - sum, MAX);
    both.add(Family::Counters, b"n".to_vec(), 1);
    both.put(Family::Current, b"a".to_vec(), Vec::new());
    let outcome = kv.commit(both).await.expect("answers");
    assert_eq!(outcome, Commit::LimitExceeded { limit: 0, before: sum }, "all that a batch adds counts");
    assert_eq!(kv.get(Family::Current, b"a").expect("reads"), None);
    let mut conflict = limited(MAX, MAX);
    conflict.check_unchanged(Family::Current, b"a".to_vec(), Some(b"x".to_vec().into()));
    assert_eq!(kv.commit(conflict).await.expect("answers"), Commit::Conflict(0), "a conflict is told first");
    if sum < MAX {
        committed(&**kv, limited(MAX - sum, MAX)).await;
    }
    assert_eq!(counter(&**kv, b"n"), Some(MAX));
}

pub async fn what_does_not_grow_is_never_beyond_its_limit(Fixture { kv, .. }: &Fixture) {
    committed(&**kv, add(b"n", 10)).await;
    committed(&**kv, limited(0, 5)).await;
    committed(&**kv, limited(-1, 5)).await;
    let mut replaced = limited(4, 5);
    replaced.add(Family::Counters, b"n".to_vec(), -4);
    committed(&**kv, replaced).await;
    let outcome = kv.commit(limited(1, 5)).await.expect("answers");
    assert_eq!(outcome, Commit::LimitExceeded { limit: 0, before: 9 });
    assert_eq!(counter(&**kv, b"n"), Some(9));
}
