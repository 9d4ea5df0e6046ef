//! Which hosts are websites, and of which bucket.
//!
//! On the S3 listener: `bucket.SUFFIX` of the configured suffixes, and the hosts that the configuration gives to a
//! bucket; a bucket's name alone makes no website there, for whoever may create buckets could then take any name that
//! S3 is reached by. On a listener for websites every host is one: it names its bucket as on the S3 listener, and
//! else by being the bucket's name, as <https://docs.aws.amazon.com/AmazonS3/latest/userguide/website-hosting-custom-domain-walkthrough.html>
//! has it.

use std::collections::HashMap;

use http::{HeaderMap, Uri};

use crate::protocol::host::{Domains, without_port};
use crate::protocol::target;

/// The hosts of websites.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Hosts {
    suffixes: Domains,
    named: HashMap<String, String>,
}

/// A request to a website.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Visit {
    /// The bucket's name, which need not be one.
    pub bucket: String,
    /// The host that was asked, with its port.
    pub host: String,
}

impl Hosts {
    /// Suffixes, and hosts each with its bucket.
    pub(in crate::protocol) fn new(suffixes: &[String], named: &[(String, String)]) -> Self {
        let named = named.iter().map(|(host, bucket)| (host.to_ascii_lowercase(), bucket.clone())).collect();
        Self { suffixes: Domains::new(suffixes), named }
    }

    /// The website that a request is to; `None` for a request to S3. `s3` are the domains of S3's own hosts, and of a
    /// host that is of both the longer one decides.
    pub(in crate::protocol) fn visit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        s3: &Domains,
        on_own_listener: bool,
    ) -> Option<Visit> {
        if !on_own_listener && self.named.is_empty() && self.suffixes.is_empty() {
            return None;
        }
        let asked = match target::host(uri, headers) {
            Some(asked) => asked,
            None if on_own_listener => "",
            None => return None,
        };
        let name = without_port(asked);
        let port = asked.get(name.len()..).unwrap_or_default();
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let bucket = match self.named.get(&name) {
            Some(bucket) => Some(bucket.clone()),
            None => self.suffixed(&name, s3).or_else(|| on_own_listener.then(|| name.clone())),
        };
        bucket.map(|bucket| Visit { bucket, host: format!("{name}{port}") })
    }

    fn suffixed(&self, name: &str, s3: &Domains) -> Option<String> {
        let (suffix, bucket) = self.suffixes.split(name)?;
        let of_s3 = s3.split(name).is_some_and(|(domain, _)| domain.len() >= suffix.len());
        bucket.filter(|_| !of_s3).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn hosts_name_buckets() {
        let s3 = Domains::new(&["s3.test".to_owned(), "s3.web.test".to_owned()]);
        let named = [("WWW.example.org".to_owned(), "www".to_owned())];
        let hosts = Hosts::new(&["web.test".to_owned(), "sites.s3.test".to_owned()], &named);
        let visit = |host: &'static str, own| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            hosts.visit(&Uri::from_static("/"), &headers, &s3, own).map(|visit| (visit.bucket, visit.host))
        };
        let table = [
            ("b.web.test", Some(("b", "b.web.test")), Some(("b", "b.web.test"))),
            ("My.B.Web.Test:8080", Some(("my.b", "my.b.web.test:8080")), Some(("my.b", "my.b.web.test:8080"))),
            ("www.example.org.:80", Some(("www", "www.example.org:80")), Some(("www", "www.example.org:80"))),
            ("b.sites.s3.test", Some(("b", "b.sites.s3.test")), Some(("b", "b.sites.s3.test"))),
            ("b.s3.web.test", None, Some(("b.s3.web.test", "b.s3.web.test"))),
            ("b.s3.test", None, Some(("b.s3.test", "b.s3.test"))),
            ("web.test", None, Some(("web.test", "web.test"))),
            ("example.org", None, Some(("example.org", "example.org"))),
            ("127.0.0.1:9000", None, Some(("127.0.0.1", "127.0.0.1:9000"))),
        ];
        for (host, on_s3, on_own) in table {
            let owned = |pair: Option<(&str, &str)>| pair.map(|(bucket, host)| (bucket.to_owned(), host.to_owned()));
            assert_eq!(visit(host, false), owned(on_s3), "{host}");
            assert_eq!(visit(host, true), owned(on_own), "{host}");
        }
        let none = Hosts::default();
        let (uri, headers) = (Uri::from_static("/"), HeaderMap::new());
        assert_eq!(none.visit(&uri, &headers, &s3, false), None);
        let nameless = none.visit(&uri, &headers, &s3, true).expect("every request there is to a website");
        assert_eq!(nameless.bucket, "");
    }
}
