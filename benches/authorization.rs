//! What a decision costs: a user with 10 policies of 20 statements, as the evaluator sees it after a caller's policies
//! were parsed once. `cargo bench --profile release --ignore-rust-version --bench authorization`
//!
//! Prints the median and the 99th percentile for each kind of answer. Target: 10 µs at the median.

#[path = "end_to_end/policies.rs"]
mod policies;

use std::hint::black_box;
use std::time::Instant;

use cairn::rules::iam::{Context, Named, Policies, Policy, PolicyKind, Principal, Request, Verdict, decide};

use crate::policies::{POLICIES, STATEMENTS, document};

const ROUNDS: usize = 20_000;
/// Decisions that are timed together: one alone is too short for the clock.
const BATCH: u32 = 10;
const TARGET_MICROSECONDS: f64 = 10.0;

/// Microseconds at the median and at the 99th percentile.
fn measure(request: &Request<'_>, policies: &Policies<'_>) -> (f64, f64) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BATCH {
                black_box(decide(black_box(request), black_box(policies)));
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    (times[ROUNDS / 2], times[ROUNDS / 100 * 99])
}

fn main() {
    let parse = |number| Policy::parse(&document(number, None), PolicyKind::Identity).expect("a good policy");
    let parsed: Vec<Policy> = (0..POLICIES).map(parse).collect();
    let names: Vec<String> =
        (0..POLICIES).map(|number| format!("arn:aws:iam::111122223333:policy/p{number}")).collect();
    let identity: Vec<_> = parsed.iter().zip(&names).map(|(policy, name)| Named { name, policy }).collect();
    let policies = Policies {
        identity: &identity,
        boundary: None,
        session: None,
        resource: None,
        resource_account: "111122223333",
        granted_by_owner: false,
    };
    let principal = Principal::User {
        account: "111122223333".to_owned(),
        arn: "arn:aws:iam::111122223333:user/bob".to_owned(),
        unique_id: "AIDABOB".to_owned(),
    };
    let mut context = Context::new();
    for (key, value) in [
        ("aws:username", "bob"),
        ("aws:userid", "AIDABOB"),
        ("aws:SourceIp", "10.1.2.3"),
        ("aws:SecureTransport", "true"),
        ("aws:PrincipalTag/team", "red"),
        ("aws:UserAgent", "bench"),
        ("aws:CurrentTime", "2026-01-01T00:00:00Z"),
    ] {
        context.insert(key, value);
    }
    let last = POLICIES * STATEMENTS - 1;
    let cases = [
        ("allowed by the last statement", format!("arn:aws:s3:::team-{last}/home/bob/key"), "allowed"),
        ("denied", "arn:aws:s3:::team-3/home/bob/key".to_owned(), "denied"),
        ("nothing matches", "arn:aws:s3:::other/home/bob/key".to_owned(), "not allowed"),
    ];
    println!("{POLICIES} policies of {STATEMENTS} statements, {ROUNDS} rounds of {BATCH} decisions");
    for (name, resource, expected) in cases {
        let request = Request { principal: &principal, action: "s3:GetObject", resource: &resource, context: &context };
        let verdict = match decide(&request, &policies) {
            Verdict::Allowed { .. } => "allowed",
            Verdict::Denied { .. } => "denied",
            Verdict::NotAllowed => "not allowed",
        };
        assert_eq!(verdict, expected, "{name}");
        let (median, slow) = measure(&request, &policies);
        let met = if median <= TARGET_MICROSECONDS { "met" } else { "MISSED" };
        println!("{name:<32} median {median:6.2} µs   p99 {slow:6.2} µs   target {TARGET_MICROSECONDS} µs {met}");
    }
}
