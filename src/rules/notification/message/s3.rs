//! Amazon S3's record. Its fields, their order and which of them an event has are Amazon's.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{bucket_arn, instant, sequencer};
use crate::rules::notification::event::{Event, Storage};
use crate::rules::notification::name::{EventName, Group};

/// What a key keeps in a record: `application/x-www-form-urlencoded`, but for the slash.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/').remove(b' ');
/// The entity tag of nothing, which a delete marker's event has.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The list that is sent.
#[derive(Serialize)]
pub(super) struct Records<'a> {
    #[serde(rename = "Records")]
    records: [Record<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: String,
    user_identity: Identity<'a>,
    request_parameters: RequestParameters<'a>,
    response_elements: ResponseElements<'a>,
    s3: S3<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    glacier_event_data: Option<GlacierEventData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_event_data: Option<LifecycleEventData<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    principal_id: &'a str,
}

#[derive(Serialize)]
struct RequestParameters<'a> {
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
}

#[derive(Serialize)]
struct ResponseElements<'a> {
    #[serde(rename = "x-amz-request-id")]
    request_id: &'a str,
    #[serde(rename = "x-amz-id-2")]
    host_id: &'a str,
}

#[derive(Serialize)]
struct S3<'a> {
    #[serde(rename = "s3SchemaVersion")]
    schema_version: &'static str,
    #[serde(rename = "configurationId")]
    configuration_id: &'a str,
    bucket: Bucket<'a>,
    object: Object<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'a> {
    name: &'a str,
    owner_identity: Identity<'a>,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequencer: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GlacierEventData<'a> {
    restore_event_data: RestoreEventData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreEventData<'a> {
    lifecycle_restoration_expiry_time: String,
    lifecycle_restore_storage_class: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEventData<'a> {
    transition_event_data: TransitionEventData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionEventData<'a> {
    destination_storage_class: &'a str,
}

/// The list of one record.
pub(super) fn records<'a>(event: &'a Event, sequence: u64, configuration: &'a str, name: String) -> Records<'a> {
    Records { records: [record(event, sequence, configuration, name)] }
}

/// The record.
pub(super) fn record<'a>(event: &'a Event, sequence: u64, configuration: &'a str, name: String) -> Record<'a> {
    let (restored, transitioned) = match &event.storage {
        Some(Storage::Restored(expires, class)) => (Some((expires, class)), None),
        Some(Storage::Transitioned(class)) => (None, Some(class)),
        None => (None, None),
    };
    Record {
        event_version: version(event.name),
        event_source: "aws:s3",
        aws_region: &event.region,
        event_time: instant(event.time),
        event_name: name,
        user_identity: Identity { principal_id: &event.origin.principal },
        request_parameters: RequestParameters { source_ip_address: &event.origin.source_ip },
        response_elements: ResponseElements { request_id: &event.origin.request_id, host_id: &event.origin.host_id },
        s3: S3 {
            schema_version: "1.0",
            configuration_id: configuration,
            bucket: Bucket {
                name: &event.bucket,
                owner_identity: Identity { principal_id: &event.bucket_account },
                arn: bucket_arn(&event.bucket),
            },
            object: Object {
                key: encoded_key(&event.key),
                size: event.size,
                e_tag: etag(event),
                version_id: event.version.map(|version| version.to_string()),
                sequencer: event.name.changes_versions().then(|| sequencer(sequence)),
            },
        },
        glacier_event_data: restored.map(|(expires, class)| GlacierEventData {
            restore_event_data: RestoreEventData {
                lifecycle_restoration_expiry_time: instant(*expires),
                lifecycle_restore_storage_class: class,
            },
        }),
        lifecycle_event_data: transitioned.map(|class| LifecycleEventData {
            transition_event_data: TransitionEventData { destination_storage_class: class },
        }),
    }
}

/// Amazon writes the structure's later versions only of the events that came with them.
fn version(name: EventName) -> &'static str {
    match name.group() {
        Group::Replication => "2.2",
        Group::ObjectTagging
        | Group::ObjectAcl
        | Group::LifecycleExpiration
        | Group::LifecycleTransition
        | Group::IntelligentTiering => "2.3",
        Group::ObjectRestore if name == EventName::ObjectRestoreDelete => "2.3",
        _ => "2.1",
    }
}

/// The object's entity tag; a delete marker has the one of no bytes at all, in these records only.
pub(super) fn etag(event: &Event) -> Option<String> {
    let marks = matches!(
        event.name,
        EventName::ObjectRemovedDeleteMarkerCreated | EventName::LifecycleExpirationDeleteMarkerCreated
    );
    if marks { Some(EMPTY_ETAG.to_owned()) } else { event.etag.map(|etag| etag.to_string()) }
}

/// A key as forms encode it: `red flower.jpg` is `red+flower.jpg`.
pub(super) fn encoded_key(key: &str) -> Cow<'_, str> {
    let encoded: Cow<'_, str> = utf8_percent_encode(key, KEY).into();
    if encoded.contains(' ') { Cow::Owned(encoded.replace(' ', "+")) } else { encoded }
}
