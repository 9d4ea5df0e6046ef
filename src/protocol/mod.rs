//! S3 over HTTP: from hyper's request to hyper's answer. The only layer that knows of HTTP, XML and s3s.
//!
//! | file | is |
//! |---|---|
//! | `front` | the one service that hyper calls, around s3s |
//! | `context` | what the layers of one request share |
//! | `request_body`, `answer`, `answer_body` | bodies on their way in and out; errors completed, requests counted |
//! | `host` | which hosts name a bucket |
//! | `rewrite` | requests that S3 takes and s3s refuses |
//! | `authn`, `authz` | who calls; may they: the one choke point |
//! | `guard`, `trail`, `access_log` | sources with too many failed signatures; a request's lines in the audit trail and in access logs |
//! | `query_api`, `iam_api`, `sts_api`, `account_control`, `admin`, `routes` | IAM, STS, accounts' settings and the administrator's API, beside S3 |
//! | `features` | requests for what is not there |
//! | `operations`, `actions` | the table of operations, and of what each needs to be allowed |
//! | `s3` | where s3s dispatches to, one line an operation |
//! | `buckets`, `tagging`, `objects`, `copies`, `multipart`, `listing`, `acl`, `ownership`, `policy`, `public_access`, `notification`, `listen`, `logging`, `request_payment`, `absent` | the handlers |
//! | `website` | websites: their configuration, and their pages |
//! | `convert`, `query` | between the wire's words and the domain's types |
//! | `error` | the one table of error codes |
//!
//! A request's way: [`Front`] gives it an id and a context, answers what is not S3, and hands it to s3s. s3s verifies
//! the signature with `authn`, finds the operation, asks `authz`, parses, and calls a handler, which translates to
//! [`crate::object`] and back. On the way out errors get their fields, and when the last byte has gone the request is
//! counted and logged under s3s's own name for the operation.

mod abac;
mod absent;
mod access_log;
mod account_control;
mod acl;
mod actions;
mod admin;
mod annotations;
mod answer;
mod answer_body;
mod authn;
mod authz;
mod buckets;
mod context;
mod convert;
mod copies;
mod cors;
mod encryption;
mod error;
mod features;
mod front;
mod guard;
mod host;
mod iam_api;
mod lifecycle;
mod listen;
mod listing;
mod logging;
mod multipart;
mod notification;
mod object_lock;
mod objects;
mod operations;
mod ownership;
mod policy;
mod post_form;
mod public_access;
mod query;
mod query_api;
mod renames;
mod request_body;
mod request_payment;
mod resource_tags;
mod restore;
mod rewrite;
mod routes;
mod s3;
mod sts_api;
mod tagging;
mod target;
#[cfg(test)]
mod tests;
mod trail;
mod unpack;
mod website;

use std::sync::Arc;

use http::Extensions;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;

pub use answer::AnswerBody;
pub use context::Connection;
pub use front::{Front, Reserved};
pub use operations::{OPERATIONS, Support, operation};

use self::access_log::AccessLogs;
use self::account_control::AccountControl;
use self::admin::AdminApi;
use self::authn::Authentication;
use self::authz::{Access, Decider};
use self::guard::FailedSignatures;
use self::host::Domains;
use self::iam_api::IamApi;
use self::post_form::Forms;
use self::query_api::{Presigned, QueryApis};
use self::rewrite::SecondPass;
use self::routes::Routes;
use self::s3::{EventPlaces, Gateway};
use self::sts_api::StsApi;
use self::website::{Hosts, Sites};
use crate::event_targets::EventTargets;
use crate::identity::Sts;
use crate::object::{AccessLog, Delivery, Objects};
use crate::telemetry::audit::Audit;
use crate::telemetry::metrics::Metrics;

/// The largest XML body that is read: a thousand keys of 1 KiB, escaped.
const MAX_XML_BYTES: usize = 8 << 20;
/// The largest signed chunk of an upload. It is held in memory until its signature is verified.
const MAX_SIGNED_CHUNK_BYTES: usize = 16 << 20;

/// What the protocol is configured with.
pub struct ProtocolOptions {
    /// Domains under which a host's first labels name a bucket. All other hosts are path-style.
    pub domains: Vec<String>,
    /// Suffixes under which a host's first labels name a bucket whose website it is.
    pub website_domains: Vec<String>,
    /// Further hosts of websites, each with its bucket.
    pub website_hosts: Vec<(String, String)>,
    /// The server's own region: the one that a client is told whose own cannot be a region's name.
    pub region: String,
    /// The region that signatures must be for, if the operator insists on one. Clients use any by default.
    pub required_region: Option<String>,
    /// Answers paths that are not S3's: health.
    pub reserved: Reserved,
    /// Finds among a request's extensions where it came from.
    pub connection: fn(&Extensions) -> Connection,
    /// Where decisions are recorded.
    pub audit: Audit,
    /// Where events can go.
    pub event_targets: EventTargets,
    /// How events get there.
    pub delivery: Arc<dyn Delivery>,
    /// Whether the server stops: answers that do not end by themselves end then.
    pub draining: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Where the lines of access logs are left.
    pub access_log: AccessLog,
    /// Whether browser forms may be signed by Signature Version 2.
    pub post_signature_v2: bool,
    /// Whether clients may bring keys (SSE-C) over connections without TLS: behind a proxy that ends it.
    pub keys_without_tls: bool,
    /// Failed signatures of one source in a minute before it is slowed down; 0 for no limit.
    pub failed_signatures_per_minute: u32,
}

/// The region cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("region {0:?} is not a region's name")]
pub struct InvalidRegion(String);

/// The actions of IAM, by name.
pub fn iam_actions() -> impl Iterator<Item = &'static str> {
    iam_api::names()
}

/// The actions of STS, by name.
pub fn sts_actions() -> impl Iterator<Item = &'static str> {
    sts_api::ACTIONS.into_iter()
}

/// The service for the S3 listener.
///
/// # Errors
/// If the required region cannot be one.
pub fn service(
    objects: &Objects,
    sts: &Sts,
    metrics: &Metrics,
    options: ProtocolOptions,
) -> Result<Front, InvalidRegion> {
    let domains = Domains::new(&options.domains);
    let events = EventPlaces { targets: options.event_targets, delivery: options.delivery, draining: options.draining };
    let forms = Forms {
        gateway: gateway(objects, sts, &events, options.keys_without_tls),
        access: Access { decider: decider(objects, sts), identities: sts.identities().clone() },
        identities: sts.identities().clone(),
        required_region: options.required_region.clone(),
        signature_v2: options.post_signature_v2,
    };
    let presigned =
        Presigned { identities: sts.identities().clone(), required_region: options.required_region.clone() };
    let gateway = gateway(objects, sts, &events, options.keys_without_tls);
    let s3 = s3_service(gateway, sts, domains.clone(), options.required_region)?;
    let guard = Arc::new(FailedSignatures::new(options.failed_signatures_per_minute));
    let (guarded, audit) = (Arc::clone(&guard), options.audit.clone());
    metrics.add_source(move || guarded.gauges());
    metrics.add_source(move || {
        #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
        let dropped = audit.dropped() as f64;
        vec![("cairn_audit_dropped_total", "Lines of the audit trail that were lost.", dropped)]
    });
    let access_logs = AccessLogs {
        log: options.access_log,
        objects: objects.clone(),
        accounts: Arc::clone(sts.identities().accounts()),
        domains: domains.clone(),
        known: Arc::new(access_log::cache()),
    };
    let mut process = [0; 16];
    // The second id only helps to tell processes apart; without randomness they share one.
    let _ = getrandom::fill(&mut process);
    Ok(Front::new(front::Parts {
        s3,
        domains,
        metrics: metrics.clone(),
        reserved: options.reserved,
        connection: options.connection,
        process,
        region: options.region,
        audit: options.audit,
        guard,
        objects: objects.clone(),
        forms,
        presigned,
        access_logs,
        sites: Sites {
            hosts: Hosts::new(&options.website_domains, &options.website_hosts),
            objects: objects.clone(),
            decider: decider(objects, sts),
        },
    }))
}

fn decider(objects: &Objects, sts: &Sts) -> Decider {
    Decider { objects: objects.clone(), accounts: Arc::clone(sts.identities().accounts()) }
}

fn gateway(objects: &Objects, sts: &Sts, events: &EventPlaces, keys_without_tls: bool) -> Gateway {
    let identities = sts.identities().clone();
    let accounts = Arc::clone(identities.accounts());
    let (decider, events) = (decider(objects, sts), events.clone());
    Gateway { objects: objects.clone(), accounts, identities, decider, events, keys_without_tls }
}

fn s3_service(
    gateway: Gateway,
    sts: &Sts,
    domains: Domains,
    required_region: Option<String>,
) -> Result<S3Service, InvalidRegion> {
    let identities = sts.identities().clone();
    let (decider, events) = (gateway.decider.clone(), gateway.events.clone());
    let mut builder = S3ServiceBuilder::new(gateway);
    // Without `set_auth`, s3s would let every anonymous request pass and never ask the access stage. Both are set in
    // this one place, and a test asks anonymously.
    let authentication = Authentication { identities: identities.clone() };
    builder.set_auth(authentication.clone());
    let accounts = AccountControl { authentication: authentication.clone(), decider: decider.clone() };
    let (event_targets, delivery) = (events.targets.clone(), Arc::clone(&events.delivery));
    let admin = AdminApi { authentication: authentication.clone(), decider: decider.clone(), event_targets, delivery };
    builder.set_access(Access { decider, identities: identities.clone() });
    let query = QueryApis {
        authentication: Arc::new(authentication),
        iam: IamApi { identities: identities.clone() },
        sts: StsApi { sts: sts.clone() },
    };
    builder.set_route(Routes { query, accounts, admin, second_pass: SecondPass { identities } });
    builder.set_host(domains);
    builder.set_validation(AnyBucketName);
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML_BYTES;
    config.aws_chunked_stream_max_chunk_size = MAX_SIGNED_CHUNK_BYTES;
    // Forms are answered before s3s; should one reach it, it must not be let in by another door.
    config.allow_post_signature = false;
    config.enable_sig_v2 = false;
    config.custom_route_max_body_size = Some(query_api::MAX_REQUEST_BYTES as u64);
    config.sig_v4_allowed_services = ["s3", "sts", "iam"].map(str::to_owned).to_vec();
    if let Some(region) = required_region {
        let parsed = s3s::region::Region::new(region.as_str().into()).map_err(|_| InvalidRegion(region))?;
        config.expected_region = Some(parsed);
    }
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    Ok(builder.build())
}

/// Names are judged where buckets are created and looked up, behind the authorisation and with S3's own answers.
struct AnyBucketName;

impl NameValidation for AnyBucketName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}
