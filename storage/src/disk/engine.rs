//! Which engine reads: chosen when a directory is opened, by what the kernel allows.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Disk;
use super::blocking::BlockingDisk;
use super::uring::UringDisk;

/// What the operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// io_uring where the kernel allows it, else threads.
    #[default]
    Auto,
    /// io_uring, or nothing.
    Uring,
    /// Threads that wait for the disk.
    Blocking,
}

/// Opens a directory with the chosen engine, and says in the log which one it is.
///
/// # Errors
/// Those of the file system; with [`EngineChoice::Uring`] also the kernel's refusal of a ring.
pub fn open(path: &Path, choice: EngineChoice) -> io::Result<Arc<dyn Disk>> {
    let disk = BlockingDisk::open(path)?;
    let directory = path.display();
    if choice == EngineChoice::Blocking {
        tracing::info!(%directory, engine = "blocking", "the disk is read by threads, as configured");
        return Ok(Arc::new(disk));
    }
    match UringDisk::start(disk) {
        Ok(disk) => {
            tracing::info!(%directory, engine = "uring", "the disk is read through io_uring");
            Ok(Arc::new(disk))
        }
        Err((error, _)) if choice == EngineChoice::Uring => Err(io::Error::new(
            error.kind(),
            format!("no io_uring here ({error}): allow the system call, or set the IO engine to auto"),
        )),
        // Usual in containers: the default profiles of Docker and Kubernetes forbid it.
        Err((error, disk)) => {
            tracing::info!(%directory, engine = "blocking", %error, "the disk is read by threads: no io_uring here");
            Ok(Arc::new(disk))
        }
    }
}
