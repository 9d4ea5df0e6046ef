//! A data directory: locked by one server at a time, marked with the format that it is in.
//!
//! ```text
//! <data>/lock             held (flock) by the server that uses the directory
//! <data>/cairn-format     text: format version, the store's id
//! <data>/index/           the metadata engine (first data directory only)
//! <data>/segments/        chunks
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// The format that this release writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const FORMAT_FILE: &str = "cairn-format";
const LOCK_FILE: &str = "lock";

/// An open data directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    store_id: Option<[u8; 16]>,
    _lock: File,
}

impl DataDirectory {
    /// Locks a directory, creating it where it is not there, and reads what it is marked with.
    ///
    /// # Errors
    /// [`StoreError::Open`] when another server uses it, when its format is newer than this release's, or when it
    /// cannot be read and written.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |doing: &str, error: &io::Error| {
            StoreError::Open(format!("cannot {doing} the data directory {}: {error}", path.display()))
        };
        fs::create_dir_all(path).map_err(|error| failed("create", &error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
        let lock = lock.map_err(|error| failed("write to", &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("the data directory {} is in use by another cairn server", path.display());
                return Err(StoreError::Open(message));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &error)),
        }
        let store_id = match fs::read_to_string(path.join(FORMAT_FILE)) {
            Ok(text) => Some(parse_format(path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", &error)),
        };
        Ok(Self { path: path.to_owned(), store_id, _lock: lock })
    }

    /// The id of the store that the directory belongs to; `None` while it is unmarked.
    #[must_use]
    pub fn store_id(&self) -> Option<[u8; 16]> {
        self.store_id
    }

    /// Marks an unmarked directory as the store's, durably.
    ///
    /// # Errors
    /// [`StoreError::Open`] when it belongs to another store; the file system's errors.
    pub fn mark(&mut self, store_id: [u8; 16]) -> Result<()> {
        match self.store_id {
            Some(known) if known == store_id => return Ok(()),
            Some(_) => {
                let message = format!("the data directory {} belongs to another store", self.path.display());
                return Err(StoreError::Open(message));
            }
            None => {}
        }
        let id = store_id.map(|byte| format!("{byte:02x}")).concat();
        let text = format!("# Written by cairn. Do not edit.\nformat = {FORMAT}\nstore = {id}\n");
        let temporary = self.path.join("cairn-format.new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(FORMAT_FILE))?;
        File::open(&self.path)?.sync_all()?;
        self.store_id = Some(store_id);
        Ok(())
    }

    /// A folder in the directory, created durably where it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder)?;
        File::open(&self.path)?.sync_all()?;
        Ok(folder)
    }
}

/// The numbers of the segment files in a folder; none where it is not there.
///
/// # Errors
/// The file system's.
pub fn segment_numbers(folder: &Path) -> Result<Vec<u32>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_prefix("segment-")?.parse::<u32>().ok()));
    }
    Ok(numbers)
}

fn parse_format(path: &Path, text: &str) -> Result<[u8; 16]> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        line.map(str::trim)
    };
    let unreadable = || {
        let file = path.join(FORMAT_FILE);
        StoreError::Open(format!("{} is not a file of cairn's: restore it, or point --data elsewhere", file.display()))
    };
    let format: u32 = value("format").and_then(|value| value.parse().ok()).ok_or_else(unreadable)?;
    if format > FORMAT {
        return Err(StoreError::Open(format!(
            "the data directory {} has format {format}, this release reads formats up to {FORMAT}: start it with the newer release that wrote it",
            path.display()
        )));
    }
    let id = value("store").and_then(|value| u128::from_str_radix(value, 16).ok()).ok_or_else(unreadable)?;
    Ok(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_server_and_one_store() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let mut first = DataDirectory::open(&path).unwrap();
        assert_eq!(first.store_id(), None);
        let refused = DataDirectory::open(&path).unwrap_err().to_string();
        assert!(refused.contains("in use by another cairn server"), "{refused}");
        first.mark([7; 16]).unwrap();
        drop(first);
        let mut again = DataDirectory::open(&path).unwrap();
        assert_eq!(again.store_id(), Some([7; 16]));
        assert!(again.mark([8; 16]).unwrap_err().to_string().contains("another store"));
    }

    #[test]
    fn a_newer_format_is_refused_by_number() {
        let parent = tempfile::tempdir().unwrap();
        let id = "00".repeat(16);
        fs::write(parent.path().join(FORMAT_FILE), format!("format = 99\nstore = {id}\n")).unwrap();
        let refused = DataDirectory::open(parent.path()).unwrap_err().to_string();
        assert!(refused.contains("format 99") && refused.contains("up to 1"), "{refused}");
    }
}
