//! Which hosts are virtual: `bucket.DOMAIN` for the configured domains, and nothing else. Whatever other name the
//! server is reached by (localhost, a container's name, a CNAME) is path-style.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// The configured domains, lower-case and without a port.
#[derive(Clone, Debug, Default)]
pub(super) struct Domains(Vec<String>);

impl Domains {
    pub(super) fn new(domains: &[String]) -> Self {
        let mut domains: Vec<String> =
            domains.iter().map(|domain| without_port(domain.trim_matches('.')).to_ascii_lowercase()).collect();
        // The longest first, so that of two nested domains the inner one decides.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self(domains)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The domain and, where the host is virtual, the bucket. `None` for a host that is none of ours.
    pub(super) fn split<'a>(&'a self, host: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.0.iter().find_map(|domain| {
            let start = host.len().checked_sub(domain.len())?;
            let suffix = host.get(start..)?;
            if !suffix.eq_ignore_ascii_case(domain) {
                return None;
            }
            match host.get(..start)? {
                "" => Some((domain.as_str(), None)),
                before => before
                    .strip_suffix('.')
                    .filter(|bucket| !bucket.is_empty())
                    .map(|bucket| (domain.as_str(), Some(bucket))),
            }
        })
    }

    /// The bucket that a host names.
    pub(super) fn bucket(&self, host: &str) -> Option<String> {
        // A host's letters have no case, a bucket's name has none but lower-case ones.
        self.split(host).and_then(|(_, bucket)| bucket).map(str::to_ascii_lowercase)
    }

    /// Whether a request to this host names its bucket in the host.
    pub(super) fn is_virtual(&self, host: &str) -> bool {
        self.split(host).is_some_and(|(_, bucket)| bucket.is_some())
    }
}

/// The host alone.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.split(host) {
            // A host's letters have no case, a bucket's name has none but lower-case ones.
            Some((domain, Some(bucket))) => VirtualHost::new(domain).with_bucket(bucket.to_ascii_lowercase()),
            Some((domain, None)) => VirtualHost::new(domain),
            None => VirtualHost::new(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_domains_are_virtual() {
        let domains = Domains::new(&["s3.example.test:9000".to_owned(), "EU.s3.example.test".to_owned()]);
        let table = [
            ("bucket.s3.example.test", Some("bucket")),
            ("my.bucket.s3.example.test:9000", Some("my.bucket")),
            ("Bucket.S3.Example.Test.", Some("bucket")),
            ("b.eu.s3.example.test", Some("b")),
            ("eu.s3.example.test", None),
            ("s3.example.test", None),
            (".s3.example.test", None),
            ("nots3.example.test", None),
            ("localhost", None),
            ("localhost:9000", None),
            ("storage", None),
            ("bucket.other.test", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
            ("ümlaut", None),
        ];
        for (host, bucket) in table {
            let parsed = domains.parse_host_header(host).expect("every host is taken");
            assert_eq!(parsed.bucket(), bucket, "{host}");
            assert_eq!(domains.is_virtual(host), bucket.is_some(), "{host}");
        }
        assert!(!Domains::default().is_virtual("bucket.s3.example.test"));
    }
}
