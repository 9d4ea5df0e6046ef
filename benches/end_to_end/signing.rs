//! Signature Version 4 in headers, as the AWS documentation "Authenticating Requests: Using the Authorization Header"
//! describes it, and the request heads around it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s_sigv4::{
    AmzDate, EMPTY_STRING_SHA256_HASH, Payload, calculate_signature_with_key,
    create_canonical_request_with_raw_uri_path, create_string_to_sign, derive_signing_key,
};

use crate::Result;
use crate::options::Options;

/// RFC 3986's unreserved characters stay as they are, as the canonical request wants it.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A signature is good for 15 minutes; renewing the date each minute costs nothing.
const RENEW_AFTER: Duration = Duration::from_mins(1);

/// One request, before it is signed.
pub struct Request<'a> {
    pub method: &'static str,
    /// `/bucket/key`, of unreserved characters and slashes only.
    pub path: &'a str,
    /// Names and values, not encoded, sorted by name.
    pub query: &'a [(&'a str, &'a str)],
    /// Lower-case hexadecimal SHA-256 of the body, or none for `UNSIGNED-PAYLOAD`.
    pub sha256: Option<&'a str>,
    pub content_length: u64,
    /// Further headers, not signed: complete lines with their line ends.
    pub extra: &'a str,
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn empty(method: &'static str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { method, path, query, sha256: Some(EMPTY_STRING_SHA256_HASH), content_length: 0, extra: "" }
    }
}

/// Writes signed request heads for one server.
#[derive(Clone)]
pub struct Signer {
    access_key: String,
    secret_key: String,
    region: String,
    service: &'static str,
    host: String,
    date: AmzDate,
    key: [u8; 32],
    renewed: Instant,
}

impl Signer {
    /// A signer with the run's credentials for the server at `host`.
    pub fn new(options: &Options, host: String) -> Result<Self> {
        let date = now()?;
        Ok(Self {
            access_key: options.access_key.clone(),
            secret_key: options.secret_key.clone(),
            region: options.region.clone(),
            service: "s3",
            host,
            key: derive_signing_key(&options.secret_key, &date, &options.region, "s3"),
            date,
            renewed: Instant::now(),
        })
    }

    /// The same with another key.
    pub fn with_key(&self, access_key: String, secret_key: String) -> Self {
        Self { access_key, secret_key, ..self.clone() }.derived()
    }

    /// The same for another service at the same address.
    pub fn for_service(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }.derived()
    }

    fn derived(mut self) -> Self {
        self.key = derive_signing_key(&self.secret_key, &self.date, &self.region, self.service);
        self
    }

    /// Replaces `head` by the signed head of `request`, blank line included.
    pub fn write_head(&mut self, head: &mut Vec<u8>, request: &Request<'_>) -> Result<()> {
        if self.renewed.elapsed() > RENEW_AFTER {
            self.date = now()?;
            self.key = derive_signing_key(&self.secret_key, &self.date, &self.region, self.service);
            self.renewed = Instant::now();
        }
        let date = self.date.fmt_iso8601();
        let hash = request.sha256.unwrap_or("UNSIGNED-PAYLOAD");
        let headers = [("host", self.host.as_str()), ("x-amz-content-sha256", hash), ("x-amz-date", date.as_str())];
        let payload = request.sha256.map_or(Payload::Unsigned, Payload::SingleChunk);
        let canonical =
            create_canonical_request_with_raw_uri_path(request.method, request.path, request.query, headers, payload);
        let string_to_sign = create_string_to_sign(&canonical, &self.date, &self.region, self.service);
        let signature = hex::encode(calculate_signature_with_key(&string_to_sign, &self.key));

        head.clear();
        write!(head, "{} {}", request.method, request.path)?;
        for (index, (name, value)) in request.query.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            write!(head, "{separator}{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY))?;
        }
        write!(
            head,
            " HTTP/1.1\r\nhost: {}\r\nx-amz-date: {date}\r\nx-amz-content-sha256: {hash}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={}/{}/{}/{}/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n",
            self.host,
            self.access_key,
            self.date.fmt_date(),
            self.region,
            self.service,
        )?;
        if request.method == "PUT" || request.content_length > 0 {
            write!(head, "content-length: {}\r\n", request.content_length)?;
        }
        write!(head, "{}\r\n", request.extra)?;
        Ok(())
    }
}

fn now() -> Result<AmzDate> {
    let text = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    Ok(AmzDate::parse(&text)?)
}
