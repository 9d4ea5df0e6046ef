//! The matrix: PUT, GET, HEAD, LIST and DELETE by size and connections, each PUT and GET beside its HTTP ceiling.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::ceiling::Ceiling;
use crate::load::{self, Keys, Numbered, Numbers, ReplayBody, Tally, Until, Work};
use crate::options::{Operation, Options, Size};
use crate::payload::Noise;
use crate::report::{Cell, Report};
use crate::server::{Process, Server};
use crate::signing::Request;
use crate::target::Target;

const BUCKET: &str = "cairn-bench";

/// Keys of a LIST page: the most that one may ask for.
const PAGE: usize = 1000;

/// Size of the objects that LIST walks over.
const LISTED: Size = Size(4096);

/// Connections that prepare objects.
const PREPARING: u16 = 32;

/// The longest that a preparation may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// Numbers of objects that were stored for one purpose and size.
#[derive(Clone, Copy, Debug)]
struct Stored {
    first: u64,
    count: u64,
}

struct Matrix<'a> {
    options: &'a Options,
    target: Target,
    ceiling: Target,
    noise: Noise,
    /// Object numbers are used once per run, whatever the size: content follows from the number.
    next: u64,
    read_sets: HashMap<u64, Stored>,
    /// What PUT cells left behind and DELETE cells remove.
    written: HashMap<u64, Vec<Stored>>,
}

/// Runs the matrix against a fresh server, or the one named by `--endpoint`.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
    let server = match options.endpoint {
        Some(_) => None,
        None => Some(Server::start(options, &directory.path().join("data")).await?),
    };
    let process = server.as_ref().map(Server::process).or(options.pid.map(Process::new));
    let address = server.as_ref().map(|server| server.address).or(options.endpoint).ok_or("no server to measure")?;
    let ceiling = Ceiling::start()?;
    let target = Target::new(options, address, process)?;
    target.create_bucket(BUCKET).await?;
    let mut matrix = Matrix {
        options,
        target,
        ceiling: Target::new(options, ceiling.address, None)?,
        noise: Noise::new(),
        next: 0,
        read_sets: HashMap::new(),
        written: HashMap::new(),
    };
    Report::print_matrix_head();
    for operation in [Operation::Put, Operation::Get, Operation::Head, Operation::List, Operation::Delete] {
        if options.only.contains(&operation) {
            let sizes: &[Size] = if operation == Operation::List { &[LISTED] } else { &options.sizes };
            for size in sizes {
                matrix.row(operation, *size, report).await?;
            }
        }
    }
    Ok(())
}

impl Matrix<'_> {
    async fn row(&mut self, operation: Operation, size: Size, report: &mut Report) -> Result<()> {
        match operation {
            Operation::Get | Operation::Head | Operation::List => self.prepare_reads(size).await?,
            Operation::Delete => self.prepare_deletes(size).await?,
            Operation::Put => {}
        }
        for connections in self.options.connections.clone() {
            let ceiling = self.measure_ceiling(operation, size, connections).await?;
            let work = Arc::new(self.work(operation, size).await?);
            let cell = self.cell(operation, size, connections, &work).await?;
            if let (Work::Numbered { numbers, .. }, Operation::Put) = (&*work, operation) {
                let written = Stored { first: self.next, count: numbers.reached() - self.next };
                self.next = numbers.reached();
                self.written.entry(size.0).or_default().push(written);
            }
            report.add_cell(Cell { ceiling, ..cell });
        }
        Ok(())
    }

    async fn cell(&self, operation: Operation, size: Size, connections: u16, work: &Arc<Work>) -> Result<Cell> {
        let process = self.target.process;
        if let Some(process) = process {
            process.settle().await?;
            process.forget_peak();
        }
        let client = Process::this();
        let (server_before, client_before) = (process.map(Process::cpu).transpose()?, client.cpu()?);
        let tally = self.load(&self.target, connections, work, self.options.cell_time()).await?;
        let server_cpu = match (process.map(Process::cpu).transpose()?, server_before) {
            (Some(after), Some(before)) => Some(after.saturating_sub(before)),
            _ => None,
        };
        Ok(Cell {
            operation,
            size,
            connections,
            server_cpu,
            client_cpu: client.cpu()?.saturating_sub(client_before),
            peak_memory: process.map(Process::peak_memory).transpose()?,
            ceiling: None,
            tally,
        })
    }

    /// The same requests at the bare server, for the operations whose bytes make a ceiling meaningful.
    async fn measure_ceiling(&self, operation: Operation, size: Size, connections: u16) -> Result<Option<f64>> {
        let work = match operation {
            Operation::Put => self.put(size),
            Operation::Get => {
                let stored = Stored { first: 0, count: 16 };
                let heads = self.heads("GET", &read_keys(size), stored)?;
                Work::Replay { heads, body: ReplayBody::Objects { size: size.0, stamps: None } }
            }
            Operation::Head | Operation::List | Operation::Delete => return Ok(None),
        };
        let tally = self.load(&self.ceiling, connections, &Arc::new(work), self.options.limit_seconds()).await?;
        Ok(Some(tally.whole("the ceiling")?.rate()))
    }

    async fn load(&self, target: &Target, connections: u16, work: &Arc<Work>, time: Duration) -> Result<Tally> {
        load::run(target, connections, work, &self.noise, Until::Time(time)).await
    }

    async fn work(&mut self, operation: Operation, size: Size) -> Result<Work> {
        let set = self.read_sets.get(&size.0).copied();
        match (operation, set) {
            (Operation::Put, _) => Ok(self.put(size)),
            (Operation::Get, Some(stored)) => Ok(Work::Replay {
                heads: self.heads("GET", &read_keys(size), stored)?,
                body: ReplayBody::Objects { size: size.0, stamps: Some((self.noise.clone(), stored.first)) },
            }),
            (Operation::Head, Some(stored)) => Ok(Work::Replay {
                heads: self.heads("HEAD", &read_keys(size), stored)?,
                body: ReplayBody::Lengths { size: size.0 },
            }),
            (Operation::List, Some(_)) => self.list().await,
            (Operation::Delete, _) => {
                // One range of numbers per cell: what the first cell leaves goes to the next.
                let stored = self.written.get_mut(&size.0).and_then(Vec::pop).ok_or("nothing left to delete")?;
                Ok(Work::Numbered {
                    method: Numbered::Delete,
                    keys: written_keys(size),
                    numbers: Numbers::new(stored.first, stored.first + stored.count),
                })
            }
            (Operation::Get | Operation::Head | Operation::List, None) => Err("no objects to read".into()),
        }
    }

    fn put(&self, size: Size) -> Work {
        Work::Numbered {
            method: Numbered::Put { size: size.0, signing: self.options.payload },
            keys: written_keys(size),
            numbers: Numbers::new(self.next, u64::MAX),
        }
    }

    async fn list(&self) -> Result<Work> {
        let prefix = format!("get-{}/", LISTED.0);
        let query = [("list-type", "2"), ("max-keys", "1000"), ("prefix", prefix.as_str())];
        self.target.check_page(BUCKET, &query, "<Contents>", PAGE).await?;
        let mut head = Vec::new();
        self.target.signer.clone().write_head(&mut head, &Request::empty("GET", &format!("/{BUCKET}"), &query))?;
        Ok(Work::Replay { heads: vec![head], body: ReplayBody::Pages })
    }

    fn heads(&self, method: &'static str, keys: &Keys, stored: Stored) -> Result<Vec<Vec<u8>>> {
        let mut signer = self.target.signer.clone();
        (stored.first..stored.first + stored.count)
            .map(|number| {
                let mut head = Vec::new();
                signer.write_head(&mut head, &Request::empty(method, &keys.path(number), &[]))?;
                Ok(head)
            })
            .collect()
    }

    /// Stores the objects that GET, HEAD and LIST read, once per size, and reads each once.
    async fn prepare_reads(&mut self, size: Size) -> Result<()> {
        if self.read_sets.contains_key(&size.0) {
            return Ok(());
        }
        // 256 MiB of them, but enough for two pages and not so few that each is always in flight.
        let count = ((256 << 20) / size.0).clamp(16, 2 * PAGE as u64);
        let stored = self.store(size, read_keys(size), count).await?;
        self.each(Numbered::Get, read_keys(size), stored).await?.whole("warming up")?;
        self.read_sets.insert(size.0, stored);
        Ok(())
    }

    /// Sees to it that there is one range of objects to delete for each cell of the row, the largest for the last.
    async fn prepare_deletes(&mut self, size: Size) -> Result<()> {
        let wanted = ((1 << 30) / size.0).clamp(64, 20_000);
        for _ in self.written.get(&size.0).map_or(0, Vec::len)..self.options.connections.len() {
            let stored = self.store(size, written_keys(size), wanted).await?;
            self.written.entry(size.0).or_default().push(stored);
        }
        // Cells take from the end.
        self.written.entry(size.0).or_default().sort_by_key(|stored| std::cmp::Reverse(stored.count));
        Ok(())
    }

    async fn store(&mut self, size: Size, keys: Keys, count: u64) -> Result<Stored> {
        let stored = Stored { first: self.next, count };
        self.next += count;
        let put = Numbered::Put { size: size.0, signing: self.options.payload };
        self.each(put, keys, stored).await?.whole("storing objects")?;
        Ok(stored)
    }

    async fn each(&self, method: Numbered, keys: Keys, stored: Stored) -> Result<Tally> {
        let numbers = Numbers::new(stored.first, stored.first + stored.count);
        let work = Arc::new(Work::Numbered { method, keys, numbers });
        load::run(&self.target, PREPARING, &work, &self.noise, Until::Exhausted(PATIENCE)).await
    }
}

fn read_keys(size: Size) -> Keys {
    // The ceiling server reads the size out of this path.
    Keys::Scattered(format!("/{BUCKET}/get-{}/", size.0))
}

fn written_keys(size: Size) -> Keys {
    Keys::Scattered(format!("/{BUCKET}/put-{}/", size.0))
}
