//! Which bytes of an object a range names.
//!
//! `Range` of GET and HEAD is read leniently, as RFC 9110, section 14.2, asks and as S3 does: a range that makes no
//! sense, another unit, or several ranges are ignored and the whole object is served. `x-amz-copy-source-range` of
//! `UploadPartCopy` is read strictly.

use super::refusal::{Code, Refusal, Result};

/// A stretch of an object's bytes, both ends included: `start <= end_inclusive < size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end_inclusive: u64,
}

impl Extent {
    /// How many bytes: at least one.
    #[expect(clippy::len_without_is_empty, reason = "an extent is never empty")]
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end_inclusive - self.start + 1
    }

    /// What `Content-Range` says of it.
    #[must_use]
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end_inclusive)
    }
}

/// A range as a client asks for it, before the object's size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, with `first <= last`.
    Between {
        /// The first byte.
        first: u64,
        /// The last byte; may lie behind the object's end.
        last: u64,
    },
    /// `bytes=first-`.
    From(u64),
    /// `bytes=-count`: the last `count` bytes.
    Suffix(u64),
}

/// What a range comes to on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// No range: all of it, with status 200.
    Whole,
    /// These bytes, with status 206, even if they are all of it.
    Part(Extent),
    /// The object has none of the bytes.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads a `Range` header. `None` where S3 ignores it.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, range) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Suffix(digits(last)?)),
            (false, true) => Some(Self::From(digits(first)?)),
            (false, false) => {
                let (first, last) = (digits(first)?, digits(last)?);
                (first <= last).then_some(Self::Between { first, last })
            }
        }
    }

    /// The bytes that it names in an object of `size` bytes; `None` if there are none. An empty object satisfies no
    /// range, not even a suffix: so S3 answers, though RFC 9110 would allow it.
    #[must_use]
    pub fn resolve(self, size: u64) -> Option<Extent> {
        let end = size.checked_sub(1)?;
        let (start, end_inclusive) = match self {
            Self::Between { first, last } => (first, last.min(end)),
            Self::From(first) => (first, end),
            Self::Suffix(0) => return None,
            Self::Suffix(count) => (size.saturating_sub(count), end),
        };
        (start <= end).then_some(Extent { start, end_inclusive })
    }
}

/// Resolves the `Range` header of a GET or HEAD, if there is one, on an object of `size` bytes.
#[must_use]
pub fn resolve(header: Option<&str>, size: u64) -> Resolved {
    match header.and_then(ByteRange::parse).map(|range| range.resolve(size)) {
        None => Resolved::Whole,
        Some(Some(extent)) => Resolved::Part(extent),
        Some(None) => Resolved::Unsatisfiable,
    }
}

/// `InvalidRange`, as S3 words it for a `Range` header that an object of `size` bytes cannot satisfy.
#[must_use]
pub fn unsatisfiable(header: &str, size: u64) -> Refusal {
    Refusal::from(Code::InvalidRange).with("RangeRequested", header).with("ActualObjectSize", size.to_string())
}

const COPY_SOURCE_RANGE: &str = "x-amz-copy-source-range";

/// Reads and resolves an `x-amz-copy-source-range` on a source of `size` bytes.
///
/// # Errors
/// `InvalidArgument` where it is not `bytes=first-last` or ends behind the source's end, `InvalidRequest` where it
/// begins behind the source's end.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>
pub fn copy_source(header: &str, size: u64) -> Result<Extent> {
    const FORM: &str = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
    let malformed = || Refusal::invalid_argument(COPY_SOURCE_RANGE, header, FORM);
    let (first, last) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(malformed)?;
    let first = digits(first).ok_or_else(malformed)?;
    let last = digits(last).filter(|last| first <= *last).ok_or_else(malformed)?;
    if first >= size {
        return Err(Refusal::invalid_request("The specified copy range is invalid for the source object size"));
    }
    if last >= size {
        let message = format!("Range specified is not valid for source object of size: {size}");
        return Err(Refusal::invalid_argument(COPY_SOURCE_RANGE, header, message));
    }
    Ok(Extent { start: first, end_inclusive: last })
}

/// A number of decimal digits and nothing else. One that is greater than any object is as good as any other.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(start: u64, end_inclusive: u64) -> Resolved {
        Resolved::Part(Extent { start, end_inclusive })
    }

    #[test]
    fn ranges_of_an_object_of_ten_bytes() {
        let table = [
            ("bytes=0-8", part(0, 8)),
            ("bytes=1-1", part(1, 1)),
            ("bytes=0-0", part(0, 0)),
            ("bytes=1-", part(1, 9)),
            ("bytes=-2", part(8, 9)),
            ("bytes=-9", part(1, 9)),
            ("bytes=-15", part(0, 9)),
            ("bytes=0-100", part(0, 9)),
            ("Bytes = 3-4", part(3, 4)),
            ("bytes=9-99999999999999999999999", part(9, 9)),
            ("bytes=-99999999999999999999999", part(0, 9)),
            ("bytes=-0", Resolved::Unsatisfiable),
            ("bytes=10-", Resolved::Unsatisfiable),
            ("bytes=100-200", Resolved::Unsatisfiable),
            ("bytes=99999999999999999999999-", Resolved::Unsatisfiable),
            ("bytes=1-0", Resolved::Whole),
            ("bytes=-1-", Resolved::Whole),
            ("bytes=0--1", Resolved::Whole),
            ("bytes=-", Resolved::Whole),
            ("bytes=0-1,3-4,7-9", Resolved::Whole),
            ("bytes=+1-2", Resolved::Whole),
            ("0-8", Resolved::Whole),
            ("items=0-8", Resolved::Whole),
            ("", Resolved::Whole),
        ];
        for (header, expected) in table {
            assert_eq!(resolve(Some(header), 10), expected, "{header}");
        }
        assert_eq!(resolve(None, 10), Resolved::Whole);
    }

    #[test]
    fn an_empty_object_satisfies_no_range() {
        for header in ["bytes=0-", "bytes=0-0", "bytes=40-50", "bytes=-1", "bytes=-0"] {
            assert_eq!(resolve(Some(header), 0), Resolved::Unsatisfiable, "{header}");
        }
        assert_eq!(resolve(Some("bytes=x"), 0), Resolved::Whole);
    }

    #[test]
    fn copy_source_ranges_of_a_source_of_ten_bytes() {
        assert_eq!(copy_source("bytes=0-8", 10), Ok(Extent { start: 0, end_inclusive: 8 }));
        assert_eq!(copy_source("bytes=9-9", 10), Ok(Extent { start: 9, end_inclusive: 9 }));
        for bad in ["0-8", "bytes=1-0", "bytes=-1-", "bytes=0--1", "bytes=0-1,3-4", "bytes=-", "bytes=-2", "bytes=1-"] {
            let refusal = copy_source(bad, 10).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidArgument, "{bad}");
            assert!(refusal.message.starts_with("The x-amz-copy-source-range value must be"), "{bad}");
            assert_eq!(refusal.detail("ArgumentValue"), Some(bad));
        }
        let beyond = copy_source("bytes=0-100", 10).unwrap_err();
        assert_eq!(beyond.message, "Range specified is not valid for source object of size: 10");
        let outside = copy_source("bytes=100-200", 10).unwrap_err();
        assert_eq!((outside.code, outside.details.len()), (Code::InvalidRequest, 0));
    }

    #[test]
    fn content_range_and_refusal_are_worded_as_s3_words_them() {
        assert_eq!(Extent { start: 8, end_inclusive: 9 }.content_range(10), "bytes 8-9/10");
        let refusal = unsatisfiable("bytes=-0", 10);
        assert_eq!(refusal.detail("RangeRequested"), Some("bytes=-0"));
        assert_eq!(refusal.detail("ActualObjectSize"), Some("10"));
    }

    proptest! {
        #[test]
        fn an_extent_lies_within_the_object(header in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0_u64..1500) {
            if let Resolved::Part(extent) = resolve(Some(&header), size) {
                prop_assert!(extent.start <= extent.end_inclusive && extent.end_inclusive < size);
                prop_assert!(extent.len() <= size);
            }
        }

        #[test]
        fn a_strict_range_is_a_lenient_one(header in "bytes=[0-9]{1,3}-[0-9]{1,3}", size in 0_u64..1500) {
            if let Ok(extent) = copy_source(&header, size) {
                prop_assert_eq!(resolve(Some(&header), size), Resolved::Part(extent));
            }
        }

        #[test]
        fn any_header_is_answered(header in ".{0,40}", size in any::<u64>()) {
            let _ = (resolve(Some(&header), size), copy_source(&header, size));
        }
    }
}
