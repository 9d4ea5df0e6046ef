//! Holds the arrows of the map in `src/lib.rs`: who may use whom, read from the code's own paths.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, what its code must not mention, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "src/rules",
        &[
            "crate::object",
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::telemetry",
        ],
        "rules depend on nothing above them",
    ),
    (
        "src/rules",
        &[
            "s3s",
            "hyper::",
            "http::",
            "tokio::",
            "async fn",
            "std::fs",
            "std::net",
            "SystemTime",
            "Instant::",
            "getrandom",
            "storage::Store",
            "storage::store",
        ],
        "rules are pure",
    ),
    (
        "src/object",
        &["crate::protocol", "crate::server", "crate::cli", "crate::config", "crate::workers", "crate::telemetry"],
        "objects do not know who called",
    ),
    (
        "src/object",
        &["s3s", "hyper::", "http::", "quick_xml", "std::fs", "rocksdb"],
        "objects know no HTTP, no XML, no files",
    ),
    (
        "src/identity",
        &["crate::protocol", "crate::server", "crate::cli", "crate::config", "crate::workers", "crate::object"],
        "identities do not know who called",
    ),
    (
        "src/identity",
        &["s3s", "hyper::", "http::", "quick_xml", "rocksdb", "storage::kv"],
        "identities know no HTTP, no XML, no engines",
    ),
    (
        "src/encryption",
        &[
            "s3s",
            "hyper::",
            "http::",
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::object",
            "crate::identity",
            "storage::",
        ],
        "encryption does not know what is encrypted",
    ),
    (
        "src/tiers",
        &[
            "s3s",
            "hyper::",
            "http::",
            "object_store",
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::object",
        ],
        "tiers do not know what goes there",
    ),
    (
        "src/event_targets",
        &[
            "s3s",
            "hyper::",
            "http::",
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::object",
        ],
        "targets do not know who sends to them",
    ),
    (
        "src/protocol",
        &[
            "rocksdb",
            "std::fs",
            "storage::kv",
            "storage::chunks",
            "storage::disk",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::server",
        ],
        "the protocol knows no files and no engines",
    ),
    (
        "src/identity",
        &[
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::telemetry",
            "crate::object",
        ],
        "identities do not know who called, nor what is stored beside them",
    ),
    (
        "src/identity",
        &["s3s", "hyper::", "http::", "quick_xml", "reqwest", "rocksdb"],
        "identities know no HTTP and no XML",
    ),
    (
        "src/outbound",
        &[
            "crate::protocol",
            "crate::server",
            "crate::cli",
            "crate::config",
            "crate::workers",
            "crate::object",
            "crate::identity",
            "crate::rules",
            "storage::",
            "s3s",
        ],
        "connections do not know who asked for them",
    ),
    (
        "src/telemetry",
        &[
            "crate::protocol",
            "crate::server",
            "crate::object",
            "crate::identity",
            "crate::outbound",
            "crate::rules",
            "storage::",
        ],
        "telemetry does not know who is measured",
    ),
    ("src/workers", &["s3s", "crate::protocol", "crate::server", "crate::cli"], "workers do not know the protocol"),
    (
        "src/server",
        &["s3s", "crate::protocol", "crate::object", "crate::rules", "storage::"],
        "listeners know nothing of S3",
    ),
    (
        "src/config",
        &[
            "s3s",
            "crate::protocol",
            "crate::object",
            "storage::Store",
            "storage::store",
            "storage::index",
            "storage::records",
            "storage::kv",
            "storage::chunks",
        ],
        "configuration knows nothing of S3, nor of what is stored: of the store only which engine reads the disk",
    ),
    ("storage/src", &["s3s", "hyper", "http::", "quick_xml", "cairn::"], "the store knows no protocol"),
    (
        "storage/src/index",
        &["crate::chunks", "crate::disk", "crate::store", "std::fs", "tokio::", "async fn"],
        "the index is pure and does not know the chunks",
    ),
    (
        "storage/src/chunks",
        &["crate::index", "crate::kv", "crate::store", "crate::gc"],
        "the chunks do not know the index",
    ),
    (
        "storage/src/kv",
        &["crate::chunks", "crate::disk", "crate::store", "crate::index"],
        "the engine knows no records and no files of ours",
    ),
    (
        "storage/src/disk",
        &["crate::index", "crate::kv", "crate::store", "crate::chunks"],
        "the disk does not know what it holds",
    ),
];

/// The rooms in which s3s, whose interface breaks at each release, may be named.
const S3S_ROOMS: &[&str] = &["src/protocol"];

fn sources(room: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(room);
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    let file = root.with_extension("rs");
    if file.exists() {
        files.push(file);
    }
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{room} has no code: is the map still right?");
    files
}

/// The code of a file, without comments and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().contains("tests")) || path.ends_with("contract.rs")
}

/// Whether `code` names `path`, as a word of its own.
fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

#[test]
fn every_room_keeps_to_its_neighbours() {
    let mut broken = Vec::new();
    for (room, forbidden, why) in FORBIDDEN {
        for path in sources(room).into_iter().filter(|path| !is_test(path)) {
            let code = code(&path);
            for word in forbidden.iter().filter(|word| names(&code, word)) {
                broken.push(format!("{} names {word}: {why}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn s3s_ends_at_the_protocol() {
    let named: Vec<_> = sources("src").into_iter().filter(|path| names(&code(path), "s3s::")).collect();
    assert!(!named.is_empty(), "the search finds nothing any more");
    for path in named {
        let inside = S3S_ROOMS.iter().any(|room| path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join(room)));
        assert!(inside, "{} names s3s", path.display());
    }
}

#[test]
fn unsafe_code_stays_with_the_disk() {
    for room in ["src", "storage/src"] {
        for path in sources(room) {
            let inside = path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("storage/src/disk"));
            assert!(inside || !names(&code(&path), "unsafe {"), "{} has unsafe code", path.display());
        }
    }
}
