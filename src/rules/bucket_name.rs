//! Buckets: what they may be called, where and by whom they may be created.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>

use super::refusal::{Code, Refusal, Result};

/// The shortest name, in characters.
pub const MIN_CHARACTERS: usize = 3;
/// The longest name, in characters.
pub const MAX_CHARACTERS: usize = 63;

/// Beginnings that S3 keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
/// Endings that S3 keeps for access points, directory buckets and table buckets.
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// Whether a bucket may be created with this name. Buckets that exist may be called otherwise: ask this of new ones.
///
/// # Errors
/// `InvalidBucketName`.
pub fn check(name: &str) -> Result<()> {
    let valid = (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&name.len())
        && name.split('.').all(is_label)
        && !is_ip_address(name)
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    if valid { Ok(()) } else { Err(Refusal::from(Code::InvalidBucketName).with("BucketName", name)) }
}

/// A bucket's name is also a host name: between its dots are labels of lower-case letters, digits and inner hyphens.
fn is_label(label: &str) -> bool {
    let letters = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    letters && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

/// Whether the name has the form of an IPv4 address, in range or not.
fn is_ip_address(name: &str) -> bool {
    name.split('.').count() == 4 && name.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

/// Whether a bucket may be created in this `LocationConstraint` by a server of this `region`. None means here. Unlike
/// Amazon's endpoints outside `us-east-1`, ours take none for their own region: there is no other that it could mean.
///
/// # Errors
/// `IllegalLocationConstraintException` for another region, `InvalidLocationConstraint` for what is no region.
pub fn check_location(constraint: Option<&str>, region: &str) -> Result<()> {
    match constraint {
        None | Some("") => Ok(()),
        Some(asked) if asked == region || (asked == "EU" && region == "eu-west-1") => Ok(()),
        Some(asked) if is_region(asked) => Err(Refusal::new(
            Code::IllegalLocationConstraintException,
            format!(
                "The {asked} location constraint is incompatible for the region specific endpoint this request was sent to."
            ),
        )),
        Some(asked) => Err(Refusal::from(Code::InvalidLocationConstraint).with("LocationConstraint", asked)),
    }
}

/// Whether a text has the form of a region's name: `eu-west-1`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    let words: Vec<_> = text.split('-').collect();
    match words.split_last() {
        Some((number, words)) if (2..=3).contains(&words.len()) => {
            number.len() == 1
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        }
        _ => false,
    }
}

/// The region in which creating one's own bucket again succeeds.
pub const REGION_OF_IDEMPOTENT_CREATION: &str = "us-east-1";

/// Answers the creation of a bucket that exists. Ok means: answer as if it had just been created, and change nothing.
///
/// # Errors
/// `BucketAlreadyExists` if another account owns it; `BucketAlreadyOwnedByYou` outside `us-east-1`, or if the request
/// brings `tags`.
pub fn create_again(bucket: &str, owner: &str, caller: &str, region: &str, tags: &[(String, String)]) -> Result<()> {
    let code = if owner != caller {
        Code::BucketAlreadyExists
    } else if region == REGION_OF_IDEMPOTENT_CREATION && tags.is_empty() {
        return Ok(());
    } else {
        Code::BucketAlreadyOwnedByYou
    };
    Err(Refusal::from(code).with("BucketName", bucket))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(63);
        for good in ["abc", "a.b", "1bucket", "my-bucket.example.com", "1.2.3", "1.2.3.4.5", "a--b", "xn-a", &longest] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(64);
        let bad = [
            "",
            "ab",
            &too_long,
            "Abc",
            "a_b",
            "a b",
            "bücket",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "a-.b",
            "a.-b",
            "192.168.5.4",
            "999.1.1.1",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-abc",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "abc--table-s3",
            "_health",
            "a/b",
            "abc\n",
        ];
        for name in bad {
            let refusal = check(name).unwrap_err();
            assert_eq!((refusal.code, refusal.detail("BucketName")), (Code::InvalidBucketName, Some(name)));
        }
    }

    #[test]
    fn locations() {
        let code = |constraint, region| check_location(constraint, region).err().map(|refusal| refusal.code);
        assert_eq!(code(None, "eu-west-1"), None);
        assert_eq!(code(Some("eu-west-1"), "eu-west-1"), None);
        assert_eq!(code(Some("EU"), "eu-west-1"), None);
        assert_eq!(code(Some("home"), "home"), None);
        assert_eq!(code(Some("eu-west-1"), "us-east-1"), Some(Code::IllegalLocationConstraintException));
        assert_eq!(code(Some("us-gov-east-1"), "us-east-1"), Some(Code::IllegalLocationConstraintException));
        for none in ["EU", "nowhere", "a-b", "eu-west-x", "eu--1", "EU-WEST-1"] {
            assert_eq!(code(Some(none), "us-east-1"), Some(Code::InvalidLocationConstraint), "{none}");
        }
    }

    #[test]
    fn creating_again() {
        let tags = [("k".to_owned(), "v".to_owned())];
        let code = |caller, region, tags: &[_]| {
            create_again("b", "me", caller, region, tags).err().map(|refusal| refusal.code)
        };
        assert_eq!(code("me", "us-east-1", &[]), None);
        assert_eq!(code("me", "us-east-1", &tags), Some(Code::BucketAlreadyOwnedByYou));
        assert_eq!(code("me", "eu-west-1", &[]), Some(Code::BucketAlreadyOwnedByYou));
        assert_eq!(code("you", "us-east-1", &[]), Some(Code::BucketAlreadyExists));
    }

    proptest! {
        #[test]
        fn a_good_name_is_a_host_name_and_a_path_segment(name in "[a-z0-9.-]{1,70}") {
            if check(&name).is_ok() {
                prop_assert!(name.split('.').all(|label| !label.is_empty() && label.len() <= 63));
                prop_assert!(!name.contains(['/', '_', '%']));
            }
        }
    }
}
