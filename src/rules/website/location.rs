//! The addresses that redirects name. Whatever a request says, the host is one that the owner configured or the one
//! that was asked, and the address is one line of visible ASCII.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::decide::Asked;
use super::{NewKey, Protocol, Redirect, RedirectAll};

/// What no address may hold as it is. Of what the owner wrote nothing else is touched: `#!/` and `?key=` are meant.
const OWNERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');
/// As it is and, in a key, what would end the path of an address.
const KEYS: &AsciiSet = &OWNERS.add(b'?').add(b'#').add(b'%').add(b'{').add(b'|').add(b'}');

/// Whether a text can stand for the host of an address: a name or an address, perhaps a port, perhaps the beginning of
/// a path. No user information, no query, nothing that would make another host of it.
pub(super) fn is_host(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let of_path = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`');
    !host.is_empty()
        && !host.starts_with(':')
        && host.bytes().all(of_host)
        && path.bytes().all(of_path)
        && !path.starts_with('/')
}

/// Where a website sends all its requests.
pub(super) fn of_all(all: &RedirectAll, asked: &Asked<'_>) -> String {
    let mut location = address(all.protocol.unwrap_or(asked.protocol), &all.host);
    let _ = write!(location, "{}", utf8_percent_encode(asked.key, KEYS));
    with_query(location, asked.query)
}

/// Where a routing rule sends a request. `prefix` is the one that its condition names.
pub(super) fn of_rule(redirect: &Redirect, prefix: &str, asked: &Asked<'_>) -> String {
    let mut location =
        address(redirect.protocol.unwrap_or(asked.protocol), redirect.host.as_deref().unwrap_or(asked.host));
    // Writing to a String cannot fail.
    let _ = match &redirect.key {
        None => write!(location, "{}", utf8_percent_encode(asked.key, KEYS)),
        Some(NewKey::Whole(key)) => write!(location, "{}", utf8_percent_encode(key, OWNERS)),
        Some(NewKey::Prefix(new)) => {
            let rest = asked.key.strip_prefix(prefix).unwrap_or(asked.key);
            write!(location, "{}{}", utf8_percent_encode(new, OWNERS), utf8_percent_encode(rest, KEYS))
        }
    };
    with_query(location, asked.query)
}

/// Where a folder is: its key with a slash behind. A path alone, so that no host need be known; slashes at its
/// beginning are encoded, for `//name/` is an address of another host.
pub(super) fn of_folder(asked: &Asked<'_>) -> String {
    let inner = asked.key.trim_start_matches('/');
    let outer = asked.key.len() - inner.len();
    let location = format!("/{}{}/", "%2F".repeat(outer), utf8_percent_encode(inner, KEYS));
    with_query(location, asked.query)
}

/// Where an object redirects to, as its owner wrote it.
pub(super) fn of_object(location: &str) -> String {
    utf8_percent_encode(location, OWNERS).to_string()
}

fn address(protocol: Protocol, host: &str) -> String {
    format!("{}://{}/", protocol.as_str(), host.trim_end_matches('/'))
}

/// The address with the request's query behind, unless the owner gave it one, or a fragment.
fn with_query(mut location: String, query: Option<&str>) -> String {
    if let Some(query) = query.filter(|query| !query.is_empty() && !location.contains(['?', '#'])) {
        let _ = write!(location, "?{}", utf8_percent_encode(query, OWNERS));
    }
    location
}
