//! Figures for people (tables on standard output) and for programs (`--json`), with the marks that they are held against.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::limits::Limits;
use crate::load::Tally;
use crate::machine::Machine;
use crate::options::{Operation, Options, Size};
use crate::scale::{Listing, Starts};

const GIB: f64 = (1u64 << 30) as f64;
const MIB: f64 = (1u64 << 20) as f64;

/// Durable PUTs of 4 KiB per second over 64 connections.
const MARK_PUT_4K: f64 = 6_000.0;
/// Warm GETs of 4 KiB per second over 64 connections.
const MARK_GET_4K: f64 = 12_000.0;
/// GET of 1 MiB, as a part of the HTTP ceiling.
const MARK_GET_1M: f64 = 0.60;
/// The server's peak memory in the matrix.
const MARK_MEMORY: f64 = 512.0 * MIB;
/// Start until ready.
const MARK_START: Duration = Duration::from_secs(1);
/// Median of a page of 1 000 keys.
const MARK_PAGE: Duration = Duration::from_millis(15);
/// "The same order": a delimiter page by a plain page.
const MARK_DELIMITER: f64 = 10.0;
/// "Change nothing": a page behind delete markers by the page before there were any; the rest is noise.
const MARK_MARKERS: f64 = 1.5;

/// One cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    pub operation: Operation,
    pub size: Size,
    pub connections: u16,
    pub tally: Tally,
    pub server_cpu: Option<Duration>,
    pub client_cpu: Duration,
    /// Bytes.
    pub peak_memory: Option<u64>,
    /// Operations per second of the bare server under the same load.
    pub ceiling: Option<f64>,
}

impl Cell {
    fn is(&self, operation: Operation, size: u64) -> bool {
        self.operation == operation && self.size.0 == size
    }

    fn bytes_per_second(&self) -> f64 {
        self.tally.bytes as f64 / self.tally.elapsed.as_secs_f64().max(1e-9)
    }

    fn of_ceiling(&self) -> Option<f64> {
        self.ceiling.map(|ceiling| self.tally.rate() / ceiling)
    }

    fn server_cpu_per_gib(&self) -> Option<f64> {
        let moves_data = matches!(self.operation, Operation::Put | Operation::Get) && self.tally.bytes > 0;
        self.server_cpu.filter(|_| moves_data).map(|cpu| cpu.as_secs_f64() / (self.tally.bytes as f64 / GIB))
    }

    fn micros_per_operation(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / (self.tally.operations() as f64).max(1.0)
    }

    /// The lowest raw limit for this cell in bytes per second, and its name.
    fn physical(&self, limits: &Limits, cores: usize) -> Option<(&'static str, f64)> {
        if self.operation != Operation::Put {
            return None;
        }
        let parallel = usize::from(self.connections).min(cores) as f64;
        let mut candidates = vec![("disk write", limits.disk.write)];
        candidates.extend(limits.hash("MD5").map(|rate| ("MD5 x cores", rate * parallel)));
        candidates.extend(self.ceiling.map(|rate| ("HTTP", rate * self.size.0 as f64)));
        if self.connections == 1 {
            candidates.push(("one sync each", limits.disk.syncs_per_second * self.size.0 as f64));
        }
        candidates.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// One claim and whether the run supports it.
#[derive(Clone, Debug)]
struct Mark {
    claim: String,
    measured: String,
    holds: bool,
}

impl Mark {
    fn verdict(&self) -> &'static str {
        if self.holds { "held" } else { "MISSED" }
    }
}

/// All that a run found.
pub struct Report {
    machine: Machine,
    settings: Value,
    limits: Option<Limits>,
    cells: Vec<Cell>,
    listing: Option<Listing>,
    starts: Option<Starts>,
    /// Failed operations of what has no cell.
    other_errors: u64,
}

impl Report {
    /// An empty report on this machine.
    pub fn new(options: &Options) -> Self {
        Self {
            machine: Machine::look(options),
            settings: json!({
                "seconds": options.seconds,
                "payload": format!("{:?}", options.payload),
                "client_threads": options.client_threads,
                "objects": options.objects,
                "server_arguments": options.server_arg,
            }),
            limits: None,
            cells: Vec::new(),
            listing: None,
            starts: None,
            other_errors: 0,
        }
    }

    /// Failed operations of all cells.
    pub fn errors(&self) -> u64 {
        self.other_errors + self.cells.iter().map(|cell| cell.tally.errors).sum::<u64>()
    }

    /// Counts failed operations of what has no cell.
    pub fn add_errors(&mut self, errors: u64) {
        self.other_errors += errors;
    }

    /// Prints where this runs.
    pub fn print_machine(&self) {
        println!("{}", self.machine);
    }

    /// Prints and keeps the raw limits.
    pub fn set_limits(&mut self, limits: Limits) {
        let disk = &limits.disk;
        println!("\nRaw limits");
        println!("  disk ({}): write {} GB/s, read {} GB/s of 1 MiB", disk.mode, gb(disk.write), gb(disk.read));
        println!(
            "  disk: 4 KiB write + fdatasync {:.0}/s, p50 {:.3} ms, p99 {:.3} ms",
            disk.syncs_per_second,
            disk.sync_p50 * 1e3,
            disk.sync_p99 * 1e3
        );
        let hashes: Vec<String> = limits.hashes.iter().map(|hash| format!("{} {}", hash.name, gb(hash.rate))).collect();
        println!("  one core, GB/s: {}", hashes.join(", "));
        self.limits = Some(limits);
    }

    /// Prints the matrix's head.
    pub fn print_matrix_head() {
        println!(
            "\nMatrix (srv, cli: CPU of server and client; ceiling: the same load on a bare HTTP server; GB = 10^9 bytes)\n\
             {:<6} {:>8} {:>5} {:>9} {:>9} {:>7} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}  {:<22} mark",
            "op",
            "size",
            "conns",
            "ops",
            "ops/s",
            "GB/s",
            "p50 ms",
            "p99 ms",
            "srv s/GiB",
            "srv us",
            "cli us",
            "peak MiB",
            "ceiling",
            "of the lowest limit"
        );
    }

    /// Prints and keeps one cell.
    pub fn add_cell(&mut self, cell: Cell) {
        let limit = self
            .limits
            .as_ref()
            .and_then(|limits| cell.physical(limits, self.machine.cores))
            .map_or_else(String::new, |(name, rate)| format!("{} {name}", percent(cell.bytes_per_second() / rate)));
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let marks: Vec<String> =
            cell_marks(&cell).iter().map(|mark| format!("{} {}", mark.claim, mark.verdict())).collect();
        println!(
            "{:<6} {:>8} {:>5} {:>9} {:>9.0} {:>7} {:>9.2} {:>9.2} {:>9} {:>8} {:>8.0} {:>8} {:>8}  {:<22} {}",
            cell.operation,
            cell.size,
            cell.connections,
            cell.tally.operations(),
            cell.tally.rate(),
            gb(cell.bytes_per_second()),
            milliseconds(cell.tally.latencies.quantile(0.5)),
            milliseconds(cell.tally.latencies.quantile(0.99)),
            or_dash(cell.server_cpu_per_gib().map(|seconds| format!("{seconds:.2}"))),
            or_dash(cell.server_cpu.map(|cpu| format!("{:.0}", cell.micros_per_operation(cpu)))),
            cell.micros_per_operation(cell.client_cpu),
            or_dash(cell.peak_memory.map(|bytes| format!("{:.0}", bytes as f64 / MIB))),
            or_dash(cell.of_ceiling().map(percent)),
            limit,
            marks.join(", ")
        );
        if let Some(error) = &cell.tally.first_error {
            println!("       {} operations FAILED, the first with: {error}", cell.tally.errors);
        }
        self.cells.push(cell);
    }

    /// Prints and keeps the listing workload's figures.
    pub fn set_listing(&mut self, listing: Listing) {
        println!("\nListing, {} objects, one connection", listing.objects);
        for page in &listing.pages {
            println!(
                "  {:<54} {:>6} pages  p50 {:>8.2} ms  p99 {:>8.2} ms",
                page.name,
                page.latencies.count(),
                milliseconds(page.latencies.quantile(0.5)),
                milliseconds(page.latencies.quantile(0.99))
            );
        }
        self.listing = Some(listing);
    }

    /// Prints and keeps the start workload's figures.
    pub fn set_starts(&mut self, starts: Starts) {
        let times: Vec<String> = starts.ready_after.iter().map(|time| format!("{:.0}", milliseconds(*time))).collect();
        println!("\nStart with {} objects, after kill -9 under load", starts.objects);
        println!("  exec to ready: {} ms; memory then {:.0} MiB", times.join(", "), starts.memory as f64 / MIB);
        self.starts = Some(starts);
    }

    /// Prints each mark that this run can judge.
    pub fn print_marks(&self) {
        let marks = self.marks();
        if marks.is_empty() {
            return;
        }
        println!("\nMarks");
        for mark in marks {
            println!("  {:<6} {:<58} measured {}", mark.verdict(), mark.claim, mark.measured);
        }
    }

    fn marks(&self) -> Vec<Mark> {
        let named = |cell: &Cell, mark: Mark| Mark {
            claim: format!("{} {}, {} connections: {}", cell.operation, cell.size, cell.connections, mark.claim),
            ..mark
        };
        let mut marks: Vec<Mark> = self
            .cells
            .iter()
            .flat_map(|cell| cell_marks(cell).into_iter().map(move |mark| named(cell, mark)))
            .collect();
        if let Some(peak) = self.cells.iter().filter_map(|cell| cell.peak_memory).max() {
            marks.push(Mark {
                claim: format!("peak memory in the matrix <= {:.0} MiB", MARK_MEMORY / MIB),
                measured: format!("{:.0} MiB", peak as f64 / MIB),
                holds: peak as f64 <= MARK_MEMORY,
            });
        }
        marks.extend(self.listing.iter().flat_map(listing_marks));
        if let Some(starts) = &self.starts {
            let worst = starts.ready_after.iter().copied().max().unwrap_or_default();
            marks.push(Mark {
                claim: format!("start with {} objects <= {MARK_START:?}", starts.objects),
                measured: format!("{:.0} ms at worst", milliseconds(worst)),
                holds: worst <= MARK_START,
            });
        }
        marks
    }

    /// Writes all figures to `path`.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let value = json!({
            "machine": self.machine.json(),
            "settings": self.settings,
            "limits": self.limits.as_ref().map(limits_json),
            "matrix": self.cells.iter().map(|cell| self.cell_json(cell)).collect::<Vec<_>>(),
            "listing": self.listing.as_ref().map(|listing| json!({
                "objects": listing.objects,
                "pages": listing.pages.iter().map(|page| json!({
                    "name": page.name,
                    "count": page.latencies.count(),
                    "p50_ms": milliseconds(page.latencies.quantile(0.5)),
                    "p99_ms": milliseconds(page.latencies.quantile(0.99)),
                })).collect::<Vec<_>>(),
            })),
            "start": self.starts.as_ref().map(|starts| json!({
                "objects": starts.objects,
                "ready_after_ms": starts.ready_after.iter().copied().map(milliseconds).collect::<Vec<_>>(),
                "memory_bytes": starts.memory,
            })),
            "marks": self.marks().iter().map(|mark| json!({
                "claim": mark.claim, "measured": mark.measured, "holds": mark.holds,
            })).collect::<Vec<_>>(),
        });
        std::fs::write(path, serde_json::to_vec_pretty(&value)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
    }

    fn cell_json(&self, cell: &Cell) -> Value {
        let limit = self.limits.as_ref().and_then(|limits| cell.physical(limits, self.machine.cores));
        json!({
            "operation": cell.operation.to_string(),
            "size": cell.size.0,
            "connections": cell.connections,
            "operations": cell.tally.operations(),
            "errors": cell.tally.errors,
            "first_error": cell.tally.first_error,
            "seconds": cell.tally.elapsed.as_secs_f64(),
            "operations_per_second": cell.tally.rate(),
            "bytes_per_second": cell.bytes_per_second(),
            "p50_ms": milliseconds(cell.tally.latencies.quantile(0.5)),
            "p99_ms": milliseconds(cell.tally.latencies.quantile(0.99)),
            "server_cpu_seconds": cell.server_cpu.map(|cpu| cpu.as_secs_f64()),
            "server_cpu_seconds_per_gib": cell.server_cpu_per_gib(),
            "client_cpu_seconds": cell.client_cpu.as_secs_f64(),
            "peak_memory_bytes": cell.peak_memory,
            "ceiling_operations_per_second": cell.ceiling,
            "lowest_limit": limit.map(|(name, rate)| json!({ "name": name, "bytes_per_second": rate })),
        })
    }
}

fn cell_marks(cell: &Cell) -> Vec<Mark> {
    let rate = |least: f64| Mark {
        claim: format!(">= {least:.0}/s"),
        measured: format!("{:.0}/s", cell.tally.rate()),
        holds: cell.tally.rate() >= least,
    };
    let mut marks = Vec::new();
    if cell.connections == 64 && cell.is(Operation::Put, 4 << 10) {
        marks.push(rate(MARK_PUT_4K));
    }
    if cell.connections == 64 && cell.is(Operation::Get, 4 << 10) {
        marks.push(rate(MARK_GET_4K));
    }
    if let Some(part) = cell.of_ceiling().filter(|_| cell.is(Operation::Get, 1 << 20)) {
        marks.push(Mark {
            claim: format!(">= {} of the ceiling", percent(MARK_GET_1M)),
            measured: percent(part),
            holds: part >= MARK_GET_1M,
        });
    }
    marks
}

fn listing_marks(listing: &Listing) -> Vec<Mark> {
    let median = |index: usize| listing.pages.get(index).map(|page| page.latencies.quantile(0.5));
    let mut marks = Vec::new();
    let plain = median(Listing::PLAIN).unwrap_or_default();
    marks.push(Mark {
        claim: format!("1 000 keys of {} <= {MARK_PAGE:?} at the median", listing.objects),
        measured: format!("{:.2} ms", milliseconds(plain)),
        holds: plain <= MARK_PAGE,
    });
    let mut ratio = |claim: String, of: Option<Duration>, to: Option<Duration>, most: f64| {
        if let (Some(of), Some(to)) = (of, to) {
            let ratio = of.as_secs_f64() / to.as_secs_f64().max(1e-9);
            marks.push(Mark {
                claim: format!("{claim} <= {most} x"),
                measured: format!("{ratio:.2} x"),
                holds: ratio <= most,
            });
        }
    };
    ratio("a delimiter page by a plain page".to_owned(), median(Listing::DELIMITER), Some(plain), MARK_DELIMITER);
    ratio(
        "a page behind delete markers by one without".to_owned(),
        median(Listing::BEHIND_MARKERS),
        median(Listing::BEFORE_MARKERS),
        MARK_MARKERS,
    );
    marks
}

fn limits_json(limits: &Limits) -> Value {
    json!({
        "disk_mode": limits.disk.mode,
        "disk_write_bytes_per_second": limits.disk.write,
        "disk_read_bytes_per_second": limits.disk.read,
        "disk_syncs_per_second": limits.disk.syncs_per_second,
        "disk_sync_p50_ms": limits.disk.sync_p50 * 1e3,
        "disk_sync_p99_ms": limits.disk.sync_p99 * 1e3,
        "hashes_bytes_per_second": limits.hashes.iter().map(|hash| (hash.name.to_owned(), json!(hash.rate))).collect::<serde_json::Map<_, _>>(),
    })
}

fn gb(bytes_per_second: f64) -> String {
    format!("{:.3}", bytes_per_second / 1e9)
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
