//! `cairn events`: how the delivery of events is doing, and steering it, through the administrator's API.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Show the outbox and how each event target is doing
    #[command(after_long_help = CREDENTIALS)]
    Status(StatusArgs),
    /// Follow the events of a bucket live, one JSON document a line, until interrupted
    #[command(after_long_help = CREDENTIALS)]
    Tail(TailArgs),
    /// Send the events of a target again, from a position in the outbox or a time
    ///
    /// Events are kept for some time after they were delivered: see events.retention in the configuration. What is no
    /// longer there is not sent.
    #[command(after_long_help = CREDENTIALS)]
    Replay(ReplayArgs),
    /// Skip all events that wait for a target
    #[command(after_long_help = CREDENTIALS)]
    Skip(TargetArgs),
    /// Work with the events that a target did not take
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum DeadLettersCommand {
    /// List them, oldest first
    #[command(after_long_help = CREDENTIALS)]
    List(ListArgs),
    /// Send them again; those that are taken are dead letters no more
    #[command(after_long_help = CREDENTIALS)]
    Redeliver(LettersArgs),
    /// Forget them
    #[command(after_long_help = CREDENTIALS)]
    Purge(LettersArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The bucket
    #[arg(value_name = "s3://BUCKET")]
    bucket: String,
    /// Only keys that start with this
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Only keys that end with this
    #[arg(long, value_name = "SUFFIX", default_value = "")]
    suffix: String,
    /// Kinds of events; may be repeated. Without any: objects created and removed
    #[arg(long, value_name = "EVENT", default_values = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])]
    event: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The event target's name
    #[arg(value_name = "TARGET")]
    target: String,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("from").required(true)))]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    of: TargetArgs,
    /// The first event's position, as `status` and sequencers tell it
    #[arg(long, value_name = "NUMBER", group = "from")]
    position: Option<u64>,
    /// The time of the first event, such as 2026-01-31T12:00:00Z; a few earlier ones may come too
    #[arg(long, value_name = "TIME", group = "from")]
    time: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    of: TargetArgs,
    /// Begin after the dead letter with this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u64,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub(super) struct LettersArgs {
    #[command(flatten)]
    of: TargetArgs,
    /// The number of a dead letter; may be repeated
    #[arg(long, value_name = "NUMBER", group = "which")]
    number: Vec<u64>,
    /// All of them
    #[arg(long, group = "which")]
    all: bool,
}

pub(super) fn run(command: EventsCommand) -> Result<(), Failure> {
    block_on(async {
        match command {
            EventsCommand::Status(args) => status(&args).await,
            EventsCommand::Tail(args) => tail(&args).await,
            EventsCommand::Replay(args) => replay(&args).await,
            EventsCommand::Skip(args) => {
                let answer = post("SkipEvents", &args, "skip", &json!({})).await?;
                print(&format!("goes on after position {}\n", text(&answer, "cursor")));
                Ok(())
            }
            EventsCommand::DeadLetters(DeadLettersCommand::List(args)) => list(&args).await,
            EventsCommand::DeadLetters(DeadLettersCommand::Redeliver(args)) => redeliver(&args).await,
            EventsCommand::DeadLetters(DeadLettersCommand::Purge(args)) => purge(&args).await,
        }
    })
}

/// A value as people read it: texts without quotes, nothing as "-".
fn text(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn path(target: &str, what: &str) -> String {
    format!("events/{}/{what}", utf8_percent_encode(target, NON_ALPHANUMERIC))
}

async fn post(operation: &str, args: &TargetArgs, what: &str, body: &Value) -> Result<Value, Failure> {
    let client = Client::new(&args.server)?;
    client.admin(operation, "POST", &path(&args.target, what), Some(body)).await?.json()
}

fn list_of(of: &Value, name: &str) -> Vec<Value> {
    of.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

async fn status(args: &StatusArgs) -> Result<(), Failure> {
    let answer = Client::new(&args.server)?.admin("GetEvents", "GET", "events", None).await?;
    if args.json {
        print(&answer.text);
        return Ok(());
    }
    let answer = answer.json()?;
    let outbox = answer.get("outbox").cloned().unwrap_or_default();
    let mut out = format!(
        "outbox: {} events, {} bytes, positions {} to {}\n",
        text(&outbox, "events"),
        text(&outbox, "bytes"),
        text(&outbox, "first"),
        text(&outbox, "last"),
    );
    for target in list_of(&answer, "targets") {
        let of = |name: &str| text(&target, name);
        let _ = writeln!(
            out,
            "\n{} ({}): {}\n  cursor {}, behind {}, oldest waiting {}\n  sent {}, failures {}, dead letters {}, dropped {}",
            of("name"),
            of("kind"),
            of("state"),
            of("cursor"),
            of("behind"),
            of("oldestWaiting"),
            of("sent"),
            of("failures"),
            of("deadLetters"),
            of("dropped"),
        );
        if let Some(failure) = target.get("lastFailure").filter(|failure| !failure.is_null()) {
            let _ = writeln!(out, "  last failure {}: {}", text(failure, "time"), text(failure, "reason"));
        }
    }
    print(&out);
    Ok(())
}

async fn tail(args: &TailArgs) -> Result<(), Failure> {
    let bucket = args.bucket.strip_prefix("s3://").unwrap_or(&args.bucket).trim_end_matches('/');
    let mut query: Vec<(&str, &str)> = args.event.iter().map(|event| ("events", event.as_str())).collect();
    query.extend([("prefix", args.prefix.as_str()), ("suffix", args.suffix.as_str())]);
    let client = Client::new(&args.server)?;
    let mut answer = client.follow("ListenBucketNotification", &format!("/{bucket}"), &query).await?;
    let mut line = Vec::new();
    while let Some(part) = answer.chunk().await? {
        for byte in part {
            // Blank lines only keep the connection open.
            if byte != b'\n' {
                line.push(byte);
            } else if !line.trim_ascii().is_empty() {
                print(&format!("{}\n", String::from_utf8_lossy(line.trim_ascii())));
                line.clear();
            }
            if line.len() > MAX_LINE_BYTES {
                return Err(format!("a line of the answer is longer than {MAX_LINE_BYTES} bytes").into());
            }
        }
    }
    Ok(())
}

/// Bytes of one event.
const MAX_LINE_BYTES: usize = 1 << 20;

async fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let body = match (&args.position, &args.time) {
        (Some(position), _) => json!({ "position": position }),
        (None, time) => json!({ "time": time }),
    };
    let answer = post("ReplayEvents", &args.of, "replay", &body).await?;
    print(&format!("sends again what follows position {}\n", text(&answer, "cursor")));
    Ok(())
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let client = Client::new(&args.of.server)?;
    let (after, limit) = (args.after.to_string(), args.limit.to_string());
    let query = [("after", after.as_str()), ("limit", limit.as_str())];
    let answer = client.admin_list("ListDeadLetters", &path(&args.of.target, "dead-letters"), &query).await?;
    if args.json {
        print(&answer.text);
        return Ok(());
    }
    let answer = answer.json()?;
    let mut out = format!("{} dead letters\n", text(&answer, "count"));
    for letter in list_of(&answer, "deadLetters") {
        let event = letter.get("event").cloned().unwrap_or_default();
        let _ = writeln!(
            out,
            "{}  {}  {}  {}/{}  {}",
            text(&letter, "number"),
            text(&event, "time"),
            text(&event, "name"),
            text(&event, "bucket"),
            text(&event, "key"),
            text(&letter, "reason"),
        );
    }
    print(&out);
    Ok(())
}

async fn redeliver(args: &LettersArgs) -> Result<(), Failure> {
    let (mut sent, mut refused, mut after) = (0, 0, 0);
    loop {
        let body = json!({ "numbers": args.number, "after": after });
        let answer = post("RedeliverDeadLetters", &args.of, "dead-letters/redeliver", &body).await?;
        let of = |name: &str| answer.get(name).and_then(Value::as_u64);
        sent += of("sent").unwrap_or(0);
        refused += of("refused").unwrap_or(0);
        if let Some(reason) = answer.get("stopped").and_then(Value::as_str) {
            return Err(format!("{sent} sent, {refused} refused; the target takes no more: {reason}").into());
        }
        match of("last") {
            Some(last) if args.all => after = last,
            _ => break,
        }
    }
    print(&format!("{sent} sent, {refused} refused\n"));
    Ok(())
}

async fn purge(args: &LettersArgs) -> Result<(), Failure> {
    let mut removed = 0;
    loop {
        let body = json!({ "numbers": args.number });
        let answer = post("PurgeDeadLetters", &args.of, "dead-letters/purge", &body).await?;
        let count = answer.get("removed").and_then(Value::as_u64).unwrap_or(0);
        removed += count;
        if count == 0 || !args.all {
            break;
        }
    }
    print(&format!("{removed} forgotten\n"));
    Ok(())
}
