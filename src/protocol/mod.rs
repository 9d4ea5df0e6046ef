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
//! | `features` | requests for what is not there |
//! | `operations` | the table of operations |
//! | `s3` | where s3s dispatches to, one line an operation |
//! | `buckets`, `tagging`, `objects`, `copies`, `multipart`, `listing`, `acl`, `absent` | the handlers |
//! | `convert`, `query` | between the wire's words and the domain's types |
//! | `error` | the one table of error codes |
//!
//! A request's way: [`Front`] gives it an id and a context, answers what is not S3, and hands it to s3s. s3s verifies
//! the signature with `authn`, finds the operation, asks `authz`, parses, and calls a handler, which translates to
//! [`crate::object`] and back. On the way out errors get their fields, and when the last byte has gone the request is
//! counted and logged under s3s's own name for the operation.

mod absent;
mod acl;
mod answer;
mod answer_body;
mod authn;
mod authz;
mod buckets;
mod context;
mod convert;
mod copies;
mod error;
mod features;
mod front;
mod host;
mod listing;
mod multipart;
mod objects;
mod operations;
mod query;
mod request_body;
mod rewrite;
mod s3;
mod tagging;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use http::Extensions;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;

pub use answer::AnswerBody;
pub use front::{Front, Reserved};
pub use operations::{OPERATIONS, Support, operation};

use self::authn::Authentication;
use self::authz::Access;
use self::host::Domains;
use self::rewrite::SecondPass;
use self::s3::Gateway;
use crate::accounts::Accounts;
use crate::object::Objects;
use crate::telemetry::metrics::Metrics;

/// The largest XML body that is read: a thousand keys of 1 KiB, escaped.
const MAX_XML_BYTES: usize = 8 << 20;
/// The largest signed chunk of an upload. It is held in memory until its signature is verified.
const MAX_SIGNED_CHUNK_BYTES: usize = 16 << 20;
/// The form fields of a browser's upload are read before anything of it can be verified.
const MAX_FORM_FIELDS_BYTES: usize = 1 << 20;

/// What the protocol is configured with.
pub struct ProtocolOptions {
    /// Domains under which a host's first labels name a bucket. All other hosts are path-style.
    pub domains: Vec<String>,
    /// The server's own region: the one that a client is told whose own cannot be a region's name.
    pub region: String,
    /// The region that signatures must be for, if the operator insists on one. Clients use any by default.
    pub required_region: Option<String>,
    /// Answers paths that are not S3's: health.
    pub reserved: Reserved,
    /// Finds a request's peer among its extensions, for the log.
    pub peer: fn(&Extensions) -> Option<SocketAddr>,
}

/// The region cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("region {0:?} is not a region's name")]
pub struct InvalidRegion(String);

/// The service for the S3 listener.
///
/// # Errors
/// If the required region cannot be one.
pub fn service(
    objects: &Objects,
    accounts: &Arc<Accounts>,
    metrics: &Metrics,
    options: ProtocolOptions,
) -> Result<Front, InvalidRegion> {
    let domains = Domains::new(&options.domains);
    let s3 = s3_service(objects, accounts, domains.clone(), options.required_region)?;
    let mut process = [0; 16];
    // The second id only helps to tell processes apart; without randomness they share one.
    let _ = getrandom::fill(&mut process);
    Ok(Front::new(front::Parts {
        s3,
        domains,
        metrics: metrics.clone(),
        reserved: options.reserved,
        peer: options.peer,
        process,
        region: options.region,
    }))
}

fn s3_service(
    objects: &Objects,
    accounts: &Arc<Accounts>,
    domains: Domains,
    required_region: Option<String>,
) -> Result<S3Service, InvalidRegion> {
    let mut builder = S3ServiceBuilder::new(Gateway { objects: objects.clone(), accounts: Arc::clone(accounts) });
    // Without `set_auth`, s3s would let every anonymous request pass and never ask the access stage. Both are set in
    // this one place, and a test asks anonymously.
    builder.set_auth(Authentication { accounts: Arc::clone(accounts) });
    builder.set_access(Access { objects: objects.clone(), accounts: Arc::clone(accounts) });
    builder.set_route(SecondPass { accounts: Arc::clone(accounts) });
    builder.set_host(domains);
    builder.set_validation(AnyBucketName);
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_XML_BYTES;
    config.aws_chunked_stream_max_chunk_size = MAX_SIGNED_CHUNK_BYTES;
    config.form_max_fields_size = MAX_FORM_FIELDS_BYTES;
    config.enable_sig_v2 = false;
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
