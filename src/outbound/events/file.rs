//! Lines of JSON in a file, or on standard output. The file is opened anew when it was renamed or removed.

#![allow(clippy::disallowed_methods, reason = "the operator's file, no stored data")]

use std::fs::{File as FsFile, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::target::FileTarget;
use super::{EventSink, Message, SendError, Sent};

const BATCH: usize = 1_000;

pub(super) struct File(Arc<Mutex<Output>>);

struct Output {
    path: Option<PathBuf>,
    file: Option<FsFile>,
    /// The last write failed and may have left a part of a line.
    torn: bool,
}

impl File {
    pub(super) fn open(settings: &FileTarget) -> Self {
        Self(Arc::new(Mutex::new(Output { path: settings.path.clone(), file: None, torn: false })))
    }

    async fn with_output(
        &self,
        work: impl FnOnce(&mut Output) -> io::Result<()> + Send + 'static,
    ) -> Result<(), SendError> {
        let output = Arc::clone(&self.0);
        let writing =
            tokio::task::spawn_blocking(move || work(&mut output.lock().unwrap_or_else(PoisonError::into_inner)));
        match writing.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SendError::unavailable(error)),
            Err(error) => Err(SendError::unavailable(error)),
        }
    }
}

impl Output {
    /// The file at the path, whoever moved the former one away.
    fn opened(&mut self, path: &Path) -> io::Result<&mut FsFile> {
        let there = std::fs::metadata(path).ok();
        let is_same = |file: &FsFile| {
            let ours = file.metadata().ok();
            ours.zip(there).is_some_and(|(ours, there)| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        let file = match self.file.take().filter(is_same) {
            Some(file) => file,
            None => OpenOptions::new().append(true).create(true).mode(0o600).open(path)?,
        };
        Ok(self.file.insert(file))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(path) = self.path.clone() else {
            let mut out = io::stdout().lock();
            return out.write_all(lines).and_then(|()| out.flush());
        };
        let torn = std::mem::replace(&mut self.torn, true);
        let file = self.opened(&path)?;
        if torn {
            // So that the part of a line that may be there spoils itself alone.
            file.write_all(b"\n")?;
        }
        file.write_all(lines)?;
        match file.sync_data() {
            // Pipes and devices have nothing to sync.
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
            _ => self.torn = false,
        }
        Ok(())
    }
}

#[async_trait]
impl EventSink for File {
    async fn check(&self) -> Result<(), SendError> {
        self.with_output(|output| match output.path.clone() {
            Some(path) => output.opened(&path).map(|_| ()),
            None => Ok(()),
        })
        .await
    }

    async fn send(&self, messages: &[Message]) -> Sent {
        let mut lines = Vec::with_capacity(messages.iter().map(|message| message.body.len() + 1).sum());
        for message in messages {
            // JSON has line breaks between its parts only, where a blank will do as well.
            lines.extend(message.body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            lines.push(b'\n');
        }
        match self.with_output(move |output| output.write(&lines)).await {
            Ok(()) => Sent::all(messages.len()),
            Err(error) => Sent::until(0, error),
        }
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }
}
