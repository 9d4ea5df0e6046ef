//! Small GETs from a bucket whose requests are logged beside the same from one whose are not: the same server, the same
//! objects, the same connections, in turns, so that what else the machine does falls on both alike.

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

const PLAIN: &str = "cairn-bench-plain";
const LOGGED: &str = "cairn-bench-logged";
const LOG: &str = "cairn-bench-log";
const SIZE: Size = Size(4096);
const OBJECTS: u64 = 2_000;
/// Turns of each side for a number of connections.
const TURNS: usize = 8;
/// What throughput with logging is to be of that without, at least.
const MARK: f64 = 0.95;
const PATIENCE: Duration = Duration::from_mins(5);

/// Runs the comparison against a fresh server.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
    let server = Server::start(options, &directory.path().join("data")).await?;
    let target = Target::new(options, server.address, Some(server.process()))?;
    let noise = Noise::new();
    for bucket in [PLAIN, LOGGED, LOG] {
        target.create_bucket(bucket).await?;
    }
    for bucket in [PLAIN, LOGGED] {
        let put = Numbered::Put { size: SIZE.0, signing: options.payload };
        for method in [put, Numbered::Get] {
            let numbers = Numbers::new(0, OBJECTS);
            let work = Arc::new(Work::Numbered { method, keys: keys(bucket), numbers });
            load::run(&target, 32, &work, &noise, Until::Exhausted(PATIENCE)).await?.whole("storing objects")?;
        }
    }
    switch_on(&target).await?;
    println!("\nA GET of {SIZE} with access logging beside one without, {TURNS} turns each");
    Side::print_head("of plain");
    for connections in options.connections.clone() {
        let mut sides = [
            Side::new("plain", replay(&target, PLAIN, &noise)?),
            Side::new("logged", replay(&target, LOGGED, &noise)?),
        ];
        for turn in 0..TURNS {
            // Who begins changes, so that neither always meets what the other left behind.
            for index in [turn % 2, 1 - turn % 2] {
                let side = &mut sides[index];
                let tally = side.turn(&target, connections, &noise, options.cell_time() / 2).await?;
                report.add_errors(tally.errors);
            }
        }
        Side::print(&sides, connections, MARK);
    }
    Ok(())
}

fn keys(bucket: &str) -> Keys {
    Keys::Scattered(format!("/{bucket}/"))
}

/// Has requests to one of the buckets logged into the third. What a bucket's settings are is not looked up while it never
/// had any: the plain one gets some that change no GET, so that the two differ in their logging alone.
async fn switch_on(target: &Target) -> Result<()> {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Service":"logging.s3.amazonaws.com"}},"Action":"s3:PutObject","Resource":"arn:aws:s3:::{LOG}/*"}}}}"#
    );
    let logging = format!(
        "<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LoggingEnabled><TargetBucket>{LOG}</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>"
    );
    let block = "<PublicAccessBlockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>";
    let settings =
        [(LOG, "policy", policy), (LOGGED, "logging", logging), (PLAIN, "publicAccessBlock", block.to_owned())];
    for (bucket, what, body) in settings {
        let (status, answer) = target.call("PUT", &format!("/{bucket}"), &[(what, "")], body.as_bytes()).await?;
        if !matches!(status, 200 | 204) {
            return Err(format!("the {what} was answered {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// Signed requests for all objects of a bucket.
fn replay(target: &Target, bucket: &str, noise: &Noise) -> Result<Work> {
    let (mut signer, keys) = (target.signer.clone(), keys(bucket));
    let heads = (0..OBJECTS).map(|number| {
        let mut head = Vec::new();
        signer.write_head(&mut head, &Request::empty("GET", &keys.path(number), &[]))?;
        Ok(head)
    });
    let heads = heads.collect::<Result<Vec<_>>>()?;
    Ok(Work::Replay { heads, body: ReplayBody::Objects { size: SIZE.0, stamps: Some((noise.clone(), 0)) } })
}
