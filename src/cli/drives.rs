//! `cairn drives`: how a running server's drives are.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};

#[derive(Debug, Subcommand)]
pub(super) enum DrivesCommand {
    /// Show every drive: exit code 1 if one is fenced, and takes no new data
    #[command(after_long_help = CREDENTIALS)]
    List(ListArgs),
    /// Let a drive take new data again that failed to read
    #[command(after_long_help = CREDENTIALS)]
    Unfence(UnfenceArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct UnfenceArgs {
    /// The drive's number, counted from 0 in the order of the data directories
    drive: u16,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(command: DrivesCommand) -> Result<(), Failure> {
    block_on(async {
        match command {
            DrivesCommand::List(args) => {
                let answer = Client::new(&args.server)?.admin("GetDrives", "GET", "drives", None).await?.json()?;
                if args.json {
                    print(&format!("{answer}\n"));
                    return Ok(());
                }
                show(&answer)
            }
            DrivesCommand::Unfence(args) => {
                let path = format!("drives/{}/unfence", args.drive);
                show(&Client::new(&args.server)?.admin("UnfenceDrive", "POST", &path, None).await?.json()?)
            }
        }
    })
}

fn show(answer: &Value) -> Result<(), Failure> {
    let drives = answer.get("drives").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut fenced = 0;
    for drive in drives {
        let number = |name: &str| drive.get(name).and_then(Value::as_u64).unwrap_or(0);
        print(&format!(
            "drive {}: {} bytes live, room for {}, {} of {} bytes free\n",
            number("number"),
            number("liveBytes"),
            number("roomBytes"),
            number("freeBytes"),
            number("totalBytes"),
        ));
        if let Some(fence) = drive.get("fence").filter(|fence| !fence.is_null()) {
            fenced += 1;
            let text = |name: &str| fence.get(name).and_then(Value::as_str).unwrap_or("-");
            let restart = fence.get("untilRestart") == Some(&Value::Bool(true));
            let end = if restart { "until the server is started anew" } else { "until cairn drives unfence" };
            print(&format!("  FENCED since {} {end}: {}\n", text("since"), text("reason")));
        }
    }
    if fenced == 0 { Ok(()) } else { Err(format!("{fenced} drives take no new data").into()) }
}
