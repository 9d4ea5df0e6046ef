//! The endpoints of the administrator's API.

use std::pin::Pin;

use http::Method;
use serde_json::Value;

use super::{Call, backup, bucket_storage, drives, event_targets, events, lifecycle, quotas, scrub};
use crate::protocol::authz::Administers;
use crate::protocol::error::Result;

/// A handler at work.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<Value>> + Send + 'a>>;

/// One endpoint.
pub(super) struct Endpoint {
    pub method: Method,
    /// Below the API's root; a segment in braces is a name, and `{bucket}` that of a bucket that must exist.
    pub path: &'static str,
    /// As metrics and access logs name it.
    pub operation: &'static str,
    /// As policies name it.
    pub action: &'static str,
    pub who: Administers,
    pub run: for<'a> fn(&'a Call<'a>) -> Running<'a>,
}

impl Endpoint {
    pub(super) fn names_bucket(&self) -> bool {
        self.path.starts_with("buckets/{bucket}/")
    }
}

macro_rules! endpoints {
    ($($method:ident $path:literal $operation:ident, $who:ident: $handler:path;)*) => {
        /// Every endpoint, by path.
        pub(super) const ENDPOINTS: &[Endpoint] = &[$(Endpoint {
            method: Method::$method,
            path: $path,
            operation: concat!("cairn:", stringify!($operation)),
            action: concat!("cairn:", stringify!($operation)),
            who: Administers::$who,
            run: |call| Box::pin($handler(call)),
        }),*];
    };
}

endpoints! {
    DELETE "buckets/{bucket}/quota" DeleteBucketQuota, Operator: quotas::delete;
    GET "buckets/{bucket}/quota" GetBucketQuota, OwnerToo: quotas::get;
    PUT "buckets/{bucket}/quota" PutBucketQuota, Operator: quotas::put;
    DELETE "buckets/{bucket}/storage" DeleteBucketStorage, Operator: bucket_storage::delete;
    GET "buckets/{bucket}/storage" GetBucketStorage, OwnerToo: bucket_storage::get;
    PUT "buckets/{bucket}/storage" PutBucketStorage, Operator: bucket_storage::put;
    GET "buckets/{bucket}/sharing" GetBucketSharing, Operator: bucket_storage::sharing;
    GET "buckets/{bucket}/lifecycle/explain" ExplainLifecycle, OwnerToo: lifecycle::explain;
    POST "buckets/{bucket}/lifecycle/preview" PreviewLifecycle, OwnerToo: lifecycle::preview;
    GET "lifecycle" GetLifecycle, Operator: lifecycle::status;
    GET "buckets/{bucket}/usage" GetBucketUsage, OwnerToo: quotas::usage;
    GET "backup" GetBackup, Operator: backup::status;
    POST "backup" StartBackup, Operator: backup::start;
    GET "drives" GetDrives, Operator: drives::list;
    POST "drives/{name}/unfence" UnfenceDrive, Operator: drives::unfence;
    GET "scrub" GetScrub, Operator: scrub::status;
    POST "scrub" StartScrub, Operator: scrub::start;
    GET "scrub/damages" ListScrubDamages, Operator: scrub::damages;
    GET "event-targets" ListEventTargets, Operator: event_targets::list;
    PUT "event-targets/{name}" PutEventTarget, Operator: event_targets::put;
    DELETE "event-targets/{name}" DeleteEventTarget, Operator: event_targets::remove;
    GET "events" GetEvents, Operator: events::status;
    POST "events/{name}/replay" ReplayEvents, Operator: events::replay;
    POST "events/{name}/skip" SkipEvents, Operator: events::skip;
    GET "events/{name}/dead-letters" ListDeadLetters, Operator: events::dead_letters;
    POST "events/{name}/dead-letters/redeliver" RedeliverDeadLetters, Operator: events::redeliver;
    POST "events/{name}/dead-letters/purge" PurgeDeadLetters, Operator: events::purge;
}
