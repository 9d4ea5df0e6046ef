use proptest::prelude::*;
use storage::index::records::Data;
use storage::types::Timestamp;

use super::*;
use crate::rules::checksums::{ChecksumHasher, encode};

const MIN: u64 = MIN_PART_BYTES;

/// A part whose digests are those of its number: what is checked here is the list, not the bytes.
fn part(number: u16, size: u64, algorithm: ChecksumAlgorithm) -> PartRecord {
    let bytes = number.to_be_bytes();
    let md5 = ChecksumHasher::digest(ChecksumAlgorithm::Md5, &bytes).try_into().unwrap();
    let value = ChecksumHasher::digest(algorithm, &bytes);
    let checksum = Some(Checksum { algorithm, kind: ChecksumType::FullObject, value });
    PartRecord { number, size, md5, checksum, modified: Timestamp(0), data: Data::Empty }
}

fn stored(sizes: &[u64]) -> Vec<PartRecord> {
    (1..).zip(sizes).map(|(number, size)| part(number, *size, ChecksumAlgorithm::Crc64Nvme)).collect()
}

fn named(part: &PartRecord) -> NamedPart {
    let etag = ETag { md5: part.md5, parts: None }.to_string();
    NamedPart { number: i64::from(part.number), etag: format!("\"{etag}\""), checksums: Vec::new() }
}

fn completion(parts: &[NamedPart]) -> Completion<'_> {
    Completion { upload_id: "u", checksum: None, parts, claimed: Claimed::default(), object_size: None }
}

fn code(completion: Completion<'_>, stored: &[PartRecord]) -> Option<Code> {
    completion.check(stored).err().map(|refusal| refusal.code)
}

proptest! {
    #[test]
    fn an_upload_id_is_of_its_key_alone(order: u64, salt: u64, key in ".{1,20}", other in ".{1,20}") {
        let id = id_for_key(UploadId { order, salt }, &key);
        prop_assert!(is_id_of_key(id, &key));
        prop_assert_eq!((id.order, id.salt >> 32), (order, salt >> 32));
        prop_assert_eq!(is_id_of_key(id, &other), key == other);
    }
}

#[test]
fn part_numbers() {
    assert_eq!((part_number("1"), part_number("10000")), (Ok(1), Ok(10_000)));
    for bad in ["0", "10001", "-1", "", "x", "1.0", "99999999999"] {
        let refusal = part_number(bad).unwrap_err();
        assert_eq!((refusal.code, refusal.detail("ArgumentValue")), (Code::InvalidArgument, Some(bad)));
    }
}

#[test]
fn sizes_of_uploads() {
    assert_eq!(check_upload_size(MAX_PART_BYTES), Ok(()));
    let refusal = check_upload_size(MAX_PART_BYTES + 1).unwrap_err();
    assert_eq!((refusal.code, refusal.detail("MaxSizeAllowed")), (Code::EntityTooLarge, Some("5368709120")));
}

#[test]
fn parts_make_an_object() {
    let stored = stored(&[MIN, MIN + 7, 0]);
    let names: Vec<_> = stored.iter().map(named).collect();
    let completed = completion(&names).check(&stored).unwrap();
    assert_eq!((completed.size, completed.etag.parts, completed.parts.len()), (2 * MIN + 7, Some(3), 3));
    assert_eq!(completed.checksum.algorithm, ChecksumAlgorithm::Crc64Nvme);
    // Parts may be left out, and ETags may come without quotes.
    let bare = [NamedPart { etag: etag::unquoted(&names[1].etag).to_owned(), ..names[1].clone() }];
    assert_eq!(completion(&bare).check(&stored).unwrap().size, MIN + 7);
}

#[test]
fn lists_that_make_none() {
    let stored = stored(&[MIN, MIN, MIN]);
    let [a, b, c] = [0, 1, 2].map(|index: usize| named(&stored[index]));
    let table = [
        (vec![], Code::MalformedXML),
        (vec![a.clone(); 10_001], Code::MalformedXML),
        (vec![b.clone(), a.clone()], Code::InvalidPartOrder),
        (vec![NamedPart { number: 0, ..a.clone() }], Code::InvalidArgument),
        (vec![NamedPart { number: 4, ..a.clone() }], Code::InvalidPart),
        (vec![NamedPart { number: 65_537, ..a.clone() }], Code::InvalidPart),
        (vec![a.clone(), NamedPart { etag: c.etag.clone(), ..b.clone() }], Code::InvalidPart),
        (vec![NamedPart { etag: String::new(), ..a.clone() }], Code::InvalidPart),
    ];
    for (parts, expected) in table {
        assert_eq!(code(completion(&parts), &stored), Some(expected), "{:?}", parts.first());
    }
    let wrong = [NamedPart { number: 4, ..a.clone() }];
    let refusal = completion(&wrong).check(&stored).unwrap_err();
    let etag = etag::unquoted(&a.etag).to_owned();
    assert_eq!(refusal.details, [("UploadId", "u".to_owned()), ("PartNumber", "4".to_owned()), ("ETag", etag)]);
}

#[test]
fn only_the_last_part_may_be_small() {
    let stored = stored(&[MIN, MIN - 1, MIN]);
    let names: Vec<_> = stored.iter().map(named).collect();
    let refusal = completion(&names).check(&stored).unwrap_err();
    assert_eq!(refusal.code, Code::EntityTooSmall);
    assert_eq!(refusal.detail("ProposedSize"), Some("5242879"));
    assert_eq!(refusal.detail("MinSizeAllowed"), Some("5242880"));
    assert_eq!(refusal.detail("PartNumber"), Some("2"));
    assert_eq!(code(completion(&names[..2]), &stored), None);
}

#[test]
fn the_client_may_say_how_large_the_object_is() {
    let stored = stored(&[10]);
    let names = [named(&stored[0])];
    let asking = |object_size| Completion { object_size: Some(object_size), ..completion(&names) };
    assert_eq!(code(asking(10), &stored), None);
    let refusal = asking(5).check(&stored).unwrap_err();
    assert_eq!(
        refusal.message,
        "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 10"
    );
}

fn composite(parts: &[NamedPart]) -> Completion<'_> {
    Completion { checksum: Some((ChecksumAlgorithm::Sha256, ChecksumType::Composite)), ..completion(parts) }
}

#[test]
fn parts_of_a_composite_upload_come_with_their_checksums() {
    let sha = ChecksumAlgorithm::Sha256;
    let stored = [part(1, MIN, sha), part(2, 1, sha)];
    let mut names: Vec<_> = stored.iter().map(named).collect();
    for (name, part) in names.iter_mut().zip(&stored) {
        name.checksums.push((sha, encode(part.checksum.as_ref().unwrap(), None)));
    }
    let completed = composite(&names).check(&stored).unwrap();
    assert_eq!((completed.checksum.kind, completed.checksum.value.len()), (ChecksumType::Composite, 32));

    let mut wrong = names.clone();
    wrong[1].checksums[0].1 = names[0].checksums[0].1.clone();
    assert_eq!(code(composite(&wrong), &stored), Some(Code::InvalidPart));
    wrong[1].checksums[0] = (ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned());
    assert_eq!(code(composite(&wrong), &stored), Some(Code::InvalidPart));
    wrong[1].checksums.clear();
    let missing = composite(&wrong).check(&stored).unwrap_err();
    assert_eq!(missing.code, Code::InvalidRequest);
    assert_eq!(
        missing.message,
        "The upload was created using a sha256 checksum. The complete request must include the checksum for each part. It was missing for part 2 in the request."
    );

    let claimed = Claimed { kind: None, value: Some((sha, names[0].checksums[0].1.as_str())) };
    assert_eq!(code(Completion { claimed, ..composite(&names) }, &stored), Some(Code::BadDigest));
}

#[test]
fn places_of_parts() {
    let parts = [(1, 10), (3, 0), (4, 5)];
    let place = |asked| place_of_part(parts, asked);
    assert_eq!(place(1), Ok(PartPlace { start: 0, size: 10 }));
    assert_eq!(place(3), Ok(PartPlace { start: 10, size: 0 }));
    assert_eq!(place(4), Ok(PartPlace { start: 10, size: 5 }));
    let refusal = place(5).unwrap_err();
    assert_eq!(refusal.code, Code::InvalidPartNumber);
    assert_eq!(refusal.details, [("ActualPartCount", "3".to_owned()), ("PartNumberRequested", "5".to_owned())]);
}

proptest! {
    #[test]
    fn any_sublist_of_the_stored_parts_makes_an_object(keep in proptest::collection::vec(any::<bool>(), 1..40)) {
        let stored = stored(&vec![MIN; keep.len()]);
        let names: Vec<_> = stored.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(part, _)| named(part)).collect();
        match completion(&names).check(&stored) {
            Ok(completed) => prop_assert_eq!(completed.size, MIN * names.len() as u64),
            Err(refusal) => prop_assert!(names.is_empty() && refusal.code == Code::MalformedXML),
        }
    }

    #[test]
    fn any_list_is_answered(numbers in proptest::collection::vec(any::<i64>(), 0..6), etag in ".{0,40}") {
        let parts: Vec<_> = numbers.into_iter().map(|number| NamedPart { number, etag: etag.clone(), ..NamedPart::default() }).collect();
        prop_assert!(completion(&parts).check(&stored(&[MIN, 1])).is_err());
    }
}
