use super::*;

fn client(allow_http: bool) -> OidcClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    OidcClient::new(&OidcOptions { ca_file: None, allow_http }).expect("a client")
}

#[test]
fn plain_http_is_for_this_machine_or_by_permission() {
    let table = [
        ("https://idp.example.com/realm", false, true),
        ("http://127.0.0.1:8080/realm", false, true),
        ("http://[::1]:8080", false, true),
        ("http://localhost:8080", false, true),
        ("http://localhost.example.com", false, false),
        ("http://127.0.0.1.example.com", false, false),
        ("http://169.254.169.254/latest", false, false),
        ("http://idp.example.com", false, false),
        ("http://idp.example.com", true, true),
        ("https://user:password@idp.example.com", true, false),
        ("ftp://idp.example.com", true, false),
        ("file:///etc/passwd", true, false),
        ("idp.example.com", true, false),
    ];
    for (url, allow_http, admitted) in table {
        let client = client(allow_http);
        assert_eq!(client.admit(url, true).is_ok(), admitted, "{url}");
    }
    // The keys of an HTTPS issuer are not fetched over HTTP.
    assert!(client(true).admit("http://idp.example.com/keys", false).is_err());
}

#[test]
fn keys_are_found_by_their_id_or_all_are_tried() {
    let key = |kid: Option<&str>| -> Jwk {
        let mut value = serde_json::json!({"kty": "oct", "k": "AAAA"});
        if let Some(kid) = kid {
            value["kid"] = kid.into();
        }
        serde_json::from_value(value).expect("a key")
    };
    let keys = [key(Some("a")), key(Some("b"))];
    assert_eq!(matching(&keys, Some("b")).len(), 1);
    assert_eq!(matching(&keys, Some("c")).len(), 0);
    assert_eq!(matching(&keys, None).len(), 2);
    assert_eq!(matching(&[key(None)], Some("c")).len(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_again_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let issuer = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let client = client(false);
    let first = client.keys(&issuer, Some("a")).await.expect_err("nobody answers");
    assert!(matches!(first, OidcError::Unreachable(_)), "{first}");
    assert_eq!(client.keys(&issuer, Some("b")).await.expect_err("not asked again"), first);
}
