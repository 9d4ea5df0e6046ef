//! Scripts of what is younger than writing, copying and deleting, and of what goes on beside clients.

use super::Body;
use super::chores::Chore;
use super::driver::{Name, Step};
use super::scenarios::{B, LARGE, SMALL, Scenario, part, put, scenario, versioned};
use super::world::{Act, Ending};

fn chore(chore: Chore) -> Step {
    Step::Chore(chore)
}

fn append(seed: u64, length: usize) -> Step {
    Step::Append(B, "a", Body::new(seed, length))
}

fn send(key: Name) -> Step {
    Step::SendToTier(B, key)
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let mut all = objects();
    all.extend(parts_and_scrubbing());
    all.extend(tiers());
    all.extend(records());
    all.extend(restarts());
    all
}

fn objects() -> Vec<Scenario> {
    let annotate = |nth, body| Step::Annotate((B, "a", nth), body);
    let within = |key, length, max| Step::PutWithin(B, key, Body::new(1, length), max);
    let few = (0..36).map(|number| append(number % 3, 400));
    vec![
        scenario(
            "append",
            SMALL,
            50,
            vec![put("a", 1, 100), append(2, 5000), append(3, 20_000), Step::CollectAll, append(4, 1)],
        ),
        scenario(
            "many appends",
            LARGE,
            10,
            std::iter::once(put("a", 1, 9000)).chain(few).chain([Step::Delete(B, "a"), Step::CollectAll]).collect(),
        ),
        scenario(
            "rename",
            SMALL,
            50,
            vec![
                put("a", 1, 20_000),
                put("bb", 2, 100),
                Step::Rename(B, "a", "c"),
                Step::Rename(B, "bb", "a"),
                Step::Rename(B, "c", "a"),
                Step::CollectAll,
            ],
        ),
        scenario(
            "annotations",
            SMALL,
            40,
            versioned(vec![
                put("a", 1, 9000),
                annotate(0, Some(Body::new(2, 5000))),
                put("a", 3, 100),
                annotate(1, Some(Body::new(4, 700))),
                annotate(0, Some(Body::new(2, 5000))),
                annotate(1, None),
                Step::CollectAll,
                Step::DeleteVersion((B, "a", 0)),
                Step::CollectAll,
            ]),
        ),
        scenario(
            "quotas",
            SMALL,
            40,
            vec![
                within("a", 9000, 20_000),
                within("b", 12_000, 20_000),
                within("b", 5000, 20_000),
                within("a", 9500, 14_000),
                Step::Delete(B, "a"),
                within("b", 14_000, 14_000),
                Step::CollectAll,
            ],
        ),
    ]
}

fn parts_and_scrubbing() -> Vec<Scenario> {
    vec![
        scenario(
            "parts replaced, copied and left out",
            SMALL,
            40,
            vec![
                put("b", 1, 20_000),
                Step::CreateUpload(B, "a"),
                part(1, 1, 9000),
                Step::CopyPart(0, 2, (B, "b", 0)),
                part(4, 5, 9000),
                part(4, 6, 700),
                Step::Complete(0, 2),
                Step::Delete(B, "b"),
                Step::CollectAll,
            ],
        ),
        scenario(
            "scrubbing",
            SMALL,
            40,
            vec![
                put("a", 1, 20_000),
                chore(Chore::Scrub),
                put("a", 2, 20_000),
                Step::CollectAll,
                chore(Chore::Scrub),
                Step::Delete(B, "a"),
                chore(Chore::Scrub),
                put("b", 1, 33_000),
            ],
        ),
    ]
}

fn tiers() -> Vec<Scenario> {
    vec![
        scenario(
            "moved to a tier and back",
            SMALL,
            50,
            vec![
                put("a", 1, 20_000),
                send("a"),
                Step::CollectAll,
                put("b", 2, 9000),
                send("b"),
                Step::BringBack(B, "a"),
                chore(Chore::ReleaseAll),
                send("a"),
            ],
        ),
        scenario(
            "one copy in a tier for several objects",
            SMALL,
            50,
            vec![
                put("a", 1, 20_000),
                put("b", 1, 20_000),
                send("a"),
                send("b"),
                Step::Delete(B, "a"),
                chore(Chore::ReleaseAll),
                Step::Delete(B, "b"),
                chore(Chore::ReleaseAll),
            ],
        ),
        scenario(
            "an object of parts in a tier",
            SMALL,
            40,
            vec![
                Step::CreateUpload(B, "a"),
                part(1, 1, 9000),
                part(2, 2, 9000),
                Step::Complete(0, 1),
                send("a"),
                Step::CollectAll,
                put("a", 3, 100),
                chore(Chore::ReleaseAll),
            ],
        ),
    ]
}

fn records() -> Vec<Scenario> {
    vec![
        scenario(
            "outbox read and trimmed",
            SMALL,
            40,
            vec![
                put("a", 1, 100),
                put("b", 2, 9000),
                put("a", 3, 5000),
                chore(Chore::Cursor(2)),
                chore(Chore::Trim(2)),
                Step::Delete(B, "a"),
                chore(Chore::Cursor(4)),
                chore(Chore::Trim(4)),
                put("c", 4, 9000),
            ],
        ),
        scenario(
            "dead letters",
            SMALL,
            40,
            vec![
                put("a", 1, 9000),
                put("b", 2, 100),
                chore(Chore::Bury(&[1, 2])),
                put("a", 3, 9000),
                chore(Chore::Exhume(1)),
                chore(Chore::Bury(&[3])),
                chore(Chore::Trim(3)),
                chore(Chore::Exhume(3)),
            ],
        ),
        scenario(
            "access logs",
            SMALL,
            40,
            vec![
                chore(Chore::KeepLogs(3, 900)),
                put("a", 1, 9000),
                chore(Chore::KeepLogs(2, 3000)),
                put("log", 2, 5000),
                chore(Chore::DropLogs(3)),
                chore(Chore::KeepLogs(1, 10)),
                chore(Chore::DropLogs(6)),
            ],
        ),
        scenario(
            "identities and notes of workers",
            SMALL,
            40,
            vec![
                chore(Chore::Identity("one", 1, None)),
                chore(Chore::Note(Some(1))),
                put("a", 1, 9000),
                chore(Chore::Identity("two", 2, Some("one"))),
                chore(Chore::Note(Some(2))),
                put("b", 2, 9000),
                chore(Chore::Identity("two", 3, None)),
                chore(Chore::Note(None)),
            ],
        ),
    ]
}

fn restarts() -> Vec<Scenario> {
    let doing = |steps: Vec<Step>| {
        let between = [Ending::Killed, Ending::Closed];
        let acts = steps.into_iter().zip(between.into_iter().cycle());
        let mut script = vec![Act::Do(Step::CreateBucket(B))];
        script.extend(acts.flat_map(|(step, ending)| [Act::Do(step), Act::Reopen(ending)]));
        script
    };
    let every = vec![
        put("a", 1, 20_000),
        put("a", 2, 9000),
        Step::Copy((B, "a", 0), B, "b"),
        Step::CreateUpload(B, "c"),
        part(1, 3, 9000),
        Step::Complete(0, 1),
        Step::Delete(B, "a"),
        Step::CollectAll,
        put("d", 4, 33_000),
    ];
    let emptied = vec![
        put("a", 1, 33_000),
        put("b", 2, 33_000),
        Step::Delete(B, "a"),
        Step::CollectAll,
        Step::Compact,
        put("c", 3, 33_000),
        Step::Delete(B, "b"),
        Step::CollectAll,
        put("d", 1, 33_000),
    ];
    vec![
        Scenario { name: "a restart after each operation", sizes: SMALL, images: 30, script: doing(every) },
        Scenario { name: "restarts while space is used again", sizes: SMALL, images: 30, script: doing(emptied) },
    ]
}
