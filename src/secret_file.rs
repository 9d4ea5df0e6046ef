//! Small files that hold a secret: root's generated key, the server's key.
//!
//! A crash while one is written leaves either no file or the whole file: it is written aside, synced, renamed, and its
//! directory synced. So who finds none may make another secret: nobody has seen the one that got lost.

#![allow(clippy::disallowed_methods, reason = "a small file of the operator's, read at start and on demand")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// More means that the path is wrong.
const MAX_BYTES: u64 = 4_096;

/// Reads the text of a small file.
///
/// # Errors
/// If it is larger than any such file, or no text.
pub fn read_small(file: File) -> io::Result<String> {
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("has more than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads the text of a secret's file, and warns if others may read it, too. `what` is the secret's name.
///
/// # Errors
/// As [`read_small`].
pub fn read(path: &Path, file: File, what: &str) -> io::Result<String> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = format!("{:o}", mode & 0o777);
        tracing::warn!(path = %path.display(), mode, "other users may read {what}; chmod it to 600");
    }
    read_small(file)
}

/// Writes a secret's file, and the directories above it if they are missing.
///
/// # Errors
/// If it cannot be written durably.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::other("has no directory"))?;
    fs::create_dir_all(directory)?;
    let aside = path.with_added_extension("new");
    match fs::remove_file(&aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // `create_new` with the mode: the file is never readable by others, not even for an instant.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(directory)?.sync_all()
}
