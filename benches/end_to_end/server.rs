//! The server under test as a process: start, wait until ready, watch its CPU and memory, kill.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::client::{AnswerBody, Connection, RequestBody};
use crate::options::Options;

/// Linux counts process times in `USER_HZ`, which is 100 on every architecture that we build for (proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// A million objects are to be ready in a second; what takes longer than this is not coming.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// A running server that dies with this value.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Where it serves S3.
    pub address: SocketAddr,
    /// From just before exec until the first 200 of `/_health/ready`, seen by asking every millisecond.
    pub ready_after: Duration,
}

impl Server {
    /// Starts the binary on `data` with its default settings and waits until it is ready.
    pub async fn start(options: &Options, data: &Path) -> Result<Self> {
        Self::start_with(options, data, &[]).await
    }

    /// As [`Server::start`], with further arguments.
    pub async fn start_with(options: &Options, data: &Path, arguments: &[&str]) -> Result<Self> {
        let binary = binary(options)?;
        let (address, operations) = (free_address()?, free_address()?);
        fs::create_dir_all(data)?;
        let log = data.with_extension("log");
        let started = Instant::now();
        let child = Command::new(&binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", &address.to_string(), "--ops-listen", &operations.to_string()])
            .args(arguments)
            .args(&options.server_arg)
            .env("CAIRN_ROOT_ACCESS_KEY_ID", &options.access_key)
            .env("CAIRN_ROOT_SECRET_ACCESS_KEY", &options.secret_key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::options().create(true).append(true).open(&log)?)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let mut server = Self { child, log, address, ready_after: Duration::ZERO };
        server.wait_until_ready(started).await?;
        server.ready_after = started.elapsed();
        Ok(server)
    }

    async fn wait_until_ready(&mut self, started: Instant) -> Result<()> {
        let head = b"GET /_health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n";
        while started.elapsed() < READY_WITHIN {
            if let Ok(mut connection) = Connection::open(self.address).await
                && let Ok(answer) = connection.exchange(head, RequestBody::Empty, AnswerBody::Count).await
                && answer.status == 200
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended with {status}:\n{}", self.log_tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("the server was not ready within {READY_WITHIN:?}:\n{}", self.log_tail()).into())
    }

    /// The process, to be watched.
    pub fn process(&self) -> Process {
        Process { id: self.child.id() }
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its data is the benchmark's own; an error means that it is gone already.
        let _ = self.kill();
    }
}

/// A process whose use of the machine is read from `/proc`.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    id: u32,
}

impl Process {
    /// The process with this id.
    pub fn new(id: u32) -> Self {
        Self { id }
    }

    /// This program.
    pub fn this() -> Self {
        Self { id: std::process::id() }
    }

    /// User and system time of all its threads so far, in steps of 10 ms.
    pub fn cpu(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id))?;
        // Fields are counted behind the command's name, which may hold blanks: utime is field 14, stime 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Highest resident memory in bytes since the last [`Process::forget_peak`].
    pub fn peak_memory(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|digits| digits.parse::<u64>().ok())
            .ok_or("no VmHWM in /proc/PID/status")?;
        Ok(kib * 1024)
    }

    /// Starts the peak anew, so that each cell has its own (`clear_refs` in proc(5)); kernels without it keep the old.
    pub fn forget_peak(self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.id), "5");
    }

    /// Waits until the process uses less than a tenth of a core, at most 5 s: deferred work of the last cell does not
    /// belong to the next.
    pub async fn settle(self) -> Result<()> {
        let step = Duration::from_millis(200);
        let started = Instant::now();
        let mut before = self.cpu()?;
        while started.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(step).await;
            let now = self.cpu()?;
            if now.saturating_sub(before) < step / 10 {
                break;
            }
            before = now;
        }
        Ok(())
    }
}

fn binary(options: &Options) -> Result<PathBuf> {
    options
        .binary
        .clone()
        .or_else(|| option_env!("CARGO_BIN_EXE_cairn").map(PathBuf::from))
        .ok_or_else(|| "no server binary: run by `cargo bench`, or name one with --binary or CAIRN_BINARY".into())
}

/// A loopback address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
