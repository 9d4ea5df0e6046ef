//! The rules of a commit that every embedded engine shares: limits, checks, and what a batch does to its rows.

use bytes::Bytes;

use super::{Batch, Check, Commit, Family, MAX_BATCH_BYTES, MAX_BATCH_ROWS, MAX_VALUE_BYTES};
use crate::error::{Corruption, Result, StoreError};

/// What the database holds at the batch's place in the order of commits.
pub(super) trait Rows {
    /// The row, or `None`.
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>>;

    /// Whether any row's key starts with `prefix`.
    fn any_with_prefix(&self, family: Family, prefix: &[u8]) -> Result<bool>;
}

/// One row after a batch: its value, or `None` where it is gone.
pub(super) type Effect = (Family, Vec<u8>, Option<Bytes>);

/// What became of a batch before it is written.
pub(super) enum Verdict {
    /// Its rows, in the order in which they must be written; a later one for the same key wins.
    Apply(Vec<Effect>),
    /// The check with this index does not hold.
    Conflict(usize),
    /// The limit with this index would be exceeded; the counter before the batch.
    LimitExceeded(usize, i64),
}

impl From<&Verdict> for Commit {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Apply(_) => Self::Committed,
            Verdict::Conflict(check) => Self::Conflict(*check),
            Verdict::LimitExceeded(limit, before) => Self::LimitExceeded { limit: *limit, before: *before },
        }
    }
}

/// Bytes that count towards [`MAX_BATCH_BYTES`]: keys everywhere and the values that are written, not those that
/// checks compare with.
pub(super) fn batch_bytes(batch: &Batch) -> usize {
    let checks = batch.checks.iter().map(|check| match check {
        Check::Unchanged { key, .. } => key.len(),
        Check::PrefixEmpty { prefix, .. } => prefix.len(),
    });
    let puts = batch.puts.iter().map(|(_, key, value)| key.len() + value.len());
    let deletes = batch.deletes.iter().map(|(_, key)| key.len());
    let adds = batch.adds.iter().map(|(_, key, _)| key.len() + size_of::<i64>());
    let appends = batch.appends.iter().map(|(_, prefix, value)| 2 * (prefix.len() + size_of::<u64>()) + value.len());
    let limits = batch.limits.iter().map(|limit| limit.key.len());
    checks.chain(puts).chain(deletes).chain(adds).chain(appends).chain(limits).sum()
}

/// Refuses what exceeds the limits; answers the batch's bytes.
pub(super) fn within_limits(batch: &Batch) -> Result<usize> {
    let too_large = |what: String| Err(StoreError::Index(format!("batch too large: {what}")));
    if batch.rows() > MAX_BATCH_ROWS {
        return too_large(format!("{} rows of at most {MAX_BATCH_ROWS}", batch.rows()));
    }
    let mut values = batch.puts.iter().chain(&batch.appends);
    if let Some((family, _, value)) = values.find(|(_, _, value)| value.len() > MAX_VALUE_BYTES) {
        let (family, len) = (family.name(), value.len());
        return too_large(format!("a value of {len} bytes in {family}, of at most {MAX_VALUE_BYTES}"));
    }
    let bytes = batch_bytes(batch);
    if bytes > MAX_BATCH_BYTES {
        return too_large(format!("{bytes} bytes of at most {MAX_BATCH_BYTES}"));
    }
    Ok(bytes)
}

/// Verifies a batch against the rows before it and works out what it changes. An error means that the batch cannot
/// be applied at all; it contributes nothing.
pub(super) fn judge(batch: Batch, rows: &dyn Rows) -> Result<Verdict> {
    for (index, check) in batch.checks.iter().enumerate() {
        let holds = match check {
            Check::Unchanged { family, key, was } => rows.row(*family, key)? == *was,
            Check::PrefixEmpty { family, prefix } => !rows.any_with_prefix(*family, prefix)?,
        };
        if !holds {
            return Ok(Verdict::Conflict(index));
        }
    }
    let mut after = After { rows, effects: Vec::new() };
    after.effects.extend(batch.deletes.into_iter().map(|(family, key)| (family, key, None)));
    after.effects.extend(batch.puts.into_iter().map(|(family, key, value)| (family, key, Some(Bytes::from(value)))));
    for (family, key, delta) in batch.adds {
        let counter = added(family, after.row(family, &key)?.as_deref(), delta)?;
        after.effects.push((family, key, counter));
    }
    for (family, prefix, value) in batch.appends {
        after.append(family, prefix, value)?;
    }
    for (index, limit) in batch.limits.iter().enumerate() {
        let was = counter(limit.family, rows.row(limit.family, &limit.key)?.as_deref())?;
        let becomes = counter(limit.family, after.row(limit.family, &limit.key)?.as_deref())?;
        if becomes > was && becomes > limit.max {
            return Ok(Verdict::LimitExceeded(index, was));
        }
    }
    Ok(Verdict::Apply(after.effects))
}

/// The rows as a batch leaves them.
struct After<'a> {
    rows: &'a dyn Rows,
    effects: Vec<Effect>,
}

impl After<'_> {
    /// Batches count and append under few keys, but delete and put many rows: only what this batch wrote itself to the
    /// same key stands between the row and the database.
    fn row(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        match self.effects.iter().rev().find(|effect| effect.0 == family && effect.1 == key) {
            Some((_, _, value)) => Ok(value.clone()),
            None => self.rows.row(family, key),
        }
    }

    fn append(&mut self, family: Family, prefix: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let position = last_position(family, self.row(family, &prefix)?.as_deref())? + 1;
        let mut key = prefix.clone();
        key.extend_from_slice(&position.to_be_bytes());
        self.effects.push((family, key, Some(Bytes::from(value))));
        self.effects.push((family, prefix, Some(Bytes::copy_from_slice(&position.to_be_bytes()))));
        Ok(())
    }
}

/// The position that was given last, from the row that keeps it.
fn last_position(family: Family, row: Option<&[u8]>) -> Result<u64> {
    let Some(row) = row else { return Ok(0) };
    let position = <[u8; 8]>::try_from(row).map(u64::from_be_bytes).ok().filter(|position| *position < u64::MAX);
    position.ok_or_else(|| {
        let what = format!("the last position of appended rows in {} bytes", row.len());
        StoreError::Corrupt(Corruption::Row { family: family.name(), what })
    })
}

/// What a counter stands at.
fn counter(family: Family, row: Option<&[u8]>) -> Result<i64> {
    let Some(value) = row else { return Ok(0) };
    let value = <[u8; 8]>::try_from(value).map_err(|_| {
        let what = format!("a counter of {} bytes in place of 8", value.len());
        StoreError::Corrupt(Corruption::Row { family: family.name(), what })
    })?;
    Ok(i64::from_le_bytes(value))
}

/// The counter's row after `delta`; `None` where it reaches zero.
fn added(family: Family, before: Option<&[u8]>, delta: i64) -> Result<Option<Bytes>> {
    let before = counter(family, before)?;
    let after = before.checked_add(delta).ok_or_else(|| {
        let what = format!("a counter at {before} overflows when {delta} is added");
        StoreError::Corrupt(Corruption::Row { family: family.name(), what })
    })?;
    Ok((after != 0).then(|| Bytes::copy_from_slice(&after.to_le_bytes())))
}

/// The error of a visitor that seeks to a key at or before the row that it saw.
pub(super) fn backward_seek() -> StoreError {
    StoreError::Index("a scan can only seek forward".into())
}

/// The first key after every key that starts with `prefix`; `None` where no key is.
pub(super) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_after_their_last_key() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[b'a', 0xff, 0xff]), Some(b"b".to_vec()));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn counters_refuse_what_is_not_a_counter() {
        assert!(matches!(added(Family::Counters, Some(b"abc"), 1), Err(StoreError::Corrupt(_))));
        let most = i64::MAX.to_le_bytes();
        assert!(matches!(added(Family::Counters, Some(&most), 1), Err(StoreError::Corrupt(_))));
        assert_eq!(added(Family::Counters, None, 0).ok(), Some(None));
    }
}
