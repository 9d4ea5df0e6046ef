//! The README's table of operations is the code's.

use std::collections::BTreeSet;

use cairn::protocol::{OPERATIONS, Support, iam_actions, sts_actions};

/// The first cell of each row, as the README has it.
const ROWS: [(Support, &str); 3] = [
    (Support::Acts, "does what S3 does"),
    (Support::Answers, "answers as S3 does where the feature is not used"),
    (Support::NotImplemented, "refuses with `NotImplemented`"),
];

fn of_the_code(support: Support) -> BTreeSet<&'static str> {
    OPERATIONS.iter().filter(|(_, known)| *known == support).map(|(name, _)| *name).collect()
}

/// The names between backticks in the second cell of the row that begins with `label`.
fn of_the_readme<'a>(readme: &'a str, label: &str) -> Option<BTreeSet<&'a str>> {
    let row = readme.lines().find_map(|line| line.strip_prefix(&format!("| {label} |")))?;
    Some(row.split('`').skip(1).step_by(2).collect())
}

#[test]
fn the_readme_names_the_actions_of_iam_and_sts() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let services: [(&str, Vec<&str>); 2] = [("IAM", iam_actions().collect()), ("STS", sts_actions().collect())];
    for (label, actions) in services {
        let names: Vec<_> = actions.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| {label} | {} |", names.join(", "));
        assert_eq!(of_the_readme(&readme, label), Some(actions.into_iter().collect()), "the row must be\n{row}\n");
    }
}

#[test]
fn the_readme_names_what_the_server_does_with_each_operation() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    for (support, label) in ROWS {
        let code = of_the_code(support);
        let names: Vec<_> = code.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| {label} | {} |", names.join(", "));
        assert_eq!(of_the_readme(&readme, label), Some(code), "the row must be\n{row}\n");
    }
}
