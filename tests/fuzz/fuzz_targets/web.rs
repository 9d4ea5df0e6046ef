//! Rules of cross-origin sharing and browser forms: any configuration is checked, any question about it is answered in
//! bounded time, and no redirect breaks out of its header.
//!
//! An input is lines of `name=value`. Those of the configuration: origin, method, header, expose; of the question: from,
//! ask, asks; all others are fields of a form.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;

#[path = "../../../src/rules"]
#[allow(dead_code, reason = "the rules are compiled here as they are")]
mod rules {
    pub mod cors;
    pub mod object_key;
    pub mod post_form;
    pub mod refusal;
    pub use refusal::{Code, Refusal};
}

use rules::cors::{self, Asked, Rule};
use rules::post_form::{self, Form, OnSuccess, Policy};

const NOW: i64 = 1_700_000_000_000;

fuzz_target!(|input: &str| {
    let (mut rule, mut form) = (Rule::default(), Form::default());
    let (mut from, mut ask, mut asks) = ("", "GET", "");
    for (name, value) in input.lines().filter_map(|line| line.split_once('=')) {
        match name {
            "origin" => rule.allowed_origins.push(value.to_owned()),
            "method" => rule.allowed_methods.extend(cors::Method::parse(value)),
            "header" => rule.allowed_headers.push(value.to_owned()),
            "expose" => rule.expose_headers.push(value.to_owned()),
            "from" => from = value,
            "ask" => ask = value,
            "asks" => asks = value,
            _ => {
                let _ = form.add(name, value.to_owned());
            }
        }
    }
    share(rule, Asked { origin: from, method: ask, headers: asks });
    upload(form);
});

fn share(rule: Rule, asked: Asked<'_>) {
    let rules = [rule];
    let valid = cors::check(&rules).is_ok();
    let Some(granted) = cors::grant(&rules, asked) else { return };
    assert!(granted.origin == "*" || granted.origin == asked.origin);
    assert!(asked.origin == "*" || granted.credentials == (granted.origin != "*"));
    assert!(!valid || !granted.methods.is_empty());
}

fn upload(mut form: Form) {
    let _ = post_form::signature(&form, NOW);
    let _ = form.name_key("folder/file");
    if let Some(text) = form.get("policy") {
        for policy in [Policy::parse(text), Policy::parse(&STANDARD.encode(text))].into_iter().flatten() {
            let _ = policy.check(&form, "b", NOW);
        }
    }
    if let OnSuccess::Redirect(url) = form.on_success() {
        let location = post_form::redirect(url, "b", form.get("key").unwrap_or(""), "e");
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
        let start = location.get(..8).unwrap_or("").to_ascii_lowercase();
        assert!(start.starts_with("http://") || start == "https://", "{location}");
    }
}
