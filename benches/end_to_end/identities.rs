//! What policies cost a client: small GETs with root's key, for which nothing has to be asked, beside those of a user
//! with ten policies of twenty statements. Both take turns, several times over, so that what else the machine does
//! meets both.

use std::sync::Arc;
use std::time::Duration;

use crate::Result;
use crate::load::{self, Keys, Numbered, Numbers, ReplayBody, Tally, Until, Work};
use crate::options::{Options, PayloadSigning};
use crate::payload::Noise;
use crate::policies::{POLICIES, STATEMENTS, document};
use crate::server::{Process, Server};
use crate::signing::Request;
use crate::target::Target;

const BUCKET: &str = "cairn-bench";
const USER: &str = "bench";
const OBJECTS: u64 = 1_000;
const SIZE: u64 = 4_096;
/// Turns of each of the two for every number of connections.
const ROUNDS: usize = 7;
/// How much slower the user's GETs may be, in per cent.
const MARK_PERCENT: f64 = 5.0;
/// The longest that a preparation may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// One side of the comparison.
struct Side {
    target: Target,
    work: Arc<Work>,
}

/// What one side did in all of its turns.
#[derive(Default)]
struct Turns {
    rates: Vec<f64>,
    cpu_per_operation: Vec<f64>,
}

/// Measures and prints.
pub async fn run(options: &Options) -> Result<()> {
    let directory = tempfile::Builder::new().prefix("cairn-bench-").tempdir_in(options.data_parent()?)?;
    let server = Server::start(options, &directory.path().join("data")).await?;
    let root = Target::new(options, server.address, Some(server.process()))?;
    let noise = Noise::new();
    root.create_bucket(BUCKET).await?;
    let put = Numbered::Put { size: SIZE, signing: PayloadSigning::Auto };
    each(&root, &noise, put).await?.whole("storing objects")?;
    each(&root, &noise, Numbered::Get).await?.whole("warming up")?;
    let user = user(&root).await?;
    let sides = [side(root)?, side(user)?];
    println!(
        "\nGET of {SIZE} bytes: root, and a user with {POLICIES} policies of {STATEMENTS} statements; {ROUNDS} turns each"
    );
    println!(
        "{:>5} {:>12} {:>12} {:>12} {:>12} {:>10}  mark",
        "conn", "root op/s", "user op/s", "root srv us", "user srv us", "slower"
    );
    for connections in options.connections.clone() {
        let mut turns = [Turns::default(), Turns::default()];
        for round in 0..ROUNDS {
            // Who begins changes, so that neither always follows the other.
            for index in [round % 2, 1 - round % 2] {
                turn(&sides[index], &mut turns[index], connections, &noise, options.cell_time()).await?;
            }
        }
        print(connections, &turns);
    }
    Ok(())
}

fn print(connections: u16, [root, user]: &[Turns; 2]) {
    // Of turns that followed each other: what the machine did meanwhile is the same for both.
    let slower: Vec<f64> = root.rates.iter().zip(&user.rates).map(|(root, user)| (1.0 - user / root) * 100.0).collect();
    let slower = median(&slower);
    let met = if slower <= MARK_PERCENT { "met" } else { "MISSED" };
    println!(
        "{connections:>5} {:>12.0} {:>12.0} {:>12.1} {:>12.1} {slower:>9.1}%  <= {MARK_PERCENT} % {met}",
        median(&root.rates),
        median(&user.rates),
        median(&root.cpu_per_operation),
        median(&user.cpu_per_operation),
    );
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

async fn turn(side: &Side, turns: &mut Turns, connections: u16, noise: &Noise, time: Duration) -> Result<()> {
    let cpu = || side.target.process.map(Process::cpu).transpose();
    let before = cpu()?;
    let tally = load::run(&side.target, connections, &side.work, noise, Until::Time(time)).await?.whole("GET")?;
    let used = cpu()?.zip(before).map_or(Duration::ZERO, |(after, before)| after.saturating_sub(before));
    turns.rates.push(tally.rate());
    turns.cpu_per_operation.push(used.as_secs_f64() * 1e6 / tally.operations().max(1) as f64);
    Ok(())
}

fn keys() -> Keys {
    Keys::Scattered(format!("/{BUCKET}/"))
}

async fn each(target: &Target, noise: &Noise, method: Numbered) -> Result<Tally> {
    let work = Arc::new(Work::Numbered { method, keys: keys(), numbers: Numbers::new(0, OBJECTS) });
    load::run(target, 16, &work, noise, Until::Exhausted(PATIENCE)).await
}

fn side(target: Target) -> Result<Side> {
    let (mut signer, keys) = (target.signer.clone(), keys());
    let heads: Result<Vec<Vec<u8>>> = (0..OBJECTS)
        .map(|number| {
            let mut head = Vec::new();
            signer.write_head(&mut head, &Request::empty("GET", &keys.path(number), &[]))?;
            Ok(head)
        })
        .collect();
    let work = Arc::new(Work::Replay { heads: heads?, body: ReplayBody::Objects { size: SIZE, stamps: None } });
    Ok(Side { target, work })
}

/// The same server, for a new user to whom the last statement of the last policy allows to read.
async fn user(root: &Target) -> Result<Target> {
    let iam = |action: &'static str, fields: Vec<(&'static str, String)>| root.query(action, fields);
    iam("CreateUser", vec![("UserName", USER.to_owned())]).await?;
    for number in 0..POLICIES {
        let text = document(number, Some(BUCKET));
        let created = iam("CreatePolicy", vec![("PolicyName", format!("p{number}")), ("PolicyDocument", text)]).await?;
        let arn = element(&created, "Arn")?;
        iam("AttachUserPolicy", vec![("UserName", USER.to_owned()), ("PolicyArn", arn)]).await?;
    }
    let key = iam("CreateAccessKey", vec![("UserName", USER.to_owned())]).await?;
    let signer = root.signer.with_key(element(&key, "AccessKeyId")?, element(&key, "SecretAccessKey")?);
    Ok(Target { signer, ..root.clone() })
}

fn element(xml: &str, name: &str) -> Result<String> {
    let after = xml.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let text = after.and_then(|rest| rest.split_once('<')).map(|(text, _)| text.to_owned());
    text.ok_or_else(|| format!("an answer has no {name}: {xml}").into())
}
