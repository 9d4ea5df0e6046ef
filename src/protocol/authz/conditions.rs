//! A request as the condition keys of policies see it. Built only when there is a policy to ask, and only of the keys
//! that the statements ask for which speak about the request: most decisions need none or few.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html> and
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, Uri, header};
use percent_encoding::percent_decode_str;

use super::decision::{Asking, Resource};
use crate::identity::Caller;
use crate::object::BucketAccess;
use crate::protocol::query;
use crate::rules::iam::{CANONICAL_ID, Context, Policy, keys_that_decide};
use crate::rules::tagging;

/// Headers that are keys as they are, without and with another name.
const HEADERS: &[(&str, &str)] = &[
    ("if-match", "s3:if-match"),
    ("if-none-match", "s3:if-none-match"),
    ("x-amz-acl", "s3:x-amz-acl"),
    ("x-amz-content-sha256", "s3:x-amz-content-sha256"),
    ("x-amz-grant-full-control", "s3:x-amz-grant-full-control"),
    ("x-amz-grant-read", "s3:x-amz-grant-read"),
    ("x-amz-grant-read-acp", "s3:x-amz-grant-read-acp"),
    ("x-amz-grant-write", "s3:x-amz-grant-write"),
    ("x-amz-grant-write-acp", "s3:x-amz-grant-write-acp"),
    ("x-amz-metadata-directive", "s3:x-amz-metadata-directive"),
    ("x-amz-object-lock-legal-hold", "s3:object-lock-legal-hold"),
    ("x-amz-object-lock-mode", "s3:object-lock-mode"),
    ("x-amz-object-lock-retain-until-date", "s3:object-lock-retain-until-date"),
    ("x-amz-object-ownership", "s3:x-amz-object-ownership"),
    ("x-amz-server-side-encryption", "s3:x-amz-server-side-encryption"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "s3:x-amz-server-side-encryption-aws-kms-key-id"),
    ("x-amz-server-side-encryption-customer-algorithm", "s3:x-amz-server-side-encryption-customer-algorithm"),
    ("x-amz-storage-class", "s3:x-amz-storage-class"),
    ("x-amz-website-redirect-location", "s3:x-amz-website-redirect-location"),
    ("user-agent", "aws:useragent"),
    ("referer", "aws:referer"),
];

/// Parameters of the query that are keys.
const QUERY: &[(&str, &str)] = &[
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("prefix", "s3:prefix"),
    ("versionId", "s3:versionid"),
];

/// How the keys of a bucket's tags begin.
const RESOURCE_TAGS: [&str; 3] = ["aws:resourcetag/", "s3:buckettag/", "s3:resourcetag/"];

const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

/// The keys, in lower case, that are asked for.
#[derive(Debug)]
pub(super) enum Wanted<'a> {
    /// All of them.
    Everything,
    /// These.
    Keys(BTreeSet<&'a str>),
}

impl<'a> Wanted<'a> {
    /// What these policies ask for when they are asked about this action on this resource.
    pub fn of(policies: impl Iterator<Item = &'a Policy>, action: &str, resource: &str) -> Self {
        Self::Keys(keys_that_decide(policies, action, resource))
    }

    /// Whether this key is asked for.
    fn has(&self, key: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Keys(keys) => keys.contains(key),
        }
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    /// Whether a key is asked for that begins like this.
    pub fn has_under(&self, prefix: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Keys(keys) => keys.range(prefix..).next().is_some_and(|key| key.starts_with(prefix)),
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Keys(keys) if keys.is_empty())
    }
}

/// What is known of a request whatever it asks for.
pub(in crate::protocol) fn of_request(asking: &Asking<'_>, caller: &Caller) -> Context {
    wanted_of_request(asking, caller, &Wanted::Everything)
}

/// As [`of_request`], of the keys that are wanted.
pub(super) fn wanted_of_request(asking: &Asking<'_>, caller: &Caller, wanted: &Wanted<'_>) -> Context {
    let mut keys = Context::new();
    of_caller(&mut keys, caller, wanted);
    if wanted.is_nothing() {
        return keys;
    }
    of_connection(&mut keys, asking, wanted);
    for (name, key) in HEADERS.iter().filter(|(_, key)| wanted.has(key)) {
        if let Some(value) = text(asking.headers, name) {
            keys.insert(*key, value);
        }
    }
    if QUERY.iter().any(|(_, key)| wanted.has(key)) {
        for (name, value) in query::pairs(asking.uri) {
            if let Some((_, key)) = QUERY.iter().find(|(known, _)| *known == name) {
                keys.insert(*key, value);
            }
        }
    }
    if let Some(source) = text(asking.headers, "x-amz-copy-source") {
        keys.insert("s3:x-amz-copy-source", percent_decode_str(source.trim_start_matches('/')).decode_utf8_lossy());
    }
    let in_header = text(asking.headers, "x-amz-tagging").and_then(|tags| tagging::parse_header(tags).ok());
    of_requested_tags(&mut keys, asking, in_header.as_deref().unwrap_or_default());
    if let Some(location) = asking.said.location {
        keys.insert("s3:locationconstraint", location);
    }
    of_retention(&mut keys, asking);
    keys
}

/// What is known of who asks.
fn of_caller(keys: &mut Context, caller: &Caller, wanted: &Wanted<'_>) {
    for (key, value) in caller.facts.iter().filter(|(key, _)| wanted.has(key)) {
        keys.push(key.as_str(), value.as_str());
    }
    // Not a condition's key, but a principal's.
    if wanted.has(CANONICAL_ID) && !caller.is_anonymous() {
        keys.insert(CANONICAL_ID, caller.account.canonical_id.as_str());
    }
}

fn of_connection(keys: &mut Context, asking: &Asking<'_>, wanted: &Wanted<'_>) {
    let now = asking.now.0;
    keys.insert("aws:epochtime", now.div_euclid(1_000).to_string());
    if wanted.has("aws:currenttime")
        && let Ok(time) = jiff::Timestamp::from_millisecond(now)
    {
        keys.insert("aws:currenttime", time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    let connection = asking.context.connection();
    if let Some(peer) = connection.peer {
        // A mapped address is the IPv4 address that policies speak of.
        keys.insert("aws:sourceip", peer.ip().to_canonical().to_string());
    }
    keys.insert("aws:securetransport", if connection.tls.is_some() { "true" } else { "false" });
    if let Some(version) = connection.tls {
        keys.insert("s3:tlsversion", version);
    }
    if !wanted.has_any(&["s3:authtype", "s3:signatureversion", "s3:signatureage"]) {
        return;
    }
    let is_form = asking.context.operation() == Some("PostObject");
    let signature = if is_form { Signature::of_form(asking) } else { Signature::of(asking.headers, asking.uri) };
    let Some(signature) = signature else { return };
    keys.insert("s3:authtype", signature.kind);
    // Of a form alone, the older version is taken; it has no date.
    let version = if is_form && signature.at.is_none() { "AWS" } else { "AWS4-HMAC-SHA256" };
    keys.insert("s3:signatureversion", version);
    if let Some(signed) = signature.at {
        keys.insert("s3:signatureage", now.saturating_sub(signed).max(0).to_string());
    }
}

/// How a request is signed. A form's signature is in its body and known to whoever read that.
struct Signature {
    kind: &'static str,
    /// Milliseconds since 1970.
    at: Option<i64>,
}

impl Signature {
    /// Whoever read the form has verified its signature, and put its fields in the place of headers.
    fn of_form(asking: &Asking<'_>) -> Option<Self> {
        let signed = asking.context.caller().is_some_and(|caller| !caller.is_anonymous());
        signed.then(|| Self { kind: "POST", at: text(asking.headers, "x-amz-date").and_then(amz_date) })
    }

    fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        if headers.contains_key(header::AUTHORIZATION) {
            let at = text(headers, "x-amz-date").and_then(amz_date);
            return Some(Self { kind: "REST-HEADER", at });
        }
        let date = query::pairs(uri).find(|(name, _)| name.eq_ignore_ascii_case("x-amz-date"));
        date.map(|(_, value)| Self { kind: "REST-QUERY-STRING", at: amz_date(&value) })
    }
}

/// `20130524T000000Z`, in milliseconds since 1970.
fn amz_date(text: &str) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp().as_millisecond())
}

/// The tags that a request gives: those of objects and those of buckets have different keys.
fn of_requested_tags(keys: &mut Context, asking: &Asking<'_>, in_header: &[tagging::Tag]) {
    let operation = asking.context.operation();
    let of_bucket = matches!(operation, Some("CreateBucket" | "PutBucketTagging" | "TagResource" | "UntagResource"));
    let (one, all) = if of_bucket {
        ("aws:requesttag/", "aws:tagkeys")
    } else {
        ("s3:requestobjecttag/", "s3:requestobjecttagkeys")
    };
    for (key, value) in in_header.iter().chain(asking.said.tags) {
        if operation != Some("UntagResource") {
            keys.insert(format!("{one}{key}"), value.as_str());
        }
        keys.push(all, key.as_str());
    }
}

/// What a request's body says of a lock, and the days that are left until the asked retention ends, begun ones counted
/// whole.
fn of_retention(keys: &mut Context, asking: &Asking<'_>) {
    let said = &asking.said;
    if let Some(mode) = said.lock_mode {
        keys.insert("s3:object-lock-mode", mode);
    }
    if let Some(status) = said.legal_hold {
        keys.insert("s3:object-lock-legal-hold", status);
    }
    let in_body = said.retain_until.and_then(|until| jiff::Timestamp::from_millisecond(until).ok());
    if let Some(until) = in_body {
        keys.insert("s3:object-lock-retain-until-date", until.to_string());
    }
    let in_head = text(asking.headers, "x-amz-object-lock-retain-until-date");
    if let Some(until) = in_body.or_else(|| in_head.and_then(|until| until.parse::<jiff::Timestamp>().ok())) {
        let left = until.as_millisecond().saturating_sub(asking.now.0).max(0);
        let days = left.div_euclid(MILLISECONDS_OF_A_DAY) + i64::from(left % MILLISECONDS_OF_A_DAY > 0);
        keys.insert("s3:object-lock-remaining-retention-days", days.to_string());
    }
}

/// What is known of what is asked for.
pub(super) fn of_resource(
    keys: &mut Context,
    resource: Resource<'_>,
    owner: &str,
    access: Option<&BucketAccess>,
    wanted: &Wanted<'_>,
) {
    if wanted.is_nothing() {
        return;
    }
    keys.insert("s3:resourceaccount", owner);
    keys.insert("aws:resourceaccount", owner);
    if let Resource::Object { version: Some(version), .. } = resource {
        keys.insert("s3:versionid", version);
    }
    let Some(access) = access.filter(|_| RESOURCE_TAGS.iter().any(|prefix| wanted.has_under(prefix))) else { return };
    for (key, value) in &access.tags {
        if access.abac {
            keys.insert(format!("aws:resourcetag/{key}"), value.as_str());
            keys.insert(format!("s3:buckettag/{key}"), value.as_str());
        }
        // Ceph's name for the same, which needs no setting.
        keys.insert(format!("s3:resourcetag/{key}"), value.as_str());
    }
}

/// The tags that an object has.
pub(super) fn of_object(keys: &mut Context, tags: &[(String, String)]) {
    for (key, value) in tags {
        keys.insert(format!("s3:existingobjecttag/{key}"), value.as_str());
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    headers.get(HeaderName::from_static(name)).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_and_when_a_request_was_signed() {
        let mut headers = HeaderMap::new();
        assert!(Signature::of(&headers, &Uri::from_static("/b/k?prefix=x")).is_none());
        let presigned = Uri::from_static("/b/k?X-Amz-Date=19700101T000001Z&X-Amz-Signature=0");
        let signature = Signature::of(&headers, &presigned).expect("presigned");
        assert_eq!((signature.kind, signature.at), ("REST-QUERY-STRING", Some(1_000)));
        headers.insert(header::AUTHORIZATION, http::HeaderValue::from_static("AWS4-HMAC-SHA256 Credential=A"));
        headers.insert("x-amz-date", http::HeaderValue::from_static("19700102T000000Z"));
        let signature = Signature::of(&headers, &Uri::from_static("/")).expect("signed");
        assert_eq!((signature.kind, signature.at), ("REST-HEADER", Some(86_400_000)));
        assert_eq!(amz_date("yesterday"), None);
    }
}
