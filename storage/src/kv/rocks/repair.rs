//! What of a database's files is lost, and giving up the rows of one family, where they can be derived from elsewhere.

use std::path::Path;

use rocksdb::{ColumnFamilyDescriptor, DB, ReadOptions};

use super::options::{self, Memory, RocksOptions};
use super::refused;
use super::watch::Watch;
use crate::error::{Result, StoreError};
use crate::kv::Family;

/// Families with what is lost of them: table files that are missing or have another length than they should, and, of
/// the family that can be derived, rows that cannot be read.
///
/// # Errors
/// [`StoreError::Open`] where another process has it open, or more than tables is lost.
pub fn damage(path: &Path, options: &RocksOptions) -> Result<Vec<(Family, String)>> {
    let db = open(path, options)?;
    let mut found = Vec::new();
    for file in db.live_files().map_err(|error| StoreError::Open(error.to_string()))? {
        let Some(family) = Family::ALL.into_iter().find(|family| family.name() == file.column_family_name) else {
            continue;
        };
        let name = file.name.trim_start_matches('/');
        match std::fs::metadata(path.join(name)) {
            Ok(there) if there.len() == file.size as u64 => {}
            Ok(there) => found.push((family, format!("{name} has {} bytes, not {}", there.len(), file.size))),
            Err(error) => found.push((family, format!("{name}: {error}"))),
        }
    }
    let derived = Family::Chunks;
    if !found.iter().any(|(family, _)| *family == derived)
        && let Some(handle) = db.cf_handle(derived.name())
    {
        let mut read = ReadOptions::default();
        read.fill_cache(false);
        let mut rows = db.raw_iterator_cf_opt(handle, read);
        rows.seek_to_first();
        while rows.valid() {
            rows.next();
        }
        if let Err(error) = rows.status() {
            found.push((derived, error.to_string()));
        }
    }
    Ok(found)
}

/// Removes all rows of a family, also where its files are lost.
///
/// # Errors
/// [`StoreError::Open`] where another process has it open, or more than tables is lost.
pub fn give_up(path: &Path, options: &RocksOptions, family: Family) -> Result<()> {
    let mut db = open(path, options)?;
    let failed = |error: rocksdb::Error| StoreError::Open(error.to_string());
    db.drop_cf(family.name()).map_err(failed)?;
    let memory = Memory::new(options);
    db.create_cf(family.name(), &options::family(family, &memory)).map_err(failed)
}

/// Opens what there is: a lost table is noticed by who reads it.
fn open(path: &Path, options: &RocksOptions) -> Result<DB> {
    let memory = Memory::new(options);
    let families = Family::ALL.into_iter().map(|family| (family.name(), family));
    let families = families.chain([("default", Family::System)]).map(|(name, family)| {
        let mut family = options::family(family, &memory);
        // Compactions would stumble over what is lost.
        family.set_disable_auto_compactions(true);
        ColumnFamilyDescriptor::new(name, family)
    });
    let mut database = options::database(options, &memory, Watch::default());
    database.create_if_missing(false);
    database.create_missing_column_families(false);
    database.set_paranoid_checks(false);
    DB::open_cf_descriptors(&database, path, families.collect::<Vec<_>>()).map_err(|error| refused(path, &error))
}
