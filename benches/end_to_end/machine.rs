//! Where the figures come from: processor, memory, kernel, file system, and how busy the machine was.

use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::options::Options;

/// The machine, as far as Linux tells.
pub struct Machine {
    pub cores: usize,
    processor: String,
    memory: String,
    kernel: String,
    /// Type and device of the file system under the data directory.
    file_system: String,
    /// Load averages at the start: figures of a busy machine are worth little.
    load: String,
}

impl Machine {
    /// Looks around; what cannot be read is left as "unknown".
    pub fn look(options: &Options) -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let word = |file: &str| fs::read_to_string(file).ok().map(|text| text.trim().to_owned());
        let unknown = || "unknown".to_owned();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            memory: field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown),
            kernel: word("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            file_system: options.data_parent().ok().and_then(|path| file_system(&path)).unwrap_or_else(unknown),
            load: word("/proc/loadavg").unwrap_or_else(unknown),
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "cores": self.cores,
            "processor": self.processor,
            "memory": self.memory,
            "kernel": self.kernel,
            "file_system": self.file_system,
            "load_averages": self.load,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Machine: {} cores of {}, {} of memory, Linux {}",
            self.cores, self.processor, self.memory, self.kernel
        )?;
        write!(f, "Data on: {}; load averages at the start: {}", self.file_system, self.load)
    }
}

/// The mount with the longest path above `path`.
fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
            path.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, text)| text)
}
