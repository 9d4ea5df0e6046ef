//! `cairn lifecycle`: what lifecycle rules did, will do, and why, through the administrator's API.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};

/// Samples that are shown of each kind of action.
const SAMPLES: usize = 5;
/// Bytes of a file of rules.
const MAX_RULES_BYTES: u64 = 200 << 10;

#[derive(Debug, Subcommand)]
pub(super) enum LifecycleCommand {
    /// Show how each bucket with lifecycle rules is doing
    #[command(after_long_help = CREDENTIALS)]
    Status(StatusArgs),
    /// Say which rule will do what to a key's versions and uploads, when, and why the others will not
    #[command(after_long_help = CREDENTIALS)]
    Explain(ExplainArgs),
    /// Count what rules would do to a bucket, without doing any of it
    #[command(after_long_help = EXAMPLES)]
    Preview(PreviewArgs),
}

const EXAMPLES: &str = "\
Rules are those of the bucket, or of a file in the form that `aws s3api put-bucket-lifecycle-configuration
--lifecycle-configuration file://…` takes: preview them before they are put.
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or from
CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY.

Example:
  cairn lifecycle preview s3://photos --rules rules.json --endpoint http://localhost:9000";

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The key
    #[arg(value_name = "s3://BUCKET/KEY", value_parser = object)]
    object: (String, String),
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The bucket
    #[arg(value_name = "s3://BUCKET", value_parser = bucket)]
    bucket: String,
    /// Rules to look at in the place of the bucket's own: a JSON file
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn is_bucket(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn bucket(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("s3://").unwrap_or(text).trim_end_matches('/');
    if is_bucket(name) { Ok(name.to_owned()) } else { Err("write s3://BUCKET".to_owned()) }
}

fn object(text: &str) -> Result<(String, String), String> {
    let pair = text.strip_prefix("s3://").unwrap_or(text).split_once('/');
    let pair = pair.filter(|(name, key)| is_bucket(name) && !key.is_empty());
    pair.map(|(name, key)| (name.to_owned(), key.to_owned())).ok_or_else(|| "write s3://BUCKET/KEY".to_owned())
}

pub(super) fn run(command: LifecycleCommand) -> Result<(), Failure> {
    let text = block_on(async {
        match command {
            LifecycleCommand::Status(args) => status(&args).await,
            LifecycleCommand::Explain(args) => explain(&args).await,
            LifecycleCommand::Preview(args) => preview(&args).await,
        }
    })?;
    print(&text);
    Ok(())
}

/// A value as people read it: texts without quotes, nothing as "-".
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

async fn status(args: &StatusArgs) -> Result<String, Failure> {
    let answer = Client::new(&args.server)?.admin("GetLifecycle", "GET", "lifecycle", None).await?;
    if args.json {
        return Ok(answer.text);
    }
    let answer = answer.json()?;
    let none = Map::new();
    let buckets = answer.get("buckets").and_then(Value::as_object).unwrap_or(&none);
    let mut out = format!("{} buckets with lifecycle rules\n", buckets.len());
    for (name, of) in buckets {
        let actions = of.get("actions").and_then(Value::as_object).unwrap_or(&none);
        let actions: Vec<String> = actions.iter().map(|(action, count)| format!("{action} {count}")).collect();
        let actions = if actions.is_empty() { "none".to_owned() } else { actions.join(", ") };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "\ns3://{name}\n  last pass {} to {}, {} looked at, lag {} s\n  actions: {actions}\n  errors: {}, last: {}",
            text(of, "lastPassStarted"),
            text(of, "lastPassFinished"),
            text(of, "examined"),
            text(of, "lagSeconds"),
            text(of, "errors"),
            text(of, "lastError"),
        );
        if let Some(pass) = of.get("underWay").filter(|pass| pass.is_object()) {
            let _ = writeln!(out, "  now: {} looked at since {}", text(pass, "examined"), text(pass, "started"));
        }
    }
    let tiers = answer.get("tiers").and_then(Value::as_object).unwrap_or(&none);
    for (name, of) in tiers {
        let classes: Vec<String> =
            list(of, "storageClasses").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let _ = writeln!(
            out,
            "\ntier {name} ({}, {}): {}\n  moved {} ({} bytes), waiting {}, restored {}, released {}, strays {}\n  failures: {}, now: {}, again at {}",
            text(of, "kind"),
            text(of, "access"),
            classes.join(", "),
            text(of, "moved"),
            text(of, "movedBytes"),
            text(of, "waiting"),
            text(of, "restored"),
            text(of, "released"),
            text(of, "strays"),
            text(of, "failures"),
            text(of, "failure"),
            text(of, "retryAt"),
        );
    }
    Ok(out)
}

async fn explain(args: &ExplainArgs) -> Result<String, Failure> {
    let (bucket, key) = &args.object;
    let path = format!("buckets/{bucket}/lifecycle/explain");
    let answer = Client::new(&args.server)?.admin_list("ExplainLifecycle", &path, &[("key", key)]).await?;
    if args.json { Ok(answer.text) } else { Ok(explained(&answer.json()?)) }
}

fn explained(answer: &Value) -> String {
    let mut out = format!("s3://{}/{}\n", text(answer, "bucket"), text(answer, "key"));
    let versions = list(answer, "versions");
    if versions.is_empty() {
        out.push_str("  there is nothing of this name\n");
    }
    for version in versions {
        let id = if version.get("uploadId").is_some() { "uploadId" } else { "versionId" };
        let _ = write!(out, "\n{} {}, since {}", text(version, "state"), text(version, id), text(version, "since"));
        let _ = match version.get("size").and_then(Value::as_u64) {
            Some(size) => writeln!(out, ", {size} bytes"),
            None => writeln!(out),
        };
        let _ = match version.get("next").filter(|next| !next.is_null()) {
            None => writeln!(out, "  nothing will be done to it"),
            Some(next) => {
                writeln!(out, "  {} at {}, by rule {}", text(next, "action"), text(next, "at"), text(next, "rule"))
            }
        };
        for rule in list(version, "rules") {
            let (name, action) = (text(rule, "rule"), text(rule, "action"));
            let _ = match rule.get("from").and_then(Value::as_str) {
                Some(from) => writeln!(out, "    {name}: {action}: from {from}"),
                None => writeln!(out, "    {name}: {action}: no, {}", text(rule, "not")),
            };
        }
    }
    out
}

async fn preview(args: &PreviewArgs) -> Result<String, Failure> {
    let configuration = args.rules.as_ref().map(read_rules).transpose()?;
    let client = Client::new(&args.server)?;
    let path = format!("buckets/{}/lifecycle/preview", args.bucket);
    let mut sum = Sum::default();
    let mut next = Value::Null;
    loop {
        let body = json!({ "configuration": configuration, "next": next });
        let page = client.admin("PreviewLifecycle", "POST", &path, Some(&body)).await?.json()?;
        sum.add(&page);
        match page.get("next") {
            Some(token @ Value::String(_)) => next = token.clone(),
            _ => break,
        }
    }
    Ok(if args.json { format!("{}\n", sum.json(&args.bucket)) } else { sum.shown(&args.bucket) })
}

fn read_rules(file: &PathBuf) -> Result<Value, Failure> {
    let said = |what: String| format!("{}: {what}", file.display());
    let size = std::fs::metadata(file).map_err(|error| said(error.to_string()))?.len();
    if size > MAX_RULES_BYTES {
        return Err(said(format!("longer than {MAX_RULES_BYTES} bytes")).into());
    }
    let text = std::fs::read_to_string(file).map_err(|error| said(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| said(format!("this is not JSON: {error}")).into())
}

/// What the pages of a preview come to.
#[derive(Default)]
struct Sum {
    examined: u64,
    planned: BTreeMap<(String, String), Plan>,
}

#[derive(Default)]
struct Plan {
    now: (u64, u64),
    later: (u64, u64),
    first: Option<String>,
    samples: Vec<Value>,
}

impl Sum {
    fn add(&mut self, page: &Value) {
        let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.examined += number(page, "examined");
        for one in list(page, "planned") {
            let plan = self.planned.entry((text(one, "rule"), text(one, "action"))).or_default();
            for (figures, name) in [(&mut plan.now, "now"), (&mut plan.later, "later")] {
                let of = one.get(name).unwrap_or(&Value::Null);
                figures.0 += number(of, "count");
                figures.1 += number(of, "bytes");
            }
            let first = one.get("later").and_then(|later| later.get("first")).and_then(Value::as_str);
            // Times of one form sort as texts.
            let known = plan.first.take().into_iter();
            plan.first = known.chain(first.map(str::to_owned)).min();
            let room = SAMPLES.saturating_sub(plan.samples.len());
            plan.samples.extend(list(one, "samples").iter().take(room).cloned());
        }
    }

    fn json(&self, bucket: &str) -> Value {
        let planned: Vec<Value> = self
            .planned
            .iter()
            .map(|((rule, action), plan)| {
                json!({
                    "rule": rule,
                    "action": action,
                    "now": { "count": plan.now.0, "bytes": plan.now.1 },
                    "later": { "count": plan.later.0, "bytes": plan.later.1, "first": plan.first },
                    "samples": plan.samples,
                })
            })
            .collect();
        json!({ "bucket": bucket, "examined": self.examined, "planned": planned })
    }

    fn shown(&self, bucket: &str) -> String {
        let mut out = format!("s3://{bucket}: {} versions and uploads looked at\n", self.examined);
        if self.planned.is_empty() {
            out.push_str("  nothing would be done to any of them\n");
        }
        for ((rule, action), plan) in &self.planned {
            let _ = writeln!(
                out,
                "\n{rule}: {action}\n  now   {} ({} bytes)\n  later {} ({} bytes), first at {}",
                plan.now.0,
                plan.now.1,
                plan.later.0,
                plan.later.1,
                plan.first.as_deref().unwrap_or("-"),
            );
            for sample in &plan.samples {
                let _ = writeln!(out, "    {}  {}", text(sample, "at"), text(sample, "key"));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_elsewhere() {
        assert_eq!(object("s3://b/a/k"), Ok(("b".to_owned(), "a/k".to_owned())));
        for bad in ["s3://b", "s3://b/", "/k", "b?/k"] {
            assert!(object(bad).is_err(), "{bad}");
        }
        assert_eq!(bucket("s3://b/").as_deref(), Ok("b"));
    }

    #[test]
    fn pages_of_a_preview_are_added_up() {
        let page = |count, first: &str| {
            let later = json!({ "count": count, "bytes": 10 * count, "first": first });
            let plan = json!({ "rule": "r", "action": "expire", "now": { "count": 1, "bytes": 2 }, "later": later,
                "samples": [{ "key": "k", "at": first }, { "key": "l", "at": first }, { "key": "m", "at": first }] });
            json!({ "examined": 7, "planned": [plan] })
        };
        let mut sum = Sum::default();
        sum.add(&page(3, "2026-02-01"));
        sum.add(&page(4, "2026-01-01"));
        let shown = sum.shown("b");
        for line in [
            "s3://b: 14 versions and uploads looked at",
            "  now   2 (4 bytes)",
            "  later 7 (70 bytes), first at 2026-01-01",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} is not in\n{shown}");
        }
        assert_eq!(shown.matches("    2026").count(), SAMPLES);
    }

    #[test]
    fn an_explanation_names_rules_and_reasons() {
        let answer = json!({ "bucket": "b", "key": "k", "versions": [{ "versionId": "v", "state": "current", "since": "S",
            "size": 5, "next": { "rule": "r", "action": "expire", "at": "A" }, "rules": [
            { "rule": "r", "action": "expire", "from": "A", "not": null },
            { "rule": "q", "action": "expire", "from": null, "not": "the rule is disabled" }] }] });
        let expected = "s3://b/k\n\ncurrent v, since S, 5 bytes\n  expire at A, by rule r\n    r: expire: from A\n    q: expire: no, the rule is disabled\n";
        assert_eq!(explained(&answer), expected);
    }
}
