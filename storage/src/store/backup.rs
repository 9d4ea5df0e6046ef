//! Backups of the index: taken while the store works, put back into a stopped one.
//!
//! A backup holds what the index said at one moment, and no chunk. Chunks of objects that are removed later may lie in
//! space that is used again: keeping that space for every backup would make it cost what the objects cost. So what a
//! restored index can promise is: every object of the backup that was still there when the index was lost reads right,
//! wherever compaction has moved its chunks; one that was removed or replaced since reads right or is named; nothing
//! written since is there.

use std::path::Path;
use std::sync::Arc;

use super::Store;
use super::open::StoreOptions;
use crate::disk::backup_directory::{self, Backup};
use crate::disk::data_directory::DataDirectory;
use crate::error::{Result, StoreError};

impl Store {
    /// Takes a backup of the index and removes all but the newest `keep`; answers it, and the names of those that went.
    ///
    /// # Errors
    /// [`StoreError::Full`] without room, [`StoreError::Open`] if there is one of the name; the file system's. Then
    /// nothing was removed.
    pub async fn back_up(self: &Arc<Self>, directory: &Path, name: &str, keep: usize) -> Result<(Backup, Vec<String>)> {
        let (store, directory, name) = (Arc::clone(self), directory.to_owned(), name.to_owned());
        let taking = tokio::task::spawn_blocking(move || {
            let id = store.directories.first().and_then(DataDirectory::store_id);
            let id =
                id.ok_or_else(|| StoreError::Open("a store without data directories has no backups".to_owned()))?;
            let backup = backup_directory::take(&directory, &name, id, |path| store.kv.checkpoint(path))?;
            let removed = backup_directory::keep_newest(&directory, id, keep)?;
            Ok((backup, removed))
        });
        taking.await.map_err(|_| StoreError::Closed)?
    }

    /// Puts a backup's index into a stopped store that has none. Answers the store, open as
    /// [`Store::open_to_repair`] does it: [`Store::forget_lost_chunks`] and [`Store::rebuild_chunk_index`] bring index and
    /// segments together. Where the first data directory is a new one, the segments that it had are lost.
    ///
    /// # Errors
    /// [`StoreError::Open`] when there is an index, when a directory is in use or another store's, or when the backup
    /// is not whole: nothing was changed. After any other error it may be tried again, once what was put back is
    /// moved away.
    pub fn restore(options: StoreOptions, backup: &Backup) -> Result<Arc<Self>> {
        let is_first_new = {
            let mut directories = Vec::new();
            for path in &options.data {
                let directory = DataDirectory::open(path)?;
                if directory.store_id().is_some_and(|id| id != backup.store_id) {
                    let message = format!("the backup {} is of another store than {}", backup.name, path.display());
                    return Err(StoreError::Open(message));
                }
                directories.push(directory);
            }
            let is_first_new = directories.first().is_some_and(|first| first.store_id().is_none());
            let none = || StoreError::Open("no data directory is given".to_owned());
            backup.put_back(&options.data.first().ok_or_else(none)?.join("index"))?;
            for directory in &mut directories {
                directory.mark(backup.store_id)?;
            }
            is_first_new
        };
        Self::open_repairing(options, is_first_new)
    }
}
