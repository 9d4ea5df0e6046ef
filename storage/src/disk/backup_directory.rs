//! A directory of backups of the index, and putting one back.
//!
//! ```text
//! <backups>/<name>/cairn-backup   text: format version, the store's id, when it was taken; written last
//! <backups>/<name>/index/         the metadata engine's files
//! <backups>/<name>.new/           one that is being taken, or was when the server was stopped
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};
use crate::types::Timestamp;

/// The format that this release writes, and the newest that it reads.
const FORMAT: u32 = 1;
const MARK: &str = "cairn-backup";
const INDEX: &str = "index";
/// The name's end while a backup is not whole.
const UNFINISHED: &str = ".new";

/// A whole backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its name: that of its directory.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// The store that it is of.
    pub store_id: [u8; 16],
    /// When it was taken.
    pub taken: Timestamp,
}

impl Backup {
    /// The backup in this directory.
    ///
    /// # Errors
    /// [`StoreError::Open`] if it is none, not whole, or of a newer format.
    pub fn open(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path.join(MARK)).map_err(|error| {
            let message = format!("{} is no whole backup of cairn's: {MARK}: {error}", path.display());
            StoreError::Open(message)
        })?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
            line.map(str::trim)
        };
        let unreadable = || StoreError::Open(format!("{} is damaged", path.join(MARK).display()));
        let format: u32 = value("format").and_then(|value| value.parse().ok()).ok_or_else(unreadable)?;
        if format > FORMAT {
            return Err(StoreError::Open(format!(
                "the backup {} has format {format}, this release reads formats up to {FORMAT}: use the release that wrote it",
                path.display()
            )));
        }
        let id = value("store").and_then(|value| u128::from_str_radix(value, 16).ok()).ok_or_else(unreadable)?;
        let taken = value("taken").and_then(|value| value.parse().ok()).ok_or_else(unreadable)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, path: path.to_owned(), store_id: id.to_be_bytes(), taken: Timestamp(taken) })
    }

    /// Copies the backup's index to `index`, durably: under another name first, so that a copy that was cut short is
    /// not taken for an index.
    ///
    /// # Errors
    /// [`StoreError::Open`] if there is something at `index`; the file system's.
    pub fn put_back(&self, index: &Path) -> Result<()> {
        if fs::read_dir(index).is_ok_and(|mut entries| entries.next().is_some()) {
            let message = format!("there is an index in {}: nothing was changed; move it away", index.display());
            return Err(StoreError::Open(message));
        }
        let unfinished = index.with_extension("restoring");
        remove_if_there(&unfinished)?;
        fs::create_dir_all(&unfinished)?;
        for entry in fs::read_dir(self.path.join(INDEX))? {
            let entry = entry?;
            let to = unfinished.join(entry.file_name());
            fs::copy(entry.path(), &to)?;
            File::open(&to)?.sync_all()?;
        }
        File::open(&unfinished)?.sync_all()?;
        // Renaming replaces an empty directory only.
        fs::rename(&unfinished, index)?;
        if let Some(parent) = index.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

/// Whole backups in a directory, the oldest first; none where it is not there.
///
/// # Errors
/// The file system's. What is no whole backup is left out.
pub fn list(directory: &Path) -> Result<Vec<Backup>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut backups = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_whole = path.extension().is_none_or(|extension| extension != "new");
        backups.extend(Backup::open(&path).ok().filter(|_| is_whole));
    }
    backups.sort_by(|one, other| (one.taken.0, &one.name).cmp(&(other.taken.0, &other.name)));
    Ok(backups)
}

/// Takes a backup: `checkpoint` puts the index's files into the directory that it is given, which is not there yet.
///
/// # Errors
/// [`StoreError::Open`] if there is one of the name; the checkpoint's, and the file system's. Then there is none.
pub fn take(
    directory: &Path,
    name: &str,
    store_id: [u8; 16],
    checkpoint: impl FnOnce(&Path) -> Result<()>,
) -> Result<Backup> {
    let path = directory.join(name);
    if path.exists() {
        return Err(StoreError::Open(format!("there is a backup {name} already")));
    }
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    remove_if_there(&unfinished)?;
    fs::create_dir(&unfinished)?;
    let taken = Timestamp::now();
    let written = checkpoint(&unfinished.join(INDEX)).and_then(|()| Ok(mark(&unfinished, store_id, taken)?));
    if let Err(error) = written {
        // It takes space and is nothing; the next one removes it if this fails too.
        let _ = remove_if_there(&unfinished);
        return Err(error);
    }
    fs::rename(&unfinished, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(Backup { name: name.to_owned(), path, store_id, taken })
}

fn mark(backup: &Path, store_id: [u8; 16], taken: Timestamp) -> io::Result<()> {
    let index = backup.join(INDEX);
    for entry in fs::read_dir(&index)? {
        // Files that are shared with the index are durable; those that were copied may not be.
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(&index)?.sync_all()?;
    let id = store_id.map(|byte| format!("{byte:02x}")).concat();
    let mut file = File::create(backup.join(MARK))?;
    writeln!(file, "# Written by cairn. Do not edit.\nformat = {FORMAT}\nstore = {id}\ntaken = {}", taken.0)?;
    file.sync_all()?;
    File::open(backup)?.sync_all()
}

/// Removes all but the newest `keep` backups of a store, and what unfinished ones left. Answers the names of those that
/// went.
///
/// # Errors
/// The file system's.
pub fn keep_newest(directory: &Path, store_id: [u8; 16], keep: usize) -> Result<Vec<String>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|extension| extension == "new") && path.join(INDEX).is_dir();
        if is_ours {
            remove_if_there(&path)?;
        }
    }
    let mut backups = list(directory)?;
    backups.retain(|backup| backup.store_id == store_id);
    backups.truncate(backups.len().saturating_sub(keep));
    for backup in &backups {
        // Without its mark it is no backup, however much of it is still there if this is cut short.
        fs::remove_file(backup.path.join(MARK))?;
        fs::remove_dir_all(&backup.path)?;
    }
    Ok(backups.into_iter().map(|backup| backup.name).collect())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(text: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |path| {
            fs::create_dir(path)?;
            Ok(fs::write(path.join("file"), text)?)
        }
    }

    #[test]
    fn a_backup_is_taken_listed_put_back_once_and_goes() {
        let parent = tempfile::tempdir().unwrap();
        let (backups, index) = (parent.path().join("backups"), parent.path().join("index"));
        assert_eq!(list(&backups).unwrap(), []);
        let first = take(&backups, "first", [1; 16], checkpoint("1")).unwrap();
        assert!(take(&backups, "first", [1; 16], checkpoint("1")).is_err(), "none is written over");
        take(&backups, "second", [1; 16], checkpoint("2")).unwrap();
        take(&backups, "foreign", [2; 16], checkpoint("3")).unwrap();
        let failed = take(&backups, "failed", [1; 16], |path| {
            fs::create_dir(path)?;
            Err(StoreError::Closed)
        });
        assert!(failed.is_err() && Backup::open(&backups.join("failed")).is_err());
        let names = || list(&backups).unwrap().into_iter().map(|backup| backup.name).collect::<Vec<_>>();
        assert_eq!(names().len(), 3);
        assert_eq!(list(&backups).unwrap()[0], first);
        assert_eq!(Backup::open(&backups.join("first")).unwrap(), first);
        first.put_back(&index).unwrap();
        assert_eq!(fs::read_to_string(index.join("file")).unwrap(), "1");
        let refused = first.put_back(&index).unwrap_err().to_string();
        assert!(refused.contains("nothing was changed"), "{refused}");
        fs::create_dir_all(backups.join("cut-short.new").join(INDEX)).unwrap();
        assert_eq!(keep_newest(&backups, [1; 16], 1).unwrap(), ["first"]);
        assert_eq!(names(), ["second", "foreign"], "others' are left alone");
        assert!(!backups.join("cut-short.new").exists());
    }
}
