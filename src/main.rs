//! The `cairn` binary. `cairn --help` explains it; `lib.rs` is the map of the code.

use clap::Parser;
use std::process::ExitCode;

/// RocksDB and the chunk buffers allocate and free at a high rate from many threads; jemalloc keeps the resident
/// size steady under that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Wrong usage ends here, with clap's message and exit code 2; `--help` and `--version` too, with 0.
    let cli = cairn::cli::Cli::parse();
    match cairn::cli::run(cli, cairn::cli::compose) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cairn: {error}");
            ExitCode::FAILURE
        }
    }
}
