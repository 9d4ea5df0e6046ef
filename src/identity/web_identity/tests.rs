use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

/// A provider's key.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn public(&self) -> Jwk {
        let point = self.0.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (coordinate(&point[1..33]), coordinate(&point[33..]));
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "a", "alg": "ES256", "x": x, "y": y});
        serde_json::from_value(key).expect("a key")
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "a"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).expect("signed");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://idp.example.com/realm", "sub": "anna", "aud": ["one", "two"], "azp": "three",
        "iat": NOW, "exp": NOW + 600, "admin": true, "level": 3, "groups": ["a", "b"], "nested": {"x": 1},
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verify(signer: &Signer, claims: &Value, now: i64) -> Result<Claims, StsError> {
    let token = signer.token(claims);
    Unverified::read(&token)?.verify(&token, &[signer.public()], now)
}

#[test]
fn a_signed_token_says_who_and_for_whom() {
    let signer = Signer::new();
    let token = signer.token(&claims());
    let unverified = Unverified::read(&token).expect("a token");
    assert_eq!(unverified.issuer, "https://idp.example.com/realm");
    assert_eq!(unverified.key_id.as_deref(), Some("a"));
    let claims = verify(&signer, &claims(), NOW).expect("valid");
    assert_eq!(claims.subject(), "anna");
    assert_eq!(claims.audiences(), ["one", "two", "three"]);
    assert_eq!(claims.audience(&["two".to_owned()]), "two");
    assert_eq!(claims.audience(&[]), "one");
}

#[test]
fn claims_become_condition_keys() {
    let signer = Signer::new();
    let keys = verify(&signer, &claims(), NOW).expect("valid").condition_keys("https://IDP.example.com/realm");
    let values = |name: &str| -> Vec<&str> {
        let name = format!("idp.example.com/realm:{name}");
        keys.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("sub"), ["anna"]);
    assert_eq!(values("aud"), ["one", "two"]);
    assert_eq!(values("app_id"), ["one", "two"]);
    assert_eq!(values("groups"), ["a", "b"]);
    assert_eq!((values("admin"), values("level")), (vec!["true"], vec!["3"]));
    assert!(values("nested").is_empty());
}

#[test]
fn times_are_those_of_the_argument() {
    let signer = Signer::new();
    let code = |claims: &Value, now: i64| verify(&signer, claims, now).err().and_then(|error| error.code());
    assert_eq!(code(&claims(), NOW + 600 + LEEWAY_SECONDS - 1), None);
    assert_eq!(code(&claims(), NOW + 600 + LEEWAY_SECONDS), Some(StsCode::ExpiredToken));
    assert_eq!(code(&claims(), NOW - LEEWAY_SECONDS), None);
    assert_eq!(code(&claims(), NOW - LEEWAY_SECONDS - 1), Some(StsCode::InvalidIdentityToken));
    let later = with("nbf", json!(NOW + LEEWAY_SECONDS + 1));
    assert_eq!(code(&later, NOW), Some(StsCode::InvalidIdentityToken));
    for (name, value) in [("exp", json!(null)), ("exp", json!("soon")), ("sub", json!("")), ("aud", json!([]))] {
        let expected = (name != "sub").then_some(StsCode::InvalidIdentityToken);
        assert_eq!(code(&with(name, value.clone()), NOW), expected, "{name} {value}");
    }
}

#[test]
fn another_signature_is_none() {
    let (signer, other) = (Signer::new(), Signer::new());
    let token = signer.token(&claims());
    let unverified = Unverified::read(&token).expect("a token");
    for keys in [vec![], vec![other.public()]] {
        let error = unverified.verify(&token, &keys, NOW).expect_err("not signed by these");
        assert_eq!(error.code(), Some(StsCode::InvalidIdentityToken));
    }
    // Of two keys under one id, the one that fits is found.
    assert!(unverified.verify(&token, &[other.public(), signer.public()], NOW).is_ok());
}

#[test]
fn shared_secrets_and_no_signature_are_refused() {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES256", "crit": ["exp"]}),
        json!({"typ": "JWT"}),
    ] {
        let token = format!("{}.{}.AAAA", part(&header), part(&claims()));
        assert!(Unverified::read(&token).is_err(), "{header}");
    }
    for text in ["", ".", "..", "a.b.c", "eyJhbGciOiJFUzI1NiJ9..", &"a".repeat(20_000)] {
        assert!(Unverified::read(text).is_err(), "{text}");
    }
}

#[test]
fn tags_come_from_the_claim_that_aws_documents() {
    let signer = Signer::new();
    let tags = |claim: Value| verify(&signer, &with(TAGS_CLAIM, claim), NOW).expect("valid").session_tags();
    let claim = json!({"principal_tags": {"Team": ["archive"]}, "transitive_tag_keys": ["Team"]});
    let expected = (vec![("Team".to_owned(), "archive".to_owned())], vec!["Team".to_owned()]);
    assert_eq!(tags(claim).expect("tags"), expected);
    assert!(tags(json!({"principal_tags": {"Team": []}})).is_err());
    assert_eq!(verify(&signer, &claims(), NOW).expect("valid").session_tags().expect("none").0, []);
}
