//! A tier in a directory: each object is a file in one of 256 folders, written aside, synced and renamed.

#![allow(clippy::disallowed_methods, reason = "another disk's files, read and written on threads for blocking work")]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Failed;

/// What files that are being written are called at the end. Those that a crash leaves are removed at the start.
const UNFINISHED: &str = ".unfinished";

pub(super) struct Directory(PathBuf);

impl Directory {
    /// Uses a directory, which must be there: a disk that is not mounted must not look like an empty tier.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let words = |error: io::Error| format!("{}: {error}", path.display());
        if !fs::metadata(path).map_err(words)?.is_dir() {
            return Err(format!("{} is no directory", path.display()));
        }
        for folder in folders(path).map_err(words)? {
            for entry in fs::read_dir(folder).map_err(words)? {
                let file = entry.map_err(words)?.path();
                if file.to_string_lossy().ends_with(UNFINISHED) {
                    fs::remove_file(file).map_err(words)?;
                }
            }
        }
        Ok(Self(path.to_owned()))
    }

    /// By the first two characters of the name, which are those of a hash.
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name.get(..2).unwrap_or("__")).join(name)
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), Failed> {
        let file = self.file(name);
        run(move || {
            let folder = file.parent().unwrap_or(&file);
            fs::create_dir_all(folder)?;
            let aside = PathBuf::from(format!("{}{UNFINISHED}", file.display()));
            let mut writing = File::create(&aside)?;
            writing.write_all(&bytes)?;
            writing.sync_all()?;
            fs::rename(&aside, &file)?;
            File::open(folder)?.sync_all()?;
            File::open(folder.parent().unwrap_or(folder))?.sync_all()
        })
        .await
    }

    pub(super) async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, Failed> {
        let file = self.file(name);
        run(move || {
            let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            File::open(file)?.read_exact_at(&mut bytes, range.start)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), Failed> {
        let file = self.file(name);
        run(move || match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, Failed> {
        let (path, after) = (self.0.clone(), after.map(str::to_owned));
        run(move || {
            let mut names = Vec::new();
            for folder in folders(&path)? {
                let of_folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if after.as_ref().is_some_and(|after| after.get(..2).unwrap_or_default() > of_folder.as_str()) {
                    continue;
                }
                let mut found = Vec::new();
                for entry in fs::read_dir(folder)? {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    if !name.ends_with(UNFINISHED) && after.as_ref().is_none_or(|after| name > *after) {
                        found.push(name);
                    }
                }
                found.sort_unstable();
                names.extend(found);
                if names.len() >= limit {
                    names.truncate(limit);
                    break;
                }
            }
            Ok(names)
        })
        .await
    }
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().len() == 2 {
            folders.push(entry.path());
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

async fn run<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Failed> {
    let done = tokio::task::spawn_blocking(work).await;
    let failed = |error: &dyn std::fmt::Display, missing| Failed { reason: error.to_string(), missing };
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(failed(&error, error.kind() == ErrorKind::NotFound)),
        Err(error) => Err(failed(&error, false)),
    }
}
