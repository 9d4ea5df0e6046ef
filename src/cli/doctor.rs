//! `cairn doctor`: what of a stopped server's store can be read, object by object, and how to put right what can be.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use storage::doctor::{Depth, Examined, Summary, Which};
use storage::kv::Family;
use storage::store::StoreOptions;
use storage::{Store, StoreError};

use super::Failure;
use super::compose::store_options;
use crate::config::{Config, Environment, Layers, List, RawConfig};

/// Objects that are named without --list-all.
const MOST_LISTED: u64 = 10_000;

/// Examine the store of a server that does not run
///
/// Looks at every chunk, then walks from every version and every part of an upload to its bytes, and names those that
/// cannot be read wholly, with the ranges that are lost. Everything else is safe. Exit code 0 if all is, 1 if not.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Data directories, in the order in which the server is given them [key: storage.data]
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE", env = "CAIRN_CONFIG")]
    config: Option<PathBuf>,
    /// Read every byte and compare it with its hash, rather than the beginning of every chunk
    #[arg(long)]
    read: bool,
    /// Write anew what the index says about chunks, from the segment files, before the examination
    #[arg(long)]
    rebuild_chunk_index: bool,
    /// Name all objects, also those that are safe
    #[arg(long)]
    list_all: bool,
}

/// A bucket's objects and parts.
#[derive(Default)]
struct Tally {
    safe: u64,
    safe_bytes: u64,
    hit: u64,
    lost_bytes: u64,
}

pub(super) fn run(args: DoctorArgs) -> Result<(), Failure> {
    let options = stopped_store(args.data, args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let repair = args.rebuild_chunk_index;
        let store = tokio::task::spawn_blocking(move || open(options, repair)).await??;
        if repair {
            let repaired = store.rebuild_chunk_index().await?;
            say(&format!(
                "repaired    {} chunks' rows and {} segments' counters, from {} segments",
                repaired.chunks, repaired.counters, repaired.segments
            ))?;
        }
        let outcome = examine(&store, args.read, args.list_all).await;
        // The engines close in order, on a thread that may wait.
        tokio::task::spawn_blocking(move || drop(store)).await?;
        outcome
    })
}

/// The options of a stopped server's store, which must be there.
pub(super) fn stopped_store(data: Vec<String>, config: Option<&Path>) -> Result<StoreOptions, Failure> {
    let mut flags = RawConfig::default();
    flags.storage.data = Some(List(data));
    let layers = Layers::gather(flags, &Environment::of_process()?, config)?;
    let options = store_options(&Config::storage(&layers)?)?;
    for directory in &options.data {
        if !directory.join("cairn-format").is_file() {
            return Err(format!("{} is no data directory of cairn: nothing was changed", directory.display()).into());
        }
    }
    Ok(options)
}

/// Opens the store; for a repair also one whose chunk index lost files.
fn open(options: StoreOptions, repair: bool) -> Result<Arc<Store>, Failure> {
    if repair {
        let damage = Store::index_damage(&options)?;
        for (family, what) in &damage {
            say(&format!("index       {} lost: {what}", family.name()))?;
        }
        if !damage.is_empty() && damage.iter().all(|(family, _)| *family == Family::Chunks) {
            Store::give_up_chunk_index(&options)?;
        }
        return Ok(Store::open_to_repair(options)?);
    }
    Store::open(options.clone()).map_err(|error| explained(&options, error))
}

/// Why the store does not open, and what of its index is lost.
fn explained(options: &StoreOptions, error: StoreError) -> Failure {
    let Ok(damage) = Store::index_damage(options) else { return error.into() };
    let lost: Vec<String> = damage.iter().map(|(family, what)| format!("{} lost {what}", family.name())).collect();
    let advice = if damage.is_empty() {
        return error.into();
    } else if damage.iter().all(|(family, _)| *family == Family::Chunks) {
        "only what the index says about chunks is hit: --rebuild-chunk-index writes it anew from the segments, and names what is lost"
    } else {
        "this cannot be derived: put the files back, or restore a backup of the index with cairn restore"
    };
    format!("{error}\n{}\n{advice}", lost.join("\n")).into()
}

pub(super) async fn examine(store: &Arc<Store>, read: bool, list_all: bool) -> Result<(), Failure> {
    let depth = if read { Depth::Everything } else { Depth::Frames };
    let (mut tallies, mut listed, mut unlisted) = (BTreeMap::<String, Tally>::new(), 0, 0);
    let mut failed = None;
    let mut visit = |examined: Examined| {
        let tally = tallies.entry(examined.bucket.clone()).or_default();
        let lost = examined.damage.as_ref().map_or(0, |damage| damage.bytes);
        tally.lost_bytes += lost;
        tally.safe_bytes += examined.size.saturating_sub(lost);
        *(if examined.damage.is_some() { &mut tally.hit } else { &mut tally.safe }) += 1;
        if examined.damage.is_none() && !list_all {
            return;
        }
        if listed == MOST_LISTED && !list_all {
            unlisted += 1;
            return;
        }
        listed += 1;
        failed = failed.take().or_else(|| say(&line(&examined)).err());
    };
    let summary = store.examine(depth, &mut visit).await?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if unlisted > 0 {
        say(&format!("and {unlisted} more: name them with --list-all"))?;
    }
    report(&summary, &tallies, depth)
}

fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// One version or part: "HIT  bucket/key version 0123…  bytes 0-4095 of 9000: why".
fn line(examined: &Examined) -> String {
    let Examined { bucket, key, what, size, damage } = examined;
    let which = match what {
        Which::Current(id) => format!("version {id} (current)"),
        Which::Noncurrent(id) => format!("version {id}"),
        Which::Part(upload, number) => format!("part {number} of upload {upload}"),
    };
    // Keys may hold anything; what is not printable must not look like another line.
    let name = format!("{bucket}/{}", key.escape_debug());
    match damage {
        None => format!("safe  {name}  {which}  {size} bytes"),
        Some(damage) => {
            let shown: Vec<_> = damage.ranges.iter().map(range).collect();
            let rest = if damage.ranges.iter().map(|range| range.end - range.start).sum::<u64>() < damage.bytes {
                " and more"
            } else {
                ""
            };
            let (shown, why) = (shown.join(", "), &damage.why);
            format!("HIT   {name}  {which}  bytes {shown}{rest} of {size}: {why}")
        }
    }
}

fn range(range: &Range<u64>) -> String {
    format!("{}-{}", range.start, range.end.saturating_sub(1))
}

fn report(summary: &Summary, tallies: &BTreeMap<String, Tally>, depth: Depth) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for (bucket, tally) in tallies {
        writeln!(
            out,
            "bucket      {bucket}: {} safe, {} hit; {} bytes safe, {} lost",
            tally.safe, tally.hit, tally.safe_bytes, tally.lost_bytes
        )?;
    }
    let looked = if depth == Depth::Everything { "read wholly" } else { "looked at; --read reads them wholly" };
    writeln!(
        out,
        "chunks      {} of {} bytes, {} unreadable ({looked})",
        summary.chunks, summary.chunk_bytes, summary.unreadable_chunks
    )?;
    for (drive, segment, chunks) in &summary.lost_segments {
        writeln!(out, "segment     {segment} of drive {drive} is missing, with {chunks} chunks")?;
    }
    let hit: u64 = tallies.values().map(|tally| tally.hit).sum();
    let mut advice = Vec::new();
    if hit > 0 {
        advice.push(format!("{hit} objects or parts are hit; everything else is safe"));
        advice.push(
            "if segment files are missing and you have them, put them back and run --rebuild-chunk-index before a \
             server starts, which would use them anew"
                .to_owned(),
        );
        advice.push("if the index lost rows, --rebuild-chunk-index writes them anew".to_owned());
    }
    if summary.wrong_counters > 0 {
        advice.push(format!("{} segments are counted wrongly: --rebuild-chunk-index", summary.wrong_counters));
    }
    if summary.unprotected > 0 {
        advice.push(format!("{} objects lack a reference: copy them onto themselves", summary.unprotected));
    }
    if advice.is_empty() {
        writeln!(out, "healthy: everything can be read")?;
        return Ok(());
    }
    Err(advice.join("; ").into())
}
