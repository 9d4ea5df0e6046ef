//! `cairn backup` and `cairn restore`: backups of the index, of a running and of a stopped server.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use storage::Store;
use storage::disk::backup_directory::Backup;

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};
use super::compose::store_options;
use super::doctor::{examine, stopped_store};
use crate::config::{Config, Environment, Layers, List, RawConfig};
use crate::object::backup_name;

/// The time between two questions whether a backup is there.
const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Take a backup of a running server's index now, into the directory that it is configured with
    #[command(after_long_help = CREDENTIALS)]
    Now(AskArgs),
    /// Show the backups that a running server keeps
    #[command(after_long_help = CREDENTIALS)]
    List(AskArgs),
    /// Take a backup of the index of a server that does not run
    Stopped(StoppedArgs),
}

#[derive(Debug, Args)]
pub(super) struct AskArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StoppedArgs {
    /// Data directories, in the order in which the server is given them [key: storage.data]
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE", env = "CAIRN_CONFIG")]
    config: Option<PathBuf>,
    /// The directory of backups
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How many backups are kept there
    #[arg(long, value_name = "NUMBER", default_value_t = 24)]
    keep: usize,
}

/// Put a backup of the index into a store that lost its index
///
/// For a server that does not run. Refuses if there is an index. Then looks through all segments for what moved since
/// the backup, and examines the store as cairn doctor does: every object of the backup that was not removed since reads
/// right; one that was reads right, or is named. What was written since the backup is not there. Exit code 0 if all of
/// the backup can be read, 1 if not.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup: a directory within that of the backups
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Data directories, in the order in which the server is given them [key: storage.data]
    #[arg(long, value_name = "DIR")]
    data: Vec<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE", env = "CAIRN_CONFIG")]
    config: Option<PathBuf>,
    /// Read every byte and compare it with its hash, rather than the beginning of every chunk
    #[arg(long)]
    read: bool,
    /// Name all objects, also those that are safe
    #[arg(long)]
    list_all: bool,
}

pub(super) fn run(command: BackupCommand) -> Result<(), Failure> {
    match command {
        BackupCommand::Now(args) => block_on(now(&args)),
        BackupCommand::List(args) => block_on(list(&args)),
        BackupCommand::Stopped(args) => stopped(args),
    }
}

async fn state(client: &Client) -> Result<Value, Failure> {
    client.admin("GetBackup", "GET", "backup", None).await?.json()
}

fn shown(backup: &Value) -> String {
    let text = |name: &str| backup.get(name).and_then(Value::as_str).unwrap_or("-");
    format!("{}  taken {}\n", text("name"), text("taken"))
}

fn backups(state: &Value) -> &[Value] {
    state.get("backups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

async fn now(args: &AskArgs) -> Result<(), Failure> {
    let client = Client::new(&args.server)?;
    let started = client.admin("StartBackup", "POST", "backup", None).await?.json()?;
    let wanted = started.get("tries").and_then(Value::as_u64).ok_or("the answer has no number")?;
    loop {
        let state = state(&client).await?;
        if state.get("tries").and_then(Value::as_u64).is_some_and(|tries| tries >= wanted) {
            if let Some(failure) = state.get("failure").and_then(Value::as_str) {
                return Err(failure.into());
            }
            let last = backups(&state).last().cloned().unwrap_or_default();
            print(&if args.json { format!("{last}\n") } else { shown(&last) });
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn list(args: &AskArgs) -> Result<(), Failure> {
    let state = state(&Client::new(&args.server)?).await?;
    if args.json {
        print(&format!("{state}\n"));
        return Ok(());
    }
    if state.get("directory").is_none_or(Value::is_null) {
        return Err("no directory for backups is configured: set backup.directory".into());
    }
    print(&backups(&state).iter().map(shown).collect::<String>());
    match state.get("failure").and_then(Value::as_str) {
        Some(failure) => Err(format!("the last one failed: {failure}").into()),
        None => Ok(()),
    }
}

fn stopped(args: StoppedArgs) -> Result<(), Failure> {
    if args.keep == 0 {
        return Err("--keep: at least 1".into());
    }
    let options = stopped_store(args.data, args.config.as_deref())?;
    block_on(async {
        let store = tokio::task::spawn_blocking(move || Store::open(options)).await??;
        let taken = store.back_up(&args.to, &backup_name(), args.keep).await;
        tokio::task::spawn_blocking(move || drop(store)).await?;
        let (backup, _) = taken?;
        print(&format!("{}\n", backup.path.display()));
        Ok(())
    })
}

pub(super) fn restore(args: RestoreArgs) -> Result<(), Failure> {
    let backup = Backup::open(&args.from)?;
    let mut flags = RawConfig::default();
    flags.storage.data = Some(List(args.data));
    let layers = Layers::gather(flags, &Environment::of_process()?, args.config.as_deref())?;
    let options = store_options(&Config::storage(&layers)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = tokio::task::spawn_blocking(move || Store::restore(options, &backup)).await??;
        let lost = store.forget_lost_chunks().await?;
        let repaired = store.rebuild_chunk_index().await?;
        print(&format!(
            "restored    the index; of its chunks {lost} were not where it says, {} were found elsewhere\n",
            repaired.chunks
        ));
        let outcome = examine(&store, args.read, args.list_all).await;
        // The engines close in order, on a thread that may wait.
        tokio::task::spawn_blocking(move || drop(store)).await?;
        outcome
    })
}
