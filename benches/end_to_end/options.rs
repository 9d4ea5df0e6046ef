//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::Result;

/// Measures a real Cairn server end to end, beside the raw limits of the machine.
#[derive(Parser, Debug)]
#[command(
    name = "end_to_end",
    version,
    after_long_help = "\
EXAMPLES
  The whole matrix, about five minutes:
      cargo bench --bench end_to_end
  One question: small objects, many connections, five seconds each:
      cargo bench --bench end_to_end -- matrix --only put,get --sizes 4k --connections 64 --seconds 5
  A million objects: listing and start, kept for the next time:
      cargo bench --bench end_to_end -- listing start --loaded ~/cairn-million
  Ten million: a lifecycle pass, and what all the others cost (an hour the first time):
      cargo bench --bench end_to_end -- listing start lifecycle growth --objects 10000000 --loaded ~/cairn-ten-million
  What policies cost, by turns:
      cargo bench --bench end_to_end -- policies
  Only what disk and hashes can do:
      cargo bench --bench end_to_end -- limits
  A server that already runs (CPU and memory need its process id):
      cargo bench --bench end_to_end -- matrix --endpoint 127.0.0.1:9000 --pid 4711

The build in these commands needs `--ignore-rust-version`; `benches/README.md` has them in full.
Credentials: CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY, with defaults of the benchmark's own for the
servers that it starts itself. The exit status is 1 if any operation failed; a missed mark does not change it."
)]
pub struct Options {
    /// What to run, in this order whatever the order given; `matrix` if none is named
    #[arg(value_enum)]
    pub workloads: Vec<Workload>,

    /// Operations of the matrix
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Operation::ALL)]
    pub only: Vec<Operation>,

    /// Object sizes of the matrix: 4k, 64k, 1m, 16m or any other
    #[arg(long, value_delimiter = ',', default_value = "4k,64k,1m,16m")]
    pub sizes: Vec<Size>,

    /// Connections of the matrix
    #[arg(long, value_delimiter = ',', default_value = "1,8,64", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub connections: Vec<u16>,

    /// Seconds per cell (ceilings, disk and hashes take a third of it each)
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub seconds: f64,

    /// Objects of the `listing`, `start`, `lifecycle` and `growth` workloads
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub objects: u64,

    /// Delete markers of the `listing` workload
    #[arg(long, default_value_t = 100_000)]
    pub delete_markers: u64,

    /// How the payload of a PUT is signed
    #[arg(long, value_enum, default_value_t = PayloadSigning::Auto)]
    pub payload: PayloadSigning,

    /// Parent of the temporary data directories: put it on the disk that is to be measured
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep the objects of those workloads here, and use them again if they are here already
    #[arg(long, value_name = "DIR")]
    pub loaded: Option<PathBuf>,

    /// Measure this running server instead of starting one (`matrix` only)
    #[arg(long, value_name = "ADDR")]
    pub endpoint: Option<SocketAddr>,

    /// Process id of the server behind --endpoint
    #[arg(long, requires = "endpoint")]
    pub pid: Option<u32>,

    /// Further arguments of `cairn serve`, for instance `--server-arg=--config --server-arg=my.toml`
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub server_arg: Vec<String>,

    /// The server's binary, if not the one that cargo built
    #[arg(long, value_name = "FILE", env = "CAIRN_BINARY")]
    pub binary: Option<PathBuf>,

    /// Access key of the server
    #[arg(long, env = "CAIRN_ROOT_ACCESS_KEY_ID", default_value = "CAIRNBENCHMARK000001")]
    pub access_key: String,

    /// Secret key of the server
    #[arg(
        long,
        env = "CAIRN_ROOT_SECRET_ACCESS_KEY",
        default_value = "benchmark/secret/of/a/throw-away/server",
        hide_env_values = true
    )]
    pub secret_key: String,

    /// Region that requests are signed for
    #[arg(long, default_value = "us-east-1")]
    pub region: String,

    /// Threads of the client
    #[arg(long, default_value_t = 1, value_parser = threads)]
    pub client_threads: usize,

    /// Write all figures as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Internal: be the bare HTTP server of the ceilings
    #[arg(long, hide = true)]
    pub ceiling_server: bool,

    /// Internal: `cargo bench` passes it
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What one run can measure.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Disk and hashes alone
    Limits,
    /// PUT, GET, HEAD, LIST, DELETE by size and connections
    Matrix,
    /// Pages of 1 000 keys out of many, by delimiter, and behind delete markers
    Listing,
    /// Time from exec to ready after kill -9 under load
    Start,
    /// Passes of a lifecycle rule over many objects, alone and beside clients
    Lifecycle,
    /// PUT, GET and LIST with many objects beside the same with 100 000
    Growth,
    /// Small GETs of a user with many policies beside root's
    Policies,
    /// GET of 4 KiB from a bucket whose requests are logged beside one whose are not
    AccessLog,
    /// GET of 4 KiB pages of a website beside the same objects by S3
    Website,
    /// PUT and GET of 1 MiB by SSE-S3 and SSE-KMS beside the same in the clear
    Encryption,
}

impl Workload {
    /// Those that share a server with many objects.
    pub const OF_MANY: [Self; 4] = [Self::Listing, Self::Start, Self::Lifecycle, Self::Growth];
}

/// An S3 operation of the matrix.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `PutObject`, a new key each time
    Put,
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `ListObjectsV2`, 1 000 keys
    List,
    /// `DeleteObject`
    Delete,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Put, Self::Get, Self::Head, Self::List, Self::Delete];
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::List => "LIST",
            Self::Delete => "DELETE",
        })
    }
}

/// How a PUT's payload enters its signature.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadSigning {
    /// SHA-256 up to 64 KiB, UNSIGNED-PAYLOAD above
    Auto,
    /// SHA-256 always
    Signed,
    /// UNSIGNED-PAYLOAD always
    Unsigned,
}

/// A size in bytes that reads and prints with a binary unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let lower = lower.strip_suffix("ib").unwrap_or(&lower);
        let (digits, unit) = match lower.char_indices().last() {
            Some((at, 'k')) => (&lower[..at], 1 << 10),
            Some((at, 'm')) => (&lower[..at], 1 << 20),
            Some((at, 'g')) => (&lower[..at], 1 << 30),
            _ => (lower, 1),
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit))
            .filter(|bytes| (1..=5 << 30).contains(bytes))
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?} is no size from 1 byte to 5 GiB (a single PUT's limit), such as 4k or 16m")
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        let text = match bytes {
            0 => "-".to_owned(),
            _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
            _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
            _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
            _ => format!("{bytes} B"),
        };
        f.pad(&text)
    }
}

impl Options {
    /// Whether this run includes `workload`; `cargo bench` without arguments means the matrix.
    pub fn wants(&self, workload: Workload) -> bool {
        if self.workloads.is_empty() { workload == Workload::Matrix } else { self.workloads.contains(&workload) }
    }

    /// Time of one cell.
    pub fn cell_time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Time of one measurement of a raw limit.
    pub fn limit_seconds(&self) -> Duration {
        Duration::from_secs_f64(self.seconds / 3.0)
    }

    /// Where temporary data directories are made: `--data-dir`, else cargo's folder for such things, else the system's
    /// (which may be in memory: the report names the file system).
    pub fn data_parent(&self) -> Result<PathBuf> {
        let parent = self
            .data_dir
            .clone()
            .or_else(|| option_env!("CARGO_TARGET_TMPDIR").map(PathBuf::from))
            .unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&parent).map_err(|error| format!("cannot create {}: {error}", parent.display()))?;
        Ok(parent)
    }
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.1..=3600.0).contains(&value) => Ok(value),
        _ => Err("seconds are a number from 0.1 to 3600".to_owned()),
    }
}

fn threads(text: &str) -> std::result::Result<usize, String> {
    match text.parse::<usize>() {
        Ok(value) if (1..=256).contains(&value) => Ok(value),
        _ => Err("threads are a number from 1 to 256".to_owned()),
    }
}
