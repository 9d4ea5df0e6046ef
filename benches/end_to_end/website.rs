//! Pages of a website beside the same objects by S3, both as anybody reads them: the same server, the same objects, the
//! same connections, in turns, so that what else the machine does falls on both alike.

use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::load::{self, Keys, Numbered, Numbers, ReplayBody, Until, Work};
use crate::options::{Options, Size};
use crate::payload::Noise;
use crate::report::Report;
use crate::server::Server;
use crate::sides::Side;
use crate::target::Target;

const BUCKET: &str = "cairn-bench-website";
const SUFFIX: &str = "web.test";
const SIZE: Size = Size(4096);
const OBJECTS: u64 = 2_000;
/// Turns of each side for a number of connections.
const TURNS: u32 = 8;
/// What a page's throughput is to be of an object's, at least.
const MARK: f64 = 0.9;
const PATIENCE: Duration = Duration::from_mins(5);

/// Runs the comparison against a fresh server.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
    let arguments = ["--website-domain", SUFFIX];
    let server = Server::start_with(options, &directory.path().join("data"), &arguments).await?;
    let target = Target::new(options, server.address, Some(server.process()))?;
    prepare(&target).await?;
    let noise = Noise::new();
    let keys = Keys::Scattered(format!("/{BUCKET}/"));
    let numbers = || Numbers::new(0, OBJECTS);
    let put = Numbered::Put { size: SIZE.0, signing: options.payload };
    for method in [put, Numbered::Get] {
        let work = Arc::new(Work::Numbered { method, keys: keys.clone(), numbers: numbers() });
        load::run(&target, 32, &work, &noise, Until::Exhausted(PATIENCE)).await?.whole("storing pages")?;
    }
    println!("\nA page of {SIZE} of a website beside the same object by S3, both anonymous, {TURNS} turns each");
    Side::print_head("of S3");
    for connections in options.connections.clone() {
        let mut sides = [
            Side::new("S3", replay(&keys, &noise, |path| (path.to_owned(), "localhost".to_owned()))),
            Side::new(
                "website",
                replay(&keys, &noise, |path| {
                    let page = path.strip_prefix(&format!("/{BUCKET}")).unwrap_or(path);
                    (page.to_owned(), format!("{BUCKET}.{SUFFIX}"))
                }),
            ),
        ];
        for _ in 0..TURNS {
            for side in &mut sides {
                let tally = side.turn(&target, connections, &noise, options.cell_time() / 2).await?;
                report.add_errors(tally.errors);
            }
        }
        Side::print(&sides, connections, MARK);
    }
    Ok(())
}

/// A bucket that everybody may read, and its website.
async fn prepare(target: &Target) -> Result<()> {
    target.create_bucket(BUCKET).await?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{BUCKET}/*"}}}}"#
    );
    let website = "<WebsiteConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>";
    for (what, body) in [("policy", policy.as_str()), ("website", website)] {
        let (status, answer) = target.call("PUT", &format!("/{BUCKET}"), &[(what, "")], body.as_bytes()).await?;
        if !matches!(status, 200 | 204) {
            return Err(format!("the {what} was answered {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
    }
    Ok(())
}

/// Requests for all objects, unsigned, whose path and host `to` makes of an object's path.
fn replay(keys: &Keys, noise: &Noise, to: impl Fn(&str) -> (String, String)) -> Work {
    let head = |number| {
        let (path, host) = to(&keys.path(number));
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
    };
    let body = ReplayBody::Objects { size: SIZE.0, stamps: Some((noise.clone(), 0)) };
    Work::Replay { heads: (0..OBJECTS).map(head).collect(), body }
}
