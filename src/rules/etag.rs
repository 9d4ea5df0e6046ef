//! Entity tags: how an object in parts gets its own, and how a client's text is compared with one.

use md5::{Digest, Md5};
use storage::index::records::ETag;

/// The ETag of an object that was uploaded in parts: the MD5 of the parts' MD5s, and how many there are. `None` for no
/// parts, or more than the ETag can count.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
#[must_use]
pub fn of_parts(md5s: impl IntoIterator<Item = [u8; 16]>) -> Option<ETag> {
    let mut digest = Md5::new();
    let mut parts: u16 = 0;
    for md5 in md5s {
        digest.update(md5);
        parts = parts.checked_add(1)?;
    }
    (parts > 0).then(|| ETag { md5: digest.finalize().into(), parts: Some(parts) })
}

/// Whether a client's text names this ETag. S3 takes it with or without its quotes.
#[must_use]
pub fn is(etag: &ETag, text: &str) -> bool {
    etag.to_string() == unquoted(text)
}

/// A client's entity tag without the white space and quotes around it.
#[must_use]
pub fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(data: &[u8]) -> [u8; 16] {
        Md5::digest(data).into()
    }

    #[test]
    fn an_etag_of_parts_is_the_md5_of_their_md5s() {
        // MD5("test") and its one-part ETag, as Amazon S3 answered for an upload of the one part "test".
        let etag = of_parts([md5(b"test")]).unwrap();
        assert_eq!(etag.to_string(), "60cd54a928cbbcbb6e7b5595bab46a9e-1");
        let two = of_parts([md5(b"a"), md5(b"b")]).unwrap();
        assert_eq!(two.parts, Some(2));
        assert_eq!(two.md5, md5(&[md5(b"a"), md5(b"b")].concat()));
        assert_eq!(of_parts([]), None);
        assert_eq!(of_parts(std::iter::repeat_n([0; 16], 65_536)), None);
    }

    #[test]
    fn quotes_do_not_matter_but_everything_else_does() {
        let etag = ETag { md5: md5(b"test"), parts: None };
        assert!(is(&etag, "098f6bcd4621d373cade4e832627b4f6"));
        assert!(is(&etag, " \"098f6bcd4621d373cade4e832627b4f6\" "));
        for other in ["", "\"", "*", "098f6bcd4621d373cade4e832627b4f6-1", "\"098f6bcd4621d373cade4e832627b4f6"] {
            assert!(!is(&etag, other), "{other}");
        }
    }
}
