//! What workers and administrators do beside clients: to a store, and to what the model says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use storage::Store;
use storage::index::keys;
use storage::index::records::DeadLetter;
use storage::store::IdentityChange;
use storage::types::Timestamp;

use super::driver::{Name, Trouble, collect_all, diverged};
use super::state::State;
use super::tier::TIER;

/// Whose dead letters, and which worker's notes are looked at.
const TARGET: Name = "hook";
const WORKER: Name = "worker";
/// Kind of the identities that are looked at.
const KIND: u8 = b'u';
const ACCOUNT: &str = "1";

/// Something that is done beside what clients ask for.
#[derive(Clone, Debug)]
pub enum Chore {
    /// A whole pass over all chunks.
    Scrub,
    /// Removes events up to this position.
    Trim(u64),
    /// Moves the target's cursor.
    Cursor(u64),
    /// The events at these positions become dead letters, and the cursor moves behind them.
    Bury(&'static [u64]),
    /// Removes the dead letter with this number.
    Exhume(u64),
    /// Keeps so many rows of access logs, of so many bytes each.
    KeepLogs(u8, usize),
    /// Removes the rows up to this position.
    DropLogs(u64),
    /// What the worker notes.
    Note(Option<u8>),
    /// An identity with this name is written, and another is removed in the same commit.
    Identity(Name, u8, Option<Name>),
    /// As a server does when it starts.
    RecoverTiers,
    /// Collects, and deletes from the tier whatever is not referred to.
    ReleaseAll,
}

/// What the chores leave behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    pub trimmed: u64,
    pub cursor: Option<u64>,
    /// Number and position of each dead letter.
    pub letters: Vec<(u64, u64)>,
    /// Position and bytes of each row.
    pub logs: Vec<(u64, Bytes)>,
    pub note: Option<Bytes>,
    pub identities: BTreeMap<Vec<u8>, Bytes>,
    /// The numbers that were given last.
    last_letter: Last,
    last_log: Last,
}

/// A number that cannot be seen: it is the same as any other.
#[derive(Clone, Debug, Default)]
struct Last(u64);

impl PartialEq for Last {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Last {}

fn failed<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> String {
    move |error| format!("{doing}: {error}")
}

/// Everything of it that can be seen.
pub async fn observe_records(store: &Store) -> Result<Records, String> {
    let bounds = store.outbox_bounds().await.map_err(failed("reading the outbox's bounds"))?;
    let letters = store.dead_letters(TARGET, 0, 1000).await.map_err(failed("reading dead letters"))?;
    let counted = store.dead_letter_count(TARGET).await.map_err(failed("counting dead letters"))?;
    if counted != letters.len() as u64 {
        return Err(format!("{counted} dead letters are counted, there are {}", letters.len()));
    }
    let prefix = keys::identity_prefix(KIND, &[ACCOUNT], "");
    let identities = store.identities(prefix, None, 1000).await.map_err(failed("reading identities"))?;
    Ok(Records {
        trimmed: bounds.trimmed,
        cursor: store.cursor(TARGET).await.map_err(failed("reading a cursor"))?,
        letters: letters.into_iter().map(|buried| (buried.number, buried.letter.position)).collect(),
        logs: store.staged_access_logs(0, 1000).await.map_err(failed("reading access logs"))?,
        note: store.worker_note(WORKER).await.map_err(failed("reading a note"))?,
        identities: identities.into_iter().collect(),
        ..Records::default()
    })
}

/// The counter of the dead letters that the index holds under these row keys.
pub fn letters_counted<'a>(outbox: impl Iterator<Item = &'a Vec<u8>>) -> (Vec<u8>, i64) {
    let prefix = keys::dead_letters(TARGET);
    let letters = outbox.filter(|row| row.len() > prefix.len() && row.starts_with(&prefix)).count();
    (keys::dead_letter_count(TARGET), i64::try_from(letters).expect("few"))
}

/// Does it to the store and, if it succeeds, to the model.
pub async fn apply(store: &Arc<Store>, state: &mut State, chore: &Chore) -> Result<(), Trouble> {
    let records = &mut state.records;
    match chore {
        Chore::Scrub => scrub(store).await,
        Chore::RecoverTiers => Ok(store.recover_tiers().await.map(|_| ())?),
        Chore::ReleaseAll => release_all(store).await,
        Chore::Trim(upto) => {
            let wanted = upto - records.trimmed;
            let removed = store.trim_outbox(*upto).await? as u64;
            diverged(removed != wanted, || format!("{removed} events were removed, not {wanted}"))?;
            records.trimmed = *upto;
            state.events.drain(..usize::try_from(removed).expect("few"));
            Ok(())
        }
        Chore::Cursor(position) => {
            store.set_cursor(TARGET, *position).await?;
            records.cursor = Some(*position);
            Ok(())
        }
        Chore::Bury(positions) => {
            let letter = |position: &u64| DeadLetter {
                position: *position,
                buried: Timestamp(1),
                reason: "no".to_owned(),
                event: vec![1; 300],
            };
            let cursor = positions.last().copied();
            store.bury(TARGET, positions.iter().map(letter).collect(), cursor).await?;
            for position in *positions {
                records.last_letter.0 += 1;
                records.letters.push((records.last_letter.0, *position));
            }
            records.cursor = cursor;
            Ok(())
        }
        Chore::Exhume(number) => {
            store.remove_dead_letters(TARGET, &[*number]).await?;
            records.letters.retain(|(known, _)| known != number);
            Ok(())
        }
        Chore::KeepLogs(..) | Chore::DropLogs(_) | Chore::Note(_) | Chore::Identity(..) => {
            keep(store, records, chore).await
        }
    }
}

async fn keep(store: &Arc<Store>, records: &mut Records, chore: &Chore) -> Result<(), Trouble> {
    match chore {
        Chore::KeepLogs(count, bytes) => {
            let rows: Vec<Vec<u8>> = (0..*count).map(|number| vec![number; *bytes]).collect();
            store.stage_access_logs(rows.clone()).await?;
            for row in rows {
                records.last_log.0 += 1;
                records.logs.push((records.last_log.0, row.into()));
            }
        }
        Chore::DropLogs(upto) => {
            let positions: Vec<u64> = records.logs.iter().map(|(position, _)| *position).collect();
            let gone: Vec<u64> = positions.into_iter().filter(|position| position <= upto).collect();
            store.remove_access_logs(&gone).await?;
            records.logs.retain(|(position, _)| position > upto);
        }
        Chore::Note(note) => {
            let note = note.map(|byte| vec![byte; 9]);
            store.set_worker_note(WORKER, note.clone()).await?;
            records.note = note.map(Bytes::from);
        }
        Chore::Identity(name, value, gone) => {
            let key = |name: &str| keys::identity(KIND, &[ACCOUNT, name]);
            let value = vec![*value; 500];
            let known = |name: &str| (key(name), records.identities.get(&key(name)).cloned());
            let change = IdentityChange {
                checks: [Some(*name), *gone].into_iter().flatten().map(known).collect(),
                empty: Vec::new(),
                puts: vec![(key(name), value.clone())],
                deletes: gone.iter().map(|name| key(name)).collect(),
            };
            store.commit_identities(change).await?;
            records.identities.insert(key(name), value.into());
            if let Some(gone) = gone {
                records.identities.remove(&key(gone));
            }
        }
        other => unreachable!("{other:?} keeps nothing"),
    }
    Ok(())
}

async fn scrub(store: &Arc<Store>) -> Result<(), Trouble> {
    let mut after = None;
    loop {
        let step = store.scrub(after, 3, 1 << 20).await?;
        diverged(!step.damaged.is_empty(), || format!("scrubbing found damage: {:?}", step.damaged))?;
        after = step.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn release_all(store: &Arc<Store>) -> Result<(), Trouble> {
    let mut after = None;
    loop {
        let listed = store.release_strays(TIER, after, 100).await?;
        after = listed.next;
        if after.is_none() {
            break;
        }
    }
    loop {
        collect_all(store).await?;
        let released = store.releases(TIER, 100).await?;
        if released.is_empty() {
            return Ok(());
        }
        for (name, pieces) in released {
            store.release(TIER, &name, pieces).await?;
        }
    }
}
