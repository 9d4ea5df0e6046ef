//! Websites: any configuration is checked, any request to any website is decided about within three questions, and no
//! redirect names a host that is neither the website's nor its owner's, nor breaks out of its header.
//!
//! An input is lines of `name=value`. Those of the website: index, error, all (a host), and of its rules, each of which
//! begins with `rule`: prefix, code, host, protocol, key, keys (a prefix), status. Of the request: path, query. Of an
//! object: object (where it redirects to).

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../src/rules"]
#[allow(dead_code, reason = "the rules are compiled here as they are")]
mod rules {
    pub mod object_key;
    pub mod refusal;
    pub mod website;
    pub use refusal::{Code, Refusal};
}

use rules::website::{
    Asked, Folder, MAX_BYTES, MAX_REDIRECT_LOCATION_BYTES, Protocol, Seen, Stated, StatedRule, Step, Website, check,
    check_redirect_location, decide,
};

const OWN: &str = "site.test:8080";

fuzz_target!(|input: &str| {
    let mut stated = Stated::default();
    let (mut path, mut query, mut object) = (String::new(), None, None);
    for (name, value) in input.lines().filter_map(|line| line.split_once('=')) {
        // Line ends are what a header must not have: `\n` stands for one.
        let value = value.replace("\\n", "\r\n");
        match name {
            "index" => stated.index = Some(value),
            "error" => stated.error = Some(value),
            "all" => stated.redirect_all = Some((value, None)),
            "path" => path = value,
            "query" => query = Some(value),
            "object" => object = Some(value),
            "rule" => stated.rules.get_or_insert_default().push(StatedRule::default()),
            _ => {
                if let Some(rule) = stated.rules.as_mut().and_then(|rules| rules.last_mut()) {
                    state(rule, name, value);
                }
            }
        }
    }
    let hosts = hosts(&stated);
    if let Ok(site) = check(stated) {
        visit(&site, &hosts, &path, query.as_deref());
        if check_redirect_location(object.as_deref()).is_ok() {
            redirected(&site, &path, object.as_deref());
        }
    }
});

fn state(rule: &mut StatedRule, name: &str, value: String) {
    match name {
        "prefix" => rule.condition.get_or_insert_default().0 = Some(value),
        "code" => rule.condition.get_or_insert_default().1 = Some(value),
        "host" => rule.redirect.host = Some(value),
        "protocol" => rule.redirect.protocol = Some(value),
        "key" => rule.redirect.key = Some(value),
        "keys" => rule.redirect.key_prefix = Some(value),
        "status" => rule.redirect.code = Some(value),
        _ => {}
    }
}

/// The hosts that the owner names.
fn hosts(stated: &Stated) -> Vec<String> {
    let of_rules = stated.rules.iter().flatten().filter_map(|rule| rule.redirect.host.as_ref());
    let all = stated.redirect_all.iter().map(|(host, _)| host);
    let host = |host: &String| host.split('/').next().unwrap_or_default().to_owned();
    of_rules.chain(all).map(host).collect()
}

fn visit(site: &Website, hosts: &[String], path: &str, query: Option<&str>) {
    let asked = Asked { protocol: Protocol::Http, host: OWN, key: path, query };
    let mut seen = Seen::Nothing;
    for turn in 0.. {
        assert!(turn < 3, "a visit does not end");
        match decide(site, &asked, seen) {
            Step::Read(key) => {
                assert!(key.starts_with(path) && key.len() <= path.len() + MAX_BYTES);
                let status = if path.len() % 2 == 0 { 404 } else { 403 };
                seen = Seen::Failed { status, folder: Folder::Unknown };
            }
            Step::LookFor(key) => {
                assert!(rules::object_key::check(&key).is_ok());
                let folder = if path.len() % 3 == 0 { Folder::Indexed } else { Folder::Missing };
                seen = Seen::Failed { status: 404, folder };
            }
            Step::Redirect { status, location } => {
                assert!((301..400).contains(&status));
                return check_location(&location, hosts, path, query);
            }
            Step::Serve => panic!("what failed is served"),
            Step::Fail { document } => return assert!(document.is_none_or(|key| !key.is_empty())),
        }
    }
}

fn check_location(location: &str, hosts: &[String], path: &str, query: Option<&str>) {
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    assert!(location.len() <= 3 * (path.len() + query.map_or(0, str::len) + MAX_BYTES) + 64);
    if location.starts_with('/') {
        return assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{location}");
    }
    let rest = location.strip_prefix("http://").or_else(|| location.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#', '\\']).next()).expect("an address");
    assert!(host == OWN || hosts.iter().any(|known| known == host), "{location}");
}

/// An object that redirects.
fn redirected(site: &Website, path: &str, to: Option<&str>) {
    let asked = Asked { protocol: Protocol::Https, host: OWN, key: path, query: None };
    let Step::Redirect { location, .. } = decide(site, &asked, Seen::Page { redirect: to }) else { return };
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    assert!(matches!(site, Website::RedirectAll(_)) || location.len() <= 3 * MAX_REDIRECT_LOCATION_BYTES);
}
