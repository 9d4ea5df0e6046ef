//! `cairn scrub`: what a running server's scrubbing has found, and a pass now.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};

/// The time between two questions whether a pass has ended.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum ScrubCommand {
    /// Show where scrubbing has come, and how many damages are known
    #[command(after_long_help = CREDENTIALS)]
    Status(ScrubArgs),
    /// Name the damaged chunks and the objects that they hit: exit code 1 if there are any
    #[command(after_long_help = CREDENTIALS)]
    Damages(ScrubArgs),
    /// Begin a pass now, in the place of one that is under way
    #[command(after_long_help = CREDENTIALS)]
    Start(StartArgs),
}

#[derive(Debug, Args)]
pub(super) struct ScrubArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Wait for the end of the pass, and name the damages as `cairn scrub damages` does
    #[arg(long)]
    wait: bool,
}

pub(super) fn run(command: ScrubCommand) -> Result<(), Failure> {
    block_on(async {
        match command {
            ScrubCommand::Status(args) => status(&args).await,
            ScrubCommand::Damages(args) => damages(&Client::new(&args.server)?, args.json).await,
            ScrubCommand::Start(args) => start(&args).await,
        }
    })
}

fn text(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

async fn state(client: &Client) -> Result<Value, Failure> {
    client.admin("GetScrub", "GET", "scrub", None).await?.json()
}

async fn status(args: &ScrubArgs) -> Result<(), Failure> {
    let state = state(&Client::new(&args.server)?).await?;
    if args.json {
        print(&format!("{state}\n"));
        return Ok(());
    }
    let under_way = if state.get("underWay") == Some(&Value::Bool(true)) { ", under way" } else { "" };
    print(&format!(
        "pass {}{under_way}, begun {}: {} chunks, {} bytes, {} damaged\nlast whole pass ended {}\n{} damages known\n",
        text(&state, "pass"),
        text(&state, "started"),
        text(&state, "chunks"),
        text(&state, "bytes"),
        text(&state, "damaged"),
        text(&state, "lastPassFinished"),
        text(&state, "knownDamages"),
    ));
    Ok(())
}

async fn start(args: &StartArgs) -> Result<(), Failure> {
    let client = Client::new(&args.server)?;
    let started = client.admin("StartScrub", "POST", "scrub", None).await?.json()?;
    let wanted = started.get("pass").and_then(Value::as_u64).ok_or("the answer names no pass")?;
    print(&format!("pass {wanted} begins\n"));
    if !args.wait {
        return Ok(());
    }
    loop {
        let state = state(&client).await?;
        let pass = state.get("pass").and_then(Value::as_u64).unwrap_or(0);
        let is_over = state.get("underWay") == Some(&Value::Bool(false));
        if pass > wanted || (pass == wanted && is_over) {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    damages(&client, false).await
}

async fn damages(client: &Client, as_json: bool) -> Result<(), Failure> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let query: Vec<(&str, &str)> = after.iter().map(|after| ("after", after.as_str())).collect();
        let page = client.admin_list("ListScrubDamages", "scrub/damages", &query).await?.json()?;
        for damage in list(&page, "damages") {
            if as_json {
                all.push(damage.clone());
            } else {
                all.push(Value::Null);
                print(&line(damage));
            }
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    if as_json {
        print(&format!("{}\n", json!({ "damages": all })));
    }
    match all.len() {
        0 => {
            if !as_json {
                print("no damages are known\n");
            }
            Ok(())
        }
        many => Err(format!("{many} damaged chunks").into()),
    }
}

fn line(damage: &Value) -> String {
    let mut out =
        format!("chunk {}, found {}: {}\n", text(damage, "chunk"), text(damage, "found"), text(damage, "why"));
    for object in list(damage, "objects") {
        let which = match object.get("versionId").and_then(Value::as_str) {
            Some(id) => format!("version {id}"),
            None => format!("part {} of upload {}", text(object, "partNumber"), text(object, "uploadId")),
        };
        // Keys may hold anything; what is not printable must not look like another line. Writing to a String cannot fail.
        let key = text(object, "key");
        let _ = writeln!(out, "  HIT  {}/{}  {which}", text(object, "bucket"), key.escape_debug());
    }
    if list(damage, "objects").is_empty() {
        out.push_str("  no object any more\n");
    }
    if damage.get("andMore") == Some(&Value::Bool(true)) {
        out.push_str("  and more\n");
    }
    out
}
