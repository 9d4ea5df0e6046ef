//! Which bucket a request is about, by its host and path alone, whatever becomes of it later.

use http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;

use super::host::Domains;
use super::website::Visit;

/// What a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The bucket's name, which need not be one.
    pub bucket: String,
    /// Whether there is a key after it.
    pub has_key: bool,
    /// Whether the host names the bucket.
    pub is_virtual: bool,
}

impl Target {
    /// `None` for a request that names no bucket.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap, domains: &Domains) -> Option<Self> {
        let path = uri.path().strip_prefix('/').unwrap_or(uri.path());
        if let Some(bucket) = host(uri, headers).and_then(|host| domains.bucket(host)) {
            return Some(Self { bucket, has_key: !path.is_empty(), is_virtual: true });
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let bucket = percent_decode_str(bucket).decode_utf8().ok()?.into_owned();
        (!bucket.is_empty()).then_some(Self { bucket, has_key: !key.is_empty(), is_virtual: false })
    }

    /// What a request to a website names.
    pub(super) fn of_website(visit: &Visit, uri: &Uri) -> Self {
        Self { bucket: visit.bucket.clone(), has_key: uri.path().len() > 1, is_virtual: true }
    }
}

/// The host that a request was sent to, with its port.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let from_header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    from_header.or_else(|| uri.authority().map(http::uri::Authority::as_str))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_bucket_is_in_the_host_or_in_the_path() {
        let domains = Domains::new(&["s3.example.test".to_owned()]);
        let target = |host: &'static str, uri: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            let target = Target::of(&Uri::from_static(uri), &headers, &domains);
            target.map(|target| (target.bucket, target.has_key, target.is_virtual))
        };
        let named = |bucket: &str, has_key, is_virtual| Some((bucket.to_owned(), has_key, is_virtual));
        assert_eq!(target("localhost:9000", "/"), None);
        assert_eq!(target("localhost:9000", "/b"), named("b", false, false));
        assert_eq!(target("localhost:9000", "/b/?cors"), named("b", false, false));
        assert_eq!(target("localhost:9000", "/b%2Dc/k/l"), named("b-c", true, false));
        assert_eq!(target("B.s3.example.test", "/"), named("b", false, true));
        assert_eq!(target("b.s3.example.test:80", "/k"), named("b", true, true));
        assert_eq!(target("s3.example.test", "/b/k"), named("b", true, false));
    }
}
