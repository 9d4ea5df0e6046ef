use proptest::prelude::*;

use super::*;
use crate::rules::Code;

fn pages(index: &str) -> Stated {
    Stated { index: Some(index.to_owned()), ..Stated::default() }
}

fn stated_rule(condition: Option<(Option<&str>, Option<&str>)>, redirect: StatedRedirect) -> StatedRule {
    let text = |text: Option<&str>| text.map(str::to_owned);
    StatedRule { condition: condition.map(|(prefix, code)| (text(prefix), text(code))), redirect }
}

fn with_rules(rules: Vec<StatedRule>) -> Stated {
    Stated { rules: Some(rules), ..pages("index.html") }
}

fn to_host(host: &str) -> StatedRedirect {
    StatedRedirect { host: Some(host.to_owned()), ..StatedRedirect::default() }
}

fn refused(stated: Stated) -> (Code, String) {
    let refusal = check(stated).expect_err("refused");
    (refusal.code, refusal.message)
}

// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html>
#[test]
fn what_a_website_may_be_is_said_in_amazons_words() {
    let all = Some(("example.com".to_owned(), None));
    let redirect = |code: &str| StatedRedirect { code: Some(code.to_owned()), ..to_host("a.test") };
    let both = StatedRedirect { key: Some(String::new()), key_prefix: Some(String::new()), ..to_host("a.test") };
    let ftp = StatedRedirect { protocol: Some("ftp".to_owned()), ..to_host("a.test") };
    let one = |rule: StatedRule| with_rules(vec![rule]);
    let long = "x".repeat(1_025);
    let table = [
        (Stated::default(), Code::InvalidArgument, "A value for IndexDocument Suffix must be provided"),
        (pages(""), Code::InvalidArgument, "The IndexDocument Suffix is not well formed"),
        (pages("a/index.html"), Code::InvalidArgument, "The IndexDocument Suffix is not well formed"),
        (
            Stated { redirect_all: all.clone(), ..pages("index.html") },
            Code::InvalidArgument,
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
        ),
        (
            Stated { redirect_all: Some(("a.test".to_owned(), Some("gopher".to_owned()))), ..Stated::default() },
            Code::InvalidRequest,
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.",
        ),
        (Stated { error: Some(String::new()), ..pages("i") }, Code::MalformedXML, ""),
        (Stated { error: Some(long.clone()), ..pages("i") }, Code::InvalidRequest, "ErrorDocument Key"),
        (with_rules(Vec::new()), Code::MalformedXML, ""),
        (
            with_rules(vec![stated_rule(None, to_host("a.test")); 51]),
            Code::InvalidRequest,
            "51 routing rules provided, the number of routing rules in a website configuration is limited to 50.",
        ),
        (
            one(stated_rule(Some((None, None)), to_host("a.test"))),
            Code::InvalidRequest,
            "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.",
        ),
        (
            one(stated_rule(None, both)),
            Code::InvalidRequest,
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
        ),
        (one(stated_rule(None, ftp)), Code::InvalidRequest, "Invalid protocol"),
        (
            one(stated_rule(None, redirect("300"))),
            Code::InvalidRequest,
            "The provided HTTP redirect code (300) is not valid. Valid codes are 3XX except 300.",
        ),
        (one(stated_rule(None, redirect("three"))), Code::MalformedXML, ""),
        (
            one(stated_rule(Some((None, Some("200"))), to_host("a.test"))),
            Code::InvalidRequest,
            "The provided HTTP error code (200) is not valid. Valid codes are 4XX or 5XX.",
        ),
        (one(stated_rule(Some((Some(&long), None)), to_host("a.test"))), Code::InvalidRequest, "KeyPrefixEquals"),
        (one(stated_rule(None, StatedRedirect::default())), Code::InvalidRequest, "Redirect cannot be empty."),
    ];
    for (number, (stated, code, message)) in table.into_iter().enumerate() {
        let (found, text) = refused(stated);
        assert_eq!(found, code, "row {number}: {text}");
        assert!(text.starts_with(message), "row {number}: {text}");
    }
    for host in
        ["", "http://a.test", "a b", "user@evil.test", "a.test\r\nx: y", "bücher.test", "?a", ":80", "a.test//b"]
    {
        let (code, message) = refused(one(stated_rule(None, to_host(host))));
        assert_eq!((code, message.starts_with("HostName")), (Code::InvalidRequest, true), "{host:?}");
        let all = Some((host.to_owned(), None));
        assert!(check(Stated { redirect_all: all, ..Stated::default() }).is_err(), "{host:?}");
    }
    for host in ["a.test", "A.test:8080", "[::1]:80", "127.0.0.1", "a.test/beginning/", "a_b.test"] {
        assert!(check(one(stated_rule(None, to_host(host)))).is_ok(), "{host}");
    }
}

#[test]
fn the_largest_website_fits_a_row() {
    let text = || Some("x".repeat(1_024));
    let redirect = StatedRedirect { key: text(), ..to_host("a.test") };
    let rule = StatedRule { condition: Some((text(), None)), redirect };
    assert!(check(with_rules(vec![rule.clone(); 29])).is_ok());
    let (code, message) = refused(with_rules(vec![rule; 50]));
    assert_eq!((code, message.contains("61440")), (Code::InvalidRequest, true), "{message}");
}

// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>, "x-amz-website-redirect-location"
#[test]
fn where_an_object_may_redirect_to() {
    for good in ["/", "/page.html", "http://a.test", "https://a.test/b?c#d", "/é"] {
        assert!(check_redirect_location(Some(good)).is_ok(), "{good}");
    }
    assert!(check_redirect_location(None).is_ok());
    let longest = format!("/{}", "x".repeat(2_047));
    assert!(check_redirect_location(Some(&longest)).is_ok());
    for bad in ["", "page.html", "javascript:alert(1)", "HTTP://a.test", "/a\r\nb: c", &format!("{longest}x")] {
        let refusal = check_redirect_location(Some(bad)).expect_err(bad);
        assert_eq!(refusal.code, Code::InvalidRedirectLocation, "{bad:?}");
    }
}

fn site(error: Option<&str>, rules: Vec<Rule>) -> Website {
    Website::Pages(Pages { index: "index.html".to_owned(), error: error.map(str::to_owned), rules })
}

fn asked(key: &str) -> Asked<'_> {
    Asked { protocol: Protocol::Http, host: "site.test:80", key, query: None }
}

fn read(key: &str) -> Step<'static> {
    Step::Read(key.to_owned())
}

fn redirect(status: u16, location: &str) -> Step<'static> {
    Step::Redirect { status, location: location.to_owned() }
}

fn failed<'a>(site: &'a Website, key: &str, status: u16, folder: Folder) -> Step<'a> {
    decide(site, &asked(key), Seen::Failed { status, folder })
}

fn rule(prefix: Option<&str>, code: Option<u16>, redirect: Redirect) -> Rule {
    let condition = (prefix.is_some() || code.is_some())
        .then(|| Condition { key_prefix: prefix.map(str::to_owned), error_code: code });
    Rule { condition, redirect }
}

// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/IndexDocumentSupport.html>
#[test]
fn a_folders_page_is_its_index_document() {
    let plain = site(None, Vec::new());
    for (key, page) in [
        ("", "index.html"),
        ("photos/", "photos/index.html"),
        ("/", "/index.html"),
        ("sample1.jpg", "sample1.jpg"),
        ("photos", "photos"),
        ("a//", "a//index.html"),
    ] {
        assert_eq!(decide(&plain, &asked(key), Seen::Nothing), read(page), "{key:?}");
    }
    assert_eq!(decide(&plain, &asked("a"), Seen::Page { redirect: None }), Step::Serve);
    assert_eq!(failed(&plain, "photos", 404, Folder::Unknown), Step::LookFor("photos/index.html".to_owned()));
    assert_eq!(failed(&plain, "photos", 403, Folder::Unknown), Step::LookFor("photos/index.html".to_owned()));
    assert_eq!(failed(&plain, "photos", 404, Folder::Indexed), redirect(302, "/photos/"));
    assert_eq!(failed(&plain, "photos", 404, Folder::Missing), Step::Fail { document: None });
    assert_eq!(failed(&plain, "photos/", 404, Folder::Unknown), Step::Fail { document: None });
    assert_eq!(failed(&plain, "", 404, Folder::Unknown), Step::Fail { document: None });
    assert_eq!(failed(&plain, "photos", 500, Folder::Unknown), Step::Fail { document: None });
    let longest = "k".repeat(1_024);
    assert_eq!(failed(&plain, &longest, 404, Folder::Unknown), Step::Fail { document: None });
    let with_query = Asked { query: Some("a=1"), ..asked("p q") };
    let found = Seen::Failed { status: 404, folder: Folder::Indexed };
    assert_eq!(decide(&plain, &with_query, found), redirect(302, "/p%20q/?a=1"));
}

// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/CustomErrorDocSupport.html>
#[test]
fn errors_of_clients_have_a_page() {
    let own = site(Some("errors/4xx.html"), Vec::new());
    for (status, document) in [(400, true), (403, true), (404, true), (416, true), (500, false), (503, false)] {
        let expected = Step::Fail { document: Some("errors/4xx.html").filter(|_| document) };
        assert_eq!(failed(&own, "missing", status, Folder::Missing), expected, "{status}");
    }
}

// The examples of <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html>
#[test]
fn the_documented_routing_rules() {
    let host = || Some("ec2-11-22-333-44.compute-1.amazonaws.com".to_owned());
    let prefix = |text: &str| Some(NewKey::Prefix(text.to_owned()));
    let renamed =
        site(None, vec![rule(Some("docs/"), None, Redirect { key: prefix("documents/"), ..Redirect::default() })]);
    let first = |site: &Website, key: &str| format!("{:?}", decide(site, &asked(key), Seen::Nothing));
    assert_eq!(first(&renamed, "docs/a/b"), format!("{:?}", redirect(301, "http://site.test:80/documents/a/b")));
    assert_eq!(first(&renamed, "other/docs/"), format!("{:?}", read("other/docs/index.html")));
    let one_page = Redirect { key: Some(NewKey::Whole("folderdeleted.html".to_owned())), ..Redirect::default() };
    let deleted = site(None, vec![rule(Some("images/"), None, one_page)]);
    assert_eq!(
        first(&deleted, "images/x.png"),
        format!("{:?}", redirect(301, "http://site.test:80/folderdeleted.html"))
    );
    let report = Redirect { host: host(), key: prefix("report-404/"), ..Redirect::default() };
    let on_error = site(Some("error.html"), vec![rule(None, Some(404), report)]);
    assert_eq!(first(&on_error, "ExamplePage.html"), format!("{:?}", read("ExamplePage.html")));
    let expected = "http://ec2-11-22-333-44.compute-1.amazonaws.com/report-404/ExamplePage.html";
    assert_eq!(failed(&on_error, "ExamplePage.html", 404, Folder::Missing), redirect(301, expected));
    assert_eq!(
        failed(&on_error, "ExamplePage.html", 403, Folder::Missing),
        Step::Fail { document: Some("error.html") }
    );
}

#[test]
fn rules_are_asked_in_their_order_and_at_their_time() {
    let to = |host: &str| Redirect { host: Some(host.to_owned()), code: Some(307), ..Redirect::default() };
    let rules = vec![
        rule(Some("a/"), Some(404), to("both.test")),
        rule(Some("a/b"), None, to("prefix.test")),
        rule(Some(""), Some(404), to("error.test")),
        rule(Some("z"), None, to("z.test")),
        rule(Some("z"), None, to("never.test")),
    ];
    let site = site(None, rules);
    let first = |key| decide(&site, &asked(key), Seen::Nothing);
    assert_eq!(first("a/b"), redirect(307, "http://prefix.test/a/b"));
    assert_eq!(first("zz"), redirect(307, "http://z.test/zz"));
    assert_eq!(first("a/c"), read("a/c"));
    assert_eq!(failed(&site, "a/c", 404, Folder::Missing), redirect(307, "http://both.test/a/c"));
    assert_eq!(failed(&site, "c", 404, Folder::Missing), redirect(307, "http://error.test/c"));
    assert_eq!(failed(&site, "c", 404, Folder::Indexed), redirect(302, "/c/"), "a folder goes before the rules");
    assert_eq!(failed(&site, "c", 403, Folder::Missing), Step::Fail { document: None });
    let always = Pages { rules: vec![rule(None, None, to("a.test"))], ..Pages::default() };
    let always = Website::Pages(always);
    assert_eq!(decide(&always, &asked("x"), Seen::Nothing), redirect(307, "http://a.test/x"));
    assert_eq!(decide(&always, &asked(""), Seen::Nothing), redirect(307, "http://a.test/"));
}

#[test]
fn addresses_keep_what_was_asked_for_and_what_the_owner_wrote() {
    let https = Redirect { protocol: Some(Protocol::Https), ..Redirect::default() };
    let secure = site(None, vec![rule(Some("s"), None, https)]);
    let asked_with = |key, query| Asked { query, ..asked(key) };
    assert_eq!(
        decide(&secure, &asked_with("s/ü ?#%\u{1}", Some("a=1&b=%20")), Seen::Nothing),
        redirect(301, "https://site.test:80/s/%C3%BC%20%3F%23%25%01?a=1&b=%20")
    );
    let app = Redirect { key: Some(NewKey::Prefix("#!/".to_owned())), ..Redirect::default() };
    let app = site(None, vec![rule(None, Some(404), app)]);
    let missing = Seen::Failed { status: 404, folder: Folder::Missing };
    assert_eq!(decide(&app, &asked_with("view/1", Some("a")), missing), redirect(301, "http://site.test:80/#!/view/1"));
    let resize = Redirect { key: Some(NewKey::Prefix("resize?key=".to_owned())), ..Redirect::default() };
    let resize = site(None, vec![rule(None, Some(404), resize)]);
    assert_eq!(decide(&resize, &asked("a.png"), missing), redirect(301, "http://site.test:80/resize?key=a.png"));
    let all = Website::RedirectAll(RedirectAll { host: "www.test/start/".to_owned(), protocol: None });
    assert_eq!(
        decide(&all, &asked_with("a/b", Some("q")), Seen::Nothing),
        redirect(301, "http://www.test/start/a/b?q")
    );
    let page = Seen::Page { redirect: Some("/other page.html") };
    assert_eq!(decide(&app, &asked("x"), page), redirect(301, "/other%20page.html"));
}

#[test]
fn no_path_names_another_host() {
    let plain = site(None, Vec::new());
    for (key, location) in [
        ("/evil.test", "/%2Fevil.test/"),
        ("//evil.test", "/%2F%2Fevil.test/"),
        ("\\evil.test", "/%5Cevil.test/"),
        ("/\\evil.test", "/%2F%5Cevil.test/"),
        ("a\r\nSet-Cookie: b", "/a%0D%0ASet-Cookie:%20b/"),
        ("..", "/../"),
        ("@evil.test", "/@evil.test/"),
    ] {
        assert_eq!(failed(&plain, key, 404, Folder::Indexed), redirect(302, location), "{key:?}");
    }
    let all = Website::RedirectAll(RedirectAll { host: "own.test".to_owned(), protocol: None });
    for key in ["@evil.test", ":80@evil.test", "/evil.test", ".evil.test"] {
        let Step::Redirect { location, .. } = decide(&all, &asked(key), Seen::Nothing) else { panic!("{key}") };
        assert!(location.starts_with("http://own.test/"), "{location}");
    }
}

/// The host of an address; `None` for a path of the host that was asked.
fn host_of(location: &str) -> Option<&str> {
    if location.starts_with('/') && !location.starts_with("//") {
        return None;
    }
    let (_, rest) = location.split_once("//")?;
    rest.split(['/', '?', '#', '\\']).next()
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a/\\\\?#%@:. \r\n\u{1}é-]{0,12}", "//[a-z.]{1,8}", any::<String>()]
}

fn hosts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,5}\\.test(:[0-9]{2})?(/[a-z]{0,3})?", texts()]
}

fn stated_redirects() -> impl Strategy<Value = StatedRedirect> {
    let texts = || proptest::option::of(texts());
    let protocols = proptest::option::of("https?");
    let codes = proptest::option::of("30[1-8]");
    (proptest::option::of(hosts()), protocols, texts(), texts(), codes).prop_map(
        |(host, protocol, key, prefix, code)| {
            let key_prefix = prefix.filter(|_| key.is_none());
            StatedRedirect { host, protocol, key, key_prefix, code }
        },
    )
}

fn sites() -> impl Strategy<Value = Stated> {
    let condition = proptest::option::of((proptest::option::of(texts()), Just(Some("404".to_owned()))));
    let rule = (condition, stated_redirects()).prop_map(|(condition, redirect)| StatedRule { condition, redirect });
    let rules = proptest::collection::vec(rule, 1..4).prop_map(|rules| Stated { rules: Some(rules), ..pages("i") });
    let all = hosts().prop_map(|host| Stated { redirect_all: Some((host, None)), ..Stated::default() });
    prop_oneof![rules, all, Just(pages("index.html"))]
}

proptest! {
    /// No request makes a redirect name a host that is neither the website's nor one that its owner configured, nor
    /// one that is more than a header's value.
    #[test]
    fn redirects_stay_where_the_owner_sends_them(
        stated in sites(), key in texts(), query in proptest::option::of(texts()), status in 400_u16..600,
    ) {
        let configured: Vec<String> = stated.rules.iter().flatten().filter_map(|rule| rule.redirect.host.clone())
            .chain(stated.redirect_all.iter().map(|(host, _)| host.clone())).collect();
        let Ok(site) = check(stated) else { return Ok(()) };
        let asked = Asked { protocol: Protocol::Https, host: "site.test", key: &key, query: query.as_deref() };
        let seen = [
            Seen::Nothing,
            Seen::Failed { status, folder: Folder::Unknown },
            Seen::Failed { status, folder: Folder::Indexed },
            Seen::Failed { status, folder: Folder::Missing },
        ];
        for seen in seen {
            let Step::Redirect { status, location } = decide(&site, &asked, seen) else { continue };
            prop_assert!((301..400).contains(&status));
            prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", location);
            prop_assert!(location.len() <= 3 * (key.len() + query.as_ref().map_or(0, String::len) + 2_048) + 64);
            if let Some(host) = host_of(&location) {
                let allowed = |configured: &String| configured.split('/').next() == Some(host);
                prop_assert!(host == "site.test" || configured.iter().any(allowed), "{}", location);
            }
        }
    }

    /// The caller's loop ends: nothing is read twice.
    #[test]
    fn a_decision_ends(stated in sites(), key in texts(), status in 400_u16..600) {
        let Ok(site) = check(stated) else { return Ok(()) };
        let asked = Asked { protocol: Protocol::Http, host: "site.test", key: &key, query: None };
        let ends = |step: &Step<'_>| matches!(step, Step::Redirect { .. } | Step::Serve | Step::Fail { .. });
        let first = decide(&site, &asked, Seen::Nothing);
        let reads = matches!(first, Step::Read(_));
        prop_assert!(ends(&first) || reads);
        let again = decide(&site, &asked, Seen::Failed { status, folder: Folder::Unknown });
        let looks = matches!(again, Step::LookFor(_));
        prop_assert!(ends(&again) || looks);
        for folder in [Folder::Indexed, Folder::Missing] {
            let last = decide(&site, &asked, Seen::Failed { status, folder });
            prop_assert!(ends(&last));
        }
    }
}
