//! The same requests to a server with few objects and to one with many, in turns: cost is to grow with work, not with what
//! is stored.

use std::sync::Arc;

use crate::Result;
use crate::load::{Keys, Numbered, Numbers, ReplayBody, Work};
use crate::options::Options;
use crate::payload::{Noise, xorshift};
use crate::report::Report;
use crate::scale::{BUCKET, OBJECT, PAGE};
use crate::sides::Side;
use crate::signing::Request;
use crate::target::Target;

/// Objects of the smaller store.
pub const FEW: u64 = 100_000;

const PUTS: &str = "cairn-growth";
/// Turns of each side for an operation and a number of connections.
const TURNS: u32 = 4;
/// Throughput with many objects by that with few, at least.
const MARK: f64 = 0.85;
/// Objects and pages that are asked for, chosen at random.
const OBJECTS: usize = 50_000;
const PAGES: usize = 512;

/// A server, and how many objects it has.
pub struct Stored<'a> {
    pub target: &'a Target,
    pub objects: u64,
    pub keys: Keys,
}

/// Runs the comparison.
pub async fn run(options: &Options, report: &mut Report, noise: &Noise, both: &[Stored<'_>; 2]) -> Result<()> {
    for stored in both {
        stored.target.create_bucket(PUTS).await?;
    }
    let [few, many] = both;
    println!("\n{} objects beside {}, {TURNS} turns each", many.objects, few.objects);
    Side::print_head("of few");
    for connections in options.connections.clone() {
        for operation in ["PUT", "GET", "LIST"] {
            println!("{operation}");
            let mut sides = [
                Side::new("few", few.work(operation, options, connections)?),
                Side::new("many", many.work(operation, options, connections)?),
            ];
            for _ in 0..TURNS {
                for (side, stored) in sides.iter_mut().zip(both) {
                    let tally = side.turn(stored.target, connections, noise, options.cell_time() / 2).await?;
                    report.add_errors(tally.errors);
                }
            }
            Side::print(&sides, connections, MARK);
        }
    }
    Ok(())
}

impl Stored<'_> {
    fn work(&self, operation: &str, options: &Options, connections: u16) -> Result<Work> {
        if operation == "PUT" {
            let keys = Keys::Scattered(format!("/{PUTS}/{}-{connections}/", std::process::id()));
            let method = Numbered::Put { size: 4096, signing: options.payload };
            return Ok(Work::Numbered { method, keys, numbers: Numbers::new(0, u64::MAX) });
        }
        let mut random = 0x2545_F491_4F6C_DD1D;
        let mut numbers = std::iter::repeat_with(|| xorshift(&mut random) % self.objects);
        if operation == "GET" {
            let paths = numbers.take(OBJECTS).map(|number| (self.keys.path(number), Vec::new()));
            return self.replay(paths, ReplayBody::Objects { size: OBJECT, stamps: None });
        }
        let groups = self.objects.div_ceil(PAGE).saturating_sub(1).max(1);
        let starts: Vec<String> =
            numbers.by_ref().take(PAGES).map(|number| format!("{:06}/", number % groups)).collect();
        let pages = starts.iter().map(|start| {
            let query = vec![("list-type", "2"), ("max-keys", "1000"), ("start-after", start.as_str())];
            (format!("/{BUCKET}"), query)
        });
        self.replay(pages, ReplayBody::Pages)
    }

    fn replay<'q>(
        &self,
        asked: impl Iterator<Item = (String, Vec<(&'q str, &'q str)>)>,
        body: ReplayBody,
    ) -> Result<Work> {
        let mut signer = self.target.signer.clone();
        let heads = asked.map(|(path, query)| {
            let mut head = Vec::new();
            signer.write_head(&mut head, &Request::empty("GET", &path, &query))?;
            Ok(head)
        });
        Ok(Work::Replay { heads: heads.collect::<Result<Vec<_>>>()?, body })
    }

    /// GETs of objects chosen at random.
    pub fn gets(&self, options: &Options) -> Result<Arc<Work>> {
        self.work("GET", options, 1).map(Arc::new)
    }
}
