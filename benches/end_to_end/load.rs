//! Load: a number of connections that each send one request after the other, and what came of it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Answer, AnswerBody, Connection, RequestBody};
use crate::options::PayloadSigning;
use crate::payload::{Noise, Payload, xorshift};
use crate::signing::{Request, Signer};
use crate::target::Target;

/// A task that fails this often in a row stops: its server is gone or refuses everything.
const FAILURES_IN_A_ROW: u32 = 20;

/// What a cell may take beyond its time to finish what is under way.
const GRACE: Duration = Duration::from_mins(2);

/// How the keys of numbered objects look.
#[derive(Clone, Debug)]
pub enum Keys {
    /// 16 hexadecimal digits behind this path, in no order of time: the usual worst case of random names.
    Scattered(String),
    /// Behind this path, `groups` prefixes, filled in turn: `000012/0000004711`.
    Grouped { path: String, groups: u64 },
}

impl Keys {
    /// The path of object `number`.
    pub fn path(&self, number: u64) -> String {
        let mut path = String::new();
        self.write(number, &mut path);
        path
    }

    fn write(&self, number: u64, path: &mut String) {
        path.clear();
        // Writing into a String cannot fail.
        let _ = match self {
            // Multiplying by an odd number maps 64 bits to 64 bits one to one.
            Self::Scattered(prefix) => write!(path, "{prefix}{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            Self::Grouped { path: prefix, groups } => {
                write!(path, "{prefix}{:06}/{:010}", number % groups, number / groups)
            }
        };
    }
}

/// What the connections send.
pub enum Work {
    /// Heads signed beforehand, sent in random order again and again: GET, HEAD, LIST.
    Replay { heads: Vec<Vec<u8>>, body: ReplayBody },
    /// Each number once, signed as it goes.
    Numbered { method: Numbered, keys: Keys, numbers: Numbers },
}

/// What the answers to [`Work::Replay`] hold.
#[derive(Clone)]
pub enum ReplayBody {
    /// Objects of this size; checked against the stamps of the objects from this number on where they are known.
    Objects { size: u64, stamps: Option<(Noise, u64)> },
    /// No body, but the length of objects of this size.
    Lengths { size: u64 },
    /// Pages, checked beforehand.
    Pages,
}

/// The method of [`Work::Numbered`].
#[derive(Clone, Copy)]
pub enum Numbered {
    Put { size: u64, signing: PayloadSigning },
    Get,
    Delete,
}

/// Numbers handed out one by one to all connections.
#[derive(Debug)]
pub struct Numbers {
    next: AtomicU64,
    end: u64,
}

impl Numbers {
    /// From `start` up to `end`, which is not handed out.
    pub fn new(start: u64, end: u64) -> Self {
        Self { next: AtomicU64::new(start), end }
    }

    /// The first number that was not handed out.
    pub fn reached(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.end)
    }

    fn take(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.end).then_some(number)
    }
}

/// When the connections stop; [`Work::Numbered`] also stops when its numbers are used up.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Time(Duration),
    /// Within this time at most, which is an error.
    Exhausted(Duration),
}

/// Latencies with a resolution of 1/64 between 0.1 microseconds and some hours, in constant space.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    const STEPS: u64 = 64;
    const BUCKETS: usize = 32 * Self::STEPS as usize;

    /// An empty one.
    pub fn new() -> Self {
        Self { counts: vec![0; Self::BUCKETS] }
    }

    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let units = u64::try_from(latency.as_nanos() / 100).unwrap_or(u64::MAX);
        let shift = (units / Self::STEPS).checked_ilog2().unwrap_or(0);
        let bucket = u64::from(shift) * Self::STEPS + (units >> shift);
        self.counts[usize::try_from(bucket).map_or(Self::BUCKETS - 1, |bucket| bucket.min(Self::BUCKETS - 1))] += 1;
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency that the given part of all stays at or below, rounded down to the resolution; zero if there is none.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let bucket = bucket as u64;
                let shift = (bucket / Self::STEPS).saturating_sub(1);
                return Duration::from_nanos(((bucket - shift * Self::STEPS) << shift) * 100);
            }
        }
        Duration::ZERO
    }
}

/// What a load did.
#[derive(Clone, Debug)]
pub struct Tally {
    pub latencies: Histogram,
    /// Payload bytes of all successful operations.
    pub bytes: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Until the last operation ended.
    pub elapsed: Duration,
}

impl Tally {
    fn new() -> Self {
        Self { latencies: Histogram::new(), bytes: 0, errors: 0, first_error: None, elapsed: Duration::ZERO }
    }

    fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// Successful operations.
    pub fn operations(&self) -> u64 {
        self.latencies.count()
    }

    /// Successful operations per second.
    pub fn rate(&self) -> f64 {
        self.operations() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// An error if any operation failed: for preparations, which must be whole.
    pub fn whole(self, what: &str) -> Result<Self> {
        match &self.first_error {
            None => Ok(self),
            Some(error) => Err(format!("{what}: {} operations failed, the first with: {error}", self.errors).into()),
        }
    }
}

/// Runs `work` against `target` over `connections` connections.
pub async fn run(target: &Target, connections: u16, work: &Arc<Work>, noise: &Noise, until: Until) -> Result<Tally> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(
            Connection::open(target.address)
                .await
                .map_err(|error| format!("no connection to {}: {error}", target.address))?,
        );
    }
    let started = Instant::now();
    let (deadline, patience) = match until {
        Until::Time(time) => (Some(started + time), time + GRACE),
        Until::Exhausted(patience) => (None, patience),
    };
    let mut tasks = JoinSet::new();
    for (index, connection) in open.into_iter().enumerate() {
        let driver = Driver::new(connection, work.clone(), target.signer.clone(), noise, index as u64);
        tasks.spawn(driver.drive(deadline));
    }
    let mut tally = Tally::new();
    let join = async {
        while let Some(done) = tasks.join_next().await {
            tally.merge(done?);
        }
        Ok::<_, tokio::task::JoinError>(())
    };
    tokio::time::timeout(patience, join).await.map_err(|_| format!("a load was not finished after {patience:?}"))??;
    tally.elapsed = started.elapsed();
    Ok(tally)
}

/// One connection at work.
struct Driver {
    connection: Connection,
    work: Arc<Work>,
    signer: Signer,
    payload: Option<Payload>,
    random: u64,
    head: Vec<u8>,
    path: String,
}

impl Driver {
    fn new(connection: Connection, work: Arc<Work>, signer: Signer, noise: &Noise, index: u64) -> Self {
        let payload = match &*work {
            Work::Numbered { method: Numbered::Put { size, .. }, .. } => Some(noise.payload(*size)),
            _ => None,
        };
        let random = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { connection, work, signer, payload, random, head: Vec::new(), path: String::new() }
    }

    async fn drive(mut self, deadline: Option<Instant>) -> Tally {
        let mut tally = Tally::new();
        let mut failures = 0;
        while failures < FAILURES_IN_A_ROW && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            match self.step().await {
                Ok(None) => break,
                Ok(Some((latency, bytes))) => {
                    failures = 0;
                    tally.latencies.record(latency);
                    tally.bytes += bytes;
                }
                Err(error) => {
                    failures += 1;
                    tally.errors += 1;
                    tally.first_error.get_or_insert_with(|| error.to_string());
                }
            }
        }
        tally
    }

    /// One operation: its latency and payload bytes, or none if there is nothing left to do.
    async fn step(&mut self) -> Result<Option<(Duration, u64)>> {
        let work = self.work.clone();
        match &*work {
            Work::Replay { heads, body } => self.replay(heads, body).await.map(Some),
            Work::Numbered { method, keys, numbers } => match numbers.take() {
                Some(number) => self.numbered(*method, keys, number).await.map(Some),
                None => Ok(None),
            },
        }
    }

    async fn replay(&mut self, heads: &[Vec<u8>], body: &ReplayBody) -> Result<(Duration, u64)> {
        let index = xorshift(&mut self.random) % heads.len() as u64;
        let head = &heads[usize::try_from(index)?];
        let answer_body = if matches!(body, ReplayBody::Lengths { .. }) { AnswerBody::None } else { AnswerBody::Count };
        let began = Instant::now();
        let answer = self.connection.exchange(head, RequestBody::Empty, answer_body).await?;
        let latency = began.elapsed();
        expect_status(answer, 200)?;
        let bytes = match body {
            ReplayBody::Objects { size, stamps } => {
                expect_length(answer, *size)?;
                if let Some((noise, first)) = stamps
                    && *size >= answer.start.len() as u64
                    && noise.stamp(first + index) != answer.start
                {
                    return Err("GET answered the content of another object".into());
                }
                *size
            }
            ReplayBody::Lengths { size } => {
                expect_length(answer, *size)?;
                0
            }
            ReplayBody::Pages => answer.length,
        };
        Ok((latency, bytes))
    }

    async fn numbered(&mut self, method: Numbered, keys: &Keys, number: u64) -> Result<(Duration, u64)> {
        keys.write(number, &mut self.path);
        match (method, &mut self.payload) {
            (Numbered::Put { size, signing }, Some(payload)) => {
                payload.set_object(number);
                let signed = match signing {
                    PayloadSigning::Auto => size <= 64 << 10,
                    PayloadSigning::Signed => true,
                    PayloadSigning::Unsigned => false,
                };
                let sha256 = signed.then(|| payload.sha256());
                let request = Request {
                    method: "PUT",
                    path: &self.path,
                    query: &[],
                    sha256: sha256.as_deref(),
                    content_length: size,
                    extra: "",
                };
                self.signer.write_head(&mut self.head, &request)?;
                let began = Instant::now();
                let answer =
                    self.connection.exchange(&self.head, RequestBody::Payload(payload), AnswerBody::Count).await?;
                expect_status(answer, 200)?;
                Ok((began.elapsed(), size))
            }
            (method, _) => {
                let (name, status) = if matches!(method, Numbered::Delete) { ("DELETE", 204) } else { ("GET", 200) };
                self.signer.write_head(&mut self.head, &Request::empty(name, &self.path, &[]))?;
                let began = Instant::now();
                let answer = self.connection.exchange(&self.head, RequestBody::Empty, AnswerBody::Count).await?;
                expect_status(answer, status)?;
                Ok((began.elapsed(), answer.length))
            }
        }
    }
}

fn expect_status(answer: Answer, status: u16) -> Result<()> {
    if answer.status == status { Ok(()) } else { Err(format!("status {} instead of {status}", answer.status).into()) }
}

fn expect_length(answer: Answer, length: u64) -> Result<()> {
    if answer.length == length {
        Ok(())
    } else {
        Err(format!("{} bytes of body instead of {length}", answer.length).into())
    }
}
