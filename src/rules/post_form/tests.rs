use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn form(fields: &[(&str, &str)]) -> Form {
    let mut form = Form::default();
    for (name, value) in fields {
        form.add(name, (*value).to_owned()).expect("no duplicates");
    }
    form
}

fn encoded(document: &serde_json::Value) -> String {
    STANDARD.encode(document.to_string())
}

fn parsed(conditions: &serde_json::Value) -> Policy {
    let document = json!({"expiration": "2023-11-15T00:00:00.000Z", "conditions": conditions});
    Policy::parse(&encoded(&document)).expect("a policy")
}

fn refused(document: &serde_json::Value) -> String {
    let refusal = Policy::parse(&encoded(document)).expect_err("no policy");
    assert_eq!(refusal.code, Code::InvalidPolicyDocument, "{document}");
    refusal.message
}

#[test]
fn a_form_that_the_policy_describes_is_allowed() {
    let policy = parsed(&json!([
        {"bUcKeT": "b"},
        ["StArTs-WiTh", "$KeY", "user/"],
        {"acl": "private"},
        ["starts-with", "$Content-Type", "image/"],
        ["starts-with", "$x-amz-meta-tag", ""],
        ["content-length-range", 2, "10"],
        ["content-length-range", 0, 8],
    ]));
    let allowed = form(&[
        ("Key", "user/a"),
        ("acl", "private"),
        ("Content-Type", "image/png, image/jpeg"),
        ("x-amz-meta-tag", "anything"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-ignore-this", "1"),
        ("x-ignore-this", "2"),
        ("policy", "p"),
        ("X-Amz-Signature", "s"),
    ]);
    assert_eq!(policy.check(&allowed, "b", NOW), Ok(Sizes { min: 2, max: 8 }));
    let message = |form: &Form, bucket, now| {
        let refusal = policy.check(form, bucket, now).expect_err("refused");
        assert_eq!(refusal.code, Code::AccessDenied);
        refusal.message
    };
    assert_eq!(message(&allowed, "b", NOW + 100_000_000), "Invalid according to Policy: Policy expired.");
    assert_eq!(
        message(&allowed, "other", NOW),
        "Invalid according to Policy: Policy Condition failed: [\"eq\", \"$bucket\", \"b\"]"
    );
    let mixed = form(&[("key", "user/a"), ("acl", "private"), ("content-type", "image/png,text/html")]);
    assert_eq!(
        message(&mixed, "b", NOW),
        "Invalid according to Policy: Policy Condition failed: [\"starts-with\", \"$content-type\", \"image/\"]"
    );
    let more = form(&[("key", "user/a"), ("acl", "private"), ("content-type", "image/"), ("x-amz-meta-more", "1")]);
    assert_eq!(message(&more, "b", NOW), "Invalid according to Policy: Extra input fields: x-amz-meta-more");
    let without_bucket = parsed(&json!([["starts-with", "$key", ""]]));
    let refusal = without_bucket.check(&form(&[("key", "k")]), "b", NOW).expect_err("refused");
    assert_eq!(refusal.message, "Invalid according to Policy: Extra input fields: bucket");
}

#[test]
fn what_is_no_policy_is_refused() {
    let until = "2030-01-01T00:00:00Z";
    assert_eq!(Policy::parse("%%%").expect_err("refused").code, Code::InvalidPolicyDocument);
    assert_eq!(Policy::parse("e30").expect_err("no padding").code, Code::InvalidPolicyDocument);
    assert_eq!(refused(&json!({"conditions": []})), "Invalid Policy: Policy missing expiration.");
    assert!(refused(&json!({"EXPIRATION": until, "conditions": []})).contains("missing expiration"));
    assert!(refused(&json!({"expiration": until})).contains("missing conditions"));
    assert!(refused(&json!({"expiration": until, "CONDITIONS": []})).contains("missing conditions"));
    for date in ["2030-01-01 00:00:00+00:00", "2030-01-01T00:00:00", "tomorrow", "2030-13-01T00:00:00Z", ""] {
        let expected = format!("Invalid Policy: Invalid 'expiration' value: '{date}'");
        assert_eq!(refused(&json!({"expiration": date, "conditions": []})), expected);
    }
    for condition in [
        json!({}),
        json!({"a": "1", "b": "2"}),
        json!({"a": 1}),
        json!("a"),
        json!([]),
        json!([1, "$a", "b"]),
        json!(["ends-with", "$a", "b"]),
        json!(["eq", "$a"]),
        json!(["eq", "a", "b"]),
        json!(["eq", "$a", 1]),
        json!(["content-length-range", 0]),
        json!(["content-length-range", -1, 0]),
        json!(["content-length-range", 2, 1]),
        json!(["content-length-range", "a", "b"]),
    ] {
        refused(&json!({"expiration": until, "conditions": [condition]}));
    }
    let fractions = json!({"expiration": "2030-01-01T00:00:00.123Z", "conditions": []});
    assert!(Policy::parse(&encoded(&fractions)).is_ok());
}

#[test]
fn sizes_have_two_ends() {
    let sizes = Sizes { min: 2, max: 4 };
    assert_eq!(sizes.check_so_far(4), Ok(()));
    let refusal = sizes.check_so_far(5).expect_err("too large");
    assert_eq!((refusal.code, refusal.detail("MaxSizeAllowed")), (Code::EntityTooLarge, Some("4")));
    assert_eq!(sizes.check_whole(2), Ok(()));
    let refusal = sizes.check_whole(1).expect_err("too small");
    assert_eq!((refusal.code, refusal.detail("MinSizeAllowed")), (Code::EntityTooSmall, Some("2")));
}

#[test]
fn the_key_may_have_the_files_name_in_it() {
    let named = |key: &str, file: &str| form(&[("key", key)]).name_key(file).map(str::to_owned);
    assert_eq!(named("user/${filename}", "photo.jpg").as_deref(), Ok("user/photo.jpg"));
    assert_eq!(named("${filename}-${filename}", r"C:\folder\a.txt").as_deref(), Ok("a.txt-a.txt"));
    assert_eq!(named("k", "/home/a").as_deref(), Ok("k"));
    assert!(named("${filename}", "").is_err());
    assert!(named(&"${filename}".repeat(1_000), &"x".repeat(1_000)).is_err(), "a megabyte is not made of it");
    let refusal = form(&[("bucket", "b")]).name_key("a").expect_err("no key");
    assert_eq!(
        refusal.message,
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
    );
    let mut twice = form(&[("key", "a")]);
    assert_eq!(twice.add("KEY", "b".to_owned()).expect_err("twice").code, Code::InvalidArgument);
}

#[test]
fn where_a_browser_goes_afterwards() {
    let to = |fields: &[(&str, &str)]| format!("{:?}", form(fields).on_success());
    assert_eq!(to(&[]), "NoContent");
    for (status, outcome) in [("200", "Ok"), ("201", "Created"), ("204", "NoContent"), ("404", "NoContent")] {
        assert_eq!(to(&[("success_action_status", status)]), outcome);
    }
    assert_eq!(
        to(&[("success_action_redirect", "https://a.test/x"), ("redirect", "https://b.test")]),
        "Redirect(\"https://a.test/x\")"
    );
    assert_eq!(to(&[("redirect", "HTTP://b.test")]), "Redirect(\"HTTP://b.test\")");
    for bad in [
        "/relative",
        "//a.test",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "https://a.test/\r\nSet-Cookie: x",
        "https://a b",
    ] {
        assert_eq!(to(&[("success_action_redirect", bad), ("success_action_status", "200")]), "Ok", "{bad}");
    }
    assert_eq!(
        redirect("http://a.test/p", "b", "k/ü&=", "e"),
        "http://a.test/p?bucket=b&key=k%2F%C3%BC%26%3D&etag=%22e%22"
    );
    assert_eq!(redirect("http://a.test/p?x=1#f", "b", "k", "e"), "http://a.test/p?x=1&bucket=b&key=k&etag=%22e%22#f");
}

#[test]
fn a_signature_has_all_its_fields() {
    // 2023-11-14T22:13:20Z
    let whole = [
        ("policy", "cA=="),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", "AK/20231114/eu-test-1/s3/aws4_request"),
        ("x-amz-date", "20231114T221320Z"),
        ("x-amz-signature", "00"),
    ];
    let signed = form(&whole);
    let Ok(Signature::V4(signed)) = signature(&signed, NOW) else { panic!("signed by version 4") };
    assert_eq!((signed.credential.access_key_id, signed.credential.region), ("AK", "eu-test-1"));
    for left_out in 0..whole.len() {
        let mut fields = whole.to_vec();
        let (name, _) = fields.remove(left_out);
        let refusal = signature(&form(&fields), NOW).expect_err(name);
        assert!(
            refusal.message.contains(&format!("named '{name}'")) || refusal.message.to_ascii_lowercase().contains(name)
        );
    }
    let with = |name: &str, value: &str| {
        let fields: Vec<_> =
            whole.iter().map(|(known, old)| (*known, if *known == name { value } else { old })).collect();
        signature(&form(&fields), NOW).err().map(|refusal| refusal.code)
    };
    assert_eq!(with("x-amz-algorithm", "AWS4-ECDSA-P256-SHA256"), Some(Code::InvalidArgument));
    for credential in [
        "AK",
        "AK/2023/r/s3/aws4_request",
        "AK/20231114/r/iam/aws4_request",
        "/20231114/r/s3/aws4_request",
        "AK/20231113/r/s3/aws4_request",
    ] {
        assert_eq!(with("x-amz-credential", credential), Some(Code::InvalidArgument), "{credential}");
    }
    assert_eq!(with("x-amz-date", "20231114"), Some(Code::InvalidArgument));
    let at = |days: i64| signature(&form(&whole), NOW + days * 86_400_000).err().map(|refusal| refusal.code);
    assert_eq!((at(6), at(8), at(-1)), (None, Some(Code::AccessDenied), Some(Code::AccessDenied)));
    assert!(matches!(signature(&form(&[("key", "k")]), NOW), Ok(Signature::None)));
    let old = form(&[("awsaccesskeyid", "AK"), ("signature", "s"), ("policy", "p")]);
    assert!(matches!(signature(&old, NOW), Ok(Signature::V2(SignedV2 { access_key_id: "AK", .. }))));
    for fields in [
        &[("policy", "p")][..],
        &[("awsaccesskeyid", "AK"), ("policy", "p")],
        &[("awsaccesskeyid", "AK"), ("signature", "s")],
    ] {
        assert_eq!(signature(&form(fields), NOW).expect_err("incomplete").code, Code::InvalidArgument);
    }
}

proptest! {
    #[test]
    fn any_policy_is_answered(text in ".{0,80}", json in ".{0,80}") {
        let _ = Policy::parse(&text);
        let _ = Policy::parse(&STANDARD.encode(&json));
        let _ = Policy::parse(&encoded(&json!({"expiration": json, "conditions": [[text]]})));
    }

    #[test]
    fn a_redirect_is_one_line_of_ascii(url in ".{0,60}", key in ".{0,40}") {
        let url = format!("https://a.test/{url}");
        if form(&[("redirect", url.as_str())]).on_success() != OnSuccess::NoContent {
            let location = redirect(&url, "b", &key, "e");
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{}", location);
        }
    }
}
