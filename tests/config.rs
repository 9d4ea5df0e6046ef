//! `deploy/config.toml` is the documentation of the configuration. These tests keep it complete, and true about the
//! defaults.

use cairn::config::{Config, Environment, Layers, RawConfig, keys, sections};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

fn documentation_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config.toml")
}

fn documentation() -> String {
    std::fs::read_to_string(documentation_path()).expect("deploy/config.toml is there")
}

/// The file with its `# key = value` and `# [[table]]` lines switched on.
fn with_everything_switched_on(text: &str) -> String {
    let switched_on = |line: &str| {
        let candidate = line.strip_prefix("# ").unwrap_or(line);
        let is_table = candidate.starts_with('[');
        let is_setting = candidate.split_once(" = ").is_some_and(|(name, _)| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        });
        if is_table || is_setting { candidate.to_owned() } else { String::new() }
    };
    text.lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

fn config_of(text: &str) -> Config {
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("written");
    let layers = Layers::of_file(file.path()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Config::from_layers(&layers).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let table: toml::Table = with_everything_switched_on(&documentation()).parse().expect("TOML");
    let mut documented = BTreeSet::new();
    for (section, value) in &table {
        let tables = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(tables) => tables.iter().filter_map(toml::Value::as_table).collect(),
            _ => panic!("{section} is no table"),
        };
        documented.extend(tables.into_iter().flat_map(|table| table.keys()).map(|name| format!("{section}.{name}")));
    }
    let existing: BTreeSet<String> = keys().iter().map(ToString::to_string).collect();
    assert_eq!(documented, existing, "left: deploy/config.toml, right: the program");
    assert_eq!(sections().len(), table.len());
}

#[test]
fn the_values_shown_are_the_defaults() {
    let text = with_everything_switched_on(&documentation());
    let shown = config_of(text.split("[[").next().expect("a first part"));
    let environment = Environment::from_pairs([("CAIRN_STORAGE_DATA", "/var/lib/cairn")]).expect("utf-8");
    let layers = Layers::gather(RawConfig::default(), &environment, None).expect("layers");
    let defaults = Config::from_layers(&layers).expect("valid");
    assert_eq!(format!("{shown:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_file_is_valid_as_it_is_and_with_everything_switched_on() {
    let config = config_of(&documentation());
    assert!(config.accounts.is_empty() && config.event_targets.is_empty() && config.tiers.is_empty());
    let config = config_of(&with_everything_switched_on(&documentation()));
    assert_eq!(config.accounts.len(), 1);
    let kinds: BTreeSet<_> = config.tiers.iter().map(|tier| tier.place.kind()).collect();
    assert_eq!(kinds.len(), 4, "one example for each kind: {kinds:?}");
    let kinds: BTreeSet<_> = config.event_targets.iter().map(|target| target.kind.as_str()).collect();
    assert_eq!(kinds.len(), 11, "one example for each kind: {kinds:?}");
}

#[test]
fn every_key_outside_of_lists_of_tables_has_its_variable() {
    for key in keys() {
        let expected = format!("CAIRN_{}_{}", key.section, key.name).to_uppercase();
        let variable = key.environment_variable();
        assert_eq!(
            variable,
            (!["account", "event_target", "tier"].contains(&key.section)).then_some(expected),
            "{key}"
        );
    }
}
