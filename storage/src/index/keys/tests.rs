use proptest::prelude::*;

use super::*;

const BUCKET: BucketId = BucketId(7);

proptest! {
    #[test]
    fn rows_sort_as_keys_do(a in any::<String>(), b in any::<String>()) {
        prop_assert_eq!(object(BUCKET, &a).cmp(&object(BUCKET, &b)), a.as_bytes().cmp(b.as_bytes()));
        let (newest_a, oldest_b) = (version(BUCKET, &a, u64::MAX), version(BUCKET, &b, 0));
        if a != b {
            prop_assert_eq!(newest_a.cmp(&oldest_b), a.as_bytes().cmp(b.as_bytes()));
        }
    }

    #[test]
    fn rows_parse_to_what_made_them(key in any::<String>(), order in any::<u64>()) {
        prop_assert_eq!(parse_object(&object(BUCKET, &key)), Some((key.clone(), ObjectRow::Current)));
        prop_assert_eq!(parse_object(&head(BUCKET, &key)), Some((key.clone(), ObjectRow::Head)));
        prop_assert_eq!(parse_object(&version(BUCKET, &key, order)), Some((key.clone(), ObjectRow::Version(order))));
        let id = UploadId { order, salt: 3 };
        prop_assert_eq!(parse_upload(&upload(BUCKET, &key, id)), Some((key, id)));
    }

    #[test]
    fn newer_versions_come_first(key in any::<String>(), a in any::<u64>(), b in any::<u64>()) {
        prop_assert_eq!(version(BUCKET, &key, a).cmp(&version(BUCKET, &key, b)), b.cmp(&a));
    }

    #[test]
    fn a_prefix_covers_exactly_its_keys(prefix in any::<String>(), key in any::<String>()) {
        let from = object_prefix(BUCKET, &prefix);
        let row = object(BUCKET, &key);
        let covered = row >= from && after_prefix(&from).is_none_or(|end| row < end);
        prop_assert_eq!(covered, key.starts_with(&prefix));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(row in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = (parse_object(&row), parse_upload(&row), parse_candidate(&row), parse_segment(&row));
        let _ = parse_identity(&row);
    }

    #[test]
    fn identities_parse_to_what_made_them(names in proptest::collection::vec(any::<String>(), 0..4)) {
        let parts: Vec<&str> = names.iter().map(String::as_str).collect();
        let row = identity(b'u', &parts);
        prop_assert_eq!(parse_identity(&row), Some(names.clone()));
        if let Some((last, first)) = parts.split_last() {
            prop_assert!(row.starts_with(&identity_prefix(b'u', first, last)));
        }
    }
}

#[test]
fn candidates_parse_to_what_made_them() {
    let upload = UploadId { order: 1, salt: 2 };
    for it in [
        Candidate::Child(Child::Chunk(ChunkId([1; 32]))),
        Candidate::Child(Child::Manifest(ManifestId([2; 32]))),
        Candidate::Upload(upload),
        Candidate::Bucket(BucketId(9)),
    ] {
        assert_eq!(parse_candidate(&candidate(it)), Some(it));
    }
    assert_eq!(parse_segment(&segment(3, 4)), Some((3, 4)));
}

#[test]
fn golden_bytes() {
    assert_eq!(event(1), b"e\0\0\0\0\0\0\0\x01");
    assert_eq!(dead_letter("t", 2), b"dt\0\0\0\0\0\0\0\0\0\x02");
    assert_eq!(parse_position(&dead_letter("t", 2)), Some(2));
    assert_eq!(object(BucketId(1), "a\0b"), b"\0\0\0\0\0\0\0\x01a\0\xffb\0\0");
    assert_eq!(version(BucketId(1), "k", 1), b"\0\0\0\0\0\0\0\x01k\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xfe");
    assert_eq!(head(BucketId(1), "k"), b"\0\0\0\0\0\0\0\x01k\0\0\0");
    assert_eq!(identity(b'u', &["1", "ab"]), b"u1\0\0ab\0\0");
}
