//! The audit trail's file, or standard output. A thread of its own writes, so that a slow disk holds up nobody.
//!
//! Lines are appended in whole batches and not synced: after a power cut the last second may be missing. The file is
//! opened anew when it was renamed or removed, so logrotate needs no signal.

#![allow(clippy::disallowed_methods, reason = "the operator's log file, no stored data")]

use super::{Entry, Lines};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that are written at once.
const BATCH_LINES: usize = 512;
/// How often the sink looks whether its file is still there, and complains about failures.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const COMPLAIN_AGAIN: Duration = Duration::from_mins(1);

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Stdout,
    /// Appended to; created with mode 0600 if it does not exist.
    File(PathBuf),
}

/// The running writer.
#[derive(Debug)]
pub struct FileSink(JoinHandle<()>);

impl FileSink {
    /// Opens the target and starts writing what comes through `lines`.
    ///
    /// # Errors
    /// If the file cannot be opened for appending.
    pub fn start(target: &Target, lines: Lines) -> io::Result<Self> {
        let output = match target {
            Target::Stdout => Output::Stdout,
            Target::File(path) => Output::open(path)?,
        };
        let writer = Writer { output, looked: Instant::now(), complained: None, torn: false };
        let thread = std::thread::Builder::new().name("cairn-audit".to_owned()).spawn(move || writer.run(lines))?;
        Ok(Self(thread))
    }

    /// Waits until everything up to [`Entry::End`] is written.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the audit log's writer ended badly");
        }
    }
}

enum Output {
    Stdout,
    File { path: PathBuf, file: File },
}

impl Output {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::File { path: path.to_owned(), file: open(path)? })
    }

    /// Follows the path if its file was moved away.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let Self::File { path, file } = self else { return Ok(()) };
        let ours = file.metadata()?;
        let same = std::fs::metadata(&*path).is_ok_and(|now| (now.dev(), now.ino()) == (ours.dev(), ours.ino()));
        if !same {
            *file = open(path)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(batch)?;
                out.flush()
            }
            Self::File { file, .. } => file.write_all(batch),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

struct Writer {
    output: Output,
    looked: Instant,
    complained: Option<Instant>,
    /// The last write failed and may have left a part of a line.
    torn: bool,
}

impl Writer {
    fn run(mut self, mut lines: Lines) {
        let (mut batch, mut count, mut last) = (Vec::new(), 0, false);
        while !last {
            let mut next = lines.receiver.blocking_recv();
            loop {
                match next {
                    Some(Entry::Line(line)) => {
                        batch.extend_from_slice(&line);
                        count += 1;
                    }
                    Some(Entry::End) | None => last = true,
                }
                if last || count >= BATCH_LINES {
                    break;
                }
                let Ok(entry) = lines.receiver.try_recv() else { break };
                next = Some(entry);
            }
            if let Err(error) = self.write(&batch) {
                lines.dropped.fetch_add(count as u64, Ordering::Relaxed);
                self.complain(&error);
            }
            batch.clear();
            count = 0;
        }
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.torn || self.looked.elapsed() >= LOOK_AGAIN {
            self.looked = Instant::now();
            self.output.reopen_if_moved()?;
        }
        if self.torn {
            // So that the part of a line that may be there spoils itself alone.
            self.output.write(b"\n")?;
        }
        self.torn = true;
        self.output.write(batch)?;
        self.torn = false;
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|when| when.elapsed() >= COMPLAIN_AGAIN) {
            self.complained = Some(Instant::now());
            tracing::error!(%error, "audit lines are lost: the audit log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue;
    use super::*;
    use bytes::Bytes;

    fn written(path: &Path, lines: &[&'static str]) -> u64 {
        let (queue, receiver) = queue(16);
        let dropped = std::sync::Arc::clone(&receiver.dropped);
        let sink = FileSink::start(&Target::File(path.to_owned()), receiver).expect("opened");
        for line in lines {
            queue.sender.try_send(Entry::Line(Bytes::from_static(line.as_bytes()))).expect("a place");
        }
        queue.sender.try_send(Entry::End).expect("a place");
        sink.join();
        dropped.load(Ordering::Relaxed)
    }

    #[test]
    fn lines_are_appended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        assert_eq!(written(&path, &["a\n", "b\n"]), 0);
        assert_eq!(written(&path, &["c\n"]), 0);
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "a\nb\nc\n");
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_so() {
        assert_eq!(written(Path::new("/dev/full"), &["a\n", "b\n"]), 2);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
        let (_queue, receiver) = queue(1);
        let missing = Target::File(PathBuf::from("/nonexistent/audit.log"));
        assert!(FileSink::start(&missing, receiver).is_err());
    }

    #[test]
    fn a_renamed_file_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let mut output = Output::open(&path).expect("opened");
        output.write(b"a\n").expect("written");
        std::fs::rename(&path, &old).expect("renamed");
        output.reopen_if_moved().expect("opened");
        output.write(b"b\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "b\n");
        assert_eq!(std::fs::read_to_string(&old).expect("readable"), "a\n");
    }
}
