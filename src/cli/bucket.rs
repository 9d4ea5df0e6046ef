//! `cairn bucket`: what an operator sets on buckets, through the administrator's API of a running server.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use storage::chunking::Chunking;
use storage::compress::Codec;

use super::Failure;
use super::client::{CREDENTIALS, Client, ServerArgs, block_on, print};
use crate::config::ByteSize;

#[derive(Debug, Subcommand)]
pub(super) enum BucketCommand {
    /// The most that a bucket may hold
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// How a bucket's new data is stored
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Count what a bucket's data takes, with what is equal in it taken once; only the operator can
    #[command(after_long_help = CREDENTIALS)]
    Sharing(BucketArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum QuotaCommand {
    /// Set a bucket's quota, in place of the one before; only the operator can
    #[command(after_long_help = EXAMPLES)]
    Set(SetArgs),
    /// Show a bucket's quota, and what it holds
    #[command(after_long_help = CREDENTIALS)]
    Get(BucketArgs),
    /// Remove a bucket's quota; only the operator can
    #[command(after_long_help = CREDENTIALS)]
    Clear(BucketArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum StorageCommand {
    /// Set how new data is stored, in place of what was set before; only the operator can
    #[command(after_long_help = STORAGE_EXAMPLES)]
    Set(StorageArgs),
    /// Show how new data is stored
    #[command(after_long_help = CREDENTIALS)]
    Get(BucketArgs),
    /// Have the server's configuration count again; only the operator can
    #[command(after_long_help = CREDENTIALS)]
    Clear(BucketArgs),
}

#[derive(Debug, Args)]
pub(super) struct StorageArgs {
    #[command(flatten)]
    bucket: BucketArgs,
    /// "none", "lz4" or "zstd": how pieces are compressed of which a sample shrinks
    #[arg(long, value_name = "CODEC", required_unless_present = "chunking")]
    compression: Option<Codec>,
    /// "fixed", or "fastcdc": chunks end where their bytes say, so that equal data is found wherever it is
    #[arg(long, value_name = "CHUNKING")]
    chunking: Option<Chunking>,
}

#[derive(Debug, Args)]
pub(super) struct BucketArgs {
    /// The bucket, as s3://NAME
    #[arg(value_name = "BUCKET", value_parser = bucket)]
    bucket: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    #[command(flatten)]
    bucket: BucketArgs,
    /// Bytes of all versions of all objects, such as 10GiB
    #[arg(long, value_name = "SIZE", value_parser = size, required_unless_present = "objects")]
    bytes: Option<u64>,
    /// Versions of all objects together
    #[arg(long, value_name = "NUMBER")]
    objects: Option<u64>,
}

const EXAMPLES: &str = "\
A write that would take the bucket beyond its quota is refused with QuotaExceeded; deleting is always possible.
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or from
CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY.

Example:
  cairn bucket quota set s3://photos --bytes 10GiB --objects 100000 --endpoint http://localhost:9000";

const STORAGE_EXAMPLES: &str = "\
What is stored already stays as it is. Encrypted objects are not compressed.
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or from
CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY.

Example:
  cairn bucket storage set s3://logs --compression zstd --endpoint http://localhost:9000";

/// `s3://NAME`, or the name alone.
fn bucket(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("s3://").unwrap_or(text).trim_end_matches('/');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if !name.is_empty() && name.bytes().all(is_name) { Ok(name.to_owned()) } else { Err("write s3://NAME".to_owned()) }
}

fn size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>().map(|size| size.0)
}

pub(super) fn run(command: BucketCommand) -> Result<(), Failure> {
    let text = match command {
        BucketCommand::Quota(command) => block_on(quota(&command))?,
        BucketCommand::Storage(command) => block_on(storage(&command))?,
        BucketCommand::Sharing(args) => block_on(sharing(&args))?,
    };
    print(&text);
    Ok(())
}

async fn storage(command: &StorageCommand) -> Result<String, Failure> {
    let args = match command {
        StorageCommand::Set(StorageArgs { bucket, .. })
        | StorageCommand::Get(bucket)
        | StorageCommand::Clear(bucket) => bucket,
    };
    let client = Client::new(&args.server)?;
    let path = format!("buckets/{}/storage", args.bucket);
    match command {
        StorageCommand::Set(StorageArgs { compression, chunking, .. }) => {
            let (compression, chunking) = (compression.map(|it| it.to_string()), chunking.map(|it| it.to_string()));
            let storage = json!({ "compression": compression, "chunking": chunking });
            client.admin("PutBucketStorage", "PUT", &path, Some(&storage)).await?;
        }
        StorageCommand::Get(_) => {}
        StorageCommand::Clear(_) => {
            client.admin("DeleteBucketStorage", "DELETE", &path, None).await?;
        }
    }
    Ok(shown_storage(&client.admin("GetBucketStorage", "GET", &path, None).await?.json()?))
}

async fn sharing(args: &BucketArgs) -> Result<String, Failure> {
    let path = format!("buckets/{}/sharing", args.bucket);
    Ok(shown_sharing(&Client::new(&args.server)?.admin("GetBucketSharing", "GET", &path, None).await?.json()?))
}

fn shown_sharing(answer: &Value) -> String {
    let mut text = format!("s3://{}\n", answer["bucket"].as_str().unwrap_or_default());
    let about = if answer["sharing"]["exact"].as_bool().unwrap_or(true) { "" } else { "about " };
    for (figure, about, what) in [
        ("logical", "", "bytes of all versions"),
        ("unique", about, "bytes, with equal chunks taken once"),
        ("stored", about, "bytes on the drives"),
        ("remote", "", "bytes in storage tiers"),
    ] {
        let bytes = answer["sharing"][figure].as_u64().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {figure:<9}{about}{bytes} {what}");
    }
    text
}

/// A line for each setting, and where it comes from.
fn shown_storage(answer: &Value) -> String {
    let mut text = format!("s3://{}\n", answer["bucket"].as_str().unwrap_or_default());
    for setting in ["compression", "chunking"] {
        let counts = answer["effective"][setting].as_str().unwrap_or_default();
        let origin = if answer["storage"][setting].is_string() { "" } else { ", the server's default" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {setting:<12}{counts}{origin}");
    }
    text
}

async fn quota(command: &QuotaCommand) -> Result<String, Failure> {
    let args = match command {
        QuotaCommand::Set(SetArgs { bucket, .. }) | QuotaCommand::Get(bucket) | QuotaCommand::Clear(bucket) => bucket,
    };
    let client = Client::new(&args.server)?;
    let path = format!("buckets/{}/quota", args.bucket);
    match command {
        QuotaCommand::Set(SetArgs { bytes, objects, .. }) => {
            let quota = json!({ "bytes": bytes, "objects": objects });
            client.admin("PutBucketQuota", "PUT", &path, Some(&quota)).await?;
        }
        QuotaCommand::Get(_) => {}
        QuotaCommand::Clear(_) => {
            client.admin("DeleteBucketQuota", "DELETE", &path, None).await?;
            return Ok(String::new());
        }
    }
    Ok(shown(&client.admin("GetBucketQuota", "GET", &path, None).await?.json()?))
}

/// A line for each figure: what is held, and the most that may be.
fn shown(answer: &Value) -> String {
    let mut text = format!("s3://{}\n", answer["bucket"].as_str().unwrap_or_default());
    for figure in ["bytes", "objects"] {
        let held = answer["usage"][figure].as_u64().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = match answer["quota"][figure].as_u64() {
            Some(limit) => writeln!(text, "  {figure:<8}{held} of {limit}"),
            None => writeln!(text, "  {figure:<8}{held}, no limit"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_named_as_elsewhere() {
        for text in ["s3://photos", "photos", "s3://photos/"] {
            assert_eq!(bucket(text).as_deref(), Ok("photos"), "{text}");
        }
        for text in ["", "s3://", "s3://photos/2026", "photos?x"] {
            assert!(bucket(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_quota_is_shown_beside_the_usage() {
        let answer =
            json!({ "bucket": "b", "quota": { "bytes": 10, "objects": null }, "usage": { "bytes": 3, "objects": 2 } });
        assert_eq!(shown(&answer), "s3://b\n  bytes   3 of 10\n  objects 2, no limit\n");
        let answer = json!({ "bucket": "b", "quota": null, "usage": { "bytes": 3, "objects": 2 } });
        assert_eq!(shown(&answer), "s3://b\n  bytes   3, no limit\n  objects 2, no limit\n");
    }
}
