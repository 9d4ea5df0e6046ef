use proptest::prelude::*;

use super::*;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(origins: &[&str], allowed: &[Method], headers: &[&str]) -> Rule {
    Rule {
        allowed_origins: texts(origins),
        allowed_methods: allowed.to_vec(),
        allowed_headers: texts(headers),
        ..Rule::default()
    }
}

fn asked<'a>(origin: &'a str, method: &'a str, headers: &'a str) -> Asked<'a> {
    Asked { origin, method, headers }
}

#[test]
fn origins_fit_with_one_wildcard_anywhere() {
    let table = [
        ("*", "anything", true),
        ("*suffix", "foo.suffix", true),
        ("*suffix", "foo.suffix.get", false),
        ("start*end", "startend", true),
        ("start*end", "start12end", true),
        ("start*end", "0start12end", false),
        ("aba*aba", "aba", false),
        ("aba*aba", "ababa", false),
        ("aba*aba", "abaaba", true),
        ("prefix*", "prefix", true),
        ("prefix*", "bla.prefix", false),
        ("http://a.test", "http://a.test", true),
        ("http://a.test", "http://A.test", false),
        ("http://a.test", "http://a.test.evil", false),
        ("", "", true),
        ("", "http://a.test", false),
    ];
    for (pattern, origin, expected) in table {
        let rules = [rule(&[pattern], &[Method::Get], &[])];
        assert_eq!(grant(&rules, asked(origin, "GET", "")).is_some(), expected, "{pattern} {origin}");
    }
}

#[test]
fn the_first_rule_that_fits_says_what_is_granted() {
    let mut first = rule(&["http://a.test", "*"], &[Method::Get, Method::Put], &["x-amz-*", "Content-Type"]);
    first.expose_headers = texts(&["ETag", "x-amz-id-2"]);
    first.max_age_seconds = Some(3_000);
    let rules = [rule(&["http://b.test"], &[Method::Delete], &[]), first];
    let granted = grant(&rules, asked("http://a.test", "PUT", "X-Amz-Date,content-TYPE , ")).expect("granted");
    let expected = Granted {
        origin: "http://a.test".to_owned(),
        methods: "GET, PUT".to_owned(),
        headers: Some("x-amz-date, content-type".to_owned()),
        exposed: Some("ETag, x-amz-id-2".to_owned()),
        max_age_seconds: Some(3_000),
        credentials: true,
    };
    assert_eq!(granted, expected);
    let other = grant(&rules, asked("http://c.test", "GET", "")).expect("granted");
    assert_eq!((other.origin.as_str(), other.credentials, other.headers), ("*", false, None));
    assert_eq!(grant(&rules, asked("http://a.test", "GET", "authorization")), None, "a header that is not allowed");
    assert_eq!(grant(&rules, asked("http://a.test", "DELETE", "")), None, "another rule's method");
    assert_eq!(grant(&rules, asked("http://a.test", "get", "")), None, "methods have a case");
    assert_eq!(grant(&rules, asked("http://a.test", "PATCH", "")), None);
}

#[test]
fn what_no_bucket_may_have_is_refused_in_s3s_words() {
    let good = || rule(&["http://*.test"], &[Method::Get], &["x-*"]);
    assert_eq!(check(&[good()]), Ok(()));
    assert_eq!(check(&vec![good(); MAX_RULES]), Ok(()));
    let message = |rules: &[Rule]| check(rules).expect_err("refused").to_string();
    let malformed = Refusal::from(Code::MalformedXML).to_string();
    assert_eq!(message(&[]), malformed);
    assert_eq!(message(&[Rule { allowed_origins: Vec::new(), ..good() }]), malformed);
    assert_eq!(message(&[Rule { allowed_methods: Vec::new(), ..good() }]), malformed);
    assert_eq!(
        message(&vec![good(); MAX_RULES + 1]),
        "InvalidRequest: The number of CORS rules should not exceed allowed limit of 100 rules."
    );
    assert_eq!(
        message(&[rule(&["*.a.*"], &[Method::Get], &[])]),
        "InvalidRequest: AllowedOrigin \"*.a.*\" can not have more than one wildcard."
    );
    assert_eq!(
        message(&[rule(&["*"], &[Method::Get], &["**"])]),
        "InvalidRequest: AllowedHeader \"**\" can not have more than one wildcard."
    );
    assert_eq!(
        message(&[Rule { expose_headers: texts(&["x-*"]), ..good() }]),
        "InvalidRequest: ExposeHeader \"x-*\" contains wildcard. We currently do not support wildcard for ExposeHeader."
    );
    assert!(message(&[Rule { id: Some("i".repeat(256)), ..good() }]).contains("255"));
    assert!(message(&[Rule { expose_headers: vec!["h".repeat(MAX_BYTES)], ..good() }]).contains("65536"));
    assert_eq!(methods(["GET", "HEAD"]), Ok(vec![Method::Get, Method::Head]));
    assert_eq!(
        methods(["GET", "MYMETHOD"]).expect_err("refused").message,
        "Found unsupported HTTP method in CORS config. Unsupported method is MYMETHOD"
    );
}

#[test]
fn the_worst_configuration_is_answered_at_once() {
    // As many patterns as fit, each of which must be compared to its end, and as many headers as may be asked for.
    let patterns = vec![format!("{}*b", "a".repeat(34)); 900];
    let rules = [Rule { allowed_headers: patterns, ..rule(&["*"], &[Method::Get], &[]) }];
    assert_eq!(check(&rules), Ok(()));
    let header = "a".repeat(300);
    let list = vec![header.as_str(); MAX_ASKED_HEADERS].join(",");
    let started = std::time::Instant::now();
    assert_eq!(grant(&rules, asked("http://a.test", "GET", &list)), None);
    let longer = vec!["a"; MAX_ASKED_HEADERS + 1].join(",");
    assert_eq!(grant(&[rule(&["*"], &[Method::Get], &["*"])], asked("o", "GET", &longer)), None, "too many");
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
}

/// The same question, by trying every way to split the text.
fn fits_slowly(pattern: &str, text: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else { return pattern == text };
    (0..=text.len())
        .any(|from| (from..=text.len()).any(|to| text.get(..from) == Some(start) && text.get(to..) == Some(end)))
}

proptest! {
    #[test]
    fn a_pattern_fits_what_its_definition_says(pattern in "[ab]{0,3}\\*?[ab]{0,3}", text in "[ab]{0,8}") {
        prop_assert_eq!(fits(&pattern, &text, Letters::Exact), fits_slowly(&pattern, &text));
    }

    #[test]
    fn any_question_is_answered(origin in ".{0,40}", method in "[A-Z]{0,6}", headers in ".{0,60}") {
        let rules = [rule(&["*", "http://*.test"], &[Method::Get], &["*"])];
        let _ = grant(&rules, asked(&origin, &method, &headers));
    }
}
