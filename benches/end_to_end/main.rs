//! The end-to-end benchmark: the real `cairn` binary, driven over loopback HTTP, beside what the machine can do at most.
//!
//! # Method
//! * The binary runs as its own process with a data directory on a real disk and its default settings, durable as
//!   always. Nothing is linked in, nothing is mocked.
//! * The client ([`client`]) is a plain socket per connection with heads signed beforehand where a signature may be
//!   replayed (GET, HEAD, LIST), one reused buffer per connection and no allocation per request. It shares the cores with
//!   the server, so its CPU time is printed too.
//! * Every PUT has its own content ([`payload`]): a stamp in each 4 KiB block of incompressible noise, so that neither
//!   deduplication nor compression flatters. Every GET is checked: length, and the stamp of its first block.
//! * Payloads are signed as SDKs do it: SHA-256 up to 64 KiB, `UNSIGNED-PAYLOAD` above (over TLS the SDKs leave the
//!   payload unsigned and rely on a checksum; over plain HTTP some sign it: `--payload signed` shows that price).
//! * The raw limits are measured in the same run: the disk, the hashes on one core ([`limits`]), and for each PUT and
//!   GET cell a bare hyper server ([`ceiling`]) that gets the very same requests from the very same client right before.
//! * A cell ends after `--seconds`; operations that are under way are finished and counted, and the rate is operations
//!   by the time until the last of them ended.
//!
//! # Limits of the method
//! * Client and server share the machine: figures are lower than with a client on another host, and the ceiling too.
//! * GET is warm: the set is read once before, but is larger than the server's caches for big objects, which then come
//!   from the disk (or the page cache, where the store reads through it).
//! * Server CPU comes from `/proc/PID/stat` in steps of 10 ms; cells that use less than some 0.2 s of it are coarse. Work
//!   that the server defers (compaction, garbage) is waited for between cells, up to 5 s, and not counted.
//! * DELETE and HEAD hardly depend on size; with few large objects to delete a DELETE cell is short (see `ops`).
//! * Repeating windows of 256 KiB make objects above that size differ from each other only by their stamps: right for
//!   chunk hashes, wrong for a server that compresses over long windows.
//!
//! `cargo bench --bench end_to_end -- --help` lists workloads and options; `benches/README.md` has the commands.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people: counts stay far below 2^52"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]
#![allow(clippy::disallowed_methods, reason = "a load generator reads clocks and files and spawns tasks")]

mod access_log;
mod ceiling;
mod client;
mod encryption;
mod growth;
mod identities;
mod lifecycle;
mod limits;
mod load;
mod machine;
mod matrix;
mod options;
mod payload;
mod policies;
mod report;
mod scale;
mod server;
mod sides;
mod signing;
mod target;
mod website;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::options::{Options, Workload};
use crate::report::Report;

/// A failure is printed and ends the run; nobody branches on its kind.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.ceiling_server {
        return exit_code(ceiling::serve());
    }
    // `cargo bench` passes `--bench`; `cargo test --all-targets` passes nothing and must not start minutes of load.
    if options.workloads.is_empty() && !options.bench {
        return exit_code(Options::command().print_long_help().map_err(Into::into));
    }
    match client_runtime(options.client_threads).and_then(|runtime| runtime.block_on(run(&options))) {
        Ok(report) if report.errors() == 0 => ExitCode::SUCCESS,
        Ok(report) => {
            eprintln!("{} operations failed: the figures above are not to be trusted", report.errors());
            ExitCode::FAILURE
        }
        Err(error) => exit_code(Err(error)),
    }
}

async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::new(options);
    report.print_machine();
    if options.wants(Workload::Matrix) || options.wants(Workload::Limits) {
        report.set_limits(limits::measure(&options.data_parent()?, options.limit_seconds())?);
    }
    if options.wants(Workload::Matrix) {
        matrix::run(options, &mut report).await?;
    }
    if Workload::OF_MANY.iter().any(|workload| options.wants(*workload)) {
        scale::run(options, &mut report).await?;
    }
    if options.wants(Workload::Policies) {
        identities::run(options).await?;
    }
    if options.wants(Workload::AccessLog) {
        access_log::run(options, &mut report).await?;
    }
    if options.wants(Workload::Website) {
        website::run(options, &mut report).await?;
    }
    if options.wants(Workload::Encryption) {
        encryption::run(options, &mut report).await?;
    }
    report.print_marks();
    if let Some(path) = &options.json {
        report.write_json(path)?;
    }
    Ok(report)
}

/// One client thread by default: it stays ahead of the server and leaves it the other cores.
fn client_runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = if threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    Ok(builder.enable_all().build()?)
}

fn exit_code(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end_to_end: {error}");
            ExitCode::FAILURE
        }
    }
}
