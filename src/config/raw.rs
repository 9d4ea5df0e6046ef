//! Step one of the configuration: what was written, by whom, not yet judged.
//!
//! The structs are the only list of keys there is: the documentation's test, the environment's names and the
//! hints for misspelt keys are all read from them by [`keys`].

use super::events::{RawEventTarget, all_keys};
use super::tiers::RawTier;
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// One layer of settings: the file, the environment or the flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    pub server: RawServer,
    pub website: RawWebsite,
    pub encryption: RawEncryption,
    pub storage: RawStorage,
    pub backup: RawBackup,
    pub tls: RawTls,
    pub log: RawLog,
    pub identity: RawIdentity,
    pub audit: RawAudit,
    pub events: RawEvents,
    pub event_target: Vec<RawEventTarget>,
    pub access_log: RawAccessLog,
    pub lifecycle: RawLifecycle,
    pub tier: Vec<RawTier>,
    pub account: Vec<RawAccount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawServer {
    pub listen: Option<Scalar>,
    pub ops_listen: Option<Scalar>,
    pub domains: Option<List>,
    pub region: Option<Scalar>,
    pub max_connections: Option<Scalar>,
    pub max_header_size: Option<Scalar>,
    pub shutdown_grace_period: Option<Scalar>,
    pub default_object_ownership: Option<Scalar>,
    pub post_signature_v2: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWebsite {
    pub domains: Option<List>,
    pub listen: Option<Scalar>,
    pub hosts: Option<Pairs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawStorage {
    pub data: Option<List>,
    pub block_cache_size: Option<Scalar>,
    pub chunk_size: Option<Scalar>,
    pub segment_size: Option<Scalar>,
    pub io_engine: Option<Scalar>,
    pub compression: Option<Scalar>,
    pub scrub_rate: Option<Scalar>,
    pub scrub_interval: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawBackup {
    pub directory: Option<Scalar>,
    pub interval: Option<Scalar>,
    pub keep: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTls {
    pub cert_file: Option<Scalar>,
    pub key_file: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    pub level: Option<Scalar>,
    pub format: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEncryption {
    pub keyring_file: Option<Scalar>,
    pub create_keyring: Option<Scalar>,
    pub customer_keys_without_tls: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawIdentity {
    pub server_key_file: Option<Scalar>,
    pub failed_signatures_per_minute: Option<Scalar>,
    pub max_sessions: Option<Scalar>,
    pub oidc_ca_file: Option<Scalar>,
    pub oidc_allow_http: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAccessLog {
    pub interval: Option<Scalar>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLifecycle {
    pub day_seconds: Option<Scalar>,
    pub transition_minimum: Option<Scalar>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAudit {
    pub log: Option<Scalar>,
    pub webhook: Option<Scalar>,
    pub webhook_ca_file: Option<Scalar>,
    pub kafka_brokers: Option<List>,
    pub kafka_topic: Option<Scalar>,
    pub kafka_tls: Option<Scalar>,
    pub kafka_ca_file: Option<Scalar>,
    pub kafka_sasl_mechanism: Option<Scalar>,
    pub kafka_username: Option<Scalar>,
    pub kafka_password: Option<Scalar>,
    pub kafka_password_file: Option<Scalar>,
}

impl fmt::Debug for RawAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password is left out on purpose.
        f.debug_struct("RawAudit").field("log", &self.log).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    pub retention: Option<Scalar>,
    pub retention_size: Option<Scalar>,
    pub longest_backoff: Option<Scalar>,
    pub max_dead_letters: Option<Scalar>,
    pub removed_target: Option<Scalar>,
}

/// A `[[account]]` table. Only the file has them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAccount {
    pub id: Option<String>,
    pub canonical_id: Option<String>,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
}

impl fmt::Debug for RawAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is left out on purpose.
        f.debug_struct("RawAccount")
            .field("id", &self.id)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A value as text; a TOML integer counts as the text of its digits and a boolean as its name, so that
/// `max_connections = 100` and `CAIRN_SERVER_MAX_CONNECTIONS=100` are one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

/// Several values: a TOML array, or one string with commas (which is all that the environment can say).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List(pub Vec<String>);

/// Names, each with a value: a TOML table, or one string such as `a=1,b=2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

impl List {
    fn from_commas(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number, true or false")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = List;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of strings, or one string with commas")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List::from_commas(text))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<List, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = sequence.next_element()? {
                    texts.push(text);
                }
                Ok(List(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of strings, or one string of HOST=BUCKET with commas")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pairs, E> {
                let pair = |text: String| match text.split_once('=') {
                    Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
                    None => Err(E::custom(format!("{text:?} is not HOST=BUCKET"))),
                };
                List::from_commas(text).0.into_iter().map(pair).collect::<Result<_, E>>().map(Pairs)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut table: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = table.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(Table)
    }
}

/// A configuration key: its TOML table and its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The TOML table; `event_target`, `tier` and `account` are arrays of tables.
    pub section: &'static str,
    /// The name within the table.
    pub name: &'static str,
}

impl Key {
    /// The environment variable that mirrors this key; tables of which there are several have none (those of event
    /// targets are named after the target).
    #[must_use]
    pub fn environment_variable(&self) -> Option<String> {
        (!matches!(self.section, "account" | "event_target" | "tier"))
            .then(|| format!("CAIRN_{}_{}", self.section, self.name).to_ascii_uppercase())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

/// Every key of the configuration, in the order of the documentation.
#[must_use]
pub fn keys() -> Vec<Key> {
    let sections = [
        ("server", field_names::<RawServer>()),
        ("website", field_names::<RawWebsite>()),
        ("encryption", field_names::<RawEncryption>()),
        ("storage", field_names::<RawStorage>()),
        ("backup", field_names::<RawBackup>()),
        ("tls", field_names::<RawTls>()),
        ("log", field_names::<RawLog>()),
        ("identity", field_names::<RawIdentity>()),
        ("audit", field_names::<RawAudit>()),
        ("events", field_names::<RawEvents>()),
        ("event_target", &all_keys()),
        ("access_log", field_names::<RawAccessLog>()),
        ("lifecycle", field_names::<RawLifecycle>()),
        ("tier", field_names::<RawTier>()),
        ("account", field_names::<RawAccount>()),
    ];
    let keys_of = |(section, names): (&'static str, &[&'static str])| {
        names.iter().map(|name| Key { section, name }).collect::<Vec<_>>()
    };
    sections.into_iter().flat_map(keys_of).collect()
}

/// The tables of the configuration file.
#[must_use]
pub fn sections() -> &'static [&'static str] {
    field_names::<RawConfig>()
}

/// Asks a struct's derived `Deserialize` for the names it would accept.
pub(super) fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: the deserializer notes the names and has no value to give.
    let _ = T::deserialize(NoteFields(&mut names));
    names
}

struct NoteFields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for NoteFields<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let nothing: de::value::UnitDeserializer<Self::Error> = ().into_deserializer();
        nothing.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The candidate closest to `word`, if it is close enough to be a slip of the finger.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let nearest = candidates.into_iter().map(|candidate| (edit_distance(word, candidate), candidate)).min()?;
    (nearest.0 <= allowed).then_some(nearest.1)
}

/// Levenshtein's distance; both words are short (a key's name).
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut previous = vec![i + 1];
        for ((j, r), diagonal_and_above) in right.iter().enumerate().zip(row.windows(2)) {
            let &[diagonal, above] = diagonal_and_above else {
                continue;
            };
            let behind = previous.get(j).copied().unwrap_or(usize::MAX - 1);
            let replaced = diagonal + usize::from(l != *r);
            previous.push(replaced.min(above + 1).min(behind + 1));
        }
        row = previous;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structs_name_their_keys() {
        let keys = keys();
        assert!(keys.contains(&Key { section: "server", name: "listen" }));
        assert!(keys.contains(&Key { section: "account", name: "secret_access_key" }));
        // A section that is missing in `keys` would have keys that no test compares with the documentation.
        for section in sections() {
            assert!(keys.iter().any(|key| key.section == *section), "{section}");
        }
    }

    #[test]
    fn environment_variables_mirror_the_keys() {
        let key = Key { section: "server", name: "ops_listen" };
        assert_eq!(key.environment_variable().as_deref(), Some("CAIRN_SERVER_OPS_LISTEN"));
        assert_eq!(Key { section: "account", name: "id" }.environment_variable(), None);
    }

    #[test]
    fn slips_are_recognised_and_inventions_are_not() {
        let names = ["listen", "ops_listen", "domains", "region"];
        assert_eq!(did_you_mean("lisen", names), Some("listen"));
        assert_eq!(did_you_mean("domain", names), Some("domains"));
        assert_eq!(did_you_mean("ops-listen", names), Some("ops_listen"));
        assert_eq!(did_you_mean("erasure_sets", names), None);
    }

    #[test]
    fn edit_distance_counts_single_changes() {
        for (left, right, distance) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("listen", "listen", 0)]
        {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }
}
