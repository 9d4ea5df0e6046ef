//! The event as Amazon EventBridge delivers it:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>.

use serde::Serialize;

use super::{bucket_arn, second, sequencer};
use crate::rules::notification::event::{Event, Storage};
use crate::rules::notification::name::{EventName, Group};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct BridgeEvent<'a> {
    version: &'static str,
    id: String,
    detail_type: &'static str,
    source: &'static str,
    account: &'a str,
    time: String,
    region: &'a str,
    resources: [String; 1],
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    version: &'static str,
    bucket: Bucket<'a>,
    object: Object<'a>,
    request_id: &'a str,
    requester: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip_address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_storage_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_storage_class: Option<&'a str>,
}

#[derive(Serialize)]
struct Bucket<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Object<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequencer: Option<String>,
}

pub(super) fn event(event: &Event, sequence: u64) -> BridgeEvent<'_> {
    let origin = &event.origin;
    let (expiry, from, to) = match &event.storage {
        Some(Storage::Restored(expires, class)) => (Some(second(*expires)), Some(class.as_str()), None),
        Some(Storage::Transitioned(class)) => (None, None, Some(class.as_str())),
        None => (None, None, None),
    };
    BridgeEvent {
        version: "0",
        id: id(&origin.request_id, sequence),
        detail_type: detail_type(event.name),
        source: "aws.s3",
        account: &event.bucket_account,
        time: second(event.time),
        region: &event.region,
        resources: [bucket_arn(&event.bucket)],
        detail: Detail {
            version: "0",
            bucket: Bucket { name: &event.bucket },
            object: Object {
                key: &event.key,
                size: event.size,
                etag: super::s3::etag(event),
                version_id: event.version.map(|version| version.to_string()),
                sequencer: event.name.changes_versions().then(|| sequencer(sequence).to_ascii_lowercase()),
            },
            request_id: &origin.request_id,
            requester: &origin.account,
            source_ip_address: Some(origin.source_ip.as_str()).filter(|_| is_of_request(event.name)),
            reason: reason(event.name),
            deletion_type: deletion_type(event.name),
            restore_expiry_time: expiry,
            source_storage_class: from,
            destination_storage_class: to,
        },
    }
}

/// A UUID of the kind whose bits are its maker's (RFC 9562, version 8): the request and the place in the order.
fn id(request_id: &str, sequence: u64) -> String {
    let request = u64::from_str_radix(request_id, 16).unwrap_or(0);
    let high = (request & !0xF000) | 0x8000;
    let low = (sequence & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// Changes that the server makes by itself have no address.
fn is_of_request(name: EventName) -> bool {
    !matches!(
        name.group(),
        Group::LifecycleExpiration | Group::LifecycleTransition | Group::IntelligentTiering | Group::Replication
    ) && !matches!(name, EventName::ObjectRestoreCompleted | EventName::ObjectRestoreDelete)
}

fn detail_type(name: EventName) -> &'static str {
    match name {
        EventName::ObjectTaggingPut => "Object Tags Added",
        EventName::ObjectTaggingDelete => "Object Tags Deleted",
        EventName::ObjectAclPut => "Object ACL Updated",
        EventName::ObjectRestorePost => "Object Restore Initiated",
        EventName::ObjectRestoreCompleted => "Object Restore Completed",
        EventName::ObjectRestoreDelete => "Object Restore Expired",
        name => match name.group() {
            Group::ObjectRemoved | Group::LifecycleExpiration => "Object Deleted",
            Group::LifecycleTransition => "Object Storage Class Changed",
            Group::IntelligentTiering => "Object Access Tier Changed",
            Group::Replication => "Object Replication Event",
            Group::ReducedRedundancyLostObject => "Object Lost",
            _ => "Object Created",
        },
    }
}

fn reason(name: EventName) -> Option<&'static str> {
    match name {
        EventName::ObjectCreatedPut => Some("PutObject"),
        EventName::ObjectCreatedPost => Some("POST Object"),
        EventName::ObjectCreatedCopy => Some("CopyObject"),
        EventName::ObjectCreatedCompleteMultipartUpload => Some("CompleteMultipartUpload"),
        EventName::ObjectRemovedDelete | EventName::ObjectRemovedDeleteMarkerCreated => Some("DeleteObject"),
        EventName::LifecycleExpirationDelete | EventName::LifecycleExpirationDeleteMarkerCreated => {
            Some("Lifecycle Expiration")
        }
        _ => None,
    }
}

fn deletion_type(name: EventName) -> Option<&'static str> {
    match name {
        EventName::ObjectRemovedDelete | EventName::LifecycleExpirationDelete => Some("Permanently Deleted"),
        EventName::ObjectRemovedDeleteMarkerCreated | EventName::LifecycleExpirationDeleteMarkerCreated => {
            Some("Delete Marker Created")
        }
        _ => None,
    }
}
