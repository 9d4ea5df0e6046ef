//! What encryption costs: PUT and GET of 1 MiB by SSE-S3 and by SSE-KMS, of a local keyring, beside the same in the
//! clear. With a keyring every bucket encrypts by default, so the clear objects are another server's, without one. The
//! three take turns, and another begins each time, so that what else the machine does falls on all alike.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::load::{self, Keys, Numbered, Numbers, ReplayBody, Until, Work};
use crate::options::{Options, Size};
use crate::payload::Noise;
use crate::report::Report;
use crate::server::Server;
use crate::sides::Side;
use crate::signing::Request;
use crate::target::Target;

const SIZE: Size = Size(1 << 20);
/// Objects that are read.
const OBJECTS: u64 = 200;
/// Turns of each side for an operation and a number of connections.
const TURNS: usize = 8;
/// What throughput with encryption is to be of that without, at least.
const MARK: f64 = 0.75;
const PATIENCE: Duration = Duration::from_mins(5);
/// The sides: their name, their bucket, and the algorithm that the bucket encrypts by.
const SIDES: [(&str, &str, Option<&str>); 3] = [
    ("plain", "cairn-bench-plain", None),
    ("SSE-S3", "cairn-bench-s3", Some("AES256")),
    ("SSE-KMS", "cairn-bench-kms", Some("aws:kms")),
];

/// Runs the comparison against two fresh servers.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
    let without = Server::start(options, &directory.path().join("plain")).await?;
    let config = config(directory.path())?;
    let with = Server::start_with(options, &directory.path().join("sealed"), &["--config", &config]).await?;
    let noise = Noise::new();
    let mut targets = Vec::new();
    for (_, bucket, algorithm) in SIDES {
        let server = if algorithm.is_some() { &with } else { &without };
        let target = Target::new(options, server.address, Some(server.process()))?;
        prepare(&target, bucket, algorithm).await?;
        let put = Numbered::Put { size: SIZE.0, signing: options.payload };
        for method in [put, Numbered::Get] {
            let work = Arc::new(Work::Numbered { method, keys: keys(bucket), numbers: Numbers::new(0, OBJECTS) });
            load::run(&target, 8, &work, &noise, Until::Exhausted(PATIENCE)).await?.whole("storing objects")?;
        }
        targets.push(target);
    }
    for operation in ["PUT", "GET"] {
        println!("\n{operation} of {SIZE} in the clear and encrypted, {TURNS} turns each");
        Side::print_head("of plain");
        for connections in options.connections.clone() {
            let mut sides = Vec::new();
            for ((name, bucket, _), target) in SIDES.iter().zip(&targets) {
                let work = if operation == "PUT" { puts(options, bucket) } else { gets(target, bucket, &noise)? };
                sides.push(Side::new(name, work));
            }
            for turn in 0..TURNS {
                for place in 0..SIDES.len() {
                    let index = (turn + place) % SIDES.len();
                    let time = options.cell_time() / 2;
                    let tally = sides[index].turn(&targets[index], connections, &noise, time).await?;
                    report.add_errors(tally.errors);
                }
            }
            Side::print(&sides, connections, MARK);
        }
    }
    Ok(())
}

/// The configuration of a server with a keyring, which it makes.
fn config(directory: &Path) -> Result<String> {
    let (path, keyring) = (directory.join("sealed.toml"), directory.join("keyring"));
    fs::write(&path, format!("[encryption]\nkeyring_file = '{}'\ncreate_keyring = true\n", keyring.display()))?;
    Ok(path.to_str().ok_or("the data directory's name is not UTF-8")?.to_owned())
}

/// A bucket that encrypts by this algorithm; and that it does.
async fn prepare(target: &Target, bucket: &str, algorithm: Option<&str>) -> Result<()> {
    target.create_bucket(bucket).await?;
    let (path, query) = (format!("/{bucket}"), [("encryption", "")]);
    let Some(algorithm) = algorithm else { return Ok(()) };
    let body = format!(
        "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    );
    target.call("PUT", &path, &query, body.as_bytes()).await?;
    let (status, answer) = target.call("GET", &path, &query, b"").await?;
    let answer = String::from_utf8_lossy(&answer);
    if status == 200 && answer.contains(&format!("<SSEAlgorithm>{algorithm}</SSEAlgorithm>")) {
        return Ok(());
    }
    Err(format!("{bucket} does not encrypt by {algorithm}: {status}, {answer}").into())
}

fn keys(bucket: &str) -> Keys {
    Keys::Scattered(format!("/{bucket}/"))
}

/// New objects, as many as the time allows.
fn puts(options: &Options, bucket: &str) -> Work {
    let method = Numbered::Put { size: SIZE.0, signing: options.payload };
    Work::Numbered { method, keys: keys(&format!("{bucket}/new")), numbers: Numbers::new(OBJECTS, u64::MAX) }
}

/// Signed requests for all objects that were stored beforehand.
fn gets(target: &Target, bucket: &str, noise: &Noise) -> Result<Work> {
    let (mut signer, keys) = (target.signer.clone(), keys(bucket));
    let heads = (0..OBJECTS).map(|number| {
        let mut head = Vec::new();
        signer.write_head(&mut head, &Request::empty("GET", &keys.path(number), &[]))?;
        Ok(head)
    });
    let heads = heads.collect::<Result<Vec<_>>>()?;
    Ok(Work::Replay { heads, body: ReplayBody::Objects { size: SIZE.0, stamps: Some((noise.clone(), 0)) } })
}
