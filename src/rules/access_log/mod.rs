//! Server access logging: which configurations there can be, what a line says, what the objects of a log are called,
//! and whether a bucket takes them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html>
//!
//! | file | is |
//! |---|---|
//! | this one | the configuration, and the names of a log's objects |
//! | `line` | a line, in Amazon's format |
//! | `operation` | what a line calls the operation |
//! | `delivery` | whether the target's owner lets the log be written |

mod delivery;
mod line;
mod operation;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use delivery::{DELIVERY_SERVICE, Delivery, may_deliver};
pub use line::{Line, Requested, cipher_suite};
pub use operation::{BATCH_DELETE, operation, read_by_copy};

use super::acl::Grant;
use super::{Refusal, object_key};

/// Bytes of a target prefix: with the longest partitions and the name behind it a key stays within 1024.
const MAX_PREFIX_BYTES: usize = 800;

/// How a bucket's requests are logged. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Logging {
    /// The bucket that holds the log.
    pub target_bucket: String,
    /// What the keys of its objects begin with.
    pub target_prefix: String,
    /// Whom the log's objects are granted to, beside the owner of their bucket.
    pub target_grants: Vec<Grant>,
    /// How keys go on; `None` where the configuration does not say, which is the simple format.
    pub key_format: Option<KeyFormat>,
}

/// How the keys of a log's objects go on after the prefix. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyFormat {
    /// `YYYY-MM-DD-hh-mm-ss-UNIQUE`
    Simple,
    /// `ACCOUNT/REGION/BUCKET/YYYY/MM/DD/YYYY-MM-DD-hh-mm-ss-UNIQUE`
    Partitioned(DateSource),
}

/// Which time a partitioned key tells. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DateSource {
    /// The day of the requests; each object is of one day.
    EventTime,
    /// When the object was written.
    DeliveryTime,
}

impl DateSource {
    /// As S3 spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventTime => "EventTime",
            Self::DeliveryTime => "DeliveryTime",
        }
    }

    /// The source of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::EventTime, Self::DeliveryTime].into_iter().find(|known| known.as_str() == name)
    }
}

/// Where lines come from, as far as a key tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogSource {
    /// The bucket's name.
    pub bucket: String,
    /// The 12-digit id of the account that owns it.
    pub account: String,
    /// Its region.
    pub region: String,
}

impl Logging {
    /// Whether the prefix can be one.
    ///
    /// # Errors
    /// `InvalidArgument`, `KeyTooLongError`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.target_prefix.is_empty() {
            return Ok(());
        }
        object_key::check(&self.target_prefix)?;
        if self.target_prefix.len() > MAX_PREFIX_BYTES {
            let message = format!("A target prefix has at most {MAX_PREFIX_BYTES} bytes.");
            return Err(Refusal::invalid_argument("TargetPrefix", &self.target_prefix, message));
        }
        Ok(())
    }

    /// The day (since 1970, UTC) that lines of this time (milliseconds since 1970) must share an object with; `None`
    /// where lines of several days may.
    #[must_use]
    pub fn day(&self, milliseconds: i64) -> Option<i64> {
        let by_event = self.key_format == Some(KeyFormat::Partitioned(DateSource::EventTime));
        by_event.then(|| milliseconds.div_euclid(86_400_000))
    }

    /// The key of an object that holds lines of `source`, those of `day` where keys tell days. `now` is when it is
    /// written (milliseconds since 1970), `unique` tells objects of one second apart.
    #[must_use]
    pub fn object_key(&self, source: &LogSource, day: Option<i64>, now: i64, unique: &str) -> String {
        // Of a day there is no time of day: Amazon writes zeroes.
        let told = day.map_or(now, |day| day.saturating_mul(86_400_000));
        let told = Timestamp::from_millisecond(told).unwrap_or_default();
        let name = format!("{}-{unique}", told.strftime("%Y-%m-%d-%H-%M-%S"));
        let prefix = &self.target_prefix;
        match self.key_format {
            None | Some(KeyFormat::Simple) => format!("{prefix}{name}"),
            Some(KeyFormat::Partitioned(_)) => {
                let LogSource { bucket, account, region } = source;
                format!("{prefix}{account}/{region}/{bucket}/{}/{name}", told.strftime("%Y/%m/%d"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T20:15:07.5Z
    const NOW: i64 = 1_795_464_907_500;

    fn logging(key_format: Option<KeyFormat>) -> Logging {
        Logging {
            target_bucket: "logs".to_owned(),
            target_prefix: "p/".to_owned(),
            target_grants: Vec::new(),
            key_format,
        }
    }

    #[test]
    fn keys_are_those_of_the_documentation() {
        // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#server-log-keyname-format>
        let source =
            LogSource { bucket: "b".to_owned(), account: "123456789012".to_owned(), region: "us-west-2".to_owned() };
        let key = |logging: &Logging| logging.object_key(&source, logging.day(NOW), NOW, "E568B2907131C0C0");
        for simple in [None, Some(KeyFormat::Simple)] {
            assert_eq!(key(&logging(simple)), "p/2026-11-23-20-15-07-E568B2907131C0C0");
        }
        assert_eq!(
            key(&logging(Some(KeyFormat::Partitioned(DateSource::DeliveryTime)))),
            "p/123456789012/us-west-2/b/2026/11/23/2026-11-23-20-15-07-E568B2907131C0C0"
        );
        assert_eq!(
            key(&logging(Some(KeyFormat::Partitioned(DateSource::EventTime)))),
            "p/123456789012/us-west-2/b/2026/11/23/2026-11-23-00-00-00-E568B2907131C0C0"
        );
    }

    #[test]
    fn a_prefix_leaves_room_for_the_name() {
        let with = |prefix: &str| Logging { target_prefix: prefix.to_owned(), ..logging(None) }.check();
        assert_eq!(with(""), Ok(()));
        assert_eq!(with(&"p".repeat(MAX_PREFIX_BYTES)), Ok(()));
        assert!(with(&"p".repeat(MAX_PREFIX_BYTES + 1)).is_err());
    }
}
