//! Where settings come from, strongest first: flags, environment, file. Defaults are added by [`super::Config`].

use super::ConfigError;
use super::events::{self, RawEventTarget};
use super::raw::{self, Key, List, Pairs, RawConfig, Scalar};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Larger configuration files are refused: no sensible one comes near, and a wrong path may name anything.
const MAX_FILE_SIZE_BYTES: u64 = 4 << 20;

/// The variables of the process that begin with `CAIRN_`, as a value, so that tests bring their own.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// If a `CAIRN_` variable is not UTF-8.
    pub fn of_process() -> Result<Self, ConfigError> {
        Self::from_pairs(std::env::vars_os())
    }

    /// Takes the `CAIRN_` variables out of `pairs`. An empty value counts as not set, as Compose files produce it.
    ///
    /// # Errors
    /// If a `CAIRN_` variable is not UTF-8.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let mut variables = BTreeMap::new();
        for (name, value) in pairs {
            let Ok(name) = name.into().into_string() else {
                continue;
            };
            if !name.starts_with("CAIRN_") {
                continue;
            }
            let Ok(value) = value.into().into_string() else {
                return Err(ConfigError::Environment { name, reason: "its value is not UTF-8".to_owned() });
            };
            if !value.is_empty() {
                variables.insert(name, value);
            }
        }
        Ok(Self(variables))
    }

    /// The value of a variable, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The names of all variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Variables that resemble settings but are none, each with the name that may have been meant.
    ///
    /// They are worth a warning and no more: Kubernetes itself sets `CAIRN_PORT_9000_TCP` and the like for
    /// a service called `cairn`.
    #[must_use]
    pub fn unknown(&self) -> Vec<(String, Option<String>)> {
        let mut known: Vec<String> = raw::keys().iter().filter_map(Key::environment_variable).collect();
        known.extend(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()));
        let stranger = |name: &&String| {
            !known.contains(name) && !name.starts_with(events::ENVIRONMENT_PREFIX) && !set_by_kubernetes(name)
        };
        let with_hint = |name: &String| {
            let hint = raw::did_you_mean(name, known.iter().map(String::as_str));
            (name.clone(), hint.map(str::to_owned))
        };
        self.0.keys().filter(stranger).map(with_hint).collect()
    }
}

/// Variables that are no configuration keys.
const OTHER_VARIABLES: [&str; 5] = [
    "CAIRN_CONFIG",
    "CAIRN_ROOT_ACCESS_KEY_ID",
    "CAIRN_ROOT_ACCESS_KEY_ID_FILE",
    "CAIRN_ROOT_SECRET_ACCESS_KEY",
    "CAIRN_ROOT_SECRET_ACCESS_KEY_FILE",
];

fn set_by_kubernetes(name: &str) -> bool {
    name.contains("_PORT_") || name.ends_with("_PORT") || name.contains("_SERVICE_")
}

/// Who set a value; it is part of every complaint about that value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flags,
    Environment,
    File(PathBuf),
}

/// All that was said, strongest layer first.
#[derive(Debug, Default)]
pub struct Layers(Vec<(Origin, RawConfig)>);

impl Layers {
    /// Gathers the layers. `file` is read here; the other two were read by the caller.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML or has a key that does not exist.
    pub fn gather(flags: RawConfig, environment: &Environment, file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut layers = vec![(Origin::Flags, flags), (Origin::Environment, from_environment(environment)?)];
        let mut raw = file.map(read_file).transpose()?.unwrap_or_default();
        events::apply_environment(&mut raw.event_target, environment)?;
        if let Some(path) = file {
            layers.push((Origin::File(path.to_owned()), raw));
        }
        Ok(Self(layers))
    }

    /// The layer of one file alone, with no flags and no environment.
    ///
    /// # Errors
    /// As [`Layers::gather`].
    pub fn of_file(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self(vec![(Origin::File(path.to_owned()), read_file(path)?)]))
    }

    /// The strongest layer's value of a key. An empty text counts as not set.
    pub(super) fn scalar(
        &self,
        section: &'static str,
        name: &'static str,
        get: impl Fn(&RawConfig) -> &Option<Scalar>,
    ) -> Option<Setting<'_, str>> {
        self.0.iter().find_map(|(origin, raw)| {
            let value = get(raw).as_ref().map(|scalar| scalar.0.trim()).filter(|text| !text.is_empty())?;
            Some(Setting { key: Key { section, name }, origin, value })
        })
    }

    /// The strongest layer's list; a stronger list replaces a weaker one whole. An empty list counts as not set.
    pub(super) fn list(
        &self,
        section: &'static str,
        name: &'static str,
        get: impl Fn(&RawConfig) -> &Option<List>,
    ) -> Option<Setting<'_, [String]>> {
        self.0.iter().find_map(|(origin, raw)| {
            let value = get(raw).as_ref().map(|list| list.0.as_slice()).filter(|list| !list.is_empty())?;
            Some(Setting { key: Key { section, name }, origin, value })
        })
    }

    /// The tables of the file, which alone has any.
    pub(super) fn event_targets(&self) -> &[RawEventTarget] {
        self.0.iter().map(|(_, raw)| raw.event_target.as_slice()).find(|tables| !tables.is_empty()).unwrap_or_default()
    }

    /// The tables of the file, which alone has any.
    pub(super) fn tiers(&self) -> &[super::tiers::RawTier] {
        self.0.iter().map(|(_, raw)| raw.tier.as_slice()).find(|tables| !tables.is_empty()).unwrap_or_default()
    }

    /// As [`Self::list`], of names with values.
    pub(super) fn pairs(
        &self,
        section: &'static str,
        name: &'static str,
        get: impl Fn(&RawConfig) -> &Option<Pairs>,
    ) -> Option<Setting<'_, [(String, String)]>> {
        self.0.iter().find_map(|(origin, raw)| {
            let value = get(raw).as_ref().map(|pairs| pairs.0.as_slice()).filter(|pairs| !pairs.is_empty())?;
            Some(Setting { key: Key { section, name }, origin, value })
        })
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &raw::RawAccount> {
        self.0.iter().flat_map(|(_, raw)| &raw.account)
    }
}

/// A value together with its key and its author, ready to be judged.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a, T: ?Sized> {
    pub key: Key,
    pub origin: &'a Origin,
    pub value: &'a T,
}

impl<T: ?Sized> Setting<'_, T> {
    pub fn refuse(&self, reason: impl fmt::Display) -> ConfigError {
        let source = match self.origin {
            Origin::Flags => "on the command line".to_owned(),
            Origin::Environment => self.key.environment_variable().unwrap_or_default(),
            Origin::File(path) => format!("in {}", path.display()),
        };
        ConfigError::Invalid { key: self.key.to_string(), source_name: source, reason: reason.to_string() }
    }
}

/// Turns the variables into the TOML they mirror, so that both take one way in.
fn from_environment(environment: &Environment) -> Result<RawConfig, ConfigError> {
    let mut root = toml::Table::new();
    for key in raw::keys() {
        let Some(value) = key.environment_variable().and_then(|name| environment.get(&name)) else {
            continue;
        };
        let section = root.entry(key.section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(section) = section {
            section.insert(key.name.to_owned(), toml::Value::String(value.to_owned()));
        }
    }
    RawConfig::from_table(root)
}

impl RawConfig {
    fn from_table(table: toml::Table) -> Result<Self, ConfigError> {
        table.try_into().map_err(|error: toml::de::Error| ConfigError::Environment {
            name: "CAIRN_*".to_owned(),
            reason: error.message().to_owned(),
        })
    }
}

#[allow(clippy::disallowed_methods, reason = "an operator's file, read once at start; no stored data")]
fn read_file(path: &Path) -> Result<RawConfig, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::File { path: path.to_owned(), reason: error.to_string() };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_SIZE_BYTES {
        let reason = format!("it has {size} bytes; a configuration has at most {MAX_FILE_SIZE_BYTES}");
        return Err(ConfigError::File { path: path.to_owned(), reason });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map_err(|reason| ConfigError::File { path: path.to_owned(), reason })
}

/// Parses TOML; the error shows the place and, for a misspelt key, the one that was probably meant.
fn parse(text: &str) -> Result<RawConfig, String> {
    toml::from_str(text).map_err(|error| {
        let mut message = error.to_string().trim_end().to_owned();
        // serde words it "unknown field `lisen`, expected one of `listen`, `region`".
        if let Some(listing) = error.message().strip_prefix("unknown field `")
            && let Some((word, expected)) = listing.split_once('`')
            && let Some(hint) = raw::did_you_mean(word, expected.split('`').skip(1).step_by(2))
        {
            message.push_str("\nDid you mean `");
            message.push_str(hint);
            message.push_str("`?");
        }
        message
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused_with_its_line_and_the_likely_name() {
        let error = parse("[server]\nregion = \"eu-west-1\"\nlisen = \"0.0.0.0:9000\"\n").expect_err("misspelt");
        assert!(error.contains("line 3"), "{error}");
        assert!(error.ends_with("Did you mean `listen`?"), "{error}");
        let error = parse("[sever]\n").expect_err("misspelt table");
        assert!(error.ends_with("Did you mean `server`?"), "{error}");
    }

    #[test]
    fn the_environment_says_what_the_file_says() {
        let environment = Environment::from_pairs([
            ("CAIRN_SERVER_DOMAINS", "s3.example.com, s3.internal"),
            ("CAIRN_STORAGE_CHUNK_SIZE", "2MiB"),
            ("HOME", "/root"),
        ])
        .expect("utf-8");
        let raw = from_environment(&environment).expect("known keys");
        assert_eq!(raw.server.domains, Some(List(vec!["s3.example.com".into(), "s3.internal".into()])));
        assert_eq!(raw.storage.chunk_size, Some(Scalar("2MiB".into())));
    }

    #[test]
    fn strangers_in_the_environment_are_named_but_those_of_kubernetes_are_not() {
        let environment = Environment::from_pairs([
            ("CAIRN_SERVER_LISTN", "x"),
            ("CAIRN_SERVICE_HOST", "10.0.0.1"),
            ("CAIRN_PORT_9000_TCP", "tcp://10.0.0.1:9000"),
            ("CAIRN_ROOT_ACCESS_KEY_ID", "someone"),
            ("CAIRN_SERVER_REGION", ""),
        ])
        .expect("utf-8");
        let expected = vec![("CAIRN_SERVER_LISTN".to_owned(), Some("CAIRN_SERVER_LISTEN".to_owned()))];
        assert_eq!(environment.unknown(), expected);
    }
}
