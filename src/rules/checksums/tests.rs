use proptest::prelude::*;
use storage::index::records::{Checksum, ChecksumAlgorithm, ChecksumType};

use super::*;
use crate::rules::refusal::Code;

const FULL: ChecksumType = ChecksumType::FullObject;
const COMPOSITE: ChecksumType = ChecksumType::Composite;

fn base64(algorithm: ChecksumAlgorithm, data: &[u8]) -> String {
    let value = ChecksumHasher::digest(algorithm, data);
    encode(&Checksum { algorithm, kind: FULL, value }, None)
}

#[test]
fn known_digests() {
    use ChecksumAlgorithm as A;
    let nine = b"123456789";
    let table = [
        (A::Crc32, "cbf43926"),
        (A::Crc32c, "e3069283"),
        (A::Crc64Nvme, "ae8b14860a799888"),
        (A::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (A::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        (A::Md5, "25f9e794323b453885f5181f1b624d0b"),
        (A::Xxhash64, "8cb841db40e6ae83"),
    ];
    for (algorithm, digest) in table {
        assert_eq!(hex::encode(ChecksumHasher::digest(algorithm, nine)), digest, "{algorithm:?}");
    }
    // As Amazon S3 answered for the body "0123456789", and for an upload of the one part "test".
    assert_eq!(base64(A::Crc32, b"0123456789"), "poTHxg==");
    assert_eq!(base64(A::Crc64Nvme, b"test"), "+bu+zv66sUM=");
    // From the reference implementation's test vectors: XXH3 of no bytes.
    assert_eq!(hex::encode(ChecksumHasher::digest(A::Xxhash3, b"")), "2d06800538d394c2");
    assert_eq!(hex::encode(ChecksumHasher::digest(A::Xxhash128, b"")), "99aa06d3014798d86001c324468d497f");
}

#[test]
fn each_algorithm_has_its_length_its_name_and_its_header() {
    for algorithm in ALGORITHMS {
        assert_eq!(ChecksumHasher::digest(algorithm, b"x").len(), digest_bytes(algorithm), "{algorithm:?}");
        assert_eq!(parse_algorithm(&name(algorithm).to_lowercase()), Some(algorithm));
        assert_eq!(algorithm_of_header(header(algorithm)), Some(algorithm));
        assert_eq!(header(algorithm), format!("x-amz-checksum-{}", name(algorithm).to_lowercase()));
        assert!(allows(algorithm, default_type(algorithm)));
    }
    assert_eq!(default_type(ChecksumAlgorithm::Crc32), COMPOSITE);
    assert_eq!(default_type(ChecksumAlgorithm::Crc64Nvme), FULL);
    assert!(!allows(ChecksumAlgorithm::Sha256, FULL));
}

fn declare(sdk: Option<&str>, headers: &[(&str, &str)], trailer: Option<&str>) -> Result<Option<Declared>, String> {
    Declared::parse(sdk, headers.iter().copied(), trailer).map_err(|refusal| {
        assert_eq!(refusal.code, Code::InvalidRequest);
        refusal.message
    })
}

type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);

#[test]
fn what_clients_declare() {
    let crc = ("x-amz-checksum-crc32", "poTHxg==");
    assert_eq!(declare(None, &[("content-type", "a/b"), ("x-amz-checksum-mode", "ENABLED")], None), Ok(None));
    let known = declare(Some("crc32"), &[crc], None).unwrap().unwrap();
    assert_eq!(known.value, DeclaredValue::Known(vec![0xa6, 0x84, 0xc7, 0xc6]));
    let trailing = declare(Some("SHA256"), &[], Some("x-amz-checksum-sha256")).unwrap().unwrap();
    assert_eq!(trailing, Declared { algorithm: ChecksumAlgorithm::Sha256, value: DeclaredValue::InTrailer });

    let several = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
    let unpaired = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.";
    let sdk = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
    let value = "Value for x-amz-checksum-crc32 header is invalid.";
    let unknown = "The algorithm type you specified in x-amz-checksum- header is invalid.";
    let table: &[Case] = &[
        (None, &[crc, ("x-amz-checksum-sha1", "x")], None, several),
        (None, &[], Some("x-amz-checksum-crc32,x-amz-checksum-sha1"), several),
        (None, &[crc], Some("x-amz-checksum-crc32"), "Expecting a single x-amz-checksum- header"),
        (Some("CRC32"), &[], None, unpaired),
        (Some("SHA1"), &[crc], None, sdk),
        (Some("nonsense"), &[crc], None, sdk),
        (None, &[("x-amz-checksum-crc32", "bad")], None, value),
        (None, &[("x-amz-checksum-crc32", "cG9UYXRv")], None, value),
        (None, &[("x-amz-checksum-rot13", "poTHxg==")], None, unknown),
        (None, &[], Some("x-amz-meta-a"), "The value specified in the x-amz-trailer header is not supported"),
    ];
    for (sdk, headers, trailer, message) in table {
        assert_eq!(declare(*sdk, headers, *trailer), Err((*message).to_owned()), "{headers:?} {trailer:?}");
    }
}

fn compute(plan: Plan, data: &[u8], trailer: Option<&str>) -> Result<Checksum, (Code, String)> {
    let mut computing = plan.start();
    data.chunks(3).for_each(|chunk| computing.update(chunk));
    computing.finish(trailer).map_err(|refusal| (refusal.code, refusal.message))
}

#[test]
fn an_object_is_verified_and_gets_a_checksum_in_any_case() {
    let data = b"0123456789";
    let plain = compute(Plan::for_object(None), data, None).unwrap();
    assert_eq!((plain.algorithm, plain.kind), (ChecksumAlgorithm::Crc64Nvme, FULL));

    let known = declare(None, &[("x-amz-checksum-crc32", "poTHxg==")], None).unwrap();
    assert_eq!(compute(Plan::for_object(known.clone()), data, None).unwrap().value, [0xa6, 0x84, 0xc7, 0xc6]);
    let bad = compute(Plan::for_object(known), b"other", None).unwrap_err();
    assert_eq!(bad, (Code::BadDigest, "The CRC32 you specified did not match the calculated checksum.".to_owned()));

    let trailing = Plan::for_object(declare(None, &[], Some("x-amz-checksum-crc32")).unwrap());
    assert!(compute(trailing.clone(), data, Some("poTHxg==")).is_ok());
    assert_eq!(compute(trailing.clone(), data, Some("AAAAAA==")).unwrap_err().0, Code::BadDigest);
    assert_eq!(compute(trailing.clone(), data, None).unwrap_err().0, Code::MalformedTrailerError);
    let invalid = compute(trailing, data, Some("?")).unwrap_err();
    assert_eq!(
        invalid,
        (Code::InvalidRequest, "Value for x-amz-checksum-crc32 trailing header is invalid.".to_owned())
    );
}

#[test]
fn a_part_keeps_to_its_upload() {
    let data = b"0123456789";
    let crc32 = declare(None, &[("x-amz-checksum-crc32", "poTHxg==")], None).unwrap();
    let mismatch = Plan::for_part(crc32.clone(), Some(ChecksumAlgorithm::Sha256)).unwrap_err();
    assert_eq!(mismatch.code, Code::InvalidRequest);
    assert_eq!(
        mismatch.message,
        "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32"
    );
    let none = Plan::for_part(None, Some(ChecksumAlgorithm::Crc32)).unwrap_err();
    assert!(none.message.ends_with("expected checksum Type: crc32, actual checksum Type: null"));
    // Without a declared upload, the part's own checksum is verified and the upload's is stored.
    let plan = Plan::for_part(crc32, None).unwrap();
    assert_eq!(compute(plan.clone(), data, None).unwrap().algorithm, ChecksumAlgorithm::Crc64Nvme);
    assert_eq!(compute(plan, b"other", None).unwrap_err().0, Code::BadDigest);
    assert_eq!(Plan::for_copied_part(Some(ChecksumAlgorithm::Sha1)).stored, ChecksumAlgorithm::Sha1);
}

#[test]
fn what_uploads_declare() {
    use ChecksumAlgorithm as A;
    assert_eq!(of_upload(None, None), Ok(None));
    assert_eq!(of_upload(Some("sha256"), None), Ok(Some((A::Sha256, COMPOSITE))));
    assert_eq!(of_upload(Some("CRC32"), Some("FULL_OBJECT")), Ok(Some((A::Crc32, FULL))));
    assert_eq!(of_upload(Some("CRC64NVME"), None), Ok(Some((A::Crc64Nvme, FULL))));
    assert_eq!(effective(None), (A::Crc64Nvme, FULL));
    let table = [
        (
            None,
            Some("COMPOSITE"),
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        ),
        (
            Some("SHA256"),
            Some("FULL_OBJECT"),
            "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.",
        ),
        (
            Some("CRC64NVME"),
            Some("COMPOSITE"),
            "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
        ),
        (Some("CRC32"), Some("HALF"), "Value for x-amz-checksum-type header is invalid."),
    ];
    for (algorithm, kind, message) in table {
        assert_eq!(of_upload(algorithm, kind).unwrap_err().message, message);
    }
    let unknown = of_upload(Some("ROT13"), None).unwrap_err();
    assert!(unknown.message.starts_with("Checksum algorithm provided is unsupported."));
}

#[test]
fn completions_claim_a_checksum() {
    // As Amazon S3 composed it of one part of 1024 times 'A'.
    let part = ChecksumHasher::digest(ChecksumAlgorithm::Sha256, &[b'A'; 1024]);
    let computed = of_parts(ChecksumAlgorithm::Sha256, COMPOSITE, [(part.as_slice(), 1024)]).unwrap();
    let shown = encode(&computed, Some(1));
    assert_eq!(shown, "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-1");

    let claim = |kind, value: &str| {
        let claimed = Claimed { kind, value: Some((ChecksumAlgorithm::Sha256, value)) };
        check_completed(claimed, &computed, 1).map_err(|refusal| refusal.code)
    };
    assert_eq!(claim(None, &shown), Ok(()));
    assert_eq!(claim(Some("COMPOSITE"), shown.strip_suffix("-1").unwrap()), Ok(()));
    assert_eq!(claim(None, "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-2"), Err(Code::BadDigest));
    assert_eq!(claim(None, "AAAAs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-1"), Err(Code::BadDigest));
    assert_eq!(claim(None, "bad"), Err(Code::InvalidRequest));
    assert_eq!(check_completed(Claimed::default(), &computed, 1), Ok(()));

    let mode = check_completed(Claimed { kind: Some("FULL_OBJECT"), value: None }, &computed, 1).unwrap_err();
    assert_eq!(
        mode.message,
        "The upload was created using the COMPOSITE checksum mode. The complete request must use the same checksum mode."
    );
    let other = Claimed { kind: None, value: Some((ChecksumAlgorithm::Crc32, "AAAAAA==")) };
    assert_eq!(check_completed(other, &computed, 1).unwrap_err().code, Code::InvalidRequest);
}

#[test]
fn content_md5_is_read_and_compared() {
    let md5 = parse_content_md5("CY9rzUYh03PK3k6DJie09g==").unwrap();
    assert_eq!(hex::encode(md5), "098f6bcd4621d373cade4e832627b4f6");
    for bad in ["", "YWJj", "nonsense", "CY9rzUYh03PK3k6DJie09g"] {
        let refusal = parse_content_md5(bad).unwrap_err();
        assert_eq!((refusal.code, refusal.detail("Content-MD5")), (Code::InvalidDigest, Some(bad)));
    }
    assert_eq!(verify_content_md5(md5, md5), Ok(()));
    let refusal = verify_content_md5(md5, [0; 16]).unwrap_err();
    assert_eq!(refusal.code, Code::BadDigest);
    assert_eq!(refusal.detail("CalculatedDigest"), Some("AAAAAAAAAAAAAAAAAAAAAA=="));
}

fn crc() -> impl Strategy<Value = ChecksumAlgorithm> {
    prop_oneof![Just(ChecksumAlgorithm::Crc32), Just(ChecksumAlgorithm::Crc32c), Just(ChecksumAlgorithm::Crc64Nvme)]
}

proptest! {
    #[test]
    fn crcs_of_parts_combine_into_that_of_the_whole(
        algorithm in crc(),
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8),
    ) {
        let digests: Vec<_> = parts.iter().map(|part| ChecksumHasher::digest(algorithm, part)).collect();
        let sized = digests.iter().zip(&parts).map(|(digest, part)| (digest.as_slice(), part.len() as u64));
        let whole = of_parts(algorithm, FULL, sized).unwrap();
        prop_assert_eq!(whole.value, ChecksumHasher::digest(algorithm, &parts.concat()));
    }

    #[test]
    fn pieces_do_not_matter(index in 0..ALGORITHMS.len(), data in proptest::collection::vec(any::<u8>(), 0..600), cut in 0_usize..600) {
        let algorithm = ALGORITHMS[index];
        let (head, tail) = data.split_at(cut.min(data.len()));
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(head);
        hasher.update(tail);
        prop_assert_eq!(hasher.finish(), ChecksumHasher::digest(algorithm, &data));
    }

    #[test]
    fn values_survive_their_text(index in 0..ALGORITHMS.len(), data in any::<[u8; 8]>()) {
        let algorithm = ALGORITHMS[index];
        let text = base64(algorithm, &data);
        prop_assert_eq!(decode(algorithm, &text), Some(ChecksumHasher::digest(algorithm, &data)));
    }

    #[test]
    fn any_declaration_is_answered(sdk in ".{0,12}", name in "x-amz-checksum-.{0,8}", value in ".{0,50}", trailer in ".{0,40}") {
        let _ = Declared::parse(Some(&sdk), [(name.as_str(), value.as_str())], Some(&trailer));
        let _ = (of_upload(Some(&sdk), Some(&value)), parse_content_md5(&value));
    }
}
