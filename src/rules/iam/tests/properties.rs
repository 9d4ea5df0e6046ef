//! Properties of every policy and every request. proptest prints the failing case and its seed.

use proptest::prelude::*;

use super::statement::{Question, Statement};
use super::wildcard::Pattern;
use super::*;

/// As the documentation defines wildcards, in quadratic time.
fn naive(pattern: &[char], text: &[char]) -> bool {
    let mut row = vec![true];
    row.resize(text.len() + 1, false);
    for symbol in pattern {
        let mut next = vec![*symbol == '*' && row[0]];
        for (at, character) in text.iter().enumerate() {
            let matches = match symbol {
                '*' => row[at + 1] || next[at],
                '?' => row[at],
                _ => row[at] && symbol == character,
            };
            next.push(matches);
        }
        row = next;
    }
    row[text.len()]
}

const ACTIONS: &[&str] = &["s3:GetObject", "s3:PutObject", "s3:ListBucket", "iam:GetUser"];
const RESOURCES: &[&str] = &["arn:aws:s3:::b", "arn:aws:s3:::b/k", "arn:aws:s3:::b/bob/k", "arn:aws:s3:::c/k"];

fn element(name: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let values = proptest::sample::subsequence(values, 1..=values.len().min(3));
    (any::<bool>(), values).prop_map(move |(not, values)| {
        let not = if not { "Not" } else { "" };
        let values: Vec<_> = values.iter().map(|value| format!("\"{value}\"")).collect();
        format!("\"{not}{name}\":[{}]", values.join(","))
    })
}

fn condition() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "{}",
        r#"{"StringEquals":{"aws:username":"bob"}}"#,
        r#"{"StringNotEquals":{"aws:username":"bob"}}"#,
        r#"{"StringLike":{"s3:prefix":"${aws:username}/*"}}"#,
        r#"{"Bool":{"aws:SecureTransport":"false"}}"#,
        r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
        r#"{"Null":{"aws:TokenIssueTime":"true"}}"#,
        r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#,
        r#"{"ForAnyValue:StringNotEqualsIfExists":{"aws:TagKeys":["a","b"]}}"#,
    ])
}

/// A statement without its effect.
fn statement() -> impl Strategy<Value = String> {
    let actions = element("Action", &["s3:*", "s3:Get*", "s3:PutObject", "*", "iam:GetUser", "s3:List?ucket"]);
    let resources = element(
        "Resource",
        &["*", "arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::?/k"],
    );
    (actions, resources, condition())
        .prop_map(|(actions, resources, condition)| format!(r#"{actions},{resources},"Condition":{condition}"#))
}

fn statements() -> impl Strategy<Value = Vec<String>> {
    let one = (proptest::sample::select(vec!["Allow", "Allow", "Deny"]), statement());
    proptest::collection::vec(one.prop_map(|(effect, rest)| format!(r#"{{"Effect":"{effect}",{rest}}}"#)), 1..6)
}

#[derive(Debug, Clone)]
struct Asked {
    root: bool,
    action: &'static str,
    resource: &'static str,
    keys: Vec<(&'static str, &'static str)>,
    foreign: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let key = proptest::sample::select(vec![
        ("aws:username", "bob"),
        ("aws:SecureTransport", "true"),
        ("aws:SourceIp", "10.1.2.3"),
        ("aws:SourceIp", "8.8.8.8"),
        ("s3:prefix", "bob/x"),
        ("aws:TagKeys", "a"),
        ("aws:TagKeys", "c"),
    ]);
    let (action, resource) = (proptest::sample::select(ACTIONS), proptest::sample::select(RESOURCES));
    (any::<bool>(), action, resource, proptest::collection::vec(key, 0..5), any::<bool>())
        .prop_map(|(root, action, resource, keys, foreign)| Asked { root, action, resource, keys, foreign })
}

/// Three layers: identity-based policy, boundary, bucket's policy.
type Layers = (Vec<String>, Option<Vec<String>>, Vec<String>);

fn layers() -> impl Strategy<Value = Layers> {
    (statements(), proptest::option::of(statements()), statements())
}

fn verdict(layers: &Layers, asked: &Asked) -> Verdict {
    let parse = |statements: &[String], kind| {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(",")), kind).unwrap()
    };
    let identity = parse(&layers.0, PolicyKind::Identity);
    let boundary = layers.1.as_ref().map(|statements| parse(statements, PolicyKind::Identity));
    // A trust policy would know no resources and a bucket's only its own, so the statements are made S3's and everyone's.
    let for_all: Vec<_> = layers
        .2
        .iter()
        .map(|statement| statement.replacen('{', r#"{"Principal":"*","#, 1))
        .filter(|statement| {
            let one = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
            Policy::parse(&one, PolicyKind::Bucket { bucket: "b" }).is_ok()
        })
        .collect();
    let bucket = (!for_all.is_empty()).then(|| parse(&for_all, PolicyKind::Bucket { bucket: "b" }));
    let policies = Policies {
        identity: &[Named { name: "i", policy: &identity }],
        boundary: boundary.as_ref().map(|policy| Named { name: "p", policy }),
        session: None,
        resource: bucket.as_ref().map(|policy| Named { name: "b", policy }),
        resource_account: if asked.foreign { "999999999999" } else { ACCOUNT },
        granted_by_owner: false,
    };
    let mut context = Context::new();
    asked.keys.iter().for_each(|(key, value)| context.push(*key, *value));
    let principal = if asked.root { Principal::AccountRoot { account: ACCOUNT.to_owned() } } else { bob() };
    decide(
        &Request { principal: &principal, action: asked.action, resource: asked.resource, context: &context },
        &policies,
    )
}

/// The layer, among those that there are.
fn layer(layers: &mut Layers, which: u8) -> &mut Vec<String> {
    match (which % 3, &mut layers.1) {
        (0, Some(boundary)) => boundary,
        (1, _) => &mut layers.2,
        _ => &mut layers.0,
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Denied { .. } => 0,
        Verdict::NotAllowed => 1,
        Verdict::Allowed { .. } => 2,
    }
}

proptest! {
    #[test]
    fn a_deny_never_widens(mut layers in layers(), asked in asked(), extra in statement(), which: u8) {
        let before = rank(&verdict(&layers, &asked));
        layer(&mut layers, which).push(format!(r#"{{"Effect":"Deny",{extra}}}"#));
        prop_assert!(rank(&verdict(&layers, &asked)) <= before);
    }

    #[test]
    fn an_allow_never_narrows(mut layers in layers(), asked in asked(), extra in statement(), which: u8) {
        let before = rank(&verdict(&layers, &asked));
        layer(&mut layers, which).push(format!(r#"{{"Effect":"Allow",{extra}}}"#));
        prop_assert!(rank(&verdict(&layers, &asked)) >= before);
    }

    #[test]
    fn the_order_of_statements_is_irrelevant(mut layers in layers(), asked in asked(), which: u8, by in 0_usize..6) {
        let before = rank(&verdict(&layers, &asked));
        let statements = layer(&mut layers, which);
        let by = by % statements.len();
        statements.rotate_left(by);
        statements.reverse();
        prop_assert_eq!(rank(&verdict(&layers, &asked)), before);
    }

    #[test]
    fn who_denies_everything_denies_everyone(mut layers in layers(), asked in asked()) {
        layers.2.push(r#"{"Effect":"Deny","Action":"s3:*","Resource":"*"}"#.to_owned());
        let denied = rank(&verdict(&layers, &asked)) == 0;
        prop_assert!(denied || asked.action.starts_with("iam:"));
    }

    #[test]
    fn a_boundary_never_widens(layers in layers(), asked in asked()) {
        let without = (layers.0.clone(), None, layers.2.clone());
        prop_assert!(rank(&verdict(&layers, &asked)) <= rank(&verdict(&without, &asked)));
    }

    #[test]
    fn keys_for_a_request_are_all_that_decide(layers in layers(), asked in asked()) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, layers.0.join(","));
        let policy = Policy::parse(&document, PolicyKind::Identity).unwrap();
        let keys = keys_that_decide([&policy].into_iter(), asked.action, asked.resource);
        let mut fewer = asked.clone();
        fewer.keys.retain(|(key, _)| keys.contains(key.to_ascii_lowercase().as_str()));
        let alone = (layers.0, None, Vec::new());
        prop_assert_eq!(verdict(&alone, &fewer), verdict(&alone, &asked));
    }

    #[test]
    fn no_statement_that_speaks_about_a_request_is_passed_over(layers in layers(), asked in asked()) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, layers.0.join(","));
        let policy = Policy::parse(&document, PolicyKind::Identity).unwrap();
        let mut context = Context::new();
        asked.keys.iter().for_each(|(key, value)| context.push(*key, *value));
        let principal = bob();
        let request =
            Request { principal: &principal, action: asked.action, resource: asked.resource, context: &context };
        let question = Question::new(&request);
        let speak = |statement: &&Statement| statement.reach(&question).is_some();
        let all: Vec<_> = policy.statements.iter().filter(speak).map(|statement| &statement.name).collect();
        let found: Vec<_> = policy.about(question.head).filter(speak).map(|statement| &statement.name).collect();
        prop_assert_eq!(found, all);
    }

    #[test]
    fn wildcards_match_as_documented(pattern in "[abé*?]{0,12}", text in "[abé]{0,16}") {
        let characters = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = naive(&characters(&pattern), &characters(&text));
        prop_assert_eq!(Pattern::wild(&pattern).matches(&text), expected);
    }

    #[test]
    fn a_pattern_without_wildcards_matches_itself(text in ".{0,40}", other in ".{0,40}") {
        let pattern = Pattern::wild(&text.replace(['*', '?'], "_"));
        prop_assert_eq!(pattern.matches(&other), text.replace(['*', '?'], "_") == other);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        for kind in [PolicyKind::Identity, PolicyKind::Trust, PolicyKind::Bucket { bucket: "b" }] {
            prop_assert!(Policy::parse(&text, kind).is_err());
        }
    }
}
