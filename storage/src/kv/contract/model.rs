//! Random batches and scans against a model of the contract.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Fixture, Row};
use crate::error::Result;
use crate::kv::{Batch, Check, Commit, Family, Kv, Limit, Scan, Visit};

type Model = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

const MODELLED: [Family; 4] = [Family::Current, Family::Versions, Family::Counters, Family::Outbox];

/// The contract of [`Batch`], written as plainly as possible.
fn apply_to_model(model: &mut Model, batch: &Batch) -> Commit {
    for (index, check) in batch.checks.iter().enumerate() {
        let holds = match check {
            Check::Unchanged { family, key, was } => {
                model.get(&(*family, key.clone())).map(Vec::as_slice) == was.as_deref()
            }
            Check::PrefixEmpty { family, prefix } => !model.keys().any(|(f, k)| f == family && k.starts_with(prefix)),
        };
        if !holds {
            return Commit::Conflict(index);
        }
    }
    let counted = |model: &Model, slot: &(Family, Vec<u8>)| {
        model.get(slot).map_or(0, |row| i64::from_le_bytes(row[..].try_into().expect("eight bytes")))
    };
    let untouched = model.clone();
    for (family, key) in &batch.deletes {
        model.remove(&(*family, key.clone()));
    }
    for (family, key, value) in &batch.puts {
        model.insert((*family, key.clone()), value.clone());
    }
    for (family, key, delta) in &batch.adds {
        let slot = (*family, key.clone());
        let before = counted(model, &slot);
        if before + delta == 0 {
            model.remove(&slot);
        } else {
            model.insert(slot, (before + delta).to_le_bytes().to_vec());
        }
    }
    for (index, limit) in batch.limits.iter().enumerate() {
        let slot = (limit.family, limit.key.clone());
        let (before, after) = (counted(&untouched, &slot), counted(model, &slot));
        if after > before && after > limit.max {
            *model = untouched;
            return Commit::LimitExceeded { limit: index, before };
        }
    }
    for (family, prefix, value) in &batch.appends {
        let last = model.get(&(*family, prefix.clone()));
        let next = 1 + last.map_or(0, |row| u64::from_be_bytes(row[..].try_into().expect("eight bytes")));
        model.insert((*family, [prefix.as_slice(), &next.to_be_bytes()].concat()), value.clone());
        model.insert((*family, prefix.clone()), next.to_be_bytes().to_vec());
    }
    Commit::Committed
}

fn short_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xff]), 0..4)
}

fn plain_family() -> impl Strategy<Value = Family> {
    prop::sample::select(vec![Family::Current, Family::Versions])
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let value = prop::collection::vec(any::<u8>(), 0..3);
    let unchanged = (plain_family(), short_key(), prop::option::of(value.clone()))
        .prop_map(|(family, key, was)| Check::Unchanged { family, key, was: was.map(Bytes::from) });
    let log = prop::collection::vec(any::<u8>(), 0..3);
    let limit = (short_key(), -2..6_i64).prop_map(|(key, max)| Limit { family: Family::Counters, key, max });
    let prefix = (plain_family(), short_key()).prop_map(|(family, prefix)| Check::PrefixEmpty { family, prefix });
    (
        prop::collection::vec(prop_oneof![unchanged, prefix], 0..2),
        prop::collection::vec((plain_family(), short_key(), value), 0..5),
        prop::collection::vec((plain_family(), short_key()), 0..5),
        prop::collection::vec((Just(Family::Counters), short_key(), -2..3_i64), 0..4),
        prop::collection::vec(
            (Just(Family::Outbox), prop::sample::select(vec![b"x".to_vec(), b"y".to_vec()]), log),
            0..3,
        ),
        prop::collection::vec(limit, 0..2),
    )
        .prop_map(|(checks, puts, deletes, adds, appends, limits)| Batch {
            checks,
            puts,
            deletes,
            adds,
            appends,
            limits,
        })
}

/// What the model says that a scan shows when each row in `seeks` answers with a seek past all keys that it begins.
fn model_scan(model: &Model, scan: &Scan, seeks: &[Vec<u8>]) -> Vec<Row> {
    let order = |family: &Family| scan.families.iter().position(|other| other == family);
    let mut all: Vec<_> = model
        .iter()
        .filter(|((family, key), _)| {
            order(family).is_some() && *key >= scan.from && scan.to.as_ref().is_none_or(|to| key < to)
        })
        .map(|((family, key), value)| (*family, key.clone(), value.clone()))
        .collect();
    all.sort_by_key(|(family, key, _)| (key.clone(), order(family)));
    let (mut shown, mut from) = (Vec::new(), Vec::new());
    for row in all {
        if row.1 >= from {
            from = if seeks.contains(&row.1) { [&row.1[..], b"b"].concat() } else { row.1.clone() };
            shown.push(row);
        }
    }
    shown
}

fn engine_scan(kv: &dyn Kv, scan: &Scan, seeks: &[Vec<u8>]) -> Result<Vec<Row>> {
    let mut shown = Vec::new();
    kv.scan(scan, &mut |family, key, value| {
        shown.push((family, key.to_vec(), value.to_vec()));
        if seeks.iter().any(|seek| seek == key) { Visit::Seek([key, b"b"].concat()) } else { Visit::Next }
    })?;
    Ok(shown)
}

pub async fn random_batches_match_a_model(Fixture { kv, .. }: &Fixture) {
    let from_environment = std::env::var("CAIRN_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = from_environment.unwrap_or_else(|| getrandom::u64().expect("randomness"));
    println!("CAIRN_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 150, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    // One model for all cases: rows pile up, so that later cases meet what earlier ones left. Hence no shrinking.
    let model = parking_lot::Mutex::new(Model::new());
    let (kv, inside) = (kv.clone(), tokio::runtime::Handle::current());
    let cases = move || {
        let scans =
            (short_key(), prop::option::of(short_key()), prop::collection::vec(short_key(), 0..4), any::<bool>());
        let shape = (prop::collection::vec(any_batch(), 1..8), scans);
        let ran = runner.run(&shape, |(batches, (from, to, seeks, turned))| {
            let mut model = model.lock();
            // Sent before any is awaited, so that they meet in one group.
            let sent: Vec<_> = batches.iter().map(|batch| kv.commit(batch.clone())).collect();
            for (batch, answer) in batches.iter().zip(sent) {
                let expected = apply_to_model(&mut model, batch);
                prop_assert_eq!(inside.block_on(answer).expect("answers"), expected);
            }
            let mut families = MODELLED.to_vec();
            if turned {
                families.reverse();
            }
            let scan = Scan { families, from, to };
            prop_assert_eq!(engine_scan(&*kv, &scan, &seeks).expect("scans"), model_scan(&model, &scan, &seeks));
            for ((family, key), value) in &*model {
                let row = kv.get(*family, key).expect("reads");
                prop_assert_eq!(row.as_deref(), Some(value.as_slice()));
            }
            Ok(())
        });
        ran.map_err(|failure| failure.to_string())
    };
    if let Err(failure) = tokio::task::spawn_blocking(cases).await.expect("runs") {
        panic!("CAIRN_TEST_SEED={seed}: {failure}");
    }
}
