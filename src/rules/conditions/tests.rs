use proptest::prelude::*;

use super::*;

const ETAG: ETag = ETag { md5: [0xab; 16], parts: None };
const TAG: &str = "\"abababababababababababababababab\"";
const OTHER: &str = "\"00000000000000000000000000000000\"";
const MODIFIED: Timestamp = Timestamp(784_111_777_900);
const NOW: Timestamp = Timestamp(1_700_000_000_000);

const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const FUTURE: &str = "Sun, 06 Nov 2094 08:49:37 GMT";

fn subject() -> Subject<'static> {
    Subject { etag: &ETAG, modified: MODIFIED }
}

type Headers = [Option<&'static str>; 4];

fn read([a, b, c, d]: Headers) -> ReadOutcome {
    ReadConditions::parse(a, b, c, d).decide(subject(), NOW)
}

fn copy([a, b, c, d]: Headers) -> std::result::Result<(), String> {
    let conditions = CopySourceConditions(ReadConditions::parse(a, b, c, d));
    conditions.check(subject(), NOW).map_err(|refusal| refusal.detail("Condition").unwrap().to_owned())
}

#[test]
fn conditions_of_reads() {
    use Condition::{IfMatch, IfUnmodifiedSince};
    use ReadOutcome::{NotModified, PreconditionFailed, Proceed};
    let table: &[(Headers, ReadOutcome)] = &[
        ([None; 4], Proceed),
        ([Some(TAG), None, None, None], Proceed),
        ([Some("*"), None, None, None], Proceed),
        ([Some("abababababababababababababababab"), None, None, None], Proceed),
        ([Some("\"x\", \"abababababababababababababababab\""), None, None, None], Proceed),
        ([Some(OTHER), None, None, None], PreconditionFailed(IfMatch)),
        ([Some("W/\"abababababababababababababababab\""), None, None, None], PreconditionFailed(IfMatch)),
        ([None, Some(OTHER), None, None], Proceed),
        ([None, Some(TAG), None, None], NotModified),
        ([None, Some("*"), None, None], NotModified),
        ([None, Some("W/\"abababababababababababababababab\""), None, None], NotModified),
        ([None, Some("\"x\",\"abababababababababababababababab\""), None, None], NotModified),
        ([None, None, Some(EARLIER), None], Proceed),
        ([None, None, Some(SAME), None], NotModified),
        ([None, None, Some(LATER), None], NotModified),
        ([None, None, Some(FUTURE), None], Proceed),
        ([None, None, Some("Invalid Date"), None], Proceed),
        ([None, None, None, Some(EARLIER)], PreconditionFailed(IfUnmodifiedSince)),
        ([None, None, None, Some(SAME)], Proceed),
        ([None, None, None, Some("Invalid Date")], Proceed),
        // An entity tag outweighs a date.
        ([Some(TAG), None, None, Some(EARLIER)], Proceed),
        ([Some(OTHER), None, None, Some(SAME)], PreconditionFailed(IfMatch)),
        ([None, Some(TAG), Some(EARLIER), None], NotModified),
        ([None, Some(OTHER), Some(SAME), None], Proceed),
        // What does not match outweighs what was not modified.
        ([Some(OTHER), Some(TAG), None, None], PreconditionFailed(IfMatch)),
        ([None, Some(TAG), None, Some(EARLIER)], PreconditionFailed(IfUnmodifiedSince)),
        ([Some(TAG), Some(TAG), None, None], NotModified),
    ];
    for (headers, expected) in table {
        assert_eq!(read(*headers), *expected, "{headers:?}");
    }
}

#[test]
fn conditions_of_copy_sources_as_recorded() {
    let failed = |condition: &str| Err(format!("x-amz-copy-source-{condition}"));
    let table: &[(Headers, std::result::Result<(), String>)] = &[
        ([Some(OTHER), None, None, None], failed("If-Match")),
        ([None, Some(TAG), None, None], failed("If-None-Match")),
        ([None, Some("abababababababababababababababab"), None, None], failed("If-None-Match")),
        ([None, None, Some(SAME), None], failed("If-Modified-Since")),
        ([None, None, Some(FUTURE), None], Ok(())),
        ([None, None, Some(EARLIER), None], Ok(())),
        ([None, None, None, Some(EARLIER)], failed("If-Unmodified-Since")),
        ([None, None, None, Some(SAME)], Ok(())),
        ([Some(TAG), None, None, Some(EARLIER)], Ok(())),
        ([None, Some(TAG), Some(EARLIER), None], failed("If-None-Match")),
        ([None, Some(TAG), None, Some(EARLIER)], failed("If-Unmodified-Since")),
        ([Some(TAG), Some(OTHER), Some(EARLIER), Some(LATER)], Ok(())),
    ];
    for (headers, expected) in table {
        assert_eq!(copy(*headers), *expected, "{headers:?}");
    }
}

const ID: VersionId = VersionId { order: 50, salt: 0 };

fn object() -> Current<'static> {
    Current::Object { etag: &ETAG, id: ID }
}

#[test]
fn write_conditions_that_s3_does_not_take() {
    let both = WriteCondition::parse(Some(TAG), Some("*")).unwrap_err();
    assert_eq!(both.code, Code::NotImplemented);
    assert_eq!(both.detail("Header"), Some("If-Match,If-None-Match"));
    assert_eq!(both.detail("additionalMessage"), Some("Multiple conditional request headers present in the request"));
    for (refusal, header) in [
        (WriteCondition::parse(None, Some(TAG)), "If-None-Match"),
        (WriteCondition::parse(Some("*"), None), "If-Match"),
    ] {
        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.code, refusal.detail("Header")), (Code::NotImplemented, Some(header)));
        let message = format!("We don't accept the provided value of {header} header for this API");
        assert_eq!(refusal.detail("additionalMessage"), Some(message.as_str()));
    }
}

#[test]
fn write_conditions() {
    let absent = WriteCondition::parse(None, Some("*")).unwrap();
    let matching = WriteCondition::parse(Some(TAG), None).unwrap();
    let wrong = WriteCondition::parse(Some("nonsense"), None).unwrap();
    let table = [
        (&absent, Current::Absent, None),
        (&absent, Current::DeleteMarker, None),
        (&absent, object(), Some((Code::PreconditionFailed, "Condition", "If-None-Match"))),
        (&matching, object(), None),
        (&wrong, object(), Some((Code::PreconditionFailed, "Condition", "If-Match"))),
        (&matching, Current::Absent, Some((Code::NoSuchKey, "Key", "k"))),
        (&matching, Current::DeleteMarker, Some((Code::NoSuchKey, "Key", "k"))),
        (&wrong, Current::Absent, Some((Code::NoSuchKey, "Key", "k"))),
        (&WriteCondition::Unconditional, object(), None),
    ];
    for (condition, current, expected) in table {
        let refusal = condition.check("k", current).err();
        let seen = refusal.as_ref().map(|r| (r.code, r.details[0].0, r.details[0].1.as_str()));
        assert_eq!(seen, expected, "{condition:?} {current:?}");
    }
}

#[test]
fn completions_conflict_with_what_happened_meanwhile() {
    let at = |order, key| Initiation { upload: UploadId { order, salt: 9 }, key };
    let absent = WriteCondition::IfAbsent;
    assert_eq!(absent.check_completion("k", Current::Absent, at(60, KeyThen::Absent)), Ok(()));
    let deleted = absent.check_completion("k", Current::Absent, at(60, KeyThen::Present)).unwrap_err();
    assert_eq!(deleted.code, Code::ConditionalRequestConflict);
    assert_eq!(deleted.details, [("Condition", "If-None-Match".to_owned()), ("Key", "k".to_owned())]);
    let exists = absent.check_completion("k", object(), at(60, KeyThen::Present)).unwrap_err();
    assert_eq!(exists.code, Code::PreconditionFailed);

    let matching = WriteCondition::IfMatch(TAG.to_owned());
    assert_eq!(matching.check_completion("k", object(), at(60, KeyThen::Present)), Ok(()));
    let overwritten = matching.check_completion("k", object(), at(40, KeyThen::Present)).unwrap_err();
    assert_eq!(
        (overwritten.code, overwritten.detail("Condition")),
        (Code::ConditionalRequestConflict, Some("If-Match"))
    );
    let gone = matching.check_completion("k", Current::Absent, at(40, KeyThen::Present)).unwrap_err();
    assert_eq!(gone.code, Code::NoSuchKey);
    assert_eq!(WriteCondition::Unconditional.check_completion("k", object(), at(40, KeyThen::Present)), Ok(()));
}

#[test]
fn delete_conditions() {
    let parse = |tag| DeleteCondition::parse(Some(tag), None, None).unwrap();
    let code = |condition: DeleteCondition, current| condition.check("k", current).err().map(|refusal| refusal.code);
    assert_eq!(code(DeleteCondition::Unconditional, Current::Absent), None);
    assert_eq!(code(parse(TAG), object()), None);
    assert_eq!(code(parse("*"), object()), None);
    assert_eq!(code(parse("badetag"), object()), Some(Code::PreconditionFailed));
    assert_eq!(code(parse(TAG), Current::DeleteMarker), Some(Code::PreconditionFailed));
    assert_eq!(code(parse("*"), Current::DeleteMarker), Some(Code::PreconditionFailed));
    assert_eq!(code(parse("*"), Current::Absent), Some(Code::NoSuchKey));
    assert_eq!(code(parse(TAG), Current::Absent), Some(Code::NoSuchKey));
}

#[test]
fn delete_conditions_of_directory_buckets_are_not_implemented() {
    let table = [
        (Some("t"), None, "x-amz-if-match-last-modified-time"),
        (None, Some("1"), "x-amz-if-match-size"),
        (Some("t"), Some("1"), "x-amz-if-match-last-modified-time"),
    ];
    for (time, size, header) in table {
        let refusal = DeleteCondition::parse(Some(TAG), time, size).unwrap_err();
        assert_eq!((refusal.code, refusal.detail("Header")), (Code::NotImplemented, Some(header)));
    }
}

fn tags() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![Just(None), Just(Some(TAG)), Just(Some(OTHER)), Just(Some("*"))]
}

fn dates() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        Just(None),
        Just(Some(EARLIER)),
        Just(Some(SAME)),
        Just(Some(LATER)),
        Just(Some(FUTURE)),
        Just(Some("?"))
    ]
}

proptest! {
    #[test]
    fn a_copy_is_allowed_exactly_where_a_read_proceeds(a in tags(), b in tags(), c in dates(), d in dates()) {
        let headers = [a, b, c, d];
        prop_assert_eq!(copy(headers).is_ok(), read(headers) == ReadOutcome::Proceed);
    }

    #[test]
    fn a_read_never_answers_304_where_if_match_or_the_date_fails(a in tags(), b in tags(), c in dates(), d in dates()) {
        if let ReadOutcome::PreconditionFailed(_) = read([a, None, None, d]) {
            prop_assert!(matches!(read([a, b, c, d]), ReadOutcome::PreconditionFailed(_)));
        }
    }

    #[test]
    fn sub_second_times_never_matter(millis in 0_i64..1_000, c in dates(), d in dates()) {
        let conditions = ReadConditions::parse(None, None, c, d);
        let at = |millis| {
            let modified = Timestamp(MODIFIED.0.div_euclid(1_000) * 1_000 + millis);
            conditions.decide(Subject { etag: &ETAG, modified }, NOW)
        };
        prop_assert_eq!(at(0), at(millis));
    }

    #[test]
    fn any_header_is_answered(a in ".{0,30}", b in ".{0,30}", c in ".{0,30}") {
        let _ = ReadConditions::parse(Some(&a), Some(&b), Some(&c), Some(&a)).decide(subject(), NOW);
        let _ = WriteCondition::parse(Some(&a), None).map(|condition| condition.check("k", object()));
    }
}
