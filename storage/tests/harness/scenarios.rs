//! The scripts that are crashed at every point.

use storage::chunking::Chunking;
use storage::compress::Codec;
use storage::index::records::Versioning;

use super::driver::{Name, Step};
use super::world::{Act, Ending, Sizes};
use super::{Body, LARGE_SEGMENT, SMALL_SEGMENT, TEXTS};

/// A script and what it runs on.
#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub sizes: Sizes,
    /// Images at each crash point at most.
    pub images: usize,
    pub script: Vec<Act>,
}

pub const B: Name = "bucket";
pub const SMALL: Sizes =
    Sizes { chunk_bytes: 8 << 10, segment_bytes: SMALL_SEGMENT, compression: Codec::Plain, chunking: Chunking::Fixed };
/// Chunks of two blocks, the second of which is short.
const LZ4: Sizes =
    Sizes { chunk_bytes: 68 << 10, segment_bytes: LARGE_SEGMENT, compression: Codec::Lz4, chunking: Chunking::Fixed };
/// Chunks that end where their bytes say.
const CDC: Sizes = Sizes { chunking: Chunking::FastCdc, ..SMALL };
const ZSTD: Sizes = Sizes { compression: Codec::Zstd, ..SMALL };
pub const LARGE: Sizes = Sizes { segment_bytes: LARGE_SEGMENT, ..SMALL };
/// Chunks so small that an object has more of them than fit into one commit.
const TINY: Sizes = Sizes { chunk_bytes: 512, ..LARGE };

pub fn put(key: Name, seed: u64, length: usize) -> Step {
    Step::Put(B, key, Body::new(seed, length))
}

pub fn part(number: u16, seed: u64, length: usize) -> Step {
    Step::Part(0, number, Body::new(seed, length))
}

pub fn scenario(name: &'static str, sizes: Sizes, images: usize, steps: Vec<Step>) -> Scenario {
    let script = std::iter::once(Step::CreateBucket(B)).chain(steps).map(Act::Do).collect();
    Scenario { name, sizes, images, script }
}

pub fn versioned(mut steps: Vec<Step>) -> Vec<Step> {
    steps.insert(0, Step::Versioning(B, Versioning::Enabled));
    steps
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    let mut all = objects();
    all.extend(deletions());
    all.extend(uploads());
    all.extend(space());
    all.extend(super::scenarios_more::all());
    all
}

fn objects() -> Vec<Scenario> {
    vec![
        Scenario { name: "first open", sizes: SMALL, images: 40, script: vec![Act::Reopen(Ending::Killed)] },
        scenario("small put", SMALL, 40, vec![put("a", 1, 100), put("b", 2, 4096), put("c", 3, 5000)]),
        scenario("large put", SMALL, 50, vec![put("a", 1, 40_000), put("b", 2, 33_000)]),
        scenario("dedup put", SMALL, 50, vec![put("a", 1, 20_000), put("b", 1, 20_000), put("c", 1, 33_000)]),
        scenario(
            "overwrite",
            SMALL,
            50,
            vec![put("a", 1, 20_000), put("a", 2, 9000), Step::CollectAll, put("a", 3, 100), put("a", 1, 20_000)],
        ),
        scenario(
            "versioned overwrite",
            SMALL,
            50,
            versioned(vec![
                put("a", 1, 9000),
                put("a", 2, 100),
                Step::Delete(B, "a"),
                Step::Versioning(B, Versioning::Suspended),
                put("a", 3, 9000),
                put("a", 4, 5000),
                Step::Delete(B, "a"),
                Step::CollectAll,
            ]),
        ),
    ]
}

fn deletions() -> Vec<Scenario> {
    vec![
        scenario(
            "delete",
            SMALL,
            50,
            vec![
                put("a", 1, 20_000),
                put("b", 2, 100),
                Step::Delete(B, "a"),
                Step::Delete(B, "b"),
                Step::CollectAll,
                put("a", 1, 20_000),
            ],
        ),
        scenario(
            "delete version and promote",
            SMALL,
            50,
            versioned(vec![
                put("a", 1, 9000),
                put("a", 2, 9000),
                Step::Delete(B, "a"),
                Step::DeleteVersion((B, "a", 0)),
                Step::DeleteVersion((B, "a", 0)),
                Step::Collect(100),
                Step::DeleteVersion((B, "a", 0)),
                Step::CollectAll,
            ]),
        ),
        scenario(
            "copy",
            SMALL,
            50,
            vec![
                put("a", 1, 20_000),
                put("small", 2, 100),
                Step::Copy((B, "a", 0), B, "b"),
                Step::Copy((B, "small", 0), B, "c"),
                Step::Delete(B, "a"),
                Step::CollectAll,
                Step::Tag((B, "b", 0), 1),
                Step::Delete(B, "b"),
                Step::CollectAll,
            ],
        ),
    ]
}

fn uploads() -> Vec<Scenario> {
    let many = (1..=160).map(|number| part(number, u64::from(number) % 5, 600));
    let end = [Step::Complete(0, 1), Step::Collect(20), Step::Delete(B, "a"), Step::CollectAll];
    vec![
        scenario(
            "multipart complete",
            SMALL,
            50,
            vec![
                Step::CreateUpload(B, "a"),
                part(1, 1, 9000),
                part(2, 2, 9000),
                part(2, 3, 20_000),
                Step::Complete(0, 1),
                Step::CollectAll,
                Step::Copy((B, "a", 0), B, "b"),
                Step::Delete(B, "a"),
                Step::CollectAll,
            ],
        ),
        scenario(
            "abort",
            SMALL,
            50,
            vec![
                put("b", 1, 9000),
                Step::CreateUpload(B, "a"),
                part(1, 1, 9000),
                part(2, 2, 20_000),
                Step::CopyPart(0, 3, (B, "b", 0)),
                Step::Abort(0),
                Step::CollectAll,
                put("a", 2, 20_000),
            ],
        ),
        scenario(
            "upload of many parts",
            LARGE,
            12,
            std::iter::once(Step::CreateUpload(B, "a")).chain(many).chain(end).collect(),
        ),
        scenario(
            "bucket deleted with its uploads",
            SMALL,
            40,
            vec![
                Step::Config(B, Some(1)),
                Step::CreateUpload(B, "a"),
                part(1, 1, 9000),
                Step::CreateUpload(B, "b"),
                Step::DeleteBucket(B),
                Step::CreateBucket(B),
                put("a", 1, 9000),
                Step::CollectAll,
                put("b", 2, 9000),
            ],
        ),
    ]
}

/// Fills segments, leaves little in each of them, compacts, and fills what has become free.
fn compacting(seed: u64) -> Vec<Step> {
    const KEYS: [Name; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
    let fill = |from: u64| KEYS.iter().zip(from..).map(|(key, seed)| put(key, seed, 20_000));
    let thin = || KEYS.iter().filter(|key| !matches!(**key, "1" | "4" | "7")).map(|key| Step::Delete(B, key));
    let mut steps: Vec<Step> = fill(seed).chain(thin()).collect();
    steps.extend([Step::CollectAll, Step::Compact, Step::Compact]);
    // The same bytes again: chunks that moved are found where they are now.
    steps.extend(fill(seed).chain(fill(seed + 20)).chain(thin()));
    steps.extend([Step::CollectAll, Step::Delete(B, "4"), Step::Compact, Step::CollectAll, Step::Compact]);
    steps.extend(fill(seed + 40));
    steps
}

/// Compressed segments hold so many more chunks that noise must help to fill them.
fn compressed_and_not() -> Vec<Step> {
    let text = |key, seed| put(key, TEXTS + seed, 30_000);
    let mut steps = vec![text("text 1", 1), text("text 2", 2), text("text 3", 3)];
    steps.extend(compacting(10));
    steps.extend([text("text 4", 1), Step::Delete(B, "text 1"), Step::Delete(B, "text 2")]);
    steps.extend([Step::CollectAll, Step::Compact, Step::Compact, text("text 5", 5)]);
    steps
}

fn compressed_overwrites() -> Vec<Step> {
    let text = |key, seed, length| put(key, TEXTS + seed, length);
    vec![
        text("a", 1, 150_000),
        // Does not shrink, and is stored as it is.
        put("b", 2, 80_000),
        text("a", 3, 70_000),
        Step::CollectAll,
        text("b", 1, 150_000),
        Step::Copy((B, "b", 0), B, "c"),
        Step::Delete(B, "b"),
        Step::CollectAll,
    ]
}

fn space() -> Vec<Scenario> {
    let mut recovery = vec![Act::Do(Step::CreateBucket(B)), Act::Do(put("a", 1, 20_000)), Act::Reopen(Ending::Killed)];
    recovery.extend([Act::Do(put("b", 2, 20_000)), Act::Reopen(Ending::Closed), Act::Do(put("c", 3, 9000))]);
    recovery.extend([Act::Do(Step::Delete(B, "a")), Act::Reopen(Ending::Killed), Act::Do(Step::CollectAll)]);
    recovery.extend([Act::Do(put("d", 4, 33_000)), Act::Reopen(Ending::Killed), Act::Do(put("e", 5, 700))]);
    let restarts = |name, sizes| Scenario { name, sizes, images: 50, script: recovery.clone() };
    vec![
        scenario(
            "chunks and manifests collected",
            SMALL,
            50,
            vec![
                put("a", 1, 9000),
                put("b", 1, 20_000),
                put("c", 2, 20_000),
                Step::Delete(B, "b"),
                Step::Collect(1),
                Step::Collect(2),
                Step::CollectAll,
                Step::Delete(B, "c"),
                Step::Collect(1),
                put("c", 2, 20_000),
                Step::CollectAll,
            ],
        ),
        scenario("segments rolled and recycled", SMALL, 50, recycling()),
        scenario("segments compacted", SMALL, 50, compacting(10)),
        scenario("compressed segments compacted", ZSTD, 50, compressed_and_not()),
        scenario(
            "chunks of various lengths",
            CDC,
            40,
            vec![
                put("a", 1, 30_000),
                put("b", 2, 20_000),
                put("c", 1, 33_000),
                Step::Delete(B, "a"),
                Step::CollectAll,
                Step::CreateUpload(B, "a"),
                part(1, 1, 30_000),
                part(2, 2, 9000),
                Step::Complete(0, 1),
                Step::Delete(B, "c"),
                Step::CollectAll,
            ],
        ),
        scenario("compressed chunks overwritten", LZ4, 40, compressed_overwrites()),
        scenario(
            "large manifest",
            TINY,
            10,
            vec![
                put("a", 1, 90_000),
                put("b", 1, 90_000),
                Step::Delete(B, "a"),
                Step::Collect(2),
                Step::Delete(B, "b"),
                Step::CollectAll,
            ],
        ),
        restarts("restarts with small segments", SMALL),
        restarts("restarts with large segments", LARGE),
    ]
}

/// Fills segments, empties them, and fills them again.
pub fn recycling() -> Vec<Step> {
    vec![
        put("a", 1, 33_000),
        put("b", 2, 33_000),
        Step::Delete(B, "a"),
        Step::CollectAll,
        put("c", 3, 33_000),
        Step::Delete(B, "b"),
        Step::CollectAll,
        put("d", 4, 33_000),
        put("e", 5, 33_000),
        Step::Delete(B, "c"),
        Step::CollectAll,
        put("f", 1, 33_000),
    ]
}
