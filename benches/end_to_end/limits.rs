//! What the machine can do at most, without a server: the disk under the data directory, and the hashes on one core.
//!
//! The disk is measured as the store uses it: `O_DIRECT` over a file that was written once before, so that no file-system
//! metadata changes. Loopback HTTP, the third limit, is measured cell by cell (see `ceiling`).

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::Result;
use crate::load::Histogram;
use crate::payload::xorshift;

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
const O_DIRECT: i32 = 0o40_000;
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
const O_DIRECT: i32 = 0o200_000;

const MIB: usize = 1 << 20;
const SECTOR: usize = 4096;

/// Size of the file: large beside the drive's own cache, small beside the disk.
const FILE: usize = 512 * MIB;

/// How many threads write or read at once in the second sequential figure.
const THREADS: usize = 4;

/// The raw limits of one machine, at one time.
#[derive(Clone, Debug)]
pub struct Limits {
    pub disk: Disk,
    pub hashes: Vec<Hash>,
}

/// The disk's figures; rates in bytes per second, times in seconds.
#[derive(Clone, Debug)]
pub struct Disk {
    /// How the file was opened: `O_DIRECT`, or why not.
    pub mode: &'static str,
    /// 1 MiB writes over existing blocks, the best of one and four threads, one sync at the end.
    pub write: f64,
    /// 1 MiB reads, the best of one and four threads.
    pub read: f64,
    /// 4 KiB write + fdatasync over existing blocks, one at a time.
    pub syncs_per_second: f64,
    pub sync_p50: f64,
    pub sync_p99: f64,
}

/// One hash on one core over 1 MiB pieces.
#[derive(Clone, Debug)]
pub struct Hash {
    pub name: &'static str,
    /// Bytes per second.
    pub rate: f64,
}

impl Limits {
    /// Bytes per second of the hash called `name`.
    pub fn hash(&self, name: &str) -> Option<f64> {
        self.hashes.iter().find(|hash| hash.name == name).map(|hash| hash.rate)
    }
}

/// Measures disk and hashes, each figure for about `time`.
pub fn measure(directory: &Path, time: Duration) -> Result<Limits> {
    eprintln!("measuring disk and hashes ...");
    Ok(Limits { disk: disk(directory, time)?, hashes: hashes(time / 4) })
}

fn disk(directory: &Path, time: Duration) -> Result<Disk> {
    let file = tempfile::NamedTempFile::new_in(directory)?;
    let (direct, mode) = match OpenOptions::new().read(true).write(true).custom_flags(O_DIRECT).open(file.path()) {
        Ok(direct) => (direct, "O_DIRECT"),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => (file.reopen()?, "buffered: O_DIRECT refused"),
        Err(error) => return Err(error.into()),
    };
    let mut noise = 0x2545_F491_4F6C_DD1D;
    Aligned::new(MIB, &mut noise).over(FILE, |piece, at| direct.write_all_at(piece, at))?;
    direct.sync_data()?;

    let write = best(|threads| sequential(&direct, threads, time, Direction::Write))?;
    let read = best(|threads| sequential(&direct, threads, time, Direction::Read))?;
    let syncs = syncs(&direct, time)?;
    Ok(Disk {
        mode,
        write,
        read,
        syncs_per_second: syncs.count() as f64 / time.as_secs_f64(),
        sync_p50: syncs.quantile(0.5).as_secs_f64(),
        sync_p99: syncs.quantile(0.99).as_secs_f64(),
    })
}

fn best(mut measure: impl FnMut(usize) -> io::Result<f64>) -> io::Result<f64> {
    Ok(measure(1)?.max(measure(THREADS)?))
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// Bytes per second of `threads` threads that each walk their own part of the file again and again in steps of 1 MiB.
fn sequential(file: &File, threads: usize, time: Duration, direction: Direction) -> io::Result<f64> {
    let part = FILE / threads;
    let started = Instant::now();
    let walk = |thread: usize| -> io::Result<u64> {
        let mut buffer = Aligned::new(MIB, &mut (thread as u64 + 1));
        let mut moved = 0;
        while started.elapsed() < time {
            let at = (thread * part) as u64 + moved % part as u64;
            match direction {
                Direction::Write => file.write_all_at(buffer.bytes(), at)?,
                Direction::Read => file.read_exact_at(buffer.bytes_mut(), at)?,
            }
            moved += MIB as u64;
        }
        Ok(moved)
    };
    let moved = std::thread::scope(|scope| -> io::Result<u64> {
        let walkers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || walk(thread))).collect();
        walkers
            .into_iter()
            .map(|walker| walker.join().unwrap_or_else(|_| Err(io::Error::other("a disk thread died"))))
            .sum()
    })?;
    if matches!(direction, Direction::Write) {
        file.sync_data()?;
    }
    Ok(moved as f64 / started.elapsed().as_secs_f64())
}

fn syncs(file: &File, time: Duration) -> io::Result<Histogram> {
    let mut random = 0x9E37_79B9_7F4A_7C15;
    let buffer = Aligned::new(SECTOR, &mut random);
    let mut latencies = Histogram::new();
    let started = Instant::now();
    while started.elapsed() < time {
        let at = xorshift(&mut random) % (FILE / SECTOR) as u64 * SECTOR as u64;
        let began = Instant::now();
        file.write_all_at(buffer.bytes(), at)?;
        file.sync_data()?;
        latencies.record(began.elapsed());
    }
    Ok(latencies)
}

/// Noise whose memory starts at a sector's boundary, as `O_DIRECT` asks (open(2)).
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize, random: &mut u64) -> Self {
        let mut memory = vec![0; length + SECTOR];
        let start = memory.as_ptr().align_offset(SECTOR);
        for word in memory.chunks_exact_mut(8) {
            word.copy_from_slice(&xorshift(random).to_le_bytes());
        }
        Self { memory, start, length }
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }

    /// Calls `write` for each piece of a file of `size` bytes.
    fn over(&self, size: usize, mut write: impl FnMut(&[u8], u64) -> io::Result<()>) -> io::Result<()> {
        (0..size).step_by(self.length).try_for_each(|at| write(self.bytes(), at as u64))
    }
}

fn hashes(time: Duration) -> Vec<Hash> {
    let buffer = Aligned::new(MIB, &mut 7);
    let data = buffer.bytes();
    // The median piece, so that other work on the machine hardly lowers the limit.
    let rate = |name, hash: &dyn Fn(&[u8])| {
        let mut times = Histogram::new();
        let started = Instant::now();
        while started.elapsed() < time {
            let began = Instant::now();
            hash(black_box(data));
            times.record(began.elapsed());
        }
        Hash { name, rate: data.len() as f64 / times.quantile(0.5).as_secs_f64() }
    };
    vec![
        rate("MD5", &|data| {
            black_box(Md5::digest(data));
        }),
        rate("SHA-256", &|data| {
            black_box(Sha256::digest(data));
        }),
        rate("BLAKE3", &|data| {
            black_box(blake3::hash(data));
        }),
        rate("CRC32C", &|data| {
            black_box(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, data));
        }),
    ]
}
