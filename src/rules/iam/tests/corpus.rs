//! What fuzzing found is tried again.

use std::fs;
use std::path::Path;

use super::*;

/// The inputs of `tests/fuzz`: a policy, a line of condition keys before it.
const CORPUS: &str = "tests/fuzz/corpus/decide";

#[test]
fn the_corpus_is_answered() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = manifest.ancestors().map(|folder| folder.join(CORPUS)).find(|folder| folder.exists());
    let corpus = corpus.expect("the corpus beside the tests");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        let Ok(input) = std::str::from_utf8(&input) else { continue };
        let (keys, document) = input.split_once('\n').unwrap_or(("", input));
        let mut context = Context::new();
        for (key, value) in keys.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            context.push(key, value);
        }
        answered(document, &context);
        count += 1;
    }
    assert!(count >= 10, "{count} inputs");
}

fn answered(document: &str, context: &Context) {
    for kind in [PolicyKind::Identity, PolicyKind::Session, PolicyKind::Trust, PolicyKind::Bucket { bucket: "b" }] {
        let Ok(policy) = Policy::parse(document, kind) else { continue };
        assert!(policy.statement_count() > 0);
        assert!(policy.condition_keys().all(|key| policy.asks_for(key)));
        let named = [Named { name: "p", policy: &policy }];
        let policies = Policies {
            identity: &named,
            boundary: Some(named[0]),
            session: Some(&named),
            resource: Some(named[0]),
            resource_account: ACCOUNT,
            granted_by_owner: false,
        };
        let request = Request { principal: &bob(), action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context };
        let explanation = explain(&request, &policies);
        assert_eq!(explanation.reason().is_none(), explanation.verdict.is_allowed());
        assert_eq!(explanation.verdict, decide(&request, &policies));
    }
}
