//! The table `[website]`: where static websites are served, and under which names.

use super::layers::{Layers, Setting};
use super::{ConfigError, ServerConfig, address, domain_names, is_host_name};
use crate::rules::bucket_name;
use std::net::SocketAddr;

/// More hosts than one server has websites of its own name.
const MAX_HOSTS: usize = 10_000;

/// Static websites.
#[derive(Debug, Clone, Default)]
pub struct WebsiteConfig {
    /// Suffixes under which `bucket.suffix` is a bucket's website; lower case, without a leading dot.
    pub domains: Vec<String>,
    /// A listener on which every host is a website.
    pub listen: Option<SocketAddr>,
    /// Hosts that are websites, lower case, each with its bucket.
    pub hosts: Vec<(String, String)>,
}

pub(super) fn website(layers: &Layers, server: &ServerConfig) -> Result<WebsiteConfig, ConfigError> {
    let domains = layers.list("website", "domains", |raw| &raw.website.domains);
    let checked = domains.as_ref().map(domain_names).transpose()?.unwrap_or_default();
    if let (Some(setting), Some(both)) = (&domains, checked.iter().find(|name| server.domains.contains(name))) {
        return Err(setting.refuse(format!("{both:?} is among server.domains: a host cannot be of both")));
    }
    let listen = layers.scalar("website", "listen", |raw| &raw.website.listen);
    let listen = listen.map(|setting| address(setting.value).map_err(|reason| setting.refuse(reason))).transpose()?;
    let hosts = layers.pairs("website", "hosts", |raw| &raw.website.hosts);
    let hosts = hosts.map(|setting| hosts_and_buckets(&setting)).transpose()?.unwrap_or_default();
    Ok(WebsiteConfig { domains: checked, listen, hosts })
}

fn hosts_and_buckets(setting: &Setting<'_, [(String, String)]>) -> Result<Vec<(String, String)>, ConfigError> {
    if setting.value.len() > MAX_HOSTS {
        return Err(setting.refuse(format!("more than {MAX_HOSTS} hosts")));
    }
    let mut hosts: Vec<(String, String)> = Vec::new();
    for (host, bucket) in setting.value {
        let name = host.trim().to_ascii_lowercase();
        if !is_host_name(&name) {
            return Err(setting.refuse(format!("{host:?} is not a host name such as www.example.com (no port)")));
        }
        if hosts.iter().any(|(known, _)| *known == name) {
            return Err(setting.refuse(format!("{host:?} is given twice")));
        }
        if bucket_name::check(bucket).is_err() {
            return Err(setting.refuse(format!("{bucket:?} is no bucket's name")));
        }
        hosts.push((name, bucket.clone()));
    }
    hosts.sort_unstable();
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment, RawConfig};
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<WebsiteConfig, String> {
        let mut pairs = vec![("CAIRN_STORAGE_DATA", "/data")];
        pairs.extend(variables);
        let environment = Environment::from_pairs(pairs).expect("utf-8");
        let layers = Layers::gather(RawConfig::default(), &environment, None).map_err(|error| error.to_string())?;
        Config::from_layers(&layers).map(|config| config.website).map_err(|error| error.to_string())
    }

    #[test]
    fn websites_have_suffixes_a_listener_and_hosts_of_their_own() {
        let none = load(&[]).expect("defaults");
        assert!(none.domains.is_empty() && none.listen.is_none() && none.hosts.is_empty());
        let some = load(&[
            ("CAIRN_WEBSITE_DOMAINS", ".Web.example.com, sites.test"),
            ("CAIRN_WEBSITE_LISTEN", ":8080"),
            ("CAIRN_WEBSITE_HOSTS", "WWW.example.org=www-bucket, example.org = www-bucket"),
        ])
        .expect("valid");
        assert_eq!(some.domains, ["web.example.com", "sites.test"]);
        assert_eq!(some.listen.map(|address| address.to_string()).as_deref(), Some("0.0.0.0:8080"));
        let pair = |host: &str| (host.to_owned(), "www-bucket".to_owned());
        assert_eq!(some.hosts, [pair("example.org"), pair("www.example.org")]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        for (variables, reason) in [
            (vec![("CAIRN_WEBSITE_DOMAINS", "a b")], "is not a host name"),
            (vec![("CAIRN_WEBSITE_DOMAINS", "a.test"), ("CAIRN_SERVER_DOMAINS", "a.test")], "server.domains"),
            (vec![("CAIRN_WEBSITE_LISTEN", "8080")], "is not an address"),
            (vec![("CAIRN_WEBSITE_HOSTS", "www.test")], "HOST=BUCKET"),
            (vec![("CAIRN_WEBSITE_HOSTS", "www.test:80=bucket")], "is not a host name"),
            (vec![("CAIRN_WEBSITE_HOSTS", "www.test=No")], "no bucket's name"),
            (vec![("CAIRN_WEBSITE_HOSTS", "a.test=bucket,A.test=bucket")], "given twice"),
        ] {
            let error = load(&variables).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }
}
