//! Tags of objects and buckets.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html>

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use super::refusal::{Code, Refusal, Result};

/// A tag: key and value.
pub type Tag = (String, String);

/// The most tags of an object.
pub const MAX_OBJECT_TAGS: usize = 10;
/// The most tags of a bucket.
pub const MAX_BUCKET_TAGS: usize = 50;
/// The longest key, in characters.
pub const MAX_KEY_CHARACTERS: usize = 128;
/// The longest value, in characters.
pub const MAX_VALUE_CHARACTERS: usize = 256;

/// What is to be tagged. The limits and some messages differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagged {
    /// An object.
    Object,
    /// A bucket.
    Bucket,
    /// A bucket that is being created.
    NewBucket,
}

/// Whether these may be its tags.
///
/// # Errors
/// `InvalidTag`; `BadRequest` for too many.
pub fn check(tagged: Tagged, tags: &[Tag]) -> Result<()> {
    too_many(tagged, tags.len())?;
    let mut keys = BTreeSet::new();
    for (key, value) in tags {
        check_key(tagged, key)?;
        if !is_text(value) || value.chars().count() > MAX_VALUE_CHARACTERS {
            return Err(Refusal::new(Code::InvalidTag, "The TagValue you have provided is invalid")
                .with("TagKey", key)
                .with("TagValue", value));
        }
        if !keys.insert(key) {
            return Err(
                Refusal::new(Code::InvalidTag, "Cannot provide multiple Tags with the same key").with("TagKey", key)
            );
        }
    }
    Ok(())
}

/// S3 answers this with `BadRequest`, where every other fault of a tag is an `InvalidTag`.
fn too_many(tagged: Tagged, count: usize) -> Result<()> {
    match tagged {
        Tagged::Object if count > MAX_OBJECT_TAGS => {
            Err(Refusal::new(Code::BadRequest, "Object tags cannot be greater than 10"))
        }
        Tagged::Bucket | Tagged::NewBucket if count > MAX_BUCKET_TAGS => {
            Err(Refusal::new(Code::BadRequest, "Bucket tag count cannot be greater than 50"))
        }
        _ => Ok(()),
    }
}

fn check_key(tagged: Tagged, key: &str) -> Result<()> {
    let invalid = |message| Refusal::new(Code::InvalidTag, message);
    if is_reserved(key) {
        return Err(match tagged {
            Tagged::Object => invalid("Your TagKey cannot be prefixed with aws:").with("TagKey", key),
            Tagged::Bucket => invalid("System tags cannot be added/updated by requester").with("TagKey", key),
            Tagged::NewBucket => invalid(
                "User-defined tag keys can't start with \"aws:\". This prefix is reserved for system tags. Remove \"aws:\" from your tag keys and try again.",
            ),
        });
    }
    if key.is_empty() || !is_text(key) || key.chars().count() > MAX_KEY_CHARACTERS {
        return Err(invalid("The TagKey you have provided is invalid").with("TagKey", key));
    }
    Ok(())
}

/// Keys that begin with `aws:`, in any case of letters, are not for users.
fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

/// Letters, digits and spaces of any script, and `+ - = . _ : / @`.
fn is_text(text: &str) -> bool {
    let space = |c: char| c.is_whitespace() && !c.is_control();
    text.chars().all(|c| c.is_alphanumeric() || space(c) || "+-=._:/@".contains(c))
}

const HEADER: &str = "x-amz-tagging";

/// Reads an object's tags from `x-amz-tagging`: `key=value&key2=value2`, URL-encoded. A key without `=` has the empty
/// value. An empty header is no tags.
///
/// # Errors
/// `InvalidArgument` for what is not so encoded, has a key twice or a character that no tag may have; else as
/// [`check`].
pub fn parse_header(header: &str) -> Result<Vec<Tag>> {
    let malformed = || {
        let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.";
        Refusal::invalid_argument(HEADER, header, message)
    };
    let mut tags: Vec<Tag> = Vec::new();
    for pair in header.split('&').filter(|pair| !pair.is_empty()) {
        // One more than allowed is enough to refuse; a longer list need not be read.
        too_many(Tagged::Object, tags.len())?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key).ok_or_else(malformed)?, decode(value).ok_or_else(malformed)?);
        if key.is_empty() || !is_text(&key) || !is_text(&value) || tags.iter().any(|(known, _)| *known == key) {
            return Err(malformed());
        }
        tags.push((key, value));
    }
    check(Tagged::Object, &tags)?;
    // S3 lists the tags of a header by their keys.
    tags.sort_unstable();
    Ok(tags)
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        (key.to_owned(), value.to_owned())
    }

    fn numbered(count: usize) -> Vec<Tag> {
        (0..count).map(|n| (format!("k{n}"), String::new())).collect()
    }

    #[test]
    fn good_tags() {
        let longest = tag(&"é".repeat(128), &"日".repeat(256));
        assert_eq!(check(Tagged::Object, &[tag("a", ""), tag("A b+-=._:/@1", "x y"), longest]), Ok(()));
        assert_eq!(check(Tagged::Object, &numbered(10)), Ok(()));
        assert_eq!(check(Tagged::Bucket, &numbered(50)), Ok(()));
    }

    #[test]
    fn bad_tags_as_amazon_s3_refuses_them() {
        let refuse = |tagged, tags: &[Tag]| {
            let refusal = check(tagged, tags).unwrap_err();
            (refusal.code, refusal.message, refusal.details)
        };
        let invalid = |message: &str, details: &[(&'static str, &str)]| {
            let details: Vec<_> = details.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            (Code::InvalidTag, message.to_owned(), details)
        };
        assert_eq!(
            refuse(Tagged::Bucket, &[tag("Key1", "1"), tag("Key1", "2")]),
            invalid("Cannot provide multiple Tags with the same key", &[("TagKey", "Key1")])
        );
        assert_eq!(
            refuse(Tagged::Object, &[tag("Key1,Key2", "1")]),
            invalid("The TagKey you have provided is invalid", &[("TagKey", "Key1,Key2")])
        );
        assert_eq!(
            refuse(Tagged::Bucket, &[tag("Key1", "Val1,Val2")]),
            invalid("The TagValue you have provided is invalid", &[("TagKey", "Key1"), ("TagValue", "Val1,Val2")])
        );
        assert_eq!(
            refuse(Tagged::Bucket, &[tag("aws:prefixed", "")]),
            invalid("System tags cannot be added/updated by requester", &[("TagKey", "aws:prefixed")])
        );
        assert_eq!(
            refuse(Tagged::Object, &[tag("aws:prefixed", "")]),
            invalid("Your TagKey cannot be prefixed with aws:", &[("TagKey", "aws:prefixed")])
        );
        let created = refuse(Tagged::NewBucket, &[tag("AWS:x", "")]);
        assert!(created.1.starts_with("User-defined tag keys can't start with") && created.2.is_empty());
        for (key, value) in [("", ""), (&*"k".repeat(129), ""), ("k", &*"v".repeat(257)), ("k\n", ""), ("k", "\t")] {
            assert_eq!(refuse(Tagged::Object, &[tag(key, value)]).0, Code::InvalidTag);
        }
        assert_eq!(refuse(Tagged::Object, &numbered(11)).1, "Object tags cannot be greater than 10");
        assert_eq!(refuse(Tagged::Bucket, &numbered(51)).1, "Bucket tag count cannot be greater than 50");
    }

    #[test]
    fn headers() {
        assert_eq!(parse_header(""), Ok(vec![]));
        assert_eq!(
            parse_header("tag1=tag1&tag2=tag2&tag="),
            Ok(vec![tag("tag", ""), tag("tag1", "tag1"), tag("tag2", "tag2")])
        );
        assert_eq!(parse_header("wrongquery&wrongagain"), Ok(vec![tag("wrongagain", ""), tag("wrongquery", "")]));
        assert_eq!(parse_header("a+b=c%20d&e%2Bf=%3D"), Ok(vec![tag("a b", "c d"), tag("e+f", "=")]));
        for bad in ["key1=val1&key1=val2", "key1=val1,key2=val2", "=x", "k=%FF", "%26=x"] {
            let refusal = parse_header(bad).unwrap_err();
            assert_eq!((refusal.code, refusal.detail("ArgumentName")), (Code::InvalidArgument, Some(HEADER)), "{bad}");
            assert_eq!(refusal.detail("ArgumentValue"), Some(bad));
        }
        let eleven: Vec<_> = numbered(11).into_iter().map(|(key, _)| key).collect();
        assert_eq!(parse_header(&eleven.join("&")).unwrap_err().code, Code::BadRequest);
        assert_eq!(parse_header("aws:x=1").unwrap_err().code, Code::InvalidTag);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(tags in proptest::collection::btree_map("[a-zé日 +=:/@._-]{1,20}", "[a-z0-9é &=+%]{0,20}", 0..8)) {
            let tags: Vec<Tag> = tags.into_iter().collect();
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let header: Vec<_> = tags.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
            let allowed = check(Tagged::Object, &tags).is_ok();
            prop_assert_eq!(parse_header(&header.join("&")).ok(), allowed.then_some(tags));
        }

        #[test]
        fn any_header_is_answered(header in ".{0,200}") {
            if let Ok(tags) = parse_header(&header) {
                prop_assert_eq!(check(Tagged::Object, &tags), Ok(()));
            }
        }
    }
}
