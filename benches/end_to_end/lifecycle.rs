//! Lifecycle passes over many objects: how fast one is alone, and what clients notice of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::load::{self, Histogram, Until, Work};
use crate::options::Options;
use crate::payload::Noise;
use crate::report::Report;
use crate::target::Target;

/// Turns without and with a pass for a number of connections.
const TURNS: u32 = 3;
/// Keys per second of a pass while nothing else asks for anything, at least.
const MARK_KEYS: f64 = 500_000.0;
/// The 99th percentile of clients' latencies during a pass by that without one, at most.
const MARK_TAIL: f64 = 1.3;
/// Even a slow machine has passed over everything by then.
const PATIENCE: Duration = Duration::from_mins(30);
/// Between two looks at the server's status.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One side of the comparison.
struct Side {
    latencies: Histogram,
    operations: u64,
    seconds: f64,
}

struct Passes<'a> {
    target: &'a Target,
    bucket: &'a str,
    /// Rules that are put, each with another number of days, so that each begins a pass.
    rules: u32,
}

/// Runs a pass alone, and then some beside clients that read objects with `work`.
pub async fn run(
    options: &Options,
    report: &mut Report,
    target: &Target,
    bucket: &str,
    noise: &Noise,
    work: &Arc<Work>,
) -> Result<()> {
    let mut passes = Passes { target, bucket, rules: 0 };
    println!("\nLifecycle of {} objects: a rule that is about all of them, and of none is due", options.objects);
    passes.alone().await?;
    println!(
        "{:>11}  {:>7}  {:>10}  {:>8}  {:>8}  {:>8}  {:>10}",
        "connections", "pass", "GET/s", "p50 ms", "p99 ms", "of quiet", "keys/s"
    );
    for connections in options.connections.clone() {
        let (mut quiet, mut during, mut keys) = (Side::new(), Side::new(), 0.0);
        for _ in 0..TURNS {
            let until = Until::Time(options.cell_time());
            let tally = load::run(target, connections, work, noise, until).await?;
            report.add_errors(tally.errors);
            quiet.add(&tally);
            let before = passes.begin().await?;
            let tally = load::run(target, connections, work, noise, until).await?;
            report.add_errors(tally.errors);
            during.add(&tally);
            keys += passes.end(before).await? as f64;
        }
        print(connections, &quiet, &during, keys / during.seconds.max(1e-9));
    }
    Ok(())
}

impl Side {
    fn new() -> Self {
        Self { latencies: Histogram::new(), operations: 0, seconds: 0.0 }
    }

    fn add(&mut self, tally: &load::Tally) {
        self.latencies.merge(&tally.latencies);
        self.operations += tally.operations();
        self.seconds += tally.elapsed.as_secs_f64();
    }
}

fn print(connections: u16, quiet: &Side, during: &Side, keys: f64) {
    let tail = |side: &Side| side.latencies.quantile(0.99).as_secs_f64();
    let part = tail(during) / tail(quiet).max(1e-9);
    for (name, side, part, keys) in [("none", quiet, 1.0, 0.0), ("one", during, part, keys)] {
        let (rate, median) = (side.operations as f64 / side.seconds.max(1e-9), side.latencies.quantile(0.5));
        println!(
            "{connections:>11}  {name:>7}  {rate:>10.0}  {:>8.3}  {:>8.3}  {part:>7.2}x  {keys:>10.0}",
            median.as_secs_f64() * 1e3,
            tail(side) * 1e3,
        );
    }
    println!("{:>11}  p99 at most {MARK_TAIL} x: {}", "", if part <= MARK_TAIL { "met" } else { "MISSED" });
}

impl Passes<'_> {
    /// One whole pass that nothing disturbs but a look at its status now and then.
    async fn alone(&mut self) -> Result<()> {
        let before = self.status().await?["lastPassFinished"].clone();
        let put = Instant::now();
        self.put_rule().await?;
        self.wait(|status| !status["underWay"].is_null() || status["lastPassFinished"] != before).await?;
        let began = Instant::now();
        let (mut done, mut looked) = (Value::Null, began);
        while done.is_null() {
            if began.elapsed() > PATIENCE {
                return Err(format!("a pass was not over after {PATIENCE:?}").into());
            }
            // Rarely: while the status is asked for, the server counts as busy, and a pass yields to clients.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let status = self.status().await?;
            if status["lastPassFinished"] != before {
                done = status;
            } else if looked.elapsed() > Duration::from_secs(30) {
                looked = Instant::now();
                eprintln!("a pass is under way for {:.0} s: {}", put.elapsed().as_secs_f64(), status["underWay"]);
            }
        }
        let examined = done["examined"].as_u64().ok_or("a status without what was examined")?;
        let took = seconds(&done["lastPassFinished"])? - seconds(&done["lastPassStarted"])?;
        let rate = examined as f64 / took.max(1e-9);
        let verdict = if rate >= MARK_KEYS { "met" } else { "MISSED" };
        println!(
            "  a whole pass, alone: {examined} keys in {took:.1} s, {rate:.0} keys/s (at least {MARK_KEYS:.0}: {verdict})"
        );
        self.delete_rule().await
    }

    /// Begins a pass; answers what it has looked at.
    async fn begin(&mut self) -> Result<u64> {
        self.put_rule().await?;
        let status = self.wait(|status| status["underWay"]["examined"].as_u64().is_some()).await?;
        Ok(status["underWay"]["examined"].as_u64().unwrap_or_default())
    }

    /// Ends it; answers what it has looked at since.
    async fn end(&mut self, before: u64) -> Result<u64> {
        let status = self.status().await?;
        let examined = status["underWay"]["examined"].as_u64();
        let examined = examined.ok_or("the pass was over before the load: take more --objects, or fewer --seconds")?;
        self.delete_rule().await?;
        self.wait(|status| status["underWay"].is_null()).await?;
        Ok(examined - before)
    }

    async fn put_rule(&mut self) -> Result<()> {
        self.rules += 1;
        let days = 10_000 + self.rules;
        let rules = format!(
            "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ID>old</ID><Filter/><Status>Enabled</Status><Expiration><Days>{days}</Days></Expiration></Rule></LifecycleConfiguration>"
        );
        self.lifecycle("PUT", rules.as_bytes()).await
    }

    async fn delete_rule(&self) -> Result<()> {
        self.lifecycle("DELETE", b"").await
    }

    async fn lifecycle(&self, method: &'static str, rules: &[u8]) -> Result<()> {
        let path = format!("/{}", self.bucket);
        let (status, answer) = self.target.call(method, &path, &[("lifecycle", "")], rules).await?;
        if matches!(status, 200 | 204) {
            return Ok(());
        }
        Err(format!("{method} of the rules was answered {status}: {}", String::from_utf8_lossy(&answer)).into())
    }

    /// What the server says of the bucket's lifecycle; null if nothing yet.
    async fn status(&self) -> Result<Value> {
        let (status, answer) = self.target.call("GET", "/_admin/v1/lifecycle", &[], b"").await?;
        if status != 200 {
            return Err(format!("the status was answered {status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(serde_json::from_slice::<Value>(&answer)?["buckets"][self.bucket].clone())
    }

    async fn wait(&self, what: impl Fn(&Value) -> bool) -> Result<Value> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let status = self.status().await?;
            if what(&status) {
                return Ok(status);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("the lifecycle worker was waited for, for {PATIENCE:?}").into())
    }
}

fn seconds(instant: &Value) -> Result<f64> {
    let text = instant.as_str().ok_or("a status without times")?;
    Ok(text.parse::<jiff::Timestamp>()?.as_millisecond() as f64 / 1e3)
}
