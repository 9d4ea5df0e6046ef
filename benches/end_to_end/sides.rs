//! Sides of one comparison, measured in turns so that what else the machine does falls on all alike.

use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::load::{self, Tally, Until, Work};
use crate::payload::Noise;
use crate::server::Process;
use crate::target::Target;

/// One side, and what came of its turns so far.
pub struct Side {
    name: &'static str,
    work: Arc<Work>,
    operations: u64,
    seconds: f64,
    server_cpu: Duration,
}

impl Side {
    /// A side that had no turn yet.
    pub fn new(name: &'static str, work: Work) -> Self {
        Self { name, work: Arc::new(work), operations: 0, seconds: 0.0, server_cpu: Duration::ZERO }
    }

    /// Takes a turn.
    pub async fn turn(&mut self, target: &Target, connections: u16, noise: &Noise, time: Duration) -> Result<Tally> {
        let cpu = || target.process.map(Process::cpu).transpose();
        let before = cpu()?.unwrap_or_default();
        let tally = load::run(target, connections, &self.work, noise, Until::Time(time)).await?;
        self.server_cpu += cpu()?.unwrap_or_default().saturating_sub(before);
        self.operations += tally.operations();
        self.seconds += tally.elapsed.as_secs_f64();
        Ok(tally)
    }

    fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds.max(1e-9)
    }

    /// Prints the table's head; `of` says what the last column compares with.
    pub fn print_head(of: &str) {
        println!("{:>11}  {:>8}  {:>10}  {:>8}  {of:>8}", "connections", "side", "ops/s", "srv us");
    }

    /// Prints all sides, and whether the others reach `mark` of the first.
    pub fn print(sides: &[Self], connections: u16, mark: f64) {
        let Some(first) = sides.first() else { return };
        let mut met = true;
        for side in sides {
            let part = side.rate() / first.rate().max(1e-9);
            met &= part >= mark;
            let micros = side.server_cpu.as_secs_f64() * 1e6 / side.operations.max(1) as f64;
            let (name, rate) = (side.name, side.rate());
            println!("{connections:>11}  {name:>8}  {rate:>10.0}  {micros:>8.1}  {:>7.1}%", part * 100.0);
        }
        let verdict = if met { "met" } else { "MISSED" };
        println!("{:>11}  at least {:.0} % of {}: {verdict}", "", mark * 100.0, first.name);
    }
}
