//! What is known of an event. It is stored in the commit of the change that it is about, and written as a message when
//! it is delivered.

use serde::{Deserialize, Serialize};
use storage::index::records::ETag;
use storage::types::{BucketId, Timestamp, VersionId};

use super::name::EventName;

/// An event. Stored: the order of the fields is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub name: EventName,
    /// When.
    pub time: Timestamp,
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's number, which no other bucket ever has.
    pub bucket_id: BucketId,
    /// The account that owns the bucket: 12 digits.
    pub bucket_account: String,
    /// The bucket's region.
    pub region: String,
    /// The object's key.
    pub key: String,
    /// The object's size in bytes, where the event tells it.
    pub size: Option<u64>,
    /// The object's entity tag, where the event tells it.
    pub etag: Option<ETag>,
    /// The version, unless it is the `null` version.
    pub version: Option<VersionId>,
    /// Where the change came from.
    pub origin: Origin,
    /// What an event about storage classes tells beside.
    pub storage: Option<Storage>,
    /// Whom the event goes to; nobody, where it was recorded for those who listen at the time.
    pub addressees: Vec<Addressee>,
}

/// Whom an event goes to. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// The target's name.
    pub target: String,
    /// The id of the configuration that says so; empty for EventBridge, which has none.
    pub configuration: String,
}

/// Who asked for a change, and how. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The unique id of the principal: `AWS:AIDA…`, `AWS:AROA…:session`, `AWS:ACCOUNT` for a root, `Anonymous`, or
    /// `s3.amazonaws.com` for the server itself.
    pub principal: String,
    /// The account that the principal belongs to: 12 digits; as `principal` where it belongs to none.
    pub account: String,
    /// The address that the request came from; empty where there was no request.
    pub source_ip: String,
    /// `x-amz-request-id`
    pub request_id: String,
    /// `x-amz-id-2`
    pub host_id: String,
}

/// By what name the server itself goes in events.
const SERVER: &str = "s3.amazonaws.com";

impl Origin {
    /// Of a change that the server makes by itself: an expiration, a transition.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>, "requester"
    #[must_use]
    pub fn server(request_id: String) -> Self {
        Self {
            principal: SERVER.to_owned(),
            account: SERVER.to_owned(),
            source_ip: SERVER.to_owned(),
            request_id,
            host_id: String::new(),
        }
    }

    /// Whether nobody asked, and the server acts by itself.
    #[must_use]
    pub fn is_server(&self) -> bool {
        self.principal == SERVER
    }
}

/// What events about storage classes tell. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// Of a restored copy: when it expires, and the class that it was restored from.
    Restored(Timestamp, String),
    /// Of a transition: the class that the object is in now.
    Transitioned(String),
}

impl Event {
    /// The id of the configuration by which the event goes to a target; `None` if it does not.
    #[must_use]
    pub fn configuration_for(&self, target: &str) -> Option<&str> {
        let addressee = self.addressees.iter().find(|addressee| addressee.target == target);
        addressee.map(|addressee| addressee.configuration.as_str())
    }
}
