//! A request's query string, as its name-value pairs.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

/// The decoded pairs, in order. A name without `=` has an empty value; what is not UTF-8 is replaced, which no name
/// that is asked for here survives.
pub(super) fn pairs(uri: &Uri) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw(uri).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn raw(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty())
}

/// In a query, `+` is a space (s3s reads it so too).
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// The same URI with another path, and only those pairs for which `keep` holds. `None` if that is no URI.
pub(super) fn rewritten(uri: &Uri, path: &str, keep: impl Fn(&str, &str) -> bool) -> Option<Uri> {
    let kept: Vec<&str> = raw(uri)
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            keep(&decoded(name), &decoded(value))
        })
        .collect();
    let text = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_can_be_left_out() {
        let uri = Uri::from_static("http://h:9/b?a=1&b&c=%20+x&max-keys=");
        let all: Vec<_> = pairs(&uri).map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["a=1", "b=", "c=  x", "max-keys="]);
        let shorter = rewritten(&uri, uri.path(), |name, _| name != "max-keys" && name != "a").expect("a URI");
        assert_eq!(shorter.to_string(), "http://h:9/b?b&c=%20+x");
        assert_eq!(rewritten(&Uri::from_static("//"), "/", |_, _| true).expect("a URI").path(), "/");
    }
}
