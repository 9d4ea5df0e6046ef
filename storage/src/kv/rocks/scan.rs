//! Scans over several families at once, from one snapshot.

use rocksdb::{DBRawIterator, ReadOptions};

use super::{Database, broken_read, options};
use crate::error::Result;
use crate::kv::verify::backward_seek;
use crate::kv::{Family, Scan, Visit, Visitor};

type Rows<'a> = (Family, DBRawIterator<'a>);

/// Reads that end before `to`: an iterator without it would walk over whatever lies deleted behind the last row.
pub(super) fn bounded(to: Option<Vec<u8>>) -> ReadOptions {
    let mut read = options::patient();
    if let Some(to) = to {
        read.set_iterate_upper_bound(to);
    }
    // Only as far as the bound.
    read.set_auto_readahead_size(true);
    read
}

pub(super) fn run(database: &Database, scan: &Scan, visit: &mut Visitor<'_>) -> Result<()> {
    if scan.to.as_ref().is_some_and(|to| *to <= scan.from) {
        return Ok(());
    }
    let snapshot = database.db.snapshot();
    let mut families = Vec::with_capacity(scan.families.len());
    for family in &scan.families {
        let mut rows = snapshot.raw_iterator_cf_opt(database.family(*family)?, bounded(scan.to.clone()));
        rows.seek(&scan.from);
        check(*family, &rows)?;
        families.push((*family, rows));
    }
    while let Some(index) = smallest(&families) {
        let Some((family, rows)) = families.get_mut(index) else { break };
        let Some((key, value)) = rows.item() else { break };
        match visit(*family, key, value) {
            Visit::Stop => return Ok(()),
            Visit::Next => {
                rows.next();
                check(*family, rows)?;
            }
            Visit::Seek(target) if target.as_slice() > key => seek(&mut families, &target)?,
            Visit::Seek(_) => return Err(backward_seek()),
        }
    }
    Ok(())
}

/// The family with the next row: the smallest key, then the first family.
fn smallest(families: &[Rows<'_>]) -> Option<usize> {
    let heads = families.iter().enumerate().filter_map(|(index, (_, rows))| Some((rows.key()?, index)));
    heads.min().map(|(_, index)| index)
}

fn seek(families: &mut [Rows<'_>], target: &[u8]) -> Result<()> {
    for (family, rows) in families {
        if rows.key().is_some_and(|key| key < target) {
            rows.seek(target);
            check(*family, rows)?;
        }
    }
    Ok(())
}

/// An iterator ends at the last row and at an error alike.
fn check(family: Family, rows: &DBRawIterator<'_>) -> Result<()> {
    if rows.valid() {
        return Ok(());
    }
    rows.status().map_err(|error| broken_read(family, &error))
}
