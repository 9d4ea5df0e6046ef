//! The tables `[[tier]]`: where objects go by their storage class.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use storage::compress::Codec;

use super::ConfigError;
use super::layers::Layers;
use crate::outbound::tiers::{Place, Secret};
use crate::tiers::{Access, TierSettings, WriteMode};

/// More than there are storage classes would serve none.
const MAX_TIERS: usize = 6;
/// The classes that a tier can serve: those that objects can move to.
const CLASSES: [&str; 6] =
    ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];

/// A `[[tier]]` table. Only the file has them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTier {
    pub name: Option<String>,
    pub storage_classes: Vec<String>,
    pub access: Option<String>,
    pub write: Option<String>,
    pub kind: Option<String>,
    pub path: Option<String>,
    pub compression: Option<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub bucket: Option<String>,
    pub prefix: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub secret_access_key_file: Option<String>,
    pub account: Option<String>,
    pub account_key: Option<String>,
    pub account_key_file: Option<String>,
    pub container: Option<String>,
    pub service_account_file: Option<String>,
}

impl fmt::Debug for RawTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secrets are left out on purpose.
        f.debug_struct("RawTier").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

pub(super) fn tiers(layers: &Layers) -> Result<Vec<TierSettings>, ConfigError> {
    let (mut tiers, mut names, mut classes) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (index, raw) in layers.tiers().iter().enumerate() {
        let place = match &raw.name {
            Some(name) => format!("[[tier]] {name:?}"),
            None => format!("[[tier]] number {}", index + 1),
        };
        let refused = |reason: String| ConfigError::Incomplete(format!("{place}: {reason}"));
        if index >= MAX_TIERS {
            return Err(refused(format!("more than {MAX_TIERS} tiers")));
        }
        let tier = tier(raw).map_err(refused)?;
        if !names.insert(tier.name.clone()) {
            return Err(refused("another tier has this name".to_owned()));
        }
        if let Some(twice) = tier.storage_classes.iter().find(|class| !classes.insert((*class).clone())) {
            return Err(refused(format!("another tier serves {twice}, too; a class is served by one tier")));
        }
        tiers.push(tier);
    }
    Ok(tiers)
}

fn tier(raw: &RawTier) -> Result<TierSettings, String> {
    let name = required("name", raw.name.as_ref())?;
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(valid) {
        return Err("name must have 1 to 63 lower-case letters, digits, \"-\" and \"_\"".to_owned());
    }
    if raw.storage_classes.is_empty() {
        return Err("storage_classes is missing: the classes that objects have which go there".to_owned());
    }
    if let Some(class) = raw.storage_classes.iter().find(|class| !CLASSES.contains(&class.as_str())) {
        return Err(format!("storage_classes: {class:?} is none of {}", CLASSES.join(", ")));
    }
    let access = match raw.access.as_deref() {
        None | Some("instant") => Access::Instant,
        Some("archive") => Access::Archive,
        Some(other) => return Err(format!("access: {other:?} is neither \"instant\" nor \"archive\"")),
    };
    let write = match raw.write.as_deref() {
        None | Some("background") => WriteMode::Background,
        Some("through") => WriteMode::Through,
        Some(other) => return Err(format!("write: {other:?} is neither \"through\" nor \"background\"")),
    };
    let compression = raw.compression.as_deref().map_or(Ok(Codec::Plain), str::parse);
    let compression = compression.map_err(|error| format!("compression: {error}"))?;
    let storage_classes = raw.storage_classes.clone();
    Ok(TierSettings { name, storage_classes, access, write, compression, place: place(raw)? })
}

fn place(raw: &RawTier) -> Result<Place, String> {
    let kind = required("kind", raw.kind.as_ref())?;
    let allowed: &[&str] = match kind.as_str() {
        "directory" => &["path"],
        "s3" => {
            &["endpoint", "region", "bucket", "prefix", "access_key_id", "secret_access_key", "secret_access_key_file"]
        }
        "azure" => &["endpoint", "account", "account_key", "account_key_file", "container", "prefix"],
        "gcs" => &["endpoint", "bucket", "prefix", "service_account_file"],
        other => return Err(format!("kind: {other:?} is none of \"directory\", \"s3\", \"azure\", \"gcs\"")),
    };
    if let Some((extra, _)) = given(raw).into_iter().find(|(name, value)| value.is_some() && !allowed.contains(name)) {
        return Err(format!("{extra} says nothing about a tier of kind {kind:?}"));
    }
    let endpoint = raw.endpoint.clone();
    if let Some(url) = endpoint.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(format!("endpoint: {url:?} does not start with http:// or https://"));
    }
    let prefix = raw.prefix.clone().unwrap_or_default();
    Ok(match kind.as_str() {
        "directory" => Place::Directory { path: PathBuf::from(required("path", raw.path.as_ref())?) },
        "s3" => Place::S3 {
            endpoint,
            region: raw.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
            bucket: required("bucket", raw.bucket.as_ref())?,
            prefix,
            credentials: (
                required("access_key_id", raw.access_key_id.as_ref())?,
                secret("secret_access_key", raw.secret_access_key.as_ref(), raw.secret_access_key_file.as_ref())?,
            ),
        },
        "azure" => Place::Azure {
            endpoint,
            account: required("account", raw.account.as_ref())?,
            key: secret("account_key", raw.account_key.as_ref(), raw.account_key_file.as_ref())?,
            container: required("container", raw.container.as_ref())?,
            prefix,
        },
        _ => Place::Gcs {
            endpoint,
            bucket: required("bucket", raw.bucket.as_ref())?,
            prefix,
            service_account_file: raw.service_account_file.as_ref().map(PathBuf::from),
        },
    })
}

/// What only some kinds have.
fn given(raw: &RawTier) -> [(&'static str, Option<&String>); 13] {
    [
        ("path", raw.path.as_ref()),
        ("endpoint", raw.endpoint.as_ref()),
        ("region", raw.region.as_ref()),
        ("bucket", raw.bucket.as_ref()),
        ("prefix", raw.prefix.as_ref()),
        ("access_key_id", raw.access_key_id.as_ref()),
        ("secret_access_key", raw.secret_access_key.as_ref()),
        ("secret_access_key_file", raw.secret_access_key_file.as_ref()),
        ("account", raw.account.as_ref()),
        ("account_key", raw.account_key.as_ref()),
        ("account_key_file", raw.account_key_file.as_ref()),
        ("container", raw.container.as_ref()),
        ("service_account_file", raw.service_account_file.as_ref()),
    ]
}

fn required(name: &str, value: Option<&String>) -> Result<String, String> {
    value.cloned().ok_or_else(|| format!("{name} is missing"))
}

fn secret(name: &str, value: Option<&String>, file: Option<&String>) -> Result<Secret, String> {
    match (value, file) {
        (Some(value), None) => Ok(Secret::Text(value.clone())),
        (None, Some(path)) => Ok(Secret::File(PathBuf::from(path))),
        (Some(_), Some(_)) => Err(format!("{name} and {name}_file are both given; one is enough")),
        (None, None) => Err(format!("{name} or {name}_file is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<TierSettings, String> {
        tier(&toml::from_str(text).expect("TOML"))
    }

    #[test]
    fn a_tier_is_read_and_mistakes_are_told() {
        let disk = "name = \"d\"\nstorage_classes = [\"STANDARD_IA\"]\nkind = \"directory\"\npath = \"/x\"\n";
        let tier = of(disk).expect("valid");
        assert_eq!((tier.access, tier.write), (Access::Instant, WriteMode::Background));
        let mistakes = [
            (disk.replace("\"d\"", "\"D d\""), "lower-case"),
            (disk.replace("STANDARD_IA", "STANDARD"), "none of"),
            (disk.replace("path", "bucket"), "says nothing"),
            (disk.replace("\"directory\"", "\"nfs\""), "none of"),
            (format!("{disk}compression = \"gzip\"\n"), "neither"),
            (format!("{disk}access = \"slow\"\n"), "neither"),
            (disk.replace("kind = \"directory\"\npath = \"/x\"", "kind = \"s3\"\nbucket = \"b\""), "access_key_id"),
        ];
        for (text, told) in mistakes {
            let error = of(&text).expect_err(&text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
