use std::cmp::Reverse;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

type Entries<I> = BTreeSet<(String, I)>;

fn request<I>(prefix: &str, delimiter: &str, after: After<I>, max: usize) -> Request<I> {
    Request { prefix: prefix.to_owned(), delimiter: Some(delimiter.to_owned()), after, max }
}

/// The first entry of a bucket that a seek names.
fn find<'b, I: Ord>(bucket: &'b Entries<I>, seek: &Seek<I>) -> Option<&'b (String, I)> {
    bucket.iter().find(|(key, id)| match seek {
        Seek::From(from) => key >= from,
        Seek::AfterKey(after) => key > after,
        Seek::AfterEntry(after, last) => (key, id) > (after, last),
        Seek::AfterPrefix(prefix) => key > prefix && !key.starts_with(prefix.as_str()),
    })
}

/// Lists a page as a caller does, by seeking. Counts the steps.
fn list<I: Ord + Clone>(bucket: &Entries<I>, request: Request<I>) -> (Vec<Line<I>>, Page<I>, usize) {
    let mut listing = Listing::new(request);
    let (mut lines, mut steps) = (Vec::new(), 0);
    let mut seek = listing.start();
    while let Some((key, id)) = seek.as_ref().and_then(|seek| find(bucket, seek)) {
        steps += 1;
        match listing.see(key, id) {
            Seen::Take => {
                lines.push(Line::Entry(key.clone(), id.clone()));
                seek = Some(Seek::AfterEntry(key.clone(), id.clone()));
            }
            Seen::Seek(to) => {
                if let Some(Line::CommonPrefix(last)) = &listing.last
                    && lines.last() != listing.last.as_ref()
                {
                    lines.push(Line::CommonPrefix(last.clone()));
                }
                seek = Some(to);
            }
            Seen::Done => break,
        }
    }
    let page = listing.finish();
    (lines, page, steps)
}

/// Lists a page by showing every entry and ignoring every seek.
fn list_all_shown<I: Ord + Clone>(bucket: &Entries<I>, request: Request<I>) -> (Vec<(String, I)>, Page<I>) {
    let mut listing = Listing::new(request);
    let mut taken = Vec::new();
    for (key, id) in bucket {
        match listing.see(key, id) {
            Seen::Take => taken.push((key.clone(), id.clone())),
            Seen::Seek(_) => {}
            Seen::Done => break,
        }
    }
    (taken, listing.finish())
}

/// What S3's documentation says of a listing, word by word, in quadratic time.
fn reference<I: Ord + Clone>(bucket: &Entries<I>, request: &Request<I>) -> (Vec<Line<I>>, bool) {
    let delimiter = request.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let roll = |key: &str| {
        let rest = key.strip_prefix(request.prefix.as_str())?;
        let at = rest.find(delimiter?)?;
        Some(key[..request.prefix.len() + at + delimiter?.len()].to_owned())
    };
    let mut lines = Vec::new();
    for (key, id) in bucket {
        if !key.starts_with(&request.prefix) {
            continue;
        }
        let line = roll(key).map_or_else(|| Line::Entry(key.clone(), id.clone()), Line::CommonPrefix);
        let listed_before = match (&request.after, &line) {
            (After::Start, _) => false,
            (After::Key(marker) | After::Entry(marker, _), Line::CommonPrefix(common)) => {
                common <= marker || marker.starts_with(common.as_str())
            }
            (After::Key(marker), Line::Entry(key, _)) => key <= marker,
            (After::Entry(marker, last), Line::Entry(key, id)) => (key, id) <= (marker, last),
        };
        if !listed_before && !lines.contains(&line) {
            lines.push(line);
        }
    }
    let is_truncated = request.max > 0 && lines.len() > request.max;
    lines.truncate(request.max);
    (lines, is_truncated)
}

fn objects(keys: &[&str]) -> Entries<()> {
    keys.iter().map(|key| ((*key).to_owned(), ())).collect()
}

fn shown(lines: &[Line<()>]) -> Vec<String> {
    let show = |line: &Line<()>| match line {
        Line::Entry(key, ()) => key.clone(),
        Line::CommonPrefix(prefix) => format!("[{prefix}]"),
    };
    lines.iter().map(show).collect()
}

#[test]
fn pages_as_amazon_s3_answered_them() {
    let bucket = objects(&["folder/aSubfolder/subFile1", "folder/aSubfolder/subFile2", "folder/file1", "folder/file2"]);
    let key = |marker: &str| After::Key(marker.to_owned());
    let table = [
        (After::Start, "[folder/aSubfolder/]", true),
        (key("folder/aSubfolder/"), "folder/file1", true),
        (key("folder/aSubfolder/subFile1"), "folder/file1", true),
        (key("folder/file1"), "folder/file2", false),
    ];
    for (after, line, truncated) in table {
        let (lines, page, _) = list(&bucket, request("folder/", "/", after.clone(), 1));
        assert_eq!((shown(&lines), page.is_truncated), (vec![line.to_owned()], truncated), "{after:?}");
    }
}

#[test]
fn listings_of_odd_requests() {
    let bucket = objects(&["a", "a/", "a/b", "a//c", "b", "b--c", "b--d--e", "é/x", "é/y", "日本/語"]);
    let list = |prefix, delimiter| shown(&list(&bucket, request(prefix, delimiter, After::Start, 1_000)).0);
    assert_eq!(list("", "/"), ["a", "[a/]", "b", "b--c", "b--d--e", "[é/]", "[日本/]"]);
    assert_eq!(list("a", "/"), ["a", "[a/]"], "a key that equals the prefix is a key");
    assert_eq!(list("a/", "/"), ["a/", "[a//]", "a/b"], "a prefix that ends in the delimiter");
    assert_eq!(list("b", "--"), ["b", "[b--]"], "a delimiter of two characters");
    assert_eq!(list("b--", "--"), ["b--c", "[b--d--]"]);
    assert_eq!(list("é", "é"), ["é/x", "é/y"]);
    assert_eq!(list("", "é"), ["a", "a/", "a//c", "a/b", "b", "b--c", "b--d--e", "[é]", "日本/語"]);
    assert_eq!(list("a/", ""), ["a/", "a//c", "a/b"], "an empty delimiter is none");
    assert!(list("zzz", "/").is_empty() && list("c", "").is_empty());
}

#[test]
fn a_page_of_no_lines_is_empty_and_not_truncated() {
    let (lines, page, steps) = list(&objects(&["a", "b"]), request("", "/", After::Start, 0));
    assert_eq!((lines.len(), page.is_truncated, page.last, steps), (0, false, None, 0));
}

#[test]
fn a_page_that_holds_exactly_everything_is_not_truncated() {
    let bucket = objects(&["a", "b/1", "b/2"]);
    assert!(!list(&bucket, request("", "/", After::Start, 2)).1.is_truncated);
    assert!(list(&bucket, request("", "/", After::Start, 1)).1.is_truncated);
}

#[test]
fn nothing_lies_behind_the_prefix() {
    let after = After::Key("b".to_owned());
    assert_eq!(Listing::<()>::new(request("a", "/", after, 10)).start(), None);
}

#[test]
fn a_common_prefix_costs_one_step_however_many_keys_it_has() {
    let keys: Vec<_> = (0..10_000).map(|n| format!("{}/{n}", n % 4)).collect();
    let bucket = objects(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let (lines, _, steps) = list(&bucket, request("", "/", After::Start, 1_000));
    assert_eq!((lines.len(), steps), (4, 4));
}

#[test]
fn versions_go_on_within_a_key() {
    let bucket: Entries<_> =
        [("k", 3), ("k", 2), ("k", 1), ("l", 9)].map(|(key, order)| (key.to_owned(), Reverse(order))).into();
    let list = |after| list(&bucket, request("", "/", after, 10)).0;
    let entry = |key: &str, order| Line::Entry(key.to_owned(), Reverse(order));
    assert_eq!(list(After::Start), [entry("k", 3), entry("k", 2), entry("k", 1), entry("l", 9)], "newest first");
    assert_eq!(list(After::Entry("k".to_owned(), Reverse(2))), [entry("k", 1), entry("l", 9)]);
    assert_eq!(list(After::Key("k".to_owned())), [entry("l", 9)], "a key marker alone passes over the whole key");
}

#[test]
fn page_sizes() {
    assert_eq!(page_size("max-keys", None), Ok(1_000));
    assert_eq!(page_size("max-keys", Some(7)), Ok(7));
    assert_eq!(page_size("max-keys", Some(0)), Ok(0));
    assert_eq!(page_size("max-keys", Some(i64::MAX)), Ok(1_000));
    let refusal = page_size("max-keys", Some(-1)).unwrap_err();
    assert_eq!(refusal.detail("ArgumentValue"), Some("-1"));
}

fn text(max: usize) -> impl Strategy<Value = String> {
    let letter = prop_oneof![4 => Just('a'), 3 => Just('/'), 2 => Just('b'), 1 => Just('é'), 1 => Just('日'), 1 => Just('\u{10ffff}')];
    proptest::collection::vec(letter, 0..=max).prop_map(String::from_iter)
}

fn bucket(most: usize) -> impl Strategy<Value = Entries<Reverse<u8>>> {
    let key = text(6).prop_filter("keys are not empty", |key| !key.is_empty());
    proptest::collection::btree_set((key, (0_u8..4).prop_map(Reverse)), 0..most)
}

fn after() -> impl Strategy<Value = After<Reverse<u8>>> {
    prop_oneof![
        Just(After::Start),
        text(6).prop_map(After::Key),
        (text(6), (0_u8..4).prop_map(Reverse)).prop_map(|(key, id)| After::Entry(key, id)),
    ]
}

fn any_request() -> impl Strategy<Value = Request<Reverse<u8>>> {
    (text(3), proptest::option::of(text(2)), after(), 0_usize..8).prop_map(|(prefix, delimiter, after, max)| Request {
        prefix,
        delimiter,
        after,
        max,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_page_is_what_the_reference_says(bucket in bucket(40), request in any_request()) {
        let (expected, is_truncated) = reference(&bucket, &request);
        let (lines, page, steps) = list(&bucket, request.clone());
        prop_assert_eq!(&lines, &expected);
        prop_assert_eq!(page.is_truncated, is_truncated);
        prop_assert_eq!(page.last.as_ref(), expected.last());
        prop_assert!(steps <= lines.len() + 1, "{steps} steps for {} lines", lines.len());

        // A caller that does not seek gets the same page.
        let (taken, shown) = list_all_shown(&bucket, request);
        prop_assert_eq!(shown, page);
        prop_assert_eq!(taken.len() , lines.iter().filter(|line| matches!(line, Line::Entry(..))).count());
    }

    #[test]
    fn any_page_size_lists_the_same(bucket in bucket(40), mut request in any_request(), size in 1_usize..6) {
        request.max = 1_000;
        let (whole, ..) = list(&bucket, request.clone());
        request.max = size;
        let mut paged = Vec::new();
        loop {
            let (lines, page, _) = list(&bucket, request.clone());
            prop_assert!(lines.len() == size || !page.is_truncated);
            paged.extend(lines);
            let Some(after) = page.next() else { break };
            request.after = after;
        }
        prop_assert_eq!(paged, whole);
    }
}
